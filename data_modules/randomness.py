"""Random numbers from what they are for, not from what was drawn before: nothing has to be stored to resume."""

from __future__ import annotations

import hashlib

import torch


def seed_for(*parts: int | str) -> int:
    """Hash named parts, e.g. ``seed_for(seed, "reals", rank, images_seen)``, into a 63-bit seed.

    Equal parts give equal seeds on every machine and Python version; any other part gives an unrelated one.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(device: torch.device | str, *parts: int | str) -> torch.Generator:
    """A ``torch.Generator`` on ``device``, seeded by :func:`seed_for`."""
    return torch.Generator(device=device).manual_seed(seed_for(*parts))

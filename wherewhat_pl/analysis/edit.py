"""Attributes of one image put onto others, by their codes, and, if asked for, under the latents' masks only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wherewhat_pl.errors import ModelError
from wherewhat_pl.model import Model


def transfer(codes: Tensor, source: Tensor, latents: Sequence[int]) -> Tensor:
    """Codes ``[N, n]`` with the chosen latents of ``source [n]``."""
    edited = codes.clone()
    edited[:, list(latents)] = source[list(latents)]
    return edited


def draw_transfer(
    model: Model, codes: Tensor, edited: Tensor, latents: Sequence[int], under_mask: bool = False
) -> Tensor:
    """Images ``[N, C, H, W]`` of edited codes.

    Args:
        model: what draws.
        codes: ``[N, n]``, as they were.
        edited: ``[N, n]``, as :func:`transfer` gives them.
        latents: those that were taken over.
        under_mask: keep the pixels of ``codes`` where none of these latents has its mask; a pixel under several masks
            counts as often as any of them says, ``1 - prod (1 - M)``, with the masks before and after the edit.

    Raises:
        ModelError: ``under_mask``, and one of the latents acts without a mask.
    """
    if not under_mask:
        return model.generate(edited)
    if without := [latent for latent in latents if latent not in model.masked_latents]:
        raise ModelError(f"{model.names[without[0]]} acts without a mask, so nothing can be edited only under it")
    before, masks_before = model.generate(codes, return_masks=True)
    after, masks_after = model.generate(edited, return_masks=True)
    places = torch.cat([masks[:, list(latents)] for masks in (masks_before, masks_after)], dim=1)  # [N, 2 k, H, W]
    share = 1 - (1 - places).prod(1, keepdim=True)
    return before + (after - before) * share

"""Where latents come from."""

from __future__ import annotations

import torch
from torch import Tensor

UNIFORM_LIMIT = 2.0  #: the uniform prior is U[-2, 2]


def sample_prior(
    prior: str,
    count: int,
    num_latents: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Latents ``[count, num_latents]`` on ``device``, from N(0, I) (``normal``) or U[-2, 2] (``uniform``).

    They are drawn on the generator's device, if there is one: then they are the same wherever they go.
    """
    at = generator.device if generator is not None else device
    if prior == "normal":
        return torch.randn((count, num_latents), generator=generator, device=at).to(device)
    uniform = torch.rand((count, num_latents), generator=generator, device=at).to(device)
    return (uniform * 2 - 1) * UNIFORM_LIMIT


def faded_in(groups: int, turns: float) -> list[float]:
    """The share of its spread that each group's latents have when groups come one after another (Li et al. 2020).

    The first group has all of it from the start. Group k = 1, 2, ... comes in linearly from turn k to turn k + 1, so
    the first is alone for a turn, and after ``groups`` turns every share is 1.
    """
    return [1.0, *(min(max(turns - k, 0.0), 1.0) for k in range(1, groups))]

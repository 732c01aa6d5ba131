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

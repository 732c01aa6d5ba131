"""The published generator's module list for any resolution and number of latents (Zhu et al. 2021, released code)."""

from __future__ import annotations

from wherewhat_pl.networks.generator import START_RESOLUTION

RECTANGLES = 4  # per mask, as published


def published_modules(resolution: int, num_latents: int, channels: int = 512) -> list[str]:
    """The pattern of the published list, as many levels long as the resolution asks for.

    A constant of 4 px; per level from 8 px up an upsampling block, latents under masks, a block and noise; two more
    blocks at the end. 25 latents at 128 px give the published CelebA list.

    Args:
        resolution: of the images in pixels, a power of two, at least 8.
        num_latents: spread evenly over the levels; what is left over goes to the middle ones.
        channels: of the constant.

    Raises:
        ValueError: fewer than one latent.
    """
    if num_latents < 1:
        raise ValueError("at least one latent is needed")
    modules = [f"Const-{channels}"]
    for count in spread(num_latents, resolution.bit_length() - START_RESOLUTION.bit_length()):
        masked = [f"C_spgroup-{RECTANGLES}-{count}"] * (count > 0)
        modules += ["ResConv-up-1", *masked, "ResConv-id-1", "Noise-2"]
    return [*modules, "ResConv-id-2"]


def spread(total: int, levels: int) -> list[int]:
    """``total`` in ``levels`` nearly equal parts, the larger ones in the middle: ``spread(10, 4) == [2, 3, 3, 2]``."""
    each, left_over = divmod(total, levels)
    first = (levels - left_over) // 2
    return [each + (first <= level < first + left_over) for level in range(levels)]

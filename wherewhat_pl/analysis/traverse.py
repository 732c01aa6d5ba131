"""One latent at a time from low to high: what it changes, how much, and under which mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

DrawWithMasks = Callable[[Tensor], tuple[Tensor, list[Tensor]]]  #: latents ``[B, n]`` -> images and masks per module


@dataclass(frozen=True)
class Traversal:
    """All latents' traversals from one base code.

    Attributes:
        values: ``[columns]``, what the traversed latent is set to.
        images: ``[n, columns, C, H, W]`` in about [-1, 1].
        base_image: ``[C, H, W]``, of the base code itself.
        masks: ``[n, H, W]`` in [0, 1], the masks at the base code, brought to the images' resolution; zero rows
            for latents that act without a mask (``C_global``). None if no latent has a mask.
        change: ``[n]``, mean absolute change per pixel from the lowest value to the middle one and on to the highest.
    """

    values: Tensor
    images: Tensor
    base_image: Tensor
    masks: Tensor | None
    change: Tensor

    @property
    def order(self) -> list[int]:
        """Latents, the one that changes most first."""
        return self.change.argsort(descending=True).tolist()


@torch.no_grad()
def traverse(
    draw: DrawWithMasks,
    base: Tensor,
    masked_latents: list[int],
    columns: int = 9,
    limit: float = 2.0,
    change_over: Tensor | None = None,
    batch_size: int = 64,
) -> Traversal:
    """Traverse every latent from ``-limit`` to ``limit``.

    Args:
        draw: latents ``[B, n]`` -> images ``[B, C, H, W]`` and a list of masks ``[B, m, h, h]``.
        base: ``[n]``, the code that is varied.
        masked_latents: which latents the masks belong to, in the masks' order.
        columns: values per latent.
        limit: largest value.
        change_over: ``[K, n]`` more base codes, over which ``change`` is averaged too.
        batch_size: images drawn at once.

    Returns:
        A :class:`Traversal` on the device of ``base``.
    """
    num_latents = base.shape[0]
    values = torch.linspace(-limit, limit, columns, device=base.device)

    def along_all(code: Tensor, values: Tensor) -> Tensor:
        latents = code.repeat(num_latents, len(values), 1)
        index = torch.arange(num_latents, device=base.device)
        latents[index, :, index] = values
        parts = latents.flatten(0, 1).split(batch_size)
        return torch.cat([draw(part)[0].float() for part in parts]).unflatten(0, (num_latents, len(values)))

    images = along_all(base, values)
    others = [] if change_over is None else list(change_over)
    ends_and_middle = [0, columns // 2, columns - 1]  # as many images as tell a circle of hues from no change
    changes = [images[:, ends_and_middle], *(along_all(code, values[ends_and_middle]) for code in others)]
    base_images, mask_list = draw(base[None])
    masks = None
    if mask_list:
        size = images.shape[-2:]
        masks = torch.zeros(num_latents, *size, device=base.device)
        masks[masked_latents] = torch.cat([F.interpolate(mask.float(), size=size) for mask in mask_list], dim=1)[0]
    change = torch.stack([_path_length(each) for each in changes]).mean(0)
    return Traversal(values, images, base_images[0].float(), masks, change)


def _path_length(images: Tensor) -> Tensor:
    """``[n, columns, C, H, W] -> [n]``."""
    return images.diff(dim=1).abs().mean(dim=(2, 3, 4)).sum(1)

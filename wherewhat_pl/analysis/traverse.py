"""One latent at a time from low to high: what it changes, how much, and under which mask."""

from __future__ import annotations

import torch
from torch import Tensor

from wherewhat_pl.model import Model
from wherewhat_pl.pictures.traversal import Traversal

PIXELS_AT_ONCE = 64 * 128**2  # per batch that is drawn: what fits beside a training at 128 px must fit at 512
CODES_FOR_CHANGE = 4  # base codes over which a latent's change is averaged, beside the one that is drawn


def traverse(
    model: Model,
    base: Tensor | None = None,
    columns: int = 9,
    limit: float = 2.0,
    change_over: Tensor | None = None,
    seed: int = 0,
) -> Traversal:
    """Traverse every latent from ``-limit`` to ``limit``.

    Args:
        model: what draws.
        base: ``[n]``, the code that is varied; None: one that depends on ``seed`` only, ``change_over`` too.
        columns: values per latent.
        limit: largest value.
        change_over: ``[K, n]`` more base codes, over which ``change`` is averaged too.
        seed: see ``base``.

    Returns:
        A :class:`Traversal` on the model's device.
    """
    if base is None:
        base, *others = model.sample(1 + CODES_FOR_CHANGE, seed, "traversal")
        change_over = torch.stack(others)
    base = base.to(model.device)
    batch_size = min(64, max(1, PIXELS_AT_ONCE // model.resolution**2))
    values = torch.linspace(-limit, limit, columns, device=base.device)

    def along_all(code: Tensor, values: Tensor) -> Tensor:
        latents = code.repeat(model.num_latents, len(values), 1)
        index = torch.arange(model.num_latents, device=base.device)
        latents[index, :, index] = values
        parts = latents.flatten(0, 1).split(batch_size)
        return torch.cat([model.generate(part) for part in parts]).unflatten(0, (model.num_latents, len(values)))

    images = along_all(base, values)
    ends_and_middle = [0, columns // 2, columns - 1]  # as many images as tell a circle of hues from no change
    codes = [] if change_over is None else list(change_over.to(model.device))
    changes = [images[:, ends_and_middle], *(along_all(code, values[ends_and_middle]) for code in codes)]
    base_images, masks = model.generate(base[None], return_masks=True)
    change = torch.stack([_path_length(each) for each in changes]).mean(0)
    return Traversal(values, images, base_images[0], masks[0] if model.has_masks else None, change)


def _path_length(images: Tensor) -> Tensor:
    """``[n, columns, C, H, W] -> [n]``."""
    return images.diff(dim=1).abs().mean(dim=(2, 3, 4)).sum(1)

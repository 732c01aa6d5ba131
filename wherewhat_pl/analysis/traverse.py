"""One latent at a time from low to high: what it changes, how much, and under which mask."""

from __future__ import annotations

from collections.abc import Sequence

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
    limit: float | None = None,
    change_over: Tensor | None = None,
    seed: int = 0,
) -> Traversal:
    """Traverse every latent over its range.

    Args:
        model: what draws, and says which ranges its latents have, -2 to 2 if it was not told.
        base: ``[n]``, the code that is varied; None: one that depends on ``seed`` only, ``change_over`` too.
        columns: values per latent.
        limit: from ``-limit`` to ``limit`` in place of the latents' ranges.
        change_over: ``[K, n]`` more base codes, over which ``change`` is averaged too.
        seed: see ``base``.

    Returns:
        A :class:`Traversal` on the model's device.
    """
    if base is None:
        base, *others = base_codes(model, seed)
        change_over = torch.stack(others)
    base, latents = base.to(model.device), list(range(model.num_latents))
    values = values_of(model, latents, columns, limit)
    images = along(model, base, latents, values)
    ends_and_middle = [0, columns // 2, columns - 1]  # as many images as tell a circle of hues from no change
    codes = [] if change_over is None else list(change_over.to(model.device))
    more = (along(model, code, latents, values[:, ends_and_middle]) for code in codes)
    change = torch.stack([_path_length(each) for each in (images[:, ends_and_middle], *more)]).mean(0)
    base_images, masks = model.generate(base[None], return_masks=True)
    return Traversal(values, images, base_images[0], masks[0] if model.has_masks else None, change, model.names)


def base_codes(model: Model, seed: int) -> Tensor:
    """The code that is varied, and those over which the change is averaged too: ``[1 + CODES_FOR_CHANGE, n]``."""
    return model.sample(1 + CODES_FOR_CHANGE, seed, "traversal")


def values_of(model: Model, latents: Sequence[int], columns: int, limit: float | None = None) -> Tensor:
    """What latents are set to, ``[k, columns]``: over their own ranges, or from ``-limit`` to ``limit``."""
    rows = []
    for latent in (model.latents[position] for position in latents):
        low, high = (latent.low, latent.high) if limit is None else (-limit, limit)
        rows.append(torch.linspace(*((low, high) if latent.sign > 0 else (high, low)), columns, device=model.device))
    return torch.stack(rows)


def along(model: Model, base: Tensor, latents: Sequence[int], values: Tensor) -> Tensor:
    """Images with one latent set at a time.

    Args:
        model: what draws.
        base: ``[n]``, what the other latents are fixed at.
        latents: k positions.
        values: ``[k, columns]``, what each is set to.

    Returns:
        ``[k, columns, C, H, W]``.
    """
    codes = codes_along(base.to(model.device), latents, values).flatten(0, 1)
    return torch.cat([model.generate(part) for part in codes.split(batch_of(model))]).unflatten(0, values.shape)


def along_with_masks(model: Model, base: Tensor, latents: Sequence[int], values: Tensor) -> tuple[Tensor, Tensor]:
    """Images as :func:`along` gives them, and each latent's own mask as it is there, ``[k, columns, H, W]``."""
    images, masks = [], []
    for row, latent in enumerate(latents):
        for part in codes_along(base.to(model.device), [latent], values[row : row + 1])[0].split(batch_of(model)):
            drawn, all_masks = model.generate(part, return_masks=True)
            images.append(drawn)
            masks.append(all_masks[:, latent])
    return torch.cat(images).unflatten(0, values.shape), torch.cat(masks).unflatten(0, values.shape)


def codes_along(base: Tensor, latents: Sequence[int], values: Tensor) -> Tensor:
    """The codes of :func:`along`, ``[k, columns, n]``."""
    codes = base.repeat(*values.shape, 1)
    for row, latent in enumerate(latents):
        codes[row, :, latent] = values[row]
    return codes


def batch_of(model: Model) -> int:
    """Images that are drawn at once."""
    return min(64, max(1, PIXELS_AT_ONCE // model.resolution**2))


def _path_length(images: Tensor) -> Tensor:
    """``[n, columns, C, H, W] -> [n]``."""
    return images.diff(dim=1).abs().mean(dim=(2, 3, 4)).sum(1)

"""Codes of images: what the recognizer says first, then what the perceptual distance makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from data_modules.base import to_float
from data_modules.photographs.decoding import CENTER_CROP, BadImage, decode
from data_modules.photographs.sources import open_source
from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.analysis.outputs import progress_bar
from wherewhat_pl.errors import ConfigError, ModelError
from wherewhat_pl.metrics.functional.tpl import shrink_for_distance
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.model import Model

STARTS = 256  #: random codes, the nearest image of which is another start than the recognizer's
PIXELS = 0.1  #: weight of the mean squared difference of pixels beside the perceptual distance
REGULARITY = 1.0  #: weight of what neighbours in noise maps have in common


def read_images(words: str, model: Model, key: str) -> tuple[Tensor, list[str]]:
    """Images that a user named, as the model draws them.

    Args:
        words: image files with commas between them, or a folder, zip or parquet file of images.
        model: whose size and channels they get; the largest square in their centre is taken.
        key: the setting to name in errors.

    Returns:
        ``[N, C, H, W]`` in [-1, 1], and their names.

    Raises:
        ConfigError: one is not there, or no image.
        DataError: a folder without images.
    """
    files: list[tuple[str, Callable[[], bytes]]] = []
    for path in map(Path, filter(None, words.split(","))):
        if path.is_file() and path.suffix not in (".zip", ".parquet"):
            files.append((path.name, path.read_bytes))
        else:
            source = open_source(path, key)
            reader = source.reader()
            files += [(name, lambda k=k, reader=reader: reader(k)) for k, name in enumerate(source.names)]  # type: ignore[misc]
    if not files:
        raise ConfigError(f"{key}: names no image")
    images = []
    for name, read in files:
        try:
            pixels, _ = decode(read(), CENTER_CROP, model.resolution)
        except BadImage as error:
            raise ConfigError(f"{key}={name}: {error}") from None
        images.append(to_float(torch.from_numpy(pixels.copy())))
    stacked = torch.stack(images)
    return (stacked if model.channels == 3 else stacked.mean(1, keepdim=True)), [name for name, _ in files]


def project(
    model: Model,
    images: Tensor,
    distance: PerceptualDistance,
    steps: int = 100,
    learning_rate: float = 0.1,
    batch: int = 16,
    seed: int = 0,
    noise: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Codes, and noise maps, whose images look like given ones.

    Each image starts from the better of what the recognizer says and the nearest of some random images, with the
    model's own noise; then Adam follows the perceptual distance, with a falling rate, and the best on the way is kept.

    Args:
        model: of our own networks; a recognizer helps, but need not be there.
        images: ``[N, C, H, W]`` in [-1, 1], of the model's size.
        distance: on the model's device.
        steps: of the optimization; 0: the start.
        learning_rate: of Adam, at first.
        batch: images at a time.
        seed: of the random starts.
        noise: look for noise maps too, where the model has any, kept like noise as Karras et al. 2020 do (appendix D).
        progress: called with steps done and steps to do.

    Returns:
        Codes ``[N, n]``, distances ``[N]``, and noise maps ``[N, 1, h, h]`` by name, none if none were looked for.

    Raises:
        ModelError: the model is a decoder of others, through which nothing can be differentiated.
    """
    if getattr(model, "generator", None) is None:
        raise ModelError("only a model made of this framework's own networks can be projected to, not a decoder")
    parts = images.to(model.device).split(batch)
    random = model.sample(STARTS, seed, "project")
    drawn = torch.cat([model.generate(part) for part in random.split(batch)])
    own = model.noise_maps if noise and steps else {}
    found = []
    for number, part in enumerate(parts):
        offset, total = number * steps, len(parts) * steps
        with torch.no_grad():
            target = distance.features(shrink_for_distance(part))
        starts = [random[torch.cdist(part.flatten(1), drawn.flatten(1)).argmin(1)]]
        if model.has_recognizer:
            starts.append(model.encode(part))
        with torch.no_grad():
            far = torch.stack([_distances(model, start, {}, target, distance)[0] for start in starts])
        nearest = far.min(0).values
        code = torch.stack(starts)[far.argmin(0), torch.arange(len(part), device=part.device)].requires_grad_(True)
        maps = {name: fixed.repeat(len(part), 1, 1, 1).requires_grad_(True) for name, fixed in own.items()}
        best = [tensor.detach().clone() for tensor in (code, *maps.values())]
        optimizer = torch.optim.Adam([code, *maps.values()], learning_rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
        for step in range(steps):
            with torch.enable_grad():
                away, shown = _distances(model, code, maps, target, distance)
                loss = away.sum() + PIXELS * (shown - part).square().mean((1, 2, 3)).sum()
                loss = loss + REGULARITY * sum(regularity(each).sum() for each in maps.values())
            _keep_better(best, nearest, (code, *maps.values()), away)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            _standardize(maps.values())
            progress(offset + step + 1, total)
        with torch.no_grad():
            last = _distances(model, code, maps, target, distance)[0]
        _keep_better(best, nearest, (code, *maps.values()), last)
        found.append((best, nearest))
    codes, *noises = (torch.cat(tensors) for tensors in zip(*(best for best, _ in found), strict=True))
    return codes, torch.cat([away for _, away in found]), dict(zip(own, noises, strict=True))


def regularity(maps: Tensor) -> Tensor:
    """How much neighbours in noise maps have in common: ``[B, 1, h, h] -> [B]``, near 0 for noise.

    Squared autocorrelation one pixel to the right and down, summed over the map and its means over 2 x 2, 4 x 4...
    pixels down to 8 (Karras et al. 2020, appendix D): without it, maps would come to show the image.
    """
    total = maps.new_zeros(len(maps))
    while True:
        for dim in (2, 3):
            total = total + (maps * maps.roll(1, dim)).mean((1, 2, 3)).square()
        if maps.shape[-1] <= 8:
            return total
        maps = F.avg_pool2d(maps, 2)


def _distances(
    model: Model, codes: Tensor, maps: Mapping[str, Tensor], target: Tensor, distance: PerceptualDistance
) -> tuple[Tensor, Tensor]:
    buffers = {f"{name}.noise": noise for name, noise in maps.items()}
    shown = functional_call(model.generator, buffers, (codes,)).float()
    return distance.between(distance.features(shrink_for_distance(shown)), target), shown


@torch.no_grad()
def _keep_better(best: Sequence[Tensor], nearest: Tensor, tensors: Sequence[Tensor], away: Tensor) -> None:
    better = away < nearest
    for kept, tensor in zip(best, tensors, strict=True):
        kept[better] = tensor[better]
    nearest[better] = away[better]


@torch.no_grad()
def _standardize(maps: Iterable[Tensor]) -> None:
    for noise in maps:
        noise -= noise.mean((1, 2, 3), keepdim=True)
        noise *= noise.square().mean((1, 2, 3), keepdim=True).add(1e-8).rsqrt()


def codes_of_images(
    model: Model,
    images: Tensor,
    names: list[str],
    distance: str,
    steps: int,
    noise: bool = True,
    batch: int = 16,
    seed: int = 0,
) -> Codes:
    """Images projected by :func:`project`, with a bar."""
    with progress_bar("project", "step") as show:
        measure = PerceptualDistance(distance).to(model.device)
        codes, distances, maps = project(
            model, images, measure, steps, batch=batch, seed=seed, noise=noise, progress=show
        )
    return Codes(codes, names, distances, maps)


def read_codes_or_images(words: str, model: Model, key: str) -> Codes | tuple[Tensor, list[str]]:
    """What a user named: a file of codes, or else images, as :func:`read_images` gives them."""
    return Codes.load(Path(words), model) if words.endswith(".npz") else read_images(words, model, key)

"""Codes of images: what the recognizer says first, then what the perceptual distance makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from data_modules.base import to_float
from data_modules.photographs.decoding import CENTER_CROP, BadImage, decode
from data_modules.photographs.sources import open_source
from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.analysis.outputs import warnings_as_lines
from wherewhat_pl.errors import ConfigError, ModelError
from wherewhat_pl.metrics.functional.tpl import shrink_for_distance
from wherewhat_pl.metrics.perceptual import PerceptualDistance
from wherewhat_pl.model import Model

STARTS = 256  #: random codes, the nearest image of which is another start than the recognizer's
PIXELS = 0.1  #: weight of the mean squared difference of pixels beside the perceptual distance


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
    parts = [Path(word) for word in words.split(",") if word]
    files: list[tuple[str, Callable[[], bytes]]] = []
    for path in parts:
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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Tensor, Tensor]:
    """Codes whose images look like given ones.

    Each image starts from the better of what the recognizer says and the nearest of some random images; then Adam
    follows the perceptual distance, with a falling rate, and the best code on the way is kept.

    Args:
        model: of our own networks; a recognizer helps, but need not be there.
        images: ``[N, C, H, W]`` in [-1, 1], of the model's size.
        distance: on the model's device.
        steps: of the optimization; 0: the start.
        learning_rate: of Adam, at first.
        batch: images at a time.
        seed: of the random starts.
        progress: called with steps done and steps to do.

    Returns:
        Codes ``[N, n]`` and distances ``[N]``.

    Raises:
        ModelError: the model is a decoder of others, through which nothing can be differentiated.
    """
    if getattr(model, "generator", None) is None:
        raise ModelError("only a model made of this framework's own networks can be projected to, not a decoder")
    parts = images.to(model.device).split(batch)
    random = model.sample(STARTS, seed, "project")
    drawn = torch.cat([model.generate(part) for part in random.split(batch)])
    found = []
    for number, part in enumerate(parts):
        offset, total = number * steps, len(parts) * steps
        with torch.no_grad():
            target = distance.features(shrink_for_distance(part))
        starts = [random[torch.cdist(part.flatten(1), drawn.flatten(1)).argmin(1)]]
        if model.has_recognizer:
            starts.append(model.encode(part))
        with torch.no_grad():
            far = torch.stack([_distances(model, start, target, distance)[0] for start in starts])
        best = torch.stack(starts)[far.argmin(0), torch.arange(len(part), device=part.device)]
        nearest = far.min(0).values
        code = best.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([code], learning_rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
        for step in range(steps):
            with torch.enable_grad():
                away, shown = _distances(model, code, target, distance)
                loss = away.sum() + PIXELS * (shown - part).square().mean((1, 2, 3)).sum()
            _keep_better(best, nearest, code, away)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress(offset + step + 1, total)
        with torch.no_grad():
            _keep_better(best, nearest, code, _distances(model, code, target, distance)[0])
        found.append((best, nearest))
    return torch.cat([code for code, _ in found]), torch.cat([away for _, away in found])


def _distances(model: Model, codes: Tensor, target: Tensor, distance: PerceptualDistance) -> tuple[Tensor, Tensor]:
    shown = model.generator(codes).float()
    return distance.between(distance.features(shrink_for_distance(shown)), target), shown


@torch.no_grad()
def _keep_better(best: Tensor, nearest: Tensor, code: Tensor, away: Tensor) -> None:
    better = away < nearest
    best[better], nearest[better] = code[better], away[better]


def codes_of_images(
    model: Model, images: Tensor, names: list[str], distance: str, steps: int, batch: int = 16, seed: int = 0
) -> Codes:
    """Images projected by :func:`project`, with a bar."""
    with tqdm(desc="project", unit="step", leave=False, dynamic_ncols=True) as bar, warnings_as_lines():

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        measure = PerceptualDistance(distance).to(model.device)
        codes, distances = project(model, images, measure, steps, batch=batch, seed=seed, progress=show)
    return Codes(codes, names, distances)


def codes_of(words: str, model: Model, key: str, distance: str, steps: int) -> tuple[Codes, Tensor | None]:
    """Codes of what a user named, a file of codes, or images, which are projected; and the images, if it was these."""
    if words.endswith(".npz"):
        return Codes.load(Path(words), model.num_latents), None
    images, names = read_images(words, model, key)
    return codes_of_images(model, images, names, distance, steps), images

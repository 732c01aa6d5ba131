"""The files of ``traverse``: a picture for each base code, and one animation of all."""

from __future__ import annotations

from pathlib import Path

import torch
from tqdm import tqdm

from wherewhat_pl.analysis.codes import Codes
from wherewhat_pl.analysis.outputs import make_room
from wherewhat_pl.analysis.settings import TraverseSettings
from wherewhat_pl.analysis.traverse import along_with_masks, base_codes, traverse, values_of
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.results import newest_per_metric, read_results
from wherewhat_pl.model import Model
from wherewhat_pl.pictures.animation import traversal_frames
from wherewhat_pl.pictures.traversal import Traversal, traversal_picture
from wherewhat_pl.pictures.video import FORMATS, NO_FFMPEG, find_ffmpeg, save_animation
from wherewhat_pl.run.files import replacing


def traverse_to_files(model: Model, folder: Path, settings: TraverseSettings, results: Path | None) -> list[Path]:
    """Draw, write ``seed0.png`` and so on and ``traversal.gif`` and so on, and print where.

    Args:
        model: what draws.
        folder: where to; made.
        settings: what the command was told.
        results: where TPL may stand, of the same model.

    Raises:
        ConfigError: a file is there, the folder cannot be written to, or MP4 was asked for and there is no ffmpeg.
    """
    formats = settings.formats or [name for name in FORMATS if name != "mp4" or find_ffmpeg()]
    if "mp4" in formats and find_ffmpeg() is None:
        raise ConfigError(f"formats=mp4: {NO_FFMPEG}")
    if settings.codes is None:
        known = [(model, base_codes(model, settings.seed + k)) for k in range(settings.seeds)]
        pictures = [folder / f"seed{settings.seed + k}.png" for k in range(settings.seeds)]
    else:
        others = base_codes(model, settings.seed)[1:]
        given = Codes.load(Path(settings.codes), model)
        chosen = [given[k : k + 1] for k in range(min(settings.seeds, len(given.codes)))]
        known = [(one.on(model), torch.cat([one.codes, others])) for one in chosen]
        pictures = [folder / f"code{k}.png" for k in range(len(known))]
    animations = {name: folder / f"traversal.{name}" for name in formats}
    make_room(folder, [*pictures, *animations.values()], settings.force)

    traversals = [traverse(at, base[0], settings.columns, settings.limit, change_over=base[1:]) for at, base in known]
    order, why = latents_in_order(model, traversals, results)
    latents = order[: settings.top]
    print(f"latents  {', '.join(model.names[latent] for latent in latents)} (in order of {why})")
    for path, traversal in zip(pictures, traversals, strict=True):
        with replacing(path) as temporary:
            traversal_picture(traversal, latents).save(temporary, format="PNG")
        print(f"picture  {path}")

    values = values_of(model, latents, settings.frames, settings.limit)
    drawn = [along_with_masks(at, base[0], latents, values) for at, base in tqdm(known, desc="animation", leave=False)]
    images, masks = (torch.stack(parts, dim=1) for parts in zip(*drawn, strict=True))
    names = [model.names[latent] for latent in latents]
    frames = traversal_frames(images, masks if model.has_masks else None, names)
    for name, path in animations.items():
        with replacing(path) as temporary:
            save_animation(frames, temporary, name)
        print(f"{name:<9}{path}")
    if settings.formats is None and "mp4" not in formats:
        print(f"mp4      left out: {NO_FFMPEG}")
    return [*pictures, *animations.values()]


def latents_in_order(model: Model, traversals: list[Traversal], results: Path | None) -> tuple[list[int], str]:
    """Positions of all latents, the one that does most first, and by what that was told."""
    if (measured := order_by_tpl(model, results)) is not None:
        return measured
    change = torch.stack([traversal.change for traversal in traversals]).mean(0)
    return change.argsort(descending=True).tolist(), "change per pixel"


def order_by_tpl(model: Model, results: Path | None) -> tuple[list[int], str] | None:
    """The same where TPL was measured on this checkpoint; None where it was not."""
    rows = newest_per_metric(read_results(results) if results is not None else [])
    for row in sorted((row for name, row in rows.items() if name.startswith("tpl_")), key=lambda row: row["metric"]):
        lengths, seen = row["details"]["mean"], row["images_seen"]
        if len(lengths) == model.num_latents and seen == model.about.get("images_seen"):
            order = sorted(range(len(lengths)), key=lambda latent: -(lengths[latent] or 0.0))
            return order, f"{row['metric']}, {row['distance']}"
    return None

"""Move one latent at a time: pictures and an animation, masks beside the images."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhat_pl.analysis.settings import ModelSettings
from wherewhat_pl.errors import ConfigError, suggestion

EXAMPLE = "run=runs/shapes3d_quick/seed0 top=6 seeds=2"


@dataclass(frozen=True)
class Settings(ModelSettings):
    top: int | None = None  # so many latents, those with the longest TPL if that was measured, else that change most
    seeds: int = 1  # base codes, a picture each, side by side in the animation
    seed: int = 0  # the first of them
    codes: str | None = None  # a file that `generate`, `project` or `edit` wrote: its first in place of the seeds
    columns: int = 9  # values per latent in the pictures
    limit: float | None = None  # from -limit to limit; null: the ranges in latents.yaml, or from -2 to 2
    frames: int = 24  # of the animation, from one end to the other
    formats: list[str] | None = None  # of the animation: gif, webp, mp4; null: all, mp4 where there is ffmpeg

    def __post_init__(self) -> None:
        for key, least in (("top", 1), ("seeds", 1), ("columns", 2), ("frames", 2)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ConfigError(f"{key}={value}: must be at least {least}")
        if self.limit is not None and not 0 < self.limit <= 100:
            raise ConfigError(f"limit={self.limit}: must be above 0 and at most 100")


def run(settings: Settings) -> int:
    from wherewhat_pl.analysis.moving import traverse_to_files
    from wherewhat_pl.analysis.outputs import output_folder
    from wherewhat_pl.interop.load import is_file, load
    from wherewhat_pl.pictures.video import FORMATS
    from wherewhat_pl.plugins import load_plugins
    from wherewhat_pl.run.folder import RunDir

    for name in settings.formats or []:
        if name not in FORMATS:
            raise ConfigError(f"formats={name}: no such format{suggestion(name, FORMATS)}")
    load_plugins(settings.plugins)
    model = load(settings.run, device=settings.device)
    results = None if is_file(settings.run) else RunDir(settings.run).eval_file
    traverse_to_files(model, output_folder(settings.run, settings.out, "traversed"), settings, results)
    return 0

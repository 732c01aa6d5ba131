"""Make a run's folder of a published TensorFlow 1 checkpoint, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from wherewhat_pl.settings import Source

EXAMPLE = "pkl=network-snapshot-025000.pkl run=runs/imported/celeba"


@dataclass(frozen=True)
class TrainedOn:
    """What the networks were trained on, for metrics that need it; it is not in the file."""

    name: str | None = None  # shapes3d | dsprites | celeba | ffhq | images; null: images, or dsprites if grey
    source: Source | None = None  # auto, files, official...; null: files for images, else auto
    root: str | None = None  # folder of the official files, or of the photographs; null: data/images, or data
    cache: str | None = None  # folder for prepared photographs; null: data/prepared


@dataclass(frozen=True)
class Settings:
    pkl: str = MISSING  # the pickle: (G, D, I, Gs), (G, D, I, Gs, Is) or (G, D, Gs); nothing in it is run
    run: str = MISSING  # folder of the run to be made
    data: TrainedOn = field(default_factory=TrainedOn)
    force: bool = False  # write over an imported run that is there


def run(settings: Settings) -> int:
    import os
    from pathlib import Path

    from wherewhat_pl.interop.imported_run import import_run
    from wherewhat_pl.networks.module_lists import count_latents

    said = {key: value for key, value in vars(settings.data).items() if value is not None}
    made = import_run(Path(os.path.expanduser(settings.pkl)), Path(settings.run), said, settings.force)
    data, model = made.config.data, made.config.model
    recognizer = "without a recognizer" if model.loss == "gan" else "with a recognizer"
    latents = count_latents(model.generator.modules)
    print(f"run      {made.run.path}")
    print(f"model    {data.resolution} px, {made.channels} channels, {latents} latents, {recognizer}")
    guess = "" if settings.data.name else ", a guess; where that is wrong, import with data.name=... data.root=..."
    print(f"data     {data.name}, from {data.root}{guess}")
    if made.unknown:
        print(f"note     not used, unknown here: {', '.join(made.unknown)}")
    return 0

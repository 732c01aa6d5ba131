"""Find the codes whose images look like given ones."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from wherewhat_pl.analysis.settings import ModelSettings
from wherewhat_pl.errors import ConfigError, require_at_least, suggestion
from wherewhat_pl.evaluation.settings import DISTANCES

EXAMPLE = "run=runs/celeba/seed0 images=a.png,b.png"


@dataclass(frozen=True)
class Settings(ModelSettings):
    images: str = MISSING  # image files with commas between them, or a folder, zip or parquet file of images
    steps: int = 60  # of the optimization; 0: what the recognizer says, or the nearest of some random images
    noise: bool = True  # look for noise maps too, if the generator has any; false: codes only
    batch: int = 16  # images at once
    seed: int = 0  # of the random images
    distance: str = "stlpips_vgg"  # perceptual distance

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise ConfigError(f"distance={self.distance}: no such distance{suggestion(self.distance, DISTANCES)}")
        require_at_least(self, steps=0, batch=1)


def run(settings: Settings) -> int:
    import torch

    from wherewhat_pl.analysis.outputs import make_room, output_folder
    from wherewhat_pl.analysis.project import codes_of_images, read_images
    from wherewhat_pl.interop.load import load
    from wherewhat_pl.pictures.pixels import to_uint8
    from wherewhat_pl.pictures.sheet import sheet
    from wherewhat_pl.plugins import load_plugins
    from wherewhat_pl.run.files import replacing

    load_plugins(settings.plugins)
    model = load(settings.run, device=settings.device)
    images, names = read_images(settings.images, model, "images")
    folder = output_folder(settings.run, settings.out, "projected")
    files = [folder / "codes.npz", folder / "sheet.png"]
    make_room(folder, files, settings.force)
    found = codes_of_images(
        model, images, names, settings.distance, settings.steps, settings.noise, settings.batch, settings.seed
    )
    found.save(files[0])
    assert found.distances is not None
    for name, number in zip(names, found.distances.tolist(), strict=True):
        print(f"{number:.4f}   {name}")
    first = found[:64]
    shown = torch.stack([to_uint8(images[:64]), to_uint8(first.on(model).generate(first.codes))], dim=1).flatten(0, 1)
    with replacing(files[1]) as temporary:
        sheet(shown, 2, top=["image", "found"]).save(temporary, format="PNG")
    print(f"mean {settings.distance} {float(found.distances.mean()):.4f}\ncodes    {files[0]}\nsheet    {files[1]}")
    return 0

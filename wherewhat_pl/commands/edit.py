"""Put attributes of one image onto others, by their codes."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from wherewhat_pl.analysis.settings import ModelSettings
from wherewhat_pl.errors import ConfigError

EXAMPLE = "run=runs/celeba/seed0 face=a.png,b.png from=c.png:azimuth+smile"
ROWS = 64  #: of the grid, at most; the codes of all are written


@dataclass(frozen=True)
class Settings(ModelSettings):
    face: str = MISSING  # images that are changed, or a file of codes that `generate`, `project` or `edit` wrote
    from_: str = MISSING  # IMAGE:LATENTS, an image, or a file of codes whose first counts, and names with + between
    under_mask: bool = False  # change pixels only under the masks of these latents
    steps: int = 60  # to find the codes of images, see `project`
    noise: bool = True  # look for noise maps of images too, see `project`
    distance: str = "stlpips_vgg"  # perceptual distance, see `project`


def run(settings: Settings) -> int:
    import torch

    from wherewhat_pl.analysis.codes import Codes
    from wherewhat_pl.analysis.edit import draw_transfer, transfer
    from wherewhat_pl.analysis.outputs import make_room, output_folder
    from wherewhat_pl.analysis.project import codes_of_images, read_codes_or_images
    from wherewhat_pl.interop.load import load
    from wherewhat_pl.pictures.pixels import to_uint8
    from wherewhat_pl.pictures.sheet import sheet
    from wherewhat_pl.plugins import load_plugins
    from wherewhat_pl.run.files import replacing
    from wherewhat_pl.run.latents import find_latents

    load_plugins(settings.plugins)
    model = load(settings.run, device=settings.device)
    giver, colon, words = settings.from_.rpartition(":")
    if not colon or not giver or not words:
        raise ConfigError(f"from={settings.from_}: say which latents of which image, from=c.png:3+9")
    latents = find_latents(words.split("+"), model.latents, "from")
    sources = read_codes_or_images(giver, model, "from"), read_codes_or_images(settings.face, model, "face")
    folder = output_folder(settings.run, settings.out, "edited")
    files = [folder / "edited.png", folder / "codes.npz"]
    make_room(folder, files, settings.force)
    given, faces = (
        each
        if isinstance(each, Codes)
        else codes_of_images(model, *each, settings.distance, settings.steps, settings.noise)
        for each in sources
    )
    given, shown_faces = given[:1], faces[:ROWS]
    edited = transfer(faces.codes, given.codes[0], latents)
    before, after = shown_faces.codes, edited[:ROWS]
    columns = {} if isinstance(sources[1], Codes) else {"face": sources[1][0][:ROWS].to(model.device)}
    columns["as found"] = shown_faces.on(model).generate(before)
    columns["from"] = given.on(model).generate(given.codes).expand(len(before), -1, -1, -1)
    columns["edited"] = draw_transfer(shown_faces.on(model), before, after, latents, settings.under_mask)
    shown = to_uint8(torch.stack(list(columns.values()), dim=1).flatten(0, 1))
    title = "+".join(model.names[latent] for latent in latents) + " under the masks only" * settings.under_mask
    with replacing(files[0]) as temporary:
        sheet(shown, len(columns), top=list(columns), title=title).save(temporary, format="PNG")
    Codes(edited, faces.names, noise=faces.noise).save(files[1])
    print(f"grid     {files[0]}\ncodes    {files[1]}")
    return 0

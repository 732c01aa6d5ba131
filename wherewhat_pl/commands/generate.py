"""Draw random images; with attrs, a data set with the latents' values as labels."""

from __future__ import annotations

from dataclasses import dataclass, field

from wherewhat_pl.analysis.settings import ModelSettings
from wherewhat_pl.errors import ConfigError

EXAMPLE = "run=runs/shapes3d_quick/seed0 n=1000 attrs=3,9"
MOST = 10_000_000  #: images, whose codes are kept in memory


@dataclass(frozen=True)
class Settings(ModelSettings):
    n: int = 64  # images
    seed: int = 0  # of the latents
    psi: float = 1.0  # factor on the latents: nearer to 0, images are more usual and more alike
    attrs: list[str] = field(default_factory=list)  # latents, by position or name, whose values become labels
    limit: float | None = None  # latents are drawn between -limit and limit; null: 2 with attrs, else no limit

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST:
            raise ConfigError(f"n={self.n}: must be at least 1 and at most {MOST:,}")
        if not 0 <= self.psi <= 10:
            raise ConfigError(f"psi={self.psi}: must be between 0 and 10")
        if self.limit is not None and not 0 < self.limit <= 10:
            raise ConfigError(f"limit={self.limit}: must be above 0 and at most 10")


def run(settings: Settings) -> int:
    from wherewhat_pl.analysis.generate import draw_latents, outputs, write_images
    from wherewhat_pl.analysis.outputs import make_room, output_folder
    from wherewhat_pl.interop.load import load
    from wherewhat_pl.plugins import load_plugins
    from wherewhat_pl.run.latents import find_latents

    load_plugins(settings.plugins)
    model = load(settings.run, device=settings.device)
    columns = {model.names[k]: k for k in find_latents(settings.attrs, model.latents, "attrs")}
    if "image" in columns:
        raise ConfigError("attrs=image: is the name of the column of images; call the latent something else")
    folder = output_folder(settings.run, settings.out, "generated")
    make_room(folder, outputs(folder, bool(columns)), settings.force)
    limit = 2.0 if settings.limit is None and columns else settings.limit
    written = write_images(model, draw_latents(model, settings.n, settings.seed, settings.psi, limit), folder, columns)
    for path in written:
        print(f"{path.stem:<9}{path}")
    if columns and not any(path.suffix == ".parquet" for path in written):
        print("parquet  left out: it needs the optional extra [parquet]; run 'pip install \"wherewhat-pl[parquet]\"'")
    return 0

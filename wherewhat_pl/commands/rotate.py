"""Turn two latents against their axes, or rank all pairs: a disentangled pair's path is shortest along them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from omegaconf import MISSING

from wherewhat_pl.analysis.settings import ModelSettings
from wherewhat_pl.errors import ConfigError, require_at_least, suggestion
from wherewhat_pl.evaluation.settings import DISTANCES

EXAMPLE = "run=runs/shapes3d_quick/seed0 dims=3,9"


@dataclass(frozen=True)
class Settings(ModelSettings):
    dims: str = MISSING  # two latents, by position or name; or all, to rank every pair
    grid: int | None = None  # points per side of the lattice; null: 14, as published, 6 with dims=all
    bound: float = 4.0  # half the side of the lattice
    step: int | None = None  # degrees between angles, a divisor of 90; null: 3, as published, 15 with dims=all
    codes: int = 1  # random codes for the other latents, over which curves are averaged
    seed: int = 0  # of the first of them
    distance: str = "stlpips_vgg"  # perceptual distance

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise ConfigError(f"distance={self.distance}: no such distance{suggestion(self.distance, DISTANCES)}")
        require_at_least(self, grid=2, codes=1)
        if self.step is not None and (self.step < 1 or 90 % self.step):
            raise ConfigError(f"step={self.step}: must divide 90")
        if not 0 < self.bound <= 100:
            raise ConfigError(f"bound={self.bound}: must be above 0 and at most 100")


def run(settings: Settings) -> int:
    from wherewhat_pl.analysis import rotate
    from wherewhat_pl.analysis.outputs import make_room, output_folder
    from wherewhat_pl.interop.load import load
    from wherewhat_pl.plugins import load_plugins
    from wherewhat_pl.run.latents import find_latents

    words, everything = settings.dims.split(","), settings.dims == "all"
    if not everything and len(words) != 2:
        raise ConfigError(f"dims={settings.dims}: name two latents, dims=3,9, or rank all pairs by dims=all")
    load_plugins(settings.plugins)
    model = load(settings.run, device=settings.device)
    grid, step = settings.grid or (6 if everything else 14), settings.step or (15 if everything else 3)
    lattice = rotate.Lattice(grid, settings.bound, step, settings.codes, settings.seed)
    folder = output_folder(settings.run, settings.out, "rotated")
    if everything:
        files = [folder / "pairs.csv", folder / "pairs.png"]
        make_room(folder, files, settings.force)
        if model.num_latents < 2:
            raise ConfigError("dims=all: this model has one latent, so there is no pair")
        print(f"all pairs on {grid} x {grid} points, every {step} degrees; dims=i,j looks closer at one (14 x 14, 3)")
        pairs = list(combinations(range(model.num_latents), 2))
        order = rotate.ranked(rotate.rotate(model, pairs, lattice, settings.distance))
        rotate.write_ranking(model, order, files)
        print(rotate.table(model, order))
    else:
        i, j = find_latents(words, model.latents, "dims")
        files = [folder / f"latents-{i}-{j}-{what}.png" for what in ("curve", "grid")]
        make_room(folder, files, settings.force)
        (result,) = rotate.rotate(model, [(i, j)], lattice, settings.distance)
        rotate.write_pair(model, result, lattice, files)
        print(rotate.in_words(model, result))
    for name, path in zip(("table", "curves") if everything else ("curve", "grid"), files, strict=True):
        print(f"{name:<9}{path}")
    return 0

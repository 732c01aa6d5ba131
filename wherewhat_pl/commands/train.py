"""Train, or continue, an experiment."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from wherewhat_pl.config import load_config, to_yaml
from wherewhat_pl.settings import ExperimentConfig

EXAMPLE = "exp=shapes3d_quick model.ps.weight=0.1"


@dataclass(frozen=True)
class Settings:
    exp: str = MISSING  # name of a file in experiments/, or the path of one, ending in .yaml
    print_config: bool = False  # print every setting, resolved, and stop
    dry_run: bool = False  # build everything, print sizes and costs, and stop
    overrides: list[str] = field(default_factory=list, metadata={"settings_of": ExperimentConfig})


def run(settings: Settings) -> int:
    config = load_config(settings.exp, settings.overrides)
    if settings.print_config:
        print(to_yaml(config), end="")
        return 0
    if settings.dry_run:
        from wherewhat_pl.launch.dry_run import describe

        print(describe(config))
        return 0
    from wherewhat_pl.train import train

    return train(config, settings.overrides)

"""Register a sweep file with Weights & Biases, for agents."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.settings import WandbConfig

EXAMPLE = "file=experiments/sweeps/shapes3d_tpl.yaml"


@dataclass(frozen=True)
class Settings:
    file: str = MISSING  # in W&B's own format; see docs/sweeps.md
    project: str | None = None  # null: the file's, else wherewhat
    entity: str | None = None  # null: your own


def run(settings: Settings) -> int:
    from wherewhat_pl.launch.sweep_file import read_sweep

    sweep = read_sweep(settings.file)
    import wandb

    project, entity = (getattr(settings, key) or sweep.content.get(key) for key in ("project", "entity"))
    project = project or WandbConfig().project
    try:
        sweep_id = wandb.sweep(sweep.content, entity, project)
        api = wandb.Api()
    except wandb.errors.Error as error:
        raise ConfigError(
            f"sweep: Weights & Biases did not take it ({one_line(error)}); "
            f"'make sweep-local FILE={settings.file}' needs no account"
        ) from None
    entity = entity or api.settings["entity"] or api.default_entity
    print(f"agents   make agent SWEEP={entity}/{project}/{sweep_id}")
    return 0

"""Where everything of a run lives, and how a run is loaded again: ``<run.root>/<experiment>/<run.name>/``.

config.yaml      the resolved settings, with versions, git state and the data's source and fingerprint
checkpoints/     images-000064000.ckpt, ..., and last.ckpt, a link to the newest
metrics.jsonl    one row per logging interval, keyed by images_seen
eval.jsonl       what was measured, a row each
cost.jsonl       CPU and wall minutes, a row with each checkpoint
latents.yaml     what people call the latents, if they have named any
traversals/      pictures, named by images_seen
wandb/           what Weights & Biases keeps, and the id to resume under
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from wherewhat_pl.config import saved_config, to_dict
from wherewhat_pl.errors import CheckpointError, ConfigError, nearest, warn
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.files import flatten, read_rows, write_atomically
from wherewhat_pl.run.lock import run_lock
from wherewhat_pl.schema import read_file
from wherewhat_pl.settings import ExperimentConfig

# Settings that may change when a run is continued; all others make it another run.
CHANGEABLE = re.compile(
    r"plugins|trainer\.(?!batch_size|precision).*|run\..*|logger\..*|checkpoint\..*|pictures\..*|eval\..*|factors\..*|data\.(root|cache|max_bad)"
)


class RunDir:
    """The folder of one run.

    Args:
        path: ``<root>/<experiment>/<name>``; need not exist yet.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(os.path.expanduser(path))  # as a shell does: what is no user's home stays
        self.config_file = self.path / "config.yaml"
        self.metrics_file = self.path / "metrics.jsonl"
        self.eval_file = self.path / "eval.jsonl"
        self.cost_file = self.path / "cost.jsonl"
        self.latents_file = self.path / "latents.yaml"
        self.checkpoints = self.path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.pictures = self.path / "traversals"

    @classmethod
    def of(cls, config: ExperimentConfig) -> RunDir:
        """The folder that ``config`` names; ``run.name`` must be set."""
        assert config.run.name is not None
        return cls(Path(config.run.root) / config.experiment / config.run.name)

    def checkpoint_at(self, images_seen: int) -> Path:
        return self.checkpoints / f"images-{images_seen:09d}.ckpt"

    def picture_at(self, images_seen: int) -> Path:
        return self.pictures / f"images-{images_seen:09d}.png"

    def kept_checkpoints(self) -> list[Path]:
        """All checkpoints, newest first."""
        return sorted(self.checkpoints.glob("images-*.ckpt"), reverse=True)

    def images_seen(self) -> int:
        """By the name of the newest checkpoint, whole or not; by the newest row if checkpoints have been removed."""
        if kept := self.kept_checkpoints():
            return images_in_name(kept[0])
        rows = [*read_rows(self.metrics_file), *read_rows(self.eval_file)]
        return max((row["images_seen"] for row in rows if type(row.get("images_seen")) is int), default=0)

    def cost_at(self, images_seen: int) -> dict[str, float] | None:
        """``cpu_minutes`` and ``wall_minutes`` that it took to get there; None if that was not recorded."""
        for row in reversed(read_rows(self.cost_file)):
            minutes = {name: row.get(name) for name in ("cpu_minutes", "wall_minutes")}
            if row.get("images_seen") == images_seen and all(isinstance(m, int | float) for m in minutes.values()):
                return {name: float(value) for name, value in minutes.items()}
        return None

    def prepare(self, config: ExperimentConfig, provenance: dict[str, Any]) -> None:
        """Create the folder and its ``config.yaml``, or check that a run which is there is the same one.

        Raises:
            ConfigError: ``run.resume=never`` and there is a run, or it was made with other settings.
        """
        if self.config_file.exists():
            if config.run.resume == "never":
                raise ConfigError(f"run.resume=never: {self.path} holds a run already; choose another run.name")
            if different := self._differences(config):
                key, (old, new) = next(iter(different.items()))
                raise ConfigError(
                    f"{key}={new}: the run in {self.path} was made with {key}={old}; choose another run.name"
                )
            old_data, new_data = self.data_provenance(), provenance["data"]
            # Not by what they lie in: a folder that became a zip of the same files goes on.
            if old_data and any(old_data.get(key) != new_data[key] for key in ("name", "fingerprint")):
                raise ConfigError(
                    f"data.source={config.data.source}: gives {_in_words(new_data)} now, but the run in {self.path} "
                    f"was trained on {_in_words(old_data)}; set data.source, or choose another run.name"
                )
        try:
            for folder in (self.checkpoints, self.pictures):
                folder.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump({**to_dict(config), "provenance": provenance}, sort_keys=False, allow_unicode=True)
            write_atomically(self.config_file, text.encode())
        except OSError as error:
            raise ConfigError(f"run.root={config.run.root}: cannot write to {self.path} ({error.strerror})") from None

    def _differences(self, config: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
        old, new = (flatten(to_dict(each)) for each in (self.settings(), config))
        different = {key: (old.get(key), value) for key, value in new.items() if old.get(key) != value}
        return {key: values for key, values in different.items() if not CHANGEABLE.fullmatch(key)}

    def hold(self, held: ExitStack) -> str:
        """Make the folder and keep its lock until ``held`` is closed; what :func:`run_lock` says and raises."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return held.enter_context(run_lock(self.path))
        except OSError as error:
            raise ConfigError(
                f"run.root={self.path.parents[1]}: cannot write to {self.path} ({error.strerror})"
            ) from None

    def settings(self) -> ExperimentConfig:
        """The settings in ``config.yaml``; raises :class:`ConfigError` if it is no such file."""
        return saved_config(self.config_file)

    def provenance(self) -> dict[str, Any]:
        """What stands beside the settings in ``config.yaml``, if anything does; raises as :meth:`settings` does."""
        content: Any = OmegaConf.to_object(read_file(self.config_file, ExperimentConfig))
        provenance = content.get("provenance")
        return provenance if isinstance(provenance, dict) else {}

    def data_provenance(self) -> dict[str, Any]:
        """Name, source and fingerprint of the data it was trained on; empty if they are not there."""
        data = self.provenance().get("data")
        return data if isinstance(data, dict) else {}

    def forget_metrics_after(self, images_seen: int, keep_last: bool = True) -> None:
        """Drop rows that a continued run will write again, and lines that are no rows.

        Args:
            images_seen: where it goes on.
            keep_last: keep the row of losses at this very moment: it is one that the uninterrupted run has too. What
                stands there because a training ended there is dropped.
        """
        if not self.metrics_file.is_file():
            return

        def stays(row: dict[str, Any]) -> bool:
            seen = row.get("images_seen")
            is_last = seen == images_seen and keep_last and "images_per_s" in row
            return isinstance(seen, int) and (seen < images_seen or is_last)

        rows = [row for row in read_rows(self.metrics_file, warn) if stays(row)]
        write_atomically(self.metrics_file, "".join(json.dumps(row) + "\n" for row in rows).encode())

    def newest_sound_checkpoint(self) -> tuple[Path | None, int, list[str]]:
        """The newest checkpoint that can be read, its ``images_seen``, and a sentence for each one that cannot."""
        complaints: list[str] = []
        candidates = self.kept_checkpoints()
        if self.last_checkpoint.exists():
            last = self.last_checkpoint.resolve()
            candidates = [last, *(path for path in candidates if path.resolve() != last)]
        for path in candidates:
            try:
                return path, load_checkpoint(path)["images_seen"], complaints
            except CheckpointError as error:
                complaints.append(str(error))
        return None, 0, complaints


def images_in_name(checkpoint: Path) -> int:
    """The images seen that a checkpoint's name says; 0 if it says none."""
    return int("0" + re.sub(r"\D", "", checkpoint.stem))


def _in_words(data: dict[str, Any]) -> str:
    return f"{data.get('name')} ({data.get('source')}, fingerprint {data.get('fingerprint')})"


def find_run(path: str | Path) -> RunDir:
    """The run in a folder that a user named; raises :class:`ConfigError` with the nearest one if there is none."""
    run = RunDir(path)
    if not run.config_file.is_file():
        neighbours = [folder.name for folder in run.path.parent.glob("*") if (folder / "config.yaml").is_file()]
        raise ConfigError(f"run={path}: no run there (no config.yaml){nearest(run.path.name, neighbours)}")
    return run


def default_name(seed: int, overrides: Sequence[str]) -> str:
    """A name fixed before launch, from the settings that make a run another one: the same command continues it."""
    parts = [f"seed{seed}"]
    for text in sorted(overrides):
        key, _, value = text.partition("=")
        if key != "seed" and not CHANGEABLE.fullmatch(key):
            parts.append(f"{key.removeprefix('model.')}={value}")
    name = re.sub(r"[^A-Za-z0-9._=+-]+", "-", ",".join(parts).replace(",", "+"))
    if len(name) > 100:
        name = f"{name[:90]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name

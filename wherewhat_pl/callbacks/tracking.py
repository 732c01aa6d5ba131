"""A run's loggers: ``metrics.jsonl``, Weights & Biases, CSV. Never a prompt, never a wait without a network."""

from __future__ import annotations

import netrc
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from wherewhat_pl.callbacks.metrics_log import MetricsLog
from wherewhat_pl.config import to_dict
from wherewhat_pl.run.files import write_atomically
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import ExperimentConfig

INIT_TIMEOUT_S = 20


class ImagesSeenLogger(WandbLogger):
    """Weights & Biases with ``images_seen`` as its x-axis, of rows and pictures alike."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:  # type: ignore[override]
        self.experiment.log({**metrics, "images_seen": step})


def loggers_for(config: ExperimentConfig, run: RunDir, data_source: str) -> list[Logger]:
    """The loggers of a run, for its trainer; call on the first process only."""
    csv = [CSVLogger(run.path, name="csv", flush_logs_every_n_steps=1)] if config.logger.csv else []
    wandb = start_wandb(config, run, data_source)
    return [MetricsLog(run), *csv, *([wandb] if wandb else [])]


def close_loggers(loggers: Iterable[Logger], status: int) -> None:
    """End the Weights & Biases run with the exit status of the program."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=status)


def start_wandb(config: ExperimentConfig, run: RunDir, data_source: str) -> WandbLogger | None:
    """Start, or continue, the run's Weights & Biases run; None if it is disabled.

    ``logger.wandb.mode=auto`` is online only if a key is configured. A server that cannot be reached turns the run
    offline with one line; nothing is lost, since ``wandb sync`` uploads it later.
    """
    settings = config.logger.wandb
    mode = settings.mode if settings.mode != "auto" else _automatic_mode()
    if mode == "disabled":
        return None
    import wandb

    def start(offline: bool) -> WandbLogger:
        # Lightning's logger still passes a setting that wandb warns of; silence counts from the set-up on.
        wandb.setup(wandb.Settings(silent=True, mode="offline" if offline else "online"))
        logger = ImagesSeenLogger(
            save_dir=run.path,
            project=settings.project,
            entity=settings.entity,
            group=settings.group or config.experiment,
            name=f"{config.experiment}/{config.run.name}",
            id=_run_id(run),
            resume="allow",
            offline=offline,
            tags=[*settings.tags, f"data:{data_source}"],
            config=to_dict(config),
            settings=wandb.Settings(init_timeout=INIT_TIMEOUT_S, silent=True, console="off", x_disable_stats=True),
        )
        logger.experiment.define_metric("images_seen")
        logger.experiment.define_metric("*", step_metric="images_seen")
        return logger

    if mode == "online":
        try:
            return start(offline=False)
        except wandb.errors.Error as error:
            reason = str(error).splitlines()[0][:120]
            print(
                f"warning: logger.wandb: offline, since Weights & Biases cannot be reached ({reason})", file=sys.stderr
            )
            wandb.teardown()  # the failed start still holds the run's id
    return start(offline=True)


def _automatic_mode() -> str:
    if (from_environment := os.environ.get("WANDB_MODE")) in ("online", "offline", "disabled"):
        return from_environment
    return "online" if os.environ.get("WANDB_API_KEY") or _key_in_netrc() else "offline"


def _key_in_netrc() -> bool:
    """Whether ``wandb login`` has left a key for the server; read from its file, so that nothing goes online."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _run_id(run: RunDir) -> str:
    """The id under which the run was started, kept so that a continued run is the same one."""
    file = run.path / "wandb" / "run-id"
    if file.is_file():
        return file.read_text().strip()
    file.parent.mkdir(parents=True, exist_ok=True)
    run_id = secrets.token_hex(4)
    write_atomically(file, run_id.encode())
    return run_id

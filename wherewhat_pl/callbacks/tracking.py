"""A run's loggers: ``metrics.jsonl``, Weights & Biases, CSV. Never a prompt, never a wait without a network."""

from __future__ import annotations

import contextlib
import netrc
import os
import secrets
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from data_modules.errors import one_line
from wherewhat_pl.callbacks.metrics_log import MetricsLog
from wherewhat_pl.config import to_dict
from wherewhat_pl.errors import warn
from wherewhat_pl.run.files import write_atomically
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.settings import ExperimentConfig

INIT_TIMEOUT_S = 20
FINISH_TIMEOUT_S = 600  # what is not uploaded by then lies in the run's folder
MODES = {"run": "online", "dryrun": "offline"}  # older names that WANDB_MODE still takes
WRITES = ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR")  # in the home folder, if they say nothing else


class WandbLog(WandbLogger):
    """A Weights & Biases run as Lightning's logger, with ``images_seen`` as its x-axis, of rows and pictures alike.

    Whatever goes wrong in it costs one warning and never the training.

    Args:
        run: what ``wandb.init`` gives.

    Attributes:
        missed: whether something could not be logged; nothing is after that.
    """

    def __init__(self, run: Any) -> None:
        super().__init__(experiment=run)
        self.run, self.missed = run, False
        self._try(lambda: run.define_metric("images_seen"))
        self._try(lambda: run.define_metric("*", step_metric="images_seen"))

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:  # type: ignore[override]
        self._try(lambda: self.run.log({**metrics, "images_seen": step}))

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Log pictures ``[H, W, C]`` uint8."""
        wandb = sys.modules["wandb"]  # which made the run
        self._try(lambda: self.run.log({key: [wandb.Image(image) for image in images], "images_seen": step}))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """They were given when the run was started."""

    def finish(self, status: int) -> None:
        """End the run with the exit status of the program; nothing is sent after that.

        A sweep gives a run to another agent that was preempted, which is what SIGUSR1 announces; SIGTERM and SIGINT are
        also how a sweep, or a user, stops a run for good.
        """
        if status == 128 + signal.SIGUSR1 and getattr(self.run, "sweep_id", None) is not None:
            self._try(self.run.mark_preempting)
        self._try(lambda: self.run.finish(exit_code=status), again=True)

    def _try(self, work: Callable[[], object], again: bool = False) -> None:
        if self.missed and not again:
            return
        try:
            work()
        except Exception as error:
            if not self.missed:
                warnings.warn(f"logger.wandb: nothing more is logged ({one_line(error, 120)}); training goes on")
            self.missed = True


class PatientCSV(CSVLogger):
    """Lightning's CSV files; a full disk costs one warning, and what could not be written comes with the next row.

    Attributes:
        missed: whether something could not be written at its time.
    """

    missed = False

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:  # type: ignore[override]
        try:
            super().log_metrics(dict(metrics), step)
        except OSError as error:
            if not self.missed:
                warnings.warn(f"{self.log_dir}: cannot be written ({one_line(error, 120)}); training goes on")
            self.missed = True


def loggers_for(config: ExperimentConfig, run: RunDir, data_source: str) -> list[Logger]:
    """The loggers of a run, for its trainer; call on the first process only."""
    csv = [PatientCSV(run.path, name="csv", flush_logs_every_n_steps=1)] if config.logger.csv else []
    wandb = start_wandb(config, run, data_source)
    return [MetricsLog(run), *csv, *([wandb] if wandb else [])]


def close_loggers(loggers: Iterable[Logger], status: int) -> None:
    """End the Weights & Biases run with the exit status of the program."""
    for logger in loggers:
        if isinstance(logger, WandbLog):
            logger.finish(status)


def start_wandb(config: ExperimentConfig, run: RunDir, data_source: str) -> WandbLog | None:
    """Start, or continue, the run's Weights & Biases run; None if it is disabled, or cannot be started at all.

    ``logger.wandb.mode=auto`` is online only if a key is configured. A server that cannot be reached turns the run
    offline with one line; nothing is lost, since ``wandb sync`` uploads it later. The environment variables of Weights
    & Biases mean what they mean there, where the settings say nothing.
    """
    mode = _mode(config.logger.wandb.mode)
    for offline in {"online": (False, True), "offline": (True,)}.get(mode, ()):
        try:
            return WandbLog(_init(config, run, data_source, offline))
        except Exception as error:  # also what is no error of wandb's own: a key with a blank, a folder that is full
            what = "is not used" if offline else "offline, since Weights & Biases cannot be reached"
            reason = one_line(str(error).partition("\n")[0], 120)
            warn(f"logger.wandb: {what} ({reason})")
            with contextlib.suppress(Exception):
                sys.modules["wandb"].teardown()  # the failed start still holds the run's id
    return None


def _init(config: ExperimentConfig, run: RunDir, data_source: str, offline: bool) -> Any:
    said, settings = os.environ, config.logger.wandb
    if "WANDB_API_KEY" in said:
        said["WANDB_API_KEY"] = said["WANDB_API_KEY"].strip()  # of a file from Windows, or a careless copy
    if not os.access(Path.home(), os.W_OK):
        for name in WRITES:
            said.setdefault(name, str(run.path / "wandb"))
    tags = settings.tags or [tag.strip() for tag in said.get("WANDB_TAGS", "").split(",") if tag.strip()]
    import wandb

    mode: Any = "offline" if offline else "online"
    wandb.setup(wandb.Settings(silent=True, mode=mode))  # silence counts from the set-up on
    return wandb.init(
        mode=mode,
        dir=said.get("WANDB_DIR") or run.path,
        project=settings.project or said.get("WANDB_PROJECT") or "wherewhat",
        entity=settings.entity,
        group=settings.group or said.get("WANDB_RUN_GROUP") or config.experiment,
        name=said.get("WANDB_NAME") or f"{config.experiment}/{config.run.name}",
        id=_run_id(run),
        resume="allow",
        tags=[*tags, f"data:{data_source}"],
        config=to_dict(config),
        settings=wandb.Settings(
            init_timeout=INIT_TIMEOUT_S,
            finish_timeout=FINISH_TIMEOUT_S,
            silent=True,
            console="off",
            x_disable_stats=True,
        ),
    )


def _mode(said: str) -> str:
    """What ``logger.wandb.mode`` says; with ``auto`` what the environment says, else whether there is a key."""
    if said != "auto":
        return said
    if os.environ.get("WANDB_DISABLED", "").strip().lower() in ("true", "1", "yes", "on"):
        return "disabled"
    mode = os.environ.get("WANDB_MODE", "").strip().lower()
    if (mode := MODES.get(mode, mode)) in ("online", "offline", "disabled"):
        return mode
    return "online" if os.environ.get("WANDB_API_KEY", "").strip() or _key_in_netrc() else "offline"


def _key_in_netrc() -> bool:
    """Whether ``wandb login`` has left a key for the server; read from its file, so that nothing goes online."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        with contextlib.suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
            if netrc.netrc(path).authenticators(host):
                return True
    return False


def _run_id(run: RunDir) -> str:
    """The id under which the run was started, kept so that a continued run is the same one."""
    file = run.path / "wandb" / "run-id"
    of_agent = os.environ.get("WANDB_RUN_ID", "")  # wandb takes no other one under a sweep
    if not of_agent and file.is_file() and (run_id := file.read_text().strip()):
        return run_id
    file.parent.mkdir(parents=True, exist_ok=True)
    run_id = of_agent or secrets.token_hex(4)
    write_atomically(file, run_id.encode())
    return run_id

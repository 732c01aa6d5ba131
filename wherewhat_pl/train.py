"""From a configuration to a finished run, in four steps: prepare, build the trainer, fit, sum up."""

from __future__ import annotations

import logging
import shlex
import sys
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_info, rank_zero_only

from data_modules.base import DeviceDataModule
from data_modules.errors import one_line
from wherewhat_pl import distributed, signals
from wherewhat_pl.analysis.summary import summarize
from wherewhat_pl.callbacks.checkpoint import AtomicCheckpoint, SealedCheckpoints
from wherewhat_pl.callbacks.cost import Cost
from wherewhat_pl.callbacks.evaluation import Evaluation
from wherewhat_pl.callbacks.interrupt import GracefulStop
from wherewhat_pl.callbacks.pictures import TraversalPictures
from wherewhat_pl.callbacks.progress import ImagesProgressBar
from wherewhat_pl.callbacks.same_start import SameStart
from wherewhat_pl.callbacks.tracking import close_loggers, loggers_for
from wherewhat_pl.config import check_divisible
from wherewhat_pl.errors import CheckpointError, ConfigError, warn
from wherewhat_pl.memory import keep_freed_memory
from wherewhat_pl.run.build import build_system, check_fits, data_for
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.files import forget_partial, read_rows
from wherewhat_pl.run.folder import RunDir, default_name, find_run
from wherewhat_pl.run.provenance import provenance
from wherewhat_pl.settings import ExperimentConfig
from wherewhat_pl.system import DisentanglingGAN


def train(config: ExperimentConfig, overrides: list[str]) -> int:
    """Train, or continue, the run that ``config`` names.

    Args:
        config: the experiment.
        overrides: what was given on the command line, from which an unnamed run gets its name.

    Returns:
        Exit status: 0 if the training is complete, 128 + signal number if it was stopped.

    Raises:
        ConfigError, DataError, CheckpointError, NonFiniteError, OSError: one sentence each.
    """
    started = time.monotonic()
    _quiet_libraries()
    keep_freed_memory()
    config = replace(config, run=replace(config.run, name=config.run.name or default_name(config.seed, overrides)))
    status = 1
    with ExitStack() as held:
        training = prepare(config, held)
        loggers = loggers_for(config, training.run, training.data.source) if _is_first_process() else []
        try:
            trainer = build_trainer(training, loggers)
            received = fit(trainer, training)
            if trainer.is_global_zero:
                sum_up(training, trainer, received, minutes=(time.monotonic() - started) / 60)
                _say_what_was_missed(trainer)
            status = 0 if received is None else 128 + received
        finally:
            close_loggers(loggers, status)
        if status:  # Lightning's launcher kills this process if another one ends before it with a status like this
            trainer.strategy.barrier("stopped")
        distributed.leave_processes()
    return status


@dataclass(frozen=True)
class Training:
    """What a training is made of.

    Attributes:
        config: the experiment, its run named.
        run: its folder, ready to be written to.
        data: set up.
        system: new, or with the weights of ``run.init_from``.
        evaluation: the callback that measures.
        checkpoint: where it goes on, or None.
        images_seen: by that checkpoint.
    """

    config: ExperimentConfig
    run: RunDir
    data: DeviceDataModule
    system: DisentanglingGAN
    evaluation: Evaluation
    checkpoint: Path | None
    images_seen: int


def prepare(config: ExperimentConfig, held: ExitStack) -> Training:
    """Build data and system, check everything that can be refused, then make or find the run's folder.

    The folder's lock is held until ``held`` is closed.
    """
    distributed.check_devices(config.trainer.devices, config.trainer.accelerator, config.trainer.num_nodes)
    check_divisible(config.trainer.batch_size, _devices(config) * config.trainer.num_nodes, config.trainer.accumulate)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    run, data = RunDir.of(config), data_for(config)
    system = build_system(config, data)
    data.setup()
    evaluation = Evaluation(run, config.eval, system, data)  # before anything is written, since it may refuse
    if _is_first_process() and (note := run.hold(held)):
        warn(note)
    checkpoint, images_seen, complaints = run.newest_sound_checkpoint()
    if checkpoint is None and complaints:
        raise CheckpointError(f"{complaints[0]}, as all others there; choose another run.name to start anew")
    if _is_first_process():
        run.prepare(config, provenance(data.provenance))
        for path in (run.config_file, run.metrics_file, run.checkpoints / "*", run.pictures / "*"):
            forget_partial(path)
        for complaint in complaints:
            warn(f"{complaint}; using the one before it")
    rank_zero_info(f"run:  {run.path}" + (f", continued at {images_seen:,} images" if images_seen else ""))
    rank_zero_info(f"data: {data.name} ({data.source}), {data.num_images:,} images of {data.resolution} px")
    if checkpoint is not None:
        check_fits(system, load_checkpoint(checkpoint), checkpoint)
    elif config.run.init_from:
        _load_weights(system, config.run.init_from)
    if config.trainer.compile:
        system.compile_networks()
    return Training(config, run, data, system, evaluation, checkpoint, images_seen)


def build_trainer(training: Training, loggers: list[Logger]) -> pl.Trainer:
    """Lightning's trainer, with nothing of its own around the steps but what a run wants."""
    settings, run = training.config.trainer, training.run
    devices = _devices(training.config)
    checkpoint = AtomicCheckpoint(run, training.config.checkpoint)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # finds bugs, costs time
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        devices=devices,
        num_nodes=settings.num_nodes,
        strategy=distributed.strategy_for(devices * settings.num_nodes),
        precision=settings.precision,
        deterministic="warn" if settings.deterministic else False,  # not every CUDA kernel has such a twin
        max_epochs=-1,
        max_steps=-1,
        logger=loggers,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=run.checkpoints,  # where no file of Lightning's own, of another job, is found and preferred
        plugins=[SealedCheckpoints(), *distributed.environment_for(devices * settings.num_nodes)],
        callbacks=[  # in this order at each batch end
            SameStart(training.config, training.data),
            Cost(run),
            TraversalPictures(run, training.config.pictures),
            checkpoint,
            training.evaluation,
            GracefulStop(checkpoint),
            ImagesProgressBar(),
        ],
    )
    # Its handlers would save in the middle of a step, and end a run that has saved nothing with status 0; signals.py
    # has been there since the program's first line.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def fit(trainer: pl.Trainer, training: Training) -> int | None:
    """Train to the end, or to a signal, whose number is returned, even if it came after the last step."""
    system, seen = training.system, training.images_seen
    if trainer.is_global_zero and seen < system.max_images:
        training.run.forget_metrics_after(seen, keep_last=system.is_due(training.config.logger.interval_kimg, seen))
    with signals.waiting(), distributed.losses_named():
        trainer.fit(system, training.data, ckpt_path=training.checkpoint, weights_only=True)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    agreed = next(callback.received for callback in callbacks if isinstance(callback, GracefulStop))
    return agreed or signals.received()


def sum_up(training: Training, trainer: pl.Trainer, received: int | None, minutes: float) -> None:
    """Say what was learned and where everything lies, or how to go on; on the first process only."""
    run, system = training.run, training.system
    if received is not None:
        command = shlex.join(["python", "-m", "wherewhat_pl", *(argument for argument in sys.argv[1:] if argument)])
        print(f"\nstopped and saved at {system.images_seen:,} images; to continue:\n  {command}")
        return
    print(f"\n{run.path}: {system.images_seen:,} images seen, {minutes:.1f} min in this session")
    text, results = summarize(system.model(), training.data, training.config.factors.images, training.config.seed)
    rows = read_rows(run.metrics_file)
    if results and not any(results.keys() <= row.keys() and row["images_seen"] == system.images_seen for row in rows):
        for logger in trainer.loggers:
            logger.log_metrics(results, step=system.images_seen)
    print(f"{text}\npictures     {run.picture_at(system.images_seen)}")
    print(f"checkpoint   {run.checkpoint_at(system.images_seen)}")
    print(f"losses       {run.metrics_file}\nsettings     {run.config_file}")


def _say_what_was_missed(trainer: pl.Trainer) -> None:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    for part in [*trainer.loggers, *callbacks]:
        if getattr(getattr(part, "rows", part), "missed", False):  # what writes rows leaves it to them to know
            warn(f"{type(part).__name__} could not write everything in time, see above")


def _load_weights(system: DisentanglingGAN, source: str) -> None:
    """Weights only, from a run folder or a checkpoint file; clock and optimizers start anew."""
    path = RunDir(source).path if source.endswith(".ckpt") else find_run(source).newest_sound_checkpoint()[0]
    if path is None:
        raise ConfigError(f"run.init_from={source}: that run has no checkpoint")
    weights = load_checkpoint(path)["state_dict"]
    try:
        system.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise ConfigError(f"run.init_from={source}: its networks are not these ({one_line(reason, 120)})") from None


def _devices(config: ExperimentConfig) -> int:
    return distributed.device_count(config.trainer.devices, config.trainer.accelerator)


def _is_first_process() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _quiet_libraries() -> None:
    """Lightning's hints about loggers, workers and cards are not for the readers of this run's output."""
    for pattern in (
        ".*does not have many workers.*",
        ".*srun.*available.*",
        ".*`IterableDataset`.*",
        ".*ended before the epoch ended.*",
        ".*GPU available but not used.*",
        ".*litlogger.*",
        ".*isinstance.*LeafSpec.*",
        ".*module\\(s\\) in eval mode.*",
        ".*broadcast_buffers.*",
        ".*does not have a deterministic implementation.*",
    ):
        warnings.filterwarnings("ignore", message=pattern)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.getMessage().startswith(("run:", "data:"))

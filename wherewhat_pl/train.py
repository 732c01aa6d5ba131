"""From a configuration to a finished run: builds data, system and trainer, resumes, trains, sums up."""

from __future__ import annotations

import logging
import shlex
import sys
import time
import warnings
from dataclasses import replace

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_only

from data_modules.base import DeviceDataModule
from wherewhat_pl.analysis.summary import summarize
from wherewhat_pl.callbacks import AtomicCheckpoint, GracefulStop, ImagesProgressBar, MetricsLog, TraversalPictures
from wherewhat_pl.callbacks.evaluation import Evaluation
from wherewhat_pl.callbacks.tracking import start_wandb
from wherewhat_pl.config import check_divisible
from wherewhat_pl.distributed import device_count, strategy_for
from wherewhat_pl.errors import CheckpointError, ConfigError
from wherewhat_pl.run.build import build_system, data_for
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir, default_name, find_run
from wherewhat_pl.run.provenance import provenance
from wherewhat_pl.settings import ExperimentConfig
from wherewhat_pl.system import DisentanglingGAN


class EndOfTraining(pl.Callback):
    """Stops when the clock reaches ``max_kimg``; Lightning's own limits count steps or epochs, not images."""

    def __init__(self, max_images: int) -> None:
        self.max_images = max_images

    def on_train_start(self, trainer: pl.Trainer, system: DisentanglingGAN) -> None:  # type: ignore[override]
        trainer.should_stop = system.images_seen >= self.max_images

    def on_train_batch_end(self, trainer: pl.Trainer, system: DisentanglingGAN, *_: object) -> None:  # type: ignore[override]
        if system.images_seen >= self.max_images:
            trainer.should_stop = True


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
    config = replace(config, run=replace(config.run, name=config.run.name or default_name(config.seed, overrides)))
    devices, is_first_process = (
        device_count(config.trainer.devices, config.trainer.accelerator),
        getattr(rank_zero_only, "rank", 0) == 0,
    )
    check_divisible(config.trainer.batch_size, devices * config.trainer.num_nodes)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)

    run, data = RunDir.of(config), data_for(config)
    system = build_system(config, data)
    data.setup()
    data.clock = lambda: system.images_seen
    evaluation = Evaluation(run, config.eval, system, data)  # before anything is written, since it may refuse
    checkpoint_path, images_seen, complaints = run.newest_sound_checkpoint()
    if is_first_process:
        run.prepare(config, provenance({"name": data.name, "source": data.source, "fingerprint": data.fingerprint}))
        for complaint in complaints:
            print(f"warning: {complaint}", file=sys.stderr)
    if checkpoint_path is None and complaints:
        raise CheckpointError(
            f"{run.checkpoints}: no checkpoint there can be read; choose another run.name to start anew"
        )
    _announce(config, run, data, images_seen)
    if checkpoint_path is None and config.run.init_from:
        _load_weights(system, config.run.init_from)
    if config.trainer.compile:
        system.compile_networks()

    wandb_run = start_wandb(config, run, data.source) if is_first_process else None
    evaluation.wandb_run = wandb_run
    max_images = int(config.trainer.max_kimg * 1000)
    metrics = MetricsLog(run, config.logger.interval_kimg, wandb_run)
    checkpoint = AtomicCheckpoint(run, config.checkpoint)
    stop = GracefulStop(checkpoint)
    pictures = TraversalPictures(run, config.pictures, wandb_run)
    trainer = pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=devices,
        num_nodes=config.trainer.num_nodes,
        strategy=strategy_for(devices * config.trainer.num_nodes),
        precision=config.trainer.precision,
        max_epochs=-1,
        max_steps=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=run.path,
        # In this order at each batch end: losses are read, and found not finite, before anything is saved.
        callbacks=[
            metrics,
            pictures,
            checkpoint,
            evaluation,
            EndOfTraining(max_images),
            stop,
            ImagesProgressBar(metrics, max_images),
        ],
    )
    if checkpoint_path is not None and trainer.is_global_zero:
        run.forget_metrics_after(images_seen)
    status = 1
    try:
        trainer.fit(system, data, ckpt_path=checkpoint_path, weights_only=True)
        if trainer.is_global_zero:
            if stop.received is None:
                minutes = (time.monotonic() - started) / 60
                print(f"\n{run.path}: {system.images_seen:,} images seen, {minutes:.1f} min in this session")
                text, results = summarize(system.model(), data, config.factors.images, config.seed)
                metrics.append(system.images_seen, results)
                print(
                    f"{text}\npictures     {pictures.path_at(system.images_seen)}\ncheckpoint   {run.last_checkpoint}"
                )
                print(f"losses       {run.metrics_file}\nsettings     {run.config_file}")
            else:
                print(f"\nstopped and saved at {system.images_seen:,} images; to continue:\n  {_same_command()}")
        status = 0 if stop.received is None else 128 + stop.received
    finally:
        if wandb_run is not None:
            wandb_run.finish(exit_code=status)
    return status


def _load_weights(system: DisentanglingGAN, source: str) -> None:
    """Weights only, from a run folder or a checkpoint file; clock and optimizers start anew."""
    if source.endswith(".ckpt"):
        state = load_checkpoint(RunDir(source).path)
    else:
        path, _, _ = find_run(source).newest_sound_checkpoint()
        if path is None:
            raise ConfigError(f"run.init_from={source}: that run has no checkpoint")
        state = load_checkpoint(path)
    try:
        system.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        raise ConfigError(
            f"run.init_from={source}: its networks are not these ({str(error).splitlines()[1].strip()})"
        ) from None


def _announce(config: ExperimentConfig, run: RunDir, data: DeviceDataModule, images_seen: int) -> None:
    rank_zero_info(f"run:  {run.path}" + (f", continued at {images_seen:,} images" if images_seen else ""))
    rank_zero_info(f"data: {data.name} ({data.source}), {data.num_images:,} images of {data.resolution} px")


def _same_command() -> str:
    arguments = [argument for argument in sys.argv[1:] if argument]
    return shlex.join(["python", "-m", "wherewhat_pl", *arguments])


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
    ):
        warnings.filterwarnings("ignore", message=pattern)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_IsOurs())


class _IsOurs(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.getMessage().startswith(("run:", "data:"))

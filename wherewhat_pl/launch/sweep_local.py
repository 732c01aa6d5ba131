"""A sweep file's trainings on this machine, their settings chosen by Optuna; no server, no account.

``<root>/sweeps/<name>/study.db`` is Optuna's own storage, and beside it lie the runs, one folder per trial. A trial is
the training command as an agent would start it. Everything can be killed: a trial that was running goes on in its
folder, under its number, and one that has ended is not repeated.

What a server would choose is chosen by Optuna: ``grid`` and ``random`` by its own, ``bayes`` by TPE, ``hyperband`` by
successive halving with the same brackets: after ``min_iter`` logged values, ``min_iter * eta``, and so on, only the
best ``1 / eta`` go on.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wherewhat_pl import signals
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.select import select
from wherewhat_pl.evaluation.settings import EvalSettings
from wherewhat_pl.launch.sweep_file import Parameter, Sweep
from wherewhat_pl.run.files import read_rows
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.lock import run_lock

try:
    import optuna
    from optuna.trial import TrialState
except ImportError:
    raise ConfigError("sweep-local needs Optuna; pip install -e '.[sweep]'") from None

POLL_S = 1.0
#: exit statuses of a training that a signal ended
STOPPED = {status for number in signals.SIGNALS for status in (-number, 128 + number)}


@dataclass
class Running:
    """A trial whose training runs.

    Attributes:
        trial: Optuna's.
        run: the folder that its training writes.
        process: the training command.
        slot: which of the places for parallel trials it has, from 0.
        reported: how many values of the objective Optuna has been told.
        pruned: whether it was asked to stop because others are better.
    """

    trial: optuna.Trial
    run: RunDir
    process: subprocess.Popen[bytes]
    slot: int
    reported: int = 0
    pruned: bool = False


class LocalSweep:
    """One sweep on this machine.

    Args:
        sweep: what is to be tried.
        folder: of its study and its runs; made if it is not there.
        seed: of the search.

    Raises:
        ConfigError: the study in the folder was begun from other parameters.
    """

    def __init__(self, sweep: Sweep, folder: Path, seed: int = 0) -> None:
        self.sweep, self.folder = sweep, folder
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.storage = f"sqlite:///{folder / 'study.db'}"
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=folder.name,
            direction="maximize" if sweep.maximize else "minimize",
            pruner=pruner(sweep.content.get("early_terminate")),
            load_if_exists=True,
        )
        definition = json.dumps([sweep.method, sweep.metric, sweep.command, sweep.content["parameters"]])
        if self.study.user_attrs.setdefault("definition", definition) != definition:
            raise ConfigError(f"{sweep.path}: {folder} was begun from another version of it; choose another name=...")
        self.study.set_user_attr("definition", definition)
        # A search that goes on must not draw again what it drew at first.
        self.study.sampler = sampler(sweep, seed + len(self.study.trials))

    def run(self, count: int | None, jobs: int) -> None:
        """Have ``count`` trials in all, those of earlier calls included; ``jobs`` at a time.

        A signal is passed on to the trainings, which save and stop.
        """
        limit = math.inf if count is None else count
        if self.sweep.method == "grid":
            limit = min(limit, math.prod(len(grid_values(parameter)) for parameter in self.sweep.parameters.values()))
        left = self.study.get_trials(states=[TrialState.RUNNING])
        running: list[Running] = []
        try:
            with signals.waiting():
                while True:
                    while len(running) < jobs and (left or self._begun() < limit):
                        slot = min(set(range(jobs)) - {item.slot for item in running})
                        running.append(self._start(left.pop(0) if left else None, slot, jobs))
                    if not running:
                        return
                    time.sleep(POLL_S)
                    if (number := signals.received()) is not None:
                        raise signals.Stopped(number)
                    for item in list(running):
                        ended = item.process.poll() is not None  # before its values are read, so that all are there
                        self._report(item)
                        if ended:
                            running.remove(item)
                            self._end(item)
        finally:
            for item in running:
                item.process.terminate()
            for item in running:
                item.process.wait()

    def _begun(self) -> int:
        return sum(trial.state != TrialState.WAITING for trial in self.study.get_trials(deepcopy=False))

    def _start(self, left: optuna.trial.FrozenTrial | None, slot: int, jobs: int) -> Running:
        """Start a new trial, or one that a killed process has left: its number and its parameters stay."""
        trial = self.study.ask() if left is None else optuna.Trial(self.study, left._trial_id)
        values = {key: suggest(trial, key, parameter) for key, parameter in self.sweep.parameters.items()}
        name = f"trial{trial.number:04d}"
        words = [*self.sweep.words(values), f"run.root={self.folder}", f"run.name={name}"]
        run = RunDir(self.folder / self.sweep.config(values).experiment / name)
        run.path.mkdir(parents=True, exist_ok=True)
        with run_lock(run.path):  # refused while an orphan of a killed sweep still trains there
            pass
        print(f"{name}  " + " ".join(f"{key}={value}" for key, value in values.items()), flush=True)
        with (run.path / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable if word in ("python", "python3") else word for word in words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(slot, jobs),
            )
        return Running(trial, run, process, slot, len(left.intermediate_values) if left else 0)

    def _values(self, run: RunDir) -> list[float]:
        """What was logged of the objective, in order."""
        rows = read_rows(run.metrics_file)
        return [row[self.sweep.metric] for row in rows if isinstance(row.get(self.sweep.metric), int | float)]

    def _report(self, item: Running) -> None:
        """Tell Optuna of new values, and the training to stop if they are not worth going on."""
        values = self._values(item.run)
        for step, value in enumerate(values[item.reported :], item.reported + 1):
            item.trial.report(value, step)
            if not item.pruned and item.trial.should_prune():
                item.pruned = True
                item.process.terminate()
        item.reported = max(item.reported, len(values))

    def _end(self, item: Running) -> None:
        values, status = self._values(item.run), item.process.returncode
        if status == 0 and values:
            self.study.tell(item.trial, values[-1])
            said = f"{self.sweep.metric} {values[-1]:.4f}"
        elif item.pruned:
            self.study.tell(item.trial, state=TrialState.PRUNED)
            said = f"stopped early at {self.sweep.metric} {values[-1]:.4f}"
        elif status in STOPPED:  # for Optuna it runs on
            said = "stopped by a signal; the same command continues it"
        else:
            self.study.tell(item.trial, state=TrialState.FAIL)
            reason = _last_line(item.run.path / "log.txt") if status else f"logged no {self.sweep.metric}"
            said = f"failed: {reason}"
        print(f"{item.run.path.name}  {said}", flush=True)

    def finished(self) -> list[Path]:
        """Folders of the runs that were trained to their end, in the order of their trials."""
        done = self.study.get_trials(states=[TrialState.COMPLETE])
        return [path for trial in done for path in self.folder.glob(f"*/trial{trial.number:04d}")]


def sweep_locally(sweep: Sweep, folder: Path, count: int | None, jobs: int, seed: int, device: str) -> int:
    """Run a sweep and rank what it has trained; the exit status is 1 if nothing was trained to its end."""
    if count is None and sweep.method != "grid":
        count = sweep.content.get("run_cap")
        if count is None:
            raise ConfigError(f"count=...: say how many trials; {sweep.path} has no run_cap")
    local = LocalSweep(sweep, folder, seed)
    with run_lock(folder):
        local.run(count, jobs)
    paths = local.finished()
    print(f"\n{folder}: {len(paths)} of {len(local.study.trials)} trials trained to their end")
    if not paths:
        return 1
    measured = RunDir(paths[0]).settings().eval
    tpl = next((name for name in measured.metrics if name.startswith("tpl_")), "tpl_small")
    settings = EvalSettings(distance=measured.distance, threshold=measured.threshold)
    status = select(",".join(map(str, paths)), tpl, str(folder / "selection"), None, device, settings)
    best = local.study.best_trial
    print(f"best     trial{best.number:04d}, {sweep.metric} {best.value:.4f}")
    print(f"look     optuna-dashboard {local.storage}")
    return status


def suggest(trial: optuna.trial.BaseTrial, key: str, parameter: Parameter) -> Any:
    """Optuna's choice of a parameter for a trial, rounded where W&B would."""
    if parameter.choices:
        return trial.suggest_categorical(key, parameter.choices)
    if parameter.whole:
        return trial.suggest_int(key, int(parameter.low), int(parameter.high))
    return parameter.rounded(trial.suggest_float(key, parameter.low, parameter.high, log=parameter.logarithmic))


def grid_values(parameter: Parameter) -> list[Any]:
    """All values of a parameter of a grid."""
    return list(parameter.choices) or list(range(int(parameter.low), int(parameter.high) + 1))


class Grid(optuna.samplers.GridSampler):
    """Optuna's grid without its ``study.stop()`` after the last cell, which only ``study.optimize`` understands."""

    def after_trial(self, *_: object) -> None:  # type: ignore[override]
        pass


def sampler(sweep: Sweep, seed: int) -> optuna.samplers.BaseSampler:
    """The search that a sweep's method asks for."""
    if sweep.method == "grid":
        return Grid({key: grid_values(parameter) for key, parameter in sweep.parameters.items()})
    if sweep.method == "random":
        return optuna.samplers.RandomSampler(seed)
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)  # those that run now count as bad


def pruner(early_terminate: dict[str, Any] | None) -> optuna.pruners.BasePruner:
    """W&B's ``hyperband`` as successive halving; either of its two ways to say the first bracket."""
    if not early_terminate:
        return optuna.pruners.NopPruner()
    eta = int(early_terminate.get("eta", 3))
    first = early_terminate.get("min_iter")
    if first is None:
        first = max(1, int(early_terminate["max_iter"]) // eta ** int(early_terminate.get("s", 1)))
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=int(first), reduction_factor=eta)


def environment(slot: int, jobs: int) -> dict[str, str]:
    """A trial's share of the machine: of several parallel ones each has GPUs of its own, if there are enough."""
    own = dict(os.environ)
    if jobs > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = visible.split(",") if visible is not None else [str(k) for k in range(torch.cuda.device_count())]
        if gpus := [gpu for gpu in gpus if gpu]:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[slot::jobs] or [gpus[slot % len(gpus)]])
        own.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    return own


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("error: ") + f" (see {log})"

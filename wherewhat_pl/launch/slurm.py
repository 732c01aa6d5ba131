"""A training, or work for a sweep, as a Slurm job: fill ``job.sh``, submit it; and what the queue says of jobs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from data_modules.errors import one_line
from wherewhat_pl.config import check_divisible
from wherewhat_pl.errors import ConfigError, require_at_least
from wherewhat_pl.run.folder import RunDir, default_name
from wherewhat_pl.settings import ExperimentConfig

OWN_LINES = Path("slurm_setup.sh")
AGENTS = Path("runs/agents")  # where agents' logs go
JOB_FILE = "slurm-job"  # in a run's folder: the job that was submitted for it
LEAST_MINUTES = 10  # the notice may come three minutes before the end, and imports and data take their time
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
SEEDS = re.compile(r"\d+(-\d+(:[1-9]\d*)?)?(,\d+(-\d+(:[1-9]\d*)?)?)*(%[1-9]\d*)?")
OURS = ("trainer.devices", "trainer.num_nodes", "trainer.accelerator")
SEED = "\0"  # stands for the seed in the texts that an array's tasks share


class JobScript(Template):
    """``job.sh``, where ``@{name}`` is filled in: a dollar sign is the shell's."""

    delimiter = "@"


@dataclass(frozen=True)
class Resources:
    """What a job asks for.

    Attributes:
        nodes: how many.
        gpus: per node; 0 trains on CPUs.
        tasks: processes per node; None: one for each GPU, one without.
        cpus: cores per process; None: what the cluster gives.
        time: limit as ``sbatch`` takes it; None: the partition's.
        seeds: what ``sbatch --array`` takes, for an array of runs; None: one run.
    """

    nodes: int = 1
    gpus: int = 1
    tasks: int | None = None
    cpus: int | None = None
    time: str | None = None
    seeds: str | None = None

    @property
    def processes(self) -> int:
        """Per node."""
        return self.tasks or self.gpus or 1

    def check(self) -> None:
        """Raises :class:`ConfigError` for what Slurm, or this program under Slurm, would not understand."""
        require_at_least(self, nodes=1, gpus=0, tasks=1, cpus=1)
        if self.gpus and self.processes != self.gpus:
            raise ConfigError(f"tasks={self.tasks}: must be gpus={self.gpus}, a process for each GPU; or leave it out")
        if self.time is not None and (minutes := _minutes(self.time)) < LEAST_MINUTES:
            raise ConfigError(
                f"time={self.time}: is {minutes:g} minutes, and the job is warned two to three before its end; "
                f"give at least {LEAST_MINUTES}"
            )
        if self.seeds is not None and not SEEDS.fullmatch(self.seeds):
            raise ConfigError(f"seeds={self.seeds}: must be like 0-9, 0,3,5 or 0-9%2 (two at a time)")
        if self.seeds is not None and not _each(self.seeds):
            raise ConfigError(f"seeds={self.seeds}: names no seed")

    def options(self) -> list[str]:
        """Those of ``sbatch`` that may be left out."""
        given = {
            "gres": f"gpu:{self.gpus}" if self.gpus else None,
            "cpus-per-task": self.cpus,
            "time": self.time,
            "array": self.seeds,
        }
        return [f"#SBATCH --{key}={value}" for key, value in given.items() if value is not None]


@dataclass(frozen=True)
class Submission:
    """A filled job script, and what it trains.

    Attributes:
        script: what ``sbatch`` reads.
        runs: the run of each seed of an array; the only one by None; empty for an agent, whose sweep names its runs.
        log: of an agent, as ``sbatch --output`` reads it.
    """

    script: str
    runs: dict[int | None, RunDir]
    log: str = ""


def prepare(
    config: ExperimentConfig, experiment: str, overrides: Sequence[str], resources: Resources, setup: str | None
) -> Submission:
    """Fill the job script for a training; nothing is written.

    Args:
        config: the experiment, checked.
        experiment: its name or file, as ``train`` takes it.
        overrides: ``key=value`` over it.
        resources: what the job asks for.
        setup: file of the user's own lines; None: :data:`OWN_LINES`, if there is one.

    Raises:
        ConfigError: one sentence on what does not fit.
    """
    resources.check()
    check_divisible(config.trainer.batch_size, resources.nodes * resources.processes)
    given = {word.partition("=")[0] for word in overrides}
    for key in given & {*OURS, *(["seed"] if resources.seeds else [])}:
        instead = "seeds" if key == "seed" else "nodes, gpus and tasks"
        raise ConfigError(f"{key}: follows from {instead} here; leave it out")
    name, own = _name(config, overrides, resources.seeds), [f"seed={SEED}"] if resources.seeds else []
    run = str(Path(config.run.root) / config.experiment / name)
    words = ["train", f"exp={experiment}"]
    words += [word for word in overrides if not word.startswith("run.name=")] + own
    words += [f"run.name={name}", f"trainer.num_nodes={resources.nodes}", f"trainer.devices={resources.processes}"]
    words += [f"trainer.accelerator={'gpu' if resources.gpus else 'cpu'}"]
    script = _fill(
        "start_training.sh",
        words,
        resources,
        setup,
        what="A training",
        job_name=_for_sbatch(config.experiment),
        log=_for_sbatch(f"{_as_pattern(run)}/slurm-{'%A_%a' if resources.seeds else '%j'}.out"),
        signal="",
        run=_for_shell(run),
    )
    seeds: list[int | None] = [*_each(resources.seeds)] if resources.seeds else [None]
    return Submission(script, {seed: RunDir(run.replace(SEED, str(seed))) for seed in seeds})


def prepare_agent(
    sweep: str, count: int | None, resources: Resources, setup: str | None, options: Sequence[str] = ()
) -> Submission:
    """Fill the job script for an agent of a sweep; nothing is written.

    Args:
        sweep: as ``agent`` takes it.
        count: trainings of each start of the job; None: until the sweep has no more.
        resources: what the job asks for, all of it for each training.
        setup: as for :func:`prepare`.
        options: for ``sbatch``, which may ask for an array of agents.

    Raises:
        ConfigError: one sentence on what does not fit.
    """
    resources.check()
    if resources.seeds:
        raise ConfigError("seeds: a sweep gives each training its own; --array=1-4 in sbatch makes four agents")
    words = ["agent", f"sweep={sweep}", *([] if count is None else [f"count={count}"])]
    is_array = any(option.startswith(("--array", "-a")) for option in options)
    log = f"{AGENTS}/slurm-{'%A_%a' if is_array else '%j'}.out"
    # to the shell: there is no step that could hear it, or only a training's, and the agent would start another
    own = {"what": "Work for a sweep", "job_name": "agent", "log": log, "signal": "B:"}
    return Submission(_fill("start_agent.sh", words, resources, setup, **own), {}, log)


def submit(submission: Submission, options: Sequence[str]) -> str:
    """Make the runs' folders, hand the script to ``sbatch``, and note the job in each folder.

    Args:
        submission: what :func:`prepare` gave.
        options: for ``sbatch``, over those in the script.

    Returns:
        The job's number.

    Raises:
        ConfigError: one of the runs is in the queue already, or ``sbatch`` refuses; one sentence.
    """
    queue = jobs_in_queue()
    for run in submission.runs.values():
        if (job := job_of(run)) in queue:
            raise ConfigError(f"{run.path}: is job {job} already ({queue[job].lower()}); scancel {job} first")
    for folder in [run.path for run in submission.runs.values()] or [AGENTS]:
        folder.mkdir(parents=True, exist_ok=True)  # Slurm would not make it, and lose the log
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", *options], input=submission.script, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise ConfigError(
            "sbatch: is not on this machine; call this where jobs are submitted, or with dry=true"
        ) from None
    if done.returncode:
        raise ConfigError(f"sbatch: {one_line(done.stderr, 300)}")
    number = done.stdout.strip().partition(";")[0]  # the cluster's name may follow
    for seed, run in submission.runs.items():
        (run.path / JOB_FILE).write_text(number if seed is None else f"{number}_{seed}")
    return number


def how_to_follow(submission: Submission, number: str) -> str:
    """What to type next."""
    if not submission.runs:
        log = submission.log.replace("%j", number).replace("%A", number).replace("%a", "*")
        return "\n".join(
            [
                f"job     {number}",
                f"log     tail -F {log}" + "   (once they run)" * ("*" in log),
                f"queue   squeue --jobs={number}",
                f"pause   scancel --signal=USR1 --batch {number}   (its training saves and goes back to the sweep)",
                f"stop    scancel {number}   (its training saves, and counts as stopped)",
                "all     make status",
            ]
        )
    (seed, run), *others = submission.runs.items()
    job = number if seed is None else f"{number}_{seed}"
    more = f", and {len(others)} more up to {[*submission.runs.values()][-1].path}" if others else ""
    log = shlex.quote(str(run.path / f"slurm-{job}.out"))
    return "\n".join(
        [
            f"job     {number}" + (f"   (a task for each seed, {job} and so on)" if seed is not None else ""),
            f"run     {run.path}{more}",
            f"log     tail -F {log}",
            f"queue   squeue --jobs={number}",
            f"pause   scancel --signal=USR1 {job}   (saves, and goes back into the queue)",
            f"stop    scancel {number}   (saves, and is over; the same make slurm goes on)",
            "all     make status",
        ]
    )


def job_of(run: RunDir) -> str:
    """The job that was last submitted for a run, as ``squeue`` names it; empty if none was."""
    file = run.path / JOB_FILE
    return file.read_text(errors="replace").strip() if file.is_file() else ""


def jobs_in_queue() -> dict[str, str]:
    """State (``PENDING``, ``RUNNING``, ...) of each of the user's jobs, tasks of arrays apart; empty without Slurm."""
    command = ["squeue", f"--user={os.getuid()}", "--noheader", "--array", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _name(config: ExperimentConfig, overrides: Sequence[str], seeds: str | None) -> str:
    """The run's name, with :data:`SEED` in it for an array."""
    if seeds is None:
        return config.run.name or default_name(config.seed, overrides)
    if config.run.name:
        return f"{config.run.name}-seed{SEED}"
    return default_name(0, overrides).replace("seed0", f"seed{SEED}", 1)


def _each(seeds: str) -> list[int]:
    """``0-4:2,7%2`` -> 0, 2, 4, 7."""
    found: list[int] = []
    for part in seeds.partition("%")[0].split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def _minutes(time: str) -> float:
    """Of a limit in one of Slurm's forms: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""
    match = TIME.fullmatch(time)
    if match is None:
        raise ConfigError(f"time={time}: must be like 90 (minutes), 24:00:00 or 2-12 (days-hours)")
    days, *parts = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None or len(numbers) == 3:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    else:
        hours, minutes, seconds = 0, *[*numbers, 0][:2]
    return (int(days or 0) * 24 + hours) * 60 + minutes + seconds / 60


def _fill(start: str, words: Sequence[str], resources: Resources, setup: str | None, **own: str) -> str:
    """``job.sh`` around the part that starts the program, which is told ``words``; ``own`` fills in the rest."""
    here = Path(__file__).parent
    command = " \\\n    ".join(_for_shell(word) for word in words)
    return JobScript((here / "job.sh").read_text()).substitute(
        own,
        nodes=resources.nodes,
        tasks=resources.processes,
        options="\n".join(resources.options()),
        folder=_for_sbatch(os.getcwd()),
        python=shlex.quote(sys.executable),
        setup=_own_lines(setup),
        start=JobScript((here / start).read_text().rstrip()).substitute(own, command=command),
    )


def _own_lines(setup: str | None) -> str:
    path = Path(setup or OWN_LINES)
    if not path.is_file():
        if setup is not None:
            raise ConfigError(f"setup={setup}: no such file")
        return ""
    return path.read_text().rstrip()


def _for_shell(word: str) -> str:
    return '"$SLURM_ARRAY_TASK_ID"'.join(shlex.quote(part) if part else "" for part in word.split(SEED)) or "''"


def _as_pattern(path: str) -> str:
    """A path as ``sbatch --output`` reads it."""
    return "%a".join(part.replace("%", "%%") for part in path.split(SEED))


def _for_sbatch(word: str) -> str:
    """A word as ``sbatch`` reads it in a script's comments."""
    if "\n" in word:
        raise ConfigError(f"{word!r}: a line break cannot stand in a job script")
    return re.sub(r"([^\w%+,./:=@-])", r"\\\1", word)

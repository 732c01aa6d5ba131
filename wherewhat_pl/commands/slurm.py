"""Submit a training as a Slurm job, or an array of them, or an agent of a sweep."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from wherewhat_pl.config import load_config
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.settings import ExperimentConfig

EXAMPLE = "exp=shapes3d nodes=2 gpus=8 time=24:00:00 seeds=0-9 --dry"


@dataclass(frozen=True)
class Settings:
    exp: str | None = None  # what to train: name of a file in experiments/, or the path of one, ending in .yaml
    agent: str | None = None  # instead of exp: a sweep to work for, entity/project/id, as `sweep` prints it
    count: int | None = None  # with agent: trainings of each start of the job; null: until the sweep is done
    nodes: int = 1
    gpus: int = 1  # per node, with a process each; 0 trains on CPUs
    tasks: int | None = None  # processes per node; null: one for each GPU, one without
    cpus: int | None = None  # cores per process; null: what the cluster gives
    time: str | None = None  # limit as sbatch takes it (24:00:00, 2-12); the job saves before it and queues again
    seeds: str | None = None  # an array, a run for each: 0-9, 0,3,5, or 0-9%2 for two at a time
    sbatch: str | None = None  # more options for sbatch, e.g. "--partition=gpu --account=me"
    # file of your own lines for the job script, before the program starts: module load ..., export NCCL_...,
    # launch="apptainer exec --nv image.sif"; null: slurm_setup.sh in this folder, if there is one
    setup: str | None = None
    dry: bool = False  # print the job script and stop
    overrides: list[str] = field(default_factory=list, metadata={"settings_of": ExperimentConfig})


def run(settings: Settings) -> int:
    from wherewhat_pl.launch.slurm import Resources, how_to_follow, prepare, prepare_agent, submit

    resources = Resources(settings.nodes, settings.gpus, settings.tasks, settings.cpus, settings.time, settings.seeds)
    if (settings.exp is None) == (settings.agent is None):
        raise ConfigError("exp: say what to train, or agent=... which sweep to work for; one of them")
    try:
        options = shlex.split(settings.sbatch or "")
    except ValueError as error:
        raise ConfigError(f"sbatch={settings.sbatch}: {error}") from None
    if settings.exp is not None:
        config = load_config(settings.exp, settings.overrides)
        submission = prepare(config, settings.exp, settings.overrides, resources, settings.setup)
    else:
        if settings.overrides:
            raise ConfigError(f"{settings.overrides[0]}: a sweep's trainings are set in its file")
        submission = prepare_agent(settings.agent or "", settings.count, resources, settings.setup, options)
    if settings.dry:
        print(submission.script, end="")
        return 0
    print(how_to_follow(submission, submit(submission, options)))
    return 0

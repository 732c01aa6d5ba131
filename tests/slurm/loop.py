"""``python -m tests.slurm.loop 20 [seed]``: SIGUSR1 at random moments of a training on two nodes, imports included.

Each moment is a fresh run: stopped, queued again by its own script, finished, and then compared with the run that
nobody disturbed. One line for each; the status is 1 if one of them hung, was damaged or came out otherwise.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.slurm.cluster import ENDED, Job, differences, running_cluster

KIMG = 1.2


@dataclass(frozen=True)
class Outcome:
    """Of one moment.

    Attributes:
        after_s: seconds from the job's start to the signal.
        where: what the log says of it: saved at so many images, before training, or not noticed.
        restarts: how often Slurm started it again.
        wrong: what is not as it should be.
    """

    after_s: float
    where: str
    restarts: int
    wrong: list[str]

    def __str__(self) -> str:
        wrong = ", ".join(self.wrong[:3]) or "as undisturbed"
        return f"{self.after_s:6.1f} s  {self.where:<34} {self.restarts} restarts  {wrong}"


def undisturbed(root: Path) -> tuple[Job, float]:
    """The run to compare with, and how long it took from its start in seconds."""
    job = Job.submit(root, "undisturbed", KIMG)
    job.wait_until("RUNNING")
    started = time.monotonic()
    facts = job.wait_until(*ENDED)
    assert facts["JobState"] == "COMPLETED", job.log
    return job, time.monotonic() - started


def disturb(root: Path, name: str, after_s: float, reference: Job) -> Outcome:
    """Submit a run, send it SIGUSR1 ``after_s`` seconds after its start, and see what becomes of it."""
    job = Job.submit(root, name, KIMG)
    job.wait_until("RUNNING")
    time.sleep(after_s)
    return stop(job, after_s, reference)


def stop(job: Job, after_s: float, reference: Job) -> Outcome:
    """Send SIGUSR1 once, wait for the job's end, and compare."""
    has_ended = job.run.checkpoint_at(int(KIMG * 1000)).exists()
    job.signal("USR1")
    try:
        facts = job.wait_until(*ENDED)
    except TimeoutError as error:
        return Outcome(after_s, "hangs", 0, [str(error)])
    wrong = [] if facts["JobState"] == "COMPLETED" else [f"{facts['JobState']} {facts['ExitCode']}", job.log[-1000:]]
    wrong = wrong or differences(job.run, reference.run)
    restarts, where = int(facts["Restarts"]), "after training" if has_ended else "not noticed"
    if match := re.search(r"stopped and saved at ([\d,]+) images", job.log):
        where = f"saved at {match[1]} images"
    elif "stopped by SIGUSR1; nothing is lost" in job.log:
        where = "before or after training"
    elif restarts:
        where = "before the program's first line"
    if restarts != (where not in ("not noticed", "after training")):
        wrong.append(f"{restarts} restarts")
    return Outcome(after_s, where, restarts, wrong)


def main(moments: int, seed: int) -> int:
    draw, failed = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder, running_cluster():
        reference, seconds = undisturbed(Path(folder))
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        for k in range(moments):
            after_s = draw.uniform(k, k + 1) * seconds / moments  # every part of a run's life gets its share
            outcome = disturb(Path(folder), f"moment{k}", after_s, reference)
            failed += bool(outcome.wrong)
            print(f"{k + 1:3d}  {outcome}", flush=True)
    print(f"{moments - failed} of {moments} as undisturbed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))

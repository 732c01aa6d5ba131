"""Two nodes under a real Slurm, and a job that is stopped in the middle, sent back, or cancelled."""

import subprocess
import sys

import pytest

from tests.slurm import loop
from tests.slurm.cluster import ENDED, ROOT, Job, running_cluster, why_not
from wherewhat_pl.run.folder import RunDir

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(scope="module")
def cluster():
    with running_cluster():
        yield


@pytest.fixture(scope="module")
def undisturbed(cluster, tmp_path_factory):
    """A run on two nodes that nobody disturbed, and how long it took."""
    return loop.undisturbed(tmp_path_factory.mktemp("undisturbed"))


def test_a_job_that_is_stopped_while_it_imports_goes_on_to_the_same_weights_and_rows(undisturbed, tmp_path):
    reference, seconds = undisturbed
    outcome = loop.disturb(tmp_path, "disturbed", 0.3 * seconds, reference)
    assert not outcome.wrong, outcome


def test_a_job_that_is_stopped_in_training_is_saved_requeued_and_finished(undisturbed, tmp_path):
    reference, _ = undisturbed
    job = Job.submit(tmp_path, "middle", loop.KIMG)
    job.wait_for_file("metrics.jsonl")
    listed = subprocess.run(
        [sys.executable, "-m", "wherewhat_pl", "status", f"runs={job.run.path}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"running {job.number}" in listed
    outcome = loop.stop(job, 0.0, reference)
    assert outcome.where.startswith("saved at")
    assert outcome.restarts == 1
    assert not outcome.wrong, outcome


def test_a_job_that_is_cancelled_saves_and_stays_cancelled(cluster, tmp_path):
    job = Job.submit(tmp_path, "cancelled", 100.0)
    job.wait_for_file("metrics.jsonl")
    subprocess.run(["scancel", job.number], check=True)
    facts = job.wait_until(*ENDED)
    assert (facts["JobState"], facts["Restarts"]) == ("CANCELLED", "0")
    job.wait_for_file("checkpoints/last.ckpt", seconds=20)
    assert "stopped and saved at" in job.log
    assert not (job.run.path / ".lock").exists()


def test_of_an_array_only_the_job_that_was_stopped_goes_back(cluster, tmp_path):
    array = Job.submit(tmp_path, "array", 100.0, "nodes=1", "seeds=0-1")
    first, last = (
        Job(f"{array.number}_{seed}", RunDir(array.run.path.with_name(f"array-seed{seed}"))) for seed in (0, 1)
    )
    for job in (first, last):
        job.wait_for_file("metrics.jsonl")
    last.signal("USR1")  # whose own number is the array's, too
    last.wait_until("PENDING")
    facts = first.facts()
    subprocess.run(["scancel", array.number], check=True)
    assert (facts["JobState"], facts["Restarts"]) == ("RUNNING", "0")
    assert first.run.settings().seed == 0
    assert last.run.settings().seed == 1

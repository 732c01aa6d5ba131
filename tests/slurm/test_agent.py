"""An agent of a sweep as a Slurm job, whose trainings take two nodes each by ``srun`` in the sweep's command."""

import json
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml

from tests.slurm.cluster import ENDED, ROOT, SETTINGS, Job, running_cluster, why_not
from wherewhat_pl.launch.slurm import AGENTS
from wherewhat_pl.run.folder import RunDir

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

HOST = "10.213.77.254"  # of this machine, as the nodes see it
SHORT = ["trainer.max_kimg=0.4", "trainer.num_nodes=2", "eval.interval_kimg=0.4", "eval.metrics=tpl_small"]


@pytest.fixture
def state_of_server(tmp_path, monkeypatch):
    """A cluster, a server that its nodes reach and its account: a function gives what the server knows."""
    with running_cluster():
        command = [sys.executable, ROOT / "tests" / "wandb" / "server.py", HOST]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            address = process.stdout.readline().strip()
            account = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "f" * 40, "WANDB_ENTITY": "test"}
            for name, value in (account | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}).items():
                monkeypatch.setenv(name, value)
            monkeypatch.delenv("WANDB_MODE", raising=False)
            yield lambda: json.load(urllib.request.urlopen(f"{address}/state"))
            process.kill()


def test_an_agent_that_is_preempted_gives_its_training_back_and_both_go_on(state_of_server, tmp_path):
    settings = [word for word in SETTINGS if not word.startswith("logger.wandb")]
    train = ["srun", "--ntasks-per-node=1", "python", "-m", "wherewhat_pl", "train", "exp=shapes3d_quick"]
    sweep = {
        "method": "random",
        "metric": {"name": "eval/tpl_objective", "goal": "minimize"},
        "parameters": {"model.ps.weight": {"min": 0.01, "max": 1.0}},
        "command": [*train, *settings, *SHORT, "eval.threshold=0.0001", "run.root=runs", "${args_no_hyphens}"],
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(sweep))
    program = [sys.executable, "-m", "wherewhat_pl"]
    subprocess.run([*program, "sweep", "file=tiny.yaml", "project=p"], cwd=tmp_path, check=True)
    words = ["slurm", "agent=test/p/sweep0", "count=2", "nodes=2", "gpus=0"]
    said = subprocess.run([*program, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    log = tmp_path / AGENTS / f"slurm-{said.split()[1]}.out"
    job = Job(said.split()[1], RunDir(log.parent))
    wait_for(lambda: [*tmp_path.glob("runs/shapes3d_quick/*/metrics.jsonl")], log)
    subprocess.run(["scancel", "--signal=USR1", "--batch", job.number], check=True)
    facts = job.wait_until(*ENDED)
    assert (facts["JobState"], facts["Restarts"]) == ("COMPLETED", "1"), log.read_text()
    assert "back in the queue" in log.read_text()
    state = state_of_server()
    assert state["unknown"] == []
    runs = [*state["runs"].values()]
    assert [(run["state"], run["exit"], run["starts"]) for run in runs] == [("finished", 0, 2), ("finished", 0, 1)]
    assert [run["preempting"] for run in runs] == [True, False]
    for run in runs:
        assert run["config"]["trainer"]["num_nodes"] == 2
        (folder,) = (
            path.parents[1] for path in tmp_path.glob("runs/*/*/wandb/run-id") if path.read_text() == run["name"]
        )
        rows = [json.loads(line)["images_seen"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert rows[-1] == 400
        assert -4 <= run["summary"]["eval/tpl_objective"] <= 1


def wait_for(there, log, seconds=200):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, log.read_text() if log.is_file() else "the job has not started"
        time.sleep(0.2)

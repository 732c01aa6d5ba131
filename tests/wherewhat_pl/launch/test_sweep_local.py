import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

optuna = pytest.importorskip("optuna")

from wherewhat_pl.errors import ConfigError  # noqa: E402
from wherewhat_pl.launch.sweep_file import Parameter, Sweep, read_sweep  # noqa: E402
from wherewhat_pl.launch.sweep_local import LocalSweep, environment, pruner, sampler, suggest  # noqa: E402
from wherewhat_pl.run.lock import run_lock  # noqa: E402

ROOT = Path(__file__).parents[3]

#: A stand-in for the training: logs five values that fall, or rise if the setting x is above 1, and can be continued.
TRAINING = """
import json, pathlib, sys, time
said = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(said["run.root"], said["exp"], said["run.name"])
log = folder / "metrics.jsonl"
done = len(log.read_text().splitlines()) if log.exists() else 0
with (folder / "starts").open("a") as starts:
    starts.write(f"{done}\\n")
for step in range(done, 5):
    x = float(said["model.ps.weight"])
    with log.open("a") as file:
        file.write(json.dumps({"images_seen": step, "loss/ps": x * (step + 1 if x > 1 else 1 / (step + 1))}) + "\\n")
    time.sleep(0.05)
"""


@pytest.fixture
def sweep(tmp_path):
    """A function: parameters, and what else differs -> a sweep of the stand-in."""
    program = tmp_path / "training.py"
    program.write_text(TRAINING)

    def make(parameters, method="random", **more):
        content = {"method": method, "metric": {"name": "loss/ps"}, "parameters": {}, **more}
        command = ("python", str(program), "wherewhat_pl", "train", "exp=shapes3d_quick", "${args_no_hyphens}")
        return Sweep(tmp_path / "x.yaml", content, command, parameters, "loss/ps", False)

    return make


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("wherewhat_pl.launch.sweep_local.POLL_S", 0.02)


def starts(folder):
    return {path.parent.name: path.read_text().split() for path in folder.glob("*/*/starts")}


def states(local):
    return [trial.state.name for trial in local.study.trials]


WEIGHT = {"model.ps.weight": Parameter(low=0.1, high=0.9)}
THREE = {"model.ps.weight": Parameter((0.1, 0.2, 0.3))}


def test_parameters_are_drawn_from_what_the_file_says(sweep):
    parameters = {
        "a": Parameter((None, "x", 3)),
        "b": Parameter(low=1, high=3, whole=True),
        "c": Parameter(low=0.01, high=1.0, logarithmic=True),
        "d": Parameter(low=10, high=100, step=5),
    }
    for method in ("random", "bayes"):
        study = optuna.create_study(sampler=sampler(sweep(parameters, method), seed=0))
        trial = study.ask()
        values = {key: suggest(trial, key, parameter) for key, parameter in parameters.items()}
        kinds = trial.distributions
        assert kinds["a"] == optuna.distributions.CategoricalDistribution((None, "x", 3))
        assert kinds["b"] == optuna.distributions.IntDistribution(1, 3)
        assert kinds["c"] == optuna.distributions.FloatDistribution(0.01, 1.0, log=True)
        assert values["d"] % 5 == 0


@pytest.mark.slow
def test_a_grid_has_every_cell_once(sweep, tmp_path):
    parameters = {"model.ps.weight": Parameter((0.1, 0.2)), "seed": Parameter(low=0, high=1, whole=True)}
    local = LocalSweep(sweep(parameters, "grid"), tmp_path / "s")
    local.run(count=None, jobs=2)
    cells = Counter(tuple(trial.params.values()) for trial in local.study.trials)
    assert len(cells) == 4
    assert set(cells.values()) == {1}
    assert set(states(local)) == {"COMPLETE"}


@pytest.mark.slow
def test_what_has_ended_is_not_repeated_and_the_search_goes_on_elsewhere(sweep, tmp_path):
    LocalSweep(sweep(WEIGHT), tmp_path / "s").run(count=2, jobs=1)
    local = LocalSweep(sweep(WEIGHT), tmp_path / "s")
    local.run(count=4, jobs=2)
    assert starts(tmp_path / "s") == {f"trial000{number}": ["0"] for number in range(4)}
    assert len({trial.params["model.ps.weight"] for trial in local.study.trials}) == 4


@pytest.mark.slow
def test_a_trial_left_running_goes_on_in_its_folder_with_its_parameters(sweep, tmp_path):
    killed = LocalSweep(sweep(WEIGHT), tmp_path / "s")
    item = killed._start(None, 0, 1)
    while not killed._values(item.run):
        time.sleep(0.01)
    item.process.kill()
    item.process.wait()
    local = LocalSweep(sweep(WEIGHT), tmp_path / "s")
    local.run(count=1, jobs=1)
    (trial,) = local.study.trials
    assert trial.params == item.trial.params
    assert trial.value == pytest.approx(trial.params["model.ps.weight"] / 5)
    first, then = starts(tmp_path / "s")["trial0000"]
    assert first == "0" < then


@pytest.mark.slow
def test_a_trial_whose_training_lives_on_is_not_started_twice(sweep, tmp_path):
    killed = LocalSweep(sweep(WEIGHT), tmp_path / "s")
    item = killed._start(None, 0, 1)
    item.process.wait()
    with run_lock(item.run.path), pytest.raises(ConfigError, match="wait for it, stop it"):
        LocalSweep(sweep(WEIGHT), tmp_path / "s").run(count=1, jobs=1)
    LocalSweep(sweep(WEIGHT), tmp_path / "s").run(count=1, jobs=1)
    assert starts(tmp_path / "s") == {"trial0000": ["0", "5"]}


@pytest.mark.slow
def test_a_bad_trial_is_stopped_early(sweep, tmp_path):
    early = {"type": "hyperband", "min_iter": 2, "eta": 2}
    local = LocalSweep(sweep({"model.ps.weight": Parameter(low=0.1, high=9)}, early_terminate=early), tmp_path / "s")
    for weight in (0.2, 0.1, 5.0):
        local.study.enqueue_trial({"model.ps.weight": weight})
    local.run(count=3, jobs=1)
    assert states(local) == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert local.study.best_trial.params == {"model.ps.weight": 0.1}


def test_brackets_are_where_weights_and_biases_has_them():
    assert pruner({"type": "hyperband", "max_iter": 27, "s": 2})._min_resource == 3
    assert pruner({"type": "hyperband", "min_iter": 4, "eta": 2})._reduction_factor == 2
    assert isinstance(pruner(None), optuna.pruners.NopPruner)


@pytest.mark.slow
def test_a_trial_that_fails_says_why_and_the_others_go_on(sweep, tmp_path, capsys):
    failing = TRAINING.replace(
        "import json", "import sys; '=0.2' in str(sys.argv) and sys.exit('error: no'); import json"
    )
    (tmp_path / "training.py").write_text(failing)
    local = LocalSweep(sweep(THREE, "grid"), tmp_path / "s")
    local.run(count=None, jobs=1)
    assert states(local) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert "trial0001  failed: no (see " in capsys.readouterr().out


@pytest.mark.slow
def test_a_trial_that_a_signal_stopped_has_not_failed_but_goes_on(sweep, tmp_path, capsys):
    program = tmp_path / "training.py"
    sweep = sweep(WEIGHT)
    program.write_text("raise SystemExit(128 + 15)")
    LocalSweep(sweep, tmp_path / "s").run(count=1, jobs=1)
    assert "trial0000  stopped by a signal; the same command continues it" in capsys.readouterr().out
    program.write_text(TRAINING)
    local = LocalSweep(sweep, tmp_path / "s")
    local.run(count=1, jobs=1)
    assert states(local) == ["COMPLETE"]


def test_a_study_of_another_file_is_refused(sweep, tmp_path):
    LocalSweep(sweep(WEIGHT), tmp_path / "s")
    with pytest.raises(ConfigError, match=r"was begun from another version of it; choose another name=\.\.\."):
        LocalSweep(sweep(WEIGHT, "bayes"), tmp_path / "s")


def test_parallel_trials_share_gpus_and_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    shares = [environment(slot, jobs=2) for slot in range(2)]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["0,2,4", "1,3"]
    assert environment(6, jobs=7)["CUDA_VISIBLE_DEVICES"] == "1"
    assert int(shares[0]["OMP_NUM_THREADS"]) >= 1
    assert environment(0, jobs=1)["CUDA_VISIBLE_DEVICES"] == "0,1,2,3,4"


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_continues_and_repeats_nothing(tmp_path, tiny_settings):
    """The real command and the real training; the whole process group is killed while the second trial trains."""
    command = ["python", "-m", "wherewhat_pl", "train", "exp=shapes3d_quick", *tiny_settings, "trainer.max_kimg=0.4"]
    command += ["pictures.interval_kimg=10", "checkpoint.interval_kimg=0.02", "${args_no_hyphens}"]
    content = {"method": "grid", "metric": {"name": "loss/ps"}, "parameters": {"seed": {"values": [0, 1]}}}
    file = tmp_path / "seeds.yaml"
    file.write_text(yaml.safe_dump(content | {"command": command}))
    words = [sys.executable, "-m", "wherewhat_pl", "sweep-local", f"file={file}", f"root={tmp_path}", "device=cpu"]
    folder = tmp_path / "sweeps" / "seeds" / "shapes3d_quick"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(words, cwd=tmp_path, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not list(folder.glob("trial0001/checkpoints/*.ckpt")):
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    before = (folder / "trial0000" / "metrics.jsonl").stat().st_mtime_ns
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 trials trained to their end" in done.stdout
    assert "optuna-dashboard sqlite:///" in done.stdout
    assert "trial0000  seed" not in done.stdout, "a finished trial was started again"
    assert (folder / "trial0000" / "metrics.jsonl").stat().st_mtime_ns == before
    assert "continued at" in (folder / "trial0001" / "log.txt").read_text()
    for number in range(2):
        rows = [json.loads(row) for row in (folder / f"trial000{number}" / "metrics.jsonl").read_text().splitlines()]
        losses = [row["images_seen"] for row in rows if "loss/ps" in row]
        assert losses == sorted(set(losses))
        assert losses[-1] == 400
    assert (tmp_path / "sweeps" / "seeds" / "selection" / "table.csv").is_file()
    assert read_sweep(file).method == "grid"

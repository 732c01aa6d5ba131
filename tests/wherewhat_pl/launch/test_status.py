"""What is told of runs, from fabricated folders; nothing of it needs torch."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from wherewhat_pl.cli import main
from wherewhat_pl.config import to_yaml
from wherewhat_pl.launch.status import find_runs, status_of, table
from wherewhat_pl.run.files import append_row
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.lock import STALE_S, run_lock

ROOT = Path(__file__).parents[3]
LOSSES = {"loss/generator_adversarial": 0.8, "loss/discriminator_adversarial": 1.25, "loss/ps": 12.5}


@pytest.fixture
def fabricated(tiny, tmp_path):
    """A function: name, images seen, of how many -> the folder of such a run."""

    def make(name, images=0, of=64):
        run = RunDir(tmp_path / "shapes" / name)
        run.checkpoints.mkdir(parents=True)
        run.config_file.write_text(to_yaml(tiny(f"trainer.max_kimg={of / 1000}")))
        for seen in range(16, images + 1, 16):
            append_row(run.metrics_file, {"images_seen": seen, **LOSSES, "images_per_s": 0.1})
        if images:
            with zipfile.ZipFile(run.checkpoint_at(images), "w") as archive:
                archive.writestr("data", "weights")
        return run

    return make


def test_states_follow_from_images_lock_and_queue(fabricated):
    new, stopped, finished, waiting = (
        fabricated(name, images) for name, images in (("new", 0), ("half", 32), ("all", 64), ("queued", 32))
    )
    (waiting.path / "slurm-job").write_text("12_3")
    jobs = {"12_3": "PENDING", "99": "RUNNING"}
    assert [status_of(run, jobs).state for run in (new, stopped, finished, waiting)] == [
        "new", "stopped", "finished", "waiting",
    ]  # fmt: skip
    assert status_of(waiting, jobs).job == "12_3"
    assert status_of(waiting, {"12_3": "RUNNING"}).state == "starting"
    assert status_of(waiting, {}).state == "stopped"
    with run_lock(waiting.path):
        assert status_of(waiting, jobs).state == "running"


def test_a_lock_that_was_left_behind_is_no_running_run(fabricated):
    run, now = fabricated("lost", 32), time.time()
    for holder, silent_s, state in (
        ({"host": "elsewhere", "pid": 1, "token": "a"}, 5, "running"),
        ({"host": "elsewhere", "pid": 1, "token": "a"}, STALE_S + 5, "stopped"),
        ({"host": os.uname().nodename, "pid": 2**30, "token": "a"}, 5, "stopped"),
    ):
        (run.path / ".lock").write_text(json.dumps(holder))
        os.utime(run.path / ".lock", (now - silent_s, now - silent_s))
        assert status_of(run, {}).state == state


def test_damage_is_a_config_that_cannot_be_read_or_checkpoints_that_are_all_torn(fabricated):
    torn, odd, one_left = fabricated("torn", 32), fabricated("odd", 32), fabricated("one", 48)
    torn.checkpoint_at(32).write_bytes(torn.checkpoint_at(32).read_bytes()[:-20])
    odd.config_file.write_text("model: {loss: [")
    one_left.checkpoint_at(64).write_bytes(b"")
    states = {run.path.name: status_of(run, {}) for run in (torn, odd, one_left)}
    assert (states["torn"].state, states["odd"].state) == ("damaged", "damaged")
    assert states["one"].state != "damaged"
    said = table(list(states.values()))
    assert "no checkpoint there is whole" in said
    assert "odd/config.yaml: cannot be read" in said


def test_time_left_is_images_left_at_the_newest_speed(fabricated):
    assert status_of(fabricated("half", 32), {}).seconds_left == pytest.approx(320)
    assert status_of(fabricated("all", 64), {}).seconds_left is None


def test_the_table_holds_the_newest_numbers_and_fits_120_columns(fabricated):
    run = fabricated("seed0+" + "a-long-setting=1+" * 6, 64, of=25_000_000)
    (run.path / "slurm-job").write_text("1234567_12")
    for seen, value in ((16, 0.5), (32, 0.125)):
        append_row(run.eval_file, {"metric": "tpl_small", "images_seen": seen, "value": value})
    append_row(run.eval_file, {"metric": "fvm", "images_seen": 32, "value": 0.99})
    lines = table([status_of(run, {"1234567_12": "PENDING"})]).splitlines()
    assert max(len(line) for line in lines) <= 120
    for word in ("waiting 1234567_12", "25.0M", "G 0.8", "D 1.25", "PS 12.5", "0.125"):
        assert word in lines[1]


def test_rows_of_others_do_no_harm(fabricated):
    run = fabricated("odd", 32)
    run.metrics_file.write_text('{"images_seen": "many", "images_per_s": "fast"}\n[1]\nnot json\n')
    run.eval_file.write_text('{"metric": "tpl_small", "value": null}\n{"metric": 3}\n')
    status = status_of(run, {})
    assert (status.images, status.images_per_s, status.tpl) == (32, None, None)
    assert table([status])


def test_only_runs_are_listed_and_none_is_a_mistake(fabricated, tmp_path, capsys):
    run = fabricated("run", 16)
    (run.path.parent / "selection").mkdir()
    submitted = run.path.parent / "submitted"
    submitted.mkdir()
    (submitted / "slurm-job").write_text("5")
    assert [run.path.name for run in find_runs(f"{tmp_path}/shapes/*")] == ["run", "submitted"]
    with pytest.raises(SystemExit) as stop:
        main(["status", "runs=nowhere/*"])
    assert (stop.value.code, capsys.readouterr().err) == (2, "error: runs=nowhere/*: there is no run\n")


def test_it_needs_no_torch_and_watches_until_ctrl_c(fabricated):
    run = fabricated("run", 16)
    program = f"""
import sys
from wherewhat_pl import signals
signals.install()
from wherewhat_pl.cli import main
try:
    main(["status", "runs={run.path}", "--watch"])
finally:
    assert "torch" not in sys.modules
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        lines = [watching.stdout.readline() for _ in range(4)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    assert "Ctrl-C" in lines[0]
    assert lines[3].split()[:3] == ["shapes", "run", "stopped"]

"""Who starts the processes, on which devices, and what is said when one of them is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment

from tests.conftest import mostly_slow
from wherewhat_pl.distributed import check_devices, device_count, environment_for
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.train import train

ROOT = Path(__file__).parents[2]

#: What Slurm says in a batch script of two tasks that does not use srun, and in an interactive allocation.
BATCH = {"SLURM_JOB_ID": "12345", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
INTERACTIVE = {**BATCH, "SLURM_JOB_NAME": "interactive", "SLURM_STEP_NUM_TASKS": "1"}
STEP = {**BATCH, "SLURM_STEP_NUM_TASKS": "2", "SLURM_NODEID": "0", "SLURM_NODELIST": "node[1-2]"}


@pytest.fixture(params=mostly_slow([INTERACTIVE, BATCH, {**INTERACTIVE, "SLURM_JOB_NAME": "bash"}], 1))
def allocation(request, monkeypatch):
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


def test_an_allocation_without_srun_is_a_machine_like_any_other(allocation, tiny):
    for world_size in (1, 2):
        assert [type(found) for found in environment_for(world_size)] == [LightningEnvironment]
    assert train(tiny("trainer.max_kimg=0.008"), []) == 0


def test_a_step_of_several_tasks_is_slurms_and_must_be_as_many_as_the_devices(monkeypatch):
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "node1")  # what it would find out, and leave there
    (environment,) = environment_for(2)
    assert isinstance(environment, SLURMEnvironment)
    assert not environment.auto_requeue
    assert (environment.world_size(), environment.main_address) == (2, "node1")
    check_devices(2, "cpu", 1)
    check_devices(1, "cpu", 2)
    with pytest.raises(ConfigError, match=r"trainer.devices=1: makes 1 processes on 1 nodes, but srun started 2"):
        check_devices(1, "cpu", 1)


def test_outside_of_slurm_lightning_finds_out_who_starts_the_processes(monkeypatch):
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    assert environment_for(2) == []


def test_devices_that_are_not_here_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for accelerator in ("gpu", "cuda", "mps"):
        with pytest.raises(ConfigError, match=f"trainer.accelerator={accelerator}: there is no such device here"):
            check_devices(None, accelerator, 1)
    check_devices(4, "auto", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_devices(2, "gpu", 1)
    with pytest.raises(ConfigError, match=r"trainer.devices=4: there are 2 here"):
        check_devices(4, "auto", 1)


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu"):
        train(tiny("trainer.accelerator=gpu"), [])
    assert not list(tmp_path.iterdir())


def _children(pid):
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid=,args="], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "wherewhat_pl" in line]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_process_is_named_in_one_line(tiny_settings, tmp_path, lost):
    said = (tmp_path / "stderr").open("w+")
    command = [sys.executable, "-m", "wherewhat_pl", "train", "exp=shapes3d_quick", *tiny_settings, "trainer.devices=2"]
    process = subprocess.Popen(
        [*command, f"run.root={tmp_path}", "run.name=two", "trainer.max_kimg=1000"],
        stdout=subprocess.DEVNULL,
        stderr=said,
    )
    try:
        deadline = time.monotonic() + 300
        while not (tmp_path / "shapes3d_quick/two/checkpoints/last.ckpt").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (child,) = _children(process.pid)
        os.kill(child if lost else process.pid, signal.SIGKILL)
        killed = time.monotonic()
        status = process.wait(timeout=60)
        while os.path.exists(f"/proc/{child}") and not lost:
            assert time.monotonic() < killed + 60, "the other process is still there"
            time.sleep(0.2)
    finally:
        process.kill()
    said.seek(0)
    lines = said.read()
    assert status == (1 if lost else -signal.SIGKILL)
    assert [line for line in lines.splitlines() if line.startswith("error: ")] == [
        f"error: process {lost}{', killed by signal 9,' * lost} is gone; "
        "the last checkpoint is kept, and the same command goes on from it"
    ]
    assert "Traceback" not in lines


def test_torchrun_says_how_many_processes_there_are(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert device_count(None, "cpu") == 2
    check_devices(None, "cpu", num_nodes=2)
    check_devices(2, "cpu", num_nodes=2)
    with pytest.raises(ConfigError, match=r"trainer.devices=3: makes 6 processes on 2 nodes, but torchrun started 4"):
        check_devices(3, "cpu", num_nodes=2)
    with pytest.raises(ConfigError, match="makes 2 processes on 1 nodes, but torchrun started 4"):
        check_devices(None, "cpu", num_nodes=1)


def by_torchrun(program, *words):
    """Two processes of a program."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run([*launcher, *program, *words], cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_torchrun_gives_the_run_that_lightnings_own_processes_give(tiny_settings, tmp_path):
    settings = [word for word in tiny_settings if not word.startswith("trainer.devices")]
    words = ["train", "exp=shapes3d_quick", *settings, "trainer.batch_size=8", f"run.root={tmp_path}", "run.name=x"]
    words += ["trainer.max_kimg=0.08"]
    program = tmp_path / "program.py"
    program.write_text(
        "import atexit, torch.distributed as dist\nfrom wherewhat_pl.cli import main\n"
        "atexit.register(lambda: print('still together' if dist.is_initialized() else 'parted'))\nmain()\n"
    )
    launched = by_torchrun([str(program)], *words)
    assert launched.returncode == 0, launched.stderr
    # else threads of the transport may be at work when Python ends, and abort the process
    assert (launched.stdout.count("parted"), launched.stdout.count("still together")) == (2, 0)
    own = [sys.executable, "-m", "wherewhat_pl", *words, "run.name=own", "trainer.devices=2"]
    assert subprocess.run(own, capture_output=True, timeout=300).returncode == 0
    one, other = (
        load_checkpoint(tmp_path / "shapes3d_quick" / name / "checkpoints" / "last.ckpt") for name in ("x", "own")
    )
    assert one["images_seen"] == other["images_seen"] == 80
    assert all(torch.equal(tensor, other["state_dict"][name]) for name, tensor in one["state_dict"].items())


@pytest.mark.slow
def test_after_fifty_steps_both_processes_hold_what_ddp_makes_that_looks_for_unused_parameters():
    done = by_torchrun(["-m", "tests.wherewhat_pl.two_reductions"])
    assert done.returncode == 0, done.stderr
    _, from_ddp, _, between_processes = done.stdout.split()
    assert float(between_processes) == 0
    assert float(from_ddp) <= 1e-6


@pytest.mark.slow
def test_a_process_started_with_another_seed_is_refused_before_the_first_step(tiny_settings, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\nfrom wherewhat_pl.cli import main\nmain([*sys.argv[1:], f'seed={os.environ[\"RANK\"]}'])\n"
    )
    settings = [word for word in tiny_settings if not word.startswith("trainer.devices")]
    words = ["train", "exp=shapes3d_quick", *settings, f"run.root={tmp_path}", "run.name=x", "trainer.max_kimg=0.08"]
    done = by_torchrun([str(program)], *words)
    assert done.returncode != 0
    assert (
        "error: seed=1: process 1 was started with this, the first one with 0; start all of them alike" in done.stderr
    )
    assert not list((tmp_path / "shapes3d_quick" / "x" / "checkpoints").glob("*.ckpt"))

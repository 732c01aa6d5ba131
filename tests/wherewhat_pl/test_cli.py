import os
import re
import signal
import subprocess
import sys
import time

import pytest

from wherewhat_pl.cli import main
from wherewhat_pl.run.checkpoints import load_checkpoint


def status_of(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "'trian': no such verb; did you mean 'train'?"),
        (["train"], "exp=NAME is missing"),
        (["train", "exp=shapes3d_quik"], "did you mean 'shapes3d_quick'?"),
        (["train", "exp=shapes3d_quick", "model.mask=circles"], "model.mask=circles: must be one of rectangles"),
        (["train", "exp=shapes3d_quick", "--dry-rnu"], "'--dry-rnu': no such option; did you mean '--dry-run'?"),
        (["train", "exp=shapes3d_quick", "data.name=shapes"], "data.name=shapes: must be one of"),
        (["train", "exp=shapes3d_quick", "trainer.batch_size=10", "trainer.devices=4"], "must be divisible by the 4"),
        (
            ["train", "exp=shapes3d_quick", "data.resolution=32", "run.root={tmp}"],
            "data.resolution=32: model.generator.modules draws 16 px",
        ),
        (["train", "exp=shapes3d_quick", "data.source=official", "data.root=nowhere", "run.root={tmp}"], "3dshapes.h5"),
        (["train", "exp=shapes3d_quick", "run.root=/proc/runs"], "run.root=/proc/runs: cannot write"),
        (["bench", "fast"], "bench takes only=NAME"),
    ],
)
def test_a_mistake_ends_in_one_line_and_writes_nothing(arguments, message, capsys, tmp_path):
    assert status_of(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_print_config_prints_what_can_be_read_back(capsys, tmp_path):
    from wherewhat_pl.config import load_config, saved_config

    assert status_of("train", "exp=shapes3d_quick", "seed=5", "--print-config") == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert saved_config(tmp_path / "printed.yaml") == load_config("shapes3d_quick", ["seed=5"])


def test_help_lists_the_verbs(capsys):
    assert status_of("--help") == 0
    assert "train" in capsys.readouterr().out


@pytest.fixture
def tiny_command(tiny_settings, tmp_path):
    """A function: name of the run, settings -> the command that trains the tiny experiment."""
    command = [
        sys.executable,
        "-m",
        "wherewhat_pl",
        "train",
        "exp=shapes3d_quick",
        *tiny_settings,
        f"run.root={tmp_path}",
    ]
    return lambda name, *more: [*command, f"run.name={name}", *more]


def start(command):
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"WANDB_MODE": "disabled"},
    )


def wait_for_checkpoint(run, process, timeout_s=180):
    deadline = time.monotonic() + timeout_s
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_started_again_the_weights_are_the_same_bit_for_bit(tiny_command, tmp_path):
    length = "trainer.max_kimg=1.2"
    assert subprocess.run(tiny_command("whole", length), capture_output=True).returncode == 0
    command = tiny_command("killed", length)
    run = tmp_path / "shapes3d_quick" / "killed"
    process = start(command)
    wait_for_checkpoint(run, process)
    time.sleep(0.3)
    process.kill()  # SIGKILL
    process.wait()
    killed_at = load_checkpoint(run / "checkpoints" / "last.ckpt")["images_seen"]
    assert killed_at < 1200, "the run ended before it could be killed"
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert re.search(r"continued at [\d,]+ images", again.stderr + again.stdout)
    import torch

    whole, killed = (
        load_checkpoint(tmp_path / "shapes3d_quick" / n / "checkpoints" / "last.ckpt") for n in ("whole", "killed")
    )
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, killed["state_dict"][name]), name


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_ends_at_once_with_the_command_that_continues(tiny_command, tmp_path, number):
    command = tiny_command("stopped", "trainer.max_kimg=100")
    process = start(command)
    run = tmp_path / "shapes3d_quick" / "stopped"
    wait_for_checkpoint(run, process)
    process.send_signal(number)
    sent = time.monotonic()
    said, _ = process.communicate(timeout=60)
    seconds = time.monotonic() - sent
    assert process.returncode == 128 + number
    stopped_at = int(re.search(r"stopped and saved at ([\d,]+) images", said)[1].replace(",", ""))
    assert load_checkpoint(run / "checkpoints" / "last.ckpt")["images_seen"] == stopped_at
    assert "python -m wherewhat_pl train exp=shapes3d_quick" in said
    assert "Traceback" not in said
    assert seconds < 5  # two on an idle machine

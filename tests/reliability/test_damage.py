"""A checkpoint of a real run with one bit flipped, or a stretch of it zeroed, is noticed, always."""

import os
import random
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from wherewhat_pl.cli import main
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.files import read_rows
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train


@pytest.fixture(scope="module")
def trained(tiny_config, tmp_path_factory):
    """A finished run with checkpoints at 16 and 24 images, and the words of the command that trained it."""
    root = tmp_path_factory.mktemp("damage")
    assert train(tiny_config(root, "trainer.max_kimg=0.024"), []) == 0
    return RunDir(root / "shapes3d_quick" / "test")


@pytest.fixture
def run(trained, tmp_path):
    """A copy that a test may damage."""
    folder = tmp_path / "runs" / "shapes3d_quick" / "test"
    shutil.copytree(trained.path, folder, symlinks=True)
    return RunDir(folder)


def flip(content, draw):
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def zero(content, draw):
    """64 or 4096 bytes, of which at least one was not zero."""
    length = draw.choice((64, 4096))
    start = next(place for place in iter(lambda: draw.randrange(len(content)), None) if any(content[place:][:length]))
    content[start : start + length] = bytes(len(content[start : start + length]))


def damage(path, how, draw):
    content = bytearray(path.read_bytes())
    how(content, draw)
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("how", [flip, zero])
def test_sixty_damages_are_noticed_sixty_times_and_the_checkpoint_before_it_is_used(run, how):
    newest, before = run.kept_checkpoints()
    content, draw = newest.read_bytes(), random.Random(0)
    for number in range(60):
        newest.write_bytes(content)
        damage(newest, how, draw)
        path, images_seen, complaints = run.newest_sound_checkpoint()
        assert (path, images_seen) == (before, 16), number
        assert len(complaints) == 1
        assert f"{newest.name}: is damaged" in complaints[0]
        assert "\n" not in complaints[0]


def start(run, tiny_settings, capsys):
    words = ["train", "exp=shapes3d_quick", *tiny_settings, "trainer.max_kimg=0.032", "run.name=test"]
    with pytest.raises(SystemExit) as stop:
        main([*words, f"run.root={run.path.parents[1]}"])
    return stop.value.code, [line for line in capsys.readouterr().err.splitlines() if line.startswith(("err", "warn"))]


@pytest.mark.slow
def test_the_damaged_one_is_named_and_gone_once_the_run_has_passed_it(run, tiny_settings, capsys):
    newest = run.kept_checkpoints()[0]
    damage(newest, flip, random.Random(1))
    status, said = start(run, tiny_settings, capsys)
    assert status == 0
    assert len(said) == 1
    assert f"{newest.name}: is damaged" in said[0]
    assert "using the one before it" in said[0]
    assert run.newest_sound_checkpoint()[1:] == (32, [])


def test_if_all_are_damaged_one_line_says_so_and_nothing_is_touched(run, tiny_settings, capsys):
    for path in run.kept_checkpoints():
        damage(path, flip, random.Random(2))
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    status, said = start(run, tiny_settings, capsys)
    assert status == 2
    assert len(said) == 1
    assert "is damaged" in said[0]
    assert "choose another run.name" in said[0]
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}


KILLED_IN_A_WRITE = """
import os, signal
from pathlib import Path
from wherewhat_pl import cli
from wherewhat_pl.callbacks import checkpoint
seal = checkpoint.seal
def seal_or_die(path):
    if "000000024" in path.name:
        with path.open("rb+") as file:
            file.truncate(path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    seal(path)
checkpoint.seal = seal_or_die
cli.main()
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_checkpoints_write_costs_that_checkpoint_alone(trained, tiny_settings, tmp_path):
    words = ["train", "exp=shapes3d_quick", *tiny_settings, "trainer.max_kimg=0.024"]
    words += [f"run.root={tmp_path}", "run.name=test"]
    done = subprocess.run([sys.executable, "-c", KILLED_IN_A_WRITE, *words], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = RunDir(tmp_path / "shapes3d_quick" / "test")
    assert run.newest_sound_checkpoint()[1] == 16
    os.unlink(run.path / ".lock")  # of a process that is no more; taken over all the same, but with a word
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    ours, theirs = (load_checkpoint(each.last_checkpoint)["state_dict"] for each in (run, trained))
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
    ours, theirs = ([row["images_seen"] for row in read_rows(each.metrics_file)] for each in (run, trained))
    assert ours == theirs

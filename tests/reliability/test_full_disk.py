"""A disk that is really full: a small file system of its own, where mounting one is allowed."""

import contextlib
import subprocess
import time
import warnings

import pytest

from tests.reliability.loop import Left, Training
from wherewhat_pl.cli import main
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.system import DisentanglingGAN
from wherewhat_pl.train import train

pytestmark = pytest.mark.slow

FULL_FROM, ROOM_FROM, END = 40, 240, 320  # images seen
SETTINGS = (
    "logger.interval_kimg=0.004",
    "pictures.interval_kimg=0.1",
    "eval.interval_kimg=0.1",
    "eval.metrics=[where]",
)


@pytest.fixture
def disk(tmp_path):
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def fill(disk, monkeypatch):
    """A function: fill the disk when so many images are seen, make room later, if ever."""

    def at(full_from, room_from=None):
        step, filler = DisentanglingGAN.step, disk / "filler"

        def step_and_fill(system, *arguments):
            step(system, *arguments)
            if system.images_seen == full_from:
                with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
            elif system.images_seen == room_from:
                filler.unlink()

        monkeypatch.setattr(DisentanglingGAN, "step", step_and_fill)

    return at


def test_training_goes_on_says_so_and_catches_up_its_rows(tiny, tiny_config, disk, fill, capsys):
    length = f"trainer.max_kimg={END / 1000}"
    alone, hurt = tiny(length, *SETTINGS), tiny_config(disk, length, *SETTINGS)
    assert train(alone, []) == 0
    fill(FULL_FROM, ROOM_FROM)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert train(hurt, []) == 0
    said = [str(warning.message) for warning in caught]
    for name in ("metrics.jsonl", "images-000000100.png", "eval.jsonl"):
        assert sum(f"{name}: cannot be written" in line for line in said) == 1, said
    assert any("checkpoint: not saved at" in line and "No space left" in line for line in said), said
    ending = capsys.readouterr().err
    for part in ("MetricsLog", "AtomicCheckpoint", "TraversalPictures", "Evaluation"):
        assert f"warning: {part} could not write everything in time" in ending
    assert not Left.by(RunDir.of(hurt)).differences(Left.by(RunDir.of(alone)))


def test_a_last_checkpoint_that_cannot_be_written_is_an_error(tiny_settings, disk, fill, capsys):
    fill(FULL_FROM)
    words = ["train", "exp=shapes3d_quick", *tiny_settings, *SETTINGS, "trainer.max_kimg=0.08", "run.name=test"]
    with pytest.raises(SystemExit) as stop:
        main([*words, f"run.root={disk}"])
    assert stop.value.code == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "images-000000080.ckpt" in errors[0]
    assert RunDir(disk / "shapes3d_quick" / "test").newest_sound_checkpoint()[1] == FULL_FROM - 8


def test_of_two_processes_only_the_first_writes_and_both_outlive_a_full_disk(disk, tmp_path):
    settings = (*Training.settings, "trainer.devices=2", "trainer.max_kimg=0.6", "checkpoint.interval_kimg=0.04")
    alone, hurt = Training(tmp_path, "alone", settings=settings), Training(disk, "hurt", settings=settings)
    alone.finish()
    process, filler = hurt.start(), disk / "filler"
    deadline = time.monotonic() + 300
    while not hurt.run.last_checkpoint.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    said = ""
    while "checkpoint: not saved at" not in said:
        said = process.stderr.readline()
        assert said, "it has ended"
    filler.unlink()
    _, more = process.communicate(timeout=300)
    assert process.returncode == 0, more
    assert "No space left" in said
    assert not alone.mistakes
    assert not Left.by(hurt.run).differences(Left.by(alone.run))


def test_a_folder_that_cannot_be_written_is_one_line_before_the_first_step(disk, tiny_settings, capsys):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(SystemExit) as stop:
        main(["train", "exp=shapes3d_quick", *tiny_settings, "run.name=test", f"run.root={disk}"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: run.root=")
    assert "cannot write to" in line
    assert line.endswith("(Read-only file system)")

"""What a row reports is a function of the run alone: every row once, in order, whatever happened in between."""

import json
import shutil

import pytest

from wherewhat_pl.callbacks.checkpoint import AtomicCheckpoint
from wherewhat_pl.run import files
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train

LENGTH = "trainer.max_kimg=0.048"


def rows_of(config):
    """Rows without the speed, which is the machine's."""
    lines = RunDir.of(config).metrics_file.read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "images_per_s"} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(tiny_config, tmp_path_factory):
    config = tiny_config(tmp_path_factory.mktemp("rows"), LENGTH)
    assert train(config, []) == 0
    return rows_of(config)


@pytest.mark.slow
@pytest.mark.parametrize("stopped_at", [0.012, 0.016, 0.020])
def test_stopped_anywhere_and_continued_the_rows_are_the_same(tiny, uninterrupted, stopped_at):
    """In the middle of an interval the sums of losses go on from the checkpoint."""
    assert train(tiny(f"trainer.max_kimg={stopped_at}"), []) == 0
    config = tiny(LENGTH)
    assert train(config, []) == 0
    assert rows_of(config) == uninterrupted


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_no_row_is_doubled(tiny, uninterrupted):
    config = tiny(LENGTH)
    assert train(tiny("trainer.max_kimg=0.016"), []) == 0
    run = RunDir.of(config)
    for path in run.checkpoints.iterdir():
        path.unlink()
    with run.metrics_file.open("a") as file:
        file.write('{"images_seen": 24, "loss/gen')
    assert train(config, []) == 0
    assert rows_of(config) == uninterrupted


@pytest.mark.slow
def test_killed_right_after_the_last_checkpoint_the_last_row_is_there(tiny, monkeypatch):
    class Killed(BaseException):
        pass

    def save_and_be_killed(checkpoint, trainer, system):
        save(checkpoint, trainer, system)
        if system.images_seen == 20:
            raise Killed

    alone, config = tiny("trainer.max_kimg=0.020"), tiny("trainer.max_kimg=0.020", "run.name=killed")
    assert train(alone, []) == 0
    save = AtomicCheckpoint.save
    with monkeypatch.context() as patch:
        patch.setattr(AtomicCheckpoint, "save", save_and_be_killed)
        with pytest.raises(Killed):
            train(config, [])
    assert train(config, []) == 0
    assert [row["images_seen"] for row in rows_of(config)] == [8, 16, 20, 20], "losses, and what was learned"
    assert rows_of(config) == rows_of(alone)


@pytest.mark.slow
def test_rows_of_metrics_are_there_once_after_continuing(tiny):
    """The continued run writes its rows again, but what stands in eval.jsonl is not measured again."""
    measured = ("eval.interval_kimg=0.016", "eval.metrics=[where]")
    alone, config = tiny(*measured, LENGTH), tiny(*measured, LENGTH, "run.name=continued")
    assert train(alone, []) == 0
    for length in ("trainer.max_kimg=0.016", "trainer.max_kimg=0.020"):
        assert train(tiny(*measured, length, "run.name=continued"), []) == 0
    newest = RunDir.of(config).kept_checkpoints()[0]
    newest.unlink()  # as if killed before it: measured at 16 before, and at 16 it goes on
    assert train(config, []) == 0
    assert [row["images_seen"] for row in rows_of(config) if "eval/where" in row] == [16, 32, 48]
    assert rows_of(config) == rows_of(alone)


@pytest.mark.slow
def test_a_finished_run_started_again_adds_nothing(tiny, uninterrupted):
    config = tiny(LENGTH)
    for _ in range(3):
        assert train(config, []) == 0
    assert rows_of(config) == uninterrupted


@pytest.mark.slow
def test_a_full_disk_costs_a_warning_and_its_rows_are_caught_up(tiny, uninterrupted, monkeypatch, capsys):
    append, calls = files.append_row, []

    def full_for_a_while(path, row):
        calls.append(row)
        if len(calls) in (2, 3):
            raise OSError(28, "No space left on device", str(path))
        append(path, row)

    monkeypatch.setattr(files, "append_row", full_for_a_while)
    config = tiny(LENGTH)
    with pytest.warns(UserWarning, match=r"metrics.jsonl: cannot be written .*training goes on") as warned:
        assert train(config, []) == 0
    assert sum("metrics.jsonl" in str(warning.message) for warning in warned) == 1
    assert rows_of(config) == uninterrupted
    assert "MetricsLog could not write everything" in capsys.readouterr().err


@pytest.mark.slow
def test_pictures_that_cannot_be_written_cost_one_warning(tiny, monkeypatch, capsys):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("wherewhat_pl.callbacks.pictures.replacing", full)
    config = tiny(LENGTH)
    with pytest.warns(UserWarning, match=r"images-000000000.png: cannot be written") as warned:
        assert train(config, []) == 0
    assert sum(".png" in str(warning.message) for warning in warned) == 1
    assert len(rows_of(config)) == 7
    assert "TraversalPictures could not write everything" in capsys.readouterr().err


@pytest.mark.slow
def test_a_missing_folder_of_pictures_is_made_again(tiny):
    config = tiny("trainer.max_kimg=0.008")
    assert train(config, []) == 0
    shutil.rmtree(RunDir.of(config).pictures)
    assert train(tiny("trainer.max_kimg=0.016"), []) == 0
    assert RunDir.of(config).picture_at(16).exists()

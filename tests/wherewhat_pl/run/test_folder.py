import json
import os

import pytest
import torch

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.files import append_row, forget_partial, read_rows, write_atomically
from wherewhat_pl.run.folder import RunDir, default_name, find_run
from wherewhat_pl.train import train


def final_state(config):
    return load_checkpoint(RunDir.of(config).last_checkpoint)


def assert_same_training(one, other):
    assert one["images_seen"] == other["images_seen"]
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][name]), name
    for ours, theirs in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for number, state in ours["state"].items():
            for key, value in state.items():
                assert torch.equal(value, theirs["state"][number][key]), (number, key)


@pytest.fixture(scope="module")
def uninterrupted(tiny_config, tmp_path_factory):
    """A finished run of 48 images, with checkpoints at 40 and 48."""
    config = tiny_config(tmp_path_factory.mktemp("uninterrupted"), "trainer.max_kimg=0.048")
    assert train(config, []) == 0
    return config


def test_a_run_folder_holds_what_it_should(uninterrupted, capsys):
    run = RunDir.of(uninterrupted)
    assert [path.name for path in run.kept_checkpoints()] == ["images-000000048.ckpt", "images-000000040.ckpt"]
    assert run.last_checkpoint.resolve().name == "images-000000048.ckpt"
    assert {path.name for path in run.pictures.glob("*.png")} >= {"images-000000000.png", "images-000000048.png"}
    rows = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [row["images_seen"] for row in rows] == [8, 16, 24, 32, 40, 48, 48]
    assert "loss/ps" in rows[0]
    assert "factor/floor_hue" in rows[-1]
    text = run.config_file.read_text()
    for word in ("versions", "torch", "source: rendered", "fingerprint", "git"):
        assert word in text
    assert not list(run.path.rglob("*.partial"))


def test_a_continued_run_equals_an_uninterrupted_one(tiny, uninterrupted):
    """Stopped at 20 images, which is no multiple of any interval, then continued to 48."""
    assert train(tiny("trainer.max_kimg=0.020"), []) == 0
    continued = tiny("trainer.max_kimg=0.048")
    assert train(continued, []) == 0
    assert_same_training(final_state(continued), final_state(uninterrupted))


@pytest.mark.slow
def test_a_damaged_last_checkpoint_is_said_and_the_one_before_it_used(tiny, uninterrupted, capsys):
    config = tiny("trainer.max_kimg=0.032")
    assert train(config, []) == 0
    run = RunDir.of(config)
    with run.last_checkpoint.open("r+b") as file:  # through the link: the newest file itself
        file.truncate(1000)
    longer = tiny("trainer.max_kimg=0.048")
    assert train(longer, []) == 0
    said = capsys.readouterr().err
    assert "images-000000032.ckpt: is damaged" in said
    assert "using the one before it" in said
    assert_same_training(final_state(longer), final_state(uninterrupted))


def test_a_finished_run_is_not_trained_further(uninterrupted, capsys):
    before = final_state(uninterrupted)
    assert train(uninterrupted, []) == 0
    assert_same_training(final_state(uninterrupted), before)


def test_resume_never_refuses_to_overwrite(uninterrupted):
    uninterrupted.run.resume = "never"
    try:
        with pytest.raises(ConfigError, match=r"run.resume=never: .* holds a run already"):
            train(uninterrupted, [])
    finally:
        uninterrupted.run.resume = "auto"


@pytest.mark.slow
def test_other_settings_make_another_run(tiny):
    config = tiny()
    run = RunDir.of(config)
    note = {"data": {"name": "shapes3d", "source": "rendered", "fingerprint": "x"}}
    run.prepare(config, note)
    run.prepare(tiny("trainer.max_kimg=7", "pictures.columns=5"), note)  # those may change
    with pytest.raises(
        ConfigError, match=r"^model.ps.weight=0.5: the run in .* was made with model.ps.weight=0.1; choose"
    ):
        run.prepare(tiny("model.ps.weight=0.5"), note)
    run.prepare(config, {"data": note["data"] | {"source": "zip"}})  # the same images in another wrapping
    run.prepare(config, note)
    with pytest.raises(ConfigError, match=r"official.*trained on shapes3d \(rendered"):
        run.prepare(config, {"data": {"name": "shapes3d", "source": "official", "fingerprint": "y"}})


def test_weights_only_start(tiny, uninterrupted):
    config = tiny("trainer.max_kimg=0.0", "run.name=second", f"run.init_from={RunDir.of(uninterrupted).path}")
    assert train(config, []) == 0
    started = final_state(config)
    assert started["images_seen"] == 0
    for name, tensor in final_state(uninterrupted)["state_dict"].items():
        assert torch.equal(tensor, started["state_dict"][name])


def test_weights_of_other_networks_are_refused_in_one_line(tiny, uninterrupted):
    config = tiny("run.name=third", "model.mask=none", f"run.init_from={RunDir.of(uninterrupted).path}")
    with pytest.raises(ConfigError, match=r"run.init_from=.*its networks are not these") as error:
        train(config, [])
    assert "\n" not in str(error.value)


def test_rows_that_will_be_written_again_are_dropped(tmp_path):
    run = RunDir(tmp_path)
    loss, ending = {"images_seen": 16, "images_per_s": 1.0}, {"images_seen": 16, "factor/shape": 0.5}
    for keep_last, kept in ((True, [{"images_seen": 8}, loss]), (False, [{"images_seen": 8}])):
        run.metrics_file.write_text('{"images_seen": 8}\n5\n{"images_seen": 24}\n{"images_seen": "8"}\n')
        append_row(run.metrics_file, loss)
        append_row(run.metrics_file, ending)
        with run.metrics_file.open("a") as file:
            file.write('{"images_se')
        run.forget_metrics_after(16, keep_last)
        assert read_rows(run.metrics_file) == kept


def test_atomic_write_leaves_the_old_file_if_the_new_one_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space") as error:
        write_atomically(path, b"new")
    assert str(path) in str(error.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    for name in (".a.ckpt.01ab.partial", ".last.ckpt.partial", ".a.html.01ab.partial", "a.ckpt", ".lock"):
        (tmp_path / name).touch()
    forget_partial(tmp_path / "a.ckpt")
    assert not (tmp_path / ".a.ckpt.01ab.partial").exists()
    forget_partial(tmp_path / "*.ckpt")
    assert {path.name for path in tmp_path.iterdir()} == {".a.html.01ab.partial", "a.ckpt", ".lock"}


def test_names_come_from_what_makes_a_run_another_one():
    assert default_name(0, []) == "seed0"
    assert default_name(3, ["seed=3", "trainer.max_kimg=5", "run.root=/x", "logger.wandb.mode=offline"]) == "seed3"
    assert default_name(0, ["model.ps.weight=0.1", "model.loss=ps"]) == "seed0+loss=ps+ps.weight=0.1"
    assert len(default_name(0, [f"model.x{i}=123456789" for i in range(20)])) <= 100


def test_a_run_that_is_not_there_is_named_with_the_nearest(tmp_path):
    (tmp_path / "seed0").mkdir()
    (tmp_path / "seed0" / "config.yaml").touch()
    with pytest.raises(ConfigError, match=r"no run there.*did you mean 'seed0'"):
        find_run(tmp_path / "sed0")


def test_others_may_read_what_was_written_if_the_umask_lets_them(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_lines_that_are_no_rows_are_passed_over_and_the_next_row_starts_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\xff\xfe\n5\nnull\n' + b"[" * 100_000 + b'\n{"a": 2}\n{"a"')
    append_row(path, {"a": 3})
    said = []
    assert read_rows(path, said.append) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert said == ["rows.jsonl: 5 of 8 lines are no rows and are passed over"]

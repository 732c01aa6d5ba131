import csv
import json
import os
import signal
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from wherewhat_pl.callbacks.tracking import WandbLog, _mode, _run_id, start_wandb
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """No key and no mode set anywhere, and a home folder of the test's own."""
    for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_automatic_mode_is_online_only_with_a_key(no_account, monkeypatch):
    assert _mode("auto") == "offline"
    (no_account / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password secret\n")
    assert _mode("auto") == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")  # a server for which there is no key
    assert _mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert _mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert _mode("auto") == "disabled"


@pytest.mark.parametrize(
    ("name", "value", "mode"),
    [
        ("WANDB_MODE", "dryrun", "offline"),
        ("WANDB_MODE", "run", "online"),
        ("WANDB_MODE", "offline", "offline"),
        ("WANDB_DISABLED", "true", "disabled"),
        ("WANDB_DISABLED", "false", "offline"),
        ("WANDB_API_KEY", " \r", "offline"),
    ],
)
def test_its_own_variables_mean_what_they_mean_there_unless_a_setting_says_otherwise(
    no_account, monkeypatch, name, value, mode
):
    monkeypatch.setenv(name, value)
    assert _mode("auto") == mode
    assert _mode("online") == "online"


@pytest.mark.slow
def test_where_a_run_belongs_is_said_by_the_settings_else_by_the_environment(no_account, tiny, monkeypatch):
    wandb = pytest.importorskip("wandb")
    said = {"PROJECT": "theirs", "RUN_GROUP": "sweep", "TAGS": "a, b", "NAME": "first", "API_KEY": "0" * 40 + "\r"}
    for name, value in said.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    started = []
    monkeypatch.setattr(
        wandb, "init", lambda **given: started.append(given) or SimpleNamespace(define_metric=lambda *_, **__: None)
    )
    monkeypatch.setattr(wandb, "setup", lambda settings: None)
    for more in ([], ["logger.wandb.project=ours", "logger.wandb.group=g", "logger.wandb.tags=c"]):
        config = tiny("logger.wandb.mode=offline", *more)
        assert start_wandb(config, RunDir.of(config), "rendered") is not None
    theirs, ours = started
    assert (theirs["project"], theirs["group"], theirs["name"]) == ("theirs", "sweep", "first")
    assert theirs["tags"] == ["a", "b", "data:rendered"]
    assert (ours["project"], ours["group"], ours["tags"]) == ("ours", "g", ["c", "data:rendered"])
    assert os.environ["WANDB_API_KEY"] == "0" * 40


def test_what_fails_in_it_costs_one_warning_and_never_the_training(recwarn):
    class Broken:
        calls = 0

        def define_metric(self, *names, **more):
            pass

        def log(self, row):
            self.calls += 1
            raise RuntimeError("the service is gone")

        def finish(self, exit_code):
            raise OSError("broken pipe")

    logger = WandbLog(Broken())
    for step in (8, 16):
        logger.log_metrics({"loss/ps": 1.0}, step)
    logger.finish(0)
    assert logger.run.calls == 1
    assert logger.missed
    assert [str(warning.message) for warning in recwarn] == [
        "logger.wandb: nothing more is logged (the service is gone); training goes on"
    ]


def test_a_start_that_fails_even_offline_costs_a_line(no_account, tiny, monkeypatch, capsys):
    wandb = pytest.importorskip("wandb")

    def fail(settings):
        raise wandb.errors.UsageError("API key must be 40 characters long")

    monkeypatch.setattr(wandb, "setup", fail)
    config = tiny("logger.wandb.mode=offline")
    assert start_wandb(config, RunDir.of(config), "rendered") is None
    assert capsys.readouterr().err == "warning: logger.wandb: is not used (API key must be 40 characters long)\n"


def test_rows_come_as_csv_to_who_wants_them(tiny):
    config = tiny("trainer.max_kimg=0.016", "logger.csv=true")
    assert train(config, []) == 0
    run = RunDir.of(config)
    with (run.path / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    as_json = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [int(row["step"]) for row in rows] == [row["images_seen"] for row in as_json] == [8, 16, 16]
    assert float(rows[0]["loss/ps"]) == as_json[0]["loss/ps"]


def test_rows_and_pictures_have_the_images_seen_as_their_x_axis():
    class Run:
        rows: ClassVar[list] = []

        def define_metric(self, *names, **more):
            pass

        def log(self, row):
            self.rows.append(row)

    pytest.importorskip("wandb")
    logger = WandbLog(Run())
    logger.log_metrics({"loss/ps": 1.0}, step=8)
    logger.log_image("traversals", [np.zeros((4, 4, 3), np.uint8)], step=16)
    assert Run.rows[0] == {"loss/ps": 1.0, "images_seen": 8}
    assert Run.rows[1].keys() == {"traversals", "images_seen"}


@pytest.mark.slow
def test_an_offline_run_keeps_its_id_when_it_is_continued(no_account, tiny):
    wandb = pytest.importorskip("wandb")
    for kimg in (0.008, 0.016):
        config = tiny(f"trainer.max_kimg={kimg}", "logger.wandb.mode=auto")
        assert train(config, []) == 0
    run = RunDir.of(config)
    run_id = (run.path / "wandb" / "run-id").read_text()
    folders = list((run.path / "wandb").glob(f"offline-run-*-{run_id}"))
    assert folders
    assert wandb.run is None, "the run was left open"
    rows = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert rows[-1]["images_seen"] == 16


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_costs_one_line(no_account, tiny, monkeypatch, capsys):
    monkeypatch.setattr("wherewhat_pl.callbacks.tracking.INIT_TIMEOUT_S", 5)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    config = tiny("trainer.max_kimg=0.008", "logger.wandb.mode=online")
    assert train(config, []) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "logger.wandb" in line]
    assert len(said) == 1
    assert "offline, since Weights & Biases cannot be reached" in said[0]
    assert list((RunDir.of(config).path / "wandb").glob("offline-run-*"))


@pytest.mark.parametrize(
    ("sweep", "number", "marked"),
    [("s", signal.SIGUSR1, True), ("s", signal.SIGTERM, False), (None, signal.SIGUSR1, False)],
)
def test_a_sweep_is_told_of_a_preemption_and_of_nothing_else(sweep, number, marked):
    class Run:
        sweep_id, said = sweep, ()

        def define_metric(self, *names, **more):
            pass

        def mark_preempting(self):
            self.said += ("preempting",)

        def finish(self, exit_code):
            self.said += (exit_code,)

    run = Run()
    WandbLog(run).finish(128 + number)
    assert run.said == (*["preempting"] * marked, 128 + number)


def test_under_a_sweep_the_run_keeps_the_id_that_its_agent_gave_it(no_account, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "of-the-agent")
    assert _run_id(RunDir(tmp_path)) == "of-the-agent"
    monkeypatch.delenv("WANDB_RUN_ID")
    assert _run_id(RunDir(tmp_path)) == "of-the-agent"

import csv
import json
from typing import ClassVar

import numpy as np
import pytest

from wherewhat_pl.callbacks.tracking import ImagesSeenLogger, _automatic_mode
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """No key and no mode set anywhere, and a home folder of the test's own."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_automatic_mode_is_online_only_with_a_key(no_account, monkeypatch):
    assert _automatic_mode() == "offline"
    (no_account / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password secret\n")
    assert _automatic_mode() == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")  # a server for which there is no key
    assert _automatic_mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert _automatic_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert _automatic_mode() == "disabled"


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

        def log(self, row):
            self.rows.append(row)

    pytest.importorskip("wandb")
    logger = ImagesSeenLogger(experiment=Run())
    logger.log_metrics({"loss/ps": 1.0}, step=8)
    logger.log_image("traversals", [np.zeros((4, 4, 3), np.uint8)], step=16)
    assert Run.rows[0] == {"loss/ps": 1.0, "images_seen": 8}
    assert Run.rows[1].keys() == {"traversals", "images_seen"}


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

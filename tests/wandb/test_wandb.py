"""Weights & Biases' own agent against a stand-in for its server, and its own reader of what a run keeps offline."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SHORT = ("trainer.max_kimg=0.016", "eval.interval_kimg=0.016", "eval.metrics=tpl_small", "eval.threshold=0.0001")


@pytest.fixture
def run(tmp_path):
    """A function: words -> the program's output, with a home and a folder of the test's own."""

    def start(*words, **environment):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
        own = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)} | environment
        command = [sys.executable, "-m", *map(str, words)]
        done = subprocess.run(
            command, cwd=tmp_path, env=kept | own, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return start


@pytest.fixture
def server():
    """The stand-in's address."""
    command = [sys.executable, str(Path(__file__).with_name("server.py"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_an_agent_runs_two_trials_of_a_sweep_file_and_the_objective_arrives(run, server, tmp_path, tiny_settings):
    sweep = yaml.safe_load((ROOT / "experiments" / "sweeps" / "shapes3d_quick_tpl.yaml").read_text())
    settings = [word for word in tiny_settings if not word.startswith(("model.generator.modules", "logger.wandb"))]
    sweep["command"] = [*sweep["command"][:-1], *settings, *SHORT, "run.root=runs", sweep["command"][-1]]
    sweep["parameters"] |= {"model.generator.latents": {"values": [2, 3]}, "model.ps.cascade_kimg": {"value": None}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(sweep))
    account = {"WANDB_BASE_URL": server, "WANDB_API_KEY": "f" * 40, "WANDB_ENTITY": "test"}
    said = run("wherewhat_pl", "sweep", "file=tiny.yaml", "project=p", **account)
    assert said.splitlines()[-1] == "agents   make agent SWEEP=test/p/sweep0"
    run("wherewhat_pl", "agent", "sweep=test/p/sweep0", "count=2", **account)
    with urllib.request.urlopen(f"{server}/state") as reply:
        state = json.load(reply)
    assert state["unknown"] == []
    runs = list(state["runs"].values())
    assert [(run["state"], run["exit"]) for run in runs] == [("finished", 0)] * 2
    for trial in runs:
        asked = {key: argument["value"] for key, argument in trial["args"].items()}
        config, latents = trial["config"]["model"], asked["model.generator.latents"]
        assert config["generator"]["latents"] == latents
        assert config["ps"]["weight"] == asked["model.ps.weight"]
        assert config["ps"]["cascade_kimg"] is None
        (objective,) = (row for row in trial["history"] if "eval/tpl_objective" in row)
        assert objective["images_seen"] == 16
        assert -latents <= objective["eval/tpl_objective"] == trial["summary"]["eval/tpl_objective"] <= 1
    folders = [path.parents[1] for path in (tmp_path / "runs" / "shapes3d_quick").glob("*/wandb/run-id")]
    assert {(folder / "wandb" / "run-id").read_text() for folder in folders} == set(state["runs"])


@pytest.mark.slow
def test_what_a_run_keeps_offline_can_be_read_back(run, tmp_path, tiny_settings):
    settings = [word for word in tiny_settings if not word.startswith("logger.wandb")]
    words = ["train", "exp=shapes3d_quick", *settings, *SHORT, "run.root=runs", "run.name=a", "data.resolution=8"]
    run("wherewhat_pl", *words, WANDB_MODE="offline")
    folder = tmp_path / "runs" / "shapes3d_quick" / "a"
    (offline,) = (folder / "wandb").glob("offline-run-*")
    records = [json.loads(line) for line in run("wandb", "leet", "inspect", "--json", offline).splitlines()]
    (start,) = (record["run"] for record in records if record["type"] == "run")
    assert start["display_name"] == "shapes3d_quick/a"
    assert start["run_id"] == (folder / "wandb" / "run-id").read_text()
    assert start["config"]["update"]["model"]["ps"]["weight"] == 0.1
    (axis,) = (
        r["metric"] for r in records if r["type"] == "metric" and r["metric"].get("step_metric") == "images_seen"
    )
    assert axis["glob_name"] == "*"
    history = [record["history"]["item"] for record in records if record["type"] == "history"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    numbers = [{key: row[key] for key in row if key[0] != "_"} for row in history if "traversals._type" not in row]
    assert numbers == [pytest.approx(row, rel=1e-6) for row in rows]
    pictures = [row for row in history if "traversals._type" in row]
    assert [row["images_seen"] for row in pictures] == [0, 16]
    for row in pictures:
        (name,) = row["traversals.filenames"]
        assert (offline / "files" / name).read_bytes().startswith(b"\x89PNG")
    assert records[-1]["exit"]["exit_code"] == 0

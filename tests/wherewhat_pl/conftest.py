"""Tiny trained runs, shared by all tests here, and a TPL of few images."""

import os
import shutil

import pytest
import pytorch_lightning as pl
import torch

from data_modules.locking import exclusive
from wherewhat_pl.cli import main
from wherewhat_pl.evaluation.records import Record, grouping_settings
from wherewhat_pl.metrics.functional.tpl import TPL_PRESETS, TPLSettings
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train


def plain_trainer(**settings):
    """A trainer of the user's own, on the CPU, that writes nothing."""
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


@pytest.fixture(scope="session")
def trained(tiny_config, tmp_path_factory):
    """The folder of four trained runs: ``a``, ``b`` and ``c`` differ in their seeds, ``gan`` has no recognizer."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"  # once for all workers
    root.mkdir(exist_ok=True)
    settings = {"a": ["seed=0"], "b": ["seed=1"], "c": ["seed=2"], "gan": ["model.loss=gan"]}
    with exclusive(root / "lock", "training"):
        for name, more in settings.items() if not (root / "trained").exists() else ():
            config = tiny_config(root, f"run.name={name}", "trainer.max_kimg=0.032", *more)
            assert train(config, []) == 0
        (root / "trained").touch()
    return root / "shapes3d_quick"


@pytest.fixture
def runs(trained, tmp_path):
    """A copy of the trained runs that a test may write to."""
    shutil.copytree(trained, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


@pytest.fixture
def collapse():
    """A function: folder of a run -> its averaged generator draws the same grey image from every code."""

    def act(folder):
        for path in RunDir(folder).kept_checkpoints():
            state = torch.load(path, weights_only=True)
            for name, tensor in state["state_dict"].items():
                if name.startswith("generator_ema.to_rgb"):
                    tensor.zero_()
            torch.save(state, path)

    return act


@pytest.fixture
def short_tpl(monkeypatch):
    """TPL of 5 points and 2 codes; anything that moves at all is active."""
    monkeypatch.setitem(TPL_PRESETS, "small", TPLSettings(5, 2, 1e-4))


@pytest.fixture
def command(capsys):
    """A function: words of a command -> its exit status, what it printed, and what it complained about."""

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run


@pytest.fixture(scope="session")
def record(tiny_config):
    """A function: seed, what differs from a tiny experiment, metric -> value or row -> the record of a finished run."""
    config = tiny_config("runs", "trainer.max_kimg=0.064")

    def make(seed=0, settings=None, cpu_minutes=None, **measured):
        shared = {"values": {}, "seed": 0, "distance": None, "settings": {"train": 10_000}, "used": {}, "data": {}}
        results = [
            {"metric": metric, **shared, **(value if isinstance(value, dict) else {"value": value})}
            for metric, value in measured.items()
        ]
        own = grouping_settings(config) | (settings or {})
        return Record(f"shapes3d_quick/seed{seed}", seed, own, 64, 64, results, cpu_minutes, None, "a machine")

    return make

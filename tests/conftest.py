"""Small experiments for all tests; nothing reaches the network or a W&B account."""

import os

import pytest

os.environ["WANDB_MODE"] = "disabled"
os.environ["OMP_NUM_THREADS"] = "1"  # small tensors: on a busy machine a second thread waits longer than it helps

TINY = (
    "data.resolution=8",
    "data.source=rendered",
    "model.mask=rectangles",
    "model.prior=normal",
    "model.progressive_kimg=null",
    "model.progressive_first=coarse",
    "model.generator.modules=[Const-4,ResConv-up-1,C_spgroup-2-2,Noise-1,C_spgroup-1-1]",
    "model.generator.feature_maps={base: 4, decay: 0, min: 4, max: 4}",
    "model.generator.feature_map_scale=6",
    "model.critic.feature_maps={base: 4, decay: 0, min: 4, max: 4}",
    "model.recognizer.feature_maps={base: null, decay: null, min: null, max: null}",
    "model.recognizer.noise=0",
    "model.instance_noise=0",
    "model.ps.weight=0.1",
    "model.ps.epsilon=3",
    "model.r1.gamma=1",
    "model.optimizer.learning_rate=0.002",
    "model.optimizer.falling=0",
    "trainer.batch_size=4",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "trainer.threads=1",
    "checkpoint.interval_kimg=0.008",
    "pictures.interval_kimg=0.016",
    "logger.interval_kimg=0.008",
    "factors.images=64",
    "logger.wandb.mode=disabled",
)


def mostly_slow(cases, fast=4):
    """Cases of a test, the first few of which stand for the others among the fast tests: these are marked as slow."""
    return [*cases[:fast], *(pytest.param(case, marks=pytest.mark.slow) for case in cases[fast:])]


@pytest.fixture(scope="session")
def tiny_settings():
    """What makes an experiment tiny, as ``key=value``."""
    return TINY


@pytest.fixture(scope="session")
def tiny_config():
    """A function: root of the runs, settings -> a tiny experiment."""
    from wherewhat_pl.config import load_config

    def make(root, *overrides):
        return load_config("shapes3d_quick", [*TINY, f"run.root={root}", "run.name=test", *overrides])

    return make


@pytest.fixture
def tiny(tiny_config, tmp_path):
    """The same with the runs under the test's own folder: settings -> a tiny experiment."""
    return lambda *overrides: tiny_config(tmp_path / "runs", *overrides)

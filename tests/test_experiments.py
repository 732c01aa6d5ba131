"""Every experiment file builds; every quick one trains."""

import pytest

from data_modules.registry import data_module
from tests.conftest import mostly_slow
from wherewhat_pl.config import EXPERIMENTS, load_config
from wherewhat_pl.launch.dry_run import describe
from wherewhat_pl.train import train

NAMES = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def made_here(name):
    """The setting that asks for pictures made here, drawn faces or rendered scenes."""
    sources = data_module(load_config(name).data.name).sources
    return f"data.source={'generated' if 'generated' in sources else 'rendered'}"


QUICK = ["shapes3d_quick", *(name for name in NAMES if name.endswith("_quick") and name != "shapes3d_quick")]
# Seconds each: two of the quick ones stand for the others among the fast tests.
BUILT = ["shapes3d_quick", "dsprites_quick"]


@pytest.mark.parametrize("name", mostly_slow([*BUILT, *(name for name in NAMES if name not in BUILT)], fast=2))
def test_every_experiment_builds(name):
    text = describe(load_config(name, [made_here(name), "trainer.accelerator=cpu"]))
    assert "GFLOP per image" in text


@pytest.mark.parametrize("name", mostly_slow(QUICK, fast=1))
def test_every_quick_experiment_trains(name, tmp_path, monkeypatch):
    monkeypatch.setattr("data_modules.images.GENERATED_IMAGES", 50)
    few = [
        "trainer.max_kimg=0.064",
        f"run.root={tmp_path}",
        "run.name=smoke",
        "factors.images=256",
        made_here(name),
        f"data.cache={tmp_path / 'cache'}",
        "logger.wandb.mode=disabled",
        "trainer.accelerator=cpu",
    ]
    assert train(load_config(name, few), []) == 0
    assert list((tmp_path / name / "smoke" / "traversals").glob("*.png"))


@pytest.mark.parametrize("experiment", ["shapes3d", "shapes3d_quick"])
@pytest.mark.parametrize("mask", ["rectangles", "softmax", "none"])
@pytest.mark.parametrize("loss", ["ps", "infogan", "gan"])
@pytest.mark.slow
def test_every_cell_of_the_ablation_builds(experiment, mask, loss):
    describe(
        load_config(
            experiment, [f"model.mask={mask}", f"model.loss={loss}", "data.source=rendered", "trainer.accelerator=cpu"]
        )
    )

"""Training on faces, from the command's settings to the run's folder."""

import json
import shutil

import pytest
import yaml

from data_modules.photographs.generated_faces import NOTE, write_generated_faces
from wherewhat_pl.cli import main
from wherewhat_pl.config import load_config
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.train import train


@pytest.fixture
def run(tmp_path):
    """A function: experiment, settings -> trains it under the test's own folder, on what lies in ``root``."""

    def run(experiment, *settings):
        folders = [f"data.{name}={tmp_path / name}" for name in ("root", "cache")] + [f"run.root={tmp_path / 'runs'}"]
        quiet = ["run.name=a", "logger.wandb.mode=disabled", "trainer.accelerator=cpu", "trainer.threads=1"]
        return train(load_config(experiment, [*folders, *quiet, "factors.images=5", *settings]), [])

    return run


@pytest.mark.slow
def test_a_run_on_drawn_faces_is_not_continued_on_photographs(run, tmp_path, monkeypatch):
    monkeypatch.setattr("data_modules.images.GENERATED_IMAGES", 5)
    assert run("celeba_quick", "trainer.max_kimg=0.016") == 0
    write_generated_faces(tmp_path / "root", 7, layout="celeba")
    (tmp_path / "root" / NOTE).unlink()  # as if they were photographs
    with pytest.raises(ConfigError, match=r"gives celeba \(folder.*eleba \(generated"):
        run("celeba_quick", "trainer.max_kimg=0.032")
    shutil.rmtree(tmp_path / "root")
    assert run("celeba_quick", "trainer.max_kimg=0.032") == 0


@pytest.mark.slow
def test_ones_own_photographs_train_with_networks_made_for_their_size(run, tmp_path):
    write_generated_faces(tmp_path / "root", 9, size=20)
    narrow = "{base: 8, decay: 0, min: 8, max: 8}"
    few = ["data.resolution=16", "model.generator.latents=4", "trainer.batch_size=4", "pictures.columns=2"]
    networks = [f"model.generator.feature_maps={narrow}", f"model.critic.feature_maps={narrow}"]
    assert run("images", *few, *networks, "trainer.max_kimg=0.008", "model.augment.enabled=true") == 0
    assert "Const-8" in (tmp_path / "runs" / "images" / "a" / "config.yaml").read_text()


@pytest.mark.slow
def test_photographs_that_have_moved_are_measured_where_they_are_now(run, tmp_path, capsys):
    write_generated_faces(tmp_path / "root", 9, size=20)
    narrow = "{base: 8, decay: 0, min: 8, max: 8}"
    few = ["data.resolution=16", "model.generator.latents=4", "trainer.batch_size=4", "pictures.columns=2"]
    networks = [f"model.generator.feature_maps={narrow}", f"model.critic.feature_maps={narrow}"]
    assert run("images", *few, *networks, "trainer.max_kimg=0.004") == 0
    (tmp_path / "root").rename(tmp_path / "moved")
    words = ["eval", f"run={tmp_path / 'runs' / 'images' / 'a'}", "metrics=fd_vgg", "images=9"]
    capsys.readouterr()
    for more, status in (([], 2), ([f"data.root={tmp_path / 'moved'}"], 0)):
        with pytest.raises(SystemExit) as stop:
            main([*words, *more])
        assert stop.value.code == status
    row = json.loads((tmp_path / "runs" / "images" / "a" / "eval.jsonl").read_text())
    settings = yaml.safe_load((tmp_path / "runs" / "images" / "a" / "config.yaml").read_text())
    assert row["data"]["fingerprint"] == settings["provenance"]["data"]["fingerprint"]

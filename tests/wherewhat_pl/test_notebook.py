"""The system and the data under a trainer of the user's own, without a run folder."""

import csv
import re
from pathlib import Path

import pytest
import torch

from data_modules.shapes3d import Shapes3DDataModule
from tests.wherewhat_pl.conftest import plain_trainer
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.system import DisentanglingGAN

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_lines_of_the_readme_train_and_log_losses(tmp_path, monkeypatch):
    (lines,) = re.findall(r"## In a notebook.*?```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(lines, {})
    (file,) = tmp_path.glob("logs/**/metrics.csv")
    rows = list(csv.DictReader(file.open()))
    assert [row["step"] for row in rows] == ["112", "208"]  # batches of 16 that reach 100 and 200 images
    assert all(float(row["loss/ps"]) > 0 for row in rows)


@pytest.mark.slow
def test_a_checkpoint_of_a_plain_trainer_is_continued_bit_for_bit(tiny, tmp_path):
    def fit(kimg, checkpoint=None):
        system, trainer = DisentanglingGAN(tiny(f"trainer.max_kimg={kimg}")), plain_trainer(max_epochs=-1)
        trainer.fit(system, Shapes3DDataModule(8, 4), ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return system

    whole = fit(0.024)
    fit(0.012)
    continued = fit(0.024, tmp_path / "last.ckpt")
    assert continued.images_seen == whole.images_seen == 24
    for name, tensor in whole.state_dict().items():
        assert torch.equal(continued.state_dict()[name], tensor), name


def test_data_that_does_not_fit_is_refused_in_one_line(tiny):
    with pytest.raises(
        ConfigError, match=r"^trainer.batch_size=4: the data module was built with 8; give it the same$"
    ):
        plain_trainer(max_epochs=-1).fit(DisentanglingGAN(tiny()), Shapes3DDataModule(8, 8))
    with pytest.raises(ConfigError, match=r"^data.resolution=8: the data module was built with 16"):
        plain_trainer(max_epochs=-1).fit(DisentanglingGAN(tiny()), Shapes3DDataModule(16, 4))

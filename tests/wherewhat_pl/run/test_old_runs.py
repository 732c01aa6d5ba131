"""A run folder from before models were a thing of their own: trained to 20 images, and what it became at 48."""

import shutil
from pathlib import Path

import torch

from wherewhat_pl.interop.load import load
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train

FIXTURES = Path(__file__).parents[2] / "fixtures"


def test_an_old_run_still_gives_its_model():
    model = load(FIXTURES / "run_before_models")
    assert (model.num_latents, model.resolution, model.channels) == (3, 8, 3)
    images, masks = model.generate(model.sample(2), return_masks=True)
    assert images.isfinite().all()
    assert masks.shape == (2, 3, 8, 8)


def test_an_old_run_continues_to_where_it_would_have_gone(tiny, tmp_path):
    """On the machine that made the fixture bit for bit; elsewhere rounding differs, which Adam's division amplifies."""
    config = tiny("run.name=before", "model.ema.recognizer=true", "trainer.max_kimg=0.048")
    shutil.copytree(FIXTURES / "run_before_models", RunDir.of(config).path, symlinks=True)
    assert train(config, []) == 0
    ours = load_checkpoint(RunDir.of(config).last_checkpoint)
    theirs = load_checkpoint(FIXTURES / "run_before_models_at_48.ckpt")
    assert ours["images_seen"] == theirs["images_seen"] == 48
    assert ours["state_dict"].keys() == theirs["state_dict"].keys()
    for name, tensor in theirs["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][name], tensor, rtol=0, atol=0.01, msg=name)
    for one, other in zip(ours["optimizer_states"], theirs["optimizer_states"], strict=True):
        assert [state["step"] for state in one["state"].values()] == [s["step"] for s in other["state"].values()]

"""How images reach torchmetrics' metrics, with a small network in the place of Inception."""

import pytest
import torch
from torch import nn

from wherewhat_pl.evaluation import inception
from wherewhat_pl.evaluation.context import EvalSettings, Measuring
from wherewhat_pl.run.loading import load_run

pytestmark = pytest.mark.filterwarnings("ignore")


class MeanColor(nn.Module):
    """Features ``[B, 6]``: mean and spread of each channel; takes what Inception takes, uint8 RGB."""

    num_features = 6

    def forward(self, images):
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        pixels = images.float().flatten(2) / 255
        return torch.cat([pixels.mean(2), pixels.std(2)], dim=1)


@pytest.fixture
def measuring(runs):
    return Measuring(load_run(runs / "a"), EvalSettings(images=40))


def as_if_the_generator_were_perfect(measuring, monkeypatch):
    monkeypatch.setattr(Measuring, "generated_images", Measuring.real_images)


def test_a_perfect_generator_has_no_distance_and_full_precision(measuring, monkeypatch):
    poor = inception.fid(measuring, MeanColor()).value
    as_if_the_generator_were_perfect(measuring, monkeypatch)
    assert abs(inception.fid(measuring, MeanColor()).value) < 1e-4 < poor
    assert inception.pr_inception(measuring, MeanColor()).values == {"precision": 1.0, "recall": 1.0}
    assert inception.kid(measuring, MeanColor()).value < 1e-3


def test_random_subsets_and_splits_are_seeded(measuring):
    state = torch.random.get_rng_state()
    for metric in (inception.kid, inception.inception_score):
        assert metric(measuring, MeanColor()) == metric(measuring, MeanColor())
    assert torch.equal(state, torch.random.get_rng_state())

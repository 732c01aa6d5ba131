"""How images reach torchmetrics' metrics, with a small network in the place of Inception."""

import pytest
import torch
from torch import nn

from wherewhat_pl.evaluation import inception
from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext
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
def context(runs):
    return EvaluationContext.of_run(load_run(runs / "a"), EvalSettings(images=40))


def as_if_the_generator_were_perfect(context, monkeypatch):
    monkeypatch.setattr(EvaluationContext, "generated_images", EvaluationContext.real_images)


def test_a_perfect_generator_has_no_distance_and_full_precision(context, monkeypatch):
    poor = inception.fid(context, MeanColor()).value
    as_if_the_generator_were_perfect(context, monkeypatch)
    assert abs(inception.fid(context, MeanColor()).value) < 1e-4 < poor
    assert inception.pr_inception(context, MeanColor()).values == {"precision": 1.0, "recall": 1.0}
    assert inception.kid(context, MeanColor()).value < 1e-3


def test_random_subsets_and_splits_are_seeded(context):
    state = torch.random.get_rng_state()
    for metric in (inception.kid, inception.inception_score):
        assert metric(context, MeanColor()) == metric(context, MeanColor())
    assert torch.equal(state, torch.random.get_rng_state())

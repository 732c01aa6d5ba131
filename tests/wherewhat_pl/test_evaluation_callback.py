import pytest
import torch

from wherewhat_pl.analysis.results import read_results
from wherewhat_pl.config import ConfigError
from wherewhat_pl.metrics.tpl import TPL_PRESETS, TPLSettings
from wherewhat_pl.run import RunDir, load_checkpoint
from wherewhat_pl.train import train

EVALUATED = ("eval.interval_kimg=0.016", "eval.metrics=[tpl_small,where]", "trainer.max_kimg=0.032")


@pytest.fixture(autouse=True)
def short_tpl(monkeypatch):
    monkeypatch.setitem(TPL_PRESETS, "small", TPLSettings(5, 2, 1e-4))


def rows_of(config):
    return [(row["images_seen"], row["metric"]) for row in read_results(RunDir.of(config).path / "eval.jsonl")]


def test_metrics_are_measured_every_so_many_images(tiny):
    config = tiny(*EVALUATED)
    assert train(config, []) == 0
    assert rows_of(config) == [(16, "tpl_small"), (16, "where"), (32, "tpl_small"), (32, "where")]


def test_measuring_does_not_change_the_training(tiny):
    plain, measured = tiny("trainer.max_kimg=0.032"), tiny(*EVALUATED, "run.name=measured")
    assert train(plain, []) == train(measured, []) == 0
    one, other = (load_checkpoint(RunDir.of(config).last_checkpoint)["state_dict"] for config in (plain, measured))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_what_a_continued_run_has_measured_is_not_measured_again(tiny):
    assert train(tiny(*EVALUATED[:2], "trainer.max_kimg=0.02"), []) == 0
    config = tiny(*EVALUATED)
    for path in RunDir.of(config).kept_checkpoints()[:1]:  # as if killed before the last one: 16 comes again
        path.unlink()
    assert train(config, []) == 0
    assert rows_of(config) == [(16, "tpl_small"), (16, "where"), (32, "tpl_small"), (32, "where")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["eval.metrics=[tpl_smal]"], "eval.metrics=tpl_smal: no such metric; did you mean 'tpl_small'?"),
        (["eval.metrics=[mig]", "model.loss=gan"], "eval.metrics=mig: needs a recognizer"),
    ],
)
def test_a_metric_that_cannot_be_measured_is_refused_before_anything_is_written(tiny, settings, message):
    config = tiny("eval.interval_kimg=0.016", *settings)
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        train(config, [])
    assert not RunDir.of(config).path.exists()

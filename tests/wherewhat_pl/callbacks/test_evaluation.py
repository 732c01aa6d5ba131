import subprocess
import sys

import pytest
import torch

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.context import EvaluationContext
from wherewhat_pl.evaluation.evaluate import measure
from wherewhat_pl.evaluation.results import read_results
from wherewhat_pl.metrics.functional.tpl import TPL_PRESETS, TPLSettings
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.files import read_rows
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.run.loading import load_run
from wherewhat_pl.train import train

EVALUATED = ("eval.interval_kimg=0.016", "eval.metrics=[tpl_small,where]", "trainer.max_kimg=0.032")


@pytest.fixture(autouse=True)
def short_tpl(request, monkeypatch):
    if "slow" not in request.keywords:  # other processes do not see it
        monkeypatch.setitem(TPL_PRESETS, "small", TPLSettings(5, 2, 1e-4))


def logged(config, name):
    return [row for row in read_rows(RunDir.of(config).metrics_file) if name in row]


def rows_of(config):
    return [(row["images_seen"], row["metric"]) for row in read_results(RunDir.of(config).path / "eval.jsonl")]


@pytest.mark.slow
def test_metrics_are_measured_every_so_many_images(tiny):
    config = tiny(*EVALUATED)
    assert train(config, []) == 0
    assert rows_of(config) == [(16, "tpl_small"), (16, "where"), (32, "tpl_small"), (32, "where")]
    objective = [row["eval/tpl_objective"] for row in logged(config, "eval/tpl_objective")]
    assert len(objective) == 2
    assert all(-3 < value <= 1 for value in objective)  # there are three latents


@pytest.mark.slow
def test_measuring_does_not_change_the_training(tiny):
    plain, measured = tiny("trainer.max_kimg=0.032"), tiny(*EVALUATED, "run.name=measured")
    assert train(plain, []) == train(measured, []) == 0
    one, other = (load_checkpoint(RunDir.of(config).last_checkpoint)["state_dict"] for config in (plain, measured))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_what_a_continued_run_has_measured_is_not_measured_again(tiny):
    assert train(tiny(*EVALUATED[:2], "trainer.max_kimg=0.02"), []) == 0
    config = tiny(*EVALUATED)
    for path in RunDir.of(config).kept_checkpoints()[:1]:  # as if killed before the last one: 16 comes again
        path.unlink()
    assert train(config, []) == 0
    assert rows_of(config) == [(16, "tpl_small"), (16, "where"), (32, "tpl_small"), (32, "where")]
    assert [row["images_seen"] for row in logged(config, "eval/where")] == [16, 32]  # each once, too


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


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tiny_settings, tmp_path):
    command = [sys.executable, "-m", "wherewhat_pl", "train", "exp=shapes3d_quick", *tiny_settings, *EVALUATED]
    settings = ["trainer.devices=2", f"run.root={tmp_path}", "run.name=two"]
    done = subprocess.run([*command, *settings], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "shapes3d_quick" / "two"
    rows = [row for row in read_results(folder / "eval.jsonl") if row["images_seen"] == 32]
    assert [row["metric"] for row in rows] == ["tpl_small", "where"]
    for row in rows:
        own = measure(row["metric"], EvaluationContext.of_run(load_run(folder)))
        if row["metric"] == "where":
            assert own["value"] == pytest.approx(row["value"], rel=1e-4)
        else:
            assert own["details"]["mean"] == pytest.approx(row["details"]["mean"], rel=1e-4)

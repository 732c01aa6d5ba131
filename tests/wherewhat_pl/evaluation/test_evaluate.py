import json
import re

import pytest

from tests.conftest import mostly_slow
from wherewhat_pl.cli import main
from wherewhat_pl.evaluation import inception
from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext
from wherewhat_pl.evaluation.evaluate import evaluate
from wherewhat_pl.evaluation.registry import METRICS
from wherewhat_pl.evaluation.results import read_results
from wherewhat_pl.run.loading import load_run

FEW = EvalSettings(train=200, test=100, images=24, samples=4)
FEW_WORDS = ("train=200", "test=100", "images=24", "samples=4", "device=cpu")
EVERYWHERE = [
    name
    for name, metric in METRICS.items()
    if "attributes" not in metric.needs and not metric.missing() and name not in ("tpl_large", "tpl_huge")
]


def results(folder):
    return read_results(folder / "eval.jsonl")


def measured(folder, names, settings=FEW, **how):
    context = EvaluationContext.of_run(load_run(folder), settings)
    return evaluate(context, names, folder / "eval.jsonl", quiet=True, **how)


@pytest.mark.slow
def test_every_metric_that_needs_no_extra_gives_one_line_with_what_it_was_measured_on(runs):
    measured(runs / "a", EVERYWHERE)
    rows = results(runs / "a")
    assert [row["metric"] for row in rows] == EVERYWHERE
    for row in rows:
        assert row["value"] is not None
        assert row["images_seen"] == 32
        assert row["seed"] == 0
        assert row["data"]["name"] == "shapes3d"
        assert row["data"]["source"] == "rendered"
        assert row["data"]["fingerprint"]
        assert (row["distance"] == "stlpips_vgg") == row["metric"].startswith("tpl")
    by_name = {row["metric"]: row for row in rows}
    assert by_name["fvm"]["settings"] == {"train": 200, "test": 100}
    assert len(by_name["tpl_small"]["details"]["mean"]) == 3
    assert len(by_name["mig"]["details"]["normalized_mutual_information"]) == 3


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again_unless_forced(runs, command):
    status, out, _ = command("eval", f"run={runs / 'a'}", "metrics=mig,where", *FEW_WORDS)
    assert status == 0
    assert "measured before" not in out
    status, out, _ = command("eval", f"run={runs / 'a'}", "metrics=where,mig,irs", *FEW_WORDS)
    assert status == 0
    assert out.count("measured before") == 2
    assert [row["metric"] for row in results(runs / "a")] == ["mig", "where", "irs"]
    command("eval", f"run={runs / 'a'}", "metrics=mig", "force=true", *FEW_WORDS)
    command("eval", f"run={runs / 'a'}", "metrics=mig", "seed=7", *FEW_WORDS)
    mig = [row for row in results(runs / "a") if row["metric"] == "mig"]
    assert [row["seed"] for row in mig] == [0, 0, 7]
    assert mig[0]["value"] == mig[1]["value"] != mig[2]["value"]


def test_a_line_cut_short_by_a_kill_costs_that_line_only(runs):
    file = runs / "a" / "eval.jsonl"
    measured(runs / "a", ["mig", "irs"])
    text = file.read_text()
    file.write_text(text[:-40])
    measured(runs / "a", ["mig", "irs"])
    assert [row["metric"] for row in read_results(file)] == ["mig", "irs"]
    assert read_results(file)[1]["value"] == json.loads(text.splitlines()[1])["value"]


@pytest.mark.slow
def test_a_metric_does_not_depend_on_which_others_were_asked_for(runs):
    alone = measured(runs / "a", ["beta_vae"], force=True)["beta_vae"]
    among = measured(runs / "a", ["mig", "fvm", "beta_vae"], force=True)["beta_vae"]
    assert alone["value"] == among["value"]


@pytest.mark.slow
def test_another_threshold_counts_other_latents_and_measures_nothing(runs):
    low = measured(runs / "a", ["tpl_small"], EvalSettings(threshold=0.0))["tpl_small"]
    high = measured(runs / "a", ["tpl_small"], EvalSettings(threshold=1e9))["tpl_small"]
    assert low["values"]["num_active"] == 3
    assert (high["values"]["num_active"], high["value"]) == (0, 0)
    assert low["details"]["mean"] == high["details"]["mean"]
    assert len(results(runs / "a")) == 1


def test_without_metrics_a_run_is_measured_by_all_that_it_has(runs, command):
    status, out, _ = command("eval", f"run={runs / 'gan'}", *FEW_WORDS)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["tpl_small", "where", "coverage"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run={runs}/a", "metrics=tpl_smal"], "metrics=tpl_smal: no such metric; did you mean 'tpl_small'?"),
        (["run={runs}/gam", "metrics=mig"], "no run there (no config.yaml); did you mean 'gan'?"),
        (["run={runs}/gan", "metrics=mig"], "metrics=mig: needs a recognizer, and model.loss=gan trains none"),
        (["run={runs}/a", "metrics=mig", "sed=1"], "'sed=1': eval knows no such setting; did you mean 'seed'?"),
        (["run={runs}/a", "metrics=mig", "train=many"], "train=many: must be a whole number"),
        (["run={runs}/a", "metrics=mig", "train=0"], "train=0: must be a whole number from 1"),
        (["run={runs}/a", "metrics=mig", "device=gpuu"], "device=gpuu: there is no such device here"),
        (
            ["run={runs}/a", "metrics=tpl_small", "distance=lpips"],
            "distance=lpips: no such distance; did you mean 'lpips_vgg'?",
        ),
        (["metrics=mig"], "run=... is missing"),
        (["run={runs}/a", "metrics=mig", "checkpoint=other.ckpt"], "other.ckpt: no such checkpoint"),
    ],
)
def test_a_mistake_ends_in_one_line_and_measures_nothing(runs, command, words, message):
    status, _, said = command("eval", *(word.replace("{runs}", str(runs)) for word in words))
    assert status == 2
    assert message in said
    assert re.fullmatch(r"error: [^\n]*\n", said)
    assert not list(runs.glob("*/eval.jsonl"))


def test_a_run_without_a_finished_checkpoint_is_one_line(runs, command):
    for file in (runs / "a" / "checkpoints").iterdir():
        file.unlink()
    status, _, said = command("eval", f"run={runs / 'a'}", "metrics=mig")
    assert status == 2
    assert said.endswith("has no finished checkpoint yet; train it further, then try again\n")
    assert said.count("\n") == 1


def test_a_metric_of_factors_on_a_set_without_any_is_one_line(runs, command, monkeypatch):
    monkeypatch.setattr("data_modules.shapes3d.Shapes3DDataModule.factor_space", None)
    status, _, said = command("eval", f"run={runs / 'a'}", "metrics=tpl_small,fvm")
    assert status == 2
    assert said.startswith("error: metrics=fvm: needs known factors, and shapes3d has none")
    assert said.count("\n") == 1


def test_coverage_on_a_set_of_unknown_geometries_is_one_line(runs, command, monkeypatch):
    monkeypatch.setattr("wherewhat_pl.evaluation.registry.SyntheticDataModule", int)
    status, _, said = command("eval", f"run={runs / 'a'}", "metrics=coverage")
    assert status == 2
    assert said.startswith("error: metrics=coverage: needs a set whose geometries are known")


def test_a_metric_of_masks_on_a_run_without_any_is_one_line(tiny, command, capsys):
    from wherewhat_pl.train import train

    config = tiny("model.mask=none", "trainer.max_kimg=0.004")
    assert train(config, []) == 0
    capsys.readouterr()
    status, _, said = command("eval", f"run={config.run.root}/shapes3d_quick/test", "metrics=where")
    assert (status, said) == (2, "error: metrics=where: needs masks, and model.mask=none has none\n")


@pytest.mark.skipif(not inception.missing_libraries(), reason="the optional libraries are here")
@pytest.mark.parametrize("name", mostly_slow(["fid", "kid", "inception_score", "pr_inception", "ppl"], 1))
def test_a_metric_on_inception_names_the_extra_where_it_is_missing(runs, command, name):
    status, _, said = command("eval", f"run={runs / 'a'}", f"metrics={name}")
    assert status == 2
    assert f"metrics={name}: needs the optional extra [fid]" in said
    assert said.count("\n") == 1


def test_attributes_are_asked_for_in_one_line_where_there_are_none(runs, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["eval", f"run={runs / 'a'}", "metrics=separability"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "metrics=separability: needs attributes, as CelebA has" in said

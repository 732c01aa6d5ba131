import csv
from itertools import pairwise

import pytest

from wherewhat_pl.evaluation.context import EvalSettings, EvaluationContext
from wherewhat_pl.evaluation.evaluate import evaluate
from wherewhat_pl.evaluation.threshold import otsu_threshold
from wherewhat_pl.run.files import read_rows
from wherewhat_pl.run.loading import load_run


@pytest.mark.slow
def test_a_table_a_plot_and_the_correlations_of_trained_runs(runs, command):
    for name in ("a", "b", "c", "gan"):
        metrics = ["where"] if name == "gan" else ["where", "mig"]
        context = EvaluationContext.of_run(load_run(runs / name), EvalSettings(train=200, samples=4))
        evaluate(context, metrics, runs / name / "eval.jsonl", quiet=True)
    status, out, _ = command("select", f"runs={runs}/*", "device=cpu")
    assert status == 0
    assert "Spearman correlation of TPL with each score" in out
    rows = list(csv.DictReader((runs / "selection" / "table.csv").read_text().splitlines()))
    assert {row["model"] for row in rows} == {"a", "b", "c", "gan"}
    groups = [int(row["active"]) for row in rows]
    assert groups == sorted(groups, reverse=True)
    for one, other in pairwise(rows):
        if one["active"] == other["active"]:
            assert float(one["tpl_small"]) <= float(other["tpl_small"])
    assert {row["model"] for row in rows if row["mig"]} == {"a", "b", "c"}
    assert {row["distance"] for row in rows} == {"stlpips_vgg"}
    assert (runs / "selection" / "scatter.png").read_bytes().startswith(b"\x89PNG")
    found = csv.DictReader((runs / "selection" / "correlations.csv").read_text().splitlines())
    pairs = {row["score"]: row for row in found if row["group"] == "all"}
    assert {name: row["models"] for name, row in pairs.items()} == {"mig": "3", "where": "4"}
    mig = [float(row["mig"]) for row in rows if row["mig"]]
    assert int(pairs["mig"]["place of the first"]) == 1 + sum(score > mig[0] for score in mig)

    lengths = [
        length
        for name in ("a", "b", "c", "gan")
        for row in read_rows(runs / name / "eval.jsonl")
        if row["metric"] == "tpl_small"
        for length in row["details"]["mean"]
    ]
    threshold = otsu_threshold(lengths)
    settings = runs / "c" / "config.yaml"
    settings.write_text(settings.read_text().replace("max_kimg: 0.032", "max_kimg: 9"))
    status, out, said = command("select", f"runs={runs}/*", "threshold=auto", "device=cpu")
    assert f"a dimension is active from a TPL of {threshold:.4g}, by Otsu's rule" in out
    rows = list(csv.DictReader((runs / "selection" / "table.csv").read_text().splitlines()))
    assert sum(int(row["active"]) for row in rows) == sum(length >= threshold for length in lengths)
    (runs / "b" / "config.yaml").write_text("{{{")
    status, out, said = command("select", f"runs={runs}/b,{runs}/c", "finished=true", "device=cpu")
    damaged, short, _ = said.splitlines()
    assert (status, short) == (2, f"warning: {runs}/c: 32 of 9,000 images; left out")
    assert damaged.startswith(f"warning: {runs}/b: ")
    assert "is no valid YAML" in damaged
    assert damaged.endswith("; left out")


@pytest.mark.slow
def test_a_collapsed_generator_has_no_rank(runs, command, collapse):
    collapse(runs / "a")
    status, out, _ = command("select", f"runs={runs}/a,{runs}/b", "device=cpu")
    assert status == 0
    rows = list(csv.DictReader((runs / "selection" / "table.csv").read_text().splitlines()))
    assert [(row["rank"], row["model"]) for row in rows] == [("1", "b"), ("", "a")]
    assert float(rows[1]["tpl_small"]) == 0
    assert "collapsed" in out


@pytest.mark.slow
def test_nothing_is_first_where_all_have_collapsed_and_the_threshold_is_named(runs, command):
    status, out, said = command("select", f"runs={runs}/*", "device=cpu", "threshold=100")
    assert status == 0
    assert "no model has an active dimension, so there is nothing to rank" in said
    assert "   1  " not in out


@pytest.mark.slow
def test_a_run_still_without_a_checkpoint_is_left_out_and_said(runs, command):
    for file in (runs / "c" / "checkpoints").iterdir():
        file.unlink()
    status, out, said = command("select", f"runs={runs}/*", "device=cpu")
    assert status == 0
    assert "has no finished checkpoint yet" in said
    assert "\n   3  " in out
    assert "\n   4  " not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs={runs}/x*"], "no run and no decoder there"),
        (["runs={runs}/gam"], "did you mean 'gan'?"),
        (["runs={runs}/a/traversals"], "holds no run (config.yaml) and no decoder (.onnx)"),
        (["runs={runs}/*", "tpl=tpl_smal"], "tpl=tpl_smal: no such TPL; did you mean 'tpl_small'?"),
        (["tpl=tpl_small"], "runs=... is missing"),
        (["runs={runs}/a", "threshold=atuo"], "threshold=atuo: must be a number, auto or null"),
    ],
)
def test_a_mistake_ends_in_one_line(runs, command, words, message):
    status, _, said = command("select", *(word.replace("{runs}", str(runs)) for word in words))
    assert status == 2
    assert message in said
    assert said.count("\n") == 1

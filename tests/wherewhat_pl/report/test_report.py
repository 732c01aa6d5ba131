import re
from html import unescape

import pytest

from wherewhat_pl.evaluation.context import EvalSettings
from wherewhat_pl.report.report import write_report
from wherewhat_pl.run.loading import load_run

FEW = EvalSettings(train=200, test=100, samples=4)


def test_the_report_is_one_file_that_asks_the_network_nothing(runs, command):
    status, out, _ = command("report", f"run={runs / 'a'}", "train=200", "samples=4", "device=cpu")
    assert status == 0
    html = (runs / "a" / "report.html").read_text()
    assert str(runs / "a" / "report.html") in out
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]+)""", html)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "<script" not in html
    assert "@import" not in html
    assert "://" not in html


def test_the_report_shows_pictures_lengths_factors_metrics_and_settings(runs):
    write_report(load_run(runs / "a"), settings=FEW)
    html = (runs / "a" / "report.html").read_text()
    for text in (
        "Traversals and masks",
        "mask lift",
        "floor hue",
        "loss curves",
        "tpl_small",
        "stlpips_vgg",
        "max_kimg",
    ):
        assert text in html
    assert html.count("data:image/png;base64,") == 2


def test_the_report_warns_of_what_makes_numbers_incomparable(runs):
    html = unescape(write_report(load_run(runs / "a"), settings=FEW).read_text())
    for text in ("rendered here, not the published files", "the paper's is LPIPS with VGG16", "training is short"):
        assert text in html
    assert "Measured on fewer samples than usual: where, mig." in html


@pytest.mark.slow
def test_the_report_counts_active_latents_by_the_threshold_that_is_asked_for(runs, command):
    for threshold, active in (("0", "3 of 3"), ("100", "0 of 3")):
        command("report", f"run={runs / 'gan'}", f"threshold={threshold}", "samples=4", "device=cpu")
        assert f"<b>{active}</b>" in (runs / "gan" / "report.html").read_text()


def test_a_run_without_recognizer_has_a_report_without_factors(runs):
    html = write_report(load_run(runs / "gan"), settings=FEW).read_text()
    assert "How far each latent moves the image" in html
    assert "Which latent knows which factor" not in html


def test_without_computing_the_report_shows_what_is_there(runs):
    html = write_report(load_run(runs / "a"), compute=False).read_text()
    assert "Traversals and masks" in html
    assert not (runs / "a" / "eval.jsonl").exists()

import base64
import os
import re
from html import unescape

import pytest
from PIL import Image

from wherewhat_pl.evaluation.context import EvalSettings
from wherewhat_pl.report import made
from wherewhat_pl.report.page import page
from wherewhat_pl.report.report import collect, write_report
from wherewhat_pl.run.loading import load_run

FEW = EvalSettings(train=200, test=100, samples=4)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_without_recognizer_has_a_report_without_factors(runs):
    html = write_report(load_run(runs / "gan"), settings=FEW).read_text()
    assert "How far each latent moves the image" in html
    assert "Which latent knows which factor" not in html


@pytest.mark.slow
def test_without_computing_the_report_shows_what_is_there(runs):
    html = write_report(load_run(runs / "a"), compute=False).read_text()
    assert "Traversals and masks" in html
    assert not (runs / "a" / "eval.jsonl").exists()


@pytest.fixture
def used(runs):
    """A run with what commands leave in its folder; its loss curves, which take long to draw, are gone."""
    run = runs / "a"
    (run / "metrics.jsonl").unlink()
    (run / "latents.yaml").write_text("1: {name: <object> hue, sign: -1}\n")
    pictures = ["generated/sheet.png", "edited/edited.png", "rotated/pairs.png"]
    pictures += [f"rotated/latents-{pair}-{what}.png" for pair in ("1-0", "0-2", "8-9") for what in ("curve", "grid")]
    for number, name in enumerate(pictures):
        (run / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (30 + number, 20)).save(run / name)
    os.utime(run / "edited" / "edited.png", (0, 0))
    (run / "projected").mkdir()
    (run / "projected" / "sheet.png").write_text("no picture")
    (run / "traversed").mkdir()
    frames = [Image.effect_noise((60, 60), 90).convert("RGB") for _ in range(3)]
    for ending in ("gif", "webp"):
        frames[0].save(run / "traversed" / f"traversal.{ending}", save_all=True, append_images=frames[1:])
    return run


def test_the_report_shows_what_commands_have_made(used):
    html = page(collect(load_run(used)))
    files = {file.relative_to(used).as_posix(): file.read_bytes() for file in used.rglob("*.*") if file.is_file()}
    shown = [base64.b64decode(content) for content in re.findall(r"data:[a-z]+/[a-z0-9]+;base64,([^\"]+)", html)]
    names = [name for name, content in files.items() if content in shown]
    animation = min("gif", "webp", key=lambda ending: len(files[f"traversed/traversal.{ending}"]))
    curves = [f"rotated/latents-{pair}-{what}.png" for pair in ("1-0", "0-2") for what in ("curve", "grid")]
    expected = ["generated/sheet.png", "edited/edited.png", "rotated/pairs.png", *curves]
    expected += [f"traversed/traversal.{animation}", "traversals/images-000000032.png"]
    assert sorted(names) == sorted(expected)
    assert "projected/sheet.png: cannot be shown" in html
    assert html.count("Made before the newest checkpoint") == 1
    assert "<h3>&lt;object&gt; hue and latent 0</h3>" in html
    assert "Called by now: 1 &lt;object&gt; hue." in html
    assert f"<code>make explore RUN={used}</code>" in html
    assert "href" not in html


def test_the_report_links_what_is_too_large_for_it_and_the_explorer(used, monkeypatch):
    monkeypatch.setattr(made, "LARGEST_ANIMATION", 100)
    monkeypatch.setattr(made, "LARGEST_PICTURE", 100)
    monkeypatch.chdir(used.parent)
    (used / "explorer").mkdir()
    (used / "explorer" / "index.html").write_text("")
    Image.effect_noise((300, 5000), 50).save(used / "generated" / "sheet.png")
    html = page(collect(load_run(used)))
    links = re.findall(r'href="([^"]+)"', html)
    assert links[0] == "explorer/index.html"
    assert re.fullmatch(r"traversed/traversal\.(gif|webp)", links[1])
    assert all((used / link).is_file() for link in links)
    sheet = base64.b64decode(re.search(r'alt="Random images" src="data:image/webp;base64,([^"]+)', html)[1])
    (used / "sheet.webp").write_bytes(sheet)
    with Image.open(used / "sheet.webp") as picture:
        assert picture.size == (120, 2000)
    assert "<code>make explore RUN=a</code>" in html

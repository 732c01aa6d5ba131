"""What stands in a run's files may be anybody's: it is shown as text, or left out with a word."""

import copy
import json
import shutil
from html.parser import HTMLParser

import pytest
import yaml

from tests.conftest import mostly_slow
from wherewhat_pl.report.page import page
from wherewhat_pl.report.report import collect, write_report
from wherewhat_pl.run.loading import load_run

HOSTILE = """x"'><script>alert(1)</script><img src=x onerror=alert(1)></style></title>{{ 7 * 7 }}&lt;"""
ODD = ("3", None, True, -1, 0.5, [], [[]], [1, "a"], {}, {"a": []}, float("nan"), float("inf"), 10**400, "\ud800")

SHARED = {
    "images_seen": 32, "seed": 0, "settings": {"train": 200}, "value": 0.5, "values": {"part": 0.25},
    "distance": None, "details": {}, "used": {}, "data": {"name": "n", "source": "s", "fingerprint": "f"},
    "warnings": ["w"], "seconds": 1.0, "time": "t",
}  # fmt: skip
ROWS = {
    "tpl_small": {
        "distance": "stlpips_vgg",
        "values": {"total": 0.5, "num_active": 2.0},
        "details": {"mean": [0.2, 0.3, None], "std": [0.1, 0.1, None], "active": [True, True, False]},
        "used": {"points": 5, "base_codes": 2, "threshold": 0.1, "low": -4.0, "high": 4.0, "seed": 0},
    },
    "where": {"details": {"latents": [0, 1], "lift": [0.5, None], "area": [0.1, 0.2]}},
    "mig": {"details": {"factors": ["hue", "size"], "normalized_mutual_information": [[0.5, 0.9], [None, 0.1]]}},
    "sap": {},
}
ROWS = {name: {"metric": name} | SHARED | row for name, row in ROWS.items()}


def places(tree, before=()):
    """Where every value in nested dictionaries and lists stands, the containers' own places included."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from places(value, (*before, key))


def changed(tree, place, value):
    """A copy with another value at one place."""
    tree = copy.deepcopy(tree)
    inside = tree
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return tree


def cases():
    return [
        pytest.param(name, place, id=f"{name}-{'.'.join(map(str, place))}")
        for name, row in ROWS.items()
        for place in places(row)
    ]


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A trained run without curves, which take long to draw."""
    folder = tmp_path_factory.mktemp("others") / "a"
    shutil.copytree(trained / "a", folder, symlinks=True)
    (folder / "metrics.jsonl").unlink()
    return load_run(folder)


def shown(run, *rows):
    """The page of a run with these results."""
    run.run.eval_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return page(collect(run))


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add((tag, *(name for name, _ in attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def own_tags(run):
    """What a page without anything hostile is made of."""
    return Tags(shown(run, *ROWS.values())).tags


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), cases())
def test_a_script_in_any_field_of_a_result_opens_no_tag(run, own_tags, name, place):
    html = shown(run, *(ROWS | {name: changed(ROWS[name], place, HOSTILE)}).values())
    assert Tags(html).tags <= own_tags


@pytest.mark.parametrize("field", mostly_slow(["settings", "values", "details", "used", "data"], 1))
def test_a_script_as_a_key_of_a_result_opens_no_tag(run, own_tags, field):
    for name, row in ROWS.items():
        html = shown(run, *(ROWS | {name: changed(row, (field, HOSTILE), 0.125)}).values())
        assert Tags(html).tags <= own_tags


def test_a_script_in_a_result_is_shown_as_it_stands(run):
    text = Tags(shown(run, changed(ROWS["sap"], ("warnings", 0), HOSTILE))).text
    assert f"sap: {HOSTILE}" in text


@pytest.mark.parametrize(
    "place", mostly_slow([("run", "root"), ("data", "root"), *(("provenance", "data", k) for k in SHARED["data"])], 1)
)
def test_a_script_in_the_settings_opens_no_tag(run, own_tags, place):
    file = run.run.config_file
    before = file.read_text()
    try:
        file.write_text(yaml.safe_dump(changed(yaml.safe_load(before), place, HOSTILE)))
        html = page(collect(load_run(run.run.path)))
    finally:
        file.write_text(before)
    assert Tags(html).tags <= own_tags
    assert HOSTILE in " ".join(Tags(html).text.split())  # YAML breaks lines


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), cases())
def test_a_result_of_odd_types_never_breaks_the_page(run, name, place):
    for odd in ODD:
        html = shown(run, ROWS["tpl_small"], ROWS["where"], changed(ROWS[name], place, odd))
        assert "All settings" in html


def test_a_result_that_cannot_be_read_is_left_out_with_a_word(run):
    odd = {
        "value": changed(ROWS["sap"], ("value",), "0.5"),
        "images_seen": changed(ROWS["sap"], ("images_seen",), "many"),
        "details": changed(ROWS["tpl_small"], ("details", "std"), [0.1]),
        "used": {key: value for key, value in ROWS["tpl_small"].items() if key != "used"},
    }
    for field, row in odd.items():
        text = Tags(shown(run, row)).text
        assert f"eval.jsonl: a row of metric {row['metric']} cannot be read ({field}: not as expected)" in text
        assert "what it is, and which way is better" not in text
    text = Tags(shown(run, ROWS["sap"] | {"metric": "fid_of_tomorrow"})).text
    assert "eval.jsonl: fid_of_tomorrow is no metric that is known here" in text


def test_a_result_that_cannot_be_read_hides_no_other(run):
    text = Tags(shown(run, ROWS["sap"], changed(ROWS["sap"], ("value",), []))).text
    assert "separated attribute predictability" in text


@pytest.mark.parametrize(
    "row",
    mostly_slow(
        [
            {"loss/r1": 1.0},
            {"images_seen": 8, HOSTILE: 1.0},
            *({"images_seen": odd, "loss/r1": 1.0} for odd in (*ODD, HOSTILE, 1e308)),
            *({"images_seen": 8, "loss/r1": odd} for odd in (*ODD, HOSTILE, 1e308)),
        ],
        fast=2,
    ),
)
def test_odd_rows_of_losses_never_break_the_report(run, own_tags, row):
    sound = {"images_seen": 16, "loss/r1": 0.5}
    run.run.metrics_file.write_text("".join(json.dumps(each) + "\n" for each in (row, sound)))
    try:
        html = page(collect(run))
    finally:
        run.run.metrics_file.unlink()
    assert "loss curves" in html
    assert "script" not in html


def test_a_picture_of_another_name_is_not_shown(runs):
    for name in ("images-x.png", "images-.png", "images-1 000.png"):
        (runs / "a" / "traversals" / name).write_text("no picture")
    html = write_report(load_run(runs / "a"), compute=False).read_text()
    assert "at 32 images" in html


@pytest.mark.slow
def test_half_a_character_in_a_result_does_not_keep_the_report_from_being_written(runs):
    row = changed(ROWS["sap"], ("warnings", 0), "half \ud800")
    (runs / "a" / "eval.jsonl").write_text(json.dumps(row) + "\n")
    assert "half ?" in write_report(load_run(runs / "a"), compute=False).read_text()

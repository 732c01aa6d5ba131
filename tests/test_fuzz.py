"""Whatever is typed or lies in a file, a command ends well or in one line: 500 cases, the same ones each time."""

import contextlib
import io
import json
import os
import re

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherewhat_pl.cli import VERBS, main
from wherewhat_pl.config import load_config
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.results import read_results
from wherewhat_pl.evaluation.settings import EvalSettings
from wherewhat_pl.run.files import append_row, read_rows
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.schema import settings_of
from wherewhat_pl.settings import ExperimentConfig

LONGEST_LINE = 200
KEYS = [*settings_of(ExperimentConfig)]
MEASURES = [*settings_of(EvalSettings)]
NASTY = [
    "", " ", "0", "1", "-1", "2", "8", "16", "4096", "99999", "1e-320", "1e308", "-1e308", "nan", "inf", "-inf",
    ".nan", ".inf", str(2**31), str(2**63), str(2**70), "9" * 5000, "0x10", "1_000", "1e3", "true", "maybe", "null",
    "None", "~", "~nobody/x", "${nope}", "${seed}", "${oc.env:HOME}", "$${x}", "${", "???", "..", ".", "/", "../..",
    "a/b", "a" * 300, "a" * 5000, "x\ny", "x\ry", "\x1b[31m", "\x00", "\udcff", "\u202e", "é" * 200, "[", "]", "{",
    "}", "[]", "{}", "[[]]", "[null]", "[1, [2]]", "{a: b}", "{base: 0}", "{min: -1, max: nan}", "[" * 2000,
    "&a [*a]", "*a", "!!python/object:os.system x", "!!binary aa", "a: b: c", "- x", "'", '"', "#", "%", "banana",
    "cpu", "gpu", "none", "rectangles", "[Const-4]", "[Const-0,C_global-1]", "[Const-4,ResConv-up-99999,C_global-1]",
    "[Const-4,C_global-100000]", "[Const-99999999,C_global-1]", "[Const-4,ResConv-id-99999,C_global-1]",
    "[Const-4,ResConv-up-4,C_global-4]", "[Const-4,Noise-99999,C_global-1]", "[Const-4,C_spgroup-999999-1]",
    "[" + "Const-4," * 3000 + "C_global-1]", "C_global-" + "1" * 300,
]  # fmt: skip
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
)
FILES = [
    "", "x", "5", "[1]", "---\n---\n", "seed: [", "\t", "seed: 1\nseed: 2", "? [a]\n: b", "1: 2", "null: x", "a: *b",
    BOMB, "model: &m {ps: *m}", "[" * 3000, "a: " * 3000, "extends: [a]", "extends: 5", "extends: ${x}",
    "extends: {a: b}", "extends: ''", "extends: nowhere", "extends: ..", "reference: ${nope}", "reference: [true]",
    "model: 5", "model: null", "model: [a]", "seed: !!python/object/apply:os.system [x]", "seed: !!binary aa",
    "seed: 2024-01-01", "x: 1" * 400_000, "seed: ${oc.env:HOME}", "data: {root: '${seed}'}", "provenance: ${nope}",
    "provenance: [1]", "provenance: {data: 5}", "provenance: {data: {source: [x]}}",
    "provenance: {data: {name: {a: b}}}", "experiment: ../x", "run: {name: ..}",
]  # fmt: skip

pytestmark = pytest.mark.slow


def cases(count):
    """So many, the same ones each time."""
    unwanted = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=unwanted)


values = st.one_of(
    st.sampled_from(NASTY), st.sampled_from(NASTY), st.text(max_size=40), st.integers().map(str), st.floats().map(str)
)
words = st.tuples(st.sampled_from(KEYS), values).map("=".join)
others = st.tuples(st.one_of(values, st.sampled_from(KEYS)), values).map("=".join)
measures = st.tuples(st.sampled_from([*MEASURES, "device", "checkpoint", "metrics", "compute", "force"]), values).map(
    "=".join
)
plain = st.recursive(
    st.one_of(st.sampled_from(NASTY), st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


def tree(pairs):
    """Dotted keys and their values as nested dictionaries."""
    root = {}
    for key, value in pairs:
        *groups, name = key.split(".")
        at = root
        for group in groups:
            at = at[group] = at[group] if isinstance(at.get(group), dict) else {}
        at[name] = value
    return root


trees = st.lists(st.tuples(st.sampled_from([*KEYS, "extends", "provenance", "provenance.data"]), plain), max_size=3)
dumped = trees.map(lambda pairs: yaml.safe_dump(tree(pairs), allow_unicode=True).encode("utf-8", "surrogatepass"))


@st.composite
def damaged(draw, sound):
    """A file's bytes as a broken machine leaves them: cut, or some overwritten."""
    content = draw(sound)
    kind = draw(st.sampled_from(["whole", "cut", "overwritten"]))
    at = draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "cut":
        return content[:at]
    return content if kind == "whole" else content[:at] + draw(st.binary(max_size=8)) + content[at + 8 :]


files = st.one_of(st.sampled_from(FILES).map(str.encode), damaged(dumped), st.binary(max_size=60))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder; what was written outside of it, or loaded by torch, fails the test."""
    loads = []
    monkeypatch.setattr(torch, "load", lambda *arguments, **_: loads.append(arguments))
    monkeypatch.chdir(tmp_path / "work" if (tmp_path / "work").mkdir() is None else tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "work"))
    yield tmp_path / "work"
    assert not loads
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def said_by(arguments):
    """The exit status of a command, and the lines that it complained in."""
    complaints = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stderr(complaints), contextlib.redirect_stdout(printed):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        printed.flush()
        complaints.flush()
    lines = re.split(r"[\r\n]+", complaints.buffer.getvalue().decode().strip())
    return stop.value.code, [line for line in lines if line]


def ends_well(arguments, named):
    """Whether a command ends with 0 and no complaint, or with 2 and one short line that names what is wrong."""
    status, lines = said_by(arguments)
    assert status in (0, 2), lines
    if status == 2:
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        assert len(lines[0]) <= LONGEST_LINE, lines
        assert lines[0].isprintable(), lines
        assert any(name in lines[0] for name in named), lines
    else:
        assert not lines


def keys(given):
    return [word.partition("=")[0] for word in given]


@cases(200)
@given(st.lists(words, min_size=1, max_size=3))
def test_settings_of_an_experiment(here, given):
    ends_well(["train", "exp=shapes3d_quick", *given, "--print-config"], keys(given))


@cases(75)
@given(st.sampled_from([*VERBS, "trian"]), st.lists(others, min_size=1, max_size=3), st.lists(measures, max_size=2))
def test_words_of_any_verb(here, verb, given, measured):
    more = {"eval": ["run=nowhere"], "report": ["run=nowhere"], "select": ["runs=nowhere"], "data": ["name=nothing"]}
    ends_well([verb, *given, *measured, *more.get(verb, ["only=nothing", "exp=nothing"])], [""])


@cases(75)
@given(st.sampled_from(["eval", "report", "select"]), st.lists(measures, min_size=1, max_size=2))
def test_how_a_run_is_measured(here, verb, given):
    where = "runs" if verb == "select" else "run"
    ends_well([verb, *given, f"{where}=nowhere"], [*keys(given), "run"])


@cases(75)
@given(files)
def test_an_experiment_file(here, content):
    (here / "mine.yaml").write_bytes(content)
    ends_well(["train", "exp=mine.yaml", "--print-config"], ["mine.yaml", *KEYS, "extends", "exp"])


@cases(50)
@given(files)
def test_the_settings_in_a_runs_folder(here, content):
    config = load_config("shapes3d_quick", ["run.name=run"])
    run = RunDir.of(config)
    run.path.mkdir(parents=True, exist_ok=True)
    run.config_file.write_bytes(content)
    data = {"name": "shapes3d", "source": "rendered", "fingerprint": "0"}
    for work in (run.settings, run.provenance, run.data_provenance, lambda: run.prepare(config, {"data": data})):
        said = ""
        try:
            work()
        except ConfigError as error:
            said = str(error)
        assert not said or str(run.path) in said
        assert len(said) <= LONGEST_LINE
        assert said.isprintable()


@cases(25)
@given(st.lists(st.one_of(plain.map(lambda row: json.dumps(row).encode()), st.binary(max_size=30)), max_size=5))
def test_rows_of_a_run(here, lines):
    run = RunDir("run")
    run.path.mkdir(exist_ok=True)
    for file in (run.metrics_file, run.eval_file):
        file.write_bytes(b"\n".join(lines))
        read_results(file)
        append_row(file, {"images_seen": 8, "loss": 1.0})
        assert read_rows(file)[-1] == {"images_seen": 8, "loss": 1.0}
    run.forget_metrics_after(16)
    assert read_rows(run.metrics_file)[-1] == {"images_seen": 8, "loss": 1.0}
    assert os.listdir("run")

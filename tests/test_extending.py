"""The examples of docs/extending.md, carried out in a copy of the packages as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r'^```(?P<language>\w+)(?: title=(?P<file>\S+))?(?: after="(?P<after>.*)")?\n(?P<text>.*?)^```$', re.M | re.S
)
SHORTER = {"train": ["trainer.max_kimg=0.008"], "report": ["compute=false"]}  # what a test adds to an example's command


def examples():
    """The code blocks under each heading of the second level."""
    sections = re.split(r"^## (.*)\n", (ROOT / "docs" / "extending.md").read_text(), flags=re.M)
    return {title: list(BLOCK.finditer(text)) for title, text in zip(sections[1::2], sections[2::2], strict=True)}


@pytest.fixture
def carry_out(tmp_path, tiny_settings):
    """A function: heading -> the folder in which its files were written and its commands run, and what they printed."""

    def act(title):
        for name in ("wherewhat_pl", "data_modules", "experiments"):
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        printed = ""
        for block in examples()[title]:
            if block["file"]:
                write(tmp_path / block["file"], block["text"], block["after"])
            elif block["language"] == "sh":
                for line in block["text"].splitlines():
                    printed += run(shlex.split(line), tmp_path, tiny_settings)
        return tmp_path, printed

    return act


def write(path, text, after):
    """A new file, or a line in one that is there."""
    assert path.exists() == bool(after), path
    if after:
        before = path.read_text()
        assert before.count(f"{after}\n") == 1, after
        text = before.replace(f"{after}\n", f"{after}\n{text}")
    path.write_text(text)


def run(words, folder, tiny_settings):
    assert words[:2] == ["python", "-m"], words
    verb = words[3] if words[2] == "wherewhat_pl" else None
    given = {word.partition("=")[0] for word in words}
    tiny = [word for word in tiny_settings if word.partition("=")[0] not in given]
    more = [*(tiny if verb == "train" else ()), *SHORTER.get(verb, ())]
    done = subprocess.run([sys.executable, *words[1:], *more], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_a_kind_of_masks_is_a_class_of_ones_own(carry_out):
    folder, printed = carry_out("A mask")
    assert "1 passed" in printed
    run = folder / "runs" / "shapes3d_quick" / "gaussians"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert (settings["model"]["mask"], settings["plugins"]) == ("gaussians", ["my_masks"])
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["images_seen"] == 8
    assert [key for key in state["state_dict"] if key.startswith("generator.") and key.endswith("hills.weight")]
    assert "gaussians" in (run / "report.html").read_text()


@pytest.mark.slow
def test_a_metric_is_a_function_with_its_registration(carry_out):
    folder, printed = carry_out("A metric")
    assert "1 passed" in printed
    (row,) = map(json.loads, (folder / "runs" / "shapes3d_quick" / "even" / "eval.jsonl").read_text().splitlines())
    assert (row["metric"], row["settings"]) == ("evenness", {"samples": 4})
    assert 0 <= row["value"] <= 1


@pytest.mark.slow
def test_a_command_is_a_file_and_a_line(carry_out):
    folder, printed = carry_out("A command")
    assert "count=16" in printed
    assert "a whole number; images" in printed
    assert "of the latents" in printed
    with Image.open(folder / "samples.png") as picture:
        assert picture.size == (5 * 8, 8)


@pytest.mark.slow
def test_a_data_set_is_a_file_a_line_and_an_experiment(carry_out):
    folder, printed = carry_out("A data set")
    assert "of disks (rendered)" in printed
    assert all(re.search(rf"^\s*{factor}\b", printed, re.M) for factor in ("hue", "column", "row"))
    (run,) = (folder / "runs" / "disks").iterdir()
    assert yaml.safe_load((run / "config.yaml").read_text())["provenance"]["data"]["fingerprint"] == "disks 1"


def test_the_examples_are_python():
    for block in (block for blocks in examples().values() for block in blocks):
        if block["language"] == "python" and not block["after"]:
            compile(block["text"], block["file"], "exec")

"""What is said to make arrives, word for word, at the command; a stub stands in for the program."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import mostly_slow
from wherewhat_pl.cli import VERBS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def make(tmp_path):
    """A function: words for make -> the words that its command was started with."""
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    stub = tmp_path / "stub.py"
    stub.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    (environment / "ready").touch()

    outer = ("MAKE", "MFLAGS", "ARGS", "KEYS", "RUN_KEY", "CALL", "SAID_")  # of the make that runs the tests
    plain = {name: value for name, value in os.environ.items() if not name.startswith(outer)}

    def run(*words):
        command = ["make", f"VENV={environment}", f"RUNNER={sys.executable} {stub}", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=plain | {"NAME": "my-pc"})
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr

    return run


@pytest.mark.parametrize(
    "value",
    mostly_slow(
        ["$HOME $(PATH) $$ `ls`", "my run's name", 'a "b" c', "a; exit 3", "a # b", "a\\b|c&d>e", "*", "a=b"], 2
    ),
)
def test_make_passes_a_value_through_unharmed(make, value):
    assert make("train", "EXP=x", f"RUN={value}") == ["train", "exp=x", f"run.name={value}"]
    assert make("eval", f"RUN={value}") == ["eval", f"run={value}"]
    assert make("train", "EXP=x", f"data.root={value}")[-1] == f"data.root={value}"


def test_what_is_said_to_make_slurm_arrives_at_it(make):
    words = make("slurm", "EXP=x", "RUN=a", "NODES=2", "SBATCH=--partition=a --comment='b c'", "ARGS=seed=1", "DRY=1")
    assert words[0] == "slurm"
    assert sorted(words[1:]) == [
        "dry=1",
        "exp=x",
        "nodes=2",
        "run.name=a",
        "sbatch=--partition=a --comment='b c'",
        "seed=1",
    ]


def test_make_splits_args_as_a_shell_would_and_runs_nothing(make):
    words = make("bench", """ARGS=data.root='/my photos' seed=1 "a;b" $HOME `ls` $(x)""")
    assert words == ["bench", "data.root=/my photos", "seed=1", "a;b", "$HOME", "`ls`", "$(x)"]
    assert "error: ARGS=it's: No closing quotation" in make("bench", "ARGS=it's")


def test_make_says_only_what_it_was_told(make):
    assert make("train") == ["train", "exp=shapes3d_quick"]
    assert make("data") == ["data"]
    assert make("eval", "RUN=", "METRICS=") == ["eval"]
    assert make("sweep-local", "FILE=a.yaml") == ["sweep-local", "file=a.yaml"]
    assert make("import", "PKL=a.pkl", "RUN=b", "FORCE=1")[0] == "import"


def test_every_verb_is_a_target_of_make_with_a_line_in_its_help():
    said = subprocess.run(["make", "help"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert set(VERBS) <= set(re.findall(r"^  ([\w-]+) +\w", said, re.M))

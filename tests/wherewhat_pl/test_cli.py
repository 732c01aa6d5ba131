import os
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from wherewhat_pl.cli import VERBS, main, read
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.schema import settings_of
from wherewhat_pl.settings import ExperimentConfig

ROOT = Path(__file__).parents[2]


def status_of(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "'trian': no such verb; did you mean 'train'?"),
        (["train"], "exp=... is missing; say which, e.g. python -m wherewhat_pl train exp=shapes3d_quick"),
        (["train", "exp=shapes3d_quik"], "did you mean 'shapes3d_quick'?"),
        (
            ["train", "exp=shapes3d_quick", "model.mask=circles"],
            "model.mask=circles: no such kind of masks; did you mean",
        ),
        (["train", "exp=shapes3d_quick", "--dry-rnu"], "'--dry-rnu': no such option; did you mean '--dry-run'?"),
        (["train", "exp=shapes3d_quick", "data.name=shapes"], "data.name=shapes: must be one of"),
        (["train", "exp=shapes3d_quick", "trainer.batch_size=10", "trainer.devices=4"], "must be divisible by the 4"),
        (
            ["train", "exp=shapes3d_quick", "data.resolution=32", "run.root={tmp}"],
            "data.resolution=32: model.generator.modules draws 16 px",
        ),
        (["train", "exp=shapes3d_quick", "data.source=official", "data.root=nowhere", "run.root={tmp}"], "3dshapes.h5"),
        (["train", "exp=shapes3d_quick", "run.root=/proc/runs"], "run.root=/proc/runs: cannot write"),
        (["train", "exp"], "'exp': settings are given as key=value"),
        (["train", "exp=shapes3d_quick", "dry_run=maybe"], "dry_run=maybe: must be true or false"),
        (["data", "resolution=64"], "name=... is missing; say which, e.g. python -m wherewhat_pl data name=celeba"),
        (["data", "name=celeba", "resolution=big"], "resolution=big: must be a whole number from 8 to 2048 or null"),
        (["eval", "run=x", "--froce"], "'--froce': no such option; did you mean '--force'?"),
        (["select", "run=x"], "'run=x': select knows no such setting; did you mean 'runs'?"),
        (["report", "run=x", "samples=1"], "samples=1: must be a whole number from 2 to"),
        (["bench", "fast"], "'fast': bench knows no such setting; there are only"),
    ],
)
def test_a_mistake_ends_in_one_line_and_writes_nothing(arguments, message, capsys, tmp_path):
    assert status_of(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_print_config_prints_what_can_be_read_back(capsys, tmp_path):
    from wherewhat_pl.config import load_config, saved_config

    assert status_of("train", "exp=shapes3d_quick", "seed=5", "--print-config") == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert saved_config(tmp_path / "printed.yaml") == load_config("shapes3d_quick", ["seed=5"])


def test_help_lists_the_verbs(capsys):
    assert status_of("--help") == 0
    assert set(re.findall(r"^  ([\w-]+)  ", capsys.readouterr().out, re.M)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_every_setting_of_a_verb_and_an_example_that_it_understands(verb, capsys):
    command = import_module(VERBS[verb])
    assert status_of(verb, "--help") == 0
    said = capsys.readouterr().out
    settings = settings_of(command.Settings)
    if "overrides" in settings:
        settings = {key: setting for key, setting in settings.items() if key != "overrides"}
        settings |= settings_of(ExperimentConfig)
    named = {line.split("=")[0].strip() for line in said.splitlines() if re.match(r"  \w[\w.]*=", line)}
    assert named == {
        key.rstrip("_") for key, setting in settings.items() if not hasattr(setting.kind, "__dataclass_fields__")
    }
    assert f"python -m wherewhat_pl {verb} {command.EXAMPLE}" in said
    assert read(verb, command, command.EXAMPLE.split())


def test_help_holds_the_comments_of_the_source(capsys):
    status_of("train", "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "trainer.batch_size=32 a whole number from 1 to 65536; total over all devices" in said  # beside the field
    assert "official: only the complete published set. files (photographs)" in said  # on the lines before it
    assert "trainer.compile=false true or false; torch.compile for the plain passes" in said
    status_of("eval", "--help")
    inherited = " ".join(capsys.readouterr().out.split())
    assert "train=10000 a whole number from 1 to 10000000; images, votes" in inherited
    assert "measure again what was measured before seed=0" in inherited  # and not what the code after it says


def test_what_is_said_to_a_verb_becomes_its_settings():
    settings = read("eval", import_module(VERBS["eval"]), ["run=1.10", "--force", "metrics=mig,sap", "train=5"])
    assert (settings.run, settings.force, settings.metrics) == ("1.10", True, ["mig", "sap"])
    assert (settings.train, settings.test, settings.checkpoint) == (5, 5000, None)
    settings = read("train", import_module(VERBS["train"]), ["run.name=a=b", "exp=007", "--dry-run", "seed=1"])
    assert (settings.exp, settings.dry_run, settings.overrides) == ("007", True, ["run.name=a=b", "seed=1"])


def test_bars_are_drawn_seldom_where_nobody_watches():
    program = """
import io, runpy, sys
sys.argv = ["wherewhat_pl", "--help"]
try:
    runpy.run_module("wherewhat_pl", run_name="__main__")
except SystemExit:
    from tqdm import tqdm
    bar = tqdm(range(3), file=io.StringIO())
    print(bar.mininterval, bar.maxinterval)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TQDM_")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "30.0 30.0"


def test_help_and_typos_are_answered_without_torch():
    commands = [
        ["--help"], ["trian"], *([verb, "--help"] for verb in VERBS),
        ["train", "exp=nowhere"], ["train", "exp=shapes3d_quick", "sed=1"], ["train", "exp=shapes3d_quick", "seed=x"],
        ["eval"], ["select", "runs=x", "train=many"],
    ]  # fmt: skip
    program = f"""
import sys
from wherewhat_pl.cli import main
for words in {commands}:
    try:
        main(words)
    except SystemExit:
        pass
    heavy = {{"torch", "pytorch_lightning", "numpy"}} & set(sys.modules)
    assert not heavy, (words, heavy)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def tiny_command(tiny_settings, tmp_path):
    """A function: name of the run, settings -> the command that trains the tiny experiment."""
    command = [
        sys.executable,
        "-m",
        "wherewhat_pl",
        "train",
        "exp=shapes3d_quick",
        *tiny_settings,
        f"run.root={tmp_path}",
    ]
    return lambda name, *more: [*command, f"run.name={name}", *more]


def start(command):
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"WANDB_MODE": "disabled"},
    )


def wait_for_checkpoint(run, process, timeout_s=180):
    deadline = time.monotonic() + timeout_s
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_started_again_the_weights_are_the_same_bit_for_bit(tiny_command, tmp_path):
    length = "trainer.max_kimg=0.6"
    assert subprocess.run(tiny_command("whole", length), capture_output=True).returncode == 0
    command = tiny_command("killed", length)
    run = tmp_path / "shapes3d_quick" / "killed"
    process = start(command)
    wait_for_checkpoint(run, process)
    time.sleep(0.3)
    process.kill()  # SIGKILL
    process.wait()
    killed_at = load_checkpoint(run / "checkpoints" / "last.ckpt")["images_seen"]
    assert killed_at < 600, "the run ended before it could be killed"
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert re.search(r"continued at [\d,]+ images", again.stderr + again.stdout)
    import torch

    whole, killed = (
        load_checkpoint(tmp_path / "shapes3d_quick" / n / "checkpoints" / "last.ckpt") for n in ("whole", "killed")
    )
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, killed["state_dict"][name]), name


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_ends_at_once_with_the_command_that_continues(tiny_command, tmp_path, number):
    command = tiny_command("stopped", "trainer.max_kimg=100")
    process = start(command)
    run = tmp_path / "shapes3d_quick" / "stopped"
    wait_for_checkpoint(run, process)
    process.send_signal(number)
    sent = time.monotonic()
    said, _ = process.communicate(timeout=60)
    seconds = time.monotonic() - sent
    assert process.returncode == 128 + number
    stopped_at = int(re.search(r"stopped and saved at ([\d,]+) images", said)[1].replace(",", ""))
    assert load_checkpoint(run / "checkpoints" / "last.ckpt")["images_seen"] == stopped_at
    assert "python -m wherewhat_pl train exp=shapes3d_quick" in said
    assert "Traceback" not in said
    assert seconds < 30  # two on an idle machine; the training itself would take hours

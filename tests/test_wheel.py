"""The package as a wheel installs it, with no clone in reach."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "wherewhat_pl", "data_modules", "experiments")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the package, built from a copy so that the clone stays as it is."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--wheel-dir", out, source], check=True)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_packages_and_the_experiments(wheel):
    installed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kept = {
        path.relative_to(ROOT).as_posix()
        for folder in ("wherewhat_pl", "data_modules", "experiments")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert installed == kept


@pytest.mark.slow
def test_an_installed_package_trains_and_reports_in_any_folder(wheel, tmp_path):
    site, folder = tmp_path / "site", tmp_path / "empty"
    folder.mkdir()
    for words in (
        ["init"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "--message=theirs"],
    ):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
    zipfile.ZipFile(wheel).extractall(site)

    def python(*words):
        environment = os.environ | {"PYTHONPATH": str(site), "WANDB_MODE": "disabled"}
        done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = python("-c", "import data_modules, wherewhat_pl; print(data_modules.__path__[0], wherewhat_pl.__path__[0])")
    assert where.split() == [str(site / "data_modules"), str(site / "wherewhat_pl")]
    few = ("trainer.max_kimg=0.064", "data.source=rendered", "trainer.accelerator=cpu", "factors.images=64")
    python("-m", "wherewhat_pl", "train", "exp=shapes3d_quick", "run.name=a", *few)
    python("-m", "wherewhat_pl", "report", "run=runs/shapes3d_quick/a", "compute=false", "device=cpu")
    run = folder / "runs" / "shapes3d_quick" / "a"
    assert (run / "report.html").is_file()
    assert (
        yaml.safe_load((run / "config.yaml").read_text())["provenance"]["git"] is None
    )  # not the repository around it

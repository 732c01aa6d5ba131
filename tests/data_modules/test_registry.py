"""Data sets by name, the package's and anybody's own."""

from __future__ import annotations

import pytest

from data_modules.base import DeviceDataModule
from data_modules.errors import DataError
from data_modules.registry import DATA_MODULES, build_data, data_module

OWN = """
from data_modules.base import DeviceDataModule

class GreyDataModule(DeviceDataModule):
    name = "grey"

class RootedDataModule(DeviceDataModule):
    name = "rooted"
    sources = ("auto", "files")

    def __init__(self, resolution, batch_size, seed, mirror, root):
        super().__init__(resolution, batch_size, seed, mirror)
        self.root = root
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    (tmp_path / "own_sets.py").write_text(OWN)
    (tmp_path / "broken_sets.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", DATA_MODULES)
def test_a_data_set_calls_itself_by_its_name_in_the_registry(name):
    assert data_module(name).name == name


def test_a_class_of_ones_own_gets_the_settings_that_it_takes():
    grey, rooted = (
        build_data(f"own_sets:{name}DataModule", 8, 4, seed=3, root="here", max_bad=0.5) for name in ("Grey", "Rooted")
    )
    assert isinstance(grey, DeviceDataModule)
    assert (grey.resolution, grey.batch_size, grey.seed) == (8, 4, 3)
    assert rooted.root == "here"


def test_a_source_that_ones_own_class_does_not_have_is_one_line():
    with pytest.raises(DataError, match=r"^data.source=files: must be one of auto for data.name=grey$"):
        build_data("own_sets:GreyDataModule", 8, 4, source="files")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shapes", "must be one of shapes3d, .*, or a class of your own as module:Class"),
        ("own_sets:", "must be one of"),
        (":GreyDataModule", "must be one of"),
        ("..own_sets:GreyDataModule", "must be one of"),
        ("own_sets:GrayDataModule", "cannot be imported .*no attribute 'GrayDataModule'"),
        ("no_such_sets:X", "cannot be imported .*No module named 'no_such_sets'"),
        ("broken_sets:X", "cannot be imported .*No module named 'no_such_library'"),
        ("pathlib:Path", "is no subclass of data_modules.base.DeviceDataModule"),
        ("math:pi", "is no subclass of"),
    ],
)
def test_what_is_no_data_set_is_one_line(name, message):
    with pytest.raises(DataError, match=rf"^data.name={name}: {message}") as error:
        build_data(name, 8, 4)
    assert "\n" not in str(error.value)

import sys

import pytest

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.plugins import load_plugins


def test_a_plugin_is_imported_once(tmp_path, monkeypatch):
    (tmp_path / "my_counting_plugin.py").write_text(
        "import sys\nsys.counted_plugins = 1 + getattr(sys, 'counted_plugins', 0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    load_plugins(["my_counting_plugin"])
    load_plugins(["my_counting_plugin"])
    assert vars(sys).pop("counted_plugins") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_plugin", r"plugins: no_such_plugin cannot be imported .*No module named 'no_such_plugin'"),
        ("my_masks.py/", r"plugins: 'my_masks.py/' is no module's name"),
        ("..masks", r"plugins: '..masks' is no module's name"),
        ("", r"plugins: '' is no module's name"),
    ],
)
def test_what_cannot_be_imported_is_one_line(name, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_plugins([name])
    assert "\n" not in str(error.value)

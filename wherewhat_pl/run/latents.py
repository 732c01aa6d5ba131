"""What people call a run's latents: ``latents.yaml`` in its folder, by position.

3: {name: floor hue, sign: -1, range: [-1.5, 2]}   # shown from 2 to -1.5
5: object size                                     # a name alone
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.model import Latent
from wherewhat_pl.run.files import write_atomically

KEYS = ("name", "sign", "range")
FARTHEST = 100  #: that a range may reach


def read_latents(path: Path, num_latents: int) -> list[Latent]:
    """All latents of a model, those that the file does not name as ``latent k``: all of them where there is no file.

    Raises:
        ConfigError: the file cannot be read, or says what is none; one line that names it and the latent.
    """
    return _latents(path, _read(path), num_latents)


def name_latent(path: Path, num_latents: int, position: int, latent: Latent) -> list[Latent]:
    """Write what one latent is called, and leave what is said of the others.

    Args:
        path: of the file, which need not be there; comments in it are lost.
        num_latents: of the model.
        position: of the latent.
        latent: what it is called from now on; ``latent POSITION`` shown from -2 to 2 takes it out of the file, which
            is removed with the last one.

    Returns:
        All latents, as :func:`read_latents` would read them.

    Raises:
        ConfigError: the file that is there cannot be read, or would say what is none; nothing is written then.
    """
    said = _read(path)
    said.pop(position, None)
    if latent != Latent(f"latent {position}"):
        said[position] = {"name": latent.name, "sign": latent.sign, "range": [latent.low, latent.high]}
    latents = _latents(path, said, num_latents)
    if said:
        write_atomically(path, "".join(_line(key, said[key]) for key in sorted(said)).encode())
    else:
        path.unlink(missing_ok=True)
    return latents


def _read(path: Path) -> dict[Any, Any]:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read ({one_line(error, 120)})") from None
    if said is None:  # nothing, or comments only
        return {}
    if not isinstance(said, dict):
        raise ConfigError(f"{path}: must hold positions and names, e.g. 3: floor hue")
    return said


def _line(position: int, about: Any) -> str:
    text = yaml.safe_dump({position: about}, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000)
    return text.strip()[1:-1] + "\n"  # {3: ...} without its braces


def _latents(path: Path, said: dict[Any, Any], num_latents: int) -> list[Latent]:
    latents = [Latent(f"latent {k}") for k in range(num_latents)]
    for position, about in said.items():
        if type(position) is not int or not 0 <= position < num_latents:
            raise ConfigError(f"{path}: there is no latent {position}; this model has 0 to {num_latents - 1}")
        latents[position] = _latent(path, position, about if isinstance(about, dict) else {"name": about})
    names = [latent.name for latent in latents]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path}: two latents are called '{name}'")
    return latents


def find_latents(words: Sequence[str], latents: Sequence[Latent], key: str) -> list[int]:
    """Positions of latents that a user named, by position or by name, in the order given.

    Args:
        words: e.g. ``["19", "floor hue"]``.
        latents: of the model.
        key: the setting to name in errors.

    Raises:
        ConfigError: one is no latent of this model, or is there twice.
    """
    names = [latent.name for latent in latents]
    found: list[int] = []
    for word in (word.strip() for word in words):
        if word.isdecimal() and int(word) >= len(names):
            raise ConfigError(f"{key}={word}: is out of range; this model has latents 0 to {len(names) - 1}")
        if not word.isdecimal() and word not in names:
            raise ConfigError(f"{key}={word}: no latent has this name{suggestion(word, names)}")
        position = int(word) if word.isdecimal() else names.index(word)
        if position in found:
            raise ConfigError(f"{key}: names latent {position} twice")
        found.append(position)
    return found


def _latent(path: Path, position: int, about: dict[Any, Any]) -> Latent:
    def require(holds: bool, message: str) -> None:
        if not holds:
            raise ConfigError(f"{path}: latent {position}: {message}")

    for key in about:
        require(key in KEYS, f"'{key}' is none of {', '.join(KEYS)}")
    name, sign, limits = about.get("name", f"latent {position}"), about.get("sign", 1), about.get("range", [-2.0, 2.0])
    require(isinstance(name, str | int | float) and bool(str(name).strip()), "name must be text")
    require(not str(name).strip().isdecimal(), f"name: '{name}' would be taken for a position")
    require(sign in (1, -1), f"sign must be 1 or -1, not {sign}")
    numbers = isinstance(limits, list) and len(limits) == 2 and all(type(item) in (int, float) for item in limits)
    require(numbers and -FARTHEST <= limits[0] < limits[1] <= FARTHEST, "range must be two rising numbers, [-2, 2]")
    return Latent(str(name).strip(), int(sign), float(limits[0]), float(limits[1]))

"""``python -m wherewhat_pl VERB key=value ...``: one verb a user would say each; mistakes end in one line."""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from typing import Any

from omegaconf import MISSING, OmegaConf

from data_modules.errors import DataError
from wherewhat_pl.errors import (
    CheckpointError,
    ConfigError,
    ModelError,
    NonFiniteError,
    ProcessLostError,
    nearest,
    suggestion,
)
from wherewhat_pl.schema import Setting, check_values, merge, read_words, settings_of
from wherewhat_pl.signals import Stopped

#: what each verb is: a module with a line about it, an ``EXAMPLE``, its ``Settings`` and ``run(settings) -> status``
VERBS = {
    "train": "wherewhat_pl.commands.train",
    "data": "wherewhat_pl.commands.data",
    "eval": "wherewhat_pl.commands.eval",
    "select": "wherewhat_pl.commands.select",
    "table": "wherewhat_pl.commands.table",
    "results": "wherewhat_pl.commands.results",
    "sweep": "wherewhat_pl.commands.sweep",
    "agent": "wherewhat_pl.commands.agent",
    "sweep-local": "wherewhat_pl.commands.sweep_local",
    "report": "wherewhat_pl.commands.report",
    "generate": "wherewhat_pl.commands.generate",
    "traverse": "wherewhat_pl.commands.traverse",
    "rotate": "wherewhat_pl.commands.rotate",
    "project": "wherewhat_pl.commands.project",
    "edit": "wherewhat_pl.commands.edit",
    "export": "wherewhat_pl.commands.export",
    "explore": "wherewhat_pl.commands.explore",
    "import": "wherewhat_pl.commands.import_",  # a word that Python keeps for itself
    "bench": "wherewhat_pl.commands.bench",
    "slurm": "wherewhat_pl.commands.slurm",
    "status": "wherewhat_pl.commands.status",
}
PROGRAM = "python -m wherewhat_pl"
HELP = ("-h", "--help", "help")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit: 0 done, 1 failed, 2 a mistake in what was asked, 128 + n after signal n."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # many lines where the home folder cannot be written to
    given = [word for word in (sys.argv[1:] if arguments is None else arguments) if word]
    raise SystemExit(_guarded(lambda: run(given)))


def run(words: Sequence[str]) -> int:
    """Do what a command says; raises what a verb raises, :class:`ConfigError` for what cannot be understood."""
    if not words or words[0] in HELP:
        print(overview())
        return 0 if words else 2
    verb, *rest = words
    if verb not in VERBS:
        raise ConfigError(f"'{verb}': no such verb{suggestion(verb, list(VERBS))}")
    command = import_module(VERBS[verb])
    if any(word in HELP for word in rest):
        print(help_of(verb, command))
        return 0
    return command.run(read(verb, command, rest))  # type: ignore[no-any-return]


def read(verb: str, command: Any, words: Sequence[str]) -> Any:
    """The words after a verb as its settings; ``--force`` says ``force=true``.

    A field that names another dataclass (``metadata={"settings_of": ...}``) gets that one's ``key=value``, unread.
    """
    known, others = _own_settings(command.Settings), _others(command.Settings)
    flags = {_flag(key): key for key, setting in known.items() if setting.kind is bool}
    own, rest = [], []
    for word in words:
        key, equals, value = word.partition("=")
        if f"{key}_" in known:  # a word that Python keeps for itself, from=...
            key, word = f"{key}_", f"{key}_={value}"
        if word in flags:
            own.append(f"{flags[word]}=true")
        elif word.startswith("--") and not equals:
            raise ConfigError(f"'{word}': no such option{nearest(word, [*flags, '--help'])}")
        elif key in known:
            own.append(word)
        elif others:
            rest.append(word)
        else:
            raise ConfigError(f"'{word}': {verb} knows no such setting{suggestion(key.lstrip('-'), list(known))}")
    config = merge(OmegaConf.structured(command.Settings), read_words(own, command.Settings))
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise ConfigError(
            f"{missing[0].rstrip('_')}=... is missing; say which, e.g. {PROGRAM} {verb} {command.EXAMPLE}"
        )
    settings: Any = OmegaConf.to_object(config)
    check_values(settings)
    return replace(settings, **dict.fromkeys(others, rest))


def overview() -> str:
    """What verbs there are, a line each."""
    lines = [f"  {verb:<13}{_about(import_module(module))}" for verb, module in VERBS.items()]
    return "\n".join([f"{PROGRAM} VERB key=value ...", "", *lines, "", f"{PROGRAM} VERB --help lists what can be set."])


def help_of(verb: str, command: Any) -> str:
    """A verb's settings, each with its default, what it must be, and the comment that documents it."""
    lines = [f"{PROGRAM} {verb} key=value ...", _about(command), f"e.g. {PROGRAM} {verb} {command.EXAMPLE}"]
    lines += ["", *_table(_own_settings(command.Settings), flags=True)]
    for schema in _others(command.Settings).values():
        lines += ["", "and any setting of the experiment, over what its file says:", *_table(settings_of(schema))]
    return "\n".join([*lines, "", "Text is taken as it is typed, anything else is YAML; null is no value."])


def _table(settings: dict[str, Setting], flags: bool = False) -> list[str]:
    rows = []
    for key, setting in settings.items():
        if not is_dataclass(setting.kind):
            flag = f", or {_flag(key)}" if flags and setting.kind is bool else ""
            what = f"{setting.in_words}{flag}; {setting.about}"
            rows.append((f"{key.rstrip('_')}={_in_yaml(setting.default)}", what.removesuffix("; ")))
        elif setting.about:
            rows.append((f"{key}.*", setting.about))
    column = max((len(said) for said, _ in rows), default=0) + 2
    width = max(shutil.get_terminal_size((120, 0)).columns, column + 40)
    style: dict[str, Any] = {"subsequent_indent": " " * (column + 2), "break_on_hyphens": False}
    return [line for said, what in rows for line in textwrap.wrap(f"  {said:<{column}}{what}", width, **style)]


def _in_yaml(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    words = "null" if value is None else str(value)
    return words.lower() if isinstance(value, bool) else words.replace(MISSING, "...")


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _about(command: Any) -> str:
    return (command.__doc__ or "").strip().splitlines()[0]


def _others(schema: Any) -> dict[str, type]:
    return {item.name: item.metadata["settings_of"] for item in fields(schema) if "settings_of" in item.metadata}


def _own_settings(schema: Any) -> dict[str, Setting]:
    return {key: setting for key, setting in settings_of(schema).items() if key not in _others(schema)}


def _guarded(work: Callable[[], int]) -> int:
    """Turn what a user or a machine did wrong into one line; what the program did wrong keeps its traceback."""
    try:
        return work()
    except (ConfigError, DataError, CheckpointError, ModelError) as error:
        return _fail(str(error), 2)
    except NonFiniteError as error:
        return _fail(f"{error}; the last good checkpoint is kept (a lower model.optimizer.learning_rate may help)", 1)
    except (OSError, ProcessLostError) as error:
        return _fail(str(error), 1)
    except Stopped as stop:
        return _fail(str(stop), 128 + stop.number)
    except KeyboardInterrupt:
        return _fail("stopped; the last checkpoint is kept", 130)


def _fail(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status

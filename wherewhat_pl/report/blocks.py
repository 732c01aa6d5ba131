"""Tables inside a Markdown page, made from files of records, so that no number is typed.

    <!-- table NAME [metrics=fvm,mig rows=model.loss ...] -->
    <!-- end -->

What stands between is replaced by the table of ``NAME.jsonl``, with the settings of ``table``. ``<!-- csv NAME -->``
does the same with a ``NAME.csv``, its cells as they are.
"""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from wherewhat_pl.errors import ConfigError, naming
from wherewhat_pl.evaluation.records import Complain, read_records
from wherewhat_pl.evaluation.settings import TableSettings
from wherewhat_pl.evaluation.table import table_of
from wherewhat_pl.report.tables import as_markdown, in_markdown
from wherewhat_pl.schema import check_values, merge, read_words

BEGIN, END = re.compile(r"<!-- (table|csv) (.*)-->"), "<!-- end -->"


def with_tables(page: str, folder: Path, complain: Complain) -> str:
    """A page with its tables made anew.

    Args:
        page: in Markdown.
        folder: of the files of records.
        complain: told of what a table leaves out.

    Raises:
        ConfigError: a marker without its end, a file that is not there, or a setting that is none.
    """
    made, inside = [], False
    for line in page.splitlines(keepends=True):
        if inside and line.strip() != END:
            if BEGIN.fullmatch(line.strip()):
                raise ConfigError(f"{line.strip()}: the one before it has no {END}")
            continue
        inside = False
        made.append(line)
        if match := BEGIN.fullmatch(line.strip()):
            inside = True
            with naming(line.strip()):
                made.append(f"\n{_made(match[1], _words(match[2]), folder, complain)}\n")
    if inside:
        raise ConfigError(f"the last table has no {END}")
    return "".join(made)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _made(kind: str, words: list[str], folder: Path, complain: Complain) -> str:
    if not words or "=" in words[0]:
        raise ConfigError("says no name")
    name, *said = words
    path = folder / f"{name}.{'csv' if kind == 'csv' else 'jsonl'}"
    if not path.is_file():
        raise ConfigError(f"there is no {path}")
    if kind == "csv":
        lines = [*csv.reader(path.read_text(encoding="utf-8").splitlines())]
        if not lines:
            raise ConfigError(f"{path} is empty")
        lines.insert(1, ["---"] * len(lines[0]))
        return "".join(f"| {' | '.join(map(in_markdown, line))} |\n" for line in lines)
    settings: Any = OmegaConf.to_object(merge(OmegaConf.structured(TableSettings), read_words(said, TableSettings)))
    check_values(settings)
    return as_markdown(table_of(read_records(str(path), complain), settings, complain))

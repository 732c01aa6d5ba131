"""Compare groups of runs over their seeds, with means, deviations and tests."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wherewhat_pl.errors import ConfigError, warn
from wherewhat_pl.evaluation.settings import TableSettings

EXAMPLE = "runs='runs/shapes3d/*' metrics=fvm,mig format=markdown"


@dataclass(frozen=True)
class Settings(TableSettings):
    runs: str = "runs/*/*"  # run folders, folders of runs, files that save=... wrote, or patterns; several with commas
    format: Literal["text", "markdown", "csv", "latex"] = "text"
    out: str | None = None  # a file to write the table to; null: print it
    save: str | None = None  # a file (.jsonl) to keep the runs' settings, results and cost in, a line per run


def run(settings: Settings) -> int:
    from wherewhat_pl.evaluation.records import read_records, write_file
    from wherewhat_pl.evaluation.table import table_of
    from wherewhat_pl.report.tables import FORMATS
    from wherewhat_pl.run.files import write_atomically

    if settings.save and not settings.save.endswith(".jsonl"):
        raise ConfigError(f"save={settings.save}: must end in .jsonl")
    records = read_records(settings.runs, warn)
    text = FORMATS[settings.format](table_of(records, settings, warn))
    if settings.save:
        path = Path(os.path.expanduser(settings.save))
        write_file(path, [record for record in records if record.finished or settings.unfinished])
        print(f"saved    {path}", file=sys.stderr)
    if settings.out is None:
        print(text, end="")
    else:
        path = Path(os.path.expanduser(settings.out))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
        print(f"table    {path}")
    return 0

"""Make the tables of docs/results.md anew from the results kept beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wherewhat_pl.errors import ConfigError, naming, warn

EXAMPLE = "page=docs/results.md"


@dataclass(frozen=True)
class Settings:
    page: str = "docs/results.md"  # its tables stand between <!-- table NAME ... --> and <!-- end -->
    data: str | None = None  # folder of NAME.jsonl; null: the page's name without its ending


def run(settings: Settings) -> int:
    from wherewhat_pl.report.blocks import with_tables
    from wherewhat_pl.run.files import write_atomically

    page = Path(os.path.expanduser(settings.page))
    if not page.is_file():
        raise ConfigError(f"page={page}: no such file")
    folder = Path(os.path.expanduser(settings.data)) if settings.data else page.with_suffix("")
    old = page.read_text(encoding="utf-8")
    with naming(page):
        new = with_tables(old, folder, warn)
    if new != old:
        write_atomically(page, new.encode())
    print(f"{page}: {'made anew' if new != old else 'is as its data say'}")
    return 0

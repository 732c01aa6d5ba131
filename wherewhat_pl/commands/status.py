"""List runs: state, images, speed, time left, newest losses and TPL."""

from __future__ import annotations

from dataclasses import dataclass

EXAMPLE = "runs='runs/shapes3d/*'"


@dataclass(frozen=True)
class Settings:
    runs: str = "runs/*/*"  # run folders, or patterns of them; several with commas
    watch: bool = False  # again every five seconds, until Ctrl-C


def run(settings: Settings) -> int:
    from wherewhat_pl.launch.status import show_status

    return show_status(settings.runs, settings.watch)

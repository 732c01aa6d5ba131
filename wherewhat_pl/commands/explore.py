"""Open a page with a slider per latent, or write it as a folder for any web server."""

from __future__ import annotations

import signal

from wherewhat_pl.explorer.settings import ExploreSettings as Settings
from wherewhat_pl.signals import Stopped

EXAMPLE = "run=runs/shapes3d_quick/seed0"


def run(settings: Settings) -> int:
    from wherewhat_pl.explorer.explore import explore

    try:
        explore(settings)
    except Stopped as stop:  # Ctrl-C is how it is meant to end
        if stop.number != signal.SIGINT or settings.export is not None:
            raise
        print()
    return 0

"""The program. Signals are noted before anything else is imported: imports alone take seconds."""

import os
import sys

from wherewhat_pl import signals

signals.install()
if not sys.stderr.isatty():  # tqdm reads these when it is imported
    for name in ("TQDM_MININTERVAL", "TQDM_MAXINTERVAL"):
        os.environ.setdefault(name, "30")  # seconds: in a job's log, a bar's states are lines that somebody reads
try:
    from wherewhat_pl.cli import main

    main()
except SystemExit as end:
    signals.finish(end.code if isinstance(end.code, int) else 1)
    raise
except signals.Stopped as stop:  # on the way into or out of a command
    signals.finish(128 + stop.number)
    print(f"error: {stop}", file=sys.stderr)
    raise SystemExit(128 + stop.number) from None

"""The program. Signals are noted before anything else is imported: imports alone take seconds."""

import sys

from wherewhat_pl import signals

signals.install()
try:
    from wherewhat_pl.cli import main

    main()
except signals.Stopped as stop:  # before there was a command
    print(f"error: {stop}; nothing is lost, the same command goes on", file=sys.stderr)
    raise SystemExit(128 + stop.number) from None

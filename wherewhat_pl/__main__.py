"""The program. Signals are noted before anything else is imported: imports alone take seconds."""

import sys

from wherewhat_pl import signals

signals.install()
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

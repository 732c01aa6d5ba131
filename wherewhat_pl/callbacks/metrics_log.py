"""``metrics.jsonl`` as a Lightning logger: whatever is logged becomes a row, keyed by images_seen."""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning.loggers import Logger

from wherewhat_pl.run.files import PatientRows
from wherewhat_pl.run.folder import RunDir


class MetricsLog(Logger):
    """Append each row that is logged to a run's ``metrics.jsonl``; make it on the first process only.

    A row that cannot be written (a full disk) costs one warning and is caught up with the next.
    """

    name, version = "metrics.jsonl", ""

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self.rows = PatientRows(run.metrics_file)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        """Append one row, if there is anything to tell; ``step`` is images_seen."""
        if metrics:  # JSON has no NaN and no infinity
            finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
            self.rows.append({"images_seen": step, **finite})

    def finalize(self, status: str) -> None:
        """Write what is still waiting; Lightning calls it at the end, however a training ends."""
        self.rows.write()

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """They stand in ``config.yaml``."""

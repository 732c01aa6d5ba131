"""``metrics.jsonl`` as a Lightning logger: whatever is logged becomes a row, keyed by images_seen."""

from __future__ import annotations

import math
import warnings
from typing import Any

from pytorch_lightning.loggers import Logger

from data_modules.errors import one_line
from wherewhat_pl.run.files import append_row
from wherewhat_pl.run.folder import RunDir


class MetricsLog(Logger):
    """Append each row that is logged to a run's ``metrics.jsonl``; make it on the first process only.

    A row that cannot be written (a full disk) costs one warning and is caught up with the next.

    Args:
        run: whose file.

    Attributes:
        missed: whether a row could not be written at its time.
    """

    name, version = "metrics.jsonl", ""

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self.run = run
        self.missed = False
        self._waiting: list[dict[str, Any]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        """Append one row, if there is anything to tell; ``step`` is images_seen."""
        if not metrics:
            return
        self._waiting.append({"images_seen": step, **{name: _finite(value) for name, value in metrics.items()}})
        try:
            while self._waiting:
                append_row(self.run.metrics_file, self._waiting[0])
                self._waiting.pop(0)
        except OSError as error:
            if not self.missed:
                warnings.warn(f"{self.run.metrics_file}: cannot be written ({one_line(error)}); training goes on")
            self.missed = True

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """They stand in ``config.yaml``."""


def _finite(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None

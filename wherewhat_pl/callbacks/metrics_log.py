"""``metrics.jsonl`` as a Lightning logger: whatever is logged becomes a row, keyed by images_seen."""

from __future__ import annotations

import json
from typing import Any

from pytorch_lightning.loggers import Logger

from wherewhat_pl.run.folder import RunDir


class MetricsLog(Logger):
    """Append each row that is logged to a run's ``metrics.jsonl``; make it on the first process only.

    Args:
        run: whose file.
    """

    name, version = "metrics.jsonl", ""

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self.run = run

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        """Append one row, if there is anything to tell; ``step`` is images_seen."""
        if metrics:
            with self.run.metrics_file.open("a") as file:
                file.write(json.dumps({"images_seen": step, **metrics}) + "\n")

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """They stand in ``config.yaml``."""

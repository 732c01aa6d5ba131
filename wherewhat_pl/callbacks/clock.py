"""When something is due, as a function of the clock alone: a resumed run is due at the same times."""

from __future__ import annotations


def is_due(images_seen: int, batch_size: int, interval_kimg: float) -> bool:
    """Whether the batch that ended at ``images_seen`` reached or passed a multiple of the interval."""
    interval = interval_kimg * 1000
    return int(images_seen / interval) > int((images_seen - batch_size) / interval)

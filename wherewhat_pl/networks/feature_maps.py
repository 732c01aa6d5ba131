"""How many channels a network has at each stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wherewhat_pl.bounds import Range


@dataclass
class FeatureMaps:
    """How the number of channels falls: ``clip(int(base / 2 ** (stage * decay)), min, max)``."""

    base: Annotated[int, Range(1, 1_000_000)] = 2048
    decay: Annotated[float, Range(0, 5)] = 1.0
    min: Annotated[int, Range(1, 4096)] = 64
    max: Annotated[int, Range(1, 4096)] = 512

    def at(self, stage: int) -> int:
        """Channels at a stage (0, 1, 2, ...)."""
        return int(min(max(int(self.base / 2.0 ** (stage * self.decay)), self.min), self.max))

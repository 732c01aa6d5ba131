"""How many channels a network has at each stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FeatureMaps:
    """How the number of channels falls: ``clip(int(base / 2 ** (stage * decay)), min, max)``."""

    base: int = 2048
    decay: float = 1.0
    min: int = 64
    max: int = 512

    def at(self, stage: int) -> int:
        """Channels at a stage (0, 1, 2, ...)."""
        return int(min(max(int(self.base / 2.0 ** (stage * self.decay)), self.min), self.max))

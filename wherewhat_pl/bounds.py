"""What numbers a setting may be, said beside its type: ``Annotated[int, Range(1, 64)]``. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """The numbers from ``least`` to ``most``, both included; NaN is in none."""

    least: float
    most: float

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return f"from {self.least:.10g} to {self.most:.10g}"


Share = Annotated[float, Range(0, 1)]
Amount = Annotated[float, Range(0, 1e9)]
Count = Annotated[int, Range(1, 10_000_000)]
Several = Annotated[int, Range(2, 10_000_000)]
MOST_LATENTS = 4096
Latents = Annotated[int, Range(1, MOST_LATENTS)]
MOST_PIXELS = 2048
Pixels = Annotated[int, Range(8, MOST_PIXELS)]

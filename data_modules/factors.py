"""The factors of variation of a synthetic data set: a product of finite sets, last factor fastest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FactorSpace:
    """Names and sizes of the factors, and the mixed-radix arithmetic between indices and factor values.

    Attributes:
        names: one per factor, e.g. ``("floor_hue", "wall_hue")``.
        sizes: number of values of each factor, same order.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sizes) or min(self.sizes, default=0) < 1:
            raise ValueError(f"FactorSpace: names {self.names} and sizes {self.sizes} must match, sizes at least 1")

    @property
    def num_factors(self) -> int:
        return len(self.sizes)

    @property
    def num_images(self) -> int:
        """Number of combinations."""
        return math.prod(self.sizes)

    @property
    def bases(self) -> tuple[int, ...]:
        """How far the index moves when a factor moves by one."""
        return tuple(math.prod(self.sizes[i + 1 :]) for i in range(self.num_factors))

    def to_index(self, factors: Tensor) -> Tensor:
        """Factor values ``[..., num_factors]`` int64 -> indices ``[...]`` int64."""
        return (factors * factors.new_tensor(self.bases)).sum(-1)

    def to_factors(self, indices: Tensor) -> Tensor:
        """Indices ``[...]`` int64 -> factor values ``[..., num_factors]`` int64."""
        return indices[..., None] // indices.new_tensor(self.bases) % indices.new_tensor(self.sizes)

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        fixed: dict[int, int] | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Uniform factor values ``[count, num_factors]`` int64; ``fixed`` maps a factor's position to its one value."""
        uniform = torch.rand(count, self.num_factors, generator=generator, device=device, dtype=torch.float64)
        factors = (uniform * uniform.new_tensor(self.sizes)).to(torch.int64)
        for position, value in (fixed or {}).items():
            factors[:, position] = value
        return factors

    def all(self, device: torch.device | str = "cpu") -> Tensor:
        """Every combination in index order: ``[num_images, num_factors]`` int64."""
        return self.to_factors(torch.arange(self.num_images, device=device))

    def grid(self, rows: str | int, columns: str | int, at: Sequence[int]) -> Tensor:
        """All pairs of two factors' values, the others as in ``at``: ``[rows, columns, num_factors]`` int64."""
        i, j = (self.position(which) for which in (rows, columns))
        factors = torch.tensor(at).repeat(self.sizes[i], self.sizes[j], 1)
        factors[..., i] = torch.arange(self.sizes[i])[:, None]
        factors[..., j] = torch.arange(self.sizes[j])
        return factors

    def position(self, which: str | int) -> int:
        """Position of a factor given by name or position."""
        return self.names.index(which) if isinstance(which, str) else which

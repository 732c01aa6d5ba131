"""Where rays meet the four solids of 3DShapes: distances along the ray, and surface normals, without a branch.

All solids stand on ``z = 0`` with their axis on the z axis. Rays are ``origins + t * directions``; a miss has
``t = inf`` and a meaningless normal. Coordinates are kept as three tensors that broadcast: for the camera's rays x and
y depend on the column only and z on the row only, which saves most of the work.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Vectors:
    """Points or directions; ``x``, ``y``, ``z`` broadcast against each other."""

    x: Tensor
    y: Tensor
    z: Tensor

    def dot(self, other: Vectors) -> Tensor:
        return self.x * other.x + self.y * other.y + self.z * other.z

    def plus(self, other: Vectors, times: Tensor | float = 1.0) -> Vectors:
        """``self + times * other``."""
        return Vectors(self.x + times * other.x, self.y + times * other.y, self.z + times * other.z)

    def unit(self) -> Vectors:
        inverse = self.dot(self).rsqrt()
        return Vectors(self.x * inverse, self.y * inverse, self.z * inverse)


@dataclass(frozen=True)
class Hits:
    """First hits: distances in units of the directions' length, ``inf`` for a miss; normals of length 1."""

    distances: Tensor
    normals: Vectors


def box(origins: Vectors, directions: Vectors, half_width: float, height: float) -> Hits:
    """An upright box, ``|x|, |y| <= half_width`` and ``0 <= z <= height`` (slab method)."""
    enter_x, leave_x = _slab(origins.x, directions.x, -half_width, half_width)
    enter_y, leave_y = _slab(origins.y, directions.y, -half_width, half_width)
    enter_z, leave_z = _slab(origins.z, directions.z, 0.0, height)
    enter_side = torch.maximum(enter_x, enter_y)
    entry = torch.maximum(enter_side, enter_z)
    leave = torch.minimum(torch.minimum(leave_x, leave_y), leave_z)
    # The ray enters through the slab it enters last, against that component of its direction.
    by_z, by_x = enter_z >= enter_side, enter_x >= enter_y
    normals = Vectors(
        -directions.x.sign() * (by_x & ~by_z), -directions.y.sign() * (~by_x & ~by_z), -directions.z.sign() * by_z
    )
    return Hits(_or_miss(entry, (entry < leave) & (entry > 0)), normals)


def cylinder(origins: Vectors, directions: Vectors, radius: float, height: float) -> Hits:
    """An upright cylinder with a flat top, seen from above its base."""
    side = _pillar(origins, directions, radius, 0.0, height)
    top = (height - origins.z) / _not_zero(directions.z)
    x, y = origins.x + top * directions.x, origins.y + top * directions.y
    top = _or_miss(top, (top > 0) & (x * x + y * y <= radius**2))
    is_top = top < side
    distances = torch.minimum(side, top)
    points = origins.plus(directions, _finite(distances))
    flat = (~is_top).to(side.dtype) / radius
    return Hits(distances, Vectors(points.x * flat, points.y * flat, is_top.to(side.dtype)))


def sphere(origins: Vectors, directions: Vectors, radius: float, center_z: float) -> Hits:
    """A sphere around ``(0, 0, center_z)``."""
    relative = Vectors(origins.x, origins.y, origins.z - center_z)
    distances = _first_root(directions.dot(directions), relative.dot(directions), relative.dot(relative) - radius**2)
    points = relative.plus(directions, _finite(distances))
    return Hits(distances, Vectors(points.x / radius, points.y / radius, points.z / radius))


def capsule(origins: Vectors, directions: Vectors, radius: float, height: float) -> Hits:
    """A cylinder with a half sphere at either end; ``height`` counts them in."""
    distances = _pillar(origins, directions, radius, radius, height - radius)
    for center_z in (radius, height - radius):
        distances = torch.minimum(distances, sphere(origins, directions, radius, center_z).distances)
    points = origins.plus(directions, _finite(distances))
    axis_z = points.z.clamp(radius, height - radius)
    return Hits(distances, Vectors(points.x / radius, points.y / radius, (points.z - axis_z) / radius))


def _pillar(origins: Vectors, directions: Vectors, radius: float, low: float, high: float) -> Tensor:
    """Distances to the side of an upright cylinder between two heights."""
    across = _first_root(
        directions.x.square() + directions.y.square(),
        origins.x * directions.x + origins.y * directions.y,
        origins.x.square() + origins.y.square() - radius**2,
    )
    z = origins.z + _finite(across) * directions.z
    return _or_miss(across, (z >= low) & (z <= high))


def _slab(origin: Tensor, direction: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    inverse = 1.0 / _not_zero(direction)
    at_low, at_high = (low - origin) * inverse, (high - origin) * inverse
    return torch.minimum(at_low, at_high), torch.maximum(at_low, at_high)


def _first_root(a: Tensor, half_b: Tensor, c: Tensor) -> Tensor:
    """Smaller root of ``a t^2 + 2 half_b t + c`` if positive, ``inf`` where there is none."""
    discriminant = half_b.square() - a * c
    root = (-half_b - discriminant.clamp_min(0).sqrt()) / a
    return _or_miss(root, (discriminant > 0) & (root > 0))


def _not_zero(values: Tensor) -> Tensor:
    return torch.where(values.abs() < 1e-9, 1e-9, values)


def _or_miss(distances: Tensor, hit: Tensor) -> Tensor:
    return torch.where(hit, distances, torch.inf)


def _finite(distances: Tensor) -> Tensor:
    return torch.where(distances < torch.inf, distances, 0.0)

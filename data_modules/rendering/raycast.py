"""Where rays meet the four solids of 3DShapes: distances along the ray, and surface normals, without a branch.

All solids stand on ``z = 0`` with their axis on the z axis. Rays are ``origins + t * directions`` with ``[..., 3]``
tensors that broadcast; a miss has ``t = inf`` and a meaningless normal.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Hits(NamedTuple):
    """First hits: distances ``[...]`` in units of the directions' length, ``inf`` for a miss; normals ``[..., 3]``."""

    distances: Tensor
    normals: Tensor


def _first_root(a: Tensor, half_b: Tensor, c: Tensor) -> Tensor:
    """Smaller root of ``a t^2 + 2 half_b t + c``, ``inf`` where there is none."""
    discriminant = half_b.square() - a * c
    root = (-half_b - discriminant.clamp_min(0).sqrt()) / a
    return torch.where((discriminant > 0) & (root > 0), root, torch.inf)


def box(origins: Tensor, directions: Tensor, half_width: float, height: float) -> Hits:
    """An upright box, ``|x|, |y| <= half_width`` and ``0 <= z <= height`` (slab method)."""
    low = directions.new_tensor([-half_width, -half_width, 0.0])
    high = directions.new_tensor([half_width, half_width, height])
    inverse = 1.0 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    t_low, t_high = (low - origins) * inverse, (high - origins) * inverse
    entries = torch.minimum(t_low, t_high)
    entry, axis = entries.max(-1)
    exit_ = torch.maximum(t_low, t_high).amin(-1)
    distances = torch.where((entry < exit_) & (entry > 0), entry, torch.inf)
    # The ray enters through the slab it enters last, against that component of its direction.
    normals = -torch.nn.functional.one_hot(axis, 3).to(directions) * directions.sign()
    return Hits(distances, normals)


def cylinder(origins: Tensor, directions: Tensor, radius: float, height: float) -> Hits:
    """An upright cylinder with a flat top, seen from above its base."""
    (ox, oy, oz), (dx, dy, dz) = origins.unbind(-1), directions.unbind(-1)
    side = _first_root(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - radius**2)
    z = oz + side.nan_to_num(posinf=0.0) * dz
    side = torch.where((z >= 0) & (z <= height), side, torch.inf)
    top = (height - oz) / torch.where(dz.abs() < 1e-9, 1e-9, dz)
    on_top = (top > 0) & ((ox + top * dx).square() + (oy + top * dy).square() <= radius**2)
    top = torch.where(on_top, top, torch.inf)
    distances = torch.minimum(side, top)
    t = distances.nan_to_num(posinf=0.0)
    is_top = top < side
    zero = torch.zeros_like(t)
    normals = torch.stack([
        torch.where(is_top, zero, (ox + t * dx) / radius),
        torch.where(is_top, zero, (oy + t * dy) / radius),
        is_top.to(t.dtype),
    ], -1)
    return Hits(distances, normals)


def sphere(origins: Tensor, directions: Tensor, radius: float, center_z: float) -> Hits:
    """A sphere around ``(0, 0, center_z)``."""
    relative = origins - origins.new_tensor([0.0, 0.0, center_z])
    distances = _first_root(
        directions.square().sum(-1), (relative * directions).sum(-1), relative.square().sum(-1) - radius**2
    )
    points = relative + distances.nan_to_num(posinf=0.0)[..., None] * directions
    return Hits(distances, points / radius)


def capsule(origins: Tensor, directions: Tensor, radius: float, height: float) -> Hits:
    """A cylinder with a half sphere at either end; ``height`` counts them in."""
    (ox, oy, oz), (dx, dy, dz) = origins.unbind(-1), directions.unbind(-1)
    side = _first_root(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - radius**2)
    z = oz + side.nan_to_num(posinf=0.0) * dz
    side = torch.where((z >= radius) & (z <= height - radius), side, torch.inf)
    low = sphere(origins, directions, radius, radius).distances
    high = sphere(origins, directions, radius, height - radius).distances
    distances = torch.minimum(side, torch.minimum(low, high))
    points = origins + distances.nan_to_num(posinf=0.0)[..., None] * directions
    axis_z = points[..., 2].clamp(radius, height - radius)
    normals = torch.stack([points[..., 0], points[..., 1], points[..., 2] - axis_z], -1) / radius
    return Hits(distances, normals)

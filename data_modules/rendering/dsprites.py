"""dSprites drawn: three outlines, scaled, turned and moved, sampled at the pixels' centres as the original's were.

An outline is kept as its vertical sections: at a distance |u| from the vertical axis of symmetry it is filled from
``top(|u|)`` to ``bottom(|u|)``. One look-up in a table then tells inside from outside for all three shapes, at any
resolution and position. (A glyph moved by whole pixels would not do: positions are 32/31 of a pixel apart, and the
original's outlines change with the fraction.)
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from data_modules.resampling import resize

VERSION = 1  #: to be raised whenever the pictures change
SIDE = 64  #: of the original pictures; lengths below are in their pixels, y points down
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
NUM_ORIENTATIONS = 40  #: from 0 to 360 degrees, both included, counterclockwise
NUM_POSITIONS = 32
FIRST_POSITION, LAST_POSITION = 16.0, 48.0  #: of the centre, from the left or upper edge

# Fitted to the 320 frames of the original's animation. Their pixel centres, brought into the shape's own coordinates,
# are a dense cloud of points known to be inside or outside; these values leave the fewest on the wrong side. That the
# animation goes through each factor's values upwards is taken for granted.
SQUARE_HALF_WIDTH = 9.6
ELLIPSE_HALF_AXES = (12.77, 7.21)
#: The heart's right half is x = sum_k HEART_SIN[k] sin(k t), y = sum_k HEART_COS[k] cos(k t), from the notch at t = 0
#: to the tip at t = pi; the coefficients were found by descent on the distance of wrong points from the curve.
HEART_SIN = (0.0, 7.4380, -0.2671, -2.2008, 0.1779, -0.0798, -0.0254)
HEART_COS = (-1.8395, -8.4662, 3.4331, 1.0809, 0.5712, 0.0103, 0.0508)

REACH = 14.0  #: no outline reaches farther from its centre, at scale 1
_SECTIONS = 4096  #: entries of the table over 0 .. REACH


def outline_sections() -> Tensor:
    """``[2, 3, 4096]`` float32: top and bottom of square, ellipse and heart at distances 0 .. REACH from the axis.

    Where an outline does not reach, top lies below bottom, so that nothing is inside.
    """
    distance = (np.arange(_SECTIONS) + 0.5) * (REACH / _SECTIONS)
    width, height = ELLIPSE_HALF_AXES
    square = np.where(distance < SQUARE_HALF_WIDTH, SQUARE_HALF_WIDTH, -1.0)
    ellipse = np.where(distance < width, height * np.sqrt(np.clip(1 - (distance / width) ** 2, 0, None)), -1.0)
    t = np.linspace(0, math.pi, 4001)
    harmonics = np.arange(len(HEART_SIN))[:, None] * t
    x, y = HEART_SIN @ np.sin(harmonics), HEART_COS @ np.cos(harmonics)
    widest = int(x.argmax())
    heart_top = np.interp(distance, x[: widest + 1], y[: widest + 1], right=1.0)
    heart_bottom = np.interp(distance, x[widest:][::-1], y[widest:][::-1], right=-1.0)
    top, bottom = np.stack([-square, -ellipse, heart_top]), np.stack([square, ellipse, heart_bottom])
    return torch.from_numpy(np.stack([top, bottom])).to(torch.float32)


def draw(factors: Tensor, sections: Tensor, resolution: int) -> Tensor:
    """Pictures by factors.

    Args:
        factors: ``[B, 5]`` int64: shape, scale, orientation, x, y.
        sections: of :func:`outline_sections`, on the same device.
        resolution: a power of two. From 64 on the pictures are black and white; smaller ones are the box average of
            64 px, in grey.

    Returns:
        ``[B, 1, resolution, resolution]`` uint8, 0 to 255.
    """
    side = max(resolution, SIDE)
    scale = torch.tensor(SCALES, device=factors.device)[factors[:, 1]]
    angle = factors[:, 2] * (2 * math.pi / (NUM_ORIENTATIONS - 1))
    step = (LAST_POSITION - FIRST_POSITION) / (NUM_POSITIONS - 1)
    center = (FIRST_POSITION + step * factors[:, 3:]) * (side / SIDE)  # [B, 2], in pixels of the picture drawn
    window = 2 * math.ceil(REACH * side / SIDE)
    corner = (center - window / 2).round().to(torch.int64)
    pixels = corner[:, :, None] + torch.arange(window, device=factors.device)  # [B, 2, window]: columns, rows
    offset = (pixels + 0.5 - center[..., None]) * (SIDE / side) / scale[:, None, None]
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    dx, dy = offset.unbind(1)
    u = (cos * dx)[:, None, :] - (sin * dy)[:, :, None]  # [B, window, window], in the shape's own coordinates
    v = (sin * dx)[:, None, :] + (cos * dy)[:, :, None]
    entry = (u.abs_() * (_SECTIONS / REACH)).clamp_(max=_SECTIONS - 1).to(torch.int64)
    entry += (factors[:, 0] * _SECTIONS)[:, None, None]
    top, bottom = sections.flatten(1)
    inside = (top[entry] < v) & (v < bottom[entry])
    pictures = torch.zeros(len(factors), side * side, dtype=torch.uint8, device=factors.device)
    places = pixels[:, 1, :, None] * side + pixels[:, 0, None, :]
    pictures.scatter_(1, places.flatten(1), inside.flatten(1).to(torch.uint8) * 255)
    pictures = pictures.view(-1, 1, side, side)
    return resize(pictures, resolution)

"""3DShapes drawn: 480 geometries, each as four maps, so that an image is a sum of maps times colours.

Once scale, shape and orientation are fixed, a picture is linear in the colours of sky, floor, wall and object: every
light in the scene is white, so hue scales what a surface sends back. The maps hold coverage times shading.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from data_modules.rendering import raycast

NUM_SCALES, NUM_SHAPES, NUM_ORIENTATIONS = 8, 4, 15
SCALES = tuple(0.75 + 0.5 * i / (NUM_SCALES - 1) for i in range(NUM_SCALES))
ORIENTATIONS = tuple(-30.0 + 60.0 * i / (NUM_ORIENTATIONS - 1) for i in range(NUM_ORIENTATIONS))  #: degrees
SKY, FLOOR, WALL, OBJECT = range(4)  #: order of the maps
SKY_COLOR = (153 / 255, 226 / 255, 249 / 255)
VERSION = 1  #: to be raised whenever the pictures change


@dataclass(frozen=True)
class Scene:
    """Camera, room, solids and lights; lengths in units of the box's width at scale 1.

    The camera turns around the z axis, on which the object stands; the room's walls are at ``x, y = +-room``.
    """

    camera_distance: float = 4.0
    camera_height: float = 1.0
    focal: float = 2.4  #: focal length over half the picture's side
    horizon: float = -0.1  #: height of the horizon over the centre, over half the picture's side
    room: float = 6.0
    wall_height: float = 3.2
    box_width: float = 1.0
    box_height: float = 1.0
    cylinder_radius: float = 0.45
    cylinder_height: float = 1.0
    sphere_radius: float = 0.5
    sphere_lift: float = 0.0  #: of the sphere's lowest point over the floor
    capsule_radius: float = 0.4
    capsule_height: float = 1.6
    capsule_lift: float = 0.0
    light_x: float = -3.0  #: the lamp, which casts the shadow
    light_y: float = -2.0
    light_z: float = 6.0
    lamp_exponent: float = 2.0  #: fall-off of the lamp with the angle from its axis, which points at the object
    ambient: float = 0.1
    head: float = 0.55  #: strength of the light at the camera
    lamp: float = 0.8
    gloss: float = 0.3
    shadow: float = 0.33


SCENE = Scene()


def hue_colors(count: int = 10) -> Tensor:
    """RGB of the ``count`` equidistant hues, fully saturated: ``[count, 3]`` float32 in 0..1."""
    return torch.tensor([colorsys.hsv_to_rgb(k / count, 1.0, 1.0) for k in range(count)])


def sky_color() -> Tensor:
    """``[3]`` float32 in 0..1."""
    return torch.tensor(SKY_COLOR)


class _View:
    """Rays of all orientations and what they see of the empty room, once for all solids.

    ``side`` rays per picture side; rays are ordered as pixels, from the upper left.
    """

    def __init__(self, scene: Scene, orientations: Tensor, side: int) -> None:
        self.scene = scene
        angle = -torch.deg2rad(orientations)  # the room turns one way when the camera turns the other
        sin, cos = angle.sin(), angle.cos()
        self.camera = torch.stack(
            [-scene.camera_distance * sin, -scene.camera_distance * cos, torch.full_like(sin, scene.camera_height)], -1
        )
        self.right = torch.stack([cos, -sin, torch.zeros_like(sin)], -1)
        self.forward = torch.stack([sin, cos, torch.zeros_like(sin)], -1)
        grid = (torch.arange(side, device=orientations.device) + 0.5) * (2 / side) - 1
        self.u, self.v = grid / scene.focal, -(grid + 0) / scene.focal - scene.horizon / scene.focal
        self.directions = (  # [O, S, S, 3]; the picture plane is upright, so verticals stay vertical
            self.forward[:, None, None]
            + self.right[:, None, None] * self.u[None, None, :, None]
            + orientations.new_tensor([0.0, 0.0, 1.0]) * self.v[None, :, None, None]
        )
        self.origins = self.camera[:, None, None]
        self.lamp = orientations.new_tensor([scene.light_x, scene.light_y, scene.light_z])
        self._see_the_room()

    def _see_the_room(self) -> None:
        scene, directions, origins = self.scene, self.directions, self.origins
        t_floor = torch.where(directions[..., 2] < -1e-6, -origins[..., 2] / directions[..., 2], torch.inf)
        # The camera is inside: each ray leaves the room through the nearer of the two walls that it faces.
        walls = (scene.room * directions[..., :2].sign() - origins[..., :2]) / directions[..., :2]
        t_wall, axis = walls.min(-1)
        wall_z = origins[..., 2] + t_wall * directions[..., 2]
        is_floor = t_floor < t_wall
        is_wall = ~is_floor & (wall_z < scene.wall_height)
        points = origins + torch.minimum(t_floor, t_wall)[..., None] * directions
        normals = torch.zeros_like(points)
        normals[..., :2] = -torch.nn.functional.one_hot(axis, 2) * directions[..., :2].sign()
        normals = torch.where(is_floor[..., None], normals.new_tensor([0.0, 0.0, 1.0]), normals)
        self.points = points
        unlit, lit = self.shade(points, normals, origins)
        self.floor_unlit, self.floor_lit = unlit * is_floor, lit * is_floor
        self.wall = (unlit + lit) * is_wall
        self.sky = (~is_floor & ~is_wall).to(points.dtype)

    def shade(self, points: Tensor, normals: Tensor, camera: Tensor) -> tuple[Tensor, Tensor]:
        """What a white surface sends to the camera, ``[...]`` each: without the lamp, and what the lamp adds."""
        scene = self.scene
        to_camera = torch.nn.functional.normalize(camera - points, dim=-1)
        to_lamp = torch.nn.functional.normalize(self.lamp - points, dim=-1)
        axis = torch.nn.functional.normalize(self.lamp, dim=0)
        spot = (to_lamp * axis).sum(-1).clamp_min(0) ** scene.lamp_exponent
        unlit = scene.ambient + scene.head * (normals * to_camera).sum(-1).clamp_min(0)
        return unlit, scene.lamp * spot * (normals * to_lamp).sum(-1).clamp_min(0)


def solid(scene: Scene, shape: int, scale: float, origins: Tensor, directions: Tensor) -> raycast.Hits:
    """First hits of one of the four solids: 0 box, 1 cylinder, 2 sphere, 3 capsule."""
    if shape == 0:
        return raycast.box(origins, directions, scale * scene.box_width / 2, scale * scene.box_height)
    if shape == 1:
        return raycast.cylinder(origins, directions, scale * scene.cylinder_radius, scale * scene.cylinder_height)
    if shape == 2:
        radius = scale * scene.sphere_radius
        return raycast.sphere(origins, directions, radius, radius + scene.sphere_lift)
    lifted = origins - origins.new_tensor([0.0, 0.0, scene.capsule_lift])
    return raycast.capsule(lifted, directions, scale * scene.capsule_radius, scale * scene.capsule_height)


def geometry_maps(
    resolution: int, device: torch.device | str = "cpu", scene: Scene = SCENE, samples: int | None = None,
) -> Tensor:
    """The four maps of all 480 geometries.

    Args:
        resolution: side of the pictures in pixels.
        device: where to draw and keep them.
        scene: what to draw.
        samples: rays per pixel side, averaged by a box filter; by default at least 4, and 128 per picture side.

    Returns:
        ``[8, 4, 15, 4, H, W]`` float32: scale, shape, orientation, then sky, floor, wall, object. At 64 px 31 MB.
    """
    samples = samples or max(4, 128 // resolution)
    view = _View(scene, torch.tensor(ORIENTATIONS, device=device), resolution * samples)
    maps = torch.empty(NUM_SCALES, NUM_SHAPES, NUM_ORIENTATIONS, 4, resolution, resolution, device=device)
    empty = [view.sky, view.floor_unlit + view.floor_lit, view.wall, torch.zeros_like(view.sky)]
    maps[:] = torch.stack([_box_filter(plane, samples) for plane in empty], 1)
    for i, scale in enumerate(SCALES):
        for shape in range(NUM_SHAPES):
            rows, columns = _window(view, shape, scale, resolution)
            pixels = maps[i, shape, :, :, rows, columns]
            pixels.copy_(_draw(view, shape, scale, rows, columns, samples))
    return maps


def _draw(view: _View, shape: int, scale: float, rows: slice, columns: slice, samples: int) -> Tensor:
    """One solid in the room, all orientations, in a window of pixels: ``[O, 4, h, w]``."""
    window = (
        slice(None), slice(rows.start * samples, rows.stop * samples), slice(columns.start * samples, columns.stop * samples)
    )
    scene, directions = view.scene, view.directions[window]
    hits = solid(scene, shape, scale, view.origins, directions)
    is_object = hits.distances < torch.inf
    points = view.origins + hits.distances.nan_to_num(posinf=0.0)[..., None] * directions
    unlit, lit = view.shade(points, hits.normals, view.origins)
    floor = view.points[window]
    shadow = solid(scene, shape, scale, floor, view.lamp - floor).distances < torch.inf
    uncovered = (~is_object).to(unlit.dtype)
    planes = [
        view.sky[window] * uncovered,
        (view.floor_unlit[window] + view.floor_lit[window] * ~shadow) * uncovered,
        view.wall[window] * uncovered,
        (unlit + lit) * is_object,
    ]
    return torch.stack([_box_filter(plane, samples) for plane in planes], 1)


def _window(view: _View, shape: int, scale: float, resolution: int) -> tuple[slice, slice]:
    """Rows and columns of pixels that the solid or its shadow can touch in any orientation."""
    scene = view.scene
    radius, height = (
        (scene.box_width / math.sqrt(2), scene.box_height),
        (scene.cylinder_radius, scene.cylinder_height),
        (scene.sphere_radius, 2 * scene.sphere_radius + scene.sphere_lift / scale),
        (scene.capsule_radius, scene.capsule_height + scene.capsule_lift / scale),
    )[shape]
    radius, height = radius * scale * 1.1, height * scale * 1.02  # 1.1: the octagon holds the circle
    turn = torch.arange(8, device=view.camera.device) * (math.pi / 4)
    ring = torch.stack([radius * turn.cos(), radius * turn.sin()], -1)
    low, high = (torch.nn.functional.pad(ring, (0, 1), value=z) for z in (0.0, height))
    cast = view.lamp + (high - view.lamp) * (view.lamp[2] / (view.lamp[2] - high[:, 2:]))
    corners = torch.cat([low, high, cast]) - view.camera[:, None]  # [O, 24, 3]
    depth = (corners * view.forward[:, None]).sum(-1).clamp_min(0.1)
    x = (corners * view.right[:, None]).sum(-1) / depth * scene.focal
    y = -(corners[..., 2] / depth * scene.focal + scene.horizon)
    edges = []
    for coordinate in (y, x):
        first = math.floor((coordinate.min().item() + 1) / 2 * resolution)
        last = math.ceil((coordinate.max().item() + 1) / 2 * resolution)
        edges.append(slice(min(max(first, 0), resolution - 1), min(max(last, 1), resolution)))
    return edges[0], edges[1]


def _box_filter(plane: Tensor, samples: int) -> Tensor:
    """``[O, h * samples, w * samples]`` -> ``[O, h, w]``."""
    return torch.nn.functional.avg_pool2d(plane, samples)

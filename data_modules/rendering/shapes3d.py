"""3DShapes drawn: 480 geometries, each as four maps, so that an image is a sum of maps times colours.

Once scale, shape and orientation are fixed, a picture is linear in the colours of sky, floor, wall and object: every
light in the scene is white, so hue scales what a surface sends back. The maps hold coverage times shading.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from data_modules.rendering import raycast
from data_modules.rendering.raycast import Vectors

NUM_SCALES, NUM_SHAPES, NUM_ORIENTATIONS = 8, 4, 15
SCALES = tuple(0.75 + 0.5 * i / (NUM_SCALES - 1) for i in range(NUM_SCALES))
ORIENTATIONS = tuple(-30.0 + 60.0 * i / (NUM_ORIENTATIONS - 1) for i in range(NUM_ORIENTATIONS))  #: degrees
RAYS_AT_ONCE = 2**20  #: bounds the memory of drawing to a few hundred MB, where a picture takes no more rays
SKY_COLOR = (153 / 255, 226 / 255, 249 / 255)
VERSION = 1  #: to be raised whenever the pictures change


@dataclass(frozen=True)
class Scene:
    """Camera, room, solids and lights. Lengths are in box widths, solids at scale 1.

    The values were fitted to the original's animation, its frames brought back to 64 px: first the camera and the room
    to the walls' corners and edges in 15 frames (residual 0.1 px), then everything by least squares over the pixels of
    14 frames. A frame's mean absolute difference is then 1.6 to 2.6 of 255, most of it in the walls' and the floor's
    faint patterns, which are not drawn, and in the animation's dithering. That the animation goes through each
    factor's values upwards is taken for granted; only the direction of the orientation hangs on it.
    """

    camera_distance: float = 3.554  #: from the z axis, around which the camera turns and on which the solid stands
    camera_height: float = 1.062
    focal: float = 2.1445  #: focal length over half the picture's side: 50 degrees of view
    horizon: float = -0.003  #: height of the horizon over the picture's centre, over half its side
    room: float = 5.0  #: the walls stand at x, y = +-room
    wall_height: float = 2.856
    box_width: float = 1.0
    box_height: float = 1.0
    cylinder_radius: float = 0.537
    cylinder_height: float = 1.066
    sphere_radius: float = 0.605
    capsule_radius: float = 0.463
    capsule_height: float = 1.846
    ambient: float = 0.346  #: light from everywhere
    head: float = 0.601  #: parallel light along the camera's axis
    lamp: float = 0.928  #: the spotlight, which casts the shadow
    lamp_position: tuple[float, float, float] = (-2.079, 0.864, 10.558)
    lamp_aim: tuple[float, float] = (-2.051, 0.606)  #: where the spotlight's axis meets the floor
    lamp_exponent: float = 9.96  #: of the cosine from that axis, the spotlight's fall-off
    gloss: float = 0.13  #: of the sky's colour, added wherever the solid faces the lamp


SCENE = Scene()


def hue_colors(count: int = 10) -> Tensor:
    """RGB of the ``count`` equidistant hues, fully saturated: ``[count, 3]`` float32 in 0..1."""
    return torch.tensor([colorsys.hsv_to_rgb(k / count, 1.0, 1.0) for k in range(count)])


def sky_color() -> Tensor:
    """``[3]`` float32 in 0..1."""
    return torch.tensor(SKY_COLOR)


class _View:
    """Rays of all orientations, ordered as pixels from the upper left, and what they see of the empty room.

    Args:
        scene: what to look at.
        orientations: ``[O]`` degrees.
        side: rays per picture side.
    """

    def __init__(self, scene: Scene, orientations: Tensor, side: int) -> None:
        self.scene = scene
        angle = -torch.deg2rad(orientations)  # as the room turns one way, the camera turns the other
        self.sin, self.cos = angle.sin()[:, None, None], angle.cos()[:, None, None]  # [O, 1, 1]
        grid = (torch.arange(side, device=orientations.device) + 0.5) * (2 / side) - 1
        across, upwards = grid / scene.focal, -(grid + scene.horizon) / scene.focal
        zero = torch.zeros_like(self.sin)
        self.forward = Vectors(self.sin, self.cos, zero)
        self.camera = Vectors(
            -scene.camera_distance * self.sin, -scene.camera_distance * self.cos, zero + scene.camera_height
        )
        self.directions = Vectors(  # the picture plane is upright, so verticals stay vertical
            self.sin + self.cos * across, self.cos - self.sin * across, upwards[None, :, None]
        )
        self.lamp = Vectors(*(angle.new_tensor(value) for value in scene.lamp_position))
        aim = Vectors(*(angle.new_tensor(value) for value in (*scene.lamp_aim, 0.0)))
        self.lamp_axis = self.lamp.plus(aim, -1.0).unit()
        self._see_the_room()

    def _see_the_room(self) -> None:
        scene, directions, camera = self.scene, self.directions, self.camera
        down = directions.z < -1e-6
        to_floor = torch.where(down, -camera.z / torch.where(down, directions.z, -1.0), torch.inf)
        # The camera is inside: each ray leaves the room through the nearer of the two walls that it faces.
        to_x = (scene.room * directions.x.sign() - camera.x) / directions.x
        to_y = (scene.room * directions.y.sign() - camera.y) / directions.y
        to_wall = torch.minimum(to_x, to_y)
        is_floor = to_floor < to_wall
        is_wall = ~is_floor & (camera.z + to_wall * directions.z < scene.wall_height)
        self.points = camera.plus(directions, torch.minimum(to_floor, to_wall))
        by_x = to_x < to_y
        normals = Vectors(
            -directions.x.sign() * (by_x & ~is_floor), -directions.y.sign() * (~by_x & ~is_floor), is_floor.float()
        )
        unlit, lit, _ = self.shade(self.points, normals)
        self.floor_unlit, self.floor_lit = unlit * is_floor, lit * is_floor
        self.wall = (unlit + lit) * is_wall
        self.sky = (~is_floor & ~is_wall).to(unlit)

    def shade(self, points: Vectors, normals: Vectors) -> tuple[Tensor, Tensor, Tensor]:
        """What a white surface sends to the camera: without the lamp, from the lamp, and mirrored sky."""
        scene = self.scene
        to_lamp = self.lamp.plus(points, -1.0).unit()
        facing_lamp = normals.dot(to_lamp)
        facing_camera = -normals.dot(self.forward)
        spot = to_lamp.dot(self.lamp_axis).clamp_min(0) ** scene.lamp_exponent
        unlit = scene.ambient + scene.head * facing_camera.clamp_min(0)
        return unlit, scene.lamp * spot * facing_lamp.clamp_min(0), scene.gloss * (facing_lamp > 0)


def _solid(scene: Scene, shape: int, scale: float, origins: Vectors, directions: Vectors) -> raycast.Hits:
    """First hits of the solid in the data set's order: box, cylinder, sphere, capsule."""
    if shape == 0:
        return raycast.box(origins, directions, scale * scene.box_width / 2, scale * scene.box_height)
    if shape == 1:
        return raycast.cylinder(origins, directions, scale * scene.cylinder_radius, scale * scene.cylinder_height)
    if shape == 2:
        radius = scale * scene.sphere_radius
        return raycast.sphere(origins, directions, radius, center_z=radius)
    return raycast.capsule(origins, directions, scale * scene.capsule_radius, scale * scene.capsule_height)


@lru_cache(maxsize=1)
def geometry_maps(
    resolution: int,
    device: torch.device | str = "cpu",
    scene: Scene = SCENE,
    samples: int | None = None,
) -> Tensor:
    """The four maps of all 480 geometries; the last ones asked for are kept, shared by all who ask: do not modify.

    Args:
        resolution: side of the pictures in pixels.
        device: where to draw and keep them.
        scene: what to draw.
        samples: rays per pixel side, averaged by a box filter; by default 4, and more below 32 px to keep 128 per
            picture side, so that a small picture is nearly the box average of a large one.

    Returns:
        ``[8, 4, 15, 4, H, W]`` float32: scale, shape, orientation, then sky, floor, wall, object. At 64 px 31 MB, and
        1.6 s on one core of 15 GFLOP/s; at 32 px and below 0.3 s.
    """
    samples = samples or max(4, 128 // resolution)
    maps = torch.empty(NUM_SCALES, NUM_SHAPES, NUM_ORIENTATIONS, 4, resolution, resolution, device=device)
    orientations = torch.tensor(ORIENTATIONS, device=device)
    at_once = max(1, RAYS_AT_ONCE // (resolution * samples) ** 2)
    for some, some_maps in zip(orientations.split(at_once), maps.split(at_once, 2), strict=True):
        _draw_all(_View(scene, some, resolution * samples), some_maps, samples)
    return maps


def _draw_all(view: _View, maps: Tensor, samples: int) -> None:
    """Fill ``[8, 4, O, 4, H, W]``: the empty room everywhere, then each solid's surroundings."""
    empty = [view.sky, view.floor_unlit + view.floor_lit, view.wall, torch.zeros_like(view.sky)]
    maps[:] = torch.stack([_box_filter(plane, samples) for plane in empty], 1)
    for i, scale in enumerate(SCALES):
        for shape in range(NUM_SHAPES):
            rows, columns = _window(view, shape, scale, maps.shape[-1])
            maps[i, shape, :, :, rows, columns] = _draw(view, shape, scale, rows, columns, samples)


def _draw(view: _View, shape: int, scale: float, rows: slice, columns: slice, samples: int) -> Tensor:
    """One solid in the room, all orientations, in a window of pixels: ``[O, 4, h, w]``."""
    fine_rows, fine_columns = (slice(pixels.start * samples, pixels.stop * samples) for pixels in (rows, columns))
    window = (slice(None), fine_rows, fine_columns)
    scene, every = view.scene, view.directions
    directions = Vectors(every.x[..., fine_columns], every.y[..., fine_columns], every.z[:, fine_rows])
    hits = _solid(scene, shape, scale, view.camera, directions)
    is_object = hits.distances < torch.inf
    points = view.camera.plus(directions, torch.where(is_object, hits.distances, 0.0))
    unlit, lit, gloss = view.shade(points, hits.normals)
    floor = Vectors(view.points.x[window], view.points.y[window], view.points.z[window])
    shadow = _solid(scene, shape, scale, floor, view.lamp.plus(floor, -1.0)).distances < torch.inf
    uncovered = (~is_object).to(unlit.dtype)
    planes = [
        view.sky[window] * uncovered + gloss * is_object,
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
        (scene.sphere_radius, 2 * scene.sphere_radius),
        (scene.capsule_radius, scene.capsule_height),
    )[shape]
    radius, height = radius * scale * 1.1, height * scale * 1.02  # 1.1: the octagon holds the circle
    turn = torch.arange(8, device=view.sin.device) * (math.pi / 4)
    x, y = radius * turn.cos(), radius * turn.sin()
    lamp_x, lamp_y, lamp_z = scene.lamp_position
    stretch = lamp_z / (lamp_z - height)  # of the top's shadow on the floor
    corner_x = torch.cat([x, x, lamp_x + (x - lamp_x) * stretch]) - view.camera.x[:, 0]  # [O, 24]
    corner_y = torch.cat([y, y, lamp_y + (y - lamp_y) * stretch]) - view.camera.y[:, 0]
    corner_z = torch.cat([0 * x, 0 * x + height, 0 * x]) - scene.camera_height
    sin, cos = view.sin[:, 0], view.cos[:, 0]
    depth = (corner_x * sin + corner_y * cos).clamp_min(0.1)
    across = (corner_x * cos - corner_y * sin) / depth * scene.focal
    below = -(corner_z / depth * scene.focal + scene.horizon)
    edges = []
    for coordinate in (below, across):
        first = math.floor((coordinate.min().item() + 1) / 2 * resolution)
        last = math.ceil((coordinate.max().item() + 1) / 2 * resolution)
        edges.append(slice(min(max(first, 0), resolution - 1), min(max(last, 1), resolution)))
    return edges[0], edges[1]


def _box_filter(plane: Tensor, samples: int) -> Tensor:
    """``[O, h * samples, w * samples]`` -> ``[O, h, w]``."""
    return torch.nn.functional.avg_pool2d(plane, samples)

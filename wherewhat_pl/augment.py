"""Adaptive augmentation of what the discriminator sees, for small data sets (Karras et al. 2020, "limited data").

Flip, integer translation, brightness and contrast, each with probability p, drawn anew for every image and call. p
rises while D is too sure of the reals and falls when it is not; it and what steers it are buffers, so they are in the
checkpoint. Nothing waits for the device.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from kornia.enhance import adjust_brightness, adjust_contrast
from kornia.geometry.transform import hflip
from torch import Tensor, nn

MAX_SHIFT = 0.125  #: of the side, uniformly to each side
BRIGHTNESS_STD = 0.2  #: of what is added to images in [-1, 1]
CONTRAST_STD = 0.5  #: of the base-2 logarithm of what they are multiplied by
INTERVAL = 4  #: batches between two adjustments


class AdaptiveAugment(nn.Module):
    """Augmentations with a probability that follows the signs of D's scores of reals.

    The mean sign is 1 if D is sure of every real (it memorizes them) and 0 if it cannot tell them from fakes. Every
    ``INTERVAL`` batches p takes a step up or down, whichever brings the mean sign to ``target``. All ranks keep the
    same p. Strengths are those of Karras et al. 2020, appendix B.

    Args:
        target: mean sign to steer to.
        speed_kimg: thousands of real images in which p can go from 0 to 1.
    """

    probability: Tensor
    sign_sum: Tensor
    sign_count: Tensor

    def __init__(self, target: float = 0.6, speed_kimg: float = 500.0) -> None:
        super().__init__()
        self.target, self.speed_kimg = target, speed_kimg
        self.register_buffer("probability", torch.zeros(()))
        self.register_buffer("sign_sum", torch.zeros(()))
        self.register_buffer("sign_count", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        """Augmented images, ``[B, C, H, W]`` -> ``[B, C, H, W]``; gradients of any order pass through.

        At probability 0 images come out bit for bit as they went in.
        """
        images = torch.where(self._chosen(images, 0.5)[:, None, None, None], hflip(images), images)
        images = translate(images, self._shifts(images), self._shifts(images))
        brightness = BRIGHTNESS_STD * self._normal(images)
        contrast = torch.exp2(CONTRAST_STD * self._normal(images))
        return adjust_contrast(adjust_brightness(images, brightness, clip_output=False), contrast, clip_output=False)

    def _chosen(self, images: Tensor, share: float = 1.0) -> Tensor:
        return torch.rand(len(images), device=images.device) < self.probability * share

    def _shifts(self, images: Tensor) -> Tensor:
        limit = int(images.shape[-1] * MAX_SHIFT)
        shifts = torch.randint(-limit, limit + 1, (len(images),), device=images.device)
        return shifts * self._chosen(images)

    def _normal(self, images: Tensor) -> Tensor:
        """One N(0, 1) number per image, 0 where this augmentation is not chosen."""
        return torch.randn(len(images), device=images.device, dtype=images.dtype) * self._chosen(images)

    @torch.no_grad()
    def observe(self, real_scores: Tensor) -> None:
        """Take in D's scores of this rank's reals, ``[b]`` or ``[b, 1]``; call on all ranks together."""
        sign_mean = real_scores.detach().sign().float().mean()
        if dist.is_available() and dist.is_initialized():
            # At once, not at the next adjustment: the state is the same on all ranks, so any rank's checkpoint will do.
            dist.all_reduce(sign_mean)
            sign_mean /= dist.get_world_size()
        self.sign_sum += sign_mean
        self.sign_count += 1

    @torch.no_grad()
    def adjust(self, batch_size: int) -> None:
        """A step of p after ``INTERVAL`` batches; ``batch_size`` is the total one."""
        direction = (self.sign_sum / self.sign_count - self.target).sign()
        step = INTERVAL * batch_size / (self.speed_kimg * 1000)
        self.probability.add_(direction * step).clamp_(0, 1)
        self.sign_sum.zero_()
        self.sign_count.zero_()


def translate(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Shift each image by whole pixels, its border reflected.

    Kornia's own goes through ``grid_sample``, which has no second derivative, and R1 needs one.

    Args:
        images: ``[B, C, H, W]``.
        down, right: ``[B]`` int64, each smaller than the side.
    """
    batch, channels, height, width = images.shape
    rows, columns = _reflected(height, down), _reflected(width, right)
    images = images.gather(2, rows[:, None, :, None].expand(batch, channels, height, width))
    return images.gather(3, columns[:, None, None, :].expand(batch, channels, height, width))


def _reflected(side: int, shifts: Tensor) -> Tensor:
    """Positions ``[B, side]`` that land on 0, 1, ... after the shifts."""
    positions = torch.arange(side, device=shifts.device) - shifts[:, None]
    return (side - 1) - ((side - 1) - positions.abs()).abs()

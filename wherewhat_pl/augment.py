"""Adaptive augmentation of what the discriminator sees, for small data sets (Karras et al. 2020, "limited data").

Flip, integer translation, brightness and contrast, each with probability p, drawn anew for every image and call. p
rises while D is too sure of the reals and falls when it is not; it and what steers it are buffers, so they are in the
checkpoint. Nothing waits for the device.
"""

from __future__ import annotations

from typing import Any

import torch
from kornia.augmentation import RandomBrightness, RandomContrast, RandomHorizontalFlip, RandomTranslate
from kornia.augmentation.container import ImageSequential
from torch import Tensor, nn

from wherewhat_pl.distributed import count_processes, sum_over_processes

MAX_SHIFT = 0.125  #: of the side, uniformly to each side
BRIGHTNESS_STD = 0.2  #: of what is added to images in [-1, 1]
CONTRAST_STD = 0.5  #: of the base-2 logarithm of what they are multiplied by
INTERVAL = 4  #: batches between two adjustments

# Which images are augmented, and how bright they become, is drawn below. Not a part of the module, since kornia keeps
# ranges as buffers, which would come into the checkpoints. "nearest" makes shifts whole pixels; the border is mirrored.
AUGMENTATIONS = ImageSequential(
    RandomHorizontalFlip(),
    RandomTranslate(
        (-MAX_SHIFT, MAX_SHIFT),
        (-MAX_SHIFT, MAX_SHIFT),
        resample="nearest",
        padding_mode="reflection",
        align_corners=True,
    ),
    RandomBrightness(clip_output=False, p=0.5),  # at p = 1 kornia would not ask which
    RandomContrast(clip_output=False, p=0.5),
)


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
        for name in ("probability", "sign_sum", "sign_count"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        """Augmented images, ``[B, C, H, W]`` -> ``[B, C, H, W]``; gradients of any order pass through.

        At probability 0 images come out bit for bit as they went in.
        """
        drawn: Any = AUGMENTATIONS.forward_parameters(images.shape)
        flip, shift, brightness, contrast = (item.data for item in drawn)
        for parameters, share in ((flip, 0.5), (shift, 1.0), (brightness, 1.0), (contrast, 1.0)):
            parameters["batch_prob"] = torch.rand(len(images), device=images.device) < self.probability * share
        brightness["brightness_factor"] = 1 + BRIGHTNESS_STD * _normal(images)  # kornia adds the factor less 1
        contrast["contrast_factor"] = torch.exp2(CONTRAST_STD * _normal(images))
        return AUGMENTATIONS(images, params=drawn)  # type: ignore[no-any-return]

    @torch.no_grad()
    def observe(self, real_scores: Tensor) -> None:
        """Take in D's scores of this rank's reals, ``[b]`` or ``[b, 1]``; call on all ranks together."""
        # At once, not at the next adjustment: the state is the same on all ranks, so any rank's checkpoint will do.
        sign_mean = sum_over_processes(real_scores.detach().sign().float().mean())
        self.sign_sum += sign_mean / count_processes()
        self.sign_count += 1

    @torch.no_grad()
    def adjust(self, batch_size: int) -> None:
        """A step of p after ``INTERVAL`` batches; ``batch_size`` is the total one."""
        direction = (self.sign_sum / self.sign_count - self.target).sign()
        step = INTERVAL * batch_size / (self.speed_kimg * 1000)
        self.probability.add_(direction * step).clamp_(0, 1)
        self.sign_sum.zero_()
        self.sign_count.zero_()


def _normal(images: Tensor) -> Tensor:
    """One N(0, 1) number per image."""
    return torch.randn(len(images), device=images.device, dtype=images.dtype)

"""What training leaves: latents to images and masks, images to codes. Needs no run, no data and no Lightning.

A trained run, the averages inside a training, networks imported from elsewhere and an ONNX decoder all give a
:class:`Model`; pictures, factors, metrics and selection take one and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor

from data_modules.randomness import generator_for
from wherewhat_pl.errors import ConfigError, ModelError
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.generator import Generator, NoisyConv
from wherewhat_pl.networks.latents import sample_prior
from wherewhat_pl.networks.masks import match_size
from wherewhat_pl.networks.module_lists import module_list

if TYPE_CHECKING:
    from wherewhat_pl.settings import ModelConfig


@dataclass(frozen=True)
class Latent:
    """What a latent is called, and how it is shown.

    Attributes:
        name: for people.
        sign: -1 if it is shown from ``high`` to ``low``, so that what the name says grows; else 1.
        low: where a traversal of it starts, ``high`` where it ends.
        high: see ``low``.
    """

    name: str
    sign: int = 1
    low: float = -2.0
    high: float = 2.0


class Model:
    """A generator, and a recognizer if one was trained, as one sees them from outside.

    Args:
        generator: put into evaluation mode, so that its noise maps are fixed.
        recognizer: images to codes; None if there is none.
        prior: ``normal`` or ``uniform``; what :meth:`sample` draws from.
        latents: what they are called, a :class:`Latent` or only a name each; None: ``latent 0``, ``latent 1``...

    Attributes:
        num_latents: n.
        resolution: side of the images in pixels.
        channels: of the images, 1 or 3.
        masked_latents: positions of the latents that act under a mask.
        about: where it comes from, for people, in values that JSON has; empty if that is not known.
    """

    def __init__(
        self,
        generator: Generator,
        recognizer: Critic | None = None,
        prior: str = "normal",
        latents: Sequence[Latent | str] | None = None,
    ) -> None:
        self.generator, self.recognizer, self.prior = generator.eval(), recognizer, prior
        self.num_latents, self.resolution = generator.num_latents, generator.resolution
        self.channels = generator.to_rgb.weight.shape[0]
        self.masked_latents = generator.masked_latents
        self.about: dict[str, Any] = {}
        if latents is not None:
            self.call_latents(latents)

    @cached_property
    def latents(self) -> list[Latent]:
        """What each latent is called and how it is shown."""
        return [Latent(f"latent {k}") for k in range(self.num_latents)]

    @property
    def names(self) -> list[str]:
        """Of the latents."""
        return [latent.name for latent in self.latents]

    def call_latents(self, latents: Sequence[Latent | str]) -> None:
        """Give the latents names; raises :class:`ModelError` unless there is one for each, and each once."""
        if len(latents) != self.num_latents:
            raise ModelError(f"{len(latents)} names were given for {self.num_latents} latents")
        called = [Latent(each) if isinstance(each, str) else each for each in latents]
        if twice := {latent.name for latent in called if [each.name for each in called].count(latent.name) > 1}:
            raise ModelError(f"two latents are called '{sorted(twice)[0]}'")
        self.latents = called

    @property
    def has_masks(self) -> bool:
        """Whether any latent acts under a mask."""
        return bool(self.masked_latents)

    @property
    def has_recognizer(self) -> bool:
        """Whether :meth:`encode` works."""
        return self.recognizer is not None

    @property
    def noise_maps(self) -> dict[str, Tensor]:
        """The fixed noise that every image is drawn with: maps ``[1, 1, h, h]`` by name, without those of strength 0.

        Empty without noise modules, and of a decoder of others.
        """
        generator = getattr(self, "generator", None)
        parts = generator.named_modules() if generator is not None else ()
        return {name: part.noise for name, part in parts if isinstance(part, NoisyConv) and part.strength != 0}

    def with_noise(self, maps: Mapping[str, Tensor]) -> Model:
        """The same model drawing with other noise; it shares the weights.

        Args:
            maps: by name, as :attr:`noise_maps` has them; ``[N, 1, h, h]`` for batches of N latents only.

        Raises:
            ModelError: they do not fit this model's.
        """
        own = self.noise_maps
        for name, noise in maps.items():
            if name not in own or noise.ndim != 4 or noise.shape[1:] != own[name].shape[1:]:
                raise ModelError(f"noise map {name} {list(noise.shape)} is none of this model's")
        if not maps:
            return self
        other = copy(self)
        shared = self.generator.state_dict(keep_vars=True).values()
        other.generator = deepcopy(self.generator, {id(tensor): tensor for tensor in shared})
        for name, part in other.generator.named_modules():
            if name in maps:
                part.noise = maps[name].to(self.device)
        return other

    @property
    def device(self) -> torch.device:
        """Where it computes, and where its results are."""
        return self.generator.const.device

    def to(self, device: torch.device | str) -> Model:
        """Move the networks; returns the model itself."""
        for network in filter(None, (self.generator, self.recognizer)):
            network.to(device)
        return self

    def sample(self, count: int, seed: int = 0, purpose: str = "sample") -> Tensor:
        """Latents ``[count, n]`` from the prior, the same ones for the same seed and purpose on any device."""
        return sample_prior(self.prior, count, self.num_latents, generator_for("cpu", seed, purpose), self.device)

    @overload
    def generate(self, latents: Tensor, return_masks: Literal[False] = False) -> Tensor: ...

    @overload
    def generate(self, latents: Tensor, return_masks: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def generate(self, latents: Tensor, return_masks: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Draw images.

        Args:
            latents: ``[B, n]``, on any device.
            return_masks: also return the masks, drawn in the same pass.

        Returns:
            Images ``[B, C, H, W]`` float32, meant for [-1, 1] but not clipped; with ``return_masks`` also masks
            ``[B, n, H, W]`` as :meth:`masks` gives them.

        Raises:
            ModelError: the latents are not ``[B, n]``.
        """
        if latents.ndim != 2 or latents.shape[1] != self.num_latents:
            raise ModelError(f"latents have shape {list(latents.shape)}; this model takes [B, {self.num_latents}]")
        images, parts = self._draw(latents.to(self.device), return_masks)
        if not return_masks:
            return images
        masks = images.new_zeros(len(images), self.num_latents, *images.shape[2:])
        if parts:
            size = (int(images.shape[2]), int(images.shape[3]))
            masks[:, self.masked_latents] = torch.cat([match_size(part, size) for part in parts], dim=1).clamp(0, 1)
        return images, masks

    def masks(self, latents: Tensor) -> Tensor:
        """Where each latent acts: ``[B, n]`` -> ``[B, n, H, W]`` in [0, 1], at the images' size.

        One row per latent, zero for a latent without a mask. Each module's masks are scaled by its own kind: softmax
        masks, which sum to 1 over the pixels, by their maximum.
        """
        return self.generate(latents, return_masks=True)[1]

    def encode(self, images: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` in [-1, 1] -> codes ``[B, n]`` float32.

        Raises:
            ModelError: there is no recognizer.
        """
        if self.recognizer is None:
            raise ModelError("this model has no recognizer (model.loss=gan trains none), so images have no codes")
        with torch.no_grad():
            return self.recognizer(images.to(self.device)).float()  # type: ignore[no-any-return]

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> Model:
        """A model that :meth:`push_to_hub` shared, or a folder like one; needs the optional extra [hub].

        Args:
            name: ``owner/name`` on the Hugging Face Hub, or a folder.
            options: of ``huggingface_hub.ModelHubMixin.from_pretrained``.
        """
        return _hub().from_pretrained(name, **options).model  # type: ignore[no-any-return]

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write the folder that :meth:`from_pretrained` reads; needs the optional extra [hub]."""
        _hub()(self).save_pretrained(folder, **options)

    def push_to_hub(self, name: str, **options: Any) -> Any:
        """Share it as ``owner/name`` on the Hugging Face Hub, with a card; needs the optional extra [hub].

        Args:
            name: of the repository.
            options: of ``huggingface_hub.ModelHubMixin.push_to_hub``.
        """
        return _hub()(self).push_to_hub(name, **options)

    @torch.no_grad()
    def _draw(self, latents: Tensor, with_masks: bool) -> tuple[Tensor, list[Tensor]]:
        """Images, and masks ``[B, m, h, h]`` per module, each scaled to [0, 1] by its own kind."""
        if not with_masks:
            return self.generator(latents).float(), []
        images, masks = self.generator(latents, return_masks=True)
        return images.float(), self.generator.scaled_masks([mask.float() for mask in masks])


def _hub() -> Any:
    """What brings it to and from a hub: an optional library, and a room above this one that only it needs."""
    return import_module("wherewhat_pl.interop.hub").HubModel


def build_generator(model: ModelConfig, channels: int) -> Generator:
    """The generator that settings describe, with random weights.

    Raises:
        ValueError: the module list is none.
    """
    modules = module_list(model.generator.modules, model.mask)
    return Generator(modules, channels, model.generator.feature_maps, model.generator.feature_map_scale)


def build_recognizer(model: ModelConfig, resolution: int, channels: int, num_latents: int) -> Critic | None:
    """The recognizer that settings describe, with random weights; None with ``model.loss=gan``."""
    if model.loss == "gan":
        return None
    own = {key: value for key, value in vars(model.recognizer.feature_maps).items() if value is not None}
    return Critic(resolution, channels, num_latents, replace(model.critic.feature_maps, **own))


def torch_device(name: str | torch.device) -> torch.device:
    """A device that is there; raises :class:`ConfigError` otherwise."""
    if str(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"device={name}: there is no such device here; use cpu, cuda or auto") from None
    return device

"""Files of codes: what ``generate``, ``project`` and ``edit`` write, and ``traverse`` and ``edit`` take."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError, ModelError
from wherewhat_pl.model import Model
from wherewhat_pl.run.files import write_atomically

LIMIT = 100  #: of what a latent or noise can be; NaN is beyond it
NOISE = "noise/"  #: before the names of noise maps in a file


@dataclass(frozen=True)
class Codes:
    """What a file of codes holds.

    Attributes:
        codes: ``[N, n]``.
        names: of the images.
        distances: ``[N]``, perceptual, of each image to what its code draws; None where no image was looked for.
        noise: maps ``[N, 1, h, h]`` by name, which the images are drawn with; empty: the model's own.
    """

    codes: Tensor
    names: list[str]
    distances: Tensor | None = None
    noise: dict[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, chosen: slice) -> Codes:
        """Some of them."""
        distances = self.distances if self.distances is None else self.distances[chosen]
        return Codes(self.codes[chosen], self.names[chosen], distances, {k: v[chosen] for k, v in self.noise.items()})

    def on(self, model: Model) -> Model:
        """The model with these codes' noise, which draws all of them in one batch or, if there is one, any batch."""
        return model.with_noise(self.noise)

    def to(self, device: torch.device) -> Codes:
        """All of them on a device."""
        distances = self.distances if self.distances is None else self.distances.to(device)
        return Codes(self.codes.to(device), self.names, distances, {k: v.to(device) for k, v in self.noise.items()})

    def save(self, path: Path) -> None:
        """Write them as ``.npz``."""
        buffer = io.BytesIO()
        arrays = {"codes": self.codes.cpu().numpy(), "names": np.array(self.names, dtype=str)}
        if self.distances is not None:
            arrays["distances"] = self.distances.cpu().numpy()
        arrays |= {NOISE + name: maps.cpu().numpy() for name, maps in self.noise.items()}
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path, model: Model) -> Codes:
        """Read them; raises :class:`ConfigError` if it is no such file or one of another model."""
        try:
            with np.load(path, allow_pickle=False) as file:
                noise = {key.removeprefix(NOISE): _numbers(file[key]) for key in file if key.startswith(NOISE)}
                distances = _numbers(file["distances"]) if "distances" in file else None
                found = cls(_numbers(file["codes"]), [str(name) for name in file["names"]], distances, noise)
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file") from None
        except Exception as error:  # zip, numpy and key errors of all kinds mean the same to the user
            raise ConfigError(f"{path}: holds no codes ({one_line(error, 80)})") from None
        codes, tensors = found.codes, [*noise.values(), *([] if distances is None else [distances])]
        lengths = {len(found.names), *map(len, tensors)}
        if codes.ndim != 2 or codes.shape[1] != model.num_latents or lengths != {len(codes)}:
            raise ConfigError(f"{path}: holds codes {list(codes.shape)}; this model takes [N, {model.num_latents}]")
        if not len(codes) or not all((each.abs() <= LIMIT).all() for each in (codes, *noise.values())):
            raise ConfigError(f"{path}: holds no code, or a number outside of -{LIMIT} to {LIMIT}")
        try:
            found.on(model)
        except ModelError as error:
            raise ConfigError(f"{path}: {error}") from None
        return found.to(model.device)


def _numbers(array: NDArray[Any]) -> Tensor:
    if array.dtype.kind not in "fiu" or not array.ndim:
        raise ValueError(f"an array of {array.dtype} {list(array.shape)}")
    return torch.from_numpy(array.astype(np.float32))

"""Files of codes: what ``generate``, ``project`` and ``edit`` write, and ``traverse`` and ``edit`` take."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.run.files import write_atomically


@dataclass(frozen=True)
class Codes:
    """What a file of codes holds.

    Attributes:
        codes: ``[N, n]``.
        names: of the images.
        distances: ``[N]``, perceptual, of each image to what its code draws; None where no image was looked for.
    """

    codes: Tensor
    names: list[str]
    distances: Tensor | None = None

    def save(self, path: Path) -> None:
        """Write them as ``.npz``."""
        buffer = io.BytesIO()
        arrays = {"codes": self.codes.cpu().numpy(), "names": np.array(self.names, dtype=str)}
        if self.distances is not None:
            arrays["distances"] = self.distances.cpu().numpy()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path, num_latents: int) -> Codes:
        """Read them; raises :class:`ConfigError` if it is no such file or one of another model."""
        try:
            with np.load(path, allow_pickle=False) as file:
                codes, names = torch.from_numpy(file["codes"]).float(), [str(name) for name in file["names"]]
                distances = torch.from_numpy(file["distances"]).float() if "distances" in file else None
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file") from None
        except Exception as error:  # zip, numpy and key errors of all kinds mean the same to the user
            raise ConfigError(f"{path}: holds no codes ({one_line(error, 80)})") from None
        if codes.ndim != 2 or codes.shape[1] != num_latents or len(codes) != len(names):
            raise ConfigError(f"{path}: holds codes {list(codes.shape)}; this model takes [N, {num_latents}]")
        if not len(codes) or not codes.isfinite().all():
            raise ConfigError(f"{path}: holds no code, or one that is not finite")
        return cls(codes, names, distances)

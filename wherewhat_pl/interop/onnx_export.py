"""Our generators as ONNX: latents ``[B, n]``, B free, to images ``[B, C, H, W]`` and masks ``[B, n, H, W]``."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import warnings
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.interop.onnx import KEY
from wherewhat_pl.interop.packing import pack
from wherewhat_pl.model import Model
from wherewhat_pl.networks.masks import match_size

NEEDED = ("onnx", "onnxscript")


class Decoder(nn.Module):
    """What :meth:`Model.generate` does, in operations that ONNX has.

    Args:
        model: what is exported; its networks are copied.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.generator = copy.deepcopy(model.generator).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        masked = {latent: row for row, latent in enumerate(model.masked_latents)}
        # The row behind the last mask is empty: it is that of every latent without one.
        self.rows = [masked.get(latent, len(masked)) for latent in range(model.num_latents)]
        self.size = (model.resolution, model.resolution)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        images, parts = self.generator(latents, return_masks=True)
        parts = [match_size(part, self.size) for part in self.generator.scaled_masks(parts)]
        masks = torch.cat([*parts, torch.zeros_like(images[:, :1])], dim=1).clamp(0, 1)
        return images, masks[:, self.rows]


def save(model: Model, path: Path, batch: int | None = None) -> None:
    """Write a model; onnxruntime runs it, and so does a browser.

    Args:
        model: of our own networks.
        path: of the file.
        batch: the only B that it takes, which lets a runtime plan ahead; None: any.

    Raises:
        ConfigError: a library is missing.
        ModelError: it is not made of our networks.
    """
    require_libraries()
    pack(model)  # says what cannot be exported
    example = torch.zeros(batch or 2, model.num_latents)
    shapes = None if batch else {"latents": {0: torch.export.Dim("batch", min=1)}}
    with _quiet():
        program = torch.onnx.export(
            Decoder(model).eval(),
            (example,),
            dynamo=True,
            input_names=["latents"],
            output_names=["images", "masks"],
            dynamic_shapes=shapes,
        )
    assert program is not None
    said = {
        "prior": model.prior,
        "latents": [asdict(latent) for latent in model.latents],
        "masked_latents": model.masked_latents,
        "about": model.about,
    }
    program.model.metadata_props[KEY] = json.dumps(said)
    program.save(path)


def require_libraries() -> None:
    """Raise :class:`ConfigError` if one of the libraries that write ONNX is missing."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigError(
            f"models as ONNX need the optional extra [onnx] ({missing[0]} is missing); "
            "run 'pip install \"wherewhat-pl[onnx]\"'"
        )


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """The exporter reports every step, to the screen, the log and the warnings alike."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)

"""Generators as ONNX decoders, others' and our own: input latents ``[B, n]``, output images, and perhaps masks."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.model import Latent, Model

KEY = "wherewhat_pl"  #: of what our own files say about themselves in their metadata


class OnnxModel(Model):
    """A decoder run by onnxruntime on the CPU; it has no recognizer, and masks only if the file gives them.

    What the file does not say is found out from a few images: channels last are moved first, and the range is taken
    to be [0, 1] or 0..255 if no value is negative, else [-1, 1]. Our own files say it, the prior and the names.

    Args:
        path: the ``.onnx`` file; one float32 input ``[B, n]`` (B free or fixed), an output of images, 1 or 3 channels,
            and perhaps a second one of masks ``[B, n, H, W]`` in [0, 1].

    Attributes:
        image_range: what the file's values were found to mean: ``"-1..1"``, ``"0..1"`` or ``"0..255"``.
        fingerprint: of the file.

    Raises:
        ConfigError: onnxruntime is missing, or the file is not such a decoder.
    """

    device = torch.device("cpu")

    def __init__(self, path: Path) -> None:
        if find_spec("onnxruntime") is None:
            raise ConfigError(f"{path}: needs the optional extra [onnx]; run 'pip install \"wherewhat-pl[onnx]\"'")
        import onnxruntime

        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an error class of its own for each cause
            raise ConfigError(f"{path}: is no ONNX model ({one_line(error, 120)})") from None
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 2 or not isinstance(shape[1], int) or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{item.type} {item.shape}" for item in inputs)
            raise ConfigError(f"{path}: a decoder has one input, float [B, n] with n fixed; this one has {found}")
        self._input, self.num_latents = inputs[0].name, int(shape[1])
        self._fixed_batch = shape[0] if isinstance(shape[0], int) else None
        self.fingerprint = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
        trial, *more = self._run(torch.randn(16, self.num_latents, generator=torch.Generator().manual_seed(0)))
        self._channels_last = trial.ndim == 4 and trial.shape[1] not in (1, 3) and trial.shape[3] in (1, 3)
        if trial.ndim != 4 or not (self._channels_last or trial.shape[1] in (1, 3)):
            raise ConfigError(f"{path}: its output {list(trial.shape)} is no batch of grey or RGB images")
        self.image_range = "-1..1" if float(trial.min()) < 0 else "0..1" if float(trial.max()) <= 1 else "0..255"
        self.recognizer, self.prior, self.masked_latents, self.about = None, "normal", [], {}
        if more and more[0].ndim == 4 and more[0].shape[1] == self.num_latents:
            self.masked_latents = list(range(self.num_latents))
        if said := self._session.get_modelmeta().custom_metadata_map.get(KEY):
            self._believe(said, path)
        images, _ = self._draw(torch.zeros(1, self.num_latents), False)
        self.channels, self.resolution = images.shape[1], max(images.shape[2:])

    def _believe(self, said: str, path: Path) -> None:
        """Take what our own export wrote beside the network."""
        try:
            metadata = json.loads(said)
            latents = [Latent(**each) for each in metadata["latents"]]
            masked = [int(position) for position in metadata["masked_latents"] if 0 <= position < self.num_latents]
            prior, about = str(metadata["prior"]), dict(metadata["about"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConfigError(f"{path}: what it says about itself cannot be read ({one_line(error, 80)})") from None
        self.call_latents(latents)
        self.image_range, self.prior, self.about = "-1..1", prior, about
        self.masked_latents = masked if self.masked_latents else []

    @property
    def is_ours(self) -> bool:
        """Whether its inputs and outputs are those of our own exports: ``latents``, ``images``, ``masks``."""
        outputs = [output.name for output in self._session.get_outputs()]
        return self._input == "latents" and outputs == ["images", "masks"] and self.image_range == "-1..1"

    def to(self, device: torch.device | str) -> OnnxModel:
        """Nothing: it stays on the CPU."""
        return self

    def _draw(self, latents: Tensor, with_masks: bool) -> tuple[Tensor, list[Tensor]]:
        images, *more = self._run(latents.cpu())
        if self._channels_last:
            images = images.permute(0, 3, 1, 2)
        if self.image_range != "-1..1":
            images = images * (2 if self.image_range == "0..1" else 2 / 255) - 1
        return images, [more[0][:, self.masked_latents]] if with_masks and self.masked_latents else []

    def _run(self, latents: Tensor) -> list[Tensor]:
        """All outputs for latents ``[B, n]``."""
        size = self._fixed_batch or len(latents)
        parts = []
        for part in latents.float().split(size):
            filled = F.pad(part, (0, 0, 0, size - len(part))).numpy()
            parts.append([output[: len(part)] for output in self._session.run(None, {self._input: filled})])
        return [torch.from_numpy(np.concatenate(outputs)).float() for outputs in zip(*parts, strict=True)]


load = OnnxModel  #: as whoever reads models of any kind calls it

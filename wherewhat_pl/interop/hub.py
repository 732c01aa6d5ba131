"""Models on the Hugging Face Hub, by huggingface_hub's own mixin: a repository is a safetensors file and its card."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.interop import safetensors
from wherewhat_pl.interop.card import card
from wherewhat_pl.model import Model, torch_device

if find_spec("huggingface_hub") is None:
    raise ConfigError("sharing models needs the optional extra [hub]; run 'pip install \"wherewhat-pl[hub]\"'")

from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download

FILE = "model.safetensors"
#: what the mixin has to say about a download
DOWNLOAD = ("revision", "cache_dir", "force_download", "local_files_only", "token")


class HubModel(ModelHubMixin):
    """A model with the mixin's ``from_pretrained``, ``save_pretrained`` and ``push_to_hub``.

    Args:
        model: what is shared, or was fetched.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def _save_pretrained(self, save_directory: Path) -> None:
        safetensors.save(self.model, Path(save_directory) / FILE)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The same card that an export has."""
        return ModelCard(card(self.model, str(self.model.about.get("experiment", "wherewhat_pl model")), FILE))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, device: str = "cpu", **options: Any) -> HubModel:
        file = Path(model_id) / FILE
        if not Path(model_id).is_dir():
            wanted = {key: value for key, value in options.items() if key in DOWNLOAD}
            file = Path(hf_hub_download(model_id, FILE, **wanted))
        return cls(safetensors.load(file).to(torch_device(device)))

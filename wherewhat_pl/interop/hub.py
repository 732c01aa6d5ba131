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
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        device: str = "cpu",
        **others: Any,
    ) -> HubModel:
        file = Path(model_id) / FILE
        if not Path(model_id).is_dir():
            file = Path(
                hf_hub_download(
                    model_id,
                    FILE,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )
        return cls(safetensors.load(file).to(torch_device(device)))

"""What ``explore`` is told; torch is not needed to read it."""

from __future__ import annotations

from dataclasses import dataclass, field

from wherewhat_pl.errors import ConfigError


@dataclass(frozen=True)
class ExploreSettings:
    """Which model, and how it is shown."""

    run: str = "pretrained:shapes3d_hour"  # a run's folder, or a model's file: .safetensors, .pt or our own .onnx
    checkpoint: str | None = None  # of a run: a file, or the name of one in its checkpoints/; null: the newest
    export: str | None = None  # a folder to write the explorer into, for any web server; null: open it here
    port: int | None = None  # of this machine; null: 8765 or the next free one, 0: any free one
    open_browser: bool = True  # open the page, where there is a screen
    device: str = "auto"  # on which latents are put in order: cpu, cuda, cuda:1..., or auto: a GPU if there is one
    plugins: list[str] = field(default_factory=list)  # modules of your own that define the model's masks
    force: bool = False  # write over what is in the folder

    def __post_init__(self) -> None:
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ConfigError(f"port={self.port}: must be from 0 to 65535")

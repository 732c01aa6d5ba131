"""Open a page with a slider per latent, or write it as a folder for any web server."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.signals import Stopped

EXAMPLE = "run=runs/shapes3d_quick/seed0"


@dataclass(frozen=True)
class Settings:
    run: str = "pretrained:shapes3d_quick"  # a run's folder, or a model's file: .safetensors, .pt or our own .onnx
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


def run(settings: Settings) -> int:
    from wherewhat_pl.explorer.explore import explore

    try:
        explore(settings)
    except Stopped as stop:  # Ctrl-C is how it is meant to end
        if stop.number != signal.SIGINT or settings.export is not None:
            raise
        print()
    return 0

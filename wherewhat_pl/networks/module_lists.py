"""Lists of generator modules as text: their grammar, the published pattern for any size, and the ablation switch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

START_RESOLUTION = 4  #: pixels of the constant
RECTANGLES = 4  # per mask, as published


def published_modules(resolution: int, num_latents: int, channels: int = 512) -> list[str]:
    """The pattern of the published list, as many levels long as the resolution asks for.

    A constant of 4 px; per level from 8 px up an upsampling block, latents under masks, a block and noise; two more
    blocks at the end. 25 latents at 128 px give the published CelebA list.

    Args:
        resolution: of the images in pixels, a power of two, at least 8.
        num_latents: spread evenly over the levels; what is left over goes to the middle ones.
        channels: of the constant.

    Raises:
        ValueError: fewer than one latent.
    """
    if num_latents < 1:
        raise ValueError("at least one latent is needed")
    modules = [f"Const-{channels}"]
    for count in spread(num_latents, resolution.bit_length() - START_RESOLUTION.bit_length()):
        masked = [f"C_spgroup-{RECTANGLES}-{count}"] * (count > 0)
        modules += ["ResConv-up-1", *masked, "ResConv-id-1", "Noise-2"]
    return [*modules, "ResConv-id-2"]


def spread(total: int, levels: int) -> list[int]:
    """``total`` in ``levels`` nearly equal parts, the larger ones in the middle: ``spread(10, 4) == [2, 3, 3, 2]``."""
    each, left_over = divmod(total, levels)
    first = (levels - left_over) // 2
    return [each + (first <= level < first + left_over) for level in range(levels)]


@dataclass(frozen=True)
class ModuleSpec:
    """One entry of the list, e.g. ``C_spgroup-4-5``: kind ``C_spgroup``, arguments ``("4", "5")``."""

    kind: str
    arguments: tuple[str, ...]

    GRAMMAR: ClassVar[dict[str, str]] = {
        "Const": r"\d+",
        "Conv": r"(id|up|down)-\d+",
        "ResConv": r"(id|up|down)-\d+",
        "Noise": r"\d+",
        "C_global": r"\d+",
        "C_spgroup": r"\d+-\d+",
        "C_spgroup_sm": r"\d+",
    }

    @classmethod
    def parse(cls, text: str) -> ModuleSpec:
        """Raises ``ValueError`` with one line if ``text`` is no module."""
        kind, _, arguments = text.partition("-")
        if kind not in cls.GRAMMAR or not re.fullmatch(cls.GRAMMAR[kind], arguments) or "0" in arguments.split("-"):
            known = ", ".join(f"{name}-{pattern}" for name, pattern in cls.GRAMMAR.items()).replace(r"\d+", "N")
            raise ValueError(f"'{text}' is no generator module; there are {known}, each N at least 1")
        return cls(kind, tuple(arguments.split("-")))

    @property
    def num_latents(self) -> int:
        """How many latents the module consumes."""
        return int(self.arguments[-1]) if self.kind.startswith("C_") else 0

    def __str__(self) -> str:
        return "-".join((self.kind, *self.arguments))


def count_latents(modules: list[str]) -> int:
    """How many latents a module list consumes in all."""
    return sum(ModuleSpec.parse(text).num_latents for text in modules)


def module_list(modules: list[str], mask: str) -> list[str]:
    """A generator's modules after the ablation switch ``model.mask``."""
    switched = []
    for text in modules:
        spec = ModuleSpec.parse(text)
        if spec.kind == "C_spgroup" and mask != "rectangles":
            kind = "C_spgroup_sm" if mask == "softmax" else "C_global"
            text = f"{kind}-{spec.num_latents}"
        switched.append(text)
    return switched

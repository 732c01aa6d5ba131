"""Lists of generator modules as text: their grammar, the published pattern for any size, and the ablation switch.

The kinds of masks say their own grammar, in ``masks.py``, which loads torch: it is imported where a list is read, so
that help and most typing errors are answered without it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from wherewhat_pl.bounds import MOST_PIXELS
from wherewhat_pl.errors import suggestion
from wherewhat_pl.networks.feature_maps import FeatureMaps

START_RESOLUTION = 4  #: pixels of the constant
MOST_WEIGHTS = 1_000_000_000  # twenty times the largest published network; 20 GB with averages and moments
RECTANGLES = 4  # per mask, as published
GRAMMAR = {  #: word -> pattern of its arguments; the modules with masks have theirs in their classes
    "Const": r"\d+",
    "Conv": r"(id|up|down)-\d+",
    "ResConv": r"(id|up|down)-\d+",
    "Noise": r"\d+",
    "C_global": r"\d+",
}


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

    @classmethod
    def parse(cls, text: str) -> ModuleSpec:
        """Raises ``ValueError`` with one line if ``text`` is no module."""
        from wherewhat_pl.networks.masks import MASK_MODULES

        grammar = GRAMMAR | {word: module.grammar for word, module in MASK_MODULES.items()}
        kind, _, arguments = text.partition("-")
        if kind not in grammar or not re.fullmatch(grammar[kind], arguments) or "0" in arguments.split("-"):
            known = ", ".join(f"{word}-{pattern}" for word, pattern in grammar.items()).replace(r"\d+", "N")
            raise ValueError(f"'{text}' is no generator module; there are {known}, each N at least 1")
        return cls(kind, tuple(arguments.split("-")))

    @property
    def num_latents(self) -> int:
        """How many latents the module consumes: the last argument of those whose word begins with ``C_``."""
        return int(self.arguments[-1]) if self.kind.startswith("C_") else 0

    def __str__(self) -> str:
        return "-".join((self.kind, *self.arguments))


def count_latents(modules: list[str]) -> int:
    """How many latents a module list consumes in all."""
    return sum(ModuleSpec.parse(text).num_latents for text in modules)


def check_sizes(specs: list[ModuleSpec], feature_maps: FeatureMaps, feature_map_scale: int) -> None:
    """Whether a list can be built: counts in a moment what building it would take minutes and a machine's memory for.

    Raises:
        ValueError: its pictures, or its convolutions' weights, would be too large, or its pictures too small.
    """
    resolution, weights, width = START_RESOLUTION, 0, int(specs[0].arguments[0]) if specs[0].kind == "Const" else 0
    for i, spec in enumerate(specs):
        last, outputs = int(spec.arguments[-1]), feature_maps.at(i // feature_map_scale)
        if spec.kind in ("Conv", "ResConv", "Noise"):
            levels = {"up": last, "down": -last}.get(spec.arguments[0], 0)
            resolution = int(resolution * 2.0 ** max(min(levels, 100), -100))
            weights += 9 * outputs * (width + outputs * (last - 1))
            width = outputs
        elif spec.kind.startswith("C_"):
            numbers = math.prod(int(argument) for argument in spec.arguments if argument.isdigit())
            if spec.kind == "C_global":
                weights += 9 * width * outputs + width * numbers
                width = outputs
            else:
                weights += 4 * resolution * width * numbers  # of rectangles, the largest
        if not START_RESOLUTION <= resolution <= MOST_PIXELS:
            raise ValueError(f"module {spec}: would draw less than {START_RESOLUTION} px, or more than {MOST_PIXELS}")
        if max(weights, width) > MOST_WEIGHTS:
            raise ValueError(f"module {spec}: makes more than {MOST_WEIGHTS:,} weights")


def mask_kinds() -> dict[str, Callable[[int, int], str]]:
    """What ``model.mask`` may be: kind -> a function from s and m to the module that replaces ``C_spgroup-s-m``."""
    from wherewhat_pl.networks.masks import MASK_MODULES

    kinds = {module.kind: module.instead_of_rectangles for module in MASK_MODULES.values()}
    return {**kinds, "none": lambda num_rectangles, num_latents: f"C_global-{num_latents}"}


def module_list(modules: list[str], mask: str) -> list[str]:
    """A generator's modules after the switch ``model.mask``, which rewrites those of the kind ``rectangles``.

    Raises:
        ValueError: ``mask`` is no kind of masks, or an entry is no module.
    """
    kinds = mask_kinds()
    if mask not in kinds:
        raise ValueError(f"'{mask}' is no kind of masks{suggestion(mask, list(kinds))}")
    specs = [ModuleSpec.parse(text) for text in modules]
    return [kinds[mask](*map(int, spec.arguments)) if spec.kind == "C_spgroup" else str(spec) for spec in specs]

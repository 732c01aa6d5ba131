"""The supervised metrics as ``torchmetrics.Metric``: they collect codes over batches and processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from wherewhat_pl.metrics import functional
from wherewhat_pl.metrics.inputs import FactorGrid


class _Collected(Metric):
    """Tensors collected by name; a function makes the score of them."""

    full_state_update = False
    higher_is_better = True
    names: tuple[str, ...]  #: of the function's arguments, in their order
    score: Callable[..., Any]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in self.names:
            self.add_state(name, [], dist_reduce_fx="cat")

    def _collect(self, **parts: Tensor) -> None:
        for name, part in parts.items():
            getattr(self, name).append(part.detach())

    def _joined(self) -> Iterator[Tensor]:
        for name in self.names:
            parts = getattr(self, name)
            if isinstance(parts, list) and not parts:
                raise ValueError(f"no {name} were given to this metric before compute()")
            yield dim_zero_cat(parts)

    def result(self) -> Any:
        """What the function gives: the score with its parts."""
        return type(self).score(*self._joined())

    def compute(self) -> Any:
        """The score, a float64 scalar."""
        return torch.tensor(float(self.result()), dtype=torch.float64)


class _CodesAndFactors(_Collected):
    """Codes ``[B, n]`` and factors ``[B, f]``."""

    names = ("codes", "factors")

    def update(self, codes: Tensor, factors: Tensor) -> None:
        """Add codes ``[B, n]`` and the factor values ``[B, f]`` of the same images."""
        self._collect(codes=codes, factors=factors)


class MutualInformationGap(_CodesAndFactors):
    """MIG; see :func:`wherewhat_pl.metrics.functional.mig`."""

    score = staticmethod(functional.mig)


class Modularity(_CodesAndFactors):
    """Modularity; see :func:`wherewhat_pl.metrics.functional.modularity`."""

    score = staticmethod(functional.modularity)


class InterventionalRobustness(_CodesAndFactors):
    """IRS; see :func:`wherewhat_pl.metrics.functional.irs`."""

    score = staticmethod(functional.irs)


class _TrainAndTest(_Collected):
    """Codes and factors of a training and of a test half."""

    names = ("codes_train", "factors_train", "codes_test", "factors_test")

    def update(self, codes: Tensor, factors: Tensor, train: bool) -> None:
        """Add codes ``[B, n]`` and factor values ``[B, f]`` to the training or to the test half."""
        half = "train" if train else "test"
        self._collect(**{f"codes_{half}": codes, f"factors_{half}": factors})


class SeparatedAttributePredictability(_TrainAndTest):
    """SAP; see :func:`wherewhat_pl.metrics.functional.sap`."""

    score = staticmethod(functional.sap)


class Explicitness(_TrainAndTest):
    """Explicitness on the test half; see :func:`wherewhat_pl.metrics.functional.explicitness`."""

    score = staticmethod(functional.explicitness)


class DCI(_TrainAndTest):
    """Disentanglement, completeness, informativeness; see :func:`wherewhat_pl.metrics.functional.dci`."""

    score = staticmethod(functional.dci)

    def compute(self) -> dict[str, Tensor]:
        """``disentanglement``, ``completeness``, ``informativeness_train`` and ``informativeness_test``, scalars."""
        scores = self.result()
        names = ("disentanglement", "completeness", "informativeness_train", "informativeness_test")
        return {name: torch.tensor(scores[name], dtype=torch.float64) for name in names}


class _OnGrid(_Collected):
    """Codes of all images of a factor grid, in any order."""

    names = ("codes", "indices")

    def __init__(self, factors: FactorGrid, score_settings: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """``score_settings`` go to the function, e.g. ``FACTOR_VAE_PRESETS["paper"]``; the others to ``Metric``."""
        super().__init__(**settings)
        self.space, self.score_settings = factors, dict(score_settings or {})

    def update(self, codes: Tensor, indices: Tensor) -> None:
        """Add codes ``[B, n]`` of the images at ``indices`` ``[B]``; an image may come twice."""
        self._collect(codes=codes, indices=indices)

    def result(self) -> Any:
        """What the function gives: the score with its parts.

        Raises:
            ValueError: images of the grid are missing.
        """
        codes, indices = (part.cpu() for part in self._joined())
        seen = torch.zeros(math.prod(self.space.sizes), dtype=torch.bool)
        seen[indices] = True
        if not seen.all():
            raise ValueError(f"{type(self).__name__}: {int((~seen).sum())} of {len(seen)} images were not encoded")
        table = codes.new_empty(len(seen), codes.shape[1])
        table[indices] = codes
        return type(self).score(table, self.space, **self.score_settings)


class FactorVAEScore(_OnGrid):
    """FactorVAE score from an encoded grid; see :func:`wherewhat_pl.metrics.functional.factor_vae_score`."""

    score = staticmethod(functional.factor_vae_score)


class BetaVAEScore(_OnGrid):
    """beta-VAE score from an encoded grid; see :func:`wherewhat_pl.metrics.functional.beta_vae_score`."""

    score = staticmethod(functional.beta_vae_score)

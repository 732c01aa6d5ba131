"""The supervised metrics as ``torchmetrics.Metric``: they collect codes over batches and processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from wherewhat_pl.metrics import functional
from wherewhat_pl.metrics.inputs import FactorGrid


class _CodesAndFactors(Metric):
    """Codes ``[B, n]`` and factors ``[B, f]``, collected."""

    full_state_update = False
    higher_is_better = True
    codes: list[Tensor]
    factors: list[Tensor]
    score: Callable[..., float]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("factors", [], dist_reduce_fx="cat")

    def update(self, codes: Tensor, factors: Tensor) -> None:
        """Add codes ``[B, n]`` and the factor values ``[B, f]`` of the same images."""
        self.codes.append(codes.detach())
        self.factors.append(factors.detach())

    def result(self) -> Any:
        """What the function gives: the score with its parts."""
        return type(self).score(_joined(self.codes, "codes"), _joined(self.factors, "factors"))

    def compute(self) -> Tensor:
        """The score, a float64 scalar."""
        return torch.tensor(float(self.result()), dtype=torch.float64)


class MutualInformationGap(_CodesAndFactors):
    """MIG; see :func:`wherewhat_pl.metrics.functional.mig`."""

    score = staticmethod(functional.mig)


class Modularity(_CodesAndFactors):
    """Modularity; see :func:`wherewhat_pl.metrics.functional.modularity`."""

    score = staticmethod(functional.modularity)


class InterventionalRobustness(_CodesAndFactors):
    """IRS; see :func:`wherewhat_pl.metrics.functional.irs`."""

    score = staticmethod(functional.irs)


class _TrainAndTest(Metric):
    """Codes and factors of a training and of a test half, collected."""

    full_state_update = False
    higher_is_better = True
    score: Callable[..., Any]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for half in ("train", "test"):
            self.add_state(f"codes_{half}", [], dist_reduce_fx="cat")
            self.add_state(f"factors_{half}", [], dist_reduce_fx="cat")

    def update(self, codes: Tensor, factors: Tensor, train: bool) -> None:
        """Add codes ``[B, n]`` and factor values ``[B, f]`` to the training or to the test half."""
        half = "train" if train else "test"
        getattr(self, f"codes_{half}").append(codes.detach())
        getattr(self, f"factors_{half}").append(factors.detach())

    def result(self) -> Any:
        """What the function gives: the score with its parts."""
        names = ("codes_train", "factors_train", "codes_test", "factors_test")
        return type(self).score(*(_joined(getattr(self, name), name) for name in names))

    def compute(self) -> Any:
        """The score, a float64 scalar."""
        return torch.tensor(float(self.result()), dtype=torch.float64)


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


class _OnGrid(Metric):
    """Codes of all images of a factor grid, collected in any order."""

    full_state_update = False
    higher_is_better = True
    codes: list[Tensor]
    indices: list[Tensor]
    score: Callable[..., float]

    def __init__(self, factors: FactorGrid, score_settings: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """``score_settings`` go to the function, e.g. ``FACTOR_VAE_PRESETS["paper"]``; the others to ``Metric``."""
        super().__init__(**settings)
        self.space, self.score_settings = factors, dict(score_settings or {})
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("indices", [], dist_reduce_fx="cat")

    def update(self, codes: Tensor, indices: Tensor) -> None:
        """Add codes ``[B, n]`` of the images at ``indices`` ``[B]``; an image may come twice."""
        self.codes.append(codes.detach())
        self.indices.append(indices.detach())

    def compute(self) -> Tensor:
        """The score, a float64 scalar.

        Raises:
            ValueError: images of the grid are missing.
        """
        codes, indices = _joined(self.codes, "codes").cpu(), _joined(self.indices, "indices").cpu()
        seen = torch.zeros(self.space.num_images, dtype=torch.bool)
        seen[indices] = True
        if not seen.all():
            raise ValueError(f"{type(self).__name__}: {int((~seen).sum())} of {len(seen)} images were not encoded")
        table = codes.new_empty(len(seen), codes.shape[1])
        table[indices] = codes
        return torch.tensor(float(type(self).score(table, self.space, **self.score_settings)), dtype=torch.float64)


class FactorVAEScore(_OnGrid):
    """FactorVAE score from an encoded grid; see :func:`wherewhat_pl.metrics.functional.factor_vae_score`."""

    score = staticmethod(functional.factor_vae_score)


class BetaVAEScore(_OnGrid):
    """beta-VAE score from an encoded grid; see :func:`wherewhat_pl.metrics.functional.beta_vae_score`."""

    score = staticmethod(functional.beta_vae_score)


def _joined(parts: list[Tensor] | Tensor, name: str) -> Tensor:
    if isinstance(parts, Tensor):  # after a synchronization
        return parts
    if not parts:
        raise ValueError(f"no {name} were given to this metric before compute()")
    return torch.cat(parts)

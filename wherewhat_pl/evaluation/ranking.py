"""Ranking models by TPL without labels, and how well the ranks agree with scores that have labels. Pure arithmetic.

TPL compares models with the same number of active dimensions: lower is simpler, so better. Between different numbers
it says nothing, since fewer dimensions are shorter by themselves, and a collapsed generator is shortest of all. So
models are grouped by their number of active dimensions, groups come with more dimensions first (what does not move
explains nothing), or nearest first to a number that the user expects, and within a group the shortest comes first. A
model without any active dimension is last, whatever was expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy.stats import norm, spearmanr


@dataclass(frozen=True)
class Candidate:
    """One model to choose from.

    Attributes:
        name: for tables.
        num_latents: of its code.
        num_active: dimensions with a TPL above the threshold.
        total: TPL summed over these.
        scores: supervised and other scores, by metric, where they were measured.
        images_seen: length of its training; None for somebody else's.
        data: name and source of its data, for tables; empty if unknown.
    """

    name: str
    num_latents: int
    num_active: int
    total: float
    scores: dict[str, float] = field(default_factory=dict)
    images_seen: int | None = None
    data: str = ""


def rank(candidates: Sequence[Candidate], expected_active: int | None = None) -> list[Candidate]:
    """Best first, in the order that this module's first lines describe.

    Args:
        candidates: in any order; ties stay in the order of names.
        expected_active: number of active dimensions that is wanted most; None: as many as there are.
    """

    def key(candidate: Candidate) -> tuple[bool, float, int, bool, float, str]:
        active, total = candidate.num_active, candidate.total
        off = 0.0 if expected_active is None else abs(active - expected_active)
        return active == 0, off, -active, not math.isfinite(total), total, candidate.name

    return sorted(candidates, key=key)


def tpl_objective(num_active: int, total: float) -> float:
    """The order of :func:`rank` as one number that is good when low, for searches over settings.

    With m the mean length of an active dimension it is ``m / (1 + m) - num_active``: the first term stays below 1, so
    that a model with fewer active dimensions never wins by being shorter, and a collapsed one, at 1, never wins at all.

    Args:
        num_active: dimensions with a TPL above the threshold.
        total: TPL summed over these.
    """
    return 1 - 1 / (1 + total / num_active) - num_active if num_active else 1.0


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation and its 95 % interval.

    Attributes:
        value: -1 to 1; NaN if it is undefined (fewer than three models, or all alike).
        low: lower end of the interval; NaN for fewer than four models.
        high: upper end.
        count: number of models.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"undefined ({self.count} models)"
        interval = "" if math.isnan(self.low) else f" [{self.low:+.2f}, {self.high:+.2f}]"
        return f"{self.value:+.2f}{interval} ({self.count} models)"


def spearman(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Correlation:
    """Spearman correlation with Fisher's interval, its variance by Bonett and Wright 2000: (1 + r^2 / 2) / (n - 3).

    A bootstrap would resample the same few models; for samples below ten its intervals are too short.
    """
    count = len(x)
    if count < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return Correlation(math.nan, math.nan, math.nan, count)
    value = float(spearmanr(x, y).statistic)
    if count < 4:
        return Correlation(value, math.nan, math.nan, count)
    width = float(norm.ppf(0.5 + confidence / 2)) * math.sqrt((1 + value**2 / 2) / (count - 3))
    # Fisher's transformation of 1 is infinite and would call four ordered models a certainty. A perfect order counts
    # as half a step below 1, a step being the least by which the correlation of so many ranks can change.
    limit = 1 - 6 / (count * (count**2 - 1))
    centre = math.atanh(max(-limit, min(limit, value)))
    return Correlation(value, math.tanh(centre - width), math.tanh(centre + width), count)


def correlations(candidates: Sequence[Candidate]) -> dict[str, dict[str, Correlation]]:
    """For each score: TPL's correlation with it within each group of equal active dimensions, and over all of them.

    ``all`` leaves out models without active dimensions. A good TPL is low, so agreement with a score that should be
    high is a negative number. Groups of fewer than three models have no line.
    """
    found: dict[str, dict[str, Correlation]] = {}
    for metric in sorted({name for candidate in candidates for name in candidate.scores}):
        scored = [c for c in candidates if metric in c.scores and c.num_active and math.isfinite(c.total)]
        groups = {"all": scored} | {
            f"{active} active": [c for c in scored if c.num_active == active]
            for active in sorted({c.num_active for c in scored}, reverse=True)
        }
        found[metric] = {
            label: spearman([c.total for c in group], [c.scores[metric] for c in group])
            for label, group in groups.items()
            if label == "all" or len(group) >= 3
        }
    return found


def place_of_first(ranked: Sequence[Candidate], metric: str, better: str) -> tuple[int, int] | None:
    """Which place the model that TPL puts first has by a score, of how many models; None if it lacks that score.

    Args:
        ranked: as :func:`rank` gives them; those without active dimensions or without the score do not count.
        metric: whose score.
        better: ``high`` or ``low``.
    """
    active = [c for c in ranked if c.num_active]
    if not active or metric not in active[0].scores:
        return None
    sign = 1 if better == "high" else -1
    scores = [sign * c.scores[metric] for c in active if metric in c.scores]
    return 1 + sum(score > scores[0] for score in scores), len(scores)

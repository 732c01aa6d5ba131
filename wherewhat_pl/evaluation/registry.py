"""The metrics that ``eval`` knows, each registered where it is defined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data_modules.synthetic import SyntheticDataModule
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.evaluation.context import EvaluationContext, Outcome

Measure = Callable[[EvaluationContext], Outcome]


@dataclass(frozen=True)
class Metric:
    """A metric that ``eval`` knows.

    Attributes:
        name: what users call it.
        about: a few words for tables, with the direction that is better.
        measure: what gives its outcome.
        settings: names of the :class:`EvalSettings` it depends on, beside the seed.
        needs: what there must be: ``factors``, ``attributes``, ``geometry``, ``recognizer``, ``masks``, ``images``.
        split: whether several processes share the work; otherwise the first one does it.
        is_tpl: whether it is a TPL: it depends on the distance, and a threshold can be read into its rows later.
        default: whether it is measured if nothing else is asked for.
        missing: what keeps this environment from measuring it, as the end of a sentence; empty if nothing does.
    """

    name: str
    about: str
    measure: Measure
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    split: bool = False
    is_tpl: bool = False
    default: bool = False
    missing: Callable[[], str] = lambda: ""

    @property
    def better(self) -> str | None:
        """``high`` or ``low``, the direction that ``about`` ends with; None if it says none."""
        last = self.about.rpartition(", ")[2]
        return last if last in ("high", "low") else None

    def lacking(self, context: EvaluationContext) -> str:
        """What keeps this model from being measured by it, as the end of a sentence; empty if nothing does."""
        data, others = context.known_data, "; tpl_small, where and fd_vgg need none"
        if data is None and set(self.needs) & {"factors", "attributes", "images"}:
            return "needs the data that the model was trained on"
        if "factors" in self.needs and data is not None and data.factor_space is None:
            again = "; if it was trained on a set that has, import it again with data.name=... force=true"
            hint = again if "imported" in context.model.about else others
            return f"needs known factors, and {data.name} has none{hint}"
        if "geometry" in self.needs and not isinstance(data, SyntheticDataModule):
            name = "this model's" if data is None else data.name
            return f"needs a set whose geometries are known, and {name} is none; pr_vgg's recall needs none"
        if "recognizer" in self.needs and not context.model.has_recognizer:
            return f"needs a recognizer, and model.loss=gan trains none{others}"
        if "attributes" in self.needs and data is not None and data.factor_space is not None:
            return f"needs attributes, as CelebA has, and {data.name} has factors: mig, dci, explicitness use them"
        if "masks" in self.needs and not context.model.has_masks:
            return "needs masks, and model.mask=none has none"
        return self.missing()


METRICS: dict[str, Metric] = {}  #: by name, in the order of their definition


def metric(name: str, about: str, **properties: Any) -> Callable[[Measure], Measure]:
    """Register the function below as a metric; arguments as in :class:`Metric`."""

    def register(measure: Measure) -> Measure:
        if name in METRICS:
            raise ValueError(f"there is a metric {name} already")
        METRICS[name] = Metric(name, about, measure, **properties)
        return measure

    return register


def tpl_metrics() -> tuple[str, ...]:
    """Names of the TPLs, the shortest measurement first."""
    return tuple(name for name, metric in METRICS.items() if metric.is_tpl)


def check_metrics(names: list[str], context: EvaluationContext, key: str = "metrics") -> None:
    """Whether a model can be measured by these; reads no image.

    Raises:
        ConfigError: an unknown name, or something that the model, its data or this environment does not have.
    """
    for name in names:
        if name not in METRICS:
            raise ConfigError(f"{key}={name}: no such metric{suggestion(name, list(METRICS))}")
        if lacking := METRICS[name].lacking(context):
            raise ConfigError(f"{key}={name}: {lacking}")


def default_metrics(context: EvaluationContext) -> list[str]:
    """What a model is measured by if nothing else is asked: TPL, and what its factors and masks allow."""
    return [name for name, metric in METRICS.items() if metric.default and not metric.lacking(context)]

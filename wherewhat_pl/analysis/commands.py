"""What the verbs ``eval``, ``select`` and ``report`` are told, read and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wherewhat_pl.errors import ConfigError, suggestion

Kinds = dict[str, Callable[[str], Any]]  #: what each setting's text is turned into a value by


def run_eval(arguments: Sequence[str]) -> int:
    """``eval run=FOLDER [metrics=NAME,...] [checkpoint=NAME] [device=...] [force=true] [seed=...] ...``."""
    allowed: Kinds = {"run": str, "metrics": str, "checkpoint": str, "device": str, "force": truth}
    given = read_settings("eval", arguments, allowed | MEASURE)
    from wherewhat_pl.evaluation.context import EvaluationContext
    from wherewhat_pl.evaluation.evaluate import evaluate
    from wherewhat_pl.evaluation.registry import METRICS, default_metrics
    from wherewhat_pl.run.loading import load_run

    names = [name for name in given.get("metrics", "").split(",") if name]
    for name in names:  # before the run is loaded, which takes longer
        if name not in METRICS:
            raise ConfigError(f"metrics={name}: no such metric{suggestion(name, list(METRICS))}")
    settings = eval_settings(given)
    loaded = load_run(required(given, "eval", "run"), given.get("checkpoint"), given.get("device", "auto"))
    print(f"{loaded.run.path}, {loaded.images_seen:,} images seen, on {loaded.model.device}")
    context = EvaluationContext.of_run(loaded, settings)
    evaluate(context, names or default_metrics(context), loaded.run.eval_file, given.get("force", False))
    return 0


def run_select(arguments: Sequence[str]) -> int:
    """``select runs=PATTERN,... [tpl=tpl_small] [out=FOLDER] [active=N] [threshold=...] [device=...]``."""
    allowed: Kinds = {"runs": str, "tpl": str, "out": str, "active": int, "device": str}
    given = read_settings("select", arguments, allowed | MEASURE)
    from wherewhat_pl.evaluation.select import select

    return select(
        required(given, "select", "runs"),
        given.get("tpl", "tpl_small"),
        given.get("out"),
        given.get("active"),
        given.get("device", "auto"),
        eval_settings(given),
    )


def run_report(arguments: Sequence[str]) -> int:
    """``report run=FOLDER [compute=false] [device=...]``."""
    allowed: Kinds = {"run": str, "compute": truth, "device": str}
    given = read_settings("report", arguments, allowed | MEASURE)
    from wherewhat_pl.report.report import write_report
    from wherewhat_pl.run.loading import load_run

    loaded = load_run(required(given, "report", "run"), device=given.get("device", "auto"))
    print(f"report   {write_report(loaded, given.get('compute', True), eval_settings(given))}")
    return 0


def truth(text: str) -> bool:
    """``true`` or ``false``."""
    return {"true": True, "false": False}[text.lower()]


MEASURE: Kinds = {
    "seed": int,
    "distance": str,
    "threshold": float,
    "train": int,
    "test": int,
    "images": int,
    "samples": int,
    "batch": int,
}
_KINDS = {int: "a whole number", float: "a number", truth: "true or false", str: "text"}


def eval_settings(given: dict[str, Any]) -> Any:
    """The settings of measurement among those that were given."""
    from wherewhat_pl.evaluation.context import EvalSettings

    return EvalSettings(**{key: value for key, value in given.items() if key in MEASURE})


def read_settings(verb: str, arguments: Sequence[str], allowed: Kinds) -> dict[str, Any]:
    """``key=value`` words to values; raises :class:`ConfigError` for an unknown key or a value of another kind.

    Empty words and empty values, which make leaves behind, are as good as not given.
    """
    given: dict[str, Any] = {}
    for text in filter(None, arguments):
        key, equals, value = text.partition("=")
        if not equals or key not in allowed:
            raise ConfigError(f"'{text}': {verb} knows no such setting{suggestion(key.lstrip('-'), list(allowed))}")
        if value:
            try:
                given[key] = allowed[key](value)
            except (ValueError, KeyError):
                raise ConfigError(f"{key}={value}: must be {_KINDS[allowed[key]]}") from None  # type: ignore[index]
    return given


def required(given: dict[str, Any], verb: str, key: str) -> str:
    """The value of a setting that must be there."""
    if key not in given:
        example = "runs='runs/shapes3d/*'" if key == "runs" else "run=runs/shapes3d_quick/seed0"
        raise ConfigError(f"{key}=... is missing; say which, e.g. python -m wherewhat_pl {verb} {example}")
    return str(given[key])

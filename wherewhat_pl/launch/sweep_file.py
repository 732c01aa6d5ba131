"""A sweep file, in Weights & Biases' own format, read and checked before anybody's agent starts from it.

W&B's own check lets through what fails in each of a hundred runs: a misspelt setting, a value of the wrong type, a
misspelt macro, an objective that nobody logs. So a few of the trainings that the file asks for are configured here, by
the reader that they will meet, and a mistake ends in one sentence. ``${args_no_hyphens}`` becomes ``key=value``, whose
keys are our settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data_modules.errors import one_line
from wherewhat_pl.config import load_config
from wherewhat_pl.errors import ConfigError, suggestion
from wherewhat_pl.settings import ExperimentConfig

ARGUMENTS = "${args_no_hyphens}"
METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")
OBJECTIVE = "eval/tpl_objective"

#: those of W&B's continuous distributions that Optuna has, too; ``q_`` ones are rounded
DISTRIBUTIONS = (
    "int_uniform",
    "uniform",
    "q_uniform",
    "log_uniform",
    "log_uniform_values",
    "q_log_uniform",
    "q_log_uniform_values",
)


@dataclass(frozen=True)
class Parameter:
    """What a setting is varied over.

    Attributes:
        choices: its values, if they are listed; a constant has one.
        low: lower bound, if they are not.
        high: upper bound.
        whole: whether only whole numbers are drawn.
        logarithmic: whether it is the logarithm that is uniform.
        step: what a drawn value is rounded to a multiple of.
    """

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    logarithmic: bool = False
    step: float | None = None

    def rounded(self, value: Any) -> Any:
        """A drawn value as W&B would hand it over: a multiple of the step, whole if the step is."""
        return value if self.step is None else round(value / self.step) * self.step

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values to try the settings with: all that are listed, or both ends."""
        return self.choices or (self.rounded(self.low), self.rounded(self.high))


@dataclass(frozen=True)
class Sweep:
    """A sweep file, checked.

    Attributes:
        path: of the file.
        content: as W&B takes it.
        command: words of its command, the macro for the parameters among them.
        parameters: by setting.
        metric: name under which the objective is logged.
        maximize: whether it should be high.
    """

    path: Path
    content: dict[str, Any]
    command: tuple[str, ...]
    parameters: dict[str, Parameter]
    metric: str
    maximize: bool

    @property
    def method(self) -> str:
        return str(self.content["method"])

    def words(self, values: dict[str, Any]) -> list[str]:
        """The command that an agent starts for these values; text as W&B makes it, ``None`` and ``True`` included."""
        said = [f"{key}={value}" for key, value in values.items()]
        return [text for word in self.command for text in (said if word == ARGUMENTS else [word])]

    def config(self, values: dict[str, Any]) -> ExperimentConfig:
        """The training that these values ask for; raises :class:`ConfigError` as its own command would."""
        words = self.words(values)
        given = words[words.index("train", words.index("wherewhat_pl")) + 1 :]
        experiments = [word.partition("=")[2] for word in given if word.startswith("exp=")]
        return load_config(experiments[-1], [word for word in given if not word.startswith("exp=")])


def read_sweep(path: str | Path) -> Sweep:
    """Read a sweep file and try its settings.

    Raises:
        ConfigError: no such file, or something in it that its trainings, or W&B, would fail at.
    """
    path = Path(path)
    if not path.is_file():
        known = sorted(str(file) for file in path.parent.glob("*.yaml"))
        raise ConfigError(f"file={path}: no such file{suggestion(str(path), known) if known else ''}")
    try:
        return _checked(path, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ConfigError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {one_line(error, 300)}") from None


def _checked(path: Path, content: Any) -> Sweep:
    if not isinstance(content, dict):
        raise ConfigError("must hold keys and values")
    if violations := _of_the_schema(content):
        raise ConfigError(violations[0])
    _require_one_of("method", content.get("method"), METHODS)
    metric = content.get("metric")
    if not isinstance(metric, dict) or "name" not in metric:
        raise ConfigError(f"metric: is missing, e.g. {{name: {OBJECTIVE}, goal: minimize}}")
    _require_one_of("metric.goal", metric.get("goal", "minimize"), GOALS)
    if (early := content.get("early_terminate")) is not None:
        if not isinstance(early, dict) or early.get("type") != "hyperband" or not {"min_iter", "max_iter"} & set(early):
            raise ConfigError("early_terminate: must be like {type: hyperband, min_iter: 3, eta: 3}")
        for key in ("min_iter", "max_iter", "eta", "s"):
            if not isinstance(early.get(key, 1), int) or early.get(key, 2) < 1 + (key == "eta"):
                raise ConfigError(
                    f"early_terminate.{key}={early[key]}: must be a whole number above {int(key == 'eta')}"
                )
    command = tuple(str(word) for word in content.get("command") or ())
    _check_command(command, content.get("parameters"))
    parameters = {str(key): _parameter(str(key), said) for key, said in content["parameters"].items()}
    if content["method"] == "grid":
        for key, parameter in parameters.items():
            if not (parameter.choices or parameter.whole):
                raise ConfigError(f"parameters.{key}: a grid needs value or values, or whole numbers as min and max")
    sweep = Sweep(path, content, command, parameters, str(metric["name"]), metric.get("goal") == "maximize")
    for values in _tried(parameters):
        _check_objective(sweep.metric, sweep.config(values))
    return sweep


def _check_command(command: tuple[str, ...], parameters: Any) -> None:
    if not isinstance(parameters, dict) or not parameters:
        raise ConfigError("parameters: is missing; name the settings to vary, e.g. model.ps.weight")
    usual = f"[python, -m, wherewhat_pl, train, exp=shapes3d, {ARGUMENTS}]"
    if "wherewhat_pl" not in command or "train" not in command[command.index("wherewhat_pl") :]:
        raise ConfigError(f"command: must run our training, e.g. {usual}")
    if not any(word.startswith("exp=") for word in command) and "exp" not in parameters:
        raise ConfigError(f"command: names no experiment, e.g. {usual}")
    for word in command:
        if "${" in word and word != ARGUMENTS:
            raise ConfigError(f"command: {word} is not how our settings are said; use {ARGUMENTS}")
    if ARGUMENTS not in command:
        raise ConfigError(f"command: {ARGUMENTS} is missing, so that every run would be the same one")


def _parameter(key: str, said: Any) -> Parameter:
    name = f"parameters.{key}"
    if not isinstance(said, dict):
        raise ConfigError(f"{name}: must be {{value: ..}}, {{values: [..]}}, or {{min: .., max: ..}}")
    if "parameters" in said:
        inner = next(iter(said["parameters"]), "...")
        raise ConfigError(f"{name}: nested parameters arrive as one word; write {key}.{inner} instead")
    if "value" in said or "values" in said:
        choices = said["values"] if "values" in said else [said["value"]]
        if not isinstance(choices, list) or not choices:
            raise ConfigError(f"{name}.values: must be a list of values")
        if odd := [value for value in choices if isinstance(value, dict | list)]:
            raise ConfigError(f"{name}: {odd[0]} must be one number or text; a list may be said as text, a,b")
        return Parameter(tuple(choices))
    low, high = (_number(f"{name}.{bound}", said.get(bound)) for bound in ("min", "max"))
    whole = isinstance(low, int) and isinstance(high, int)
    distribution = said.get("distribution", "int_uniform" if whole else "uniform")  # as W&B guesses
    _require_one_of(f"{name}.distribution", distribution, DISTRIBUTIONS)
    if low >= high:
        raise ConfigError(f"{name}: min={low} must be below max={high}")
    if distribution.endswith("log_uniform"):  # whose bounds are natural logarithms
        low, high = math.exp(low), math.exp(high)
    if low <= 0 and "log" in distribution:
        raise ConfigError(f"{name}.min={low}: must be above 0 on a logarithmic scale")
    step = _number(f"{name}.q", said.get("q", 1)) if distribution.startswith("q_") else None
    return Parameter((), low, high, distribution == "int_uniform", "log" in distribution, step)


def _number(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "; YAML takes 1e-4 for text, write 1.0e-4" if isinstance(value, str) else ""
        raise ConfigError(f"{name}={value}: must be a number{hint}")
    return value


def _require_one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name}={value}: no such one{suggestion(str(value), known)}")


def _tried(parameters: dict[str, Parameter]) -> Iterator[dict[str, Any]]:
    """As few trainings as have every example of every parameter in one of them."""
    examples = {key: parameter.examples for key, parameter in parameters.items()}
    for number in range(max(map(len, examples.values()))):
        yield {key: values[number % len(values)] for key, values in examples.items()}


def _check_objective(metric: str, config: ExperimentConfig) -> None:
    """An objective ``eval/NAME`` must be measured in each run."""
    group, _, name = metric.partition("/")
    if group != "eval":
        return
    measured = config.eval.metrics
    if config.eval.interval_kimg is None:
        raise ConfigError(f"metric.name={metric}: is never measured; set eval.interval_kimg in the command")
    if config.eval.interval_kimg > config.trainer.max_kimg:
        raise ConfigError(
            f"metric.name={metric}: is never measured, since eval.interval_kimg is above trainer.max_kimg"
        )
    found = any(known.startswith("tpl_") for known in measured) if metric == OBJECTIVE else name in measured
    if not found:
        wanted = "tpl_small" if metric == OBJECTIVE else name
        raise ConfigError(
            f"metric.name={metric}: is not measured; eval.metrics has {', '.join(measured)}, add {wanted}"
        )


def _of_the_schema(content: dict[str, Any]) -> list[str]:
    """What W&B's own schema says, where its package ``sweeps`` is there; it wants an old numpy and is not required."""
    try:
        from sweeps import schema_violations_from_proposed_config
    except ImportError:
        return []
    return list(schema_violations_from_proposed_config(content))

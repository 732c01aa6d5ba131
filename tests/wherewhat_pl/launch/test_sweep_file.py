import math
from pathlib import Path

import pytest
import yaml

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.launch.sweep_file import read_sweep

FILES = sorted((Path(__file__).parents[3] / "experiments" / "sweeps").glob("*.yaml"))
GOOD = {
    "method": "bayes",
    "metric": {"name": "eval/tpl_objective", "goal": "minimize"},
    "parameters": {"model.ps.weight": {"min": 0.1, "max": 1.0}, "seed": {"min": 0, "max": 9}},
    "command": ["python", "-m", "wherewhat_pl", "train", "exp=shapes3d_quick", "eval.interval_kimg=1"],
}
GOOD["command"].append("${args_no_hyphens}")


@pytest.fixture
def written(tmp_path):
    """A function: changes of a good sweep file -> its path."""

    def write(**changes):
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(GOOD | changes))
        return path

    return write


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sweep_file_is_one_that_its_trainings_understand(path):
    assert read_sweep(path).metric == "eval/tpl_objective"


def test_values_arrive_as_they_were_meant(written):
    sweep = read_sweep(
        written(
            parameters={
                "model.ps.cascade_kimg": {"values": [None, 4]},
                "trainer.compile": {"value": False},
                "run.name": {"value": "007"},
                "eval.metrics": {"value": "tpl_small,where"},
                "model.ps.weight": {"values": [0.00001, 1]},
            }
        )
    )
    weight, none = 0.00001, None
    values = {"model.ps.cascade_kimg": none, "run.name": "007", "model.ps.weight": weight, "eval.metrics": "tpl_small"}
    assert sweep.words(values)[-4:-2] == ["model.ps.cascade_kimg=None", "run.name=007"]
    config = sweep.config(values | {"trainer.compile": True})
    assert config.model.ps.cascade_kimg is None
    assert (config.run.name, config.model.ps.weight, config.trainer.compile) == ("007", weight, True)
    assert config.eval.metrics == ["tpl_small"]


def test_distributions_are_what_weights_and_biases_takes_them_for(written):
    said = {
        "model.ps.weight": {"distribution": "log_uniform", "min": math.log(0.01), "max": 0},
        "model.ps.epsilon": {"min": 1, "max": 4.0},
        "model.r1.gamma": {"distribution": "q_log_uniform_values", "q": 5, "min": 10, "max": 103},
        "model.r1.interval": {"min": 8, "max": 32},
    }
    found = read_sweep(written(parameters=said)).parameters
    weight, epsilon, gamma, interval = (found[key] for key in said)
    assert weight.logarithmic
    assert (weight.low, weight.high) == (pytest.approx(0.01), 1)
    assert (epsilon.whole, epsilon.logarithmic) == (False, False)
    assert interval.whole
    assert gamma.examples == (10, 105)
    assert isinstance(gamma.rounded(52.6), int)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "baies"}, "method=baies: no such one; did you mean 'bayes'?"),
        ({"metric": None}, "metric: is missing"),
        (
            {"metric": {"name": "eval/mig"}},
            "metric.name=eval/mig: is not measured; eval.metrics has tpl_small, add mig",
        ),
        ({"parameters": {"model.ps.wieght": {"value": 1}}}, "no such setting; did you mean 'model.ps.weight'?"),
        ({"parameters": {"seed": {"values": ["a"]}}}, "seed=a: must be a whole number"),
        ({"parameters": {"seed": {"min": 3, "max": 3}}}, "parameters.seed: min=3 must be below max=3"),
        ({"parameters": {"model.ps.weight": {"min": "1e-4", "max": 1}}}, "write 1.0e-4"),
        ({"parameters": {"model": {"parameters": {"mask": {"value": "none"}}}}}, "write model.mask instead"),
        ({"parameters": {"seed": {"distribution": "normal", "min": 0, "max": 1}}}, "distribution=normal: no such one"),
        ({"early_terminate": {"type": "hyperband"}}, "early_terminate: must be like {type: hyperband, min_iter: 3"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "eta=1: must be a whole number above 1"),
        ({"method": "grid"}, "parameters.model.ps.weight: a grid needs value or values"),
        ({"command": GOOD["command"][:-1]}, "${args_no_hyphens} is missing"),
        ({"command": [*GOOD["command"], "${args_no_hyphen}"]}, "${args_no_hyphen} is not how our settings are said"),
        ({"command": ["python", "train.py", "${args}"]}, "command: must run our training"),
        ({"command": [word for word in GOOD["command"] if "interval" not in word]}, "set eval.interval_kimg"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_file(written, changes, message):
    path = written(**changes)
    with pytest.raises(ConfigError) as said:
        read_sweep(path)
    assert message in str(said.value)
    assert str(said.value).startswith(f"{path}: ")
    assert "\n" not in str(said.value)

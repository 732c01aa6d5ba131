"""``python -m wherewhat_pl VERB key=value ...``: one verb a user would say each; mistakes end in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from wherewhat_pl.config import load_config, to_yaml
from wherewhat_pl.errors import ConfigError, nearest, suggestion


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit: 0 done, 1 failed, 2 a mistake in what was asked, 128 + n after signal n."""
    verbs: dict[str, tuple[Callable[[list[str]], int], str]] = {
        "train": (train, "train, or continue, an experiment: exp=NAME [key=value ...]"),
        "data": (data, "verify and prepare a data set, or say where to get it: name=celeba [root=FOLDER]"),
        "eval": (evaluate, "measure a run: run=FOLDER [metrics=tpl_small,fvm,...]"),
        "select": (select, "rank runs by TPL, without labels: runs='runs/shapes3d/*'"),
        "report": (report, "write a run's report.html: run=FOLDER"),
        "bench": (bench, "measure speed, as ratios from one run: [only=NAME,...]"),
    }
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(__doc__.strip(), *(f"\n  {verb:<8}{text}" for verb, (_, text) in verbs.items()), sep="\n")
        raise SystemExit(0 if given else 2)
    verb, *rest = given
    if verb not in verbs:
        raise SystemExit(_fail(f"'{verb}': no such verb{suggestion(verb, list(verbs))}", 2))
    raise SystemExit(verbs[verb][0](rest))


def train(arguments: list[str]) -> int:
    """``train exp=NAME key=value ... [--dry-run] [--print-config]``."""
    parser = argparse.ArgumentParser(
        prog="python -m wherewhat_pl train", description="train, or continue, an experiment"
    )
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="exp=NAME first, then any setting, e.g. model.ps.weight=0.1"
    )
    parser.add_argument("--print-config", action="store_true", help="print the resolved settings and stop")
    parser.add_argument("--dry-run", action="store_true", help="build everything, print sizes and costs, and stop")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        return _fail(
            f"'{unknown[0]}': no such option{nearest(unknown[0], ['--print-config', '--dry-run', '--help'])}", 2
        )
    experiment, overrides = _take(options.settings, "exp")
    try:
        if experiment is None:
            raise ConfigError("exp=NAME is missing, e.g. exp=shapes3d_quick")
        config = load_config(experiment, overrides)
    except ConfigError as error:
        return _fail(str(error), 2)
    if options.print_config:
        print(to_yaml(config), end="")
        return 0
    return _guarded(lambda: _dry_run_or_train(config, overrides, options.dry_run))


def _dry_run_or_train(config: object, overrides: list[str], dry_run: bool) -> int:
    from wherewhat_pl.settings import ExperimentConfig

    assert isinstance(config, ExperimentConfig)
    if dry_run:
        from wherewhat_pl.launch.dry_run import describe

        print(describe(config))
        return 0
    from wherewhat_pl.train import train as run_training

    return run_training(config, overrides)


def data(arguments: list[str]) -> int:
    """``data name=NAME [root=FOLDER] [resolution=PIXELS] [cache=FOLDER]``; NAME is an experiment's."""
    name, rest = _take(arguments, "name")
    settings = []
    try:
        if name is None:
            raise ConfigError("name=NAME is missing, e.g. name=celeba")
        for text in rest:
            key = text.partition("=")[0]
            if key not in ("root", "resolution", "cache"):
                raise ConfigError(f"'{text}': data takes name=NAME, root=FOLDER, resolution=PIXELS and cache=FOLDER")
            settings.append(f"data.{text}")
        config = load_config(name, settings)
    except ConfigError as error:
        return _fail(str(error), 2)

    def check() -> int:
        from wherewhat_pl.launch.data_check import check_data

        return check_data(config)

    return _guarded(check)


def evaluate(arguments: list[str]) -> int:
    """``eval run=FOLDER [metrics=NAME,...] [key=value ...]``."""
    from wherewhat_pl.analysis import commands

    return _guarded(lambda: commands.run_eval(arguments))


def select(arguments: list[str]) -> int:
    """``select runs=PATTERN,... [tpl=NAME] [out=FOLDER] [key=value ...]``."""
    from wherewhat_pl.analysis import commands

    return _guarded(lambda: commands.run_select(arguments))


def report(arguments: list[str]) -> int:
    """``report run=FOLDER [compute=false] [key=value ...]``."""
    from wherewhat_pl.analysis import commands

    return _guarded(lambda: commands.run_report(arguments))


def bench(arguments: list[str]) -> int:
    """``bench [only=NAME,...]``."""
    only, rest = _take(arguments, "only")
    if rest:
        return _fail(f"'{rest[0]}': bench takes only=NAME,...", 2)
    from wherewhat_pl.bench.method import run_benchmarks

    return _guarded(lambda: run_benchmarks(only.split(",") if only else None))


def _take(settings: list[str], key: str) -> tuple[str | None, list[str]]:
    """The value of ``key=...`` and the other settings; empty words (from make) are dropped."""
    value, others = None, []
    for text in settings:
        if text.startswith(f"{key}="):
            value = text.removeprefix(f"{key}=")
        elif text:
            others.append(text)
    return value, others


def _guarded(work: Callable[[], int]) -> int:
    """Turn what a user or a machine did wrong into one line; what the program did wrong keeps its traceback."""
    from data_modules.errors import DataError
    from wherewhat_pl.errors import CheckpointError, NonFiniteError

    try:
        return work()
    except (ConfigError, DataError, CheckpointError) as error:
        return _fail(str(error), 2)
    except NonFiniteError as error:
        return _fail(
            f"{error}; the last good checkpoint is kept (a lower model.optimizer.learning_rate may help)",
            1,
        )
    except OSError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped; the last checkpoint is kept", 130)


def _fail(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status

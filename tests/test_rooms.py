"""The house: arrows point one way, there is no circle, and metrics can be lifted out."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Rooms from the lowest to the highest: a file may import its own room and those above it in this list.
ORDER = (
    "data_modules",
    "wherewhat_pl.bounds",
    "wherewhat_pl.errors",
    "wherewhat_pl.metrics",
    "wherewhat_pl.networks",
    "wherewhat_pl.losses",
    "wherewhat_pl.signals",
    "wherewhat_pl.distributed",
    "wherewhat_pl.augment",
    "wherewhat_pl.instance_noise",
    "wherewhat_pl.plugins",
    "wherewhat_pl.memory",
    "wherewhat_pl.recorded",
    "wherewhat_pl.settings",
    "wherewhat_pl.schema",
    "wherewhat_pl.config",
    "wherewhat_pl.model",
    "wherewhat_pl.system",
    "wherewhat_pl.run",
    "wherewhat_pl.interop",
    "wherewhat_pl.pictures",
    "wherewhat_pl.evaluation",
    "wherewhat_pl.analysis",
    "wherewhat_pl.explorer",
    "wherewhat_pl.report",
    "wherewhat_pl.callbacks",
    "wherewhat_pl.train",
    "wherewhat_pl.launch",
    "wherewhat_pl.bench",
    "wherewhat_pl.commands",
    "wherewhat_pl.cli",
    "wherewhat_pl.__main__",
)

#: Where the project's own files may be imported inside a function: to keep a command quick.
LAZY = ("wherewhat_pl.commands", "wherewhat_pl.networks.module_lists")


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = sorted([*ROOT.glob("wherewhat_pl/**/*.py"), *ROOT.glob("data_modules/**/*.py")])
NAMES = {name_of(path) for path in FILES} - {"wherewhat_pl"}


@pytest.fixture(scope="module")
def modules():
    """The syntax tree of every file, by the file's dotted name."""
    return {name: ast.parse(path.read_text()) for path in FILES if (name := name_of(path)) in NAMES}


def own(node):
    """The project's modules that an import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [name if name in NAMES else node.module for name in names]
    else:
        return []
    return [name for name in names if name.split(".")[0] in ("wherewhat_pl", "data_modules") and name != "wherewhat_pl"]


def room(name):
    return next(k for k, prefix in enumerate(ORDER) if name == prefix or name.startswith(f"{prefix}."))


def for_types_only(tree):
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    return {id(node) for block in blocks for node in ast.walk(block)}


@pytest.fixture(scope="module")
def arrows(modules):
    found = set()
    for name, tree in modules.items():
        skipped = for_types_only(tree)
        found |= {(name, target) for node in ast.walk(tree) if id(node) not in skipped for target in own(node)}
    return found


def test_no_file_imports_from_a_higher_room(arrows):
    wrong = [f"{name} -> {target}" for name, target in arrows if room(target) > room(name)]
    assert not wrong


def test_files_import_each_other_in_no_circle(arrows):
    graph = {}
    for name, target in arrows:
        if target != name:
            graph.setdefault(name, set()).add(target)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_metrics_import_nothing_of_the_rest(arrows):
    outside = [f"{n} -> {t}" for n, t in arrows if n.startswith("wherewhat_pl.metrics") and "metrics" not in t]
    assert not outside


def test_own_files_are_imported_inside_functions_only_to_keep_a_command_quick(modules):
    hidden = []
    for name, tree in modules.items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        imports = {target for function in functions for node in ast.walk(function) for target in own(node)}
        if imports and not name.startswith(LAZY):
            hidden.append(f"{name}: {', '.join(sorted(imports))}")
    assert not hidden

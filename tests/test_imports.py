"""Imports inside the package point one way: from what knows more to what knows less."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent

# A module may import those of the lines above its own.
LEVELS = (
    ("arena",),  # of numpy alone: the compiled kernels import it
    ("_core",),
    ("names",),
    ("data", "kernels", "reference", "threads"),
    ("initializers",),
    ("layer",),
    ("activations",),
    ("layers", "losses", "optimizers"),
    ("plan",),
    ("inference", "selfcheck"),
    ("callbacks", "history", "progress"),
    ("training",),
    ("model",),
    ("many",),
    ("config", "datasets"),
    ("demo",),
    ("__init__",),
    ("__main__",),
)
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}
LEAVES = ("callbacks", "history", "progress")  # a fit reports to these: they know nothing of how it trains
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def nodes_at_run_time(node):
    """All nodes of a module but those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not is_type_checking(child):
            yield from nodes_at_run_time(child)


def imports(module):
    """Pairs (module of this package, name that is imported from it or None)."""
    for node in nodes_at_run_time(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "fastnn":
                    yield [*alias.name.split("."), "__init__"][1], None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            package, *rest = (node.module or "").split(".")
            if package == "fastnn" and rest:
                yield from ((rest[0], alias.name) for alias in node.names)
            elif package == "fastnn":
                for alias in node.names:
                    yield (alias.name if alias.name in LEVEL else "__init__"), alias.name


def test_every_module_has_its_level():
    assert set(MODULES) == set(LEVEL) - {"_core"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_to_lower_levels(module):
    for imported, name in imports(module):
        if (imported, name) != ("__init__", "__version__"):
            assert LEVEL[imported] < LEVEL[module], f"fastnn.{module} imports fastnn.{imported}"


@pytest.mark.parametrize("module", LEAVES)
def test_leaves_know_only_arrays(module):
    assert {imported for imported, _ in imports(module)} <= {"arena", "names"}


def test_a_plan_knows_no_layer():
    """It is given a step function."""
    assert not {imported for imported, _ in imports("plan") if LEVEL[imported] >= LEVEL["layer"]}


@pytest.mark.parametrize("module", ["layer", "layers", "activations", "losses", "optimizers"])
def test_layers_losses_and_optimizers_know_no_plan_and_no_tape(module):
    """They are given a tape, or None, and pass it on."""
    assert not {imported for imported, _ in imports(module)} & {"plan", "model", "_core"}


# What costs time to import and most programs do not need, or need only later
UNNEEDED = (
    "numpy.random", "inspect", "dataclasses", "difflib", "importlib.resources", "importlib.metadata", "tempfile",
    "shutil", "subprocess", "logging", "threading", "random", "secrets", "hashlib", "multiprocessing", "concurrent",
    "argparse", "unittest", "urllib", "tqdm", "matplotlib", "pandas", "polars", "sklearn", "scipy", "fastnn.config",
    "fastnn.datasets", "fastnn.demo", "fastnn.reference",
)  # fmt: skip


def test_importing_loads_nothing_unneeded_in_a_subprocess():
    """Beyond what NumPy loads."""
    show = "import sys, numpy; before = {*sys.modules}; import fastnn; print(*sorted({*sys.modules} - before))"
    loaded = subprocess.run([sys.executable, "-c", show], text=True, capture_output=True, check=True).stdout.split()
    assert "fastnn.model" in loaded
    assert not [module for module in loaded if module.startswith(UNNEEDED)]


def test_what_is_imported_later_is_there_all_the_same_in_a_subprocess():
    show = (
        "import fastnn; assert {*fastnn.__all__} <= {*dir(fastnn)}; print(fastnn.datasets.load_exam_scores()[0].shape, "
        "fastnn.reference.relu_forward.__name__, fastnn.show_config.__name__); from fastnn import *; print(datasets)"
    )
    output = subprocess.run([sys.executable, "-c", show], text=True, capture_output=True, check=True).stdout
    assert output.startswith("(25, 3) relu_forward show_config\n<module 'fastnn.datasets'")
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute 'Nothing'"):
        fastnn.Nothing  # noqa: B018

"""Imports inside the package point one way: from what knows more to what knows less."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import fastnn

pytestmark = pytest.mark.once

PACKAGE = Path(fastnn.__file__).parent

# A module may import those of the lines above its own; a package stands for all modules in it.
LEVELS = (
    ("arena", "interrupts", "markup", "per_class", "recent"),  # of numpy alone, or less
    ("_core",),
    ("words",),
    ("checks",),
    ("drawing", "values"),
    ("tables",),
    ("arrays", "signatures"),
    ("digits",),
    ("schedules",),
    ("kernels", "threads", "settings"),
    ("reference", "settable", "metrics"),
    ("initializers",),
    ("layers",),
    ("losses", "optimizers", "penalties", "constraints"),
    ("inference", "callbacks", "feeds", "splits"),
    ("training",),
    ("inspection",),
    ("network",),
    ("predictions",),
    ("online",),
    ("model",),
    ("quantization",),
    ("first_weights", "formats", "many", "plots", "range_test", "river"),
    ("folds", "sklearn"),
    ("config", "datasets"),
    ("demo",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
LEAVES = ("callbacks.contract", "training.history", "training.progress")  # they know nothing of how a fit trains
FILES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES = [module for module in FILES if module != "_core"]
PARTS = [module for module in MODULES if module.partition(".")[0] in ("layers", "losses", "optimizers")]
# Where a layer that runs alone asks for what a model asks for, and a model for what writes it or makes another of it
LATE = {
    *(("layers.contract", f"layers.{module}") for module in ("chain", "eager", "tree")),
    ("network", "formats"),
    ("model", "quantization"),
}


def test_contributing_names_the_order():
    text = " ".join((Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    order = " <- ".join(", ".join(names) for names in LEVELS[:-3])
    assert f"Imports point one way: `{order}`;" in text


def test_every_package_is_installed():
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^packages = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)[1]
    folders = {path.parent.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("__init__.py")}
    assert set(re.findall(r'"([\w.]+)"', listed)) == {folder.replace("/", ".") for folder in folders}


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def nodes_at_run_time(node):
    """All nodes of a module but those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not is_type_checking(child):
            yield from nodes_at_run_time(child)


def module_of(dotted):
    """The module that a dotted name below this package means: that of the name itself, or the one that holds it."""
    while dotted not in FILES and "." in dotted and dotted.partition(".")[0] != "_core":
        dotted = dotted.rpartition(".")[0]
    return dotted


@cache
def imports(module):
    """Pairs (module of this package, name that is imported from it or None)."""
    return tuple(_imports(module))


def _imports(module):
    for node in nodes_at_run_time(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                if package == "fastnn":
                    yield module_of(rest or "__init__"), None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            package, _, rest = (node.module or "").partition(".")
            if package == "fastnn":
                for alias in node.names:
                    if rest:
                        yield module_of(f"{rest}.{alias.name}"), alias.name
                    else:
                        yield (alias.name if alias.name in LEVEL else "__init__"), alias.name


def level_of(module):
    return LEVEL[module.partition(".")[0]]


@cache
def imports_inside(module):
    """The modules of its own package that a module imports."""
    package = module.partition(".")[0]
    return {name for name, _ in imports(module) if "." in name and name.partition(".")[0] == package}


def test_every_module_has_its_level():
    assert {module.partition(".")[0] for module in FILES} == set(LEVEL)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_to_lower_levels(module):
    for imported, name in imports(module):
        if (imported, name) == ("__init__", "__version__") or imported in imports_inside(module):
            continue
        if (module, imported) in LATE:
            continue
        assert level_of(imported) < level_of(module), f"fastnn.{module} imports fastnn.{imported}"


def test_imports_inside_a_package_make_no_circle():
    """Each module stands behind those that it imports in some order."""
    waiting = {
        module: {name for name in imports_inside(module) if (module, name) not in LATE}
        for module in MODULES
        if "." in module
    }
    while waiting:
        ready = {module for module, names in waiting.items() if not names & waiting.keys()}
        assert ready, f"in a circle: {', '.join(waiting)}"
        waiting = {module: names for module, names in waiting.items() if module not in ready}


def test_late_imports_are_still_there():
    assert {(module, name) for module, name in LATE if name in {imported for imported, _ in imports(module)}} == LATE


@pytest.mark.parametrize("module", LEAVES)
def test_leaves_know_only_arrays(module):
    known = {"arena", "arrays", "checks", "drawing", "markup", "metrics", "settings", "signatures", "training.curves"}
    assert {imported for imported, _ in imports(module)} <= known


def test_a_plan_knows_no_layer():
    """It is given a step function."""
    assert not {imported for imported, _ in imports("training.plan") if level_of(imported) >= LEVEL["layers"]}


@pytest.mark.parametrize("module", PARTS)
def test_layers_losses_and_optimizers_know_no_plan_and_no_tape(module):
    """They are given a tape, or None, and pass it on."""
    known = {imported.partition(".")[0] for imported, _ in imports(module)}
    assert not known & {"training", "inference", "model", "_core"}


# What costs time to import and most programs do not need, or need only later
UNNEEDED = (
    "numpy.random", "inspect", "dataclasses", "difflib", "importlib.resources", "importlib.metadata", "tempfile",
    "shutil", "subprocess", "logging", "threading", "random", "secrets", "hashlib", "multiprocessing", "concurrent",
    "argparse", "unittest", "urllib", "tqdm", "matplotlib", "pandas", "polars", "sklearn", "scipy", "fastnn.config",
    "fastnn.datasets", "fastnn.demo", "fastnn.formats", "fastnn.reference",
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


def test_c_is_written_in_lines_of_at_most_120_characters():
    """No linter of ours reads C: `ruff` and `cython-lint` hold all else to this."""
    found = []
    for path in (*(PACKAGE.parent / "src").rglob("*.[ch]"), *PACKAGE.rglob("*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if len(line) > 120 or line != line.rstrip() or "\t" in line:
                found.append(f"{path.relative_to(PACKAGE.parent)}:{number}")
    assert not found

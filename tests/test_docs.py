"""What the documentation shows works: examples in docstrings, and the Python code of the pages."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("*.md"))


def modules():
    """All modules of the package, also compiled ones, but those for the other instruction sets."""
    for found in pkgutil.walk_packages(fastnn.__path__, "fastnn."):
        _, _, isa = found.name.partition("64_") if "64_" in found.name else found.name.partition("32_")
        if isa in ("", fastnn.kernels.selected):
            yield importlib.import_module(found.name)


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in (fastnn, *modules()):
        for test in finder.find(module, module.__name__):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_examples_of_docstrings(test):
    written = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=written.append, clear_globs=False)
    assert not failed, "".join(written)


def test_examples_are_found_also_in_compiled_modules():
    names = {parameter.id for parameter in examples()}
    assert {"fastnn._core.tape.Tape", "fastnn.layers.Dense", "fastnn.model.Model", "fastnn.reference.MLP"} <= names


def code_blocks(text):
    """The Python code of a page, each block behind as many empty lines as it has lines above: errors name the line."""
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield "\n" * text.count("\n", 0, match.start(1)) + match[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_pages_runs(page, tmp_path, monkeypatch):
    """In order, in one namespace per page, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace = {"__name__": page.stem}
    for block in code_blocks(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), namespace)


def test_code_is_found():
    text = "# Title\n\n```python\na = 1\n```\n\n```sh\nls\n```\n\n```python\nb = a\n```\n"
    assert [block.strip() for block in code_blocks(text)] == ["a = 1", "b = a"]
    assert [block.index("=") for block in code_blocks(text)] == [5, 13]

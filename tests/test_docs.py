"""What the documentation shows works: examples in docstrings, and the Python code of the pages."""

import doctest
import importlib
import io
import pkgutil
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import fastnn

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
ALL_PAGES = sorted([*PAGES, *ROOT.glob("examples/*.md"), *ROOT.glob("benchmarks/*.md")])
OWN_TEXTS = ("*.md", "*.py", "*.pyi", "*.pyx", "*.pxi", "*.pxd", "*.toml", "run")
OWN_FOLDERS = (".", ".ci", "fastnn", "src", "tests", "examples", "benchmarks", "docs")
# PyPI's fastnn is another project's: the distribution is called fastnn-numpy, and a clone is installed as "."
INSTALLS_ANOTHER = re.compile(r"""\b(?:install|add)\b[^`&;#\n]*?[\s"']fastnn(?![\w.-])""")


def modules():
    """All modules of the package, also compiled ones, but those for the other instruction sets."""
    for found in pkgutil.walk_packages(fastnn.__path__, "fastnn."):
        _, _, isa = found.name.partition("64_") if "64_" in found.name else found.name.partition("32_")
        is_there = found.name != "fastnn.river" or find_spec("river")  # which is there from Python 3.11 on
        if isa in ("", fastnn.kernels._INSTRUCTION_SETS[fastnn.kernels.selected]) and is_there:
            yield importlib.import_module(found.name)


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in (fastnn, *modules()):
        for test in finder.find(module, module.__name__):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_examples_of_docstrings(test, tmp_path, monkeypatch):
    """In an empty folder."""
    monkeypatch.chdir(tmp_path)
    written = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=written.append, clear_globs=False)
    assert not failed, "".join(written)


def test_examples_are_found_also_in_compiled_modules():
    names = {parameter.id for parameter in examples()}
    assert {"fastnn._core.tape.Tape", "fastnn.layers.dense.Dense", "fastnn.model.Model"} <= names


def code_blocks(text):
    """The Python code of a page, each block behind as many empty lines as it has lines above: errors name the line."""
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield "\n" * text.count("\n", 0, match.start(1)) + match[1]


def promised(text):
    """What lines of the form ``print(...)  # shown`` show, by the number of the line."""
    lines = ((at, line) for block in code_blocks(text) for at, line in enumerate(block.splitlines(), 1))
    return {at: match[1] for at, line in lines if (match := re.match(r"\s*print\(.*\)  # (.*)$", line))}


def run_page(text, name):
    """Run the code in order, in one namespace; return what each line printed, by the number of the line."""
    printed = {}

    def record(*arguments, **options):
        stream = io.StringIO()
        print(*arguments, **{**options, "file": stream})
        at = sys._getframe(1).f_lineno
        printed[at] = printed.get(at, "") + stream.getvalue()

    namespace = {"__name__": name, "print": record}
    for block in code_blocks(text):
        exec(compile(block, name, "exec"), namespace)
    return printed


def wrong_promises(text, printed):
    """The lines that print something else than they show, where ``...`` stands for any text."""
    matches = doctest.OutputChecker().check_output
    return {
        at: (shown, printed.get(at))
        for at, shown in promised(text).items()
        if not matches(shown + "\n", printed.get(at, ""), doctest.ELLIPSIS)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_pages_runs_and_prints_what_it_shows(page, tmp_path, monkeypatch):
    """In an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    text = page.read_text(encoding="utf-8")
    assert not wrong_promises(text, run_page(text, page.stem))


def test_a_page_that_prints_something_else_is_found():
    text = "```python\nprint(1 / 3)  # 0.333...\nprint(2)  # 3\nx = 1  # 7\n```\n\nprint(3)  # 4\n"
    assert promised(text) == {2: "0.333...", 3: "3"}
    assert wrong_promises(text, run_page(text, "page")) == {3: ("3", "2\n")}


def anchors(page):
    """What a link may name behind "#": the titles of a page, as GitHub writes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if not path.startswith("http"):
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    """Paths below the folders of the project, in code or in brackets."""
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"(?<![\w./])((?:src|fastnn|tests|examples|benchmarks|docs)/[\w./*-]*\w)", text):
        assert path == "benchmarks/results" or [*ROOT.glob(path)], path


def test_every_page_can_be_found_from_the_readme():
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        links = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
        targets = [(page.parent / link / ("README.md" if link.endswith("/") else "")).resolve() for link in links]
        waiting += [target for target in targets if target.suffix == ".md" and target not in found and target.exists()]
    assert set(PAGES) - found <= {ROOT / "CHANGELOG.md"}


def test_the_readme_leads_each_role_to_its_page_within_one_screen():
    screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40]
    for example in ("tables", "xor", "actor_critic", "deployment"):
        assert any(f"examples/{example}.py" in line for line in screen), example


def texts():
    """The texts of the project that people read and run."""
    for folder in OWN_FOLDERS:
        for pattern in OWN_TEXTS:
            paths = (ROOT / folder).glob(pattern) if folder == "." else (ROOT / folder).rglob(pattern)
            yield from (path for path in paths if path.is_file() and "build" not in path.relative_to(ROOT).parts[:1])


def test_no_text_installs_the_package_of_another_project():
    for path in texts():
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [line for line in lines if INSTALLS_ANOTHER.search(line) and "uninstall" not in line]
        assert path == Path(__file__) or not found, f"{path}: {found}"


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("pip install fastnn", True),
        ('pip install "fastnn[plot]"', True),
        ("pip install --upgrade 'fastnn'", True),
        ("uv add fastnn", True),
        ("python -m pip install numpy fastnn", True),
        ("pip install fastnn-numpy", False),
        ('pip install ".[plot]"', False),
        ("pip install . && fastnn demo", False),
        ("pip install matplotlib", False),
    ],
)
def test_advice_to_install_is_found(text, is_found):
    assert bool(INSTALLS_ANOTHER.search(text)) == is_found


def test_the_distribution_has_a_name_of_its_own():
    name = re.search(r'^name = "(.*?)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert name == "fastnn-numpy"
    assert f"`{name}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_kernel_that_is_shown_is_that_of_the_core():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```cython\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(shown) == 1
    assert shown[0].strip() in (ROOT / "src" / "kernels" / "activations.pxi").read_text(encoding="utf-8")


def test_the_quickstart_shows_what_it_prints():
    assert promised((ROOT / "README.md").read_text(encoding="utf-8"))


def test_code_is_found():
    text = "# Title\n\n```python\na = 1\n```\n\n```sh\nls\n```\n\n```python\nb = a\n```\n"
    assert [block.strip() for block in code_blocks(text)] == ["a = 1", "b = a"]
    assert [block.index("=") for block in code_blocks(text)] == [5, 13]

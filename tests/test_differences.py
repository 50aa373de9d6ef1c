"""docs/differences.md says what is so: every cell has a check, which runs where that library is installed."""

import re
import warnings
from pathlib import Path
from typing import Any

import differences_optimizers
import differences_parts
import differences_training
import numpy as np
import pytest
from peers import FASTNN, KERAS, Check, Near

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[1] / "docs" / "differences.md"
ROWS = {
    name.replace("_", "-"): function
    for module in (differences_parts, differences_optimizers, differences_training)
    for name, function in vars(module).items()
    if getattr(function, "__module__", "") == module.__name__
    and getattr(function, "__annotations__", {}).get("return") == Check
}
CHECKS = {(name, library): (given, expected) for name, row in ROWS.items() for library, given, expected in row()}


def cells() -> dict[tuple[str, str], str]:
    """What the tables of the page say, by row and library."""
    found: dict[tuple[str, str], str] = {}
    libraries: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| "):
            continue
        first, *others = (cell.strip() for cell in line.strip("|").split(" | "))
        name = re.match(r"`([a-z0-9-]+)`", first)
        if name is None:
            libraries = others
            continue
        for library, cell in zip(libraries, others, strict=True):
            assert (name[1], library) not in found, f"{name[1]} stands twice on the page"
            found[name[1], library] = cell
    return found


def check(given: Any, expected: Any, rtol: float) -> None:
    if isinstance(expected, Near):
        expected, rtol = expected.expected, expected.rtol
    if isinstance(expected, (list, tuple)) and not all(isinstance(part, (int, float)) for part in expected):
        assert len(given) == len(expected)
        for one, other in zip(given, expected, strict=True):
            check(one, other, rtol)
    elif isinstance(expected, (str, type, bool, type(None))):
        assert given == expected
    else:
        np.testing.assert_allclose(given, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("name", "library"), CHECKS)
def test_a_cell_is_true(name: str, library: str) -> None:
    given, expected = CHECKS[name, library]
    if library == FASTNN:
        check(given(), expected, 1e-12)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others warn of is not ours to say
        check(given(), expected, 1e-5 if library == KERAS else 1e-12)  # Keras computes most in float32


def test_every_cell_has_a_check_and_every_check_a_cell() -> None:
    said = {key for key, cell in cells().items() if cell != "—"}
    assert said == CHECKS.keys()


def test_every_row_says_something_of_fastnn() -> None:
    assert {name for name, library in CHECKS if library == FASTNN} == ROWS.keys()

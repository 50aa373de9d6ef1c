"""Every public part is documented, listed, and stands in the tables of the tests: this walks the public lists."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import nets
import parts
import pytest
import test_contract
import test_losses
import trajectories

from fastnn import BFloat16Dense, Int8Dense, PanelDense, losses

pytestmark = pytest.mark.once

TESTS_FOLDER = Path(__file__).parent
FORMULA = re.compile(r"= |\w\(t\) \* |[Ss]um of|[Mm]ean |[Cc]lip|formula")
SOURCE = re.compile(r"\(.*?\b(?:1[89]|20)\d\d\)|PyTorch|Keras|paper")


def all_parts() -> Iterator[tuple[str, object]]:
    for family in parts.FAMILIES:
        yield from family.parts().items()


PARTS = dict(all_parts())
each_part = pytest.mark.parametrize("name", PARTS)


def kinds_in(net_parts) -> set[type]:
    """The classes of some parts."""
    return {type(part) for part in net_parts}


def layers_of(makes) -> set[type]:
    """The classes of all layers of some nets."""
    return kinds_in(layer for make in makes for layer in test_contract.Model(make(), 0).build(nets.FEATURES)._tree.all)


def test_every_public_part_is_of_a_family():
    assert parts.public_parts().keys() - PARTS.keys() - parts.OTHERS == set()


def test_the_page_is_what_the_docstrings_say():
    assert parts.PAGE.read_text(encoding="utf-8") == parts.text(), "python tests/parts.py writes it"


@each_part
def test_a_part_says_its_formula_or_source_and_shows_an_example(name):
    document = inspect.getdoc(PARTS[name]) or ""
    assert document, f"{name} has no docstring"
    assert FORMULA.search(document) or SOURCE.search(document), f"{name}: neither a formula nor a source"
    assert "Examples\n--------" in document, f"{name}: no example"
    assert ">>>" in document.partition("Examples\n--------")[2], f"{name}: an example without code"


# Where the parts of a family are tested, each by its name
TESTS = {
    "Metrics": ["test_metrics.py"],
    "Optimizers": ["test_lbfgs.py"],
    "Averages of weights": ["test_averages.py"],
    "Groups, and transforms of gradients": ["test_groups.py"],
    "Penalties": ["test_restraints.py"],
    "Constraints": ["test_restraints.py"],
    "Schedules": ["test_schedules.py", "schedules_of_others.py"],
    "Callbacks": ["test_callbacks.py", "test_inspection.py", "test_more_callbacks.py"],
    "Changes of batches": ["test_feeds.py"],
    "Initializers": ["test_initializers.py", "test_layers.py"],
}


def in_tables() -> dict[str, set[object]]:
    """The parts that stand in the tables of the tests, of each family."""
    found: dict[str, set[object]] = {
        # the last two have no gradient, and tests of their own
        "Layers": layers_of(test_contract.LAYERS.values()) | {BFloat16Dense, Int8Dense, PanelDense},
        "Activations": {type(nets.layer_of(name)) for name in nets.ACTIVATIONS},
        "Losses": {*test_losses.LOSSES, losses.Heads, losses.Head},  # the last two have tests of their own there
        "Optimizers": kinds_in(rule.make() for rule in trajectories.RULES),
    }
    for family in parts.FAMILIES:
        texts = "".join((TESTS_FOLDER / name).read_text(encoding="utf-8") for name in TESTS.get(family.title, ()))
        named = {part for name, part in family.parts().items() if re.search(rf"\b{name}\b", texts)}
        found[family.title] = found.get(family.title, set()) | named
    return found


def test_every_part_stands_in_a_table_of_the_tests():
    """Layers and activations in nets whose gradients are tested, losses by values and gradients, optimizers along
    trajectories, and all others where they are compared with others or with their formulas.
    """
    known = in_tables()
    for family in parts.FAMILIES:
        left_out = [name for name, part in family.parts().items() if part not in known[family.title]]
        assert not left_out, f"{family.title}: no row in the tables of the tests for {', '.join(left_out)}"

"""All parts that nets and trainings are made of, and the page that lists them.

    python tests/parts.py

writes docs/parts.md from the docstrings; a test compares it, and looks at every part.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastnn
from fastnn import (
    callbacks,
    constraints,
    feeds,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    penalties,
    schedules,
)
from fastnn.layers import activations
from fastnn.settings import Part

PAGE = Path(__file__).parents[1] / "docs" / "parts.md"
HEAD = """\
# All parts

One line each: the beginning of the docstring, which has the rest (`help(fastnn.Adam)`), and the names by which a string
finds it. Names differ in neither case nor underscores, so `"LeakyReLU"` is `"leaky_relu"`. Written by tests/parts.py.
"""


@dataclass(frozen=True)
class Family:
    """The parts of one kind.

    Attributes
    ----------
    title : str
        In docs/parts.md.
    modules : tuple
        Whose public lists name them.
    holds : part -> bool
        Whether a part is one of them.
    by_name : mapping
        How strings find them.
    """

    title: str
    modules: tuple[Any, ...]
    holds: Callable[[Any], bool]
    by_name: Mapping[str, Any]

    def parts(self) -> dict[str, Any]:
        """All of them, by name."""
        found = {part.__name__: part for part in self.by_name.values() if hasattr(part, "__name__")}
        found |= {name: getattr(module, name) for module in self.modules for name in module.__all__}
        return {name: part for name, part in sorted(found.items()) if self.holds(part)}

    def names_of(self, part: Any) -> list[str]:
        """By which a string finds it."""
        return [name for name, found in self.by_name.items() if getattr(found, "func", found) is part]


def public_parts() -> dict[str, Any]:
    """All classes of parts that the package names, by name."""
    found = {name: getattr(fastnn, name) for name in fastnn.__all__}
    return {name: part for name, part in found.items() if isinstance(part, type) and issubclass(part, Part)}


# Of what people write themselves
OTHERS = {"Layer", "Loss", "Metric", "Optimizer", "Penalty", "Constraint", "Callback", "Split", "Augmentation"}


def derived_from(base: type, *others: type) -> Callable[[Any], bool]:
    """Whether a part is a class that derives from one, and from none of some others."""
    return lambda part: (
        isinstance(part, type) and issubclass(part, base) and part is not base and not issubclass(part, others)
    )


FAMILIES = (
    Family(
        "Layers",
        (fastnn, layers),
        derived_from(layers.Layer, layers.Activation),
        {},
    ),
    Family("Activations", (layers,), derived_from(layers.Activation), activations.BY_NAME),
    Family(
        "Losses",
        (losses,),
        lambda part: part is losses.Head or derived_from(losses.Loss)(part),
        losses._BY_NAME,
    ),
    Family("Metrics", (metrics,), derived_from(metrics.Metric), metrics._BY_NAME),
    Family("Optimizers", (optimizers,), derived_from(optimizers.Optimizer), optimizers._BY_NAME),
    Family("Averages of weights", (optimizers,), derived_from(optimizers.Average), {}),
    Family(
        "Groups, and transforms of gradients",
        (optimizers,),
        lambda part: part is optimizers.Group or derived_from(optimizers.Transform)(part),
        {},
    ),
    Family("Penalties", (fastnn,), derived_from(penalties.Penalty), penalties._BY_NAME),
    Family("Constraints", (fastnn,), derived_from(constraints.Constraint), constraints._BY_NAME),
    Family("Schedules", (schedules,), derived_from(schedules.Schedule), schedules._BY_NAME),
    Family("Callbacks", (callbacks,), derived_from(callbacks.Callback), {}),
    Family("Changes of batches", (feeds,), derived_from(feeds.Augmentation), {}),
    Family("Initializers", (), callable, initializers.BY_NAME),
)


def summary(part: Any) -> str:
    """The first paragraph of the docstring, in one line."""
    first = (inspect.getdoc(part) or "").partition("\n\n")[0]
    return " ".join(first.split()).replace("|", r"\|")


def rows(family: Family) -> Iterable[str]:
    for name, part in family.parts().items():
        names = ", ".join(f'`"{other}"`' for other in family.names_of(part))
        yield f"| `{name}` | {summary(part)} | {names} |"


def text() -> str:
    """The page."""
    found = [HEAD]
    for family in FAMILIES:
        found += ["", f"## {family.title}", "", "| part | what it is | names |", "|---|---|---|", *rows(family)]
    return "\n".join(found) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

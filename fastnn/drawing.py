"""What pictures have in common: axes to draw in, and colours that can be told apart in grey and by the colour-blind.

Nothing global is changed: what is drawn into axes of a user's keeps their style.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import Any

from fastnn.checks import shown

# Okabe & Ito 2008, in an order in which neighbours differ in lightness, too
COLORS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#000000", "#CC79A7", "#A0A000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#808080"
SEQUENTIAL = "Blues"  # matplotlib's colour maps: lightness alone says how much
DIVERGING = "PuOr"
POINTS = 4000  # that a picture shows of many rows
BEST = {"loc": "best"}  # of a legend: said, since where it is a default a loaded machine makes matplotlib warn of it
_LONGEST = 28  # letters of a name beside an axis


def color(i: int) -> str:
    """Return the i-th colour; they begin anew behind the last."""
    return COLORS[i % len(COLORS)]


def axes(who: str, ax: Any, size: tuple[float, float] = (6.4, 4.0)) -> Any:
    """Return the axes to draw in: those that are given, or of a new figure of that size, in inches.

    Raises
    ------
    ImportError
        Without matplotlib, with what installs it.
    TypeError
        For what is no axes, as an array of them is none.
    """
    try:
        from matplotlib import axes as of_matplotlib
        from matplotlib import pyplot
    except ImportError:
        raise ImportError(f'{who} needs matplotlib: pip install matplotlib, or the extra "plot"') from None
    if ax is not None:
        if not isinstance(ax, of_matplotlib.Axes):
            raise TypeError(
                f"{who}: ax is {shown(ax)}, expected one axes of matplotlib, or None for a new figure: of several that "
                "subplots gives, pass one, as axes.flat[0]"
            )
        return ax
    return pyplot.subplots(figsize=size, layout="constrained")[1]


def panels(ax: Any, n: int, heights: Sequence[float] | None = None) -> list[Any]:
    """Return n axes above each other in the place of one, which is the first; they share its x."""
    if n == 1:
        return [ax]
    spec = ax.get_subplotspec()
    if spec is None:  # axes that stand anywhere in their figure
        left, bottom, width, height = ax.get_position().bounds
        part = height / n
        ax.set_position((left, bottom + (n - 1) * part, width, 0.8 * part))
        others = [ax.figure.add_axes((left, bottom + i * part, width, 0.8 * part), sharex=ax) for i in range(n - 1)]
        others = others[::-1]
    else:
        grid = spec.subgridspec(n, 1, height_ratios=heights)
        ax.set_subplotspec(grid[0])
        others = [ax.figure.add_subplot(grid[i], sharex=ax) for i in range(1, n)]
    found = [ax, *others]
    for own in found[:-1]:
        own.tick_params(labelbottom=False)
        own.set_xlabel("")
    return found


def say_nothing(ax: Any, what: str = "nothing finite to draw") -> None:
    """Write into axes why they are empty."""
    ax.text(0.5, 0.5, what, transform=ax.transAxes, ha="center", va="center", color=GREY)


def whole_decades(ax: Any, low: float, high: float) -> None:
    """Let the x axis be logarithmic, from one power of ten to another: between them, numbers have no room."""
    from matplotlib.ticker import NullFormatter

    ax.set_xscale("log")
    ax.set_xlim(10 ** floor(low - 0.05), 10 ** ceil(high + 0.05))
    ax.xaxis.set_minor_formatter(NullFormatter())


def whole_numbers(axis: Any) -> None:
    """Let an axis have ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def cut(text: object, longest: int = _LONGEST) -> str:
    """Return a name that is short enough to stand beside an axis, with both of its ends.

    It stands there as it is: matplotlib would read what is between two dollars as a formula, and leave what begins with
    an underscore out of legends.
    """
    name = str(text)
    end = longest // 3
    name = name if len(name) <= longest else f"{name[: longest - 1 - end]}…{name[-end:]}"
    return f"{' ' * name.startswith('_')}{name}".replace("$", r"\$")


def spans_decades(values: Sequence[float]) -> bool:
    """Whether numbers are above 0 and the largest is a hundred times the least."""
    return bool(values) and min(values) > 0 and max(values) >= 100 * min(values)

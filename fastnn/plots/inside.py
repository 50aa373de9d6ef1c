"""What goes through a net, and what it holds: how numbers are spread, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.drawing import GREY, axes, color, cut, say_nothing, whole_decades
from fastnn.inspection.findings import rms, saturated
from fastnn.inspection.lines import Line
from fastnn.inspection.probe import Probe
from fastnn.losses import Loss
from fastnn.model import Model
from fastnn.plots.data import require_built, require_net

_MOST = 100_000  # numbers that quantiles are taken of
_ROW, _MOST_HEIGHT = 0.32, 24.0  # inches of a layer in a figure, and of the whole
_LONGEST = 34  # letters of a layer


def _spread(who: str, rows: Sequence[tuple[str, Array, str]], ax: Any, title: str) -> Any:
    """Draw a row for each array: its range, 1 to 99 %, 25 to 75 % and the median, with a note at the right."""
    height = min(_MOST_HEIGHT, 1.0 + _ROW * max(2, len(rows)))
    ax = axes(who, ax, (7.2, height))
    thick = 7 if len(rows) <= 40 else 3
    notes = []
    for i, (name, array, note) in enumerate(rows):
        values = array.reshape(-1)
        step = max(1, len(values) // _MOST)
        values = values[::step]
        is_finite = np.isfinite(values)
        lost = "" if is_finite.all() else f"{(~is_finite).mean():.0%} not finite"
        notes.append((name, ", ".join(filter(None, (note, lost)))))
        values = values[is_finite].astype(np.float64)
        if not len(values):
            continue
        low, first, quarter, median, third, last, high = np.quantile(values, (0, 0.01, 0.25, 0.5, 0.75, 0.99, 1))
        ax.plot([low, high], [i, i], ":", color=GREY, linewidth=1)
        ax.plot([first, last], [i, i], color=color(0), linewidth=2, solid_capstyle="butt")
        ax.plot([quarter, third], [i, i], color=color(0), linewidth=thick, alpha=0.6, solid_capstyle="butt")
        ax.plot([median], [i], "|", color="black", markersize=10, markeredgewidth=1.5)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    _label(ax, notes)
    ax.set_xlabel(f"{title}: median, middle half, 1 to 99 %, range")
    return ax


def _label(ax: Any, names: Sequence[tuple[str, str]]) -> None:
    """Write what the rows are at the left, and notes at the right; the first stands on top."""
    size = 9 if len(names) <= 40 else 6
    ax.set_yticks(range(len(names)), [cut(name, _LONGEST) for name, _ in names], fontsize=size)
    ax.set_ylim(len(names) - 0.4, -0.6)
    for i, (_, note) in enumerate(names):
        if note:
            ax.annotate(
                note, (1, i), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                fontsize=size - 1, annotation_clip=False,
            )  # fmt: skip


def plot_weights(net: Model, ax: Any = None) -> Any:
    """Draw how the numbers of each array of parameters are spread: quantiles, and at the right their shape.

    Arrays of more than 100,000 numbers are sampled evenly.

    Parameters
    ----------
    net : Model
    ax : matplotlib axes or None

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> from fastnn import Dense, Model
    >>> from fastnn.plots import plot_weights
    >>> ax = plot_weights(Model([Dense(8, "tanh"), Dense(1)], seed=0).build(3))
    """
    who = "plot_weights"
    model = require_built(who, net)
    rows = []
    for entry in model._tree.entries():
        array = entry.layer.parameters[entry.name.rpartition(".")[2]]
        frozen = "" if entry.trains else ", frozen"
        name = f"{entry.name}  {type(entry.layer).__name__}"
        rows.append((name, array, f"{' × '.join(map(str, entry.shape))}{frozen}"))
    return _spread(who, rows, ax, "parameters")


def plot_activations(net: Model, x: ArrayLike, ax: Any = None) -> Any:
    """Draw how the outputs of each layer are spread for these rows, as in training: quantiles of y = layer(x).

    At the right stand the shares of zeros, of outputs at a bound of their activation, and of units that give nothing
    for any row. The model is not changed.

    Parameters
    ----------
    net : Model
    x : array_like
        As in `Model.fit`; some hundred rows are enough.
    ax : matplotlib axes or None

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.plots import plot_activations
    >>> ax = plot_activations(Model([Dense(8, "tanh"), Dense(1)], seed=0), np.eye(4))
    """
    who = "plot_activations"
    probe = Probe(require_net(who, net), x)
    rows = [("x", probe.x, "")]
    for line in probe.lines:
        seen, end = probe.seen(line), probe.of(line.gives)
        if seen is not None:
            notes = [(np.mean(seen.y == 0), "zeros")]
            at_bounds = None if end is None else saturated(line.gives, end.y)
            if at_bounds is not None:
                notes.append((at_bounds.mean(), "saturated"))
            elif end is not None and len(seen.y) > 1 and (seen.y == 0).any():
                notes.append(((seen.y == 0).all(axis=0).mean(), "dead"))
            rows.append(
                (_named(line), seen.y, ", ".join(f"{part:.0%} {what}" for part, what in notes if part >= 0.005))
            )
    return _spread(who, rows, ax, "outputs")


def _named(line: Line) -> str:
    return f"{'  ' * line.depth}{line.place} {line.text}"


def plot_gradients(net: Model, x: ArrayLike, y: ArrayLike, loss: str | Loss | None = None, ax: Any = None) -> Any:
    """Draw the flow of gradients: the root of the mean square of dL/dy at the outputs y of each layer, on a log scale.

    For these rows, as in training; beside it that of the layer's parameters. Where the line falls from the last layer
    to the first by a factor of thousands, gradients vanish. The model is not changed.

    Parameters
    ----------
    net : Model
    x, y, loss
        As in `Model.fit`; some hundred rows are enough.
    ax : matplotlib axes or None

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.plots import plot_gradients
    >>> ax = plot_gradients(Model([Dense(8, "tanh"), Dense(1)], seed=0), np.eye(4), np.ones(4), "mse")
    """
    who = "plot_gradients"
    model = require_net(who, net)
    model._trainer.require_derivatives()
    probe = Probe(model, x, y, loss)
    names, flow, own = [], [], []
    for line in probe.lines:
        seen = probe.seen(line)
        if seen is None or seen.dy is None:
            continue
        gradients = [gradient.reshape(-1) for gradient in probe.gradients(line).values()]
        note = "frozen" if line.frozen else "" if np.isfinite(seen.dy).all() else "not finite"
        names.append((_named(line), note))
        flow.append(rms(seen.dy))
        own.append(rms(np.concatenate(gradients)) if gradients else 0.0)
    ax = axes(who, ax, (7.2, min(_MOST_HEIGHT, 1.2 + _ROW * max(2, len(names)))))
    places = np.arange(len(names))
    for values, style, label in ((flow, "o-", "of its outputs"), (own, "s", "of its parameters")):
        array = np.array(values)
        drawn = np.isfinite(array) & (array > 0)
        first = style == "o-"
        ax.plot(array[drawn], places[drawn], style, color=color(0 if first else 1), label=label, markersize=5)
    logs = [np.log10(value) for value in (*flow, *own) if value > 0 and np.isfinite(value)]
    if logs:
        whole_decades(ax, min(logs), max(logs))
    else:
        say_nothing(ax)
    _label(ax, names)
    ax.set_xlabel("gradient, root of the mean square")
    ax.legend(fontsize="small", framealpha=0.8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3)
    ax.grid(axis="x", color=GREY, alpha=0.3)
    return ax

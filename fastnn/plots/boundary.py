"""What a net makes of two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_array, check_lengths
from fastnn.checks import shown
from fastnn.drawing import COLORS, MARKERS, POINTS, axes, color, cut
from fastnn.model import Model
from fastnn.plots.data import class_names, classes_of, feature_names, gives_classes, outputs_of, probabilities
from fastnn.tables import Named, table_of

_SIDE = 160  # points of the grid in each direction
_MARGIN = 0.08  # of the range of the data
_MOST_NAMED = 10  # classes in a legend


def plot_decision_boundary(
    net: Model,
    x: ArrayLike,
    y: ArrayLike,
    features: Sequence[int | str] = (0, 1),
    names: Sequence[Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw what a net predicts over two columns of x, argmax or the number, with the rows of x as points on it.

    All other columns have their medians in the rows of x.

    Parameters
    ----------
    net : Model
        For classes as in `plot_confusion`, or of one output that is a number.
    x, y : array_like
        As in `Model.fit`. Of more than 4,000 rows, some are drawn.
    features : two of int or str
        Which columns: their numbers, or names of `Model.feature_names`.
    names : sequence of str or None
        Of the classes; None takes those of the model, or numbers.
    ax : matplotlib axes or None

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.plots import plot_decision_boundary
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> net = Model([Dense(8, "tanh"), Dense(2, "softmax")], seed=0)
    >>> history = net.fit(x, (x[:, 0] * x[:, 1] > 0).astype(int), epochs=20)
    >>> ax = plot_decision_boundary(net, x, (x[:, 0] * x[:, 1] > 0).astype(int))
    """
    who = "plot_decision_boundary"
    outputs = outputs_of(who, net, x)  # which says what is wrong with x
    rows = np.asarray(net._tree.inputs(table_of(x) or x), dtype=np.float64)
    across, up = (_column(who, net, feature) for feature in _two(who, features))
    if across == up:
        raise ValueError(f"{who}: features are {features!r}, expected two different columns")
    classes = gives_classes(net)
    if not classes and outputs.shape[1] != 1:
        raise ValueError(
            f"{who}: the net has {outputs.shape[1]} outputs that are numbers, expected one, or probabilities of classes"
        )
    spans = [_span(rows[:, i]) for i in (across, up)]
    grid = np.meshgrid(*[np.linspace(low, high, _SIDE) for low, high in spans])
    points = np.broadcast_to(np.median(rows, axis=0), (_SIDE * _SIDE, rows.shape[1])).copy()
    points[:, across], points[:, up] = (part.reshape(-1) for part in grid)
    given: Any = points if net.feature_names is None else Named(points, net.feature_names)
    shown_rows = np.arange(len(rows))
    if len(rows) > POINTS:
        shown_rows = np.random.default_rng(0).choice(shown_rows, POINTS, replace=False)
    ax = axes(who, ax, (6.0, 4.6))
    if classes:
        made = probabilities(who, net, given)
        labels = classes_of(who, y, len(rows), made.shape[1])
        found = class_names(who, net, made.shape[1], names)
        _draw_classes(ax, grid, made, rows[shown_rows][:, (across, up)], labels[shown_rows], found)
    else:
        target = as_array(y, "y").reshape(-1)
        check_lengths(len(rows), target, "y")
        _draw_numbers(ax, grid, net.predict(given), rows[shown_rows][:, (across, up)], target[shown_rows])
    known = feature_names(net)
    ax.set_xlabel(cut(known[across], 40))
    ax.set_ylabel(cut(known[up], 40))
    ax.set_xlim(*spans[0])
    ax.set_ylim(*spans[1])
    return ax


def _two(who: str, features: Any) -> tuple[Any, Any]:
    if not isinstance(features, (tuple, list)) or len(features) != 2:
        raise TypeError(f"{who}: features is {shown(features)}, expected two columns: their numbers or names")
    return features[0], features[1]


def _column(who: str, net: Model, feature: Any) -> int:
    known = net.feature_names or ()
    if isinstance(feature, str):
        if feature not in known:
            expected = f"one of {', '.join(map(str, known))}" if known else "a number: the columns have no names"
            raise ValueError(f"{who}: there is no column {feature!r}, expected {expected}")
        return list(known).index(feature)
    if isinstance(feature, bool) or not isinstance(feature, (int, np.integer)):
        raise TypeError(f"{who}: features holds {shown(feature)}, expected the number or the name of a column")
    if not 0 <= feature < net.n_in:
        raise ValueError(f"{who}: there is no column {feature}, expected 0 to {net.n_in - 1}")
    return int(feature)


def _span(column: Array) -> tuple[float, float]:
    finite = column[np.isfinite(column)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = _MARGIN * (high - low) or 0.5
    return low - margin, high + margin


def _draw_classes(ax: Any, grid: Sequence[Array], made: Array, points: Array, labels: Array, names: list[str]) -> None:
    from matplotlib.colors import ListedColormap

    n = made.shape[1]
    predicted = made.argmax(axis=1).reshape(grid[0].shape)
    areas = ListedColormap([color(i) for i in range(n)])
    ax.pcolormesh(*grid, predicted, cmap=areas, vmin=-0.5, vmax=n - 0.5, alpha=0.25, shading="nearest", rasterized=True)
    for i in range(n):
        if (predicted == i).any() and (predicted != i).any():
            ax.contour(*grid, (predicted == i).astype(float), levels=[0.5], colors="black", linewidths=0.8)
    for i in range(n):
        own = labels == i
        ax.plot(
            points[own, 0], points[own, 1], MARKERS[(i + i // len(COLORS)) % len(MARKERS)], color=color(i),
            markersize=5 if len(points) < 1000 else 3,
            markeredgecolor="white", markeredgewidth=0.5, label=cut(names[i]) if n <= _MOST_NAMED else None,
        )  # fmt: skip
    if n <= _MOST_NAMED:
        ax.legend(fontsize="small", framealpha=0.9, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _draw_numbers(ax: Any, grid: Sequence[Array], made: Array, points: Array, target: Array) -> None:
    from matplotlib.colors import Normalize

    values = made[:, 0].reshape(grid[0].shape).astype(np.float64)
    every = np.concatenate([values.reshape(-1), target.astype(np.float64)])
    every = every[np.isfinite(every)]
    scale = Normalize(every.min(), every.max()) if len(every) else Normalize(0, 1)
    image = ax.pcolormesh(*grid, values, cmap="cividis", norm=scale, shading="nearest", rasterized=True)
    if np.isfinite(values).all() and np.ptp(values) > 0:
        lines = ax.contour(*grid, values, levels=6, colors="white", linewidths=0.6)
        ax.clabel(lines, fontsize="x-small", fmt="%.3g")
    ax.scatter(
        points[:, 0],
        points[:, 1],
        c=target,
        cmap="cividis",
        norm=scale,
        s=26 if len(points) < 1000 else 10,
        edgecolors="white",
        linewidths=0.8,
    )
    ax.figure.colorbar(image, ax=ax, label="number: of the net, and of the points")

"""How good predictions are: classes that are confused, probabilities that hold, errors of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arrays import as_array, check_lengths
from fastnn.checks import count, number_of
from fastnn.drawing import BEST, GREY, MARKERS, POINTS, SEQUENTIAL, axes, color, cut, panels, say_nothing
from fastnn.model import Model
from fastnn.plots.data import class_names, classes_of, outputs_of, probabilities, require_net

_MOST_WRITTEN = 20  # classes up to which the counts are written into the squares


def plot_confusion(net: Model, x: ArrayLike, y: ArrayLike, names: Sequence[Any] | None = None, ax: Any = None) -> Any:
    """Draw the confusion matrix: C[i, j] = how many rows of class i are predicted as class j.

    A square is as dark as its share of the row of its class, so that rare classes can be read, too. scikit-learn's
    ``ConfusionMatrixDisplay`` colours by counts.

    Parameters
    ----------
    net : Model
        That gives probabilities of classes, or was trained from logits. One output is the probability of class 1.
    x, y : array_like
        As in `Model.fit`: labels, or a column for each class.
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
    >>> from fastnn.plots import plot_confusion
    >>> x, y = np.eye(3).repeat(9, axis=0), np.arange(3).repeat(9)
    >>> net = Model([Dense(3, "softmax")], seed=0)
    >>> history = net.fit(x, y, epochs=5)
    >>> ax = plot_confusion(net, x, y, names=["cat", "dog", "owl"])
    """
    who = "plot_confusion"
    given = probabilities(who, require_net(who, net), x)
    n = given.shape[1]
    labels, predicted = classes_of(who, y, len(given), n), given.argmax(axis=1)
    found = [cut(name, 16) for name in class_names(who, net, n, names)]
    matrix = np.zeros((n, n), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    side = min(12.0, max(3.6, 1.6 + 0.5 * min(n, _MOST_WRITTEN)))
    ax = axes(who, ax, (side + 0.8, side))
    image = ax.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1)
    if n <= _MOST_WRITTEN:
        size = 10 if n <= 12 else 7
        for (i, j), how_many in np.ndenumerate(matrix):
            if how_many:
                dark = shares[i, j] > 0.5
                ax.text(
                    j, i, f"{how_many}", ha="center", va="center", fontsize=size, color="white" if dark else "black"
                )
        ax.set_xticks(range(n), found)
        ax.set_yticks(range(n), found)
        if max(map(len, found)) > 2:
            ax.tick_params(axis="x", rotation=90 if n > 6 else 45)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    return ax


def plot_calibration(net: Model, x: ArrayLike, y: ArrayLike, bins: int = 10, ax: Any = None) -> Any:
    """Draw the reliability diagram: how often predictions are right, over how sure the net is of them.

    Rows are put into bins of equal width by their probability: that of class 1 where there are two classes, else that
    of the predicted class (Guo et al. 2017). Below stands how many there are in each. The error that is shown is
    ECE = Σ n_bin / n * abs(share right - mean probability).

    Parameters
    ----------
    net : Model
        As for `plot_confusion`.
    x, y : array_like
    bins : int
        At least 1.
    ax : matplotlib axes or None
        It is divided into two.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.plots import plot_calibration
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> net = Model([Dense(1, "sigmoid")], seed=0)
    >>> history = net.fit(x, x[:, 0] > 0, epochs=5)
    >>> ax = plot_calibration(net, x, x[:, 0] > 0)
    """
    who = "plot_calibration"
    n_bins = count(f"{who}: bins", bins)
    given = probabilities(who, require_net(who, net), x)
    n = given.shape[1]
    labels = classes_of(who, y, len(given), n)
    if n == 2:
        sure, right, title = given[:, 1], labels == 1, "probability of class 1"
        title = title if (names := class_names(who, net, 2)) == ["0", "1"] else f"probability of {cut(names[1])}"
    else:
        sure, right, title = given.max(axis=1), labels == given.argmax(axis=1), "probability of the predicted class"
    of_bin = np.clip((sure * n_bins).astype(np.int64), 0, n_bins - 1)
    counts = np.bincount(of_bin, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(of_bin, sure, n_bins) / counts
        shares = np.bincount(of_bin, right, n_bins) / counts
    there = counts > 0
    error = float((counts * np.abs(shares - means))[there].sum() / max(1, counts.sum()))
    ax, below = panels(axes(who, ax, (5.4, 5.4)), 2, (3, 1))
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as sure as right")
    ax.vlines(means[there], means[there], shares[there], color=color(4), linewidth=1.5, alpha=0.7)
    ax.plot(means[there], shares[there], "o-", color=color(0), label=f"net: ECE {error:.3f}")
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel("share that is right" if n > 2 else "share of that class")
    ax.legend(loc="upper left")
    edges = np.linspace(0, 1, n_bins + 1)
    below.bar(edges[:-1], counts, width=1 / n_bins, align="edge", color=color(3), edgecolor="white")
    below.set_ylabel("rows")
    below.set_xlabel(title)
    return ax


def plot_residuals(net: Model, x: ArrayLike, y: ArrayLike, names: Sequence[Any] | None = None, ax: Any = None) -> Any:
    """Draw residuals over predictions, y - net(x) over net(x): what is left should lie around 0 evenly.

    A slope says that the net is not trained enough, a curve that it is too simple, a funnel that errors grow with the
    numbers (a loss of relative errors, or log(y), then fits better). Of more than 4,000 rows, some are drawn.

    Parameters
    ----------
    net : Model
        That gives numbers.
    x, y : array_like
        As in `Model.fit`.
    names : sequence of str or None
        Of the outputs.
    ax : matplotlib axes or None

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.plots import plot_residuals
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> history = net.fit(x, x**2, epochs=5)
    >>> ax = plot_residuals(net, x, x**2)
    """
    who = "plot_residuals"
    given = outputs_of(who, net, x).astype(np.float64)
    target = np.atleast_1d(as_array(y, "y"))
    target = target[:, None] if target.ndim == 1 else target
    check_lengths(len(given), target, "y")
    if target.shape != given.shape:
        raise ValueError(f"{who}: y has shape {target.shape}, expected {given.shape}, that of the outputs")
    n = given.shape[1]
    if names is not None and len(names) != n:
        raise ValueError(f"{who}: names are {number_of(len(names), 'name')}, expected {n}: one for each output")
    found = [f"output {i}" for i in range(n)] if names is None else [cut(name) for name in names]
    rows = np.arange(len(given))
    if len(rows) > POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, POINTS, replace=False))
    ax = axes(who, ax)
    ax.axhline(0, color=GREY, linewidth=1)
    for i in range(n):
        left = target[:, i] - given[:, i]
        with np.errstate(all="ignore"):
            size = float(np.sqrt(np.square(left).mean())) if len(left) else float("nan")
        label = f"{found[i]}: RMSE {size:.3g}" if n > 1 or names is not None else f"RMSE {size:.3g}"
        ax.plot(
            given[rows, i], left[rows], MARKERS[i % len(MARKERS)], color=color(i), label=label,
            markersize=4 if len(rows) < 1000 else 3,
            alpha=0.7 if len(rows) < 400 else 0.35, markeredgewidth=0,
        )  # fmt: skip
    if not np.isfinite(target - given).any():
        say_nothing(ax)
    ax.set_xlabel("prediction")
    ax.set_ylabel("target - prediction")
    if n <= 12:
        ax.legend(fontsize="small", framealpha=0.8, **BEST)
    return ax

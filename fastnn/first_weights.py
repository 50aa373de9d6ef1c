"""First weights from data: those with which the units of each layer differ on the rows that will be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import convert
from fastnn.checks import count, shown
from fastnn.layers.dense import Dense
from fastnn.layers.elements import Element, elements
from fastnn.layers.inputs import branches_of, outputs_of
from fastnn.model import Model
from fastnn.tables import table_of
from fastnn.training.state import Snapshot

_CORNERS = 5  # rows, among which the 0 of a unit lies


def initialize_from_data(net: Model, x: ArrayLike, seed: int | None = None) -> Model:
    """Draw the weights of all `Dense` layers anew, each for what reaches it: x @ w has a standard deviation of 1.

    Layer by layer, w ~ N(0, 1 / n_in), each column divided by the standard deviation of x @ w over the rows; then
    b_j = -(the mean of x @ w_j over 5 random rows, with weights that are Exp(1), divided by their sum), so that each
    unit's 0 lies amid the data (Holzmüller, Grinsztajn & Steinwart 2024, who begin RealMLP-TD so). What waits for data
    (`Normalization`, `PiecewiseLinearEmbedding`) is fitted before. Biases of layers without one, and other layers,
    stay; a layer that is frozen, too.

    Parameters
    ----------
    net : Model
    x : array_like of shape (rows, n_in)
        Some thousand rows are enough.
    seed : int or None
        None is that of the net.

    Returns
    -------
    Model
        The net.

    Raises
    ------
    TypeError
        For a net that cannot be trained, such as a quantized one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, initialize_from_data
    >>> x = np.random.default_rng(0).normal(3, 0.1, (500, 8))
    >>> net = initialize_from_data(Model([Dense(64, "selu"), Dense(1)], seed=0, dtype="float64"), x)
    >>> bool(np.allclose((x @ net[0].w).std(axis=0), 1))
    True
    """
    if not isinstance(net, Model):
        raise TypeError(f"initialize_from_data: net is {shown(net)}, expected a Model")
    net._trainer.require_derivatives()  # of what cannot be trained, some weights alone would be drawn
    rng = np.random.default_rng(net.seed if seed is None else count("initialize_from_data: seed", seed, 0))
    tree, given = net._tree, table_of(x) or x
    matrix = tree.inputs(given)
    if len(matrix) < 2:
        raise ValueError(f"initialize_from_data: x has {len(matrix)} rows, expected two at least")
    trainer = net._trainer

    def draw() -> None:
        net._build_for(matrix, given, given is not x)
        tree.check_numbers(matrix, "x", net.dtype, tree.labels(given))
        numbers: Array = convert(matrix, tree.dtype)
        before = Snapshot(trainer.state, net._own(), None)
        tree.take_names(given)
        tree.adapt(numbers, None)
        try:
            _draw(elements(tree.layers, predicting=True), numbers, rng)
        except BaseException:
            before.restore(trainer.state, tree.memory)
            raise

    trainer.claim.run(trainer.as_it_was, draw)
    return net


def _draw(row: Sequence[Element], x: Array, rng: np.random.Generator) -> None:
    for i, element in enumerate(row):
        layer = element.layer
        if isinstance(layer, Dense):
            if all(around.trainable for around in element.around):
                _draw_dense(layer, x, rng)
        else:
            for branch in branches_of(layer):
                if branch[0].n_in != x.shape[1]:
                    raise ValueError(
                        f"initialize_from_data: {branch[0].title} has {branch[0].n_in} inputs inside {layer.title}, "
                        f"which has {x.shape[1]}: what reaches it is not known"
                    )
                _draw(elements(branch, predicting=True, around=element.around), x, rng)
        x = outputs_of(row[i : i + 1], x)


def _draw_dense(layer: Dense, x: Array, rng: np.random.Generator) -> None:
    w: Any = rng.normal(0.0, 1 / np.sqrt(layer.n_in), layer.w.shape)
    rows = x.astype(np.float64)
    spread = (rows @ w).std(axis=0)
    w /= np.where(spread > 0, spread, 1)  # of data that are all alike nothing is known
    layer.w = w
    if layer.bias:
        corners = rng.integers(0, len(x), (_CORNERS, layer.units))
        shares = rng.exponential(size=corners.shape)
        z = np.take_along_axis(rows @ w, corners, axis=0)
        layer.b = -(z * shares / shares.sum(axis=0)).sum(axis=0)

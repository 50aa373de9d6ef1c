"""What pictures show of a net and data: outputs as probabilities, classes, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_array, check_finite, check_lengths
from fastnn.checks import number_of, shown
from fastnn.feeds.found import inputs_of
from fastnn.model import Model
from fastnn.tables import table_of


def require_net(who: str, net: object) -> Model:
    """Return a model, or raise TypeError."""
    if not isinstance(net, Model):
        raise TypeError(f"{who}: net is {shown(net)}, expected a Model")
    return net


def require_built(who: str, net: object) -> Model:
    """Return a model whose parameters exist."""
    model = require_net(who, net)
    if not model.built:
        raise RuntimeError(f"{who}: the model has no parameters yet: call build(n_in), fit or predict first")
    return model


def gives_classes(net: Model) -> bool:
    """Whether the outputs of a net are of classes: by its last layer, or the loss that it was trained with."""
    return net.layers[-1].gives not in (None, "numbers") or bool(net.loss is not None and net.loss.from_logits)


def outputs_of(who: str, net: object, x: Any) -> Array:
    """Return the outputs of a net for rows that `evaluate` takes, too: some, all of them finite."""
    model = require_net(who, net)
    y = model.predict(x)
    if len(y) == 0:
        raise ValueError(f"{who}: x has no rows, expected at least one")
    if inputs_of(x) is None:
        tree, given = model._tree, table_of(x) or x
        tree.check_numbers(tree.inputs(given), "x", tree.dtype, tree.labels(given))
    return y


def probabilities(who: str, net: Model, x: Any) -> Array:
    """Return the probabilities of classes (rows, classes): of one output, those of classes 0 and 1.

    Raises
    ------
    ValueError
        For a net that gives no probabilities, and was not trained from logits; for x without rows, and NaN in it or in
        the outputs, which is no class.
    """
    y = outputs_of(who, net, x).astype(np.float64)
    if np.isnan(y).any():
        raise ValueError(
            f"{who}: the output of the net is NaN at row {int(np.isnan(y).any(axis=1).argmax())}, expected "
            "probabilities of classes: look at its parameters by net.check()"
        )
    gives, loss = net.layers[-1].gives, net.loss
    if gives == "class log-probabilities":
        y = np.exp(y)
    elif gives in (None, "numbers"):
        if loss is None or not loss.from_logits:
            raise ValueError(
                f"{who}: the net ends in {net.layers[-1]!r}, which gives numbers, expected probabilities of classes: "
                "end it with Softmax() or Sigmoid(), or train it by a loss with from_logits=True"
            )
        with np.errstate(over="ignore"):
            if net.n_out > 1:
                y = np.exp(y - y.max(axis=1, keepdims=True))
                y /= y.sum(axis=1, keepdims=True)
            else:
                y = 1 / (1 + np.exp(-y))
    return np.hstack([1 - y, y]) if y.shape[1] == 1 else y


def classes_of(who: str, y: ArrayLike, n_rows: int, n_classes: int) -> Array:
    """Return the class of each row, from labels (rows,), a column of 0 and 1, or one column for each class."""
    array = np.atleast_1d(as_array(y, "y"))
    check_lengths(n_rows, array, "y")
    check_finite(array, "y")
    if array.ndim == 2 and array.shape[1] == n_classes and n_classes > 1:
        array = array.argmax(axis=1)
    labels = array.reshape(len(array), -1)
    if labels.shape[1] != 1:
        raise ValueError(
            f"{who}: y has shape {array.shape}, expected (rows,), or (rows, {n_classes}): one class for each row"
        )
    found = labels[:, 0]
    whole = found.astype(np.int64)
    if (whole != found).any() or (len(whole) and not 0 <= whole.min() <= whole.max() < n_classes):
        raise ValueError(f"{who}: y holds other numbers than the classes 0 to {n_classes - 1}")
    return whole


def class_names(who: str, net: Model, n: int, names: Sequence[Any] | None = None) -> list[str]:
    """Return the names of the classes: those that are given, those of the model, or their numbers."""
    known: Any = names if names is not None else getattr(net, "class_names", None)
    found = [str(name) for name in known] if known is not None else [str(i) for i in range(n)]
    if len(found) != n:
        raise ValueError(f"{who}: names are {number_of(len(found), 'name')}, expected {n}: one for each class")
    return found


def feature_names(net: Model) -> list[str]:
    """Return what the columns of x are called."""
    known = net.feature_names
    return [str(name) for name in known] if known is not None else [f"column {i}" for i in range(net.n_in)]

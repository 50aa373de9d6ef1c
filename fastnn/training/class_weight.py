"""What classes weigh in a fit: as weights of rows, or of targets, by the rule of all weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.arrays import check_lengths
from fastnn.checks import number, number_of, shown
from fastnn.losses import Heads, Loss

_FORMS = "a dict of labels and numbers >= 0, 'balanced', or a number for each label from 0 on"
_NAMED = 5  # labels in an error


def class_weights(loss: Loss, y: Any, class_weight: Any, weight: Array | None, n: int) -> Array:
    """Return what rows weigh, (rows, 1), or targets, (rows, columns): what their classes weigh, times other weights.

    Parameters
    ----------
    loss : Loss
    y : array_like
        Of n rows.
    class_weight : dict, sequence, or "balanced"
        For `Heads` a dict of these by name, where several outputs are each of two classes perhaps a list of them.
    weight : ndarray of shape (rows, 1) or (rows, columns), or None
        Checked.
    n : int
    """
    if not isinstance(loss, Heads):
        (array,) = loss.pieces(y)[0]
        return _of_targets(loss, array, class_weight, weight, n, "class_weight")
    heads = loss.heads
    if not isinstance(class_weight, Mapping) or not class_weight.keys() <= heads.keys():
        raise TypeError(
            f"class_weight is {shown(class_weight)}, expected a dict by heads, of {', '.join(heads)}: "
            f"{{{next(iter(heads))!r}: 'balanced'}}"
        )
    arrays, columns, first = loss.pieces(y)[0], [], 0
    widths = [array.shape[1] if array.ndim > 1 else 1 for array in arrays]
    for (name, head), array, width in zip(heads.items(), arrays, widths, strict=True):
        own = weight if weight is None or weight.shape[1] != sum(widths) else weight[:, first : first + width]
        first += width
        if name in class_weight:
            own = _of_targets(head.loss, array, class_weight[name], own, n, f"class_weight[{name!r}]")
        columns.append(np.broadcast_to(1.0 if own is None else own, (n, width)))
    return np.concatenate(columns, axis=1)


def _of_targets(loss: Loss, array: Array, given: Any, weight: Array | None, n: int, where: str) -> Array:
    """Return the weights for targets of one loss."""
    if not loss.of_classes:
        raise TypeError(
            f"{where}: the targets of {loss} are no classes, expected a loss of classes, such as CrossEntropy: use "
            "sample_weight, a number for each row (a loss of your own says of_classes = True)"
        )
    if getattr(loss, "class_weight", None) is not None:
        raise ValueError(f"{where} is given twice, also to {loss}: expected one of them")
    check_lengths(n, array, "y")
    columns = array.reshape(n, -1)
    of_rows = getattr(loss, "of_rows", True)
    if columns.shape[1] > 1 and of_rows:  # probabilities of classes: the most probable one, as in Keras
        columns = columns.argmax(axis=1)[:, None]
    n_columns = columns.shape[1]
    each, places = [given] * n_columns, [where] * n_columns
    if n_columns > 1 and isinstance(given, (list, tuple)) and not all(isinstance(one, (int, float)) for one in given):
        if len(given) != n_columns:
            raise ValueError(f"{where} has {number_of(len(given), 'entry')}, expected {n_columns}, one for each output")
        each, places = list(given), [f"{where}[{j}]" for j in range(n_columns)]
    factors = np.empty((n, n_columns))
    for j in range(n_columns):
        own = np.ones(n) if weight is None else weight[:, min(j, weight.shape[1] - 1)]
        there = (own > 0) & ~_missing(loss, columns[:, j])
        factors[:, j] = _of_labels(columns[:, j], each[j], own, there, places[j])
    found = factors if weight is None else weight * factors
    if not found.any():
        raise ValueError(f"{where}: all classes that occur weigh 0: there is nothing to learn")
    return found


def _missing(loss: Loss, labels: Array) -> Array:
    missing = np.isnan(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), bool)
    ignored = getattr(loss, "ignore_index", None)
    return missing if ignored is None else missing | (labels == ignored)


def _of_labels(labels: Array, given: Any, weight: Array, there: Array, where: str) -> Array:
    """Return what each row weighs: its class does, among the rows that are there."""
    classes, codes = np.unique(labels[there], return_inverse=True)
    factors = np.ones(len(labels))
    if given is None:
        return factors
    if isinstance(given, str) and given == "balanced":
        total = np.bincount(codes, weights=weight[there], minlength=len(classes))
        factors[there] = (total.sum() / (len(classes) * total))[codes]
        return factors
    named = _named(given, where)
    if classes.size and not any(label in named for label in classes.tolist()):
        of_data = ", ".join(f"{label:g}" for label in classes[:_NAMED]) + (", ..." if len(classes) > _NAMED else "")
        names = ", ".join(f"{label:g}" for label in [*named][:_NAMED])
        raise ValueError(f"{where} names classes {names}, expected some that occur: y has {of_data}")
    if not isinstance(given, Mapping) and classes.size and classes[-1] >= len(named):
        raise ValueError(
            f"{where} has {number_of(len(named), 'number')}, expected one for each label from 0 on: "
            f"y has {classes[-1]:g}"
        )
    factors[there] = np.array([named.get(label, 1.0) for label in classes.tolist()])[codes]
    return factors


def _named(given: Any, where: str) -> dict[float, float]:
    """Return checked weights by label."""
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str) and np.ndim(given) == 1:
        pairs = list(enumerate(given))
    else:
        raise (ValueError if isinstance(given, str) else TypeError)(f"{where} is {shown(given)}, expected {_FORMS}")
    if not pairs:
        raise ValueError(f"{where} is empty, expected {_FORMS}")
    for label, _ in pairs:
        if not isinstance(label, (int, float, np.number, np.bool_)):
            raise TypeError(f"{where} names {shown(label)}, expected labels of classes as y has them: {_FORMS}")
    return {float(label): number(f"{where}[{label}]", weight) for label, weight in pairs}

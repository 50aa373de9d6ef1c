"""Weights without a description: arrays in a list, and in the nested dicts and lists of JAX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from fastnn.arena import Array
from fastnn.checks import lookup, shown
from fastnn.formats.weights.described import Given, Plan, as_weights, expected_of, matched, new_model, write
from fastnn.formats.weights.order import Kept, by_numbers, in_order
from fastnn.layers import Dense, Layer
from fastnn.layers.activations import get as get_activation
from fastnn.model import Model

Activations = str | Layer | Sequence[str | Layer | None] | None
_ORIENTATIONS = {"in_out": "in_out", "out_in": "out_in"}
_EITHER = "matrix"  # the word for weights that may lie one way or the other
_WAYS = {"in_out": "w", "out_in": "weight"}
_STATES = {"params", "batch_stats"}  # of Flax, side by side


def require_into(what: str, into: Model | None, activation: Activations, last: Any) -> None:
    """Raise unless a model is one, and no activations are given where it has its own."""
    if into is None:
        return
    if not isinstance(into, Model):
        raise TypeError(f"{what}: into is {shown(into)}, expected a Model")
    if activation is not None or last is not None:
        raise ValueError(f"{what}: activation and last say what a new model has, expected none of them with into")


def dense_layers(
    what: str, given: Sequence[Given], activation: Activations, last: str | Layer | None, order: Kept | None
) -> list[Given]:
    """Return dense layers in a row, with what stands behind them, for arrays that do not say what they are."""
    for one in given:
        ranks = sorted(array.ndim for array in one.arrays.values())
        if not one.arrays.keys() <= {"w", "kernel", "weight", "b", "bias"} or ranks not in ([2], [1, 2]):
            shapes = ", ".join(f"{word} {array.shape}" for word, array in one.arrays.items())
            raise ValueError(
                f"{what}: {one.where or 'it'} has {shapes}, which are not the weights and biases of a dense layer: "
                "what it computes they do not say, so pass a Model of the same layers, into=net"
            )
    row = [*given] if order is None else in_order(what, given, order, _chains)
    for i, one in enumerate(row):
        if i and not _chains(row[:i], one):
            raise ValueError(
                f"{what}: {one.where} takes {_sizes(one)[0]} inputs (weights of shape {_weights(one).shape}), and "
                f"{row[i - 1].where} before it has {_sizes(row[i - 1])[1]} outputs ({_weights(row[i - 1]).shape})"
            )
    for one in row:
        for array in one.arrays.values():
            if array.ndim == 1 and array.shape != _sizes(one)[1:]:
                raise ValueError(
                    f"{what}: {one.where} has weights of shape {_weights(one).shape}, {_sizes(one)[1]} outputs, and "
                    f"biases of shape {array.shape}, expected {_sizes(one)[1:]}"
                )
    behind = [*_hidden(what, activation, len(row) - 1), None if last is None else get_activation(last)]
    return [
        one._replace(layer=Dense(_sizes(one)[1], activation, bias=len(one.arrays) == 2))
        for one, activation in zip(row, behind, strict=True)
    ]


def _hidden(what: str, activation: Activations, n: int) -> list[Layer | None]:
    """Return what stands behind each of n layers."""
    if isinstance(activation, (list, tuple)):
        if len(activation) != n:
            raise ValueError(f"{what}: activation has {len(activation)} entries, expected {n}: all layers but the last")
        return [None if one is None else get_activation(one) for one in activation]
    if activation is None and n:
        raise ValueError(
            f"{what}: arrays do not say which activations stand between them: pass activation='relu', or "
            "activation='identity' for none, or a Model of the same layers, into=net"
        )
    return [get_activation(deepcopy(activation)) for _ in range(n)]  # type: ignore[arg-type]


def _weights(given: Given) -> Array:
    return next(array for array in given.arrays.values() if array.ndim == 2)


def _sizes(given: Given) -> tuple[int, ...]:
    """Return the numbers of inputs and outputs."""
    shape = _weights(given).shape
    return shape[::-1] if "weight" in given.arrays else shape


def _chains(before: Sequence[Given], one: Given) -> bool:
    return not before or _sizes(one)[0] == _sizes(before[-1])[1]


# -- lists of arrays --------------------------------------------------------------------------------------------------


def from_numpy(
    arrays: Sequence[Any],
    *,
    into: Model | None = None,
    activation: Activations = None,
    last: str | Layer | None = None,
    orientation: str | None = None,
) -> Model:
    """Return a model with these weights: y = activation(x @ w + b) for each pair, one behind the other.

    Parameters
    ----------
    arrays : sequence of array_like
        ``[w1, b1, w2, b2, ...]``, or pairs (w, b); a matrix without a vector behind it has no biases. With `into`, what
        each of its layers holds, one behind the other, as Keras's ``get_weights()`` returns it.
    into : Model or None
        Where arrays are written to, all or none; it is returned. It is built, where it is not.
    activation : str, Layer, sequence of these, or None
        What stands behind all layers but the last, or behind each of these.
    last : str, Layer or None
        What stands behind the last one.
    orientation : {"in_out", "out_in"} or None
        Whether matrices are (inputs, outputs), as here and in Keras, or (outputs, inputs), as in PyTorch. None finds it
        from the shapes; where both are possible, as for square ones, that is an error.

    Returns
    -------
    Model
        float64 where an array is (or holds whole numbers), else float32.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit, with their places and shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.from_numpy([np.ones((2, 3)), np.zeros(3), np.ones((3, 1)), np.ones(1)], activation="relu")
    >>> net
    <Model: Dense(3, 'relu'), Dense(1); 2 inputs, 13 parameters, float64>
    >>> net.predict([[1.0, 2.0]])
    array([[10.]])
    """
    what = "from_numpy"
    require_into(what, into, activation, last)
    pairs = [*_flat(what, arrays)]
    flat = [as_weights(array, f"{what}: array {i}") for i, (array, _) in enumerate(pairs)]
    if not flat:
        raise ValueError(f"{what}: there are no arrays, expected [w1, b1, w2, b2, ...]")
    if into is not None:
        given = _for_model(what, flat, into)
    else:
        given = []
        for i, array in enumerate(flat):
            place = pairs[i][1]
            if i and place != 0 and array.ndim == 2 and "b" not in given[-1].arrays:
                _refuse_bias(what, i, array, flat[i - 1], place is not None and len(arrays) > 1, orientation)
            if array.ndim == 2:
                given.append(Given(f"layer {len(given) + 1}", {_EITHER: array}))
            elif array.ndim == 1 and given and "b" not in given[-1].arrays:
                given[-1].arrays["b"] = array
            else:
                raise ValueError(
                    f"{what}: array {i} has shape {array.shape}, expected a matrix of weights, or the vector of biases "
                    "behind it: [w1, b1, w2, b2, ...]"
                )
    return _made(what, given, into, activation, last, orientation, None)


def _refuse_bias(what: str, i: int, array: Array, before: Array, is_paired: bool, orientation: str | None) -> None:
    """Raise ValueError where a matrix is where biases are expected, and of their size."""
    n_in_out, n_out_in = before.shape[1], before.shape[0]
    sizes = [*([n_in_out] if orientation != "out_in" else []), *([n_out_in] if orientation != "in_out" else [])]
    is_row = orientation != "out_in" and array.shape == (1, n_in_out)
    is_column = orientation == "out_in" and array.shape == (n_out_in, 1)
    if is_paired or is_row or is_column or (array.shape == (1, 1) and 1 in sizes):
        raise ValueError(
            f"{what}: array {i} has shape {array.shape}, behind weights of shape {before.shape}: biases are 1-D, as "
            f"array.ravel() makes them, ({array.size},); if it is the weights of a layer behind one without biases, "
            "pass tuples, [(w1,), (w2,)]"
        )


def _flat(what: str, arrays: Any) -> Iterator[tuple[Any, int | None]]:
    """Yield the arrays of a list, or of pairs, with their places in these."""
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"{what}: got {shown(arrays)}, expected a list of arrays: [w1, b1, w2, b2, ...]")
    for one in arrays:
        if isinstance(one, (list, tuple)) and one and hasattr(one[0], "shape"):
            yield from ((array, place) for place, array in enumerate(one))
        else:
            yield one, None


def _for_model(what: str, flat: list[Array], into: Model) -> list[Given]:
    """Return arrays by the layers of a model that take them, in the order of what these declare."""
    given: list[Given] = []
    at, n = 0, len(flat)
    for layer, names in expected_of(what, into, flat[0]):
        words = [_EITHER if isinstance(layer, Dense) and name == "w" else name for name in names]
        arrays = dict(zip(words, flat[at : at + len(names)], strict=False))
        given.append(Given(f"arrays {at} to {at + len(names) - 1}", arrays))
        at += len(names)
    if at != n:
        raise ValueError(f"{what}: {n} arrays were given, and the layers of the model take {at}")
    return given


def _made(
    what: str,
    given: list[Given],
    into: Model | None,
    activation: Activations,
    last: str | Layer | None,
    orientation: str | None,
    order: Kept | None,
) -> Model:
    """Return the model of arrays, of which matrices may lie one way or the other."""
    ways = [*_WAYS]
    if orientation is not None:
        ways = [lookup(f"{what}: orientation", orientation, _ORIENTATIONS)]
    if not any(_EITHER in one.arrays for one in given):
        if orientation is not None:
            raise ValueError(f"{what}: orientation is {orientation!r}, and the names of the arrays say it already")
        ways = ways[:1]
    plans: dict[str, tuple[Model, Plan]] = {}
    errors: list[ValueError] = []
    for way in ways:
        turned = [
            one._replace(arrays={_WAYS[way] if word == _EITHER else word: array for word, array in one.arrays.items()})
            for one in given
        ]
        try:
            if into is None:
                turned = dense_layers(what, turned, activation, last, order)
                model = new_model(what, turned)
                plans[way] = model, matched(what, model, turned, None)
            else:
                plans[way] = into, matched(what, into, turned, order)
        except ValueError as error:
            errors.append(error)
    if not plans:
        raise errors[0]
    if len(plans) > 1:
        shapes = ", ".join(f"{one.where} {one.arrays[_EITHER].shape}" for one in given if _EITHER in one.arrays)
        raise ValueError(
            f"{what}: the shapes do not say whether weights are (inputs, outputs) or (outputs, inputs): {shapes}; pass "
            "orientation='in_out', as here and in Keras, or orientation='out_in', as in PyTorch"
        )
    ((model, plan),) = plans.values()
    write(model, plan)
    return model


# -- pytrees ----------------------------------------------------------------------------------------------------------


def from_jax(
    tree: Any,
    *,
    into: Model | None = None,
    activation: Activations = None,
    last: str | Layer | None = None,
    orientation: str | None = None,
) -> Model:
    """Return a model with the weights of a tree of JAX: of Flax, Haiku, Equinox, or one's own.

    Parameters
    ----------
    tree : dict, list or tuple of arrays, or of the like
        Each dict that holds arrays is a layer: "kernel" or "w" (inputs, outputs), or "weight" (outputs, inputs), and
        "bias" or "b"; with `into`, also those of normalizations and embeddings, such as Flax's ``{"params": ...,
        "batch_stats": ...}``. A list holds pairs (w, b), or w and b in turn. Arrays are what NumPy takes for such.
    into : Model or None
        Where arrays are written to, all or none; it is returned. It is built, where it is not.
    activation : str, Layer, sequence of these, or None
        What stands behind all layers but the last, or behind each of these.
    last : str, Layer or None
        What stands behind the last one.
    orientation : {"in_out", "out_in"} or None
        Of the matrices in lists, as in `from_numpy`.

    Returns
    -------
    Model

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit, with their places and shapes, and where their order is not known: entries of a dict
        are ordered by numbers in their names ("Dense_2" before "Dense_10") and by their shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> layers = {"Dense_0": {"kernel": np.ones((2, 3)), "bias": np.zeros(3)}, "Dense_1": {"kernel": np.ones((3, 1))}}
    >>> fastnn.from_jax({"params": layers}, activation="tanh")
    <Model: Dense(3, 'tanh'), Dense(1, bias=False); 2 inputs, 12 parameters, float64>
    """
    what = "from_jax"
    require_into(what, into, activation, last)
    if isinstance(tree, Mapping) and tree and tree.keys() <= _STATES:
        found: dict[str, Given] = {}
        for part in tree.values():
            for one in _layers(what, part, ""):
                there = found.get(one.where)
                found[one.where] = one if there is None else one._replace(arrays={**there.arrays, **one.arrays})
        given = [*found.values()]
    else:
        given = [*_layers(what, tree, "")]
    if not given:
        raise ValueError(f"{what}: there are no arrays in {shown(tree)}")
    return _made(what, given, into, activation, last, orientation, by_numbers)


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _layers(what: str, node: Any, path: str) -> Iterator[Given]:
    """Yield the layers of a tree, by their paths."""
    if isinstance(node, Mapping):
        arrays = {str(name): as_weights(one, _at(what, path, name)) for name, one in node.items() if _is_array(one)}
        if arrays:
            yield Given(path, arrays)
        for name, one in node.items():
            if not _is_array(one):
                yield from _layers(what, one, f"{path}.{name}" if path else str(name))
    elif isinstance(node, (list, tuple)):
        for i, one in enumerate(node):
            if not _is_array(one):
                yield from _layers(what, one, f"{path}.{i}" if path else str(i))
        yield from _pairs(what, [(i, one) for i, one in enumerate(node) if _is_array(one)], path)
    elif node is not None:
        raise TypeError(f"{_at(what, path)} is {shown(node)}, expected arrays, or dicts, lists and tuples of these")


def _pairs(what: str, leaves: list[tuple[int, Any]], path: str) -> Iterator[Given]:
    """Yield the layers of matrices and vectors in turn."""
    matrix, name = None, path
    for i, one in leaves:
        array = as_weights(one, _at(what, path, i))
        if array.ndim == 1 and matrix is not None:
            yield Given(name, {_EITHER: matrix, "b": array})
            matrix = None
        elif array.ndim == 2:
            if matrix is not None:
                yield Given(name, {_EITHER: matrix})
            matrix = array
            name = path if len(leaves) < 3 and path else f"{path}.{i}" if path else str(i)
        else:
            raise ValueError(
                f"{_at(what, path, i)} has shape {array.shape}, expected a matrix of weights, or the vector of biases "
                "behind it"
            )
    if matrix is not None:
        yield Given(name, {_EITHER: matrix})


def _at(what: str, *path: Any) -> str:
    return f"{what}: {'.'.join(str(one) for one in path if one != '') or 'the tree'}"

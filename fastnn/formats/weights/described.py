"""Layers as other libraries describe them, with their arrays: what all sources give, and what makes a model of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fastnn.arena import Array
from fastnn.arrays import all_finite, copy_into
from fastnn.checks import shown
from fastnn.formats.weights.order import Kept, in_order
from fastnn.layers import (
    BatchNorm,
    Bias,
    Dense,
    Embedding,
    Layer,
    LayerNorm,
    Normalization,
    PReLU,
    RMSNorm,
    Scale,
)
from fastnn.layers.activation import Activation
from fastnn.model import Model

Arrays = dict[str, Array]
_MOST_COLUMNS, _MOST_TIMES, _SPARE = 2**15, 64, 2**20  # inputs; numbers of a model, for each one that was given

# What arrays of layers are called here, and elsewhere: in PyTorch and Equinox, Keras, Flax, Haiku
_NORM = {"scale": ("scale", "gamma", "weight"), "shift": ("shift", "beta", "bias", "offset")}
_WORDS: dict[type[Layer], dict[str, tuple[str, ...]]] = {
    Dense: {"w": ("w", "kernel", "weight"), "b": ("b", "bias")},
    BatchNorm: {
        **_NORM,
        "mean": ("mean", "moving_mean", "running_mean"),
        "variance": ("variance", "var", "moving_variance", "running_var"),
    },
    LayerNorm: _NORM,
    RMSNorm: {"scale": _NORM["scale"]},
    PReLU: {"alpha": ("alpha", "weight", "negative_slope")},
    Embedding: {"table": ("table", "embeddings", "embedding", "weight")},
    Normalization: {name: (name,) for name in ("center", "factor", "replacement", "rows")},
    Scale: {"s": ("s", "scale", "weight")},
    Bias: {"b": ("b", "bias")},
}  # fmt: skip


class Given(NamedTuple):
    """What a source says of one layer.

    Attributes
    ----------
    where : str
        What errors call it: "module 2 (BatchNorm1d)".
    arrays : dict of ndarray
        By the words of the source.
    layer : Layer or None
        A new one, where the source says what it is.
    n_in : int or None
        The number of inputs, where the arrays do not say it.
    missing : dict of ndarray
        What the source computes with without an array of its own: factors that are 1, numbers of a configuration.
    """

    where: str
    arrays: Arrays
    layer: Layer | None = None
    n_in: int | None = None
    missing: Mapping[str, Array] = MappingProxyType({})

    @property
    def all(self) -> Arrays:
        """All arrays of the layer."""
        return {**self.missing, **self.arrays}


class Match(NamedTuple):
    """A layer, with what it is given.

    Attributes
    ----------
    layer : Layer
    given : Given
    words : dict of str to str
        For each of its arrays the word of the source.
    shapes : dict of str to tuple
    """

    layer: Layer
    given: Given
    words: dict[str, str]
    shapes: dict[str, tuple[int, ...]]

    def array(self, name: str, source: Array) -> Array:
        """Return an array of the source as the layer's own."""
        if type(self.layer) is Dense and name == "w" and self.words[name] == "weight" and source.ndim == 2:
            return source.T
        if type(self.layer) is Embedding and source.ndim == 2:  # of what is unseen there is none
            return np.concatenate([source, np.zeros((1, source.shape[1]), source.dtype)])
        return source

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Yield all arrays, of the shapes of the layer's own.

        Raises
        ------
        ValueError
            For one that has another shape, or holds what is no finite number.
        """
        arrays = self.given.all
        for name, word in self.words.items():
            source = arrays[word]
            array, expected = self.array(name, source), self.shapes[name]
            if array.shape != expected:
                found = "" if array.shape == source.shape else f", here {array.shape},"
                raise ValueError(
                    f"{self.given.where}: {word} has shape {source.shape}{found} and {self.layer.title} takes "
                    f"{name} of shape {expected}"
                )
            if name != "replacement" and not all_finite(array):
                raise ValueError(f"{self.given.where}: {word} holds NaN or infinity, expected finite numbers")
            if name == "variance" and (array < 0).any():
                raise ValueError(f"{self.given.where}: {word} holds {array.min()}, expected variances, which are >= 0")
            yield name, array


def _target(layer: Layer, declared: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a layer that a source has to have: all but the counters of what is drawn."""
    known = _WORDS.get(type(layer))
    return {
        name: one.shape
        for name, one in declared.items()
        if one.role == "parameter" or (one.role == "state" and known is not None and name in known)
    }


def _words(layer: Layer, shapes: Mapping[str, Any], given: Given) -> dict[str, str]:
    """Return for each array of a layer the word of the source.

    Raises
    ------
    ValueError
        Where there is none for it, or more than there are arrays.
    """
    known, found, arrays = _WORDS.get(type(layer), {}), {}, given.all
    if all(word.isdigit() for word in arrays):  # in the order in which layers here declare theirs, too
        found = dict(zip(shapes, arrays, strict=False))
        if len(found) < len(shapes):
            raise ValueError(f"{given.where} has {len(arrays)} arrays, and {layer.title} takes {', '.join(shapes)}")
    for name in shapes if not found else ():
        words = known.get(name.partition("_")[0] if name.startswith("table_") else name, (name,))
        there = [word for word in words if word in arrays]
        if not there:
            raise ValueError(f"{given.where} has no {' or '.join(words)}, which {layer.title} takes as {name}")
        found[name] = there[0]
    for word in given.arrays:
        if word not in found.values():
            raise ValueError(
                f"{given.where} has an array {word} of shape {given.arrays[word].shape}, and {layer.title} takes "
                f"{', '.join(found) or 'none'}"
            )
    if type(layer) is Embedding and len(found) > 1 and given.layer is not layer:
        raise ValueError(f"{given.where} is one table, and {layer.title} has {len(found)}: one for each column")
    return found


def joined(given: Sequence[Given]) -> list[Layer]:
    """Return the layers of a new model, of which activations stand inside the dense layers before them."""
    layers: list[Layer] = []
    for one in given:
        layer, last = one.layer, layers[-1] if layers else None
        assert layer is not None
        if isinstance(layer, Activation) and isinstance(last, Dense) and last.activation is None:
            last.activation = layer
        else:
            layers.append(layer)
    return layers


def dtype_of(given: Sequence[Given]) -> str:
    """Return float64 where an array has it, else float32."""
    arrays = [array for one in given for array in one.arrays.values()]
    return "float64" if any(array.dtype.kind != "f" or array.dtype.itemsize > 4 for array in arrays) else "float32"


def new_model(what: str, given: Sequence[Given]) -> Model:
    """Return a model of the layers that a source describes, without their arrays."""
    if not any(one.all for one in given):
        raise ValueError(f"{what}: there are no weights in it, expected one layer with some at least")
    return Model(joined(given), dtype=dtype_of(given))


class Plan(NamedTuple):
    """What is to be written into a model: checked.

    Attributes
    ----------
    n_in : int
    matches : list of Match
    arrays : list of (Match, str, ndarray)
        With the names of the layers' own.
    """

    n_in: int
    matches: list[Match]
    arrays: list[tuple[Match, str, Array]]


def matched(what: str, model: Model, given: Sequence[Given], order: Kept | None) -> Plan:
    """Return which array of a source belongs into which of a model, that is as before.

    Parameters
    ----------
    what : str
        The function, for errors.
    model : Model
        It is built, where it is not yet.
    given : sequence of Given
        With layers, where these are those of the model.
    order : callable or None
        Whether one stands before another for certain: `order.py`.
    """
    tree = model._tree
    given = [one for one in given if one.all or one.n_in is not None]
    n_numbers = sum(array.size for one in given for array in one.arrays.values())
    n_in = model.n_in or _n_in(what, model, given, order)
    targets = _targets(model, n_in)
    needed = sum(prod(shape) for _, shapes in targets for shape in shapes.values())
    if needed > _MOST_TIMES * n_numbers + _SPARE:
        raise ValueError(f"{what}: the layers have {needed:,} numbers, and arrays with {n_numbers:,} were given")
    with_arrays = [one for one in given if one.all]
    if len(targets) < len(with_arrays):  # a model without what the source has no arrays of
        with_arrays = [one for one in given if one.arrays]
    if len(targets) != len(with_arrays):
        mine, others = ", ".join(layer.title for layer, _ in targets), ", ".join(one.where for one in with_arrays)
        raise ValueError(
            f"{what}: {len(with_arrays)} layers with arrays were given ({_cut(others)}), and the model has "
            f"{len(targets)} ({_cut(mine)})"
        )
    if with_arrays and with_arrays[0].layer is None and order is not None:
        with_arrays = in_order(what, with_arrays, order, partial(_fits_into, targets))
    matches = [
        Match(layer, one, _words(layer, shapes, one), shapes)
        for (layer, shapes), one in zip(targets, with_arrays, strict=True)
    ]
    found = []
    for match in matches:
        for name, array in match.arrays():
            found.append((match, name, _as_dtype(match, name, array, match.layer.__dict__.get("dtype", tree.dtype))))
    return Plan(n_in, matches, found)


def write(model: Model, plan: Plan) -> None:
    """Build a model where it is not, and write all arrays into it."""
    model.build(plan.n_in)
    model._own()
    model._trainer.claim.run(_write, plan.arrays)
    model._written(*[match.layer.__dict__[name] for match, name, _ in plan.arrays])


def _targets(model: Model, n_in: int) -> list[tuple[Layer, dict[str, tuple[int, ...]]]]:
    """Return the layers of a model that arrays are for, with the shapes of these."""
    tree = model._tree
    declared: Iterable[tuple[Layer, Any]]
    declared = ((layer, layer._declared) for layer in tree.all) if model.built else tree.declared(n_in, _MOST_COLUMNS)
    found = [(layer, _target(layer, one)) for layer, one in declared]
    return [(layer, shapes) for layer, shapes in found if shapes]


def expected_of(what: str, model: Model, first: Array) -> list[tuple[Layer, list[str]]]:
    """Return the layers of a model that arrays are for, with the names of these in order."""
    n_in = model.n_in or (first.shape[0] if first.ndim else 1)
    return [(layer, [*shapes]) for layer, shapes in _targets(model, n_in)]


def _fits_into(targets: Sequence[tuple[Layer, Any]], before: Sequence[Given], one: Given) -> bool:
    """Whether what is given may stand at the next place of a model."""
    layer, shapes = targets[len(before)]
    try:
        match = Match(layer, one, _words(layer, shapes, one), shapes)
    except ValueError:
        return False
    return all(match.array(name, one.arrays[word]).shape == shapes[name] for name, word in match.words.items())


def _write(found: Sequence[tuple[Match, str, Array]]) -> None:
    for match, name, array in found:
        copy_into(match.layer.__dict__[name], array)


def _as_dtype(match: Match, name: str, array: Array, dtype: Any) -> Array:
    """Return an array whose numbers are finite in the dtype of the model, too."""
    if name not in ("replacement", "rows") and array.dtype.itemsize > np.dtype(dtype).itemsize:
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
        if not all_finite(array):
            raise ValueError(f"{match.given.where}: {match.words[name]} holds numbers that are too large for {dtype}")
    return array


def _n_in(what: str, model: Model, given: Sequence[Given], order: Kept | None) -> int:
    """Return the number of inputs of a model that is not built: what its first layer with arrays takes."""
    if not given:
        raise ValueError(f"{what}: there are no weights in it, expected one layer with some at least")
    if given[0].n_in is not None:
        return given[0].n_in
    layers = [layer for layer in model._tree.all if type(layer) in _WORDS]
    while not order and layers and len(given) > 1 and has_one_slope(layers[0]):  # which says nothing of columns
        layers, given = layers[1:], given[1:]
    first = layers[0] if layers else None
    firsts = [one for one in given if not any(order(other.where, one.where) for other in given)] if order else given[:1]
    found = {_inputs(one, first) for one in firsts if first is not None} - {None}
    if len(found) != 1:
        raise ValueError(
            f"{what}: how many inputs the model has does not follow from {_cut(', '.join(one.where for one in firsts))}"
            ": pass into=net, a model of the same layers that is built, as by net.build(4)"
        )
    return found.pop() or 1


def _inputs(given: Given, layer: Layer) -> int | None:
    """Return how many inputs a layer has that takes these arrays, where that follows from them."""
    kind, arrays = type(layer), given.all
    if (kind is not Dense and kind not in _OF_COLUMNS) or has_one_slope(layer):
        return None
    for word in (*next(iter(_WORDS[kind].values())), "0"):
        array = arrays.get(word)
        if array is not None and array.ndim == (2 if kind is Dense else 1):
            return int(array.shape[1 if kind is Dense and word == "weight" else 0])
    return None


_OF_COLUMNS = (BatchNorm, LayerNorm, RMSNorm, Normalization, Scale, Bias, PReLU)


def has_one_slope(layer: Layer | None) -> bool:
    """Whether it is a PReLU with one slope for all columns."""
    return isinstance(layer, PReLU) and not layer.per_column


def _cut(text: str) -> str:
    return text if len(text) < 300 else f"{text[:280]}..."


def as_weights(array: Any, where: str) -> Array:
    """Return an array of a source as numbers of NumPy: half precision becomes float32.

    Raises
    ------
    TypeError, ValueError
        Where it holds no real numbers, or some of them are masked.
    """
    if np.ma.is_masked(array):
        raise ValueError(f"{where} has masked entries: fill them first")
    try:
        found = np.asarray(array)
        if (found.dtype.kind == "V" and found.dtype.fields is None) or found.dtype == np.float16:  # bfloat16
            found = found.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{where} is {shown(array)}, which is no array of numbers: {error}") from None
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > 8:
        raise TypeError(f"{where} has dtype {found.dtype}, expected numbers of float32 or float64")
    return found

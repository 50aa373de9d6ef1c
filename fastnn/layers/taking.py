"""Layers that take over arrays which are there already: those of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fastnn.arena import Array
from fastnn.layers.contract import Layer
from fastnn.layers.inputs import ColumnLayer, tell_names
from fastnn.layers.tree import Tree, declare_all


def places(layers: Sequence[Layer], before: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield layers and all inside them with their places: "0", "2.1" for the second one inside the third."""
    for i, layer in enumerate(layers):
        yield f"{before}{i}", layer
        yield from places(layer._children, f"{before}{i}.")


def take(tree: Tree, n_in: int, arrays: Mapping[str, Array], most: int) -> None:
    """Build layers for so many inputs with these arrays, by their places ("0.w"): `Tree.adopt` is what is left to do.

    They have to be the ones which the layers declare. A layer to which columns are not alike looks at each: it may not
    have more than `most`.

    Raises
    ------
    ValueError
        Where an array is missing, has another shape or dtype, or has no place.
    """
    for layer in tree.all:
        if isinstance(layer, ColumnLayer):
            layer.__dict__["_most"] = most
    if tree.has_columns:
        tell_names(tree.layers, tree.feature_names)
    declare_all(tree.layers, tree.all, n_in)
    if tree.has_columns and sum(layer.n_in + layer.n_out for layer in tree.all) > 8 * most:
        raise ValueError(f"the layers have more inputs and outputs than {len(arrays)} arrays of that size may")
    rest = dict(arrays)
    for place, layer in places(tree.layers):
        layer.__dict__.update(dtype=tree.dtype, kernels=tree.kernels, _gradients={})
        for name, declared in layer._declared.items():
            if declared.role == "scratch":
                continue
            array, dtype = rest.pop(f"{place}.{name}", None), declared.dtype or tree.dtype
            if array is None:
                raise ValueError(f"{layer.title}: there is no array {place}.{name}")
            if array.shape != declared.shape or array.dtype != dtype:
                raise ValueError(
                    f"{layer.title}: the array {place}.{name} has shape {array.shape} and dtype {array.dtype}, "
                    f"expected {declared.shape} and {dtype}"
                )
            layer.__dict__[name] = array
    if rest:
        raise ValueError(f"there is no place for the array {next(iter(rest))}")

"""What a net has learnt, taken over by one of the same layers with more inputs or outputs.

Where features appear, columns of hidden arrays may move: ``Concatenate([Identity(), Dense(3)])`` puts new ones between
those of its branches. So columns have names that say what they are of, the same in both nets, and each number goes
where the columns of its array have gone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fastnn.arena import Array
from fastnn.layers.columns import Embedding
from fastnn.layers.containers import Branches, Parallel, Residual
from fastnn.layers.contract import Layer
from fastnn.layers.dense import Dense
from fastnn.layers.ensemble import BatchEnsemble, MeanOfMembers, Members
from fastnn.layers.gated import Gated
from fastnn.layers.grouped import GroupedDense
from fastnn.layers.inputs import ColumnLayer, branches_of, row_of
from fastnn.layers.tree import Tree, running_of
from fastnn.optimizers import Optimizer
from fastnn.optimizers.averages import views_of
from fastnn.tables import Names

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

Pair = tuple[Names, Names]  # the names of columns in the new net, and in the old one
Axis = tuple[tuple[int, int], Sequence[int]]  # how many columns there are in both, and where those of the old one stand
Axes = dict[int, list[Axis]]  # of each new layer, by its id: what axes of its arrays may be
Parts = dict[Hashable, tuple[Layer, Array]]  # arrays by their place in the net

_CURE = "give all features from the first row on, or put a Dense before it"


def take_over(new: Trainer, old: Trainer, optimizer: Optimizer) -> None:
    """Copy parameters, states of layers, and what an optimizer remembers and averages, to where it belongs.

    What is new begins as in a new net. A layer of one's own with as many outputs as inputs is taken to keep their
    order, and layers of as many inputs in it to be given what it is given.

    Raises
    ------
    ValueError
        Where outputs of a layer are of other inputs than before.
    """
    axes: Axes = {}
    _through(new.tree.layers, old.tree.layers, _counted(new.tree.n_in, old.tree.n_in), axes)
    _copy(_arrays(new.tree), _arrays(old.tree), axes)
    new.state.fits[...] = old.state.fits
    for moving, standing in old.state.standings.items():
        new.state.standings.set(moving, standing)
    remembered = old.state.memories.get(optimizer)
    if remembered is None:
        return
    for name, array in new.state.of(optimizer, new.tree.memory).items():
        known = remembered.get(name)
        if known is None:
            continue
        if name == "average.running":
            _copy(_running(array, new.tree), _running(known, old.tree), axes)
        elif array.size == new.tree.memory.params.size and known.size == old.tree.memory.params.size:
            _copy(_parameters(array, new.tree), _parameters(known, old.tree), axes)
        elif array.shape == known.shape:
            array[...] = known
    new.state.averaging = old.state.averaging
    new.predictors.read(new.averages.layers)


# -- which columns are which ------------------------------------------------------------------------------------------


def _through(new: Sequence[Layer], old: Sequence[Layer], columns: Pair, axes: Axes) -> Pair:
    """Return what the columns behind layers in a row are called, and write down those of each."""
    for own, its in zip(new, old, strict=True):
        columns = _behind(own, its, columns, axes)
    return columns


def _behind(new: Layer, old: Layer, columns: Pair, axes: Axes) -> Pair:
    row, its = row_of(new) or (new,), row_of(old) or (old,)
    if new not in row:
        return _through(row, its, columns, axes)
    made, own = _made(new, old, columns, axes), axes.setdefault(id(new), [])
    for ours, theirs in (columns, _folded(new, old, columns), made):
        places = _places(ours, theirs)
        if places is None:
            raise ValueError(
                f"{new.title}: where features appear its outputs are of other inputs, so that what has been learnt has "
                f"no place: {_CURE}"
            )
        own.append(((len(ours), len(theirs)), places))
    return _through(row[1:], its[1:], made, axes)


def _made(new: Layer, old: Layer, columns: Pair, axes: Axes) -> Pair:
    """Return what the outputs of a layer are called, before its activation."""
    ours, theirs = columns
    if isinstance(new, (Branches, Residual)):
        branches = zip(branches_of(new), branches_of(old), strict=True)
        found = [_through(own, its, columns, axes) for own, its in branches]
        if isinstance(new, Residual):
            found.append(columns)
        side = _beside if isinstance(new, Parallel) else _joined
        return side([own for own, _ in found]), side([its for _, its in found])
    for own, its in zip(new._children, old._children, strict=True):  # of a layer of one's own: given what it is given
        if (own.n_in, its.n_in) == (new.n_in, old.n_in):
            _behind(own, its, columns, axes)
    if isinstance(new, Dense) and isinstance(old, Dense):
        return _counted(new.units, old.units)
    if new.n_in == old.n_in or (new.n_out == old.n_out and not isinstance(new, ColumnLayer)):
        return _counted(new.n_out, old.n_out)
    if isinstance(new, ColumnLayer) and isinstance(old, ColumnLayer):
        if isinstance(new, Embedding) and ours[: old.n_in] != theirs:  # its tables are called by the places of columns
            return (), theirs
        return new.names_behind(ours), old.names_behind(theirs)
    if isinstance(new, Members):
        return _beside([ours] * new.members), _beside([theirs] * new.members)
    if isinstance(new, (Gated, MeanOfMembers)):
        return _folded(new, old, columns)
    follows = new.n_in == new.n_out and old.n_in == old.n_out
    return columns if follows else ((), theirs)


def _folded(new: Layer, old: Layer, columns: Pair) -> Pair:
    """Return what columns are called where parts of them, side by side, are one: as they are for most layers."""
    parts = 2 if isinstance(new, Gated) else 1
    if isinstance(new, (BatchEnsemble, MeanOfMembers)):
        parts = new.members
    elif isinstance(new, GroupedDense):
        parts = new.groups
    if parts == 1:
        return columns
    ours, theirs = (
        _joined([names[i * n_in // parts : (i + 1) * n_in // parts] for i in range(parts)])
        for names, n_in in zip(columns, (new.n_in, old.n_in), strict=True)
    )
    return ours, theirs


def _counted(ours: int, theirs: int) -> Pair:
    """Return the names of columns that are called by their places: of as many, the same object."""
    names = _places_below(1 << max(ours, theirs).bit_length())
    first = names[:ours]
    return first, first if ours == theirs else names[:theirs]


@lru_cache(8)
def _places_below(n: int) -> Names:
    return tuple(map(str, range(n)))


def _beside(parts: Sequence[Names]) -> Names:
    return tuple(f"{i}.{name}" for i, names in enumerate(parts) for name in names)


def _joined(parts: Sequence[Names]) -> Names:
    return tuple(map(" ".join, zip(*parts, strict=True)))


def _places(ours: Names, theirs: Names) -> Sequence[int] | None:
    """Return where in the new net the columns of the old one stand, as a range where these come first; None where one
    is not there.
    """
    if ours is theirs or ours[: len(theirs)] == theirs:
        return range(len(theirs))
    found: list[int] = []
    for i, name in enumerate(ours):
        if len(found) < len(theirs) and name == theirs[len(found)]:
            found.append(i)
    return found if len(found) == len(theirs) else None


# -- what is copied there ---------------------------------------------------------------------------------------------


def _copy(own: Parts, others: Parts, axes: Axes) -> None:
    for place, (layer, array) in own.items():
        if place in others:
            other = others[place][1]
            index = _index(layer, array.shape, other.shape, axes.get(id(layer), []))
            come_first = all(isinstance(places, range) for places in index)
            array[tuple(map(slice, other.shape)) if come_first else np.ix_(*index)] = other


def _index(layer: Layer, ours: tuple[int, ...], theirs: tuple[int, ...], axes: list[Axis]) -> list[Sequence[int]]:
    """Return where along each axis of an array the numbers of the old one stand."""
    index: list[Sequence[int]] = []
    for i, sizes in enumerate(zip(ours, theirs, strict=True)):
        likely = axes if i == 0 and len(ours) > 1 else reversed(axes)  # weights are (inputs, units)
        unchanged = range(sizes[0]) if sizes[0] == sizes[1] else None
        places = next((places for of, places in likely if of == sizes), unchanged)
        if places is None:
            raise ValueError(
                f"{layer.title}: where features appear an array of shape {theirs} becomes {ours}, expected axes to "
                f"grow that are of its inputs or outputs: {_CURE}"
            )
        index.append(places)
    return index


def _arrays(tree: Tree) -> Parts:
    return {
        (i, name): (layer, array)
        for i, layer in enumerate(tree.all)
        for name, array in (layer.parameters | layer.states).items()
    }


def _parameters(flat: Array, tree: Tree) -> Parts:
    """Return the parts of a flat array that belong to the parameters, in their shapes."""
    return {
        entry.name: (entry.layer, flat.reshape(-1)[entry.start : entry.stop].reshape(entry.shape))
        for entry in tree.entries()
    }


def _running(flat: Array, tree: Tree) -> Parts:
    """Return the parts of a flat array that belong to the running averages of layers."""
    places = [(i, name) for i, layer in enumerate(tree.all) for name in layer.running]
    views = views_of(flat, running_of(tree.all))
    return {place: (tree.all[place[0]], view) for place, view in zip(places, views, strict=True)}

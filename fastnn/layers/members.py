"""Whose columns are whose: layers of an ensemble inside a net have to be of as many members as what comes before."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn.layers.containers import Branches, Parallel
from fastnn.layers.contract import Layer
from fastnn.layers.dense import Dense
from fastnn.layers.ensemble import BatchEnsemble, MeanOfMembers, Members
from fastnn.layers.function import Lambda
from fastnn.layers.gated import Gated
from fastnn.layers.grouped import GroupedDense
from fastnn.layers.inputs import Adapting, ColumnLayer, branches_of, row_of
from fastnn.layers.maxout import Maxout
from fastnn.layers.periodic import OfNumbers
from fastnn.signatures import is_ours

_NOT_KNOWN = 0  # of how many members columns are: inside and behind the code of a user


def check_members(layers: Sequence[Layer], before: int | None = None) -> int | None:
    """Refuse layers of other numbers of members than their columns have; return how many those behind have, if any.

    Columns become those of members by `Members`, and stay so in all that takes each as it is; so it needs no build.
    """
    for layer in layers:
        before = _behind(layer, before)
    return before


def _behind(layer: Layer, before: int | None) -> int | None:
    if isinstance(layer, Members):
        return layer.members * (before or 1)
    if isinstance(layer, (BatchEnsemble, GroupedDense, MeanOfMembers)):
        return _checked(layer, before)
    row = row_of(layer)
    if row is not None and layer not in row:
        return check_members(row, before)
    if isinstance(layer, Lambda) or not is_ours(type(layer)):
        before = _NOT_KNOWN
    found = [check_members(branch, before) for branch in branches_of(layer)]
    if isinstance(layer, Branches):
        return None if isinstance(layer, Parallel) or len({*found}) > 1 else found[0]
    chooses = isinstance(layer, ColumnLayer) and not isinstance(layer, (Adapting, OfNumbers))
    return None if chooses or isinstance(layer, (Dense, Maxout, Gated)) else before


def _checked(layer: BatchEnsemble | GroupedDense | MeanOfMembers, before: int | None) -> int | None:
    own, what = (layer.groups, "groups") if isinstance(layer, GroupedDense) else (layer.members, "members")
    if before and before != own:
        raise ValueError(
            f"{layer.title}: {what} is {own}, but its columns are those of {before} members, expected {what}={before}"
        )
    if isinstance(layer, BatchEnsemble):
        if before is None and own > 1:
            raise ValueError(
                f"{layer.title}: its inputs are not those of {own} members, and would be split among them: put "
                f"Members({own}) before it"
            )
        return own if layer.activation is None else check_members((layer.activation,), own)
    return before if isinstance(layer, GroupedDense) else None

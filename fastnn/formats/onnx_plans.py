"""Layers that will be made of what an ONNX file holds, and how steps lead to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import layers
from fastnn.arena import Array
from fastnn.formats.onnx_steps import Step
from fastnn.layers.contract import Layer


class Plan:
    """A layer that will be made, with its numbers.

    Parameters
    ----------
    kind : type
    given : tuple
    options : dict
        What it is made with.
    arrays : dict of ndarray
        Its parameters and states.
    rows : sequence of list of Plan, or None
        Of a layer of layers: of each branch, or of the one row.
    """

    __slots__ = ("arrays", "given", "kind", "options", "rows")

    def __init__(
        self,
        kind: type,
        given: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
        arrays: dict[str, Array] | None = None,
        rows: Sequence[list[Plan]] | None = None,
    ) -> None:
        self.kind, self.given, self.options, self.arrays, self.rows = kind, given, options or {}, arrays or {}, rows

    def make(self, pairs: list[tuple[Layer, dict[str, Array]]]) -> Layer:
        """Return the layer, and append it to the pairs of layers and their arrays."""
        given = self.given
        if self.rows is not None:
            made = [_one([plan.make(pairs) for plan in row]) for row in self.rows]
            is_row = self.kind is layers.Residual and type(made[0]) is layers.Sequential
            given = (list(made[0].layers) if is_row else made,)
        layer: Layer = self.kind(*given, **self.options)
        if self.arrays:
            pairs.append((layer, self.arrays))
        return layer


def _one(row: list[Layer]) -> Any:
    return row[0] if len(row) == 1 else layers.Sequential(row) if row else layers.Identity()


Join = Callable[[list[list[Plan]], Step, Step], list[Plan]]


class Merge:
    """What a step is: layers behind one other step, or a join of several.

    Attributes
    ----------
    inputs : tuple of Step
    join : callable or None
        Makes layers of what leads to each of the inputs.
    plans : callable
        Returns the layers; anew each time.
    holds_numbers : bool
        Whether these have parameters of the file.
    """

    __slots__ = ("holds_numbers", "inputs", "join", "plans")

    def __init__(self, inputs: tuple[Step, ...], join: Join | None, plans: Callable[[], list[Plan]]) -> None:
        self.inputs, self.join, self.plans = inputs, join, plans
        self.holds_numbers = join is None and any(plan.arrays for plan in plans())

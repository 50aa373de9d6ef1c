"""What losses of this package can do besides: sums and single losses, weights of outputs, targets that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.checks import number, number_of, shown
from fastnn.losses.contract import Loss
from fastnn.settings import OneOf

Mask = NDArray[np.bool_]
_USUAL = {"reduction": "mean", "missing": "raise", "_output_weights": None}


class Reduced(Loss):
    """A loss of this package: `MSE` says what its settings are."""

    constants: tuple[str, ...] = ("reduction",)
    of_rows: ClassVar[bool] = False  # whether a row has one loss
    element_weights: ClassVar[bool] = True  # whether each target has a share in the loss, which may be weighted

    reduction: Any = OneOf("mean", "sum", "none")
    missing: Any = OneOf("raise", "ignore")

    def _prepare(self) -> None:
        self.__dict__.update(_USUAL)

    def __init__(
        self, *, reduction: str = "mean", output_weights: Sequence[float] | None = None, missing: str = "raise"
    ) -> None:
        super().__init__()
        if reduction != "mean" or missing != "raise" or output_weights is not None:  # others are prepared
            self.reduction, self.missing, self.output_weights = reduction, missing, output_weights

    @property
    def output_weights(self) -> tuple[float, ...] | None:
        """What the outputs weigh."""
        weights: tuple[float, ...] | None = self.__dict__["_output_weights"]
        return weights

    @output_weights.setter
    def output_weights(self, weights: Sequence[float] | None) -> None:
        where = f"{type(self).__name__}: output_weights"
        if weights is not None:
            if isinstance(weights, str) or np.ndim(weights) != 1 or not len(weights):
                raise TypeError(f"{where} is {shown(weights)}, expected a number for each output")
            weights = tuple(number(f"{where}[{i}]", weight) for i, weight in enumerate(weights))
            if not any(weights):
                raise ValueError(f"{where} is {shown(weights)}, expected one above 0 at least")
            if self.of_rows:
                raise TypeError(f"{where}: there are none, where a row has one loss")
        self.__dict__["_output_weights"] = weights

    # -- what is computed ---------------------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        return {} if self.reduction == "mean" else {"total": True}

    def _each(self, t: Array, shape: tuple[int, ...]) -> Array | None:
        if self.reduction != "none":
            return None
        if self.of_rows:
            return np.empty(len(t), np.float64)
        return np.empty(shape if t.size == np.prod(shape, dtype=int) else t.shape, np.float64)

    def _single(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, each: Array | None
    ) -> None:
        if each is None:
            super()._single(y, t, weight, dy, value, each)
            return
        if self.is_numpy or type(self)._value_and_grad is not Loss._value_and_grad:
            raise TypeError(f"{self}: its code gives one number: there are no single losses")
        single = np.empty(len(t) if self.of_rows else t.shape, y.dtype)
        self._run(y, t, weight, dy, value, None, each=single)
        each[...] = single.reshape(each.shape)

    def require_one_number(self) -> None:
        if self.reduction == "none":
            raise ValueError(
                f"{self} gives a loss for each {'row' if self.of_rows else 'number'}, and no net trains with that: use "
                "reduction='mean' or 'sum', and weights of rows in place of what would be done to the losses"
            )

    # -- what targets weigh -------------------------------------------------------------------------------------------

    @property
    def takes_target_weights(self) -> bool:
        return self.element_weights and not self.is_numpy

    def read(
        self, t: Any, weight: Array | None, n_out: int, dtype: np.dtype[Any], name: str = "y", known: bool = False
    ) -> tuple[Array, Array | None]:
        if weight is None and name == "y" and not self.weighs():  # nearly always: in each step of a loop of one's own
            return self.targets(t, n_out, dtype), None
        absent = None
        if self._may_miss() or (known and weight is not None and not weight.all()):
            t, absent = self._present(t, weight if known else None, n_out, name)
        target, weight = super().read(t, weight, n_out, dtype, name, known)
        own = self._own_weights(target, n_out, absent, known)
        for factor in (own, None if absent is None else self._share_of_present(absent, known)):
            if factor is not None:
                weight = np.asarray(factor if weight is None else weight * factor, np.float64)
        if weight is not None and len(weight) != len(target):
            weight = np.broadcast_to(weight, (len(target), weight.shape[1]))
        return target, weight

    def weighs(self) -> bool:
        """Whether it has weights of its own, or may leave targets out."""
        get = self.__dict__.get
        return not (
            get("_output_weights") is get("_class_weight") is get("_ignore_index") is None and get("missing") == "raise"
        )

    @property
    def may_leave_out(self) -> bool:
        return self._may_miss()

    def relative(self, weight: Array, target: Array) -> Array:
        return super().relative(weight, target) if self.reduction == "mean" else weight

    def _may_miss(self) -> bool:
        """Whether targets may be missing."""
        return bool(self.missing == "ignore")

    def _present(self, t: Any, weight: Array | None, n_out: int, name: str) -> tuple[Array, Mask | None]:
        """Return targets in which others stand where some are missing or weigh nothing, and where that is."""
        array = as_array(t, name)
        column = array[:, None] if array.ndim == 1 else array
        if column.ndim != 2 or not column.size:
            return array, None
        absent: Any = self._absent(column) if self._may_miss() else np.zeros((len(column), 1), bool)
        if weight is not None and len(weight) == len(column) and weight.shape[1] in (1, column.shape[1]):
            nothing = weight == 0
            absent = absent | (nothing.all(axis=1, keepdims=True) if self.of_rows else nothing)
        if self.of_rows or not self.takes_target_weights:
            absent = absent.any(axis=1, keepdims=True)
        if not absent.any():
            return array, None
        if absent.all():
            raise ValueError(f"{name}: all targets are missing, or weigh nothing: there is nothing to learn")
        places = np.broadcast_to(absent, column.shape)
        filled, of_rows = column.copy(), absent.shape[1] == 1
        first = column[int(np.argmin(absent))] if of_rows else column[~places][0]
        for j in range(column.shape[1]):
            there = column[~places[:, j], j]
            filled[places[:, j], j] = first[j] if of_rows else there[0] if len(there) else first
        return filled.reshape(array.shape), absent

    def _absent(self, column: Array) -> Mask:
        """Return which targets (rows, columns) are missing."""
        return np.isnan(column) if column.dtype.kind == "f" else np.zeros(column.shape, bool)

    def _share_of_present(self, absent: Mask, known: bool) -> Array:
        """Return weights that leave out what is absent; in a single step those of others make up for it."""
        present = (~absent).astype(np.float64)
        return present if known or self.reduction != "mean" else present / present.mean()

    def _own_weights(self, target: Array, n_out: int, absent: Mask | None, known: bool) -> Array | None:
        """Return weights (rows or 1, columns or 1) that this loss has by itself."""
        weights = self.output_weights
        if weights is None:
            return None
        if target.ndim != 2 or not self.takes_target_weights:
            raise TypeError(
                f"{self}: output_weights, where a row has one target or one loss: there is nothing to weigh"
            )
        if len(weights) != target.shape[1]:
            raise ValueError(
                f"{self}: output_weights has {number_of(len(weights), 'number')}, expected {target.shape[1]}, one for "
                "each column of the targets"
            )
        row = np.array(weights)[None, :]
        return row / row.mean() if self.reduction == "mean" else row

"""Constraints: sets to which parameters are brought back behind each step of an optimizer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.layers.selection import Selection
from fastnn.settings import Cell, Number, forms_of, instead_of, made

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.layers import Layer

_ZERO, _ONE, _INFINITY = np.zeros(1), np.ones(1), np.array([np.inf])


class Constraint(Selection):
    """A set to which some parameters of a model are brought back behind each step: one of its `constraints`.

    The first weights are left as they are until then, as in Keras, and frozen parameters always. Where gradients are
    accumulated, a step is that of several batches.

    One of your own is a subclass with ``project(self, w)``, in NumPy, which changes one array of parameters in place.

    Parameters
    ----------
    which : str or Layer
        A kind of parameters ("weights", "biases" or "norms"), a pattern for names such as "0.w" or "2.*", or a layer:
        all that is in it.

    Examples
    --------
    >>> from fastnn import Constraint, Dense, Model
    >>> class ZeroSum(Constraint):  # of the weights of each unit
    ...     def project(self, w):
    ...         w -= w.mean(axis=0)
    >>> net = Model([Dense(4, "tanh"), Dense(1)], constraints=[ZeroSum("0.w")])
    """

    @property
    def is_numpy(self) -> bool:
        """Whether its code is NumPy."""
        form = forms_of(type(self), Constraint, "project", "_project")
        if form.cls is None:
            raise _no_projection(type(self))
        return form.is_numpy

    def project(self, w: Any) -> None:
        """Bring one array of parameters back, in place: the kernel, run now."""
        if not isinstance(w, np.ndarray) or w.dtype not in (np.float32, np.float64) or not w.flags.c_contiguous:
            raise TypeError(
                f"{type(self).__name__}: w is {shown(w)}, expected a contiguous array of float32 or float64"
            )
        self._project(w, None)

    def _project(self, w: Array, tape: Tape | None) -> None:
        raise _no_projection(type(self))

    def record(self, w: Array, tape: Tape) -> None:
        """Record what brings an array of parameters back."""
        if self.is_numpy:
            tape.call(lambda: self._in_numpy(w))
        else:
            self._project(w, tape)

    def _in_numpy(self, w: Array) -> None:
        returned = self.project(w)  # type: ignore[func-returns-value]
        if returned is not None:
            raise TypeError(f"{self}: project returned {type(returned).__name__}: change the array in place")


def _no_projection(kind: type) -> TypeError:
    instead = instead_of("project", kind, Constraint, ("__call__", "call", "apply"))
    return TypeError(f"{kind.__name__} has no project: define project(self, w), which changes w in place{instead}")


class _OfNorms(Constraint):
    """Norms of columns, or of rows, within bounds: those of subclasses."""

    _low: Cell = _ZERO
    _rate: Cell = _ONE

    def __init__(self, which: str | Layer, axis: int) -> None:
        super().__init__(which)
        self.axis = axis

    @property
    def axis(self) -> int:
        """Along which norms are taken: 0 for those of columns, 1 for those of rows."""
        return int(self.__dict__["_axis"])

    @axis.setter
    def axis(self, value: int) -> None:
        if isinstance(value, bool) or value not in (0, 1):
            raise ValueError(
                f"{type(self).__name__}: axis is {shown(value)}, expected 0, for what comes into each unit, or 1, for "
                "what goes out from each input"
            )
        self.__dict__["_axis"] = int(value)

    @property
    def structure(self) -> tuple[Any, ...]:
        return self.which, self.axis

    @abstractmethod
    def _bounds(self) -> tuple[Cell, Cell, Cell]:
        """Return the cells of the least and the largest norm, and of the rate."""

    def _project(self, w: Array, tape: Tape | None) -> None:
        k = kernels.of(w.dtype)
        if w.ndim == 1:  # biases: the norm of all
            k.bound_row_norms(w[None], *self._bounds(), tape)
        else:
            bound = k.bound_column_norms if self.axis == 0 else k.bound_row_norms
            bound(w.reshape(-1, w.shape[-1]), *self._bounds(), tape)


def _require_order(part: Constraint, name: str, value: Any) -> None:
    """Raise ValueError for a `low` above `high`."""
    bounds: dict[str, float] = {side: part._cells[side].item() for side in ("low", "high") if side in part._cells}
    if name in ("low", "high") and isinstance(value, (int, float)):
        bounds[name] = value
        if bounds.get("low", -np.inf) > bounds.get("high", np.inf):
            raise ValueError(
                f"{type(part).__name__}: low is {bounds['low']:g} and high {bounds['high']:g}, expected low <= high"
            )


class MaxNorm(_OfNorms):
    """w *= min(1, limit / norm), for the weights that come into each unit (Srebro & Shraibman 2005).

    Keras divides by norm + 1e-7. PyTorch has ``torch.renorm``.

    Parameters
    ----------
    limit : float
        Above 0.
    which : str or Layer
        As of `Constraint`.
    axis : {0, 1}
        Norms are those of the columns of w, of shape (n_in, units): what comes into each unit. With 1 they are those of
        rows: what goes out from each input. Of biases, it is the norm of all.

    Examples
    --------
    >>> from fastnn import Dense, MaxNorm, Model
    >>> net = Model([Dense(64, "relu"), Dense(1)], constraints=[MaxNorm(3.0)])
    """

    limit: Any = Number(above=0.0)

    def __init__(self, limit: float = 2.0, which: str | Layer = "weights", axis: int = 0) -> None:
        super().__init__(which, axis)
        self.limit = limit

    def _bounds(self) -> tuple[Cell, Cell, Cell]:
        return _ZERO, self.cell("limit"), _ONE


class UnitNorm(_OfNorms):
    """w /= norm, for the weights that come into each unit (Salimans & Kingma 2016); those that are all 0 stay.

    Keras divides by norm + 1e-7.

    Parameters
    ----------
    which : str or Layer
        As of `Constraint`.
    axis : {0, 1}
        As of `MaxNorm`.

    Examples
    --------
    >>> from fastnn import Dense, Model, UnitNorm
    >>> net = Model([Dense(64, "relu"), Dense(1)], constraints=[UnitNorm("0.w")])
    """

    def __init__(self, which: str | Layer = "weights", axis: int = 0) -> None:
        super().__init__(which, axis)

    def _bounds(self) -> tuple[Cell, Cell, Cell]:
        return _ONE, _ONE, _ONE


class MinMaxNorm(_OfNorms):
    """Norms come to rate * min(max(norm, low), high) + (1 - rate) * norm: Keras's ``MinMaxNorm``.

    Weights that are all 0 stay. Keras divides by norm + 1e-7.

    Parameters
    ----------
    low, high : float
        At least 0, and low not above high.
    rate : float
        From 0 to 1: with 1 norms are within the bounds behind each step, with less they come nearer to them.
    which : str or Layer
        As of `Constraint`.
    axis : {0, 1}
        As of `MaxNorm`.

    Examples
    --------
    >>> from fastnn import Dense, MinMaxNorm, Model
    >>> net = Model([Dense(64, "relu"), Dense(1)], constraints=[MinMaxNorm(0.5, 2.0, rate=0.1)])
    """

    low: Any = Number()
    high: Any = Number()
    rate: Any = Number(below=1.0 + 2**-52)  # 1 is the largest number below

    def __init__(
        self, low: float = 0.0, high: float = 1.0, rate: float = 1.0, which: str | Layer = "weights", axis: int = 0
    ) -> None:
        super().__init__(which, axis)
        self.high, self.low, self.rate = high, low, rate

    def __setattr__(self, name: str, value: Any) -> None:
        _require_order(self, name, value)
        super().__setattr__(name, value)

    def _bounds(self) -> tuple[Cell, Cell, Cell]:
        return self.cell("low"), self.cell("high"), self.cell("rate")


class Box(Constraint):
    """w = min(max(w, low), high): projected gradient descent (Bertsekas 1976); with ± 0.01, the clipping of WGAN.

    Parameters
    ----------
    low, high : float
        Of any sign, low not above high.
    which : str or Layer
        As of `Constraint`.

    Examples
    --------
    >>> from fastnn import Box, Dense, Model
    >>> net = Model([Dense(64, "relu"), Dense(1)], constraints=[Box(-0.01, 0.01, "*")])
    """

    low: Any = Number(above=-float("inf"))
    high: Any = Number(above=-float("inf"))

    def __init__(self, low: float = -1.0, high: float = 1.0, which: str | Layer = "weights") -> None:
        super().__init__(which)
        self.high, self.low = high, low

    def __setattr__(self, name: str, value: Any) -> None:
        _require_order(self, name, value)
        super().__setattr__(name, value)

    def _project(self, w: Array, tape: Tape | None) -> None:
        kernels.of(w.dtype).bound(w.reshape(-1), self.cell("low"), self.cell("high"), tape)


class NonNegative(Constraint):
    """w = max(w, 0) (Lawson & Hanson 1974): outputs that only grow with inputs, parts that only add up.

    Parameters
    ----------
    which : str or Layer
        As of `Constraint`.

    Examples
    --------
    >>> from fastnn import Dense, Model, NonNegative
    >>> net = Model([Dense(64, "softplus"), Dense(1)], constraints=[NonNegative()])  # a growing function
    """

    def __init__(self, which: str | Layer = "weights") -> None:
        super().__init__(which)

    def _project(self, w: Array, tape: Tape | None) -> None:
        kernels.of(w.dtype).bound(w.reshape(-1), _ZERO, _INFINITY, tape)


_BY_NAME: dict[str, Callable[[], Constraint]] = {
    "max_norm": MaxNorm,
    "unit_norm": UnitNorm,
    "min_max_norm": MinMaxNorm,
    "non_negative": NonNegative,
    "non_neg": NonNegative,
    "box": Box,
}


def get(constraint: str | Constraint) -> Constraint:
    """Return a new constraint of that name, or the constraint itself."""
    found: Constraint = made("constraint", constraint, Constraint, _BY_NAME)
    return found

"""Normalization: columns of data brought to unit scale, by what is fitted once and kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.arrays import parts_of
from fastnn.checks import flag, is_iterable, lookup, shown
from fastnn.layers.declarations import Code
from fastnn.layers.inputs import CODE, MISSING, NUMBER, Adapting, Kinds, require_column
from fastnn.layers.passes import Run
from fastnn.tables import Names

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value

_MISSING = {"raise": "raise", "center": "center"}
_FAR = 400  # the exponent from which on squares, or sums of many, may leave the range of float64
_QUARTERS = 0.25, 0.5, 0.75
_CONSTANT = 10 * float(np.finfo(np.float64).eps)  # a standard deviation, beside the mean: all numbers are one


class Normalization(Adapting):
    """y = (x - mean) / std for each column, or (x - median) / (third - first quartile): fitted once, then fixed.

    The first training on data fits it to all of them (train_batch to its first batch, `Model.forward` to its first
    rows), `adapt` to data of your own: Keras's Normalization, whose adapt is called by hand; the formulas are those of
    scikit-learn's StandardScaler and RobustScaler. Before, y is x. Weights of rows count, those of `train_batch` do
    not. A column that is constant becomes 0, whatever it holds later. What is fitted is saved with the model; later
    fits leave it as it is.

    It is a layer of numbers: columns that a layer behind it reads as codes pass unchanged. Behind other layers it is
    fitted to what they make of the data in a prediction, as they are when the training begins.

    Parameters
    ----------
    robust : bool
        Whether to take the median and the quartiles, which outliers do not move. Where these are equal, half of the
        distance from the smallest to the largest number stands for theirs (Holzmüller, Grinsztajn & Steinwart 2024).
        With weights, quantiles are those numbers at which the weights below reach the share; without, NumPy's.
    columns : sequence of int, slice and str, or None
        What is scaled, by numbers, or by names of a data frame's columns; all other columns pass unchanged. None is
        all but those that are read as codes.
    missing : {"raise", "center"}
        What is to become of NaN: data with it are refused, or it becomes 0, the mean or median of what is there.

    Attributes
    ----------
    center, factor : ndarray of shape (n_in,)
        y = (x - center) * factor.
    replacement : ndarray of shape (n_in,)
        What stands for NaN.
    rows : ndarray of shape (1,)
        How many it has been fitted to; 0 before.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, Normalization
    >>> x = np.random.default_rng(0).normal(1000, 50, (200, 3))
    >>> net = Model([Normalization(), Dense(8, "relu"), Dense(1)], seed=0, dtype="float64")
    >>> history = net.fit(x, (x.sum(axis=1) - 3000) / 100, epochs=10)
    >>> bool(np.allclose(net[0].center, x.mean(axis=0)))
    True
    """

    code = Code(saved=("x",), in_place=False)
    gives = "numbers"
    center: Array
    factor: Array
    replacement: Array
    rows: Array
    _scaled: tuple[int, ...]

    def __init__(
        self,
        robust: bool = False,
        *,
        columns: Iterable[int | slice | str] | None = None,
        missing: str = "raise",
    ) -> None:
        super().__init__()
        self.robust = flag("Normalization: robust", robust)
        self.missing = lookup("Normalization: missing", missing, _MISSING)
        if isinstance(columns, (int, np.integer, str, bytes, slice)):
            columns = [columns]  # type: ignore[list-item]
        if columns is not None and not is_iterable(columns):
            raise TypeError(f"Normalization: columns is {shown(columns)}, expected some, as in [0, slice(2, 5), 'age']")
        self.columns = None if columns is None else tuple(columns)
        for column in self.columns or ():
            require_column("Normalization: columns has", column, slices=True)

    def build(self, n_in: int) -> int:
        self.state("center", (n_in,), "zeros")
        self.state("factor", (n_in,), "ones")
        self.state("replacement", (n_in,), _nan)
        self.state("rows", (1,), "zeros", dtype="float64")
        self._scaled = tuple(range(n_in) if self.columns is None else self.places(self.columns, n_in))
        return n_in

    def names_behind(self, names: Names) -> Names:
        return names

    def kinds(self, behind: Kinds) -> Kinds:
        codes = {i for i, kind in enumerate(behind) if kind == CODE}
        if self.columns is None:
            self._scaled = tuple(i for i in range(self.n_in) if i not in codes)
        for i in self._scaled:
            if i in codes:
                raise ValueError(
                    f"{self.title}: columns has {self.name_of(i)}, which a layer behind reads as codes: leave it out"
                )
        own = NUMBER if self.missing == "raise" else MISSING
        scaled = set(self._scaled)
        return [own if i in scaled else kind for i, kind in enumerate(behind)]

    @property
    def waits(self) -> bool:
        """Whether nothing has been fitted, or set by hand."""
        return not self.rows[0] and not self.center.any() and bool((self.factor == 1).all())

    def _may_miss(self) -> NDArray[np.bool_]:
        if self.missing == "center":
            return np.ones(self.n_in, bool)
        return ~np.isin(np.arange(self.n_in), list(self._scaled))

    def fit_to(self, x: Array, weights: Array | None) -> None:
        scaled = list(self._scaled)
        center, factor = np.zeros(self.n_in), np.ones(self.n_in)
        if weights is not None:  # of which only the ratios count: sums of the largest must not overflow
            weights = np.ldexp(weights.astype(np.float64), -int(np.frexp(weights.max())[1]))
        with np.errstate(all="ignore"):
            center[scaled], factor[scaled] = (_quartiles if self.robust else _moments)(x, scaled, weights)
        replacement = np.full(self.n_in, np.nan)
        if self.missing == "center":
            replacement[scaled] = 0
        most = np.finfo(self.factor.dtype).max  # where numbers are that near to 0, the factor may be beyond
        self.center, self.factor, self.replacement = center, np.minimum(factor, most), replacement
        self.rows = np.array([float(len(x))])

    def forget(self) -> None:
        self.center, self.factor = np.zeros(self.n_in), np.ones(self.n_in)
        self.replacement, self.rows = np.full(self.n_in, np.nan), np.zeros(1)

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        self.kernels.normalize_forward(x, self.center, self.factor, self.replacement, y, run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        y = to.scale(to.scale(x, offset=-self.center), self.factor)
        return y if np.isnan(self.replacement).all() else to.fill(x, y, self.replacement)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is not None:
            self.kernels.normalize_backward(x, dy, self.factor, dx, run.tape)


def _nan(shape: tuple[int, ...], rng: Any) -> Array:
    return np.full(shape, np.nan)


def _moments(x: Array, columns: list[int], weights: Array | None) -> tuple[Array, Array]:
    """Return the means, and 1 / the standard deviations, of the numbers that are there; 0 for what is constant.

    Columns whose squares would leave the range of float64 are scaled for it, by powers of two.
    """
    exponents = _exponents(x, columns)
    sums, counts = np.zeros(len(columns)), np.zeros(len(columns))
    for values, weight in _parts(x, columns, weights, exponents):
        there = ~np.isnan(values)
        counts += (weight * there).sum(axis=0)
        sums += np.where(there, weight * values, 0).sum(axis=0)
    means = np.where(counts > 0, sums / counts, 0)
    sums, squares = np.zeros(len(columns)), np.zeros(len(columns))
    for values, weight in _parts(x, columns, weights, exponents):
        distance = np.where(np.isnan(values), 0, values - means)
        sums += (weight * distance).sum(axis=0)
        squares += (weight * np.square(distance)).sum(axis=0)
    rest = np.where(counts > 0, sums / counts, 0)  # what the mean of large numbers has lost
    std = np.sqrt(np.maximum(squares / counts - np.square(rest), 0))
    factors = np.where(std > _CONSTANT * np.abs(means), 1 / std, 0)
    return np.ldexp(means + rest, exponents), np.ldexp(factors, -exponents)


def _exponents(x: Array, columns: list[int]) -> NDArray[np.int64]:
    """Return by which powers of two columns are to be divided: 0 but for very large and very small numbers."""
    largest = np.zeros(len(columns))
    for _, part in parts_of(x):
        largest = np.fmax(largest, np.fmax.reduce(np.abs(part[:, columns].astype(np.float64)), axis=0, initial=0))
    exponents = np.frexp(largest)[1].astype(np.int64)
    return np.where(np.abs(exponents) > _FAR, np.clip(exponents, -1000, 1000), 0)


def _parts(x: Array, columns: list[int], weights: Array | None, exponents: NDArray[np.int64]) -> Any:
    """Yield some rows of these columns at a time, in float64, with what they weigh."""
    for start, part in parts_of(x):
        own = np.ones((len(part), 1)) if weights is None else weights[start : start + len(part), None]
        values = part[:, columns].astype(np.float64)
        yield np.ldexp(values, -exponents) if exponents.any() else values, own.astype(np.float64)


def _quartiles(x: Array, columns: list[int], weights: Array | None) -> tuple[Array, Array]:
    """Return the medians, and 1 / the distances of the quartiles; 0 for what is constant."""
    medians, factors = np.zeros(len(columns)), np.zeros(len(columns))
    for i, column in enumerate(columns):
        values = x[:, column].astype(np.float64)
        there = ~np.isnan(values)
        if weights is not None:
            there &= weights > 0
        values = values[there]
        if not values.size:
            continue
        if weights is None:
            first, medians[i], third = np.quantile(values, _QUARTERS)
        else:
            first, medians[i], third = _weighted(values, weights[there].astype(np.float64))
        distance = third - first or (values.max() - values.min()) / 2
        factors[i] = 1 / distance if distance > 0 else 0
    return medians, factors


def _weighted(values: Array, weights: Array) -> list[float]:
    """Return the quartiles of a weighted sample: where a share is reached exactly, the middle of that and the next."""
    order = np.argsort(values)
    values, reached = values[order], np.cumsum(weights[order])
    reached /= reached[-1]
    found = []
    for share in _QUARTERS:
        i = int(np.searchsorted(reached, share - 1e-12))
        is_exact = reached[i] <= share + 1e-12 and i + 1 < len(values)
        found.append(float((values[i] + values[i + 1]) / 2 if is_exact else values[i]))
    return found

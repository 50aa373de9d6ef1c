"""Numbers from tables: a data frame in, a strong model out, without settings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import column_or_1d

from fastnn.formats.graph import Value
from fastnn.formats.records import Record
from fastnn.formats.table_graph import TableGraph
from fastnn.sklearn.contract import keep
from fastnn.sklearn.explaining import Explanation
from fastnn.sklearn.frames import Floats
from fastnn.sklearn.saving import about, restore, state_of, tried
from fastnn.sklearn.sizes import Sized
from fastnn.sklearn.targets import numbers_to_learn, validation_in


class TabularRegressor(RegressorMixin, Sized):  # type: ignore[misc]
    """Numbers from a table of numbers, categories, dates and missing values: a mean of nets, without settings.

    As `TabularClassifier`; the targets are standardized, one column or several.

    Parameters
    ----------
    preset : {"fast", "balanced", "best"}
        How much is trained: few small nets, some, or many of several forms.
    time_limit : float or None
        Seconds that `fit` may take. It is the one setting by which results depend on the machine.
    scoring : str, callable or None
        A scorer of scikit-learn by which the epoch is chosen; None is the squared error. Callables are called with
        ``(net, X, y)``, rows as they were given, and with ``sample_weight=`` where they have it; the net has `predict`.
        Where it gives no number in any epoch, the squared error chooses, with a warning.
    validation_fraction : float or None
        The share of the rows on which all nets are validated, in place of a part of its own for each; 0 trains on all
        rows, to the last epoch.
    categorical_features : "from_dtype", or sequence of int, str or bool
        Which columns are categories: those of text, booleans and categorical dtype, or also these numbers.
    n_nets : int or None
        How many nets; None is as many as the recipe has.
    random_state : int, RandomState or None
        The same number gives the same bits, on any number of threads.
    n_threads : int or None
        Nets are trained side by side; None takes the cores that the process may use.
    precision : {"bf16"} or None
        Of `Model`: products are rounded to bfloat16, for speed where the processor has AVX512_BF16.
    verbose : bool

    Attributes
    ----------
    target_name_ : str or None
        Of the column that was learnt, where y has a name.
    nets_ : list of Model
    preprocessing_ : Preprocessing
        What becomes of each column: ``print(model.preprocessing_)``.
    recipe_ : Recipe
    n_iter_ : int
        Epochs of the net that was trained longest.
    n_features_in_, feature_names_in_ : int, ndarray
        Columns of the fit: how many, and their names where they have some.
    feature_importances_ : ndarray of shape (n_features_in_,)
        By how much the score of rows that were not trained with falls where a column is permuted.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastnn.sklearn import TabularRegressor
    >>> x, y = load_diabetes(return_X_y=True)
    >>> model = TabularRegressor("fast", random_state=0).fit(x[::2], y[::2])
    >>> bool(model.score(x[1::2], y[1::2]) > 0.3)
    True
    """

    def __init__(
        self,
        preset: str = "balanced",
        *,
        time_limit: float | None = None,
        scoring: Any = None,
        validation_fraction: float | None = None,
        categorical_features: Any = "from_dtype",
        n_nets: int | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        precision: str | None = None,
        verbose: bool | int = False,
    ) -> None:
        keep(self, locals())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> TabularRegressor:
        """Learn from rows.

        Parameters
        ----------
        X : data frame of pandas or polars, or array_like of shape (rows, columns)
        y : array_like of shape (rows,) or (rows, targets)
        sample_weight : array_like of shape (rows,) or None
            A row of weight 2 counts as two rows; one of weight 0 is left out.
        validation_data : tuple (X, y) or (X, y, sample_weight), or None
            On which the epoch is chosen; then all rows of X are trained with.
        """
        self._fit(X, y, sample_weight, validation_data)
        return self

    def _take_targets(self, y: Any, n: int) -> Any:
        y = numbers_to_learn(self, y, n)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._one_column = y.ndim == 1
        return y.reshape(len(y), -1)

    def _require_targets(self, target: Any) -> None:
        """Any numbers do."""

    def _scale_targets(self, target: Any, weight: Floats | None) -> None:
        self._mean = np.average(target, axis=0, weights=weight)
        size = np.abs(target - self._mean).max(axis=0)
        size = np.where(size > 0, size, 1.0)  # whose square may be beyond what there is
        spread = size * np.sqrt(np.average(np.square((target - self._mean) / size), axis=0, weights=weight))
        self._spread = np.where(spread > 1e-12 * np.abs(self._mean), spread, 1.0)
        self._range = target.min(axis=0), target.max(axis=0)

    def _learnt(self, target: Any) -> Any:
        return ((target - self._mean) / self._spread).astype(self._dtype)

    def _outputs(self, target: Any) -> int:
        return int(target.shape[1])

    def _validation(self, given: Any) -> Any:
        if given is None:
            return None
        x, y, *weight = validation_in(self, given)
        matrix = self._read(x)
        y = numbers_to_learn(self, y, len(matrix)).reshape(len(matrix), -1)
        if y.shape[1] != len(self._mean):
            raise ValueError(
                f"{self._name}: validation_data: y has {y.shape[1]} targets, expected {len(self._mean)}, as in the fit"
            )
        return (matrix, self._learnt(y), *weight)

    def _as_given(self, y: Any) -> Any:
        y = np.asarray(y, np.float64) * self._spread + self._mean
        return y[:, 0] if self._one_column else y

    def _predicted(self, outputs: Floats) -> Any:
        y = outputs * self._spread + self._mean
        if self.recipe_.clip:
            y = np.clip(y, *self._range)
        return y[:, 0] if self._one_column else y

    # -- what is saved ------------------------------------------------------------------------------------------------

    def _state(self, rows: bool) -> dict[str, Any]:
        return {
            "one_column": self._one_column,
            "mean": self._mean,
            "spread": self._spread,
            "least": self._range[0],
            "most": self._range[1],
            **state_of(self, rows),
            **self._state_of_intervals(),
        }

    @classmethod
    def _restored(cls, settings: dict[str, Any], record: Record) -> Any:
        found = cls(**settings)
        found._one_column = record.flag("one_column")
        found._mean = record.array("mean", np.float64, 1 if found._one_column else None)
        n = len(found._mean)
        found._spread = record.array("spread", np.float64, n)
        found._range = record.array("least", np.float64, n), record.array("most", np.float64, n)
        restore(found, record, n)
        found._restore_intervals(record)
        return tried(found)

    def _about(self) -> list[list[str]]:
        held = 0 if self._residuals is None else len(self._residuals.scores)
        return about(self, ("targets", f"{len(self._mean)}"), ("residuals for intervals", f"{held}"))

    # -- scores -------------------------------------------------------------------------------------------------------

    def _score(self, outputs: Floats, targets: Any, weight: Floats | None) -> float:
        return float(r2_score(targets, outputs, sample_weight=weight))

    def explain(self, row: Any, target: int = 0) -> Explanation:
        """Return what each column adds to the prediction, in units of the target, by integrated gradients.

        Parameters
        ----------
        row : one row
            A frame with one row, numbers and texts in the order of the columns, or a dict or series by their names.
        target : int
            Which target, where there are several.
        """
        matrix = self._one(row)
        if not isinstance(target, (int, np.integer)) or not 0 <= target < self._task.outputs:
            raise ValueError(f"explain: target is {target!r}, expected a number below {self._task.outputs}")
        spread, mean = float(self._spread[target]), float(self._mean[target])

        def value(outputs: Floats) -> tuple[Floats, Floats]:
            slope = np.zeros_like(outputs)
            slope[:, target] = spread
            return outputs[:, target] * spread + mean, slope

        return self._explained(matrix, value, "units of y")

    def predict(self, X: Any) -> Any:
        """Return the mean of what the nets say of each row.

        Parameters
        ----------
        X : data frame or array_like of shape (rows, columns)
            With the columns of the fit.

        Returns
        -------
        ndarray of shape (rows,) or (rows, targets)
            In units of the targets.
        """
        matrix = self._matrix(X)
        return self._predicted(self._outputs_of(self.nets_, matrix).mean(axis=0))

    def _graph(self, x: Value, to: TableGraph, labels: bool) -> None:
        y = to.scale(self._graph_of_nets(x, to), self._spread, self._mean)
        if self.recipe_.clip:
            y = to.clip(y, *self._range)
        to.output(y, self.target_name_ or "variable", (y.n,))

"""Estimators for tables: a data frame in, a strong model out, without settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from fastnn.sklearn.calibration import at_temperature, temperature_for
from fastnn.sklearn.ensemble import Job, Matrix, Tabular, held_out, targets_in, validation_in
from fastnn.sklearn.frames import Floats


class TabularClassifier(ClassifierMixin, Tabular):  # type: ignore[misc]
    """Classes from a table of numbers, categories, dates and missing values: a mean of nets, without settings.

    The nets are RealMLP's (Holzmüller, Grinsztajn & Steinwart 2024) in the size that the preset and the number of rows
    say. Each is validated on rows of its own and returns to its last best epoch; the probabilities are at the
    temperature that makes the log loss of those rows least, where one helps.

    Parameters
    ----------
    preset : {"fast", "balanced", "best"}
        How much is trained: one small net, some, or many large ones.
    time_limit : float or None
        Seconds that `fit` may take. It is the one setting by which results depend on the machine.
    scoring : str, callable or None
        A scorer of scikit-learn by which the epoch is chosen; None is the log loss.
    validation_fraction : float or None
        The share of the rows on which all nets are validated, in place of a part of its own for each; 0 trains on all
        rows, to the last epoch.
    categorical_features : "from_dtype", or sequence of int, str or bool
        Which columns are categories: those of text, booleans and categorical dtype, or also these numbers.
    class_weight : dict, "balanced" or None
        What rows of classes weigh in training.
    n_nets : int or None
        How many nets; None is as many as the recipe has.
    random_state : int, RandomState or None
        The same number gives the same bits, on any number of threads.
    n_threads : int or None
        Nets are trained side by side; None takes the cores that the process may use.
    verbose : bool

    Attributes
    ----------
    classes_ : ndarray
    nets_ : list of Model
    preprocessing_ : Preprocessing
        What becomes of each column: ``print(model.preprocessing_)``.
    recipe_ : Recipe
    temperature_ : float
        1 where probabilities are as the nets gave them.
    n_iter_ : int
        Epochs of the net that was trained longest.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn.sklearn import TabularClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> model = TabularClassifier("fast", random_state=0).fit(x[::2], y[::2])
    >>> bool(model.score(x[1::2], y[1::2]) > 0.9)
    True
    """

    _of_classes = True

    def __init__(
        self,
        preset: str = "balanced",
        *,
        time_limit: float | None = None,
        scoring: Any = None,
        validation_fraction: float | None = None,
        categorical_features: Any = "from_dtype",
        class_weight: Any = None,
        n_nets: int | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: bool | int = False,
    ) -> None:
        super().__init__(
            preset,
            time_limit=time_limit,
            scoring=scoring,
            validation_fraction=validation_fraction,
            categorical_features=categorical_features,
            n_nets=n_nets,
            random_state=random_state,
            n_threads=n_threads,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> TabularClassifier:
        """Learn from rows.

        Parameters
        ----------
        X : data frame of pandas or polars, or array_like of shape (rows, columns)
        y : array_like of shape (rows,)
            Labels: numbers or text.
        sample_weight : array_like of shape (rows,) or None
            A row of weight 2 counts as two rows; one of weight 0 is left out.
        validation_data : tuple (X, y) or (X, y, sample_weight), or None
            On which the epoch is chosen, and the temperature; then all rows of X are trained with.
        """
        self._fit(X, y, sample_weight, validation_data)
        return self

    def _take_targets(self, y: Any, n: int) -> Any:
        y = targets_in(self, y, n)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        return labels.reshape(-1)

    def _require_targets(self, target: Any) -> None:
        if len(np.unique(target)) < 2:
            raise ValueError(
                f"{self._name}: y has one class, {self.classes_.tolist()[target[0]]!r}, expected two at least among "
                "the rows that weigh something"
            )

    def _by_class(self, y: Any, weight: Floats | None) -> Floats | None:
        if self.class_weight is None:
            return weight
        of_classes: Floats = compute_sample_weight(self.class_weight, np.asarray(y).ravel())
        return of_classes if weight is None else of_classes * weight

    def _scale_targets(self, target: Any, weight: Floats | None) -> None:
        """Labels have no scale."""

    def _learnt(self, target: Any) -> Any:
        return target

    def _outputs(self, target: Any) -> int:
        return len(self.classes_)

    def _validation(self, given: Any) -> Any:
        if given is None:
            return None
        x, y, *weight = validation_in(self, given)
        matrix = self.preprocessing_.transform(self._table(x, False)).astype(self._dtype, copy=False)
        y = column_or_1d(targets_in(self, y, len(matrix)))
        places = np.searchsorted(self.classes_, y)
        known = places < len(self.classes_)
        known[known] = self.classes_[places[known]] == y[known]
        if not known.all():
            odd = y[~known].tolist()[0]
            raise ValueError(f"validation_data: y has {odd!r}, expected classes of the fit: {self.classes_}")
        return (matrix, places, *weight)

    def _as_given(self, y: Any) -> Any:
        return self.classes_[y]

    def _predicted(self, outputs: Floats) -> Any:
        return self.classes_[outputs.argmax(axis=1)]

    def _after(self, jobs: Sequence[Job], data: Any, target: Any, given: Any) -> None:
        self.temperature_ = 1.0
        judged = held_out(self, jobs, data, given)
        if judged is not None:
            outputs, labels, weight = judged
            self.temperature_ = temperature_for(outputs, labels, weight)

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, in the order of `classes_`."""
        return self._outputs_of_all(self._matrix(X))

    def _outputs_of_all(self, matrix: Matrix) -> Floats:
        found: Floats = np.mean(
            [at_temperature(outputs, self.temperature_) for outputs in self._outputs_of(self.nets_, matrix)], axis=0
        )
        found /= found.sum(axis=1, keepdims=True)
        return found

    def predict_log_proba(self, X: Any) -> Floats:
        """Return the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            found: Floats = np.log(self.predict_proba(X))
        return found

    def predict(self, X: Any) -> Any:
        """Return the most likely class of each row."""
        return self._predicted(self.predict_proba(X))


class TabularRegressor(RegressorMixin, Tabular):  # type: ignore[misc]
    """Numbers from a table of numbers, categories, dates and missing values: a mean of nets, without settings.

    As `TabularClassifier`; the targets are standardized, one column or several.

    Parameters
    ----------
    preset : {"fast", "balanced", "best"}
        How much is trained: one small net, some, or many large ones.
    time_limit : float or None
        Seconds that `fit` may take. It is the one setting by which results depend on the machine.
    scoring : str, callable or None
        A scorer of scikit-learn by which the epoch is chosen; None is the squared error.
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
    verbose : bool

    Attributes
    ----------
    nets_ : list of Model
    preprocessing_ : Preprocessing
        What becomes of each column: ``print(model.preprocessing_)``.
    recipe_ : Recipe
    n_iter_ : int
        Epochs of the net that was trained longest.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastnn.sklearn import TabularRegressor
    >>> x, y = load_diabetes(return_X_y=True)
    >>> model = TabularRegressor("fast", random_state=0).fit(x[::2], y[::2])
    >>> bool(model.score(x[1::2], y[1::2]) > 0.3)
    True
    """

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
        y = targets_in(self, y, n)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._name}: y holds what is no number: {error}") from None
        if not np.isfinite(y).all():
            raise ValueError(f"{self._name}: Input y contains NaN or infinity: leave such rows out")
        self._one_column = y.ndim == 1
        return y.reshape(len(y), -1)

    def _require_targets(self, target: Any) -> None:
        """Any numbers do."""

    def _scale_targets(self, target: Any, weight: Floats | None) -> None:
        self._mean = np.average(target, axis=0, weights=weight)
        spread = np.sqrt(np.average(np.square(target - self._mean), axis=0, weights=weight))
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
        matrix = self.preprocessing_.transform(self._table(x, False)).astype(self._dtype, copy=False)
        y = np.asarray(targets_in(self, y, len(matrix)), np.float64)
        return (matrix, self._learnt(y.reshape(len(y), -1)), *weight)

    def _as_given(self, y: Any) -> Any:
        y = np.asarray(y, np.float64) * self._spread + self._mean
        return y[:, 0] if self._one_column else y

    def _predicted(self, outputs: Floats) -> Any:
        y = outputs * self._spread + self._mean
        if self.recipe_.clip:
            y = np.clip(y, *self._range)
        return y[:, 0] if self._one_column else y

    def _after(self, jobs: Sequence[Job], data: Any, target: Any, given: Any) -> None:
        """Keep the residuals of rows that were not trained with."""

    def predict(self, X: Any) -> Any:
        """Return the mean of what the nets say of each row."""
        matrix = self._matrix(X)
        return self._predicted(self._outputs_of(self.nets_, matrix).mean(axis=0))

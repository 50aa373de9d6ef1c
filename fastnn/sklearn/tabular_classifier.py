"""Classes from tables: a data frame in, a strong model out, without settings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from fastnn.checks import number, shown
from fastnn.formats.graph import Value
from fastnn.formats.records import Record
from fastnn.formats.table_graph import TableGraph, label_array
from fastnn.sklearn.calibration import at_temperature, graph_at_temperature, log_loss_at, of_mean, temperature_for
from fastnn.sklearn.classes import classes_from, classes_in_words, classes_state
from fastnn.sklearn.contract import keep
from fastnn.sklearn.ensemble import Tabular
from fastnn.sklearn.explaining import Explanation
from fastnn.sklearn.frames import Floats
from fastnn.sklearn.jobs import Matrix, joined
from fastnn.sklearn.saving import about, restore, state_of, tried
from fastnn.sklearn.targets import labels_of, labels_to_learn, validation_in


class TabularClassifier(ClassifierMixin, Tabular):  # type: ignore[misc]
    """Classes from a table of numbers, categories, dates and missing values: a mean of nets, without settings.

    The nets are RealMLP's (Holzmüller, Grinsztajn & Steinwart 2024) and TabM's (Gorishniy, Kotelnikov & Babenko 2025),
    as the preset and the number of rows say. Each is validated on rows of its own and returns to its last best epoch;
    the mean of their probabilities is at the temperature that makes the log loss of those rows least, where one helps.

    Parameters
    ----------
    preset : {"fast", "balanced", "best"}
        How much is trained: few small nets, some, or many of several forms.
    time_limit : float or None
        Seconds that `fit` may take. It is the one setting by which results depend on the machine.
    scoring : str, callable or None
        A scorer of scikit-learn by which the epoch is chosen; None is the log loss. Callables are called with
        ``(net, X, y)``, rows as they were given, and with ``sample_weight=`` where they have it; the net has `predict`,
        `predict_proba` and `classes_`. Where it gives no number in any epoch, the log loss chooses, with a warning.
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
    precision : {"bf16"} or None
        Of `Model`: products are rounded to bfloat16, for speed where the processor has AVX512_BF16.
    verbose : bool

    Attributes
    ----------
    classes_ : ndarray
    target_name_ : str or None
        Of the column that was learnt, where y has a name.
    nets_ : list of Model
    preprocessing_ : Preprocessing
        What becomes of each column: ``print(model.preprocessing_)``.
    recipe_ : Recipe
    temperature_ : float
        1 where probabilities are as the nets gave them.
    n_iter_ : int
        Epochs of the net that was trained longest.
    n_features_in_, feature_names_in_ : int, ndarray
        Columns of the fit: how many, and their names where they have some.
    feature_importances_ : ndarray of shape (n_features_in_,)
        By how much the score of rows that were not trained with falls where a column is permuted.

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
        precision: str | None = None,
        verbose: bool | int = False,
    ) -> None:
        keep(self, locals())

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
        y = labels_to_learn(self, y, n, True)
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
        given = self.class_weight
        if isinstance(given, dict):
            for label, value in given.items():
                number(f"{self._name}: class_weight of {label!r}", value)
        elif not (isinstance(given, str) and given == "balanced"):
            raise ValueError(
                f"{self._name}: class_weight is {shown(given)}, expected a dict of labels and weights, 'balanced' or "
                "None"
            )
        try:
            of_classes: Floats = compute_sample_weight(given, np.asarray(y).ravel())
        except ValueError as error:
            raise ValueError(
                f"{self._name}: class_weight has weights for {[*given]}, expected one for each of the classes "
                f"{self.classes_.tolist()}: {error}"
            ) from None
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
        matrix = self._read(x)
        y = labels_to_learn(self, y, len(matrix), False)
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

    def _after(self, data: Any, seeds: Any, began: float) -> None:
        self.temperature_ = 1.0
        if self._parts:
            labels, weight = joined(self._parts)
            self.temperature_ = temperature_for(self._outputs_of_parts(self._parts), labels, weight)
            if len(self._parts) > 1:
                self.temperature_ = of_mean(self.temperature_, len(self._parts[0].nets))

    def _score(self, outputs: Floats, labels: Any, weight: Floats | None) -> float:
        return -log_loss_at(np.log(np.maximum(outputs, 1e-12)), labels, weight, self.temperature_)

    # -- what is saved ------------------------------------------------------------------------------------------------

    def _state(self, rows: bool) -> dict[str, Any]:
        return {"classes": classes_state(self.classes_), "temperature": self.temperature_, **state_of(self, rows)}

    @classmethod
    def _restored(cls, settings: dict[str, Any], record: Record) -> Any:
        found = cls(**settings)
        found.classes_ = record.part("classes", classes_from)
        found.temperature_ = record.number("temperature", above=0)
        restore(found, record, len(found.classes_))
        return tried(found)

    def _about(self) -> list[list[str]]:
        return about(self, ("classes", classes_in_words(self.classes_)), ("temperature", f"{self.temperature_:.4g}"))

    # -- predictions --------------------------------------------------------------------------------------------------

    def explain(self, row: Any, target: Any = None) -> Explanation:
        """Return what each column adds to the probability of a class, by integrated gradients.

        Parameters
        ----------
        row : one row
            A frame with one row, numbers and texts in the order of the columns, or a dict or series by their names.
        target : label or None
            The class; None is the one that is predicted.
        """
        matrix = self._one(row)
        label = self._label_of(matrix) if target is None else target
        places = np.flatnonzero(self.classes_ == label)
        if not len(places):
            raise ValueError(f"explain: target is {target!r}, expected one of the classes {self.classes_.tolist()}")
        c, t = int(places[0]), self.temperature_

        def value(outputs: Floats) -> tuple[Floats, Floats]:
            outputs = np.maximum(outputs, 1e-12)
            p = at_temperature(outputs, t)
            slope = -p[:, c : c + 1] * p
            slope[:, c] += p[:, c]
            return p[:, c], slope / (t * outputs)

        return self._explained(matrix, value, f"probability of {label}")

    def _label_of(self, matrix: Matrix) -> Any:
        """Return the most likely class of the first row of what the nets read."""
        return self._predicted(self._outputs_of_all(matrix)).tolist()[0]

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : data frame or array_like of shape (rows, columns)
            With the columns of the fit.

        Returns
        -------
        ndarray of shape (rows, classes)
        """
        return self._outputs_of_all(self._matrix(X))

    def _outputs_of_all(self, matrix: Matrix) -> Floats:
        found = at_temperature(self._outputs_of(self.nets_, matrix).mean(axis=0), self.temperature_)
        found /= found.sum(axis=1, keepdims=True)
        return found

    def _graph(self, x: Value, to: TableGraph, labels: bool) -> None:
        y = to.share(graph_at_temperature(self._graph_of_nets(x, to), self.temperature_, to))
        to.about["class_names"] = self.classes_.tolist()
        if labels:
            to.output(to.label(y, label_array(self.classes_, self._name)), "label", ())
        to.output(y, "probabilities", (y.n,), [*map(str, self.classes_.tolist())])

    def predict_log_proba(self, X: Any) -> Floats:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : data frame or array_like of shape (rows, columns)

        Returns
        -------
        ndarray of shape (rows, classes)
        """
        with np.errstate(divide="ignore"):
            found: Floats = np.log(self.predict_proba(X))
        return found

    def predict(self, X: Any) -> Any:
        """Return the most likely class of each row.

        Parameters
        ----------
        X : data frame or array_like of shape (rows, columns)

        Returns
        -------
        ndarray of shape (rows,)
        """
        return self._predicted(self.predict_proba(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose class is predicted.

        Parameters
        ----------
        X : data frame or array_like of shape (rows, columns)
        y : array_like of shape (rows,)
            Labels, also as objects, as `fit` takes them.
        sample_weight : array_like of shape (rows,) or None

        Returns
        -------
        float
        """
        given = np.asarray(y)
        right: float = super().score(X, labels_of(self._name, given) if given.dtype.kind == "O" else y, sample_weight)
        return right

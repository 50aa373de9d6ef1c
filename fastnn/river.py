"""Nets as estimators of river: rows are dicts, and features and classes may appear at any time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from math import hypot
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import losses, optimizers
from fastnn.arena import Array
from fastnn.arrays import as_rows
from fastnn.checks import is_iterable, shown
from fastnn.layers import Dense, Layer, Softmax
from fastnn.losses import Loss
from fastnn.model import Model
from fastnn.optimizers import Optimizer
from fastnn.training.growth import take_over
from fastnn.values import is_missing, numbers_by_name

try:
    from river import base
except ImportError as error:
    raise ImportError("fastnn.river needs river: pip install 'river>=0.26'") from error

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Row = Mapping[Hashable, Any]


class _Estimator(ABC):
    """What a classifier and a regressor have in common: a net that grows with features and classes."""

    layers: Sequence[Layer]
    optimizer: str | Optimizer
    loss: str | Loss
    seed: int | None
    dtype: str

    def __init__(
        self, layers: Sequence[Layer], optimizer: str | Optimizer, loss: str | Loss, seed: int | None, dtype: str
    ) -> None:
        if isinstance(layers, Model) or not is_iterable(layers):
            raise TypeError(
                f"{type(self).__name__}: layers is {shown(layers)}, expected those below the last: the estimator adds "
                "this, which grows with the classes"
            )
        self.layers, self.optimizer, self.loss, self.seed, self.dtype = layers, optimizer, loss, seed, dtype
        self._rule, self._loss = deepcopy(optimizers.get(optimizer)), deepcopy(losses.get(loss))
        self._features: dict[Hashable, int] = {}  # in the order of the columns
        self._classes: dict[Hashable, int] = {}  # in the order in which they have been seen; of numbers there are none
        self._net: Model | None = None
        self._most = float(np.finfo(self._made().dtype).max)

    def _made(self) -> Model:
        """Return a new net of the layers, not built."""
        layers = [*deepcopy(list(self.layers)), *self._end()]
        seed = self.seed if self._net is None else self._net.seed
        net = Model(layers, seed=seed, dtype=self.dtype)
        net.loss, net.optimizer = self._loss, self._rule
        return net

    @abstractmethod
    def _end(self) -> list[Layer]:
        """Return the last layers, as wide as is needed now."""

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"layers": (Dense(8, "relu"),), "seed": 0}

    def _unit_test_skips(self) -> set[str]:
        return {"check_learn_many_matches_learn_one"}  # a batch is one step, with the mean of the gradients

    @property
    def net(self) -> Model | None:
        """The net as it is now; None before the first row. Another one takes over where features or classes appear."""
        return self._net

    def _grown(self, names: Iterable[Hashable], classes: Iterable[Hashable] = ()) -> Model:
        """Return the net with inputs for these features, and outputs for these new classes and those that are known."""
        net = self._net
        new = [name for name in names if name not in self._features]
        for label in classes:
            self._classes[label] = len(self._classes)
        if net is not None and not new and len(self._classes) <= net.n_out:
            return net
        for name in sorted(new, key=_order):  # dicts of the same features give the same net
            self._features[name] = len(self._features)
        if not self._features:
            raise ValueError(f"{type(self).__name__}: x is empty, expected at least one feature in the first row")
        made = self._made().build(len(self._features))
        if net is not None:
            take_over(made._trainer, net._trainer, self._rule)
        self._net = made
        return made

    def _grown_so_far(self) -> tuple[Model | None, int, int]:
        return self._net, len(self._features), len(self._classes)

    def _take_back(self, before: tuple[Model | None, int, int]) -> None:
        """Forget the features and classes that have appeared since then, and the net that has grown by them."""
        self._net, *sizes = before
        for known, size in zip((self._features, self._classes), sizes, strict=True):
            while len(known) > size:
                known.popitem()  # the last one

    def _row(self, x: Row) -> list[Any]:
        """Return the numbers of the known features: 0 for those that are not there."""
        get = x.get
        return [get(name, 0.0) for name in self._features]

    def _rows(self, frame: DataFrame) -> Array:
        """Return the same for several rows: 0 for columns that are not there.

        Raises
        ------
        TypeError
            For columns of text, dates, categories and whatever else pandas would make numbers of.
        """
        known = self._known(frame)
        with np.errstate(over="ignore"):  # what is too large is refused by its name
            if all(dtype.kind in "fiub" for dtype in known.dtypes):
                rows: Array = known.to_numpy(self.dtype, na_value=np.nan)
                return rows
            return as_rows(known, "x", np.dtype(self.dtype))

    def _known(self, frame: DataFrame) -> DataFrame:
        return frame.reindex(columns=[*self._features], fill_value=0.0)

    def _learn(self, x: Row, y: Any, w: float, classes: Iterable[Hashable] = ()) -> None:
        """Take a step on a row; where it fails, nothing has appeared."""
        before, x = self._grown_so_far(), _named(x)
        try:
            net = before[0]
            if classes or net is None or not self._features.keys() >= x.keys():
                net = self._grown(x, classes)
            if w == 1:
                net.learn_one(self._row(x), y)
            else:
                net.train_batch([self._row(x)], [y], [w])
        except BaseException as error:
            self._undo(error, x, before)
            raise

    def _learn_many(self, frame: DataFrame, y: Any, w: Any, classes: Iterable[Hashable] = ()) -> None:
        if not len(frame):
            return
        before = self._grown_so_far()
        try:
            net = self._grown(frame.columns, classes)
            net.train_batch(self._rows(frame), y, None if w is None else np.asarray(w))
        except BaseException as error:
            self._undo(error, frame, before)
            raise

    def _undo(self, error: BaseException, x: Any, before: tuple[Model | None, int, int]) -> None:
        try:
            self._blame(error, x)
        finally:
            self._take_back(before)

    def _outputs(self, net: Model, x: Row) -> Array:
        x = _named(x)
        try:
            row = self._row(x)
            outputs = net.predict_one(row)
        except Exception as error:
            self._blame(error, x)
            raise
        if not _are_below(self._most, row):
            self._check(x)
        return outputs

    def _outputs_of_many(self, net: Model, frame: DataFrame) -> Array:
        try:
            rows = self._rows(frame)
            outputs = net.predict(rows)
        except Exception as error:
            self._blame(error, frame)
            raise
        if not np.isfinite(rows).all():
            self._check(frame)
        return outputs

    def _blame(self, error: BaseException, x: Any) -> None:
        """Raise what is wrong with x, if anything is, by the name of the feature: the net knows its column only."""
        if not isinstance(error, (TypeError, ValueError, AttributeError)):
            return
        is_frame = hasattr(x, "reindex") and hasattr(x, "columns")  # of pandas: no others have both
        if not is_frame and not isinstance(x, Mapping):
            raise TypeError(
                f"{type(self).__name__}: x is {shown(x)}, expected a dict of features, or a data frame for many rows"
            ) from None
        if self._net is not None:
            self._check(x)

    def _check(self, x: Any) -> None:
        """Raise ValueError or TypeError where a known feature is no number that the net takes."""
        assert self._net is not None
        names = [*self._features]
        try:
            if isinstance(x, Mapping):
                matrix = numbers_by_name(self._row(x), names, "x")[None]
            else:
                matrix = as_rows(self._known(x), "x")
            self._net._tree.check_numbers(matrix, "x", np.dtype(self.dtype), names)
        except (TypeError, ValueError) as told:
            told.args = (f"{type(self).__name__}: {told}",)
            raise told from None


def _named(x: Any) -> Any:
    """Return a row as a dict, where it is one of a frame: a Series."""
    return x.to_dict() if type(x) is not dict and hasattr(x, "reindex") and not hasattr(x, "columns") else x


def _are_below(most: float, row: list[Any]) -> bool:
    """Whether the numbers of a row are surely finite, and within ± most."""
    try:
        return hypot(*row) <= most
    except (TypeError, OverflowError):
        return False


def _order(name: Hashable) -> tuple[str, Any]:
    return type(name).__name__, name if isinstance(name, (str, int, float)) else repr(name)


class Classifier(_Estimator, base.MiniBatchClassifier):
    """A net as a classifier of river: classes and features may be any, and may appear at any time.

    Behind the layers stands ``Dense(number of classes), Softmax()``. Where a feature or a class appears for the first
    time, a net with one more input or output takes over what has been learnt, averages included; what is new begins as
    in a new net. Layers in which known columns would be others then, as `Columns` of -1 or a `GLU` of the features,
    refuse it, and nothing is changed.

    A feature that is not in a row's dict, or no column of a frame, is 0. NaN, None and infinity are refused, in
    learning as in predictions: leave them out of the dict, or replace them, as by ``X.fillna(0)``. So are missing
    labels.

    Streams whose features are ever new go through ``feature_extraction.FeatureHasher`` first; numbers are best scaled,
    by ``preprocessing.StandardScaler() | Classifier(...)``.

    Parameters
    ----------
    layers : sequence of Layer
        Those below the last; ``()`` is a linear model. They are copied.
    optimizer : str or Optimizer
        Copied.
    loss : str or Loss
        That takes labels and a softmax: "cross_entropy", or ``CategoricalFocal()``.
    seed : int or None
        As of `Model`.
    dtype : {"float32", "float64"}

    Notes
    -----
    `learn_one` takes about as long as `Model.learn_one`, and what Python needs for the dict. `learn_many` takes one
    step with the mean of the gradients, as river's linear models do.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics, preprocessing
    >>> from fastnn import SGD, Dense
    >>> from fastnn.river import Classifier
    >>> model = preprocessing.StandardScaler() | Classifier([Dense(16, "relu")], SGD(0.05), seed=0)
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    Accuracy: ...
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        optimizer: str | Optimizer = "adam",
        loss: str | Loss = "cross_entropy",
        seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(layers, optimizer, loss, seed, dtype)

    def _end(self) -> list[Layer]:
        return [Dense(max(len(self._classes), 2)), Softmax()]

    @property
    def _multiclass(self) -> bool:
        return True

    def learn_one(self, x: Row, y: Hashable, w: float = 1.0) -> None:
        """Take a step on one row of features and its class; `w` is what it weighs."""
        label = self._number_of(y, self._classes)
        self._learn(x, label, w, (y,) if label == len(self._classes) else ())

    def _number_of(self, label: Hashable, known: Mapping[Hashable, int], row: int = 0) -> int:
        """Return the number of a class: the next one where it is new."""
        try:
            number = known.get(label)
        except TypeError:
            raise TypeError(
                f"{type(self).__name__}: y is {shown(label)} at row {row}, expected a label that is hashable, such as "
                "text, a number or a tuple of these"
            ) from None
        if number is not None:
            return number
        if is_missing(label):
            raise ValueError(
                f"{type(self).__name__}: y is {label} at row {row}, expected a label: drop such rows first"
            )
        return len(known)

    def predict_proba_one(self, x: Row) -> dict[Hashable, float]:
        """Return the probability of each class that has been seen."""
        if self._net is None:
            return {}
        given = self._outputs(self._net, x)[: len(self._classes)].tolist()
        total = sum(given)  # in float64, and without the second output while there is one class
        return {label: p / total for label, p in zip(self._classes, given, strict=True)}

    def learn_many(self, X: DataFrame, y: Series, w: Any = None) -> None:
        """Take one step on several rows."""
        known = {**self._classes}
        labels = [known.setdefault(label, self._number_of(label, known, i)) for i, label in enumerate(y.tolist())]
        self._learn_many(X, labels, w, [*known][len(self._classes) :])

    def predict_proba_many(self, X: DataFrame) -> DataFrame:
        """Return a frame with a column for each class that has been seen."""
        from pandas import DataFrame as Frame

        if self._net is None:
            return Frame(index=X.index)
        given = self._outputs_of_many(self._net, X)[:, : len(self._classes)].astype(np.float64)
        return Frame(given / given.sum(axis=1, keepdims=True), X.index, [*self._classes])


class Regressor(_Estimator, base.MiniBatchRegressor):
    """A net as a regressor of river; behind its layers stands ``Dense(1)``.

    Features, layers and settings are those of `Classifier`. Targets are best scaled, by
    ``preprocessing.TargetStandardScaler(Regressor(...))``.

    Parameters
    ----------
    layers : sequence of Layer
        Those below the last.
    optimizer : str or Optimizer
    loss : str or Loss
        Of numbers: "mse", ``Huber()``, "mae".
    seed : int or None
    dtype : {"float32", "float64"}

    Examples
    --------
    >>> from river import datasets, evaluate, metrics, preprocessing
    >>> from fastnn import Dense
    >>> from fastnn.river import Regressor
    >>> net = preprocessing.TargetStandardScaler(Regressor([Dense(16, "tanh")], seed=0))
    >>> evaluate.progressive_val_score(datasets.TrumpApproval(), preprocessing.StandardScaler() | net, metrics.MAE())
    MAE: ...
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        optimizer: str | Optimizer = "adam",
        loss: str | Loss = "mse",
        seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(layers, optimizer, loss, seed, dtype)

    def _end(self) -> list[Layer]:
        return [Dense(1)]

    def learn_one(self, x: Row, y: float, w: float = 1.0) -> None:
        """Take a step on one row of features and its target; `w` is what it weighs."""
        self._learn(x, y, w)

    def predict_one(self, x: Row) -> float:
        """Return the prediction: 0 before the first row."""
        return 0.0 if self._net is None else self._outputs(self._net, x).item()

    def learn_many(self, X: DataFrame, y: Series, w: Any = None) -> None:
        """Take one step on several rows."""
        self._learn_many(X, y, w)

    def predict_many(self, X: DataFrame) -> Series:
        """Return the predictions for several rows."""
        from pandas import Series as Column

        outputs = np.zeros(len(X)) if self._net is None else self._outputs_of_many(self._net, X)[:, 0]
        return Column(outputs, X.index)

"""Estimators for tables: a data frame in, a strong model out, without settings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from fastnn import threads
from fastnn.callbacks import Callback, TimeLimit
from fastnn.checks import count, shown
from fastnn.many import fit_each
from fastnn.model import Model
from fastnn.sklearn.calibration import at_temperature, temperature_for
from fastnn.sklearn.frames import Floats, is_frame
from fastnn.sklearn.preprocessing import Preprocessing
from fastnn.sklearn.recipes import (
    FEW,
    PRESETS,
    LastBest,
    Recipe,
    Task,
    build,
    loss_for,
    optimizer_for,
    recipe_for,
)

_SHARE = 0.8  # of the time limit that is planned for

Rows = NDArray[np.intp]
Matrix = NDArray[Any]


class _Job:
    """One net with the rows that it learns from and those that it is validated on; None is the given ones."""

    __slots__ = ("best", "net", "rows", "seed", "stop_at", "validation")

    def __init__(self, seed: int, rows: Rows | None, validation: Rows | None, stop_at: int | None = None) -> None:
        self.seed, self.rows, self.validation, self.stop_at = seed, rows, validation, stop_at
        self.net: Model | None = None
        self.best: LastBest | None = None


class _StopAt(Callback):
    """End a fit behind an epoch, whose place in the schedules is that of a longer fit."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def __call__(self, model: Model, epoch: int, logs: Any) -> bool:
        """Whether this was the one."""
        return epoch >= self._epoch

    @property
    def reason(self) -> str:
        return f"epoch {self._epoch + 1} was the best one on the rows that were set aside"


class _Tabular(BaseEstimator):
    """What the two have in common."""

    _of_classes = False

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
        verbose: bool | int = False,
    ) -> None:
        self.preset = preset
        self.time_limit = time_limit
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.categorical_features = categorical_features
        self.n_nets = n_nets
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- input --------------------------------------------------------------------------------------------------------

    def _table(self, x: Any, reset: bool) -> Any:
        """Return x as a data frame or an array of two dimensions, checked but for what is in its columns."""
        if is_frame(x):
            validate_data(self, x, reset=reset, skip_check_array=True)
            if len(x) < 1:
                raise ValueError(
                    f"Found array with 0 sample(s) (shape={x.shape}) while a minimum of 1 is required by {self._name}."
                )
            if x.shape[1] < 1:
                raise ValueError(
                    f"Found array with 0 feature(s) (shape={x.shape}) while a minimum of 1 is required by {self._name}."
                )
            return x
        if isinstance(x, (list, tuple)):
            plain = np.asarray(x)
            x = np.array(x, object) if plain.dtype.kind in "US" else plain
        return validate_data(self, x, reset=reset, dtype=None, ensure_all_finite="allow-nan")

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _settings(self) -> None:
        if not isinstance(self.preset, str) or self.preset not in PRESETS:
            raise ValueError(f"{self._name}: preset is {self.preset!r}, expected one of {', '.join(map(repr, PRESETS))}")
        limit = self.time_limit
        if limit is not None and not (isinstance(limit, (int, float, np.number)) and 0 < float(limit)):
            raise ValueError(f"{self._name}: time_limit is {shown(limit)}, expected seconds above 0, or None")
        share = self.validation_fraction
        if share is not None and not (isinstance(share, (int, float, np.number)) and 0 <= float(share) < 1):
            raise ValueError(
                f"{self._name}: validation_fraction is {shown(share)}, expected a share of the rows, at least 0 and "
                "below 1, or None"
            )
        if self.n_nets is not None:
            count(f"{self._name}: n_nets", self.n_nets)
        threads.check(self.n_threads)

    # -- fit ----------------------------------------------------------------------------------------------------------

    def _fit(self, x: Any, y: Any, sample_weight: Any, validation_data: Any) -> Any:
        began = time.perf_counter()
        self._settings()
        x = self._table(x, True)
        weight = self._weights(x, sample_weight)
        target = self._take_targets(y, x.shape[0])
        train_weight = self._by_class(y, weight)
        if train_weight is not None and not train_weight.any():
            raise ValueError(f"{self._name}: all sample weights are 0, expected some above: no row is left")
        counted = None if train_weight is None else np.flatnonzero(train_weight)
        kept = x.shape[0] if counted is None else len(counted)
        self._require_targets(target if counted is None else target[counted])
        self.preprocessing_ = Preprocessing(self.categorical_features)
        matrix = self.preprocessing_.fit_transform(x, train_weight)
        if counted is not None and kept < len(matrix):
            matrix, target = matrix[counted], target[counted]
            train_weight = None if train_weight is None else train_weight[counted]
            weight = None if weight is None else weight[counted]
        few = kept <= FEW
        self._dtype = "float64" if few else "float32"
        matrix = matrix.astype(self._dtype, copy=False)
        self._scale_targets(target, train_weight)
        learnt = self._learnt(target)
        self._task = Task(
            self._outputs(target), self._of_classes, self.preprocessing_.n_scaled, tuple(self.preprocessing_.codes)
        )
        recipe = recipe_for(self.preset, kept)
        if self.n_nets is not None:
            recipe = replace(recipe, nets=self.n_nets)
        if self.time_limit is not None:
            recipe = self._within(recipe, matrix, learnt, began)
        self.recipe_ = recipe
        given = self._validation(validation_data)
        seeds = check_random_state(self.random_state).randint(0, 2**31 - 1, size=3)
        jobs = self._jobs(recipe, target, kept, given is not None, seeds, few)
        data = matrix, learnt, train_weight, weight
        self._train(jobs, recipe, data, given, began)
        self._after(jobs, data, target, given)
        if recipe.refit_below > kept and self.validation_fraction is None and len(jobs) == 1 and given is None:
            jobs = self._refit(jobs[0], recipe, data, began)
        self.nets_ = [job.net for job in jobs if job.net is not None]
        self.n_iter_ = max(len(net.history.loss) for net in self.nets_)
        return self

    def _weights(self, x: Any, sample_weight: Any) -> Floats | None:
        if sample_weight is None:
            return None
        probe = np.empty((x.shape[0], 1))
        weight = _check_sample_weight(sample_weight, probe, dtype=np.float64, ensure_non_negative=True)
        if weight.size and (weight == weight[0]).all() and weight[0] > 0:
            return None
        found: Floats = weight
        return found

    def _by_class(self, y: Any, weight: Floats | None) -> Floats | None:
        return weight

    def _jobs(
        self, recipe: Recipe, target: Any, n: int, given: bool, seeds: Any, few: bool
    ) -> list[_Job]:
        """Return the nets to train, each with its rows."""
        k = recipe.nets
        rng = np.random.RandomState(seeds[0])
        of_nets = rng.randint(0, 2**31 - 1, size=k).tolist()
        share = self.validation_fraction
        everything = [_Job(seed, None, None) for seed in of_nets]
        if given or share == 0 or (few and share is None):
            return everything
        if share is None and recipe.folds and k > 1:
            splits = self._splits(target, n, k, None, int(seeds[1]))
        else:
            one = self._splits(target, n, 1, 0.2 if share is None else float(share), int(seeds[1]))
            splits = one * k
        return [_Job(seed, *split) for seed, split in zip(of_nets, splits, strict=True)]

    def _splits(self, target: Any, n: int, k: int, share: float | None, seed: int) -> list[tuple[Rows, Rows]]:
        labels = target if self._of_classes else None
        least = 0 if labels is None else np.bincount(labels)[np.unique(labels)].min()
        rows = np.zeros((n, 1))
        if share is not None:
            held = max(1, round(share * n))
            classes = 0 if labels is None else len(np.unique(labels))
            stratified = labels is not None and least >= 2 and held >= classes and n - held >= classes
            splitter = (StratifiedShuffleSplit if stratified else ShuffleSplit)(1, test_size=held, random_state=seed)
        else:
            stratified = labels is not None and least >= k
            splitter = (StratifiedKFold if stratified else KFold)(k, shuffle=True, random_state=seed)
        return list(splitter.split(rows, labels))

    def _within(self, recipe: Recipe, matrix: Matrix, learnt: Any, began: float) -> Recipe:
        """Return a recipe that the time is enough for: fewer epochs, fewer nets, or that of a quicker preset."""
        assert self.time_limit is not None
        limit, rows = float(self.time_limit), len(matrix)
        n_threads = threads.check(self.n_threads)
        presets = list(PRESETS)
        quicker = [recipe_for(preset, rows) for preset in presets[presets.index(self.preset) - 1 :: -1]]
        for tried in (recipe, *(quicker if self.preset != presets[0] else ())):
            probe = build(tried, self._task, 0, self._dtype)
            size = tried.batch_for(rows)
            some = slice(0, 8 * size)
            options: dict[str, Any] = {"loss": loss_for(tried, self._task), "batch_size": min(size, rows)}
            options["optimizer"] = optimizer_for(tried, self._task, probe)
            probe.fit(matrix[some], learnt[some], epochs=1, n_threads=1, verbose=False, **options)
            start, trained = time.perf_counter(), 0
            while time.perf_counter() - start < min(0.03 * limit, 0.5):
                probe.fit(matrix[some], learnt[some], epochs=1, n_threads=1, verbose=False, **options)
                trained += min(rows, 8 * size)
            speed = max(trained, 1) / (time.perf_counter() - start)
            left = _SHARE * limit - (time.perf_counter() - began)
            wanted, nets = tried.epochs_for(rows), tried.nets
            while True:
                at_once = max(1, min(nets, threads.available() if n_threads is None else n_threads))
                waves = -(-nets // at_once) * (2 if tried.refit_below > rows else 1)
                epochs = int(max(left, 0) * speed / (waves * rows))
                if epochs >= wanted / 4 or nets == 1:
                    break
                nets //= 2
            if epochs >= wanted / 4:
                break
        most = wanted if tried is recipe else tried.epochs
        return replace(tried, nets=nets, epochs=max(1, min(most, epochs)), least_epochs=1, row_budget=10**12)

    def _train(self, jobs: Sequence[_Job], recipe: Recipe, data: Any, given: Any, began: float) -> None:
        matrix, learnt, train_weight, weight = data
        n_threads = threads.check(self.n_threads)
        at_once = max(1, min(len(jobs), threads.available() if n_threads is None else n_threads))
        options = []
        for job in jobs:
            net = job.net = build(recipe, self._task, job.seed, self._dtype)
            rows = len(matrix) if job.rows is None else len(job.rows)
            callbacks: list[Callback] = []
            own: dict[str, Any] = {
                "loss": loss_for(recipe, self._task),
                "optimizer": optimizer_for(recipe, self._task, net),
                "epochs": recipe.epochs_for(rows),
                "batch_size": min(recipe.batch_for(rows), rows),
                "x": matrix if job.rows is None else matrix[job.rows],
                "y": learnt if job.rows is None else learnt[job.rows],
            }
            if train_weight is not None:
                own["sample_weight"] = train_weight if job.rows is None else train_weight[job.rows]
            held = given
            if job.validation is not None:
                held = matrix[job.validation], learnt[job.validation]
                if weight is not None:
                    held = (*held, weight[job.validation])
            if held is not None:
                own["validation_data"] = held
                job.best, own["metrics"] = self._watching(recipe, held)
                callbacks.append(job.best)
            if job.stop_at is not None:
                callbacks.append(_StopAt(job.stop_at))
            own["callbacks"] = callbacks
            options.append(own)
        nets = [job.net for job in jobs if job.net is not None]
        waves = [i // at_once for i in range(len(jobs))]

        def of(i: int) -> dict[str, Any]:
            own = options[i]
            if self.time_limit is not None:
                left = float(self.time_limit) - (time.perf_counter() - began)
                share = max(0.9 * left / (waves[-1] - waves[i] + 1), 1e-3)
                own = {**own, "callbacks": [*own["callbacks"], TimeLimit(share)]}
            return own

        if len(nets) == 1:
            nets[0].fit(**of(0), n_threads=n_threads, verbose=bool(self.verbose))
        else:
            fit_each(nets, of, n_threads, bool(self.verbose), f"{self._name}: net {{}}")

    def _watching(self, recipe: Recipe, held: Any) -> tuple[LastBest, Any]:
        """Return what keeps the last best epoch, and the metrics that it needs."""
        if self.scoring is not None:
            watched = _Scored(self, get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring, held)
            return watched, ()
        if self._of_classes and recipe.watch == "accuracy":
            return LastBest("val_accuracy"), ["accuracy"]
        return LastBest("val_loss"), ()

    def _refit(self, job: _Job, recipe: Recipe, data: Any, began: float) -> list[_Job]:
        """Train a net on all rows, for as many epochs as were best."""
        epochs = 0 if job.best is None else job.best.best_epoch
        again = [_Job(job.seed, None, None, max(epochs, 0))]
        left = np.inf if self.time_limit is None else float(self.time_limit) - (time.perf_counter() - began)
        if left < 0.2 * (time.perf_counter() - began):
            return [job]
        self._train(again, recipe, data, None, began)
        return again

    # -- predictions --------------------------------------------------------------------------------------------------

    def _matrix(self, x: Any) -> Matrix:
        check_is_fitted(self, "nets_")
        x = self._table(x, False)
        return self.preprocessing_.transform(x).astype(self._dtype, copy=False)

    def _outputs_of(self, nets: Sequence[Model], matrix: Matrix) -> Floats:
        """Return the outputs of nets, (nets, rows, outputs)."""
        n_threads = threads.check(self.n_threads)
        return np.stack([net.predict(matrix, n_threads=n_threads).astype(np.float64) for net in nets])


class _Scored(LastBest):
    """The last best epoch by a scorer of scikit-learn."""

    def __init__(self, estimator: _Tabular, scorer: Any, held: Any) -> None:
        super().__init__("val_score", "max")
        self._scorer, self._held, self._estimator = scorer, held, _Judged(estimator)

    def __call__(self, model: Model, epoch: int, logs: Any) -> bool:
        x, y = self._held[:2]
        judged = self._estimator
        judged.outputs = model.predict(x, n_threads=1).astype(np.float64)
        weights = {"sample_weight": self._held[2]} if len(self._held) > 2 else {}
        value = float(self._scorer(judged, x, judged.targets_of(y), **weights))
        logs["val_score"] = value
        return super().__call__(model, epoch, logs)


class _Judged:
    """What a scorer sees in place of an estimator: the outputs of an epoch."""

    def __init__(self, estimator: _Tabular) -> None:
        self._of = estimator
        self._estimator_type = "classifier" if estimator._of_classes else "regressor"
        self.outputs: Floats = np.empty((0, 0))
        if estimator._of_classes:
            self.classes_ = estimator.classes_  # type: ignore[attr-defined]
            self.predict_proba = lambda x: self.outputs

    def __sklearn_tags__(self) -> Any:
        return self._of.__sklearn_tags__()

    def fit(self, x: Any, y: Any) -> Any:
        """Be there, for scorers that ask for it."""
        raise NotImplementedError

    def targets_of(self, y: Any) -> Any:
        """Return targets as the user gave them."""
        return self._of._as_given(y)

    def predict(self, x: Any) -> Any:
        """Return what the outputs stand for."""
        return self._of._predicted(self.outputs)


class TabularClassifier(ClassifierMixin, _Tabular):
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> TabularClassifier:  # noqa: N803
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
        return self._fit(X, y, sample_weight, validation_data)

    def _take_targets(self, y: Any, n: int) -> Any:
        y = _targets(self, y, n)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        return labels.reshape(-1)

    def _require_targets(self, target: Any) -> None:
        if len(np.unique(target)) < 2:
            raise ValueError(
                f"{self._name}: y has one class, {self.classes_[target[0]]!r}, expected two at least among the rows "
                "that weigh something"
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
        x, y, *weight = _as_validation(self, given)
        matrix = self.preprocessing_.transform(self._table(x, False)).astype(self._dtype, copy=False)
        y = column_or_1d(_targets(self, y, len(matrix)))
        places = np.searchsorted(self.classes_, y)
        known = places < len(self.classes_)
        known[known] = self.classes_[places[known]] == y[known]
        if not known.all():
            raise ValueError(f"validation_data: y has {y[~known][0]!r}, expected classes of the fit: {self.classes_}")
        return (matrix, places, *weight)

    def _as_given(self, y: Any) -> Any:
        return self.classes_[y]

    def _predicted(self, outputs: Floats) -> Any:
        return self.classes_[outputs.argmax(axis=1)]

    def _after(self, jobs: Sequence[_Job], data: Any, target: Any, given: Any) -> None:
        self.temperature_ = 1.0
        judged = _held_out(self, jobs, data, given)
        if judged is not None:
            outputs, labels, weight = judged
            self.temperature_ = temperature_for(outputs, labels, weight)

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return the probability of each class, in the order of `classes_`."""
        outputs = self._outputs_of_all(self._matrix(X))
        return outputs

    def _outputs_of_all(self, matrix: Matrix) -> Floats:
        found: Floats = np.mean(
            [at_temperature(outputs, self.temperature_) for outputs in self._outputs_of(self.nets_, matrix)], axis=0
        )
        found /= found.sum(axis=1, keepdims=True)
        return found

    def predict_log_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            found: Floats = np.log(self.predict_proba(X))
        return found

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the most likely class of each row."""
        return self._predicted(self.predict_proba(X))


class TabularRegressor(RegressorMixin, _Tabular):
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> TabularRegressor:  # noqa: N803
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
        return self._fit(X, y, sample_weight, validation_data)

    def _take_targets(self, y: Any, n: int) -> Any:
        y = _targets(self, y, n)
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
        x, y, *weight = _as_validation(self, given)
        matrix = self.preprocessing_.transform(self._table(x, False)).astype(self._dtype, copy=False)
        y = np.asarray(_targets(self, y, len(matrix)), np.float64)
        return (matrix, self._learnt(y.reshape(len(y), -1)), *weight)

    def _as_given(self, y: Any) -> Any:
        y = np.asarray(y, np.float64) * self._spread + self._mean
        return y[:, 0] if self._one_column else y

    def _predicted(self, outputs: Floats) -> Any:
        y = outputs * self._spread + self._mean
        if self.recipe_.clip:
            y = np.clip(y, *self._range)
        return y[:, 0] if self._one_column else y

    def _after(self, jobs: Sequence[_Job], data: Any, target: Any, given: Any) -> None:
        """Keep the residuals of rows that were not trained with."""

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the mean of what the nets say of each row."""
        matrix = self._matrix(X)
        return self._predicted(self._outputs_of(self.nets_, matrix).mean(axis=0))


def _targets(estimator: _Tabular, y: Any, n: int) -> Any:
    """Return targets as an array of as many rows."""
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    y = np.asarray(y)
    if y.ndim == 0 or len(y) != n:
        raise ValueError(f"{name}: y has {len(y) if y.ndim else 'no'} rows, expected {n}: inconsistent numbers of samples")
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name}: y has the dtype {y.dtype}")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name}: Input y contains NaN or infinity: leave such rows out")
    if y.dtype.kind == "O":
        from fastnn.sklearn.frames import is_missing

        missing = [i for i, value in enumerate(y.ravel()) if is_missing(value)]
        if missing:
            raise ValueError(f"{name}: Input y contains NaN: nothing in {len(missing)} rows, row {missing[0]} the first")
    return y


def _as_validation(estimator: _Tabular, given: Any) -> Any:
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(
            f"{type(estimator).__name__}: validation_data is {shown(given)}, expected (X, y) or (X, y, sample_weight)"
        )
    return given


def _held_out(estimator: _Tabular, jobs: Sequence[_Job], data: Any, given: Any) -> Any:
    """Return what nets say of rows that they were not trained with: outputs, targets and weights, or None."""
    matrix, learnt, _, weight = data
    if given is not None:
        outputs = estimator._outputs_of([job.net for job in jobs if job.net is not None], given[0]).mean(axis=0)
        return outputs, given[1], given[2] if len(given) > 2 else None
    if any(job.validation is None or job.net is None for job in jobs):
        return None
    shared = all(job.validation is jobs[0].validation for job in jobs)
    if shared:
        rows = jobs[0].validation
        outputs = estimator._outputs_of([job.net for job in jobs if job.net is not None], matrix[rows]).mean(axis=0)
    else:
        rows = np.concatenate([job.validation for job in jobs if job.validation is not None])
        outputs = np.concatenate([estimator._outputs_of([job.net], matrix[job.validation])[0] for job in jobs])
    return outputs, learnt[rows], None if weight is None else weight[rows]

"""How an estimator for tables is fitted: nets trained side by side, each on rows of its own."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn import threads
from fastnn.callbacks import Callback, TimeLimit
from fastnn.checks import checked_precision, count, shown, warn
from fastnn.formats.graph import Value
from fastnn.formats.table_graph import TableGraph
from fastnn.many import fit_each
from fastnn.model import Model
from fastnn.sklearn.choosing import Score, is_real, scorer_for
from fastnn.sklearn.explaining import Explanation, by_column, integrated_gradients, one_row, permutation_importances
from fastnn.sklearn.exporting import Exporting, graph_of_matrix
from fastnn.sklearn.frames import Columns, Floats, as_table, is_frame, is_plain, require_names
from fastnn.sklearn.jobs import Job, Matrix, Part, Rows, StopAt, held_out, in_folds, joined, one_held_out
from fastnn.sklearn.places import weights_of_rows
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
from fastnn.sklearn.saving import Saving

_MOST_KEPT = 1000  # rows for importances
_SHARE = 0.8  # of the time limit that is planned for


class Tabular(Exporting, Saving, BaseEstimator, ABC):  # type: ignore[misc]
    """What the two have in common."""

    _of_classes = False

    preset: str
    time_limit: float | None
    scoring: Any
    validation_fraction: float | None
    categorical_features: Any
    n_nets: int | None
    random_state: Any
    n_threads: int | None
    precision: str | None
    verbose: bool | int
    n_features_in_: int

    @abstractmethod
    def __init__(self) -> None:
        """Keep the settings."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- input --------------------------------------------------------------------------------------------------------

    def _table(self, x: Any, reset: bool) -> Any:
        """Return x as a data frame or an array of two dimensions, checked but for what is in its columns."""
        if not reset and is_plain(x, self.preprocessing_.names, self.n_features_in_):
            return x
        x = as_table(self._name, x)
        if is_frame(x):
            require_names(self._name, x, None if reset else self.preprocessing_.names)
            if isinstance(x, Columns):
                if reset:
                    self.feature_names_in_ = np.array(x.columns, object)
                    self.n_features_in_ = len(x.columns)
            else:
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
        return validate_data(self, x, reset=reset, dtype=None, ensure_all_finite=False)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _settings(self) -> None:
        if not isinstance(self.preset, str) or self.preset not in PRESETS:
            raise ValueError(
                f"{self._name}: preset is {self.preset!r}, expected one of {', '.join(map(repr, PRESETS))}"
            )
        limit = self.time_limit
        if limit is not None and not (is_real(limit) and 0 < limit < np.inf):
            raise ValueError(f"{self._name}: time_limit is {shown(limit)}, expected seconds above 0, or None")
        share = self.validation_fraction
        if share is not None and not (is_real(share) and 0 <= share < 1):
            raise ValueError(
                f"{self._name}: validation_fraction is {shown(share)}, expected a share of the rows, at least 0 and "
                "below 1, or None"
            )
        if self.n_nets is not None:
            count(f"{self._name}: n_nets", self.n_nets)
        threads.check(self.n_threads)
        checked_precision(self.precision, np.dtype(np.float32), self._name)
        if not isinstance(self.verbose, (bool, np.bool_, int, np.integer)) or self.verbose < 0:
            raise TypeError(f"{self._name}: verbose is {shown(self.verbose)}, expected True or False")
        self._scorer = scorer_for(f"{self._name}: scoring", self.scoring)

    # -- what is learnt -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _take_targets(self, y: Any, n: int) -> Any:
        """Return checked targets of as many rows: numbers of classes, or columns of numbers."""

    @abstractmethod
    def _require_targets(self, target: Any) -> None:
        """Refuse targets of which nothing can be learnt."""

    @abstractmethod
    def _scale_targets(self, target: Any, weight: Floats | None) -> None:
        """Keep the scale of targets."""

    @abstractmethod
    def _learnt(self, target: Any) -> Any:
        """Return targets as the nets learn them."""

    @abstractmethod
    def _outputs(self, target: Any) -> int:
        """Return how many outputs a net has."""

    @abstractmethod
    def _validation(self, given: Any) -> Any:
        """Return validation data as the nets take them, or None."""

    @abstractmethod
    def _as_given(self, y: Any) -> Any:
        """Return what the nets learn as the user gave it."""

    @abstractmethod
    def _predicted(self, outputs: Floats) -> Any:
        """Return what outputs stand for."""

    @abstractmethod
    def _after(self, data: Any, seeds: Any, began: float) -> None:
        """Learn what comes behind the nets: a temperature, or the size of errors."""

    @abstractmethod
    def _score(self, outputs: Floats, targets: Any, weight: Floats | None) -> float:
        """Return how good outputs are: more is better."""

    # -- fit ----------------------------------------------------------------------------------------------------------

    def _fit(self, x: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        """Learn from rows; where that fails, stay as before."""
        before = dict(vars(self))
        try:
            self._learn(x, y, sample_weight, validation_data)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _learn(self, x: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        began = time.perf_counter()
        self._settings()
        given_x, x = x, self._table(x, True)
        weight = self._weights(x, sample_weight)
        target = self._take_targets(y, x.shape[0])
        self.target_name_ = name if isinstance(name := getattr(y, "name", None), str) else None
        train_weight = self._by_class(y, weight)
        if train_weight is not None and not train_weight.any():
            raise ValueError(f"{self._name}: all sample weights are 0, expected some above: no row is left")
        counted = None if train_weight is None else np.flatnonzero(train_weight)
        kept = x.shape[0] if counted is None else len(counted)
        self._shown = given_x, counted, validation_data
        self._require_targets(target if counted is None else target[counted])
        self.preprocessing_ = Preprocessing(self.categorical_features)
        matrix = self.preprocessing_.fit_transform(x, train_weight)
        if counted is not None and kept < len(matrix):
            matrix, target = matrix[counted], target[counted]
            train_weight = None if train_weight is None else train_weight[counted]
            weight = None if weight is None else weight[counted]
        few = kept <= FEW
        self._dtype, self._precision = ("float64", None) if few else ("float32", self.precision)
        if few and self.precision is not None:
            warn(f"{self._name}: precision={self.precision!r} is without effect: nets of up to {FEW} rows are float64")
        matrix = matrix.astype(self._dtype, copy=False)
        self._scale_targets(target, train_weight)
        learnt = self._learnt(target)
        self._task = Task(
            self._outputs(target),
            self._of_classes,
            self.preprocessing_.n_numbers,
            self.preprocessing_.n_scaled,
            tuple(self.preprocessing_.codes),
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
        self._train(jobs, data, given, began)
        self._keep_rows(held_out(jobs, data, given), jobs, data)
        self._after(data, seeds, began)
        epochs = max(len(job.net.history.loss) for job in jobs)
        if self.time_limit is not None and epochs < 2 <= recipe_for(self.preset, kept).epochs:
            warn(
                f"{self._name}: time_limit={self.time_limit} was enough for one epoch: predictions may be bad; give "
                "more seconds, or the preset 'fast'"
            )
        if recipe.refit_below > kept and self.validation_fraction is None and len(jobs) == 1 and given is None:
            jobs = self._refit(jobs[0], recipe, data, began)
        del self._parts, self._scorer, self._precision, self._shown
        self.nets_ = [job.net for job in jobs]
        self.n_iter_ = max(len(net.history.loss) for net in self.nets_)

    def _weights(self, x: Any, sample_weight: Any) -> Floats | None:
        if sample_weight is None:
            return None
        probe = np.empty((x.shape[0], 1))
        weight = weights_of_rows(self, sample_weight, probe, dtype=np.float64, ensure_non_negative=True)
        if weight.size and (weight == weight[0]).all() and weight[0] > 0:
            return None
        found: Floats = weight
        return found

    def _by_class(self, y: Any, weight: Floats | None) -> Floats | None:
        return weight

    def _jobs(self, recipe: Recipe, target: Any, n: int, given: bool, seeds: Any, few: bool) -> list[Job]:
        """Return the nets to train, each with its recipe and rows: for each fold one of each recipe."""
        forms = (recipe, *recipe.others)
        k = -(-recipe.nets // len(forms))
        rng = np.random.RandomState(seeds[0])
        of_nets = rng.randint(0, 2**31 - 1, size=recipe.nets).tolist()
        share, labels = self.validation_fraction, target if self._of_classes else None
        splits: list[tuple[Rows | None, Rows | None]]
        if given or share == 0 or (few and share is None):
            splits = [(None, None)] * k
        elif share is None and recipe.folds and k > 1:
            if k > n:
                raise ValueError(
                    f"{self._name}: n_nets is {k}, expected at most {n}, the number of rows, of which each net leaves "
                    "a part out"
                )
            splits = in_folds(labels, n, k, int(seeds[1]))
        else:
            where = f"{self._name}: validation_fraction is {share}"
            splits = one_held_out(labels, n, 0.2 if share is None else float(share), int(seeds[1]), where) * k
        return [Job(forms[i % len(forms)], seed, *splits[i // len(forms)]) for i, seed in enumerate(of_nets)]

    def _within(self, recipe: Recipe, matrix: Matrix, learnt: Any, began: float) -> Recipe:
        """Return a recipe that the time is enough for: fewer epochs, fewer nets, or that of a quicker preset."""
        assert self.time_limit is not None
        limit, rows = float(self.time_limit), len(matrix)
        n_threads = threads.check(self.n_threads)
        presets = list(PRESETS)
        quicker = [recipe_for(preset, rows) for preset in presets[presets.index(self.preset) - 1 :: -1]]
        alone = (replace(recipe, nets=-(-recipe.nets // (1 + len(recipe.others))), others=()),) if recipe.others else ()
        for tried in (recipe, *alone, *(quicker if self.preset != presets[0] else ())):
            forms = (tried, *tried.others)
            speed = len(forms) / sum(1 / self._speed(form, matrix, learnt, 0.03 * limit / len(forms)) for form in forms)
            left = _SHARE * limit - (time.perf_counter() - began)
            wanted, nets = tried.epochs_for(rows), tried.nets
            while True:
                at_once = max(1, min(nets, threads.available() if n_threads is None else n_threads))
                waves = -(-nets // at_once) * (2 if tried.refit_below > rows and nets == 1 else 1)
                epochs = int(max(left, 0) * speed / (waves * rows))
                if epochs >= wanted / 4 or nets == 1:
                    break
                nets //= 2
            if epochs >= wanted / 4:
                break
        most = wanted if tried is recipe else tried.epochs
        bounds = {"epochs": max(1, min(most, epochs)), "least_epochs": 1, "row_budget": 10**12}
        others = tuple(replace(other, **bounds) for other in tried.others)
        found: Recipe = replace(tried, nets=nets, others=others, **bounds)
        return found

    def _speed(self, recipe: Recipe, matrix: Matrix, learnt: Any, seconds: float) -> float:
        """Return how many rows of training a net of a recipe takes in a second: a trial of so many, 1/2 at most."""
        rows = len(matrix)
        probe = build(recipe, self._task, 0, self._dtype, self._precision)
        size = recipe.batch_for(rows)
        some = slice(0, 8 * size)
        options: dict[str, Any] = {"loss": loss_for(recipe, self._task), "batch_size": min(size, rows)}
        options["optimizer"] = optimizer_for(recipe, self._task, probe)
        probe.fit(matrix[some], learnt[some], epochs=1, n_threads=1, verbose=False, **options)
        start, trained = time.perf_counter(), 0
        while time.perf_counter() - start < min(seconds, 0.5):
            probe.fit(matrix[some], learnt[some], epochs=1, n_threads=1, verbose=False, **options)
            trained += min(rows, 8 * size)
        return max(trained, 1) / (time.perf_counter() - start)

    def _train(self, jobs: Sequence[Job], data: Any, given: Any, began: float, scored: bool = True) -> None:
        matrix, learnt, train_weight, weight = data
        n_threads = threads.check(self.n_threads)
        at_once = max(1, min(len(jobs), threads.available() if n_threads is None else n_threads))
        options = []
        for job in jobs:
            recipe = job.recipe
            net = job.net = build(recipe, self._task, job.seed, self._dtype, self._precision)
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
                job.best, own["metrics"] = self._watching(job, held, scored)
                callbacks.append(job.best)
            if job.stop_at is not None:
                callbacks.append(StopAt(job.stop_at))
            own["callbacks"] = callbacks
            options.append(own)
        nets = [job.net for job in jobs]
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

    def _watching(self, job: Job, held: Any, scored: bool) -> tuple[LastBest, Any]:
        """Return what keeps the last best epoch, and the metrics that it needs."""
        if scored and self._scorer is not None:
            return LastBest("val_score", "max", Score(self, self._scorer, held, job.validation)), ()
        if self._of_classes and job.recipe.watch == "accuracy":
            return LastBest("val_accuracy"), ["accuracy"]
        return LastBest("val_loss"), ()

    def _refit(self, job: Job, recipe: Recipe, data: Any, began: float) -> list[Job]:
        """Train a net on all rows, for as many epochs as were best."""
        epochs = 0 if job.best is None else job.best.best_epoch
        again = [Job(recipe, job.seed, None, None, max(epochs, 0))]
        left = np.inf if self.time_limit is None else float(self.time_limit) - (time.perf_counter() - began)
        if left < 0.2 * (time.perf_counter() - began):
            return [job]
        self._train(again, data, None, began)
        return again

    # -- predictions --------------------------------------------------------------------------------------------------

    def _matrix(self, x: Any) -> Matrix:
        if "nets_" not in self.__dict__:
            check_is_fitted(self, "nets_")
        return self._read(x)

    def _read(self, x: Any) -> Matrix:
        """Return rows as the nets read them."""
        return self._as_read(self._table(x, False))

    def _as_read(self, table: Any) -> Matrix:
        return self.preprocessing_.transform(table).astype(self._dtype, copy=False)

    def _outputs_of_parts(self, parts: Sequence[Part], matrix: Matrix | None = None) -> Floats:
        """Return what nets say of the rows that they have not seen, or of a matrix in place of all of them."""
        found, at = [], 0
        for part in parts:
            rows = part.matrix if matrix is None else matrix[at : at + len(part.matrix)]
            at += len(rows)
            found.append(self._outputs_of(part.nets, rows).mean(axis=0))
        return np.concatenate(found)

    def _keep_rows(self, parts: list[Part], jobs: Sequence[Job], data: Any) -> None:
        """Keep rows that were not trained with, some at most: for importances."""
        self._parts = parts
        matrix, learnt, _, weight = data
        parts = parts or [Part(tuple(job.net for job in jobs), matrix, learnt, weight)]
        most = -(-_MOST_KEPT // max(1, len(parts)))
        self._kept = [
            Part(nets, matrix[:most].copy(), learnt[:most].copy(), None if weight is None else weight[:most].copy())
            for nets, matrix, learnt, weight in parts
        ]

    def _one(self, row: Any) -> Matrix:
        """Return one row as the nets read it."""
        check_is_fitted(self, "nets_")
        names = [plan.name for plan in self.preprocessing_.plans]
        matrix = self._read(row) if is_frame(row) else self._as_read(one_row(row, names))
        if len(matrix) != 1:
            raise ValueError(f"explain: row has {len(matrix)} rows, expected one")
        return matrix

    def _explained(self, matrix: Matrix, value: Any, unit: str) -> Explanation:
        preprocessing = self.preprocessing_
        n_scaled = preprocessing.n_scaled if len(preprocessing.origin) else matrix.shape[1]
        found, base, prediction = integrated_gradients(self.nets_, value, matrix[0], n_scaled)
        names = tuple(plan.name for plan in preprocessing.plans)
        return Explanation(names, by_column(preprocessing, found), base, prediction, unit)

    def permutation_importance_(self, n_repeats: int = 5, random_state: Any = None) -> Bunch:
        """Return by how much the score of rows that were not trained with falls where a column is permuted.

        The score is R², or minus the log loss. All that was made of a column moves together. Where the fit held no rows
        out, they are rows of the fit; there are 1,000 at most.

        Parameters
        ----------
        n_repeats : int
        random_state : int, RandomState or None

        Returns
        -------
        Bunch
            importances (columns, repeats), importances_mean and importances_std, as of scikit-learn's
            permutation_importance.
        """
        check_is_fitted(self, "nets_")
        parts = self._kept
        if not parts:
            raise ValueError(
                "permutation_importance_ needs rows, and the estimator was saved without rows: fit it anew"
            )
        targets, weight = joined(parts)
        matrix = np.concatenate([part.matrix for part in parts])

        def score(changed: Matrix) -> float:
            return self._score(self._outputs_of_parts(parts, changed), targets, weight)

        repeats = count("permutation_importance_: n_repeats", n_repeats)
        rng = check_random_state(random_state)
        found = permutation_importances(score, matrix, self.preprocessing_, repeats, rng)
        return Bunch(importances=found, importances_mean=found.mean(axis=1), importances_std=found.std(axis=1))

    @property
    def feature_importances_(self) -> Floats:
        """By how much the score of rows that were not trained with falls where each column is permuted, 5 times."""
        found: Floats = self.permutation_importance_(5, 0).importances_mean
        return found

    def _outputs_of(self, nets: Sequence[Model], matrix: Matrix) -> Floats:
        """Return the outputs of nets, (nets, rows, outputs)."""
        n_threads = threads.check(self.n_threads)
        return np.stack([net.predict(matrix, n_threads=n_threads).astype(np.float64) for net in nets])

    def _graph_of_rows(self, inputs: str | None, preprocessing: bool) -> tuple[TableGraph, Value]:
        if not preprocessing:
            return graph_of_matrix(self.nets_[0], self.preprocessing_.made)
        to = self.preprocessing_._table(inputs)
        return to, self.preprocessing_._graph(to)

    def _graph_of_nets(self, x: Value, to: TableGraph) -> Value:
        """Add the mean of what the nets say."""
        return to.mean([to.cast(to.net(net, x), np.float64) for net in self.nets_])

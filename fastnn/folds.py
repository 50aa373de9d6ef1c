"""Cross-validation: the same net trained on all folds but one, and looked at on that, for each of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.arena import Array
from fastnn.arrays import as_array, check_lengths
from fastnn.checks import count, flag, is_iterable, number_of, shown
from fastnn.losses import Loss
from fastnn.many import apart, fit_each, require_known
from fastnn.markup import data_frame
from fastnn.model import Metrics, Model
from fastnn.optimizers import Optimizer
from fastnn.splits import Rows, codes_of, group_folds, k_folds, labels_of_rows, n_rows, rows_of, stratified_folds
from fastnn.training.data import known_weights, read
from fastnn.training.evaluation import ending
from fastnn.training.history import History
from fastnn.training.options import BATCH_SIZE

_INSTEAD = (
    "leave it out, for result.histories holds what is logged, and keep_models=True keeps the nets; or train the folds "
    "yourself, by fit"
)


class Fold(NamedTuple):
    """The rows to train with, and those that are held out."""

    train: Rows
    test: Rows


class CrossValidation:
    """What `cross_validate` has found: scores of each fold, whose mean = Σ score / folds estimates that of new rows.

    Attributes
    ----------
    scores : dict of str to ndarray of shape (folds,)
        The loss and the metrics on the held-out rows of each fold, by name. ``result["accuracy"]`` is one of them.
    predictions : ndarray of shape (rows, n_out)
        For each row those of the net that has not been trained with it: the mean where several folds hold it out, NaN
        where none does.
    histories : list of History
        Of the fits.
    folds : list of (train, test)
        The numbers of the rows.
    models : list of Model, or None
        The nets, where they are kept.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, cross_validate
    >>> x = np.random.default_rng(0).normal(size=(60, 1))
    >>> result = cross_validate(Model([Dense(1)], seed=0), x, x / 2, folds=3, epochs=800, metrics="r2")
    >>> len(result), [*result.scores], result["r2"].shape
    (3, ['loss', 'r2'], (3,))
    >>> round(result.mean()["r2"], 2)
    1.0
    """

    def __init__(
        self,
        scores: dict[str, NDArray[np.float64]],
        predictions: Array,
        histories: list[History],
        folds: list[Fold],
        models: list[Model] | None,
    ) -> None:
        self.scores, self.predictions, self.histories = scores, predictions, histories
        self.folds, self.models = folds, models

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self.scores:
            raise KeyError(f"there are no scores {name!r}, but {', '.join(self.scores)}")
        return self.scores[name]

    def __len__(self) -> int:
        return len(self.folds)

    def mean(self) -> dict[str, float]:
        """Return the mean of each score over folds."""
        return {name: float(values.mean()) for name, values in self.scores.items()}

    def std(self) -> dict[str, float]:
        """Return the standard deviation of each score over folds, as `numpy.std` computes it."""
        return {name: float(values.std()) for name, values in self.scores.items()}

    def to_frame(self) -> Any:
        """Return the scores as a data frame of pandas: a column each, a row for each fold.

        Raises
        ------
        ImportError
            Without pandas, with what installs it.
        """
        return data_frame(self.scores, "fold", "to_frame()")

    def __repr__(self) -> str:
        spread = self.std()
        scores = "".join(f", {name} {mean:.4g} ± {spread[name]:.2g}" for name, mean in self.mean().items())
        return f"<CrossValidation: {number_of(len(self), 'fold')}{scores}>"


def cross_validate(
    model: Model | Callable[[], Model],
    x: ArrayLike,
    y: ArrayLike,
    folds: Any = 5,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer | None = None,
    epochs: int | None = None,
    batch_size: int | None = BATCH_SIZE,
    groups: ArrayLike | None = None,
    metrics: Metrics = None,
    sample_weight: ArrayLike | None = None,
    validate: bool | None = None,
    keep_models: bool = False,
    n_threads: int | None = None,
    verbose: bool | str = "auto",
    **options: Any,
) -> CrossValidation:
    """Train a net on all folds but one, and look at it on that, for each of them: score = mean over folds (Stone 1974).

    Folds are trained side by side, each by one thread, to the bits that ``fit(..., n_threads=1)`` gives. The model
    itself is not changed: each fold trains a copy of it, from the same first weights.

    Parameters
    ----------
    model : Model, or callable that returns one
        It has not been trained: what it has learnt of rows would be held out in no fold. A function may return copies
        of one that is trained on other data.
    x, y
        As in `Model.fit`, of any kind: frames, sparse rows, a dict of the targets of heads.
    folds : int, splitter, or sequence of (train, test)
        How many: as scikit-learn's StratifiedKFold makes them of classes, GroupKFold of groups, else KFold: in the
        order of the rows. Or an object with ``split(x, y, groups)``, such as scikit-learn's, which can shuffle first,
        or the numbers of rows, or masks.
    loss, optimizer, epochs, batch_size, **options
        As in `Model.fit`; as in `fit_many` each net gets a copy of what keeps something, such as callbacks.
    groups : array_like of shape (rows,), or None
        To which group a row belongs: with a number of folds, none is in two of them.
    metrics : str, Metric, callable, or a sequence of them, or a dict
        As in `Model.evaluate`: of the held-out rows, and of each epoch if these validate.
    sample_weight : array_like of shape (rows,) or (rows, n_out), or None
        What rows weigh, in training and in scores.
    validate : bool or None
        Whether the held-out rows are the validation data of their fit, which early stopping watches. None: where there
        are callbacks, and neither ``validation_data`` nor ``validation_split`` among the options. What chooses an epoch
        by them makes their scores look better than they are: ``validation_split=0.1`` chooses by other rows.
    keep_models : bool
        Whether the nets are kept.
    n_threads, verbose
        As in `fit_many`.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError, TypeError, FloatingPointError, RuntimeError
        What is wrong with the folds, the data or the metrics, before any net is trained, with rows by their numbers in
        x; or what the fit of one fold has raised, with its number, from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, Softmax, cross_validate
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> labels = (x[:, 0] > x[:, 1]).astype(int)
    >>> net = Model([Dense(8, "relu"), Dense(2), Softmax()], seed=0)
    >>> result = cross_validate(net, x, labels, folds=4, epochs=20, metrics=["roc_auc"])
    >>> result.scores["accuracy"].shape, bool(result.mean()["roc_auc"] > 0.9)
    ((4,), True)
    >>> result.predictions.shape
    (200, 2)
    """
    require_known("cross_validate", options, set(signature(cross_validate).parameters) - {"options"})
    keeps = flag("cross_validate: keep_models", keep_models)
    make = _maker(model)
    first = make()
    chosen = first._trainer.choose_loss(loss)
    chosen.choose_metrics(metrics)
    pieces, targets = chosen.pieces(y)
    n = n_rows(x)
    for piece in pieces:
        check_lengths(n, piece, "y")
    weight = None if sample_weight is None else known_weights(sample_weight, n)
    found = _folds(folds, n, chosen.classes_of(pieces, n), pieces[0], groups)
    nets = [first, *(make() for _ in found[1:])]
    if len({id(net) for net in nets}) < len(nets):
        raise ValueError("cross_validate: model returned the same net twice, expected a new one for each fold")
    asked: dict[str, Any] = {
        "loss": loss,
        "optimizer": optimizer,
        "epochs": epochs,
        "batch_size": batch_size,
        **options,
    }
    watches = options.get("callbacks") not in (None, ()) and options.get("callbacks") != []
    apart_already = options.get("validation_data") is not None or options.get("validation_split") is not None
    validates = watches and not apart_already if validate is None else flag("cross_validate: validate", validate)
    if validates and apart_already:
        raise ValueError(
            "cross_validate: validate is True, and validation_data or validation_split is given, too, expected one of "
            "them"
        )
    if validates or apart_already:
        asked["metrics"] = metrics
    own = apart(nets, [{} for _ in nets], asked, "cross_validate", _INSTEAD)

    def some(rows: Rows) -> tuple[Any, ...]:
        data = rows_of(x, rows), targets([rows_of(piece, rows) for piece in pieces])
        return data if weight is None else (*data, weight[rows])

    def options_of(i: int) -> dict[str, Any]:  # when its turn comes: not all rows are copied at once
        train_x, train_y, *weights = some(found[i].train)
        data = {"x": train_x, "y": train_y, "sample_weight": weights[0] if weights else None}
        return {**data, **own[i], **({"validation_data": some(found[i].test)} if validates else {})}

    def rehearse(i: int) -> None:
        options = options_of(i)
        if validates:  # by the held-out rows, which are looked at anyway
            del options["validation_data"]
        try:
            _rehearse(nets[i], options, some(found[i].test), chosen, metrics)
        except (TypeError, ValueError) as error:
            used = np.isin(np.arange(n), np.concatenate([rows for fold in found for rows in fold]))
            counts = (None if used.all() else used) if weight is None else weight * used[:, None]
            if (
                counts is None or counts.any()
            ):  # once more, with all rows: so the error calls them by the user's numbers
                other = deepcopy(nets[i])
                read(other._tree, x, y, counts, chosen, other._trainer.build, True)
            error.args = (f"fold {i}: {error}",)
            raise

    for i in range(len(nets)):
        rehearse(i)

    histories = fit_each(nets, options_of, n_threads, verbose, "fold {}")
    scores: dict[str, list[float]] = {}
    total, times = None, np.zeros((n, 1))
    for i, (net, fold) in enumerate(zip(nets, found, strict=True)):
        test_x, test_y, *weights = some(fold.test)
        try:
            numbers = net.evaluate(test_x, test_y, sample_weight=weights[0] if weights else None, metrics=metrics)
        except (TypeError, ValueError) as error:
            error.args = (f"fold {i}: held-out rows: {error}",)
            raise
        for name, number in numbers.items():
            scores.setdefault(name, [np.nan] * i).append(number)
        predicted = net.predict(test_x)
        if total is None:
            total = np.zeros((n, predicted.shape[1]), predicted.dtype)
        np.add.at(total, fold.test, predicted)
        np.add.at(times, fold.test, 1)
    assert total is not None
    predictions = np.where(times > 0, total / np.maximum(times, 1), np.nan).astype(total.dtype)
    table = {name: np.array(values + [np.nan] * (len(nets) - len(values))) for name, values in scores.items()}
    return CrossValidation(table, predictions, histories, found, nets if keeps else None)


def _rehearse(net: Model, options: dict[str, Any], held_out: tuple[Any, ...], loss: Loss, metrics: Metrics) -> None:
    """Raise what a fit with these options raises before its first step, and what evaluating held-out rows does.

    Metrics may be of numbers that an untrained net does not give: those are refused that do not take what is right,
    either.
    """
    copied = deepcopy(net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit warns
        copied.fit(**{**options, "epochs": 0, "callbacks": (), "resume": False, "verbose": False})
        x, y, *weights = held_out
        weight = weights[0] if weights else None
        try:
            try:
                copied.evaluate(x, y, loss, sample_weight=weight, metrics=metrics)
            except ValueError:
                trainer, tree = copied._trainer, copied._tree
                _, target, weight, _ = read(tree, x, y, weight, loss, trainer.build, True)
                right = np.eye(copied.n_out)[target] if target.ndim == 1 else target
                if right.shape != (len(target), copied.n_out):
                    raise
                ending(tree, loss)[0].measure(loss.choose_metrics(metrics), right.astype(net.dtype), target, weight)
        except (TypeError, ValueError) as error:
            error.args = (f"held-out rows: {error}",)
            raise


def _maker(model: Any) -> Callable[[], Model]:
    """Return what makes a net for each fold."""
    if isinstance(model, Model):
        if model._trainer.state.fits[0] or len(model._trainer.state.memories):
            raise ValueError(
                "cross_validate: the model has been trained: what it has learnt of rows would be held out in no fold. "
                "Pass a new one, or a function that returns one: lambda: copy.deepcopy(net) where it is of other data"
            )
        return lambda: deepcopy(model)
    if not callable(model) or isinstance(model, type):
        raise TypeError(f"cross_validate: model is {shown(model)}, expected a Model, or a function that returns one")

    def make() -> Model:
        made = model()
        if not isinstance(made, Model):
            raise TypeError(f"cross_validate: model returned {shown(made)}, expected a Model")
        return made

    return make


def _folds(given: Any, n: int, classes: NDArray[Any] | None, y: Array, groups: ArrayLike | None) -> list[Fold]:
    """Return the folds that are asked for, checked."""
    labels = None
    if groups is not None:
        labels = labels_of_rows(groups, "cross_validate: groups")
        if len(labels) != n:
            raise ValueError(f"cross_validate: groups has {len(labels)} labels, expected {n}, one for each row")
    if isinstance(given, (int, float, np.number)):
        k = count("cross_validate: folds", given, 2)
        if k > n:
            raise ValueError(f"cross_validate: folds is {k}, expected at most {n}, the number of rows")
        if labels is not None:
            tests = group_folds(codes_of(labels), k)
        else:
            tests = k_folds(n, k) if classes is None else stratified_folds(classes, k)
        return [Fold(np.flatnonzero(tests != i), np.flatnonzero(tests == i)) for i in range(k)]
    if hasattr(given, "split") and not isinstance(given, str):
        pairs: Iterable[Any] = given.split(np.zeros(n), y if classes is None else classes, labels)
    elif is_iterable(given) and not isinstance(given, str):
        pairs = given
    else:
        raise TypeError(
            f"cross_validate: folds is {shown(given)}, expected a number, a splitter, or pairs of rows (train, test)"
        )
    found = [_fold(i, pair, n) for i, pair in enumerate(pairs)]
    if not found:
        raise ValueError("cross_validate: folds is empty, expected one pair of rows (train, test) at least")
    return found


def _fold(i: int, pair: Any, n: int) -> Fold:
    where = f"cross_validate: folds[{i}]"
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{where} is {shown(pair)}, expected a pair of rows (train, test)")
    train, test = (_numbers(f"{where}, {name}", rows, n) for name, rows in zip(("train", "test"), pair, strict=True))
    both = np.intersect1d(train, test)
    if len(both):
        raise ValueError(f"{where}: row {both[0]} is trained with and held out, expected it in one of them")
    return Fold(train, test)


def _numbers(where: str, given: Any, n: int) -> Rows:
    """Return numbers of rows, from numbers or a mask."""
    rows = as_array(given, where)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise ValueError(f"{where} is a mask of shape {rows.shape}, expected ({n},)")
        rows = np.flatnonzero(rows)
    if rows.ndim != 1 or not len(rows):
        raise ValueError(f"{where} has shape {rows.shape}, expected the numbers of one row at least")
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= n:
        raise ValueError(f"{where} holds {rows.min()} and {rows.max()}, expected rows from 0 to {n - 1}")
    return rows.astype(np.int64)

"""What settings of an estimator stand for: layers, losses and optimizers of this library, by name or as parts."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import losses, optimizers
from fastnn.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm
from fastnn.layers import activations as known_activations
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule
from fastnn.schedules.contract import as_schedule
from fastnn.sklearn.borrowed import Interval, InvalidParameterError, StrOptions

if TYPE_CHECKING:
    from fastnn.sklearn.extended import Extended

ACTIVATIONS = {*known_activations.BY_NAME, *known_activations._WITH_SETTINGS}
SOLVERS = {*optimizers._BY_NAME}
_NORMALIZATIONS = {"batch": BatchNorm, "layer": LayerNorm}
_OF_SCIKIT_LEARN = {"lbfgs", "sgd", "adam"}
_AS_CLASSES = ("binary_cross_entropy", "bce", "cross_entropy", "nll", "focal", "hinge", "squared_hinge", "multi_margin")
_NOT_OF_NUMBERS = (
    "binary", "bce", "cross", "categorical", "sparse", "nll", "focal", "sigmoid", "hinge", "multi_", "squared_h",
)  # fmt: skip

CLASSIFIER_LOSSES = {"log_loss", *_AS_CLASSES}
REGRESSOR_LOSSES = {
    "squared_error", "absolute_error", "poisson",
    *(name for name in losses._BY_NAME if not name.startswith(_NOT_OF_NUMBERS) and name != "log_loss"),
}  # fmt: skip


def positive() -> list[Any]:
    """Return the constraint of a limit: above 0, or None."""
    return [Interval(Real, 0, None, closed="neither"), None]


CONSTRAINTS: dict[str, list[Any]] = {
    "activation": [StrOptions(ACTIVATIONS), Layer, "array-like"],
    "solver": [StrOptions(SOLVERS), Optimizer],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule, callable],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "normalization": [StrOptions({*_NORMALIZATIONS}), None],
    "out_activation": [StrOptions(ACTIVATIONS), Layer, None],
    "scoring": [str, callable, None],
    "callbacks": [callable, "array-like", None],
    "clip_norm": positive(),
    "clip_value": positive(),
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    "n_ensemble": [Interval(Integral, 1, None, closed="left")],
    "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
    "precision": [StrOptions({"bf16", "bfloat16"}), None],
}


def wrong(estimator: Any, name: str, expected: str, got: Any = ...) -> InvalidParameterError:
    """Return scikit-learn's error for a setting."""
    given = getattr(estimator, name) if got is ... else got
    return InvalidParameterError(
        f"The {name!r} parameter of {type(estimator).__name__} must be {expected}. Got {given!r} instead."
    )


# -- layers -----------------------------------------------------------------------------------------------------------


def activation_of(estimator: Any, name: str, given: Any) -> Layer | str | None:
    """Return an activation, a new part where a part is given; None for the identity."""
    if isinstance(given, Layer):
        return deepcopy(given)
    if not isinstance(given, str) or given not in ACTIVATIONS:
        raise wrong(estimator, name, f"a layer, or a str among {sorted(ACTIVATIONS)}", given)
    return None if given in ("identity", "linear") else given


def each(estimator: Any, name: str, n: int) -> list[Any]:
    """Return a setting of each of the n hidden layers: one for all, or a list with one for each."""
    given = getattr(estimator, name)
    if isinstance(given, (str, Layer, Real)) or given is None:
        return [given] * n
    found = list(given)
    if len(found) != n:
        raise wrong(estimator, name, f"one for all, or a list with one for each of the {n} hidden layers")
    return found


def hidden_layers(estimator: Extended, sizes: Sequence[int]) -> list[Layer]:
    """Return the hidden layers: of each a product, its normalization, its activation, its dropout."""
    e, found = estimator, list[Layer]()
    activations, rates = each(e, "activation", len(sizes)), each(e, "dropout", len(sizes))
    for size, activation, rate in zip(sizes, activations, rates, strict=True):
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) < 1:
            raise wrong(e, "dropout", "numbers of at least 0 and below 1", e.dropout)
        behind = activation_of(e, "activation", activation)
        if e.normalization is None:
            found.append(Dense(size, behind, weight_initializer="zeros"))
        else:
            found += [Dense(size, weight_initializer="zeros"), _NORMALIZATIONS[e.normalization]()]
            if behind is not None:
                found.append(known_activations.get(behind))
        if rate:
            found.append(Dropout(float(rate)))
    return found


def is_sigmoid(activation: Any) -> bool:
    """Whether scikit-learn would draw smaller weights for it."""
    return isinstance(activation, str) and activation in ("logistic", "sigmoid")


# -- losses -----------------------------------------------------------------------------------------------------------


def loss_of(estimator: Any, name: str | Loss) -> Loss:
    """Return a new loss: a copy of a part, or what a name stands for."""
    if not isinstance(name, Loss):
        return losses.get({"absolute_error": "mae"}.get(name, name))
    if name.weighs():
        raise wrong(estimator, "loss", "a loss without weights of its own: use class_weight or sample_weight")
    name.require_one_number()
    return deepcopy(name)


# -- optimizers -------------------------------------------------------------------------------------------------------


def is_scheduled(estimator: Any) -> bool:
    """Whether the learning rate follows a schedule of this library."""
    return not isinstance(estimator.learning_rate, str)


def rate_of(estimator: Any) -> Any:
    """Return the learning rate: a number, or a schedule that it is multiplied by."""
    if not is_scheduled(estimator):
        return estimator.learning_rate_init
    given = estimator.learning_rate
    schedule = deepcopy(given) if isinstance(given, Schedule) else as_schedule("learning_rate", given)
    return estimator.learning_rate_init * schedule


def rule_of(estimator: Any) -> Optimizer:
    """Return a new optimizer for a name that is none of scikit-learn's, or a copy of the part that is given."""
    e = estimator
    if isinstance(e.solver, str):
        return optimizers.get(e.solver).__class__(rate_of(e))
    if e.learning_rate_init != 0.001 or is_scheduled(e):
        name = "learning_rate_init" if e.learning_rate_init != 0.001 else "learning_rate"
        raise ValueError(
            f"{name}={getattr(e, name)!r} is not used by solver={e.solver!r}, which has a rate of its own: set it there"
        )
    found: Optimizer = deepcopy(e.solver)
    return found


def clip(estimator: Any, rule: Optimizer) -> Optimizer:
    """Return the optimizer, which clips gradients where the estimator says so."""
    for name in ("clip_value", "clip_norm"):
        limit = getattr(estimator, name)
        if limit is None:
            continue
        if getattr(rule, name) is not None:
            raise ValueError(f"{name}={limit!r} is not used by {rule!r}, which clips already: set it in one place")
        setattr(rule, name, float(limit))
    return rule


# -- what makes no sense together -------------------------------------------------------------------------------------


def refuse(estimator: Any, validates: bool, incremental: bool) -> None:
    """Raise ValueError for settings that would be without effect together."""
    e, n_hidden = estimator, np.size(estimator.hidden_layer_sizes)
    if not n_hidden:
        for name, default in (("dropout", 0.0), ("normalization", None)):
            if np.any(getattr(e, name) != default):
                raise ValueError(
                    f"{name}={getattr(e, name)!r} is for hidden layers, and hidden_layer_sizes="
                    f"{e.hidden_layer_sizes!r} has none: leave {name} out"
                )
    if isinstance(e.solver, Optimizer) and e.solver.takes_fits:
        raise ValueError(f"solver={e.solver!r} trains fits as a whole: use solver='lbfgs', max_iter, max_fun and tol")
    if isinstance(e.solver, str) and e.solver == "lbfgs":
        settings = {
            "dropout": np.any(np.asarray(e.dropout) != 0), "normalization": e.normalization == "batch",
            "callbacks": e.callbacks is not None, "clip_norm": e.clip_norm is not None,
            "clip_value": e.clip_value is not None, "scoring": e.scoring is not None,
            "learning_rate": is_scheduled(e),
        }  # fmt: skip
        for name, is_set in settings.items():
            if is_set:
                raise ValueError(
                    f"{name}={getattr(e, name)!r} is for steps over batches, and solver='lbfgs' minimizes a loss that "
                    f"stays, over all rows at once: use solver='adam', or leave {name} out"
                )
        if validates:
            raise ValueError(
                "validation_data is looked at between epochs, and solver='lbfgs' has none: use solver='adam', or "
                "score the estimator behind the fit"
            )
    if (
        isinstance(e.learning_rate, str)
        and e.learning_rate != "constant"
        and not (isinstance(e.solver, str) and e.solver in _OF_SCIKIT_LEARN)
    ):
        raise ValueError(
            f"learning_rate={e.learning_rate!r} is for solver='sgd': with solver={e.solver!r} pass a schedule, such as "
            "learning_rate=Cosine()"
        )
    if e.scoring is not None and not (e.early_stopping or validates):
        raise ValueError(
            f"scoring={e.scoring!r} is for rows that are not trained with, and there are none: set "
            "early_stopping=True, or pass validation_data to fit"
        )

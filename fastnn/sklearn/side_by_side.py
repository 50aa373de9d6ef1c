"""Several nets of one estimator, trained side by side by threads: they differ in first weights and order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from fastnn import threads
from fastnn._core.team import Stop
from fastnn.callbacks.calls import as_callbacks

_KNOWN = (
    "classes_", "_known_labels", "n_features_in_", "feature_names_in_", "n_outputs_", "n_layers_",
    "out_activation_", "_categories", "is_categorical_",
)  # fmt: skip
_CURVES = ("loss_curve_", "validation_scores_")
_NUMBERS = ("best_loss_", "best_validation_score_")


def fit(estimator: Any, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> Any:
    """Fit so many copies of an estimator, each with a seed of its own and by one thread, and keep them.

    Net i is that which the estimator with ``n_ensemble=1, random_state=seed i`` would be.
    """
    e = estimator
    own = e.__dict__.get("estimators_") if incremental or e.warm_start else None
    if own is None or len(own) != e.n_ensemble:
        seeds = check_random_state(e.random_state).randint(np.iinfo(np.int32).max, size=e.n_ensemble)
        own = [clone(e) for _ in seeds]
        for net, seed in zip(own, seeds, strict=True):
            net.set_params(n_ensemble=1, random_state=int(seed), n_threads=1)
    for i, net in enumerate(own):
        net.set_params(callbacks=_callbacks(e.callbacks, i))
        if incremental and hasattr(e, "_known_labels") and not hasattr(net, "_known_labels"):
            net._known_labels, net.classes_ = deepcopy(e._known_labels), e.classes_
        net._validation_data = validation_data
    waiting, stop = deque(own), Stop()

    def work() -> None:
        while waiting and not stop.is_set():
            try:
                net = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            net._fit(X, y, sample_weight, incremental)

    n = min(len(own), threads.available() if e.n_threads is None else e.n_threads)
    errors_of_numpy = np.errstate(**np.geterr())
    try:
        threads.together(n, errors_of_numpy(work), stop, helps=False)
    finally:
        for net in own:
            net.__dict__.pop("_validation_data", None)
    gather(e, own)
    return e


def gather(e: Any, own: list[Any]) -> None:
    """Let an estimator be that of these, which are fitted."""
    for name in ("net_", *_CURVES, *_NUMBERS):
        e.__dict__.pop(name, None)
    for name in (*_CURVES, *_NUMBERS):
        if name in own[0].__dict__:
            each = [getattr(net, name) for net in own]
            mean = _mean_of_curves if name in _CURVES else np.mean
            setattr(e, name, None if each[0] is None else mean(each))
    e.__dict__.update({name: own[0].__dict__[name] for name in _KNOWN if name in own[0].__dict__})
    e.estimators_, e.nets_ = own, [net.net_ for net in own]
    e.loss_ = float(np.mean([net.loss_ for net in own]))
    e.n_iter_ = max(net.n_iter_ for net in own)
    e.t_ = own[0].t_


def _callbacks(given: Any, i: int) -> Any:
    """Return the callbacks of the net with this number: the first has those that are given, the others copies."""
    if given is None or i == 0:
        return given
    for callback in as_callbacks(given):
        if getattr(callback, "writes_files", False):
            raise ValueError(
                f"callbacks holds {callback!r}, and n_ensemble nets would write the same files: leave it out"
            )
    return deepcopy(given)


def _mean_of_curves(curves: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of each epoch: of nets that ended before, the last number."""
    most = max(map(len, curves))
    found = np.mean([np.pad(curve, (0, most - len(curve)), "edge") for curve in curves], axis=0)
    return [*map(float, found)]


class OfOneNet:
    """An attribute that an ensemble of nets does not have: the error says where those of the nets are."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, estimator: Any, owner: type) -> Any:
        if estimator is None:
            return self
        raise missing(estimator, self._name)


def missing(estimator: Any, name: str) -> AttributeError:
    """Return the error for an attribute that is not there."""
    text = f"{type(estimator).__name__!r} object has no attribute {name!r}"
    if "estimators_" in estimator.__dict__:
        text += f": it is of n_ensemble={len(estimator.estimators_)} nets. They are nets_, and estimators_[i].{name}"
    return AttributeError(text, name=name, obj=estimator)

"""Nets of scikit-learn: its MLPClassifier and MLPRegressor, read into models."""

from __future__ import annotations

import warnings
from copy import deepcopy
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import lookup, shown
from fastnn.formats.weights.described import Given, as_weights, matched, new_model, write
from fastnn.formats.weights.memory import Remembered
from fastnn.layers import Dense, Layer
from fastnn.layers.activations import get as get_activation
from fastnn.losses import MSE, BinaryCrossEntropy, CrossEntropy, Loss, PoissonNLL
from fastnn.model import Model
from fastnn.optimizers import SGD, Adam, Optimizer
from fastnn.penalties import L2

_HIDDEN = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
_LAST = {"identity": None, "logistic": "sigmoid", "softmax": "softmax", "exp": "exponential"}
_MOST_ROWS = 200  # of a batch, by default


def loss_of(out_activation: str, n_outputs: int) -> tuple[Loss, float]:
    """Return the loss of a net of scikit-learn, and how many times as large its gradient is here.

    There losses are sums over outputs, and half of the squared error.
    """
    if out_activation == "softmax":
        return CrossEntropy(), 1.0
    if out_activation == "logistic":
        return BinaryCrossEntropy(), 1 / n_outputs
    return (PoissonNLL(log_input=False, eps=0.0), 1 / n_outputs) if out_activation == "exp" else (MSE(), 2 / n_outputs)


def from_sklearn(mlp: Any) -> Model:
    """Return a model that predicts what a fitted MLPClassifier or MLPRegressor does, and takes its next steps.

    Its outputs are those of `predict_proba`, of two classes the probability of the second, or those of `predict`. Loss,
    optimizer (with what it remembers) and penalty are such that `train_batch` on a batch of the size of those of the
    fit does what `partial_fit` does: scikit-learn's losses are sums over outputs, of squares half of it, so rates of
    "sgd" and eps of "adam" are scaled by that. The rate of "sgd" stays as it stands now: a warning says so where
    `learning_rate` is "invscaling" or "adaptive", which move it at the end of an epoch.

    Parameters
    ----------
    mlp : MLPClassifier or MLPRegressor
        Of scikit-learn, or of `fastnn.sklearn`, of which it is a copy of ``mlp.net_``, as that is: there regressors
        train with a multiple of its loss, half of the squares, which `train_batch` does not take.

    Returns
    -------
    Model
        With its dtype; classes are `class_names`, as texts.

    Raises
    ------
    TypeError, ValueError
        For what is none, or is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=500, random_state=0).fit(X, y)
    >>> net = fastnn.from_sklearn(mlp)
    >>> net
    <Model: Dense(8, 'relu'), Dense(3, 'softmax'); 4 inputs, 67 parameters, float64>
    >>> bool(np.allclose(net.predict(X), mlp.predict_proba(X)))
    True
    """
    what = "from_sklearn"
    kind = type(mlp).__name__
    if not hasattr(mlp, "get_params") or not hasattr(mlp, "hidden_layer_sizes"):
        hint = ": pass its last step" if hasattr(mlp, "steps") else ""
        raise TypeError(f"{what}: got {shown(mlp)}, expected an MLPClassifier or MLPRegressor{hint}")
    several = mlp.__dict__.get("nets_") or mlp.__dict__.get("estimators_") or ()
    if len(several) > 1:
        raise ValueError(f"{what}: this {kind} is {len(several)} nets: take one of them, as in deepcopy(mlp.nets_[0])")
    if not hasattr(mlp, "coefs_"):
        raise ValueError(f"{what}: this {kind} is not fitted yet: call fit first")
    if isinstance(mlp.__dict__.get("net_"), Model):
        model: Model = deepcopy(mlp.net_)
    else:
        model = _copied(what, mlp)
    if mlp.solver == "sgd" and mlp.learning_rate in ("invscaling", "adaptive") and model.optimizer is not None:
        lr = getattr(model.optimizer, "lr", None)
        warnings.warn(
            f"{what}: learning_rate={mlp.learning_rate!r} of this {kind} moves its rate at the end of each epoch, and "
            f"the optimizer here stays at lr={lr}: move net.optimizer.lr, by a schedule or a callback, where you train "
            "on",
            stacklevel=2,
        )
    classes = getattr(mlp, "classes_", None)
    if classes is not None and len(classes) == max(2, model.n_out):
        model.class_names = [str(one) for one in classes]
    names = getattr(mlp, "feature_names_in_", None)
    if names is not None and model.feature_names is None:
        model._tree.feature_names = tuple(str(name) for name in names)
    return model


def _copied(what: str, mlp: Any) -> Model:
    n = len(mlp.coefs_)
    hidden = lookup(f"{what}: activation", mlp.activation, _HIDDEN)
    last = lookup(f"{what}: out_activation_", mlp.out_activation_, _LAST)
    given = []
    for i, (coefs, intercepts) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True)):
        w, b = as_weights(coefs, f"{what}: coefs_[{i}]"), as_weights(intercepts, f"{what}: intercepts_[{i}]")
        name = hidden if i < n - 1 else last
        activation: Layer | None = None if name in (None, "identity") else get_activation(name)
        given.append(
            Given(f"layer {i + 1} (coefs_[{i}], intercepts_[{i}])", {"w": w, "b": b}, Dense(len(b), activation))
        )
    model = new_model(what, given)
    plan = matched(what, model, given, None)
    loss, factor = loss_of(mlp.out_activation_, len(mlp.intercepts_[-1]))
    memory = None
    rule = getattr(mlp, "_optimizer", None)
    if rule is not None:
        made, steps, arrays_of = _rule(rule, factor)
        of = [(match, name) for name in ("w", "b") for match in plan.matches]
        arrays = {key: [*zip(of, several, strict=True)] for key, several in arrays_of.items()}
        memory = Remembered(made, steps, arrays)
        memory.require_fit(what)
    write(model, plan)
    model.loss = loss
    if memory is not None:
        memory.give_to(model)
        rows = _rows_of_a_batch(mlp)
        if mlp.alpha and not rows:
            warnings.warn(
                f"{what}: alpha={mlp.alpha} is divided by the rows of a batch, which are not known of this one, so the "
                "model has no penalty: set net.penalties",
                stacklevel=3,
            )
        elif mlp.alpha:
            model.penalties = [L2(factor * mlp.alpha / (2 * rows))]
    return model


def _rows_of_a_batch(mlp: Any) -> float:
    """Return how many rows a batch of the fit had: scikit-learn's penalty is divided by it."""
    most = _MOST_ROWS if mlp.batch_size == "auto" else mlp.batch_size
    return min(mlp.t_ / mlp.n_iter_, most) if mlp.n_iter_ and mlp.t_ else 0 if mlp.batch_size == "auto" else most


def _rule(rule: Any, factor: float) -> tuple[Optimizer, float, dict[str, list[Array]]]:
    """Return an optimizer of scikit-learn as one here, how many steps it has taken, and what it remembers."""
    if hasattr(rule, "ms"):
        adam = Adam(rule.learning_rate_init, rule.beta_1, rule.beta_2, factor * rule.epsilon, eps_hat=True)
        m, v = [factor * np.asarray(one) for one in rule.ms], [factor**2 * np.asarray(one) for one in rule.vs]
        return adam, float(rule.t), {"m": m, "v": v}
    lr = float(rule.learning_rate) / factor
    if not rule.momentum:
        return SGD(lr), 0.0, {}
    velocity = [np.asarray(one) / -lr for one in rule.velocities]
    return SGD(lr, rule.momentum, bool(rule.nesterov)), 1.0, {"velocity": velocity}

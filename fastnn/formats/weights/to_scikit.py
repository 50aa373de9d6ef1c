"""Models as nets of scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count, shown
from fastnn.formats import graph
from fastnn.formats.unchanged import unchanged
from fastnn.formats.weights.scikit import loss_of
from fastnn.layers import Dense
from fastnn.model import Model
from fastnn.optimizers import SGD, Adam
from fastnn.penalties import L2

_HIDDEN = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}
_LAST = {"sigmoid": "logistic", "exponential": "exp"}


class Net(NamedTuple):
    """What scikit-learn's nets are.

    Attributes
    ----------
    w, b : list of ndarray
        Of each layer.
    hidden : str
        The activation of all layers but the last.
    last : str
        That of the last one.
    is_plain : bool
        Whether the arrays are those of the dense layers as they are.
    """

    w: list[Array]
    b: list[Array]
    hidden: str
    last: str
    is_plain: bool


@unchanged
def to_sklearn(net: Model, classes: Sequence[Any] | None = None, *, batch_size: int | None = None) -> Any:
    """Return a fitted MLPClassifier or MLPRegressor of scikit-learn that predicts what a model does.

    A classifier where the net ends in a softmax or a sigmoid, else a regressor; with an exponential at its end, one of
    ``loss="poisson"``. Scales and offsets of columns, as those of `BatchNorm`, `Scale`, `Bias` and `Normalization`,
    become part of the weights beside them. What reads such nets, skl2onnx and emlearn, reads this one.

    An `Adam` or `SGD` goes on in `partial_fit` as it stands, by what scikit-learn makes of `sgd` and `adam` (whose eps
    is that of ``eps_hat=True``) and on the loss that its nets have. An `L2` of the weights becomes `alpha`. What else a
    net is trained with (other optimizers and penalties, weight decay, schedules, constraints) has no place there: a
    warning names it.

    Parameters
    ----------
    net : Model
        Dense layers with one activation for all but the last, relu, tanh, sigmoid or none.
    classes : sequence or None
        The labels, in the order of the outputs. None takes `class_names`, or the numbers from 0.
    batch_size : int or None
        The rows of a batch of `partial_fit`, by which scikit-learn divides `alpha`: ``alpha = 2 * rows * l2``, of sums
        over outputs. None is its "auto", and no `alpha`.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With the dtype of the net; predictions are those of NumPy, which differ by rounding.

    Raises
    ------
    ValueError, TypeError
        For a net that scikit-learn cannot hold, with the layer.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import BatchNorm, Dense, Model
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> net = Model([Dense(8), BatchNorm(), fastnn.ReLU(), Dense(2, "softmax")], seed=0, dtype="float64")
    >>> history = net.fit(x, (x[:, 0] > 0).astype(int), epochs=5)
    >>> mlp = fastnn.to_sklearn(net, classes=["down", "up"])
    >>> mlp.hidden_layer_sizes, mlp.classes_.tolist()
    ((8,), ['down', 'up'])
    >>> bool(np.allclose(mlp.predict_proba(x), net.predict(x), rtol=1e-12))
    True
    """
    what = "to_sklearn"
    if not isinstance(net, Model):
        raise TypeError(f"{what}: got {shown(net)}, expected a Model")
    try:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
    except ImportError:
        raise ImportError("to_sklearn needs scikit-learn: pip install 'fastnn-numpy[sklearn]'") from None
    rows = None if batch_size is None else count(f"{what}: batch_size", batch_size)
    found = _net(net)
    is_classifier = found.last in ("softmax", "logistic")
    if classes is not None and not is_classifier:
        raise ValueError(f"{what}: classes are given, and the net ends in no softmax or sigmoid: it is a regressor")
    options: dict[str, Any] = {"hidden_layer_sizes": tuple(len(b) for b in found.b[:-1]), "activation": found.hidden}
    options |= _of_optimizer(net, found)
    if rows is not None:
        options["batch_size"] = rows
    n_out = len(found.b[-1])
    if is_classifier:
        labels, found = _labels(what, net, classes, found)
        options["alpha"] = _alpha(what, net, found, rows)
        mlp = MLPClassifier(**options)
        n_out = len(found.b[-1])
        is_multilabel = found.last == "logistic" and n_out > 1
        y = np.eye(n_out, dtype=int) if is_multilabel else labels
        _partial_fit(mlp, np.zeros((len(y), net.n_in), net.dtype), y, classes=labels)
    else:
        options["alpha"] = _alpha(what, net, found, rows)
        mlp = MLPRegressor(**options, **({"loss": "poisson"} if found.last == "exp" else {}))
        _partial_fit(mlp, np.zeros((2, net.n_in), net.dtype), np.zeros((2, n_out)) if n_out > 1 else np.zeros(2))
    # what a fit leaves; the arrays of this one instead
    for own, arrays in ((mlp.coefs_, found.w), (mlp.intercepts_, found.b)):
        for mine, array in zip(own, arrays, strict=True):
            mine[...] = array
    losses = [float(loss) for loss in net.history.loss]
    mlp.n_iter_, mlp.t_ = len(losses), (rows or 0) * len(losses)
    mlp.loss_curve_, mlp.loss_ = losses, losses[-1] if losses else float("nan")
    mlp.best_loss_ = min(losses, default=np.inf)
    mlp._best_coefs, mlp._best_intercepts = ([one.copy() for one in own] for own in (mlp.coefs_, mlp.intercepts_))
    if net.feature_names is not None:
        mlp.feature_names_in_ = np.array(net.feature_names, dtype=object)
    _remember(net, found, mlp)
    return mlp


def _net(net: Model) -> Net:
    """Return the weights of a net, with scales and offsets of columns in them.

    Raises
    ------
    ValueError
        For another one than scikit-learn has, with its layer.
    """
    nodes = graph.graph_of(net)
    w: list[Array] = []
    b: list[Array] = []
    between: list[str] = []  # activations behind each product
    factor, offset = np.ones(net.n_in), np.zeros(net.n_in)  # of the columns that come next
    before, is_plain, layer = nodes.x, True, ""
    for node in nodes.nodes:
        if graph.inputs_of(node) != (before,):
            raise _cannot(node.layer, "joins what does not stand in a row")
        before, last_layer, layer = node.y, layer, node.layer
        is_behind = len(between) < len(w)  # a product without an activation
        if isinstance(node, graph.Product):
            if node.parts != 1:
                raise _cannot(node.layer, "is several products side by side")
            if is_behind:
                between.append("identity")
            weights = node.w.astype(np.float64)
            bias = np.zeros(node.y.n) if node.b is None else node.b.astype(np.float64)
            w.append(factor[:, None] * weights)
            b.append(offset @ weights + bias)
            factor, offset = np.ones(node.y.n), np.zeros(node.y.n)
        elif isinstance(node, graph.Scale):
            is_plain = False
            by = np.ones(node.y.n) if node.factor is None else node.factor.astype(np.float64)
            plus = np.zeros(node.y.n) if node.offset is None else node.offset.astype(np.float64)
            if is_behind:
                w[-1], b[-1] = w[-1] * by, b[-1] * by + plus
            else:
                factor, offset = factor * by, offset * by + plus
        elif isinstance(node, (graph.Elementwise, graph.Softmax)) and is_behind:
            name = node.name if isinstance(node, graph.Elementwise) else node.form
            if isinstance(node, graph.Softmax) and (name != "softmax" or node.parts > 1):
                raise _cannot(node.layer, f"is {name}")
            between.append(name)
        elif not (isinstance(node, graph.Elementwise) and node.name == "identity"):
            raise _cannot(node.layer, "is none of these" if w else "stands before the first of them")
    if not w:
        raise ValueError(f"to_sklearn: the net has no dense layer: {_HAS}")
    if len(between) == len(w) and (factor != 1).any() | (offset != 0).any():
        raise _cannot(layer, f"stands behind the activation of the last layer, {last_layer}")
    last = between[len(w) - 1] if len(between) == len(w) else "identity"
    hidden = sorted({*between[: len(w) - 1]})
    unknown = [name for name in hidden if name not in (*_HIDDEN, "identity")]
    if last not in (*_LAST, "softmax", "identity") or unknown or len(hidden) > 1:
        wrong = unknown[0] if unknown else last if len(hidden) < 2 else " and ".join(hidden)
        named = [node.layer for node in nodes.nodes if wrong in (getattr(node, "name", ""), getattr(node, "form", ""))]
        where = "in the last layer" if not unknown and len(hidden) < 2 else "in hidden layers"
        raise _cannot(named[-1] if named else "the net", f"is {wrong} {where}")
    chosen = _HIDDEN.get(hidden[0], "identity") if hidden else "relu"
    return Net(w, b, chosen, _LAST.get(last, last), is_plain)


_HAS = (
    "scikit-learn's nets are dense layers with one activation for all but the last (relu, tanh, sigmoid or none), and "
    "a softmax, sigmoid, exponential or nothing at the end"
)


def _cannot(layer: str, why: str) -> ValueError:
    return ValueError(f"to_sklearn: {layer} {why}: {_HAS}")


def _labels(what: str, net: Model, classes: Any, found: Net) -> tuple[Array, Net]:
    """Return the labels in scikit-learn's order, which is sorted, and the net with its outputs in that order."""
    n = len(found.b[-1])
    if found.last == "softmax" and n == 1:
        raise ValueError(f"{what}: the net is a softmax of one output, which is always 1")
    if found.last == "logistic" and n > 1:
        if classes is not None:
            raise ValueError(f"{what}: classes are given, and the outputs are each of two classes, 0 and 1")
        return np.arange(n), found
    expected = max(2, n)
    given = net.class_names if classes is None else classes
    labels = np.arange(expected) if given is None else np.asarray(given)
    if labels.shape != (expected,) or len(np.unique(labels)) != expected:
        raise ValueError(f"{what}: classes is {shown(classes)}, expected {expected} different labels")
    order = np.argsort(labels)
    w, b = found.w[-1], found.b[-1]
    if n == 1:
        sign = 1.0 if order[0] == 0 else -1.0
        w, b = sign * w, sign * b
    else:
        w, b = w[:, order], b[order]
        if n == 2:  # softmax(x)[1] = sigmoid(x[1] - x[0])
            w, b = w[:, 1:] - w[:, :1], b[1:] - b[:1]
    changed = n == 2 or (order != np.arange(expected)).any()
    return labels[order], found._replace(
        w=[*found.w[:-1], w], b=[*found.b[:-1], b], last="logistic" if n == 2 else found.last,
        is_plain=found.is_plain and not changed,
    )  # fmt: skip


# -- the optimizer ----------------------------------------------------------------------------------------------------


def _partial_fit(mlp: Any, *args: Any, **options: Any) -> None:
    """Let scikit-learn make what a fit leaves; that a batch is longer than these rows it need not say."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*batch_size")
        mlp.partial_fit(*args, **options)


def _alpha(what: str, net: Model, found: Net, rows: int | None) -> float:
    """Return scikit-learn's penalty for that of a net, and warn of what has no place there."""
    rule, lost = net.optimizer, [repr(one) for one in net.constraints]
    if rule is not None and not _of_optimizer(net, found):
        lost.append(f"{rule!r}")
    elif rule is not None and rule._schedules:
        lost.append(f"the schedules of {rule!r}")
    total = 0.0
    for one in net.penalties:
        is_same = type(one) is L2 and one.which == "weights" and not one._schedules and found.is_plain
        if is_same and rows is not None:
            total += float(one.l2)  # type: ignore[attr-defined]
        else:
            lost.append(f"{one!r}{' (pass batch_size, the rows of a batch)' if is_same else ''}")
    if lost:
        warnings.warn(
            f"{what}: predictions are the same, and partial_fit trains without what is not carried over: "
            f"{', '.join(lost)}",
            stacklevel=3,
        )
    return 2 * (rows or 0) * total / loss_of(found.last, len(found.b[-1]))[1]


def _of_optimizer(net: Model, found: Net) -> dict[str, Any]:
    """Return the settings that stand for the optimizer of a net."""
    rule = net.optimizer
    factor = loss_of(found.last, len(found.b[-1]))[1]
    if type(rule) is Adam and not rule.weight_decay and not rule.amsgrad:
        return {
            "learning_rate_init": rule.lr, "beta_1": rule.beta1, "beta_2": rule.beta2, "epsilon": rule.eps / factor,
        }  # fmt: skip
    if isinstance(rule, SGD) and not rule.weight_decay and not rule.dampening:
        return {
            "solver": "sgd", "learning_rate_init": rule.lr * factor, "momentum": rule.momentum,
            "nesterovs_momentum": bool(rule.nesterov),
        }  # fmt: skip
    return {}


def _remember(net: Model, found: Net, mlp: Any) -> None:
    """Let `partial_fit` go on with what the optimizer of a net remembers; or begin anew, where that is not of these."""
    state = net._trainer.state.memories.get(net.optimizer)
    entries = net._tree.entries()
    dense = [layer for layer in net._tree.all if type(layer) is Dense]
    by_array = {(id(entry.layer), entry.name.rpartition(".")[2]): entry for entry in entries}
    keys = [(id(layer), name) for name in ("w", "b") for layer in dense]
    is_same = found.is_plain and by_array.keys() == {*keys}
    if state is None or not is_same or not _of_optimizer(net, found):
        del mlp._optimizer
        return
    factor = loss_of(found.last, len(found.b[-1]))[1]

    def arrays(name: str, scale: float) -> list[Array]:
        return [
            state[name][by_array[key].start : by_array[key].stop].reshape(by_array[key].shape) * scale for key in keys
        ]

    rule = mlp._optimizer
    if hasattr(rule, "ms"):
        rule.ms, rule.vs, rule.t = arrays("m", 1 / factor), arrays("v", factor**-2), int(state["step"][0])
    elif "velocity" in state:
        rule.velocities = arrays("velocity", -rule.learning_rate / factor)

"""What docs/differences.md says of training: a function for each row, with what each library gives."""

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from peers import (
    FASTNN,
    KERAS,
    SKLEARN,
    TORCH,
    Check,
    default,
    keras,
    neural,
    of_torch,
    raises,
    sklearn,
    sklearn_linear,
    torch,
)

from fastnn import (
    MSE,
    SGD,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    EarlyStopping,
    Model,
    Sigmoid,
    Softmax,
)

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 1))


def _keras_net(loss: str = "mse", activation: str | None = None, n_out: int = 1) -> Any:
    net = keras().Sequential([keras().layers.Input((2,)), keras().layers.Dense(n_out, activation, dtype="float64")])
    net.compile(keras().optimizers.SGD(0.1), loss)
    return net


def _keras_steps(rows: int, **options: Any) -> int:
    net = _keras_net()
    net.fit(np.zeros((rows, 2)), np.zeros(rows), verbose=0, **options)
    return int(net.optimizer.iterations)


def batch_size() -> Check:
    yield FASTNN, lambda: default(Model.fit, "batch_size"), 32
    yield TORCH, lambda: default(torch().utils.data.DataLoader, "batch_size"), 1
    yield KERAS, lambda: [_keras_steps(64), _keras_steps(65)], [2, 3]

    def theirs(rows: int) -> int:
        net = neural("MLPRegressor", hidden_layer_sizes=(1,)).partial_fit(np.zeros((rows, 1)), np.zeros(rows))
        return net._optimizer.t

    yield SKLEARN, lambda: [theirs(200), theirs(201)], [1, 2]


def epochs() -> Check:
    def ours(rows: int) -> int:
        return len(Model([Dense(1)], seed=0).fit(np.zeros((rows, 1)), np.arange(rows) % 2, MSE(), SGD(0.1)))

    yield FASTNN, lambda: [ours(308), ours(12_800), ours(20_000)], [400, 10, 10]
    yield KERAS, lambda: default(keras().Model.fit, "epochs"), 1
    yield SKLEARN, lambda: [neural().max_iter, neural().tol, neural().n_iter_no_change], [200, 1e-4, 10]


def scale_of_targets() -> Check:
    far = 1000 + T

    def ours() -> list[str]:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            Model([Dense(1)], seed=0).fit(X, far, epochs=1)
        return [warning.category.__name__ for warning in told]

    def theirs() -> list[str]:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            neural("MLPRegressor").partial_fit(X, far.ravel())
        return [warning.category.__name__ for warning in told]

    yield FASTNN, ours, ["UserWarning"]
    yield SKLEARN, theirs, []


def order_of_rows() -> Check:
    yield FASTNN, lambda: default(Model.fit, "shuffle"), True
    yield TORCH, lambda: [int(row) for row in torch().utils.data.DataLoader(range(20))], [*range(20)]
    yield KERAS, lambda: default(keras().Model.fit, "shuffle"), True
    yield SKLEARN, lambda: neural().shuffle, True


def _linear_epoch(w: Any, b: Any, lr: float, half: float = 1.0) -> tuple[float, Any]:
    """The loss of an epoch in batches of 4 and 1 rows, and the weights behind it."""
    w, b, total = w.copy(), b.copy(), 0.0
    for rows in (slice(0, 4), slice(4, 5)):
        d = X[rows] @ w + b - T[rows]
        total += half * np.mean(d**2) * len(d) / 5
        w, b = w - lr * 2 * half * X[rows].T @ d / len(d), b - lr * 2 * half * d.mean(axis=0)
    return total, w


def epochs_in_batches() -> Check:
    def ours() -> Any:
        net = Model([Dense(1)], seed=0, dtype="float64").build(2)
        expected = _linear_epoch(net.layers[0].w, net.layers[0].b, 0.1)
        net.fit(X, T, MSE(), SGD(0.1), epochs=1, batch_size=4, shuffle=False)
        return [net.history.loss[0] - expected[0], *(net.layers[0].w - expected[1])[:, 0]]

    yield FASTNN, ours, np.zeros(3)
    yield TORCH, lambda: [len(part) for part in torch().utils.data.DataLoader(range(5), batch_size=4)], [4, 1]

    def of_keras() -> Any:
        net = _keras_net()
        expected = _linear_epoch(*net.get_weights(), 0.1)
        history = net.fit(X, T, batch_size=4, epochs=1, shuffle=False, verbose=0).history["loss"]
        return [history[0] - expected[0], *(net.get_weights()[0] - expected[1])[:, 0]]

    yield KERAS, of_keras, np.zeros(3)

    def theirs() -> Any:
        net = sklearn_linear(X[:4], T[:4], batch_size=4, shuffle=False, alpha=0.0)
        expected = _linear_epoch(net.coefs_[0], net.intercepts_[0], 1.0, 0.5)
        net.partial_fit(X, T)
        return [net.loss_ - expected[0], *(net.coefs_[0] - expected[1])[:, 0]]

    yield SKLEARN, theirs, np.zeros(3)


def weights_of_rows() -> Check:
    weight = np.array([3.0, 1.0, 0.0, 2.0, 2.0])

    def step(w: Any, b: Any, scale: float, half: float = 1.0) -> Any:
        """The weights behind a step with a rate of 0.1 on the sum of weight * loss / scale."""
        return w - 0.1 * 2 * half * X.T @ (weight[:, None] * (X @ w + b - T)) / scale

    def ours(by_fit: bool, scale: float) -> Any:
        net = Model([Dense(1)], seed=0, dtype="float64").build(2)
        expected = step(net.layers[0].w, net.layers[0].b, scale)
        if by_fit:
            net.fit(X, T, MSE(), SGD(0.1), epochs=1, batch_size=None, sample_weight=weight)
        else:
            net.train_batch(X, T, weight, MSE(), SGD(0.1))
        return net.layers[0].w - expected

    yield FASTNN, lambda: [ours(True, weight.sum()), ours(False, 5)], [np.zeros((2, 1)), np.zeros((2, 1))]

    def of_keras() -> Any:
        net = _keras_net()
        expected = step(*net.get_weights(), 5)
        net.fit(X, T, batch_size=5, epochs=1, sample_weight=weight, verbose=0)
        return net.get_weights()[0] - expected

    yield KERAS, of_keras, np.zeros((2, 1))

    def theirs() -> Any:
        net = sklearn_linear(X, T.ravel(), alpha=0.0, learning_rate_init=0.1)
        expected = step(net.coefs_[0], net.intercepts_[0], weight.sum(), 0.5)
        return net.partial_fit(X, T.ravel(), weight).coefs_[0] - expected

    yield SKLEARN, theirs, np.zeros((2, 1))


def accuracy() -> Check:
    logits, rows = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40)
    t = np.eye(3)[np.random.default_rng(1).integers(0, 3, 40)]
    entries, largest = np.mean((logits > 0) == t), np.mean(t[rows, logits.argmax(axis=1)])
    whole = np.mean(((logits > 0) == t).all(axis=1))
    assert len({entries, largest, whole}) == 3

    def ours() -> Any:
        found = Model([Sigmoid()], dtype="float64").evaluate(logits, t, BinaryCrossEntropy())
        one = Model([Sigmoid()], dtype="float64").evaluate(logits[:, :1], t[:, :1], BinaryCrossEntropy())
        classes = Model([Softmax()], dtype="float64").evaluate(logits, t.argmax(axis=1), CrossEntropy())
        return [found["binary_accuracy"], found["accuracy"], one["accuracy"], classes["accuracy"]]

    yield FASTNN, ours, [entries, largest, np.mean((logits > 0)[:, 0] == t[:, 0]), largest]

    def of_keras() -> Any:
        net = keras().Sequential([keras().layers.Input((3,)), keras().layers.Activation("sigmoid")])
        net.compile(loss="binary_crossentropy", metrics=["accuracy", "binary_accuracy"])
        found = net.evaluate(logits, t, verbose=0, return_dict=True)
        return [found["accuracy"], found["binary_accuracy"]]

    yield KERAS, of_keras, [largest, entries]
    yield SKLEARN, lambda: sklearn("metrics").accuracy_score(t, logits > 0), whole


def names_of_columns() -> Check:
    def frames() -> Any:
        frame = pytest.importorskip("pandas").DataFrame(X, columns=["height", "width"])
        return frame, frame[["width", "height"]]

    def ours() -> Any:
        frame, turned = frames()
        net = Model([Dense(1)], seed=0, dtype="float64")
        net.fit(frame, T, epochs=1)
        return net.predict(turned) - net.predict(frame)

    yield FASTNN, ours, np.zeros((5, 1))

    def theirs() -> Any:
        frame, turned = frames()
        net = sklearn_linear(frame, T.ravel())
        return raises(lambda: net.predict(turned))

    yield SKLEARN, theirs, ValueError


def second_fit() -> Check:
    def ours() -> Any:
        net = Model([Dense(1)], seed=0).build(2)
        net.params = 100.0
        return net.fit(X, T, MSE(), SGD(0.0), epochs=1) and net.params.copy()

    yield FASTNN, ours, np.full(3, 100.0)

    def of_keras() -> Any:
        net = _keras_net()
        net.optimizer.learning_rate = 0.0
        net.set_weights([np.full((2, 1), 100.0), np.full(1, 100.0)])
        net.fit(X, T, epochs=1, verbose=0)
        return np.concatenate([array.ravel() for array in net.get_weights()])

    yield KERAS, of_keras, np.full(3, 100.0)

    def theirs() -> bool:
        net = sklearn_linear(X, T.ravel())
        net.coefs_[0][:] = 100.0
        return bool(np.abs(net.fit(X, T.ravel()).coefs_[0]).max() < 10)

    yield SKLEARN, theirs, True


def predictions() -> Check:
    t = np.arange(5) % 3

    def ours() -> Any:
        net = Model([Dense(3), Softmax()], seed=0)
        net.fit(X, t, epochs=1)
        return [net.predict(X).shape, net.predict_one(X[0]).shape]

    yield FASTNN, ours, [(5, 3), (3,)]
    yield KERAS, lambda: _keras_net("sparse_categorical_crossentropy", "softmax", 3).predict(X, verbose=0).shape, (5, 3)

    def theirs() -> Any:
        net = neural(max_iter=1).fit(X, t)
        return [net.predict(X).shape, net.predict_proba(X).shape]

    yield SKLEARN, theirs, [(5,), (5, 3)]


def validation() -> Check:
    yield FASTNN, lambda: default(Model.fit, "validation_data"), None
    yield (
        KERAS,
        lambda: [default(keras().Model.fit, name) for name in ("validation_data", "validation_split")],
        [None, 0],
    )
    yield SKLEARN, lambda: neural().validation_fraction, 0.1


def early_stopping() -> Check:
    stopping = EarlyStopping()
    yield FASTNN, lambda: [stopping.patience, stopping.min_delta, stopping.restore_best], [5, 0, True]
    names = ("patience", "min_delta", "restore_best_weights")
    yield KERAS, lambda: [default(keras().callbacks.EarlyStopping, name) for name in names], [0, 0, False]
    yield SKLEARN, lambda: [neural().early_stopping, neural().n_iter_no_change, neural().tol], [False, 10, 1e-4]


def first_argument_of_early_stopping() -> Check:
    def refused() -> bool:
        try:
            EarlyStopping("val_loss")  # type: ignore[arg-type]
        except TypeError as error:
            return "patience is 'val_loss'" in str(error)
        return False

    yield FASTNN, lambda: [EarlyStopping(7).patience, refused()], [7, True]
    yield KERAS, lambda: keras().callbacks.EarlyStopping("val_loss").monitor, "val_loss"


def one_layer_in_two_models() -> Check:
    def ours() -> list[bool]:
        layer = Dense(2)
        net = Model([layer], seed=0).build(3)
        try:
            Model([layer, Dense(1)], seed=0).build(3)
        except ValueError as error:
            copied = copy.deepcopy(layer)
            other = Model([copied, Dense(1)], seed=0).build(3)
            return ["copy.deepcopy(layer)" in str(error), other[0] is copied, bool((copied.w == net[0].w).all())]
        return []

    yield FASTNN, ours, [True, True, True]

    def of_torch() -> bool:
        layer = torch().nn.Linear(3, 2)
        return torch().nn.Sequential(layer)[0].weight is torch().nn.Sequential(layer)[0].weight

    yield TORCH, of_torch, True

    def of_keras() -> bool:
        layer = keras().layers.Dense(2)
        return keras().Sequential([layer]).layers[0] is keras().Sequential([layer]).layers[0]

    yield KERAS, of_keras, True


def seeds() -> Check:
    def ours() -> Any:
        np.random.seed(0)  # noqa: NPY002 - what must have no effect
        return Model([Dense(3)], seed=1).build(2).params.copy()

    yield FASTNN, lambda: ours() - Model([Dense(3)], seed=1).build(2).params, np.zeros(9)

    def theirs() -> Any:
        torch().manual_seed(1)
        return torch().nn.Linear(2, 3).weight.detach().numpy()

    yield TORCH, lambda: theirs() - theirs(), np.zeros((3, 2))

    def of_keras() -> Any:
        keras().utils.set_random_seed(1)
        return _keras_net().get_weights()[0]

    yield KERAS, lambda: of_keras() - of_keras(), np.zeros((2, 1))
    yield SKLEARN, lambda: sklearn_linear(X, T).coefs_[0] - sklearn_linear(X, T).coefs_[0], np.zeros((2, 1))


def loss_and_optimizer() -> Check:
    def ours(*layers: Any, t: Any = T) -> list[str]:
        net = Model([Dense(1 if t is T else 2), *layers], seed=0)
        net.fit(X, t, epochs=1)
        return [type(net.loss).__name__, type(net.optimizer).__name__]

    zeros = np.zeros(5, int)
    yield FASTNN, lambda: [*ours(), *ours(Softmax(), t=zeros)], ["MSE", "Adam", "CrossEntropy", "Adam"]
    yield KERAS, lambda: [default(keras().Model.compile, name) for name in ("optimizer", "loss")], ["rmsprop", None]
    yield SKLEARN, lambda: [neural().solver, neural("MLPRegressor").solver, neural().loss], ["adam", "adam", "log_loss"]


def dtypes() -> Check:
    yield FASTNN, lambda: Model([Dense(1)]).build(2).predict(X).dtype.name, "float32"
    yield TORCH, lambda: str(torch().nn.Linear(2, 1).weight.dtype), "torch.float32"
    yield KERAS, lambda: keras().layers.Dense(1).dtype_policy.name, "float32"
    yield (
        SKLEARN,
        lambda: [sklearn_linear(x, T).coefs_[0].dtype.name for x in (X, X.astype(np.float32))],
        (["float64", "float32"]),
    )


def missing_numbers() -> Check:
    x = np.where(np.arange(10).reshape(5, 2) == 3, np.nan, X)
    yield FASTNN, lambda: raises(lambda: Model([Dense(1)]).fit(x, T)), ValueError
    yield TORCH, lambda: float(torch().nn.Linear(2, 1).double()(of_torch(x)).mean()), np.nan
    yield KERAS, lambda: _keras_net().fit(x, T, verbose=0).history["loss"][0], np.nan
    yield SKLEARN, lambda: raises(lambda: sklearn_linear(x, T)), ValueError

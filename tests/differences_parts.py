"""What docs/differences.md says of layers and losses: a function for each row, with what each library gives there."""

import copy
import inspect
from math import erf
from typing import Any

import numpy as np
from peers import (
    FASTNN,
    KERAS,
    SKLEARN,
    TORCH,
    Check,
    Near,
    keras,
    keras_layer,
    keras_loss,
    keras_values,
    layer_of,
    neural,
    of_torch,
    raises,
    sklearn,
    sklearn_linear,
    torch,
    torch_gradient,
    torch_layer,
    torch_steps,
)

from fastnn import (
    CELU,
    ELU,
    GELU,
    L2,
    MAE,
    MSE,
    SELU,
    SGD,
    AlphaDropout,
    BatchNorm,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    GaussianDropout,
    GaussianNoise,
    HardSigmoid,
    HardTanh,
    Huber,
    LayerNorm,
    LeakyReLU,
    Model,
    Normalization,
    ReLU,
    Reshape,
    RMSNorm,
    Sigmoid,
    Softmax,
    Softplus,
)

RNG = np.random.default_rng(0)
Y, T = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 3))
P, ONES = RNG.uniform(0.05, 0.95, (7, 3)), RNG.integers(0, 2, (7, 3)).astype(float)
ROWS_OF_P, LABELS = P / P.sum(axis=1, keepdims=True), RNG.integers(0, 3, 7)
X = np.array([[-3.0, -0.5, -1e-3, 0.25, 2.0]])


def value(loss: Any, y: Any, t: Any) -> float:
    return loss.value_and_grad(y, t)[0]


# -- layers -----------------------------------------------------------------------------------------------------------


def orientation() -> Check:
    yield FASTNN, lambda: Model([Dense(2)]).build(3).layers[0].w.shape, (3, 2)
    yield TORCH, lambda: tuple(torch().nn.Linear(3, 2).weight.shape), (2, 3)
    yield KERAS, lambda: keras().layers.Dense(2).build((None, 3)) or _built_kernel().shape, (3, 2)
    yield SKLEARN, lambda: sklearn_linear(np.eye(3), np.eye(3)[:, :2]).coefs_[0].shape, (3, 2)


def _built_kernel(n_in: int = 3, n_out: int = 2, activation: str | None = None) -> Any:
    layer = keras().layers.Dense(n_out, activation)
    layer.build((None, n_in))
    return keras().ops.convert_to_numpy(layer.kernel)


def inputs() -> Check:
    yield FASTNN, lambda: Model([Dense(2)]).built, False
    yield TORCH, lambda: [*inspect.signature(torch().nn.Linear).parameters][:2], ["in_features", "out_features"]
    yield KERAS, lambda: keras().layers.Dense(2).built, False
    yield SKLEARN, lambda: sklearn_linear(np.eye(3), np.arange(3.0)).n_features_in_, 3


def _spread(w: Any) -> list[float]:
    """The variance and the largest number, to three digits: 120,000 numbers say that much."""
    w = np.asarray(w, float)
    return [w.var(), min(np.abs(w).max(), 5 * w.std())]  # a normal distribution has no largest number


def _uniform(limit: float) -> Near:
    return Near([limit**2 / 3, limit], 0.02)


def weights_before_relu() -> Check:
    def ours() -> Any:
        return Model([Dense(300, "relu")], seed=0).build(400).layers[0].w

    yield (
        FASTNN,
        lambda: [ours().var(), (np.abs(ours()) < ours().std()).mean()],
        Near([2 / 400, 0.6827], 0.02),
    )  # normal
    yield TORCH, lambda: _spread(torch().nn.Linear(400, 300).weight.detach()), _uniform(400**-0.5)
    yield KERAS, lambda: _spread(_built_kernel(400, 300, "relu")), _uniform((6 / 700) ** 0.5)
    yield SKLEARN, lambda: _spread(_sklearn_weights("relu")), _uniform((6 / 700) ** 0.5)


def _sklearn_weights(activation: str) -> Any:
    net = neural("MLPRegressor", hidden_layer_sizes=(300,), activation=activation, learning_rate_init=1e-300, alpha=0)
    return net.partial_fit(np.zeros((1, 400)), [0.0]).coefs_[0]


def weights_before_others() -> Check:
    def ours(activation: str) -> Any:
        return Model([Dense(300, activation)], seed=0).build(400).layers[0].w

    yield FASTNN, lambda: [*_spread(ours("tanh")), ours("selu").var()], Near([2 / 700, (6 / 700) ** 0.5, 1 / 400], 0.02)
    yield TORCH, lambda: _spread(torch().nn.Linear(400, 300).weight.detach()), _uniform(400**-0.5)
    limit = (6 / 700) ** 0.5
    yield (
        KERAS,
        lambda: [*_spread(_built_kernel(400, 300, "tanh")), *_spread(_built_kernel(400, 300, "selu"))],
        (Near([limit**2 / 3, limit] * 2, 0.02)),
    )
    yield SKLEARN, lambda: _spread(_sklearn_weights("logistic")), _uniform((2 / 700) ** 0.5)


def biases() -> Check:
    yield FASTNN, lambda: np.abs(Model([Dense(300)], seed=0).build(400).layers[0].b).max(), 0
    yield TORCH, lambda: _spread(torch().nn.Linear(400, 30000).bias.detach()), _uniform(400**-0.5)

    def theirs() -> Any:
        layer = keras().layers.Dense(3)
        layer.build((None, 4))
        return keras().ops.convert_to_numpy(layer.bias)

    yield KERAS, theirs, np.zeros(3)

    def intercepts() -> Any:
        net = neural("MLPRegressor", hidden_layer_sizes=(30000,), learning_rate_init=1e-300)
        return _spread(net.partial_fit(np.zeros((1, 4)), [0.0]).intercepts_[0])

    yield SKLEARN, intercepts, _uniform((6 / 30004) ** 0.5)


def kink() -> Check:
    def ours(layer: Any) -> float:
        net = Model([layer], dtype="float64")
        net.forward(np.zeros((1, 1)))
        return net.backward(np.ones((1, 1)))[0, 0]

    yield FASTNN, lambda: [ours(ReLU()), ours(LeakyReLU()), ours(HardTanh())], [0, 0.01, 1]

    def theirs() -> Any:
        functions = torch().nn.functional
        return [
            torch_gradient(lambda y, _, f=f: f(y).sum(), np.zeros(1), np.zeros(1))[0]
            for f in (functions.relu, functions.leaky_relu, functions.hardtanh)
        ]

    yield TORCH, theirs, [0, 0.01, 1]


def leaky_relu() -> Check:
    yield FASTNN, lambda: layer_of(LeakyReLU(), X)[0, 0], -0.03
    yield TORCH, lambda: torch_layer(torch().nn.LeakyReLU(), X)[0, 0], -0.03
    yield KERAS, lambda: [keras_layer(keras().layers.LeakyReLU(dtype="float64"), X)[0, 0],
                          keras_values(keras().activations.leaky_relu, X)[0, 0]], [-0.9, -0.6]  # fmt: skip


def elu_celu_selu() -> Check:
    below = np.expm1(np.minimum(X, 0))
    elu = np.where(X > 0, X, below)
    selu = 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * below)
    expected = [elu, elu, selu]
    yield FASTNN, lambda: [layer_of(layer, X) for layer in (ELU(), CELU(), SELU())], expected
    yield TORCH, lambda: [torch_layer(getattr(torch().nn, name)(), X) for name in ("ELU", "CELU", "SELU")], expected
    yield (
        KERAS,
        lambda: [keras_values(getattr(keras().activations, name), X) for name in ("elu", "celu", "selu")],
        (expected),
    )


def gelu() -> Check:
    expected = [[x * (1 + erf(x / 2**0.5)) / 2 for x in X[0]]]
    yield FASTNN, lambda: layer_of(GELU(), X), expected
    yield TORCH, lambda: torch_layer(torch().nn.GELU(), X), expected
    yield KERAS, lambda: keras_values(keras().activations.gelu, X), expected


def hard_sigmoid() -> Check:
    expected = np.clip(X / 6 + 0.5, 0, 1)
    yield FASTNN, lambda: layer_of(HardSigmoid(), X), expected
    yield TORCH, lambda: torch_layer(torch().nn.Hardsigmoid(), X), expected
    yield KERAS, lambda: keras_values(keras().activations.hard_sigmoid, X), expected


def softplus() -> Check:
    x = np.array([[-3.0, 0.5, 19.0, 21.0, 30.0]])
    expected = np.logaddexp(0, x)
    yield FASTNN, lambda: layer_of(Softplus(), x), expected
    yield TORCH, lambda: torch_layer(torch().nn.Softplus(), x), np.where(x > 20, x, expected)
    yield KERAS, lambda: keras_values(keras().activations.softplus, x), expected


def softmax() -> Check:
    expected = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
    yield FASTNN, lambda: layer_of(Softmax(), Y), expected
    yield TORCH, lambda: torch().softmax(of_torch(Y), dim=1).numpy(), expected
    yield KERAS, lambda: keras_values(keras().activations.softmax, Y), expected


def dropout() -> Check:
    x = np.ones((300, 400))
    expected = Near([0.3, 1 / 0.7], 0.02)  # the share of zeros, and what the others are

    def seen(y: Any) -> list[float]:
        return [(y == 0).mean(), np.unique(y)[-1]]

    yield FASTNN, lambda: seen(layer_of(Dropout(0.3), x, train=True)), expected
    yield TORCH, lambda: seen(torch_layer(torch().nn.Dropout(0.3), x)), expected
    yield KERAS, lambda: seen(keras_layer(keras().layers.Dropout(0.3, dtype="float64"), x, training=True)), expected


def dropout_in_predictions() -> Check:
    x = np.ones((3, 50))
    net = Model([Dropout(0.5)], dtype="float64", seed=0)
    yield FASTNN, lambda: [net.predict(x).var(), net(x).var(), net.forward(x).var() > 0.5,
                           (net.forward(x).copy() == net.forward(x)).all()], [0, 0, True, True]  # fmt: skip
    yield TORCH, lambda: [torch_layer(torch().nn.Dropout(), x, train=False).var(),
                          torch().nn.Dropout()(of_torch(x)).numpy().var() > 0.5], [0, True]  # fmt: skip
    yield KERAS, lambda: keras_layer(keras().layers.Dropout(0.5, dtype="float64"), x).var(), 0


def _running(layer: Any, x: Any) -> list[float]:
    net = Model([layer, Dense(1)], dtype="float64", seed=0)
    net.train_batch(x, np.zeros(len(x)), loss="mse", optimizer=SGD(0.0))
    return [layer.mean[0], layer.variance[0]]


def batch_norm_averages() -> Check:
    x = RNG.normal(3, 2, (9, 1))
    mean, biased, unbiased = x.mean(), x.var(), x.var(ddof=1)
    expected = [0.1 * mean, 0.9 + 0.1 * unbiased]
    yield FASTNN, lambda: _running(BatchNorm(), x), expected

    def theirs() -> Any:
        layer = torch().nn.BatchNorm1d(1)
        torch_layer(layer, x)
        return [float(layer.running_mean), float(layer.running_var)]

    yield TORCH, theirs, expected

    def of_keras() -> Any:
        layer = keras().layers.BatchNormalization(dtype="float64")
        keras_layer(layer, x, training=True)
        return [keras().ops.convert_to_numpy(v)[0] for v in (layer.moving_mean, layer.moving_variance)]

    yield KERAS, of_keras, [0.01 * mean, 0.99 + 0.01 * biased]


def batch_norm_eps() -> Check:
    x = RNG.normal(0, 0.01, (9, 2))

    def expected(eps: float) -> Any:
        return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)

    yield FASTNN, lambda: layer_of(BatchNorm(), x, train=True), expected(1e-5)
    yield TORCH, lambda: torch_layer(torch().nn.BatchNorm1d(2), x), expected(1e-5)
    layer = lambda: keras().layers.BatchNormalization(dtype="float64")  # noqa: E731
    yield KERAS, lambda: keras_layer(layer(), x, training=True), expected(1e-3)


def batch_norm_of_one_row() -> Check:
    yield FASTNN, lambda: layer_of(BatchNorm(), X, train=True), np.zeros_like(X)
    yield TORCH, lambda: raises(lambda: torch_layer(torch().nn.BatchNorm1d(5), X)), ValueError
    layer = lambda: keras().layers.BatchNormalization(dtype="float64")  # noqa: E731
    yield KERAS, lambda: keras_layer(layer(), X, training=True), np.zeros_like(X)


def layer_norm_eps() -> Check:
    x = RNG.normal(0, 0.01, (3, 4))

    def expected(eps: float) -> Any:
        return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + eps)

    yield FASTNN, lambda: layer_of(LayerNorm(), x), expected(1e-5)
    yield TORCH, lambda: torch_layer(torch().nn.LayerNorm(4), x), expected(1e-5)
    yield KERAS, lambda: keras_layer(keras().layers.LayerNormalization(dtype="float64"), x), expected(1e-3)


def embedding_at_the_start() -> Check:
    def normal(table: Any) -> list[float]:
        table = np.asarray(table, float)
        return [table.var(), (np.abs(table) < 1).mean()]

    codes = np.arange(4000)
    yield (
        FASTNN,
        lambda: [*normal(layer_of(Embedding(4000, 30), codes[:, None].astype(float))), np.abs(_unseen()).max()],
        Near([1, 0.6827, 0], 0.02),
    )
    yield TORCH, lambda: normal(torch().nn.Embedding(4000, 30).weight.detach()), Near([1, 0.6827], 0.02)
    yield KERAS, lambda: _spread(keras_layer(keras().layers.Embedding(4000, 30), codes)), _uniform(0.05)


def _unseen() -> Any:
    return layer_of(Embedding(5, 30), np.array([[7.0], [-1.0], [np.nan]]))


def unseen_codes() -> Check:
    yield FASTNN, lambda: np.ptp(_unseen(), axis=0).max(), 0
    yield TORCH, lambda: raises(lambda: torch().nn.Embedding(5, 30)(torch().tensor([7]))), IndexError
    yield KERAS, lambda: raises(lambda: keras_layer(keras().layers.Embedding(5, 30), np.array([7]))), IndexError


def normalization() -> Check:
    x = np.array([[1.0, 5.0], [3.0, 5.0], [8.0, 5.0]])

    def ours() -> Any:
        net = Model([Normalization(), Dense(1)], seed=0, dtype="float64")
        net.fit(x, [0.0, 1.0, 2.0], epochs=1)
        return layer_of(copy.deepcopy(net[0]), x + 1)

    def of_keras() -> Any:
        layer = keras().layers.Normalization()
        layer.adapt(x)
        return keras_layer(layer, x + 1)

    first = (x[:, 0] + 1 - 4) / x[:, 0].std()
    yield FASTNN, ours, np.column_stack([first, np.zeros(3)])
    yield KERAS, of_keras, np.column_stack([first, np.full(3, 1e7)])
    scaler = lambda: sklearn("preprocessing").StandardScaler().fit(x)  # noqa: E731
    yield SKLEARN, lambda: scaler().transform(x + 1), np.column_stack([first, np.ones(3)])


def rms_norm_eps() -> Check:
    x = RNG.normal(0, 0.01, (3, 4))

    def expected(eps: float) -> Any:
        return x / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + eps)

    yield FASTNN, lambda: layer_of(RMSNorm(), x), expected(2.0**-23)
    yield TORCH, lambda: torch_layer(torch().nn.RMSNorm(4), x), expected(2.0**-52)
    yield KERAS, lambda: keras_layer(keras().layers.RMSNormalization(dtype="float64"), x), expected(1e-6)


def alpha_dropout() -> Check:
    x = np.ones((50, 40))
    alpha = 1.7580993408473766
    a = 1 / np.sqrt(0.7 * (1 + 0.3 * alpha**2))
    expected = [a * alpha * 0.3 - a * alpha, a + a * alpha * 0.3]  # what is dropped, and what is kept
    yield FASTNN, lambda: np.unique(layer_of(AlphaDropout(0.3), x, train=True)), np.array(expected)
    yield TORCH, lambda: np.unique(torch_layer(torch().nn.AlphaDropout(0.3), x)), np.array(expected)
    layer = lambda: keras().layers.AlphaDropout(0.3, dtype="float64")  # noqa: E731
    yield KERAS, lambda: np.unique(keras_layer(layer(), x, training=True)), np.array(expected)


def noise() -> Check:
    x = np.full((500, 400), 2.0)
    expected = Near([2, 0.3, 2, 2 * np.sqrt(0.2 / 0.8)], 0.02)  # means and standard deviations
    yield (
        FASTNN,
        lambda: [f(layer_of(kind, x, train=True)) for kind in (GaussianNoise(0.3), GaussianDropout(0.2))
                 for f in (np.mean, np.std)],
        expected,
    )  # fmt: skip

    def of_keras() -> Any:
        layers = keras().layers
        kinds = layers.GaussianNoise(0.3, dtype="float64"), layers.GaussianDropout(0.2, dtype="float64")
        return [f(keras_layer(kind, x, training=True)) for kind in kinds for f in (np.mean, np.std)]

    yield KERAS, of_keras, expected


def images() -> Check:
    x = RNG.normal(size=(3, 4, 5))
    yield FASTNN, lambda: layer_of(Reshape((4, 5)), x), x.reshape(3, 20)
    yield TORCH, lambda: torch_layer(torch().nn.Unflatten(1, (4, 5)), x.reshape(3, 20)), x
    yield KERAS, lambda: keras_layer(keras().layers.Reshape((4, 5), dtype="float64"), x.reshape(3, 20)), x


# -- losses -----------------------------------------------------------------------------------------------------------


def mse() -> Check:
    mean = np.mean((Y - T) ** 2)
    yield FASTNN, lambda: value(MSE(), Y, T), mean
    yield TORCH, lambda: torch().nn.MSELoss()(of_torch(Y), of_torch(T)).item(), mean
    yield KERAS, lambda: keras_loss(keras().losses.MeanSquaredError(dtype="float64"), Y, T), mean
    yield SKLEARN, lambda: sklearn("neural_network._base").squared_loss(T, Y), mean / 2


def mse_gradient() -> Check:
    d = Y - T
    yield FASTNN, lambda: MSE().value_and_grad(Y, T)[1], 2 * d / d.size
    yield TORCH, lambda: torch_gradient(torch().nn.MSELoss(), Y, T), 2 * d / d.size

    def theirs() -> Any:
        net = sklearn_linear(x := RNG.normal(size=(7, 2)), T, alpha=0.0)
        wrong, before = net.predict(x) - T, net.coefs_[0].copy()
        return before - net.partial_fit(x, T).coefs_[0] - x.T @ wrong / len(x)

    yield SKLEARN, theirs, np.zeros((2, 3))


def l2_penalty() -> Check:
    w = np.array([[3.0], [-4.0]])

    def ours() -> Any:
        net = Model([Dense(1, bias=False)], dtype="float64", penalties=[L2(0.5)]).build(2)
        net.params = w.ravel()
        net.backward(0 * net.forward(RNG.normal(size=(7, 2))))
        x = RNG.normal(size=(7, 2))
        return [net.evaluate(x, x @ w, "mse")["loss"], net.grads]

    yield FASTNN, ours, [12.5, w.ravel()]
    yield TORCH, lambda: torch_steps(torch().optim.SGD, w, [0 * w], lr=1.0, weight_decay=0.5), 0.5 * w
    yield KERAS, lambda: float(keras().regularizers.L2(0.5)(w)), 12.5

    def theirs() -> Any:
        x, t = RNG.normal(size=(7, 2)), RNG.normal(size=7)
        net = sklearn_linear(x, t, alpha=0.5)
        wrong, before = net.predict(x) - t, net.coefs_[0].copy()
        return net.partial_fit(x, t).loss_ - np.mean(wrong**2) / 2 - 0.25 * np.sum(before**2) / 7

    yield SKLEARN, theirs, 0.0


def mae() -> Check:
    mean = np.mean(np.abs(Y - T))
    equal = Y.copy()
    expected = [mean, 0.0]
    yield FASTNN, lambda: [value(MAE(), Y, T), np.abs(MAE().value_and_grad(Y, equal)[1]).max()], expected
    yield TORCH, lambda: [torch().nn.L1Loss()(of_torch(Y), of_torch(T)).item(),
                          np.abs(torch_gradient(torch().nn.L1Loss(), Y, equal)).max()], expected  # fmt: skip
    yield KERAS, lambda: keras_loss(keras().losses.MeanAbsoluteError(dtype="float64"), Y, T), mean


def huber() -> Check:
    d = np.abs(Y - T)
    expected = [np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)).mean() for delta in (1.0, 0.3)]
    yield FASTNN, lambda: [value(Huber(), Y, T), value(Huber(0.3), Y, T)], expected
    theirs = lambda delta: torch().nn.HuberLoss(delta=delta)(of_torch(Y), of_torch(T)).item()  # noqa: E731
    smooth = lambda: torch().nn.SmoothL1Loss(beta=0.3)(of_torch(Y), of_torch(T)).item()  # noqa: E731
    yield TORCH, lambda: [theirs(1.0), theirs(0.3), smooth()], [*expected, expected[1] / 0.3]
    yield KERAS, lambda: [keras_loss(keras().losses.Huber(delta, dtype="float64"), Y, T)
                          for delta in (1.0, 0.3)], expected  # fmt: skip


def binary_cross_entropy() -> Check:
    elements = -(ONES * np.log(P) + (1 - ONES) * np.log1p(-P))
    yield FASTNN, lambda: value(BinaryCrossEntropy(), P, ONES), elements.mean()
    yield TORCH, lambda: torch().nn.BCELoss()(of_torch(P), of_torch(ONES)).item(), elements.mean()
    yield KERAS, lambda: keras_loss(keras().losses.BinaryCrossentropy(dtype="float64"), P, ONES), elements.mean()
    yield SKLEARN, lambda: sklearn("neural_network._base").binary_log_loss(ONES, P), elements.sum() / len(P)


def largest_loss() -> Check:
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    in_float32 = zero.astype(np.float32)
    losses = Near([15.942385, 36.043653], 1e-6)
    yield FASTNN, lambda: [value(BinaryCrossEntropy(), y, one) for y in (in_float32, zero)], losses
    yield TORCH, lambda: torch().nn.BCELoss()(of_torch(zero), of_torch(one)).item(), 100
    yield KERAS, lambda: keras_loss(keras().losses.BinaryCrossentropy(dtype="float64"), zero, one), -np.log(1e-7)
    yield SKLEARN, lambda: [sklearn("neural_network._base").binary_log_loss(one, y) for y in (in_float32, zero)], losses


def cross_entropy() -> Check:
    probabilities = -np.log(ROWS_OF_P[np.arange(7), LABELS]).mean()
    logits = np.log(np.exp(Y).sum(axis=1)).mean() - Y[np.arange(7), LABELS].mean()
    yield FASTNN, lambda: [value(CrossEntropy(), ROWS_OF_P, LABELS),
                           value(CrossEntropy(from_logits=True), Y, LABELS)], [probabilities, logits]  # fmt: skip
    yield TORCH, lambda: torch().nn.CrossEntropyLoss()(of_torch(Y), torch().tensor(LABELS)).item(), logits
    yield KERAS, lambda: [
        keras_loss(keras().losses.SparseCategoricalCrossentropy(dtype="float64"), ROWS_OF_P, LABELS),
        keras_loss(keras().losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64"), Y, LABELS),
    ], [probabilities, logits]  # fmt: skip
    one_hot = np.eye(3)[LABELS]
    yield SKLEARN, lambda: sklearn("neural_network._base").log_loss(one_hot, ROWS_OF_P), probabilities


def end_of_the_net() -> Check:
    def ours() -> Any:
        net = Model([Dense(1), Sigmoid()], dtype="float64").build(1)
        net.params = [1.0, 0.0]  # sigmoid(800) is 1 in double: log(1 - 1) cannot be taken
        return net.evaluate([[800.0]], [0.0], loss="binary_cross_entropy")["loss"]

    yield FASTNN, ours, 800
    yield TORCH, lambda: torch().nn.BCEWithLogitsLoss()(of_torch([[800.0]]), of_torch([[0.0]])).item(), 800
    loss = lambda: keras().losses.BinaryCrossentropy(from_logits=True, dtype="float64")  # noqa: E731
    yield KERAS, lambda: keras_loss(loss(), np.array([[800.0]]), np.zeros((1, 1))), 800


def wrong_ends() -> Check:
    def ours() -> Any:
        net = Model([Dense(3), Sigmoid()], seed=0)
        return [raises(lambda: net.fit(Y, LABELS, CrossEntropy(), epochs=1))]

    yield FASTNN, ours, [ValueError]
    here = np.arange(7), LABELS
    twice = np.log(np.exp(ROWS_OF_P).sum(axis=1)).mean() - ROWS_OF_P[here].mean()
    yield TORCH, lambda: torch().nn.CrossEntropyLoss()(of_torch(ROWS_OF_P), torch().tensor(LABELS)).item(), twice
    divided = -np.log(ROWS_OF_P[here]).mean()  # P does not sum to 1
    yield KERAS, lambda: keras_loss(keras().losses.SparseCategoricalCrossentropy(dtype="float64"), P, LABELS), divided


def labels() -> Check:
    whole = LABELS.astype(float)
    yield (
        FASTNN,
        lambda: [value(CrossEntropy(), ROWS_OF_P, t) for t in (LABELS, whole, np.eye(3)[LABELS])],
        ([value(CrossEntropy(), ROWS_OF_P, LABELS)] * 3),
    )
    theirs = lambda t: torch().nn.CrossEntropyLoss()(of_torch(Y), torch().tensor(t))  # noqa: E731
    yield (
        TORCH,
        lambda: [raises(lambda t=t: theirs(t)) for t in (LABELS, LABELS.astype(np.int16), whole)],
        ([None, RuntimeError, RuntimeError]),
    )
    yield KERAS, lambda: keras_loss(keras().losses.CategoricalCrossentropy(dtype="float64"), ROWS_OF_P,
                                    np.eye(3)[LABELS]), value(CrossEntropy(), ROWS_OF_P, LABELS)  # fmt: skip
    text = np.array(["a", "b", "c"])[LABELS]
    yield SKLEARN, lambda: [*neural(max_iter=1).partial_fit(Y, text, classes=["a", "b", "c"]).classes_], ["a", "b", "c"]


def targets_in_one_row() -> Check:
    y, t = Y[:, :1], T[:, 0]
    mean = np.mean((y[:, 0] - t) ** 2)
    yield FASTNN, lambda: value(MSE(), y, t), mean
    crossed = np.mean((y - t) ** 2)  # of all pairs
    yield TORCH, lambda: torch().nn.MSELoss()(of_torch(y), of_torch(t)).item(), crossed
    yield KERAS, lambda: keras_loss(keras().losses.MeanSquaredError(dtype="float64"), y, t), mean
    yield SKLEARN, lambda: sklearn_linear(y, t).coefs_[0].shape, (1, 1)

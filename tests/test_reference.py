"""The reference network trains: its steps follow the gradient of its loss, and its losses fall."""

from itertools import pairwise

import numpy as np
import pytest
from mlp import MLP
from test_gradients import numerical_gradient

ROUTES = [
    ("mse", "identity"),
    ("mse", "softmax"),
    ("mse", "log_softmax"),
    ("mae", "gelu"),
    ("huber", "tanh"),
    ("cross_entropy", "softmax"),
    ("cross_entropy", "identity"),
    ("cross_entropy", "sigmoid"),
    ("binary_cross_entropy", "sigmoid"),
    ("binary_cross_entropy", "softmax"),
]
HIDDEN = [
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "gelu_tanh",
    "silu",
    "softplus",
    "softsign",
    "sigmoid",
    "tanh",
    "mish",
]


def network(hidden: str, last: str, loss: str, dtype: type = np.float64, **options) -> MLP:
    rng = np.random.default_rng(0)
    sizes = [4, 6, 5, 3]
    layers = [
        (rng.normal(size=(n_in, n_out)).astype(dtype), rng.normal(size=n_out).astype(dtype), hidden)
        for n_in, n_out in pairwise(sizes)
    ]
    layers[1] = (layers[1][0], None, hidden)
    layers[-1] = (*layers[-1][:2], last)
    return MLP(layers, loss, **options)


def data(loss: str, rows: int = 8, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    t = rng.integers(0, 3, rows) if loss == "cross_entropy" else rng.uniform(0.1, 0.9, (rows, 3)).astype(dtype)
    return rng.normal(size=(rows, 4)).astype(dtype), t


def assert_step_follows_the_gradient(model: MLP, loss: str) -> None:
    x, t = data(loss)
    weight = np.linspace(0.5, 2, len(x))
    before = model.parameters.copy()
    model.lr[0] = 0

    numerical = numerical_gradient(lambda: model.step(x, t, weight), model.parameters)
    model.lr[0] = 1
    model.step(x, t, weight)
    np.testing.assert_allclose(before - model.parameters, numerical, rtol=1e-6, atol=1e-7 * np.abs(numerical).max())


@pytest.mark.parametrize(("loss", "last"), ROUTES)
def test_step_follows_the_gradient_of_each_loss(loss, last):
    assert_step_follows_the_gradient(network("tanh", last, loss), loss)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_step_follows_the_gradient_of_each_activation(hidden):
    assert_step_follows_the_gradient(network(hidden, "softmax", "cross_entropy"), "cross_entropy")


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
        {"optimizer": "adam", "lr": 0.01},
        {"optimizer": "adam", "lr": 0.01, "weight_decay": 0.01},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_epochs_lower_the_loss(dtype, options):
    model = network("relu", "softmax", "cross_entropy", dtype, **options)
    x, _ = data("mse", 70, dtype)
    t = np.argmax(x[:, :3], axis=1)
    losses = [model.epoch(x, t, 16, np.random.default_rng(epoch).permutation(70)) for epoch in range(40)]
    assert losses[-1] < 0.3 * losses[0]
    assert np.mean(np.argmax(model.predict(x), axis=1) == t) > 0.9
    assert model.predict(x).dtype == dtype
    np.testing.assert_allclose(model.predict(x).sum(axis=1), 1, rtol=1e-5)


def test_layers_are_copied():
    w = np.ones((2, 2))
    model = MLP([(w, None, "identity")], "mse", lr=0.1)
    model.step(np.ones((1, 2)), np.zeros((1, 2)))
    assert np.all(w == 1)
    assert not np.any(model.weights[0][0] == 1)

"""The same small computations in fastnn, PyTorch, Keras and scikit-learn: for the page that says how they differ."""

import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from fastnn import Dense, Model

Array = np.ndarray
FASTNN, TORCH, KERAS, SKLEARN = "fastnn", "PyTorch", "Keras", "scikit-learn"
Check = Iterator[tuple[str, Callable[[], Any], Any]]  # which library, what it gives, what it should


class Near:
    """What is expected, to a relative tolerance: of random numbers."""

    def __init__(self, expected: Any, rtol: float) -> None:
        self.expected, self.rtol = expected, rtol


def torch() -> Any:
    return pytest.importorskip("torch")


def keras() -> Any:
    if "KERAS_BACKEND" not in os.environ and not os.path.exists(os.path.expanduser("~/.keras/keras.json")):
        torch()  # the backend that needs nothing else
        os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


def sklearn(name: str) -> Any:
    return pytest.importorskip(f"sklearn.{name}")


def default(function: Any, name: str) -> Any:
    return inspect.signature(function).parameters[name].default


def raises(function: Callable[[], Any]) -> type | None:
    """The kind of error, if there is one."""
    try:
        function()
    except Exception as error:
        return type(error)
    return None


# Arrays


def of_torch(array: Any, gradient: bool = False) -> Any:
    return torch().tensor(np.asarray(array, float), requires_grad=gradient)


def torch_gradient(loss: Any, y: Array, t: Any) -> Array:
    given = of_torch(y, gradient=True)
    loss(given, t if torch().is_tensor(t) else of_torch(t)).backward()
    return given.grad.numpy()


def keras_loss(loss: Any, y: Array, t: Array, **options: Any) -> float:
    return float(keras().ops.convert_to_numpy(loss(np.asarray(t), np.asarray(y), **options)))


def keras_values(function: Any, x: Array) -> Array:
    return keras().ops.convert_to_numpy(function(keras().ops.convert_to_tensor(x, "float64")))


def keras_layer(layer: Any, x: Array, **options: Any) -> Array:
    return keras().ops.convert_to_numpy(layer(np.asarray(x), **options))


# Layers


def layer_of(layer: Any, x: Array, train: bool = False) -> Array:
    """What a layer of fastnn makes of x, in a prediction or a training."""
    net = Model([layer], dtype="float64", seed=0)
    return net.forward(x) if train else net.predict(x)


def torch_layer(layer: Any, x: Array, train: bool = True) -> Array:
    return layer.double().train(train)(of_torch(x)).detach().numpy()


# Steps of optimizers on three parameters; the rate may change between them


def steps(optimizer: Any, w: Array, gradients: list[Array], rates: tuple[float, ...] = ()) -> Array:
    net = Model([Dense(1, bias=False)], dtype="float64").build(len(w))
    net.params = w
    for i, gradient in enumerate(gradients):
        optimizer.lr = rates[i] if rates else optimizer.lr
        net.grads = gradient
        optimizer.step(net)
    return net.params.copy()


def torch_steps(kind: Any, w: Array, gradients: list[Array], rates: tuple[float, ...] = (), **options: Any) -> Array:
    parameter = torch().nn.Parameter(of_torch(w))
    optimizer = kind([parameter], **options)
    for i, gradient in enumerate(gradients):
        if rates:
            optimizer.param_groups[0]["lr"] = rates[i]
        parameter.grad = of_torch(gradient)
        optimizer.step()
    return parameter.detach().numpy()


def keras_steps(optimizer: Any, w: Array, gradients: list[Array], rates: tuple[float, ...] = ()) -> Array:
    variable = keras().Variable(w, dtype="float64")
    optimizer.build([variable])
    for i, gradient in enumerate(gradients):
        if rates:
            optimizer.learning_rate = rates[i]
        optimizer.apply([keras().ops.convert_to_tensor(gradient, "float64")], [variable])
    return keras().ops.convert_to_numpy(variable.value)


def sklearn_steps(kind: str, w: Array, gradients: list[Array], rates: tuple[float, ...] = (), **options: Any) -> Array:
    parameter = np.array(w, float)
    optimizer = getattr(sklearn("neural_network._stochastic_optimizers"), kind)([parameter], **options)
    for i, gradient in enumerate(gradients):
        if rates:
            optimizer.learning_rate = rates[i]
        optimizer.update_params([parameter], [np.asarray(gradient)])
    return parameter


def sklearn_linear(x: Array, t: Array, **options: Any) -> Any:
    """A linear model of scikit-learn that has taken one step of plain SGD with a rate of 1, and will take more."""
    made = {"solver": "sgd", "learning_rate_init": 1.0, "momentum": 0.0, "batch_size": len(x), **options}
    return sklearn("neural_network").MLPRegressor(hidden_layer_sizes=(), random_state=0, **made).partial_fit(x, t)


def neural(kind: str = "MLPClassifier", **options: Any) -> Any:
    return getattr(sklearn("neural_network"), kind)(random_state=0, **options)

"""One class per library: the same net, from the same weights, in the fastest form that its documentation offers.

``fit(epochs, shuffle)`` goes over all rows so many times and returns the mean loss of each epoch; ``weights()`` returns
the arrays w, b of each layer.
"""

import warnings
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from workloads import Weights, Workload

import fastnn
from fastnn import reference


class Trainer(Protocol):
    def fit(self, epochs: int, shuffle: bool) -> np.ndarray: ...
    def weights(self) -> list[np.ndarray]: ...


class FastNN:
    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray) -> None:
        *hidden, last = workload.sizes[1:]
        dense = [fastnn.Dense(units, workload.hidden) for units in hidden] + [fastnn.Dense(last, workload.output)]
        self.model = fastnn.Model(dense, seed=0).build(workload.sizes[0])
        for layer, (w, b) in zip(dense, weights, strict=True):
            layer.w[...], layer.b[...] = w, b
        self.layers, self.x, self.t, self.batch = dense, x, t, workload.batch
        self.loss, self.optimizer = fastnn.losses.get(workload.loss), fastnn.SGD(workload.lr)

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        history = self.model.fit(self.x, self.t, self.loss, self.optimizer, epochs, self.batch, shuffle, verbose=False)
        return np.array(history.loss)

    def weights(self) -> list[np.ndarray]:
        return [array for layer in self.layers for array in (layer.w, layer.b)]


class NumPy:
    """The plain-NumPy twin of fastnn."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray) -> None:
        activations = [workload.hidden] * (len(weights) - 1) + [workload.output]
        layers = [(w, b, activation) for (w, b), activation in zip(weights, activations, strict=True)]
        self.net = reference.MLP(layers, workload.loss, "sgd", workload.lr)
        self.x, self.t, self.batch = x, t, workload.batch
        self.rng, self.order = np.random.default_rng(0), np.arange(len(x))

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        orders = (self.rng.permutation(len(self.x)) if shuffle else self.order for _ in range(epochs))
        return np.array([self.net.epoch(self.x, self.t, self.batch, order) for order in orders])

    def weights(self) -> list[np.ndarray]:
        return [array for pair in self.net.weights for array in pair]


class ScikitLearn:
    """MLPClassifier and MLPRegressor: ``fit`` with a warm start, nothing held out, no early stop."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        classifier = workload.loss == "cross_entropy"
        self.factor = 1 if classifier else 2  # its squared error is halved, and its gradient is summed over the outputs
        lr = workload.lr if classifier else workload.lr * 2 / workload.sizes[-1]
        self.net = (MLPClassifier if classifier else MLPRegressor)(
            hidden_layer_sizes=workload.sizes[1:-1], activation=workload.hidden, batch_size=workload.batch, alpha=0.0,
            solver="sgd", learning_rate_init=lr, momentum=0.0, nesterovs_momentum=False,
            tol=0.0, n_iter_no_change=10**9, warm_start=True, max_iter=1, random_state=0,
        )  # fmt: skip
        # It would make one logistic output of two classes. As two labels that exclude each other they stay two outputs.
        pair = classifier and workload.sizes[-1] == 2
        self.x, self.t = x, np.eye(2, dtype=int)[t] if pair else t[:, 0] if t.ndim == 2 and t.shape[1] == 1 else t
        self._fit()
        if pair:
            self.net.out_activation_ = "softmax"
        for i, (w, b) in enumerate(weights):
            self.net.coefs_[i][...], self.net.intercepts_[i][...] = w, b

    def _fit(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that max_iter was reached
            self.net.fit(self.x, self.t)

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        self.net.max_iter, self.net.shuffle, self.net.loss_curve_ = epochs, shuffle, []
        self._fit()
        return self.factor * np.array(self.net.loss_curve_)

    def weights(self) -> list[np.ndarray]:
        return [array for pair in zip(self.net.coefs_, self.net.intercepts_, strict=True) for array in pair]


class PyTorch:
    """Eager: tensors made once, rows gathered by index_select, the optimizer's fused kernel."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray) -> None:
        import torch
        from torch.nn import functional

        torch.set_num_threads(1)
        modules: list[Any] = []
        for w, b in weights:
            linear = torch.nn.Linear(*w.shape)
            linear.weight.data, linear.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
            modules += [linear, {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[workload.hidden]()]
        modules.pop()
        if workload.output == "sigmoid":
            modules.append(torch.nn.Sigmoid())
        self.torch, self.net, self.batch = torch, torch.nn.Sequential(*modules), workload.batch
        self.loss = {"cross_entropy": functional.cross_entropy, "mse": functional.mse_loss}[workload.loss]
        self.optimizer = torch.optim.SGD(self.net.parameters(), workload.lr, fused=True)
        self.x, self.t, self.order = torch.tensor(x), torch.tensor(t), torch.arange(len(x))

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        means = []
        for _ in range(epochs):
            order = self.torch.randperm(len(self.x)) if shuffle else self.order
            losses = []
            for rows in order.split(self.batch):
                loss = self.loss(self.net(self.x.index_select(0, rows)), self.t.index_select(0, rows))
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                losses.append(loss.detach())
            means.append(self.torch.stack(losses).mean())
        return self.torch.stack(means).numpy()

    def weights(self) -> list[np.ndarray]:
        return [p.detach().numpy().T for p in self.net.parameters()]


class Jax:
    """One jitted call of all epochs: the steps in ``lax.scan``, the weights donated, the shuffled order from NumPy."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray) -> None:
        import jax
        from jax import numpy as jnp

        hidden = {"relu": jax.nn.relu, "tanh": jnp.tanh}[workload.hidden]
        output = {"sigmoid": jax.nn.sigmoid}.get(workload.output, lambda y: y)

        def loss(parameters: Any, x: Any, t: Any) -> Any:
            for w, b in parameters[:-1]:
                x = hidden(x @ w + b)
            w, b = parameters[-1]
            y = output(x @ w + b)
            if workload.loss == "mse":
                return jnp.mean(jnp.square(y - t))
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1))

        def epochs(parameters: Any, x: Any, t: Any, order: Any) -> Any:
            def step(parameters: Any, rows: Any) -> Any:
                batch = (a.at[rows].get(mode="promise_in_bounds") for a in (x, t))
                value, gradients = jax.value_and_grad(loss)(parameters, *batch)
                return jax.tree.map(lambda p, g: p - workload.lr * g, parameters, gradients), value

            return jax.lax.scan(step, parameters, order)

        self.run = jax.jit(epochs, donate_argnums=0)
        self.parameters = [(jnp.array(w), jnp.array(b)) for w, b in weights]
        self.x, self.t = jnp.array(x), jnp.array(t)
        self.batch, self.rng = workload.batch, np.random.default_rng(0)

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        order = np.tile(np.arange(len(self.x), dtype=np.int32), (epochs, 1))
        if shuffle:
            self.rng.permuted(order, axis=1, out=order)
        self.parameters, losses = self.run(self.parameters, self.x, self.t, order.reshape(-1, self.batch))
        return np.asarray(losses).reshape(epochs, -1).mean(axis=1)

    def weights(self) -> list[np.ndarray]:
        return [np.asarray(array) for pair in self.parameters for array in pair]


TRAINERS = {"NumPy": NumPy, "fastnn": FastNN, "JAX": Jax, "PyTorch": PyTorch, "scikit-learn": ScikitLearn}
MODULES = {"JAX": "jax", "PyTorch": "torch", "scikit-learn": "sklearn"}


def missing(name: str) -> str:
    """Return why a library cannot be imported here, or nothing."""
    try:
        import_module(MODULES.get(name, "numpy"))
    except ImportError as error:
        return f"{error} (benchmarks/README.md says how to install it)"
    return ""


def cannot(name: str, workload: Workload) -> str:
    """Return why a library cannot train this net in this way, or nothing."""
    if name == "scikit-learn" and workload.loss == "mse" and workload.output != "identity":
        return f"it has no {workload.output} output with the squared error"
    return ""

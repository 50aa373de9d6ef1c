"""One class per library: the same net, from the same weights, in the fastest form that a competent user would write.

``fit(epochs, shuffle)`` goes over all rows so many times and returns the mean loss of each epoch; ``weights()`` returns
the arrays of each layer: w, b where it has one, and scale and shift where what it gives is normalized.
benchmarks/README.md says which other forms were tried.
"""

import sys
import warnings
from pathlib import Path
from typing import Any, Protocol

import machine
import numpy as np
from workloads import BETA1, BETA2, EPS, Weights, Workload

import fastnn

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # of the clone that the benchmarks run from
from mlp import MLP


class Trainer(Protocol):
    def fit(self, epochs: int, shuffle: bool) -> np.ndarray: ...
    def weights(self) -> list[np.ndarray]: ...


class FastNN:
    """``Model.fit``, with all that it does for a user."""

    precision: str | None = None

    def __init__(
        self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int, seed: int = 0
    ) -> None:
        self.model = fastnn.Model(fastnn_layers(workload), seed=seed, precision=self.precision)
        self.model.build(workload.sizes[0])
        self.arrays = [array for layer in self.model.layers for array in layer.parameters.values()]
        for own, array in zip(self.arrays, (a for layer in workload.parameters(weights) for a in layer), strict=True):
            own[...] = array
        optimizer = fastnn.SGD(workload.lr)
        if workload.optimizer == "adam":
            optimizer = fastnn.Adam(workload.lr, BETA1, BETA2, EPS)
        self.data = x, t
        self.options: dict[str, Any] = {
            "loss": fastnn.losses.get(workload.loss), "optimizer": optimizer, "batch_size": workload.batch,
            "verbose": False, "n_threads": threads,
        }  # fmt: skip

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        return np.array(self.model.fit(*self.data, epochs=epochs, shuffle=shuffle, **self.options).loss)

    def weights(self) -> list[np.ndarray]:
        return self.arrays


def fastnn_layers(workload: Workload) -> list[Any]:
    """Return the layers of a workload."""
    *hidden, last = workload.sizes[1:]
    if not (workload.normalization or workload.dropout):
        return [fastnn.Dense(units, workload.hidden) for units in hidden] + [fastnn.Dense(last, workload.output)]
    layers: list[Any] = []
    for units in hidden:
        layers.append(fastnn.Dense(units, bias=workload.normalization != "batch"))
        if workload.normalization:
            layers.append(fastnn.BatchNorm() if workload.normalization == "batch" else fastnn.LayerNorm())
        layers.append(fastnn.layers.activations.get(workload.hidden))
        if workload.dropout:
            layers.append(fastnn.Dropout(workload.dropout))
    return [*layers, fastnn.Dense(last, workload.output)]


class Twin:
    """The tests' network in plain NumPy, written to be read: what everybody's results are compared with."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int) -> None:
        activations = [workload.hidden] * (len(weights) - 1) + [workload.output]
        layers = [(w, b, activation) for (w, b), activation in zip(weights, activations, strict=True)]
        constants = {"beta1": BETA1, "beta2": BETA2, "eps": EPS} if workload.optimizer == "adam" else {}
        assert not workload.dropout, "it draws no numbers"
        self.net = MLP(layers, workload.loss, workload.optimizer, workload.lr, workload.normalization, **constants)
        self.x, self.t, self.batch = x, t, workload.batch
        self.rng, self.order = np.random.default_rng(0), np.arange(len(x))

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        orders = (self.rng.permutation(len(self.x)) if shuffle else self.order for _ in range(epochs))
        return np.array([self.net.epoch(self.x, self.t, self.batch, order) for order in orders])

    def weights(self) -> list[np.ndarray]:
        found = []
        for i, pair in enumerate(self.net.weights):
            found += [array for array in pair if array is not None]
            found += self.net.norms[i] if i < len(self.net.norms) else ()
        return found


class NumPy:
    """Plain NumPy, written to be fast: every array is made once and written to by ``out=``."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int) -> None:
        batch, sizes = workload.batch, workload.sizes
        self.workload, self.x, self.t = workload, x, t
        self.flat = np.concatenate([array.ravel() for pair in weights for array in pair])
        self.gradient, self.scratch = np.zeros_like(self.flat), np.empty_like(self.flat)
        self.layers = list(zip(self._views(self.flat), self._views(self.gradient), strict=True))
        self.outputs = [np.empty((batch, n), np.float32) for n in sizes]  # the first holds the rows of the batch
        self.deltas = [np.empty((batch, n), np.float32) for n in sizes]
        self.spare = [np.empty((batch, n), np.float32) for n in sizes]
        self.column = np.empty((batch, 1), np.float32)
        self.labels = np.empty(batch, t.dtype)
        self.target = np.empty((batch, sizes[-1]), np.float32)
        self.at = np.arange(batch) * sizes[-1]  # where each row of the outputs begins
        self.moments = np.zeros((2, self.flat.size), np.float32)
        self.count = 0
        self.rng, self.order = np.random.default_rng(0), np.arange(len(x))

    def _views(self, flat: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        views, start = [], 0
        for n_in, n_out in zip(self.workload.sizes[:-1], self.workload.sizes[1:], strict=True):
            middle, end = start + n_in * n_out, start + (n_in + 1) * n_out
            views.append((flat[start:middle].reshape(n_in, n_out), flat[middle:end]))
            start = end
        return views

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        batch, means = self.workload.batch, []
        for _ in range(epochs):
            order, total = self.rng.permutation(len(self.x)) if shuffle else self.order, 0.0
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                np.take(self.x, rows, axis=0, out=self.outputs[0], mode="clip")  # "raise" would copy once more
                total += self._step(rows)
            means.append(total * batch / len(order))
        return np.array(means)

    def _step(self, rows: np.ndarray) -> float:
        last, h = len(self.layers) - 1, self.outputs
        for i, ((w, b), _) in enumerate(self.layers):
            y = np.matmul(h[i], w, out=h[i + 1])
            y += b
            if i < last:
                np.maximum(y, 0, out=y) if self.workload.hidden == "relu" else np.tanh(y, out=y)
        loss = self._cross_entropy(rows) if self.workload.loss == "cross_entropy" else self._mse(rows)
        for i in range(last, -1, -1):
            (w, _), (dw, db) = self.layers[i]
            dy = self.deltas[i + 1]
            np.matmul(h[i].T, dy, out=dw)
            np.add.reduce(dy, axis=0, out=db)
            if i > 0:
                dx, spare = np.matmul(dy, w.T, out=self.deltas[i]), self.spare[i]
                if self.workload.hidden == "relu" and dx.size > 4096:
                    dx *= h[i] > 0
                elif self.workload.hidden == "relu":
                    dx *= np.sign(h[i], out=spare)  # faster than a mask, but not on larger arrays
                else:
                    np.multiply(h[i], h[i], out=spare)
                    np.subtract(1, spare, out=spare)
                    dx *= spare
        self._update()
        return loss

    def _cross_entropy(self, rows: np.ndarray) -> float:
        z, dy, column = self.outputs[-1], self.deltas[-1], self.column
        here = self.at + np.take(self.t, rows, out=self.labels, mode="clip")
        z -= np.maximum.reduce(z, axis=1, keepdims=True, out=column)
        picked = z.ravel()[here].sum()
        np.exp(z, out=dy)
        np.add.reduce(dy, axis=1, keepdims=True, out=column)
        dy /= column
        dy.ravel()[here] -= 1
        dy *= 1 / len(rows)
        return float(np.log(column, out=column).sum() - picked) / len(rows)

    def _mse(self, rows: np.ndarray) -> float:
        dy = np.subtract(self.outputs[-1], np.take(self.t, rows, 0, self.target, "clip"), out=self.deltas[-1])
        loss = float(np.vdot(dy, dy)) / dy.size
        dy *= 2 / dy.size
        return loss

    def _update(self) -> None:
        g, scratch, lr = self.gradient, self.scratch, self.workload.lr
        if self.workload.optimizer == "sgd":
            g *= lr
        else:
            m, v = self.moments
            self.count += 1
            m *= BETA1
            m += np.multiply(g, 1 - BETA1, out=scratch)
            v *= BETA2
            g *= g
            g *= 1 - BETA2
            v += g
            np.sqrt(np.multiply(v, 1 / (1 - BETA2**self.count), out=scratch), out=scratch)
            scratch += EPS
            np.divide(m, scratch, out=g)
            g *= lr / (1 - BETA1**self.count)
        self.flat -= g

    def weights(self) -> list[np.ndarray]:
        return [array for pair, _ in self.layers for array in pair]


class ScikitLearn:
    """MLPClassifier and MLPRegressor: ``fit`` with a warm start, nothing held out, no early stop."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        classifier = workload.loss == "cross_entropy"
        self.factor = 1 if classifier else 2  # its squared error is halved, and its gradient is summed over the outputs
        scale = 1.0 if classifier else 2 / workload.sizes[-1]
        adam = workload.optimizer == "adam"  # where a scaled gradient is one with a scaled eps
        # Its eps is Kingma & Ba's eps-hat, ours times sqrt(1 - BETA2^step): in the first step they are the same.
        eps = EPS * np.sqrt(1 - BETA2) / scale
        self.net = (MLPClassifier if classifier else MLPRegressor)(
            hidden_layer_sizes=workload.sizes[1:-1], activation=workload.hidden, batch_size=workload.batch, alpha=0.0,
            solver=workload.optimizer, learning_rate_init=workload.lr * (1.0 if adam else scale),
            momentum=0.0, nesterovs_momentum=False, beta_1=BETA1, beta_2=BETA2, epsilon=eps,
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
    """Eager, by hand: ``addmm``, ``autograd.grad``, and one call for the update of all parameters."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int) -> None:
        import torch
        from torch.nn import functional

        torch.set_num_threads(threads)
        self.torch, self.workload = torch, workload
        own = [array for layer in workload.parameters(weights) for array in layer]
        self.parameters = [torch.tensor(array, requires_grad=True) for array in own]
        self.functional = functional
        self.hidden = {"relu": torch.relu, "tanh": torch.tanh}[workload.hidden]
        self.loss = {"cross_entropy": functional.cross_entropy, "mse": functional.mse_loss}[workload.loss]
        adam = {"lr": workload.lr, "betas": (BETA1, BETA2), "eps": EPS, "fused": True}
        self.adam = torch.optim.Adam(self.parameters, **adam) if workload.optimizer == "adam" else None
        self.x, self.t, self.order = torch.tensor(x), torch.tensor(t), torch.arange(len(x))

    def value(self, parameters: list[Any], x: Any, t: Any) -> Any:
        form, f = self.workload, self.functional
        of_layer = {"": 2, "batch": 3, "layer": 4}[form.normalization]
        for i in range(0, len(parameters) - 2, of_layer):
            own = parameters[i : i + of_layer]
            if form.normalization == "batch":  # without running averages, which training does not read
                x = f.batch_norm(x @ own[0], None, None, own[1], own[2], training=True)
            else:
                x = self.torch.addmm(own[1], x, own[0])
                if form.normalization:
                    x = f.layer_norm(x, (x.shape[1],), own[2], own[3])
            x = self.hidden(x)
            if form.dropout:
                x = f.dropout(x, form.dropout)
        return self.loss(self.torch.addmm(parameters[-1], x, parameters[-2]), t)

    def step(self, x: Any, t: Any) -> Any:
        loss = self.value(self.parameters, x, t)
        gradients = self.torch.autograd.grad(loss, self.parameters)
        if self.adam is None:
            with self.torch.no_grad():
                self.torch._foreach_add_(self.parameters, gradients, alpha=-self.workload.lr)
        else:
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient
            self.adam.step()
        return loss.detach()

    def batches(self, shuffle: bool) -> Any:
        """Return the x and t of each batch: of narrow data gathered once for the epoch, of wide ones batch by batch."""
        batch = self.workload.batch
        if not self.workload.shuffled:
            return zip(self.x.split(batch), self.t.split(batch), strict=True)
        order = self.torch.randperm(len(self.x)) if shuffle else self.order
        if self.x.shape[1] <= 64:
            return zip(*(a.index_select(0, order).split(batch) for a in (self.x, self.t)), strict=True)
        return ((self.x.index_select(0, rows), self.t.index_select(0, rows)) for rows in order.split(batch))

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        losses = [self.step(x, t) for _ in range(epochs) for x, t in self.batches(shuffle)]
        return self.torch.stack(losses).reshape(epochs, -1).mean(dim=1).numpy()

    def weights(self) -> list[np.ndarray]:
        return [parameter.detach().numpy() for parameter in self.parameters]


class PyTorchSequential(PyTorch):
    """As its tutorials have it: ``nn.Sequential``, ``backward`` and a fused optimizer."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int) -> None:
        super().__init__(workload, weights, x, t, threads)
        nn, modules = self.torch.nn, []
        for i, (w, b) in enumerate(weights):
            linear = nn.Linear(*w.shape, bias=b is not None)
            linear.weight.data = self.torch.tensor(w.T.copy())
            if b is not None:
                linear.bias.data = self.torch.tensor(b)
            modules.append(linear)
            if i == len(weights) - 1:
                break
            if workload.normalization:
                norm = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[workload.normalization]
                modules.append(norm(w.shape[1]))
            modules.append({"relu": nn.ReLU, "tanh": nn.Tanh}[workload.hidden]())
            if workload.dropout:
                modules.append(nn.Dropout(workload.dropout))
        self.net = nn.Sequential(*modules)
        self.parameters = list(self.net.parameters())
        self.optimizer = (
            self.torch.optim.Adam(self.parameters, workload.lr, (BETA1, BETA2), EPS, fused=True)
            if workload.optimizer == "adam"
            else self.torch.optim.SGD(self.parameters, workload.lr, fused=True)
        )

    def step(self, x: Any, t: Any) -> Any:
        loss = self.loss(self.net(x), t)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def weights(self) -> list[np.ndarray]:
        return [array.T for array in super().weights()]


class PyTorchCompiled(PyTorch):
    """The whole step in one ``torch.compile``: gradients by ``torch.func``, the update in the same graph."""

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int) -> None:
        super().__init__(workload, weights, x, t, threads)
        torch = self.torch
        torch._dynamo.reset()  # else the steps of the nets before count as compiling the same one again and again
        self.parameters = [parameter.detach() for parameter in self.parameters]
        moments = [[torch.zeros_like(parameter) for parameter in self.parameters] for _ in range(2)]
        self.state = (*moments, torch.zeros(()))
        gradients_and_loss = torch.func.grad_and_value(self.value)
        adam, lr = workload.optimizer == "adam", workload.lr

        def step(parameters: list[Any], state: tuple[Any, ...], x: Any, t: Any) -> Any:
            gradients, loss = gradients_and_loss(parameters, x, t)
            if not adam:
                for p, g in zip(parameters, gradients, strict=True):
                    p.sub_(g, alpha=lr)
                return loss
            first, second, count = state
            count.add_(1)
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                m.mul_(BETA1).add_(g, alpha=1 - BETA1)
                v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
                p.sub_(lr / (1 - BETA1**count) * m / ((v / (1 - BETA2**count)).sqrt() + EPS))
            return loss

        self.compiled = torch.compile(step, fullgraph=True, dynamic=False)

    def step(self, x: Any, t: Any) -> Any:
        return self.compiled(self.parameters, self.state, x, t)


class Jax:
    """One jitted call: the steps of all its epochs in ``lax.scan``, the weights donated, the order from NumPy."""

    precision: str | None = None

    def __init__(self, workload: Workload, weights: Weights, x: np.ndarray, t: np.ndarray, threads: int) -> None:
        import jax
        from jax import numpy as jnp

        def epochs(state: Any, x: Any, t: Any, order: Any) -> Any:
            def step(state: Any, rows: Any) -> Any:
                # Without an order a batch is all rows.
                batch = (a.at[rows].get(mode="promise_in_bounds") for a in (x, t)) if workload.shuffled else (x, t)
                return jax_step(workload, state, *batch, self.precision)

            return jax.lax.scan(step, state, order)

        self.run = jax.jit(epochs, donate_argnums=0)
        self.state = jax_state(workload, weights)
        self.x, self.t = jnp.array(x), jnp.array(t)
        self.workload, self.rng = workload, np.random.default_rng(0)

    def fit(self, epochs: int, shuffle: bool) -> np.ndarray:
        steps = epochs * self.workload.steps
        order = np.zeros((steps, 0), np.int32)
        if self.workload.shuffled:
            order = np.tile(np.arange(len(self.x), dtype=np.int32), (epochs, 1))
            if shuffle:
                self.rng.permuted(order, axis=1, out=order)
        self.state, losses = self.run(self.state, self.x, self.t, order.reshape(steps, -1))
        return np.asarray(losses).reshape(epochs, -1).mean(axis=1)

    def weights(self) -> list[np.ndarray]:
        return [np.asarray(array) for layer in self.state[0] for array in layer]


def jax_state(workload: Workload, weights: Weights) -> Any:
    """Return the parameters, what Adam remembers of them: m, v and the number of steps, and the key of dropout."""
    import jax
    from jax import numpy as jnp

    parameters = [tuple(map(jnp.array, layer)) for layer in workload.parameters(weights)]
    key = jax.random.key(0, impl="unsafe_rbg") if workload.dropout else ()  # the fastest there is on a CPU
    if workload.optimizer == "sgd":
        return parameters, (), key
    return parameters, (*(jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)), jnp.float32(0)), key


def jax_step(workload: Workload, state: Any, x: Any, t: Any, precision: str | None = None) -> Any:
    """Return the state after one batch, and the loss before it."""
    import jax
    from jax import numpy as jnp

    def product(x: Any, w: Any) -> Any:
        if precision is None:
            return x @ w
        return jnp.matmul(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16), preferred_element_type=jnp.float32)

    hidden = {"relu": jax.nn.relu, "tanh": jnp.tanh}[workload.hidden]

    def normalized(y: Any, scale: Any, shift: Any) -> Any:
        axis = 0 if workload.normalization == "batch" else 1
        mean = jnp.mean(y, axis, keepdims=True)
        variance = jnp.mean(jnp.square(y - mean), axis, keepdims=True)
        return (y - mean) * (jax.lax.rsqrt(variance + 1e-5) * scale) + shift

    def loss(parameters: Any) -> Any:
        y = x
        for i, (w, *own) in enumerate(parameters[:-1]):
            y = product(y, w)
            if workload.normalization != "batch":
                y = y + own[0]
            if workload.normalization:
                y = normalized(y, *own[-2:])
            y = hidden(y)
            if workload.dropout:
                kept = jax.random.bernoulli(keys[i], 1 - workload.dropout, y.shape)
                y = jnp.where(kept, y / (1 - workload.dropout), 0)
        w, b = parameters[-1]
        y = product(y, w) + b
        if workload.loss == "mse":
            return jnp.mean(jnp.square(y - t))
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1))

    parameters, remembered, key = state
    if workload.dropout:
        key, *keys = jax.random.split(key, len(parameters))
    value, gradients = jax.value_and_grad(loss)(parameters)
    if workload.optimizer == "sgd":
        return (jax.tree.map(lambda p, g: p - workload.lr * g, parameters, gradients), (), key), value
    m, v, count = remembered
    count += 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * jnp.square(g), v, gradients)
    scale_m, scale_v = 1 / (1 - BETA1**count), 1 / (1 - BETA2**count)
    parameters = jax.tree.map(
        lambda p, m, v: p - workload.lr * (m * scale_m) / (jnp.sqrt(v * scale_v) + EPS), parameters, m, v
    )
    return (parameters, (m, v, count), key), value


TRAINERS = {
    "fastnn": FastNN, "NumPy": NumPy, "JAX": Jax, "PyTorch": PyTorch, "PyTorch Sequential": PyTorchSequential,
    "PyTorch compiled": PyTorchCompiled, "scikit-learn": ScikitLearn,
}  # fmt: skip
MODULES = {
    "JAX": "jax", "PyTorch": "torch", "PyTorch Sequential": "torch", "PyTorch compiled": "torch",
    "scikit-learn": "sklearn", "onnxruntime": "onnxruntime onnx", "OpenVINO": "openvino onnx",
    "PyTorch compiled bfloat16": "torch", "PyTorch autocast bfloat16": "torch", "JAX bfloat16": "jax",
}  # fmt: skip


WITHOUT_NORMALIZATION = ("NumPy", "scikit-learn")


def missing(name: str, workload: Workload | None = None) -> str:
    """Return why a library cannot train a net, or be imported here, or nothing."""
    if workload is not None and (workload.normalization or workload.dropout) and name in WITHOUT_NORMALIZATION:
        return "it has no normalization and no dropout"
    return machine.missing(MODULES.get(name, "numpy").split(), "benchmarks/README.md says how to install it")

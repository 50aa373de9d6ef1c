"""A whole network in plain NumPy, made of the twins of the kernels: what the compiled training is compared with."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.reference import Array, Labels


class MLP:
    """A multilayer perceptron in plain NumPy: what the compiled training is compared with.

    Parameters
    ----------
    layers : sequence of (w, b, activation)
        Of each dense layer the weights (n_in, n_out), the bias (n_out) or None, and the name of its activation. The
        arrays are copied; their dtype is the dtype of the network.
    loss : str
        "cross_entropy" (integer labels), "binary_cross_entropy", "mse", "mae" or "huber". Cross-entropy after softmax
        or identity and binary cross-entropy after sigmoid are computed from the logits.
    optimizer : {"sgd", "rmsprop", "adam"}
    lr : float
    normalization : {"", "batch", "layer"}
        Of what each dense layer but the last gives, before its activation, with a scale that begins as 1 and a shift
        that begins as 0.
    **parameters
        Further arguments of `reference.sgd` (momentum, weight_decay, nesterov) or `reference.adam` (beta1, beta2, eps,
        weight_decay, decoupled).
    """

    def __init__(
        self,
        layers: Sequence[tuple[Array, Array | None, str]],
        loss: str,
        optimizer: str = "sgd",
        lr: float = 0.01,
        normalization: str = "",
        **parameters: Any,
    ) -> None:
        # One flat array for the parameters and one for the gradients, so that an optimizer is a few array operations.
        arrays = [array for w, b, _ in layers for array in (w, b) if array is not None]
        self.normalization = normalization
        hidden = [w for w, _, _ in layers[:-1]] if normalization else []
        arrays += [make(w.shape[1], w.dtype) for w in hidden for make in (np.ones, np.zeros)]
        self.parameters = np.concatenate([array.ravel() for array in arrays])
        self.gradients = np.zeros_like(self.parameters)
        self.weights, self.norms = _views(self.parameters, layers, hidden)
        self.weight_gradients, self.norm_gradients = _views(self.gradients, layers, hidden)
        self.activations = [activation for _, _, activation in layers]
        self.loss, from_logits = _loss(loss, self.activations[-1])
        # While training, a loss that is computed from logits stands for the last activation, too.
        self.training_activations = [*self.activations[:-1], "identity"] if from_logits else self.activations
        self.value = np.zeros(1)
        self.lr = np.array([lr])
        self.count = np.zeros(1)
        self.optimizer = optimizer
        self.options = parameters
        self.moments = [np.zeros_like(self.parameters) for _ in range({"sgd": 1, "rmsprop": 3, "adam": 2}[optimizer])]

    def forward(self, x: Array, activations: Sequence[str]) -> list[tuple[Array, Array]]:
        """Return, layer by layer, z = x @ w + b and y = f(z), which is the same array where backward needs only y.

        Where z is normalized, the normalized one stands in its place, and what backward needs is `self.normalized`.
        """
        saved = []
        self.normalized: list[tuple[Array, ...]] = []
        for i, ((w, b), activation) in enumerate(zip(self.weights, activations, strict=True)):
            z = np.empty((len(x), w.shape[1]), w.dtype)
            reference.dense_forward(x, w, b, z)
            if i < len(self.norms):
                z = self._normalize(z, *self.norms[i])
            backward = getattr(reference, f"{activation}_backward")
            y = z if "y" in signature(backward).parameters else np.empty_like(z)
            getattr(reference, f"{activation}_forward")(z, y)
            saved.append((z, y))
            x = y
        return saved

    def _normalize(self, z: Array, scale: Array, shift: Array) -> Array:
        y, n = np.empty_like(z), z.shape[1] if self.normalization == "batch" else len(z)
        moments = np.empty(n, z.dtype), np.empty(n, z.dtype)
        getattr(reference, f"{self.normalization}_norm_forward")(z, scale, shift, y, *moments)
        self.normalized.append((z, *moments))
        return y

    def _normalize_backward(self, i: int, dy: Array) -> Array:
        (z, *moments), scale, dx = self.normalized[i], self.norms[i][0], np.empty_like(dy)
        if self.normalization == "batch":
            reference.batch_norm_backward(z, dy, scale, *moments, dx, *self.norm_gradients[i])
        else:
            reference.scale_columns_gradients(z, dy, *moments, *self.norm_gradients[i])
            reference.layer_norm_backward(z, dy, scale, *moments, dx)
        return dx

    def predict(self, x: Array) -> Array:
        """Return the output of the last layer, (batch, n_out), by the moments of this batch where those normalize."""
        return self.forward(x, self.activations)[-1][1]

    def step(self, x: Array, t: NDArray[Any], weight: Array | None = None) -> float:
        """Train on one batch and return its loss before the update."""
        saved = self.forward(x, self.training_activations)
        inputs = [x, *(y for _, y in saved[:-1])]
        dy = np.empty_like(saved[-1][1])
        self.loss(saved[-1][1], t, None if weight is None else weight[:, None], dy, self.value)
        for i in reversed(range(len(saved))):
            # z is y for those activations whose backward takes y, and so it is what each backward takes.
            getattr(reference, f"{self.training_activations[i]}_backward")(saved[i][0], dy, dy)
            if i < len(self.norms):
                dy = self._normalize_backward(i, dy)
            dx = np.empty_like(inputs[i]) if i > 0 else None
            reference.dense_backward(inputs[i], self.weights[i][0], dy, dx, *self.weight_gradients[i])
            if dx is not None:
                dy = dx
        self.update()
        return float(self.value[0])

    def update(self) -> None:
        """Let the optimizer change the parameters."""
        if self.optimizer == "adam":
            m, v = self.moments
            reference.increment(self.count)
            reference.adam(self.parameters, self.gradients, m, v, self.lr, self.count, **self.options)
        elif self.optimizer == "rmsprop":
            reference.rmsprop(self.parameters, self.gradients, *self.moments, self.lr, **self.options)
        else:
            reference.sgd(self.parameters, self.gradients, self.moments[0], self.lr, **self.options)

    def epoch(self, x: Array, t: NDArray[Any], batch_size: int, order: Labels) -> float:
        """Train on the rows x[order], batch after batch, and return the mean loss of a row."""
        total = 0.0
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            total += len(rows) * self.step(x[rows], t[rows])
        return total / len(order)


def _views(
    flat: Array, layers: Sequence[tuple[Array, Array | None, str]], hidden: Sequence[Array]
) -> tuple[list[tuple[Array, Array | None]], list[tuple[Array, Array]]]:
    """Cut ``flat``, without a copy, into each layer's w and b, and behind these the scales and shifts of norms."""
    views = []
    start = 0
    for w, b, _ in layers:
        stop = start + w.size
        start = stop if b is None else stop + b.size
        views.append((flat[stop - w.size : stop].reshape(w.shape), None if b is None else flat[stop:start]))
    norms = []
    for w in hidden:
        n = w.shape[1]
        norms.append((flat[start : start + n], flat[start + n : start + 2 * n]))
        start += 2 * n
    return views, norms


def _loss(name: str, last_activation: str) -> tuple[Callable[..., None], bool]:
    """Return the loss function for a name, and whether it takes the logits in place of the last activation's output."""
    if name == "cross_entropy":
        fused = last_activation in ("softmax", "identity")
        return (reference.cross_entropy_labels_from_logits if fused else reference.cross_entropy_labels), fused
    if name == "binary_cross_entropy":
        fused = last_activation == "sigmoid"
        return (reference.binary_cross_entropy_from_logits if fused else reference.binary_cross_entropy), fused
    return {"mse": reference.mse, "mae": reference.mae, "huber": reference.huber}[name], False

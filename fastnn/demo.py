"""The demo: learn handwritten digits, and time it beside the same training in plain NumPy."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.datasets import load_digits
from fastnn.layers import Dense, Softmax
from fastnn.losses import CrossEntropy
from fastnn.model import Model
from fastnn.optimizers import SGD

UNITS, EPOCHS, BATCH_SIZE, LR, MOMENTUM = 256, 20, 32, 0.2, 0.9
_GREYS = np.array(list(" .:+*#@"))


class Result(NamedTuple):
    """What the demo found: test accuracies and seconds of training, of fastnn and of NumPy."""

    accuracy: float
    seconds: float
    numpy_accuracy: float
    numpy_seconds: float


def demo(seed: int = 0, verbose: bool | str = "auto") -> Result:
    """Train a classifier of digits twice from the same weights, by fastnn and by NumPy, and print how they compare.

    Parameters
    ----------
    seed : int
        Decides the first weights and the order of rows. The held-out fifth is always the same.
    verbose : bool or "auto"
        Show progress: "auto" where standard error is a terminal.
    """
    pixels, labels = load_digits()
    x = (pixels / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    test, train = order[: len(x) // 5], order[len(x) // 5 :]
    print(f"{len(x):,} handwritten digits of 8 x 8 pixels: {len(train):,} to learn from, {len(test)} held out")

    hidden, output = Dense(UNITS, "relu"), Dense(10)
    net = Model([hidden, output, Softmax()], seed=seed).build(x.shape[1])
    parameters = [array.copy() for layer in (hidden, output) for array in layer.parameters.values()]
    print(f"{net.n_in}-{UNITS}-{net.n_out} net, {EPOCHS} epochs in batches of {BATCH_SIZE}, SGD with momentum\n")

    def accuracy(outputs: NDArray[np.floating]) -> float:
        return float(np.mean(outputs.argmax(axis=1) == labels[test]))

    history = net.fit(
        x[train], labels[train], loss=CrossEntropy(), optimizer=SGD(LR, MOMENTUM), epochs=EPOCHS,
        batch_size=BATCH_SIZE, verbose=verbose,
    )  # fmt: skip
    outputs = net.predict(x[test])
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    train_in_numpy(parameters, x, labels, (rng.permutation(train) for _ in range(EPOCHS)))
    numpy_seconds = time.perf_counter() - start

    result = Result(accuracy(outputs), history.seconds, accuracy(numpy_forward(parameters, x[test])[1]), numpy_seconds)
    shown = np.unique(labels[test], return_index=True)[1][:4]  # the first 0, 1, 2 and 3
    print(picture(pixels[test[shown]], outputs[shown].argmax(axis=1)))
    print(f"fastnn  test accuracy {result.accuracy:.4f}  training {result.seconds:6.3f} s")
    print(f"NumPy   test accuracy {result.numpy_accuracy:.4f}  training {result.numpy_seconds:6.3f} s")
    print(f"fastnn trained {result.numpy_seconds / result.seconds:.1f} times as fast")
    return result


def numpy_forward(parameters: list[Array], x: Array) -> tuple[Array, Array]:
    """Return the outputs of the hidden layer, (batch, UNITS), and the logits, (batch, classes)."""
    w1, b1, w2, b2 = parameters
    hidden = np.maximum(x @ w1 + b1, 0)
    return hidden, hidden @ w2 + b2


def train_in_numpy(
    parameters: list[Array], x: Array, labels: NDArray[np.int64], orders: Iterable[NDArray[np.int64]]
) -> None:
    """Change the parameters w, b of both layers as ``fit`` does, an epoch for each order of the rows to learn from."""
    velocities = [np.zeros_like(parameter) for parameter in parameters]
    for order in orders:
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            hidden, logits = numpy_forward(parameters, x[rows])
            e = np.exp(logits - logits.max(axis=1, keepdims=True))
            # softmax minus one-hot: the gradient of the batch's mean cross-entropy with respect to its logits
            d_logits = e / e.sum(axis=1, keepdims=True)
            d_logits[np.arange(len(rows)), labels[rows]] -= 1
            d_logits /= len(rows)
            d_hidden = d_logits @ parameters[2].T * (hidden > 0)
            gradients = x[rows].T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_logits, d_logits.sum(axis=0)
            for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity[...] = MOMENTUM * velocity + gradient
                parameter[...] -= LR * velocity


def picture(pixels: NDArray[np.uint8], recognised: NDArray[np.int64]) -> str:
    """Return digits side by side as lines of text, two characters per pixel, with what they were taken for."""
    images = _GREYS[pixels.astype(int) * (len(_GREYS) - 1) // 16].reshape(-1, 8, 8).repeat(2, axis=2)
    lines = ["  ".join("".join(image[row]) for image in images).rstrip() for row in range(8)]
    captions = "  ".join(f"{f'a {digit}':^16}" for digit in recognised)
    return "\n".join([*lines, captions.rstrip(), ""])

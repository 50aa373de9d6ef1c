"""The demo: learn handwritten digits, and time it beside the same training in plain NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
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
TIMES = 5  # that each trains, in turns
# What the libraries behind NumPy's products read when they are loaded
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_GREYS = np.array(list(" .:+*#@"))


class Result(NamedTuple):
    """What the demo found: test accuracies and seconds of training, of fastnn and of NumPy.

    The seconds are the least of several trainings, of one thread, while the processor worked for it.
    """

    accuracy: float
    seconds: float
    numpy_accuracy: float
    numpy_seconds: float


class _Digits:
    """The data: pixels from 0 to 1, labels, and which rows are held out and which are learned from."""

    def __init__(self) -> None:
        self.pixels, self.labels = load_digits()
        self.x = (self.pixels / 16).astype(np.float32)
        order = np.random.default_rng(0).permutation(len(self.x))
        self.test, self.train = order[: len(order) // 5], order[len(order) // 5 :]

    def accuracy(self, outputs: NDArray[np.floating]) -> float:
        """Return the share of held-out digits whose largest output is the right one."""
        return float(np.mean(outputs.argmax(axis=1) == self.labels[self.test]))

    def net(self, seed: int) -> Model:
        """Return the net with its first weights."""
        return Model([Dense(UNITS, "relu"), Dense(10), Softmax()], seed=seed).build(self.x.shape[1])


def demo(seed: int = 0, verbose: bool | str = "auto") -> Result:
    """Train a classifier of digits from the same weights by fastnn and by NumPy, in turns, and print how they compare.

    Both use one thread: NumPy in a process of its own, where its BLAS is told so before it is loaded. What counts is
    the least of several trainings' processor times, which other programs on the machine hardly change.

    Parameters
    ----------
    seed : int
        Decides the first weights and the order of rows. The held-out fifth is always the same.
    verbose : bool or "auto"
        Show progress of a first training: "auto" where standard error is a terminal.
    """
    digits = _Digits()
    x, labels, test, train = digits.x, digits.labels, digits.test, digits.train
    print(f"{len(x):,} handwritten digits of 8 x 8 pixels: {len(train):,} to learn from, {len(test)} held out")

    def fit(verbose: bool | str = False) -> tuple[Model, float]:
        net = digits.net(seed)
        start = time.thread_time()
        net.fit(
            x[train], labels[train], loss=CrossEntropy(), optimizer=SGD(LR, MOMENTUM), epochs=EPOCHS,
            batch_size=BATCH_SIZE, verbose=verbose, n_threads=1,
        )  # fmt: skip
        return net, time.thread_time() - start

    net, _ = fit(verbose)
    print(f"{net.n_in}-{UNITS}-{net.n_out} net, {EPOCHS} epochs in batches of {BATCH_SIZE}, SGD with momentum\n")
    outputs = net.predict(x[test])
    shown = np.unique(labels[test], return_index=True)[1][:4]  # the first 0, 1, 2 and 3
    print(picture(digits.pixels[test[shown]], outputs[shown].argmax(axis=1)), flush=True)

    # Where Python finds modules here, it has to find them there. A session of its own does not hear Ctrl-C.
    code = f"import sys; sys.path[:] = {sys.path!r}; from fastnn.demo import print_numpy; print_numpy({seed})"
    seconds, answers = [], []
    for _ in range(TIMES):
        seconds.append(fit()[1])
        answers.append(
            subprocess.run(
                [sys.executable, "-c", code], env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, check=True,
                start_new_session=True,
            ).stdout.split()
        )  # fmt: skip
    numpy_seconds, numpy_accuracy = min((float(taken), float(accuracy)) for taken, accuracy in answers)

    result = Result(digits.accuracy(outputs), min(seconds), numpy_accuracy, numpy_seconds)
    print(
        f"The same training by fastnn {net.dtype} and by NumPy {np.__version__} {x.dtype}, from the same weights, with"
    )
    print(f"one thread each, in turns; seconds are processor time, the least of {TIMES} trainings:")
    print(f"fastnn  test accuracy {result.accuracy:.4f}  training {result.seconds:6.3f} s")
    print(f"NumPy   test accuracy {result.numpy_accuracy:.4f}  training {result.numpy_seconds:6.3f} s")
    print(f"fastnn trained {result.numpy_seconds / result.seconds:.1f} times as fast")
    return result


def print_numpy(seed: int) -> None:
    """Train in NumPy, and print the seconds and the test accuracy: for the process that compares."""
    digits, rng = _Digits(), np.random.default_rng(seed)
    orders = [rng.permutation(digits.train) for _ in range(EPOCHS)]

    def parameters() -> list[Array]:
        return [array for layer in digits.net(seed).layers for array in layer.parameters.values()]

    train_in_numpy(parameters(), digits.x, digits.labels, orders[:1])  # the first steps of a process take longer
    trained = parameters()
    start = time.thread_time()
    train_in_numpy(trained, digits.x, digits.labels, orders)
    seconds = time.thread_time() - start
    print(seconds, digits.accuracy(numpy_forward(trained, digits.x[digits.test])[1]))


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

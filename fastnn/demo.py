"""The demo: learn handwritten digits, and time it beside the same training in plain NumPy."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.activations import Softmax
from fastnn.datasets import load_digits
from fastnn.layers import Dense
from fastnn.losses import CrossEntropy
from fastnn.model import Model
from fastnn.optimizers import SGD
from fastnn.reference import MLP

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
    twin = MLP(
        [(hidden.w, hidden.b, "relu"), (output.w, output.b, "softmax")], "cross_entropy", lr=LR, momentum=MOMENTUM
    )
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
    for _ in range(EPOCHS):
        twin.epoch(x, labels, BATCH_SIZE, rng.permutation(train))
    numpy_seconds = time.perf_counter() - start

    result = Result(accuracy(outputs), history.seconds, accuracy(twin.predict(x[test])), numpy_seconds)
    shown = np.unique(labels[test], return_index=True)[1][:4]  # the first 0, 1, 2 and 3
    print(picture(pixels[test[shown]], outputs[shown].argmax(axis=1)))
    print(f"fastnn  test accuracy {result.accuracy:.4f}  training {result.seconds:6.3f} s")
    print(f"NumPy   test accuracy {result.numpy_accuracy:.4f}  training {result.numpy_seconds:6.3f} s")
    print(f"fastnn trained {result.numpy_seconds / result.seconds:.1f} times as fast")
    return result


def picture(pixels: NDArray[np.uint8], recognised: NDArray[np.int64]) -> str:
    """Return digits side by side as lines of text, two characters per pixel, with what they were taken for."""
    images = _GREYS[pixels.astype(int) * (len(_GREYS) - 1) // 16].reshape(-1, 8, 8).repeat(2, axis=2)
    lines = ["  ".join("".join(image[row]) for image in images).rstrip() for row in range(8)]
    captions = "  ".join(f"{f'a {digit}':^16}" for digit in recognised)
    return "\n".join([*lines, captions.rstrip(), ""])

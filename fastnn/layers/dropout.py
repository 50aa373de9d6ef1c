"""What is drawn anew for each batch of a training, and vanishes in predictions: dropout and noise."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settings import Number


class Drawing(Layer):
    """A layer whose kernels draw from a seed, which the model draws when it is built, and the number of batches."""

    code = Code(saved=(), in_place=True)
    gives = "numbers"
    key: Array
    batches: Array
    amount: ClassVar[str]  # the name of the number that its kernels take
    forward_kernel: ClassVar[str]
    backward_kernel: ClassVar[str | None]  # that of dy, or None where dx is dy

    def build(self, n_in: int) -> int:
        self.state("key", (1,), _draw, dtype="float64")
        self.state("batches", (1,), "zeros", dtype="float64")
        return n_in

    def for_prediction(self) -> None:
        return None

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        getattr(self.kernels, self.forward_kernel)(x, y, self.cell(self.amount), self.key, self.batches, run.tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None:
            return
        if self.backward_kernel is None:
            self.kernels.scale_columns(dy, None, None, dx, run.tape)
            return
        draw = getattr(self.kernels, self.backward_kernel)
        draw(dy, dx, self.cell(self.amount), self.key, self.batches, run.tape)

    def _after_batch(self, run: Run) -> None:
        self.kernels.increment(self.batches, run.tape)


class _OfRate(Drawing):
    """A layer that changes numbers by a rate, which its class explains."""

    amount = "rate"
    rate: Any = Number(below=1.0)

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate


class Dropout(_OfRate):
    """y = x / (1 - rate), or 0 with probability `rate`, while a net is trained (Srivastava et al. 2014).

    A prediction is computed without it. Which numbers are left out follows from a seed, which the model draws when it
    is built, and from the number of batches seen: a fit that is repeated repeats them, on any number of threads.

    Parameters
    ----------
    rate : float
        At least 0 and below 1. It may be set at any time.

    Examples
    --------
    >>> from fastnn import Dense, Dropout, Model
    >>> net = Model([Dense(64, "relu"), Dropout(0.2), Dense(10, "softmax")], seed=0)
    """

    forward_kernel = backward_kernel = "dropout"  # the function is linear: what multiplies x multiplies dy


class AlphaDropout(_OfRate):
    """y = a * x + b, or b - a * alpha with probability `rate`, while a net is trained (Klambauer et al. 2017).

    alpha = 1.758... is what `SELU` goes to for small x, a = 1 / sqrt((1 - rate) * (1 + rate * alpha^2)) and
    b = a * alpha * rate: numbers of mean 0 and variance 1, as behind `SELU`, keep both. As in PyTorch; Keras's has the
    same formula. A prediction is computed without it, and what is drawn follows from the seed, as for `Dropout`.

    Parameters
    ----------
    rate : float
        At least 0 and below 1. It may be set at any time.

    Examples
    --------
    >>> from fastnn import AlphaDropout, Dense, Model
    >>> net = Model([Dense(64, "selu"), AlphaDropout(0.1), Dense(10, "softmax")], seed=0)
    """

    forward_kernel, backward_kernel = "alpha_dropout_forward", "alpha_dropout_backward"


class GaussianDropout(_OfRate):
    """y = x * (1 + sqrt(rate / (1 - rate)) * z), z normal, while a net is trained (Srivastava et al. 2014, section 10).

    The factor has the mean and the variance of that of `Dropout`; the formula is Keras's. A prediction is computed
    without it. What is drawn follows from the seed, as for `Dropout`: Box & Muller's normal numbers (1958) of 55 bits,
    the same in both dtypes, none of them beyond 6.66.

    Parameters
    ----------
    rate : float
        At least 0 and below 1. It may be set at any time.

    Examples
    --------
    >>> from fastnn import Dense, GaussianDropout, Model
    >>> net = Model([Dense(64, "relu"), GaussianDropout(0.2), Dense(10, "softmax")], seed=0)
    """

    forward_kernel = backward_kernel = "gaussian_dropout"


class GaussianNoise(Drawing):
    """y = x + stddev * z, z normal with mean 0 and variance 1, while a net is trained (Keras's formula).

    A prediction is computed without it. What is drawn follows from the seed, as for `GaussianDropout`.

    Parameters
    ----------
    stddev : float
        At least 0, in units of x. It may be set at any time.

    Examples
    --------
    >>> from fastnn import Dense, GaussianNoise, Model
    >>> net = Model([GaussianNoise(0.1), Dense(64, "relu"), Dense(1)], seed=0)
    """

    amount = "stddev"
    forward_kernel, backward_kernel = "gaussian_noise", None
    stddev: Any = Number()

    def __init__(self, stddev: float) -> None:
        self.stddev = stddev


def _draw(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    return rng.integers(0, 2**53, shape).astype(np.float64)

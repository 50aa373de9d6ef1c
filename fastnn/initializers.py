"""How weights begin: functions of (shape, rng) that return an array, found by name.

For a dense layer the shape is (n_in, n_out). The variances are those of the papers that the names stand for: with
them, signals neither die out nor explode on their way through many layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import lookup

if TYPE_CHECKING:  # numpy.random takes longer to import than all of this package
    from numpy.random import Generator

Initializer = Callable[[tuple[int, ...], "Generator"], NDArray[Any]]


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (n_in, n_out), at least 1 each."""
    return max(1, shape[0]), max(1, shape[-1])


def zeros(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """All zeros: for biases."""
    return np.zeros(shape)


def ones(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """All ones: for scales."""
    return np.ones(shape)


def normal(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Normal distribution with standard deviation 0.05."""
    return rng.normal(0.0, 0.05, shape)


def uniform(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Uniform distribution in [-0.05, 0.05)."""
    return rng.uniform(-0.05, 0.05, shape)


def glorot_normal(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Variance 2 / (n_in + n_out), normal (Glorot & Bengio 2010)."""
    return rng.normal(0.0, np.sqrt(2.0 / sum(_fans(shape))), shape)


def glorot_uniform(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Variance 2 / (n_in + n_out), uniform (Glorot & Bengio 2010)."""
    limit = np.sqrt(6.0 / sum(_fans(shape)))
    return rng.uniform(-limit, limit, shape)


def he_normal(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Variance 2 / n_in, normal (He et al. 2015): for relu, which halves the variance."""
    return rng.normal(0.0, np.sqrt(2.0 / _fans(shape)[0]), shape)


def he_uniform(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Variance 2 / n_in, uniform (He et al. 2015): for relu, which halves the variance."""
    limit = np.sqrt(6.0 / _fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def lecun_normal(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Variance 1 / n_in, normal (LeCun et al. 1998): for selu."""
    return rng.normal(0.0, np.sqrt(1.0 / _fans(shape)[0]), shape)


def lecun_uniform(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Variance 1 / n_in, uniform (LeCun et al. 1998)."""
    limit = np.sqrt(3.0 / _fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def orthogonal(shape: tuple[int, ...], rng: Generator) -> NDArray[Any]:
    """Orthonormal rows or columns, whichever are fewer (Saxe, McClelland & Ganguli 2014)."""
    n_in, n_out = _fans(shape)
    q, r = np.linalg.qr(rng.normal(size=(max(n_in, n_out), min(n_in, n_out))))
    q *= np.sign(np.diag(r))  # without this the distribution is not uniform over the orthogonal matrices
    return (q if n_in >= n_out else q.T)[: shape[0]].reshape(shape)


BY_NAME: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "normal": normal,
    "uniform": uniform,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "orthogonal": orthogonal,
    "glorot": glorot_uniform,
    "he": he_normal,
    "lecun": lecun_normal,
    "xavier": glorot_uniform,  # PyTorch has these under the first names of the same authors
    "xavier_normal": glorot_normal,
    "xavier_uniform": glorot_uniform,
    "kaiming": he_normal,
    "kaiming_normal": he_normal,
    "kaiming_uniform": he_uniform,
    "random_normal": normal,
    "random_uniform": uniform,
}


def get(initializer: str | Initializer) -> Initializer:
    """Return the initializer of that name, or the function itself."""
    return initializer if callable(initializer) else lookup("initializer", initializer, BY_NAME)

"""How weights begin: functions of (shape, rng) that return an array, found by name, some with settings.

For a dense layer the shape is (n_in, n_out): column j of w holds what comes into unit j, where PyTorch has a row. The
variances are those of the papers that the names stand for: with them, signals neither die out nor explode on their way
through many layers. ``orthogonal(gain=1.4)`` is `orthogonal` with that setting, an initializer as it is itself.
"""

from __future__ import annotations

from math import erf, exp, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.checks import lookup
from fastnn.settable import Initializer, Settable, Shape, any_number, nonlinearities, settable

if TYPE_CHECKING:  # numpy.random takes longer to import than all of this package
    from numpy.random import Generator

_LEAST_SHARE = 0.01  # of the numbers that are drawn for a truncated normal: with fewer kept, it takes too long
_CUT_AT_2 = sqrt(erf(sqrt(2)) - 4 * exp(-2) / sqrt(2 * pi)) / sqrt(erf(sqrt(2)))  # the std that is left: 0.8796


def _fans(shape: Shape) -> tuple[int, int]:
    """Return (n_in, n_out), at least 1 each."""
    return max(1, shape[0]), max(1, shape[-1])


def _fan(shape: Shape, mode: str) -> float:
    n_in, n_out = _fans(shape)
    return n_in if mode == "fan_in" else n_out if mode == "fan_out" else (n_in + n_out) / 2


def _require_matrix(name: str, shape: Shape) -> None:
    if len(shape) != 2:
        raise ValueError(f"{name}: the shape is {shape}, expected two dimensions, (n_in, n_out)")


_GAINS = {"identity": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": sqrt(2), "selu": 3 / 4}  # PyTorch's


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return what weights before an activation are multiplied by, so that it keeps the size of signals.

    These are PyTorch's numbers: 1 for identity (linear) and sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + a²)) for
    leaky_relu with slope a, 3/4 for selu. For other activations it is 1 / √E[f(z)²] with z normal (Kumar 2017), of
    which those of relu and leaky_relu are cases.

    Parameters
    ----------
    nonlinearity : str
        The name of an activation that acts on each number.
    param : float or None
        Its constant, such as the slope of leaky_relu. None is its default: 0.01 there.

    Examples
    --------
    >>> from fastnn.initializers import calculate_gain
    >>> calculate_gain("leaky_relu", 0.2), calculate_gain("gelu")
    (1.3867..., 1.5335...)
    """
    name = lookup("calculate_gain: nonlinearity", nonlinearity, nonlinearities())
    row = kernels.float64.activations[name]
    if param is not None and not row.constants:
        raise ValueError(f"calculate_gain: param is {param!r}, but {name} has no constant")
    constants = () if param is None else (any_number("calculate_gain: param", param),)
    if name == "leaky_relu":
        slope = constants[0] if constants else 0.01
        if abs(slope) < 1e100:
            return sqrt(2 / (1 + slope**2))
    if name in _GAINS:
        return _GAINS[name]
    z = np.linspace(-12, 12, 24001)[None]
    y = np.empty_like(z)
    density, power = np.exp(-(z**2) / 2), 0.0
    try:
        getattr(kernels.float64, f"{name}_forward")(z, y, *constants)
        with np.errstate(all="ignore"):
            power = float((y**2 * density).sum())
    except ValueError:  # of a constant out of bounds
        pass
    if not 0 < power < float("inf"):
        raise ValueError(f"calculate_gain: param is {param!r}, with which {name} has no gain")
    return sqrt(float(density.sum() / power))


@settable
def zeros(shape: Shape, rng: Generator) -> NDArray[Any]:
    """All zeros, w = 0: for biases.

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(8, bias_initializer="zeros")
    Dense(8)
    """
    return np.zeros(shape)


@settable
def ones(shape: Shape, rng: Generator) -> NDArray[Any]:
    """All ones, w = 1: for scales.

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(8, bias_initializer="ones")
    Dense(8, bias_initializer='ones')
    """
    return np.ones(shape)


@settable
def signs(shape: Shape, rng: Generator) -> NDArray[Any]:
    """One or minus one, w = ± 1, each as likely: what tells members of a `BatchEnsemble` apart (Wen et al. 2020).

    Examples
    --------
    >>> from fastnn import BatchEnsemble
    >>> layer = BatchEnsemble(64, 8, r_initializer="signs")
    """
    return rng.choice((-1.0, 1.0), shape)


@settable
def constant(shape: Shape, rng: Generator, *, value: float = 0.0) -> NDArray[Any]:
    """One number everywhere, w = value.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> Dense(8, bias_initializer=initializers.constant(0.1))
    Dense(8, bias_initializer=initializers.constant(value=0.1))
    """
    return np.full(shape, value)


@settable
def normal(shape: Shape, rng: Generator, *, mean: float = 0.0, std: float = 0.05) -> NDArray[Any]:
    """Normal distribution. Its defaults are Keras's; PyTorch's ``normal_`` has a std of 1.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> Dense(8, weight_initializer=initializers.normal(std=0.1))
    Dense(8, weight_initializer=initializers.normal(std=0.1))
    """
    return rng.normal(mean, std, shape)


@settable
def uniform(shape: Shape, rng: Generator, *, low: float = -0.05, high: float = 0.05) -> NDArray[Any]:
    """Uniform distribution in [low, high). Its defaults are Keras's; PyTorch's ``uniform_`` goes from 0 to 1.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> Dense(8, weight_initializer=initializers.uniform(-0.1, 0.1))
    Dense(8, weight_initializer=initializers.uniform(low=-0.1, high=0.1))
    """
    if low > high:
        raise ValueError(f"uniform: low is {low:g} and high {high:g}, expected low <= high")
    return rng.uniform(low, high, shape)


@settable
def truncated_normal(
    shape: Shape, rng: Generator, *, mean: float = 0.0, std: float = 0.05, low: float | None = None,
    high: float | None = None,
) -> NDArray[Any]:  # fmt: skip
    """Normal distribution within [low, high], by default mean ± 2 std; numbers beyond are drawn again.

    `std` is that of the normal distribution before it is cut, as in Keras's ``TruncatedNormal`` and PyTorch's
    ``trunc_normal_`` (whose defaults are std=1, a=-2, b=2): what is left between ± 2 std has 0.88 of it, which
    `variance_scaling` makes up for.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> layer = Dense(8, weight_initializer=initializers.truncated_normal(std=0.02, low=-0.04, high=0.04))
    """
    if std == 0:
        raise ValueError("truncated_normal: std is 0, expected a number > 0")
    begin = -2.0 if low is None else (low - mean) / std
    end = 2.0 if high is None else (high - mean) / std
    if not begin < end:
        raise ValueError(f"truncated_normal: low is {low} and high {high} for mean {mean:g}, expected low < high")
    return mean + std * _cut_normal(shape, rng, begin, end)


def _cut_normal(shape: Shape, rng: Generator, low: float, high: float) -> NDArray[Any]:
    """Return numbers of the standard normal distribution that lie in [low, high].

    They are normal or, where that keeps more, uniform ones of which those are kept that it would be.
    """
    mass = (erf(high / sqrt(2)) - erf(low / sqrt(2))) / 2
    nearest = max(low, -high, 0.0)  # to 0
    of_uniform = mass * sqrt(2 * pi) * exp(min(nearest**2 / 2, 700.0)) / (high - low)
    if max(mass, of_uniform) < _LEAST_SHARE:
        raise ValueError(
            f"truncated_normal: low and high are {low:g} and {high:g} std from the mean, where nearly nothing of the "
            "distribution lies, expected bounds that hold some of it"
        )
    kept, wanted = np.empty(0), int(np.prod(shape))
    while kept.size < wanted:
        n = 64 + int(1.2 * (wanted - kept.size) / max(mass, of_uniform))
        if mass >= of_uniform:
            x = rng.normal(size=n)
            x = x[(x >= low) & (x <= high)]
        else:
            x = rng.uniform(low, high, n)
            x = x[rng.uniform(size=n) <= np.exp((nearest**2 - x**2) / 2)]
        kept = np.concatenate([kept, x])
    return kept[:wanted].reshape(shape)


@settable
def variance_scaling(
    shape: Shape, rng: Generator, *, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> NDArray[Any]:
    """Variance scale / n, where n is n_in ("fan_in"), n_out ("fan_out") or the mean of both ("fan_avg"): Keras's.

    The distribution is "truncated_normal" (within two std, wider by 1 / 0.88, so that the variance is right),
    "untruncated_normal" or "uniform".

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> layer = Dense(8, weight_initializer=initializers.variance_scaling(2.0, "fan_out"))
    """
    std = sqrt(scale / _fan(shape, mode))
    if distribution == "uniform":
        return rng.uniform(-sqrt(3) * std, sqrt(3) * std, shape)
    if distribution == "untruncated_normal":
        return rng.normal(0.0, std, shape)
    return std / _CUT_AT_2 * _cut_normal(shape, rng, -2.0, 2.0)


@settable
def glorot_normal(shape: Shape, rng: Generator, *, gain: float = 1.0) -> NDArray[Any]:
    """Variance gain² · 2 / (n_in + n_out), normal (Glorot & Bengio 2010): PyTorch's ``xavier_normal_``.

    Keras's is a normal distribution of that variance which is cut at two std: `variance_scaling`.

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(8, weight_initializer="glorot_normal")
    Dense(8, weight_initializer='glorot_normal')
    """
    return rng.normal(0.0, abs(gain) * np.sqrt(2.0 / sum(_fans(shape))), shape)


@settable
def glorot_uniform(shape: Shape, rng: Generator, *, gain: float = 1.0) -> NDArray[Any]:
    """Variance gain² · 2 / (n_in + n_out), uniform (Glorot & Bengio 2010): PyTorch's ``xavier_uniform_``.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> gain = initializers.calculate_gain("tanh")
    >>> layer = Dense(8, "tanh", weight_initializer=initializers.glorot_uniform(gain))
    """
    limit = abs(gain) * np.sqrt(6.0 / sum(_fans(shape)))
    return rng.uniform(-limit, limit, shape)


def _variance_of_he(name: str, shape: Shape, a: float, mode: str, nonlinearity: str, gain: float | None) -> float:
    fan = _fan(shape, mode)
    if nonlinearity != "leaky_relu" and a != 0:
        raise ValueError(f"{name}: a is {a:g}, the slope of leaky_relu, but nonlinearity is {nonlinearity!r}")
    if gain is None:
        return 2.0 / (1 + a * a) / fan if nonlinearity == "leaky_relu" else calculate_gain(nonlinearity) ** 2 / fan
    if a != 0 or nonlinearity != "leaky_relu":
        raise ValueError(f"{name}: gain is given, and a or nonlinearity, which decide it: expected one of the two")
    return gain**2 / fan


@settable
def he_normal(
    shape: Shape, rng: Generator, *, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    gain: float | None = None,
) -> NDArray[Any]:  # fmt: skip
    """Variance gain² / n, normal (He et al. 2015), by default 2 / n_in, for relu, which halves the variance.

    The gain is that of `nonlinearity` (`calculate_gain`): √(2 / (1 + a²)) for a leaky_relu with slope a, of which relu
    is that with a = 0; or it is given. n is n_in, or n_out for the mode "fan_out", which keeps the variance of
    gradients. This is PyTorch's ``kaiming_normal_``; Keras's is cut at two std: `variance_scaling`.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> layer = Dense(8, "gelu", weight_initializer=initializers.he_normal(mode="fan_out", nonlinearity="gelu"))
    """
    return rng.normal(0.0, np.sqrt(_variance_of_he("he_normal", shape, a, mode, nonlinearity, gain)), shape)


@settable
def he_uniform(
    shape: Shape, rng: Generator, *, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    gain: float | None = None,
) -> NDArray[Any]:  # fmt: skip
    """Variance gain² / n, uniform (He et al. 2015), by default 2 / n_in: settings as of `he_normal`.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> layer = Dense(8, "leaky_relu", weight_initializer=initializers.he_uniform(0.01))
    """
    limit = np.sqrt(3.0 * _variance_of_he("he_uniform", shape, a, mode, nonlinearity, gain))
    return rng.uniform(-limit, limit, shape)


@settable
def lecun_normal(shape: Shape, rng: Generator) -> NDArray[Any]:
    """Variance 1 / n_in, normal (LeCun et al. 1998): for selu. Keras's is cut at two std: `variance_scaling`.

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(8, weight_initializer="lecun_normal")
    Dense(8, weight_initializer='lecun_normal')
    """
    return rng.normal(0.0, np.sqrt(1.0 / _fans(shape)[0]), shape)


@settable
def lecun_uniform(shape: Shape, rng: Generator) -> NDArray[Any]:
    """Variance 1 / n_in, uniform (LeCun et al. 1998).

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(8, weight_initializer="lecun_uniform")
    Dense(8, weight_initializer='lecun_uniform')
    """
    limit = np.sqrt(3.0 / _fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


@settable
def torch(shape: Shape, rng: Generator, *, fan_in: int | None = None) -> NDArray[Any]:
    """Uniform within ± 1 / √n_in: how PyTorch's ``Linear`` begins, weights and biases (He et al. 2015, a = √5).

    As the `bias_initializer` of a `Dense` it takes the n_in of the layer; elsewhere `fan_in` may say it.

    Examples
    --------
    >>> from fastnn import Dense
    >>> layer = Dense(8, weight_initializer="torch", bias_initializer="torch")
    """
    limit = 1 / sqrt(fan_in or _fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


@settable
def orthogonal(shape: Shape, rng: Generator, *, gain: float = 1.0) -> NDArray[Any]:
    """Gain times orthonormal rows or columns, whichever are fewer (Saxe, McClelland & Ganguli 2014).

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> layer = Dense(8, "relu", weight_initializer=initializers.orthogonal(2**0.5))
    """
    _require_matrix("orthogonal", shape)
    n_in, n_out = _fans(shape)
    q, r = np.linalg.qr(rng.normal(size=(max(n_in, n_out), min(n_in, n_out))))
    q *= np.sign(np.diag(r))  # without this the distribution is not uniform over the orthogonal matrices
    return gain * (q if n_in >= n_out else q.T)[: shape[0]].reshape(shape)


@settable
def identity(shape: Shape, rng: Generator, *, gain: float = 1.0) -> NDArray[Any]:
    """Passes x on: w = gain · I, with zeros beside it where n_in ≠ n_out (PyTorch's ``eye_``, Keras's ``Identity``).

    ``dirac_`` is for convolutions, of which this is the case of a dense layer.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> layer = Dense(8, weight_initializer=initializers.identity(gain=0.9))
    """
    _require_matrix("identity", shape)
    return gain * np.eye(shape[0], shape[1])


@settable
def sparse(shape: Shape, rng: Generator, *, sparsity: float = 0.9, std: float = 0.01) -> NDArray[Any]:
    """Normal distribution, with ⌈sparsity · n_in⌉ zeros in each column, at random places (Martens 2010).

    So each unit sees equally few inputs, as in the paper. PyTorch's ``sparse_`` puts its zeros into each column of the
    transposed matrix: there each input is seen by equally few units. PyTorch has no default sparsity.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> layer = Dense(8, weight_initializer=initializers.sparse(sparsity=0.8, std=0.1))
    """
    _require_matrix("sparse", shape)
    w = rng.normal(0.0, std, shape)
    n_zeros = int(np.ceil(sparsity * shape[0]))
    order = rng.permuted(np.broadcast_to(np.arange(shape[0])[:, None], shape), axis=0)
    np.put_along_axis(w, order[:n_zeros], 0.0, axis=0)
    return w


BY_NAME: dict[str, Settable] = {
    "zeros": zeros,
    "ones": ones,
    "signs": signs,
    "constant": constant,
    "normal": normal,
    "uniform": uniform,
    "truncated_normal": truncated_normal,
    "variance_scaling": variance_scaling,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "torch": torch,
    "orthogonal": orthogonal,
    "identity": identity,
    "sparse": sparse,
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
    "trunc_normal": truncated_normal,
    "eye": identity,
    "pytorch": torch,
}


def get(initializer: str | Initializer, where: str = "initializer") -> Initializer:
    """Return the initializer of that name, or the function itself; errors say where it was given."""
    if isinstance(initializer, str) and initializer.strip("_").lower() == "dirac":
        raise ValueError(f"{where} 'dirac' is for convolutions: that of a dense layer is 'identity'")
    return initializer if callable(initializer) else lookup(where, initializer, BY_NAME)


def of_biases(initializer: Initializer, n_in: int) -> Initializer:
    """Return an initializer for the biases of a layer of so many inputs, where it depends on these."""
    return torch(fan_in=n_in) if initializer is torch else initializer

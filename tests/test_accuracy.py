"""The elementary functions are within 2 units in the last place, or as many as `FUNCTIONS` says.

float32 is compared with float64 on a sample of all 2^32 bit patterns (with ``--exhaustive``, on all of them), float64
with mpmath on 2,000 random points (on a million).
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from cases import DTYPES, SELU_SLOPE, kernel, unset

MAX_SUBNORMALS = 2  # units of the smallest subnormal number, where the result is one
PRECISION = 160  # bits
CHUNK = 1 << 16  # numbers, which stay in a cache
STRIDE = 1031  # a prime, so that the sample meets every pattern of low bits

FAR = 1000.0  # exp(-FAR) is 0: where x is bounded by it, functions reach their limits at infinity, and not 0 * inf

# Where the implementations or the functions change: overflow, underflow, saturation, a change of formula.
CRITICAL = (
    0.0, 1e-45, 1.1754944e-38, 1e-8, 1e-4, 2**-12, 0.25, 1 / 3, 0.3465736, 2**0.5 - 1, 0.5, 0.5493061, 0.625, 2 / 3,
    2**-0.5, 0.84375, 1.0, 1.25, 4 / 3, 2**0.5, 2.0, 2.857143, 4.0, 6.0, 8.0, 9.010913, 10.0, 16.6355, 17.32868,
    20.0, 36.7368, 40.0, 87.3365, 88.02969, 88.72284, 91.87, 103.27893, 103.97208, 108.6, 110.0,
    714.9, 745.1, 751.7, 753.0, 3000.0, 1.6e6, 3.4028235e38,
)  # fmt: skip


def erf(x: np.ndarray) -> np.ndarray:
    """The error function in float64: its series for small x, else Python's own, which is slow, where it is not 1."""
    y = 2 / math.sqrt(math.pi) * (x - x * (x * x) / 3)
    y[np.abs(x) >= 6] = np.sign(x[np.abs(x) >= 6])
    middle = (np.abs(x) > 2**-10) & (np.abs(x) < 6)
    y[middle] = list(map(math.erf, x[middle].tolist()))
    return y


class Function(NamedTuple):
    """What a kernel computes on float64, the same in mpmath with the interval of the points for float64, the bound."""

    of_float64: Callable[[np.ndarray], np.ndarray]
    of_mpmath: Callable[[mpmath.mpf], mpmath.mpf]
    low: float
    high: float
    max_ulp: float = 2


def x_minus_tanh(x: np.ndarray) -> np.ndarray:
    """X - tanh(x) in float64: its series for small x, where the difference would cancel."""
    z, series = np.square(np.clip(x, -1, 1)), np.zeros(x.shape)
    for factor in reversed((1 / 3, -2 / 15, 17 / 315, -62 / 2835, 1382 / 155925, -21844 / 6081075)):
        series = factor + z * series
    return np.where(np.abs(x) < 0.1, x * z * series, x - np.tanh(x))


def exact_x_minus_tanh(x: mpmath.mpf) -> mpmath.mpf:
    """X - tanh(x), for small x by two terms of its series."""
    return x - mpmath.tanh(x) if abs(x) > 1e-9 else x**3 / 3 * (1 - 2 * x**2 / 5)


FUNCTIONS = {
    "exp": Function(np.exp, mpmath.exp, -745, 709.7827128933841),
    "expm1": Function(np.expm1, mpmath.expm1, -40, 709.7827128933841),
    "log": Function(np.log, mpmath.log, 0, 1e3),
    "log1p": Function(np.log1p, mpmath.log1p, -1, 1e3),
    "erf": Function(erf, mpmath.erf, -6, 6),
    "sin": Function(np.sin, mpmath.sin, -1e300, 1e300),
    "cos": Function(np.cos, mpmath.cos, -1e300, 1e300),
    "tanh_forward": Function(np.tanh, mpmath.tanh, -20, 20),
    "sigmoid_forward": Function(lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + mpmath.exp(-x)), -745, 40),
    "softplus_forward": Function(lambda x: np.logaddexp(0, x), lambda x: mpmath.log1p(mpmath.exp(x)), -745, 1e3),
    "log_sigmoid_forward": Function(lambda x: -np.logaddexp(0, -x), lambda x: -mpmath.log1p(mpmath.exp(-x)), -1e3, 745),
    "exponential_forward": Function(np.exp, mpmath.exp, -745, 709.7827128933841),
    "tanh_shrink_forward": Function(x_minus_tanh, exact_x_minus_tanh, -20, 20, 6),
    "softsign_forward": Function(lambda x: x / (1 + np.abs(x)), lambda x: x / (1 + abs(x)), -1e3, 1e3),
    "squareplus_forward": Function(
        lambda x: np.where(x > 0, x + np.hypot(x, 2), 4 / (np.hypot(x, 2) - x)) / 2,
        lambda x: (x + mpmath.sqrt(x * x + 4)) / 2,
        -1e3,
        1e3,
        3,
    ),
    "sine_forward": Function(np.sin, mpmath.sin, -1e300, 1e300),
    "snake_forward": Function(lambda x: x + np.square(np.sin(x)), lambda x: x + mpmath.sin(x) ** 2, -1e300, 1e300, 4),
    "lisht_forward": Function(lambda x: x * np.tanh(x), lambda x: x * mpmath.tanh(x), -20, 20, 3),
    "quick_gelu_forward": Function(
        lambda x: np.maximum(x, -FAR) / (1 + np.exp(-1.702 * x)),
        lambda x: x / (1 + mpmath.exp(-mpmath.mpf(1.702) * x)),
        -440,
        100,
        4,
    ),
    "silu_forward": Function(
        lambda x: np.maximum(x, -FAR) / (1 + np.exp(-x)), lambda x: x / (1 + mpmath.exp(-x)), -754, 100, 3
    ),
    "mish_forward": Function(
        lambda x: np.maximum(x, -FAR) * np.tanh(np.logaddexp(0, x)),
        lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
        -754,
        100,
        4,
    ),
}
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def computed(name: str, x: np.ndarray, *parameters: float) -> np.ndarray:
    y = unset(x.shape, x.dtype.type)
    kernel(name, x.dtype.type)(x[None], y[None], *parameters)
    return y


def patterns(exhaustive: bool) -> Iterator[np.ndarray]:
    """float32 numbers in chunks: all, or a sample and the 2,000 numbers around each critical one."""
    step = 1 if exhaustive else STRIDE
    for start in range(0, 1 << 32, CHUNK * step):
        yield np.arange(start, min(start + CHUNK * step, 1 << 32), step, dtype=np.uint32).view(np.float32)
    if exhaustive:
        return
    bits = np.array(CRITICAL, np.float32).view(np.uint32).astype(np.int64)[:, None] + np.arange(-1000, 1000)
    near = bits[bits >= 0].astype(np.uint32).view(np.float32)
    yield np.concatenate([near, -near])


def assert_ulps(name: str, x: np.ndarray, exact: np.ndarray, errors: np.ndarray, got: np.ndarray) -> None:
    subnormal = np.abs(exact) < np.finfo(x.dtype).smallest_normal
    excess = errors / np.where(subnormal, MAX_SUBNORMALS, FUNCTIONS[name].max_ulp)
    worst = int(np.argmax(excess))
    assert excess[worst] <= 1, f"{name}({x[worst]!r}) = {got[worst]!r}, {errors[worst]:.2f} ULP off"


def bounded(y: np.ndarray) -> np.ndarray:
    """Infinity stands for 2^128, the number after the largest of float32."""
    return np.clip(y, -(2.0**128), 2.0**128)


@each_function
def test_float32(name, exhaustive):
    with np.errstate(all="ignore"):
        for x in patterns(exhaustive):
            exact = FUNCTIONS[name].of_float64(x.astype(np.float64))
            got = computed(name, x)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
            spacing = np.spacing(np.minimum(np.abs(exact), np.finfo(np.float32).max).astype(np.float32))
            errors = np.abs(bounded(got.astype(np.float64)) - bounded(exact))
            assert_ulps(name, x, exact, np.nan_to_num(errors / spacing), got)


def points(low: float, high: float, n: int) -> np.ndarray:
    """Random numbers between low and high, half of them of random magnitude, and the critical ones of float32."""
    rng = np.random.default_rng(0)
    magnitudes = 2.0 ** rng.uniform(-60, math.log2(max(-low, high)), n - n // 2)
    signed = magnitudes * rng.choice([-1, 1], magnitudes.size)
    x = np.concatenate([rng.uniform(low, high, n // 2), signed, CRITICAL, np.negative(CRITICAL)])
    return x[(x > low) & (x < high)]


def nearest_and_rest(exact: list[mpmath.mpf]) -> tuple[np.ndarray, np.ndarray]:
    """The float64 numbers nearest to exact ones, and what is missing."""
    return np.array([float(number) for number in exact]), np.array([float(number - float(number)) for number in exact])


@each_function
def test_float64(name, exhaustive):
    function = FUNCTIONS[name]
    x = points(function.low, function.high, 1_000_000 if exhaustive else 2_000)
    with mpmath.workprec(PRECISION + (1024 if name in ("sin", "cos") else 0)):  # of large angles little is left
        exact = [function.of_mpmath(mpmath.mpf(number)) for number in x.tolist()]
        nearest, rest = nearest_and_rest(exact)
    got = computed(name, x)
    assert_ulps(name, x, nearest, np.abs((got - nearest) - rest) / np.spacing(np.abs(nearest)), got)


@each_dtype
@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("exp", [0.0, -0.0, np.inf, -np.inf, 1e4, -1e4], [1, 1, np.inf, 0, np.inf, 0]),
        ("expm1", [0.0, -0.0, np.inf, -np.inf, 1e4, -1e4], [0, -0.0, np.inf, -1, np.inf, -1]),
        ("log", [1.0, 0.0, -0.0, np.inf, -1.0, -np.inf], [0, -np.inf, -np.inf, np.inf, np.nan, np.nan]),
        ("log1p", [0.0, -0.0, -1.0, np.inf, -2.0, -np.inf], [0, -0.0, -np.inf, np.inf, np.nan, np.nan]),
        ("erf", [0.0, -0.0, np.inf, -np.inf, 40.0, -40.0], [0, -0.0, 1, -1, 1, -1]),
        ("tanh_forward", [0.0, -0.0, np.inf, -np.inf, 400.0, -400.0], [0, -0.0, 1, -1, 1, -1]),
        ("sigmoid_forward", [0.0, -0.0, np.inf, -np.inf, 400.0, -1e4], [0.5, 0.5, 1, 0, 1, 0]),
        ("softplus_forward", [np.inf, -np.inf, 400.0, -1e4], [np.inf, 0, 400, 0]),
        ("sin", [0.0, -0.0, np.inf, -np.inf], [0, -0.0, np.nan, np.nan]),
        ("cos", [0.0, -0.0, np.inf, -np.inf], [1, 1, np.nan, np.nan]),
        ("log_sigmoid_forward", [np.inf, -np.inf, -400.0, 1e4], [-0.0, -np.inf, -400, -0.0]),
        ("exponential_forward", [0.0, -0.0, np.inf, -np.inf, 1e4, -1e4], [1, 1, np.inf, 0, np.inf, 0]),
        ("tanh_shrink_forward", [0.0, -0.0, np.inf, -np.inf, 400.0, -400.0], [0, -0.0, np.inf, -np.inf, 399, -399]),
        ("softsign_forward", [0.0, -0.0, np.inf, -np.inf], [0, -0.0, np.nan, np.nan]),
        ("silu_forward", [0.0, -0.0, np.inf, -np.inf, 400.0, -1e4], [0, -0.0, np.inf, -0.0, 400, -0.0]),
        ("mish_forward", [0.0, -0.0, np.inf, -np.inf, 400.0, -1e4], [0, -0.0, np.inf, -0.0, 400, -0.0]),
    ],
    ids=str,
)
def test_exact_values(name, x, y, dtype):
    got = computed(name, np.array([*x, np.nan], dtype))
    expected = np.array([*y, np.nan], dtype)
    np.testing.assert_array_equal(got, expected)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


# Derivatives


def silu_terms(x, exp):
    """The two terms of the derivative of x s, s = sigmoid(x): s and x s (1 - s)."""
    s = 1 / (1 + exp(-x))
    return s, x * s * s * exp(-x)


def mish_terms(x, exp):
    """The two terms of the derivative of x t, t = tanh(softplus(x)): t and x (1 - t^2) sigmoid(x)."""
    n = exp(x)
    q = n * (n + 2)
    return q / (q + 2), 4 * x * n * (n + 1) / (q + 2) ** 2


# The derivative has a zero, near which the terms cancel: the error is relative to the sum of their magnitudes.
DERIVATIVES = {"silu_backward": (silu_terms, 2), "mish_backward": (mish_terms, 4)}  # bounds in epsilons
SATURATED = 300  # there the derivatives are 0 and 1 in float32, and e^(2 x) is a number of float64
each_derivative = pytest.mark.parametrize("name", DERIVATIVES)


def derivative(name: str, x: np.ndarray, *parameters: float) -> np.ndarray:
    dx = unset(x.shape, x.dtype.type)
    kernel(name, x.dtype.type)(x[None], np.ones_like(x)[None], dx[None], *parameters)
    return dx


def assert_epsilons(name: str, x: np.ndarray, errors: np.ndarray, scale: np.ndarray) -> None:
    limits = np.finfo(x.dtype)
    bound = DERIVATIVES[name][1] * float(limits.eps) * scale + MAX_SUBNORMALS * float(limits.smallest_subnormal)
    worst = int(np.argmax(errors / bound))
    assert errors[worst] <= bound[worst], f"{name} at {x[worst]!r} is off by {errors[worst]:.3g}"


@each_derivative
def test_derivative_float32(name, exhaustive):
    with np.errstate(all="ignore"):
        for x in patterns(exhaustive):
            got = derivative(name, x)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(x))
            first, second = DERIVATIVES[name][0](np.clip(x.astype(np.float64), -SATURATED, SATURATED), np.exp)
            errors = np.nan_to_num(np.abs(got - (first + second)))
            assert_epsilons(name, x, errors, np.nan_to_num(np.abs(first) + np.abs(second)))


@each_derivative
def test_derivative_float64(name, exhaustive):
    x = points(-754, 100, 100_000 if exhaustive else 2_000)
    with mpmath.workprec(PRECISION):
        terms = [DERIVATIVES[name][0](mpmath.mpf(number), mpmath.exp) for number in x.tolist()]
        nearest, rest = nearest_and_rest([first + second for first, second in terms])
        scale = np.array([float(abs(first) + abs(second)) for first, second in terms])
    assert_epsilons(name, x, np.abs((derivative(name, x) - nearest) - rest), scale)


# The derivative of ELU and SELU for x < 0 is y + alpha. It has the rounding error of y, near -alpha: an absolute one.
FROM_Y_EPSILONS = 1  # times alpha
FROM_Y_EPSILONS_OF_ONE = 0.5  # where neither alpha nor the product with it is rounded
LOWEST = -104  # e^-104 rounds to 0 in float32


@each_dtype
@pytest.mark.parametrize(
    ("name", "alpha", "parameters", "bound"),
    [
        ("elu", 1.0, (1.0,), FROM_Y_EPSILONS_OF_ONE),
        ("elu", 1.5, (1.5,), FROM_Y_EPSILONS),
        ("elu", 0.3, (0.3,), FROM_Y_EPSILONS),
        ("selu", SELU_SLOPE, (), FROM_Y_EPSILONS),
    ],
)
def test_derivative_from_y_has_an_absolute_bound(name, alpha, parameters, bound, dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate([np.linspace(LOWEST, -1e-3, 2_000), -(2.0 ** rng.uniform(-20, 5, 2_000))]).astype(dtype)
    y = computed(f"{name}_forward", x, *parameters)
    got = derivative(f"{name}_backward", y, *parameters)
    with mpmath.workprec(PRECISION):
        nearest, rest = nearest_and_rest([alpha * mpmath.exp(number) for number in x.tolist()])
    errors = np.abs((got - nearest) - rest) / (float(np.finfo(dtype).eps) * alpha)
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound, f"{name} at {x[worst]!r} is off by {errors[worst]:.3f} eps alpha"

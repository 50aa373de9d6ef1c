"""The elementary functions are within 2 units in the last place.

float32 is compared with float64 on a sample of all 2^32 bit patterns (with ``--exhaustive``, on all of them), float64
with mpmath on 2,000 random points (on a million).
"""

import math
from collections.abc import Callable, Iterator

import mpmath
import numpy as np
import pytest
from cases import kernel, unset

MAX_ULP = 2
CHUNK = 1 << 21
STRIDE = 1031  # a prime, so that the sample meets every pattern of low bits

# Where the implementations or the functions change: overflow, underflow, saturation, a change of formula.
CRITICAL = (
    0.0, 1e-45, 1.1754944e-38, 1e-8, 1e-4, 2**-12, 0.25, 1 / 3, 0.3465736, 2**0.5 - 1, 0.5, 0.5493061, 0.625, 2 / 3,
    2**-0.5, 0.84375, 1.0, 1.25, 4 / 3, 2**0.5, 2.0, 2.857143, 4.0, 6.0, 8.0, 9.010913, 10.0, 16.6355, 17.32868,
    36.7368, 87.3365, 88.02969, 88.72284, 103.27893, 103.97208, 3.4028235e38,
)  # fmt: skip


def erf(x: np.ndarray) -> np.ndarray:
    """The error function in float64: its series for small x, else Python's own, which is slow, where it is not 1."""
    y = 2 / math.sqrt(math.pi) * (x - x * (x * x) / 3)
    y[np.abs(x) >= 6] = np.sign(x[np.abs(x) >= 6])
    middle = (np.abs(x) > 2**-10) & (np.abs(x) < 6)
    y[middle] = list(map(math.erf, x[middle].tolist()))
    return y


# The kernel, what it computes on float64, and the same in mpmath with the interval of the points for float64.
FUNCTIONS: dict[str, tuple[Callable, Callable, float, float]] = {
    "exp": (np.exp, mpmath.exp, -745, 709.7827128933841),
    "expm1": (np.expm1, mpmath.expm1, -40, 709.7827128933841),
    "log": (np.log, mpmath.log, 0, 1e3),
    "log1p": (np.log1p, mpmath.log1p, -1, 1e3),
    "erf": (erf, mpmath.erf, -6, 6),
    "tanh_forward": (np.tanh, mpmath.tanh, -20, 20),
    "sigmoid_forward": (lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + mpmath.exp(-x)), -745, 40),
    "softplus_forward": (lambda x: np.logaddexp(0, x), lambda x: mpmath.log1p(mpmath.exp(x)), -745, 1e3),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def computed(name: str, x: np.ndarray) -> np.ndarray:
    y = unset(x.shape, x.dtype.type)
    kernel(name, x.dtype.type)(x[None], y[None])
    return y


def patterns(exhaustive: bool) -> Iterator[np.ndarray]:
    """float32 numbers in chunks: all, or a sample and the 2,000 numbers around each critical one."""
    if exhaustive:
        for start in range(0, 1 << 32, CHUNK):
            yield np.arange(start, start + CHUNK, dtype=np.uint32).view(np.float32)
        return
    yield np.arange(0, 1 << 32, STRIDE, dtype=np.uint32).view(np.float32)
    bits = np.array(CRITICAL, np.float32).view(np.uint32).astype(np.int64)[:, None] + np.arange(-1000, 1000)
    near = bits[bits >= 0].astype(np.uint32).view(np.float32)
    yield np.concatenate([near, -near])


def assert_ulps(name: str, x: np.ndarray, errors: np.ndarray, got: np.ndarray) -> None:
    worst = int(np.argmax(errors))
    assert errors[worst] <= MAX_ULP, f"{name}({x[worst]!r}) = {got[worst]!r}, {errors[worst]:.2f} ULP off"


def bounded(y: np.ndarray) -> np.ndarray:
    """Infinity stands for 2^128, the number after the largest of float32."""
    return np.clip(y, -(2.0**128), 2.0**128)


@each_function
def test_float32(name, exhaustive):
    with np.errstate(all="ignore"):
        for x in patterns(exhaustive):
            exact = FUNCTIONS[name][0](x.astype(np.float64))
            got = computed(name, x)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
            spacing = np.spacing(np.minimum(np.abs(exact), np.finfo(np.float32).max).astype(np.float32))
            errors = np.abs(bounded(got.astype(np.float64)) - bounded(exact))
            assert_ulps(name, x, np.nan_to_num(errors / spacing), got)


def points(low: float, high: float, n: int) -> np.ndarray:
    """Random numbers between low and high, half of them of random magnitude, and the critical ones of float32."""
    rng = np.random.default_rng(0)
    magnitudes = 2.0 ** rng.uniform(-60, math.log2(max(-low, high)), n - n // 2)
    signed = magnitudes * rng.choice([-1, 1], magnitudes.size)
    x = np.concatenate([rng.uniform(low, high, n // 2), signed, CRITICAL, np.negative(CRITICAL)])
    return x[(x > low) & (x < high)]


@each_function
def test_float64(name, exhaustive):
    _, function, low, high = FUNCTIONS[name]
    x = points(low, high, 1_000_000 if exhaustive else 2_000)
    with mpmath.workprec(160):
        exact = [function(mpmath.mpf(number)) for number in x.tolist()]
        nearest = np.array([float(number) for number in exact])
        rest = np.array([float(number - float(number)) for number in exact])
    got = computed(name, x)
    assert_ulps(name, x, np.abs((got - nearest) - rest) / np.spacing(np.abs(nearest)), got)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
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
    ],
    ids=FUNCTIONS,
)
def test_exact_values(name, x, y, dtype):
    got = computed(name, np.array([*x, np.nan], dtype))
    expected = np.array([*y, np.nan], dtype)
    np.testing.assert_array_equal(got, expected)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))

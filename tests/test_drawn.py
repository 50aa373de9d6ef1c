"""What is drawn anew for each batch: its distribution, its formula, and that predictions do not have it."""

import numpy as np
import pytest
from cases import kernel
from nets import FEATURES, OUTPUTS, data, each_dtype, same_bits

from fastnn import SGD, AlphaDropout, Dense, Dropout, GaussianDropout, GaussianNoise, Model, reference

X, T = data()
KINDS = {
    "Dropout": lambda: Dropout(0.4),
    "AlphaDropout": lambda: AlphaDropout(0.4),
    "GaussianDropout": lambda: GaussianDropout(0.4),
    "GaussianNoise": lambda: GaussianNoise(0.4),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def normal(rows, n, seed=1.0, count=0.0, dtype="float64"):
    """The numbers themselves: noise of standard deviation 1 around 0."""
    y = np.empty((rows, n), dtype)
    kernel("gaussian_noise", np.dtype(dtype).type)(np.zeros((rows, n), dtype), y, 1.0, seed, count)
    return y


@pytest.mark.parametrize(("seed", "count"), [(1.0, 0.0), (2.0**53 - 1, 12345.0)])
def test_normal_numbers_are_distributed_so(seed, count):
    """Moments within 4.5 standard deviations of what 4 million draws have, quantiles and tails by SciPy's."""
    z = normal(2000, 2000, seed, count)
    n = z.size
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((z**power).mean() - mean) < 4.5 * np.sqrt(variance / n), power
    assert 4.7 < np.abs(z).max() < 6.66
    stats = pytest.importorskip("scipy.stats")
    assert stats.kstest(z.reshape(-1), "norm").pvalue > 1e-4
    assert stats.chisquare(np.histogram(stats.norm.cdf(z), 1000, (0, 1))[0]).pvalue > 1e-4
    for limit in (2.0, 3.0, 4.0, 4.5):
        for tail in (z, -z):
            expected = n * stats.norm.sf(limit)
            assert abs((tail > limit).sum() - expected) < 4.5 * np.sqrt(expected) + 1, limit
    for axis in (0, 1):  # means of rows and columns are those of independent numbers
        assert stats.kstest(z.mean(axis=axis) * np.sqrt(2000), "norm").pvalue > 1e-4


def test_normal_numbers_say_nothing_of_their_neighbours():
    """Nor do their squares, in which radii would show that two share."""
    here = normal(700, 900)
    others = {
        **{f"{d} rows": (here[d:], here[:-d]) for d in (1, 2, 16, 256)},
        **{f"{d} columns": (here[:, d:], here[:, :-d]) for d in (1, 2, 4, 8, 64, 256, 512)},
        "a row and a column": (here[1:, 1:], here[:-1, :-1]),
        **{f"{d} calls": (here, normal(700, 900, count=float(d))) for d in (1, 256, 2**40)},
        **{f"{d} seeds": (here, normal(700, 900, seed=1.0 + d)) for d in (1, 256, 2**40)},
        "itself and its square": (here, here**2 - 1),
    }
    for name, (a, b) in others.items():
        root = np.sqrt(a.size)
        assert abs(np.mean(a * b)) * root < 4.5 * np.sqrt(np.mean(a**2 * b**2)), name
        if name != "itself and its square":
            assert abs(np.mean((a**2 - 1) * (b**2 - 1))) / 2 * root < 4.5, name


def test_both_dtypes_draw_the_same_numbers():
    """To 4 ULP of float32, and to 4 of float64 from the twin."""
    single, double = normal(1000, 1003, dtype="float32"), normal(1000, 1003)
    exact = reference.layers._normal(double, 1.0, 0.0)
    for got, dtype in ((single, np.float32), (double, np.float64)):
        assert np.max(np.abs(got - exact) / np.abs(exact)) <= 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 0.7])
def test_alpha_dropout_keeps_mean_and_variance_behind_selu(rate):
    """The same as before it, to 0.02 and 0.06; of normal numbers 0 and 1, within 4.5 deviations of 2 million."""
    x = np.random.default_rng(0).normal(size=(2000, 300))
    net = Model([Dense(1000, "selu", bias=False), AlphaDropout(rate)], seed=0, dtype="float64")
    behind, before = net.forward(x), net[0].forward(x)
    assert abs(before.mean()) < 0.02
    assert abs(before.var() - 1) < 0.05
    if rate:
        a = 1 / np.sqrt((1 - rate) * (1 + rate * reference.layers.ALPHA**2))
        low = -a * reference.layers.ALPHA * (1 - rate)
        assert abs((behind == behind.min()).mean() - rate) < 4.5 * np.sqrt(rate / x.size)
        np.testing.assert_allclose(behind.min(), low, rtol=1e-14)
    else:
        np.testing.assert_array_equal(behind, before)
    assert abs(behind.mean() - before.mean()) < 0.02
    assert abs(behind.var() - before.var()) < 0.06
    z = normal(2000, 1000, seed=5.0)
    y = np.empty_like(z)
    kernel("alpha_dropout_forward", np.float64)(z, y, rate, 3.0, 4.0)
    assert abs(y.mean()) < 4.5 / np.sqrt(z.size)
    assert abs(y.var() - 1) < 4.5 * np.sqrt(((y**2).var()) / z.size)


@each_dtype
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_gaussian_dropout_has_the_variance_of_dropout(dtype, rate):
    y, ones = np.empty((1000, 1000), dtype), np.ones((1000, 1000), dtype)
    kernel("gaussian_dropout", np.dtype(dtype).type)(ones, y, rate, 3.0, 4.0)
    variance = rate / (1 - rate)
    assert abs(y.mean(dtype=float) - 1) <= 4.5 * np.sqrt(variance / y.size)
    assert abs(y.var(dtype=float) - variance) <= 4.5 * variance * np.sqrt(2 / y.size)


@each_kind
def test_what_is_drawn_vanishes_in_a_prediction(kind):
    layer = KINDS[kind]()
    net = Model([Dense(5), layer, Dense(OUTPUTS)], seed=0, dtype="float64").build(FEATURES)
    expected = (X @ net[0].w + net[0].b) @ net[2].w + net[2].b
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-12)
    np.testing.assert_allclose(net.predict_one(X[0]), expected[0], rtol=1e-12)
    assert np.abs(net.forward(X) - expected).max() > 0.01
    assert len(net._predictors.whole._chain.stages) == 2


@each_kind
def test_numbers_are_others_at_each_batch_and_repeat_with_the_seed(kind):
    def seen(seed):
        net = Model([KINDS[kind](), Dense(OUTPUTS)], seed, "float64").build(FEATURES)
        found = []
        for _ in range(3):
            found.append(net[0].forward(X))
            net.train_batch(X, T, loss="mse", optimizer=SGD(0.0))
        return found

    first, again, other = seen(0), seen(0), seen(1)
    assert all(map(same_bits, first, again))
    assert not any(map(same_bits, first, other))
    assert not any(same_bits(first[i], first[j]) for i, j in ((0, 1), (1, 2), (0, 2)))


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), "a", None])
@each_kind
def test_wrong_amounts_are_refused(kind, wrong):
    cls, name = type(KINDS[kind]()), "stddev" if kind == "GaussianNoise" else "rate"
    for given in (wrong, *([1.0] if name == "rate" else [])):
        with pytest.raises((ValueError, TypeError), match=f"^{kind}: {name} is "):
            cls(given)
    layer = KINDS[kind]()
    with pytest.raises((ValueError, TypeError), match=f"^{kind}: {name} is "):
        setattr(layer, name, wrong)
    assert getattr(layer, name) == 0.4

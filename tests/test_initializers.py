"""How weights begin: variances, bounds and structure, by name and with settings."""

import copy
import math
import pickle

import numpy as np
import pytest

from fastnn import Dense, Model, initializers
from fastnn.initializers import (
    calculate_gain,
    constant,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    identity,
    lecun_normal,
    lecun_uniform,
    normal,
    orthogonal,
    signs,
    sparse,
    torch,
    truncated_normal,
    uniform,
    variance_scaling,
    zeros,
)
from fastnn.layers import activations

SHAPE = n_in, n_out = 300, 500
CUT = 0.87962566103423978  # the std of a standard normal distribution that is cut at ± 2

# Of each: the standard deviation, and the largest number there may be; None where there is no bound
SPREAD = {
    "normal": (normal(), 0.05, None),
    "normal, settings": (normal(0.0, 0.3), 0.3, None),
    "uniform": (uniform(-3, 3), math.sqrt(3), 3),
    "truncated normal": (truncated_normal(std=0.1), 0.1 * CUT, 0.2),
    "truncated normal, far": (truncated_normal(0, 1, 3.0, 3.5), None, 3.5),
    "truncated normal, narrow": (truncated_normal(0, 1, -0.01, 0.01), 0.01 / math.sqrt(3), 0.01),
    "truncated normal, wide": (truncated_normal(0, 1, -9.0, 9.0), 1, None),
    "scaled": (variance_scaling(), math.sqrt(1 / n_in), 2 / CUT * math.sqrt(1 / n_in)),
    "scaled, average": (variance_scaling(3, "fan_avg", "uniform"), math.sqrt(3 / 400), math.sqrt(9 / 400)),
    "scaled, untruncated": (variance_scaling(2, "fan_out", "untruncated_normal"), math.sqrt(2 / n_out), None),
    "glorot normal": (glorot_normal(3.0), 3 * math.sqrt(2 / 800), None),
    "glorot uniform": (glorot_uniform(gain=2.0), 2 * math.sqrt(2 / 800), 2 * math.sqrt(6 / 800)),
    "he normal": (he_normal(), math.sqrt(2 / n_in), None),
    "he normal, out": (he_normal(mode="fan_out"), math.sqrt(2 / n_out), None),
    "he normal, tanh": (he_normal(nonlinearity="tanh"), 5 / 3 / math.sqrt(n_in), None),
    "he uniform, slope": (he_uniform(1.0), math.sqrt(1 / n_in), math.sqrt(3 / n_in)),
    "he uniform, gain": (he_uniform(gain=4.0), 4 / math.sqrt(n_in), 4 * math.sqrt(3 / n_in)),
    "lecun normal": (lecun_normal, math.sqrt(1 / n_in), None),
    "lecun uniform": (lecun_uniform, math.sqrt(1 / n_in), math.sqrt(3 / n_in)),
    "torch": (torch, math.sqrt(1 / 3 / n_in), math.sqrt(1 / n_in)),
}


@pytest.mark.parametrize("name", SPREAD)
def test_numbers_have_the_spread_that_is_meant_and_keep_to_their_bounds(name):
    initializer, std, bound = SPREAD[name]
    w = initializer(SHAPE, np.random.default_rng(0))
    assert w.shape == SHAPE
    if std is not None:  # 150,000 numbers
        np.testing.assert_allclose([w.std(), w.mean() / std], [std, 0], rtol=0.01, atol=0.01)
    if bound is not None:
        assert 0.99 * bound < abs(w).max() <= bound * (1 + 1e-12)


def test_a_normal_distribution_is_cut_where_it_is_to_be():
    rng = np.random.default_rng(1)
    w = truncated_normal(1.0, 2.0, 0.0, 2.0)(SHAPE, rng)
    share = math.erf(0.25 / math.sqrt(2)) / math.erf(0.5 / math.sqrt(2))  # of what lies within ± 0.5 std, within ± 0.25
    np.testing.assert_allclose(np.mean(abs(w - 1) < 0.5), share, atol=0.005)
    assert 0 <= w.min() < 0.001
    assert 1.999 < w.max() <= 2
    w = truncated_normal(0, 1, 3.0, 3.5)(SHAPE, rng)  # drawn in another way
    share = (math.erfc(3 / math.sqrt(2)) - math.erfc(3.25 / math.sqrt(2))) / (
        math.erfc(3 / math.sqrt(2)) - math.erfc(3.5 / math.sqrt(2))
    )
    np.testing.assert_allclose(np.mean(w < 3.25), share, atol=0.005)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40), (1, 5)], ids=str)
def test_structure(shape):
    rng = np.random.default_rng(0)
    w = orthogonal(gain=1.4)(shape, rng) / 1.4
    product = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-12)
    np.testing.assert_array_equal(identity(-0.5)(shape, rng), -0.5 * np.eye(*shape))
    for sparsity in (0.0, 0.1, 0.75, 1.0):
        w = sparse(sparsity, std=0.3)(shape, rng)
        assert {int((column == 0).sum()) for column in w.T} == {math.ceil(sparsity * shape[0])}
        if sparsity == 0.75 and shape[0] > 1:
            assert len({tuple(column == 0) for column in w.T}) > shape[1] // 2  # other places in each column
            np.testing.assert_allclose(w[w != 0].std(), 0.3, rtol=0.2)
    np.testing.assert_array_equal(constant(-1.5)(shape, rng), np.full(shape, -1.5))


def test_signs_are_one_or_minus_one():
    w = signs((50, 40), np.random.default_rng(0))
    assert set(np.unique(w).tolist()) == {-1, 1}
    assert abs(w.mean()) < 0.1


def test_gains():
    """PyTorch's numbers; of others, what keeps the mean square of a normal signal."""
    known = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    for name, gain in known.items():
        assert calculate_gain(name) == gain, name
    assert calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert calculate_gain("leaky_relu", 0.3) == math.sqrt(2 / (1 + 0.3**2))
    z = np.random.default_rng(0).normal(size=(1, 400_000))
    for name in ("gelu", "SiLU", "swish", "elu", "softplus", "mish", "hard_tanh"):
        y = activations.get(name)(z)
        np.testing.assert_allclose(calculate_gain(name) * np.sqrt(np.mean(y**2)), 1, rtol=0.01, err_msg=name)
    assert calculate_gain("elu", 0.1) > calculate_gain("elu")


def built(initializer):
    return Model([Dense(4, weight_initializer=initializer)], seed=0).build(3)


REFUSED = [
    (lambda: orthogonal("2"), TypeError, "orthogonal: gain is '2', expected a number"),
    (lambda: orthogonal(gain=math.nan), ValueError, "orthogonal: gain is nan, expected a finite number"),
    (lambda: orthogonal(1, 2), TypeError, r"orthogonal got 2 settings, expected at most 1 \(gain\); or a shape"),
    (lambda: orthogonal(1.0, gain=2.0), TypeError, "orthogonal: gain is given twice"),
    (lambda: orthogonal(gian=1), TypeError, "orthogonal has no gian: did you mean gain"),
    (lambda: zeros(1), TypeError, "zeros got 1 settings, expected none"),
    (lambda: normal(std=-1), ValueError, "normal: std is -1, expected a finite number >= 0"),
    (lambda: uniform(1, -1), ValueError, "uniform: low is 1 and high -1, expected low <= high"),
    (lambda: truncated_normal(std=0), ValueError, "truncated_normal: std is 0"),
    (lambda: truncated_normal(low=1, high=1), ValueError, "truncated_normal: low is 1.0 and high 1.0 .*, expected low"),
    (lambda: truncated_normal(0, 1, 9, 99), ValueError, "nearly nothing of the distribution"),
    (lambda: sparse(1.5), ValueError, "sparse: sparsity is 1.5, expected a number from 0 to 1"),
    (lambda: variance_scaling(0), ValueError, "variance_scaling: scale is 0, expected a finite number > 0"),
    (lambda: variance_scaling(mode="in"), ValueError, "variance_scaling: mode is 'in', expected one of .*fan_in"),
    (lambda: variance_scaling(distribution="cauchy"), ValueError, "expected one of truncated_normal, uniform, untrun"),
    (lambda: he_normal(nonlinearity="softmax"), ValueError, "he_normal: nonlinearity is 'softmax'"),
    (lambda: he_normal(gain=2, a=0.1), ValueError, "he_normal: gain is given, and a or nonlinearity"),
    (lambda: he_normal(0.1, nonlinearity="tanh"), ValueError, "he_normal: a is 0.1, the slope of leaky_relu, but"),
    (lambda: torch(fan_in=0), ValueError, "torch: fan_in is 0, expected a whole number >= 1"),
    (lambda: calculate_gain("relu", 0.1), ValueError, "calculate_gain: param is 0.1, but relu has no constant"),
    (lambda: calculate_gain("elu", -1), ValueError, "calculate_gain: param is -1, with which elu has no gain"),
    (lambda: calculate_gain("hard_shrink", 50.0), ValueError, "param is 50.0, with which hard_shrink has no gain"),
    (lambda: calculate_gain("threshold", 1e9), ValueError, "with which threshold has no gain"),
    (lambda: calculate_gain("leaky_relu", 1e300), ValueError, "param is 1e.300, with which leaky_relu has no gain"),
    (lambda: built(normal(std=1e300)), ValueError, r"Dense 1 \(4 units\): w begins with numbers that are NaN or too l"),
    (lambda: built(lambda shape, rng: np.full(shape, np.nan)), ValueError, "w begins with numbers that are NaN or"),
    (lambda: built(lambda shape, rng: np.full(shape, "1")), TypeError, "w begins with numbers of dtype <U1, expected"),
    (
        lambda: Model([Dense(2), Dense(2**61)]).build(3),
        MemoryError,
        r"there is no memory for .* numbers; the most are in Dense 2 .*: w has shape \(2, 2305843009213693952\)",
    ),
    (
        lambda: initializers.get("dirac_"),
        ValueError,
        "'dirac' is for convolutions: that of a dense layer is 'identity'",
    ),
    (lambda: initializers.get(0.1), TypeError, "initializer is 0.1, expected a name"),
    (lambda: orthogonal((3,), np.random.default_rng(0)), ValueError, r"orthogonal: the shape is \(3,\), expected two"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_settings_that_cannot_be_meant_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_layer_begins_with_them_is_shown_with_them_and_copied():
    layer = Dense(4, weight_initializer=sparse(0.5), bias_initializer=constant(0.1))
    assert repr(layer).startswith("Dense(4, weight_initializer=initializers.sparse(sparsity=0.5), bias_initializer=")
    for same in (eval(repr(layer)), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(same) == repr(layer)
        assert same.weight_initializer == layer.weight_initializer
        assert same.weight_initializer != sparse(0.6)
        Model([same], seed=0).build(6)
        assert ((same.w == 0).sum(axis=0) == 3).all()
        assert (same.b == np.float32(0.1)).all()
    assert he_normal() is he_normal
    assert repr(Dense(4, weight_initializer=he_uniform)) == repr(Dense(4, weight_initializer="he_uniform"))


def test_weights_and_biases_begin_as_those_of_pytorchs_linear():
    layer = Dense(400, weight_initializer="torch", bias_initializer="torch")
    Model([layer], seed=0).build(25)  # within 1 / √25
    for array in (layer.w, layer.b):
        assert 0.19 < abs(array).max() < 0.2
        np.testing.assert_allclose(array.std(), 0.2 / math.sqrt(3), rtol=0.05)


def test_statistics_are_those_of_pytorch():
    peer = pytest.importorskip("torch").nn
    for name, param in (("tanh", None), ("relu", None), ("leaky_relu", 0.2), ("selu", None), ("sigmoid", None)):
        assert calculate_gain(name, param) == peer.init.calculate_gain(name, param)
    theirs = peer.Linear(n_in, n_out)
    pairs = [(torch(SHAPE, np.random.default_rng(0)), theirs.weight)]
    for ours, name, options in (
        (he_uniform(0.3, "fan_out"), "kaiming_uniform_", {"a": 0.3, "mode": "fan_out"}),
        (he_normal(nonlinearity="tanh"), "kaiming_normal_", {"nonlinearity": "tanh"}),
        (glorot_uniform(2.0), "xavier_uniform_", {"gain": 2.0}),
        (truncated_normal(0.1, 0.3, -0.2, 0.5), "trunc_normal_", {"mean": 0.1, "std": 0.3, "a": -0.2, "b": 0.5}),
    ):
        weight = peer.Linear(n_in, n_out).weight
        getattr(peer.init, name)(weight, **options)
        pairs.append((ours(SHAPE, np.random.default_rng(0)), weight))
    for ours, theirs in pairs:
        w = theirs.detach().numpy()
        np.testing.assert_allclose([ours.std(), ours.mean()], [w.std(), w.mean()], rtol=0.02, atol=0.002)

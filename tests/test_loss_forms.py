"""Losses of all kinds: the numbers of other libraries, what they take as targets, and the ends of nets for them."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import (
    MAPE,
    MSLE,
    SGD,
    Adam,
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalFocal,
    CosineSimilarity,
    CrossEntropy,
    Dense,
    GammaDeviance,
    GaussianNLL,
    Hinge,
    KLDivergence,
    LogCosh,
    LogSoftmax,
    Model,
    MultiMargin,
    PoissonNLL,
    Quantile,
    Sigmoid,
    SmoothL1,
    Softmax,
    Softplus,
    SquaredHinge,
    TweedieDeviance,
    losses,
)

Y = np.array([[0.5, -1.25, 2.0], [-0.3, 0.8, 0.1]])
T = np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 0.25]])
RATES = np.abs(Y) + 0.1
P = np.array([[0.2, 0.3, 0.5], [0.7, 0.1, 0.2]])
V = np.array([[0.5, 1.5, 0.2], [2.0, 0.9, 0.4]])
BITS = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
LABELS = np.array([2, 0])

# The value, and the gradient at (0, 0) and (1, 1), as PyTorch 2.13 printed them
OF_PYTORCH = {
    "smooth_l1": (SmoothL1(0.7), Y, T, 0.44315476190476194, -0.11904761904761905, -0.16666666666666666),
    "poisson": (PoissonNLL(), Y, T, 0.8784687056234671, 0.10812021178335471, 0.037590154748744664),
    "full": (PoissonNLL(full=True), Y, T, 1.2811167103147325, 0.10812021178335471, 0.037590154748744664),
    "rates": (PoissonNLL(log_input=False), RATES, T, 0.7413490055545723, None, None),
    "gaussian": (
        *(GaussianNLL(log_variance=False), np.hstack([Y, V]), T),
        *(0.5014410512340625, -0.16666666666666666, -0.2222222222222222),
    ),
    "kl": (KLDivergence(from_logits=True), Y, P, 0.5950846416004502, -0.011589908946277858, 0.22330523067900832),
    "margin": (MultiMargin(), Y, LABELS, 0.5833333333333334, 0.0, 0.16666666666666666),
    "squares": (MultiMargin(2, 0.5), Y, LABELS, 0.5616666666666668, 0.0, 0.5333333333333333),
    "cosine": (CosineSimilarity(), Y, T, 0.10510399364854672, -0.02891275190015278, -0.07014524603454408),
    "focal": (
        *(BinaryFocal(from_logits=True), Y, BITS),
        *(0.09275018794218072, -0.005747374889621433, 0.08427040934920377),
    ),
}
# Values that Keras 3 printed, in float32
OF_KERAS = {
    "log_cosh": (LogCosh(), Y, T, 0.306479275226593),
    "msle": (MSLE(), RATES, T + 1, 0.28770533204078674),
    "mape": (MAPE(), RATES, T + 1, 61.08333206176758),
    "categorical focal": (CategoricalFocal(), P, LABELS, 0.02567344158887863),
    "binary focal": (losses.get("binary_focal_crossentropy"), P, BITS, 0.4760780930519104),
    "hinge": (Hinge(), Y, BITS, 0.6499999761581421),
    "squared hinge": (SquaredHinge(), Y, BITS, 0.7983333468437195),
    "kl": (KLDivergence(), P, P[::-1], 0.5604955554008484),
    "poisson": (losses.get("poisson"), RATES, T + 1, 1.091327428817749),
    "minus the cosine": (CosineSimilarity(), Y, T, 1 - 0.8948960304260254),
}


@pytest.mark.parametrize("name", OF_PYTORCH)
def test_numbers_of_pytorch(name):
    loss, y, t, value, first, last = OF_PYTORCH[name]
    found, gradient = loss.value_and_grad(y, t)
    assert found == pytest.approx(value, rel=1e-12)
    if first is not None:
        np.testing.assert_allclose([gradient[0, 0], gradient[1, 1]], [first, last], rtol=1e-12)


def test_numbers_of_keras():
    for name, (loss, y, t, value) in OF_KERAS.items():
        assert loss(y, t) == pytest.approx(value, rel=1e-6), name


def test_numbers_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    y, t = RATES.ravel(), T.ravel() + 0.5
    for power in (1.0001, 1.5, 1.9999, 2.0, 2.0001, 3.0):
        expected = metrics.mean_tweedie_deviance(t, y, power=power)
        assert TweedieDeviance(power, log_input=False)(y, t) == pytest.approx(expected, rel=1e-9)
        assert TweedieDeviance(power)(np.log(y), t) == pytest.approx(expected, rel=1e-9)
    assert GammaDeviance()(np.log(y), t) == pytest.approx(metrics.mean_gamma_deviance(t, y), rel=1e-12)
    expected = metrics.mean_tweedie_deviance(T.ravel(), y, power=1.5)  # with zeros
    assert TweedieDeviance()(np.log(y), T.ravel()) == pytest.approx(expected, rel=1e-12)
    found = [metrics.mean_pinball_loss(T, np.repeat(Y[:, :1], 3, axis=1), alpha=q) for q in (0.1, 0.5)]
    given = np.repeat(Y[:, :1], 6, axis=1)
    assert Quantile((0.1, 0.5))(given, T) == pytest.approx(np.mean(found), rel=1e-12)


def test_extreme_predictions_have_finite_losses_and_gradients():
    far = np.array([[-800.0, 0.0, 800.0]])
    for loss, t in (
        (LogCosh(), np.zeros((1, 3))),
        (BinaryFocal(from_logits=True), BITS[:1]),
        (BinaryFocal(0.5, from_logits=True), BITS[:1]),
        (CategoricalFocal(0.5, from_logits=True), [0]),
        (KLDivergence(from_logits=True), P[:1]),
    ):
        for dtype in ("float32", "float64"):
            value, gradient = loss.value_and_grad(far.astype(dtype), t)
            assert np.isfinite(value), loss
            assert np.isfinite(gradient).all(), loss
    small = np.array([[1e-9]])
    assert LogCosh()(small, [[0.0]]) == pytest.approx(5e-19, rel=1e-12)


def test_some_are_others_at_their_limits():
    assert BinaryFocal(0, None, True)(Y, BITS) == pytest.approx(BinaryCrossEntropy(True)(Y, BITS), rel=1e-14)
    assert CategoricalFocal(0, 1, True)(Y, LABELS) == pytest.approx(CrossEntropy(True)(Y, LABELS), rel=1e-13)
    entropy = -(P * np.log(P)).sum(axis=1).mean()
    assert KLDivergence(True)(Y, P) == pytest.approx(CrossEntropy(True)(Y, P) - entropy, rel=1e-12)
    for of_classes, t in ((CategoricalFocal, LABELS), (KLDivergence, P)):
        e = np.exp(Y)
        assert of_classes(from_logits=True)(Y, t) == pytest.approx(of_classes()(e / e.sum(1)[:, None], t), rel=1e-12)


WRONG = [
    (PoissonNLL(), [1.0, -2.0], "y is -2.0 at row 1, expected counts"),
    (GammaDeviance(), [1.0, 0.0], "y is 0.0 at row 1, expected numbers > 0"),
    (TweedieDeviance(), [1.0, -0.5], "y is -0.5 at row 1, expected numbers >= 0"),
    (TweedieDeviance(2.5), [1.0, 0.0], "y is 0.0 at row 1, expected numbers > 0"),
    (MSLE(), [1.0, -0.5], "y is -0.5 at row 1, expected numbers >= 0"),
    (Hinge(), [1.0, 0.5], "y is 0.5 at row 1, expected -1 and 1, or labels 0 and 1"),
    (Hinge(), [-1.0, 0.0], "y is 0.0 at row 1, expected -1 and 1, as others are"),
    (BinaryFocal(from_logits=True), [1.0, 2.0], "y is 2.0 at row 1, expected numbers from 0 to 1"),
    (MultiMargin(), [0, 1], "one output per class"),
    (CategoricalFocal(from_logits=True), [0, 1], "one output per class"),
    (GaussianNLL(), [0.0, 1.0], "a mean and a variance for each target"),
    (Quantile((0.1, 0.9)), [0.0, 1.0], "2 outputs for each target"),
]


def test_targets_that_a_loss_cannot_take_are_refused_before_anything_is_built():
    for loss, t, message in WRONG:
        net = Model([Dense(1)], seed=0)
        with pytest.raises(ValueError, match=message):
            net.fit(np.zeros((2, 1)), t, loss=loss)
        assert not net.built
    with pytest.raises(ValueError, match=r"t is \[0\.5 0\.2\] at row 1, expected probabilities"):
        KLDivergence(True)(np.zeros((2, 2)), [[1.0, 0.0], [0.5, 0.2]])


ENDS = [
    (PoissonNLL(), Softplus(), "logarithms of means.*none below 0.*leave .* out or use PoissonNLL.log_input=False"),
    (PoissonNLL(log_input=False), None, "means above 0.*end it with Softplus.* or use PoissonNLL.log_input=True"),
    (GammaDeviance(log_input=False), None, "means above 0"),
    (TweedieDeviance(), Sigmoid(), "logarithms of means"),
    (GaussianNLL(log_variance=False), None, "variances above 0.*use GaussianNLL()"),
    (GaussianNLL(), Softplus(), "logarithms of variances.*use GaussianNLL.log_variance=False"),
    (Hinge(), Sigmoid(), "numbers on both sides of 0.*none below 0: leave"),
    (KLDivergence(), None, "expects probabilities.*KLDivergence.from_logits=True"),
    (BinaryFocal(), None, "expects probabilities.*BinaryFocal.from_logits=True"),
    (CategoricalFocal(from_logits=True), Softmax(), "expects logits"),
]


def test_ends_that_cannot_give_what_a_loss_takes_are_told_before_the_fit():
    for loss, end, message in ENDS:
        net = Model([Dense(2), *([] if end is None else [end])], seed=0)
        t = {
            GaussianNLL: P[:, :1],
            GammaDeviance: P[:, :2],
            KLDivergence: [[1.0, 0.0]] * 2,
            CategoricalFocal: LABELS % 2,
        }.get(type(loss), BITS[:, :2])
        with pytest.raises(ValueError, match=message):
            net.fit(P, t, loss=loss)
        assert not net.built


X = np.random.default_rng(0).normal(size=(60, 3))
SCORES = X @ np.random.default_rng(1).normal(size=(3, 3))
CLASSES = SCORES.argmax(axis=1)
SOFT = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
TRAINED = [
    (PoissonNLL(), [], np.round(np.exp(SCORES / 3))),
    (PoissonNLL(log_input=False), [Softplus()], np.round(np.exp(SCORES / 3))),
    (GammaDeviance(), [], np.exp(SCORES)),
    (TweedieDeviance(log_input=False), [Softplus()], np.round(np.exp(SCORES))),
    (Quantile((0.2, 0.5, 0.8), 1.0), [], SCORES[:, 0]),
    (MSLE(), [], np.exp(SCORES)),
    (KLDivergence(), [Softmax()], SOFT),
    (KLDivergence(), [LogSoftmax()], SOFT),
    (CategoricalFocal(), [Softmax()], CLASSES),
    (BinaryFocal(), [Sigmoid()], (SCORES > 0) * 1.0),
    (Hinge(), [], (SCORES > 0) * 1),
    (MultiMargin(), [], CLASSES),
    (CosineSimilarity(), [], SCORES),
]


def test_nets_train_and_copies_of_losses_do_the_same_in_both_dtypes():
    for loss, end, t in TRAINED:
        for dtype in ("float32", "float64"):
            found = []
            for given in (loss, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
                net = Model([Dense(8, "tanh"), Dense(3), *copy.deepcopy(end)], seed=0, dtype=dtype)
                found.append(net.fit(X, t, given, Adam(0.02), epochs=30, batch_size=16).loss)
            assert found[0] == found[1] == found[2], loss
            assert found[0][-1] < 0.9 * found[0][0], loss
    net = Model([Dense(6)], seed=0)
    net.fit(X, SCORES, GaussianNLL(), SGD(0.05), epochs=20)
    assert net.history.loss[-1] < net.history.loss[0]


def test_accuracy_stands_in_what_evaluates():
    for loss, end, t in TRAINED[8:12]:
        net = Model([Dense(3), *copy.deepcopy(end)], seed=0)
        net.fit(X, t, loss, Adam(0.05), epochs=60)
        found = net.evaluate(X, t)
        assert found.get("accuracy", found.get("binary_accuracy")) > 0.85, loss


def test_crossing_quantiles_are_penalised_and_bad_levels_refused():
    y, t = np.array([[1.0, 0.0, 2.0]]), np.array([[0.5]])
    apart = Quantile((0.1, 0.5, 0.9))(y, t)
    assert Quantile((0.1, 0.5, 0.9), crossing=3.0)(y, t) == pytest.approx(apart + 3.0 / 3)
    for q, error in ((1.0, ValueError), ((0.5, 0.5), ValueError), ("0.5", TypeError), ((), TypeError)):
        with pytest.raises(error, match=r"^Quantile: q"):
            Quantile(q)
    loss = Quantile(0.3)
    loss.q = 0.6
    assert loss([[0.0]], [[1.0]]) == pytest.approx(0.6)

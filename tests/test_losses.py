"""Every loss, with every reduction and weighting: its value is that of its twin, its gradient the derivative of it."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
from nets import numerical_gradient

from fastnn import (
    MAE,
    MSE,
    SGD,
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalFocal,
    CosineSimilarity,
    CrossEntropy,
    Dense,
    Expectile,
    GammaDeviance,
    GaussianNLL,
    Head,
    Heads,
    Hinge,
    Huber,
    KLDivergence,
    LambdaCallback,
    Loss,
    Model,
    MultiMargin,
    PoissonNLL,
    Quantile,
    SmoothL1,
    SquaredHinge,
    TweedieDeviance,
    load,
    losses,
    reference,
    schedules,
)

pytestmark = pytest.mark.filterwarnings("ignore:y has mean")  # of six rows

ROWS, N = 6, 3
RNG = np.random.default_rng(7)
NUMBERS = RNG.normal(size=(ROWS, N))
FRACTIONS = RNG.uniform(0.1, 0.9, (ROWS, N))
OTHERS = RNG.uniform(0.1, 0.9, (ROWS, N))
CLASSES = RNG.dirichlet(np.ones(N), ROWS)
LABELS = RNG.integers(0, N, ROWS)

# What a loss is made with, predictions and targets, where it does not take the numbers that most take. Each loss stands
# here in all the forms of its kernels.
FORMS: dict[type[Loss], list[tuple[Callable[..., Loss], np.ndarray, np.ndarray]]] = {
    MSE: [(MSE, NUMBERS, FRACTIONS)],
    MAE: [(MAE, NUMBERS, FRACTIONS)],
    Huber: [(lambda **o: Huber(0.4, **o), NUMBERS, FRACTIONS)],
    BinaryCrossEntropy: [
        (lambda *, logits=logits, more=more, **o: BinaryCrossEntropy(logits, **more, **o), y, FRACTIONS)
        for logits, y in ((False, OTHERS), (True, NUMBERS))
        for more in ({}, {"label_smoothing": 0.2, "pos_weight": (0.5, 2.0, 0.0)}, {"pos_weight": 3.0})
    ],
    CrossEntropy: [
        (lambda *, logits=logits, smoothing=smoothing, **o: CrossEntropy(logits, smoothing, **o), y, t)
        for logits, y in ((False, OTHERS), (True, NUMBERS))
        for t in (CLASSES, LABELS)
        for smoothing in (0.0, 0.2)
    ],
}
SIGNS = np.sign(NUMBERS)
LEVELS = (0.2, 0.5, 0.9)
MEANS_AND_SPREADS = np.hstack([NUMBERS, OTHERS])
FORMS |= {
    SmoothL1: [(lambda **o: SmoothL1(0.4, **o), NUMBERS, FRACTIONS)],
    Quantile: [
        (lambda *, q=q, crossing=crossing, **o: Quantile(q, crossing, **o), NUMBERS, t)
        for q, crossing, t in ((0.3, 0.0, FRACTIONS), (LEVELS, 0.0, FRACTIONS[:, :1]), (LEVELS, 0.7, FRACTIONS[:, :1]))
    ],
    Expectile: [(lambda **o: Expectile(0.3, **o), NUMBERS, FRACTIONS)],
    PoissonNLL: [
        (lambda *, of_logs=of_logs, full=full, **o: PoissonNLL(of_logs, full, **o), FRACTIONS, 4 * OTHERS)
        for of_logs in (True, False)
        for full in (True, False)
    ],
    GammaDeviance: [(lambda *, x=x, **o: GammaDeviance(x, **o), FRACTIONS, OTHERS) for x in (True, False)],
    TweedieDeviance: [
        (lambda *, x=x, p=p, **o: TweedieDeviance(p, x, **o), FRACTIONS, OTHERS)
        for x in (True, False)
        for p in (1.3, 2.0, 3.0)
    ],
    GaussianNLL: [
        (lambda *, x=x, full=full, **o: GaussianNLL(x, full, **o), MEANS_AND_SPREADS, FRACTIONS)
        for x in (True, False)
        for full in (True, False)
    ],
    KLDivergence: [
        (lambda *, x=x, **o: KLDivergence(x, **o), y, CLASSES) for x, y in ((False, OTHERS), (True, NUMBERS))
    ],
    BinaryFocal: [
        (lambda *, x=x, alpha=alpha, **o: BinaryFocal(1.5, alpha, x, **o), y, FRACTIONS)
        for x, y in ((False, OTHERS), (True, NUMBERS))
        for alpha in (None, 0.3)
    ],
    CategoricalFocal: [
        (lambda *, x=x, **o: CategoricalFocal(1.5, from_logits=x, **o), y, CLASSES)
        for x, y in ((False, OTHERS), (True, NUMBERS))
    ],
    Hinge: [(Hinge, NUMBERS, SIGNS)],
    SquaredHinge: [(SquaredHinge, NUMBERS, SIGNS)],
    MultiMargin: [(lambda *, p=p, **o: MultiMargin(p, 0.8, **o), NUMBERS, LABELS) for p in (1, 2)],
    CosineSimilarity: [(CosineSimilarity, NUMBERS, FRACTIONS)],
}
PUBLIC = [getattr(losses, name) for name in losses.__all__ if isinstance(getattr(losses, name), type)]
LOSSES = [kind for kind in PUBLIC if issubclass(kind, Loss) and kind not in (Loss, Heads)]


def weightings(loss: Loss, t: np.ndarray) -> dict[str, np.ndarray | None]:
    """Weights as kernels take them; those with zeros have NaN behind them."""
    of_rows = RNG.uniform(0.5, 2, (ROWS, 1))
    zeros = of_rows * np.resize([[1.0], [0.0], [-1.5]], (ROWS, 1))
    found: dict[str, np.ndarray | None] = {"none": None, "rows": of_rows, "rows left out": zeros}
    if loss.takes_target_weights and t.ndim == 2:
        some = np.resize([1.0, 2.0, 0.0, 0.5], t.shape)
        found |= {"outputs": np.broadcast_to([[0.5, 1.0, 1.5][: t.shape[1]]], t.shape).copy(), "targets left out": some}
    return found


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
def test_value_and_gradient(kind):
    for make, y, t in FORMS.get(kind, [(kind, FRACTIONS, OTHERS)]):
        for reduction in ("mean", "sum", "none"):
            loss = make(reduction=reduction)
            target, _ = loss.read(t, None, y.shape[1], y.dtype)
            for name, weight in weightings(loss, target).items():
                title = f"{loss}, weights: {name}"
                y_here, t_here = y.copy(), target.copy()
                if weight is not None and "left out" in name:
                    hide(loss, y_here, t_here, weight)
                value, twin, dy, dy_twin = np.empty(1), np.empty(1), np.empty_like(y), np.empty_like(y)
                each, each_twin = (loss._each(t_here, y.shape) for _ in range(2))
                loss._single(y_here, t_here, weight, dy, value, each)
                options = loss._options() if each is None else {**loss._options(), "each": each_twin}
                function = getattr(reference, loss._kernel_name(t_here))
                with np.errstate(all="ignore"):
                    given = y_here.copy()
                    if of_logs := function in (reference.kl_divergence_of_logs, reference.focal_of_logs):
                        reference.log_softmax_forward(y_here, given)
                    function(given, t_here, weight, dy_twin, twin, *loss._numbers(), **options)
                    if of_logs:
                        reference.log_softmax_backward(given, dy_twin, dy_twin)
                np.testing.assert_allclose(value, twin, rtol=1e-12, err_msg=title)
                np.testing.assert_allclose(dy, dy_twin, rtol=1e-10, atol=1e-14, err_msg=title)
                if each is not None:
                    np.testing.assert_allclose(each, each_twin, rtol=1e-10, atol=1e-14, err_msg=title)
                    np.testing.assert_allclose(each.sum(), value[0], rtol=1e-12, err_msg=title)
                place = np.where(np.isnan(y_here), 0.5, y_here)

                def objective(loss=loss, place=place, t=t_here, weight=weight, each=each):
                    result = np.empty(1)
                    loss._single(place, t, weight, None, result, each)
                    return result[0]

                numerical = numerical_gradient(objective, place)
                largest = max(np.abs(numerical).max(), 1e-12)
                assert np.abs(dy - numerical).max() <= 1e-7 * largest, title


def hide(loss: Loss, y: np.ndarray, t: np.ndarray, weight: np.ndarray) -> None:
    """Put NaN, or a label that is none, where weights are 0: predictions of a row only where all of it is left out."""
    rows = ~weight.any(axis=1)
    if t.ndim == 1:
        t[rows] = -7
    else:
        t[np.broadcast_to(weight == 0, t.shape)] = np.nan
    y[rows] = np.nan
    if not loss.of_rows and y.shape == weight.shape and not getattr(loss, "crossing", 0):  # which reads neighbours
        y[weight == 0] = np.nan


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.__name__)
def test_by_hand_reductions_are_those_of_single_losses(kind):
    for make, y, t in FORMS.get(kind, [(kind, FRACTIONS, OTHERS)]):
        each, gradient = make(reduction="none").value_and_grad(y, t)
        total, of_total = make(reduction="sum").value_and_grad(y, t)
        mean, of_mean = make().value_and_grad(y, t)
        np.testing.assert_allclose([total, mean], [each.sum(), each.mean()], rtol=1e-12)
        np.testing.assert_array_equal(gradient, of_total)
        np.testing.assert_allclose(of_mean * each.size, of_total, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(make(reduction="none")(y, t), each)


def test_single_losses_train_nothing():
    x, net = NUMBERS, Model([Dense(N)], seed=0)
    for call in (net.fit, net.train_batch, net.evaluate):
        with pytest.raises(ValueError, match=r"MSE\(reduction='none'\) gives a loss for each number.*reduction='mean'"):
            call(x, NUMBERS, loss=MSE(reduction="none"))


def fitted(loss, t, **options):
    net = Model([Dense(4, "tanh"), Dense(N)], seed=0, dtype="float64")
    history = net.fit(NUMBERS, t, loss, SGD(0.1), epochs=3, batch_size=4, shuffle=False, **options)
    return net, history.loss


def test_a_sum_trains_as_such():
    mean, _ = fitted(MSE(), FRACTIONS)
    total = Model([Dense(4, "tanh"), Dense(N)], seed=0, dtype="float64")
    for _ in range(3):
        for rows in (slice(0, 4), slice(4, 6)):
            part = MSE(reduction="sum")
            total.train_batch(NUMBERS[rows], FRACTIONS[rows], loss=part, optimizer=SGD(0.1 / N / len(NUMBERS[rows])))
    np.testing.assert_allclose(mean.params, total.params, rtol=1e-12)
    net, logged = fitted(MSE(reduction="sum"), FRACTIONS)
    sums = MSE(reduction="none")(net.predict(NUMBERS), FRACTIONS).sum()
    assert net.evaluate(NUMBERS, FRACTIONS)["loss"] == pytest.approx(sums, rel=1e-12)
    np.testing.assert_allclose(net.evaluate(NUMBERS, FRACTIONS, sample_weight=np.full(ROWS, 2.0))["loss"], 2 * sums)
    assert len(logged) == 3


WEIGHTS = np.resize([1.0, 0.0, 2.0, 0.5], (ROWS, N))


def test_weights_of_targets_are_relative_over_known_data():
    holes = np.where(WEIGHTS == 0, np.nan, FRACTIONS)
    net, logged = fitted(MSE(), holes, sample_weight=WEIGHTS)
    same, as_logged = fitted(MSE(), FRACTIONS, sample_weight=3 * WEIGHTS)
    np.testing.assert_allclose(net.params, same.params, rtol=1e-12)
    np.testing.assert_allclose(logged, as_logged, rtol=1e-12)
    value = net.evaluate(NUMBERS, holes, sample_weight=WEIGHTS)["loss"]
    expected = np.average((net.predict(NUMBERS) - FRACTIONS) ** 2, weights=WEIGHTS)
    assert value == pytest.approx(expected, rel=1e-12)
    step = net.train_batch(NUMBERS, FRACTIONS, sample_weight=WEIGHTS, optimizer=SGD(0.0))
    assert step == pytest.approx((WEIGHTS * (net.predict(NUMBERS) - FRACTIONS) ** 2).mean(), rel=1e-12)
    validated = net.fit(NUMBERS, FRACTIONS, epochs=1, optimizer=SGD(0.0), validation_data=(NUMBERS, holes, WEIGHTS))
    assert validated.val_loss == [pytest.approx(value, rel=1e-12)]


def test_weights_of_outputs():
    loss = MSE(output_weights=(1, 0, 3))
    columns = MSE(reduction="none")(NUMBERS, FRACTIONS).mean(axis=0)
    expected = np.average(columns, weights=[1, 0, 3])
    assert loss(NUMBERS, FRACTIONS) == pytest.approx(expected, rel=1e-12)
    net, _ = fitted(loss, FRACTIONS)
    value = net.evaluate(NUMBERS, FRACTIONS)["loss"]
    assert value == pytest.approx(loss(net.predict(NUMBERS), FRACTIONS), rel=1e-12)
    assert net.train_batch(NUMBERS, FRACTIONS, optimizer=SGD(0.0)) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("kind", [MSE, MAE, Huber, BinaryCrossEntropy])
def test_missing_targets_are_ignored(kind):
    loss = kind(missing="ignore")
    holes = FRACTIONS.copy()
    holes[[0, 2, 2, 3, 3, 3], [1, 0, 2, 0, 1, 2]] = np.nan
    there, plain = ~np.isnan(holes), kind(reduction="none")(OTHERS, FRACTIONS)
    value, gradient = loss.value_and_grad(OTHERS, holes)
    assert value == pytest.approx(plain[there].mean(), rel=1e-12)
    assert (gradient[~there] == 0).all()
    if kind is BinaryCrossEntropy:
        loss = kind(from_logits=True, missing="ignore")
    x = NUMBERS.copy()
    x[3] = np.nan  # of a row without targets nobody looks at x
    net = Model([Dense(4, "tanh"), Dense(N)], seed=0, dtype="float64")
    net.fit(x, holes.tolist(), loss, SGD(0.1), epochs=2, batch_size=2)
    single = kind(**({"from_logits": True} if kind is BinaryCrossEntropy else {}), reduction="none")
    expected = single(net.predict(NUMBERS), FRACTIONS)[there].mean()
    assert net.evaluate(x, holes)["loss"] == pytest.approx(expected, rel=1e-12)
    assert net.train_batch(NUMBERS, holes, optimizer=SGD(0.0)) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="NaN at row 0, column 1"):
        net.fit(NUMBERS, holes, loss=kind(**({"from_logits": True} if kind is BinaryCrossEntropy else {})))
    with pytest.raises(ValueError, match="all targets are missing"):
        net.fit(NUMBERS, np.full((ROWS, N), np.nan), loss=loss)


def test_what_targets_weigh_counts_for_all_of_their_quantiles():
    y, holes = np.hstack([NUMBERS, OTHERS]), FRACTIONS[:, :2].copy()
    holes[[0, 2], [1, 0]] = np.nan
    there = np.repeat(~np.isnan(holes), 3, axis=1)
    each = Quantile(LEVELS, 0.5, reduction="none")(y, FRACTIONS[:, :2])
    assert Quantile(LEVELS, 0.5, missing="ignore")(y, holes) == pytest.approx(each[there].mean(), rel=1e-12)
    of_outputs = Quantile(LEVELS, 0.5, output_weights=(1, 3))(y, FRACTIONS[:, :2])
    assert of_outputs == pytest.approx(np.average(each, weights=np.tile([1, 1, 1, 3, 3, 3], (ROWS, 1))), rel=1e-12)
    weight = np.where(np.isnan(holes), 0.0, 2.0)
    net = Model([Dense(6)], seed=0, dtype="float64")
    net.fit(NUMBERS, holes, Quantile(LEVELS), SGD(0.1), epochs=2, sample_weight=weight)
    other = Model([Dense(6)], seed=0, dtype="float64")
    other.fit(NUMBERS, holes, Quantile(LEVELS, missing="ignore"), SGD(0.1), epochs=2)
    np.testing.assert_allclose(net.params, other.params, rtol=1e-12)


def test_labels_that_are_left_out():
    for labels in (np.where(np.arange(ROWS) % 3 == 0, -100, LABELS), LABELS * 1.0):
        ignored = labels.copy()
        loss = CrossEntropy(from_logits=True, ignore_index=-100, missing="ignore")
        if ignored.dtype.kind == "f":
            ignored[::3] = np.nan
        rows = np.arange(ROWS) % 3 != 0
        value, gradient = loss.value_and_grad(NUMBERS, ignored)
        assert value == pytest.approx(CrossEntropy(from_logits=True)(NUMBERS[rows], LABELS[rows]), rel=1e-12)
        assert (gradient[::3] == 0).all()
        net, _ = fitted(loss, ignored)
        assert net.evaluate(NUMBERS, ignored)["loss"] == pytest.approx(
            net.evaluate(NUMBERS[rows], LABELS[rows], loss=CrossEntropy(from_logits=True))["loss"], rel=1e-12
        )
    with pytest.raises(ValueError, match="-100 at row 0"):
        CrossEntropy(from_logits=True)(NUMBERS, np.full(ROWS, -100))


def test_weights_of_classes():
    single = CrossEntropy(from_logits=True, reduction="none")(NUMBERS, LABELS)
    counts = np.bincount(LABELS, minlength=N)
    weights = {"dict": {0: 2.0, 2: 0.5}, "sequence": (2.0, 1.0, 0.5), "balanced": "balanced"}
    for name, given in weights.items():
        of_classes = np.array([2.0, 1.0, 0.5]) if name != "balanced" else 1 / np.maximum(counts, 1)
        of_rows = of_classes[LABELS]
        loss = CrossEntropy(from_logits=True, class_weight=given)
        net = Model([Dense(N)], seed=0, dtype="float64")
        net.build(N)
        net.params[:] = np.r_[np.eye(N).ravel(), np.zeros(N)]  # its outputs are its inputs
        for labels in (LABELS, np.eye(N)[LABELS]):
            value = net.evaluate(NUMBERS, labels, loss=loss)["loss"]
            assert value == pytest.approx(np.average(single, weights=of_rows), rel=1e-12), name
        if name == "balanced":
            with pytest.raises(ValueError, match="balanced"):
                loss(NUMBERS, LABELS)
        else:
            assert loss(NUMBERS, LABELS) == pytest.approx((single * of_rows).mean(), rel=1e-12)
    with pytest.raises(ValueError, match="class_weight has 2 numbers, expected 3"):
        CrossEntropy(from_logits=True, class_weight=(1, 2))(NUMBERS, LABELS)
    with pytest.raises(ValueError, match="names class 3"):
        CrossEntropy(from_logits=True, class_weight={3: 1})(NUMBERS, LABELS)


def test_numbers_of_cross_entropies_move_what_is_recorded():
    for loss, name, numbers in (
        (BinaryCrossEntropy(from_logits=True, pos_weight=1.0), "pos_weight", (1.0, 3.0, (1.0, 2.0, 3.0), None)),
        (BinaryCrossEntropy(from_logits=True), "label_smoothing", (0.0, 0.3)),
        (CrossEntropy(from_logits=True), "label_smoothing", (0.0, 0.3)),
    ):
        net = Model([Dense(N)], seed=0, dtype="float64")
        for number in numbers:
            setattr(loss, name, number)
            got = net.train_batch(NUMBERS, CLASSES, loss=loss, optimizer=SGD(0.0))
            assert got == pytest.approx(loss(net.predict(NUMBERS), CLASSES), rel=1e-12)


# What PyTorch 2.13 prints of these: value and gradient
LOGITS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
ROWS_OF_P = np.array([[0.2, 0.5, 0.3], [0.0, 0.9, 0.1]])
OF_CLASSES = (2.0, 1.0, 0.5)
PYTORCH = {
    "labels, smoothed": (
        CrossEntropy(True, 0.1),
        [2, 0],
        2.0352404030498565,
        [
            [0.28520778140764624, -0.001637222881879655, -0.28357055852576657],
            [-0.4433603553776797, 0.4514531092715862, -0.008092753893906473],
        ],
    ),
    "probabilities, smoothed": (
        CrossEntropy(True, 0.1),
        ROWS_OF_P,
        1.3827404030498562,
        [
            [0.19520778140764622, -0.22663722288187965, 0.03142944147423343],
            [0.006639644622320279, 0.04645310927158619, -0.05309275389390648],
        ],
    ),
    "probabilities, smoothed and weighted": (
        CrossEntropy(True, 0.1, OF_CLASSES),
        ROWS_OF_P,
        1.2861154522355132,
        [
            [0.10715670570556221, -0.22571040718181778, 0.11855370147625563],
            [-0.010687367530867685, 0.033189715620002364, -0.022502348089134684],
        ],
    ),
    "labels, weighted": (
        CrossEntropy(True, class_weight=OF_CLASSES, reduction="sum"),
        [2, 0],
        6.634066258686,
        [
            [0.3018744480743129, 0.015029443784787011, -0.3169038918590999],
            [-1.9067747548440521, 1.8724791037530115, 0.034295651091040776],
        ],
    ),
    "labels, ignored": (
        CrossEntropy(True, ignore_index=-100),
        [2, -100],
        1.0045969023422834,
        [[0.6037488961486258, 0.030058887569574023, -0.6338077837181998], [0.0, 0.0, 0.0]],
    ),
    "binary, pos_weight": (
        BinaryCrossEntropy(True, pos_weight=(0.5, 2.0, 3.0)),
        ROWS_OF_P,
        1.0237046472651588,
        [
            [0.09299212012783409, -0.1368659361611373, 0.01598915498716123],
            [0.08333333333333333, 0.0016484734937705452, 0.0037882842739990117],
        ],
    ),
    "binary, pos_weight and weights": (
        BinaryCrossEntropy(True, pos_weight=3.0, reduction="sum"),
        ROWS_OF_P,
        4.914144911610172,
        [
            [0.4234820100820069, 0.0, 0.19186985984593474],
            [0.25, -0.03279244489718636, 0.02272970564399407],
        ],
    ),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_numbers_of_pytorch(name):
    loss, t, value, gradient = PYTORCH[name]
    weight = [[1.0, 0.0, 2.0], [0.5, 1.0, 1.0]] if name.endswith("and weights") else None
    got, dy = loss.value_and_grad(LOGITS, t, weight)
    assert got == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(dy, gradient, rtol=1e-12, atol=1e-15)


def test_pytorch_gives_these_numbers():
    torch = pytest.importorskip("torch")
    f, logits = torch.nn.functional, torch.tensor(LOGITS)
    p, w = torch.tensor(ROWS_OF_P), torch.tensor(OF_CLASSES, dtype=torch.float64)
    labels = torch.tensor([2, 0])
    got = {
        "labels, smoothed": f.cross_entropy(logits, labels, label_smoothing=0.1),
        "probabilities, smoothed": f.cross_entropy(logits, p, label_smoothing=0.1),
        "probabilities, smoothed and weighted": f.cross_entropy(logits, p, weight=w, label_smoothing=0.1),
        "labels, weighted": f.cross_entropy(logits, labels, weight=w, reduction="sum"),
        "labels, ignored": f.cross_entropy(logits, torch.tensor([2, -100])),
        "binary, pos_weight": f.binary_cross_entropy_with_logits(
            logits, p, pos_weight=torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
        ),
    }
    for name, value in got.items():
        assert value.item() == pytest.approx(PYTORCH[name][2], rel=1e-12), name


def test_rows_of_many_classes():
    """More than fit into the buffers of a block."""
    rng = np.random.default_rng(1)
    y, t, weight = rng.normal(size=(2, 5000)), rng.dirichlet(np.ones(5000), 2), rng.uniform(0, 2, (2, 5000))
    dy, twin, value, expected = np.empty_like(y), np.empty_like(y), np.empty(1), np.empty(1)
    CrossEntropy(True, 0.1)._single(y, t, weight, dy, value, None)
    reference.cross_entropy_from_logits(y, t, weight, twin, expected, 0.1)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(dy, twin, rtol=1e-9, atol=1e-16)


class Cubed(Loss):
    """In NumPy, with weights of rows."""

    def value_and_grad(self, y, t, weight=None):
        d, w = y - t, 1.0 if weight is None else weight[:, None]
        return (w * np.abs(d) ** 3).mean(), w * 3 * d * np.abs(d) / d.size


HEADS = {
    "price": (lambda: MSE(output_weights=(1, 3), missing="ignore"), 2, FRACTIONS[:, :2]),
    "kind": (lambda: CrossEntropy(from_logits=True, class_weight={0: 2.0}), 3, LABELS),
    "tags": (lambda: BinaryCrossEntropy(from_logits=True, pos_weight=2.0), 2, np.round(FRACTIONS[:, 1:])),
    "own": (Cubed, 1, FRACTIONS[:, 0]),
    "margins": (MultiMargin, 3, LABELS),
    "levels": (lambda: Quantile((0.2, 0.8), 0.5, missing="ignore"), 2, FRACTIONS[:, 0]),
}


@pytest.mark.parametrize("weight", [None, np.linspace(0, 1, ROWS)], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_heads(weight, dtype):
    weights = dict(zip(HEADS, (1.0, 0.5, 2.0, 0.25, 0.5, 3.0), strict=True))
    loss = Heads({name: Head(make(), n, weights[name]) for name, (make, n, _) in HEADS.items()})
    targets = {name: t.copy() for name, (_, _, t) in HEADS.items()}
    targets["price"][1, 0] = np.nan
    width = sum(n for _, n, _ in HEADS.values())
    net = Model([Dense(5, "tanh"), Dense(width)], seed=0, dtype=dtype)
    history = net.fit(NUMBERS, targets, loss, SGD(0.05), epochs=30, batch_size=4, sample_weight=weight)
    assert history.loss[-1] < history.loss[0]
    found, y, first, total = net.evaluate(NUMBERS, targets, sample_weight=weight), net.predict(NUMBERS), 0, 0.0
    near = 1e-5 if dtype == "float32" else 1e-10
    for name, (make, n, _) in HEADS.items():
        alone = Model([Dense(n)], seed=0, dtype=dtype)
        alone.build(n)
        alone.params[:] = np.r_[np.eye(n).ravel(), np.zeros(n)]  # its outputs are its inputs
        expected = alone.evaluate(y[:, first : first + n], targets[name], loss=make(), sample_weight=weight)
        for metric, number in expected.items():
            assert found[f"{name}_{metric}"] == pytest.approx(number, rel=near), name
        total += weights[name] * found[f"{name}_loss"]
        first += n
    assert found["loss"] == pytest.approx(total, rel=near)
    assert net.evaluate(NUMBERS, tuple(targets.values()), sample_weight=weight) == found


def test_the_gradient_of_heads():
    loss = Heads({name: Head(make(), n, 0.5 + n) for name, (make, n, _) in HEADS.items()})
    targets = {name: t for name, (_, _, t) in HEADS.items()}
    place = NUMBERS[:, :1] + np.linspace(-1, 1, sum(n for _, n, _ in HEADS.values()))
    value, gradient = loss.value_and_grad(place, targets)
    numerical = numerical_gradient(lambda: loss(place, targets), place)
    assert np.abs(gradient - numerical).max() <= 1e-7 * np.abs(numerical).max()
    assert value == loss(place, targets)
    for head in loss.heads.values():
        head.weight = 0.0
    assert loss(place, targets) == 0


def test_heads_take_weights_of_single_targets_beside_labels():
    """With a column for each column of the targets, also where there are more outputs than these."""
    loss = Heads({"kind": Head(CrossEntropy(True), 3), "levels": Head(Quantile(LEVELS), 6), "wide": Head(MSE(), 2)})
    y = np.hstack([NUMBERS, OTHERS, NUMBERS, OTHERS])[:, :11]
    t = {"kind": LABELS, "levels": FRACTIONS[:, :2], "wide": FRACTIONS[:, 1:]}
    weight = RNG.uniform(0, 2, (ROWS, 5))
    for dtype in ("float32", "float64"):
        parts = [
            CrossEntropy(True)(y[:, :3], LABELS, weight[:, 0]),
            Quantile(LEVELS)(y[:, 3:9], t["levels"], weight[:, 1:3]),
            MSE()(y[:, 9:], t["wide"], weight[:, 3:]),
        ]
        assert loss(y.astype(dtype), t, weight) == pytest.approx(sum(parts), rel=1e-6)
        net = Model([Dense(11)], seed=0, dtype=dtype)
        net.fit(NUMBERS, t, loss, SGD(0.01), epochs=2, batch_size=4, sample_weight=weight)
    with pytest.raises(ValueError, match=r"weights have shape \(6, 11\), expected .* each of 5 columns of targets"):
        loss(y, t, np.ones((ROWS, 11)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 3])
def test_heads_read_labels_and_columns_side_by_side(n, dtype, tmp_path):
    """Labels stand among numbers, and may be as wide as columns: what each data set has is its own."""
    kinds = {"labels": LABELS % n, "columns": np.eye(n)[LABELS % n]}
    given = {form: {"price": FRACTIONS[:, 0], "kind": kind} for form, kind in kinds.items()}

    def new_loss():
        return Heads({"price": Head(MSE()), "kind": Head(CrossEntropy(from_logits=True), n)})

    alone = Model([Dense(1 + n)], seed=0, dtype=dtype)
    expected = alone.fit(NUMBERS, given["labels"], new_loss(), epochs=3, validation_data=(NUMBERS, given["labels"]))
    numbers = alone.evaluate(NUMBERS, given["labels"])
    near = 1e-5 if dtype == "float32" else 1e-12
    for form, other in (("labels", "columns"), ("columns", "labels"), ("columns", "columns")):
        parts = [slice(i, i + 1) for i in range(ROWS)]
        pieces = [(NUMBERS[part], {name: t[part] for name, t in given[other].items()}) for part in parts]
        for validation in ((NUMBERS, given[other]), pieces):
            net, loss = Model([Dense(1 + n)], seed=0, dtype=dtype), new_loss()
            history = net.fit(NUMBERS, given[form], loss, epochs=3, validation_data=validation)
            np.testing.assert_allclose(history.loss, expected.loss, near)
            np.testing.assert_allclose(history.val_loss, expected.val_loss, near)
            before, own = net.params.copy(), net.loss._form
            for kind in (other, form, other):
                assert net.evaluate(NUMBERS, given[kind]) == pytest.approx(numbers, rel=near)
                assert net.evaluate(NUMBERS, given[kind], loss=new_loss()) == pytest.approx(numbers, rel=near)
                assert loss(net.predict(NUMBERS), given[kind]) == pytest.approx(numbers["loss"], rel=near)
                assert loss.value_and_grad(net.predict(NUMBERS), given[kind])[0] == pytest.approx(
                    numbers["loss"], rel=near
                )
                assert (
                    net.evaluate(NUMBERS[:1], {name: t[:1] for name, t in given[kind].items()}).keys() == numbers.keys()
                )
                assert net.evaluate(pieces) == pytest.approx(numbers, rel=near)
            assert (loss._form, net.loss._form) == ((), own)
            net.fit(NUMBERS, given[form], epochs=1)
            assert (net.params != before).any()
    net.save(tmp_path / "net.safetensors")
    loaded = load(tmp_path / "net.safetensors")
    assert loaded.evaluate(NUMBERS, given["labels"]) == pytest.approx(net.evaluate(NUMBERS, given["labels"]), rel=near)
    mixed = [(NUMBERS, given["labels"]), (NUMBERS, given["columns"])]
    for use in (net.fit, net.evaluate):
        with pytest.raises(ValueError, match="y has targets of another kind than the rows before"):
            use(mixed)


@pytest.mark.parametrize("n", [2, 3])
def test_heads_of_several_models_read_for_each(n):
    given = {"price": FRACTIONS[:, 0], "kind": LABELS % n}
    others = {**given, "kind": np.eye(n)[LABELS % n]}
    pieces = [(NUMBERS[i : i + 2], {name: t[i : i + 2] for name, t in given.items()}) for i in range(0, ROWS, 2)]
    for data, options in (
        ((NUMBERS, given), {"batch_size": 4, "metrics": {"kind": "accuracy"}}),
        ((lambda: iter(pieces),), {}),
    ):
        found = []
        for is_shared in (False, True):
            loss = Heads({"price": Head(MSE()), "kind": Head(CrossEntropy(from_logits=True), n)})
            net, other = Model([Dense(1 + n)], seed=0), Model([Dense(1 + n)], seed=1)
            train = partial(other.train_batch, NUMBERS, others, loss=loss if is_shared else deepcopy(loss))
            options |= {"callbacks": [LambdaCallback(end_batch=lambda *told, train=train: train() is None)]}
            history = net.fit(*data, loss=loss, epochs=3, **options)
            found.append((history.to_dict(), net.params.tolist()))
        assert found[0] == found[1]


@pytest.mark.parametrize("n", [2, 3])
def test_a_callback_may_set_other_heads_in_a_fit_over_batches(n):
    """As in one over arrays: their targets are read anew, and not what has been made of them."""
    given = {"price": FRACTIONS[:, 0], "kind": LABELS % n}
    pieces = [(NUMBERS[i : i + 2], {name: t[i : i + 2] for name, t in given.items()}) for i in range(0, ROWS, 2)]
    losses_of = []
    for data, options in (((NUMBERS, given), {"batch_size": 2, "shuffle": False}), ((lambda: iter(pieces),), {})):
        heads = [
            Heads({"price": Head(MSE(), 1, weight), "kind": Head(CrossEntropy(from_logits=True), n)})
            for weight in (1.0, 2.0)
        ]
        change = LambdaCallback(begin_epoch=lambda model, epoch, heads=heads: setattr(model, "loss", heads[epoch > 0]))
        net = Model([Dense(1 + n)], seed=0, dtype="float64")
        losses_of.append(net.fit(*data, loss=heads[0], epochs=3, callbacks=[change], **options).loss)
    np.testing.assert_allclose(*losses_of, rtol=1e-12)
    assert losses_of[0][1] > losses_of[0][0]  # the second loss counts more


def test_heads_step_as_one_loss_does():
    """Of two heads with the same loss, whose weights are their shares of the outputs."""
    t = {"a": FRACTIONS[:, :1], "b": FRACTIONS[:, 1:]}
    heads, whole = (Model([Dense(4, "tanh"), Dense(N)], seed=0, dtype="float64") for _ in range(2))
    loss = Heads({"a": Head(MSE(), 1, 1 / 3), "b": Head(MSE(), 2, 2 / 3)})
    weights = np.ones((ROWS, N))
    weights[:, 0] = np.linspace(0, 2, ROWS)
    for given, weight in ((t, None), (t, None), (FRACTIONS, None), (t, weights), (t, weights[:, 0])):
        step = heads.train_batch(NUMBERS, given, sample_weight=weight, loss=loss, optimizer="sgd")
        expected = whole.train_batch(NUMBERS, FRACTIONS, sample_weight=weight, loss="mse", optimizer="sgd")
        assert step == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(heads.params, whole.params, rtol=1e-12)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"a": FRACTIONS[:, 0]}, "targets of a, expected those of a, b"),
        ((FRACTIONS[:, 0],), "1 array, expected 2: a, b"),
        (FRACTIONS[:, :2], r"shape \(6, 2\), expected \(rows, 3\), a dict"),
        ({"a": FRACTIONS[:, 0], "b": LABELS % 2 + 2}, "head 'b': y is [23]"),
        ({"a": FRACTIONS[:, 0] * np.nan, "b": LABELS % 2}, "head 'a': y is NaN"),
    ],
)
def test_targets_that_heads_refuse(targets, message):
    net, two = Model([Dense(N)], seed=0), Head(CrossEntropy(from_logits=True), 2)
    with pytest.raises(ValueError, match=message):
        net.fit(NUMBERS, targets, Heads({"a": Head(MSE()), "b": two}))


def test_what_heads_expect_of_a_net():
    t = {"a": FRACTIONS[:, 0], "b": LABELS % 2}
    for layers, loss, message in (
        ([Dense(N)], Heads({"a": Head(MSE()), "b": Head(CrossEntropy(), 2)}), "head 'b': CrossEntropy.*probabilities"),
        ([Dense(N, "softmax")], Heads({"a": Head(MSE()), "b": Head(CrossEntropy(True), 2)}), "ends in Softmax"),
        ([Dense(4)], Heads({"a": Head(MSE()), "b": Head(CrossEntropy(True), 2)}), "heads of 3 outputs, expected 4"),
        ([Dense(N)], Heads({"a": Head(MSE(reduction="none")), "b": Head(CrossEntropy(True), 2)}), "no net trains"),
    ):
        with pytest.raises(ValueError, match=message):
            Model(layers, seed=0).fit(NUMBERS, t, loss)


def test_multi_label():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    t = (x[:, :3] > 0.3).astype(float)
    holes = np.where(rng.uniform(size=t.shape) < 0.2, np.nan, t)
    weight = rng.uniform(0.5, 2, t.shape)
    net = Model([Dense(16, "relu"), Dense(3, "sigmoid")], seed=0)
    loss = BinaryCrossEntropy(pos_weight=(1.0, 2.0, 3.0), missing="ignore")
    net.fit(x, holes, loss, epochs=200, batch_size=20, sample_weight=weight)
    assert net.evaluate(x, t, loss=BinaryCrossEntropy())["binary_accuracy"] > 0.9


REFUSED = [
    (lambda: MSE(reduction="average"), ValueError, "reduction is 'average', expected 'mean' or 'sum' or 'none'"),
    (lambda: MSE(reduction=None), TypeError, "reduction is None"),
    (lambda: MSE(missing=True), TypeError, "missing is True, expected 'raise' or 'ignore'"),
    (lambda: MSE(output_weights=2.0), TypeError, "output_weights is 2.0, expected a number for each output"),
    (lambda: MSE(output_weights=(1, -1)), ValueError, r"output_weights\[1\] is -1"),
    (lambda: MSE(output_weights=(0, 0)), ValueError, "one above 0"),
    (lambda: MSE(output_weights=(1, 2))(NUMBERS, NUMBERS), ValueError, "has 2 numbers, expected 3"),
    (lambda: CrossEntropy(output_weights=(1, 2)), TypeError, "a row has one loss"),
    (lambda: CrossEntropy(label_smoothing=1.5), ValueError, "label_smoothing is 1.5, expected .* <= 1"),
    (lambda: CrossEntropy(class_weight="even"), ValueError, "class_weight is 'even'"),
    (lambda: CrossEntropy(class_weight={"a": 1}), TypeError, "names 'a'"),
    (lambda: CrossEntropy(class_weight={None: 1}), TypeError, "names None, expected labels"),
    (lambda: CrossEntropy(class_weight={0.5: 1}), ValueError, "names 0.5, expected labels"),
    (lambda: CrossEntropy(class_weight={np.nan: 1}), ValueError, "names nan, expected labels"),
    (lambda: CrossEntropy(class_weight={-1: 1}), ValueError, "names -1, expected labels"),
    (lambda: CrossEntropy(class_weight=[]), TypeError, r"class_weight is \[\], expected a number for each class"),
    (lambda: CrossEntropy(class_weight=(1, np.nan)), ValueError, r"class_weight\[1\] is nan"),
    (lambda: CrossEntropy(ignore_index=0.5), TypeError, "ignore_index is 0.5"),
    (lambda: BinaryCrossEntropy(pos_weight=-1), ValueError, "pos_weight is -1"),
    (lambda: BinaryCrossEntropy(pos_weight=(1, 2))(FRACTIONS, FRACTIONS), ValueError, "pos_weight has 2 numbers"),
    (
        lambda: MSE()(NUMBERS, NUMBERS, NUMBERS[:, :2]),
        ValueError,
        r"weight has shape \(6, 2\), expected one number per",
    ),
    (lambda: CrossEntropy(True)(NUMBERS, LABELS, NUMBERS), ValueError, r"weight has shape \(6, 3\)"),
    (lambda: Cubed()(NUMBERS, NUMBERS, NUMBERS), TypeError, r"weight has shape \(6, 3\), expected one number per row"),
    (lambda: Head("mse"), TypeError, "loss is 'mse'"),
    (lambda: Head(MSE(), 0), ValueError, "Head: n is 0"),
    (lambda: Heads({}), TypeError, "expected a dict"),
    (lambda: Heads({"a": MSE()}), TypeError, "'a' is MSE"),
]


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED)
def test_what_losses_refuse(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_numbers_of_heads_follow_schedules():
    ramp = schedules.Linear(0, 1, epochs=4)
    loss = Heads({"a": Head(MSE(), 1, ramp), "b": Head(CrossEntropy(True, label_smoothing=ramp), 2)})
    net = Model([Dense(N)], seed=0)
    net.fit(NUMBERS, {"a": FRACTIONS[:, 0], "b": LABELS % 2}, loss, epochs=3)
    assert loss.heads["a"].weight == loss.heads["b"].loss.label_smoothing > 0

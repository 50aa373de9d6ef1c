"""Rows that are set aside for validation: which ones, of whatever holds data, with weights, and with good errors."""

import numpy as np
import pytest
from nets import same_bits

from fastnn import (
    MSE,
    SGD,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Head,
    Heads,
    Model,
    Normalization,
    Sigmoid,
    Softmax,
    Split,
    fit_many,
)
from fastnn.splits import as_split, rows_of

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 3))
LABELS = np.repeat([0, 1, 2], [40, 15, 5])[RNG.permutation(N)]
NUMBERS = X @ [1.0, 2.0, 3.0]


def classifier(seed=0, dtype="float64"):
    return Model([Dense(4, "tanh"), Dense(3), Softmax()], seed=seed, dtype=dtype)


def regressor(seed=0):
    return Model([Normalization(), Dense(1)], seed=seed, dtype="float64")


# Which rows


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("n", [2, 3, 10, 59])
def test_as_many_rows_are_set_aside_as_scikit_learn_does(n, fraction):
    training, validation = Split(fraction).rows(n)
    assert len(validation) == min(int(np.ceil(fraction * n - 1e-9)), n - 1)
    assert sorted([*training, *validation]) == [*range(n)]
    last = Split(fraction, last=True).rows(n)[1]
    assert last.tolist() == [*range(n - len(validation), n)]


def test_the_number_of_rows_is_that_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection")
    for n in range(4, 60):
        for fraction in (0.1, 0.2, 0.3, 0.45):
            expected = selection.train_test_split(np.arange(n), test_size=fraction)[1]
            assert len(Split(fraction).rows(n)[1]) == len(expected)


def test_the_rows_follow_from_the_seed_alone():
    assert same_bits(Split(0.3).rows(N, seed=5)[1], Split(0.3).rows(N, seed=5)[1])
    assert not same_bits(Split(0.3).rows(N, seed=5)[1], Split(0.3).rows(N, seed=6)[1])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.8])
def test_each_class_keeps_its_share_to_one_row(fraction):
    for seed in range(5):
        training, validation = Split(fraction).rows(N, LABELS, seed=seed)
        got, exact = np.bincount(LABELS[validation], minlength=3), fraction * np.bincount(LABELS)
        assert (np.abs(got - exact) < 1).all()
        assert {*LABELS[training]} == {0, 1, 2}
        own = Split(fraction, stratify=LABELS.astype(str)).rows(N, seed=seed)[1]
        assert same_bits(own, validation)


def test_a_class_of_one_row_is_trained_with():
    labels = np.r_[np.zeros(9, int), 1]
    assert all(9 in Split(0.5).rows(10, labels, seed=seed)[0] for seed in range(20))


@pytest.mark.parametrize("sizes", [[5] * 12, [1, 2, 3, 20, 34], [50, 10], [1] * 60])
def test_groups_stay_together_and_come_near_to_the_fraction(sizes):
    groups = np.array([f"day {i}" for i in np.repeat(np.arange(len(sizes)), sizes)])
    for seed in range(10):
        training, validation = Split(0.25, groups=groups).rows(60, seed=seed)
        assert {*groups[training]}.isdisjoint(groups[validation])
        assert len(training)
        assert len(validation)
        if max(sizes) <= 5:
            assert abs(len(validation) - 15) <= max(sizes) / 2


def test_rows_that_weigh_nothing_do_not_count():
    counts = np.arange(20) % 2 == 0
    training, validation = Split(0.3).rows(20, counts=counts)
    assert len(validation) == 3
    assert counts[validation].all()
    assert sorted([*training, *validation]) == [*range(20)]
    assert Split(0.3, last=True).rows(20, counts=counts)[1].tolist() == [14, 16, 18]


# In a fit


def kinds():
    pandas, polars, sparse = (pytest.importorskip(name) for name in ("pandas", "polars", "scipy.sparse"))
    pyarrow = pytest.importorskip("pyarrow")
    index = RNG.permutation(N)  # which nobody looks at
    return {
        "arrays": (X, LABELS),
        "columns": (np.asfortranarray(X), LABELS[:, None]),
        "lists": (X.tolist(), LABELS.tolist()),
        "tuples": (tuple(map(tuple, X)), tuple(LABELS.tolist())),
        "pandas": (pandas.DataFrame(X, index=index, columns=[*"abc"]), pandas.Series(LABELS, index=index[::-1])),
        "polars": (polars.DataFrame(X, schema=[*"abc"]), polars.Series(LABELS)),
        "pyarrow": (pyarrow.table([*map(pyarrow.array, X.T)], [*"abc"]), pyarrow.array(LABELS)),
        "sparse": (sparse.coo_matrix(X), LABELS),
        "probabilities": (X, np.eye(3)[LABELS]),
    }


@pytest.mark.parametrize("split", [0.2, Split(0.25, last=True), Split(0.4, groups=np.arange(N) // 4)], ids=str)
def test_a_fit_is_as_with_these_rows_by_hand(split):
    """Of whatever holds data, bit for bit."""
    weight = np.linspace(0.5, 2, N)
    chosen = as_split(split)
    training, validation = chosen.rows(N, LABELS, seed=3)
    expected = classifier(3)
    options = {"epochs": 3, "batch_size": 8}
    aside = X[validation], LABELS[validation], weight[validation]
    expected.fit(
        X[training], LABELS[training], sample_weight=weight[training], validation_data=aside, **options
    )  # fmt: skip
    for kind, (x, y) in kinds().items():
        net = classifier(3)
        net.fit(x, y, sample_weight=weight.tolist(), validation_split=split, **options)
        if kind != "probabilities":
            assert same_bits(net.params, expected.params), kind
            assert net.history.to_dict() == expected.history.to_dict(), kind
        assert len(net.history.val_loss) == 3
    (many,) = fit_many([classifier(3)], X, LABELS, sample_weight=weight, validation_split=split, **options)
    assert many.to_dict() == expected.history.to_dict()


def test_layers_learn_from_the_rows_that_are_trained_with_alone():
    net, x = regressor(), X.copy()
    x[50:] += 1000
    net.fit(x, NUMBERS, "mse", SGD(0.01), epochs=1, validation_split=Split(10 / N, last=True))
    np.testing.assert_allclose(net[0].center, X[:50].mean(axis=0))


def test_the_same_rows_are_set_aside_again():
    net, seen = classifier(), []
    for _ in range(3):
        net.fit(X, LABELS, optimizer=SGD(0.0), epochs=1, validation_split=0.2)
        seen += net.history.val_loss
    assert len({*seen}) == 1


def test_targets_of_numbers_and_of_several_heads_are_drawn_alike():
    heads = Heads({"number": Head(MSE(), 1), "kind": Head(CrossEntropy(from_logits=True), 3)})
    y = {"number": NUMBERS, "kind": LABELS}
    net = Model([Dense(4)], seed=1, dtype="float64")
    net.fit(X, y, heads, SGD(0.0), epochs=1, validation_split=0.3)
    rows = Split(0.3).rows(N, seed=1)[1]
    expected = net.evaluate(X[rows], {name: target[rows] for name, target in y.items()})["loss"]
    assert net.history.val_loss == [expected]


def test_data_that_callbacks_change_are_split_alike():
    x, seen = X.copy(), []

    def change(model, epoch, logs):
        x[...] *= 1.5
        rows = Split(0.3).rows(N, LABELS, seed=0)[1]
        seen.append(model.evaluate(x[rows], LABELS[rows])["loss"])

    history = classifier().fit(x, LABELS, optimizer=SGD(0.0), epochs=3, validation_split=0.3, callbacks=[change])
    assert history.val_loss[1:] == seen[:-1]


def wrong(values, row, to):
    values = np.array(values, dtype=float)
    values[row] = to
    return values


ERRORS = {
    "0": ({"validation_split": 0}, "validation_split is 0, expected a finite number > 0 and < 1"),
    "1": ({"validation_split": 1.0}, "validation_split is 1.0, expected a finite number > 0 and < 1"),
    "rows": ({"validation_split": 10}, "validation_split is 10, expected .* < 1"),
    "NaN": ({"validation_split": np.nan}, "validation_split is nan"),
    "text": ({"validation_split": "0.2"}, "validation_split is '0.2', expected a number"),
    "data": ({"validation_split": (X, LABELS)}, "validation_split is .*, expected a number"),
    "both": ({"validation_split": 0.2, "validation_data": (X, LABELS)}, "validation_split is given, and validation_da"),
    "one row": ({"validation_split": 0.2, "x": X[:1], "y": LABELS[:1]}, "Split.*: 1 row of x may be split, expected 2"),
    "weights": ({"validation_split": 0.2, "sample_weight": np.eye(N)[0]}, "1 row of x may be split"),
    "lengths": ({"validation_split": 0.2, "y": LABELS[:-1]}, "y has 59 rows, expected 60 to match x"),
    "few weights": ({"validation_split": 0.2, "sample_weight": [1, 2]}, "sample_weight has 2 rows, expected 60"),
    "groups": ({"validation_split": Split(groups=[1, 2])}, "groups has 2 labels, expected 60, one for each row"),
    "one group": ({"validation_split": Split(groups=np.ones(N))}, "groups is the same for all rows"),
    "stratify": ({"validation_split": Split(stratify=[1, 2])}, "stratify has 2 labels, expected 60"),
    "x at its row": ({"validation_split": 0.2, "x": wrong(X, 47, np.nan)}, "x is NaN at row 47, column 0"),
    "y at its row": ({"validation_split": 0.2, "y": wrong(LABELS, 47, 9)}, "y is 9.0 at row 47"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_wrong_split_is_told_before_anything_has_changed(case):
    options, message = ERRORS[case]
    net = classifier()
    with pytest.raises((ValueError, TypeError), match=message):
        net.fit(**{"x": X, "y": LABELS, "epochs": 2, **options})
    assert not net.built


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Split(2), "Split: fraction is 2, expected a finite number > 0 and < 1"),
        (lambda: Split(last=3), "Split: last is 3, expected True or False"),
        (lambda: Split(groups=np.ones((2, 2))), r"Split: groups is ndarray of shape \(2, 2\), expected one label"),
        (lambda: Split(groups=[1, "a", None]), "Split: groups holds labels that cannot be put in order"),
        (
            lambda: Split(groups=[1, 2], last=True),
            r"Split\(groups=..., last=True\): groups and last exclude",
        ),
        (lambda: Split(stratify=True, groups=[1, 2]), "stratify and groups exclude each other"),
        (lambda: Split(test_size=0.2), "Split has no test_size"),
    ],
)
def test_a_wrong_setting_of_a_split_is_told(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_numbers_cannot_be_stratified():
    with pytest.raises(ValueError, match="stratify is True, but the targets are no classes"):
        regressor().fit(X, NUMBERS, "mse", epochs=1, validation_split=Split(stratify=True))


def test_some_rows_of_anything_are_of_its_kind():
    for kind, (x, y) in kinds().items():
        for data in (x, y):
            found = rows_of(data, np.array([1, 5, 7]))
            assert isinstance(found, list if kind in ("tuples", "lists") else type(data)) or kind == "sparse"
    assert np.may_share_memory(rows_of(X, np.arange(3, 9)), X)


# What classes weigh


def weighted(net, y, loss=None, **options):
    net.fit(X, y, loss, SGD(0.1), epochs=4, batch_size=7, **options)
    return net


BALANCED = len(LABELS) / (3 * np.bincount(LABELS))
WEIGHT = RNG.uniform(0.5, 2, N)
TOTAL = np.bincount(LABELS, weights=WEIGHT)
CLASS_WEIGHTS = {  # what is given, and what a row of each class weighs
    "dict": ({0: 1, 1: 5, 2: 0.5}, [1, 5, 0.5]),
    "some": ({2: 3.0}, [1, 1, 3]),
    "in order": ([1, 2, 3], [1, 2, 3]),
    "array": (np.array([1, 2, 3]), [1, 2, 3]),
    "numbers of NumPy": ({np.int64(1): np.float32(2), 2.0: 4}, [1, 2, 4]),
    "zero": ({0: 0, 1: 1}, [0, 1, 1]),
    "balanced": ("balanced", BALANCED),
}


@pytest.mark.parametrize("case", CLASS_WEIGHTS)
def test_classes_weigh_as_their_rows_do(case):
    given, each = CLASS_WEIGHTS[case]
    factors = np.array(each, dtype=float)[LABELS]
    expected = weighted(classifier(), LABELS, sample_weight=factors)
    for y in (LABELS, LABELS.tolist(), LABELS.astype(float), np.eye(3)[LABELS]):
        net = weighted(classifier(), y, class_weight=given)
        np.testing.assert_allclose(net.params, expected.params, rtol=1e-12, atol=1e-14)
    if case != "balanced":
        both = weighted(classifier(), LABELS, class_weight=given, sample_weight=WEIGHT)
        product = weighted(classifier(), LABELS, sample_weight=factors * WEIGHT)
        assert same_bits(both.params, product.params)


def test_balanced_is_that_of_scikit_learn():
    utils = pytest.importorskip("sklearn.utils")
    expected = utils.compute_sample_weight("balanced", LABELS)
    nets = [weighted(classifier(), LABELS, class_weight="balanced")]
    nets += [weighted(classifier(), LABELS, sample_weight=expected)]
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-12)


def test_a_row_of_weight_2_is_a_row_twice_where_classes_are_balanced():
    twice = np.arange(N) % 3 + 1
    rows = np.repeat(np.arange(N), twice)
    nets = [classifier(), classifier()]
    nets[0].fit(X, LABELS, optimizer=SGD(0.1), epochs=9, batch_size=None, sample_weight=twice, class_weight="balanced")
    nets[1].fit(X[rows], LABELS[rows], optimizer=SGD(0.1), epochs=9, batch_size=None, class_weight="balanced")
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-10)


def test_rows_of_a_class_that_weighs_nothing_may_hold_anything():
    x, weight = X.copy(), np.where(LABELS == 2, 0.0, 1.0)
    x[LABELS == 2] = np.nan
    net = classifier()
    net.fit(x, LABELS, optimizer=SGD(0.1), epochs=2, class_weight={2: 0.0})
    other = classifier()
    other.fit(x, LABELS, optimizer=SGD(0.1), epochs=2, sample_weight=weight)
    assert same_bits(net.params, other.params)


BINARY = (LABELS > 0).astype(int)
SEVERAL = np.stack([LABELS > 0, LABELS > 1], axis=1).astype(float)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy, "binary_focal"])
def test_classes_of_one_output(loss):
    make = lambda: Model([Dense(1), Sigmoid()], seed=0, dtype="float64")  # noqa: E731
    build = loss if isinstance(loss, str) else loss()
    expected = weighted(make(), BINARY, build, sample_weight=np.where(BINARY, 4.0, 1.0))
    for given in ({1: 4}, {False: 1, True: 4.0}, [1, 4]):
        assert same_bits(weighted(make(), BINARY, build, class_weight=given).params, expected.params)


@pytest.mark.parametrize(
    ("given", "each"),
    [
        ({1: 5.0}, [[1, 5], [1, 5]]),
        ([{1: 5.0}, {0: 2.0, 1: 3.0}], [[1, 5], [2, 3]]),
        (["balanced", None], [N / 2 / np.bincount(BINARY), [1, 1]]),
    ],
    ids=str,
)
def test_classes_of_several_outputs(given, each):
    make = lambda: Model([Dense(2), Sigmoid()], seed=0, dtype="float64")  # noqa: E731
    factors = np.stack([np.array(own, float)[SEVERAL[:, j].astype(int)] for j, own in enumerate(each)], axis=1)
    for weight in (None, WEIGHT):
        if weight is not None and "balanced" in str(given):
            continue
        total = factors if weight is None else factors * weight[:, None]
        expected = weighted(make(), SEVERAL, "binary_cross_entropy", sample_weight=total)
        net = weighted(make(), SEVERAL, "binary_cross_entropy", class_weight=given, sample_weight=weight)
        np.testing.assert_allclose(net.params, expected.params, rtol=1e-12)


def test_classes_of_heads():
    heads = lambda: Heads(  # noqa: E731
        {"number": Head(MSE(), 1), "kind": Head(CrossEntropy(from_logits=True), 3)}
    )
    y = {"number": NUMBERS, "kind": LABELS}
    make = lambda: Model([Dense(4)], seed=0, dtype="float64")  # noqa: E731
    weight = np.stack([np.ones(N), np.array([1.0, 5, 2])[LABELS]], axis=1)
    expected = weighted(make(), y, heads(), sample_weight=weight)
    net = weighted(make(), y, heads(), class_weight={"kind": {1: 5.0, 2: 2.0}})
    np.testing.assert_allclose(net.params, expected.params, rtol=1e-12)


def test_validation_and_metrics_weigh_classes_alike():
    """As in Keras: what classes weigh is for training alone; the training loss is what is made small."""

    def share(y_true, y_pred, sample_weight=None):
        return np.average(y_pred.argmax(axis=1) == y_true, weights=sample_weight)

    net = classifier()
    given = {"class_weight": {1: 9.0}, "sample_weight": WEIGHT, "metrics": [share]}
    history = net.fit(X, LABELS, optimizer=SGD(0.1), epochs=1, validation_data=(X, LABELS, WEIGHT), **given)
    evaluated = net.evaluate(X, LABELS, sample_weight=WEIGHT)
    assert history.val_loss[-1] == pytest.approx(evaluated["loss"], rel=1e-12)
    assert history["share"][-1] == history["val_share"][-1] == pytest.approx(evaluated["accuracy"], rel=1e-12)


CLASS_WEIGHT_ERRORS = {
    "numbers": (NUMBERS, "mse", {0: 1.0}, "class_weight: the targets of MSE.* are no classes"),
    "negative": (LABELS, None, {0: -1.0}, r"class_weight\[0\] is -1.0, expected a finite number >= 0"),
    "NaN": (LABELS, None, {0: np.nan}, r"class_weight\[0\] is nan"),
    "text": (LABELS, None, {0: "2"}, r"class_weight\[0\] is '2', expected a number"),
    "a word": (LABELS, None, "balance", "class_weight is 'balance', expected a dict of labels .*'balanced'"),
    "a number": (LABELS, None, 3.0, "class_weight is 3.0, expected a dict"),
    "empty": (LABELS, None, {}, "class_weight is empty"),
    "names": (LABELS, None, {"cat": 2.0}, "class_weight names 'cat', expected labels of classes as y has them"),
    "no such": (LABELS, None, {7: 2.0}, "class_weight names classes 7, expected some that occur: y has 0, 1, 2"),
    "too few": (LABELS, None, [1.0, 5.0], "class_weight has 2 numbers, expected one for each label from 0 on: y has 2"),
    "nothing": (LABELS, None, [0, 0, 0], "class_weight: all classes that occur weigh 0"),
    "twice": (LABELS, CrossEntropy(class_weight={0: 2}), {0: 1.0}, "class_weight is given twice, also to CrossEntropy"),
    "outputs": (SEVERAL, "binary_cross_entropy", ["balanced"], "class_weight has 1 entry, expected 2, one for each"),
}


@pytest.mark.parametrize("case", CLASS_WEIGHT_ERRORS)
def test_wrong_weights_of_classes_are_told_before_anything_has_changed(case):
    y, loss, given, message = CLASS_WEIGHT_ERRORS[case]
    ends = [Dense(1)] if loss == "mse" else [Dense(2), Sigmoid()] if y is SEVERAL else [Dense(3), Softmax()]
    net = Model(ends, seed=0)
    with pytest.raises((ValueError, TypeError), match=message):
        net.fit(X, y, loss, epochs=1, class_weight=given)
    assert not net.built

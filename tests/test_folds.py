"""Cross-validation: the folds of scikit-learn, each net trained as `fit` trains it, on rows and weights of its own."""

import copy
import warnings

import numpy as np
import pytest

from fastnn import (
    MSE,
    Adam,
    CrossEntropy,
    CSVLogger,
    Dense,
    EarlyStopping,
    Head,
    Heads,
    Model,
    Normalization,
    Softmax,
    cross_validate,
    metrics,
)
from fastnn.splits import group_folds, k_folds, stratified_folds

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
WEIGHT = RNG.integers(0, 3, 60).astype(float)


def classifier(seed=0):
    return Model([Normalization(), Dense(8, "tanh"), Dense(3), Softmax()], seed=seed, dtype="float64")


def run(model=None, x=X, y=LABELS, folds=4, **options):
    return cross_validate(classifier() if model is None else model, x, y, folds, **{"epochs": 3, **options})


def held_out(folds, k):
    return [np.flatnonzero(folds == i).tolist() for i in range(k)]


def test_folds_are_those_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection")
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(18, 40)), int(rng.integers(2, 6))
        labels, groups, rows = rng.integers(0, 3, n), rng.integers(0, 9, n), np.zeros(n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes of few rows: both warn
            for splitter, found in (
                (selection.KFold(k), k_folds(n, k)),
                (selection.StratifiedKFold(k), stratified_folds(labels, k)),
                (selection.GroupKFold(k), group_folds(np.unique(groups, return_inverse=True)[1], k)),
            ):
                assert held_out(found, k) == [test.tolist() for _, test in splitter.split(rows, labels, groups)]


def test_each_net_is_trained_as_fit_trains_it():
    """To the bits: on its rows, with their weights, and looked at on the others."""
    for weight in (None, WEIGHT):
        result = run(sample_weight=weight, metrics=["roc_auc_ovr_weighted"], keep_models=True, n_threads=2)
        assert sorted(np.concatenate([fold.test for fold in result.folds])) == list(range(60))
        for i, (train, test) in enumerate(result.folds):
            alone = classifier()
            w = (None, None) if weight is None else (weight[train], weight[test])
            history = alone.fit(X[train], LABELS[train], epochs=3, sample_weight=w[0], n_threads=1)
            assert result.histories[i].loss == history.loss
            assert result.models[i].params.tobytes() == alone.params.tobytes()
            found = alone.evaluate(X[test], LABELS[test], sample_weight=w[1], metrics=["roc_auc_ovr_weighted"])
            assert {name: values[i] for name, values in result.scores.items()} == found
            assert np.array_equal(result.predictions[test], alone.predict(X[test]))
    assert run().models is None


def test_data_of_any_kind_are_cut_into_the_same_folds():
    pandas, polars, sparse = (pytest.importorskip(name) for name in ("pandas", "polars", "scipy.sparse"))
    expected = run().predictions
    frame = pandas.DataFrame(X, columns=list("abc"), index=np.arange(60)[::-1])
    for x, y in (
        (frame, pandas.Series(LABELS, index=np.arange(60) * 7)),
        (polars.DataFrame({name: X[:, j] for j, name in enumerate("abc")}), polars.Series(LABELS)),
        (X.tolist(), LABELS.tolist()),
        (X, LABELS[:, None]),
    ):
        assert np.array_equal(run(x=x, y=y).predictions, expected)
    assert np.allclose(run(x=sparse.csr_matrix(X)).predictions, expected)
    assert np.allclose(run(y=np.eye(3)[LABELS]).predictions, expected, atol=1e-6)


def test_folds_may_be_given_in_any_form():
    selection = pytest.importorskip("sklearn.model_selection")
    shuffled = selection.StratifiedKFold(4, shuffle=True, random_state=0)
    pairs = [*shuffled.split(X, LABELS)]
    masks = [(~np.isin(np.arange(60), test), np.isin(np.arange(60), test)) for _, test in pairs]
    expected = run(folds=shuffled)
    for folds in (pairs, iter(pairs), [(train.tolist(), test.tolist()) for train, test in pairs], masks):
        assert np.array_equal(run(folds=folds).predictions, expected.predictions)
    twice = run(folds=[*pairs, (pairs[0][0][:30], pairs[0][1][:3])], keep_models=True)
    row = pairs[0][1][0]
    mean = (twice.models[0].predict(X[[row]]) + twice.models[4].predict(X[[row]])) / 2
    assert twice.predictions[row] == pytest.approx(mean[0])
    series = run(folds=selection.TimeSeriesSplit(3))
    assert np.isnan(series.predictions[:15]).all()
    assert np.isfinite(series.predictions[15:]).all()
    groups = np.arange(60) % 7
    for fold in run(folds=3, groups=[f"g{group}" for group in groups]).folds:
        assert not {*groups[fold.train]} & {*groups[fold.test]}
    numbers = run(Model([Dense(1)], seed=0), y=X[:, 0], folds=4)
    assert [fold.test.tolist() for fold in numbers.folds] == held_out(k_folds(60, 4), 4)


def test_early_stopping_is_of_each_fold():
    stopping = EarlyStopping(2, min_delta=0.5)
    result = run(callbacks=[stopping], epochs=50, metrics="accuracy")
    assert {len(history) for history in result.histories} == {3}  # nothing is better by 0.5
    assert all("val_accuracy" in history and "val_loss" in history for history in result.histories)
    assert stopping.best_epoch == -1  # each net has a copy
    inner = run(callbacks=[EarlyStopping(2)], validation_split=0.2, epochs=5, metrics="accuracy")
    assert all("val_loss" in history for history in inner.histories)
    assert inner.histories[0]["val_loss"] != result.histories[0]["val_loss"][:5]
    assert "val_loss" not in run(callbacks=[EarlyStopping(2)], validate=False).histories[0]
    assert "val_loss" in run(validate=True).histories[0]


def test_heads_are_cut_with_their_targets():
    loss = Heads({"price": Head(MSE(), 1), "kind": Head(CrossEntropy(from_logits=True), 3)})
    y = {"price": X[:, 0], "kind": LABELS}
    asked = {"price": "rmse", "kind": "balanced_accuracy"}
    result = run(Model([Dense(4)], seed=0), y=y, loss=loss, metrics=asked)
    assert {"loss", "price_loss", "price_rmse", "kind_loss", "kind_accuracy", "kind_balanced_accuracy"} == {
        *result.scores
    }
    first = result.folds[0].test
    assert result["price_rmse"][0] == pytest.approx(
        metrics.RMSE()(X[first, 0], result.predictions[first, :1]), rel=1e-6
    )


def test_results_are_shown():
    result = run(metrics="accuracy")
    assert repr(result).startswith("<CrossValidation: 4 folds, loss ")
    assert result.mean()["accuracy"] == result["accuracy"].mean()
    assert result.std()["loss"] == result.scores["loss"].std()
    frame = pytest.importorskip("pandas") and result.to_frame()
    assert frame["accuracy"].tolist() == result["accuracy"].tolist()
    assert (len(result), frame.index.name) == (4, "fold")
    with pytest.raises(KeyError, match="there are no scores 'f1', but loss, accuracy"):
        result["f1"]


def trained():
    net = classifier()
    net.fit(X, LABELS, epochs=1)
    return net


same = classifier()
PAIRS = [(np.arange(20), np.arange(20, 30)), (np.arange(20, 30), np.arange(30, 40)), (np.arange(30), np.arange(30, 40))]
PART = np.where(np.arange(60)[:, None] == 50, np.nan, X)  # the row is in none of these folds
REFUSED = (
    ({"folds": 1}, ValueError, "cross_validate: folds is 1, expected a whole number >= 2"),
    ({"folds": 61}, ValueError, "folds is 61, expected at most 60, the number of rows"),
    ({"folds": "five"}, TypeError, "folds is 'five', expected a number, a splitter, or pairs of rows"),
    ({"folds": []}, ValueError, "folds is empty"),
    ({"folds": [(np.arange(50), np.arange(49, 60))]}, ValueError, "row 49 is trained with and held out"),
    ({"folds": [(np.arange(50), [60])]}, ValueError, r"folds\[0\], test holds 60 and 60, expected rows from 0 to 59"),
    ({"folds": [(np.arange(50), np.ones(3, bool))]}, ValueError, r"test is a mask of shape \(3,\), expected \(60,\)"),
    ({"folds": [np.arange(50)]}, TypeError, r"folds\[0\] is .*expected a pair of rows"),
    ({"folds": 3, "groups": np.zeros(60)}, ValueError, "there are 1 group, expected at least 3"),
    ({"groups": np.zeros(9)}, ValueError, "groups has 9 labels, expected 60"),
    ({"y": LABELS[:50]}, ValueError, "y has 50 rows, expected 60"),
    ({"sample_weight": -WEIGHT}, ValueError, "sample_weight is negative at row"),
    ({"metrics": "acuracy"}, ValueError, "unknown metric 'acuracy'"),
    ({"learning_rate": 1}, TypeError, "cross_validate has no learning_rate"),
    ({"cv": 3}, TypeError, "cross_validate has no cv: it is called folds here"),
    ({"model": trained()}, ValueError, "the model has been trained"),
    ({"model": lambda: same}, ValueError, "model returned the same net twice"),
    ({"model": lambda: 3}, TypeError, "model returned 3, expected a Model"),
    ({"model": 3}, TypeError, "model is 3, expected a Model, or a function"),
    ({"validate": True, "validation_split": 0.1}, ValueError, "expected one of them"),
    ({"x": np.where(np.arange(60)[:, None] == 50, np.nan, X)}, ValueError, "^x is NaN at row 50, column 0"),
    ({"x": np.where(np.arange(60)[:, None] == 5, np.nan, X), "sample_weight": WEIGHT + 1}, ValueError, "NaN at row 5,"),
    ({"y": np.where(np.arange(60) == 7, 9, LABELS), "folds": PAIRS}, ValueError, "^y is 9 at row 7, expected labels"),
    ({"x": PART, "folds": [*PAIRS, (np.arange(9), [50])]}, ValueError, "^x is NaN at row 50"),
    ({"x": PART, "y": np.r_[LABELS[:39], 3, LABELS[40:]], "folds": PAIRS}, ValueError, "^y is 3 at row 39"),
    ({"metrics": ["accuracy", "r2"]}, ValueError, r"^fold 0: held-out rows: R2\(\): y_pred has 3 columns"),
    ({"metrics": lambda a: 1, "validate": True}, TypeError, "expected one of .y_true, y_pred."),
    ({"keep_models": "yes"}, TypeError, "keep_models is 'yes', expected True or False"),
    ({"sample_weight": np.arange(60) >= 40, "folds": PAIRS}, ValueError, "^fold 0: sample_weight is 0 in all rows"),
    ({"sample_weight": np.arange(60) < 30, "folds": PAIRS, "validate": True}, ValueError, "^fold 1: held-out rows: "),
    ({"folds": [*PAIRS, ([0], [1])], "validation_split": 0.2}, ValueError, "^fold 3: "),
    ({"callbacks": [CSVLogger("log.csv")]}, ValueError, "^cross_validate: CSVLogger.* leave it out, for result"),
)


def test_what_is_wrong_is_said_before_any_net_is_trained(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("fastnn.folds.fit_each", lambda *_: pytest.fail("nets are trained"))
        for options, kind, message in REFUSED:
            with pytest.raises(kind, match=message):
                run(**options)
    with pytest.warns(UserWarning, match="folds: class 2 has 2 rows, fewer than the 4 folds"):
        run(y=np.r_[np.zeros(30, int), np.ones(28, int), 2, 2], epochs=1)
    with pytest.raises(ValueError, match="and no class has more than 1: expected"):
        run(Model([Dense(60), Softmax()]), y=np.arange(60))


def test_what_is_right_is_not_refused_before():
    """Rows that are in no fold may hold anything, and metrics take what trained nets give, not untrained ones."""

    def of_amounts(y_true, y_pred):
        if (y_pred <= 0).any():
            raise ValueError("y_pred is not above 0")
        return np.log(y_pred / y_true).mean()

    assert len(run(x=PART, folds=PAIRS)) == 3
    net = Model([Dense(1)], seed=0)
    result = run(net, y=X[:, 0] + 9, optimizer=Adam(0.1), epochs=200, metrics=of_amounts)
    assert abs(result["of_amounts"]).max() < 0.1
    assert net.n_in == 0
    assert len(run(Model([Dense(1)], seed=0), y=X[:, 0], optimizer="lbfgs", batch_size=None, epochs=5)) == 4
    with pytest.raises(ValueError, match="fold 0: held-out rows: metric of_amounts: y_pred is not above 0"):
        run(net, y=X[:, 0] - 9, epochs=1, metrics=of_amounts)


def test_a_trained_net_may_be_gone_on_with():
    net = trained()
    before = net.params.copy()
    result = run(lambda: copy.deepcopy(net), keep_models=True)
    assert len({model.params.tobytes() for model in result.models}) == 4
    assert net.params.tobytes() == before.tobytes()

"""Estimators for tables: what becomes of columns, the same bits again, and what is refused."""

import pickle
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes  # noqa: E402

from fastnn.sklearn import TabularClassifier, TabularRegressor  # noqa: E402
from fastnn.sklearn.preprocessing import Preprocessing, weighted_quantiles  # noqa: E402
from fastnn.sklearn.recipes import PRESETS  # noqa: E402

ROWS = 300


def table(rows=ROWS, seed=0):
    """Return a frame with a column of each kind, and numbers that depend on some of them."""
    rng = np.random.default_rng(seed)
    first = pd.Timestamp("2024-01-01")
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=rows),
            "whole": pd.array(rng.integers(0, 50, rows), "Int64"),
            "text": rng.choice(["red", "green", "blue"], rows).astype(object),
            "kind": pd.Categorical(rng.choice(list("qrstuvwxyz"), rows)),
            "flag": rng.random(rows) < 0.5,
            "day": first + pd.to_timedelta(rng.integers(0, 700, rows), "D"),
            "delta": pd.to_timedelta(rng.integers(0, 700, rows), "h"),
            "same": 7,
            "name": [f"row {i}" for i in range(rows)],
        }
    )
    frame.loc[::7, "number"] = np.nan
    frame.loc[::5, "whole"] = pd.NA
    frame.loc[::9, "text"] = None
    frame.loc[::11, "kind"] = np.nan
    frame.loc[::13, "day"] = pd.NaT
    y = 2.0 * (frame["text"] == "red") + frame["flag"] + frame["number"].fillna(0)
    return frame, y.to_numpy(np.float64)


SAID = {
    "number": "scaled and smoothly clipped; where it is missing",
    "whole": "scaled and smoothly clipped; where it is missing",
    "text": "3 columns of 0 and 1",
    "kind": "10 values: an embedding",
    "flag": "-1 for False, 1 for True",
    "day": "days, year, sine of the year, cosine of the year, Monday",
    "delta": "scaled and smoothly clipped",
    "same": "dropped: it is 7 in all rows",
    "name": "dropped: each of its 300 values occurs once",
}


def test_each_kind_of_column_becomes_what_is_said():
    frame, _ = table()
    preprocessing = Preprocessing().fit(frame)
    said = {plan.name: plan.said for plan in preprocessing.plans}
    assert {name: text[: len(SAID[name])] for name, text in said.items()} == SAID
    lines = str(preprocessing).splitlines()
    assert len(lines) == 1 + len(SAID)
    assert "dropped: it is 7" in preprocessing._repr_html_()
    matrix = preprocessing.transform(frame)
    assert matrix.shape == (ROWS, len(preprocessing.origin))
    assert np.isfinite(matrix).all()
    assert np.abs(matrix[:, : preprocessing.n_scaled]).max() <= 3
    assert preprocessing.codes == [10]
    assert len(preprocessing.made) == matrix.shape[1]


def test_scaling_is_that_of_the_paper():
    x = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 5, 0], [100, 0, 0]])
    x[:, 2] = [1, 1, 1, 1, 3]
    got = Preprocessing().fit_transform(x)
    quartiles = (x[:, 0] - 2) / (3 - 1)
    halves = x[:, 1] / 2.5, (x[:, 2] - 1) / 1
    expected = np.stack([quartiles, *halves], axis=1)
    np.testing.assert_allclose(got, expected / np.sqrt(1 + (expected / 3) ** 2), rtol=1e-6)


def test_weighted_quantiles_are_those_of_rows_that_stand_so_often():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(40, 3)), rng.integers(0, 4, 40)
    at = [0.25, 0.5, 0.75]
    got = weighted_quantiles(None, x, weight.astype(float), at)
    np.testing.assert_array_equal(got, weighted_quantiles(None, x.repeat(weight, axis=0), None, at))
    np.testing.assert_array_equal(got, np.quantile(x.repeat(weight, axis=0), at, axis=0, method="inverted_cdf"))


def test_missing_and_unseen_values_are_predicted_for():
    frame, y = table()
    model = TabularRegressor("fast", random_state=0).fit(frame, y)
    odd = frame.head(4).copy()
    odd["text"] = ["red", "violet", None, "red"]
    odd["kind"] = pd.Categorical(["q", "new", None, "q"])
    odd["delta"] = pd.array([None] * 4, "timedelta64[ns]")
    assert np.isfinite(model.predict(odd)).all()
    unseen = model.preprocessing_.transform(odd)
    places = [i for i, name in enumerate(model.preprocessing_.made) if name.startswith("text: ")]
    np.testing.assert_array_equal(unseen[1, places], unseen[2, places])
    assert unseen[1, -1] == -1 == unseen[2, -1]


def test_frames_of_polars_and_pandas_are_alike():
    frame, y = table()
    other = pl.from_pandas(frame)
    ours = TabularRegressor("fast", random_state=0).fit(frame, y)
    theirs = TabularRegressor("fast", random_state=0).fit(other, pl.Series(y))
    np.testing.assert_array_equal(ours.predict(frame), theirs.predict(other))
    np.testing.assert_array_equal(ours.predict(frame), theirs.predict(frame))
    assert ours.feature_names_in_.tolist() == list(frame.columns) == theirs.feature_names_in_.tolist()


def test_it_learns_from_a_table():
    frame, y = table()
    model = TabularRegressor("fast", random_state=0).fit(frame[:200], y[:200])
    assert model.score(frame[200:], y[200:]) > 0.8
    labels = np.where(y > 1, "high", "low")
    classes = TabularClassifier("fast", random_state=0).fit(frame[:200], labels[:200])
    assert classes.classes_.tolist() == ["high", "low"]
    assert classes.score(frame[200:], labels[200:]) > 0.8
    np.testing.assert_allclose(classes.predict_proba(frame).sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("preset", ["fast", "balanced"])
def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads_and_in_a_pickle(preset):
    frame, y = table(70)
    labels = np.where(y > 1, "high", "low")
    found = [
        TabularClassifier(preset, n_nets=2, random_state=3, n_threads=n).fit(frame, labels).predict_proba(frame)
        for n in (1, 2, 3)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    model = TabularRegressor(preset, n_nets=2, random_state=1).fit(frame, np.stack([y, -y], axis=1))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert model.predict(frame).shape == (70, 2)
    other = clone(model).fit(frame, np.stack([y, -y], axis=1))
    np.testing.assert_array_equal(other.predict(frame), model.predict(frame))


def test_time_limit_bounds_the_fit():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 20))
    model = TabularRegressor("best", time_limit=1.5, random_state=0)
    began = time.perf_counter()
    model.fit(x, x[:, 0] * x[:, 1])
    assert time.perf_counter() - began < 3  # a machine may be busy; without a limit it is minutes
    assert model.score(x, x[:, 0] * x[:, 1]) > 0.1


def test_weights_of_rows():
    x, y = load_diabetes(return_X_y=True)
    weight = np.ones(len(x))
    weight[::3] = 0
    y_odd = y.copy()
    y_odd[::3] = 1e6  # what weighs nothing may be anything
    some = TabularRegressor("fast", random_state=0).fit(x, y_odd, sample_weight=weight)
    kept = weight > 0
    left = TabularRegressor("fast", random_state=0).fit(x[kept], y[kept])
    np.testing.assert_array_equal(some.predict(x), left.predict(x))
    x, y = load_breast_cancer(return_X_y=True)
    plain = TabularClassifier("fast", random_state=0).fit(x[:200], y[:200])
    weighed = TabularClassifier("fast", random_state=0, class_weight={0: 20, 1: 1}).fit(x[:200], y[:200])
    assert weighed.predict_proba(x)[:, 0].mean() > plain.predict_proba(x)[:, 0].mean()


@pytest.mark.parametrize("scoring", [None, "accuracy", "roc_auc", "neg_log_loss"])
def test_the_epoch_is_chosen_by_any_score(scoring):
    x, y = load_breast_cancer(return_X_y=True)
    model = TabularClassifier("fast", scoring=scoring, random_state=0)
    model.fit(x[:300], y[:300], validation_data=(x[300:400], y[300:400]))
    assert model.score(x[400:], y[400:]) > 0.9


def test_few_rows_give_a_sane_model():
    model = TabularRegressor(random_state=0).fit([[1.0], [2.0], [3.0]], [10.0, 20.0, 30.0])
    assert np.all(np.abs(model.predict([[1.0], [2.0], [3.0]]) - [10, 20, 30]) < 5)
    labels = TabularClassifier(random_state=0).fit([[1.0], [2.0], [3.0]], ["a", "a", "b"])
    assert labels.predict([[1.0], [3.0]]).tolist() == ["a", "b"]
    nothing = TabularRegressor(random_state=0).fit([[5.0]] * 4, [1, 2, 3, 4])  # a column of one value
    np.testing.assert_allclose(nothing.predict([[1.0]]), 2.5, atol=1e-3)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2400, 3))
    y = x[:, 0] + np.exp(x[:, 1]) * rng.normal(size=2400)  # the noise depends on the row
    diabetes = load_diabetes(return_X_y=True)
    for preset, (x_all, y_all), rows in (("fast", (x, y), 1200), ("balanced", (x, y), 1200), ("fast", diabetes, 300)):
        model = TabularRegressor(preset, n_nets=2, random_state=0).fit(x_all[:rows], y_all[:rows])
        for coverage in (0.6, 0.9):
            low, high = model.predict_interval(x_all[rows:], coverage)
            hit = np.mean((low <= y_all[rows:]) & (y_all[rows:] <= high))
            assert abs(hit - coverage) < 0.1
    model = TabularRegressor("balanced", n_nets=2, random_state=0).fit(x[:1200], y[:1200])
    low, high = model.predict_interval(x[1200:])
    wide = (high - low)[x[1200:, 1] > 1].mean()
    assert wide > 2 * (high - low)[x[1200:, 1] < -1].mean()
    few = TabularRegressor(random_state=0).fit(x[:40], y[:40])
    low, high = few.predict_interval(x[:5], 0.8)
    assert (low < high).all()
    with pytest.raises(ValueError, match=r"coverage is 0\.99, expected at most 0\.951: 40 rows were held out"):
        few.predict_interval(x[:5], 0.99)
    with pytest.raises(ValueError, match="coverage is 1, expected a number above 0 and below 1"):
        few.predict_interval(x[:5], 1)


def test_importances_and_explanations_are_by_column_of_the_table():
    frame, y = table()
    model = TabularRegressor("fast", random_state=0).fit(frame, y)
    found = dict(zip(frame.columns, model.feature_importances_, strict=True))
    assert {*sorted(found, key=found.get)[-3:]} == {"number", "text", "flag"}
    assert found["same"] == found["name"] == 0
    assert model.permutation_importance_(3, 0).importances.shape == (len(frame.columns), 3)
    one = frame.iloc[[3]]
    told = model.explain(one)
    np.testing.assert_allclose(told.prediction, model.predict(one)[0], rtol=1e-6)
    np.testing.assert_allclose(told.contributions.sum(), told.prediction - told.base, atol=1e-3)
    np.testing.assert_array_equal(model.explain(one.iloc[0].to_dict()).contributions, told.contributions)
    assert "text" in str(told)
    assert "text" in told._repr_html_()
    labels = np.where(y > 1, "high", "low")
    classes = TabularClassifier("fast", random_state=0).fit(frame, labels)
    told = classes.explain(one, "high")
    np.testing.assert_allclose(told.prediction, classes.predict_proba(one)[0, 0], rtol=1e-5)
    np.testing.assert_allclose(told.contributions.sum(), told.prediction - told.base, atol=1e-2)
    assert told.unit == "probability of high"
    with pytest.raises(ValueError, match="target is 'none', expected one of the classes"):
        classes.explain(one, "none")


@pytest.mark.parametrize("embedding", ["pbld", "plr", "piecewise"])
def test_recipes_may_embed_numbers(embedding, monkeypatch):
    frame, y = table()
    recipe = replace(PRESETS["fast"], embedding=embedding, parametric=True, dropout=0.1, decay=0.02, clip=True)
    monkeypatch.setitem(PRESETS, "fast", recipe)
    model = TabularRegressor("fast", random_state=0).fit(frame[:200], y[:200])
    assert model.score(frame[200:], y[200:]) > 0.6
    assert np.ptp(model.predict(frame)) <= np.ptp(y[:200])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(frame), model.predict(frame))


def _fit(model, x, y, **options):
    model.fit(x, y, **options)


FRAME, TARGET = table(30)
REFUSED = {
    "one class": (TabularClassifier(), FRAME, ["a"] * 30, {}, ValueError, "y has one class, 'a'"),
    "no targets": (TabularRegressor(), FRAME, None, {}, ValueError, "the target y is None"),
    "NaN in y": (TabularRegressor(), FRAME, [np.nan] * 30, {}, ValueError, "y contains NaN"),
    "None in y": (TabularClassifier(), FRAME, ["a", None] * 15, {}, ValueError, "y contains NaN: nothing in 15 rows"),
    "rows of y": (TabularRegressor(), FRAME, TARGET[:29], {}, ValueError, "y has 29 rows, expected 30"),
    "text in y": (TabularRegressor(), FRAME, ["a"] * 30, {}, ValueError, "y holds what is no number"),
    "no rows": (TabularRegressor(), FRAME[:0], TARGET[:0], {}, ValueError, "0 sample"),
    "no columns": (TabularRegressor(), FRAME[[]], TARGET, {}, ValueError, r"0 feature\(s\)"),
    "infinity": (TabularRegressor(), FRAME.assign(number=np.inf), TARGET, {}, ValueError, "infinity .* 'number'"),
    "lists": (TabularRegressor(), FRAME.assign(bad=[[1]] * 30), TARGET, {}, TypeError, r"column 'bad' holds \[1\]"),
    "periods": (
        TabularRegressor(), FRAME.assign(bad=pd.period_range("2024", periods=30, freq="D")), TARGET, {}, TypeError,
        r"column 'bad' has the dtype period\[D\], expected numbers, text",
    ),
    "preset": (TabularRegressor("quick"), FRAME, TARGET, {}, ValueError, "preset is 'quick', expected one of 'fast'"),
    "limit": (TabularRegressor(time_limit=0), FRAME, TARGET, {}, ValueError, "time_limit is 0, expected seconds above"),
    "share": (
        TabularRegressor(validation_fraction=1.5), FRAME, TARGET, {}, ValueError,
        "validation_fraction is 1.5, expected a share",
    ),
    "nets": (TabularRegressor(n_nets=0), FRAME, TARGET, {}, ValueError, "n_nets is 0"),
    "columns": (
        TabularRegressor(categorical_features=["nmber"]), FRAME, TARGET, {}, ValueError,
        "categorical_features has 'nmber'",
    ),
    "weights": (TabularRegressor(), FRAME, TARGET, {"sample_weight": [0] * 30}, ValueError, "at least one non-zero"),
    "validation": (
        TabularClassifier(), FRAME, ["a", "b"] * 15, {"validation_data": (FRAME, ["c"] * 30)}, ValueError,
        "validation_data: y has 'c', expected classes of the fit",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_fitted_is_refused(case):
    model, x, y, options, kind, text = REFUSED[case]
    with pytest.raises(kind, match=text):
        _fit(clone(model), x, y, **options)


def test_other_columns_are_refused_at_prediction():
    frame, y = table(80)
    model = TabularRegressor("fast", random_state=0).fit(frame, y)
    for bad, text in (
        (frame.drop(columns="text"), "yet now missing"),
        (frame.rename(columns={"text": "colour"}), "unseen at fit time"),
        (frame[frame.columns[::-1]], "same order"),
        (
            frame.assign(number="a"),
            "column 'number' holds text or booleans, expected numbers, as in the rows of the fit",
        ),
        (frame.assign(day=1.0), "column 'day' holds numbers, expected dates"),
        (frame.assign(text=1.0), "column 'text' holds numbers, expected text or booleans"),
        (frame[:0], "0 sample"),
    ):
        with pytest.raises(ValueError, match=text):
            model.predict(bad)

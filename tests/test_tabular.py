"""Estimators for tables: what becomes of columns, the same bits again, and what is refused."""

import pickle
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.once

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris  # noqa: E402
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from fastnn import MeanOfMembers  # noqa: E402
from fastnn.sklearn import TabularClassifier, TabularRegressor  # noqa: E402
from fastnn.sklearn.calibration import at_temperature, of_mean, temperature_for  # noqa: E402
from fastnn.sklearn.frames import as_table  # noqa: E402
from fastnn.sklearn.plans import weighted_quantiles  # noqa: E402
from fastnn.sklearn.preprocessing import Preprocessing  # noqa: E402
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


def odd_dates(rows=ROWS):
    """Return a frame of columns of dates that are hard to read."""
    days = np.arange(rows)
    moments = np.datetime64("2024-01-01T00:00:00", "s") + 4567 * days
    far = np.where(days % 3 == 0, np.datetime64("9999-12-31"), np.datetime64("1500-01-01") + days)
    gaps = moments.astype("datetime64[us]")
    gaps[::4] = np.datetime64("NaT")
    one = np.full(rows, np.datetime64("2024-05-01T12:30", "us"))
    one[::4] = np.datetime64("NaT")
    return pd.DataFrame(
        {
            "moment": moments,
            "nanoseconds": moments.astype("datetime64[ns]"),
            "far": far.astype("datetime64[s]"),
            "objects": pd.Series([date.item() for date in far], dtype=object),
            "noon": np.datetime64("2024-01-01T12:00", "us") + days.astype("timedelta64[D]"),
            "gaps": gaps,
            "one": one,
            "zone": pd.Series(moments.astype("datetime64[us]")).dt.tz_localize("Europe/Berlin", ambiguous=True),
            "span": days.astype("timedelta64[D]") * 1000,
        }
    )


def test_what_becomes_of_a_row_does_not_depend_on_the_others():
    frames = [table()[0], odd_dates(), table()[0][["text", "flag"]], pl.from_pandas(odd_dates())]
    frames.append(pd.DataFrame({"mixed": pd.Series(["a", 1, True, 2.5, None, "b"] * 50, dtype=object)}))
    frames.append(pd.DataFrame({"name": [None if i % 3 else f"row {i}" for i in range(ROWS)], "same": 1}))
    for frame in frames:
        preprocessing = Preprocessing().fit(frame)
        whole = preprocessing.transform(frame)
        assert np.isfinite(whole).all()
        for i in range(40):
            np.testing.assert_array_equal(preprocessing.transform(frame[i : i + 1]), whole[i : i + 1])
    frame = odd_dates()
    y = 3 * np.sin(frame["moment"].dt.hour * (2 * np.pi / 24)) + (frame["one"].isna())
    model = TabularRegressor("fast", random_state=0).fit(frame, y)
    assert model.score(frame, y) > 0.9
    whole = model.predict(frame)
    np.testing.assert_allclose([model.predict(frame[i : i + 1])[0] for i in range(20)], whole[:20], rtol=1e-5)
    np.testing.assert_allclose(model.explain(frame[1:2]).prediction, whole[1], rtol=1e-5)
    for row in (frame.iloc[1].to_dict(), frame.iloc[1]):
        np.testing.assert_allclose(model.explain(row).prediction, whole[1], rtol=1e-5)


def test_dates_beyond_nanoseconds_are_read_as_they_are():
    frame = odd_dates()
    for given in (frame, pl.from_pandas(frame), frame.astype({"far": object})):
        preprocessing = Preprocessing().fit(given)
        plans = {plan.name: plan for plan in preprocessing.plans}
        year = plans["far"].numbers(frame["far"].to_numpy().astype("datetime64[us]"))[:, 1]
        assert (year.min(), year.max()) == (1500, 9999)
        assert plans["far"].parts == plans["objects"].parts
        assert "sine of the day" not in plans["far"].parts + plans["noon"].parts
        assert {"sine of the day", "cosine of the day"} <= {*plans["moment"].parts, *plans["zone"].parts}
        assert plans["one"].said == "a mark where it is missing"
    pa = pytest.importorskip("pyarrow")
    zone = frame[["zone"]]
    expected = Preprocessing().fit(zone).transform(zone)
    of_arrow = zone.astype(pd.ArrowDtype(pa.timestamp("us", tz="Europe/Berlin")))
    for given in (pl.from_pandas(zone), zone.astype(object), of_arrow, pa.Table.from_pandas(zone)):
        np.testing.assert_array_equal(Preprocessing().fit(as_table("", given)).transform(as_table("", given)), expected)
    dates = pl.DataFrame({"day": frame["far"].dt.date.tolist()})
    assert dates.schema["day"] == pl.Date
    assert Preprocessing().fit(dates).plans[0].parts == plans["far"].parts


def test_text_that_occurs_once_keeps_that_it_is_missing():
    missing = np.random.default_rng(0).random(ROWS) < 0.5
    frame = pd.DataFrame({"name": [None if m else f"row {i}" for i, m in enumerate(missing)]})
    model = TabularClassifier("fast", random_state=0).fit(frame, missing)
    assert model.score(frame, missing) == 1
    assert model.predict(pd.DataFrame({"name": ["new", None]})).tolist() == [False, True]


def test_frames_of_polars_and_pandas_are_alike():
    pytest.importorskip("sklearn", "1.9")  # before, it reads names by a protocol that polars has no more
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
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was enough for one epoch
        model.fit(x, x[:, 0] * x[:, 1])
    assert time.process_time() - began < 6  # of all threads, whoever else is at work; without a limit it is minutes
    assert np.isfinite(model.predict(x)).all()  # how good they are depends on the machine


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


SCORINGS = {
    "NaN": (lambda net, x, y: float("nan"), "it was NaN"),
    "one class": ("roc_auc", r"lack the classes \['malignant'\]"),
    "no probability of one": ("neg_log_loss", r"lack the classes \['malignant'\]: "),
}


@pytest.mark.parametrize("case", SCORINGS)
def test_where_a_score_is_no_number_the_loss_chooses(case):
    scoring, why = SCORINGS[case]
    x, y = load_breast_cancer(return_X_y=True)
    y = np.where(y == 1, "benign", "malignant")
    held = y[:300] == "benign" if isinstance(scoring, str) else np.arange(300) < 100
    given = (x[:300][held], y[:300][held])
    plain = TabularClassifier("fast", random_state=0).fit(x[300:], y[300:], validation_data=given)
    model = TabularClassifier("fast", scoring=scoring, random_state=0)
    with pytest.warns(UserWarning, match=f"scoring gave no number in any epoch, so the validation loss has.*{why}"):
        model.fit(x[300:], y[300:], validation_data=given)
    np.testing.assert_array_equal(model.predict_proba(x), plain.predict_proba(x))


def test_scores_of_three_classes_of_one_row_and_of_weights():
    x, y = load_iris(return_X_y=True)
    TabularClassifier("fast", scoring="neg_log_loss", random_state=0).fit(x, y)  # rounded sums of 1 are no warning
    weight = 1.0 + np.arange(150) % 2
    for scoring in (lambda net, x, y: (net.predict(x) == y).mean(), "accuracy"):
        TabularClassifier("fast", scoring=scoring, random_state=0).fit(x, y, sample_weight=weight)
    model = TabularClassifier("fast", scoring="roc_auc_ovr", random_state=0)
    with pytest.warns(UserWarning, match="scoring gave no number"):
        model.fit(x[:101], y[:101])
    assert model.score(x[:100], y[:100]) > 0.9


def test_temperatures_below_1_need_errors():
    labels = np.arange(200) % 2
    right = np.where(np.eye(2)[labels], 0.7, 0.3)
    assert temperature_for(right, labels) == 1
    wrong = right.copy()
    wrong[::20] = wrong[::20, ::-1]
    assert 0.7 < temperature_for(wrong, labels) < 1
    assert temperature_for(np.repeat(wrong, 50, axis=0), np.repeat(labels, 50)) < 0.55


@pytest.mark.parametrize("labels", [[3, 5], [True, False], ["a", "b"], [2.0, 7.0]])
def test_labels_that_are_objects_are_scored_as_they_are_learnt(labels):
    x = np.random.default_rng(0).normal(size=(80, 3))
    y = np.array(labels)[(x[:, 0] > 0).astype(int)]
    model = TabularClassifier("fast", n_nets=1, random_state=0).fit(x, y.astype(object))
    assert model.score(x, y.astype(object)) == model.score(x, y) == (model.predict(x) == y).mean() > 0.9
    with pytest.raises(ValueError, match=r"y holds .* expected labels of one kind"):
        model.score(x, np.array([1, "a"] * 40, object))


def test_temperatures_of_many_probabilities_are_those_of_some_rows(monkeypatch):
    rng = np.random.default_rng(0)
    labels, weight = rng.integers(0, 5, 999), rng.uniform(size=999)
    p = 0.3 * np.eye(5)[labels] + 0.7 * rng.dirichlet(np.ones(5), 999)
    monkeypatch.setattr("fastnn.sklearn.calibration._MOST", 2000)
    some = temperature_for(p, labels, weight)
    monkeypatch.setattr("fastnn.sklearn.calibration._MOST", 10**6)
    assert some == temperature_for(p[::3], labels[::3], weight[::3]) != temperature_for(p, labels, weight)


def test_frames_of_half_precision_are_read_without_a_warning():
    pandas = pytest.importorskip("pandas")
    x = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float16)
    y = (x[:, 0] > 0).astype(int)
    model = TabularClassifier("fast", n_nets=1, random_state=0).fit(pandas.DataFrame(x), y)
    assert (model.predict(pandas.DataFrame(x)) == model.predict(pandas.DataFrame(x.astype(np.float32)))).all()


def test_a_fit_that_fails_changes_nothing():
    x, y = load_iris(return_X_y=True)
    for model in (TabularClassifier("fast", random_state=0), TabularRegressor("fast", random_state=0)):
        with pytest.raises(ValueError, match="infinity"):
            model.fit(np.full((9, 2), np.inf), np.arange(9) % 2)
        assert not [name for name in vars(model) if name not in model.get_params()]
        model.fit(x, y)
        before = {**vars(model)}
        for bad_x, bad_y in ((x[:20, :2], np.full(20, np.nan)), (np.full((9, 2), np.inf), np.arange(9) % 2)):
            with pytest.raises(ValueError, match="infinity"):
                model.fit(bad_x, bad_y)
            assert vars(model).keys() == before.keys()
            assert all(vars(model)[name] is value for name, value in before.items())


def test_it_is_a_step_of_pipelines_and_searches():
    x, y = load_iris(return_X_y=True)
    for model in (TabularClassifier("fast", random_state=0), TabularRegressor("fast", random_state=0)):
        assert make_pipeline(StandardScaler(), model).fit(x, y).score(x, y) > 0.9
        assert cross_val_score(model, x, y, cv=StratifiedKFold(2, shuffle=True, random_state=0)).min() > 0.8
        search = GridSearchCV(model, {"validation_fraction": [None, 0.3]}, cv=StratifiedKFold(2, shuffle=True)).fit(
            x, y
        )
        assert search.best_score_ > 0.8
        assert len(search.cv_results_["params"]) == 2


def test_few_rows_give_a_sane_model():
    model = TabularRegressor(random_state=0).fit([[1.0], [2.0], [3.0]], [10.0, 20.0, 30.0])
    assert np.all(np.abs(model.predict([[1.0], [2.0], [3.0]]) - [10, 20, 30]) < 5)
    labels = TabularClassifier(random_state=0).fit([[1.0], [2.0], [3.0]], ["a", "a", "b"])
    assert labels.predict([[1.0], [3.0]]).tolist() == ["a", "b"]
    nothing = TabularRegressor(random_state=0).fit([[5.0]] * 4, [1, 2, 3, 4])  # a column of one value
    np.testing.assert_allclose(nothing.predict([[1.0]]), 2.5, atol=1e-3)
    np.testing.assert_allclose(nothing.explain([1.0]).prediction, 2.5, atol=1e-3)
    nothing = TabularRegressor(random_state=0).fit(pd.DataFrame({"a": [5.0] * 4}), [1, 2, 3, 4])
    np.testing.assert_allclose(nothing.predict(pd.DataFrame({"a": [5.0] * 3})), 2.5, atol=1e-3)


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


def test_nets_of_several_recipes_are_trained_on_the_same_folds(monkeypatch):
    frame, y = table()
    plain = replace(PRESETS["fast"], nets=5)
    tabm = replace(plain, members=4, hidden=(32, 32), embedding="piecewise", embedded=4)
    monkeypatch.setitem(PRESETS, "fast", replace(plain, others=(tabm,)))
    model = TabularRegressor("fast", random_state=0).fit(frame[:200], y[:200])
    assert model.score(frame[200:], y[200:]) > 0.8
    kinds = [any(isinstance(layer, MeanOfMembers) for layer in net.layers) for net in model.nets_]
    assert kinds == [False, True, False, True, False]
    assert [len(part.nets) for part in model._kept] == [2, 2, 1]
    told = model.explain(frame[:1])
    np.testing.assert_allclose(told.prediction, model.predict(frame[:1])[0], rtol=1e-5)
    labels = np.where(y > 1, "high", "low")
    classes = TabularClassifier("fast", n_nets=2, random_state=0).fit(frame[:200], labels[:200])  # both on one hold-out
    assert [len(part.nets) for part in classes._kept] == [2]
    assert classes.score(frame[200:], labels[200:]) > 0.8
    limited = TabularRegressor("fast", time_limit=5, random_state=0).fit(frame, y)
    assert len({(recipe.epochs, recipe.row_budget) for recipe in (limited.recipe_, *limited.recipe_.others)}) == 1
    again = pickle.loads(pickle.dumps(classes))
    np.testing.assert_array_equal(again.predict_proba(frame), classes.predict_proba(frame))


def test_probabilities_are_the_mean_at_a_temperature():
    x, y = load_breast_cancer(return_X_y=True)
    model = TabularClassifier("fast", random_state=0).fit(x[::2], y[::2])
    outputs = np.mean([net.predict(model.preprocessing_.transform(x)) for net in model.nets_], axis=0, dtype=float)
    expected = at_temperature(outputs, model.temperature_)
    np.testing.assert_allclose(model.predict_proba(x), expected / expected.sum(axis=1, keepdims=True), rtol=1e-12)
    assert -np.log(model.predict_proba(x[1::2])[np.arange(284), y[1::2]]).mean() < 0.15  # one net says 0.3
    assert of_mean(1.0, 3) == 1
    assert 0.89 < of_mean(1.0001, 1) < of_mean(1.0001, 2) < 1  # the mean is less sure than each


def _fit(model, x, y, **options):
    model.fit(x, y, **options)


FRAME, TARGET = table(30)
REFUSED = {
    "one class": (TabularClassifier(), FRAME, ["a"] * 30, {}, ValueError, "y has one class, 'a'"),
    "no targets": (TabularRegressor(), FRAME, None, {}, ValueError, "the target y is None"),
    "NaN in y": (TabularRegressor(), FRAME, [np.nan] * 30, {}, ValueError, "y contains NaN"),
    "None in y": (TabularClassifier(), FRAME, ["a", None] * 15, {}, ValueError, "y contains NaN: missing in 15 rows"),
    "columns of labels": (
        TabularClassifier(), FRAME, np.zeros((30, 2), int), {}, ValueError,
        r"got an array of shape \(30, 2\) instead: of several columns of labels MLPClassifier trains one net",
    ),
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
    "weights": (TabularRegressor(), FRAME, TARGET, {"sample_weight": [0] * 30}, ValueError, "non-zero|weights are 0"),
    "three dimensions": (TabularRegressor(), FRAME, np.zeros((30, 2, 2)), {}, ValueError, r"y has shape \(30, 2, 2\)"),
    "no target": (TabularRegressor(), FRAME, np.zeros((30, 0)), {}, ValueError, r"y has shape \(30, 0\), expected"),
    "labels of three dimensions": (
        TabularClassifier(), FRAME, np.zeros((30, 2, 2), int), {}, ValueError, r"y has shape \(30, 2, 2\)",
    ),
    "dates as targets": (TabularRegressor(), FRAME, FRAME["delta"], {}, ValueError, "y holds time spans, expected num"),
    "spans as targets": (
        TabularRegressor(), FRAME, np.arange(30).astype("M8[D]"), {}, ValueError, "y holds dates, expected numbers",
    ),
    "large targets": (TabularRegressor(), FRAME, TARGET * 1e200, {}, ValueError, "beyond float32's range: .*e.200 in"),
    "larger targets": (TabularRegressor(), FRAME, [10**400] * 30, {}, ValueError, "beyond float32's range"),
    "large numbers": (
        TabularRegressor(), FRAME.assign(bad=np.array([10**400] * 30, object)), TARGET, {}, ValueError,
        "column 'bad' holds a whole number beyond float64's range",
    ),
    "large years": (
        TabularRegressor(), np.arange(30)[:, None].astype("M8[Y]") + 300_000, TARGET, {}, ValueError,
        "column 'x0' holds the date 301970, expected dates within",
    ),
    "dates and text": (
        TabularRegressor(), FRAME.assign(bad=[pd.Timestamp("2024"), "x"] * 15), TARGET, {}, TypeError,
        "column 'bad' holds Timestamp.* and 'x', expected values of one kind",
    ),
    "dates as categories": (
        TabularRegressor(categorical_features=["day"]), FRAME, TARGET, {}, ValueError, "'day', which holds dates",
    ),
    "lazy frame": (TabularRegressor(), pl.from_pandas(FRAME).lazy(), TARGET, {}, TypeError, r"X\.collect\(\) reads"),
    "endless": (TabularRegressor(time_limit=np.inf), FRAME, TARGET, {}, ValueError, "time_limit is inf, expected sec"),
    "NaN seconds": (TabularRegressor(time_limit=np.nan), FRAME, TARGET, {}, ValueError, "time_limit is nan, expected"),
    "true seconds": (TabularRegressor(time_limit=True), FRAME, TARGET, {}, ValueError, "time_limit is True, expected"),
    "scoring": (TabularRegressor(scoring=3), FRAME, TARGET, {}, TypeError, "scoring is 3, expected the name of a"),
    "scoring's name": (TabularRegressor(scoring="r3"), FRAME, TARGET, {}, ValueError, "scoring is 'r3', expected a"),
    "all set aside": (
        TabularRegressor(validation_fraction=0.999), FRAME, TARGET, {}, ValueError,
        "validation_fraction is 0.999, of 30 rows all: expected less",
    ),
    "true share": (TabularRegressor(validation_fraction=False), FRAME, TARGET, {}, ValueError, "fraction is False, e"),
    "many nets": (
        TabularRegressor(n_nets=100), pd.concat([FRAME] * 3), [*TARGET] * 3, {}, ValueError,
        "n_nets is 100, expected at most 90",
    ),
    "negative class": (
        TabularClassifier(class_weight={"a": -1, "b": 1}), FRAME, ["a", "b"] * 15, {}, ValueError,
        "class_weight of 'a' is -1, expected a finite number >= 0",
    ),
    "list of classes": (
        TabularClassifier(class_weight=[1, 2]), FRAME, ["a", "b"] * 15, {}, ValueError,
        r"class_weight is \[1, 2\], expected a dict",
    ),
    "other classes": (
        TabularClassifier(class_weight={"a": 1, "c": 1}), FRAME, ["a", "b"] * 15, {}, ValueError,
        r"class_weight has weights for \['a', 'c'\], expected one for each of the classes \['a', 'b'\]",
    ),
    "verbose": (TabularRegressor(verbose="yes"), FRAME, TARGET, {}, TypeError, "verbose is 'yes', expected True or"),
    "validation's targets": (
        TabularRegressor(), FRAME, TARGET, {"validation_data": (FRAME, np.zeros((30, 2)))}, ValueError,
        "validation_data: y has 2 targets, expected 1",
    ),
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


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # of polars, by scikit-learn before 1.9
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
        (frame.assign(text=1.0), r"column 'text' holds numbers or booleans \(1.0\), expected text, as in"),
        (frame.assign(text=frame["flag"]), "column 'text' holds numbers or booleans .*, expected text"),
        (frame.assign(flag=frame["flag"].astype(str)), r"column 'flag' holds text \('.*'\), expected numbers or bool"),
        (frame.assign(kind=b"q"), "column 'kind' holds bytes .*, expected text"),
        (frame.assign(number=np.inf), "infinity .* column 'number'"),
        (frame.assign(whole=np.array([-np.inf] * 80, object)), "infinity .* column 'whole'"),
        (pl.from_pandas(frame).with_columns(number=pl.lit(float("inf"))), "infinity .* column 'number'"),
        (frame.assign(delta="3 days"), "column 'delta' holds text or booleans, expected numbers"),
        (frame[:0], "0 sample"),
    ):
        with pytest.raises(ValueError, match=text):
            model.predict(bad)
    np.testing.assert_array_equal(model.predict(frame.assign(flag=frame["flag"] * 1.0)), model.predict(frame))
    numbers = pd.DataFrame({"p": np.arange(80) % 4})
    model = TabularRegressor("fast", categorical_features=["p"], random_state=0).fit(numbers, y)
    with pytest.raises(ValueError, match=r"column 'p' holds text \('0'\), expected numbers or booleans"):
        model.predict(numbers.astype(str))
    np.testing.assert_array_equal(model.predict(numbers * 1.0), model.predict(numbers))
    with pytest.raises(ValueError, match="explain: row has 'q', expected the columns of the fit alone"):
        model.explain({"p": 1, "q": 2})


def test_the_recipe_is_that_of_rows():
    rng = np.random.default_rng(0)
    for preset, rows, expected in (
        ("balanced", 1000, (0.1, 4, "piecewise", ())),
        ("balanced", 999, (0, 4, "piecewise", ())),
        ("balanced", 150, (0, 4, "piecewise", ())),
        ("balanced", 149, (0, 0, "", ())),
        ("balanced", 64, (0, 0, "", ())),
        ("fast", 1000, (0.1, 0, "", ())),
        ("fast", 999, (0, 0, "", ())),
        ("best", 1000, (0.1, 4, "piecewise", (0.1, 0.1))),
        ("best", 999, (0, 4, "piecewise", (0, 0))),
        ("best", 149, (0, 0, "", ())),
    ):
        x = rng.normal(size=(rows, 4))
        model = TabularClassifier(preset, n_nets=1, validation_fraction=0.2, random_state=0).fit(x, x[:, 0] > 0)
        found = model.recipe_
        smoothing = tuple(other.smoothing for other in found.others)
        assert (found.smoothing, found.members, found.embedding, smoothing) == expected
        assert model.score(x, x[:, 0] > 0) > 0.9
    assert [PRESETS[name].nets for name in PRESETS] == [3, 4, 15]


def test_a_time_limit_of_one_epoch_is_told():
    frame, y = table()
    with pytest.warns(UserWarning, match="time_limit=1e-09 was enough for one epoch"):
        TabularRegressor(time_limit=1e-9).fit(frame, y)

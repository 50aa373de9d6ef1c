"""The estimators inside scikit-learn's tools: each use works, and has the result that plain arrays give.

One table of uses. Where scikit-learn's own class could be put in the place of ours, the use is the same.
"""

import pickle
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, SequentialFeatureSelector
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastnn.sklearn import MLPClassifier, MLPRegressor

IRIS, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"], dtype=object)
NUMBERS, TARGETS = make_regression(120, 4, noise=1.0, random_state=0)
TARGETS = TARGETS / TARGETS.std()
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, 150)
SHORT = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.03, "batch_size": 32, "max_iter": 40, "random_state": 0}
DATA = {"classifier": (IRIS, NAMES[LABELS]), "regressor": (NUMBERS, TARGETS)}
# They are trained for few epochs, and say so
pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings(
        "ignore:scipy.optimize. The .disp. and .iprint.:DeprecationWarning"
    ),  # by scikit-learn 1.6
]


def classifier(**settings):
    return MLPClassifier(**{**SHORT, **settings})


def regressor(**settings):
    return MLPRegressor(**{**SHORT, **settings})


def short(kind, **settings):
    return {"classifier": classifier, "regressor": regressor}[kind](**settings)


def importance(model):
    return np.abs(model.coefs_[0]).sum(axis=1)


# -- what is made of an estimator, and what it scores at least --------------------------------------------------------

USES = {
    "pipeline": (lambda e: make_pipeline(StandardScaler(), e), "both"),
    "grid search": (lambda e: GridSearchCV(e, {"alpha": [1e-4, 1e-2], "activation": ["tanh", "relu"]}, cv=2), "both"),
    "grid search in processes": (lambda e: GridSearchCV(e, {"alpha": [1e-4, 1e-2]}, cv=2, n_jobs=2), "both"),
    "halving search": (
        lambda e: HalvingRandomSearchCV(
            e, {"alpha": [1e-5, 1e-4, 1e-3, 1e-2]}, resource="max_iter", max_resources=40, min_resources=10, cv=2,
            random_state=0,
        ),
        "both",
    ),
    "voting": (
        lambda e: VotingClassifier([("net", e), ("other", LogisticRegression(max_iter=500))], voting="soft"),
        "classifier",
    ),
    "stacking": (
        lambda e: StackingClassifier([("net", e)], LogisticRegression(max_iter=500), cv=3),
        "classifier",
    ),
    "bagging": (lambda e: BaggingClassifier(e, 3, random_state=0), "classifier"),
    "bagging in threads": (lambda e: BaggingClassifier(e, 3, random_state=0, n_jobs=2), "classifier"),
    "boosting": (lambda e: AdaBoostClassifier(e, n_estimators=3, random_state=0), "classifier"),
    "calibration": (lambda e: CalibratedClassifierCV(e, cv=3), "classifier"),
    "calibration, isotonic": (lambda e: CalibratedClassifierCV(e, method="isotonic", ensemble=False), "classifier"),
    "voting of numbers": (lambda e: VotingRegressor([("net", e), ("other", Ridge())]), "regressor"),
    "stacking of numbers": (lambda e: StackingRegressor([("net", e)], Ridge(), cv=3), "regressor"),
    "bagging of numbers": (lambda e: BaggingRegressor(e, 3, random_state=0), "regressor"),
    "boosting of numbers": (lambda e: AdaBoostRegressor(e, n_estimators=3, random_state=0), "regressor"),
    "targets that are transformed": (
        lambda e: TransformedTargetRegressor(e, transformer=StandardScaler()), "regressor",
    ),
    "elimination of features": (
        lambda e: RFE(e, n_features_to_select=3, importance_getter=importance), "both",
    ),
    "choice of features": (
        lambda e: make_pipeline(SequentialFeatureSelector(e, n_features_to_select=1, cv=2), clone(e)), "both",
    ),
}  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_tools_take_the_estimators(use):
    make, kinds = USES[use]
    for kind in ("classifier", "regressor") if kinds == "both" else (kinds,):
        x, y = DATA[kind]
        tool = make(short(kind))
        if "processes" in use or "threads" in use:
            with joblib.parallel_backend("loky" if "processes" in use else "threading"):
                tool.fit(x, y)
        else:
            tool.fit(x, y)
        predicted = tool.predict(x)
        assert tool.score(x, y) > (0.3 if use == "choice of features" else 0.8), kind
        again = pickle.loads(pickle.dumps(clone(tool).fit(x, y)))
        np.testing.assert_array_equal(again.predict(x), predicted, err_msg=kind)
        if kind == "classifier":
            assert set(predicted) <= set(NAMES)
            np.testing.assert_allclose(tool.predict_proba(x).sum(axis=1), 1, rtol=1e-6)


def test_searches_find_what_single_fits_do():
    x, y = DATA["classifier"]
    search = GridSearchCV(classifier(), {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(2,), (8,)]}, cv=3).fit(x, y)
    for settings, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        assert cross_val_score(classifier(**settings), x, y, cv=3).mean() == score
    alone = classifier(**search.best_params_).fit(x, y)
    np.testing.assert_array_equal(search.best_estimator_.coefs_[0], alone.coefs_[0])


def test_cross_validation_is_the_same_in_any_backend():
    x, y = DATA["regressor"]
    expected = cross_validate(regressor(), x, y, cv=3, scoring=["r2", "neg_mean_absolute_error"])
    for backend in ("threading", "loky"):
        with joblib.parallel_backend(backend, n_jobs=2):
            found = cross_validate(regressor(), x, y, cv=3, scoring=["r2", "neg_mean_absolute_error"], n_jobs=2)
        for name in ("test_r2", "test_neg_mean_absolute_error"):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{backend} {name}")
    by_hand = [
        regressor().fit(np.delete(x, rows, 0), np.delete(y, rows)).predict(x[rows])
        for rows in np.split(np.arange(120), 3)
    ]
    np.testing.assert_array_equal(cross_val_predict(regressor(), x, y, cv=3), np.concatenate(by_hand))
    sizes, _, scores = learning_curve(regressor(), x, y, train_sizes=[0.5, 1.0], cv=3)
    assert sizes.tolist() == [40, 80]
    assert np.isfinite(scores).all()


def test_importance_and_dependence():
    for kind, (x, y) in DATA.items():
        noise = np.c_[x, np.random.default_rng(0).normal(size=len(x))]
        model = short(kind, alpha=1.0).fit(noise, y)
        found = permutation_importance(model, noise, y, n_repeats=5, random_state=0).importances_mean
        assert found[-1] < found[:-1].max() / 5, kind
    grid = partial_dependence(model, noise, [0], grid_resolution=4)
    changed = noise.copy()
    for value, mean in zip(grid["grid_values"][0], grid["average"][0], strict=True):
        changed[:, 0] = value
        np.testing.assert_allclose(model.predict(changed).mean(), mean, rtol=1e-12)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_give_what_arrays_give(library):
    frames = pytest.importorskip(library)
    if library == "polars":
        pytest.importorskip("sklearn", "1.9")  # before, it reads names by a protocol that polars has no more
    for kind, (x, y) in DATA.items():
        names = [f"feature {i}" for i in range(x.shape[1])]
        frame, target = frames.DataFrame(dict(zip(names, x.T, strict=True))), frames.Series(y.tolist())
        expected = make_pipeline(StandardScaler(), short(kind)).fit(x, y)
        pipe = make_pipeline(StandardScaler(), short(kind)).set_output(transform=library).fit(frame, target)
        assert pipe[-1].feature_names_in_.tolist() == names
        assert isinstance(pipe[:-1].transform(frame), frames.DataFrame)
        assert pipe.score(frame, y) == pytest.approx(expected.score(x, y), rel=1e-5)
        alone, expected = short(kind).fit(frame, target), short(kind).fit(x, y)
        np.testing.assert_array_equal(alone.coefs_[0], expected.coefs_[0])
        np.testing.assert_array_equal(alone.predict(frame), expected.predict(x))
        with pytest.raises(ValueError, match="feature names should match"):
            alone.predict(frame[names[::-1]])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            alone.predict(x)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_labels_of_any_kind(library):
    frames = pytest.importorskip(library)
    texts = NAMES[LABELS]
    dtype = "category" if library == "pandas" else frames.Categorical
    expected = classifier().fit(IRIS, LABELS)
    for labels in (texts, texts.astype("U"), texts.tolist(), frames.Series(texts.tolist(), dtype=dtype),
                   frames.Series(texts.tolist())):  # fmt: skip
        model = classifier().fit(IRIS, labels)
        assert model.classes_.tolist() == NAMES.tolist()
        np.testing.assert_array_equal(model.predict_proba(IRIS), expected.predict_proba(IRIS))
        np.testing.assert_array_equal(model.predict(IRIS), NAMES[expected.predict(IRIS)])
        assert model.score(IRIS, labels) == expected.score(IRIS, LABELS)
    for labels, kind in ((LABELS > 0, bool), (LABELS - 5, np.integer), (LABELS.astype(float), np.floating)):
        model = classifier().fit(IRIS, labels)
        assert isinstance(model.predict(IRIS[:1])[0], (kind, np.bool_))
        assert model.score(IRIS, labels) > 0.9


def places(numbers, labels):
    """Data that scikit-learn refuses without a place, or takes as other numbers than are meant: and what is said."""
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame, days = pd.DataFrame(numbers, columns=[*"abcd"]), pd.date_range("2020", periods=len(numbers))
    odd = np.where(np.arange(len(numbers)) == 7, np.nan, 1.0)
    mixed = np.array([None, *labels[1:]], object)
    return [
        (frame.assign(b=odd), labels, "X is NaN at row 7, column 'b'"),
        (frame.assign(b=1 / np.nan_to_num(odd, nan=0.0)), labels, "X is infinite, .* at row 7, column 'b'"),
        (frame.assign(c="word"), labels, "X: column 'c' holds text"),
        (frame.assign(c=days), labels, "X: column 'c' holds dates"),
        (frame.assign(c=days - days[0]), labels, "X: column 'c' holds durations"),
        (frame.assign(c=[[1]] * len(numbers)), labels, "X: column 'c' holds list objects"),
        (frame.set_axis([*"abca"], axis=1), labels, "X has more than one column named 'a'"),
        (frame[[]], labels, r"X has shape \(150, 0\), expected at least one column"),
        (np.where(np.arange(4) == 2, odd[:, None], numbers), labels, "X is NaN at row 7, column 2"),
        (np.ma.masked_greater(numbers, 5), labels, "X has masked entries: fill them, or leave such rows out"),
        (pl.DataFrame({"a": numbers[:, 0], "day": days}), labels, "X: column 'day' holds dates"),
        (pl.DataFrame({"a": numbers[:, 0]}).lazy(), labels, "X is a LazyFrame"),
        (numbers, np.ma.masked_equal(LABELS, 1), "y has masked entries"),
        (numbers, labels.astype("T"), r"y has the dtype StringDType\(\), .*: y.astype\(object\)"),
        (numbers, np.where(odd == 1, LABELS, odd), "y is NaN at row 7"),
        (numbers, mixed, "Input y contains NaN: missing in 1 row, row 0 the first"),
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes since Python 3.11")
@pytest.mark.filterwarnings("ignore:invalid value encountered", "ignore:divide by zero")
def test_errors_about_data_say_where():
    cases = places(IRIS, NAMES[LABELS])
    assert len(cases) == 16
    for x, y, message in cases:
        with pytest.raises((ValueError, TypeError), match=f"MLPClassifier: {message}"):
            classifier().fit(x, y)
        if y is cases[0][1]:
            with pytest.raises((ValueError, TypeError), match=f"MLPRegressor: {message}"):
                regressor().fit(x, LABELS)
    with pytest.raises(ValueError, match=f"MLPClassifier: {cases[-1][2]}"):
        classifier().partial_fit(IRIS, cases[-1][1], classes=NAMES)
    with pytest.raises(ValueError, match="MLPClassifier: sample_weight has masked entries"):
        classifier().fit(IRIS, LABELS, sample_weight=np.ma.masked_less(WEIGHTS, 1))
    model = classifier().fit(IRIS, LABELS)
    for x, _, message in cases[8:10]:
        with pytest.raises(ValueError, match=f"MLPClassifier: {message}"):
            model.predict(x)


def test_columns_of_texts_by_a_transformer():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(IRIS, columns=list("abcd")).assign(kind=pandas.Categorical(NAMES[LABELS]))
    pipe = make_pipeline(
        ColumnTransformer([("kind", OneHotEncoder(sparse_output=True), ["kind"])], remainder="passthrough"),
        classifier(),
    )
    assert pipe.fit(frame, LABELS).score(frame, LABELS) == 1.0


def test_routed_weights():
    """Weights that are asked for come to the net, through pipelines, searches and what they hold; others do not."""
    for kind, (x, y) in DATA.items():
        weight = WEIGHTS[: len(x)]
        weighted, plain = short(kind).fit(x, y, sample_weight=weight), short(kind).fit(x, y)
        assert not np.array_equal(weighted.coefs_[0], plain.coefs_[0])
        with sklearn.config_context(enable_metadata_routing=True):
            asks = short(kind).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            declines = short(kind).set_fit_request(sample_weight=False).set_score_request(sample_weight=False)
            pipe = make_pipeline(asks).fit(x, y, sample_weight=weight)
            np.testing.assert_array_equal(pipe[-1].coefs_[0], weighted.coefs_[0])
            search = GridSearchCV(asks, {"alpha": [1e-4]}, cv=2)
            np.testing.assert_array_equal(
                clone(search).fit(x, y, sample_weight=weight).best_estimator_.coefs_[0], weighted.coefs_[0]
            )
            pipe = make_pipeline(search).fit(x, y, sample_weight=weight)
            np.testing.assert_array_equal(pipe[-1].best_estimator_.coefs_[0], weighted.coefs_[0])
            with pytest.raises(TypeError, match="not routed to any object"):
                make_pipeline(declines).fit(x, y, sample_weight=weight)
            np.testing.assert_array_equal(make_pipeline(declines).fit(x, y)[-1].coefs_[0], plain.coefs_[0])
            with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
                make_pipeline(short(kind)).fit(x, y, sample_weight=weight)


def test_boosting_hands_on_weights():
    """What AdaBoost trains its second net with are the weights that follow from the errors of the first."""
    x, y = IRIS[:, :1], LABELS == 1
    boosted = AdaBoostClassifier(classifier(), n_estimators=2, learning_rate=0.5, random_state=0).fit(x, y)
    first, second = boosted.estimators_
    wrong = first.predict(x) != y
    weight = np.where(wrong, np.exp(boosted.estimator_weights_[0]), 1.0) / len(y)
    again = clone(second).fit(x, y, sample_weight=weight / weight.sum())
    assert wrong.any()
    np.testing.assert_allclose(again.coefs_[0], second.coefs_[0], rtol=1e-6)


def test_many_outputs_inside():
    x, y = DATA["regressor"]
    both = np.c_[y, -y]
    model = regressor(max_iter=200).fit(x, both)
    assert model.predict(x).shape == both.shape
    assert MultiOutputRegressor(regressor()).fit(x, both).score(x, both) > 0.9
    labels = np.c_[y > 0, y > 1].astype(int)
    assert ClassifierChain(classifier()).fit(x, labels).score(x, labels) > 0.8
    assert classifier(max_iter=200).fit(x, labels).predict(x).shape == labels.shape


@pytest.mark.parametrize("kind", DATA)
def test_copies_are_the_same(kind, tmp_path):
    x, y = DATA[kind]
    model = short(kind).fit(x, y)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "n_features_in_")
    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    for copy in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib"), fresh.fit(x, y)):
        np.testing.assert_array_equal(copy.predict(x), model.predict(x))
        copy.coefs_[0][...] = 0
        assert not np.array_equal(copy.predict(x), model.predict(x))
    assert repr(model).startswith(type(model).__name__ + "(")
    assert "sk-" in model._repr_html_()

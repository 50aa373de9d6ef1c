"""`categorical_features` of the MLPs: what columns become, what is unseen or missing, all ways to train and predict."""

import pickle
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from fastnn.layers import Embedding
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
N = 200
CITY, KIND, SIDE = RNG.integers(0, 12, N), RNG.integers(0, 3, N), RNG.integers(0, 2, N)
NUMBER = RNG.normal(size=N)
FRAME = pd.DataFrame(
    {
        "number": NUMBER,
        "kind": pd.Categorical.from_codes(KIND, ["low", "mid", "high"]),
        "city": pd.Categorical.from_codes(CITY, [f"city {i}" for i in range(12)]),
        "side": pd.Categorical.from_codes(SIDE, [False, True]),
        "flag": SIDE == 1,
    }
)
T = NUMBER + 2.0 * (KIND == 2) - 0.3 * CITY + SIDE
CODES = np.c_[NUMBER, KIND, CITY, SIDE, SIDE]
SHORT = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.03, "batch_size": 20, "max_iter": 40, "random_state": 0}
FROM_DTYPE = {**SHORT, "categorical_features": "from_dtype"}


def test_columns_become_numbers_and_codes():
    model = MLPRegressor(**FROM_DTYPE).fit(FRAME, T)
    assert model.is_categorical_.tolist() == [False, True, True, True, False]
    assert model.feature_names_in_.tolist() == list(FRAME.columns)
    assert model.n_features_in_ == 5
    embedding = model.net_.layers[0]
    assert isinstance(embedding, Embedding)
    assert embedding.columns == {4: 12}
    read = model._categories.read(FRAME)
    np.testing.assert_array_equal(read[:, 0], NUMBER)
    np.testing.assert_array_equal(read[:, 1:4], KIND[:, None] == [2, 0, 1])  # "high", "low", "mid"
    assert model._categories.made[1:4] == ["kind: high", "kind: low", "kind: mid"]
    np.testing.assert_array_equal(read[:, 5], 2 * SIDE - 1)
    np.testing.assert_array_equal(read[:, 6], SIDE)
    assert model.coefs_[0].shape == (8 + 6, 8)  # those of the embedding, then the others
    assert model.score(FRAME, T) > 0.9
    by_hand = make_pipeline(make_column_transformer((StandardScaler(), ["number"])), MLPRegressor(**SHORT))
    assert by_hand.fit(FRAME, T).score(FRAME, T) < 0.6  # without the categories
    same = MLPRegressor(**SHORT).fit(read[:, [0, 1, 2, 3, 5, 6]], T)
    few = MLPRegressor(**FROM_DTYPE).fit(FRAME.drop(columns="city"), T)
    np.testing.assert_array_equal(same.coefs_[0], few.coefs_[0])


def test_names_places_masks_and_dtypes_mean_the_same():
    expected = MLPRegressor(**FROM_DTYPE).fit(FRAME, T).predict(FRAME)
    order = np.array([2, 0, 1])  # of the values in their order as text
    plain = np.c_[NUMBER, np.argsort(order)[KIND], CITY, SIDE, SIDE]
    texts = FRAME.astype({"kind": str, "city": str})
    cases = [
        (texts, ["kind", "city", "side"]),
        (texts, [1, 2, 3]),
        (texts, [False, True, True, True, False]),
        (texts, np.array([1, 2, -2])),
        (FRAME.assign(side=SIDE), ["kind", "city", "side"]),
    ]
    for x, asked in cases:
        model = MLPRegressor(**SHORT, categorical_features=asked).fit(x, T)
        np.testing.assert_array_equal(model.predict(x), expected)
        assert clone(model).fit(x, T).is_categorical_.tolist() == [False, True, True, True, False]
    array = MLPRegressor(**SHORT, categorical_features=[1, 2, 3]).fit(plain, T)
    assert array._categories.codes == {4: 12}
    assert array.score(plain, T) > 0.9
    np.testing.assert_array_equal(array.predict(plain.tolist()), array.predict(plain))
    words = np.c_[KIND, CITY].astype(str)
    of_words, of_strings = (
        MLPRegressor(**SHORT, categorical_features=[0, 1]).fit(x, T) for x in (words, words.astype("T"))
    )
    np.testing.assert_array_equal(of_strings.predict(words.astype("T")), of_words.predict(words))
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(FRAME.assign(side=SIDE)).with_columns(
        polars.col("side").cast(polars.String).cast(polars.Categorical)
    )
    model = MLPRegressor(**FROM_DTYPE).fit(frame, T)
    np.testing.assert_array_equal(model.predict(frame), expected)
    assert MLPRegressor(**SHORT).fit(CODES, T).n_features_in_ == 5  # None: nothing is encoded
    assert not hasattr(MLPRegressor(**SHORT).fit(CODES, T), "is_categorical_")
    half = FRAME[["number", "kind"]].astype({"number": "float32"})
    assert MLPRegressor(**FROM_DTYPE).fit(half, T).coefs_[0].dtype == np.float32
    assert MLPRegressor(**FROM_DTYPE).fit(FRAME[["kind", "city"]], T).score(FRAME[["kind", "city"]], T) > 0.4


def test_missing_and_unseen_ones():
    model = MLPRegressor(**FROM_DTYPE).fit(FRAME, T)
    other = FRAME[:4].copy()
    other["kind"] = pd.Categorical(["none", None, "high", "low"])
    other["city"] = pd.Categorical(["city 3", "city 99", None, "city 3"])
    read = model._categories.read(other)
    np.testing.assert_array_equal(read[:, 1:4], [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    place = {value: code for code, value in enumerate(sorted(FRAME["city"].cat.categories))}["city 3"]
    np.testing.assert_array_equal(read[:, 4], [place, -1, -1, place])
    assert np.isfinite(model.predict(other)).all()
    assert model.predict(other)[1] != model.predict(FRAME[:4])[1]
    nothing = FRAME.assign(kind=pd.Categorical([None] * N, ["a"]))
    assert MLPRegressor(**FROM_DTYPE).fit(nothing, T)._categories.made[1:] == model._categories.made[4:]


def test_all_ways_to_train_and_predict():
    y = np.char.add(np.array(["a", "b", "c"])[KIND], np.where(SIDE == 1, "+", "-"))
    model = MLPClassifier(**FROM_DTYPE, early_stopping=True, scoring="accuracy").fit(FRAME, y)
    assert model.score(FRAME, y) > 0.8
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(FRAME), model.predict_proba(FRAME))
    watched = MLPClassifier(**FROM_DTYPE, scoring="accuracy").fit(FRAME, y, validation_data=(FRAME[:50], y[:50]))
    assert watched.validation_scores_[-1] == accuracy_score(y[:50], watched.predict(FRAME[:50]))
    assert cross_val_score(MLPClassifier(**FROM_DTYPE), FRAME, y, cv=2).min() > 0.6
    together = MLPRegressor(**FROM_DTYPE, n_ensemble=2).fit(FRAME, T)
    mean = np.mean([net.predict(FRAME) for net in together.estimators_], axis=0)
    np.testing.assert_allclose(together.predict(FRAME), mean)
    further = MLPRegressor(**FROM_DTYPE, warm_start=True).fit(FRAME, T)
    rows = FRAME[:150]
    assert further.fit(rows, T[:150]).loss_curve_[-40] < 0.1 * further.loss_curve_[0]
    assert len(further._categories.made) == 7
    part = MLPRegressor(**FROM_DTYPE)
    first = FRAME[CITY < 6].iloc[:20]  # its dtype knows those that will come
    part.partial_fit(first, T[first.index])
    assert part._categories.codes == {4: 12}
    for _ in range(60):
        part.partial_fit(FRAME, T)
    assert part.score(FRAME, T) > 0.7
    both = MLPClassifier(**FROM_DTYPE).fit(FRAME, np.c_[KIND, SIDE * 5])
    assert both.score(FRAME, np.c_[KIND, SIDE * 5]) > 0.7
    lbfgs = MLPRegressor(**{**FROM_DTYPE, "solver": "lbfgs", "max_iter": 200}).fit(FRAME, T)
    assert lbfgs.score(FRAME, T) > 0.95


PLACE = ".*row 0, column 'number'" if sys.version_info >= (3, 11) else ""  # in a note, which Python has since then
BAD = [
    ({"categorical_features": "all"}, FRAME, "'categorical_features' parameter of MLPRegressor must be"),
    ({"categorical_features": ["kind", "town"]}, FRAME, "categorical_features has 'town', expected 'from_dtype', or"),
    ({"categorical_features": [7]}, FRAME, "categorical_features has 7, expected"),
    ({"categorical_features": [True, False]}, FRAME, "is a mask of 2 columns, expected one of 5"),
    ({"categorical_features": ["kind"]}, FRAME, r"column 'city' holds text, expected numbers: name it in categ"),
    ({"categorical_features": "from_dtype"}, FRAME.assign(city="b"), "column 'city' holds text, expected numbers"),
    ({"categorical_features": "from_dtype"}, FRAME.assign(number=np.nan), f"(?s)X contains NaN{PLACE}"),
    ({"categorical_features": ["number"]}, FRAME.assign(number=pd.Timestamp(0)), "column 'number', which holds dates"),
    ({"categorical_features": "from_dtype"}, FRAME.assign(number=pd.Timestamp(0)), "column 'number' holds dates, exp"),
    ({"categorical_features": "from_dtype"}, csr_matrix(CODES), "is for frames and arrays, and X is a sparse matrix"),
    ({"categorical_features": "from_dtype"}, FRAME[:0], "0 sample"),
    ({"categorical_features": "from_dtype"}, FRAME.set_axis([*"abcda"], axis=1), "X has two columns 'a', expected"),
    ({"categorical_features": [0]}, np.ma.masked_less(CODES, 1), "X has masked entries: fill them"),
    (
        {"categorical_features": [0]}, pd.DataFrame({"a": pd.Categorical([None] * N, ["a"])}),
        "all of its columns are categories without a value",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "x", "match"), BAD)
def test_what_cannot_be_encoded_is_refused(settings, x, match):
    with pytest.raises((ValueError, TypeError), match=match):
        MLPRegressor(**SHORT, **settings).fit(x, T[: x.shape[0]])


def test_other_columns_are_refused_later():
    model = MLPRegressor(**FROM_DTYPE, warm_start=True).fit(FRAME, T)
    for bad, match in (
        (FRAME.drop(columns="kind"), "yet now missing"),
        (FRAME[FRAME.columns[::-1]], "same order"),
        (FRAME.assign(kind=1.0), r"column 'kind' holds numbers or booleans \(1.0\), expected text"),
        (FRAME.assign(number="1"), "column 'number' holds text"),
        (csr_matrix(CODES), "sparse"),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            model.predict(bad)
    for made, now in ((model, None), (MLPRegressor(**SHORT, warm_start=True).fit(CODES, T), [1])):
        with pytest.raises(ValueError, match=r"categorical_features is .*, but .* set it back, or begin anew"):
            made.set_params(categorical_features=now).fit(CODES, T)
    model.set_params(categorical_features=["city"])
    with pytest.raises(ValueError, match=r"categorical_features is \['city'\], but"):
        model.fit(FRAME, T)


@pytest.mark.filterwarnings("ignore")
def test_they_are_estimators_of_scikit_learn_then_too():
    results = check_estimator(MLPRegressor(categorical_features="from_dtype"), on_skip=None, on_fail=None)
    failed = [f"{one['check_name']}: {one['exception']!r}" for one in results if one["status"] == "failed"]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_alpha_is_of_tables_as_of_weights(solver):
    """It is alpha / 2 Σ w² / n over weights and tables, of values that do not occur and of what is missing, too."""
    frame = FRAME.assign(city=FRAME["city"].cat.add_categories(["nowhere"]))
    settings = {**FROM_DTYPE, "batch_size": N, "max_iter": 1, "shuffle": False, "solver": solver, "momentum": 0}

    def fitted(alpha, **own):  # of the first partial_fit, all values of the dtype are known
        model = MLPRegressor(**{**settings, "alpha": alpha, **own})
        return (model.fit if solver == "lbfgs" else model.partial_fit)(frame, T)

    def tables(model):
        return model.net_.layers[0].tables[4]

    if solver == "lbfgs":  # of 12 values and the vector of what is missing, which no row has trained
        loose, tight = fitted(0.0, max_iter=60), fitted(1e6, max_iter=60)
        assert np.abs(tables(loose)).max() > 0.5
        assert np.abs(tables(tight)).max() < 1e-3
        np.testing.assert_allclose(tight.predict(frame), tight.predict(frame)[0], rtol=1e-3)
        return
    still = {"learning_rate_init": 1e-300}
    start = fitted(0.0, **still)
    of_weights = sum(float((w**2).sum()) for w in [tables(start), *start.coefs_])
    assert tables(start).shape == (14, 8)
    assert fitted(5.0, **still).loss_ - start.loss_ == pytest.approx(2.5 * of_weights / N, rel=1e-9)
    plain, pulled = fitted(0.0), fitted(5.0)
    absent = 12  # "nowhere", the last one by name
    np.testing.assert_array_equal(tables(plain)[absent], tables(start)[absent])
    moved = tables(pulled)[absent] - tables(start)[absent]
    expected = -0.03 * 5.0 / N * tables(start)[absent]
    if solver == "adam":  # by the rate, towards 0
        expected = -0.03 * np.sign(tables(start)[absent])
    np.testing.assert_allclose(moved, expected, rtol=1e-4)
    np.testing.assert_array_equal(tables(pulled)[-1], 0)  # what is missing began at 0, and stays there

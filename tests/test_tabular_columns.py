"""Columns, names and targets as people have them: what is told, what is kept apart, and what is refused."""

import warnings

import numpy as np
import pytest

pytestmark = pytest.mark.once

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
csr_matrix = pytest.importorskip("scipy.sparse").csr_matrix

import fastnn  # noqa: E402
from fastnn.sklearn import TabularClassifier, TabularRegressor  # noqa: E402
from fastnn.sklearn.preprocessing import Preprocessing  # noqa: E402

ROWS = 80
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(ROWS, 3)), RNG.normal(size=ROWS)


def fitted(x, y=Y, **settings):
    return TabularRegressor("fast", random_state=0, **settings).fit(x, y)


FIT = pd.DataFrame(X)  # columns 0, 1, 2
NAMES = {  # of the fit, of the prediction, and what is said
    "numbers in another order": (FIT, FIT[[2, 1, 0]], "the column '2' where the fit had '0', expected the columns in"),
    "other numbers": (FIT, FIT.set_axis([3, 4, 5], axis=1), "a column '3', expected the 3 columns of the fit"),
    "fewer": (FIT, FIT[[0, 1]], "no column '2', expected the 3 columns"),
    "tuples": (
        FIT.set_axis(pd.MultiIndex.from_product([["a"], [0, 1, 2]]), axis=1),
        FIT.set_axis(pd.MultiIndex.from_product([["a"], [2, 1, 0]]), axis=1),
        r"the column \"\('a', 2\)\" where the fit had",
    ),
    "text": (FIT.set_axis([*"abc"], axis=1), FIT.set_axis([*"cba"], axis=1), "same order"),
    "twice in the fit": (FIT.set_axis([*"abb"], axis=1), FIT, "X has two columns 'b', expected each name once"),
    "twice": (FIT.set_axis([*"abc"], axis=1), FIT.set_axis([*"abb"], axis=1), "X has two columns 'b'"),
    "numbers twice": (FIT.set_axis([1, 2, 2], axis=1), FIT, "X has two columns '2', expected each name once"),
}


@pytest.mark.parametrize("case", NAMES)
def test_other_names_are_told(case):
    of_fit, of_prediction, message = NAMES[case]
    with pytest.raises(ValueError, match=message):
        fitted(of_fit).predict(of_prediction)


LARGE = 2**60 + np.arange(ROWS) % 4
WHOLE = {
    "array": (lambda v: v[:, None], LARGE),
    "frame": (lambda v: pd.DataFrame({"id": v}), LARGE),
    "unsigned": (lambda v: pd.DataFrame({"id": v}), LARGE.astype(np.uint64) + np.uint64(2**63)),
    "nullable": (lambda v: pd.DataFrame({"id": pd.array(v, "Int64")}), LARGE),
    "arrow": (lambda v: pd.DataFrame({"id": pd.array(v, "int64[pyarrow]")}), LARGE),
    "objects": (lambda v: pd.DataFrame({"id": pd.Series(v, dtype=object)}), LARGE.tolist()),
    "large objects": (lambda v: pd.DataFrame({"id": pd.Series(v, dtype=object)}), [10**30 + i % 4 for i in range(80)]),
    "polars": (lambda v: pl.DataFrame({"id": v}), LARGE),
    "polars, missing": (
        lambda v: pl.DataFrame({"id": [None if i == 7 else x for i, x in enumerate(v)]}), LARGE.tolist(),
    ),
    "negative": (lambda v: pd.DataFrame({"id": v}), -LARGE),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
def test_whole_numbers_beyond_float64_stay_apart(case, tmp_path):
    make, values = WHOLE[case]
    frame = make(values)
    kept = np.arange(ROWS) != 7 if "missing" in case else np.ones(ROWS, bool)
    preprocessing = Preprocessing().fit(frame)
    matrix = preprocessing.transform(frame)
    first = min(values if isinstance(values, list) else values.tolist())
    assert preprocessing.plans[0].said.startswith(f"less {first}, scaled")
    order = np.argsort(np.arange(ROWS)[kept] % 4, kind="stable")
    column = matrix[kept, 0][order]
    step = -1 if case == "negative" else 1
    assert len(np.unique(column)) == 4
    assert (step * np.diff(column) >= 0).all()
    for i in range(9):
        np.testing.assert_array_equal(preprocessing.transform(frame[i : i + 1]), matrix[i : i + 1])
    asked = Preprocessing([0]).fit(frame)
    assert len(asked.plans[0].values) == 4  # as values of a category
    model = fitted(frame, np.arange(ROWS) % 4)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(fastnn.load(tmp_path / "m.safetensors").predict(frame), model.predict(frame))
    assert np.isfinite(
        model.predict(pd.DataFrame({"id": [0.5, 1e30, np.nan]}) if "array" not in case else [[1.5]])
    ).all()


def test_whole_numbers_that_lose_digits_even_so_are_told():
    ids = RNG.integers(-(2**62), 2**62, ROWS)
    with pytest.warns(UserWarning, match=r"'id' holds whole numbers from -\d+ to \d+, of which .* within \d+ of"):
        Preprocessing().fit(pd.DataFrame({"id": ids}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Preprocessing().fit(pd.DataFrame({"id": ids.astype(str), "time": 1_700_000_000 * 10**9 + np.arange(ROWS)}))


LABELS = {
    "objects of numbers": (np.array([1, 2] * 40, object), [1, 2]),
    "objects of flags": (np.array([True, False] * 40, object), [False, True]),
    "objects of floats": (np.array([1.0, 2.0] * 40, object), [1, 2]),
    "polars": (pl.Series(["a", "b"] * 40, dtype=pl.Categorical), ["a", "b"]),
    "nullable": (pd.Series([1, 2] * 40, dtype="Int64"), [1, 2]),
    "flags that may lack": (pd.Series([True, False] * 40, dtype="boolean"), [False, True]),
    "categories": (pd.Series(["b", "a"] * 40, dtype="category"), ["a", "b"]),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_may_be_objects_of_one_kind(case):
    y, classes = LABELS[case]
    model = TabularClassifier("fast", random_state=0).fit(X, y, validation_data=(X, y))
    assert model.classes_.tolist() == classes
    assert {*model.predict(X).tolist()} <= {*classes}


HOLES = np.where(np.arange(ROWS) % 16 == 3, np.nan, Y)
BAD_TARGETS = {
    "NaN": (TabularRegressor, HOLES, "y contains NaN or infinity in 5 rows, row 3 the first: leave such rows out, as"),
    "infinity": (TabularRegressor, np.where(np.arange(ROWS) == 5, np.inf, Y), "in 1 row, row 5 the first"),
    "several": (TabularRegressor, np.stack([Y, HOLES], axis=1), "in 5 rows, row 3 the first"),
    "frame": (TabularRegressor, pd.DataFrame({"p": Y, "q": HOLES}), "in 5 rows, row 3 the first"),
    "nullable": (TabularRegressor, pd.Series(HOLES).astype("Float64"), "5 rows, row 3 the first"),
    "classes": (TabularClassifier, np.where(np.isnan(HOLES), np.nan, 1.0), "in 5 rows, row 3 the first"),
    "dates": (TabularClassifier, np.where(np.isnan(HOLES), np.datetime64("NaT"), np.datetime64("2020")), "in 5 rows"),
    "text": (TabularClassifier, [None if h != h else "a" for h in HOLES], "missing in 5 rows, row 3 the first"),
    "text and numbers": (TabularClassifier, np.array([1, "a"] * 40, object), r"holds numbers \(1\) and text \('a'\)"),
    "masked": (TabularRegressor, np.ma.masked_invalid(HOLES), "y has masked entries: fill them, or leave such rows"),
    "NumPy's text": (TabularClassifier, X[:, 0].astype("T"), r"y has the dtype StringDType\(\), .*: y.astype\(object"),
    "sparse": (TabularClassifier, csr_matrix(X > 0), r"y is a sparse matrix, expected an array: y.toarray\(\)"),
    "flags and numbers": (TabularClassifier, np.array([True, 2] * 40, object), r"holds booleans \(True\) and num"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_targets_that_are_none_are_told_with_their_rows(case):
    kind, y, message = BAD_TARGETS[case]
    with pytest.raises((ValueError, TypeError), match=message):
        kind("fast").fit(X, y)


def test_rows_of_weight_0_may_hold_anything():
    x, weight = X.copy(), np.ones(ROWS)
    weight[::5] = 0
    x[::10, 0], x[5::10, 1] = np.nan, np.inf
    some = TabularRegressor("fast", random_state=0).fit(x, Y, sample_weight=weight)
    left = TabularRegressor("fast", random_state=0).fit(X[weight > 0], Y[weight > 0])
    np.testing.assert_array_equal(some.predict(X), left.predict(X))


def test_categories_of_many_values_are_those_that_occur():
    values = pd.Categorical(RNG.integers(0, 400, 2000), categories=range(100_000))
    frame = pd.DataFrame({"c": values, "x": RNG.normal(size=2000)})
    preprocessing = Preprocessing().fit(frame)
    whole = preprocessing.transform(frame)
    for i in range(5):
        np.testing.assert_array_equal(preprocessing.transform(frame[i : i + 1]), whole[i : i + 1])
    bytes_ = pl.DataFrame({"b": [b"a", b"b", None, b"c"] * 5})
    assert Preprocessing().fit(bytes_).plans[0].values == [b"a", b"b", b"c"]


def test_tables_of_other_kinds():
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame(X, columns=[*"abc"]).assign(text=["u", "v"] * 40)
    frame.loc[::9, "a"] = np.nan
    expected = fitted(frame).predict(frame)
    table = pa.Table.from_pandas(frame)
    model = fitted(table)
    assert model.feature_names_in_.tolist() == [*frame.columns]
    np.testing.assert_array_equal(model.predict(table), expected)
    masked = np.ma.masked_where(np.arange(ROWS * 3).reshape(ROWS, 3) % 7 == 0, X)
    plain = masked.filled(np.nan)
    np.testing.assert_array_equal(fitted(masked).predict(masked), fitted(plain).predict(plain))
    for odd, what in (({"a": Y}, "X is a dict"), ([{"a": y} for y in Y], "X is a list of dicts")):
        with pytest.raises(TypeError, match=f"{what}, expected a table: pandas.DataFrame"):
            fitted(odd)
    for numbers in (X * 1e-320, X * 1e300, np.where(X > 0, 1.7e308, -1.7e308)):  # of which a range is infinite
        assert np.isfinite(fitted(numbers).predict(numbers)).all()


def test_one_row_is_read_as_all_are():
    """The short ways for plain numbers give what the long ones do."""
    frame = pd.DataFrame(X, columns=[*"abc"])
    frame["whole"] = np.arange(ROWS)
    frame.loc[::7, "a"] = np.nan
    model = fitted(frame)
    expected = model.predict(frame)
    forms = {
        "pandas": frame, "polars": pl.from_pandas(frame), "objects": frame.astype(object),
        "nullable": frame.convert_dtypes(),
    }  # fmt: skip
    for given in forms.values():
        np.testing.assert_array_equal(model.predict(given), expected)
        np.testing.assert_allclose(model.predict(given[5:6]), expected[5:6], rtol=1e-6)
    array = frame.to_numpy()
    plain = fitted(array)
    np.testing.assert_array_equal(plain.predict(array), expected)
    np.testing.assert_array_equal(plain.predict(array.astype(object)), expected)
    np.testing.assert_array_equal(plain.predict(np.asfortranarray(array)), expected)
    with pytest.raises(ValueError, match=r"infinity .* column 'c'"):
        model.predict(frame.assign(c=np.inf))
    with pytest.raises(ValueError, match=r"infinity .* column 'x1'"):
        plain.predict([[0, -np.inf, 1, 1]])
    with pytest.raises(ValueError, match="3 features, but TabularRegressor is expecting 4"):
        plain.predict(array[:, :3])

"""Data as people have them: data frames with names, sparse rows, numbers that lose digits, tiny numbers."""

import copy
import pickle
import re
import tracemalloc
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from nets import each_dtype, same_bits

from fastnn import (
    SGD,
    CrossEntropy,
    Dense,
    Model,
    Sigmoid,
    Softmax,
    fit_many,
)

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")
sparse = pytest.importorskip("scipy.sparse")

RNG = np.random.default_rng(0)
NAMES = ["age", "price", "rooms"]
X = RNG.normal(size=(24, 3))
Y = X @ [[1.0], [-2.0], [0.5]]
FRAMES = {
    "pandas": lambda x, names=NAMES: pandas.DataFrame(x, columns=names),
    "pandas of several dtypes": lambda x, names=NAMES: of_several_dtypes(x, names),
    "polars": lambda x, names=NAMES: polars.DataFrame(x, schema=names),
    "pyarrow": lambda x, names=NAMES: pyarrow.table([*map(pyarrow.array, x.T)], names),
    "record batch": lambda x, names=NAMES: pyarrow.record_batch([*map(pyarrow.array, x.T)], names),
}
each_frame = pytest.mark.parametrize("kind", FRAMES)


def of_several_dtypes(x, names):
    """Of float64, of a nullable dtype, and of objects: each column has its own by its name."""
    frame = pandas.DataFrame(x, columns=names)
    return frame.astype({"price": "Float64", "rooms": object} if set(names) >= {"price", "rooms"} else {})


def regressor(dtype="float32", seed=0):
    return Model([Dense(6, "tanh"), Dense(1)], seed=seed, dtype=dtype)


def fitted(net, x, y=Y, **options):
    net.fit(x, y, "mse", SGD(0.1), epochs=3, batch_size=7, **options)
    return net.params.copy()


def validated(net, x):
    return net.fit(X, Y, "mse", SGD(0.1), epochs=3, validation_data=(x, Y)).val_loss


def one_by_one(net, x):
    rows = x.iterrows() if hasattr(x, "iterrows") else enumerate(x.to_numpy())
    return np.array([net.predict_one(row) for _, row in rows])


# What takes x, called with a net and x
CALLS = {
    "fit": fitted,
    "train_batch": lambda net, x: net.train_batch(x, Y, loss="mse"),
    "predict": lambda net, x: net.predict(x),
    "forward": lambda net, x: net.forward(x),
    "evaluate": lambda net, x: net.evaluate(x, Y, "mse"),
    "evaluate weighted": lambda net, x: net.evaluate(x, Y, "mse", np.arange(24)),
    "validation": validated,
    "fit_many": lambda net, x: fit_many([net], x, Y, "mse", SGD(0.1), epochs=2)[0].loss,
}
each_call = pytest.mark.parametrize("call", CALLS)


# -- names ------------------------------------------------------------------------------------------------------------


@each_frame
@each_call
def test_columns_in_another_order_are_put_right_by_name(call, kind):
    order = [2, 0, 1]
    right, other = (regressor() for _ in range(2))
    for net in (right, other):
        net.fit(FRAMES[kind](X), Y, "mse", SGD(0.1), epochs=2)
        assert net.feature_names == tuple(NAMES)
    given = FRAMES[kind](X[:, order], [NAMES[i] for i in order])
    assert np.array_equal(CALLS[call](other, given), CALLS[call](right, X)) or call.startswith("evaluate")
    assert CALLS["evaluate"](other, given) == CALLS["evaluate"](right, X)
    assert same_bits(other.params, right.params)
    assert other.feature_names == tuple(NAMES)


@pytest.mark.parametrize("kind", ["pandas", "pandas of several dtypes"])
def test_a_row_with_names_is_put_right(kind):
    net = regressor()
    fitted(net, FRAMES[kind](X))
    given = FRAMES[kind](X[:, [2, 0, 1]], ["rooms", "age", "price"])
    assert same_bits(one_by_one(net, given), net.predict(X))
    assert same_bits(net.predict_one(given.iloc[0].astype(object)), net.predict(X[:1])[0])
    assert same_bits(net.predict_one(pandas.Series(X[0])), net.predict(X[:1])[0])  # numbers are no names
    assert same_bits(net.predict_one(next(given.itertuples(index=False))), net.predict(X[:1])[0])
    others = FRAMES[kind](X, ["age 1", "price 2", "rooms 3"])  # named tuples call these _0, _1, _2
    assert same_bits(net.predict_one(next(others.itertuples(index=False))), net.predict(X[:1])[0])


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize("rows", [24, 5000])
@each_dtype
def test_much_and_little_are_put_right(dtype, rows, kind):
    x = RNG.normal(size=(rows, 3))
    net = regressor(dtype)
    net.predict(FRAMES[kind](x))
    given = FRAMES[kind](x[:, [2, 0, 1]], ["rooms", "age", "price"])
    assert same_bits(net.predict(given), net.predict(x))


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "record batch"])
def test_the_code_that_an_error_of_names_says_is_of_that_kind(kind):
    net, x = regressor(), FRAMES[kind](np.c_[X, X[:, 0]], [*NAMES, "id"])
    net.predict(FRAMES[kind](X))
    with pytest.raises(ValueError, match=r"column 'id'") as caught:
        net.predict(x)
    choose, by_place = re.search(r"pass (.*?\)\]?)\. .*; (.*) goes by place", str(caught.value)).groups()
    assert same_bits(net.predict(eval(choose, {"x": x, "net": net})), net.predict(X))
    assert same_bits(net.predict(eval(by_place, {"x": FRAMES[kind](X), "np": np})), net.predict(X))


WRONG = {
    "missing": (["age", "price"], r"x lacks the column 'rooms': rename or add them.*'age', 'price', 'rooms' \(net\.f"),
    "unknown": (
        [*NAMES, "id"],
        r"x has the column 'id' that the model does not know: pass x\[list\(net\.feature_names",
    ),
    "renamed": (["age", "cost", "size"], r"x lacks the columns 'price', 'rooms' and has the columns 'cost', 'size' th"),
    "many unknown": ([*NAMES, *map(str, range(9))], r"columns '0', '1', '2', '3', '4' and 4 more"),
    "twice": (["age", "price", "rooms", "age"], r"x has more than one column named 'age': rename them"),
}


def frame_of(names):
    frame = pandas.DataFrame(np.zeros((24, len(names))))
    frame.columns = names
    return frame


@pytest.mark.parametrize("wrong", WRONG)
@each_call
def test_other_names_are_an_error_that_lists_them(call, wrong):
    net, twin = regressor(), regressor()
    for model in (net, twin):
        fitted(model, FRAMES["pandas"](X))
    names, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        CALLS[call](net, frame_of(names))
    if call == "validation":  # it is read behind x
        message = message.replace("x ", "validation data: x ", 1)
        with pytest.raises(ValueError, match=message):
            CALLS[call](net, frame_of(names))
    assert same_bits(net.params, twin.params)
    assert net.feature_names == tuple(NAMES)
    assert same_bits(fitted(net, X), fitted(twin, X))


def test_a_row_of_other_names_is_an_error_that_lists_them():
    net = regressor()
    fitted(net, FRAMES["pandas"](X))
    with pytest.raises(ValueError, match="row lacks the columns 'price', 'rooms' and has the column 'id'"):
        net.predict_one(pandas.Series({"age": 1.0, "id": 2.0}))


@each_frame
@each_call
def test_the_first_frame_gives_the_names(call, kind):
    net = regressor()
    CALLS[call](net, X)
    assert net.feature_names is None
    CALLS[call](net, FRAMES[kind](X))
    assert net.feature_names == tuple(NAMES)
    CALLS[call](net, X[:, [2, 0, 1]])  # an array goes by place
    assert net.feature_names == tuple(NAMES)


@each_call
def test_a_new_model_without_good_data_has_no_names(call):
    net = regressor()
    bad = FRAMES["pandas"](np.where(X[3, 1] == X, np.nan, X))
    with pytest.raises(ValueError, match=r"x is NaN at row 3, column 'price': fill in"):
        CALLS[call](net, bad)
    assert net.feature_names is None
    assert not net.built or call == "validation"
    if call in ("fit", "train_batch", "evaluate"):
        with pytest.raises(ValueError, match="y has 23 rows"):
            getattr(net, call)(FRAMES["pandas"](X), Y[1:], loss="mse")
        with pytest.raises(ValueError, match="y is NaN at row 0"):
            getattr(net, call)(FRAMES["pandas"](X), Y * np.nan, loss="mse")
        assert net.feature_names is None


def test_frames_without_names_go_by_place():
    net = regressor()
    for names in (range(3), ["age", 1, 2], pandas.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])):
        frame = pandas.DataFrame(X)
        frame.columns = names
        assert same_bits(net.predict(frame), net.predict(X))
        assert net.feature_names is None


def test_names_are_read_only_kept_and_shown(capsys):
    net = regressor()
    fitted(net, FRAMES["pandas"](X))
    with pytest.raises(AttributeError, match="feature_names cannot be set"):
        net.feature_names = ("a", "b", "c")
    for twin in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert twin.feature_names == tuple(NAMES)
    for follow in (lambda own: own.copy_from(net), lambda own: own.soft_update(net, 0.5)):
        own = regressor(seed=1)
        follow(own)  # the parameters belong to these columns
        assert own.feature_names == tuple(NAMES)
    net.summary()
    assert "3 inputs (age, price, rooms), " in capsys.readouterr().out


def test_nets_side_by_side_read_each_its_own_order():
    plain, mixed = [[regressor(seed=i) for i in range(3)] for _ in range(2)]
    mixed[1].predict(FRAMES["pandas"](X)[["rooms", "age", "price"]])
    mixed[2] = regressor("float64", seed=2)
    plain[2] = regressor("float64", seed=2)
    plain[1].build(3)
    fit_many(plain[::2], X, Y, "mse", SGD(0.1), epochs=2)
    fit_many(plain[1:2], X[:, [2, 0, 1]], Y, "mse", SGD(0.1), epochs=2)
    fit_many(mixed, FRAMES["pandas"](X), Y, "mse", SGD(0.1), epochs=2)
    assert all(same_bits(a.params, b.params) for a, b in zip(plain, mixed, strict=True))
    assert [net.feature_names for net in mixed] == [tuple(NAMES), ("rooms", "age", "price"), tuple(NAMES)]


def test_a_frame_that_a_callback_changes_counts_from_the_next_epoch_on():
    plain, other = regressor(), regressor()
    x, frame = X.copy(), FRAMES["pandas of several dtypes"](X)

    def halve(model, epoch, logs):
        x[:, 0] /= 2
        frame["age"] /= 2

    plain.fit(x, Y, "mse", SGD(0.1), epochs=1)
    x[:, 0] /= 2
    plain.fit(x, Y, "mse", SGD(0.1), epochs=1, shuffle=False)
    x[:] = X
    other.fit(frame, Y, "mse", SGD(0.1), epochs=1)
    other.fit(frame.assign(age=frame["age"] / 2), Y, "mse", SGD(0.1), epochs=1, shuffle=False)
    assert same_bits(plain.params, other.params)
    for net, data in ((plain, x), (other, frame)):
        frame["age"], x[:] = X[:, 0], X
        net.fit(data, Y, "mse", SGD(0.1), epochs=3, callbacks=[halve])
    assert same_bits(plain.params, other.params)


# -- what a column holds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@each_frame
@each_call
def test_what_is_no_finite_number_is_named_by_its_column(call, kind, value):
    bad = X.copy()
    bad[5, 1] = value
    net = regressor()
    what = "NaN" if np.isnan(value) else "infinite"
    with pytest.raises(ValueError, match=f"x is {what}.* at row 5, column 'price'"):
        CALLS[call](net, FRAMES[kind](bad))
    net.predict(FRAMES[kind](X))
    if call not in ("predict", "forward"):  # through which an array's pass
        with pytest.raises(ValueError, match=f"x is {what}.* at row 5, column 'price'"):
            CALLS[call](net, bad)


MISSING = {
    "Int64": lambda: pandas.array([1, None] * 12, dtype="Int64"),
    "boolean": lambda: pandas.array([True, None] * 12, dtype="boolean"),
    "Float32": lambda: pandas.array([0.5, None] * 12, dtype="Float32"),
    "object": lambda: [1, None] * 12,
    "object of NA": lambda: pandas.Series([1, pandas.NA] * 12, dtype=object),
    "Decimal": lambda: [Decimal(1), None] * 12,
    "all": lambda: [None] * 24,
    "pyarrow int64": lambda: pandas.Series([1, None] * 12, dtype=pytest.importorskip("pyarrow") and "int64[pyarrow]"),
    "pyarrow bool": lambda: pandas.Series([True, None] * 12, dtype=pytest.importorskip("pyarrow") and "bool[pyarrow]"),
    "polars Int64": lambda: polars.Series([1, None] * 12),
    "polars Boolean": lambda: polars.Series([True, None] * 12),
    "polars Decimal": lambda: polars.Series([Decimal(1), None] * 12),
    "polars Null": lambda: polars.Series([None] * 24),
    "Arrow int64": lambda: pyarrow.array([1, None] * 12),
    "Arrow bool": lambda: pyarrow.array([True, None] * 12),
    "Arrow decimal128": lambda: pyarrow.array([Decimal(1), None] * 12),
}


def with_column(column, name="extra"):
    if isinstance(column, polars.Series):
        return FRAMES["polars"](X).with_columns(column.alias(name))
    if isinstance(column, pyarrow.Array):
        return FRAMES["pyarrow"](X).append_column(name, column)
    return FRAMES["pandas"](X).assign(**{name: column})


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("call", ["fit", "predict", "evaluate"])
def test_what_is_missing_is_named_by_its_column(call, kind):
    row = 0 if kind in ("all", "polars Null") else 1
    with pytest.raises(ValueError, match=f"x is NaN at row {row}, column 'extra': fill in"):
        CALLS[call](regressor(), with_column(MISSING[kind]()))


# kind: (a column, what the error says, the cure as code or words)
NO_NUMBERS = {
    "text": (["red"] * 24, r"text \(dtype str|object, 'red' at row 0\)", "pandas.get_dummies(x, columns=['extra'])"),
    "numbers as text": (["1.5"] * 24, r"text .*'1\.5' at row 0", "x['extra'].astype(float)"),
    "one text": ([1, 2, "n/a"] * 8, r"text .*'n/a' at row 2", "pandas.get_dummies(x, columns=['extra'])"),
    "categories": (
        pandas.Categorical(["a", "b"] * 12),
        "categories .*'a' at row 0",
        "pandas.get_dummies(x, columns=['e",
    ),
    "categories of numbers": (pandas.Categorical([1, 2] * 12), "categories .*1 at row 0", "x['extra'].astype(float)"),
    "times": (
        pandas.to_datetime(["2020-01-01"] * 24),
        "dates .*2020-01-01",
        "(x['extra'] - x['extra'].min()).dt.total_",
    ),
    "times of a zone": (pandas.to_datetime(["2020-01-01"] * 24).tz_localize("UTC"), "dates ", ".dt.total_seconds()"),
    "dates": ([date(2020, 1, 1)] * 24, r"dates .*date\(2020, 1, 1\)", "pandas.to_datetime(x['extra'])"),
    "periods": (pandas.period_range("2020", periods=24, freq="D"), "dates ", "x['extra'].astype('int64') - "),
    "durations": (pandas.to_timedelta([1] * 24, unit="s"), "durations ", "x['extra'].dt.total_seconds()"),
    "complex": ([1j] * 24, "complex numbers .*1j at row 0", "pass .real, or both parts as columns"),
    "lists": ([[1, 2]] * 24, r"list objects .*\[1, 2\] at row 0", "np.stack(x['extra'])"),
    "polars text": (polars.Series(["red"] * 24), "text .*'red' at row 0", "x.to_dummies('extra')"),
    "polars numbers as text": (polars.Series(["1"] * 24), "text .*'1' at row 0", "x['extra'].cast(float)"),
    "polars categories": (polars.Series(["a"] * 24, dtype=polars.Categorical), "text .*'a'", "x.to_dummies('extra')"),
    "polars dates": (
        polars.Series([date(2020, 1, 1)] * 24),
        "dates .*2020-01-01",
        "(x['extra'] - x['extra'].min()).dt",
    ),
    "polars lists": (polars.Series([[1, 2]] * 24), "array|ndarray objects", "np.stack(x['extra'])"),
    "polars arrays": (
        polars.Series([[1, 2]] * 24, dtype=polars.Array(polars.Int64, 2)),
        r"Series objects \(dtype [^\n]* at row 0\)",
        "np.stack(x['extra'])",
    ),
    "polars records": (polars.Series([{"a": 1}] * 24), "dict objects", "x.unnest('extra')"),
    "Arrow text": (pyarrow.array(["red"] * 24), r"text \(dtype string, 'red' at row 0\)", "encode text and categories"),
    "Arrow numbers as text": (pyarrow.array(["1"] * 24), "text .*'1' at row 0", "np.asarray(x['extra'], float)"),
    "Arrow categories": (
        pyarrow.array([1, 2] * 12).dictionary_encode(),
        "categories .*1 at row 0",
        "np.asarray(x['extra'], float)",
    ),
    "Arrow dates": (
        pyarrow.array([date(2020, 1, 1)] * 24),
        "dates .*2020-01-01",
        "(np.asarray(x['extra']) - np.asarray(x['extra']).min()) / np.timedelta64(1, 's')",
    ),
    "Arrow lists": (pyarrow.array([[1, 2]] * 24), "ndarray objects", "np.stack(np.asarray(x['extra']))"),
    "Arrow records": (pyarrow.array([{"a": 1}] * 24), "dict objects", "x.flatten()"),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_a_column_of_no_numbers_is_refused_by_name_with_an_example_and_a_cure(kind):
    column, what, cure = NO_NUMBERS[kind]
    net = regressor()
    for call in ("fit", "predict", "evaluate", "train_batch", "forward"):
        with pytest.raises(TypeError, match=f"^x: column 'extra' holds {what}.*expected .*numbers: ") as caught:
            CALLS[call](net, with_column(column))
        assert cure in str(caught.value)
    assert not net.built
    assert net.feature_names is None


CURES = (
    *("text", "numbers as text", "categories", "categories of numbers"),
    *("times", "times of a zone", "periods", "durations"),
)


@pytest.mark.parametrize(
    "kind",
    [
        *CURES,
        *(f"polars {what}" for what in ("text", "numbers as text", "dates", "records")),
        *(f"Arrow {what}" for what in ("numbers as text", "categories", "dates", "lists", "records")),
    ],
)
def test_the_cure_that_an_error_names_works(kind):
    x = with_column(NO_NUMBERS[kind][0])
    with pytest.raises(TypeError) as caught:
        regressor().fit(x, Y)
    code = re.search(r"(pandas\.get|x\.to_d|x\.unn|x\.fl|\(?np\.(as|st)|\(?x\[).*$", str(caught.value)).group()
    cured = eval(code, {"x": x, "np": np, "pandas": pandas})
    if len(cured.shape) == 1:
        cured = with_column(cured)
    fitted(regressor(), cured)


def test_all_columns_of_no_numbers_are_named():
    x = FRAMES["pandas"](X).assign(a="t", b=1, c=pandas.Timestamp(0), d=[Decimal(1)] * 24, e=[[1]] * 24)
    with pytest.raises(TypeError, match=r"x: column 'a' holds text .*\(also: 'c', 'e'\)$"):
        regressor().predict(x)


COLUMNS = {
    "bool beside float": lambda x: pandas.DataFrame({"a": x, "b": x > 0}),
    "dummies": lambda x: pandas.get_dummies(pandas.DataFrame({"a": np.where(x > 0, "u", "v")})),
    "UInt8 and boolean": lambda x: pandas.DataFrame({"a": x > 0, "b": (x > 0) * 3}).astype(
        {"a": "boolean", "b": "UInt8"}
    ),
    "sparse": lambda x: pandas.DataFrame({"a": pandas.arrays.SparseArray((x > 0) * 1.5), "b": x}),
    "convert_dtypes": lambda x: pandas.DataFrame({"a": x, "b": x > 0, "c": np.arange(len(x))}).convert_dtypes(),
    "polars": lambda x: polars.DataFrame({"a": x, "b": x > 0, "c": np.arange(len(x)).astype("u2")}),
    "Arrow": lambda x: pyarrow.table({"a": x, "b": x > 0, "c": [Decimal(i) for i in range(len(x))]}),
    "pyarrow": lambda x: pandas.DataFrame({"a": x, "b": x > 0, "c": np.arange(len(x))}).convert_dtypes(
        dtype_backend=pytest.importorskip("pyarrow") and "pyarrow"
    ),
}


@pytest.mark.parametrize("rows", [24, 9000])
@pytest.mark.parametrize("kind", COLUMNS)
@each_dtype
def test_columns_of_several_kinds_are_the_numbers_that_they_hold(dtype, kind, rows):
    frame = COLUMNS[kind](RNG.normal(size=rows).round(2))
    columns = [frame[name].to_numpy().astype(float) for name in getattr(frame, "column_names", frame.columns)]
    net = regressor(dtype)
    assert same_bits(net.predict(frame), net.predict(np.column_stack(columns)))


@pytest.mark.parametrize(
    "wrap",
    [pandas.Series, lambda y: pandas.DataFrame({"kind": y}), polars.Series, list, np.array, lambda y: np.array(y, "T")],
)
def test_labels_as_text_are_refused_with_what_makes_numbers_of_them(wrap):
    y = wrap(["dog", "cat"] * 12)
    net = Model([Dense(2), Softmax()], seed=0)
    with pytest.raises(TypeError, match=r"^y.* holds text .*'dog' at row 0.*: encode .*: classes, y = ") as caught:
        net.fit(X, y)
    names = {"np": np, "y": y if getattr(y, "ndim", 1) == 1 else y["kind"]}
    exec(re.search(r"classes, y = .*$", str(caught.value)).group(), names)
    net.fit(X, names["y"])
    assert list(names["classes"]) == ["cat", "dog"]


def test_targets_and_weights_may_be_columns_of_any_kind():
    plain, other = (Model([Dense(4), Dense(2)], seed=0) for _ in range(2))
    y = pandas.DataFrame(
        {"a": [Decimal(i) / 8 for i in range(24)], "b": pandas.array([True, False] * 12, dtype="boolean")}
    )
    weight = pandas.Series(range(24), dtype="Int64")
    plain.fit(X, y.to_numpy().astype(float), "mse", SGD(1e-3), epochs=2, sample_weight=np.arange(24))
    other.fit(X, y, "mse", SGD(1e-3), epochs=2, sample_weight=weight)
    assert same_bits(plain.params, other.params)
    y.loc[3, "b"] = None
    with pytest.raises(ValueError, match="y is NaN at row 3, column 'b'"):
        other.fit(X, y, "mse")


class Tensor:
    """What other libraries have: an array behind a method."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array if dtype is None else self._array.astype(dtype)


def test_what_gives_an_array_is_one():
    plain, other = regressor(), regressor()
    assert same_bits(fitted(other, Tensor(X), Tensor(Y)), fitted(plain, X))
    assert same_bits(other.predict(Tensor(X)), plain.predict(X))
    assert same_bits(other.predict_one(Tensor(X[0])), plain.predict_one(X[0]))


@pytest.mark.parametrize("x", [range(3), [range(3)] * 24], ids=["one", "rows"])
def test_ranges_are_rows(x):
    net = regressor()
    got = net.predict_one(x) if isinstance(x, range) else net.predict(x)[0]
    assert same_bits(got, net.predict([[0, 1, 2]])[0])


def test_nothing_comes_from_no_rows():
    net = regressor()
    for kind in FRAMES:
        assert net.predict(FRAMES[kind](X)[:0]).shape == (0, 1)
        with pytest.raises(ValueError, match="x has no rows"):
            net.fit(FRAMES[kind](X)[:0], Y[:0])
    assert net.predict(sparse.csr_array((0, 3))).shape == (0, 1)
    for frame in (pandas.DataFrame(index=range(3)), polars.DataFrame()):
        with pytest.raises(ValueError, match=r"x has shape \(\d, 0\), expected at least one column"):
            regressor().predict(frame)


# -- memory -----------------------------------------------------------------------------------------------------------

ROWS, COLS = 50_000, 24
REVERSED = [f"c{i}" for i in reversed(range(COLS))]


def wide(**columns):
    frame = pandas.DataFrame(np.ones((ROWS, COLS)), columns=[f"c{i}" for i in range(COLS)])
    return frame.astype(columns) if columns else frame


LARGE = {
    "one block": (wide, 0),
    "several dtypes": (lambda: wide(c0="int64", c1="float32", c2="bool"), 1),
    "nullable": (lambda: wide(**{f"c{i}": "Int64" for i in range(COLS)}), 1),
    "objects": (lambda: wide(**{f"c{i}": object for i in range(0, COLS, 3)}), 1),
    "polars": (lambda: polars.from_pandas(wide()).with_columns(c0=polars.lit(True)), 1),
    "Arrow, in parts": (lambda: pyarrow.concat_tables([pyarrow.Table.from_pandas(wide())[:7]] * (ROWS // 7)), 1),
    "polars as it lies": (lambda: polars.DataFrame(np.asfortranarray(np.ones((ROWS, COLS)))), 0),
    "another order": (lambda: wide()[REVERSED], 1),
    "another order of several dtypes": (
        lambda: wide(c0="Int8", c5="bool")[[f"c{COLS - 1 - i}" for i in range(COLS)]],
        1,
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_frame_is_copied_no_more_than_a_column_at_a_time(kind):
    make, matrices = LARGE[kind]
    frame = make()
    net = Model([Dense(1)], seed=0)
    net.predict(FRAMES["pandas"](np.ones((9, COLS)), [f"c{i}" for i in range(COLS)]))
    if kind == "polars as it lies":
        net = Model([Dense(1)], seed=0)
    net.predict(frame[:9])
    tracemalloc.start()
    net.predict(frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    column, matrix = 8 * ROWS, 4 * ROWS * COLS
    assert peak < matrices * matrix + 5 * column  # objects of a column, its numbers, the outputs


# -- sparse rows ------------------------------------------------------------------------------------------------------


def test_sparse_rows_are_predicted_block_by_block():
    x = sparse.random(20_000, 500, 0.01, format="csr", random_state=0)
    net = Model([Dense(1)], seed=0)
    net.predict(x[:9])
    tracemalloc.start()
    outputs = net.predict(x)
    value = net.evaluate(x, outputs, "mse")["loss"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert value == 0
    assert peak < 4 * 20_000 * 500 / 5  # of all rows as an array
    assert same_bits(outputs, net.predict(x.toarray()))


class OneDimension:
    """As newer versions of SciPy have it."""

    shape, nnz = (24,), 24

    def toarray(self):
        return X[:, 0]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (sparse.csr_array(1j * X), TypeError, "x holds complex numbers"),
        (sparse.csr_array(np.where(X > 1, np.nan, X)), ValueError, "x is NaN at row"),
        (sparse.csr_array(X[:, :2]), ValueError, r"Dense 1 .*expects 3 features, got x of shape \(24, 2\)"),
        (OneDimension(), ValueError, r"x has shape \(24,\), expected 2 dimensions"),
        (sparse.csr_array((0, 3)), ValueError, "x has no rows"),
    ],
    ids=["complex", "NaN", "narrow", "one dimension", "no rows"],
)
@pytest.mark.parametrize("call", ["fit", "evaluate", "train_batch"])
def test_bad_sparse_rows_are_refused(call, x, error, message):
    net = regressor().build(3)
    with pytest.raises(error, match=message):
        CALLS[call](net, x)


# -- one dimension ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.array, list, tuple, pandas.Series, polars.Series], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    "call",
    [
        lambda x: regressor().predict(x),
        lambda x: Sigmoid().forward(x),
        lambda x: regressor().fit(X, Y, validation_data=(x, Y)),
        lambda x: regressor().build(3).backward(x),
    ],
    ids=["predict", "a layer alone", "validation", "backward"],
)
def test_one_dimension_is_refused_with_code_that_makes_two(call, make):
    data = make([1.0, 2.0, 3.0])
    if call.__code__.co_names[-1] == "backward":
        net = regressor()
        net.forward(X)
        call = net.backward
    with pytest.raises(
        ValueError, match=r"has shape \(3,\), expected 2 dimensions \(rows, columns\); one row is"
    ) as caught:
        call(data)
    argument, row, column = re.search(r"(\w+) has shape.*one row is (.+), one column (.+)$", str(caught.value)).groups()
    assert np.shape(eval(row, {argument: data})) == (1, 3)
    assert np.shape(eval(column, {argument: data})) == (3, 1)


def test_a_layer_that_is_called_alone_is_named():
    with pytest.raises(ValueError, match=r"^Sigmoid: x has shape \(3,\), .*; one row is x\[None, :\]"):
        Sigmoid().forward(np.zeros(3))


def test_a_regression_speaks_of_shapes_and_a_classification_of_labels():
    net = Model([Dense(4)], seed=0)
    with pytest.raises(ValueError, match=r"expected \(rows, 4\) .*4 numbers for each row.*Dense\(1\)$"):
        net.fit(X, X[:, 0], "mse")
    with pytest.raises(
        ValueError,
        match=r"for labels of classes it ends in Softmax\(\), and the loss is CrossEntropy\(\)$",
    ):
        net.fit(X, np.arange(24) % 4, "mse")
    with pytest.raises(ValueError, match=r"y is 4 at row 4, expected labels from 0 to 3"):
        net.fit(X, np.arange(24) % 5, CrossEntropy(from_logits=True))

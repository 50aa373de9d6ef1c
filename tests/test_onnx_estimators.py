"""Estimators as ONNX files: what onnxruntime computes from a table is what they predict."""

import dataclasses
import json
import os
import tempfile
import warnings

import numpy as np
import pytest

pytestmark = pytest.mark.once

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from test_onnx import session  # noqa: E402

import fastnn  # noqa: E402
from fastnn import GaussianNLL, Quantile, to_onnx  # noqa: E402
from fastnn.formats.table_graph import PARTS, Given, graph_of_table  # noqa: E402
from fastnn.sklearn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor  # noqa: E402
from fastnn.sklearn.plans import DatePlan  # noqa: E402

RTOL = {"float32": 1e-5, "float64": 1e-12}
FEW, MANY = 60, 150  # rows whose nets are of float64, and of float32
NOTHING = -(2**63)


def fed(own, frame):
    """What a session is given for a frame, by the types of its inputs."""
    inputs = own.get_inputs()
    if [one.name for one in inputs] == ["x"] and "x" not in frame:
        return {"x": frame.astype(float).to_numpy("f" if "float" in inputs[0].type else "d")}
    found = {}
    for one in inputs:
        column = frame[one.name]
        if "string" in one.type:
            values = np.array(["" if pd.isna(value) else str(value) for value in column], object)
        elif "int64" not in one.type:
            values = column.astype(float).to_numpy("f" if "float" in one.type else "d")
        elif column.dtype.kind == "M" or column.isna().all():
            values = column.to_numpy("datetime64[us]").astype(np.int64)
        else:
            values = np.array([NOTHING if pd.isna(value) else int(value) for value in column], np.int64)
        found[one.name] = values[:, None]
    return found


def close(found, expected, rtol):
    expected = np.asarray(expected, np.float64)
    found = np.asarray(found, np.float64).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max(initial=0))


# -- columns ----------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
SOME = np.arange(FEW) % 7 == 3


def text(values):
    return pd.Series([None if own else value for value, own in zip(values, SOME, strict=True)], dtype=object)


def days(first, step, unit):
    return pd.Series(np.datetime64(first, "us") + np.arange(FEW) * np.timedelta64(step, unit))


# Each kind of column: values of the fit, others to predict for, and what the input is
COLUMNS = {
    "numbers": (RNG.normal(1e6, 1e-2, FEW), [np.nan, 0.0, 1e300, -1e300], "tensor(double)"),
    "missing": (np.where(SOME, np.nan, RNG.normal(size=FEW)), [np.nan, 0.0, 1e18], "tensor(double)"),
    "whole": (2**60 + np.arange(FEW) % 9, [0, 2**62, -(2**63) + 1, 2**63 - 1], "tensor(int64)"),
    "whole and negative": (-(2**61) - np.arange(FEW) % 9, [0, 2**62, -(2**63) + 1], "tensor(int64)"),
    "whole and missing": (
        pd.Series([None if own else 2**60 + i for i, own in enumerate(SOME)], dtype="Int64"),
        pd.Series([None, 1], dtype="Int64"), "tensor(int64)",
    ),
    "text of two": (text(np.array(["yes", "no"])[np.arange(FEW) % 2]), ["maybe", "yes", None], "tensor(string)"),
    "text of some": (text(np.array([*"abß"])[np.arange(FEW) % 3]), ["c", "ß", None], "tensor(string)"),
    "text with the empty one": (np.array([*"ab", ""], object)[np.arange(FEW) % 3], ["", "c"], "tensor(string)"),
    "text of many": (text([f"v{i % 20}" for i in range(FEW)]), ["v1", "new", None], "tensor(string)"),
    "text that occurs once": (text([f"v{i}" for i in range(FEW)]), ["v1", "new", None], "tensor(string)"),
    "truths": (np.arange(FEW) % 3 == 0, [True, False], "tensor(double)"),
    "truths and missing": (text(np.arange(FEW) % 2 == 0), [None, True, False], "tensor(double)"),
    "categories of numbers": (pd.Categorical(np.arange(FEW) % 3 / 10), [0.1, 0.2, 0.3, None], "tensor(double)"),
    "many categories of numbers": (pd.Categorical(np.arange(FEW) % 12 / 10), [0.7, 5.5], "tensor(double)"),
    "categories of whole numbers": (pd.Categorical(2**60 + np.arange(FEW) % 3), [2**60 + 1, 7], "tensor(int64)"),
    "numbers that occur once": (
        pd.Series(pd.Categorical([None if own else i / 4 for i, own in enumerate(SOME)])), [1.0, None],
        "tensor(double)",
    ),
    "dates": (days("1999-11-27", 1, "D"), [*pd.to_datetime(["2000-02-29", "1900-03-01", "2024-12-31", None])],
              "tensor(int64)"),
    "dates and missing": (
        days("1969-12-31T22:00", 7, "h").where(~SOME), [*pd.to_datetime(["2026-01-01T23:59:59.9", None])],
        "tensor(int64)",
    ),
    "one date and missing": (days("2020-01-01", 0, "D").where(~SOME), [*pd.to_datetime(["2020-01-02", None])],
                             "tensor(int64)"),
    "one value": (np.full(FEW, 3.0), [4.0, np.nan], None),
    "one text": (np.full(FEW, "a", object), ["b", None], None),
    "nothing": (np.full(FEW, np.nan), [1.0, np.nan], None),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_each_kind_of_column_becomes_what_it_does_in_the_estimator(name):
    values, others, kind = COLUMNS[name]
    frame = pd.DataFrame({"number": np.linspace(-1, 1, FEW), name: values})
    y = np.arange(FEW) % 5 + 3 * (np.arange(FEW) % 3)
    model = TabularRegressor("fast", n_nets=1, random_state=0).fit(frame, y)
    own = session(to_onnx(model, inputs="columns"))
    assert {one.name: one.type for one in own.get_inputs()}.get(name) == kind
    rest = pd.Series(others, dtype=getattr(others, "dtype", None) or (object if kind == "tensor(string)" else None))
    more = pd.DataFrame({"number": [0.5] * len(others), name: rest})
    if "truths" in name:
        more[name] = pd.Series(others, dtype=object)
    for rows in (frame, more, frame[:1]):
        (found,) = own.run(None, fed(own, rows))
        close(found, model.predict(rows), 1e-12)
    assert own.run(None, fed(own, frame[:0]))[0].shape == (0, 1)


class Dates:
    """An estimator that returns all parts of dates."""

    def _prediction_graph(self, inputs, preprocessing, labels):
        to = graph_of_table([Given("date", "dates")], inputs)
        to.output(to.date_parts(to.of_table([0]), 0, PARTS), "parts", (len(PARTS),))
        return to


def test_the_calendar_is_that_of_numpy_for_all_years():
    rng = np.random.default_rng(0)
    dates = rng.integers(-(2**63) + 1, 2**63 - 1, 20_000)
    near = np.arange(-80_000, 80_000, dtype="datetime64[D]").astype("datetime64[us]").astype(np.int64)  # 1750 to 2189
    ends = np.array(["0001-01-01", "1600-02-29", "1900-02-28", "9999-12-31T23:59:59.999999"], "datetime64[us]")
    dates = np.concatenate([dates, near, near - 1, ends.astype(np.int64)])
    (found,) = session(to_onnx(Dates())).run(None, {"date": dates[:, None]})
    plan = DatePlan(0, "date", 0, False, 0, dict.fromkeys(PARTS, 0.0))
    np.testing.assert_allclose(found, plan.numbers(dates.astype("datetime64[us]")), rtol=1e-15, atol=1e-15)
    assert np.isnan(session(to_onnx(Dates())).run(None, {"date": [[NOTHING]]})[0]).all()


# -- estimators for tables --------------------------------------------------------------------------------------------


def table(rows, numbers_alone=False):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 3))
    x[rng.random((rows, 3)) < 0.1] = np.nan
    frame = pd.DataFrame(x, columns=["a", "", "label"])
    if not numbers_alone:
        frame["town"] = rng.choice(["Ulm", "Köln", "Rom", None], rows)
        frame["street"] = rng.choice([f"{i}th" for i in range(30)], rows)
        frame["day"] = np.datetime64("2024-01-30") + rng.integers(0, 900, rows).astype("timedelta64[D]")
    target = np.nan_to_num(x[:, 0]) + (0 if numbers_alone else 2 * (frame["town"] == "Rom"))
    return frame, np.asarray(target)


@pytest.mark.parametrize("preset", ["fast", "balanced", "best"])
@pytest.mark.parametrize("dtype", RTOL)
def test_estimators_for_tables_are_all_in_the_file(preset, dtype, tmp_path):
    rows = FEW if dtype == "float64" else MANY
    frame, target = table(rows)
    settings = {"preset": preset, "n_nets": 3 if preset == "best" else 2, "random_state": 0, "time_limit": 30}
    y = np.array(["low", "middle", "high"])[(target > 0) + (target > 1).astype(int)]
    classifier = TabularClassifier(**settings).fit(frame, pd.Series(y, name="height"))
    assert classifier.nets_[0].dtype == dtype
    for temperature in (1.0, 1.7):
        classifier.temperature_ = temperature
        path = tmp_path / "model.onnx"
        model = to_onnx(classifier, path)
        onnx.checker.check_model(model, full_check=True)
        assert (model.ir_version, sorted(one.version for one in model.opset_import)) == (8, [3, 17])
        own = session(str(path))
        assert [(one.name, one.shape) for one in own.get_inputs()] == [
            (name or "x1", ["rows", 1]) for name in frame.columns
        ]  # fmt: skip
        assert [(one.name, one.type) for one in own.get_outputs()] == [
            ("label_1", "tensor(string)"), ("probabilities", "tensor(double)"),
        ]  # fmt: skip
        for some in (frame, frame[:1]):
            labels, found = own.run(None, fed(own, some.rename(columns={"": "x1"})))
            close(found, classifier.predict_proba(some), RTOL[dtype])
            assert (labels == classifier.predict(some)).all()
    about = {name: json.loads(value) for name, value in own.get_modelmeta().custom_metadata_map.items()
             if name != "fastnn_version"}  # fmt: skip
    assert about["class_names"] == ["high", "low", "middle"]
    assert about["feature_names"] == [*frame.columns]
    assert (about["estimator"], about["target_name"]) == ("TabularClassifier", "height")
    assert about["inputs"] == dict(zip(frame.columns, ["numbers"] * 3 + ["text"] * 2 + ["dates"], strict=True))
    each = session(to_onnx(classifier, outputs="columns", labels=False))
    assert [one.name for one in each.get_outputs()] == ["high", "low", "middle"]

    y = pd.Series(2e9 + target, name="cost")
    regressor = TabularRegressor(**settings).fit(frame, y)
    assert regressor.recipe_.clip == (preset == "best")
    regressor.recipe_ = dataclasses.replace(regressor.recipe_, clip=True)
    regressor._range = np.quantile(y, [0.2])[:1], np.quantile(y, [0.8])[:1]
    own = session(to_onnx(regressor))
    (found,) = own.run(["cost"], fed(own, frame.rename(columns={"": "x1"})))
    close(found - 2e9, regressor.predict(frame) - 2e9, max(RTOL[dtype], 1e-6))
    assert len({*found[:, 0]}) < rows


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_a_table_of_numbers_is_one_matrix(rows):
    frame, target = table(rows, True)
    rtol = RTOL["float64" if rows == FEW else "float32"]
    given = {"names": frame, "array": frame.to_numpy(), "categories": frame.assign(a=np.arange(rows) % 4)}
    for how, x in given.items():
        asked = [0] if how == "categories" else "from_dtype"
        y = np.stack([target, -3 * target + 1], axis=1)
        model = TabularRegressor("fast", categorical_features=asked, n_nets=2, random_state=0).fit(x, y)
        own = session(to_onnx(model))
        assert [(one.name, one.shape) for one in own.get_inputs()] == [("x", ["rows", 3])]
        (found,) = own.run(["variable"], {"x": np.asarray(x, np.float64)})
        close(found, model.predict(x), rtol)
        names = [one.name for one in session(to_onnx(model, inputs="columns", outputs="columns")).get_inputs()]
        assert names == (["x0", "x1", "x2"] if how == "array" else ["a", "x1", "label"])
        inner = session(to_onnx(model, preprocessing=False))
        matrix = model.preprocessing_.transform(x).astype(model.nets_[0].dtype)
        close(inner.run(None, {"x": matrix})[0], model.predict(x), rtol)


def test_columns_that_are_dropped_are_no_inputs_and_labels_are_of_their_kind():
    x = np.random.default_rng(0).normal(size=(FEW, 2))
    frame = pd.DataFrame({"a": x[:, 0], "same": "s", "b": x[:, 1]})
    for classes, kind in (
        ([5, 7], "int64"), ([0, 1], "int64"), ([False, True], "bool"), (["n", "y"], "string"), ([1.0, 2.0], "double"),
    ):  # fmt: skip
        y = np.array(classes)[(x[:, 0] > 0).astype(int)]
        model = TabularClassifier("fast", n_nets=1, random_state=0).fit(frame, y)
        own = session(to_onnx(model))
        assert [one.name for one in own.get_inputs()] == ["a", "b"]
        assert own.get_outputs()[0].type == f"tensor({kind})"
        labels, _ = own.run(None, fed(own, frame))
        assert labels.tolist() == model.predict(frame).tolist()


def test_names_that_were_given_go_before_those_that_were_not():
    x = np.random.default_rng(0).normal(size=(FEW, 5))
    named = ["", "x0", "label", "probabilities", "cost"]
    frame = pd.DataFrame(x, columns=named).assign(text=["u", "v"] * (FEW // 2))
    classifier = TabularClassifier("fast", n_nets=1, random_state=0).fit(frame, (x[:, 1] > 0).astype(int))
    own = session(to_onnx(classifier))
    assert [one.name for one in own.get_inputs()] == ["x0_1", *named[1:], "text"]
    assert [one.name for one in own.get_outputs()] == ["label_1", "probabilities_1"]
    rows = frame.rename(columns={"": "x0_1"})
    close(own.run(["probabilities_1"], fed(own, rows))[0], classifier.predict_proba(frame), 1e-12)
    regressor = TabularRegressor("fast", n_nets=1, random_state=0).fit(frame, pd.Series(x[:, 1], name="cost"))
    for inputs, name in (("columns", "cost_1"), (None, "cost_1")):
        own = session(to_onnx(regressor, inputs=inputs))
        assert [one.name for one in own.get_outputs()] == [name]
        close(own.run(None, fed(own, rows))[0], regressor.predict(frame), 1e-12)
    plain = TabularRegressor("fast", n_nets=1, random_state=0).fit(x, pd.Series(x[:, 1], name="x"))
    own = session(to_onnx(plain))
    assert ([one.name for one in own.get_inputs()], own.get_outputs()[0].name) == (["x_1"], "x")


# -- multi-layer perceptrons ------------------------------------------------------------------------------------------

X = np.random.default_rng(3).normal(size=(80, 4))
TWO = (X[:, 0] > 0).astype(int)
THREE = TWO + (X[:, 1] > 0.5)
LETTERS = np.array(["a", "b", "c"])[THREE]
MIXED = np.array([[*pair] for pair in zip(LETTERS.tolist(), TWO.tolist(), strict=True)], object)
TARGETS = {
    "two": TWO, "three": LETTERS, "several labels": np.stack([TWO, X[:, 1] > 0, X[:, 2] > 0], axis=1).astype(int),
    "several targets": np.stack([THREE, TWO + 5], axis=1), "of several kinds": MIXED,
    "one of a single class": np.stack([THREE, np.full(80, 4)], axis=1),
}  # fmt: skip
CLASSIFIERS = [
    *((name, own) for name in TARGETS for own in ({}, {"loss": "hinge"}, {"n_ensemble": 2, "normalization": "batch"})),
    ("two", {"loss": "multi_margin"}), ("two", {"out_activation": "softmax"}),
    ("three", {"loss": "multi_margin"}), ("three", {"out_activation": "logistic", "n_ensemble": 2}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", RTOL)
def test_classifiers_give_labels_and_probabilities_or_margins(dtype):
    x = X.astype(dtype)
    for name, settings in CLASSIFIERS:
        if name == "one of a single class" and settings.get("loss"):
            continue
        model = MLPClassifier((8,), max_iter=10, random_state=0, **settings).fit(x, TARGETS[name])
        own = session(to_onnx(model))
        assert own.get_inputs()[0].type == ("tensor(float)" if dtype == "float32" else "tensor(double)")
        what = "scores" if "loss" in settings else "probabilities"
        for rows in (x, x[:1], x[:0]):
            made = dict(zip([one.name for one in own.get_outputs()], own.run(None, {"x": rows}), strict=True))
            if not len(rows):
                assert all(len(one) == 0 for one in made.values()), (name, settings)
                continue
            expected = model.decision_function(rows) if what == "scores" else model.predict_proba(rows)
            labels = model.predict(rows)
            if isinstance(expected, list):
                assert [*made] == [f"{kind}_{j}" for j in range(2) for kind in ("label", what)]
                for j, of_target in enumerate(expected):
                    close(made[f"{what}_{j}"], of_target, RTOL[dtype])
                    assert made[f"label_{j}"].tolist() == labels[:, j].tolist(), (name, settings)
            else:
                assert [*made] == ["label", what]
                close(made[what], expected, RTOL[dtype])
                assert made["label"].tolist() == labels.tolist(), (name, settings)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", RTOL)
def test_regressors_give_what_predict_does(dtype):
    x = X.astype(dtype)
    for settings in (
        {}, {"loss": "poisson"}, {"loss": "gaussian_nll"}, {"loss": Quantile([0.1, 0.5, 0.9])}, {"n_ensemble": 3},
        {"out_activation": "softplus"}, {"loss": GaussianNLL(), "n_ensemble": 2}, {"loss": "poisson", "n_ensemble": 2},
    ):  # fmt: skip
        for y in (np.abs(x[:, 0]), np.abs(x[:, :2])):
            model = MLPRegressor(hidden_layer_sizes=(8,), max_iter=10, random_state=0, **settings).fit(x, y)
            for rows in (x, x[:1]):
                (found,) = session(to_onnx(model)).run(["variable"], {"x": rows})
                expected = model.predict(rows)
                assert found.shape == (expected.shape if expected.ndim > 1 else (len(rows), 1)), settings
                close(found, expected, RTOL[dtype])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", RTOL)
def test_categories_of_the_perceptrons(dtype):
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(X.astype(dtype), columns=[*"abcd"])
    few, many = (
        pd.Categorical(rng.choice(["u", "v", "w"], 80)),
        pd.Categorical(rng.choice([f"k{i}" for i in range(9)], 80)),
    )
    tenths = pd.Categorical(rng.integers(0, 3, 80) / 10)
    for frame, is_matrix in (
        (numbers.assign(few=few, e=X[:, 0].astype(dtype), many=many), False),
        (numbers.assign(whole=pd.Categorical(rng.integers(0, 3, 80))), True),
        (numbers.assign(tenths=tenths), dtype == "float64"),
    ):
        model = MLPClassifier((8,), max_iter=10, random_state=0, categorical_features="from_dtype").fit(frame, TWO)
        own = session(to_onnx(model))
        assert [one.name for one in own.get_inputs()] == (["x"] if is_matrix else [*frame.columns])
        odd = frame[:8].assign(few="new", many="new") if "few" in frame else frame[:1]
        if "few" in odd:
            odd = odd.astype({"few": "category", "many": "category"})
        for rows in (frame, odd):
            labels, found = own.run(None, fed(own, rows))
            close(found, model.predict_proba(rows), RTOL[dtype])
            assert (labels == model.predict(rows)).all()


def test_weights_that_were_set_are_written():
    model = MLPRegressor(hidden_layer_sizes=(2,))
    model.coefs_, model.intercepts_ = [np.ones((3, 2)), np.ones((2, 1))], [np.zeros(2), np.ones(1)]
    model.n_features_in_ = 3
    (found,) = session(to_onnx(model)).run(None, {"x": np.ones((2, 3))})
    assert found.tolist() == [[7.0], [7.0]]


# -- errors -----------------------------------------------------------------------------------------------------------


def fit(column, **more):
    frame = pd.DataFrame({"a": np.linspace(0, 1, FEW), "odd": column})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TabularRegressor("fast", n_nets=1, random_state=0, **more).fit(frame, np.arange(FEW))


def load_bytes(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save(os.path.join(folder, "m"))
        return fastnn.load(os.path.join(folder, "m"))


def classified(classes):
    return TabularClassifier("fast", n_nets=1, random_state=0).fit(X[:FEW], np.array(classes)[TWO[:FEW]])


DAYS = np.array(["2024-01-01", "2025-01-01"], "datetime64[D]")
REFUSED = {
    "text and numbers": (lambda: fit([*[1, "a"] * 30]), {}, "column 'odd' holds numbers or booleans and text, which"),
    "bytes": (lambda: fit([b"a", b"b"] * 30), {}, "column 'odd' holds bytes, which other formats cannot hold: change"),
    "half a letter": (lambda: fit(pd.Series(["a", "\ud800"] * 30, dtype=object)), {}, "'odd' holds halves of letters"),
    "beyond 64 bits": (lambda: fit([10**30 + i for i in range(FEW)]), {}, "column 'odd' holds whole numbers beyond 64"),
    "unsigned": (lambda: fit(np.arange(FEW, dtype="u8") + np.uint64(2**63)), {}, "column 'odd' holds whole numbers b"),
    "unsigned, some": (
        lambda: fit(np.uint64(2**60) + np.arange(FEW, dtype="u8") * np.uint64(2**58)), {},
        f"column 'odd' holds whole numbers beyond 64 bits, up to {2**60 + 59 * 2**58}",
    ),
    "unsigned, some, from a file": (
        lambda: load_bytes(fit(np.uint64(2**60) + np.arange(FEW, dtype="u8") * np.uint64(2**58))), {},
        "column 'odd' holds whole numbers beyond 64 bits, up to",
    ),
    "the empty text beside none": (
        lambda: fit(["a", "", None] * 20), {}, "column 'odd' holds the text \"\" beside missing values",
    ),
    "the empty text beside none, of the perceptrons": (
        lambda: MLPRegressor(hidden_layer_sizes=(2,), max_iter=1, categorical_features=[1]).fit(
            pd.DataFrame({"a": np.arange(60.0), "odd": ["a", "", None] * 20}), np.arange(60)
        ), {}, "column 'odd' holds the text \"\" beside missing values",
    ),
    "categories beyond 64 bits": (lambda: fit(pd.Categorical([2**70, 2**71] * 30)), {}, "column 'odd' holds whole num"),
    "categories of large numbers and fractions": (
        lambda: fit(pd.Categorical(pd.Index([2**60 + 1, 0.5] * 30, dtype=object))), {},
        "column 'odd' holds whole numbers beyond 64 bits, or besid",
    ),
    "a matrix of text": (
        lambda: fit(["a", "b"] * 30), {"inputs": "matrix"}, r"inputs='matrix' is of .*, and column 'odd' holds text",
    ),
    "labels of numbers": (lambda: fit([1.0, 2.0] * 30), {"labels": True}, "labels=True, but TabularRegressor predicts"),
    "dates as classes": (lambda: classified(DAYS), {}, "TabularClassifier has classes that ONNX has no labels for"),
    "a net": (lambda: fastnn.Model([fastnn.Dense(1)]).build(2), {"preprocessing": False}, "preprocessing=False is of "),
    "not fitted": (TabularClassifier, {}, "to_onnx: This TabularClassifier instance is not fitted yet"),
    "not fitted, either": (MLPClassifier, {}, "to_onnx: This MLPClassifier instance is not fitted yet"),
    "another class": (dict, {}, "to_onnx: net is {}, expected a Model, .* or an estimator of fastnn.sklearn"),
    "a pipeline": (
        lambda: make_pipeline(StandardScaler(), MLPClassifier()), {}, "of fastnn.sklearn: pass its last step, pipeline",
    ),
    "preprocessing": (lambda: fit([1.0, 2.0] * 30), {"preprocessing": "no"}, "to_onnx: preprocessing"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_what_onnx_cannot_hold_says_which_part_it_is(case, tmp_path):
    make, settings, message = REFUSED[case]
    path = tmp_path / "old.onnx"
    path.write_bytes(b"old")
    model = make()
    with pytest.raises((TypeError, ValueError, NotFittedError), match=message):
        to_onnx(model, path, **settings)
    assert path.read_bytes() == b"old"


def test_without_columns_or_labels_there_is_what_is_left():
    frame = pd.DataFrame({"a": ["s"] * FEW})
    model = TabularRegressor("fast", n_nets=1, random_state=0).fit(frame, np.arange(FEW))
    with pytest.raises(ValueError, match="to_onnx: all columns were dropped in the fit"):
        to_onnx(model)
    model = TabularRegressor("fast", n_nets=1, random_state=0).fit(np.ones((FEW, 2)), np.arange(FEW))
    (found,) = session(to_onnx(model)).run(None, {"x": np.array([[1.0, 2.0], [np.nan, np.inf]])})
    close(found, model.predict(np.ones((2, 2))), 1e-12)
    model = classified(DAYS)
    (found,) = session(to_onnx(model, labels=False)).run(None, {"x": X[:5]})
    close(found, model.predict_proba(X[:5]), 1e-12)

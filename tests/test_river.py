"""Nets as estimators of river: its own checks and its evaluation, and what grows while it learns."""

import copy
import pickle
import sys

import numpy as np
import pytest
from nets import FEATURES, same_bits
from test_contract import LAYERS

from fastnn import (
    EMA,
    SGD,
    SWA,
    Adam,
    BatchEnsemble,
    BatchNorm,
    Columns,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    GroupedDense,
    Huber,
    Identity,
    LayerNorm,
    LogSoftmax,
    Members,
    Model,
    Normalization,
    OneHot,
    PBLDEmbedding,
    PLREmbedding,
    PReLU,
    ReLU,
    Residual,
    RMSNorm,
    Scale,
    ScheduleFreeAdamW,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Sparsemax,
    SwiGLU,
)
from fastnn.schedules import Linear
from fastnn.training import growth

pytestmark = pytest.mark.once

pd = pytest.importorskip("pandas")
pytest.importorskip("river")
from river import checks, datasets, evaluate, metrics, preprocessing  # noqa: E402

from fastnn.river import Classifier, Regressor  # noqa: E402

MODELS = {
    "classifier": lambda: Classifier([Dense(8, "relu")], seed=0),
    "deep": lambda: Classifier([Dense(8), Dropout(0.1), Dense(8, "tanh")], Adam(0.01), seed=0),
    "linear": lambda: Regressor([], SGD(1e-9), Huber(), seed=0, dtype="float64"),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_passes_the_checks_of_river(name):
    model = MODELS[name]()
    for check in checks.yield_checks(model):
        if check.__name__ not in model._unit_test_skips():
            check(model.clone())


def test_it_learns_in_the_evaluation_of_river():
    model = preprocessing.StandardScaler() | Classifier([Dense(16, "relu")], SGD(0.05), seed=0)
    assert evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy()).get() > 0.85
    model = preprocessing.StandardScaler() | Classifier([Dense(16, "relu")], Adam(0.01), seed=0)
    assert evaluate.progressive_val_score(datasets.ImageSegments(), model, metrics.Accuracy()).get() > 0.8
    net = preprocessing.TargetStandardScaler(Regressor([Dense(16, "tanh")], Adam(0.01), seed=0))
    model = preprocessing.StandardScaler() | net
    assert evaluate.progressive_val_score(datasets.TrumpApproval(), model, metrics.MAE()).get() < 1.0


def rows(n=40, names="abc", seed=0):
    rng = np.random.default_rng(seed)
    return [dict(zip(names, rng.normal(size=len(names)).tolist(), strict=True)) for _ in range(n)]


def test_it_is_the_net_with_the_same_rows():
    """As long as nothing appears."""
    model, net = Regressor([Dense(5, "tanh")], "adam", seed=0), Model([Dense(5, "tanh"), Dense(1)], seed=0)
    for x in rows():
        y = x["a"] * x["b"]
        assert model.predict_one(x) == (net.predict_one([*x.values()]).item() if net.built else 0)
        model.learn_one(x, y)
        net.learn_one([*x.values()], y, "mse", "adam")
    assert same_bits(model.net.params, net.params)


def test_rows_may_be_those_of_a_frame():
    """What `iterrows` gives, as dicts; columns of truth values are numbers, and so are objects that are."""
    one, other = (Regressor([Dense(5, "tanh")], seed=0) for _ in range(2))
    frame = pd.DataFrame(rows())
    for (_, x), same in zip(frame.iterrows(), frame.to_dict("records"), strict=True):
        assert one.predict_one(x) == other.predict_one(same)
        one.learn_one(x, 1.0)
        other.learn_one(same, 1.0)
    assert same_bits(one.net.params, other.net.params)
    positive = frame.assign(c=frame["c"] > 0)
    for same in (positive.astype(float), positive.astype(object)):
        np.testing.assert_array_equal(one.predict_many(same), one.predict_many(positive))


@pytest.mark.parametrize("make", [lambda: SGD(0.1, momentum=0.9), Adam, lambda: Adam(clip_norm=1.0, accumulate=2)])
def test_what_is_learnt_and_remembered_stays_where_features_and_classes_appear(make):
    model = Classifier([Dense(4, "tanh"), BatchNorm()], make(), seed=0)
    for x in rows():
        model.learn_one(x, "yes" if x["a"] > 0 else "no")
    before, x = copy.deepcopy(model.net), rows(1)[0]
    shown = model.predict_proba_one(x)
    memory = {name: array.copy() for name, array in before._trainer.state.memories.get(before.optimizer).items()}
    model._grown(["d"])
    assert model.net.n_in == 4
    assert same_bits(model.net[0].w[:3], before[0].w)
    assert model.net[0].w[3].any()
    assert model.predict_proba_one(x) == shown == model.predict_proba_one({**x, "d": 0.0})
    assert model.predict_proba_one({**x, "d": 5.0}) != shown
    grown = model.net._trainer.state.memories.get(model.net.optimizer)
    for name, array in memory.items():
        if array.size == before.n_parameters:
            n = before[0].w.size
            assert same_bits(grown[name][:n].reshape(3, 4), array[:n].reshape(3, 4))
            assert same_bits(grown[name][-10:], array[-10:])
            assert not grown[name][n : n + 4].any()
        else:
            assert same_bits(grown[name], array)
    model.learn_one({**x, "d": 1.0}, "perhaps")
    assert {*model.predict_proba_one(x)} == {"no", "yes", "perhaps"}
    assert model.net.n_out == 3
    for x in rows(2000, "abcd"):
        model.learn_one(x, "perhaps")
    assert model.predict_one(rows(1)[0]) == "perhaps"


GROWING = {  # nets in which new columns stand between known ones; nothing else of these is trained while they are 0
    "branches": lambda: [Concatenate([Identity(), Dense(3, "tanh")]), BatchNorm(trainable=False), Dense(3)],
    "branches of branches": lambda: [
        Concatenate([Concatenate([Scale(), Dense(2, "glu")]), Sequential([Dense(2), ReLU()]), Members(2)]),
        PReLU(per_column=True),
    ],
    "members": lambda: [Members(2), Dense(4, "tanh")],
    "members apart": lambda: [Members(2), BatchEnsemble(4, 2, "relu", r_initializer="signs"), GroupedDense(1, 2)],
    "groups": lambda: [Members(2), GroupedDense(3, 2)],
    "gates": lambda: [Members(2), SwiGLU(), Dense(3)],
    "columns": lambda: [Columns(slice(None, None, -1), 0), Dense(3, "tanh")],
    "columns of codes": lambda: [OneHot({0: 2}), Dense(3, "tanh")],
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(0.01, momentum=0.9, average=SWA(0, per="step")), lambda: Adam(0.01, average=EMA(0.9)),
        lambda: ScheduleFreeAdamW(0.01),
    ],
)  # fmt: skip
def test_what_is_learnt_of_an_input_stays_with_it(name, make):
    """A net that has grown goes on as the one before, with its averages, as long as the new inputs are 0."""
    one = Regressor(GROWING[name](), make(), seed=0, dtype="float64")
    given = [{**x, "a": float(x["a"] > 0)} for x in rows()]
    for x in given[:20]:
        one.learn_one(x, x["a"] - x["b"])
    other = copy.deepcopy(one)
    other._grown(["d", "e"])
    assert other.net.n_in == 5
    for x in given[20:]:
        assert other.predict_one(x) == pytest.approx(one.predict_one(x), rel=1e-11, abs=1e-11)
        for model in (one, other):
            model.learn_one(x, x["a"] - x["b"])
    assert other.predict_one({**x, "d": 1.0}) != other.predict_one(x)


def test_what_is_learnt_of_a_class_stays_with_it_where_as_many_inputs_appear():
    model = Classifier([Concatenate([Identity(), Dense(3, "tanh")])], SGD(0.1), seed=0, dtype="float64")
    for i, x in enumerate(rows()):
        model.learn_one(x, i % 6)
    before = model.predict_proba_one(x)
    assert model.net[-2].w.shape == (6, 6)
    model._grown(["d"], [6])
    assert model.net[-2].w.shape == (7, 7)
    after = model.predict_proba_one(x)
    known = 1 - after.pop(6)
    assert {label: p / known for label, p in after.items()} == pytest.approx(before, rel=1e-12)


def test_growing_takes_no_steps_for_each_input():
    """Of Python, in what takes over: the lines that are run there do not grow with the net."""
    lines = []
    for n in (10, 1000):
        model = Regressor([Dense(4, "tanh"), PReLU(), Dense(4)], seed=0)
        model.learn_one(dict.fromkeys(map(str, range(n)), 1.0), 1.0)
        lines.append(lines_run(growth, lambda model=model: model._grown(["new"])))
    assert 50 < lines[1] < lines[0] + 10


def lines_run(module, call):
    """How many lines of a module a call runs."""
    n, before = 0, sys.gettrace()

    def trace(frame, event, argument):
        nonlocal n
        n += event == "line"
        return trace if frame.f_code.co_filename == module.__file__ else None

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return n


TOO_WIDE = {  # these know how many columns there are, or divide them
    "bins", "columns", "gates last", "grouped", "normalization", "normalization in a residual",
    "normalization of what is missing", "numpy around everything", "numpy inside", "residual alone", "residual first",
}  # fmt: skip
OF_ALL_COLUMNS = {"layer norm first", "rms norm", "waves", "waves and relu"}  # of which a 0 is one, too


@pytest.mark.parametrize("name", LAYERS)
def test_a_net_of_any_layers_grows_or_stays(name):
    model = Regressor(LAYERS[name](), SGD(0.01), seed=0, dtype="float64")
    names = "abcdefgh"[:FEATURES]
    given = [{key: abs(value) for key, value in x.items()} for x in rows(10, names)]
    for x in given:
        model.learn_one(x, 1.0)
    net, before = model.net, model.predict_one(x)
    wider = {**x, "y": 0.0, "z": 0.0}
    if name in TOO_WIDE:
        with pytest.raises(ValueError, match=r"^\w+ \d"):
            model.learn_one(wider, 1.0)
        assert model.net is net
        assert [*model._features] == [*names]
    else:
        model._grown(wider)
    assert name in OF_ALL_COLUMNS or model.predict_one(x) == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        LayerNorm(), RMSNorm(), Softmax(), LogSoftmax(), Sparsemax(), Sigmoid(), Softplus(), PLREmbedding(),
        PBLDEmbedding(),
    ],
    ids=repr,
)  # fmt: skip
def test_predictions_change_where_0_counts(layer):
    """Of the features themselves; behind a Dense that reads them they stay."""
    for layers, stays in (([layer], False), ([Dense(3), layer], True)):
        model = learnt(Regressor, layers=layers, dtype="float64")
        x = {"a": 0.25, "b": 0.5}
        before = model.predict_one(x)
        model._grown(["c"])
        assert (model.predict_one(x) == pytest.approx(before, rel=1e-9)) is stays


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Columns(-1), Dense(3)], "Columns 1: where features appear .* of other inputs.* put a Dense before it"),
        ([SwiGLU(), Dense(3)], "SwiGLU 1: where features appear"),
        ([Residual([Columns(slice(None, None, -1))]), Dense(3)], "Residual 1: where features appear"),
        ([Concatenate([Identity(), Identity()]), Embedding(4)], "Embedding 2: where features appear"),
    ],
)
def test_a_net_whose_columns_would_be_others_does_not_grow(layers, message):
    model = learnt(Regressor, layers=layers)
    x = {"a": 1.0, "b": 1.0}
    before = model.predict_one(x)
    with pytest.raises(ValueError, match=message):
        model.learn_one({**x, "c": 1.0, "d": 1.0}, 1.0)
    assert model.predict_one(x) == before
    model.learn_one(x, 1.0)


def test_rows_of_a_frame_are_one_step():
    frame = pd.DataFrame(rows(), index=range(100, 140))
    model, net = Regressor([Dense(5, "tanh")], "adam", seed=0), Model([Dense(5, "tanh"), Dense(1)], seed=0)
    for part in (frame[:20], frame[20:]):
        y = part["a"] * 2
        model.learn_many(part, y)
        net.train_batch(part.to_numpy(), y.to_numpy(), loss="mse", optimizer="adam")
    assert same_bits(model.net.params, net.params)
    assert model.predict_many(frame).index.equals(frame.index)
    assert model.predict_many(frame[["b", "a", "c"]]).equals(model.predict_many(frame))
    lacking = model.predict_many(frame[["b", "a"]])
    assert lacking.iloc[0] == model.predict_one({"a": frame["a"].iloc[0], "b": frame["b"].iloc[0]})
    classifier = Classifier([], seed=0)
    assert classifier.predict_proba_many(frame).shape == (40, 0)
    classifier.learn_many(frame, pd.Series(np.arange(40) % 5))
    found = classifier.predict_proba_many(frame)
    assert [*found.columns] == [0, 1, 2, 3, 4]
    assert np.allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_weights_are_those_of_single_steps():
    model, net = Regressor([], SGD(0.1), seed=0), Model([Dense(1)], seed=0)
    for i, x in enumerate(rows()):
        model.learn_one(x, 1.0, w=i / 20)
        net.train_batch([[*x.values()]], [1.0], [i / 20], "mse", SGD(0.1) if net.optimizer is None else None)
    assert same_bits(model.net.params, net.params)


def test_a_pickle_goes_on():
    model = Classifier([Dense(4, "tanh")], "adam", seed=0)
    for x in rows():
        model.learn_one(x, x["a"] > 0)
    other = pickle.loads(pickle.dumps(model))
    for x in rows(20, "abcd", 1):
        model.learn_one(x, x["a"] > 0)
        other.learn_one(x, x["a"] > 0)
    assert same_bits(model.net.params, other.net.params)
    assert model.predict_proba_one(x) == other.predict_proba_one(x)


def test_settings_are_copied_and_belong_to_one():
    layers, rule = [Dense(4)], SGD(0.1)
    one, other = Regressor(layers, rule, seed=0), Regressor(layers, rule, seed=0)
    for model in (one, other):
        model.learn_one({"a": 1.0}, 1.0)
    assert not layers[0].n_in
    assert same_bits(one.net.params, other.net.params)
    assert one.net.optimizer is not rule
    assert one.clone().net is None


def learnt(kind, n_classes=2, layers=(), **options):
    """An estimator that knows the features a and b, and classes 0 and 1."""
    model = kind(layers, seed=0, **options)
    for i in range(4):
        model.learn_one({"a": float(i), "b": 1.0}, i % n_classes)
    return model


DATE = pd.Timestamp("1954-06-03")
FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, 0.25]})
REFUSED = {
    "NaN": lambda model: model.learn_one({"a": np.nan}, 5),
    "NaN of a class that is known": lambda model: model.learn_one({"a": np.nan, "c": 1.0}, 1),
    "NaN of a new feature": lambda model: model.learn_one({"c": np.nan, "d": 1.0}, 5),
    "text": lambda model: model.learn_one({"a": "Rome"}, 5),
    "None": lambda model: model.learn_one(None, 5),
    "no label": lambda model: model.learn_one({"a": 1.0, "c": 2.0}, None),
    "a label of NaN": lambda model: model.learn_one({"a": 1.0, "c": 2.0}, float("nan")),
    "rows without a label": lambda model: model.learn_many(FRAME.assign(c=1.0), pd.Series([5.0, np.nan])),
    "rows with NaN": lambda model: model.learn_many(FRAME.assign(b=[1.0, np.nan], c=1.0), pd.Series([5, 6])),
    "rows with a list as a label": lambda model: model.learn_many(FRAME.assign(c=1.0), pd.Series([5, [6]])),
    "a list": lambda model: model.learn_one([1.0, 2.0], 5),
    "a weight of text": lambda model: model.learn_one({"a": 1.0, "c": 2.0}, 5, w="two"),
    "a weight of NaN": lambda model: model.learn_one({"a": 1.0}, 5, w=np.nan),
    "a class that is a list": lambda model: model.learn_one({"a": 1.0, "c": 2.0}, [5]),
    "rows of infinity": lambda model: model.learn_many(FRAME.assign(c=np.inf), pd.Series([5, 6])),
    "rows of text": lambda model: model.learn_many(FRAME.assign(c="Rome"), pd.Series([5, 6])),
    "rows of digits": lambda model: model.learn_many(FRAME.assign(c=["1", "2"]), pd.Series([5, 6])),
    "rows of dates": lambda model: model.learn_many(FRAME.assign(c=DATE), pd.Series([5, 6])),
    "rows of durations": lambda model: model.learn_many(FRAME.assign(c=DATE - DATE), pd.Series([5, 6])),
    "a Series for rows": lambda model: model.learn_many(FRAME["a"], pd.Series([5, 6])),
    "a Series with NaN": lambda model: model.learn_one(pd.Series({"a": 1.0, "c": np.nan}), 5),
    "more classes than rows": lambda model: model.learn_many(FRAME.assign(c=1.0), pd.Series([5, 6, 7])),
    "rows with weights of text": lambda model: model.learn_many(FRAME, pd.Series([5, 6]), ["one", "two"]),
    "no frame": lambda model: model.learn_many([[1.0]], pd.Series([5])),
}


@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_what_is_refused_changes_nothing(n_classes):
    """Neither features nor classes appear by it, and what is learnt afterwards has the bits as if it had not been."""
    for make in (lambda: SGD(0.1, momentum=0.9), lambda: Adam(Linear(0.1, 0.01, steps=20))):
        one, other = (learnt(Classifier, n_classes, [Dense(5, "tanh")], optimizer=make()) for _ in range(2))
        for name, call in REFUSED.items():
            net, before = one.net, one.net.params.copy()
            try:
                call(one)
            except (TypeError, ValueError, FloatingPointError):
                pass
            else:
                pytest.fail(f"{name} was not refused")
            assert one.net is net, name
            assert same_bits(net.params, before), name
            assert [*one._features] == ["a", "b"], name
            assert [*one._classes] == [*range(n_classes)], name
            x = {"a": 1.0, "b": -1.0}
            assert one.predict_proba_one(x) == other.predict_proba_one(x), name
            for model in (one, other):
                model.learn_one(x, 0)
            assert same_bits(one.net.params, other.net.params), name
        for model in (one, other):
            model.learn_one({"a": 1.0, "c": 2.0}, 5)
            model.learn_many(FRAME.assign(d=1.0), pd.Series([6, 7]))
        assert same_bits(one.net.params, other.net.params)
        assert [*one.predict_proba_one(x)] == [*range(n_classes), 5, 6, 7]


@pytest.mark.parametrize("number", [np.nan, None, pd.NA, np.inf, 1e300])
@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_what_is_no_finite_number_is_refused_by_its_name(kind, number):
    """In frames, too: only a column that is not there is 0."""
    model = learnt(kind, layers=[Dense(3, "relu")])
    row, frame = {"b": number}, pd.DataFrame({"b": [1.0, number]})
    calls = [
        (model.predict_one, row), (lambda x: model.learn_one(x, 1), row),
        (model.predict_many, frame), (lambda x: model.learn_many(x, pd.Series([0, 1])), frame),
    ]  # fmt: skip
    for call, x in calls:
        with pytest.raises(ValueError, match=rf"^{kind.__name__}: x is .* column 'b'"):
            call(x)


def test_a_step_that_diverges_lets_nothing_appear():
    one, other = (learnt(Classifier, optimizer=SGD(0.1, momentum=0.9)) for _ in range(2))
    with pytest.raises(FloatingPointError):
        one.learn_one({"a": 3e38, "c": -3e38}, 5, w=100.0)
    assert ([*one._features], [*one._classes]) == (["a", "b"], [0, 1])
    for model in (one, other):
        model.learn_one({"a": 1.0, "c": 2.0}, 5)
    assert same_bits(one.net.params, other.net.params)


def test_a_first_row_that_is_refused_is_not_there():
    for kind in (Classifier, Regressor):
        one, other = kind([Dense(3)], seed=0), kind([Dense(3)], seed=0)
        for x in ({"b": np.nan}, {"b": "Rome"}, {}, None, [1.0]):
            with pytest.raises((TypeError, ValueError)):
                one.learn_one(x, 5)
            assert one.net is None
        for model in (one, other):
            model.learn_one({"a": 1.0}, 1)
        assert same_bits(one.net.params, other.net.params)


class Table(list):
    """Looks like a data frame of polars."""

    get_columns = list.copy


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Classifier(Model([Dense(2)])), TypeError, "Classifier: layers is .*, expected those below the last"),
        (lambda: Regressor(Dense(2)), TypeError, "Regressor: layers is Dense"),
        (lambda: Regressor([], "adma"), ValueError, "did you mean"),
        (lambda: Classifier([], loss="nothing"), ValueError, "loss"),
        (lambda: Regressor([]).learn_one({}, 1.0), ValueError, "Regressor: x is empty"),
        (lambda: Regressor([]).learn_one({"a": "text"}, 1.0), TypeError, "row"),
        (lambda: Regressor([]).learn_one({"a": np.nan}, 1.0), ValueError, "NaN"),
        (lambda: learnt(Classifier).learn_one({"a": 1.0, "b": "Rome"}, "no"), TypeError, "x: column 'b' holds"),
        (lambda: learnt(Classifier).learn_one({"a": 1.0, 7: np.inf}, "no"), ValueError, "x is inf.* column 7"),
        (lambda: learnt(Regressor).learn_one({"b": np.nan, "a": 1}, 1.0), ValueError, "x is NaN .*column 'b'"),
        (lambda: learnt(Regressor).learn_one({"a": 1.0, "b": [1]}, 1.0), TypeError, "x: column 'b' holds list"),
        (lambda: learnt(Regressor).predict_one({"a": 1.0, "b": "Rome"}), TypeError, "x: column 'b' holds text"),
        (lambda: learnt(Classifier).learn_one({"a": 1.0}, np.nan), ValueError, "y is nan at row 0, expected a label"),
        (lambda: learnt(Classifier).learn_one({"a": 1.0}, None), ValueError, "Classifier: y is None at row 0"),
        (lambda: learnt(Classifier).learn_one({"a": 1.0}, pd.NaT), ValueError, "Classifier: y is NaT at row 0"),
        (lambda: learnt(Classifier).learn_one({"a": 1.0}, pd.NA), ValueError, "Classifier: y is <NA> at row 0"),
        (lambda: learnt(Classifier).learn_one({"a": 1.0}, [1]), TypeError, r"Classifier: y is \[1\] .* a tuple"),
        (lambda: learnt(Classifier).learn_many(FRAME, pd.Series(["no", None])), ValueError, "y is .* at row 1"),
        (lambda: learnt(Regressor).learn_one({"a": 1.0}, None), ValueError, "y is NaN at row 0"),
        (lambda: learnt(Regressor).predict_one([1.0, 2.0]), TypeError, "Regressor: x is .*, expected a dict"),
        (lambda: learnt(Regressor).predict_many(Table()), TypeError, "Regressor: x is .*, expected a dict"),
        (lambda: learnt(Classifier).predict_proba_one({"b": "Rome"}), TypeError, "x: column 'b' holds text"),
        (lambda: learnt(Regressor).predict_many(pd.DataFrame({"b": ["Rome"]})), TypeError, "x: column 'b' holds"),
        (lambda: learnt(Classifier).predict_proba_many(FRAME.assign(b="Rome")), TypeError, "x: column 'b' holds"),
        (lambda: learnt(Regressor).predict_many(FRAME.assign(b=DATE)), TypeError, "^Regressor: .* 'b' holds dates"),
        (lambda: learnt(Regressor).predict_many(FRAME.assign(b=DATE - DATE)), TypeError, "column 'b' holds durations"),
        (lambda: learnt(Regressor).predict_many(FRAME.assign(b=["1", "2"])), TypeError, "column 'b' holds text"),
        (lambda: learnt(Regressor).predict_many(FRAME.assign(b=1j)), TypeError, "column 'b' holds complex numbers"),
        (lambda: learnt(Regressor).predict_many(FRAME["a"]), TypeError, r"x is Series of shape \(2,\), expected a"),
        (lambda: learnt(Regressor).predict_one(pd.Series({"b": np.nan})), ValueError, "x is NaN .*column 'b'"),
        (lambda: Regressor([Normalization()]).learn_one({"a": 1.0}, 1.0), RuntimeError, "one row has none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call()

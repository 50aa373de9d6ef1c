"""Single rows, and passes over rows as they come: the bits of train_batch, whatever rows are and whatever changes."""

import copy
import gc
import pickle
import threading
from collections import namedtuple
from contextlib import suppress
from weakref import ref

import numpy as np
import pandas as pd
import pytest
from custom import LogCosh as OwnLogCosh
from custom import Scale, SignSGD
from nets import FEATURES, OPTIMIZERS, OUTPUTS, TASKS, data, each_dtype, memory_of, same_bits

import fastnn
from fastnn import (
    L2,
    LBFGS,
    MSE,
    SGD,
    Adam,
    BatchNorm,
    CrossEntropy,
    Dense,
    Dropout,
    Group,
    Head,
    Heads,
    LayerNorm,
    Loss,
    MaxNorm,
    Model,
    Normalization,
    Residual,
    Sigmoid,
    Softmax,
    losses,
)
from fastnn.layers import Embedding
from fastnn.losses import reduction
from fastnn.schedules import Cosine, Linear

X, T = (0.3 * array for array in data(rows=12))
LABELS = np.arange(12) % OUTPUTS

NETS = {
    "dense": lambda: [Dense(5, "relu"), Dense(OUTPUTS)],
    "all": lambda: [Dense(5), Residual([Dense(6, "tanh"), Dropout(0.2), Dense(5)]), LayerNorm(), Dense(OUTPUTS)],
    "wide": lambda: [Dense(300, "relu"), Dense(301, "tanh"), Dense(OUTPUTS, "tanh")],
    "numpy": lambda: [Dense(5, "tanh"), Scale(), Dense(OUTPUTS)],
}


def pair(layers=NETS["dense"], dtype="float64", **options):
    """Two nets that are alike."""
    return [Model(layers(), seed=0, dtype=dtype, **options) for _ in range(2)]


def state_of(net):
    states = [array for layer in net._tree.all for array in layer.states.values()]
    return [array.copy() for array in (net.params, net.grads, *states, *memory_of(net).values())]


def assert_alike(one, other):
    assert len(state_of(one)) == len(state_of(other))
    assert all(map(same_bits, state_of(one), state_of(other)))


def is_compiled(net):
    return len(net._trainer.of_rows) > 0


def by_python(net, x, y, sample_weight=None, loss=None, optimizer=None):
    """Take the step of train_batch as Python takes it, and leave nothing behind for a compiled one."""
    return net._trainer.claim.run(net._trainer.take_batch, x, y, sample_weight, loss, optimizer)[0]


class Compiled:
    """Counts the steps that are none of Python's."""

    def __init__(self, monkeypatch):
        self.by_python = 0
        take = fastnn.training.trainer.Trainer.take_batch

        def counted(trainer, *arguments):
            self.by_python += 1
            return take(trainer, *arguments)

        monkeypatch.setattr(fastnn.training.trainer.Trainer, "take_batch", counted)


@pytest.fixture
def compiled(monkeypatch):
    return Compiled(monkeypatch)


# The same bits as those of train_batch


@each_dtype
@pytest.mark.parametrize("name", NETS)
def test_rows_train_as_batches_of_one(name, dtype, compiled):
    """With every optimizer: losses, parameters, gradients, states and what is remembered."""
    for rule, make in {**OPTIMIZERS, "numpy": lambda: SignSGD(0.01), "groups": grouped}.items():
        (one, other), rules = pair(NETS[name], dtype), (make(), make())
        compiled.by_python = 0
        got = [one.learn_one(x, t, "mse", rules[0]) for x, t in zip(X, T, strict=True)]
        assert compiled.by_python == (12 if "numpy" in (rule, name) else 1), rule
        got += [one.learn_one(x, t) for x, t in zip(X, T, strict=True)]
        of_batch = [by_python(other, x[None], t[None], None, "mse", rules[1]) for x, t in zip(X, T, strict=True)]
        of_batch += [by_python(other, x[None], t[None]) for x, t in zip(X, T, strict=True)]
        assert got == of_batch, rule
        assert_alike(one, other)


def grouped():
    return Adam(0.01, groups=[Group("0.*", lr_factor=0.5)], clip_norm=0.1, accumulate=3, decay="weights")


# Losses with ends and targets that the compiled step reads; the others are left to train_batch
READ = {
    "mse": (losses.MSE, list, [0.5, -2.0, 3]),
    "mae": (losses.MAE, list, [0.5, -2.0, 3]),
    "huber": (losses.Huber, list, [0.5, -2.0, 3]),
    "smooth l1": (losses.SmoothL1, list, [0.5, -2.0, 3]),
    "log cosh": (losses.LogCosh, list, [0.5, -2.0, 3]),
    "mape": (losses.MAPE, list, [0.5, -2.0, 3]),
    "expectile": (losses.Expectile, list, [0.5, -2.0, 3]),
    "msle": (losses.MSLE, list, [0.5, 0.0, 3]),
    "poisson": (losses.PoissonNLL, list, [0, 5, 2.5]),
    "gamma": (losses.GammaDeviance, list, [0.5, 1e-3, 2]),
    "bce": (losses.BinaryCrossEntropy, lambda: [Sigmoid()], [0, 1, 0.25]),
    "bce from logits": (lambda: losses.BinaryCrossEntropy(from_logits=True), list, [0, 1, 0.25]),
    "focal": (losses.BinaryFocal, lambda: [Sigmoid()], [0, 1, 0.25]),
    "cross-entropy": (losses.CrossEntropy, lambda: [Softmax()], [0, 1, 2]),
    "multi-margin": (losses.MultiMargin, list, [0, 1, 2]),
    "gaussian": (losses.GaussianNLL, list, [0.5, -2.0, 3]),
}
NOT_READ = {
    "hinge": (losses.Hinge, list, [1, -1, 1]),
    "quantile": (lambda: losses.Quantile(0.5), list, [0.5, -2.0, 3]),
    "tweedie": (losses.TweedieDeviance, list, [0.5, 0.0, 3]),
    "weighted": (lambda: losses.MSE(output_weights=[1.0]), list, [0.5, -2.0, 3]),
    "classes weighted": (lambda: losses.CrossEntropy(class_weight=[1, 2, 1]), lambda: [Softmax()], [0, 1, 2]),
    "numpy": (OwnLogCosh, list, [0.5, -2.0, 3]),
}


@each_dtype
@pytest.mark.parametrize("name", [*READ, *NOT_READ])
def test_targets_of_every_loss(name, dtype, compiled):
    make, end, targets = (READ | NOT_READ)[name]
    outputs = 3 if "class" in name or name in ("cross-entropy", "multi-margin") else 2 if name == "gaussian" else 1
    one, other = pair(lambda: [Dense(5, "tanh"), Dense(outputs), *end()], dtype)
    rules, loss = (SGD(1e-3), SGD(1e-3)), (make(), make())
    for x, t in zip(X, 4 * targets, strict=True):
        y = np.array([t]) if outputs == 3 else np.array([[t]])
        assert one.learn_one(x, t, loss[0], rules[0]) == by_python(other, x[None], y, None, loss[1], rules[1])
        assert_alike(one, other)
    assert compiled.by_python - 12 == (1 if name in READ else 12)


def all_losses():
    found = [getattr(losses, name) for name in losses.__all__]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, Loss)]


def test_who_reads_targets_in_another_way_says_so():
    """What a class allows for targets of one row holds for its own `targets` and `read`, and for no class of a user."""
    for kind in all_losses():
        for base in kind.__mro__:
            if base not in (Loss, reduction.Reduced) and {"targets", "read"} & vars(base).keys():
                assert "target_range" in vars(base), base


FORMS = {
    "float64": lambda row: row,
    "float32": lambda row: row.astype("f"),
    "strided": lambda row: np.repeat(row, 2)[::2],
    "byte-swapped": lambda row: row.astype(row.dtype.newbyteorder()),
    "list": lambda row: row.tolist(),
    "tuple": lambda row: tuple(row.tolist()),
    "list of float64": list,
    "named": lambda row: dict(zip("abcd", row.tolist(), strict=True)),
    "named, in another order": lambda row: dict(zip("dbca", row[[3, 1, 2, 0]].tolist(), strict=True)),
    "series": lambda row: pd.Series(row, list("abcd")),
    "series, in another order": lambda row: pd.Series(row[[3, 1, 2, 0]], list("dbca")),
    "named tuple": lambda row: namedtuple("Row", "d b c a")(*row[[3, 1, 2, 0]]),
}


@each_dtype
@pytest.mark.parametrize("form", FORMS)
def test_a_row_in_any_form(form, dtype):
    (one, other), x = pair(dtype=dtype), X.astype("f").astype("f8")
    named = pd.DataFrame(x, columns=list("abcd"))
    for net in (one, other):
        net.train_batch(named, T, loss="mse", optimizer=SGD(0.1))
    for row, t in zip(x, T, strict=True):
        assert one.learn_one(FORMS[form](row), t) == by_python(other, row[None], t[None])
        assert same_bits(one.predict_one(FORMS[form](row)), other.predict(row[None])[0])
    assert_alike(one, other)
    assert is_compiled(one)


@each_dtype
def test_whole_numbers_of_any_size(dtype):
    one, other = pair(dtype=dtype)
    for net in (one, other):
        net.loss, net.optimizer = "mse", SGD(0.0)
    for row in ([1, 2, 3, 4], [True, False, 2, 3], [2**53 + 1, 0, 1, 2], [2**63, 0, 1, 2], [2**64, 1, 1, 2.5]):
        for given in (row, dict(zip("abcd", row, strict=True))):
            if isinstance(given, dict) and one.feature_names is None:
                for net in (one, other):
                    net.train_batch(pd.DataFrame(X, columns=list("abcd")), T)
            assert one.learn_one(given, [1, 2, 3]) == by_python(other, np.array(row)[None], [[1, 2, 3]])


WHOLE = {  # of a dict, and whether the compiled call reads them
    "small": ({"a": 1, "b": 2}, True),
    "a truth": ({"a": True, "b": -3}, True),
    "among others": ({"a": 1, "b": 2.5}, True),
    "2**53": ({"a": 2**53, "b": -(2**53)}, True),
    "2**53 + 1": ({"a": 2**53 + 1, "b": 2}, False),
    "-2**53 - 1": ({"a": 1, "b": -(2**53) - 1}, False),
    "2**70": ({"a": 1.5, "b": 2**70}, False),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_of_a_dict_are_read_by_the_compiled_call(name, compiled):
    row, is_fast = WHOLE[name]
    net, other = (Model([Dense(3, "tanh"), Dense(1)], seed=0, dtype="float64") for _ in range(2))
    for one in (net, other):
        one.learn_one({"a": 1.0, "b": 2.0}, 1.0, "mse", SGD(0.0))
        one.predict_one({"a": 1.0, "b": 2.0})
    compiled.by_python, array = 0, np.array([list(row.values())], "f8")
    value = net.learn_one(row, 1.0)
    assert compiled.by_python == (not is_fast)
    assert (net._predictors.whole.of_rows(row, 1) is not None) == is_fast
    assert value == by_python(other, array, [[1.0]])
    assert same_bits(net.predict_one(row), other.predict(array)[0])


TARGETS = {
    "float": 0.5, "int": 1, "bool": True, "float64": np.float64(0.5), "float32": np.float32(0.5), "int64": np.int64(1),
    "0-d": np.array(0.5), "list": [0.5], "tuple": (0.5,), "array": np.array([0.5]),
    "float32 array": np.array([0.5], "f"), "series": pd.Series([0.5]),
}  # fmt: skip


@pytest.mark.parametrize("form", TARGETS)
def test_a_target_in_any_form(form):
    for layers, loss in (([Dense(1)], "mse"), ([Dense(2), Softmax()], "cross_entropy")):
        if loss == "cross_entropy" and "float" in form.replace("bool", "") + str(TARGETS[form]):
            continue
        one, other = pair(lambda layers=layers: copy.deepcopy(layers))
        value = float(np.ravel(TARGETS[form])[0])
        if loss == "cross_entropy" and not value.is_integer():
            continue
        for row in X:
            got = one.learn_one(row, TARGETS[form], loss, "sgd")
            assert got == by_python(other, row[None], [value], None, loss, "sgd")
        assert_alike(one, other)


def test_the_first_dict_names_the_columns_of_a_new_model():
    one, other = pair()
    one.learn_one({"a": 1.0, "b": 2, "c": 3.5, "d": True}, T[0], "mse")
    by_python(other, [[1.0, 2, 3.5, 1]], T[:1], loss="mse")
    assert one.feature_names == tuple("abcd")
    assert_alike(one, other)
    with pytest.raises(
        ValueError, match=r"row lacks the column 'd' and has the column 'e' that the model does not know"
    ):
        one.learn_one({"a": 1.0, "b": 2, "c": 3.5, "e": True}, T[0])
    with pytest.raises(ValueError, match=r": pass \{name: row\[name\] for name in net.feature_names\}\. It was"):
        one.predict_one({"a": 1.0, "b": 2, "c": 3.5, "d": 4.0, "e": 5.0})
    with pytest.raises(ValueError, match=r"row lacks the column 'd'.*; list\(row.values\(\)\) goes by place"):
        one.predict_one({"a": 1.0, "b": 2, "c": 3.5})
    assert_alike(one, other)


def test_a_number_that_is_none_is_told_by_its_name():
    """Of rows whose numbers have names; a place in the row says nothing, as that of a Series and a dict may change."""
    net, row = Model([Dense(1)], seed=0), namedtuple("Row", "b a")
    net.learn_one({"a": 1.0, "b": 2.0}, 1.0, "mse")
    before = state_of(net)
    of = "x is {}.* row 0, column 'b'"
    for value, message in (
        ("Rome", "row: column 'b' holds text .*'Rome'"), (b"Rome", "row: column 'b' holds text"), ("3", "reads as num"),
        (pd.Timestamp("2020"), "row: column 'b' holds dates"), ([1, 2], "row: column 'b' holds list objects"),
        (10**400, "row: column 'b' is 1000"),
        (np.nan, of.format("NaN at")), (None, of.format("NaN at")), (np.inf, of.format("infinite")),
    ):  # fmt: skip
        forms = [
            {"a": 1.0, "b": value},
            {"b": value, "a": 1},
            row(value, 1.0),
            pd.Series([1.0, value], ["a", "b"], object),
        ]
        for given in forms:
            for call in (lambda given=given: net.learn_one(given, 1.0), lambda given=given: net.predict_one(given)):
                with pytest.raises((TypeError, ValueError), match=message):
                    call()
    new = Model([Dense(1)], seed=0)
    with pytest.raises(TypeError, match="row: column 'b' holds text"):
        new.learn_one({"a": 1.0, "b": "Rome"}, 1.0, "mse")
    assert not new.built
    assert new.feature_names is None
    assert all(map(same_bits, state_of(net), before))


def test_heads_take_targets_of_one_row():
    loss = Heads({"price": Head(MSE(), 1), "kind": Head(CrossEntropy(from_logits=True), 2)})
    one, other = pair()
    for y in ({"price": 0.5, "kind": 1}, (0.5, 1), {"price": [0.5], "kind": np.array([0.25, 0.75])}):
        given = y.values() if isinstance(y, dict) else y
        batch = tuple(np.array([one]) for one in given)
        assert one.learn_one(X[0], y, loss, "sgd") == by_python(other, X[:1], batch, None, copy.deepcopy(loss), "sgd")
    assert_alike(one, other)


def test_first_rows_of_an_image_and_codes():
    """Layers that take x in other shapes, or other than finite numbers, are given what they take."""
    one, other = pair(lambda: [fastnn.Flatten(), Dense(OUTPUTS)])
    for x in X:
        got = one.learn_one(x.reshape(2, 2), T[0], "mse", "sgd")
        assert got == by_python(other, x.reshape(1, 2, 2), T[:1], None, "mse", "sgd")
    one, other = pair(lambda: [Embedding({0: 3}), Dense(OUTPUTS)])
    for row in ([2, 0.5, 1.5, 2.5], [np.nan, 0.5, 1.5, 2.5]):
        assert one.learn_one(row, T[0], "mse", "sgd") == by_python(other, [row], T[:1], None, "mse", "sgd")
    with pytest.raises(ValueError, match="column"):
        one.learn_one([0.5, 0.5, 1.5, 2.5], T[0])
    assert_alike(one, other)


# Whatever changes between two rows counts from the next one on


def set_penalties(net):
    net.penalties = [L2(0.1)]


def set_constraints(net):
    net.constraints = [MaxNorm(0.5)]


def set_loss(net):
    net.loss = "mae"


def set_loss_weights(net):
    net.loss.output_weights = [1, 2, 3]


def miss(net):
    net.loss.missing = "ignore"


def set_optimizer(net):
    net.optimizer = Adam(0.01)


def set_rate(net):
    net.optimizer.lr = 0.5


def set_momentum(net):
    net.optimizer.momentum = 0.9


def set_momentum_in_its_cell(net):
    net.optimizer.cell("momentum")[0] = 0.9


def set_schedule(net):
    net.optimizer.lr = Linear(0.1, 0.0, steps=3)


def set_clipping(net):
    net.optimizer.clip_norm = 0.01


def freeze(net):
    net[0].trainable = False


def set_dropout(net):
    net[1][1].rate = 0.9


def set_weights(net):
    net[0].w = np.full((FEATURES, 5), 0.25)


def set_params(net):
    net.params *= 2


def fit(net):
    net.fit(X, T, epochs=2)


def fit_weighted(net):
    net.fit(X, T, epochs=2, sample_weight=np.arange(12.0))


def fit_with_another(net):
    net.fit(X, T, "mae", SGD(0.01, momentum=0.5), epochs=2)


def train_batch_of_labels(net):
    net.train_batch(X, T, np.arange(12.0), "huber", "adam")


def by_hand(net):
    net.backward(net.forward(X) - T)
    net.step()


def passes_by_hand(net):
    net.forward(X)


def restore(net):
    before = net.snapshot()
    net.train_batch(X, T)
    net.restore(before)


def soft_update(net):
    net.soft_update(Model(NETS["all"](), seed=3, dtype="float64").build(FEATURES), 0.5)


def diverge(net):
    before, net[3].w = net[3].w.copy(), np.full((5, OUTPUTS), 1e300)
    with pytest.raises(FloatingPointError):
        net.train_batch(X, T)
    net[3].w = before


def predict(net):
    net.predict_one(X[0])
    net.predict(X)


CHANGES = (
    set_penalties, set_constraints, set_loss, set_loss_weights, miss, set_optimizer, set_rate, set_momentum,
    set_momentum_in_its_cell, set_schedule, set_clipping, freeze, set_dropout, set_weights, set_params, fit,
    fit_weighted, fit_with_another, train_batch_of_labels, by_hand, passes_by_hand, restore, soft_update, diverge,
    predict,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_counts_from_the_next_row_on(change):
    nets = pair(NETS["all"])
    for net in nets:
        net.train_batch(X, T, loss=MSE(), optimizer=SGD(0.1))
        for x, t in zip(X[:3], T[:3], strict=True):
            net.learn_one(x, t)
    assert is_compiled(nets[0])
    for net in nets:
        change(net)
    for x, t in zip(X, T, strict=True):
        assert nets[0].learn_one(x, t) == by_python(nets[1], x[None], t[None])
        assert_alike(*nets)


@pytest.mark.parametrize("change", [Model.use_averages, restore], ids=lambda change: change.__name__)
def test_a_change_counts_for_what_predictions_are_of(change):
    """Averages are followed again from the next row on."""
    nets = pair(NETS["all"])
    for net in nets:
        net.train_batch(X, T, loss=MSE(), optimizer=SGD(0.1, average=fastnn.EMA(0.9)))
        for x, t in zip(X[:3], T[:3], strict=True):
            net.learn_one(x, t)
    assert is_compiled(nets[0])
    for net in nets:
        change(net)
    for x, t in zip(X, T, strict=True):
        assert nets[0].learn_one(x, t) == by_python(nets[1], x[None], t[None])
        assert same_bits(nets[0].predict(X), nets[1].predict(X))
    assert not same_bits(nets[0].predict(X), nets[0].forward(X))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_learn_on_their_own(duplicate):
    one, _ = pair(NETS["all"])
    for x, t in zip(X, T, strict=True):
        one.learn_one(x, t, "mse", "adam")
    other = duplicate(one)
    before = state_of(one)
    assert [other.learn_one(x, t) for x, t in zip(X, T, strict=True)]
    assert all(map(same_bits, state_of(one), before))
    for x, t in zip(X, T, strict=True):
        one.learn_one(x, t)
    assert_alike(one, other)


def test_a_schedule_moves_with_rows():
    nets = pair()
    for net in nets:
        net.optimizer = SGD(Linear(0.1, 0.0, steps=10), momentum=Linear(0.5, 0.9, steps=5))
    for x, t in zip(X, T, strict=True):
        assert nets[0].learn_one(x, t, "mse") == by_python(nets[1], x[None], t[None], loss="mse")
        assert nets[0].optimizer.lr == nets[1].optimizer.lr
    assert_alike(*nets)
    with pytest.raises(ValueError, match="spans a whole fit"):
        nets[0].learn_one(X[0], T[0], optimizer=SGD(Cosine(0.1)))
    nets[0].learn_one(X[0], T[0], optimizer="sgd")


def test_nothing_is_kept_alive():
    net, rule = Model(NETS["dense"](), seed=0), SGD(0.1)
    for x, t in zip(X, T, strict=True):
        net.learn_one(x, t, "mse", rule)
    assert is_compiled(net)
    gc.disable()
    try:
        seen, before = ref(rule), net.params.copy()
        del rule
        net.learn_one(X[0], T[0], optimizer=SGD(0.2))
        assert seen() is None
        assert not same_bits(before, net.params)
        seen = ref(net)
        del net
        assert seen() is None
    finally:
        gc.enable()


# What is wrong


def bad_rows():
    row, t = X[0].tolist(), T[0].tolist()
    yield [*row[:2], np.nan, 1.0], t, ValueError, "x is NaN at row 0, column 2"
    yield np.array([*row[:3], np.inf]), t, ValueError, "x is infinite"
    yield row[:3], t, ValueError, r"row has shape \(3,\), expected \(4,\); train_batch takes several rows"
    yield X[:2], T[:2], ValueError, r"row has shape \(2, 4\), expected \(4,\); train_batch takes several rows"
    yield "text", t, TypeError, "row is 'text', expected numbers"
    yield None, t, TypeError, "row is None"
    yield {"a": 1.0}, t, TypeError, "row is a dict"
    yield row, t[:2], ValueError, r"y has shape \(1, 2\), expected \(rows, 3\)"
    yield row, T[:2], ValueError, r"y has shape \(2, 3\), expected the targets of one row"
    yield row, [np.nan, 0, 0], ValueError, "y is NaN at row 0, column 0"
    yield row, None, ValueError, r"y has shape \(1,\), expected \(rows, 3\)"
    yield row, "cat", TypeError, "y"
    yield row, 0.5, ValueError, r"y has shape \(1,\), expected \(rows, 3\)"


@pytest.mark.parametrize(("x", "y", "error", "message"), list(bad_rows()))
def test_a_bad_row_changes_nothing(x, y, error, message):
    net = Model(NETS["dense"](), seed=0, dtype="float64")
    net.loss = "mse"
    for _ in range(3):
        net.learn_one(X[0], T[0])
    before = state_of(net)
    with pytest.raises(error, match=message):
        net.learn_one(x, y)
    assert all(map(same_bits, state_of(net), before))
    assert not net._trainer.claim.taken
    assert net.learn_one(X[0], T[0]) == net.learn_one(X[0], T[0], net.loss, net.optimizer) or True


@pytest.mark.parametrize(
    ("name", "bad"), [("cross-entropy", [-1, 3, 0.5, np.nan]), ("bce", [-0.1, 1.1]), ("msle", [-1]), ("gamma", [0, -1])]
)
def test_a_bad_target_changes_nothing(name, bad):
    make, end, targets = READ[name]
    net = Model([Dense(3 if name == "cross-entropy" else 1), *end()], seed=0)
    for t in targets:
        net.learn_one(X[0], t, make() if net.loss is None else None)
    assert is_compiled(net)
    before = state_of(net)
    for y in bad:
        with pytest.raises(ValueError, match=r"^y is "):
            net.learn_one(X[0], y)
        assert all(map(same_bits, state_of(net), before))


def test_a_step_that_diverges_says_what_train_batch_says():
    """Of the loss, of the gradients, and behind accumulated ones, which stay as they are."""
    for make in (lambda: SGD(0.1), lambda: SGD(0.1, accumulate=2)):
        nets, messages = pair(), []
        for net in nets:
            net.train_batch(X, T, loss="mse", optimizer=make())
            net.learn_one(X[0], T[0])
            net.params = np.full(net.n_parameters, 1e200)
        before = state_of(nets[0])
        for step in (lambda net=nets[0]: net.learn_one(X[0], T[0]), lambda net=nets[1]: by_python(net, X[:1], T[:1])):
            with pytest.raises(FloatingPointError, match="lower the learning rate") as caught:
                step()
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert same_bits(nets[0].params, before[0])
        assert_alike(*nets)
        assert not nets[0]._trainer.claim.taken


def test_one_row_has_no_scale():
    net = Model([Normalization(), Dense(OUTPUTS)], seed=0)
    with pytest.raises(
        RuntimeError, match=r"learn_one: Normalization 1 takes its scale from the first data, and one row"
    ):
        net.learn_one(X[0], T[0], "mse")
    assert not net.built
    net[0].adapt(X)
    one, other = net, copy.deepcopy(net)
    for x, t in zip(X, T, strict=True):
        assert one.learn_one(x, t, "mse", "sgd") == by_python(other, x[None], t[None], None, "mse", "sgd")
    assert is_compiled(one)
    assert_alike(one, other)


@pytest.mark.parametrize("method", ["learn_one", "partial_fit"])
def test_what_trains_whole_fits_takes_no_rows(method):
    net = Model(NETS["dense"](), seed=0)
    with pytest.raises((TypeError, ValueError, RuntimeError), match="fit"):
        getattr(net, method)(*((X[0], T[0]) if method == "learn_one" else (X, T)), loss="mse", optimizer=LBFGS())
    assert not net.built


def test_two_threads_take_no_step_at_once():
    """Of a net whose steps let other threads in: who comes second is refused, and no step is lost or taken twice."""
    x, taken = np.ones(400), []
    net = Model([Dense(500, "relu"), Dense(300, "relu"), Dense(1)], seed=0)
    net.loss, net.optimizer = "mse", Adam(1e-4)
    net.learn_one(x, 0.5)
    assert is_compiled(net)

    def learn():
        for _ in range(100):
            with suppress(RuntimeError):  # it is being trained by another thread
                taken.append(net.learn_one(x, 0.5))

    threads = [threading.Thread(target=learn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory_of(net)["step"][0] == 1 + len(taken) > 100
    assert not net._trainer.claim.taken


def test_a_callback_may_learn_rows():
    nets = pair()
    for net, learn in zip(
        nets, (lambda net: net.learn_one(X[0], T[0]), lambda net: net.train_batch(X[:1], T[:1])), strict=True
    ):
        net.train_batch(X, T, loss="mse", optimizer="adam")
        net.learn_one(X[0], T[0])
        net.fit(X, T, epochs=3, callbacks=lambda model, epoch, logs, learn=learn: learn(model) and None)
    assert same_bits(nets[0].params, nets[1].params)


# One pass


@each_dtype
def test_a_pass_takes_the_steps_of_train_batch(dtype):
    """With every optimizer, in the order of the rows; with weights as they are, of a shorter last batch too."""
    weights = np.linspace(-1, 2, 12)
    for name, make in {**OPTIMIZERS, "numpy": lambda: SignSGD(0.01), "groups": grouped}.items():
        for layers in NETS.values():
            (one, other), rules = pair(layers, dtype), (make(), make())
            for weight in (None, weights):
                for _ in range(2):
                    assert one.partial_fit(X, T, weight, "mse", rules[0], batch_size=5, shuffle=False) is one
                    for part in (slice(0, 5), slice(5, 10), slice(10, 12)):
                        own = None if weight is None else weight[part]
                        by_python(other, X[part], T[part], own, "mse", rules[1])
            assert same_bits(one.params, other.params), name
            assert all(map(same_bits, memory_of(one).values(), memory_of(other).values())), name


def test_a_pass_is_shuffled_by_the_seed():
    nets = [Model(NETS["dense"](), seed=0) for _ in range(3)]
    for i, net in enumerate(nets):
        net.partial_fit(X, T, loss="mse", batch_size=2, shuffle=i < 2)
    assert same_bits(nets[0].params, nets[1].params)
    assert not same_bits(nets[0].params, nets[2].params)
    before = nets[0].params - nets[1].params
    nets[0].partial_fit(X, T, batch_size=2)
    assert not before.any()
    assert nets[0].history.loss == []  # that of the last fit


def test_a_pass_follows_schedules_of_steps():
    nets = pair()
    for net in nets:
        net.optimizer = SGD(Linear(0.1, 0.0, steps=10), momentum=0.9)
    for _ in range(3):
        nets[0].partial_fit(X, T, loss="mse", batch_size=3, shuffle=False)
        for start in range(0, 12, 3):
            by_python(nets[1], X[start : start + 3], T[start : start + 3], loss="mse")
        assert nets[0].optimizer.lr == nets[1].optimizer.lr
    assert same_bits(nets[0].params, nets[1].params)
    with pytest.raises(ValueError, match="spans a whole fit"):
        nets[0].partial_fit(X, T, optimizer=SGD(Cosine(0.1)))


def test_a_pass_that_goes_wrong_changes_nothing():
    net = Model([Dense(5), BatchNorm(), Dense(OUTPUTS)], seed=0)
    net.partial_fit(X, T, loss="mse", optimizer=SGD(0.1, momentum=0.9))
    before = [array.copy() for array in (net.params, *memory_of(net).values())]
    broken, large = X.copy(), T.copy()
    broken[-1, 2], large[-1] = np.nan, 1e30
    with pytest.raises(ValueError, match="x is NaN at row 11, column 2"):
        net.partial_fit(broken, T, batch_size=2, shuffle=False)
    with pytest.raises(
        FloatingPointError, match=r"in batch 6, and the parameters are again those from before this pass"
    ):
        net.partial_fit(X, large, batch_size=2, shuffle=False)
    for options, message in (
        ({"batch_size": 0}, "batch_size is 0"), ({"shuffle": "no"}, "shuffle is 'no'"), ({"n_threads": 0}, "n_threads"),
        ({"classes": [0, 1]}, "partial_fit has no classes"), ({"epochs": 3}, "partial_fit has no epochs"),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=message):
            net.partial_fit(X, T, **options)
    assert all(map(same_bits, (net.params, *memory_of(net).values()), before))


def test_threads_give_a_pass_the_same_bits():
    x, t = data(rows=900)
    nets = [Model([Dense(301, "relu"), Dense(200, "tanh"), Dense(OUTPUTS)], seed=0) for _ in range(3)]
    for n_threads, net in enumerate(nets, 1):
        net.partial_fit(x, t, loss="mse", optimizer="adam", batch_size=300, n_threads=n_threads)
    assert all(same_bits(net.params, nets[0].params) for net in nets)


def test_all_tasks_are_passed_over():
    for task in TASKS:
        x, t = data(task)
        net = Model([Dense(4, "tanh"), Dense(OUTPUTS), *task.end()], seed=0)
        before = net.evaluate(x, t, task.loss())["loss"]
        for _ in range(30):
            net.partial_fit(x, t, loss=task.loss() if net.loss is None else None, optimizer="adam", batch_size=5)
        assert net.evaluate(x, t)["loss"] < before, task

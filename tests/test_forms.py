"""Forms that people try: parts that are called, indexed and read, whole floats as counts, histories as dicts."""

import copy
import pickle

import numpy as np
import pytest
from custom import Cube, LogCosh, Scale
from nets import TASKS, same_bits

import fastnn
from fastnn import (
    ELU,
    EMA,
    GELU,
    MSE,
    SELU,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    BinaryCrossEntropy,
    Columns,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Group,
    History,
    Huber,
    Layer,
    LayerNorm,
    LeakyReLU,
    Loss,
    Model,
    Optimizer,
    ReLU,
    Residual,
    RMSprop,
    ScheduleFreeAdamW,
    Sequential,
    Tanh,
    kernels,
    optimizers,
)
from fastnn.layers import activations
from fastnn.optimizers import Accumulate, Average, ClipLayerNorm, ClipNorm, ClipValue, Transform
from fastnn.signatures import parameters_of

ROWS, FEATURES = 12, 4
X = np.random.default_rng(0).normal(size=(ROWS, FEATURES))
Y = X[:, :1] ** 2

# A loss that is called


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_loss_that_is_called_gives_the_value_of_value_and_grad(task):
    rng = np.random.default_rng(1)
    y = rng.dirichlet(np.ones(3), ROWS)
    t, weight, loss = task.targets(y, rng), rng.random(ROWS), task.loss()
    assert loss(y, t) == loss.value_and_grad(y, t)[0]
    assert loss(y, t, weight) == loss.value_and_grad(y, t, weight)[0] != loss(y, t)
    assert type(loss(y, t)) is float
    assert loss(y.tolist(), t.tolist()) == pytest.approx(loss(y, t), rel=1e-6)


def test_one_dimensional_predictions_are_those_of_one_output():
    y, t = X[:, 0], Y[:, 0]
    value, gradient = MSE().value_and_grad(y, t)
    assert MSE()(y, t) == value == pytest.approx(np.mean((y - t) ** 2), rel=1e-12)
    np.testing.assert_allclose(gradient, 2 * (y - t) / ROWS, rtol=1e-12)
    assert MSE()(y, t[:, None]) == value


def test_a_loss_in_numpy_is_called_as_others():
    assert LogCosh()(X[:, :1], Y) == pytest.approx(np.log(np.cosh(X[:, :1] - Y)).mean(), rel=1e-12)
    assert LogCosh()(X[:, :1], Y, np.full(ROWS, 2.0)) == pytest.approx(2 * LogCosh()(X[:, :1], Y), rel=1e-12)
    unweighted = type("Own", (Loss,), {"value_and_grad": lambda self, y, t: (np.float64(1), y)})
    with pytest.raises(TypeError, match=r"Own\(\) takes no weight: give its value_and_grad a third parameter"):
        unweighted()(X, X, np.ones(ROWS))


def test_the_value_of_a_loss_is_that_of_evaluate():
    net = Model([Dense(1)], seed=0, dtype="float64")
    assert MSE()(net(X), Y) == net.evaluate(X, Y, "mse")["loss"]


# A layer that is called


def test_a_layer_that_is_called_is_built_and_predicts():
    layer = Dense(3, "relu")
    y = layer(X)
    assert y.shape == (ROWS, 3)
    np.testing.assert_allclose(y, np.maximum(X @ layer.w + layer.b, 0), rtol=1e-12)
    assert same_bits(layer(X), y)
    assert same_bits(layer.forward(X), y)
    with pytest.raises(ValueError, match="expects 4 features"):
        layer(X[:, :2])


def test_layers_that_are_called_compute_what_they_do_in_a_prediction():
    dropout = Dropout(0.5)
    np.testing.assert_array_equal(dropout(X), X)
    assert (dropout.forward(X) == 0).any()
    norm = BatchNorm()
    np.testing.assert_allclose(norm(X), X / np.sqrt(1 + norm.eps), rtol=1e-12)
    np.testing.assert_allclose(norm.forward(X).mean(axis=0), 0, atol=1e-12)
    assert (norm.mean == 0).all()


def test_nothing_is_kept_for_backward_by_a_call():
    layer = Dense(3)
    layer(X)
    with pytest.raises(RuntimeError, match=r"backward needs a forward before it; layer\(x\) is a prediction"):
        layer.backward(np.ones((ROWS, 3)))


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Dense(5, "tanh"), BatchNorm(), Dropout(0.3), Dense(2)],
        lambda: [Residual([Dense(5), Dropout(0.3), Dense(4)]), Sequential([LayerNorm(), Dense(3, "gelu")])],
        lambda: [Scale(), Cube(), Dense(2)],
    ],
)
def test_layers_called_one_by_one_predict_what_the_model_does(layers):
    net = Model(layers(), seed=0, dtype="float64").build(FEATURES)
    net.fit(X, np.ones((ROWS, net.n_out)), "mse", epochs=3)
    y = X
    for layer in net:
        y = layer(y)
    np.testing.assert_allclose(y, net(X), rtol=1e-12)


class Around(Layer):
    """A layer in NumPy that calls those inside it, as PyTorch's modules do."""

    def __init__(self):
        self.inner, self.dropout = Dense(4, "tanh"), Dropout(0.5)

    def forward(self, x):
        return x + self.dropout(self.inner(x))

    def backward(self, dy):
        return dy + self.inner.backward(self.dropout.backward(dy))


class Forward(Around):
    def forward(self, x):
        return x + self.dropout.forward(self.inner.forward(x))

    backward = Around.backward


def test_inside_the_forward_of_another_layer_a_call_is_what_that_computes():
    nets = [Model([kind(), Dense(1)], seed=0, dtype="float64") for kind in (Around, Forward)]
    for net in nets:
        net.fit(X, Y, "mse", SGD(0.1), epochs=5, batch_size=4)
    assert same_bits(nets[0].params, nets[1].params)
    assert same_bits(nets[0](X), nets[1](X))
    layer = nets[0][0]
    np.testing.assert_allclose(layer(X), X + np.tanh(X @ layer.inner.w + layer.inner.b), rtol=1e-12)


# Layers in a row


@pytest.mark.parametrize("kind", [Model, Sequential, Residual])
def test_layers_in_a_row_are_counted_and_indexed(kind):
    layers = [Dense(5, "relu"), Tanh(), Dense(4)]
    row = kind(layers)
    assert len(row) == 3
    assert row[0] is layers[0]
    assert row[-1] is row[np.int64(2)] is layers[2]
    assert row[1:] == tuple(layers[1:])
    assert [*row] == layers
    assert layers[1] in row
    assert Tanh() not in row
    assert bool(row)


def test_a_model_is_no_sequence_to_what_takes_data():
    net = Model([Dense(2)], seed=0)
    with pytest.raises((TypeError, ValueError), match=r"^x is"):
        net.predict(net)


def test_a_model_of_a_sequential_has_its_layers():
    net = Model(Sequential([Dense(5, "relu"), Dense(1)]), seed=0)
    assert [layer.units for layer in net] == [5, 1]
    assert net.predict(X).shape == (ROWS, 1)


# Counts that are whole floats

COUNTS = {
    "batch_size": lambda n: len(Model([Dense(1)], seed=0).fit(X, Y, batch_size=n, epochs=2)),
    "epochs": lambda n: len(Model([Dense(1)], seed=0).fit(X, Y, epochs=n)),
    "units": lambda n: Dense(n).units,
    "n_in": lambda n: Model([Dense(1)]).build(n).n_in,
    "seed": lambda n: Model([Dense(1)], seed=n).seed,
    "patience": lambda n: EarlyStopping(n).patience,
    "accumulate": lambda n: SGD(accumulate=n).accumulate,
    "rows of predict": lambda n: Model([Dense(1)], seed=0).predict(X, batch_size=n).tolist(),
    "rows of evaluate": lambda n: Model([Dense(1)], seed=0).evaluate(X, Y, batch_size=n),
    "threads of predict": lambda n: Model([Dense(1)], seed=0).predict(X, n_threads=n).tolist(),
    "threads of fit": lambda n: len(Model([Dense(1)], seed=0).fit(X, Y, n_threads=n, epochs=2)),
    "build": lambda n: Model([BuildsFloat(n)], seed=0).build(FEATURES).n_out,
}


class BuildsFloat(Layer):
    def __init__(self, n):
        self.n = n

    def build(self, n_in):
        return self.n

    def forward(self, x):
        return np.zeros((len(x), int(self.n)))


@pytest.mark.parametrize("case", COUNTS)
def test_a_count_may_be_a_whole_float(case):
    count = COUNTS[case]
    for n in (8.0, np.float64(8), np.float32(8)):
        assert count(n) == count(8)
        assert type(count(n)) is type(count(8))
    for wrong in (8.5, np.float64(8.5), float("nan"), float("inf"), "8", True):
        with pytest.raises((TypeError, ValueError), match=r"expected (a whole number|the number of outputs)"):
            count(wrong)


# Histories


def test_a_history_is_read_as_a_dict():
    history = Model([Dense(1)], seed=0).fit(X, Y, epochs=3, validation_data=(X, Y))
    assert history["loss"] is history.loss
    assert history["val_loss"] is history.val_loss
    assert [*history] == [*history.keys()] == ["loss", "val_loss"]
    assert "loss" in history
    assert "val_loss" in history
    assert "accuracy" not in history
    assert dict(history.items()) == dict(zip(history.keys(), history.values(), strict=True)) == history.to_dict()
    assert history.to_dict() == history.history == dict(history) == {"loss": history.loss, "val_loss": history.val_loss}
    history.to_dict()["loss"].clear()
    assert len(history) == len(history.loss) == 3
    again = pickle.loads(pickle.dumps(history))
    assert again.to_dict() == history.to_dict()


def test_what_a_history_does_not_have_is_said():
    history = Model([Dense(1)], seed=0).fit(X, Y, epochs=3)
    assert history.to_dict() == {"loss": history.loss}
    with pytest.raises(KeyError, match="no val_loss, but loss; fit was given no validation_data"):
        history["val_loss"]
    for name, cure in (("accuracy", "accuracy"), ("val_accuracy", "accuracy"), ("val_f1", "f1")):
        assert not hasattr(history, name)
        with pytest.raises(AttributeError, match=rf"has no {name}, but loss; fit was given no metrics=\['{cure}'\]"):
            getattr(history, name)
    history = Model([Dense(1)], seed=0).fit(X, Y, epochs=3, metrics="r2")
    with pytest.raises(AttributeError, match=r"they are history\['r2'\]"):
        history.r2  # noqa: B018
    with pytest.raises(AttributeError, match="has no val_r2, but loss and r2; fit was given no validation_data"):
        history.val_r2  # noqa: B018
    with pytest.raises(KeyError, match="the history has no acc, but loss and r2; fit was"):
        history["acc"]
    assert [*History()] == ["loss"]


def test_a_history_makes_a_table():
    pandas = pytest.importorskip("pandas")
    history = Model([Dense(1)], seed=0).fit(X, Y, epochs=3, validation_data=(X, Y))
    assert pandas.DataFrame(history.to_dict()).shape == (3, 2)


# A part reads as the expression that makes it

NAMES = {**vars(fastnn), **vars(optimizers), "sin": np.sin, "cos": np.cos}
OTHERS = {  # a value for each setting that has no default, or one that is neither a number nor a truth value
    "activation": "tanh", "units": 7, "weight_initializer": "he_uniform", "bias_initializer": "ones",
    "approximate": "tanh", "layers": [Dense(4, "relu"), Dropout(0.2), Dense(4)], "which": "0.*", "decay": "weights",
    "groups": [Group("biases", weight_decay=0.0), Group("0.*", 0.1)], "weight_decay": 0.02, "monitor": "loss",
    "clip_value": 3.0, "clip_layer_norm": 2.0, "clip_norm": 1.5, "limit": 2.0, "batches": 4, "mode": "max",
    "transforms": [ClipNorm(1.0), ClipValue(2.0)], "average": EMA(0.9), "per": "step", "threshold": 0.75,
    "initializer": "he_uniform", "stddev": 0.3, "function": np.sin, "gradient": np.cos, "shape": [2, 3], "p": 2,
    "reduction": "sum", "output_weights": (1.0, 2.0), "missing": "ignore", "pos_weight": 2.0, "ignore_index": -1,
    "class_weight": (1.0, 2.0), "columns": {0: 5}, "size": 5, "penalty": fastnn.L1(0.3),
    "r_initializer": "signs", "edges": [[0.0, 0.5, 1.0]],
    "heads": {"price": fastnn.Head(fastnn.MSE(), 2, weight=0.5)},
}  # fmt: skip
REQUIRED = {"groups": 3}  # other values, where there is no default
BASES = Layer, Loss, Optimizer, Transform, Average, Group, EarlyStopping
PARTS = [
    kind
    for name, kind in sorted(NAMES.items())
    if isinstance(kind, type)
    and issubclass(kind, BASES)
    and name == kind.__name__
    and kind not in BASES[:5]
    and kind is not Columns  # what it takes has no names
]


def others(name, default):
    """Values that are not the default, of which at least one is allowed."""
    if name in OTHERS and not isinstance(default, float):
        return [OTHERS[name], *{"missing": ["center"], "columns": [[0, 2]]}.get(name, [])]
    if isinstance(default, bool):
        return [not default]
    if default is None:
        return [1e-5]
    if isinstance(default, int):
        return [default + 3, default + 1]
    return [0.9 * default, 1.1 * default, default + 0.25]


def made_with(kind, options, name, default):
    """A part with another value of one setting, and with a momentum where that needs one."""
    for value in others(name, default):
        for more in ({}, {"momentum": 0.5}):
            try:
                part = kind(**{**options, **more, name: value})
            except (ValueError, TypeError):
                continue
            if read(part)[name] != fastnn.signatures.written(default):
                return part
    raise AssertionError(f"no other value for {name}")


def required(kind):
    values, needed = OTHERS | REQUIRED, fastnn.signatures.REQUIRED
    return {n: values[n] for n, (default, _) in parameters_of(kind).all.items() if default is needed}


def read(part):
    """All settings of a part, as text: those inside it, too."""
    return {name: fastnn.signatures.written(getattr(part, name)) for name in parameters_of(type(part)).all}


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_the_repr_of_a_part_makes_one_of_the_same_settings(kind):
    made = required(kind)
    plain = kind(**made)
    assert read(eval(repr(plain), NAMES)) == read(plain)
    texts = {repr(plain)}
    settings = {name: default for name, (default, _) in parameters_of(kind).all.items() if name not in made}
    if getattr(kind, "of_rows", False):  # there are no outputs that it could weigh
        del settings["output_weights"]
    if kind is ScheduleFreeAdamW:
        settings.pop("average")  # its own is all that it has
    for name, default in settings.items():
        part = made_with(kind, made, name, default)
        again = eval(repr(part), NAMES)
        assert read(again) == read(part), name
        assert type(again) is kind
        assert name in repr(part) or "'" in repr(part)
        texts.add(repr(part))
    assert len(texts) == len(settings) + 1  # each setting is seen


READS = {
    "Adam()": Adam,
    "Adam(lr=0.01)": lambda: Adam(0.01),
    "SGD(lr=0.1, momentum=0.9, nesterov=True)": lambda: SGD(0.1, 0.9, True),
    "RMSprop(centered=True)": lambda: RMSprop(centered=True),
    "AdamW(decoupled=False)": lambda: AdamW(decoupled=False),
    "SGD(clip_norm=1.0, accumulate=2)": lambda: SGD(clip_norm=1, accumulate=2),
    "SGD(transforms=[ClipNorm(1.0), ClipValue(2.0)])": lambda: SGD(transforms=[ClipNorm(1), ClipValue(2)]),
    "SGD(groups=[Group('biases', weight_decay=0.0)])": lambda: SGD(groups=[Group("biases", weight_decay=0)]),
    "MSE()": MSE,
    "Huber()": lambda: Huber(1),
    "Huber(delta=2.0)": lambda: Huber(2),
    "BinaryCrossEntropy(from_logits=True)": lambda: BinaryCrossEntropy(True),
    "CrossEntropy()": CrossEntropy,
    "EarlyStopping()": lambda: EarlyStopping(5),
    "EarlyStopping(patience=3, monitor='loss')": lambda: EarlyStopping(3, monitor="loss"),
    "Dense(64, 'relu', bias=False)": lambda: Dense(64, ReLU(), bias=False),
    "Dense(64)": lambda: Dense(64.0),
    "Dense(64, weight_initializer='he_uniform')": lambda: Dense(64, weight_initializer="kaiming_uniform"),
    "Dense(64, bias_initializer=quarter)": lambda: Dense(64, bias_initializer=quarter),
    "Dense(64, LeakyReLU(negative_slope=0.2))": lambda: Dense(64, LeakyReLU(0.2)),
    "Dense(64, GELU('tanh'))": lambda: Dense(64, "gelu_tanh"),
    "Dense(64, 'selu', trainable=False)": lambda: Dense(64, SELU(), trainable=False),
    "ELU()": lambda: ELU(1),
    "GELU()": GELU,
    "Dropout()": lambda: Dropout(0.5),
    "Dropout(rate=0.2)": lambda: Dropout(0.2),
    "BatchNorm(momentum=0.2)": lambda: BatchNorm(0.2),
    "Residual([Dense(4, 'tanh'), Dropout()])": lambda: Residual([Dense(4, "tanh"), Dropout()]),
    "ClipLayerNorm(1.0)": lambda: ClipLayerNorm(1),
    "Accumulate(4)": lambda: Accumulate(4),
    "Group('0.*', lr_factor=0.5)": lambda: Group("0.*", 0.5),
}


def quarter(shape, rng):
    return np.full(shape, 0.25)


@pytest.mark.parametrize("text", READS)
def test_a_part_reads_as_a_person_would_write_it(text):
    assert repr(READS[text]()) == text


def test_a_setting_that_was_changed_reads_as_it_is():
    optimizer, layer = Adam(), Dense(3)
    optimizer.lr, optimizer.clip_norm, layer.trainable = 0.5, 2, False
    assert repr(optimizer) == "Adam(lr=0.5, clip_norm=2.0)"
    assert repr(layer) == "Dense(3, trainable=False)"
    for part in (optimizer, layer):
        assert repr(copy.deepcopy(part)) == repr(pickle.loads(pickle.dumps(part))) == repr(part)


class Own(Layer):
    def __init__(self, size, gain=2.0, *, names=("a",)):
        self.size, self.gain, self._names = size, gain, names

    def forward(self, x):
        return x


def test_a_part_of_a_user_reads_as_far_as_its_attributes_tell():
    assert repr(Own(3)) == "Own(3, names=...)"
    assert repr(Own(3, 4.0)) == "Own(3, gain=4.0, names=...)"
    frozen = Scale()
    frozen.trainable = False
    assert repr(frozen) == "Scale(trainable=False)"
    assert repr(Scale(trainable=False)) == repr(frozen)
    assert repr(type("Rule", (SGD,), {})(0.5)) == "Rule(lr=0.5)"


def test_a_frozen_argument_is_trainable_set():
    for layer in (
        Dense(3, trainable=False),
        BatchNorm(trainable=False),
        LayerNorm(trainable=False),
        Scale(trainable=False),
    ):
        net = Model([layer, Dense(1)], seed=0).build(FEATURES)
        before = [array.copy() for array in layer.parameters.values()]
        net.fit(X, Y, "mse", epochs=2)
        for array, value in zip(layer.parameters.values(), before, strict=True):
            np.testing.assert_array_equal(array, value)
    with pytest.raises(TypeError, match="trainable is 3, expected True or False"):
        Dense(3, trainable=3)


def test_the_defaults_of_constants_are_those_of_the_table():
    for name in activations.BY_NAME:
        layer = activations.get(name)
        if isinstance(layer, activations.Activation):
            own = [getattr(layer, number) for number in layer.numbers]
            assert own == [*kernels.float64.activations[layer.kernel].constants.values()], name

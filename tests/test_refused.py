"""A call that is refused leaves a model as it was, whatever looks at it: what it shows, a snapshot, a pickle, a file.

Every entry is called with every kind of refusal, on models that have been trained in every way, and with other parts
in turn that would have been good.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest
from nets import same_bits

from fastnn import (
    EMA,
    LBFGS,
    MSE,
    SGD,
    Adam,
    BatchNorm,
    Columns,
    Cosine,
    CrossEntropy,
    Dense,
    Dropout,
    Group,
    Layer,
    Loss,
    Model,
    Normalization,
    Optimizer,
    Parallel,
    Softmax,
    cross_validate,
    feeds,
    fit_many,
    initialize_from_data,
)
from fastnn.callbacks import CSVLogger, ModelCheckpoint
from fastnn.folds import _maker

ROWS, FEATURES = 12, 4
X = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).astype(np.float32)
LABELS = np.arange(ROWS) % 3
P = np.eye(3)[LABELS]


def classifier(*begin, end=()):
    return Model([*begin, Dense(8, "relu"), *end, Dense(3), Softmax()], seed=0)


def rich():
    return classifier(end=[Dropout(0.3), BatchNorm()])


def built(net):
    net.build(FEATURES)


def fitted(optimizer):
    return lambda net: net.fit(X, LABELS, optimizer=optimizer(), epochs=2, batch_size=5)


def stepped(net):
    for _ in range(3):
        net.train_batch(X, LABELS, optimizer="adam")


def by_hand(net):
    net.forward(X)
    net.backward(np.ones((ROWS, 3), np.float32))
    net.step(Adam())
    net.forward(X)


def frozen(net):
    net.fit(X, LABELS, optimizer=Adam(), epochs=2, batch_size=5)
    net[0].trainable = False


# name: (layers, what has been done)
NETS = {
    "new": (classifier, lambda net: net),
    "new that adapts": (lambda: classifier(Normalization()), lambda net: net),
    "built": (rich, built),
    "fitted": (rich, fitted(lambda: SGD(0.1, momentum=0.9))),
    "stepped": (classifier, stepped),
    "adapted and stepped": (lambda: classifier(Normalization()), stepped),
    "averaging": (rich, fitted(lambda: Adam(0.1, average=EMA(0.9)))),
    "moving": (classifier, fitted(lambda: Adam(0.1 * Cosine(steps=20)))),
    "by hand": (rich, by_hand),
    "frozen": (rich, frozen),
}


class NotANumber(Loss):
    def value_and_grad(self, y, t):
        return float("nan"), np.zeros_like(y)


class Raises(Loss):
    def value_and_grad(self, y, t):
        raise ZeroDivisionError("told to")


class WrongShape(Loss):
    def value_and_grad(self, y, t):
        return 1.0, np.zeros(3)


class Greedy(Optimizer):
    def init(self, params):
        raise MemoryError("told to")


class Broken(Layer):
    def forward(self, x):
        raise ZeroDivisionError

    def backward(self, dy):
        return dy


def changed(array, value):
    array = np.array(array, np.result_type(array, type(value)))
    array[(3, 1)[: array.ndim]] = value
    return array


HUGE = {"x": X * np.float32(1e38)}  # the loss, or a gradient, overflows
DATA = {
    "x NaN": {"x": changed(X, np.nan)},
    "x wide": {"x": np.c_[X, X]},
    "x text": {"x": X.astype(str)},
    "x empty": {"x": X[:0], "y": LABELS[:0]},
    "label": {"y": LABELS + 1},
    "y shorter": {"y": LABELS[1:]},
    "y text": {"y": LABELS.astype(str)},
    "y narrow": {"y": P[:, :2]},
    "y NaN": {"y": changed(P, np.nan)},
    "weights shorter": {"sample_weight": np.ones(5)},
    "weights NaN": {"sample_weight": np.full(ROWS, np.nan)},
    "loss unknown": {"loss": "zzz"},
    "loss no loss": {"loss": 3},
    "logits": {"loss": CrossEntropy(from_logits=True)},
    "another loss by name": {"loss": "mse"},  # to which labels do not belong
}
OPTIMIZERS = {
    "optimizer unknown": {"optimizer": "zzz"},
    "optimizer no optimizer": {"optimizer": 0.1},
    "groups": {"optimizer": Adam(groups=[Group("zzz", 0.1)])},
    "no memory": {"optimizer": Greedy(0.1)},
    "for whole fits": {"optimizer": LBFGS(), "sample_weight": np.ones(5)},
    "of epochs": {"optimizer": Adam(0.1 * Cosine(epochs=3)), "sample_weight": np.ones(5)},
}
STEPS = {  # what a single step refuses when it is about to be taken
    "overflow": HUGE,
    "overflow of another loss": {**HUGE, "loss": CrossEntropy(label_smoothing=0.1)},
    "loss NaN": {"loss": NotANumber(), "y": P},
    "loss raises": {"loss": Raises(), "y": P},
    "gradient of a wrong shape": {"loss": WrongShape(), "y": P},
    "of a whole fit": {"optimizer": Adam(0.1 * Cosine())},
}
STEPS_OF_OURS = {name: step for name, step in STEPS.items() if name not in ("loss raises", "gradient of a wrong shape")}
BESIDE = {  # what would have been good
    "": dict,
    "momentum": lambda: {"optimizer": SGD(0.1, momentum=0.5)},
    "a name": lambda: {"optimizer": "nadam"},
    "an average": lambda: {"optimizer": Adam(0.1, average=EMA(0.9))},
    "a schedule": lambda: {"optimizer": Adam(0.1 * Cosine(steps=5))},
}


def without(given, *names):
    return {name: value for name, value in given.items() if name not in names}


def one_row(net, given):
    net.learn_one(given["x"][3], given["y"][3], **without(given, "x", "y", "sample_weight"))


def validated(net, given):
    net.fit(X, LABELS, validation_data=(given["x"], given["y"]), **without(given, "x", "y", "sample_weight"))


def of_batches(net, given):
    net.fit(feeds.Batches([(given["x"], given["y"])]), epochs=1, **without(given, "x", "y", "sample_weight"))


def in_turn(net, given):
    """Good steps in between, which are one compiled call."""
    net.train_batch(X, LABELS)
    net.train_batch(**given)


# name: (call, what it refuses)
ENTRIES = {
    "train_batch": (lambda net, given: net.train_batch(**given), DATA | OPTIMIZERS | STEPS),
    "learn_one": (one_row, without(DATA | OPTIMIZERS | STEPS, "x empty")),
    "partial_fit": (lambda net, given: net.partial_fit(**given, batch_size=5), DATA | OPTIMIZERS | STEPS_OF_OURS),
    "fit": (lambda net, given: net.fit(**given, epochs=2, batch_size=5), DATA | OPTIMIZERS),
    "fit with other data": (validated, without(DATA, "x empty", "weights shorter", "weights NaN")),
    "fit over batches": (of_batches, DATA | OPTIMIZERS),
    "fit_many": (lambda net, given: fit_many([classifier(), net], epochs=2, **given), DATA | OPTIMIZERS),
    "cross_validate": (lambda net, given: cross_validate(net, given.pop("x"), given.pop("y"), 3, **given), DATA),
    "evaluate": (lambda net, given: net.evaluate(**without(given, "optimizer")), DATA),
    "predict": (lambda net, given: net.predict(given["x"]), DATA),
    "forward": (lambda net, given: net.forward(given["x"]), DATA),
}


def bytes_of(value):
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: bytes_of(part) for name, part in value.items()}
    return [*map(bytes_of, value)] if isinstance(value, (list, tuple)) else repr(value)


PROPERTIES = [name for name in dir(Model) if name[0] != "_" and isinstance(getattr(Model, name, None), property)]


def shown(net, name):
    try:
        return bytes_of(getattr(net, name))
    except RuntimeError as error:  # there are no gradients
        return str(error)


def looks(net, path):
    """All that can be seen of a model."""
    found = {name: shown(net, name) for name in PROPERTIES}
    net.save(path)
    found |= {"pickle": pickle.dumps(net), "file": path.read_bytes()}
    if net.built:
        found["snapshot"] = bytes_of(net.snapshot().taken_apart())
    try:
        found["is new"] = callable(_maker(net))
    except ValueError:
        found["is new"] = False
    return found


@pytest.mark.parametrize("state", NETS)
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.filterwarnings("ignore:.*overflow|.*invalid value:RuntimeWarning")
def test_a_refused_call_leaves_nothing_behind(entry, state, tmp_path):
    call, refusals = ENTRIES[entry]
    (make, train), path, refused = NETS[state], tmp_path / "net.safetensors", 0
    net = make()
    train(net)
    before = looks(net, path)
    for i, (name, change) in enumerate(refusals.items(), [*NETS].index(state)):
        other = [*BESIDE][i % len(BESIDE)]
        given = {"x": X, "y": LABELS, **BESIDE[other](), **change}
        try:
            call(net, given)
        except (ValueError, TypeError, FloatingPointError, ZeroDivisionError, RuntimeError, MemoryError):
            refused += 1
        else:  # it does not mind: begin anew
            net = make()
            train(net)
            before = looks(net, path)
            continue
        after = looks(net, path)
        skipped = "grads" if name in STEPS else None  # they are no state: steps that have begun write them
        differ = [what for what, value in before.items() if after.get(what) != value and what != skipped]
        assert not differ, (name, other, differ)
    assert refused >= (1 if entry in ("predict", "forward") else 0.6 * len(refusals))


STRANGER = Model([Dense(7)], seed=1).build(2)
CHANGES = {
    "restore of another model": lambda net: net.restore(STRANGER.snapshot()),
    "restore of no snapshot": lambda net: net.restore(STRANGER),
    "copy_from another model": lambda net: net.copy_from(STRANGER),
    "soft_update from another model": lambda net: net.soft_update(STRANGER, 0.5),
    "soft_update by more than all": lambda net: net.soft_update(classifier().build(FEATURES), 2.0),
    "use_averages": lambda net: net.use_averages(),
    "params": lambda net: setattr(net, "params", np.zeros(3)),
    "params that are text": lambda net: setattr(net, "params", "abc"),
    "grads": lambda net: setattr(net, "grads", np.zeros(3)),
    "loss": lambda net: setattr(net, "loss", "zzz"),
    "optimizer": lambda net: setattr(net, "optimizer", "zzz"),
    "penalties": lambda net: setattr(net, "penalties", ["l2", "zzz"]),
    "constraints": lambda net: setattr(net, "constraints", ["zzz"]),
    "class_names": lambda net: setattr(net, "class_names", ["a", 3]),
    "build": lambda net: net.build(FEATURES + 1 if net.built else 0),
    "backward": lambda net: net.backward(np.zeros((ROWS, 99), np.float32)),
    "step": lambda net: net.step("zzz"),
    "quantize": lambda net: net.quantize(X),
    "out of another shape": lambda net: net.predict(X, out=np.zeros((ROWS, 4), np.float32)),
    "out of another dtype": lambda net: net.predict(X, out=np.zeros((ROWS, 3))),
    "no threads": lambda net: net.predict(X, n_threads=0),
    "save": lambda net: net.save(Path(__file__) / "net.safetensors"),
    "predict over batches": lambda net: net.predict(iter([X, np.c_[X, X]])),
    "predict over batches into another shape": lambda net: net.predict(iter([X]), out=np.zeros(5)),
    "evaluate over batches": lambda net: net.evaluate(iter([(X, LABELS), (np.c_[X, X], LABELS)])),
    "initialize_from_data": lambda net: initialize_from_data(net, changed(X, np.nan)),
    "fit with a file": lambda net: net.fit(X, LABELS, callbacks=[CSVLogger("no such folder/log.csv")]),
    "fit with files": lambda net: net.fit(X, LABELS, callbacks=[ModelCheckpoint("no such folder/net")]),
}


@pytest.mark.parametrize("state", NETS)
def test_a_refused_change_leaves_nothing_behind(state, tmp_path):
    make, train = NETS[state]
    net, path = make(), tmp_path / "net.safetensors"
    train(net)
    for name, change in CHANGES.items():
        if name == "use_averages" and state == "averaging":
            continue
        before = looks(net, path)
        with pytest.raises((ValueError, TypeError, RuntimeError, OSError)):
            change(net)
        assert not [what for what, value in looks(net, path).items() if before[what] != value], name


@pytest.mark.parametrize("name", ["predict over batches", "evaluate over batches", "initialize_from_data"])
def test_a_net_that_was_not_built_is_built_behind_a_refused_call_for_any_data(name):
    """Nothing is left that computes with what the call had built."""
    for x in (X, np.c_[X, X]):
        net = classifier()
        with pytest.raises(ValueError, match=r"expects 4 features|is NaN"):
            CHANGES[name](net)
        assert same_bits(net.predict(x), classifier().predict(x))
        assert net.n_in == x.shape[1]


def test_first_weights_that_are_refused_in_the_midst_leave_the_ones_before(tmp_path):
    net = classifier(Normalization(), end=[Parallel([Columns([0, 1]), Dense(3)]), Dense(4), Broken()])
    net.build(FEATURES)
    before = looks(net, tmp_path / "net.safetensors")
    with pytest.raises(ZeroDivisionError):
        initialize_from_data(net, X)
    assert looks(net, tmp_path / "net.safetensors") == before


def test_steps_behind_a_refused_one_are_those_of_a_model_that_has_not_seen_it():
    """Also where it is one compiled call, with what another optimizer has been recorded for."""
    first, second = SGD(0.1, momentum=0.9), Adam(0.01, average=EMA(0.9))
    layers = [lambda: Dense(8, "relu"), lambda: Dropout(0.3), BatchNorm, lambda: Dense(3)]
    net, twin = (Model([make() for make in layers], seed=0) for _ in range(2))
    for i in range(12):
        optimizer, other = (second, first) if i % 3 == 2 else (first, second)
        for model in (net, twin):
            model.train_batch(X, P, loss="mse", optimizer=optimizer)
        shown = net.optimizer, net.loss, net.predict(X).tobytes()
        for rows in (ROWS, 2):
            with pytest.raises(FloatingPointError):
                net.train_batch(X[:rows], P[:rows] * 1e30, loss=MSE(), optimizer=other)
            assert (net.optimizer, net.loss, net.predict(X).tobytes()) == shown
    assert same_bits(net.params, twin.params)


def test_a_step_by_hand_that_is_refused_leaves_nothing_behind(tmp_path):
    for train in (built, by_hand, fitted(lambda: Adam(0.1, average=EMA(0.9)))):
        net = rich()
        train(net)
        net.forward(X)
        net.backward(np.ones((ROWS, 3), np.float32))
        net.grads[3] = np.nan
        before = looks(net, tmp_path / "net.safetensors")
        for optimizer in (SGD(0.1, momentum=0.5), "nadam", Adam(average=EMA(0.9)), Adam(0.1 * Cosine()), Greedy(0.1)):
            with pytest.raises((FloatingPointError, ValueError, MemoryError)):
                net.step(optimizer)
            assert looks(net, tmp_path / "net.safetensors") == before


def test_a_fit_that_diverges_leaves_no_memory_of_its_optimizer():
    """It leaves its history, its loss and its optimizer: the model itself has not been trained."""
    net = classifier().build(FEATURES)
    with pytest.raises(FloatingPointError):
        net.fit(X, P, NotANumber(), Adam(average=EMA(0.9)), epochs=2)
    assert "diverged" in net.history.why
    assert cross_validate(net, X, LABELS, 3, loss="cross_entropy", optimizer="sgd", epochs=1, verbose=False)

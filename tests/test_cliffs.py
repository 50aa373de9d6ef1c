"""Calls of many kinds in turn: nothing is recorded twice, and the bits are those of each kind alone."""

import copy
import itertools
import pickle
from decimal import Decimal
from fractions import Fraction
from functools import partial
from weakref import ref

import numpy as np
import pytest
from custom import LogCosh, Scale, SignSGD
from nets import FEATURES, OUTPUTS, each_dtype, memory_of, same_bits

from fastnn import (
    MAE,
    MSE,
    SGD,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    Huber,
    Layer,
    LayerNorm,
    LeakyReLU,
    Model,
    Residual,
    RMSprop,
    inference,
)
from fastnn._core.tape import Tape
from fastnn.training import by_hand, plan, step, trainer
from fastnn.training.plan import SIZES_KEPT

MOST = 64
SIZES = [int(i) for i in np.random.default_rng(0).permutation(MOST) + 1]
RNG = np.random.default_rng(1)
X, T = RNG.normal(size=(2 * MOST, FEATURES)), RNG.normal(size=(2 * MOST, OUTPUTS))
WEIGHT = RNG.uniform(0.5, 2, 2 * MOST)

NETS = {
    "dense": lambda: [Dense(5, "relu"), Dense(OUTPUTS)],
    "all": lambda: [Dense(5), BatchNorm(), Residual([Dense(6, "tanh"), Dropout(0.2), Dense(5)]), Dense(OUTPUTS)],
    "norm": lambda: [LayerNorm(), Dense(5, "gelu"), Dense(OUTPUTS)],
    "numpy": lambda: [Dense(5, "tanh"), Scale(), Dense(OUTPUTS)],
}
each_net = pytest.mark.parametrize("net", NETS)


def net_of(name="dense", dtype="float64"):
    return Model(NETS[name](), seed=0, dtype=dtype).build(FEATURES)


def state_of(net):
    states = [array for layer in net._tree.all for array in layer.states.values()]
    return [array.copy() for array in (net.params, *states, *memory_of(net).values())]


def same_state(a, b):
    return len(a) == len(b) and all(map(same_bits, a, b))


# Each kind: what is called with a net, again and again


def batches(net, sizes=SIZES, weight=None, **options):
    return [net.train_batch(X[:n], T[:n], None if weight is None else weight[:n], **options) for n in sizes]


def steps_by_hand(net, optimizers=(None,), sizes=SIZES):
    for n, optimizer in zip(sizes, itertools.cycle(optimizers), strict=False):
        net.backward((net.forward(X[:n]) - T[:n]) / n)
        net.step(optimizer)
    return [net.grads.copy()]


def fits(net, batch_size=16, sizes=range(33, 60), weighted=False, x=X):
    for n in sizes:
        net.fit(x[:n], T[:n], sample_weight=WEIGHT[:n] if weighted else None, epochs=1, batch_size=batch_size)
    return net.history.loss


MSE_, MAE_, ADAM, MOMENTUM = MSE(), MAE(), Adam(0.01), SGD(0.01, momentum=0.9)


def in_turn(*options):
    return lambda net: [net.train_batch(X[:8], T[:8], **given) for given in options]


KINDS = {
    "batches": batches,
    "weighted batches": lambda net: batches(net, weight=WEIGHT),
    "steps by hand": steps_by_hand,
    "steps by hand of two optimizers": lambda net: steps_by_hand(net, (ADAM, MOMENTUM)),
    "predictions": lambda net: [net.predict(X[:n]) for n in SIZES],
    "losses": in_turn({"loss": MSE_}, {"loss": MAE_}),
    "losses by name": in_turn({"loss": "mse"}, {"loss": "mae"}, {"loss": "huber"}),
    "losses made anew": lambda net: [net.train_batch(X[:8], T[:8], loss=loss) for loss in (MSE(), MAE(), Huber(0.5))],
    "a class of losses": in_turn({"loss": MSE}, {"loss": MAE}),
    "a loss in numpy": in_turn({"loss": LogCosh()}, {"loss": MSE_}),
    "optimizers": in_turn({"optimizer": ADAM}, {"optimizer": MOMENTUM}),
    "optimizers by name": in_turn({"optimizer": "adam"}, {"optimizer": "sgd"}, {"optimizer": "rmsprop"}),
    "an optimizer in numpy": in_turn({"optimizer": SignSGD(0.01)}, {"optimizer": ADAM}),
    "both": in_turn({"loss": MSE_, "optimizer": ADAM}, {"loss": MAE_, "optimizer": MOMENTUM}),
    "weights or none": in_turn({"sample_weight": WEIGHT[:8]}, {}),
    "growing data": fits,
    "growing data, one batch": lambda net: fits(net, None),
    "growing data, larger than a batch or not": lambda net: fits(net, 40),
    "growing data with weights": lambda net: fits(net, weighted=True),
    "growing data of another dtype": lambda net: fits(net, x=X.astype(np.float32)),
    "batch sizes of fits": lambda net: [fits(net, size, [40]) for size in (1, 8, 16, 40, 64, None)],
    "fits and batches": lambda net: [fits(net, 16, [40]), batches(net, [5, 50, 17]), net.predict(X)],
}


class Alone:
    """A net that forgets what is recorded before each call, so that it is recorded in memory of its own size."""

    def __init__(self, net):
        self.net = net

    def __getattr__(self, name):
        if name in ("train_batch", "fit", "predict", "forward"):
            net = self.net
            net._trainer.forget()
            net._begin()
            net._trainer.predictors = net._predictors
        return getattr(self.net, name)


@pytest.fixture
def made(monkeypatch):
    """What is recorded, an entry each."""
    found = []

    def tape():
        found.append(None)
        return Tape()

    for module in (plan, by_hand, trainer, inference):
        monkeypatch.setattr(module, "Tape", tape)
    return found


@each_net
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_recorded_twice(kind, net, made):
    model = net_of(net)
    model.loss, model.optimizer = "mse", "adam"
    for _ in range(2):  # after the first round there is memory with room for all
        KINDS[kind](model)
    n = len(made)
    assert n > 0
    KINDS[kind](model)
    assert len(made) == n


@each_dtype
@each_net
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_each_call_alone(kind, net, dtype):
    nets = [net_of(net, dtype) for _ in range(2)]
    for model in nets:
        model.loss, model.optimizer = "mse", "adam"
    for _ in range(2):
        for a, b in zip(KINDS[kind](nets[0]), KINDS[kind](Alone(nets[1])), strict=True):
            assert same_bits(np.asarray(a), np.asarray(b))
    assert same_state(state_of(nets[0]), state_of(nets[1]))


def test_growing_data_whose_rows_are_read_where_they_lie_are_few_recordings(made):
    nets = [Model([Dense(48, "tanh"), Dense(OUTPUTS)], seed=0) for _ in range(2)]
    wide = RNG.normal(size=(24, 130)).astype(np.float32)
    counts = []
    for _ in range(3):
        for n in range(20, 25):
            nets[0].fit(wide[:n], T[:n], "mse", "adam", epochs=1, batch_size=4)
        counts.append(len(made))
        for n in range(20, 25):
            Alone(nets[1]).fit(wide[:n], T[:n], "mse", "adam", epochs=1, batch_size=4)
        assert same_state(state_of(nets[0]), state_of(nets[1]))
        made.clear()
    assert nets[0].layers[0].takes_rows(wide)
    assert counts[0] > 0
    assert counts[2] == 0


# What is kept is bounded


def test_few_recordings_are_kept_however_many_there_were():
    net, rows = net_of(), 3 * SIZES_KEPT
    x, t = np.ones((rows, FEATURES)), np.ones((rows, OUTPUTS))
    for n in range(rows, 0, -1):
        net.train_batch(x[:n], t[:n], loss="mse", optimizer="adam")
        net.forward(x[:n])
        net.predict(x[:n])
        net.fit(x[:n], t[:n], epochs=1, batch_size=None)
    (training,) = [cell[0] for _, cell in net._trainer._trainings.kept]
    assert len(training._plans) == 2
    for one in training._plans.values():
        assert len(one._recorded) == SIZES_KEPT
        assert one.room == rows
    assert len(net._trainer._by_hand._recorded) == SIZES_KEPT
    for block in net._predictors.whole._free:
        assert len(block._recorded) <= SIZES_KEPT


def test_few_trainings_are_kept_however_many_there_were():
    net, losses = net_of(), [Huber(1 + i) for i in range(30)]
    gone = ref(losses[0])
    for loss in losses:
        net.train_batch(X[:8], T[:8], loss=loss, optimizer=ADAM)
    assert len(net._trainer._trainings.kept) == 8
    del losses, loss
    assert gone() is None


@pytest.mark.parametrize("optimizer", [Adam, partial(SGD, momentum=0.9), SignSGD], ids=["adam", "sgd", "numpy"])
def test_no_optimizer_is_kept_by_what_is_recorded_with_it(optimizer):
    net, own = net_of(), optimizer(0.01)
    for loss in (MSE_, MAE_):
        net.train_batch(X[:8], T[:8], loss=loss, optimizer=own)
        net.fit(X[:8], T[:8], loss, own, epochs=1)
    steps_by_hand(net, [own], [4])
    gone = ref(own)
    memory = [ref(array) for array in memory_of(net).values()]
    other = RMSprop(0.01)
    net.train_batch(X[:8], T[:8], optimizer=other)
    steps_by_hand(net, [other], [4])
    assert gone() is own
    del own
    assert gone() is None
    assert all(array() is None for array in memory)
    net.train_batch(X[:8], T[:8], optimizer=optimizer(0.01))


def test_a_training_that_is_not_in_use_keeps_no_large_memory(monkeypatch):
    net = net_of()
    for loss in ("mse", "mae"):
        net.train_batch(X[:8], T[:8], loss=loss)
    first, second = (cell[0] for _, cell in net._trainer._trainings.kept)
    assert len(first._plans) == len(second._plans) == 1
    monkeypatch.setattr(step, "_BYTES_ASIDE", 1000)
    net.train_batch(X[:8], T[:8], loss="mse")
    assert (len(first._plans), len(second._plans)) == (1, 0)


def test_memory_is_as_large_as_the_first_batch_and_grows_by_doubling():
    net = net_of()
    rooms = []
    for n in (5, 6, 10, 11, 50, 3):
        net.train_batch(X[:n], T[:n], loss="mse")
        (one,) = net._trainer._training._plans.values()
        rooms.append(one.room)
    assert rooms == [5, 10, 10, 20, 50, 50]


# What is set counts, whatever was recorded before


def test_a_loss_that_is_set_like_another_one_is_still_its_own():
    """One recording serves both, as long as they are alike."""
    net, alone = net_of(), net_of()
    a, b = Huber(0.5), Huber(0.5)
    used, fresh = [], []
    for change in (lambda: None, lambda: setattr(b, "delta", 0.1), lambda: setattr(a, "delta", 0.2)):
        change()
        for loss in (a, b, None):
            used.append(net.train_batch(X, T, loss=loss, optimizer=MOMENTUM))
            assert loss in (None, net.loss)
            fresh.append(Alone(alone).train_batch(X, T, loss=Huber((loss or b).delta), optimizer=MOMENTUM))
    assert used == fresh
    assert same_bits(net.params, alone.params)


def test_a_callback_changes_the_loss_that_was_given_and_not_one_like_it():
    nets, losses = [net_of(), net_of()], (Huber(0.5), Huber(0.5))
    nets[0].train_batch(X, T, loss=Huber(0.5), optimizer=MOMENTUM)
    nets[1].train_batch(X, T, loss=losses[1], optimizer=MOMENTUM)
    for net, loss in zip(nets, losses, strict=True):
        net.fit(X, T, loss, epochs=4, callbacks=[lambda model, epoch, logs: setattr(model.loss, "delta", 0.1)])
    assert nets[0].history.loss == nets[1].history.loss
    assert nets[0].history.loss != Alone(nets[0]).fit(X, T, Huber(0.5), epochs=4).loss


CHANGES = {
    "momentum": lambda net, optimizer: setattr(optimizer, "momentum", 0.9),
    "momentum is 0": lambda net, optimizer: setattr(optimizer, "momentum", 0.0),
    "rate": lambda net, optimizer: setattr(optimizer, "lr", 0.05),
    "clip": lambda net, optimizer: setattr(optimizer, "clip_norm", 0.1),
    "frozen": lambda net, optimizer: setattr(net.layers[0], "trainable", False),
    "thawed": lambda net, optimizer: setattr(net.layers[0], "trainable", True),
}


@pytest.mark.parametrize("way", ["train_batch", "fit", "step"])
@pytest.mark.parametrize("changes", [*itertools.permutations(CHANGES, 2)], ids=", ".join)
def test_what_changes_while_another_one_trains_counts(changes, way):
    """In any order: as of a net that forgets what is recorded."""
    nets = [net_of("all"), net_of("all")]
    optimizers = [[SGD(0.01), SGD(0.01, momentum=0.5)] for _ in nets]
    for change in (lambda *given: None, *map(CHANGES.get, changes), lambda *given: None):
        for net, used, (first, second) in zip(nets, (nets[0], Alone(nets[1])), optimizers, strict=True):
            change(net, first)
            for optimizer, loss in ((first, "mse"), (second, "mse"), (first, "mae")):
                if way == "train_batch":
                    used.train_batch(X[:8], T[:8], loss=loss, optimizer=optimizer)
                elif way == "fit":
                    used.fit(X[:20], T[:20], loss, optimizer, epochs=1, batch_size=8)
                else:
                    steps_by_hand(used, [optimizer], [8, 9])
        assert same_state(state_of(nets[0]), state_of(nets[1]))
        if way != "fit":
            assert same_bits(nets[0].grads, nets[1].grads)
        if not nets[0].layers[0].trainable and way != "fit":
            assert not nets[0].layers[0].dw.any()


OTHERS = {  # what trains while a layer is not frozen, beside train_batch with "mse" and the first optimizer
    "another loss": lambda used, first, second: used.train_batch(X[:8], T[:8], loss="mae", optimizer=first),
    "another optimizer": lambda used, first, second: used.train_batch(X[:8], T[:8], loss="mse", optimizer=second),
    "by hand": lambda used, first, second: steps_by_hand(used, [first], [8]),
    "a fit": lambda used, first, second: used.fit(X[:16], T[:16], "mae", first, epochs=1, batch_size=8),
}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("other", OTHERS)
def test_what_is_frozen_again_has_nothing_left_of_the_time_between(other, is_first):
    """Neither gradients nor what transforms remember, also where the step was recorded when it was first frozen."""
    nets = [net_of("all"), net_of("all")]
    rules = [[Adam(0.01, accumulate=4), SGD(0.01, accumulate=4)] for _ in nets]
    for trainable, which in ((False, is_first), (True, not is_first), (False, is_first), (False, not is_first)):
        for net, used, optimizers in zip(nets, (nets[0], Alone(nets[1])), rules, strict=True):
            net.layers[0].trainable = trainable
            if which:
                used.train_batch(X[:8], T[:8], loss="mse", optimizer=optimizers[0])
            else:
                OTHERS[other](used, *optimizers)
        assert nets[0].layers[0].dw.any() == trainable
        memories = [net._trainer.state.memories.get(first) or {} for net, (first, _) in zip(nets, rules, strict=True)]
        assert same_state(*([*state_of(net), *memory.values()] for net, memory in zip(nets, memories, strict=True)))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_callback_trains_with_other_batches_in_between(weighted):
    """More rows than ever, another loss, another optimizer: the fit goes on where it was."""
    weight = WEIGHT[:40] if weighted else None
    nets = [net_of("all"), net_of("all")]

    def between(net):
        used = net.loss, net.optimizer
        for n in (50, 3):
            net.train_batch(X[:n], T[:n], loss="mae", optimizer=MOMENTUM)
        net.loss, net.optimizer = used

    losses = []
    nets[0].fit(
        X[:40], T[:40], "mse", "adam", 4, 16, False, sample_weight=weight,
        callbacks=[lambda model, epoch, logs: between(model)],
    )  # fmt: skip
    for _ in range(4):
        losses += Alone(nets[1]).fit(X[:40], T[:40], "mse", "adam", 1, 16, False, sample_weight=weight).loss
        between(nets[1])
    assert nets[0].history.loss == losses
    assert same_state(state_of(nets[0]), state_of(nets[1]))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_go_on_with_losses_and_optimizers_in_turn(copied):
    net = net_of("all")
    turns = [{"loss": "mse", "optimizer": "adam"}, {"loss": "mae", "optimizer": "sgd"}] * 2
    in_turn(*turns)(net)
    other = copied(net)
    assert in_turn(*turns)(other) == in_turn(*turns)(net)
    assert same_state(state_of(net), state_of(other))


def test_a_net_that_could_not_be_built_has_nothing_recorded():
    net = Model([Dense(OUTPUTS)], seed=0)
    with pytest.raises(ValueError, match="y"):
        net.train_batch(X, T[:, :1], loss="mse")
    assert not net.built
    assert not net._trainer._trainings.kept
    assert net.train_batch(X[:, :2], T, loss="mse") > 0


# One row, of whatever numbers

NUMBERS = [0.1, -0.0, 3.7, -1e-3]
ROWS = {
    "floats": NUMBERS,
    "a tuple": tuple(NUMBERS),
    "whole numbers": [3, -4, 0, 7],
    "large whole numbers": [
        2**24 + 1,
        2**53 + 1,
        2**60 + 2**36 + 1,
        -(2**63),
    ],  # one is rounded twice by way of float64
    "large whole numbers among floats": [2**24 + 1, 2**62 + 2**9 + 1, -(2**53) - 1, 0.5],
    "whole numbers and floats": [1, 0.25, -7, 2.0],
    "booleans": [True, False, False, True],
    "booleans and floats": [True, 0.5, False, -0.5],
    "booleans and whole numbers": (True, 2, False, 4),
    "NaN and infinities": [np.nan, np.inf, -np.inf, 1.0],
    "too large for float32": [1e39, -1e300, 3.5e38, 1e-46],
    "below float32's smallest normal number": [1e-39, -1e-42, 5e-324, 1.0],
    "of float64": list(np.array(NUMBERS)),
    "of float32": list(np.array(NUMBERS, np.float32)),
    "of float32 among whole numbers": [np.float32(0.1), 2**40 + 1, np.float32(3), 4],
    "an array of integers that are large": np.array([2**63 - 1, -(2**63), 2**60 + 2**36 + 1, 2**24 + 1]),
    "an array of unsigned integers that are large": np.array([2**64 - 1, 2**63 + 1025, 2**53 + 1, 7], np.uint64),
    "booleans that are no 0 or 1": np.array([2, 0, 1, 255], np.uint8).view(bool),
    "every second number": np.repeat(NUMBERS, 2)[::2],
    "backwards": np.array(NUMBERS)[::-1],
    "the same number": np.broadcast_to(0.3, 4),
    "read-only": np.frombuffer(np.array(NUMBERS).tobytes()),
    **{f"an array of {kind}": np.array([3, 0, 1, 4]).astype(kind) for kind in "?bhilqBHILQfd"},
}
SLOW = {  # which NumPy looks at
    "another byte order": np.array(NUMBERS).astype(">f8"),
    "halves": np.array(NUMBERS, np.float16),
    "long doubles": np.array(NUMBERS, np.longdouble),
    "whole numbers beyond int64": [2**63, 1, 2, 3],
    "integers of NumPy": list(np.array([3, 0, 1, 4])),
    "a subclass of list": type("Row", (list,), {})(NUMBERS),
    "arrays of no dimension": [np.array(number) for number in NUMBERS],
    "a range": range(4),
}


def small(dtype):
    """A net whose outputs show each bit of its inputs."""
    net = Model([LeakyReLU(0.5)], seed=0, dtype=dtype)
    net.predict(X[:2])
    return net


@each_dtype
@pytest.mark.parametrize("errors", ["warn", "raise"])
@pytest.mark.parametrize("row", [*ROWS, *SLOW])
def test_a_row_of_any_numbers_gives_the_bits_of_predict(row, errors, dtype):
    net, row, is_fast = small(dtype), (ROWS | SLOW)[row], row in ROWS
    with np.errstate(all="ignore"):
        expected = net.predict(np.asarray(row).astype(dtype)[None, :])
    with np.errstate(all=errors):
        assert same_bits(net.predict_one(row), expected[0])
        assert same_bits(net.predict(np.asarray(row)[None, :]), expected)
        assert (net._predictors.whole.of_rows(row, 1) is not None) == is_fast


@each_dtype
def test_a_row_of_an_array_lies_anywhere(dtype):
    net = small(dtype)
    for kind in "dfil":
        table = (10 * RNG.normal(size=(FEATURES, FEATURES))).astype(kind)
        for rows in (table, table.T, table[::-1, ::-1], np.asfortranarray(table)):
            for row in rows:
                expected = net.predict(np.array(row, dtype)[None, :])
                assert same_bits(net.predict_one(row), expected[0])
                assert same_bits(net.predict(row[None, :]), expected)
        packed = np.frombuffer(b"x" + table.tobytes(), np.uint8)[1:].view(table.dtype)[:FEATURES]
        assert same_bits(net.predict_one(packed), net.predict(table[:1])[0])


ODD = [
    [1.0, 2.0, 3.0],
    [1.0, 2.0, 3.0, 4.0, 5.0],
    [],
    (),
    [[1.0, 2.0, 3.0, 4.0]],
    np.ones((1, 4)),
    np.ones(5),
    np.float64(3),
    [1.0, 2.0, 3.0, None],
    [1.0, 2.0, 3.0, "4"],
    [1.0, 2.0, 3.0, 2**70],
    [-(2**63) - 1, 2, 3, 4],
    [1.0, 2.0, 3.0, 4j],
    [Fraction(1, 3), 2.0, Decimal("0.1"), 4],
    np.ones(4, complex),
    np.zeros(4, "M8[s]"),
    np.zeros(4, object),
    np.array(["a", "b", "c", "d"]),
    np.zeros(4, [("a", "f4")]),
    np.ma.masked_array([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 0]),
    [1.0, [2.0], 3.0, 4.0],
    {"a": 1.0},
    "1234",
    None,
]


def outcome(call):
    """What is returned, or raised."""
    try:
        return call().tobytes()
    except (TypeError, ValueError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("row", ODD, ids=repr)
@each_dtype
def test_what_is_no_row_of_plain_numbers_has_the_outcome_that_it_has_by_itself(row, dtype):
    net, other = small(dtype), small(dtype)
    other._predictors.of_rows = other._predictors.whole.of_rows = lambda *arguments: None
    before = net.predict(X[:3])
    assert outcome(lambda: net.predict_one(row)) == outcome(lambda: other.predict_one(row))
    assert net._predictors.whole.of_rows(row, 1) is None
    assert same_bits(net.predict(X[:3]), before)


def test_rows_are_read_where_a_layer_is_in_numpy():
    class Reading(Layer):
        def forward(self, x):
            return x + model.predict_one([1, 2.5, True, 0])[:1]  # of another net, in the middle of a row

    model, net = small("float32"), Model([Dense(2), Reading()], seed=0)
    net.predict(X[:1])
    assert same_bits(net.predict_one(NUMBERS), net.predict([NUMBERS])[0])


def test_a_row_that_comes_while_one_is_predicted_gets_a_place_of_its_own():
    """The same net again, from within."""

    class Again(Layer):
        depth = 0

        def forward(self, x):
            if Again.depth < 2:
                Again.depth += 1
                assert same_bits(net.predict_one(NUMBERS), net.predict_one(np.array(NUMBERS)))
                Again.depth -= 1
            return x

    net = Model([Dense(2), Again()], seed=0)
    net.predict(X[:1])
    assert same_bits(net.predict_one(NUMBERS), net.predict([NUMBERS])[0])

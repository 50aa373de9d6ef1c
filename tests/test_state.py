"""The state of a model is one thing: early stopping, snapshots, copies, pickles and memory that is not its own."""

import copy
import gc
import pickle
import tracemalloc
from contextlib import suppress
from functools import partial
from weakref import ref

import numpy as np
import pytest
from custom import Cube, LogCosh, Scale, SignSGD
from nets import FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, each_optimizer, memory_of, same_bits

from fastnn import (
    SGD,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    EarlyStopping,
    Group,
    Layer,
    LayerNorm,
    Model,
    Optimizer,
    Residual,
    RMSprop,
    Sequential,
    fit_many,
)
from fastnn.layers import chain

X, T = data()


def net_of(seed=0, dtype="float64", layers=()):
    """A net with all kinds of state."""
    inside = [Dense(6, "tanh"), Dropout(0.2), Dense(5)]
    return Model([Dense(5), BatchNorm(), *layers, Residual(inside), LayerNorm(), Dense(OUTPUTS)], seed, dtype)


def state_of(net):
    """Return copies of all that training changes."""
    states = [array for layer in net._tree.all for array in layer.states.values()]
    return [array.copy() for array in (net.params, *states, *memory_of(net).values())]


def same_state(a, b):
    return len(a) == len(b) and all(map(same_bits, a, b))


# Early stopping: however a fit ends, the model is the best one

BEST = 4
OPTIONS = {"loss": "mse", "batch_size": 8}


def best_in_the_middle(rows=21):
    """Return validation data that a net of seed 0 fits exactly after epoch BEST, and the state that it has then."""
    net, x = net_of(), data(rows=30, seed=5)[0]
    net.fit(X[:rows], T[:rows], optimizer=Adam(0.02), epochs=BEST + 1, **OPTIONS)
    return (x, net.predict(x)), state_of(net)


def stop_after(epoch_to_stop):
    return lambda model, epoch, logs: epoch == epoch_to_stop


def raise_after(epoch_to_raise, error):
    def callback(model, epoch, logs):
        if epoch == epoch_to_raise:
            raise error

    return callback


def grow_after(epoch_to_grow):
    def callback(model, epoch, logs):
        if epoch == epoch_to_grow:
            model.optimizer.lr = 1e300

    return callback


# name: (epochs, callbacks before EarlyStopping, those behind it, patience, what the fit raises)
ENDINGS = {
    "early stopping": (100, [], [], 3, None),
    "last epoch": (8, [], [], 100, None),
    "best is the last epoch": (BEST + 1, [], [], 100, None),
    "another callback": (100, [stop_after(7)], [], 100, None),
    "a callback behind": (100, [], [stop_after(7)], 100, None),
    "an error": (100, [raise_after(7, ZeroDivisionError("told to"))], [], 100, ZeroDivisionError),
    "an error behind": (100, [], [raise_after(7, ZeroDivisionError("told to"))], 100, ZeroDivisionError),
    "Ctrl-C": (100, [raise_after(7, KeyboardInterrupt())], [], 100, KeyboardInterrupt),
    "no memory": (100, [], [raise_after(7, MemoryError())], 100, MemoryError),
    "divergence": (100, [grow_after(7)], [], 100, FloatingPointError),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_however_a_fit_ends_the_model_is_the_best_one(ending):
    """Its parameters, the averages and counters of its layers, and what its optimizer remembers."""
    epochs, before, behind, patience, error = ENDINGS[ending]
    validation, best = best_in_the_middle()
    net, stopping = net_of(), EarlyStopping(patience)
    callbacks = [*before, stopping, *behind]
    fit = partial(net.fit, X, T, optimizer=Adam(0.02), epochs=epochs, validation_data=validation, **OPTIONS)
    if error is None:
        fit(callbacks=callbacks)
    else:
        with pytest.raises(error):
            fit(callbacks=callbacks)
    assert same_state(state_of(net), best)
    assert (stopping.best, stopping.best_epoch) == (min(net.history.val_loss), BEST)
    assert net.evaluate(*validation)["loss"] == min(net.history.val_loss)
    assert len(net.history) >= BEST + 1


def test_every_net_of_many_is_its_best_one():
    nets = [net_of(seed) for seed in range(4)]
    validation, best = best_in_the_middle()
    fit_many(
        nets,
        X,
        T,
        optimizer=Adam(0.02),
        epochs=9,
        validation_data=validation,
        callbacks=[EarlyStopping(100)],
        **OPTIONS,
    )
    for net in nets:
        assert net.evaluate(*validation)["loss"] == min(net.history.val_loss)
    assert same_state(state_of(nets[0]), best)


def test_the_best_of_a_net_of_many_that_fails_is_kept_too():
    nets, (validation, best) = [net_of(), net_of()], best_in_the_middle()
    callbacks = [EarlyStopping(100), raise_after(7, ZeroDivisionError("told to"))]
    with pytest.raises(RuntimeError, match="told to"):
        fit_many(nets, X, T, optimizer=Adam(0.02), epochs=9, validation_data=validation, callbacks=callbacks, **OPTIONS)
    assert all(same_state(state_of(net), best) for net in nets)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("batch_size", [4, None])
@pytest.mark.parametrize("ending", ["last epoch", "early stopping", "an error", "an error behind"])
def test_without_validation_the_model_evaluates_to_the_best_loss_of_the_history(ending, batch_size, weighted):
    """Whose losses are then those at the end of each epoch; a large step makes them rise and fall."""
    epochs, before, behind, patience, error = ENDINGS[ending]
    weight = np.linspace(0, 2, len(X)) if weighted else None
    net = net_of()
    with suppress(ZeroDivisionError if error else ()):
        net.fit(
            X, T, "mse", SGD(0.1, momentum=0.5), epochs=min(epochs, 30), batch_size=batch_size, sample_weight=weight,
            callbacks=[*before, EarlyStopping(patience), *behind],
        )  # fmt: skip
    assert net.evaluate(X, T, sample_weight=weight)["loss"] == min(net.history.loss)
    assert np.argmin(net.history.loss) > 0


def test_any_number_that_is_logged_can_be_watched():
    """The most, or the least, of what a callback before it has added."""
    seen = []

    def add(model, epoch, logs):
        seen.append(state_of(model))
        logs["score"] = [3.0, 1.0, 5.0, 2.0, 0.5, 4.0][epoch]

    for mode, best in (("max", 2), ("min", 4)):
        seen.clear()
        net, stopping = net_of(), EarlyStopping(100, monitor="score", mode=mode)
        net.fit(X, T, optimizer=Adam(0.02), epochs=6, callbacks=[add, stopping], **OPTIONS)
        assert same_state(state_of(net), seen[best])
        assert stopping.best_epoch == best


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
def test_the_training_loss_can_be_watched_beside_validation_data(monitor):
    validation, _ = best_in_the_middle()
    net = net_of()
    net.fit(
        X, T, optimizer=Adam(0.02), epochs=9, validation_data=validation,
        callbacks=[EarlyStopping(100, monitor=monitor)], **OPTIONS,
    )  # fmt: skip
    watched, at = (net.history.loss, (X, T)) if monitor == "loss" else (net.history.val_loss, validation)
    assert net.evaluate(*at)["loss"] == min(watched)


def test_a_number_that_nobody_logs_is_an_error():
    with pytest.raises(ValueError, match="EarlyStopping: monitor is 'accuracy', expected one that is logged: loss"):
        net_of().fit(
            X, T, epochs=3, callbacks=[lambda *_: None, EarlyStopping(1, monitor="accuracy", mode="max")], **OPTIONS
        )


@pytest.mark.parametrize(
    ("before", "options", "message"),
    [
        (
            [],
            {"monitor": "accuracy", "mode": "max"},
            r"monitor is 'accuracy', expected one that is logged: loss, or.*fit was given no metrics=\['accuracy'\]",
        ),
        (
            [EarlyStopping()],
            {"monitor": "val-loss"},
            "monitor is 'val-loss', expected one that is logged: loss, or what",
        ),
        ([], {"monitor": "val_loss"}, "val_loss is watched, but there is no validation_data"),
        (
            [lambda *_: None],
            {"monitor": "accuracy"},
            "mode is None, expected 'min' or 'max': whether a smaller accuracy",
        ),
    ],
)
def test_what_cannot_be_watched_is_told_before_a_fit_begins(before, options, message):
    net = Model([Dense(1)], seed=0)
    with pytest.raises(ValueError, match=f"EarlyStopping.*{message}"):
        net.fit(X, T, epochs=3, callbacks=[*before, EarlyStopping(**options)], **OPTIONS)
    assert not net.built


def test_without_restoring_the_model_stays_as_it_is_at_the_end():
    validation, _ = best_in_the_middle()
    nets = [net_of(), net_of()]
    for net, callbacks in zip(nets, ([EarlyStopping(100, restore_best=False)], [lambda *_: None]), strict=True):
        net.fit(X, T, optimizer=Adam(0.02), epochs=8, validation_data=validation, callbacks=callbacks, **OPTIONS)
    assert same_state(state_of(nets[0]), state_of(nets[1]))


def test_a_fit_goes_on_from_the_best_state():
    """As from a fit that has ended there, with what the optimizer remembers."""
    validation, _ = best_in_the_middle()
    stopped, short = net_of(), net_of()
    stopped.fit(
        X, T, optimizer=Adam(0.02), epochs=8, validation_data=validation, callbacks=[EarlyStopping(100)], **OPTIONS
    )
    short.fit(X, T, optimizer=Adam(0.02), epochs=BEST + 1, **OPTIONS)
    for net in (stopped, short):
        net.fit(X, T, epochs=2, batch_size=8, shuffle=False)
    assert same_state(state_of(stopped), state_of(short))


class Ending:
    """A callback that wants to know how the fit ends."""

    def __init__(self, error=None):
        self.error, self.ended = error, []

    def __call__(self, model, epoch, logs):
        pass

    def end(self, model):
        self.ended.append(model)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("ending", ENDINGS)
def test_callbacks_are_told_of_the_end_once(ending):
    epochs, before, behind, patience, error = ENDINGS[ending]
    validation, _ = best_in_the_middle()
    net, callback = net_of(), Ending()
    with suppress(error or ()):
        net.fit(
            X, T, optimizer=Adam(0.02), epochs=epochs, validation_data=validation,
            callbacks=[*before, EarlyStopping(patience), *behind, callback], **OPTIONS,
        )  # fmt: skip
    assert callback.ended == [net]


def test_an_end_that_raises_keeps_no_other_from_its_own():
    validation, best = best_in_the_middle()
    net, callback = net_of(), Ending(ZeroDivisionError("at the end"))
    with pytest.raises(ZeroDivisionError, match="at the end"):
        net.fit(
            X, T, optimizer=Adam(0.02), epochs=8, validation_data=validation, callbacks=[callback, EarlyStopping(100)],
            **OPTIONS,
        )  # fmt: skip
    assert same_state(state_of(net), best)


# Snapshots

LAYERS = {"kernels": (), "numpy": (Scale, Cube)}


@each_dtype
@pytest.mark.parametrize("layers", LAYERS)
@each_optimizer
def test_what_is_restored_trains_again_to_the_same_bits(optimizer, layers, dtype):
    """Also the order of rows and the numbers that Dropout leaves out."""
    net = net_of(dtype=dtype, layers=[kind() for kind in LAYERS[layers]])
    net.fit(X, T, "mse", OPTIMIZERS[optimizer](), epochs=2, batch_size=8)
    kept, results = net.snapshot(), []
    for _ in range(2):
        history = net.fit(X, T, epochs=2, batch_size=8)
        results.append((state_of(net), history.loss))
        net.restore(kept)
    assert same_state(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_a_snapshot_is_a_copy():
    net = net_of()
    net.fit(X, T, optimizer=Adam(0.02), epochs=1, **OPTIONS)
    kept, before = net.snapshot(), state_of(net)
    net.fit(X, T, epochs=2)
    net.params = 0
    net.restore(kept)
    assert same_state(state_of(net), before)
    net.fit(X, T, epochs=1)
    net.restore(kept)  # as often as one likes
    assert same_state(state_of(net), before)


def test_numbers_that_a_user_sets_are_not_rewound():
    net = net_of()
    net.fit(X, T, optimizer=Adam(0.02), epochs=1, **OPTIONS)
    kept = net.snapshot()
    net.optimizer.lr = 0.5
    net.layers[1].momentum = 0.3
    net.restore(kept)
    assert (net.optimizer.lr, net.layers[1].momentum) == (0.5, 0.3)


def test_an_optimizer_that_is_younger_than_the_snapshot_begins_anew():
    net = net_of()
    net.fit(X, T, optimizer=SGD(0.1), epochs=1, **OPTIONS)
    kept, young = net.snapshot(), Adam(0.02)
    results = []
    for _ in range(2):
        net.train_batch(X, T, optimizer=young)
        results.append(state_of(net))
        net.restore(kept)
    assert same_state(*results)


def test_a_snapshot_of_another_kind_of_model_is_refused():
    net, other = net_of().build(FEATURES), Model([Dense(7), Dense(OUTPUTS)], seed=0).build(FEATURES)
    before = state_of(net)
    with pytest.raises(ValueError, match="restore: the snapshot is of a model of other sizes"):
        net.restore(other.snapshot())
    with pytest.raises(ValueError, match="restore: the snapshot is of a model of other"):
        net.restore(net_of(dtype="float32").build(FEATURES).snapshot())
    with pytest.raises(TypeError, match=r"restore: got ndarray, expected what snapshot\(\) returns"):
        net.restore(net.params)
    with pytest.raises(RuntimeError, match="no parameters yet"):
        net_of().snapshot()
    assert same_state(state_of(net), before)


# Copies: as large as their arrays, and equal


def wide_net(**options):
    return Model([Dense(300, "relu"), BatchNorm(), Residual([Dense(200), Dense(300)]), Dense(10)], seed=0, **options)


WIDE_X, WIDE_T = np.random.default_rng(0).normal(size=(40, 300)), np.random.default_rng(1).normal(size=(40, 10))
USES = {
    "built": lambda net: net.build(300),
    "predict": lambda net: net.predict(WIDE_X),
    "fit": lambda net: net.fit(WIDE_X, WIDE_T, "mse", "adam", epochs=1),
    "fit with plain sgd": lambda net: net.fit(WIDE_X, WIDE_T, "mse", SGD(1e-3), epochs=1),
    "early stopping": lambda net: net.fit(WIDE_X, WIDE_T, "mse", "adam", epochs=2, callbacks=[EarlyStopping()]),
    "by hand": lambda net: Adam(0.1).step((net.backward(net.forward(WIDE_X)), net)[1]),
    "accumulate": lambda net: net.fit(WIDE_X, WIDE_T, "mse", Adam(0.01, accumulate=2, clip_norm=1.0), epochs=1),
}


def bytes_of(net):
    own = [array for layer in net._tree.all for array in layer.states.values()]
    memories = [array for _, arrays in net._trainer.state.memories.items() for array in arrays.values()]
    return sum(array.nbytes for array in (net.params, *own, *memories))


@each_dtype
@pytest.mark.parametrize("use", USES)
def test_a_pickle_is_as_large_as_its_arrays(use, dtype):
    net = wide_net(dtype=dtype)
    USES[use](net)
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):  # those before know no bytes
        assert len(pickle.dumps(net, protocol)) <= 1.1 * bytes_of(net)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_layer_alone_takes_its_own_part(place):
    net = wide_net()
    USES["fit"](net)
    net.forward(WIDE_X)
    layer = net.layers[place]
    inside = [layer, *layer.children()]
    own = sum(array.nbytes for part in inside for array in (*part.parameters.values(), *part.states.values()))
    assert len(pickle.dumps(layer)) <= 1.1 * own + 1000
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        x = WIDE_X[:, : layer.n_in].astype("float32")
        if place != 1:  # by hand it is in training form
            assert same_bits(other.forward(x), layer.forward(x))
        for mine, its in zip(inside, [other, *other.children()], strict=True):
            for name, array in mine.parameters.items():
                assert same_bits(its.parameters[name], array)
                assert not np.shares_memory(its.parameters[name], array)


def test_a_layer_of_a_net_can_be_copied_into_another():
    net = wide_net()
    USES["fit"](net)
    other = Model([copy.deepcopy(layer) for layer in net.layers], seed=1)
    assert same_bits(other.predict(WIDE_X), net.predict(WIDE_X))
    other.fit(WIDE_X, WIDE_T, "mse", epochs=1)
    assert not same_bits(other.params, net.params)


# Optimizers, by name and as objects


def test_a_name_means_the_models_optimizer_of_that_name():
    by_name, by_object, adam = net_of(), net_of(), Adam()
    for _ in range(4):
        by_name.train_batch(X, T, loss="mse", optimizer="adam")
        by_object.train_batch(X, T, loss="mse", optimizer=adam)
    assert same_state(state_of(by_name), state_of(by_object))
    assert memory_of(by_name)["step"][0] == 4
    used = by_name.optimizer
    for same in ("adam", "Adam", None):
        by_name.train_batch(X, T, optimizer=same)
        assert by_name.optimizer is used
    by_name.optimizer = "adam"
    assert by_name.optimizer is used
    assert memory_of(by_name)["step"][0] == 7
    other = net_of()
    other.train_batch(X, T, loss="mse", optimizer="adam")
    assert other.optimizer is not used


@pytest.mark.parametrize("named", [True, False], ids=["names", "objects"])
@pytest.mark.parametrize("method", ["fit", "train_batch", "step"])
def test_optimizers_in_turn_keep_what_they_remember(named, method):
    """A, B, A: as A and B would have it in the same places."""
    a, b = ("adam", "rmsprop") if named else (Adam(0.01), RMSprop(0.01, momentum=0.9))
    net, steps = net_of(), []
    for optimizer in (a, b, a, a, b):
        if method == "fit":
            net.fit(X, T, "mse", optimizer, epochs=1, batch_size=None)
        elif method == "train_batch":
            net.train_batch(X, T, loss="mse", optimizer=optimizer)
        else:
            net.backward(net.forward(X))
            net.step(optimizer)
            net._trainer.optimizer = net._trainer.choose_optimizer(optimizer)
        steps.append(memory_of(net).get("step", [None])[0])
    assert steps == [1, None, 2, 3, None]
    if method == "train_batch":
        moments = memory_of(net)
        assert all(array.any() for array in moments.values())


def test_a_copy_goes_on_with_the_optimizer_of_a_name():
    net = net_of()
    for _ in range(3):
        net.train_batch(X, T, loss="mse", optimizer="adam")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        other.train_batch(X, T, optimizer="adam")
        assert memory_of(other)["step"][0] == 4


def test_what_an_optimizer_remembers_lasts_while_both_live():
    net, optimizer = net_of(), Adam(0.01)
    net.train_batch(X, T, loss="mse", optimizer=optimizer)
    moments = ref(memory_of(net)["m"].base)
    net.train_batch(X, T, optimizer=SGD(0.1))
    assert moments() is not None
    assert len(net._trainer.state.memories) == 2
    del optimizer
    assert len(net._trainer.state.memories) == 1
    assert moments() is None


def test_a_step_that_fails_for_memory_loses_nothing(monkeypatch):
    nets = [net_of(), net_of()]
    for net in nets:
        for _ in range(2):
            net.train_batch(X, T, loss="mse", optimizer="adam")

    def refuse(*given, **options):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(chain, "Arena", refuse)
        more = np.repeat(X, 2, axis=0), np.repeat(T, 2, axis=0)
        for fails in (partial(nets[0].train_batch, *more), partial(nets[0].fit, X, T, batch_size=5, epochs=1)):
            with pytest.raises(MemoryError):
                fails()
    for net in nets:
        net.train_batch(X[:9], T[:9])
    assert same_state(state_of(nets[0]), state_of(nets[1]))


# Memory is freed when the last name goes, with the collector off


class Failing(Layer):
    def forward(self, x):
        return x

    def backward(self, dy):
        raise ZeroDivisionError


class Wrapping(Optimizer):
    def __init__(self, lr):
        super().__init__(lr)
        self.inner_one = Adam(lr)

    def update(self, params, grads):
        self.inner_one.update(params, grads)


class Holding(Layer):
    def __init__(self):
        self.inner = [Dense(5), Dense(5)]

    def forward(self, x):
        return self.inner[1].forward(self.inner[0].forward(x))

    def backward(self, dy):
        return self.inner[0].backward(self.inner[1].backward(dy))


def fitted(net, **options):
    net.fit(X, T, **{"loss": "mse", "optimizer": Adam(0.01), "epochs": 2, "batch_size": 8, **options})


LIVES = {
    "built": lambda net: net.build(FEATURES),
    "predict": lambda net: (net.predict(X), net.predict_one(X[0]), net.predict(X, n_threads=2)),
    "evaluate": lambda net: net.evaluate(X, T, "mse"),
    "train_batch": lambda net: net.train_batch(X, T, loss="mse"),
    "fit": fitted,
    "fit with plain sgd": partial(fitted, optimizer=SGD(0.01)),
    "fit by names": partial(fitted, optimizer="adam"),
    "fit with threads": partial(fitted, n_threads=2),
    "fit with validation": partial(fitted, validation_data=(X, T)),
    "fit with early stopping": partial(fitted, callbacks=[EarlyStopping()]),
    "fit with a callback": partial(fitted, callbacks=[lambda model, epoch, logs: model.predict(X)]),
    "fit with a callback that sets structure": partial(
        fitted, optimizer=SGD(0.1), callbacks=[lambda model, epoch, logs: setattr(model.optimizer, "momentum", 0.9)]
    ),
    "fit with a loss in numpy": partial(fitted, loss=LogCosh()),
    "fit with an optimizer in numpy": partial(fitted, optimizer=SignSGD(0.01)),
    "fit with a wrapping optimizer": partial(fitted, optimizer=Wrapping(0.01)),
    "fit with groups and transforms": partial(fitted, optimizer=Adam(0.1, groups=[Group("0.w")], clip_norm=1.0)),
    "a callback that raised": partial(fitted, callbacks=[lambda model, epoch, logs: 1 / 0]),
    "a callback that fits": partial(fitted, callbacks=[lambda model, epoch, logs: model.train_batch(X, T)]),
    "divergence": partial(fitted, optimizer=SGD(1e300)),
    "wrong data": partial(fitted, loss="cross_entropy"),
    "by hand": lambda net: Adam(0.1).step((net.backward(net.forward(X)), net)[1]),
    "snapshot": lambda net: net.restore((net.build(FEATURES), net.snapshot())[1]),
    "copies": lambda net: (fitted(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))),
    "fit_many": lambda net: fit_many([net, net_of(1)], X, T, "mse", epochs=1, n_threads=2),
    "layers by hand": lambda net: (fitted(net), net.layers[0].backward(net.layers[0].forward(X))),
}
NETS = {
    "kernels": net_of,
    "numpy": lambda: net_of(layers=[Scale(), Cube()]),
    "holding": lambda: net_of(layers=[Holding(), Residual([Holding()])]),
    "failing": lambda: net_of(layers=[Failing()]),
    "one layer": lambda: Model([Dense(OUTPUTS)], seed=0),
}


@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("life", LIVES)
@pytest.mark.usefixtures("no_collector")
def test_a_model_is_freed_when_the_last_name_goes(life, net):
    model = NETS[net]()
    with suppress(ZeroDivisionError, FloatingPointError, ValueError, RuntimeError), np.errstate(over="ignore"):
        LIVES[life](model)
    kept = [ref(model), ref(model.layers[0])]
    if model.built:
        kept += [ref(model._tree.memory), ref(model.params.base)]
    names = model.optimizer, model.loss, model.history  # may stay
    del model
    assert [found() for found in kept] == [None] * len(kept)
    del names


@pytest.mark.usefixtures("no_collector")
def test_a_model_that_is_shared_is_freed():
    net = shared_by_buffers(wide_net().build(300))[0]
    net.predict(WIDE_X)
    net.fit(WIDE_X, WIDE_T, "mse", epochs=1)
    kept = ref(net)
    del net
    assert kept() is None


@pytest.mark.usefixtures("no_collector")
def test_nets_in_a_loop_need_the_memory_of_one():
    x, t, peaks = np.ones((4, 500)), np.ones((4, 500)), []
    for n in (2, 6):
        tracemalloc.start()
        for _ in range(n):
            net = Model([Dense(500, "relu"), Dense(500)], seed=0)
            net.fit(x, t, "mse", Adam(1e-4), epochs=1)
            net.predict(x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        del net
    assert peaks[1] <= 1.1 * peaks[0]


# Arrays that cannot be written to: predicting shares them, and training takes a copy of its own


def shared_by_buffers(net):
    """Return the net with arrays in buffers that are read-only, and the buffers."""
    buffers = []
    text = pickle.dumps(net, 5, buffer_callback=buffers.append)
    memory = [bytes(buffer) for buffer in buffers]
    return pickle.loads(text, buffers=memory), [np.frombuffer(part, np.uint8) for part in memory]


def shared_by_file(net, folder):
    joblib = pytest.importorskip("joblib")
    joblib.dump(net, folder / "net")
    return joblib.load(folder / "net", mmap_mode="r")


@pytest.fixture(params=["joblib", "pickle 5"])
def shared(request, tmp_path):
    """What shares the arrays of a net, all of which are read-only."""
    return (lambda net: shared_by_file(net, tmp_path)) if request.param == "joblib" else (
        lambda net: shared_by_buffers(net)[0])  # fmt: skip


def trained_wide_net():
    net = wide_net()
    net.fit(WIDE_X, WIDE_T, "mse", Adam(1e-3), epochs=2, batch_size=16)
    return net


def test_what_cannot_be_written_to_predicts_without_a_copy(shared):
    net = trained_wide_net()
    other = shared(net)
    expected = net.predict(WIDE_X)
    assert not other.layers[0].w.flags.writeable
    before = other.layers[0].w
    other.predict(WIDE_X[:1])
    tracemalloc.start()
    got = [other.predict(WIDE_X), other.predict_one(WIDE_X[0]), other.evaluate(WIDE_X, WIDE_T)["loss"]]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert same_bits(got[0], expected)
    np.testing.assert_array_equal(got[1], expected[0])
    assert got[2] == net.evaluate(WIDE_X, WIDE_T)["loss"]
    assert other.layers[0].w is before
    assert peak < net.params.nbytes
    assert repr(other) == repr(net)


def test_what_is_shared_lies_in_the_buffers():
    other, buffers = shared_by_buffers(trained_wide_net())
    other.predict(WIDE_X)
    for layer in other._tree.all:
        for array in (*layer.parameters.values(), *layer.states.values()):
            assert any(np.shares_memory(array, buffer) for buffer in buffers)


CHANGES = {
    "fit": lambda net: net.fit(WIDE_X, WIDE_T, epochs=2, batch_size=16),
    "fit anew": lambda net: net.fit(WIDE_X, WIDE_T, "mse", SGD(0.001, momentum=0.9), epochs=2, batch_size=16),
    "train_batch": lambda net: net.train_batch(WIDE_X, WIDE_T),
    "fit_many": lambda net: fit_many([net], WIDE_X, WIDE_T, epochs=1),
    "by hand": lambda net: net.step((net.backward(net.forward(WIDE_X)), None)[1]),
    "params": lambda net: setattr(net, "params", 2 * net.params),
    "weights": lambda net: setattr(net.layers[0], "w", 2 * net.layers[0].w),
    "soft_update": lambda net: net.soft_update(wide_net().build(300), 0.5),
    "copy_from": lambda net: net.copy_from(wide_net().build(300)),
    "snapshot": lambda net: net.restore((net.snapshot(), net.fit(WIDE_X, WIDE_T, epochs=1))[0]),
}


@pytest.mark.parametrize("predicted", [False, True], ids=["", "after a prediction"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_cannot_be_written_to_is_changed_in_a_copy(change, predicted, shared):
    net = trained_wide_net()
    other, untouched = shared(net), shared(net)
    before = net.predict(WIDE_X)
    if predicted:
        other.predict(WIDE_X)
        other.predict_one(WIDE_X[0])
    for model in (net, other):
        CHANGES[change](model)
    assert same_state(state_of(other), state_of(net))
    assert same_bits(other.predict(WIDE_X), net.predict(WIDE_X))
    assert same_bits(other.predict(WIDE_X[:1]), net.predict(WIDE_X[:1]))
    assert same_bits(untouched.predict(WIDE_X), before)
    for copied in (copy.deepcopy(other), pickle.loads(pickle.dumps(other))):
        assert same_bits(copied.predict(WIDE_X), net.predict(WIDE_X))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_of_what_cannot_be_written_to_is_ones_own(duplicate, shared):
    net = trained_wide_net()
    other = duplicate(shared(net))
    assert same_bits(other.predict(WIDE_X), net.predict(WIDE_X))
    for model in (net, other):
        model.fit(WIDE_X, WIDE_T, epochs=1)
    assert same_state(state_of(other), state_of(net))


def test_nets_with_layers_in_numpy_are_shared_too(shared):
    net = Model([Dense(300), Scale(), Holding_of(300), Dense(10)], seed=0)
    net.fit(WIDE_X, WIDE_T, "mse", Adam(1e-3), epochs=1)
    other = shared(net)
    assert same_bits(other.predict(WIDE_X), net.predict(WIDE_X))
    for model in (net, other):
        model.fit(WIDE_X, WIDE_T, epochs=1)
    assert same_state(state_of(other), state_of(net))


class Holding_of(Holding):
    def __init__(self, units):
        self.inner = [Dense(units, "tanh"), Sequential([Dense(units)])]


def train_in_a_worker(net):
    net.fit(WIDE_X, WIDE_T, epochs=1)
    return net.params.copy()


def test_a_net_is_trained_in_workers_of_joblib_in_a_subprocess():
    """To which arrays of more than 1 MB come as memory maps that are read-only."""
    joblib = pytest.importorskip("joblib")
    net = Model([Dense(1000, "relu"), Dense(10)], seed=0)
    net.fit(WIDE_X, WIDE_T, "mse", Adam(1e-3), epochs=1)
    assert net.layers[0].w.nbytes > 1e6
    results = joblib.Parallel(n_jobs=2)(joblib.delayed(train_in_a_worker)(net) for _ in range(2))
    net.fit(WIDE_X, WIDE_T, epochs=1)
    assert all(same_bits(result, net.params) for result in results)


@pytest.mark.parametrize("follow", ["copy_from", "restore"])
def test_a_model_of_as_many_parameters_but_other_layers_is_refused(follow):
    """Its flat arrays would fit, and mean something else."""
    net, other = (Model([Dense(n)], seed=0).build(m) for n, m in ((4, 2), (3, 3)))
    before = state_of(net)
    with pytest.raises(ValueError, match=r"other (sizes or )?layers"):
        net.copy_from(other) if follow == "copy_from" else net.restore(other.snapshot())
    assert same_state(state_of(net), before)

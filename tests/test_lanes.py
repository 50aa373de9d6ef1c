"""Small nets of a kind, trained side by side in the lanes of vectors: to the bits of each net alone."""

import gc
import re
import signal
import threading
import warnings
from weakref import ref

import numpy as np
import pytest

import fastnn
from fastnn import L2, SGD, Adam, CrossEntropy, Dense, Dropout, Group, Model, Rprop, fit_many, kernels, many
from fastnn._core.tape import Tape, run_epochs
from fastnn.training import lanes

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
NUMBERS = np.stack([X[:, 0] * X[:, 1], np.abs(X[:, 2])], axis=1)
SHARES = (NUMBERS > 0).astype(np.float32)
PROBABILITIES = np.eye(3)[LABELS] * 0.7 + 0.1
IS_WIDE = kernels.selected != "baseline"


@pytest.fixture
def taken(monkeypatch):
    """How many nets have been trained side by side, in the order of their turns: also few, and in large batches."""
    found, run = [], lanes.Lanes.run
    for module in (lanes, many):
        monkeypatch.setattr(module, "LEAST", 6)
    monkeypatch.setattr(lanes, "_MOST_NUMBERS", 5000)

    def spy(self, stop):
        try:
            return run(self, stop)
        except Exception:  # for which nets are trained alone
            found.append("not trained")
            raise
        finally:
            found.append(len(self._fits))

    monkeypatch.setattr(lanes.Lanes, "run", spy)
    return found


def nets(n, *layers, **options):
    return [Model([layer() for layer in layers], seed=seed, **options) for seed in range(n)]


def layers_of(activation, units, last=None, **options):
    return [lambda: Dense(8, activation, **options), lambda: Dense(5, activation), lambda: Dense(units, last)]


def state_of(net):
    arrays = net._trainer.state.memories.items()
    return [net.params.tobytes(), *(array.tobytes() for _, own in arrays for array in own.values())]


def assert_same(together, alone, histories, expected):
    for net, same, history, other in zip(together, alone, histories, expected, strict=True):
        assert history.to_dict() == other.to_dict()
        assert history.ended == other.ended
        assert state_of(net) == state_of(same)
        if net._trainer.tree.memory.without_gradients is None:
            assert net.grads.tobytes() == same.grads.tobytes()
        assert net._trainer.tree.memory.without_gradients == same._trainer.tree.memory.without_gradients


def fits(make, *data, **options):
    """Return nets that are trained side by side, and the same nets, each trained alone."""
    together, alone, n_threads = make(), make(), options.pop("n_threads", 1)
    histories = fit_many(together, *data, n_threads=n_threads, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [net.fit(*data, n_threads=1, **options) for net in alone]
    return together, alone, histories, expected


# activation, loss, targets, the last activation
LOSSES = (
    ("relu", "mse", NUMBERS, None),
    ("tanh", "cross_entropy", LABELS, "softmax"),
    ("gelu", "cross_entropy", LABELS, "log_softmax"),
    ("elu", CrossEntropy(from_logits=True), LABELS, None),
    ("sigmoid", "binary_cross_entropy", SHARES, "sigmoid"),
    ("softplus", "huber", NUMBERS, None),
    ("silu", "log_cosh", NUMBERS, "softsign"),
    ("leaky_relu", "hinge", 2 * SHARES - 1, None),
    (None, "mae", NUMBERS, "tanh"),
    # net by net
    ("relu", CrossEntropy(label_smoothing=0.1), LABELS, "softmax"),
    ("tanh", "cross_entropy", PROBABILITIES, "softmax"),
    ("elu", CrossEntropy(from_logits=True, label_smoothing=0.2), PROBABILITIES, None),
    ("sigmoid", "cosine_similarity", NUMBERS, None),
    ("gelu", fastnn.BinaryCrossEntropy(pos_weight=[2, 3]), SHARES, "sigmoid"),
)
OPTIMIZERS = (
    "sgd", SGD(0.05, momentum=0.9), SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01), "adam", "adamw", "nadam",
    "radam", "adamax", Adam(amsgrad=True), "rmsprop", "adagrad", "adadelta", "lion", Rprop(),
)  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(("activation", "loss", "y", "last"), LOSSES, ids=lambda value: str(value)[:20])
def test_side_by_side_nets_have_the_bits_of_each_alone(activation, loss, y, last, optimizer, taken):
    layers = layers_of(activation, 3 if y is LABELS or y is PROBABILITIES else 2, last)
    found = fits(lambda: nets(7, *layers), X, y, loss=loss, optimizer=optimizer, epochs=12)
    assert_same(*found)
    assert taken == [7] * IS_WIDE


@pytest.mark.filterwarnings("ignore:y has mean")  # it is far from unit scale
def test_gradients_that_vanish(taken):
    """Those are sums of numbers below 1e-38, also where plain SGD's step is within a product."""

    def made():
        found = nets(16, *layers_of("tanh", 2))
        for net in found:
            net.build(3).params *= np.float32(1e-38)
        return found

    assert_same(*fits(made, X, NUMBERS * 1e-38, loss="mse", optimizer=SGD(0.1), epochs=30, batch_size=8))
    assert taken == [16] * IS_WIDE


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n", [1, 5, 15, 16, 17, 33])
def test_any_number_of_nets_on_any_number_of_threads(n, n_threads, taken):
    found = fits(lambda: nets(n, *layers_of("relu", 2)), X, NUMBERS, epochs=15, batch_size=40, n_threads=n_threads)
    assert_same(*found)
    sizes = {1: [], 5: [], 15: [15], 16: [16], 17: [16], 33: [16, 16]}[n]
    assert taken == sizes * (IS_WIDE and n >= lanes.LEAST * n_threads)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1, "epochs": 2}, {"batch_size": None, "epochs": 60}, {"batch_size": 150, "epochs": 55},
        {"batch_size": 149, "epochs": 30}, {"shuffle": False, "epochs": 11}, {"epochs": None},
    ],
    ids=str,
)  # fmt: skip
def test_batches_and_their_order(options, taken):
    assert_same(*fits(lambda: nets(6, *layers_of("tanh", 2, bias=False)), X, NUMBERS, **options))
    assert taken == [6] * IS_WIDE


def test_each_may_have_data_of_its_own_and_a_state_from_before(taken):
    """Of the same size; nets that have been trained go on, by hand, alone and side by side in turn."""
    rng, given = np.random.default_rng(1), []
    for _ in range(8):
        rows = rng.permutation(150)[:90]
        given.append({"x": X[rows], "y": NUMBERS[rows]})
    together, alone = nets(8, *layers_of("relu", 2)), nets(8, *layers_of("relu", 2))
    for epochs in (20, 40):
        histories = fit_many(together, X, NUMBERS, "mse", "adam", epochs, each=given, n_threads=1)
        expected = [net.fit(**own, loss="mse", epochs=epochs) for net, own in zip(alone, given, strict=True)]
        assert_same(together, alone, histories, expected)
    for net, same in zip(together, alone, strict=True):
        assert net.train_batch(X[:9], NUMBERS[:9]) == same.train_batch(X[:9], NUMBERS[:9])
        assert net.fit(X, NUMBERS, epochs=2).loss == same.fit(X, NUMBERS, epochs=2).loss
        assert net.predict(X).tobytes() == same.predict(X).tobytes()
    assert taken == [8, 8] * IS_WIDE
    together[3].fit(X, NUMBERS, epochs=1)  # so its optimizer has counted further
    alone[3].fit(X, NUMBERS, epochs=1)
    histories = fit_many(together, X, NUMBERS, "mse", "adam", 24, n_threads=1)
    assert_same(together, alone, histories, [net.fit(X, NUMBERS, "mse", "adam", 24) for net in alone])
    assert taken == [8] * 3 * IS_WIDE


DENSE = layers_of("relu", 2)
COUNTS = {"epochs": 20}
# What is asked for, of what nets: anything else than what lanes can do, or gain by
ALONE = {
    "wide": ([lambda: Dense(9, "relu"), lambda: Dense(2)], COUNTS),
    "dropout": ([*DENSE[:2], lambda: Dropout(0.2), DENSE[2]], COUNTS),
    "softmax inside": ([lambda: Dense(4, "softmax"), lambda: Dense(2)], COUNTS),
    "frozen": ([lambda: Dense(4, trainable=False), lambda: Dense(2)], COUNTS),
    "few steps": (DENSE, {"epochs": 9}),
    "no epochs": (DENSE, {"epochs": 0}),
    "validation_data": (DENSE, {**COUNTS, "validation_data": (X[:9], NUMBERS[:9])}),
    "validation_split": (DENSE, {**COUNTS, "validation_split": 0.2}),
    "callbacks": (DENSE, {**COUNTS, "callbacks": [lambda net, epoch, logs: epoch == 3]}),
    "metrics": (DENSE, {**COUNTS, "metrics": ["mae"]}),
    "augment": (DENSE, {**COUNTS, "augment": [lambda x, y, rng: (x, y)]}),
    "schedule": (DENSE, {**COUNTS, "optimizer": SGD(fastnn.schedules.Cosine(0.1))}),
    "clipping": (DENSE, {**COUNTS, "optimizer": Adam(clip_norm=1.0)}),
    "group": (DENSE, {**COUNTS, "optimizer": Adam(groups=[Group("weights", weight_decay=0.1)])}),
    "average": (DENSE, {**COUNTS, "optimizer": Adam(average=fastnn.EMA(0.9))}),
    "norms": (DENSE, {**COUNTS, "optimizer": "lamb"}),
    "whole fits": (DENSE, {"epochs": 50, "batch_size": None, "optimizer": "lbfgs"}),
    "a loss of one's own": (DENSE, {**COUNTS, "loss": type("Own", (fastnn.MSE,), {})()}),
}


@pytest.mark.parametrize("what", ALONE)
def test_what_has_no_form_for_lanes_is_trained_net_by_net(what, taken):
    layers, options = ALONE[what]
    assert_same(*fits(lambda: nets(6, *layers), X, NUMBERS, **options))
    assert taken == []


@pytest.mark.parametrize(
    ("options", "x"),
    [
        ({"dtype": "float64"}, X), ({"precision": "bf16"}, X), ({"penalties": [L2(1e-3)]}, X),
        ({}, np.tile(X, (1, 3))), ({}, X[:, :1]),
    ],
    ids=["float64", "bf16", "penalties", "many inputs", "dot products"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Model. precision='bf16' is without effect")
def test_nets_and_data_without_a_form_for_lanes(options, x, taken):
    layers = layers_of("tanh", 2) if np.shape(x)[1] > 1 else [lambda: Dense(3, "tanh"), lambda: Dense(2)]
    batch_size = 32 if np.shape(x)[1] > 1 else 64
    assert_same(*fits(lambda: nets(6, *layers, **options), x, NUMBERS, epochs=30, batch_size=batch_size))
    assert taken == []


def test_lists_are_trained_as_arrays_are(taken):
    """Those of x are made arrays for all nets in any case, those of y by each."""
    for y, sizes in ((NUMBERS, [6] * IS_WIDE), (NUMBERS.tolist(), [])):
        taken.clear()
        assert_same(*fits(lambda: nets(6, *layers_of("relu", 2)), X.tolist(), y, epochs=11))
        assert taken == sizes


@pytest.mark.parametrize(
    ("n", "sizes", "batch_size", "gain"),
    [
        (12, (8, 4, 2), 32, True), (11, (8, 4, 2), 32, False), (16, (8, 4, 2), 75, True), (16, (8, 4, 2), 76, False),
        (16, (8, 8, 8), 47, True), (16, (8, 8, 8), 48, False),
    ],
)  # fmt: skip
def test_nets_that_would_gain_nothing_are_trained_one_by_one(n, sizes, batch_size, gain, taken, monkeypatch):
    monkeypatch.undo()
    run, found = lanes.Lanes.run, []
    monkeypatch.setattr(lanes.Lanes, "run", lambda self, stop: found.append(1) or run(self, stop))
    made = nets(n, *[lambda units=units: Dense(units, "relu") for units in sizes])
    fit_many(made, X, np.ones((150, sizes[-1])), epochs=30, batch_size=batch_size, n_threads=1)
    assert found == [1] * (gain and IS_WIDE)


def test_nets_that_have_trained_before_gain_nothing_in_few_steps(taken):
    """Alone they keep what they have recorded: 5 steps in an epoch."""
    together, alone = nets(6, *layers_of("relu", 2)), nets(6, *layers_of("relu", 2))
    for epochs, gain in ((10, True), (23, False), (24, True)):
        taken.clear()
        histories = fit_many(together, X, NUMBERS, epochs=epochs, n_threads=1)
        assert_same(together, alone, histories, [net.fit(X, NUMBERS, epochs=epochs) for net in alone])
        assert taken == [6] * (gain and IS_WIDE)


def test_each_may_have_an_optimizer_of_its_own(taken):
    """Rates, kinds, steps taken before: optimizers that are the same take the steps of all nets at once."""
    rules = [
        *(SGD(5e-4 * i) for i in range(1, 5)),
        SGD(2e-4, momentum=0.9),
        Adam(0.01),
        Adam(weight_decay=0.1),
        Rprop(),
    ]
    of_sums = fastnn.MSE(reduction="sum")
    for loss, y in (("mse", NUMBERS), (CrossEntropy(label_smoothing=0.1), LABELS), (of_sums, NUMBERS)):
        layers = layers_of("relu", 3, "softmax") if y is LABELS else layers_of("tanh", 2)
        together, alone = nets(8, *layers), nets(8, *layers)
        for net in (together[2], alone[2]):
            net.fit(X, y, loss, rules[2], epochs=1)
        each = [{"optimizer": rule} for rule in rules]
        for epochs in (25, 24):
            histories = fit_many(together, X, y, loss, epochs=epochs, each=each, n_threads=1)
            expected = [net.fit(X, y, loss, rule, epochs) for net, rule in zip(alone, rules, strict=True)]
            assert_same(together, alone, histories, expected)
    assert taken == [8] * 6 * IS_WIDE


@pytest.mark.parametrize(
    ("loss", "y", "more"),
    [
        ("mse", NUMBERS, {"sample_weight": np.linspace(0, 1.5, 150)}),
        (fastnn.MSE(output_weights=[1, 2]), NUMBERS, {}),
        (fastnn.MAE(missing="ignore"), np.where(NUMBERS > 1, np.nan, NUMBERS), {"sample_weight": np.ones((150, 2))}),
        ("cross_entropy", LABELS, {"class_weight": {0: 2.0}}),
        (CrossEntropy(class_weight="balanced", ignore_index=1), LABELS, {}),
    ],
    ids=["rows", "outputs", "missing", "class_weight", "classes"],
)
def test_weights_of_rows_classes_and_outputs(loss, y, more, taken):
    layers = layers_of("relu", 3, "softmax") if y is LABELS else layers_of("tanh", 2)
    assert_same(*fits(lambda: nets(7, *layers), X, y, loss=loss, optimizer="adam", epochs=12, **more))
    assert taken == [7] * IS_WIDE


def test_losses_net_by_net_are_for_few_outputs_and_with_steps_net_by_net_for_narrow_layers(taken):
    each = [{"optimizer": SGD(0.01 * (i + 1))} for i in range(6)]
    for sizes, batch_size, more, is_gain in (
        ((8, 3), 85, None, True), ((8, 3), 86, None, False), ((4, 3), 32, each, True), ((8, 8, 3), 32, each, False),
    ):  # fmt: skip
        taken.clear()
        made = nets(6, *(lambda units=units: Dense(units, "relu") for units in sizes[:-1]), lambda: Dense(3, "softmax"))
        fit_many(made, X, PROBABILITIES, "cross_entropy", "sgd", 30, batch_size, each=more, n_threads=1)
        assert taken == [6] * (is_gain and IS_WIDE)


def test_nets_of_several_kinds_and_settings_are_told_apart(taken):
    """By units, rows, bias and constants: kinds of which there are too few are trained net by net.

    Those with the same rate are trained side by side as far as there are enough.
    """

    def make():
        small, large = nets(8, *layers_of("relu", 2)), nets(12, *layers_of("relu", 2))
        other = [Model([Dense(4, fastnn.LeakyReLU(0.1 * i)), Dense(2)], seed=i) for i in range(1, 6)]
        return [*small, *large, *other]

    each = [{"optimizer": SGD(0.01 if i % 2 else 0.02)} for i in range(25)]
    together, alone = make(), make()
    histories = fit_many(together, X, NUMBERS, "mse", epochs=10, each=each, n_threads=1)
    expected = [net.fit(X, NUMBERS, "mse", epochs=10, **own) for net, own in zip(alone, each, strict=True)]
    assert_same(together, alone, histories, expected)
    assert taken == [16] * IS_WIDE


@pytest.mark.parametrize("rates", [[0.01] * 9, np.linspace(0.01, 0.02, 9).tolist()], ids=["one rate", "its own rate"])
def test_what_goes_wrong_in_one_net_is_its_own(rates, taken):
    """NaN in its data; a loss that is infinite, at once or in the last step: the others are as each alone."""

    def make():
        made = nets(9, *layers_of("relu", 2))
        for net in made:
            net.build(3)
        made[2].layers[0].w[0, 0] = 1e30
        made[7].layers[2].b[1] = 3e38
        return made

    with_nan = X.copy()
    with_nan[50, 1] = np.nan
    each = [{"x": with_nan if i == 4 else X, "optimizer": SGD(rate)} for i, rate in enumerate(rates)]
    together, alone, before = make(), make(), make()
    message = re.escape("models[2]: the loss became inf in epoch 1, batch ")
    with pytest.raises(FloatingPointError, match=message) as raised:
        fit_many(together, X, NUMBERS, "mse", epochs=20, each=each, n_threads=1)
    assert "(also: models[4], models[7])" in str(raised.value)
    for i, (net, same) in enumerate(zip(together, alone, strict=True)):
        if i in (2, 4, 7):
            assert net.params.tobytes() == before[i].params.tobytes()
            with pytest.raises((FloatingPointError, ValueError)):
                same.fit(**each[i], y=NUMBERS, loss="mse", epochs=20)
            assert net.history.ended == same.history.ended
        else:
            assert net.history.loss == same.fit(**each[i], y=NUMBERS, loss="mse", epochs=20).loss
            assert net.params.tobytes() == same.params.tobytes()
    assert taken == [8, 6] * IS_WIDE


def test_parameters_that_overflow_in_the_last_step(taken, monkeypatch):
    monkeypatch.setattr(lanes, "_LEAST_STEPS", 1)

    def make():
        made = nets(7, lambda: Dense(1, bias=False))
        for i, net in enumerate(made):
            net.build(3)
            net.layers[0].w[...] = 1e18 if i == 5 else 0
        return made

    x, y = np.ones((1, 3), np.float32), np.zeros((1, 1))
    together = make()
    with pytest.raises(FloatingPointError, match=r"models\[5\]: the parameters overflowed in epoch 1, in its last"):
        fit_many(together, x, y, "mse", SGD(1e21), 1, n_threads=1)
    for net, before in zip(together, make(), strict=True):
        assert net.params.tobytes() == before.params.tobytes()  # 0, or put back
    assert [net.history.loss for net in together[:5]] == [[0.0]] * 5
    assert taken == [7, 6] * IS_WIDE


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")
@pytest.mark.parametrize("rates", [[1e-3] * 16, np.linspace(1e-3, 2e-3, 16).tolist()], ids=["one rate", "its own rate"])
def test_ctrl_c_leaves_all_of_them_behind_a_batch(rates, taken):
    each = [{"optimizer": Adam(rate)} for rate in rates]
    together, alone = nets(16, *layers_of("tanh", 2)), nets(16, *layers_of("tanh", 2))

    def interrupt(*given):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            fit_many(together, X, NUMBERS, "mse", epochs=10_000_000, each=each, n_threads=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert taken == [16] * IS_WIDE
    steps = {int(net._trainer.state.memories.items()[0][1]["step"][0]) for net in together[: 16 if IS_WIDE else 1]}
    assert len(steps) == 1
    done = steps.pop()
    for net, same, own in zip(together[: 16 if IS_WIDE else 1], alone, each, strict=False):
        assert net.history.ended == f"stopped: after {len(net.history):,} epochs, with the fits beside it"
        assert 0 <= done - 5 * len(net.history) <= 5  # of 5 batches each
        assert net.history.loss == same.fit(X, NUMBERS, "mse", epochs=len(net.history), **own).loss
        if done == 5 * len(net.history):
            assert net.params.tobytes() == same.params.tobytes()


def test_an_interrupt_while_one_is_trained_alone_leaves_the_others_as_they_have_ended(taken, monkeypatch):
    made = nets(9, *layers_of("relu", 2))
    for net in made:
        net.build(3)
    for i in (2, 5):
        made[i].layers[0].w[0, 0] = 1e30  # they are trained alone, from the last one on

    def interrupted(self, team):
        raise KeyboardInterrupt

    monkeypatch.setattr(lanes.Fit, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_many(made, X, NUMBERS, "mse", SGD(0.01), 20, n_threads=1)
    if IS_WIDE:
        ends = ["after 20 epochs, as asked"] * 9
        ends[5], ends[2] = "interrupted: after 0 epochs", "stopped: after 0 epochs, with the fits beside it"
        assert [net.history.ended for net in made] == ends
        assert [len(net.history) for net in made] == [20, 20, 0, 20, 20, 0, 20, 20, 20]
    assert taken == [9, 7] * IS_WIDE


def test_a_net_that_another_thread_trains_is_refused_and_the_others_are_trained(taken):
    together, alone = nets(7, *layers_of("relu", 2)), nets(7, *layers_of("relu", 2))
    began, end = threading.Event(), threading.Event()

    def wait(net, epoch, logs):
        began.set()
        return end.wait(30)

    thread = threading.Thread(target=lambda: together[3].fit(X, NUMBERS, epochs=5, callbacks=[wait]))
    thread.start()
    assert began.wait(30)
    try:
        with pytest.raises(RuntimeError, match=r"models\[3\]: the model is being trained by another thread"):
            fit_many(together, X, NUMBERS, "mse", "adam", 20, n_threads=1)
    finally:
        end.set()
        thread.join()
    for i, (net, same) in enumerate(zip(together, alone, strict=True)):
        if i != 3:
            assert net.history.loss == same.fit(X, NUMBERS, "mse", "adam", 20).loss
            assert net.params.tobytes() == same.params.tobytes()
    assert taken == [6] * IS_WIDE


def test_nets_are_freed_without_the_collector(taken):
    made = nets(8, *layers_of("relu", 2))
    made[3].build(3)
    made[3].layers[0].w[0, 0] = 1e30
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(FloatingPointError):
            fit_many(made, X, NUMBERS, "mse", SGD(0.01), 20, n_threads=1)
        left = [*map(ref, made), *(ref(net._trainer) for net in made)]
        del made
        assert [one() for one in left] == [None] * 16
    finally:
        gc.enable()
    assert taken == [8, 7] * IS_WIDE


# -- kernels ----------------------------------------------------------------------------------------------------------


def of_net(array, net):
    return None if array is None else np.ascontiguousarray(array[..., net])


@pytest.mark.skipif(not IS_WIDE, reason="builds without AVX2 do not train so, and need not have these bits")
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5, 31, 63, 257, 1024])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 4), (2, 8), (8, 1), (3, 3), (4, 7), (7, 2), (5, 5), (8, 8), (32, 8)])
def test_kernels_of_lanes_have_the_bits_of_those_of_one_net(n_in, n_out, rows, relu):
    k, rng = kernels.float32, np.random.default_rng((n_in, n_out, rows))

    def draw(*shape):
        return rng.normal(size=(*shape, 16)).astype(np.float32)

    def unset(*shape):
        return np.full((*shape, 16), np.nan, np.float32)

    x, w, b, t = draw(rows, n_in), draw(n_in, n_out), draw(n_out), draw(rows, n_out)
    labels = rng.integers(0, n_out, (rows, 16))
    y, dy, each, dx, dw, db = (unset(*s) for s in [(rows, n_out)] * 3 + [(rows, n_in), (n_in, n_out), (n_out,)])
    of_labels, slopes, value, of_numbers = unset(rows, n_out), draw(rows, n_out), np.zeros(16), np.zeros(16)
    x[:, ::2] *= rng.integers(-1, 2, x[:, ::2].shape)  # zeros of both signs
    k.lanes_dense_forward(x, w, b, y, relu)
    k.lanes_dense_backward(x, w, slopes, dx, dw, db, relu)
    k.lanes_cross_entropy(y, labels.astype(np.float32), of_labels, value)
    flat = [array.reshape(rows, 16 * n_out) for array in (y, t, dy, each)]
    k.mse(*flat[:2], None, flat[2], np.zeros(1), each=flat[3], total=True)
    k.lanes_mean(each.reshape(-1, 16), of_numbers)
    for net in range(16):
        got = [of_net(array, net) for array in (y, dx, dw, db, of_labels, dy)]
        found = [np.full_like(array, np.nan) for array in got]
        one, mean = np.zeros(1), np.zeros(1)
        name = "relu" if relu else None
        k.dense_forward(of_net(x, net), of_net(w, net), of_net(b, net), found[0], name)
        k.dense_backward(of_net(x, net), of_net(w, net), of_net(slopes, net), *found[1:4], name)
        k.cross_entropy_labels_from_logits(found[0], of_net(labels, net), None, found[4], one)
        k.mse(found[0], of_net(t, net), None, found[5], mean)
        if rows:
            k.scale(got[5].reshape(-1), 1 / (rows * n_out))
        for array, expected in zip(got, found, strict=True):
            assert array.tobytes() == expected.tobytes()
        assert [value[net], of_numbers[net]] == [one[0], mean[0]]


def test_a_label_that_is_none_makes_the_loss_nan():
    y, value = np.zeros((2, 3, 16), np.float32), np.zeros(16)
    t = np.zeros((2, 16), np.float32)
    t[1, 4], t[0, 5], t[0, 6] = 3, -1, 0.5
    kernels.float32.lanes_cross_entropy(y, t, np.zeros_like(y), value)
    assert np.isnan(value).nonzero()[0].tolist() == [4, 5, 6]


def test_wrong_arguments_of_kernels_and_epochs_of_several_nets():
    k, zeros = kernels.float32, np.zeros
    long = zeros((1, 1025, 16), np.float32)
    with pytest.raises(ValueError, match="lanes_dense_forward: each sum has 1025 terms, expected up to 1024"):
        k.lanes_dense_forward(long, zeros((1025, 1, 16), np.float32), None, zeros((1, 1, 16), np.float32))
    x, w = long.reshape(1025, 1, 16), zeros((1, 1, 16), np.float32)
    with pytest.raises(ValueError, match="lanes_dense_backward: each sum has 1025 terms, expected up to 1024"):
        k.lanes_dense_backward(x, w, x, None, w.copy(), None)
    memory, cursor, y = zeros(80, np.int64), zeros(1, np.int64), zeros((4, 1, 16), np.float32)
    index = memory[:64].reshape(16, 4)  # behind which there are possible numbers, too
    with pytest.raises(ValueError, match="lanes_gather: x has no rows of any net"):
        k.lanes_gather(zeros((0, 3, 1), np.float32), index, cursor, y)
    index[15, 3] = 3
    with pytest.raises(ValueError, match=r"lanes_gather: index\[3\] is 3, expected that of one of 3 rows of x"):
        k.lanes_gather(zeros((1, 3, 1), np.float32), index, cursor, y)
    index[15, 3], tape = 2, Tape()
    k.lanes_gather(zeros((1, 3, 1), np.float32), index, cursor, y, tape)
    index[7, 1] = -1
    with pytest.raises(IndexError):
        tape.replay()
    index[7, 1], cursor[0] = 0, 1
    with pytest.raises(IndexError):
        tape.replay()
    cursor[0] = 0
    arguments = [Tape(), Tape(), None, None, np.arange(6), cursor, zeros(2), 3, True, 0, 0, zeros(4)]
    seeds = np.arange(2)
    assert run_epochs(*arguments, seeds=seeds) is None
    assert arguments[4].reshape(2, 3).sum(axis=1).tolist() == [3, 3]  # an order of each
    for place, wrong, message in (
        (4, np.arange(5), "expected orders, losses and seeds of 2 nets"),
        (11, zeros(3), "expected orders, losses and seeds of 2 nets"),
        (6, zeros(3), "3 nets|2 seeds, expected 3"),
        (6, zeros(0), "expected rows, a batch size"),
    ):
        with pytest.raises(ValueError, match=message):
            run_epochs(*arguments[:place], wrong, *arguments[place + 1 :], seeds=seeds)
    with pytest.raises(ValueError, match="expected orders, losses and seeds of 2 nets"):
        run_epochs(*arguments)

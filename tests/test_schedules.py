"""Schedules: their numbers, what they are composed of, the numbers that follow them, and where they stand."""

import copy
import gc
import pickle
from weakref import ref

import numpy as np
import pytest
from nets import FEATURES, OUTPUTS, data, same_bits
from schedules_of_others import ROWS, STEPS, by_others, recorded

import fastnn
from fastnn import (
    CELU,
    MSE,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Constant,
    Cosine,
    CosineRestarts,
    CosineWarmup,
    Coslog,
    Dense,
    Dropout,
    EarlyStopping,
    ExponentialDecay,
    FlatThenDecay,
    Function,
    Group,
    Huber,
    InverseScaling,
    InverseSquareRoot,
    LambdaCallback,
    LeakyReLU,
    LinearWarmup,
    Model,
    MultiStepDecay,
    OneCycle,
    Optimizer,
    PolynomialDecay,
    ReduceOnPlateau,
    RMSprop,
    StepDecay,
    fit_many,
    schedules,
)
from fastnn.optimizers import ClipNorm
from fastnn.schedules import Linear, Product, Schedule, Sequence
from fastnn.training import epochs as epochs_of_fit
from fastnn.training import moving as moving_of_training

X, T = data()  # 21 rows
BATCH = 5  # five steps an epoch
T_STEPS = np.arange(STEPS)


def net_of(*layers, seed=0, dtype="float64"):
    return Model([Dense(5, "tanh"), *layers, Dense(OUTPUTS)], seed=seed, dtype=dtype)


# The numbers


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_numbers_are_those_of_others(row):
    expected = recorded()[row.name]
    assert len(expected) == STEPS >= 60
    found = row.schedule(T_STEPS)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert [row.schedule(t) for t in range(STEPS)] == found.tolist()
    assert row.schedule(T_STEPS.reshape(7, 10)).shape == (7, 10)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_recorded_is_what_others_compute(row):
    pytest.importorskip("torch")
    np.testing.assert_allclose(by_others(row), recorded()[row.name], rtol=1e-12)


def test_numbers_are_those_of_their_papers():
    """Where PyTorch has none: the formulas as they are written there."""
    t, part = T_STEPS, T_STEPS / STEPS
    warmup, d_model = 20, 512
    vaswani = d_model**-0.5 * np.minimum((t + 1) ** -0.5, (t + 1) * warmup**-1.5)
    flat_cos = 0.5 * (1 + np.cos(np.pi * (np.maximum(1, 2 * part) - 1)))
    for schedule, expected in (
        (InverseScaling(), 1 / (t + 1) ** 0.5),
        (InverseScaling(1, steps=10 / 0.3), 1 / (1 + 0.3 * t / 10)),
        (InverseSquareRoot(steps=warmup), vaswani / (d_model * warmup) ** -0.5),
        (Coslog(steps=STEPS), 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * part)))),
        (FlatThenDecay(0.5, steps=STEPS), flat_cos),
        (FlatThenDecay(0.5, 0.2, "linear", steps=STEPS), np.minimum(1, 1 - 0.8 * (2 * part - 1))),
        (CosineWarmup(0.1, steps=STEPS), 1 - 0.9 * 0.5 * (1 + np.cos(np.pi * part))),
        (PolynomialDecay(2, 0.9, 0.1, steps=STEPS), 0.8 * (1 - part) ** 2 + 0.1),
        (CosineRestarts(decay=0.5, steps=10), 0.5 ** (t // 10) * (1 + np.cos(np.pi * (t % 10) / 10)) / 2),
    ):
        np.testing.assert_allclose(schedule(t), expected, rtol=1e-12, atol=1e-14, err_msg=repr(schedule))


def test_what_ends_stays_at_its_end():
    for schedule, end in (
        (Cosine(end=0.25, steps=10), 0.25),
        (Linear(0, 0.5, steps=10), 0.5),
        (LinearWarmup(steps=10), 1.0),
        (OneCycle(1.0, steps=10), 1 / 25 / 1e4),
        (Coslog(steps=10), 0.0),
        (Cosine(steps=5) >> Constant(3.0, steps=5), 3.0),
    ):
        np.testing.assert_allclose(schedule([10, 11, 10**9]), end, atol=1e-12)
        assert schedule.length == ("steps", 10)


def test_products_and_sequences():
    a, b = LinearWarmup(0, steps=4), Cosine(steps=8)
    t = np.arange(20)
    np.testing.assert_array_equal((a * b)(t), a(t) * b(t))
    for tenth in (0.1, np.float64(0.1)):
        np.testing.assert_array_equal((tenth * b)(t), 0.1 * b(t))
        np.testing.assert_array_equal((b * tenth)(t), b(t) * 0.1)
    both = a >> b >> 0.5
    np.testing.assert_array_equal(both(t), np.concatenate([a(t[:4]), b(t[:8]), np.full(8, 0.5)]))
    assert (a >> b).length == ("steps", 12)
    assert (2 * a * b).length == ("steps", 8)
    assert (a * Cosine()).length is None
    np.testing.assert_array_equal((a >> (b >> 0.5))(t), both(t))
    by_epoch = LinearWarmup(0, epochs=2) >> Cosine()  # of the steps that are left
    np.testing.assert_allclose(by_epoch(np.arange(9), total=8, steps_per_epoch=2)[:3], [0, 0, 0.5])
    np.testing.assert_allclose(by_epoch(np.arange(4, 9), total=8, steps_per_epoch=2), Cosine(steps=4)(np.arange(5)))
    after_steps = Constant(1, steps=3) >> StepDecay(0.5, epochs=1)
    np.testing.assert_allclose(after_steps(np.arange(8), steps_per_epoch=2), [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25])


EXPRESSIONS = [
    *(row.schedule for row in ROWS if "function" not in row.name),
    0.1 * (LinearWarmup(steps=5) >> Cosine()),
    LinearWarmup(epochs=5) >> 0.5 * Cosine(),
    MultiStepDecay(0.5, epochs=[3, 4]),
    0.01 * ReduceOnPlateau(0.5, patience=3, monitor="accuracy", mode="max"),
    FlatThenDecay(shape="linear"),
    InverseScaling(steps=2.5),
]


@pytest.mark.parametrize("schedule", EXPRESSIONS, ids=repr)
def test_a_schedule_reads_as_what_makes_it(schedule):
    names = {**vars(schedules), "__builtins__": {}}
    made = eval(repr(schedule), names)
    copies = [made, copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))]
    for other in copies:
        assert repr(other) == repr(schedule)
        values = [each(T_STEPS, total=100, steps_per_epoch=3) for each in (schedule, other)]
        assert same_bits(*values)
    with pytest.raises(AttributeError, match=r"cannot be set, schedules do not change: make another one"):
        schedule.end = 0.5


def test_every_schedule_is_tested_exported_and_has_a_name():
    tried = {type(part) for schedule in EXPRESSIONS for part in schedule.walk()}
    tried |= {Coslog, Cosine, CosineWarmup, InverseSquareRoot, Function, CosineRestarts, PolynomialDecay}
    classes = {getattr(schedules, name) for name in schedules.__all__ if name != "get"}
    assert classes - tried == {Schedule}
    inside = {Schedule, Product, Sequence, Linear, schedules.CycledMomentum}  # Linear is an activation, too
    assert {kind for kind in classes if getattr(fastnn, kind.__name__, None) is not kind} == inside
    assert {*schedules._BY_NAME.values()} == classes - {Schedule, Product, Sequence, schedules.CycledMomentum}
    for name, kind in (
        ("cosine", Cosine),
        ("ExponentialDecay", ExponentialDecay),
        ("StepLR", StepDecay),
        ("MultiStepLR", MultiStepDecay),
        ("CosineAnnealingLR", Cosine),
        ("CosineAnnealingWarmRestarts", CosineRestarts),
        ("CosineDecayRestarts", CosineRestarts),
        ("PolynomialDecay", PolynomialDecay),
        ("OneCycleLR", OneCycle),
        ("ReduceLROnPlateau", ReduceOnPlateau),
        ("invscaling", InverseScaling),
    ):
        assert schedules.get(name) is kind
    with pytest.raises(ValueError, match=r"unknown schedule 'cosin': did you mean .*cosine"):
        schedules.get("cosin")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Cosine(steps=0), ValueError, "Cosine: steps is 0, expected a whole number >= 1"),
        (lambda: Cosine(steps=2, epochs=3), ValueError, "Cosine: steps is 2 and epochs 3, expected one of the two"),
        (lambda: Cosine(end=-1), ValueError, "Cosine: end is -1, expected a finite number >= 0"),
        (lambda: Cosine(start=np.nan), ValueError, "Cosine: start is nan, expected a finite number"),
        (lambda: Cosine(T_max=3), TypeError, "Cosine has no T_max: it is called steps here"),
        (StepDecay, ValueError, "StepDecay: it needs a period, as steps=100 or epochs=10"),
        (LinearWarmup, ValueError, "LinearWarmup: it needs a length"),
        (MultiStepDecay, ValueError, "MultiStepDecay: it needs milestones, as steps="),
        (lambda: MultiStepDecay(steps=3), TypeError, "MultiStepDecay: steps is 3, expected a list of milestones"),
        (lambda: MultiStepDecay(steps=[5, 3]), ValueError, r"steps is \[5, 3\], expected milestones in order"),
        (lambda: MultiStepDecay(steps=[0.5]), TypeError, r"MultiStepDecay: steps\[0\] is 0.5, expected a whole number"),
        (lambda: ExponentialDecay(0), ValueError, "ExponentialDecay: gamma is 0, expected a finite number > 0"),
        (lambda: FlatThenDecay(1), ValueError, "FlatThenDecay: flat is 1, expected a finite number >= 0 and < 1"),
        (lambda: FlatThenDecay(shape="cubic"), ValueError, "FlatThenDecay: shape is 'cubic'"),
        (lambda: OneCycle(0.1, pct_start=2), ValueError, "OneCycle: pct_start is 2, expected a number from 0 to 1"),
        (lambda: OneCycle(0.1).of(fastnn.Adagrad()), TypeError, "OneCycle.of: Adagrad.* has no momentum or beta1"),
        (lambda: ReduceOnPlateau(2), ValueError, "ReduceOnPlateau: factor is 2, expected .* < 1"),
        (lambda: ReduceOnPlateau(mode="best"), ValueError, "ReduceOnPlateau: mode is 'best'"),
        (lambda: Function(3), TypeError, "Function: function is 3, expected a function of one number"),
        (lambda: Function(lambda a, b: a), TypeError, "expected a function of one number"),
        (lambda: Function(lambda t: 1, per="batch"), ValueError, "Function: per is 'batch'"),
        (lambda: Cosine() >> 0.1, ValueError, r"Cosine\(\) >> Constant\(0.1\): the first has no end: say how long"),
        (lambda: 0.1 >> Cosine(), TypeError, r"0.1 >> Cosine\(\): the first has no end: .*Constant\(0.1, steps=100\)"),
        (lambda: Cosine() * "a", TypeError, "unsupported operand|can't multiply"),
        (lambda: Cosine()(3), ValueError, r"Cosine\(\) spans a whole fit, and this is none: say .* total=1000"),
        (lambda: Cosine(steps=3)("a"), TypeError, "Cosine: t is 'a', expected numbers >= 0 of finished steps"),
        (lambda: Cosine(steps=3)([[1], [1, 2]]), TypeError, "Cosine: t is .*, expected numbers >= 0 of finished steps"),
        (lambda: CosineRestarts(2, steps=3)([1, np.inf]), ValueError, "CosineRestarts: t is .*, expected numbers >= 0"),
        (lambda: Cosine(steps=3)(-1), ValueError, "Cosine: t is .*, expected numbers >= 0 of finished steps"),
        (lambda: SGD(Cosine), TypeError, "SGD: lr is <class .*Cosine'>, expected a number"),
        (lambda: SGD(Dense(3)), TypeError, "SGD: lr is Dense.*, expected a number"),
        (lambda: SGD(momentum=Linear(0.5, 1.0)), ValueError, r"SGD: momentum of .* in step 1024 is 1.0, .*< 1"),
        (lambda: SGD(momentum=Linear(1.0, epochs=5)), ValueError, r"SGD: momentum of .* in epoch 0 is 1.0, expected"),
        (lambda: SGD(lambda step: -1), ValueError, r"SGD: lr of Function\(.*\) in step 0 is -1.0, expected .*>= 0"),
        (lambda: SGD(lambda step: "a"), TypeError, r"Function\(.*\) returned 'a' for 0, expected a number"),
        (lambda: SGD(StepDecay(1e308, steps=10)), ValueError, "SGD: lr of StepDecay.* in step 20 is inf, expected"),
        (lambda: SGD(OneCycle(1, div_factor=1e-320)), ValueError, "SGD: lr of OneCycle.* in step 0 is .*, expected a"),
        (lambda: fastnn.HardTanh(Linear(0, 3, steps=6)), ValueError, r"min_val of .* in step 2 is 1\.0, .*< 1"),
        (lambda: fastnn.HardTanh(0.5, Linear(0.4, steps=9)), ValueError, r"max_val of .* in step 0 is 0\.4, .*> 0\.5"),
        (lambda: EarlyStopping(min_delta=Cosine()), TypeError, r"EarlyStopping: min_delta is Cosine\(\), expected a"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# The numbers that follow them


# Every kind of number: where it stands, the layers, loss and optimizer, its name, a schedule of 12 steps
FALL = Linear(0.4, 0.1, steps=12)
NUMBERS = {
    "lr": ("optimizer", [], MSE, SGD, "lr", FALL),
    "lr of adam": ("optimizer", [], MSE, Adam, "lr", 0.1 * FALL),
    "momentum": ("optimizer", [], MSE, lambda: SGD(0.01, momentum=0.9), "momentum", FALL),
    "momentum from 0": ("optimizer", [], MSE, lambda: SGD(0.01), "momentum", Linear(0, 0.9, steps=12)),
    "momentum to 0": ("optimizer", [], MSE, lambda: SGD(0.01, 0.9), "momentum", Linear(0.9, 0, steps=6)),
    "momentum of rmsprop from 0": ("optimizer", [], MSE, RMSprop, "momentum", Linear(0, 0.9, steps=12)),
    "beta1": ("optimizer", [], MSE, lambda: Adam(0.01), "beta1", FALL),
    "weight_decay from 0": ("optimizer", [], MSE, lambda: SGD(0.1), "weight_decay", Linear(0, 0.4, steps=12)),
    "weight_decay": ("optimizer", [], MSE, lambda: AdamW(0.01), "weight_decay", FALL),
    "rate": ("layer", [Dropout], MSE, lambda: SGD(0.1), "rate", FALL),
    "slope": ("layer", [LeakyReLU], MSE, lambda: SGD(0.1), "negative_slope", FALL),
    "bound": ("layer", [fastnn.HardTanh], MSE, lambda: SGD(0.1), "max_val", FALL),
    "threshold": ("layer", [lambda: fastnn.Softplus(threshold=1.0)], MSE, lambda: SGD(0.1), "threshold", FALL),
    "alpha": ("layer", [CELU], MSE, lambda: SGD(0.1), "alpha", FALL),
    "eps": ("layer", [BatchNorm], MSE, lambda: SGD(0.1), "eps", FALL),
    "stddev": ("layer", [lambda: fastnn.GaussianNoise(0.1)], MSE, lambda: SGD(0.1), "stddev", FALL),
    "delta": ("loss", [], Huber, lambda: SGD(0.1), "delta", FALL),
    "lr_factor": ("group", [], MSE, lambda: SGD(0.1, groups=[Group("0.w")]), "lr_factor", FALL),
    "decay of a group": ("group", [], MSE, lambda: SGD(0.1, groups=[Group("0.w", 1, 0.1)]), "weight_decay", FALL),
    "first decay of a group": ("group", [], MSE, lambda: SGD(0.1, groups=[Group("0.w")]), "weight_decay", FALL),
    "limit": ("transform", [], MSE, lambda: SGD(0.5, transforms=[ClipNorm(1)]), "limit", 0.5 * FALL),
    "clip_norm": ("optimizer", [], MSE, lambda: SGD(0.5), "clip_norm", 0.5 * FALL),
}  # fmt: skip
PLACES = {
    "optimizer": lambda net: net.optimizer,
    "layer": lambda net: net.layers[1],
    "loss": lambda net: net.loss,
    "group": lambda net: net.optimizer.groups[0],
    "transform": lambda net: net.optimizer.transforms[0],
}


def made(name):
    """Return a net that has not been trained, with its loss and optimizer, and the part that has the number."""
    place, layers, loss, optimizer, *_ = NUMBERS[name]
    net = net_of(*(kind() for kind in layers))
    net.loss, net.optimizer = loss(), optimizer()
    return net, PLACES[place](net)


def stepped(net, method, steps, n_threads=1):
    """Take so many steps over all rows."""
    for _ in range(steps if method != "fit" else 1):
        if method == "fit":
            net.fit(X, T, epochs=steps, batch_size=None, shuffle=False, n_threads=n_threads)
        elif method == "train_batch":
            net.train_batch(X, T)
        else:
            net.backward(net.loss.value_and_grad(net.forward(X), T)[1])
            net.step()
    return net


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_follows_a_schedule_to_the_bit(name):
    """As if it had been set before each step; recorded, on two threads, and in steps by hand."""
    *_, number, schedule = NUMBERS[name]
    place = NUMBERS[name][0]
    expected, part = made(name)
    for step in range(15):
        setattr(part, number, schedule(step))
        stepped(expected, "train_batch", 1)
    constant, part = made(name)
    setattr(part, number, schedule(0))
    stepped(constant, "train_batch", 15)
    assert not same_bits(constant.params, expected.params)
    for method, n_threads in (("train_batch", 1), ("fit", 1), ("fit", 2), ("by hand", 1)):
        if method == "by hand" and place == "loss":  # it is the user who calls it
            continue
        net, part = made(name)
        setattr(part, number, schedule)
        assert getattr(part, number) == schedule(0)
        stepped(net, method, 15, n_threads)
        assert same_bits(net.params, expected.params), method
        assert getattr(part, number) == schedule(15)
        assert repr(schedule) in repr(part)
        setattr(part, number, 0.2)
        assert getattr(part, number) == 0.2
        assert repr(schedule) not in repr(part)
        before = net.params.copy()
        stepped(net, method if method != "by hand" else "train_batch", 1)
        assert getattr(PLACES[place](net), number) == 0.2
        assert not same_bits(net.params, before)


@pytest.mark.parametrize(
    ("part", "number"),
    [(fastnn.Softplus(threshold=1.0), "threshold"), (fastnn.BinaryFocal(), "alpha"), (SGD(clip_norm=1), "clip_norm")],
)
def test_a_number_that_becomes_none_leaves_its_schedule(part, number):
    setattr(part, number, FALL)
    setattr(part, number, None)
    assert getattr(part, number) is None
    assert repr(FALL) not in repr(part)
    part = pickle.loads(pickle.dumps(part))
    assert getattr(part, number) is None
    assert not part.__dict__.get("_moving")


def test_the_decay_of_an_average_follows_a_schedule():
    schedule, nets, rules = Linear(0, 0.9, steps=10), [net_of(), net_of()], [SGD(0.1), SGD(0.1)]
    for rule in rules:
        rule.average = fastnn.EMA(0.5)
    rules[0].average.decay = schedule
    for step in range(12):
        rules[1].average.decay = schedule(step)
        for net, rule in zip(nets, rules, strict=True):
            net.train_batch(X, T, loss="mse", optimizer=rule)
    assert same_bits(nets[0].predict(X), nets[1].predict(X))
    assert same_bits(nets[0].params, nets[1].params)
    assert "average=EMA(decay=Linear(start=0.0, end=0.9, steps=10))" in repr(rules[0])


def test_a_recording_refuses_a_step_whose_number_nobody_knows():
    """Before anything is computed with an old one; behind a step, the number stays."""
    k, place, first, table, number = fastnn.kernels.float64, np.zeros(1), np.zeros(1), np.ones(3), np.full(1, 0.5)
    table[2] = np.nan
    for step, is_known in ((0, True), (1, True), (2, False), (3, False), (-1, False)):
        place[0], number[0] = step, 0.5
        if is_known:
            k.follow_schedule(place, first, table, number)
            assert number[0] == 1
            continue
        with pytest.raises(IndexError, match=r"follow_schedule: table has no number for step\[0\] - first"):
            k.follow_schedule(place, first, table, number)
        place[0] -= 1
        k.follow_schedule(place, first, table, number, True)
        assert (place[0], number[0]) == (step, 0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_epoch_at_a_time_and_all_at_once(dtype):
    """Schedules of steps, of epochs and of the fit; of several batches, and with a smaller last one."""
    schedule = 0.3 * (LinearWarmup(steps=7) >> Cosine()) * StepDecay(0.9, epochs=2)
    nets = [net_of(Dropout(Linear(0, 0.5, epochs=6)), dtype=dtype) for _ in range(3)]
    rates = []
    log = lambda model, epoch, logs: rates.append((model.optimizer.lr, model.layers[1].rate))  # noqa: E731
    nets[0].fit(X, T, "mse", SGD(schedule), epochs=8, batch_size=BATCH)
    nets[1].fit(X, T, "mse", SGD(schedule), epochs=8, batch_size=BATCH, callbacks=[log], n_threads=2)
    nets[2].fit(X, T, "mse", SGD(schedule), epochs=8, batch_size=BATCH, validation_data=(X, T))
    assert same_bits(nets[0].params, nets[1].params)
    assert same_bits(nets[0].params, nets[2].params)
    ends = 5 * np.arange(1, 9)
    np.testing.assert_array_equal([lr for lr, _ in rates], schedule(ends, total=40, steps_per_epoch=5))
    np.testing.assert_allclose([rate for _, rate in rates], np.minimum(ends / 5, 6) / 12)


def test_steps_are_those_of_the_optimizer():
    """Of several batches each, also where an epoch ends between them."""
    seen, seen_epochs = [], []

    class Watched(SGD):
        def update(self, params, grads):
            seen.append(self.lr)
            seen_epochs.append(self.weight_decay)
            super().update(params, grads)

    counted, by_epoch = Function(lambda step: step + 1), Function(lambda epoch: epoch / 100, per="epochs")
    net = net_of()
    net.fit(X, T, "mse", Watched(1e-6 * counted, weight_decay=by_epoch, accumulate=2), epochs=3, batch_size=BATCH)
    np.testing.assert_allclose(seen, 1e-6 * np.arange(1, 8))
    np.testing.assert_allclose(seen_epochs, [0, 0, 0.01, 0.01, 0.01, 0.02, 0.02])  # batches 1, 3, 5, 7, 9, 11, 13 of 15
    net.fit(X, T, epochs=1, batch_size=BATCH)  # one batch is left over
    np.testing.assert_allclose(seen[7:], 1e-6 * np.arange(8, 11))


@pytest.mark.parametrize("freezes_at", [0, 1, 2])
def test_steps_go_on_where_nothing_is_trained_any_more(freezes_at):
    """Then nothing is accumulated, and each batch is a step."""

    def freeze(model, epoch):
        for layer in model.layers:
            layer.trainable = epoch < freezes_at

    net, optimizer = net_of(), Adam(0.01 * Cosine(), accumulate=3)
    net.fit(X, T, "mse", optimizer, epochs=4, batch_size=BATCH, callbacks=[LambdaCallback(begin_epoch=freeze)])
    ((_, standing),) = net._trainer.state.standings.items()
    assert standing["place"][0] == 5 * freezes_at // 3 + 5 * (4 - freezes_at)


def test_four_hundred_epochs_run_in_one_call(monkeypatch):
    calls, run = [], epochs_of_fit.EpochPlan.run
    monkeypatch.setattr(
        epochs_of_fit.EpochPlan,
        "run",
        lambda self, *arguments, **more: calls.append(len(arguments[3])) or run(self, *arguments, **more),
    )
    net, asked = net_of(Dropout(0.5 * Linear(0, 1))), []
    net.fit(X, T, "mse", Adam(0.01 * Function(lambda step: asked.append(step) or 1.0)), epochs=400, batch_size=BATCH)
    assert calls == [400]
    assert asked[-2001:] == [*range(2001)]


def test_a_fit_of_more_steps_than_there_is_room_for(monkeypatch):
    """Comes back between epochs; an epoch of more steps has a larger table."""
    monkeypatch.setattr(moving_of_training, "ROOM", 8)
    nets = [net_of() for _ in range(3)]
    schedule = 0.2 * Cosine() * StepDecay(0.8, epochs=2)
    nets[0].fit(X, T, "mse", SGD(schedule), epochs=7, batch_size=2)
    monkeypatch.setattr("fastnn.training.fitting.MOST_ROOM", 25)
    nets[1].fit(X, T, "mse", SGD(schedule), epochs=7, batch_size=2)
    monkeypatch.setattr("fastnn.training.fitting.MOST_ROOM", 3)
    nets[2].fit(X, T, "mse", SGD(schedule), epochs=7, batch_size=2)
    assert same_bits(nets[0].params, nets[1].params)
    assert same_bits(nets[0].params, nets[2].params)
    rates = []
    for _ in range(20):  # steps one by one refill their tables
        nets[0].train_batch(
            X, T, optimizer=nets[0].optimizer if rates else SGD(Function(lambda step: 0.01 / (1 + step)))
        )
        rates.append(nets[0].optimizer.lr)
    np.testing.assert_allclose(rates, 0.01 / np.arange(2, 22))


def test_one_cycle_sets_rate_and_momentum():
    net = net_of()
    optimizer = OneCycle(0.3).of(SGD(momentum=0.9))
    assert repr(optimizer) == "SGD(lr=OneCycle(0.3), momentum=OneCycle(0.3).momentum)"
    seen = []
    log = lambda model, epoch, logs: seen.append((model.optimizer.lr, model.optimizer.momentum))  # noqa: E731
    net.fit(X, T, "mse", optimizer, epochs=14, batch_size=BATCH, callbacks=[log])
    cycle, ends = OneCycle(0.3, steps=70), np.arange(5, 71, 5)
    np.testing.assert_array_equal(seen, np.transpose([cycle(ends), cycle.momentum(ends)]))
    adam = OneCycle(0.3, steps=10).of(Adam())
    assert adam.beta1 == 0.95


class Own(Optimizer):
    """A rule in NumPy, which sees the numbers of its group."""

    def update(self, params, grads):
        params -= self.lr * grads


def test_a_rule_in_numpy_sees_what_a_schedule_gives():
    nets = [net_of() for _ in range(2)]
    for net, rule in zip(nets, (Own, SGD), strict=True):
        net.fit(X, T, "mse", rule(0.3 * Cosine(), groups=[Group("0.*", FALL)]), epochs=5, batch_size=BATCH)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-12)


def test_models_in_turn_have_each_its_own_place():
    """With one optimizer: the cell is that of whoever steps."""
    schedule, optimizer = 0.3 * ExponentialDecay(0.8), SGD()
    nets, alone = [net_of(seed=seed) for seed in range(2)], [net_of(seed=seed) for seed in range(2)]
    optimizer.lr = schedule
    for net, order in zip(nets, ([0, 1, 1, 0, 0, 1, 0], [1, 1, 0]), strict=True):
        del net
        for i in order:
            nets[i].train_batch(X, T, loss="mse", optimizer=optimizer)
    for i, net in enumerate(alone):
        own = SGD(schedule)
        for _ in range([5, 5][i]):
            net.train_batch(X, T, loss="mse", optimizer=own)
        assert same_bits(net.params, nets[i].params)


def test_nets_side_by_side_have_each_its_own_place():
    optimizer, loss = SGD(0.3 * Cosine()), Huber(Linear(2, 0.5))
    nets = [net_of(seed=seed) for seed in range(4)]
    fit_many(nets, X, T, loss, optimizer, epochs=6, batch_size=BATCH, n_threads=4)
    assert all(net.optimizer is not optimizer for net in nets)
    for seed, net in enumerate(nets):
        alone = net_of(seed=seed)
        alone.fit(X, T, Huber(Linear(2, 0.5)), SGD(0.3 * Cosine()), epochs=6, batch_size=BATCH)
        assert same_bits(alone.params, net.params)
    fit_many(nets, X, T, epochs=1)
    plain = SGD(0.1)
    fit_many(nets, X, T, "mse", plain, epochs=1)
    assert all(net.optimizer is plain for net in nets)


# Where they stand


def test_what_has_a_length_goes_on_and_what_spans_a_fit_begins_anew():
    for schedule, last in (
        (ExponentialDecay(0.9), 0.9**30),
        (Cosine(steps=30), 0.0),
        (StepDecay(0.5, epochs=1), 0.5**6),
        (Cosine(), 0.0),
        (LinearWarmup(steps=5) >> Cosine(), 0.0),
    ):
        net, seen = net_of(), []
        log = lambda model, epoch, logs, seen=seen: seen.append(model.optimizer.lr)  # noqa: E731
        net.fit(X, T, "mse", SGD(schedule), epochs=4, batch_size=BATCH)
        net.fit(X, T, epochs=2, batch_size=BATCH, callbacks=[log])
        np.testing.assert_allclose(seen[-1], last, atol=1e-12, err_msg=repr(schedule))
        expected = schedule(5, total=10, steps_per_epoch=5) if schedule.spans_fit else schedule(25, steps_per_epoch=5)
        np.testing.assert_allclose(seen[0], expected)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "itself": lambda net: net,
}


@pytest.mark.parametrize("copied", COPIES)
def test_where_it_stands_is_part_of_the_state(copied):
    def make():
        net = net_of(Dropout(Linear(0.1, 0.5, steps=40)))
        optimizer = SGD(0.3 * ExponentialDecay(0.9) * ReduceOnPlateau(0.5, patience=0, threshold=10, monitor="loss"))
        net.fit(X, T, "mse", optimizer, epochs=3, batch_size=BATCH)
        return net

    net = make()
    rate = net.optimizer.lr
    assert rate < 0.3 * 0.9**15 * 0.6
    before = net.snapshot()
    other = COPIES[copied](net)
    assert (other.optimizer.lr, other.layers[1].rate) == (rate, net.layers[1].rate)
    expected = make().fit(X, T, epochs=2, batch_size=BATCH).loss
    assert other.fit(X, T, epochs=2, batch_size=BATCH).loss == expected
    net.fit(X, T, epochs=1, batch_size=BATCH)
    assert net.optimizer.lr != rate
    net.restore(before)
    assert net.optimizer.lr == rate
    for _ in range(3):
        net.train_batch(X, T)
    net.restore(before)
    if copied != "itself":  # its fits have shuffled otherwise
        net.train_batch(X, T)
        again = make()
        again.train_batch(X, T)
        assert same_bits(net.params, again.params)


@pytest.mark.parametrize("now", [0.5, StepDecay(0.5, steps=100)], ids=str)
def test_a_number_that_is_set_stays_where_the_model_is_put_back(now):
    """What it followed before is still in recordings: in those of another loss, which nobody has asked for again."""
    net = net_of(Dropout(Linear(0, 0.2, epochs=5)))
    net.fit(X, T, "mse", SGD(0.02 * ExponentialDecay(0.9, steps=3)), epochs=2, batch_size=BATCH)
    net.train_batch(X, T, loss="mae")
    dropout = net.layers[1]
    net.optimizer.lr, dropout.rate = now, 0.3
    net.train_batch(X, T)
    before, lr = net.snapshot(), net.optimizer.lr
    net.restore(before)
    assert (net.optimizer.lr, dropout.rate) == (lr, 0.3)
    net.fit(X, T, epochs=3, callbacks=[EarlyStopping(monitor="loss", patience=1)])  # puts it back, too
    assert (net.optimizer.lr, dropout.rate) == (lr, 0.3)


@pytest.mark.parametrize(
    "schedule", [StepDecay(0.5, epochs=1), Linear(1, 0.1, epochs=3), StepDecay(0.5, epochs=2)], ids=str
)
def test_epochs_count_where_nobody_knows_how_many_batches_come(schedule):
    """As they do over the same rows in arrays; a single step behind the fit is one of the next epoch."""

    def batches():
        return ((X[at : at + BATCH], T[at : at + BATCH]) for at in range(0, len(X), BATCH))

    nets, rates = [net_of(Dropout(0.3 * schedule)) for _ in range(2)], ([], [])
    for net, own, given in zip(nets, rates, ((X, T), (batches, None)), strict=True):
        options = {"batch_size": BATCH, "shuffle": False} if given[1] is not None else {}
        net.fit(
            *given, "mse", SGD(0.1 * schedule), epochs=4, **options,
            callbacks=[lambda net, *_, own=own: own.append((net.optimizer.lr, net.layers[1].rate))],
        )  # fmt: skip
        net.train_batch(X, T)
    assert rates[0] == rates[1]
    assert same_bits(nets[0].params, nets[1].params)


@pytest.mark.parametrize("schedule", [
    Cosine(), LinearWarmup(epochs=2) >> StepDecay(0.5, steps=5), LinearWarmup(steps=4) >> StepDecay(0.5, epochs=1),
], ids=str)  # fmt: skip
def test_what_needs_the_number_of_batches_is_refused_where_nobody_knows_it(schedule):
    net = net_of()
    net.fit(X, T, "mse", epochs=1)
    before, optimizer = net.params.copy(), net.optimizer
    with pytest.raises(ValueError, match=r"batches whose number nobody knows|a fit over known data alone"):
        net.fit(lambda: iter([(X, T)] * 3), optimizer=SGD(schedule), epochs=2)
    assert same_bits(net.params, before)
    assert net.optimizer is optimizer


def test_what_is_computed_ahead_follows_a_restored_state():
    """Also where the number of steps is one for which there are values: of other epochs, or behind another plateau."""
    net = net_of()
    rate = StepDecay(0.5, epochs=1) * ReduceOnPlateau(0.1, patience=0, threshold=10)
    net.train_batch(X, T, loss="mse", optimizer=SGD(rate))
    early = net.snapshot()
    net.fit(X, T, epochs=2, batch_size=BATCH)
    net.train_batch(X, T)
    late, lr = net.snapshot(), net.optimizer.lr
    assert lr == pytest.approx(0.25 * 0.01) or lr == pytest.approx(0.25 * 0.1)
    for state, expected in ((early, 1.0), (late, lr), (early, 1.0), (late, lr)):
        net.restore(state)
        assert net.optimizer.lr == expected
        for _ in range(2):
            before = net.params.copy()
            net.train_batch(X, T)
            np.testing.assert_allclose(net.params, before - expected * net.grads, rtol=1e-12)
            assert net.optimizer.lr == expected


def test_what_is_computed_ahead_follows_epochs_that_others_count():
    """A fit with weights is another recording than steps without, of the same numbers."""
    net = net_of()
    net.train_batch(X, T, loss="mse", optimizer=SGD(StepDecay(0.5, epochs=1)))
    net.fit(X, T, epochs=2, batch_size=None, sample_weight=np.ones(len(X)))
    assert net.optimizer.lr == 0.25
    net.train_batch(X, T)
    assert net.optimizer.lr == 0.25


def test_the_best_state_has_its_place():
    x, rates = data(rows=30, seed=5)[0], []
    net, optimizer = net_of(), Adam(0.02 * ExponentialDecay(0.99))
    target = net.build(FEATURES)
    target = copy.deepcopy(net)
    target.fit(X, T, "mse", Adam(0.02 * ExponentialDecay(0.99)), epochs=3, batch_size=BATCH)
    log = lambda model, epoch, logs: rates.append(model.optimizer.lr)  # noqa: E731
    net.fit(
        X, T, "mse", optimizer, epochs=9, batch_size=BATCH, validation_data=(x, target.predict(x)),
        callbacks=[log, EarlyStopping(100)],
    )  # fmt: skip
    assert len(rates) == 9
    assert optimizer.lr == rates[2] != rates[8]


def test_a_fit_that_diverges_leaves_it_where_it_was():
    net, optimizer = net_of(), SGD(ExponentialDecay(0.9))
    net.fit(X, T, "mse", optimizer, epochs=1, batch_size=BATCH)
    rate, params = optimizer.lr, net.params.copy()
    with pytest.raises(FloatingPointError):
        net.fit(X, T * 1e200, epochs=3, batch_size=BATCH)
    assert optimizer.lr == rate
    assert same_bits(net.params, params)


def test_bad_values_of_later_steps_are_told_before_a_fit_begins():
    net, optimizer = net_of(), SGD(Function(lambda step: 0.1 if step < 7 else -0.5))
    net.fit(X, T, "mse", optimizer, epochs=1, batch_size=BATCH)
    before, fits = net.params.copy(), net._trainer.state.fits[0]
    with pytest.raises(ValueError, match=r"SGD: lr of Function\(.*\) in step 7 is -0.5, expected a finite number >= 0"):
        net.fit(X, T, epochs=1, batch_size=BATCH)
    assert same_bits(net.params, before)
    assert net._trainer.state.fits[0] == fits
    rates = [0.1] * 8
    optimizer.lr = lambda step: rates[step]  # what is behind its end may never come
    for _ in range(8):
        net.train_batch(X, T)
    before = net.params.copy()
    with pytest.raises(IndexError, match="list index out of range"):
        net.train_batch(X, T)
    assert same_bits(net.params, before)


def test_a_fit_by_scipy_refuses_them():
    pytest.importorskip("scipy")
    net = net_of()
    with pytest.raises(
        TypeError, match=r"Huber: delta follows Linear\(.*\), while LBFGS\(\) needs a loss that depends"
    ):
        net.fit(X, T, Huber(Linear(2, 1)), fastnn.LBFGS())
    assert not net.built


def test_what_spans_a_fit_is_refused_by_single_steps():
    net = net_of()
    net.fit(X, T, "mse", SGD(0.1 * Cosine()), epochs=1)
    before = net.params.copy()
    message = r"SGD: lr is 0.1 \* Cosine\(\), which spans a whole fit: for single steps, and for .*, say how long"
    with pytest.raises(ValueError, match=message):
        net.train_batch(X, T)
    net.backward(net.forward(X) - T)
    with pytest.raises(ValueError, match=message):
        net.step()
    assert same_bits(net.params, before)
    net.optimizer.lr = StepDecay(0.5, epochs=1)  # of epochs, which single steps have not
    for _ in range(3):
        net.train_batch(X, T)
    assert net.optimizer.lr == 1.0


def test_a_schedule_that_a_callback_sets_begins_there():
    net, rates = net_of(), []

    def callback(model, epoch, logs):
        rates.append(model.optimizer.lr)
        if epoch == 2:
            model.optimizer.lr = 0.1 * Cosine()
        if epoch == 6:
            model.optimizer.lr = 0.01

    net.fit(X, T, "mse", SGD(0.05), epochs=9, batch_size=BATCH, callbacks=[callback])
    np.testing.assert_allclose(rates, [0.05] * 3 + (0.1 * Cosine(steps=30)([5, 10, 15, 20])).tolist() + [0.01] * 2)


def torch_plateau(values, **options):
    """PyTorch's ReduceLROnPlateau, as its source says, for a rate of 1."""
    factor, patience = options.get("factor", 0.1), options.get("patience", 10)
    cooldown, least = options.get("cooldown", 0), options.get("min", 0.0)
    mode, threshold = options.get("mode", "min"), options.get("threshold", 1e-4)
    best, bad, waiting, rate, found = np.inf if mode == "min" else -np.inf, 0, 0, 1.0, []
    for value in values:
        if options.get("threshold_mode", "rel") == "rel":
            is_better = value < best * (1 - threshold) if mode == "min" else value > best * (threshold + 1)
        else:
            is_better = value < best - threshold if mode == "min" else value > best + threshold
        best, bad = (value, 0) if is_better else (best, bad + 1)
        if waiting > 0:
            waiting, bad = waiting - 1, 0
        if bad > patience:
            rate, waiting, bad = max(rate * factor, least), cooldown, 0
        found.append(rate)
    return found


PLATEAUS = (
    {"patience": 2, "factor": 0.5},
    {"patience": 0, "factor": 0.3, "min": 0.05},
    {"patience": 1, "mode": "max", "threshold": 0.2},
    {"patience": 1, "threshold": 0.3, "threshold_mode": "abs", "cooldown": 3},
    {"patience": 1, "threshold": 0.3, "threshold_mode": "abs", "mode": "max"},
)


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_a_plateau_lowers_the_rate_as_pytorch_does(options):
    values = (2 + np.cos(np.arange(60) / 5) * 0.97 ** np.arange(60)).round(2)
    rates = []

    def log(model, epoch, logs):
        rates.append(model.optimizer.lr)
        logs["number"] = values[epoch]

    net = net_of()
    rate = 0.01 * ReduceOnPlateau(monitor="number", **options)
    net.fit(X, T, "mse", SGD(rate, momentum=0.1 * ReduceOnPlateau()), epochs=60, callbacks=[log])
    rates.append(net.optimizer.lr)
    expected = torch_plateau(values, **options)
    np.testing.assert_allclose(rates[1:], 0.01 * np.array(expected), rtol=1e-12)
    assert len(set(expected)) > 2
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    given = {{"min": "min_lr"}.get(name, name): value for name, value in options.items()}
    scheduler, found = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, eps=0, **given), []
    for value in values.tolist():
        scheduler.step(value)
        found.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_plateau_watches_what_is_logged():
    net = net_of()
    with pytest.raises(ValueError, match="ReduceOnPlateau: monitor is 'accuracy', expected one that is logged: loss"):
        net.fit(X, T, "mse", SGD(0.1 * ReduceOnPlateau(monitor="accuracy")), epochs=2)
    plateau = ReduceOnPlateau(0.5, patience=0, threshold=0.999)
    net.fit(X, T, "mse", SGD(0.1 * plateau), epochs=3)
    assert net.optimizer.lr == 0.025
    net.fit(X, T, "mse", SGD(0.1 * plateau), epochs=3, validation_data=(X, net.predict(X)))  # 0 at first: better
    assert net.optimizer.lr in (0.025, 0.05)


def test_what_follows_a_schedule_is_freed():
    net, optimizer = net_of(), SGD(0.1 * Cosine())
    net.fit(X, T, "mse", optimizer, epochs=1)
    net.fit(X, T, "mse", SGD(0.1), epochs=1)
    gone = ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert gone() is None
    finally:
        gc.enable()
    assert len(net._trainer.state.standings) == 0


# The range test, and pictures


def test_the_range_test_finds_a_rate_and_leaves_the_model_alone():
    x = np.random.default_rng(0).normal(size=(200, FEATURES))
    t = np.tanh(x @ np.random.default_rng(1).normal(size=(FEATURES, OUTPUTS)))
    net, optimizer = net_of(Dropout(0.1)), Adam(0.003 * Cosine(steps=500))
    net.fit(x, t, "mse", optimizer, epochs=2)
    before, rate, history = pickle.dumps(net), optimizer.lr, net.history
    found = fastnn.lr_find(net, x, t)
    assert pickle.dumps(net) == before
    assert (optimizer.lr, net.history) == (rate, history)
    assert 1e-4 < found.suggestion == found.tenth < found.rates[-1] / 5
    assert found.rates[10] <= found.steepest <= 10 * found.tenth
    assert len(found.rates) == len(found.losses) == len(found.smoothed) <= 100
    assert found.rates[0] == 1e-7
    assert same_bits(found.losses, fastnn.lr_find(net, x, t).losses)
    untrained = net_of()
    plain = fastnn.lr_find(untrained, x, t, "mse", SGD(), end=1e4)
    assert not untrained.built
    assert plain.rates[-1] < 1e4  # it has diverged
    assert plain.smoothed[-1] > 4 * plain.smoothed.min() or len(plain.rates) < 100
    net.fit(x, t, "mse", SGD(plain.suggestion), epochs=5)
    assert net.history.loss[-1] < net.history.loss[0]
    with_cycle = fastnn.lr_find(net_of(), x, t, "mse", OneCycle(0.1).of(SGD(momentum=0.9)))
    assert with_cycle.suggestion > 0


class Interrupting(MSE):
    def value_and_grad(self, y, t):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > 7:
            raise KeyboardInterrupt
        return np.square(y - t).mean(), 2 * (y - t) / y.size


def test_the_range_test_leaves_the_model_alone_however_it_ends():
    net, optimizer = net_of(), SGD(0.05, momentum=0.9)
    net.fit(X, T, "mse", optimizer, epochs=2)
    before = pickle.dumps(net)
    with pytest.raises(KeyboardInterrupt):
        fastnn.lr_find(net, X, T, Interrupting())
    for arguments, error, message in (
        ({"start": 1, "end": 0.1}, ValueError, "lr_find: start is 1 and end is 0.1, expected a start below the end"),
        ({"steps": 3}, ValueError, "lr_find: steps is 3, expected a whole number >= 5"),
        ({"batch_size": 0}, ValueError, "lr_find: batch_size is 0"),
        ({"x": X[:, :2]}, ValueError, "expects 4 features"),
        ({"optimizer": fastnn.LBFGS()}, TypeError, r"lr_find: LBFGS\(\) has no learning rate to find"),
        ({"start": 1e200, "end": 1e201}, FloatingPointError, "lr_find: the loss became infinite or NaN in step"),
    ):
        with pytest.raises(error, match=message):
            fastnn.lr_find(net, **{"x": X, "y": T, **arguments})
    with pytest.raises(TypeError, match=r"lr_find: got .*, expected a Model"):
        fastnn.lr_find(SGD(), X, T)
    assert pickle.dumps(net) == before
    average = SGD(average=fastnn.SWA(0.5))  # which counts the epochs of a fit: this stands for one
    assert same_bits(
        fastnn.lr_find(net_of(), X, T, "mse", average).losses, fastnn.lr_find(net_of(), X, T, "mse", SGD()).losses
    )


def test_pictures(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ax = (LinearWarmup(steps=10) >> Cosine(steps=30)).plot()
    line = ax.get_lines()[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(41))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "value")
    assert StepDecay(epochs=10).plot(ax=ax) is ax
    assert ax.get_xlabel() == "epoch"
    assert Cosine().plot(total=1e6, ax=ax).get_lines()[-1].get_xdata()[-1] == 1e6
    ax = fastnn.lr_find(net_of(), X, T, "mse", SGD()).plot()
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "learning rate"
    pyplot.close("all")

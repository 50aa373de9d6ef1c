"""Averages of weights: what a net predicts with, while its optimizer goes on from the parameters themselves."""

import copy
import pickle

import numpy as np
import pytest
from nets import FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, memory_of, same_bits
from test_contract import LAYERS

from fastnn import (
    EMA,
    LAMB,
    SGD,
    SWA,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    EarlyStopping,
    Group,
    Layer,
    Model,
    Optimizer,
    ReLU,
    Residual,
    ScheduleFreeAdamW,
    Sequential,
    Tanh,
)
from fastnn.optimizers import Average

X, T = data(rows=22)


class Own(Optimizer):
    """A rule in NumPy."""

    def update(self, params, grads):
        params -= self.lr * np.sign(grads)


class Around(Optimizer):
    def __init__(self, inner, **options):
        super().__init__(inner.lr, **options)
        self.inner = inner

    def update(self, params, grads):
        self.inner.update(params, grads)


class Doubling(Layer):
    """A layer in NumPy around others, with an attribute that anybody may set."""

    def __init__(self):
        self.factor = 2.0
        self.inner = {"first": [Dense(5, "tanh")], "then": (Sequential([BatchNorm()]),)}

    def forward(self, x):
        return self.factor * self.inner["then"][0].forward(self.inner["first"][0].forward(x))

    def backward(self, dy):
        return self.inner["first"][0].backward(self.inner["then"][0].backward(self.factor * dy))


def net_of(dtype="float64", layers=()):
    inside = Residual([Dense(6, "tanh"), BatchNorm(), Dense(5)])
    return Model([Dense(5), BatchNorm(), ReLU(), inside, *layers, Dropout(0.2), Dense(OUTPUTS)], 0, dtype)


MAKE = {
    "ema": lambda: Adam(0.01, average=EMA(0.9)),
    "ema, corrected": lambda: Adam(0.01, average=EMA(0.9, bias_correction=True)),
    "ema of sgd": lambda: SGD(0.05, average=EMA(0.8)),
    "ema, groups": lambda: Adam(0.01, groups=[Group("biases", 2.0)], decay="weights", average=EMA(0.9)),
    "ema, accumulated": lambda: Adam(0.01, accumulate=2, clip_norm=1.0, average=EMA(0.9)),
    "ema of lamb": lambda: LAMB(0.01, average=EMA(0.9)),
    "ema of numpy": lambda: Own(0.01, average=EMA(0.9)),
    "ema of numpy, groups": lambda: Own(0.01, groups=[Group("biases", 2.0)], average=EMA(0.9)),
    "ema around": lambda: Around(Adam(0.01), average=EMA(0.9)),
    "swa": lambda: SGD(0.05, momentum=0.9, average=SWA(0.5)),
    "swa of steps": lambda: SGD(0.05, average=SWA(3, 2, "step")),
    "schedule-free": lambda: ScheduleFreeAdamW(0.02),
    "schedule-free, groups": lambda: ScheduleFreeAdamW(0.02, groups=[Group("biases", 0.5)]),
}
each_average = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def averaged(net):
    """Return the average that its optimizer holds, of parameters and of running averages."""
    memory = memory_of(net)
    return memory[net.optimizer._averaged], memory["average.running"]


def with_averages(net):
    """Return a model whose parameters are the averages of another one, which has no part in it."""
    made = net_of(net.dtype, [Doubling() for layer in net.layers if isinstance(layer, Doubling)]).build(FEATURES)
    made.params[...], running = averaged(net)
    at = 0
    for layer in made._tree.all:
        for array in layer.states.values() if isinstance(layer, BatchNorm) else ():
            array[...] = running[at : at + array.size]
            at += array.size
    return made


@each_dtype
@each_average
def test_predictions_are_of_the_average(make, dtype):
    net = net_of(dtype)
    history = net.fit(X, T, "mse", make(), epochs=5, batch_size=8, validation_data=(X, T))
    expected = with_averages(net)
    outputs = expected.predict(X)
    assert same_bits(net.predict(X), outputs)
    assert same_bits(net.predict(X, batch_size=3), outputs)
    assert same_bits(net.predict_one(X[0]), expected.predict_one(X[0]))
    assert net.evaluate(X, T) == expected.evaluate(X, T, "mse")
    assert history.val_loss[-1] == net.evaluate(X, T)["loss"]
    assert not same_bits(net.params, averaged(net)[0])
    for duplicate in (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))):
        other = duplicate(net)
        assert same_bits(other.predict(X), net.predict(X))
        for model in (net, other):
            model.fit(X, T, epochs=2, batch_size=8)
        assert same_bits(other.params, net.params)
        assert same_bits(other.predict(X), net.predict(X))


@pytest.mark.parametrize("name", ["ema", "ema of sgd", "ema of numpy", "ema of numpy, groups", "swa", "ema of lamb"])
def test_training_is_as_it_is_without_an_average(name):
    nets, rules = [net_of() for _ in range(2)], [MAKE[name]() for _ in range(2)]
    rules[1].average = None
    losses = [net.fit(X, T, "mse", rule, 3, 8).loss for net, rule in zip(nets, rules, strict=True)]
    assert losses[0] == losses[1]
    assert same_bits(nets[0].params, nets[1].params)
    for ours, others in zip(nets[0]._tree.all, nets[1]._tree.all, strict=True):
        assert all(same_bits(ours.states[key], others.states[key]) for key in ours.states)


@each_dtype
@pytest.mark.parametrize("way", ["train_batch", "by hand"])
@pytest.mark.parametrize("corrected", [False, True])
def test_an_exponential_average_is_that_of_numpy(corrected, way, dtype):
    """Also of the running averages of `BatchNorm`."""
    net, rule, decay = net_of(dtype), Adam(0.05, average=EMA(0.9, corrected)), 0.9
    net.build(FEATURES)
    expected, running, total = 0.0, 0.0, 0.0
    for step in range(8):
        if step == 4:
            rule.average.decay = decay = 0.7 if not corrected else 0.9
        if way == "train_batch":
            net.train_batch(X[:8], T[:8], loss="mse", optimizer=rule)
        else:
            net.backward(net.forward(X[:8]) - T[:8])
            net.step(rule)
        now = net.params.astype("float64"), np.concatenate(net._tree.memory.running).astype("float64")
        keep = decay if corrected or step > 0 else 0.0
        expected, running = keep * expected + (1 - keep) * now[0], keep * running + (1 - keep) * now[1]
        total = keep * total + (1 - keep)
        average = memory_of(net) if way == "train_batch" else net._trainer.state.memories.get(rule)
        rtol = 1e-12 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(average["average.params"], expected / total, rtol=rtol, atol=rtol)
        np.testing.assert_allclose(average["average.running"], running / total, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(
    ("average", "fits", "counted"),
    [
        (SWA(0.5), [4], [6, 8]),  # after which steps the parameters count; two steps are an epoch
        (SWA(0.5), [4, 4], [14, 16]),  # anew in each fit
        (SWA(0.75), [3], [6]),
        (SWA(0.0), [2], [2, 4]),
        (SWA(2), [4], [6, 8]),
        (SWA(2), [1, 3], [6, 8]),  # epochs since the optimizer began
        (SWA(1, every=2), [5], [6, 10]),
        (SWA(0.5, 1, "step"), [2], [3, 4]),
        (SWA(3, 2, "step"), [2, 2], [5, 7]),
        (SWA(9), [2], [4]),  # it has not begun: the parameters
    ],
)
def test_what_counts_in_stochastic_weight_averaging(average, fits, counted):
    net, rule = net_of(), SGD(0.05, average=average)
    seen = [net.build(FEATURES).params.copy()]

    class Noted(SGD):
        def update(self, params, grads):
            super().update(params, grads)
            seen.append(params.copy())

    rule = Noted(0.05, average=average)
    for epochs in fits:
        net.fit(X, T, "mse", rule, epochs, 11)
    assert len(seen) == 1 + 2 * sum(fits)
    np.testing.assert_allclose(averaged(net)[0], np.mean([seen[i] for i in counted], axis=0), rtol=1e-13)


def test_steps_by_hand_know_no_epochs():
    net = net_of().build(FEATURES)
    before = net.params.copy()
    for average in (SWA(), SWA(10), SWA(0.5, per="step")):
        for take in (
            lambda rule: net.train_batch(X, T, loss="mse", optimizer=rule),
            lambda rule: net.step((net.backward(net.forward(X)), rule)[1]),
            lambda rule: net.fit(lambda: iter([(X, T)]), optimizer=rule, epochs=4),  # batches, nobody knows how many
        ):
            with pytest.raises(ValueError, match=r"epochs, and no fit has said how many steps one has: SWA\(start=100"):
                take(SGD(0.1, average=average))
            assert net.optimizer is None
    assert same_bits(net.params, before)
    rule = SGD(0.1, average=SWA(0, per="step"))
    for _ in range(3):
        net.train_batch(X, T, loss="mse", optimizer=rule)
    assert memory_of(net)["average.n"] == 3


# With BatchNorm: what torch.optim.swa_utils gives after 6 epochs of 3 batches, SGD with rate 0.1, in version 2.13


def rows_of(n, columns, step):
    return np.sin(step * np.arange(n * columns)).reshape(n, columns)


SWA_X, SWA_T = rows_of(12, 3, 1.0), rows_of(12, 2, 0.7)
WEIGHTS = rows_of(3, 4, 2.0), rows_of(4, 2, 3.0)


def of_torch(kind):
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

    linear = [torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)]
    for layer, w in zip(linear, WEIGHTS, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(w.T.copy()), torch.zeros(w.shape[1], dtype=torch.float64)
    net = torch.nn.Sequential(linear[0], torch.nn.BatchNorm1d(4).double(), torch.nn.Tanh(), linear[1])
    x, t = torch.tensor(SWA_X), torch.tensor(SWA_T)
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    swa, optimizer = AveragedModel(net), torch.optim.SGD(net.parameters(), lr=0.1)
    for epoch in range(6):
        for at in (0, 4, 8):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x[at : at + 4]), t[at : at + 4]).backward()
            optimizer.step()
            ema.update_parameters(net)
        if epoch >= 3:
            swa.update_parameters(net)
    update_bn([x[at : at + 4] for at in (0, 4, 8)], swa)
    return {"swa": swa, "ema": ema}[kind].eval()(x).detach().numpy()[:3]


RECORDED = {
    "swa": [
        [-0.06430191428773567, -0.020988918611326],
        [0.23221123127789406, 0.18405125005272932],
        [-0.07204515465718629, 0.05377585364614802],
    ],
    "ema": [
        [-0.06856419673484782, 0.07404466964375464],
        [0.20810523304176037, 0.019140891452796217],
        [-0.08790496266764491, 0.1445095682901323],
    ],
}


@pytest.mark.parametrize("installed", [False, True], ids=["recorded", "torch"])
@pytest.mark.parametrize("kind", ["swa", "ema"])
def test_averages_with_batch_norm_are_those_of_pytorch(kind, installed):
    net = Model([Dense(4), BatchNorm(), Tanh(), Dense(2)], dtype="float64").build(3)
    net.layers[0].w, net.layers[3].w = WEIGHTS
    rule = SGD(0.1, average=SWA(0.5) if kind == "swa" else EMA(0.9))
    net.fit(SWA_X, SWA_T, "mse", rule, epochs=6, batch_size=4, shuffle=False)
    expected = of_torch(kind) if installed else RECORDED[kind]
    np.testing.assert_allclose(net.predict(SWA_X[:3]), expected, rtol=1e-9)


def test_statistics_move_nothing_of_the_training():
    """A pass over the data for them leaves out what a training would, and counts no batch."""
    nets = [net_of() for _ in range(2)]
    nets[0].fit(X, T, "mse", SGD(0.05, average=SWA(0.0)), 3, 8, validation_data=(X, T))
    nets[1].fit(X, T, "mse", SGD(0.05), 3, 8)
    assert same_bits(nets[0].params, nets[1].params)
    for ours, others in zip(nets[0]._tree.all, nets[1]._tree.all, strict=True):
        assert all(same_bits(ours.states[key], others.states[key]) for key in ours.states)


# Schedule-free AdamW


def test_a_warm_up_weighs_less():
    """The last parameters and their average as schedulefree 1.4.1 gives them, with warmup_steps=8."""
    net, rule = Model([Dense(1, bias=False)], dtype="float64").build(3), ScheduleFreeAdamW(0.05, weight_decay=0.1)
    net.params = [1.0, -2.0, 0.5]
    for k in range(20):
        rule.lr = 0.05 * min((k + 1) / 8, 1)
        net.grads = np.sin(3 * net.params + k) + 0.1 * k
        rule.step(net)
    np.testing.assert_allclose(net.params, [0.50287133, -2.36458812, 0.03130606], rtol=1e-7)
    average = net._trainer.state.memories.get(rule)["x"]
    np.testing.assert_allclose(average, [0.55351532, -2.33111428, 0.07468609], rtol=1e-7)


def test_what_others_do_to_parameters_moves_all_of_a_schedule_free_step():
    nets, rules, shift = [net_of().build(FEATURES) for _ in range(2)], [ScheduleFreeAdamW() for _ in range(2)], 0.25
    rng = np.random.default_rng(0)
    for step in range(6):
        gradient = rng.normal(size=nets[0].params.shape)
        for net, rule in zip(nets, rules, strict=True):
            if step == 3 and net is nets[1]:
                net.params[...] += shift
            net.grads = gradient
            rule.step(net)
    first, second = (net._trainer.state.memories.get(rule) for net, rule in zip(nets, rules, strict=True))
    for name in "xz":
        np.testing.assert_allclose(second[name] - first[name], shift, rtol=1e-9)
    np.testing.assert_allclose(nets[1].params - nets[0].params, shift, rtol=1e-9)


def test_it_may_lie_anywhere_between_step_and_average():
    net, rule = net_of().build(FEATURES), ScheduleFreeAdamW(0.1, beta1=0.0)
    for beta1 in (0.0, 0.5, 0.9):
        rule.beta1 = beta1
        net.train_batch(X, T, loss="mse", optimizer=rule)
        memory = memory_of(net)
        np.testing.assert_allclose(net.params, beta1 * memory["x"] + (1 - beta1) * memory["z"], rtol=1e-12, atol=1e-12)
    assert memory["part"] == pytest.approx(1 / 3)


# State


@each_average
def test_averages_belong_to_the_state(make):
    net = net_of(layers=[Doubling()])
    net.fit(X, T, "mse", make(), epochs=4, batch_size=8)
    snapshot, outputs = net.snapshot(), net.predict(X)
    trained = []
    for _ in range(2):
        net.fit(X, T, epochs=3, batch_size=8)
        trained.append(net.predict(X))
        net.restore(snapshot)
        assert same_bits(net.predict(X), outputs)
    assert same_bits(*trained)
    assert not same_bits(trained[0], outputs)


@each_average
def test_what_is_restored_predicts_with_the_average_whoever_took_steps_since_then(make):
    net, rule = net_of(), make()
    net.fit(X, T, "mse", rule, epochs=4, batch_size=8)
    snapshot, outputs = net.snapshot(), net.predict(X)
    net.fit(X, T, optimizer=rule, epochs=3, batch_size=8)
    trained = net.predict(X)
    plain, other = SGD(0.01), Adam(0.01, average=EMA(0.5))
    for what in (
        lambda: net.fit(X, T, optimizer=plain, epochs=1, batch_size=8),
        lambda: net.train_batch(X, T, optimizer=plain),
        lambda: net.fit(X, T, optimizer=other, epochs=2, batch_size=8),
        net.use_averages,
    ):
        what()
        net.restore(snapshot)
        assert same_bits(net.predict(X), outputs)
        net.fit(X, T, optimizer=rule, epochs=3, batch_size=8)
        assert same_bits(net.predict(X), trained)
    net.restore(snapshot)
    with pytest.raises(FloatingPointError):  # and so does what a fit puts back
        net.fit(X, T, optimizer=SGD(1e30), epochs=50, batch_size=8)
    assert same_bits(net.predict(X), outputs)
    net.fit(X, T, optimizer=plain, epochs=1, batch_size=8)
    snapshot, outputs = net.snapshot(), net.predict(X)  # of no average
    net.fit(X, T, optimizer=rule, epochs=3, batch_size=8)
    net.restore(snapshot)
    assert same_bits(net.predict(X), outputs)


@each_average
def test_an_average_that_is_younger_than_the_snapshot_begins_there(make):
    net = net_of().build(FEATURES)
    snapshot, outputs = net.snapshot(), net.predict(X)
    net.fit(X, T, "mse", make(), epochs=2, batch_size=8)
    net.restore(snapshot)
    assert same_bits(net.predict(X), outputs)


@pytest.mark.parametrize("name", ["ema", "swa", "schedule-free"])
def test_early_stopping_looks_at_the_average(name):
    net, seen = net_of(), []

    def note(model, epoch, logs):
        seen.append((logs["val_loss"], model.predict(X)))

    net.fit(X, T, "mse", MAKE[name](), 8, 8, validation_data=(X, -T), callbacks=[note, EarlyStopping(9)])
    best = min(range(8), key=lambda i: seen[i][0])
    assert same_bits(net.predict(X), seen[best][1])
    assert net.evaluate(X, -T)["loss"] == seen[best][0]


@each_average
def test_averages_are_written_into_the_parameters_for_good(make):
    net = net_of(layers=[Doubling()])
    with pytest.raises(RuntimeError, match=r"(build|parameters yet)"):
        net.use_averages()
    net.fit(X, T, "mse", make(), epochs=3, batch_size=8)
    outputs = net.predict(X)
    net.use_averages()
    assert same_bits(net.predict(X), outputs)
    with pytest.raises(RuntimeError, match="use_averages: the last step has averaged nothing: train with"):
        net.use_averages()
    plain = with_averages(net)
    assert same_bits(plain.params, net.params)
    net.params[...] *= 2
    assert not same_bits(net.predict(X), outputs)
    net.fit(X, T, epochs=1, batch_size=8)
    assert same_bits(net.predict(X), with_averages(net).predict(X))


def test_another_optimizer_ends_the_average_and_the_first_begins_it_anew():
    net, rule = net_of(), Adam(0.02, average=EMA(0.9))
    net.fit(X, T, "mse", rule, epochs=3, batch_size=8)
    net.fit(X, T, "mse", SGD(0.05), epochs=3, batch_size=8)
    plain = net_of().build(FEATURES)
    plain.copy_from(net)
    assert same_bits(net.predict(X), plain.predict(X))
    before = net.params.copy()
    net.train_batch(X, T, optimizer=rule)
    assert same_bits(memory_of(net)["average.params"], net.params)
    assert not same_bits(before, net.params)
    rule.average = None
    net.train_batch(X, T, optimizer=rule)
    assert "average.params" not in memory_of(net)
    plain.copy_from(net)
    assert same_bits(net.predict(X), plain.predict(X))


@pytest.mark.parametrize("name", ["ema", "schedule-free"])
def test_what_a_user_writes_is_in_predictions_at_once(name):
    net = net_of()
    net.fit(X, T, "mse", MAKE[name](), epochs=3, batch_size=8)
    zeros = np.zeros((len(X), OUTPUTS))
    net.layers[-1].w, net.layers[-1].b = np.zeros((5, OUTPUTS)), np.zeros(OUTPUTS)
    assert same_bits(net.predict(X), zeros)
    net.layers[-1].b = [1, 2, 3]
    np.testing.assert_array_equal(net.predict(X), np.add(zeros, [1, 2, 3]))
    other = net_of().build(FEATURES)
    other.layers[1].mean = np.full(5, 0.5)
    for follow in (lambda: net.copy_from(other), lambda: net.soft_update(other, 0.5)):
        follow()
        assert same_bits(net.predict(X), other.predict(X))
    net.params = 0
    assert same_bits(net.predict(X), zeros)


def test_a_shared_model_predicts_with_its_averages_and_trains():
    """Arrays that cannot be written to, of a file or another process."""
    net = net_of(layers=[Doubling()])
    net.fit(X, T, "mse", MAKE["swa"](), epochs=3, batch_size=8)
    buffers = []
    data = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    other = pickle.loads(data, buffers=[bytes(buffer) for buffer in buffers])
    assert same_bits(other.predict(X), net.predict(X))
    for model in (net, other):
        model.fit(X, T, epochs=2, batch_size=8)
    assert same_bits(other.predict(X), net.predict(X))


# Layers of users


def test_layers_in_numpy_predict_with_the_average_and_with_their_attributes_as_they_are():
    layer = Doubling()
    net = net_of(layers=[layer])
    net.fit(X, T, "mse", MAKE["swa"](), epochs=3, batch_size=8)
    expected = with_averages(net)
    assert same_bits(net.predict(X), expected.predict(X))
    layer.factor = expected.layers[4].factor = -1.0
    assert same_bits(net.predict(X), expected.predict(X))
    assert same_bits(net.predict_one(X[0]), expected.predict_one(X[0]))


class Box:
    def __init__(self, layer):
        self.layer = layer


class Boxed(Layer):
    def __init__(self):
        self.box = Box(Dense(OUTPUTS))

    def children(self):
        return [self.box.layer]

    def forward(self, x):
        return self.box.layer.forward(x)

    def backward(self, dy):
        return self.box.layer.backward(dy)


def test_a_layer_whose_weights_an_average_cannot_replace_is_refused():
    net = Model([Boxed()], seed=0)
    net.fit(X, T, "mse", epochs=1)
    before = net.params.copy()
    with pytest.raises(TypeError, match=r"Boxed 1 holds Dense\(3\) where no copy with averaged weights can stand"):
        net.fit(X, T, "mse", Adam(average=EMA()), epochs=1)
    assert same_bits(net.params, before)
    net.fit(X, T, "mse", Adam(), epochs=1)


# Settings


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EMA(1.0), ValueError, "EMA: decay is 1.0, expected a finite number >= 0 and < 1"),
        (lambda: EMA(bias_correction=2), TypeError, "EMA: bias_correction is 2, expected True or False"),
        (lambda: SWA(1.5), ValueError, "SWA: start is 1.5, expected a finite number >= 0 and < 1"),
        (lambda: SWA(-1), ValueError, "SWA: start is -1, expected a whole number >= 0"),
        (lambda: SWA(every=0), ValueError, "SWA: every is 0, expected a whole number >= 1"),
        (lambda: SWA(every=float("nan")), TypeError, "SWA: every is nan, expected a whole number"),
        (lambda: SWA(per="batch"), ValueError, "SWA: per is 'batch'"),
        (lambda: Adam(average=0.99), TypeError, r"Adam: average is 0.99, expected EMA\(...\), SWA\(...\) or None"),
        (lambda: Adam(average=EMA), TypeError, "Adam: average is <class .*EMA'>, expected"),
        (lambda: ScheduleFreeAdamW(average=EMA()), ValueError, r"average is EMA\(\), but what it keeps is an average"),
        (lambda: Model([Dense(1)]).fit(X, T[:, :1], "mse", Around(Adam(average=EMA()))), ValueError, "an average or"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_average_reads_as_it_is_made():
    assert repr(Adam(average=EMA(0.99))) == "Adam(average=EMA(decay=0.99))"
    assert repr(SWA(0.5, 2, "step")) == "SWA(start=0.5, every=2, per='step')"
    rule = SGD(0.1, average=SWA(3))
    for other in (copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
        assert repr(other) == repr(rule) == "SGD(lr=0.1, average=SWA(start=3))"


def test_every_optimizer_of_the_table_can_average():
    for name, make in OPTIMIZERS.items():
        rule = make()
        if not rule.averages:
            rule.average = EMA(0.5)
        net = net_of()
        net.fit(X, T, "mse", rule, epochs=1, batch_size=8)
        assert same_bits(net.predict(X), with_averages(net).predict(X)), name


@pytest.mark.parametrize("make", [lambda: Adam(0.01, average=EMA(0.8)), lambda: SGD(0.02, average=SWA(0.0))])
def test_layers_of_all_kinds_predict_with_the_average(make):
    """As a copy does whose arrays are written over with it."""
    for name, layers in LAYERS.items():
        net, rule = Model(layers(), seed=0, dtype="float64"), make()
        net.fit(X, T, "mse", rule, epochs=2, batch_size=8)
        copied = copy.deepcopy(net)
        copied.use_averages()
        assert same_bits(net.predict(X), copied.predict(X)), name
        assert same_bits(copied.params, memory_of(net)["average.params"]), name
        net.fit(X, T, epochs=1, batch_size=8)
        assert not same_bits(net.predict(X), copied.predict(X)), name


def test_an_average_without_a_rate_is_none():
    class Mine(Average):
        pass

    with pytest.raises(TypeError, match=r"abstract class Mine .*rate"):
        Mine()

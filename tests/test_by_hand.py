"""Stepping by hand: forward, backward and step are train_batch in parts, and nets that follow other nets."""

import copy

import numpy as np
import pytest
from custom import Cube, LogCosh, Scale, SignSGD
from nets import DTYPES, FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, each_optimizer, memory_of, same_bits

from fastnn import (
    MAE,
    MSE,
    SGD,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    Huber,
    Layer,
    LayerNorm,
    Loss,
    Model,
    Residual,
    Softmax,
)

X, T = data()


def net_of(*layers, dtype="float64", seed=0):
    inside = [Dense(6, "tanh"), Dropout(0.2), Dense(5)]
    return Model([Dense(5), BatchNorm(), *layers, Residual(inside), LayerNorm(), Dense(OUTPUTS)], seed, dtype)


def state_of(net):
    states = [array for layer in net._tree.all for array in layer.states.values()]
    return [array.copy() for array in (net.params, *states, *memory_of(net).values())]


def same_state(a, b):
    return len(a) == len(b) and all(map(same_bits, a, b))


def step_by_hand(net, x, t, loss, optimizer):
    """Take a step as train_batch does, and return the loss."""
    value, dy = loss.value_and_grad(net.forward(x), t)
    net.backward(dy)
    optimizer.step(net)
    return value


# forward, backward and step are train_batch

LOSSES = {"mse": MSE, "mae": MAE, "huber": Huber, "numpy": LogCosh,
          "logits": lambda: CrossEntropy(from_logits=True)}  # fmt: skip
LAYERS = {"kernels": (), "numpy": (Scale, Cube)}


@each_dtype
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("loss", LOSSES)
@each_optimizer
def test_steps_by_hand_are_those_of_train_batch(optimizer, loss, layers, dtype):
    """Bit for bit, with what layers and the optimizer remember, for changing numbers of rows."""
    by_hand, by_batch = (net_of(*(kind() for kind in LAYERS[layers]), dtype=dtype) for _ in range(2))
    t = np.arange(len(X)) % OUTPUTS if loss == "logits" else T
    rules, used = (OPTIMIZERS[optimizer](), OPTIMIZERS[optimizer]()), (LOSSES[loss](), LOSSES[loss]())
    for rows in (slice(8), slice(8, 16), slice(16, 21), slice(8)):
        target = t[rows] if t.ndim == 1 else t[rows].astype(dtype)
        value = step_by_hand(by_hand, X[rows].astype(dtype), target, used[0], rules[0])
        assert by_batch.train_batch(X[rows], target, None, used[1], rules[1]) == value
        assert same_bits(by_hand.grads, by_batch.grads)
    by_hand.optimizer = rules[0]
    assert same_state(state_of(by_hand), state_of(by_batch))


@pytest.mark.parametrize(
    ("loss", "end"), [(CrossEntropy, Softmax), (BinaryCrossEntropy, lambda: Dense(OUTPUTS, "sigmoid"))]
)
def test_steps_by_hand_through_the_last_activation_are_those_of_the_merged_loss(loss, end):
    """Up to rounding: by hand, the loss is of probabilities."""
    by_hand, by_batch = (Model([Dense(5, "tanh"), Dense(OUTPUTS), end()], seed=0, dtype="float64") for _ in range(2))
    t = np.eye(OUTPUTS)[np.arange(len(X)) % OUTPUTS]
    rules = Adam(0.01), Adam(0.01)
    for _ in range(5):
        value = step_by_hand(by_hand, X, t, loss(), rules[0])
        assert by_batch.train_batch(X, t, None, loss(), rules[1]) == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(by_hand.params, by_batch.params, rtol=1e-6, atol=1e-8)


def test_what_a_net_and_an_optimizer_call_the_same_is_the_same():
    nets, rules = [net_of() for _ in range(3)], [Adam(0.01) for _ in range(3)]
    for net, rule in zip(nets, rules, strict=True):
        net.backward(net.forward(X))
        net.optimizer = rule
    rules[0].step(nets[0])
    nets[1].step(rules[1])
    nets[2].step()
    assert same_bits(nets[0].params, nets[1].params)
    assert same_bits(nets[0].params, nets[2].params)


def test_steps_by_hand_and_batches_go_on_with_each_other():
    """They share what the optimizer remembers."""
    mixed, batches, rules = net_of(), net_of(), (Adam(0.01), Adam(0.01))
    for i in range(6):
        if i % 2:
            step_by_hand(mixed, X, T, MSE(), rules[0])
        else:
            mixed.train_batch(X, T, None, "mse", rules[0])
        batches.train_batch(X, T, None, "mse", rules[1])
    assert same_state(state_of(mixed), state_of(batches))


def test_one_optimizer_can_step_two_nets():
    """As an actor and a critic have it: each with what it remembers of its own."""
    nets, alone = [net_of(seed=seed) for seed in (0, 1)], net_of()
    together, own = Adam(0.01), Adam(0.01)
    for _ in range(3):
        for net in nets:
            step_by_hand(net, X, T, MSE(), together)
        step_by_hand(alone, X, T, MSE(), own)
    assert same_bits(nets[0].params, alone.params)


# Gradients that are changed in between

CHANGES = {
    "scaled in place": lambda net, g: net.grads.__imul__(0.5),
    "assigned": lambda net, g: setattr(net, "grads", 0.5 * g),
    "of each layer": lambda net, g: [
        setattr(layer, "d" + name, 0.5 * getattr(layer, "d" + name))
        for layer in net._tree.all
        for name in layer.parameters
    ],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_gradients_that_are_changed_in_between_count(optimizer, change):
    changed, lower = net_of(), net_of()
    rules = OPTIMIZERS[optimizer](), OPTIMIZERS[optimizer]()
    for _ in range(3):
        for net in (changed, lower):
            y = net.forward(X)
            net.backward((2 if net is changed else 1) * (y - T))
        CHANGES[change](changed, changed.grads.copy())
        for net, rule in zip((changed, lower), rules, strict=True):
            rule.step(net)
    np.testing.assert_allclose(changed.params, lower.params, rtol=1e-12, atol=1e-14)


def test_gradients_can_be_added_up_over_several_passes():
    net, other, total = net_of(), net_of(), 0
    for layer in (net.layers[1], other.layers[1]):
        layer.momentum = 0.0
    for rows in (slice(8), slice(8, 21)):
        net.backward(net.forward(X[rows]) - T[rows])
        total = total + net.grads
    net.grads = total
    SGD(0.1).step(net)
    expected = other.build(FEATURES).params - 0.1 * total
    np.testing.assert_allclose(net.params, expected, rtol=1e-13)


def test_a_step_needs_gradients():
    net = net_of()
    with pytest.raises(RuntimeError, match="no parameters yet: call build"):
        SGD(0.1).step(net)
    with pytest.raises(RuntimeError, match="backward needs a forward before it, and a new one behind each step where"):
        net.build(FEATURES).backward(T)
    net = Model([Dense(5), Dense(OUTPUTS)], seed=0)
    net.fit(X, T, "mse", SGD(0.1), epochs=1, batch_size=8)
    before = net.params.copy()
    with pytest.raises(RuntimeError, match=r"step: no gradients: .*without storing gradients"):
        SGD(0.1).step(net)
    assert same_bits(net.params, before)
    net.backward(net.forward(X))
    SGD(0.1).step(net)
    assert not same_bits(net.params, before)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "clip"])
def test_after_any_training_gradients_are_those_of_the_last_step_or_an_error(optimizer):
    make = {**OPTIMIZERS, "clip": lambda: SGD(0.1, clip_norm=1e9)}[optimizer]
    net, last = (Model([Dense(5, "tanh"), Dense(OUTPUTS)], seed=0, dtype="float64") for _ in range(2))
    net.fit(X, T, "mse", make(), epochs=1, batch_size=8, shuffle=False)
    rule = make()
    for start in (0, 8, 16):
        last.train_batch(X[start : start + 8], T[start : start + 8], None, "mse", rule)
    if optimizer == "sgd":
        for ask in (lambda: net.grads, lambda: net.layers[0].dw, lambda: net.layers[1].db):
            with pytest.raises(RuntimeError, match="in the same pass as backward, without storing gradients"):
                ask()
        net.train_batch(X, T)
        assert net.grads.any()
        assert net.layers[0].dw.any()
    else:
        assert same_bits(net.grads, last.grads)
    large = Model([Dense(5), Dense(OUTPUTS)], seed=0)
    large.fit(*data(rows=600), "mse", make(), epochs=1, batch_size=None)  # nothing is fused
    assert large.grads.any()


def test_backward_gives_the_gradient_of_the_data():
    net, x = net_of(), X[:6].copy()
    dy, step = np.random.default_rng(1).normal(size=(6, OUTPUTS)), 1e-5
    net.forward(x)
    dx, numerical = net.backward(dy), np.empty_like(x)
    for i in np.ndindex(x.shape):
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * step
            values.append(np.sum(dy * net.forward(moved)))
        numerical[i] = (values[0] - values[1]) / (2 * step)
    assert np.abs(dx - numerical).max() <= 1e-7 * np.abs(numerical).max()


def test_results_are_the_callers_own():
    net = net_of()
    y = net.forward(X)
    dx = net.backward(y)
    before = y.copy(), dx.copy()
    net.backward(net.forward(2 * X))
    assert same_bits(y, before[0])
    assert same_bits(dx, before[1])
    y[...] = np.nan
    assert np.isfinite(net.forward(X)).all()


def test_forward_is_in_training_form_and_predict_is_not():
    net = Model([Dropout(0.5)], seed=0, dtype="float64").build(FEATURES)
    y = net.forward(X)
    assert 0.2 < np.mean(y == 0) < 0.8
    assert same_bits(net.forward(X), y)  # until a step is taken, nothing is counted on
    assert same_bits(net.predict(X), X)
    net.backward(y)
    SGD(0.1).step(net)
    assert not same_bits(net.forward(X), y)


def test_layers_change_their_states_once_per_step():
    """Not in forward, however often, and not at a step without a forward before it."""
    net = Model([BatchNorm()], dtype="float64").build(FEATURES)
    norm = net.layers[0]
    for _ in range(3):
        net.forward(X)
    assert not norm.mean.any()
    net.backward(np.ones_like(X))
    SGD(0.0).step(net)
    np.testing.assert_allclose(norm.mean, 0.1 * X.mean(axis=0), rtol=1e-12)
    before = norm.mean.copy()
    SGD(0.0).step(net)
    assert same_bits(norm.mean, before)


def test_recordings_for_many_numbers_of_rows():
    net = net_of()
    x = data(rows=60)[0]
    for rows in (*range(2, 30), 5, 60):
        y = net.forward(x[:rows])
        assert y.shape == (rows, OUTPUTS)
        assert net.backward(y).shape == (rows, FEATURES)
    with pytest.raises(ValueError, match=r"dy has shape \(59, 3\), expected \(60, 3\) to match the last forward"):
        net.backward(y[1:])


def test_weights_that_are_changed_count_at_the_next_forward():
    net = Model([Dense(OUTPUTS)], seed=0, dtype="float64")
    net.forward(X)
    net.params = 0
    assert not net.forward(X).any()
    net.layers[0].b = [1, 2, 3]
    assert (net.forward(X) == [1, 2, 3]).all()


# Numbers that are not finite never reach the weights


def test_an_overflow_in_a_step_leaves_finite_weights_and_an_honest_message():
    net = Model([Dense(1, weight_initializer="ones")], seed=0).build(1)
    before = net.params.copy()
    with pytest.raises(FloatingPointError) as caught:
        net.train_batch([[1.5e19]], [[0.0]], loss="mse", optimizer=SGD(0.1))
    assert same_bits(net.params, before)
    message = str(caught.value)
    assert "stopped before this reached the parameters" in message
    assert "lower the learning rate (now 0.1; try 0.01)" in message
    assert net.train_batch([[1.0]], [[0.0]]) == 1


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("method", ["train_batch", "fit"])
@pytest.mark.parametrize("scale", [1e10, 1.5e19, 1e25, 1e38])
def test_weights_are_finite_after_a_step_or_as_they_were(scale, method, optimizer):
    """Whatever overflows: the loss, its gradient, that of the weights, or the step."""
    net = Model([Dense(3), Dense(1)], seed=0).build(1)
    messages = []
    for _ in range(3):
        kept = net.params.copy()
        try:
            if method == "fit":
                net.fit([[scale]] * 3, [[0.0]] * 3, "mse", OPTIMIZERS[optimizer](), epochs=3, batch_size=1)
            else:
                net.train_batch([[scale]], [[0.0]], loss="mse", optimizer=OPTIMIZERS[optimizer]())
        except FloatingPointError as error:
            messages.append(str(error))
            assert same_bits(net.params, kept)  # also at the second time
        assert np.isfinite(net.params).all()
        assert np.isfinite(memory_of(net).get("m", np.zeros(1))).all()
    assert all("lower the learning rate" in message for message in messages)
    assert scale < 1e38 or messages


class Poisoned(Loss):
    """A finite value, and a gradient that is not."""

    bad = np.nan

    def value_and_grad(self, y, t):
        dy = 2 * (y - t) / y.size
        dy[0, 0] = self.bad
        return ((y - t) ** 2).mean(), dy


class PoisonedLayer(Layer):
    def forward(self, x):
        return x

    def backward(self, dy):
        dx = dy.copy()
        dx[-1, -1] = np.nan
        return dx


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["train_batch", "fit"])
@pytest.mark.parametrize("poison", ["loss", "layer"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_gradient_that_is_not_finite_never_reaches_the_weights(optimizer, poison, method, bad):
    net = net_of(*([PoisonedLayer()] if poison == "layer" else [])).build(FEATURES)
    loss = Poisoned() if poison == "loss" else MSE()
    if poison == "loss":
        loss.bad = bad
    before = net.params.copy()
    # A fit with a gradient of a layer that is not finite may go on until the loss says so; it puts all back then.
    with pytest.raises(FloatingPointError, match="gradient" if poison == "loss" else "gradient|the loss became nan"):
        getattr(net, method)(X, T, loss=loss, optimizer=OPTIMIZERS[optimizer]())
    assert same_bits(net.params, before)
    assert all(np.isfinite(array).all() for array in memory_of(net).values())
    assert all(np.isfinite(array).all() for layer in net._tree.all for array in layer.states.values())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_by_hand_refuses_gradients_that_are_not_finite(bad, optimizer):
    net, rule = net_of(), OPTIMIZERS[optimizer]()
    step_by_hand(net, X, T, MSE(), rule)
    net.optimizer = rule
    before = state_of(net)
    net.backward(net.forward(X))
    net.grads[7] = bad
    with pytest.raises(FloatingPointError, match="step: a gradient is NaN or infinite: nothing was changed"):
        rule.step(net)
    assert same_state(state_of(net), before)


# Nets that follow other nets


def trained(seed, dtype="float64", layers=()):
    net = net_of(*(kind() for kind in layers), dtype=dtype, seed=seed)
    net.fit(X, T, "mse", Adam(0.02), epochs=3, batch_size=8)
    return net


def averages(net):
    norm = net.layers[1]
    return [net.params.copy(), norm.mean.copy(), norm.variance.copy()]


@each_dtype
@pytest.mark.parametrize("layers", [(), (Scale,)], ids=["kernels", "numpy"])
def test_a_net_can_be_copied_from_another(layers, dtype):
    online, target = (trained(seed, dtype, layers) for seed in (0, 1))
    kept = state_of(online)
    target.copy_from(online)
    assert same_state(averages(target), averages(online))
    assert same_bits(target.predict(X), online.predict(X))
    assert not np.shares_memory(target.params, online.params)
    target.fit(X, T, epochs=1)
    assert same_state(state_of(online), kept)


@each_dtype
@pytest.mark.parametrize("tau", [0.0, 0.005, 0.5, 1.0, np.float32(0.25), 1])
def test_a_net_can_follow_another_slowly(tau, dtype):
    online, target = (trained(seed, dtype) for seed in (0, 1))
    expected = [mine + tau * (its - mine) for mine, its in zip(averages(target), averages(online), strict=True)]
    target.predict(X)
    target.soft_update(online, tau)
    for got, array in zip(averages(target), expected, strict=True):
        np.testing.assert_allclose(got, array, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)
    if tau == 1:
        assert same_state(averages(target), averages(online))
    fresh = copy.deepcopy(target)
    assert same_bits(target.predict(X), fresh.predict(X))


def test_a_net_that_follows_itself_stays():
    net = trained(0)
    before = state_of(net)
    net.copy_from(net)
    net.soft_update(net, 0.5)
    assert same_state(state_of(net), before)


def test_a_net_that_is_not_built_yet_is_built():
    online, target = trained(0), net_of(seed=1)
    target.copy_from(online)
    assert same_bits(target.predict(X), online.predict(X))


def test_counters_and_keys_are_a_nets_own():
    """Else two nets would leave out the same numbers."""
    online, target = trained(0), trained(1)
    inside = target.layers[2].children()[1]
    before = inside.key.copy(), inside.batches.copy()
    target.copy_from(online)
    assert same_bits(inside.key, before[0])
    assert same_bits(inside.batches, before[1])


@pytest.mark.parametrize(
    ("other", "tau", "error", "message"),
    [
        (lambda: trained(0), 1.5, ValueError, "tau is 1.5, expected a number from 0 to 1"),
        (lambda: trained(0), -0.1, ValueError, "tau is -0.1, expected"),
        (lambda: trained(0), np.nan, ValueError, "tau is nan, expected"),
        (lambda: trained(0), "0.5", TypeError, "tau is '0.5', expected a number"),
        (lambda: trained(0), True, TypeError, "tau is True, expected a number"),
        (lambda: trained(0, "float32"), 0.5, ValueError, "other layers or another dtype"),
        (lambda: Model([Dense(OUTPUTS)], dtype="float64").build(FEATURES), 0.5, ValueError, "other layers"),
        (net_of, 0.5, RuntimeError, "no parameters yet"),
        (lambda: trained(0).params, 0.5, TypeError, "expected a Model of the same layers"),
    ],
)  # fmt: skip
def test_what_a_net_cannot_follow_changes_nothing(other, tau, error, message):
    net = trained(1)
    before = state_of(net)
    with pytest.raises(error, match=message):
        net.soft_update(other(), tau)
    assert same_state(state_of(net), before)


def test_dtypes_are_those_of_the_net():
    for dtype in DTYPES:
        net = net_of(dtype=dtype)
        y = net.forward(X.tolist())
        assert y.dtype == net.backward(y.tolist()).dtype == dtype


def test_the_optimizer_of_ones_own_steps_by_hand():
    nets = [Model([Dense(5), Dense(OUTPUTS)], seed=0, dtype="float64") for _ in range(2)]
    rule = SignSGD(0.01)
    for _ in range(3):
        step_by_hand(nets[0], X, T, MSE(), rule)
        nets[1].train_batch(X, T, loss="mse", optimizer=nets[1].optimizer or SignSGD(0.01))
    assert same_bits(nets[0].params, nets[1].params)


def test_a_step_ends_what_backward_could_be_for():
    """Where layers change with it: another mask than that of the forward would be taken."""
    net = Model([Dense(50), Dropout(0.5), Dense(OUTPUTS)], seed=0, dtype="float64").build(FEATURES)
    for step in (lambda: SGD(0.0).step(net), lambda: net.train_batch(X, T, loss="mse", optimizer=SGD(0.0))):
        net.backward(np.ones_like(net.forward(X)))
        step()
        with pytest.raises(RuntimeError, match="backward needs a forward before it"):
            net.backward(T)

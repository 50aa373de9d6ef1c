"""Layers, activations, losses and optimizers of one's own: in NumPy they work, from kernels they run without Python."""

import array
import copy
import pickle
import sys
import threading

import numpy as np
import pytest
from custom import Cube, LogCosh, SaturatingMSE, Scale, SignSGD, TanhOfSigmoid, TwiceSGD
from nets import FEATURES, OUTPUTS, data, each_dtype, same_bits

from fastnn import (
    GELU,
    MAE,
    MSE,
    SGD,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    EarlyStopping,
    GroupedDense,
    Head,
    Heads,
    Huber,
    Identity,
    Layer,
    LeakyReLU,
    LogSoftmax,
    Loss,
    MeanOfMembers,
    Members,
    Model,
    Optimizer,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Tape,
    kernels,
)
from fastnn._core.tape import run_epochs
from fastnn._core.team import Team
from fastnn.kernels import Rows, guard
from fastnn.layers.chain import Chain
from fastnn.layers.elements import elements

X, T = data()

# In NumPy: the same numbers as the part of this package that does the same


class NumPyDense(Layer):
    def __init__(self, units):
        self.units = units

    def build(self, n_in):
        self.parameter("w", (n_in, self.units), "glorot_uniform")
        self.parameter("b", (self.units,), "zeros")
        return self.units

    def forward(self, x):
        self.x = x
        return x @ self.w + self.b

    def backward(self, dy):
        self.dw[:] = self.x.T @ dy
        self.db[:] = dy.sum(axis=0)
        return dy @ self.w.T


class NumPyTanh(Layer):
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


class NumPyMSE(Loss):
    def value_and_grad(self, y, t):
        return ((y - t) ** 2).mean(), 2 * (y - t) / y.size


class NumPySGD(Optimizer):
    def update(self, params, grads):
        params -= self.lr * grads


PARTS = {
    "layer": ([lambda: NumPyDense(5), Tanh, lambda: Dense(OUTPUTS)], MSE, SGD),
    "activation": ([lambda: Dense(5), NumPyTanh, lambda: Dense(OUTPUTS)], MSE, SGD),
    "activation of Dense": ([lambda: Dense(5, NumPyTanh()), lambda: Dense(OUTPUTS)], MSE, SGD),
    "loss": ([lambda: Dense(5), Tanh, lambda: Dense(OUTPUTS)], NumPyMSE, SGD),
    "optimizer": ([lambda: Dense(5), Tanh, lambda: Dense(OUTPUTS)], MSE, NumPySGD),
    "all": ([lambda: NumPyDense(5), NumPyTanh, lambda: NumPyDense(OUTPUTS)], NumPyMSE, NumPySGD),
}


@pytest.mark.parametrize("own", PARTS)
def test_parts_in_numpy_train_like_those_of_the_package(own):
    makes, loss, optimizer = PARTS[own]
    net = Model([make() for make in makes], seed=0, dtype="float64")
    expected = Model([Dense(5), Tanh(), Dense(OUTPUTS)], seed=0, dtype="float64")
    history = net.fit(X, T, loss(), optimizer(0.1), epochs=5, batch_size=8)
    other = expected.fit(X, T, MSE(), SGD(0.1), epochs=5, batch_size=8)
    np.testing.assert_allclose(net.params, expected.params, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(history.loss, other.loss, rtol=1e-12)
    np.testing.assert_allclose(net.evaluate(X, T)["loss"], expected.evaluate(X, T)["loss"], rtol=1e-12)
    np.testing.assert_allclose(net.backward(net.forward(X)), expected.backward(expected.forward(X)), rtol=1e-10)


def test_a_loss_in_numpy_may_take_weights():
    weight = np.linspace(0, 2, len(X))
    net, other = (Model([Dense(OUTPUTS)], seed=0, dtype="float64") for _ in range(2))
    net.fit(X, T, LogCosh(), SGD(0.1), epochs=3, batch_size=8, sample_weight=weight)
    other.fit(X[::-1], T[::-1], LogCosh(), SGD(0.1), epochs=3, batch_size=8, sample_weight=weight)
    assert net.history.loss != other.history.loss


def test_a_layer_in_numpy_on_its_own():
    layer = Cube()
    np.testing.assert_allclose(layer.forward(X), X**3 / 3)
    np.testing.assert_allclose(layer.backward(X), X**3)


def test_a_numpy_layer_gets_arrays_that_it_cannot_spoil():
    class Careless(Layer):
        def forward(self, x):
            x *= 2
            return x

        def backward(self, dy):
            return 2 * dy

    with pytest.raises(ValueError, match="read-only"):
        Model([Dense(3), Careless()], seed=0).predict(X)


@pytest.mark.parametrize("which", ["y", "t"])
def test_a_numpy_loss_gets_arrays_that_it_cannot_spoil(which):
    class Careless(Loss):
        def value_and_grad(self, y, t):
            array = {"y": y, "t": t}[which]
            array -= 1
            return 0.0, np.zeros_like(y)

    net = Model([Dense(OUTPUTS)], seed=0)
    with pytest.raises(ValueError, match="read-only"):
        net.fit(X, T, Careless())
    with pytest.raises(ValueError, match="read-only"):
        net.evaluate(X, T, Careless())


class Summing(Scale):
    """Adds to its gradient."""

    def forward(self, x):
        self.x = x
        return x * self.s

    def backward(self, dy):
        self.ds += (dy * self.x).sum(axis=0)
        return dy * self.s


def test_a_numpy_layer_may_add_to_its_gradient():
    nets = [Model([Dense(5), kind(), Dense(OUTPUTS)], seed=0, dtype="float64") for kind in (Scale, Summing)]
    for net in nets:
        net.fit(X, T, "mse", SGD(0.1), epochs=3, batch_size=8)
        for _ in range(2):
            net.forward(X)
            net.backward(T)
    assert same_bits(nets[0].params, nets[1].params)
    assert same_bits(nets[0].grads, nets[1].grads)
    alone = [net.layers[1] for net in copy.deepcopy(nets)]
    for layer in alone:
        chain = Chain(elements([layer]), layer.n_in, layer.dtype)
        memory = chain.memory(len(X), input_gradient=True)
        memory.activations[0][...], memory.gradients[-1][...] = X[:, [0, 1, 2, 3, 0]], X[:, :1]
        for _ in range(2):
            chain.forward(memory)
            chain.backward(memory)
    assert same_bits(alone[0].ds, alone[1].ds)


class Wrong(Layer):
    """Returns what it is told to."""

    def __init__(self, forward=lambda x: x, backward=lambda dy: dy):
        self.forward_, self.backward_ = forward, backward

    def forward(self, x):
        return self.forward_(x)

    def backward(self, dy):
        return self.backward_(dy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forward": lambda x: x[:, :2]}, r"Wrong 2: forward returned shape \(21, 2\) for x .*, expected \(21, 3\)"),
        ({"forward": lambda x: x.sum()}, r"Wrong 2: forward returned shape \(\).*build\(n_in\) returns it"),
        ({"backward": lambda dy: dy.T}, r"Wrong 2: backward returned shape \(3, 21\), expected dx of shape \(21, 3\)"),
        ({"backward": lambda dy: None}, r"Wrong 2: backward returned None, expected dx of shape \(21, 3\)"),
    ],
    ids=["narrow forward", "number forward", "transposed backward", "no backward"],
)
def test_what_a_numpy_layer_returns_is_checked(options, message):
    net = Model([Dense(3), Wrong(**options), Dense(OUTPUTS)], seed=0)
    with pytest.raises(ValueError, match=message):
        net.fit(X, T, "mse", batch_size=None)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda y: (y.sum(axis=1), y), r"the value has shape \(21,\), expected one number"),
        (lambda y: (0.0, y[:, 0]), r"the gradient has shape \(21,\), expected \(21, 3\) as y has"),
        (lambda y: (0.0, 1.0), r"the gradient has shape \(\), expected \(21, 3\) as y has"),
    ],
    ids=["value per row", "flat gradient", "number"],
)
def test_what_a_numpy_loss_returns_is_checked(result, message):
    class WrongLoss(Loss):
        def value_and_grad(self, y, t):
            return result(y)

    with pytest.raises(ValueError, match=f"WrongLoss.*: {message}"):
        Model([Dense(OUTPUTS)], seed=0).fit(X, T, WrongLoss(), batch_size=None)


class Around(Layer):
    """A layer around another one, held as it is told to."""

    def __init__(self, hold):
        self.inner = hold(Dense(3))

    def forward(self, x):
        for layer in self.inner if isinstance(self.inner, (list, set)) else [self.inner]:
            x = layer.forward(x)
        return x

    def backward(self, dy):
        for layer in self.inner if isinstance(self.inner, (list, set)) else [self.inner]:
            dy = layer.backward(dy)
        return dy


@pytest.mark.parametrize("hold", [lambda layer: layer, lambda layer: [layer]], ids=["attribute", "list"])
def test_a_layer_inside_another_is_trained(hold):
    plain, around = (Model([layer, Dense(OUTPUTS)], seed=0) for layer in (Dense(3), Around(hold)))
    for net in (plain, around):
        net.fit(X, T, "mse", epochs=2)
    assert same_bits(around.params, plain.params)
    assert same_bits(around.grads, plain.grads)


def test_a_layer_inside_another_that_is_not_found_is_refused():
    """Its parameters would be in no model."""
    with pytest.raises(TypeError, match=r"Around.*Dense|Dense.*Around"):
        Model([Around(lambda layer: {layer}), Dense(OUTPUTS)])


def test_the_layers_of_a_model_stay():
    net = Model([Dense(5), Dense(OUTPUTS)])
    assert type(net.layers) is tuple
    assert [layer.units for layer in net.layers] == [5, OUTPUTS]


def test_an_optimizer_without_update_says_so():
    class Idle(Optimizer):
        pass

    with pytest.raises(TypeError, match="Idle has no update: define update"):
        Model([Dense(OUTPUTS)], seed=0).fit(X, T, "mse", Idle(0.1))


# From kernels: no Python call per batch


class Counted:
    """Mixed into a part: counts how often its Python code runs."""

    calls = 0


def counted(kind, *methods):
    def counting(name):
        def method(self, *arguments):
            self.calls += 1
            return getattr(super(subclass, self), name)(*arguments)

        return method

    subclass = type(f"Counted{kind.__name__}", (Counted, kind), {name: counting(name) for name in methods})
    return subclass


@each_dtype
def test_parts_of_kernels_run_without_python(dtype):
    """Ten times as many batches need not one more call."""
    calls = []
    for repeats in (1, 10):
        layer = counted(TanhOfSigmoid, "_forward", "_backward")()
        loss, optimizer = counted(SaturatingMSE, "_value_and_grad")(), counted(TwiceSGD, "_step")(0.01)
        net = Model([Dense(5), layer, Dense(OUTPUTS)], seed=0, dtype=dtype)
        net.fit(np.tile(X, (repeats, 1)), np.tile(T, (repeats, 1)), loss, optimizer, epochs=repeats, batch_size=7)
        calls.append((layer.calls, loss.calls, optimizer.calls))
    assert calls[0] == calls[1]
    assert min(calls[0]) > 0


def test_parts_in_numpy_are_called_once_per_batch():
    layer, loss = counted(Scale, "forward", "backward")(), counted(LogCosh, "value_and_grad")()
    optimizer = counted(SignSGD, "update")(0.01)
    net = Model([Dense(5), layer, Dense(OUTPUTS)], seed=0)
    net.fit(X, T, loss, optimizer, epochs=4, batch_size=7)
    assert (layer.calls, loss.calls, optimizer.calls) == (24, 12, 12)


def test_a_layer_of_kernels_has_the_gradient_of_its_formula():
    net, rng = Model([Dense(5), TanhOfSigmoid(), Dense(OUTPUTS)], seed=0, dtype="float64"), np.random.default_rng(0)
    x, dy, step = X[:4], rng.normal(size=(4, OUTPUTS)), 1e-5
    net.forward(x)
    net.backward(dy)
    got, numerical = net.grads.copy(), np.empty_like(net.params)
    for i in range(net.n_parameters):
        values = []
        for sign in (1, -1):
            net.params[i] += sign * step
            values.append(np.sum(dy * net.predict(x)))
            net.params[i] -= sign * step
        numerical[i] = (values[0] - values[1]) / (2 * step)
    assert np.abs(got - numerical).max() <= 1e-7 * np.abs(numerical).max()


# Code that computes outside kernels is found before the first step


class NumPyInForward(Layer):
    def _forward(self, x, y, run):
        y[...] = np.maximum(x, 0)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.relu_backward(y, dy, dx, tape=run.tape)


class ForgottenTape(NumPyInForward):
    _backward = NumPyInForward._backward

    def _forward(self, x, y, run):
        self.kernels.relu_forward(x, y)


class HalfInNumPy(NumPyInForward):
    _backward = NumPyInForward._backward

    def _forward(self, x, y, run):
        self.kernels.relu_forward(np.abs(x), y, run.tape)


class NumPyInBackward(Layer):
    def _forward(self, x, y, run):
        self.kernels.relu_forward(x, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        if dx is not None:
            dx[...] = dy * (y > 0)


class NumPyInValueAndGrad(Loss):
    def _value_and_grad(self, y, t, weight, dy, value, tape):
        value[0] = ((y - t) ** 2).mean()
        dy[...] = 2 * (y - t) / y.size


class NumPyOfParameters(Dense):
    """Weight normalization, but by what the first weights were."""

    def _forward(self, x, y, run):
        self.kernels.dense_forward(x, self.w / np.linalg.norm(self.w), self.b, y, tape=run.tape)

    _backward = Dense._backward


class NumPyOfParametersBackward(Dense):
    _forward = Dense._forward

    def _backward(self, x, y, dy, dx, run):
        self.kernels.dense_backward(x, 1.0 * self.w, dy, dx, self.dw, self.db, tape=run.tape)


class NumPyGradient(Dense):
    _forward = Dense._forward

    def _backward(self, x, y, dy, dx, run):
        self.kernels.dense_backward(x, self.w, dy, dx, self.dw, self.db, tape=run.tape)
        self.dw[:] *= 2


class NumPyOfStates(Layer):
    def build(self, n_in):
        self.state("mean", (n_in,))
        return n_in

    def _forward(self, x, y, run):
        self.kernels.relu_forward(x + self.mean, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.relu_backward(y, dy, dx, tape=run.tape)


class NumPyOfTargets(Loss):
    def _value_and_grad(self, y, t, weight, dy, value, tape):
        kernels.of(y.dtype).huber(y, t, weight, dy, value, float(np.abs(t).max()), tape)


class NumPyInStep(Optimizer):
    def _step(self, params, grads, state, tape):
        params -= self.lr * grads


@pytest.mark.parametrize("built", [False, True], ids=["new", "trained"])
@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (NumPyInForward, "NumPyInForward 2: _forward"),
        (ForgottenTape, "ForgottenTape 2: _forward"),
        (HalfInNumPy, "HalfInNumPy 2: _forward"),
        (NumPyInBackward, "NumPyInBackward 2: _backward"),
        (NumPyOfParameters, r"NumPyOfParameters 2 \(5 units\): _forward"),
        (NumPyOfParametersBackward, r"NumPyOfParametersBackward 2 \(5 units\): _backward"),
        (NumPyOfStates, "NumPyOfStates 2: _forward"),
        (NumPyOfTargets, r"NumPyOfTargets\(\): _value_and_grad"),
        (NumPyInValueAndGrad, r"NumPyInValueAndGrad\(\): _value_and_grad"),
        (NumPyInStep, r"NumPyInStep\(lr=0.1\): _step"),
    ],
)
def test_computing_outside_kernels_is_refused(kind, where, built):
    layers = [kind(5) if issubclass(kind, Dense) else kind()] if issubclass(kind, Layer) else []
    chosen = {"loss": MSE(), "optimizer": SGD()}
    if issubclass(kind, Loss):
        chosen["loss"] = kind()
    elif issubclass(kind, Optimizer):
        chosen["optimizer"] = kind(0.1)
    net = Model([Dense(5), *layers, Dense(OUTPUTS)], seed=0)
    if built:
        net.forward(X)
        net.backward(T)
    before = (net.params.copy(), net.grads.copy()) if built else None
    for method in (net.fit, net.train_batch):
        with pytest.raises(RuntimeError, match=f"{where} computes outside kernels: .*write the method in NumPy"):
            method(X, T, **chosen)
    assert net.built is built
    assert (net.loss, net.optimizer) == (None, None)
    if built:
        assert same_bits(net.params, before[0])
        assert same_bits(net.grads, before[1])


@pytest.mark.parametrize("kind", [NumPyOfParameters, NumPyGradient])
def test_computing_outside_kernels_is_refused_in_the_first_layer(kind):
    """Where nobody asks for the gradient of its inputs."""
    with pytest.raises(RuntimeError, match=rf"{kind.__name__} 1 \(5 units\): _\w+ computes outside kernels"):
        Model([kind(5), Dense(OUTPUTS)], seed=0).fit(X, T, "mse", "sgd")


# What has to be written, and is not, is found there, too


class Returning(NumPyInForward):
    """Gives its output back, in place of writing it."""

    _backward = NumPyInForward._backward

    def _forward(self, x, y, run):
        return np.maximum(x, 0)


class HalfForward(NumPyInForward):
    _backward = NumPyInForward._backward

    def _forward(self, x, y, run):
        self.kernels.relu_forward(x[:3], y[:3], run.tape)


class NoInputGradient(NumPyInBackward):
    def _backward(self, x, y, dy, dx, run):
        pass


class NoOwnGradient(Dense):
    _forward = Dense._forward

    def _backward(self, x, y, dy, dx, run):
        self.kernels.dense_backward(x, self.w, dy, dx, self.dw, None, tape=run.tape)


class Within(Layer):
    """Holds a layer that does not write all its gradients."""

    def __init__(self):
        super().__init__()
        self.inner = NoOwnGradient(5)

    def build(self, n_in):
        return self.build_child(self.inner, n_in)

    def _forward(self, x, y, run):
        self.kernels.identity_forward(run.inner.forward(x), y, tape=run.tape)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.identity_forward(dy, run.inner.dy, tape=run.tape)
        run.inner.backward(dx)


class NoLossGradient(Loss):
    def _value_and_grad(self, y, t, weight, dy, value, tape):
        kernels.of(y.dtype).mse(y, t, weight, None, value, tape)


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (Returning, "Returning 2: _forward does not write all of y:"),
        (HalfForward, "HalfForward 2: _forward does not write all of y:"),
        (NoInputGradient, "NoInputGradient 2: _backward does not write all of dx:"),
        (lambda: NoOwnGradient(5), r"NoOwnGradient 2 \(5 units\): _backward does not write all of db of NoOwn"),
        (Within, r"Within 2: _backward does not write all of db of NoOwnGradient .* \(5 units\):"),
        (NoLossGradient, r"NoLossGradient\(\): _value_and_grad does not write all of dy:"),
    ],
)
def test_what_is_not_written_is_refused(make, where):
    part = make()
    is_loss = isinstance(part, Loss)
    net = Model([Dense(5), *([] if is_loss else [part]), Dense(OUTPUTS)], seed=0).build(X.shape[1])
    before = net.params.copy()
    with pytest.raises(RuntimeError, match=where):
        net.fit(X, T, part if is_loss else MSE(), SGD())
    assert same_bits(net.params, before)


class Codes(Layer):
    """An embedding at the beginning: codes have no gradient."""

    def build(self, n_in):
        self.parameter("table", (4, 5), "glorot")
        self.state("seen", (1,), "zeros", dtype="int64")
        return 5

    def _forward(self, x, y, run):
        self.kernels.embedding_forward(x, self.table, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.embedding_backward(x, dy, self.dtable, run.tape)


def test_the_first_layer_need_not_write_a_gradient_of_its_inputs():
    net = Model([Codes(), Dense(OUTPUTS)], seed=0).build(1)
    net[0].seen[:] = 5
    table = net[0].table.copy()
    net.fit(np.arange(len(T))[:, None] % 3, T, MSE(), SGD(), epochs=1)
    assert (net[0].table != table).any()
    assert net[0].seen[0] == 5


@pytest.mark.parametrize(
    "place", [lambda own: own, lambda own: Heads({"a": Head(own, OUTPUTS)})], ids=["alone", "head"]
)
@pytest.mark.parametrize("ends", [[], [MeanOfMembers(3)]], ids=["one", "members"])
@pytest.mark.parametrize("kind", [NumPyInValueAndGrad, NumPyOfTargets])
def test_losses_within_others_are_looked_at(kind, place, ends):
    layers = [Members(3), GroupedDense(OUTPUTS, 3)] if ends else [Dense(OUTPUTS)]
    net = Model([*layers, *copy.deepcopy(ends)], seed=0)
    targets = np.linspace(-2, 2, T.size).reshape(T.shape)  # the least are as large as the largest
    with pytest.raises(RuntimeError, match="_value_and_grad computes outside kernels"):
        net.fit(X, targets, place(kind()), SGD(), batch_size=8)


# Subclasses of the package's own layers: what they override is what runs


class Steeper(ReLU):
    """max(2 x, 0), in NumPy, with its own derivative."""

    def forward(self, x):
        self.x = x
        return np.maximum(2 * x, 0)

    def backward(self, dy):
        return 2 * dy * (self.x > 0)


class Twice(ReLU):
    """max(max(x, 0), 0) by kernels: as ReLU, but counted."""

    def _forward(self, x, y, run):
        Twice.calls += 1
        super()._forward(x, y, run)

    _backward = ReLU._backward


class Shifted(Dense):
    """tanh(x @ w + b + 1), in NumPy: the activation is part of the layer."""

    def forward(self, x):
        self.x, self.y = x, np.tanh(x @ self.w + self.b + 1)
        return self.y

    def backward(self, dy):
        dy = dy * (1 - self.y**2)
        self.dw[:] = self.x.T @ dy
        self.db[:] = dy.sum(axis=0)
        return dy @ self.w.T


class Tempered(Softmax):
    """The softmax of half the input."""

    def forward(self, x):
        e = np.exp(x / 2 - x.max(axis=1, keepdims=True) / 2)
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y

    def backward(self, dy):
        return self.y * (dy - (self.y * dy).sum(axis=1, keepdims=True)) / 2


class Squeezed(Sigmoid):
    """The sigmoid of half the input."""

    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x / 2))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y) / 2


@pytest.mark.parametrize(
    ("name", "forward", "message"),
    [
        ("forward", lambda self, x: np.tanh(x / 2), r"HalfTanh 2 has no derivative: define backward\(dy\)"),
        (
            "_forward",
            lambda self, x, y, run: None,
            r"HalfTanh overrides _forward alone, and .*\._backward is not its derivative: override _backward, too",
        ),
    ],
)
def test_the_derivative_of_another_forward_is_not_inherited(name, forward, message):
    kind = type("HalfTanh", (Tanh,), {name: forward})
    with pytest.raises(TypeError, match=message):
        Model([Dense(5), kind()], seed=0).fit(X, np.zeros((len(X), 5)), "mse")


def loss_of_training(net, t, loss):
    return net.train_batch(X, t, loss=loss, optimizer=SGD(0))


@pytest.mark.parametrize("as_argument", [True, False], ids=["Dense(5, layer)", "layer"])
def test_an_activation_that_overrides_forward_is_not_fused_into_dense(as_argument):
    def net(kind):
        layers = [Dense(5, kind())] if as_argument else [Dense(5), kind()]
        return Model([*layers, Dense(OUTPUTS)], seed=0, dtype="float64")

    plain, steeper = net(ReLU), net(Steeper)
    plain.build(FEATURES).layers[0].w *= 2
    steeper.build(FEATURES)
    np.testing.assert_allclose(steeper.predict(X), plain.predict(X), rtol=1e-12, atol=1e-14)
    assert loss_of_training(steeper, T, "mse") == pytest.approx(loss_of_training(plain, T, "mse"), rel=1e-12)
    Twice.calls = 0
    twice, plain = net(Twice), net(ReLU)
    assert loss_of_training(twice, T, "mse") == loss_of_training(plain, T, "mse")
    assert Twice.calls > 0


def test_a_dense_layer_that_overrides_forward_is_not_fused_with_an_activation():
    plain, shifted = (Model([kind(5, "tanh"), Dense(OUTPUTS)], seed=0, dtype="float64") for kind in (Dense, Shifted))
    plain.build(FEATURES).layers[0].b += 1
    np.testing.assert_allclose(shifted.predict(X), plain.predict(X), rtol=1e-12)
    assert loss_of_training(shifted, T, "mse") == pytest.approx(loss_of_training(plain, T, "mse"), rel=1e-12)


@pytest.mark.parametrize(("kind", "loss"), [(Tempered, CrossEntropy()), (Squeezed, BinaryCrossEntropy())])
def test_an_activation_that_overrides_forward_is_not_merged_into_the_loss(kind, loss):
    t = np.eye(OUTPUTS)[np.arange(len(X)) % OUTPUTS]
    plain, own = (Model([Dense(OUTPUTS), end()], seed=0, dtype="float64") for end in (kind.__base__, kind))
    plain.build(FEATURES).layers[0].w /= 2
    np.testing.assert_allclose(own.predict(X), plain.predict(X), rtol=1e-12)
    assert loss_of_training(own, t, loss) == pytest.approx(loss_of_training(plain, t, loss), rel=1e-12)
    np.testing.assert_allclose(2 * own.grads[:12], plain.grads[:12], rtol=1e-10, atol=1e-14)
    assert own.evaluate(X, t)["loss"] == pytest.approx(plain.evaluate(X, t)["loss"], rel=1e-12)


class Smoothed(CrossEntropy):
    """Cross-entropy with a little of every other class, of probabilities."""

    def __init__(self, amount):
        super().__init__()
        self.amount = amount

    def value_and_grad(self, y, t):
        t = np.eye(y.shape[1])[t] * (1 - self.amount) + self.amount / y.shape[1]
        return -(t * np.log(y)).sum(axis=1).mean(), -t / y / len(y)


def test_a_loss_that_overrides_its_value_gets_probabilities():
    labels = np.arange(len(X)) % OUTPUTS
    rows = np.eye(OUTPUTS)[labels] * 0.7 + 0.1
    own, plain = (Model([Dense(OUTPUTS, "softmax")], seed=0, dtype="float64") for _ in range(2))
    first = own.fit(X, labels, Smoothed(0.3), SGD(0.1), epochs=3)
    other = plain.fit(X, rows, "cross_entropy", SGD(0.1), epochs=3)
    np.testing.assert_allclose(first.loss, other.loss, rtol=1e-12)
    np.testing.assert_allclose(own.params, plain.params, rtol=1e-11, atol=1e-13)


def log_softmax(x):
    z = x - x.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


class OwnLogSoftmax(LogSoftmax):
    """The same, by its own calls of the kernels."""

    def _forward(self, x, y, run):
        self.kernels.log_softmax_forward(x, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.log_softmax_backward(y, dy, dx, run.tape)


@pytest.mark.parametrize("rows", [False, True], ids=["labels", "rows"])
def test_cross_entropy_behind_an_own_log_softmax_is_the_true_loss(rows):
    labels = np.arange(len(X)) % OUTPUTS
    unit = np.eye(OUTPUTS)[labels]
    own, plain = (Model([Dense(OUTPUTS), kind()], seed=0, dtype="float64") for kind in (OwnLogSoftmax, LogSoftmax))
    expected = -(unit * own.predict(X)).sum(axis=1).mean()
    for net in (own, plain):
        assert loss_of_training(net, unit if rows else labels, CrossEntropy()) == pytest.approx(expected, rel=1e-12)
        assert net.evaluate(X, unit if rows else labels)["loss"] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(own.grads, plain.grads, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("rows", [False, True], ids=["labels", "rows"])
@pytest.mark.parametrize("kind", [Softmax, LogSoftmax])
def test_the_loss_of_a_net_that_is_an_activation_is_the_true_loss(kind, rows):
    labels = np.arange(len(X)) % FEATURES
    unit = np.eye(FEATURES)[labels]
    expected = -(unit * log_softmax(X)).sum(axis=1).mean()
    net = Model([kind()], dtype="float64")
    assert net.evaluate(X, unit if rows else labels)["loss"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "loss"),
    [*((kind, CrossEntropy) for kind in (GELU, SiLU, Softplus)), (LogSoftmax, BinaryCrossEntropy)],
)
def test_a_loss_refuses_what_are_no_probabilities_for_it(kind, loss):
    targets = np.arange(len(X)) % OUTPUTS if loss is CrossEntropy else (T > 0)
    net = Model([Dense(OUTPUTS), kind()], seed=0)
    for method in (net.fit, net.evaluate):
        with pytest.raises(ValueError, match=f"^{loss.__name__}"):
            method(X, targets, loss())
    assert not net.built


class Clipped(Loss):
    """The loss of a policy over logits, of columns of t: actions, advantages, and the probabilities before."""

    def targets(self, t, n_out, dtype):
        return np.asarray(t, dtype)

    def value_and_grad(self, y, t):
        action, advantage, before = np.eye(y.shape[1])[t[:, 0].astype(int)], t[:, 1], t[:, 2]
        p = np.exp(log_softmax(y))
        ratio = (p * action).sum(axis=1) / before
        bounded = np.clip(ratio, 0.8, 1.2)
        counts = (ratio * advantage <= bounded * advantage) * ratio * advantage
        return -np.minimum(ratio * advantage, bounded * advantage).mean(), counts[:, None] * (p - action) / len(y)


def test_targets_of_a_loss_may_have_another_shape_than_predictions():
    rng = np.random.default_rng(0)
    t = np.column_stack([rng.integers(0, 2, len(X)), rng.normal(size=len(X)), np.full(len(X), 0.5)])
    net, loss = Model([Dense(8, "tanh"), Dense(2)], seed=0, dtype="float64"), Clipped()
    first = [net.train_batch(X[:n], t[:n], loss=loss, optimizer="adam") for n in (len(X), 5, len(X))]
    history = net.fit(X, t, loss, epochs=20, batch_size=7, validation_data=(X, t))
    assert history.val_loss[-1] < first[0]
    assert net.evaluate(X, t)["loss"] == pytest.approx(loss(net.predict(X), t), rel=1e-12)


def test_a_loss_of_ones_own_is_told_how_it_may_have_other_targets():
    with pytest.raises(
        ValueError, match=r"y has shape .*, 3\), .*what else LogCosh takes.* targets\(self, t, n_out, dtype\)"
    ):
        Model([Dense(2)]).train_batch(X, np.ones((len(X), 3)), loss=LogCosh())


# What changes between two fits


def set_slope(net):
    net.layers[1].negative_slope = 0.3


def set_delta(net):
    net.loss.delta = 0.1


def set_optimizer(net):
    net.optimizer = SGD(0.2, momentum=0.5)


def set_loss(net):
    net.loss = MAE()


@pytest.mark.parametrize("method", ["fit", "train_batch"])
@pytest.mark.parametrize("change", [set_slope, set_delta, set_optimizer, set_loss])
def test_a_change_between_two_fits_takes_effect(change, method):
    def new():
        net = Model([Dense(5), LeakyReLU(0.01), Dense(OUTPUTS)], seed=0, dtype="float64")
        net.loss, net.optimizer = Huber(1.0), SGD(0.1)
        return net

    options = {"epochs": 2, "batch_size": 8, "shuffle": False} if method == "fit" else {}
    changed, fresh, unchanged = new(), new(), new()
    for net in (changed, unchanged):
        getattr(net, method)(X, T, **options)
    for net in (fresh, unchanged):
        net.build(FEATURES).params = changed.params
    for net in (changed, fresh):
        change(net)
    for net in (changed, fresh, unchanged):
        getattr(net, method)(X, T, **options)
    assert same_bits(changed.params, fresh.params)
    assert not same_bits(changed.params, unchanged.params)
    assert changed.evaluate(X, T) == fresh.evaluate(X, T)


@pytest.mark.parametrize("loss", [np.inf, np.nan])
def test_early_stopping_does_not_return_to_the_parameters_of_another_fit(loss):
    stopping = EarlyStopping(patience=2)
    first, second = (Model([Dense(OUTPUTS)], seed=seed).build(FEATURES) for seed in (1, 2))
    first.fit(X, T, "mse", epochs=3, callbacks=[stopping])
    before = second.params.copy()
    stopping.begin(second)
    answers = [stopping(second, epoch, {"loss": loss}) for epoch in range(4)]
    assert any(answers)
    assert same_bits(second.params, before)


def test_a_subclass_that_overrides_nothing_runs_as_its_base():
    class Named(Tanh):
        pass

    plain, named = (Model([Dense(5), kind(), Dense(OUTPUTS)], seed=0) for kind in (Tanh, Named))
    for net in (plain, named):
        net.fit(X, T, "mse", epochs=2)
    assert same_bits(plain.params, named.params)
    stages = [[type(stage) for stage in net._trainer._training.chain.stages] for net in (plain, named)]
    assert stages[0] == stages[1]
    assert len(stages[0]) == 2  # the activation runs inside the product


# Tapes


def test_a_tape_replays_what_was_recorded_on_what_the_arrays_hold_now():
    x, y, z = np.zeros((2, 3)), np.empty((2, 3)), np.empty((2, 3))
    tape = Tape()
    kernels.float64.relu_forward(x, y, tape)
    kernels.float64.tanh_forward(y, z, tape)
    assert len(tape) == 2
    z[...] = 7
    for values in (-1.0, 0.5):
        x[...] = values
        tape.replay()
        np.testing.assert_allclose(z, np.tanh(max(values, 0)), rtol=1e-15)


def test_recording_runs_nothing():
    y = np.full((2, 3), 7.0)
    kernels.float64.relu_forward(np.ones((2, 3)), y, Tape())
    assert (y == 7).all()


def test_a_tape_keeps_its_arrays_alive():
    tape, y = Tape(), np.empty((1000, 30))
    kernels.float64.relu_forward(np.full((1000, 30), 3.0), y, tape)
    trash = [np.full((1000, 30), -1.0) for _ in range(10)]
    tape.replay()
    assert (y == 3).all()
    del trash


def test_an_empty_tape_does_nothing():
    tape = Tape()
    assert len(tape) == 0
    assert tape.replay() is None
    assert tape.replay(0, 0) is None


HELD = {
    "tape": (Tape, "a Tape holds the addresses of arrays, .*: record its calls anew"),
    "team": (lambda: Team(1), "a Team holds threads of this process, .*: make a new one"),
    "activation": (lambda: kernels.float64.activations["relu"], "the activation relu cannot be .*: keep its name"),
    "kernel": (lambda: kernels.float64.sgd.__self__, "the kernel sgd cannot be copied or pickled: keep its name"),
}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda copied: copied.__name__)
@pytest.mark.parametrize("held", HELD)
def test_what_holds_addresses_says_that_it_has_no_copies(held, copied):
    make, message = HELD[held]
    with pytest.raises(TypeError, match=f"^{message}"):
        copied(make())


def test_parts_of_a_tape():
    tape, seen = Tape(), []
    for i in range(100):
        tape.call(lambda i=i: seen.append(i))
    tape.replay(begin=3, end=5)
    tape.replay(98)
    tape.replay(7, 7)
    assert seen == [3, 4, 98, 99]
    for begin, end in ((-1, 5), (5, 3), (0, 101), (101, None)):
        with pytest.raises(IndexError, match="of a tape of 100"):
            tape.replay(begin, end)
    with pytest.raises(ValueError, match="parts is 0, expected at least 1"):
        tape.replay(parts=0)


def test_a_python_step_that_raises_stops_the_replay():
    tape, seen = Tape(), []
    failing = [True]

    def fail():
        if failing[0]:
            raise KeyError("told to")

    tape.call(lambda: seen.append("before"))
    tape.call(fail)
    tape.call(lambda: seen.append("behind"))
    with pytest.raises(KeyError, match="told to"):
        tape.replay()
    assert seen == ["before"]
    failing[0] = False
    tape.replay()
    assert seen == ["before", "before", "behind"]
    stopped = Tape()
    stopped.call(sys.exit)
    with pytest.raises(SystemExit):
        stopped.replay()


def test_a_tape_that_is_extended_by_others_replays_their_calls():
    """On the same arrays, which it keeps alive, with what functions raise; the others stay as they are."""
    k, seen, first, second, both = kernels.float64, [], Tape(), Tape(), Tape()
    x, y = np.array([[-1.0, 2.0]]), np.empty((1, 2))
    k.relu_forward(x, y, first)
    second.call(lambda: seen.append(y.copy()))
    second.call(lambda: [][len(seen) - 1])
    both.extend(first)
    both.extend(second)
    assert (len(first), len(second), len(both)) == (1, 2, 3)
    assert [tape.calls_functions for tape in (first, second, both)] == [False, True, True]
    del first, second
    with pytest.raises(IndexError):
        both.replay()
    assert (seen[0] == [[0, 2]]).all()
    both.replay(0, 2)
    assert len(seen) == 2
    with pytest.raises(ValueError, match=r"Tape\.extend expects another tape"):
        both.extend(both)
    with pytest.raises(TypeError, match="tape"):
        both.extend(None)
    many, more = Tape(), Tape()
    for i in range(100):
        many.call(lambda i=i: seen.append(i))
    more.extend(many)
    more.replay()
    assert seen[2:] == list(range(100))
    playing, other = Tape(), Tape()
    playing.call(lambda: playing.extend(other))
    with pytest.raises(RuntimeError, match="is being replayed"):
        playing.replay()


def test_a_python_step_may_replay_another_tape():
    inner, outer, seen = Tape(), Tape(), []
    inner.call(lambda: seen.append(1))
    outer.call(inner.replay)
    outer.call(inner.replay)
    outer.replay()
    assert seen == [1, 1]


@pytest.mark.parametrize("times", [1, 100])  # 100 steps would move the memory of the tape
def test_a_python_step_cannot_record_into_its_own_tape(times):
    x, y = np.ones((2, 2, 3))
    recordings = {
        "a function": lambda tape: tape.call(lambda: None),
        "a kernel": lambda tape: kernels.float64.relu_forward(x, y, tape),
        "a guard": lambda tape: guard(np.ones(1), tape),
    }
    for record in recordings.values():
        tape = Tape()

        def append(record=record, tape=tape):
            for _ in range(times):
                record(tape)

        tape.call(append)
        with pytest.raises(RuntimeError, match="is being replayed"):
            tape.replay()
        assert len(tape) == 1
        with pytest.raises(RuntimeError, match="is being replayed"):
            tape.replay()
        record(tape)
        assert len(tape) == 2


def test_a_tape_cannot_replay_itself():
    tape, outer = Tape(), Tape()
    tape.call(tape.replay)
    with pytest.raises(RuntimeError, match="is being replayed"):
        tape.replay()
    inner = Tape()
    inner.call(outer.replay)
    outer.call(inner.replay)
    for _ in range(2):  # each is free again after the error
        with pytest.raises(RuntimeError, match="is being replayed"):
            outer.replay()
        with pytest.raises(RuntimeError, match="is being replayed"):
            inner.replay()


def test_a_tape_that_another_thread_replays_is_left_alone():
    tape, began, go_on, seen = Tape(), threading.Event(), threading.Event(), []
    tape.call(began.set)
    tape.call(lambda: go_on.wait(30))
    tape.call(lambda: seen.append(1))
    thread = threading.Thread(target=tape.replay)
    thread.start()
    try:
        assert began.wait(30)
        with pytest.raises(RuntimeError, match="is being replayed"):
            kernels.float64.relu_forward(np.ones((2, 3)), np.ones((2, 3)), tape)
        with pytest.raises(RuntimeError, match="is being replayed"):
            tape.replay()
        with pytest.raises(RuntimeError, match="is being replayed"), Team(2) as team:
            tape.tasks(team)
    finally:
        go_on.set()
        thread.join()
    assert seen == [1]
    with Team(2) as team:
        assert tape.tasks(team) == [0, 1, 2]
    assert len(tape) == 3
    tape.replay()
    assert seen == [1, 1]


@pytest.mark.parametrize("labels", [False, True], ids=["gather_rows", "gather_labels"])
def test_a_gather_of_no_rows_is_replayed(labels):
    gather = kernels.float64.gather_labels if labels else kernels.float64.gather_rows
    x, y = (np.arange(3), np.empty(0, int)) if labels else (np.ones((3, 2)), np.empty((0, 2)))
    tape = Tape()
    gather(x, np.empty(0, np.int64), np.zeros(1, np.int64), y, tape)
    tape.replay()


@pytest.mark.parametrize("labels", [False, True], ids=["gather_rows", "gather_labels"])
@pytest.mark.parametrize("change", ["index", "cursor"])
@pytest.mark.parametrize("value", [-1, 10, 2**62, -(2**62)])
def test_a_gather_out_of_range_stops_the_replay(value, change, labels):
    x = np.arange(10) if labels else np.arange(20.0).reshape(10, 2)
    gather = kernels.float64.gather_labels if labels else kernels.float64.gather_rows
    index, cursor, tape, seen = np.arange(10), np.array([3]), Tape(), []
    y = np.zeros_like(x[:4])
    gather(x, index, cursor, y, tape)
    tape.call(lambda: seen.append(1))
    tape.replay()
    np.testing.assert_array_equal(y, x[3:7])
    {"index": index[5:6], "cursor": cursor}[change][0] = value
    for parts in (1, 3):
        with pytest.raises(IndexError, match="range"):
            tape.replay(parts=parts)
    assert seen == [1]
    index[5], cursor[0] = 0, 6
    tape.replay()
    np.testing.assert_array_equal(y, x[6:10])


@pytest.mark.parametrize("change", ["index", "cursor"])
@pytest.mark.parametrize("value", [-1, 10, 2**62, -(2**62)])
def test_rows_out_of_range_stop_the_replay_before_anything_is_written(value, change):
    k, rows = kernels.float64, Rows(np.ones((10, 3)), np.arange(10), np.array([3]))
    w, b, dy, y, dw, lr = np.ones((3, 2)), np.ones(2), np.ones((4, 2)), np.zeros((4, 2)), np.zeros((3, 2)), np.ones(1)
    tapes, outputs = [Tape(), Tape(), Tape()], [y, dw, w]
    k.dense_forward(rows, w, b, y, tape=tapes[0])
    k.dense_backward(rows, w, dy, None, dw, None, tape=tapes[1])
    k.dense_sgd(rows, w, b, dy, lr, tape=tapes[2])
    {"index": rows.index[5:6], "cursor": rows.cursor}[change][0] = value
    for tape, output in zip(tapes, outputs, strict=True):
        before = output.copy()
        for parts in (1, 3):
            with pytest.raises(IndexError, match="range"):
                tape.replay(parts=parts)
        np.testing.assert_array_equal(output, before)
    rows.index[5], rows.cursor[0] = 0, 6
    for tape in tapes:
        tape.replay()
    np.testing.assert_array_equal(y, np.full((4, 2), 4.0))
    np.testing.assert_array_equal(w, np.full((3, 2), -3.0))


def test_arrays_cannot_be_resized_while_a_tape_holds_them():
    arguments = {name: array.array("d", [1.0, 2.0]) for name in ("w", "dw", "velocity")} | {"lr": array.array("d", [1])}
    tape = Tape()
    kernels.float64.sgd(**arguments, momentum=0.5, tape=tape)
    for argument in arguments.values():
        with pytest.raises(BufferError):
            argument.extend(range(10_000))
    tape.replay()
    assert arguments["velocity"].tolist() == [1.5, 3.0]
    assert arguments["w"].tolist() == [-0.5, -1.0]
    del tape
    for argument in arguments.values():
        argument.append(0.0)


def test_only_functions_can_be_called():
    with pytest.raises(TypeError, match=r"Tape\.call expects a function without arguments, got int"):
        Tape().call(3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_guard_stops_where_the_value_is_not_finite(value):
    cell, seen, tape = np.array([1.0]), [], Tape()
    guard(cell)
    guard(cell, tape)
    tape.call(lambda: seen.append(1))
    tape.replay()
    cell[0] = value
    with pytest.raises(FloatingPointError, match="the loss is not finite"):
        tape.replay()
    with pytest.raises(FloatingPointError, match="the loss is not finite"):
        guard(cell)
    assert seen == [1]
    with pytest.raises(ValueError, match=r"guard: value has shape \(2,\), expected \(1,\)"):
        guard(np.zeros(2))


@pytest.mark.parametrize("options", [{}, {"parts": 3}, {"team": 2}], ids=str)
def test_every_ends_a_replay_that_is_not_the_kth(options):
    """And nothing is wrong: the calls behind it run every k-th time."""
    k, (before, count, behind), tape = kernels.float64, np.zeros((3, 1)), Tape()
    k.increment(before, tape)
    k.every(count, 3, tape)
    k.increment(behind, tape)
    with Team(options.get("team", 1), divide_all=True) as team:
        for i in range(1, 10):
            tape.replay(**options | ({"team": team} if "team" in options else {}))
            assert (before[0], count[0], behind[0]) == (i, i % 3, i // 3)
    tape.replay(2)  # what lies behind alone
    assert behind[0] == 4


def test_every_is_read_again_at_every_run():
    k, (count, behind), times, tape = kernels.float64, np.zeros((2, 1)), np.array([4.0]), Tape()
    k.every(count, times, tape)
    k.increment(behind, tape)
    for _ in range(3):
        tape.replay()
    times[0] = 2  # fewer than have been counted
    tape.replay()
    assert (count[0], behind[0]) == (0, 1)


def test_without_a_tape_every_only_counts():
    count = np.zeros(1)
    for i in range(1, 8):
        kernels.float32.every(count, 4)
        assert count[0] == i % 4


def test_every_counts_the_batches_of_all_epochs():
    """What gathers may end, too: the step follows."""
    k, (count, gathered, behind), losses = kernels.float64, np.zeros((3, 1)), np.zeros(4)
    gather, step = Tape(), Tape()
    k.every(gathered, 1000, gather)
    k.every(count, 3, step)
    k.increment(behind, step)
    arguments = {
        "gather": gather, "step": step, "gather_rest": gather, "step_rest": step, "index": np.arange(10),
        "cursor": np.zeros(1, np.int64), "value": np.ones(1), "batch_size": 4, "shuffle": True, "seed": 0,
        "first_epoch": 0, "losses": losses,
    }  # fmt: skip
    with pytest.raises(RuntimeError, match="being replayed"):
        run_epochs(**arguments)
    gather_rest, step_rest = Tape(), Tape()
    k.every(gathered, 1000, gather_rest)
    k.every(count, 3, step_rest)
    k.increment(behind, step_rest)
    assert run_epochs(**arguments | {"gather_rest": gather_rest, "step_rest": step_rest}) is None
    assert (gathered[0], count[0], behind[0]) == (12, 0, 4)
    assert (losses == 1).all()
    arguments |= {"gather": None, "gather_rest": None, "step_rest": step_rest}  # the step gathers itself
    assert run_epochs(**arguments) is None
    assert (gathered[0], count[0], behind[0]) == (12, 0, 8)


@pytest.mark.parametrize(
    "changes",
    [
        {"index": np.arange(0)},
        {"batch_size": 0},
        {"step_rest": None},
        {"gather_rest": None, "step_rest": None},
        {"gather_rest": None},
        {"gather": None},
        {"batch_size": 5},
        {"cursor": np.zeros(2, np.int64)},
    ],
    ids=[
        "no rows",
        "batch_size 0",
        "half of the rest missing",
        "rest missing",
        "gather missing",
        "no gather but of the rest",
        "rest too many",
        "two cursors",
    ],
)
def test_run_epochs_refuses_sizes_that_do_not_fit(changes):
    arguments = {
        "gather": Tape(), "step": Tape(), "gather_rest": Tape(), "step_rest": Tape(), "index": np.arange(10),
        "cursor": np.zeros(1, np.int64), "value": np.zeros(1), "batch_size": 4, "shuffle": False, "seed": 0,
        "first_epoch": 0, "losses": np.zeros(3),
    }  # fmt: skip
    assert run_epochs(**arguments) is None
    with pytest.raises(ValueError, match="run_epochs: expected"):
        run_epochs(**{**arguments, **changes})


def test_identity_passes_on():
    assert same_bits(Identity().forward(X), X)

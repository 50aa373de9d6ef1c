"""The contract of layers, losses and optimizers: what they declare, which of two forms runs, and what they hold."""

import copy
import importlib.util
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from custom import Codes, Cube, Scale
from nets import FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, each_optimizer, memory_of, same_bits
from test_gradients import numerical_gradient

from fastnn import (
    ELU,
    GEGLU,
    L2,
    MSE,
    SGD,
    Adam,
    Add,
    AlphaDropout,
    BatchEnsemble,
    BatchNorm,
    Bias,
    Bilinear,
    Columns,
    Dense,
    Dropout,
    ElasticNet,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GroupedDense,
    HardTanh,
    Identity,
    Lambda,
    Layer,
    LayerNorm,
    LeakyReLU,
    Loss,
    Maxout,
    MeanOfMembers,
    Members,
    Model,
    Normalization,
    OneHot,
    Optimizer,
    Parallel,
    ParametricActivation,
    PBLDEmbedding,
    Penalize,
    PiecewiseLinearEmbedding,
    PLREmbedding,
    PReLU,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Softmax,
    Softmin,
    Softplus,
    SwiGLU,
    Tanh,
    kernels,
)
from fastnn import Scale as Scaling
from fastnn._core.team import Team
from fastnn.layers.declarations import Code

X, T = data()

# Layers of layers that users write


class Holding(Layer):
    """Two layers in a row, in NumPy."""

    def __init__(self, held):
        self.held = held

    def first_and_second(self):
        return self.held

    def forward(self, x):
        first, second = self.first_and_second()
        return second.forward(first.forward(x))

    def backward(self, dy):
        first, second = self.first_and_second()
        return first.backward(second.backward(dy))


class InAttributes(Holding):
    def __init__(self, held):
        self.first, self.second = held

    def first_and_second(self):
        return self.first, self.second


class InADict(Holding):
    def __init__(self, held):
        self.held = dict(zip(("first", "second"), held, strict=True))

    def first_and_second(self):
        return self.held["first"], self.held["second"]


class InAListOfDicts(Holding):
    def __init__(self, held):
        self.held = [{"layer": held[0]}, ({"layer": [held[1]]},)]

    def first_and_second(self):
        return self.held[0]["layer"], self.held[1][0]["layer"][0]


class Branches(Layer):
    """The sum of what its layers make of the same x: not in a row."""

    def __init__(self, *branches):
        self.branches = branches

    def build(self, n_in):
        (n_out,) = {self.build_child(branch, n_in) for branch in self.branches}
        return n_out

    def forward(self, x):
        return sum(branch.forward(x) for branch in self.branches)

    def backward(self, dy):
        return sum(branch.backward(dy) for branch in self.branches)


class Gate(Layer):
    """y = x * sigmoid(inner(x)), from kernels, with a layer inside."""

    def __init__(self, inner):
        self.inner = inner

    def build(self, n_in):
        self.scratch("gate", ("rows", n_in))
        self.scratch("slope", ("rows", n_in))
        self.scratch("bounded", ("rows", n_in))
        assert self.build_child(self.inner, n_in) == n_in
        return n_in

    def _forward(self, x, y, run):
        gate = run.scratch["gate"]
        self.kernels.sigmoid_forward(run.inner.forward(x), gate, run.tape)
        self.kernels.tanh_forward(x, y, run.tape)
        self.kernels.add(y, gate, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        gate, slope = run.scratch["gate"], run.scratch["slope"]
        if run.inner.dy is not None:
            self.kernels.sigmoid_backward(gate, dy, run.inner.dy, run.tape)
            run.inner.backward(slope)
        if dx is not None:
            self.kernels.tanh_forward(x, run.scratch["bounded"], run.tape)
            self.kernels.tanh_backward(run.scratch["bounded"], dy, dx, run.tape)
            self.kernels.add(dx, slope, dx, run.tape)


def dx_of_arcsinh(x, y, dy):
    return dy / np.cosh(y)


def pairs(x):
    """The product of each number and the next."""
    return x[:, 1:] * x[:, :-1]


def dx_of_pairs(x, y, dy):
    dx = np.zeros_like(x)
    dx[:, :-1] += x[:, 1:] * dy
    dx[:, 1:] += x[:, :-1] * dy
    return dx


def two(n=5):
    return [Dense(6, "tanh"), Dense(n)]


def adapted(n=FEATURES, **settings):
    """A normalization that is fitted already: what it would be fitted to differs between ways to train."""
    return Normalization(**settings).adapt(np.random.default_rng(3).normal(0.5, 2, (40, n)))


def binned():
    """An embedding that has its edges already, for the same reason."""
    return PiecewiseLinearEmbedding(3, bins=5).adapt(np.random.default_rng(3).normal(0.5, 2, (40, FEATURES)))


# name: the layers of a net whose last has OUTPUTS units
LAYERS = {
    "dropout": lambda: [Dense(5, "tanh"), Dropout(0.4), Dense(OUTPUTS)],
    "prelu": lambda: [Dense(5, "prelu"), Dense(4), PReLU(per_column=True, init=-0.5), Dense(OUTPUTS)],
    "parametric": lambda: [
        ParametricActivation("selu", 0.7), Dense(5, ParametricActivation("mish")), Dense(4), Residual([
            ParametricActivation(ELU(0.5))]), Dense(OUTPUTS, ParametricActivation("tanh")),
    ],
    "prelu first and last": lambda: [PReLU(), Dense(OUTPUTS, PReLU(True))],
    "gates": lambda: [Dense(12, "glu"), SwiGLU(), Dense(OUTPUTS)],
    "gates last": lambda: [GEGLU(), Dense(4, "tanh"), Bilinear(), Dense(2 * OUTPUTS, "reglu")],
    "softmin": lambda: [Dense(5, "softmin"), Dense(4, "tanh"), Softmin(), Dense(OUTPUTS)],
    "thresholds": lambda: [Dense(6, Softplus(2.0, 1.0)), Dense(5, HardTanh(-0.3, 0.4)), Dense(OUTPUTS)],
    "dropout first": lambda: [Dropout(0.3), Dense(5, "tanh"), Dense(OUTPUTS)],
    "dropout last": lambda: [Dense(OUTPUTS), Dropout(0.3)],
    "batch norm": lambda: [Dense(5), BatchNorm(), Tanh(), Dense(OUTPUTS)],
    "batch norm first": lambda: [BatchNorm(), Dense(5, "tanh"), Dense(OUTPUTS)],
    "batch norm behind an activation": lambda: [Dense(5, "tanh"), BatchNorm(), Dense(OUTPUTS)],
    "batch norm last": lambda: [Dense(5, "tanh"), Dense(OUTPUTS), BatchNorm()],
    "layer norm": lambda: [Dense(5), LayerNorm(), Tanh(), Dense(OUTPUTS)],
    "rms norm": lambda: [RMSNorm(), Dense(5), RMSNorm(0.1, elementwise_affine=False), Tanh(), Dense(OUTPUTS)],
    "rms norm last": lambda: [Dense(5, "tanh"), Dense(OUTPUTS), RMSNorm()],
    "noise": lambda: [
        GaussianNoise(0.2), Dense(5, "selu"), AlphaDropout(0.3), Dense(5, "tanh"), GaussianDropout(0.2), Dense(OUTPUTS),
    ],
    "noise last": lambda: [Dense(5), AlphaDropout(0.2), Bias(), GaussianNoise(0.1), Dense(OUTPUTS), GaussianDropout()],
    "diagonal": lambda: [Scaling(), Bias(), Dense(5, "tanh"), Scaling(), Dense(5, bias=False), Bias(), Dense(OUTPUTS)],
    "diagonal last": lambda: [Dense(5, "tanh"), Bias(), Dense(OUTPUTS), Scaling()],
    "maxout": lambda: [Maxout(5), Maxout(6, 3, bias=False), Maxout(OUTPUTS)],
    "shapes": lambda: [Flatten(), Dense(4), Reshape((2, -1)), Tanh(), Dense(OUTPUTS), Flatten()],
    "lambda": lambda: [
        Lambda(np.arcsinh, dx_of_arcsinh), Dense(5), Lambda(pairs, dx_of_pairs, units=4), Dense(OUTPUTS),
    ],
    "layer norm first": lambda: [LayerNorm(), Dense(5, "tanh"), Dense(OUTPUTS)],
    "layer norm last": lambda: [Dense(5, "tanh"), Dense(OUTPUTS), LayerNorm()],
    "columns": lambda: [Columns(3, slice(0, 2), -1), Dense(5, "tanh"), Columns(4, 1, 1), Dense(OUTPUTS)],
    "columns last": lambda: [Dense(5), Columns(2, 0, 2)],
    "one hot": lambda: [Codes(), OneHot({0: 2, 2: 3}, unseen_column=True), Dense(5, "tanh"), Dense(OUTPUTS)],
    "embedding": lambda: [Codes(), Embedding({2: 3, 0: 2}, 4), Tanh(), Dense(OUTPUTS)],
    "embedding alone": lambda: [Codes(), Columns(2, 0), Embedding(2, others=False), Dense(OUTPUTS)],
    "grouped": lambda: [GroupedDense(3, 2), Tanh(), GroupedDense(1, 3, bias=False), Dense(OUTPUTS)],
    "grouped last": lambda: [Dense(6, "tanh"), GroupedDense(1, OUTPUTS)],
    "members": lambda: [
        Members(3), BatchEnsemble(4, 3, "tanh", r_initializer="signs"), Dropout(0.2),
        BatchEnsemble(3, 3, bias=False), GroupedDense(2, 3), MeanOfMembers(3, "softmax"), Dense(OUTPUTS),
    ],
    "waves": lambda: [PBLDEmbedding(3, 4), Dense(5, "tanh"), PBLDEmbedding(2, 3, 0.3), Dense(OUTPUTS)],
    "waves and relu": lambda: [
        PLREmbedding(3, 4, 0.2), Dense(5, "tanh"), PLREmbedding(2, 3, 0.3, lite=True), Dense(OUTPUTS),
    ],
    "waves beside codes": lambda: [
        Codes(), Parallel([
            Sequential([Columns(2, 0), Embedding(3, 2)]), Sequential([Columns(1, 3), PBLDEmbedding(3, 5)]),
        ]), Dense(OUTPUTS),
    ],
    "bins": lambda: [
        binned(), Dense(5, "tanh"), PiecewiseLinearEmbedding(2, edges=[[-1, 0.1, 1], [], [0, 1], [-2, 2], []]),
        Dense(OUTPUTS),
    ],
    "normalization": lambda: [adapted(), Dense(5, "tanh"), Dense(OUTPUTS)],
    "normalization inside": lambda: [Dense(5, "tanh"), adapted(5, robust=True), Dense(OUTPUTS)],
    "normalization of what is missing": lambda: [
        Codes(), adapted(missing="center"), OneHot({0: 2}), Dense(OUTPUTS),
    ],
    "normalization in a residual": lambda: [Residual([Dense(FEATURES), adapted()]), Dense(OUTPUTS)],
    "residual": lambda: [Dense(5, "tanh"), Residual(two()), Dense(OUTPUTS)],
    "residual first": lambda: [Residual(two(FEATURES)), Dense(OUTPUTS)],
    "residual last": lambda: [Dense(OUTPUTS), Residual(two(OUTPUTS))],
    "residual of an activation": lambda: [Dense(5), Residual([Tanh()]), Dense(OUTPUTS)],
    "residual of dropout": lambda: [Dense(5), Residual([Dropout(0.4)]), Dense(OUTPUTS)],
    "residual alone": lambda: [Residual([Dense(FEATURES)]), Dense(OUTPUTS)],
    "sequential": lambda: [Sequential(two()), Sequential([Tanh(), Dense(OUTPUTS)])],
    "parallel": lambda: [
        Dense(5, "tanh"),
        Parallel([Sequential(two(3)), Identity(), Tanh(), Sequential([Dense(3), BatchNorm(), Tanh(), Dropout(0.3)])]),
        Dense(OUTPUTS),
    ],
    "parallel first and last": lambda: [
        Parallel([Dense(6, "tanh"), Identity()]), Parallel([Dense(OUTPUTS - 1), Dense(1, "sigmoid")]),
    ],
    "parallel in parallel": lambda: [
        Dense(4), Parallel([Parallel([Dense(2), Scale(), Dropout(0.3)]), Residual([Dense(4, "tanh")])]), Dense(OUTPUTS),
    ],
    "add": lambda: [
        Dense(4), Add([Sequential(two()), Dense(5, bias=False), Sequential([BatchNorm(), Dense(5, "tanh")])]), Tanh(),
        Add([Dense(OUTPUTS, "tanh")]),
    ],
    "nested": lambda: [
        Sequential([Dense(5), BatchNorm(), Sequential([Tanh(), Dropout(0.2)])]),
        Residual([Sequential([LayerNorm(), Dense(5, "tanh")]), Residual([Dropout(0.1), Dense(5), BatchNorm()])]),
        Dense(OUTPUTS),
    ],
    "numpy inside": lambda: [
        Residual([Scale(), Dense(FEATURES, "tanh"), Cube()]), Sequential([Scale(), Dense(OUTPUTS)]),
    ],
    "numpy around": lambda: [Holding([Dense(5), BatchNorm()]), Tanh(), Dense(OUTPUTS)],
    "in attributes": lambda: [InAttributes(two()), Dense(OUTPUTS)],
    "in a list": lambda: [Dense(4, "tanh"), Holding(two()), Dense(OUTPUTS)],
    "in a dict": lambda: [InADict(two()), Dense(OUTPUTS)],
    "in a list of dicts": lambda: [InAListOfDicts(two()), Dense(OUTPUTS)],
    "branches": lambda: [Branches(Dense(5, "tanh"), Sequential([Dense(3), Dense(5)])), Dense(OUTPUTS)],
    "numpy around everything": lambda: [
        Holding([Residual([Dense(FEATURES, "tanh")]), Sequential([Dropout(0.2), Scale(), LayerNorm()])]),
        Dense(OUTPUTS),
    ],
    "numpy around numpy": lambda: [Holding([Holding(two()), Cube()]), Dense(OUTPUTS)],
    "activation of dense": lambda: [Dense(5, Sequential([BatchNorm(), Tanh()])), Dense(OUTPUTS, LayerNorm())],
    "penalize": lambda: [Penalize(L2(0.1)), Dense(5, "tanh"), Penalize(ElasticNet(0.1, 0.3)), Dense(OUTPUTS)],
    "penalize inside": lambda: [
        Dense(5), Residual([Tanh(), Penalize(L2(0.3))]), Dense(OUTPUTS), Penalize(L2(0.2)),
    ],
    "kernels around": lambda: [Dense(5), Gate(Dense(5)), Dense(OUTPUTS)],
    "kernels around all": lambda: [
        Dense(5), Gate(Sequential([Dense(6, "tanh"), Dropout(0.2), Dense(5)])), Dense(OUTPUTS),
    ],
}  # fmt: skip
each_layers = pytest.mark.parametrize("name", LAYERS)


def net_of(name, dtype="float64", seed=0):
    """A net with parameters at which nothing is special."""
    net = Model(LAYERS[name](), seed, dtype).build(FEATURES)
    net.params[...] += np.random.default_rng(seed).normal(0, 0.2, net.params.shape)
    return net


def state_of(net):
    states = [array for layer in net._tree.all for array in layer.states.values()]
    return [array.copy() for array in (net.params, *states, *memory_of(net).values())]


def same_state(a, b):
    return len(a) == len(b) and all(map(same_bits, a, b))


def assert_same_gradient(got, numerical):
    assert np.abs(got - numerical).max() <= 1e-7 * np.abs(numerical).max()


@each_layers
def test_gradients_by_hand(name):
    net, x, dy = net_of(name), X[:7].copy(), np.random.default_rng(2).normal(size=(7, OUTPUTS))
    net.forward(x)
    dx = net.backward(dy)
    grads = net.grads.copy()

    def objective():  # nothing is counted on, and no mask changes, before a step is taken
        y, passes = net.forward(x), net._trainer.passes()
        added = [array.sum() for array in passes._chain.added(passes._last.memory)]
        return float(np.sum(dy * y)) + sum(added)

    assert_same_gradient(grads, numerical_gradient(objective, net.params))
    assert_same_gradient(dx, numerical_gradient(objective, x))


@each_layers
def test_gradients_of_the_training_step(name):
    net, x, t = net_of(name), X[:7], T[:7]
    kept = net.snapshot()
    net.train_batch(x, t, loss="mse", optimizer=SGD(0.0))
    grads = net.grads.copy()
    net.restore(kept)

    def objective():
        before = net.snapshot()
        value = net.train_batch(x, t)
        net.restore(before)
        return value

    assert_same_gradient(grads, numerical_gradient(objective, net.params))


@each_dtype
@each_layers
def test_eager_steps_are_those_that_are_replayed(name, dtype):
    """By hand, in train_batch, in a fit of one call, and in a fit that looks between epochs."""
    nets, optimizers = [net_of(name, dtype) for _ in range(4)], [Adam(0.01) for _ in range(4)]
    by_hand, by_batch, by_fit, looking = nets
    starts = [0, 8, 16] * 2
    for start in starts:
        rows = slice(start, start + 8)
        y = by_hand.forward(X[rows])
        by_hand.backward(MSE().value_and_grad(y, T[rows].astype(dtype))[1])
        optimizers[0].step(by_hand)
        by_batch.train_batch(X[rows], T[rows], None, "mse", optimizers[1])
    by_hand.optimizer = optimizers[0]
    for net, calls in ((by_fit, []), (looking, [lambda *_: None])):
        optimizer = optimizers[nets.index(net)]
        net.fit(X, T, "mse", optimizer, epochs=2, batch_size=8, shuffle=False, callbacks=calls)
    for net in (by_batch, by_fit, looking):
        assert same_state(state_of(net), state_of(by_hand))
    assert same_bits(by_hand.predict(X), by_fit.predict(X))


def eager_forward(layers, x):
    for layer in layers:
        x = layer.forward(x)
    return x


@each_layers
def test_layers_run_one_by_one_are_the_net(name):
    net = net_of(name)
    y, dy = net.forward(X), np.random.default_rng(1).normal(size=(len(X), OUTPUTS))
    dx = net.backward(dy)
    grads = net.grads.copy()
    net.grads[...] = 0
    assert same_bits(eager_forward(net.layers, X), y)
    for layer in reversed(net.layers):
        dy = layer.backward(dy)
    np.testing.assert_allclose(dy, dx, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(net.grads, grads, rtol=1e-12, atol=1e-14)


@each_dtype
@each_layers
def test_steps_in_parts_and_by_threads_give_the_same_bits(name, dtype):
    results = []
    for parts, n_threads in ((1, 1), (2, 1), (3, 1), (1000, 1), (1, 2), (1, 3)):
        net = net_of(name, dtype)
        training, (x, t, *_) = net._trainer.ready(X, T, None, "mse", Adam(0.01))
        plan = training.plan(len(x), t, False)
        plan.batch.work.activations[0][...], plan.batch.target[...] = x, t
        tape = plan.recorded(len(x), training.step)[1]
        with Team(n_threads, divide_all=True) as team:
            for _ in range(3):
                tape.replay(parts=parts, **({"team": team} if n_threads > 1 else {}))
        results.append([*state_of(net), net.grads.copy(), net.predict(X)])
    assert all(same_state(result, results[0]) for result in results)
    assert not same_bits(results[0][0], net_of(name, dtype).params)


WIDE = {
    "batch norm": lambda: [Dense(301), BatchNorm(), ReLU(), Dropout(0.2), Dense(10)],
    "layer norm": lambda: [Dense(301), LayerNorm(), ReLU(), Dropout(0.2), Dense(10)],
    "residual": lambda: [Dense(201), Residual([BatchNorm(), Dense(301, "relu"), Dropout(0.1), Dense(201)]), Dense(10)],
    "rms norm": lambda: [Maxout(201), RMSNorm(), GaussianNoise(0.1), Scaling(), AlphaDropout(0.2), Bias(), Dense(10)],
    "parallel": lambda: [Dense(201), Parallel([Identity(), Dense(301, "relu"), Dense(77)]), Dropout(0.1), Dense(10)],
}


@each_dtype
@pytest.mark.parametrize("name", WIDE)
def test_wide_nets_train_to_the_same_bits_with_any_number_of_threads(name, dtype):
    rng, results = np.random.default_rng(0), []
    x, t = rng.normal(size=(300, 203)).astype("float32"), rng.integers(0, 10, 300)
    for n_threads in (1, 2, 3, None):
        net = Model([*WIDE[name](), Softmax()], seed=0, dtype=dtype)
        net.fit(x, t, optimizer=Adam(0.001), epochs=2, batch_size=75, n_threads=n_threads)
        results.append([*state_of(net), net.predict(x, n_threads=n_threads)])
    assert all(same_state(result, results[0]) for result in results)


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda net: pickle.loads(pickle.dumps(net))}


@pytest.mark.parametrize("built", [True, False], ids=["trained", "not built"])
@pytest.mark.parametrize("duplicate", COPIES)
@each_dtype
@each_layers
def test_a_copy_predicts_and_trains_like_the_net(name, dtype, duplicate, built):
    """Also the numbers that Dropout leaves out, and the order of rows."""
    net = net_of(name, dtype) if built else Model(LAYERS[name](), 0, dtype)
    if built:
        net.fit(X, T, "mse", Adam(0.01), epochs=2, batch_size=8)
        net.backward(net.forward(X))
    other = COPIES[duplicate](net)
    assert same_bits(other.predict(X), net.predict(X))
    for model in (net, other):
        model.fit(X, T, *(() if built else ("mse", Adam(0.01))), epochs=2, batch_size=8)
    assert same_state(state_of(other), state_of(net))
    assert other.history.loss == net.history.loss
    assert same_bits(other.predict(X), net.predict(X))
    assert not np.shares_memory(other.params, net.params)


@each_layers
def test_a_layer_that_is_held_is_trained_counted_shown_and_saved(name, capsys):
    net = net_of(name)
    inside = [layer for layer in net._tree.all if layer.parameters]
    assert net.n_parameters == sum(array.size for layer in inside for array in layer.parameters.values())
    assert all(np.shares_memory(array, net.params) for layer in inside for array in layer.parameters.values())
    before = [array.copy() for layer in inside for array in layer.parameters.values()]
    net.fit(X, T, "mse", Adam(0.01), epochs=3, batch_size=8)
    after = [array for layer in inside for array in layer.parameters.values()]
    assert not any(map(same_bits, before, after))
    net.summary()
    shown = capsys.readouterr().out
    assert f"{net.n_parameters:,} parameters" in shown
    lines = [line for line in shown.splitlines() if re.match(r"\d+ +\S", line)]  # the others stand inside these
    counts = [int(line.split()[-2].replace(",", "")) for line in lines[: len(net.layers)]]
    assert sum(counts) == net.n_parameters


@each_optimizer
@pytest.mark.parametrize("name", ["nested", "numpy around everything", "kernels around all"])
def test_any_optimizer_trains_them(name, optimizer):
    """Twice to the same bits, to a lower loss."""
    nets = [net_of(name), net_of(name)]
    before = nets[0].evaluate(X, T, "mse")["loss"]
    for net in nets:
        net.fit(X, T, "mse", OPTIMIZERS[optimizer](), epochs=20, batch_size=8)
    assert same_state(state_of(nets[0]), state_of(nets[1]))
    assert nets[0].evaluate(X, T)["loss"] < before


# Sequential is its layers in a row, Residual adds what they are given


@each_dtype
def test_a_sequential_is_its_layers_in_a_row(dtype):
    """Bit for bit: what can be fused is fused across its borders."""
    flat = Model([Dense(5), Tanh(), Dense(6, "relu"), Dense(OUTPUTS), Softmax()], seed=0, dtype=dtype)
    layers = [Sequential([Dense(5)]), Sequential([Tanh(), Sequential([Dense(6, "relu"), Dense(OUTPUTS)])]), Softmax()]
    nested = Model(layers, seed=0, dtype=dtype)
    t = np.arange(len(X)) % OUTPUTS
    for net in (flat, nested):
        net.fit(X, t, "cross_entropy", SGD(0.1), epochs=3, batch_size=8)
    assert same_bits(flat.params, nested.params)
    assert same_bits(flat.predict(X), nested.predict(X))
    assert len(flat._predictors.whole._chain.stages) == len(nested._predictors.whole._chain.stages)


def test_a_residual_adds_what_it_is_given():
    net = Model([Residual([Dense(5, "tanh"), Dense(FEATURES)])], seed=0, dtype="float64")
    first, second = net.build(FEATURES).layers[0].layers
    np.testing.assert_allclose(net.predict(X), X + np.tanh(X @ first.w + first.b) @ second.w + second.b, rtol=1e-12)


def test_a_residual_gives_as_many_numbers_as_it_is_given():
    with pytest.raises(ValueError, match=r"Residual 1: its layers make 5 numbers of 4.* end with Dense\(4\)"):
        Model([Residual([Dense(5)])]).build(FEATURES)


def test_what_layers_of_layers_are_called_says_where_they_stand():
    net = Model([Residual([Dense(5, Residual([Dense(3)]))])])
    with pytest.raises(ValueError, match=r"Residual of Dense of Residual 1.* make 3 numbers of 5"):
        net.build(FEATURES)
    assert repr(net.layers[0]) == "Residual([Dense(5, Residual([Dense(3)]))])"


# What is held and not declared is an error, never silently untrained


class InASet(Layer):
    def __init__(self, layer):
        self.inner = {layer}

    def forward(self, x):
        return x


class InAnObject(InASet):
    def __init__(self, layer):
        self.inner = type("Box", (), {})()
        self.inner.layer = layer


class InAListInAnObject(InASet):
    def __init__(self, layer):
        self.inner = type("Box", (), {})()
        self.inner.layers = [{"a": layer}]


class InAModel(InASet):
    def __init__(self, layer):
        self.inner = Model([layer])


class InAListOfSets(InASet):
    def __init__(self, layer):
        self.inner = [{layer}]


class InAListOfObjects(InASet):
    def __init__(self, layer):
        box = type("Box", (), {})()
        box.layer = layer
        self.inner = [box]


class AsAKey(InASet):
    def __init__(self, layer):
        self.inner = {layer: 1}


class NotItsChild(InASet):
    def __init__(self, layer):
        self.inner = layer

    def children(self):
        return []


HIDDEN = [
    InASet,
    InAnObject,
    InAListInAnObject,
    InAModel,
    InAListOfSets,
    InAListOfObjects,
    AsAKey,
    NotItsChild,
]


@pytest.mark.parametrize("around", [lambda layer: layer, lambda layer: Residual([layer])], ids=["", "inside"])
@pytest.mark.parametrize("kind", HIDDEN)
def test_a_layer_that_is_held_where_nobody_looks_is_an_error(kind, around):
    with pytest.raises(TypeError, match=rf"{kind.__name__}.* holds Dense\(3\), whose parameters .* would not train"):
        Model([around(kind(Dense(3))), Dense(OUTPUTS)])


def test_a_layer_that_is_made_in_build_is_trained_or_an_error():
    class MadeInBuild(Layer):
        def build(self, n_in):
            self.inner = Dense(5)
            return self.build_child(self.inner, n_in)

        def forward(self, x):
            return self.inner.forward(x)

        def backward(self, dy):
            return self.inner.backward(dy)

    net = Model([MadeInBuild(), Dense(OUTPUTS)], seed=0)
    try:
        net.fit(X, T, "mse", SGD(0.1), epochs=1)
    except (TypeError, ValueError) as error:
        message = str(error)
        assert "MadeInBuild" in message
    else:
        assert net.n_parameters == 4 * 5 + 5 + 5 * OUTPUTS + OUTPUTS
        assert np.shares_memory(net.layers[0].inner.w, net.params)


def test_a_layer_that_nobody_builds_is_an_error():
    class Forgetful(Holding):
        def build(self, n_in):
            return self.build_child(self.held[0], n_in)

    with pytest.raises(ValueError, match=r"Dense 2 of Forgetful 1.* was not built.*build_child"):
        Model([Forgetful([Dense(5), Dense(5)]), Dense(OUTPUTS)]).build(FEATURES)


def test_a_layer_that_stands_in_two_places_is_an_error():
    layer = Dense(FEATURES)
    for layers in ([layer, layer], [Sequential([layer]), layer], [Residual([layer, layer])], [Holding([layer, layer])]):
        with pytest.raises(ValueError, match="same layer stands in it twice"):
            Model([*layers, Dense(OUTPUTS)])


# States and scratch of a user's own layer


class RunningMean(Layer):
    """Subtracts a running average of each column, from kernels: it changes behind the batch."""

    def build(self, n_in):
        self.parameter("s", (n_in,), "ones")
        self.state("mean", (n_in,), "zeros")
        self.state("count", (1,), "zeros", dtype="float64")
        self.scratch("half", ("rows", n_in))
        return n_in

    def _forward(self, x, y, run):
        assert run.scratch["half"].shape == x.shape
        self.kernels.tanh_forward(x, run.scratch["half"], run.tape)
        self.kernels.identity_forward(run.scratch["half"], y, tape=run.tape)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.clear(self.ds, run.tape)  # forward does not use it
        if dx is not None:
            self.kernels.tanh_backward(run.scratch["half"], dy, dx, run.tape)

    def _after_batch(self, run):
        self.kernels.increment(self.count, run.tape)


@pytest.mark.parametrize("inside", [False, True])
def test_states_are_changed_behind_each_batch_and_saved(inside):
    layer = RunningMean()
    net = Model([Dense(5), Residual([layer]) if inside else layer, Dense(OUTPUTS)], seed=0)
    net.fit(X, T, "mse", SGD(0.1), epochs=2, batch_size=8)
    assert layer.count[0] == 6
    net.train_batch(X, T)
    net.predict(X)
    net.evaluate(X, T)
    net.backward(net.forward(X))
    assert layer.count[0] == 7
    net.step()
    assert layer.count[0] == 8
    (other,) = [found for found in copy.deepcopy(net)._tree.all if type(found) is RunningMean]
    assert other.count[0] == 8
    assert set(layer.states) == {"mean", "count"}
    assert layer.count.dtype == np.float64
    assert layer.mean.dtype == np.float32


def test_states_are_not_changed_by_a_batch_whose_step_is_refused():
    layer = RunningMean()
    net = Model([layer, Dense(OUTPUTS)], seed=0)
    net.train_batch(X, T, loss="mse", optimizer=SGD(0.1))
    net.params = 1e30
    with pytest.raises(FloatingPointError):
        net.train_batch(X, T)
    assert layer.count[0] == 1


def test_backward_may_overwrite_its_scratch():
    """Which is written anew by each forward."""

    class Overwriting(Layer):
        def build(self, n_in):
            self.scratch("bounded", ("rows", n_in))
            return n_in

        def _forward(self, x, y, run):
            self.kernels.tanh_forward(x, run.scratch["bounded"], run.tape)
            self.kernels.identity_forward(run.scratch["bounded"], y, tape=run.tape)

        def _backward(self, x, y, dy, dx, run):
            bounded = run.scratch["bounded"]
            if dx is not None:
                self.kernels.tanh_backward(bounded, dy, dx, run.tape)
                self.kernels.scale(bounded.reshape(-1), 0.0, run.tape)

    own, other = (Model([Dense(5), layer, Dense(OUTPUTS)], seed=0) for layer in (Overwriting(), Tanh()))
    for net in (own, other):
        net.fit(X, T, "mse", SGD(0.1), epochs=2, batch_size=8)
    np.testing.assert_allclose(own.params, other.params, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("declare", ["parameter", "state", "scratch"])
@pytest.mark.parametrize(
    "name", ["forward", "n_in", "w", "dw", "w w", "label", "kernels", "dtype", "type", "_memory", "_moving", "_most"]
)
def test_a_name_that_is_taken_is_refused(declare, name):
    class Own(Layer):
        def build(self, n_in):
            self.parameter("w", (n_in,))
            getattr(self, declare)(name, (n_in,))
            return n_in

        def forward(self, x):
            return x

    with pytest.raises(ValueError, match=f"Own 1: the {declare} name '{name}' is taken"):
        Model([Own(), Dense(OUTPUTS)]).build(FEATURES)


def test_scratch_that_is_not_declared_is_named():
    class Own(Layer):
        def build(self, n_in):
            self.scratch("half", ("rows", n_in))
            return n_in

        def _forward(self, x, y, run):
            self.kernels.tanh_forward(x, run.scratch["hlaf"], run.tape)

    with pytest.raises(KeyError, match=r"no scratch 'hlaf' is declared in build, which declares 'half': self.scratch"):
        Model([Own(), Dense(OUTPUTS)]).build(FEATURES).predict(X)


# Predictions: another chain


def test_dropout_vanishes_in_a_prediction():
    net = Model([Dropout(0.5), Dense(5, "tanh"), Dropout(0.5), Residual([Dropout(0.9)]), Dense(OUTPUTS)], seed=0)
    plain = Model([Dense(5, "tanh"), Residual([Sequential([Tanh()])]), Dense(OUTPUTS)], seed=0)
    net.build(FEATURES)
    plain.build(FEATURES).params = net.params
    hidden = np.tanh(X.astype("f") @ net.layers[1].w + net.layers[1].b)
    expected = 2 * hidden @ net.layers[4].w + net.layers[4].b
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-4, atol=1e-5)
    assert same_bits(net.predict(X), net.predict(X))


@each_dtype
def test_dropout_leaves_out_as_many_as_it_says_and_keeps_the_mean(dtype):
    net = Model([Dropout(0.3)], seed=0, dtype=dtype)
    y = net.forward(np.ones((2000, 50)))
    assert set(np.unique(y)) == {0, np.dtype(dtype).type(1 / 0.7)}
    assert np.mean(y == 0) == pytest.approx(0.3, abs=0.01)  # five standard errors
    assert np.mean(y) == pytest.approx(1, abs=0.015)
    for axis in (0, 1):
        assert np.std(np.mean(y == 0, axis=axis)) < 2 * np.sqrt(0.3 * 0.7 / y.shape[axis])


def test_dropout_leaves_out_other_numbers_at_each_batch_and_repeats_with_the_seed():
    masks = []
    for seed in (0, 0, 1):
        net = Model([Dropout(0.5), Dropout(0.5)], seed=seed)
        for _ in range(2):
            masks.append(net.forward(np.ones((20, 20))) == 0)
            net.train_batch(np.ones((20, 20)), np.ones((20, 20)), None, "mse", SGD(0.1))
    assert (masks[0] == masks[2]).all()
    assert (masks[1] == masks[3]).all()
    assert (masks[0] != masks[1]).any()
    assert (masks[0] != masks[4]).any()
    layers = net.layers
    assert layers[0].key[0] != layers[1].key[0]


def test_layers_in_numpy_predict_without_what_is_in_them_for_training():
    """The layers that they call are in the form of the pass that calls them."""
    net = Model([Holding([Dropout(0.5), BatchNorm()])], seed=0, dtype="float64").build(FEATURES)
    norm = net.layers[0].held[1]
    norm.mean, norm.variance = np.arange(4.0), np.full(4, 2.0)
    expected = (X - norm.mean) / np.sqrt(norm.variance + 1e-5)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-12)
    assert (net.forward(X) != net.predict(X)).any()
    net.fit(X, X, "mse", SGD(0.0), epochs=1, validation_data=(X, X), callbacks=[lambda model, *_: model.predict(X)])
    np.testing.assert_allclose(net.predict(X), (X - norm.mean) / np.sqrt(norm.variance + 1e-5), rtol=1e-12)


def separate_passes(net, x):
    """X @ w + b, then scale and shift of each column, in float64; and the sizes that rounding is relative to."""
    dense, norm = (layer for layer in net._tree.all if type(layer) in (Dense, BatchNorm))
    w, b, scale, shift, mean, variance = (
        array.astype("float64") for array in (dense.w, dense.b, norm.scale, norm.shift, norm.mean, norm.variance)
    )
    factor = scale / np.sqrt(variance + norm.eps)
    offset = shift - mean * factor
    exact = (x @ w + b) * factor + offset
    return exact, (np.abs(x) @ np.abs(w * factor)) + np.abs(b * factor + offset)


@each_dtype
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("sizes", [(4, 5), (64, 33), (203, 128), (1000, 16)], ids=str)
def test_a_prediction_of_batch_norm_behind_dense_is_that_of_the_separate_passes(sizes, nested, dtype):
    """Within 2 sqrt(k) ULP of the sum of |x w'| + |b'|, as one kernel."""
    k, units = sizes
    rng, layers = np.random.default_rng(k), [Dense(units, bias_initializer="normal"), BatchNorm()]
    net = Model([Sequential(layers)] if nested else layers, seed=0, dtype=dtype).build(k)
    norm = layers[1]
    norm.scale, norm.shift = rng.normal(size=units), rng.normal(size=units)
    norm.mean, norm.variance = rng.normal(size=units), rng.uniform(0.1, 3, units)
    x = rng.normal(size=(50, k)).astype(dtype)
    exact, size = separate_passes(net, x.astype("float64"))
    tolerance = 2 * np.sqrt(k) * np.finfo(dtype).eps * size
    assert (np.abs(net.predict(x) - exact) <= tolerance).all()
    separate = Model([copy.deepcopy(layers[0]), Scale(), copy.deepcopy(norm)], seed=0, dtype=dtype)
    assert (np.abs(net.predict(x) - separate.predict(x)) <= tolerance).all()
    assert len(net._predictors.whole._chain.stages) == 1
    for row in (0, 49):
        assert same_bits(net.predict_one(x[row]), net.predict(x)[row])


@pytest.mark.parametrize("activation", ["relu", "tanh", LeakyReLU(0.1), None])
def test_batch_norm_runs_between_a_product_and_its_activation(activation):
    layers = [Dense(5), BatchNorm(), *([] if activation is None else [Dense(1, activation).activation])]
    net = Model(layers, seed=0, dtype="float64").build(FEATURES)
    layers[1].mean, layers[1].scale = np.arange(5.0), np.linspace(-1, 1, 5)
    exact, _ = separate_passes(net, X)
    expected = exact if activation is None else layers[2].forward(exact)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-11, atol=1e-13)
    assert len(net._predictors.whole._chain.stages) == 1


@pytest.mark.parametrize("name", ["scale", "shift", "mean", "variance", "w", "b"])
def test_what_is_changed_in_place_counts_at_the_next_prediction(name):
    """There is no copy of weights that the statistics have been multiplied into."""
    net = Model([Dense(5), BatchNorm(), Dense(OUTPUTS)], seed=0, dtype="float64").build(FEATURES)
    before = net.predict(X), net.predict_one(X[0])
    layer = net.layers[0] if name in ("w", "b") else net.layers[1]
    getattr(layer, name)[...] += np.linspace(0.1, 1, getattr(layer, name).size).reshape(getattr(layer, name).shape)
    fresh = copy.deepcopy(net)
    assert not same_bits(net.predict(X), before[0])
    assert same_bits(net.predict(X), fresh.predict(X))
    assert same_bits(net.predict_one(X[0]), fresh.predict_one(X[0]))
    assert not same_bits(net.predict_one(X[0]), before[1])
    assert net.evaluate(X, T, "mse") == fresh.evaluate(X, T, "mse")


def test_a_constant_column_gives_its_shift():
    net = Model([BatchNorm()], dtype="float64").build(2)
    x = np.c_[np.full(8, 3.0), np.arange(8.0)]
    net.layers[0].shift = [0.5, 0.0]
    y = net.forward(x)
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y[:, 0], 0.5)


def test_a_batch_of_one_row_is_finite():
    for norm in (BatchNorm(), LayerNorm()):
        net = Model([Dense(5), norm, Dense(OUTPUTS)], seed=0, dtype="float64")
        for _ in range(3):
            net.train_batch(X[:1], T[:1], loss="mse", optimizer=SGD(0.01))
        assert np.isfinite(net.params).all()
        assert np.isfinite(net.predict(X)).all()


# Trajectories: plain NumPy twins of nets with normalization


class Twin:
    """Dense, a normalization, tanh, Dense: mean squared error and plain SGD, in plain NumPy."""

    def __init__(self, net, axis):
        dense, norm, _, last = net.layers
        self.arrays = [array.astype("float64") for array in (dense.w, dense.b, norm.scale, norm.shift, last.w, last.b)]
        self.axis, self.mean, self.variance = axis, np.zeros(5), np.ones(5)

    def step(self, x, t, lr):
        w, b, scale, shift, v, c = self.arrays
        z = x @ w + b
        mean, variance = z.mean(self.axis, keepdims=True), z.var(self.axis, keepdims=True)
        inverse = 1 / np.sqrt(variance + 1e-5)
        normal = (z - mean) * inverse
        h = np.tanh(normal * scale + shift)
        y = h @ v + c
        dy = 2 * (y - t) / y.size
        dh = dy @ v.T * (1 - h**2)
        dn = dh * scale
        dz = inverse * (dn - dn.mean(self.axis, keepdims=True) - normal * (dn * normal).mean(self.axis, keepdims=True))
        gradients = x.T @ dz, dz.sum(0), (dh * normal).sum(0), dh.sum(0), h.T @ dy, dy.sum(0)
        self.arrays = [array - lr * g for array, g in zip(self.arrays, gradients, strict=True)]
        if self.axis == 0:  # with the unbiased variance, as PyTorch has it
            n = len(x)
            self.mean += 0.1 * (mean[0] - self.mean)
            self.variance += 0.1 * (variance[0] * n / (n - 1) - self.variance)
        return ((y - t) ** 2).mean()


@each_dtype
@pytest.mark.parametrize(("kind", "axis"), [(BatchNorm, 0), (LayerNorm, 1)])
def test_a_training_with_normalization_is_that_of_numpy(kind, axis, dtype):
    net = Model([Dense(5), kind(), Tanh(), Dense(OUTPUTS)], seed=0, dtype=dtype).build(FEATURES)
    net.params[...] += np.random.default_rng(1).normal(0, 0.3, net.params.shape)
    twin, losses = Twin(net, axis), []
    history = net.fit(X, T, "mse", SGD(0.2), epochs=8, batch_size=8, shuffle=False)
    for _ in range(8):
        values = [twin.step(X[start : start + 8], T[start : start + 8], 0.2) for start in (0, 8, 16)]
        losses.append(np.average(values, weights=[8, 8, 5]))
    tolerance = 1e-10 if dtype == "float64" else 1e-3
    np.testing.assert_allclose(history.loss, losses, rtol=tolerance)
    expected = np.concatenate([array.ravel() for array in twin.arrays])
    np.testing.assert_allclose(net.params, expected, rtol=tolerance, atol=tolerance)
    if axis == 0:
        np.testing.assert_allclose(net.layers[1].mean, twin.mean, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(net.layers[1].variance, twin.variance, rtol=tolerance)


# Two forms: the more derived definition decides, and super() is the part that it derives from


class Doubled(Dense):
    """2 (activation(x @ w + b)): the whole layer, its activation included."""

    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, dy):
        return super().backward(2 * dy)


class DoubledTwice(Doubled):
    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, dy):
        return super().backward(2 * dy)


class Doubling:
    """Mixed into a layer."""

    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, dy):
        return super().backward(2 * dy)


class MixedDense(Doubling, Dense):
    pass


class DoubledKernels(Dense):
    """2 (x @ w + b), from kernels."""

    def _forward(self, x, y, run):
        super()._forward(x, y, run)
        self.kernels.scale(y.reshape(-1), 2.0, run.tape)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.scale(dy.reshape(-1), 2.0, run.tape)
        super()._backward(x, y, dy, dx, run)


class NumPyOverKernels(DoubledKernels):
    def forward(self, x):
        return 1.0 * super().forward(x)

    def backward(self, dy):
        return super().backward(1.0 * dy)


class OnlyBackward(Dense):
    """The forward that it inherits, run now, and a derivative that is clipped nowhere."""

    def backward(self, dy):
        return super().backward(dy)


class DoubledScale(Scale):
    """NumPy over NumPy."""

    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, dy):
        return super().backward(2 * dy)


class DoubledNorm(BatchNorm):
    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, dy):
        return super().backward(2 * dy)


class DoubledResidual(Residual):
    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, dy):
        return super().backward(2 * dy)


class Times(Layer):
    """y = n x."""

    def __init__(self, n):
        self.n = n

    def forward(self, x):
        return self.n * x

    def backward(self, dy):
        return self.n * dy


# name: (a layer of a form of its own, layers that compute the same)
FORMS = {
    "numpy over kernels": (lambda: Doubled(5), lambda: [Dense(5), Times(2)]),
    "with an activation": (lambda: Doubled(5, "tanh"), lambda: [Dense(5, "tanh"), Times(2)]),
    "with an activation in numpy": (lambda: Doubled(5, Cube()), lambda: [Dense(5), Cube(), Times(2)]),
    "twice": (lambda: DoubledTwice(5, "relu"), lambda: [Dense(5, "relu"), Times(4)]),
    "mixed in": (lambda: MixedDense(5, "relu"), lambda: [Dense(5, "relu"), Times(2)]),
    "kernels over kernels": (lambda: DoubledKernels(5), lambda: [Dense(5), Times(2)]),
    "kernels with an activation": (lambda: DoubledKernels(5, "tanh"), lambda: [Dense(5), Times(2), Tanh()]),
    "numpy over kernels over kernels": (lambda: NumPyOverKernels(5), lambda: [Dense(5), Times(2)]),
    "backward alone": (lambda: OnlyBackward(5, "tanh"), lambda: [Dense(5, "tanh")]),
    "numpy over numpy": (DoubledScale, lambda: [Scale(), Times(2)]),
    "over batch norm": (DoubledNorm, lambda: [BatchNorm(), Times(2)]),
    "over residual": (
        lambda: DoubledResidual([Dense(5, "tanh"), Dense(FEATURES)]),
        lambda: [Residual([Dense(5, "tanh"), Dense(FEATURES)]), Times(2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("first", [True, False], ids=["first", "in the middle"])
def test_super_is_the_layer_that_it_derives_from(form, first):
    own, other = (
        Model([*([] if first else [Dense(FEATURES, "tanh")]), *layers, Dense(OUTPUTS)], seed=0, dtype="float64")
        for layers in ([FORMS[form][0]()], FORMS[form][1]())
    )
    np.testing.assert_allclose(own.predict(X), other.predict(X), rtol=1e-12, atol=1e-13)
    history = [net.fit(X, T, "mse", SGD(0.003), epochs=4, batch_size=8, shuffle=False).loss for net in (own, other)]
    np.testing.assert_allclose(*history, rtol=1e-11)
    np.testing.assert_allclose(own.params, other.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(own.predict(X), other.predict(X), rtol=1e-10, atol=1e-12)
    dx = [net.backward(net.forward(X)) for net in (own, other)]
    np.testing.assert_allclose(*dx, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(own.grads, other.grads, rtol=1e-9, atol=1e-11)
    for duplicate in COPIES.values():
        assert same_bits(duplicate(own).predict(X), own.predict(X))


def test_classes_are_left_as_they_are_written():
    for kind, names in ((Doubled, {"forward", "backward"}), (DoubledKernels, {"_forward", "_backward"})):
        before = dict(vars(kind))
        Model([kind(5), Dense(OUTPUTS)], seed=0).fit(X, T, "mse", epochs=1)
        assert dict(vars(kind)) == before
        assert names == {name for name in before if name.strip("_") in ("forward", "backward")}


class DoubledMSE(MSE):
    def value_and_grad(self, y, t):
        value, dy = super().value_and_grad(y, t)
        return 2 * value, 2 * dy


class DoubledMSEOfKernels(MSE):
    def _value_and_grad(self, y, t, weight, dy, value, tape):
        super()._value_and_grad(y, t, weight, dy, value, tape)
        if dy is not None:
            kernels.of(y.dtype).scale(dy.reshape(-1), 2.0, tape)


class NumPyOverKernelsMSE(DoubledMSEOfKernels):
    def value_and_grad(self, y, t):
        value, dy = super().value_and_grad(y, t)
        return 2 * value, dy


@pytest.mark.parametrize("kind", [DoubledMSE, DoubledMSEOfKernels, NumPyOverKernelsMSE])
def test_super_is_the_loss_that_it_derives_from(kind):
    own, other = (Model([Dense(5, "tanh"), Dense(OUTPUTS)], seed=0, dtype="float64") for _ in range(2))
    first = own.fit(X, T, kind(), SGD(0.05), epochs=4, batch_size=8)
    second = other.fit(X, T, MSE(), SGD(0.1), epochs=4, batch_size=8)
    np.testing.assert_allclose(own.params, other.params, rtol=1e-11)
    factor = 1 if kind is DoubledMSEOfKernels else 2
    np.testing.assert_allclose(first.loss, factor * np.array(second.loss), rtol=1e-11)
    assert own.evaluate(X, T)["loss"] == pytest.approx(factor * other.evaluate(X, T)["loss"], rel=1e-10)
    value, dy = kind().value_and_grad(X, X + 1)
    assert value == pytest.approx(factor, rel=1e-12)
    np.testing.assert_allclose(dy, -4 / X.size, rtol=1e-12)


class ClippedAdam(Adam):
    def update(self, params, grads):
        super().update(params, np.clip(grads, -0.1, 0.1))


class ClippedTwice(ClippedAdam):
    def update(self, params, grads):
        super().update(params, 1.0 * grads)


class TwoStepSGD(SGD):
    """Two steps with the same gradient, from kernels."""

    def _step(self, params, grads, state, tape):
        super()._step(params, grads, state, tape)
        super()._step(params, grads, state, tape)


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (ClippedAdam, lambda: Adam(0.01, clip_value=0.1)),
        (ClippedTwice, lambda: Adam(0.01, clip_value=0.1)),
        (TwoStepSGD, lambda: SGD(0.02)),
    ],
)
def test_super_is_the_optimizer_that_it_derives_from(own, other):
    nets = [Model([Dense(5, "tanh"), Dense(OUTPUTS)], seed=0, dtype="float64") for _ in range(2)]
    for net, optimizer in zip(nets, (own(0.01), other()), strict=True):
        net.fit(X, T, "mse", optimizer, epochs=4, batch_size=8)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-12)


def test_an_update_by_hand_is_a_step():
    params, expected = np.ones(5), np.ones(5)
    optimizer = Adam(0.1)
    m = v = np.zeros(5)
    for step in (1, 2, 3):
        gradient = np.arange(5.0) / step
        optimizer.update(params, gradient)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected -= 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(params, expected, rtol=1e-12)


# Forms that cannot be meant


def layer_with(base, *names, **attributes):
    methods = {name: (lambda self, *given: given[0]) for name in names}
    return type("Own", (base,), {**methods, **attributes})


LAYER_ERRORS = {
    "_forward alone": (layer_with(Dense, "_forward"), r"Own overrides _forward alone.*override _backward, too"),
    "_forward alone of an activation": (layer_with(Tanh, "_forward"), r"Own overrides _forward alone.*_backward"),
    "_forward alone of a norm": (layer_with(BatchNorm, "_forward"), r"Own overrides _forward alone"),
    "both forms": (layer_with(Layer, "forward", "_forward"), r"Own defines both forward and _forward, expected one"),
    "both forms of backward": (layer_with(Dense, "backward", "_backward"), r"Own defines both backward and _backward"),
    "kernels over numpy": (
        layer_with(Scale, "_forward", "_backward"),
        r"Own defines _forward over the forward in NumPy",
    ),
    "_backward over numpy": (layer_with(Scale, "_backward"), r"Own defines _backward over the backward in NumPy"),
    "fused without permission": (
        layer_with(Dense, "forward_fused", "backward_fused"),
        r"Own defines backward_fused and forward_fused without .*code = Code\(multiplies=True\)",
    ),
    "nothing": (layer_with(Layer), "Own has no forward"),
}


def made(kind):
    return kind(5) if issubclass(kind, Dense) else kind()


@pytest.mark.parametrize("around", [lambda layer: [layer], lambda layer: [Sequential([layer])]], ids=["", "inside"])
@pytest.mark.parametrize("name", LAYER_ERRORS)
def test_a_form_of_a_layer_that_cannot_be_meant_is_an_error_at_the_build(name, around):
    kind, message = LAYER_ERRORS[name]
    with pytest.raises(TypeError, match=message):
        Model([*around(made(kind)), Dense(OUTPUTS)], seed=0).build(FEATURES)


def test_a_derivative_that_is_missing_is_an_error_where_it_is_needed():
    """A layer that only predicts may do without."""
    net = Model([layer_with(Layer, "forward")(), Dense(OUTPUTS)], seed=0)
    net.predict(X)
    with pytest.raises(TypeError, match=r"Own 1 has no derivative: define backward\(dy\)"):
        net.fit(X, T, "mse")


def test_permissions_hold_for_the_code_of_the_class_that_declares_them():
    """Those of Dense are not those of a subclass with code of its own; and a subclass that changes none keeps them."""

    class Named(Dense):
        pass

    class Allowed(DoubledKernels):
        code = Code(saved=("x",))

    stages = {
        kind: len(Model([kind(5), Tanh(), Dense(OUTPUTS)], seed=0).build(FEATURES).predict(X)) and kind
        for kind in (Dense, Named, DoubledKernels, Allowed)
    }
    for kind in stages:
        net = Model([kind(5), Tanh(), Dense(OUTPUTS)], seed=0)
        net.predict(X)
        assert len(net._predictors.whole._chain.stages) == (2 if kind in (Dense, Named) else 3)


OTHER_ERRORS = {
    "loss of both forms": (
        type("Own", (MSE,), {"value_and_grad": lambda self, y, t: None, "_value_and_grad": lambda self, *given: None}),
        r"Own defines both value_and_grad and _value_and_grad",
    ),
    "loss of kernels over numpy": (
        type("Own", (DoubledMSE,), {"_value_and_grad": lambda self, *given: None}),
        r"Own defines _value_and_grad over the value_and_grad in NumPy of DoubledMSE",
    ),
    "loss of nothing": (type("Own", (Loss,), {}), "Own has no value: define value_and_grad"),
    "optimizer of both forms": (
        type("Own", (SGD,), {"update": lambda self, p, g: None, "_step": lambda self, *given: None}),
        r"Own defines both update and _step",
    ),
    "optimizer of kernels over numpy": (
        type("Own", (ClippedAdam,), {"_step": lambda self, *given: None}),
        r"Own defines _step over the update in NumPy of ClippedAdam",
    ),
    "optimizer of nothing": (type("Own", (Optimizer,), {}), "Own has no update"),
}


@pytest.mark.parametrize("name", OTHER_ERRORS)
def test_a_form_of_a_loss_or_an_optimizer_that_cannot_be_meant_is_an_error(name):
    kind, message = OTHER_ERRORS[name]
    net = Model([Dense(OUTPUTS)], seed=0)
    part = {"loss": kind()} if issubclass(kind, Loss) else {"loss": "mse", "optimizer": kind()}
    for method in (net.fit, net.train_batch):
        with pytest.raises(TypeError, match=message):
            method(X, T, **part)
    assert not net.built


# Types, as a user's code has them

PROGRAM = """
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn import (
    SGD, Adam, BatchNorm, Dense, Dropout, EarlyStopping, Group, Layer, Loss, Model, Optimizer, Residual, fit_many,
)


class Scale(Layer):
    def build(self, n_in: int) -> int:
        self.parameter("s", (n_in,), "ones")
        return n_in

    def forward(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        self.x = x
        return x * self.s

    def backward(self, dy: NDArray[np.float32]) -> NDArray[np.float32]:
        self.ds[:] = (dy * self.x).sum(axis=0)
        return dy * self.s


class LogCosh(Loss):
    def value_and_grad(self, y: NDArray[np.float32], t: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        return float(np.log(np.cosh(y - t)).mean()), np.tanh(y - t) / y.size


class SignSGD(Optimizer):
    def update(self, params: NDArray[np.float32], grads: NDArray[np.float32]) -> None:
        params -= self.lr * np.sign(grads)


class ClippedAdam(Adam):
    def update(self, params: NDArray[np.float32], grads: NDArray[np.float32]) -> None:
        super().update(params, np.clip(grads, -1, 1))


class MyDense(Dense):
    def forward(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return 2 * super().forward(x)

    def backward(self, dy: NDArray[np.float32]) -> NDArray[np.float32]:
        return super().backward(2 * dy)


def halve(model: Model, epoch: int, logs: dict[str, float]) -> bool:
    assert model.optimizer is not None
    model.optimizer.lr /= 2
    return logs["loss"] < 0.1


x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
net = Model([Dense(8, "relu"), Scale(), BatchNorm(), Dropout(0.1), Residual([Dense(8)]), MyDense(1)], seed=0)
history = net.fit(x, x**2, loss=LogCosh(), optimizer=SignSGD(lr=0.01), epochs=3, callbacks=[EarlyStopping(2)])
first = net.layers[0]
print(net.layers[0].w.shape, first.b.shape, first.dw.sum(), net.params.size, history.loss[-1])
layer = Dense(4, "tanh")
layer.forward(x)
print(layer.b.shape, layer.w.mean(), layer.db.sum())
net.layers[0].trainable = False
optimizer = Adam(0.01, clip_norm=1.0, groups=[Group("biases", weight_decay=0.0)])
outputs = net.forward(x)
dx = net.backward(np.ones_like(outputs))
net.grads *= 0.5
optimizer.step(net)
kept = net.snapshot()
net.restore(kept)
other = Model([Dense(2)], seed=1)
loss: float = other.train_batch(x, np.c_[x, x], loss="mse", optimizer=ClippedAdam(0.1))
copied = Model([Dense(2)], seed=2)
copied.copy_from(other)
copied.soft_update(other, 0.5)
sgd = SGD(0.1, momentum=0.9)
sgd.momentum = 0.5
fit_many([other], x, np.c_[x, x], epochs=1)
"""


@pytest.fixture
def user_program(tmp_path):
    path = tmp_path / "user.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def test_a_users_program_runs_in_a_subprocess(user_program):
    done = subprocess.run([sys.executable, user_program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None, reason="mypy is missing: .ci/run has it beside the linters"
)
def test_a_users_program_is_well_typed_in_a_subprocess(user_program, tmp_path):
    options = ["--strict", "--follow-imports=silent", "--cache-dir", tmp_path / "cache"]  # errors of this file alone
    command = [sys.executable, "-m", "mypy", *options, user_program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success: no issues found in 1 source file" in done.stdout


class Tripled(Sequential):
    """Three times what its layers give, from kernels."""

    def _forward(self, x, y, run):
        self.kernels.identity_forward(run.inner.forward(x), y, tape=run.tape)
        self.kernels.scale(y.reshape(-1), 3.0, run.tape)

    def _backward(self, x, y, dy, dx, run):
        self.kernels.identity_forward(dy, run.inner.dy, tape=run.tape)
        self.kernels.scale(run.inner.dy.reshape(-1), 3.0, run.tape)
        run.inner.backward(dx)


def test_a_container_with_code_of_its_own_runs_it():
    plain, tripled = (Model([kind([Dense(2, bias=False)])], seed=0, dtype="float64") for kind in (Sequential, Tripled))
    np.testing.assert_allclose(tripled.predict(X), 3 * plain.predict(X), rtol=1e-15)
    for net in (plain, tripled):
        net.forward(X)
        net.backward(np.ones((len(X), 2)))
    np.testing.assert_allclose(tripled.grads, 3 * plain.grads, rtol=1e-14)


def test_layers_in_a_list_cannot_be_exchanged_behind_the_models_back():
    class Holding(Layer):
        def __init__(self):
            self.held = [Dense(5)]

        def forward(self, x):
            return self.held[0].forward(x)

        def backward(self, dy):
            return self.held[0].backward(dy)

    holding = Holding()
    net = Model([holding, Dense(OUTPUTS)], seed=0).build(FEATURES)
    holding.held[0] = Dense(5)
    with pytest.raises(ValueError, match="Holding 1 holds other layers than when the model was made"):
        net.fit(X, T, "mse")


class Twice(Layer):
    """Runs the layer inside it as often as it is told."""

    def __init__(self, times):
        self.inner, self.times = Dense(FEATURES), times

    def build(self, n_in):
        return self.build_child(self.inner, n_in)

    def forward(self, x):
        for _ in range(self.times):
            x = self.inner.forward(x)
        return x

    def backward(self, dy):
        for _ in range(self.times):
            dy = self.inner.backward(dy)
        return dy


def test_a_layer_that_is_run_twice_in_one_forward_is_refused():
    """What it keeps for backward is that of the last run."""
    with pytest.raises(ValueError, match=r"Dense of Twice 1 .* was run 2 times in one forward of Twice 1"):
        Model([Twice(2), Dense(OUTPUTS)], seed=0).fit(X, T, "mse")


def test_a_layer_that_is_not_run_in_a_batch_is_not_trained_by_it():
    twice = Twice(1)
    net = Model([twice, Dense(OUTPUTS)], seed=0, dtype="float64")
    net.train_batch(X, T, loss="mse", optimizer=SGD(0.1))
    before = twice.inner.w.copy()
    twice.times = 0
    net.train_batch(X, T)
    assert same_bits(twice.inner.w, before)
    assert not twice.inner.dw.any()


def test_a_single_row_says_nothing_of_the_variance():
    norm = BatchNorm()
    net = Model([norm, Dense(OUTPUTS)], seed=0, dtype="float64").build(FEATURES)
    net.train_batch(X[:1], T[:1], loss="mse", optimizer=SGD(0.0))
    np.testing.assert_array_equal(norm.variance, 1)
    np.testing.assert_allclose(norm.mean, 0.1 * X[0], rtol=1e-12)

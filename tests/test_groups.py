"""Groups of parameters, clipping and accumulation: what an optimizer does to whom, compared with plain NumPy."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from custom import SignSGD
from nets import FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, memory_of, same_bits

from fastnn import (
    SGD,
    Adam,
    AdamW,
    Dense,
    Dropout,
    Group,
    LayerNorm,
    Model,
    Optimizer,
    Residual,
    RMSprop,
    optimizers,
)
from fastnn._core.team import Team
from fastnn.optimizers import Accumulate, ClipLayerNorm, ClipNorm, ClipValue, Transform

X, T = data()


def net_of(dtype="float64", seed=0):
    """A net with weights, biases and norms, also inside another layer."""
    layers = [Dense(5, "tanh"), LayerNorm(), Residual([Dense(4, "tanh"), Dense(5)]), Dense(OUTPUTS)]
    net = Model(layers, seed=seed, dtype=dtype).build(FEATURES)
    net.params[...] += np.random.default_rng(seed).normal(0, 0.1, net.params.shape)  # no bias is 0, no scale is 1
    return net


NAMES = ["0.w", "0.b", "1.scale", "1.shift", "2.0.w", "2.0.b", "2.1.w", "2.1.b", "3.w", "3.b"]


def slices_of(net):
    """Return where each parameter lies in the flat array, by name."""
    inside = [net.layers[0], net.layers[1], *net.layers[2].children(), net.layers[3]]
    sizes = [array.size for layer in inside for array in layer.parameters.values()]
    ends = np.cumsum(sizes)
    return {name: slice(end - size, end) for name, size, end in zip(NAMES, sizes, ends, strict=True)}


def gradients(net, steps=4, scale=1.0):
    rng = np.random.default_rng(7)
    return [rng.normal(0, scale, net.params.shape).astype(net.dtype) for _ in range(steps)]


def stepped(net, optimizer, given):
    """Take a step on each of these gradients."""
    for gradient in given:
        net.grads = gradient
        optimizer.step(net)
    return net


# The rules in plain NumPy, with a learning rate and a weight decay for each number


def sgd(w, given, lr, decay):
    for g in given:
        w = w - lr * (g + decay * w)
    return w


def momentum(w, given, lr, decay):
    velocity = np.zeros_like(w)
    for g in given:
        velocity = 0.9 * velocity + g + decay * w
        w = w - lr * velocity
    return w


def rmsprop(w, given, lr, decay):
    square = np.zeros_like(w)
    for g in given:
        decayed = g + decay * w
        square = 0.99 * square + 0.01 * decayed**2
        w = w - lr * decayed / (np.sqrt(square) + 1e-8)
    return w


def adam(w, given, lr, decay, decoupled=False):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step, g in enumerate(given, 1):
        changed = g if decoupled else g + decay * w
        w = w - lr * decay * w if decoupled else w
        m, v = 0.9 * m + 0.1 * changed, 0.999 * v + 0.001 * changed**2
        w = w - lr * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return w


LR, DECAY = 0.05, 0.2
RULES = {
    "sgd": (SGD, sgd),
    "momentum": (partial(SGD, momentum=0.9), momentum),
    "rmsprop": (RMSprop, rmsprop),
    "adam": (Adam, adam),
    "adamw": (AdamW, partial(adam, decoupled=True)),
}
each_rule = pytest.mark.parametrize("rule", RULES)

WEIGHTS = {"0.w", "2.0.w", "2.1.w", "3.w"}
BIASES = {"0.b", "2.0.b", "2.1.b", "3.b"}
NORMS = {"1.scale", "1.shift"}

# name: (options for a net, and what each parameter's learning rate and decay are multiplied by, where that is not 1)
GROUPINGS = {
    "none": (lambda net: {}, {}, {}),
    "layer": (lambda net: {"groups": [Group(net.layers[0], 0.1)]}, dict.fromkeys(["0.w", "0.b"], 0.1), {}),
    "layer of layers": (
        lambda net: {"groups": [Group(net.layers[2], 3.0)]},
        dict.fromkeys([name for name in NAMES if name[0] == "2"], 3.0),
        {},
    ),
    "layer inside": (
        lambda net: {"groups": [Group(net.layers[2].children()[1], 3.0)]},
        dict.fromkeys(["2.1.w", "2.1.b"], 3.0),
        {},
    ),
    "name": (lambda net: {"groups": [Group("3.b", 0.0)]}, {"3.b": 0.0}, {}),
    "pattern": (
        lambda net: {"groups": [Group("2.*", 0.5, 0.0)]},
        dict.fromkeys([name for name in NAMES if name[0] == "2"], 0.5),
        dict.fromkeys([name for name in NAMES if name[0] == "2"], 0.0),
    ),
    "weights": (lambda net: {"groups": [Group("weights", 2.0)]}, dict.fromkeys(WEIGHTS, 2.0), {}),
    "biases": (lambda net: {"groups": [Group("biases", 1.0, 0.0)]}, {}, dict.fromkeys(BIASES, 0.0)),
    "norms": (
        lambda net: {"groups": [Group("norms", 0.5, 2 * DECAY)]},
        dict.fromkeys(NORMS, 0.5),
        dict.fromkeys(NORMS, 2.0),
    ),
    "the first that names it": (
        lambda net: {"groups": [Group("0.w", 3.0), Group("weights", 0.5), Group("*", 0.25)]},
        {**dict.fromkeys(NAMES, 0.25), **dict.fromkeys(WEIGHTS, 0.5), "0.w": 3.0},
        {},
    ),
    "decay of weights": (lambda net: {"decay": "weights"}, {}, dict.fromkeys(BIASES | NORMS, 0.0)),
    "decay of weights and a group": (
        lambda net: {"decay": "weights", "groups": [Group("3.*", 0.5), Group("norms", 1.0, DECAY)]},
        dict.fromkeys(["3.w", "3.b"], 0.5),
        dict.fromkeys(BIASES, 0.0),
    ),
}
each_grouping = pytest.mark.parametrize("grouping", GROUPINGS)


def numbers(net, factors, base):
    """Return the number of each parameter, flat."""
    flat = np.empty(net.params.size)
    for name, where in slices_of(net).items():
        flat[where] = base * factors.get(name, 1.0)
    return flat


def expected_after(net, rule, grouping, given):
    _, lr, decay = GROUPINGS[grouping]
    return RULES[rule][1](net.params.astype("float64"), given, numbers(net, lr, LR), numbers(net, decay, DECAY))


@each_dtype
@each_grouping
@each_rule
def test_groups_have_numbers_of_their_own(rule, grouping, dtype):
    net = net_of(dtype)
    given = gradients(net)
    expected = expected_after(net, rule, grouping, given)
    optimizer = RULES[rule][0](LR, weight_decay=DECAY, **GROUPINGS[grouping][0](net))
    stepped(net, optimizer, given)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(net.params, expected, rtol=tolerance, atol=tolerance)


@each_grouping
@each_rule
def test_a_fit_treats_groups_as_steps_by_hand_do(rule, grouping):
    by_hand, by_fit = net_of(), net_of()
    kind, options = RULES[rule][0], GROUPINGS[grouping][0]
    optimizer = kind(LR, weight_decay=DECAY, **options(by_hand))
    for start in (0, 8, 16) * 2:
        y = by_hand.forward(X[start : start + 8])
        by_hand.backward(2 * (y - T[start : start + 8]) / y.size)
        optimizer.step(by_hand)
    optimizer = kind(LR, weight_decay=DECAY, **options(by_fit))
    by_fit.fit(X, T, "mse", optimizer, epochs=2, batch_size=8, shuffle=False)
    np.testing.assert_allclose(by_fit.params, by_hand.params, rtol=1e-9, atol=1e-12)


class Own(Optimizer):
    """Plain SGD with weight decay, in NumPy: it writes down what it is called with."""

    def __init__(self, lr, weight_decay, **options):
        super().__init__(lr, **options)
        self.weight_decay, self.calls = weight_decay, []

    def update(self, params, grads):
        self.calls.append((params.shape, self.lr))
        params -= self.lr * (grads + self.weight_decay * params)


class OwnSGD(SGD):
    """The same, over the settings of SGD, whose weight decay is a number that groups know."""

    def update(self, params, grads):
        assert params.ndim == grads.ndim == 1
        params -= self.lr * (grads + self.weight_decay * params)


class OwnMomentum(SGD):
    """Momentum, with a memory of its own."""

    def init(self, params):
        return {"speed": np.zeros_like(params), "steps": np.zeros(1)}

    def update(self, params, grads):
        speed = self.memory["speed"]
        self.memory["steps"] += 1
        speed[...] = 0.9 * speed + grads + self.weight_decay * params
        params -= self.lr * speed


class OwnAdam(Adam):
    """Adam, with the memory that it inherits: `step` counts each step once, however many groups there are."""

    def update(self, params, grads):
        memory = self.memory
        memory["step"] += 1
        step, grads = memory["step"][0], grads + self.weight_decay * params
        memory["m"][...] = 0.9 * memory["m"] + 0.1 * grads
        memory["v"][...] = 0.999 * memory["v"] + 0.001 * grads**2
        params -= self.lr * memory["m"] / (1 - 0.9**step) / (np.sqrt(memory["v"] / (1 - 0.999**step)) + 1e-8)


class SuperSGD(SGD):
    def update(self, params, grads):
        super().update(params, grads)


class SuperAdam(Adam):
    def update(self, params, grads):
        super().update(params, grads)


IN_NUMPY = {
    "sgd": ("sgd", OwnSGD),
    "momentum": ("momentum", OwnMomentum),
    "adam": ("adam", OwnAdam),
    "super of sgd": ("sgd", SuperSGD),
    "super of momentum": ("momentum", partial(SuperSGD, momentum=0.9)),
    "super of adam": ("adam", SuperAdam),
}


@each_grouping
@pytest.mark.parametrize("own", IN_NUMPY)
def test_a_rule_in_numpy_sees_the_numbers_of_its_group(own, grouping):
    rule, kind = IN_NUMPY[own]
    net = net_of()
    given = gradients(net)
    expected = expected_after(net, rule, grouping, given)
    stepped(net, kind(LR, weight_decay=DECAY, **GROUPINGS[grouping][0](net)), given)
    np.testing.assert_allclose(net.params, expected, rtol=1e-12, atol=1e-12)


def test_a_rule_in_numpy_is_called_once_per_group():
    net = net_of()
    optimizer = Own(LR, 0.0, groups=[Group("biases", 0.1), Group("norms", 10.0)])
    net.fit(X, T, "mse", optimizer, epochs=1, batch_size=7)
    sizes = {name: where.stop - where.start for name, where in slices_of(net).items()}
    expected = [
        ((sum(sizes[name] for name in names),), pytest.approx(LR * factor))
        for names, factor in ((WEIGHTS, 1.0), (BIASES, 0.1), (NORMS, 10.0))
    ]
    assert sorted(optimizer.calls) == sorted(3 * expected, key=lambda call: (call[0], call[1].expected))
    alone = Own(LR, 0.0)
    net.fit(X, T, "mse", alone, epochs=1, batch_size=7)
    assert alone.calls == 3 * [(net.params.shape, LR)]


# Rules that wrap others


class Wrapped(Optimizer):
    """Clips, and lets another optimizer take the step."""

    def __init__(self, inner, **options):
        super().__init__(inner.lr, **options)
        self.wrapped = inner

    def update(self, params, grads):
        self.wrapped.lr = self.lr
        self.wrapped.update(params, np.clip(grads, -0.1, 0.1))


class ClippedAdam(Adam):
    def update(self, params, grads):
        super().update(params, np.clip(grads, -0.1, 0.1))


WRAPPERS = {"wraps": lambda **options: Wrapped(Adam(0.01), **options), "inherits": partial(ClippedAdam, 0.01)}
COPIES = {
    "itself": lambda net: net,
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
}


def lower(model, epoch, logs):
    model.optimizer.lr = 0.01 / (2 + epoch)


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("options", [{}, {"groups": [Group("biases", 0.1)]}], ids=["", "groups"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_rule_in_numpy_can_wrap_a_built_in_one(wrapper, options, copied):
    """Its learning rate, which a group and a callback change, reaches it, and the model has its memory."""
    own, built_in = net_of(), net_of()
    optimizers_ = WRAPPERS[wrapper](**copy.deepcopy(options)), Adam(0.01, clip_value=0.1, **copy.deepcopy(options))
    for net, optimizer in zip((own, built_in), optimizers_, strict=True):
        net.fit(X, T, "mse", optimizer, epochs=3, batch_size=8, callbacks=[lower])
    own = COPIES[copied](own)
    for net in (own, built_in):
        net.fit(X, T, epochs=3, batch_size=8, callbacks=[lower])
    np.testing.assert_allclose(own.params, built_in.params, rtol=1e-12, atol=1e-13)
    assert sum(array.size for array in memory_of(own).values()) == sum(map(np.size, memory_of(built_in).values()))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_snapshot_holds_what_a_wrapped_rule_remembers(wrapper):
    net = net_of()
    net.fit(X, T, "mse", WRAPPERS[wrapper](), epochs=2, batch_size=8, shuffle=False)
    kept = net.snapshot()
    results = []
    for _ in range(2):
        net.restore(kept)
        net.fit(X, T, epochs=2, batch_size=8, shuffle=False)
        results.append(net.params.copy())
    assert same_bits(*results)
    assert not same_bits(results[0], net_of().params)


def test_a_wrapped_rule_has_a_memory_for_each_model():
    optimizer, nets, alone = Wrapped(Adam(0.01)), [net_of(seed=seed) for seed in (0, 1)], net_of()
    for _ in range(3):
        for net in nets:
            net.train_batch(X, T, loss="mse", optimizer=optimizer)
        alone.train_batch(X, T, loss="mse", optimizer=alone.optimizer or Wrapped(Adam(0.01)))
    assert same_bits(nets[0].params, alone.params)


# Adam and AdamW


def test_adamw_is_not_adam():
    assert type(optimizers.get("adamw")) is AdamW
    assert type(optimizers.get("adam")) is Adam
    assert AdamW().weight_decay == 0.01
    assert Adam().weight_decay == 0
    nets = {name: net_of() for name in ("adam", "adamw")}
    for name, net in nets.items():
        net.fit(X, T, "mse", name, epochs=2)
    assert not same_bits(nets["adam"].params, nets["adamw"].params)


def test_adamw_without_decay_is_adam():
    nets = [stepped(net_of(), optimizer, gradients(net_of())) for optimizer in (Adam(0.1), AdamW(0.1, weight_decay=0))]
    assert same_bits(nets[0].params, nets[1].params)


@pytest.mark.parametrize("kind", [SGD, RMSprop, Adam, AdamW])
def test_the_default_decay_is_of_all_parameters_and_said(kind):
    default, every = net_of(), net_of()
    stepped(default, kind(0.1, weight_decay=0.1), gradients(default))
    stepped(every, kind(0.1, weight_decay=0.1, decay="all"), gradients(every))
    assert same_bits(default.params, every.params)
    assert kind(0.1).decay == "all"
    assert 'decay : {"all", "weights"}' in Optimizer.__doc__
    assert "The default is" in Optimizer.__doc__


# Groups that name nothing


@pytest.mark.parametrize("which", ["4.*", "w", "norm"])
def test_a_group_that_names_nothing_is_an_error(which):
    net = net_of()
    before = net.params.copy()
    with pytest.raises(ValueError, match=r"groups\[1\].* names no parameter.*0\.w, 0\.b, 1\.scale"):
        net.fit(X, T, "mse", SGD(0.1, groups=[Group("0.w"), Group(which)]))
    assert same_bits(net.params, before)


def test_a_group_of_a_layer_of_another_model_is_an_error():
    with pytest.raises(ValueError, match=r"groups\[0\].* names no parameter"):
        net_of().fit(X, T, "mse", SGD(0.1, groups=[Group(net_of().layers[0])]))


def test_a_copy_of_a_model_has_groups_of_its_own_layers():
    """Of the copied layers, and not of those that they were copied from."""
    net = net_of()
    net.fit(X, T, "mse", SGD(0.1, groups=[Group(net.layers[0], 0.0)]), epochs=1)
    for duplicate in (copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))):
        other = duplicate(net)
        before = other.layers[0].w.copy(), other.layers[3].w.copy()
        other.fit(X, T, epochs=1)
        assert same_bits(other.layers[0].w, before[0])
        assert not same_bits(other.layers[3].w, before[1])


# Clipping


def norm_of(arrays):
    return np.sqrt(sum(np.sum(array.astype("float64") ** 2) for array in arrays))


def clip_value(g, net, limit):
    return np.clip(g, -limit, limit)


def clip_norm(g, net, limit):
    return g * min(1.0, limit / norm_of([g]))


def clip_layer_norm(g, net, limit):
    g, where = g.copy(), slices_of(net)
    for layer in ("0.", "1.", "2.0.", "2.1.", "3."):
        own = [where[name] for name in NAMES if name.startswith(layer)]
        factor = min(1.0, limit / norm_of([g[part] for part in own]))
        for part in own:
            g[part] *= factor
    return g


CLIPS = {"clip_value": (ClipValue, clip_value), "clip_layer_norm": (ClipLayerNorm, clip_layer_norm),
         "clip_norm": (ClipNorm, clip_norm)}  # fmt: skip
each_clip = pytest.mark.parametrize("name", CLIPS)


@each_dtype
@pytest.mark.parametrize("limit", [0.01, 1.0, 2.0, 100.0])
@each_clip
def test_clipping_is_that_of_numpy(name, limit, dtype):
    net = net_of(dtype)
    (gradient,) = gradients(net, steps=1)
    net.params = 0
    stepped(net, SGD(1.0, **{name: limit}), [gradient])
    expected = -CLIPS[name][1](gradient, net, limit)
    np.testing.assert_allclose(net.params, expected, rtol=1e-6 if dtype == "float32" else 1e-13)
    if limit == 100:  # nothing is larger
        assert same_bits(net.params, -gradient)


@each_clip
def test_an_argument_is_short_for_a_part(name):
    nets = [net_of(), net_of()]
    for net, options in zip(nets, ({name: 0.5}, {"transforms": [CLIPS[name][0](0.5)]}), strict=True):
        stepped(net, Adam(0.1, **options), gradients(net))
    assert same_bits(nets[0].params, nets[1].params)


@pytest.mark.parametrize("order", [("clip_value", "clip_norm"), ("clip_norm", "clip_value"), tuple(CLIPS)], ids=str)
def test_parts_are_composed_in_their_order(order):
    net = net_of()
    (gradient,) = gradients(net, steps=1)
    net.params, expected = 0, -gradient
    limits = {"clip_value": 0.5, "clip_layer_norm": 1.0, "clip_norm": 1.0}
    for name in order:
        expected = CLIPS[name][1](expected, net, limits[name])
    stepped(net, SGD(1.0, transforms=[CLIPS[name][0](limits[name]) for name in order]), [gradient])
    np.testing.assert_allclose(net.params, expected, rtol=1e-13)


def test_arguments_clip_by_value_then_each_layer_then_all():
    nets = [net_of(), net_of()]
    arguments = {"clip_norm": 1.0, "clip_layer_norm": 0.7, "clip_value": 0.5}
    parts = [ClipValue(0.5), ClipLayerNorm(0.7), ClipNorm(1.0)]
    for net, options in zip(nets, (arguments, {"transforms": parts}), strict=True):
        stepped(net, SGD(0.1, **options), gradients(net))
    assert same_bits(nets[0].params, nets[1].params)


def linear_fit_in_numpy(net, change, lr, epochs, batch_size):
    """A dense layer without activation, trained on the mean squared error: its gradient is changed by `change`."""
    w, b = net.layers[0].w.copy(), net.layers[0].b.copy()
    for _ in range(epochs):
        for start in range(0, len(X), batch_size):
            x, t = X[start : start + batch_size], T[start : start + batch_size]
            error = 2 * (x @ w + b - t) / t.size
            flat = change(np.concatenate([(x.T @ error).ravel(), error.sum(axis=0)]))
            w, b = w - lr * flat[: w.size].reshape(w.shape), b - lr * flat[w.size :]
    return np.concatenate([w.ravel(), b])


@pytest.mark.parametrize("name", ["clip_value", "clip_norm"])
def test_a_fit_with_clipping_is_that_of_numpy(name):
    net = Model([Dense(OUTPUTS)], seed=0, dtype="float64").build(FEATURES)
    expected = linear_fit_in_numpy(net, lambda g: CLIPS[name][1](g, net, 0.2), 0.3, 5, 8)
    net.fit(X, T, "mse", SGD(0.3, **{name: 0.2}), epochs=5, batch_size=8, shuffle=False)
    np.testing.assert_allclose(net.params, expected, rtol=1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@each_clip
def test_a_gradient_that_is_not_finite_changes_nothing(name, value):
    net = net_of()
    optimizer = Adam(0.1, **{name: 1.0})
    stepped(net, optimizer, gradients(net))
    before = (
        net.params.copy(),
        {name: array.copy() for name, array in net._trainer.state.memories.get(optimizer).items()},
    )
    net.grads[3] = value
    with pytest.raises(FloatingPointError, match="gradient"):
        optimizer.step(net)
    assert same_bits(net.params, before[0])
    for key, array in net._trainer.state.memories.get(optimizer).items():
        assert same_bits(array, before[1][key])


def test_a_norm_that_is_too_large_for_the_dtype_of_its_squares_is_still_clipped():
    """Their sum is taken in double."""
    net = net_of("float32")
    net.params = 0
    gradient = np.full(net.params.shape, 1e30, np.float32)
    stepped(net, SGD(1.0, clip_norm=1.0), [gradient])
    np.testing.assert_allclose(net.params, -1 / np.sqrt(net.params.size), rtol=1e-6)


def test_frozen_parameters_do_not_count_in_a_norm():
    net = net_of()
    net.layers[0].trainable = False
    given, where = gradients(net, steps=1)[0], slices_of(net)
    net.params = 0
    stepped(net, SGD(1.0, clip_norm=1.0), [given])
    trained = given.copy()
    trained[: where["0.b"].stop] = 0
    np.testing.assert_allclose(net.params, -clip_norm(trained, net, 1.0), rtol=1e-13)


# Transforms of one's own


class OwnClip(Transform):
    def apply(self, grads):
        assert grads.ndim == 1
        np.clip(grads, -0.5, 0.5, out=grads)


@each_rule
def test_a_transform_of_ones_own_changes_the_gradients(rule):
    nets = [net_of(), net_of()]
    for net, options in zip(nets, ({"transforms": [OwnClip()]}, {"clip_value": 0.5}), strict=True):
        net.fit(X, T, "mse", RULES[rule][0](0.1, groups=[Group("biases", 0.5)], **options), epochs=3, batch_size=8)
    assert same_bits(nets[0].params, nets[1].params)


def test_a_transform_without_code_says_so():
    class Nothing(Transform):
        pass

    with pytest.raises(TypeError, match=r"Nothing has no apply: define apply\(self, grads\)"):
        net_of().fit(X, T, "mse", SGD(0.1, transforms=[Nothing()]))


# Accumulation


@each_rule
@pytest.mark.parametrize("batches", [1, 2, 3])
def test_a_step_for_several_batches_is_one_of_a_batch_of_all_their_rows(batches, rule):
    x, t = data(rows=36)
    accumulated, whole = net_of(), net_of()
    options = {"epochs": 4, "shuffle": False}
    accumulated.fit(x, t, "mse", RULES[rule][0](0.02, accumulate=batches), batch_size=6, **options)
    whole.fit(x, t, "mse", RULES[rule][0](0.02), batch_size=6 * batches, **options)
    np.testing.assert_allclose(accumulated.params, whole.params, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.2}, {"clip_value": 0.05}, {"transforms": [OwnClip()]}])
def test_what_is_clipped_is_the_mean_of_several_batches(options):
    x, t = data(rows=36)
    accumulated, whole = net_of(), net_of()
    accumulated.fit(x, t, "mse", SGD(0.1, accumulate=3, **options), batch_size=6, epochs=4, shuffle=False)
    whole.fit(x, t, "mse", SGD(0.1, **options), batch_size=18, epochs=4, shuffle=False)
    np.testing.assert_allclose(accumulated.params, whole.params, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", ["train_batch", "by hand"])
def test_nothing_is_changed_before_the_last_of_several_batches(method):
    net, optimizer, moved = net_of(), Adam(0.1, accumulate=3), []
    for _ in range(6):
        before = net.params.copy()
        if method == "train_batch":
            net.train_batch(X, T, loss="mse", optimizer=optimizer)
        else:
            net.backward(net.forward(X) - T)
            optimizer.step(net)
        moved.append(not same_bits(net.params, before))
    assert moved == [False, False, True] * 2
    assert net._trainer.state.memories.get(optimizer)["step"][0] == 2


def test_batches_that_are_left_at_the_end_of_an_epoch_count_for_the_next_one():
    """As its docstring says: five batches of an epoch, two for a step."""
    assert "count for the next" in Accumulate.__doc__
    net, x, t = net_of(), *data(rows=20)
    by_hand = net_of()
    net.fit(x, t, "mse", SGD(0.1, accumulate=2), epochs=2, batch_size=4, shuffle=False)
    starts = [0, 4, 8, 12, 16] * 2
    for first, second in zip(starts[::2], starts[1::2], strict=True):
        total = 0
        for start in (first, second):
            y = by_hand.forward(x[start : start + 4])
            by_hand.backward(2 * (y - t[start : start + 4]) / y.size)
            total = total + by_hand.grads / 2
        by_hand.params -= 0.1 * total
    np.testing.assert_allclose(net.params, by_hand.params, rtol=1e-10)


def test_what_is_accumulated_belongs_to_the_state():
    net = net_of()
    net.train_batch(X, T, loss="mse", optimizer=SGD(0.1, accumulate=3))
    kept, other, results = net.snapshot(), pickle.loads(pickle.dumps(net)), []
    for model in (net, net, other):
        if model is net:
            model.restore(kept)
        for rows in (slice(5), slice(5, 9)):
            model.train_batch(X[rows], T[rows])
        results.append(model.params.copy())
    assert same_bits(results[0], results[1])
    assert same_bits(results[0], results[2])
    assert not same_bits(results[0], net_of().params)


def test_layers_change_their_states_with_every_batch_that_is_accumulated():
    net = Model([Dense(5), Dropout(0.5), Dense(OUTPUTS)], seed=0)
    for _ in range(5):
        net.train_batch(X, T, loss="mse", optimizer=SGD(0.1, accumulate=4))
    assert net.layers[1].batches[0] == 5


# The same bits for any number of threads

WIDE = {
    **OPTIMIZERS,
    "clip_norm": lambda: SGD(0.01, clip_norm=0.1),
    "clip_layer_norm": lambda: SGD(0.01, clip_layer_norm=0.1),
    "clip_value": lambda: Adam(0.001, clip_value=1e-3),
    "accumulate": lambda: Adam(0.001, accumulate=2),
    "groups": lambda: AdamW(0.001, decay="weights", groups=[Group("1.*", 0.1)]),
    "all": lambda: Adam(0.001, clip_norm=0.1, clip_value=0.01, accumulate=2, groups=[Group("biases", 0.1)]),
}


@each_dtype
@pytest.mark.parametrize("name", WIDE)
def test_any_number_of_threads_trains_to_the_same_bits(name, dtype):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(300, 203)).astype("float32"), rng.integers(0, 10, 300)
    nets = [
        Model([Dense(301, "relu"), Dense(197, "tanh"), Dense(10, "softmax")], seed=0, dtype=dtype) for _ in range(4)
    ]
    for net, n_threads in zip(nets, (1, 2, 3, None), strict=True):
        net.fit(x, t, optimizer=WIDE[name](), epochs=2, batch_size=75, n_threads=n_threads)
        assert same_bits(net.params, nets[0].params)
        for key, array in memory_of(net).items():
            assert same_bits(array, memory_of(nets[0])[key])


@each_dtype
@pytest.mark.parametrize("name", WIDE)
def test_steps_in_parts_give_the_same_bits(name, dtype):
    """However small they are."""
    results = []
    for options in ({"parts": 1}, {"parts": 2}, {"parts": 5}, {"parts": 1000}, {"n_threads": 2}, {"n_threads": 3}):
        net = Model([Dense(70, "relu"), Dense(33, "tanh"), Dense(OUTPUTS)], seed=0, dtype=dtype)
        x, t = data()
        training, (x, t, *_) = net._trainer.ready(x, t, None, "mse", WIDE[name]())
        plan = training.plan(len(x), t, False)
        plan.batch.work.activations[0][...], plan.batch.target[...] = x, t
        tape, n_threads = plan.recorded(len(x), training.step)[1], options.pop("n_threads", 1)
        with Team(n_threads, divide_all=True) as team:
            for _ in range(4):
                tape.replay(team=team, **options) if n_threads > 1 else tape.replay(**options)
        results.append(net.params.copy())
    assert not same_bits(results[0], Model([Dense(1)], seed=0, dtype=dtype).build(4).params)
    assert all(same_bits(result, results[0]) for result in results)


class Halved(Transform):
    """Halves gradients, and counts how often, in NumPy."""

    def init(self, params):
        return {"seen": np.zeros_like(params), "times": np.zeros(1)}

    def apply(self, grads):
        self.memory["seen"][...] += grads
        self.memory["times"][0] += 1
        grads *= 0.5


def test_a_transform_in_numpy_remembers_what_its_init_returns():
    nets = [net_of() for _ in range(2)]
    rules = [SGD(0.2, transforms=[Halved()]), SGD(0.1)]
    for net, rule in zip(nets, rules, strict=True):
        for _ in range(3):
            net.train_batch(X, T, loss="mse", optimizer=rule)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-12)
    memory = nets[0]._trainer.state.memories.get(rules[0])
    assert memory["transforms.Halved.1.times"] == 3
    assert memory["transforms.Halved.1.seen"].any()


def test_a_sum_that_was_begun_is_forgotten_where_gradients_are_not_accumulated_any_more():
    net, rule = net_of(), SGD(0.1, accumulate=2)
    net.train_batch(100 * X, T, loss="mse", optimizer=rule)
    rule.accumulate = 1
    net.train_batch(X, T)
    rule.accumulate, before = 2, net.params.copy()
    net.train_batch(X, T)
    assert same_bits(net.params, before)


class Returning(Optimizer):
    def update(self, params, grads):
        return params - self.lr * grads


class Around(Optimizer):
    def __init__(self, inner):
        super().__init__(0.1)
        self.inner = inner

    def update(self, params, grads):
        self.inner.update(params, grads)


class NoDecay(SignSGD):
    pass


@pytest.mark.parametrize(
    ("optimizer", "error", "message"),
    [
        (Returning(0.1), TypeError, "update returned ndarray: change the array in place"),
        (Around(SGD(0.1, clip_norm=1.0)), ValueError, "inner, SGD.*do nothing inside another optimizer"),
        (Around([SGD(0.1)]), TypeError, "inner holds optimizers in a list"),
        (NoDecay(0.1, groups=[Group("weights", weight_decay=0.5)]), ValueError, "weight_decay, which this optimizer"),
        (NoDecay(0.1, decay="weights"), ValueError, "this optimizer has no weight_decay"),
    ],
    ids=["returns", "inner settings", "in a list", "group's decay", "decay"],
)
def test_what_would_be_without_effect_is_refused(optimizer, error, message):
    net = net_of().build(FEATURES)
    before = net.params.copy()
    with pytest.raises(error, match=message):
        net.train_batch(X, T, loss="mse", optimizer=optimizer)
    assert same_bits(net.params, before)

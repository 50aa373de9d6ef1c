"""What every optimizer can do, whatever its formula: groups, decay of weights only, clipping, rules of one's own."""

import copy

import numpy as np
import pytest
from nets import FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, each_optimizer, memory_of, same_bits

from fastnn import LAMB, SGD, Adagrad, Adam, Dense, Group, LayerNorm, Model, Optimizer, Rprop, optimizers
from fastnn.settings import Number

X, T = data()


def net_of(dtype="float64"):
    net = Model([Dense(5, "tanh"), LayerNorm(), Dense(6, "tanh"), Dense(OUTPUTS)], seed=0, dtype=dtype).build(FEATURES)
    net.params[...] += np.random.default_rng(0).normal(0, 0.1, net.params.shape)  # no bias is 0, no scale is 1
    return net


def gradients(net, steps=4):
    rng = np.random.default_rng(7)
    return [rng.normal(size=net.params.shape).astype(net.dtype) for _ in range(steps)]


def stepped(optimizer, given, dtype="float64"):
    """Return a net after a step on each of these gradients."""
    net = net_of(dtype)
    for gradient in given:
        net.grads = gradient
        optimizer.step(net)
    return net


def with_options(name, **options):
    """Return an optimizer of the table, with these attributes."""
    optimizer = OPTIMIZERS[name]()
    for key, value in options.items():
        setattr(optimizer, key, value)
    return optimizer


def parameters(net, kinds=("weights", "biases", "norms"), names=""):
    """Return the parameters of these kinds whose names begin so, by name."""
    return {
        entry.name: net.params[entry.start : entry.stop]
        for entry in net._tree.entries()
        if entry.kind in kinds and entry.name.startswith(names)
    }


def assert_same(net, other, **which):
    ours, others = parameters(net, **which), parameters(other, **which)
    assert ours
    for name, array in ours.items():
        assert same_bits(array, others[name]), name


@each_dtype
@each_optimizer
def test_groups_that_change_no_number_change_nothing(optimizer, dtype):
    given = gradients(net_of(dtype))
    plain = stepped(OPTIMIZERS[optimizer](), given, dtype)
    grouped = stepped(with_options(optimizer, groups=[Group("biases"), Group("2.*"), Group("norms")]), given, dtype)
    assert_same(plain, grouped)
    assert not same_bits(plain.params, net_of(dtype).params)


@each_optimizer
def test_a_group_has_a_rate_of_its_own(optimizer):
    given = gradients(net_of())
    net = stepped(with_options(optimizer, groups=[Group("2.*", lr_factor=0.5)]), given)
    plain = OPTIMIZERS[optimizer]()
    other = stepped(with_options(optimizer, lr=0.5 * plain.lr), given)
    assert_same(net, other, names="2.")
    for names in ("0.", "1.", "3."):
        assert_same(net, stepped(OPTIMIZERS[optimizer](), given), names=names)
    assert not same_bits(stepped(plain, given).params, other.params)


@each_optimizer
def test_decay_of_weights_leaves_biases_and_norms(optimizer):
    given = gradients(net_of())
    if not hasattr(type(OPTIMIZERS[optimizer]()), "weight_decay"):
        with pytest.raises(ValueError, match="decay is 'weights', but this optimizer has no weight_decay"):
            stepped(with_options(optimizer, decay="weights"), given)
        return
    net = stepped(with_options(optimizer, decay="weights", weight_decay=0.3), given)
    everywhere = stepped(with_options(optimizer, weight_decay=0.3), given)
    nowhere = stepped(with_options(optimizer, weight_decay=0.0), given)
    assert_same(net, everywhere, kinds=["weights"])
    assert_same(net, nowhere, kinds=["biases", "norms"])
    assert not same_bits(everywhere.params, nowhere.params)


@each_optimizer
def test_gradients_are_clipped_before_any_rule(optimizer):
    given = gradients(net_of())
    net = stepped(with_options(optimizer, clip_value=0.5), given)
    assert_same(net, stepped(OPTIMIZERS[optimizer](), [np.clip(gradient, -0.5, 0.5) for gradient in given]))
    net = stepped(with_options(optimizer, clip_norm=0.5), given)
    scaled = [gradient * (0.5 / np.linalg.norm(gradient)) for gradient in given]
    np.testing.assert_allclose(net.params, stepped(OPTIMIZERS[optimizer](), scaled).params, rtol=1e-9)


@each_optimizer
def test_a_step_for_several_batches_is_one_on_their_mean(optimizer):
    given = gradients(net_of(), steps=6)
    net = stepped(with_options(optimizer, accumulate=2), given)
    means = [(given[i] + given[i + 1]) * 0.5 for i in (0, 2, 4)]
    assert_same(net, stepped(OPTIMIZERS[optimizer](), means))


def overridden(optimizer):
    """Return the optimizer as one of a class whose update, in NumPy, is that of its base."""
    kind = type(optimizer)

    class Own(kind):
        def update(self, params, grads):
            assert params.ndim == grads.ndim == 1
            super().update(params, grads)

    own = Own.__new__(Own)
    own.__setstate__(copy.deepcopy(optimizer).__getstate__())
    return own


@each_dtype
@pytest.mark.parametrize("options", [{}, {"groups": [Group("biases", 0.5), Group("2.*", 2.0)]}], ids=["", "groups"])
@each_optimizer
def test_an_update_of_ones_own_can_be_that_of_the_base(optimizer, options, dtype):
    built_in = with_options(optimizer, **options)
    nets = [net_of(dtype) for _ in range(2)]
    for net, rule in zip(nets, (built_in, overridden(built_in)), strict=True):
        assert rule.is_numpy == (rule is not built_in)
        net.fit(X, T, "mse", rule, epochs=3, batch_size=8)
    assert_same(*nets)
    for name, array in memory_of(nets[0]).items():
        assert same_bits(array, memory_of(nets[1])[name])


@each_optimizer
def test_a_step_on_arrays_that_no_model_owns(optimizer):
    """What is remembered of them lasts."""
    net = net_of()
    given = gradients(net)
    w, rule = net.params.copy(), OPTIMIZERS[optimizer]()
    for gradient in given:
        rule.update(w, gradient)
    if not rule._by_array:
        assert same_bits(w, stepped(OPTIMIZERS[optimizer](), given).params)
    assert not same_bits(w, net.params)


# What a number is set to where the half of it would not show
OTHERWISE = {"eps": 0.05, "weight_decay": 0.3, "min_step": 0.005, "max_step": 0.001, "eta_plus": 1.9, "lr_decay": 0.5}
NUMBERS = [
    (name, number)
    for name, make in OPTIMIZERS.items()
    for number in make()._cells
    if not (number in ("momentum", "dampening") and not make()._cells[number][0])  # structure: tests/test_settings.py
]


@pytest.mark.parametrize(("optimizer", "number"), NUMBERS)
def test_every_number_takes_effect_at_the_next_step(optimizer, number):
    """Of a recording, as of steps by hand."""
    assert isinstance(getattr(type(OPTIMIZERS[optimizer]()), number), Number)
    given = gradients(net_of(), steps=6)
    value = OTHERWISE.get(number) or 0.5 * getattr(OPTIMIZERS[optimizer](), number)
    rules = [OPTIMIZERS[optimizer]() for _ in range(3)]
    nets = [net_of() for _ in rules]
    for step in range(6):
        start = 3 * step
        if step == 3:
            for rule in rules[:2]:
                setattr(rule, number, value)
        for net, rule in zip(nets[::2], rules[::2], strict=True):
            net.train_batch(X[start : start + 4], T[start : start + 4], loss="mse", optimizer=rule)
        y = nets[1].forward(X[start : start + 4])
        nets[1].backward(2 * (y - T[start : start + 4]) / y.size)
        rules[1].step(nets[1])
    assert given
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-9, atol=1e-12)
    assert not same_bits(nets[0].params, nets[2].params)


# What single rules promise


def test_names_that_others_use():
    for name in (
        "adagrad",
        "adadelta",
        "adamax",
        "nadam",
        "radam",
        "lion",
        "lamb",
        "rprop",
        "NAdam",
        "RMSprop",
        "AdamW",
    ):
        assert type(optimizers.get(name)).__name__.lower() == name.lower()


def test_dampening_needs_a_momentum_without_nesterov():
    for options in ({}, {"momentum": 0.9, "nesterov": True}):
        with pytest.raises(ValueError, match="SGD: dampening needs a momentum above 0"):
            SGD(0.1, dampening=0.5, **options)
    with pytest.raises(ValueError, match=r"SGD: dampening is 1, expected a finite number >= 0 and < 1"):
        SGD(0.1, momentum=0.9, dampening=1)


def test_dampening_that_begins_later_dampens_at_once():
    """The first step of a momentum counts whole; that was long ago."""
    given = gradients(net_of())
    net, rule = net_of(), SGD(0.1, momentum=0.9)
    expected, velocity = net.params.copy(), 0
    for step, gradient in enumerate(given):
        if step == 2:
            rule.dampening = 0.5
        net.grads = gradient
        rule.step(net)
        velocity = 0.9 * velocity + (gradient if step < 2 else 0.5 * gradient)
        expected -= 0.1 * velocity
    np.testing.assert_allclose(net.params, expected, rtol=1e-12)


def test_where_the_squares_of_adagrad_begin_is_fixed():
    rule = Adagrad(initial_accumulator_value=0.5)
    assert rule.initial_accumulator_value == 0.5
    with pytest.raises(AttributeError, match=r"is fixed.*squares may have begun with 0.5: make another one"):
        rule.initial_accumulator_value = 0.1
    with pytest.raises(ValueError, match="Adagrad: initial_accumulator_value is -1, expected a finite number >= 0"):
        Adagrad(initial_accumulator_value=-1)
    assert copy.deepcopy(rule).initial_accumulator_value == 0.5


def test_the_rate_of_rprop_scales_all_its_steps():
    """Also a warm-up from 0, which its smallest step does not lift."""
    given = [np.abs(gradient) for gradient in gradients(net_of(), steps=3)]
    net, rule = net_of(), Rprop(0.0)
    before = net.params.copy()
    for rate, factor in ((0.0, 0.0), (0.01, 0.01 * 1.2), (0.1, 0.1 * 1.2**2)):
        rule.lr = rate
        net.grads = given[0]
        rule.step(net)
        np.testing.assert_allclose(before - net.params, factor, rtol=1e-9, atol=1e-15)
        before = net.params.copy()


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        (Rprop, "eta_minus", 1.0, "Rprop: eta_minus is 1.0, expected a finite number > 0 and < 1"),
        (Rprop, "eta_plus", 1.0, "Rprop: eta_plus is 1.0, expected a finite number > 1"),
        (Rprop, "max_step", 0.0, "Rprop: max_step is 0.0, expected a finite number > 0"),
        (Adam, "amsgrad", "no", "Adam: amsgrad is 'no', expected True or False"),
        (optimizers.Adadelta, "rho", 1.0, "Adadelta: rho is 1.0, expected a finite number >= 0 and < 1"),
    ],
)
def test_bad_values_are_errors_that_change_nothing(kind, name, value, message):
    rule = kind()
    before = getattr(rule, name)
    with pytest.raises((ValueError, TypeError), match=message):
        setattr(rule, name, value)
    assert getattr(rule, name) == before


def test_squares_that_begin_too_large_for_float32_are_no_warning():
    net = Model([Dense(OUTPUTS)], 0, "float32").build(FEATURES)
    before = net.params.copy()
    net.train_batch(*data(), optimizer=optimizers.Adagrad(initial_accumulator_value=1e300))
    assert same_bits(net.params, before)


def test_amsgrad_may_begin_later():
    """From the largest v since then."""
    given = gradients(net_of())
    net, rule = net_of(), Adam(0.1, beta2=0.5)
    expected, m, v, largest = net.params.copy(), 0, 0, 0
    for step, gradient in enumerate(given, 1):
        rule.amsgrad = step > 2
        net.grads = gradient
        rule.step(net)
        m, v = 0.9 * m + 0.1 * gradient, 0.5 * v + 0.5 * gradient**2
        largest = np.maximum(largest, v) if step > 2 else largest
        root = np.sqrt((largest if step > 2 else v) / (1 - 0.5**step)) + 1e-8
        expected -= 0.1 * m / (1 - 0.9**step) / root
    np.testing.assert_allclose(net.params, expected, rtol=1e-12)


class OwnLAMB(LAMB):
    def update(self, params, grads):
        super().update(params, grads)


class Around(Optimizer):
    """A rule in NumPy that lets another one step."""

    def __init__(self, inner):
        super().__init__(inner.lr)
        self.inner = inner

    def update(self, params, grads):
        self.inner.update(params, grads)


@each_dtype
@pytest.mark.parametrize("make", [LAMB, OwnLAMB, lambda *numbers: Around(LAMB(*numbers))], ids=["", "own", "around"])
def test_lamb_steps_array_by_array(make, dtype):
    """Each with the norms of its own, where they lie side by side, and where a group is taken from several places."""
    net, rule = net_of(dtype), make(0.1)
    rule.groups = [Group("biases", lr_factor=2.0)] if make is not LAMB else []
    expected, (gradient,) = net.params.astype("float64"), gradients(net, steps=1)
    net.grads = gradient
    rule.step(net)
    for entry in net._tree.entries():
        w, g = (array[entry.start : entry.stop].astype("float64") for array in (expected, gradient))
        u = g / (np.abs(g) + 1e-6)
        rate = 0.2 if entry.kind == "biases" and type(rule) is OwnLAMB else 0.1
        expected[entry.start : entry.stop] -= rate * np.linalg.norm(w) / np.linalg.norm(u) * u
    np.testing.assert_allclose(net.params, expected, rtol=1e-9 if dtype == "float64" else 1e-4)


def test_lamb_moves_arrays_of_zeros():
    net = net_of()
    net.params = 0
    net.grads = np.ones(net.params.shape)
    LAMB(0.1).step(net)
    np.testing.assert_allclose(net.params, -0.1, rtol=1e-5)


@each_dtype
@each_optimizer
def test_what_is_remembered_of_gradients_never_stays_subnormal(optimizer, dtype):
    """Where gradients become 0, as behind a relu that is never positive again: such steps would take twice as long."""
    rule, least = OPTIMIZERS[optimizer](), np.finfo(dtype).smallest_normal
    net = stepped(rule, gradients(net_of(dtype), 1), dtype)
    remembered = [array for array in memory_of(net).values() if array.shape == net.params.shape]
    for array in remembered:
        array[...] = np.clip(array, -4 * least, 4 * least)
    for _ in range(40):
        net.grads = np.zeros_like(net.params)
        rule.step(net)
    for array in (net.params, *remembered):
        assert not np.any((array != 0) & (np.abs(array) < least))

"""Penalties, which are part of the loss of a model, and constraints, to which its parameters are brought back."""

import copy
import pickle

import numpy as np
import pytest
from custom import Scale
from nets import FEATURES, OUTPUTS, data, each_dtype, memory_of, numerical_gradient, same_bits

from fastnn import (
    EMA,
    L1,
    L2,
    LBFGS,
    MSE,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Box,
    Constraint,
    Dense,
    EarlyStopping,
    ElasticNet,
    Group,
    Layer,
    MaxNorm,
    MinMaxNorm,
    Model,
    NonNegative,
    Optimizer,
    Penalize,
    Penalty,
    Residual,
    UnitNorm,
    constraints,
    fit_many,
    penalties,
    reference,
)
from fastnn._core.team import Team

X, T = data()


class OwnL2(Penalty):
    def value_and_grad(self, w):
        return 0.2 * np.sum(np.square(w, dtype=np.float64)), 0.4 * w


class Doubled(L1):
    def value_and_grad(self, w):
        value, gradient = super().value_and_grad(w)
        return 2 * value, 2 * gradient


class OwnBox(Constraint):
    def project(self, w):
        np.clip(w, -0.3, 0.2, out=w)


class Halfway(UnitNorm):  # what a base class does is super()
    def project(self, w):
        before = w.copy()
        super().project(w)
        w += before
        w /= 2


class Descent(Optimizer):
    def update(self, params, grads):
        params -= self.lr * grads


def layers():
    return [Dense(5, "tanh"), BatchNorm(), Residual([Dense(5, "silu")]), Scale(), Dense(OUTPUTS)]


def net_of(dtype="float64", seed=0, made=layers, **restraints):
    """A net with parameters at which nothing is special."""
    net = Model(made(), seed, dtype, **restraints).build(FEATURES)
    net.params[...] += np.random.default_rng(seed).normal(0, 0.2, net.params.shape)
    return net


def named(net):
    """The parameters by name."""
    return {entry.name: net.params[entry.start : entry.stop].reshape(entry.shape) for entry in net._tree.entries()}


WEIGHTS = "0.w", "2.0.w", "4.w"
# name: the penalties, the names of the parameters of each, and their values in NumPy
PENALTIES = {
    "l2": ([L2(0.1)], [WEIGHTS], [lambda w: 0.1 * np.sum(w**2)]),
    "by name": (["l1"], [WEIGHTS], [lambda w: 0.01 * np.sum(abs(w))]),
    "elastic net of biases": ([ElasticNet(0.2, 0.3, "biases")], [("0.b", "2.0.b", "3.s", "4.b")],
                              [lambda w: 0.2 * np.sum(abs(w)) + 0.3 * np.sum(w**2)]),
    "several": ([L1(0.1, "norms"), L2(0.3, "2.*"), L2(0.1, "0.w")],
                [("1.scale", "1.shift"), ("2.0.w", "2.0.b"), ("0.w",)],
                [lambda w: 0.1 * np.sum(abs(w)), lambda w: 0.3 * np.sum(w**2), lambda w: 0.1 * np.sum(w**2)]),
    "numpy": ([OwnL2("*.w"), Doubled(0.1, "0.w")], [WEIGHTS, ("0.w",)],
              [lambda w: 0.2 * np.sum(w**2), lambda w: 0.2 * np.sum(abs(w))]),
}  # fmt: skip
each_penalties = pytest.mark.parametrize("name", PENALTIES)


@each_penalties
def test_the_value_is_part_of_every_loss_and_the_gradient_is_its_derivative(name):
    parts, names, values = PENALTIES[name]
    net, plain = net_of(penalties=parts), net_of()

    def value():
        return sum(f(named(net)[at]) for f, held in zip(values, names, strict=True) for at in held)

    np.testing.assert_allclose(net.penalty(), value(), rtol=1e-12)
    expected = MSE()(net.predict(X), T) + value()
    np.testing.assert_allclose(net.evaluate(X, T, "mse")["loss"], expected, rtol=1e-12)
    y = net.forward(X)
    net.backward(MSE().value_and_grad(y, T)[1])
    by_hand = net.grads.copy()
    np.testing.assert_allclose(
        net.train_batch(X, T, loss="mse", optimizer=SGD(0.0)),
        plain.train_batch(X, T, loss="mse", optimizer=SGD(0.0)) + value(),
        rtol=1e-12,
    )
    assert same_bits(net.grads, by_hand)

    def objective():
        return float(np.mean((net.forward(X) - T) ** 2)) + net.penalty()

    numerical = numerical_gradient(objective, net.params)
    assert np.abs(by_hand - numerical).max() <= 1e-7 * np.abs(numerical).max()
    history = net.fit(X, T, loss="mse", optimizer=SGD(0.0), epochs=2, batch_size=21, validation_data=(X, T))
    np.testing.assert_allclose(history.val_loss[-1], net.evaluate(X, T)["loss"], rtol=1e-12)
    np.testing.assert_allclose(history.loss[0], net.train_batch(X, T), rtol=1e-12)


def projected(kind, **numbers):
    def project(w):
        array = w[None] if w.ndim == 1 else w
        (reference.bound_row_norms if w.ndim == 1 or kind == "rows" else reference.bound_column_norms)(array, **numbers)

    return project


def halfway(w):
    before = w.copy()
    projected("columns", low=1.0, high=1.0)(w)
    w += before
    w /= 2


# name: the constraints, the names of the parameters of each, and what they are in NumPy
CONSTRAINTS = {
    "max norm": ([MaxNorm(0.7)], [WEIGHTS], [projected("columns", high=0.7)]),
    "of rows": ([MaxNorm(0.7, "*.w", axis=1)], [WEIGHTS], [projected("rows", high=0.7)]),
    "of biases": ([MaxNorm(0.1, "biases")], [("0.b", "2.0.b", "3.s", "4.b")], [projected("columns", high=0.1)]),
    "unit norm": (["unit_norm"], [WEIGHTS], [projected("columns", low=1.0, high=1.0)]),
    "unit norm of rows": ([UnitNorm("4.w", axis=1)], [("4.w",)], [projected("rows", low=1.0, high=1.0)]),
    "min max norm": ([MinMaxNorm(0.9, 1.1, 0.3, "0.w")], [("0.w",)],
                     [projected("columns", low=0.9, high=1.1, rate=0.3)]),
    "non-negative": ([NonNegative()], [WEIGHTS], [lambda w: np.maximum(w, 0, out=w)]),
    "box, then norm": ([Box(-0.2, 0.3, "*"), MaxNorm(0.2, "4.w")], [("*",), ("4.w",)],
                       [lambda w: np.clip(w, -0.2, 0.3, out=w), projected("columns", high=0.2)]),
    "numpy": ([OwnBox("0.w"), Halfway("4.w")], [("0.w",), ("4.w",)], [lambda w: np.clip(w, -0.3, 0.2, out=w), halfway]),
}  # fmt: skip
each_constraints = pytest.mark.parametrize("name", CONSTRAINTS)
RULES = {
    "sgd": lambda: SGD(0.1), "adam": lambda: Adam(0.05), "numpy": lambda: Descent(0.1),
    "groups": lambda: AdamW(0.05, groups=[Group("biases", 0.1)], clip_norm=0.3),
}  # fmt: skip


def project(net, name):
    """What behind a step is done to parameters."""
    parameters, (_, names, formulas) = named(net), CONSTRAINTS[name]
    for held, formula in zip(names, formulas, strict=True):
        for at in parameters if held == ("*",) else held:
            formula(parameters[at])


@each_constraints
def test_parameters_are_brought_back_behind_each_step(name):
    for rule in RULES.values():
        net, plain, optimizer = net_of(constraints=CONSTRAINTS[name][0]), net_of(), rule()
        by_hand, plain.optimizer = copy.deepcopy(net), rule()
        assert same_bits(net.params, plain.params)  # the first ones stay, until a step is taken
        for _ in range(3):
            net.train_batch(X, T, loss="mse", optimizer=optimizer)
            plain.train_batch(X, T, loss="mse")
            project(plain, name)
            np.testing.assert_allclose(net.params, plain.params, rtol=1e-12, atol=1e-14)
        by_hand.optimizer = rule()
        for _ in range(3):
            by_hand.backward(MSE().value_and_grad(by_hand.forward(X), T)[1])
            by_hand.step()
        assert same_bits(by_hand.params, net.params)
        trained = net_of(constraints=CONSTRAINTS[name][0])
        trained.fit(X, T, "mse", rule(), epochs=3, batch_size=len(X), shuffle=False)
        assert same_bits(trained.params, net.params)


@each_dtype
def test_steps_in_parts_and_by_threads_give_the_same_bits(dtype):
    for built_in in (True, False):
        results, parts = [], [L1(1e-3), ElasticNet(1e-3, 1e-2, "*")] if built_in else [OwnL2()]
        bounds = [MaxNorm(0.9), MinMaxNorm(0.9, 1.0, 0.5, axis=1), Box(-0.1, 0.1, "biases")] if built_in else [OwnBox()]
        for pieces, n_threads in ((1, 1), (3, 1), (1000, 1), (1, 2), (1, 3)):
            made = lambda: [Dense(301, "relu"), Penalize(L1(0.01)), Dense(OUTPUTS)]  # noqa: E731
            net = net_of(dtype, made=made, penalties=copy.deepcopy(parts), constraints=copy.deepcopy(bounds))
            training, (x, t, *_) = net._trainer.ready(X, T, None, "mse", Adam(0.01))
            plan = training.plan(len(x), t, False)
            plan.batch.work.activations[0][...], plan.batch.target[...] = x, t
            tape = plan.recorded(len(x), training.step)[1]
            with Team(n_threads, divide_all=True) as team:
                for _ in range(3):
                    tape.replay(parts=pieces, **({"team": team} if n_threads > 1 else {}))
            results.append([net.params.copy(), net.grads.copy(), plan.batch.value.copy()])
        for result in results[1:]:
            assert all(map(same_bits, result, results[0]))


def restrained(dtype="float64"):
    hidden = Dense(5, "tanh")
    return Model(
        [hidden, Penalize(L1(0.1)), Dense(OUTPUTS)], 0, dtype,
        penalties=[L2(0.1, hidden), "l1"], constraints=[MaxNorm(0.8), NonNegative("2.b")],
    )  # fmt: skip


@each_dtype
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_has_them_for_its_own_layers(duplicate, dtype):
    net = restrained(dtype)
    for built in (False, True):
        other = duplicate(net)
        assert other.penalties[0].which is other[0]
        assert repr(other) == repr(net)
        for model in (net, other):
            model.fit(X, T, "mse", None if built else Adam(0.01), epochs=2, batch_size=8)
        assert same_bits(other.params, net.params)
        assert other.history.loss == net.history.loss
    kept, expected = net.snapshot(), net.fit(X, T, epochs=2).loss
    net.restore(kept)
    assert net.fit(X, T, epochs=2).loss == expected


def test_they_are_shown(capsys):
    net = restrained()
    for text in (
        "penalties: L2(l2=0.1, which=Dense(5, 'tanh')), L1()",
        "constraints: MaxNorm(limit=0.8), NonNegative('2.b')",
    ):
        assert text in repr(net)
        net.summary()
        assert text in capsys.readouterr().out.splitlines()
    assert "penalties" not in repr(Model([Dense(1)]))


def test_numbers_and_parts_may_be_set_at_any_time():
    """In a callback, too: as in a copy of which nothing has been recorded."""
    changes = [
        lambda net: setattr(net.penalties[0], "l2", 1.0),
        lambda net: setattr(net.penalties[0], "which", "2.w"),
        lambda net: setattr(net.constraints[0], "limit", 0.3),
        lambda net: setattr(net.constraints[0], "axis", 1),
        lambda net: setattr(net, "penalties", None),
        lambda net: setattr(net, "constraints", "non_negative"),
        lambda net: setattr(net[0], "trainable", False),
    ]
    for change in changes:
        net = restrained()
        net.fit(X, T, "mse", SGD(0.1), epochs=2, batch_size=8, shuffle=False)
        fresh, same = copy.deepcopy(net), copy.deepcopy(net)
        change(fresh)
        in_a_callback = lambda model, epoch, logs, change=change: change(model) if epoch == 1 else None  # noqa: E731
        net.fit(X, T, epochs=4, batch_size=8, shuffle=False, callbacks=in_a_callback)
        for model in (same, fresh):
            model.fit(X, T, epochs=2, batch_size=8, shuffle=False)
        change(same)
        for model in (same, fresh):
            model.fit(X, T, epochs=2, batch_size=8, shuffle=False)
        assert same_bits(net.params, same.params)
        assert not same_bits(net.params, fresh.params)  # which has been changed before all four
        by_hand = [copy.deepcopy(same), copy.deepcopy(same)]
        by_hand[0].backward(by_hand[0].forward(X))  # is recorded
        for model in by_hand:
            change(model)
            model.backward(model.forward(X))
            model.step()
        assert same_bits(*[model.params for model in by_hand])


def test_their_numbers_may_follow_schedules():
    halves = lambda step: 2.0**-step  # noqa: E731
    net, own = restrained(), restrained()
    for model, start in ((net, halves), (own, 1.0)):
        model.penalties[0].l2 = model.constraints[0].limit = model[1].penalty.l1 = start
        model.optimizer = SGD(0.1)
    net.fit(X, T, "mse", epochs=3, batch_size=len(X), shuffle=False)
    for step in range(3):
        own.penalties[0].l2 = own.constraints[0].limit = own[1].penalty.l1 = halves(step)
        own.train_batch(X, T, loss="mse")
    assert same_bits(net.params, own.params)


def test_frozen_parameters_have_none():
    net = restrained()
    net[0].trainable = False
    before = net.build(FEATURES)[0].w.copy()
    net.train_batch(X, T, loss="mse", optimizer=SGD(0.1))
    assert same_bits(net[0].w, before)
    assert not net[0].dw.any()
    np.testing.assert_allclose(net.penalty(), 0.01 * abs(net[2].w).sum(), rtol=1e-12)


def test_where_gradients_are_accumulated_a_step_is_that_of_several_batches():
    net = net_of(penalties=L2(0.1), constraints=Box(-0.2, 0.2, "*"))
    before = net.params.copy()
    for _ in range(2):
        net.train_batch(X[:10], T[:10], loss="mse", optimizer=net.optimizer or SGD(0.1, accumulate=3))
        assert same_bits(net.params, before)
    net.train_batch(X[:10], T[:10])
    assert abs(net.params).max() == 0.2


def test_the_decay_of_sgd_is_half_of_it():
    """PyTorch's weight_decay is 2 * l2."""
    decay = Group("weights", weight_decay=0.2)
    nets = [net_of(penalties=[L2(0.1)]), net_of()]
    for net, optimizer in zip(nets, (SGD(0.1, 0.9), SGD(0.1, 0.9, groups=[decay])), strict=True):
        net.fit(X, T, "mse", optimizer, epochs=5, batch_size=8)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-10)


def test_a_penalty_on_outputs_is_a_mean_over_rows():
    made = lambda: [Dense(5, "tanh"), Penalize(ElasticNet(0.1, 0.2)), Dense(OUTPUTS)]  # noqa: E731
    net, plain = net_of(made=made), net_of(made=lambda: [Dense(5, "tanh"), Dense(OUTPUTS)])
    y = np.tanh(X @ net[0].w + net[0].b)
    expected = (0.1 * abs(y).sum() + 0.2 * (y**2).sum()) / len(X)
    losses = [model.train_batch(X, T, loss="mse", optimizer=SGD(0.1)) for model in (net, plain)]
    np.testing.assert_allclose(losses[0] - losses[1], expected, rtol=1e-12)
    np.testing.assert_allclose(net.evaluate(X, T)["loss"], MSE()(net.predict(X), T), rtol=1e-12)


def test_what_else_reads_a_loss():
    nets = [restrained(), restrained()]
    stopping = EarlyStopping(patience=2, monitor="loss")
    fit_many(nets, X, T, "mse", "adam", epochs=20, callbacks=[stopping])
    for net in nets:
        assert min(net.history.loss) < net.history.loss[0]
        np.testing.assert_allclose(net.evaluate(X, T)["loss"], min(net.history.loss), rtol=1e-12)


def test_averages_are_of_what_has_been_brought_back_and_evaluated_with_their_own_penalties():
    net = net_of(penalties=[L2(0.1)], constraints=[Box(-0.3, 0.3, "*")])
    net.fit(X, T, "mse", Adam(0.1, average=EMA(0.5)), epochs=3)
    before, averaged = net.penalty(), net.predict(X)
    loss = net.evaluate(X, T)["loss"]
    net.use_averages()
    assert net.penalty() != before
    np.testing.assert_allclose(loss, MSE()(averaged, T) + net.penalty(), rtol=1e-12)
    net.fit(X, T, "mse", Adam(0.1, average=EMA(0.0)), epochs=1)  # of the last parameters alone
    net.use_averages()
    assert abs(net.params).max() == 0.3


def test_a_fit_by_scipy_makes_the_penalized_loss_small():
    pytest.importorskip("scipy")
    net = Model([Dense(OUTPUTS)], 0, "float64", penalties=[L2(0.1)])
    net.fit(X, T, "mse", LBFGS(tolerance_change=0.0), epochs=200)
    x, n = X - X.mean(axis=0), len(X) * OUTPUTS  # ridge regression
    expected = np.linalg.solve(x.T @ x / n + 0.1 * np.eye(FEATURES), x.T @ (T - T.mean(axis=0)) / n)
    np.testing.assert_allclose(net[0].w, expected, atol=1e-6)
    net.constraints = ["non_negative"]
    with pytest.raises(ValueError, match=r"constraints\[0\], NonNegative\(\), holds behind each step"):
        net.fit(X, T)


class Nothing(Penalty):
    pass


class Misnamed(Constraint):
    def apply(self, w):
        pass


class Returning(Constraint):
    def project(self, w):
        return w * 0


class OfOtherShape(Penalty):
    def value_and_grad(self, w):
        return w.sum(axis=0), np.ones(3)


class OfText(Penalty):
    def value_and_grad(self, w):
        return "1", w


class OfComplex(Penalty):
    def value_and_grad(self, w):
        return 1.0, w * 1j


class Around(Layer):
    def __init__(self):
        self.inner = Penalize("l1")

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, dy):
        return self.inner.backward(dy)


def trained(**restraints):
    return Model([Dense(3), Dense(OUTPUTS)], **restraints).train_batch(X, T, loss="mse")


REFUSED = [
    (lambda: L2(-1), ValueError, "L2: l2 is -1, expected a finite number >= 0"),
    (lambda: L1(np.nan), ValueError, "L1: l1 is nan"),
    (
        lambda: L2(0.1, 3),
        TypeError,
        r"L2: which is 3, expected a kind \(weights, biases, norms\), a pattern or a layer",
    ),
    (lambda: Group(0.1), TypeError, "Group: which is 0.1, expected a kind"),
    (lambda: setattr(L2(), "which", None), TypeError, "L2: which is None"),
    (lambda: setattr(L2(), "l1", 1.0), AttributeError, "L2 has no l1"),
    (lambda: MaxNorm(0), ValueError, "MaxNorm: limit is 0, expected a finite number > 0"),
    (lambda: MaxNorm(1, axis=2), ValueError, "MaxNorm: axis is 2, expected 0, for what comes into each unit, or 1"),
    (lambda: MinMaxNorm(2, 1), ValueError, "MinMaxNorm: low is 2 and high 1, expected low <= high"),
    (lambda: MinMaxNorm(rate=1.1), ValueError, "MinMaxNorm: rate is 1.1, expected"),
    (lambda: setattr(Box(-1, 1), "high", -2), ValueError, "Box: low is -1 and high -2, expected low <= high"),
    (lambda: Box(-np.inf, 1), ValueError, "Box: low is -inf, expected a finite number"),
    (lambda: Box("a"), TypeError, "Box: low is 'a', expected a number"),
    (lambda: Model([Dense(1)], penalties=0.1), TypeError, "penalty is 0.1, expected a name"),
    (
        lambda: Model([Dense(1)], penalties="l3"),
        ValueError,
        "unknown penalty 'l3': expected one of elastic_net, l1, l2",
    ),
    (lambda: Model([Dense(1)], penalties=[MaxNorm()]), TypeError, r"penalty is MaxNorm\(\), expected a name"),
    (lambda: Model([Dense(1)], constraints=["nonneg", "positive"]), ValueError, "unknown constraint 'positive'"),
    (
        lambda: trained(penalties=[L2(), L2(0.1, "7.w")]),
        ValueError,
        r"Model: penalties\[1\], L2\(.*'7.w'\), names no .*0.w",
    ),
    (lambda: trained(constraints=MaxNorm(1, Dense(1))), ValueError, r"Model: constraints\[0\], .* names no parameter"),
    (lambda: trained(penalties=Nothing()), TypeError, r"Nothing has no value: define value_and_grad\(self, w\)"),
    (
        lambda: trained(constraints=Misnamed()),
        TypeError,
        "Misnamed has no project: .* apply is not called in a training",
    ),
    (lambda: trained(constraints=Returning()), TypeError, r"project returned ndarray: change the array in place"),
    (lambda: trained(penalties=OfOtherShape()), ValueError, r"value_and_grad returned .*, of shape \(4, 3\)"),
    (lambda: trained(penalties=OfText()), ValueError, r"OfText\(\): value_and_grad returned \('1', .*a number"),
    (lambda: trained(penalties=OfComplex()), TypeError, r"OfComplex\(\): the gradient has numbers of dtype complex64"),
    (lambda: Penalize(L1(0.1, "0.w")), ValueError, "Penalize: .* is for '0.w', but here it is for what comes in"),
    (lambda: Penalize(0.1), TypeError, "penalty is 0.1, expected a name"),
    (
        lambda: net_of(made=lambda: [Around(), Dense(OUTPUTS)]).train_batch(X, T),
        TypeError,
        "would be lost: place it beside",
    ),
    (lambda: NonNegative().project([1.0]), TypeError, "NonNegative: w is .*, expected a contiguous array of float32"),
    (lambda: Model([Dense(1)]).penalty(), RuntimeError, "no parameters yet"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_is_refused_changes_nothing():
    net = restrained().build(FEATURES)
    before = net.params.copy(), net.penalties
    for setting in ([L2(0.1), "none"], 3):
        with pytest.raises((TypeError, ValueError)):
            net.penalties = setting
    assert net.penalties is before[1]
    net.penalties = [L2(0.1, "9.*")]
    for call in (lambda: net.fit(X, T, epochs=1), lambda: net.evaluate(X, T), lambda: net.forward(X)):
        with pytest.raises(ValueError, match="names no parameter"):
            call()
    assert same_bits(net.params, before[0])
    assert memory_of(net) == {}


def test_names_of_other_libraries():
    for get, names in (
        (penalties.get, {"L1L2": ElasticNet, "l1_l2": ElasticNet, "elastic_net": ElasticNet, "L2": L2, "l1": L1}),
        (constraints.get, {"NonNeg": NonNegative, "MinMaxNorm": MinMaxNorm, "UnitNorm": UnitNorm, "max_norm": MaxNorm}),
    ):
        for name, kind in names.items():
            assert type(get(name)) is kind
    assert repr(MaxNorm(max_value=3.0)) == repr(MaxNorm(3.0))
    assert repr(MinMaxNorm(min_value=0.5, max_value=3.0)) == repr(MinMaxNorm(0.5, 3.0))

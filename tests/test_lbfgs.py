"""L-BFGS: whole fits by SciPy's routine, with all that a fit can do."""

import builtins
import copy
import pickle

import numpy as np
import pytest
from custom import LogCosh, Scale
from nets import FEATURES, OUTPUTS, data, each_dtype, same_bits

from fastnn import (
    LBFGS,
    SGD,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    EarlyStopping,
    Layer,
    LeakyReLU,
    Loss,
    Model,
    Softmax,
    fit_many,
    schedules,
)

pytest.importorskip("scipy")
X, T = data(rows=40)


def net_of(dtype="float64", layers=()):
    return Model([Dense(6, "tanh"), *layers, Dense(OUTPUTS)], seed=0, dtype=dtype)


# What others compute


@pytest.mark.parametrize("iterations", [1, 4, 15])
@pytest.mark.parametrize("kind", ["MLPRegressor", "MLPClassifier"])
def test_it_goes_the_way_of_scikit_learn(kind, iterations):
    """From the same weights, which has the same routine; its loss of a regression is half of ours."""
    neural = pytest.importorskip("sklearn.neural_network")
    rng = np.random.default_rng(0)
    weights, biases = [rng.normal(size=shape) for shape in ((FEATURES, 6), (6, OUTPUTS))], [np.zeros(6), np.zeros(3)]
    classes = X[:, :3].argmax(axis=1)

    class Begun(getattr(neural, kind)):
        def _init_coef(self, fan_in, fan_out, dtype):
            i = 0 if fan_out == 6 else 1
            return weights[i].copy(), biases[i].copy()

    options = {"solver": "lbfgs", "activation": "tanh", "alpha": 0.0, "tol": 1e-9, "max_iter": iterations}
    other = Begun(hidden_layer_sizes=(6,), **options)
    with pytest.warns(UserWarning, match="lbfgs failed to converge"):
        other.fit(X, classes if kind == "MLPClassifier" else T)
    last = [Softmax()] if kind == "MLPClassifier" else []
    net = Model([Dense(6, "tanh"), Dense(OUTPUTS), *last], dtype="float64").build(FEATURES)
    net.layers[0].w, net.layers[1].w = weights
    rule, t = LBFGS(tolerance_grad=1e-9, tolerance_change=1e-12), classes if last else T
    history = net.fit(X, t, "cross_entropy" if last else "mse", rule, iterations)
    assert len(history) == iterations
    np.testing.assert_allclose(history.loss[-1], other.loss_ * (1 if last else 2), rtol=1e-6)
    np.testing.assert_allclose(net.layers[0].w, other.coefs_[0], rtol=1e-4, atol=1e-5)


# Logistic regression of 12 rows that no line parts: torch.optim.LBFGS(line_search_fn="strong_wolfe", max_iter=500,
# tolerance_grad=1e-10, tolerance_change=1e-14) in version 2.13
ROWS = np.sin(np.arange(24.0)).reshape(12, 2)
LABELS = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0])[:, None]
MINIMUM = [0.3976368392377701, 3.5707641070561342, -1.773769688087287, -0.18337341256854992]


def minimum_of_torch():
    torch = pytest.importorskip("torch")
    x, t = torch.tensor(ROWS), torch.tensor(LABELS, dtype=torch.float64)
    layer = torch.nn.Linear(2, 1).double()
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    options = {"max_iter": 500, "tolerance_grad": 1e-10, "tolerance_change": 1e-14}
    optimizer = torch.optim.LBFGS(layer.parameters(), line_search_fn="strong_wolfe", **options)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(layer(x), t)
        loss.backward()
        return loss

    optimizer.step(closure)
    return [float(closure().detach()), *layer.weight.detach().numpy()[0].tolist(), float(layer.bias.detach())]


@pytest.mark.parametrize("installed", [False, True], ids=["recorded", "torch"])
def test_it_ends_at_the_minimum_of_pytorch(installed):
    net = Model([Dense(1, "sigmoid")], seed=0, dtype="float64")
    history = net.fit(ROWS, LABELS, "binary_cross_entropy", LBFGS(tolerance_grad=1e-10, tolerance_change=0.0))
    expected = minimum_of_torch() if installed else MINIMUM
    np.testing.assert_allclose([history.loss[-1], *net.params], expected, rtol=1e-7)


def test_a_quadratic_function_is_minimized_in_few_iterations():
    net, design = Model([Dense(OUTPUTS)], seed=0, dtype="float64"), np.column_stack([X, np.ones(len(X))])
    history = net.fit(X, T, "mse", "lbfgs")
    expected = np.linalg.lstsq(design, T, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([net.layers[0].w, net.layers[0].b]), expected, rtol=1e-4, atol=1e-5)
    assert len(history) < 40
    assert history.ended.startswith(f"converged after {len(history)} epochs: ")


# What a fit can do


@each_dtype
def test_a_fit_is_the_same_for_any_number_of_threads_and_in_another_call(dtype):
    found = []
    for n_threads in (1, 2, None):
        net = net_of(dtype)
        net.fit(X, T, "mse", LBFGS(), epochs=12, n_threads=n_threads)
        found.append(net.params)
    twice = net_of(dtype)
    (history,) = fit_many([twice], X, T, "mse", LBFGS(), epochs=12)
    assert all(same_bits(params, twice.params) for params in found)
    assert history.ended == "after 12 epochs, as asked"
    assert history.loss == sorted(history.loss, reverse=True)
    np.testing.assert_allclose(twice.evaluate(X, T)["loss"], history.loss[-1], rtol=1e-5)


def test_the_loss_of_an_epoch_is_that_of_its_end():
    net, seen = net_of(), []

    def note(model, epoch, logs):
        seen.append((logs["loss"], logs["val_loss"], model.evaluate(X, T)["loss"], model.evaluate(X, -T)["loss"]))

    history = net.fit(X, T, "mse", LBFGS(), epochs=9, validation_data=(X, -T), callbacks=[note])
    assert history.loss == [row[0] for row in seen]
    assert history.val_loss == [row[1] for row in seen] == [row[3] for row in seen]
    np.testing.assert_allclose([row[2] for row in seen], history.loss, rtol=1e-12)
    plain = net_of()
    assert plain.fit(X, T, "mse", LBFGS(), epochs=9).loss == history.loss
    assert same_bits(plain.params, net.params)


def test_weights_of_rows_count():
    weight = np.arange(len(X)) % 3
    nets = [net_of() for _ in range(2)]
    nets[0].fit(X, T, "mse", LBFGS(), epochs=8, sample_weight=weight)
    rows = np.repeat(np.arange(len(X)), weight)
    nets[1].fit(X[rows], T[rows], "mse", LBFGS(), epochs=8)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-6)


@each_dtype
def test_what_is_frozen_stays(dtype):
    net = net_of(dtype, [Dense(4, "tanh", trainable=False)]).build(FEATURES)
    before, frozen = net.params.copy(), net.layers[1].w.copy()
    history = net.fit(X, T, "mse", LBFGS(), epochs=5)
    assert same_bits(net.layers[1].w, frozen)
    assert not net.layers[1].dw.any()
    assert history.loss[-1] < history.loss[0]
    net.params = before
    for layer in net:
        layer.trainable = False
    history = net.fit(X, T, "mse", LBFGS(), epochs=5)
    assert len(history) == 1
    assert history.ended == "nothing is trained: all parameters are frozen"
    assert same_bits(net.params, before)


def test_parts_in_numpy_train():
    net = net_of(layers=[Scale()])
    history = net.fit(X, T, LogCosh(), LBFGS(), epochs=15)
    assert history.loss[-1] < 0.9 * history.loss[0]
    np.testing.assert_allclose(net.evaluate(X, T)["loss"], history.loss[-1], rtol=1e-12)


def test_batch_norm_counts_iterations():
    net = net_of(layers=[BatchNorm()]).build(FEATURES)
    history = net.fit(X, T, "mse", LBFGS(), epochs=200)
    hidden = np.tanh(X @ net.layers[0].w + net.layers[0].b)
    np.testing.assert_allclose(net.layers[1].mean, hidden.mean(axis=0), atol=0.1)
    assert len(history) > 20


def test_a_fit_that_begins_at_a_minimum_is_seen_once():
    net, seen = net_of(), []
    net.fit(X, T, "mse", LBFGS(tolerance_grad=1e9), epochs=5, callbacks=lambda *given: seen.append(given[1]))
    assert seen == [0]
    assert net.history.ended == "converged after 1 epoch: no number of the gradient is above tolerance_grad, 1e+09"


def test_it_may_come_behind_plain_sgd():
    """Which stores no gradients."""
    net = Model([Dense(5, "tanh"), Dense(OUTPUTS)], seed=0)
    net.fit(X, T, "mse", SGD(0.01), epochs=1, batch_size=8)
    before = net.evaluate(X, T)["loss"]
    net.fit(X, T, optimizer=LBFGS(), epochs=3)
    assert net.evaluate(X, T)["loss"] < before


def test_callbacks_end_it():
    net = net_of()
    history = net.fit(X, T, "mse", LBFGS(), epochs=50, callbacks=lambda model, epoch, logs: epoch == 3)
    assert len(history) == 4
    assert "a callback returned True after 4 epochs" in history.ended
    stopping = EarlyStopping(2)
    history = net.fit(X, T, epochs=50, validation_data=(X, -T), callbacks=[stopping])
    assert len(history) == stopping.best_epoch + 3
    assert net.evaluate(X, -T)["loss"] == min(history.val_loss)


def test_what_callbacks_change_counts_from_the_next_iteration_on():
    """Data, parameters and numbers; the search begins anew from there."""
    x, t, net = X.copy(), T.copy(), net_of().build(FEATURES)
    begin = net.params.copy()

    def change(model, epoch, logs):
        if epoch == 2:
            t[...] = -T
        elif epoch == 5:
            model.params = begin
        elif epoch == 8:
            model.layers[0].trainable = False
            frozen.append(model.layers[0].w.copy())

    frozen = []
    history = net.fit(x, t, "mse", LBFGS(), epochs=12, callbacks=[change])
    assert len(history) == 12
    assert same_bits(net.layers[0].w, frozen[0])
    np.testing.assert_allclose(net.evaluate(X, -T)["loss"], history.loss[-1], rtol=1e-12)
    assert history.loss[6] > history.loss[5] > history.loss[11]  # from the begin again
    other = net_of()
    assert history.loss[6] == pytest.approx(other.fit(X, -T, "mse", LBFGS(), epochs=1).loss[0], rel=1e-12)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_leaves_the_last_iteration(error):
    """Also where it comes while the line search tries a step."""
    calls = []

    class Loss_(Loss):
        def value_and_grad(self, y, t):
            calls.append(None)
            if len(calls) == 11:
                raise error
            return float(np.mean((y - t) ** 2)), 2 * (y - t) / y.size

    net = net_of()
    with pytest.raises(error):
        net.fit(X, T, Loss_(), LBFGS(), epochs=50)
    assert net.history.ended.startswith("interrupted: after" if error is KeyboardInterrupt else "error: after")
    np.testing.assert_allclose(net.evaluate(X, T, "mse")["loss"], net.history.loss[-1], rtol=1e-12)
    net.fit(X, T, "mse", LBFGS(), epochs=2)


def test_a_fit_that_diverges_puts_the_state_back():
    class Falling(Loss):
        def value_and_grad(self, y, t):
            value = float(np.mean(y))
            return (np.nan if value < -5 else value), np.full_like(y, 1 / y.size)

    net = net_of().build(FEATURES)
    before = net.snapshot()._arrays
    with pytest.raises(FloatingPointError, match="the parameters are again those from before this fit"):
        net.fit(X, T, Falling(), LBFGS(), epochs=50)
    assert all(map(same_bits, net.snapshot()._arrays[:1], before[:1]))
    assert net.history.ended.startswith("diverged: ")
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        net.fit(X, T, "mse", LBFGS(), epochs=3, callbacks=lambda *given: np.ones(1) / np.zeros(1))
    assert net.history.ended.startswith("error: after 1 epoch")


def test_copies_train_alike():
    net = net_of()
    net.fit(X, T, "mse", LBFGS(history_size=3), epochs=3)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other.optimizer) == "LBFGS(history_size=3)"
        plain = copy.deepcopy(net)
        for model in (plain, other):
            model.fit(X, T, epochs=3)
        assert same_bits(plain.params, other.params)


def test_its_settings_take_effect():
    lengths = {}
    for name, value in {"": 0, "max_iter": 3, "tolerance_grad": 0.05, "tolerance_change": 0.05}.items():
        rule = LBFGS(max_iter=60)
        if name:
            setattr(rule, name, value)
        lengths[name] = len(net_of().fit(X, T, "mse", rule))
    assert lengths["max_iter"] == 3
    assert max(lengths["tolerance_grad"], lengths["tolerance_change"]) < lengths[""] == 60
    nets = [net_of() for _ in range(2)]
    for net, size in zip(nets, (1, 20), strict=True):
        net.fit(X, T, "mse", LBFGS(history_size=size), epochs=20)
    assert not same_bits(nets[0].params, nets[1].params)


# What it refuses


class Counting(Layer):
    def _forward(self, x, y, run):
        self.kernels.identity_forward(x, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        if dx is not None:
            self.kernels.identity_forward(dy, dx, run.tape)

    def _after_batch(self, run):
        pass


REFUSED = {
    "train_batch": (lambda net: net.train_batch(X, T, optimizer=LBFGS()), TypeError, "LBFGS trains in"),
    "step": (lambda net: LBFGS().step(net), TypeError, "LBFGS trains in"),
    "update": (lambda net: LBFGS().update(np.zeros(3), np.zeros(3)), TypeError, "LBFGS trains in"),
    "batches": (
        lambda net: net.fit(X, T, optimizer=LBFGS(), batch_size=32), ValueError,
        r"batch_size is 32, but LBFGS\(\) takes all 40 rows at once, expected None",
    ),
    "a schedule": (
        lambda net: Model([Dense(3, LeakyReLU(schedules.Linear(0.1, 0.2, steps=9)))]).fit(X, T, "mse", LBFGS()),
        TypeError, "LeakyReLU: negative_slope follows .*, while",
    ),
    "a schedule of its own": (lambda net: LBFGS(tolerance_grad=schedules.Cosine()), TypeError, "expected a number"),
    "dropout": (
        lambda net: Model([Dense(3), Dropout()]).fit(X, T, "mse", LBFGS()), TypeError,
        "Dropout 2 computes something else in each batch, while",
    ),
    "own": (lambda net: Model([Dense(3), Counting()]).fit(X, T, "mse", LBFGS()), TypeError, "Counting 2 computes"),
    "callback": (
        lambda net: net.fit(X, T, "mse", LBFGS(), 9, callbacks=lambda m, *given: setattr(m, "optimizer", Adam())),
        TypeError, r"a callback set the optimizer to Adam\(\) in a fit by LBFGS\(\)",
    ),
    "callback of another": (
        lambda net: net.fit(X, T, "mse", Adam(), 9, callbacks=lambda m, *given: setattr(m, "optimizer", LBFGS())),
        TypeError, r"a callback set the optimizer to LBFGS\(\) in a fit by Adam\(\)",
    ),
    "clip_norm": (lambda net: LBFGS(clip_norm=1.0), TypeError, "LBFGS has no clip_norm"),
    "lr": (lambda net: LBFGS().lr, AttributeError, "LBFGS has no lr: a line search finds"),
    "room": (lambda net: LBFGS(history_size=10**6), ValueError, "history_size is 1000000, expected .* from 1 to 1000"),
    "count": (lambda net: LBFGS(history_size=0), ValueError, "LBFGS: history_size is 0, expected a whole number >= 1"),
    "number": (lambda net: LBFGS(tolerance_grad=-1), ValueError, "tolerance_grad is -1, expected a finite number >= 0"),
    **{
        name: (
            lambda net, name=name: setattr(LBFGS(), name, None), AttributeError, f"LBFGS: {name} cannot be set:"
        )
        for name in ("lr", "groups", "decay", "clip_norm", "clip_value", "accumulate", "transforms", "average")
    },
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_means_nothing_for_it_is_refused(what):
    call, error, message = REFUSED[what]
    net = net_of()
    net.fit(X, T, "mse", Adam(), epochs=1)
    before, optimizer = net.params.copy(), net.optimizer
    with pytest.raises(error, match=message):
        call(net)
    if "callback" not in what:
        assert same_bits(net.params, before)
        assert net.optimizer is optimizer
    net.fit(X, T, "mse", Adam(), epochs=1)


@pytest.mark.parametrize("trainable", [True, False])
def test_after_a_fit_steps_are_refused_too(trainable):
    net = net_of()
    net.fit(X, T, "mse", LBFGS(), epochs=2)
    for layer in net.layers:
        layer.trainable = trainable
    net.fit(X, T, epochs=2)
    before = net.params.copy()
    for call in (lambda: net.train_batch(X, T), lambda: net.partial_fit(X, T, batch_size=len(X)), net.step):
        with pytest.raises(TypeError, match="LBFGS trains in"):
            call()
    assert same_bits(net.params, before)
    net.train_batch(X, T, optimizer=Adam())


def test_without_scipy_an_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *given, **options):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *given, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    net = net_of()
    with pytest.raises(ImportError, match=r"LBFGS needs SciPy: pip install 'fastnn-numpy\[scipy\]'"):
        net.fit(X, T, "mse", LBFGS())
    assert not net.built

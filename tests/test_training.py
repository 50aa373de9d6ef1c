"""Training: the steps of the reference, and the same bits eagerly, replayed, in parts, and again."""

import numpy as np
import pytest
from custom import Cube, LogCosh, SaturatingMSE, Scale, SignSGD, TanhOfSigmoid, TwiceSGD
from mlp import MLP
from nets import (
    DTYPES,
    FEATURES,
    OPTIMIZERS,
    OUTPUTS,
    TASK,
    data,
    each_activation,
    each_dtype,
    each_optimizer,
    each_task,
    layer_of,
    memory_of,
    same_bits,
    small_net,
)

from fastnn import MSE, SGD, Adam, AdamW, CrossEntropy, Dense, Model, RMSprop, kernels
from fastnn._core.team import Team
from fastnn.training.plan import Batch, Plan

# Ten steps of whole nets, compared with the network of twins

NETS = {
    "3-5-1-relu": ((3, 5, 1), ("relu", "identity")),
    "2-8-1-relu-sigmoid": ((2, 8, 1), ("relu", "sigmoid")),
    "20-33-17-4-tanh-elu": ((20, 33, 17, 4), ("tanh", "elu", "identity")),
    "20-33-17-4-softplus-sigmoid-softmax": ((20, 33, 17, 4), ("softplus", "sigmoid", "softmax")),
    "64-70-10-relu-softmax": ((64, 70, 10), ("relu", "softmax")),
}
LOSSES_OF = {
    "3-5-1-relu": ("mse", "mae", "huber"),
    "2-8-1-relu-sigmoid": ("binary_cross_entropy", "mse"),
    "20-33-17-4-tanh-elu": ("mse", "huber", "logits"),
    "20-33-17-4-softplus-sigmoid-softmax": ("cross_entropy", "mse"),
    "64-70-10-relu-softmax": ("cross_entropy",),
}
RULES = {  # name: (optimizer of the net, of the reference, arguments of both)
    "sgd": (SGD, "sgd", {"lr": 0.02}),
    "sgd-decay": (SGD, "sgd", {"lr": 0.02, "weight_decay": 0.1}),
    "momentum": (SGD, "sgd", {"lr": 0.01, "momentum": 0.9}),
    "momentum-decay": (SGD, "sgd", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    "nesterov": (SGD, "sgd", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    "rmsprop": (RMSprop, "rmsprop", {"lr": 0.003, "alpha": 0.9, "eps": 1e-3}),
    "rmsprop-all": (
        RMSprop,
        "rmsprop",
        {"lr": 0.001, "alpha": 0.9, "eps": 1e-2, "momentum": 0.9, "weight_decay": 0.1, "centered": True},
    ),
    # with the usual eps, 1e-8, a gradient that is a rounding error makes a step of full length
    "adam": (Adam, "adam", {"lr": 0.003, "eps": 1e-5}),
    "adam-decoupled": (AdamW, "adam", {"lr": 0.003, "eps": 1e-5, "weight_decay": 0.1}),
    "adam-coupled": (Adam, "adam", {"lr": 0.003, "eps": 1e-5, "weight_decay": 0.1, "decoupled": False}),
    "adam-betas": (Adam, "adam", {"lr": 0.003, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3}),
}
ROWS, BATCH, EPOCHS = 37, 8, 2  # five batches, the last of 5 rows, twice


def net_of(sizes, activations, dtype, bias=True):
    options = {"bias": bias, "bias_initializer": "normal"}
    layers = [Dense(units, name, **options) for units, name in zip(sizes[1:], activations, strict=True)]
    return Model(layers, seed=0, dtype=dtype).build(sizes[0])


def targets(loss, n_out, rng):
    if loss in ("cross_entropy", "logits"):
        return rng.integers(0, n_out, ROWS)
    return rng.uniform(0, 1, (ROWS, n_out))


def reference_run(net, activations, loss, optimizer, x, t, weight=None, shake=0.0):
    """The losses and the parameters of ten steps in float64, with parameters moved by `shake` before each step."""
    _, rule, options = RULES[optimizer]
    arrays = [
        (layer.w.astype(np.float64), None if layer.b is None else layer.b.astype(np.float64), name)
        for layer, name in zip(net.layers, activations, strict=True)
    ]
    loss = "cross_entropy" if loss == "logits" else loss
    model = MLP(arrays, loss, rule, **options)
    losses, rng = [], np.random.default_rng(5)
    for start in [*range(0, ROWS, BATCH)] * EPOCHS:
        largest = np.abs(model.parameters).max()
        model.parameters += shake * largest * rng.normal(size=model.parameters.size)
        rows = slice(start, start + BATCH)
        losses.append(model.step(x[rows], t[rows], None if weight is None else weight[rows]))
    return np.array(losses), model.parameters


def assert_ten_steps_equal_reference(sizes, activations, loss, optimizer, dtype, bias=True, weighted=False):
    """Errors of single steps compound, and by how much depends on the net: as much as other errors of their size do.

    So the tolerance is the distance to a second run of the reference whose parameters are moved, before every step, by
    the tolerance of one product: 1e-12 sqrt(k) for float64 and 8 eps sqrt(k) for float32, k being the largest width.
    """
    net, rng = net_of(sizes, activations, dtype, bias), np.random.default_rng(5)
    x, t = rng.normal(size=(ROWS, sizes[0])).astype(np.float32).astype(np.float64), targets(loss, sizes[-1], rng)
    weight = rng.integers(0, 8, ROWS) / 4 if weighted else None
    shake = np.sqrt(max(sizes)) * (1e-12 if dtype == "float64" else 8 * np.finfo(dtype).eps)
    expected_losses, expected = reference_run(net, activations, loss, optimizer, x, t, weight)
    shaken_losses, shaken = reference_run(net, activations, loss, optimizer, x, t, weight, shake)
    largest, tolerance = np.abs(expected).max(), np.abs(shaken - expected).max()
    assert tolerance <= 300 * shake * largest, "this net is no good test: it magnifies errors"

    kind, _, options = RULES[optimizer]
    chosen = {"loss": CrossEntropy(from_logits=True) if loss == "logits" else loss, "optimizer": kind(**options)}
    losses = []
    for start in [*range(0, ROWS, BATCH)] * EPOCHS:
        rows = slice(start, start + BATCH)
        losses.append(net.train_batch(x[rows], t[rows], None if weight is None else weight[rows], **chosen))
    assert np.abs(net.params - expected).max() <= tolerance
    assert np.abs(losses - expected_losses).max() <= np.abs(shaken_losses - expected_losses).max()


@each_dtype
@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize(("net", "loss"), [(net, loss) for net, losses in LOSSES_OF.items() for loss in losses])
def test_ten_steps_equal_the_reference(net, loss, optimizer, dtype):
    assert_ten_steps_equal_reference(*NETS[net], loss, optimizer, dtype)


@each_dtype
@each_activation
def test_ten_steps_with_each_activation_equal_the_reference(activation, dtype):
    assert_ten_steps_equal_reference((5, 9, 7, 2), ("tanh", activation, activation), "mse", "momentum", dtype)


@each_dtype
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "cross_entropy"])
def test_ten_steps_with_weights_and_without_biases_equal_the_reference(loss, dtype):
    activations = ("tanh", "softmax" if loss == "cross_entropy" else "identity")
    assert_ten_steps_equal_reference((5, 9, 3), activations, loss, "momentum", dtype, bias=False, weighted=True)


# Eager and replayed steps: the same bits


def weights_of_mean_one(rows):
    """Weights that `fit` scales to themselves, bit by bit: their mean is 1, and their sums are exact."""
    return np.random.default_rng(0).permutation(np.resize([2, 0.75, 0.25], rows))


def eager_fit(net, x, t, loss, optimizer, epochs, batch_size, weight=None):
    """What fit does without shuffling, with each step taken instead of recorded; returns the losses of the epochs."""
    training, (x, t, weight, _) = net._trainer.ready(x, t, weight, loss, optimizer)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            batch = Batch.like(training.chain.memory(len(x[rows])), t, 0 if weight is None else weight.shape[1])
            batch.work.activations[0][...], batch.target[...] = x[rows], t[rows]
            if weight is not None:
                batch.weight[...] = weight[rows]
            training.step(batch, None)
            total += batch.value[0] * len(x[rows])
        losses.append(total / len(x))
    return losses


def assert_eager_is_replay(make_net, x, t, loss, optimizer, weight=None):
    """`make_net`, `loss` and `optimizer` are functions without arguments; batches have 8, 8 and 5 rows."""
    eager, fitted, stepped = (make_net() for _ in range(3))
    eager_losses = eager_fit(eager, x, t, loss(), optimizer(), 3, 8, weight)
    history = fitted.fit(x, t, loss(), optimizer(), epochs=3, batch_size=8, shuffle=False, sample_weight=weight)
    stepped_loss, stepped_optimizer = loss(), optimizer()
    for start in [0, 8, 16] * 3:
        rows = slice(start, start + 8)
        stepped.train_batch(x[rows], t[rows], None if weight is None else weight[rows], stepped_loss, stepped_optimizer)
    assert history.loss == eager_losses
    assert np.isfinite(history.loss).all()
    for other in (fitted, stepped):
        assert same_bits(other.params, eager.params)
        assert memory_of(other).keys() == memory_of(eager).keys()
        assert all(same_bits(array, memory_of(eager)[name]) for name, array in memory_of(other).items())
    assert same_bits(stepped.grads, eager.grads)
    if fitted._trainer._training.fused(8, store_gradients=False):
        with pytest.raises(RuntimeError, match=r"no gradients: .* plain SGD's step"):
            fitted.grads  # noqa: B018 - is what raises
    else:
        assert same_bits(fitted.grads, eager.grads)
    assert not same_bits(eager.params, make_net().build(x.shape[1]).params)


@each_dtype
@each_activation
def test_eager_is_replay_for_each_activation(activation, dtype):
    x, t = data()
    assert_eager_is_replay(lambda: small_net(activation, dtype=dtype), x, t, MSE, OPTIMIZERS["momentum"])


@each_dtype
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@each_task
def test_eager_is_replay_for_each_loss(task, weighted, dtype):
    x, t = data(task)
    weight = weights_of_mean_one(len(x)) if weighted else None
    assert_eager_is_replay(lambda: small_net("relu", task, dtype), x, t, task.loss, OPTIMIZERS["adam"], weight)


@each_dtype
@each_optimizer
def test_eager_is_replay_for_each_optimizer(optimizer, dtype):
    x, t = data(TASK["softmax-labels"])
    net = TASK["softmax-labels"]
    assert_eager_is_replay(lambda: small_net("tanh", net, dtype), x, t, net.loss, OPTIMIZERS[optimizer])


CUSTOM = {
    "layer-numpy": ([Scale, Cube], MSE, OPTIMIZERS["sgd"]),
    "layer-kernels": ([TanhOfSigmoid], MSE, OPTIMIZERS["sgd"]),
    "loss-numpy": ([], LogCosh, OPTIMIZERS["sgd"]),
    "loss-kernels": ([], SaturatingMSE, OPTIMIZERS["sgd"]),
    "optimizer-numpy": ([], MSE, SignSGD),
    "optimizer-kernels": ([], MSE, TwiceSGD),
    "all": ([Scale, TanhOfSigmoid, Cube], LogCosh, SignSGD),
}


def custom_net(kinds, dtype):
    return Model([Dense(6, "tanh"), *(kind() for kind in kinds), Dense(OUTPUTS)], seed=0, dtype=dtype)


@each_dtype
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("parts", CUSTOM)
def test_eager_is_replay_for_custom_parts(parts, weighted, dtype):
    (kinds, loss, optimizer), (x, t) = CUSTOM[parts], data()
    weight = weights_of_mean_one(len(x)) if weighted else None
    assert_eager_is_replay(lambda: custom_net(kinds, dtype), x, t, loss, optimizer, weight)


@each_dtype
@pytest.mark.parametrize("first", [Scale, TanhOfSigmoid, Cube, lambda: layer_of("tanh"), lambda: layer_of("softmax")])
def test_eager_is_replay_where_the_first_layer_is_no_dense(first, dtype):
    """The first layer is asked for no gradient of the data."""
    x, t = data()
    assert_eager_is_replay(lambda: Model([first(), Dense(OUTPUTS)], 0, dtype), x, t, MSE, OPTIMIZERS["sgd"])


@each_dtype
def test_eager_is_replay_at_sizes_where_products_are_cut_into_tiles(dtype):
    rng = np.random.default_rng(5)
    x, t = rng.normal(size=(21, 130)), rng.integers(0, 10, 21)
    task = TASK["softmax-labels"]
    net = lambda: Model([Dense(70, "relu"), Dense(33, "gelu"), Dense(10), *task.end()], seed=0, dtype=dtype)  # noqa: E731
    assert_eager_is_replay(net, x, t, task.loss, OPTIMIZERS["nesterov"])


# Every step in parts, one after the other or by threads, however small it is


def trained_in_parts(net, x, t, loss, optimizer, weight, parts, team=None):
    training, (x, t, weight, _) = net._trainer.ready(x, t, weight, loss, optimizer)
    plan = training.plan(17, t, 0 if weight is None else weight.shape[1]).take_epochs(17, x, t, weight, training.step)
    for cursor in (0, 4):
        plan.cursor[0] = cursor
        for tape in (plan.gather, plan.step) if team is None else (plan.both,):
            tape.replay(parts=parts, team=team)
    arrays = [net.params, net.grads, plan.batch.value, *plan.batch.work.activations, *memory_of(net).values()]
    return [array.copy() for array in arrays]


def assert_parts_give_the_same_bits(make_net, x, t, loss, optimizer, weight=None):
    whole = trained_in_parts(make_net(), x, t, loss(), optimizer(), weight, 1)
    for parts in (2, 3, 5, 1000):
        for a, b in zip(whole, trained_in_parts(make_net(), x, t, loss(), optimizer(), weight, parts), strict=True):
            assert same_bits(a, b), f"{parts} parts"
    for n_threads in (2, 3, 4):
        with Team(n_threads, divide_all=True) as team:
            shared = trained_in_parts(make_net(), x, t, loss(), optimizer(), weight, 1, team)
        for a, b in zip(whole, shared, strict=True):
            assert same_bits(a, b), f"{n_threads} threads"


@each_dtype
@each_activation
def test_parts_give_the_same_bits_for_each_activation(activation, dtype):
    x, t = data()
    assert_parts_give_the_same_bits(lambda: small_net(activation, dtype=dtype), x, t, MSE, OPTIMIZERS["sgd"])


@each_dtype
@each_task
def test_parts_give_the_same_bits_for_each_loss(task, dtype):
    x, t = data(task)
    weight = np.random.default_rng(0).uniform(0, 2, len(x))
    assert_parts_give_the_same_bits(lambda: small_net("relu", task, dtype), x, t, task.loss, OPTIMIZERS["sgd"], weight)


@each_dtype
@each_optimizer
def test_parts_give_the_same_bits_for_each_optimizer(optimizer, dtype):
    x, t = data()
    assert_parts_give_the_same_bits(lambda: small_net("tanh", dtype=dtype), x, t, MSE, OPTIMIZERS[optimizer])


@each_dtype
def test_parts_give_the_same_bits_at_sizes_where_products_are_cut_into_tiles(dtype):
    rng = np.random.default_rng(5)
    x, t = rng.normal(size=(21, 130)), rng.normal(size=(21, 3))
    net = lambda: Model([Dense(70, "relu"), Dense(33, "gelu"), Dense(3)], seed=0, dtype=dtype)  # noqa: E731
    assert_parts_give_the_same_bits(net, x, t, MSE, OPTIMIZERS["momentum"])


# Rows that the first layer reads where they lie


def long_rows(n=70, width=130, dtype="float32"):
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, width)).astype(dtype), rng.integers(0, 10, n)


def fitted_to_long_rows(x, t, monkeypatch, gathered, optimizer="sgd", first=Dense, units=48, batch_size=16, **options):
    """Return the net and what went over its data."""
    net = Model([first(units, "tanh"), Dense(10, "softmax")], seed=0, dtype=x.dtype)
    plans = []
    with monkeypatch.context() as patch:
        take = Plan.take_epochs
        patch.setattr(Plan, "take_epochs", lambda *arguments: plans.append(take(*arguments)) or plans[-1])
        if gathered:
            patch.setattr(Dense, "takes_rows", lambda self, x: False)
        net.fit(x, t, CrossEntropy(), OPTIMIZERS[optimizer](), epochs=3, batch_size=batch_size, **options)
    (plan,) = plans
    assert len(plan.gather) == 1 + (not plan.in_place) + ("sample_weight" in options)
    return net, plan


@each_dtype
@each_optimizer
@pytest.mark.parametrize("rows", [70, 64, 3])
def test_rows_read_where_they_lie_train_like_rows_that_are_gathered(rows, optimizer, dtype, monkeypatch):
    x, t = long_rows(rows, dtype=dtype)
    expected, plan = fitted_to_long_rows(x, t, monkeypatch, True, optimizer)
    assert not plan.in_place
    net, plan = fitted_to_long_rows(x, t, monkeypatch, False, optimizer)
    assert plan.in_place
    assert same_bits(net.params, expected.params)
    assert net.history.loss == expected.history.loss


@pytest.mark.parametrize(("far_reads", "in_place"), [("fast", True), ("unknown", True), ("slow", False)])
def test_rows_are_gathered_where_far_reads_are_slow(far_reads, in_place, monkeypatch):
    x, t = long_rows()
    expected, _ = fitted_to_long_rows(x, t, monkeypatch, True)
    monkeypatch.setattr(kernels, "far_reads", far_reads)
    net, plan = fitted_to_long_rows(x, t, monkeypatch, False)
    assert plan.in_place == in_place
    assert same_bits(net.params, expected.params)


@each_dtype
@pytest.mark.parametrize("batch_size", [64, 270])  # SGD's step is part of backward, and is not
def test_threads_read_rows_where_they_lie(batch_size, dtype, monkeypatch):
    (x, t), options = long_rows(300, 784, dtype), {"units": 128, "batch_size": batch_size}
    expected, _ = fitted_to_long_rows(x, t, monkeypatch, True, **options, n_threads=1)
    for n_threads in (1, 2, 3, 4):
        net, plan = fitted_to_long_rows(x, t, monkeypatch, False, **options, n_threads=n_threads)
        assert plan.in_place
        assert plan.chunks > 1
        assert same_bits(net.params, expected.params)


def test_weighted_rows_are_read_where_they_lie(monkeypatch):
    (x, t), weight = long_rows(), np.random.default_rng(4).uniform(0, 2, 70)
    expected, _ = fitted_to_long_rows(x, t, monkeypatch, True, sample_weight=weight)
    net, plan = fitted_to_long_rows(x, t, monkeypatch, False, sample_weight=weight)
    assert plan.in_place
    assert same_bits(net.params, expected.params)


def test_parts_of_rows_that_lie_anywhere_give_the_same_bits():
    x, t = long_rows(21)
    net = lambda: Model([Dense(48, "relu"), Dense(10, "softmax")], seed=0)  # noqa: E731
    assert net().build(130).layers[0].takes_rows(x)
    assert_parts_give_the_same_bits(net, x, t, CrossEntropy, OPTIMIZERS["momentum"])


class Look:
    """Sees what the product reads."""

    code = Dense.code

    def forward_fused(self, x, y, activation, run, *scaling):
        assert x.shape == (len(y), self.n_in)
        super().forward_fused(x, y, activation, run, *scaling)


class Looking(Look, Dense):
    pass


@pytest.mark.parametrize(
    ("data_of", "options"),
    [
        (lambda x: x[:, ::2], {}),
        (np.asfortranarray, {}),
        (lambda x: x[:, :60].copy(), {}),
        (lambda x: x, {"units": 40}),
        (lambda x: x, {"units": 272}),
        (lambda x: x, {"first": Looking}),
    ],
    ids=["strided", "column-major", "short", "no whole vectors", "many units", "subclass"],
)
def test_other_rows_are_gathered(data_of, options, monkeypatch):
    x, t = long_rows()
    _, plan = fitted_to_long_rows(data_of(x), t, monkeypatch, False, **options)
    assert not plan.in_place


def test_data_that_share_memory_with_the_model_are_gathered():
    """They change in a step, before dw has read them."""
    nets = [Model([Dense(128, "tanh"), Dense(128), Dense(4)], seed=0).build(128) for _ in range(2)]
    t = np.random.default_rng(0).normal(size=(128, 4))
    for layer in (1, 0):
        for net, x in zip(nets, (nets[0].layers[layer].w, nets[1].layers[layer].w.copy()), strict=True):
            net.fit(x, t, MSE(), SGD(0.1), epochs=1, batch_size=128)
        assert same_bits(nets[0].params, nets[1].params)


@pytest.mark.parametrize("units", [48, 40], ids=["in place", "gathered"])
@pytest.mark.parametrize("way", ["fit", "train_batch"])
def test_a_loss_cannot_train_its_own_net(units, way):
    x, t = long_rows()
    t = t[:, None] / 10

    class Nested(LogCosh):
        def value_and_grad(self, y, t):
            if way == "fit":
                net.fit(x[:16], t[:16], epochs=1, batch_size=16)
            else:
                net.train_batch(x[:16], t[:16])
            return super().value_and_grad(y, t)

    net = Model([Dense(units, "relu"), Dense(1)], seed=0)
    with pytest.raises(RuntimeError, match="is being replayed already"):
        net.fit(x, t, Nested(), SGD(0.01), epochs=1, batch_size=16)


def test_a_step_that_is_refused_leaves_the_batch_of_the_one_that_runs():
    x, t = np.ones((4, 3)), np.ones((4, 1))

    class Nested(LogCosh):
        def value_and_grad(self, y, t):
            with pytest.raises(RuntimeError, match="is being replayed already"):
                net.train_batch(0 * x, 0 * t)
            return super().value_and_grad(y, t)

    net, alone = (Model([Dense(2, "tanh"), Dense(1)], seed=0) for _ in range(2))
    losses = [model.train_batch(x, t, None, kind(), SGD(0.1)) for model, kind in ((net, Nested), (alone, LogCosh))]
    assert losses[0] == losses[1]
    assert same_bits(net.params, alone.params)


# The same again


def fitted(seed=0, dtype="float32", activation="relu", **options):
    task = TASK["softmax-labels"]
    net, (x, t) = small_net(activation, task, dtype, seed), data(task)
    net.fit(x, t, task.loss(), OPTIMIZERS["adam"](), **({"epochs": 4, "batch_size": 8} | options))
    return net


@each_dtype
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(dtype):
    first, again, other = fitted(0, dtype), fitted(0, dtype), fitted(1, dtype)
    assert same_bits(first.params, again.params)
    assert first.history.loss == again.history.loss
    assert not np.isclose(first.params, other.params).any()


def test_without_a_seed_two_models_differ_and_say_their_seeds():
    a, b = (Model([Dense(5)]).build(4) for _ in range(2))
    assert a.seed != b.seed
    assert not np.array_equal(a.params, b.params)
    assert same_bits(Model([Dense(5)], seed=a.seed).build(4).params, a.params)


def test_float32_and_float64_train_alike():
    """From the same seed: the same weights but for rounding, and the same order of rows."""
    single, double = fitted(dtype="float32"), fitted(dtype="float64")
    assert single.params.dtype == "float32"
    assert double.params.dtype == "float64"
    np.testing.assert_allclose(single.history.loss, double.history.loss, rtol=1e-5)
    assert not same_bits(single.params, double.params.astype("float32"))


@pytest.mark.parametrize("dtype", [*DTYPES, np.float32, np.dtype("float64"), float])
def test_dtypes_by_name_and_as_types(dtype):
    assert Model([Dense(2)], dtype=dtype).build(3).params.dtype == dtype


@each_dtype
@each_activation
def test_a_row_does_not_depend_on_the_other_rows(activation, dtype):
    """The outputs for a row have the same bits in a batch of any size, at any place."""
    net = small_net(activation, dtype=dtype)
    x = data(rows=70)[0]
    y = net.predict(x)
    assert same_bits(net.forward(x), y)
    assert same_bits(net(x), y)
    for batch_size in (1, 3, 64):
        assert same_bits(net.predict(x, batch_size=batch_size), y)
    assert same_bits(net.predict(x[::-1]), y[::-1].copy())


def test_a_fit_goes_on_where_the_last_one_ended():
    """Parameters, momentum and Adam's count go on with the optimizer; a new optimizer begins anew."""
    x, t = data()
    options = {"batch_size": 8, "shuffle": False}
    for name in ("momentum", "adam"):
        whole, halves, restarted = (small_net() for _ in range(3))
        whole.fit(x, t, "mse", OPTIMIZERS[name](), epochs=5, **options)
        optimizer = OPTIMIZERS[name]()
        halves.fit(x, t, "mse", optimizer, epochs=2, **options)
        halves.fit(x, t, optimizer=optimizer, epochs=2, **options)
        halves.fit(x, t, epochs=1, **options)
        assert same_bits(whole.params, halves.params)
        restarted.fit(x, t, "mse", OPTIMIZERS[name](), epochs=2, **options)
        restarted.fit(x, t, "mse", OPTIMIZERS[name](), epochs=3, **options)
        assert not same_bits(whole.params, restarted.params)


@each_dtype
def test_changed_constants_of_an_optimizer_are_used(dtype):
    x, t = data()
    changed, fresh = (small_net("tanh", dtype=dtype) for _ in range(2))
    sgd, other = SGD(0.1), SGD(0.1, momentum=0.5, weight_decay=0.25)
    changed.train_batch(x, t, loss="mse", optimizer=sgd)
    fresh.train_batch(x, t, loss="mse", optimizer=SGD(0.1))
    sgd.momentum, sgd.weight_decay = 0.5, 0.25
    for _ in range(3):
        changed.train_batch(x, t, optimizer=sgd)
        fresh.train_batch(x, t, optimizer=other)
    assert same_bits(changed.params, fresh.params)


def test_one_optimizer_keeps_a_state_for_each_model():
    x, t = data()
    optimizer, nets = OPTIMIZERS["adam"](), [small_net(seed=seed) for seed in range(2)]
    for _ in range(3):
        for net in nets:
            net.train_batch(x, t, loss="mse", optimizer=optimizer)
    alone = small_net(seed=1)
    for _ in range(3):
        alone.train_batch(x, t, loss="mse", optimizer=optimizer)
    assert same_bits(nets[1].params, alone.params)


# What training means


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows():
    """Rows of a last, smaller batch count as much as others."""
    x, t = data(rows=10)
    net = small_net()
    history = net.fit(x, t, "mse", SGD(lr=0), epochs=1, batch_size=8)
    assert history.loss[0] == pytest.approx(np.mean((net.predict(x) - t) ** 2), rel=1e-12)


def test_one_dimensional_targets_are_a_column_where_the_net_has_one_output():
    """And not a row: (n, 1) against (n,) would broadcast to (n, n)."""
    x, t = data()
    for loss, end in (("mse", None), ("binary_cross_entropy", "sigmoid")):
        column, flat = (Model([Dense(5, "tanh"), Dense(1, end)], seed=0) for _ in range(2))
        target = t[:, 0] > 0
        column.fit(x, target[:, None], loss, SGD(0.1), epochs=3)
        flat.fit(x, target, loss, SGD(0.1), epochs=3)
        assert same_bits(column.params, flat.params)
        assert column.evaluate(x, target) == column.evaluate(x, target[:, None])


def test_labels_and_rows_of_a_unit_matrix_are_the_same_targets():
    task = TASK["softmax-labels"]
    x, t = data(task)
    by_label, by_row, by_column = (small_net("tanh", task) for _ in range(3))
    by_label.fit(x, t, "cross_entropy", SGD(0.1), epochs=3)
    by_row.fit(x, np.eye(OUTPUTS)[t], "cross_entropy", SGD(0.1), epochs=3)
    by_column.fit(x, t[:, None], "cross_entropy", SGD(0.1), epochs=3)
    np.testing.assert_allclose(by_label.params, by_row.params, rtol=1e-12, atol=1e-14)
    assert same_bits(by_label.params, by_column.params)


@pytest.mark.parametrize(
    ("end", "loss"),
    [("softmax", "cross_entropy"), ("log_softmax", "cross_entropy"), ("sigmoid", "bce"), (None, "mse")],
)
def test_the_default_loss_fits_the_last_activation(end, loss):
    x = data()[0]
    t = np.eye(OUTPUTS)[np.arange(len(x)) % OUTPUTS]
    by_default, by_name = (Model([Dense(OUTPUTS, end)], seed=0) for _ in range(2))
    by_default.fit(x, t)
    by_name.fit(x, t, loss, "adam")
    assert same_bits(by_default.params, by_name.params)


def test_merged_losses_stay_finite_where_probabilities_round_to_zero():
    x = np.full((1, 1), 1e4, np.float32)
    for end, loss, t in (("softmax", "cross_entropy", [1]), ("sigmoid", "binary_cross_entropy", [[0, 1]])):
        net = Model([Dense(2, end, weight_initializer=lambda shape, rng: np.array([[1, -1]]))])
        assert set(net.predict(x)[0]) == {0, 1}
        history = net.fit(x, t, loss, SGD(1e-9), epochs=3)
        assert np.isfinite(history.loss).all()
        assert max(history.loss) > 100
        assert np.isfinite(net.evaluate(x, t)["loss"])


def test_features_may_be_many_or_one():
    for n_in in (1, FEATURES, 300):
        net = Model([Dense(3, "relu"), Dense(1)], seed=0)
        net.fit(np.ones((5, n_in)), np.zeros(5), "mse", epochs=2)
        assert net.n_in == n_in


def test_the_name_of_a_loss_means_the_one_that_a_model_has_if_it_is_the_same():
    """So that steps with loss="mse" are recorded once."""
    x, t = data()
    net = small_net()
    net.train_batch(x, t, loss="huber")
    loss, training = net.loss, net._trainer._training
    net.train_batch(x, t, loss="huber")
    net.fit(x, t, "huber", epochs=1)
    assert net.loss is loss
    assert net._trainer._training is training
    loss.delta = 0.5
    net.train_batch(x, t, loss="huber")
    assert net.loss is not loss
    assert net.loss.delta == 1

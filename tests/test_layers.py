"""One layer at a time, eagerly: shapes, values, views, initial weights, and the gradients of little nets."""

import copy
import pickle

import numpy as np
import pytest
from nets import (
    ACTIVATIONS,
    FEATURES,
    OUTPUTS,
    data,
    each_activation,
    each_dtype,
    each_task,
    layer_of,
    numerical_gradient,
    same_bits,
    small_net,
)

from fastnn import (
    SGD,
    CrossEntropy,
    Dense,
    Layer,
    Linear,
    Model,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    initializers,
    kernels,
)
from fastnn.layers.activations import BY_NAME

X = np.random.default_rng(0).normal(size=(7, 5))


# Dense


@each_dtype
def test_dense_is_the_affine_map_and_its_derivatives(dtype):
    layer, x = Dense(3, bias_initializer="normal"), X.astype(dtype)
    y = layer.forward(x)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    dx = layer.backward(dy)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(y, x @ layer.w + layer.b, **tolerance)
    np.testing.assert_allclose(dx, dy @ layer.w.T, **tolerance)
    np.testing.assert_allclose(layer.dw, x.T @ dy, **tolerance)
    np.testing.assert_allclose(layer.db, dy.sum(axis=0), **tolerance)
    assert {array.dtype for array in (y, dx, layer.w, layer.b, layer.dw, layer.db)} == {np.dtype(dtype)}


def test_dense_learns_its_number_of_inputs_from_the_first_data():
    layer = Dense(3)
    assert layer.n_in == 0
    assert layer.parameters == {}
    layer.forward(X)
    assert (layer.n_in, layer.n_out) == (5, 3)
    assert {name: array.shape for name, array in layer.parameters.items()} == {"w": (5, 3), "b": (3,)}
    with pytest.raises(ValueError, match=r"Dense \(3 units\) expects 5 features, got x of shape \(7, 4\)"):
        layer.forward(X[:, :4])


@pytest.mark.parametrize(
    ("given", "expected"), [("float64", "float64"), ("float32", "float32"), ("int64", "float32"), ("bool", "float32")]
)
def test_a_layer_on_its_own_has_the_dtype_of_the_first_data(given, expected):
    layer = Dense(3)
    assert layer.forward(np.ones((2, 2), given)).dtype == expected
    assert layer.forward(np.ones((2, 2))).dtype == expected


def test_dense_without_bias_has_none():
    layer = Dense(3, bias=False, weight_initializer="normal")
    y = layer.forward(X)
    layer.backward(np.ones_like(y))
    assert layer.b is None
    assert layer.db is None
    assert list(layer.parameters) == ["w"]
    np.testing.assert_allclose(y, X @ layer.w, rtol=1e-12)


def test_linear_is_dense():
    assert Linear is Dense


@pytest.mark.parametrize("rows", [0, 1, 100])
def test_any_number_of_rows(rows):
    layer = Dense(3, "relu")
    y = layer.forward(np.ones((rows, 2)))
    assert y.shape == (rows, 3)
    assert layer.backward(y).shape == (rows, 2)
    if rows == 0:
        np.testing.assert_array_equal(layer.dw, 0)
        np.testing.assert_array_equal(layer.db, 0)


def test_backward_belongs_to_the_last_forward():
    layer = Dense(3)
    with pytest.raises(RuntimeError, match=r"Dense.*backward needs a forward before it"):
        layer.backward(np.ones((7, 3)))
    layer.forward(X)
    layer.forward(X[:2])
    with pytest.raises(ValueError, match=r"Dense.*dy has shape \(7, 3\), expected \(2, 3\)"):
        layer.backward(np.ones((7, 3)))
    layer.backward(np.ones((2, 3)))
    np.testing.assert_allclose(layer.dw, np.repeat(X[:2].sum(axis=0)[:, None], 3, axis=1), rtol=1e-12)


def test_results_are_the_callers_own():
    layer = Dense(3)
    y = layer.forward(X)
    dx = layer.backward(y)
    before = y.copy(), dx.copy()
    layer.backward(layer.forward(2 * X))
    assert same_bits(y, before[0])
    assert same_bits(dx, before[1])


# Activations


@each_activation
@each_dtype
def test_an_activation_behind_dense_is_the_same_by_name_and_as_a_layer(dtype, activation):
    by_name = Model([Dense(6, activation)], seed=0, dtype=dtype)
    as_argument = Model([Dense(6, layer_of(activation))], seed=0, dtype=dtype)
    as_layer = Model([Dense(6), layer_of(activation)], seed=0, dtype=dtype)
    on_its_own = Dense(6, activation)
    y, dy = as_layer.forward(X), np.random.default_rng(1).normal(size=(7, 6))
    on_its_own.forward(X.astype(dtype))
    on_its_own.w, on_its_own.b = as_layer.layers[0].w, as_layer.layers[0].b
    dx = as_layer.backward(dy)
    for other in (by_name, as_argument):
        assert same_bits(other.forward(X), y)
        assert same_bits(other.backward(dy), dx)
        assert same_bits(other.params, as_layer.params)
        assert same_bits(other.grads, as_layer.grads)
    assert same_bits(on_its_own.forward(X.astype(dtype)), y)
    assert same_bits(on_its_own.backward(dy), dx)


@each_activation
def test_an_activation_on_its_own_is_that_of_a_net_that_passes_its_input_on(activation):
    layer, identity = layer_of(activation), Model([Dense(5, activation, weight_initializer=unit)], dtype="float64")
    np.testing.assert_allclose(layer.forward(X), identity.forward(X), rtol=1e-13)
    np.testing.assert_allclose(layer.backward(X[::-1]), identity.backward(X[::-1]), rtol=1e-12)
    assert layer.parameters == {}


def unit(shape, rng):
    return np.eye(*shape)


def test_every_name_gives_its_own_class_and_a_new_layer():
    for name, kind in BY_NAME.items():
        assert type(layer_of(name)) is kind
        assert layer_of(name) is not layer_of(name)
    assert layer_of("swish").kernel == "silu"
    assert layer_of("GELU").kernel == "gelu"
    assert layer_of("leaky-relu").kernel == "leaky_relu"


@pytest.mark.parametrize("layer", [layer_of(name) for name in ACTIVATIONS], ids=ACTIVATIONS)
def test_an_activation_reads_as_the_code_that_makes_it(layer):
    namespace = {kind.__name__: kind for kind in BY_NAME.values()}
    assert vars(eval(repr(layer), namespace)) == vars(layer)


def test_constants_of_activations_are_used():
    assert layer_of("leaky_relu").forward([[-2.0]]) == -0.02
    assert BY_NAME["leaky_relu"](0.25).forward([[-2.0]]) == -0.5
    assert BY_NAME["elu"](3.0).forward(np.array([[-1.0]])) == pytest.approx(3 * np.expm1(-1), rel=1e-12)
    for kind, name in ((BY_NAME["leaky_relu"], "negative_slope"), (BY_NAME["elu"], "alpha")):
        with pytest.raises(ValueError, match=f"{kind.__name__}: {name} is -1.0, expected a finite number >= 0"):
            kind(-1.0)


# Parameters are views


def test_parameters_and_gradients_are_views_into_flat_arrays_without_gaps():
    net = Model([Dense(4, "relu"), Dense(3, bias=False), Tanh(), Dense(2)], seed=0)
    net.forward(X)
    net.backward(np.ones((7, 2)))
    first, second, _, last = net.layers
    parts = [first.w, first.b, second.w, last.w, last.b], [first.dw, first.db, second.dw, last.dw, last.db]
    for flat, views in zip((net.params, net.grads), parts, strict=True):
        np.testing.assert_array_equal(flat, np.concatenate([view.ravel() for view in views]))
        assert all(np.shares_memory(flat, view) for view in views)
        assert flat.size == net.n_parameters == 5 * 4 + 4 + 4 * 3 + 3 * 2 + 2
        assert flat.ctypes.data % 64 == 0


def test_large_arrays_begin_at_large_pages():
    """From 2 MB on, in memory of at least 4 MB, for which NumPy asks for such pages, and no more than one beside."""
    page = 2**21
    net = Model([Dense(600), Dense(900)], seed=0).build(600)
    for flat in (net.params, net.grads):
        assert flat.ctypes.data % page == 0
        assert 2 * page <= flat.base.nbytes == flat.nbytes + page


@pytest.mark.parametrize("in_a_model", [True, False], ids=["in a model", "on its own"])
def test_assignment_copies_into_the_view(in_a_model):
    layer = Dense(3)
    net = Model([layer], dtype="float64") if in_a_model else None
    net.forward(X) if in_a_model else layer.forward(X)
    view, w = layer.w, np.random.default_rng(1).normal(size=(5, 3))
    layer.w = w
    layer.b = [1, 2, 3]
    layer.dw = np.ones((5, 3))
    layer.w += 1.0
    assert layer.w is view
    np.testing.assert_allclose(layer.forward(X), X @ (w + 1) + [1, 2, 3], rtol=1e-12)
    if net is not None:
        np.testing.assert_array_equal(net.params, [*(w + 1).ravel(), 1, 2, 3])
        np.testing.assert_array_equal(net.grads, [1] * 15 + [0] * 3)
        net.params = np.zeros(18)
        assert not layer.w.any()
        net.params += 2
        assert (layer.b == 2).all()
    with pytest.raises(ValueError, match=r"Dense.*: w has shape \(3, 5\), expected \(5, 3\)"):
        layer.w = w.T
    with pytest.raises(ValueError, match=r"Dense.*: b has shape \(\), expected \(3,\)"):
        layer.b = 0.0


def test_a_trained_layer_keeps_its_weights_in_a_model():
    layer = Dense(3)
    y = layer.forward(X)
    net = Model([layer], dtype="float64")
    np.testing.assert_array_equal(net.predict(X), y)


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda layer: pickle.loads(pickle.dumps(layer))}


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copied_layer_is_another_one_with_the_same_values(duplicate):
    layer = Dense(3, "tanh")
    y = layer.forward(X)
    other = COPIES[duplicate](layer)
    assert same_bits(other.forward(X), y)
    other.w[...] = 0
    assert same_bits(layer.forward(X), y)
    assert not np.shares_memory(other.w, layer.w)
    other.backward(y)
    assert other.dw.any()
    assert not layer.dw.any()


# Initial weights: a sample of 200 x 300 has the variance of its distribution within 2 %, more than 4 standard errors.

VARIANCES = {
    "zeros": 0.0,
    "normal": 0.05**2,
    "uniform": 0.05**2 / 3,
    "glorot_normal": 2 / 500,
    "glorot_uniform": 2 / 500,
    "glorot": 2 / 500,
    "he_normal": 2 / 200,
    "he_uniform": 2 / 200,
    "he": 2 / 200,
    "lecun_normal": 1 / 200,
    "lecun_uniform": 1 / 200,
    "lecun": 1 / 200,
    "orthogonal": 1 / 300,  # the 200 rows have length 1
}


def weights(n_in=200, units=300, activation=None, **options):
    layer = Dense(units, activation, **options)
    Model([layer], seed=0, dtype="float64").build(n_in)
    return layer.w


@pytest.mark.parametrize("name", VARIANCES)
def test_initial_weights_have_the_variance_of_their_name(name):
    w = weights(weight_initializer=name)
    assert w.var() == pytest.approx(VARIANCES[name], rel=0.02)
    assert abs(w.mean()) <= 4 * np.sqrt(VARIANCES[name] / w.size)
    if "uniform" in name:
        assert np.abs(w).max() <= np.sqrt(3 * VARIANCES[name])
        assert np.abs(w).max() == pytest.approx(np.sqrt(3 * VARIANCES[name]), rel=1e-3)
    elif "normal" in name:  # 0.27 % of a normal distribution lie beyond three standard deviations
        assert np.mean(np.abs(w) > 3 * np.sqrt(VARIANCES[name])) == pytest.approx(0.0027, rel=0.3)


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_default_initializer_follows_the_activation(activation):
    known = {None: "glorot_uniform", "relu": "he_normal", "selu": "lecun_normal", "tanh": "glorot_uniform"}
    kernel = BY_NAME[activation].kernel if activation in BY_NAME else activation
    expected = known.get(activation) or kernels.float64.activations[kernel].initializer
    assert same_bits(weights(activation=activation), weights(activation=activation, weight_initializer=expected))
    if activation is not None:
        layer = Dense(300)
        Model([layer, layer_of(activation)], seed=0, dtype="float64").build(200)
        assert same_bits(layer.w, weights(activation=activation))


def test_biases_begin_as_zeros_or_by_their_initializer():
    layer = Dense(3)
    layer.forward(X)
    assert not layer.b.any()
    layer = Dense(3, bias_initializer=lambda shape, rng: np.full(shape, 0.5))
    layer.forward(X)
    assert (layer.b == 0.5).all()


def test_an_initializer_may_be_a_function():
    assert same_bits(weights(weight_initializer=initializers.he_uniform), weights(weight_initializer="he_uniform"))
    w = weights(3, 4, weight_initializer=lambda shape, rng: np.arange(12).reshape(shape))
    np.testing.assert_array_equal(w[2], [8, 9, 10, 11])


def test_layers_of_a_net_begin_with_different_weights():
    net = Model([Dense(5, "relu"), Dense(5, "relu")], seed=0).build(5)
    assert not np.array_equal(net.layers[0].w, net.layers[1].w)


# Gradients: central differences of whole little nets in float64, of every activation with every loss

KINKS = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])  # where derivatives of activations jump


def away_from_kinks(net: Model, x: np.ndarray) -> np.ndarray:
    """The rows of x for which no layer of the net receives a number close to a kink."""
    good = np.ones(len(x), bool)
    net.build(x.shape[1])
    for stage in net._tree.all:
        good &= (np.abs(x[:, :, None] - KINKS) > 1e-3).all(axis=(1, 2)) | (stage.parameters != {})
        x = x @ stage.w + stage.b if stage.parameters else stage.forward(x)
    return good


def problem(activation, task):
    """A net, and rows and targets at which all its derivatives exist."""
    net, rng = small_net(activation, task), np.random.default_rng(1)
    x = rng.normal(size=(40, FEATURES))
    x = x[away_from_kinks(net, x)][:6]
    assert len(x) == 6
    return net, x, task.targets(net.predict(x), rng)


def assert_same_gradient(got, numerical):
    assert np.abs(got - numerical).max() <= 1e-7 * np.abs(numerical).max()


@each_activation
def test_gradients_of_forward(activation):
    net, rng = small_net(activation), np.random.default_rng(2)
    x = rng.normal(size=(40, FEATURES))
    x = x[away_from_kinks(net, x)][:6]
    dy = rng.normal(size=(6, OUTPUTS))
    net.forward(x)
    dx = net.backward(dy)

    def objective():
        return float(np.sum(dy * net.forward(x)))

    assert_same_gradient(net.grads, numerical_gradient(objective, net.params))
    assert_same_gradient(dx, numerical_gradient(objective, x))


@each_task
@each_activation
def test_gradients_of_the_training_step(activation, task):
    """What the recorded step computes, through the fused forms of softmax and sigmoid where the net ends in them."""
    net, x, t = problem(activation, task)
    net.train_batch(x, t, loss=task.loss(), optimizer=SGD(lr=0))  # a step of length 0 leaves the gradient behind

    def objective():
        return net.train_batch(x, t)

    assert_same_gradient(net.grads.copy(), numerical_gradient(objective, net.params))


@each_task
@each_activation
def test_gradients_of_a_loss_on_the_eager_net_are_those_of_the_training_step(activation, task):
    net, x, t = problem(activation, task)
    loss = task.loss()
    net.train_batch(x, t, loss=loss, optimizer=SGD(lr=0))
    trained = net.grads.copy()
    if task.name == "log_softmax-labels":  # logarithms of probabilities are logits of the same probabilities
        loss = CrossEntropy(from_logits=True)
    value, dy = loss.value_and_grad(net.forward(x), t)
    net.backward(dy)
    np.testing.assert_allclose(net.grads, trained, rtol=1e-9, atol=1e-11 * np.abs(trained).max())
    assert value == pytest.approx(net.train_batch(x, t), rel=1e-11)


@each_task
def test_gradients_with_weighted_rows(task):
    net, x, t = problem("tanh", task)
    weight = np.array([0.0, 0.5, 1.0, 2.0, 3.0, 0.25])
    net.train_batch(x, t, weight, loss=task.loss(), optimizer=SGD(lr=0))

    def objective():
        return net.train_batch(x, t, weight)

    assert_same_gradient(net.grads.copy(), numerical_gradient(objective, net.params))


@each_task
@each_activation
def test_float32_gradients_are_the_rounded_float64_ones(activation, task):
    """Up to rounding, relative to the largest gradients.

    Each of the 14 passes over a layer (7 there, 7 back) rounds sums of at most 6 terms: independent errors of 8 eps
    each add up like the square root of their number.
    """
    net64, x, t = problem(activation, task)
    net32 = small_net(activation, task, dtype="float32").build(FEATURES)
    x = x.astype("float32")
    net64.params = net32.params
    for net in (net32, net64):
        net.train_batch(x, t, loss=task.loss(), optimizer=SGD(lr=0))
    tolerance = 8 * np.sqrt(14 * 6) * np.finfo("float32").eps
    for layer32, layer64 in zip(net32.layers, net64.layers, strict=True):
        for name in layer32.parameters:
            got, expected = (getattr(layer, "d" + name) for layer in (layer32, layer64))
            largest = max(np.abs(expected).max(), np.abs(net64.grads).max() / 8)
            assert np.abs(got - expected).max() <= tolerance * largest


# A chain of layers, by hand


def test_layers_by_hand_are_the_model():
    layers = [Dense(4, "relu"), Dense(3), Sigmoid(), Dense(2), Softmax()]
    net = Model(layers, seed=0, dtype="float64")
    y, dy = net.forward(X), np.random.default_rng(1).normal(size=(7, 2))
    dx = net.backward(dy)
    grads = net.grads.copy()
    net.grads[...] = 0
    h = X
    for layer in layers:
        h = layer.forward(h)
    for layer in reversed(layers):
        dy = layer.backward(dy)
    assert same_bits(h, y)
    assert same_bits(dy, dx)
    assert same_bits(net.grads, grads)


def test_a_layer_of_a_model_can_train_by_hand():
    """As every textbook has it, w -= lr * dw: that is what SGD does."""
    by_hand, by_fit = (Model([Dense(1)], seed=0, dtype="float64") for _ in range(2))
    x, t = data(rows=8)[0], np.arange(8.0)[:, None]
    for _ in range(5):
        y = by_hand.forward(x)
        by_hand.backward(2 * (y - t) / len(t))
        by_hand.layers[0].w -= 0.1 * by_hand.layers[0].dw
        by_hand.layers[0].b -= 0.1 * by_hand.layers[0].db
    by_fit.fit(x, t, loss="mse", optimizer=SGD(0.1), epochs=5, batch_size=None, shuffle=False)
    np.testing.assert_allclose(by_hand.params, by_fit.params, rtol=1e-12)


def test_a_layer_without_forward_says_so():
    with pytest.raises(TypeError, match="Nothing has no forward"):
        type("Nothing", (Layer,), {})().forward(X)
    assert repr(ReLU()) == "ReLU()"

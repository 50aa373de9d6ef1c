"""RMSNorm, Maxout, Scale, Bias, Lambda, Flatten, Reshape: formulas, data that they take, and what they refuse."""

import pickle

import numpy as np
import pytest
from nets import FEATURES, OUTPUTS, data, same_bits

from fastnn import (
    ELU,
    SGD,
    Bias,
    Dense,
    Flatten,
    Lambda,
    LayerNorm,
    Maxout,
    Mish,
    Model,
    Parallel,
    ParametricActivation,
    Reshape,
    RMSNorm,
    Scale,
    Sequential,
    fit_many,
)

X, T = data()
IMAGES = X[:, :4].reshape(-1, 2, 2)


# RMSNorm: numbers that PyTorch 2.13 printed, of torch.nn.functional.rms_norm and its gradients

ROWS = np.array([[0.5, -1.0, 2.0, 0.25], [-3.0, 0.125, 1.5, -0.75]])
SCALE, DY = np.array([1.0, -0.5, 2.0, 0.75]), np.array([[1.0, 2.0, -1.0, 0.5], [0.25, -1.5, 3.0, 1.0]])
OF_PYTORCH = {
    2.0**-52: (
        [
            [0.43386091563731227, 0.43386091563731227, 3.470887325098498, 0.1626978433639921],
            [-1.7445896740435534, -0.0363456182092407, 1.7445896740435534, -0.3271105638831663],
        ],
        [
            [1.0642353048279953, -1.260748778381366, -0.9493897683357659, 0.4236524235046696],
            [1.2930781897110573, 0.3883267636411344, 2.9153314896500593, 0.723071347729412],
        ],
        [-0.0022865028735760684, -1.8444805171769711, 0.8814408485160812, -0.32768218960156026],
    ),
    1e-2: (
        [
            [0.4322367230736768, 0.4322367230736768, 3.457893784589414, 0.1620887711526288],
            [-1.7416472342973432, -0.03628431738119465, 1.7416472342973432, -0.3265588564307519],
        ],
        [
            [1.058788180364268, -1.2531029145811825, -0.9516879554270492, 0.4213349094137148],
            [1.2870356352629388, 0.38783271000191244, 2.9123452857256065, 0.7208864000088759],
        ],
        [-0.003175085500659036, -1.837799844438291, 0.883523959151308, -0.3273526278059166],
    ),
}


@pytest.mark.parametrize("eps", OF_PYTORCH)
def test_rms_norm_is_that_of_pytorch(eps):
    layer, (y, dx, dscale) = RMSNorm(eps), OF_PYTORCH[eps]
    layer.scale = SCALE
    np.testing.assert_allclose(layer.forward(ROWS), y, rtol=1e-14)
    np.testing.assert_allclose(layer.backward(DY), dx, rtol=1e-13)
    np.testing.assert_allclose(layer.dscale, dscale, rtol=1e-11)


@pytest.mark.parametrize("eps", OF_PYTORCH)
def test_the_numbers_of_pytorch_are_its_own(eps):
    torch = pytest.importorskip("torch")
    x, scale = (torch.tensor(array, requires_grad=True) for array in (ROWS, SCALE))
    y = torch.nn.functional.rms_norm(x, (4,), scale, eps)
    y.backward(torch.tensor(DY))
    for got, expected in zip((y.detach(), x.grad, scale.grad), OF_PYTORCH[eps], strict=True):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13)


def test_rms_norm_without_a_scale_is_layer_norm_of_rows_with_mean_0():
    centered = X - X.mean(axis=1, keepdims=True)
    layer = RMSNorm(1e-5, elementwise_affine=False)
    np.testing.assert_allclose(layer.forward(centered), LayerNorm().forward(centered), rtol=1e-12)
    net = Model([layer, Dense(OUTPUTS)], seed=0).build(FEATURES)
    assert net.n_parameters == (FEATURES + 1) * OUTPUTS
    assert (layer.scale == 1).all()


# Maxout, Scale, Bias


def test_maxout_is_the_largest_piece_and_its_gradient_goes_there():
    net = Model([Maxout(3, pieces=4)], seed=0, dtype="float64").build(FEATURES)
    layer, dy = net[0], np.random.default_rng(1).normal(size=(len(X), 3))
    z = (X @ layer.w + layer.b).reshape(len(X), 4, 3)
    np.testing.assert_allclose(net.forward(X), z.max(axis=1), rtol=1e-12)
    net.backward(dy)
    dz = np.where(z == z.max(axis=1, keepdims=True), dy[:, None], 0).reshape(len(X), 12)
    np.testing.assert_allclose(layer.dw, X.T @ dz, rtol=1e-11, atol=1e-13)
    layer.w[...], layer.b[...] = 0, 0.5  # all pieces are equal: the first one counts
    net.forward(X)
    net.backward(dy)
    assert layer.db[:3].all()
    assert not layer.db[3:].any()


def test_each_piece_begins_as_a_layer_of_its_own():
    layer = Model([Maxout(100, pieces=3, weight_initializer="orthogonal")], seed=0).build(100).layers[0]
    for piece in np.split(layer.w.astype(float), 3, axis=1):
        np.testing.assert_allclose(piece.T @ piece, np.eye(100), atol=1e-5)
    layer = Model([Maxout(200)], seed=0, dtype="float64").build(400).layers[0]
    x = np.random.default_rng(0).normal(size=(500, 400))
    assert abs(np.square(layer.forward(x)).mean() - 1) < 0.03


def test_a_parametric_activation_goes_from_the_identity_to_its_activation():
    layer = ParametricActivation("mish")
    np.testing.assert_allclose(layer.forward(X), Mish().forward(X), rtol=1e-14)
    layer.a[...] = 0
    assert same_bits(layer.forward(X), X)
    layer.a[...] = 0.25
    np.testing.assert_allclose(layer.forward(X), 0.75 * X + 0.25 * Mish().forward(X), rtol=1e-12)
    frozen = ParametricActivation(ELU(0.5), trainable=False)
    frozen.forward(X)
    np.testing.assert_allclose(frozen.backward(X), ELU(0.5).forward(X) * 0 + np.where(X > 0, X, X * 0.5 * np.exp(X)))
    assert not frozen.da.any()


def test_scale_and_bias_are_a_diagonal_product():
    net = Model([Scale("normal"), Bias("uniform")], seed=0, dtype="float64").build(FEATURES)
    scale, bias = net.layers
    assert scale.s.all()
    assert bias.b.all()
    np.testing.assert_allclose(net.predict(X), X * scale.s + bias.b, rtol=1e-14)
    kinds = {entry.name: entry.kind for entry in net._tree.entries()}
    assert kinds == {"0.s": "norms", "1.b": "biases"}
    scale.trainable = False
    net.fit(X, 2 * X, "mse", SGD(0.1), epochs=2)
    assert not scale.ds.any()


# Lambda


def squares(x):
    return np.square(x)


def of_squares(x, y, dy):
    return 2 * x * dy


def test_a_function_without_a_gradient_transforms_inputs():
    nets = [Model([*first, Dense(OUTPUTS)], seed=0, dtype="float64") for first in ([Lambda(squares)], [])]
    for net, x in zip(nets, (X, X**2), strict=True):
        net.fit(x, T, "mse", SGD(0.1), epochs=3)
    assert same_bits(nets[0].params, nets[1].params)
    below = Model([Dense(4), Lambda(squares), Dense(OUTPUTS)], seed=0, dtype="float64").build(FEATURES)
    before = below.params.copy()
    with pytest.raises(TypeError, match=r"Lambda 2 has no gradient, .*dx = gradient\(x, y, dy\)"):
        below.fit(X, T, "mse")
    assert same_bits(below.params, before)


def test_a_lambda_keeps_no_rows_in_copies_and_none_of_a_prediction():
    net = Model([Dense(4), Lambda(squares, of_squares), Dense(OUTPUTS)], seed=0, dtype="float64")
    y = net.forward(X)
    net.predict(X[:5])  # between them: what backward needs is that of the forward
    net.backward(np.ones_like(y))
    grads = net.grads.copy()
    net.forward(X)
    net.backward(np.ones_like(y))
    assert same_bits(net.grads, grads)
    restored = pickle.loads(pickle.dumps(net))
    assert "_kept" not in restored[1].__dict__
    assert same_bits(restored.predict(X), net.predict(X))
    layer = Lambda(squares, of_squares)
    with pytest.raises(RuntimeError, match="Lambda: backward needs a forward"):
        layer.backward(np.ones((2, 2)))


# Flatten, Reshape


@pytest.mark.parametrize("first", [Flatten, lambda: Reshape((2, 2)), lambda: Sequential([Reshape((-1, 2))])])
def test_a_net_takes_images_wherever_it_takes_rows(first):
    """In all that a model does, to the same bits."""
    nets = [Model([*layers, Dense(5, "tanh"), Dense(OUTPUTS)], 0) for layers in ([first()], [])]
    x = IMAGES.astype("float32")
    for net, given in zip(nets, (x, x.reshape(-1, 4)), strict=True):
        net.fit(given, T, "mse", epochs=2, batch_size=8, validation_data=(given, T), sample_weight=np.arange(len(x)))
        net.train_batch(given, T)
        net.backward(net.forward(given))
        fit_many([net], given, T, epochs=1)
    one, other = nets
    assert same_bits(one.params, other.params)
    assert one.history.val_loss == other.history.val_loss
    assert one.evaluate(x, T) == other.evaluate(x.reshape(-1, 4), T)
    for given in (x, x.reshape(-1, 4), x.astype(float), np.asfortranarray(x), x.tolist(), x[:1]):
        assert same_bits(one.predict(given), other.predict(np.asarray(given, "float32").reshape(len(given), 4)))
    for row in (x[3], x[3].reshape(-1), x[3].tolist()):
        assert same_bits(one.predict_one(row), other.predict_one(x[3].reshape(-1)))
    assert same_bits(one[0](x), x.reshape(-1, 4))


def test_images_are_refused_where_rows_are_expected():
    for net in (Model([Dense(2)]), Model([Dense(4), Flatten()]), Model([Parallel([Flatten(), Dense(2)])])):
        with pytest.raises(ValueError, match=r"^x has shape \(21, 2, 2\), expected 2 .* first layer is Flatten\(\)"):
            net.predict(IMAGES)


# What is refused

WRONG = {
    r"Maxout: units is 0": lambda: Maxout(0),
    r"Maxout: pieces is -1": lambda: Maxout(3, -1),
    r"Maxout: bias is 2": lambda: Maxout(3, bias=2),
    r"Scale: initializer is 'nope'": lambda: Scale("nope"),
    r"Bias: initializer is 3, expected a name": lambda: Bias(3),
    r"Maxout: weight_initializer is 'nope'": lambda: Maxout(3, weight_initializer="nope"),
    r"Maxout: bias_initializer is None": lambda: Maxout(3, bias_initializer=None),
    r"Maxout 1: w begins with numbers of dtype complex128": lambda: Model(
        [Maxout(3, weight_initializer=lambda shape, rng: np.ones(shape) * 1j)]
    ).build(4),
    r"ParametricActivation: activation is Softmax\(\), expected one of single numbers": lambda: ParametricActivation(
        "softmax"
    ),
    r"ParametricActivation: activation is Dense\(3\), expected one of": lambda: ParametricActivation(Dense(3)),
    r"ParametricActivation: init is nan": lambda: ParametricActivation(init=float("nan")),
    r"Parallel: layers is array\(3\), expected a list": lambda: Parallel(np.array(3)),
    r"RMSNorm: eps is 0": lambda: RMSNorm(0),
    r"RMSNorm: eps is nan": lambda: RMSNorm(float("nan")),
    r"RMSNorm: elementwise_affine is 'no'": lambda: RMSNorm(elementwise_affine="no"),
    r"Lambda: function is 3, expected a function": lambda: Lambda(3),
    r"Lambda: gradient is 'x', expected a function": lambda: Lambda(squares, "x"),
    r"Lambda: units is 0": lambda: Lambda(squares, units=0),
    r"Lambda 1: function returned shape \(21, 4\) .* expected \(21, 3\); units=": lambda: Model(
        [Lambda(squares, units=3)]
    ).predict(X),
    r"Lambda 1: forward returned numbers of dtype complex64, expected real ones": lambda: Model(
        [Lambda(lambda x: x * 1j)]
    ).predict(X),
    r"Lambda 1: forward returned numbers of dtype <U1": lambda: Model(
        [Lambda(lambda x: np.full(x.shape, "a"))]
    ).predict(X),
    r"Lambda 2: backward returned numbers of dtype complex": lambda: Model(
        [Dense(2), Lambda(np.sin, lambda x, y, dy: 1j * dy)]
    ).train_batch(X, X[:, :2], loss="mse"),
    r"Reshape: shape is b'ab'": lambda: Reshape(b"ab"),
    r"Reshape: shape is \(0, 2\), expected the sizes": lambda: Reshape((0, 2)),
    r"Reshape: shape is \(-1, -1\)": lambda: Reshape((-1, -1)),
    r"Reshape: shape is 4": lambda: Reshape(4),
    r"Reshape 1: rows have 4 numbers, expected 6 for \(2, 3\)": lambda: Model([Reshape((2, 3))]).predict(X),
    r"Reshape 1: rows have 4 numbers, expected a multiple of 3": lambda: Model([Reshape((-1, 3))]).predict(X),
    r"Reshape 1: x has shape \(21, 2, 2\), expected \(rows, 4, any\)": lambda: Model([Reshape((4, -1))]).predict(
        IMAGES
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_named(message):
    with pytest.raises((ValueError, TypeError), match=message):
        WRONG[message]()

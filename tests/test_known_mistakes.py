"""Mistakes that are easily made in this field, and numbers small enough to check by hand."""

import numpy as np
import pytest
from cases import DTYPES, kernel, unset

from fastnn import MSE, SGD, BinaryCrossEntropy, CrossEntropy, Dense, Layer, Model, ReLU, Sigmoid, Softmax

pytestmark = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def test_relu_derivative_is_a_step_and_not_the_clipped_output(dtype):
    y, dy = np.array([[0.0, 0.25, 0.5, 3.0]], dtype), np.full((1, 4), 2, dtype)
    dx = unset((1, 4), dtype)
    kernel("relu_backward", dtype)(y, dy, dx)
    np.testing.assert_array_equal(dx, [[0, 2, 2, 2]])


@pytest.mark.parametrize("op", ["softmax_forward", "log_softmax_forward"])
def test_softmax_subtracts_the_maximum_of_each_row(dtype, op):
    x = np.array([[0, 0], [1000, 1000], [-1000, -1000]], dtype)
    y = unset((3, 2), dtype)
    kernel(op, dtype)(x, y)
    np.testing.assert_allclose(y if op == "softmax_forward" else np.exp(y), 0.5, rtol=1e-6)


@pytest.mark.parametrize("op", ["cross_entropy_from_logits", "cross_entropy_labels_from_logits"])
def test_cross_entropy_subtracts_the_maximum_of_each_row(dtype, op):
    y = np.array([[0, 0], [1000, 1000], [-1000, -1000]], dtype)
    t = np.zeros(3, np.int64) if "labels" in op else np.eye(2, dtype=dtype)[[0, 0, 0]]
    dy, value = unset((3, 2), dtype), np.zeros(1)
    kernel(op, dtype)(y, t, None, dy, value)
    np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(dy, [[-1 / 6, 1 / 6]] * 3, rtol=1e-6)


def test_the_mean_over_the_batch_is_taken_once(dtype):
    """A batch of one row, repeated, has the loss and the gradient of that row."""
    gradients, values = [], []
    for rows in (1, 10):
        x, t = np.full((rows, 1), 2, dtype), np.full((rows, 1), 1, dtype)
        w, b = np.full((1, 1), 3, dtype), np.zeros(1, dtype)
        y, dy, dw, db, value = unset((rows, 1), dtype), unset((rows, 1), dtype), w.copy(), b.copy(), np.zeros(1)
        kernel("dense_forward", dtype)(x, w, b, y)
        kernel("mse", dtype)(y, t, None, dy, value)
        kernel("dense_backward", dtype)(x, w, dy, None, dw, db)
        values.append(value[0])
        gradients.append((dw[0, 0], db[0]))
    assert values == [25, 25]
    np.testing.assert_allclose(gradients, [(20, 10), (20, 10)], rtol=1e-6)


@pytest.mark.parametrize("op", ["binary_cross_entropy", "cross_entropy", "cross_entropy_labels"])
def test_the_log_of_probability_zero_is_finite(dtype, op):
    y, eps = np.array([[0, 1]], dtype), np.finfo(dtype).eps
    t = np.zeros(1, np.int64) if "labels" in op else np.array([[1, 0]], dtype)
    dy, value = unset((1, 2), dtype), np.zeros(1)
    kernel(op, dtype)(y, t, None, dy, value)
    np.testing.assert_allclose(value, -np.log(eps), rtol=1e-6)
    assert np.all(np.isfinite(dy))
    assert dy[0, 0] < 0


def test_binary_cross_entropy_from_logits_never_overflows(dtype):
    y, t = np.array([[1e4, -1e4, 1e4, -1e4]], dtype), np.array([[1, 0, 0, 1]], dtype)
    dy, value = unset((1, 4), dtype), np.zeros(1)
    kernel("binary_cross_entropy_from_logits", dtype)(y, t, None, dy, value)
    assert value[0] == 5000
    np.testing.assert_array_equal(dy, [[0, 0, 0.25, -0.25]])


def test_weights_multiply_rows_and_do_not_change_the_divisor(dtype):
    y, t, weight = np.array([[1], [3]], dtype), np.zeros((2, 1), dtype), np.array([[2], [0]], dtype)
    dy, value = unset((2, 1), dtype), np.zeros(1)
    kernel("mse", dtype)(y, t, weight, dy, value)
    assert value[0] == 1
    np.testing.assert_array_equal(dy, [[2], [0]])


def test_the_first_step_of_adam_has_the_length_of_the_learning_rate(dtype):
    """Without the correction of the bias it would be a third of it; with the count from 0, infinite."""
    w, dw, m, v = np.zeros(2, dtype), np.array([1e-3, -10], dtype), np.zeros(2, dtype), np.zeros(2, dtype)
    kernel("adam", dtype)(w, dw, m, v, np.array([0.1]), np.array([1.0]))
    np.testing.assert_allclose(w, [-0.1, 0.1], rtol=2e-5)


def test_decoupled_weight_decay_does_not_pass_through_the_moments(dtype):
    w, zero, m, v = np.ones((4, 1), dtype)
    zero[:], m[:], v[:] = 0, 0, 0
    kernel("adam", dtype)(w, zero, m, v, np.array([0.1]), np.array([1.0]), weight_decay=0.5)
    np.testing.assert_allclose(w, 0.95, rtol=1e-6)
    np.testing.assert_array_equal([m, v], 0)


# The same mistakes, in whole models


def test_he_weights_are_multiplied_by_the_root_and_not_divided(dtype):
    net = Model([Dense(400, "relu"), Dense(400, "relu", weight_initializer="he_uniform")], seed=0, dtype=dtype)
    net.build(200)
    for layer, n_in in zip(net.layers, (200, 400), strict=True):
        np.testing.assert_allclose(
            layer.w.std(), np.sqrt(2 / n_in), rtol=0.02
        )  # divided, it would be 100 to 200 times that
        assert not layer.b.any()


def test_the_derivative_of_relu_is_one_for_every_positive_output(dtype):
    net = Model([Dense(1), ReLU()], dtype=dtype).build(1)
    net.layers[0].w = [[1]]
    np.testing.assert_array_equal(net.forward([[0.5], [3], [-2]]), [[0.5], [3], [0]])
    np.testing.assert_array_equal(net.backward(np.ones((3, 1))), [[1], [1], [0]])
    for x in (0.5, 3):  # in training too: the gradient of (x w - 0)^2 is 2 x^2
        net.train_batch([[x]], [[0]], loss=MSE(), optimizer=SGD(lr=0))
        assert net.layers[0].dw == 2 * x**2


@pytest.mark.parametrize("end", [[Softmax()], [Dense(2, weight_initializer=lambda shape, rng: np.eye(2)), Softmax()]])
def test_a_softmax_layer_subtracts_the_maximum_of_each_row(dtype, end):
    net = Model(end, dtype=dtype)
    np.testing.assert_array_equal(net.predict([[1000, 0], [0, -1000]]), [[1, 0], [1, 0]])


def test_the_gradient_does_not_depend_on_how_often_the_batch_is_repeated(dtype):
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(6, 3)), np.array([0, 1, 2, 2, 1, 0])
    for loss, y in ((CrossEntropy(), labels), (MSE(), rng.random((6, 3)))):
        net = Model([Dense(5, "tanh"), Dense(3), Softmax()], seed=0, dtype=dtype)
        losses, gradients = [], []
        for times in (1, 10):
            rows = np.tile(np.arange(6), times)
            losses.append(net.train_batch(x[rows], y[rows], loss=loss, optimizer=SGD(lr=0)))
            gradients.append(net.grads.copy())
        np.testing.assert_allclose(*losses, rtol=1e-5)
        np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-7)


def test_a_prediction_that_is_certain_and_wrong_has_a_finite_loss(dtype):
    net = Model([Dense(1), Sigmoid()], dtype=dtype).build(1)
    net.layers[0].w = [[1]]
    x, y = [[1000], [-1000]], [0, 1]
    assert set(net.predict(x).ravel()) == {0, 1}
    assert net.train_batch(x, y, loss=BinaryCrossEntropy(), optimizer=SGD(lr=1e-3)) == 1000
    assert np.isfinite(net.params).all()
    value, gradient = BinaryCrossEntropy().value_and_grad(np.array([[1], [0]], dtype), np.array([[0], [1]], dtype))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert gradient[0] > 0 > gradient[1]


def test_targets_of_shape_n_are_not_broadcast_to_n_by_n(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.random(8)
    params = []
    for target in (y, y[:, None]):
        net = Model([Dense(4, "relu"), Dense(1)], seed=0, dtype=dtype)
        net.fit(x, target, loss=MSE(), optimizer=SGD(lr=0.1), epochs=5, batch_size=3)
        params.append(net.params)
        np.testing.assert_allclose(net.evaluate(x, target)["loss"], np.mean((net(x)[:, 0] - y) ** 2), rtol=1e-5)
    np.testing.assert_array_equal(*params)
    for wrong in (y[None, :], np.tile(y[:, None], 8), y[:7], np.float64(1)):
        with pytest.raises(ValueError, match=r"^y "):
            net.fit(x, wrong, loss=MSE())
    with pytest.raises(ValueError, match="y has shape"):
        Model([Dense(2)], dtype=dtype).fit(x, y, loss=MSE())


def test_rows_are_shuffled_and_not_only_batches(dtype):
    class Recorder(Layer):
        def forward(self, x):
            seen.append(x[:, 0].astype(int).tolist())
            return x

        def backward(self, dy):
            return dy

    seen = []
    net = Model([Recorder(), Dense(1)], seed=0, dtype=dtype)
    net.fit(np.arange(20)[:, None], np.zeros(20), loss=MSE(), optimizer=SGD(lr=0), epochs=3, batch_size=4)
    epochs = [seen[i : i + 5] for i in (0, 5, 10)]
    assert len(seen) == 15
    for epoch in epochs:
        assert sorted(row for batch in epoch for row in batch) == list(range(20))
    together = [{frozenset(batch) for batch in epoch} for epoch in epochs]
    assert not together[0] & together[1]
    assert not together[1] & together[2]

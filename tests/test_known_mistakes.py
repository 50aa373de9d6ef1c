"""Mistakes that are easily made in this field, and numbers small enough to check by hand."""

import numpy as np
import pytest
from cases import DTYPES, kernel, unset

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
    y, t, weight = np.array([[1], [3]], dtype), np.zeros((2, 1), dtype), np.array([2, 0], dtype)
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

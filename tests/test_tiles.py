"""Products of all small sizes, whatever tiles they fall into: exact, and nothing beside the outputs is written."""

import numpy as np
import pytest
from cases import DTYPES, kernel
from cases.contract import random
from guarded import Guarded

import fastnn
from fastnn.kernels import Rows

MOST = 80  # rows and columns
SAMPLES = 400
OFTEN = (1, 2, 3, 4, 8, 10, 12, 13, 16, 17, 18, 20, 24, 31, 32, 33, 40, 48, 50, 64, 65, 66, 72, 73)


def expect(reads):
    """Let products expect this of the processor."""
    number = fastnn.kernels._FAR_READS.index(reads)
    for build in (fastnn.kernels.float32, fastnn.kernels.float64):
        assert build._far_reads(number) == number


@pytest.fixture(params=fastnn.kernels._FAR_READS)
def far_reads(request):
    """What products expect of the processor, by which they choose what to pack."""
    expect(request.param)
    yield request.param
    expect(fastnn.kernels._cpu.far_reads())


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(("k", "n"), [(64, 600), (67, 545), (150, 272), (784, 100), (70, 2100), (70, 2048), (600, 230)])
def test_few_rows_of_wide_weights_are_exact(k, n, dtype, far_reads):
    """Up to four rows read weights from end to end; tiles ask for them before; more rows go in blocks, or panels."""
    rng = random(k, n)
    rows = (*range(1, 27), 33, 65, 150, 450) if far_reads == "fast" else (*range(6, 14), 24, 25, 65, 150)
    numbers, w, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((rows[-1], k), (k, n), (n,)))
    products = (numbers.astype(np.float64) @ w).astype(dtype)
    for m in rows:
        x, product, made = numbers[-m:].copy(), products[-m:], Guarded(dtype, rng)
        for bias, z in ((None, product), (b, product + b)):
            of_tanh = np.empty_like(z)
            kernel("tanh_forward", dtype)(z, of_tanh)
            for activation, right in ((None, z), ("relu", np.maximum(z, 0)), ("tanh", of_tanh)):
                y = made.array((m, n))
                kernel("dense_forward", dtype)(x, w, bias, y, activation)
                np.testing.assert_array_equal(y, right, err_msg=f"{m} rows, {activation}")
        made.assert_untouched()


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(("rows", "k", "n"), [(129, 500, 97), (520, 131, 64), (300, 260, 40), (66, 1100, 130)])
def test_gradients_of_many_inputs_are_exact(rows, k, n, dtype, far_reads):
    """Tiles of dw read columns of x, or what the first of them has packed; with and without db, and in SGD's step.

    Those of dx read w.T in blocks, or panel by panel.
    """
    rng = random(rows, k)
    x, w, dy, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((rows, k), (k, n), (rows, n), (n,)))
    made = Guarded(dtype, rng)
    alone, dw, db, dx, new_w, new_b = (made.array(a) for a in (w.shape, w.shape, b.shape, x.shape, w, b))
    kernel("dense_backward", dtype)(x, w, dy, dx, None, None)
    kernel("dense_backward", dtype)(x, w, dy, None, alone, None)
    kernel("dense_backward", dtype)(x, w, dy, None, dw, db)
    kernel("dense_sgd", dtype)(x, new_w, new_b, dy, np.full(1, 0.5))
    x, w, dy, b = (a.astype(np.float64) for a in (x, w, dy, b))
    np.testing.assert_array_equal(dx, dy @ w.T)
    for found in (alone, dw):
        np.testing.assert_array_equal(found, x.T @ dy)
    np.testing.assert_array_equal(db, dy.sum(0))
    np.testing.assert_array_equal(new_w, w - 0.5 * (x.T @ dy))
    np.testing.assert_array_equal(new_b, b - 0.5 * dy.sum(0))
    made.assert_untouched()


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_products_of_small_sizes_are_exact(dtype):
    """Of integers, whose sums have no rounding; forward, backward and in plain SGD's step, also with chosen rows."""
    rng = random(MOST, SAMPLES)
    forward, backward, sgd = (kernel(f"dense_{name}", dtype) for name in ("forward", "backward", "sgd"))
    for sample in range(SAMPLES):
        sizes = rng.choice(OFTEN, 3) if sample % 2 else rng.integers(1, MOST + 1, 3)
        m, k, n = (int(size) for size in sizes)
        x, w, dy, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((m, k), (k, n), (m, n), (n,)))
        bias = b if rng.random() < 0.7 else None
        made, order = Guarded(dtype, rng), rng.permutation(m)
        rows = Rows(np.ascontiguousarray(x[np.argsort(order)]), order, np.zeros(1, np.int64))
        y, fused, of_rows, dx, slope = (made.array(a.shape) for a in (dy, dy, dy, x, x))
        dw, db, dw_of_rows, db_of_rows = (made.array(a.shape) for a in (w, b, w, b))
        new_w, new_b = made.array(w), made.array(b)
        forward(x, w, bias, y)
        forward(x, w, bias, fused, "relu")
        forward(rows, w, bias, of_rows, "relu")
        backward(x, w, dy, dx, dw, db)
        backward(x, w, dy, slope, None, None, "relu")
        backward(rows, w, dy, None, dw_of_rows, db_of_rows)
        sgd(x, new_w, new_b, dy, np.full(1, 0.5))
        x, w, dy, b = (a.astype(np.float64) for a in (x, w, dy, b))
        product = x @ w + (0 if bias is None else b)
        expected = {
            "forward": (y, product),
            "relu": (fused, np.maximum(product, 0)),
            "chosen rows": (of_rows, np.maximum(product, 0)),
            "dx": (dx, dy @ w.T),
            "dx behind relu": (slope, np.where(x > 0, dy @ w.T, 0)),
            "dw": (dw, x.T @ dy),
            "dw of chosen rows": (dw_of_rows, x.T @ dy),
            "db": (db, dy.sum(0)),
            "db of chosen rows": (db_of_rows, dy.sum(0)),
            "w": (new_w, w - 0.5 * (x.T @ dy)),
            "b": (new_b, b - 0.5 * dy.sum(0)),
        }
        for what, (found, right) in expected.items():
            np.testing.assert_array_equal(found, right, err_msg=f"{what} of {m} rows, {k} x {n}")
        made.assert_untouched()

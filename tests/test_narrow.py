"""Layers of few outputs: on a tape, dx and dw, or the step of the weights, take one pass, to the bits of two calls."""

from itertools import product

import numpy as np
import pytest
from cases import DTYPES, kernel
from guarded import Guarded
from nets import same_bits

from fastnn import Tape
from fastnn.kernels import Rows

ROWS = (7, 8, 31, 150, 1024, 1025)
SIZES = ((7, 2), (8, 1), (20, 4), (32, 3), (33, 2), (48, 3), (64, 5), (67, 1), (100, 3), (100, 4), (1001, 2))
ACTIVATIONS = (None, "relu", "tanh")
NAMES = ("x", "w", "b", "dy", "dx", "dw", "db")
LR = np.full(1, 0.3)


def numbers(rng, shape, dtype):
    """Return numbers of all sizes, zeros of both signs and subnormal ones among them."""
    scale = rng.choice([1.0, 1e-3, 1e3, float(np.finfo(dtype).tiny), 0.0], p=[0.8, 0.05, 0.05, 0.05, 0.05], size=shape)
    return (rng.normal(size=shape) * scale).astype(dtype)


def arrays(rows, n_in, n_out, dtype):
    rng = np.random.default_rng((rows, n_in, n_out))
    shapes = {"x": (rows, n_in), "w": (n_in, n_out), "b": n_out, "dy": (rows, n_out)}
    found = {name: numbers(rng, shape, dtype) for name, shape in shapes.items()}
    return found | {"dx": (rows, n_in), "dw": (n_in, n_out), "db": (n_out,)}


def placed(values, dtype, seed):
    made = Guarded(dtype, np.random.default_rng(seed))
    return made, {name: made.array(values[name]) for name in NAMES}


def record(tape, dtype, a, activation, steps, bias):
    """Both calls of a layer: gradients, or plain SGD's step behind dx; without a tape they run one after the other."""
    backward, sgd = kernel("dense_backward", dtype), kernel("dense_sgd", dtype)
    if steps:
        backward(a["x"], a["w"], a["dy"], a["dx"], None, None, activation, None, tape)
        sgd(a["x"], a["w"], a["b"] if bias else None, a["dy"], LR, tape)
    else:
        backward(a["x"], a["w"], a["dy"], a["dx"], a["dw"], a["db"] if bias else None, activation, None, tape)


def assert_same(found, expected, message):
    for name in NAMES:
        assert same_bits(found[name], expected[name]), f"{name} {message}"


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("rows", ROWS)
def test_one_pass_has_the_bits_of_two_calls(rows, dtype):
    for n_in, n_out in SIZES:
        values = arrays(rows, n_in, n_out, dtype)
        for activation, steps, bias in product(ACTIVATIONS, (False, True), (False, True)):
            made, joint = placed(values, dtype, n_in)
            _, alone = placed(values, dtype, n_in)
            tape = Tape()
            record(tape, dtype, joint, activation, steps, bias)
            assert len(tape) == 2
            for _ in range(2):  # the second step is from other weights
                tape.replay()
                record(None, dtype, alone, activation, steps, bias)
                assert_same(joint, alone, f"of {rows} rows, {n_in} x {n_out}, {activation}")
            made.assert_untouched()


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_a_pass_may_be_cut_between_its_calls(dtype):
    for steps in (False, True):
        values = arrays(40, 48, 3, dtype)
        (_, joint), (_, alone) = placed(values, dtype, 1), placed(values, dtype, 1)
        tape = Tape()
        record(tape, dtype, joint, "relu", steps, True)
        tape.replay(0, 1)
        tape.replay(1, 2)
        record(None, dtype, alone, "relu", steps, True)
        assert_same(joint, alone, "cut")


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_calls_of_different_arrays_stay_apart(dtype):
    """Those are dx of one layer and the step of another, which have all but one array in common."""
    backward, sgd = kernel("dense_backward", dtype), kernel("dense_sgd", dtype)
    values = arrays(40, 48, 3, dtype)
    others = arrays(41, 48, 3, dtype)
    for name in ("x", "dy", "w"):
        found = []
        for tape in (Tape(), None):
            (_, a), (_, other) = placed(values, dtype, 1), placed(others, dtype, 2)
            changed = a | {name: other[name][: len(a[name])]}
            backward(a["x"], a["w"], a["dy"], a["dx"], None, None, "relu", None, tape)
            sgd(changed["x"], changed["w"], a["b"], changed["dy"], LR, tape)
            if tape is not None:
                tape.replay()
            found.append(a | {"other": changed["w"]})
        assert same_bits(found[0]["other"], found[1]["other"]), name
        assert_same(*found, name)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_a_step_of_weights_that_dx_reads_in_part_waits_for_all_of_it(dtype):
    values = arrays(40, 60, 3, dtype)
    found = []
    for tape in (Tape(), None):
        _, a = placed(values, dtype, 1)
        x, dx = np.ascontiguousarray(a["x"][:, :48]), np.empty((40, 48), dtype)
        kernel("dense_backward", dtype)(x, a["w"][:48], a["dy"], dx, None, None, None, None, tape)
        kernel("dense_sgd", dtype)(x, a["w"][12:], a["b"], a["dy"], LR, tape)
        if tape is not None:
            tape.replay()
        found.append((dx, a["w"]))
    assert all(map(same_bits, *found))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_chosen_rows_stay_apart(dtype):
    backward, sgd = kernel("dense_backward", dtype), kernel("dense_sgd", dtype)
    values = arrays(40, 48, 3, dtype)
    order = np.random.default_rng(3).permutation(40)
    found = []
    for tape in (Tape(), None):
        _, a = placed(values, dtype, 1)
        backward(a["x"], a["w"], a["dy"], a["dx"], None, None, None, None, tape)
        sgd(Rows(a["x"], order, np.zeros(1, np.int64)), a["w"], a["b"], a["dy"], LR, tape)
        if tape is not None:
            tape.replay()
        found.append(a)
    assert_same(*found, "of chosen rows")


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_neither_dx_nor_steps_lose_what_is_subnormal(dtype):
    tiny = dtype(np.finfo(dtype).tiny)
    for n_out in (3, 64):
        x, dy = np.ones((40, 48), dtype), np.zeros((40, n_out), dtype)
        w, b, dx = np.full((48, n_out), tiny / 4, dtype), np.full(n_out, tiny / 4, dtype), np.empty_like(x)
        dy[:, 0] = 1
        a = {"x": x, "w": w, "b": b, "dy": dy, "dx": dx}
        tape = Tape()
        record(tape, dtype, a, None, True, True)
        tape.replay()
        assert np.all(dx == tiny / 4)
        assert np.all(w[:, 1:] == tiny / 4)
        assert np.all(b[1:] == tiny / 4)
        np.testing.assert_array_equal(w[:, 0], dtype(-0.3) * 40)

"""Products in bfloat16 by AVX512_BF16 and AMX, whose instructions are C here: for any processor with AVX-512."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from guarded import Guarded

from fastnn import kernels
from fastnn.layers.bfloat16 import packed
from fastnn.reference import bfloat16

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif("avx512" not in kernels.supported, reason="this processor has no AVX-512"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

TESTS = Path(__file__).parent
FLAGS = "-shared -fPIC -O1 -march=x86-64-v4 -std=gnu11 -ffp-contract=off -fno-trapping-math"
SOURCES = ("gemm", "products", "pack", "workspace", "bf16_pack", "bf16_tile", "bf16_amx", "bf16_products")
# (rows, inputs, outputs) beside the edges of pairs, registers of 16 of them, tiles, panels and blocks
SIZES = (
    (1, 1, 1), (1, 2, 300), (1, 64, 300), (2, 2, 33), (12, 32, 32), (13, 17, 15), (11, 31, 16), (13, 33, 17),
    (31, 95, 47), (64, 130, 66), (25, 1023, 5), (3, 1030, 130), (14, 2101, 33), (2, 1100, 300), (5, 40, 4200),
    (150, 300, 129),
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The products of float32, compiled with instructions in C."""
    path = tmp_path_factory.mktemp("bf16") / "product.so"
    source = TESTS.parent / "src"
    files = [str(TESTS / "bf16_product.c"), *(str(source / "gemm" / f"{name}.c") for name in SOURCES)]
    command = [
        "gcc",
        *FLAGS.split(),
        "-DFASTNN_DOUBLE=0",
        "-DGEMM_API=",
        f"-I{source}",
        "-include",
        str(TESTS / "bf16_instructions.h"),
        *files,
    ]
    version = subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True, check=True).stdout
    if sys.platform != "linux" or int(version.partition(".")[0]) < 12:
        pytest.skip("gcc does not know the instructions: 12 does, on Linux")
    done = subprocess.run([*command, "-o", str(path), "-lm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(path))


@pytest.fixture(params=["pairs", "registers"])
def product(request, library, monkeypatch):
    """A function that computes c, and another one its twin, by pairs of AVX512_BF16 or in registers of AMX."""
    by_amx = request.param == "registers"
    monkeypatch.setattr(bfloat16, "with_amx", by_amx)

    def compute(a, b, c, *, rows=None, terms=None, panels=None, bias=None, rate=None):
        """Write a @ b into c: a and b have any strides, and `rows` or `terms` of a are chosen."""
        m, n = c.shape
        k, strides = len(b), [stride // 4 for stride in (*a.strides, *b.strides)]
        if panels is not None:
            strides[2:] = 16, (k + 1) // 2
        address = [None if array is None else array.ctypes.data for array in (a, rows, terms, b, bias, c)]
        number = None if rate is None else ctypes.byref(ctypes.c_float(rate))
        sizes = map(ctypes.c_ssize_t, (m, n, k))
        at_b = address[3] if panels is None else panels.ctypes.data
        status = library.product(
            1 + by_amx, *sizes, ctypes.c_void_p(address[0]), *map(ctypes.c_ssize_t, strides[:2]),
            *map(ctypes.c_void_p, address[1:3]), ctypes.c_void_p(at_b), *map(ctypes.c_ssize_t, strides[2:]),
            panels is not None, ctypes.c_void_p(address[4]), number, ctypes.c_void_p(address[5]),
        )  # fmt: skip
        assert status == 0

    return compute


def twin(a, b):
    c = np.empty((len(a), b.shape[1]), np.float32)
    bfloat16.product(a, b, c, True)
    return c


@pytest.fixture(params=SIZES, ids=lambda size: "x".join(map(str, size)))
def sized(request):
    """Numbers of rows, inputs and outputs, and a function that makes arrays: what is beside them stays as it was."""
    rng = np.random.default_rng(request.param[0])
    guarded = Guarded(np.float32, rng)

    def arrays(*shapes, unset=False):
        values = [shape if unset else rng.normal(size=shape).astype(np.float32) for shape in shapes]
        return [guarded.array(value) for value in values]

    yield *request.param, arrays
    guarded.assert_untouched()


def test_the_ways_of_a_layer_have_the_bits_of_their_twin(sized, product):
    """Forward, from weights that lie in rows or in panels, dx and dw."""
    m, k, n, arrays = sized
    x, w, dy, bias = arrays((m, k), (k, n), (m, n), (n,))
    y, in_panels, dx, dw = arrays((m, n), (m, n), (m, k), (k, n), unset=True)
    product(x, w, y, bias=bias)
    product(x, w, in_panels, bias=bias, panels=packed(w))
    product(dy, w.T, dx)
    product(x.T, dy, dw)
    np.testing.assert_array_equal(y, twin(x, w) + bias)
    np.testing.assert_array_equal(in_panels, y)
    np.testing.assert_array_equal(dx, twin(dy, w.T))
    np.testing.assert_array_equal(dw, twin(x.T, dy))


def test_chosen_rows_are_those_that_are_copied(sized, product):
    m, k, n, arrays = sized
    index = np.random.default_rng(m).integers(0, m + 20, m)
    every, w, dy = arrays((m + 20, k), (k, n), (m, n))
    y, dw = arrays((m, n), (k, n), unset=True)
    product(every, w, y, rows=index)
    product(every.T, dy, dw, terms=index)
    np.testing.assert_array_equal(y, twin(every[index], w))
    np.testing.assert_array_equal(dw, twin(every[index].T, dy))


def test_a_step_is_one_multiply_add_behind_the_product(sized, product):
    m, k, n, arrays = sized
    x, w, dy = arrays((m, k), (k, n), (m, n))
    expected = (w - np.float64(np.float32(0.1)) * twin(x.T, dy).astype(np.float64)).astype(np.float32)
    product(x.T, dy, w, rate=0.1)
    np.testing.assert_array_equal(w, expected)


def test_numbers_of_any_kind_have_the_bits_of_their_twin(product):
    """Subnormal numbers and sums are 0, and what is not finite goes where it goes in NumPy."""
    rng = np.random.default_rng(0)
    every = rng.integers(0, 2**32, 80 * 200 + 200 * 70, dtype=np.uint32).view(np.float32)
    small = (rng.normal(size=every.size) * 2.0 ** rng.integers(-80, -50, every.size)).astype(np.float32)
    for both in (every, small):  # products of small numbers are about as large as the smallest normal one
        x, w = both[:16000].reshape(80, 200), both[16000:].reshape(200, 70)
        for k in (1, 2, 3, 33, 200):
            y = np.empty((80, 70), np.float32)
            product(np.ascontiguousarray(x[:, :k]), w[:k], y)
            np.testing.assert_array_equal(y, twin(x[:, :k], w[:k]))


def test_bits_do_not_depend_on_what_is_computed_at_once(product):
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((70, 1100), (1100, 140)))
    whole = np.empty((70, 140), np.float32)
    product(x, w, whole)
    for rows, columns in ((1, 140), (7, 64), (70, 1), (12, 33)):
        part = np.empty((rows, columns), np.float32)
        product(x[:rows], np.ascontiguousarray(w[:, :columns]), part)
        np.testing.assert_array_equal(part, whole[:rows, :columns])


def test_registers_add_in_an_order_of_their_own(monkeypatch):
    """So nobody gets them without asking."""
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((7, 100), (100, 9)))
    monkeypatch.setattr(bfloat16, "with_amx", False)
    pairs = twin(x, w)
    monkeypatch.setattr(bfloat16, "with_amx", True)
    registers = twin(x, w)
    assert np.any(pairs != registers)
    np.testing.assert_allclose(registers, pairs, rtol=1e-5, atol=1e-5)
    exact = bfloat16.rounded(x).astype(np.float64) @ bfloat16.rounded(w)
    assert np.abs(registers - exact).max() <= 2 * np.abs(pairs - exact).max()

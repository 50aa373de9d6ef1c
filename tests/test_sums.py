"""Sums of many terms: products are sums of fixed blocks of the inner dimension, to the bit, and as exact as NumPy's.

A product of two numbers of few bits is exact, so that NumPy rounds once where a multiply-add does: what stands here as
the reference of a chain has the bits of every instruction set.
"""

from copy import copy
from functools import reduce
from typing import Any

import numpy as np
import pytest
from cases import DTYPES, kernel, random

from fastnn import Tape
from fastnn._core.team import Team
from fastnn.kernels import Rows
from fastnn.reference.bfloat16 import SUM_BLOCK

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
AROUND_BLOCKS = (1, 512, 1023, 1024, 1025, 1090, 2047, 2048, 2049, 5000)  # terms
each_k = pytest.mark.parametrize("k", AROUND_BLOCKS)
# rows and columns of products, so that each way through the tiles is taken: as dot products from 3 columns down
OF_CHAINS = (
    (1, 4), (33, 4), (1, 300), (2, 70), (3, 5), (5, 64), (12, 33), (13, 80), (40, 9), (64, 130), (130, 300), (2, 530),
    (4, 1024),
)  # fmt: skip
OF_DOTS = ((1, 1), (1, 3), (9, 1), (12, 2), (70, 3))


OUTPUTS_OF = {
    "dx": ("dx", "dx behind relu"),
    "y": ("y", "y by index", "relu", "relu by index"),
    "dw": tuple(f"{name}{rows}" for name in ("dw", "db", "w", "b") for rows in ("", " by index")),
}


def of_few_bits(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Numbers between -1 and 1 whose products are exact."""
    bits = 11 if dtype is np.float32 else 25
    return np.ldexp(rng.integers(-(2**bits), 2**bits, shape).astype(dtype), -bits)


def in_blocks(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product a @ b, as chains of up to SUM_BLOCK terms, which are added one after the other."""
    total = np.zeros((len(a), b.shape[1]), a.dtype)
    columns, chain, term = np.ascontiguousarray(a.T)[..., None], np.empty_like(total), np.empty_like(total)
    for begin in range(0, len(b), SUM_BLOCK):
        chain[...] = 0
        for p in range(begin, min(begin + SUM_BLOCK, len(b))):
            np.multiply(columns[p], b[p], out=term)
            np.add(term, chain, out=chain)
        np.add(total, chain, out=total) if begin else np.copyto(total, chain)
    return total


class Products:
    """All products of one size."""

    def __init__(self, m: int, n: int, k: int, dtype: type, rng: np.random.Generator, numbers: Any = of_few_bits):
        self.a, self.b = numbers(rng, (m, k), dtype), numbers(rng, (k, n), dtype)
        self.bias, self.w, self.lr = numbers(rng, (n,), dtype), numbers(rng, (m, n), dtype), np.array([0.37])
        self.dtype = dtype

    def run(self, **options: Any) -> dict[str, np.ndarray]:
        """Forward, dx, dw with db, and the step that adds both to parameters; also of rows that an index chooses."""
        forward, backward, sgd = (kernel(op, self.dtype) for op in ("dense_forward", "dense_backward", "dense_sgd"))
        made, x = self.run_alone(**options), np.ascontiguousarray(self.a.T)
        made |= {f"{name} by index": np.full_like(made[name], np.nan) for name in ("y", "dw", "db")}
        made |= {name: np.full_like(made["y"], np.nan) for name in ("relu", "relu by index", "dx behind relu")}
        forward(chosen(self.a), self.b, self.bias, made["y by index"], **options)
        forward(self.a, self.b, self.bias, made["relu"], "relu", **options)
        forward(chosen(self.a), self.b, self.bias, made["relu by index"], "relu", **options)
        backward(self.w, self.b.T.copy(), self.a, made["dx behind relu"], None, None, "relu", **options)
        backward(chosen(x), self.w, self.b, None, made["dw by index"], made["db by index"], **options)
        for name, rows in (("", x), (" by index", chosen(x))):
            made |= {f"w{name}": self.w.copy(), f"b{name}": self.bias.copy()}
            sgd(rows, made[f"w{name}"], made[f"b{name}"], self.b, self.lr, **options)
        return made

    def run_alone(self, **options: Any) -> dict[str, np.ndarray]:
        """Forward, dx, and dw with db, and nothing beside them."""
        m, n, dtype = len(self.a), self.b.shape[1], self.dtype
        made = {name: np.full((m, n), np.nan, dtype) for name in ("y", "dx", "dw")} | {"db": np.full(n, np.nan, dtype)}
        kernel("dense_forward", dtype)(self.a, self.b, self.bias, made["y"], **options)
        backward = kernel("dense_backward", dtype)
        backward(self.w, self.b.T.copy(), self.a, made["dx"], None, None, **options)
        backward(np.ascontiguousarray(self.a.T), self.w, self.b, None, made["dw"], made["db"], **options)
        return made

    def expected(self) -> dict[str, np.ndarray]:
        return self.around(in_blocks(self.a, self.b), in_blocks(np.ones((1, len(self.b)), self.dtype), self.b)[0])

    def around(self, product: np.ndarray, sums: np.ndarray) -> dict[str, np.ndarray]:
        """What the outputs are where these are the product and the sums of the rows of b."""
        w, b = self.w.copy(), self.bias.copy()
        kernel("sgd", self.dtype)(w.reshape(-1), product.reshape(-1), None, self.lr)
        kernel("sgd", self.dtype)(b, sums, None, self.lr)
        made = {"y": product + self.bias, "dw": product, "db": sums, "w": w, "b": b}
        made["relu"] = np.maximum(made["y"], 0)
        made |= {f"{name} by index": value for name, value in made.items()}
        return {"dx": product, "dx behind relu": np.where(self.w > 0, product, 0)} | made


def chosen(x: np.ndarray) -> Rows:
    """The rows of x among others."""
    index = np.arange(len(x))[::-1] * 2 + 1
    array = np.full((2 * len(x) + 1, x.shape[1]), np.nan, x.dtype)
    array[index] = x
    return Rows(array, index, np.array([0]))


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray], message: str) -> None:
    assert got.keys() == expected.keys()
    for name, value in got.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=f"{name} {message}")


@each_dtype
@each_k
def test_products_are_chains_of_blocks(dtype, k):
    """By every way through the tiles; dx of one row is dot products."""
    for m, n in OF_CHAINS[: 9 if k > 2049 else None]:
        products = Products(m, n, k, dtype, random(m, n))
        got, expected = products.run(), products.expected()
        if m == 1:
            for name in OUTPUTS_OF["dx"]:
                del got[name], expected[name]
        assert_same(got, expected, f"{m} x {n}, {k} terms")


@each_dtype
@pytest.mark.parametrize("n", [1, 2, 3, 5, 20])
def test_long_products_of_few_columns_are_chains_of_blocks(dtype, n):
    """Of so many rows that a rectangle of them leaves no room for a panel of columns."""
    products = Products(5000, n, 1030, dtype, random(5000, n))
    got, expected = products.run(), products.expected()
    assert_same(
        {name: got[name] for name in OUTPUTS_OF["dw"]}, {name: expected[name] for name in OUTPUTS_OF["dw"]}, f"{n}"
    )
    if n > 3:  # else they are dot products
        assert_same(got, expected, f"5000 x {n}, 1030 terms")


@each_dtype
def test_large_products_are_chains_of_blocks(dtype):
    """Of several rectangles, above and beside each other."""
    products = Products(520, 470, 1030, dtype, random(520, 470))
    got = products.run()
    assert_same(got, products.expected(), "520 x 470, 1030 terms")
    y, expected = np.full_like(got["y"], np.nan), np.empty_like(got["y"])
    kernel("dense_forward", dtype)(products.a, products.b, products.bias, y, "tanh")
    kernel("tanh_forward", dtype)(got["y"], expected)
    np.testing.assert_array_equal(y, expected)


@each_dtype
@pytest.mark.parametrize("k", [1025, 2048, 3000])
def test_recorded_products_have_the_same_bits_in_any_parts(dtype, k):
    for m, n in OF_CHAINS:
        if m == 1 or (k, n) == (3000, 300):
            continue
        products, tape = Products(m, n, k, dtype, random(m, n)), Tape()
        outputs, expected = products.run(tape=tape), products.expected()
        starts = {name: value.copy() for name, value in outputs.items()}

        def assert_replays(message, **options):
            for name, value in outputs.items():  # noqa: B023 - called in this turn
                value[...] = starts[name]  # noqa: B023
            tape.replay(**options)  # noqa: B023
            assert_same(outputs, expected, f"{m} x {n}, {message}")  # noqa: B023

        assert_replays("replayed")
        assert_replays("in 3 parts", parts=3)
        for n_threads in (2, 3):
            with Team(n_threads, divide_all=True) as team:
                assert_replays(f"on {n_threads} threads", team=team)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [(np.float32, {}), (np.float64, {}), (np.float32, {"bf16": True})],
    ids=["float32", "float64", "bf16"],
)
def test_blocks_may_be_computed_apart_and_added(dtype, options):
    """Whatever the order in a block: dot products, numbers rounded to bfloat16, and groups, too."""

    def normal(rng, shape, dtype):
        return rng.normal(size=shape).astype(dtype)

    for m, n in (*OF_DOTS, *OF_CHAINS[:-2]):
        for k in (1025, 1500, 2048, 3002):
            whole = Products(m, n, k, dtype, random(m, n), normal)
            got = whole.run(**options)
            parts = []
            for begin in range(0, k, SUM_BLOCK):
                part = copy(whole)
                part.a, part.b = whole.a[:, begin:][:, :SUM_BLOCK].copy(), whole.b[begin:][:SUM_BLOCK].copy()
                part.bias = np.zeros_like(whole.bias)
                parts.append(part.run_alone(**options))
            sums = reduce(np.add, [part["db"] for part in parts])
            for op in ("dx", "y", "dw"):
                total = reduce(np.add, [part[op] for part in parts])
                own = {name: value for name, value in whole.around(total, sums).items() if name in OUTPUTS_OF[op]}
                assert_same({name: got[name] for name in own}, own, f"{m} x {n}, {k} terms")


@each_dtype
def test_grouped_products_add_blocks(dtype):
    rng, groups = random(2, 3), 3
    for rows, n_in, n_out in ((5, 2500, 4), (1100, 3, 5), (2049, 6, 2)):
        x, dy = of_few_bits(rng, (rows, groups, n_in), dtype), of_few_bits(rng, (rows, groups, n_out), dtype)
        w = of_few_bits(rng, (groups, n_in, n_out), dtype)
        y, dw, db = np.empty_like(dy), np.empty_like(w), np.empty((groups, n_out), dtype)
        kernel("grouped_forward", dtype)(x, w, None, None, y)
        kernel("grouped_backward", dtype)(x, w, dy, None, dw, db)
        for g in range(groups):
            np.testing.assert_array_equal(db[g], in_blocks(np.ones((1, rows), dtype), dy[:, g])[0])
            np.testing.assert_array_equal(dw[g], in_blocks(x[:, g].T, dy[:, g]))
            if n_out > 3 and n_in > 64:
                np.testing.assert_array_equal(y[:, g], in_blocks(x[:, g], w[g]))


def root_mean_square(errors: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.square(np.concatenate([part.ravel() for part in errors])))))


@pytest.mark.once
def test_sums_of_millions_are_as_exact_as_those_of_numpy(exhaustive):
    """float32, positive numbers, which one long chain would add until it stands still."""
    backward, forward = (kernel(op, np.float32) for op in ("dense_backward", "dense_forward"))
    k = 10**7 if exhaustive else 10**6
    bound = 8 * np.sqrt(k) * np.finfo(np.float32).eps
    own: dict[str, list[np.ndarray]] = {}
    of_numpy: dict[str, list[np.ndarray]] = {}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x, dy = rng.random((k, 4), np.float32), rng.random((k, 8), np.float32)
        product, sums = x.T.astype(np.float64) @ dy.astype(np.float64), dy.sum(0, np.float64)
        dw, y, dot, db = (np.empty(shape, np.float32) for shape in ((4, 8), (4, 8), (4, 1), (8,)))
        backward(x, np.empty_like(dw), dy, None, dw, db)
        forward(np.ascontiguousarray(x.T), dy, None, y)
        forward(np.ascontiguousarray(x.T), dy[:, :1].copy(), None, dot)
        for name, got, numpys, expected in (
            ("dw", dw, x.T @ dy, product), ("forward", y, x.T @ dy, product),
            ("dot products", dot, (x.T @ dy)[:, :1], product[:, :1]), ("db", db, dy.sum(0), sums),
        ):  # fmt: skip
            own.setdefault(name, []).append(got / expected - 1)
            of_numpy.setdefault(name, []).append(numpys / expected - 1)
            assert np.abs(own[name][-1]).max() <= bound, name
    for name, errors in own.items():
        assert root_mean_square(errors) <= root_mean_square(of_numpy[name]), name

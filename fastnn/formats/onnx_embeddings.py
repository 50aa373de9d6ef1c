"""Embeddings of numbers, and products of 8-bit integers, told by how `to_onnx` writes them."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from fastnn import layers
from fastnn.arena import Array
from fastnn.formats.onnx_plans import Plan
from fastnn.formats.onnx_steps import Step, columns_of, single
from fastnn.layers.bins import parts_of
from fastnn.layers.int8 import MOST_INPUTS, packed

Form = tuple[Plan, Step]  # a layer, and the step that it reads


class _Product:
    """y = x @ w + b of equal parts of rows: w (parts, n_in, n), or (n_in, n) of all alike."""

    __slots__ = ("b", "parts", "w", "x")

    def __init__(self, x: Step, w: Array, b: Array, parts: int) -> None:
        self.x, self.w, self.b, self.parts = x, w, b.reshape((parts, -1) if w.ndim == 3 else -1), parts


def plr(step: Step) -> Form | None:
    """relu([cos(2 pi x w), sin(2 pi x w)] @ v + b) of each column x."""
    product = _product(step.inputs[0])
    if product is None:
        return None
    n, waves = product.parts, product.x
    k = waves.n // (2 * n)
    index = [[*range(k * j, k * (j + 1)), *range(k * (n + j), k * (n + j + 1))] for j in range(n)]
    cosines, sines = _side_by_side(waves if n == 1 else _chosen_from(waves, index))
    angles, same = _argument(cosines, "Cos"), _argument(sines, "Sin")
    if same is not None and same is not angles:
        same, one = _with_constant(same, "Mul", 1)
        same = None if one is None or one[0] != 1 else same
    if angles is None or same is not angles:
        return None
    found = _waves(angles, n)
    if found is None or found[2] is not None:
        return None
    x, w, _ = found
    options = {"lite": True} if product.w.ndim == 2 else {}
    return Plan(layers.PLREmbedding, (product.w.shape[-1], k), options, {"w": w, "v": product.w, "b": product.b}), x


def pbld(step: Step) -> Form | None:
    """[cos(2 pi x w + c) @ v + b, x] of each column x."""
    beside = step if step.op == "Concat" else step.inputs[0]
    made, x = _side_by_side(beside)
    product = _product(_behind_shape(made))
    if x is None or product is None or product.w.ndim != 3 or product.parts != x.n:
        return None
    n, d = x.n, product.w.shape[2]
    index = [[*range(d * j, d * (j + 1)), d * n + j] for j in range(n)]
    if n > 1 if step is beside else _chosen_from(step, index) is None:
        return None
    angles = _argument(product.x, "Cos")
    found = None if angles is None else _waves(angles, n)
    if found is None or found[0] is not x:
        return None
    _, w, c = found
    if c is None:
        return None
    arrays = {"w": w, "c": c, "v": product.w, "b": product.b}
    return Plan(layers.PBLDEmbedding, (d + 1, w.shape[1]), {}, arrays), x


def piecewise_linear(step: Step) -> Form | None:
    """[x, min(max((x - edge) / width, low), high)] @ [w, v] + b of each column x and each of its bins."""
    product = _product(step)
    if product is None or product.w.ndim != 3 or product.w.shape[1] < 2:
        return None
    n, bins = product.parts, product.w.shape[1] - 1
    index = [[j, *range(n + bins * j, n + bins * (j + 1))] for j in range(n)]
    x, parts = _side_by_side(product.x if n == 1 else _chosen_from(product.x, index))
    clipped, high = _with_constant(parts, "Min", n * bins)
    scaled, low = _with_constant(clipped, "Max", n * bins)
    moved, factor = _with_constant(scaled, "Mul", n * bins)
    each, offset = _with_constant(moved, "Add", n * bins)
    if each is None or low is None or high is None or factor is None or offset is None:
        return None
    if x is None or _repeated(each, n, bins) is not x:
        return None
    grid = _edges(*(one.reshape(n, bins) for one in (0 - offset, factor, low, high)))
    if grid is None:
        return None
    arrays = {"w": product.w[:, 0], "b": product.b, "v": product.w[:, 1:], "grid": grid}
    return Plan(layers.PiecewiseLinearEmbedding, (product.w.shape[2], bins), {}, arrays), x


def int8(step: Step) -> Form | None:
    """(q @ w) * scale + b, q = x * (1 / step) in 8-bit integers, of which `zero` stands for 0."""
    scaled, b = _with_constant(step, "Add", step.n)
    sums, scale = _with_constant(scaled, "Mul", step.n)
    product = _behind_shape(sums)
    if b is None or scale is None or product is None or product.op != "MatMulInteger" or len(product.inputs) != 3:
        return None
    rounded, w, zero = product.inputs
    if rounded.op != "QuantizeLinear" or len(rounded.inputs) != 3:
        return None
    steps, one, zero_again = rounded.inputs
    x, inverse = _with_constant(_behind_shape(steps), "Mul", 1)
    width = None if inverse is None else _step_of(inverse[0])
    if x is None or width is None or single(one) != 1 or w.dtype != np.int8 or len(w) > MOST_INPUTS:
        return None
    places = [own.reshape(()) for own in (zero, zero_again) if isinstance(own, np.ndarray) and own.size == 1]
    if [own.dtype for own in places] != [np.uint8, np.uint8] or places[0] != places[1]:
        return None
    if not (np.isfinite(scale).all() and np.isfinite(b).all()):
        return None
    at = int(places[0])
    arrays: dict[str, Any] = {
        "w": packed(w), "scale": scale, "correction": at * w.sum(axis=0, dtype=np.int64), "b": b, "step": width,
        "zero": np.array([float(at)]),
    }  # fmt: skip
    return Plan(layers.Int8Dense, (step.n,), {}, arrays), x


# -- what these are made of -------------------------------------------------------------------------------------------


def _behind_shape(step: Any) -> Step | None:
    """Return what only has another shape, or kind of numbers, in a step."""
    own = step.inputs[0] if isinstance(step, Step) and step.op == "Shaped" else step
    return own if isinstance(own, Step) else None


def _argument(step: Step | None, op: str) -> Step | None:
    """Return what an operator of one array reads."""
    return step.steps()[0] if step is not None and step.op == op else None


def _side_by_side(step: Any) -> tuple[Step | None, Step | None]:
    """Return the two that stand side by side."""
    is_two = isinstance(step, Step) and step.op == "Concat" and len(step.inputs) == 2
    return step.inputs if is_two else (None, None)


def _with_constant(step: Step | None, op: str, n: int) -> tuple[Step | None, Array | None]:
    """Return the step and the constant of so many numbers, none of them NaN, that an operator has as its two inputs."""
    if step is None or step.op != op or len(step.inputs) != 2 or len(step.shape) != 1:
        return None, None
    own, array = step.inputs[::-1] if isinstance(step.inputs[0], np.ndarray) else step.inputs
    if not isinstance(own, Step) or not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.size != n:
        return None, None
    return (None, None) if np.isnan(array).any() else (own, array.reshape(-1))


def _chosen_from(step: Step, index: Any) -> Step | None:
    """Return what a step chooses just these columns of."""
    if step.op != "Gather" or not isinstance(step.inputs[0], Step):
        return None
    found = columns_of(step.op, step.inputs, step.attributes, step.where)
    return step.inputs[0] if np.array_equal(found, np.ravel(index)) else None


def _repeated(step: Step, n: int, times: int) -> Step | None:
    """Return what a step has each of n columns of, so many times, one behind another; once is the step itself."""
    own = step if times == 1 else _chosen_from(step, np.repeat(np.arange(n), times))
    return own if own is not None and own.n == n else None


def _product(step: Any) -> _Product | None:
    """Return the product of parts, with biases, that a step is; of one part, a plain product."""
    found = _plain_product(step) if isinstance(step, Step) and step.op == "Gemm" else _product_of_parts(step)
    if found is None or not (np.isfinite(found.w).all() and np.isfinite(found.b).all()):
        return None
    return found


def _plain_product(step: Step) -> _Product | None:
    if len(step.inputs) != 3 or step.attributes:
        return None
    x, w, b = step.inputs
    if not isinstance(x, Step) or not isinstance(b, np.ndarray) or b.size != step.n:
        return None
    return _Product(x, w[None], b, 1)


def _product_of_parts(step: Any) -> _Product | None:
    added = _behind_shape(step)
    if added is None or added.op != "Add" or len(added.shape) != 2 or len(added.inputs) != 2:
        return None
    product, b = _behind_shape(added.inputs[0]), added.inputs[1]
    if product is None or product.op not in ("GroupedProduct", "SharedProduct") or not isinstance(b, np.ndarray):
        return None
    is_shared = product.op == "SharedProduct"
    each, w = product.inputs
    x = _behind_shape(each if is_shared else each.inputs[0])
    if x is None or b.size != (added.shape[1] if is_shared else added.n):
        return None
    return _Product(x, w, b, added.shape[0])


def _waves(angles: Step, n: int) -> tuple[Step, Array, Array | None] | None:
    """Return x, w and c of 2 pi x w + c, which has as many numbers for each of n columns of x."""
    c: Array | None = None
    turned: Step | None = angles
    if angles.op == "Add":
        turned, c = _with_constant(angles, "Add", angles.n)
    turns, full = _with_constant(turned, "Mul", angles.n)
    each, w = _with_constant(turns, "Mul", angles.n)
    if each is None or w is None or full is None or (full != full.dtype.type(2 * pi)).any():
        return None
    if not np.isfinite(w).all() or (c is not None and not np.isfinite(c).all()):
        return None
    k = angles.n // n
    x = _repeated(each, n, k)
    return None if x is None else (x, w.reshape(n, k), None if c is None else c.reshape(n, k))


def _edges(begin: Array, factor: Array, low: Array, high: Array) -> Array | None:
    """Return the edges of bins that are written so; None for what is no bins.

    A column with fewer bins has its last edge where the next bin would begin; of one with all, it is where the factor
    of the last says. Several numbers may make the same factor.
    """
    dtype, (n, bins) = begin.dtype, begin.shape
    grid = np.full((n, bins + 1), np.inf, dtype)
    for j in np.flatnonzero(np.isinf(high).any(axis=1)):
        last = int(np.isinf(high[j]).argmax()) + 1
        grid[j, : min(last + 1, bins)] = begin[j, : last + 1]
        if last == bins:
            end = np.asarray(float(begin[j, -1]) + 1 / np.float64(factor[j, -1]), dtype)
            near = np.array([end, np.nextafter(end, -np.inf, dtype=dtype), np.nextafter(end, np.inf, dtype=dtype)])
            misses = np.abs(1 / np.float64(near - begin[j, -1]) - factor[j, -1])
            grid[j, last] = near[np.nanargmin(misses)]
    if (np.diff(grid, axis=1) <= 0).any() or not np.isfinite(factor).all():
        return None
    expected = [np.asarray(one, dtype) for one in parts_of(grid, dtype)]
    is_close = np.abs(expected[1] - factor) <= 4 * np.finfo(dtype).eps * factor
    same = all(np.array_equal(expected[i], one) for i, one in ((0, begin), (2, low), (3, high)))
    return grid if same and is_close.all() else None


def _step_of(inverse: Any) -> Array | None:
    """Return a step whose inverse is this number, as double: any such one rounds inputs to the same bits."""
    zero, one = inverse.dtype.type(0), inverse.dtype.type(1)  # beside Python's numbers, NumPy 1 takes them for double
    middle = one / inverse
    for found in (middle, np.nextafter(middle, zero), np.nextafter(middle, middle + middle)):
        if 0 < found < np.inf and one / found == inverse:
            return np.array([found], np.float64)
    return None

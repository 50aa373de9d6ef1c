"""Layers that are told by how `to_onnx` writes them: of several operators, with a constant for each column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import layers
from fastnn.arena import Array
from fastnn.formats.onnx_embeddings import int8, pbld, piecewise_linear, plr
from fastnn.formats.onnx_plans import Plan
from fastnn.formats.onnx_steps import Step, single


def known_form(step: Step) -> tuple[Plan, Step] | None:
    """Return the layer that a step ends, and the step that it reads; None for other steps."""
    for form in _FORMS.get(step.op, ()):
        found = form(step)
        if found is not None:
            return found
    return None


def _read(step: Any, op: str) -> tuple[Any, Any]:
    """Return what a step reads, if it is of this operator: two inputs, of which the second may be None."""
    if not isinstance(step, Step) or step.op != op or not 1 <= len(step.inputs) <= 2:
        return None, None
    return step.inputs[0], step.inputs[1] if len(step.inputs) == 2 else None


def _sparsemax(step: Step) -> tuple[Plan, Step] | None:
    """max(z - tau, 0), z = x - max x, tau the largest of (the sum of the k largest z - 1) / k over all k."""
    shifted, zero = _read(step, "Max")
    z, tau = _read(shifted, "Sub")
    x, top = _read(z, "Sub")
    if single(zero) != 0 or not isinstance(x, Step) or len(x.shape) != 1 or _read(top, "ReduceMax")[0] is not x:
        return None
    shares, _ = _read(tau, "ReduceMax")
    total, k = _read(shares, "Div")
    summed, one = _read(total, "Sub")
    largest, axis = _read(summed, "CumSum")
    of, count = _read(largest, "TopK")
    n = x.n
    if of is not z or single(count) != n or single(one) != 1 or single(axis) not in (-1, 1):
        return None
    if not isinstance(k, np.ndarray) or k.size != n or not np.array_equal(k.reshape(-1), np.arange(1, n + 1)):
        return None
    is_other = any(summed.attributes.get(name, 0) for name in ("exclusive", "reverse"))
    is_other |= largest.attributes.get("axis", -1) not in (-1, 1)
    is_other |= not all(largest.attributes.get(name, 1) for name in ("largest", "sorted"))
    return None if is_other else (Plan(layers.Sparsemax), x)


def _filled(step: Step) -> tuple[Plan, Step] | None:
    """(x - center) * factor, and where x is NaN the replacement."""
    if len(step.inputs) != 3:
        return None
    condition, replacement, scaled = step.inputs
    centered, factor = _read(scaled, "Mul")
    x, offset = _read(centered, "Add")
    if not isinstance(x, Step) or len(x.shape) != 1 or _read(condition, "IsNaN")[0] is not x:
        return None
    found: list[Array] = []
    for array in (offset, factor, replacement):
        if not isinstance(array, np.ndarray) or array.size != x.n or array.dtype.kind != "f":
            return None
        found.append(array.reshape(-1))
    center, factor, replacement = 0 - found[0], found[1], found[2]
    if not all(np.isfinite(one).all() for one in (center, factor)) or np.isinf(replacement).any():
        raise step.fail("it holds NaN or infinity among offsets and factors, expected finite numbers")
    is_scaled = ~np.isnan(replacement) | (center != 0) | (factor != 1)
    own = {} if is_scaled.all() or not is_scaled.any() else {"columns": np.flatnonzero(is_scaled).tolist()}
    arrays = {"center": center, "factor": factor, "replacement": replacement, "rows": np.ones(1)}
    return Plan(layers.Normalization, (), {"missing": "center", **own}, arrays), x


_FORMS: dict[str, tuple[Callable[[Step], tuple[Plan, Step] | None], ...]] = {  # by the operators that they end in
    "Max": (_sparsemax,), "Where": (_filled,), "Relu": (plr,), "Gather": (pbld,), "Concat": (pbld,),
    "Gemm": (piecewise_linear,), "Add": (piecewise_linear, int8),
}  # fmt: skip

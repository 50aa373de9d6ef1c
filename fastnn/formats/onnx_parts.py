"""Products, maxima and means of parts of rows, in ONNX's operators: groups of columns, and members of ensembles.

Rows of n numbers are rows of k parts by a Reshape to (rows, k, n / k). A product with weights of each part is one
behind a Transpose to (k, rows, n / k), and a second one leads back: between the two nothing else may read the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import layers
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.onnx_plans import Plan
from fastnn.formats.onnx_steps import Step, axes_of, shaped

_REDUCED = {"ReduceMax": "PartsMax", "ReduceMean": "PartsMean"}


class Parts:
    """Tells which operators are of the parts of rows, and keeps in mind whose rows are turned: (k, rows, n)."""

    def __init__(self) -> None:
        self._turned: set[Step] = set()

    def step(self, op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], where: str) -> Step | None:
        """Return the step that an operator of parts is; None for other ones.

        Raises
        ------
        ModelFormatError
            For another operator of what is turned.
        """
        x = inputs[0]
        if self._turned and any(isinstance(one, Step) and one in self._turned for one in inputs):
            return self._of_turned(op, inputs, attributes, where)
        if not isinstance(x, Step) or len(x.shape) != 2:
            return None
        k, n = x.shape
        if op == "Transpose" and attributes.get("perm") == [1, 0, 2]:
            made = Step("Turned", (x,), {}, x.shape, where)
            self._turned.add(made)
            return made
        w = inputs[1] if op == "MatMul" and len(inputs) == 2 else None
        if isinstance(w, np.ndarray) and w.ndim == 2 and len(w) == n and w.size:
            return Step("SharedProduct", (x, w), {}, (k, w.shape[1]), where)
        is_over_parts = axes_of(inputs, attributes) in ([1], [-2]) and not attributes.get("keepdims", 1)
        if op in _REDUCED and is_over_parts:
            return Step(_REDUCED[op], (x,), {}, (n,), where)
        if op == "Softmax" and attributes.get("axis", -1) in (2, -1):
            return Step("PartsSoftmax", (x,), {}, x.shape, where)
        return None

    def _of_turned(self, op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], where: str) -> Step:
        x, w = (*inputs, None)[:2]
        if isinstance(x, Step) and x in self._turned:
            if op == "Transpose" and attributes.get("perm") == [1, 0, 2]:
                return shaped(x, x.shape, where)
            if op == "MatMul" and isinstance(w, np.ndarray) and w.ndim == 3 and w.shape[:2] == x.shape and w.size:
                made = Step("GroupedProduct", (x, w), {}, (len(w), w.shape[2]), where)
                self._turned.add(made)
                return made
        raise ModelFormatError(
            f"{where}: of rows of parts that are turned, expected a product with weights of each part"
        )

    def require_rows(self, y: Step) -> None:
        """Raise ModelFormatError where an output is turned."""
        if y in self._turned:
            raise y.fail("what it makes is turned, and no rows")


def numbers_behind(step: Step) -> int:
    """Return how many numbers of a file a step reads, which its layer will hold: of a maximum those of the product."""
    total = sum(one.size for one in step.inputs if isinstance(one, np.ndarray))
    of = step.inputs[0]
    while step.op == "PartsMax" and isinstance(of, Step) and of.op in ("Shaped", "Add", "Gemm", "MatMul"):
        total += sum(one.size for one in of.inputs if isinstance(one, np.ndarray))
        if of.op in ("Gemm", "MatMul"):
            break
        is_sum = of.op == "Add"
        of = of.steps()[0]
        if is_sum and of.op not in ("Gemm", "MatMul"):
            break
    return total


def _source(step: Step, *ops: str) -> Step:
    """Return what only has another shape in a step, and is of one of these operators if any are given."""
    own: Step = step.inputs[0]
    own = own.inputs[0] if own.op == "Shaped" else own
    if ops and own.op not in ops:
        raise step.fail(f"parts of what {own.op} makes, expected those of {' or '.join(ops)}")
    return own


def grouped_product(step: Step) -> tuple[Plan, Step]:
    """Return the products of the parts of rows, each with weights of its own."""
    (k, n), w = step.shape, step.inputs[1]
    return Plan(layers.GroupedDense, (n, k), {"bias": False}, {"w": w}), _source(step, "Turned").inputs[0]


def shared_product(step: Step) -> tuple[Plan, Step]:
    """Return the product of all parts with the same weights, behind factors of each: one of an ensemble's members."""
    (k, n), w = step.shape, step.inputs[1]
    scale = _source(step, "Mul")
    factors = [one for one in scale.inputs if isinstance(one, np.ndarray)]
    if len(factors) != 1 or factors[0].size != scale.n or factors[0].dtype.kind != "f":
        raise step.fail("parts of other rows than those with a factor for each column, as an ensemble's members have")
    arrays = {"w": w, "r": factors[0].reshape(k, -1)}
    return Plan(layers.BatchEnsemble, (n, k), {"bias": False}, arrays), scale.steps()[0]


def largest(step: Step) -> tuple[Plan, Step]:
    """Return the largest of linear pieces."""
    k, n = step.inputs[0].shape
    arrays: dict[str, Any] = {}  # biases that are added
    product = _source(step, "Gemm", "MatMul", "Add")
    if product.op == "Add":
        constants = [one for one in product.inputs if isinstance(one, np.ndarray)]
        if len(constants) != 1 or constants[0].size != product.n:
            raise step.fail("parts of a sum, expected those of a product, or of one and its biases")
        arrays["b"], product = constants[0].reshape(-1), product.steps()[0]
    if product.op not in ("Gemm", "MatMul"):
        raise step.fail(f"parts of what {product.op} makes, expected those of a product")
    return Plan(layers.Maxout, (n, k), {}, arrays), product


def mean(step: Step) -> tuple[Plan, Step]:
    """Return the mean of members, or that of their probabilities."""
    k, of = step.inputs[0].shape[0], _source(step)
    if of.op == "PartsSoftmax" and of.shape == step.inputs[0].shape:
        return Plan(layers.MeanOfMembers, (k, "softmax")), of.inputs[0]
    return Plan(layers.MeanOfMembers, (k,)), step.inputs[0]


def probabilities(step: Step) -> list[Plan]:
    """Raise ModelFormatError for a softmax of parts that stands alone."""
    raise step.fail(f"a softmax of parts of shape {step.shape}, expected the mean over the first axis behind it")


def taken(last: Plan, plan: Plan) -> bool:
    """Take factors and biases behind a product of parts, or a sigmoid before a mean, into it, and return whether."""
    if last.kind is layers.Sigmoid and plan.kind is layers.MeanOfMembers and len(plan.given) == 1:
        last.kind, last.given = plan.kind, (*plan.given, "sigmoid")
        return True
    is_ensemble = last.kind is layers.BatchEnsemble
    if not (is_ensemble or last.kind is layers.GroupedDense) or plan.options.get("trainable") is False:
        return False
    units, k = last.given
    if plan.kind is layers.Bias and "b" not in last.arrays:
        last.options, last.arrays = {}, {**last.arrays, "b": plan.arrays["b"].reshape(k, units)}
        return True
    if is_ensemble and plan.kind is layers.Scale and not last.arrays.keys() & {"b", "s"}:
        last.arrays = {**last.arrays, "s": plan.arrays["s"].reshape(k, units)}
        return True
    return False


def all_columns_again(index: Sequence[int], n: int) -> int:
    """Return how many times all of n columns are chosen, one after another; 0 for another choice."""
    times, rest = divmod(len(index), n)
    return times if times > 1 and not rest and [*index] == [*range(n)] * times else 0

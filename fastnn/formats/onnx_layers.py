"""Which layers ONNX's operators are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastnn import kernels, layers
from fastnn.arena import Array
from fastnn.formats.onnx_codes import behind_columns, embedding, of_no_layer, one_hot, side_by_side
from fastnn.formats.onnx_parts import (
    all_columns_again,
    grouped_product,
    largest,
    mean,
    probabilities,
    shared_product,
    taken,
)
from fastnn.formats.onnx_plans import Merge, Plan
from fastnn.formats.onnx_steps import Step, columns_of
from fastnn.layers.activation import Activation

_NO_BOUNDS = (float("inf"), float(np.finfo(np.float32).max), float(np.finfo(np.float64).max))
_FUSING = (layers.Dense, layers.Int8Dense, layers.BatchEnsemble)
_GATES = {layers.Sigmoid: layers.GLU, layers.SiLU: layers.SwiGLU, layers.GELU: layers.GEGLU, layers.ReLU: layers.ReGLU}


def ahead(order: Iterable[Step], inputs: Callable[[Step], Sequence[Step]] = Step.steps) -> dict[Step, Step | None]:
    """Return of each step the nearest one that all it reads follows from: its dominator (Cooper, Harvey & Kennedy).

    From step to dominator they are a tree, in which each has a link far ahead, so that the first in common of two is
    found in a logarithm of its depth (Myers 1983).
    """
    found: dict[Step, Step | None] = {}
    depth: dict[Step, int] = {}
    far: dict[Step, Step] = {}

    def raised(one: Step, to: int) -> Step:
        while depth[one] > to:
            ahead = found[one]
            assert ahead is not None
            one = far[one] if depth[far[one]] >= to else ahead
        return one

    def first_in_common(one: Step, other: Step) -> Step:
        least = min(depth[one], depth[other])
        one, other = raised(one, least), raised(other, least)
        while one is not other:
            if far[one] is not far[other]:
                one, other = far[one], far[other]
            else:
                own, its = found[one], found[other]
                assert own is not None
                assert its is not None
                one, other = own, its
        return one

    for step in order:
        read = [*dict.fromkeys(inputs(step))]
        common = read[0] if read else None
        for other in read[1:]:
            assert common is not None
            common = first_in_common(common, other)
        found[step] = common
        if common is None:
            depth[step], far[step] = 0, step
        else:
            middle = far[common]
            is_even = depth[common] - depth[middle] == depth[middle] - depth[far[middle]]
            depth[step], far[step] = depth[common] + 1, far[middle] if is_even else common
    return found


# -- one operator -----------------------------------------------------------------------------------------------------


def layer_of(step: Step) -> Merge:
    """Return what an operator is.

    Raises
    ------
    ModelFormatError
        Where it is no layer, or with attributes that no layer has.
    """
    maker = _MAKERS.get(step.op)
    if maker is None:
        raise step.fail(f"operator {step.op} is not understood: no layer is that")
    for name, value in step.attributes.items():
        if isinstance(value, float) and step.op != "Clip" and not np.isfinite(value):
            raise step.fail(f"its {name} is {value}, expected a finite number")
    made, source = maker(step), None
    if isinstance(made, Merge):
        return made
    if isinstance(made, tuple):  # of what stands before the step that it reads
        made, source = [made[0]], made[1]
    for plan in made:
        try:
            if plan.rows is None:
                plan.kind(*plan.given, **plan.options)
        except ValueError as error:
            raise step.fail(str(error)) from None
        for name, array in plan.arrays.items():
            if not np.isfinite(array).all():
                raise step.fail(
                    f"its array for {name} of {plan.kind.__name__} holds NaN or infinity, expected finite numbers"
                )
    steps = step.steps() if source is None else [source]
    if len(steps) != 1:
        raise step.fail("expected one array of rows, and constants")
    return Merge((steps[0],), None, lambda: [Plan(plan.kind, plan.given, plan.options, plan.arrays) for plan in made])


def _constant(step: Step, i: int, default: Any = None) -> Array:
    """Return an input that has to be constant."""
    value = step.inputs[i] if i < len(step.inputs) and step.inputs[i] is not None else default
    if not isinstance(value, np.ndarray):
        raise step.fail(f"its input {i} is expected to be constant")
    return value


def _per_column(step: Step, array: Array) -> Array:
    """Return an array as one number for each column."""
    rows = array.shape[:-1] if array.ndim else ()
    if any(size != 1 for size in rows) or array.size not in (1, step.shape[-1]) or len(step.shape) != 1:
        raise step.fail(f"an array of shape {array.shape} beside rows of shape {step.shape}")
    return np.array(np.broadcast_to(array.reshape(-1), step.shape))


def _per_number(step: Step, array: Array) -> Array:
    """Return an array as one number for each of a row, which may be one of parts."""
    if np.broadcast_shapes((1, *step.shape), array.shape) != (1, *step.shape):
        raise step.fail(f"an array of shape {array.shape} beside rows of shape {step.shape}")
    return np.array(np.broadcast_to(array, (1, *step.shape)).reshape(-1))


def _scale(step: Step, factor: Array) -> Plan:
    """A single number is fixed: it belongs to a formula."""
    options = {"trainable": False} if factor.size == 1 and step.n > 1 else {}
    return Plan(layers.Scale, (), options, {"s": _per_number(step, factor)})


def _bias(step: Step, offset: Array) -> Plan:
    options = {"trainable": False} if offset.size == 1 and step.n > 1 else {}
    return Plan(layers.Bias, (), options, {"b": _per_number(step, offset)})


def _same_shape(step: Step) -> None:
    if any(one.shape != step.shape for one in step.steps()):
        raise step.fail(f"rows of shapes {[one.shape for one in step.steps()]} make rows of shape {step.shape}")


def _arithmetic(step: Step) -> Any:
    _same_shape(step)
    constants = [one for one in step.inputs if isinstance(one, np.ndarray)]
    minus = np.array([-1.0])
    if not constants and len(step.inputs) > 1:
        if step.op in ("Add", "Sum"):
            return Merge(tuple(step.steps()), _join_sum, list)
        if step.op == "Sub":
            return Merge(tuple(step.steps()), _join_difference, list)
        if step.op == "Mul":
            return Merge(tuple(step.steps()), _join_product, list)
    if len(step.inputs) == 2 and len(constants) == 1 and constants[0].dtype.kind == "f":
        c, is_first = constants[0], isinstance(step.inputs[0], np.ndarray)
        if step.op in ("Add", "Sum"):
            return [_bias(step, c)]
        if step.op == "Sub":
            return [_scale(step, minus), _bias(step, c)] if is_first else [_bias(step, -c)]
        if step.op == "Mul":
            return [_scale(step, c)]
        if not is_first and (c != 0).all():
            return [_scale(step, 1 / c)]
    raise step.fail(f"operator {step.op} of these inputs is not understood")


def _gemm(step: Step) -> list[Plan]:
    w = _constant(step, 1)
    if step.op == "MatMul":
        return [Plan(layers.Dense, (step.n,), {"bias": False}, {"w": w})]
    alpha, beta = step.attributes.get("alpha", 1.0), step.attributes.get("beta", 1.0)
    arrays = {"w": alpha * (w.T if step.attributes.get("transB") else w)}
    if len(step.inputs) > 2 and step.inputs[2] is not None:
        arrays["b"] = beta * _per_column(step, _constant(step, 2))
    return [Plan(layers.Dense, (step.n,), {} if "b" in arrays else {"bias": False}, arrays)]


def _activation(kind: type, *names: str, **defaults: float) -> Callable[[Step], list[Plan]]:
    def make(step: Step) -> list[Plan]:
        return [Plan(kind, tuple(step.attributes.get(name, defaults[name]) for name in names))]

    return make


def _of_rows(kind: type) -> Callable[[Step], list[Plan]]:
    def make(step: Step) -> list[Plan]:
        if step.attributes.get("axis", -1) not in (1, -1) or len(step.shape) != 1:
            raise step.fail(f"axis {step.attributes.get('axis')} of rows of shape {step.shape}, expected -1")
        return [Plan(kind)]

    return make


def _clip(step: Step) -> list[Plan]:
    bounds = []
    for i, name in ((1, "min"), (2, "max")):
        value = step.inputs[i] if len(step.inputs) > i else step.attributes.get(name)
        if value is not None and np.size(value) != 1:
            raise step.fail("its bounds are expected to be single numbers")
        if isinstance(value, Step):
            raise step.fail("its bounds are expected to be constant")
        bounds.append(None if value is None else float(np.reshape(value, ())))
    if any(bound is not None and np.isnan(bound) for bound in bounds):
        raise step.fail("a bound is NaN, expected a number")
    low, high = (None if bound is None or abs(bound) in _NO_BOUNDS else bound for bound in bounds)
    if low is None and high is None:
        return []
    if low == 0 and high is None:
        return [Plan(layers.ReLU)]
    if low is not None and high is not None and low >= high:
        raise step.fail(f"its bounds are {low} and {high}, expected the first to be below the second")
    if (low, high) == (0, 6):
        return [Plan(layers.ReLU6)]
    if low is None or high is None:
        raise step.fail("one bound alone is not understood, but for ReLU")
    return [Plan(layers.HardTanh, (low, high))]


def _selu(step: Step) -> list[Plan]:
    alpha, gamma = step.attributes.get("alpha", 1.6732632), step.attributes.get("gamma", 1.0507010)
    if abs(alpha - 1.6732632423543772) < 1e-6 and abs(gamma - 1.0507009873554805) < 1e-6:
        return [Plan(layers.SELU)]
    return [Plan(layers.ELU, (alpha,)), _scale(step, np.array([gamma]))]


def _gelu(step: Step) -> list[Plan]:
    form = step.attributes.get("approximate", b"none")
    if form not in (b"none", b"tanh"):
        raise step.fail(f"approximate is {form!r}, expected 'none' or 'tanh'")
    return [Plan(layers.GELU, () if form == b"none" else ("tanh",))]


def _shrink(step: Step) -> list[Plan]:
    lambd, bias = step.attributes.get("lambd", 0.5), step.attributes.get("bias", 0.0)
    if bias not in (0, lambd):
        raise step.fail(f"bias is {bias}, expected 0, or {lambd}, that of lambd")
    return [Plan(layers.SoftShrink if bias else layers.HardShrink, (lambd,))]


def _prelu(step: Step) -> list[Plan]:
    slope = _constant(step, 1)
    if slope.size == 1:
        return [Plan(layers.PReLU, (), {}, {"alpha": slope.reshape(1)})]
    return [Plan(layers.PReLU, (True,), {}, {"alpha": _per_column(step, slope)})]


def _batch_norm(step: Step) -> list[Plan]:
    if step.attributes.get("training_mode"):
        raise step.fail("it is in training mode: export the model in eval mode")
    names = ("scale", "shift", "mean", "variance")
    arrays = {name: _per_column(step, _constant(step, 1 + i)) for i, name in enumerate(names)}
    eps = float(step.attributes.get("epsilon", 1e-5))
    if (arrays["variance"] < 0).any() or not (arrays["variance"] + eps > 0).all():
        raise step.fail(f"the smallest variance is {arrays['variance'].min()}, expected 0 or above (epsilon is {eps})")
    momentum = float(np.clip(1 - step.attributes.get("momentum", 0.9), 0, 1))
    return [Plan(layers.BatchNorm, (momentum, eps), {}, arrays)]


def _layer_norm(step: Step) -> list[Plan]:
    if step.attributes.get("axis", -1) not in (1, -1):
        raise step.fail(f"axis is {step.attributes.get('axis')}, expected -1")
    arrays = {"scale": _per_column(step, _constant(step, 1))}
    is_rms = step.op == "RMSNormalization"
    if not is_rms:
        arrays["shift"] = _per_column(step, _constant(step, 2, np.zeros(1)))
    kind = layers.RMSNorm if is_rms else layers.LayerNorm
    return [Plan(kind, (float(step.attributes.get("epsilon", 1e-5)),), {}, arrays)]


def _scaler(step: Step) -> list[Plan]:
    """skl2onnx's: (x - offset) * scale."""
    center, factor = (
        np.asarray(step.attributes.get(name, [d]), np.float64) for name, d in (("offset", 0.0), ("scale", 1.0))
    )
    arrays = {"center": _per_column(step, center), "factor": _per_column(step, factor), "rows": np.ones(1)}
    return [Plan(layers.Normalization, (), {}, arrays)]


def _gather(step: Step) -> Any:
    if isinstance(step.inputs[0], Step):
        index = columns_of(step.op, step.inputs, step.attributes, step.where)
        return _chosen(index, step.inputs[0].n)
    return embedding(step)


def _columns(step: Step) -> list[Plan]:
    return _chosen(step.inputs[1].tolist(), step.inputs[0].n)


def _chosen(index: Sequence[int], n: int) -> list[Plan]:
    times = all_columns_again(index, n)
    return [Plan(layers.Members, (times,)) if times else Plan(layers.Columns, tuple(index))]


def _maxout(step: Step) -> tuple[Plan, Step]:
    plan, product = largest(step)
    (dense,) = layer_of(product).plans()
    arrays = {"w": dense.arrays["w"]}
    biases = [own["b"] for own in (plan.arrays, dense.arrays) if "b" in own]
    if biases:
        arrays["b"] = np.sum(biases, axis=0)
    return Plan(plan.kind, plan.given, {} if "b" in arrays else {"bias": False}, arrays), product.steps()[0]


_MAKERS: dict[str, Callable[[Step], Any]] = {
    "Add": _arithmetic, "Sum": _arithmetic, "Sub": _arithmetic, "Mul": _arithmetic, "Div": _arithmetic,
    "Neg": lambda step: [_scale(step, np.array([-1.0]))],
    "Gemm": _gemm, "MatMul": _gemm,
    "Shaped": lambda step: [],
    "Concat": lambda step: Merge(tuple(step.steps()), _join_columns, list),
    "Gather": _gather, "Slice": _gather, "ArrayFeatureExtractor": _gather, "Columns": _columns,
    "Cast": one_hot, "Code": of_no_layer, "Turned": lambda step: [],
    "GroupedProduct": grouped_product, "SharedProduct": shared_product, "PartsMax": _maxout, "PartsMean": mean,
    "PartsSoftmax": probabilities,
    "BatchNormalization": _batch_norm, "LayerNormalization": _layer_norm, "RMSNormalization": _layer_norm,
    "Scaler": _scaler,
    "Relu": _activation(layers.ReLU), "Sigmoid": _activation(layers.Sigmoid), "Tanh": _activation(layers.Tanh),
    "Exp": _activation(layers.Exponential), "Sin": _activation(layers.Sine), "Softplus": _activation(layers.Softplus),
    "Softsign": _activation(layers.Softsign), "HardSwish": _activation(layers.HardSwish),
    "Mish": _activation(layers.Mish), "Gelu": _gelu, "Selu": _selu, "Clip": _clip, "Shrink": _shrink,
    "LeakyRelu": _activation(layers.LeakyReLU, "alpha", alpha=0.01), "Elu": _activation(layers.ELU, "alpha", alpha=1.0),
    "Celu": _activation(layers.CELU, "alpha", alpha=1.0),
    "ThresholdedRelu": _activation(layers.Threshold, "alpha", alpha=1.0),
    "HardSigmoid": _activation(layers.HardSigmoid, "alpha", "beta", alpha=0.2, beta=0.5), "PRelu": _prelu,
    "Softmax": _of_rows(layers.Softmax), "LogSoftmax": _of_rows(layers.LogSoftmax),
}  # fmt: skip


# -- several in one ---------------------------------------------------------------------------------------------------


def _join_sum(rows: list[list[Plan]], step: Step, common: Step) -> list[Plan]:
    filled = [row for row in rows if row]
    if len(rows) == 2 and len(filled) == 1 and common.n == step.n:
        return [Plan(layers.Residual, rows=filled)]
    return [Plan(layers.Add, rows=rows)]


def _join_difference(rows: list[list[Plan]], step: Step, common: Step) -> list[Plan]:
    first, second = rows
    return _join_sum([first, [*second, _scale(step, np.array([-1.0]))]], step, common)


def _join_product(rows: list[list[Plan]], step: Step, common: Step) -> list[Plan]:
    """The second factor is the gate: the one that ends in an activation of gates."""
    if len(rows) != 2:
        raise step.fail("the product of more than two arrays is not understood")
    a, b = rows
    if a and a[-1].kind in _GATES and not a[-1].given and not (b and b[-1].kind in _GATES):
        a, b = b, a
    gate: type = layers.Bilinear
    if b and b[-1].kind in _GATES and not b[-1].given:
        gate, b = _GATES[b[-1].kind], b[:-1]
    return [*_join_columns([a, b], step, common), Plan(gate)]


def _join_columns(rows: list[list[Plan]], step: Step, common: Step) -> list[Plan]:
    coded = side_by_side(rows, common.n)
    if coded is not None:
        return [coded]
    index: list[int] = []
    for row in rows:
        if not row:
            index += range(common.n)
        elif len(row) == 1 and row[0].kind is layers.Columns:
            index += row[0].given
        else:
            return [Plan(layers.Parallel, rows=rows)]
    return [] if index == [*range(common.n)] else [Plan(layers.Columns, tuple(index))]


def polished(row: list[Plan], is_whole: bool = False) -> list[Plan]:
    """Return a row with what belongs together in one layer: biases, scales of normalizations, activations."""
    found: list[Plan] = []
    for plan in row:
        last = found[-1] if found else None
        if last is None or not _taken(last, plan):
            found.append(plan)
        if len(found) > 2 and _is_two_classes(*found[-3:]):
            dense = found[-3]
            w, b = dense.arrays["w"], dense.arrays.get("b", np.zeros(1))
            arrays = {"w": np.concatenate([0 * w, w], axis=1), "b": np.concatenate([0 * b, b])}
            found[-3:] = [Plan(layers.Dense, (2,), {}, arrays), Plan(layers.Softmax)]
    return _with_activations(found) if is_whole else found


def _taken(last: Plan, plan: Plan) -> bool:
    """Take what follows a layer into it, and return whether that could be done."""
    fixed = plan.options.get("trainable") is False
    if plan.kind is layers.Bias and not fixed:
        if last.kind is layers.Dense and not last.options.get("bias", True):
            last.options, last.arrays = {}, {**last.arrays, "b": plan.arrays["b"]}
            return True
        if last.kind is layers.LayerNorm and "shift" not in last.arrays:
            last.arrays = {**last.arrays, "shift": plan.arrays["b"]}
            return True
    if plan.kind is layers.Scale and not fixed and last.kind in (layers.LayerNorm, layers.RMSNorm) and not last.arrays:
        last.arrays = {"scale": plan.arrays["s"]}
        return True
    return taken(last, plan) or behind_columns(last, plan)


def _is_two_classes(dense: Plan, sigmoid: Plan, both: Plan) -> bool:
    """Whether p = sigmoid(x @ w + b) and 1 - p stand side by side, as skl2onnx writes two classes."""
    if (dense.kind, sigmoid.kind, both.kind) != (layers.Dense, layers.Sigmoid, layers.Parallel) or dense.given != (1,):
        return False
    assert both.rows is not None
    if len(both.rows) != 2 or both.rows[1] or [plan.kind for plan in both.rows[0]] != [layers.Scale, layers.Bias]:
        return False
    scale, bias = both.rows[0]
    return bool((scale.arrays["s"] == -1).all() and (bias.arrays["b"] == 1).all())


def _with_activations(row: list[Plan]) -> list[Plan]:
    """Return a row in which activations behind products are said in them."""
    found: list[Plan] = []
    for plan in row:
        plan.rows = None if plan.rows is None else [_with_activations(own) for own in plan.rows]
        last = found[-1] if found else None
        if last is not None and _has_room(last) and _is_activation(plan, last.kind is layers.BatchEnsemble):
            last.given = (*last.given, plan.kind(*plan.given))
        else:
            found.append(plan)
    return found


def _has_room(plan: Plan) -> bool:
    return plan.kind in _FUSING and len(plan.given) == 1 + (plan.kind is layers.BatchEnsemble)


def _is_activation(plan: Plan, is_each: bool) -> bool:
    """Whether a layer is an activation without parameters; of each column by itself, if asked for."""
    if not issubclass(plan.kind, Activation) or plan.arrays:
        return False
    return not is_each or kernels.float64.activations[plan.kind.kernel].elementwise

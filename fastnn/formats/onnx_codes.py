"""Columns of codes in ONNX's operators: embeddings and one-hot columns, with what stands for no code.

What is no code is told by Where(v >= 0 and v < n and v == Floor(v), v, n): a step `Code`, whose numbers are whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import layers
from fastnn.arena import Array
from fastnn.formats.onnx_plans import Plan
from fastnn.formats.onnx_steps import Step, single

_MOST_CONDITIONS = 3
_CODED = (layers.Embedding, layers.OneHot)


def code_of(inputs: Sequence[Any], where: str) -> Step | None:
    """Return the step that a Where is that leaves codes as they are, and makes n of all else; None for another one."""
    if len(inputs) != 3 or not isinstance(inputs[0], Step) or not isinstance(inputs[1], Step):
        return None
    condition, v, last = inputs
    n = single(last)
    if n is None or not 1 <= n < 2**24 or n != int(n):
        return None
    conditions: list[str | None] = []
    todo = [condition]
    while todo:
        one = todo.pop()
        if not isinstance(one, Step) or len(conditions) + len(todo) >= _MOST_CONDITIONS:
            return None
        if one.op == "And":
            todo += one.inputs
        else:
            conditions.append(_condition(one, v, n))
    if sorted(filter(None, conditions)) != ["below", "not below 0", "whole"]:
        return None
    return Step("Code", (v,), {"n": int(n)}, v.shape, where)


def _condition(step: Step, v: Step, n: float) -> str | None:
    """Return what a condition says of v."""
    if len(step.inputs) != 2:
        return None
    first, second = step.inputs
    if step.op == "Equal":
        whole = second if first is v else first
        is_floor = isinstance(whole, Step) and whole.op == "Floor" and whole.inputs[0] is v
        return "whole" if is_floor and (first is v or second is v) else None
    if first is v and step.op == "GreaterOrEqual" and single(second) == 0:
        return "not below 0"
    return "below" if first is v and step.op == "Less" and single(second) == n else None


def _source(step: Any) -> Any:
    """Return what only has another shape, or kind of numbers, in a step."""
    return step.inputs[0] if isinstance(step, Step) and step.op == "Shaped" else step


def _coded(kind: type, columns: dict[int, int], others: bool, own: dict[int, tuple[int, Array]] | bool) -> Plan:
    """Return a layer of codes: own are sizes and tables of embeddings, or whether there is a column for no code."""
    options: dict[str, Any] = {} if others else {"others": False}
    if isinstance(own, bool):
        return Plan(kind, (columns,), options | ({"unseen_column": True} if own else {}))
    sizes = {column: size for column, (size, _) in own.items()}
    of_all = {*sizes.values()}
    size = of_all.pop() if len(of_all) == 1 else sizes
    return Plan(kind, (columns, size), options, {f"table_{column}": table for column, (_, table) in own.items()})


def of_no_layer(step: Step) -> list[Plan]:
    """Raise ModelFormatError for codes that are read as numbers."""
    raise step.fail("codes that it makes are expected to choose rows of a table, or to be compared with all codes")


def embedding(step: Step) -> tuple[Plan, Step]:
    """Return the layer that the rows of a table are, chosen by codes, and the step that these are."""
    table, codes = step.inputs[0], step.inputs[1]
    if len(codes.shape) > 1 or not step.n or not len(table):
        raise step.fail(f"codes of shape {codes.shape} in a row, expected columns")
    code = _source(codes)
    if code.op == "Code":
        n = code.attributes["n"]
        if n >= len(table):
            raise step.fail(f"row {n} is that of what is no code, of a table of {len(table)} rows")
        table, codes = table[: n + 1], code.inputs[0]
    else:
        table = np.concatenate([table, np.zeros_like(table[:1])])  # of what is no code
    columns = range(step.inputs[1].n)
    made = dict.fromkeys(columns, (table.shape[1], table))
    return _coded(layers.Embedding, dict.fromkeys(columns, len(table) - 1), True, made), codes


def one_hot(step: Step) -> tuple[Plan, Step]:
    """Return the layer that a code is which is compared with all that there are, and the step that it is."""
    truth = step.inputs[0]
    code, all_codes = (*truth.inputs, None, None)[:2] if truth.op == "Equal" else (None, None)
    code = _source(code)
    if not isinstance(code, Step) or code.op != "Code" or code.n != 1 or not isinstance(all_codes, np.ndarray):
        raise step.fail("numbers of conditions are not understood, but for those that compare a code with all codes")
    n, width = code.attributes["n"], step.n
    if width not in (n, n + 1) or step.shape != (width,) or not np.array_equal(all_codes.reshape(-1), np.arange(width)):
        raise step.fail(f"a code below {n} is compared with others than 0, 1 ... {n - 1}")
    return _coded(layers.OneHot, {0: n}, True, width > n), code.inputs[0]


def behind_columns(last: Plan, plan: Plan) -> bool:
    """Say of one column of codes behind chosen columns which one it is, and return whether that could be done."""
    if last.kind is not layers.Columns or plan.kind not in _CODED or len(plan.given[0]) != 1:
        return False
    if plan.options.get("others", True) and len(last.given) != 1:
        return False
    (column,) = plan.given[0]
    made = _moved(plan, last.given[column])
    last.kind, last.given, last.options, last.arrays = made.kind, made.given, made.options, made.arrays
    return True


def _moved(plan: Plan, column: int) -> Plan:
    (n,) = plan.given[0].values()
    own: Any = plan.options.get("unseen_column", False)
    if plan.kind is layers.Embedding:
        (table,) = plan.arrays.values()
        own = {column: (table.shape[1], table)}
    return _coded(plan.kind, {column: n}, False, own)


def side_by_side(rows: list[list[Plan]], n: int) -> Plan | None:
    """Return the one layer that several of codes are, with all other columns behind them; None where they are none.

    Parameters
    ----------
    rows : list of list of Plan
        What stands side by side.
    n : int
        How many columns all read.
    """
    if not all(len(row) == 1 for row in rows):
        return None
    plans = [row[0] for row in rows]
    rest = plans.pop() if plans[-1].kind is layers.Columns else None
    if not plans or any(plan.kind is not plans[0].kind or plan.kind not in _CODED for plan in plans):
        return None
    first, columns = plans[0], dict[int, int]()
    for plan in plans:
        if plan.options != first.options or plan.options.get("others", True):
            return None
        columns |= plan.given[0]
    if len(columns) != sum(len(plan.given[0]) for plan in plans):
        return None
    if rest is not None and len(rest.given) + len(columns) != n:
        return None
    if rest is not None and [*rest.given] != [i for i in range(n) if i not in columns]:
        return None
    others = rest is not None or len(columns) == n
    own: Any = first.options.get("unseen_column", False)
    if first.kind is layers.Embedding:
        tables: dict[str, Array] = {}
        for plan in plans:
            tables |= plan.arrays
        own = {column: (tables[f"table_{column}"].shape[1], tables[f"table_{column}"]) for column in columns}
    return _coded(first.kind, columns, others, own)

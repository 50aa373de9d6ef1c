"""Models in files as commands use them: estimators for tables, and nets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn.cli.errors import CommandError
from fastnn.cli.files import Block, Source
from fastnn.model import Model


def load(path: str) -> Any:
    """Return the model of a file.

    Raises
    ------
    ModelFormatError
        Where it is no model file.
    OSError
        Where it cannot be read.
    """
    import fastnn

    return fastnn.load(path)


def inputs(model: Any, source: Source, target: str | None = None) -> Iterator[tuple[Block, Any]]:
    """Yield blocks of a table, and what of them the model reads.

    A model without names of columns reads all of them, in their order, but for that of the target.

    Raises
    ------
    CommandError
        Where columns lack, or hold something else than when it was trained.
    """
    from fastnn.cli.kinds import of_plans, require_columns, values_of_plan

    if hasattr(model, "preprocessing_"):
        plans = model.preprocessing_.plans
        require_columns(source, [plan.name for plan in plans], "that the model was trained with")
        for block in source.blocks():
            yield block, of_plans(source, block, plans)
        return
    categories: dict[int, Any] = {}
    if isinstance(model, Model):
        names, n = list(model.feature_names or ()), model.n_in
    else:  # columns are put in order here, and arrays have no names
        names, n = [*vars(model).pop("feature_names_in_", ())], model.n_features_in_
        if hasattr(model, "_categories"):
            categories = model._categories.plans
    if names:
        require_columns(source, names, "that the model was trained with")
    names = names or [name for name in source.names if name != target]
    if len(names) != n:
        raise CommandError(
            f"{source.path} has {len(names)} columns, expected {n}: the model was trained without names, so all "
            f"columns are its inputs, in their order{'' if target is None else ', but for the target'}"
        )
    places = [source.names.index(name) for name in names]
    for block in source.blocks():
        columns = [
            values_of_plan(source, block, at, categories[i]) if i in categories else _numbers(source, block, at)
            for i, at in enumerate(places)
        ]
        yield block, np.stack(columns, axis=1)


def _numbers(source: Source, block: Block, i: int) -> Any:
    from fastnn.cli.kinds import number_in, read_all, typed

    values, where = block.columns[i], f"{source.path}: column {source.names[i]!r}"
    if not block.text:
        column = typed([values], where)
        if column.kind not in ("number", "empty"):
            raise CommandError(f"{where} holds no numbers, which the model needs")
        return column.numbers
    return np.array(read_all(number_in, [text.strip() for text in values], block, where, "a number"))

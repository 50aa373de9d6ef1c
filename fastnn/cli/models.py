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


def inputs(model: Any, source: Source) -> Iterator[tuple[Block, Any]]:
    """Yield blocks of a table, and what of them the model reads.

    Raises
    ------
    CommandError
        Where columns lack, or hold something else than when it was trained.
    """
    from fastnn.cli.kinds import of_plans, require_columns

    if not isinstance(model, Model):
        plans = model.preprocessing_.plans
        require_columns(source, [plan.name for plan in plans], "that the model was trained with")
        for block in source.blocks():
            yield block, of_plans(source, block, plans)
        return
    names = list(model.feature_names or ())
    if names:
        require_columns(source, names, "that the net was trained with")
    elif len(source.names) != model.n_in:
        raise CommandError(
            f"{source.path} has {len(source.names)} columns, expected {model.n_in}: the net was trained without names, "
            "so all columns are its inputs, in their order"
        )
    places = [source.names.index(name) for name in names] or range(len(source.names))
    for block in source.blocks():
        yield block, np.stack([_numbers(source, block, i) for i in places], axis=1)


def _numbers(source: Source, block: Block, i: int) -> Any:
    from fastnn.cli.kinds import number_in, read_all, typed

    values, where = block.columns[i], f"{source.path}: column {source.names[i]!r}"
    if not block.text:
        column = typed([values], where)
        if column.kind not in ("number", "empty"):
            raise CommandError(f"{where} holds no numbers, which a net needs")
        return column.numbers
    return np.array(read_all(number_in, [text.strip() for text in values], block, where, "a number"))

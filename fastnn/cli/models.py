"""Models in files as commands use them: estimators for tables, and nets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn.cli.errors import CommandError, told
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


Answers = Callable[[Any], Any]


def answers(model: Any, source: Source, of: Answers, target: str | None = None) -> Iterator[tuple[Block, Any]]:
    """Yield blocks of a table, and what `of` makes of their columns that the model reads.

    A model without names of columns reads all of them, in their order, but for that of the target.

    Raises
    ------
    CommandError
        Where columns lack, or hold something else than when it was trained.
    """
    read, _ = _reader(model, source, target)
    for block in source.blocks():
        x = read(block)
        with told(f"{source.path}, from {block.place(0)} on: "):
            found = of(x)
        yield block, found


def example(model: Any, source: Source, of: Answers) -> Any:
    """Return what `of` makes of a row that the model can read, for what a table without rows does not show.

    Raises
    ------
    CommandError
        Where columns lack.
    """
    read, texts = _reader(model, source, None)
    with told(f"{source.path}: "):
        return of(read(Block([[text] for text in texts], True, None, 0)))


def _reader(model: Any, source: Source, target: str | None) -> tuple[Callable[[Block], Any], list[str]]:
    """Return what makes inputs of a block, and the texts of a row that can be read."""
    from fastnn.cli.kinds import of_plans, require_columns, values_of_plan

    if hasattr(model, "preprocessing_"):
        plans = model.preprocessing_.plans
        require_columns(source, [plan.name for plan in plans], "that the model was trained with")
        return lambda block: of_plans(source, block, plans), [""] * len(source.names)
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

    def read(block: Block) -> Any:
        columns = [
            values_of_plan(source, block, at, categories[i]) if i in categories else _numbers(source, block, at)
            for i, at in enumerate(places)
        ]
        return np.stack(columns, axis=1)

    texts = ["0"] * len(source.names)
    for i, plan in categories.items():
        texts[places[i]] = str(plan.values[0]) if plan.values else ""
    return read, texts


def _numbers(source: Source, block: Block, i: int) -> Any:
    from fastnn.cli.kinds import number_in, read_all, require_no_text, typed

    values, where = block.columns[i], f"{source.path}: column {source.names[i]!r}"
    if not block.text:
        column = typed([values], where)
        require_no_text(column, "number", values, block, where)
        if column.kind not in ("number", "empty"):
            raise CommandError(f"{where} holds no numbers, which the model needs")
        return column.numbers
    return np.array(read_all(number_in, [text.strip() for text in values], block, where, "a number"))

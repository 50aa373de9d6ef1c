"""``fastnn evaluate``: how good a model is on a table that has the right answers."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fastnn.checks import number_of
from fastnn.cli import files, models
from fastnn.cli.errors import DONE, CommandError, told
from fastnn.cli.kinds import Found, require_columns, typed
from fastnn.markup import text_table
from fastnn.model import Model

EXAMPLE = """example:
  fastnn evaluate houses.fastnn sold.csv
  fastnn evaluate houses.fastnn sold.csv --target price_2025"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", help="a file that fastnn train has written")
    parser.add_argument("data", help="the table, with the target; - is standard input")
    parser.add_argument("--target", metavar="COLUMN", help="the column of right answers; that of the training")


def run(asked: argparse.Namespace) -> int:
    """Print the scores."""
    from fastnn.cli import report
    from fastnn.cli.targets import labels_like

    model = models.load(asked.model)
    if isinstance(model, Model):
        raise CommandError(
            f"{asked.model} holds a net, whose targets only you know: fastnn.load(path).evaluate(x, y) scores it"
        )
    name = asked.target or getattr(model, "target_name_", None)
    if name is None:
        raise CommandError(f"{asked.model} does not say which column was learnt: --target names it")
    sure = hasattr(model, "predict_proba")
    outputs, targets = list[Any](), list[Any]()
    with files.opened(asked.data, asked.format, asked.delimiter, asked.encoding) as source:
        require_columns(source, [name], "of the target")
        at = source.names.index(name)

        def of(x: Any) -> Any:
            if not outputs and np.ndim(model.predict(x)) > 1:
                raise CommandError(
                    f"{asked.model} predicts several numbers or labels for a row: fastnn.load(path).score(x, y) scores "
                    "it"
                )
            return model.predict_proba(x) if sure else model.predict(x)

        for block, found in models.answers(model, source, of, name):
            outputs.append(found)
            targets.append(block.columns[at])
            text = block.text
    if not outputs:
        raise CommandError(f"{source.path} has no rows")
    if text:
        column = Found([value for part in targets for value in part], lambda row: f"row {row}").column
    else:
        column = typed(targets, f"{source.path}: column {name!r}")
    found = np.concatenate(outputs)
    if hasattr(model, "classes_"):
        y = labels_like(model.classes_, column, f"{source.path}: the target {name!r}")
        known = np.flatnonzero(np.array([value is not None for value in y], bool))
        _require(known, name)
        labels = np.array(y[known].tolist(), model.classes_.dtype)
        if sure:
            scores = report.of_classes(labels, found[known], model.classes_)
        else:
            scores = {"accuracy": float(np.mean(found[known] == labels))}
    else:
        if column.kind != "number":
            raise CommandError(f"{source.path}: the target {name!r} holds no numbers")
        known = np.flatnonzero(~np.isnan(column.numbers))
        _require(known, name)
        with told(f"{source.path}: the target {name!r}: "):
            scores = report.of_numbers(column.numbers[known], found[known])
    print(f"{source.path}: {number_of(len(known), 'row')} with a target {name!r}")
    for line in text_table(["", "value"], [[what, f"{value:.4g}"] for what, value in scores.items()], 1):
        print(line)
    if sure:
        report.section(
            "how sure it was, and how often it was right",
            report.calibration(labels, found[known], model.classes_),
            print,
        )
    return DONE


def _require(known: Any, name: str) -> None:
    if not len(known):
        raise CommandError(f"the target {name!r} is missing in all rows")

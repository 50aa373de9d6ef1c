"""``fastnn predict``: a model and a table in, predictions out, in as much memory as some rows take."""

from __future__ import annotations

import argparse
from itertools import chain
from typing import Any

import numpy as np

from fastnn.cli import files, models
from fastnn.cli.errors import DONE, OptionError
from fastnn.cli.kinds import require_columns
from fastnn.cli.output import refuse_existing, require_written, rows_in, write
from fastnn.model import Model

EXAMPLE = """example:
  fastnn predict houses.fastnn new.csv -o prices.csv
  zcat huge.csv.gz | fastnn predict churn.fastnn - --probabilities --keep customer_id > churn.csv

Rows are read, predicted and written in blocks: a table may be larger than memory."""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", help="a file that fastnn train, or save, has written")
    parser.add_argument("data", help="the table; - is standard input")
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="CSV, TSV or JSON lines; standard output")
    parser.add_argument("--output-format", choices=("csv", "tsv", "jsonl"), help="where the name does not say it")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="COLUMN", help="copy a column, also the target; repeat it"
    )
    parser.add_argument("--probabilities", action="store_true", help="of all classes, too")
    parser.add_argument(
        "--interval", type=float, metavar="SHARE", help="bounds between which this share of targets lie"
    )


def run(asked: argparse.Namespace) -> int:
    """Predict, block by block."""
    if asked.interval is not None and not 0 < asked.interval < 1:
        raise OptionError(f"--interval is {asked.interval:g}, expected a share above 0 and below 1, such as 0.9")
    refuse_existing(asked.output, asked.force, asked.model, asked.data)
    require_written(asked.output, asked.output_format)
    model = models.load(asked.model)
    _require_answers(model, asked)
    with files.opened(asked.data, asked.format, asked.delimiter, asked.encoding) as source:
        require_columns(source, asked.keep, "that --keep names")
        kept = [source.names.index(name) for name in asked.keep]

        def of(x: Any) -> tuple[list[str], list[Any]]:
            return _predicted(model, x, asked)

        every = models.answers(model, source, of)
        first = next(every, None)  # which says what there is of each row
        names, _ = models.example(model, source, of) if first is None else first[1]
        names = [f"{name}: predicted" if name in asked.keep else name for name in names]  # beside the truth
        _require_apart([*asked.keep, *names], asked.keep)
        of_all = (
            [*(block.columns[i] for i in kept), *predicted]
            for block, (_, predicted) in chain([] if first is None else [first], every)
        )
        write(asked.output, rows_in(asked.output, asked.output_format, [*asked.keep, *names], of_all))
    return DONE


def _require_apart(written: list[str], kept: list[str]) -> None:
    """Raise OptionError where a column that is kept has the name of another one that is written."""
    for name in kept:
        if kept.count(name) > 1:
            raise OptionError(f"--keep {name!r} is given {kept.count(name)} times: once is enough")
        if written.count(name) > 1:
            raise OptionError(
                f"--keep {name!r}: predictions are written by this name, too: leave the option out, or rename the "
                "column in the table"
            )


def _require_answers(model: Any, asked: argparse.Namespace) -> None:
    """Raise OptionError where a model cannot say what is asked for."""
    if asked.interval is not None and not hasattr(model, "predict_interval"):
        raise OptionError("--interval: the model predicts no number with bounds")
    if not asked.probabilities:
        return
    if isinstance(model, Model):
        if model.class_names is None:
            raise OptionError("--probabilities: the net has no classes; what it predicts are its outputs")
    elif not hasattr(model, "classes_"):
        raise OptionError("--probabilities: the model predicts numbers, and has no classes")
    elif not hasattr(model, "predict_proba"):
        raise OptionError("--probabilities: the model predicts by margins, and has none")


def _predicted(model: Any, x: Any, asked: argparse.Namespace) -> tuple[list[str], list[Any]]:
    """Return what is written of these rows: the names of the columns, and the columns."""
    if isinstance(model, Model):
        return _of_net(model, x, asked.probabilities)
    target = getattr(model, "target_name_", None) or "prediction"
    probabilities = model.predict_proba(x) if asked.probabilities else None
    one = hasattr(model, "classes_") and hasattr(model, "preprocessing_")
    if one:  # predicted once
        p = model.predict_proba(x) if probabilities is None else probabilities
        found = model.classes_[p.argmax(axis=1)]
    else:
        found = np.asarray(model.predict(x))
    names, columns = _numbered(target, found)
    if probabilities is not None:
        several = isinstance(probabilities, list)
        each: Any = [("", probabilities, model.classes_)]
        if several:
            each = zip(names, probabilities, model.classes_, strict=True)
        for of, p, classes in each:
            names = [*names, *(f"probability of {label}{of and f' ({of})'}" for label in classes.tolist())]
            columns += list(p.T)
    if asked.interval is not None:
        for which, bound in zip(("lower", "upper"), model.predict_interval(x, asked.interval), strict=True):
            more, bounds = _numbered(target, bound)
            names, columns = [*names, *(f"{name}: {which}" for name in more)], [*columns, *bounds]
    return names, columns


def _numbered(name: str, found: Any) -> tuple[list[str], list[Any]]:
    """Return the columns of predictions, of which there may be several for a row, with their names."""
    if found.ndim == 1:
        return [name], [found]
    columns = found.reshape(len(found), -1).T
    return [f"{name} {i}" for i in range(len(columns))], list(columns)


def _of_net(model: Model, x: Any, probabilities: bool) -> tuple[list[str], list[Any]]:
    outputs = np.asarray(model.predict(x)).reshape(len(x), -1)
    if model.class_names is None:
        names = ["prediction"] if model.n_out == 1 else [f"output {i}" for i in range(model.n_out)]
        return names, list(outputs.T)
    classes = np.array(model.class_names, object)
    found = classes[outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)]
    more = [*map(str, model.class_names)] if probabilities else []
    return ["prediction", *more], [found, *(outputs.T if probabilities else ())]

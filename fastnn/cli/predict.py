"""``fastnn predict``: a model and a table in, predictions out, in as much memory as some rows take."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn.cli import files, models
from fastnn.cli.errors import DONE, CommandError, OptionError
from fastnn.cli.kinds import require_columns
from fastnn.cli.output import refuse_existing, rows_in, write
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
    parser.add_argument("--keep", action="append", default=[], metavar="COLUMN", help="copy a column; repeat it")
    parser.add_argument("--probabilities", action="store_true", help="of all classes, too")
    parser.add_argument(
        "--interval", type=float, metavar="SHARE", help="bounds between which this share of targets lie"
    )


def run(asked: argparse.Namespace) -> int:
    """Predict, block by block."""
    if asked.interval is not None and not 0 < asked.interval < 1:
        raise OptionError(f"--interval is {asked.interval:g}, expected a share above 0 and below 1, such as 0.9")
    refuse_existing(asked.output, asked.force, asked.model, asked.data)
    model = models.load(asked.model)
    names = _names(model, asked)
    with files.opened(asked.data, asked.format, asked.delimiter, asked.encoding) as source:
        require_columns(source, asked.keep, "that --keep names")
        kept = [source.names.index(name) for name in asked.keep]

        def blocks() -> Iterator[list[Any]]:
            for block, x in models.inputs(model, source):
                try:
                    predicted = _columns(model, x, asked)
                except ValueError as error:
                    raise CommandError(f"{source.path}, from {block.place(0)} on: {error}") from error
                yield [*(block.columns[i] for i in kept), *predicted]

        write(asked.output, rows_in(asked.output, asked.output_format, [*asked.keep, *names], blocks()))
    return DONE


def _names(model: Any, asked: argparse.Namespace) -> list[str]:
    """Return the names of the columns that are written."""
    classes = getattr(model, "classes_", None)
    if asked.interval is not None and (isinstance(model, Model) or classes is not None):
        raise OptionError("--interval: the model predicts no number with bounds")
    if isinstance(model, Model):
        if asked.probabilities and model.class_names is None:
            raise OptionError("--probabilities: the net has no classes; what it predicts are its outputs")
        if model.class_names is None:
            return ["prediction"] if model.n_out == 1 else [f"output {i}" for i in range(model.n_out)]
        return ["prediction", *(map(str, model.class_names) if asked.probabilities else ())]
    target = getattr(model, "target_name_", None) or "prediction"
    if classes is not None:
        return [target, *(f"probability of {label}" for label in (classes.tolist() if asked.probabilities else ()))]
    if asked.probabilities:
        raise OptionError("--probabilities: the model predicts numbers, and has no classes")
    return [target, *([] if asked.interval is None else [f"{target}: lower", f"{target}: upper"])]


def _columns(model: Any, x: Any, asked: argparse.Namespace) -> list[Any]:
    if isinstance(model, Model):
        outputs = np.asarray(model.predict(x)).reshape(len(x), -1)
        if model.class_names is None:
            return list(outputs.T)
        names = np.array(model.class_names, object)
        found = names[outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)]
        return [found, *(outputs.T if asked.probabilities else ())]
    if hasattr(model, "classes_"):
        p = model.predict_proba(x)
        return [model.classes_[p.argmax(axis=1)], *(p.T if asked.probabilities else ())]
    return [model.predict(x), *([] if asked.interval is None else model.predict_interval(x, asked.interval))]

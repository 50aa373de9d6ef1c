"""``fastnn train``: a table in, a report and a model file out."""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np

from fastnn.checks import number_of
from fastnn.cli import files
from fastnn.cli.errors import DONE, CommandError, OptionError, told
from fastnn.cli.output import drop_output, refuse_existing, show_size

EXAMPLE = """example:
  fastnn train houses.csv --target price
  fastnn train customers.csv --target churned --preset best --ignore customer_id -o churn.fastnn

The report says what became of each column, how good the model is on rows that it has not seen (cross-validation, beside
the most simple prediction), how far its probabilities can be trusted, and which columns count."""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "data", help="the table: CSV, TSV, JSON lines, Parquet, Arrow, .npy or .npz; - is standard input"
    )
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the model file; the name of the data with .fastnn, of standard input model.fastnn",
    )
    parser.add_argument(
        "--task", choices=("auto", "classification", "regression"), default="auto",
        help="whether the target is classes or a number; auto: text, booleans and few whole numbers are classes",
    )  # fmt: skip
    parser.add_argument(
        "--preset", choices=("fast", "balanced", "best"), default="balanced", help="how much is trained"
    )
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="of each fit")
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="of cross-validation; 0 for none; 5")
    parser.add_argument(
        "--no-importances", dest="importances", action="store_false",
        help="do not predict with each column permuted, which takes longer the more columns there are",
    )  # fmt: skip
    parser.add_argument("--ignore", action="append", default=[], metavar="COLUMN", help="leave a column out; repeat it")
    parser.add_argument(
        "--categorical", action="append", default=[], metavar="COLUMN", help="its numbers are names; repeat it"
    )
    parser.add_argument("--weight", metavar="COLUMN", help="how much each row counts")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed gives the same model; 0")
    parser.add_argument("--threads", type=int, metavar="N", help="at most so many; as many as there are cores")


def run(asked: argparse.Namespace) -> int:
    """Train, report and write."""
    from fastnn.cli.targets import target_in

    _require_values(asked)
    _require_roles(asked)
    output = asked.output or f"{_stem(asked.data)}.fastnn"
    from fastnn.cli.kinds import Whole, require_columns
    from fastnn.sklearn.frames import Columns

    with files.opened(asked.data, asked.format, asked.delimiter, asked.encoding) as source:
        named = [asked.target, *asked.ignore, *asked.categorical, *([asked.weight] if asked.weight else [])]
        require_columns(source, named, "that the options name")
        refuse_existing(output, asked.force, asked.data)
        whole = Whole(source, asked.ignore)
    column, hint = whole.columns.pop(asked.target), whole.hints.pop(asked.target, "")
    target = target_in(f"{whole.path}: the target {asked.target!r}", column, asked.task, hint)
    weight = None if asked.weight is None else _weights(asked.weight, whole.columns.pop(asked.weight), target.known)
    if not whole.columns:
        raise CommandError(f"{whole.path} has no column beside {asked.target!r}: nothing to predict it from")
    x = Columns([*whole.columns], [*whole.columns.values()]).take(target.known)
    n_classes = len(np.unique(target.y))
    if target.of_classes and n_classes < 2:
        raise CommandError(
            f"{whole.path}: the target {asked.target!r} is {target.y.tolist()[0]!r} in all rows: there is nothing to "
            "learn"
        )
    kind = f"{n_classes:,} classes" if target.of_classes else "a number"
    why = f"({target.why}: --task says otherwise)" if asked.task == "auto" else f"({target.why})"
    about = [f"{whole.path}: {number_of(whole.rows, 'row')}; {asked.target!r} is {kind} {why}"]
    if len(target.known) < whole.rows:
        n = whole.rows - len(target.known)
        about.append(f"{number_of(n, 'row')} without a target {'is' if n == 1 else 'are'} left out")
    try:
        print("\n".join(about), flush=True)
    except BrokenPipeError:  # nobody reads the report, as in `fastnn train ... | true`: the model is what was asked for
        drop_output()
    with told():
        model, report = _fitted(asked, x, target, weight, whole.hints)
    model.target_name_ = asked.target
    model.save(output)  # before anything that can fail is printed
    print("\n".join(report))
    print(f"\nwritten: {output} ({show_size(output)}). fastnn predict {output} {asked.data} predicts with it")
    return DONE


def _require_values(asked: argparse.Namespace) -> None:
    """Raise OptionError for numbers that options cannot be."""
    if asked.folds < 0 or asked.folds == 1:
        raise OptionError(f"--folds is {asked.folds}, expected 2 at least, or 0 for no cross-validation")
    if not 0 <= asked.seed < 2**32:
        raise OptionError(f"--seed is {asked.seed}, expected a whole number from 0 to {2**32 - 1}")
    if asked.time_limit is not None and not 0 < asked.time_limit < float("inf"):
        raise OptionError(f"--time-limit is {asked.time_limit:g}, expected seconds above 0")
    if asked.threads is not None and asked.threads < 1:
        raise OptionError(f"--threads is {asked.threads}, expected 1 at least")


def _require_roles(asked: argparse.Namespace) -> None:
    """Raise OptionError where a column is named as two things of which it can only be one."""
    given = {
        "--target": [asked.target], "--weight": [asked.weight], "--ignore": asked.ignore,
        "--categorical": asked.categorical,
    }  # fmt: skip
    roles: dict[str, str] = {}
    for option, names in given.items():
        for name in names:
            first = roles.setdefault(name, option)
            if first != option:
                raise OptionError(f"{option} {name!r}: {first} names this column, too: leave one of the two out")


def _stem(path: str) -> str:
    if path == "-":
        return "model"
    name = os.path.basename(path)
    return (name[:-3] if name.lower().endswith(".gz") else name).rpartition(".")[0] or name


def _weights(name: str, column: Any, rows: Any) -> Any:
    if column.kind != "number":
        raise OptionError(f"--weight: the column {name!r} holds no numbers")
    found = column.numbers[rows]
    if not (np.isfinite(found).all() and (found >= 0).all() and found.any()):
        raise OptionError(f"--weight: the column {name!r} has missing, infinite or negative weights, or none above 0")
    return found


def _fitted(
    asked: argparse.Namespace, x: Any, target: Any, weight: Any, hints: dict[str, str]
) -> tuple[Any, list[str]]:
    """Return the model, and the lines of what is known of it."""
    from sklearn.model_selection import KFold, StratifiedKFold

    from fastnn.cli import report
    from fastnn.sklearn import TabularClassifier, TabularRegressor
    from fastnn.training.progress import Progress

    y, classes = target.y, np.unique(target.y) if target.of_classes else None
    kind = TabularRegressor if classes is None else TabularClassifier

    def new() -> Any:
        return kind(
            asked.preset, time_limit=asked.time_limit, random_state=asked.seed, n_threads=asked.threads,
            categorical_features=asked.categorical or "from_dtype",
        )  # fmt: skip

    splits: list[Any] = []
    if asked.folds:
        few = classes is not None and np.bincount(np.searchsorted(classes, y)).min() < asked.folds
        if len(y) < 2 * asked.folds:
            few_rows = f"{number_of(len(y), 'row')} {'is' if len(y) == 1 else 'are'} too few"
            raise CommandError(f"{few_rows} for {asked.folds} folds: --folds 0 trains without a score")
        splitter = KFold if classes is None or few else StratifiedKFold
        splits = list(splitter(asked.folds, shuffle=True, random_state=asked.seed).split(np.zeros((len(y), 1)), y))
    ours, base = [], []
    outputs = np.zeros((len(y), 1 if classes is None else len(classes)))
    with Progress(1 + len(splits), "auto", "fit") as progress:
        model = new().fit(x, y, weight)
        progress.update(1, {})
        for train, test in splits:
            one = new().fit(x.take(train), y[train], None if weight is None else weight[train])
            if classes is None:
                outputs[test, 0] = one.predict(x.take(test))
                ours.append(report.of_numbers(y[test], outputs[test, 0]))
                base.append(
                    report.of_numbers(y[test], np.full(len(test), np.average(y[train], weights=_of(weight, train))))
                )
            else:
                outputs[np.ix_(test, np.searchsorted(classes, one.classes_))] = one.predict_proba(x.take(test))
                counts = np.bincount(np.searchsorted(classes, y[train]), _of(weight, train), len(classes))
                ours.append(report.of_classes(y[test], outputs[test], classes))
                base.append(report.of_classes(y[test], np.tile(counts / counts.sum(), (len(test), 1)), classes))
            progress.update(1, {})
    lines = ["", str(model.preprocessing_), *(f"{name}: {hint}" for name, hint in hints.items() if name in x.columns)]
    add = lines.append
    if splits:
        named = "the mean" if classes is None else "shares of classes"
        report.section(f"{asked.folds} folds, rows that were not trained with", report.scores(ours, base, named), add)
        if classes is not None:
            report.section("how sure it was, and how often it was right", report.calibration(y, outputs, classes), add)
    if asked.importances:
        unit = "R² falls by" if classes is None else "log loss rises by"
        found = report.importances(x.columns, model.feature_importances_, unit)
        report.section("what counts: a column is permuted", found, add)
    return model, lines


def _of(weight: Any, rows: Any) -> Any:
    return None if weight is None else weight[rows]

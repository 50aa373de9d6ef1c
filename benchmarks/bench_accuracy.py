"""How good predictions on tables are: MLPs, fastnn's Tabular estimators and gradient boosting, with their defaults.

    python benchmarks/bench_accuracy.py --seeds 10 --resume runs.jsonl
    python benchmarks/bench_accuracy.py --measured --resume runs.jsonl --page docs/accuracy.md \
        --picture docs/pictures/accuracy.png
    python benchmarks/bench_accuracy.py --parts fast --resume parts.jsonl --page docs/accuracy.md

Each fit is one line of a JSON-lines file as soon as it is done: a run that was cut goes on where it was. The tables
stand in `accuracy_data.py`, the contenders and what each is fed in `accuracy_methods.py`. The second command measures
nothing: it renews the tables of a page from the file, of those splits that all methods have; a page may have others of
methods that were measured on fewer splits, ``--seeds 3 --called "of three seeds"``. The third one measures what each
part of a preset is worth (`accuracy_parts.py`), and renews the table of these.

The rules: a seed is a split (a fifth is the test part, labels stratified; at most ``--rows`` rows train) and the
`random_state` of all methods; each has its library's defaults, the same threads and the same rows, and no method sees
the test part. A method that fails on a set has no score there, and no set with a hole counts for ranks.
"""

import argparse
import json
import time
import warnings
from collections.abc import Iterable
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import frame
import numpy as np
from accuracy_data import TABLES, Table, split
from accuracy_methods import METHODS, Fit, Method
from accuracy_page import MEASURES, common, of_pairs, of_ranks, of_sets, renew, said
from accuracy_parts import CHANGES, PARTS, of_methods, of_parts, of_preset
from accuracy_ranks import Ranks, draw, markdown, ranks_of
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error

from fastnn.metrics import CalibrationError

SMALL = ("iris", "wine", "breast_cancer", "diabetes", "linnerud")  # what --quick measures, and with what
LIGHT = ("scikit-learn MLP", "fastnn MLP", "Tabular fast", "HistGradientBoosting")
_PACKAGES = {"LightGBM": "lightgbm", "XGBoost": "xgboost", "CatBoost": "catboost", "RealMLP-TD": "pytabkit"}

KNOWN = METHODS | PARTS

Line = dict[str, Any]


def measured(table: Table, x: Any, y: np.ndarray, method: Method, seed: int, rows: int) -> Line:
    """Fit and predict once; the score is accuracy or R²."""
    train, test = split(x, y, table.task, seed, rows)
    fit = Fit(table.task, seed, frame.THREADS, x.iloc[train], y[train])
    estimator = method.make(fit)
    wall, processor = time.perf_counter(), time.process_time()
    estimator.fit(fit.x, fit.y)
    line: Line = {"fit_seconds": time.perf_counter() - wall, "fit_cpu_seconds": time.process_time() - processor}
    x_test, y_test = x.iloc[test], y[test]
    wall = time.perf_counter()
    found = estimator.predict_proba(x_test) if fit.classes else np.asarray(estimator.predict(x_test))
    line |= {"predict_seconds": time.perf_counter() - wall, "train_rows": len(train), "test_rows": len(test)}
    if not np.isfinite(found).all():
        raise ValueError("predictions are not finite")
    if fit.classes:
        p = np.asarray(found, np.float64)
        p /= p.sum(axis=1, keepdims=True)  # which float32 rounds
        labels = np.arange(p.shape[1])
        line |= {
            "metric": "accuracy",
            "score": float(accuracy_score(y_test, p.argmax(axis=1))),
            "log_loss": float(log_loss(y_test, p, labels=labels)),
            "ece": float(CalibrationError()(y_test, p)),
        }
    else:
        error = root_mean_squared_error(y_test, found)
        line |= {"metric": "r2", "score": float(r2_score(y_test, found)), "rmse": float(error)}
    return line


def run_all(chosen: argparse.Namespace) -> list[Line]:
    """Measure what the file does not have yet, a seed of all sets and methods after another; return all its lines."""
    names = [name for name in chosen.sets if chosen.only in name]
    methods = [KNOWN[name] for name in chosen.methods]
    for method in methods:
        if not method.installed:
            print(f"{method.name} is left out: {method.module} is not installed")
    methods = [method for method in methods if method.installed]
    key = ("set", "method", "seed", "rows", "threads")
    done = {tuple(line[k] for k in key): line for line in read(chosen.resume)} if chosen.resume else {}
    try:
        loaded = {name: TABLES[name].load() for name in names}
    except ImportError as error:
        raise SystemExit(f"\n{error}") from None
    for seed in range(chosen.seeds):
        for name, (x, y) in loaded.items():
            for method in methods:
                what = dict(zip(key, (name, method.name, seed, chosen.rows, frame.THREADS), strict=True))
                if "score" in done.get(tuple(what.values()), {}):
                    continue
                line: Line = {**what, "task": TABLES[name].task, "version": _version(method.name)}
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # nets that have not converged by default say so
                        line |= measured(TABLES[name], x, y, method, seed, chosen.rows)
                except Exception as error:  # whatever it is: the others go on, and the table has a hole
                    line["error"] = f"{type(error).__name__}: {error}"[:500]
                    print(f"{method.name} failed on {name}: {line['error']}")
                done[tuple(what.values())] = line
                if "score" in line and not chosen.quick:
                    print(f"{name}, seed {seed}, {method.name}: {line['score']:.4f}, {line['fit_seconds']:.1f} s")
                if chosen.resume:
                    with chosen.resume.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
    wanted = {(n, m.name, s, chosen.rows, frame.THREADS) for n in names for m in methods for s in range(chosen.seeds)}
    return [line for what, line in done.items() if what in wanted]


def as_measured(chosen: argparse.Namespace) -> list[Line]:
    """Return what the file has of these sets, methods, seeds and settings, the last line of each fit."""
    names = [name for name in chosen.sets if chosen.only in name]
    key = ("set", "method", "seed", "rows", "threads")
    done = {tuple(line[k] for k in key): line for line in read(chosen.resume) if "score" in line}
    return [
        line
        for line in done.values()
        if line["set"] in names and line["method"] in chosen.methods and line["seed"] < chosen.seeds
        and (line["rows"], line["threads"]) == (chosen.rows, frame.THREADS)
    ]  # fmt: skip


def in_order(found: dict[str, Any]) -> dict[str, Any]:
    """Return what stands by set in the order of the sets."""
    return {name: found[name] for name in TABLES if name in found}


def read(path: Path) -> list[Line]:
    """Return the lines of the file that a run before has written, of the last one as far as it is whole."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text and not text.endswith("\n"):  # what comes next is a line of its own
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def _version(method: str) -> str:
    package = _PACKAGES.get(method, "fastnn" if method.startswith(("Tabular", "fastnn")) else "scikit-learn")
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a copy of the sources that is not installed
        return "sources"


def means(lines: Iterable[Line], measure: str) -> dict[str, dict[str, tuple[float, float]]]:
    """Return mean and standard deviation over the seeds, by set and method."""
    values: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        if measure in line:
            values.setdefault((line["set"], line["method"]), []).append(line[measure])
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for (name, method), numbers in values.items():
        found.setdefault(name, {})[method] = (float(np.mean(numbers)), float(np.std(numbers)))
    return found


def complete(found: dict[str, dict[str, tuple[float, float]]], methods: list[str]) -> dict[str, dict[str, float]]:
    """Return the means of the sets on which each of these methods has one."""
    return {
        name: {method: row[method][0] for method in methods}
        for name, row in found.items()
        if all(method in row for method in methods)
    }


def tables(lines: list[Line], ranks: dict[str, Ranks], methods: list[str]) -> str:
    """Return what was measured as tables of Markdown."""
    parts = []
    for measure, title, digits in (
        ("score", "Score: accuracy, for regression R²", 4),
        ("log_loss", "Log loss", 4),
        ("ece", "Expected calibration error", 4),
        ("fit_seconds", f"Seconds of fit, {frame.THREADS} thread{'s' if frame.THREADS > 1 else ''}", 2),
        ("fit_cpu_seconds", "CPU seconds of fit, of all threads", 2),
    ):
        found = means(lines, measure)
        rows = [
            [name, *(_cell(found[name].get(m), measure, digits, found[name].values()) for m in methods)]
            for name in TABLES if name in found
        ]  # fmt: skip
        if rows:
            parts.append(f"{title}\n\n{markdown(['set', *methods], rows)}")
    if ranks:
        rows = [
            [
                f"{title} ({r.sets} sets, p = {r.p:.1g}, critical difference {r.critical:.2f})",
                *(f"{r.mean[m]:.2f}" if m in r.mean else "" for m in methods),
            ]
            for title, r in ranks.items()
        ]
        parts.append(f"Mean ranks\n\n{markdown(['', *methods], rows)}")
    return "\n\n".join(parts)


def _cell(pair: tuple[float, float] | None, measure: str, digits: int, row: Iterable[tuple[float, float]]) -> str:
    if pair is None:
        return "–"
    if measure.endswith("seconds"):
        return f"{pair[0]:.{digits}f}"
    best = (max if measure == "score" else min)(mean for mean, _ in row)
    mark = "**" if pair[0] == best else ""
    return f"{mark}{pair[0]:.{digits}f}{mark} ± {pair[1]:.{digits}f}"


def aims(report: frame.Report, lines: list[Line], ranks: dict[str, Ranks]) -> None:
    """Hold the ranks and seconds against what they should be, as far as these methods were measured."""
    score = ranks["Score"].mean if "Score" in ranks else {}
    for ours, others in (
        ("Tabular balanced", ("HistGradientBoosting", "scikit-learn MLP", "fastnn MLP", "RealMLP-TD")),
        ("Tabular best", ("CatBoost",)),
    ):
        for other in others:
            if ours in score and other in score:
                what = f"{ours}: mean rank of the score minus that of {other}"
                report.require(what, score[ours] - score[other], at_most=0)
    seconds = complete(means(lines, "fit_cpu_seconds"), ["Tabular fast", "HistGradientBoosting"])
    if seconds:
        ratio = sum(row["Tabular fast"] for row in seconds.values())
        ratio /= sum(row["HistGradientBoosting"] for row in seconds.values())
        report.require("Tabular fast: CPU seconds of all fits over those of HistGradientBoosting", ratio, at_most=1)


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    if chosen.measured and not (chosen.resume and chosen.resume.exists()):
        chosen.refuse("--measured shows what a file has: --resume names it, expected one that is there")
    if chosen.parts:
        chosen.methods = [name for preset in chosen.parts for name in of_preset(preset)]
    if chosen.smoke:
        chosen.sets, chosen.seeds = ["iris", "diabetes"], 1
    elif chosen.quick:
        chosen.sets, chosen.seeds = [name for name in chosen.sets if name in SMALL], min(chosen.seeds, 2)
    if chosen.quick and not chosen.parts:
        chosen.methods = [name for name in chosen.methods if name in LIGHT]
    lines = every = as_measured(chosen) if chosen.measured else run_all(chosen)
    present = {line["method"] for line in lines if "score" in line}
    methods = [name for name in KNOWN if name in present]
    if chosen.parts:
        text = of_parts(lines, KNOWN)
        print(f"\n{text}")
        report.rows = lines
        if chosen.page:
            renew(chosen.page, {"parts": text})
        return
    if chosen.measured:
        lines, methods = common(lines, methods)
    report.rows = lines
    ranks = {}
    for measure, title in MEASURES:
        found = complete(means(lines, measure), methods)
        if len(found) > 1 and len(methods) > 1:
            ranks[title] = ranks_of(found, larger_is_better=measure == "score")
    report.more["ranks"] = {title: vars(r) for title, r in ranks.items()}
    report.more["sets"] = {
        name: {k: str(getattr(TABLES[name], k)) for k in ("task", "package", "source", "licence")}
        for name in dict.fromkeys(line["set"] for line in lines)
    }
    text = tables(lines, ranks, methods)
    print(f"\n{text}")
    if chosen.markdown:
        chosen.markdown.write_text(text + "\n", encoding="utf-8")
    if chosen.page:
        ours = [name for name in methods if name.startswith(("Tabular", "fastnn RealMLP"))]
        others = [name for name in METHODS if name in present and name not in ours]
        blocks = {
            "measured": said(lines, chosen.date),
            "ranks": of_ranks(ranks, lines, methods),
            "scores": of_sets(in_order(means(lines, "score")), methods, True),
            "losses": of_sets(in_order(means(lines, "log_loss")), methods, False),
            "pairs": of_pairs(every, ours, others),
            "gains": of_methods(lines, methods, "RealMLP-TD"),
        }
        text = chosen.page.read_text(encoding="utf-8")
        named = {f"{name} {chosen.called or ''}".strip(): block for name, block in blocks.items()}
        found = {name: block for name, block in named.items() if f"<!-- {name} -->" in text}
        renew(chosen.page, found or named)
    if chosen.picture and ranks:
        draw({title: r for title, r in ranks.items() if title != "Calibration error"}, chosen.picture)
        print(f"\nDrawn in {chosen.picture}")
    aims(report, lines, ranks)


def _names(known: Iterable[str]) -> Any:
    """Return what reads names with commas between them, and refuses others."""

    def names(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
        return chosen

    return names


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that this benchmark alone has."""
    parser.add_argument("--seeds", type=frame.count, default=10, metavar="N", help="splits, states of the methods; 10")
    parser.add_argument("--sets", type=_names(TABLES), default=list(TABLES), help=f"of {', '.join(TABLES)}")
    parser.add_argument("--methods", type=_names(KNOWN), default=list(METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument(
        "--parts", type=_names(CHANGES), metavar="PRESETS", help=f"of {', '.join(CHANGES)}: their parts"
    )
    parser.add_argument("--rows", type=frame.count, default=10000, metavar="N", help="at most so many train; 10,000")
    parser.add_argument(
        "--resume", type=frame.to_write, metavar="PATH", help="JSON lines: what is there is not measured again"
    )
    parser.add_argument("--measured", action="store_true", help="measure nothing: show what the file of --resume has")
    parser.add_argument(
        "--page", type=frame.to_read, metavar="PATH", help="renew the tables of this page between their marks"
    )
    parser.add_argument("--called", metavar="TEXT", help="renew the tables between <!-- ranks TEXT --> and the like")
    parser.add_argument("--date", default=date.today().isoformat(), help="until when, for the page; today")
    parser.add_argument("--markdown", type=frame.to_write, metavar="PATH", help="write the tables there")
    parser.add_argument("--picture", type=frame.to_write, metavar="PATH", help="draw the critical differences there")


if __name__ == "__main__":
    frame.run(__doc__ or "", benchmark, more_options)

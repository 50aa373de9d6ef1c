"""Predictions: 1 to 10,000 rows, in float32 and bfloat16, against what else computes them.

Everybody is given a NumPy array and gives one back, with the threads that --threads says.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import frame
import numpy as np
from machine import processor
from predictors import BF16, LIBRARIES, Forms
from trainers import missing
from workloads import Workload

NETS = ((20, 64, 64, 2), (54, 128, 128, 7), (784, 128, 10), (784, 512, 512, 10))  # relu between, softmax at the end
ROWS = (1, 8, 32, 256, 10_000)
RTOL = {"float32": 1e-4, BF16: 3e-2}
# One row on the smallest net: how many times faster than the fastest form of a library, and microseconds in all.
AT_LEAST = {"onnxruntime": 4, "PyTorch": 10, "scikit-learn": 40}
AT_MOST_MICROSECONDS = 3.0
AHEAD_OF = ("onnxruntime", "OpenVINO", f"OpenVINO {BF16}")  # with any net and number of rows, on one thread


def precision(name: str) -> str:
    return BF16 if name.endswith(BF16) else "float32"


def ahead(timings: dict[str, frame.Timing]) -> dict[str, float]:
    """Return how many times faster fastnn is than each other library, in its fastest form and in the same precision."""
    found: dict[str, float] = {}
    for library in LIBRARIES:
        for kind in ("float32", BF16):
            name, ours = (library, frame.OURS) if kind == "float32" else (f"{library} {kind}", f"{frame.OURS} {kind}")
            forms = [t.minimum for n, t in timings.items() if n.startswith(library) and precision(n) == kind]
            if forms and library != frame.OURS:
                found[name] = min(forms) / timings[ours].minimum
    return found


def bench(sizes: tuple[int, ...], rows: int, chosen: argparse.Namespace, report: frame.Report) -> None:
    what = f"{'-'.join(map(str, sizes))}, {rows:,} row{'s' if rows > 1 else ''}"
    if chosen.only not in what:
        return
    left_out = {name: reason for name in LIBRARIES if (reason := missing(name))}
    if chosen.against:
        left_out |= {name: "not chosen" for name in LIBRARIES if name not in (frame.OURS, *chosen.against)}
    weights = Workload(sizes, rows, rows).weights()
    x = np.random.default_rng(2).normal(size=(rows, sizes[0])).astype(np.float32)
    forms: Forms = {}
    for name, make in LIBRARIES.items():
        if name not in left_out:
            forms |= make(weights, x)
    results = {name: [np.atleast_2d(predict()).copy()] for name, predict in forms.items()}
    for kind, rtol in RTOL.items():
        frame.verify(what, {n: y for n, y in results.items() if n == frame.OURS or precision(n) == kind}, rtol)

    seconds = 0.0 if chosen.smoke else 1.5 if chosen.quick else 6.0
    repeats = 2 if chosen.smoke else 3 if chosen.quick else 5
    timings = frame.measure(forms, seconds, repeats, waits=not chosen.smoke)  # OpenVINO's spin with one thread, too
    found = ahead(timings)
    report.add(timings, net=sizes, rows=rows, left_out=left_out, ahead=found)
    table = []
    for name in sorted(timings, key=lambda name: timings[name].minimum):
        t, ours = timings[name], frame.OURS if precision(name) == "float32" else f"{frame.OURS} {BF16}"
        ratio = "" if name == ours else f"{t.minimum / timings[ours].minimum:.2f}"
        table.append([name, f"{t.minimum * 1e6:.2f}", f"{t.median * 1e6:.2f}", ratio, f"{t.processors:.2f}"])
    agree = " and ".join(f"{rtol:g} in {kind}" for kind, rtol in RTOL.items())
    print(f"\n{what}; outputs agree to {agree}, of the largest")
    print(frame.table(["contender", "µs", "median", "fastnn is × faster", "processors"], table), flush=True)
    for name, reason in left_out.items():
        print(f"without {name}: {reason}")
    if frame.THREADS > 1:
        return
    smallest = sizes == NETS[0] and rows == 1
    for name, ratio in found.items():
        least = AT_LEAST.get(name, 0) if smallest else 0
        if least or name in AHEAD_OF:
            report.require(f"{what}: × faster than {name}", ratio, at_least=max(least, 1))
    if smallest:
        microseconds = timings["fastnn, new array"].minimum * 1e6
        report.require(f"{what}: microseconds of fastnn", microseconds, at_most=AT_MOST_MICROSECONDS)


def summary(report: frame.Report) -> str:
    """Return a table of how many times faster fastnn is than each library of the same precision."""
    names = list(dict.fromkeys(name for row in report.rows for name in row["ahead"]))
    lines = [
        ["-".join(map(str, row["net"])), f"{row['rows']:,}", *(f"{row['seconds'][n]['minimum'] * 1e6:,.1f}" for n in
         (frame.OURS, f"{frame.OURS} {BF16}")), *(f"{row['ahead'][n]:.2f}" if n in row["ahead"] else "" for n in names)]
        for row in report.rows
    ]  # fmt: skip
    lines = [["net", "rows", "fastnn, µs", f"{BF16}, µs", *names], *lines]
    return "\n".join(
        f"| {' | '.join(line)} |" + ("\n|" + " --- |" * len(line) if i == 0 else "") for i, line in enumerate(lines)
    )


def draw(report: frame.Report, path: Path) -> None:
    """Save the ratios of the fastest as a picture, one panel for each net."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from PIL import Image  # which matplotlib brings

    nets = list(dict.fromkeys(row["net"] for row in report.rows))
    figure, axes = plt.subplots(1, len(nets), figsize=(10, 3.2), sharey=True, squeeze=False, layout="constrained")
    for axis, net in zip(axes[0], nets, strict=True):
        rows = [row for row in report.rows if row["net"] == net]
        for name, style in zip(AHEAD_OF, ("o-", "s-", "s--"), strict=True):
            if all(name in row["ahead"] for row in rows):
                axis.plot([row["ahead"][name] for row in rows], style, label=name, markersize=4)
        axis.axhline(1, color="black", lw=1)
        axis.set_xticks(range(len(rows)), [f"{row['rows']:,}" for row in rows])
        axis.set(title="-".join(map(str, net)), xlabel="rows", yscale="log")
        axis.grid(axis="y", which="both", alpha=0.2)
    axes[0, 0].set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    axes[0, 0].set_ylabel("fastnn is × faster")
    axes[0, -1].legend(fontsize=8)
    figure.suptitle(f"Predictions on {processor()}, {frame.THREADS} thread{'s' if frame.THREADS > 1 else ''}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(32)  # colours are few, and a page's pictures small
    small.save(path, optimize=True)


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    if chosen.picture is not None and find_spec("matplotlib") is None:  # before minutes of measuring
        raise SystemExit("--picture draws with matplotlib: pip install matplotlib")
    for sizes in NETS:
        for rows in ROWS[:2] if chosen.smoke else ROWS:
            bench(sizes, rows, chosen, report)
    print(f"\nHow many times faster fastnn is, in the same precision\n{summary(report)}")
    if chosen.picture is not None:
        draw(report, chosen.picture)


def more_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--against", nargs="+", choices=[name for name in LIBRARIES if name != frame.OURS])
    parser.add_argument("--picture", type=frame.to_write, metavar="PATH", help="draw the ratios there")


if __name__ == "__main__":
    frame.run(__doc__.splitlines()[0], benchmark, more_options)

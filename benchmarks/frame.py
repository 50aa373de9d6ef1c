"""What every benchmark here does: verify first, measure the contenders in turns, print a table, write JSON.

Import this module before NumPy: it sets the number of threads of every library, as ``--threads`` says.
"""
# ruff: noqa: E402 - the libraries read these variables when they are imported

import argparse
import math
import os
import sys
from pathlib import Path


def count(text: str) -> int:
    """Return the whole number of at least 1 that an argument says."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number >= 1")
    return int(text)


def positive(text: str) -> float:
    """Return the number above 0 that an argument says."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number > 0")
    return found


def folder(text: str) -> Path:
    """Return the path of a folder that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}, expected a folder that is there")
    return Path(text)


def to_read(text: str) -> Path:
    """Return the path of a file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text!r}, expected a file that is there")
    return Path(text)


def to_write(text: str) -> Path:
    """Return the path of a file, there or not, in a folder that is: which is known before anything is measured."""
    if Path(text).is_dir() or not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}, expected a file in a folder that is there")
    return Path(text)


def _threads() -> argparse.ArgumentParser:
    """Return the part of the command line that must be known before anything else is imported."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    default = 2 if Path(sys.argv[0]).stem in ("bench_accuracy", "bench_many") else 1  # what one has; one with several
    parser.add_argument(
        "--threads", type=count, default=default, metavar="N", help=f"of every library, by default {default}"
    )
    return parser


THREADS: int = _threads().parse_known_args()[0].threads
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC"):
    os.environ[_variable] = str(THREADS)
_several = "true" if THREADS > 1 else "false"
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={_several} intra_op_parallelism_threads={THREADS}"
os.environ["JAX_PLATFORMS"] = "cpu"

import json
import statistics
import time
import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from machine import describe

import fastnn

OURS = "fastnn"
PEAK = "FMA peak"  # measured in turns with the contenders, but none of them
NOISE = 0.03  # by how much the minima of two equally fast contenders differ here: "not slower" means within it
_SECONDS_PER_REPEAT = 0.002  # long against the clock's steps, short against the pauses of a noisy machine
_PEAK_BLOCKS = 4000  # of 12 multiply-adds of vectors: some 10 microseconds
_QUIET = 0.9  # of a processor, that a contender has on a quiet machine
_LONGEST_SPIN = 0.2  # seconds: threads of OpenBLAS spin for 0.1 s when their work is done
_REQUIREMENTS_LISTED = 40  # beyond, only those that are missed


class Disagreement(Exception):
    """Contenders do not compute the same: their times mean nothing."""


def verify(what: str, results: Mapping[str, Sequence[np.ndarray]], rtol: float) -> None:
    """Compare all results with those of the first contender, relative to the largest number in each array.

    Raises
    ------
    Disagreement
        Which names the contender, the array, and how far off it is.
    """
    for reason in _differences(what, results, rtol).values():
        raise Disagreement(reason)


def disagreeing(what: str, results: Mapping[str, Sequence[np.ndarray]], rtol: float) -> dict[str, str]:
    """Return why some of the others cannot be compared, by their names; the first contender is the measure.

    Raises
    ------
    Disagreement
        Where it is fastnn that is off.
    """
    found = _differences(what, results, rtol)
    for name, reason in found.items():
        if name.startswith(OURS):
            raise Disagreement(reason)
    return found


def _differences(what: str, results: Mapping[str, Sequence[np.ndarray]], rtol: float) -> dict[str, str]:
    (reference, expected), *others = results.items()
    found: dict[str, str] = {}
    for name, arrays in others:
        if len(arrays) != len(expected):
            found[name] = f"{what}: {name} has {len(arrays)} results, {reference} has {len(expected)}"
            continue
        for i, (a, b) in enumerate(zip(arrays, expected, strict=True)):
            if np.shape(a) != np.shape(b):
                found[name] = f"{what}: result {i} of {name} has shape {np.shape(a)}, that of {reference} {np.shape(b)}"
                break
            if np.size(b) == 0:
                continue
            error = np.abs(np.asarray(a, np.float64) - b).max() / max(np.abs(b).max(), np.finfo(np.float32).tiny)
            if not error <= rtol:  # a NaN is refused, too
                found[name] = (
                    f"{what}: result {i} of {name} differs from that of {reference} by {error:.1e} of its largest "
                    f"number, allowed {rtol:.0e}"
                )
                break
    return found


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one contender.

    Attributes
    ----------
    minimum, median : float
        Over the repeats.
    repeats, calls : int
        How many repeats, and how many calls each of them consists of.
    processors : float
        Processor time of all threads per wall time: 1 says that one thread computed.
    processor_seconds : float
        Processor time of all threads for a call, the least of the repeats.
    """

    minimum: float
    median: float
    repeats: int
    calls: int
    processors: float
    processor_seconds: float

    def per(self, n: int) -> "Timing":
        """Return the time of one of `n` things that a call does."""
        each = {name: getattr(self, name) / n for name in ("minimum", "median", "processor_seconds")}
        return replace(self, **each)


def peak(dtype: str) -> dict[str, Callable[[], object]]:
    """Return the contender that keeps the multiply-add units busy and does nothing else."""
    return {PEAK: lambda: getattr(fastnn.kernels, dtype).fma_peak(_PEAK_BLOCKS)}


def peak_flops(timings: dict[str, Timing], dtype: str) -> float:
    """Take the peak out of what was measured: operations per second of one thread."""
    return float(getattr(fastnn.kernels, dtype).fma_peak(_PEAK_BLOCKS) / timings.pop(PEAK).minimum)


def same_modules() -> dict[str, str]:
    """Return the environment in which another Python imports what this one does, in whatever folder it runs."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def wait_for_spinning_threads() -> None:
    """Wait until the threads of the contender before use no processor time any more: they would take it from others."""
    deadline = time.perf_counter() + _LONGEST_SPIN
    used = 1.0
    while used > 0.1 and time.perf_counter() < deadline:
        wall, processor = time.perf_counter(), time.process_time()
        time.sleep(0.02)  # the clock sees other threads every few milliseconds
        used = (time.process_time() - processor) / (time.perf_counter() - wall)


def measure(
    contenders: Mapping[str, Callable[[], object]],
    seconds: float,
    at_least: int = 5,
    at_most: int = 400,
    waits: bool = THREADS > 1,
) -> dict[str, Timing]:
    """Time calls in turns for about so many seconds: what disturbs the machine disturbs all of them alike.

    With `waits`, each of them begins when the threads of the one before sleep.
    """
    calls: dict[str, int] = {}
    for name, call in contenders.items():
        call()  # compiles, fills caches
        once = timeit.timeit(call, number=1)
        calls[name] = max(1, round(_SECONDS_PER_REPEAT / max(once, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    processor_times: dict[str, list[float]] = {name: [] for name in contenders}
    order, start, repeats = list(contenders), time.perf_counter(), 0
    while repeats < at_least or (repeats < at_most and time.perf_counter() - start < seconds):
        for name in order:
            if waits:
                wait_for_spinning_threads()
            before = time.process_time()
            times[name].append(timeit.timeit(contenders[name], number=calls[name]) / calls[name])
            processor_times[name].append((time.process_time() - before) / calls[name])
        order.append(order.pop(0))  # nobody always runs behind the same other one
        repeats += 1
    return {
        name: Timing(min(t), statistics.median(t), repeats, calls[name], sum(own) / sum(t), min(own))
        for (name, t), own in zip(times.items(), processor_times.values(), strict=True)
    }


def ratios(timings: Mapping[str, Timing]) -> dict[str, float]:
    """How many times faster fastnn is than each of the others, by the minima."""
    return {name: timing.minimum / timings[OURS].minimum for name, timing in timings.items() if name != OURS}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return lines with the first column on the left and the others on the right."""
    cells = [headings, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}" for i, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    )


class Report:
    """What a run measured, as JSON, and what was required of it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.more: dict[str, Any] = {}
        self.required: list[dict[str, Any]] = []
        self.processors = 1.0  # the least that fastnn has had of one

    def add(self, timings: Mapping[str, Timing], **what: Any) -> None:
        """Keep the times of the contenders in one row; `what` says of what."""
        self.processors = min(self.processors, timings[OURS].processors)
        seconds = {name: asdict(timing) for name, timing in timings.items()}
        self.rows.append({**what, "seconds": seconds, "times_faster": ratios(timings)})

    def require(
        self,
        what: str,
        found: float,
        at_least: float | None = None,
        at_most: float | None = None,
        possible: float | None = None,
    ) -> bool:
        """Hold a number against its bound; without one it is printed to compare. A missed bound is exit code 1.

        `possible` is what would be found if fastnn took as long as the FMA units need, and nothing more.
        """
        holds = (at_least is None or found >= at_least) and (at_most is None or found <= at_most)
        bound = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}" if at_most is not None else ""
        self.required.append({"what": what, "required": bound, "found": found, "possible": possible, "holds": holds})
        return holds

    def requirements(self, failed_only: bool = False) -> str:
        """Return the table of what was required and found."""
        headings = ["", "required", "found", "most possible", "holds"]
        rows = [
            [
                required["what"], required["required"], f"{required['found']:.3g}",
                "" if required["possible"] is None else f"{required['possible']:.3g}",
                "" if not required["required"] else "yes" if required["holds"] else "NO",
            ]
            for required in self.required
            if not (failed_only and required["holds"])
        ]  # fmt: skip
        if all(required["possible"] is None for required in self.required):
            headings, rows = headings[:3] + headings[4:], [row[:3] + row[4:] for row in rows]
        return table(headings, rows)

    def write(self, path: Path, script: str) -> None:
        content = {
            "script": script, "machine": describe(THREADS), **self.more, "required": self.required, "rows": self.rows
        }  # fmt: skip
        path.write_text(json.dumps(content, indent=1) + "\n")


def options(
    description: str, more: Callable[[argparse.ArgumentParser], None] | None = None, single: bool = False
) -> argparse.Namespace:
    """Read the command line that all benchmarks share, and what `more` adds to it.

    What measures a `single` thing, on one thread, has no ``--only`` and no ``--threads``.
    """
    script = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=description, parents=[] if single else [_threads()])
    parser.add_argument("--quick", action="store_true", help="at most a minute, with more noise")
    if not single:
        parser.add_argument("--only", default="", metavar="NAME", help="only what has NAME in its name")
    parser.add_argument("--json", type=to_write, metavar="PATH", help=f"default: benchmarks/results/{script}.json")
    parser.add_argument("--smoke", action="store_true", help=argparse.SUPPRESS)  # for tests: times mean nothing
    if more is not None:
        more(parser)
    chosen = parser.parse_args()
    chosen.quick |= chosen.smoke
    chosen.script, chosen.refuse = script, parser.error  # what does not fit together
    threads = f"-{THREADS}-threads" if THREADS > 1 else ""
    if chosen.json is None:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        chosen.json = results / f"{script}{threads}{'-quick' if chosen.quick else ''}.json"
    return chosen


def run(
    description: str,
    benchmark: Callable[[argparse.Namespace, Report], None],
    more: Callable[[argparse.ArgumentParser], None] | None = None,
    single: bool = False,
) -> None:
    """Run a benchmark as a script: say where, stop at a disagreement, write what was measured."""
    chosen, report = options(description, more, single), Report()
    print("\n".join(f"{name}: {value}" for name, value in describe(THREADS).items()), flush=True)
    try:
        benchmark(chosen, report)
    except Disagreement as error:
        raise SystemExit(f"\nVerification failed, nothing more is timed.\n{error}") from None
    if not report.rows:
        only = getattr(chosen, "only", "")
        raise SystemExit(f"\nNothing here has {only!r} in its name." if only else "\nNothing was measured.")
    holding = sum(required["holds"] for required in report.required)
    if len(report.required) > _REQUIREMENTS_LISTED:
        print(f"\nOf {len(report.required)} required bounds {holding} hold")
    elif report.required:
        print(f"\nRequired\n{report.requirements()}")
    if report.processors < _QUIET and not chosen.smoke:
        print(
            f"\nSomething else used the processor, of which fastnn had {report.processors:.0%} at worst: "
            "long times are too long by that, short ones are not, and ratios between them mean little."
        )
    report.write(chosen.json, chosen.script)
    print(f"\nWritten to {chosen.json}")
    if holding < len(report.required) and not chosen.smoke:
        raise SystemExit(f"\nRequired, and missed\n{report.requirements(failed_only=True)}")

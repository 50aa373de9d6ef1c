"""Whole training: epochs of fit against NumPy, scikit-learn, PyTorch and JAX."""

import argparse
from dataclasses import replace

import frame
import numpy as np
from trainers import TRAINERS, Trainer, Twin, missing
from trainers_bf16 import FASTER, RTOL, TRAINERS_BF16, WEIGHTS_RTOL
from workloads import WORKLOADS, Workload

ONCE = {"fastnn": "fastnn, 1 epoch per fit", "JAX": "JAX, 1 epoch per call"}
FORMS = {"PyTorch": ("PyTorch compiled", "PyTorch Sequential")}  # the fastest of them counts
STEPS_IN_PYTHON = 1000  # per call, of those who loop in Python: no call costs them more than a step


def cannot(name: str, quick: bool, workload: Workload) -> str:
    """Return why a contender is left out, or nothing."""
    if name.startswith("PyTorch compiled") and quick:
        return "compiling takes long: measured without --quick"
    if name == "PyTorch Sequential" and quick:
        return "slower than by hand: measured without --quick"
    return missing(name, workload)


def per_call(name: str, workload: Workload) -> int:
    """Return the epochs of one call."""
    if name.startswith((frame.OURS, "JAX")):
        return workload.epochs
    return min(workload.epochs, max(1, STEPS_IN_PYTHON // workload.steps))


def contenders(trainers: dict[str, Trainer], workload: Workload) -> dict[str, tuple[Trainer, int]]:
    """Return who takes part, each with the epochs of one call: those that loop in C also with one epoch at a time."""
    taking_part = {name: (trainer, per_call(name, workload)) for name, trainer in trainers.items()}
    if workload.steps * workload.epochs / workload.flops > 1e-5:  # else the call costs nothing beside the epoch
        taking_part |= {ONCE[name]: (trainers[name], 1) for name in ONCE if name in trainers}
    if frame.THREADS > 1:
        ours = type(trainers["fastnn"])
        alone = ours(workload, workload.weights(), *workload.data(), threads=1)
        taking_part["fastnn, 1 thread"] = alone, workload.epochs
    return taking_part


def bench(workload: Workload, chosen: argparse.Namespace, report: frame.Report) -> None:
    """Verify, measure and print one workload, and hold it against what is required."""
    all_of_them = TRAINERS_BF16 if chosen.precision else TRAINERS
    left_out = {name: reason for name in all_of_them if (reason := cannot(name, chosen.quick, workload))}
    makers = {"twin": Twin} | {name: make for name, make in all_of_them.items() if name not in left_out}
    data = workload.data()
    losses: dict[str, list[np.ndarray]] = {}
    weights: dict[str, list[np.ndarray]] = {}
    plain = replace(workload, dropout=0.0)  # libraries draw other numbers
    trainers = {name: make(plain, plain.weights(), *data, frame.THREADS) for name, make in makers.items()}
    for name, trainer in trainers.items():
        # JAX compiles for a number of epochs: here for the one that it is measured with, too.
        calls = [1] * workload.verified if name.startswith("JAX") else [workload.verified]
        losses[name] = [np.concatenate([trainer.fit(epochs, shuffle=False) for epochs in calls])]
        weights[name] = [array.copy() for array in trainer.weights()]
    epochs = f"{workload.verified} epoch{'s' if workload.verified > 1 else ''}"
    off = frame.disagreeing(f"{workload.name}, losses of {epochs}", losses, workload.rtol)
    off |= frame.disagreeing(f"{workload.name}, weights after {epochs}", weights, workload.weights_rtol)
    for name, reason in off.items():  # whoever computes something else is not compared
        left_out[name] = reason
        del trainers[name], makers[name]
    if off:
        what, agreeing = f"{workload.name}: contenders that compute the same", len(trainers)
        report.require(what, agreeing, at_least=agreeing + len(off))
    without = "without dropout, " if workload.dropout else ""
    agree = f"{without}losses agree to {workload.rtol:g} and weights to {workload.weights_rtol:g} after {epochs}"
    print(f"\n{workload}\nverified: {agree}")
    del trainers["twin"]
    if workload.dropout:
        trainers = {
            name: make(workload, workload.weights(), *data, frame.THREADS)
            for name, make in makers.items()
            if name != "twin"
        }
        for name, trainer in trainers.items():  # those that compile do so now
            trainer.fit(per_call(name, workload), workload.shuffled)

    taking_part = contenders(trainers, workload)
    calls = {name: lambda t=trainer, n=n: t.fit(n, workload.shuffled) for name, (trainer, n) in taking_part.items()}
    seconds = 0.0 if chosen.smoke else 1.2 if chosen.quick else 10.0
    timings = frame.measure(
        calls | frame.peak("float32"), seconds, at_least=2 if chosen.smoke else 3 if chosen.quick else 5
    )
    peak = frame.peak_flops(timings, "float32")
    timings = {name: timing.per(taking_part[name][1]) for name, timing in timings.items()}
    ratios, shares = frame.ratios(timings), {}
    rows = []
    for name in sorted(timings, key=lambda name: timings[name].minimum):
        least, median = timings[name].minimum * 1e6, timings[name].median * 1e6
        if name.startswith(frame.OURS):
            used = 1 if name == "fastnn, 1 thread" else frame.THREADS
            shares[name] = workload.flops * workload.steps / timings[name].minimum / peak / used
        rows.append(
            [
                name, str(taking_part[name][1]), f"{least:.2f}", f"{median:.2f}", f"{least / workload.steps:.3f}",
                f"{100 * shares[name]:.1f}" if name in shares else "", f"{ratios[name]:.2f}" if name in ratios else "",
                f"{timings[name].processors:.2f}",
            ]
        )  # fmt: skip
    headings = [
        "contender", "epochs per call", "µs/epoch", "median", "µs/step", "% of FMA peak", "fastnn is × faster",
        "processors",
    ]  # fmt: skip
    print(frame.table(headings, rows))
    for name, reason in left_out.items():
        print(f"without {name}: {reason}")
    if workload.published:
        many = (f"{name} {t.minimum * workload.published:.2f}" for name, t in timings.items())
        print(f"seconds per {workload.published:,} epochs: {', '.join(many)}")
    report.add(
        timings, workload=workload.name, epochs=workload.epochs, steps=workload.steps, flops=workload.flops,
        peak=peak, share_of_peak=shares, left_out=left_out,
    )  # fmt: skip
    require(workload, report, timings, shares)


def require(
    workload: Workload, report: frame.Report, timings: dict[str, frame.Timing], shares: dict[str, float]
) -> None:
    """Hold the ratios against those that the workload asks of one thread and of two, and the speed-up of two."""
    ratios = frame.ratios(timings)
    for name, least in workload.at_least.items():
        forms = {other: ratio for other, ratio in ratios.items() if other in (name, *FORMS.get(name, ()))}
        if forms:
            fastest = min(forms, key=forms.__getitem__)
            what = f"{workload.name}, {workload.batch}: × faster than {fastest}"
            possible = forms[fastest] / shares[frame.OURS] if workload.precision == "float32" else None
            report.require(what, forms[fastest], at_least=least if frame.THREADS <= 2 else None, possible=possible)
    if all(name in timings for name in ONCE.values()):
        ours, theirs = (timings[name].minimum for name in ONCE.values())
        what = f"{workload.name}, {workload.batch}: one epoch per call for both, × faster than JAX (to compare)"
        report.require(what, theirs / ours)
    if workload.share and frame.THREADS == 1:
        what = f"{workload.name}, {workload.batch}: share of the FMA peak"
        report.require(what, shares[frame.OURS], at_least=workload.share)
    if "fastnn, 1 thread" in ratios:
        what = f"{workload.name}, {workload.batch}: × faster than with one thread"
        bound = workload.speed_up or None if frame.THREADS == 2 else None
        report.require(what, ratios["fastnn, 1 thread"], at_least=bound)


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    for each in WORKLOADS:
        workload = each
        if chosen.precision:
            if each.name not in FASTER:
                continue
            others = {"rtol": RTOL, "weights_rtol": WEIGHTS_RTOL, "share": 0.0, "speed_up": 0.0}
            workload = replace(each, at_least=FASTER[each.name], precision="bfloat16", **others)
        if chosen.only in workload.name:
            small = replace(workload, rows=min(workload.rows, 2 * workload.batch), epochs=min(workload.epochs, 20))
            bench(small if chosen.smoke else workload, chosen, report)


def more_options(parser: argparse.ArgumentParser) -> None:
    text = "bf16: products in bfloat16, against our float32, PyTorch and JAX in bfloat16"
    parser.add_argument("--precision", choices=["bf16"], help=text)


if __name__ == "__main__":
    frame.run(__doc__, benchmark, more_options)

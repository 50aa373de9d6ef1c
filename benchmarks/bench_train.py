"""Whole training: epochs of fit against the NumPy twin, scikit-learn, PyTorch and JAX, one thread each."""

import argparse
from dataclasses import replace

import frame
from trainers import TRAINERS, cannot, missing
from workloads import WORKLOADS, Workload


def bench(workload: Workload, chosen: argparse.Namespace, report: frame.Report, left_out: dict[str, str]) -> list[str]:
    """Verify, measure and print one workload; return what it says about the required ratios."""
    left_out = {name: reason for name in TRAINERS if (reason := cannot(name, workload))} | left_out
    data, verified = workload.data(), {}
    trainers = {n: make(workload, workload.weights(), *data) for n, make in TRAINERS.items() if n not in left_out}
    for name, trainer in trainers.items():
        verified[name] = [trainer.fit(workload.verified, shuffle=False), *trainer.weights()]
    frame.verify(f"{workload.name} after {workload.verified} epochs", verified, workload.rtol)
    print(f"\n{workload}\nverified: losses and weights after {workload.verified} epochs agree to {workload.rtol:g}")

    rows, required = [], []
    for epochs in (workload.epochs, 1):
        seconds = 0.0 if chosen.smoke else 2.0 if chosen.quick else 10.0
        calls = {name: lambda trainer=trainer: trainer.fit(epochs, shuffle=True) for name, trainer in trainers.items()}  # noqa: B023
        timings = frame.measure(calls, seconds, at_least=2 if chosen.smoke else 5)
        ratios = frame.ratios(timings)
        form = f"{epochs} epochs per call" if epochs > 1 else "1 epoch per call"
        for name in sorted(timings, key=lambda name: timings[name].minimum):
            least, median = timings[name].minimum / epochs * 1e6, timings[name].median / epochs * 1e6
            ratio = f"{ratios[name]:.2f}" if name in ratios else ""
            rows.append([form, name, f"{least:.2f}", f"{median:.2f}", f"{least / workload.steps:.2f}", ratio])
        report.add(
            timings, workload=workload.name, form=form, epochs=epochs, steps=epochs * workload.steps, left_out=left_out
        )
        for name, least in workload.at_least.items():
            line = f"{workload.name}, {form}: {1 / ratios[name]:.3f} of {name}'s time"
            if epochs == 1:
                required.append(f"{line} (to compare)")
                continue
            holds = ratios[name] >= least
            line += f", required at most 1/{least:g} = {1 / least:.3f}: {'holds' if holds else 'DOES NOT HOLD'}"
            required.append(line)
            if not holds:
                report.missed.append(line)
    print(frame.table(["form", "contender", "µs/epoch", "median", "µs/step", "fastnn is × faster"], rows))
    for name, reason in left_out.items():
        print(f"without {name}: {reason}")
    return required


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    absent, required = {name: reason for name in TRAINERS if (reason := missing(name))}, []
    for workload in WORKLOADS:
        if chosen.only in workload.name:
            small = replace(workload, rows=min(workload.rows, 2 * workload.batch), epochs=min(workload.epochs, 20))
            required += bench(small if chosen.smoke else workload, chosen, report, absent)
    if required:
        print("\nAn epoch of fit, required:\n" + "\n".join(required))
    report.more["required"] = required


if __name__ == "__main__":
    frame.run(__doc__, benchmark)

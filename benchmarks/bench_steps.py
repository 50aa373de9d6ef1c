"""One step at a time: train_batch against its parts by hand, and steps of one row against the arithmetic of a row."""

import argparse
from collections.abc import Callable

import frame
import numpy as np

from fastnn import MSE, SGD, Adam, Dense, Model, Optimizer, kernels

NETS = (((4, 32, 2), 32), ((20, 64, 64, 2), 32), ((20, 128, 128, 10), 256))
AT_MOST = 1.2  # of the time of train_batch, by hand
ROW_NET = (20, 64, 64, 2)
OF_ARITHMETIC, OF_PYTHON = 1.4, 0.35  # of the times of these, learn_one and train_batch
COMPILED, BY_PYTHON = "train_batch", "train_batch by Python"
ARITHMETIC, PREDICTION = "the recorded step alone", "predict_one"


def net(sizes: tuple[int, ...]) -> Model:
    hidden = [Dense(units, "relu") for units in sizes[1:-1]]
    return Model([*hidden, Dense(sizes[-1])], seed=0).build(sizes[0])


def take_by_python(model: Model, *arguments: object) -> float:
    """Take the step of train_batch on x and y, with this loss and optimizer, without a compiled call."""
    trainer, (x, t, *parts) = model._trainer, arguments
    return trainer.claim.run(trainer.take_batch, x, t, None, *parts)[0]


def contenders(sizes: tuple[int, ...], rows: int) -> dict[str, Callable[[], np.ndarray]]:
    """Return the same steps in three ways, each on a net of its own: they return its parameters."""
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=(rows, n)).astype(np.float32) for n in (sizes[0], sizes[-1]))
    compiled, whole, parts, loss = net(sizes), net(sizes), net(sizes), MSE()
    optimizers = Adam(1e-4), Adam(1e-4), Adam(1e-4)
    dy, value, mse = np.empty_like(t), np.empty(1), kernels.float32.mse

    def train_batch() -> np.ndarray:
        compiled.train_batch(x, t, loss=loss, optimizer=optimizers[2])
        return compiled.params

    def by_python() -> np.ndarray:
        take_by_python(whole, x, t, loss, optimizers[0])
        return whole.params

    def by_hand() -> np.ndarray:
        mse(parts.forward(x), t, None, dy, value)
        parts.backward(dy)
        optimizers[1].step(parts)
        return parts.params

    return {COMPILED: train_batch, BY_PYTHON: by_python, frame.OURS: by_hand}


def contenders_of_a_row(make: Callable[[], Optimizer]) -> dict[str, Callable[[], np.ndarray]]:
    """Return the same step on one row in four ways, and a prediction of the row."""
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=n).astype(np.float32) for n in (ROW_NET[0], ROW_NET[-1]))
    batch = x[None], t[None]
    by_row, by_batch, by_python, recorded = (net(ROW_NET) for _ in range(4))
    kept = [make() for _ in range(4)]
    for model, optimizer in zip((by_row, by_batch, by_python, recorded), kept, strict=True):
        model.loss, model.optimizer = "mse", optimizer
    tape = recorded._trainer.take_batch(*batch, None, None, None)[3][1]

    def learn_one() -> np.ndarray:
        by_row.learn_one(x, t)
        return by_row.params

    def train_batch() -> np.ndarray:
        by_batch.train_batch(*batch)
        return by_batch.params

    def python() -> np.ndarray:
        take_by_python(by_python, *batch, None, None)
        return by_python.params

    def replay() -> np.ndarray:
        tape.replay()
        return recorded.params

    def predict_one() -> np.ndarray:
        return by_row.predict_one(x)

    learn_one(), train_batch(), python()
    return {
        frame.OURS: learn_one, COMPILED: train_batch, BY_PYTHON: python, ARITHMETIC: replay, PREDICTION: predict_one,
    }  # fmt: skip


def benchmark_of_a_row(chosen: argparse.Namespace, report: frame.Report) -> None:
    rows = []
    for make in (lambda: SGD(1e-4), lambda: SGD(1e-4, momentum=0.9), lambda: Adam(1e-4)):
        rule = make()
        what = f"{'-'.join(map(str, ROW_NET))}, one row, {rule}"
        if chosen.only not in what:
            continue
        calls = contenders_of_a_row(make)
        for _ in range(3):
            frame.verify(f"{what}: parameters", {name: [calls[name]()] for name in [*calls][:4]}, 0)
        timings = frame.measure(calls, 0.0 if chosen.smoke else 1.0 if chosen.quick else 10.0)
        times = {name: timing.minimum for name, timing in timings.items()}
        ours = times[frame.OURS]
        rows.append([what, *(f"{times[name] * 1e6:.2f}" for name in calls), f"{ours / times[ARITHMETIC]:.2f}"])
        report.add(timings, net=what)
        for name, time in (("learn_one", ours), (COMPILED, times[COMPILED])):
            report.require(f"{what}: {name}, of the step alone", time / times[ARITHMETIC], at_most=OF_ARITHMETIC)
            report.require(f"{what}: {name}, of {BY_PYTHON}", time / times[BY_PYTHON], at_most=OF_PYTHON)
    if rows:
        print("\nverified: the same bits in all ways\n")
        names = ["µs of learn_one", COMPILED, "by Python", ARITHMETIC, PREDICTION, "of the step alone"]
        print(frame.table(["net, optimizer (float32)", *names], rows))


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    rows = []
    for sizes, batch in NETS[:1] if chosen.smoke else NETS:
        what = f"{'-'.join(map(str, sizes))}, {batch}"
        if chosen.only not in what:
            continue
        calls = contenders(sizes, batch)
        for _ in range(3):
            frame.verify(f"{what}: parameters", {name: [call()] for name, call in calls.items()}, 0)
        timings = frame.measure(calls, 0.0 if chosen.smoke else 3.0 if chosen.quick else 15.0)
        ratios = {name: timings[frame.OURS].minimum / timings[name].minimum for name in (COMPILED, BY_PYTHON)}
        times = [f"{timing.minimum * 1e6:.1f}" for timing in timings.values()]
        rows.append([what, *times, *(f"{ratio:.2f}" for ratio in ratios.values())])
        report.add(timings, net=what)
        for name, ratio in ratios.items():
            report.require(f"{what}: by hand, of the time of {name}", ratio, at_most=AT_MOST)
    if rows:
        print("\nverified: the same bits in all three ways\n")
        names = ["µs of train_batch", "by Python", "by hand", "of train_batch", "of by Python"]
        print(frame.table(["net, batch (Adam, float32)", *names], rows))


def all_benchmarks(chosen: argparse.Namespace, report: frame.Report) -> None:
    benchmark(chosen, report)
    benchmark_of_a_row(chosen, report)


if __name__ == "__main__":
    frame.run(__doc__, all_benchmarks)

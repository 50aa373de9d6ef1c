"""One step at a time: train_batch against its parts by hand, and learn_one against the arithmetic of a row."""

import argparse
from collections.abc import Callable

import frame
import numpy as np

from fastnn import MSE, SGD, Adam, Dense, Model, Optimizer, kernels

NETS = (((4, 32, 2), 32), ((20, 64, 64, 2), 32), ((20, 128, 128, 10), 256))
AT_MOST = 1.2  # of the time of train_batch
ROW_NET = (20, 64, 64, 2)
OF_ARITHMETIC, OF_TRAIN_BATCH = 1.4, 0.35  # of the times of these, learn_one
ARITHMETIC, PREDICTION = "the recorded step alone", "predict_one"


def net(sizes: tuple[int, ...]) -> Model:
    hidden = [Dense(units, "relu") for units in sizes[1:-1]]
    return Model([*hidden, Dense(sizes[-1])], seed=0).build(sizes[0])


def contenders(sizes: tuple[int, ...], rows: int) -> dict[str, Callable[[], np.ndarray]]:
    """Return the same steps in two ways, each on a net of its own: they return its parameters."""
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=(rows, n)).astype(np.float32) for n in (sizes[0], sizes[-1]))
    whole, parts, loss, optimizers = net(sizes), net(sizes), MSE(), (Adam(1e-4), Adam(1e-4))
    dy, value, mse = np.empty_like(t), np.empty(1), kernels.float32.mse

    def train_batch() -> np.ndarray:
        whole.train_batch(x, t, loss=loss, optimizer=optimizers[0])
        return whole.params

    def by_hand() -> np.ndarray:
        mse(parts.forward(x), t, None, dy, value)
        parts.backward(dy)
        optimizers[1].step(parts)
        return parts.params

    return {"train_batch": train_batch, frame.OURS: by_hand}


def contenders_of_a_row(make: Callable[[], Optimizer]) -> dict[str, Callable[[], np.ndarray]]:
    """Return the same step on one row in three ways, and a prediction of the row."""
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=n).astype(np.float32) for n in (ROW_NET[0], ROW_NET[-1]))
    batch = x[None], t[None]
    by_row, by_batch, recorded = net(ROW_NET), net(ROW_NET), net(ROW_NET)
    for model, optimizer in ((by_row, make()), (by_batch, make()), (recorded, make())):
        model.loss, model.optimizer = "mse", optimizer
    tape = recorded._trainer.take_batch(*batch, None, None, None)[3][1]

    def learn_one() -> np.ndarray:
        by_row.learn_one(x, t)
        return by_row.params

    def train_batch() -> np.ndarray:
        by_batch.train_batch(*batch)
        return by_batch.params

    def replay() -> np.ndarray:
        tape.replay()
        return recorded.params

    def predict_one() -> np.ndarray:
        return by_row.predict_one(x)

    learn_one(), train_batch()
    return {frame.OURS: learn_one, "train_batch": train_batch, ARITHMETIC: replay, PREDICTION: predict_one}


def benchmark_of_a_row(chosen: argparse.Namespace, report: frame.Report) -> None:
    rows = []
    for make in (lambda: SGD(1e-4), lambda: SGD(1e-4, momentum=0.9), lambda: Adam(1e-4)):
        rule = make()
        what = f"{'-'.join(map(str, ROW_NET))}, one row, {rule}"
        if chosen.only not in what:
            continue
        calls = contenders_of_a_row(make)
        for _ in range(3):
            frame.verify(f"{what}: parameters", {name: [calls[name]()] for name in [*calls][:3]}, 0)
        timings = frame.measure(calls, 0.0 if chosen.smoke else 1.0 if chosen.quick else 10.0)
        times = {name: timing.minimum for name, timing in timings.items()}
        ours = times[frame.OURS]
        rows.append([what, *(f"{times[name] * 1e6:.2f}" for name in calls), f"{ours / times[ARITHMETIC]:.2f}"])
        report.add(timings, net=what)
        report.require(f"{what}: learn_one, of the step alone", ours / times[ARITHMETIC], at_most=OF_ARITHMETIC)
        report.require(f"{what}: learn_one, of train_batch", ours / times["train_batch"], at_most=OF_TRAIN_BATCH)
    if rows:
        print("\nverified: the same bits in all ways\n")
        names = ["µs of learn_one", "train_batch", ARITHMETIC, PREDICTION, "of the step alone"]
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
        whole, parts = timings["train_batch"], timings[frame.OURS]
        ratio = parts.minimum / whole.minimum
        rows.append([what, *(f"{t * 1e6:.1f}" for t in (whole.minimum, parts.minimum)), f"{ratio:.2f}"])
        report.add(timings, net=what)
        report.require(f"{what}: by hand, of the time of train_batch", ratio, at_most=AT_MOST)
    if rows:
        print("\nverified: the same bits in both ways\n")
        print(frame.table(["net, batch (Adam, float32)", "µs of train_batch", "by hand", "ratio"], rows))


def all_benchmarks(chosen: argparse.Namespace, report: frame.Report) -> None:
    benchmark(chosen, report)
    benchmark_of_a_row(chosen, report)


if __name__ == "__main__":
    frame.run(__doc__, all_benchmarks)

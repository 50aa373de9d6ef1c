"""One step at a time: train_batch against its parts by hand, forward, backward and the optimizer's step."""

import argparse
from collections.abc import Callable

import frame
import numpy as np

from fastnn import MSE, Adam, Dense, Model, kernels

NETS = (((4, 32, 2), 32), ((20, 64, 64, 2), 32), ((20, 128, 128, 10), 256))
AT_MOST = 1.2  # of the time of train_batch


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


if __name__ == "__main__":
    frame.run(__doc__, benchmark)

"""How good nets are whose products are in bfloat16: the same nets, data and seeds as in float32, over ten seeds."""

import argparse
from collections.abc import Callable
from typing import Any

import frame
import numpy as np

from fastnn import SGD, Adam, Dense, Model, Normalization, datasets

SEEDS = 10
Data = tuple[np.ndarray, np.ndarray]


def digits() -> tuple[Data, Data]:
    x, labels = datasets.load_digits()
    x = (x / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, labels = x[order], labels[order]
    return (x[:1400], labels[:1400]), (x[1400:], labels[1400:])


def friedman(seed: int) -> tuple[Data, Data]:
    """The first or third function of Friedman (1991), of ten columns, with noise a tenth as large as its deviation."""
    rng = np.random.default_rng(seed)
    u = rng.random((3000, 10))
    if seed == 1:
        y = 10 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - 0.5) ** 2 + 10 * u[:, 3] + 5 * u[:, 4]
    else:
        y = np.arctan((u[:, 1] * u[:, 2] * 10 - 1 / (1 + 10 * u[:, 1] * u[:, 3])) / (0.1 + u[:, 0]))
    y = (y - y.mean()) / y.std()
    y = (y + 0.1 * rng.normal(size=y.shape)).astype(np.float32)[:, None]
    return (u[:2000].astype(np.float32), y[:2000]), (u[2000:].astype(np.float32), y[2000:])


def classifier(seed: int, precision: str | None) -> Model:
    return Model([Dense(128, "relu"), Dense(64, "relu"), Dense(10, "softmax")], seed=seed, precision=precision)


def regressor(seed: int, precision: str | None) -> Model:
    layers = [Normalization(), Dense(128, "relu"), Dense(128, "relu"), Dense(64, "relu"), Dense(1)]
    return Model(layers, seed=seed, precision=precision)


def error_rate(y: np.ndarray, labels: np.ndarray) -> float:
    return float((y.argmax(axis=1) != labels).mean())


def root_mean_square(y: np.ndarray, t: np.ndarray) -> float:
    return float(np.sqrt(np.mean((y - t) ** 2)))


# What is learnt: data, net, loss, optimizer, and what is measured on rows that were not trained on
TASKS: dict[str, tuple[tuple[Data, Data], Callable[..., Model], str, Callable[[], Any], Callable[..., float]]] = {
    "digits, SGD: error rate": (digits(), classifier, "cross_entropy", lambda: SGD(0.1), error_rate),
    "digits, Adam: error rate": (digits(), classifier, "cross_entropy", lambda: Adam(0.002), error_rate),
    "Friedman 1, Adam: rmse": (friedman(1), regressor, "mse", lambda: Adam(0.002), root_mean_square),
    "Friedman 3, Adam: rmse": (friedman(3), regressor, "mse", lambda: Adam(0.002), root_mean_square),
}


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    seeds, epochs = (2, 2) if chosen.smoke else (3, 10) if chosen.quick else (SEEDS, 40)
    rows = []
    for task, (((x, y), held_out), make, loss, optimizer, measure) in TASKS.items():
        if chosen.only not in task:
            continue
        found: dict[str | None, np.ndarray] = {}
        for precision in (None, "bf16"):
            results = []
            for seed in range(seeds):
                net = make(seed, precision)
                net.fit(x, y, loss, optimizer(), epochs=epochs, batch_size=64, verbose=False)
                results.append(measure(net.predict(held_out[0]), held_out[1]))
            found[precision] = np.array(results)
        exact, rounded = found[None], found["bf16"]
        error = float(exact.std(ddof=1) / np.sqrt(seeds))
        apart = float(abs(rounded.mean() - exact.mean()))
        rows.append([task, f"{exact.mean():.5f}", f"{rounded.mean():.5f}", f"{error:.5f}", f"{apart / error:.2f}"])
        report.rows.append({"task": task, "float32": exact.tolist(), "bf16": rounded.tolist()})
        if not chosen.smoke and not chosen.quick:
            report.require(f"{task}: standard errors apart", apart / error, at_most=1)
    print(frame.table(["held-out rows", "float32", "bf16", "standard error of float32", "apart, in these"], rows))


if __name__ == "__main__":
    frame.run(__doc__, benchmark)

"""What `fit` does by default: scores and times by the number of steps, and by the scale of the targets."""

import argparse
import time
import warnings
from typing import Any

import frame
import numpy as np

from fastnn import Dense, Model, Softmax

SETS = ("iris", "wine", "breast_cancer", "digits", "diabetes", "linnerud", "308 rows")
CLASSES = SETS[:4]
STEPS = (1000, 2000, 4000, 8000, 16000)
SCALES = ((0, 1), (5, 1), (10, 1), (30, 1), (100, 1), (0, 0.2), (0, 0.1), (0, 0.03), (0, 10), (0, 30), (0, 100))
UNITS = 32


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y, a column or more of numbers, or labels."""
    if name == "308 rows":
        rng = np.random.default_rng(5)
        x = rng.normal(size=(308, 6))
        bends = 5 * np.exp(x[:, 0] / 2) + 3 * np.sin(2 * x[:, 1]) + 2 * x[:, 2] * x[:, 3]
        return x, (bends + rng.normal(0, 0.5, 308))[:, None]
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y if name in CLASSES else y.reshape(len(y), -1)


def trained(name: str, seed: int, mean: float = 0.0, std: float = 1.0, **options: Any) -> tuple[float, float, int]:
    """Return the score on a fifth that is held out, accuracy or R², the seconds of the fit, and its epochs."""
    x, y = load(name)
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = order[: len(x) // 5], order[len(x) // 5 :]
    x = ((x - x[train].mean(axis=0)) / (x[train].std(axis=0) + 1e-9)).astype(np.float32)
    if name in CLASSES:
        net = Model([Dense(UNITS, "relu"), Dense(int(y.max()) + 1), Softmax()], seed=seed)
    else:
        y = (mean + std * (y - y[train].mean(axis=0)) / y[train].std(axis=0)).astype(np.float32)
        net = Model([Dense(UNITS, "relu"), Dense(y.shape[1])], seed=seed)
    start = time.perf_counter()
    history = net.fit(x[train], y[train], verbose=False, **options)
    seconds, outputs = time.perf_counter() - start, net.predict(x[test])
    if name in CLASSES:
        return float(np.mean(outputs.argmax(axis=1) == y[test])), seconds, len(history)
    error, spread = ((outputs - y[test]) ** 2).sum(), ((y[test] - y[train].mean(axis=0)) ** 2).sum()
    return float(1 - error / spread), seconds, len(history)


def shown(runs: list[tuple[float, float, int]]) -> str:
    return f"{np.mean([score for score, *_ in runs]):.2f}, {1e3 * min(seconds for _, seconds, _ in runs):.0f} ms"


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    warnings.simplefilter("ignore", UserWarning)  # targets far from unit scale are what the second table is about
    seeds = range(1 if chosen.smoke else 2 if chosen.quick else 6)
    names = [name for name in (("iris", "308 rows") if chosen.smoke else SETS) if chosen.only in name]
    if not names:
        return
    rows = []
    for name in names:
        n = len(load(name)[0]) - len(load(name)[0]) // 5
        columns = [10, *(max(10, -(-steps // -(-n // 32))) for steps in STEPS[: 1 if chosen.smoke else None]), None]
        runs = [[trained(name, seed, epochs=epochs) for seed in seeds] for epochs in columns]
        rows.append([f"{name} ({n})", *map(shown, runs), f"{runs[-1][0][2]}"])
        report.rows.append({"set": name, "epochs": columns, "runs": runs})
    print(f"\nscore (accuracy or R²) of {UNITS} units on a fifth held out, and time of the fit\n")
    steps = [f"{steps:,} steps" for steps in STEPS[: 1 if chosen.smoke else None]]
    print(frame.table(["set (rows)", "10 epochs", *steps, "default", "its epochs"], rows))
    names = [name for name in names if name not in CLASSES and name != "linnerud"]
    rows = []
    for mean, std in SCALES[: 2 if chosen.smoke else None]:
        runs = [[trained(name, seed, mean, std) for seed in seeds] for name in names]
        report.rows.append({"sets": names, "mean": mean, "std": std, "runs": runs})
        rows.append([f"{mean:g}", f"{std:g}", *(f"{np.mean([score for score, *_ in run]):.2f}" for run in runs)])
    if names:
        print("\nR² by the mean and standard deviation of targets, by default\n")
        print(frame.table(["mean", "standard deviation", *names], rows))


if __name__ == "__main__":
    frame.run(__doc__, benchmark)

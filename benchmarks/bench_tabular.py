"""A fit of RealMLP-TD on a table: fastnn against pytabkit, with the same sizes, batches, epochs and rates."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import frame
import machine
import numpy as np

from fastnn import Model
from fastnn.sklearn import recipes

ROWS, COLUMNS, HELD = 10_000, 20, 0.2  # of the rows, a fifth chooses the epoch
EPOCHS, QUICK_EPOCHS = 16, 4  # of 256 in both libraries: the time is that of the epochs
AT_LEAST = 3.0  # times less processor time
WITHIN = 0.03  # as much less accuracy than pytabkit's is noise: other first weights, rows in another order


class Fitted(NamedTuple):
    predict: Callable[[np.ndarray], np.ndarray]  # classes
    parameters: int


Fit = Callable[[], Fitted]


def data(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make columns of numbers, and classes that follow from six of them and chance."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    signal = np.sin(2 * x[:, 0] * x[:, 1]) + x[:, 2] * x[:, 3] + np.abs(x[:, 4]) - np.abs(x[:, 5])
    return x, (signal + 0.5 * rng.normal(size=rows) > 0).astype(np.int64)


def of_fastnn(x: np.ndarray, y: np.ndarray, epochs: int) -> Fit:
    """RealMLP-TD from the parts of which the estimators for tables are made."""
    task = recipes.Task(outputs=2, of_classes=True, n_numbers=COLUMNS, n_scaled=COLUMNS, codes=())
    recipe = recipes.Recipe(dropout=0.15, decay=0.02, smoothing=0.1, parametric=True, embedding="pbld")
    train = round(len(x) * (1 - HELD))

    def fit() -> Fitted:
        middle = np.median(x[:train], axis=0)
        low, high = np.quantile(x[:train], (0.25, 0.75), axis=0)
        scaled = ((x - middle) / (high - low)).astype(np.float32)
        scaled /= np.sqrt(1 + (scaled / 3) ** 2)
        net = recipes.build(recipe, task, 0, "float32").build(COLUMNS)

        def accuracy(net: Model) -> float:
            return float((np.asarray(net.predict(scaled[train:])).argmax(axis=1) == y[train:]).mean())

        net.fit(
            scaled[:train], y[:train], epochs=epochs, batch_size=256, loss=recipes.loss_for(recipe, task),
            optimizer=recipes.optimizer_for(recipe, task, net),
            callbacks=[recipes.LastBest("val_accuracy", "max", accuracy)], n_threads=frame.THREADS, verbose=0,
        )  # fmt: skip

        def predict(rows: np.ndarray) -> np.ndarray:
            inside = ((rows - middle) / (high - low)).astype(np.float32)
            return np.asarray(net.predict(inside / np.sqrt(1 + (inside / 3) ** 2))).argmax(axis=1)

        return Fitted(predict, net.params.size)

    return fit


def of_pytabkit(x: np.ndarray, y: np.ndarray, epochs: int) -> Fit:
    from pytabkit import RealMLP_TD_Classifier

    def fit() -> Fitted:
        options: dict[str, Any] = {"device": "cpu", "random_state": 0, "n_threads": frame.THREADS, "verbosity": 0}
        estimator = RealMLP_TD_Classifier(n_epochs=epochs, val_fraction=HELD, **options)
        estimator.fit(x, y)
        parameters = sum(parameter.numel() for parameter in estimator.cv_alg_interface_.model.parameters())
        return Fitted(lambda rows: np.asarray(estimator.predict(rows)), parameters)

    return fit


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    why_not = machine.missing(("torch", "pytabkit"), "pip install torch pytabkit")
    epochs = 1 if chosen.smoke else QUICK_EPOCHS if chosen.quick else EPOCHS
    x, y = data(600 if chosen.smoke else ROWS, 0)
    what = f"RealMLP-TD, {len(x)} x {COLUMNS}, {epochs} epochs"
    if chosen.only not in what:
        return
    fits = {frame.OURS: of_fastnn(x, y, epochs)}
    if not why_not:
        fits["pytabkit"] = of_pytabkit(x, y, epochs)
    rows, targets = data(ROWS, 1)
    fitted = {name: fit() for name, fit in fits.items()}
    frame.verify("parameters", {name: [np.array([found.parameters])] for name, found in fitted.items()}, 0)
    accuracy = {name: float((found.predict(rows) == targets).mean()) for name, found in fitted.items()}
    timings = frame.measure(fits, 0.0, at_least=1 if chosen.smoke else 2)
    report.more["accuracy"] = accuracy
    report.add(timings, net=what, rows=len(x), left_out=why_not)
    ours = timings[frame.OURS].processor_seconds
    cells = []
    for name, t in timings.items():
        seconds = (t.processor_seconds, t.minimum, t.processor_seconds / ours)
        cells.append([name, *(f"{number:.2f}" for number in seconds), f"{accuracy[name]:.3f}"])
    print(f"\nA fit of {what}, a fifth of the rows held out, on {frame.THREADS} threads")
    print(frame.table(["contender", "s of processors", "s", "of fastnn", "accuracy"], cells))
    if why_not:
        print(f"without pytabkit: {why_not}")
        return
    found = timings["pytabkit"].processor_seconds / ours
    report.require(f"{what}: processor time of pytabkit / of fastnn", found, AT_LEAST)
    short = accuracy["pytabkit"] - accuracy[frame.OURS]
    report.require("by how much pytabkit's accuracy on other rows is better", short, at_most=WITHIN)


if __name__ == "__main__":
    frame.run(__doc__, benchmark)

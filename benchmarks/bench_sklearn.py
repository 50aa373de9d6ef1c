"""scikit-learn's estimators and fastnn's of the same names: whole fits, predictions of one row, a grid search."""

import argparse
import os
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import frame
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as Original
from sklearn.preprocessing import scale

from fastnn.sklearn import MLPClassifier

PEER = "scikit-learn"
KINDS: Mapping[str, Any] = {PEER: Original, frame.OURS: MLPClassifier}
LOSS_RTOL = 1e-3  # of the losses of all epochs: the same steps, rounded elsewhere
GRID = {
    "hidden_layer_sizes": [(8,), (32,), (16, 16)], "alpha": [1e-4, 1e-1], "learning_rate_init": [1e-3, 1e-2],
    "activation": ["relu", "tanh"],
}  # fmt: skip
QUICK_GRID = {"hidden_layer_sizes": [(8,), (32,)], "learning_rate_init": [1e-3, 1e-2]}

Data = tuple[np.ndarray, np.ndarray]


def digits() -> Data:
    x, y = load_digits(return_X_y=True)
    return x / 16, y


def iris() -> Data:
    return load_iris(return_X_y=True)  # type: ignore[no-any-return]


def cancer() -> Data:
    x, y = load_breast_cancer(return_X_y=True)
    return scale(x), y


def float32(data: Callable[[], Data]) -> Data:
    """Return the same rows in float32, which both libraries compute in then."""
    x, y = data()
    return x.astype(np.float32), y


def images() -> Data:
    """Return numbers of the shape of small pictures, in float32, with labels that can be learnt."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 784)).astype(np.float32)
    return x, (x @ rng.normal(size=(784, 10)).astype(np.float32)).argmax(1)


DIGITS: Mapping[str, Any] = {"hidden_layer_sizes": (64, 64), "batch_size": 32, "max_iter": 20}
# what, data, settings, at least so many times as fast; all else is as by default, the rules that end a fit, too
FITS: tuple[tuple[str, Callable[[], Data], Mapping[str, Any], float], ...] = (
    ("digits, (64, 64), batch 32", digits, DIGITS, 10),
    ("digits, (64, 64), batch 32, float32", partial(float32, digits), DIGITS, 10),
    ("iris, all by default", iris, {}, 20),
    ("iris, all by default, float32", partial(float32, iris), {}, 20),
    (
        "784-100-100-10, batch 200, float32", images,
        {"hidden_layer_sizes": (100, 100), "batch_size": 200, "max_iter": 3}, 2,
    ),
)  # fmt: skip
ONE_ROW, SEARCH = 15, 8


def fitted(kind: Any, data: Data, settings: Mapping[str, Any]) -> Any:
    return kind(random_state=0, **settings).fit(*data)


def learnt(model: Any) -> list[np.ndarray]:
    return [np.array(model.loss_curve_)]


def compare(
    what: str, calls: Mapping[str, Callable[[], Any]], chosen: argparse.Namespace, report: frame.Report,
    at_least: float, at_most: int = 400,
) -> None:  # fmt: skip
    timings = frame.measure(calls, 0.0 if chosen.smoke else 4.0 if chosen.quick else 30.0, 3, at_most)
    found = frame.ratios(timings)[PEER]
    print(
        f"{what}: {timings[PEER].minimum * 1e3:.3f} ms, fastnn {timings[frame.OURS].minimum * 1e3:.3f} ms, "
        f"{found:.1f} × as fast",
        flush=True,
    )
    report.add(timings, what=what)
    report.require(f"{what}: × faster than {PEER}", found, at_least=at_least)


def fits(chosen: argparse.Namespace, report: frame.Report) -> None:
    for what, data, by_name, at_least in FITS:
        if chosen.only not in what:
            continue
        (x, y), settings = data(), by_name
        if chosen.smoke:
            x, y, settings = x[::10], y[::10], {**settings, "max_iter": 2, "batch_size": 10}
        models = {name: fitted(kind, (x, y), settings) for name, kind in KINDS.items()}
        frame.verify(f"{what}: losses", {name: learnt(model) for name, model in models.items()}, LOSS_RTOL)
        calls = {name: partial(fitted, kind, (x, y), settings) for name, kind in KINDS.items()}
        compare(what, calls, chosen, report, at_least)


def one_row(chosen: argparse.Namespace, report: frame.Report) -> None:
    x, y = digits()
    models = {
        name: fitted(kind, (x, y), {"hidden_layer_sizes": (64, 64), "max_iter": 2}) for name, kind in KINDS.items()
    }
    row = np.ascontiguousarray(x[:1])
    for method in ("predict", "predict_proba"):
        what = f"{method} of one row, 64-64-64-10"
        if chosen.only not in what:
            continue
        calls = {name: partial(getattr(model, method), row) for name, model in models.items()}
        frame.verify(what, {name: [getattr(model, method)(x)] for name, model in models.items()}, LOSS_RTOL)
        compare(what, calls, chosen, report, ONE_ROW)


def search(chosen: argparse.Namespace, report: frame.Report) -> None:
    grid, n_settings, folds = (QUICK_GRID, 4, 3) if chosen.quick else (GRID, 24, 5)
    what = f"GridSearchCV, {n_settings} settings, {folds} folds, 2 processes"
    if chosen.only not in what:
        return
    x, y = cancer()
    if chosen.smoke:
        x, y = x[::4], y[::4]

    def searched(kind: Any) -> Any:
        epochs = 2 if chosen.smoke else 100
        return GridSearchCV(kind(random_state=0, max_iter=epochs), grid, cv=folds, n_jobs=2).fit(x, y)

    results = {name: searched(kind) for name, kind in KINDS.items()}
    scores = {name: [found.cv_results_["mean_test_score"]] for name, found in results.items()}
    frame.verify(f"{what}: scores", scores, 0.02)
    calls = {name: lambda kind=kind: searched(kind) for name, kind in KINDS.items()}
    compare(what, calls, chosen, report, SEARCH, at_most=3)


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    # both tell that they have not converged: in the processes of a search, too
    os.environ["PYTHONWARNINGS"] = "ignore"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        print()
        fits(chosen, report)
        one_row(chosen, report)
        search(chosen, report)
    print("\nverified: the same losses in every epoch, the same predictions, the same scores of a search")


if __name__ == "__main__":
    frame.run(__doc__, benchmark)

"""Metrics: numbers that say how good predictions are, by scikit-learn's names, formulas and order of arguments.

``fit(..., metrics=["accuracy", TopK(3)])`` logs them after each epoch, ``evaluate(..., metrics=...)`` returns them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

from fastnn.checks import is_iterable, lookup, shown
from fastnn.metrics.classification import (
    Accuracy,
    BalancedAccuracy,
    BinaryAccuracy,
    CohenKappa,
    FBeta,
    Matthews,
    Precision,
    Recall,
    TopK,
)
from fastnn.metrics.contract import Metric
from fastnn.metrics.functions import FunctionMetric
from fastnn.metrics.probabilities import Brier, CalibrationError, LogLoss
from fastnn.metrics.ranking import AveragePrecision, RocAUC
from fastnn.metrics.regression import (
    R2,
    RMSE,
    Coverage,
    ExplainedVariance,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MedianAbsoluteError,
    Pinball,
)

__all__ = [
    "R2",
    "RMSE",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "BinaryAccuracy",
    "Brier",
    "CalibrationError",
    "CohenKappa",
    "Coverage",
    "ExplainedVariance",
    "FBeta",
    "FunctionMetric",
    "LogLoss",
    "Matthews",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MedianAbsoluteError",
    "Metric",
    "Pinball",
    "Precision",
    "Recall",
    "RocAUC",
    "TopK",
    "by_name",
    "get",
    "larger_is_better",
]

_BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "accuracy_score": Accuracy,
    "categorical_accuracy": Accuracy,
    "sparse_categorical_accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "top_k": TopK,
    "top_k_accuracy": TopK,
    "top_k_accuracy_score": TopK,
    "balanced_accuracy": BalancedAccuracy,
    "balanced_accuracy_score": BalancedAccuracy,
    "precision": Precision,
    "precision_score": Precision,
    "recall": Recall,
    "recall_score": Recall,
    "f1": FBeta,
    "f1_score": FBeta,
    "f2": partial(FBeta, 2.0),
    "fbeta": FBeta,
    "roc_auc": RocAUC,
    "roc_auc_score": RocAUC,
    "auc": RocAUC,
    "roc_auc_ovr": RocAUC,
    "roc_auc_weighted": partial(RocAUC, "weighted"),
    "roc_auc_ovr_weighted": partial(RocAUC, "weighted"),
    "roc_auc_ovo": partial(RocAUC, multi_class="ovo"),
    "roc_auc_ovo_weighted": partial(RocAUC, "weighted", "ovo"),
    "average_precision": AveragePrecision,
    "average_precision_score": AveragePrecision,
    "log_loss": LogLoss,
    "brier": Brier,
    "brier_score": Brier,
    "brier_score_loss": Brier,
    "expected_calibration_error": CalibrationError,
    "calibration_error": CalibrationError,
    "ece": CalibrationError,
    "cohen_kappa": CohenKappa,
    "cohen_kappa_score": CohenKappa,
    "kappa": CohenKappa,
    "matthews": Matthews,
    "matthews_corrcoef": Matthews,
    "mcc": Matthews,
    "r2": R2,
    "r2_score": R2,
    "rmse": RMSE,
    "root_mean_squared_error": RMSE,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "median_absolute_error": MedianAbsoluteError,
    "explained_variance": ExplainedVariance,
    "explained_variance_score": ExplainedVariance,
    "pinball": Pinball,
    "mean_pinball_loss": Pinball,
    "coverage": Coverage,
}
for _average in ("macro", "micro", "weighted"):  # scikit-learn's names
    _BY_NAME |= {
        f"precision_{_average}": partial(Precision, _average),
        f"recall_{_average}": partial(Recall, _average),
        f"f1_{_average}": partial(FBeta, 1.0, _average),
    }


def get(metric: str | Metric | Callable[..., Any]) -> Metric:
    """Return a new metric of that name, the metric itself, or one that calls a function.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if isinstance(metric, str):
        if metric.startswith("neg_"):
            raise ValueError(
                f"unknown metric {metric!r}: metrics are as they are here, and know whether larger is better: did you "
                f"mean {metric[4:]!r}?"
            )
        return lookup("metric", metric, _BY_NAME)()
    if callable(metric) and not isinstance(metric, type):
        return FunctionMetric(metric)
    raise TypeError(
        f"metric is {shown(metric)}, expected a name ('accuracy'), a metric (TopK(3)), or a function of (y_true, "
        "y_pred)"
    )


def by_name(metrics: Any, where: str = "metrics") -> dict[str, Metric]:
    """Return metrics by the names that they are logged as: those that they are asked for by, or their own.

    Parameters
    ----------
    metrics : str, Metric, callable, or a sequence of them, or a mapping of names to them, or None
    where : str
        What errors call them.
    """
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        pairs = [(name, get(metric)) for name, metric in metrics.items()]
    else:
        single = isinstance(metrics, (str, Metric, type)) or not is_iterable(metrics)
        pairs = [(one, get(one)) for one in ([metrics] if single else metrics)]
    found: dict[str, Metric] = {}
    for given, metric in pairs:
        name = given.lower().replace("-", "_").replace(" ", "_") if isinstance(given, str) else metric.name
        if name in found:
            raise ValueError(f"{where} names {name!r} twice, expected each once: a dict gives them names of your own")
        if name == "loss":
            raise ValueError(f"{where} names a metric 'loss', which the loss is called: give it another name")
        found[name] = metric
    return found


def how_to_log(name: str, logged: Container[str]) -> str:
    """Say what has to be given to a fit that is to log a number, too: empty where nobody knows."""
    metric = name.removeprefix("val_")
    if metric != "loss" and metric not in _BY_NAME:
        return ""
    is_measured = metric != name and metric in logged
    return f"; fit was given no {'validation_data' if is_measured else f'metrics=[{metric!r}]'}"


def larger_is_better(name: str) -> bool | None:
    """Return whether a larger one of what is logged under this name is better: None where nobody knows.

    Examples
    --------
    >>> from fastnn.metrics import larger_is_better
    >>> larger_is_better("val_roc_auc"), larger_is_better("loss"), larger_is_better("val_rmse")
    (True, False, False)
    """
    name = name.removeprefix("val_")
    if name == "loss" or name.endswith("_loss"):
        return False
    found = _BY_NAME.get(name)
    return None if found is None else found().larger_is_better

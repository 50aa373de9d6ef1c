"""The contenders of bench_accuracy.py: each an estimator with the defaults of its library, and how it is fed.

All get the same rows, the same number of threads, and a DataFrame whose categories have a dtype of that name:

* MLPs: numbers through the median and a StandardScaler, categories one-hot (a missing one is a value of its own),
  targets of regression standardized, which is a courtesy: without it they learn nothing from targets of thousands.
* fastnn's Tabular estimators: the DataFrame.
* HistGradientBoosting: the DataFrame, ``categorical_features="from_dtype"``, which it codes as ordinals; what is
  missing stays missing.
* LightGBM and XGBoost: the DataFrame, whose categories both split as categories (``enable_categorical=True``).
* CatBoost: the DataFrame, categories as text with "missing" for what is missing, named in ``cat_features``.
* RealMLP-TD of pytabkit: the DataFrame with the mean in place of missing numbers, which it refuses.
* fastnn RealMLP-TD: the same net of fastnn's parts, one that is validated on a fifth of the rows: the DataFrame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Make = Callable[["Fit"], Any]


@dataclass(frozen=True)
class Fit:
    """What an estimator is made for: its task, seed and threads, and the columns and targets of its training rows."""

    task: str
    seed: int
    threads: int
    x: pd.DataFrame
    y: np.ndarray

    @property
    def classes(self) -> bool:
        return self.task != "numbers"

    def one_output(self, estimator: Any) -> Any:
        """Return an estimator of one number, or as many of them as there are numbers in a row of targets."""
        return estimator if self.y.ndim == 1 else MultiOutputRegressor(estimator)


@dataclass(frozen=True)
class Method:
    """A contender: its name, the module that must be there, and what makes it."""

    name: str
    module: str
    make: Make

    @property
    def installed(self) -> bool:
        try:
            return find_spec(self.module) is not None
        except ModuleNotFoundError:  # of a package above it
            return False


def _mlp(classifier: type, regressor: type, **options: Any) -> Make:
    def make(fit: Fit) -> Any:
        numbers, others = make_column_selector(dtype_include="number"), make_column_selector(dtype_include="category")
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = ColumnTransformer(
            [
                ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
                ("categories", one_hot, others),
            ]
        )
        net = make_pipeline(columns, (classifier if fit.classes else regressor)(random_state=fit.seed, **options))
        return net if fit.classes else TransformedTargetRegressor(net, transformer=StandardScaler())

    return make


def _fastnn_mlp(fit: Fit) -> Any:
    from fastnn.sklearn import MLPClassifier as Classifier
    from fastnn.sklearn import MLPRegressor as Regressor

    return _mlp(Classifier, Regressor)(fit)


def _tabular(preset: str) -> Make:
    def make(fit: Fit) -> Any:
        from fastnn.sklearn import TabularClassifier, TabularRegressor

        estimator = TabularClassifier if fit.classes else TabularRegressor
        return estimator(preset=preset, random_state=fit.seed, n_threads=fit.threads)

    return make


def _hist(fit: Fit) -> Any:
    estimator = HistGradientBoostingClassifier if fit.classes else HistGradientBoostingRegressor
    return fit.one_output(estimator(categorical_features="from_dtype", random_state=fit.seed))


def _lightgbm(fit: Fit) -> Any:
    import lightgbm

    estimator = lightgbm.LGBMClassifier if fit.classes else lightgbm.LGBMRegressor
    return fit.one_output(estimator(random_state=fit.seed, n_jobs=fit.threads, verbosity=-1))


def _xgboost(fit: Fit) -> Any:
    import xgboost

    estimator = xgboost.XGBClassifier if fit.classes else xgboost.XGBRegressor
    return fit.one_output(estimator(random_state=fit.seed, n_jobs=fit.threads, enable_categorical=True))


class _AsText(BaseEstimator):
    """Categories as text, for an estimator that refuses missing ones."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    @staticmethod
    def _text(x: pd.DataFrame) -> pd.DataFrame:
        text = {c: x[c].astype(object).where(x[c].notna(), "missing").astype(str) for c in x.select_dtypes("category")}
        return x.assign(**text)

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> _AsText:
        self.estimator.fit(self._text(x), y, cat_features=list(x.select_dtypes("category")))
        return self

    def predict(self, x: pd.DataFrame) -> np.ndarray:
        found = np.asarray(self.estimator.predict(self._text(x)))
        return found.ravel() if found.shape[1:] == (1,) else found  # CatBoost's labels of several classes are a column

    def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.estimator.predict_proba(self._text(x)))


def _catboost(fit: Fit) -> Any:
    import catboost

    options = {"random_seed": fit.seed, "thread_count": fit.threads, "verbose": False, "allow_writing_files": False}
    if fit.classes:
        return _AsText(catboost.CatBoostClassifier(**options))
    several = {"loss_function": "MultiRMSE"} if fit.y.ndim == 2 else {}
    return _AsText(catboost.CatBoostRegressor(**options, **several))


def _realmlp(fit: Fit) -> Any:
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    estimator = RealMLP_TD_Classifier if fit.classes else RealMLP_TD_Regressor
    numbers, others = make_column_selector(dtype_include="number"), make_column_selector(dtype_include="category")
    columns = ColumnTransformer(
        [("numbers", SimpleImputer(strategy="mean"), numbers), ("categories", "passthrough", others)],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    return make_pipeline(columns, estimator(random_state=fit.seed, n_threads=fit.threads, device="cpu"))


def _realmlp_of_parts(fit: Fit) -> Any:
    from accuracy_parts import realmlp  # which knows this module

    return realmlp(fit)


METHODS = {
    method.name: method
    for method in (
        Method("scikit-learn MLP", "sklearn", _mlp(MLPClassifier, MLPRegressor)),
        Method("fastnn MLP", "fastnn.sklearn", _fastnn_mlp),
        Method("Tabular fast", "fastnn.sklearn", _tabular("fast")),
        Method("Tabular balanced", "fastnn.sklearn", _tabular("balanced")),
        Method("Tabular best", "fastnn.sklearn", _tabular("best")),
        Method("HistGradientBoosting", "sklearn", _hist),
        Method("LightGBM", "lightgbm", _lightgbm),
        Method("XGBoost", "xgboost", _xgboost),
        Method("CatBoost", "catboost", _catboost),
        Method("RealMLP-TD", "pytabkit", _realmlp),
        Method("fastnn RealMLP-TD", "fastnn.sklearn", _realmlp_of_parts),
    )
}

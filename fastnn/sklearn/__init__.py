"""Estimators of scikit-learn whose nets are trained here.

``from fastnn.sklearn import MLPClassifier`` stands for ``from sklearn.neural_network import MLPClassifier``: the rest
of a program stays as it is. It needs scikit-learn: ``pip install 'fastnn-numpy[sklearn]'``.
"""

try:
    import sklearn  # noqa: F401 - the error says what to install
except ImportError as error:
    raise ImportError("fastnn.sklearn needs scikit-learn: pip install 'fastnn-numpy[sklearn]'") from error

from fastnn.sklearn.classification import MLPClassifier
from fastnn.sklearn.regression import MLPRegressor
from fastnn.sklearn.tabular_classifier import TabularClassifier
from fastnn.sklearn.tabular_regressor import TabularRegressor

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "TabularClassifier",
    "TabularRegressor",
]

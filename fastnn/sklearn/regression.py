"""The multi-layer perceptron that predicts numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import validate_data

from fastnn.arena import Array
from fastnn.losses import MSE, PoissonNLL
from fastnn.sklearn.loop import Goal
from fastnn.sklearn.multilayer import Multilayer


class MLPRegressor(RegressorMixin, Multilayer):  # type: ignore[misc]
    """A multi-layer perceptron that predicts numbers: scikit-learn's `MLPRegressor`, trained here.

    It makes half of the squared error, or of Poisson's deviance, small: the mean over rows of the sum over outputs,
    plus alpha / 2 * Σ w² / n. Parameters are those of `MLPClassifier`, and `loss`.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}
        "poisson" predicts exp of what the net gives, for targets >= 0.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, \
beta_1, beta_2, epsilon, n_iter_no_change, max_fun : Any
        As of `MLPClassifier`.

    Notes
    -----
    For k > 1 outputs, the squared error that scikit-learn reports is the mean over outputs, while its gradient is that
    of their sum. Here both are of the sum: steps are the same, and `loss_`, `best_loss_` and `loss_curve_` k times as
    large, so that `tol` is reached later.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn.sklearn import MLPRegressor
    >>> X, y = make_regression(100, 5, random_state=0)
    >>> model = MLPRegressor(solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Multilayer._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: Any = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
    ) -> None:
        self._keep(locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _ends_in(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _goal(self, target: Array) -> Goal:
        k = self.n_outputs_
        if self.loss != "poisson":
            return Goal(MSE(), k / 2)
        t = np.asarray(target, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            constant = np.where(t > 0, t * np.log(t), 0) - t
        return Goal(PoissonNLL(), float(k), constant.sum(axis=1))

    def _score(self, X: Any, y: Any, weight: Array | None) -> float:
        outputs = self._means(X)
        if not np.isfinite(outputs).all():
            return np.nan
        return _r2(np.asarray(y, np.float64), outputs, weight)

    def _means(self, X: Any) -> Array:
        outputs = self._outputs(X)
        return np.exp(outputs) if self.out_activation_ == "exp" else outputs

    def predict(self, X: Any) -> Array:
        """Return what is predicted for each row.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._means(self._rows(X))
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> MLPRegressor:
        """Go once over these rows, from where the last call has ended; with "lbfgs", fit from there.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,) or None

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self


def _r2(y: Array, predicted: Array, weight: Array | None) -> float:
    """Return R², the mean over outputs: 1 where a constant is predicted exactly, 0 where it is not."""
    w = 1.0 if weight is None else weight[:, None]
    left = np.asarray(np.sum(w * (y - predicted) ** 2, axis=0))
    around = np.asarray(np.sum(w * (y - np.average(y, axis=0, weights=weight)) ** 2, axis=0))
    score = np.ones(len(left))
    there = around != 0
    score[there] = 1 - left[there] / around[there]
    score[~there & (left != 0)] = 0.0
    return float(score.mean())

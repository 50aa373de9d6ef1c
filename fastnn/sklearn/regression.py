"""The multi-layer perceptron that predicts numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_array

from fastnn.arena import Array
from fastnn.formats.graph import Value
from fastnn.formats.table_graph import TableGraph
from fastnn.losses import MSE, GaussianNLL, Heads, Loss, PoissonNLL, Quantile
from fastnn.sklearn import choices
from fastnn.sklearn.borrowed import StrOptions, fit_context
from fastnn.sklearn.classification import MLPClassifier
from fastnn.sklearn.contract import documents, keep
from fastnn.sklearn.extended import Extended
from fastnn.sklearn.recorded import Goal
from fastnn.sklearn.scores import plain_r2


@documents(MLPClassifier)
class MLPRegressor(RegressorMixin, Extended):  # type: ignore[misc]
    """A multi-layer perceptron that predicts numbers: scikit-learn's `MLPRegressor`, trained here.

    It makes half of the squared error, or of Poisson's deviance, small: the mean over rows of the sum over outputs,
    plus alpha / 2 * Σ w² / n. Parameters are those of `MLPClassifier`, and `loss`.

    Parameters
    ----------
    loss : str or Loss
        "squared_error", "poisson", which predicts exp of what the net gives, for targets >= 0, or any loss of numbers
        of this library: "huber", "absolute_error", "gamma", "tweedie", "gaussian_nll", ``Quantile((0.1, 0.9))`` ...
        Predictions are means: of losses of logarithms exp of the outputs, of several quantiles (rows, quantiles).
    out_activation : str, Layer or None
        What comes behind the last product, "softplus" for example; a loss by name is then of means, not of logarithms.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, \
beta_1, beta_2, epsilon, n_iter_no_change, max_fun, dropout, normalization, scoring, callbacks, clip_norm, \
clip_value, n_threads, n_ensemble, categorical_features, precision : Any
        As of `MLPClassifier`.

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_, \
n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_, net_, estimators_, nets_, is_categorical_, \
stopped_ : Any
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
        **Extended._parameter_constraints,
        "loss": [StrOptions(choices.REGRESSOR_LOSSES), Loss],
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
        dropout: Any = 0.0,
        normalization: str | None = None,
        out_activation: Any = None,
        scoring: Any = None,
        callbacks: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        n_threads: int | None = None,
        n_ensemble: int = 1,
        categorical_features: Any = None,
        precision: str | None = None,
    ) -> None:
        keep(self, locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validated(X, y, reset, incremental, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    @property
    def _part(self) -> Loss:
        """The loss that is made small: scikit-learn's, or another one."""
        if isinstance(self.loss, str) and self.loss == "squared_error":
            return MSE()
        if isinstance(self.loss, str) and self.loss == "poisson":
            return PoissonNLL(log_input=self.out_activation is None)
        loss = choices.loss_of(self, self.loss)
        if isinstance(self.loss, str) and self.out_activation is not None and hasattr(loss, "log_input"):
            loss.log_input = False
        if loss.of_classes or isinstance(loss, Heads):
            raise choices.wrong(self, "loss", f"a loss of numbers, or a str among {sorted(choices.REGRESSOR_LOSSES)}")
        return loss

    @property
    def _is_plain(self) -> bool:
        """Whether the net has one output for each target, as scikit-learn's have."""
        return isinstance(self.loss, str) and self.loss in ("squared_error", "poisson") and self.out_activation is None

    def _n_each(self) -> int:
        """Return how many outputs the net has for each target."""
        loss = self._part
        return loss._n_levels if isinstance(loss, Quantile) else 1 + isinstance(loss, GaussianNLL)

    def _n_units(self, y: Array) -> int:
        return int(y.shape[1]) * self._n_each()

    def _ends_in(self) -> str:
        if self.out_activation is not None:
            given = self.out_activation
            return given if isinstance(given, str) else repr(given)
        return "exp" if getattr(self._part, "log_input", False) else "identity"

    @property
    def _shape(self) -> dict[str, Any]:
        return {**super()._shape, "loss": f"one of {self._n_each()} outputs for each target"}

    def _targets_like(self, y: Any) -> Array:
        found = np.asarray(check_array(y, ensure_2d=False, dtype=self.net_.dtype, input_name="y"))
        return found[:, None] if found.ndim == 1 else found

    def _labels_of(self, y: Array) -> Any:
        return y[:, 0] if y.shape[1] == 1 else y

    def _goal(self, target: Array) -> Goal:
        k, loss = self.n_outputs_, self._part
        if not isinstance(self.loss, str) or self.loss not in ("squared_error", "poisson"):
            return Goal(loss)
        if self.loss != "poisson":
            return Goal(loss, k / 2)
        t = np.asarray(target, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            constant = np.where(t > 0, t * np.log(t), 0) - t
        return Goal(loss, float(k), constant.sum(axis=1))

    def _score(self, X: Any, y: Any, weight: Array | None) -> float:
        outputs = self._means(X)
        if not np.isfinite(outputs).all():
            return np.nan
        return _r2(np.asarray(y, np.float64), outputs, weight)

    def _means(self, X: Any) -> Array:
        """Return what is predicted for each target, (rows, targets): of several quantiles the middle one."""
        found = self._predicted(X)
        return found[..., found.shape[2] // 2] if found.ndim == 3 else found

    def _predicted(self, X: Any) -> Array:
        outputs = self._outputs(X)
        if self.out_activation_ == "exp" and self.out_activation is None:
            return np.exp(outputs)
        each = self._n_each()
        if each == 1:
            return outputs
        n = outputs.shape[1] // each
        return outputs[:, :n] if isinstance(self._part, GaussianNLL) else outputs.reshape(len(outputs), n, each)

    def _graph(self, x: Value, to: TableGraph, labels: bool) -> None:
        each, n = self._n_each(), self.n_outputs_
        y = to.mean([one._graph_of_net(x, to) for one in self._each_net()])
        is_of_quantiles = isinstance(self._part, Quantile)
        shape = (n // each, each) if is_of_quantiles and n > each else (y.n,)
        to.output(y, "variable", shape)

    def _graph_of_net(self, x: Value, to: TableGraph) -> Value:
        y = to.net(self.net_, x)
        if self.out_activation_ == "exp" and self.out_activation is None:
            return to.activation(y, "exponential")
        return to.columns(y, range(y.n // 2)) if isinstance(self._part, GaussianNLL) else y

    def _variances(self, X: Any) -> Array:
        """Return the variances that a net of `GaussianNLL` gives."""
        loss = self._part
        assert isinstance(loss, GaussianNLL)
        outputs = self._outputs(X)
        given = outputs[:, outputs.shape[1] // 2 :]
        return np.exp(given) if loss.log_variance else np.maximum(given, loss.eps)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return what is predicted for each row.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        return_std : bool
            Return the standard deviation of each prediction, too: of the means of `n_ensemble` nets, with that which
            ``loss="gaussian_nll"`` predicts (Lakshminarayanan et al. 2017).

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Of a loss of q quantiles (n_samples, q), or (n_samples, n_outputs, q). With `return_std` a tuple of two.
        """
        return self._predicted_for(self._rows(X), return_std)

    def _predicted_for(self, X: Any, return_std: bool = False) -> Any:
        nets = self.__dict__.get("estimators_")
        if nets is None and not return_std and self._is_plain:  # the usual call for one row: it has to be fast
            outputs = self._outputs(X)
            outputs = np.exp(outputs) if self.out_activation_ == "exp" else outputs
            return outputs[:, 0] if outputs.shape[1] == 1 else outputs
        is_normal = isinstance(self._part, GaussianNLL)
        if nets is None:
            found = self._predicted(X)
            spread = np.sqrt(self._variances(X)) if return_std and is_normal else None
        else:
            each = np.stack([net._predicted(X) for net in nets])
            found = each.mean(axis=0)
            variance = each.var(axis=0)
            if return_std and is_normal:
                variance = variance + np.mean([net._variances(X) for net in nets], axis=0)
            spread = np.sqrt(variance)
        found = found[:, 0] if found.shape[1] == 1 else found
        if not return_std:
            return found
        if spread is None:
            raise ValueError(
                "return_std=True needs nets that may differ, n_ensemble=5, or a loss that predicts it, "
                "loss='gaussian_nll'"
            )
        return found, spread[:, 0] if spread.shape[1] == 1 else spread

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return R² of the predictions; of several quantiles of the middle one.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,) or None

        Returns
        -------
        float
        """
        found = self.predict(X)
        each = self._n_each()
        if each > 1 and isinstance(self._part, Quantile):
            found = found[..., each // 2]
        plain = plain_r2(y, found) if sample_weight is None else None
        return float(r2_score(y, found, sample_weight=sample_weight)) if plain is None else plain

    @fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, validation_data: tuple[Any, ...] | None = None
    ) -> MLPRegressor:
        """Go once over these rows, from where the last call has ended; with "lbfgs", fit from there.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,) or None
        validation_data : tuple (X, y), (X, y, sample_weight) or None
            As of the classifier.

        Returns
        -------
        self
        """
        self._more(X, y, sample_weight, validation_data)
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

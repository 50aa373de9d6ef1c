"""The multi-layer perceptron that tells classes apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from fastnn.arena import Array
from fastnn.losses import BinaryCrossEntropy, CrossEntropy
from fastnn.sklearn.loop import Goal
from fastnn.sklearn.multilayer import Multilayer


def _binarized(y: Array) -> tuple[LabelBinarizer, Array | None]:
    """Return the binarizer of labels, and what it makes of them, or None.

    Two classes or more of whole numbers, words or truths, each often, as most labels are, are not looked at again and
    again: to find out what labels are takes scikit-learn longer than small data take to be learnt.
    """
    binarizer = LabelBinarizer()
    if y.ndim == 1 and y.dtype.kind in "iubU":
        classes, codes = np.unique(y, return_inverse=True)
        if 2 <= len(classes) <= len(y) / 2:  # of more, scikit-learn warns
            binarizer.classes_, binarizer.sparse_input_ = classes, False
            binarizer.y_type_ = "binary" if len(classes) == 2 else "multiclass"
            codes = codes.reshape(-1, 1)
            return binarizer, codes == 1 if len(classes) == 2 else codes == np.arange(len(classes))
    return binarizer.fit(y), None


class MLPClassifier(ClassifierMixin, Multilayer):  # type: ignore[misc]
    """A multi-layer perceptron that tells classes apart: scikit-learn's `MLPClassifier`, trained here.

    It makes -log of the probability of the right class small, plus alpha / 2 * Σ w² / n over the weights, by Adam
    (Kingma & Ba 2015), SGD with Nesterov's momentum or L-BFGS. Parameters, defaults, attributes, warnings and errors
    are those of scikit-learn 1.9: with the same `random_state` it begins with the same weights, goes over rows in the
    same order, takes the same steps and ends by the same rules.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden layers.
    solver : {"lbfgs", "sgd", "adam"}
    alpha : float
        At least 0: of the squares of weights, not of biases, divided by the rows of the batch.
    batch_size : int or "auto"
        "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive"}
        Of SGD. "invscaling": learning_rate_init / (t + 1)^power_t behind t rows. "adaptive": a fifth each time that
        nothing has become better by `tol` for `n_iter_no_change` epochs.
    learning_rate_init, power_t : float
    max_iter : int
        Epochs, of L-BFGS iterations.
    shuffle : bool
    random_state : int, RandomState or None
    tol : float
    verbose : bool
    warm_start : bool
        The next fit goes on with the weights of this one.
    momentum : float
        From 0 to 1.
    nesterovs_momentum : bool
    early_stopping : bool
        Score a share of the rows behind each epoch, and go back to the best weights.
    validation_fraction : float
    beta_1, beta_2, epsilon : float
        Of Adam; epsilon is what its paper calls eps-hat.
    n_iter_no_change : int or inf
    max_fun : int
        Evaluations of the loss by L-BFGS.

    Attributes
    ----------
    classes_ : ndarray, or list of ndarray
    coefs_, intercepts_ : list of ndarray
        The weights (n_in, n_out) and biases of the layers: the arrays that the net computes with.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_ : float, list, int
        As scikit-learn's.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_ : int, ndarray, str
        As scikit-learn's.
    net_ : Model
        The net.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(max_iter=1000, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    """

    loss: Any = "log_loss"
    classes_: Any
    _label_binarizer: LabelBinarizer

    def __init__(
        self,
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
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if "classes_" not in self.__dict__ or not (self.warm_start or incremental):
            self._label_binarizer, known = _binarized(y)
            self.classes_ = self._label_binarizer.classes_
            if known is not None:
                return X, known
        else:
            self._require_known(unique_labels(y))
        return X, self._label_binarizer.transform(y).astype(bool)

    def _require_known(self, classes: Array) -> None:
        """Raise ValueError for labels that are none of the classes of the fit before."""
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _ends_in(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _target(self, y: Array) -> Array:
        return y.argmax(axis=1) if self.out_activation_ == "softmax" else y.astype(self.net_.dtype)

    def _goal(self, target: Array) -> Goal:
        if self.out_activation_ == "softmax":
            return Goal(CrossEntropy())
        return Goal(BinaryCrossEntropy(), float(self.n_outputs_))

    def _known(self, y: Array) -> Any:
        return y

    def _score(self, X: Any, y: Any, weight: Array | None) -> float:
        outputs = self._outputs(X)
        if not np.isfinite(outputs).all():
            return np.nan
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == y.argmax(axis=1)
        else:
            right = ((outputs > 0.5) == y).all(axis=1)
        return float(np.average(right, weights=weight))

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) where rows may be of several
        """
        return self._labels(self._outputs(self._rows(X)))

    def _labels(self, outputs: Array) -> Array:
        """Return the classes that outputs mean: as `LabelBinarizer` does, in less time."""
        labels: Array
        if self.out_activation_ == "softmax":
            labels = self.classes_[outputs.argmax(axis=1)]
        elif self.n_outputs_ == 1 and len(self.classes_) == 2:
            labels = self.classes_[(outputs[:, 0] > 0.5).astype(np.intp)]
        else:
            labels = self._label_binarizer.inverse_transform(outputs)
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        outputs = self._outputs(self._rows(X))
        if self.n_outputs_ == 1:
            return np.concatenate([1 - outputs, outputs], axis=1)
        return outputs

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> MLPClassifier:
        """Go once over these rows, from where the last call has ended.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,)
        sample_weight : array_like of shape (n_samples,) or None
        classes : array_like of shape (n_classes,) or None
            All classes that will come: needed in the first call.

        Returns
        -------
        self
        """
        if _check_partial_fit_first_call(self, classes):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

"""The multi-layer perceptron that tells classes apart."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastnn.arena import Array
from fastnn.losses import (
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalFocal,
    CrossEntropy,
    Hinge,
    Loss,
    MultiMargin,
    SquaredHinge,
)
from fastnn.sklearn import choices
from fastnn.sklearn.borrowed import StrOptions, check_first_classes, fit_context
from fastnn.sklearn.contract import keep
from fastnn.sklearn.extended import Extended
from fastnn.sklearn.loop import Goal


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


class MLPClassifier(ClassifierMixin, Extended):  # type: ignore[misc]
    """A multi-layer perceptron that tells classes apart: scikit-learn's `MLPClassifier`, trained here.

    It makes -log of the probability of the right class small, plus alpha / 2 * Σ w² / n over the weights, by Adam
    (Kingma & Ba 2015), SGD with Nesterov's momentum or L-BFGS. Parameters, defaults, attributes, warnings and errors
    are those of scikit-learn 1.9: with the same `random_state` it begins with the same weights, goes over rows in the
    same order, takes the same steps and ends by the same rules.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
    activation : str, Layer, or a sequence of them
        Of the hidden layers: any name of this library, or a part; one for each layer.
    solver : str or Optimizer
        "lbfgs", "sgd" and "adam" are scikit-learn's; others have the rate `learning_rate_init`, a part its own.
    alpha : float
        At least 0: of the squares of weights, not of biases, divided by the rows of the batch.
    batch_size : int or "auto"
        "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive"}, Schedule or callable
        A schedule is a factor of learning_rate_init, of any solver but "lbfgs". The others are of
        SGD. "invscaling": learning_rate_init / (t + 1)^power_t behind t rows. "adaptive": a fifth each time that
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
    loss : str or Loss
        "log_loss", "focal", or margins: "hinge", "squared_hinge", "multi_margin", which have `decision_function` in
        place of `predict_proba`; or a loss of classes of this library.
    class_weight : dict, list of dict, "balanced" or None
        What classes weigh in training, not in validation, times sample_weight.
    dropout : float or sequence of float
        The share of the outputs of hidden layers that is left out in training, from 0 to below 1; one for each layer.
    normalization : {"batch", "layer"} or None
        `BatchNorm` or `LayerNorm` between the product and the activation of hidden layers.
    out_activation : {"softmax", "logistic"} or None
        "logistic" takes each of several classes against the rest, "softmax" gives two classes an output each.
    scoring : str, callable or None
        What early stopping looks at, the larger the better: a scorer of scikit-learn's, ``scoring(model, X, y)``, or
        "loss". None is the accuracy, of a regressor R².
    callbacks : callable, sequence or None
        Called with the net, as by `Model.fit`: the logs hold "loss" and, of rows to validate with, "val_loss" and
        "val_score".
    clip_norm, clip_value : float or None
        Gradients are scaled to this norm, or their numbers clipped to this size.
    n_threads : int or None
        As of `Model.fit`; of `n_ensemble` nets how many are trained at once.
    n_ensemble : int
        So many nets, with other first weights and orders, trained side by side: `estimators_`. Outputs are their means.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Extended._parameter_constraints,
        "loss": [StrOptions(choices.CLASSIFIER_LOSSES), Loss],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "out_activation": [StrOptions({"softmax", "logistic"}), None],
    }

    loss: Any
    class_weight: Any
    classes_: Any
    _goal_loss: Loss
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
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        normalization: str | None = None,
        out_activation: Any = None,
        scoring: Any = None,
        callbacks: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        n_threads: int | None = None,
        n_ensemble: int = 1,
    ) -> None:
        keep(self, locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validated(X, y, reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if "classes_" not in self.__dict__ or not (self.warm_start or incremental):
            self._label_binarizer, known = _binarized(y)
            self.classes_ = self._label_binarizer.classes_
            if known is not None:
                return X, self._for_end(known)
        else:
            self._require_known(unique_labels(y))
        return X, self._columns_of(y)

    def _columns_of(self, y: Any) -> Array:
        """Return labels as True and False, in a column for each output of the net."""
        return self._for_end(self._label_binarizer.transform(y).astype(bool))

    def _for_end(self, columns: Array) -> Array:
        self._choose_end()
        is_pair = self._ends == "softmax" and self._label_binarizer.y_type_ == "binary"
        return np.concatenate([~columns, columns], axis=1) if is_pair else columns

    def _targets_like(self, y: Any) -> Array:
        y = column_or_1d(y) if np.ndim(y) == 2 and np.shape(y)[1] == 1 else y
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(f"y of validation_data has labels that are not in y: {unknown.tolist()}")
        columns = self._columns_of(y)
        return columns[:, None] if columns.ndim == 1 else columns

    def _choose_end(self) -> None:
        """Choose the loss and how the net ends: a probability or margin for each output, or one of all classes."""
        kind, given = self._label_binarizer.y_type_, self.loss
        by_kind = "softmax" if kind == "multiclass" else "logistic"
        end = by_kind if self.out_activation is None else self.out_activation
        if given == "log_loss":
            loss: Loss = CrossEntropy() if end == "softmax" else BinaryCrossEntropy()
        elif isinstance(given, str) and given == "focal":
            loss = CategoricalFocal() if end == "softmax" else BinaryFocal()
        else:
            loss = choices.loss_of(self, given)
        of_all = isinstance(loss, (CrossEntropy, CategoricalFocal, MultiMargin))
        margins = isinstance(loss, (Hinge, SquaredHinge, MultiMargin))
        if not (of_all or isinstance(loss, (BinaryCrossEntropy, BinaryFocal, Hinge, SquaredHinge))):
            raise choices.wrong(
                self,
                "loss",
                f"a loss of classes, or a str among {sorted(choices.CLASSIFIER_LOSSES)}",
            )
        if of_all and kind.startswith("multilabel"):
            raise ValueError(
                f"loss={given!r} is of one class for each row, and y has rows of several labels: use loss='log_loss', "
                "'focal' or 'hinge'"
            )
        fits = "softmax" if of_all else "logistic"
        if self.out_activation is not None and (margins or end != fits):
            what = "margins, without an activation" if margins else f"out_activation={fits!r}"
            raise ValueError(f"out_activation={self.out_activation!r} does not fit loss={given!r}, which is of {what}")
        if kind.startswith("multilabel") and end == "softmax":
            raise ValueError("out_activation='softmax' is of one class for each row, and y has rows of several labels")
        self._ends, self._margins, self._goal_loss = fits, margins, loss

    def _weighed(self, y: Array, weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return weight
        of_classes = compute_sample_weight(self.class_weight, self._labels_of(y))
        of_classes = of_classes.astype(self.net_.dtype)
        return np.asarray(of_classes if weight is None else weight * of_classes)

    def _labels_of(self, y: Array) -> Any:
        given = y[:, 1:] if self._ends == "softmax" and self._label_binarizer.y_type_ == "binary" else y
        return self._label_binarizer.inverse_transform(given)

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
        if "_ends" not in self.__dict__:
            return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"
        return "identity" if self._margins else self._ends

    def _target(self, y: Array) -> Array:
        return y.argmax(axis=1) if self._ends == "softmax" else y.astype(self.net_.dtype)

    def _goal(self, target: Array) -> Goal:
        return Goal(self._goal_loss, 1.0 if self._ends == "softmax" else float(self.n_outputs_))

    @property
    def _shape(self) -> tuple[Any, ...]:
        return (*super()._shape, self._ends_in())

    def _decided(self, outputs: Array) -> Array:
        """Return outputs as the binarizer takes them: above 0.5 is yes."""
        kind = self._label_binarizer.y_type_
        if getattr(self, "_ends", "") == "softmax" and kind == "binary":
            return (outputs[:, 1] > outputs[:, 0]).astype(float)
        if getattr(self, "_margins", False) and kind != "multiclass":
            outputs = (outputs > 0).astype(float)
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def _score(self, X: Any, y: Any, weight: Array | None) -> float:
        outputs = self._outputs(X)
        if not np.isfinite(outputs).all():
            return np.nan
        if self._label_binarizer.y_type_ == "multiclass" or self._ends == "softmax":
            right = outputs.argmax(axis=1) == y.argmax(axis=1)
        else:
            right = ((outputs > (0 if self._margins else 0.5)) == y).all(axis=1)
        return float(np.average(right, weights=weight))

    def _has_probabilities(self) -> bool:
        if isinstance(self.loss, (Hinge, SquaredHinge, MultiMargin)) or (
            isinstance(self.loss, str) and ("hinge" in self.loss or self.loss == "multi_margin")
        ):
            raise AttributeError(
                f"loss={self.loss!r} gives margins and no probabilities: use decision_function, loss='log_loss', or "
                "CalibratedClassifierCV"
            )
        return True

    def _has_margins(self) -> bool:
        try:
            self._has_probabilities()
        except AttributeError:
            return True
        raise AttributeError("there are margins where loss is 'hinge', 'squared_hinge' or 'multi_margin' alone")

    @available_if(lambda self: self._has_margins())  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Array:
        """Return margins: of two classes above 0 for the second one, of more the largest for the class.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        outputs = self._outputs(self._rows(X))
        if self._ends == "softmax" and self._label_binarizer.y_type_ == "binary":
            return np.asarray(outputs[:, 1] - outputs[:, 0])
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

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
        if getattr(self, "_margins", False):
            outputs = self._decided(outputs)
        if self.out_activation_ == "softmax":
            labels = self.classes_[outputs.argmax(axis=1)]
        elif self.n_outputs_ == 1 and len(self.classes_) == 2:
            labels = self.classes_[(outputs.ravel() > 0.5).astype(np.intp)]
        else:
            labels = self._label_binarizer.inverse_transform(outputs)
        return labels

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
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
        if self.out_activation_ == "logistic" and self._label_binarizer.y_type_ == "multiclass":
            return np.asarray(outputs / outputs.sum(axis=1, keepdims=True))  # each class against the rest
        return outputs

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
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
        return np.asarray(np.log(probabilities, out=probabilities))

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    @fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        *,
        validation_data: tuple[Any, ...] | None = None,
    ) -> MLPClassifier:
        """Go once over these rows, from where the last call has ended.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,)
        sample_weight : array_like of shape (n_samples,) or None
        classes : array_like of shape (n_classes,) or None
            All classes that will come: needed in the first call.
        validation_data : tuple (X, y), (X, y, sample_weight) or None
            With ``early_stopping=True``, needed then: rows that are scored behind each call. When that has not become
            better for `n_iter_no_change` calls, the net is as it was at the best score, and `stopped_` is True.

        Returns
        -------
        self
        """
        if check_first_classes(self, classes):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all rows, and partial_fit sees some: pass a dict, which "
                "sklearn.utils.class_weight.compute_class_weight makes of all labels"
            )
        self._more(X, y, sample_weight, validation_data)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

"""The multi-layer perceptron that tells classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.graph import Value
from fastnn.formats.records import Record
from fastnn.formats.table_graph import TableGraph
from fastnn.losses import Loss
from fastnn.sklearn import choices
from fastnn.sklearn.borrowed import StrOptions, check_first_classes, fit_context
from fastnn.sklearn.classes import classes_from, classes_in_words, classes_state
from fastnn.sklearn.contract import keep
from fastnn.sklearn.extended import Extended
from fastnn.sklearn.labels import Labels, SeveralLabels, has_margins, labels_from, of_classes, of_targets
from fastnn.sklearn.recorded import Goal
from fastnn.sklearn.scores import plain_accuracy
from fastnn.sklearn.targets import labels_of


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
        At least 0: of the squares of weights, not of biases, divided by the rows of the batch. The vectors that stand
        for values of categories are weights, too.
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
        What classes weigh in training, not in validation, times sample_weight; of several targets a list, or
        "balanced", and the weights of a row are multiplied.
    dropout : float or sequence of float
        The share of the outputs of hidden layers that is left out in training, from 0 to below 1; one for each layer.
    normalization : {"batch", "layer"} or None
        `BatchNorm` or `LayerNorm` between the product and the activation of hidden layers.
    out_activation : {"softmax", "logistic"} or None
        "logistic" takes each of several classes against the rest, "softmax" gives two classes an output each.
    scoring : str, callable or None
        What early stopping looks at, the larger the better: a scorer of scikit-learn's, ``scoring(model, X, y)``, which
        is shown rows of X as they were given, or "loss". None is the accuracy, of a regressor R². Of several targets
        with classes of their own, a scorer by name scores each, and the mean counts.
    callbacks : callable, sequence or None
        Called with the net, as by `Model.fit`: the logs hold "loss" and, of rows to validate with, "val_loss" and
        "val_score".
    clip_norm, clip_value : float or None
        Gradients are scaled to this norm, or their numbers clipped to this size.
    n_threads : int or None
        As of `Model.fit`; of `n_ensemble` nets how many are trained at once.
    n_ensemble : int
        So many nets, with other first weights and orders, trained side by side: `estimators_`. Outputs are their means.
    categorical_features : "from_dtype", sequence of int, str or bool, or None
        Which columns of X are categories, as of `HistGradientBoostingClassifier`: those of categorical dtype of pandas
        and polars, or places, names or a mask. Of up to 8 values they become columns of 0 and 1 (-1 and 1 for two), of
        more 8 numbers each that are trained (`fastnn.Embedding`); what is missing, or was not in the fit, is 0 in all
        of them, or has a vector of its own. Other columns are numbers, and stay as they are.
    precision : {"bf16"} or None
        Of `Model`, for rows of float32: products with weights of 32 rows and columns or more are rounded to bfloat16,
        for speed where the processor has AVX512_BF16. Rows of float64 are refused by `fit`, and rounded by `predict`.

    Attributes
    ----------
    classes_ : ndarray, or list of ndarray
        Of several targets, each of classes of its own, a list, as of scikit-learn's forests.
    coefs_, intercepts_ : list of ndarray
        The weights (n_in, n_out) and biases of the layers: the arrays that the net computes with. Of embedded
        categories come first in the rows of ``coefs_[0]``, then what the other columns become, in order.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_ : float, list, int
        As scikit-learn's.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_ : int, ndarray, str
        As scikit-learn's.
    net_ : Model
        The net.
    estimators_, nets_ : list
        Where there are `n_ensemble` of them, in place of `net_`, `coefs_` and `intercepts_`.
    is_categorical_ : ndarray of bool
        Which columns are categories, where `categorical_features` is given.
    stopped_ : bool
        Whether early stopping has ended the training by `partial_fit`.

    Notes
    -----
    A y of shape (n_samples, n_outputs) whose columns have classes of their own ("multiclass-multioutput", which
    scikit-learn's net refuses) is learnt by one net: the sum of the losses of the targets is made small. `classes_`,
    `predict_proba` and `decision_function` are lists then, `predict` gives (n_samples, n_outputs), and `score`, as
    `MultiOutputClassifier`'s, the share of rows whose targets are all right; `out_activation_` is "identity": `net_`
    gives what comes before the softmax or the sigmoid of each target. Columns of 0 and 1 alone are several labels.

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
    _known_labels: Labels | SeveralLabels

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
        categorical_features: Any = None,
        precision: str | None = None,
    ) -> None:
        keep(self, locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validated(X, y, reset, incremental)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        known = None
        try:
            if "classes_" not in self.__dict__ or not (self.warm_start or incremental):
                self._known_labels, known = of_targets(y)
                self.classes_ = self._known_labels.classes
            else:
                self._known_labels.require(y, "y", self.warm_start)
        except TypeError:  # of labels that have no order
            if isinstance(y, np.ndarray) and y.dtype.kind == "O":
                labels_of(type(self).__name__, y)
            raise
        labels = self._known_labels
        labels.choose_end(self)
        return X, labels.columns(y) if known is None else labels.for_end(known)  # type: ignore[union-attr]

    def _targets_like(self, y: Any) -> Array:
        if not hasattr(y, "tocsr"):
            y = column_or_1d(y) if np.ndim(y) == 2 and np.shape(y)[1] == 1 else np.asarray(y)
        self._known_labels.require(y, "validation_data")
        columns = self._known_labels.columns(y)
        return columns[:, None] if columns.ndim == 1 else columns

    def _weighed(self, y: Array, weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return weight
        of_classes = compute_sample_weight(self.class_weight, self._labels_of(y))
        if not (of_classes >= 0).all() or not of_classes.any():
            raise ValueError(
                f"{type(self).__name__}: class_weight is {shown(self.class_weight)}, expected numbers from 0 on, and "
                "one above 0 for a class that y has"
            )
        of_classes = of_classes.astype(self.net_.dtype)
        return np.asarray(of_classes if weight is None else weight * of_classes)

    def _labels_of(self, y: Array) -> Any:
        return self._known_labels.labels_of(y)

    def _targets_apart(self) -> Sequence[Labels]:
        return self._known_labels.of if isinstance(self._known_labels, SeveralLabels) else ()

    def _ends_in(self) -> str:
        return self._known_labels.ends_in

    def _target(self, y: Array) -> Any:
        return self._known_labels.target(y, self.net_.dtype)

    def _goal(self, target: Array) -> Goal:
        return Goal(*self._known_labels.goal(self.n_outputs_))

    @property
    def _shape(self) -> dict[str, Any]:
        return {**super()._shape, "loss": f"one of outputs that end in {self._ends_in()!r}"}

    def _ended(self, raw: Array) -> Array:
        return self._known_labels.outputs(raw)

    def _graph(self, x: Value, to: TableGraph, labels: bool) -> None:
        known = self._known_labels
        y = to.mean([known._graph(to.net(one.net_, x), to) for one in self._each_net()])
        classes = self.classes_
        to.about["class_names"] = [c.tolist() for c in classes] if isinstance(classes, list) else classes.tolist()
        known._graph_of_outputs(y, to, type(self).__name__ if labels else None)

    def _score(self, X: Any, y: Any, weight: Array | None) -> float:
        outputs = self._outputs(X)
        if not np.isfinite(outputs).all():
            return np.nan
        return float(np.average(self._known_labels.right(outputs, y), weights=weight))

    def _has_probabilities(self) -> bool:
        if has_margins(self.loss):
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
    def decision_function(self, X: Any) -> Any:
        """Return margins: of two classes above 0 for the second one, of more the largest for the class.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        outputs = self._outputs(self._rows(X))
        return self._known_labels.margins_of(outputs)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) where rows may be of several, or (n_samples, n_outputs)
        """
        return self._predicted_for(self._rows(X))

    def _predicted_for(self, X: Any) -> Array:
        return self._known_labels.labels(self._outputs(X))

    # -- what is saved ------------------------------------------------------------------------------------------------

    def _state_of_targets(self) -> dict[str, Any]:
        classes = self.classes_ if isinstance(self.classes_, list) else [self.classes_]
        return {"classes": [*map(classes_state, classes)], "labels": self._known_labels.state()}

    def _restore_targets(self, record: Record) -> None:
        classes = [classes_from(of, 1) for of in record.items("classes")]
        self._known_labels = labels = record.part("labels", labels_from)
        known = labels.classes if isinstance(labels, SeveralLabels) else [labels.classes]
        if [*map(len, classes)] != [*map(len, known)]:
            raise ModelFormatError("its classes are others than those of its labels")
        self.classes_ = classes if isinstance(labels, SeveralLabels) else classes[0]

    def _about_targets(self) -> list[list[str]]:
        classes = self.classes_ if isinstance(self.classes_, list) else [self.classes_]
        return [["classes", classes_in_words(one)] for one in classes]

    def _require_outputs(self) -> None:
        if self._known_labels.n_outputs != self.n_outputs_:
            raise ModelFormatError(f"it has {self.n_outputs_} outputs, expected {self._known_labels.n_outputs}")

    # -- probabilities ------------------------------------------------------------------------------------------------

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Of several targets a list with one for each.
        """
        outputs = self._outputs(self._rows(X))
        return self._known_labels.probabilities(outputs)

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        found: Any = self.predict_proba(X)
        for probabilities in found if isinstance(found, list) else [found]:
            np.log(probabilities, out=probabilities)
        return found

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
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,) or None
        classes : array_like of shape (n_classes,), list of them or None
            All classes that will come: needed in the first call; of several targets a list with those of each.
        validation_data : tuple (X, y), (X, y, sample_weight) or None
            With ``early_stopping=True``, needed then: rows that are scored behind each call. When that has not become
            better for `n_iter_no_change` calls, the net is as it was at the best score, and `stopped_` is True.

        Returns
        -------
        self
        """
        self._take_classes(classes, y)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all rows, and partial_fit sees some: pass a dict, which "
                "sklearn.utils.class_weight.compute_class_weight makes of all labels"
            )
        self._more(X, y, sample_weight, validation_data)
        return self

    def _take_classes(self, classes: Any, y: Any) -> None:
        """Keep the classes that will come, at the first call, or compare them with those."""
        if isinstance(classes, (list, tuple)) and classes and all(np.ndim(one) == 1 for one in classes):
            of = of_classes(classes, y)
            if self.__dict__.get("classes_") is None:
                self._known_labels, self.classes_ = of, of.classes
            elif not isinstance(self.classes_, list) or [*map(list, of.classes)] != [*map(list, self.classes_)]:
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
                )
        elif check_first_classes(self, classes):
            self._known_labels = of_classes(classes, y)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of rows whose class is predicted; of several outputs, whose classes all are.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,) or None

        Returns
        -------
        float
        """
        outputs = self._outputs(self._rows(X)) if isinstance(self.__dict__.get("classes_"), list) else None
        if outputs is None:
            found = self.predict(X)
            plain = plain_accuracy(y, found) if sample_weight is None else None
            return float(accuracy_score(y, found, sample_weight=sample_weight)) if plain is None else plain
        right = (self._known_labels.labels(outputs) == np.asarray(y)).all(axis=1)
        weights: Any = sample_weight
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags

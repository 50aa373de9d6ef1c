"""What scikit-learn's multi-layer perceptrons do not have: other layers, losses, optimizers, and looks at a fit."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_X_y
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from fastnn.arena import Array
from fastnn.formats.graph import Value
from fastnn.formats.table_graph import Given, TableGraph, graph_of_table
from fastnn.layers import Dense, Layer
from fastnn.layers import activations as known_activations
from fastnn.model import Model
from fastnn.optimizers import Optimizer
from fastnn.sklearn import choices, side_by_side
from fastnn.sklearn.categories import Categories
from fastnn.sklearn.exporting import Exporting, graph_of_matrix
from fastnn.sklearn.frames import as_table, is_frame, require_names
from fastnn.sklearn.labels import Labels
from fastnn.sklearn.loop import Validation
from fastnn.sklearn.multilayer import Multilayer
from fastnn.sklearn.places import require_unmasked, told, weights_of_rows
from fastnn.sklearn.saved_nets import SavedNets
from fastnn.sklearn.watching import Scorer, Watch
from fastnn.tables import Named

_ENDS = {"softmax": "softmax", "logistic": "sigmoid"}


class Extended(Exporting, SavedNets, Multilayer):
    """The other half of the settings, in the places that `Multilayer` has for them."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Multilayer._parameter_constraints,
        **choices.CONSTRAINTS,
    }

    dropout: Any
    normalization: str | None
    out_activation: Any
    scoring: Any
    callbacks: Any
    clip_norm: float | None
    clip_value: float | None
    n_threads: int | None
    n_ensemble: int
    estimators_: list[Any]
    net_ = side_by_side.OfOneNet()

    categorical_features: Any
    precision: str | None
    is_categorical_: NDArray[np.bool_]
    _categories: Categories

    _validation_data: Any = None
    _stopped = False
    _scorer: Scorer | None = None

    # -- what the net is ----------------------------------------------------------------------------------------------

    def _layers(self, sizes: list[int], n_out: int) -> list[Layer]:
        last = Dense(n_out, weight_initializer="zeros")
        first = self._categories.layers if "_categories" in self.__dict__ else []
        return [*first, *choices.hidden_layers(self, sizes), last, *self._ending()]

    def _ending(self) -> list[Layer]:
        """Return what comes behind the last product."""
        if self.out_activation is None or self.out_activation_ in (*_ENDS, "identity"):
            name = _ENDS.get(self.out_activation_)
            return [] if name is None else [known_activations.get(name)]
        end = choices.activation_of(self, "out_activation", self.out_activation)
        return [] if end is None else [known_activations.get(end)]

    def _make_net(self, sizes: list[int], n_in: int, n_out: int, dtype: Any) -> Model:
        if self.precision is not None and dtype != np.float32:
            raise ValueError(
                f"{type(self).__name__}: precision is {self.precision!r}, expected None where numbers are "
                f"{np.dtype(dtype)}: it is of nets of float32 alone, which rows of float32 make; fit with "
                "X.astype(np.float32), or leave precision out"
            )
        return super()._make_net(sizes, n_in, n_out, dtype)

    def _draw(self, net: Any) -> None:
        dense = [layer for layer in net.layers if isinstance(layer, Dense)]
        given = choices.each(self, "activation", len(dense) - 1) or [self.activation]
        for layer, activation in zip(dense, [*given, given[-1]], strict=False):
            n_in, n_out = layer.w.shape
            bound = np.sqrt((2.0 if choices.is_sigmoid(activation) else 6.0) / (n_in + n_out))
            layer.w[...] = self._random_state.uniform(-bound, bound, (n_in, n_out))
            layer.b[...] = self._random_state.uniform(-bound, bound, n_out)

    @property
    def _shape(self) -> dict[str, Any]:
        names = "activation", "dropout", "normalization", "out_activation", "categorical_features", "precision"
        return {name: repr(getattr(self, name)) for name in names}

    def _make_rule(self) -> Optimizer:
        if self.solver not in ("sgd", "adam"):
            return choices.clip(self, choices.rule_of(self))
        rule = super()._make_rule()
        if choices.is_scheduled(self):
            rule.lr = choices.rate_of(self)
        return choices.clip(self, rule)

    @property
    def _takes_steps(self) -> bool:
        return not (isinstance(self.solver, str) and self.solver == "lbfgs")

    @property
    def _threads(self) -> int | None:  # type: ignore[override]
        return self.n_threads

    @property
    def _precision(self) -> str | None:  # type: ignore[override]
        return self.precision

    def _outputs(self, X: Any) -> Array:
        nets = self.__dict__.get("estimators_")
        if nets is not None:
            return np.asarray(np.mean([net._outputs(X) for net in nets], axis=0))
        if self.n_threads is None:
            return self._ended(self._net_for(X).predict(X))
        return self._ended(self._net_for(X).predict(X, n_threads=self.n_threads))

    @abstractmethod
    def _predicted_for(self, X: Any) -> Any:
        """Return what is predicted for checked rows."""

    def _ended(self, raw: Array) -> Array:
        """Return outputs as they are predicted from."""
        return raw

    # -- in other formats ---------------------------------------------------------------------------------------------

    def _prediction_graph(self, inputs: str | None, preprocessing: bool, labels: bool | None) -> TableGraph:
        check_is_fitted(self)
        self._adopt()
        return super()._prediction_graph(inputs, preprocessing, labels)

    def _graph_of_rows(self, inputs: str | None, preprocessing: bool) -> tuple[TableGraph, Value]:
        net, categories = self._each_net()[0].net_, self.__dict__.get("_categories")
        n = self.__dict__.get("n_features_in_", net.n_in)  # of coefs_ that were set there is a net alone
        names = [*map(str, getattr(self, "feature_names_in_", [f"x{i}" for i in range(n)]))]
        if not preprocessing:
            return graph_of_matrix(net, names if categories is None else categories.made)
        if categories is not None:
            to = categories._table(names, inputs, net.dtype)
            return to, categories._graph(to, n, net.dtype)
        to = graph_of_table([Given(name, "numbers", net.dtype) for name in names], inputs)
        return to, to.of_table(range(n))

    def _each_net(self) -> list[Any]:
        """Return the estimators of which the outputs are the mean: itself, but of an ensemble."""
        return self.__dict__.get("estimators_") or [self]

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _validated(self, X: Any, y: Any, reset: bool, incremental: bool = False, **more: Any) -> tuple[Any, Any]:
        own = self.__dict__
        if not reset and ("_categories" in own) is (self.categorical_features is None):
            self._require_unchanged(["categorical_features"])
        if self.categorical_features is None:
            for name in ("_categories", "is_categorical_") if reset else ():
                own.pop(name, None)
            return super()._validated(X, y, reset, **more)
        X = self._encoded(X, reset, incremental)
        more |= {"multi_output": True, "dtype": (np.float64, np.float32), "estimator": self}
        with told(self, Named(X, self._categories.made), y):
            return check_X_y(X, y, **more)  # type: ignore[no-any-return]

    def _checked(self, X: Any) -> Any:
        if "_categories" not in self.__dict__:
            return super()._checked(X)
        X = self._encoded(X, False, False)
        with told(self, Named(X, self._categories.made)):
            return check_array(X, estimator=self, input_name="X")

    def _encoded(self, X: Any, reset: bool, incremental: bool) -> Array:
        """Return rows as numbers, whose columns of categories are columns of 0 and 1, or codes."""
        if hasattr(X, "tocsr"):
            raise TypeError(
                f"categorical_features={self.categorical_features!r} is for frames and arrays, and X is a sparse "
                "matrix: pass X.toarray(), or columns of 0 and 1 without categorical_features"
            )
        name = type(self).__name__
        require_unmasked(name, X, "X")
        X = as_table(name, X)
        if not is_frame(X):
            given = np.asarray(X) if isinstance(X, (list, tuple)) else X
            text = isinstance(given, np.ndarray) and given.dtype.kind in "UST"
            X = check_array(
                np.array(X, object) if text else given, dtype=None, ensure_all_finite="allow-nan", estimator=self
            )
        elif len(X) == 0:
            check_array(np.zeros(X.shape), estimator=self)
        else:
            require_names(name, X, None)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self._categories = Categories(self.categorical_features)
            self._categories.learn(X, incremental)
            self.is_categorical_ = self._categories.mask(X.shape[1])
        found = self._categories.read(X)
        if self.precision is not None and self.is_categorical_.all():  # no number says in which dtype it is
            return found.astype(np.float32)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.categorical_features is not None:
            tags.input_tags.sparse = False
        return tags

    # -- a fit --------------------------------------------------------------------------------------------------------

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, validation_data: tuple[Any, ...] | None = None
    ) -> Any:
        """Train on these data.

        Parameters
        ----------
        X : array_like, data frame or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Labels of a classifier, numbers of a regressor.
        sample_weight : array_like of shape (n_samples,) or None
            The loss of a batch is Σ weight * loss / Σ weight.
        validation_data : tuple (X, y), (X, y, sample_weight) or None
            Rows that are scored behind each epoch, into `validation_scores_`. With ``early_stopping=True`` they stand
            for those that are set aside, and all rows of X are trained with; without, they decide nothing.

        Returns
        -------
        self
        """
        self._validation_data = validation_data
        try:
            return self._fit_checked(X, y, sample_weight)
        finally:
            self.__dict__.pop("_validation_data", None)

    def _more(self, X: Any, y: Any, sample_weight: Any, validation_data: tuple[Any, ...] | None) -> Any:
        """Go once over these rows."""
        self._validation_data = validation_data
        try:
            self._fit(X, y, sample_weight, incremental=True)
        finally:
            self.__dict__.pop("_validation_data", None)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False) -> Any:
        choices.refuse(self, self._validation_data is not None, incremental)
        if self.n_ensemble > 1:
            return side_by_side.fit(self, X, y, sample_weight, self._validation_data, incremental)
        self.__dict__.pop("estimators_", None)
        if not incremental:
            self.__dict__.pop("_stopped", None)
        elif self._stopped:
            warnings.warn(
                "early stopping has ended the training by partial_fit, and the net is as it was at its best score: it "
                "stays so. fit begins anew.",
                stacklevel=4,
            )
            return self
        try:
            if callable(self.scoring):
                self._shown = (X,)
            return super()._fit(X, y, sample_weight, incremental)
        finally:
            for name in ("_scorer", "_shown"):
                self.__dict__.pop(name, None)

    def _at_first(self) -> dict[str, Any]:
        known = super()._at_first()
        if self._validation_data is not None and not self.early_stopping:
            known |= {"validation_scores_": [], "best_validation_score_": -np.inf}
        return known

    def _validation(self) -> Validation | None:
        given = self._validation_data
        if given is None:
            return None
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise TypeError(
                f"validation_data is {type(given).__name__} of {len(given) if hasattr(given, '__len__') else 'no'} "
                "things, expected a tuple (X, y) or (X, y, sample_weight)"
            )
        x = self._rows(given[0])
        weight = None if len(given) == 2 else weights_of_rows(self, given[2], x)
        y = self._targets_like(given[1])
        check_consistent_length(x, y)
        if self.validation_scores_ is None:  # of a fit before, which goes on
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        return Validation(x, y, weight, given[0])

    @abstractmethod
    def _targets_like(self, y: Any) -> Array:
        """Return targets of rows to validate with, as `_validate_input` returns them."""

    def _labels_of(self, y: Array) -> Any:
        """Return checked targets as a scorer takes them."""
        return y

    def _watch(
        self, x: Array, y: Array, weight: Array | None, validation: Validation | None, epochs: int
    ) -> Watch | None:
        if validation is not None and self.scoring not in (None, "loss"):
            self._scorer = Scorer(self, self.scoring)
        if self.callbacks is None:
            return None
        return Watch(self, (x, y, weight), epochs, validation is not None)

    def _loss_on(self, validation: Validation) -> float:
        """Return the loss over rows to validate with."""
        target = self._target(validation.y)
        goal = self._goal(target)
        raw = self.net_.predict(validation.x, n_threads=self.n_threads)
        weight = validation.weight
        if weight is not None:
            weight = weight / weight.mean()
        value = goal.factor * float(goal.loss(raw, target, weight))
        return value if goal.constant is None else value + float(np.average(goal.constant, weights=weight))

    def _logs(self, loss: float, validation: Validation | None) -> dict[str, Any]:
        if validation is None:
            return {"loss": loss}
        assert self.validation_scores_ is not None
        return {"loss": loss, "val_loss": self._loss_on(validation), "val_score": self.validation_scores_[-1]}

    def _scored(self, validation: Validation) -> float:
        if self._scorer is not None:
            return self._scorer(validation, self._labels_of(validation.y))
        return super()._scored(validation) if self.scoring is None else -self._loss_on(validation)

    def _targets_apart(self) -> Sequence[Labels]:
        """Return the labels of each of several targets that have classes of their own."""
        return ()

    @property
    def stopped_(self) -> bool:
        """Whether early stopping has ended the training by `partial_fit`."""
        return self._stopped

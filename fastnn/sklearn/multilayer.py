"""scikit-learn's multi-layer perceptrons, with its parameters, attributes, order of rows and rules to end, by our nets.

What a subclass or the rest of this package changes stands in small methods: `_make_net` makes the layers, `_goal` says
what is made small, `_make_rule` makes the optimizer, `_draw` the first weights, `_train` goes over the epochs.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split

from fastnn.arena import Array
from fastnn.layers import Dense, Layer, Sigmoid, Softmax
from fastnn.model import Model
from fastnn.optimizers import SGD, Adam, Optimizer
from fastnn.sklearn import lbfgs, loop
from fastnn.sklearn.borrowed import Interval, Options, StrOptions, fit_context
from fastnn.sklearn.contract import Estimator, Live, random_state_of, seed_of
from fastnn.sklearn.loop import Best, Validation
from fastnn.sklearn.nets import fits, in_float64, is_coarser, products, take_over
from fastnn.sklearn.places import weights_of_rows
from fastnn.sklearn.recorded import Goal, Recorded
from fastnn.sklearn.rules import L2OfRows, Momentum
from fastnn.sklearn.side_by_side import missing
from fastnn.sklearn.sparse import SparseRecorded, is_large
from fastnn.sklearn.watching import Watch

_STEPS = ("sgd", "adam")
_ACTIVATIONS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


def _closed(kind: type, least: float, most: float | None = None, closed: str = "left") -> Any:
    return Interval(kind, least, most, closed=closed)


class Multilayer(Estimator, ABC):
    """What the classifier and the regressor have in common."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", _closed(Integral, 1)],
        "activation": [StrOptions(set(_ACTIVATIONS))],
        "solver": [StrOptions({"lbfgs", *_STEPS})],
        "alpha": [_closed(Real, 0)],
        "batch_size": [StrOptions({"auto"}), _closed(Integral, 1)],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [_closed(Real, 0, closed="neither")],
        "power_t": [_closed(Real, 0)],
        "max_iter": [_closed(Integral, 1)],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [_closed(Real, 0)],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [_closed(Real, 0, 1, "both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [_closed(Real, 0, 1)],
        "beta_1": [_closed(Real, 0, 1)],
        "beta_2": [_closed(Real, 0, 1)],
        "epsilon": [_closed(Real, 0, closed="neither")],
        "n_iter_no_change": [_closed(Integral, 1), Options(Real, {np.inf})],
        "max_fun": [_closed(Integral, 1)],
    }

    hidden_layer_sizes: Any
    activation: Any
    solver: Any
    alpha: float
    batch_size: Any
    learning_rate: Any
    learning_rate_init: float
    power_t: float
    max_iter: int
    loss: Any
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: Any
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int

    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: Any
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    n_outputs_: int
    n_layers_: int
    out_activation_: str
    _random_state: Any
    _no_improvement_count: int
    _rule: Optimizer
    _made_of: dict[str, Any]
    _best: Best

    @abstractmethod
    def __init__(self) -> None:
        """Keep the parameters."""

    # -- what the net is ----------------------------------------------------------------------------------------------

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Return checked rows and targets, of which those of a classifier are True and False, (rows, outputs)."""

    @abstractmethod
    def _ends_in(self) -> str:
        """Return the name of the output activation."""

    @abstractmethod
    def _goal(self, target: Array) -> Goal:
        """Return what is made small, for targets as they are trained with."""

    def _target(self, y: Array) -> Array:
        """Return targets (rows, outputs) as the loss takes them."""
        return y

    def _n_units(self, y: Array) -> int:
        """Return how many outputs the net has, for checked targets."""
        return int(y.shape[1])

    def _sizes(self) -> list[int]:
        """Return the numbers of units of the hidden layers."""
        given = self.hidden_layer_sizes
        sizes = list(given) if hasattr(given, "__iter__") else [given]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return sizes

    def _layers(self, sizes: list[int], n_out: int) -> list[Layer]:
        """Return the layers of a new net."""
        hidden = [Dense(size, _ACTIVATIONS[self.activation], weight_initializer="zeros") for size in sizes]
        last = {"softmax": Softmax, "logistic": Sigmoid}.get(self.out_activation_)
        ending: list[Layer] = [] if last is None else [last()]
        return [*hidden, Dense(n_out, weight_initializer="zeros"), *ending]

    def _make_net(self, sizes: list[int], n_in: int, n_out: int, dtype: Any) -> Model:
        """Return a new net, built: its weights are not drawn yet."""
        penalties = [L2OfRows(self.alpha / 2)] if self.alpha else []
        given = self.random_state
        seed = given if type(given) is int else seed_of(self._random_state)
        own = {"seed": int(seed), "dtype": dtype, "penalties": penalties, "precision": self._precision}
        return Model(self._layers(sizes, n_out), **own).build(n_in)

    def _draw(self, net: Model) -> None:
        """Draw the first weights as scikit-learn does: uniform (Glorot & Bengio 2010), biases, too."""
        numerator = 2.0 if self.activation == "logistic" else 6.0
        for layer in net.layers:
            if isinstance(layer, Dense):
                n_in, n_out = layer.w.shape
                bound = np.sqrt(numerator / (n_in + n_out))
                layer.w[...] = self._random_state.uniform(-bound, bound, (n_in, n_out))
                layer.b[...] = self._random_state.uniform(-bound, bound, n_out)

    def _make_rule(self) -> Optimizer:
        """Return a new optimizer for steps over batches."""
        if self.solver == "adam":
            return Adam(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon, eps_hat=True)
        if not self.momentum:
            return SGD(self.learning_rate_init)
        return Momentum(self.learning_rate_init, self.momentum, self.nesterovs_momentum)

    @property
    def _shape(self) -> dict[str, Any]:
        """What the net is made of, besides the numbers of its units: where another setting stands, it is made anew."""
        return {"activation": self.activation}

    def _begin(self, sizes: list[int], n_in: int, dtype: Any) -> None:
        """Begin anew: a new net, and nothing known of it."""
        self.__dict__.pop("_given", None)
        self.__dict__.pop("_rule", None)
        self.n_layers_ = len(sizes) + 2
        self.out_activation_ = self._ends_in()
        self.net_, self._made_of = self._make_net(sizes, n_in, self.n_outputs_, dtype), self._shape
        self._draw(self.net_)
        self.__dict__.update(self._at_first())
        if self.early_stopping:
            self._best = Best(self.net_)

    def _at_first(self) -> dict[str, Any]:
        """Return what is known of a fit at its beginning."""
        if not self._takes_steps:
            return {"n_iter_": 0, "t_": 0}
        scores: tuple[Any, ...] = ([], -np.inf, None) if self.early_stopping else (None, None, np.inf)
        names = "validation_scores_", "best_validation_score_", "best_loss_"
        known = {"n_iter_": 0, "t_": 0, "loss_curve_": [], "_no_improvement_count": 0}
        return {**known, **dict(zip(names, scores, strict=True))}

    def _go_on(self, sizes: list[int]) -> None:
        """Make ready to go on with the net that there is, where settings may have changed."""
        self._adopt()
        net, known = self.net_, self._at_first()
        self.__dict__.update({name: value for name, value in known.items() if name not in self.__dict__})
        has, now = [len(b) for b in self.intercepts_], self._shape
        changed = [name for name, value in now.items() if self._made_of.get(name, value) != value]
        if has[:-1] != sizes:
            raise ValueError(
                f"hidden_layer_sizes is {sizes}, but the net that is to be trained further has {has[:-1]}: set it "
                f"back, or {self._anew}"
            )
        if has[-1] != self.n_outputs_:
            self._require_unchanged([name for name in changed if name in ("loss", "out_activation")])
            raise ValueError(
                f"y has {self.n_outputs_} outputs, but the net that is to be trained further has {has[-1]}: "
                f"{self._anew}"
            )
        if changed:
            made = self._make_net(sizes, net.n_in, has[-1], net.dtype)
            self._require_unchanged([name for name in changed if name in ("normalization", "categorical_features")])
            if not fits(made, net):
                self._require_unchanged(changed)
            take_over(made, net)
            self.net_, self._made_of = made, now
            self.__dict__.pop("_rule", None)
            if "_best" in self.__dict__:
                self._best = self._best.of(made)
        elif self.alpha and net.penalties:
            net.penalties[0].l2 = self.alpha / 2
        else:
            net.penalties = [L2OfRows(self.alpha / 2)] if self.alpha else []
        if self.early_stopping and "_best" not in self.__dict__:
            self._best = Best(self.net_)

    def _require_unchanged(self, changed: list[str]) -> None:
        """Refuse other settings with which the parameters that there are would not fit."""
        if changed:
            now, before = self._shape, self.__dict__.get("_made_of", {})
            raise ValueError(
                f"{' and '.join(f'{name} is {now[name]}' for name in changed)}, but the net that is to be trained "
                f"further was made with {' and '.join(f'{name} {before.get(name)}' for name in changed)}, and its "
                f"parameters do not fit: set it back, or {self._anew}"
            )

    @property
    def _anew(self) -> str:
        """What errors say of how to begin anew."""
        return f"begin anew by fit{' with warm_start=False' if self.warm_start else ''}"

    def _require_counts(self) -> None:
        """Refuse to go on by a rule to end that the fit before did not follow: what it compares with is not there."""
        if (self.best_validation_score_ if self.early_stopping else self.best_loss_) is None:
            raise ValueError(
                f"early_stopping is {self.early_stopping}, but the net that is to be trained further was begun with "
                f"early_stopping={not self.early_stopping}: set it back, or {self._anew}"
            )

    def _adopt(self) -> None:
        """Make a net of coefs_ and intercepts_ that were set before there was one."""
        given = self.__dict__.pop("_given", None)
        if given is None:
            return
        coefs, biases = ([np.asarray(array) for array in given.get(name, ())] for name in ("coefs_", "intercepts_"))
        dtype = np.float32 if all(array.dtype == np.float32 for array in coefs) else np.float64
        fit = len(coefs) == len(biases) > 0 and all(
            w.ndim == 2 and w.shape[1:] == b.shape and (i == 0 or w.shape[0] == coefs[i - 1].shape[1])
            for i, (w, b) in enumerate(zip(coefs, biases, strict=True))
        )
        if not fit:
            shapes = [array.shape for array in coefs], [array.shape for array in biases]
            raise ValueError(
                f"coefs_ and intercepts_ were set to arrays of shapes {shapes[0]} and {shapes[1]}, expected for each "
                "layer (n_in, n_out) and (n_out,), n_in as many as the layer before has outputs"
            )
        sizes = [len(b) for b in biases]
        self.n_outputs_, self.n_layers_ = sizes[-1], len(sizes) + 1
        self._random_state = random_state_of(self.random_state)
        self.out_activation_ = self._ends_in()
        self.net_, self._made_of = self._make_net(sizes[:-1], len(coefs[0]), sizes[-1], dtype), self._shape
        self.coefs_, self.intercepts_ = coefs, biases

    # -- a fit --------------------------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False) -> Multilayer:
        sizes = self._sizes()
        is_there = not self.__dict__.keys().isdisjoint(("net_", "_given"))
        first = not (is_there and (self.warm_start or incremental))
        X, y = self._validate_input(X, y, incremental, reset=first)
        sample_weight = None if sample_weight is None else weights_of_rows(self, sample_weight, X)
        y = y[:, None] if y.ndim == 1 else y
        self.n_outputs_ = self._n_units(y)
        self._random_state = random_state_of(self.random_state)
        if first:
            self._begin(sizes, X.shape[1], X.dtype)
        else:
            self._go_on(sizes)
        try:
            if self._takes_steps:
                self._train(X, y, sample_weight, incremental)
            else:
                lbfgs.minimize(self, X, y, self._weighed(y, sample_weight))
            finite = bool(np.isfinite(self.net_.params).all())
        except FloatingPointError:
            finite = False
        if not finite:
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        return self

    def _train(self, X: Any, y: Array, sample_weight: Array | None, incremental: bool) -> None:
        """Train by steps over batches: rows apart, batches, recorded steps, the loop."""
        validation, best = self._validation(), None
        if self.early_stopping and validation is None and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._require_counts()
        if not incremental or "_rule" not in self.__dict__:
            self._rule = self._make_rule()
        if self.early_stopping:
            if validation is None:
                X, y, sample_weight, validation = self._set_apart(X, y, sample_weight)
            best = self._best
        sample_weight = self._weighed(y, sample_weight)
        n = X.shape[0]
        if self.batch_size == "auto":
            size = min(200, n)
        else:
            if self.batch_size > n:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=4
                )
            size = int(min(self.batch_size, n))
        goal = self._goal(target := self._target(y))
        epochs = 1 if incremental else self.max_iter
        made: type[Recorded] = Recorded
        if is_large(X, self.net_.dtype):
            made = SparseRecorded
        elif hasattr(X, "toarray"):
            X = X.toarray()
        watch = self._watch(X, y, sample_weight, validation, epochs)
        recorded = made(
            self.net_, self._rule, goal, X, target, sample_weight, size, epochs, self._threads, watch, incremental
        )
        loop.go(self, recorded, validation, best, incremental)

    def _set_apart(self, X: Any, y: Array, weight: Array | None) -> tuple[Any, Array, Array | None, Validation]:
        """Return the rows to train with, and those to validate with, as scikit-learn draws them."""
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        given = [X, y, *([] if weight is None else [weight]), *self._shown]
        parts = train_test_split(
            *given, random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify
        )
        if parts[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        weights = (None, None) if weight is None else (parts[4], parts[5])
        shown = parts[-1] if self._shown else parts[1]
        return parts[0], parts[2], weights[0], Validation(parts[1], self._known(parts[3]), weights[1], shown)

    # what a fit of scikit-learn's does not have

    _threads: int | None = None
    _precision: str | None = None
    _shown: tuple[Any, ...] = ()  # the rows as they were given, where somebody will look at them

    @property
    def _takes_steps(self) -> bool:
        """Whether it is trained by steps over batches."""
        return self.solver in _STEPS

    def _validation(self) -> Validation | None:
        """Return the rows to validate with that were passed to the fit."""
        return None

    def _weighed(self, y: Array, weight: Array | None) -> Array | None:
        """Return what rows weigh in training."""
        return weight

    def _watch(
        self, x: Array, y: Array, weight: Array | None, validation: Validation | None, epochs: int
    ) -> Watch | None:
        """Return what looks at a fit between its epochs."""
        return None

    def _logs(self, loss: float, validation: Validation | None) -> dict[str, Any]:
        """Return what is logged for an epoch."""
        return {"loss": loss}

    def _scored(self, validation: Validation) -> float:
        """Return how good the net is on these rows."""
        return self._score(validation.x, validation.y, validation.weight)

    def _known(self, y: Array) -> Any:
        """Return targets that are kept apart as `_score` takes them."""
        return y

    @abstractmethod
    def _score(self, X: Any, y: Any, weight: Array | None) -> float:
        """Return how good the net is on checked rows that are kept apart: accuracy, or R²; NaN where it gives none."""

    def _look(self, validation: Validation, best: Best | None) -> None:
        """Score the net, and keep it where it is best."""
        score = self._scored(validation)
        assert self.validation_scores_ is not None
        assert self.best_validation_score_ is not None
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        worse = score < self.best_validation_score_ + self.tol
        if best is not None:
            self._no_improvement_count = self._no_improvement_count + 1 if worse else 0
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
            if best is not None:
                best.keep()

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Any:
        """Train on these data.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Labels of a classifier, numbers of a regressor.
        sample_weight : array_like of shape (n_samples,) or None
            The loss of a batch is Σ weight * loss / Σ weight.

        Returns
        -------
        self
        """
        return self._fit_checked(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def _fit_checked(self, X: Any, y: Any, sample_weight: Any) -> Any:
        return self._fit(X, y, sample_weight)

    def _check_solver(self) -> bool:
        if not self._takes_steps:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    # -- what it has learnt -------------------------------------------------------------------------------------------

    def _arrays(self, name: str, of: str) -> list[Array]:
        """Return arrays of the layers, live; or those that were set before there was a net."""
        own = self.__dict__
        if "net_" in own:
            self.net_._own()
            return Live([getattr(layer, of) for layer in products(self.net_)], self._written, name)
        if name in own.get("_given", ()):
            return own["_given"][name]  # type: ignore[no-any-return]
        raise missing(self, name)

    def _set_arrays(self, name: str, arrays: Any) -> None:
        if isinstance(own := getattr(self, name, None), Live):
            own.fill(arrays)
        else:
            self.__dict__.setdefault("_given", {})[name] = list(arrays)

    @property
    def coefs_(self) -> list[Array]:
        """The weights of the layers, each of shape (n_in, n_out): the arrays that the net computes with."""
        return self._arrays("coefs_", "w")

    @coefs_.setter
    def coefs_(self, arrays: Any) -> None:
        self._set_arrays("coefs_", arrays)

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of the layers, each of shape (n_out,): the arrays that the net computes with."""
        return self._arrays("intercepts_", "b")

    @intercepts_.setter
    def intercepts_(self, arrays: Any) -> None:
        self._set_arrays("intercepts_", arrays)

    def _net_for(self, X: Any) -> Model:
        """Return the net to predict rows with: one of float32 computes in float64 with other rows, as NumPy does."""
        return in_float64(self.net_) if is_coarser(self.net_, X.dtype) else self.net_

    def _written(self) -> None:
        self.net_._written(self.net_.params)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

"""What the estimators have in common: a net, its parameters as scikit-learn shows them, and rows to predict for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn.arena import Array
from fastnn.arrays import all_finite
from fastnn.model import Model
from fastnn.sklearn.borrowed import InvalidParameterError, validate_parameter_constraints
from fastnn.sklearn.places import told

_Kind = TypeVar("_Kind", bound=type)
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_FIXED = (float, int, str, bool, tuple, type(None))  # kinds of which the same object is what it was


def keep(estimator: object, given: Mapping[str, Any]) -> None:
    """Keep the arguments of ``__init__``, its ``locals()``, as they are."""
    for name, value in given.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def documents(of: type) -> Callable[[_Kind], _Kind]:
    """Return a decorator by which ``help`` says of parameters and attributes what it says of them in another class.

    The docstring names those of a section in one entry, ``a, b, c : Any``, as one reads it in the source: it becomes
    theirs.
    """
    entry = re.compile(r"^    (\w+(?:, *\w+)*) : .*(?:\n(?:        .*)?(?=\n))*", re.MULTILINE)

    def document(kind: _Kind) -> _Kind:
        if of.__doc__ and kind.__doc__:  # without -OO
            known = [(found[1].split(", "), found[0].rstrip()) for found in entry.finditer(of.__doc__)]
            kind.__doc__ = among = kind.__doc__.replace("\\\n", "")
            for found in entry.finditer(among):
                names = re.split(", *", found[1])
                if len(names) > 3:
                    texts = [text for own, text in known if {*own} <= {*names}]
                    kind.__doc__ = kind.__doc__.replace(found[0].rstrip(), "\n".join(texts))
        return kind

    return document


class _Nothing(ISeedSequence):
    """What a generator of random numbers begins with that is seeded at once."""

    _words = [0] * 624

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """Return the words."""
        return self._words


def random_state_of(given: Any) -> Any:
    """Return scikit-learn's generator for a seed, a generator or None.

    For a seed NumPy would first make a state out of the system's randomness, which takes 15 times as long.
    """
    if type(given) is not int:
        return check_random_state(given)
    first: Any = _Nothing()
    made = np.random.RandomState(np.random.MT19937(first))
    made.seed(given)
    return made


def seed_of(random_state: np.random.RandomState) -> int:
    """Return what belongs to the state of a generator, without drawing from it."""
    state: Any = random_state.get_state(legacy=False)
    own = state["state"]
    return int(own["key"][0]) if "key" in own else crc32(repr(own).encode())  # that is of Mersenne's twister alone


@lru_cache
def _parameters(kind: Any, init: Any) -> tuple[str, ...]:
    """Return the names of the parameters of a class: to read the signature takes as long as to train a small net."""
    return tuple(super(Estimator, kind)._get_param_names())


@lru_cache
def _fitting_defaults(kind: Any, init: Any, constraints: int) -> dict[str, Any]:
    """Return the defaults of parameters, where they fit the constraints: they need not be looked at again."""
    found = {}
    for name, parameter in inspect.signature(init).parameters.items():
        if type(parameter.default) in _FIXED:
            with suppress(InvalidParameterError):
                validate_parameter_constraints(
                    kind._parameter_constraints, {name: parameter.default}, caller_name=kind.__name__
                )
                found[name] = parameter.default
    return found


class Estimator(BaseEstimator):  # type: ignore[misc]
    """A net with scikit-learn's interface.

    Attributes
    ----------
    net_ : Model
        The net, once it is fitted.
    """

    net_: Model
    n_features_in_: int

    def _adopt(self) -> None:
        """Make a net of what was set before there was one."""

    @classmethod
    def _get_param_names(cls) -> list[str]:
        kind: Any = cls
        return [*_parameters(kind, kind.__init__)]

    def _validate_params(self) -> None:
        """Check the parameters as scikit-learn does: those that are not defaults which fit the constraints."""
        kind: Any = type(self)
        known = _fitting_defaults(kind, kind.__init__, id(self._parameter_constraints))
        changed = {
            name: value
            for name in _parameters(kind, kind.__init__)
            if (value := getattr(self, name)) is not known.get(name, self)
        }
        validate_parameter_constraints(self._parameter_constraints, changed, caller_name=kind.__name__)

    def _validated(self, X: Any, y: Any, reset: bool, incremental: bool = False, **more: Any) -> tuple[Any, Any]:
        """Return rows and targets to train with, checked as scikit-learn does; plain arrays take a shorter way."""
        if self._are_plain(X, y, reset):
            if reset:
                self.__dict__.pop("feature_names_in_", None)
                self.n_features_in_ = X.shape[1]
            return X, y
        more |= {"accept_sparse": ["csr", "csc"], "multi_output": True, "dtype": (np.float64, np.float32)}
        with told(self, X, y):
            return validate_data(self, X, y, reset=reset, **more)  # type: ignore[no-any-return]

    def _are_plain(self, X: Any, y: Any, reset: bool) -> bool:
        """Whether scikit-learn would find nothing to say of these, and nothing to change."""
        own = self.__dict__
        return (
            type(X) is type(y) is np.ndarray
            and X.dtype in _FLOATS
            and X.ndim == 2
            and X.size > 0
            and y.ndim == 1
            and len(y) == len(X)
            and (y.dtype.kind in "iubU" or y.dtype in _FLOATS)
            and (reset or (X.shape[1] == own.get("n_features_in_") and "feature_names_in_" not in own))
            and all_finite(X)
            and (y.dtype.kind != "f" or all_finite(y))
        )

    def _rows(self, X: Any) -> Any:
        """Return rows to predict for, checked as scikit-learn does; plain arrays of floats take a shorter way."""
        own = self.__dict__
        if "net_" not in own:
            check_is_fitted(self)
            self._adopt()
        if (
            type(X) is np.ndarray
            and X.dtype in _FLOATS
            and X.ndim == 2
            and X.shape[1] == own.get("n_features_in_")
            and len(X)
            and "feature_names_in_" not in own
            and "_categories" not in own
            and all_finite(X)
        ):
            return X
        return self._checked(X)

    def _checked(self, X: Any) -> Any:
        """Return rows to predict for, checked as scikit-learn does."""
        with told(self, X):
            return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    def _outputs(self, X: Any) -> Array:
        """Return what the net gives for checked rows, sparse ones block by block."""
        return self.net_.predict(X)


class Live(list[Array]):
    """Arrays of a net: what is written into them, or set in their place, is what it computes with."""

    def __init__(self, arrays: Iterable[Array], written: Callable[[], None], what: str) -> None:
        super().__init__(arrays)
        self._written, self._what = written, what

    def __setitem__(self, at: Any, value: Any) -> None:
        if isinstance(at, slice):
            places = range(*at.indices(len(self)))
            for place, array in zip(places, list(value), strict=True):
                self[place] = array
            return
        own, given = self[at], np.asarray(value)
        if given.shape != own.shape:
            raise ValueError(
                f"{self._what}[{at}] has shape {given.shape}, expected {own.shape}: the net keeps its size"
            )
        own[...] = given
        self._written()

    def fill(self, arrays: Iterable[Any]) -> None:
        """Write others into all of them."""
        given = list(arrays)
        if len(given) != len(self):
            raise ValueError(f"{self._what} has {len(given)} arrays, expected {len(self)}: the net keeps its layers")
        self[:] = given

    def _fixed(self, *given: Any, **more: Any) -> Any:
        raise TypeError(f"{self._what} keeps its {len(self)} arrays, one for each layer: set them, or write into them")

    append = extend = insert = pop = remove = clear = reverse = sort = __delitem__ = __iadd__ = __imul__ = _fixed

    def __reduce__(self) -> Any:
        return list, (list(self),)

    def __copy__(self) -> list[Array]:
        return list(self)

"""What the estimators have in common: a net, its parameters as scikit-learn shows them, and rows to predict for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn.arena import Array
from fastnn.arrays import all_finite
from fastnn.model import Model

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def keep(estimator: object, given: Mapping[str, Any]) -> None:
    """Keep the arguments of ``__init__``, its ``locals()``, as they are."""
    for name, value in given.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


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
            and all_finite(X)
        ):
            return X
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

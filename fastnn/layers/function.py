"""A layer that is a function of a user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count, shown
from fastnn.layers.chain import is_predicting
from fastnn.layers.contract import Layer

Function = Callable[[Array], Any]
Gradient = Callable[[Array, Array, Array], Any]


class Lambda(Layer):
    """y = function(x), dx = gradient(x, y, dy): a layer without parameters from functions in NumPy.

    The functions are called once per batch, in the same fit as layers made of kernels. A layer with parameters is a
    subclass of `Layer`. Keras's Lambda differentiates by itself; here the gradient is written down, and is not needed
    where nothing below is trained, as for a transformation of the inputs, but by `Model.backward`, which returns
    that of x. To pickle a model, its functions need names.

    Parameters
    ----------
    function : callable
        Of x (rows, n_in), which it must not change; returns y (rows, n_out).
    gradient : callable or None
        Of x, y and dy, the gradient of y, both (rows, n_out); returns dx (rows, n_in).
    units : int or None
        The number of outputs: None is that of inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Lambda, Model
    >>> square = Lambda(lambda x: x**2, lambda x, y, dy: 2 * x * dy)
    >>> net = Model([Lambda(np.arcsinh), Dense(8), square, Dense(1)], seed=0)
    >>> history = net.fit(np.ones((5, 3)), np.ones(5), "mse", epochs=2)
    """

    def __init__(self, function: Function, gradient: Gradient | None = None, units: int | None = None) -> None:
        for name, given in (("function", function), ("gradient", gradient)):
            if not callable(given) and (name == "function" or given is not None):
                raise TypeError(f"Lambda: {name} is {shown(given)}, expected a function such as np.sin")
        self.function, self.gradient = function, gradient
        self.units = None if units is None else count("Lambda: units", units)

    def build(self, n_in: int) -> int:
        return self.units or n_in

    def forward(self, x: Any) -> Array:
        """Return function(x), and keep what `backward` needs."""
        x = self._inputs(x)
        y = np.asarray(self.function(x))
        if y.shape != (len(x), self.n_out):
            raise ValueError(
                f"{self.title}: function returned shape {y.shape} for x {x.shape}, expected {(len(x), self.n_out)}; "
                "units=... says how many numbers it makes of a row"
            )
        if not is_predicting():
            self.__dict__["_kept"] = x, y
        return y

    def backward(self, dy: Any) -> Array:
        """Return gradient(x, y, dy) for the last `forward`."""
        if self.gradient is None:
            raise TypeError(
                f"{self.title} has no gradient, which layers below need that are trained: "
                "Lambda(function, gradient), with dx = gradient(x, y, dy)"
            )
        if "_kept" not in self.__dict__:
            raise RuntimeError(f"{self.title}: backward needs a forward before it")
        x, y = self.__dict__["_kept"]
        return np.asarray(self.gradient(x, y, dy))

    def __getstate__(self) -> Any:
        """Leave out what the last forward has kept."""
        return {name: value for name, value in super().__getstate__().items() if name != "_kept"}

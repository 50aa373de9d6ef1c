"""Changes that are made to each batch before its step: functions on batches, and some that many use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.arrays import all_finite
from fastnn.checks import shown
from fastnn.settings import Number, Part
from fastnn.signatures import takes

if TYPE_CHECKING:
    from numpy.random import Generator

# A function of a batch's x (rows, n_in) and y, and of a generator of random numbers; it returns both, of these shapes.
Function = Callable[[Array, Array, "Generator"], tuple[Any, Any]]


class Augmentation(Part):
    """A change of batches that has settings: ``fit(..., augment=...)``.

    One of your own is a function ``f(x, y, rng)``, or a class with such a ``__call__``, that returns x and y of the
    same shapes: new arrays, or the same, changed. x is (rows, n_in), y (rows, n_out) or int64 labels (rows,), both in
    memory of the batch, so that the data stay as they are. Where labels are to be mixed, a class says ``mixes_targets =
    True`` and is given a row of 0 and 1 for each.

    ``rng`` is a ``numpy.random.Generator`` that follows from the seed of the model, the fit and the step, and from
    nothing else: results are the same for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> def flip(x, y, rng):  # the sign of all columns, in half of the rows
    ...     x *= rng.choice([-1, 1], (len(x), 1))
    ...     return x, y
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> history = net.fit(x, x**2, epochs=3, augment=flip)
    """

    mixes_targets: bool = False

    @abstractmethod
    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Any, Any]:
        """Return the batch, changed."""


class MixUp(Augmentation):
    """Mix each row with another one of its batch, x and y alike: λ * a + (1 - λ) * b, λ ~ Beta(alpha, alpha).

    Of Zhang, Cisse, Dauphin & Lopez-Paz (2018), mixup: Beyond Empirical Risk Minimization; as in the authors' code, a
    batch has one λ, and b is the batch in a random order. Labels become rows of 0 and 1, which `CrossEntropy` takes.
    Rows have to weigh alike.

    Parameters
    ----------
    alpha : float
        Above 0. Small numbers mix little: 0.2 is the authors' for ImageNet, 1 theirs for CIFAR-10.

    Examples
    --------
    >>> from fastnn import Dense, MixUp, Model, Softmax
    >>> from fastnn.datasets import load_digits
    >>> pixels, labels = load_digits()
    >>> net = Model([Dense(16, "relu"), Dense(10), Softmax()], seed=0)
    >>> history = net.fit(pixels / 16, labels, epochs=3, augment=MixUp(0.2))
    """

    alpha: Any = Number(above=0, moves=False)
    mixes_targets = True

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__()
        self.alpha = alpha

    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Any, Any]:
        share, order = rng.beta(self.alpha, self.alpha), rng.permutation(len(x))
        own, other = x.dtype.type(share), x.dtype.type(1 - share)
        return own * x + other * x[order], own * y + other * y[order]


class Noise(Augmentation):
    """Add normal noise to x: x + scale * N(0, 1), anew in each step.

    Training with noise on inputs is Tikhonov regularization for small scales (Bishop 1995). `GaussianNoise` does the
    same as a layer, anywhere in a net.

    Parameters
    ----------
    scale : float
        At least 0: the standard deviation of the noise, in units of x.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, Noise
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> history = net.fit(x, x**2, epochs=3, augment=Noise(0.05))
    """

    scale: Any = Number(moves=False)

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = scale

    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Any, Any]:
        if self.scale:
            x += x.dtype.type(self.scale) * rng.standard_normal(x.shape, x.dtype)
        return x, y


def as_functions(given: Any) -> tuple[Function, ...]:
    """Return what changes batches: one function, or several, in turn.

    Raises
    ------
    TypeError
        Where one is no function of (x, y, rng).
    """
    if given is None:
        return ()
    found = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    for function in found:
        what = f"augment is {shown(function)}, expected a function f(x, y, rng) that returns x and y"
        if isinstance(function, type):
            raise TypeError(f"{what}: this is a class, make an object of it, {function.__name__}()")
        if not callable(function):
            raise TypeError(f"{what}, such as MixUp(0.2)")
        if not takes(function, 3):
            raise TypeError(f"{what}: it is called with these three, and takes {signature(function)}")
    return found


def apply(
    functions: tuple[Function, ...],
    x: Array,
    y: Array,
    rng: Generator,
    require: Callable[[Array], None],
    may_miss: bool = False,
) -> None:
    """Change a batch in its memory; `require` raises an error for targets that the loss does not take.

    Where NaN may stand in x, that is not looked at.
    """
    for function in functions:
        returned = function(x, y, rng)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise TypeError(f"augment: {shown(function)} returned {shown(returned)}, expected a tuple (x, y)")
        for own, found, name in ((x, returned[0], "x"), (y, returned[1], "y")):
            if found is own:
                continue
            if np.shape(found) != own.shape:
                raise ValueError(
                    f"augment: {shown(function)} returned {name} of shape {np.shape(found)}, expected {own.shape} as "
                    "it was given: a batch keeps its rows"
                )
            array = np.asarray(found)
            if array.dtype.kind not in "fiub" or (own.dtype.kind == "i" and array.dtype.kind == "f"):
                expected = "whole labels, as given: to mix them, give the class mixes_targets = True"
                raise TypeError(
                    f"augment: {shown(function)} returned {name} of dtype {array.dtype}, expected "
                    f"{expected if own.dtype.kind == 'i' else 'numbers'}"
                )
            with np.errstate(all="ignore"):
                own[...] = array
        for own, name in ((x, "x"), (y, "y")):
            if own.dtype.kind == "f" and not (may_miss and name == "x") and not all_finite(own):
                raise ValueError(f"augment: {shown(function)} made NaN or infinity in {name}, expected finite numbers")
        try:
            require(y)
        except (TypeError, ValueError) as error:
            raise ValueError(f"augment: in the batch that {shown(function)} returned, {error}") from None

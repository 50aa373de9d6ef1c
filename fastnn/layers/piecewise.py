"""Activations without exp: their pieces are polynomials."""

from __future__ import annotations

from typing import Any

from fastnn.checks import number
from fastnn.layers.activation import Activation
from fastnn.settings import Number


class Identity(Activation):
    """y = x.

    Examples
    --------
    >>> from fastnn import Identity
    >>> Identity()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-2.0, -0.5, 0.0, 1.0]]
    """

    kernel = "identity"


class ReLU(Activation):
    """y = max(x, 0) (Nair & Hinton 2010). The derivative at 0 is 0.

    Examples
    --------
    >>> from fastnn import ReLU
    >>> ReLU()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[0.0, 0.0, 0.0, 1.0]]
    """

    kernel = "relu"


class ReLU6(Activation):
    """y = x, clipped to [0, 6] (Krizhevsky 2010). The derivative at 0 and 6 is 0.

    For another bound, `HardTanh(0, max_val)`.

    Examples
    --------
    >>> from fastnn import ReLU6
    >>> ReLU6().forward([[-1.0, 2.0, 9.0]])
    array([[0., 2., 6.]])
    """

    kernel = "relu6"


class Threshold(Activation):
    """y = x where x > threshold, else value (PyTorch's).

    Parameters
    ----------
    threshold, value : float
        PyTorch has no defaults for these; 0 and 0 make a `ReLU`.

    Examples
    --------
    >>> from fastnn import Threshold
    >>> Threshold(1.0, -1.0).forward([[0.5, 1.0, 2.0]])
    array([[-1., -1.,  2.]])
    """

    kernel = "threshold"
    numbers = ("threshold", "value")
    threshold: Any = Number(above=float("-inf"))
    value: Any = Number(above=float("-inf"))

    def __init__(self, threshold: float = 0.0, value: float = 0.0) -> None:
        self.threshold, self.value = threshold, value


class LeakyReLU(Activation):
    """y = x where x > 0, else negative_slope * x (Maas, Hannun & Ng 2013).

    Parameters
    ----------
    negative_slope : float
        At least 0.

    Examples
    --------
    >>> from fastnn import LeakyReLU
    >>> LeakyReLU()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.02, -0.005, 0.0, 1.0]]
    """

    kernel = "leaky_relu"
    numbers = ("negative_slope",)
    negative_slope: Any = Number()

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope


class HardSigmoid(Activation):
    """y = slope * x + offset, clipped to [0, 1] (Courbariaux, Bengio & David 2015).

    Parameters
    ----------
    slope : float
        Above 0. 1/6 as in PyTorch and Keras 3; older versions of Keras had 0.2, and Keras's sparse_sigmoid has 0.5.
    offset : float

    Examples
    --------
    >>> from fastnn import HardSigmoid
    >>> HardSigmoid(0.25).forward([[-3.0, -1.0, 0.0, 1.0, 3.0]])
    array([[0.  , 0.25, 0.5 , 0.75, 1.  ]])
    """

    kernel = "hard_sigmoid"
    numbers = ("slope", "offset")
    slope: Any = Number(above=0.0)
    offset: Any = Number(above=float("-inf"))

    def __init__(self, slope: float = 1 / 6, offset: float = 0.5) -> None:
        self.slope, self.offset = slope, offset


class _Bound(Number):
    """One of two bounds, the lower of which is below the upper one."""

    def __init__(self, other: str, sign: int) -> None:
        super().__init__(above=float("-inf"))
        self._other, self._sign = other, sign

    def __set__(self, part: Any, value: object) -> None:
        other = part._cells.get(self._other)
        if other is not None and callable(value):  # what it follows is compared with the other one as that is now
            within = Number(other[0]) if self._sign > 0 else Number(float("-inf"), other[0])
            within.__set_name__(type(part), self._name)
            within.__set__(part, value)
            return
        if other is not None:
            title = f"{type(part).__name__}: {self._name}"
            if not self._sign * (number(title, value, above=float("-inf")) - other[0]) > 0:
                side = "above" if self._sign > 0 else "below"
                raise ValueError(f"{title} is {value}, expected a number {side} {self._other}, which is {other[0]}")
        super().__set__(part, value)


class HardTanh(Activation):
    """y = x, clipped to [min_val, max_val] (Collobert 2004). The derivative at both is 0.

    Parameters
    ----------
    min_val, max_val : float
        The first is below the second.

    Examples
    --------
    >>> from fastnn import HardTanh
    >>> HardTanh(0.0, 2.0).forward([[-1.0, 0.5, 3.0]])
    array([[0. , 0.5, 2. ]])
    """

    kernel = "hard_tanh"
    numbers = ("min_val", "max_val")
    min_val: Any = _Bound("max_val", -1)
    max_val: Any = _Bound("min_val", 1)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        bounds = {"min_val": min_val, "max_val": max_val}
        for name in sorted(
            bounds, key=lambda name: callable(bounds[name])
        ):  # one that moves has the other as its bound
            setattr(self, name, bounds[name])


class HardSwish(Activation):
    """y = x * clip(x + 3, 0, 6) / 6 (Howard et al. 2019); Keras's hard_silu.

    Examples
    --------
    >>> from fastnn import HardSwish
    >>> HardSwish().forward([[-4.0, 0.0, 1.5, 4.0]])
    array([[0.   , 0.   , 1.125, 4.   ]])
    """

    kernel = "hard_swish"


class HardShrink(Activation):
    """y = x where |x| > threshold, else 0.

    Parameters
    ----------
    threshold : float
        At least 0; PyTorch calls it lambd.

    Examples
    --------
    >>> from fastnn import HardShrink
    >>> HardShrink(1.0).forward([[-2.0, 0.5, 2.0]])
    array([[-2.,  0.,  2.]])
    """

    kernel = "hard_shrink"
    numbers = ("threshold",)
    threshold: Any = Number()

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold


class SoftShrink(HardShrink):
    """y = x - threshold where x > threshold, x + threshold where x < -threshold, else 0 (Donoho & Johnstone 1994).

    Parameters
    ----------
    threshold : float
        At least 0; PyTorch calls it lambd.

    Examples
    --------
    >>> from fastnn import SoftShrink
    >>> SoftShrink(1.0).forward([[-2.0, 0.5, 3.0]])
    array([[-1.,  0.,  2.]])
    """

    kernel = "soft_shrink"


class SparsePlus(Activation):
    """y = 0 where x <= -1, x where x >= 1, else (x + 1)^2 / 4 (Keras's sparse_plus).

    Examples
    --------
    >>> from fastnn import SparsePlus
    >>> SparsePlus().forward([[-2.0, 0.0, 0.5, 3.0]])
    array([[0.    , 0.25  , 0.5625, 3.    ]])
    """

    kernel = "sparse_plus"

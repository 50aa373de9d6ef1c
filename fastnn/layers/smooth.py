"""Activations with exp, and others that are smooth."""

from __future__ import annotations

from typing import Any

from fastnn.checks import lookup
from fastnn.layers.activation import Activation, _WithAlpha
from fastnn.settings import Number


class ELU(_WithAlpha):
    """y = x where x > 0, else alpha * (exp(x) - 1) (Clevert, Unterthiner & Hochreiter 2016); alpha >= 0.

    Notes
    -----
    The derivative for x < 0, alpha * exp(x), is taken from y, as y + alpha, which has the rounding error of y. Its
    absolute error is at most epsilon * alpha: in float32 it has about 5 correct digits at x = -8, 3 at -12 and 1 at
    -16, and is 0 from about -17 on.

    Examples
    --------
    >>> from fastnn import ELU
    >>> ELU()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.865, -0.393, 0.0, 1.0]]
    """

    kernel = "elu"


class CELU(_WithAlpha):
    """y = x where x > 0, else alpha * (exp(x / alpha) - 1) (Barron 2017); alpha > 0.

    Examples
    --------
    >>> from fastnn import CELU
    >>> CELU()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.865, -0.393, 0.0, 1.0]]
    """

    kernel = "celu"
    alpha: Any = Number(above=0.0)


class SELU(Activation):
    """y = scale * elu(x), with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017).

    Notes
    -----
    As with `ELU`, the derivative for x < 0 is taken from y: its absolute error is at most epsilon * 1.7581, which is
    scale times the alpha of elu.

    Examples
    --------
    >>> from fastnn import SELU
    >>> SELU()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-1.52, -0.692, 0.0, 1.051]]
    """

    kernel = "selu"


class GELU(Activation):
    """y = x * Phi(x), Phi the cumulative normal distribution (Hendrycks & Gimpel 2016).

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh" is the form x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) of the same paper.

    Examples
    --------
    >>> from fastnn import GELU
    >>> GELU()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.046, -0.154, 0.0, 0.841]]
    """

    kernel = "gelu"

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate
        forms = {"none": "gelu", "tanh": "gelu_tanh"}
        self.__dict__["kernel"] = lookup("form of GELU", approximate, forms)


class QuickGELU(Activation):
    """y = x * sigmoid(1.702 x), an approximation of `GELU` (Hendrycks & Gimpel 2016).

    Examples
    --------
    >>> from fastnn import QuickGELU
    >>> QuickGELU().forward([[-1.0, 0.0, 1.0]]).round(4)
    array([[-0.1542,  0.    ,  0.8458]])
    """

    kernel = "quick_gelu"


class SiLU(Activation):
    """y = x * sigmoid(x), also called swish (Elfwing, Uchibe & Doya 2018).

    Examples
    --------
    >>> from fastnn import SiLU
    >>> SiLU()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.238, -0.189, 0.0, 0.731]]
    """

    kernel = "silu"


class _Threshold(Number):
    """A number, or None; which of these is fixed when the layer is built, because it decides the kernel."""

    def __get__(self, part: Any, kind: type | None = None) -> Any:
        return None if part is not None and self._name not in part._cells else super().__get__(part, kind)

    def __set__(self, part: Any, value: object) -> None:
        if part.n_in and (value is None) != (self._name not in part._cells):
            raise AttributeError(
                f"{part.title}: whether there is a {self._name} is fixed since the layer was built, {value!r} would "
                "change it: make a new layer"
            )
        if value is None:
            part._cells.pop(self._name, None)
            part._follow(self._name, None)
            part.__dict__.update(kernel="softplus", numbers=("beta",))
        else:
            super().__set__(part, value)
            part.__dict__.update(kernel="softplus_threshold", numbers=("beta", "threshold"))


class Softplus(Activation):
    """y = log(1 + exp(beta * x)) / beta (Dugas et al. 2001).

    Parameters
    ----------
    beta : float
        Above 0: the larger, the nearer to `ReLU`.
    threshold : float or None
        Where beta * x is above it, y = x. PyTorch has 20, against an overflow that there is none of here; None, the
        default, computes the formula for all x.

    Examples
    --------
    >>> from fastnn import Softplus
    >>> Softplus(beta=2.0).forward([[-1.0, 0.0, 1.0]]).round(4)
    array([[0.0635, 0.3466, 1.0635]])
    """

    kernel = "softplus"
    beta: Any = Number(above=0.0)
    threshold: Any = _Threshold()

    def __init__(self, beta: float = 1.0, threshold: float | None = None) -> None:
        self.beta, self.threshold = beta, threshold


class Squareplus(Activation):
    """y = (x + sqrt(x^2 + b)) / 2 (Barron 2021): like softplus, without exp.

    Parameters
    ----------
    b : float
        Above 0; at x = 0, y is sqrt(b) / 2. 4 as in Keras.

    Examples
    --------
    >>> from fastnn import Squareplus
    >>> Squareplus().forward([[-1.5, 0.0, 1.5]])
    array([[0.5, 1. , 2. ]])
    """

    kernel = "squareplus"
    numbers = ("b",)
    b: Any = Number(above=0.0)

    def __init__(self, b: float = 4.0) -> None:
        self.b = b


class Exponential(Activation):
    """y = exp(x).

    Examples
    --------
    >>> from fastnn import Exponential
    >>> Exponential().forward([[0.0, 1.0]]).round(4)
    array([[1.    , 2.7183]])
    """

    kernel = "exponential"


class Softsign(Activation):
    """y = x / (1 + |x|) (Turian, Bergstra & Bengio 2009).

    Examples
    --------
    >>> from fastnn import Softsign
    >>> Softsign()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.667, -0.333, 0.0, 0.5]]
    """

    kernel = "softsign"


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)). At the end of a net with BinaryCrossEntropy, training uses the fused, stable form.

    Examples
    --------
    >>> from fastnn import Sigmoid
    >>> Sigmoid()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[0.119, 0.378, 0.5, 0.731]]
    """

    kernel = "sigmoid"


class LogSigmoid(Activation):
    """y = log(1 / (1 + exp(-x))), computed as -log(1 + exp(-x)), which does not overflow.

    Examples
    --------
    >>> from fastnn import LogSigmoid
    >>> LogSigmoid().forward([[-1000.0, 0.0, 2.0]]).round(4)
    array([[-1.000e+03, -6.931e-01, -1.269e-01]])
    """

    kernel = "log_sigmoid"


class Tanh(Activation):
    """y = tanh(x).

    Examples
    --------
    >>> from fastnn import Tanh
    >>> Tanh()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.964, -0.462, 0.0, 0.762]]
    """

    kernel = "tanh"


class TanhShrink(Activation):
    """y = x - tanh(x).

    Examples
    --------
    >>> from fastnn import TanhShrink
    >>> TanhShrink().forward([[-1.0, 0.0, 3.0]]).round(4)
    array([[-0.2384,  0.    ,  2.0049]])
    """

    kernel = "tanh_shrink"


class LiSHT(Activation):
    """y = x * tanh(x) (Roy et al. 2019).

    Examples
    --------
    >>> from fastnn import LiSHT
    >>> LiSHT().forward([[-1.0, 0.0, 3.0]]).round(4)
    array([[0.7616, 0.    , 2.9852]])
    """

    kernel = "lisht"


class Mish(Activation):
    """y = x * tanh(log(1 + exp(x))) (Misra 2020).

    Examples
    --------
    >>> from fastnn import Mish
    >>> Mish()([[-2.0, -0.5, 0.0, 1.0]]).round(3).tolist()
    [[-0.253, -0.221, 0.0, 0.865]]
    """

    kernel = "mish"


class Sine(Activation):
    """y = sin(w0 * x) (Sitzmann et al. 2020, "SIREN").

    Parameters
    ----------
    w0 : float
        Above 0. That paper has 30, with weights that are uniform within sqrt(6 / n_in) / 30.

    Examples
    --------
    >>> from fastnn import Sine
    >>> Sine(30.0).forward([[0.0, 0.1]]).round(4)
    array([[0.    , 0.1411]])
    """

    kernel = "sine"
    numbers = ("w0",)
    w0: Any = Number(above=0.0)

    def __init__(self, w0: float = 1.0) -> None:
        self.w0 = w0


class Snake(_WithAlpha):
    """y = x + sin(alpha * x)^2 / alpha (Ziyin, Hartwig & Ueda 2020): for what is periodic; alpha > 0.

    Examples
    --------
    >>> from fastnn import Snake
    >>> Snake(2.0).forward([[-1.0, 0.0, 1.0]]).round(4)
    array([[-0.5866,  0.    ,  1.4134]])
    """

    kernel = "snake"
    alpha: Any = Number(above=0.0)

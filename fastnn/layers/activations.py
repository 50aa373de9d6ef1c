"""Activations: each is a layer, and also a name that Dense accepts."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from fastnn import kernels
from fastnn.arena import Array
from fastnn.checks import lookup
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settings import Number, made


class Activation(Layer):
    """A layer without parameters that is one kernel, forward and backward: a row of the table of activations."""

    constant: ClassVar[str] = ""  # the name of its one constant, where it has one

    @property
    def code(self) -> Code:  # type: ignore[override]
        """What its row of the table allows."""
        row = kernels.float64.activations[self.kernel]
        return Code((row.derivative_from,), in_place=True, fusable=row.fusable, mergeable=True)

    @property
    def gives(self) -> str | None:  # type: ignore[override]
        """What losses of probabilities must know of its outputs."""
        return "probabilities" if kernels.float64.activations[self.kernel].range == ("0", "1") else "numbers"

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        forward = getattr(self.kernels, self.kernel + "_forward")
        constants = [self.cell(self.constant)] if self.constant else []
        forward(x, y, *constants, tape=run.tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None:
            return
        saved = y if kernels.float64.activations[self.kernel].derivative_from == "y" else x
        constants = [self.cell(self.constant)] if self.constant else []
        getattr(self.kernels, self.kernel + "_backward")(saved, dy, dx, *constants, tape=run.tape)

    def _as_setting(self) -> str:
        """Return its name, where that is all it is."""
        text = repr(self)
        return (
            repr(self.kernel) if text == f"{type(self).__name__}()" and BY_NAME.get(self.kernel) is type(self) else text
        )


class _WithAlpha(Activation):
    """An activation with a constant of that name, by default that of the table."""

    constant = "alpha"
    alpha: Any = Number()

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class Identity(Activation):
    """y = x."""

    kernel = "identity"


class ReLU(Activation):
    """y = max(x, 0) (Nair & Hinton 2010). The derivative at 0 is 0."""

    kernel = "relu"


class LeakyReLU(Activation):
    """y = x where x > 0, else negative_slope * x (Maas, Hannun & Ng 2013).

    Parameters
    ----------
    negative_slope : float
        At least 0.
    """

    kernel = "leaky_relu"
    constant = "negative_slope"
    negative_slope: Any = Number()

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope


class ELU(_WithAlpha):
    """y = x where x > 0, else alpha * (exp(x) - 1) (Clevert, Unterthiner & Hochreiter 2016); alpha >= 0.

    Notes
    -----
    The derivative for x < 0, alpha * exp(x), is taken from y, as y + alpha, which has the rounding error of y. Its
    absolute error is at most epsilon * alpha: in float32 it has about 5 correct digits at x = -8, 3 at -12 and 1 at
    -16, and is 0 from about -17 on.
    """

    kernel = "elu"


class CELU(_WithAlpha):
    """y = x where x > 0, else alpha * (exp(x / alpha) - 1) (Barron 2017); alpha > 0."""

    kernel = "celu"
    alpha: Any = Number(above=0.0)


class SELU(Activation):
    """y = scale * elu(x), with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017).

    Notes
    -----
    As with `ELU`, the derivative for x < 0 is taken from y: its absolute error is at most epsilon * 1.7581, which is
    scale times the alpha of elu.
    """

    kernel = "selu"


class GELU(Activation):
    """y = x * Phi(x), Phi the cumulative normal distribution (Hendrycks & Gimpel 2016).

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh" is the form x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) of the same paper.
    """

    kernel = "gelu"

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate
        forms = {"none": "gelu", "tanh": "gelu_tanh"}
        self.__dict__["kernel"] = lookup("form of GELU", approximate, forms)


class SiLU(Activation):
    """y = x * sigmoid(x), also called swish (Elfwing, Uchibe & Doya 2018)."""

    kernel = "silu"


class Softplus(Activation):
    """y = log(1 + exp(x)) (Dugas et al. 2001)."""

    kernel = "softplus"


class Softsign(Activation):
    """y = x / (1 + |x|) (Turian, Bergstra & Bengio 2009)."""

    kernel = "softsign"


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)). At the end of a net with BinaryCrossEntropy, training uses the fused, stable form."""

    kernel = "sigmoid"


class HardSigmoid(Activation):
    """y = x / 6 + 1/2, clipped to [0, 1]."""

    kernel = "hard_sigmoid"


class Tanh(Activation):
    """y = tanh(x)."""

    kernel = "tanh"


class HardTanh(Activation):
    """y = x, clipped to [-1, 1]."""

    kernel = "hard_tanh"


class Mish(Activation):
    """y = x * tanh(log(1 + exp(x))) (Misra 2020)."""

    kernel = "mish"


class Softmax(Activation):
    """y_j = exp(x_j) / sum_k exp(x_k), over each row.

    At the end of a net with CrossEntropy, training uses the fused, stable form; before any other loss, backward is the
    product with the full Jacobian, dx = y * (dy - sum(y * dy)).
    """

    kernel = "softmax"
    gives = "class probabilities"


class LogSoftmax(Activation):
    """y_j = x_j - log(sum_k exp(x_k)), over each row."""

    kernel = "log_softmax"
    gives = "class log-probabilities"


BY_NAME: dict[str, type[Activation]] = {
    **{kind.kernel: kind for kind in (*Activation.__subclasses__(), *_WithAlpha.__subclasses__()) if kind.kernel},
    "linear": Identity,
    "swish": SiLU,
    "logistic": Sigmoid,
}


def get(activation: str | Layer) -> Layer:
    """Return a new activation of that name, or the layer itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    found: Layer = made("activation", activation, Layer, {**BY_NAME, "gelu_tanh": partial(GELU, "tanh")})
    return found

"""Activations: each is a layer, and also a name that Dense accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import kernels
from fastnn.arena import Array
from fastnn.layer import Layer
from fastnn.names import lookup, number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class Activation(Layer):
    """A layer without parameters that is one kernel, forward and backward: a row of the table of activations."""

    kernel: ClassVar[str] = ""  # its kernels are <kernel>_forward and <kernel>_backward
    derivative_from: ClassVar[str] = "y"  # or "x": what its backward kernel reads
    in_place = True
    mergeable = True
    alpha: float | None = None  # its one constant, where it has one

    def __init_subclass__(cls, **options: Any) -> None:
        """Take from the table what it says of the kernel."""
        super().__init_subclass__(**options)
        if "kernel" not in cls.__dict__:
            return
        row = cls._row()
        cls.fusable, cls.derivative_from, cls.saved = row.fusable, row.derivative_from, (row.derivative_from,)
        if "gives" not in cls.__dict__:
            cls.gives = "probabilities" if row.range == ("0", "1") else "numbers"

    @classmethod
    def _row(cls) -> kernels.Activation:
        return kernels.float64.activations[cls.kernel]

    @property
    def constants(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a recording fixes."""
        return () if self.alpha is None else ("alpha",)

    def _forward(self, x: Array, y: Array, tape: Tape | None) -> None:
        forward = getattr(self.kernels, self.kernel + "_forward")
        forward(x, y, tape=tape) if self.alpha is None else forward(x, y, self.alpha, tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, tape: Tape | None) -> None:
        if dx is None:
            return
        saved = y if self.derivative_from == "y" else x
        backward = getattr(self.kernels, self.kernel + "_backward")
        backward(saved, dy, dx, tape=tape) if self.alpha is None else backward(saved, dy, dx, self.alpha, tape)


class _WithAlpha(Activation):
    """An activation with a constant of that name, by default that of the table: 1 for elu and celu."""

    def __init__(self, alpha: float | None = None) -> None:
        row = self._row()
        given = row.alpha if alpha is None else alpha
        self.alpha = number(f"{type(self).__name__}: alpha", given, above=0.0 if row.alpha_above_0 else None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.alpha})"


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

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.alpha = number("LeakyReLU: negative_slope", negative_slope)

    def __repr__(self) -> str:
        return f"LeakyReLU({self.alpha})"


class ELU(_WithAlpha):
    """y = x where x > 0, else alpha * (exp(x) - 1) (Clevert, Unterthiner & Hochreiter 2016); alpha >= 0.

    Notes
    -----
    The derivative for x < 0, alpha * exp(x), is taken from y, as y + alpha, which has the rounding error of y. Its
    absolute error is at most epsilon * alpha: in float32 it has 5 correct digits at x = -8, 3 at -12 and 1 at -16, and
    below -17.3 it is 0.
    """

    kernel = "elu"


class CELU(_WithAlpha):
    """y = x where x > 0, else alpha * (exp(x / alpha) - 1) (Barron 2017); alpha > 0."""

    kernel = "celu"


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
        self.kernel = lookup("form of GELU", approximate, {"none": "gelu", "tanh": "gelu_tanh"})  # type: ignore[misc]

    def __repr__(self) -> str:
        return "GELU()" if self.approximate == "none" else f"GELU({self.approximate!r})"


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
}


def get(activation: str | Layer) -> Layer:
    """Return a new activation of that name, or the layer itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    if isinstance(activation, Layer):
        return activation
    if isinstance(activation, type) and issubclass(activation, Layer):
        return activation()
    if activation == "gelu_tanh":
        return GELU("tanh")
    return lookup("activation", activation, BY_NAME)()

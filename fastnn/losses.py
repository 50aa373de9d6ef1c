"""Losses: a number per batch and its gradient, from one kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastnn import kernels
from fastnn.arena import Array
from fastnn.data import as_array, as_matrix, check_finite, convert, parts_of, read_only
from fastnn.names import lookup, number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.layer import Layer


class Loss:
    """What training makes small: the weighted mean over rows of each row's loss.

    A loss of your own is a subclass with ``value_and_grad(self, y, t)``, which returns the mean over the rows and its
    gradient with respect to y, both from NumPy; with a third parameter, ``weight``, it can take sample weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Loss
    >>> class LogCosh(Loss):
    ...     def value_and_grad(self, y, t):
    ...         return np.log(np.cosh(y - t)).mean(), np.tanh(y - t) / y.size
    """

    kernel: ClassVar[str] = ""  # the kernel of a loss whose targets have the shape of the predictions
    fuses: ClassVar[tuple[str, ...]] = ()  # the activations at the end of a net that `from_logits` replaces
    constants: ClassVar[tuple[str, ...]] = ()  # the attributes that a recording fixes: a change records anew
    from_logits = False

    def value_and_grad(self, y: Array, t: Array) -> tuple[float, Array]:
        """Return the loss of predictions y for targets t, and its gradient with respect to y."""
        y = np.ascontiguousarray(as_matrix(y, "y"))
        dy, value = np.empty_like(y), np.empty(1)
        target = np.ascontiguousarray(self.targets(t, y.shape[1], y.dtype))
        self._value_and_grad(y, target, None, dy, value, None)
        return float(value[0]), dy

    def _value_and_grad(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None
    ) -> None:
        if not self._is_kernel_loss:
            if tape is not None:
                tape.call(lambda: self._value_and_grad(y, t, weight, dy, value, None))
                return
            arguments = [read_only(array) for array in (y, t, weight) if array is not None]
            result, gradient = self.value_and_grad(*arguments)
            if np.shape(result) != ():
                raise ValueError(f"{self}: the value has shape {np.shape(result)}, expected one number")
            if np.shape(gradient) != y.shape:
                raise ValueError(f"{self}: the gradient has shape {np.shape(gradient)}, expected {y.shape} as y has")
            value[0] = result
            if dy is not None:
                dy[...] = gradient
            return
        getattr(kernels.of(y.dtype), self._kernel_name(t))(y, t, weight, dy, value, *self._constants(), tape=tape)

    def _kernel_name(self, t: Array) -> str:
        return self.kernel

    def _constants(self) -> tuple[float, ...]:
        return ()

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any]) -> Array:
        """Return checked targets as (rows, n_out); 1-D ones are a column where the net has one output.

        Raises
        ------
        ValueError, TypeError
            Where they are no numbers, do not fit the number of outputs, or hold NaN or infinity.
        """
        array = as_array(t, "y")
        if array.ndim == 1 and n_out == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != n_out:
            hint = "" if array.ndim != 1 else "; labels of classes need CrossEntropy()"
            raise ValueError(f"y has shape {array.shape}, expected (rows, {n_out}) for a net of {n_out} outputs{hint}")
        array = convert(array, dtype)
        check_finite(array, "y")
        return array

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        """Return the loss to train with behind this last stage, and whether it replaces that stage.

        Raises
        ------
        ValueError
            Where the last stage cannot give what this loss expects.
        """
        return self, False

    def metrics(self, y: Array, t: Array) -> dict[str, float]:
        """Return what besides the loss says how good predictions are."""
        return {}

    @property
    def _is_kernel_loss(self) -> bool:
        return type(self).value_and_grad is Loss.value_and_grad

    @property
    def takes_weights(self) -> bool:
        """Whether rows can be weighted."""
        if self._is_kernel_loss:
            return True
        code = getattr(type(self).value_and_grad, "__code__", None)
        return code is not None and "weight" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'from_logits=True' if self.from_logits else ''})"


class MSE(Loss):
    """Mean squared error: the mean of (y - t)^2 over rows and columns."""

    kernel = "mse"


class MAE(Loss):
    """Mean absolute error: the mean of |y - t| over rows and columns. The derivative at 0 is 0."""

    kernel = "mae"


class Huber(Loss):
    """Mean of d^2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), d = y - t (Huber 1964).

    Parameters
    ----------
    delta : float
        Above 0: where the square ends, in the units of y.
    """

    kernel = "huber"
    constants = ("delta",)

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = number("Huber: delta", delta, above=0.0)

    def _constants(self) -> tuple[float, ...]:
        return (self.delta,)

    def __repr__(self) -> str:
        return f"Huber({self.delta})"


class _Likelihood(Loss):
    """A loss of probabilities: it merges with the activation that makes them."""

    expects: ClassVar[tuple[str, ...]] = ()  # what the last stage may give
    constants = ("from_logits",)

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = bool(from_logits)

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        kind = type(self).__name__
        if self.from_logits:
            if last.gives in (*self.expects, "class log-probabilities"):
                raise ValueError(f"{self} expects logits, but the net ends in {last!r}: use {kind}()")
            return self, False
        plain = self._is_kernel_loss and type(self)._value_and_grad is Loss._value_and_grad
        from copy import copy  # only here: what is rarely needed does not make every import longer

        of_logits = copy(self)
        of_logits.from_logits = True
        if plain and last.mergeable and getattr(last, "kernel", None) in self.fuses and droppable:
            return of_logits, True
        if plain and last.gives == "class log-probabilities" and "log_softmax" in self.fuses:
            return of_logits, False  # the softmax of log-probabilities is their exponential: nothing changes
        if last.gives in (None, *self.expects):
            return self, False
        raise ValueError(
            f"{self} expects probabilities, but the net does not end in {self.fuses[0]} but in {last!r}: "
            f"add {self.fuses[0]} at its end, or use {kind}(from_logits=True) for one that ends in logits"
        )


class BinaryCrossEntropy(_Likelihood):
    """Mean of -t log(p) - (1 - t) log(1 - p) over rows and columns, for targets t in [0, 1].

    Parameters
    ----------
    from_logits : bool
        Whether the net gives logits y instead of p = sigmoid(y). A net that ends in a sigmoid needs no such word: it
        is trained from its logits, which is stable and cannot take log(0).
    """

    fuses = ("sigmoid",)
    expects = ("probabilities", "class probabilities")

    def _kernel_name(self, t: Array) -> str:
        return "binary_cross_entropy" + ("_from_logits" if self.from_logits else "")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any]) -> Array:
        array = super().targets(t, n_out, dtype)
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            row = int(np.argmax(((array < 0) | (array > 1)).any(axis=1)))
            raise ValueError(
                f"y is {array[row]} at row {row}, expected numbers from 0 to 1 for {self}: map labels to 0 and 1"
            )
        return array

    def metrics(self, y: Array, t: Array) -> dict[str, float]:
        return {"accuracy": float(np.mean((y > (0 if self.from_logits else 0.5)) == (t > 0.5)))} if y.size else {}


class CrossEntropy(_Likelihood):
    """Mean over rows of -log(p_t) for a label t, or of -sum_j t_j log(p_j) for a row of probabilities t.

    Parameters
    ----------
    from_logits : bool
        Whether the net gives logits y instead of p = softmax(y). A net that ends in a softmax needs no such word: it
        is trained from its logits, which is stable and cannot take log(0).
    """

    fuses = ("softmax", "log_softmax")
    expects = ("class probabilities", "probabilities")

    def _kernel_name(self, t: Array) -> str:
        return "cross_entropy" + ("_labels" if t.ndim == 1 else "") + ("_from_logits" if self.from_logits else "")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any]) -> Array:
        """Return int64 labels of shape (rows,), or probabilities of shape (rows, n_out)."""
        if n_out == 1:
            raise ValueError("CrossEntropy needs one output per class, got 1: use BinaryCrossEntropy, or 2 outputs")
        array = as_array(t, "y")
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 1:
            return _labels(array, n_out)
        array = super().targets(array, n_out, dtype)
        for start, part in parts_of(array):
            wrong = (part < 0).any(axis=1) | (np.abs(part.sum(axis=1, dtype=np.float64) - 1) > 1e-3)
            if wrong.any():
                row = start + int(np.argmax(wrong))
                raise ValueError(
                    f"y is {array[row]} at row {row}, expected probabilities (numbers >= 0 with sum 1) or whole labels"
                )
        return array

    def metrics(self, y: Array, t: Array) -> dict[str, float]:
        labels = t if t.ndim == 1 else t.argmax(axis=1)
        return {"accuracy": float(np.mean(y.argmax(axis=1) == labels))} if len(y) else {}


def _labels(array: Array, n_classes: int) -> Array:
    usual = array.dtype == np.int64 and array.flags.c_contiguous and array.flags.aligned and array.size
    if usual and np.maximum.reduce(array.view(np.uint64)) < n_classes:  # without a sign, numbers below 0 are huge
        return array
    if array.dtype.kind == "f":
        check_finite(array, "y")
        fractional = array != np.floor(array)
        if fractional.any():
            row = int(np.argmax(fractional))
            raise ValueError(f"y is {array[row]} at row {row}, expected whole labels from 0 to {n_classes - 1}")
    if array.size and not (array.min() >= 0 and array.max() < n_classes):
        row = int(np.argmax((array < 0) | (array >= n_classes)))
        expected = f"labels from 0 to {n_classes - 1} for a net of {n_classes} outputs"
        raise ValueError(f"y is {array[row]} at row {row}, expected {expected}")
    return np.ascontiguousarray(array, dtype=np.int64)


_BY_NAME: dict[str, type[Loss]] = {
    "mse": MSE,
    "mean_squared_error": MSE,
    "mae": MAE,
    "mean_absolute_error": MAE,
    "huber": Huber,
    "binary_cross_entropy": BinaryCrossEntropy,
    "binary_crossentropy": BinaryCrossEntropy,
    "bce": BinaryCrossEntropy,
    "log_loss": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "crossentropy": CrossEntropy,
    "sparse_categorical_crossentropy": CrossEntropy,
    "categorical_crossentropy": CrossEntropy,
}


def get(loss: str | Loss) -> Loss:
    """Return a new loss of that name, or the loss itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    return lookup("loss", loss, _BY_NAME)()

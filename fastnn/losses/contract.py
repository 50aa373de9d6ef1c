"""The contract of a loss: a number per batch and its gradient, from one kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastnn import kernels
from fastnn.arena import Array
from fastnn.arrays import all_finite, as_array, as_matrix, check_finite, convert, read_only
from fastnn.settings import Cell, Part, forms_of

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.layers.contract import Layer


class Loss(Part):
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
    from_logits: bool = False

    def value_and_grad(self, y: Any, t: Any) -> tuple[Any, Array]:
        """Return the loss of predictions y for targets t, and its gradient with respect to y: its kernel, run now."""
        y = np.ascontiguousarray(as_matrix(y, "y"))
        dy, value = np.empty_like(y), np.empty(1)
        target = np.ascontiguousarray(self.targets(t, y.shape[1], y.dtype))
        self._value_and_grad(y, target, None, dy, value, None)
        return float(value[0]), dy

    def _value_and_grad(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None
    ) -> None:
        name = self._kernel_name(t)
        if not name:
            raise TypeError(
                f"{type(self).__name__} has no value: define value_and_grad(y, t), or _value_and_grad from kernels"
            )
        getattr(kernels.of(y.dtype), name)(y, t, weight, dy, value, *self._numbers(), tape=tape)

    def _kernel_name(self, t: Array) -> str:
        return self.kernel

    def _numbers(self) -> tuple[Cell, ...]:
        """Return the cells that the kernel reads."""
        return ()

    def compute(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None
    ) -> None:
        """Write the value, and the gradient unless it is None, in the form that the class has; or record that."""
        if not self.is_numpy:
            self._value_and_grad(y, t, weight, dy, value, tape)
        elif tape is not None:
            tape.call(lambda: self._in_numpy(y, t, weight, dy, value))
        else:
            self._in_numpy(y, t, weight, dy, value)

    def _in_numpy(self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array) -> None:
        arguments = [read_only(array) for array in (y, t, weight) if array is not None]
        result, gradient = self.value_and_grad(*arguments)
        if np.shape(result) != ():
            raise ValueError(f"{self}: the value has shape {np.shape(result)}, expected one number")
        if np.shape(gradient) != y.shape:
            raise ValueError(f"{self}: the gradient has shape {np.shape(gradient)}, expected {y.shape} as y has")
        value[0] = result
        if dy is not None:
            dy[...] = gradient
            if np.isfinite(result) and not all_finite(dy):
                raise FloatingPointError(f"{self}: the gradient is not finite, where the value is {result}")

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
    def is_numpy(self) -> bool:
        """Whether its code is NumPy."""
        return forms_of(type(self), Loss, "value_and_grad", "_value_and_grad").is_numpy

    @property
    def takes_weights(self) -> bool:
        """Whether rows can be weighted."""
        if not self.is_numpy:
            return True
        code = getattr(type(self).value_and_grad, "__code__", None)
        return code is not None and "weight" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'from_logits=True' if self.from_logits else ''})"

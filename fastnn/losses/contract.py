"""The contract of a loss: a number per batch and its gradient, from one kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import kernels
from fastnn.arena import Array
from fastnn.arrays import (
    all_finite,
    as_array,
    as_matrix,
    as_weights,
    check_finite,
    convert,
    copy_into,
    read_only,
    require_real,
)
from fastnn.checks import logged, number_of, shown
from fastnn.metrics import by_name, get
from fastnn.metrics.contract import Asked
from fastnn.settings import Cell, Part, explain_numpy, forms_of, instead_of
from fastnn.signatures import is_ours
from fastnn.tables import labels_of

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.layers.contract import Layer


class Loss(Part):
    """What training makes small: the mean over rows of weight * the row's loss.

    A loss of your own is a subclass with ``value_and_grad(self, y, t)``, which returns the mean over the rows and its
    gradient with respect to y, both from NumPy. With a third parameter, ``weight`` of shape (rows,), it can take
    weights: it multiplies each row's loss by its weight, and still divides by the number of rows. `fit` and `evaluate`
    scale weights to mean 1 before, so that this is the weighted mean over the data.

    Targets have the shape of the predictions, unless it says otherwise by ``targets(self, t, n_out, dtype)``, which
    returns an array of that dtype with a row for each of y: what a policy's loss needs, for example (actions,
    advantages, and the probabilities before), may so be columns of one array.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Loss
    >>> class LogCosh(Loss):
    ...     def value_and_grad(self, y, t):
    ...         return np.log(np.cosh(y - t)).mean(), np.tanh(y - t) / y.size

    A loss that is called gives its value:

    >>> LogCosh()(np.array([[0.5], [-1.0]]), np.zeros((2, 1)))  # doctest: +ELLIPSIS
    0.2769...
    """

    kernel: ClassVar[str] = ""  # the kernel of a loss whose targets have the shape of the predictions
    fuses: ClassVar[tuple[str, ...]] = ()  # the activations at the end of a net that `from_logits` replaces
    from_logits: bool = False
    of_numbers: ClassVar[bool] = False  # whether targets may be any numbers, of any scale
    of_classes: ClassVar[bool] = False  # whether targets say to which class a row belongs, or of which it is
    # Between which numbers targets of one row may lie, where `targets` refuses and changes nothing else in them; None
    # where it does. Whoever overrides `targets` says it anew. Labels are whole numbers below the number of outputs.
    target_range: ClassVar[tuple[float, float] | None] = (-float("inf"), float("inf"))

    _has_form: ClassVar[bool] = False  # whether it has to know how the targets lie that it has read

    def __init__(self) -> None:
        super().__init__()  # of a class beside it

    if TYPE_CHECKING:  # one of your own may have no weight

        def value_and_grad(self, *arguments: Any, **options: Any) -> tuple[Any, Array]: ...

    else:

        def value_and_grad(self, y, t, weight=None):
            """Return the loss of predictions y for targets t, and its gradient with respect to y: its kernel, run now.

            Parameters
            ----------
            y, t
                Predictions of shape (rows, n), and targets as in `Model.fit`.
            weight : array_like of shape (rows,), or of the shape of the targets, or None
                Multiplies each row's loss, or that of each target; the mean is still over their number.
            """
            own = self._of_form()
            y, target, factor, shape = own._given(y, t, weight)
            own._require_given(y)
            dy, value = np.empty_like(y), np.empty(1)
            each = own._each(target, shape)
            own._single(y, target, factor, dy, value, each)
            return float(value[0]) if each is None else each, dy.reshape(shape)

    def __call__(self, y: ArrayLike, t: ArrayLike, weight: ArrayLike | None = None) -> Any:
        """Return the loss of predictions y for targets t: `value_and_grad` without the gradient, in either form.

        Parameters
        ----------
        y, t
            Predictions of shape (rows, n), or (rows,) for one output, and targets as in `Model.fit`.
        weight : array_like of shape (rows,), or of the shape of the targets, or None
            Multiplies each row's loss, or that of each target; the mean is still over their number.
        """
        own = self._of_form()
        y, target, factor, shape = own._given(y, t, weight)
        own._require_given(y)
        value, each = np.empty(1), own._each(target, shape)
        if each is None:
            own.compute(y, target, factor, None, value, None)
            return float(value[0])
        own._single(y, target, factor, None, value, each)
        return each

    def _each(self, t: Array, shape: tuple[int, ...]) -> Array | None:
        """Return memory for single losses, where they are what this loss gives of predictions of that shape."""
        return None

    def _single(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, each: Array | None
    ) -> None:
        self._value_and_grad(y, t, weight, dy, value, None)

    def require_one_number(self) -> None:
        """Raise ValueError where this is no loss to train with, or to evaluate: it gives no single number."""

    def _given(self, y: Any, t: ArrayLike, weight: Any) -> tuple[Array, Array, Array | None, tuple[int, ...]]:
        """Return what a person hands in as kernels need it, and the shape that y had."""
        given = as_array(y, "y")
        y = np.ascontiguousarray(as_matrix(given[:, None] if given.ndim == 1 else given, "y"))
        factor = None if weight is None else as_weights(weight, len(y), y.dtype, "weight")
        target, factor = self.read(t, factor, y.shape[1], y.dtype, "t")
        if len(target) != len(y):
            raise ValueError(f"t has {len(target)} rows, expected {len(y)} as y has")
        if factor is not None:
            if not self.takes_weights:
                raise TypeError(f"{self} takes no weight: give its value_and_grad a third parameter, weight")
            factor = np.ascontiguousarray(factor, y.dtype)
        return y, np.ascontiguousarray(target), factor, given.shape

    def read(
        self, t: Any, weight: Array | None, n_out: int, dtype: np.dtype[Any], name: str = "y", known: bool = False
    ) -> tuple[Array, Array | None]:
        """Return checked targets, and what they weigh: weights that are handed in, times those that the loss has.

        Parameters
        ----------
        t : array_like
        weight : ndarray of shape (rows, 1), or (rows, columns of the targets), or None
        n_out : int
            Of the net.
        dtype : dtype
        name : str
            What errors call the targets: y in a training, t beside predictions y.
        known : bool
            Whether these are all the rows there are.
        """
        names = (name,) if is_ours(type(self).targets) else ()
        target = self.targets(t, n_out, dtype, *names)
        self._require_weights(weight, target, "weight" if name == "t" else "sample_weight")
        return target, weight

    @property
    def _form(self) -> tuple[Any, ...]:
        """How the targets lie that `read` has read last, where it has to know it to compute with them."""
        return ()

    def _of_form(self, form: tuple[Any, ...] = ()) -> Loss:
        """Return the loss for data beside those of a training: it has read some that lie so, or none yet."""
        return self

    def _require_weights(self, weight: Array | None, target: Array, name: str) -> None:
        """Raise an error for weights that are neither of rows nor of these targets."""
        if weight is None or weight.shape[1] == 1 or (self.takes_target_weights and weight.shape == target.shape):
            return
        of_targets = f", or per target: {target.shape}" if self.takes_target_weights and target.ndim == 2 else ""
        expected = f"one number per row: ({len(target)},){of_targets}"
        raise (ValueError if self.takes_target_weights else TypeError)(
            f"{name} has shape {weight.shape}, expected {expected}, of {self}"
        )

    def require_changed(self, target: Array, n_out: int) -> None:
        """Raise ValueError where targets that were read, and have been changed since, are none any more."""
        if is_ours(type(self).targets):
            self.targets(target, n_out, target.dtype)

    def row(self, t: Any) -> Any:
        """Return targets of one row that are those of a person's one row: a number, or one for each output."""
        array = as_array([t] if np.ndim(t) == 0 else t, "y")
        if array.ndim != 1:
            raise ValueError(f"y has shape {array.shape}, expected the targets of one row: a number, or one dimension")
        return array if np.ndim(t) == 0 else array[None, :]

    def pieces(self, t: Any) -> tuple[list[Array], Callable[[list[Array]], Any]]:
        """Return targets as arrays of which rows can be chosen, and what makes targets of such arrays."""
        array = as_array(t, "y")
        return [array if array.ndim else array[None]], itemgetter(0)

    def weighs(self) -> bool:
        """Whether it has weights of its own, or may leave targets out."""
        return False

    def classes_of(self, pieces: Sequence[Array], rows: int) -> NDArray[Any] | None:
        """Return the class of each row, from the `pieces` of targets; None where rows are of no one class."""
        if not self.of_classes or not (pieces[0].size == rows or getattr(self, "of_rows", True)):
            return None
        columns = pieces[0].reshape(rows, -1)
        return columns[:, 0] if columns.shape[1] == 1 else columns.argmax(axis=1)

    @property
    def may_leave_out(self) -> bool:
        """Whether rows may be left out because of what their targets are."""
        return False

    def relative(self, weight: Array, target: Array) -> Array:
        """Return the weights of known data, of which only ratios count: scaled to mean 1."""
        with np.errstate(all="ignore"):  # the least ones may become 0
            weight = weight / weight.max()  # the sum of large ones overflows
            return np.asarray(weight * (weight.size / self._sum_of_weights(weight, target)))

    def _sum_of_weights(self, weight: Array, target: Array) -> float:
        return float(weight.sum())

    def _require_given(self, y: Array) -> None:
        """Raise ValueError for predictions, handed in by a person, of which this loss is none."""

    def _value_and_grad(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None
    ) -> None:
        name = self._kernel_name(t)
        if not name:
            kind = type(self)
            instead = instead_of("value_and_grad", kind, Loss, ("__call__", "call", "forward", "loss"))
            raise TypeError(
                f"{kind.__name__} has no value: define value_and_grad(y, t), which returns the loss and its gradient "
                f"with respect to y, or _value_and_grad from kernels{instead}"
            )
        self._run(y, t, weight, dy, value, tape)

    def _run(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None, **more: Any
    ) -> None:
        """Call the kernel of these targets."""
        kernel = getattr(kernels.of(y.dtype), self._kernel_name(t))
        kernel(y, t, weight, dy, value, *self._numbers(), tape=tape, **self._options(), **more)

    def _kernel_name(self, t: Array) -> str:
        return self.kernel

    def _numbers(self) -> tuple[Cell | float, ...]:
        """Return the cells that the kernel reads, and numbers that a recording fixes."""
        return ()

    def _options(self) -> dict[str, Any]:
        """Return what else the kernel is given, by name."""
        return {}

    def compute(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None
    ) -> None:
        """Write the value, and the gradient unless it is None, in the form that the class has; or record that."""
        if not self.is_numpy:
            self._value_and_grad(y, t, weight, dy, value, tape)
            return
        if weight is None and takes_weight(type(self).value_and_grad, without_default=True):
            weight = np.ones((len(y), 1), y.dtype)
        if tape is not None:
            tape.call(lambda: self._in_numpy(y, t, weight, dy, value))
        else:
            self._in_numpy(y, t, weight, dy, value)

    def _in_numpy(self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array) -> None:
        factor = {} if weight is None else {"weight": read_only(weight[:, 0])}
        code = partial(self.value_and_grad, **factor) if factor else self.value_and_grad
        try:
            returned = code(read_only(y), read_only(t))
        except ValueError as error:
            explain_numpy(self, "value_and_grad", error)
            raise
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise TypeError(
                f"{self}: value_and_grad returned {shown(returned)}, expected two things: the loss, and its gradient "
                f"with respect to y, of shape {y.shape}"
            )
        result, gradient = returned
        if np.shape(result) != ():
            raise ValueError(f"{self}: the value has shape {np.shape(result)}, expected one number")
        if result is None or gradient is None:
            what = "value" if result is None else "gradient"
            raise TypeError(
                f"{self}: value_and_grad returned a {what} that is None, expected the loss and its gradient"
            )
        if np.shape(gradient) != y.shape:
            raise ValueError(f"{self}: the gradient has shape {np.shape(gradient)}, expected {y.shape} as y has")
        number = logged(result)
        if number is None:
            raise TypeError(f"{self}: the value is {shown(result)}, expected one number")
        value[0] = number
        if dy is not None:
            gradient = np.asarray(gradient)
            require_real(gradient, f"{self}: the gradient has")
            copy_into(dy, gradient)
            if np.isfinite(number) and not all_finite(dy):
                raise FloatingPointError(f"{self}: the gradient is not finite, where the value is {number}")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Return checked targets as (rows, n_out); 1-D ones are a column where the net has one output.

        Raises
        ------
        ValueError, TypeError
            Where they are no numbers, do not fit the number of outputs, or hold NaN or infinity.
        """
        array = as_array(t, name)
        if array.ndim == 1 and n_out == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != n_out:
            hint = _shape_hint(array, n_out) if array.ndim == 1 else ""
            if not is_ours(type(self)):
                hint += f"; what else {type(self).__name__} takes, it says by a method targets(self, t, n_out, dtype)"
            expected = f"(rows, {n_out}) for {of_outputs(n_out, name)}"
            raise ValueError(f"{name} has shape {array.shape}, expected {expected}{hint}")
        array = convert(array, dtype)
        check_finite(array, name, None, None if type(t) is np.ndarray else labels_of(t))
        return array

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        """Return the loss to train with behind this last stage, and whether it replaces that stage.

        Raises
        ------
        ValueError
            Where the last stage cannot give what this loss expects.
        """
        return self, False

    def metrics(self, y: Array, t: Array, weight: Array | None = None) -> dict[str, float]:
        """Return what besides the loss says how good predictions are: weighted means over the rows."""
        names = self.reports(y, t) if len(y) else ()
        return self.measure([Asked(name, get(name)) for name in names], y, t, weight)

    def reports(self, y: Array, t: Array) -> Sequence[str]:
        """Return the names of the metrics that `Model.evaluate` gives by itself."""
        return ()

    def outcome(self, y: Array, t: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
        """Return targets, predictions and weights as metrics read them: probabilities in place of logits."""
        return t, y, weight

    def choose_metrics(self, given: Any) -> tuple[Asked, ...]:
        """Return the metrics that `fit` or `evaluate` is asked for, checked."""
        return tuple(Asked(name, metric) for name, metric in by_name(given).items())

    def measure(self, asked: Sequence[Asked], y: Array, t: Array, weight: Array | None) -> dict[str, float]:
        """Return metrics of outputs by their names: all of one reading; NaN where the outputs are not finite."""
        if not asked:
            return {}
        if not all_finite(y):
            return {one.name: float("nan") for one in asked}
        with np.errstate(all="ignore"):
            outcome = self.outcome(y, t, weight)
        return {one.name: one.metric(*outcome) for one in asked}

    def metrics_of(self, y: Array, t: Array, weight: Array | None) -> dict[str, float]:
        """Return the metrics, weighted where there are weights."""
        if weight is None:
            return self.metrics(y, t)
        if not takes_weight(type(self).metrics):
            raise TypeError(f"{self}: metrics takes no sample_weight: give it a third parameter, weight")
        return self.metrics(y, t, weight if is_ours(type(self).metrics) else weight.mean(axis=1))

    @property
    def is_numpy(self) -> bool:
        """Whether its code is NumPy."""
        return forms_of(type(self), Loss, "value_and_grad", "_value_and_grad").is_numpy

    @property
    def takes_target_weights(self) -> bool:
        """Whether each target can have a weight of its own, where they have the shape of the predictions."""
        return not self.is_numpy

    @property
    def takes_weights(self) -> bool:
        """Whether rows can be weighted."""
        return not self.is_numpy or takes_weight(type(self).value_and_grad)


def of_outputs(n: int, name: str) -> str:
    """Say what so many outputs are of, for targets that are called so: y in a training, t beside predictions y."""
    return f"a net of {number_of(n, 'output')}" if name == "y" else f"y of {number_of(n, 'column')}"


def _shape_hint(y: Array, n_out: int) -> str:
    """Return what a person may have meant by one number per row."""
    hint = f": {n_out} numbers for each row; for one number per row the net ends in Dense(1)"
    if y.size and y.dtype.kind in "iu" and y.min() >= 0 and y.max() < n_out:
        hint += "; for labels of classes it ends in Softmax(), and the loss is CrossEntropy()"
    return hint


def takes_weight(function: Any, without_default: bool = False) -> bool:
    """Whether a function has a parameter `weight`, one without a default value where that is asked."""
    code = getattr(function, "__code__", None)
    if code is None or "weight" not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return False
    place = code.co_varnames.index("weight")
    if place < code.co_argcount:
        has_default = place >= code.co_argcount - len(function.__defaults__ or ())
    else:
        has_default = "weight" in (function.__kwdefaults__ or {})
    return not (without_default and has_default)

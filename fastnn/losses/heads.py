"""Several losses of one net, each of some of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.checks import count, number_of, shown
from fastnn.layers.contract import Layer
from fastnn.losses.contract import Loss
from fastnn.metrics.contract import Asked
from fastnn.settings import Number, Part
from fastnn.tables import table_of

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class Head(Part):
    """Some outputs of a net, next to each other, and what they add to the loss = weight * theirs: one of `Heads`.

    Parameters
    ----------
    loss : Loss
        Of these outputs, as if they were all: it may have weights of its own, leave out missing targets, or be yours.
    n : int
        How many outputs there are, at least 1.
    weight : float
        At least 0: what the loss is multiplied by. It may be changed at any time.

    Examples
    --------
    >>> from fastnn import MAE, Head
    >>> Head(MAE(), 2, weight=0.5)
    Head(MAE(), n=2, weight=0.5)
    """

    weight: Any = Number()

    def __init__(self, loss: Loss, n: int = 1, weight: float = 1.0) -> None:
        if not isinstance(loss, Loss):
            raise TypeError(f"Head: loss is {shown(loss)}, expected a loss, such as MSE()")
        if isinstance(loss, Heads):
            raise TypeError(f"Head: loss is {shown(loss)}, expected one loss: list its heads beside the others")
        self.__dict__["_loss"], self.__dict__["_n"], self.weight = loss, count("Head: n", n), weight

    @property
    def loss(self) -> Loss:
        """The loss of these outputs."""
        return self.__dict__["_loss"]  # type: ignore[no-any-return]

    @property
    def n(self) -> int:
        """How many outputs there are."""
        return self.__dict__["_n"]  # type: ignore[no-any-return]

    def _held(self) -> tuple[Part, ...]:
        return (self.loss,)

    def settings(self) -> object:
        return self.n, self.weight, type(self.loss), self.loss.settings()


_Form = tuple[str, int]  # the dtype and the dimensions of targets as their loss reads them


def _as_read(target: Array, form: _Form) -> Array:
    """Return targets (rows, columns) in memory of their own, so that labels are aligned, as what their loss read."""
    dtype, n_dimensions = form
    target = target.view(dtype)
    return target[:, 0] if n_dimensions == 1 else target


class Heads(Loss):
    """The sum of weight * loss over heads: parts of the outputs that have losses of their own.

    The outputs of the net are those of the first head, then those of the second, and so on. Targets are a dict with
    those of each head by its name, or a tuple of them in order, each as the head's loss takes them: labels, too. A
    frame, or an array, has as many columns for each head as that has outputs. `Model.evaluate` gives, besides the loss,
    the loss and the metrics of each head under its name.

    Parameters
    ----------
    heads : dict of str to Head
        In the order of the outputs.

    Notes
    -----
    Weights of rows count for every head; those of targets are an array with a column for each column of the targets,
    those of all heads in order: one where they are labels. What is
    recorded of it comes back to Python only for a loss in NumPy. Keras's ``loss_weights`` are the weights of heads.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MSE, CrossEntropy, Dense, Head, Heads, Model
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(100, 2))
    >>> loss = Heads({"price": Head(MSE(), 1), "kind": Head(CrossEntropy(from_logits=True), 3, weight=0.5)})
    >>> y = {"price": x[:, 0] - x[:, 1], "kind": (x > 0).sum(axis=1)}
    >>> net = Model([Dense(16, "relu"), Dense(4)], seed=0)
    >>> history = net.fit(x, y, loss, epochs=100, batch_size=20)
    >>> sorted(net.evaluate(x, y))
    ['kind_accuracy', 'kind_loss', 'loss', 'price_loss']
    """

    constants = ("_form", "_structure")
    target_range = None
    _has_form = True

    def __init__(self, heads: Mapping[str, Head]) -> None:
        super().__init__()
        if not isinstance(heads, Mapping) or not heads:
            raise TypeError(
                f"Heads: heads is {shown(heads)}, expected a dict of names and heads: {{'price': Head(MSE())}}"
            )
        for name, head in heads.items():
            if not isinstance(name, str) or not isinstance(head, Head):
                raise TypeError(f"Heads: {shown(name)} is {shown(head)}, expected a name and a Head")
        self.__dict__["_heads"], self.__dict__["_forms"] = dict(heads), ()

    @property
    def heads(self) -> dict[str, Head]:
        """The heads by name: their weights, and the settings of their losses, may be changed."""
        return dict(self._heads)

    @property
    def _heads(self) -> dict[str, Head]:
        return self.__dict__["_heads"]  # type: ignore[no-any-return]

    def _held(self) -> tuple[Part, ...]:
        return tuple(self._heads.values())

    @property
    def _structure(self) -> list[Any]:
        """What a recording fixes of the losses of heads."""
        parts = [head.loss for head in self._heads.values()]
        return [getattr(loss, name) for loss in parts for name in loss.constants]

    def settings(self) -> object:
        return {name: head.settings() for name, head in self._heads.items()}, self._form

    def require_one_number(self) -> None:
        for head in self._heads.values():
            head.loss.require_one_number()

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        if last.gives not in (None, "numbers"):
            raise ValueError(
                f"Heads: the net ends in {last!r}, over the outputs of all heads: end it with a Dense without an "
                "activation, and use from_logits=True, or with layers that give each head's outputs (Parallel)"
            )
        own = self._copy(_heads={})
        for name, head in self._heads.items():
            loss, _ = self._of(name, lambda head=head: head.loss.for_end(last, False))  # type: ignore[misc]
            same = own.__dict__["_heads"][name] = Head(loss, head.n)
            object.__setattr__(same, "_cells", head._cells)
        return own, False

    def _copy(self, **changes: Any) -> Heads:
        own: Heads = type(self).__new__(type(self), self._heads)
        own.__dict__.update(self.__dict__, **changes)
        return own

    @property
    def _form(self) -> tuple[Any, ...]:
        """How many columns the targets of each head have beside those of others, their dtype and dimensions."""
        return self.__dict__["_forms"]  # type: ignore[no-any-return]

    def _of_form(self, form: tuple[Any, ...] = ()) -> Heads:
        return self._copy(_forms=form)

    def _of(self, name: str, compute: Callable[[], Any]) -> Any:
        """Compute something of a head; an error says of which."""
        try:
            return compute()
        except (TypeError, ValueError) as error:
            error.args = (f"head {name!r}: {error}",)
            raise

    # -- data ---------------------------------------------------------------------------------------------------------

    def row(self, t: Any) -> Any:
        heads = self._heads
        if isinstance(t, Mapping):
            return {name: heads[name].loss.row(one) if name in heads else one for name, one in t.items()}
        if isinstance(t, tuple) and len(t) == len(heads) and table_of(t) is None:
            return tuple(head.loss.row(one) for head, one in zip(heads.values(), t, strict=True))
        return super().row(t)

    def pieces(self, t: Any) -> tuple[list[Array], Callable[[list[Array]], Any]]:
        return self._targets_of_heads(t, "y"), tuple

    def _targets_of_heads(self, t: Any, name: str) -> list[Array]:
        """Return what is the target of each head."""
        heads = self._heads
        if isinstance(t, Mapping):
            if {*t} != {*heads}:
                raise ValueError(
                    f"{name} has targets of {', '.join(map(str, t))}, expected those of {', '.join(heads)}"
                )
            given = [t[head] for head in heads]
        elif isinstance(t, tuple) and table_of(t) is None:
            if len(t) != len(heads):
                raise ValueError(f"{name} has {number_of(len(t), 'array')}, expected {len(heads)}: {', '.join(heads)}")
            given = list(t)
        else:
            array, widths = as_array(t, name), [head.n for head in heads.values()]
            if array.ndim != 2 or array.shape[1] != sum(widths):
                raise ValueError(
                    f"{name} has shape {array.shape}, expected (rows, {sum(widths)}), a dict of the targets of "
                    f"{', '.join(heads)}, or a tuple of them"
                )
            return np.split(array, np.cumsum(widths)[:-1], axis=1)
        return [self._of(head, lambda one=one: as_array(one, name)) for head, one in zip(heads, given, strict=True)]  # type: ignore[misc]

    def read(
        self, t: Any, weight: Array | None, n_out: int, dtype: np.dtype[Any], name: str = "y", known: bool = False
    ) -> tuple[Array, Array | None]:
        given, n = self._targets_of_heads(t, name), sum(head.n for head in self._heads.values())
        widths = [one.shape[1] if one.ndim > 1 else 1 for one in given]
        if n != n_out:
            raise ValueError(f"{self} has heads of {number_of(n, 'output')}, expected {n_out}: those of the net")
        if weight is not None and weight.shape[1] not in (1, sum(widths)):
            raise ValueError(
                f"weights have shape {weight.shape}, expected one for each row, or for each of "
                f"{number_of(sum(widths), 'column')} of targets"
            )
        targets: list[Array] = []
        weights: list[Array | None] = []
        forms, first = [], 0
        for (head_name, head), one, width in zip(self._heads.items(), given, widths, strict=True):
            own = weight if weight is None or weight.shape[1] == 1 else weight[:, first : first + width]
            first += width
            if own is not None and not head.loss.takes_target_weights and (own == own[:, :1]).all():
                own = own[:, :1]
            target, factor = self._of(
                head_name,
                lambda head=head, one=one, own=own: head.loss.read(one, own, head.n, dtype, name, known),  # type: ignore[misc]
            )
            own_form = target.dtype.str, target.ndim
            if target.ndim == 1:
                target = target[:, None]
            if target.dtype != dtype:  # labels: their bits stand among the numbers
                target = np.ascontiguousarray(target).view(dtype)
            if targets and len(target) != len(targets[0]):
                raise ValueError(f"{name} has {len(target)} rows for head {head_name!r}, expected {len(targets[0])}")
            targets.append(target)
            weights.append(factor)
            forms.append((target.shape[1], *own_form))
        self.__dict__["_forms"] = tuple(forms)
        joined = np.concatenate(targets, axis=1)
        if all(factor is weight for factor in weights):
            return joined, weight
        columns = [
            np.broadcast_to(1.0 if factor is None else factor, target.shape)
            for factor, target in zip(weights, targets, strict=True)
        ]
        return joined, np.concatenate(columns, axis=1)

    @property
    def may_leave_out(self) -> bool:
        return any(head.loss.may_leave_out for head in self._heads.values())

    def relative(self, weight: Array, target: Array) -> Array:
        if weight.shape[1] == 1:
            return super().relative(weight, target)
        blocks = [
            head.loss.relative(weight[:, of_target], _as_read(target[:, of_target].copy(), form))
            for _, head, _, of_target, form in self._places()
        ]
        return np.concatenate(blocks, axis=1)

    def require_changed(self, target: Array, n_out: int) -> None:
        for name, head, _, of_target, form in self._places():
            own = _as_read(target[:, of_target].copy(), form)
            self._of(name, lambda head=head, own=own: head.loss.require_changed(own, head.n))  # type: ignore[misc]

    def _places(self) -> list[tuple[str, Head, slice, slice, _Form]]:
        """Return the heads, with the columns of y and of the targets that are theirs, and what the latter are."""
        places, first, first_target = [], 0, 0
        for (name, head), (width, *form) in zip(self._heads.items(), self._form, strict=True):
            of_target = slice(first_target, first_target + width)
            places.append((name, head, slice(first, first + head.n), of_target, tuple(form)))
            first, first_target = first + head.n, first_target + width
        return places

    # -- what is computed ---------------------------------------------------------------------------------------------

    def _value_and_grad(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None
    ) -> None:
        k = kernels.of(y.dtype)
        for i, (_, head, columns, of_target, form) in enumerate(self._places()):
            own_y, own_t = np.zeros((len(y), head.n), y.dtype), np.zeros(t[:, of_target].shape, t.dtype)
            own_dy, part = None if dy is None else np.zeros_like(own_y), np.zeros(1)
            k.copy(y[:, columns], own_y, tape)
            k.copy(t[:, of_target], own_t, tape)
            own_t = _as_read(own_t, form)
            own_weight = None if weight is None else self._weights_of(head, weight, of_target, form, tape)
            head.loss.compute(own_y, own_t, own_weight, own_dy, part, tape)
            k.add_loss(part, value, head.cell("weight"), i == 0, tape)
            if dy is not None and own_dy is not None:
                k.scale(own_dy.reshape(-1), head.cell("weight"), tape)
                k.copy(own_dy, dy[:, columns], tape)

    def _weights_of(self, head: Head, weight: Array, of_target: slice, form: _Form, tape: Tape | None) -> Array:
        if weight.shape[1] == 1:
            return weight
        of_rows = form[1] == 1 or not head.loss.takes_target_weights
        columns = slice(of_target.start, of_target.start + 1) if of_rows else of_target
        own = np.zeros(weight[:, columns].shape, weight.dtype)
        kernels.of(weight.dtype).copy(weight[:, columns], own, tape)
        return own

    def _each_head(
        self, y: Array, t: Array, weight: Array | None
    ) -> Iterator[tuple[str, Loss, Array, Array, Array | None]]:
        """Yield the name and the loss of each head, with its outputs, targets and weights."""
        for name, head, columns, of_target, form in self._places():
            own_y, own_t = y[:, columns].copy(), t[:, of_target].copy()
            factor = weight
            if weight is not None:
                factor = self._weights_of(head, np.asarray(weight, np.float64), of_target, form, None)
            yield name, head.loss, own_y, _as_read(own_t, form), factor

    def metrics_of(self, y: Array, t: Array, weight: Array | None) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, loss, own_y, own_t, factor in self._each_head(y, t, weight):
            value = np.zeros(1)
            loss.compute(own_y, own_t, None if factor is None else factor.astype(y.dtype), None, value, None)
            found[f"{name}_loss"] = float(value[0])
            metrics = loss.metrics_of(own_y, own_t, factor)
            found |= {f"{name}_{metric}": one for metric, one in metrics.items()}
        return found

    def choose_metrics(self, given: Any) -> tuple[Asked, ...]:
        """Return the metrics of each head: a dict says which; others are of all heads."""
        heads = self._heads
        if isinstance(given, Mapping):
            unknown = [name for name in given if name not in heads]
            if unknown:
                raise ValueError(
                    f"metrics is for {shown(unknown[0])}, expected a dict with those of heads: {', '.join(heads)}"
                )
            of_heads = {name: given.get(name) for name in heads}
        else:
            of_heads = dict.fromkeys(heads, given)
        return tuple(
            Asked(f"{head}_{one.name}", one.metric, head)
            for head, metrics in of_heads.items()
            for one in heads[head].loss.choose_metrics(metrics)
        )

    def measure(self, asked: Sequence[Asked], y: Array, t: Array, weight: Array | None) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, loss, own_y, own_t, factor in self._each_head(y, t, weight) if asked else ():
            own = [one for one in asked if one.head == name]
            found |= self._of(name, lambda: loss.measure(own, own_y, own_t, factor))  # noqa: B023 - called at once
        return found

    @property
    def takes_weights(self) -> bool:
        return all(head.loss.takes_weights for head in self._heads.values())

"""Transforms: what is done to gradients between backward and the optimizer's step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Arena, Array
from fastnn.checks import count
from fastnn.settings import Cell, Number, Part, fixed_in_recording, forms_of, instead_of

if TYPE_CHECKING:
    from fastnn._core.tape import Tape

_BLOCK = 4096  # numbers whose squares are summed in one go: what `block_squares` takes


class Transform(Part):
    """What changes gradients on their way to an optimizer: one of its `transforms`.

    One of your own is a subclass with ``apply(self, grads)``, in NumPy, which changes the flat array of all gradients
    in place; or, from kernels, with ``_apply(self, slices, layers, state, tape)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import SGD
    >>> from fastnn.optimizers import Transform
    >>> class Noise(Transform):
    ...     def apply(self, grads):
    ...         grads += np.random.default_rng(0).normal(0, 1e-3, grads.shape)
    >>> optimizer = SGD(0.1, transforms=[Noise()])
    """

    __slots__ = ("_bound",)
    _bound: dict[str, Array]

    order = 4  # among the transforms that an optimizer's arguments make

    def __init__(self) -> None:
        super().__init__()  # of a class beside it

    def init(self, params: Array) -> dict[str, Array]:
        """Return what it remembers between steps: arrays of the shape of `params`, or counters.

        They are ``self.memory`` in `apply`.
        """
        return {}

    @property
    def memory(self) -> dict[str, Array]:
        """What it remembers of the gradients that `apply` is given now."""
        return getattr(self, "_bound", {})

    def _bind(self, state: dict[str, Array]) -> Any:
        """Return this transform, with the same attributes, and with what it remembers."""
        view: Transform = object.__new__(type(self))
        object.__setattr__(view, "_cells", self._cells)
        object.__setattr__(view, "_bound", state)
        object.__setattr__(view, "__dict__", self.__dict__)
        return view

    def apply(self, grads: Any) -> None:
        """Change the gradients in place."""
        raise _no_apply(type(self))

    def _apply(
        self, slices: Sequence[Slice], layers: Sequence[Sequence[Array]], state: dict[str, Array], tape: Tape
    ) -> None:
        """Record what changes the gradients: `slices` of all, and those of each layer."""
        raise _no_apply(type(self))

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a recording fixes: of one whose kernels are a user's, all plain attributes."""
        if type(self).__module__.startswith("fastnn.") or self.is_numpy:
            return ()
        return tuple(repr(getattr(self, name)) for name in fixed_in_recording(self))

    @property
    def is_numpy(self) -> bool:
        """Whether its code is NumPy."""
        form = forms_of(type(self), Transform, "apply", "_apply")
        if form.cls is None:
            raise _no_apply(type(self))
        return form.is_numpy


def _no_apply(kind: type) -> TypeError:
    instead = instead_of("apply", kind, Transform, ("__call__", "transform", "update"))
    return TypeError(f"{kind.__name__} has no apply: define apply(self, grads){instead}")


class Slice:
    """Gradients that lie in a row.

    Attributes
    ----------
    grads : ndarray
    start, stop : int
        Where they lie in the flat arrays.
    """

    __slots__ = ("grads", "start", "stop")

    def __init__(self, grads: Array, start: int, stop: int) -> None:
        self.grads, self.start, self.stop = grads, start, stop


class ClipValue(Transform):
    """Clip each number of the gradient to [-limit, limit].

    Parameters
    ----------
    limit : float
        Above 0.

    Examples
    --------
    >>> from fastnn import Adam
    >>> Adam(clip_value=0.5).transforms
    (ClipValue(0.5),)
    """

    order = 1
    limit: Any = Number(above=0.0)

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def _apply(
        self, slices: Sequence[Slice], layers: Sequence[Sequence[Array]], state: dict[str, Array], tape: Tape
    ) -> None:
        for part in slices:
            kernels.of(part.grads.dtype).clip_values(part.grads, self.cell("limit"), tape)


class ClipNorm(Transform):
    """Scale the gradient of all parameters to a norm of `limit`, where it is larger (Pascanu et al. 2013).

    A norm that is NaN or infinite ends the training before the step.

    Parameters
    ----------
    limit : float
        Above 0.

    Examples
    --------
    >>> from fastnn import Adam
    >>> Adam(clip_norm=1.0).transforms
    (ClipNorm(1.0),)
    """

    order = 3
    limit: Any = Number(above=0.0)

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def _apply(
        self, slices: Sequence[Slice], layers: Sequence[Sequence[Array]], state: dict[str, Array], tape: Tape
    ) -> None:
        clip_together([part.grads for part in slices], self.cell("limit"), tape)


class ClipLayerNorm(ClipNorm):
    """Scale the gradient of each layer to a norm of `limit`, where it is larger.

    Parameters
    ----------
    limit : float
        Above 0.

    Examples
    --------
    >>> from fastnn import Adam
    >>> Adam(clip_layer_norm=1.0).transforms
    (ClipLayerNorm(1.0),)
    """

    order = 2

    def _apply(
        self, slices: Sequence[Slice], layers: Sequence[Sequence[Array]], state: dict[str, Array], tape: Tape
    ) -> None:
        for grads in layers:
            clip_together(grads, self.cell("limit"), tape)


def blocks_of(array: Array) -> int:
    """Return of how many blocks squares are summed: so many of one length that sums are the same for any threads."""
    return -(-array.size // _BLOCK)


def clip_together(grads: Sequence[Array], limit: Cell, tape: Tape) -> None:
    """Record what scales gradients to a common norm."""
    blocks = [blocks_of(array) for array in grads]
    sums, norm, factor = np.zeros(sum(blocks)), np.zeros(1), np.ones(1)
    k, at = kernels.of(grads[0].dtype), 0
    for array, n in zip(grads, blocks, strict=True):
        k.block_squares(array, sums[at : at + n], tape)
        at += n
    k.norm_factor(sums, limit, norm, factor, tape)
    for array in grads:
        k.scale(array, factor, tape)


class Accumulate(Transform):
    """Take one step for several batches, with the mean of their gradients.

    Batches that are left at the end of an epoch count for the next one.

    Parameters
    ----------
    batches : int

    Examples
    --------
    >>> from fastnn import Adam
    >>> Adam(accumulate=4).transforms
    (Accumulate(4),)
    """

    order = 0

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, count("Accumulate: batches", value) if name == "batches" else value)

    @property
    def structure(self) -> tuple[Any, ...]:
        return (self.batches,)

    def init(self, params: Array) -> dict[str, Array]:
        return {"total": Arena([params.shape], params.dtype, padded=True).views[0], "count": np.zeros(1)}

    def _apply(
        self, slices: Sequence[Slice], layers: Sequence[Sequence[Array]], state: dict[str, Array], tape: Tape
    ) -> None:
        k, total = kernels.of(slices[0].grads.dtype), state["total"]
        for part in slices:
            k.accumulate(total[part.start : part.stop], part.grads, tape)
        k.every(state["count"], self.batches, tape)
        for part in slices:
            own = total[part.start : part.stop]
            k.scale(own, 1 / self.batches, tape)
            k.identity_forward(own[None], part.grads[None], tape)
            k.clear(own, tape)

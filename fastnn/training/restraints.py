"""What a model is trained with besides a loss and an optimizer: penalties, which are part of its loss, constraints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import constraints, kernels, penalties
from fastnn.arena import Array, Memory
from fastnn.penalties import sums_for
from fastnn.settings import Part

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.constraints import Constraint
    from fastnn.layers.tree import Entry, Tree
    from fastnn.penalties import Penalty


class _Several:
    """A setting that is a sequence of parts, each also by its name; one part alone will do, and None is none."""

    def __init__(self, get: Callable[[Any], Any]) -> None:
        self._get = get

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, part: Any, value: Any) -> None:
        several = () if value is None else value if isinstance(value, (list, tuple)) else (value,)
        part.__dict__[self._name] = tuple(map(self._get, several))


class Restraints(Part):
    """The penalties and the constraints of a model.

    Examples
    --------
    >>> from fastnn import L2, MaxNorm
    >>> Restraints([L2(1e-4)], [MaxNorm(3.0)])
    Restraints(penalties=[L2(l2=0.0001)], constraints=[MaxNorm(limit=3.0)])
    """

    constants = ("penalties", "constraints")
    penalties: Any = _Several(penalties.get)
    constraints: Any = _Several(constraints.get)

    def __init__(self, penalties: Any = (), constraints: Any = ()) -> None:
        self.penalties, self.constraints = penalties, constraints

    def lines(self) -> list[str]:
        """Return what a model shows of them."""
        parts = {"penalties": self.penalties, "constraints": self.constraints}
        return [f"{name}: {', '.join(map(repr, several))}" for name, several in parts.items() if several]

    def recorded(self) -> tuple[Part, ...]:
        """Return all that a recording depends on: itself, and those that it holds."""
        return (self, *self.penalties, *self.constraints)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.penalties or self.constraints)

    def on(self, memory: Memory, entries: Sequence[Entry]) -> Restrained | None:
        """Return them at work on the parameters of a model, or None where there are none.

        Raises
        ------
        ValueError
            Where one names no parameter.
        """
        return Restrained(self.penalties, self.constraints, memory, entries) if self else None

    def value(self, tree: Tree, params: Array | None = None) -> float:
        """Return what the penalties add to the loss, for averages of the parameters or for these as they are now."""
        restrained = self.on(tree.memory, tree.entries()) if self.penalties else None
        return 0.0 if restrained is None else restrained.value(tree.memory.params if params is None else params)


class Restrained:
    """The parameters of a model that are trained, with their penalties and constraints."""

    def __init__(
        self,
        penalties: Sequence[Penalty],
        constraints: Sequence[Constraint],
        memory: Memory,
        entries: Sequence[Entry],
    ) -> None:
        for name, parts in (("penalties", penalties), ("constraints", constraints)):
            for i, part in enumerate(parts):
                part.require(entries, f"Model: {name}[{i}]")
        self._memory, trained = memory, [entry for entry in entries if entry.trains]
        self._penalized = [(part, entry) for part in penalties for entry in trained if part.holds(entry)]
        self._constrained = [(part, entry) for part in constraints for entry in trained if part.holds(entry)]

    def penalize(self, value: Array | None, tape: Tape | None) -> None:
        """Add the gradients of the penalties, and their values to one number; or record that."""
        for part, entry in self._penalized:
            w, dw = _array(self._memory.params, entry), _array(self._memory.grads, entry)
            sums = sums_for(w)
            part.measure(w, dw, sums, 1.0, tape)
            if value is not None:
                kernels.of(w.dtype).add_sum(sums, value, tape)

    def project(self, tape: Tape) -> None:
        """Record what brings parameters back behind a step."""
        for part, entry in self._constrained:
            part.record(_array(self._memory.params, entry), tape)

    def value(self, params: Array) -> float:
        """Return what the penalties add to the loss for these parameters, or averages of them."""
        value = np.zeros(1)
        for part, entry in self._penalized:
            w = _array(params, entry)
            sums = sums_for(w)
            part.measure(w, None, sums, 1.0, None)
            kernels.of(w.dtype).add_sum(sums, value)
        return float(value[0])


def _array(flat: Array, entry: Entry) -> Array:
    return flat[entry.start : entry.stop].reshape(entry.shape)

"""An optimizer at work on the parameters of a model: group by group, slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any
from weakref import proxy

import numpy as np

from fastnn import kernels
from fastnn.arena import Array, Memory
from fastnn.optimizers.contract import Optimizer, State, part_of
from fastnn.optimizers.transforms import Accumulate, Slice, Transform
from fastnn.settings import Cell

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.layers.tree import Entry

_NO_DECAY = np.zeros(1)


class Update:
    """What an optimizer does to the parameters of one model in one step.

    Parameters
    ----------
    optimizer : Optimizer
    memory : Memory
        The parameters and their gradients.
    entries : sequence of Entry
        All parameters: the gradients of those that are frozen become 0.
    state : dict of ndarray
        What the optimizer remembers of them.
    project : callable or None
        Records what is done to parameters behind the step.

    Attributes
    ----------
    unused : list of ndarray
        What belongs to frozen parameters.

    Notes
    -----
    It does not keep the optimizer alive, and nothing that it records does: a model keeps recordings for a while, and
    what an optimizer remembers of it only as long as somebody has the optimizer.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        memory: Memory,
        entries: Sequence[Entry],
        state: State,
        project: Callable[[Tape], None] | None = None,
    ) -> None:
        self.optimizer: Optimizer = proxy(optimizer)
        self.state, self._params, self._grads, self._running = state, memory.params, memory.grads, memory.running
        self._project = project
        self._entries = [entry for entry in entries if entry.trains]
        for i, group in enumerate(optimizer.groups):
            group.require(entries, f"groups[{i}]", optimizer)
            for name in group.own:
                if name not in optimizer._cells:
                    raise ValueError(f"{optimizer}: groups[{i}] has a number {name}, which this optimizer has not")
        if optimizer.decay != "all" and "weight_decay" not in optimizer._cells:
            raise ValueError(f"{optimizer}: decay is {optimizer.decay!r}, but this optimizer has no weight_decay")
        self.unused = frozen_gradients(memory, entries)
        for entry in entries if optimizer.transforms else ():
            if not entry.trains:  # what was begun for a layer before it was frozen
                for name, array in state.items():
                    if name.startswith("transforms.") and array.shape == self._params.shape:
                        self.unused.append(array[entry.start : entry.stop])

    def clear_unused(self) -> None:
        """Set to 0 what belongs to frozen parameters: others that trained them meanwhile may have written to it."""
        for array in self.unused:
            array[...] = 0

    def places(self) -> list[tuple[int, int]]:
        """Return where what is trained lies in the flat arrays."""
        return _slices(self._entries)

    def accumulating(self) -> list[tuple[int, Array]]:
        """Return of how many batches a step is made, and the count of those that wait: of each `Accumulate`.

        Where nothing is trained, none waits: each batch is a step.
        """
        named = self.optimizer._named_transforms() if self._entries else ()
        return [(part.batches, self.state[f"{name}.count"]) for name, part in named if isinstance(part, Accumulate)]

    def begin_fit(self, epochs: int, batches: int, anew: bool) -> None:
        """Write down what follows from how many epochs a fit has, and batches in each."""
        optimizer = self.optimizer
        if optimizer.average is not None:
            state = optimizer.average_of(self.state)
            optimizer.average.begin_fit(state, epochs, batches / optimizer.accumulate, anew)

    def record(self, tape: Tape, done: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        """Record a step for all layers but those, by id, whose parameters backward has changed already."""
        if self.optimizer.takes_fits:  # also where nothing is trained
            self.optimizer._step(self._params, self._grads, self.state, tape)  # says what to do
        entries = self._entries
        if done:
            entries = [entry for entry in entries if id(entry.layer) not in done]
        if entries:
            self._record_step(entries, tape)
        if self._entries and self.optimizer.averages:
            self.optimizer._record_average(self.state, self._params, self._running, tape)

    def _record_step(self, entries: list[Entry], tape: Tape) -> None:
        optimizer = self.optimizer
        if optimizer.transforms:
            self._transform(entries, tape)
        is_numpy = optimizer.is_numpy
        if not is_numpy:
            optimizer._advance(self.state, self._params, tape)
        groups: dict[tuple[Any, ...], list[Entry]] = {}
        if optimizer.groups or optimizer.decay != "all":
            for entry in entries:
                groups.setdefault(self._numbers_of(entry), []).append(entry)
        else:
            groups[None, False] = entries
        calls: list[Callable[[], None]] = []
        for numbers, members in groups.items():
            cells = self._cells(numbers, tape)
            if is_numpy:
                calls.append(self._in_numpy(cells, members))
                continue
            by_array = [(entry.start, entry.stop) for entry in members] if optimizer._by_array else ()
            for start, stop in by_array or _slices(members):
                state = part_of(self.state, self._params.size, start, stop)
                view = optimizer._bind(state, cells) if cells else optimizer
                view._step(self._params[start:stop], self._grads[start:stop], state, tape)
        if is_numpy:
            tape.call(lambda: self._call(calls))
        if self._project is not None:
            self._project(tape)

    def _numbers_of(self, entry: Entry) -> tuple[Any, ...]:
        """What tells a parameter's numbers from the optimizer's own: its group, and whether decay is not for it."""
        optimizer = self.optimizer
        group = next((i for i, group in enumerate(optimizer.groups) if group.holds(entry)), None)
        own_decay = group is not None and "weight_decay" in optimizer.groups[group].own
        return group, optimizer.decay == "weights" and entry.kind in ("biases", "norms") and not own_decay

    def _cells(self, numbers: tuple[Any, ...], tape: Tape) -> dict[str, Cell]:
        group, without_decay = numbers
        cells: dict[str, Cell] = {}
        if without_decay:
            cells["weight_decay"] = _NO_DECAY
        if group is not None:
            part = self.optimizer.groups[group]
            cells["lr"] = np.zeros(1)
            k = kernels.of(self._params.dtype)
            k.multiply_numbers(self.optimizer.cell("lr"), part.cell("lr_factor"), cells["lr"], tape)
            cells |= part.own
        return cells

    def _transform(self, entries: list[Entry], tape: Tape) -> None:
        slices = [Slice(self._grads[start:stop], start, stop) for start, stop in _slices(entries)]
        layers = [
            [self._grads[start:stop] for start, stop in _slices(list(members))]
            for _, members in groupby(entries, key=lambda entry: id(entry.layer))
        ]
        k = kernels.of(self._grads.dtype)
        for name, transform in self.optimizer._named_transforms():
            before = f"{name}."
            state = {key[len(before) :]: array for key, array in self.state.items() if key.startswith(before)}
            if not transform.is_numpy:
                transform._apply(slices, layers, state, tape)
                continue
            tape.call(_with_flat(transform, state, slices, self._params.size))
            for part in slices:  # what it has made of the gradients
                k.guard_numbers(part.grads, tape)

    def _in_numpy(self, cells: dict[str, Cell], members: list[Entry]) -> Callable[[], None]:
        """Return what calls the optimizer once, with one flat array of parameters."""
        optimizer, params, grads = self.optimizer, self._params, self._grads
        slices = _slices(members)
        ends = list(accumulate(entry.stop - entry.start for entry in members))
        arrays = list(zip([0, *ends[:-1]], ends, strict=True))
        if len(slices) == 1:
            (start, stop), index = slices[0], None
        else:
            index = np.concatenate([np.arange(start, stop) for start, stop in slices])

        def call() -> None:
            if index is None:
                view = optimizer._bind(part_of(self.state, params.size, start, stop), cells, arrays)
                _require_in_place(view, "update", view.update(params[start:stop], grads[start:stop]))
            else:
                n = params.size
                state = {name: array[index] if array.shape == (n,) else array for name, array in self.state.items()}
                view, flat = optimizer._bind(state, cells, arrays), params[index]
                _require_in_place(view, "update", view.update(flat, grads[index]))
                params[index] = flat
                for name, array in self.state.items():
                    if array.shape == (n,):
                        array[index] = state[name]
            if optimizer._inner_optimizers():  # the attributes are a copy then
                own = {name: value for name, value in view.__dict__.items() if not isinstance(value, Optimizer)}
                optimizer.__dict__.update(own)

        return call

    def _call(self, calls: list[Callable[[], None]]) -> None:
        """Call the optimizer for each group: counters advance once, from the same number for all."""
        counters = [array for array in self.state.values() if array.shape != self._params.shape]
        before = [array.copy() for array in counters]
        for i, call in enumerate(calls):
            if i > 0:
                for array, value in zip(counters, before, strict=True):
                    array[...] = value
            call()


def frozen_gradients(memory: Memory, entries: Sequence[Entry]) -> list[Array]:
    """Return the gradients of the parameters that are frozen: they are to be 0, and nothing writes to them."""
    return [memory.grads[entry.start : entry.stop] for entry in entries if not entry.trains]


def _slices(entries: list[Entry]) -> list[tuple[int, int]]:
    """Return where parameters lie, those that lie side by side as one."""
    found: list[tuple[int, int]] = []
    for entry in entries:
        if found and found[-1][1] == entry.start:
            found[-1] = found[-1][0], entry.stop
        else:
            found.append((entry.start, entry.stop))
    return found


def _with_flat(transform: Transform, state: State, slices: Sequence[Slice], n: int) -> Callable[[], None]:
    """Return what calls a transform in NumPy with one flat array of the gradients, and what it remembers of them."""
    index = np.concatenate([np.arange(part.start, part.stop) for part in slices])
    is_whole = len(slices) == 1

    def call() -> None:
        flat = slices[0].grads if is_whole else np.concatenate([part.grads for part in slices])
        own = {name: array[index] if array.shape == (n,) else array for name, array in state.items()}
        view = transform._bind(own)
        _require_in_place(transform, "apply", view.apply(flat))
        for name, array in state.items():
            if array.shape == (n,):
                array[index] = own[name]
        at = 0
        for part in slices if not is_whole else ():
            part.grads[...] = flat[at : at + part.grads.size]
            at += part.grads.size

    return call


def _require_in_place(part: object, name: str, returned: object) -> None:
    if returned is not None:
        raise TypeError(f"{type(part).__name__}: {name} returned {type(returned).__name__}: change the array in place")

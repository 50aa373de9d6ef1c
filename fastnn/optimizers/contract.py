"""The contract of an optimizer: what it remembers, and what a step does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import kernels
from fastnn.arena import Arena, Array
from fastnn.checks import is_iterable, lookup, shown
from fastnn.optimizers.averages import Average, Averaged, averages_of, copies_of
from fastnn.optimizers.groups import Group
from fastnn.optimizers.transforms import Accumulate, ClipLayerNorm, ClipNorm, ClipValue, Transform
from fastnn.settings import Cell, Number, Part, forms_of, instead_of
from fastnn.signatures import parameters_of

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.model import Model

State = dict[str, Array]


class _Shorthand:
    """An argument that stands for a transform: setting it changes, adds or removes that."""

    def __init__(self, kind: type[Any], setting: str, nothing: Any) -> None:
        self._kind, self._setting, self._nothing = kind, setting, nothing

    def __get__(self, optimizer: Any, kind: type | None = None) -> Any:
        return self if optimizer is None else self._of(optimizer, getattr)

    def setting_of(self, optimizer: Any) -> Any:
        """Return what it has been set to: a number, or the schedule that it follows."""
        return self._of(optimizer, lambda transform, name: transform._setting(name))

    def _of(self, optimizer: Any, read: Callable[[Any, str], Any]) -> Any:
        for transform in optimizer.transforms:
            if type(transform) is self._kind:
                return read(transform, self._setting)
        return self._nothing

    def __set__(self, optimizer: Any, value: Any) -> None:
        is_nothing = value is self._nothing or (type(value) is int and value == self._nothing)
        made = None if is_nothing else self._kind(value)
        others = [transform for transform in optimizer.transforms if type(transform) is not self._kind]
        optimizer.transforms = others if made is None else sorted([*others, made], key=lambda part: part.order)


class _Parts:
    """A sequence of parts of one kind: checked where it is set, and read where it lies, in the optimizer's own dict."""

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, optimizer: Any, value: Any) -> None:
        parts = tuple(value) if is_iterable(value) else (None,)
        for part in parts:
            if not isinstance(part, self._kind):
                raise TypeError(
                    f"{type(optimizer).__name__}: {self._name} is {value!r}, expected a list of {self._kind.__name__}"
                )
        optimizer.__dict__[self._name] = parts


# The arguments that stand for a transform, and what stands for one that is not given
_SHORT = {"accumulate": Accumulate, "clip_value": ClipValue, "clip_layer_norm": ClipLayerNorm, "clip_norm": ClipNorm}
_NOTHING: dict[str, Any] = {
    "decay": "all", "groups": (), "transforms": (), "accumulate": 1, "clip_value": None, "clip_layer_norm": None,
    "clip_norm": None, "average": None,
}  # fmt: skip


class Optimizer(Part):
    """How parameters follow from gradients.

    An optimizer of your own is a subclass with ``update(self, params, grads)``, in NumPy, which changes the flat array
    `params` in place; ``self.lr`` is the learning rate. It is called once per step, or once for each group of
    parameters, whose numbers it then sees as its own. What it remembers are the arrays that ``init(self, params)``
    returns, by name: ``self.memory[name]`` in `update`. ``super().update(params, grads)`` is the step of the base.

    Parameters
    ----------
    lr : float
        The learning rate. It may be set at any time, also by a callback during ``fit``, as all numbers may.
    groups : sequence of Group
        Parameters with a learning rate or a weight decay of their own.
    decay : {"all", "weights"}
        What weight decay is for: "weights" leaves biases and norms out. The default is PyTorch's.
    clip_value : float or None
        Each number of the gradient is clipped to this size.
    clip_layer_norm, clip_norm : float or None
        The gradient of each layer, or that of all parameters, is scaled to this norm where it is larger.
    accumulate : int
        One step for so many batches, with the mean of their gradients.
    transforms : sequence of Transform
        What else is done to gradients, behind these. The attribute holds them all, and setting it replaces all.
    average : EMA, SWA or None
        The average of the parameters that predictions, validation and `evaluate` are of.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Optimizer
    >>> class SignSGD(Optimizer):
    ...     def update(self, params, grads):
    ...         params -= self.lr * np.sign(grads)
    """

    __slots__ = ("_arrays", "_bound", "_of_all")
    _bound: State | None
    _of_all: dict[str, Cell] | None  # its own numbers, where it stands in for a group
    _arrays: Sequence[tuple[int, int]]  # where the arrays of parameters lie that `update` is given now

    takes_fits = False  # whether it trains whole fits, and takes no steps
    remembers_most: ClassVar[dict[str, Any]] = {}  # with these settings, where what it remembers depends on some
    _by_array = False  # whether a step depends on which numbers are one array of parameters, as norms of them do
    constants = ("_fixed",)
    lr: Any = Number()
    clip_value: Any = _Shorthand(ClipValue, "limit", None)
    clip_layer_norm: Any = _Shorthand(ClipLayerNorm, "limit", None)
    clip_norm: Any = _Shorthand(ClipNorm, "limit", None)
    accumulate: Any = _Shorthand(Accumulate, "batches", 1)
    groups: Any = _Parts(Group)
    transforms: Any = _Parts(Transform)
    average: Any = Averaged()
    _averaged = "average.params"  # what it calls the parameters that predictions are of, where it has them
    _positions: tuple[str, ...] = (_averaged,)  # what else means parameters: it follows what a user writes there

    def __init__(
        self,
        lr: float = 0.01,
        *,
        groups: Iterable[Group] = (),
        decay: str = "all",
        clip_value: float | None = None,
        clip_layer_norm: float | None = None,
        clip_norm: float | None = None,
        accumulate: int = 1,
        transforms: Iterable[Transform] = (),
        average: Average | None = None,
    ) -> None:
        self.lr = lr
        given = {
            "decay": decay, "groups": groups, "transforms": transforms, "accumulate": accumulate,
            "clip_value": clip_value, "clip_layer_norm": clip_layer_norm, "clip_norm": clip_norm, "average": average,
        }  # fmt: skip
        for name, value in given.items():
            if value is not _NOTHING[name] and value != "all":
                setattr(self, name, value)

    # -- to be overridden ---------------------------------------------------------------------------------------------

    def init(self, params: Array) -> State:
        """Return what the optimizer remembers between steps, for these parameters: arrays as they are, or counters."""
        return {}

    def update(self, params: Any, grads: Any) -> None:
        """Change `params` in place: the kernels of this optimizer, run now."""
        state = self._bound
        if state is None:  # by hand, on arrays that no model owns
            alone = self.__dict__.setdefault("_alone", {})
            state = alone.setdefault((params.shape, params.dtype), None) or self.init(params)
            alone[params.shape, params.dtype] = state
        self._advance(state, params, None)
        if not (self._by_array and self._arrays):
            self._step(params, grads, state, None)
            return
        for start, stop in self._arrays:
            self._step(params[start:stop], grads[start:stop], part_of(state, params.size, start, stop), None)

    def _advance(self, state: State, params: Array, tape: Tape | None) -> None:
        """Count on: once per step."""

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        raise _no_update(type(self))

    # -- what a training asks -----------------------------------------------------------------------------------------

    @property
    def is_elementwise(self) -> bool:
        """Whether a step is kernels that change each number by itself, all by the same formula."""
        own = not (self._by_array or self.takes_fits or self.averages or self.is_numpy)
        return own and not (self.groups or self.transforms or self._inner_optimizers()) and self.decay == "all"

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a recording fixes: what its numbers switch on and off."""
        return ()

    @property
    def decay(self) -> str:
        """What weight decay is for: "all", or "weights"."""
        return str(self.__dict__.get("_decay", "all"))

    @decay.setter
    def decay(self, value: str) -> None:
        kinds = {"all": "all", "weights": "weights"}
        self.__dict__["_decay"] = lookup(f"{type(self).__name__}: decay", value, kinds)

    @property
    def plain_lr(self) -> Cell | None:
        """The cell of the learning rate where a step is params -= lr * grads and nothing else, else None."""
        return None

    @property
    def memory(self) -> State:
        """What it remembers of the parameters that `update` is given now."""
        return {} if self._bound is None else self._bound

    @property
    def is_numpy(self) -> bool:
        """Whether its code is NumPy."""
        form = forms_of(type(self), Optimizer, "update", "_step")
        if form.cls is None:
            raise _no_update(type(self))
        return form.is_numpy

    @property
    def _fixed(self) -> tuple[Any, ...]:
        """All that a recording fixes."""
        own = self.__dict__
        average = own["average"]
        parts = (*own["groups"], *own["transforms"], *(() if average is None else (average,)))
        fixed = (self.structure, own.get("_decay"), parts)
        return (*fixed, *[part.structure for part in parts]) if parts else fixed

    def step(self, net: Model) -> None:
        """Take one step on the gradients ``net.grads``, as they are now, and let layers change their states.

        Raises
        ------
        FloatingPointError
            Where a gradient is NaN or infinite: nothing has been changed.
        """
        if isinstance(net, Optimizer) or not hasattr(net, "step"):
            raise TypeError(f"{type(self).__name__}.step: got {shown(net)}, expected a Model")
        net.step(self)

    def _inner_optimizers(self) -> dict[str, Optimizer]:
        """Return the optimizers that it holds in attributes: those it wraps."""
        found = {}
        for name, value in self.__dict__.items():
            if isinstance(value, Optimizer):
                found[name] = value
            elif name[0] != "_" and isinstance(value, (list, tuple, dict)):
                items = value.values() if isinstance(value, dict) else value
                if any(isinstance(item, Optimizer) for item in items):
                    raise TypeError(
                        f"{type(self).__name__}: {name} holds optimizers in a {type(value).__name__}, where what they "
                        "remember would be nobody's: hold each in an attribute of its own"
                    )
        return found

    def _held(self) -> Iterable[Part]:
        averages = () if self.average is None else (self.average,)
        return (*self.groups, *self.transforms, *averages, *self._inner_optimizers().values())

    def _remembers(self, params: Array, running: Sequence[Array] = ()) -> State:
        """Return all that is remembered of these parameters, also by the optimizers that it holds and by transforms.

        Where there is an average, it is also of the `running` averages of layers.
        """
        state = _checked_memory(type(self).__name__, self.init(params))
        for name, inner in self._inner_optimizers().items():
            if inner.groups or inner.transforms or inner.decay != "all" or inner.averages:
                raise ValueError(
                    f"{type(self).__name__}: {name}, {inner!r}, has groups, transforms, an average or a decay of its "
                    f"own, which do nothing inside another optimizer: give them to {type(self).__name__}"
                )
            state.update((f"{name}.{key}", array) for key, array in inner._remembers(params).items())
        for name, transform in self._named_transforms():
            made = _checked_memory(type(transform).__name__, transform.init(params))
            state.update((f"{name}.{key}", array) for key, array in made.items())
        if self.average is not None:
            state["average.params"] = copies_of([params])
            state.update((f"average.{key}", array) for key, array in self.average.init().items())
        if self.averages and running:
            state["average.running"] = copies_of(running)
        return state

    @property
    def averages(self) -> bool:
        """Whether predictions are of an average of the parameters."""
        return self.__dict__["average"] is not None

    @property
    def refreshes(self) -> bool:
        """Whether running averages of layers are to be computed anew for the average of parameters."""
        return self.averages and bool(self.average.refreshes)

    def average_of(self, state: State) -> State:
        """Return what its average remembers."""
        before = "average."
        return {key[len(before) :]: array for key, array in state.items() if key.startswith(before)}

    def begin_average(self, state: State, params: Array, running: Sequence[Array]) -> None:
        """Let its average begin anew with these parameters: others have changed them."""
        for name in self._positions:
            state[name][...] = params
        for name in ("average.step", "average.n"):
            if name in state:
                state[name][...] = 0
        for own, array in averages_of(running, state):
            own[...] = array

    def _record_average(self, state: State, params: Array, running: Sequence[Array], tape: Tape) -> None:
        """Record how the average follows the parameters, behind a step, and the running averages of layers with it."""
        k, own = kernels.of(params.dtype), self.average_of(state)
        rate = self._average_rate(own, state, params, tape)
        if self.average is not None:
            k.approach(own["params"], params, rate, tape)
        for average, array in averages_of(running, state):
            k.approach(average.reshape(-1), array.reshape(-1), rate, tape)

    def _average_rate(self, own: State, state: State, params: Array, tape: Tape) -> Cell:
        rate: Cell = self.average.rate(own, params.dtype, tape)
        return rate

    def _named_transforms(self) -> list[tuple[str, Transform]]:
        """Return the transforms, each with the name of what it remembers."""
        kinds: dict[str, int] = {}
        found = []
        for transform in self.transforms:
            kind = type(transform).__name__
            kinds[kind] = kinds.get(kind, 0) + 1
            found.append((f"transforms.{kind}.{kinds[kind]}", transform))
        return found

    def _bind(
        self, state: State, cells: dict[str, Cell], arrays: Sequence[tuple[int, int]] = (), before: str = ""
    ) -> Any:
        """Return this optimizer with what it remembers of some parameters, and with their numbers in place of its own.

        It has the same attributes, and the same ones in future.
        """
        kind = type(self)
        view: Optimizer = object.__new__(kind)
        own = {name[len(before) :]: array for name, array in state.items() if name.startswith(before)}
        object.__setattr__(
            view, "_cells", {**self._cells, **{k: cell for k, cell in cells.items() if k in self._cells}}
        )
        object.__setattr__(view, "_bound", own)
        object.__setattr__(view, "_of_all", self._cells)
        object.__setattr__(view, "_arrays", arrays)
        inner = self._inner_optimizers()
        attributes = self.__dict__
        if inner:
            attributes = {**attributes, **{n: part._bind(own, {}, arrays, f"{n}.") for n, part in inner.items()}}
        object.__setattr__(view, "__dict__", attributes)
        return view

    def _prepare(self) -> None:
        object.__setattr__(self, "_bound", None)
        object.__setattr__(self, "_of_all", None)
        object.__setattr__(self, "_arrays", ())
        self.__dict__.update(groups=(), transforms=(), average=None)

    def __getstate__(self) -> Any:
        return {name: value for name, value in super().__getstate__().items() if name != "_alone"}

    def _setting(self, name: str) -> Any:
        """Return what a setting has been set to, of an argument that stands for a transform that of the transform."""
        short = getattr(type(self), name, None)
        return short.setting_of(self) if isinstance(short, _Shorthand) else super()._setting(name)

    def _expression(self) -> Iterator[tuple[str, tuple[Any, bool]]]:
        """Name the transforms by the arguments that make them, where these make all, in this order."""
        kinds = [(part.order, type(part)) for part in self.transforms]
        is_short = set(kinds) <= {(kind.order, kind) for kind in _SHORT.values()} and kinds == sorted(set(kinds))
        for name, parameter in super()._expression():
            if name not in (_SHORT if not is_short else ("transforms",)):
                yield name, parameter

    def _made_with(self) -> dict[str, Any]:
        """Return the arguments that make it: transforms themselves, which arguments may stand for."""
        own = [name for name in parameters_of(type(self)).all if name not in _SHORT]
        return {name: self._setting(name) for name in own}


def _no_update(kind: type) -> TypeError:
    instead = instead_of("update", kind, Optimizer, ("step", "__call__", "apply", "apply_gradients"))
    return TypeError(f"{kind.__name__} has no update: define update(self, params, grads){instead}")


def _checked_memory(kind: str, made: object) -> State:
    """Return what an `init` has returned, if it is arrays by name."""
    is_right = isinstance(made, dict) and all(isinstance(array, np.ndarray) for array in made.values())
    if not is_right or not all(array.flags.c_contiguous for array in made.values()):  # type: ignore[attr-defined]
        raise TypeError(f"{kind}: init returned {shown(made)}, expected a dict of contiguous arrays by name")
    return dict(made)  # type: ignore[call-overload,no-any-return]


def zeros_like(params: Array, *names: str) -> State:
    """Return arrays of zeros of the shape of the parameters, by name."""
    arena = Arena([params.shape] * len(names), params.dtype, padded=True)
    return dict(zip(names, arena.views, strict=True))


def part_of(state: State, n: int, start: int, stop: int) -> State:
    """Return what is remembered of some of n parameters, and of all."""
    return {name: array[start:stop] if array.shape == (n,) else array for name, array in state.items()}

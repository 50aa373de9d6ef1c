"""The contract of a layer: what it declares, what it computes, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import initializers, kernels
from fastnn.arena import Array, Memory
from fastnn.arrays import as_array, as_matrix, copy_into, require_whole
from fastnn.checks import count, flag, shown
from fastnn.layers.declarations import PLAIN, Code, Declared
from fastnn.per_class import PerClass
from fastnn.settable import Initializer
from fastnn.settings import Forms, Part, fixed_settings, instead_of, names_of, no_attribute
from fastnn.signatures import is_ours, parameters_of

if TYPE_CHECKING:
    from weakref import ReferenceType

    from fastnn.formats.graph import Graph, Value
    from fastnn.kernels import Kernels
    from fastnn.layers.passes import Run

_NUMPY_FORMS: PerClass[LayerForms] = PerClass()


OF_THE_CONTRACT = {  # attributes that hold no layer of a user's
    "_children", "_child_ids", "_declared", "_eager", "_owner", "_memory", "_gradients", "_following", "_most",
    "_moving", "kernels", "dtype", "label",
}  # fmt: skip


class Layer(Part):
    """A function from an array (rows, n_in) to an array (rows, n_out), and back for its gradient.

    A layer of your own is a subclass with two methods, in one of two forms:

    * in NumPy: ``forward(self, x)`` returns y; ``backward(self, dy)`` returns dx. Training calls them once per batch.
    * from kernels: ``_forward(self, x, y, run)`` writes y, ``_backward(self, x, y, dy, dx, run)`` writes dx unless
      it is None, and may overwrite dy. All they do is call ``self.kernels`` with ``tape=run.tape``; training then
      replays them without Python. Neither changes anything but outputs and scratch; kernels that change states stand
      in ``_after_batch(self, run)``.

    The more derived definition decides which form a class uses. ``super().forward(x)`` is what the base class computes,
    its activation included.

    Where it has parameters, or a number of outputs that differs from its inputs, it also has ``build(self, n_in)``,
    which declares arrays and returns the number of outputs: ``self.parameter(name, shape, initializer)`` what is
    trained, ``self.state(name, shape, initializer)`` what is kept between steps and saved, but not trained,
    ``self.scratch(name, shape)`` what lasts from forward to backward. A parameter "w" and its gradient are then the
    arrays ``self.w`` and ``self.dw``; a NumPy ``backward`` fills the latter in place.

    Layers that it holds in attributes, lists or dicts are its children: trained, counted, shown and copied with it.

    Attributes
    ----------
    trainable : bool
        False freezes the parameters of this layer and of those inside: no optimizer changes them, and their gradients
        are 0. It is also an argument, and may be set at any time.
    gives : str or None
        What the outputs mean, for a cross-entropy behind: "numbers", "probabilities" (each from 0 to 1), "class
        probabilities" (of a row with sum 1) or "class log-probabilities". None, that of a layer of your own which does
        not say it, is accepted by all.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Layer
    >>> class Scale(Layer):
    ...     def build(self, n_in):
    ...         self.parameter("s", (n_in,), "ones")
    ...         return n_in
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x * self.s
    ...     def backward(self, dy):
    ...         self.ds[:] = (dy * self.x).sum(axis=0)
    ...         return dy * self.s
    """

    code: Code = PLAIN
    gives: ClassVar[str | None] = None  # what losses of probabilities must know; None: not known
    how_to_train: ClassVar[str] = "define backward(dy), or _backward(x, y, dy, dx, run)"  # what to do

    constants = ("trainable",)
    running: ClassVar[tuple[str, ...]] = ()  # states that approach those of each batch, by the number `momentum`
    mixes: ClassVar[bool] = True  # whether there is something between its states and those of another model
    adds: ClassVar[str] = ""  # the scratch, of float64, whose sum is added to the loss of a batch
    kernel: str = ""  # of an activation: its kernels are <kernel>_forward and <kernel>_backward
    trainable: bool = True
    label = ""  # the name in messages: type and position in the model
    n_in = 0  # 0 until the layer is built
    n_out = 0
    dtype: np.dtype[Any]
    kernels: Kernels
    _declared: dict[str, Declared]
    _following: str | None = None  # the name of the activation that follows, for the default initializer
    _eager: Any = None  # the memory of the last forward by hand
    _runs: int = 0  # how many there have been in one forward of the layer around
    _owner: ReferenceType[object] | None = None  # the model whose memory the parameters are in
    _memory: Memory | None = None
    _gradients: dict[str, Array]
    _children: tuple[Layer, ...] = ()  # what `children` returned when the layer came into a model
    _child_ids: frozenset[int] = frozenset()  # of these

    def __init__(self, *, trainable: bool = True) -> None:
        super().__init__()  # of a class beside it
        if trainable is not True:
            self.trainable = trainable

    # -- to be overridden ---------------------------------------------------------------------------------------------

    def build(self, n_in: int) -> int:
        """Declare what the layer needs for `n_in` inputs and return the number of outputs.

        By default a layer declares nothing of its own, and its children stand in a row.
        """
        for child in self._children:
            n_in = self.build_child(child, n_in)
        return n_in

    def children(self) -> Sequence[Layer]:
        """Return the layers inside this one, in order: by default all that it holds in attributes, lists and dicts."""
        return list(held_layers(self))

    def for_prediction(self) -> Layer | None:
        """Return what stands for this layer in a prediction: itself, another layer, or nothing."""
        return self

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        raise TypeError(f"{self.title} has no forward: define forward(x), or _forward(x, y, run)")

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        raise no_derivative(self)

    def _after_batch(self, run: Run) -> None:
        """Change states: counters and running averages, once per batch of a training."""

    def _graph(self, x: Value, to: Graph) -> Value:
        """Add to a graph what the layer makes of x in a prediction, for other formats, and return that."""
        raise AssertionError("only where a class says so")

    def forward(self, x: Any) -> Array:
        """Return y for x of shape (rows, n_in), and keep what `backward` needs: the kernels of this layer, run now.

        The first call decides the number of inputs where the layer stands alone; it then has float64 parameters for
        float64 data and float32 ones for all other.
        """
        from fastnn.layers.eager import eager_forward

        return eager_forward(self, self._inputs(x))

    def __call__(self, x: Any) -> Array:
        """Return what the layer gives for x of shape (rows, n_in) in a prediction, as ``net(x)`` does for a model.

        `Dropout` leaves nothing out, and nothing is kept for `backward`. In the `forward` of a layer around it, it is
        what that computes: in a training, ``self.inner(x)`` is ``self.inner.forward(x)``.
        """
        from fastnn.layers.chain import eager_call

        return eager_call(self, self._inputs(x))

    def _inputs(self, x: Any) -> Array:
        """Return x as the layer needs it, which is built for it where it stands alone."""
        matrix = as_matrix(x, f"{self.title}: x", dtype=self.dtype if self.n_in else None)
        if not self.n_in:
            from fastnn.layers.tree import build_alone

            build_alone(self, matrix.shape[1], matrix.dtype)
        elif self._memory is None:  # it was pickled, or copied, alone
            from fastnn.layers.tree import give_memory, settle, walk

            settle(self)
            give_memory(tuple(walk([self])), self.dtype, self.kernels, None)
        self.expect_features(matrix)
        return matrix

    def backward(self, dy: Any) -> Array:
        """Return dx for the last `forward`, and write the gradients of the parameters."""
        from fastnn.layers.eager import eager_backward

        if not self.differentiable:
            raise no_derivative(self)
        if self._eager is None:
            raise RuntimeError(f"{self.title}: backward needs a forward before it; layer(x) is a prediction")
        return eager_backward(self, dy)

    # -- what a layer calls in build ----------------------------------------------------------------------------------

    def parameter(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: str | Initializer = "glorot_uniform",
        kind: str | None = None,
    ) -> None:
        """Declare what is trained: ``self.<name>`` and its gradient ``self.d<name>``.

        Parameters
        ----------
        name : str
        shape : tuple of int
        initializer : str or callable
        kind : str or None
            What an optimizer's groups may name: None is "weights" for two dimensions, else "biases".
        """
        if kind is None:
            kind = "weights" if isinstance(shape, (tuple, list)) and len(shape) > 1 else "biases"
        self._declare("parameter", name, shape, initializer, kind, None)

    def state(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: str | Initializer = "zeros",
        dtype: Any = None,
    ) -> None:
        """Declare what is kept between steps and saved with the model, but not trained: ``self.<name>``.

        Its dtype is that of the model, or "float64".
        """
        self._declare("state", name, shape, initializer, "state", dtype)

    def scratch(self, name: str, shape: tuple[int | str, ...], dtype: Any = None) -> None:
        """Declare memory from forward to backward of one batch: ``run.scratch[name]``.

        The first size may be "rows", the number of rows of the batch.
        """
        self._declare("scratch", name, shape, None, "scratch", dtype)

    def _declare(self, role: str, name: str, shape: Any, initializer: Any, kind: str, dtype: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{self.title}: the {role} name is {shown(name)}, expected a text such as 'w'")
        declared, gradient = self._declared, "d" + name
        is_taken = name in declared or gradient in declared or (name[:1] == "d" and name[1:] in declared)
        if is_taken or not name.isidentifier() or {name, gradient} & _OF_ALL:
            raise ValueError(f"{self.title}: the {role} name {name!r} is taken, or no name, here")
        if not isinstance(kind, str):
            raise TypeError(f"{self.title}: the kind of {name} is {shown(kind)}, expected a text such as 'weights'")
        if not isinstance(shape, (tuple, list)) or not shape:
            raise ValueError(f"{self.title}: the shape of {name} is {shape!r}, expected a tuple such as (n_in,)")
        for i, size in enumerate(shape):
            is_size = isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size >= 0
            if not is_size and not (role == "scratch" and i == 0 and size == "rows"):
                raise ValueError(f"{self.title}: the shape of {name} is {shape!r}, expected whole numbers >= 0")
        if role != "scratch":
            initializer = initializers.get(initializer, f"{self.title}: the initializer of {name}")
        if dtype is not None:
            dtype = _declared_dtype(f"{self.title}: the dtype of {name}", dtype)
        declared[name] = Declared(role, tuple(shape), initializer, kind, dtype)

    def build_child(self, child: Layer, n_in: int) -> int:
        """Build a layer inside this one for `n_in` inputs, and return its number of outputs."""
        if id(child) not in self._child_ids:
            raise ValueError(f"{self.title}: build made {child!r}, which a model would not train: make it in __init__")
        return build_layer(child, n_in)

    # -- what a model asks --------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """The name in messages."""
        return self.label or type(self).__name__

    @property
    def parameters(self) -> dict[str, Array]:
        """The layer's own parameters by name: empty until it is built."""
        return self._arrays("parameter")

    @property
    def states(self) -> dict[str, Array]:
        """What the layer itself keeps between steps, by name: empty until it is built."""
        return self._arrays("state")

    def _arrays(self, role: str) -> dict[str, Array]:
        found = self.__dict__.get("_declared", {})
        return {
            name: self.__dict__[name]
            for name, declared in found.items()
            if declared.role == role and name in self.__dict__
        }

    @property
    def differentiable(self) -> bool:
        """Whether there is a backward for the forward."""
        return forms(type(self)).differentiable

    @property
    def is_numpy(self) -> bool:
        """Whether its code is NumPy."""
        return forms(type(self)).is_numpy

    def in_a_row(self) -> Sequence[Layer]:
        """Return the layers that run one after the other in the place of this one."""
        return (self,)

    def in_branches(self) -> Sequence[Sequence[Layer]]:
        """Return the rows of layers inside this one, which run beside each other: all of its children are one row."""
        return (self._children,)

    def expect_features(self, x: Array, name: str = "x") -> None:
        """Raise ValueError unless x, which errors call `name`, has the right number of columns."""
        if x.shape[1] != self.n_in:
            raise ValueError(f"{self.title} expects {self.n_in} features, got {name} of shape {x.shape}")

    def __getattr__(self, name: str) -> Array:
        """Return the gradient of a parameter."""
        if name[:1] == "d" and name[1:] in self.__dict__.get("_gradients", ()):
            memory = self.__dict__["_memory"]
            if memory.without_gradients is not None:
                raise RuntimeError(f"{self.title}: no {name}: {memory.without_gradients}")
            return self.__dict__["_gradients"][name[1:]]  # type: ignore[no-any-return]
        when = "" if self.n_in else " before it is built: with the first data, or by build(n_in) of its model"
        raise no_attribute(type(self), self.__dict__.get("label") or type(self).__name__, name, when)

    def __setattr__(self, name: str, value: Any) -> None:
        """Copy into an array that is declared instead of replacing it: it is a view into memory that the model owns."""
        own = self.__dict__
        declared = own.get("_declared", ())
        if self.n_in and (name in declared or name[1:] in declared) and "_gradients" in own:
            view = own.get(name)
            if view is None and name[:1] == "d":
                view = own["_gradients"].get(name[1:])
            if view is not None:
                if not view.flags.writeable and self._owner is not None:  # it lies in a file, or in another process
                    self._owner()._own()  # type: ignore[attr-defined]
                    view = own[name]
                if view is not value:
                    array = as_array(value, f"{self.title}: {name}", may_miss=False)
                    if array.shape != view.shape:
                        raise ValueError(f"{self.title}: {name} has shape {array.shape}, expected {view.shape}")
                    require_whole(array, view.dtype, f"{self.title}: {name}")
                    copy_into(view, array)
                    owner = None if self._owner is None else self._owner()
                    if owner is not None:
                        owner._written(view)  # type: ignore[attr-defined]
                return
        elif name in ("n_in", "n_out", "dtype") and (self.n_in or not is_ours(type(self))):
            if self.n_in and value != getattr(self, name):
                raise AttributeError(f"{self.title}: {name} is fixed since the layer was built for {self.n_in} inputs")
        elif name == "trainable":
            value = flag(f"{self.title}: trainable", value)
        elif name[0] != "_" and name in _OF_ALL and not _has_setter(type(self), name):
            hint = "the build decides it" if name in _OF_BUILDS else "it belongs to the class"
            if name == "kernel" and "w" in names_of(type(self)):  # Keras's name
                hint = "the weights are called w here"
            raise AttributeError(f"{self.title}: {name} cannot be set: {hint}")
        elif self.n_in and name in fixed_settings(type(self)) and name not in declared:
            raise AttributeError(
                f"{self.title}: {name} is fixed since the layer was built for {self.n_in} inputs: make a new layer"
            )
        elif self.n_in and (isinstance(value, Layer) or isinstance(own.get(name), Layer)) and name[0] != "_":
            raise AttributeError(
                f"{self.title}: {name} is a layer inside it, which is fixed since it was built: make a new layer"
            )
        super().__setattr__(name, value)

    def __getstate__(self) -> Any:
        """Leave out what belongs to a process or to the last forward."""
        without = ("kernels", "_eager", "_runs", "_owner", "_memory", "_gradients", "_children", "_child_ids")
        return {name: value for name, value in super().__getstate__().items() if name not in without}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.n_in:
            self.__dict__.update(kernels=kernels.of(self.dtype), _gradients={})

    def _expression(self) -> Iterator[tuple[str, tuple[Any, bool]]]:
        yield from super()._expression()
        if "trainable" not in parameters_of(type(self)).all:
            yield "trainable", (True, False)


class LayerForms:
    """Which form the layers of a class have, and whether they have a derivative."""

    __slots__ = ("allows", "differentiable", "has_graph", "is_numpy", "predicts_as_itself", "reads_rows")

    def __init__(self, kind: type[Layer]) -> None:
        forward, backward = Forms(kind, Layer, "forward", "_forward"), Forms(kind, Layer, "backward", "_backward")
        mro = kind.__mro__
        of_forward, of_backward = (len(mro) if f.cls is None else mro.index(f.cls) for f in (forward, backward))
        name = kind.__name__
        if forward.cls is None:
            instead = instead_of("forward", kind, Layer, ("call", "__call__"))
            raise TypeError(f"{name} has no forward: define forward(x), or _forward(x, y, run){instead}")
        self.is_numpy = forward.is_numpy or (backward.is_numpy and of_backward < of_forward)
        if forward.is_kernels and backward.is_kernels and of_forward < of_backward:
            raise TypeError(
                f"{name} overrides _forward alone, and {backward.cls.__name__}._backward is not its derivative: "  # type: ignore[union-attr]
                "override _backward, too, or write forward and backward in NumPy"
            )
        is_mixed = forward.cls is backward.cls and forward.is_numpy != backward.is_numpy
        if is_mixed or (forward.is_numpy and backward.is_kernels and of_backward < of_forward):
            of_forward_is = "forward in NumPy" if forward.is_numpy else "_forward from kernels"
            raise TypeError(
                f"{name} has a {of_forward_is} and another form of backward: write forward and backward in NumPy, or "
                "_forward and _backward from kernels"
            )
        if self.is_numpy:
            self.differentiable = backward.is_numpy and of_backward <= of_forward
        else:
            self.differentiable = backward.is_kernels
        # What is allowed holds for the class that says so, and for those below that change no code.
        own = next(i for i, cls in enumerate(mro) if cls.__dict__.keys() & _METHODS or cls is Layer)
        self.allows = any("code" in cls.__dict__ for cls in mro[: own + 1] if cls is not Layer)
        # What stands for a class in predictions stands for none that computes something else.
        self.predicts_as_itself = not any("for_prediction" in cls.__dict__ for cls in mro[: own + 1])
        self.reads_rows = any("takes_rows" in cls.__dict__ for cls in mro[: own + 1])
        self.has_graph = any("_graph" in cls.__dict__ for cls in mro[: own + 1] if cls is not Layer)
        fused = mro[own].__dict__.keys() & {"forward_fused", "backward_fused"}
        if fused and not self.allows:
            raise TypeError(
                f"{mro[own].__name__} defines {' and '.join(sorted(fused))} without a word that they may be used: add "
                "code = Code(multiplies=True)"
            )


_OF_ALL = frozenset({*dir(Layer), *OF_THE_CONTRACT})  # attributes of every layer
_OF_BUILDS = {"n_in", "n_out", "dtype", "kernels", "label"}
_METHODS = {"forward", "backward", "_forward", "_backward", "forward_fused", "backward_fused", "factors"}


def forms(kind: type[Layer]) -> LayerForms:
    """Return which form the layers of a class have: decided once, by the more derived definition."""
    found = _NUMPY_FORMS.get(id(kind))
    return _NUMPY_FORMS.add(kind, LayerForms(kind)) if found is None else found


def merges(layer: Layer) -> bool:
    """Whether a loss behind the layer may contain it: not where a subclass has code of its own."""
    return forms(type(layer)).allows and layer.code.mergeable


def no_derivative(layer: Layer) -> TypeError:
    return TypeError(f"{layer.title} has no derivative: {layer.how_to_train}")


def held_layers(part: object) -> Iterator[Layer]:
    """Yield the layers that an object holds in its attributes, in lists, tuples and dicts there, in order."""
    for name, value in vars(part).items():
        if name not in OF_THE_CONTRACT:
            yield from _layers_in(value)


def _layers_in(value: object) -> Iterator[Layer]:
    if isinstance(value, Layer):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _layers_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _layers_in(item)


def build_layer(layer: Layer, n_in: int) -> int:
    """Let a layer, and those inside it, declare their arrays for so many inputs; return the number of outputs."""
    own = layer.__dict__
    before = own.get("_declared", ())
    declared: dict[str, Declared] = {}
    own["_declared"] = declared
    if n_in > own.pop("_most", n_in):
        raise ValueError(f"{layer.title}: it has {n_in:,} inputs, more than the arrays of a file allow")
    is_foreign = not type(layer).__module__.startswith("fastnn.")
    arrays = {id(array) for _, array in _arrays_in(own)} if is_foreign else ()
    n_out = layer.build(n_in)
    try:
        own["n_out"] = count("", n_out)
    except (TypeError, ValueError):
        raise ValueError(f"{layer.title}: build returned {shown(n_out)}, expected the number of outputs") from None
    own["n_in"] = n_in
    if is_foreign:
        for name, array in _arrays_in(own):
            if id(array) not in arrays and name not in declared:
                raise ValueError(
                    f"{layer.title}: build made the array {name} itself, which nobody would train or save: declare it "
                    f"by self.parameter({name!r}, {array.shape}), or by self.state if it is not trained"
                )
    for name in before:
        if name not in declared:
            own.pop(name, None)
    return own["n_out"]  # type: ignore[no-any-return]


def _has_setter(kind: type, name: str) -> bool:
    """Whether a class has a setting of its own under that name."""
    own = getattr_static(kind, name, None)
    return own.fset is not None if isinstance(own, property) else hasattr(type(own), "__set__")


def _declared_dtype(where: str, dtype: Any) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.kind not in "biuf":
        raise TypeError(f"{where} is {shown(dtype)}, expected that of numbers, such as 'float64', or None")
    return found


def _arrays_in(attributes: dict[str, Any]) -> Iterator[tuple[str, Array]]:
    """Yield arrays of numbers among attributes, and in lists, tuples and dicts there, with the attributes' names."""
    for name, value in attributes.items():
        if name in OF_THE_CONTRACT:
            continue
        items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else (value,)
        for item in items:
            if isinstance(item, np.ndarray) and item.dtype.kind == "f":
                yield name, item

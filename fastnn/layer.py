"""Layers, and what runs them: the chain, from the first stage to the last and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import ReferenceType

import numpy as np
from numpy.typing import ArrayLike

from fastnn import initializers, kernels
from fastnn.arena import Arena, Array, Workspace
from fastnn.data import as_matrix, read_only

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.kernels import Kernels


_READING = {"forward", "backward", "_forward", "_backward", "forward_fused", "backward_fused"}


class Parameter:
    """What a layer declares of one of its parameters, before memory is given to it."""

    def __init__(self, shape: tuple[int, ...], initializer: str | initializers.Initializer) -> None:
        self.shape = shape
        self.initializer = initializers.get(initializer)


class Layer:
    """A function from an array (rows, n_in) to an array (rows, n_out), and back for its gradient.

    A layer of your own is a subclass with two methods, in one of two ways:

    * in NumPy: ``forward(self, x)`` returns y; ``backward(self, dy)`` returns dx. Training calls them once per batch.
    * from kernels: ``_forward(self, x, y, tape)`` writes y, ``_backward(self, x, y, dy, dx, tape)`` writes dx unless
      it is None, and may overwrite dy. All they do is call ``self.kernels`` and pass the tape on; training then
      replays them without Python.

    Where it has parameters, or a number of outputs that differs from its inputs, it also has ``build(self, n_in)``,
    which declares each by ``self.parameter(name, shape, initializer)`` and returns the number of outputs. A parameter
    "w" and its gradient are then the arrays ``self.w`` and ``self.dw``; a NumPy ``backward`` fills the latter in place.

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

    # What the chain may do to save memory and passes over it. Only layers made of kernels know enough to allow it.
    in_place: bool = False  # y may be x, and dx may be dy
    saved: tuple[str, ...] = ("x", "y")  # what _backward reads of these two
    fusable: bool = False  # may run inside the kernel of the product before it
    mergeable: bool = False  # may be computed inside the loss behind it
    # Whether _forward and the like may be given Rows of such an x, and so read them where they lie.
    takes_rows: Callable[[Array], bool] | None = None
    # Kernels that can hold an activation, and the derivative of one and plain SGD's step: layers.Dense has them.
    forward_fused: Callable[[Array, Array, Any, Tape | None], None] | None = None
    backward_fused: Callable[[Array, Array, Array | None, Any, Array | None, Tape | None], None] | None = None

    constants: ClassVar[tuple[str, ...]] = ()  # the attributes that a recording fixes: a change records anew
    gives: ClassVar[str | None] = None  # what losses of probabilities must know; None: not known

    label = ""  # the name in messages: type and position in the model
    n_in = 0  # 0 until the layer is built
    n_out = 0
    dtype: np.dtype[Any]
    kernels: Kernels
    _declared: dict[str, Parameter]
    _following: str | None = None  # the name of the activation that follows, for the default initializer
    _eager: tuple[Chain, Workspace] | None = None
    _owner: ReferenceType[object] | None = None  # the model whose memory the parameters are in

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a method that a subclass writes in one of the two ways hide the inherited one of the other way."""
        super().__init_subclass__(**options)
        own = cls.__dict__
        for numpy_way, kernel_way in (("forward", "_forward"), ("backward", "_backward")):
            if numpy_way in own and kernel_way not in own:
                setattr(cls, kernel_way, getattr(Layer, kernel_way))
            elif kernel_way in own and numpy_way not in own:
                setattr(cls, numpy_way, getattr(Layer, numpy_way))
        if own.keys() & {"forward", "_forward"} and not own.keys() & {"backward", "_backward"}:
            cls.backward, cls._backward = Layer.backward, Layer._backward  # type: ignore[method-assign]  # not its derivative
        if own.keys() & {"forward", "backward", "_forward", "_backward"}:  # what was allowed held for other code
            for name in ("in_place", "saved", "fusable", "mergeable", "forward_fused", "backward_fused"):
                if name not in own:
                    setattr(cls, name, getattr(Layer, name))
        for base in cls.__mro__:  # whoever first says what reads x says also what x may be
            if base.__dict__.keys() & _READING or "takes_rows" in base.__dict__:
                cls.takes_rows = base.__dict__.get("takes_rows")
                break

    # -- to be overridden ---------------------------------------------------------------------------------------------

    def build(self, n_in: int) -> int:
        """Declare the parameters for `n_in` inputs and return the number of outputs."""
        return n_in

    def forward(self, x: ArrayLike) -> Array:
        """Return y for x of shape (rows, n_in), and keep what `backward` needs.

        The first call decides the number of inputs where the layer stands alone; it then has float64 parameters for
        float64 data and float32 ones for all other.
        """
        if type(self)._forward is Layer._forward:
            raise TypeError(f"{self.title} has no forward: define forward(x), or _forward(x, y, tape)")
        matrix = as_matrix(x, f"{self.title}: x", dtype=self.dtype if self.n_in else None)
        if not self.n_in:
            build_layers([self], matrix.shape[1], matrix.dtype, np.random.default_rng())
        self.expect_features(matrix)
        chain = Chain(self.stages())
        work = chain.workspace(len(matrix), input_gradient=True)
        work.activations[0][...] = matrix
        chain.forward(work)
        self._eager = chain, work
        return work.activations[-1].copy()

    def backward(self, dy: ArrayLike) -> Array | None:
        """Return dx for the last `forward`, and write the gradients of the parameters."""
        if not self.differentiable:
            raise TypeError(f"{self.title} has no derivative: define backward(dy), or _backward(x, y, dy, dx, tape)")
        if self._eager is None:
            raise RuntimeError(f"{self.title}: backward needs a forward before it")
        return self._eager[0].backward_of(self._eager[1], dy, self.title)

    def _forward(self, x: Array, y: Array, tape: Tape | None) -> None:
        if tape is not None:
            tape.call(lambda: self._forward(x, y, None))
            return
        if self._is_kernel_layer:
            raise TypeError(f"{self.title} has no forward: define forward(x), or _forward(x, y, tape)")
        result = np.asarray(self.forward(read_only(x)))
        if result.shape != y.shape:
            raise ValueError(
                f"{self.title}: forward returned shape {result.shape} for x {x.shape}, expected {y.shape}; "
                "where the number of outputs differs from that of inputs, build(n_in) returns it"
            )
        y[...] = result

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, tape: Tape | None) -> None:
        if tape is not None:
            tape.call(lambda: self._backward(x, y, dy, dx, None))
            return
        for name in self.parameters:  # so that += works, and what is forgotten is 0
            self.__dict__["d" + name][...] = 0
        result = self.backward(read_only(dy))
        if dx is None:
            return
        if result is None or np.shape(result) != dx.shape:
            got = "None" if result is None else f"shape {np.shape(result)}"
            raise ValueError(f"{self.title}: backward returned {got}, expected dx of shape {dx.shape}")
        dx[...] = result

    # -- what a model asks --------------------------------------------------------------------------------------------

    def parameter(
        self, name: str, shape: tuple[int, ...], initializer: str | initializers.Initializer = "glorot_uniform"
    ) -> None:
        """Declare a parameter: ``self.<name>`` and its gradient ``self.d<name>`` come to be when all are declared."""
        taken = {*self._declared, *("d" + other for other in self._declared)}
        if not name.isidentifier() or {name, "d" + name} & taken or hasattr(Layer, name) or hasattr(Layer, "d" + name):
            raise ValueError(f"{self.title}: the parameter name {name!r} is taken, or no name, here")
        if not isinstance(shape, (tuple, list)) or not shape:
            raise ValueError(f"{self.title}: the shape of {name} is {shape!r}, expected a tuple such as (n_in,)")
        self._declared[name] = Parameter(tuple(shape), initializer)

    @property
    def title(self) -> str:
        """The name in messages."""
        return self.label or type(self).__name__

    @property
    def parameters(self) -> dict[str, Array]:
        """The parameters by name: empty until the layer is built."""
        return {name: getattr(self, name) for name in getattr(self, "_declared", {}) if name in self.__dict__}

    @property
    def differentiable(self) -> bool:
        """Whether there is a backward for the forward."""
        if self._is_kernel_layer:
            return type(self)._backward is not Layer._backward
        return type(self).backward is not Layer.backward or type(self)._backward is not Layer._backward

    def stages(self) -> list[Layer]:
        """Return the layers that this one consists of."""
        return [self]

    @property
    def _is_kernel_layer(self) -> bool:
        return type(self).forward is Layer.forward

    def expect_features(self, x: Array) -> None:
        """Raise ValueError unless x has the right number of columns."""
        if x.shape[1] != self.n_in:
            raise ValueError(f"{self.title} expects {self.n_in} features, got x of shape {x.shape}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Copy into a parameter instead of replacing it: it is a view into memory that the model owns."""
        declared = self.__dict__.get("_declared", {})
        if name in self.__dict__ and (name in declared or name[1:] in declared) and self.__dict__[name] is not value:
            view, array = self.__dict__[name], np.asarray(value)
            if array.shape != view.shape:
                raise ValueError(f"{self.title}: {name} has shape {array.shape}, expected {view.shape}")
            view[...] = array
            return
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to a process or to the last forward."""
        return {name: value for name, value in self.__dict__.items() if name not in ("kernels", "_eager", "_owner")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.n_in:
            bind(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def build_layers(
    layers: Sequence[Layer], n_in: int, dtype: np.dtype[Any], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Let the layers declare their parameters, then give them memory, and return the flat parameters and gradients.

    A layer that has parameters of the same shapes already keeps their values.
    """
    stages = [stage for layer in layers for stage in layer.stages()]
    before = [stage.parameters for stage in stages]
    widths = [n_in]
    for stage, following in zip(stages, [*stages[1:], None], strict=True):
        stage.__dict__["_declared"] = {}
        stage._following = getattr(following, "kernel", None)
        n_out = stage.build(widths[-1])
        if not isinstance(n_out, (int, np.integer)) or n_out < 1:
            raise ValueError(f"{stage.title}: build returned {n_out!r}, expected the number of outputs")
        widths.append(int(n_out))
    shapes = [parameter.shape for stage in stages for parameter in stage._declared.values()]
    params, grads = Arena(shapes, dtype, padded=False), Arena(shapes, dtype, padded=False)
    views = iter(zip(params.views, grads.views, strict=True))
    for stage, old, n_in_stage, n_out in zip(stages, before, widths[:-1], widths[1:], strict=True):
        stage.n_in, stage.n_out, stage.dtype = n_in_stage, n_out, dtype
        bind(stage)
        for name, parameter in stage._declared.items():
            view, grad = next(views)
            kept = old.get(name)
            value = parameter.initializer(parameter.shape, rng)
            if np.shape(value) != parameter.shape:
                raise ValueError(
                    f"{stage.title}: the initializer of {name} returned shape {np.shape(value)}, "
                    f"expected {parameter.shape}"
                )
            view[...] = kept if kept is not None and kept.shape == view.shape else value
            stage.__dict__[name], stage.__dict__["d" + name] = view, grad
    return params.flat, grads.flat


def bind(stage: Layer) -> None:
    """Give a built layer the kernels of its dtype."""
    stage.kernels = kernels.of(stage.dtype)


class Chain:
    """Stages in a row: what they write to is what the next one reads."""

    def __init__(self, parts: Sequence[Layer]) -> None:
        self.parts = tuple(parts)
        self.stages = _fused(parts)  # some of them two parts in one

    def workspace(self, rows: int, input_gradient: bool = False, train: bool = True) -> Workspace:
        """Return memory for `rows` rows; with ``train=False`` there is none for gradients."""
        stages = self.stages
        dtype = stages[0].dtype
        widths = [stages[0].n_in, *(stage.n_out for stage in stages)]
        y_is_x = [False] + [
            stage.in_place and "x" not in stage.saved and "y" not in before.saved for before, stage in pairwise(stages)
        ]
        shapes = [(rows, widths[0])] + [(rows, n) for n, same in zip(widths[1:], y_is_x, strict=True) if not same]
        n_activations = len(shapes)
        wanted = [i for i in reversed(range(len(stages))) if train and (i > 0 or input_gradient)]
        if train:
            shapes += [(rows, widths[-1])] + [(rows, widths[i]) for i in wanted if not stages[i].in_place]
        arena = Arena(shapes, dtype, padded=True)
        own = iter(arena.views[:n_activations])
        activations = [next(own)]
        for same in y_is_x:
            activations.append(activations[-1] if same else next(own))
        gradients: list[Array | None] = [None] * len(widths)
        if train:
            own = iter(arena.views[n_activations:])
            gradients[-1] = next(own)
            for i in wanted:
                gradients[i] = gradients[i + 1] if stages[i].in_place else next(own)
        return Workspace(activations, gradients)

    def forward(self, work: Workspace, tape: Tape | None = None) -> None:
        for i, stage in enumerate(self.stages):
            stage._forward(work.activations[i], work.activations[i + 1], tape)

    @property
    def can_update(self) -> bool:
        """Whether backward can take plain SGD's step for all parameters, and nothing in between can raise."""
        return all(
            isinstance(stage, Fused) or (stage._is_kernel_layer and not stage.parameters) for stage in self.stages
        )

    def backward(self, work: Workspace, tape: Tape | None = None, lr: Array | None = None) -> None:
        """Run backward; with a learning rate, take plain SGD's step instead of writing gradients of parameters."""
        for i in range(len(self.stages) - 1, -1, -1):
            stage, (x, y), dx, dy = self.stages[i], work.activations[i : i + 2], *work.gradients[i : i + 2]
            assert dy is not None
            if isinstance(stage, Fused):
                stage.backward_and_update(x, y, dy, dx, lr, tape)
            else:
                stage._backward(x, y, dy, dx, tape)

    def backward_of(self, work: Workspace, dy: ArrayLike, name: str) -> Array:
        """Run backward for a gradient that a person gives, and return that of the input."""
        last, first = work.gradients[-1], work.gradients[0]
        assert last is not None
        assert first is not None
        matrix = as_matrix(dy, f"{name}: dy", dtype=last.dtype)
        if matrix.shape != last.shape:
            raise ValueError(f"{name}: dy has shape {matrix.shape}, expected {last.shape} to match the last forward")
        last[...] = matrix
        self.backward(work)
        return first.copy()


class Fused(Layer):
    """A dense product, and in the same kernels what comes before and behind it.

    Attributes
    ----------
    product : Layer
    activation : Layer or None
        Applied behind the product, whose own result is then never stored.
    before : Layer or None
        The activation before the product: dx is multiplied by its derivative, so that `before` has no pass of its own.
    differentiated : bool
        Whether the product that follows does so for `activation`.
    """

    def __init__(self, product: Layer, activation: Layer | None) -> None:
        self.product, self.activation = product, activation
        self.before: Layer | None = None
        self.differentiated = False
        self.saved = product.saved if activation is None else ("x", "y")
        self.takes_rows = product.takes_rows
        self.n_in, self.n_out = product.n_in, product.n_out
        if product.n_in:
            self.dtype = product.dtype
        self.label = product.label

    def _forward(self, x: Array, y: Array, tape: Tape | None) -> None:
        if self.activation is None:
            self.product._forward(x, y, tape)
            return
        assert self.product.forward_fused is not None
        self.product.forward_fused(x, y, self.activation, tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, tape: Tape | None) -> None:
        self.backward_and_update(x, y, dy, dx, None, tape)

    def backward_and_update(
        self, x: Array, y: Array, dy: Array, dx: Array | None, lr: Array | None, tape: Tape | None
    ) -> None:
        """Run backward; with a learning rate, take plain SGD's step instead of writing gradients of parameters."""
        if self.activation is not None and not self.differentiated:
            self.activation._backward(y, y, dy, dy, tape)
        assert self.product.backward_fused is not None
        self.product.backward_fused(x, dy, dx, self.before, lr, tape)


def _fused(stages: Sequence[Layer]) -> list[Layer]:
    """Return the stages with what can run in one kernel made one."""
    fused: list[Layer] = []
    i = 0
    while i < len(stages):
        following = stages[i + 1] if i + 1 < len(stages) else None
        if stages[i].forward_fused is None:
            fused.append(stages[i])
        elif following is not None and following.fusable:
            fused.append(Fused(stages[i], following))
            i += 1
        else:
            fused.append(Fused(stages[i], None))
        i += 1
    for before, stage in pairwise(fused):
        if isinstance(before, Fused) and isinstance(stage, Fused) and before.activation is not None:
            stage.before, before.differentiated = before.activation, True
    return fused

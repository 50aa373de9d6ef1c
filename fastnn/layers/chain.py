"""Layers in a row in their executable form: the chain, from the first stage to the last and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Arena, Array
from fastnn.arrays import as_matrix, copy_into, read_only, require_real
from fastnn.layers.contract import Layer
from fastnn.layers.elements import Element, elements
from fastnn.layers.passes import NO_SCRATCH, Arrays, Inner, Pass, Run, Scratch
from fastnn.settings import explain_numpy

if TYPE_CHECKING:
    from fastnn._core.tape import Tape

# Whether layers that a layer in NumPy calls compute a prediction: in a context of its own, which ends with the call.
# None where no layer calls.
_PREDICTING: ContextVar[bool | None] = ContextVar("fastnn_predicting", default=None)


def is_predicting() -> bool:
    """Whether layers that a layer in NumPy calls compute a prediction."""
    return _PREDICTING.get() is True


class Stage:
    """An element of a chain: a layer that is made of kernels, with those inside it."""

    layers: tuple[Layer, ...]
    has_parameters: bool  # that are trained: in it, or inside
    inner: tuple[Chain, ...] = ()  # the rows of layers inside it
    may_raise = False  # Python code runs in it, or inside
    is_ours: bool  # what runs is code of this package, which depends on its arguments and on cells alone
    takes_rows: Callable[[Array], bool] | None = None
    steps = False  # backward can take plain SGD's step
    has_scratch = True  # its layers may have declared memory from forward to backward

    def __init__(self, element: Element, trains: bool, predicting: bool, apart: bool = False) -> None:
        self.layer = layer = element.layer
        self.layers, self.trains = (layer,), trains
        self.saved, self.in_place = element.code.saved, element.code.in_place and not apart
        self.steps = trains and element.code.steps and bool(layer.saves_a_pass)
        self.n_in, self.n_out = layer.n_in, layer.n_out
        self.has_parameters = trains and bool(layer._gradients)
        self.changes = type(layer)._after_batch is not Layer._after_batch
        self.is_ours = _is_ours(layer._forward)
        for row in layer.in_branches() if layer._children else ():
            inner = Chain(elements(row, predicting, around=element.around), self.n_in, layer.dtype, predicting, apart)
            self.inner = (*self.inner, inner)
            self.has_parameters = self.has_parameters or inner.lowest >= 0
            self.changes = self.changes or bool(inner.changing)
            self.is_ours, self.may_raise = self.is_ours and inner.is_ours, self.may_raise or inner.may_raise

    def forward(self, x: Array, y: Array, run: Run) -> None:
        self.layer._forward(x, y, run)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run, lr: Array | None) -> None:
        if lr is not None and self.steps:
            layer: Any = self.layer
            layer.backward_step(x, dy, dx, lr, run)
            return
        self.layer._backward(x, y, dy, dx, run)
        if not self.trains:  # code of others does not ask
            for gradient in self.layer._gradients.values():
                self.layer.kernels.clear(gradient.reshape(-1), run.tape)

    def after_batch(self, run: Run) -> None:
        self.layer._after_batch(run)
        for inner, branch in zip(self.inner, run.branches, strict=True):
            inner.after_batch(branch._memory, run.tape)


class NumpyStage(Stage):
    """A layer in NumPy: called between kernels."""

    may_raise = True
    is_ours = False

    def __init__(self, element: Element, trains: bool, predicting: bool) -> None:
        self.layer = layer = element.layer
        self.layers, self.trains = (layer,), trains
        self.saved, self.in_place = element.code.saved, False
        self.n_in, self.n_out = layer.n_in, layer.n_out
        self._inside = [layer, *inside(layer)]
        self._is_alone = len(self._inside) == 1
        self.has_parameters = trains and any(own._gradients and own.trainable for own in self._inside)
        self.changes = any(type(own)._after_batch is not Layer._after_batch for own in self._inside)
        self._predicting = predicting
        self._names: set[str] | None = None
        for own in self._inside:
            if own.adds and not predicting:
                raise TypeError(
                    f"{own.title} stands in a layer in NumPy, where what it adds to the loss would be lost: place it "
                    "beside that layer"
                )

    def forward(self, x: Array, y: Array, run: Run) -> None:
        if run.tape is None:
            self._forward(x, y)
        else:
            run.tape.call(lambda: self._forward(x, y))

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run, lr: Array | None) -> None:
        if run.tape is None:
            self._backward(dy, dx)
        else:
            run.tape.call(lambda: self._backward(dy, dx))

    def after_batch(self, run: Run) -> None:
        own = Run(None, run.rows, run.scratch, run.trains)
        if run.tape is None:
            self._after_batch(own)
        else:
            run.tape.call(lambda: self._after_batch(own))

    def _forward(self, x: Array, y: Array) -> None:
        given = read_only(x)
        try:
            if self._predicting:
                result = np.asarray(_forward_as(True, self.layer, given))
            else:
                for layer in self._inside:  # those that are not run have nothing to differentiate, and no batch
                    layer.__dict__.update(_eager=None, _runs=0)
                forward = self.layer.forward
                result = np.asarray(forward(given) if self._is_alone else _forward_as(False, self.layer, given))
        except ValueError as error:
            explain_numpy(self.layer, "forward", error)
            raise
        if not self._predicting:
            for layer in self._inside:
                if layer._runs > 1:
                    raise ValueError(
                        f"{layer.title} was run {layer._runs} times in one forward of {self.layer.title}, but its "
                        "gradients would be those of the last run alone: use a layer for each"
                    )
        if result.shape != y.shape:
            raise ValueError(
                f"{self.layer.title}: forward returned shape {result.shape} for x {x.shape}, expected {y.shape}; "
                "where the number of outputs differs from that of inputs, build(n_in) returns it"
            )
        require_real(result, f"{self.layer.title}: forward returned")
        copy_into(y, result)

    def _backward(self, dy: Array, dx: Array | None) -> None:
        gradients = self.layer._gradients
        for layer in self._inside:
            for gradient in layer._gradients.values():  # so that += works, and what is forgotten is 0
                gradient[...] = 0
        try:
            result = self.layer.backward(read_only(dy))
        except ValueError as error:
            explain_numpy(self.layer, "backward", error)
            raise
        if self._names is None:
            self._look_for_gradients(gradients)
        for layer in self._inside:
            if not (self.trains and layer.trainable):
                for gradient in layer._gradients.values():
                    gradient[...] = 0
        if dx is None:
            return
        if result is None or np.shape(result) != dx.shape:
            got = "None" if result is None else f"shape {np.shape(result)}"
            raise ValueError(f"{self.layer.title}: backward returned {got}, expected dx of shape {dx.shape}")
        result = np.asarray(result)
        require_real(result, f"{self.layer.title}: backward returned")
        copy_into(dx, result)

    def _look_for_gradients(self, gradients: dict[str, Array]) -> None:
        """Raise AttributeError where the first backward has stored gradients under other names."""
        own = self.layer.__dict__
        self._names = set(own)
        for name, gradient in gradients.items():
            if gradient.any():
                continue
            for other, value in own.items():
                is_new = other not in self.layer._declared and isinstance(value, np.ndarray)
                is_near = "d" in other.lower() and name.lower() in other.lower()
                if is_new and is_near and value.shape == gradient.shape and value.any():
                    raise AttributeError(
                        f"{self.layer.title}: backward stores {other}, and nothing in d{name}, which is where the "
                        f"gradient of {name} is expected: write self.d{name}[...] = ..."
                    )

    def _after_batch(self, run: Run) -> None:
        """Let all layers change their states that have been run by hand, and this one."""
        if self.layer._eager is None:
            self.layer._after_batch(run)
        for layer in self._inside:
            if layer._eager is not None:
                alone(layer, False).after_batch(layer._eager)


def _is_ours(code: Any) -> bool:
    return bool(code.__module__.startswith("fastnn."))


def _forward_as(predicting: bool, layer: Layer, x: Array) -> Any:
    """Call a layer, and with it those that it calls, in a prediction or in a training."""
    return copy_context().run(_forward_now, predicting, layer, x)


def _forward_now(predicting: bool, layer: Layer, x: Array) -> Any:
    _PREDICTING.set(predicting)
    return layer.forward(x)


def eager_call(layer: Layer, x: Array) -> Array:
    """Compute a prediction now, but in the forward of a layer around what that computes."""
    return np.asarray(_forward_as(_PREDICTING.get() is not False, layer, x))


def inside(layer: Layer) -> Iterator[Layer]:
    """Yield the layers inside a layer, and those inside them."""
    for child in layer._children:
        yield child
        yield from inside(child)


class Product(Stage):
    """A dense product, and in the same kernels what comes before and behind it.

    Attributes
    ----------
    layer : Layer
        The product.
    scaling : Layer or None
        Gives each column behind the product a factor and an offset: in predictions.
    activation : Layer or None
        Applied behind these. What comes before it is then never stored.
    before : Layer or None
        The activation before the product: dx is multiplied by its derivative, so that `before` has no pass of its own.
    differentiated : bool
        Whether the product that follows does so for `activation`.
    """

    layer: Any

    def __init__(self, element: Element, trains: bool, scaling: Any, activation: Layer | None) -> None:
        self.layer = element.layer
        self.layers = (self.layer,) if scaling is None else (self.layer, scaling)
        self.scaling, self.activation, self.has_scratch = scaling, activation, scaling is not None
        self.trains = self.has_parameters = self.steps = trains
        self.before: Layer | None = None
        self.differentiated = self.in_place = self.changes = False
        self.saved = element.code.saved if activation is None else ("x", "y")
        is_fused = scaling is not None or activation is not None
        self.is_ours = _is_ours(self.layer.forward_fused if is_fused else self.layer._forward)
        self.takes_rows = self.layer.takes_rows if element.reads_rows else None
        self.n_in, self.n_out = self.layer.n_in, self.layer.units

    def forward(self, x: Array, y: Array, run: Run) -> None:
        if self.scaling is not None:
            self.layer.forward_fused(x, y, self.activation, run, *self.scaling.factors(run))
        elif self.activation is not None:
            self.layer.forward_fused(x, y, self.activation, run)
        else:
            self.layer._forward(x, y, run)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run, lr: Array | None) -> None:
        if self.activation is not None and not self.differentiated:
            self.activation._backward(y, y, dy, dy, run)
        self.layer.backward_fused(x, dy, dx, self.before, lr, run)


class Chain:
    """Stages in a row: what they write to is what the next one reads.

    Parameters
    ----------
    row : sequence of Element
        Of layers that are built.
    n_in : int
    dtype : dtype
    predicting : bool
        Whether these stand for layers in a prediction.
    apart : bool
        Whether each layer is a stage of its own, with outputs that nothing overwrites: to look at them.

    Attributes
    ----------
    lowest : int
        The first stage whose parameters are trained, where backward ends; -1 where there is none.
    changing : list of int
        The stages that change states behind a batch.
    may_raise : bool
        Whether Python code runs in one of them.
    is_ours : bool
        Whether all that runs is code of this package.
    """

    def __init__(
        self,
        row: Sequence[Element],
        n_in: int,
        dtype: np.dtype[Any],
        predicting: bool = False,
        apart: bool = False,
    ) -> None:
        self.stages = _stages(row, predicting, apart)
        self.dtype, self.n_in = dtype, n_in
        self.n_out = self.stages[-1].n_out if self.stages else n_in
        self.lowest, self.may_raise, self.is_ours = -1, False, True
        self.changing: list[int] = []
        for i, stage in enumerate(self.stages):
            if stage.has_parameters and self.lowest < 0:
                self.lowest = i
            if stage.changes:
                self.changing.append(i)
            self.may_raise = self.may_raise or stage.may_raise
            self.is_ours = self.is_ours and stage.is_ours

    def memory(self, rows: int, input_gradient: bool = False, train: bool = True, branch: int | None = None) -> Pass:
        """Return memory for `rows` rows; with ``train=False`` there is none for gradients.

        That of a chain inside a stage, of that number, is given its input, and the first one where to write the
        gradient of that.
        """
        is_inner = branch is not None
        stages, n = self.stages, len(self.stages)
        lowest = -1 if input_gradient else self.lowest if self.lowest >= 0 else n
        with_gradients = train and lowest < n
        shapes = [] if is_inner else [(rows, self.n_in)]
        places: list[int] = [-1 if is_inner else 0]  # of each activation among the shapes
        for i, stage in enumerate(stages):
            before = stages[i - 1] if i > 0 else None
            is_x = before is not None and stage.in_place and "x" not in stage.saved and "y" not in before.saved
            if not is_x:
                shapes.append((rows, stage.n_out))
            places.append(places[-1] if is_x else len(shapes) - 1)
        places_of_gradients: list[int] = [-1] * (n + 1)
        if with_gradients:
            shapes.append((rows, self.n_out))
            places_of_gradients[n] = len(shapes) - 1
            for i in range(n - 1, lowest, -1):
                if branch == 0 and i == 0:  # it is given
                    continue
                if not stages[i].in_place:
                    shapes.append((rows, stages[i].n_in))
                places_of_gradients[i] = places_of_gradients[i + 1] if stages[i].in_place else len(shapes) - 1
        arena = Arena(shapes, self.dtype, padded=True)
        views: list[Any] = [*arena.views, None]
        scratch: list[Scratch] = []
        inner: list[tuple[Pass, ...]] = []
        nbytes = 0
        for view in arena.views:
            nbytes += view.nbytes
        for i, stage in enumerate(stages):
            own = self._scratch(stage, rows) if stage.has_scratch else NO_SCRATCH
            scratch.append(own)
            for array in own.arrays.values():
                nbytes += array.nbytes
            below = tuple(chain.memory(rows, i > lowest, train, branch=j) for j, chain in enumerate(stage.inner))
            inner.append(below)
            for branch_memory in below:
                nbytes += branch_memory.nbytes
        get = views.__getitem__
        made = Pass(rows, [*map(get, places)], [*map(get, places_of_gradients)], scratch, inner)
        made.nbytes = nbytes
        return made

    def _scratch(self, stage: Stage, rows: int) -> Scratch:
        arrays, of_rows = Arrays(), set()
        for layer in stage.layers:
            for name, declared in layer._declared.items():
                if declared.role == "scratch":
                    shape = tuple(rows if size == "rows" else size for size in declared.shape)
                    arrays[name] = Arena([shape], declared.dtype or self.dtype, padded=True).views[0]
                    if declared.shape[0] == "rows":
                        of_rows.add(name)
        return Scratch(arrays, frozenset(of_rows))

    def _run(self, memory: Pass, i: int, tape: Tape | None) -> Run:
        stage, inner = self.stages[i], memory.inner[i]
        branches = (
            tuple(Inner(chain, own, tape) for chain, own in zip(stage.inner, inner, strict=True)) if inner else ()
        )
        return Run(tape, memory.rows, memory.scratch[i].arrays, stage.trains, branches)

    def forward(self, memory: Pass, tape: Tape | None = None) -> None:
        activations = memory.activations
        for i, stage in enumerate(self.stages):
            stage.forward(activations[i], activations[i + 1], self._run(memory, i, tape))

    def forward_one(self, memory: Pass, i: int, x: Array, y: Array, tape: Tape | None) -> None:
        """Run one stage, on these arrays."""
        self.stages[i].forward(x, y, self._run(memory, i, tape))

    def backward_one(self, memory: Pass, i: int, dy: Array, dx: Array | None, tape: Tape | None) -> None:
        """Run the backward of one stage."""
        x, y = memory.activations[i : i + 2]
        self.stages[i].backward(x, y, dy, dx, self._run(memory, i, tape), None)

    def backward(self, memory: Pass, tape: Tape | None = None, lr: Array | None = None) -> None:
        """Write the gradients of what is trained; with a learning rate, products take plain SGD's step instead."""
        activations, gradients = memory.activations, memory.gradients
        for i in range(len(self.stages) - 1, -1, -1):
            dy = gradients[i + 1]
            if dy is None:  # nothing below is trained
                return
            run = self._run(memory, i, tape)
            self.stages[i].backward(activations[i], activations[i + 1], dy, gradients[i], run, lr)

    def after_batch(self, memory: Pass, tape: Tape | None = None) -> None:
        """Let layers change their states."""
        for i in self.changing:
            self.after_batch_of(memory, i, tape)

    def after_batch_of(self, memory: Pass, i: int, tape: Tape | None) -> None:
        """Let one stage change its states."""
        self.stages[i].after_batch(self._run(memory, i, tape))

    def added(self, memory: Pass) -> Iterator[Array]:
        """Yield what layers add to the loss of a batch: arrays, whose sums it is."""
        for stage, scratch, inner in zip(self.stages, memory.scratch, memory.inner, strict=True):
            for layer in stage.layers:
                if layer.adds:
                    yield scratch.arrays[layer.adds]
            for chain, own in zip(stage.inner, inner, strict=True):
                yield from chain.added(own)

    def updated_in_backward(self) -> set[int]:
        """Return which layers, by id, backward can train by itself, with plain SGD's step.

        None where Python code runs in between: what it raises must not leave a step half done.
        """
        if self.may_raise:
            return set()
        found = set()
        for stage in self.stages:
            if stage.steps:
                found.add(id(stage.layer))
        return found

    def backward_of(self, memory: Pass, dy: ArrayLike, name: str) -> Array:
        """Run backward for a gradient that a person gives, and return that of the input."""
        last, first = memory.gradients[-1], memory.gradients[0]
        assert last is not None
        assert first is not None
        last[...] = checked_gradient(dy, last, name)
        self.backward(memory)
        return first.copy()


def checked_gradient(dy: ArrayLike, last: Array, name: str) -> Array:
    """Return the gradient of the outputs, of the right dtype and shape."""
    matrix = as_matrix(dy, f"{name}: dy", dtype=last.dtype)
    if matrix.shape != last.shape:
        raise ValueError(f"{name}: dy has shape {matrix.shape}, expected {last.shape} to match the last forward")
    return matrix


def _stages(row: Sequence[Element], predicting: bool, apart: bool) -> list[Stage]:
    """Return the stages of what stands in a row, with what can run in one kernel made one."""
    stages: list[Stage] = []
    i, n = 0, len(row)
    while i < n:
        element = row[i]
        trains = True
        for layer in element.around:
            trains = trains and layer.trainable
        i += 1
        if element.is_numpy:
            stages.append(NumpyStage(element, trains, predicting))
            continue
        if apart or not element.code.multiplies:
            stages.append(Stage(element, trains, predicting, apart))
            continue
        scaling, activation = None, None
        if i < n and row[i].code.scales:
            scaling, i = row[i].layer, i + 1
        if i < n and row[i].code.fusable:
            activation, i = row[i].layer, i + 1
        product = Product(element, trains, scaling, activation)
        before = stages[-1] if stages else None
        if isinstance(before, Product) and before.activation is not None:
            product.before, before.differentiated = before.activation, True
        stages.append(product)
    return stages


def alone(layer: Layer, predicting: bool) -> Chain:
    """Return a layer that is run by hand as a chain of its own."""
    return Chain(elements((layer,), predicting, layer), layer.n_in, layer.dtype, predicting)

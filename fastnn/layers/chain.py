"""Layers in a row in their executable form: the chain, from the first stage to the last and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Arena, Array
from fastnn.checks import as_matrix, read_only
from fastnn.layers.contract import Code, Layer, Run, code_of, forms

if TYPE_CHECKING:
    from fastnn._core.tape import Tape

# Whether layers that a layer in NumPy calls compute a prediction: true in a context of its own, which ends with the call.
_PREDICTING: ContextVar[bool] = ContextVar("fastnn_predicting", default=False)


class Scratch:
    """What the layers of a stage have declared for one batch: arrays with a row for each of its rows, and others."""

    __slots__ = ("arrays", "of_rows")

    def __init__(self, arrays: dict[str, Array], of_rows: frozenset[str]) -> None:
        self.arrays, self.of_rows = arrays, of_rows

    def first(self, rows: int) -> Scratch:
        """Return the part that the first rows use."""
        arrays = {name: array[:rows] if name in self.of_rows else array for name, array in self.arrays.items()}
        return Scratch(arrays, self.of_rows)


_NO_SCRATCH = Scratch({}, frozenset())


class Pass:
    """The memory of one pass over a chain for some rows.

    Attributes
    ----------
    activations : list of ndarray
        (rows, n) each: the input, or Rows that stand for it, then what each stage puts out.
    gradients : list of ndarray or None
        The gradients of these; None where they are not needed.
    rows : int
    scratch : list of Scratch
        That of each stage.
    inner : list of Pass or None
        That of the layers inside each stage.
    """

    __slots__ = ("activations", "gradients", "inner", "rows", "scratch")

    def __init__(
        self,
        rows: int,
        activations: list[Array],
        gradients: list[Array | None],
        scratch: list[Scratch],
        inner: list[Pass | None],
    ) -> None:
        self.rows, self.activations, self.gradients = rows, activations, gradients
        self.scratch, self.inner = scratch, inner

    @property
    def nbytes(self) -> int:
        """The memory of all of them, in bytes: what is there in two places counts once."""
        arrays = [array for array in (*self.activations, *self.gradients) if array is not None]
        arrays += [array for scratch in self.scratch for array in scratch.arrays.values()]
        own = sum({array.ctypes.data: array.nbytes for array in arrays}.values())
        return own + sum(inner.nbytes for inner in self.inner if inner is not None)

    def first(self, rows: int) -> Pass:
        """Return the part of this memory that the first rows use."""
        if rows == self.rows:
            return self

        def part(array: Any) -> Any:
            return None if array is None else array[:rows]

        return Pass(
            rows,
            [*map(part, self.activations)],
            [*map(part, self.gradients)],
            [scratch.first(rows) for scratch in self.scratch],
            [None if inner is None else inner.first(rows) for inner in self.inner],
        )

    def reading(self, rows: object) -> Pass:
        """Return this memory with an input that is read where it lies: `kernels.Rows`."""
        return Pass(self.rows, [rows, *self.activations[1:]], self.gradients, self.scratch, self.inner)  # type: ignore[list-item]  # kernels take both


class Inner:
    """The layers inside a stage, during one pass."""

    __slots__ = ("_chain", "_memory", "_tape")

    def __init__(self, chain: Chain, memory: Pass, tape: Tape | None) -> None:
        self._chain, self._memory, self._tape = chain, memory, tape

    def forward(self, x: Array) -> Array:
        """Compute their outputs for x, in a row, and return the array that holds them: it must not be changed."""
        self._memory.activations[0] = x
        self._chain.forward(self._memory, self._tape)
        return self._memory.activations[-1]

    @property
    def dy(self) -> Array | None:
        """Where to write the gradient of these outputs before `backward`: None where nothing needs it."""
        return self._memory.gradients[-1]

    def backward(self, dx: Array | None) -> None:
        """Write the gradients of their parameters, and that of x into dx, unless it is None."""
        self._memory.gradients[0] = dx
        self._chain.backward(self._memory, self._tape)


class Stage:
    """An element of a chain: a layer that is made of kernels, with those inside it."""

    layers: tuple[Layer, ...]
    has_parameters: bool  # that are trained: in it, or inside
    may_raise = False  # Python code runs in it
    is_ours: bool  # what runs is code of this package, which depends on its arguments and on cells alone
    takes_rows: Callable[[Array], bool] | None = None

    def __init__(self, layer: Layer, trains: bool, predicting: bool) -> None:
        code = code_of(layer)
        self.layer, self.layers, self.trains = layer, (layer,), trains
        self.saved, self.in_place = code.saved, code.in_place
        self.n_in, self.n_out = layer.n_in, layer.n_out
        children = layer.children()
        self.inner = Chain(children, self.n_in, trains, predicting) if children else None
        self.is_ours = _is_ours(layer._forward) and (self.inner is None or self.inner.is_ours)
        self.has_parameters = trains and (bool(layer.parameters) or (self.inner is not None and self.inner.lowest >= 0))
        self.changes = type(layer)._after_batch is not Layer._after_batch or (
            self.inner is not None and bool(self.inner.changing)
        )

    def forward(self, x: Array, y: Array, run: Run) -> None:
        self.layer._forward(x, y, run)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run, lr: Array | None) -> None:
        self.layer._backward(x, y, dy, dx, run)
        if not self.trains:  # code of others does not ask
            for gradient in self.layer.__dict__["_gradients"].values():
                self.layer.kernels.clear(gradient.reshape(-1), run.tape)

    def after_batch(self, run: Run) -> None:
        self.layer._after_batch(run)
        if run.inner is not None and self.inner is not None:
            self.inner.after_batch(run.inner._memory, run.tape)


class NumpyStage(Stage):
    """A layer in NumPy: called between kernels."""

    may_raise = True
    is_ours = False

    def __init__(self, layer: Layer, trains: bool, predicting: bool) -> None:
        self.layer, self.layers, self.trains = layer, (layer,), trains
        self.saved, self.in_place = Code().saved, False
        self.n_in, self.n_out, self.inner = layer.n_in, layer.n_out, None
        self.has_parameters = trains and any(own.parameters for own in _inside(layer))
        self.changes = any(type(own)._after_batch is not Layer._after_batch for own in _inside(layer))
        self._predicting = predicting
        self._names: set[str] | None = None

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
        if run.tape is None:
            self._after_batch()
        else:
            run.tape.call(self._after_batch)

    def _forward(self, x: Array, y: Array) -> None:
        given = read_only(x)
        if self._predicting:
            result = np.asarray(copy_context().run(_predict, self.layer, given))
        else:
            result = np.asarray(self.layer.forward(given))
        if result.shape != y.shape:
            raise ValueError(
                f"{self.layer.title}: forward returned shape {result.shape} for x {x.shape}, expected {y.shape}; "
                "where the number of outputs differs from that of inputs, build(n_in) returns it"
            )
        y[...] = result

    def _backward(self, dy: Array, dx: Array | None) -> None:
        own = self.layer.__dict__
        gradients = own["_gradients"]
        for gradient in gradients.values():  # so that += works, and what is forgotten is 0
            gradient[...] = 0
        result = self.layer.backward(read_only(dy))
        if self._names is None:
            self._look_for_gradients(gradients)
        if not self.trains:
            for layer in _inside(self.layer):
                for gradient in layer.__dict__["_gradients"].values():
                    gradient[...] = 0
        if dx is None:
            return
        if result is None or np.shape(result) != dx.shape:
            got = "None" if result is None else f"shape {np.shape(result)}"
            raise ValueError(f"{self.layer.title}: backward returned {got}, expected dx of shape {dx.shape}")
        dx[...] = result

    def _look_for_gradients(self, gradients: dict[str, Array]) -> None:
        """Raise AttributeError where the first backward has stored gradients under other names."""
        own = self.layer.__dict__
        self._names = set(own)
        for name, gradient in gradients.items():
            if gradient.any():
                continue
            for other, value in own.items():
                is_new = other not in self.layer._declared and isinstance(value, np.ndarray)
                if is_new and value.shape == gradient.shape and "d" in other and name in other and value.any():
                    raise AttributeError(
                        f"{self.layer.title}: backward stores {other}, and nothing in d{name}, which is where the "
                        f"gradient of {name} is expected: write self.d{name}[...] = ..."
                    )

    def _after_batch(self) -> None:
        for layer in _inside(self.layer):
            if layer._eager is not None:
                eager_after_batch(layer)


def _is_ours(code: Any) -> bool:
    return bool(code.__module__.startswith("fastnn."))


def _predict(layer: Layer, x: Array) -> Any:
    _PREDICTING.set(True)
    return layer.forward(x)


def _inside(layer: Layer) -> Iterator[Layer]:
    yield layer
    for child in layer.children():
        yield from _inside(child)


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

    def __init__(self, layer: Any, trains: bool, scaling: Layer | None, activation: Layer | None) -> None:
        code = code_of(layer)
        self.layer, self.scaling, self.activation = layer, scaling, activation
        self.layers = tuple(part for part in (layer, scaling, activation) if part is not None)
        self.trains = self.has_parameters = trains
        self.before: Layer | None = None
        self.differentiated = self.in_place = self.changes = False
        self.saved = code.saved if activation is None else ("x", "y")
        is_fused = scaling is not None or activation is not None
        self.is_ours = _is_ours(layer.forward_fused if is_fused else layer._forward)
        self.takes_rows = getattr(layer, "takes_rows", None)
        self.n_in, self.n_out, self.inner = layer.n_in, layer.units, None

    def forward(self, x: Array, y: Array, run: Run) -> None:
        if self.scaling is not None:
            self.layer.forward_fused(x, y, self.activation, run, *self.scaling.factors(run))  # type: ignore[attr-defined]
        elif self.activation is not None:
            self.layer.forward_fused(x, y, self.activation, run)  # type: ignore[attr-defined]
        else:
            self.layer._forward(x, y, run)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run, lr: Array | None) -> None:
        if self.activation is not None and not self.differentiated:
            self.activation._backward(y, y, dy, dy, run)
        self.layer.backward_fused(x, dy, dx, self.before, lr, run)  # type: ignore[attr-defined]


class Chain:
    """Stages in a row: what they write to is what the next one reads.

    Parameters
    ----------
    layers : sequence of Layer
        Built.
    n_in : int
    trains : bool
        Whether what is not frozen is trained.
    predicting : bool
        Take what stands for each layer in a prediction.
    as_kernels : Layer or None
        Take this one as the kernels of its base class, also where its own code is NumPy: that is what calls it.
    without_last : bool
        Leave out the last element of the row, which the loss contains.

    Attributes
    ----------
    lowest : int
        The first stage whose parameters are trained, where backward ends; -1 where there is none.
    changing : list of int
        The stages that change states behind a batch.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        n_in: int,
        trains: bool = True,
        predicting: bool = False,
        as_kernels: Layer | None = None,
        without_last: bool = False,
    ) -> None:
        row = list(_row(layers, trains, predicting, as_kernels))
        self.stages = _stages(row[:-1] if without_last else row, predicting)
        self.dtype = layers[0].dtype if layers else np.dtype(np.float32)
        self.n_in = n_in
        self.n_out = self.stages[-1].n_out if self.stages else n_in
        self.lowest = next((i for i, stage in enumerate(self.stages) if stage.has_parameters), -1)
        self.changing = [i for i, stage in enumerate(self.stages) if stage.changes]
        self.may_raise = any(
            stage.may_raise or (stage.inner is not None and stage.inner.may_raise) for stage in self.stages
        )

    def memory(self, rows: int, input_gradient: bool = False, train: bool = True, is_inner: bool = False) -> Pass:
        """Return memory for `rows` rows; with ``train=False`` there is none for gradients.

        That of a chain inside a stage is given its input, and where to write the gradient of that.
        """
        stages = self.stages
        widths = [self.n_in, *[stage.n_out for stage in stages]]
        y_is_x = [False] + [
            stage.in_place and "x" not in stage.saved and "y" not in before.saved for before, stage in pairwise(stages)
        ]
        shapes = [(rows, n) for n, same in zip(widths[1:], y_is_x, strict=False) if not same]
        if not is_inner:
            shapes.insert(0, (rows, widths[0]))
        lowest = -1 if input_gradient else self.lowest if self.lowest >= 0 else len(stages)
        wanted = [i for i in range(len(stages) - 1, lowest, -1) if not (is_inner and i == 0)] if train else []
        last = train and lowest < len(stages)
        if last:
            shapes.append((rows, widths[-1]))
        shapes += [(rows, widths[i]) for i in wanted if not stages[i].in_place]
        own = iter(Arena(shapes, self.dtype, padded=True).views)
        activations: list[Any] = [None if is_inner else next(own)]
        for _, same in zip(stages, y_is_x, strict=False):
            activations.append(activations[-1] if same else next(own))
        gradients: list[Array | None] = [None] * len(widths)
        if last:
            gradients[-1] = next(own)
            for i in wanted:
                gradients[i] = gradients[i + 1] if stages[i].in_place else next(own)
        return Pass(
            rows,
            activations,
            gradients,
            [self._scratch(stage, rows) for stage in stages],
            [
                None if stage.inner is None else stage.inner.memory(rows, i > lowest, train, is_inner=True)
                for i, stage in enumerate(stages)
            ],
        )

    def _scratch(self, stage: Stage, rows: int) -> Scratch:
        declared = {
            name: array
            for layer in stage.layers
            for name, array in layer._declared.items()
            if array.role == "scratch"
        }
        if not declared:
            return _NO_SCRATCH
        arrays = {}
        for name, array in declared.items():
            shape = tuple(rows if size == "rows" else size for size in array.shape)
            arrays[name] = Arena([shape], array.dtype or self.dtype, padded=True).views[0]
        return Scratch(arrays, frozenset(name for name, array in declared.items() if array.shape[0] == "rows"))

    def _run(self, memory: Pass, i: int, tape: Tape | None) -> Run:
        stage, inner = self.stages[i], memory.inner[i]
        bound = None if inner is None or stage.inner is None else Inner(stage.inner, inner, tape)
        return Run(tape, memory.rows, memory.scratch[i].arrays, stage.trains, bound)

    @property
    def is_ours(self) -> bool:
        """Whether all that runs is code of this package."""
        return all(stage.is_ours for stage in self.stages)

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
            self.stages[i].after_batch(self._run(memory, i, tape))

    def updated_in_backward(self) -> set[int]:
        """Return which layers, by id, backward can train by itself, with plain SGD's step.

        None where Python code runs in between: what it raises must not leave a step half done.
        """
        if self.may_raise:
            return set()
        return {id(stage.layer) for stage in self.stages if isinstance(stage, Product) and stage.trains}

    def backward_of(self, memory: Pass, dy: ArrayLike, name: str) -> Array:
        """Run backward for a gradient that a person gives, and return that of the input."""
        last, first = memory.gradients[-1], memory.gradients[0]
        assert last is not None
        assert first is not None
        last[...] = checked_gradient(dy, last, name)
        self.backward(memory)
        return first.copy()


def elements(layers: Sequence[Layer]) -> list[Layer]:
    """Return what runs one after the other in the place of layers, those in NumPy whole."""
    return [layer for layer, _, _ in _row(layers, True, False, None)]


def checked_gradient(dy: ArrayLike, last: Array, name: str) -> Array:
    """Return the gradient of the outputs, of the right dtype and shape."""
    matrix = as_matrix(dy, f"{name}: dy", dtype=last.dtype)
    if matrix.shape != last.shape:
        raise ValueError(f"{name}: dy has shape {matrix.shape}, expected {last.shape} to match the last forward")
    return matrix


def _row(
    layers: Sequence[Layer], trains: bool, predicting: bool, as_kernels: Layer | None
) -> Iterator[tuple[Layer, bool, bool]]:
    """Yield what runs in the place of layers, each with whether it is trained, and whether its code is NumPy."""
    for layer in layers:
        own = trains and layer.trainable
        stand_in = layer.for_prediction() if predicting else layer
        if stand_in is None:
            continue
        if forms(type(stand_in)).is_numpy and stand_in is not as_kernels:
            yield stand_in, own, True
            continue
        for element in stand_in.in_a_row():
            if element is stand_in:
                yield stand_in, own, False
            else:
                yield from _row([element], own, predicting, None)


def _stages(row: list[tuple[Layer, bool, bool]], predicting: bool) -> list[Stage]:
    """Return the stages of what stands in a row, with what can run in one kernel made one."""
    stages: list[Stage] = []
    i = 0
    while i < len(row):
        layer, trains, is_numpy = row[i]
        i += 1
        if is_numpy:
            stages.append(NumpyStage(layer, trains, predicting))
            continue
        if not code_of(layer).multiplies:
            stages.append(Stage(layer, trains, predicting))
            continue
        scaling, activation = None, None
        if i < len(row) and not row[i][2] and code_of(row[i][0]).scales:
            scaling, i = row[i][0], i + 1
        if i < len(row) and not row[i][2] and code_of(row[i][0]).fusable:
            activation, i = row[i][0], i + 1
        stages.append(Product(layer, trains, scaling, activation))
    for before, stage in pairwise(stages):
        if isinstance(before, Product) and isinstance(stage, Product) and before.activation is not None:
            stage.before, before.differentiated = before.activation, True
    return stages


# -- by hand ----------------------------------------------------------------------------------------------------------


def _alone(layer: Layer, predicting: bool) -> Chain:
    return Chain([layer], layer.n_in, predicting=predicting, as_kernels=layer)


def eager_forward(layer: Layer, x: Array) -> Array:
    """Compute a layer's kernels now, and keep what backward needs, unless it is a prediction."""
    predicting = _PREDICTING.get()
    chain = _alone(layer, predicting)
    memory = chain.memory(len(x), input_gradient=True, train=not predicting)
    memory.activations[0][...] = x
    chain.forward(memory)
    if not predicting:
        layer.__dict__["_eager"] = memory
    return memory.activations[-1].copy()


def eager_backward(layer: Layer, dy: ArrayLike) -> Array:
    """Compute the gradients for the last `eager_forward`."""
    return _alone(layer, False).backward_of(layer._eager, dy, layer.title)


def eager_after_batch(layer: Layer) -> None:
    """Let a layer that was run by hand change its states."""
    _alone(layer, False).after_batch(layer._eager)

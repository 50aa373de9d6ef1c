"""The layers of a model: a tree, in which a layer may hold others, and the memory that they share."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import ArrayLike

from fastnn import kernels
from fastnn.arena import Arena, Array, Memory
from fastnn.arrays import all_finite, as_array, as_rows, check_finite, convert, copy_into, require_real
from fastnn.checks import is_iterable, shown, warn
from fastnn.digits import Digits
from fastnn.initializers import zeros
from fastnn.layers.contract import OF_THE_CONTRACT, Layer, build_layer
from fastnn.layers.declarations import Declared
from fastnn.layers.elements import elements
from fastnn.layers.inputs import NUMBER, Adapting, ColumnLayer, Kinds, check_kinds, kinds_of, tell_names
from fastnn.layers.inputs import adapt as adapt_row
from fastnn.layers.members import check_members
from fastnn.layers.shape import flattening
from fastnn.layers.sizes import Sizes
from fastnn.tables import Named, Names, SparseRows, Table, is_sparse, table_of

_PLAIN = (str, bytes, int, float, type(None), type, type(np), np.ndarray)


class Entry:
    """A parameter of a tree.

    Attributes
    ----------
    name : str
        Its place: "0.w", or "2.1.b" where the layer stands inside another.
    layer : Layer
    kind : str
        "weights", "biases" or "norms", or what its layer says.
    start, stop : int
        Where it lies in the flat arrays.
    shape : tuple of int
    trains : bool
        Whether it is trained: neither its layer nor one around that is frozen.
    """

    __slots__ = ("kind", "layer", "name", "shape", "start", "stop", "trains")

    def __init__(self, name: str, layer: Layer, kind: str, start: int, shape: tuple[int, ...], trains: bool) -> None:
        self.name, self.layer, self.kind, self.start, self.shape = name, layer, kind, start, shape
        self.stop, self.trains = start + prod(shape), trains


_MOST_NESTED = 64  # layers inside each other: Python gives up at some hundred


class Tree:
    """Layers in a row and all that are inside them, with their memory once they are built."""

    def __init__(self, layers: Iterable[Layer], dtype: np.dtype[Any], precision: str | None = None) -> None:
        self.layers = _checked(layers)
        self.dtype, self.precision, self.kernels = dtype, precision, kernels.of(dtype, precision)
        _label(self.layers)
        self.all: tuple[Layer, ...] = tuple(walk(self.layers))
        if len({id(layer) for layer in self.all}) < len(self.all):
            raise ValueError("Model: the same layer stands in it twice, expected a new layer in every place")
        self.elements = elements(self.layers)  # what runs one after the other
        self.last = self.elements[-1].layer
        self.flattening = flattening(self.elements[0].layer)  # where x may have more than two dimensions
        self.without_derivative = [layer for layer in self.all if not layer.differentiable]
        self._building = RLock()  # several threads may need the model for the first time
        self._memory: Memory | None = None
        self.built = False  # whether the number of inputs is known and the parameters exist: set last
        self.feature_names: Names | None = None  # of the columns, from the first data frame that had any
        self.digits = Digits(dtype)
        self.has_columns = any(isinstance(layer, ColumnLayer) for layer in self.all)
        self.adapting = [layer for layer in self.all if isinstance(layer, Adapting)]
        self.kinds: Kinds | None = None  # what the columns of x have to hold, where that is not finite numbers in all
        self._sizes: Sizes | None = None

    @property
    def n_in(self) -> int:
        """The number of inputs: 0 until the layers are built."""
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        """The number of outputs: 0 until the layers are built."""
        return self.layers[-1].n_out

    def inputs(self, x: Any, by_blocks: bool = False, name: str = "x") -> Any:
        """Return x as (rows, n_in), of any dtype, not yet checked for NaN, and without a build; errors call it `name`.

        Columns that have names stand in the order of the model's. Of sparse rows, what gives some at a time is returned
        where that is enough.
        """
        if self.flattening is not None:
            x = self.flat(x, name)
        if type(x) is np.ndarray:
            matrix: Any = as_rows(x, name)
        elif by_blocks and is_sparse(x):
            matrix = SparseRows(x, name)
        else:
            matrix = as_rows(x, name, self.dtype, self.feature_names)
        if matrix.shape[1] == 0:
            raise ValueError(f"{name} has shape {matrix.shape}, expected at least one column")
        if self.built:
            self.layers[0].expect_features(matrix, name)
        return matrix

    def flat(self, x: Any, name: str = "x") -> Any:
        """Return x, of which each row is one of numbers where the first layer takes it in other shapes."""
        if self.flattening is None or isinstance(x, Table) or is_sparse(x):
            return x
        return self.flattening.rows(x, name)

    def shared_inputs(self, x: ArrayLike) -> Any:
        """Return x as several models can read it: of this dtype, in this order, with its names."""
        given = self.flat(table_of(x) or x)
        matrix = as_rows(given, "x", self.dtype, self.feature_names)
        self.digits.look(matrix, given, "x", self.labels(given))
        shared = convert(matrix, self.dtype)
        return Named(shared, self.feature_names or given.labels) if isinstance(given, Table) else shared

    def labels(self, x: Any) -> Any:
        """Return what errors call the columns of x, as `inputs` returns them, if they have any names."""
        return self.feature_names or (x.labels if isinstance(x, Table) else None)

    def check_for_prediction(self, matrix: Any, x: Any) -> None:
        """Refuse NaN and infinity in a table, which pass through where an array has them; warn of lost digits."""
        if isinstance(x, Table):
            self.check_numbers(matrix, "x", None, self.labels(x))
        if self.digits.due(matrix):
            self.digits.look(matrix, x, "x", self.labels(x))

    def check_numbers(self, matrix: Any, name: str, dtype: np.dtype[Any] | None, labels: Any) -> None:
        """Refuse what the columns of x must not hold: NaN, infinity, and fractions among codes."""
        if self.kinds is None:
            check_finite(matrix, name, dtype, labels)
        else:
            check_kinds(self.kinds, matrix, name, dtype, labels)

    def adapt(self, x: Array, weights: Array | None) -> None:
        """Fit what waits for data to these, of rows with one weight or more: a training begins."""
        if any(layer.waits for layer in self.adapting):
            of_rows = None if weights is None else weights.mean(axis=1)
            adapt_row(elements(self.layers, predicting=True), x, of_rows)

    def take_names(self, x: Any) -> None:
        """Remember the names of the columns of x, if they are the first."""
        if self.feature_names is None and isinstance(x, Table):
            self.feature_names = x.names

    @property
    def memory(self) -> Memory:
        """The memory, made this tree's own where the arrays came from elsewhere."""
        if self._memory is None:
            with self._building:
                if self._memory is None:
                    self._memory = give_memory(self.all, self.dtype, self.kernels, None)
        return self._memory

    def build(self, n_in: int, seed: int, owner: object, names: Names | None = None) -> None:
        """Create the parameters for so many inputs, where there are none; after an error all is as it was."""
        with self._building:
            if self.built:
                return
            self.require_same()
            before = []
            for layer in self.all:
                own = layer.__dict__
                other = own["_owner"]() if "_owner" in own else None
                if other is not None and other is not owner:
                    raise ValueError(
                        f"{layer.title} is part of another model, which would lose it: use copy.deepcopy(layer)"
                    )
                before.append((layer, dict(own)))
            self._before = before
            try:
                check_members(self.layers)
                rng = np.random.default_rng([seed, 0])
                if self.has_columns:
                    tell_names(self.layers, names or self.feature_names)
                self._memory = build_all(self.layers, self.all, n_in, self.dtype, self.kernels, rng, ref(owner))
                self._find_kinds()
                self.built = True  # the last: other threads go by it
            except BaseException:
                self.unbuild()
                raise
        if self.precision is not None and not any(map(may_round, self.all)):
            warn(
                f"Model: precision={self.precision!r} is without effect: all products are float32, for no weights have "
                f"{kernels.WIDE} inputs and {kernels.WIDE} units or more, from which on bfloat16 gains"
            )

    def _find_kinds(self) -> None:
        if self.has_columns:
            self.kinds = kinds_of(self.layers, [NUMBER] * self.n_out)

    def own(self, owner: object) -> None:
        """Write down whose the layers are."""
        whose = ref(owner)
        for layer in self.all:
            layer.__dict__["_owner"] = whose

    @property
    def is_own(self) -> bool:
        """Whether the arrays of the layers are this tree's own, or there are none yet."""
        return self._memory is not None or not self.built

    def adopt(self, owner: object) -> None:
        """Take layers over that were built elsewhere: arrays that cannot be written to only when it is trained."""
        arrays = [array for layer in self.all for array in (*layer.parameters.values(), *layer.states.values())]
        if all(array.flags.writeable for array in arrays):
            self._memory = give_memory(self.all, self.dtype, self.kernels, None)
        for layer in self.all:
            layer.__dict__["kernels"] = self.kernels
        self.own(owner)
        self._find_kinds()
        self.built = True

    def states_with(self, other: Tree, are_mixed: bool = False) -> list[tuple[Array, Array]]:
        """Return pairs of the arrays that mean the same in two trees of the same layers, but for counters and keys.

        Raises
        ------
        ValueError
            Where the layers are others, or cannot be mixed, if they are to be.
        """
        sizes = self.sizes()
        apart = sizes.apart(other.sizes())
        if apart:
            raise ValueError(f"the other model has other layers or another dtype, expected the same: {apart}")
        pairs = [(self.memory.params, other.memory.params)]
        for mine, states in [(self.all[i], other.all[i].states) for i in sizes.with_states]:
            if are_mixed and not mine.mixes:
                raise ValueError(
                    f"soft_update: there is nothing between the packed weights of {mine.title} and others: mix the "
                    "models that were quantized, or take all over by copy_from"
                )
            pairs += [
                (array, states[name])
                for name, array in mine.states.items()
                if not mine.mixes or mine._declared[name].dtype is None
            ]
        return pairs

    def sizes(self) -> Sizes:
        """Return the dtype, and the shapes of what each layer holds."""
        if self._sizes is None or not self.built:
            self._sizes = Sizes(self.dtype.name, self.all)
        return self._sizes

    def unbuild(self) -> None:
        """Forget a build behind which something failed: the layers are as they were before it."""
        self.built, self._memory, self._sizes, self.kinds = False, None, None, None
        _put_back(self._before)

    def declared(self, n_in: int, most: int) -> list[tuple[Layer, dict[str, Declared]]]:
        """Return what all layers would declare for so many inputs. They are as before, and no memory is taken.

        A layer that looks at each of its columns may have so many at most.
        """
        with self._building:
            before = [(layer, dict(layer.__dict__)) for layer in self.all]
            try:
                for layer in self.all:
                    if isinstance(layer, ColumnLayer):
                        layer.__dict__["_most"] = most
                if self.has_columns:
                    tell_names(self.layers, self.feature_names)
                declare_all(self.layers, self.all, n_in)
                return [(layer, dict(layer._declared)) for layer in self.all]
            finally:
                _put_back(before)

    def require_same(self) -> None:
        """Raise ValueError where a layer holds others than when the model was made: nobody would train these."""
        for layer in self.all:
            if not type(layer).__module__.startswith("fastnn.") and tuple(layer.children()) != layer._children:
                raise ValueError(
                    f"{layer.title} holds other layers than when the model was made, which would not be trained: make "
                    "a new model"
                )

    def entries(self) -> list[Entry]:
        """Return all parameters, in the order in which they lie."""
        found: list[Entry] = []
        _add_entries(found, self.layers, "", True)
        return found


def _put_back(before: list[tuple[Layer, dict[str, Any]]]) -> None:
    for layer, attributes in before:
        layer.__dict__.update(attributes)  # never empty in between: others may be predicting
        for name in layer.__dict__.keys() - attributes.keys():
            del layer.__dict__[name]


def _add_entries(found: list[Entry], layers: Sequence[Layer], before: str, trains: bool) -> None:
    for i, layer in enumerate(layers):
        own = trains and layer.trainable
        for name, declared in layer._declared.items():
            if declared.role == "parameter":
                start = found[-1].stop if found else 0
                found.append(Entry(f"{before}{i}.{name}", layer, declared.kind, start, declared.shape, own))
        if layer._children:
            _add_entries(found, layer._children, f"{before}{i}.", own)


def may_round(layer: Layer) -> bool:
    """Whether a layer's weights are so wide that their products are rounded to bfloat16, where a model says so."""
    return any(array.ndim == 2 and kernels.is_wide(*array.shape) for array in layer.parameters.values())


def walk(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Yield layers and all inside them, each before what is inside it."""
    for layer in layers:
        yield layer
        yield from walk(layer._children)


def _checked(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    if not is_iterable(layers):
        raise TypeError(f"Model: layers is {shown(layers)}, expected a list of layers such as [Dense(8), Dense(1)]")
    found = tuple(layers)
    if not found:
        raise ValueError("Model: layers is empty, expected at least one layer")
    for i, layer in enumerate(found):
        _check(layer, f"layers[{i}]")
    return found


def _check(layer: object, where: str, around: tuple[Layer, ...] = ()) -> None:
    """Raise TypeError unless it is a layer whose children are all layers, and all that it holds are children."""
    if not isinstance(layer, Layer):
        raise TypeError(f"Model: {where} is {shown(layer)}, expected a layer such as Dense(8)")
    if any(layer is other for other in around):
        raise ValueError(f"Model: {where} is inside itself")
    if len(around) > _MOST_NESTED:
        raise ValueError(
            f"Model: layers are nested more than {_MOST_NESTED} deep: let some stand behind each other in one list"
        )
    children = layer.__dict__["_children"] = tuple(layer.children())
    ids = layer.__dict__["_child_ids"] = frozenset(map(id, children))
    for held in deeply_held(layer):
        if id(held) not in ids:
            raise TypeError(
                f"Model: {where}, {layer!r}, holds {held!r}, whose parameters a model would not train: "
                "let its children() return it, or hold it in an attribute, a list or a dict of the layer"
            )
    for i, child in enumerate(children):
        _check(child, f"child {i} of {where}", (*around, layer))


def deeply_held(layer: Layer) -> Iterator[Layer]:
    """Yield the layers that it holds anywhere, also where children are not looked for: in sets and other objects."""
    seen: set[int] = set()
    for name, value in vars(layer).items():
        if name not in OF_THE_CONTRACT:
            yield from _layers_in(value, seen)


def _layers_in(value: object, seen: set[int]) -> Iterator[Layer]:
    if isinstance(value, Layer):
        yield value
        return
    if isinstance(value, _PLAIN) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        items: Iterable[Any] = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = value
    elif hasattr(value, "__dict__"):
        items = vars(value).values()
    else:
        return
    for item in items:
        yield from _layers_in(item, seen)


def _label(layers: Sequence[Layer], of: str = "") -> None:
    for i, layer in enumerate(layers):
        name = type(layer).__name__
        number = f" {i + 1}" if not of or len(layers) > 1 else ""
        layer.__dict__["label"] = f"{name}{number}{f' of {of}' if of else ''}"
        if layer._children:
            _label(layer._children, layer.label)


def build_alone(layer: Layer, n_in: int, dtype: np.dtype[Any]) -> None:
    """Build a layer that no model holds."""
    settle(layer)
    build_all([layer], tuple(walk([layer])), n_in, dtype, kernels.of(dtype), np.random.default_rng(), None)


def settle(layer: Layer) -> None:
    """Write down which layers are inside a layer that no model holds."""
    _check(layer, layer.title)


def build_all(
    layers: Sequence[Layer],
    every: Sequence[Layer],
    n_in: int,
    dtype: np.dtype[Any],
    k: kernels.Kernels,
    rng: np.random.Generator,
    owner: Any,
) -> Memory:
    """Let layers in a row declare their arrays, then give memory to these."""
    declare_all(layers, every, n_in)
    memory = give_memory(every, dtype, k, rng)
    if owner is not None:
        for layer in every:
            layer.__dict__["_owner"] = owner
    return memory


def declare_all(layers: Sequence[Layer], every: Sequence[Layer], n_in: int) -> None:
    """Let layers in a row declare their arrays, for so many inputs."""
    _tell_what_follows(layers)
    for layer in layers:
        n_in = build_layer(layer, n_in)
    for layer in every:
        if not layer.n_in:
            raise ValueError(f"{layer.title}: it was not built: the layer around it must call self.build_child for it")


def _tell_what_follows(layers: Sequence[Layer]) -> None:
    """Tell each layer which activation comes behind it: the default initializer of weights depends on it."""
    row: list[Layer] = []
    _add_row(row, layers)
    following = None
    for layer in reversed(row):
        layer.__dict__["_following"] = following
        following = layer.kernel


def _add_row(row: list[Layer], layers: Sequence[Layer]) -> None:
    for layer in layers:
        elements = layer.in_a_row() if layer._children else (layer,)
        for element in elements:
            if element is layer:
                row.append(layer)
                if layer._children and len(elements) == 1:
                    for branch in layer.in_branches():
                        _tell_what_follows(branch)
            else:
                _add_row(row, (element,))


def give_memory(every: Sequence[Layer], dtype: np.dtype[Any], k: kernels.Kernels, rng: Any) -> Memory:
    """Give memory to what the layers have declared. What they hold already of the right shapes is kept.

    Without a generator, which may be None, they hold all of it.
    """
    arrays: dict[Any, list[Any]] = {None: []}  # parameters, and states by their dtypes
    for layer in every:
        own = layer.__dict__
        own["dtype"], own["kernels"], own["_gradients"] = dtype, k, {}
        for name, declared in own["_declared"].items():
            if declared.role == "parameter":
                arrays[None].append((layer, name, declared))
            elif declared.role == "state":
                arrays.setdefault(declared.dtype or dtype, []).append((layer, name, declared))
    made: dict[Any, Arena] = {}
    for key, found in arrays.items():
        shapes = []
        for _, _, declared in found:
            shapes.append(declared.shape)
        try:
            made[key] = Arena(shapes, key or dtype, padded=key is not None)
        except (MemoryError, ValueError):  # the second where NumPy cannot even count the numbers
            layer, name, declared = max(found, key=lambda one: prod(one[2].shape))
            raise MemoryError(
                f"there is no memory for {sum(map(prod, shapes)):,} numbers; the most are in {layer.title}: {name} has "
                f"shape {declared.shape}"
            ) from None
        for (layer, name, declared), view in zip(found, made[key].views, strict=True):
            _fill(layer, name, declared, view, rng)
    params = made.pop(None)
    grads = Arena([view.shape for view in params.views], dtype, padded=False)
    for (layer, name, _), view in zip(arrays[None], grads.views, strict=True):
        layer.__dict__["_gradients"][name] = view
    states = [arena.flat for arena in made.values()]
    memory = Memory(params.flat, grads.flat, states, running_of(every))
    for layer in every:
        layer.__dict__["_memory"] = memory
    return memory


def running_of(every: Sequence[Layer]) -> list[Array]:
    """Return the states of layers that are running averages over batches."""
    return [layer.__dict__[name] for layer in every for name in layer.running]


def _fill(layer: Layer, name: str, declared: Any, view: Array, rng: np.random.Generator | None) -> None:
    if layer.__dict__.get("d" + name) is not None:
        raise ValueError(f"{layer.title}: d{name} was set before the build, which makes it: set it behind backward")
    held = layer.__dict__.get(name)
    if held is None and declared.initializer is zeros:  # as memory is
        layer.__dict__[name] = view
        return
    if rng is not None:
        value = declared.initializer(declared.shape, rng)
        if np.shape(value) != declared.shape:
            raise ValueError(
                f"{layer.title}: the initializer of {name} returned shape {np.shape(value)}, expected {declared.shape}"
            )
    if held is not None:
        value = as_array(held, f"{layer.title}: {name}", may_miss=False)
        if value.shape != declared.shape:
            raise ValueError(f"{layer.title}: {name} has shape {value.shape}, expected {declared.shape} here")
    value = np.asarray(value)
    require_real(value, f"{layer.title}: {name} begins with")
    copy_into(view, value)
    if held is None and declared.role == "parameter" and not all_finite(view):
        raise ValueError(f"{layer.title}: {name} begins with numbers that are NaN or too large for {view.dtype}")
    layer.__dict__[name] = view

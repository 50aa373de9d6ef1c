"""The averages that the predictions of a model are of, while its optimizer keeps some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from fastnn._core.tape import Tape, copy_arrays
from fastnn.arena import Array
from fastnn.arrays import copy_into
from fastnn.layers.chain import Chain
from fastnn.layers.contract import Layer
from fastnn.layers.elements import elements
from fastnn.layers.shadows import follow, shadows
from fastnn.layers.tree import Tree, running_of, walk
from fastnn.optimizers import Optimizer
from fastnn.optimizers.averages import averages_of, views_of
from fastnn.training.state import State

if TYPE_CHECKING:
    from fastnn._core.team import Team


class Averages:
    """What the predictions of one model are of.

    Parameters
    ----------
    tree : Tree
    state : State
        Of which the averages are a part: what the optimizer remembers.
    """

    def __init__(self, tree: Tree, state: State) -> None:
        self._tree, self._state = tree, state
        self._layers: tuple[Layer, ...] | None = None
        self._read: Array | None = None  # what these layers read
        self._statistics: Statistics | None = None
        self._of: tuple[int, object] = 0, None  # batches of how many rows, and what layers

    @property
    def optimizer(self) -> Optimizer | None:
        """The one of the last step, where it averages parameters."""
        return self._state.averaging

    @property
    def arrays(self) -> dict[str, Array]:
        """What the optimizer remembers: nothing where there is none."""
        return self._state.memories.get(self.optimizer) or {}

    @property
    def layers(self) -> tuple[Layer, ...] | None:
        """The layers that hold the averages; None where there are none."""
        if self.optimizer is None or not self.arrays:
            return None
        average = self.arrays[self.optimizer._averaged]
        if self._layers is None or self._read is not average:
            self._layers, self._read = shadows(self._tree.layers, self._places()), average
        return self._layers

    @property
    def params(self) -> Array | None:
        """The averages of all parameters, flat; None where there are none."""
        if self.optimizer is None or not self.arrays:
            return None
        return self.arrays[self.optimizer._averaged].reshape(-1)

    def _places(self) -> dict[int, Array]:
        """Return where the average of each array of the layers lies, by the id of that."""
        assert self.optimizer is not None
        tree = self._tree
        parameters = [array for layer in tree.all for array in layer.parameters.values()]
        found: dict[int, Array] = {}
        for flat, arrays in (
            (self.arrays[self.optimizer._averaged], parameters),
            (self.arrays.get("average.running"), running_of(tree.all)),
        ):
            if flat is not None:
                found.update(zip(map(id, arrays), views_of(flat, arrays), strict=True))
        return found

    def follow(self, optimizer: Optimizer | None) -> None:
        """Be of this optimizer from now on: what it has averaged is of no use where others took steps since then."""
        if optimizer is not None and optimizer is not self.optimizer:
            memory, arrays = self._tree.memory, self._state.memories.get(optimizer)
            assert arrays is not None
            optimizer.begin_average(arrays, memory.params, memory.running)
        self._state.averaging = optimizer

    def forget(self) -> None:
        """Forget the arrays of the layers, which have been replaced."""
        self._layers = self._statistics = None

    def written(self, *views: Array) -> None:
        """Write what somebody has written into arrays of layers into the averages, too."""
        if self.optimizer is None:
            return
        memory, arrays = self._tree.memory, self.arrays
        pairs = [(arrays[name], memory.params) for name in self.optimizer._positions]
        pairs += averages_of(memory.running, arrays)
        for view in views:
            for average, own in pairs:
                start = (view.ctypes.data - own.ctypes.data) // own.itemsize
                if 0 <= start < own.size and view.dtype == own.dtype:
                    average.reshape(-1)[start : start + view.size] = view.reshape(-1)

    @property
    def refreshes(self) -> bool:
        """Whether what is averaged needs `refresh`."""
        optimizer = self.optimizer
        return optimizer is not None and optimizer.refreshes and bool(self._tree.memory.running)

    def refresh(self, batches: Iterable[Array], rows: int, team: Team) -> None:
        """Compute the running averages of layers anew, over these batches of so many rows at most."""
        layers = self.layers
        if self._statistics is None or self._of != (rows, layers):
            self._statistics, self._of = Statistics(self._tree, self._places(), rows), (rows, layers)
        self._statistics.compute(batches, team)

    def require(self) -> None:
        """Raise RuntimeError unless there are averages."""
        if self.optimizer is None:
            raise RuntimeError(
                "use_averages: the last step has averaged nothing: train with an optimizer that does, such as "
                "Adam(average=EMA(0.999))"
            )

    def use(self) -> None:
        """Write the averages into the parameters and the states of layers, and be of nothing from now on."""
        places = self._places()
        targets = [array for layer in self._tree.all for array in (*layer.parameters.values(), *layer.states.values())]
        targets = [array for array in targets if id(array) in places]
        copy_arrays(targets, [places[id(array)] for array in targets])
        self._state.averaging = None


class Statistics:
    """The running averages of layers whose parameters are averages: means over the batches of a pass over data.

    They are what ``torch.optim.swa_utils.update_bn`` computes: layers run as in a training, and batches count alike.

    Parameters
    ----------
    tree : Tree
    places : dict of ndarray
        Where the averages of parameters and of these running averages lie, by the ids of the arrays of the layers.
    rows : int
        Of a batch.
    """

    def __init__(self, tree: Tree, places: dict[int, Array], rows: int) -> None:
        others = [array for layer in tree.all for array in layer.states.values() if id(array) not in places]
        self._states = [(array, array.copy()) for array in others]  # of a pass: it moves none of the training's
        layers = shadows(tree.layers, {**places, **{id(array): own for array, own in self._states}})
        self._all, self._part = tuple(walk(layers)), np.ones(1)
        for layer in self._all:
            if layer.running:
                object.__setattr__(layer, "_cells", {**layer._cells, "momentum": self._part})
        self._chain = Chain(elements(layers), tree.n_in, tree.dtype)
        self._memory = self._chain.memory(rows, train=False)
        self._recorded: dict[int, tuple[Array, Tape]] = {}

    def compute(self, batches: Iterable[Array], team: Team) -> None:
        """Go over the batches once."""
        for layer in self._all:
            follow(layer)
        for array, own in self._states:
            own[...] = array
        for i, batch in enumerate(batches):
            given, tape = self._recorded.get(len(batch)) or self._record(len(batch))
            copy_into(given, batch)
            self._part[0] = 1 / (i + 1)
            tape.replay(team=team)

    def _record(self, rows: int) -> tuple[Array, Tape]:
        memory, tape = self._memory.first(rows), Tape()
        self._chain.forward(memory, tape)
        self._chain.after_batch(memory, tape)
        self._recorded[rows] = memory.activations[0], tape
        return self._recorded[rows]

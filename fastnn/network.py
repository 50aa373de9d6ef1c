"""What a model holds: layers in a row, their memory and their state, and copies of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, NoReturn, TypeVar
from weakref import ref

import numpy as np
from numpy.typing import ArrayLike

from fastnn import losses, threads
from fastnn.arena import Array, Memory
from fastnn.arrays import as_array, convert, copy_into
from fastnn.checks import checked_dtype, checked_precision, checked_seed, count, is_iterable, number, number_of, shown
from fastnn.constraints import Constraint
from fastnn.inference import Predictors
from fastnn.inspection.check import Check
from fastnn.inspection.lines import amount_in, computed_in
from fastnn.inspection.probe import Probe
from fastnn.inspection.summary import Summary
from fastnn.layers.containers import Row
from fastnn.layers.contract import Layer
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.penalties import Penalty
from fastnn.signatures import REQUIRED, closed, lacking, refused
from fastnn.tables import Table, table_of
from fastnn.training.history import History
from fastnn.training.restraints import Restraints
from fastnn.training.state import Snapshot, approach
from fastnn.training.trainer import Trainer
from fastnn.words import reason

Self = TypeVar("Self", bound="Network")
_SETTABLE = {"params", "grads", "loss", "optimizer", "penalties", "constraints", "class_names"}


class Network(Row):
    """Layers in a row with their memory: what `Model` trains and runs."""

    _class_names: tuple[str, ...] | None = None

    @closed
    def __init__(
        self,
        layers: Iterable[Layer] = REQUIRED,
        seed: int | None = None,
        dtype: Any = "float32",
        *,
        penalties: Iterable[str | Penalty] | str | Penalty | None = (),
        constraints: Iterable[str | Constraint] | str | Constraint | None = (),
        precision: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        if unknown:
            raise refused("Model", Network.__init__, unknown)
        if layers is REQUIRED:
            raise lacking("Model", ["layers"])
        threads.register()
        threads.asked()
        dtype = checked_dtype(dtype)
        self._tree = Tree(layers, dtype, checked_precision(precision, dtype))
        self._seed = checked_seed(seed)
        self._restraints = Restraints(penalties, constraints)
        self._begin()
        self._trainer = Trainer(self._tree, self._predictors, self._seed, ref(self), self._restraints)

    def _begin(self) -> None:
        self._predictors = Predictors(self._tree)

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and name not in _SETTABLE and type(self).__module__.startswith("fastnn."):
            if name in ("layers", "dtype", "seed", "precision"):
                hint = "it is fixed: make a new Model"
            else:
                hint = reason("Model", name, _SETTABLE) or f"it has {', '.join(sorted(_SETTABLE))}"
            raise AttributeError(f"Model: {name} cannot be set: {hint}")
        object.__setattr__(self, name, value)

    @property
    def layers(self) -> tuple[Layer, ...]:  # type: ignore[override]
        """The layers, in order."""
        return self._tree.layers

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the parameters and of all computation."""
        return self._tree.dtype

    @property
    def precision(self) -> str | None:
        """That of products where it is not of the dtype: "bf16"."""
        return self._tree.precision

    @property
    def seed(self) -> int:
        """What decides the first weights and the order of rows."""
        return self._seed

    @property
    def loss(self) -> Loss | None:
        """The loss of the last training, and of the next one if no other is named."""
        return self._trainer.loss

    @loss.setter
    def loss(self, loss: str | Loss | None) -> None:
        self._trainer.loss = None if loss is None else losses.get(loss)

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer of the last training, and of the next one if no other is named."""
        return self._trainer.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: str | Optimizer | None) -> None:
        self._trainer.optimizer = None if optimizer is None else self._trainer.choose_optimizer(optimizer)

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """What is added to the loss for the size of parameters; it may be set at any time."""
        return self._restraints.penalties  # type: ignore[no-any-return]

    @penalties.setter
    def penalties(self, penalties: Iterable[str | Penalty] | str | Penalty | None) -> None:
        self._restraints.penalties = penalties

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The sets to which parameters are brought back behind each step; they may be set at any time."""
        return self._restraints.constraints  # type: ignore[no-any-return]

    @constraints.setter
    def constraints(self, constraints: Iterable[str | Constraint] | str | Constraint | None) -> None:
        self._restraints.constraints = constraints

    def penalty(self) -> float:
        """Return what the penalties add to the loss, with the parameters as they are now."""
        self._require_built()
        self._own()
        return self._restraints.value(self._tree)

    @property
    def history(self) -> History:
        """That of the last fit; also after an interruption."""
        return self._trainer.history

    @property
    def built(self) -> bool:
        """Whether the number of inputs is known and the parameters exist."""
        return self._tree.built

    def build(self: Self, n_in: int) -> Self:
        """Create the parameters for `n_in` inputs; the first data do so otherwise."""
        n_in, tree = count("Model: n_in", n_in), self._tree
        if not tree.built:
            tree.build(n_in, self._seed, self)
        if n_in != tree.n_in:
            raise ValueError(f"Model: already built for {tree.n_in} features, got {n_in}")
        return self

    def _build_for(self, matrix: Any, x: Any, has_to_be_checked: bool, out: Any = None, n_dims: int = 2) -> None:
        """Build for rows that are made of x, and check these: a model that was not built is not where they fail.

        So it is with `out`, into which the outputs are to be written, those for one row in one dimension or in two.
        """
        tree, was_built = self._tree, self._tree.built
        if not was_built:
            tree.build(matrix.shape[1], self._seed, self, x.names if isinstance(x, Table) else None)
        if has_to_be_checked or out is not None:
            try:
                if has_to_be_checked:
                    tree.check_for_prediction(matrix, x)
                if out is not None:
                    self._predictors.require_out(out, (len(matrix), tree.n_out)[-n_dims:])
            except BaseException:
                if not was_built:
                    tree.unbuild()
                raise

    @property
    def n_in(self) -> int:
        """The number of inputs: 0 until the model is built."""
        return self._tree.n_in

    @property
    def n_out(self) -> int:
        """The number of outputs: 0 until the model is built."""
        return self._tree.n_out

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns of x, from the first data frame that had names; None without one.

        Columns of later frames are taken by their names, whatever their order; those of arrays by their place.
        """
        return self._tree.feature_names

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called, in the order of the outputs: for people, pictures and files; None if not set.

        A net of one output has two classes: what is below 0.5, and what is above.
        """
        return self._class_names

    @class_names.setter
    def class_names(self, names: Iterable[str] | None) -> None:
        found: tuple[Any, ...] = (names,)
        if names is not None and is_iterable(names) and not isinstance(names, str):
            found = tuple(names)
        if names is not None and not all(isinstance(name, str) for name in found):
            raise TypeError(f"Model: class_names is {shown(names)}, expected a list of texts, one for each class")
        if names is not None and self.n_out and len(found) != max(self.n_out, 2):
            expected = max(self.n_out, 2)
            raise ValueError(f"Model: class_names has {number_of(len(found), 'name')}, expected {expected}")
        object.__setattr__(self, "_class_names", None if names is None else found)

    @property
    def n_parameters(self) -> int:
        """The number of parameters."""
        return self.params.size

    @property
    def params(self) -> Array:
        """All parameters, flat."""
        self._require_built()
        return self._own().params

    @params.setter
    def params(self, values: ArrayLike) -> None:
        _fill("params", self.params, values)
        self._written(self.params)

    @property
    def grads(self) -> Array:
        """The gradients of all parameters, flat: of the last `backward`, `train_batch` or `fit`.

        A step leaves them as the optimizer's clipping and accumulation have made them.

        Raises
        ------
        RuntimeError
            Where `fit` has not stored them: the optimizer was plain SGD and batches were small, so that it changed the
            parameters in the same pass as it computed gradients.
        """
        self._require_built()
        memory = self._own()
        if memory.without_gradients is not None:
            raise RuntimeError(f"no gradients: {memory.without_gradients}")
        return memory.grads

    @grads.setter
    def grads(self, values: ArrayLike) -> None:
        self._require_built()
        memory = self._own()
        _fill("grads", memory.grads, values)
        memory.without_gradients = None

    def _require_built(self) -> None:
        if not self._tree.built:
            raise RuntimeError("the model has no parameters yet: call build(n_in), fit or predict first")

    def _own(self) -> Memory:
        """Return the memory: the model's own from now on, where the arrays were those of a file or another process."""
        tree = self._tree
        if not tree.is_own:
            tree.memory  # noqa: B018 - taken over here
            self._begin()
            self._trainer.own(self._predictors)
        return tree.memory

    def _written(self, *arrays: Array) -> None:
        """Let averages hold what somebody has written into arrays of layers."""
        self._trainer.averages.written(*arrays)

    def snapshot(self) -> Snapshot:
        """Return a copy of all that training changes: for `restore`.

        That are the parameters, the states of layers, what optimizers remember, and what randomness follows from.
        """
        self._require_built()
        trainer = self._trainer
        return trainer.claim.run(Snapshot, trainer.state, self._own(), self._tree.sizes())

    def restore(self, snapshot: Snapshot) -> None:
        """Put a snapshot of this model, or of one of the same sizes, back.

        What an optimizer remembers that has been used only since then begins anew.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"restore: got {type(snapshot).__name__}, expected what snapshot() returns")
        self._require_built()
        self._trainer.claim.run(self._trainer.restore, snapshot, self._own(), self._tree.sizes())

    def copy_from(self, other: Network) -> None:
        """Take over the parameters and the states of layers of a model of the same layers.

        Where the other one predicts with averages (see `use_averages`), these are not among them.
        """
        self._approach(other, 1.0)

    def soft_update(self, other: Network, tau: float) -> None:
        """Come nearer to the parameters and states of another model: p += tau * (those of `other` - p).

        Parameters
        ----------
        other : Model
            Of the same layers.
        tau : float
            From 0 to 1: 1 is `copy_from`.
        """
        part = number("soft_update: tau", tau)
        if part > 1:
            raise ValueError(f"soft_update: tau is {tau}, expected a number from 0 to 1")
        self._approach(other, part)

    def _approach(self, other: Network, part: float) -> None:
        if not isinstance(other, Network):
            raise TypeError(f"got {shown(other)}, expected a Model of the same layers")
        other._require_built()
        if not self.built:
            self._tree.build(other.n_in, self._seed, self)
            try:
                self._tree.states_with(other._tree, part < 1)
            except ValueError:
                self._tree.unbuild()
                raise
        self._own()
        other._own()
        pairs = self._tree.states_with(other._tree, part < 1)
        other._trainer.claim.run(self._trainer.claim.run, approach, pairs, part)
        self._written(*[array for array, _ in pairs])
        self._tree.feature_names = self._tree.feature_names or other._tree.feature_names

    def use_averages(self) -> None:
        """Write the averages that predictions are of into the parameters, for good: to save or to deploy the model.

        The running averages of `BatchNorm` become those of the averages. A training behind it begins its averages anew.

        Raises
        ------
        RuntimeError
            Where the optimizer of the last step keeps no average.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import EMA, Adam, Dense, Model
        >>> x = np.linspace(-1, 1, 50)[:, None]
        >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
        >>> history = net.fit(x, x**2, "mse", Adam(0.01, average=EMA(0.98)), epochs=50)
        >>> predicted, params = net.predict(x), net.params.copy()
        >>> net.use_averages()
        >>> bool((net.params != params).any()), bool((net.predict(x) == predicted).all())
        (True, True)
        """
        self._require_built()
        self._own()
        self._trainer.claim.run(self._trainer.use_averages)

    def save(self, path: str | PathLike[str], custom: Mapping[str, Any] | None = None) -> None:
        """Write the model to a file of safetensors that `fastnn.load` reads, with all that a training needs to go on.

        Parameters
        ----------
        path : str or path
            It is replaced as a whole: whoever is killed meanwhile, or runs out of space, leaves the old file.
        custom : dict or None
            Names for functions of your own that have none, such as lambdas; `fastnn.load` is given all of your own.

        Raises
        ------
        TypeError, ValueError, OSError
            For what no file can hold, as more than some 600 layers, and where it cannot be written.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.Model([fastnn.Dense(8, "relu"), fastnn.Dense(1)], seed=0).build(4).save("net.safetensors")
        >>> fastnn.load("net.safetensors")
        <Model: Dense(8, 'relu'), Dense(1); 4 inputs, 49 parameters, float32>
        """
        from fastnn.formats import save

        save(self, path, custom)

    def __copy__(self: Self) -> Self:
        """Return a model of its own: one that shared the layers would take them from this one."""
        from copy import deepcopy  # only here: what is rarely needed does not make every import longer

        return deepcopy(self)

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        """Return a copy of one state: no other thread takes a step before the last array is copied."""
        copied: Self = self._trainer.claim.run(_copied, self, memo)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process: memory as a whole, tapes, plans. Each array is stored once."""
        state: dict[str, Any] = self._trainer.claim.run(self._state)
        return state

    def _state(self) -> dict[str, Any]:
        trainer = self._trainer.__getstate__()
        tree = self.layers, self.dtype, self.feature_names, self.precision
        return {**self.__dict__, "_tree": tree, "_trainer": trainer, "_predictors": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the arrays over: those that cannot be written to when it is trained, and until then where they lie."""
        threads.asked()
        layers, dtype, names, *precision = state["_tree"]
        object.__setattr__(self, "_tree", Tree(layers, dtype, *precision))
        self._tree.feature_names = names
        self.__dict__.update((name, value) for name, value in state.items() if name not in ("_tree", "_trainer"))
        self._begin()
        self._trainer = Trainer(self._tree, self._predictors, self._seed, ref(self), self._restraints)
        self._trainer.__setstate__(state["_trainer"])
        if layers[-1].n_out:
            self._tree.adopt(self)
            self._predictors.read(self._trainer.averages.layers)

    def forward(self, x: ArrayLike) -> Array:
        """Return the outputs (rows, n_out) for x (rows, n_in), as in training, and keep what `backward` needs.

        A layer such as `Dropout` computes what it computes in training: `predict` is for outputs alone. Without a step
        between them, forwards belong to one batch: they leave out the same numbers, and the step counts the last one.
        """
        tree, given = self._tree, table_of(x) or x
        matrix = tree.inputs(given)
        self._build_for(matrix, given, given is not x)
        self._own()
        if tree.adapting:
            tree.adapt(convert(matrix, tree.dtype), None)
        outputs = self._trainer.claim.run(self._trainer.passes().forward, matrix)
        tree.take_names(given)
        return outputs

    def backward(self, dy: ArrayLike) -> Array:
        """Write the gradients of the parameters for the last `forward`, and return that of x.

        Those of the model's penalties are added; their value is ``net.penalty()``.

        Parameters
        ----------
        dy : array_like of shape (rows, n_out)
            The gradient of what is made small with respect to the outputs.
        """
        self._trainer.require_derivatives()
        if not self.built:
            raise RuntimeError("backward needs a forward before it")
        return self._trainer.claim.run(self._trainer.passes().backward, dy)

    def step(self, optimizer: Optimizer | None = None) -> None:
        """Take one step of an optimizer on the gradients as they are: ``optimizer.step(net)`` is the same.

        Parameters
        ----------
        optimizer : Optimizer or None
            None is that of the last training.
        """
        self._require_built()
        self._own()
        self._trainer.claim.run(self._trainer.step, optimizer)

    def summary(self) -> None:
        """Print a table of the layers, their outputs, parameters and multiply-adds, and what runs of them.

        Below it stand what a prediction of one row computes, what memory is used, which layers run in one kernel, which
        are frozen, and what is computed differently in predictions. Multiply-adds are those of products with weights.
        """
        print(Summary(self._tree, self._trainer).text())

    def _repr_html_(self) -> str:
        return Summary(self._tree, self._trainer).html()

    def check(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Check:
        """Run one batch as in training, and say of each layer what goes through it, and what looks wrong.

        Nothing of the model changes: copies of its layers run, with the same `Dropout` as the next batch would have.

        Parameters
        ----------
        x, y, loss, sample_weight
            As in `fit`: a few hundred rows are enough. All are one batch.

        Returns
        -------
        Check
            It shows itself as a table; ``check.findings`` says in words what looks wrong and what to do.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Model
        >>> x = np.random.default_rng(0).normal(50, 20, size=(200, 3))  # not scaled
        >>> net = Model([Dense(16, "relu"), Dense(1)], seed=0)
        >>> print(net.check(x, x[:, :1] / 50, "mse").findings[0].what)
        columns 0, 1, 2 of x are not scaled: column 1 has mean 50... and standard deviation 19...
        """
        return Check(Probe(self, x, y, loss, sample_weight))

    def __repr__(self) -> str:
        size = f"{self.n_in} inputs, {amount_in(self._tree)}" if self.built else "not built yet"
        more = "".join(f"; {line}" for line in self._restraints.lines())
        return f"<Model: {', '.join(map(repr, self.layers))}; {size}, {computed_in(self._tree)}{more}>"


def _fill(name: str, array: Array, values: ArrayLike) -> None:
    given = as_array(values, f"Model: {name}", may_miss=False)
    if given.shape not in ((), array.shape):
        raise ValueError(f"Model: {name} has shape {array.shape}, got values of shape {given.shape}")
    copy_into(array, given)


def _copied(model: Any, memo: dict[int, Any]) -> Any:
    """Return a deep copy of a model, as `copy.deepcopy` makes one of what has no way of its own."""
    from copy import deepcopy

    make, given, state, *_ = model.__reduce_ex__(4)
    made = memo[id(model)] = make(*given)
    made.__setstate__(deepcopy(state, memo))
    return made

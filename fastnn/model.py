"""The model: layers in a row, trained and run."""

from __future__ import annotations

from _thread import RLock, get_ident
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from fastnn import losses, optimizers, threads
from fastnn._core.team import Team
from fastnn.arena import Array, Workspace
from fastnn.callbacks import Callback
from fastnn.data import as_array, as_matrix, as_rows, as_weights, check_finite, check_lengths, convert, copy_into
from fastnn.history import History
from fastnn.inference import Predictor
from fastnn.layer import Chain, Layer, bind, build_layers
from fastnn.losses import Loss
from fastnn.names import count
from fastnn.optimizers import Optimizer
from fastnn.plan import Constants
from fastnn.progress import Progress
from fastnn.selfcheck import check_recordable
from fastnn.training import Training, run_epochs

if TYPE_CHECKING:
    from threading import Event

_SEEDS_APART = 1_000_003  # fits of one model shuffle by neighbouring seeds, and models by distant ones


class Model:
    """Layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        Each reads what the one before it puts out. The number of inputs is learnt from the first data.
    seed : int or None
        Decides the first weights and the order of rows: the same seed gives the same bits. None draws one.
    dtype : {"float32", "float64"}
        Of the parameters and of all computation.

    Attributes
    ----------
    layers : tuple of Layer
    params, grads : ndarray of shape (n_parameters,)
        All parameters and their gradients. ``layer.w``, ``layer.dw`` etc. are views into them.
    history : History
        Of the last fit; also after an interruption.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Model, Dense, Softmax
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> labels = np.array([0, 1, 1, 0])
    >>> net = Model([Dense(8, "tanh"), Dense(2), Softmax()], seed=0)
    >>> history = net.fit(x, labels, loss="cross_entropy", optimizer="adam", epochs=1000, batch_size=4)
    >>> net.predict(x).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    def __init__(self, layers: Sequence[Layer], seed: int | None = None, dtype: Any = "float32") -> None:
        if not isinstance(layers, Iterable):
            raise TypeError(f"Model: layers is {layers!r}, expected a list of layers such as [Dense(8), Dense(1)]")
        self.layers = tuple(layers)
        if not self.layers:
            raise ValueError("Model: layers is empty, expected at least one layer")
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Model: layers[{i}] is {layer!r}, expected a layer such as Dense(8)")
            inner = [
                value for value in vars(layer).values() if isinstance(value, Layer) and value not in layer.stages()
            ]
            if inner:
                raise TypeError(
                    f"Model: layers[{i}], {layer!r}, holds {inner[0]!r}, whose parameters a model would not train: "
                    "put layers into the model's list, and parameters into build"
                )
        stages = [stage for layer in self.layers for stage in layer.stages()]
        if len({id(stage) for stage in stages}) < len(stages):
            raise ValueError("Model: the same layer stands in it twice, expected a new layer in every place")
        try:
            self.dtype = np.dtype(object if dtype is None else dtype)
        except TypeError:
            self.dtype = np.dtype(object)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"Model: dtype is {dtype!r}, expected 'float32' or 'float64'")
        try:
            self.seed = int(np.random.SeedSequence().entropy) % 2**63 if seed is None else index(seed)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"Model: seed is {seed!r}, expected a whole number >= 0 or None") from None
        if self.seed < 0:
            raise ValueError(f"Model: seed is {seed}, expected a whole number >= 0")
        for i, layer in enumerate(self.layers):
            layer.label = f"{type(layer).__name__} {i + 1}"
            for stage in layer.stages():
                stage.label = layer.label if stage is layer else f"{type(stage).__name__} of {layer.label}"
        self.loss: Loss | None = None
        self.optimizer: Optimizer | None = None
        self.history = History()
        self._fits = 0
        self._trainer = 0  # the thread that fits
        self._state: optimizers.State = {}
        self._state_of: Optimizer | None = None
        self._params: Array | None = None
        self._grads: Array | None = None
        self._forget()

    # -- memory -------------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Drop what was made for the present memory."""
        self._building = RLock()  # several threads may need the model for the first time
        self._parts: tuple[Layer, ...] = ()  # the stages of all layers, once they are built
        self._chain: Chain | None = None
        self._predictor: Predictor | None = None
        self._predictor_without_last: Predictor | None = None  # for losses that contain the last stage
        self._training: Training | None = None
        self._training_of: tuple[Any, ...] = ()  # the loss, the optimizer, and whether there are weights
        self._eager: Workspace | None = None

    @property
    def built(self) -> bool:
        """Whether the number of inputs is known and the parameters exist."""
        return self._params is not None

    def build(self, n_in: int) -> Model:
        """Create the parameters for `n_in` inputs; the first data do so otherwise."""
        n_in = count("Model: n_in", n_in)
        with self._building:
            if self._params is None:
                self._build(n_in)
        if n_in != self.n_in:
            raise ValueError(f"Model: already built for {self.n_in} features, got {n_in}")
        return self

    def _build(self, n_in: int) -> None:
        for stage in self._stages():
            owner = stage._owner and stage._owner()
            if owner is not None and owner is not self:
                raise ValueError(
                    f"{stage.title} is part of another model, which would lose it: use copy.deepcopy(layer)"
                )
        with _Unchanged(self):
            rng = np.random.default_rng([self.seed, 0])
            params, self._grads = build_layers(self.layers, n_in, self.dtype, rng)
            self._adopt()
            self._params = params  # the last: other threads go by it

    def _adopt(self) -> None:
        """Make the built layers this model's own."""
        self._parts = tuple(self._stages())
        self._chain = Chain(self._parts)
        for stage in self._parts:
            stage._owner = ref(self)

    def _stages(self) -> Sequence[Layer]:
        return self._parts or [stage for layer in self.layers for stage in layer.stages()]

    @property
    def n_in(self) -> int:
        """The number of inputs: 0 until the model is built."""
        return self._stages()[0].n_in

    @property
    def n_out(self) -> int:
        """The number of outputs: 0 until the model is built."""
        return self._stages()[-1].n_out

    @property
    def n_parameters(self) -> int:
        """The number of parameters."""
        return self.params.size

    @property
    def params(self) -> Array:
        """All parameters, flat."""
        return self._built(self._params)

    @params.setter
    def params(self, values: ArrayLike) -> None:
        _fill("params", self.params, values)

    @property
    def grads(self) -> Array:
        """The gradients of all parameters, flat: of the last `backward` or `train_batch`.

        `fit` writes them too, unless the optimizer is plain SGD and batches are small: it then changes the parameters
        without storing gradients, and what is here is older.
        """
        return self._built(self._grads)

    @grads.setter
    def grads(self, values: ArrayLike) -> None:
        _fill("grads", self.grads, values)

    def _built(self, array: Array | None) -> Array:
        if array is None:
            raise RuntimeError("the model has no parameters yet: call build(n_in), fit or predict first")
        return array

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process: tapes and workspaces."""
        without = (
            "_building", "_parts", "_chain", "_predictor", "_predictor_without_last", "_training", "_training_of",
            "_eager", "_trainer",
        )  # fmt: skip
        return {name: value for name, value in self.__dict__.items() if name not in without}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the layers' arrays views into the flat ones again: a copy tears them apart."""
        self.__dict__.update(state)
        self._trainer = 0
        self._forget()
        if self._params is None or self._grads is None:
            return
        at = 0
        for stage in self._stages():
            bind(stage)
            for name, parameter in stage._declared.items():
                size = int(np.prod(parameter.shape))
                for key, flat in ((name, self._params), ("d" + name, self._grads)):
                    stage.__dict__[key] = flat[at : at + size].reshape(parameter.shape)
                at += size
        self._adopt()

    # -- one pass -----------------------------------------------------------------------------------------------------

    def _inputs(self, x: ArrayLike) -> Array:
        """Return x as (rows, n_in), of any dtype, not yet checked for NaN, and without a build."""
        matrix = as_rows(x, "x")
        if matrix.shape[1] == 0:
            raise ValueError(f"x has shape {matrix.shape}, expected at least one column")
        if self._parts:
            self._parts[0].expect_features(matrix)
        return matrix

    def _data(self, x: ArrayLike) -> Array:
        """Return x as (rows, n_in), of any dtype, with rows and without NaN."""
        matrix = self._inputs(x)
        if len(matrix) == 0:
            raise ValueError("x has no rows, expected at least one")
        check_finite(matrix, "x", self.dtype)
        return matrix

    def forward(self, x: ArrayLike) -> Array:
        """Return the outputs (rows, n_out) for x (rows, n_in), and keep what `backward` needs."""
        matrix = self._inputs(x)
        self.build(matrix.shape[1])
        assert self._chain is not None
        self._eager = self._chain.workspace(len(matrix), input_gradient=True)
        copy_into(self._eager.activations[0], matrix)
        self._chain.forward(self._eager)
        return self._eager.activations[-1].copy()

    def backward(self, dy: ArrayLike) -> Array:
        """Write the gradients of the parameters for the last `forward`, and return that of x.

        Parameters
        ----------
        dy : array_like of shape (rows, n_out)
            The gradient of what is made small with respect to the outputs.
        """
        if self._eager is None or self._chain is None:
            raise RuntimeError("backward needs a forward before it")
        self._require_derivatives()
        return self._chain.backward_of(self._eager, dy, "Model")

    def predict(self, x: ArrayLike, batch_size: int | None = None, n_threads: int | None = None) -> Array:
        """Return the outputs for x; ``net(x)`` is the same.

        Parameters
        ----------
        x : array_like of shape (rows, n_in)
        batch_size : int or None
            How many rows are computed at a time: it bounds the memory, and changes no bit. None chooses as many as
            stay in the processor's cache.
        n_threads : int or None
            How many threads compute blocks at the same time. None decides it from the work. Layers from outside this
            package are run by one: they may remember what they saw.

        Returns
        -------
        ndarray of shape (rows, n_out)

        Raises
        ------
        ValueError, TypeError
            For data of a wrong shape or kind.

        Notes
        -----
        Any number of threads may call it at once. Data of another dtype are converted block by block.
        """
        if self._predictor is not None and type(x) is ndarray and batch_size is n_threads is None:
            y = self._predictor.of_row(x, 2)  # the usual call for one row: it has to be fast
            if y is not None:
                return y
        matrix = self._inputs(x)
        rows = None if batch_size is None else count("batch_size", batch_size)
        threads.check(n_threads)
        self.build(matrix.shape[1])
        return self._current_predictor().some(matrix, rows, n_threads)

    __call__ = predict

    def predict_one(self, row: ArrayLike) -> Array:
        """Return the outputs for one row: as `predict`, in less time.

        Parameters
        ----------
        row : array_like of shape (n_in,)

        Returns
        -------
        ndarray of shape (n_out,)

        Raises
        ------
        ValueError, TypeError
            For data of a wrong shape or kind.
        """
        if self._predictor is not None and type(row) is ndarray:
            y = self._predictor.of_row(row, 1)
            if y is not None:
                return y
        array = as_array(row, "row")
        if array.ndim != 1 or array.size != (self.n_in or array.size):
            expected = f"({self.n_in},)" if self.built else "one dimension (n_in,)"
            raise ValueError(f"row has shape {array.shape}, expected {expected}; predict takes several rows")
        outputs: Array = self.predict(array[None, :])[0]
        return outputs

    def _current_predictor(self, without_last: bool = False) -> Predictor:
        """Return what computes the outputs of all stages, or of all but the last, as they are now."""
        predictor = self._predictor_without_last if without_last else self._predictor
        if predictor is None or not predictor.is_current():
            predictor = Predictor(Chain(self._parts[:-1] if without_last else self._parts))
            if without_last:
                self._predictor_without_last = predictor
            else:
                self._predictor = predictor
        return predictor

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | None = None,
        sample_weight: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> dict[str, float]:
        """Return the loss on other data and, for a cross-entropy, the accuracy.

        Parameters
        ----------
        x, y
            As in `fit`.
        loss : str, Loss or None
            None takes that of the last training, or what fits the last activation.
        sample_weight : array_like of shape (rows,) or None
            Of the loss; the accuracy is not weighted.
        batch_size : int or None
            How many rows are computed at a time; None chooses, as in `predict`.

        Returns
        -------
        dict
            {"loss": ...}, with "accuracy" for a cross-entropy.
        """
        matrix = self._data(x)
        rows = None if batch_size is None else count("batch_size", batch_size)
        used = self._choose_loss(loss)
        with _Unchanged(self):
            self.build(matrix.shape[1])
            trained, without_last = used.for_end(self._parts[-1], droppable=len(self._parts) > 1)
            target = used.targets(y, self.n_out, self.dtype)
            check_lengths(len(matrix), target, "y")
            weight = self._weights(sample_weight, len(matrix), used)
        return self._evaluate(trained, without_last, matrix, target, weight, rows)

    def _evaluate(
        self,
        loss: Loss,
        without_last: bool,
        x: Array,
        target: Array,
        weight: Array | None,
        rows: int | None,
        n_threads: int | None = None,
    ) -> dict[str, float]:
        y, value = self._current_predictor(without_last).some(x, rows, n_threads), np.empty(1)
        target = np.ascontiguousarray(target)
        loss._value_and_grad(y, target, weight, None, value, None)
        return {"loss": float(value[0]), **loss.metrics(y, target)}

    # -- training -----------------------------------------------------------------------------------------------------

    def _choose_loss(self, loss: str | Loss | None) -> Loss:
        if loss is not None:
            chosen = losses.get(loss)
            if isinstance(loss, str) and type(chosen) is type(self.loss) and vars(chosen) == vars(self.loss):
                assert self.loss is not None
                return self.loss  # for which a step may be recorded already
            return chosen
        if self.loss is not None:
            return self.loss
        last = getattr(self.layers[-1].stages()[-1], "kernel", None)
        by_last = {"softmax": "cross_entropy", "log_softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}
        return losses.get(by_last.get(str(last), "mse"))

    def _weights(self, sample_weight: ArrayLike | None, n: int, loss: Loss) -> Array | None:
        weight = as_weights(sample_weight, n, self.dtype)
        if weight is not None and not loss.takes_weights:
            raise TypeError(f"{loss} takes no sample_weight: give its value_and_grad a third parameter, weight")
        return weight

    def _require_derivatives(self) -> None:
        for stage in self._stages():
            if not stage.differentiable:
                raise TypeError(
                    f"{stage.title} has no derivative: define backward(dy), or _backward(x, y, dy, dx, tape)"
                )

    def _prepare(self, loss: Loss, optimizer: str | Optimizer | None, target: Array, weighted: bool) -> Training:
        """Make ready to train with this loss and optimizer: the last thing that may fail before the first step."""
        chosen = optimizers.get(optimizer) if optimizer is not None else self.optimizer or optimizers.get("adam")
        training, wanted = self._training, (loss, chosen, weighted)
        if training is None or wanted != self._training_of or not training.constants.hold():
            self._require_derivatives()
            trained, without_last = loss.for_end(self._parts[-1], droppable=len(self._parts) > 1)
            chain = Chain(self._parts[:-1] if without_last else self._parts)
            state = {**chosen.state(self.params), **(self._state if chosen is self._state_of else {})}
            check_recordable(chain, trained, chosen, target, weighted, self.params, self.grads)
            constants = Constants((loss, chosen, *self._parts))
            training = Training(chain, trained, chosen, self.params, self.grads, state, constants)
            self._training, self._training_of, self._state, self._state_of = training, wanted, state, chosen
        self.loss, self.optimizer = loss, chosen
        return training

    def train_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer | None = None,
    ) -> float:
        """Take one training step on these rows and return the loss before it.

        Parameters
        ----------
        x, y, sample_weight
            As in `fit`.
        loss, optimizer : str or object
            None takes those of the last training. Pass the same optimizer object again, or none, so that its
            momentum goes on.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError, FloatingPointError
            As `fit`; after the last, parameters may have grown without bound in the steps before.
        """
        if self._parts:  # a built model is changed when nothing can fail any more
            training, matrix, target, weight = self._ready(x, y, sample_weight, loss, optimizer)
        else:
            with _Unchanged(self):
                training, matrix, target, weight = self._ready(x, y, sample_weight, loss, optimizer)
        plan = training.plan(len(matrix), target, weight is not None)
        try:
            return plan.run(matrix, target, weight)
        except FloatingPointError:
            raise training.diverged(f"the loss became {plan.batch.value[0]}") from None

    def _ready(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
    ) -> tuple[Training, Array, Array, Array | None]:
        """Build and prepare the model for these data, and return them checked, with what trains on them."""
        matrix = convert(self._inputs(x), self.dtype)
        if len(matrix) == 0:
            raise ValueError("x has no rows, expected at least one")
        check_finite(matrix, "x")
        chosen = self._choose_loss(loss)
        if not self._parts:
            self.build(matrix.shape[1])
        target = chosen.targets(y, self._parts[-1].n_out, self.dtype)
        check_lengths(len(matrix), target, "y")
        weight = self._weights(sample_weight, len(matrix), chosen)
        return self._prepare(chosen, optimizer, target, weight is not None), matrix, target, weight

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer | None = None,
        epochs: int = 10,
        batch_size: int | None = 32,
        shuffle: bool = True,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: bool | str = "auto",
        n_threads: int | None = None,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array_like of shape (rows, n_in)
            Lists, data frames and arrays of any number type and layout. An array of the model's dtype is not copied.
        y : array_like of shape (rows, n_out) or (rows,)
            Targets; labels for `CrossEntropy`; 1-D ones are a column where the net has one output.
        loss, optimizer : str or object
            By default those of the last training, at first the loss that fits the last activation, and Adam. An
            optimizer object that is passed again goes on with its momentum.
        epochs : int
            How often to go over all rows.
        batch_size : int or None
            Rows per step; None for all. The last batch of an epoch may be smaller.
        shuffle : bool
            Whether each epoch visits the rows in a new order.
        validation_data : tuple (x, y) or None
            Evaluated after every epoch into ``history.val_loss``.
        sample_weight : array_like of shape (rows,) or None
            Multiplies the loss of each row; the mean is still over the number of rows.
        callbacks : sequence of callables
            Called as ``f(model, epoch, {"loss": ..., "val_loss": ...})`` after each epoch; True ends the fit.
        verbose : bool or "auto"
            Show progress: "auto" where standard error is a terminal.
        n_threads : int or None
            How many threads compute together: the result has the same bits for any number. None decides it from the
            work: one for small nets, never more than the process may use or than FASTNN_NUM_THREADS says.

        Returns
        -------
        History
            Also kept as ``model.history``, from the first epoch on.

        Raises
        ------
        ValueError, TypeError
            For data that do not fit, hold NaN or infinity, or are no numbers: the model is as it was.
        FloatingPointError
            When the loss becomes NaN or infinite, with the epoch and the batch. Parameters that lead there are of no
            use: those from before this fit are put back, with what the optimizer remembers.
        KeyboardInterrupt
            On Ctrl-C, within 100 ms, with the parameters as they are then: of whole batches.
        """
        return self._fit(
            x, y, loss, optimizer, epochs, batch_size, shuffle, validation_data, sample_weight, callbacks, verbose,
            n_threads,
        )  # fmt: skip

    def _fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        epochs: int,
        batch_size: int | None,
        shuffle: bool = True,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: bool | str = "auto",
        n_threads: int | None = None,
        stop: Event | None = None,
    ) -> History:
        """Train, until another thread sets `stop`."""
        with _Alone(self):
            n_epochs = count("epochs", epochs)
            rows = None if batch_size is None else count("batch_size", batch_size)
            progress = Progress(n_epochs, verbose)
            if not isinstance(callbacks, Iterable):
                raise TypeError(f"callbacks is {callbacks!r}, expected a sequence of functions of (model, epoch, logs)")
            callbacks = tuple(callbacks)
            for callback in callbacks:
                if not callable(callback):
                    raise TypeError(f"callbacks holds {callback!r}, expected functions of (model, epoch, logs)")
            validation = None if validation_data is None else self._validation_inputs(validation_data)
            with _Unchanged(self):
                training, matrix, target, weight = self._ready(x, y, sample_weight, loss, optimizer)
                threads.check(n_threads)
                validate = None if validation is None else self._validation(training, *validation, n_threads)
                plan = training.plan(min(rows or len(matrix), len(matrix)), target, weight is not None, False)
                over_data = plan.take_epochs(matrix, target, weight)
                team = Team(threads.chosen(n_threads, over_data.chunks, n_epochs * over_data.n_batches))
            order = bool(shuffle), (self.seed * _SEEDS_APART + self._fits) % 2**64
            self._fits += 1
            history = self.history = History()
            called = [partial(callback, self) for callback in callbacks]
            run_epochs(training, over_data, history, n_epochs, order, progress, validate, called, team, stop)
            plan.put_back(over_data)
            return history

    def _validation_inputs(self, data: tuple[ArrayLike, ArrayLike]) -> tuple[Array, ArrayLike]:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise TypeError("validation_data is expected to be a tuple (x, y)")
        matrix = as_matrix(data[0], "validation x", self.dtype)
        if len(matrix) == 0:
            raise ValueError("validation x has no rows, expected at least one")
        check_finite(matrix, "validation x")
        return matrix, data[1]

    def _validation(self, training: Training, x: Array, y: ArrayLike, n_threads: int | None) -> Callable[[], float]:
        """Return a function that computes the loss on these data."""
        assert self.loss is not None
        try:
            self._parts[0].expect_features(x)
            target = self.loss.targets(y, self.n_out, self.dtype)
            check_lengths(len(x), target, "y")
        except (TypeError, ValueError) as error:
            error.args = (f"validation data: {error}",)
            raise
        without_last = len(training.chain.parts) < len(self._parts)
        return lambda: self._evaluate(training.loss, without_last, x, target, None, None, n_threads)["loss"]

    # -- to look at ---------------------------------------------------------------------------------------------------

    def summary(self) -> None:
        """Print a table of the layers, their outputs and numbers of parameters."""
        rows = [("layer", "output", "parameters")]
        for i, layer in enumerate(self.layers):
            stages = layer.stages()
            count = sum(array.size for stage in stages for array in stage.parameters.values())
            rows.append(
                (
                    f"{i + 1}  {layer!r}",
                    f"(rows, {stages[-1].n_out})" if self.built else "?",
                    f"{count:,}" if self.built else "?",
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        total = f"{self.n_in} inputs, {self.n_parameters:,} parameters" if self.built else "not built yet"
        print("\n".join([*lines[:1], "-" * len(lines[0]), *lines[1:], "-" * len(lines[0]), f"{total}, {self.dtype}"]))

    def __repr__(self) -> str:
        size = f"{self.n_in} inputs, {self.n_parameters:,} parameters" if self.built else "not built yet"
        return f"<Model: {', '.join(map(repr, self.layers))}; {size}, {self.dtype}>"


class _Alone:
    """A context in which one thread trains a model: it may do so again from within, another thread may not."""

    def __init__(self, model: Model) -> None:
        self._model, self._before = model, model._trainer
        if self._before not in (0, get_ident()):
            raise RuntimeError("the model is being trained by another thread: train copies of it (copy.deepcopy)")

    def __enter__(self) -> None:
        self._model._trainer = get_ident()

    def __exit__(self, *exception: object) -> None:
        self._model._trainer = self._before


class _Unchanged:
    """A context that puts a model and its layers back as they were where the block raises."""

    def __init__(self, model: Model) -> None:
        self._before: list[tuple[Any, dict[str, Any]]] = [(model, dict(model.__dict__))]
        if not model._parts:
            self._before += [(stage, dict(stage.__dict__)) for stage in model._stages()]

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            for part, attributes in self._before:
                part.__dict__.update(attributes)  # never empty in between: others may be predicting
                for name in part.__dict__.keys() - attributes.keys():
                    del part.__dict__[name]


def _fill(name: str, array: Array, values: ArrayLike) -> None:
    given = np.asarray(values)
    if given.shape not in ((), array.shape):
        raise ValueError(f"Model: {name} has shape {array.shape}, got values of shape {given.shape}")
    array[...] = given

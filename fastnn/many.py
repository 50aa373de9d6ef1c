"""Many independent nets, trained side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
from inspect import signature
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import threads
from fastnn._core.team import Stop
from fastnn.callbacks import EarlyStopping
from fastnn.callbacks.calls import as_callbacks
from fastnn.checks import is_iterable, shown
from fastnn.losses import Loss
from fastnn.model import Model
from fastnn.optimizers import Optimizer
from fastnn.settings import Part, moving_numbers
from fastnn.training.history import History
from fastnn.training.options import BATCH_SIZE, FitOptions
from fastnn.training.progress import Progress
from fastnn.words import no_such


def fit_many(
    models: Iterable[Model],
    x: ArrayLike,
    y: ArrayLike,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer | None = None,
    epochs: int | None = None,
    batch_size: int | None = BATCH_SIZE,
    *,
    each: Sequence[Mapping[str, Any]] | None = None,
    n_threads: int | None = None,
    verbose: bool | str = "auto",
    **options: Any,
) -> list[History]:
    """Train independent nets side by side: seeds, folds, settings.

    Every net is trained by one thread, as ``model.fit(..., n_threads=1)`` would, to the same bits. The calling thread
    waits meanwhile.

    Parameters
    ----------
    models : iterable of Model
        Each once.
    x, y, loss, optimizer, epochs, batch_size, **options
        As in `Model.fit`, for all nets. They share the memory of x. An optimizer object is shared, too, with its
        learning rate; what it remembers is each net's own. Where numbers of an optimizer or a loss follow schedules,
        each net gets a copy of it, ``net.optimizer``, for they move with its steps. Callbacks are shared and called
        from several threads, but for `EarlyStopping`, of which each net gets a copy.
    each : sequence of mappings, or None
        For every net, what it has of its own: ``{"optimizer": SGD(0.1)}``, or a fold, ``{"x": x[rows], "y": y[rows]}``.
    n_threads : int or None
        None takes as many as the process may use, and no more than there are nets.
    verbose : bool or "auto"
        Show how many nets are trained: "auto" where standard error is a terminal, or in a notebook.

    Returns
    -------
    list of History
        In the order of the nets.

    Raises
    ------
    ValueError, TypeError, FloatingPointError, RuntimeError
        What the fit of a net has raised, with its number, as a RuntimeError where it is something else. The other nets
        are trained nevertheless.
    KeyboardInterrupt
        On Ctrl-C: nets in training stop after a batch, others have not begun. So it is with whatever else the handler
        of a signal raises.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, fit_many
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> nets = [Model([Dense(8, "tanh"), Dense(1)], seed=seed) for seed in range(5)]
    >>> histories = fit_many(nets, x, x**2, "mse", "adam", epochs=200)
    >>> bool(max(history.loss[-1] for history in histories) < histories[0].loss[0])
    True
    """
    if not is_iterable(models) or isinstance(models, Model):
        raise TypeError(f"fit_many: models is {shown(models)}, expected a list of models")
    nets = list(models)
    own: list[Any] = [{} for _ in nets] if each is None else list(each)
    _check(nets, own, options)
    own = _apart(nets, [dict(mapping) for mapping in own], {"loss": loss, "optimizer": optimizer})
    n_threads = threads.check(n_threads)
    arguments: dict[str, Any] = {
        "loss": loss,
        "optimizer": optimizer,
        "epochs": epochs,
        "batch_size": batch_size,
        "callbacks": (),
    }
    arguments |= options
    arguments["callbacks"] = as_callbacks(arguments["callbacks"])
    sharing = {_key(net): net for net, mapping in zip(nets, own, strict=True) if "x" not in mapping}
    if not all(isinstance(callback, EarlyStopping) for callback in arguments["callbacks"]):
        sharing = {}  # others may change x: each net reads it itself
    converted = {key: net._tree.shared_inputs(x) for key, net in sharing.items()}  # once for all nets of a kind
    waiting = deque(range(len(nets)))
    histories: list[History | None] = [None] * len(nets)
    errors: dict[int, Exception] = {}
    stop, turn = Stop(), Lock()

    def work() -> None:
        while waiting and not stop.is_set():
            try:
                i = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            net = nets[i]
            try:
                given = {"x": converted.get(_key(net), x), "y": y, **arguments, **own[i]}
                called = as_callbacks(given["callbacks"])
                given["callbacks"] = [copy(f) if isinstance(f, EarlyStopping) else f for f in called]
                histories[i] = _fit(net, **given, verbose=False, n_threads=1, stop=stop)
                logs = {"loss": net.history.loss[-1]} if net.history.loss else {}
            except Exception as error:
                errors[i], logs = error, {}
            with turn:
                progress.update(1, logs)

    n = min(len(nets), threads.available() if n_threads is None else n_threads)
    progress = Progress(len(nets), verbose, "net")
    with progress:
        errors_of_numpy = np.errstate(**np.geterr())  # as code of users is to see them, in any thread
        threads.together(max(n, 1), errors_of_numpy(work), stop.set, helps=False)
    if errors:
        try:
            raise _error_of(errors)
        finally:
            errors.clear()  # its traceback holds this frame, which would hold it
    return [history for history in histories if history is not None]


def _apart(nets: list[Model], own: list[dict[str, Any]], for_all: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each net, with copies of parts that others train with, too, and that follow schedules."""
    for name, shared in for_all.items():
        parts = [options.get(name, shared) or getattr(net, name) for net, options in zip(nets, own, strict=True)]
        for i, part in enumerate(parts):
            if isinstance(part, Part) and moving_numbers([part]) and sum(part is other for other in parts) > 1:
                own[i][name] = deepcopy(part)
    return own


def _key(net: Model) -> object:
    """What nets have in common that can share what is made of x: not what takes it in a shape of its own."""
    return net.dtype, net.feature_names, None if net._tree.flattening is None else net


def _fit(net: Model, x: Any, y: Any, loss: Any, optimizer: Any, **options: Any) -> History:
    """Train as `Model.fit` does, until another thread sets `stop`."""
    if not net._tree.is_own:
        net._own()
    return net._trainer.claim.run(net._trainer.fit, x, y, loss, optimizer, FitOptions(**options))


def _error_of(errors: dict[int, Exception]) -> Exception:
    """Return the error of the first net that failed, with the numbers of all."""
    i = min(errors)
    failed = f" (also: {', '.join(f'models[{j}]' for j in sorted(errors) if j != i)})" if len(errors) > 1 else ""
    message = f"models[{i}]: {errors[i]}{failed}"
    if type(errors[i]) in (ValueError, TypeError, FloatingPointError, RuntimeError):
        errors[i].args = (message,)
        return errors[i]
    found = RuntimeError(message)  # the text of others may not be what they were made from
    found.__cause__ = errors[i]
    return found


def _check(nets: list[Model], own: list[Mapping[str, Any]], options: Mapping[str, Any]) -> None:
    for i, net in enumerate(nets):
        if not isinstance(net, Model):
            raise TypeError(f"fit_many: models[{i}] is {shown(net)}, expected a Model")
    if len({id(net) for net in nets}) < len(nets):
        raise ValueError("fit_many: the same model stands in models twice, expected each once")
    stages = [id(stage) for net in nets for stage in net._tree.all]
    if len(set(stages)) < len(stages):
        raise ValueError("fit_many: two models have a layer in common, expected models of their own layers")
    if len(own) != len(nets):
        raise ValueError(f"fit_many: each has {len(own)} entries, expected one for each of the {len(nets)} models")
    for i, mapping in enumerate(own):
        if not isinstance(mapping, Mapping):
            raise TypeError(
                f"fit_many: each[{i}] is {shown(mapping)}, expected a mapping such as {{'optimizer': SGD(0.1)}}"
            )
    known = set(signature(Model.fit).parameters) - {"self", "verbose", "n_threads"}
    for name in {name for mapping in (options, *own) for name in mapping} - known:
        raise TypeError(no_such("fit_many: a single model", name, known))

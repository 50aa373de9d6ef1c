"""Many independent nets, trained side by side."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from inspect import signature
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import threads
from fastnn._core.team import Stop
from fastnn.callbacks import Callback
from fastnn.callbacks.calls import as_callbacks, may_change_data
from fastnn.checks import is_iterable, shown
from fastnn.losses import Loss
from fastnn.model import Model
from fastnn.optimizers import Optimizer
from fastnn.settings import Part, moving_numbers
from fastnn.training.history import History
from fastnn.training.lane_steps import NETS
from fastnn.training.lanes import LEAST, fit_lanes, kind_of
from fastnn.training.options import BATCH_SIZE, FitOptions
from fastnn.training.progress import Progress
from fastnn.training.trainer import Trainer
from fastnn.words import no_such

_SHOWN = 8  # numbers of nets, in an error


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
    waits meanwhile. Small nets of the same shape, 12 or more for each thread, run 16 at a time in the lanes of vectors,
    about three times as fast, or twice with weights of rows, or rates and other settings of optimizers of their own: of
    Dense layers up to 8 units wide, in float32, with arrays of up to 8 columns, where nothing else is asked for but
    epochs and batches.

    Parameters
    ----------
    models : iterable of Model
        Each once.
    x, y, loss, optimizer, epochs, batch_size, **options
        As in `Model.fit`, for all nets. They share the memory of x. An optimizer object is shared, too, with its
        learning rate; what it remembers is each net's own. Where numbers of an optimizer or a loss follow schedules,
        each net gets a copy of it, ``net.optimizer``, for they move with its steps. Of a `Callback` each net gets a
        copy; plain functions are shared, and called from several threads. Those that write files need one for each
        net: ``each=[{"callbacks": CSVLogger("0.csv")}, ...]``.
    each : sequence of mappings, or None
        For every net, what it has of its own of all this: ``{"optimizer": SGD(0.1)}``, data, ``{"x": x[rows], "y":
        y[rows], "validation_data": (x[others], y[others])}``, weights, metrics. Folds are trained by `cross_validate`.
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
    shared = {"loss": loss, "optimizer": optimizer, "epochs": epochs, "batch_size": batch_size, **options}
    own = apart(nets, own, shared)
    sharing = {_key(net): net for net, mapping in zip(nets, own, strict=True) if "x" not in mapping}
    if any(may_change_data(callback) for mapping in own for callback in mapping["callbacks"]):
        sharing = {}  # they may change x: each net reads it itself
    converted = {key: net._tree.shared_inputs(x) for key, net in sharing.items()}  # once for all nets of a kind
    given = [{"x": converted.get(_key(net), x), "y": y, **mapping} for net, mapping in zip(nets, own, strict=True)]
    return fit_each(nets, given.__getitem__, n_threads, verbose, "models[{}]", partial(_groups, nets, given))


def fit_each(
    nets: Sequence[Model],
    options: Callable[[int], Mapping[str, Any]],
    n_threads: int | None,
    verbose: bool | str,
    title: str,
    groups: Callable[[int], Iterable[Sequence[int]]] | None = None,
) -> list[History]:
    """Train nets side by side, each with options of its own: x, y and those of `Model.fit`, asked for in its turn.

    Errors call a net by the title, with its number. `groups` says for so many threads which are trained by one.
    """
    n_threads = threads.check(n_threads)
    n = min(len(nets), threads.available() if n_threads is None else n_threads)
    waiting = deque([(i,) for i in range(len(nets))] if groups is None else groups(n))
    histories: list[History | None] = [None] * len(nets)
    errors: dict[int, Exception] = {}
    stop, turn = Stop(), Lock()

    def work() -> None:
        while waiting and not stop.is_set():
            try:
                group = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            failed = {}
            if len(group) > 1:
                failed = fit_lanes([_trainer_of(nets[i]) for i in group], [options(i) for i in group], stop)
            for place, i in enumerate(group):
                net, logs = nets[i], {}
                try:
                    if len(group) == 1:
                        _fit(net, **options(i), verbose=False, n_threads=1, stop=stop)
                    elif place in failed:
                        raise failed[place]
                    histories[i] = net.history
                    logs = {"loss": net.history.loss[-1]} if net.history.loss else {}
                except Exception as error:
                    errors[i] = error
                with turn:
                    progress.update(1, logs)
            failed.clear()  # as errors below

    progress = Progress(len(nets), verbose, "net")
    with progress:
        errors_of_numpy = np.errstate(**np.geterr())  # as code of users is to see them, in any thread
        threads.together(max(n, 1), errors_of_numpy(work), stop, helps=False)
    for i, history in enumerate(histories):
        if history is None and i not in errors:
            errors[i] = MemoryError("no thread has had the memory to train it")
    if errors:
        try:
            raise _error_of(errors, title)
        finally:
            errors.clear()  # its traceback holds this frame, which would hold it
    return [history for history in histories if history is not None]


def _groups(nets: Sequence[Model], given: Sequence[Mapping[str, Any]], n_threads: int) -> list[Sequence[int]]:
    """Return which nets are trained by one thread: several small ones of a kind, where each thread has enough of them.

    These come first, for they take longest.
    """
    kinds: dict[object, list[tuple[str, int]]] = {}
    for i, (net, options) in enumerate(zip(nets, given, strict=True) if len(nets) >= LEAST * n_threads else ()):
        kind = kind_of(net._trainer, options)
        if kind is not None:
            kinds.setdefault(kind[0], []).append((kind[1], i))
    found: list[Sequence[int]] = []
    for members in kinds.values():
        order = [i for _, i in sorted(members)]  # the same settings side by side
        for start in range(0, len(order) if len(order) >= LEAST * n_threads else 0, NETS):
            lanes = order[start : start + NETS]
            found += [lanes] if len(lanes) >= LEAST else []
    together = {i for lanes in found for i in lanes}
    return [*found, *[(i,) for i in range(len(nets)) if i not in together]]


def apart(
    nets: Sequence[Model],
    own: Sequence[Mapping[str, Any]],
    shared: Mapping[str, Any],
    where: str = "fit_many",
    instead: str = "give each net its own, each=[{'callbacks': ...}, ...]",
) -> list[dict[str, Any]]:
    """Return all options of each net, with copies of parts that others train with, too, and that keep something.

    Those are losses and optimizers whose numbers follow schedules, and callbacks. Errors say where that is, and what to
    do instead of sharing a callback that cannot be.
    """
    found = [{**shared, **mapping} for mapping in own]
    for name in ("loss", "optimizer"):
        parts = [options[name] or getattr(net, name) for net, options in zip(nets, found, strict=True)]
        for options, part in zip(found, parts, strict=True):
            if isinstance(part, Part) and moving_numbers([part]) and sum(part is other for other in parts) > 1:
                options[name] = deepcopy(part)
    called = [as_callbacks(options.get("callbacks")) for options in found]
    times = Counter(id(callback) for callbacks in called for callback in {id(one): one for one in callbacks}.values())
    for options, callbacks in zip(found, called, strict=True):
        options["callbacks"] = tuple(
            _copied(callback, where, instead)
            if isinstance(callback, Callback) and times[id(callback)] > 1
            else callback
            for callback in callbacks
        )
    return found


def _copied(callback: Callback, where: str, instead: str) -> Callback:
    if callback.writes_files:
        raise ValueError(f"{where}: {shown(callback)} is for several nets, whose files would be the same: {instead}")
    try:
        return deepcopy(callback)
    except Exception as error:  # of a file or a lock that it holds
        raise TypeError(
            f"{where}: {shown(callback)} is for several nets, which get a copy each, and cannot be copied ({error}): "
            f"{instead}"
        ) from error


def _key(net: Model) -> object:
    """What nets have in common that can share what is made of x: not what takes it in a shape of its own."""
    return net.dtype, net.feature_names, None if net._tree.flattening is None else net


def _fit(net: Model, x: Any, y: Any, loss: Any, optimizer: Any, **options: Any) -> History:
    """Train as `Model.fit` does, until another thread sets `stop`."""
    trainer = _trainer_of(net)
    return trainer.claim.run(trainer.fit, x, y, loss, optimizer, FitOptions(**options))


def _trainer_of(net: Model) -> Trainer:
    """Return what trains a model, with arrays that are its own."""
    if not net._tree.is_own:
        net._own()
    return net._trainer


def _error_of(errors: dict[int, Exception], title: str) -> Exception:
    """Return the error of the first net that failed, with the numbers of others."""
    i, *others = sorted(errors)
    names = [title.format(j) for j in others[:_SHOWN]]
    names += [f"{len(others) - _SHOWN} more"] if len(others) > _SHOWN else []
    failed = f" (also: {', '.join(names)})" if others else ""
    message = f"{title.format(i)}: {str(errors[i]) or type(errors[i]).__name__}{failed}"
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
    require_known("fit_many", {name for mapping in (options, *own) for name in mapping})


def require_known(where: str, names: Iterable[str], own: Iterable[str] = ()) -> None:
    """Raise TypeError for a name that is none of the options of a single net, beside those of the function itself."""
    known = set(signature(Model.fit).parameters) - {"self", "verbose", "n_threads"}
    title = where if own else f"{where}: a single model"
    for name in {*names} - known:
        raise TypeError(no_such(title, name, known.union(own)))

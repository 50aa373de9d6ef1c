"""The proof, before the first step, that a recording catches all that a part from outside this package computes, and
that this is all that it has to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat

import numpy as np

from fastnn._core.tape import Tape
from fastnn.arena import Array, Memory
from fastnn.layers.chain import Chain, inside
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer, Transform
from fastnn.optimizers.transforms import Slice
from fastnn.settings import Part
from fastnn.training.plan import Batch

_ROWS = 8  # enough for a batch to look like one
_LOOKED_AT = 4096  # targets, to find different ones
_NUMBERS = 4093  # of which arrays are filled: more are these again
_CODE = {
    "_forward",
    "_backward",
    "_after_batch",
    "_apply",
    "_value_and_grad",
    "_step",
    "_advance",
    "forward_fused",
    "backward_fused",
}


def check_recordable(
    chain: Chain, loss: Loss, optimizer: Optimizer, target: Array, weights: int, memory: Memory
) -> None:
    """Raise RuntimeError where a layer, loss or optimizer made of kernels computes outside of them.

    Parts of this package are tested, and parts written in NumPy are called at every batch: neither is run here. The
    parameters and gradients are as they were afterwards.
    """
    losses = [*_losses(loss)]
    parts = [*losses, optimizer, *optimizer.transforms]
    for stage in chain.stages:
        parts += stage.layers
    if all(map(str.startswith, [type(part).__module__ for part in parts], repeat("fastnn."))):
        return
    foreign = [i for i, stage in enumerate(chain.stages) if not stage.may_raise and _is_foreign(stage.layer)]
    check_loss = any(_is_foreign(own) and not own.is_numpy for own in losses)
    check_optimizer = _is_foreign(optimizer) and not optimizer.is_numpy
    rows = min(_ROWS, len(target))
    batch = Batch.like(chain.memory(rows, input_gradient=True), target, weights)
    before, why = memory.grads.copy(), memory.without_gradients
    memory.without_gradients = None
    try:
        for i in foreign:
            _check_stage(chain, batch, i)
        if check_loss:
            _check_loss(loss, batch, target[:_LOOKED_AT])
        if check_optimizer:
            own, state = memory.params.copy(), optimizer.init(memory.params)

            def step(tape: Tape | None) -> None:
                optimizer._advance(state, own, tape)
                optimizer._step(own, memory.grads, state, tape)

            _check_recorded(f"{optimizer}: _step", step, [memory.grads], {}, [own, *state.values()])
        for transform in optimizer.transforms:
            if _is_foreign(transform) and not transform.is_numpy:
                _check_transform(transform, memory)
    finally:
        memory.grads[...], memory.without_gradients = before, why


def _check_loss(loss: Loss, batch: Batch, target: Array) -> None:
    y, dy, rows = batch.work.activations[-1], batch.work.gradients[-1], len(batch.target)
    assert dy is not None
    order = target.reshape(len(target), -1).sum(axis=1).argsort()
    nearest = abs(target.reshape(len(target), -1)).sum(axis=1).argsort()
    _check_recorded(
        f"{loss}: _value_and_grad",
        lambda tape: loss._value_and_grad(y, batch.target, batch.weight, dy, batch.value, tape),
        [y] if batch.weight is None else [y, batch.weight],
        {"value": batch.value, "dy": dy},
        given=(batch.target, [target[chosen] for chosen in (order[:rows], order[-rows:], nearest[:rows])]),
    )


def _losses(loss: Part) -> Iterator[Loss]:
    """Yield a loss and those that it is made of."""
    if isinstance(loss, Loss):
        yield loss
    for part in loss._held():
        yield from _losses(part)


def _check_stage(chain: Chain, batch: Batch, i: int) -> None:
    stage, work = chain.stages[i], batch.work
    (x, y), (dx, dy) = work.activations[i : i + 2], work.gradients[i : i + 2]
    assert dx is not None
    assert dy is not None
    title = stage.layer.title
    layers = (stage.layer, *inside(stage.layer))
    own = {f"d{name} of {layer.title}": array for layer in layers for name, array in layer._gradients.items()}
    states = [array for layer in layers for array in layer.states.values()]
    varied = [array for layer in layers for array in layer.parameters.values()]
    varied += [array for array in states if array.dtype.kind == "f"]
    before = [(array, array.copy()) for array in (*varied, *states)]

    def both(tape: Tape | None, dx: Array | None) -> None:
        chain.forward_one(work, i, x, y, tape)
        chain.backward_one(work, i, dy, dx, tape)

    try:
        forward = lambda tape: chain.forward_one(work, i, x, y, tape)  # noqa: E731
        _check_recorded(f"{title}: _forward", forward, [x, *varied], {"y": y})
        if i:
            _check_recorded(f"{title}: _backward", lambda tape: both(tape, dx), [x, dy, *varied], {"dx": dx, **own})
        else:  # nothing below is trained
            _check_recorded(f"{title}: _backward", lambda tape: both(tape, None), [x, dy, *varied], own)
        if i in chain.changing:
            _check_recorded(f"{title}: _after_batch", lambda tape: chain.after_batch_of(work, i, tape), [], {}, states)
    finally:
        for array, value in before:
            array[...] = value


def _check_transform(transform: Transform, memory: Memory) -> None:
    grads, state = memory.grads, transform.init(memory.params)

    def apply(tape: Tape | None) -> None:
        transform._apply([Slice(grads, 0, grads.size)], [[grads]], state, tape)  # type: ignore[arg-type]

    _check_recorded(f"{type(transform).__name__}: _apply", apply, [], {}, [grads, *state.values()])


def _is_foreign(part: object) -> bool:
    """Whether code of it is not this package's."""
    for cls in type(part).__mro__:
        if cls.__module__.split(".")[0] == "fastnn":
            return False
        if cls.__dict__.keys() & _CODE:
            return True
    return False


def _check_recorded(
    name: str,
    call: Callable[[Tape | None], None],
    inputs: Sequence[Array],
    outputs: Mapping[str, Array],
    changed: Sequence[Array] = (),
    given: tuple[Array, Sequence[Array]] | None = None,
) -> None:
    """Compare replaying `call` with calling it, bit for bit, on data that come after the recording.

    Inputs are filled with numbers, outputs with NaN, or with something else, of which nothing may be left; what is
    `changed` in place begins from numbers too. An input that cannot be any numbers is `given`, with what it holds when
    the call is recorded, and what afterwards.
    """
    written = [*outputs.values(), *changed]
    array, values = given if given else (None, ())

    def run(compute: Callable[[], None], seed: int, left: float = np.nan) -> list[Array]:
        rng = np.random.default_rng(seed)
        for output in outputs.values():
            output.fill(left)
        for own in (*inputs, *changed):  # behind the outputs: an output may be the memory of an input
            own[...] = np.resize(rng.random(_NUMBERS).astype(own.dtype), own.shape)
        if array is not None:
            array[...] = values[seed]
        compute()
        return [own.copy() for own in written]

    tape = Tape()
    run(lambda: call(tape), 0)
    for seed in range(1, max(len(values), 2)):
        replayed = run(tape.replay, seed)
        called = run(lambda: call(None), seed)
        if not all(map(_is_same, called, replayed)):
            raise RuntimeError(
                f"{name} computes outside kernels: replayed on new data it does not give what it gives when called. "
                "Pass the tape on to every kernel and compute with nothing else, or write the method in NumPy: forward "
                "and backward of a layer, value_and_grad of a loss, update of an optimizer"
            )
    again = run(lambda: call(None), seed, 0.5)
    left = [output for output, *both in zip(outputs, called, again, strict=False) if not _is_same(*both)]
    if left:
        raise RuntimeError(
            f"{name} does not write all of {' and '.join(left)}: some numbers are what was there before. Write the "
            "arrays that it is given, whole, with zeros where nothing depends on them, and do not return others"
        )


def _is_same(found: Array, expected: Array) -> bool:
    return np.array_equal(found, expected, equal_nan=True)

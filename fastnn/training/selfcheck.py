"""The proof, before the first step, that a recording catches all that a part from outside this package computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

import numpy as np

from fastnn._core.tape import Tape
from fastnn.arena import Array, Memory
from fastnn.layers.chain import Chain, inside
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer, Transform
from fastnn.optimizers.transforms import Slice
from fastnn.training.plan import Batch

_ROWS = 8  # enough for a batch to look like one
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
    parts = [loss, optimizer, *optimizer.transforms]
    for stage in chain.stages:
        parts += stage.layers
    if all(map(str.startswith, [type(part).__module__ for part in parts], repeat("fastnn."))):
        return
    foreign = [i for i, stage in enumerate(chain.stages) if not stage.may_raise and _is_foreign(stage.layer)]
    check_loss = _is_foreign(loss) and not loss.is_numpy
    check_optimizer = _is_foreign(optimizer) and not optimizer.is_numpy
    rows = min(_ROWS, len(target))
    batch = Batch.like(chain.memory(rows, input_gradient=True), target, weights)
    batch.target[...] = target[:rows]
    before, why = memory.grads.copy(), memory.without_gradients
    memory.without_gradients = None
    try:
        for i in foreign:
            _check_stage(chain, batch, i)
        if check_loss:
            y, dy = batch.work.activations[-1], batch.work.gradients[-1]
            assert dy is not None
            _check_recorded(
                f"{loss}: _value_and_grad",
                lambda tape: loss._value_and_grad(y, batch.target, batch.weight, dy, batch.value, tape),
                [y] if batch.weight is None else [y, batch.weight],
                [batch.value, dy],
            )
        if check_optimizer:
            own, state = memory.params.copy(), optimizer.init(memory.params)

            def step(tape: Tape | None) -> None:
                optimizer._advance(state, own, tape)
                optimizer._step(own, memory.grads, state, tape)

            _check_recorded(f"{optimizer}: _step", step, [memory.grads], [], [own, *state.values()])
        for transform in optimizer.transforms:
            if _is_foreign(transform) and not transform.is_numpy:
                _check_transform(transform, memory)
    finally:
        memory.grads[...], memory.without_gradients = before, why


def _check_stage(chain: Chain, batch: Batch, i: int) -> None:
    stage, work = chain.stages[i], batch.work
    (x, y), (dx, dy) = work.activations[i : i + 2], work.gradients[i : i + 2]
    assert dx is not None
    assert dy is not None
    title = stage.layer.title
    own = list(stage.layer._gradients.values())

    def both(tape: Tape | None, dx: Array | None) -> None:
        chain.forward_one(work, i, x, y, tape)
        chain.backward_one(work, i, dy, dx, tape)

    _check_recorded(f"{title}: _forward", lambda tape: chain.forward_one(work, i, x, y, tape), [x], [y])
    _check_recorded(f"{title}: _backward", lambda tape: both(tape, dx), [x, dy], [dx, *own])
    if i == 0:  # as training calls the first stage
        _check_recorded(f"{title}: _backward", lambda tape: both(tape, None), [x, dy], own)
    if i in chain.changing:
        states = [array for layer in (stage.layer, *inside(stage.layer)) for array in layer.states.values()]
        before = [array.copy() for array in states]
        try:
            _check_recorded(f"{title}: _after_batch", lambda tape: chain.after_batch_of(work, i, tape), [], [], states)
        finally:
            for array, value in zip(states, before, strict=True):
                array[...] = value


def _check_transform(transform: Transform, memory: Memory) -> None:
    grads, state = memory.grads, transform.init(memory.params)

    def apply(tape: Tape | None) -> None:
        transform._apply([Slice(grads, 0, grads.size)], [[grads]], state, tape)  # type: ignore[arg-type]

    _check_recorded(f"{type(transform).__name__}: _apply", apply, [], [], [grads, *state.values()])


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
    outputs: Sequence[Array],
    changed: Sequence[Array] = (),
) -> None:
    """Compare replaying `call` with calling it, bit for bit, on data that come after the recording.

    Inputs are filled with numbers, outputs with NaN; what is `changed` in place begins from numbers too.
    """

    def fill(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for array in outputs:
            array.fill(np.nan)
        for array in (*inputs, *changed):  # behind the outputs: an output may be the memory of an input
            array[...] = rng.random(array.shape)

    tape = Tape()
    fill(0)
    call(tape)
    fill(1)
    tape.replay()
    replayed = [array.copy() for array in (*outputs, *changed)]
    fill(1)
    call(None)
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip((*outputs, *changed), replayed, strict=True)):
        raise RuntimeError(
            f"{name} computes outside kernels: replayed on new data it does not give what it gives when called. "
            "Pass the tape on to every kernel and compute with nothing else, or write the method in NumPy: forward and "
            "backward of a layer, value_and_grad of a loss, update of an optimizer"
        )

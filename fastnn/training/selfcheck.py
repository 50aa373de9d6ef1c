"""The proof, before the first step, that a recording catches all that a part from outside this package computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fastnn._core.tape import Tape
from fastnn.arena import Array
from fastnn.layer import Chain, Layer
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.plan import Batch

_ROWS = 8  # enough for a batch to look like one


def check_recordable(
    chain: Chain, loss: Loss, optimizer: Optimizer, target: Array, weighted: bool, params: Array, grads: Array
) -> None:
    """Raise RuntimeError where a layer, loss or optimizer made of kernels computes outside of them.

    Parts of this package are tested, and parts written in NumPy are called at every batch: neither is run here. The
    parameters and gradients are as they were afterwards.
    """
    batch = Batch.like(chain.workspace(min(_ROWS, len(target)), input_gradient=True), target, weighted)
    batch.target[...] = target[:_ROWS]
    before = grads.copy()
    try:
        for i, stage in enumerate(chain.stages):
            _check_stage(stage, batch, i)
        if _is_foreign(loss, "_value_and_grad", Loss):
            y, dy = batch.work.activations[-1], batch.work.gradients[-1]
            assert dy is not None
            _check_recorded(
                f"{loss}: _value_and_grad",
                lambda tape: loss._value_and_grad(y, batch.target, batch.weight, dy, batch.value, tape),
                [y] if batch.weight is None else [y, batch.weight],
                [batch.value, dy],
            )
        if _is_foreign(optimizer, "_step", Optimizer):
            own, state = params.copy(), optimizer.state(params)
            _check_recorded(
                f"{optimizer}: _step",
                lambda tape: optimizer._step(own, grads, state, tape),
                [grads],
                [],
                [own, *state.values()],
            )
    finally:
        grads[...] = before


def _check_stage(stage: Layer, batch: Batch, i: int) -> None:
    (x, y), (dx, dy) = batch.work.activations[i : i + 2], batch.work.gradients[i : i + 2]
    assert dx is not None
    assert dy is not None
    if _is_foreign(stage, "_forward", Layer):
        _check_recorded(f"{stage.title}: _forward", lambda tape: stage._forward(x, y, tape), [x], [y])
    if _is_foreign(stage, "_backward", Layer):
        stage._forward(x, y, None)
        name = f"{stage.title}: _backward"
        own = [stage.__dict__["d" + parameter] for parameter in stage.parameters]
        _check_recorded(name, lambda tape: stage._backward(x, y, dy, dx, tape), [dy], [dx, *own])
        if i == 0:  # as training calls the first stage
            _check_recorded(name, lambda tape: stage._backward(x, y, dy, None, tape), [dy], own)


def _is_foreign(part: object, method: str, base: type) -> bool:
    of_package = type(part).__module__.split(".")[0] == "fastnn"
    return not of_package and getattr(type(part), method) is not getattr(base, method)


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

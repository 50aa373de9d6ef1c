"""Optimizers and activations that follow PyTorch's formulas give its numbers, as version 2.13 printed them."""

import numpy as np
import pytest

from fastnn import SGD, Adam, AdamW, Optimizer, RMSprop, kernels
from fastnn._core.tape import Tape

# Six steps from (1, -2, 1/2) on the gradients sin(3 w + k) + k / 10 of step k
OPTIMIZERS: dict[str, tuple[Optimizer, list[float]]] = {
    "sgd": (SGD(0.1), [0.809915632874306, -2.3202046877337055, 0.3288386701273553]),
    "sgd, momentum": (
        SGD(0.1, momentum=0.9, weight_decay=0.1),
        [0.7808063226470771, -3.0173972581614046, -0.9027630695510788],
    ),
    "sgd, nesterov": (
        SGD(0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        [0.4677124734411787, -3.6747666227669407, -1.9806861320086124],
    ),
    "rmsprop": (RMSprop(0.1), [-1.9417114677488478, -4.065028334694463, -1.9595729322468962]),
    "rmsprop, centered": (
        RMSprop(0.1, alpha=0.9, centered=True),
        [0.29748129764639486, -3.7509618940533875, -0.9405990348787121],
    ),
    "rmsprop, momentum": (
        RMSprop(0.1, alpha=0.9, momentum=0.9),
        [-3.0660669477877707, -4.249950692949106, -2.515679149772729],
    ),
    "rmsprop, all": (
        RMSprop(0.05, alpha=0.8, eps=1e-3, weight_decay=0.1, momentum=0.5, centered=True),
        [0.8250527495760286, -3.1628770268150466, -0.058750754741775345],
    ),
    "adam": (Adam(0.1), [1.0179176823198914, -2.5443986578463216, 0.08544434052506772]),
    "adam, coupled": (
        Adam(0.1, weight_decay=0.1),
        [0.9564538255523739, -2.4940925759711607, 0.07802887650335154],
    ),
    "adam, decoupled": (
        AdamW(0.1, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.1),
        [0.9508957990337877, -2.3866957538859945, 0.10155006809008997],
    ),
}


@pytest.mark.parametrize("recorded", [False, True], ids=["eager", "replayed"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, recorded):
    optimizer, expected = OPTIMIZERS[name]
    w, dw = np.array([1.0, -2.0, 0.5]), np.empty(3)
    state, tape = optimizer.init(w), Tape()

    def step(tape):
        optimizer._advance(state, w, tape)
        optimizer._step(w, dw, state, tape)

    step(tape)
    for k in range(6):
        dw[:] = np.sin(3 * w + k) + 0.1 * k
        tape.replay() if recorded else step(None)
    np.testing.assert_allclose(w, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "y", "dx"),
    [
        (
            0.25,  # one of float32: PyTorch rounds it for the gradient
            [-0.24999846394691166, -0.21616617919084682, -0.000998002664002132, 0.25, 2.0],
            [6.14421235332821e-06, 0.1353352832366127, 0.9960079893439915, 1.0, 1.0],
        ),
        (
            1.0,
            [-0.950212931632136, -0.3934693402873666, -0.0009995001666250085, 0.25, 2.0],
            [0.049787068367863944, 0.6065306597126334, 0.999000499833375, 1.0, 1.0],
        ),
        (
            2.5,
            [-1.747014470219495, -0.4531731173050454, -0.0009998000266640001, 0.25, 2.0],
            [0.301194211912202, 0.8187307530779818, 0.9996000799893344, 1.0, 1.0],
        ),
    ],
)
def test_celu(alpha, y, dx):
    x = np.array([[-3.0, -0.5, -1e-3, 0.25, 2.0]])
    value, gradient = np.empty_like(x), np.empty_like(x)
    kernels.float64.celu_forward(x, value, alpha)
    kernels.float64.celu_backward(value, np.ones_like(x), gradient, alpha)
    np.testing.assert_allclose(value[0], y, rtol=1e-14)
    np.testing.assert_allclose(gradient[0], dx, rtol=1e-14, atol=1e-15)

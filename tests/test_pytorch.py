"""Optimizers and activations that follow PyTorch's formulas give its numbers, as version 2.13 printed them."""

import numpy as np
import pytest
from trajectories import RULES, START, STEPS, by_others, gradient, recorded

from fastnn import LBFGS, Embedding, Model, kernels, optimizers
from fastnn._core.tape import Tape

each_rule = pytest.mark.parametrize("rule", RULES, ids=str)


def test_every_optimizer_is_compared():
    """But one that takes no steps: tests/test_lbfgs.py."""
    assert {type(rule.make()) for rule in RULES} == {*optimizers._BY_NAME.values()} - {LBFGS}
    assert set(recorded()) == {rule.name for rule in RULES}


@pytest.mark.parametrize("replayed", [False, True], ids=["eager", "replayed"])
@each_rule
def test_twenty_steps(rule, replayed):
    optimizer = rule.make()
    w, dw, found = np.array(START), np.empty(len(START)), []
    state, tape = optimizer.init(w), Tape()

    def step(tape):
        optimizer._advance(state, w, tape)
        optimizer._step(w, dw, state, tape)

    step(tape)
    for k in range(STEPS):
        dw[:] = gradient(w, k)
        tape.replay() if replayed else step(None)
        found.append(w.copy())
    np.testing.assert_allclose(found, recorded()[rule.name], rtol=rule.rtol)


@each_rule
def test_what_is_recorded_is_what_others_compute(rule):
    if isinstance(rule.other, str):
        pytest.importorskip("torch")
    np.testing.assert_allclose(by_others(rule), recorded()[rule.name], rtol=1e-12)


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


TABLE = [[0.5, -1.0], [0.25, 0.75], [-0.5, 0.125], [1.0, -0.25]]
TABLES = {  # after six steps
    "adam": [
        [0.5464287456791721, -0.6438701493988563], [0.7147639625875388, 0.3050992200425797], [-0.5, 0.125],
        [0.48376999096048895, 0.26945576339458677],
    ],
    "sgd": [
        [0.5196975308641977, -0.3392716049382715], [0.5715282716049382, 0.21124901234567892], [-0.5, 0.125],
        [0.5135641975308642, 0.592937037037037],
    ],
}  # fmt: skip


@pytest.mark.parametrize("rule", TABLES)
def test_embedding(rule):
    """Rows occur more than once, again and never; momentum goes on moving those that have occurred."""
    codes, targets = [[1, 1, 3], [0, 3, 3], [1, 0, 0]], [[1.0, 0.0], [0.5, -0.5], [0.0, 2.0]]
    net = Model([Embedding({0: 4}, 2)], seed=0, dtype="float64").build(1)
    net[0].table_0[:4] = TABLE
    optimizer = optimizers.Adam(0.1) if rule == "adam" else optimizers.SGD(0.1, momentum=0.9)
    for i in range(6):
        loss = net.train_batch(np.array(codes[i % 3])[:, None], targets, loss="mse", optimizer=optimizer)
        if i == 0:
            assert loss == 1.46875
            np.testing.assert_allclose(
                net[0].dtable_0[[0, 1, 2, 3, 4]], [[0, 0], [-1 / 3, 2 / 3], [0, 0], [1 / 3, -0.75], [0, 0]], rtol=1e-15
            )
    np.testing.assert_allclose(net[0].table_0[:4], TABLES[rule], rtol=1e-12)


@pytest.mark.parametrize("rule", TABLES)
def test_what_is_recorded_of_embedding_is_what_pytorch_computes(rule):
    torch = pytest.importorskip("torch")
    codes = torch.tensor([[1, 1, 3], [0, 3, 3], [1, 0, 0]])
    targets = torch.tensor([[1.0, 0.0], [0.5, -0.5], [0.0, 2.0]], dtype=torch.float64)
    w = torch.tensor(TABLE, dtype=torch.float64, requires_grad=True)
    other = torch.optim.Adam([w], lr=0.1) if rule == "adam" else torch.optim.SGD([w], lr=0.1, momentum=0.9)
    for i in range(6):
        other.zero_grad()
        ((torch.nn.functional.embedding(codes[i % 3], w) - targets) ** 2).mean().backward()
        other.step()
    np.testing.assert_allclose(w.detach().numpy(), TABLES[rule], rtol=1e-12)

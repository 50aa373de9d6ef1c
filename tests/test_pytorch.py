"""Optimizers and activations that follow PyTorch's formulas give its numbers, as version 2.13 printed them."""

import numpy as np
import pytest
from trajectories import RULES, START, STEPS, by_others, gradient, recorded

import fastnn
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


# y and dx of PyTorch's at X, for dy = 1, 2, ...
X = [[-4.0, -1.25, -0.25, 0.375, 2.5, 7.0]]
ACTIVATIONS = {
    "ReLU6()": (
        [0.0, 0.0, 0.0, 0.375, 2.5, 6.0],
        [0.0, 0.0, 0.0, 4.0, 5.0, 0.0],
    ),
    "Threshold(0.5, -1.0)": (
        [-1.0, -1.0, -1.0, -1.0, 2.5, 7.0],
        [0.0, 0.0, 0.0, 0.0, 5.0, 6.0],
    ),
    "HardSigmoid()": (
        [0.0, 0.2916666666666667, 0.4583333333333333, 0.5625, 0.9166666666666666, 1.0],
        [0.0, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 0.0],  # PyTorch rounds 1/6 to float32 for the gradient
    ),
    "HardTanh(-0.5, 2.0)": (
        [-0.5, -0.5, -0.25, 0.375, 2.0, 2.0],
        [0.0, 0.0, 3.0, 4.0, 0.0, 0.0],
    ),
    "HardSwish()": (
        [-0.0, -0.3645833333333333, -0.11458333333333333, 0.2109375, 2.2916666666666665, 7.0],
        [0.0, 0.16666666666666663, 1.25, 2.5, 6.666666666666668, 6.0],
    ),
    "HardShrink(0.75)": (
        [-4.0, -1.25, 0.0, 0.0, 2.5, 7.0],
        [1.0, 2.0, 0.0, 0.0, 5.0, 6.0],
    ),
    "SoftShrink(0.75)": (
        [-3.25, -0.5, -0.0, 0.0, 1.75, 6.25],
        [1.0, 2.0, 0.0, 0.0, 5.0, 6.0],
    ),
    "TanhShrink()": (
        [
            -3.000670700260933,
            -0.4017163600424871,
            -0.005081337596290869,
            0.01664260164921405,
            1.5133857018485697,
            6.0000016630560555,
        ],
        [
            0.9986590493169741,
            1.4391702676391347,
            0.17995545358086584,
            0.5136800998109754,
            4.867038866584197,
            5.999980043343931,
        ],
    ),
    "LogSigmoid()": (
        [
            -4.0181499279178094,
            -1.501929081345373,
            -0.8259394198788436,
            -0.5231232641398401,
            -0.07888973429254963,
            -0.0009114664537742447,
        ],
        [
            0.9820137900379085,
            1.5545997223493824,
            1.6865295026573945,
            1.6293336001837209,
            0.3792909001062178,
            0.0054663071664038726,
        ],
    ),
    "Softplus(2.0, 3.0)": (
        [0.00016770318644788442, 0.03944486714627481, 0.23703849209005334, 0.5684355030574499, 2.5, 7.0],
        [0.00033535013046647816, 0.15171636004248712, 1.1326220063944363, 2.716714796701572, 5.0, 6.0],
    ),
    "Softmin()": (
        [
            0.9078085138616505,
            0.05803425667641506,
            0.021349609914919618,
            0.011427622701383073,
            0.001364834899458329,
            1.5161946173354866e-05,
        ],
        [
            0.12759384283389233,
            -0.049877455200899534,
            -0.03969850026128019,
            -0.03267669866129742,
            -0.0052675100137342225,
            -7.367869668108504e-05,
        ],
    ),
    "GLU()": (
        [-2.3706663998162787, -1.1551772749734457, -0.24977223720139985],
        [
            0.5926665999540697,
            1.848283639957513,
            2.997266846416798,
            -0.9656516050118097,
            -0.17525929136277016,
            -0.0006826658850913381,
        ],
    ),
    "PReLU()": (
        [-1.0, -0.3125, -0.0625, 0.375, 2.5, 7.0],
        [0.25, 0.5, 0.75, 4.0, 5.0, 6.0],
    ),
}


@pytest.mark.parametrize("made", ACTIVATIONS)
def test_activations(made):
    layer = eval(made, vars(fastnn))
    y, dx = ACTIVATIONS[made]
    np.testing.assert_allclose(layer.forward(np.array(X))[0], y, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(layer.backward(np.arange(1.0, len(y) + 1)[None])[0], dx, rtol=1e-13, atol=1e-16)

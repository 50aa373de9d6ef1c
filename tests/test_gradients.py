"""The kernels' derivatives are those of the kernels' values: central differences in float64, away from kinks."""

from types import SimpleNamespace

import numpy as np
import pytest
from cases import CASES, FUSED, Case, dense_arguments, dense_backward_arguments, kernel, random, unset
from nets import numerical_gradient

TOLERANCE = 1e-7
LOSSES = [case for case in CASES if case.derivative_of == case.op and "dy" in case.outputs]
BACKWARDS = [case for case in CASES if case.derivative_of not in ("", case.op)]
FORWARDS = {case.op: case for case in reversed(CASES)}


def away_from_kinks(case: Case, arguments: dict) -> np.ndarray | bool:
    if not case.kinks:
        return True
    at = case.kink_at(SimpleNamespace(**arguments))
    return np.all([np.abs(at - kink) > 1e-3 for kink in case.kinks], axis=0)


def assert_same(got: np.ndarray, numerical: np.ndarray, where: np.ndarray | bool = True) -> None:
    """The largest error is small in relation to the largest derivative."""
    error = np.max(np.abs(got - numerical), where=where, initial=0)
    assert error <= TOLERANCE * np.max(np.abs(numerical), where=where, initial=0)


@pytest.mark.parametrize("case", BACKWARDS, ids=str)
def test_backward(case):
    of_variant = (other for other in CASES if (other.op, other.variant) == (case.derivative_of, case.variant))
    forward = next(of_variant, FORWARDS[case.derivative_of])
    rng = random(3, 7)
    there, back = forward.make(3, 7, np.float64, rng), case.make(3, 7, np.float64, rng)
    forward_kernel = forward.kernel(np.float64)
    forward_kernel(*there.values())
    back |= {name: there[name] for name in back if name in there}
    case.kernel(np.float64)(*back.values())

    y, dy = there["y"].copy(), back["dy"]

    def objective() -> float:
        forward_kernel(*{**there, "y": y}.values())
        return float(np.sum(dy * y))

    for output in case.outputs:
        numerical = numerical_gradient(objective, there[output.removeprefix("d")])
        assert_same(back[output], numerical, away_from_kinks(case, there))


@pytest.mark.parametrize("activation", FUSED)
def test_dense_behind_an_activation(activation):
    """Dx with the derivative of the activation before the product is the gradient of that activation's input."""
    rng = random(3, 7)
    before = FORWARDS[f"{activation}_forward"].make(3, 7, np.float64, rng)
    options = {constant: before[constant] for constant in FUSED[activation]}
    forward, dense_forward = kernel(f"{activation}_forward", np.float64), kernel("dense_forward", np.float64)
    forward(**before)
    back = dense_backward_arguments(3, 7, 5, np.float64, rng, dw=False, db=False, activation=activation, **options)
    back["x"][...] = before["y"]
    kernel("dense_backward", np.float64)(**back)
    x, y = np.empty((3, 7)), np.empty((3, 5))

    def objective() -> float:
        forward(**{**before, "y": x})
        dense_forward(x, back["w"], None, y)
        return float(np.sum(back["dy"] * y))

    case = FORWARDS[f"{activation}_forward"]
    numerical = numerical_gradient(objective, before["x"])
    assert_same(back["dx"], numerical, away_from_kinks(case, before))


@pytest.mark.parametrize("case", LOSSES, ids=str)
def test_loss(case):
    arguments = case.make(3, 7, np.float64, random(3, 7))
    loss = case.kernel(np.float64)
    loss(**arguments)
    value = np.zeros(1)

    def objective() -> float:
        loss(**{**arguments, "dy": None, "value": value})
        return float(value[0])

    numerical = numerical_gradient(objective, arguments["y"])
    assert_same(arguments["dy"], numerical, away_from_kinks(case, arguments))


@pytest.mark.parametrize("activation", FUSED)
def test_dense_with_activation(activation):
    rng = random(3, 7)
    parameters = FUSED[activation].values()
    there = dense_arguments(3, 7, 5, np.float64, rng, activation=activation, **FUSED[activation])
    back = dense_backward_arguments(3, 7, 5, np.float64, rng)
    back |= {name: there[name] for name in ("x", "w")}
    dy = rng.normal(size=(3, 5))
    dense_forward = kernel("dense_forward", np.float64)
    dense_forward(**there)
    kernel(f"{activation}_backward", np.float64)(there["y"], dy, back["dy"], *parameters)
    kernel("dense_backward", np.float64)(*back.values())

    def objective() -> float:
        dense_forward(**there)
        return float(np.sum(dy * there["y"]))

    for output in ("dx", "dw", "db"):
        assert_same(back[output], numerical_gradient(objective, there[output.removeprefix("d")]))


def test_softmax_jacobian():
    x = random(3, 7).normal(size=(3, 7))
    y, jacobian = np.empty_like(x), unset((3, 7, 7), np.float64)
    softmax_forward = kernel("softmax_forward", np.float64)
    softmax_forward(x, y)
    kernel("softmax_jacobian", np.float64)(y, jacobian)
    for column in range(7):

        def objective(column: int = column) -> float:
            softmax_forward(x, y)
            return float(np.sum(y[:, column]))

        assert_same(jacobian[:, column], numerical_gradient(objective, x))

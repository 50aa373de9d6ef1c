"""What a declaration says holds of every kernel that has it: numbers, bounds, names, and what a tape keeps of them."""

import gc
import inspect
import pickle
import re

import numpy as np
import pytest
import stubs
from cases import CASES, DTYPES, FUSED, Case, copied, dense_arguments, dense_backward_arguments, kernel, random

from fastnn import Tape, kernels

DECLARED = stubs.declared()
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def numbers_of(op: str) -> list:
    return [argument for argument in DECLARED[op].arguments if argument.role == "cell"]


def cases_with_numbers() -> list:
    """Every case that gives a value to a number, with that number."""
    return [
        pytest.param(case, argument, id=f"{case}-{argument.name}")
        for case in CASES
        for argument in numbers_of(case.op)
        if case.make(3, 7, np.float64, random(3, 7)).get(argument.name) is not None
    ]


each_number = pytest.mark.parametrize(("case", "argument"), cases_with_numbers())


def run(case: Case, dtype: type, arguments: dict) -> list[bytes]:
    case.kernel(dtype)(**arguments)
    return [arguments[name].tobytes() for name in case.outputs]


def value_of(number: object) -> float:
    return float(np.asarray(number).reshape(-1)[0])


@each_dtype
@each_number
def test_a_number_may_be_a_float_or_an_array_of_one(case, argument, dtype):
    """With the same bits; whole numbers, NumPy's numbers and what float() takes are numbers, too."""
    made = case.make(3, 7, dtype, random(3, 7))
    value = value_of(made[argument.name])
    forms = [value, np.array([value]), np.float64(value), np.array(value)]
    forms += [int(value), np.int64(value)] if value.is_integer() else []
    forms += [np.float32(value)] if value == float(np.float32(value)) else []
    results = [run(case, dtype, copied(made) | {argument.name: form}) for form in forms]
    assert all(result == results[0] for result in results)


def other_value(argument, value: float) -> float:
    """Another number within the bounds, and above 0: all below may stand for none."""
    other = value / 2 if 0 < value < np.inf else 0.25
    lowest = max((float(bound) for sign, bound in argument.bounds if sign[0] == ">"), default=-np.inf)
    return other if other >= lowest else (value + lowest) / 2


@each_dtype
@each_number
def test_a_number_is_read_at_every_run(case, argument, dtype):
    made = case.make(17, 19, dtype, random(17, 19))
    value = value_of(made[argument.name])
    cell = np.array([value])
    recorded, tape = copied(made) | {argument.name: cell}, Tape()
    case.kernel(dtype)(**recorded, tape=tape)
    cell[0] = other_value(argument, value)
    if value == 0 and argument.name == "momentum":  # there is no velocity: the next test
        return
    tape.replay()
    expected = run(case, dtype, copied(made) | {argument.name: other_value(argument, value)})
    assert [recorded[name].tobytes() for name in case.outputs] == expected
    if "backward" not in case.op and argument.name not in (
        "eps",
        *case.idle,
    ):  # a gradient may do without, and eps is small
        assert expected != run(case, dtype, copied(made))


def outside(argument) -> list[float]:
    """Numbers beside the bounds of an argument."""
    numbers = [np.nan] if argument.bounds else []
    for sign, bound in argument.bounds:
        at, step = float(bound), -0.5 if sign[0] == ">" else 0.5
        numbers += [at + step, *([] if "=" in sign else [at])]
    return numbers


@each_dtype
@each_number
def test_a_number_outside_of_its_bounds_is_refused(case, argument, dtype):
    """Now, and where it has been changed since it was recorded: then before anything else has run."""
    for wrong in outside(argument):
        made = case.make(3, 7, dtype, random(3, 7))
        bounds = re.escape(" and ".join(f"{sign} {float(number):g}" for sign, number in argument.bounds))
        message = rf"^{case.op}: {argument.name} is {wrong}, expected a number {bounds}"
        with pytest.raises(ValueError, match=message + "$"):
            case.kernel(dtype)(**copied(made) | {argument.name: wrong})
        cell, count, tape = np.array([value_of(made[argument.name])]), np.zeros(1), Tape()
        recorded = made | {argument.name: cell}
        kernel("increment", dtype)(count, tape)
        case.kernel(dtype)(**recorded, tape=tape)
        before = {name: recorded[name].tobytes() for name in case.outputs}
        cell[0] = wrong
        for options in ({}, {"parts": 3}):
            with pytest.raises(ValueError, match=message + ": it has been changed since the call was recorded$"):
                tape.replay(**options)
        assert {name: recorded[name].tobytes() for name in case.outputs} == before
        assert count[0] == 0


@each_dtype
def test_a_number_that_a_function_changes_in_between_is_refused_where_it_is_read(dtype):
    w, dw, lr, decay, tape = *np.ones((2, 5), dtype), np.array([0.1]), np.array([0.0]), Tape()
    tape.call(lambda: decay.fill(-1))
    kernel("sgd", dtype)(w, dw, None, lr, 0.0, decay, tape=tape)
    for parts in (1, 2):
        decay[0] = 0
        with pytest.raises(ValueError, match=r"^sgd: weight_decay is -1\.0, expected a number >= 0"):
            tape.replay(parts=parts)
        assert (w == 1).all()


@each_dtype
@pytest.mark.parametrize(("op", "memory"), [("sgd", ()), ("rmsprop", ("square",))])
def test_momentum_that_leaves_0_needs_its_velocity(op, memory, dtype):
    momentum, tape = np.array([0.0]), Tape()
    arguments = {"w": np.ones(5, dtype), "dw": np.ones(5, dtype), "velocity": None, "lr": 0.1, "momentum": momentum}
    arguments |= {name: np.ones(5, dtype) for name in memory} | ({"mean": None} if op == "rmsprop" else {})
    kernel(op, dtype)(**arguments, tape=tape)
    tape.replay()
    before = arguments["w"].copy()
    momentum[0] = 0.9
    with pytest.raises(ValueError, match=rf"^{op}: momentum is 0\.9 and velocity is None, expected an array unless"):
        tape.replay()
    np.testing.assert_array_equal(arguments["w"], before)
    with pytest.raises(ValueError, match=rf"^{op}: velocity is None, expected .* array .* unless momentum is 0"):
        kernel(op, dtype)(**arguments)
    momentum[0] = 0
    tape.replay()


@each_dtype
def test_a_centered_rule_needs_its_mean(dtype):
    w, dw, square = np.ones((3, 5), dtype)
    with pytest.raises(ValueError, match=r"^rmsprop: mean is None, expected .* unless centered is 0: it is True"):
        kernel("rmsprop", dtype)(w, dw, square, None, None, 0.1, centered=True)
    assert (w == 1).all()


@each_dtype
def test_a_tape_keeps_the_numbers_that_it_reads(dtype):
    """A float that nobody else holds, and one made of a whole number."""
    w, dw, tape = *np.ones((2, 3), dtype), Tape()
    for i in range(100):
        kernel("sgd", dtype)(w, dw, None, float(f"1e-{i}"), tape=tape)
        kernel("sgd", dtype)(w, dw, None, i, tape=tape)
    gc.collect()
    others = [float(f"7e{i}") for i in range(2000)]
    tape.replay()
    assert len(others) == 2000
    expected = np.ones(3, dtype)
    for i in range(100):
        for lr in (float(f"1e-{i}"), float(i)):
            kernel("sgd", dtype)(expected, dw, None, lr)
    np.testing.assert_array_equal(w, expected)


@each_dtype
@pytest.mark.parametrize("name", FUSED)
def test_the_constant_of_a_fused_activation(name, dtype):
    """By default that of the activation; bounds are those of the activation; what has none takes none."""
    row = kernels.float64.activations[name]
    others = FUSED[name]
    for op, make in (("dense_forward", dense_arguments), ("dense_backward", dense_backward_arguments)):
        made = make(3, 4, 5, dtype, random(3, 4), activation=name)
        outputs = ("y",) if op == "dense_forward" else ("dx", "dw", "db")
        for constant in ("alpha", "beta"):
            if constant not in row.constants:
                has = "only one" if row.constants else "no"
                message = rf"^{op}: {constant} is 0\.5, expected None: {name} has {has} constant"
                with pytest.raises(ValueError, match=message):
                    kernel(op, dtype)(**copied(made), **{constant: 0.5})
        if not row.constants:
            continue
        default, given = copied(made), copied(made)
        kernel(op, dtype)(**default)
        kernel(op, dtype)(**given, **row.constants)
        for output in outputs:
            np.testing.assert_array_equal(default[output], given[output])
        cells, tape = {constant: np.array([value]) for constant, value in row.constants.items()}, Tape()
        kernel(op, dtype)(**made, **cells, tape=tape)
        for constant, bounds in row.bounds.items():
            for sign, limit in bounds:
                for wrong in (-0.5, np.nan, *([0.0] if sign == ">" else [])):
                    message = rf"^{op}: {constant} is {wrong}, expected a number {sign} {limit}"
                    with pytest.raises(ValueError, match=message + f" for {name}$"):
                        kernel(op, dtype)(**copied(made), **{constant: wrong})
                    cells[constant][0] = wrong
                    with pytest.raises(ValueError, match=message + ": it has been changed"):
                        tape.replay()
                    cells[constant][0] = row.constants[constant]
        for constant, value in others.items():
            cells[constant][0] = value
        tape.replay()
        expected = copied(made)
        kernel(op, dtype)(**expected, **others)
        for output in outputs:
            np.testing.assert_array_equal(made[output], expected[output])


@each_dtype
def test_a_constant_without_an_activation_is_refused(dtype):
    arguments = dense_arguments(3, 4, 5, dtype, random(3, 4))
    with pytest.raises(ValueError, match=r"^dense_forward: alpha is 0\.1, expected None: None has no constant"):
        kernel("dense_forward", dtype)(**arguments, alpha=0.1)


def first_cases() -> list[Case]:
    return list({case.op: case for case in reversed(CASES)}.values())


@pytest.mark.parametrize("case", first_cases(), ids=str)
def test_wrong_calls_name_the_kernel_and_what_it_expects(case):
    function, made = case.kernel(np.float64), case.make(3, 7, np.float64, random(3, 7))
    parameters = inspect.signature(function).parameters
    names, first = [*parameters], next(iter(made))
    most = sum(parameter.kind is not inspect.Parameter.KEYWORD_ONLY for parameter in parameters.values())
    every = ", ".join(names)
    for call, message in (
        (lambda: function(*[None] * (most + 1)), f"{most + 1} arguments, expected at most {most}: {names[0]}"),
        (lambda: function(**made, nonsense=1), f"unknown argument 'nonsense', expected {every}"),
        (lambda: function(made[first], **made), f"{first} is given twice, expected {every}"),
        (lambda: function(**{name: value for name, value in made.items() if name != first}), f"{first} is missing"),
        (lambda: function(**made, tape=3), "tape is int, expected a Tape or None"),
    ):
        with pytest.raises(TypeError, match=f"^{case.op}: {message}"):
            call()


@each_number
def test_what_is_no_number_is_refused(case, argument):
    made = case.make(3, 7, np.float64, random(3, 7))
    for wrong, kind, got in (
        ("fast", TypeError, "'fast'"),
        ([1.0], TypeError, "list"),
        (np.ones(2), ValueError, r"shape \(2,\)"),
        (np.ones(1, np.float32), ValueError, r"float32 of shape \(1,\)"),
        (np.ones((1, 1)), ValueError, r"float64 of shape \(1, 1\)"),
        (1j, TypeError, "complex"),
    ):
        with pytest.raises(kind, match=rf"^{case.op}: {argument.name} (is|has) .*{got}, expected "):
            case.kernel(np.float64)(**copied(made) | {argument.name: wrong})


@pytest.mark.parametrize("case", first_cases(), ids=str)
def test_keywords_in_any_order_and_of_any_making(case):
    made = case.make(3, 7, np.float64, random(3, 7))
    plain, turned = copied(made), copied(made)
    parameters = inspect.signature(case.kernel(np.float64)).parameters
    named = {name: plain[name] for name in plain if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY}
    case.kernel(np.float64)(*[plain[name] for name in plain if name not in named], **named)
    names = list(turned)[::-1]
    case.kernel(np.float64)(**{"".join(list(name)): turned[name] for name in names})  # names that are not interned
    for output in case.outputs:
        np.testing.assert_array_equal(plain[output], turned[output])


def test_names_are_fixed_when_they_are_recorded_and_must_be_names():
    arguments = dense_arguments(3, 4, 5, np.float64, random(3, 4))
    with pytest.raises(TypeError, match=r"^dense_forward: activation is 3, expected a name or None"):
        kernel("dense_forward", np.float64)(**arguments, activation=3)


def test_activations_stay_in_the_range_that_the_table_says():
    x = np.concatenate([np.linspace(-800, 800, 20_001), np.linspace(-10, 10, 20_001)])[None]
    for name, row in kernels.float64.activations.items():
        for factor in (0.3, 1.0, 2.5) if row.constants else (1.0,):
            y, constants = np.empty_like(x), {constant: factor * value for constant, value in row.constants.items()}
            getattr(kernels.float64, f"{name}_forward")(x, y, **constants)
            low, high = (eval(bound, {**constants, "inf": np.inf}) for bound in row.range)
            assert low <= y.min()
            assert y.max() <= high
            if row.elementwise and np.isfinite(low):
                assert y.min() - low <= 1e-2 * max(1, abs(low)), f"{name}: y does not come near {low}"


@each_dtype
def test_dense_backward_records_what_it_is_asked_for(dtype):
    """Two calls: dw with db, and dx."""
    arguments, tape = dense_backward_arguments(3, 4, 5, dtype, random(3, 4)), Tape()
    kernel("dense_backward", dtype)(**arguments, tape=tape)
    assert len(tape) == 2
    for missing in (("dx",), ("dw", "db"), ("dx", "dw", "db")):
        tape = Tape()
        kernel("dense_backward", dtype)(**arguments | dict.fromkeys(missing), tape=tape)
        assert len(tape) == 2 - ("dx" in missing) - ("dw" in missing)
        tape.replay()


def test_builds_are_copied_as_names():
    assert pickle.loads(pickle.dumps(kernels.float32)) is kernels.float32


class Raising:
    """A number that is none."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error("by the number")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError, ZeroDivisionError])
def test_what_a_number_raises_is_not_hidden(error):
    x = np.ones((2, 3))
    with pytest.raises(error, match="by the number"):
        kernels.float64.elu_forward(x, x, Raising(error))
    with pytest.raises(TypeError, match=r"^elu_forward: alpha is Raising, expected a number"):
        kernels.float64.elu_forward(x, x, Raising(ValueError))
    with pytest.raises(TypeError, match=r"^elu_forward: alpha is int, expected a number"):
        kernels.float64.elu_forward(x, x, 10**5000)


def test_a_number_that_another_argument_changes_is_refused():
    class Changing:
        def __float__(self) -> float:
            momentum.fill(-7)
            return 0.0

    momentum, w = np.array([0.5]), np.ones(3)
    with pytest.raises(ValueError, match=r"^sgd: momentum is -7\.0, expected a number >= 0"):
        kernels.float64.sgd(w, np.ones(3), np.ones(3), 0.1, momentum, Changing())
    assert (w == 1).all()


def test_more_parts_than_units_are_no_more_work():
    x, y, tape = np.ones((2, 3)), np.empty((2, 3)), Tape()
    kernels.float64.relu_forward(x, y, tape)
    tape.replay(parts=2**62)
    assert (y == 1).all()

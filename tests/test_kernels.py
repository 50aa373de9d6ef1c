"""Every kernel does what its twin in `fastnn.reference` does: the same numbers, and errors for wrong arguments."""

import inspect
import math
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np
import pytest
from cases import (
    CASES,
    DENSE_BACKWARD_SCALE,
    DENSE_SGD_SCALE,
    DROPOUT,
    DTYPES,
    GUARDS,
    NOISE,
    PRODUCTS,
    SHAPES,
    Arguments,
    Case,
    arrays,
    assert_close,
    batch_norm_arguments,
    copied,
    dense_arguments,
    dense_backward_arguments,
    dense_forward_scale,
    dense_sgd_arguments,
    kernel,
    layer_norm_backward_arguments,
    random,
    scale_of,
    shapes_of,
    unset,
)
from nets import same_bits

from fastnn import Tape, reference
from fastnn._core.team import Team
from fastnn.kernels import Rows

DENSE_ARGUMENTS = {
    "dense_forward": dense_arguments, "dense_backward": dense_backward_arguments, "dense_sgd": dense_sgd_arguments
}  # fmt: skip

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
each_product = pytest.mark.parametrize("sizes", PRODUCTS, ids=lambda sizes: "x".join(map(str, sizes)))


def in_turn(name: str, values: Callable[[Case], Iterable[Any]] | Iterable[Any]) -> Callable[..., Any]:
    """Run a test with each of some values, or of those that belong to its case: what fails says with which.

    That is one test: to begin and end thousands of them takes longer than what they do.
    """

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def all_of_them(**given: Any) -> None:
            value = None
            try:
                for value in values(given["case"]) if callable(values) else values:
                    test(**given, **{name: value})
            except (Exception, pytest.fail.Exception) as error:
                raise AssertionError(f"{name} {value}: {type(error).__name__}: {error}") from error

        own = inspect.signature(test)
        rest = [parameter for parameter in own.parameters.values() if parameter.name != name]
        all_of_them.__signature__ = own.replace(parameters=rest)
        return all_of_them

    return decorate


in_all_shapes = in_turn("shape", SHAPES)


def each_case(cases=CASES):
    return pytest.mark.parametrize("case", cases, ids=str)


def first_of_each_op():
    return list({case.op: case for case in reversed(CASES)}.values())


def assert_equals_reference(case: Case, dtype: type, arguments: Arguments) -> Arguments:
    """Call kernel and reference with copies of the arguments, compare all arrays, return those of the kernel."""
    got, expected = copied(arguments), copied(arguments)
    case.reference()(**expected)
    case.kernel(dtype)(**got)
    for name, value in arrays(arguments).items():
        if name not in case.outputs:
            np.testing.assert_array_equal(got[name], value, err_msg=f"{case.op} changed its input {name}")
        elif value.dtype.kind == "f":
            assert_close(got[name], expected[name], scale_of(case, name, arguments, expected[name]), dtype)
        else:
            np.testing.assert_array_equal(got[name], expected[name])
    return got


@each_dtype
@each_case()
@in_all_shapes
def test_equals_reference(case, dtype, shape):
    assert_equals_reference(case, dtype, case.make(*shape, dtype, random(*shape)))


@each_dtype
@each_case()
@in_turn("shape", ((0, 0), (3, 0)))
def test_empty_arrays_as_in_reference(case, dtype, shape):
    """Wherever a case can have no columns, and its kernel takes them: those of no rows are in `SHAPES`."""
    try:
        with np.errstate(all="ignore"):
            got = case.make(*shape, dtype, random(*shape))
        expected = copied(got)
        case.kernel(dtype)(**got)
    except (ValueError, IndexError):
        return
    case.reference()(**expected)
    for name in case.outputs:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


@each_dtype
@each_case()
def test_numbers_are_floats_or_arrays(case, dtype):
    """All of them, of kernels and of their twins: to the same bits."""
    arguments, declared = case.make(3, 7, dtype, random(3, 7)), case.kernel(dtype).__self__.declared.arguments
    numbers = {a.name: arguments.get(a.name, a.default) for a in declared if a.role == "cell"}
    numbers = {name: n for name, n in numbers.items() if n is not None and not isinstance(n, str)}  # "None"
    for function in (case.kernel(dtype), case.reference()):
        found = []
        for form in (float, lambda number: np.full(1, number, np.float64)):
            given = copied(arguments)
            given |= {name: form(np.ravel(n)[0]) for name, n in numbers.items()}
            function(**given)
            found.append([given[name] for name in case.outputs])
        for name, one, other in zip(case.outputs, *found, strict=True):
            assert same_bits(one, other), name


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 11])
@each_dtype
@each_case([case for case in CASES if "softmax" in case.op or "from_logits" in case.op])
def test_rows_of_few_numbers_equal_reference(case, dtype, n):
    """They are turned into columns, and back."""
    for rows in (2, 6, 67):
        assert_equals_reference(case, dtype, case.make(rows, n, dtype, random(rows, n)))


@each_product
@each_dtype
def test_dense_forward_of_many_sizes(dtype, sizes):
    case = Case("dense_forward", dense_arguments, ("y",), {"y": dense_forward_scale})
    for activation in ("relu", "leaky_relu"):  # in registers, where vectors are long, and behind each rectangle
        arguments = dense_arguments(*sizes, dtype, random(*sizes[:2]), activation=activation)
        assert_equals_reference(case, dtype, arguments)


@each_product
@each_dtype
def test_dense_backward_of_many_sizes(dtype, sizes):
    case = Case("dense_backward", dense_backward_arguments, ("dx", "dw", "db"), DENSE_BACKWARD_SCALE)
    assert_equals_reference(case, dtype, dense_backward_arguments(*sizes, dtype, random(*sizes[:2])))


@each_product
@each_dtype
def test_dense_sgd_of_many_sizes(dtype, sizes):
    case = Case("dense_sgd", dense_sgd_arguments, ("w", "b"), DENSE_SGD_SCALE)
    assert_equals_reference(case, dtype, dense_sgd_arguments(*sizes, dtype, random(*sizes[:2])))


@each_product
@each_dtype
def test_products_have_the_same_bits_in_any_parts(dtype, sizes):
    rng = random(*sizes[:2])
    forward = dense_arguments(*sizes, dtype, rng, activation="tanh")
    backward = dense_backward_arguments(*sizes, dtype, rng, activation="sigmoid")
    step = dense_sgd_arguments(*sizes, dtype, rng)
    tape = Tape()
    kernel("dense_forward", dtype)(**forward, tape=tape)
    kernel("dense_backward", dtype)(**backward, tape=tape)
    kernel("dense_sgd", dtype)(**step, tape=tape)
    outputs = [forward["y"], backward["dx"], backward["dw"], backward["db"], step["w"], step["b"]]
    before = [output.copy() for output in outputs]
    tape.replay()
    whole = [output.copy() for output in outputs]

    def assert_same_again(message: str, **options) -> None:
        for output, value in zip(outputs, before, strict=True):
            output[...] = value
        tape.replay(**options)
        for output, expected in zip(outputs, whole, strict=True):
            np.testing.assert_array_equal(output.view(np.uint8), expected.view(np.uint8), err_msg=message)

    for parts in (2, 3, 7):
        assert_same_again(f"{parts} parts", parts=parts)
    for n_threads in (2, 3, 4):
        with Team(n_threads, divide_all=True) as team:
            assert_same_again(f"{n_threads} threads", team=team)


@each_dtype
def test_what_updates_parameters_takes_subnormal_numbers_for_0(dtype):
    """Eager, replayed, in parts and by threads; other kernels and NumPy do not."""
    tiny = np.finfo(dtype).smallest_subnormal * np.arange(1000, 1064).astype(dtype)
    w, dw, y, velocity, tape = np.empty_like(tiny), tiny.copy(), np.empty_like(tiny), np.zeros_like(tiny), Tape()

    def step(tape=None):
        kernel("sgd", dtype)(w, dw, velocity, 1.0, 0.9, tape=tape)

    step(tape)
    with Team(2, divide_all=True) as team:
        for run in (step, tape.replay, lambda: tape.replay(parts=3), lambda: tape.replay(team=team)):
            w[...] = 2 * tiny
            run()
            np.testing.assert_array_equal(w, 0)
            kernel("relu_forward", dtype)(tiny[None], y[None])
            np.testing.assert_array_equal(y, tiny)
            assert np.all(tiny / dtype(2) > 0)


@each_product
@each_dtype
def test_plain_sgd_keeps_subnormal_numbers_also_within_a_product(dtype, sizes):
    """Gradients are sums of them, and may be larger; what is updated may be smaller.

    Of many columns all but 8 are 0, since a processor takes a hundred times as long for numbers that are subnormal.
    """
    rng, least, lr = random(*sizes[:2]), np.finfo(dtype).smallest_normal, np.full(1, 0.37)
    a = dense_backward_arguments(*sizes, dtype, rng, dx=False)
    some = rng.permutation(sizes[2]) < 8
    x, dy, dw, db = a["x"], a["dy"] * (least / 8) * some, a["dw"], a["db"]
    kernel("dense_backward", dtype)(x, a["w"], dy, None, dw, db)
    for scale in (0, least / 8, least):
        w, b = (rng.normal(size=shape).astype(dtype) * dtype(scale) for shape in (dw.shape, db.shape))
        within = w.copy(), b.copy()
        kernel("dense_sgd", dtype)(x, *within, dy, lr)
        kernel("sgd", dtype)(w.reshape(-1), dw.reshape(-1), None, lr)
        kernel("sgd", dtype)(b, db, None, lr)
        assert same_bits(within[0], w)
        assert same_bits(within[1], b)


@each_dtype
def test_plain_sgd_keeps_subnormal_numbers_of_tables(dtype):
    rng, least, lr = random(40, 5), np.finfo(dtype).smallest_normal, np.full(1, 0.37)
    x, dy = rng.integers(0, 5, (40, 1)).astype(dtype), (rng.normal(size=(40, 3)) * (least / 8)).astype(dtype)
    table, dtable = (rng.normal(size=(6, 3)) * least).astype(dtype), np.empty((6, 3), dtype)
    within = table.copy()
    kernel("embedding_sgd", dtype)(x, dy, within, lr)
    kernel("embedding_backward", dtype)(x, dy, dtable)
    kernel("sgd", dtype)(table.reshape(-1), dtable.reshape(-1), None, lr)
    assert same_bits(within, table)
    assert np.any((table != 0) & (np.abs(table) < least))


@each_product
@each_dtype
def test_what_is_fused_into_products_has_the_bits_of_separate_passes(dtype, sizes):
    rng = random(*sizes[:2])
    x, dy = dense_backward_arguments(*sizes, dtype, rng)["x"], rng.normal(size=(sizes[0], sizes[2])).astype(dtype)
    step = dense_sgd_arguments(*sizes, dtype, rng)
    w, b, lr = step["w"].copy(), step["b"].copy(), step["lr"]
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    kernel("dense_backward", dtype)(x, w, dy, dx, dw, db)
    some_nan = x.copy()
    some_nan[::3, ::2] = np.nan  # where the derivative of relu is 0
    for name, saved in (("tanh", x), ("relu", x), ("relu", some_nan)):
        fused, apart = np.empty_like(x), np.empty_like(x)
        kernel("dense_backward", dtype)(saved, w, dy, fused, None, None, name)
        kernel(f"{name}_backward", dtype)(saved, dx, apart)
        assert same_bits(fused, apart), name
    kernel("dense_sgd", dtype)(x, step["w"], step["b"], dy, lr)
    kernel("sgd", dtype)(w.reshape(-1), dw.reshape(-1), None, lr)
    kernel("sgd", dtype)(b, db, None, lr)
    np.testing.assert_array_equal(step["w"], w)
    np.testing.assert_array_equal(step["b"], b)
    x[-1:, :1] = np.nan
    x[0], w[0] = 0, np.sqrt(np.finfo(dtype).smallest_subnormal) / 4
    x[:1, :1], w[0, ::2] = w[0, :1], -w[0, ::2]  # products of -0 and 0
    y, fused, apart = (np.empty_like(dy) for _ in range(3))
    for bias in (None, b):
        kernel("dense_forward", dtype)(x, w, bias, y)
        for name in ("tanh", "relu"):
            kernel("dense_forward", dtype)(x, w, bias, fused, name)
            kernel(f"{name}_forward", dtype)(y, apart)
            assert same_bits(fused, apart), name


@each_product
@each_dtype
def test_what_scales_the_columns_of_a_product_has_the_bits_of_separate_passes(dtype, sizes):
    """In any parts, with and without an activation, and with rows that an index chooses."""
    rng = random(*sizes[:2])
    arguments = dense_arguments(*sizes, dtype, rng)
    x, w, b, y = arguments.values()
    factor, offset = rng.normal(size=(2, sizes[2])).astype(dtype)
    expected = {None: np.empty_like(y), "tanh": np.empty_like(y), "elu": np.empty_like(y)}
    for activation, values in expected.items():
        kernel("dense_forward", dtype)(x, w, b, values)
        kernel("scale_columns", dtype)(values, factor, offset, values)
        if activation is not None:
            kernel(f"{activation}_forward", dtype)(values, values)
    for activation, values in expected.items():
        for rows in (x, Rows(np.concatenate([x[:1], x]), np.arange(1, len(x) + 1), np.array([0]))):
            tape = Tape()
            kernel("dense_forward", dtype)(rows, w, b, y, activation, factor=factor, offset=offset, tape=tape)
            for options in ({}, {"parts": 2}, {"parts": 7}):
                y[...] = np.nan
                tape.replay(**options)
                np.testing.assert_array_equal(y, values, err_msg=f"{activation} {options}")
        with Team(3, divide_all=True) as team:
            y[...] = np.nan
            tape.replay(team=team)
            np.testing.assert_array_equal(y, values, err_msg=f"{activation}")


@each_dtype
def test_dense_takes_a_factor_and_an_offset_or_neither(dtype):
    arguments, array = dense_arguments(3, 4, 5, dtype, random(3, 4)), np.ones(5, dtype)
    for dense_forward in (kernel("dense_forward", dtype), reference.dense_forward):
        for given, missing in (("factor", "offset"), ("offset", "factor")):
            with pytest.raises(ValueError, match=f"^dense_forward: {missing} is None, expected an array where {given}"):
                dense_forward(**arguments, **{given: array})


def chosen(x: np.ndarray, rng: np.random.Generator) -> Rows:
    """Rows that stand for those of x: strewn over a larger array, and one of them is there twice."""
    index = rng.permutation(2 * len(x) + 5)[: len(x) + 3]
    array = rng.normal(size=(2 * len(x) + 5, x.shape[1])).astype(x.dtype)
    array[index[2 : len(x) + 2]] = x
    if len(x) > 1:
        index[-2], x[-1] = index[2], x[0]
    return Rows(array, index, np.array([2]))


@pytest.mark.once
@each_dtype
@pytest.mark.parametrize("op", DENSE_ARGUMENTS)
def test_the_twin_takes_rows_that_lie_anywhere(op, dtype):
    for sizes in PRODUCTS:
        if math.prod(sizes) > 1 << 22:  # to choose rows is the same where they are many
            continue
        rng = random(*sizes[:2])
        arguments = DENSE_ARGUMENTS[op](*sizes, dtype, rng)
        rows = chosen(arguments["x"], rng)
        got, twin = copied(arguments), copied(arguments)
        getattr(reference, op)(**got | {"x": rows})
        getattr(reference, op)(**twin)
        for name in arrays(twin).keys() - {"x"}:
            np.testing.assert_array_equal(got[name], twin[name], err_msg=f"{name} of {sizes}")


@each_product
@each_dtype
def test_rows_that_lie_anywhere_give_the_bits_of_rows_that_are_copied(dtype, sizes):
    rng = random(*sizes[:2])
    of = {
        "dense_forward": dense_arguments(*sizes, dtype, rng, activation="relu"),
        "dense_backward": dense_backward_arguments(*sizes, dtype, rng, dx=False),
        "dense_sgd": dense_sgd_arguments(*sizes, dtype, rng),
    }
    tape, outputs, expected = Tape(), [], []
    for op, arguments in of.items():
        rows, copies = chosen(arguments["x"], rng), copied(arguments)
        kernel(op, dtype)(**copies)
        expected += [copies[name] for name in ("y", "w", "b", "dw", "db") if name in copies]
        outputs += [arguments[name] for name in ("y", "w", "b", "dw", "db") if name in arguments]
        kernel(op, dtype)(**arguments | {"x": rows}, tape=tape)
    before = [output.copy() for output in outputs]

    def assert_same(**options) -> None:
        for output, value in zip(outputs, before, strict=True):
            output[...] = value
        tape.replay(**options)
        for output, value in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(output.view(np.uint8), value.view(np.uint8), err_msg=str(options))

    for parts in (1, 2, 3, 7):
        assert_same(parts=parts)
    for n_threads in (2, 3, 4):
        with Team(n_threads, divide_all=True) as team:
            assert_same(team=team)


@each_dtype
@pytest.mark.parametrize("op", DENSE_ARGUMENTS)
def test_wrong_rows_are_refused(op, dtype):
    arguments = DENSE_ARGUMENTS[op](4, 6, 5, dtype, random(4, 6))
    array, index, cursor = np.ones((9, 6), dtype), np.arange(9), np.array([3])
    for rows, message in (
        (Rows(array[:, ::2], index, cursor), "x is .* not C-contiguous, expected a C-contiguous"),
        (Rows(array[:, :5].copy(), index, cursor), "w has shape .* to match x"),
        (Rows(array, index.astype(np.int32), cursor), "index is int32"),
        (Rows(array, index, None), "cursor is NoneType"),
        (Rows(array, index, np.array([3, 4])), r"cursor has shape \(2,\), expected \(1,\)"),
        (Rows(array, index, np.array([6])), "cursor is 6, expected 0 to 5 for 4 rows of an index of 9"),
        (Rows(array, index, np.array([-1])), "cursor is -1"),
        (Rows(array, index, np.array([2**63 - 1])), "cursor is 9223372036854775807"),
        (Rows(array, index[:3], cursor), "index has length 3, expected 4 or more"),
        (Rows(array, index + 1, cursor), r"index\[8\] is 9, expected that of one of 9 rows of x"),
        (Rows(array, index - 1, cursor), r"index\[0\] is -1"),
    ):
        with pytest.raises((ValueError, TypeError), match=f"{op}: {message}"):
            kernel(op, dtype)(**arguments | {"x": rows})
    for output in {"dense_forward": ("y",), "dense_backward": ("dx", "dw", "db"), "dense_sgd": ("w", "b")}[op]:
        memory = np.arange(64)
        shape, size = arguments[output].shape, arguments[output].size
        overlapping = arguments | {output: memory.view(dtype)[:size].reshape(shape)}
        for place, rows in (("index", Rows(array, memory[:9], cursor)), ("cursor", Rows(array, index, memory[1:2]))):
            with pytest.raises(ValueError, match=f"{op}: {output} overlaps {place}"):
                kernel(op, dtype)(**overlapping | {"x": rows})


@each_dtype
def test_rows_that_are_chosen_are_no_output_of_an_activation(dtype):
    arguments = dense_backward_arguments(4, 6, 5, dtype, random(4, 6), activation="relu")
    rows = Rows(np.ones((9, 6), dtype), np.arange(9), np.array([3]))
    with pytest.raises(ValueError, match="activation is 'relu', expected None"):
        kernel("dense_backward", dtype)(**arguments | {"x": rows})


def special_places(case):
    """Where NaN and infinities can arrive: (argument, number).

    An infinite target or weight means nothing, nor does what is left of a parameter that is not a number.
    """
    given = arrays(case.make(3, 7, np.float64, random(3, 7)))
    for name, value in given.items():
        is_input = value.dtype.kind == "f" and not np.all(np.isnan(value))
        is_optimizer_state = {"lr", "step"} & given.keys() and name in ("w", "lr", "step")
        if is_input and not is_optimizer_state:
            for special in (np.nan,) if name in ("t", "weight") else (np.nan, np.inf, -np.inf):
                yield name, special


@each_dtype
@each_case([case for case in CASES if case.op not in GUARDS])
@in_turn("place", special_places)
@np.errstate(all="ignore")
def test_specials_flow_as_in_reference(case, place, dtype):
    name, special = place
    arguments = case.make(17, 19, dtype, random(17, 19))
    # One of the first numbers, which a vector handles, and the last, which the rest of a loop handles.
    arguments[name].reshape(-1)[[arguments[name].size // 3, -1]] = special
    assert_equals_reference(case, dtype, arguments)


@each_dtype
@each_case()
def test_read_only_inputs(case, dtype):
    arguments = case.make(3, 7, dtype, random(3, 7))
    for name, value in arrays(arguments).items():
        value.flags.writeable = name in case.outputs
    case.kernel(dtype)(**arguments)


@each_dtype
@each_case([case for case in CASES if case.alias])
@in_all_shapes
def test_aliased(case, dtype, shape):
    source, output = case.alias
    arguments = case.make(*shape, dtype, random(*shape))
    apart, aliased = copied(arguments), copied(arguments)
    aliased[output] = aliased[source]
    case.kernel(dtype)(**apart)
    case.kernel(dtype)(**aliased)
    np.testing.assert_array_equal(aliased[output], apart[output])


@each_dtype
@each_case([case for case in CASES if case.alias])
def test_partial_overlap_is_refused(case, dtype):
    source, output = case.alias
    arguments = case.make(3, 7, dtype, random(3, 7))
    memory = unset((4, *arguments[source].shape[1:]), dtype)
    memory[:3] = arguments[source]
    arguments[source], arguments[output] = memory[:3], memory[1:]
    with pytest.raises(ValueError, match=f"^{case.op}: {output} overlaps {source}"):
        case.kernel(dtype)(**arguments)


def overlapping_pairs(case):
    """Every output with every other array that is there."""
    names = list(arrays(case.make(3, 7, np.float64, random(3, 7))))
    return [(output, other) for output in case.outputs for other in names if other != output]


@each_dtype
@each_case()
@in_turn("pair", overlapping_pairs)
def test_an_output_that_overlaps_another_array_is_refused(case, pair, dtype):
    """The same first byte, the end of the one in the beginning of the other, and the other way round."""
    output, other = pair
    made = case.make(3, 7, dtype, random(3, 7))
    ends = [(made[name].nbytes - 1) // 8 * 8 for name in (output, other)]  # aligned, and still in the array
    for output_at, other_at in ((0, 0), (0, ends[0]), (ends[1], 0)):
        if output_at == other_at and case.alias == (other, output):
            continue
        arguments, memory = dict(made), np.zeros(sum(made[name].nbytes for name in (output, other)) + 8, np.uint8)
        for name, at in ((output, output_at), (other, other_at)):  # the other last, so that its numbers are valid
            value = made[name]
            arguments[name] = memory[at : at + value.nbytes].view(value.dtype).reshape(value.shape)
            arguments[name][...] = value
        ways = [f"{output} overlaps {other}", *([f"{other} overlaps {output}"] if other in case.outputs else [])]
        before = memory.copy()
        with pytest.raises(ValueError, match=f"^{case.op}: ({'|'.join(ways)}) in memory, expected separate arrays"):
            case.kernel(dtype)(**arguments)
        np.testing.assert_array_equal(memory, before)


@each_dtype
def test_an_output_that_overlaps_rows_that_run_backwards_is_refused(dtype):
    """Where an array begins is not where its memory does."""
    memory, index, cursor = np.ones((8, 2), dtype), np.array([0, 1]), np.array([0])
    for x, y in (
        (memory[5::-1], memory[:2]),
        (memory[5::-1], memory[4:6]),
        (memory[5:1:-1, ::-1], memory[2:4]),
    ):
        with pytest.raises(ValueError, match=r"^gather_rows: y overlaps x in memory"):
            kernel("gather_rows", dtype)(x, index, cursor, y)
    kernel("gather_rows", dtype)(memory[5:1:-1], index, cursor, memory[:2])
    kernel("gather_rows", dtype)(memory[5:1:-1], index, cursor, memory[6:])


def is_measure(case: Case, i: int, dimension: int) -> bool:
    """Whether the length of an array's dimension is the one that others are measured by: it may be any."""
    name, shapes = list(arrays(case.make(3, 7, np.float64, random(3, 7))))[i], shapes_of(case)
    symbol = (shapes[name] or ("1",))[dimension]  # that of a number is (1,)
    before = list(shapes)[: list(shapes).index(name)]
    return not symbol.isdigit() and not any(symbol in shapes[other] for other in before)


def longer(case: Case, i: int, value: np.ndarray) -> np.ndarray | None:
    """One row more."""
    return None if is_measure(case, i, 0) else np.resize(value, (len(value) + 1, *value.shape[1:]))


def wider(case: Case, i: int, value: np.ndarray) -> np.ndarray | None:
    """One column more."""
    if value.ndim < 2 or is_measure(case, i, -1):
        return None
    return np.resize(value, (*value.shape[:-1], value.shape[-1] + 1))


def deeper(case: Case, i: int, value: np.ndarray) -> np.ndarray:
    return value[None].copy()


def strided(case: Case, i: int, value: np.ndarray) -> np.ndarray | None:
    """Every second number in memory; some arrays may have any layout, and one number has none."""
    name = list(arrays(case.make(3, 7, np.float64, random(3, 7))))[i]
    declared = case.kernel(np.float64).__self__.declared.arguments
    if value.size == 1 or any(argument.strided for argument in declared if argument.name == name):
        return None
    return np.repeat(value, 2, axis=-1)[..., ::2]


def of_other_dtype(case: Case, i: int, value: np.ndarray) -> np.ndarray:
    others = {
        "float32": np.float64, "float64": np.float32, "int64": np.int32, "int32": np.int64, "int8": np.uint8,
        "uint16": np.int16,
    }  # fmt: skip
    return value.astype(others[value.dtype.name])


def byte_swapped(case: Case, i: int, value: np.ndarray) -> np.ndarray | None:
    """One byte has no order."""
    return None if value.itemsize == 1 else value.astype(value.dtype.newbyteorder())


def wrong_arguments(case):
    """(place, argument, change) of every change to every array argument that makes it wrong."""
    for change in (longer, wider, deeper, strided, of_other_dtype, byte_swapped):
        for i, (name, value) in enumerate(arrays(case.make(3, 7, np.float64, random(3, 7))).items()):
            if change(case, i, value) is not None:
                yield i, name, change


@each_dtype
@each_case(first_of_each_op())
@in_turn("wrong", wrong_arguments)
def test_wrong_array_is_refused(case, wrong, dtype):
    i, name, change = wrong
    arguments = case.make(3, 7, dtype, random(3, 7))
    arguments[name] = change(case, i, arguments[name])
    with pytest.raises(ValueError, match=rf"^{case.op}: {name}\b"):
        case.kernel(dtype)(**arguments)


@each_dtype
@each_case(first_of_each_op())
def test_read_only_outputs_are_refused(case, dtype):
    for name in case.outputs:
        arguments = case.make(3, 7, dtype, random(3, 7))
        arguments[name].flags.writeable = False
        with pytest.raises(ValueError, match=rf"^{case.op}: {name}\b"):
            case.kernel(dtype)(**arguments)


@each_dtype
@each_case(first_of_each_op())
def test_none_is_refused_where_an_array_is_required(case, dtype):
    parameters = inspect.signature(case.reference()).parameters
    for name, value in case.make(3, 7, dtype, random(3, 7)).items():
        required = isinstance(value, np.ndarray) and "None" not in str(parameters[name].annotation)
        if required:
            arguments = {**case.make(3, 7, dtype, random(3, 7)), name: None}
            with pytest.raises(TypeError, match=rf"^{case.op}: {name}\b"):
                case.kernel(dtype)(**arguments)


@pytest.mark.parametrize("label", [-1, 7, 2**40])
@each_dtype
@each_case([case for case in CASES if "labels" in case.op and "cross" in case.op])
def test_labels_out_of_range_are_refused(case, dtype, label):
    arguments = case.make(3, 7, dtype, random(3, 7))
    arguments["t"][2] = label
    with pytest.raises(ValueError, match=rf"^{case.op}: t\[2\] is {label}"):
        case.kernel(dtype)(**arguments)


@pytest.mark.parametrize("label", [-1, 7, 2**40])
@each_dtype
@each_case([case for case in CASES if "labels" in case.op and "cross" in case.op])
def test_a_label_that_leaves_its_range_makes_the_loss_nan(case, dtype, label):
    """Where it has been changed since it was recorded: its row has no gradient, nothing beyond is read or written."""
    arguments, tape = case.make(3, 7, dtype, random(3, 7)), Tape()
    expected = copied(arguments)
    case.kernel(dtype)(**expected)
    case.kernel(dtype)(**arguments, tape=tape)
    arguments["t"][1] = label
    tape.replay()
    assert np.isnan(arguments["value"][0])
    if arguments["dy"] is not None:
        expected["dy"][1] = 0
        np.testing.assert_array_equal(arguments["dy"], expected["dy"])


@each_dtype
@each_case([case for case in CASES if case.op.startswith("gather")])
def test_rows_out_of_range_are_refused(case, dtype):
    for change in ({"row": -1}, {"row": 7}, {"cursor": -1}, {"cursor": 10}):
        arguments = case.make(3, 7, dtype, random(3, 7))
        if "row" in change:
            arguments["index"][6] = change["row"]
        else:
            arguments["cursor"][0] = change["cursor"]
        with pytest.raises(ValueError, match=f"^{case.op}: "):
            case.kernel(dtype)(**arguments)


@each_dtype
@pytest.mark.parametrize("columns", [9, 64, 133])
def test_rows_are_gathered_from_any_layout(columns, dtype):
    """Long rows go eight at a time, and the last ones alone."""
    x = random(9, 5).normal(size=(columns, columns)).astype(dtype)
    index, cursor = random(9, columns).integers(0, columns // 2, 28), np.array([1])
    layouts = {
        "rows": x, "columns": x.T, "wider": x[:, 1:], "every second": x[::2, ::2], "every second row": x[::2],
        "backwards": x[::-1, ::-1], "rows backwards": x[::-1],
    }  # fmt: skip
    for name, source in layouts.items():
        y = unset((27, source.shape[1]), dtype)
        kernel("gather_rows", dtype)(source, index, cursor, y)
        np.testing.assert_array_equal(y, source[index[1:]], err_msg=name)


@each_dtype
@each_case([case for case in CASES if case.op.startswith(("columns", "embedding", "one_hot"))])
def test_columns_are_read_and_written_in_any_layout(case, dtype):
    """A column of a batch, and some columns of what a layer gives: nothing beside them is touched."""
    declared = {argument.name: argument.strided for argument in case.kernel(dtype).__self__.declared.arguments}
    apart, inside, around = case.make(17, 19, dtype, random(17, 19)), {}, {}
    for name, value in apart.items():
        inside[name] = value.copy() if isinstance(value, np.ndarray) else value
        if declared[name]:
            around[name] = np.full((19, 2 * value.shape[1] + 3), 7, dtype)
            inside[name] = around[name][1:-1, 2:-1][:, ::2]
            inside[name][...] = value
    before = copied(apart)
    case.kernel(dtype)(**apart)
    tape = Tape()
    case.kernel(dtype)(**inside, tape=tape)
    for options in ({}, {"parts": 3}, {"parts": 1000}):
        for output in case.outputs:
            inside[output][...] = before[output]
        tape.replay(**options)
        for output in case.outputs:
            np.testing.assert_array_equal(inside[output], apart[output])
    for array in around.values():
        assert (array[[0, -1]] == 7).all()
        assert (array[:, [0, 1, 3, -1]] == 7).all()


@each_dtype
@each_case([case for case in CASES if case.op.startswith("columns")])
def test_columns_out_of_range_are_refused(case, dtype):
    """Also where the index has been changed since the call was recorded."""
    arguments, tape = case.make(3, 7, dtype, random(3, 7)), Tape()
    case.kernel(dtype)(**arguments, tape=tape)
    for index in (-1, 7, 2**40):
        arguments["index"][1] = index
        with pytest.raises(ValueError, match=rf"^{case.op}: index\[1\] is {index}, expected that of one of 7 columns"):
            case.kernel(dtype)(**arguments)
        with pytest.raises(IndexError):
            tape.replay()


# operation, arguments that take other values, what the error says
NOT_DECLARED = (
    (
        "bins_forward", {"edges": lambda a: a[:, 1:]},
        "edges are 6, expected one more than the bins of v, of which there",
    ),
    ("bins_backward", {"edges": lambda a: a[:, 1:]}, "edges are 6, expected one more than the bins of v"),
    (
        "periodic_forward", {"y": lambda a: a[:, :, 1:]},
        r"y has \d+ numbers for each column, expected \d+: two for each",
    ),
    (
        "periodic_backward", {"dy": lambda a: a[:, :, :1]},
        r"dy has 1 numbers for each column, expected \d+, those of cos",
    ),
    (
        "grouped_forward", {"x": lambda a: a[:, :, :0]},
        r"w is for \d numbers of each group, expected up to 0, those of x",
    ),
    ("grouped_forward", {"y": lambda a: a[:, :, 1:]}, r"groups of y have \d numbers, expected \d: those of w, and one"),
    ("grouped_backward", {"dw": lambda a: None}, "dw is None, expected an array where db is one"),
    ("dense_backward", {"dw": lambda a: None}, "dw is None, expected an array where db is one"),
    ("prelu_forward", {"alpha": lambda a: a.repeat(7)[:2]}, "alpha has 2 numbers, expected 1 or one for each of 7 col"),
    ("maxout_forward", {"z": lambda a: a[:, :0]}, "z has no pieces, expected one at least"),
    ("gated_forward", {"x": lambda a: a[:, 1:]}, r"x has \d+ columns, expected twice as many as the \d+ of y or dy"),
    (
        "block_squares", {"sums": lambda a: a[:0]},
        r"sums has shape \(0,\), expected \(1,\), one for each 4096 of \d+ numb",
    ),
    (
        "mse", {"weight": lambda a: np.ones((3, 2), a.dtype)},
        r"weight has shape \(3, 2\), expected \(3, 1\) or \(3, 7\): of",
    ),
    ("quantiles", {"weight": lambda a: np.ones((3, 2), a.dtype)}, r"weight has shape \(3, 2\), expected \(3, 1\) or"),
    ("quantiles", {"q": lambda a: np.empty(0)}, "q has 0 numbers, expected as many as go into the "),
    (
        "cosine_similarity", {"weight": lambda a: np.ones((3, 2), a.dtype)},
        r"weight has shape \(3, 2\), expected \(3, 1\): of",
    ),
    (
        "binary_cross_entropy", {"positive": lambda a: np.ones(2)},
        r"positive has shape \(2,\), expected \(1,\) or \(7,\)",
    ),
    (
        "gaussian_nll", {"y": lambda a: a[:, 1:], "dy": lambda a: a[:, 1:]},
        r"y has \d+ columns, expected as many means as",
    ),
    ("gaussian_nll", {"t": lambda a: a[:, :1]}, r"t has 1 columns, expected \d+, as y has means and variances"),
    ("embedding_forward", {"table": lambda a: a[:0]}, "table has no rows, expected one for each code and a last one"),
)  # fmt: skip
# Of one column, where one for each row and one for each number are the same
OF_ONE_COLUMN = (
    ("mse", {"weight": lambda a: np.ones((3, 2), a.dtype)}, r"weight has shape \(3, 2\), expected \(3, 1\)$"),
    ("binary_cross_entropy", {"positive": lambda a: np.ones(2)}, r"positive has shape \(2,\), expected \(1,\)$"),
)


@each_dtype
@pytest.mark.parametrize(
    ("op", "changes", "message", "n"), [(*row, 7) for row in NOT_DECLARED] + [(*row, 1) for row in OF_ONE_COLUMN]
)
def test_what_no_declaration_says_is_refused_and_named(op, changes, message, n, dtype):
    case = next(case for case in CASES if case.op == op)
    arguments = case.make(3, n, dtype, random(3, n))
    arguments |= {"weight": np.ones((3, 1), dtype)} if "weight" in changes else {}
    for name, change in changes.items():
        changed = change(arguments.get(name))
        arguments[name] = None if changed is None else np.ascontiguousarray(changed)
    with pytest.raises(ValueError, match=rf"^{op}: {message}"):
        case.kernel(dtype)(**arguments)


@each_dtype
def test_momentum_needs_a_velocity(dtype):
    w, dw = np.ones((2, 3), dtype)
    for sgd in (kernel("sgd", dtype), reference.sgd):
        with pytest.raises(ValueError, match=r"^sgd: velocity is None"):
            sgd(w, dw, None, np.array([0.1]), 0.9)


@each_dtype
def test_velocity_rests_without_momentum(dtype):
    for sgd in (kernel("sgd", dtype), reference.sgd):
        w, dw, velocity = np.ones((3, 5), dtype)
        velocity[:] = 7
        sgd(w, dw, velocity, np.array([0.5]))
        np.testing.assert_array_equal(w, 0.5)
        np.testing.assert_array_equal(velocity, 7)


@pytest.mark.parametrize("name", ["softmax", "gelu", "silu", "mish", "softsign", "nonsense"])
@each_dtype
def test_dense_refuses_activations_that_need_their_input(dtype, name):
    for dense_forward in (kernel("dense_forward", dtype), reference.dense_forward):
        with pytest.raises(ValueError, match=f"^dense_forward: activation is '{name}'"):
            dense_forward(*dense_arguments(3, 2, 4, dtype, random(3, 2), activation=name).values())


# Dropout


def mask(rows: int, n: int, rate: float, seed: float = 1.0, count: float = 0.0, dtype: type = np.float32) -> np.ndarray:
    """Where dropout keeps what it is given."""
    y = np.empty((rows, n), dtype)
    kernel("dropout", dtype)(np.ones((rows, n), dtype), y, rate, seed, count)
    return y != 0


@each_dtype
def test_dropout_keeps_what_its_twin_keeps(dtype):
    """To the bit, beyond a vector and for seeds and counts of all 53 bits; and so do both dtypes."""
    for seed, count in ((0.0, 0.0), (2.0**53 - 1, 1.0), (1.0, 2.0**53 - 1), (12345.7, 3.2)):
        bits = reference.layers._dropout_bits(37, 1003, seed, count)
        for rate in (0.0, 2.0**-32, 0.1, 0.5, 1 - 2.0**-20):
            np.testing.assert_array_equal(mask(37, 1003, rate, seed, count, dtype), bits >= int(2**32 * rate))


@each_dtype
def test_dropout_at_a_rate_of_0_is_a_copy(dtype):
    x = random(17, 33).normal(size=(17, 33)).astype(dtype)
    x[3, :3], y = (np.nan, np.inf, -0.0), unset((17, 33), dtype)
    kernel("dropout", dtype)(x, y, 0.0, 1.0, 2.0)
    np.testing.assert_array_equal(x, y)
    assert np.signbit(y[3, 2])


@each_dtype
def test_dropout_does_not_pass_what_it_drops(dtype):
    x, y = np.resize(np.array([np.nan, np.inf, -np.inf], dtype), (20, 50)), unset((20, 50), dtype)
    kernel("dropout", dtype)(x, y, 0.5, 1.0, 2.0)
    kept = mask(20, 50, 0.5, 1.0, 2.0)
    np.testing.assert_array_equal(y, np.where(kept, x, 0))


def deviations(kept: np.ndarray, rate: float) -> float:
    """By how many standard deviations the number of what is kept differs from what is expected."""
    return abs(kept.sum() - kept.size * (1 - rate)) / np.sqrt(kept.size * rate * (1 - rate))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_dropout_keeps_as_many_as_chance_would(rate):
    """All together, in each row, each column and each call, with the variance of independent draws."""
    calls = np.stack([mask(400, 500, rate, count=count) for count in range(20)])
    assert deviations(calls, rate) < 4
    for axes in ((1, 2), (0, 2), (0, 1)):
        sums, n = calls.sum(axis=axes), calls.size // calls.shape[({0, 1, 2} - {*axes}).pop()]
        z = (sums - n * (1 - rate)) / np.sqrt(n * rate * (1 - rate))
        assert np.abs(z).max() < 5
        if z.size >= 100:
            assert 0.7 < z.var() < 1.3


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_what_dropout_keeps_says_nothing_of_what_is_beside_it(rate):
    """Neighbouring rows, columns, calls and seeds, and those at distances that are powers of 2, are not correlated."""
    here = mask(600, 700, rate) - (1 - rate)
    others = {
        **{f"{d} rows": (here[d:], here[:-d]) for d in (1, 2, 4, 16, 64, 256)},
        **{f"{d} columns": (here[:, d:], here[:, :-d]) for d in (1, 2, 4, 8, 16, 64, 256, 512)},
        "a row and a column": (here[1:, 1:], here[:-1, :-1]),
        "a row and a column back": (here[1:, :-1], here[:-1, 1:]),
        **{f"{d} calls": (here, mask(600, 700, rate, count=float(d)) - (1 - rate)) for d in (1, 2, 256, 2**40)},
        **{f"{d} seeds": (here, mask(600, 700, rate, seed=1.0 + d) - (1 - rate)) for d in (1, 2, 256, 2**40)},
        "a seed and a call": (here, mask(600, 700, rate, seed=0.0, count=1.0) - (1 - rate)),
    }
    for name, (a, b) in others.items():
        correlation = np.mean(a * b) / (rate * (1 - rate))
        assert abs(correlation) * np.sqrt(a.size) < 4.5, name


def test_no_two_rows_of_dropout_are_the_same_in_another_place():
    rows = np.packbits(np.lib.stride_tricks.sliding_window_view(mask(200, 1024, 0.5), 64, axis=1), axis=-1)
    windows = rows.reshape(-1, 8).copy().view(np.uint64)
    assert len(np.unique(windows)) == windows.size


# Normalization


@each_dtype
@pytest.mark.parametrize("op", ["batch_norm_forward", "layer_norm_forward"])
def test_the_moments_of_numbers_far_from_0_are_those_of_their_differences(op, dtype):
    """Sums of such numbers are rounded, so that their mean alone would be wrong by much of the deviation."""
    rng = random(3000, 40)
    x = (1000 + rng.normal(size=(3000, 40) if op[0] == "b" else (40, 3000))).astype(dtype)
    n, rows = x.shape[1], len(x)
    y, mean, other = unset(x.shape, dtype), *unset((2, n if op[0] == "b" else rows), dtype)
    kernel(op, dtype)(x, np.ones(n, dtype), np.zeros(n, dtype), y, mean, other, 1e-5)
    axis = 0 if op[0] == "b" else 1
    exact = x.astype(np.longdouble)
    variance = exact.var(axis=axis)
    of_variance = variance if op[0] == "b" else 1 / np.sqrt(variance + 1e-5)
    rounding = 4000 * np.finfo(dtype).eps
    np.testing.assert_allclose(mean, exact.mean(axis=axis), rtol=0, atol=rounding)
    np.testing.assert_allclose(other, of_variance, rtol=1e-5 if dtype is np.float32 else 1e-12)
    normalized = (exact - exact.mean(axis=axis, keepdims=True)) / np.sqrt(exact.var(axis=axis, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, normalized, rtol=0, atol=2 * rounding)


@each_dtype
def test_columns_of_one_number_have_no_variance(dtype):
    x = np.repeat(np.array([[0.1, 1e-20, 12345.678, -3e6, 0.0]], dtype), 1000, axis=0)
    y, mean, variance = unset(x.shape, dtype), *unset((2, 5), dtype)
    kernel("batch_norm_forward", dtype)(x, np.ones(5, dtype), np.arange(5, dtype=dtype), y, mean, variance)
    np.testing.assert_allclose(mean, x[0], rtol=4 * np.finfo(dtype).eps)
    assert (variance >= 0).all()
    assert (variance <= np.square(np.finfo(dtype).eps * np.abs(x[0]))).all()


@each_dtype
def test_a_batch_without_rows_has_a_mean_and_a_variance_of_0(dtype):
    arguments = batch_norm_arguments(0, 21, dtype, random(0, 21))
    kernel("batch_norm_forward", dtype)(**arguments)
    assert (arguments["mean"] == 0).all()
    assert (arguments["variance"] == 0).all()


@each_dtype
def test_layer_norm_backward_may_overwrite_what_its_gradients_have_read(dtype):
    back = layer_norm_backward_arguments(17, 33, dtype, random(17, 33))
    x, dy, scale, mean, inverse, dx = back.values()
    dscale, dshift, expected = unset(33, dtype), unset(33, dtype), unset(33, dtype)
    kernel("scale_columns_gradients", dtype)(x, dy, mean, inverse, expected, dshift)
    kernel("layer_norm_backward", dtype)(x, dy, scale, mean, inverse, dx)
    tape = Tape()
    kernel("scale_columns_gradients", dtype)(x, dy, mean, inverse, dscale, dshift, tape)
    kernel("layer_norm_backward", dtype)(x, dy, scale, mean, inverse, dy, tape)
    tape.replay()
    np.testing.assert_array_equal(dscale, expected)
    np.testing.assert_array_equal(dy, dx)


@each_dtype
@pytest.mark.parametrize("rows", [2, 64, 300])
def test_a_normalization_that_is_given_its_moments_is_one_of_columns(rows, dtype):
    arguments = batch_norm_arguments(rows, 37, dtype, random(rows, 37))
    kernel("batch_norm_forward", dtype)(**arguments)
    x, scale, shift, y, mean, variance, eps = arguments.values()
    factor, offset, again = unset(37, dtype), unset(37, dtype), unset(x.shape, dtype)
    kernel("batch_norm_factors", dtype)(scale, shift, mean, variance, factor, offset, eps)
    kernel("scale_columns", dtype)(x, factor, offset, again)
    np.testing.assert_allclose(again, y, rtol=0, atol=100 * np.finfo(dtype).eps)


# What is done to gradients


@each_dtype
def test_numbers_that_are_not_finite_are_guarded(dtype):
    """Wherever they stand, in vectors or behind them; also in parts."""
    for n in (1, 5, 16, 37, 4099):
        g, tape = np.full(n, np.finfo(dtype).max, dtype), Tape()
        g[::2] *= -1
        kernel("guard_numbers", dtype)(g)
        kernel("guard_numbers", dtype)(g, tape)
        for i in {0, n // 2, n - 1}:
            for wrong in (np.nan, np.inf, -np.inf):
                here, g[i] = g[i], wrong
                with pytest.raises(FloatingPointError, match="not finite"):
                    kernel("guard_numbers", dtype)(g)
                with pytest.raises(FloatingPointError, match="not finite"):
                    reference.guard_numbers(g)
                for parts in (1, 3):
                    with pytest.raises(FloatingPointError, match="not finite"):
                        tape.replay(parts=parts)
                g[i] = here
        tape.replay()


def norm_of(g: np.ndarray, limit: float) -> tuple[float, float]:
    sums, norm, factor = np.empty(-(-g.size // reference.SQUARES)), np.empty(1), np.empty(1)
    kernel("block_squares", g.dtype.type)(g, sums)
    kernel("norm_factor", g.dtype.type)(sums, limit, norm, factor)
    return float(norm[0]), float(factor[0])


@each_dtype
def test_the_norm_of_a_gradient_and_the_factor_that_limits_it(dtype):
    for n in (0, 1, 4095, 4096, 4097, 50_000):
        g = random(n, 1).normal(size=n).astype(dtype)
        expected = float(np.linalg.norm(g.astype(np.float64)))
        for limit in (1e-3, 1.0, max(expected, 1.0), 1e9):
            norm, factor = norm_of(g, limit)
            assert norm == pytest.approx(expected, rel=1e-12)
            assert factor == (limit / norm if norm > limit else 1)
    large = np.full(10, 1e30, dtype)  # whose squares are no numbers of float32
    norm, _ = norm_of(large, 1.0)
    assert norm == pytest.approx(1e30 * 10**0.5, rel=1e-6)


@each_dtype
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_norm_that_is_not_finite_stops_what_follows(dtype, wrong):
    g, sums, (norm, factor, count), tape = np.ones(5000, dtype), np.empty(2), np.zeros((3, 1)), Tape()
    kernel("block_squares", dtype)(g, sums, tape)
    kernel("norm_factor", dtype)(sums, 1.0, norm, factor, tape)
    kernel("increment", dtype)(count, tape)
    tape.replay()
    g[4321] = wrong
    with pytest.raises(FloatingPointError, match="not finite"):
        tape.replay()
    assert count[0] == 1
    with pytest.raises(FloatingPointError, match="not finite"):
        norm_of(g, 1.0)
    with pytest.raises(FloatingPointError, match="not finite"):
        reference.norm_factor(sums, 1.0, norm, factor)


@each_dtype
def test_sums_of_blocks_are_one_for_each_block(dtype):
    for n, blocks in ((0, 1), (1, 0), (4096, 2), (4097, 1)):
        with pytest.raises(
            ValueError, match=rf"^block_squares: sums has shape \({blocks},\), expected \({-(-n // 4096)},\)"
        ):
            kernel("block_squares", dtype)(np.ones(n, dtype), np.ones(blocks))


@each_dtype
def test_a_scale_of_1_touches_nothing(dtype):
    g = np.frombuffer(
        np.array([0x7FF0000000000001], np.uint64).tobytes(), dtype
    ).copy()  # a NaN that signals, in float64
    before = g.tobytes()
    kernel("scale", dtype)(g, 1.0)
    assert g.tobytes() == before


@each_dtype
def test_an_approach_at_a_rate_of_1_is_a_copy(dtype):
    x, y = np.array([1e30, np.nan, np.inf, 1.0], dtype), np.array([1e-30, 2.0, 3.0, np.nan], dtype)
    kernel("approach", dtype)(x, y, 1.0)
    np.testing.assert_array_equal(x, y)


@each_dtype
@each_case()
def test_same_bits_in_any_parts(case, dtype):
    """One after the other, or by threads at the same time."""
    made = case.make(37, 130, dtype, random(37, 130))
    whole = copied(made)
    case.kernel(dtype)(**whole)
    for options in ({"parts": 2}, {"parts": 7}, {"parts": 50}, {"team": 3}):
        divided, tape = copied(made), Tape()
        case.kernel(dtype)(**divided, tape=tape)
        if "team" in options:
            with Team(options["team"], divide_all=True) as team:
                tape.replay(team=team)
        else:
            tape.replay(**options)
        for output in case.outputs:
            same = divided[output].view(np.uint8), whole[output].view(np.uint8)
            np.testing.assert_array_equal(*same, err_msg=f"{output} {options}")


@each_dtype
def test_products_without_a_common_dimension_are_the_bias(dtype):
    b, y = np.arange(3, dtype=dtype), unset((2, 3), dtype)
    kernel("dense_forward", dtype)(np.empty((2, 0), dtype), np.empty((0, 3), dtype), b, y)
    np.testing.assert_array_equal(y, [b, b])


@each_dtype
def test_gradients_of_no_rows_are_zero(dtype):
    arguments = dense_backward_arguments(0, 5, 3, dtype, random(0, 5))
    kernel("dense_backward", dtype)(*arguments.values())
    np.testing.assert_array_equal(arguments["dw"], np.zeros((5, 3)))
    np.testing.assert_array_equal(arguments["db"], np.zeros(3))


@each_dtype
@each_case([case for case in CASES if "value" in case.outputs])
def test_loss_of_no_rows_is_zero(case, dtype):
    arguments = case.make(0, 4, dtype, random(0, 4))
    case.kernel(dtype)(**arguments)
    assert arguments["value"][0] == 0


@each_dtype
@each_case(
    [case for case in first_of_each_op() if case.alias and len(case.outputs) == 1 and case not in (*DROPOUT, *NOISE)]
)
def test_same_bits_for_every_place_in_a_vector(case, dtype):
    """A row's result does not depend on where the row stands: vectors and the rest of a loop compute the same."""
    arguments = case.make(1, 19, dtype, random(1, 19))
    of_rows = [name for name, shape in shapes_of(case).items() if shape[:1] == ("rows",)]
    repeated = {**arguments, **{name: np.repeat(arguments[name], 37, axis=0) for name in of_rows}}
    (output,) = case.outputs
    case.kernel(dtype)(**arguments)
    case.kernel(dtype)(**repeated)
    np.testing.assert_array_equal(repeated[output], np.repeat(arguments[output], 37, axis=0))

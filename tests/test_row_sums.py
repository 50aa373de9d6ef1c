"""Sums over the rows of a batch: in float32 those of millions of rows are as exact as those of a thousand.

Kernels that call them sums in their declarations compute blocks of rows, and add the sums of these in double.
"""

from typing import Any

import numpy as np
import pytest
from cases import CASES, Arguments, Case, arrays, assert_close, copied, kernel, random, scale_of, shapes_of

from fastnn import Tape, reference
from fastnn._core.team import Team
from fastnn.reference.bfloat16 import SUM_BLOCK

FEW = 4  # rows, which are repeated: each sum is of terms that round alike
TIMES, NUMBERS = 120_000, 16_000_000  # so often, but where that is so many numbers in all
WIDE = 37  # columns: units of 16, and some behind them
ROWS = (SUM_BLOCK, SUM_BLOCK + 1, 2 * SUM_BLOCK, 3000)


def few_of(case: Case) -> Arguments:
    return case.make(FEW, 2, np.float32, random(FEW, 2))


def sums_of(case: Case) -> list[str]:
    """The outputs of its dtype that have no rows, of a kernel that has others, but for what rounds to bfloat16."""
    shapes = shapes_of(case)
    if case.variant == "bf16" or case.op.startswith("lanes_") or not any("rows" in shape for shape in shapes.values()):
        return []  # lanes take no more rows than a block
    few = few_of(case)
    return [name for name in case.outputs if "rows" not in shapes[name] and few[name].dtype == np.float32]


def declared(case: Case) -> str:
    """How its sums are declared."""
    return case.kernel(np.float32).__self__.declared.sums


def strided(case: Case) -> list[str]:
    return [one.name for one in case.kernel(np.float32).__self__.declared.arguments if one.strided]


OF_ROWS = [case for case in CASES if sums_of(case)]
IN_BLOCKS = [case for case in OF_ROWS if declared(case)]


def of_rows(case: Case, arguments: Arguments) -> Arguments:
    """The arrays that have rows."""
    shapes = shapes_of(case)
    return {name: value for name, value in arrays(arguments).items() if shapes[name][:1] == ("rows",)}


def repeated(case: Case, few: Arguments, times: int) -> Arguments:
    return copied(few) | {
        name: np.tile(value, (times,) + (1,) * (value.ndim - 1)) for name, value in of_rows(case, few).items()
    }


def in_double(case: Case, arguments: Arguments) -> Arguments:
    """What the twin makes of them in float64."""
    wide = {
        name: value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value
        for name, value in copied(arguments).items()
    }
    case.reference()(**wide)
    return wide


@pytest.mark.once
@pytest.mark.parametrize("case", OF_ROWS, ids=str)
def test_sums_of_many_rows_are_as_exact_as_those_of_a_block(case):
    """The bound is that of one chain of a block's rows, each of which may be rounded the same way."""
    bound = (SUM_BLOCK / 2 + 8) * float(np.finfo(np.float32).eps)
    few = few_of(case)
    times = min(TIMES, NUMBERS // sum(value.size for value in of_rows(case, few).values()))
    once, twice, many = in_double(case, few), in_double(case, repeated(case, few, 2)), repeated(case, few, times)
    case.kernel(np.float32)(**many)
    for name in sums_of(case):
        size, grown = scale_of(case, name, few, once[name]), twice[name] - once[name]
        size = size * np.where(np.abs(grown) > 1e-6 * size, times, 1)  # a mean does not grow
        excess = np.abs(many[name] - (once[name] + (times - 1) * grown)) / (bound * size + 1e-30)
        assert excess.max(initial=0) <= 1, f"{name}: off by {bound * excess.max():.1e} of its terms"


def of_blocks(case: Case, arguments: Arguments) -> Arguments:
    """The outputs of each block, those that are sums added in double, or as moments (Chan, Golub & LeVeque 1979)."""
    with_rows, sums = of_rows(case, arguments), sums_of(case)
    rows = len(next(iter(with_rows.values())))
    total: dict[str, Any] = {}
    for begin in range(0, rows, SUM_BLOCK):
        part = copied(arguments) | {name: value[begin : begin + SUM_BLOCK].copy() for name, value in with_rows.items()}
        case.kernel(np.float32)(**part)
        n = min(SUM_BLOCK, rows - begin)
        found = {name: part[name].astype(np.float64) for name in sums if part[name] is not None}
        if declared(case).startswith("moments") and begin:
            share, distance = n / (begin + n), found["mean"] - total["mean"]
            change = found["variance"] - total["variance"] + (1 - share) * distance * distance
            total["mean"], total["variance"] = total["mean"] + share * distance, total["variance"] + share * change
        else:
            total = {name: total.get(name, 0) + value for name, value in found.items()}
        for name in set(case.outputs) & set(with_rows):
            arguments[name][begin : begin + n] = part[name]
    return arguments | {name: value.astype(np.float32) for name, value in total.items()}


def assert_same(case: Case, got: Arguments, expected: Arguments, message: str) -> None:
    for name in case.outputs:
        if got[name] is not None:
            np.testing.assert_array_equal(got[name], expected[name], err_msg=f"{name}, {message}")


def assert_replays(case: Case, arguments: Arguments, expected: Arguments, message: str) -> None:
    """Recorded, in any parts and by any number of threads."""
    own, tape = copied(arguments), Tape()
    case.kernel(np.float32)(**own, tape=tape)

    def replay(by: str, **options: Any) -> None:
        for name in case.outputs:
            if own[name] is not None:
                own[name][...] = arguments[name]
        tape.replay(**options)
        assert_same(case, own, expected, f"{message}, {by}")

    replay("replayed")
    replay("in 3 parts", parts=3)
    for n_threads in (2, 3, 4):
        with Team(n_threads, divide_all=True) as team:
            replay(f"on {n_threads} threads", team=team)


@pytest.mark.parametrize("case", IN_BLOCKS, ids=str)
def test_sums_are_those_of_blocks_of_rows(case):
    """To the bit. What comes behind the sums of all rows is compared with the twin."""
    width = WIDE if sum(value.size for value in arrays(few_of(case)).values()) < 1000 else 3
    for rows in ROWS:
        arguments = case.make(rows, width, np.float32, random(rows, width))
        got, expected = copied(arguments), of_blocks(case, copied(arguments))
        got |= {name: np.repeat(got[name], 2, axis=1)[:, ::2] for name in strided(case) if got[name] is not None}
        case.kernel(np.float32)(**got)
        if declared(case).endswith("first"):
            twin = in_double(case, arguments)
            for name in set(case.outputs) & set(of_rows(case, arguments)):
                assert_close(got[name], twin[name], scale_of(case, name, arguments, twin[name]), np.float32)
                expected[name] = got[name]
        assert_same(case, got, expected, f"{rows} rows")
        assert_replays(case, arguments, got, f"{rows} rows")


def chains(terms: np.ndarray) -> np.ndarray:
    """Of so many rows each, added in double."""
    ends = [np.add.accumulate(terms[begin : begin + SUM_BLOCK])[-1:] for begin in range(0, len(terms), SUM_BLOCK)]
    return np.concatenate([terms[:0], *ends]).sum(axis=0, dtype=np.float64).astype(np.float32)


@pytest.mark.parametrize("side_by_side", [True, False], ids=["rows", "columns"])
@pytest.mark.parametrize("rows", ROWS)
def test_embeddings_add_chains_of_the_rows_of_a_code(rows, side_by_side):
    (case,) = (case for case in CASES if case.op == "embedding_backward")
    rng, n, size = random(rows, WIDE), 20, 5
    x = rng.integers(0, n, (4 * rows, 1)).astype(np.float32)
    x[::3], x[1::3] = 7, np.nan  # often, and unseen
    dy = rng.normal(1, 1, (4 * rows, size)).astype(np.float32)
    expected = np.array([chains(dy[(x == code)[:, 0]]) for code in range(n - 1)])
    expected = np.concatenate([expected, [chains(dy[~(x < n - 1)[:, 0]])]])
    arguments = {
        "x": x,
        "dy": np.ascontiguousarray(dy) if side_by_side else np.asfortranarray(dy),
        "dtable": np.full((n, size), np.nan, np.float32),
    }
    got, table = copied(arguments), rng.normal(size=(n, size)).astype(np.float32)
    got["dy"], stepped, lr = arguments["dy"], table.copy(), np.array([0.37])  # a copy has rows
    case.kernel(np.float32)(**got)
    np.testing.assert_array_equal(got["dtable"], expected)
    assert_replays(case, got, {"dtable": expected}, f"{rows} rows")
    kernel("sgd", np.float32)(table.reshape(-1), expected.reshape(-1), None, lr)
    kernel("embedding_sgd", np.float32)(x, arguments["dy"], stepped, lr)
    np.testing.assert_array_equal(stepped, table)


# Sums along a row

LONG = 4_000_000  # columns: a chain in each of 16 lanes would be of 250,000


def flat(case: Case, n: int) -> Arguments:
    """Arguments of one row, none of whose terms is much larger than the others, and of whose sums none stays small."""
    rng, shapes = random(1, n), shapes_of(case)
    arguments = case.make(1, n, np.float32, rng)
    for name, value in arrays(arguments).items():
        if shapes[name] == ("rows", "n") and name not in case.outputs:
            value[...] = rng.random(value.shape)
    if "backward" in case.op and "y" in arguments:
        getattr(reference, case.op.replace("backward", "forward"))(rng.random((1, n)), arguments["y"])
    if "t" in arguments:
        arguments["t"] /= arguments["t"].sum()
    return arguments


def of_columns(case: Case) -> list[str]:
    """The outputs with columns of which most depend on a number of another column."""
    shapes = shapes_of(case)
    few = case.make(1, 40, np.float32, random(1, 40))
    kinds = {shapes[name] for name in arrays(few)}
    if case.variant == "bf16" or ("rows", "n") not in kinds or not kinds <= {(), ("rows",), ("n",), ("rows", "n")}:
        return []
    few, found = flat(case, 40), set()
    once = copied(few)
    case.kernel(np.float32)(**once)
    for name in arrays(few).keys() - {*case.outputs}:
        if shapes[name] == ("rows", "n"):
            other = copied(few)
            other[name][0, 3] += 100
            case.kernel(np.float32)(**other)
            for output in arrays(once).keys() & {*case.outputs}:
                if shapes[output] == ("rows", "n") and once[output].dtype == np.float32:
                    differ = np.delete(once[output] != other[output], 3, axis=1)
                    found |= {output} if differ.mean() > 0.5 else set()
    return sorted(found)


ALONG = [case for case in CASES if of_columns(case)]


@pytest.mark.once
@pytest.mark.parametrize("case", ALONG, ids=str)
def test_sums_along_long_rows_are_as_exact_as_along_short_ones(case):
    assert off(case, LONG) <= 4 * max(off(case, 1000), float(np.finfo(np.float32).eps))


def off(case: Case, n: int) -> float:
    """By how much the outputs of a row of so many columns are off, at most, in parts of the largest number."""
    arguments = flat(case, n)
    expected, got = in_double(case, arguments), copied(arguments)
    case.kernel(np.float32)(**got)
    return max(
        float(np.abs(got[name] - expected[name]).max() / np.abs(expected[name]).max()) for name in of_columns(case)
    )


def test_what_sums_along_rows_is_known():
    forms = {"softmax_forward", "softmax_backward", "log_softmax_backward", "layer_norm_backward"}
    assert forms <= {case.op for case in ALONG}

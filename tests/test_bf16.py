"""Products in bfloat16 have the bits of their twin in NumPy: by the instruction, by multiply-adds, in any parts."""

import numpy as np
import pytest
from cases import dense_arguments, dense_backward_arguments, dense_sgd_arguments, kernel, random

from fastnn import Tape, kernels, reference
from fastnn._core.team import Team
from fastnn.kernels import Rows
from fastnn.reference import bfloat16
from fastnn.reference.bfloat16 import rounded

# (batch, n_in, n_out) beside the edges of pairs, tiles, panels and blocks; the twin takes long for large ones
PRODUCTS = (
    (0, 3, 4), (1, 1, 1), (1, 7, 300), (13, 17, 15), (31, 33, 47), (64, 20, 2), (65, 129, 10), (128, 257, 65),
    (3, 1030, 130), (1100, 5, 33), (5, 2100, 2), (20, 4, 530), (150, 40, 4200), (1, 2101, 270), (12, 51, 75),
)  # fmt: skip
each_product = pytest.mark.parametrize("sizes", PRODUCTS, ids=lambda sizes: "x".join(map(str, sizes)))
OUTPUTS = {"dense_forward": ("y",), "dense_backward": ("dx", "dw", "db"), "dense_sgd": ("w", "b")}


WAYS = {"multiply-adds": 0, "instruction": 1, **({"registers": 2} if "amx_bf16" in kernels.supported else {})}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """The ways of this processor; without an instruction, one of them."""
    k, wanted = kernels.float32, WAYS[request.param]
    try:
        if k._bf16_instruction(wanted) != wanted:
            pytest.skip("this build or this processor has no AVX512_BF16, or no AMX that it may use")
        monkeypatch.setattr(bfloat16, "with_amx", request.param == "registers")
        yield request.param
    finally:
        k._bf16_instruction(kernels._BF16.get(kernels.selected, 0))


def arguments_of(sizes, rng):
    return {
        "dense_forward": dense_arguments(*sizes, np.float32, rng, activation="relu"),
        "dense_backward": dense_backward_arguments(*sizes, np.float32, rng, activation="relu"),
        "dense_sgd": dense_sgd_arguments(*sizes, np.float32, rng),
    }


def expected_of(op, arguments):
    """The outputs of the twin, and where the kernel does a multiply-add where NumPy rounds twice, of both kernels."""
    twin = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
    if op == "dense_sgd":
        dw, db = np.empty_like(twin["w"]), np.empty_like(twin["b"])
        reference.dense_backward(twin["x"], twin["w"], twin["dy"], None, dw, None, bf16=True)
        kernel("dense_backward", np.float32)(twin["x"], twin["w"], twin["dy"], None, np.empty_like(dw), db)
        for parameter, gradient in ((twin["w"], dw), (twin["b"], db)):
            kernel("sgd", np.float32)(parameter.reshape(-1), gradient.reshape(-1), None, twin["lr"])
    else:
        getattr(reference, op)(**twin, bf16=True)
    if op == "dense_backward":  # in float32, with or without bf16
        kernel(op, np.float32)(twin["x"], twin["w"], twin["dy"], None, np.empty_like(twin["w"]), twin["db"])
    return [twin[name] for name in OUTPUTS[op]]


def assert_same_bits(got, expected, message=""):
    """NaN is NaN: which one a sum of two of them is, no standard says."""
    for pair in zip(got, expected, strict=True):
        bits = [np.where(np.isnan(array), np.float32(np.nan), array).view(np.uint32) for array in pair]
        np.testing.assert_array_equal(*bits, err_msg=message)


@each_product
def test_products_have_the_bits_of_their_twin_in_any_parts(sizes, way):
    tape, outputs, expected = Tape(), [], []
    for op, arguments in arguments_of(sizes, random(*sizes[:2])).items():
        expected += expected_of(op, arguments)
        outputs += [arguments[name] for name in OUTPUTS[op]]
        kernel(op, np.float32)(**arguments, bf16=True, tape=tape)
    before = [output.copy() for output in outputs]

    def assert_same(**options):
        for output, value in zip(outputs, before, strict=True):
            output[...] = value
        tape.replay(**options)
        assert_same_bits(outputs, expected, str(options))

    for parts in (1, 2, 7):
        assert_same(parts=parts)
    for n_threads in (2, 3):
        with Team(n_threads, divide_all=True) as team:
            assert_same(team=team)


@pytest.mark.parametrize(
    "sizes", [(13, 17, 33), (65, 129, 10), (200, 300, 400), (1, 35, 300), (70, 1, 3), (1, 1, 300)], ids=str
)
def test_rows_that_lie_anywhere_give_the_bits_of_rows_that_are_copied(sizes, way):
    rng = random(*sizes[:2])
    for op, made in arguments_of(sizes, rng).items():
        arguments = made | ({"activation": None, "dx": None} if op == "dense_backward" else {})
        array = rng.normal(size=(2 * sizes[0] + 5, sizes[1])).astype(np.float32)
        index = rng.permutation(len(array))[: sizes[0] + 2]
        arguments["x"] = array[index[2:]]
        outputs = [name for name in OUTPUTS[op] if arguments[name] is not None]
        copies = {name: value.copy() if name in outputs else value for name, value in arguments.items()}
        kernel(op, np.float32)(**copies, bf16=True)
        kernel(op, np.float32)(**arguments | {"x": Rows(array, index, np.array([2]))}, bf16=True)
        assert_same_bits([arguments[name] for name in outputs], [copies[name] for name in outputs], op)


SPECIAL = {
    "any bits": lambda bits, rng: bits,
    "halfway": lambda bits, rng: (bits & 0x807F0000) | 0x3F808000,  # between two numbers of bfloat16
    "subnormal": lambda bits, rng: np.where(rng.random(bits.shape) < 0.5, bits & 0x807FFFFF, bits & 0xBFFFFFFF),
    "tiny": lambda bits, rng: bits & 0x9FFFFFFF,
    "huge": lambda bits, rng: (bits & 0x80FFFFFF) | rng.integers(0x5E, 0x7F, bits.shape, np.uint32) << 24,
    "infinite": lambda bits, rng: np.where(rng.random(bits.shape) < 0.02, (bits & 0x80000000) | 0x7F800000, bits >> 2),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_numbers_of_any_kind_give_the_bits_of_the_twin(kind, way):
    """Subnormal numbers are 0, products that leave the range of float32 are added before they are rounded."""
    rng = np.random.default_rng(3)
    for rows, n_in, n_out in ((50, 31, 40), (7, 2, 300), (9, 1100, 40)):
        x, w, dy = (
            SPECIAL[kind](rng.integers(0, 2**32, shape, np.uint32), rng).astype(np.uint32).view(np.float32)
            for shape in ((rows, n_in), (n_in, n_out), (rows, n_out))
        )
        y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
        twins = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
        for k, outputs in ((kernels.float32, (y, dx, dw)), (reference, twins)):
            k.dense_forward(x, w, None, outputs[0], bf16=True)
            k.dense_backward(x, w, dy, outputs[1], outputs[2], None, bf16=True)
        assert_same_bits((y, dx, dw), twins)
        if kind == "tiny":  # pairs cancel, and leave what is subnormal
            assert (np.abs(twins[0]) < np.finfo(np.float32).tiny).mean() > 0.2
            assert np.all((twins[0] == 0) | (np.abs(twins[0]) >= np.finfo(np.float32).tiny))


def test_the_mode_of_the_processor_is_as_before(way):
    """Bias and activation are computed as without bf16: subnormal numbers stay what they are."""
    tiny = np.float32(1e-40)
    y = np.empty((3, 40), np.float32)
    x, w = np.zeros((3, 5), np.float32), np.zeros((5, 40), np.float32)
    kernels.float32.dense_forward(x, w, np.full(40, tiny), y, bf16=True)
    np.testing.assert_array_equal(y, tiny)
    assert tiny / np.float32(2) > 0


def test_rounding_is_to_nearest_even():
    ties = [1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -(1 + 2**-8)]
    numbers = np.array([*ties, 3.4e38, 1e-39, -1e-39], np.float32)
    expected = np.array([1, 1, 1 + 2**-6, 1 + 2**-7, -1, np.inf, 0.0, -0.0], np.float32)
    assert_same_bits([rounded(numbers)], [expected])
    assert np.isnan(rounded(np.array([np.nan], np.float32)))


def test_float64_is_not_rounded():
    x = np.ones((2, 2))
    for k in (kernels.float64, reference):
        with pytest.raises(ValueError, match="bf16 is True, expected False for float64"):
            k.dense_forward(x, x, None, np.empty_like(x), bf16=True)
        with pytest.raises(ValueError, match="bf16 is True, expected False for float64"):
            k.dense_backward(x, x, x, np.empty_like(x), None, None, bf16=True)
        with pytest.raises(ValueError, match="bf16 is True, expected False for float64"):
            k.dense_sgd(x, x.copy(), None, x, np.ones(1), bf16=True)

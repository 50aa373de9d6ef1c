"""The compiled code: formulas are in vectors as wide as the instruction set has them, and in the dtype of the kernel.

Neither shows in a result. A literal 1 in a formula of float32 makes it a double, and takes up to 3 times as long; a
formula that is not inlined into its loop runs for one number at a time, and takes up to 20 times as long. So this reads
the objects that the modules beside the sources were linked from, as objdump shows them, for all instruction sets, also
those that this processor does not have. What is looked at follows from the kernels that there are.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import disassembly
import pytest
from disassembly import Function, Instruction

import fastnn
from fastnn import kernels

ROOT = Path(fastnn.__file__).parents[1]
LINKED = ROOT / "build" / "linked.json"  # written by src/build/cached_build.py
DTYPES = ("float32", "float64")
BUILDS = [(dtype, isa) for isa in dict.fromkeys(map(kernels._INSTRUCTION_SETS.get, kernels.built)) for dtype in DTYPES]
WIDEST = {"baseline": "xmm", "avx2": "ymm", "avx512": "zmm"}
BYTES = {"xmm": 16, "ymm": 32, "zmm": 64}
LANES = {(isa, dtype): BYTES[WIDEST[isa]] // (4 if dtype == "float32" else 8) for isa in WIDEST for dtype in DTYPES}

# Kernels whose functions are not named after them.
ELSEWHERE = {"dense_backward": ("dense_dx_body", "dense_dw_body")}

WITHOUT_ARITHMETIC = {
    "loss_of_numbers_body": "calls the loop of its loss",
    "loss_of_rows_body": "calls the loop of its loss",
    "identity_loop": "copies",
    "negative_loop": "changes signs",
    "elementwise_body": "calls the loop of its kernel",
    "gradient_body": "calls the loop of its kernel",
    "dense_forward_body": "calls gemm, whose functions are looked at, too",
    "dense_int8_body": "calls int8_product, whose functions are looked at, too",
    "dense_bf16_body": "calls gemm",
    "dense_panels_body": "calls gemm",
    "dense_dx_body": "calls gemm",
    "dense_dw_body": "calls gemm",
    "dense_sgd_body": "calls gemm",
    "grouped_forward_body": "calls gemm",
    "grouped_backward_body": "calls gemm",
    "lanes_dense_forward_body": "calls lane_forward, and that lane_product, which is looked at, too",
    "lanes_dense_backward_body": "calls lane_backward",
    "lanes_gather_body": "calls lane_gather, which copies",
    "lanes_mean_body": "calls lane_mean",
    "lanes_cross_entropy_body": "calls lane_cross_entropy",
    "gather_rows_body": "copies",
    "gather_labels_body": "copies integers",
    "copy_body": "copies",
    "columns_forward_body": "copies",
    "columns_backward_body": "adds single numbers, in any places",
    "embedding_forward_body": "copies",
    "one_hot_forward_body": "writes zeros and ones",
    "increment_body": "adds to one number",
    "norm_factor_body": "adds a few numbers",
    "add_sum_body": "adds a few numbers",
    "multiply_numbers_body": "multiplies two numbers",
    "add_loss_body": "adds two numbers",
    "every_body": "adds to one number",
    "follow_schedule_body": "reads one number of a table",
    "nadam_product_body": "multiplies two numbers",
    "trust_rate_body": "adds a few numbers",
    "schedule_free_part_body": "divides two numbers",
    "ema_rate_body": "divides two numbers",
    "swa_rate_body": "counts",
    "clear_body": "writes zeros",
    "cross_entropy_labels_body": "reads one number of each row",
    "into_columns": "copies",
    "transpose_rows": "copies",
    "out_of_columns": "copies",
    "changed_targets": "changes single numbers, where they are smoothed or weighted",
    "numbers_at": "copies one number of each row",
    "lessen_at": "changes one number of each row",
}

# How many loops over elements there are, where that is more than one: each must be vectors.
LOOPS = {"sgd_body": 4, "rmsprop_body": 4, "scale_columns_body": 3, "layer_norm_forward_body": 2}

# A choice in their formulas makes what a row leaves, one number after the other, two ways of code, which is then longer
# than the loop over vectors.
TWO_WAYS = {"log_cosh_loop", "focal_loop", "binary_focal_loop"}

# Half a vector, in which four rows of chunks are transposed at a time
NARROWER = {"product_of_few_columns": "ymm", "behind_relu": "ymm"}

# Nets train side by side in float32, with AVX2 or more: what else this is compiled for is few instructions.
SIDE_BY_SIDE = {"lane_mean", "lane_cross_entropy"}

# What GCC does not think worth its while with few numbers in a vector, beside a pass over memory that is in vectors
NOT_WORTH_IT = {
    **{
        ("embedding_backward_body", dtype, isa): "rows whose numbers do not lie side by side"
        for dtype in ("float32", "float64")
        for isa in ("baseline", "avx2", "avx512")
    },
    ("embedding_sgd_body", "float32", "baseline"): "looks for a code",
    ("embedding_sgd_body", "float64", "baseline"): "the sums of one row of a table",
    ("bound_column_norms_body", "float64", "baseline"): "a root for each column, once for all its rows",
}

# From so many operations in full vectors on, most of all that it has, a loop holds several that GCC has unrolled
UNROLLED = 64

# What computes in double for both dtypes, on purpose, and in vectors of it
IN_DOUBLE = {
    "block_squares_body": "squares of float32 would overflow",
    "sum_double": "the order of a sum counts less in double",
}
SUMS = {"scalar arithmetic", "scalar conversion", "packed sum", "packed arithmetic"}

# What may be called, apart from what the C library does to memory.
CALLS = {
    **{
        f"{name}_loop": {"far_angles": "angles beyond the range of the loop, if there are some among 256"}
        for name in ("sin", "cos", "sine", "snake")
    },
    "loss_of_numbers_body": {"reduce_looped": "for all pieces"},
    "loss_of_rows_body": {"reduce_looped": "for all pieces"},
    "elementwise_body": {"": "the loop of its kernel, by its address, once for all rows"},
    "gradient_body": {"": "the loop of its kernel, by its address, once for all rows"},
    "gated_forward_body": {"": "the loop of its activation, by its address, for hundreds of numbers"},
    "gated_backward_body": {"": "the loop of its activation, by its address, for hundreds of numbers"},
    "parametric_forward_body": {"": "the loop of its activation, by its address, for hundreds of numbers"},
    "parametric_backward_body": {"": "the loop of its activation, by its address, for the columns of a row"},
    "dense_forward_body": {"gemm": "a whole product", "forward_of": "its rows or columns"},
    "dense_int8_body": {"int8_product": "a whole product"},
    "dense_bf16_body": {"gemm": "a whole product", "forward_of": "its rows or columns"},
    "dense_panels_body": {"gemm": "a whole product", "forward_of": "its rows or columns"},
    "dense_dx_body": {"gemm": "a whole product", "dx_of": "its rows or columns"},
    "dense_dw_body": {"gemm": "a whole product", "multiply_panels": "its columns", "narrow_backward": "of few columns"},
    "dense_sgd_body": {
        "gemm": "a whole product",
        "multiply_panels": "its columns",
        "narrow_backward": "of few columns",
    },
    "grouped_forward_body": {"gemm": "a whole product"},
    "grouped_backward_body": {"gemm": "a whole product"},
    "lanes_dense_forward_body": {"lane_forward": "a whole product"},
    "lanes_dense_backward_body": {"lane_backward": "whole products"},
    "lanes_gather_body": {"lane_gather": "all rows"},
    "lanes_mean_body": {"lane_mean": "all losses"},
    "lanes_cross_entropy_body": {"lane_cross_entropy": "all rows"},
    **{
        f"{name}_body": {"pow": "the corrections, once for all parameters"}
        for name in ("adam", "nadam", "nadam_product", "radam", "adamax", "lamb", "schedule_free_adamw")
    },
    "embedding_backward_body": {
        **dict.fromkeys(("calloc", "free"), "once for thousands of rows"),
        "end_chain": "once in a thousand rows",
    },
    "embedding_sgd_body": {"end_chain": "once in a thousand rows"},
    "ema_rate_body": {"pow": "the correction, once for all parameters"},
    "swa_rate_body": {"fmod": "whether a step counts, once for all parameters"},
}
MEMORY = {"memcpy", "memmove", "memset"}
PIECES = {"before_piece", "after_piece"}  # of losses: what is done to some hundred numbers beside the formula
# What bodies share, for a row or a block of rows at a time: loops that are looked at themselves
SHARED = {
    "into_columns", "out_of_columns", "transpose_rows", "maximum_of_columns", "exponentials", "logs_of_rows",
    "changed_targets", "numbers_at", "lessen_at", "sum_double", "sum_long",
}  # fmt: skip


def absent(dtype: str) -> set[str]:
    """What float64 has no need of."""
    return {"sum_long"} if dtype == "float64" else set()


# Optimizers: what they take from cells is computed in double, once for all parameters
RULES = (
    "sgd", "lion", "rprop", "rmsprop", "adagrad", "adadelta", "adam", "nadam", "radam", "adamax", "lamb",
    "schedule_free_adamw",
)  # fmt: skip

# What a float32 build may do in double. Numbers that come as cells are double, and are made `real` before the loop.
OUTSIDE_LOOPS = {
    "elementwise_body": {"scalar conversion", "packed conversion"},  # two constants are a vector
    "gradient_body": {"scalar conversion", "packed conversion"},
    "loss_of_numbers_body": {"scalar conversion", "packed conversion"},  # the two cells
    "loss_of_rows_body": {"scalar conversion", "packed conversion"},
    "gated_forward_body": {"scalar conversion", "packed conversion"},
    "gated_backward_body": {"scalar conversion", "packed conversion"},
    "parametric_forward_body": {"scalar conversion", "packed conversion"},
    "parametric_backward_body": {"scalar conversion", "packed conversion"},
    # 1 - alpha, the corrections and their kin
    **{f"{name}_body": {"scalar conversion", "scalar arithmetic"} for name in RULES},
    **{
        f"{name}_body": {"scalar arithmetic"}
        for name in ("nadam_product", "schedule_free_part", "ema_rate", "swa_rate")
    },
    "increment_body": {"scalar arithmetic"},  # a step is counted in double
    # the threshold, 1 / (1 - rate) and their kin
    **{
        f"{name}_body": {"scalar conversion", "scalar arithmetic"}
        for name in ("dropout", "alpha_dropout_forward", "alpha_dropout_backward", "gaussian_dropout", "gaussian_noise")
    },
    "scale_body": {"scalar conversion", "scalar arithmetic"},  # whether the factor is 1
    "clip_values_body": {"scalar conversion"},
    "embedding_sgd_body": {"scalar conversion"},  # lr
    "bound_body": {"scalar conversion"},
    "batch_norm_forward_body": {"scalar conversion"},  # eps
    "batch_norm_backward_body": {"scalar conversion"},
    "batch_norm_factors_body": {"scalar conversion"},
    "batch_norm_averages_body": {"scalar conversion", "scalar arithmetic"},  # momentum, and rows / (rows - 1)
    "approach_body": {"scalar conversion", "scalar arithmetic"},
    "norm_factor_body": {"scalar arithmetic"},
    "add_sum_body": {"scalar arithmetic"},
    "multiply_numbers_body": {"scalar arithmetic"},
    "add_loss_body": {"scalar arithmetic"},
    "every_body": {"scalar arithmetic"},
    "follow_schedule_body": {"scalar arithmetic", "scalar conversion"},  # where in its table
    "fma_peak_loop": {"scalar conversion", "scalar arithmetic"},  # the number of operations
}
ANYWHERE = {
    "multi_margin_body": {"packed arithmetic"},  # sums of squares
    "cosine_similarity_body": {"packed arithmetic"},
    "norm_factor_body": {"scalar arithmetic", "packed sum"},
    "add_sum_body": {"scalar arithmetic", "packed sum"},
    **{name: {*SUMS, "packed arithmetic"} for name in SIDE_BY_SIDE},  # a loss of each net, added in double
    "trust_rate_body": {"scalar arithmetic", "packed sum"},
    "lamb_body": SUMS,  # of squares
    "penalty_body": SUMS,
    "share_weights_body": SUMS,
    "sum_long": {"scalar arithmetic", "scalar conversion"},  # of the sums of pieces
    "bound_column_norms_body": SUMS,  # of squares
    "bound_row_norms_body": SUMS,
    "layer_norm_forward_body": {"packed sum", "scalar arithmetic", "scalar conversion"},  # mean and variance of a row
    "cross_entropy_labels_from_logits_body": {"packed arithmetic", "packed conversion"},  # the losses of many rows
    # constants and lr, for each rectangle of a product
    "dense_forward_body": {"scalar conversion", "packed conversion"},
    "dense_int8_body": {"scalar conversion", "packed conversion"},
    "dense_bf16_body": {"scalar conversion", "packed conversion"},
    "dense_panels_body": {"scalar conversion", "packed conversion"},
    "dense_dx_body": {"scalar conversion", "packed conversion"},
    "dense_sgd_body": {"scalar conversion"},
}
BF16_IN_DOUBLE = {("baseline", "tile_in_double")}  # there is no multiply-add that rounds once
# Losses are summed in double; the weights of rows and the mean are numbers of a row. A formula in double would be
# vectors that multiply, divide, or go back to float32.
LOSSES = {"scalar conversion", "scalar arithmetic", "packed sum"}
# By their instructions: the weights of rows, divided by the number of rows, which GCC does for several rows at once.
OF_ROWS = {"divpd", "vdivpd", "cvtpd2ps", "vcvtpd2ps", "vcvtpd2psx", "vcvtpd2psy"}
ONLY = {"cross_entropy_from_logits_body": OF_ROWS}


@cache
def linked() -> dict:
    """Return what the build in place wrote down."""
    return json.loads(LINKED.read_text())


@cache
def why_not(dtype: str, isa: str) -> str:
    """Say why the instructions that run here cannot be read, where they cannot: .ci/run refuses that."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "this reads instructions of x86-64"
    if shutil.which("objdump") is None:
        return "there is no objdump: it comes with binutils"
    if not LINKED.exists():
        return f"there are no objects beside {ROOT / 'fastnn'}: it has not been built in place"
    compiler, command = linked()["compiler"], linked()["command"][0]
    if "clang" in compiler or not linked()["modules"] or shutil.which(command) is None:
        return f"this knows the code of GCC, the compiler was {compiler or 'another one'}, and {command} may be gone"
    for name, entry in modules_of(dtype, isa).items():
        spec = find_spec(name)
        assert spec is not None, f"{name} was built, and is not there"
        if hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest() != entry["sha256"]:
            return f"{spec.origin} is not the one that was last built in place: build it again"
        if "-O3" not in entry["flags"]:
            return "this is a build for debugging, without optimization"
        for path in entry["objects"]:
            if not (ROOT / path).exists():
                return f"{path} has been removed: build again"
    return ""


def modules_of(dtype: str, isa: str) -> dict:
    """Return the modules of all families in one build, by their names."""
    return {name: entry for name, entry in linked()["modules"].items() if name.endswith(f"_{dtype}_{isa}")}


@cache
def objects(dtype: str, isa: str) -> tuple[Path, ...]:
    """Return the objects of all families in one build, or skip the test where they do not count."""
    if why := why_not(dtype, isa):
        pytest.skip(why)
    paths = [ROOT / path for entry in modules_of(dtype, isa).values() for path in entry["objects"]]
    assert paths, f"{LINKED} has no modules for {dtype} and {isa}"
    return tuple(paths)


@cache
def functions(dtype: str, isa: str) -> dict[str, list[Function]]:
    """Return the functions of one build that compute: the loops and bodies of kernels, and what is written in C."""
    found: dict[str, list[Function]] = {}
    for path in objects(dtype, isa):
        for name, parts in disassembly.disassemble(path).items():
            if looked_at(name) or written_in_c(path):
                found.setdefault(name, []).extend(parts)
    return found


def looked_at(name: str) -> bool:
    return name.endswith(("_loop", "_body")) or name in SHARED


def written_in_c(path: Path) -> bool:
    return "." in path.stem  # of dense_float32_avx2.tile-<key>.o


@cache
def kernel_names() -> tuple[str, ...]:
    return tuple(name for name, _ in inspect.getmembers(kernels.float32, inspect.isroutine) if not name.startswith("_"))


def functions_of(kernel: str) -> tuple[str, ...]:
    """Return the names that the functions of a kernel may have."""
    operation = kernel.rpartition("_")[0]
    row = kernels.float64.activations.get(operation)
    if row is not None and row.elementwise:
        return (f"{operation}_loop",)
    return ELSEWHERE.get(kernel, (f"{kernel}_loop", f"{kernel}_body"))


@cache
def losses() -> set[str]:
    names = [name for name in kernel_names() if "value" in inspect.signature(getattr(kernels.float32, name)).parameters]
    return {function for name in names for function in functions_of(name)}


def loops_of(name: str) -> int:
    """Say how many loops there are: two in an activation, for y and for dx, and two in a loss whose targets have the
    shape of the predictions, with the gradient and without.
    """
    if name in LOOPS:
        return LOOPS[name]
    if name in losses():
        return 1 if name.endswith("_loop") or "labels" in name or name == "cross_entropy_from_logits_body" else 2
    return 2 if name.removesuffix("_loop") in kernels.float64.activations else 1


def without_vectors(name: str, parts: list[Function], dtype: str, isa: str) -> Iterator[str]:
    """Say which loops of a function compute, and not in vectors of full width.

    A loop over vectors may leave its last elements to another, which is then about as long, and whatever GCC has
    unrolled altogether stands in no loop. What a row leaves is often one shorter vector, then single numbers, one after
    the other: where GCC has moved the test of the loop over rows, that looks like a loop of its own. Where loops over
    pieces of known length are unrolled, the loop around them holds all their vectors.
    """
    full, whole, partial, alone, is_unrolled = WIDEST[isa], [], [], set(), False
    outside = sum(i.arithmetic(dtype) == full for part in parts for i in part.instructions)
    for loop in (loop for part in parts for loop in part.innermost_loops):
        registers = [register for i in loop if (register := i.arithmetic(dtype))]
        n_full = registers.count(full)
        is_unrolled = is_unrolled or (n_full >= UNROLLED and 2 * n_full > len(registers))
        outside -= n_full
        if n_full:
            whole.append(n_full)
        elif registers and (same := tuple(sorted(i.mnemonic for i in loop if i.arithmetic(dtype)))) not in alone:
            alone.add(same)  # once: GCC repeats a loop of single numbers, for arrays that overlap
            shorter = max(registers.count(register) for register in ("xmm", "ymm"))
            is_rest = len(registers) <= LANES[isa, dtype] * shorter
            partial.append((shorter if is_rest else len(registers), loop[0].address))
    advice = "is the formula inlined, without a branch or a store on a condition?"
    if not whole and not outside:
        yield f"no {dtype} arithmetic in {full}, the vectors of {isa}; {advice}"
        return
    least = loops_of(name)
    if len(whole) < least and not outside and not is_unrolled:
        yield f"{len(whole)} loops over vectors ({full}), expected {least}; {advice}"
    if (name, dtype, isa) in NOT_WORTH_IT:
        return
    whole = sorted([*whole, *[outside] * (outside > 0)])
    for count, address in sorted(partial, reverse=True):
        least_share = 2 if name in TWO_WAYS else 3
        partner = next((n for n in whole if 4 * n >= least_share * count), None)
        if partner is None:
            yield f"the loop at {address:x} has {count} operations on {dtype}, but none on {full}; {advice}"
        else:
            whole.remove(partner)


def called(name: str, parts: list[Function]) -> Iterator[str]:
    """Say what a function calls and should not."""
    allowed = MEMORY | SHARED | CALLS.get(name, {}).keys() | (PIECES if name in losses() else set())
    for part in parts:
        for i in part.calls:
            if i.symbol not in allowed:
                yield f"calls {i.symbol or 'an address'} ({i}): a formula must be inlined into its loop"


def stored_under_mask(parts: list[Function]) -> Iterator[str]:
    """Say where a loop stores only some numbers of a vector.

    Where there is no memory to store to, as in an array that is None, this takes hundreds of cycles, even if nothing is
    stored.
    """
    for loop in (loop for part in parts for loop in part.innermost_loops):
        for i in loop:
            if i.stores_under_mask:
                yield f"stores under a mask ({i}): give each form a loop of its own"
                break


def allowed_in_double(name: str, in_loop: bool) -> set[str]:
    if name in losses():
        return LOSSES | ANYWHERE.get(name, set()) | (set() if in_loop else {"packed conversion"})  # of two cells
    return ANYWHERE.get(name, set()) | (set() if in_loop else OUTSIDE_LOOPS.get(name, set()))


def in_double(name: str, parts: list[Function]) -> Iterator[str]:
    """Say what a function of a float32 build computes in double and should not."""
    found: dict[str, Instruction] = {}
    for part in parts:
        in_loops = {i.address for loop in part.innermost_loops for i in loop}
        for i in part.instructions:
            allowed = allowed_in_double(name, i.address in in_loops)
            if i.double and i.double not in allowed and i.mnemonic not in ONLY.get(name, ()):
                found.setdefault(i.double, i)
    if found:
        instructions = ", ".join(f"{kind} ({i})" for kind, i in sorted(found.items()))
        yield f"computes in double: {instructions}; write literals as <real> 1, and constants as literals"


def faults(name: str, parts: list[Function], dtype: str, isa: str) -> list[str]:
    found = [*called(name, parts), *stored_under_mask(parts)]
    if name not in WITHOUT_ARITHMETIC:
        found += without_vectors(name, parts, "float64" if name in IN_DOUBLE else dtype, isa)
    if dtype == "float32" and name not in IN_DOUBLE:
        found += in_double(name, parts)
    return [f"{name} ({dtype}, {isa}): {fault}" for fault in found]


@pytest.mark.parametrize(("dtype", "isa"), BUILDS)
def test_kernels_compute_in_full_vectors_of_their_dtype(dtype: str, isa: str) -> None:
    compiled = functions(dtype, isa)
    names = [name for name in compiled if looked_at(name)]
    assert names
    assert set(names) >= SHARED - absent(dtype)
    found = [fault for name in names for fault in faults(name, compiled[name], dtype, isa)]
    assert not found, f"{linked()['compiler']}\n" + "\n".join(found)


@pytest.mark.parametrize(("dtype", "isa"), BUILDS)
def test_products_compute_in_full_vectors_of_their_dtype(dtype: str, isa: str) -> None:
    compiled, found = functions(dtype, isa), []
    for name in [name for name in compiled if not looked_at(name)]:
        registers = {i.arithmetic(dtype) for part in compiled[name] for i in part.instructions} - {""}
        if name in SIDE_BY_SIDE and (dtype == "float64" or isa == "baseline"):
            continue
        if registers and not {WIDEST[isa], NARROWER.get(name, WIDEST[isa])} & registers:
            found.append(f"{name}: no {dtype} arithmetic in {WIDEST[isa]}")
        if dtype == "float32" and (isa, name) not in BF16_IN_DOUBLE:
            found += [f"{name}: {fault}" for fault in in_double(name, compiled[name])]
    assert {"tile_of", "dots_of"} <= compiled.keys()
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("dtype", "isa"), BUILDS)
def test_every_kernel_has_a_function_that_is_looked_at(dtype: str, isa: str) -> None:
    compiled = functions(dtype, isa).keys()
    for kernel in kernel_names():
        names = functions_of(kernel)
        assert compiled & set(names), f"{kernel}: found no {' or '.join(names)}; ELSEWHERE says how others are named"
        assert kernel not in ELSEWHERE or set(names) <= compiled
    for table in (WITHOUT_ARITHMETIC, LOOPS, IN_DOUBLE, CALLS, OUTSIDE_LOOPS, ANYWHERE, ONLY):
        assert table.keys() - absent(dtype) <= compiled, "an exception for what is not there"


# What loops.h and blocks.h give to bodies that consist of several such loops, each in a function of its own.
LOOPS_ALONE = """
#include "math/blocks.h"
real maximum_loop(const real *x, ptrdiff_t n) { return maximum(x, n); }
real sum_loop(const real *x, ptrdiff_t n) { return sum_pairs(x, x, n, first_of_pair); }
void column_sum_loop(Block b, const real *x, real *y) { b.in_columns = 1; block_sum(b, x, x, y, first_of_pair); }
"""

# The faults that this is for, beside what is right.
FAULTY = """
#include "math/loops.h"
static inline real right(real x, real alpha) { return x * ((real)1 - x) + alpha; }
void right_loop(const real *x, real *y, Rectangle shape, real alpha) { map_rows(x, y, shape, alpha, right); }
static inline real doubled(real x, real alpha) { return x * (1.0 - x) + alpha; }
void doubled_loop(const real *x, real *y, Rectangle shape, real alpha) { map_rows(x, y, shape, alpha, doubled); }
static inline real widened(real x, real alpha) { return x + 0.1; }
void widened_loop(const real *x, real *y, Rectangle shape, real alpha) { map_rows(x, y, shape, alpha, widened); }
__attribute__((noinline)) static real apart(real x, real alpha) { return x * ((real)1 - x) + alpha; }
void apart_loop(const real *x, real *y, Rectangle shape, real alpha) { map_rows(x, y, shape, alpha, apart); }
double exp(double);
static inline real from_library(real x, real alpha) { return x * (real)exp(x); }
void library_loop(const real *x, real *y, Rectangle shape, real alpha) { map_rows(x, y, shape, alpha, from_library); }
void recurrent_loop(const real *x, real *y, Rectangle shape, real alpha) {
    map_rows(x, y, shape, alpha, right);
    for (ptrdiff_t i = 1; i < shape.rows; i++) y[i] = y[i - 1] * ((real)1 - x[i]) + alpha * x[i] - y[i] * x[i - 1];
}
void stores_loop(real *x, const real *y, real *z, ptrdiff_t n, real alpha) {
    for (ptrdiff_t i = 0; i < n; i++) {
        x[i] = alpha * x[i] + y[i];
        if (x[i] > 0) z[i] += x[i];
    }
}
"""


def compiled_from(text: str, dtype: str, isa: str, folder: Path) -> dict[str, list[Function]]:
    """Return the functions of C, compiled as the build has compiled its own."""
    objects(dtype, isa)  # skips where these do not count
    entries = linked()
    flags = entries["modules"][f"fastnn._core.losses_{dtype}_{isa}"]["flags"]
    source, made = folder / "text.c", folder / "text.o"
    source.write_text(text)
    macro = f"-DFASTNN_DOUBLE={int(dtype == 'float64')}"
    subprocess.run(
        [*entries["command"], *flags, macro, f"-I{ROOT / 'src'}", "-c", str(source), "-o", str(made)], check=True
    )
    return disassembly.disassemble(made)


@pytest.mark.parametrize(("dtype", "isa"), BUILDS)
def test_the_loops_that_bodies_share_are_vectors(dtype: str, isa: str, tmp_path: Path) -> None:
    compiled = compiled_from(LOOPS_ALONE, dtype, isa, tmp_path)
    assert len(compiled) == LOOPS_ALONE.count("_loop(")
    found = [fault for name in compiled for fault in faults(name, compiled[name], dtype, isa)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("dtype", "isa"), BUILDS)
def test_faults_are_found(dtype: str, isa: str, tmp_path: Path) -> None:
    compiled = compiled_from(FAULTY, dtype, isa, tmp_path)
    found = {name: faults(name, compiled[name], dtype, isa) for name in compiled if name.endswith("_loop")}
    assert len(found) == FAULTY.count("_loop(")
    assert found["right_loop"] == []
    for name in ("doubled_loop", "widened_loop"):
        if dtype == "float32":
            assert any("computes in double: packed " in fault for fault in found[name]), found[name]
        else:
            assert found[name] == []
    assert any("calls apart (call" in fault for fault in found["apart_loop"])
    assert any(f"no {dtype} arithmetic in {WIDEST[isa]}" in fault for fault in found["apart_loop"])
    assert any("calls exp (" in fault for fault in found["library_loop"])
    assert any("operations on" in fault for fault in found["recurrent_loop"])
    masked = f"no {dtype} arithmetic" if isa == "baseline" else "stores under a mask"
    assert any(masked in fault for fault in found["stores_loop"])

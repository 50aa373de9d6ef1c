# What every family of kernels begins with. A family is compiled once per instruction set and dtype (`real`).
#
# A kernel is a formula, a body that runs it over a range of units, and its declaration, each operation's forward
# directly above its backward. A body reads its payload as a struct: the arguments in the order of the declaration, then
# the sizes. It overwrites its outputs, never raises, and allocates for sums over thousands of rows alone.

from libc.math cimport NAN, fmod, isfinite, pow, sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastnn._core.kernel cimport (
    AnyLoss, Prepare, activation_texts, add_activation, add_rows, blocks_of, check_columns, check_numbers_or_rows,
    check_rows, choose_activation, declare, divide_loss, divide_target_loss, elementwise_text, fuse, peak_function,
    prepare_guard, refuse, refuse_activation, switch,
)
from fastnn._core.tape cimport (
    CALL_END, CALL_NO_ENTRY, CALL_NOT_FINITE, CALL_OUT_OF_RANGE, FASTNN_LAYOUT, Body, Call, call_divide,
)
from fastnn._core.tape import layout

if layout != FASTNN_LAYOUT:
    raise ImportError("fastnn is built in part only: its tape and its kernels do not fit together. Install it again")

cdef extern from "math/simd.h":
    ctypedef float real         # or double: the build decides, and sizes are taken from C
    Py_ssize_t LANES            # of a vector
    real real_fma(real a, real b, real c) noexcept nogil

# Functions of one number, formulas of one and of two with a constant, and losses with two: loops inline what they are
# given.
ctypedef real (*Function)(real x) noexcept nogil
ctypedef real (*Formula)(real x, real alpha) noexcept nogil
ctypedef real (*PairFormula)(real x, real y, real alpha) noexcept nogil
ctypedef real (*LossFormula)(real y, real t, real a, real b) noexcept nogil
ctypedef real (*FormulaOfFour)(real y, real dy, real alpha, real beta) noexcept nogil

# What payloads hold, by the roles of the arguments; what is absent is NULL.
ctypedef const real *Input
ctypedef real *Output
ctypedef const double *Number
ctypedef const int64_t *Labels

cdef extern from "math/elementary.h":
    real magnitude(real x) noexcept nogil
    real real_exp(real x) noexcept nogil
    real real_expm1(real x) noexcept nogil
    real real_log(real x) noexcept nogil
    real real_log1p(real x) noexcept nogil
    real log1p_up_to_one(real x) noexcept nogil
    real real_tanh(real x) noexcept nogil
    real real_tanh_shrink(real x) noexcept nogil
    real real_sigmoid(real x) noexcept nogil
    real real_softplus(real x) noexcept nogil
    real real_silu(real x) noexcept nogil
    real real_silu_derivative(real x) noexcept nogil
    real real_quick_gelu(real x) noexcept nogil
    real real_mish(real x) noexcept nogil
    real real_mish_derivative(real x) noexcept nogil
    real real_erf(real x) noexcept nogil
    real real_erfc(real x) noexcept nogil

cdef extern from *:
    """
    #if FASTNN_DOUBLE
    #define square_root sqrt
    #else
    #define square_root sqrtf
    #endif
    """
    real square_root(real x) noexcept nogil

cdef str BUILD = __name__.split("_", 2)[2]      # "float32_avx512" of fastnn._core.dense_float32_avx512


cdef object kernel(
    str text, Body body, size_t payload_bytes, Prepare prepare=NULL, const void *context=NULL, int n_added=0
):
    """Make the function that `text` declares one of this module's."""
    function = declare(__name__, sizeof(real), text, body, payload_bytes, prepare, context, n_added)
    globals()[function.__name__] = function
    return function

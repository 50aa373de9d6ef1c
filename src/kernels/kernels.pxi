# The kernels: everything below is compiled once per instruction set and dtype (`real`). See tape.pxd for Step.
#
# A file holds one family, each operation's forward directly above its backward: the formula, the body that runs it
# over a range of units, the wrapper that checks its arguments and runs or records the step.

from libc.math cimport NAN, pow, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from fastnn._core.tape cimport FASTNN_LAYOUT, OUT_OF_RANGE, Body, Step, Tape, run_or_record
from fastnn._core.tape import layout
from fastnn.arena import Rows

if layout != FASTNN_LAYOUT:
    raise ImportError("fastnn is built in part only: its tape and its kernels do not fit together. Install it again")

cdef extern from "simd.h":
    ctypedef float real         # or double: the build decides, and sizes are taken from C
    Py_ssize_t LANES            # of a vector
    real real_fma(real a, real b, real c) noexcept nogil

include "arguments.pxi"
include "index.pxi"
include "elementary.pxi"
include "activations.pxi"
include "dense.pxi"
include "softmax.pxi"
include "losses.pxi"
include "optimizers.pxi"
include "gather.pxi"
include "peak.pxi"

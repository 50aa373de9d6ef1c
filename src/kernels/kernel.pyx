"""What kernels are made of, built once for all of them.

A kernel declares its arguments in one text; from it follow the checks, the messages, the signature, the docstring and
the payload that its body reads. The files, each of which builds on the ones before it: declaration.pxi (the text and
what it becomes), sum_blocks.pxi (sums over many rows), refusals.pxi (error messages), arguments.pxi (one function that
takes the arguments of any kernel, and runs or records), checks.pxi (what kernels check beside), activation.pxi (the
table of activations), loss_blocks.pxi (losses of many rows). Rows and the guard of the loss stand here.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import re
from sys import intern

from fastnn._core.tape cimport (
    CALL_END, CALL_NO_MEMORY, CALL_NOT_FINITE, CALL_NUMBERS, CALL_WORDS, FASTNN_LAYOUT, Body, Call, CallBounds,
    CallNumber, Reach, Tape, bounds_in_words, call_divide, call_number_holds, call_run, raise_status, run_now,
)
from fastnn._core.tape import layout
from libc.math cimport isfinite

if layout != FASTNN_LAYOUT:
    raise ImportError("fastnn is built in part only: its tape and its kernels do not fit together. Install it again")


cdef class Rows:
    """Rows of an array that an index chooses: row i is ``array[index[cursor[0] + i]]``.

    Dense kernels take them for x, and read as many as y or dy has, where they lie: the array must not change meanwhile.

    Parameters
    ----------
    array : ndarray of shape (any, n_in)
    index : ndarray of int64
        The numbers of rows.
    cursor : ndarray of int64 of shape (1,)
        Where in `index` the rows begin; it is read at every run.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> x, y = np.arange(6.0).reshape(3, 2), np.empty((2, 1))
    >>> rows = kernels.Rows(x, np.array([0, 2, 1]), np.array([1]))
    >>> kernels.float64.dense_forward(rows, np.ones((2, 1)), None, y)
    >>> y
    array([[9.],
           [5.]])
    """

    cdef readonly object array
    cdef readonly object index
    cdef readonly object cursor

    def __init__(self, array, index, cursor):
        self.array, self.index, self.cursor = array, index, cursor


include "declaration.pxi"
include "sum_blocks.pxi"
include "refusals.pxi"
include "arguments.pxi"
include "checks.pxi"
include "activation.pxi"
include "loss_blocks.pxi"


# The guard: stops where value[0] is NaN or infinite, because a diverged loss must not reach the parameters.

cdef struct Guard:
    const double *value

cdef int guard_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return 0 if isfinite((<const Guard *> call.payload).value[0]) else CALL_NOT_FINITE

cdef Py_ssize_t prepare_guard(str kernel, Call *call) except -1:     # of others, too
    call.guards = 1
    return 1

guard = declare(__name__, sizeof(double), """guard(value: in float64 (1))

    Stop where ``value[0]`` is NaN or infinite: a diverged loss must not reach the parameters.
    """, guard_body, sizeof(Guard), prepare_guard)


# What is chosen at import, by the instruction set and the processor.
cdef object switch(str module, str name, Switch choose):
    def chosen(int wanted):
        """Choose what is wanted, where that can be, for all calls that follow; return what is chosen then."""
        return choose(wanted)

    chosen.__module__, chosen.__qualname__ = module, name
    return chosen


# The peak of a build's multiply-add units, to compare products with: no kernel, and so without a twin.
cdef object peak_function(str module, PeakLoop loop):
    def fma_peak(Py_ssize_t n):
        """Run `n` blocks of multiply-adds that touch registers only, and return how many operations they are.

        Divided by the seconds that this takes, they are the most operations per second that one thread of this build
        can reach in a product. The GIL is released.
        """
        cdef double operations
        if n < 0:
            raise ValueError(f"fma_peak: n is {n}, expected a number of blocks >= 0")
        with nogil:
            operations = loop(n)
        return operations

    fma_peak.__module__, fma_peak.__qualname__ = module, "fma_peak"
    return fma_peak

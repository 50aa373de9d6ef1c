"""What kernels are made of: declarations, and the table of activations."""

from fastnn._core.tape cimport Body, Call, CallBounds

# Completes the first of two calls, filled as declared, and perhaps makes a second of it; returns how many there are.
ctypedef Py_ssize_t (*Prepare)(str kernel, Call *calls) except -1

cdef class Activation:
    cdef const void *loop               # of y, and of dx where it is given dy; NULL for none of single numbers
    cdef double[2] default              # of its constants
    cdef CallBounds[2] bounds_inside    # of these, where it runs in dense_forward and in dense_backward
    cdef object texts                   # what these keep addresses of
    cdef readonly str name
    cdef readonly str declared          # its constants, or None
    cdef readonly dict constants
    cdef readonly dict bounds
    cdef readonly tuple range
    cdef readonly str derivative_from
    cdef readonly str initializer

cdef object declare(
    str module, size_t item_size, str text, Body body, size_t payload_bytes, Prepare prepare=*, const void *context=*,
    int n_added=*
)
cdef Activation elementwise_of(str build, str kernel, name)
cdef Activation add_activation(str build, str row, const void *loop)
cdef int fuse(Call *call, str build, str kernel, const int *words, bint derivative) except -1

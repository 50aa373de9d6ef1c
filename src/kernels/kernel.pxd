"""What kernels are made of: declarations, checks, and the table of activations."""

from libc.stdint cimport int64_t

from fastnn._core.tape cimport Body, Call

# Completes the first of two calls, filled as declared, and perhaps makes a second of it; returns how many there are.
ctypedef Py_ssize_t (*Prepare)(str kernel, Call *calls) except -1

cdef class Activation:
    cdef const void *loop               # of y, and of dx where it is given dy; NULL for none of single numbers
    cdef double[2] default              # of its constants
    cdef dict inside                    # bounds of these at the words of each kernel that it runs in
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
cdef str elementwise_text(str name, str summary, str declared)
cdef Activation add_activation(str build, str row, const void *loop)
cdef tuple activation_texts(str build, str text, const void *loop)
cdef bint choose_activation(
    str build, str kernel, const void **loop, const double **alpha, const double **beta
) except? -1
cdef int fuse(Call *call, str build, str kernel, const int *words) except -1

cdef int refuse(
    str kernel, str text, Py_ssize_t first=*, Py_ssize_t second=*, Py_ssize_t third=*, Py_ssize_t fourth=*
) except -1
cdef int refuse_activation(str kernel, name, str expected) except -1
cdef int check_rows(
    str kernel, const int64_t *index, const int64_t *cursor, Py_ssize_t rows, Py_ssize_t n_index, Py_ssize_t n
) except -1
cdef int check_columns(str kernel, const int64_t *index, Py_ssize_t m, Py_ssize_t n) except -1
# What the payload of any loss begins with
cdef struct AnyLoss:
    char *y
    char *t
    char *weight
    char *dy
    double *value
    const double *a
    const double *b
    char *each
    size_t total

# In the last words of the payload, wherever the struct of a family ends
cdef struct LossBlocks:
    Py_ssize_t rows                         # the word of the size, which that of the columns follows
    Py_ssize_t y_bytes, t_bytes, w_bytes    # of a row
    Py_ssize_t own, own_bytes               # the word of where losses are wanted before they are added; of a row
    Body whole                              # computes a block, or all of it

cdef inline LossBlocks *blocks_of(const Call *call) noexcept nogil:
    return <LossBlocks *> (<char *> call.payload + sizeof(call.payload) - sizeof(LossBlocks))

cdef int add_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
cdef int divide_loss(
    Call *call, const Py_ssize_t *rows, Py_ssize_t *parts, Py_ssize_t item_bytes, Py_ssize_t t_bytes, Py_ssize_t m,
    Py_ssize_t own_bytes, Body add
) except -1
cdef Py_ssize_t divide_target_loss(
    str kernel, Call *call, Py_ssize_t item_bytes, Py_ssize_t own_bytes, Body add
) except -1
cdef Py_ssize_t prepare_guard(str kernel, Call *call) except -1
cdef int check_numbers_or_rows(str kernel, Py_ssize_t rows, Py_ssize_t m, Py_ssize_t n) except -1

ctypedef int (*Switch)(int wanted) noexcept nogil
cdef object switch(str module, str name, Switch choose)

ctypedef double (*PeakLoop)(Py_ssize_t n) noexcept nogil
cdef object peak_function(str module, PeakLoop loop)

"""What a kernel fills and a tape replays."""

cdef extern from *:
    unsigned int FASTNN_LAYOUT      # the checksum of this file, from the build

cdef struct Step

# A body computes the units [begin, end) of its outputs and returns 0, or anything else to stop the replay.
ctypedef int (*Body)(const Step *step, Py_ssize_t begin, Py_ssize_t end) noexcept nogil

cdef struct Step:
    Body body
    Body activation         # what is fused into a dense product, or NULL: an activation, or the derivative of one
    Py_ssize_t units        # into how many independent parts the outputs can be split (rows, as a rule)
    Py_ssize_t grain        # how many of them are worth handing to another thread (about 5 us); 0: never
    double nanoseconds      # about how long one of them takes, where grain is not 0
    bint updates            # writes to parameters: from here on, a training step is completed
    const void *x           # addresses of the arrays, by the names that the kernels' arguments have
    const void *w
    const void *b
    const void *t
    const void *weight
    void *y
    void *dy
    void *dx
    void *dw
    void *db
    void *m
    void *v
    const void *index
    const void *cursor
    double *value
    const double *lr
    const double *step
    double *count
    Py_ssize_t rows         # sizes
    Py_ssize_t n_index      # of index
    Py_ssize_t limit        # of the numbers in index
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t panel        # columns of a unit, or 0 where units are rows
    Py_ssize_t stride       # of the rows and of the columns of an array that is not contiguous, in elements
    Py_ssize_t column_stride
    double alpha            # scalars that never change; those that do are read through lr and step
    double momentum
    double beta1
    double beta2
    double eps
    double weight_decay
    bint flag               # nesterov, decoupled

cdef class Tape:
    cdef Step *steps
    cdef Py_ssize_t length
    cdef Py_ssize_t capacity
    cdef list kept              # the buffers, exported so that nobody can resize or free them, and Python functions
    cdef object error
    cdef bint playing

    cdef int append(self, const Step *step, tuple arrays) except -1
    cdef int begin(self) except -1
    cdef int run(self, bint is_short) except -1
    cdef int fail(self, int status) except -1

cdef int run_or_record(const Step *step, Tape tape, tuple arrays) except -1

cdef extern from "status.h":
    enum:
        RAISED "FASTNN_RAISED"
        NOT_FINITE "FASTNN_NOT_FINITE"
        OUT_OF_RANGE "FASTNN_OUT_OF_RANGE"
        NO_MEMORY "FASTNN_NO_MEMORY"

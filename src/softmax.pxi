# Softmax over the rows of x (rows, n): each row's own maximum is subtracted, so that exp cannot overflow.
# Backward needs y. y may be x, dx may be dy.

cdef extern from "loops.h":
    enum:
        NARROW
        BLOCK_ROWS
        BLOCK_SIZE
    ctypedef struct Block:
        Py_ssize_t rows
        Py_ssize_t n
        Py_ssize_t lanes
    Block block_of_rows(Py_ssize_t begin, Py_ssize_t end, Py_ssize_t n, Py_ssize_t narrow) noexcept nogil
    const real *block_input(Block b, const real *x, real *buffer) noexcept nogil
    real *block_output(Block b, real *y, real *buffer) noexcept nogil
    void block_store(Block b, const real *buffer, real *y) noexcept nogil
    void block_maximum(Block b, const real *x, real *largest) noexcept nogil
    void block_sum(
        Block b, const real *x, const real *y, real *total, real (*f)(real, real) noexcept nogil
    ) noexcept nogil
    void block_map(
        Block b, const real *x, const real *alpha, real *y, real (*f)(real, real) noexcept nogil
    ) noexcept nogil
    void block_map_pairs(
        Block b, const real *x, const real *y, const real *alpha, real *z, real (*f)(real, real, real) noexcept nogil
    ) noexcept nogil
    void block_map_and_sum(
        Block b, const real *x, const real *alpha, real *y, real *total, real (*f)(real, real) noexcept nogil
    ) noexcept nogil
    real first_of_pair(real x, real y) noexcept nogil


cdef inline real product_(real x, real y) noexcept nogil:
    return x * y

cdef inline real exp_shifted(real x, real shift) noexcept nogil:
    return real_exp(x - shift)

cdef inline real quotient_(real x, real divisor) noexcept nogil:
    return x / divisor


cdef int softmax_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real[BLOCK_SIZE] buffer
    cdef real[BLOCK_ROWS] largest, total
    cdef const real *x
    cdef real *y
    cdef Block block
    while begin < end:
        block = block_of_rows(begin, end, s.n_out, NARROW)
        x = block_input(block, <const real *> s.x + begin * s.n_out, buffer)
        y = block_output(block, <real *> s.y + begin * s.n_out, buffer)
        block_maximum(block, x, largest)
        block_map_and_sum(block, x, largest, y, total, exp_shifted)
        block_map(block, y, total, y, quotient_)
        block_store(block, buffer, <real *> s.y + begin * s.n_out)
        begin += block.rows
    return 0

def softmax_forward(x, y, Tape tape=None):
    """y_j = exp(x_j) / sum_k exp(x_k), row by row."""
    elementwise_forward("softmax_forward", softmax_forward_body, x, y, 0, tape)


cdef inline real softmax_gradient(real y, real dy, real inner) noexcept nogil:
    return y * (dy - inner)

cdef int softmax_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real[BLOCK_SIZE] y_buffer, dy_buffer
    cdef real[BLOCK_ROWS] inner
    cdef const real *y
    cdef const real *dy
    cdef Block block
    while begin < end:
        block = block_of_rows(begin, end, s.n_out, 6)
        y = block_input(block, <const real *> s.x + begin * s.n_out, y_buffer)
        dy = block_input(block, <const real *> s.dy + begin * s.n_out, dy_buffer)
        block_sum(block, y, dy, inner, product_)
        block_map_pairs(
            block, y, dy, inner, block_output(block, <real *> s.dx + begin * s.n_out, dy_buffer), softmax_gradient
        )
        block_store(block, dy_buffer, <real *> s.dx + begin * s.n_out)
        begin += block.rows
    return 0

def softmax_backward(y, dy, dx, Tape tape=None):
    """dx = y * (dy - sum(y * dy)): the product of dy with the Jacobian, which is not formed."""
    elementwise_backward("softmax_backward", softmax_backward_body, "y", y, dy, dx, 0, tape)


cdef int softmax_jacobian_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real *y
    cdef real *row
    cdef Py_ssize_t i, j, k
    for i in range(begin, end):
        y = <const real *> s.x + i * s.n_out
        for j in range(s.n_out):
            row = <real *> s.y + (i * s.n_out + j) * s.n_out
            for k in range(s.n_out):
                row[k] = -y[j] * y[k]
            row[j] = y[j] - y[j] * y[j]
    return 0

def softmax_jacobian(y, jacobian, Tape tape=None):
    """jacobian[i, j, k] = d y_j / d x_k of row i = y_j (1 if j == k else 0) - y_j y_k; (rows, n, n)."""
    cdef const real[:, ::1] y_view = matrix("softmax_jacobian", "y", y)
    cdef real[:, :, ::1] jacobian_view
    cdef Step step
    try:
        jacobian_view = present(jacobian)
    except (ValueError, TypeError, BufferError):
        expected = f"a writable C-contiguous {DTYPE} array of 3 dimensions"
        raise refuse("softmax_jacobian", "jacobian", jacobian, expected) from None
    if (
        jacobian_view.shape[0] != y_view.shape[0]
        or jacobian_view.shape[1] != y_view.shape[1]
        or jacobian_view.shape[2] != y_view.shape[1]
    ):
        raise ValueError(
            f"softmax_jacobian: jacobian has shape "
            f"({jacobian_view.shape[0]}, {jacobian_view.shape[1]}, {jacobian_view.shape[2]}), "
            f"expected ({y_view.shape[0]}, {y_view.shape[1]}, {y_view.shape[1]}) to match y"
        )
    clear(&step, softmax_jacobian_body, y_view.shape[0])
    divide(&step, 0.3 * y_view.shape[1] * y_view.shape[1])
    step.x = address(y_view)
    step.y = &jacobian_view[0, 0, 0] if jacobian_view.size > 0 else NULL
    step.rows, step.n_out = y_view.shape[0], y_view.shape[1]
    apart("softmax_jacobian", "jacobian", step.y, jacobian_view.nbytes, "y", step.x, y_view.nbytes)
    run_or_record(&step, tape, (y, jacobian) if tape is not None else None)


cdef inline real minus_(real x, real shift) noexcept nogil:
    return x - shift

cdef int log_softmax_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real[BLOCK_SIZE] buffer, exponentials
    cdef real[BLOCK_ROWS] row, zeros
    cdef const real *x
    cdef real *y
    cdef Block block
    memset(zeros, 0, sizeof(zeros))
    while begin < end:
        block = block_of_rows(begin, end, s.n_out, NARROW)
        x = block_input(block, <const real *> s.x + begin * s.n_out, buffer)
        y = block_output(block, <real *> s.y + begin * s.n_out, buffer)
        # two subtractions: largest + log(sum) would round the sum away where the largest is large
        block_maximum(block, x, row)
        block_map(block, x, row, y, minus_)
        block_map_and_sum(block, y, zeros, block_output(block, NULL, exponentials), row, exp_shifted)
        map(row, row, 0, block.lanes, 0, log_)
        block_map(block, y, row, y, minus_)
        block_store(block, buffer, <real *> s.y + begin * s.n_out)
        begin += block.rows
    return 0

def log_softmax_forward(x, y, Tape tape=None):
    """y_j = x_j - log(sum_k exp(x_k)), row by row."""
    elementwise_forward("log_softmax_forward", log_softmax_forward_body, x, y, 0, tape)


cdef inline real log_softmax_gradient(real y, real dy, real total) noexcept nogil:
    return dy - real_exp(y) * total

cdef int log_softmax_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real[BLOCK_SIZE] y_buffer, dy_buffer
    cdef real[BLOCK_ROWS] total
    cdef const real *y
    cdef const real *dy
    cdef Block block
    while begin < end:
        block = block_of_rows(begin, end, s.n_out, NARROW)
        y = block_input(block, <const real *> s.x + begin * s.n_out, y_buffer)
        dy = block_input(block, <const real *> s.dy + begin * s.n_out, dy_buffer)
        block_sum(block, dy, dy, total, first_of_pair)
        block_map_pairs(
            block, y, dy, total, block_output(block, <real *> s.dx + begin * s.n_out, dy_buffer), log_softmax_gradient
        )
        block_store(block, dy_buffer, <real *> s.dx + begin * s.n_out)
        begin += block.rows
    return 0

def log_softmax_backward(y, dy, dx, Tape tape=None):
    """dx = dy - exp(y) * sum(dy)."""
    elementwise_backward("log_softmax_backward", log_softmax_backward_body, "y", y, dy, dx, 0, tape)

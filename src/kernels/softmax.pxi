# Softmax over the rows of x (rows, n): each row's own maximum is subtracted, so that exp cannot overflow.
# Backward needs y. y may be x, dx may be dy.

cdef extern from "math/blocks.h":
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
    void block_sum(Block b, const real *x, const real *y, real *total, Formula f) noexcept nogil
    void block_map(Block b, const real *x, const real *alpha, real *y, Formula f) noexcept nogil
    void block_map_pairs(
        Block b, const real *x, const real *y, const real *alpha, real *z, PairFormula f
    ) noexcept nogil
    void block_map_and_sum(Block b, const real *x, const real *alpha, real *y, real *total, Formula f) noexcept nogil
    real first_of_pair(real x, real y) noexcept nogil


cdef extern from "math/loops.h":
    void map(const real *x, real *y, Py_ssize_t n, real alpha, Formula f) noexcept nogil


cdef inline real product_(real x, real y) noexcept nogil:
    return x * y

cdef inline real exp_shifted(real x, real shift) noexcept nogil:
    return real_exp(x - shift)

# For many bodies, but compiled once: y = exp(x - shift) and its sum over each row
cdef void exponentials(Block block, const real *x, const real *shift, real *y, real *total) noexcept nogil:
    block_map_and_sum(block, x, shift, y, total, exp_shifted)

cdef inline real quotient_(real x, real divisor) noexcept nogil:
    return x / divisor

cdef inline real log_(real x, real alpha) noexcept nogil:
    return real_log(x)

cdef void logs_of_rows(const real *x, real *y, Py_ssize_t lanes) noexcept nogil:
    map(x, y, lanes, 0, log_)


cdef struct RowsForward:
    Input x
    Output y
    Py_ssize_t rows, n

cdef int softmax_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RowsForward *s = <const RowsForward *> call.payload
    cdef real[BLOCK_SIZE] buffer
    cdef real[BLOCK_ROWS] largest, total
    cdef const real *x
    cdef real *y
    cdef Block block
    while begin < end:
        block = block_of_rows(begin, end, s.n, NARROW)
        x = block_input(block, s.x + begin * s.n, buffer)
        y = block_output(block, s.y + begin * s.n, buffer)
        block_maximum(block, x, largest)
        exponentials(block, x, largest, y, total)
        block_map(block, y, total, y, quotient_)
        block_store(block, buffer, s.y + begin * s.n)
        begin += block.rows
    return 0

kernel("""softmax_forward(x: in (rows, n), y: out (rows, n) | x) -> rows: 0.3 n

    y_j = exp(x_j) / sum_k exp(x_k), row by row.
    """, softmax_forward_body, sizeof(RowsForward))


cdef inline real softmax_gradient(real y, real dy, real inner) noexcept nogil:
    return y * (dy - inner)

cdef struct RowsBackward:
    Input y, dy
    Output dx
    Py_ssize_t rows, n

cdef int softmax_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RowsBackward *s = <const RowsBackward *> call.payload
    cdef real[BLOCK_SIZE] y_buffer, dy_buffer
    cdef real[BLOCK_ROWS] inner
    cdef const real *y
    cdef const real *dy
    cdef Block block
    while begin < end:
        block = block_of_rows(begin, end, s.n, 6)
        y = block_input(block, s.y + begin * s.n, y_buffer)
        dy = block_input(block, s.dy + begin * s.n, dy_buffer)
        block_sum(block, y, dy, inner, product_)
        block_map_pairs(
            block, y, dy, inner, block_output(block, s.dx + begin * s.n, dy_buffer), softmax_gradient
        )
        block_store(block, dy_buffer, s.dx + begin * s.n)
        begin += block.rows
    return 0

kernel("""softmax_backward(y: in (rows, n), dy: in (rows, n), dx: out (rows, n) | dy) -> rows: 0.3 n

    dx = y * (dy - sum(y * dy)): the product of dy with the Jacobian, which is not formed.
    """, softmax_backward_body, sizeof(RowsBackward))


cdef struct Jacobian:
    Input y
    Output jacobian
    Py_ssize_t rows, n

cdef int softmax_jacobian_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Jacobian *s = <const Jacobian *> call.payload
    cdef const real[:, ::1] y = input_matrix(s.y, s.rows, s.n)
    cdef real[:, ::1] jacobian = matrix(s.jacobian, s.rows * s.n, s.n)      # row j of block i
    cdef Py_ssize_t i, j, k
    for i in range(begin, end):
        for j in range(s.n):
            for k in range(s.n):
                jacobian[i * s.n + j, k] = -y[i, j] * y[i, k]
            jacobian[i * s.n + j, j] = y[i, j] - y[i, j] * y[i, j]
    return 0

kernel("""softmax_jacobian(y: in (rows, n), jacobian: out (rows, n, n)) -> rows: 0.3 n n

    jacobian[i, j, k] = d y_j / d x_k of row i = y_j (1 if j == k else 0) - y_j y_k.
    """, softmax_jacobian_body, sizeof(Jacobian))


cdef inline real minus_(real x, real shift) noexcept nogil:
    return x - shift

cdef int log_softmax_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RowsForward *s = <const RowsForward *> call.payload
    cdef real[BLOCK_SIZE] buffer, terms
    cdef real[BLOCK_ROWS] row, zeros
    cdef const real *x
    cdef real *y
    cdef Block block
    memset(zeros, 0, sizeof(zeros))
    while begin < end:
        block = block_of_rows(begin, end, s.n, NARROW)
        x = block_input(block, s.x + begin * s.n, buffer)
        y = block_output(block, s.y + begin * s.n, buffer)
        # two subtractions: largest + log(sum) would round the sum away where the largest is large
        block_maximum(block, x, row)
        block_map(block, x, row, y, minus_)
        exponentials(block, y, zeros, block_output(block, NULL, terms), row)
        logs_of_rows(row, row, block.lanes)
        block_map(block, y, row, y, minus_)
        block_store(block, buffer, s.y + begin * s.n)
        begin += block.rows
    return 0

kernel("""log_softmax_forward(x: in (rows, n), y: out (rows, n) | x) -> rows: 0.3 n

    y_j = x_j - log(sum_k exp(x_k)), row by row.
    """, log_softmax_forward_body, sizeof(RowsForward))


# Where dy adds to 0, as in a row that is left out, y does not matter: it may be NaN.
cdef inline real log_softmax_gradient(real y, real dy, real total) noexcept nogil:
    cdef real share = real_exp(y) * total
    return dy - (share if total != 0 else <real> 0)

cdef int log_softmax_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RowsBackward *s = <const RowsBackward *> call.payload
    cdef real[BLOCK_SIZE] y_buffer, dy_buffer
    cdef real[BLOCK_ROWS] total
    cdef const real *y
    cdef const real *dy
    cdef Block block
    while begin < end:
        block = block_of_rows(begin, end, s.n, NARROW)
        y = block_input(block, s.y + begin * s.n, y_buffer)
        dy = block_input(block, s.dy + begin * s.n, dy_buffer)
        block_sum(block, dy, dy, total, first_of_pair)
        block_map_pairs(
            block, y, dy, total, block_output(block, s.dx + begin * s.n, dy_buffer), log_softmax_gradient
        )
        block_store(block, dy_buffer, s.dx + begin * s.n)
        begin += block.rows
    return 0

kernel("""log_softmax_backward(y: in (rows, n), dy: in (rows, n), dx: out (rows, n) | dy) -> rows: 0.3 n

    dx = dy - exp(y) * sum(dy); dy where its sum is 0, whatever y is.
    """, log_softmax_backward_body, sizeof(RowsBackward))


# Rows of the table of activations whose numbers follow from whole rows: they run in no product.
add_activation(BUILD, "softmax: y in [0, 1], from y, glorot_uniform", NULL)
add_activation(BUILD, "log_softmax: y in [-inf, 0], from y, glorot_uniform", NULL)

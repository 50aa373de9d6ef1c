# Sparsemax over the rows of x (Martins & Astudillo 2016): the nearest point of those that are probabilities. What is
# subtracted, tau, is the root of a convex sum, which Newton's rule reaches from below in a few steps, without sorting.
# Backward needs y. y may be x, dx may be dy.

cdef extern from "math/loops.h":
    real maximum(const real *x, Py_ssize_t n) noexcept nogil
    real sum_pairs(const real *x, const real *y, Py_ssize_t n, real (*f)(real x, real y) noexcept nogil) noexcept nogil
    real sum_of(const real *x, Py_ssize_t n, real alpha, Formula f) noexcept nogil

cdef inline real excess_(real x, real tau) noexcept nogil:
    return 0 if x <= tau else x - tau          # so written, a NaN stays

cdef inline real is_above(real x, real tau) noexcept nogil:
    return 0 if x <= tau else 1

cdef int sparsemax_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RowsForward *s = <const RowsForward *> call.payload
    cdef real tau, next_tau, count, last
    cdef real *y
    cdef Py_ssize_t i, step
    for i in range(begin, end):
        y = s.y + i * s.n
        map(s.x + i * s.n, y, s.n, maximum(s.x + i * s.n, s.n), minus_)
        tau, last = -1, 0
        for step in range(s.n):
            count = sum_of(y, s.n, tau, is_above)
            next_tau = tau + (sum_of(y, s.n, tau, excess_) - <real> 1) / count
            if not next_tau > tau or count == last:
                tau = next_tau
                break
            tau, last = next_tau, count
        map(y, y, s.n, tau, excess_)
    return 0

kernel("""sparsemax_forward(x: in (rows, n), y: out (rows, n) | x) -> rows: 2 n

    y_j = max(x_j - tau, 0), with the tau of each row that makes its sum 1.
    """, sparsemax_forward_body, sizeof(RowsForward))


cdef inline real where_positive(real y, real dy) noexcept nogil:
    return 0 if y <= 0 else dy

cdef inline real is_positive(real y, real dy) noexcept nogil:
    return 0 if y <= 0 else 1

cdef inline real sparsemax_gradient(real y, real dy, real mean) noexcept nogil:
    return 0 if y <= 0 else dy - mean

cdef int sparsemax_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RowsBackward *s = <const RowsBackward *> call.payload
    cdef const real *y
    cdef const real *dy
    cdef real mean
    cdef Py_ssize_t i
    for i in range(begin, end):
        y, dy = s.y + i * s.n, s.dy + i * s.n
        mean = sum_pairs(y, dy, s.n, where_positive) / sum_pairs(y, y, s.n, is_positive)
        map_pairs(y, dy, s.dx + i * s.n, s.n, mean, sparsemax_gradient)
    return 0

kernel("""sparsemax_backward(y: in (rows, n), dy: in (rows, n), dx: out (rows, n) | dy) -> rows: 1 n

    dx = dy - the mean of dy where y > 0, there, else 0: the product with the Jacobian, which is not formed.
    """, sparsemax_backward_body, sizeof(RowsBackward))

add_activation(BUILD, "sparsemax: y in [0, 1], from y, glorot_uniform", NULL)

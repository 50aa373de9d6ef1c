# Softmax over the rows of x (rows, n): each row's own maximum is subtracted, so that exp cannot overflow.
# Backward needs y. y may be x, dx may be dy.

cdef extern from "loops.h":
    real maximum(const real *x, Py_ssize_t n) noexcept nogil
    real sum_pairs(const real *x, const real *y, Py_ssize_t n, real (*f)(real, real) noexcept nogil) noexcept nogil


cdef inline real first_(real x, real y) noexcept nogil:
    return x

cdef inline real product_(real x, real y) noexcept nogil:
    return x * y

cdef inline real exp_shifted(real x, real shift) noexcept nogil:
    return real_exp(x - shift)

cdef inline real quotient_(real x, real divisor) noexcept nogil:
    return x / divisor


cdef int softmax_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real *x
    cdef real *y
    cdef Py_ssize_t i
    for i in range(begin, end):
        x = <const real *> s.x + i * s.n_out
        y = <real *> s.y + i * s.n_out
        map(x, y, 0, s.n_out, maximum(x, s.n_out), exp_shifted)
        map(y, y, 0, s.n_out, sum_pairs(y, y, s.n_out, first_), quotient_)
    return 0

def softmax_forward(x, y, Tape tape=None):
    """y_j = exp(x_j) / sum_k exp(x_k), row by row."""
    elementwise_forward("softmax_forward", softmax_forward_body, x, y, 0, tape)


cdef inline real softmax_gradient(real y, real dy, real inner) noexcept nogil:
    return y * (dy - inner)

cdef int softmax_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real *y
    cdef const real *dy
    cdef Py_ssize_t i
    for i in range(begin, end):
        y = <const real *> s.x + i * s.n_out
        dy = <const real *> s.dy + i * s.n_out
        map_pairs(y, dy, <real *> s.dx + i * s.n_out, 0, s.n_out, sum_pairs(y, dy, s.n_out, product_), softmax_gradient)
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

# The sum of exp(x - shift) over n elements, through a buffer on the stack: x is only read.
cdef real sum_exp(const real *x, Py_ssize_t n, real shift) noexcept nogil:
    cdef real[256] terms
    cdef real total = 0
    cdef Py_ssize_t begin, length
    for begin in range(0, n, 256):
        length = n - begin if n - begin < 256 else 256
        map(x + begin, terms, 0, length, shift, exp_shifted)
        total += sum_pairs(terms, terms, length, first_)
    return total

cdef int log_softmax_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real *x
    cdef real largest
    cdef Py_ssize_t i
    for i in range(begin, end):
        x = <const real *> s.x + i * s.n_out
        largest = maximum(x, s.n_out)
        # two subtractions: largest + log(sum) would round the sum away where the largest is large
        map(x, <real *> s.y + i * s.n_out, 0, s.n_out, largest, minus_)
        map(
            <real *> s.y + i * s.n_out, <real *> s.y + i * s.n_out, 0, s.n_out,
            real_log(sum_exp(<real *> s.y + i * s.n_out, s.n_out, 0)), minus_,
        )
    return 0

def log_softmax_forward(x, y, Tape tape=None):
    """y_j = x_j - log(sum_k exp(x_k)), row by row."""
    elementwise_forward("log_softmax_forward", log_softmax_forward_body, x, y, 0, tape)


cdef inline real log_softmax_gradient(real y, real dy, real total) noexcept nogil:
    return dy - real_exp(y) * total

cdef int log_softmax_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real *dy
    cdef Py_ssize_t i
    for i in range(begin, end):
        dy = <const real *> s.dy + i * s.n_out
        map_pairs(
            <const real *> s.x + i * s.n_out, dy, <real *> s.dx + i * s.n_out, 0, s.n_out,
            sum_pairs(dy, dy, s.n_out, first_), log_softmax_gradient,
        )
    return 0

def log_softmax_backward(y, dy, dx, Tape tape=None):
    """dx = dy - exp(y) * sum(dy)."""
    elementwise_backward("log_softmax_backward", log_softmax_backward_body, "y", y, dy, dx, 0, tape)

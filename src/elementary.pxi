# exp, log and their kin, elementwise: x, y (batch, n); y may be x. elementary.h has the mathematics.

cdef extern from "loops.h":
    void map(
        const void *x, void *y, Py_ssize_t begin, Py_ssize_t end, double alpha, real (*f)(real, real) noexcept nogil
    ) noexcept nogil
    void map_rows(
        const void *x, void *y, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t columns, Py_ssize_t stride, double alpha,
        real (*f)(real, real) noexcept nogil
    ) noexcept nogil
    void map_pair_rows(
        const void *x, const void *y, void *z, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t columns, Py_ssize_t stride,
        double alpha, real (*f)(real, real, real) noexcept nogil
    ) noexcept nogil
    void map_pairs(
        const void *x, const void *y, void *z, Py_ssize_t begin, Py_ssize_t end, double alpha,
        real (*f)(real, real, real) noexcept nogil
    ) noexcept nogil

cdef extern from "elementary.h":
    real magnitude(real x) noexcept nogil
    real real_exp(real x) noexcept nogil
    real real_expm1(real x) noexcept nogil
    real real_log(real x) noexcept nogil
    real real_log1p(real x) noexcept nogil
    real log1p_up_to_one(real x) noexcept nogil
    real real_tanh(real x) noexcept nogil
    real real_sigmoid(real x) noexcept nogil
    real real_softplus(real x) noexcept nogil
    real real_silu(real x) noexcept nogil
    real real_silu_derivative(real x) noexcept nogil
    real real_mish(real x) noexcept nogil
    real real_mish_derivative(real x) noexcept nogil
    real real_erf(real x) noexcept nogil
    real real_erfc(real x) noexcept nogil


cdef int elementwise_forward(str kernel, Body body, object x, object y, double alpha, Tape tape) except -1:
    """The wrapper of all y = f(x)."""
    cdef const real[:, ::1] x_view = matrix(kernel, "x", x)
    cdef real[:, ::1] y_view = output_matrix(kernel, "y", y)
    cdef Step step
    same_shape(kernel, "y", y_view, "x", x_view)
    not_negative(kernel, "alpha", alpha)
    clear(&step, body, x_view.shape[0])
    divide(&step, 0.3 * x_view.shape[1])
    step.x = address(x_view)
    step.y = output_address(y_view)
    step.rows, step.n_out, step.stride = x_view.shape[0], x_view.shape[1], x_view.shape[1]
    step.alpha = alpha
    apart(kernel, "y", step.y, y_view.nbytes, "x", step.x, x_view.nbytes, or_same=True)
    return run_or_record(&step, tape, (x, y) if tape is not None else None)


cdef inline real exp_(real x, real alpha) noexcept nogil:
    return real_exp(x)

cdef int exp_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, 0, exp_)
    return 0

def exp(x, y, Tape tape=None):
    """y = exp(x)."""
    elementwise_forward("exp", exp_body, x, y, 0, tape)


cdef inline real expm1_(real x, real alpha) noexcept nogil:
    return real_expm1(x)

cdef int expm1_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, 0, expm1_)
    return 0

def expm1(x, y, Tape tape=None):
    """y = exp(x) - 1, accurate near 0."""
    elementwise_forward("expm1", expm1_body, x, y, 0, tape)


cdef inline real log_(real x, real alpha) noexcept nogil:
    return real_log(x)

cdef int log_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, 0, log_)
    return 0

def log(x, y, Tape tape=None):
    """y = log(x), the natural logarithm."""
    elementwise_forward("log", log_body, x, y, 0, tape)


cdef inline real log1p_(real x, real alpha) noexcept nogil:
    return real_log1p(x)

cdef int log1p_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, 0, log1p_)
    return 0

def log1p(x, y, Tape tape=None):
    """y = log(1 + x), accurate near 0."""
    elementwise_forward("log1p", log1p_body, x, y, 0, tape)


cdef inline real erf_(real x, real alpha) noexcept nogil:
    return real_erf(x)

cdef int erf_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, 0, erf_)
    return 0

def erf(x, y, Tape tape=None):
    """y = erf(x), the error function."""
    elementwise_forward("erf", erf_body, x, y, 0, tape)

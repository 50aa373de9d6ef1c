# PReLU (He et al. 2015): a leaky relu whose slopes alpha are trained, one for all columns or one for each. From x, as
# a slope may be negative. dx may be dy: prelu_gradient, which needs dy, too, comes first.

cdef extern from "math/loops.h":
    void map(const real *x, real *y, Py_ssize_t n, real alpha, Formula f) noexcept nogil
    void map_pairs_columns(
        const real *x, const real *y, const real *a, real *z, Py_ssize_t n, PairFormula f
    ) noexcept nogil
    real sum_pairs(const real *x, const real *y, Py_ssize_t n, real (*f)(real x, real y) noexcept nogil) noexcept nogil

cdef inline real first_of_two(real x, real y) noexcept nogil:
    return x

cdef inline real prelu_(real x, real alpha) noexcept nogil:
    return x if x > 0 else alpha * x

cdef inline real prelu_of_column(real x, real alpha, real other) noexcept nogil:
    return x if x > 0 else alpha * x

cdef inline real prelu_gradient_(real x, real dy, real alpha) noexcept nogil:
    return dy if x > 0 else alpha * dy

cdef struct PReLUForward:
    Input x, alpha
    Output y
    Py_ssize_t rows, n, n_alpha

cdef int prelu_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const PReLUForward *s = <const PReLUForward *> call.payload
    cdef Py_ssize_t at = begin * s.n
    if s.n_alpha == 1:
        map(s.x + at, s.y + at, (end - begin) * s.n, s.alpha[0], prelu_)
    else:
        map_columns(s.x + at, s.alpha, s.alpha, s.y + at, Rectangle(end - begin, s.n, s.n), prelu_of_column)
    return 0

cdef int check_slopes(str kernel, Py_ssize_t n, Py_ssize_t n_alpha) except -1:
    if n_alpha not in (1, n):
        return refuse(kernel, "alpha has {} numbers, expected 1 or one for each of {} columns", n_alpha, n)
    return 0

cdef Py_ssize_t prepare_prelu_forward(str kernel, Call *call) except -1:
    cdef const PReLUForward *s = <const PReLUForward *> call.payload
    check_slopes(kernel, s.n, s.n_alpha)
    return 1

kernel("""prelu_forward(x: in (rows, n), alpha: in (n_alpha), y: out (rows, n) | x) -> rows: 0.3 n

    y = x where x > 0, else alpha * x, with one alpha or one for each column.
    """, prelu_forward_body, sizeof(PReLUForward), prepare_prelu_forward)


cdef struct PReLUBackward:
    Input x, dy, alpha
    Output dx
    Py_ssize_t rows, n, n_alpha

cdef int prelu_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const PReLUBackward *s = <const PReLUBackward *> call.payload
    cdef Py_ssize_t i, j, at
    for i in range(begin, end):
        at = i * s.n
        if s.n_alpha == 1:
            map_pairs(s.x + at, s.dy + at, s.dx + at, s.n, s.alpha[0], prelu_gradient_)
        else:
            map_pairs_columns(s.x + at, s.dy + at, s.alpha, s.dx + at, s.n, prelu_gradient_)
    return 0

cdef Py_ssize_t prepare_prelu_backward(str kernel, Call *call) except -1:
    cdef const PReLUBackward *s = <const PReLUBackward *> call.payload
    check_slopes(kernel, s.n, s.n_alpha)
    return 1

kernel("""prelu_backward(x: in (rows, n), dy: in (rows, n), alpha: in (n_alpha), dx: out (rows, n) | dy) -> rows: 0.3 n

    dx = dy where x > 0, else alpha * dy.

    prelu_gradient needs dy, too: where dx is dy, it comes first.
    """, prelu_backward_body, sizeof(PReLUBackward), prepare_prelu_backward)


cdef struct PReLUGradient:
    Input x, dy
    Output dalpha
    Py_ssize_t rows, n, n_alpha

cdef int prelu_gradient_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: of columns; one, where all columns share one number
    cdef const PReLUGradient *s = <const PReLUGradient *> call.payload
    cdef const real[:, ::1] x = input_matrix(s.x, s.rows, s.n), dy = input_matrix(s.dy, s.rows, s.n)
    cdef real[COLUMNS] total
    cdef bint shared = s.n_alpha == 1
    cdef Py_ssize_t at = 0 if shared else begin * UNIT, behind = s.n if shared else min(end * UNIT, s.n), n, i, j
    cdef real sum_of_all = 0
    while at < behind:
        n = min(<Py_ssize_t> COLUMNS, behind - at)
        memset(total, 0, sizeof(total))
        for i in range(s.rows):
            for j in range(n):
                total[j] += 0 if x[i, at + j] > 0 else x[i, at + j] * dy[i, at + j]
        if shared:
            sum_of_all += sum_pairs(total, total, n, first_of_two)
        else:
            memcpy(s.dalpha + at, total, n * sizeof(real))
        at += n
    if shared:
        s.dalpha[0] = sum_of_all
    return 0

cdef Py_ssize_t prepare_prelu_gradient(str kernel, Call *call) except -1:
    cdef const PReLUGradient *s = <const PReLUGradient *> call.payload
    check_slopes(kernel, s.n, s.n_alpha)
    if s.n_alpha == 1:
        call.units, call.grain = 1, 0
    else:
        divide_columns(call, s.rows, s.n, 0.3)
    return 1

kernel("""prelu_gradient(x: in (rows, n), dy: in (rows, n), dalpha: out (n_alpha)), sums

    dalpha = the sum of x * dy where x <= 0, over all, or over the rows of each column.
    """, prelu_gradient_body, sizeof(PReLUGradient), prepare_prelu_gradient)

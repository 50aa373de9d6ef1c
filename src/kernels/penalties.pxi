# What is added to a loss for the size of numbers, and the sets to which parameters are brought back behind a step.

cdef extern from "math/loops.h":
    ctypedef double (*Measure)(double x) noexcept nogil
    double sum_in_double(const real *x, Py_ssize_t n, Measure f) noexcept nogil
    double square_of(double x) noexcept nogil
    double size_of(double x) noexcept nogil


# The sums are over parts of one length, which depends on no thread: the value has the same bits for any number of them.
cdef struct Penalty:
    Input w
    Output dw
    double *sums
    Number l1, l2, scale
    Py_ssize_t n, parts

cdef inline real penalty_gradient(real w, real dw, real l1, real twice_l2) noexcept nogil:
    cdef real slope = l1 if w > 0 else -l1 if w < 0 else 0
    return real_fma(twice_l2, w, dw + slope)

cdef int penalty_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: parts
    cdef const Penalty *s = <const Penalty *> call.payload
    cdef const real[::1] w = input_vector(s.w, s.n)
    cdef real[::1] dw = vector(s.dw, s.n)
    cdef double l1 = s.scale[0] * s.l1[0], l2 = s.scale[0] * s.l2[0], total
    cdef real slope = <real> l1, twice_l2 = <real> (2 * l2)
    cdef Py_ssize_t length = (s.n + s.parts - 1) // max(s.parts, 1), part, first, last, i
    for part in range(begin, end):
        first = min(part * length, s.n)
        last = min(first + length, s.n)
        total = 0
        if l1 != 0:
            total += l1 * sum_in_double(s.w + first, last - first, size_of)
        if l2 != 0:
            total += l2 * sum_in_double(s.w + first, last - first, square_of)
        s.sums[part] = total
        if s.dw is not NULL:
            for i in range(first, last):
                dw[i] = penalty_gradient(w[i], dw[i], slope, twice_l2)
    return 0

# Hoerl & Kennard 1970 (l2), Tibshirani 1996 (l1), Zou & Hastie 2005 (both).
kernel("""penalty(w: in (n), dw: inout (n) | None, sums: out float64 (parts), l1: cell = 0.0 >= 0, l2: cell = 0.0 >= 0,
    scale: cell = 1.0 >= 0) -> parts: 3000

    dw += scale * (l1 * sign(w) + 2 * l2 * w), and sums[i] = the sum of scale * (l1 * |w| + l2 * w^2), in double, over
    the i-th part of w; all parts but the last ones have ceil(n / parts) elements.
    """, penalty_body, sizeof(Penalty))


cdef struct AddSum:
    const double *sums
    double *total
    Py_ssize_t parts

cdef int add_sum_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const AddSum *s = <const AddSum *> call.payload
    cdef double added = 0
    cdef Py_ssize_t i
    for i in range(s.parts):
        added += s.sums[i]
    s.total[0] += added
    return 0

kernel("""add_sum(sums: in float64 (parts), total: inout float64 (1))

    total[0] += sum(sums).
    """, add_sum_body, sizeof(AddSum))


# The norms of columns are in double, as those of gradients are, in strips of columns that stay in registers and on the
# stack; what is within its bounds is not touched.
cdef enum:
    STRIP = 64

cdef inline double projected(double squares, double low, double high, double rate) noexcept nogil:
    """The factor that brings a norm nearer to [low, high]."""
    cdef double norm = sqrt(squares), bounded = high if norm > high else low if norm < low else norm
    return 1 if bounded == norm or not norm > 0 else (rate * bounded + (1 - rate) * norm) / norm

cdef struct BoundNorms:
    Output w
    Number low, high, rate
    Py_ssize_t rows, n

cdef int bound_column_norms_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BoundNorms *s = <const BoundNorms *> call.payload
    cdef real[:, ::1] w = matrix(s.w, s.rows, s.n)
    cdef double[STRIP] squares
    cdef real[STRIP] factor
    cdef Py_ssize_t at = begin, n, i, j
    cdef bint within
    while at < end:
        n = min(<Py_ssize_t> STRIP, end - at)
        memset(squares, 0, sizeof(squares))
        for i in range(s.rows):
            for j in range(n):
                squares[j] += <double> w[i, at + j] * <double> w[i, at + j]
        within = True
        for j in range(n):
            factor[j] = <real> projected(squares[j], s.low[0], s.high[0], s.rate[0])
            within = within and factor[j] == 1
        if not within:
            for i in range(s.rows):
                for j in range(n):
                    w[i, at + j] *= factor[j]
        at += n
    return 0

# Srebro & Shraibman 2005.
kernel("""bound_column_norms(w: inout (rows, n), low: cell = 0.0 >= 0, high: cell = 1.0 >= 0,
    rate: cell = 1.0 >= 0 <= 1) -> n: 0.5 rows, updates

    Each column times what makes its norm rate * min(max(norm, low), high) + (1 - rate) * norm; one of zeros stays.
    """, bound_column_norms_body, sizeof(BoundNorms))

cdef int bound_row_norms_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BoundNorms *s = <const BoundNorms *> call.payload
    cdef real[:, ::1] w = matrix(s.w, s.rows, s.n)
    cdef real factor
    cdef Py_ssize_t i, j
    for i in range(begin, end):
        factor = <real> projected(sum_squares(s.w + i * s.n, s.n), s.low[0], s.high[0], s.rate[0])
        if factor != 1:
            for j in range(s.n):
                w[i, j] *= factor
    return 0

kernel("""bound_row_norms(w: inout (rows, n), low: cell = 0.0 >= 0, high: cell = 1.0 >= 0, rate: cell = 1.0 >= 0 <= 1)
    -> rows: 0.4 n, updates

    Each row times what makes its norm rate * min(max(norm, low), high) + (1 - rate) * norm; one of zeros stays.
    """, bound_row_norms_body, sizeof(BoundNorms))


cdef struct Bound:
    Output w
    Number low, high
    Py_ssize_t n

cdef int bound_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Bound *s = <const Bound *> call.payload
    cdef real[::1] w = vector(s.w, s.n)
    cdef real low = <real> s.low[0], high = <real> s.high[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        w[i] = high if w[i] > high else low if w[i] < low else w[i]
    return 0

kernel("""bound(w: inout (n), low: cell, high: cell) -> n: 0.2, updates

    w = min(max(w, low), high).
    """, bound_body, sizeof(Bound))

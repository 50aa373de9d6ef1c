# exp, log, sin and their kin, and sums, elementwise.


cdef void exp_loop(const Piece *p) noexcept nogil:
    map_function(p, real_exp)

elementwise("exp", "y = exp(x).", exp_loop)


cdef void expm1_loop(const Piece *p) noexcept nogil:
    map_function(p, real_expm1)

elementwise("expm1", "y = exp(x) - 1, accurate near 0.", expm1_loop)


cdef void log_loop(const Piece *p) noexcept nogil:
    map_function(p, real_log)

elementwise("log", "y = log(x), the natural logarithm.", log_loop)


cdef void log1p_loop(const Piece *p) noexcept nogil:
    map_function(p, real_log1p)

elementwise("log1p", "y = log(1 + x), accurate near 0.", log1p_loop)


cdef void erf_loop(const Piece *p) noexcept nogil:
    map_function(p, real_erf)

elementwise("erf", "y = erf(x), the error function.", erf_loop)


cdef struct Sum:
    Input x, z
    Output y
    Py_ssize_t rows, n

cdef inline real sum_(real x, real z, real alpha) noexcept nogil:
    return x + z

cdef int add_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Sum *s = <const Sum *> call.payload
    cdef Py_ssize_t at = begin * s.n
    map_pairs(s.x + at, s.z + at, s.y + at, (end - begin) * s.n, 0, sum_)
    return 0

kernel("""add(x: in (rows, n), z: in (rows, n), y: out (rows, n) | x) -> rows: 0.3 n

    y = x + z.
    """, add_body, sizeof(Sum))


cdef inline real second_of(real x, real s, real alpha) noexcept nogil:
    return s

cdef void sin_loop(const Piece *p) noexcept nogil:
    map_angles(p, 1, 0, second_of)

elementwise("sin", "y = sin(x), for any x.", sin_loop)


cdef void cos_loop(const Piece *p) noexcept nogil:
    map_angles(p, 1, 1, second_of)

elementwise("cos", "y = cos(x), for any x.", cos_loop)


cdef inline real negative_(real x) noexcept nogil:
    return -x

cdef void negative_loop(const Piece *p) noexcept nogil:
    map_function(p, negative_)

elementwise("negative", "y = -x.", negative_loop)

# exp, log and their kin, and sums, elementwise.


cdef inline real exp_(real x, real alpha) noexcept nogil:
    return real_exp(x)

cdef void exp_loop(const real *x, real *y, Rectangle shape, real alpha) noexcept nogil:
    map_rows(x, y, shape, alpha, exp_)

elementwise("exp", "alpha: absent", "y = exp(x).", exp_loop)


cdef inline real expm1_(real x, real alpha) noexcept nogil:
    return real_expm1(x)

cdef void expm1_loop(const real *x, real *y, Rectangle shape, real alpha) noexcept nogil:
    map_rows(x, y, shape, alpha, expm1_)

elementwise("expm1", "alpha: absent", "y = exp(x) - 1, accurate near 0.", expm1_loop)


cdef inline real log_(real x, real alpha) noexcept nogil:
    return real_log(x)

cdef void log_loop(const real *x, real *y, Rectangle shape, real alpha) noexcept nogil:
    map_rows(x, y, shape, alpha, log_)

elementwise("log", "alpha: absent", "y = log(x), the natural logarithm.", log_loop)


cdef inline real log1p_(real x, real alpha) noexcept nogil:
    return real_log1p(x)

cdef void log1p_loop(const real *x, real *y, Rectangle shape, real alpha) noexcept nogil:
    map_rows(x, y, shape, alpha, log1p_)

elementwise("log1p", "alpha: absent", "y = log(1 + x), accurate near 0.", log1p_loop)


cdef inline real erf_(real x, real alpha) noexcept nogil:
    return real_erf(x)

cdef void erf_loop(const real *x, real *y, Rectangle shape, real alpha) noexcept nogil:
    map_rows(x, y, shape, alpha, erf_)

elementwise("erf", "alpha: absent", "y = erf(x), the error function.", erf_loop)


cdef inline real sum_(real x, real z, real alpha) noexcept nogil:
    return x + z

cdef void add_loop(const real *x, const real *z, real *y, Rectangle shape, real alpha) noexcept nogil:
    map_pair_rows(x, z, y, shape, alpha, sum_)

kernel("""add(x: in (rows, n), z: in (rows, n), y: out (rows, n) | x, alpha: absent) -> rows: 0.3 n

    y = x + z.
    """, elementwise_gradient_body, sizeof(ElementwiseGradient), NULL, <const void *> add_loop)

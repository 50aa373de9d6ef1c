# Loops of formulas over rectangles: whole arrays, or what a dense product has in the cache.

cdef extern from "math/loops.h":
    ctypedef struct Rectangle:
        Py_ssize_t rows
        Py_ssize_t columns
        Py_ssize_t stride       # from row to row, in elements
    void map_rows(const real *x, real *y, Rectangle shape, real alpha, Formula f) noexcept nogil
    void map_pair_rows(const real *x, const real *y, real *z, Rectangle shape, real alpha, PairFormula f) noexcept nogil
    void map_columns(
        const real *x, const real *a, const real *b, real *y, Rectangle shape, PairFormula f
    ) noexcept nogil

cdef inline real scaled_and_shifted(real x, real factor, real offset) noexcept nogil:
    return real_fma(x, factor, offset)

# y = f(x), and dx = dy f'(saved), where saved is x or y
ctypedef void (*Forward)(const real *x, real *y, Rectangle shape, real alpha) noexcept nogil
ctypedef void (*Backward)(const real *saved, const real *dy, real *dx, Rectangle shape, real alpha) noexcept nogil

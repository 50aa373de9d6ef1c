# Loops of formulas over rectangles: whole arrays, or what a dense product has in the cache.

cdef extern from "math/loops.h":
    ctypedef struct Rectangle:
        Py_ssize_t rows, columns
        Py_ssize_t stride       # from row to row, in elements
    ctypedef struct Piece:      # y = f(x), or, with dy, y = dy f'(x): of all arrays the same rectangle
        Input x, dy
        Output y
        Rectangle shape
        real alpha, beta
    void map_piece(const Piece *p, Formula f, PairFormula gradient) noexcept nogil
    void map_piece_of_two(const Piece *p, PairFormula f, FormulaOfFour gradient) noexcept nogil
    void map_function(const Piece *p, Function f) noexcept nogil
    void map_pairs(const real *x, const real *y, real *z, Py_ssize_t n, real alpha, PairFormula f) noexcept nogil
    void map_columns(
        const real *x, const real *a, const real *b, real *y, Rectangle shape, PairFormula f
    ) noexcept nogil

cdef inline real scaled_and_shifted(real x, real factor, real offset) noexcept nogil:
    return real_fma(x, factor, offset)

ctypedef void (*Loop)(const Piece *p) noexcept nogil

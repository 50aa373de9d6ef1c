# Dropout: y = x / (1 - rate) or 0, by a mask that is computed where it is needed and never stored; x, y (rows, n), and
# y may be x. Units: rows.

cdef extern from "math/dropout.h":
    uint64_t dropout_key(uint64_t seed, uint64_t count) noexcept nogil
    uint64_t dropout_row_key(uint64_t key, uint64_t row) noexcept nogil
    void drop_out(
        const real *x, real *y, Py_ssize_t n, uint64_t row_key, uint32_t threshold, real factor
    ) noexcept nogil


cdef struct Dropout:
    Input x
    Output y
    Number rate, seed, count
    Py_ssize_t rows, n

cdef int dropout_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Dropout *s = <const Dropout *> call.payload
    cdef uint64_t key = dropout_key(<uint64_t> s.seed[0], <uint64_t> s.count[0])
    cdef uint32_t threshold = <uint32_t> (4294967296.0 * s.rate[0])     # 2^32: that of all bits together
    cdef real factor = <real> (1 / (1 - s.rate[0]))
    cdef Py_ssize_t i
    for i in range(begin, end):
        drop_out(s.x + i * s.n, s.y + i * s.n, s.n, dropout_row_key(key, i), threshold, factor)
    return 0

# Srivastava et al. 2014, in the inverted form. The bounds keep seed and count whole numbers of double.
kernel("""dropout(x: in (rows, n), y: out (rows, n) | x, rate: cell >= 0 < 1, seed: cell >= 0 < 9007199254740992,
    count: cell >= 0 < 9007199254740992) -> rows: 0.4 n

    y = x / (1 - rate) with probability 1 - rate, else 0, also where x is NaN or infinite.

    Which elements are kept follows from seed, count, row and column alone (the whole parts of seed and count), so the
    gradient is the same kernel: dx from dy. A rate of 0 copies x.
    """, dropout_body, sizeof(Dropout))

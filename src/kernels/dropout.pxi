# Dropout and noise: y = x / (1 - rate) or 0, by a mask that is computed where it is needed and never stored, or x with
# normal numbers that are made likewise; x, y (rows, n), and y may be x. Units: rows.

cdef extern from "math/dropout.h":
    uint64_t dropout_key(uint64_t seed, uint64_t count) noexcept nogil
    uint64_t dropout_row_key(uint64_t key, uint64_t row) noexcept nogil
    void drop_out(
        const real *x, real *y, Py_ssize_t n, uint64_t row_key, uint32_t threshold, real factor
    ) noexcept nogil
    void drop_out_to(
        const real *x, real *y, Py_ssize_t n, uint64_t row_key, uint32_t threshold, real factor, real offset,
        real dropped,
    ) noexcept nogil


cdef struct Dropout:
    Input x
    Output y
    Number rate, seed, count
    Py_ssize_t rows, n

cdef inline uint32_t threshold_of(double rate) noexcept nogil:
    return <uint32_t> (4294967296.0 * rate)     # 2^32: that of all bits together

cdef int dropout_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Dropout *s = <const Dropout *> call.payload
    cdef uint64_t key = dropout_key(<uint64_t> s.seed[0], <uint64_t> s.count[0])
    cdef uint32_t threshold = threshold_of(s.rate[0])
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


# That of SELU, whose outputs go to -ALPHA: scale * alpha (Klambauer et al. 2017).
cdef extern from *:
    """
    #define ALPHA 1.7580993408473766
    """
    double ALPHA

# What keeps the mean 0 and the variance 1.
cdef inline double alpha_factor(double rate) noexcept nogil:
    return 1 / sqrt((1 - rate) * (1 + rate * ALPHA * ALPHA))

cdef int alpha_dropout_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Dropout *s = <const Dropout *> call.payload
    cdef uint64_t key = dropout_key(<uint64_t> s.seed[0], <uint64_t> s.count[0])
    cdef uint32_t threshold = threshold_of(s.rate[0])
    cdef double factor = alpha_factor(s.rate[0]), offset = factor * ALPHA * s.rate[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        drop_out_to(
            s.x + i * s.n, s.y + i * s.n, s.n, dropout_row_key(key, i), threshold, <real> factor, <real> offset,
            <real> (offset - factor * ALPHA),
        )
    return 0

kernel("""alpha_dropout_forward(x: in (rows, n), y: out (rows, n) | x, rate: cell >= 0 < 1,
    seed: cell >= 0 < 9007199254740992, count: cell >= 0 < 9007199254740992) -> rows: 0.4 n

    y = a * x + b with probability 1 - rate, else -a * alpha + b, alpha = 1.758..., a = 1 / sqrt((1 - rate) *
    (1 + rate * alpha^2)), b = a * alpha * rate: a mean of 0 and a variance of 1 stay so.
    """, alpha_dropout_forward_body, sizeof(Dropout))

cdef int alpha_dropout_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Dropout *s = <const Dropout *> call.payload
    cdef uint64_t key = dropout_key(<uint64_t> s.seed[0], <uint64_t> s.count[0])
    cdef uint32_t threshold = threshold_of(s.rate[0])
    cdef real factor = <real> alpha_factor(s.rate[0])
    cdef Py_ssize_t i
    for i in range(begin, end):
        drop_out(s.x + i * s.n, s.y + i * s.n, s.n, dropout_row_key(key, i), threshold, factor)
    return 0

kernel("""alpha_dropout_backward(dy: in (rows, n), dx: out (rows, n) | dy, rate: cell >= 0 < 1,
    seed: cell >= 0 < 9007199254740992, count: cell >= 0 < 9007199254740992) -> rows: 0.4 n

    dx = a * dy where alpha_dropout_forward keeps x, else 0.
    """, alpha_dropout_backward_body, sizeof(Dropout))


cdef extern from "math/noise.h":
    void with_noise(
        const real *x, real *y, Py_ssize_t n, uint64_t row_key, real amount, PairFormula f
    ) noexcept nogil

cdef inline real added_noise(real x, real normal, real stddev) noexcept nogil:
    return real_fma(normal, stddev, x)

cdef int gaussian_noise_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Dropout *s = <const Dropout *> call.payload
    cdef uint64_t key = dropout_key(<uint64_t> s.seed[0], <uint64_t> s.count[0])
    cdef real stddev = <real> s.rate[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        with_noise(s.x + i * s.n, s.y + i * s.n, s.n, dropout_row_key(key, i), stddev, added_noise)
    return 0

kernel("""gaussian_noise(x: in (rows, n), y: out (rows, n) | x, stddev: cell >= 0, seed: cell >= 0 < 9007199254740992,
    count: cell >= 0 < 9007199254740992) -> rows: 2 n

    y = x + stddev * z, z normal with mean 0 and variance 1, which follows from seed, count, row and column alone.
    """, gaussian_noise_body, sizeof(Dropout))


cdef inline real multiplied_noise(real x, real normal, real stddev) noexcept nogil:
    return x * real_fma(normal, stddev, <real> 1)

cdef int gaussian_dropout_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Dropout *s = <const Dropout *> call.payload
    cdef uint64_t key = dropout_key(<uint64_t> s.seed[0], <uint64_t> s.count[0])
    cdef real stddev = <real> sqrt(s.rate[0] / (1 - s.rate[0]))
    cdef Py_ssize_t i
    for i in range(begin, end):
        with_noise(s.x + i * s.n, s.y + i * s.n, s.n, dropout_row_key(key, i), stddev, multiplied_noise)
    return 0

# Srivastava et al. 2014, section 10.
kernel("""gaussian_dropout(x: in (rows, n), y: out (rows, n) | x, rate: cell >= 0 < 1,
    seed: cell >= 0 < 9007199254740992, count: cell >= 0 < 9007199254740992) -> rows: 2 n

    y = x * (1 + sqrt(rate / (1 - rate)) * z), z normal with mean 0 and variance 1.

    Which numbers z are follows from seed, count, row and column alone, so the gradient is the same kernel: dx from dy.
    """, gaussian_dropout_body, sizeof(Dropout))

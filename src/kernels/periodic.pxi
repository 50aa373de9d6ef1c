# Waves of numbers, k for each column: y = [cos(a), sin(a)], a = 2 pi x w + c; x (rows, n), w, c (n, k),
# y (rows, n, 2 k).

cdef extern from "math/waves.h":
    void waves(real x, const real *w, const real *c, real *cosines, real *sines, Py_ssize_t n) noexcept nogil
    void wave_gradients(
        const real *cosines, const real *sines, const real *dcosines, const real *dsines, real *gradient, Py_ssize_t n
    ) noexcept nogil

cdef inline real product_of_two(real x, real y) noexcept nogil:
    return x * y

cdef struct PeriodicForward:
    Input x, w, c
    Output y
    Py_ssize_t rows, n, k, n_y

cdef int periodic_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const PeriodicForward *s = <const PeriodicForward *> call.payload
    cdef Py_ssize_t i, j
    cdef real *y
    for i in range(begin, end):
        for j in range(s.n):
            y = s.y + (i * s.n + j) * s.n_y
            waves(
                s.x[i * s.n + j], s.w + j * s.k, s.c + j * s.k if s.c is not NULL else NULL, y, y + s.k, s.k
            )
    return 0

cdef int check_waves(str kernel, Py_ssize_t k, Py_ssize_t n_y) except -1:
    if n_y != 2 * k:
        return refuse(kernel, "y has {} numbers for each column, expected {}: two for each number of w", n_y, 2 * k)
    return 0

cdef Py_ssize_t prepare_periodic_forward(str kernel, Call *call) except -1:
    cdef const PeriodicForward *s = <const PeriodicForward *> call.payload
    check_waves(kernel, s.k, s.n_y)
    return 1

# Gorishniy, Rubachev & Babenko 2022; with phases, Holzmueller, Grinsztajn & Steinwart 2024.
kernel("""periodic_forward(x: in (rows, n), w: in (n, k), c: in (n, k) | None, y: out (rows, n, n_y)) -> rows: 1 n n_y

    y[:, :, :k] = cos(a), y[:, :, k:] = sin(a), a[i, j] = 2 * pi * x[i, j] * w[j] + c[j].
    """, periodic_forward_body, sizeof(PeriodicForward), prepare_periodic_forward)


cdef struct PeriodicBackward:
    Input x, w, y, dy, beside
    Py_ssize_t beside_row, beside_column
    Output dx, dw, dc
    Py_ssize_t rows, n, k, n_y, n_dy

cdef int periodic_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: columns of x
    cdef const PeriodicBackward *s = <const PeriodicBackward *> call.payload
    cdef real turn = <real> 6.283185307179586
    cdef real[COLUMNS] gradient, of_w, of_c
    cdef const real *y
    cdef const real *dy
    cdef real x
    cdef Py_ssize_t i, j, q, at, n
    for j in range(begin, end):
        at = 0
        while at < s.k:
            n = min(<Py_ssize_t> COLUMNS, s.k - at)
            memset(of_w, 0, sizeof(of_w))
            memset(of_c, 0, sizeof(of_c))
            for i in range(s.rows):
                x = s.x[i * s.n + j]
                y, dy = s.y + (i * s.n + j) * s.n_y + at, s.dy + (i * s.n + j) * s.n_dy + at
                wave_gradients(y, y + s.k, dy, dy + s.k if s.n_dy > s.k else NULL, gradient, n)
                for q in range(n):
                    of_w[q] += x * gradient[q]
                    of_c[q] += gradient[q]
                if s.dx is not NULL:
                    x = turn * sum_pairs(s.w + j * s.k + at, gradient, n, product_of_two)
                    if at > 0:
                        x += s.dx[i * s.n + j]
                    elif s.beside is not NULL:
                        x += s.beside[i * s.beside_row + j * s.beside_column]
                    s.dx[i * s.n + j] = x
            if s.dw is not NULL:
                for q in range(n):
                    s.dw[j * s.k + at + q] = turn * of_w[q]
            if s.dc is not NULL:
                memcpy(s.dc + j * s.k + at, of_c, n * sizeof(real))
            at += n
    return 0

cdef Py_ssize_t prepare_periodic_backward(str kernel, Call *call) except -1:
    cdef const PeriodicBackward *s = <const PeriodicBackward *> call.payload
    check_waves(kernel, s.k, s.n_y)
    if s.n_dy not in (s.k, 2 * s.k):
        return refuse(
            kernel, "dy has {} numbers for each column, expected {}, those of cos, or {}", s.n_dy, s.k, 2 * s.k
        )
    call.units = s.n
    call_divide(call, 1.0 * s.rows * s.k)
    return 1

kernel("""periodic_backward(x: in (rows, n), w: in (n, k), y: in (rows, n, n_y), dy: in (rows, n, n_dy),
    beside: in strided (rows, n) | None, dx: out (rows, n) | None, dw: out (n, k) | None, dc: out (n, k) | None), sums

    dc = the sum of g over the rows, g = dy_sin * cos(a) - dy_cos * sin(a), dw = 2 * pi * the sum of x * g, and
    dx = 2 * pi * the sum of w * g over the waves of a column, + beside.

    dy is the gradient of the cosines alone, (rows, n, k), or of both.
    """, periodic_backward_body, sizeof(PeriodicBackward), prepare_periodic_backward)

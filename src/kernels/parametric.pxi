# Parametric activations: y = x + a (f(x) - x), from x to f(x) as far as a trained number of each column says, for any
# activation f of single numbers. f(x) is kept for backward. dx may be dy.

cdef enum:
    MAPPED = 512        # numbers at a time, over which the loop of f runs

cdef inline real part_of_the_way(real x, real f, real a) noexcept nogil:
    return real_fma(a, f - x, x)

cdef struct ParametricForward:
    Input x, a
    Output f, y
    Loop activation
    Number alpha, beta
    Py_ssize_t rows, n

cdef int parametric_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ParametricForward *s = <const ParametricForward *> call.payload
    cdef Piece piece
    cdef Py_ssize_t rows, at, i
    while begin < end:
        rows, at = min(end - begin, max(<Py_ssize_t> 1, MAPPED // max(s.n, <Py_ssize_t> 1))), begin * s.n
        piece = Piece(
            s.x + at, NULL, s.f + at, Rectangle(1, rows * s.n, rows * s.n), <real> s.alpha[0], <real> s.beta[0]
        )
        s.activation(&piece)
        for i in range(rows):
            map_pairs_columns(s.x + at, s.f + at, s.a, s.y + at, s.n, part_of_the_way)
            at += s.n
        begin += rows
    return 0

cdef Py_ssize_t prepare_parametric_forward(str kernel, Call *call) except -1:
    cdef ParametricForward *s = <ParametricForward *> call.payload
    choose_activation(BUILD, kernel, <const void **> &s.activation, &s.alpha, &s.beta)
    return 1

# Holzmueller, Grinsztajn & Steinwart 2024.
kernel("""parametric_forward(x: in (rows, n), a: in (n), f: out (rows, n), y: out (rows, n), activation: name,
    alpha: cell | None = None, beta: cell | None = None) -> rows: 1 n

    f = activation(x), y = x + a * (f - x).

    The activation is any of single numbers, by its name; alpha and beta are its constants, by default its own.
    """, parametric_forward_body, sizeof(ParametricForward), prepare_parametric_forward)


cdef struct ParametricBackward:
    Input x, f, dy, a
    Output dx, da
    Loop activation
    Number alpha, beta
    Py_ssize_t rows, n, from_y

cdef int parametric_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: of columns
    cdef const ParametricBackward *s = <const ParametricBackward *> call.payload
    cdef const real[:, ::1] x = input_matrix(s.x, s.rows, s.n), f = input_matrix(s.f, s.rows, s.n)
    cdef const real[:, ::1] dy = input_matrix(s.dy, s.rows, s.n)
    cdef const real *saved = s.f if s.from_y else s.x
    cdef real[COLUMNS] total, slope
    cdef Piece piece = Piece(NULL, NULL, &slope[0], Rectangle(1, 0, 0), <real> s.alpha[0], <real> s.beta[0])
    cdef Py_ssize_t at = begin * UNIT, behind = min(end * UNIT, s.n), n, i, j, row
    while at < behind:
        n = min(<Py_ssize_t> COLUMNS, behind - at)
        piece.shape = Rectangle(1, n, n)
        memset(total, 0, sizeof(total))
        for i in range(s.rows):
            row = i * s.n + at
            for j in range(n):
                total[j] += dy[i, at + j] * (f[i, at + j] - x[i, at + j])
            if s.dx is not NULL:
                piece.x, piece.dy = saved + row, s.dy + row
                s.activation(&piece)
                map_pairs_columns(s.dy + row, slope, s.a + at, s.dx + row, n, part_of_the_way)
        if s.da is not NULL:
            memcpy(s.da + at, total, n * sizeof(real))
        at += n
    return 0

cdef Py_ssize_t prepare_parametric_backward(str kernel, Call *call) except -1:
    cdef ParametricBackward *s = <ParametricBackward *> call.payload
    s.from_y = choose_activation(BUILD, kernel, <const void **> &s.activation, &s.alpha, &s.beta)
    divide_columns(call, s.rows, s.n, 1.5)
    return 1

kernel("""parametric_backward(x: in (rows, n), f: in (rows, n), dy: in (rows, n), a: in (n),
    dx: out (rows, n) | dy | None, da: out (n) | None, activation: name, alpha: cell | None = None,
    beta: cell | None = None), sums

    da = the sum of dy * (f - x) over the rows, dx = dy + a * (dy * f'(x) - dy).
    """, parametric_backward_body, sizeof(ParametricBackward), prepare_parametric_backward, NULL, 1)

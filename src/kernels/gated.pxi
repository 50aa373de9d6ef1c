# Gates: y = a * f(b), with the first half of the columns a and the second b, for any activation f of single numbers.
# The halves of some rows are laid in a row of numbers, over which the loop of f runs. dx overwrites nothing.

cdef enum:
    GATES = 512         # numbers at a time

cdef inline real product_of_pair(real x, real y, real alpha) noexcept nogil:
    return x * y

cdef struct GatedForward:
    Input x
    Output y
    Loop gate
    Py_ssize_t rows, n_in, n
    Number alpha, beta

cdef int gated_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GatedForward *s = <const GatedForward *> call.payload
    cdef real[GATES] gates
    cdef Piece piece
    cdef Py_ssize_t rows, n, i, j = 0
    while begin < end:
        n = min(<Py_ssize_t> GATES, s.n - j)
        rows = 1 if s.n > GATES else min(end - begin, GATES // max(n, 1))
        for i in range(rows):
            memcpy(gates + i * n, s.x + (begin + i) * s.n_in + s.n + j, n * sizeof(real))
        piece = Piece(&gates[0], NULL, &gates[0], Rectangle(1, rows * n, rows * n), <real> s.alpha[0], <real> s.beta[0])
        s.gate(&piece)
        for i in range(rows):
            map_pairs(
                s.x + (begin + i) * s.n_in + j, gates + i * n, s.y + (begin + i) * s.n + j, n, 0, product_of_pair
            )
        j += n
        if j >= s.n:
            begin, j = begin + rows, 0
    return 0

cdef bint choose_gate(str kernel, Py_ssize_t n_in, Py_ssize_t n, Loop *gate, Number *alpha, Number *beta) except? -1:
    if n_in != 2 * n:
        refuse(kernel, "x has {} columns, expected twice as many as the {} of y or dy", n_in, n)
    alpha[0] = beta[0] = NULL
    return choose_activation(BUILD, kernel, <const void **> gate, alpha, beta)

cdef Py_ssize_t prepare_gated_forward(str kernel, Call *call) except -1:
    cdef GatedForward *s = <GatedForward *> call.payload
    choose_gate(kernel, s.n_in, s.n, &s.gate, &s.alpha, &s.beta)
    return 1

# Dauphin et al. 2017; Shazeer 2020.
kernel("""gated_forward(x: in (rows, n_in), y: out (rows, n), activation: name) -> rows: 1 n

    y = a * f(b), a the first and b the second half of the columns of x; n_in is 2 n.

    f is any activation of single numbers, by its name, with the defaults of its constants.
    """, gated_forward_body, sizeof(GatedForward), prepare_gated_forward, NULL, 2)


cdef struct GatedBackward:
    Input x, dy
    Output dx
    Loop gate
    Py_ssize_t rows, n_in, n, from_y
    Number alpha, beta

cdef int gated_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GatedBackward *s = <const GatedBackward *> call.payload
    cdef real[GATES] gates, values, gradients
    cdef const real *x
    cdef const real *dy
    cdef Piece piece
    cdef Py_ssize_t rows, n, i, j = 0
    while begin < end:
        n = min(<Py_ssize_t> GATES, s.n - j)
        rows = 1 if s.n > GATES else min(end - begin, GATES // max(n, 1))
        for i in range(rows):
            x, dy = s.x + (begin + i) * s.n_in + j, s.dy + (begin + i) * s.n + j
            memcpy(gates + i * n, x + s.n, n * sizeof(real))
            map_pairs(x, dy, gradients + i * n, n, 0, product_of_pair)
        piece = Piece(
            &gates[0], NULL, &values[0], Rectangle(1, rows * n, rows * n), <real> s.alpha[0], <real> s.beta[0]
        )
        s.gate(&piece)
        if s.from_y:
            piece.x = &values[0]
        piece.dy = piece.y = &gradients[0]
        s.gate(&piece)
        for i in range(rows):
            map_pairs(
                values + i * n, s.dy + (begin + i) * s.n + j, s.dx + (begin + i) * s.n_in + j, n, 0, product_of_pair
            )
            memcpy(s.dx + (begin + i) * s.n_in + s.n + j, gradients + i * n, n * sizeof(real))
        j += n
        if j >= s.n:
            begin, j = begin + rows, 0
    return 0

cdef Py_ssize_t prepare_gated_backward(str kernel, Call *call) except -1:
    cdef GatedBackward *s = <GatedBackward *> call.payload
    s.from_y = choose_gate(kernel, s.n_in, s.n, &s.gate, &s.alpha, &s.beta)
    return 1

kernel("""gated_backward(x: in (rows, n_in), dy: in (rows, n), dx: out (rows, n_in), activation: name) -> rows: 2 n

    da = dy * f(b) in the first half of the columns of dx, db = dy * a * f'(b) in the second.
    """, gated_backward_body, sizeof(GatedBackward), prepare_gated_backward, NULL, 3)

# Elementwise kernels: y = f(x), for f of one number and up to two constants; x, y (rows, n); y may be x. Units: rows.

cdef struct Elementwise:
    Input x
    Output y
    Number alpha, beta
    Py_ssize_t rows, n
    Loop loop

cdef int elementwise_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Elementwise *s = <const Elementwise *> call.payload
    cdef Py_ssize_t at = begin * s.n
    cdef Piece piece = Piece(
        s.x + at, NULL, s.y + at, Rectangle(end - begin, s.n, s.n), <real> s.alpha[0], <real> s.beta[0]
    )
    s.loop(&piece)
    return 0

cdef int elementwise(str name, str summary, Loop loop) except -1:
    text = elementwise_text(name, summary, None)
    kernel(text, elementwise_body, sizeof(Elementwise), NULL, <const void *> loop)
    return 0

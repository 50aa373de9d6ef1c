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

cdef str constants_or_absent(declared):
    names = [text for text in ("alpha", "beta") if f"{text}: cell" not in (declared or "")]
    return ", ".join([*filter(None, [declared]), *(f"{name}: absent" for name in names)])

cdef int elementwise(str name, str summary, Loop loop, declared=None) except -1:
    text = f"{name}(x: in (rows, n), y: out (rows, n) | x, {constants_or_absent(declared)}) -> rows: 0.3 n"
    text += f"\n\n    {summary}"
    kernel(text, elementwise_body, sizeof(Elementwise), NULL, <const void *> loop)
    return 0

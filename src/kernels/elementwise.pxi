# Elementwise kernels: y = f(x) and dx = dy f'(x or y), for f of one number and perhaps one constant; x, y, dy, dx
# (rows, n); y may be x, dx may be dy. Units: rows.

cdef struct Elementwise:
    Input x
    Output y
    Number alpha
    Py_ssize_t rows, n
    Forward loop

cdef int elementwise_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Elementwise *s = <const Elementwise *> call.payload
    s.loop(s.x + begin * s.n, s.y + begin * s.n, Rectangle(end - begin, s.n, s.n), <real> s.alpha[0])
    return 0


cdef struct ElementwiseGradient:
    Input saved, dy
    Output dx
    Number alpha
    Py_ssize_t rows, n
    Backward loop

cdef int elementwise_gradient_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ElementwiseGradient *s = <const ElementwiseGradient *> call.payload
    cdef Py_ssize_t at = begin * s.n
    s.loop(s.saved + at, s.dy + at, s.dx + at, Rectangle(end - begin, s.n, s.n), <real> s.alpha[0])
    return 0


cdef int elementwise(str name, str alpha, str summary, Forward loop) except -1:
    """Declare the kernel of y = f(x)."""
    text = f"{name}(x: in (rows, n), y: out (rows, n) | x, {alpha}) -> rows: 0.3 n\n\n    {summary}"
    kernel(text, elementwise_body, sizeof(Elementwise), NULL, <const void *> loop)
    return 0


cdef int activation(str text, Forward loop, Backward gradient_loop) except -1:
    """Add a row to the table of activations and declare its two kernels; behind the row, the text says what they do."""
    row, forward, backward = text.splitlines()
    cdef Activation added = add_activation(BUILD, row, <const void *> loop, <const void *> gradient_loop)
    alpha, saved = added.constant or "alpha: absent", added.derivative_from
    elementwise(f"{added.name}_forward", alpha, forward.strip(), loop)
    arguments = f"{saved}: in (rows, n), dy: in (rows, n), dx: out (rows, n) | dy, {alpha}"
    signature = f"{added.name}_backward({arguments}) -> rows: 0.3 n"
    kernel(
        f"{signature}\n\n    {backward.strip()}", elementwise_gradient_body, sizeof(ElementwiseGradient), NULL,
        <const void *> gradient_loop,
    )
    return 0

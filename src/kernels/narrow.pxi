# Backward through a layer of few outputs. Its dx and its dw read the same x: a tape on which both follow each other
# runs them in one pass.

cdef extern from "gemm/narrow.h":
    Py_ssize_t NARROW_COLUMNS
    ctypedef struct Narrow:
        Py_ssize_t rows, n_in, n_out
        Input x
        Py_ssize_t x_row
        Input dy, w
        Output dx
        bint relu
        Output dw, db
        bint update
        real rate
    void narrow_backward(const Narrow *p) noexcept nogil

cdef enum:
    LEAST_NARROW = 8                # rows, and inputs
    MOST_AT_ONCE = 32768            # bytes of dx, where an activation's derivative comes behind it

cdef inline bint is_narrow(
    const int64_t *index, Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out, bint bf16
) noexcept nogil:
    if NARROW_COLUMNS == 0 or n_out > NARROW_COLUMNS or index is not NULL or bf16:
        return False
    return n_in >= LEAST_NARROW and rows >= LEAST_NARROW and rows <= SUM_BLOCK

# The rows [begin, end) of dw, and db with the first of them; with lr, of w and b
cdef void narrow_dw(
    const real *x, const real *dy, real *dw, real *db, const double *lr, Py_ssize_t rows, Py_ssize_t n_in,
    Py_ssize_t n_out, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    cdef Narrow p
    memset(&p, 0, sizeof(p))
    p.rows, p.n_in, p.n_out, p.x, p.x_row, p.dy = rows, end - begin, n_out, x + begin, n_in, dy
    p.dw, p.db = dw + begin * n_out, db if begin == 0 else NULL
    if lr is not NULL:
        p.update, p.rate = True, <real> lr[0]
    narrow_backward(&p)


# dx in the same pass, before an activation's derivative that no register knows
cdef inline void narrow_dx(Narrow *p, const DenseBackward *s, const real *x) noexcept nogil:
    p.rows, p.n_in, p.n_out, p.x, p.x_row, p.dy = s.rows, s.n_in, s.n_out, x, s.n_in, s.dy
    p.w, p.dx, p.relu = s.w, s.dx, s.in_registers

cdef inline bint derives(const DenseBackward *s) noexcept nogil:
    return s.activation is not NULL and not s.in_registers

cdef void derive(const DenseBackward *s) noexcept nogil:
    cdef Finish finish = Finish(s.activation, s.x, s.dx, s.n_in, <real> s.alpha[0], <real> s.beta[0], NULL, NULL)
    apply(&finish, 0, 0, s.rows, s.n_in)

# dw and db, and dx behind them
cdef int dw_and_dx(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseBackward *of_w = <const DenseBackward *> call.payload
    cdef const DenseBackward *of_x = <const DenseBackward *> call[1].payload
    cdef Narrow p
    memset(&p, 0, sizeof(p))
    narrow_dx(&p, of_x, of_w.x)
    p.dw, p.db = of_w.dw, of_w.db
    narrow_backward(&p)
    if derives(of_x):
        derive(of_x)
    return 0

# dx, and the step of w and b behind it
cdef int dx_and_sgd(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseBackward *of_x = <const DenseBackward *> call.payload
    cdef const DenseSGD *of_w = <const DenseSGD *> call[1].payload
    cdef Narrow p
    memset(&p, 0, sizeof(p))
    narrow_dx(&p, of_x, of_w.x)
    p.dw, p.db, p.update, p.rate = of_w.w, of_w.b, True, <real> of_w.lr[0]
    narrow_backward(&p)
    if derives(of_x):
        derive(of_x)
    return 0

cdef Body joint_of_narrow(const Call *call, const Call *following) noexcept:
    """What runs two calls of one layer in one pass, or NULL."""
    cdef const DenseBackward *s = <const DenseBackward *> call.payload
    cdef const DenseBackward *of_x = s
    cdef const DenseSGD *of_w = <const DenseSGD *> following.payload
    cdef Body both = NULL
    if call.body is dense_dw_body and following.body is dense_dx_body:
        of_x = <const DenseBackward *> following.payload
        if is_of(of_x.x, of_x.dy, of_x.rows, of_x.n_in, of_x.n_out, s):
            both = dw_and_dx
    elif call.body is dense_dx_body and following.body is dense_sgd_body and of_w.w is s.w and of_w.index is NULL:
        if is_of(of_w.x, of_w.dy, of_w.rows, of_w.n_in, of_w.n_out, s):
            both = dx_and_sgd
    if not is_narrow(s.index, s.rows, s.n_in, s.n_out, s.bf16):
        return NULL
    if derives(of_x) and of_x.rows * of_x.n_in * <Py_ssize_t> sizeof(real) > MOST_AT_ONCE:
        return NULL
    return both

cdef inline bint is_of(
    const real *x, const real *dy, Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out, const DenseBackward *s
) noexcept:
    """Whether these are of the same layer; who needs no x has none."""
    return dy is s.dy and rows == s.rows and n_in == s.n_in and n_out == s.n_out and (
        x is s.x or x is NULL or s.x is NULL
    )

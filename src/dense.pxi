# Dense: y = activation(x @ w + b); x (rows, n_in), w (n_in, n_out), b (n_out) or None, y (rows, n_out).
#
# The activation may be any whose derivative follows from y: forward then keeps y alone. Backward takes dy behind
# that activation's own backward, that is, the gradient of x @ w + b; it needs x. No output may overlap an input.

cdef extern from "gemm.h":
    ctypedef struct Product:        # c (m, n) = a (m, k) @ b (k, n) + bias; strides of rows and columns in elements
        Py_ssize_t m
        Py_ssize_t n
        Py_ssize_t k
        const real *a
        Py_ssize_t a_row
        Py_ssize_t a_col
        const real *b
        Py_ssize_t b_row
        Py_ssize_t b_col
        const real *bias
        real *c
        Py_ssize_t c_row

    void gemm(const Product *p) noexcept nogil


cdef Body fused_activation(str name) except *:
    if name is None or name == "identity":
        return NULL
    if name == "relu":
        return relu_forward_body
    if name == "leaky_relu":
        return leaky_relu_forward_body
    if name == "elu":
        return elu_forward_body
    if name == "selu":
        return selu_forward_body
    if name == "softplus":
        return softplus_forward_body
    if name == "sigmoid":
        return sigmoid_forward_body
    if name == "hard_sigmoid":
        return hard_sigmoid_forward_body
    if name == "tanh":
        return tanh_forward_body
    if name == "hard_tanh":
        return hard_tanh_forward_body
    raise ValueError(
        f"dense_forward: activation is {name!r}, expected one whose derivative follows from y: identity, relu, "
        f"leaky_relu, elu, selu, softplus, sigmoid, hard_sigmoid, tanh or hard_tanh"
    )


cdef int fitting(
    str kernel, const real[:, ::1] x, const real[:, ::1] w, str name, const real[:, ::1] y
) except -1:
    """Raise ValueError unless the shapes are those of a product x @ w and of y, or of its gradient."""
    if w.shape[0] != x.shape[1]:
        raise ValueError(
            f"{kernel}: w has shape ({w.shape[0]}, {w.shape[1]}), "
            f"expected ({x.shape[1]}, n_out) to match x ({x.shape[0]}, {x.shape[1]})"
        )
    if y.shape[0] != x.shape[0] or y.shape[1] != w.shape[1]:
        raise ValueError(
            f"{kernel}: {name} has shape ({y.shape[0]}, {y.shape[1]}), "
            f"expected ({x.shape[0]}, {w.shape[1]}) to match x and w"
        )
    return 0


cdef int dense_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: rows of y
    cdef Product p
    cdef Step activation
    memset(&p, 0, sizeof(p))
    p.m, p.n, p.k = end - begin, s.n_out, s.n_in
    p.a, p.a_row, p.a_col = <const real *> s.x + begin * s.n_in, s.n_in, 1
    p.b, p.b_row, p.b_col = <const real *> s.w, s.n_out, 1
    p.bias = <const real *> s.b
    p.c, p.c_row = <real *> s.y + begin * s.n_out, s.n_out
    gemm(&p)
    if s.activation is not NULL:        # in place, on the rows that were written just now
        activation.x = s.y
        activation.y = s.y
        activation.n_out = s.n_out
        activation.alpha = s.alpha
        s.activation(&activation, begin, end)
    return 0

def dense_forward(x, w, b, y, str activation=None, double alpha=0.0, Tape tape=None):
    """y = activation(x @ w + b); b may be None."""
    cdef const real[:, ::1] x_view = matrix("dense_forward", "x", x)
    cdef const real[:, ::1] w_view = matrix("dense_forward", "w", w)
    cdef const real[::1] b_view
    cdef real[:, ::1] y_view = output_matrix("dense_forward", "y", y)
    cdef Step step
    fitting("dense_forward", x_view, w_view, "y", y_view)
    not_negative("dense_forward", "alpha", alpha)
    clear(&step, dense_forward_body, x_view.shape[0])
    step.activation = fused_activation(activation)
    step.alpha = alpha
    step.x, step.w, step.y = address(x_view), address(w_view), output_address(y_view)
    step.rows, step.n_in, step.n_out = x_view.shape[0], x_view.shape[1], w_view.shape[1]
    if b is not None:
        b_view = vector("dense_forward", "b", b)
        same_length("dense_forward", "b", b_view.shape[0], "the columns of w", w_view.shape[1])
        step.b = vector_address(b_view)
        apart("dense_forward", "y", step.y, y_view.nbytes, "b", step.b, b_view.nbytes)
    apart("dense_forward", "y", step.y, y_view.nbytes, "x", step.x, x_view.nbytes)
    apart("dense_forward", "y", step.y, y_view.nbytes, "w", step.w, w_view.nbytes)
    run_or_record(&step, tape, (x, w, b, y) if tape is not None else None)


cdef int dense_dx_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx = dy @ w.T; units: rows of dx
    cdef Product p
    memset(&p, 0, sizeof(p))
    p.m, p.n, p.k = end - begin, s.n_in, s.n_out
    p.a, p.a_row, p.a_col = <const real *> s.dy + begin * s.n_out, s.n_out, 1
    p.b, p.b_row, p.b_col, p.c = <const real *> s.w, 1, s.n_out, <real *> s.dx + begin * s.n_in
    p.c_row = s.n_in
    gemm(&p)
    return 0


cdef int dense_dw_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dw = x.T @ dy; units: rows of dw
    cdef Product p
    memset(&p, 0, sizeof(p))
    p.m, p.n, p.k = end - begin, s.n_out, s.rows
    p.a, p.a_row, p.a_col = <const real *> s.x + begin, 1, s.n_in
    p.b, p.b_row, p.b_col = <const real *> s.dy, s.n_out, 1
    p.c, p.c_row = <real *> s.dw + begin * s.n_out, s.n_out
    gemm(&p)
    return 0


cdef int dense_db_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # db = sum of the rows of dy; units: columns
    cdef const real *dy = <const real *> s.dy
    cdef real *db = <real *> s.db
    cdef Py_ssize_t i, j
    for j in range(begin, end):
        db[j] = 0
    for i in range(s.rows):
        for j in range(begin, end):
            db[j] += dy[i * s.n_out + j]
    return 0

def dense_backward(x, w, dy, dx, dw, db, Tape tape=None):
    """dx = dy @ w.T, dw = x.T @ dy, db = dy.sum(0); dx and db may be None. dy is the gradient of x @ w + b."""
    cdef const real[:, ::1] x_view = matrix("dense_backward", "x", x)
    cdef const real[:, ::1] w_view = matrix("dense_backward", "w", w)
    cdef const real[:, ::1] dy_view = matrix("dense_backward", "dy", dy)
    cdef real[:, ::1] dw_view = output_matrix("dense_backward", "dw", dw)
    cdef real[:, ::1] dx_view
    cdef real[::1] db_view
    cdef Step step
    fitting("dense_backward", x_view, w_view, "dy", dy_view)
    same_shape("dense_backward", "dw", dw_view, "w", w_view)
    clear(&step, dense_dw_body, w_view.shape[0])
    step.x, step.w, step.dy = address(x_view), address(w_view), <void *> address(dy_view)
    step.dw = output_address(dw_view)
    step.rows, step.n_in, step.n_out = x_view.shape[0], x_view.shape[1], w_view.shape[1]
    apart("dense_backward", "dw", step.dw, dw_view.nbytes, "x", step.x, x_view.nbytes)
    apart("dense_backward", "dw", step.dw, dw_view.nbytes, "w", step.w, w_view.nbytes)
    apart("dense_backward", "dw", step.dw, dw_view.nbytes, "dy", step.dy, dy_view.nbytes)
    if db is not None:
        db_view = output_vector("dense_backward", "db", db)
        same_length("dense_backward", "db", db_view.shape[0], "the columns of w", w_view.shape[1])
        step.db = output_vector_address(db_view)
        apart("dense_backward", "db", step.db, db_view.nbytes, "x", step.x, x_view.nbytes)
        apart("dense_backward", "db", step.db, db_view.nbytes, "w", step.w, w_view.nbytes)
        apart("dense_backward", "db", step.db, db_view.nbytes, "dy", step.dy, dy_view.nbytes)
        apart("dense_backward", "db", step.db, db_view.nbytes, "dw", step.dw, dw_view.nbytes)
    if dx is not None:
        dx_view = output_matrix("dense_backward", "dx", dx)
        same_shape("dense_backward", "dx", dx_view, "x", x_view)
        step.dx = output_address(dx_view)
        apart("dense_backward", "dx", step.dx, dx_view.nbytes, "x", step.x, x_view.nbytes)
        apart("dense_backward", "dx", step.dx, dx_view.nbytes, "w", step.w, w_view.nbytes)
        apart("dense_backward", "dx", step.dx, dx_view.nbytes, "dy", step.dy, dy_view.nbytes)
        apart("dense_backward", "dx", step.dx, dx_view.nbytes, "dw", step.dw, dw_view.nbytes)
        if db is not None:
            apart("dense_backward", "dx", step.dx, dx_view.nbytes, "db", step.db, db_view.nbytes)
    keep = (x, w, dy, dx, dw, db) if tape is not None else None
    run_or_record(&step, tape, keep)
    if db is not None:
        step.body, step.units = dense_db_body, step.n_out
        run_or_record(&step, tape, keep)
    if dx is not None:
        step.body, step.units = dense_dx_body, step.rows
        run_or_record(&step, tape, keep)

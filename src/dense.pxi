# Dense: y = activation(x @ w + b); x (rows, n_in), w (n_in, n_out), b (n_out) or None, y (rows, n_out).
#
# The activation may be any whose derivative follows from y: forward then keeps y alone. Backward takes dy behind
# that activation's own backward, that is, the gradient of x @ w + b; it needs x. Where x is itself the output of such
# an activation, backward multiplies dx by its derivative on the way. No output may overlap an input.
#
# x may also be Rows of an array, chosen by an index: row i, array[index[cursor + i]], is read where it lies.

cdef extern from "gemm/all.c":
    ctypedef struct Product:
        Py_ssize_t m
        Py_ssize_t n
        Py_ssize_t k
        const real *a
        Py_ssize_t a_row
        Py_ssize_t a_col
        const int64_t *a_rows
        const int64_t *a_cols
        const int64_t *a_next
        const real *b
        Py_ssize_t b_row
        Py_ssize_t b_col
        const real *bias
        real *c
        Py_ssize_t c_row
        int update
        real rate
        real *b_sum
        void (*finish)(
            const void *context, Py_ssize_t i, Py_ssize_t j, Py_ssize_t rows, Py_ssize_t columns
        ) noexcept nogil
        const void *context
        int one_row
    int gemm(const Product *product) noexcept nogil


# The body of an activation whose derivative follows from y, or of its derivative; NULL where there is none.
cdef Body elementwise_body(str kernel, str name, bint derivative) except *:
    if name is None or name == "identity":
        return NULL
    if name == "relu":
        return relu_backward_body if derivative else relu_forward_body
    if name == "leaky_relu":
        return leaky_relu_backward_body if derivative else leaky_relu_forward_body
    if name == "elu":
        return elu_backward_body if derivative else elu_forward_body
    if name == "selu":
        return selu_backward_body if derivative else selu_forward_body
    if name == "softplus":
        return softplus_backward_body if derivative else softplus_forward_body
    if name == "sigmoid":
        return sigmoid_backward_body if derivative else sigmoid_forward_body
    if name == "hard_sigmoid":
        return hard_sigmoid_backward_body if derivative else hard_sigmoid_forward_body
    if name == "tanh":
        return tanh_backward_body if derivative else tanh_forward_body
    if name == "hard_tanh":
        return hard_tanh_backward_body if derivative else hard_tanh_forward_body
    raise ValueError(
        f"{kernel}: activation is {name!r}, expected one whose derivative follows from y: identity, relu, "
        f"leaky_relu, elu, selu, softplus, sigmoid, hard_sigmoid, tanh or hard_tanh"
    )


# The array of x. Fills what the step says of it, for a product x @ w and its y, or the gradient of y.
cdef const real[:, ::1] operand(
    Step *step, str kernel, object x, const real[:, ::1] w, str name, const real[:, ::1] y
) except *:
    cdef bint are_chosen = isinstance(x, Rows)
    cdef const real[:, ::1] array = matrix(kernel, "x", x.array if are_chosen else x)
    step.x, step.rows, step.n_in, step.n_out = address(array), y.shape[0], array.shape[1], w.shape[1]
    if w.shape[0] != step.n_in:
        raise ValueError(
            f"{kernel}: w has shape ({w.shape[0]}, {w.shape[1]}), "
            f"expected ({step.n_in}, n_out) to match x ({array.shape[0]}, {step.n_in})"
        )
    if y.shape[1] != step.n_out or (y.shape[0] != array.shape[0] and not are_chosen):
        raise ValueError(
            f"{kernel}: {name} has shape ({y.shape[0]}, {y.shape[1]}), "
            f"expected ({'any' if are_chosen else array.shape[0]}, {step.n_out}) to match x and w"
        )
    if are_chosen:
        choose_rows(step, kernel, x.index, x.cursor, step.rows, array.shape[0])
    return array


# The arrays that a tape keeps of x.
cdef tuple arrays_of(object x):
    return (x.array, x.index, x.cursor) if isinstance(x, Rows) else (x,)


# The rows of x from row i on, as the operand a of a product.
cdef inline void multiply_rows(const Step *s, Py_ssize_t i, Product *p) noexcept nogil:
    p.a, p.a_row, p.a_col = <const real *> s.x, s.n_in, 1
    if s.index is NULL:
        p.a += i * s.n_in
    else:
        p.a_rows = indices(s) + i


# Their columns from column i on, as its rows. The rows of the next batch are asked for from memory.
cdef inline void multiply_columns(const Step *s, Py_ssize_t i, Product *p) noexcept nogil:
    p.a, p.a_row, p.a_col = <const real *> s.x + i, 1, s.n_in
    if s.index is not NULL:
        p.a_cols = indices(s)
        if (<const int64_t *> s.cursor)[0] + 2 * s.rows <= s.n_index:
            p.a_next = p.a_cols + s.rows


cdef enum:
    FIRST_TOUCH = 1         # nanosecond per number that is written, where the system has to give the memory first
    LEAST_ROWS = 12         # of a chunk: in fewer, a multiply-add waits for the one before it
    PANEL_COLUMNS = 32      # of a unit, where threads share the columns of a product
    LONG_ROWS = 256         # of a unit, where a product takes long
    LONG = 5000000          # nanoseconds

# For chains of so many multiply-adds: one vector a cycle of 3 GHz, roughly.
cdef inline double nanoseconds_per_element(Py_ssize_t inner) noexcept:
    return 0.02 + inner / (3.0 * LANES)


# Threads share the columns of a product where there are many, so that each packs its own part of w, and so that the
# same part of w is in the same cache forward, backward and in the step; else they share the rows. What takes long runs
# in slices: then also rows are divided, into blocks, because a slice of few columns would read all rows for them.
cdef void divide_product(
    Step *step, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t inner, bint by_columns=False
) noexcept:
    cdef double nanoseconds = nanoseconds_per_element(inner)
    cdef Py_ssize_t blocks = max(rows // LONG_ROWS, 1) if nanoseconds * rows * columns > LONG else 1
    step.panel = PANEL_COLUMNS if columns >= 4 * PANEL_COLUMNS and (by_columns or rows <= 4 * columns) else 0
    if step.panel > 0:
        # the last panel is wider: few columns could be summed in another order
        step.units = columns // PANEL_COLUMNS * blocks
        divide(step, nanoseconds * rows * PANEL_COLUMNS / blocks)
        step.nanoseconds += <double> FIRST_TOUCH * rows * PANEL_COLUMNS / blocks
    else:
        step.units = max(rows, 1)       # db has columns also where dw has no rows
        divide(step, nanoseconds * columns)
        step.grain = max(step.grain, LEAST_ROWS)
        step.nanoseconds += FIRST_TOUCH * columns


# The first rectangle of a product (rows, columns) in the units [begin, end); returns the unit where the next begins.
cdef inline Py_ssize_t part_of(
    const Step *s, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t begin, Py_ssize_t end, Product *p, Py_ssize_t *i,
    Py_ssize_t *j,
) noexcept nogil:
    cdef Py_ssize_t panels, blocks, block, last, panel
    memset(p, 0, sizeof(Product))
    if s.panel == 0:
        i[0], j[0] = begin, 0
        p.m, p.n = min(end, rows) - begin, columns
        return end
    panels = columns // s.panel
    blocks = s.units // panels
    block, panel = begin // panels, begin % panels
    if panel == 0 and end - begin >= panels:    # whole blocks
        last, end = end // panels, panels
    else:
        last, end = block + 1, min(end - block * panels, panels)
    i[0], j[0] = rows * block // blocks, panel * s.panel
    p.m = rows * last // blocks - i[0]
    p.n = (columns if end == panels else end * s.panel) - j[0]
    return (last - 1) * panels + end


# The elementwise step of the context, on a rectangle of its arrays.
cdef void on_rectangle(
    const void *context, Py_ssize_t i, Py_ssize_t j, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    cdef const Step *whole = <const Step *> context
    cdef Step s
    cdef Py_ssize_t at = i * whole.stride + j
    s.x = <const real *> whole.x + at
    s.y = <real *> whole.y + at
    s.dy = <real *> whole.dy + at
    s.dx = <real *> whole.dx + at
    s.n_out, s.stride, s.alpha = columns, whole.stride, whole.alpha
    whole.body(&s, 0, rows)


cdef int dense_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: rows of y, or panels of its columns
    cdef Product p
    cdef Step activation
    cdef Py_ssize_t i, j, at = begin
    cdef int status
    if s.index is not NULL and not are_in_range(s, 0, s.rows):
        return OUT_OF_RANGE
    while at < end:
        at = part_of(s, s.rows, s.n_out, at, end, &p, &i, &j)
        p.k = s.n_in
        multiply_rows(s, i, &p)
        p.b, p.b_row, p.b_col = <const real *> s.w + j, s.n_out, 1
        p.bias = <const real *> s.b + j if s.b is not NULL else NULL
        p.c, p.c_row = <real *> s.y + i * s.n_out + j, s.n_out
        if s.activation is not NULL:        # in place, while the sums are in the cache
            activation.body, activation.alpha = s.activation, s.alpha
            activation.x = activation.y = activation.dy = activation.dx = p.c
            activation.stride = s.n_out
            p.finish, p.context = on_rectangle, &activation
        status = gemm(&p)
        if status != 0:
            return status
    return 0

def dense_forward(x, w, b, y, str activation=None, double alpha=0.0, Tape tape=None):
    """y = activation(x @ w + b); b may be None, x may be Rows."""
    cdef const real[:, ::1] x_view
    cdef const real[:, ::1] w_view = matrix("dense_forward", "w", w)
    cdef const real[::1] b_view
    cdef real[:, ::1] y_view = output_matrix("dense_forward", "y", y)
    cdef Step step
    clear(&step, dense_forward_body, 0)
    x_view = operand(&step, "dense_forward", x, w_view, "y", y_view)
    not_negative("dense_forward", "alpha", alpha)
    divide_product(&step, step.rows, step.n_out, step.n_in)
    step.activation = elementwise_body("dense_forward", activation, False)
    step.alpha = alpha
    step.w, step.y = address(w_view), output_address(y_view)
    if b is not None:
        b_view = vector("dense_forward", "b", b)
        same_length("dense_forward", "b", b_view.shape[0], "the columns of w", w_view.shape[1])
        step.b = vector_address(b_view)
        apart("dense_forward", "y", step.y, y_view.nbytes, "b", step.b, b_view.nbytes)
    apart("dense_forward", "y", step.y, y_view.nbytes, "x", step.x, x_view.nbytes)
    apart("dense_forward", "y", step.y, y_view.nbytes, "w", step.w, w_view.nbytes)
    apart_from_index("dense_forward", "y", step.y, y_view.nbytes, &step)
    run_or_record(&step, tape, (*arrays_of(x), w, b, y) if tape is not None else None)


cdef int dense_dx_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # dx = (dy @ w.T) * f'(x); units: rows of dx, or panels of its columns
    cdef Product p
    cdef Step derivative
    cdef Py_ssize_t i, j, at = begin
    cdef int status
    while at < end:
        at = part_of(s, s.rows, s.n_in, at, end, &p, &i, &j)
        p.k = s.n_out
        p.a, p.a_row, p.a_col = <const real *> s.dy + i * s.n_out, s.n_out, 1
        p.b, p.b_row, p.b_col = <const real *> s.w + j * s.n_out, 1, s.n_out
        p.one_row = s.rows == 1
        p.c, p.c_row = <real *> s.dx + i * s.n_in + j, s.n_in
        if s.activation is not NULL:
            derivative.body, derivative.alpha = s.activation, s.alpha
            derivative.x = <const real *> s.x + i * s.n_in + j
            derivative.y = derivative.dy = derivative.dx = p.c
            derivative.stride = s.n_in
            p.finish, p.context = on_rectangle, &derivative
        status = gemm(&p)
        if status != 0:
            return status
    return 0


# dw = x.T @ dy and db = the sum of the rows of dy; with lr, w and b lose lr times these instead.
cdef int dense_dw_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: panels of columns, or rows of dw; whoever computes the first row computes db, also where there is no row
    cdef Product p
    cdef Py_ssize_t i, j, at = begin
    cdef int status
    if s.index is not NULL and not are_in_range(s, 0, s.rows):
        return OUT_OF_RANGE
    while at < end:
        at = part_of(s, s.n_in, s.n_out, at, end, &p, &i, &j)
        p.k = s.rows
        multiply_columns(s, i, &p)
        p.b, p.b_row, p.b_col = <const real *> s.dy + j, s.n_out, 1
        p.c, p.c_row = <real *> s.dw + i * s.n_out + j, s.n_out
        if i == 0 and s.db is not NULL:
            p.b_sum = <real *> s.db + j
        if s.lr is not NULL:
            p.update, p.rate = True, <real> s.lr[0]
        status = gemm(&p)
        if status != 0:
            return status
    return 0


def dense_backward(x, w, dy, dx, dw, db, str activation=None, double alpha=0.0, Tape tape=None):
    """dx = (dy @ w.T) * f'(x), dw = x.T @ dy, db = dy.sum(0); each may be None. dy is the gradient of x @ w + b.

    f' is the derivative of the activation whose output x is, 1 for None. x may be Rows, which are no such output.
    """
    cdef const real[:, ::1] x_view
    cdef const real[:, ::1] w_view = matrix("dense_backward", "w", w)
    cdef const real[:, ::1] dy_view = matrix("dense_backward", "dy", dy)
    cdef real[:, ::1] dw_view
    cdef real[:, ::1] dx_view
    cdef real[::1] db_view
    cdef Step step
    clear(&step, dense_dw_body, 0)
    x_view = operand(&step, "dense_backward", x, w_view, "dy", dy_view)
    not_negative("dense_backward", "alpha", alpha)
    if dw is None and db is not None:
        raise ValueError("dense_backward: dw is None, expected an array where db is one: they are computed together")
    step.activation = elementwise_body("dense_backward", activation, True)
    if step.activation is not NULL and step.index is not NULL:
        raise ValueError(f"dense_backward: activation is {activation!r}, expected None where rows of x are chosen")
    step.alpha = alpha
    step.w, step.dy = address(w_view), <void *> address(dy_view)
    keep = (*arrays_of(x), w, dy, dx, dw, db) if tape is not None else None
    if dw is not None:
        dw_view = output_matrix("dense_backward", "dw", dw)
        same_shape("dense_backward", "dw", dw_view, "w", w_view)
        step.dw = output_address(dw_view)
        apart("dense_backward", "dw", step.dw, dw_view.nbytes, "x", step.x, x_view.nbytes)
        apart("dense_backward", "dw", step.dw, dw_view.nbytes, "w", step.w, w_view.nbytes)
        apart("dense_backward", "dw", step.dw, dw_view.nbytes, "dy", step.dy, dy_view.nbytes)
        apart_from_index("dense_backward", "dw", step.dw, dw_view.nbytes, &step)
    if db is not None:
        db_view = output_vector("dense_backward", "db", db)
        same_length("dense_backward", "db", db_view.shape[0], "the columns of w", w_view.shape[1])
        step.db = output_vector_address(db_view)
        apart("dense_backward", "db", step.db, db_view.nbytes, "x", step.x, x_view.nbytes)
        apart("dense_backward", "db", step.db, db_view.nbytes, "w", step.w, w_view.nbytes)
        apart("dense_backward", "db", step.db, db_view.nbytes, "dy", step.dy, dy_view.nbytes)
        apart("dense_backward", "db", step.db, db_view.nbytes, "dw", step.dw, dw_view.nbytes)
        apart_from_index("dense_backward", "db", step.db, db_view.nbytes, &step)
    if dx is not None:
        dx_view = output_matrix("dense_backward", "dx", dx)
        if dx_view.shape[0] != step.rows or dx_view.shape[1] != step.n_in:
            raise ValueError(
                f"dense_backward: dx has shape ({dx_view.shape[0]}, {dx_view.shape[1]}), "
                f"expected ({step.rows}, {step.n_in}) to match x"
            )
        step.dx = output_address(dx_view)
        apart("dense_backward", "dx", step.dx, dx_view.nbytes, "x", step.x, x_view.nbytes)
        apart("dense_backward", "dx", step.dx, dx_view.nbytes, "w", step.w, w_view.nbytes)
        apart("dense_backward", "dx", step.dx, dx_view.nbytes, "dy", step.dy, dy_view.nbytes)
        apart_from_index("dense_backward", "dx", step.dx, dx_view.nbytes, &step)
        if dw is not None:
            apart("dense_backward", "dx", step.dx, dx_view.nbytes, "dw", step.dw, dw_view.nbytes)
        if db is not None:
            apart("dense_backward", "dx", step.dx, dx_view.nbytes, "db", step.db, db_view.nbytes)
    if dw is not None:
        divide_product(&step, step.n_in, step.n_out, step.rows, by_columns=True)
        run_or_record(&step, tape, keep)
    if dx is not None:
        step.body = dense_dx_body
        divide_product(&step, step.rows, step.n_in, step.n_out)
        run_or_record(&step, tape, keep)


def dense_sgd(x, w, b, dy, lr, Tape tape=None):
    """w -= lr * x.T @ dy; b -= lr * dy.sum(0), unless it is None: gradients and plain SGD's step in one pass.

    The bits are those of dense_backward and sgd, but the gradients are never stored. x may be Rows.
    """
    cdef const real[:, ::1] x_view
    cdef real[:, ::1] w_view = output_matrix("dense_sgd", "w", w)
    cdef const real[:, ::1] dy_view = matrix("dense_sgd", "dy", dy)
    cdef real[::1] b_view
    cdef Step step
    clear(&step, dense_dw_body, 0)
    x_view = operand(&step, "dense_sgd", x, w_view, "dy", dy_view)
    step.dy, step.dw = <void *> address(dy_view), output_address(w_view)
    step.lr = read_only_cell("dense_sgd", "lr", lr)
    step.updates = True
    apart("dense_sgd", "w", step.dw, w_view.nbytes, "x", step.x, x_view.nbytes)
    apart("dense_sgd", "w", step.dw, w_view.nbytes, "dy", step.dy, dy_view.nbytes)
    apart("dense_sgd", "w", step.dw, w_view.nbytes, "lr", step.lr, sizeof(double))
    apart_from_index("dense_sgd", "w", step.dw, w_view.nbytes, &step)
    if b is not None:
        b_view = output_vector("dense_sgd", "b", b)
        same_length("dense_sgd", "b", b_view.shape[0], "the columns of w", w_view.shape[1])
        step.db = output_vector_address(b_view)
        apart("dense_sgd", "b", step.db, b_view.nbytes, "x", step.x, x_view.nbytes)
        apart("dense_sgd", "b", step.db, b_view.nbytes, "dy", step.dy, dy_view.nbytes)
        apart("dense_sgd", "b", step.db, b_view.nbytes, "w", step.dw, w_view.nbytes)
        apart("dense_sgd", "b", step.db, b_view.nbytes, "lr", step.lr, sizeof(double))
        apart_from_index("dense_sgd", "b", step.db, b_view.nbytes, &step)
    divide_product(&step, step.n_in, step.n_out, step.rows, by_columns=True)
    run_or_record(&step, tape, (*arrays_of(x), w, b, dy, lr) if tape is not None else None)

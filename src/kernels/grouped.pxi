# Dense products side by side: y_g = x_g @ w_g + b_g for each group of columns; x (rows, groups, n_x), of which the
# first n_in count, w (groups, n_in, n_out), b (groups, n_out) or None, y (rows, groups, n_y), whose first n_out are
# written. What may stand behind them is one number of `last` (rows, groups). Units: groups.

cdef extern from "gemm/vectors.h":
    void IN_ORDER(Output address) noexcept nogil    # what depends on it is done one by one

cdef double nanoseconds_per_group(Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out) noexcept:
    return 200 + nanoseconds_per_element(n_in) * rows * max(n_out, LANES)

cdef struct GroupedForward:
    Input x, w, b, last
    Output y
    Py_ssize_t rows, groups, n_x, n_in, n_out, n_y

cdef int grouped_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GroupedForward *s = <const GroupedForward *> call.payload
    cdef Product p
    cdef Output behind
    cdef Py_ssize_t g, i
    cdef int status = 0
    for g in range(begin, end):
        memset(&p, 0, sizeof(Product))
        p.m, p.n, p.k = s.rows, s.n_out, s.n_in
        p.a, p.a_row, p.a_col = s.x + g * s.n_x, s.groups * s.n_x, 1
        p.b, p.b_row, p.b_col = s.w + g * s.n_in * s.n_out, s.n_out, 1
        p.bias = s.b + g * s.n_out if s.b is not NULL else NULL
        p.c, p.c_row = s.y + g * s.n_y, s.groups * s.n_y
        status = status or gemm(&p)
        if s.last is not NULL:
            behind = s.y + g * s.n_y + s.n_out
            for i in range(s.rows):
                behind[0] = s.last[i * s.groups + g]
                behind += s.groups * s.n_y
                IN_ORDER(behind)    # vectors would be scattered, number by number, by more code
    return status

cdef int check_widths(str kernel, Py_ssize_t n_x, Py_ssize_t n_in, Py_ssize_t n_y, Py_ssize_t n_out) except -1:
    if n_in > n_x:
        return refuse(kernel, "w is for {} numbers of each group, expected up to {}, those of x", n_in, n_x)
    if n_y != n_out:
        return refuse(kernel, "groups of y have {} numbers, expected {}: those of w, and one for `last`", n_y, n_out)
    return 0

cdef Py_ssize_t prepare_grouped_forward(str kernel, Call *call) except -1:
    cdef const GroupedForward *s = <const GroupedForward *> call.payload
    check_widths(kernel, s.n_x, s.n_in, s.n_y, s.n_out + (s.last is not NULL))
    call.units = s.groups
    call_divide(call, nanoseconds_per_group(s.rows, s.n_in, s.n_out))
    return 1

kernel("""grouped_forward(x: in (rows, groups, n_x), w: in (groups, n_in, n_out), b: in (groups, n_out) | None,
    last: in (rows, groups) | None, y: out (rows, groups, n_y))

    y[:, g] = x[:, g, :n_in] @ w[g] + b[g] for each group g, and behind it last[:, g], where that is given.
    """, grouped_forward_body, sizeof(GroupedForward), prepare_grouped_forward)


cdef struct GroupedBackward:
    Input x, w, dy
    Output dx, dw, db
    Py_ssize_t rows, groups, n_x, n_in, n_out, n_y

cdef int grouped_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GroupedBackward *s = <const GroupedBackward *> call.payload
    cdef Product p
    cdef Py_ssize_t g
    cdef int status = 0
    for g in range(begin, end):
        if s.dw is not NULL:
            memset(&p, 0, sizeof(Product))
            p.m, p.n, p.k = s.n_in, s.n_out, s.rows
            p.a, p.a_row, p.a_col = s.x + g * s.n_x, 1, s.groups * s.n_x
            p.b, p.b_row, p.b_col = s.dy + g * s.n_y, s.groups * s.n_y, 1
            p.c, p.c_row = s.dw + g * s.n_in * s.n_out, s.n_out
            if s.db is not NULL:
                p.b_sum = s.db + g * s.n_out
            status = status or gemm(&p)
        if s.dx is not NULL:
            memset(&p, 0, sizeof(Product))
            p.m, p.n, p.k = s.rows, s.n_in, s.n_out
            p.a, p.a_row, p.a_col = s.dy + g * s.n_y, s.groups * s.n_y, 1
            p.b, p.b_row, p.b_col = s.w + g * s.n_in * s.n_out, 1, s.n_out
            p.c, p.c_row = s.dx + g * s.n_in, s.groups * s.n_in
            status = status or gemm(&p)
    return status

cdef Py_ssize_t prepare_grouped_backward(str kernel, Call *call) except -1:
    cdef const GroupedBackward *s = <const GroupedBackward *> call.payload
    if s.dw is NULL and s.db is not NULL:
        return refuse(kernel, "dw is None, expected an array where db is one: they are computed together")
    check_widths(kernel, s.n_x, s.n_in, s.n_y, s.n_y if s.n_y == s.n_out + 1 else s.n_out)
    call.units = s.groups
    call_divide(call, 2 * nanoseconds_per_group(s.rows, s.n_in, s.n_out))
    return 1

kernel("""grouped_backward(x: in (rows, groups, n_x), w: in (groups, n_in, n_out), dy: in (rows, groups, n_y),
    dx: out (rows, groups, n_in) | None, dw: out (groups, n_in, n_out) | None, db: out (groups, n_out) | None)

    dx[:, g] = dy[:, g, :n_out] @ w[g].T, dw[g] = x[:, g, :n_in].T @ dy[:, g, :n_out], db[g] = the sum of the rows of
    dy[:, g, :n_out].
    """, grouped_backward_body, sizeof(GroupedBackward), prepare_grouped_backward)

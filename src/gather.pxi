# Gather: y[i] = x[index[cursor + i]], the rows of a shuffled batch from where the user's data lie.
# x (n, columns) of any strides, y (rows, columns), index (any) int64 with entries in 0..n-1, cursor (1) int64.
# Units: rows.

# The first byte of an array of any strides, and the one behind its last.
cdef const char *lowest(const real[:, :] x) noexcept:
    cdef const char *first = <const char *> &x[0, 0]
    return first + sum_of_steps(x, -1)


cdef const char *highest(const real[:, :] x) noexcept:
    return <const char *> &x[0, 0] + sum_of_steps(x, 1) + sizeof(real)


cdef inline Py_ssize_t sum_of_steps(const real[:, :] x, int sign) noexcept:
    cdef Py_ssize_t steps = 0
    cdef int axis
    for axis in range(2):
        if x.strides[axis] * sign > 0:
            steps += x.strides[axis] * (x.shape[axis] - 1)
    return steps


cdef extern from "loops.h":
    void gather(
        const real *x, Py_ssize_t stride, const int64_t *index, Py_ssize_t n, Py_ssize_t columns, real *y
    ) noexcept nogil

cdef int gather_rows_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const int64_t *index = indices(s)
    cdef const real *row
    cdef real *y = <real *> s.y + begin * s.n_out
    cdef Py_ssize_t i, j
    if not are_in_range(s, begin, end):
        return OUT_OF_RANGE
    if s.column_stride == 1:
        gather(<const real *> s.x, s.stride, index + begin, end - begin, s.n_out, y)
        return 0
    for i in range(begin, end):
        row = <const real *> s.x + index[i] * s.stride
        for j in range(s.n_out):
            y[j] = row[j * s.column_stride]
        y += s.n_out
    return 0

def gather_rows(x, index, cursor, y, Tape tape=None):
    """y[i] = x[index[cursor[0] + i]] for every row i of y."""
    cdef const real[:, :] x_view
    cdef real[:, ::1] y_view = output_matrix("gather_rows", "y", y)
    cdef Step step
    try:
        x_view = present(x)
    except (ValueError, TypeError, BufferError):
        raise refuse("gather_rows", "x", x, f"a {DTYPE} array of 2 dimensions") from None
    if y_view.shape[1] != x_view.shape[1]:
        raise ValueError(f"gather_rows: y has {y_view.shape[1]} columns, expected {x_view.shape[1]} to match x")
    clear(&step, gather_rows_body, y_view.shape[0])
    choose_rows(&step, "gather_rows", index, cursor, y_view.shape[0], x_view.shape[0])
    divide(&step, 5 + 0.3 * y_view.shape[1])
    if x_view.size > 0 and y_view.size > 0:
        if x_view.strides[0] % sizeof(real) != 0 or x_view.strides[1] % sizeof(real) != 0:
            raise ValueError("gather_rows: the strides of x are no multiples of its item size, expected whole elements")
        step.x = &x_view[0, 0]
        step.stride = x_view.strides[0] // <Py_ssize_t> sizeof(real)
        step.column_stride = x_view.strides[1] // <Py_ssize_t> sizeof(real)
    else:
        step.units = 0
    step.y = output_address(y_view)
    step.n_out = y_view.shape[1]
    if step.units > 0:
        apart("gather_rows", "y", step.y, y_view.nbytes, "x", lowest(x_view), highest(x_view) - lowest(x_view))
    apart_from_index("gather_rows", "y", step.y, y_view.nbytes, &step)
    run_or_record(&step, tape, (x, index, cursor, y) if tape is not None else None)


cdef int gather_labels_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const int64_t *index = indices(s)
    cdef Py_ssize_t i
    if not are_in_range(s, begin, end):
        return OUT_OF_RANGE
    for i in range(begin, end):
        (<int64_t *> s.y)[i] = (<const int64_t *> s.x)[index[i]]
    return 0

def gather_labels(x, index, cursor, y, Tape tape=None):
    """y[i] = x[index[cursor[0] + i]] for every i, for int64 labels."""
    cdef const int64_t[::1] x_view = integers("gather_labels", "x", x)
    cdef int64_t[::1] y_view
    cdef Step step
    try:
        y_view = present(y)
    except (ValueError, TypeError, BufferError):
        raise refuse("gather_labels", "y", y, "a writable C-contiguous int64 array of 1 dimension") from None
    clear(&step, gather_labels_body, y_view.shape[0])
    choose_rows(&step, "gather_labels", index, cursor, y_view.shape[0], x_view.shape[0])
    step.x = &x_view[0] if x_view.shape[0] > 0 else NULL
    step.y = &y_view[0] if y_view.shape[0] > 0 else NULL
    apart("gather_labels", "y", step.y, y_view.nbytes, "x", step.x, x_view.nbytes)
    apart_from_index("gather_labels", "y", step.y, y_view.nbytes, &step)
    run_or_record(&step, tape, (x, index, cursor, y) if tape is not None else None)

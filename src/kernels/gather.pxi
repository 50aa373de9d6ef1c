# Gather: y[i] = x[index[cursor + i]], the rows of a shuffled batch from where the user's data lie.
# x (n, columns) of any strides, y (rows, columns), index (any) int64 with entries in 0..n-1, cursor (1) int64.
# Units: rows.

cdef extern from "math/gather.h":
    void gather(
        const real *x, Py_ssize_t stride, const int64_t *index, Py_ssize_t n, Py_ssize_t columns, real *y
    ) noexcept nogil


# The index from the cursor on, or NULL where a row of [begin, end) is out of range: then its number, or what it lacks
# to n - 1, is below 0. In vectors, for short rows: one by one, to look at them took a third of the time.
cdef inline const int64_t *rows_in_range(
    const int64_t *index, const int64_t *cursor, Py_ssize_t rows, Py_ssize_t n_index, Py_ssize_t n, Py_ssize_t begin,
    Py_ssize_t end,
) noexcept nogil:
    cdef Py_ssize_t i, start = start_in_range(index, cursor, rows, n_index, n, 0, 0)
    cdef int64_t signs = 0
    if start < 0:
        return NULL
    index += start
    for i in range(begin, end):
        signs |= index[i] | <int64_t> (<uint64_t> n - 1 - <uint64_t> index[i])      # which wraps, for any number
    return index if signs >= 0 else NULL


cdef struct GatherRows:
    Input x
    Py_ssize_t stride, column_stride    # of its rows and columns, in elements
    Labels index, cursor
    Output y
    Py_ssize_t n, columns, n_index, rows

cdef int gather_rows_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GatherRows *s = <const GatherRows *> call.payload
    cdef const int64_t *index = rows_in_range(s.index, s.cursor, s.rows, s.n_index, s.n, begin, end)
    cdef real[:, ::1] y = matrix(s.y, s.rows, s.columns)
    cdef Py_ssize_t i, j
    if index is NULL:
        return CALL_OUT_OF_RANGE
    if s.column_stride == 1:
        gather(s.x, s.stride, index + begin, end - begin, s.columns, s.y + begin * s.columns)
        return 0
    for i in range(begin, end):
        for j in range(s.columns):
            y[i, j] = s.x[index[i] * s.stride + j * s.column_stride]
    return 0

cdef Py_ssize_t prepare_gather_rows(str kernel, Call *call) except -1:
    cdef const GatherRows *s = <const GatherRows *> call.payload
    check_rows(kernel, s.index, s.cursor, s.rows, s.n_index, s.n)
    call.units = s.rows if s.columns > 0 else 0
    call.of_rows, call.rows = call.body, call.units
    call_divide(call, 5 + 0.3 * s.columns)
    return 1

kernel("""gather_rows(x: in strided (n, columns), index: in int64 (n_index), cursor: in int64 (1),
    y: out (rows, columns)) -> rows

    y[i] = x[index[cursor[0] + i]] for every row i of y.
    """, gather_rows_body, sizeof(GatherRows), prepare_gather_rows)


cdef struct GatherLabels:
    Labels x, index, cursor
    int64_t *y
    Py_ssize_t n, n_index, rows

cdef int gather_labels_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GatherLabels *s = <const GatherLabels *> call.payload
    cdef const int64_t[::1] x = labels(s.x, s.n)
    cdef int64_t[::1] y = output_labels(s.y, s.rows)
    cdef const int64_t *index = rows_in_range(s.index, s.cursor, s.rows, s.n_index, s.n, begin, end)
    cdef Py_ssize_t i
    if index is NULL:
        return CALL_OUT_OF_RANGE
    for i in range(begin, end):
        y[i] = x[index[i]]
    return 0

cdef Py_ssize_t prepare_gather_labels(str kernel, Call *call) except -1:
    cdef const GatherLabels *s = <const GatherLabels *> call.payload
    check_rows(kernel, s.index, s.cursor, s.rows, s.n_index, s.n)
    call.of_rows, call.rows = call.body, call.units
    call_divide(call, 2)
    return 1

kernel("""gather_labels(x: in int64 (n), index: in int64 (n_index), cursor: in int64 (1), y: out int64 (rows)) -> rows

    y[i] = x[index[cursor[0] + i]] for every i, for int64 labels.
    """, gather_labels_body, sizeof(GatherLabels), prepare_gather_labels)

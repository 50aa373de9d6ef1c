# Rows that an index chooses: row i of a batch is row index[cursor + i] of an array of `limit` rows.
# index (any) int64 with entries in 0..limit-1, cursor (1) int64.

cdef int choose_rows(
    Step *step, str kernel, object index, object cursor, Py_ssize_t rows, Py_ssize_t limit
) except -1:
    """Let the step read the rows that the index names from the cursor on."""
    cdef const int64_t[::1] index_view = integers(kernel, "index", index)
    cdef const int64_t[::1] cursor_view = integers(kernel, "cursor", cursor)
    cdef Py_ssize_t i
    same_length(kernel, "cursor", cursor_view.shape[0], "its single number", 1)
    if rows > index_view.shape[0]:
        raise ValueError(f"{kernel}: index has length {index_view.shape[0]}, expected {rows} or more, one per row")
    if not 0 <= cursor_view[0] <= index_view.shape[0] - rows:
        raise ValueError(
            f"{kernel}: cursor is {cursor_view[0]}, expected 0 to {index_view.shape[0] - rows} "
            f"for {rows} rows of an index of {index_view.shape[0]}"
        )
    for i in range(index_view.shape[0]):
        if not 0 <= index_view[i] < limit:
            raise ValueError(f"{kernel}: index[{i}] is {index_view[i]}, expected that of one of {limit} rows of x")
    step.index = &index_view[0] if index_view.shape[0] > 0 else NULL
    step.cursor = &cursor_view[0]
    step.rows, step.n_index, step.limit = rows, index_view.shape[0], limit
    return 0


# The memory of an output overlaps neither index nor cursor.
cdef int apart_from_index(str kernel, str name, const void *array, Py_ssize_t n_bytes, const Step *step) except -1:
    if step.cursor is not NULL:
        apart(kernel, name, array, n_bytes, "index", step.index, step.n_index * <Py_ssize_t> sizeof(int64_t))
        apart(kernel, name, array, n_bytes, "cursor", step.cursor, sizeof(int64_t))
    return 0


# What index and cursor hold may have changed since they were checked: a replay must not read elsewhere.
cdef inline bint are_in_range(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef int64_t cursor = (<const int64_t *> s.cursor)[0]
    cdef Py_ssize_t i
    if not 0 <= cursor <= s.n_index - s.rows:
        return False
    for i in range(begin, end):
        if not 0 <= (<const int64_t *> s.index)[cursor + i] < s.limit:
            return False
    return True


cdef inline const int64_t *indices(const Step *s) noexcept nogil:
    return <const int64_t *> s.index + (<const int64_t *> s.cursor)[0]

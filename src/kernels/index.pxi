# Rows that an index chooses: row i of a batch is row index[cursor + i] of an array of n rows.
# index (n_index) int64 with entries in 0..n-1, cursor (1) int64.


# Where the index begins, or -1: what index and cursor hold may have changed since they were checked, and a replay must
# not read elsewhere.
cdef inline Py_ssize_t start_in_range(
    const int64_t *index, const int64_t *cursor, Py_ssize_t rows, Py_ssize_t n_index, Py_ssize_t n, Py_ssize_t begin,
    Py_ssize_t end,
) noexcept nogil:
    cdef int64_t start = cursor[0]
    cdef Py_ssize_t i
    if not 0 <= start <= n_index - rows:
        return -1
    for i in range(begin, end):
        if not 0 <= index[start + i] < n:
            return -1
    return start

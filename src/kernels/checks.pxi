# What declarations cannot say of arguments, and how kernels refuse them. Families are compiled for each instruction set
# and dtype: what makes messages, and what does not depend on these, stands here, once.

# The error for arguments that do not fit one another; each {} of the text is one of the numbers.
cdef int refuse(
    str kernel, str text, Py_ssize_t first=0, Py_ssize_t second=0, Py_ssize_t third=0, Py_ssize_t fourth=0
) except -1:
    raise ValueError(f"{kernel}: {text.format(first, second, third, fourth)}")


cdef int refuse_activation(str kernel, name, str expected) except -1:
    raise ValueError(f"{kernel}: activation is {name!r}, expected {expected}")


# Every entry of the index, if there is one, because the cursor moves on between replays.
cdef int check_rows(
    str kernel, const int64_t *index, const int64_t *cursor, Py_ssize_t rows, Py_ssize_t n_index, Py_ssize_t n
) except -1:
    cdef Py_ssize_t i
    if index is NULL:
        return 0
    if rows > n_index:
        return refuse(kernel, "index has length {}, expected {} or more, one per row", n_index, rows)
    if not 0 <= cursor[0] <= n_index - rows:
        return refuse(
            kernel, "cursor is {}, expected 0 to {} for {} rows of an index of {}", cursor[0], n_index - rows, rows,
            n_index,
        )
    for i in range(n_index):
        if not 0 <= index[i] < n:
            return refuse(kernel, "index[{}] is {}, expected that of one of {} rows of x", i, index[i], n)
    return 0


cdef int check_columns(str kernel, const int64_t *index, Py_ssize_t m, Py_ssize_t n) except -1:
    cdef Py_ssize_t j
    for j in range(m):
        if not 0 <= index[j] < n:
            return refuse(kernel, "index[{}] is {}, expected that of one of {} columns", j, index[j], n)
    return 0


# Of m weights for each of n numbers in a row of predictions or targets
cdef int check_numbers_or_rows(str kernel, Py_ssize_t rows, Py_ssize_t m, Py_ssize_t n) except -1:
    if m == 1 or m == n:
        return 0
    text = "weight has shape ({0}, {1}), expected ({0}, 1)"
    return refuse(kernel, text + " or ({0}, {2}): of rows, or of numbers" if n > 1 else text, rows, m, n)

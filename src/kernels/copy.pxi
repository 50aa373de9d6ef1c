# Columns of a wider array, to and from memory of their own: x, y (rows, n) of any strides. Units: rows.


cdef struct Copy:
    Input x
    Py_ssize_t x_row, x_column      # from row to row, and from column to column, in elements
    Output y
    Py_ssize_t y_row, y_column
    Py_ssize_t rows, n

cdef int copy_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Copy *s = <const Copy *> call.payload
    cdef Py_ssize_t i, j
    if s.x_column == 1 and s.y_column == 1:
        for i in range(begin, end):
            memcpy(s.y + i * s.y_row, s.x + i * s.x_row, s.n * sizeof(real))
        return 0
    for i in range(begin, end):
        for j in range(s.n):
            s.y[i * s.y_row + j * s.y_column] = s.x[i * s.x_row + j * s.x_column]
    return 0

kernel("""copy(x: in strided (rows, n), y: out strided (rows, n)) -> rows: 0.3 n

    y = x, of any strides: columns of a wider array, too.
    """, copy_body, sizeof(Copy))

# Columns: those that are chosen, codes in them that stand for rows of a table or for columns of 0 and 1, and numbers
# brought to unit scale. x (rows, n), y (rows, m); a column of codes is (rows, 1), and strides lead from row to row in
# larger arrays.
#
# A code is a whole number from 0. Whatever else stands in its place (negative, a fraction, NaN, beyond the last) is
# unseen: no call trusts that anybody has looked before.

from libc.stdint cimport int16_t
from libc.stdlib cimport calloc, free

from fastnn._core.tape cimport CALL_NO_MEMORY

cdef extern from "math/chains.h":
    void end_chain(real *sums, double *totals, Py_ssize_t n, bint is_last) noexcept nogil

cdef inline Py_ssize_t place_of(real code, Py_ssize_t n) noexcept nogil:
    """The code itself, or n for what is none of 0 to n - 1."""
    cdef Py_ssize_t place
    if not (code >= 0 and code < <real> n):
        return n
    place = <Py_ssize_t> code
    return place if <real> place == code and place < n else n

cdef inline bint are_columns(const int64_t *index, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(m):
        if not 0 <= index[j] < n:
            return False
    return True

cdef struct ColumnsForward:
    Input x
    Py_ssize_t x_row, x_column          # from row to row and from column to column, in elements
    Labels index
    Output y
    Py_ssize_t y_row, y_column
    Py_ssize_t rows, n, m

cdef int columns_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ColumnsForward *s = <const ColumnsForward *> call.payload
    cdef Py_ssize_t i, j
    if not are_columns(s.index, s.m, s.n):
        return CALL_OUT_OF_RANGE
    for i in range(begin, end):
        for j in range(s.m):
            s.y[i * s.y_row + j * s.y_column] = s.x[i * s.x_row + s.index[j] * s.x_column]
    return 0

cdef Py_ssize_t prepare_columns_forward(str kernel, Call *call) except -1:
    cdef const ColumnsForward *s = <const ColumnsForward *> call.payload
    check_columns(kernel, s.index, s.m, s.n)
    return 1

kernel("""columns_forward(x: in strided (rows, n), index: in int64 (m), y: out strided (rows, m)) -> rows: 1 m

    y[i, j] = x[i, index[j]].
    """, columns_forward_body, sizeof(ColumnsForward), prepare_columns_forward)


cdef struct ColumnsBackward:
    Input dy
    Py_ssize_t dy_row, dy_column
    Labels index
    Output dx
    Py_ssize_t rows, m, n

cdef int columns_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ColumnsBackward *s = <const ColumnsBackward *> call.payload
    cdef Py_ssize_t i, j
    if not are_columns(s.index, s.m, s.n):
        return CALL_OUT_OF_RANGE
    memset(s.dx + begin * s.n, 0, (end - begin) * s.n * sizeof(real))
    for i in range(begin, end):
        for j in range(s.m):
            s.dx[i * s.n + s.index[j]] += s.dy[i * s.dy_row + j * s.dy_column]
    return 0

cdef Py_ssize_t prepare_columns_backward(str kernel, Call *call) except -1:
    cdef const ColumnsBackward *s = <const ColumnsBackward *> call.payload
    check_columns(kernel, s.index, s.m, s.n)
    return 1

kernel("""columns_backward(dy: in strided (rows, m), index: in int64 (m), dx: out (rows, n)) -> rows: 1 m

    dx[i, k] = sum of dy[i, j] over all j with index[j] = k: 0 for a column that was not chosen.
    """, columns_backward_body, sizeof(ColumnsBackward), prepare_columns_backward)


cdef struct EmbeddingForward:
    Input x
    Py_ssize_t x_row, x_column
    Input table
    Output y
    Py_ssize_t y_row, y_column
    Py_ssize_t rows, n, size

cdef int embedding_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const EmbeddingForward *s = <const EmbeddingForward *> call.payload
    cdef const real *vector
    cdef real *y
    cdef Py_ssize_t i, j
    for i in range(begin, end):
        vector = s.table + place_of(s.x[i * s.x_row], s.n - 1) * s.size
        y = s.y + i * s.y_row
        if s.y_column == 1 and s.size > 2:
            for j in range(s.size):
                y[j] = vector[j]
        else:
            for j in range(s.size):
                y[j * s.y_column] = vector[j]
    return 0

cdef Py_ssize_t prepare_embedding_forward(str kernel, Call *call) except -1:
    cdef const EmbeddingForward *s = <const EmbeddingForward *> call.payload
    check_table(kernel, s.n)
    return 1

cdef int check_table(str kernel, Py_ssize_t n) except -1:
    if n < 1:
        return refuse(kernel, "table has no rows, expected one for each code and a last one for what is unseen")
    return 0

kernel("""embedding_forward(x: in strided (rows, 1), table: in (n, size), y: out strided (rows, size)) -> rows: 1 size

    y[i] = table[x[i]] where x[i] is a code, a whole number from 0 to n - 2; else the last row, table[n - 1].
    """, embedding_forward_body, sizeof(EmbeddingForward), prepare_embedding_forward)


# Units: rows of the table. Each part looks through all codes for its own, so that every sum runs in the order of the
# batch: in float32 in chains of CHAIN rows, which are added in double.
cdef enum:
    CHAIN = 1024

cdef inline bint are_chains(Py_ssize_t rows) noexcept nogil:
    return sizeof(real) < sizeof(double) and rows > CHAIN

cdef struct EmbeddingBackward:
    Input x
    Py_ssize_t x_row, x_column
    Input dy
    Py_ssize_t dy_row, dy_column
    Output dtable
    Py_ssize_t rows, size, n

cdef int embedding_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const EmbeddingBackward *s = <const EmbeddingBackward *> call.payload
    cdef int16_t *counts = NULL         # below 0 of codes that have ended a chain
    cdef double *totals = NULL
    cdef const real *dy
    cdef real *sums
    cdef Py_ssize_t i, j, place
    cdef int status = 0
    memset(s.dtable + begin * s.size, 0, (end - begin) * s.size * sizeof(real))
    if are_chains(s.rows):
        counts = <int16_t *> calloc(end - begin, sizeof(int16_t))
        if counts is NULL:
            return CALL_NO_MEMORY
    for i in range(s.rows):
        place = place_of(s.x[i * s.x_row], s.n - 1) - begin
        if not 0 <= place < end - begin:
            continue
        sums, dy = s.dtable + (begin + place) * s.size, s.dy + i * s.dy_row
        if s.dy_column == 1:
            for j in range(s.size):
                sums[j] += dy[j]
        else:
            for j in range(s.size):
                sums[j] += dy[j * s.dy_column]
        if counts is not NULL:
            counts[place] += 1
            if counts[place] == 0 or counts[place] == CHAIN:
                counts[place] = -CHAIN
                if totals is NULL:
                    totals = <double *> calloc((end - begin) * s.size, sizeof(double))
                    if totals is NULL:
                        status = CALL_NO_MEMORY
                        break
                end_chain(sums, totals + place * s.size, s.size, False)
    for place in range(end - begin if totals is not NULL else 0):
        if counts[place] < 0:
            end_chain(s.dtable + (begin + place) * s.size, totals + place * s.size, s.size, True)
    free(counts)
    free(totals)
    return status

cdef Py_ssize_t prepare_embedding_backward(str kernel, Call *call) except -1:
    cdef const EmbeddingBackward *s = <const EmbeddingBackward *> call.payload
    check_table(kernel, s.n)
    return 1

kernel("""embedding_backward(x: in strided (rows, 1), dy: in strided (rows, size), dtable: out (n, size)) -> n: 0.1 size

    dtable[k] = sum of dy[i] over all rows i with code k, 0 where there is none; dtable[n - 1] for what is unseen.
    """, embedding_backward_body, sizeof(EmbeddingBackward), prepare_embedding_backward)


# Units: columns of the table. The gradient of a row is summed where its code occurs first, in the order of the batch:
# the bits are those of embedding_backward and sgd. To look for a code among those before takes the square of the rows.
cdef enum:
    SUMMED = 64     # columns at a time

cdef struct EmbeddingSGD:
    Input x
    Py_ssize_t x_row, x_column
    Input dy
    Py_ssize_t dy_row, dy_column
    Output table
    Number lr
    Py_ssize_t rows, size, n

cdef inline bint is_at(Py_ssize_t place, real x, real code, Py_ssize_t unseen) noexcept nogil:
    """Whether x, too, stands for the place of a code: for that of all that is unseen, also as another number."""
    return x == code or (place == unseen and place_of(x, unseen) == unseen)

cdef int embedding_sgd_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const EmbeddingSGD *s = <const EmbeddingSGD *> call.payload
    cdef real lr = <real> s.lr[0], code
    cdef real[SUMMED] sums
    cdef double[SUMMED] totals
    cdef const real *dy
    cdef real *w
    cdef Py_ssize_t i, j, k, at, n, place, count
    cdef Py_ssize_t width = SUMMED if s.dy_column == 1 else 1       # of what lies side by side
    cdef size_t before = subnormals_are_kept()
    for i in range(s.rows):
        code, k = s.x[i * s.x_row], 0
        place = place_of(code, s.n - 1)
        while k < i and not is_at(place, s.x[k * s.x_row], code, s.n - 1):
            k += 1
        if k < i:
            continue
        at = begin
        while at < end:
            n = min(width, end - at)
            memset(sums, 0, sizeof(sums))
            count = 0
            for k in range(i, s.rows):
                if is_at(place, s.x[k * s.x_row], code, s.n - 1):
                    dy = s.dy + k * s.dy_row + at * s.dy_column
                    for j in range(n):
                        sums[j] += dy[j]
                    count += 1
                    if count % CHAIN == 0 and are_chains(s.rows):
                        if count == CHAIN:
                            memset(totals, 0, sizeof(totals))
                        end_chain(sums, totals, n, False)
            if count >= CHAIN and are_chains(s.rows):
                end_chain(sums, totals, n, True)
            w = s.table + place * s.size + at
            for j in range(n):
                w[j] = real_fma(-lr, sums[j], w[j])
            at += n
    subnormals_as(before)
    return 0

cdef Py_ssize_t prepare_embedding_sgd(str kernel, Call *call) except -1:
    cdef const EmbeddingSGD *s = <const EmbeddingSGD *> call.payload
    check_table(kernel, s.n)
    return 1

kernel("""embedding_sgd(x: in strided (rows, 1), dy: in strided (rows, size), table: inout (n, size), lr: cell)
    -> size: 0.5 rows, updates

    table[k] -= lr * sum of dy[i] over all rows i with code k: plain SGD, of the rows that occur alone.
    """, embedding_sgd_body, sizeof(EmbeddingSGD), prepare_embedding_sgd)


cdef struct OneHotForward:
    Input x
    Py_ssize_t x_row, x_column
    Output y
    Py_ssize_t y_row, y_column
    size_t unseen
    Py_ssize_t rows, n

cdef int one_hot_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const OneHotForward *s = <const OneHotForward *> call.payload
    cdef Py_ssize_t i, j, place, n_codes = s.n - (1 if s.unseen else 0)
    for i in range(begin, end):
        for j in range(s.n):
            s.y[i * s.y_row + j * s.y_column] = 0
        place = place_of(s.x[i * s.x_row], n_codes)
        if place < s.n:
            s.y[i * s.y_row + place * s.y_column] = 1
    return 0

cdef Py_ssize_t prepare_one_hot_forward(str kernel, Call *call) except -1:
    cdef const OneHotForward *s = <const OneHotForward *> call.payload
    if s.unseen and s.n < 1:
        return refuse(kernel, "y has no columns, expected one for each code and a last one for what is unseen")
    return 1

kernel("""one_hot_forward(x: in strided (rows, 1), y: out strided (rows, n), unseen: flag = False) -> rows: 0.5 n

    y[i, x[i]] = 1, all else 0, for a code x[i]: a whole number from 0 to n - 1, or to n - 2 with `unseen`. Where x[i]
    is none, all are 0, or with `unseen` the last one is 1.
    """, one_hot_forward_body, sizeof(OneHotForward), prepare_one_hot_forward)


cdef struct NormalizeForward:
    Input x, center, factor, missing
    Output y
    Py_ssize_t rows, n

cdef int normalize_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const NormalizeForward *s = <const NormalizeForward *> call.payload
    cdef const real[:, ::1] x = input_matrix(s.x, s.rows, s.n)
    cdef const real[::1] center = input_vector(s.center, s.n), factor = input_vector(s.factor, s.n)
    cdef const real[::1] missing = input_vector(s.missing, s.n)
    cdef real[:, ::1] y = matrix(s.y, s.rows, s.n)
    cdef real value, substitute
    cdef Py_ssize_t i, j
    for i in range(begin, end):
        for j in range(s.n):
            value = (x[i, j] - center[j]) * factor[j]
            substitute = missing[j]         # read in any case: a vector cannot choose what it reads
            y[i, j] = value if x[i, j] == x[i, j] else substitute
    return 0

kernel("""normalize_forward(x: in (rows, n), center: in (n), factor: in (n), missing: in (n), y: out (rows, n) | x)
    -> rows: 0.3 n

    y = (x - center) * factor, and `missing` where x is NaN.
    """, normalize_forward_body, sizeof(NormalizeForward))


cdef struct NormalizeBackward:
    Input x, dy, factor
    Output dx
    Py_ssize_t rows, n

cdef int normalize_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const NormalizeBackward *s = <const NormalizeBackward *> call.payload
    cdef const real[:, ::1] x = input_matrix(s.x, s.rows, s.n), dy = input_matrix(s.dy, s.rows, s.n)
    cdef const real[::1] factor = input_vector(s.factor, s.n)
    cdef real[:, ::1] dx = matrix(s.dx, s.rows, s.n)
    cdef real value
    cdef Py_ssize_t i, j
    for i in range(begin, end):
        for j in range(s.n):
            value = dy[i, j] * factor[j]
            dx[i, j] = value if x[i, j] == x[i, j] else <real> 0
    return 0

kernel("""normalize_backward(x: in (rows, n), dy: in (rows, n), factor: in (n), dx: out (rows, n) | dy) -> rows: 0.3 n

    dx = dy * factor, and 0 where x is NaN.
    """, normalize_backward_body, sizeof(NormalizeBackward))

# Maxout: the largest of each unit's pieces; z, dz (rows, pieces, n), y, dy (rows, n), and dz may be z.
# Units: rows.

cdef extern from "math/maxout.h":
    void first_of_equals(const real *z, const real *y, real *left, real *dz, Py_ssize_t n) noexcept nogil


cdef struct Maxout:
    Input z
    Output y
    Py_ssize_t rows, pieces, n

# NaN of either stays, as in NumPy.
cdef inline real larger(real z, real y) noexcept nogil:
    cdef real most = z if z > y else y
    return z if z != z else most

cdef int maxout_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Maxout *s = <const Maxout *> call.payload
    cdef const real[:, ::1] z = input_matrix(s.z, s.rows * s.pieces, s.n)
    cdef real[:, ::1] y = matrix(s.y, s.rows, s.n)
    cdef Py_ssize_t i, j, piece
    for i in range(begin, end):
        for j in range(s.n):
            y[i, j] = z[i * s.pieces, j]
        for piece in range(1, s.pieces):
            for j in range(s.n):
                y[i, j] = larger(z[i * s.pieces + piece, j], y[i, j])
    return 0

cdef Py_ssize_t prepare_maxout_forward(str kernel, Call *call) except -1:
    cdef const Maxout *s = <const Maxout *> call.payload
    if s.pieces == 0:
        return refuse(kernel, "z has no pieces, expected one at least")
    return 1

# Goodfellow et al. 2013.
kernel("""maxout_forward(z: in (rows, pieces, n), y: out (rows, n)) -> rows: 0.3 pieces n

    y = the largest of the pieces of z.
    """, maxout_forward_body, sizeof(Maxout), prepare_maxout_forward)


cdef struct MaxoutBackward:
    Input z, y, dy
    Output dz
    Py_ssize_t rows, pieces, n

cdef int maxout_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const MaxoutBackward *s = <const MaxoutBackward *> call.payload
    cdef real[COLUMNS] left
    cdef Py_ssize_t first, n, i, piece, at
    for i in range(begin, end):
        first = 0
        while first < s.n:
            n = min(<Py_ssize_t> COLUMNS, s.n - first)
            memcpy(left, s.dy + i * s.n + first, n * sizeof(real))
            for piece in range(s.pieces):
                at = (i * s.pieces + piece) * s.n + first
                first_of_equals(s.z + at, s.y + i * s.n + first, left, s.dz + at, n)
            first += n
    return 0

kernel("""maxout_backward(z: in (rows, pieces, n), y: in (rows, n), dy: in (rows, n), dz: out (rows, pieces, n) | z)
    -> rows: 0.5 pieces n

    dz = dy at the first piece that is y, else 0.
    """, maxout_backward_body, sizeof(MaxoutBackward))

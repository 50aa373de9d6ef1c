# Piecewise linear encoding, and what is made of it: y = x w + b + e V; x (rows, n), edges (n, bins + 1), w, b (n, d),
# V (n, bins, d), y (rows, n, d). e_t(x) = (x - edge_t) / (edge_t+1 - edge_t), clamped to [0, 1], but the first one not
# below and the last one not above. Edges rise; a column that has fewer bins has infinite ones behind them, and one that
# has none has only those: there e is 0, as in a first or last bin without width.
#
# e is 1 up to the bin of x, and 0 behind it: e V is a sum of rows of V, kept for each bin, and a part of the next one.
# Units: columns.

from libc.math cimport INFINITY


cdef inline Py_ssize_t bin_of(real x, const real *edges, Py_ssize_t bins) noexcept nogil:
    """The bin of a number, -1 where there is none."""
    cdef Py_ssize_t t
    cdef int place = 0
    for t in range(1, bins):
        place += (edges[t] <= x) & (edges[t] < <real> INFINITY)
    return place if edges[place + 1] < <real> INFINITY else place - 1

cdef struct BinsForward:
    Input x, edges, w, b, v
    Output sums, y
    Py_ssize_t rows, n, m, d, bins

cdef int bins_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BinsForward *s = <const BinsForward *> call.payload
    cdef const real *edges
    cdef const real *w
    cdef const real *v
    cdef real *sums
    cdef real *y
    cdef real x, part
    cdef Py_ssize_t i, j, q, t
    for j in range(begin, end):
        edges, w = s.edges + j * s.m, s.w + j * s.d
        v, sums = s.v + j * s.bins * s.d, s.sums + j * s.bins * s.d
        memcpy(sums, s.b + j * s.d, s.d * sizeof(real))
        for t in range(1, s.bins):
            for q in range(s.d):
                sums[t * s.d + q] = sums[(t - 1) * s.d + q] + v[(t - 1) * s.d + q]
        for i in range(s.rows):
            x, y = s.x[i * s.n + j], s.y + (i * s.n + j) * s.d
            t = bin_of(x, edges, s.bins)
            part = 0
            if t < 0:
                t = 0
            elif edges[t + 1] > edges[t]:
                part = (x - edges[t]) / (edges[t + 1] - edges[t])
            for q in range(s.d):
                y[q] = real_fma(x, w[q], real_fma(part, v[t * s.d + q], sums[t * s.d + q]))
    return 0

cdef int check_bins(str kernel, Py_ssize_t m, Py_ssize_t bins) except -1:
    if bins < 1 or m != bins + 1:
        return refuse(kernel, "edges are {}, expected one more than the bins of v, of which there are {}", m, bins)
    return 0

cdef Py_ssize_t prepare_bins_forward(str kernel, Call *call) except -1:
    cdef const BinsForward *s = <const BinsForward *> call.payload
    check_bins(kernel, s.m, s.bins)
    call.units = s.n
    call_divide(call, s.rows * (10 + 0.1 * s.bins + 0.3 * s.d) + 0.3 * s.bins * s.d)
    return 1

# Gorishniy, Rubachev & Babenko 2022; Gorishniy, Kotelnikov & Babenko 2025.
kernel("""bins_forward(x: in (rows, n), edges: in (n, m), w: in (n, d), b: in (n, d), v: in (n, bins, d),
    sums: out (n, bins, d), y: out (rows, n, d))

    y[i, j] = x[i, j] * w[j] + b[j] + e(x[i, j]) @ v[j], e_t(x) = (x - edges[j, t]) / (edges[j, t + 1] - edges[j, t]),
    clamped to [0, 1], but the first one not below and the last one not above; 0 for bins whose second edge is infinite.

    sums[j, t] = b[j] + the sum of v[j, :t].
    """, bins_forward_body, sizeof(BinsForward), prepare_bins_forward)


cdef struct BinsBackward:
    Input x, edges, w, v, dy
    Output sums, dx, dw, db, dv
    Py_ssize_t rows, n, m, d, bins

cdef int bins_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BinsBackward *s = <const BinsBackward *> call.payload
    cdef const real *edges
    cdef const real *dy
    cdef real *sums
    cdef real *dw
    cdef real *db
    cdef real *dv
    cdef real x, part, slope
    cdef Py_ssize_t i, j, q, t, at
    for j in range(begin, end):
        edges, at = s.edges + j * s.m, j * s.bins * s.d
        sums, dv, dw, db = s.sums + at, s.dv + at, s.dw + j * s.d, s.db + j * s.d
        memset(sums, 0, s.bins * s.d * sizeof(real))
        memset(dv, 0, s.bins * s.d * sizeof(real))
        memset(dw, 0, s.d * sizeof(real))
        memset(db, 0, s.d * sizeof(real))
        for i in range(s.rows):
            x, dy = s.x[i * s.n + j], s.dy + (i * s.n + j) * s.d
            for q in range(s.d):
                dw[q] += x * dy[q]
                db[q] += dy[q]
            t = bin_of(x, edges, s.bins)
            part = slope = 0
            if t >= 0:
                if edges[t + 1] > edges[t]:
                    slope = <real> 1 / (edges[t + 1] - edges[t])
                    part = (x - edges[t]) / (edges[t + 1] - edges[t])
                for q in range(s.d):
                    sums[t * s.d + q] += dy[q]
                    dv[t * s.d + q] += part * dy[q]
            if s.dx is not NULL:
                s.dx[i * s.n + j] = sum_pairs(s.w + j * s.d, dy, s.d, product_of_two)
                if t >= 0:
                    s.dx[i * s.n + j] += slope * sum_pairs(s.v + at + t * s.d, dy, s.d, product_of_two)
        for t in range(s.bins - 2, -1, -1):     # a row of V counts in full in all bins behind it
            for q in range(s.d):
                dv[t * s.d + q] += sums[(t + 1) * s.d + q]
                sums[t * s.d + q] += sums[(t + 1) * s.d + q]
    return 0

cdef Py_ssize_t prepare_bins_backward(str kernel, Call *call) except -1:
    cdef const BinsBackward *s = <const BinsBackward *> call.payload
    check_bins(kernel, s.m, s.bins)
    call.units = s.n
    call_divide(call, s.rows * (10 + 0.1 * s.bins + 1.0 * s.d) + 0.5 * s.bins * s.d)
    return 1

kernel("""bins_backward(x: in (rows, n), edges: in (n, m), w: in (n, d), v: in (n, bins, d), dy: in (rows, n, d),
    sums: out (n, bins, d), dx: out (rows, n) | None, dw: out (n, d), db: out (n, d), dv: out (n, bins, d)), sums

    dw[j] = the sum of x * dy[:, j] over the rows, db[j] = that of dy[:, j], dv[j, t] = that of e_t(x) * dy[:, j], and
    dx[i, j] = dy[i, j] @ (w[j] + v[j, t] / (edges[j, t + 1] - edges[j, t])), t the bin of x[i, j].

    sums[j, t] = the sum of dy[:, j] where x is in bin t or behind it.
    """, bins_backward_body, sizeof(BinsBackward), prepare_bins_backward)

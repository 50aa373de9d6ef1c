# Dense layers of many small nets side by side: the last axis of each array has a number of each net, so that vectors
# hold the same number of many nets. The bits of each net are those of dense_forward and dense_backward, as far as these
# are chains of multiply-adds: for up to SUM_BLOCK rows and columns, but for dot products (gemm.h).

cdef extern from "gemm/lanes.h":
    enum:
        NETS                    # of which the last axis has a number each: a whole number of vectors
    void lane_forward(
        Input x, Input w, Input b, Output y, bint relu, Py_ssize_t rows, Py_ssize_t n_in, Py_ssize_t n_out
    ) noexcept nogil
    void lane_backward(
        Input x, Input w, Input dy, Output dx, Output dw, Output db, bint relu, Py_ssize_t rows, Py_ssize_t n_in,
        Py_ssize_t n_out
    ) noexcept nogil
    int lane_gather(
        const real *x, Py_ssize_t sets, Py_ssize_t n, Py_ssize_t columns, const int64_t *index, Py_ssize_t n_index,
        Py_ssize_t start, Py_ssize_t rows, real *y
    ) noexcept nogil
    void lane_mean(const real *losses, Py_ssize_t n, double *value) noexcept nogil
    void lane_cross_entropy(
        const real *y, const real *t, real *dy, Py_ssize_t rows, Py_ssize_t n, double *value
    ) noexcept nogil


cdef int check_terms(str kernel, Py_ssize_t terms) except -1:
    if terms > SUM_BLOCK:
        return refuse(kernel, "each sum has {} terms, expected up to {}", terms, SUM_BLOCK)
    return 0


cdef struct LanesForward:
    Input x, w, b
    Output y
    Py_ssize_t relu, rows, n_in, n_out

cdef int lanes_dense_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LanesForward *s = <const LanesForward *> call.payload
    lane_forward(s.x, s.w, s.b, s.y, s.relu, s.rows, s.n_in, s.n_out)
    return 0

cdef Py_ssize_t prepare_lanes_forward(str kernel, Call *call) except -1:
    return check_terms(kernel, (<const LanesForward *> call.payload).n_in) + 1

kernel("""lanes_dense_forward(x: in (rows, n_in, 16), w: in (n_in, n_out, 16), b: in (n_out, 16) | None,
    y: out (rows, n_out, 16), relu: flag = False)

    y = x @ w + b for each net of the last axis; with relu, max(y, 0).
    """, lanes_dense_forward_body, sizeof(LanesForward), prepare_lanes_forward)


cdef struct LanesBackward:
    Input x, w, dy
    Output dx, dw, db
    Py_ssize_t relu, rows, n_in, n_out

cdef int lanes_dense_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LanesBackward *s = <const LanesBackward *> call.payload
    lane_backward(s.x, s.w, s.dy, s.dx, s.dw, s.db, s.relu, s.rows, s.n_in, s.n_out)
    return 0

cdef Py_ssize_t prepare_lanes_backward(str kernel, Call *call) except -1:
    cdef const LanesBackward *s = <const LanesBackward *> call.payload
    return check_terms(kernel, max(s.rows, s.n_out)) + 1

kernel("""lanes_dense_backward(x: in (rows, n_in, 16), w: in (n_in, n_out, 16), dy: in (rows, n_out, 16),
    dx: out (rows, n_in, 16) | None, dw: out (n_in, n_out, 16), db: out (n_out, 16) | None, relu: flag = False)

    dx = dy @ w.T, dw = x.T @ dy, db = dy.sum(0) for each net of the last axis; with relu, dx = 0 where x <= 0.
    """, lanes_dense_backward_body, sizeof(LanesBackward), prepare_lanes_backward)


cdef struct LanesGather:
    Input x
    Labels index, cursor
    Output y
    Py_ssize_t sets, n, columns, n_index, rows

cdef int lanes_gather_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LanesGather *s = <const LanesGather *> call.payload
    cdef int64_t start = s.cursor[0]
    if not 0 <= start <= s.n_index - s.rows:
        return CALL_OUT_OF_RANGE
    return lane_gather(s.x, s.sets, s.n, s.columns, s.index, s.n_index, start, s.rows, s.y)

cdef Py_ssize_t prepare_lanes_gather(str kernel, Call *call) except -1:
    cdef const LanesGather *s = <const LanesGather *> call.payload
    cdef Py_ssize_t net
    if s.sets < 1:
        return refuse(kernel, "x has no rows of any net")
    for net in range(NETS):
        check_rows(kernel, s.index + net * s.n_index, s.cursor, s.rows, s.n_index, s.n)
    return 1

kernel("""lanes_gather(x: in (sets, n, columns), index: in int64 (16, n_index), cursor: in int64 (1),
    y: out (rows, columns, 16))

    y[i, :, l] = x[min(l, sets - 1), index[l, cursor[0] + i]].
    """, lanes_gather_body, sizeof(LanesGather), prepare_lanes_gather)


cdef struct LanesMean:
    Input losses
    double *value
    Py_ssize_t n

cdef int lanes_mean_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LanesMean *s = <const LanesMean *> call.payload
    lane_mean(s.losses, s.n, s.value)
    return 0

kernel("""lanes_mean(losses: in (n, 16), value: out float64 (16))

    The mean of losses for each net.
    """, lanes_mean_body, sizeof(LanesMean))


cdef struct LanesCrossEntropy:
    Input y, t
    Output dy
    double *value
    Py_ssize_t rows, n

cdef int lanes_cross_entropy_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LanesCrossEntropy *s = <const LanesCrossEntropy *> call.payload
    lane_cross_entropy(s.y, s.t, s.dy, s.rows, s.n, s.value)
    return 0

kernel("""lanes_cross_entropy(y: in (rows, n, 16), t: in (rows, 16), dy: out (rows, n, 16), value: out float64 (16))

    The mean over rows of -log(softmax(y)_t) for each net; NaN where t is no label.
    """, lanes_cross_entropy_body, sizeof(LanesCrossEntropy))

# A loss of thousands of rows is the sum of those of blocks, as gradients are: each block has a share in the value,
# reads no other rows, and writes its rows of the gradient. Shares are added in order.

cdef enum:
    LOSS_BLOCK = 1024           # rows, as many as of products, with which blocks go through a step
    LEAST_SHARED_LOSSES = 16    # rows
    LOSS_LINE = 64              # bytes: no two threads write to one line

cdef double LOSS_NANOSECONDS = 1.5      # of a number, about

cdef double share(const Call *call, Py_ssize_t begin, Py_ssize_t end, char *own=NULL) noexcept nogil:
    cdef const LossBlocks *b = blocks_of(call)
    cdef Call part
    cdef AnyLoss *s = <AnyLoss *> part.payload
    cdef double value
    memcpy(&part, call, sizeof(Call))       # of bytes, which may be of any type
    s.y, s.t, s.value = s.y + begin * b.y_bytes, s.t + begin * b.t_bytes, &value
    if s.weight is not NULL:
        s.weight += begin * b.w_bytes
    if s.dy is not NULL:
        s.dy += begin * b.y_bytes
    if own is not NULL:
        part.payload[b.own] = own + begin * b.own_bytes
    (<Py_ssize_t *> part.payload)[b.rows] = end - begin
    b.whole(&part, 0, 1)
    return value

cdef int sum_of_shares(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef double total = 0
    begin = 0
    while begin < call.rows:
        total += share(call, begin, min(begin + LOSS_BLOCK, call.rows))
        begin += LOSS_BLOCK
    (<const AnyLoss *> call.payload).value[0] = total
    return 0

cdef int share_of_block(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    (<double *> call.sums)[0] = share(call, begin, end)
    return 0

cdef int add_shares(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(call.n_sums):
        total += (<const double *> (call.sums + i * call.sum_bytes))[0]
    if begin < end:
        (<const AnyLoss *> call.payload).value[0] = total
    return 0

# Of fewer rows, any are computed beside what else these go through. Their losses are kept, and added in the order in
# which the whole adds them.
cdef int losses_of_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    share(call, begin, end, call.sums)
    return 0

# Bytes are those of a number of y, and of a row of targets, which has m weights. Single losses are wanted as a whole.
# `own` is where the payload says that losses are kept, and `add` adds these; or NULL.
cdef int divide_loss(
    Call *call, const Py_ssize_t *rows, Py_ssize_t item_bytes, Py_ssize_t t_bytes, Py_ssize_t m,
    void *own, Py_ssize_t own_bytes, Body add
) except -1:
    cdef LossBlocks *b = blocks_of(call)
    if rows[0] < LEAST_SHARED_LOSSES or (<const AnyLoss *> call.payload).each is not NULL:
        return 0
    b.rows, b.whole = rows - <const Py_ssize_t *> call.payload, call.body
    b.y_bytes, b.t_bytes, b.w_bytes = rows[1] * item_bytes, t_bytes, m * item_bytes
    call.rows, call.parts, call.nanoseconds = rows[0], 1, LOSS_NANOSECONDS * rows[0] * rows[1]
    if rows[0] >= 2 * LOSS_BLOCK:
        call.body, call.of_rows, call.add = sum_of_shares, share_of_block, add_shares
        call.block, call.sum_bytes = LOSS_BLOCK, LOSS_LINE
    elif add is not NULL:
        b.own, b.own_bytes = <void **> own - call.payload, own_bytes
        call.of_rows, call.add = losses_of_rows, add
        call.sum_bytes = (rows[0] * own_bytes + LOSS_LINE - 1) // LOSS_LINE * LOSS_LINE
    return 0

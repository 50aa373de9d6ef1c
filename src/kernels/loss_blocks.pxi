# A loss of thousands of rows is the sum of those of blocks, as gradients are: each block has a share in the value,
# reads no other rows, and writes its rows of the gradient. Shares are added in order.

cdef enum:
    LOSS_BLOCK = 1024           # rows, as many as of products, with which blocks go through a step
    LOSS_LINE = 64              # bytes: no two threads write to one line

cdef double LOSS_NANOSECONDS = 1.5      # of a number, about

# What the payload of any loss begins with
cdef struct AnyLoss:
    char *y
    char *t
    char *weight
    char *dy
    double *value
    const double *a
    const double *b
    char *each

# In the last words of the payload, wherever the struct of a family ends
cdef struct LossBlocks:
    Py_ssize_t rows                         # the word of the size, which that of the columns follows
    Py_ssize_t y_bytes, t_bytes, w_bytes    # of a row
    Body whole                              # computes a block, or all of it

cdef inline LossBlocks *blocks_of(const Call *call) noexcept nogil:
    return <LossBlocks *> (<char *> call.payload + sizeof(call.payload) - sizeof(LossBlocks))

cdef double share(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
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

# Bytes are those of a number of y, and of a row of targets, which has m weights. Single losses are wanted as a whole.
cdef int divide_loss(
    Call *call, const Py_ssize_t *rows, Py_ssize_t item_bytes, Py_ssize_t t_bytes, Py_ssize_t m
) except -1:
    cdef LossBlocks *b = blocks_of(call)
    if rows[0] < 2 * LOSS_BLOCK or (<const AnyLoss *> call.payload).each is not NULL:
        return 0
    b.rows, b.whole = rows - <const Py_ssize_t *> call.payload, call.body
    b.y_bytes, b.t_bytes, b.w_bytes = rows[1] * item_bytes, t_bytes, m * item_bytes
    call.body, call.of_rows, call.add = sum_of_shares, share_of_block, add_shares
    call.rows, call.parts, call.block, call.sum_bytes = rows[0], 1, LOSS_BLOCK, LOSS_LINE
    call.nanoseconds = LOSS_NANOSECONDS * rows[0] * rows[1]
    return 0

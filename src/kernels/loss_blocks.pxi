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

# Of losses of rows, in double
cdef int add_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const AnyLoss *s = <const AnyLoss *> call.payload
    cdef double sum_of_losses = 0
    cdef Py_ssize_t i
    if begin < end:
        for i in range(call.rows):
            sum_of_losses += (<const double *> call.sums)[i]
        s.value[0] = sum_of_losses / (1 if s.total else call.rows)
    return 0

# Bytes are those of a number of y, and of a row of targets, which has m weights. Single losses are wanted as a whole.
# Behind the rows of the whole, `parts`, stands where losses are kept that `add` adds, or NULL.
cdef int divide_loss(
    Call *call, const Py_ssize_t *rows, Py_ssize_t *parts, Py_ssize_t item_bytes, Py_ssize_t t_bytes, Py_ssize_t m,
    Py_ssize_t own_bytes, Body add
) except -1:
    cdef LossBlocks *b = blocks_of(call)
    parts[0], parts[1] = rows[0], 0
    if rows[0] < LEAST_SHARED_LOSSES or (<const AnyLoss *> call.payload).each is not NULL:
        return 0
    b.rows, b.whole = rows - <const Py_ssize_t *> call.payload, call.body
    b.y_bytes, b.t_bytes, b.w_bytes = rows[1] * item_bytes, t_bytes, m * item_bytes
    call.rows, call.parts, call.nanoseconds = rows[0], 1, LOSS_NANOSECONDS * rows[0] * rows[1]
    if rows[0] >= 2 * LOSS_BLOCK:
        call.body, call.of_rows, call.add = sum_of_shares, share_of_block, add_shares
        call.block, call.sum_bytes = LOSS_BLOCK, LOSS_LINE
    elif add is not NULL:
        b.own, b.own_bytes = parts + 1 - <const Py_ssize_t *> call.payload, own_bytes
        call.of_rows, call.add = losses_of_rows, add
        call.sum_bytes = (rows[0] * own_bytes + LOSS_LINE - 1) // LOSS_LINE * LOSS_LINE
    return 0

# What the payload of a loss whose targets have the shape of the predictions goes on with
cdef struct AnyTargetLoss:
    AnyLoss begin
    Py_ssize_t rows, n, m
    const void *loop
    Py_ssize_t parts
    void *own

# Bytes of what is kept of a row; 0: its numbers.
cdef Py_ssize_t divide_target_loss(
    str kernel, Call *call, Py_ssize_t item_bytes, Py_ssize_t own_bytes, Body add
) except -1:
    cdef AnyTargetLoss *s = <AnyTargetLoss *> call.payload
    if s.begin.weight is not NULL:
        check_numbers_or_rows(kernel, s.rows, s.m, s.n)
    divide_loss(call, &s.rows, &s.parts, item_bytes, s.n * item_bytes, s.m, own_bytes or s.n * item_bytes, add)
    return 1

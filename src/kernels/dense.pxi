# Dense: y = activation(x @ w + b); x (rows, n_in), w (n_in, n_out), b (n_out) or None, y (rows, n_out). Forward can
# scale and shift the columns before the activation: what a normalization with given moments is.
#
# The activation may be any whose derivative follows from y: forward then keeps y alone. Backward takes dy behind
# that activation's own backward, that is, the gradient of x @ w + b; it needs x. Where x is itself the output of such
# an activation, backward multiplies dx by its derivative on the way. No output may overlap an input.
#
# x may also be Rows of an array, chosen by an index: row i, array[index[cursor + i]], is read where it lies.

cdef extern from "gemm/gemm.h":
    Py_ssize_t SUM_BLOCK        # terms of a chain
    enum:
        PACKED_COLUMNS
    ctypedef struct Product:
        Py_ssize_t m, n, k, a_row, a_col, b_row, b_col, c_row
        Input a, b, bias, saved
        Labels a_rows, a_cols, a_next
        Output c, b_sum, taken
        bint relu, resume, update, one_row
        int bf16, packed
        real rate
        void (*finish)(
            const void *context, Py_ssize_t i, Py_ssize_t j, Py_ssize_t rows, Py_ssize_t columns
        ) noexcept nogil
        const void *context
    const bint GEMM_RECTIFIES
    int gemm(const Product *product) noexcept nogil      # returns 0, or CALL_NO_MEMORY

cdef extern from "gemm/products.h":
    """
    static int choose_far_reads(int reads) { return far_reads = reads; }
    """
    int choose_far_reads(int reads) noexcept nogil


_far_reads = switch(__name__, "_far_reads", choose_far_reads)


cdef enum:
    FIRST_TOUCH = 1         # nanosecond per number that is written, where the system has to give the memory first
    LEAST_ROWS = 12         # of a chunk: in fewer, a multiply-add waits for the one before it
    LONG_TILES = 4          # of so many rows, at least, is a chunk of what takes long
    PANEL_COLUMNS = 32      # of a unit, where threads share the columns of a product
    BF16_ROWS = 64          # of a chunk: who rounds and packs one operand wants enough of the other
    BF16_PANELS = 4         # of a chunk
    LONG_ROWS = 256         # of a unit, where a product takes long
    LONG = 5000000          # nanoseconds
    SHARED_WEIGHTS = 65536  # numbers: so many stay in the cache of every core

# For chains of so many multiply-adds: one vector a cycle of 3 GHz, roughly.
cdef inline double nanoseconds_per_element(Py_ssize_t inner) noexcept:
    return 0.02 + inner / (3.0 * LANES)


# Threads share the columns of a product where there are many, so that each packs its own part of w, and so that the
# same part of w is in the same cache forward, backward and in the step; else they share the rows. `of_rows` computes
# rows in any case: weights that stay in the cache of every core may be read by each of them. What takes long runs
# in slices: then also rows are divided, into blocks, because a slice of few columns would read all rows for them.
cdef void divide_product(
    Call *call, Py_ssize_t *panel, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t inner, size_t bf16, Body of_rows,
) noexcept:
    cdef double nanoseconds = nanoseconds_per_element(inner)
    cdef Py_ssize_t blocks = max(rows // LONG_ROWS, 1) if nanoseconds * rows * columns > LONG else 1
    panel[0] = PANEL_COLUMNS if columns >= 4 * PANEL_COLUMNS and (of_rows is NULL or rows <= 4 * columns) else -1
    if panel[0] > 0:
        # the last panel is wider: few columns could be summed in another order
        call.units = columns // PANEL_COLUMNS * blocks
        call_divide(call, nanoseconds * rows * PANEL_COLUMNS / blocks)
        call.nanoseconds += <double> FIRST_TOUCH * rows * PANEL_COLUMNS / blocks
        if bf16:
            call.grain = max(call.grain, BF16_PANELS)
    else:
        call.units = max(rows, 1)       # db has columns also where dw has no rows
        call_divide(call, nanoseconds * columns)
        call.grain = max(call.grain, BF16_ROWS if bf16 else LEAST_ROWS)
        call.nanoseconds += FIRST_TOUCH * columns
    if panel[0] < 0 or inner * columns <= SHARED_WEIGHTS:
        call.of_rows, call.rows = of_rows, rows


# dw of many rows, which takes long, runs in turns, each a block of rows: where its sums are added to what is in dw,
# nothing is read twice, as it would be by slices of dw. In a turn, units are rows of dw, as many as a tile has.
cdef bint divide_into_turns(
    Call *call, Py_ssize_t *panel, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t inner
) noexcept:
    cdef double nanoseconds = nanoseconds_per_element(inner)
    cdef Py_ssize_t turns = (inner + SUM_BLOCK - 1) // SUM_BLOCK
    if turns < 2 or rows < LONG_TILES * LEAST_ROWS or columns < 4 * PANEL_COLUMNS:
        return False
    if nanoseconds * rows * columns <= LONG:
        return False
    panel[0] = -LEAST_ROWS
    call.turn = (rows + LEAST_ROWS - 1) // LEAST_ROWS
    call.units = turns * call.turn
    call_divide(call, (nanoseconds_per_element(inner // turns) + FIRST_TOUCH) * LEAST_ROWS * columns)
    call.grain = max(call.grain, LONG_TILES)
    return True


# The first rectangle of a product (rows, columns) in the units [begin, end), of which each has `width` columns, or
# -width rows where that is negative; returns the unit where the next rectangle begins.
cdef inline Py_ssize_t part_of(
    Py_ssize_t units, Py_ssize_t width, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t begin, Py_ssize_t end,
    Product *p, Py_ssize_t *i, Py_ssize_t *j,
) noexcept nogil:
    memset(p, 0, sizeof(Product))
    if width > 0:
        return panels_of(units, width, rows, columns, begin, end, p, i, j)
    i[0], j[0] = -width * begin, 0
    p.m, p.n = min(-width * end, rows) - i[0], columns
    return end

cdef Py_ssize_t panels_of(
    Py_ssize_t units, Py_ssize_t width, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t begin, Py_ssize_t end,
    Product *p, Py_ssize_t *i, Py_ssize_t *j,
) noexcept nogil:
    cdef Py_ssize_t panels = columns // width, blocks = units // panels
    cdef Py_ssize_t block = begin // panels, panel = begin % panels, last
    if panel == 0 and end - begin >= panels:    # whole blocks
        last, end = end // panels, panels
    else:
        last, end = block + 1, min(end - block * panels, panels)
    i[0], j[0] = rows * block // blocks, panel * width
    p.m = rows * last // blocks - i[0]
    p.n = (columns if end == panels else end * width) - j[0]
    return (last - 1) * panels + end


# x of a product: rows that follow each other, or that an index chooses.
cdef struct Operand:
    const real *x
    const int64_t *index        # of the rows, or NULL
    const int64_t *next         # of as many rows behind them, which will be needed soon, or NULL
    Py_ssize_t n_in

cdef inline int choose(
    Operand *o, const int64_t *index, const int64_t *cursor, Py_ssize_t rows, Py_ssize_t n_index, Py_ssize_t n_all
) noexcept nogil:
    cdef Py_ssize_t start
    o.index = o.next = NULL
    if index is not NULL:
        start = start_in_range(index, cursor, rows, n_index, n_all, 0, rows)
        if start < 0:
            return CALL_OUT_OF_RANGE
        o.index = index + start
        if start + 2 * rows <= n_index:
            o.next = o.index + rows
    return 0


cdef int check_bf16(str kernel, size_t bf16) except -1:
    if bf16 and sizeof(real) != sizeof(float):
        return refuse(kernel, "bf16 is True, expected False for float64: bfloat16 is the half of a float32")
    return 0


cdef bint is_in_registers(Loop activation, size_t bf16) noexcept:
    """Whether a product computes this one, of which the name is given, before it writes: relu, the most usual one."""
    return GEMM_RECTIFIES and activation is not NULL and not bf16 and <object> <void *> activation == "relu"


cdef int check_factor(str kernel, Input factor, Input offset) except -1:
    if (factor is NULL) != (offset is NULL):
        return refuse(
            kernel, "factor is None, expected an array where offset is one: both or neither" if factor is NULL else
            "offset is None, expected an array where factor is one: both or neither"
        )
    return 0


cdef inline int word(const void *field, const Call *call) noexcept:
    """Which word of the payload a field is."""
    return <int> ((<const char *> field - <const char *> call.payload) // <Py_ssize_t> sizeof(void *))


# What is applied to each rectangle of a product while it is in the cache, in place, all arrays of the product's own
# shape: perhaps a factor and an offset of each column, then an activation, or the derivative of one whose output is
# `saved`.
cdef struct Finish:
    Loop loop
    Input saved
    Output y
    Py_ssize_t stride
    real alpha, beta
    Input factor, offset

cdef void apply(
    const void *context, Py_ssize_t i, Py_ssize_t j, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    cdef const Finish *f = <const Finish *> context
    cdef Py_ssize_t at = i * f.stride + j
    cdef Piece piece = Piece(f.y + at, NULL, f.y + at, Rectangle(rows, columns, f.stride), f.alpha, f.beta)
    if f.saved is not NULL:
        piece.x, piece.dy = f.saved + at, piece.y
    if f.factor is not NULL:
        map_columns(piece.y, f.factor + j, f.offset + j, piece.y, piece.shape, scaled_and_shifted)
    if f.loop is not NULL:
        f.loop(&piece)


cdef struct DenseForward:
    Input x
    Labels index, cursor
    Input w, b
    Output y
    Loop activation
    Number alpha
    Input factor, offset
    Number beta
    size_t bf16
    Py_ssize_t rows, n_in, n_index, n_all, n_out, panel, in_registers, is_packed

cdef int dense_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseForward *s = <const DenseForward *> call.payload
    return forward_of(s, call.units, s.panel, begin, end)

cdef int dense_forward_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return forward_of(<const DenseForward *> call.payload, call.rows, -1, begin, end)

# units: rows of y, or panels of its columns
cdef int forward_of(
    const DenseForward *s, Py_ssize_t units, Py_ssize_t panel, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    cdef Operand x = Operand(s.x, NULL, NULL, s.n_in)
    cdef Product p
    cdef Finish finish
    cdef Py_ssize_t i, j, at = begin
    cdef int status = choose(&x, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    while at < end and status == 0:
        at = part_of(units, panel, s.rows, s.n_out, at, end, &p, &i, &j)
        p.k = s.n_in
        p.a, p.a_row, p.a_col = x.x, s.n_in, 1
        if x.index is NULL:
            p.a += i * s.n_in
        else:
            p.a_rows = x.index + i
        p.b, p.b_row, p.b_col, p.bf16 = s.w + j, s.n_out, 1, <int> s.bf16
        if s.is_packed:
            p.packed, p.b_row, p.b_col = True, PACKED_COLUMNS, s.n_in
            p.b = s.w + j * s.n_in
        if s.is_packed and s.bf16:
            p.b_row, p.b_col = PACKED_COLUMNS // 2, (s.n_in + 1) // 2
            p.b = <Input> (<const uint32_t *> s.w + j * p.b_col)
        p.bias = s.b + j if s.b is not NULL else NULL
        p.c, p.c_row = s.y + i * s.n_out + j, s.n_out
        p.relu = s.in_registers
        if not s.in_registers and (s.activation is not NULL or s.factor is not NULL):
            finish = Finish(
                s.activation, NULL, p.c, s.n_out, <real> s.alpha[0], <real> s.beta[0], s.factor, s.offset
            )
            if s.factor is not NULL:
                finish.factor, finish.offset = s.factor + j, s.offset + j
            p.finish, p.context = apply, &finish
        status = gemm(&p)
    return status

cdef Py_ssize_t prepare_dense_forward(str kernel, Call *call) except -1:
    cdef DenseForward *s = <DenseForward *> call.payload
    cdef int[3] words
    check_factor(kernel, s.factor, s.offset)
    check_bf16(kernel, s.bf16)
    words = [word(&s.activation, call), word(&s.alpha, call), word(&s.beta, call)]
    s.in_registers = is_in_registers(s.activation, s.bf16) and s.factor is NULL
    s.is_packed = False
    fuse(call, BUILD, kernel, words)
    check_rows(kernel, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    divide_product(call, &s.panel, s.rows, s.n_out, s.n_in, s.bf16, dense_forward_rows)
    return 1

kernel("""dense_forward(x: rows (rows, n_in), w: in (n_in, n_out), b: in (n_out) | None, y: out (rows, n_out),
    activation: name = None, alpha: cell | None = None, *, factor: in (n_out) | None = None,
    offset: in (n_out) | None = None, beta: cell | None = None, bf16: flag = False) -> rows

    y = activation(x @ w + b), or activation((x @ w + b) * factor + offset).

    The activation is one whose derivative follows from y, by its name; alpha and beta are its constants, as far as it
    has them, by default its own. Factor and offset are both given or neither; the bits are those of scale_columns. With
    bf16, the product is that of x and w rounded to bfloat16.
    """, dense_forward_body, sizeof(DenseForward), prepare_dense_forward, NULL, 3)


cdef struct DenseBackward:
    Input x
    Labels index, cursor
    Input w, dy
    Output dx, dw, db
    Loop activation
    Number alpha, beta
    size_t bf16
    Py_ssize_t rows, n_in, n_index, n_all, n_out, panel, in_registers

cdef int dense_dx_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseBackward *s = <const DenseBackward *> call.payload
    return dx_of(s, call.units, s.panel, begin, end)

cdef int dense_dx_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return dx_of(<const DenseBackward *> call.payload, call.rows, -1, begin, end)

# dx = (dy @ w.T) * f'(x); units: rows of dx, or panels of its columns
cdef int dx_of(
    const DenseBackward *s, Py_ssize_t units, Py_ssize_t panel, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    cdef Product p
    cdef Finish finish
    cdef Py_ssize_t i, j, at = begin
    cdef int status = 0
    while at < end and status == 0:
        at = part_of(units, panel, s.rows, s.n_in, at, end, &p, &i, &j)
        p.k = s.n_out
        p.a, p.a_row, p.a_col = s.dy + i * s.n_out, s.n_out, 1
        p.b, p.b_row, p.b_col = s.w + j * s.n_out, 1, s.n_out
        p.one_row, p.bf16 = s.rows == 1, s.bf16
        p.c, p.c_row = s.dx + i * s.n_in + j, s.n_in
        if s.in_registers:
            p.saved = s.x + i * s.n_in + j
        elif s.activation is not NULL:
            finish = Finish(
                s.activation, s.x + i * s.n_in + j, p.c, s.n_in, <real> s.alpha[0], <real> s.beta[0], NULL, NULL
            )
            p.finish, p.context = apply, &finish
        status = gemm(&p)
    return status

cdef int dense_dw_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseBackward *s = <const DenseBackward *> call.payload
    cdef Operand x = Operand(s.x, NULL, NULL, s.n_in)
    cdef int status = choose(&x, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    if status == 0 and s.panel == -1:
        return multiply_rows(&x, s.dy, s.dw, s.db, NULL, NULL, s.rows, s.n_out, s.bf16, begin, end)
    return status or multiply_panels(
        &x, s.dy, s.dw, s.db, NULL, s.rows, s.n_out, s.bf16, call.units, call.turn, s.panel, begin, end
    )

cdef int dense_dw_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseBackward *s = <const DenseBackward *> call.payload
    cdef Operand x = Operand(s.x, NULL, NULL, s.n_in)
    cdef int status = choose(&x, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    cdef Output taken = <Output> call.taken if call.takes else NULL
    return status or multiply_rows(&x, s.dy, s.dw, s.db, NULL, taken, s.rows, s.n_out, s.bf16, begin, end)

# dw and db of a block of rows, one behind the other in memory of its own, and their sums in order
cdef int dense_dw_block(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseBackward *s = <const DenseBackward *> call.payload
    cdef Operand x = Operand(s.x + begin * s.n_in, NULL, NULL, s.n_in)
    cdef real *dw = <real *> call.sums
    cdef int status = 0
    if s.index is not NULL:
        x.x = s.x
        status = choose(&x, s.index, s.cursor, s.rows, s.n_index, s.n_all)
        x.index += begin
        x.next = NULL
    return status or multiply_rows(
        &x, s.dy + begin * s.n_out, dw, NULL if s.db is NULL else dw + s.n_in * s.n_out, NULL, NULL, end - begin,
        s.n_out, s.bf16, 0, s.n_in,
    )

cdef int dense_dw_add(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseBackward *s = <const DenseBackward *> call.payload
    cdef const real *sums = <const real *> call.sums
    cdef const real *others
    cdef real *to = s.dw
    cdef Py_ssize_t first = begin * s.n_out, last = end * s.n_out, part, i, j
    for part in range(2 if end == call.parts and s.db is not NULL else 1):
        if part > 0:
            sums, to, first, last = sums + s.n_in * s.n_out, s.db, 0, s.n_out
        memcpy(to + first, sums + first, (last - first) * sizeof(real))
        for j in range(1, call.n_sums):
            others = <const real *> (<const char *> sums + j * call.sum_bytes)
            for i in range(first, last):
                to[i] += others[i]
    return 0

# dw = x.T @ dy and db = the sum of the rows of dy; with lr, w and b lose lr times these instead. Whoever computes the
# first row computes db, also where there is no row. Here the rows [begin, end).
cdef inline int multiply_rows(
    const Operand *x, const real *dy, real *dw, real *db, const double *lr, real *taken, Py_ssize_t rows,
    Py_ssize_t n_out, bint bf16, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    cdef Product p
    if is_narrow(x.index, rows, x.n_in, n_out, bf16):
        narrow_dw(x.x, dy, dw, db, lr, rows, x.n_in, n_out, begin, end)
        return 0
    memset(&p, 0, sizeof(Product))
    p.m, p.n = min(end, x.n_in) - begin, n_out
    p.taken = taken + begin * n_out if taken is not NULL else NULL
    dw_product(&p, x, dy, dw, db, lr, rows, n_out, bf16, begin, 0)
    return gemm(&p)

# Here in units: panels of columns, or of rows in turns
cdef int multiply_panels(
    const Operand *x, const real *dy, real *dw, real *db, const double *lr, Py_ssize_t rows, Py_ssize_t n_out,
    bint bf16, Py_ssize_t all_units, Py_ssize_t units_of_turn, Py_ssize_t panel, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t units = units_of_turn if units_of_turn > 0 else all_units
    cdef Py_ssize_t turns = all_units // units, turn, first, i, j, at = begin
    cdef int status = 0
    while at < end and status == 0:
        turn = at // units
        at = turn * units + part_of(
            units, panel, x.n_in, n_out, at - turn * units, min(end - turn * units, units), &p, &i, &j
        )
        dw_product(&p, x, dy, dw, db, lr, rows, n_out, bf16, i, j)
        if turns > 1:
            first = turn * SUM_BLOCK
            p.k, p.resume = min(SUM_BLOCK, rows - first), turn > 0
            p.a += first * x.n_in
            p.b += first * n_out
        status = gemm(&p)
    return status

cdef inline void dw_product(
    Product *p, const Operand *x, const real *dy, real *dw, real *db, const double *lr, Py_ssize_t rows,
    Py_ssize_t n_out, bint bf16, Py_ssize_t i, Py_ssize_t j,
) noexcept nogil:
    p.k, p.bf16 = rows, bf16
    p.a, p.a_row, p.a_col = x.x + i, 1, x.n_in
    p.a_cols, p.a_next = x.index, x.next        # without turns
    p.b, p.b_row, p.b_col = dy + j, n_out, 1
    p.c, p.c_row = dw + i * n_out + j, n_out
    if i == 0 and db is not NULL:
        p.b_sum = db + j
    if lr is not NULL:
        p.update, p.rate = True, <real> lr[0]

cdef Py_ssize_t prepare_dense_backward(str kernel, Call *calls) except -1:
    """Two calls, of which each may be left out: dw with db, then dx, because dy may be needed no more."""
    cdef DenseBackward *s = <DenseBackward *> calls.payload
    cdef Py_ssize_t n_calls
    cdef int[3] words
    if s.dw is NULL and s.db is not NULL:
        return refuse(kernel, "dw is None, expected an array where db is one: they are computed together")
    check_rows(kernel, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    if s.index is not NULL and s.activation is not NULL:
        return refuse_activation(kernel, <object> <void *> s.activation, "None where rows of x are chosen")
    check_bf16(kernel, s.bf16)
    words = [word(&s.activation, calls), word(&s.alpha, calls), word(&s.beta, calls)]
    s.in_registers = is_in_registers(s.activation, s.bf16)
    fuse(calls, BUILD, kernel, words)
    if s.dx is not NULL:
        calls[1] = calls[0]
        calls[1].body = dense_dx_body
        (<DenseBackward *> calls[1].payload).dw = (<DenseBackward *> calls[1].payload).db = NULL
        if s.activation is NULL:
            (<DenseBackward *> calls[1].payload).x = NULL
        divide_product(
            &calls[1], &(<DenseBackward *> calls[1].payload).panel, s.rows, s.n_in, s.n_out, s.bf16, dense_dx_rows
        )
        calls[1].joint = joint_of_narrow
    if s.dw is not NULL:
        calls.bounds = NULL
        # What rounds and packs a block of rows anew in each turn gains nothing, and chosen rows lie anywhere.
        if s.bf16 or s.index is not NULL or not divide_into_turns(calls, &s.panel, s.n_in, s.n_out, s.rows):
            divide_product(calls, &s.panel, s.n_in, s.n_out, s.rows, s.bf16, NULL)
            calls.of_parts, calls.parts = dense_dw_rows, max(s.n_in, 1)
            calls.taken = s.w
            if s.rows >= 2 * SUM_BLOCK and s.n_in > 0:
                calls.of_rows, calls.rows, calls.block, calls.add = dense_dw_block, s.rows, SUM_BLOCK, dense_dw_add
                calls.sum_bytes = (s.n_in + 1) * s.n_out * <Py_ssize_t> sizeof(real)
                calls.sum_bytes = (calls.sum_bytes + 63) // 64 * 64     # whole lines of memory
        calls.joint = joint_of_narrow
        n_calls, s.dx = 1 + (s.dx is not NULL), NULL
        return n_calls
    if s.dx is NULL:
        return 0
    calls[0] = calls[1]
    return 1

kernel("""dense_backward(x: rows (rows, n_in), w: in (n_in, n_out), dy: in (rows, n_out), dx: out (rows, n_in) | None,
    dw: out (n_in, n_out) | None, db: out (n_out) | None, activation: name = None, alpha: cell | None = None, *,
    beta: cell | None = None, bf16: flag = False) -> rows

    dx = (dy @ w.T) * f'(x), dw = x.T @ dy, db = dy.sum(0); dy is the gradient of x @ w + b.

    f' is the derivative of the activation whose output x is, 1 for None. Rows are no such output. With bf16,
    the products are those of x, w and dy rounded to bfloat16; db is not.
    """, dense_dw_body, sizeof(DenseBackward), prepare_dense_backward, NULL, 2)


cdef struct DenseSGD:
    Input x
    Labels index, cursor
    Output w, b
    Input dy
    Number lr
    size_t bf16
    Py_ssize_t rows, n_in, n_index, n_all, n_out, panel

cdef int dense_sgd_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseSGD *s = <const DenseSGD *> call.payload
    cdef Operand x = Operand(s.x, NULL, NULL, s.n_in)
    cdef int status = choose(&x, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    cdef size_t before = subnormals_are_kept()
    if status == 0 and s.panel == -1:
        status = multiply_rows(&x, s.dy, s.w, s.b, s.lr, NULL, s.rows, s.n_out, s.bf16, begin, end)
    elif status == 0:
        status = multiply_panels(
            &x, s.dy, s.w, s.b, s.lr, s.rows, s.n_out, s.bf16, call.units, 0, s.panel, begin, end
        )
    subnormals_as(before)
    return status

cdef int dense_sgd_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DenseSGD *s = <const DenseSGD *> call.payload
    cdef Operand x = Operand(s.x, NULL, NULL, s.n_in)
    cdef int status = choose(&x, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    cdef size_t before = subnormals_are_kept()
    status = status or multiply_rows(&x, s.dy, s.w, s.b, s.lr, NULL, s.rows, s.n_out, s.bf16, begin, end)
    subnormals_as(before)
    return status

cdef Py_ssize_t prepare_dense_sgd(str kernel, Call *call) except -1:
    cdef DenseSGD *s = <DenseSGD *> call.payload
    check_bf16(kernel, s.bf16)
    check_rows(kernel, s.index, s.cursor, s.rows, s.n_index, s.n_all)
    divide_product(call, &s.panel, s.n_in, s.n_out, s.rows, s.bf16, NULL)
    if s.n_in * s.n_out <= SHARED_WEIGHTS:      # rows end where threads have as much to do; else columns, as forward
        call.of_parts, call.parts = dense_sgd_rows, max(s.n_in, 1)
    return 1

kernel("""dense_sgd(x: rows (rows, n_in), w: inout (n_in, n_out), b: inout (n_out) | None, dy: in (rows, n_out),
    lr: cell, *, bf16: flag = False), updates

    w -= lr * x.T @ dy; b -= lr * dy.sum(0), unless it is None: gradients and plain SGD's step in one pass.

    The bits are those of dense_backward and sgd, but the gradients are never stored; bf16 as in dense_backward.
    """, dense_sgd_body, sizeof(DenseSGD), prepare_dense_sgd, NULL, 1)

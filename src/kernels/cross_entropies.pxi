# Losses of probabilities. Targets may be smoothed: t + smoothing * (share - t), share = 1 / n, or 1 / 2 of two classes.

cdef extern from "math/blocks.h":
    void numbers_at(Py_ssize_t rows, Py_ssize_t n, const int64_t *label, const real *x, real *number) noexcept nogil
    void lessen_at(
        Py_ssize_t rows, Py_ssize_t n, const int64_t *label, const real *amount, real factor, real *x
    ) noexcept nogil
    Block block_part(Block b, Py_ssize_t begin, Py_ssize_t most) noexcept nogil
    void block_sum_double(
        Block b, const real *y, const real *t, const real *alpha, double *total,
        PairFormula f
    ) noexcept nogil

cdef extern from "math/losses.h":
    const real *block_targets(
        Block b, const real *t, const real *weight, real smoothing, real share, real *buffer
    ) noexcept nogil

cdef extern from "math/loops.h":
    void map_pairs(const real *x, const real *y, real *z, Py_ssize_t n, real alpha, PairFormula f) noexcept nogil


cdef real EPSILON = <real> (1.1920928955078125e-07 if sizeof(real) == 4 else 2.220446049250313e-16)

# Between eps and 1 - eps, so that log(0) and 1 / 0 do not arise; NaN stays.
cdef inline real probability(real y) noexcept nogil:
    return EPSILON if y < EPSILON else <real> 1 - EPSILON if y > <real> 1 - EPSILON else y

# Of two classes: with weights of the terms of t = 1, one or one for each column
cdef struct BinaryLoss:
    Input y, t, weight
    Output dy
    double *value
    Number smoothing, b
    Output each
    size_t total
    Number positive
    Py_ssize_t rows, n, m, k
    const void *loop
    Py_ssize_t parts
    void *own

cdef extern from *:
    """
    #define mean_over_binaries(s, f, g)                                                                  \\
        reduce_loss(&(Loss){LOSS_OF(s), .smoothing = (real)(s)->smoothing[0], .share = (real)0.5,         \\
                           .positive = (s)->positive, .k = (s)->k}, f, g)
    #define mean_over_smoothed_rows(s, f, g)                                                             \\
        reduce_loss(&(Loss){LOSS_OF(s), .of_rows = 1, .smoothing = (real)(s)->a[0],                       \\
                           .share = (real)1 / (s)->n}, f, g)
    """
    int mean_over_binaries(const BinaryLoss *s, LossFormula f, LossFormula g) noexcept nogil
    int mean_over_smoothed_rows(const TargetLoss *s, LossFormula f, LossFormula g) noexcept nogil

cdef Py_ssize_t check_positive(str kernel, Call *call) except -1:
    cdef BinaryLoss *s = <BinaryLoss *> call.payload
    cdef Py_ssize_t of_row
    if s.positive is not NULL and s.k != 1 and s.k != s.n:
        text = "positive has shape ({},), expected (1,)"
        return refuse(kernel, text + " or ({},)" if s.n > 1 else text, s.k, s.n)
    if s.weight is not NULL:
        check_numbers_or_rows(kernel, s.rows, s.m, s.n)
    of_row = s.n * <Py_ssize_t> sizeof(real)
    divide_loss(call, &s.rows, &s.parts, sizeof(real), of_row, s.m, of_row, add_numbers)
    return 1

cdef str SMOOTHING = "smoothing: cell = 0.0 >= 0 <= 1"

cdef int binary_loss(str name, str summary, Body body) except -1:
    more = ", positive: in float64 (k) | None = None"
    return declare_loss(name, summary, body, SMOOTHING, "b: absent", False, more, sizeof(BinaryLoss), check_positive)


cdef inline real binary_cross_entropy_(real y, real t, real a, real b) noexcept nogil:
    cdef real p = probability(y)
    return -(t * real_log(p) + (<real> 1 - t) * real_log1p(-p))

cdef inline real binary_cross_entropy_gradient(real y, real t, real a, real b) noexcept nogil:
    cdef real p = probability(y)
    return (p - t) / (p * (<real> 1 - p))

cdef int binary_cross_entropy_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_binaries(<const BinaryLoss *> call.payload, binary_cross_entropy_, binary_cross_entropy_gradient)

binary_loss(
    "binary_cross_entropy", "The mean of -t log(y) - (1 - t) log(1 - y), y clipped to [eps, 1 - eps].",
    binary_cross_entropy_body,
)


cdef inline real binary_cross_entropy_from_logits_(real y, real t, real a, real b) noexcept nogil:
    return (<real> 0 if y < 0 else y) - y * t + log1p_up_to_one(real_exp(-magnitude(y)))

# the sigmoid from the same exponential, which is computed once for both
cdef inline real binary_cross_entropy_from_logits_gradient(real y, real t, real a, real b) noexcept nogil:
    cdef real e = real_exp(-magnitude(y))
    return (e if y < 0 else <real> 1) / (<real> 1 + e) - t

cdef int binary_cross_entropy_from_logits_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_binaries(
        <const BinaryLoss *> call.payload, binary_cross_entropy_from_logits_, binary_cross_entropy_from_logits_gradient
    )

binary_loss(
    "binary_cross_entropy_from_logits",
    "The mean of log(1 + exp(y)) - t y: binary cross-entropy of sigmoid(y), for any y without overflow or log(0).",
    binary_cross_entropy_from_logits_body,
)


cdef inline real at_least_eps(real y) noexcept nogil:
    return EPSILON if y < EPSILON else y

cdef inline real cross_entropy_(real y, real t, real a, real b) noexcept nogil:
    return -t * real_log(at_least_eps(y))

cdef inline real cross_entropy_gradient(real y, real t, real a, real b) noexcept nogil:
    return -t / at_least_eps(y)

cdef int cross_entropy_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_smoothed_rows(<const TargetLoss *> call.payload, cross_entropy_, cross_entropy_gradient)

summed_loss(
    "cross_entropy", "The mean over rows of -sum_j t_j log(y_j), y clipped below at eps.", cross_entropy_body,
    SMOOTHING,
)


cdef inline real scaled_(real x, real scale) noexcept nogil:
    return x * scale

cdef void scale_block(Block block, const real *factor, real *y) noexcept nogil:
    block_map(block, y, factor, y, scaled_)

cdef inline real less_(real x, real amount) noexcept nogil:
    return x - amount

cdef inline real difference_scaled(real x, real t, real scale) noexcept nogil:
    return (x - t) * scale

cdef inline real ratio_(real x, real y, real alpha) noexcept nogil:
    return x / y

cdef inline real below_maximum(real y, real t, real largest) noexcept nogil:
    return t * (largest - y)

cdef inline real distance_below(real y, real t, real largest) noexcept nogil:
    return largest - y

# Whether a row has numbers, and a weight other than 0
cdef inline bint row_counts(const TargetLoss *s, Py_ssize_t i) noexcept nogil:
    cdef Py_ssize_t j
    if s.weight is NULL:
        return s.n > 0
    for j in range(s.m if s.n > 0 else 0):
        if s.weight[i * s.m + j] != 0:
            return True
    return False

cdef int cross_entropy_from_logits_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const TargetLoss *s = <const TargetLoss *> call.payload
    cdef real[BLOCK_SIZE] y_buffer, t_buffer, dy_buffer
    cdef real[BLOCK_ROWS] largest, total, log_total, t_total, t_part, factor
    cdef double[BLOCK_ROWS] losses, part_losses
    cdef const real *y
    cdef const real *t
    cdef real *dy
    cdef const real *w
    cdef real smoothing = <real> s.a[0], share = <real> 1 / s.n
    cdef double parts = 1 if s.total else s.parts, sum_of_losses = 0, loss
    cdef bint of_numbers = s.weight is not NULL and s.m != 1    # of no columns, there are none of rows
    cdef const real *weight = NULL
    cdef const real *weight_of_rows = NULL
    cdef double *own = <double *> s.own
    cdef Py_ssize_t most = BLOCK_SIZE if of_numbers or smoothing != 0 else s.n      # for the buffer of targets
    cdef Block block, part
    cdef Py_ssize_t i, row = 0, at, start
    if of_numbers:
        weight = s.weight
    else:
        weight_of_rows = s.weight
    memset(factor, 0, sizeof(factor))           # of lanes without a row, too
    while row < s.rows:
        block = block_of_rows(row, s.rows, s.n, NARROW)
        at = row * s.n
        y = block_input(block, s.y + at, y_buffer)
        dy = block_output(block, s.dy + at if s.dy is not NULL else NULL, dy_buffer)
        block_maximum(block, y, largest)
        exponentials(block, y, largest, dy, total)
        logs_of_rows(total, log_total, block.lanes)
        memset(t_total, 0, sizeof(t_total))
        memset(losses, 0, sizeof(losses))
        start = 0
        while True:
            part = block_part(block, start, most)
            w = weight + at + start if of_numbers else NULL
            t = block_targets(part, s.t + at + start, w, smoothing, share, t_buffer)
            block_sum(part, t, t, t_part, first_of_pair)
            block_sum_double(part, y + start, t, largest, part_losses, below_maximum)
            for i in range(block.rows):
                t_total[i] += t_part[i]
                losses[i] += part_losses[i]
            start += part.n
            if start >= s.n:
                break
        for i in range(block.rows):
            loss = losses[i] + t_total[i] * <double> log_total[i]
            loss = weight_of(weight_of_rows, s.rows, row + i) * loss if row_counts(s, row + i) else 0
            sum_of_losses += loss
            if own is not NULL:
                own[row + i] = loss
            if s.each is not NULL:
                s.each[row + i] = <real> loss
        if s.dy is not NULL:
            map_pairs(t_total, total, factor, block.lanes, 0, ratio_)
            scale_block(block, factor, dy)
            for i in range(block.rows):
                factor[i] = <real> (weight_of(weight_of_rows, s.rows, row + i) / parts)
            start = 0
            while True:
                part = block_part(block, start, most)
                if part.n < s.n:        # others are in the buffer since
                    w = weight + at + start if of_numbers else NULL
                    t = block_targets(part, s.t + at + start, w, smoothing, share, t_buffer)
                block_map_pairs(part, dy + start, t, factor, dy + start, difference_scaled)
                start += part.n
                if start >= s.n:
                    break
            block_store(block, dy_buffer, s.dy + at)
            for i in range(block.rows):
                if not row_counts(s, row + i):
                    memset(s.dy + (row + i) * s.n, 0, s.n * sizeof(real))
        row += block.rows
    s.value[0] = sum_of_losses / parts if s.rows > 0 else 0
    return 0

summed_loss(
    "cross_entropy_from_logits", "The mean over rows of -sum_j t_j log(softmax(y)_j), without overflow or log(0).",
    cross_entropy_from_logits_body, SMOOTHING, "b: absent", check_weights_of_doubles,
)


cdef inline real log_of_probability(real y, real t, real alpha) noexcept nogil:
    return real_log(at_least_eps(y))

cdef inline real over_probability(real y, real t, real factor) noexcept nogil:
    return factor / at_least_eps(y)

cdef int cross_entropy_labels_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LabelLoss *s = <const LabelLoss *> call.payload
    cdef const real[:, ::1] y = input_matrix(s.y, s.rows, s.n)
    cdef real[:, ::1] dy = matrix(s.dy, s.rows, s.n)
    cdef const int64_t[::1] t = labels(s.t, s.rows)
    cdef real p, share, no_alpha = 0
    cdef double weight, smoothing = s.a[0], parts = 1 if s.total else s.parts, sum_of_losses = 0, loss, of_all
    cdef Py_ssize_t i, at
    cdef Block row
    if s.dy is not NULL:
        memset(s.dy, 0, s.rows * s.n * sizeof(real))
    for i in range(s.rows):
        weight, loss = weight_of(s.weight, s.rows, i), 0
        at = i * s.n
        if weight != 0 and (t[i] < 0 or t[i] >= s.n):   # checked by whoever records; a replay must not write elsewhere
            loss = NAN
        elif weight != 0:
            p = at_least_eps(y[i, t[i]])
            loss = -(1 - smoothing) * <double> real_log(p)
            if smoothing != 0:
                row = block_of_rows(i, i + 1, s.n, 0)
                block_sum_double(row, s.y + at, s.y + at, &no_alpha, &of_all, log_of_probability)
                loss -= smoothing / s.n * of_all
                if s.dy is not NULL:
                    share = <real> (-weight / parts * smoothing / s.n)
                    map_pairs(s.y + at, s.y + at, s.dy + at, s.n, share, over_probability)
            loss *= weight
            if s.dy is not NULL:
                dy[i, t[i]] += <real> (-weight / parts * (1 - smoothing)) / p
        sum_of_losses += loss
        if s.own is not NULL:
            s.own[i] = loss
        if s.each is not NULL:
            s.each[i] = <real> loss
    s.value[0] = sum_of_losses / parts if s.rows > 0 else 0
    return 0

label_loss(
    "cross_entropy_labels", "The mean over rows of -log(y_t), t the row's label, y clipped below at eps.",
    cross_entropy_labels_body, SMOOTHING,
)


cdef int cross_entropy_labels_from_logits_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LabelLoss *s = <const LabelLoss *> call.payload
    cdef real[BLOCK_SIZE] y_buffer, dy_buffer
    cdef real[BLOCK_ROWS] largest, total, log_total, factor, of_label
    cdef double[BLOCK_ROWS] of_all, losses
    cdef const real *y
    cdef real *dy
    cdef double weight, smoothing = s.a[0], parts = 1 if s.total else s.parts, sum_of_losses = 0
    cdef Block block
    cdef Py_ssize_t i, row = 0, at, n = s.n
    memset(factor, 0, sizeof(factor))           # of lanes without a row, too
    while row < s.rows:
        block = block_of_rows(row, s.rows, n, NARROW)
        at = row * n
        y = block_input(block, s.y + at, y_buffer)
        dy = block_output(block, s.dy + at if s.dy is not NULL else NULL, dy_buffer)
        block_maximum(block, y, largest)
        exponentials(block, y, largest, dy, total)
        logs_of_rows(total, log_total, block.lanes)
        numbers_at(block.rows, n, s.t + row, s.y + at, of_label)
        for i in range(block.rows):
            losses[i] = (1 - smoothing) * (<double> largest[i] - of_label[i])
        if smoothing != 0:
            block_sum_double(block, y, y, largest, of_all, distance_below)
            for i in range(block.rows):
                losses[i] += smoothing / n * of_all[i]
        for i in range(block.rows):
            losses[i] = <double> log_total[i] + losses[i]
            factor[i] = <real> (1 / parts)
        if s.weight is not NULL:
            for i in range(block.rows):
                weight = weight_of(s.weight, s.rows, row + i)
                losses[i] = weight * losses[i] if weight != 0 else 0
                factor[i] = <real> (weight / parts)
        for i in range(block.rows):
            sum_of_losses += losses[i]
        if s.own is not NULL:
            memcpy(s.own + row, losses, block.rows * sizeof(double))
        if s.each is not NULL:
            for i in range(block.rows):
                s.each[row + i] = <real> losses[i]
        if s.dy is not NULL:
            map_pairs(factor, total, total, block.lanes, 0, ratio_)
            scale_block(block, total, dy)
            if smoothing != 0:
                map(factor, total, block.lanes, <real> (smoothing / n), scaled_)
                block_map(block, dy, total, dy, less_)
            block_store(block, dy_buffer, s.dy + at)
            lessen_at(block.rows, n, s.t + row, factor, <real> (1 - smoothing), s.dy + at)
        row += block.rows
    s.value[0] = sum_of_losses / parts if s.rows > 0 else 0
    return 0

label_loss(
    "cross_entropy_labels_from_logits",
    "The mean over rows of -log(softmax(y)_t), t the row's label, without overflow or log(0).",
    cross_entropy_labels_from_logits_body, SMOOTHING,
)

# Losses: value[0] = the mean over rows of weight * the row's loss, accumulated in double, and its gradient dy, in one
# pass. y (rows, n) predictions, t targets (rows, n) or labels (rows), weight (rows) or None for ones, dy (rows, n) or
# None where the value alone is wanted, value (1). The sum runs in one order, so a loss is a single unit of work.

cdef extern from "math/blocks.h":
    void block_sum_double(
        Block b, const real *y, const real *t, const real *alpha, double *total,
        PairFormula f
    ) noexcept nogil

cdef extern from "math/loops.h":
    void map_pairs(const real *x, const real *y, real *z, Py_ssize_t n, real alpha, PairFormula f) noexcept nogil


# Of all losses whose targets have the shape of the predictions
cdef struct TargetLoss:
    Input y, t, weight
    Output dy
    double *value
    Number delta
    Py_ssize_t rows, n

# The loss that is the mean, over all numbers or over rows, of the sum of f over all numbers, and its gradient from g.
cdef extern from *:
    """
    #define MEAN_LOSS(s, parts, f, g)                                                                    \\
        (mean_loss((s)->value, (s)->y, (s)->t, (s)->weight, (s)->dy, (s)->rows, (s)->n, parts,           \\
                   (real)(s)->delta[0], f, g), 0)
    #define mean_over_numbers(s, f, g) MEAN_LOSS(s, (s)->rows * (s)->n, f, g)
    #define mean_over_rows(s, f, g) MEAN_LOSS(s, (s)->rows, f, g)
    """
    int mean_over_numbers(const TargetLoss *s, PairFormula f, PairFormula g) noexcept nogil
    int mean_over_rows(const TargetLoss *s, PairFormula f, PairFormula g) noexcept nogil

cdef int target_loss(str name, str summary, Body body, str delta="delta: absent") except -1:
    kernel(f"""{name}(y: in (rows, n), t: in (rows, n), weight: in (rows) | None, dy: out (rows, n) | None,
        value: out float64 (1), {delta})\n\n{summary}""", body, sizeof(TargetLoss))
    return 0


# Of all losses whose targets are labels
cdef struct LabelLoss:
    Input y
    Labels t
    Input weight
    Output dy
    double *value
    Py_ssize_t rows, n

cdef Py_ssize_t check_labels(str kernel, Call *call) except -1:
    cdef const LabelLoss *s = <const LabelLoss *> call.payload
    cdef Py_ssize_t i
    for i in range(s.rows):
        if not 0 <= s.t[i] < s.n:
            raise ValueError(f"{kernel}: t[{i}] is {s.t[i]}, expected a label from 0 to {s.n - 1}")
    return 1

cdef int label_loss(str name, str summary, Body body) except -1:
    kernel(f"""{name}(y: in (rows, n), t: in int64 (rows), weight: in (rows) | None, dy: out (rows, n) | None,
        value: out float64 (1))\n\n{summary}""", body, sizeof(LabelLoss), check_labels)
    return 0


cdef inline real mse_(real y, real t, real delta) noexcept nogil:
    return (y - t) * (y - t)

cdef inline real mse_gradient(real y, real t, real delta) noexcept nogil:
    return <real> 2 * (y - t)

cdef int mse_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(<const TargetLoss *> call.payload, mse_, mse_gradient)

target_loss("mse", "The mean of (y - t)^2 over rows and columns.", mse_body)


cdef inline real mae_(real y, real t, real delta) noexcept nogil:
    return magnitude(y - t)

cdef inline real mae_gradient(real y, real t, real delta) noexcept nogil:
    return <real> 1 if y > t else <real> -1 if y < t else y - t        # 0, or NaN

cdef int mae_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(<const TargetLoss *> call.payload, mae_, mae_gradient)

target_loss("mae", "The mean of |y - t| over rows and columns.", mae_body)


# Huber 1964.
cdef inline real huber_(real y, real t, real delta) noexcept nogil:
    cdef real distance = magnitude(y - t)
    cdef real inside = <real> 0.5 * distance * distance
    cdef real outside = delta * (distance - <real> 0.5 * delta)
    return outside if distance > delta else inside

cdef inline real huber_gradient(real y, real t, real delta) noexcept nogil:
    cdef real difference = y - t
    return delta if difference > delta else -delta if difference < -delta else difference

cdef int huber_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(<const TargetLoss *> call.payload, huber_, huber_gradient)

target_loss(
    "huber", "The mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); d = y - t.",
    huber_body, "delta: cell = 1.0 >= 0",
)


cdef real EPSILON = <real> (1.1920928955078125e-07 if sizeof(real) == 4 else 2.220446049250313e-16)

# Between eps and 1 - eps, so that log(0) and 1 / 0 do not arise; NaN stays.
cdef inline real probability(real y) noexcept nogil:
    return EPSILON if y < EPSILON else <real> 1 - EPSILON if y > <real> 1 - EPSILON else y

cdef inline real binary_cross_entropy_(real y, real t, real delta) noexcept nogil:
    cdef real p = probability(y)
    return -(t * real_log(p) + (<real> 1 - t) * real_log1p(-p))

cdef inline real binary_cross_entropy_gradient(real y, real t, real delta) noexcept nogil:
    cdef real p = probability(y)
    return (p - t) / (p * (<real> 1 - p))

cdef int binary_cross_entropy_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(<const TargetLoss *> call.payload, binary_cross_entropy_, binary_cross_entropy_gradient)

target_loss(
    "binary_cross_entropy", "The mean of -t log(y) - (1 - t) log(1 - y), y clipped to [eps, 1 - eps].",
    binary_cross_entropy_body,
)


cdef inline real binary_cross_entropy_from_logits_(real y, real t, real delta) noexcept nogil:
    return (<real> 0 if y < 0 else y) - y * t + log1p_up_to_one(real_exp(-magnitude(y)))

# the sigmoid from the same exponential, which is computed once for both
cdef inline real binary_cross_entropy_from_logits_gradient(real y, real t, real delta) noexcept nogil:
    cdef real e = real_exp(-magnitude(y))
    return (e if y < 0 else <real> 1) / (<real> 1 + e) - t

cdef int binary_cross_entropy_from_logits_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(
        <const TargetLoss *> call.payload, binary_cross_entropy_from_logits_, binary_cross_entropy_from_logits_gradient
    )

target_loss(
    "binary_cross_entropy_from_logits",
    "The mean of log(1 + exp(y)) - t y: binary cross-entropy of sigmoid(y), for any y without overflow or log(0).",
    binary_cross_entropy_from_logits_body,
)


cdef inline real cross_entropy_(real y, real t, real delta) noexcept nogil:
    return -t * real_log(EPSILON if y < EPSILON else y)

cdef inline real cross_entropy_gradient(real y, real t, real delta) noexcept nogil:
    return -t / (EPSILON if y < EPSILON else y)

cdef int cross_entropy_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_rows(<const TargetLoss *> call.payload, cross_entropy_, cross_entropy_gradient)

target_loss("cross_entropy", "The mean over rows of -sum_j t_j log(y_j), y clipped below at eps.", cross_entropy_body)


# of a row, 1 where there are none
cdef inline double weight_of(const real *weight, Py_ssize_t rows, Py_ssize_t i) noexcept nogil:
    cdef const real[::1] weights = input_vector(weight, rows)
    return weights[i] if weight is not NULL else 1

cdef inline real scaled_(real x, real scale) noexcept nogil:
    return x * scale

cdef inline real difference_scaled(real x, real t, real scale) noexcept nogil:
    return (x - t) * scale

cdef inline real ratio_(real x, real y, real alpha) noexcept nogil:
    return x / y

cdef inline real below_maximum(real y, real t, real largest) noexcept nogil:
    return t * (largest - y)

cdef int cross_entropy_from_logits_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const TargetLoss *s = <const TargetLoss *> call.payload
    cdef real[BLOCK_SIZE] y_buffer, t_buffer, dy_buffer
    cdef real[BLOCK_ROWS] largest, total, log_total, t_total, factor
    cdef double[BLOCK_ROWS] losses
    cdef const real *y
    cdef const real *t
    cdef real *dy
    cdef double sum_of_losses = 0
    cdef Block block
    cdef Py_ssize_t i, row = 0, at
    memset(factor, 0, sizeof(factor))           # of lanes without a row, too
    while row < s.rows:
        block = block_of_rows(row, s.rows, s.n, NARROW)
        at = row * s.n
        y = block_input(block, s.y + at, y_buffer)
        t = block_input(block, s.t + at, t_buffer)
        dy = block_output(block, s.dy + at if s.dy is not NULL else NULL, dy_buffer)
        block_maximum(block, y, largest)
        block_map_and_sum(block, y, largest, dy, total, exp_shifted)
        map(total, log_total, block.lanes, 0, log_)
        block_sum(block, t, t, t_total, first_of_pair)
        block_sum_double(block, y, t, largest, losses, below_maximum)
        for i in range(block.rows):
            sum_of_losses += weight_of(s.weight, s.rows, row + i) * (losses[i] + t_total[i] * <double> log_total[i])
        if s.dy is not NULL:
            map_pairs(t_total, total, factor, block.lanes, 0, ratio_)
            block_map(block, dy, factor, dy, scaled_)
            for i in range(block.rows):
                factor[i] = <real> (weight_of(s.weight, s.rows, row + i) / s.rows)
            block_map_pairs(block, dy, t, factor, dy, difference_scaled)
            block_store(block, dy_buffer, s.dy + at)
        row += block.rows
    s.value[0] = sum_of_losses / s.rows if s.rows > 0 else 0
    return 0

target_loss(
    "cross_entropy_from_logits", "The mean over rows of -sum_j t_j log(softmax(y)_j), without overflow or log(0).",
    cross_entropy_from_logits_body,
)


cdef int cross_entropy_labels_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LabelLoss *s = <const LabelLoss *> call.payload
    cdef const real[:, ::1] y = input_matrix(s.y, s.rows, s.n)
    cdef real[:, ::1] dy = matrix(s.dy, s.rows, s.n)
    cdef const int64_t[::1] t = labels(s.t, s.rows)
    cdef real p
    cdef double weight, sum_of_losses = 0
    cdef Py_ssize_t i
    if s.dy is not NULL:
        memset(s.dy, 0, s.rows * s.n * sizeof(real))
    for i in range(s.rows):
        weight = weight_of(s.weight, s.rows, i)
        if t[i] < 0 or t[i] >= s.n:         # checked by whoever records; a replay must not write elsewhere
            sum_of_losses = NAN
            continue
        p = y[i, t[i]]
        p = EPSILON if p < EPSILON else p
        sum_of_losses -= weight * <double> real_log(p)
        if s.dy is not NULL:
            dy[i, t[i]] = <real> (-weight / s.rows) / p
    s.value[0] = sum_of_losses / s.rows if s.rows > 0 else 0
    return 0

label_loss(
    "cross_entropy_labels", "The mean over rows of -log(y_t), t the row's label, y clipped below at eps.",
    cross_entropy_labels_body,
)


cdef int cross_entropy_labels_from_logits_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LabelLoss *s = <const LabelLoss *> call.payload
    cdef const real[:, ::1] logits = input_matrix(s.y, s.rows, s.n)
    cdef real[:, ::1] gradient = matrix(s.dy, s.rows, s.n)
    cdef const int64_t[::1] t = labels(s.t, s.rows)
    cdef real[BLOCK_SIZE] y_buffer, dy_buffer
    cdef real[BLOCK_ROWS] largest, total, log_total, scale
    cdef const real *y
    cdef real *dy
    cdef double weight, sum_of_losses = 0
    cdef Block block
    cdef Py_ssize_t i, row = 0, at
    memset(scale, 0, sizeof(scale))             # of lanes without a row, too
    while row < s.rows:
        block = block_of_rows(row, s.rows, s.n, NARROW)
        at = row * s.n
        y = block_input(block, s.y + at, y_buffer)
        dy = block_output(block, s.dy + at if s.dy is not NULL else NULL, dy_buffer)
        block_maximum(block, y, largest)
        block_map_and_sum(block, y, largest, dy, total, exp_shifted)
        map(total, log_total, block.lanes, 0, log_)
        for i in range(block.rows):
            weight = weight_of(s.weight, s.rows, row + i)
            scale[i] = <real> (weight / s.rows)
            if 0 <= t[row + i] < s.n:       # as above
                sum_of_losses += weight * (<double> log_total[i] + (<double> largest[i] - logits[row + i, t[row + i]]))
            else:
                sum_of_losses = NAN
        if s.dy is not NULL:
            map_pairs(scale, total, total, block.lanes, 0, ratio_)
            block_map(block, dy, total, dy, scaled_)
            block_store(block, dy_buffer, s.dy + at)
            for i in range(block.rows):
                if 0 <= t[row + i] < s.n:
                    gradient[row + i, t[row + i]] -= scale[i]
                else:
                    memset(s.dy + (row + i) * s.n, 0, s.n * sizeof(real))
        row += block.rows
    s.value[0] = sum_of_losses / s.rows if s.rows > 0 else 0
    return 0

label_loss(
    "cross_entropy_labels_from_logits",
    "The mean over rows of -log(softmax(y)_t), t the row's label, without overflow or log(0).",
    cross_entropy_labels_from_logits_body,
)

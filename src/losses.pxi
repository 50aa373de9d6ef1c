# Losses: value[0] = the mean over rows of weight * the row's loss, accumulated in double, and its gradient dy, in one
# pass. y (rows, n) predictions, t targets (rows, n) or labels (rows), weight (rows) or None for ones, dy (rows, n) or
# None where the value alone is wanted, value (1). The sum runs in one order, so a loss is a single unit of work.
# dy may not overlap an input.

cdef extern from "loops.h":
    void block_sum_double(
        Block b, const real *y, const real *t, const real *alpha, double *total,
        real (*f)(real, real, real) noexcept nogil
    ) noexcept nogil
    void mean_loss(
        double *value, const void *y, const void *t, const void *weight, void *dy, Py_ssize_t rows, Py_ssize_t n,
        Py_ssize_t parts, double delta, real (*f)(real, real, real) noexcept nogil,
        real (*g)(real, real, real) noexcept nogil
    ) noexcept nogil


cdef int fill_loss(Step *step, str kernel, const real[:, ::1] y, object weight, object dy, object value) except -1:
    """What the wrappers of all losses check: everything but the targets."""
    cdef const real[::1] weight_view
    cdef real[:, ::1] dy_view
    step.x = address(y)
    step.rows, step.n_out = y.shape[0], y.shape[1]
    step.value = cell(kernel, "value", value)
    if weight is not None:
        weight_view = vector(kernel, "weight", weight)
        same_length(kernel, "weight", weight_view.shape[0], "the rows of y", y.shape[0])
        step.weight = vector_address(weight_view)
    if dy is not None:
        dy_view = output_matrix(kernel, "dy", dy)
        same_shape(kernel, "dy", dy_view, "y", y)
        step.dy = output_address(dy_view)
        apart(kernel, "dy", step.dy, dy_view.nbytes, "y", step.x, y.nbytes)
        apart(kernel, "value", step.value, sizeof(double), "dy", step.dy, dy_view.nbytes)
        if weight is not None:
            apart(kernel, "dy", step.dy, dy_view.nbytes, "weight", step.weight, weight_view.nbytes)
    if weight is not None:
        apart(kernel, "value", step.value, sizeof(double), "weight", step.weight, weight_view.nbytes)
    apart(kernel, "value", step.value, sizeof(double), "y", step.x, y.nbytes)
    return 0


cdef int target_loss(
    str kernel, Body body, object y, object t, object weight, object dy, object value, double delta, Tape tape
) except -1:
    """The wrapper of the losses whose targets have the shape of the predictions."""
    cdef const real[:, ::1] y_view = matrix(kernel, "y", y)
    cdef const real[:, ::1] t_view = matrix(kernel, "t", t)
    cdef Step step
    same_shape(kernel, "t", t_view, "y", y_view)
    not_negative(kernel, "delta", delta)
    clear(&step, body, 1)
    fill_loss(&step, kernel, y_view, weight, dy, value)
    step.t = address(t_view)
    step.alpha = delta
    if dy is not None:
        apart(kernel, "dy", step.dy, y_view.nbytes, "t", step.t, t_view.nbytes)
    apart(kernel, "value", step.value, sizeof(double), "t", step.t, t_view.nbytes)
    return run_or_record(&step, tape, (y, t, weight, dy, value) if tape is not None else None)


cdef int label_loss(
    str kernel, Body body, object y, object t, object weight, object dy, object value, Tape tape
) except -1:
    """The wrapper of the losses whose targets are labels."""
    cdef const real[:, ::1] y_view = matrix(kernel, "y", y)
    cdef const int64_t[::1] t_view = integers(kernel, "t", t)
    cdef Step step
    cdef Py_ssize_t i
    same_length(kernel, "t", t_view.shape[0], "the rows of y", y_view.shape[0])
    for i in range(t_view.shape[0]):
        if not 0 <= t_view[i] < y_view.shape[1]:
            raise ValueError(f"{kernel}: t[{i}] is {t_view[i]}, expected a label from 0 to {y_view.shape[1] - 1}")
    clear(&step, body, 1)
    fill_loss(&step, kernel, y_view, weight, dy, value)
    step.t = &t_view[0] if t_view.shape[0] > 0 else NULL
    if dy is not None:
        apart(kernel, "dy", step.dy, y_view.nbytes, "t", step.t, t_view.nbytes)
    apart(kernel, "value", step.value, sizeof(double), "t", step.t, t_view.nbytes)
    return run_or_record(&step, tape, (y, t, weight, dy, value) if tape is not None else None)


cdef inline real mse_(real y, real t, real delta) noexcept nogil:
    return (y - t) * (y - t)

cdef inline real mse_gradient(real y, real t, real delta) noexcept nogil:
    return 2 * (y - t)

cdef int mse_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    mean_loss(
        s.value, s.x, s.t, s.weight, s.dy, s.rows, s.n_out, s.rows * s.n_out, s.alpha, mse_, mse_gradient
    )
    return 0

def mse(y, t, weight, dy, value, Tape tape=None):
    """The mean of (y - t)^2 over rows and columns."""
    target_loss("mse", mse_body, y, t, weight, dy, value, 0, tape)


cdef inline real mae_(real y, real t, real delta) noexcept nogil:
    return magnitude(y - t)

cdef inline real mae_gradient(real y, real t, real delta) noexcept nogil:
    return 1 if y > t else -1 if y < t else y - t        # 0, or NaN

cdef int mae_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    mean_loss(
        s.value, s.x, s.t, s.weight, s.dy, s.rows, s.n_out, s.rows * s.n_out, s.alpha, mae_, mae_gradient
    )
    return 0

def mae(y, t, weight, dy, value, Tape tape=None):
    """The mean of |y - t| over rows and columns."""
    target_loss("mae", mae_body, y, t, weight, dy, value, 0, tape)


# Huber 1964.
cdef inline real huber_(real y, real t, real delta) noexcept nogil:
    cdef real distance = magnitude(y - t)
    cdef real inside = <real> 0.5 * distance * distance
    cdef real outside = delta * (distance - <real> 0.5 * delta)
    return outside if distance > delta else inside

cdef inline real huber_gradient(real y, real t, real delta) noexcept nogil:
    cdef real difference = y - t
    return delta if difference > delta else -delta if difference < -delta else difference

cdef int huber_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    mean_loss(
        s.value, s.x, s.t, s.weight, s.dy, s.rows, s.n_out, s.rows * s.n_out, s.alpha, huber_, huber_gradient
    )
    return 0

def huber(y, t, weight, dy, value, double delta=1.0, Tape tape=None):
    """The mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); d = y - t."""
    target_loss("huber", huber_body, y, t, weight, dy, value, delta, tape)


cdef real EPSILON = <real> (1.1920928955078125e-07 if sizeof(real) == 4 else 2.220446049250313e-16)

# Between eps and 1 - eps, so that log(0) and 1 / 0 do not arise; NaN stays.
cdef inline real probability(real y) noexcept nogil:
    return EPSILON if y < EPSILON else 1 - EPSILON if y > 1 - EPSILON else y

cdef inline real binary_cross_entropy_(real y, real t, real delta) noexcept nogil:
    cdef real p = probability(y)
    return -(t * real_log(p) + (1 - t) * real_log1p(-p))

cdef inline real binary_cross_entropy_gradient(real y, real t, real delta) noexcept nogil:
    cdef real p = probability(y)
    return (p - t) / (p * (1 - p))

cdef int binary_cross_entropy_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    mean_loss(
        s.value, s.x, s.t, s.weight, s.dy, s.rows, s.n_out, s.rows * s.n_out, s.alpha, binary_cross_entropy_,
        binary_cross_entropy_gradient,
    )
    return 0

def binary_cross_entropy(y, t, weight, dy, value, Tape tape=None):
    """The mean of -t log(y) - (1 - t) log(1 - y), y clipped to [eps, 1 - eps]."""
    target_loss("binary_cross_entropy", binary_cross_entropy_body, y, t, weight, dy, value, 0, tape)


cdef inline real binary_cross_entropy_from_logits_(real y, real t, real delta) noexcept nogil:
    return (0 if y < 0 else y) - y * t + log1p_up_to_one(real_exp(-magnitude(y)))

# the sigmoid from the same exponential, which is computed once for both
cdef inline real binary_cross_entropy_from_logits_gradient(real y, real t, real delta) noexcept nogil:
    cdef real e = real_exp(-magnitude(y))
    return (e if y < 0 else 1) / (1 + e) - t

cdef int binary_cross_entropy_from_logits_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    mean_loss(
        s.value, s.x, s.t, s.weight, s.dy, s.rows, s.n_out, s.rows * s.n_out, s.alpha,
        binary_cross_entropy_from_logits_,
        binary_cross_entropy_from_logits_gradient,
    )
    return 0

def binary_cross_entropy_from_logits(y, t, weight, dy, value, Tape tape=None):
    """The mean of log(1 + exp(y)) - t y: binary cross-entropy of sigmoid(y), for any y without overflow or log(0)."""
    target_loss(
        "binary_cross_entropy_from_logits", binary_cross_entropy_from_logits_body, y, t, weight, dy, value, 0, tape
    )


cdef inline real cross_entropy_(real y, real t, real delta) noexcept nogil:
    return -t * real_log(EPSILON if y < EPSILON else y)

cdef inline real cross_entropy_gradient(real y, real t, real delta) noexcept nogil:
    return -t / (EPSILON if y < EPSILON else y)

cdef int cross_entropy_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    mean_loss(
        s.value, s.x, s.t, s.weight, s.dy, s.rows, s.n_out, s.rows, s.alpha, cross_entropy_, cross_entropy_gradient
    )
    return 0

def cross_entropy(y, t, weight, dy, value, Tape tape=None):
    """The mean over rows of -sum_j t_j log(y_j), y clipped below at eps."""
    target_loss("cross_entropy", cross_entropy_body, y, t, weight, dy, value, 0, tape)


cdef inline real scaled_(real x, real scale) noexcept nogil:
    return x * scale

cdef inline real difference_scaled(real x, real t, real scale) noexcept nogil:
    return (x - t) * scale

cdef inline real ratio_(real x, real y, real alpha) noexcept nogil:
    return x / y

cdef inline real below_maximum(real y, real t, real largest) noexcept nogil:
    return t * (largest - y)

cdef int cross_entropy_from_logits_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real[BLOCK_SIZE] y_buffer, t_buffer, dy_buffer
    cdef real[BLOCK_ROWS] largest, total, log_total, t_total, factor
    cdef double[BLOCK_ROWS] losses
    cdef const real *y
    cdef const real *t
    cdef real *dy
    cdef double weight = 1, sum_of_losses = 0
    cdef Block block
    cdef Py_ssize_t i, row = 0, at
    memset(factor, 0, sizeof(factor))           # of lanes without a row, too
    while row < s.rows:
        block = block_of_rows(row, s.rows, s.n_out, NARROW)
        at = row * s.n_out
        y = block_input(block, <const real *> s.x + at, y_buffer)
        t = block_input(block, <const real *> s.t + at, t_buffer)
        dy = block_output(block, <real *> s.dy + at if s.dy is not NULL else NULL, dy_buffer)
        block_maximum(block, y, largest)
        block_map_and_sum(block, y, largest, dy, total, exp_shifted)
        map(total, log_total, 0, block.lanes, 0, log_)
        block_sum(block, t, t, t_total, first_of_pair)
        block_sum_double(block, y, t, largest, losses, below_maximum)
        for i in range(block.rows):
            if s.weight is not NULL:
                weight = (<const real *> s.weight)[row + i]
            sum_of_losses += weight * (losses[i] + t_total[i] * <double> log_total[i])
        if s.dy is not NULL:
            map_pairs(t_total, total, factor, 0, block.lanes, 0, ratio_)
            block_map(block, dy, factor, dy, scaled_)
            for i in range(block.rows):
                if s.weight is not NULL:
                    weight = (<const real *> s.weight)[row + i]
                factor[i] = <real> (weight / s.rows)
            block_map_pairs(block, dy, t, factor, dy, difference_scaled)
            block_store(block, dy_buffer, <real *> s.dy + at)
        row += block.rows
    s.value[0] = sum_of_losses / s.rows if s.rows > 0 else 0
    return 0

def cross_entropy_from_logits(y, t, weight, dy, value, Tape tape=None):
    """The mean over rows of -sum_j t_j log(softmax(y)_j), without overflow or log(0)."""
    target_loss("cross_entropy_from_logits", cross_entropy_from_logits_body, y, t, weight, dy, value, 0, tape)


cdef int cross_entropy_labels_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const int64_t *t = <const int64_t *> s.t
    cdef real p
    cdef double weight = 1, sum_of_losses = 0
    cdef Py_ssize_t i
    if s.dy is not NULL:
        memset(s.dy, 0, s.rows * s.n_out * sizeof(real))
    for i in range(s.rows):
        if s.weight is not NULL:
            weight = (<const real *> s.weight)[i]
        if t[i] < 0 or t[i] >= s.n_out:         # checked by whoever records; a replay must not write elsewhere
            sum_of_losses = NAN
            continue
        p = (<const real *> s.x)[i * s.n_out + t[i]]
        p = EPSILON if p < EPSILON else p
        sum_of_losses -= weight * <double> real_log(p)
        if s.dy is not NULL:
            (<real *> s.dy)[i * s.n_out + t[i]] = <real> (-weight / s.rows) / p
    s.value[0] = sum_of_losses / s.rows if s.rows > 0 else 0
    return 0

def cross_entropy_labels(y, t, weight, dy, value, Tape tape=None):
    """The mean over rows of -log(y_t), t the row's label, y clipped below at eps."""
    label_loss("cross_entropy_labels", cross_entropy_labels_body, y, t, weight, dy, value, tape)


cdef int cross_entropy_labels_from_logits_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real[BLOCK_SIZE] y_buffer, dy_buffer
    cdef real[BLOCK_ROWS] largest, total, log_total, scale
    cdef const int64_t *t = <const int64_t *> s.t
    cdef const real *y
    cdef real *dy
    cdef double weight = 1, sum_of_losses = 0
    cdef Block block
    cdef Py_ssize_t i, row = 0, at
    memset(scale, 0, sizeof(scale))             # of lanes without a row, too
    while row < s.rows:
        block = block_of_rows(row, s.rows, s.n_out, NARROW)
        at = row * s.n_out
        y = block_input(block, <const real *> s.x + at, y_buffer)
        dy = block_output(block, <real *> s.dy + at if s.dy is not NULL else NULL, dy_buffer)
        block_maximum(block, y, largest)
        block_map_and_sum(block, y, largest, dy, total, exp_shifted)
        map(total, log_total, 0, block.lanes, 0, log_)
        for i in range(block.rows):
            if s.weight is not NULL:
                weight = (<const real *> s.weight)[row + i]
            scale[i] = <real> (weight / s.rows)
            if 0 <= t[row + i] < s.n_out:       # as above
                at = (row + i) * s.n_out + t[row + i]
                sum_of_losses += weight * (<double> log_total[i] + (<double> largest[i] - (<const real *> s.x)[at]))
            else:
                sum_of_losses = NAN
        if s.dy is not NULL:
            map_pairs(scale, total, total, 0, block.lanes, 0, ratio_)
            block_map(block, dy, total, dy, scaled_)
            block_store(block, dy_buffer, <real *> s.dy + row * s.n_out)
            for i in range(block.rows):
                at = (row + i) * s.n_out
                if 0 <= t[row + i] < s.n_out:
                    (<real *> s.dy)[at + t[row + i]] -= scale[i]
                else:
                    memset(<real *> s.dy + at, 0, s.n_out * sizeof(real))
        row += block.rows
    s.value[0] = sum_of_losses / s.rows if s.rows > 0 else 0
    return 0

def cross_entropy_labels_from_logits(y, t, weight, dy, value, Tape tape=None):
    """The mean over rows of -log(softmax(y)_t), t the row's label, without overflow or log(0)."""
    label_loss("cross_entropy_labels_from_logits", cross_entropy_labels_from_logits_body, y, t, weight, dy, value, tape)

# What all losses are: value[0] = the mean of weight * loss, accumulated in double, and its gradient dy, in one pass.
# y (rows, n) predictions, t targets (rows, n) or labels (rows), dy (rows, n) or None where the value alone is wanted,
# value (1). The sum runs in one order, so a loss is a single unit of work; that of many rows is the sum of those of
# blocks, as gradients are, and a block needs no other rows.
#
# weight    (rows, 1), or (rows, n) where targets have the shape of y: of rows, or of single numbers; None for ones.
#           What weighs 0 is left out whatever it is: no NaN comes from there.
# total     whether the value is the sum instead of the mean
# each      or None: the losses one by one, weighted, of each number (rows, n), or of each row (rows)

cdef extern from "math/losses.h":
    ctypedef struct LossRun:
        pass
    void map_loss(const LossRun *r, LossFormula f, LossFormula g) noexcept nogil
    void copy_losses(const LossRun *r) noexcept nogil

ctypedef void (*LossLoop)(const LossRun *r) noexcept nogil

# Of all losses whose targets have the shape of the predictions. a and b are numbers of the formulas, or absent.
cdef struct TargetLoss:
    Input y, t, weight
    Output dy
    double *value
    Number a, b
    Output each
    size_t total
    Py_ssize_t rows, n, m
    LossLoop loop               # of those that have one
    Py_ssize_t parts            # rows of the whole, where these are a block
    void *own                   # the losses that are added: numbers, or of each row in double; or NULL

# The loss that is the mean, over all numbers or over rows, of the sum of f(y, t, a, b) over all numbers; its gradient
# is g(y, t, a, b).
cdef extern from *:
    """
    #define LOSS_OF(s)                                                                                   \\
        .y = (s)->y, .t = (s)->t, .weight = (s)->weight, .dy = (s)->dy, .each = (s)->each,               \\
        .value = (s)->value, .rows = (s)->rows, .n = (s)->n, .m = (s)->m, .parts = (s)->parts,        \\
        .is_sum = (s)->total != 0, .own = (real *)(s)->own
    #define NUMBERS_OF(s) .a = (real)(s)->a[0], .b = (real)(s)->b[0]
    #define mean_over_numbers(s, f, g) reduce_loss(&(Loss){LOSS_OF(s), NUMBERS_OF(s)}, f, g)
    #define mean_over_rows(s, f, g) reduce_loss(&(Loss){LOSS_OF(s), NUMBERS_OF(s), .of_rows = 1}, f, g)
    """
    int mean_over_numbers(const TargetLoss *s, LossFormula f, LossFormula g) noexcept nogil
    int mean_over_rows(const TargetLoss *s, LossFormula f, LossFormula g) noexcept nogil

# Of losses that are few lines beside their formulas: a loop of their own, in one body for all
cdef extern from *:
    """
    #define numbers_by_loop(s) reduce_looped(&(Loss){LOSS_OF(s), NUMBERS_OF(s)}, (s)->loop)
    #define rows_by_loop(s) reduce_looped(&(Loss){LOSS_OF(s), NUMBERS_OF(s), .of_rows = 1}, (s)->loop)
    """
    int numbers_by_loop(const TargetLoss *s) noexcept nogil
    int rows_by_loop(const TargetLoss *s) noexcept nogil

cdef int loss_of_numbers_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return numbers_by_loop(<const TargetLoss *> call.payload)

cdef int loss_of_rows_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return rows_by_loop(<const TargetLoss *> call.payload)

# What adds losses that rows have left, as the bodies do
cdef int add_numbers(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return add_kept(call, False) if begin < end else 0

cdef int add_numbers_of_rows(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return add_kept(call, True) if begin < end else 0

cdef int add_kept(const Call *call, bint of_rows) noexcept nogil:
    cdef const AnyLoss *s = <const AnyLoss *> call.payload
    cdef double no_number = 0
    cdef TargetLoss kept
    memset(&kept, 0, sizeof(kept))
    kept.y = kept.t = <const real *> call.sums
    kept.value, kept.total, kept.a, kept.b, kept.loop = s.value, s.total, &no_number, &no_number, copy_losses
    kept.rows = kept.parts = call.rows
    kept.n = (<const Py_ssize_t *> call.payload)[blocks_of(call).rows + 1]
    return rows_by_loop(&kept) if of_rows else numbers_by_loop(&kept)

cdef Py_ssize_t check_weights(str kernel, Call *call) except -1:
    return divide_target_loss(kernel, call, sizeof(real), 0, add_numbers)

cdef Py_ssize_t check_weights_of_rows(str kernel, Call *call) except -1:
    return divide_target_loss(kernel, call, sizeof(real), 0, add_numbers_of_rows)

# Of a body that adds losses of rows in double
cdef Py_ssize_t check_weights_of_doubles(str kernel, Call *call) except -1:
    return divide_target_loss(kernel, call, sizeof(real), sizeof(double), add_rows)

# Where a row has one loss that no number of it has a share in
cdef Py_ssize_t check_row_weights(str kernel, Call *call) except -1:
    cdef const TargetLoss *s = <const TargetLoss *> call.payload
    if s.weight is not NULL and s.m != 1:
        return refuse(kernel, "weight has shape ({0}, {1}), expected ({0}, 1): of rows", s.rows, s.m)
    return divide_target_loss(kernel, call, sizeof(real), 0, NULL)

# `of_rows`: whether a row has one loss. `more`: what follows by its name, of a body with a struct of its own.
cdef int declare_loss(
    str name, str summary, Body body, str a, str b, bint of_rows, str more, size_t payload_bytes, Prepare check,
    LossLoop loop=NULL,
) except -1:
    each = "(rows)" if of_rows else "(rows, n)"
    text = f"""{name}(y: in (rows, n), t: in (rows, n), weight: in (rows, m) | None, dy: out (rows, n) | None,
        value: out float64 (1), {a}, {b}, *, each: out {each} | None = None, total: flag = False{more})\n\n{summary}"""
    # one that has no loop needs the place where it would stand
    kernel(text, body, payload_bytes, check, <const void *> loop if loop is not NULL else <const void *> body, 2)
    return 0

# A loss of numbers; of rows that are sums over their numbers; and of whole rows, whose numbers have no weights.
cdef int target_loss(str name, str summary, Body body, str a="a: absent", str b="b: absent") except -1:
    return declare_loss(name, summary, body, a, b, False, "", sizeof(TargetLoss), check_weights)

cdef int summed_loss(
    str name, str summary, Body body, str a="a: absent", str b="b: absent", Prepare check=check_weights_of_rows
) except -1:
    return declare_loss(name, summary, body, a, b, True, "", sizeof(TargetLoss), check)

cdef int row_loss(str name, str summary, Body body, str a="a: absent", str b="b: absent") except -1:
    return declare_loss(name, summary, body, a, b, True, "", sizeof(TargetLoss), check_row_weights)

# By a loop
cdef int numbers_looped(str name, str summary, LossLoop loop, str a="a: absent", str b="b: absent") except -1:
    return declare_loss(name, summary, loss_of_numbers_body, a, b, False, "", sizeof(TargetLoss), check_weights, loop)

cdef int rows_looped(str name, str summary, LossLoop loop, str a="a: absent", str b="b: absent") except -1:
    return declare_loss(
        name, summary, loss_of_rows_body, a, b, True, "", sizeof(TargetLoss), check_weights_of_rows, loop
    )


# Of all losses whose targets are labels
cdef struct LabelLoss:
    Input y
    Labels t
    Input weight
    Output dy
    double *value
    Number a, b
    Output each
    size_t total
    Py_ssize_t rows, n, parts
    double *own

cdef Py_ssize_t check_labels(str kernel, Call *call) except -1:
    cdef LabelLoss *s = <LabelLoss *> call.payload
    check_labels_of(kernel, s.t, s.weight, s.rows, s.n)
    divide_loss(call, &s.rows, &s.parts, sizeof(real), sizeof(int64_t), 1, sizeof(double), add_rows)
    return 1

cdef Py_ssize_t check_labels_of(str kernel, Labels t, Input weight, Py_ssize_t rows, Py_ssize_t n) except -1:
    cdef Py_ssize_t i
    for i in range(rows):
        if not 0 <= t[i] < n and weight_of(weight, rows, i) != 0:
            return refuse(kernel, "t[{}] is {}, expected a label from 0 to {}", i, t[i], n - 1)
    return 1

cdef int label_loss(str name, str summary, Body body, str a="a: absent", str b="b: absent") except -1:
    text = f"""{name}(y: in (rows, n), t: in int64 (rows), weight: in (rows, 1) | None, dy: out (rows, n) | None,
        value: out float64 (1), {a}, {b}, *, each: out (rows) | None = None, total: flag = False)\n\n{summary}"""
    kernel(text, body, sizeof(LabelLoss), check_labels, NULL, 2)
    return 0

# of a row, 1 where there are none
cdef inline double weight_of(const real *weight, Py_ssize_t rows, Py_ssize_t i) noexcept nogil:
    cdef const real[::1] weights = input_vector(weight, rows)
    return weights[i] if weight is not NULL else 1


# Of several losses
cdef struct AddLoss:
    const double *part
    double *total
    Number weight
    size_t first

cdef int add_loss_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const AddLoss *s = <const AddLoss *> call.payload
    cdef double before = 0 if s.first else s.total[0]
    s.total[0] = before + s.weight[0] * s.part[0]
    return 0

kernel("""add_loss(part: in float64 (1), total: inout float64 (1), weight: cell = 1.0 >= 0, first: flag = False)

    total = weight * part, added to what it was unless this is the first.
    """, add_loss_body, sizeof(AddLoss))


# Of the rows of one batch
cdef struct ShareWeights:
    Output weight
    Number mean
    double *share
    Py_ssize_t rows, n

cdef int share_weights_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ShareWeights *s = <const ShareWeights *> call.payload
    cdef real[::1] weight = vector(s.weight, s.rows * s.n)
    cdef double total = sum_double(s.weight, s.rows * s.n) / s.n
    cdef real factor = <real> (s.mean[0] * s.rows / total)
    cdef Py_ssize_t i
    s.share[0] = 1 / total
    for i in range(s.rows * s.n):
        weight[i] = factor * weight[i]
    return 0

kernel("""share_weights(weight: inout (rows, n), mean: cell, share: out float64 (1))

    weight times what makes its mean this one, and share = n / sum(weight), of the weights as they come.
    """, share_weights_body, sizeof(ShareWeights))

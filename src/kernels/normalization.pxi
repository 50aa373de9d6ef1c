# Normalization: of each column over the rows of a batch, or of each row by itself, then y = xhat * scale + shift;
# x, y, dy, dx (rows, n), scale, shift, dscale, dshift (n). dx may be dy.
#
# Units of what sums over rows: UNIT columns. The rows are the loop outside, and vectors run along the columns, COLUMNS
# of them at a time, so that their sums stay in the first-level cache; each column's sum runs in the order of the rows,
# of so many at a time as sum_blocks.pxi says.

cdef extern from "math/loops.h":
    double sum_double(const real *x, Py_ssize_t n) noexcept nogil

cdef extern from "math/normalization.h":
    void column_gradients(
        const real *x, const real *dy, const real *mean, const real *factor, const real *shift, const real *slope,
        real *dx, Py_ssize_t n
    ) noexcept nogil
    void add_normalized_columns(
        const real *x, const real *dy, const real *mean, const real *inverse, real *total, real *products, Py_ssize_t n
    ) noexcept nogil
    void add_scaled_columns(
        const real *x, const real *dy, const real *factor, real *dx, real *total, real *products, Py_ssize_t n
    ) noexcept nogil
    double sum_centered_squares(const real *x, Py_ssize_t n, real center) noexcept nogil
    void sum_row_gradients(
        const real *x, const real *dy, const real *scale, Py_ssize_t n, real mean, real inverse, real *sum,
        real *product
    ) noexcept nogil
    void row_gradients(
        const real *x, const real *dy, const real *scale, real *dx, Py_ssize_t n, real mean, real factor, real shift,
        real slope
    ) noexcept nogil


cdef enum:
    UNIT = 16           # columns: in fewer, threads would read the same cache lines; sum_blocks.pxi knows of it
    COLUMNS = 128       # of what is summed at a time
    WIDE_COLUMNS = 512  # where there is little else: rows of wide arrays lie in pages of their own

cdef void divide_columns(Call *call, Py_ssize_t rows, Py_ssize_t n, double nanoseconds) noexcept:
    """So many nanoseconds for each element."""
    call.units = (n + UNIT - 1) // UNIT
    call_divide(call, nanoseconds * rows * UNIT)


cdef inline bint given(Py_ssize_t are_given) noexcept nogil:
    return sizeof(real) < sizeof(double) and are_given

cdef struct BatchNormForward:
    Input x, scale, shift
    Output y, mean, variance
    Number eps
    Py_ssize_t rows, n, are_given

cdef int batch_norm_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BatchNormForward *s = <const BatchNormForward *> call.payload
    cdef const real[:, ::1] x = input_matrix(s.x, s.rows, s.n)
    cdef const real[::1] scale = input_vector(s.scale, s.n), shift = input_vector(s.shift, s.n)
    cdef real[:, ::1] y = matrix(s.y, s.rows, s.n)
    cdef real[::1] mean = vector(s.mean, s.n), variance = vector(s.variance, s.n)
    cdef real[COLUMNS] total, squares, center, factor
    cdef real count = <real> max(s.rows, 1), eps = <real> s.eps[0], d
    cdef Py_ssize_t at = begin * UNIT, behind = min(end * UNIT, s.n), n, i, j
    while at < behind:
        n = min(<Py_ssize_t> COLUMNS, behind - at)
        if given(s.are_given):
            memcpy(center, s.mean + at, n * sizeof(real))
        else:
            memset(total, 0, sizeof(total))
            for i in range(s.rows):
                for j in range(n):
                    total[j] += x[i, at + j]
            for j in range(n):
                center[j] = total[j] / count
            memset(total, 0, sizeof(total))
            memset(squares, 0, sizeof(squares))
            for i in range(s.rows):
                for j in range(n):
                    d = x[i, at + j] - center[j]
                    total[j] += d
                    squares[j] += d * d
            # The mean of what is left corrects that of large numbers, whose sum was rounded, and the squares about it.
            for j in range(n):
                d = total[j] / count
                d = d if d - d == 0 else 0      # of an infinite mean
                center[j] += d
                mean[at + j] = center[j]
                d = squares[j] / count - d * d
                variance[at + j] = 0 if d < 0 else d
        if s.y is not NULL:
            for j in range(n):
                factor[j] = scale[at + j] / square_root(variance[at + j] + eps)
            for i in range(s.rows):
                for j in range(n):
                    y[i, at + j] = real_fma(x[i, at + j] - center[j], factor[j], shift[at + j])
        at += n
    return 0

cdef Py_ssize_t prepare_batch_norm_forward(str kernel, Call *call) except -1:
    cdef BatchNormForward *s = <BatchNormForward *> call.payload
    s.are_given = False
    divide_columns(call, s.rows, s.n, 0.5)
    return 1

# Ioffe & Szegedy 2015.
kernel("""batch_norm_forward(x: in (rows, n), scale: in (n), shift: in (n), y: out (rows, n), mean: out (n),
    variance: out (n), eps: cell = 1e-5 > 0), moments first

    y = (x - mean) / sqrt(variance + eps) * scale + shift, with the mean and the variance of each column over the rows
    (the biased one: the mean of (x - mean)^2).
    """, batch_norm_forward_body, sizeof(BatchNormForward), prepare_batch_norm_forward, NULL, 1)


cdef struct BatchNormBackward:
    Input x, dy, scale, mean, variance
    Output dx, dscale, dshift
    Number eps
    Py_ssize_t rows, n, are_given

cdef int batch_norm_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BatchNormBackward *s = <const BatchNormBackward *> call.payload
    cdef const real[::1] scale = input_vector(s.scale, s.n), variance = input_vector(s.variance, s.n)
    cdef real[::1] dscale = vector(s.dscale, s.n), dshift = vector(s.dshift, s.n)
    cdef real[COLUMNS] total, products, inverse, factor, shift, slope
    cdef real count = <real> max(s.rows, 1), eps = <real> s.eps[0]
    cdef Py_ssize_t at = begin * UNIT, behind = min(end * UNIT, s.n), n, i, j
    while at < behind:
        n = min(<Py_ssize_t> COLUMNS, behind - at)
        for j in range(n):
            inverse[j] = <real> 1 / square_root(variance[at + j] + eps)
        if given(s.are_given):
            memcpy(total, s.dshift + at, n * sizeof(real))
            memcpy(products, s.dscale + at, n * sizeof(real))
        else:
            memset(total, 0, sizeof(total))
            memset(products, 0, sizeof(products))
            for i in range(s.rows):
                add_normalized_columns(
                    s.x + i * s.n + at, s.dy + i * s.n + at, s.mean + at, inverse, total, products, n
                )
        for j in range(n):
            dshift[at + j] = total[j]
            dscale[at + j] = products[j]
            factor[j] = scale[at + j] * inverse[j]
            shift[j] = total[j] / count
            slope[j] = products[j] / count * inverse[j]
        if s.dx is not NULL:
            for i in range(s.rows):
                column_gradients(
                    s.x + i * s.n + at, s.dy + i * s.n + at, s.mean + at, factor, shift, slope, s.dx + i * s.n + at, n
                )
        at += n
    return 0

cdef Py_ssize_t prepare_batch_norm_backward(str kernel, Call *call) except -1:
    cdef BatchNormBackward *s = <BatchNormBackward *> call.payload
    s.are_given = False
    divide_columns(call, s.rows, s.n, 0.7)
    return 1

kernel("""batch_norm_backward(x: in (rows, n), dy: in (rows, n), scale: in (n), mean: in (n), variance: in (n),
    dx: out (rows, n) | dy | None, dscale: out (n), dshift: out (n), eps: cell = 1e-5 > 0), sums first

    dshift = sum(dy), dscale = sum(dy * xhat), each over the rows, xhat = (x - mean) / sqrt(variance + eps), and
    dx = scale / sqrt(variance + eps) * (dy - dshift / rows - xhat * dscale / rows).
    """, batch_norm_backward_body, sizeof(BatchNormBackward), prepare_batch_norm_backward, NULL, 1)


cdef struct BatchNormFactors:
    Input scale, shift, mean, variance
    Output factor, offset
    Number eps
    Py_ssize_t n

cdef int batch_norm_factors_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BatchNormFactors *s = <const BatchNormFactors *> call.payload
    cdef const real[::1] scale = input_vector(s.scale, s.n), shift = input_vector(s.shift, s.n)
    cdef const real[::1] mean = input_vector(s.mean, s.n), variance = input_vector(s.variance, s.n)
    cdef real[::1] factor = vector(s.factor, s.n), offset = vector(s.offset, s.n)
    cdef real eps = <real> s.eps[0], f
    cdef Py_ssize_t j
    for j in range(begin, end):
        factor[j] = f = scale[j] / square_root(variance[j] + eps)
        offset[j] = real_fma(-mean[j], f, shift[j])
    return 0

kernel("""batch_norm_factors(scale: in (n), shift: in (n), mean: in (n), variance: in (n), factor: out (n),
    offset: out (n), eps: cell = 1e-5 > 0) -> n: 1

    factor = scale / sqrt(variance + eps), offset = shift - mean * factor: with a mean and a variance that are given,
    y = x * factor + offset.
    """, batch_norm_factors_body, sizeof(BatchNormFactors))


cdef struct BatchNormAverages:
    Output mean, variance
    Input batch_mean, batch_variance
    Number momentum, rows
    Py_ssize_t n

cdef int batch_norm_averages_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const BatchNormAverages *s = <const BatchNormAverages *> call.payload
    cdef real[::1] mean = vector(s.mean, s.n), variance = vector(s.variance, s.n)
    cdef const real[::1] batch_mean = input_vector(s.batch_mean, s.n)
    cdef const real[::1] batch_variance = input_vector(s.batch_variance, s.n)
    cdef double rows = s.rows[0]
    cdef real momentum = <real> s.momentum[0], unbiased = <real> (rows / (rows - 1) if rows > 1 else 1.0)
    cdef real of_variance = momentum if rows > 1 else 0     # a single row says nothing of it
    cdef Py_ssize_t j
    for j in range(begin, end):
        mean[j] += momentum * (batch_mean[j] - mean[j])
        variance[j] += of_variance * (unbiased * batch_variance[j] - variance[j])
    return 0

kernel("""batch_norm_averages(mean: inout (n), variance: inout (n), batch_mean: in (n), batch_variance: in (n),
    momentum: cell = 0.1 >= 0 <= 1, rows: cell = 1.0 >= 0) -> n: 1, updates

    mean += momentum * (batch_mean - mean), variance += momentum * (batch_variance * rows / (rows - 1) - variance).

    The variance of a batch of so many rows is the biased one. A single row leaves the average of variances as it is.
    """, batch_norm_averages_body, sizeof(BatchNormAverages))


cdef inline real scaled(real x, real factor, real same) noexcept nogil:
    return x * factor

cdef inline real shifted(real x, real offset, real same) noexcept nogil:
    return x + offset

cdef struct ScaleColumns:
    Input x, factor, offset
    Output y
    Py_ssize_t rows, n

cdef int scale_columns_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ScaleColumns *s = <const ScaleColumns *> call.payload
    cdef Rectangle shape = Rectangle(end - begin, s.n, s.n)
    cdef const real *x = s.x + begin * s.n
    cdef real *y = s.y + begin * s.n
    if s.factor is not NULL and s.offset is not NULL:
        map_columns(x, s.factor, s.offset, y, shape, scaled_and_shifted)
    elif s.factor is not NULL:
        map_columns(x, s.factor, s.factor, y, shape, scaled)
    elif s.offset is not NULL:
        map_columns(x, s.offset, s.offset, y, shape, shifted)
    elif x != y:
        memcpy(y, x, (end - begin) * s.n * sizeof(real))
    return 0

kernel("""scale_columns(x: in (rows, n), factor: in (n) | None, offset: in (n) | None, y: out (rows, n) | x)
    -> rows: 0.3 n

    y = x * factor + offset, which have a number for each column; without them 1 and 0.
    """, scale_columns_body, sizeof(ScaleColumns))


cdef struct ScaleColumnsBackward:
    Input x, dy, factor
    Output dx, dfactor, doffset
    Py_ssize_t rows, n

cdef int scale_columns_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ScaleColumnsBackward *s = <const ScaleColumnsBackward *> call.payload
    cdef real[WIDE_COLUMNS] total, products
    cdef Py_ssize_t at = begin * UNIT, behind = min(end * UNIT, s.n), n, i, row
    while at < behind:
        n = min(<Py_ssize_t> WIDE_COLUMNS, behind - at)
        memset(total, 0, sizeof(total))
        memset(products, 0, sizeof(products))
        for i in range(s.rows):
            row = i * s.n + at
            add_scaled_columns(
                s.x + row, s.dy + row, s.factor + at, s.dx + row if s.dx is not NULL else NULL, total, products, n
            )
        memcpy(s.dfactor + at, products, n * sizeof(real))
        if s.doffset is not NULL:
            memcpy(s.doffset + at, total, n * sizeof(real))
        at += n
    return 0

cdef Py_ssize_t prepare_scale_columns_backward(str kernel, Call *call) except -1:
    cdef const ScaleColumnsBackward *s = <const ScaleColumnsBackward *> call.payload
    divide_columns(call, s.rows, s.n, 0.4)
    return 1

kernel("""scale_columns_backward(x: in (rows, n), dy: in (rows, n), factor: in (n), dx: out (rows, n) | dy | None,
    dfactor: out (n), doffset: out (n) | None), sums

    dx = dy * factor, dfactor = sum(dy * x), doffset = sum(dy), sums over the rows.
    """, scale_columns_backward_body, sizeof(ScaleColumnsBackward), prepare_scale_columns_backward)


cdef struct LayerNormForward:
    Input x, scale, shift
    Output y, mean, inverse
    Number eps
    Py_ssize_t rows, n

cdef int layer_norm_forward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LayerNormForward *s = <const LayerNormForward *> call.payload
    cdef const real[:, ::1] x = input_matrix(s.x, s.rows, s.n)
    cdef const real[::1] scale = input_vector(s.scale, s.n), shift = input_vector(s.shift, s.n)
    cdef real[:, ::1] y = matrix(s.y, s.rows, s.n)
    cdef real[::1] means = vector(s.mean, s.rows), inverses = vector(s.inverse, s.rows)
    cdef double count = max(s.n, 1)
    cdef real mean = 0, inverse
    cdef Py_ssize_t i, j
    for i in range(begin, end):
        if s.mean is not NULL:
            means[i] = mean = <real> (sum_double(s.x + i * s.n, s.n) / count)
        inverses[i] = inverse = <real> (1 / sqrt(sum_centered_squares(s.x + i * s.n, s.n, mean) / count + s.eps[0]))
        if s.shift is not NULL:
            for j in range(s.n):
                y[i, j] = real_fma((x[i, j] - mean) * inverse, scale[j], shift[j])
        else:
            for j in range(s.n):
                y[i, j] = (x[i, j] - mean) * inverse * scale[j]
    return 0

# Ba, Kiros & Hinton 2016; without a mean, Zhang & Sennrich 2019.
kernel("""layer_norm_forward(x: in (rows, n), scale: in (n), shift: in (n) | None, y: out (rows, n),
    mean: out (rows) | None, inverse: out (rows), eps: cell = 1e-5 > 0) -> rows: 0.5 n

    y = (x - mean) * inverse * scale + shift, inverse = 1 / sqrt(variance + eps), with the mean and the variance of each
    row (the mean of (x - mean)^2). Without a mean or a shift, these are 0: RMS norm.
    """, layer_norm_forward_body, sizeof(LayerNormForward))


cdef struct LayerNormBackward:
    Input x, dy, scale, mean, inverse
    Output dx
    Py_ssize_t rows, n

cdef int layer_norm_backward_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const LayerNormBackward *s = <const LayerNormBackward *> call.payload
    cdef const real[::1] means = input_vector(s.mean, s.rows), inverses = input_vector(s.inverse, s.rows)
    cdef real count = <real> max(s.n, 1), total, product, inverse, mean = 0
    cdef Py_ssize_t i, at
    for i in range(begin, end):
        at, inverse = i * s.n, inverses[i]
        if s.mean is not NULL:
            mean = means[i]
        sum_row_gradients(s.x + at, s.dy + at, s.scale, s.n, mean, inverse, &total, &product)
        if s.mean is NULL:
            total = 0
        row_gradients(
            s.x + at, s.dy + at, s.scale, s.dx + at, s.n, mean, inverse, total / count, product / count * inverse,
        )
    return 0

kernel("""layer_norm_backward(x: in (rows, n), dy: in (rows, n), scale: in (n), mean: in (rows) | None,
    inverse: in (rows), dx: out (rows, n) | dy) -> rows: 0.5 n

    dx = inverse * (g - mean(g) - xhat * mean(g * xhat)), g = dy * scale, xhat = (x - mean) * inverse, means over a row;
    without a mean, dx = inverse * (g - xhat * mean(g * xhat)), xhat = x * inverse.

    scale_columns_gradients needs dy, too: where dx is dy, it comes first.
    """, layer_norm_backward_body, sizeof(LayerNormBackward))


cdef struct ScaleColumnsGradients:
    Input x, dy, mean, inverse
    Output dscale, dshift
    Py_ssize_t rows, n

cdef int scale_columns_gradients_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ScaleColumnsGradients *s = <const ScaleColumnsGradients *> call.payload
    cdef const real[:, ::1] x = input_matrix(s.x, s.rows, s.n), dy = input_matrix(s.dy, s.rows, s.n)
    cdef const real[::1] means = input_vector(s.mean, s.rows), inverses = input_vector(s.inverse, s.rows)
    cdef real[COLUMNS] total, products
    cdef real mean = 0, inverse = 1
    cdef Py_ssize_t at = begin * UNIT, behind = min(end * UNIT, s.n), n, i, j
    while at < behind:
        n = min(<Py_ssize_t> COLUMNS, behind - at)
        memset(total, 0, sizeof(total))
        memset(products, 0, sizeof(products))
        for i in range(s.rows):
            if s.mean is not NULL:
                mean = means[i]
            if s.inverse is not NULL:
                inverse = inverses[i]
            for j in range(n):
                total[j] += dy[i, at + j]
                products[j] += dy[i, at + j] * ((x[i, at + j] - mean) * inverse)
        if s.dshift is not NULL:
            memcpy(s.dshift + at, total, n * sizeof(real))
        if s.dscale is not NULL:
            memcpy(s.dscale + at, products, n * sizeof(real))
        at += n
    return 0

cdef Py_ssize_t prepare_scale_columns_gradients(str kernel, Call *call) except -1:
    cdef const ScaleColumnsGradients *s = <const ScaleColumnsGradients *> call.payload
    divide_columns(call, s.rows, s.n, 0.3)
    return 1

kernel("""scale_columns_gradients(x: in (rows, n), dy: in (rows, n), mean: in (rows) | None, inverse: in (rows) | None,
    dscale: out (n) | None, dshift: out (n) | None), sums

    dshift = sum(dy), dscale = sum(dy * xhat), each over the rows, xhat = (x - mean) * inverse, where no mean is 0 and
    no inverse 1.

    It comes before a layer_norm_backward that overwrites dy.
    """, scale_columns_gradients_body, sizeof(ScaleColumnsGradients), prepare_scale_columns_gradients)

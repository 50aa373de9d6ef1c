# Losses that look at more than one number of a row: mean and variance, several quantiles, all classes, direction.

cdef extern from "math/losses.h":
    enum:
        PIECE
    ctypedef struct Loss:
        Input t, weight
        Output each
        Py_ssize_t rows, n, m
    ctypedef struct LossPiece:
        Py_ssize_t begin, length
        Input t, weight
        real *losses
    void before_piece(const Loss *s, LossPiece *p) noexcept nogil
    void after_piece(const Loss *s, LossPiece *p) noexcept nogil
    void weigh(real *x, const real *weight, Py_ssize_t n) noexcept nogil

cdef extern from "math/loops.h":
    double sum_double(const real *x, Py_ssize_t n) noexcept nogil
    double sum_squares(const real *x, Py_ssize_t n) noexcept nogil
    double sum_pairs_double(
        const real *x, const real *y, Py_ssize_t n, real alpha, PairFormula f
    ) noexcept nogil

cdef inline real difference_(real x, real y, real alpha) noexcept nogil:
    return x - y

cdef inline real product_of(real x, real y, real alpha) noexcept nogil:
    return x * y


# The logarithm of a normal density, its sign changed (Nix and Weigend 1994). A row of y is n means, then n variances.
cdef struct GaussianLoss:
    Input y, t, weight
    Output dy
    double *value
    Number eps
    size_t full, log_variance
    Output each
    size_t total
    Py_ssize_t rows, columns, n, m, of_each

cdef inline real reciprocal_(real x, real alpha) noexcept nogil:
    return <real> 1 / x

cdef inline real exp_of_minus(real x, real alpha) noexcept nogil:
    return real_exp(-x)

cdef inline real at_least_(real x, real least) noexcept nogil:
    return least if x < least else x

cdef inline real half_of_sum(real log_variance, real square, real constant) noexcept nogil:
    return <real> 0.5 * (log_variance + square) + constant

cdef inline real half_of_rest(real square, real factor) noexcept nogil:
    return <real> 0.5 * factor * (<real> 1 - square)

# Two columns of y, as many numbers as t has in a row apart, to buffers, or the buffers to the columns of dy
cdef inline void take_halves(
    const real *y, Py_ssize_t n, Py_ssize_t at, Py_ssize_t length, real *a, real *b
) noexcept nogil:
    cdef Py_ssize_t i, column = at % n
    y += at // n * 2 * n
    for i in range(length):
        a[i] = y[column]
        b[i] = y[n + column]
        column += 1
        if column == n:
            y += 2 * n
            column = 0

cdef inline void put_halves(
    real *dy, Py_ssize_t n, Py_ssize_t at, Py_ssize_t length, const real *a, const real *b
) noexcept nogil:
    cdef Py_ssize_t i, column = at % n
    dy += at // n * 2 * n
    for i in range(length):
        dy[column] = a[i]
        dy[n + column] = b[i]
        column += 1
        if column == n:
            dy += 2 * n
            column = 0

cdef int gaussian_nll_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GaussianLoss *s = <const GaussianLoss *> call.payload
    cdef real[PIECE] distance, spread, precision, square
    cdef real *losses
    cdef real *log_variance
    cdef double scale = 1.0 / (1 if s.total else max(s.rows * s.n, 1)), sum_of_losses = 0
    cdef real constant = <real> (0.9189385332046727 if s.full else 0.0)     # log(2 pi) / 2
    cdef Py_ssize_t at = 0, length
    cdef Loss loss
    cdef LossPiece p
    memset(&loss, 0, sizeof(loss))
    loss.t, loss.weight, loss.each, loss.rows, loss.n, loss.m = s.t, s.weight, s.each, s.rows, s.n, s.m
    while at < s.rows * s.n:
        length = min(s.rows * s.n - at, <Py_ssize_t> PIECE)
        p.begin, p.length, p.t, p.weight = at, length, s.t + at, NULL
        before_piece(&loss, &p)
        losses = p.losses
        take_halves(s.y, s.n, at, length, distance, spread)
        map_pairs(distance, s.t + at, distance, length, 0, difference_)
        if s.log_variance:
            log_variance = spread
            map(spread, precision, length, 0, exp_of_minus)
        else:
            log_variance = losses
            map(spread, spread, length, <real> s.eps[0], at_least_)
            map(spread, losses, length, 0, log_)
            map(spread, precision, length, 0, reciprocal_)
        map_pairs(distance, distance, square, length, 0, product_of)
        map_pairs(square, precision, square, length, 0, product_of)
        map_pairs(log_variance, square, losses, length, constant, half_of_sum)
        map_pairs(distance, precision, distance, length, 0, product_of)         # the derivative by the mean
        map(distance, distance, length, <real> scale, scaled_)
        map(square, spread, length, <real> scale, half_of_rest)                 # that by the logarithm of the variance
        if not s.log_variance:
            map_pairs(spread, precision, spread, length, 0, product_of)
        after_piece(&loss, &p)
        if s.weight is not NULL:
            weigh(distance, p.weight, length)
            weigh(spread, p.weight, length)
        if s.dy is not NULL:
            put_halves(s.dy, s.n, at, length, distance, spread)
        sum_of_losses += sum_double(losses, length)
        at += length
    s.value[0] = scale * sum_of_losses if s.rows > 0 else 0
    return 0

cdef Py_ssize_t check_halves(str kernel, Call *call) except -1:
    cdef const GaussianLoss *s = <const GaussianLoss *> call.payload
    if s.columns % 2:
        return refuse(kernel, "y has {} columns, expected as many means as variances", s.columns)
    if s.columns != 2 * s.n:
        return refuse(kernel, "t has {} columns, expected {}, as y has means and variances", s.n, s.columns // 2)
    if s.each is not NULL and s.of_each != s.n:
        return refuse(kernel, "each has {} columns, expected {} as t has", s.of_each, s.n)
    if s.weight is not NULL:
        check_numbers_or_rows(kernel, s.rows, s.m, s.n)
    return 1

kernel("""gaussian_nll(y: in (rows, columns), t: in (rows, n), weight: in (rows, m) | None,
    dy: out (rows, columns) | None, value: out float64 (1), eps: cell = 1e-6 > 0, *, full: flag = False,
    log_variance: flag = False, each: out (rows, of_each) | None = None, total: flag = False)

    The mean of (log(v) + (m - t)^2 / v) / 2, y = means m, then as many variances v, not less than eps, or log(v).
    With `full` plus log(2 pi) / 2.
    """, gaussian_nll_body, sizeof(GaussianLoss), check_halves)


# Several quantiles of each target, one beside the other. Where one is below the last, `crossing` times the difference.
cdef struct QuantilesLoss:
    Input y, t, weight
    Output dy
    double *value
    const double *q
    Number crossing
    Output each
    size_t total
    Py_ssize_t rows, n, m, k

cdef inline real pinball_(real difference, real q, real alpha) noexcept nogil:
    cdef real below = -q * difference, above = (<real> 1 - q) * difference
    return below if difference < 0 else above

cdef inline real pinball_slope(real difference, real q, real factor) noexcept nogil:
    return factor * (<real> 1 - q if difference > 0 else -q if difference < 0 else difference)      # 0, or NaN

cdef inline real crossing_(real previous, real y, real crossing) noexcept nogil:
    cdef real over = previous - y
    return crossing * (over if over > 0 else <real> 0)

cdef inline real crossing_slope(real previous, real y, real slope) noexcept nogil:
    return slope if previous - y > 0 else <real> 0

cdef inline real total_(real x, real y, real alpha) noexcept nogil:
    return x + y

cdef int quantiles_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const QuantilesLoss *s = <const QuantilesLoss *> call.payload
    cdef real[PIECE] q, previous, slopes, over
    cdef real *losses
    cdef const real *y
    cdef double scale = 1.0 / (1 if s.total else max(s.rows * s.n, 1)), sum_of_losses = 0
    cdef Py_ssize_t at = 0, length, i, level
    cdef Loss loss
    cdef LossPiece p
    memset(&loss, 0, sizeof(loss))
    loss.t, loss.weight, loss.each, loss.rows, loss.n, loss.m = s.t, s.weight, s.each, s.rows, s.n, s.m
    while at < s.rows * s.n:
        length = min(s.rows * s.n - at, <Py_ssize_t> PIECE)
        p.begin, p.length, p.t, p.weight = at, length, s.t + at, NULL
        before_piece(&loss, &p)
        losses = p.losses
        y = s.y + at
        level = at % s.k
        for i in range(length):
            q[i] = <real> s.q[level]
            previous[i] = y[i - 1 if level > 0 else i]
            level = level + 1 if level + 1 < s.k else 0
        map_pairs(y, s.t + at, losses, length, 0, difference_)
        map_pairs(losses, q, slopes, length, <real> scale, pinball_slope)
        map_pairs(losses, q, losses, length, 0, pinball_)
        map_pairs(previous, y, over, length, <real> s.crossing[0], crossing_)
        map_pairs(losses, over, losses, length, 0, total_)
        map_pairs(previous, y, over, length, <real> (s.crossing[0] * scale), crossing_slope)
        after_piece(&loss, &p)
        if s.weight is not NULL:
            weigh(slopes, p.weight, length)
            weigh(over, p.weight, length)
        if s.dy is not NULL:
            map_pairs(slopes, over, s.dy + at, length, 0, difference_)
            for i in range(length):
                if over[i] > 0 or over[i] < 0:      # not NaN, whose own loss is NaN
                    s.dy[at + i - 1] += over[i]
        sum_of_losses += sum_double(losses, length)
        at += length
    s.value[0] = scale * sum_of_losses if s.rows > 0 else 0
    return 0

cdef Py_ssize_t check_quantiles(str kernel, Call *call) except -1:
    cdef const QuantilesLoss *s = <const QuantilesLoss *> call.payload
    if s.k == 0 or s.n % s.k:
        return refuse(kernel, "q has {} numbers, expected as many as go into the {} columns of y", s.k, s.n)
    if s.weight is not NULL:
        check_numbers_or_rows(kernel, s.rows, s.m, s.n)
    return 1

kernel("""quantiles(y: in (rows, n), t: in (rows, n), weight: in (rows, m) | None, dy: out (rows, n) | None,
    value: out float64 (1), q: in float64 (k), crossing: cell = 0.0 >= 0, *, each: out (rows, n) | None = None,
    total: flag = False)

    The mean of q_j (t - y) where y < t, else (1 - q_j) (y - t), j = 0 .. k - 1 again and again over a row, plus, in
    the loss of each but the first of k, crossing * max(0, y_(j-1) - y_j).
    """, quantiles_body, sizeof(QuantilesLoss), check_quantiles)


# Weston and Watkins 1999, divided by the number of classes, as PyTorch does.
cdef struct MarginLoss:
    Input y
    Labels t
    Input weight
    Output dy
    double *value
    Number margin
    size_t squared
    Output each
    size_t total
    Py_ssize_t rows, n

cdef inline real shortfall_(real y, real shift) noexcept nogil:
    cdef real short = y + shift
    return <real> 0 if short <= 0 else short

cdef inline real step_(real short, real factor) noexcept nogil:
    return (<real> 0 if short <= 0 else <real> 1) * factor

cdef int multi_margin_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const MarginLoss *s = <const MarginLoss *> call.payload
    cdef real[PIECE] short
    cdef const real *y
    cdef real *dy
    cdef real shift, factor
    cdef double weight, of_row, slopes, scale = 1.0 / (1 if s.total else s.rows), sum_of_losses = 0
    cdef Py_ssize_t i, at, length, label
    for i in range(s.rows):
        weight, label, of_row, slopes = weight_of(s.weight, s.rows, i), s.t[i], 0, 0
        y = s.y + i * s.n
        dy = s.dy + i * s.n if s.dy is not NULL else NULL
        if weight == 0 or label < 0 or label >= s.n:    # labels are checked by whoever records
            of_row = 0 if weight == 0 else NAN
            if dy is not NULL:
                memset(dy, 0, s.n * sizeof(real))
        else:
            shift = <real> s.margin[0] - y[label]
            factor = <real> ((2 if s.squared else 1) * weight * scale / s.n)
            at = 0
            while at < s.n:
                length = min(s.n - at, <Py_ssize_t> PIECE)
                map(y + at, short, length, shift, shortfall_)
                if at <= label < at + length:
                    short[label - at] = 0
                of_row += sum_squares(short, length) if s.squared else sum_double(short, length)
                if dy is not NULL:
                    if s.squared:
                        map(short, dy + at, length, factor, scaled_)
                    else:
                        map(short, dy + at, length, factor, step_)
                    slopes += sum_double(dy + at, length)
                at += length
            of_row = weight * of_row / s.n
            if dy is not NULL:
                dy[label] = <real> -slopes
        if s.each is not NULL:
            s.each[i] = <real> of_row
        sum_of_losses += of_row
    s.value[0] = scale * sum_of_losses if s.rows > 0 else 0
    return 0

cdef Py_ssize_t check_margin_labels(str kernel, Call *call) except -1:
    cdef const MarginLoss *s = <const MarginLoss *> call.payload
    return check_labels_of(kernel, s.t, s.weight, s.rows, s.n)

kernel("""multi_margin(y: in (rows, n), t: in int64 (rows), weight: in (rows, 1) | None, dy: out (rows, n) | None,
    value: out float64 (1), margin: cell = 1.0 > 0, *, squared: flag = False, each: out (rows) | None = None,
    total: flag = False)

    The mean over rows of sum_(j != t) max(0, margin - y_t + y_j) / n, t the row's label; or of squares of these.
    """, multi_margin_body, sizeof(MarginLoss), check_margin_labels)


# A row that is shorter than eps is taken for one of that length, as in PyTorch.
cdef inline real plus_scaled(real y, real sum, real factor) noexcept nogil:
    return real_fma(y, factor, sum)

cdef int cosine_similarity_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const TargetLoss *s = <const TargetLoss *> call.payload
    cdef const real *y
    cdef const real *t
    cdef real *dy
    cdef double length_y, lengths, cosine, weight, of_row, eps = s.a[0]
    cdef double scale = 1.0 / (1 if s.total else s.parts), sum_of_losses = 0
    cdef Py_ssize_t i
    for i in range(s.rows):
        weight, of_row = weight_of(s.weight, s.rows, i), 0
        y, t = s.y + i * s.n, s.t + i * s.n
        dy = s.dy + i * s.n if s.dy is not NULL else NULL
        if weight == 0:
            if dy is not NULL:
                memset(dy, 0, s.n * sizeof(real))
        else:
            length_y, lengths = sqrt(sum_squares(y, s.n)), sqrt(sum_squares(t, s.n))
            lengths = (eps if length_y < eps else length_y) * (eps if lengths < eps else lengths)
            cosine = sum_pairs_double(y, t, s.n, 0, product_of) / lengths
            of_row = weight * (1 - cosine)
            if dy is not NULL:      # y / |y| changes across y only
                map(t, dy, s.n, <real> (-weight * scale / lengths), scaled_)
                if length_y >= eps:
                    map_pairs(y, dy, dy, s.n, <real> (weight * scale * cosine / (length_y * length_y)), plus_scaled)
        if s.each is not NULL:
            s.each[i] = <real> of_row
        sum_of_losses += of_row
    s.value[0] = scale * sum_of_losses if s.rows > 0 else 0
    return 0

row_loss(
    "cosine_similarity", "The mean over rows of 1 - y t / (max(|y|, eps) max(|t|, eps)).", cosine_similarity_body,
    "eps: cell = 1e-8 > 0",
)

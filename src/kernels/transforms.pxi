# What is done to gradients, and to parameters beside the step of an optimizer, over flat arrays (n): sums over several
# batches, scales and limits, running averages. Units: elements, where nothing else is said.

cdef extern from "math/loops.h":
    double sum_squares(const real *x, Py_ssize_t n) noexcept nogil
    bint all_finite(const real *x, Py_ssize_t n) noexcept nogil


cdef struct Accumulate:
    Output total
    Input g
    Py_ssize_t n

cdef int accumulate_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Accumulate *s = <const Accumulate *> call.payload
    cdef real[::1] total = vector(s.total, s.n)
    cdef const real[::1] g = input_vector(s.g, s.n)
    cdef Py_ssize_t i
    for i in range(begin, end):
        total[i] += g[i]
    return 0

kernel("""accumulate(total: inout (n), g: in (n)) -> n: 0.2, updates

    total += g.
    """, accumulate_body, sizeof(Accumulate))


cdef struct Scale:
    Output g
    Number factor
    Py_ssize_t n

cdef int scale_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Scale *s = <const Scale *> call.payload
    cdef real[::1] g = vector(s.g, s.n)
    cdef real factor = <real> s.factor[0]
    cdef Py_ssize_t i
    if s.factor[0] == 1:        # as that of a norm within its limit, nearly always
        return 0
    for i in range(begin, end):
        g[i] *= factor
    return 0

kernel("""scale(g: inout (n), factor: cell) -> n: 0.2

    g *= factor; nothing is read or written where the factor is 1.
    """, scale_body, sizeof(Scale))


cdef struct ClipValues:
    Output g
    Number limit
    Py_ssize_t n

cdef int clip_values_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ClipValues *s = <const ClipValues *> call.payload
    cdef real[::1] g = vector(s.g, s.n)
    cdef real limit = <real> s.limit[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        g[i] = limit if g[i] > limit else -limit if g[i] < -limit else g[i]     # so written, a NaN stays
    return 0

kernel("""clip_values(g: inout (n), limit: cell > 0) -> n: 0.2

    g = min(max(g, -limit), limit); a NaN stays.
    """, clip_values_body, sizeof(ClipValues))


# The norm of a gradient in two kernels, so that threads share the first: its sums, over blocks of one length, do not
# depend on how many threads there are. The squares are in double, too: of float32 they would overflow beyond 1.8e19.
cdef enum:
    SQUARES = 4096      # elements of a block

cdef struct BlockSquares:
    Input g
    double *sums
    Py_ssize_t n, blocks

cdef int block_squares_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: blocks
    cdef const BlockSquares *s = <const BlockSquares *> call.payload
    cdef Py_ssize_t i
    for i in range(begin, end):
        s.sums[i] = sum_squares(s.g + i * SQUARES, min(s.n - i * SQUARES, <Py_ssize_t> SQUARES))
    return 0

cdef Py_ssize_t check_blocks_of(str kernel, str sums, Py_ssize_t n, Py_ssize_t blocks) except -1:
    cdef Py_ssize_t expected = (n + SQUARES - 1) // SQUARES
    if blocks != expected:
        text = " has shape ({},), expected ({},), one for each {} of {} numbers"
        return refuse(kernel, sums + text, blocks, expected, SQUARES, n)
    return 1

cdef Py_ssize_t check_blocks(str kernel, Call *call) except -1:
    cdef const BlockSquares *s = <const BlockSquares *> call.payload
    return check_blocks_of(kernel, "sums", s.n, s.blocks)

kernel("""block_squares(g: in (n), sums: out float64 (blocks)) -> blocks: 800

    sums[i] = the sum of g^2 over elements 4096 i to 4096 (i + 1), in double.
    """, block_squares_body, sizeof(BlockSquares), check_blocks)


cdef struct NormFactor:
    const double *sums
    Number limit
    double *norm
    double *factor
    Py_ssize_t blocks

cdef int norm_factor_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const NormFactor *s = <const NormFactor *> call.payload
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(s.blocks):
        total += s.sums[i]
    s.norm[0] = sqrt(total)
    s.factor[0] = s.limit[0] / s.norm[0] if s.norm[0] > s.limit[0] else 1
    return 0 if isfinite(s.norm[0]) else CALL_NOT_FINITE

# Pascanu, Mikolov & Bengio 2013.
kernel("""norm_factor(sums: in float64 (blocks), limit: cell > 0, norm: out float64 (1), factor: out float64 (1))

    norm = sqrt(sum(sums)), factor = min(1, limit / norm): times factor, a gradient whose squares have these sums has
    at most the norm `limit` (Pascanu, Mikolov & Bengio 2013). Stop where the norm is NaN or infinite.
    """, norm_factor_body, sizeof(NormFactor))


cdef struct GuardNumbers:
    Input g
    Py_ssize_t n

cdef int guard_numbers_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const GuardNumbers *s = <const GuardNumbers *> call.payload
    return 0 if all_finite(s.g + begin, end - begin) else CALL_NOT_FINITE

kernel("""guard_numbers(g: in (n)) -> n: 0.2

    Stop where any number of g is NaN or infinite.
    """, guard_numbers_body, sizeof(GuardNumbers), prepare_guard)


cdef struct Clear:
    Output x
    Py_ssize_t n

cdef int clear_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Clear *s = <const Clear *> call.payload
    memset(s.x + begin, 0, (end - begin) * sizeof(real))
    return 0

kernel("""clear(x: out (n)) -> n: 0.1

    x = 0.
    """, clear_body, sizeof(Clear))


cdef struct Approach:
    Output x
    Input y
    Number rate
    Py_ssize_t n

cdef int approach_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Approach *s = <const Approach *> call.payload
    cdef real[::1] x = vector(s.x, s.n)
    cdef const real[::1] y = input_vector(s.y, s.n)
    cdef real rate = <real> s.rate[0]
    cdef Py_ssize_t i
    if s.rate[0] == 0:          # as between two parameters that an average is of
        return 0
    if s.rate[0] == 1:          # x + (y - x) would be rounded
        memcpy(s.x + begin, s.y + begin, (end - begin) * sizeof(real))
        return 0
    for i in range(begin, end):
        x[i] = real_fma(rate, y[i] - x[i], x[i])
    return 0

# Polyak & Juditsky 1992.
kernel("""approach(x: inout (n), y: in (n), rate: cell >= 0 <= 1) -> n: 0.2, updates

    x += rate * (y - x), and x = y where the rate is 1: running averages of parameters, target networks. Where it is 0,
    nothing is read or written.
    """, approach_body, sizeof(Approach))


# The rates of `approach` that make x an average of what y has been in each step.
cdef struct EMARate:
    double *step
    double *rate
    Number decay
    Py_ssize_t corrected

cdef int ema_rate_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const EMARate *s = <const EMARate *> call.payload
    s.step[0] += 1
    s.rate[0] = 1 if s.step[0] == 1 else 1 - s.decay[0]
    if s.corrected:
        s.rate[0] /= 1 if s.step[0] == 1 else 1 - pow(s.decay[0], s.step[0])
    return 0

kernel("""ema_rate(step: inout float64 (1), rate: out float64 (1), decay: cell >= 0 < 1, corrected: flag = False),
    updates

    step += 1; rate = 1 - decay, and 1 in step 1, so that an exponential average begins with what it is of.

    Corrected, rate = (1 - decay) / (1 - decay^step): the weights of an average that began with 0, divided by their sum
    (Kingma & Ba 2015).
    """, ema_rate_body, sizeof(EMARate))


cdef struct SWARate:
    double *step
    double *n
    double *rate
    Number start, every

cdef int swa_rate_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const SWARate *s = <const SWARate *> call.payload
    s.step[0] += 1
    s.rate[0] = 1 if s.n[0] == 0 else 0
    if s.step[0] > s.start[0] and fmod(s.step[0] - s.start[0], s.every[0]) == 0:
        s.n[0] += 1
        s.rate[0] = 1 / s.n[0]
    return 0

kernel("""swa_rate(step: inout float64 (1), n: inout float64 (1), rate: out float64 (1), start: cell >= 0,
    every: cell >= 1), updates

    step += 1. In every so many-th step behind `start`, n += 1 and rate = 1 / n: a mean over these steps (Izmailov et
    al. 2018). In others the rate is 0, and 1 before the first of them.
    """, swa_rate_body, sizeof(SWARate))


cdef struct MultiplyNumbers:
    Number a, b
    double *product

cdef int multiply_numbers_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const MultiplyNumbers *s = <const MultiplyNumbers *> call.payload
    s.product[0] = s.a[0] * s.b[0]
    return 0

kernel("""multiply_numbers(a: cell, b: cell, product: out float64 (1))

    product[0] = a * b.
    """, multiply_numbers_body, sizeof(MultiplyNumbers))


cdef struct Every:
    double *count
    Number k

cdef int every_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Every *s = <const Every *> call.payload
    s.count[0] += 1
    if s.count[0] < s.k[0]:
        return CALL_END
    s.count[0] = 0
    return 0

kernel("""every(count: inout float64 (1), k: cell >= 1), updates

    count[0] += 1. Where that is less than k, a replay ends here, and nothing is wrong; else count[0] = 0, and it goes
    on with the calls behind: they run every k-th time. Without a tape it only counts.
    """, every_body, sizeof(Every))


cdef struct FollowSchedule:
    double *step
    Number first
    const double *table
    double *number
    Py_ssize_t advances, n

cdef int follow_schedule_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const FollowSchedule *s = <const FollowSchedule *> call.payload
    cdef double at
    s.step[0] += s.advances != 0
    at = s.step[0] - s.first[0]
    if at >= 0 and at < s.n and s.table[<Py_ssize_t> at] == s.table[<Py_ssize_t> at]:     # NaN: nobody knows yet
        s.number[0] = s.table[<Py_ssize_t> at]
        return 0
    return 0 if s.advances else CALL_NO_ENTRY

kernel("""follow_schedule(step: inout float64 (1), first: cell, table: in float64 (n), number: out float64 (1),
    advances: flag = False)

    number[0] = table[step[0] - first], with `advances` behind step[0] += 1. Where the table does not reach that far, or
    holds NaN, the number stays; without `advances` it is an error, before anything is computed with it.
    """, follow_schedule_body, sizeof(FollowSchedule))

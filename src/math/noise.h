/* Normal numbers, which follow from (seed, count, row, column) alone, as what dropout keeps does. */
#ifndef FASTNN_NOISE_H
#define FASTNN_NOISE_H

#include "math/dropout.h"
#include "math/elementary.h"

#if FASTNN_DOUBLE
#define NOISE_ROOT sqrt
#else
#define NOISE_ROOT sqrtf
#endif

/* sin(pi v) / v in powers of v^2, |v| <= 1/2; relative error 2^-27.5 and 2^-61.7. */
#if FASTNN_DOUBLE
static const real HALF_TURNS[] = {3.141592653589793,      -5.167712780049969,    2.550164039877294,
                                  -0.5992645293187382,    0.08214588656989281,   -0.007370430478762746,
                                  0.00046629968877016405, -2.1903185407119565e-05, 7.69472715744174e-07};
#else
static const real HALF_TURNS[] = {3.1415927f, -5.16771f, 2.5500698f, -0.5982421f, 0.07756039f};
#endif

/* sqrt(-2 log u) sin(pi v) for u uniform in (0, 1) and v in (-1/2, 1/2) (Box & Muller 1958: a sine over half a turn is
 * distributed as a cosine over a whole one). u has 31 bits, but no more than 24 behind the first that is set, and v
 * has 24: both are exact in float32, so that both dtypes draw the same numbers, to within 4 ULP. u is at least 2^-32:
 * no number is beyond 6.66, where 3 of 10^11 would be. */
ALWAYS_INLINE real normal_of(uint32_t bits, uint32_t other) {
    const int32_t all = (int32_t)(bits >> 1), first = all < 1 << 24 ? all : all & ~0x7f;
    const real u = at_least((real)first, REAL(0.5)) * REAL(0x1p-31);
    const real v = (real)((int32_t)(other >> 8 << 1) + 1 - (1 << 24)) * REAL(0x1p-25);
    return NOISE_ROOT(-2 * log_sum(reduce_log(to_bits(u) + LOG_OFFSET))) * v * POLYNOMIAL(v * v, HALF_TURNS);
}

/* y = f(x, a normal number, amount), for a row; y may be x. The second bits of a column are those of another row
 * key. */
ALWAYS_INLINE void with_noise(const real *x, real *y, ptrdiff_t n, uint64_t row_key, real amount,
                              real (*f)(real, real, real)) {
    const uint64_t next = mixed64(row_key);
    const uint32_t key = (uint32_t)row_key, other = (uint32_t)(row_key >> 32);
    const uint32_t next_key = (uint32_t)next, next_other = (uint32_t)(next >> 32);
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) {
        const uint32_t column = (uint32_t)j;
        y[j] = f(x[j], normal_of(dropout_bits(column, key, other), dropout_bits(column, next_key, next_other)), amount);
    }
}

#endif

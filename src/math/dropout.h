/* Dropout: which elements are kept follows from (seed, count, row, column) alone, so that it needs no memory, is the
 * same forward and backward, and does not depend on who computes which part.
 */
#ifndef FASTNN_DROPOUT_H
#define FASTNN_DROPOUT_H

#include "math/simd.h"

/* The output function of SplitMix64 (Steele, Lea & Flood 2014). */
ALWAYS_INLINE uint64_t mixed64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

#define DROPOUT_STEP 0x9E3779B97F4A7C15u /* of SplitMix64's counter */

/* Of all rows of one call, and of one row. */
ALWAYS_INLINE uint64_t dropout_key(uint64_t seed, uint64_t count) {
    return mixed64(seed + mixed64(count + DROPOUT_STEP));
}
ALWAYS_INLINE uint64_t dropout_row_key(uint64_t key, uint64_t row) { return mixed64(key + (row + 1) * DROPOUT_STEP); }

/* 32 random bits for a column: the mixer of C. Wellons ("Prospecting for hash functions", 2018: x ^= x >> 16,
 * x *= 0x7FEB352D, x ^= x >> 15, x *= 0x846CA68B, x ^= x >> 16), with a key before each multiplication, so that no two
 * rows are the same numbers in another place. All of it has vectors. */
ALWAYS_INLINE uint32_t dropout_bits(uint32_t column, uint32_t key, uint32_t other) {
    uint32_t x = column + key;
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x ^= other;
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    return x ^ (x >> 16);
}

/* y = x * factor where the bits of its column are not below the threshold, else 0; y may be x. */
ALWAYS_INLINE void drop_out(const real *x, real *y, ptrdiff_t n, uint64_t row_key, uint32_t threshold, real factor) {
    const uint32_t key = (uint32_t)row_key, other = (uint32_t)(row_key >> 32);
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) {
        const real kept = x[j] * factor;
        y[j] = dropout_bits((uint32_t)j, key, other) >= threshold ? kept : 0;
    }
}

/* y = x * factor + offset for those, else `dropped`. */
ALWAYS_INLINE void drop_out_to(const real *x, real *y, ptrdiff_t n, uint64_t row_key, uint32_t threshold, real factor,
                               real offset, real dropped) {
    const uint32_t key = (uint32_t)row_key, other = (uint32_t)(row_key >> 32);
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) {
        const real kept = real_fma(x[j], factor, offset);
        y[j] = dropout_bits((uint32_t)j, key, other) >= threshold ? kept : dropped;
    }
}

#endif

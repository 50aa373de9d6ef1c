/* Normalization: what is done to one row, or to some columns of one, where an output may be an input, and sums over a
 * row in a fixed number of lanes.
 */
#ifndef FASTNN_NORMALIZATION_H
#define FASTNN_NORMALIZATION_H

#include "math/loops.h"

/* dx = factor * (dy - shift - (x - mean) * slope), with a number of each for every column; dx may be dy */
ALWAYS_INLINE void column_gradients(const real *x, const real *dy, const real *mean, const real *factor,
                                    const real *shift, const real *slope, real *dx, ptrdiff_t n) {
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) dx[j] = factor[j] * real_fma(mean[j] - x[j], slope[j], dy[j] - shift[j]);
}

/* total += dy and products += dy * (x - mean) * inverse, of n columns of one row */
ALWAYS_INLINE void add_normalized_columns(const real *x, const real *dy, const real *mean, const real *inverse,
                                          real *total, real *products, ptrdiff_t n) {
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) {
        const real d = dy[j];
        total[j] += d;
        products[j] += d * ((x[j] - mean[j]) * inverse[j]);
    }
}

/* total += dy and products += dy * x, of n columns of one row, and, where there is a dx, which may be dy,
 * dx = dy * factor. */
ALWAYS_INLINE void add_scaled_columns(const real *x, const real *dy, const real *factor, real *dx, real *total,
                                      real *products, ptrdiff_t n) {
    INDEPENDENT
    for (ptrdiff_t j = 0; !dx && j < n; j++) {
        total[j] += dy[j];
        products[j] += dy[j] * x[j];
    }
    INDEPENDENT
    for (ptrdiff_t j = 0; dx && j < n; j++) {
        const real d = dy[j];
        total[j] += d;
        products[j] += d * x[j];
        dx[j] = d * factor[j];
    }
}

/* The sum of (x - center)^2 over n elements, in double. */
ALWAYS_INLINE double sum_centered_squares(const real *x, ptrdiff_t n, real center) {
    double lanes[REDUCTION_LANES] = {0}, total = 0;
    ptrdiff_t i = 0;
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        for (int lane = 0; lane < REDUCTION_LANES; lane++) {
            const real d = x[i + lane] - center;
            lanes[lane] += d * d;
        }
    for (int lane = 0; i < n; i++, lane++) {
        const real d = x[i] - center;
        lanes[lane] += d * d;
    }
    for (int lane = 0; lane < REDUCTION_LANES; lane++) total += lanes[lane];
    return total;
}

/* The sums of g = dy * scale, and of g * (x - mean) * inverse, over n elements. The lanes are vectors here, because the
 * compiler makes vectors of the lanes of one sum, but not of two. */
ALWAYS_INLINE void sum_row_gradients(const real *x, const real *dy, const real *scale, ptrdiff_t n, real mean,
                                     real inverse, real *sum, real *product) {
    enum { VECTORS = REDUCTION_LANES / LANES };
    real sums[REDUCTION_LANES], products[REDUCTION_LANES];
    vec sum_of[VECTORS], product_of[VECTORS];
    ptrdiff_t i = 0;
    memset(sum_of, 0, sizeof sum_of);
    memset(product_of, 0, sizeof product_of);
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            const ptrdiff_t at = i + v * LANES;
            const vec g = *(const vec *)(dy + at) * *(const vec *)(scale + at);
            sum_of[v] += g;
            product_of[v] += g * ((*(const vec *)(x + at) - mean) * inverse);
        }
    }
    memcpy(sums, sum_of, sizeof sums);
    memcpy(products, product_of, sizeof products);
    for (int lane = 0; i < n; i++, lane++) {
        const real g = dy[i] * scale[i];
        sums[lane] += g;
        products[lane] += g * ((x[i] - mean) * inverse);
    }
    *sum = *product = 0;
    for (int lane = 0; lane < REDUCTION_LANES; lane++) {
        *sum += sums[lane];
        *product += products[lane];
    }
}

/* dx = factor * (dy * scale - shift - (x - mean) * slope); dx may be dy */
ALWAYS_INLINE void row_gradients(const real *x, const real *dy, const real *scale, real *dx, ptrdiff_t n, real mean,
                                 real factor, real shift, real slope) {
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) dx[j] = factor * real_fma(mean - x[j], slope, dy[j] * scale[j] - shift);
}

#endif

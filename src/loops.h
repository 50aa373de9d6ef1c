/* Loops over elements that the compiler turns into vectors, around a formula that the caller gives as a function.
 *
 * The function is a constant at every call, so that it is inlined. Reductions run in a fixed number of lanes: the
 * compiler may keep them in a vector, and the order of the sum depends on the length alone.
 */
#ifndef FASTNN_LOOPS_H
#define FASTNN_LOOPS_H

#include "simd.h"

#define REDUCTION_LANES 16

/* y = f(x, alpha) for the first elements of the rows [begin, end), which begin `stride` elements apart; y may be x */
ALWAYS_INLINE void map_rows(const void *x, void *y, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t columns, ptrdiff_t stride,
                            double alpha, real (*f)(real, real)) {
    const real *from = (const real *)x + begin * stride;
    real *to = (real *)y + begin * stride, a = (real)alpha;
    ptrdiff_t rows = end - begin;
    if (columns == stride) columns *= rows, rows = 1;
    for (ptrdiff_t row = 0; row < rows; row++, from += stride, to += stride) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < columns; i++) to[i] = f(from[i], a);
    }
}

/* z = f(x, y, alpha), likewise; z may be x or y */
ALWAYS_INLINE void map_pair_rows(const void *x, const void *y, void *z, ptrdiff_t begin, ptrdiff_t end,
                                 ptrdiff_t columns, ptrdiff_t stride, double alpha, real (*f)(real, real, real)) {
    const real *from_x = (const real *)x + begin * stride, *from_y = (const real *)y + begin * stride;
    real *to = (real *)z + begin * stride, a = (real)alpha;
    ptrdiff_t rows = end - begin;
    if (columns == stride) columns *= rows, rows = 1;
    for (ptrdiff_t row = 0; row < rows; row++, from_x += stride, from_y += stride, to += stride) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < columns; i++) to[i] = f(from_x[i], from_y[i], a);
    }
}

/* The same for the elements [begin, end) of one row. */
ALWAYS_INLINE void map(const void *x, void *y, ptrdiff_t begin, ptrdiff_t end, double alpha, real (*f)(real, real)) {
    map_rows(x, y, begin, end, 1, 1, alpha, f);
}

ALWAYS_INLINE void map_pairs(const void *x, const void *y, void *z, ptrdiff_t begin, ptrdiff_t end, double alpha,
                             real (*f)(real, real, real)) {
    map_pair_rows(x, y, z, begin, end, 1, 1, alpha, f);
}

/* The sum of f(x, y) over n elements. */
ALWAYS_INLINE real sum_pairs(const real *x, const real *y, ptrdiff_t n, real (*f)(real, real)) {
    real lanes[REDUCTION_LANES] = {0}, total = 0;
    ptrdiff_t i = 0;
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        for (int lane = 0; lane < REDUCTION_LANES; lane++) lanes[lane] += f(x[i + lane], y[i + lane]);
    for (int lane = 0; i < n; i++, lane++) lanes[lane] += f(x[i], y[i]);
    for (int lane = 0; lane < REDUCTION_LANES; lane++) total += lanes[lane];
    return total;
}

/* The largest of n elements, minus infinity for none; a NaN is passed over and must be found by what follows. */
ALWAYS_INLINE real maximum(const real *x, ptrdiff_t n) {
    real lanes[REDUCTION_LANES], largest = -INFINITY;
    ptrdiff_t i = 0;
    for (int lane = 0; lane < REDUCTION_LANES; lane++) lanes[lane] = -INFINITY;
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        for (int lane = 0; lane < REDUCTION_LANES; lane++)
            lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    for (int lane = 0; lane < REDUCTION_LANES; lane++) largest = lanes[lane] > largest ? lanes[lane] : largest;
    return largest;
}

/* The sum of n elements, in double. */
ALWAYS_INLINE double sum_double(const real *x, ptrdiff_t n) {
    double lanes[REDUCTION_LANES] = {0}, total = 0;
    ptrdiff_t i = 0;
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        for (int lane = 0; lane < REDUCTION_LANES; lane++) lanes[lane] += x[i + lane];
    for (int lane = 0; i < n; i++, lane++) lanes[lane] += x[i];
    for (int lane = 0; lane < REDUCTION_LANES; lane++) total += lanes[lane];
    return total;
}

/* The losses' loop: returns the sum over rows of weight * sum over n elements of f(y, t, delta), in double, and,
 * unless dy is NULL, writes dy = scale * weight * g(y, t, delta) in the same pass. No weights mean ones. */
ALWAYS_INLINE double loss_and_gradient(const void *y_, const void *t_, const void *weight_, void *dy_, ptrdiff_t rows,
                                       ptrdiff_t n, double scale, double delta, real (*f)(real, real, real),
                                       real (*g)(real, real, real)) {
    enum { TERMS = 256 };
    const real *weight = (const real *)weight_;
    ptrdiff_t length = weight ? n : rows * n; /* without weights, all rows are one */
    double total = 0;
    for (ptrdiff_t row = 0; row < (weight ? rows : 1); row++) {
        const real *y = (const real *)y_ + row * length, *t = (const real *)t_ + row * length;
        real *dy = dy_ ? (real *)dy_ + row * length : NULL, row_scale = (real)(weight ? scale * weight[row] : scale);
        real terms[TERMS];
        double row_total = 0;
        for (ptrdiff_t begin = 0; begin < length; begin += TERMS) {
            ptrdiff_t end = length - begin < TERMS ? length : begin + TERMS;
            if (dy) {
                INDEPENDENT
                for (ptrdiff_t i = begin; i < end; i++) {
                    real y_i = y[i], t_i = t[i];
                    terms[i - begin] = f(y_i, t_i, (real)delta);
                    dy[i] = row_scale * g(y_i, t_i, (real)delta);
                }
            } else {
                INDEPENDENT
                for (ptrdiff_t i = begin; i < end; i++) terms[i - begin] = f(y[i], t[i], (real)delta);
            }
            row_total += sum_double(terms, end - begin);
        }
        total += weight ? weight[row] * row_total : row_total;
    }
    return total;
}

/* The mean over `parts` (rows, or all elements) of the above, and its gradient; 0 where there is nothing. */
ALWAYS_INLINE void mean_loss(double *value, const void *y, const void *t, const void *weight, void *dy, ptrdiff_t rows,
                             ptrdiff_t n, ptrdiff_t parts, double delta, real (*f)(real, real, real),
                             real (*g)(real, real, real)) {
    double scale = parts > 0 ? 1.0 / (double)parts : 0;
    *value = scale * loss_and_gradient(y, t, weight, dy, rows, n, scale, delta, f, g);
}

#endif

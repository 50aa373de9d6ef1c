/* Loops over elements that the compiler turns into vectors, around a formula that the caller gives as a function.
 *
 * The function is a constant at every call, so that it is inlined. Reductions run in a fixed number of lanes: the
 * compiler may keep them in a vector, and the order of the sum depends on the length alone.
 */
#ifndef FASTNN_LOOPS_H
#define FASTNN_LOOPS_H

#include "math/simd.h"

#define REDUCTION_LANES 16

/* Of lanes that are sums: asked for where -O2 compiles, which does it for nobody. */
#ifdef __AVX2__
#define UNROLL_LANES
#else
#define UNROLL_LANES UNROLL
#endif

/* Rows of so many columns, which begin `stride` elements apart. */
typedef struct {
    ptrdiff_t rows, columns, stride;
} Rectangle;

/* Rows without a gap are one. */
ALWAYS_INLINE Rectangle joined(Rectangle r) {
    if (r.columns == r.stride) {
        r.columns *= r.rows;
        r.rows = 1;
    }
    return r;
}

/* y = f(x, alpha); y may be x */
ALWAYS_INLINE void map_rows(const real *x, real *y, Rectangle shape, real alpha, real (*f)(real, real)) {
    const Rectangle r = joined(shape);
    for (ptrdiff_t row = 0; row < r.rows; row++, x += r.stride, y += r.stride) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < r.columns; i++) y[i] = f(x[i], alpha);
    }
}

/* z = f(x, y, alpha); z may be x or y */
ALWAYS_INLINE void map_pair_rows(const real *x, const real *y, real *z, Rectangle shape, real alpha,
                                 real (*f)(real, real, real)) {
    const Rectangle r = joined(shape);
    for (ptrdiff_t row = 0; row < r.rows; row++, x += r.stride, y += r.stride, z += r.stride) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < r.columns; i++) z[i] = f(x[i], y[i], alpha);
    }
}

/* What a loop runs over: of all arrays the same rectangle. */
typedef struct {
    const real *x, *dy;
    real *y;
    Rectangle shape;
    real alpha, beta; /* constants, 0 where the formula has none */
} Piece;

/* y = f(x, alpha), or, where there is a dy, y = gradient(x, dy, alpha); y may be x or dy */
ALWAYS_INLINE void map_piece(const Piece *p, real (*f)(real, real), real (*gradient)(real, real, real)) {
    if (p->dy)
        map_pair_rows(p->x, p->dy, p->y, p->shape, p->alpha, gradient);
    else
        map_rows(p->x, p->y, p->shape, p->alpha, f);
}

/* The same for formulas of two constants: f(x, alpha, beta) and gradient(x, dy, alpha, beta) */
ALWAYS_INLINE void map_piece_of_two(const Piece *p, real (*f)(real, real, real),
                                    real (*gradient)(real, real, real, real)) {
    const Rectangle r = joined(p->shape);
    const real *x = p->x, *dy = p->dy, alpha = p->alpha, beta = p->beta;
    real *y = p->y;
    for (ptrdiff_t row = 0; row < r.rows; row++, x += r.stride, y += r.stride) {
        if (dy) {
            INDEPENDENT
            for (ptrdiff_t i = 0; i < r.columns; i++) y[i] = gradient(x[i], dy[i], alpha, beta);
            dy += r.stride;
        } else {
            INDEPENDENT
            for (ptrdiff_t i = 0; i < r.columns; i++) y[i] = f(x[i], alpha, beta);
        }
    }
}

/* y = f(x); y may be x */
ALWAYS_INLINE void map_function(const Piece *p, real (*f)(real)) {
    const Rectangle r = joined(p->shape);
    const real *x = p->x;
    real *y = p->y;
    for (ptrdiff_t row = 0; row < r.rows; row++, x += r.stride, y += r.stride) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < r.columns; i++) y[i] = f(x[i]);
    }
}

/* y = f(x, a, b), where a and b have a number for each column; y may be x */
ALWAYS_INLINE void map_columns(const real *x, const real *a, const real *b, real *y, Rectangle r,
                               real (*f)(real, real, real)) {
    for (ptrdiff_t row = 0; row < r.rows; row++, x += r.stride, y += r.stride) {
        INDEPENDENT
        for (ptrdiff_t j = 0; j < r.columns; j++) y[j] = f(x[j], a[j], b[j]);
    }
}

/* z = f(x, y, a), where a has a number for each of n columns; z may be x or y */
ALWAYS_INLINE void map_pairs_columns(const real *x, const real *y, const real *a, real *z, ptrdiff_t n,
                                     real (*f)(real, real, real)) {
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) z[j] = f(x[j], y[j], a[j]);
}

/* The same for n elements in a row. */
ALWAYS_INLINE void map(const real *x, real *y, ptrdiff_t n, real alpha, real (*f)(real, real)) {
    const Rectangle row = {1, n, n};
    map_rows(x, y, row, alpha, f);
}

ALWAYS_INLINE void map_pairs(const real *x, const real *y, real *z, ptrdiff_t n, real alpha,
                             real (*f)(real, real, real)) {
    const Rectangle row = {1, n, n};
    map_pair_rows(x, y, z, row, alpha, f);
}

/* In float32, a chain of millions of terms stands still: sums of more than SUM_TERMS terms are added in double. */
#define SUM_TERMS (1024 * REDUCTION_LANES)
ALWAYS_INLINE int is_long(ptrdiff_t n) { return !FASTNN_DOUBLE && !LIKELY(n <= SUM_TERMS); }

/* The sum of f(x, y) over n elements. */
ALWAYS_INLINE real sum_pairs(const real *x, const real *y, ptrdiff_t n, real (*f)(real, real)) {
    real lanes[REDUCTION_LANES] = {0}, total = 0;
    ptrdiff_t i = 0;
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        UNROLL_LANES for (int lane = 0; lane < REDUCTION_LANES; lane++) lanes[lane] += f(x[i + lane], y[i + lane]);
    for (int lane = 0; i < n; i++, lane++) lanes[lane] += f(x[i], y[i]);
    UNROLL_LANES for (int lane = 0; lane < REDUCTION_LANES; lane++) total += lanes[lane];
    return total;
}

/* The sum of f(x, alpha) over n elements. */
ALWAYS_INLINE real sum_of(const real *x, ptrdiff_t n, real alpha, real (*f)(real, real)) {
    real lanes[REDUCTION_LANES] = {0}, total = 0;
    ptrdiff_t i = 0;
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        UNROLL_LANES for (int lane = 0; lane < REDUCTION_LANES; lane++) lanes[lane] += f(x[i + lane], alpha);
    for (int lane = 0; i < n; i++, lane++) lanes[lane] += f(x[i], alpha);
    UNROLL_LANES for (int lane = 0; lane < REDUCTION_LANES; lane++) total += lanes[lane];
    return total;
}

/* The largest of n elements, minus infinity for none; a NaN is passed over and must be found by what follows. The lanes
 * are vectors here, because the compiler makes vectors of sums in lanes, but not of choices. */
ALWAYS_INLINE real maximum(const real *x, ptrdiff_t n) {
    enum { VECTORS = REDUCTION_LANES / LANES };
    real lanes[REDUCTION_LANES], largest = -INFINITY;
    vec vectors[VECTORS];
    ptrdiff_t i = 0;
    for (int lane = 0; lane < REDUCTION_LANES; lane++) lanes[lane] = -INFINITY;
    memcpy(vectors, lanes, sizeof vectors);
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        UNROLL for (int v = 0; v < VECTORS; v++) vectors[v] = greater(*(const vec *)(x + i + v * LANES), vectors[v]);
    memcpy(lanes, vectors, sizeof lanes);
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    for (int lane = 0; lane < REDUCTION_LANES; lane++) largest = lanes[lane] > largest ? lanes[lane] : largest;
    return largest;
}

/* Whether n elements are finite: of others, x * 0 is NaN. So many lanes that no sum waits for the one before it. */
ALWAYS_INLINE int all_finite(const real *x, ptrdiff_t n) {
    enum { WIDE = 4 * REDUCTION_LANES, VECTORS = WIDE / LANES };
    real lanes[WIDE] = {0}, total = 0;
    vec vectors[VECTORS];
    ptrdiff_t i = 0;
    memcpy(vectors, lanes, sizeof vectors);
    for (; i + WIDE <= n; i += WIDE) {
        UNROLL for (int v = 0; v < VECTORS; v++) vectors[v] += *(const vec *)(x + i + v * LANES) * 0;
    }
    UNROLL for (int v = 1; v < VECTORS; v++) vectors[0] += vectors[v];
    memcpy(lanes, vectors, sizeof *vectors);
    for (int lane = 0; lane < LANES; lane++) total += lanes[lane];
    for (; i < n; i++) total += x[i] * 0;
    return total == 0;
}

/* The sum of f over n elements, in double. */
ALWAYS_INLINE double sum_in_double(const real *x, ptrdiff_t n, double (*f)(double)) {
    double lanes[REDUCTION_LANES] = {0}, total = 0;
    ptrdiff_t i = 0;
    for (; i + REDUCTION_LANES <= n; i += REDUCTION_LANES)
        UNROLL_LANES for (int lane = 0; lane < REDUCTION_LANES; lane++) lanes[lane] += f((double)x[i + lane]);
    for (int lane = 0; i < n; i++, lane++) lanes[lane] += f((double)x[i]);
    UNROLL_LANES for (int lane = 0; lane < REDUCTION_LANES; lane++) total += lanes[lane];
    return total;
}

ALWAYS_INLINE double value_of(double x) {
    return x;
}

ALWAYS_INLINE double square_of(double x) {
    return x * x;
}

ALWAYS_INLINE double size_of(double x) {
    return fabs(x);
}

/* The sum of n elements, in double. */
OUT_OF_LINE double sum_double(const real *x, ptrdiff_t n) {
    return sum_in_double(x, n, value_of);
}

/* The sum of the squares of n elements, in double. */
ALWAYS_INLINE double sum_squares(const real *x, ptrdiff_t n) {
    return sum_in_double(x, n, square_of);
}

/* The sum of f(x, y, alpha) over n elements, in double. */
ALWAYS_INLINE double sum_pairs_double(const real *x, const real *y, ptrdiff_t n, real alpha,
                                      real (*f)(real, real, real)) {
    enum { TERMS = 256 };
    real terms[TERMS];
    double total = 0;
    for (ptrdiff_t begin = 0; begin < n; begin += TERMS) {
        ptrdiff_t length = n - begin < TERMS ? n - begin : TERMS;
        map_pairs(x + begin, y + begin, terms, length, alpha, f);
        total += sum_double(terms, length);
    }
    return total;
}

ALWAYS_INLINE real product_of_pair(real x, real y, real alpha) {
    (void)alpha;
    return x * y;
}

/* The sum of many elements, or, with y, of products; a function of its own, so that what is usual waits for nothing. */
OUT_OF_LINE real sum_long(const real *x, const real *y, ptrdiff_t n) {
    return (real)(y ? sum_pairs_double(x, y, n, 0, product_of_pair) : sum_double(x, n));
}

#endif

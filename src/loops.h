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

/* y = x. A short row by copies of fixed length, the last of which may overlap the one before: no call, no loop over
 * single numbers. */
ALWAYS_INLINE void copy_row(real *y, const real *x, ptrdiff_t n) {
    if (n >= 64) {
        memcpy(y, x, (size_t)n * sizeof(real));
    } else if (n >= 8) {
        for (ptrdiff_t i = 0; i + 8 <= n; i += 8) memcpy(y + i, x + i, 8 * sizeof(real));
        memcpy(y + n - 8, x + n - 8, 8 * sizeof(real));
    } else if (n >= 4) {
        memcpy(y, x, 4 * sizeof(real));
        memcpy(y + n - 4, x + n - 4, 4 * sizeof(real));
    } else if (n >= 2) {
        memcpy(y, x, 2 * sizeof(real));
        y[n - 1] = x[n - 1];
    } else if (n == 1) {
        *y = *x;
    }
}

/* y (n, columns) = the rows x + index[i] * stride, which lie anywhere. Memory serves several rows at once: eight go side
 * by side, line by line, while the same line of the eight behind them is asked for. */
#define ROWS_AT_ONCE 8
ALWAYS_INLINE void gather(const real *x, ptrdiff_t stride, const int64_t *index, ptrdiff_t n, ptrdiff_t columns, real *y) {
    const ptrdiff_t whole = columns / CACHE_LINE * CACHE_LINE, rest = columns - whole;
    ptrdiff_t i = 0;
    for (; columns >= 4 * CACHE_LINE && i + ROWS_AT_ONCE <= n; i += ROWS_AT_ONCE, y += ROWS_AT_ONCE * columns) {
        const real *row[ROWS_AT_ONCE], *next[ROWS_AT_ONCE];
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            row[r] = x + index[i + r] * stride;
            next[r] = i + ROWS_AT_ONCE + r < n ? x + index[i + ROWS_AT_ONCE + r] * stride : row[r];
        }
        for (ptrdiff_t j = 0; j < whole; j += CACHE_LINE) {
            UNROLL for (int r = 0; r < ROWS_AT_ONCE; r++) {
                memcpy(y + r * columns + j, row[r] + j, CACHE_LINE * sizeof(real));
                PREFETCH(next[r] + j);
            }
        }
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            copy_row(y + r * columns + whole, row[r] + whole, rest);
            PREFETCH(next[r] + columns - 1);
        }
    }
    for (; i < n; i++, y += columns) {
        if (i + ROWS_AT_ONCE < n) PREFETCH(x + index[i + ROWS_AT_ONCE] * stride);
        copy_row(y, x + index[i] * stride, columns);
    }
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

/* ---- blocks of rows ---------------------------------------------------------------------------------------------
 *
 * What softmax and cross-entropy do to rows: numbers of one row go into one maximum, one sum. A row of up to NARROW
 * numbers is too short for a vector, or for its time to be worth the last sum over lanes, so BLOCK_ROWS such rows are
 * copied into a buffer of columns, where a vector holds the same column of many rows. Longer rows are blocks of one
 * row, in place. The formulas are those of map and map_pairs, with a number of each row for alpha; the order of a sum
 * depends on n alone.
 */
enum { NARROW = 32, BLOCK_ROWS = 64, BLOCK_SIZE = NARROW * BLOCK_ROWS };

typedef struct {
    ptrdiff_t rows, n;
    ptrdiff_t lanes; /* of a column: the rows, filled up to whole vectors; 1 where the block is one row in place */
    int in_columns;
} Block;

/* `narrow`, at most NARROW: up to which n columns are faster */
ALWAYS_INLINE Block block_of_rows(ptrdiff_t begin, ptrdiff_t end, ptrdiff_t n, ptrdiff_t narrow) {
    Block b = {1, n, 1, n <= narrow};
    if (b.in_columns) {
        b.rows = end - begin < BLOCK_ROWS ? end - begin : BLOCK_ROWS;
        b.lanes = (b.rows + REDUCTION_LANES - 1) / REDUCTION_LANES * REDUCTION_LANES;
    }
    return b;
}

/* The rows x to work on: their columns in the buffer, or x itself. */
ALWAYS_INLINE const real *block_input(Block b, const real *x, real *buffer) {
    if (!b.in_columns) return x;
    for (ptrdiff_t j = 0; j < b.n; j++) {
        real *column = buffer + j * BLOCK_ROWS;
        for (ptrdiff_t i = 0; i < b.rows; i++) column[i] = x[i * b.n + j];
        for (ptrdiff_t i = b.rows; i < b.lanes; i++) column[i] = 0;
    }
    return buffer;
}

/* Where to write the rows y, which block_store finishes. */
ALWAYS_INLINE real *block_output(Block b, real *y, real *buffer) { return b.in_columns ? buffer : y; }

ALWAYS_INLINE void block_store(Block b, const real *buffer, real *y) {
    if (!b.in_columns) return;
    for (ptrdiff_t j = 0; j < b.n; j++)
        for (ptrdiff_t i = 0; i < b.rows; i++) y[i * b.n + j] = buffer[j * BLOCK_ROWS + i];
}

ALWAYS_INLINE void block_maximum(Block b, const real *x, real *largest) {
    if (!b.in_columns) {
        *largest = maximum(x, b.n);
        return;
    }
    for (ptrdiff_t i = 0; i < b.lanes; i++) largest[i] = -INFINITY;
    for (ptrdiff_t j = 0; j < b.n; j++)
        for (ptrdiff_t i = 0; i < b.lanes; i++) {
            real x_i = x[j * BLOCK_ROWS + i];
            largest[i] = x_i > largest[i] ? x_i : largest[i];
        }
}

ALWAYS_INLINE void block_sum(Block b, const real *x, const real *y, real *total, real (*f)(real, real)) {
    if (!b.in_columns) {
        *total = sum_pairs(x, y, b.n, f);
        return;
    }
    for (ptrdiff_t i = 0; i < b.lanes; i++) total[i] = 0;
    for (ptrdiff_t j = 0; j < b.n; j++)
        for (ptrdiff_t i = 0; i < b.lanes; i++) total[i] += f(x[j * BLOCK_ROWS + i], y[j * BLOCK_ROWS + i]);
}

/* y = f(x, alpha of the row) */
ALWAYS_INLINE void block_map(Block b, const real *x, const real *alpha, real *y, real (*f)(real, real)) {
    if (!b.in_columns) {
        map(x, y, 0, b.n, *alpha, f);
        return;
    }
    for (ptrdiff_t j = 0; j < b.n; j++) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < b.lanes; i++) y[j * BLOCK_ROWS + i] = f(x[j * BLOCK_ROWS + i], alpha[i]);
    }
}

ALWAYS_INLINE real first_of_pair(real x, real y) {
    (void)y;
    return x;
}

/* y = f(x, alpha of the row), and its sum over each row. y may be NULL where the block is one row in place. */
ALWAYS_INLINE void block_map_and_sum(Block b, const real *x, const real *alpha, real *y, real *total,
                                     real (*f)(real, real)) {
    enum { TERMS = 256 };
    if (b.in_columns || y) {
        block_map(b, x, alpha, y, f);
        block_sum(b, y, y, total, first_of_pair);
        return;
    }
    real terms[TERMS];
    *total = 0;
    for (ptrdiff_t begin = 0; begin < b.n; begin += TERMS) {
        ptrdiff_t length = b.n - begin < TERMS ? b.n - begin : TERMS;
        map(x + begin, terms, 0, length, *alpha, f);
        *total += sum_pairs(terms, terms, length, first_of_pair);
    }
}

/* z = f(x, y, alpha of the row) */
ALWAYS_INLINE void block_map_pairs(Block b, const real *x, const real *y, const real *alpha, real *z,
                                   real (*f)(real, real, real)) {
    if (!b.in_columns) {
        map_pairs(x, y, z, 0, b.n, *alpha, f);
        return;
    }
    for (ptrdiff_t j = 0; j < b.n; j++) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < b.lanes; i++)
            z[j * BLOCK_ROWS + i] = f(x[j * BLOCK_ROWS + i], y[j * BLOCK_ROWS + i], alpha[i]);
    }
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

/* The sum over each row of f(y, t, alpha of the row), in double. */
ALWAYS_INLINE void block_sum_double(Block b, const real *y, const real *t, const real *alpha, double *total,
                                    real (*f)(real, real, real)) {
    if (!b.in_columns) {
        *total = loss_and_gradient(y, t, NULL, NULL, 1, b.n, 1, *alpha, f, f);
        return;
    }
    for (ptrdiff_t i = 0; i < b.lanes; i++) total[i] = 0;
    for (ptrdiff_t j = 0; j < b.n; j++)
        for (ptrdiff_t i = 0; i < b.lanes; i++)
            total[i] += (double)f(y[j * BLOCK_ROWS + i], t[j * BLOCK_ROWS + i], alpha[i]);
}

/* The mean over `parts` (rows, or all elements) of the above, and its gradient; 0 where there is nothing. */
ALWAYS_INLINE void mean_loss(double *value, const void *y, const void *t, const void *weight, void *dy, ptrdiff_t rows,
                             ptrdiff_t n, ptrdiff_t parts, double delta, real (*f)(real, real, real),
                             real (*g)(real, real, real)) {
    double scale = parts > 0 ? 1.0 / (double)parts : 0;
    *value = scale * loss_and_gradient(y, t, weight, dy, rows, n, scale, delta, f, g);
}

#endif

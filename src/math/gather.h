/* Rows that lie anywhere, copied one behind the other. */
#ifndef FASTNN_GATHER_H
#define FASTNN_GATHER_H

#include "math/simd.h"

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

/* y (n, columns) = the rows x + index[i] * stride, which lie anywhere. Memory serves several rows at once: eight go
 * side by side, line by line, while the same line of the eight behind them is asked for. */
#define ROWS_AT_ONCE 8
ALWAYS_INLINE void gather(const real *x, ptrdiff_t stride, const int64_t *index, ptrdiff_t n, ptrdiff_t columns,
                          real *y) {
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

#endif

/* Blocks of rows: what softmax and cross-entropy do to rows, whose numbers go into one maximum and one sum.
 *
 * A row of up to NARROW numbers is too short for a vector, or for its time to be worth the last sum over lanes, so
 * BLOCK_ROWS such rows are copied into a buffer of columns, where a vector holds the same column of many rows. Longer
 * rows are blocks of one row, in place. The formulas are those of map and map_pairs, with a number of each row for
 * alpha; the order of a sum depends on n alone.
 */
#ifndef FASTNN_BLOCKS_H
#define FASTNN_BLOCKS_H

#include "math/loops.h"

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

/* The lanes of columns: to the compiler, too, a multiple, behind which nothing is left. */
ALWAYS_INLINE ptrdiff_t whole_lanes(Block b) { return b.lanes & -REDUCTION_LANES; }

/* Of a block that is one row in place, at most so many numbers from there; other blocks are their only part. */
ALWAYS_INLINE Block block_part(Block b, ptrdiff_t begin, ptrdiff_t most) {
    if (!b.in_columns) b.n = b.n - begin < most ? b.n - begin : most;
    return b;
}

/* The columns of rows of n numbers. Where the compiler knows n, it takes vectors of rows apart. */
ALWAYS_INLINE void split_columns(const ptrdiff_t n, ptrdiff_t rows, const real *x, real *restrict buffer) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        UNROLL for (ptrdiff_t j = 0; j < n; j++) buffer[j * BLOCK_ROWS + i] = x[i * n + j];
    }
}

ALWAYS_INLINE void join_columns(const ptrdiff_t n, ptrdiff_t rows, const real *buffer, real *restrict y) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        UNROLL for (ptrdiff_t j = 0; j < n; j++) y[i * n + j] = buffer[j * BLOCK_ROWS + i];
    }
}

#ifndef FASTNN_SCALAR
typedef real quad __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
#ifdef __clang__
#define CHOSEN(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#if FASTNN_DOUBLE
typedef int64_t of_quad __attribute__((vector_size(32)));
#else
typedef int32_t of_quad __attribute__((vector_size(16)));
#endif
#define CHOSEN(a, b, ...) __builtin_shuffle(a, b, (of_quad){__VA_ARGS__})
#endif

/* y (4, 4) = x.T */
ALWAYS_INLINE void transpose_quads(const real *x, ptrdiff_t x_row, real *restrict y, ptrdiff_t y_row) {
    quad row[4], column[4], half[4];
    UNROLL for (int i = 0; i < 4; i++) row[i] = *(const quad *)(x + i * x_row);
    UNROLL for (int i = 0; i < 2; i++) {
        half[i] = CHOSEN(row[i], row[i + 2], 0, 4, 1, 5);
        half[i + 2] = CHOSEN(row[i], row[i + 2], 2, 6, 3, 7);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        column[2 * i] = CHOSEN(half[2 * i], half[2 * i + 1], 0, 4, 1, 5);
        column[2 * i + 1] = CHOSEN(half[2 * i], half[2 * i + 1], 2, 6, 3, 7);
    }
    UNROLL for (int j = 0; j < 4; j++) *(quad *)(y + j * y_row) = column[j];
}
#endif

/* y (n, rows) = x.T, of rows that begin x_row and y_row numbers behind each other. */
OUT_OF_LINE void transpose_rows(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, real *restrict y,
                                ptrdiff_t y_row) {
#ifndef FASTNN_SCALAR
    if (rows >= 4 && n >= 4) { /* the last ones of both are moved twice, perhaps */
        for (ptrdiff_t j = 0; j < n; j += 4) {
            const ptrdiff_t column = j < n - 4 ? j : n - 4;
            for (ptrdiff_t i = 0; i < rows; i += 4) {
                const ptrdiff_t row = i < rows - 4 ? i : rows - 4;
                transpose_quads(x + row * x_row + column, x_row, y + column * y_row + row, y_row);
            }
        }
        return;
    }
#endif
    for (ptrdiff_t j = 0; j < n; j++)
        for (ptrdiff_t i = 0; i < rows; i++) y[j * y_row + i] = x[i * x_row + j];
}

/* What is done to columns is compiled once, for all who need it: that takes a call for each block. */
OUT_OF_LINE const real *into_columns(Block b, const real *x, real *buffer) {
    switch (b.n) {
        case 1: split_columns(1, b.rows, x, buffer); break;
        case 2: split_columns(2, b.rows, x, buffer); break;
        case 3: split_columns(3, b.rows, x, buffer); break;
        default: transpose_rows(b.rows, b.n, x, b.n, buffer, BLOCK_ROWS);
    }
    for (ptrdiff_t j = 0; b.rows < b.lanes && j < b.n; j++)
        for (ptrdiff_t i = b.rows; i < b.lanes; i++) buffer[j * BLOCK_ROWS + i] = 0;
    return buffer;
}

OUT_OF_LINE void out_of_columns(Block b, const real *buffer, real *y) {
    switch (b.n) {
        case 1: join_columns(1, b.rows, buffer, y); break;
        case 2: join_columns(2, b.rows, buffer, y); break;
        case 3: join_columns(3, b.rows, buffer, y); break;
        default: transpose_rows(b.n, b.rows, buffer, BLOCK_ROWS, y, b.n);
    }
}

OUT_OF_LINE void maximum_of_columns(Block b, const real *x, real *largest) {
    for (ptrdiff_t i = 0; i < b.lanes; i += LANES) {
        vec most = (real)-INFINITY - (vec){0};
        for (ptrdiff_t j = 0; j < b.n; j++) most = greater(*(const vec *)(x + j * BLOCK_ROWS + i), most);
        *(vec *)(largest + i) = most;
    }
}

/* The rows x to work on: their columns in the buffer, or x itself. */
ALWAYS_INLINE const real *block_input(Block b, const real *x, real *buffer) {
    return b.in_columns ? into_columns(b, x, buffer) : x;
}

/* Where to write the rows y, which block_store finishes. */
ALWAYS_INLINE real *block_output(Block b, real *y, real *buffer) { return b.in_columns ? buffer : y; }

ALWAYS_INLINE void block_store(Block b, const real *buffer, real *y) {
    if (b.in_columns) out_of_columns(b, buffer, y);
}

ALWAYS_INLINE void block_maximum(Block b, const real *x, real *largest) {
    if (b.in_columns) maximum_of_columns(b, x, largest);
    else *largest = maximum(x, b.n);
}

ALWAYS_INLINE real first_of_pair(real x, real y) {
    (void)y;
    return x;
}

/* The sum of f(x, y) over each row: of the first of them, or of products. */
ALWAYS_INLINE void block_sum(Block b, const real *x, const real *y, real *total, real (*f)(real, real)) {
    const ptrdiff_t lanes = whole_lanes(b);
    if (!b.in_columns) {
        *total = is_long(b.n) ? sum_long(x, f == first_of_pair ? NULL : y, b.n) : sum_pairs(x, y, b.n, f);
        return;
    }
    for (ptrdiff_t i = 0; i < lanes; i++) total[i] = 0;
    for (ptrdiff_t j = 0; j < b.n; j++)
        for (ptrdiff_t i = 0; i < lanes; i++) total[i] += f(x[j * BLOCK_ROWS + i], y[j * BLOCK_ROWS + i]);
}

/* y = f(x, alpha of the row) */
ALWAYS_INLINE void block_map(Block b, const real *x, const real *alpha, real *y, real (*f)(real, real)) {
    const ptrdiff_t lanes = whole_lanes(b);
    if (!b.in_columns) {
        map(x, y, b.n, *alpha, f);
        return;
    }
    for (ptrdiff_t j = 0; j < b.n; j++) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < lanes; i++) y[j * BLOCK_ROWS + i] = f(x[j * BLOCK_ROWS + i], alpha[i]);
    }
}

/* y = f(x, alpha of the row), and its sum over each row. y may be NULL where the block is one row in place. */
ALWAYS_INLINE void block_map_and_sum(Block b, const real *x, const real *alpha, real *y, real *total,
                                     real (*f)(real, real)) {
    enum { TERMS = 256 };
    if (b.in_columns || y) {
        block_map(b, x, alpha, y, f);
        if (!b.in_columns) {
            block_sum(b, y, y, total, first_of_pair);
            return;
        }
        for (ptrdiff_t i = 0; i < b.lanes; i += LANES) { /* in registers: narrow blocks wait for what they store */
            vec sum = {0};
            for (ptrdiff_t j = 0; j < b.n; j++) sum = sum + *(const vec *)(y + j * BLOCK_ROWS + i);
            *(vec *)(total + i) = sum;
        }
        return;
    }
    real terms[TERMS];
    *total = 0;
    for (ptrdiff_t begin = 0; begin < b.n; begin += TERMS) {
        ptrdiff_t length = b.n - begin < TERMS ? b.n - begin : TERMS;
        map(x + begin, terms, length, *alpha, f);
        *total += sum_pairs(terms, terms, length, first_of_pair);
    }
}

/* z = f(x, y, alpha of the row) */
ALWAYS_INLINE void block_map_pairs(Block b, const real *x, const real *y, const real *alpha, real *z,
                                   real (*f)(real, real, real)) {
    const ptrdiff_t lanes = whole_lanes(b);
    if (!b.in_columns) {
        map_pairs(x, y, z, b.n, *alpha, f);
        return;
    }
    for (ptrdiff_t j = 0; j < b.n; j++) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < lanes; i++)
            z[j * BLOCK_ROWS + i] = f(x[j * BLOCK_ROWS + i], y[j * BLOCK_ROWS + i], alpha[i]);
    }
}

/* Of each of the rows x, the number at its label; NaN where that is none. */
OUT_OF_LINE void numbers_at(ptrdiff_t rows, ptrdiff_t n, const int64_t *label, const real *x, real *number) {
    for (ptrdiff_t i = 0; i < rows; i++, x += n) number[i] = label[i] >= 0 && label[i] < n ? x[label[i]] : (real)NAN;
}

/* Take factor * amount from the number at the label of each row; without a label, or an amount, all numbers are 0. */
OUT_OF_LINE void lessen_at(ptrdiff_t rows, ptrdiff_t n, const int64_t *label, const real *amount, real factor,
                           real *x) {
    for (ptrdiff_t i = 0; i < rows; i++, x += n) {
        if (amount[i] != 0 && label[i] >= 0 && label[i] < n) x[label[i]] -= factor * amount[i];
        else memset(x, 0, (size_t)n * sizeof(real));
    }
}

/* The sum over each row of f(y, t, alpha of the row), in double. */
ALWAYS_INLINE void block_sum_double(Block b, const real *y, const real *t, const real *alpha, double *total,
                                    real (*f)(real, real, real)) {
    const ptrdiff_t lanes = whole_lanes(b);
    if (!b.in_columns) {
        *total = sum_pairs_double(y, t, b.n, *alpha, f);
        return;
    }
    for (ptrdiff_t i = 0; i < lanes; i++) total[i] = 0;
    for (ptrdiff_t j = 0; j < b.n; j++)
        for (ptrdiff_t i = 0; i < lanes; i++)
            total[i] += (double)f(y[j * BLOCK_ROWS + i], t[j * BLOCK_ROWS + i], alpha[i]);
}

#endif

/* Products of one block, k <= SUM_BLOCK: as chains, in tiles, as dot products, or in bfloat16. All return what gemm
 * returns. */
#ifndef FASTNN_GEMM_PRODUCTS_H
#define FASTNN_GEMM_PRODUCTS_H

#include "tile.h"

GEMM_API int product_of_chains(const Product *p);

/* Write b_sum alone: a row of ones @ b. */
GEMM_API int sum_rows(const Product *p);

/* The n columns of c from `first` on; returns whether this is its way: up to FEW_COLUMNS of them, of at least
 * FEW_COLUMNS_ROWS rows of a that are contiguous and follow each other. */
#define FEW_COLUMNS_ROWS 9 /* more than a group */
#if defined(__AVX512VL__) && !FASTNN_DOUBLE
#define FEW_COLUMNS 4 /* which fill 32 registers */
#else
#define FEW_COLUMNS 3
#endif
GEMM_API int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n);

/* m <= MOST_STREAMED, n of at least 8 vectors, b_col == 1, no index, no update; returns whether this is its way. */
#define MOST_STREAMED (TILE_ROWS == 6 ? 3 : 4)
GEMM_API int product_of_few_rows(const Product *p);

#define DOT_COLUMNS 3
#define DOT_K 64 /* for each column; in shorter ones, adding the lanes costs more than transposing a */

/* n <= DOT_COLUMNS, a_col == 1. */
GEMM_API int product_of_dots(const Product *p);

/* Of float32 alone: with numbers rounded to bfloat16. */
GEMM_API int product_of_pairs(const Product *p);

/* Of float64 alone, and of any k: b is words. */
GEMM_API int product_of_words(const Product *p);

/* b lies in panels. */
GEMM_API int product_of_packed(const Product *p);

/* The largest of nearly equal parts of `size`, each at most `most`: 13 rows are 7 + 6, because 12 + 1 is slower. */
ALWAYS_INLINE ptrdiff_t even_part(ptrdiff_t size, ptrdiff_t most) {
    if (size <= most) return size;
    const ptrdiff_t parts = (size + most - 1) / most;
    return (size + parts - 1) / parts;
}

/* The whole product as one tile, which those who lead a product through tiles cut to size. */
ALWAYS_INLINE Tile whole_tile(const Product *p) {
    const Tile t = {.k = p->k, .a = p->a, .a_row = p->a_row, .a_col = p->a_col, .a_rows = p->a_rows,
                    .a_cols = p->a_cols, .b = p->b, .b_row = p->b_row, .c = p->c, .c_row = p->c_row, .bias = p->bias,
                    .relu = p->relu, .saved = p->saved, .update = p->update, .rate = p->rate,
                    .width = LANES};
    return t;
}

/* Let the tile begin at row i and term q of a. */
ALWAYS_INLINE void begin_at(Tile *t, const Product *p, ptrdiff_t i, ptrdiff_t q) {
    t->a = p->a + (p->a_rows ? 0 : i * p->a_row) + (p->a_cols ? 0 : q * p->a_col);
    if (p->a_rows) t->a_rows = p->a_rows + i;
    if (p->a_cols) t->a_cols = p->a_cols + q;
}

/* Let what the tile has to finish begin at row i and column j of c. */
ALWAYS_INLINE void end_at(Tile *t, const Product *p, ptrdiff_t i, ptrdiff_t j) {
    t->c = p->c + i * p->c_row + j;
    if (p->saved) t->saved = p->saved + i * p->c_row + j;
}

/* relu, or its derivative, of a rectangle that is complete but for that, where no tile could compute it in
 * registers. */
GEMM_API void rectify(const Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns);

ALWAYS_INLINE void finish(const Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns) {
    if (p->finish) p->finish(p->context, i, j, rows, columns);
}

/* Update a rectangle of c by sums that have waited for it. */
GEMM_API void update_by(real rate, const real *sums, ptrdiff_t apart, ptrdiff_t rows, ptrdiff_t columns,
                        real *restrict c, ptrdiff_t c_row);

GEMM_API void add_bias(const Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns);

#endif

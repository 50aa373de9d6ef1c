/* Up to MOST_STREAMED rows of a meet a large b, which comes from memory fastest from end to end of a few rows: the
 * columns of a tile are a small part of each row, on another page each time. Meanwhile c stays in the first-level
 * cache. */
#include "products.h"
#include "vectors.h"

/* Half as large as by -O3, and as fast: what takes time is unrolled by hand. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os", "no-tree-vectorize", "no-ipa-cp")
#endif

#define STREAMED_ROWS 8      /* of b at most: each times one of c is a number of a in a register */
#define STREAMED_BYTES 16384 /* of c */

/* Few columns, or few terms, of what follows: c (rows, n) += a (rows, count) @ b (count, n). */
static NOINLINE void stream_rest(ptrdiff_t rows, ptrdiff_t count, ptrdiff_t n, const Tile *t) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            const vec_mask mask = vec_first(smaller(n - j, LANES));
            const real *a = t->a + i * t->a_row, *b = t->b + j;
            real *const c = t->c + i * t->c_row + j;
            vec sum = vec_load_first(c, mask);
            for (ptrdiff_t q = 0; q < count; q++, a += t->a_col, b += t->b_row) {
                sum = vec_fma(vec_broadcast(*a), vec_load_first(b, mask), sum);
            }
            vec_store_first(c, sum, mask);
        }
    }
}

/* The n columns of c that t begins with: the chains go on with `count` rows of b, side by side. */
ALWAYS_INLINE void stream(const int rows, const int count, ptrdiff_t m, ptrdiff_t n, Tile *t) {
    const ptrdiff_t whole = n / LANES * LANES, a_col = t->a_col, b_row = t->b_row;
    real *c[MOST_STREAMED];
    UNROLL for (int i = 0; i < rows; i++) c[i] = t->c + smaller(i, m - 1) * t->c_row; /* the last one twice perhaps */
    for (ptrdiff_t i = 0; i < m; i++) memset(c[i], 0, n * sizeof(real));
    for (; t->k >= count; t->k -= count, t->a += count * a_col, t->b += count * b_row) {
        vec s[MOST_STREAMED][STREAMED_ROWS];
        UNROLL for (int i = 0; i < rows; i++) {
            const real *const a = t->a + smaller(i, m - 1) * t->a_row;
            UNROLL for (int q = 0; q < count; q++) s[i][q] = vec_broadcast(a[q * a_col]);
        }
        for (ptrdiff_t j = 0; j < whole; j += LANES) {
            vec sum[MOST_STREAMED];
            UNROLL for (int i = 0; i < rows; i++) sum[i] = vec_load(c[i] + j);
            UNROLL for (int q = 0; q < count; q++) {
                const vec x = vec_load(t->b + q * b_row + j);
                UNROLL for (int i = 0; i < rows; i++) sum[i] = vec_fma(s[i][q], x, sum[i]);
            }
            UNROLL for (int i = 0; i < rows; i++) vec_store(c[i] + j, sum[i]);
        }
        if (whole < n) {
            Tile rest = *t;
            rest.b += whole;
            rest.c += whole;
            stream_rest(m, count, n - whole, &rest);
        }
    }
    if (t->k > 0) stream_rest(m, t->k, n, t);
}

/* Tiles of three rows have the fewest chains; those of four lose only where rows of b drive each other out of the
 * cache. */
ALWAYS_INLINE int pays_streaming(const Product *p) {
    const ptrdiff_t size = (ptrdiff_t)sizeof(real), bytes = p->n * p->k * size;
    return bytes > (p->m == 1 ? 64 : p->m == 3 ? 128 : 512) * 1024 && (p->m < 4 || p->b_row * size % 4096 == 0);
}

GEMM_API NOINLINE int product_of_few_rows(const Product *p) {
    const ptrdiff_t m = p->m, together = even_part(p->n, STREAMED_BYTES / (ptrdiff_t)sizeof(real) / m);
    if (!pays_streaming(p)) return 0;
    for (ptrdiff_t j = 0, columns; j < p->n; j += columns) {
        columns = smaller((together + LANES - 1) / LANES * LANES, p->n - j);
        Tile t = whole_tile(p);
        t.b = p->b + j;
        t.c = p->c + j;
        if (m == 1) stream(1, STREAMED_ROWS, m, columns, &t);
#if TILE_ROWS > 6
        else if (m == 2) stream(2, STREAMED_ROWS, m, columns, &t);
        else stream(4, 6, m, columns, &t);
#else
        else stream(3, 4, m, columns, &t);
#endif
    }
    add_bias(p, 0, 0, m, p->n);
    rectify(p, 0, 0, m, p->n);
    finish(p, 0, 0, m, p->n);
    return 1;
}

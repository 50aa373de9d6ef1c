/* Products of nets side by side: tiles of c, as in tile.c, but each number is a vector, and nothing is broadcast. */
#include "lanes.h"
#include "vectors.h"

#if FASTNN_DOUBLE || !MASKED_LOADS
#define FAST 0 /* nothing trains so: few instructions */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#else
#define FAST 1
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-unswitch-loops", "no-version-loops-for-strides") /* as in tile.c */
#pragma GCC optimize("no-tree-ch", "no-tree-pre") /* less code, which is as fast */
#endif
#endif

#if !FAST
#define ROWS 1
#define COLUMNS 1
#elif defined(__AVX512F__)
#define ROWS 4
#define COLUMNS 4
#else
#define ROWS 4
#define COLUMNS 2 /* of 16 registers */
#endif

typedef struct {
    ptrdiff_t m, n, k;
    const real *a; /* a[i, p] = a[(i * a_row + p * a_col) * NETS], a number of each net */
    ptrdiff_t a_row, a_col;
    const real *b; /* b[p, j] = b[(p * b_row + j * b_col) * NETS] */
    ptrdiff_t b_row, b_col;
    const real *bias;  /* (n) or NULL */
    real *c;           /* (m, n) */
    int relu;          /* of c */
    const real *saved; /* (m, n) or NULL: c is 0 where that is not above 0, as relu's derivative */
} LaneProduct;

ALWAYS_INLINE void tile(const int rows, const int columns, ptrdiff_t i, ptrdiff_t j, ptrdiff_t l,
                        const LaneProduct *p) {
    const ptrdiff_t a_row = p->a_row * NETS, a_col = p->a_col * NETS;
    const ptrdiff_t b_row = p->b_row * NETS, b_col = p->b_col * NETS;
    const real *a = p->a + i * a_row + l, *b = p->b + j * b_col + l;
    real *c = p->c + (i * p->n + j) * NETS + l;
    vec sum[ROWS][COLUMNS], y[COLUMNS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int q = 0; q < columns; q++) sum[r][q] = vec_broadcast(0);
    for (ptrdiff_t left = p->k; left > 0; left--, a += a_col, b += b_row) {
        UNROLL for (int q = 0; q < columns; q++) y[q] = vec_load(b + q * b_col);
        UNROLL for (int r = 0; r < rows; r++) {
            const vec x = vec_load(a + r * a_row);
            UNROLL for (int q = 0; q < columns; q++) sum[r][q] = vec_fma(x, y[q], sum[r][q]);
        }
    }
    if (p->bias) {
        UNROLL for (int q = 0; q < columns; q++) {
            const vec bias = vec_load(p->bias + (j + q) * NETS + l);
            UNROLL for (int r = 0; r < rows; r++) sum[r][q] += bias;
        }
    }
    if (p->relu) {
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int q = 0; q < columns; q++) sum[r][q] = rectified(sum[r][q]);
    }
    if (p->saved) {
        const real *saved = p->saved + (c - p->c);
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int q = 0; q < columns; q++) {
            sum[r][q] = where_positive(sum[r][q], vec_load(saved + (r * p->n + q) * NETS));
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int q = 0; q < columns; q++) vec_store(c + (r * p->n + q) * NETS, sum[r][q]);
    }
}

/* All rows of so many columns; some rows are computed twice. */
ALWAYS_INLINE void column_of_tiles(const int columns, ptrdiff_t j, ptrdiff_t l, const LaneProduct *p) {
    if (p->m < ROWS || ROWS == 1) {
        for (ptrdiff_t i = 0; i < p->m; i++) tile(1, columns, i, j, l, p);
        return;
    }
    for (ptrdiff_t i = 0; i < p->m; i += ROWS) tile(ROWS, columns, smaller(i, p->m - ROWS), j, l, p);
}

static NOINLINE void lane_product(const LaneProduct *p) {
    for (ptrdiff_t l = 0; l < NETS; l += LANES) {
        ptrdiff_t j = 0;
#if COLUMNS > 1
        for (; j + COLUMNS <= p->n; j += COLUMNS) column_of_tiles(COLUMNS, j, l, p);
#endif
#if COLUMNS > 2
        for (; j + 2 <= p->n; j += 2) column_of_tiles(2, j, l, p);
#endif
        for (; j < p->n; j++) column_of_tiles(1, j, l, p);
    }
}

GEMM_API void lane_forward(const real *x, const real *w, const real *b, real *y, int relu, ptrdiff_t rows,
                           ptrdiff_t n_in, ptrdiff_t n_out) {
    const LaneProduct p = {rows, n_out, n_in, x, n_in, 1, w, n_out, 1, b, y, relu, NULL};
    lane_product(&p);
}

GEMM_API void lane_backward(const real *x, const real *w, const real *dy, real *dx, real *dw, real *db, int relu,
                            ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out) {
    LaneProduct p = {n_in, n_out, rows, x, 1, n_in, dy, n_out, 1, NULL, dw, 0, NULL};
    lane_product(&p);
    if (db) {
        real ones[NETS];
        for (int net = 0; net < NETS; net++) ones[net] = 1;
        p.m = 1, p.a = ones, p.a_col = 0, p.c = db;
        lane_product(&p);
    }
    if (dx) {
        p = (LaneProduct){rows, n_in, n_out, dy, n_out, 1, w, 1, n_out, NULL, dx, 0, relu ? x : NULL};
        lane_product(&p);
    }
}

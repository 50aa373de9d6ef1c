/* Dot products: an element runs in LANES chains, whose sums are added as a tree, one block of k after the other. A
 * chain would need a or w transposed first, which costs more than the product. */
#include "products.h"
#include "pack.h"
#include "vectors.h"
#include "workspace.h"

/* Smaller, and up to a quarter faster: -O3 reads each vector of a anew for every column. With 16 registers, it spills
 * less. */
#if defined(__AVX512F__) && !defined(__clang__)
#pragma GCC optimize("Os", "no-tree-vectorize")
#endif

#define DOT_ROWS 4
#define COLUMN_ROWS 8 /* of one column: a multiply-add waits for the one before it */

/* The sums of the lanes of `count` vectors, each as a tree: halves are added until one number is left. Those of
 * four vectors are added side by side. */
ALWAYS_INLINE void vec_sums(const int count, const vec *v, real *sums) {
#ifdef FASTNN_SCALAR
    for (int i = 0; i < count; i++) sums[i] = v[i];
#else
    typedef real quad __attribute__((vector_size(16)));
    quad q[COLUMN_ROWS];
    UNROLL for (int r = 0; r < count; r++) {
        quad quads[VECTOR_BYTES / 16];
        memcpy(quads, &v[r], sizeof quads);
        UNROLL for (int half = VECTOR_BYTES / 32; half > 0; half /= 2) {
            UNROLL for (int i = 0; i < half; i++) quads[i] += quads[i + half];
        }
        q[r] = quads[0];
    }
#if FASTNN_DOUBLE
    UNROLL for (int r = 0; r + 1 < count; r += 2) {
        const quad pair = (quad){q[r][0], q[r + 1][0]} + (quad){q[r][1], q[r + 1][1]};
        memcpy(sums + r, &pair, sizeof pair);
    }
    if (count % 2) sums[count - 1] = q[count - 1][0] + q[count - 1][1];
#else
    UNROLL for (int r = 0; r + 3 < count; r += 4) {
        const quad *const f = q + r;
        const quad x = (quad){f[0][0], f[0][1], f[1][0], f[1][1]} + (quad){f[0][2], f[0][3], f[1][2], f[1][3]};
        const quad y = (quad){f[2][0], f[2][1], f[3][0], f[3][1]} + (quad){f[2][2], f[2][3], f[3][2], f[3][3]};
        const quad four = (quad){x[0], x[2], y[0], y[2]} + (quad){x[1], x[3], y[1], y[3]};
        memcpy(sums + r, &four, sizeof four);
    }
    UNROLL for (int r = count / 4 * 4; r < count; r++) sums[r] = (q[r][0] + q[r][2]) + (q[r][1] + q[r][3]);
#endif
#endif
}

/* c (rows, columns) = the dot products of rows of a and of columns of b; both are contiguous, and b_row lies between
 * two columns. */
ALWAYS_INLINE void dots(const int rows, const int columns, const Tile *t) {
    vec sum[DOT_COLUMNS][COLUMN_ROWS], x[DOT_COLUMNS];
    const ptrdiff_t a_row = t->a_row, b_row = t->b_row, whole = t->k / LANES * LANES;
    const int is_plain = t->c_row == 1 && !t->bias && !t->update;
    const real *a = t->a, *b = t->b;
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) sum[j][i] = vec_broadcast(0);
    for (ptrdiff_t p = 0; p < whole; p += LANES, a += LANES, b += LANES) {
        UNROLL for (int j = 0; j < columns; j++) x[j] = vec_load(b + j * b_row);
        UNROLL for (int i = 0; i < rows; i++) {
            const vec s = vec_load(a + i * a_row);
            UNROLL for (int j = 0; j < columns; j++) sum[j][i] = vec_fma(s, x[j], sum[j][i]);
        }
    }
    if (whole < t->k) {
        const vec_mask mask = vec_first(t->k - whole);
        UNROLL for (int j = 0; j < columns; j++) x[j] = vec_load_first(b + j * b_row, mask);
        UNROLL for (int i = 0; i < rows; i++) {
            const vec s = vec_load_first(a + i * a_row, mask);
            UNROLL for (int j = 0; j < columns; j++) sum[j][i] = vec_fma(s, x[j], sum[j][i]);
        }
    }
    UNROLL for (int j = 0; j < columns; j++) {
        real dots[COLUMN_ROWS];
        vec_sums(rows, sum[j], dots);
        if (columns == 1 && is_plain) {
            memcpy(t->c, dots, rows * sizeof(real));
            continue;
        }
        UNROLL for (int i = 0; i < rows; i++) {
            real *const c = t->c + i * t->c_row + j;
            const real dot = t->bias ? dots[i] + t->bias[j] : dots[i];
            *c = t->update ? real_fma(-t->rate, dot, *c) : dot;
        }
    }
}

static NOINLINE void dots_of(ptrdiff_t rows, ptrdiff_t columns, const Tile *t) {
    switch (rows * (DOT_COLUMNS + 1) + columns) {
#define CASE(rows, columns) case (rows) * (DOT_COLUMNS + 1) + (columns): dots(rows, columns, t); break;
#define CASES(rows) CASE(rows, 1) CASE(rows, 2) CASE(rows, 3)
        CASES(1) CASES(DOT_ROWS) CASE(COLUMN_ROWS, 1)
#undef CASES
#undef CASE
    }
}

GEMM_API NOINLINE int product_of_dots(const Product *p) {
    const int packs = p->b_row != 1 || p->a_cols;
    Workspace *const memory = packs ? workspace() : NULL;
    if (packs && !memory) return CALL_NO_MEMORY;
    const ptrdiff_t m = p->m, n = p->n, k = p->k;
    Tile t = whole_tile(p);
    t.b_row = p->b_col;
    if (p->b_row != 1) {
        pack(k, k, n, p->b, p->b_row, p->b_col, memory->b, SUM_BLOCK);
        t.b = memory->b;
        t.b_row = SUM_BLOCK;
    }
    for (ptrdiff_t i = 0, rows; i < m; i += rows) {
        const ptrdiff_t left = p->a_rows ? 1 : m - i;
        rows = n == 1 && left >= COLUMN_ROWS ? COLUMN_ROWS : left >= DOT_ROWS ? DOT_ROWS : 1;
        begin_at(&t, p, i, 0);
        if (p->a_rows) t.a += p->a_rows[i] * p->a_row;
        if (p->a_cols) { /* m is 1, since a_row and a_col are */
            for (ptrdiff_t l = 0; l < k; l++) memory->a[l] = t.a[t.a_cols[l]];
            t.a = memory->a;
        }
        dots_of(rows, n, &t);
        t.c += rows * t.c_row;
    }
    rectify(p, 0, 0, m, n);
    finish(p, 0, 0, m, n);
    return 0;
}

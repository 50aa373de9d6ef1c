/* Up to four columns of c, which would fill no vector, where rows of a are contiguous: groups of these are
 * transposed in registers and multiplied there, so that nothing is packed. A vector holds one column of GROUP rows
 * of c. */
#include "products.h"
#include "transpose.h"

/* As in tile.c. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-unswitch-loops", "no-version-loops-for-strides")
#endif

#ifdef GROUP
#define GROUPS 4 /* at a time: a multiply-add takes four cycles, and two of these start in each */
#define ROWS (GROUPS * GROUP)

typedef real group __attribute__((vector_size(sizeof(group_double))));

ALWAYS_INLINE group group_fma(group a, group b, group c) {
#if !defined(__FMA__)
    return a * b + c;
#elif FASTNN_DOUBLE
    return (group)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return (group)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#endif
}

/* The next CHUNK terms of ROWS rows of a. */
ALWAYS_INLINE void next_terms(const real *a, ptrdiff_t a_row, group_double term[CHUNK][GROUPS]) {
    UNROLL for (int g = 0; g < GROUPS; g++, a += (GROUP - CHUNK) * a_row) {
        group_single row[CHUNK];
        group_double column[CHUNK];
        UNROLL for (int r = 0; r < CHUNK; r++, a += a_row) {
            row[r] = two_chunks(a, a + (GROUP - CHUNK) * a_row);
            IN_ORDER(a);
        }
        transpose(row, column);
        UNROLL for (int q = 0; q < CHUNK; q++) term[q][g] = column[q];
    }
}

/* The same where it need not be fast. */
static NOINLINE void last_terms(const real *a, ptrdiff_t a_row, group_double term[CHUNK][GROUPS]) {
    next_terms(a, a_row, term);
}

/* One term of all chains. */
ALWAYS_INLINE void add_term(const int columns, const group_double term[GROUPS], const real *b, ptrdiff_t b_col,
                            group sum[GROUPS][FEW_COLUMNS]) {
    UNROLL for (int j = 0; j < columns; j++) {
        const group number = b[j * b_col] - (group){0};
        UNROLL for (int g = 0; g < GROUPS; g++) sum[g][j] = group_fma((group)term[g], number, sum[g][j]);
    }
}

/* ROWS rows of c from i on. */
ALWAYS_INLINE void few_columns(const int columns, ptrdiff_t i, ptrdiff_t first, const Product *p) {
    const real *a = p->a + i * p->a_row, *b = p->b + first * p->b_col;
    group sum[GROUPS][FEW_COLUMNS];
    real sums[FEW_COLUMNS][ROWS], *c = p->c + i * p->c_row + first;
    UNROLL for (int g = 0; g < GROUPS; g++) UNROLL for (int j = 0; j < columns; j++) sum[g][j] = (group){0};
    ptrdiff_t left = p->k;
    for (; left >= CHUNK; left -= CHUNK, a += CHUNK) {
        group_double term[CHUNK][GROUPS];
        next_terms(a, p->a_row, term);
        UNROLL for (int q = 0; q < CHUNK; q++, b += p->b_row) add_term(columns, term[q], b, p->b_col, sum);
    }
    if (left > 0) { /* of a chunk that begins among terms of the one before it */
        group_double term[CHUNK][GROUPS];
        last_terms(a + left - CHUNK, p->a_row, term);
        for (; left > 0; left--, b += p->b_row) add_term(columns, term[CHUNK - left], b, p->b_col, sum);
    }
    UNROLL for (int j = 0; j < columns; j++) {
        const group bias = (p->bias ? p->bias[first + j] : -REAL(0.0)) - (group){0}; /* -0 changes no sum */
        UNROLL for (int g = 0; g < GROUPS; g++) {
            sum[g][j] = sum[g][j] + bias;
            memcpy(sums[j] + g * GROUP, &sum[g][j], sizeof(group));
        }
    }
    for (int r = 0; r < ROWS; r++, c += p->c_row) UNROLL for (int j = 0; j < columns; j++) c[j] = sums[j][r];
}

GEMM_API NOINLINE int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    /* some rows are computed twice */
    if (n > FEW_COLUMNS || p->a_col != 1 || p->a_rows || p->update || p->m < ROWS || p->k < CHUNK) return 0;
    for (ptrdiff_t i = 0; i < p->m; i += ROWS) {
        const ptrdiff_t begin = smaller(i, p->m - ROWS);
        switch (n) {
#define CASE(columns) case columns: few_columns(columns, begin, first, p); break;
            CASE(1) CASE(2) CASE(3)
#if FEW_COLUMNS == 4
            CASE(4)
#endif
#undef CASE
        }
    }
    rectify(p, 0, first, p->m, n);
    finish(p, 0, first, p->m, n);
    return 1;
}
#else
GEMM_API int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    (void)p, (void)first, (void)n;
    return 0;
}
#endif

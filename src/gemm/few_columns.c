/* Up to four columns of c, which would fill no vector, where rows of a are contiguous: groups of these are
 * transposed in registers and multiplied there, so that nothing is packed. A vector holds one column of GROUP rows
 * of c. */
#include "products.h"
#include "transpose.h"

/* As in tile.c. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-unswitch-loops", "no-version-loops-for-strides", "no-tree-vectorize")
#endif

#ifdef GROUP
#define GROUPS 4 /* at a time: a multiply-add takes four cycles, and two of these start in each */
#define FEW_GROUPS 2 /* of the last rows: these wait for their own sums, which takes as long for all columns */
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

ALWAYS_INLINE group group_rectified(group x) {
    __typeof__(x <= x) x_is_not = x <= (group){0};
    return (group)((__typeof__(x_is_not))x & ~x_is_not);
}

/* The next CHUNK terms of groups of rows of a. */
ALWAYS_INLINE void next_terms(const int groups, const real *a, ptrdiff_t a_row, group_double term[CHUNK][GROUPS]) {
    UNROLL for (int g = 0; g < groups; g++, a += (GROUP - CHUNK) * a_row) {
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
static NOINLINE void last_terms(int groups, const real *a, ptrdiff_t a_row, group_double term[CHUNK][GROUPS]) {
    if (groups == GROUPS) next_terms(GROUPS, a, a_row, term);
    else next_terms(FEW_GROUPS, a, a_row, term);
}

/* One term of all chains. */
ALWAYS_INLINE void add_term(const int columns, const int groups, const group_double term[GROUPS], const real *b,
                            const ptrdiff_t b_at[FEW_COLUMNS], group sum[GROUPS][FEW_COLUMNS]) {
    UNROLL for (int j = 0; j < columns; j++) {
        const group number = b[b_at[j]] - (group){0};
        UNROLL for (int g = 0; g < groups; g++) sum[g][j] = group_fma((group)term[g], number, sum[g][j]);
    }
}

typedef real Sums[FEW_COLUMNS][ROWS];

/* The sums of the rows of `groups` from i on; of more than n columns, the last one again. */
ALWAYS_INLINE void few_columns(const int columns, const int groups, ptrdiff_t i, ptrdiff_t first, ptrdiff_t n,
                               const Product *p, Sums sums) {
    const real *a = p->a + i * p->a_row, *b = p->b + first * p->b_col;
    group sum[GROUPS][FEW_COLUMNS];
    ptrdiff_t left = p->k, b_at[FEW_COLUMNS];
    UNROLL for (int j = 0; j < columns; j++) b_at[j] = smaller(j, n - 1) * p->b_col;
    UNROLL for (int g = 0; g < groups; g++) UNROLL for (int j = 0; j < columns; j++) sum[g][j] = (group){0};
    for (; left >= CHUNK; left -= CHUNK, a += CHUNK) {
        group_double term[CHUNK][GROUPS];
        next_terms(groups, a, p->a_row, term);
        UNROLL for (int q = 0; q < CHUNK; q++, b += p->b_row) add_term(columns, groups, term[q], b, b_at, sum);
    }
    if (left > 0) { /* of a chunk that begins among terms of the one before it */
        group_double term[CHUNK][GROUPS];
        last_terms(groups, a + left - CHUNK, p->a_row, term);
        for (; left > 0; left--, b += p->b_row) add_term(columns, groups, term[CHUNK - left], b, b_at, sum);
    }
    UNROLL for (int j = 0; j < columns; j++) {
        UNROLL for (int g = 0; g < groups; g++) memcpy(sums[j] + g * GROUP, &sum[g][j], sizeof(group));
    }
}

/* What comes behind the sums of n columns, and their way into c. */
static NOINLINE void end_columns(ptrdiff_t groups, ptrdiff_t i, ptrdiff_t first, ptrdiff_t n, const Product *p, Sums sums) {
    const real *saved = p->saved ? p->saved + i * p->c_row + first : NULL;
    real *c = p->c + i * p->c_row + first;
    for (ptrdiff_t j = 0; (p->bias || p->relu) && j < n; j++) {
        const group bias = (p->bias ? p->bias[first + j] : -REAL(0.0)) - (group){0}; /* -0 changes no sum */
        for (ptrdiff_t g = 0; g < groups; g++) {
            group sum;
            memcpy(&sum, sums[j] + g * GROUP, sizeof(group));
            sum = sum + bias;
            if (p->relu) sum = group_rectified(sum);
            memcpy(sums[j] + g * GROUP, &sum, sizeof(group));
        }
    }
    for (ptrdiff_t j = 0; j < n; j++) {
        real *to = c + j;
        if (saved) {
            const real *y = saved + j;
            for (int r = 0; r < groups * GROUP; r++, to += p->c_row, y += p->c_row) *to = *y > 0 ? sums[j][r] : 0;
        } else {
            UNROLL for (int r = 0; r < groups * GROUP; r++, to += p->c_row) *to = sums[j][r];
        }
    }
}

GEMM_API NOINLINE int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    /* some rows are computed twice */
    if (n > FEW_COLUMNS || p->a_col != 1 || p->a_rows || p->update || p->m < ROWS || p->k < CHUNK) return 0;
    for (ptrdiff_t i = 0; i < p->m; i += ROWS) {
        const ptrdiff_t groups = p->m - i <= FEW_GROUPS * GROUP ? FEW_GROUPS : GROUPS;
        const ptrdiff_t begin = smaller(i, p->m - groups * GROUP);
        Sums sums;
        switch (groups == GROUPS ? n : 0) {
#define CASE(columns) case columns: few_columns(columns, GROUPS, begin, first, columns, p, sums); break;
            case 0: few_columns(FEW_COLUMNS, FEW_GROUPS, begin, first, n, p, sums); break;
            CASE(1) CASE(2) CASE(3)
#if FEW_COLUMNS == 4
            CASE(4)
#endif
#undef CASE
        }
        end_columns(groups, begin, first, n, p, sums);
    }
    finish(p, 0, first, p->m, n);
    return 1;
}
#else
GEMM_API int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    (void)p, (void)first, (void)n;
    return 0;
}
#endif

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

/* The next CHUNK terms of groups of rows of a; of few groups, the second one begins `second` behind the first. */
ALWAYS_INLINE void next_terms(const int groups, const real *a, ptrdiff_t second, ptrdiff_t a_row,
                              group_double term[CHUNK][GROUPS]) {
    const real *const first = a;
    UNROLL for (int g = 0; g < groups; g++, a += (GROUP - CHUNK) * a_row) {
        group_single row[CHUNK];
        group_double column[CHUNK];
        if (groups == FEW_GROUPS && g > 0) a = first + second;
        UNROLL for (int r = 0; r < CHUNK; r++, a += a_row) {
            row[r] = two_chunks(a, a + (GROUP - CHUNK) * a_row);
            IN_ORDER(a);
        }
        transpose(row, column);
        UNROLL for (int q = 0; q < CHUNK; q++) term[q][g] = column[q];
    }
}

/* The same where it need not be fast. */
static NOINLINE void last_terms(int groups, const real *a, ptrdiff_t second, ptrdiff_t a_row,
                                group_double term[CHUNK][GROUPS]) {
    if (groups == GROUPS) next_terms(GROUPS, a, second, a_row, term);
    else next_terms(FEW_GROUPS, a, second, a_row, term);
}

/* One term of all chains. */
ALWAYS_INLINE void add_term(const int columns, const int groups, ptrdiff_t n, const group_double term[GROUPS],
                            const real *b, ptrdiff_t b_col, group sum[GROUPS][FEW_COLUMNS]) {
    UNROLL for (int j = 0; j < columns; j++) {
        const group number = b[smaller(j, n - 1) * b_col] - (group){0};
        UNROLL for (int g = 0; g < groups; g++) sum[g][j] = group_fma((group)term[g], number, sum[g][j]);
    }
}

/* sums = 0 where relu's output, which is `saved`, is not positive; the second group begins at row `second`. */
static NOINLINE void behind_relu(int groups, ptrdiff_t second, ptrdiff_t n, const real *saved, ptrdiff_t apart,
                                 real sums[FEW_COLUMNS][ROWS]) {
    for (int g = 0; g < groups; g++, saved += (g == 1 ? second : GROUP) * apart) {
        for (ptrdiff_t j = 0; j < n; j++) {
            group y = {0}, sum;
            UNROLL for (int r = 0; r < GROUP; r++) y[r] = saved[r * apart + j];
            memcpy(&sum, sums[j] + g * GROUP, sizeof(group));
            __typeof__(y > y) y_is = y > (group){0};
            sum = (group)((__typeof__(y_is))sum & y_is);
            memcpy(sums[j] + g * GROUP, &sum, sizeof(group));
        }
    }
}

/* n columns of c, in `groups` of rows from i on, of which the second begins at i + second. Of more columns, the last
 * one is computed again. */
ALWAYS_INLINE void few_columns(const int columns, const int groups, ptrdiff_t i, ptrdiff_t second, ptrdiff_t first,
                               ptrdiff_t n, const Product *p) {
    const real *a = p->a + i * p->a_row, *b = p->b + first * p->b_col;
    const real *saved = p->saved ? p->saved + i * p->c_row + first : NULL;
    group sum[GROUPS][FEW_COLUMNS];
    real sums[FEW_COLUMNS][ROWS], *c = p->c + i * p->c_row + first;
    ptrdiff_t left = p->k;
    UNROLL for (int g = 0; g < groups; g++) UNROLL for (int j = 0; j < columns; j++) sum[g][j] = (group){0};
    for (; left >= CHUNK; left -= CHUNK, a += CHUNK) {
        group_double term[CHUNK][GROUPS];
        next_terms(groups, a, second * p->a_row, p->a_row, term);
        UNROLL for (int q = 0; q < CHUNK; q++, b += p->b_row) add_term(columns, groups, n, term[q], b, p->b_col, sum);
    }
    if (left > 0) { /* of a chunk that begins among terms of the one before it */
        group_double term[CHUNK][GROUPS];
        last_terms(groups, a + left - CHUNK, second * p->a_row, p->a_row, term);
        for (; left > 0; left--, b += p->b_row) {
            add_term(columns, groups, n, term[CHUNK - left], b, p->b_col, sum);
        }
    }
    UNROLL for (int j = 0; j < columns; j++) {
        const group bias = (p->bias ? p->bias[first + smaller(j, n - 1)] : -REAL(0.0)) - (group){0}; /* -0: no change */
        UNROLL for (int g = 0; g < groups; g++) {
            sum[g][j] = sum[g][j] + bias;
            if (p->relu) sum[g][j] = group_rectified(sum[g][j]);
            memcpy(sums[j] + g * GROUP, &sum[g][j], sizeof(group));
        }
    }
    if (saved) behind_relu(groups, second, n, saved, p->c_row, sums);
    for (int r = 0; r < groups * GROUP; r++, c += p->c_row) {
        if (groups == FEW_GROUPS && r == GROUP) c += (second - GROUP) * p->c_row;
        UNROLL for (int j = 0; j < n; j++) c[j] = sums[j][r];
    }
}

/* With 16 registers each in a function of its own: in one for all, GCC 12 keeps sums of three columns in memory. */
#if TILE_ROWS == 6
#define OWN static NOINLINE
#else
#define OWN ALWAYS_INLINE
#endif
#define OF(columns) \
    OWN void columns_##columns(ptrdiff_t i, ptrdiff_t first, const Product *p) { \
        few_columns(columns, GROUPS, i, GROUP, first, columns, p); \
    }
OF(1) OF(2) OF(3)
#if FEW_COLUMNS == 4
OF(4)
#endif
#undef OF

GEMM_API NOINLINE int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    const ptrdiff_t m = p->m, few = FEW_GROUPS * GROUP;
    if (n > FEW_COLUMNS || p->a_col != 1 || p->a_rows || p->update || p->k < CHUNK) return 0;
    /* Of a few rows more than two short groups, the rest would take as long as these. */
    if (GROUP < 8 && m > few && m <= 3 * GROUP && n <= 2) return 0;
    for (ptrdiff_t i = 0, rows; i < m; i += rows) { /* some are computed twice */
        rows = m < ROWS || m - i <= few ? few : ROWS;
        switch (rows == ROWS ? n : 0) {
#define CASE(columns) case columns: columns_##columns(smaller(i, m - ROWS), first, p); break;
            CASE(1) CASE(2) CASE(3)
#if FEW_COLUMNS == 4
            CASE(4)
#endif
#undef CASE
            case 0: {
                const ptrdiff_t begin = smaller(i, m - GROUP), second = smaller(GROUP, m - GROUP - begin);
                few_columns(FEW_COLUMNS, FEW_GROUPS, begin, second, first, n, p);
            }
        }
    }
    finish(p, 0, first, m, n);
    return 1;
}
#else
GEMM_API int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    (void)p, (void)first, (void)n;
    return 0;
}
#endif

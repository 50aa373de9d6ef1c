/* dw keeps its sums in registers, columns of x by columns of x, for all rows, and dx is computed from what has been
 * read for it. As products, both read x, and dw, whose few columns fill no vector, is computed transposed. */
#include "narrow.h"
#include "pack.h"
#include "vectors.h"
#include "tape/call.h"

#if NARROW_COLUMNS
/* As in tile.c, and less than -O3 would write out. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2", "tree-vectorize", "no-unswitch-loops", "no-version-loops-for-strides")
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
#define MOST_VECTORS 2
#else
#define MOST_VECTORS 2
#endif
#define MOST_WIDTH (MOST_VECTORS * (VECTOR_BYTES / sizeof(real)))

/* Sums of one panel: [output][column]. */
typedef real Sums[NARROW_COLUMNS][MOST_WIDTH];

ALWAYS_INLINE void panel(const int n, const int vectors, ptrdiff_t first, ptrdiff_t width, real *restrict sums,
                         real total[NARROW_COLUMNS], const Narrow *p) {
    const int last = vectors - 1;
    const vec_mask mask = vec_first(width - last * LANES);
    const int is_whole = width == vectors * LANES, relu = p->relu;
    const ptrdiff_t x_row = p->x_row;
    const real *x = p->x + first, *dy = p->dy, *w = p->dx ? p->w + first * n : NULL;
    real *dx = p->dx ? p->dx + first : NULL;
    Sums by_columns;
    vec column[NARROW_COLUMNS][MOST_VECTORS], sum[NARROW_COLUMNS][MOST_VECTORS], of_dy[NARROW_COLUMNS];
    if (dx && is_whole) {
        for (int i = 0; i < vectors * (int)LANES; i++) {
            UNROLL for (int j = 0; j < n; j++) by_columns[j][i] = w[i * n + j];
        }
    } else if (dx) {
        pack(width, vectors * LANES, n, w, n, 1, by_columns[0], MOST_WIDTH);
    }
    UNROLL for (int j = 0; j < n; j++) {
        of_dy[j] = vec_broadcast(0);
        UNROLL for (int v = 0; v < vectors; v++) {
            sum[j][v] = vec_broadcast(0);
            column[j][v] = dx ? vec_load(by_columns[j] + v * LANES) : vec_broadcast(0);
        }
    }
    for (ptrdiff_t r = p->rows; r > 0; r--, x += x_row, dy += n) {
        vec s[NARROW_COLUMNS], number[MOST_VECTORS];
        UNROLL for (int v = 0; v < last; v++) number[v] = vec_load(x + v * LANES);
        number[last] = vec_load_first(x + last * LANES, mask);
        UNROLL for (int j = 0; j < n; j++) {
            s[j] = vec_broadcast(dy[j]);
            of_dy[j] = of_dy[j] + s[j];
            UNROLL for (int v = 0; v < vectors; v++) sum[j][v] = vec_fma(s[j], number[v], sum[j][v]);
        }
        if (dx) {
            UNROLL for (int v = 0; v < vectors; v++) {
                vec d = vec_broadcast(0);
                UNROLL for (int j = 0; j < n; j++) d = vec_fma(s[j], column[j][v], d);
                if (relu) d = where_positive(d, number[v]);
                if (v < last || LIKELY(is_whole)) vec_store(dx + v * LANES, d);
                else vec_store_first(dx + v * LANES, d, mask);
            }
            dx += x_row;
        }
    }
    UNROLL for (int j = 0; j < n; j++) {
        vec_store(by_columns[j], of_dy[j]);
        total[j] = by_columns[j][0];
        UNROLL for (int v = 0; v < vectors; v++) vec_store(by_columns[j] + v * LANES, sum[j][v]);
    }
    for (int i = 0; i < vectors * (int)LANES; i++) {
        UNROLL for (int j = 0; j < n; j++) sums[i * n + j] = by_columns[j][i];
    }
}

static NOINLINE void panel_of(ptrdiff_t vectors, ptrdiff_t first, ptrdiff_t width, real *sums,
                              real total[NARROW_COLUMNS], const Narrow *p) {
    switch (p->n_out * (MOST_VECTORS + 1) + vectors) {
#define CASE(n, vectors) \
    case (n) * (MOST_VECTORS + 1) + (vectors): panel(n, vectors, first, width, sums, total, p); break;
        CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(4, 1)
#if MOST_VECTORS == 2
        CASE(1, 2) CASE(2, 2) CASE(3, 2)
#endif
#undef CASE
    }
}

/* to (count) = sums, or what they update. */
static void keep(const Narrow *p, ptrdiff_t count, const real *sums, real *restrict to) {
    if (!p->update) {
        memcpy(to, sums, count * sizeof(real));
        return;
    }
    for (ptrdiff_t i = 0; i < count; i++) to[i] = real_fma(-p->rate, sums[i], to[i]);
}

GEMM_API void narrow_backward(const Narrow *p) {
    ALIGNED(64) real by_rows[NARROW_COLUMNS * MOST_WIDTH];
    real total[NARROW_COLUMNS];
    const ptrdiff_t n = p->n_out;
    const size_t before = subnormals_are_kept();
    for (ptrdiff_t first = 0, width; first < p->n_in; first += width) {
        width = smaller(MOST_WIDTH, p->n_in - first);
        if (width > LANES && (width < (ptrdiff_t)MOST_WIDTH || n == NARROW_COLUMNS)) width = LANES; /* registers */
        const ptrdiff_t vectors = width > LANES ? MOST_VECTORS : 1;
        panel_of(vectors, first, width, by_rows, total, p);
        keep(p, width * n, by_rows, p->dw + first * n);
    }
    if (p->db) keep(p, n, total, p->db);
    subnormals_as(before);
}
#else
GEMM_API void narrow_backward(const Narrow *p) { (void)p; }
#endif

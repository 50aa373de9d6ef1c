/* The matrix product c = a @ b + bias, by tiles of c that stay in registers.
 *
 * Shapes: a (m, k) and b (k, n) with any strides, so that x, its transpose, w and its transpose are all read where
 * they lie; c (m, n) with contiguous rows. Each element of c is one chain of multiply-adds,
 *
 *     c[i, j] = (0 + a[i, 0] b[0, j] + a[i, 1] b[1, j] + ... + a[i, k - 1] b[k - 1, j]) + bias[j],
 *
 * from left to right, whichever tile, tail or block it falls into: its bits depend neither on the tiling nor on how
 * callers split the rows of c between threads.
 *
 * A tile is TILE_ROWS rows x TILE_VECTORS vectors of c. For each p it loads TILE_VECTORS vectors of b, broadcasts one
 * number of a per row, and does TILE_ROWS * TILE_VECTORS multiply-adds.
 */
#ifndef FASTNN_GEMM_H
#define FASTNN_GEMM_H

#include "simd.h"
#if defined(__SSE2__) && !defined(FASTNN_SCALAR)
#include <immintrin.h>
#endif

#ifdef __GNUC__
#define UNROLL _Pragma("GCC unroll 32")
#define NOINLINE static __attribute__((noinline))
#else
#define UNROLL
#define NOINLINE static
#endif

/* ---- vectors ---------------------------------------------------------------------------------------------------- */

#ifdef FASTNN_SCALAR
#define vec_fma(a, b, c) real_fma(a, b, c)
#define vec_broadcast(x) (x)
#else
/* One vfmadd instruction (GCC 12 and Clang 14 recognize the loop), or a multiplication and an addition. */
ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    vec r;
    for (int l = 0; l < (int)LANES; l++) r[l] = real_fma(a[l], b[l], c[l]);
    return r;
#else
    return a * b + c;
#endif
}

ALWAYS_INLINE vec vec_broadcast(real x) { return x - (vec){0}; }
#endif

ALWAYS_INLINE vec vec_load(const real *p) { return *(const vec *)p; }
ALWAYS_INLINE void vec_store(real *p, vec v) { *(vec *)p = v; }

/* The first `count` lanes only, 0 <= count <= LANES; the others are loaded as zero and never touched in memory. */
#if defined(__AVX512F__) && !defined(FASTNN_SCALAR)
#define MASKED_LOADS 1 /* at the price of whole ones */
#if FASTNN_DOUBLE
typedef __mmask8 vec_mask;
#define vec_load_first(p, mask) ((vec)_mm512_maskz_loadu_pd(mask, p))
#define vec_store_first(p, v, mask) _mm512_mask_storeu_pd(p, mask, (__m512d)(v))
#else
typedef __mmask16 vec_mask;
#define vec_load_first(p, mask) ((vec)_mm512_maskz_loadu_ps(mask, p))
#define vec_store_first(p, v, mask) _mm512_mask_storeu_ps(p, mask, (__m512)(v))
#endif
#define vec_first(count) ((vec_mask)((1u << (count)) - 1))
#else
#define MASKED_LOADS 0
typedef ptrdiff_t vec_mask;
#define vec_first(count) (count)
ALWAYS_INLINE vec vec_load_first(const real *p, ptrdiff_t count) {
    if (LIKELY(count == LANES)) return vec_load(p);
    real lanes[VECTOR_BYTES / sizeof(real)] = {0};
    for (ptrdiff_t l = 0; l < count; l++) lanes[l] = p[l];
    return vec_load(lanes);
}
ALWAYS_INLINE void vec_store_first(real *p, vec v, ptrdiff_t count) {
    if (LIKELY(count == LANES)) {
        vec_store(p, v);
    } else {
        real lanes[VECTOR_BYTES / sizeof(real)];
        vec_store(lanes, v);
        for (ptrdiff_t l = 0; l < count; l++) p[l] = lanes[l];
    }
}
#endif

/* ---- one tile --------------------------------------------------------------------------------------------------- */

/* Accumulators, the vectors of b and one broadcast number of a fill the registers: 32 of them, or 16. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif
#define TILE_VECTORS 2

typedef struct {
    ptrdiff_t k;
    const real *a;
    ptrdiff_t a_row, a_col;
    ptrdiff_t a_next; /* from row i of one tile to row i + 1 of ...: a_row, or the length of one packed row */
    const real *b; /* columns contiguous */
    ptrdiff_t b_row;
    real *c;
    ptrdiff_t c_row;
    const real *bias; /* (n), added at the end, or NULL */
    int resume;       /* the chain starts from c instead of zero */
    ptrdiff_t width;  /* columns in the last vector of the tile, 1..LANES */
} Product;

/* c (rows, vectors * LANES) of product t. Rows are reached from every third one, which needs few address registers. */
ALWAYS_INLINE void tile(const int rows, const int vectors, const Product *t) {
    const vec_mask mask = vec_first(t->width);
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row, c_row = t->c_row;
    const real *b = t->b;
    const real *a[(TILE_ROWS + 2) / 3];
    vec sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int i = 0; i < rows; i += 3) a[i / 3] = t->a + i * a_row;
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = vec_broadcast(0);
    if (t->resume) {
        const real *c = t->c;
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors - 1; v++) sum[i][v] = vec_load(c + v * LANES);
            sum[i][vectors - 1] = vec_load_first(c + (vectors - 1) * LANES, mask);
            c += c_row;
            __asm__("" : "+r"(c));
        }
    }
    for (ptrdiff_t p = t->k; p > 0; p--) {
        vec x[TILE_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) {
            x[v] = MASKED_LOADS && v == vectors - 1 ? vec_load_first(b + v * LANES, mask) : vec_load(b + v * LANES);
        }
        UNROLL for (int i = 0; i < rows; i++) {
            const vec s = vec_broadcast(a[i / 3][i % 3 * a_row]);
            UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = vec_fma(s, x[v], sum[i][v]);
        }
        UNROLL for (int i = 0; i < rows; i += 3) a[i / 3] += a_col;
        b += b_row;
    }
    if (t->bias) {
        UNROLL for (int v = 0; v < vectors; v++) {
            const vec bias = v == vectors - 1 ? vec_load_first(t->bias + v * LANES, mask) : vec_load(t->bias + v * LANES);
            UNROLL for (int i = 0; i < rows; i++) sum[i][v] = sum[i][v] + bias;
        }
    }
    real *c = t->c;
    if (LIKELY(t->width == LANES)) { /* Zen 4 stores whole vectors twice as fast as masked ones */
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) vec_store(c + v * LANES, sum[i][v]);
            c += c_row;
            __asm__("" : "+r"(c));
        }
    } else {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors - 1; v++) vec_store(c + v * LANES, sum[i][v]);
            vec_store_first(c + (vectors - 1) * LANES, sum[i][vectors - 1], mask);
            c += c_row;
            __asm__("" : "+r"(c));
        }
    }
}


NOINLINE void tile_of(ptrdiff_t rows, ptrdiff_t vectors, const Product *t) {
#define CASE(rows) case rows: tile(rows, 1, t); break; case TILE_ROWS + rows: tile(rows, 2, t); break;
    switch (rows + TILE_ROWS * (vectors - 1)) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if TILE_ROWS == 12
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
    }
#undef CASE
}

/* Tiles of nearly equal height, because a tile of one or two rows waits for its own sums. */
static ptrdiff_t even_share(ptrdiff_t size, ptrdiff_t most) {
    if (size <= most) return size;
    const ptrdiff_t parts = (size + most - 1) / most;
    return (size + parts - 1) / parts;
}

/* c (m, one panel of columns). */
ALWAYS_INLINE void panel_product(ptrdiff_t m, ptrdiff_t rows, ptrdiff_t vectors, Product *t) {
    for (; m > rows; m -= rows) {
        tile_of(rows, vectors, t);
        t->a += rows * t->a_next;
        t->c += rows * t->c_row;
    }
    tile_of(m, vectors, t);
}

/* ---- packing ---------------------------------------------------------------------------------------------------- */

#define PANEL (TILE_VECTORS * LANES)

/* to (k, width) = the transpose of from (count, k); from_row and from_col are its strides; the columns of `to` beyond
 * `count` are zero. `count` is at most PANEL. */
#if defined(__SSE2__) && !defined(FASTNN_SCALAR)
/* Square blocks in 16-byte chunks: rows i and i + CHUNK share one 32-byte register, so that half of the shuffling is done by loads. Zen 4 shuffles and stores
 * 32 bytes at twice the rate of 64. */
#define CHUNK ((int)(16 / sizeof(real)))
#ifdef __AVX2__
#define GROUP (2 * CHUNK)
#define X86(name) _mm256_##name
typedef __m256 group_single;
typedef __m256d group_double;
ALWAYS_INLINE group_single two_chunks(const real *first, const real *second) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)first)), _mm_loadu_ps((const float *)second), 1);
}
#else
#define GROUP CHUNK
#define X86(name) _mm_##name
typedef __m128 group_single;
typedef __m128d group_double;
#define two_chunks(first, second) _mm_loadu_ps((const float *)(first))
#endif

ALWAYS_INLINE void store_group(real *to, group_double v, ptrdiff_t count) {
    if (LIKELY(count >= GROUP)) {
        X86(storeu_pd)((double *)to, v);
        return;
    }
#ifdef __AVX2__
    __m128d chunk = _mm256_castpd256_pd128(v);
    if (count & CHUNK) {
        _mm_storeu_pd((double *)to, chunk);
        chunk = _mm256_extractf128_pd(v, 1);
        to += CHUNK;
    }
#else
    __m128d chunk = v;
#endif
#if FASTNN_DOUBLE
    if (count & 1) _mm_store_sd(to, chunk);
#else
    if (count & 2) {
        _mm_storel_pd((double *)to, chunk);
        chunk = _mm_unpackhi_pd(chunk, chunk);
        to += 2;
    }
    if (count & 1) _mm_store_ss(to, _mm_castpd_ps(chunk));
#endif
}

ALWAYS_INLINE void pack_group(ptrdiff_t count, ptrdiff_t k, const real *from, ptrdiff_t from_row, real *to, ptrdiff_t to_row) {
    const real *rows[GROUP];
    UNROLL for (int i = 0; i < GROUP; i++) rows[i] = from + (i < count ? i : 0) * from_row;
    for (ptrdiff_t p = 0; p < k; p += CHUNK) {
        if (p > k - CHUNK) p = k - CHUNK; /* the last chunk overlaps the one before */
        real *out = to + p * to_row;
#define ROWS(i) two_chunks(rows[i] + p, rows[(i) + GROUP - CHUNK] + p)
#if FASTNN_DOUBLE
        const group_double r0 = X86(castps_pd)(ROWS(0)), r1 = X86(castps_pd)(ROWS(1));
        store_group(out, X86(unpacklo_pd)(r0, r1), count);
        store_group(out + to_row, X86(unpackhi_pd)(r0, r1), count);
#else
        const group_single r0 = ROWS(0), r1 = ROWS(1), r2 = ROWS(2), r3 = ROWS(3);
        const group_double lo01 = X86(castps_pd)(X86(unpacklo_ps)(r0, r1)), lo23 = X86(castps_pd)(X86(unpacklo_ps)(r2, r3));
        const group_double hi01 = X86(castps_pd)(X86(unpackhi_ps)(r0, r1)), hi23 = X86(castps_pd)(X86(unpackhi_ps)(r2, r3));
        store_group(out, X86(unpacklo_pd)(lo01, lo23), count);
        store_group(out + to_row, X86(unpackhi_pd)(lo01, lo23), count);
        store_group(out + 2 * to_row, X86(unpacklo_pd)(hi01, hi23), count);
        store_group(out + 3 * to_row, X86(unpackhi_pd)(hi01, hi23), count);
#endif
#undef ROWS
    }
}
#endif

NOINLINE void pack(ptrdiff_t count, ptrdiff_t width, ptrdiff_t k, const real *from, ptrdiff_t from_row, ptrdiff_t from_col, real *to, ptrdiff_t to_row) {
    if (count < width) {
        for (ptrdiff_t p = 0; p < k; p++) for (ptrdiff_t i = count; i < width; i++) to[p * to_row + i] = 0;
    }
    if (from_row == 1) {
        const vec_mask rest = vec_first(count % LANES);
        for (ptrdiff_t p = 0; p < k; p++) {
            ptrdiff_t i = 0;
            for (; i <= count - LANES; i += LANES) vec_store(to + i, vec_load(from + i));
            if (i < count) vec_store_first(to + i, vec_load_first(from + i, rest), rest);
            from += from_col;
            to += to_row;
        }
        return;
    }
#ifdef GROUP
    if (from_col == 1 && k >= CHUNK) {
        ptrdiff_t i = 0;
        for (; i <= count - GROUP; i += GROUP) pack_group(GROUP, k, from + i * from_row, from_row, to + i, to_row);
        if (i < count) pack_group(count - i, k, from + i * from_row, from_row, to + i, to_row);
        return;
    }
#endif
    for (ptrdiff_t p = 0; p < k; p++) for (ptrdiff_t i = 0; i < count; i++) to[p * to_row + i] = from[i * from_row + p * from_col];
}

/* ---- the three ways --------------------------------------------------------------------------------------------- */

#ifndef BLOCK_K
#define BLOCK_K 256
#endif
#define BLOCK_A ((ptrdiff_t)(192 * 1024 / sizeof(real)))
#define PANEL_SIZE (BLOCK_K * TILE_VECTORS * (VECTOR_BYTES / sizeof(real)))

/* b read where it lies. */
ALWAYS_INLINE void product_in_place(ptrdiff_t m, ptrdiff_t n, Product t) {
    const Product whole = t;
    const ptrdiff_t rows = even_share(m, TILE_ROWS);
    for (ptrdiff_t j = 0; j < n; j += PANEL) {
        const ptrdiff_t columns = n - j < PANEL ? n - j : PANEL, vectors = columns > LANES ? 2 : 1;
        t.a = whole.a;
        t.b = whole.b + j;
        t.c = whole.c + j;
        t.bias = whole.bias ? whole.bias + j : NULL;
        t.width = columns - (vectors - 1) * LANES;
        panel_product(m, rows, vectors, &t);
    }
}

/* c in blocks of k and of rows; b goes through one packed panel, a, where it is worth it, through a packed block. */
ALWAYS_INLINE void product_by_blocks(ptrdiff_t m, ptrdiff_t n, Product t, ptrdiff_t b_col, real *a_block, int pack_b) {
    real panel[PANEL_SIZE] __attribute__((aligned(64)));
    const Product whole = t;
    const ptrdiff_t k = whole.k, block_k = even_share(k, BLOCK_K), rows = even_share(m, TILE_ROWS);
    const ptrdiff_t block_m = a_block ? BLOCK_A / (block_k * rows) * rows : m;
    for (ptrdiff_t p = 0; p < k; p += block_k) {
        t.k = k - p < block_k ? k - p : block_k;
        t.resume = p > 0;
        for (ptrdiff_t i = 0; i < m; i += block_m) {
            const ptrdiff_t height = m - i < block_m ? m - i : block_m;
            const real *a = whole.a + i * whole.a_row + p * whole.a_col;
            if (a_block) {
                for (ptrdiff_t h = 0; h < height; h += rows) {
                    const ptrdiff_t count = height - h < rows ? height - h : rows;
                    pack(count, count, t.k, a + h * whole.a_row, whole.a_row, whole.a_col, a_block + h * t.k, rows);
                }
                a = a_block;
                t.a_row = 1;
                t.a_col = rows;
                t.a_next = t.k;
            }
            for (ptrdiff_t j = 0; j < n; j += PANEL) {
                const ptrdiff_t columns = n - j < PANEL ? n - j : PANEL, vectors = columns > LANES ? 2 : 1;
                t.a = a;
                t.c = whole.c + i * whole.c_row + j;
                t.bias = whole.bias && p + t.k == k ? whole.bias + j : NULL;
                t.width = columns - (vectors - 1) * LANES;
                t.b = whole.b + p * whole.b_row + j * b_col;
                t.b_row = whole.b_row;
                if (pack_b || (!MASKED_LOADS && t.width != LANES)) {
                    pack(columns, MASKED_LOADS ? columns : vectors * LANES, t.k, t.b, b_col, whole.b_row, panel, vectors * LANES);
                    t.b = panel;
                    t.b_row = vectors * LANES;
                }
                panel_product(height, rows, vectors, &t);
            }
        }
    }
}

NOINLINE void product_b_packed(ptrdiff_t m, ptrdiff_t n, Product t, ptrdiff_t b_col, int pack_b) { product_by_blocks(m, n, t, b_col, NULL, pack_b); }
NOINLINE void product_both_packed(ptrdiff_t m, ptrdiff_t n, Product t, ptrdiff_t b_col, int pack_b) {
    real a_block[BLOCK_A] __attribute__((aligned(64)));
    product_by_blocks(m, n, t, b_col, a_block, pack_b);
}

/* Few columns: the rows of c lie in the vectors, c.T (n, m) = b.T @ a.T. The chain of an element stays the same. */
NOINLINE void product_transposed(ptrdiff_t m, ptrdiff_t n, Product t, ptrdiff_t b_col) {
    real panel[PANEL_SIZE] __attribute__((aligned(64)));
    real sums[TILE_ROWS * TILE_VECTORS * (VECTOR_BYTES / sizeof(real))] __attribute__((aligned(64)));
    const Product whole = t;
    const ptrdiff_t k = whole.k, block_k = even_share(k, BLOCK_K);
    t.a_row = b_col;
    t.a_col = whole.b_row;
    t.c = sums;
    t.c_row = PANEL;
    t.bias = NULL;
    for (ptrdiff_t i = 0; i < m; i += PANEL) {
        const ptrdiff_t columns = m - i < PANEL ? m - i : PANEL, vectors = columns > LANES ? 2 : 1;
        t.width = columns - (vectors - 1) * LANES;
        for (ptrdiff_t p = 0; p < k; p += block_k) {
            t.k = k - p < block_k ? k - p : block_k;
            t.resume = p > 0;
            t.a = whole.b + p * whole.b_row;
            t.b = whole.a + i * whole.a_row + p * whole.a_col;
            t.b_row = whole.a_col;
            if (whole.a_row != 1 || (!MASKED_LOADS && t.width != LANES)) {
                pack(columns, MASKED_LOADS ? columns : vectors * LANES, t.k, t.b, whole.a_row, whole.a_col, panel, vectors * LANES);
                t.b = panel;
                t.b_row = vectors * LANES;
            }
            tile_of(n, vectors, &t);
        }
        if (whole.bias) {
            for (ptrdiff_t j = 0; j < n; j++) for (ptrdiff_t l = 0; l < columns; l++) sums[j * PANEL + l] += whole.bias[j];
        }
        pack(n, n, columns, sums, PANEL, 1, whole.c + i * whole.c_row, whole.c_row);
    }
}

/* ---- the product ------------------------------------------------------------------------------------------------ */

/* c (m, n) = a (m, k) @ b (k, n) + bias (n, or NULL); c is overwritten and overlaps no input. */
static void gemm(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col, const real *b,
                 ptrdiff_t b_row, ptrdiff_t b_col, const real *bias, real *c, ptrdiff_t c_row) {
    const Product t = {k, a, a_row, a_col, a_row, b, b_row, c, c_row, bias, 0, LANES};
    if (m <= 0 || n <= 0) return;
#ifndef PA
#define PA (n > 4 * PANEL && m * k > 16384)
#define PB (m > 2 * TILE_ROWS && n > 4 * PANEL && k > 128)
#endif
    if (k <= 0) { product_in_place(m, n, t); return; }
    const ptrdiff_t few = n % LANES;
    if (few > 0 && few <= LANES / 2 && m * k >= 16 * LANES) {
        Product last = t;
        n -= few;
        last.b += n * b_col;
        last.c += n;
        if (bias) last.bias += n;
        product_transposed(m, few, last, b_col);
        if (n == 0) return;
    }
    if (PA) product_both_packed(m, n, t, b_col, b_col != 1 || PB);
    else if (b_col != 1 || (!MASKED_LOADS && n % LANES != 0) || PB) product_b_packed(m, n, t, b_col, b_col != 1 || PB);
    else product_in_place(m, n, t);
}

#endif

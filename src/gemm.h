/* The matrix product c = a @ b + bias, or the step of gradient descent c -= rate * a @ b, in tiles of c that stay in
 * registers.
 *
 * a (m, k) and b (k, n) may have any strides, so that x, its transpose, w and its transpose are read where they lie,
 * and rows of x may be chosen by an index; c (m, n) has contiguous rows. Every element of c is one chain of multiply-adds, from left to right,
 *
 *     c[i, j] = (0 + a[i, 0] b[0, j] + a[i, 1] b[1, j] + ... + a[i, k - 1] b[k - 1, j]) + bias[j],
 *
 * whichever tile, tail or block it falls into: its bits depend neither on the tiling nor on how callers split the rows
 * or columns of c between threads. Blocks of k continue the chain from c; nothing sums partial sums. Four ways lead
 * through the same tiles (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3),
 * 2008, for the third):
 *     product_in_place    reads both operands where they lie: small and medium products;
 *     product_of_panels   packs as many columns of b as a tile reads, for all rows of a small a;
 *     product_in_blocks   packs b block by block into the order in which tiles read it, while the first ones do;
 *     product_transposed  for the few columns that would fill no vector: c.T = b.T @ a.T,
 * and two beside them: product_of_row, where one row of a meets a large b, and product_of_short_chains, for dx of a
 * layer of few outputs.
 *
 * The exception is product_of_dots: up to 3 columns and long contiguous rows of a, as in a layer with one output, and
 * dx of a batch of one row, whose elements are the products of that row and the rows of w. A chain would need a or w
 * transposed first, which costs more than the product. There an element is a dot product that runs in LANES chains,
 * whose sums are added as a tree, one block of k after the other. What decides is n, k and a_col, and never m: rows may
 * be split as one likes, but columns only into parts of more than 3. No part of a product can know that there is only
 * one row: the caller says so (one_row).
 */
#ifndef FASTNN_GEMM_H
#define FASTNN_GEMM_H

#include "math/simd.h"
#if defined(__SSE2__) && !defined(FASTNN_SCALAR)
#include <immintrin.h>
#endif

#ifdef __GNUC__
#define NOINLINE static __attribute__((noinline))
#define PREFETCH_TO_WRITE(address) __builtin_prefetch(address, 1, 3) /* into the first-level cache */
#define IN_ORDER(pointer) __asm__("" : "+r"(pointer)) /* else GCC computes all row addresses at once and spills them */
#else
#define NOINLINE static
#define PREFETCH_TO_WRITE(address) (void)(address)
#define IN_ORDER(pointer) (void)(pointer)
#endif

typedef struct {
    ptrdiff_t m, n, k;
    const real *a; /* a[i, p] = a[i * a_row + p * a_col], i < m, p < k */
    ptrdiff_t a_row, a_col;
    const int64_t *a_rows; /* (m) or NULL: a_rows[i] stands for i, and a_col is 1: chosen rows of an array; no update */
    const int64_t *a_cols; /* (k) or NULL: a_cols[p] stands for p, and a_row is 1: their transpose; b_col is 1 for both */
    const int64_t *a_next; /* (k) or NULL: a_cols of the next product, which come from memory meanwhile */
    const real *b; /* b[p, j] = b[p * b_row + j * b_col], j < n */
    ptrdiff_t b_row, b_col;
    const real *bias; /* (n), added at the end of the chain, or NULL */
    real *c;          /* c[i, j] = c[i * c_row + j]; overlaps no input */
    ptrdiff_t c_row;
    int update; /* c = c - rate * chain, in one multiply-add; without bias and finish */
    real rate;
    real *b_sum; /* (n): the sums of the rows of b, from the first to the last (or what they update), or NULL */
    /* Called for each rectangle of c that is complete, while it is in the cache, or NULL. The rectangles cover c
     * exactly once; a contiguous c of up to 32 KB is one rectangle. */
    void (*finish)(const void *context, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns);
    const void *context;
    int one_row; /* m is 1 because there is one row, and not because rows are split: elements may be dot products */
} Product;

/* ---- Vectors ---------------------------------------------------------------------------------------------------- */

#ifdef FASTNN_SCALAR
#define vec_fma(a, b, c) real_fma(a, b, c)
#define vec_broadcast(x) (x)
#else
/* One vfmadd instruction (GCC 12 and Clang 14 recognize the loop), or a multiplication and an addition. */
ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    vec sum;
    UNROLL for (int lane = 0; lane < (int)LANES; lane++) sum[lane] = real_fma(a[lane], b[lane], c[lane]);
    return sum;
#else
    return a * b + c;
#endif
}

ALWAYS_INLINE vec vec_broadcast(real x) { return x - (vec){0}; /* x + 0 would turn -0 into 0 */ }
#endif

ALWAYS_INLINE vec vec_load(const real *p) { return *(const vec *)p; }
ALWAYS_INLINE void vec_store(real *p, vec v) { *(vec *)p = v; }

/* The first lanes of a vector, chosen by vec_first(count), 0 <= count <= LANES; memory beyond them is not touched.
 * MASKED_LOADS is 2 where a masked load costs what a whole one costs, 1 where it costs a little more (10 % of a tile
 * with AVX2), and 0 where it is so slow that the tail of b is packed instead. */
#if defined(__AVX512F__) && !defined(FASTNN_SCALAR)
#define MASKED_LOADS 2
#define vec_first(count) ((vec_mask)((1u << (count)) - 1))
#if FASTNN_DOUBLE
typedef __mmask8 vec_mask;
#define vec_load_first(p, mask) ((vec)_mm512_maskz_loadu_pd(mask, p))
#define vec_store_first(p, v, mask) _mm512_mask_storeu_pd(p, mask, (__m512d)(v))
#else
typedef __mmask16 vec_mask;
#define vec_load_first(p, mask) ((vec)_mm512_maskz_loadu_ps(mask, p))
#define vec_store_first(p, v, mask) _mm512_mask_storeu_ps(p, mask, (__m512)(v))
#endif
#elif defined(__AVX2__) && !defined(FASTNN_SCALAR)
#define MASKED_LOADS 1
typedef __m256i vec_mask;
#if FASTNN_DOUBLE
#define vec_first(count) _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3))
#define vec_load_first(p, mask) ((vec)_mm256_maskload_pd(p, mask))
#define vec_store_first(p, v, mask) _mm256_maskstore_pd(p, mask, (__m256d)(v))
#else
#define vec_first(count) _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define vec_load_first(p, mask) ((vec)_mm256_maskload_ps(p, mask))
#define vec_store_first(p, v, mask) _mm256_maskstore_ps(p, mask, (__m256)(v))
#endif
#else
#define MASKED_LOADS 0
#define vec_first(count) (count)
typedef ptrdiff_t vec_mask;
ALWAYS_INLINE vec vec_load_first(const real *p, vec_mask count) {
    if (LIKELY(count == LANES)) return vec_load(p);
    real lanes[VECTOR_BYTES / sizeof(real)] = {0};
    for (ptrdiff_t lane = 0; lane < count; lane++) lanes[lane] = p[lane];
    return vec_load(lanes);
}
ALWAYS_INLINE void vec_store_first(real *p, vec v, vec_mask count) {
    real lanes[VECTOR_BYTES / sizeof(real)];
    vec_store(lanes, v);
    for (ptrdiff_t lane = 0; lane < count; lane++) p[lane] = lanes[lane];
}
#endif

ALWAYS_INLINE ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* ---- Transposing ------------------------------------------------------------------------------------------------ */

#if defined(__SSE2__) && !defined(FASTNN_SCALAR)
/* Transposes in groups of 8 rows (4 of double; half of that without AVX): 16 bytes of row i and of row i + GROUP / 2
 * share a register, so that loads do half of the shuffling. Never 64 bytes: Zen 4 shuffles and stores 32 twice as
 * fast. */
#define CHUNK ((int)(16 / sizeof(real)))
#ifdef __AVX2__
#define GROUP (2 * CHUNK)
#define X86(name) _mm256_##name
typedef __m256 group_single;
typedef __m256d group_double;
ALWAYS_INLINE group_single two_chunks(const real *first, const real *second) {
    const group_single low = _mm256_castps128_ps256(_mm_loadu_ps((const float *)first));
    return _mm256_blend_ps(low, _mm256_broadcast_ps((const __m128 *)second), 0xf0);
}
#else
#define GROUP CHUNK
#define X86(name) _mm_##name
typedef __m128 group_single;
typedef __m128d group_double;
#define two_chunks(first, second) _mm_loadu_ps((const float *)(first))
#endif

/* column (CHUNK, GROUP) = the transpose of row; row[i] holds a chunk of row i and one of row i + GROUP - CHUNK. */
ALWAYS_INLINE void transpose(const group_single row[CHUNK], group_double column[CHUNK]) {
#if FASTNN_DOUBLE
    column[0] = X86(unpacklo_pd)(X86(castps_pd)(row[0]), X86(castps_pd)(row[1]));
    column[1] = X86(unpackhi_pd)(X86(castps_pd)(row[0]), X86(castps_pd)(row[1]));
#else
    const group_double low01 = X86(castps_pd)(X86(unpacklo_ps)(row[0], row[1]));
    const group_double low23 = X86(castps_pd)(X86(unpacklo_ps)(row[2], row[3]));
    const group_double high01 = X86(castps_pd)(X86(unpackhi_ps)(row[0], row[1]));
    const group_double high23 = X86(castps_pd)(X86(unpackhi_ps)(row[2], row[3]));
    column[0] = X86(unpacklo_pd)(low01, low23);
    column[1] = X86(unpackhi_pd)(low01, low23);
    column[2] = X86(unpacklo_pd)(high01, high23);
    column[3] = X86(unpackhi_pd)(high01, high23);
#endif
}
#endif

/* ---- Packing ---------------------------------------------------------------------------------------------------- */

#ifdef GROUP
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
        memcpy(to, &chunk, 8);
        chunk = _mm_unpackhi_pd(chunk, chunk);
        to += 2;
    }
    if (count & 1) _mm_store_ss(to, _mm_castpd_ps(chunk));
#endif
}

/* to (k, count) = the transpose of the first k <= CHUNK numbers of each row; CHUNK of them are read. */
ALWAYS_INLINE void pack_chunks(ptrdiff_t count, ptrdiff_t k, const real *const row[GROUP], real *to, ptrdiff_t to_row) {
    group_single chunks[CHUNK];
    group_double column[CHUNK];
    UNROLL for (int i = 0; i < CHUNK; i++) chunks[i] = two_chunks(row[i], row[i + GROUP - CHUNK]);
    transpose(chunks, column);
    UNROLL for (int q = 0; q < CHUNK; q++) {
        if (q < k) store_group(to + q * to_row, column[q], count);
    }
}

/* to (k, GROUP) = the transpose of from (GROUP, k), k >= CHUNK. */
ALWAYS_INLINE void pack_group(ptrdiff_t k, const real *from, ptrdiff_t from_row, real *to, ptrdiff_t to_row) {
    const real *first = from, *second = from + (GROUP - CHUNK) * from_row;
    ptrdiff_t step = (k - 1) % CHUNK + 1; /* the second chunk overlaps the first, so that the last one ends at k */
    for (ptrdiff_t left = k; left > 0; left -= step, step = CHUNK) {
        const real *row[GROUP];
        UNROLL for (int i = 0; i < CHUNK; i++) {
            row[i] = first + i * from_row;
            row[i + GROUP - CHUNK] = second + i * from_row;
        }
        pack_chunks(GROUP, CHUNK, row, to, to_row);
        first += step;
        second += step;
        to += step * to_row;
        IN_ORDER(first);
        IN_ORDER(second);
    }
}

/* The same for fewer rows than GROUP; the first one stands for those that are missing. */
ALWAYS_INLINE void pack_rest(ptrdiff_t count, ptrdiff_t k, const real *from, ptrdiff_t from_row, real *to,
                             ptrdiff_t to_row) {
    ptrdiff_t step = (k - 1) % CHUNK + 1;
    for (ptrdiff_t p = 0; p < k; p += step, to += step * to_row, step = CHUNK) {
        const real *row[GROUP];
        UNROLL for (int i = 0; i < GROUP; i++) row[i] = from + (i < count ? i * from_row : 0) + p;
        pack_chunks(count, CHUNK, row, to, to_row);
    }
}
#endif

/* to (k, width) = the transpose of from (count, k), which has any strides; columns from `count` to `width` are 0. */
NOINLINE void pack(ptrdiff_t count, ptrdiff_t width, ptrdiff_t k, const real *from, ptrdiff_t from_row,
                   ptrdiff_t from_col, real *to, ptrdiff_t to_row) {
    for (ptrdiff_t p = 0; count < width && p < k; p++) {
        for (ptrdiff_t i = count; i < width; i++) to[p * to_row + i] = 0;
    }
    if (from_row == 1) {
        const ptrdiff_t whole = count / LANES * LANES;
        const vec_mask mask = vec_first(count - whole);
        for (ptrdiff_t p = 0; p < k; p++, from += from_col, to += to_row) {
            for (ptrdiff_t i = 0; i < whole; i += LANES) vec_store(to + i, vec_load(from + i));
            if (MASKED_LOADS && whole < count) vec_store_first(to + whole, vec_load_first(from + whole, mask), mask);
            for (ptrdiff_t i = whole; !MASKED_LOADS && i < count; i++) to[i] = from[i];
        }
        return;
    }
#ifdef GROUP
    if (from_col == 1 && k < CHUNK && k + from_row >= CHUNK) { /* reads on into the row that follows */
        for (; count > GROUP; count -= GROUP, from += GROUP * from_row, to += GROUP) {
            const real *row[GROUP];
            UNROLL for (int i = 0; i < GROUP; i++) row[i] = from + i * from_row;
            pack_chunks(GROUP, k, row, to, to_row);
        }
    }
    if (from_col == 1 && k >= CHUNK) {
        for (; count >= GROUP; count -= GROUP, from += GROUP * from_row, to += GROUP) {
            pack_group(k, from, from_row, to, to_row);
        }
        if (count > GROUP / 4) {
            pack_rest(count, k, from, from_row, to, to_row);
            return;
        }
    }
#endif
    for (ptrdiff_t p = 0; p < k; p++) {
        for (ptrdiff_t i = 0; i < count; i++) to[p * to_row + i] = from[i * from_row + p * from_col];
    }
}

/* ---- One tile --------------------------------------------------------------------------------------------------- */

/* A tile is up to TILE_ROWS rows of 1 or 2 vectors: 24 of 32 registers, or 12 of 16, hold its sums, the others the
 * vectors of b and one broadcast number of a. One or two rows would wait for their own sums (a multiply-add takes
 * four cycles and starts every cycle): they get 4 vectors. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif
#define TILE_VECTORS 2
#define FEW_ROWS 2
#define FEW_ROWS_VECTORS 4
#define PANEL_COLUMNS (TILE_VECTORS * (VECTOR_BYTES / sizeof(real)))
#define PANEL ((ptrdiff_t)PANEL_COLUMNS) /* b is packed into panels as wide as a tile, each (k, PANEL) */

/* A tile, or a column of tiles below each other. */
typedef struct {
    ptrdiff_t k;
    const real *a;
    ptrdiff_t a_row, a_col;
    const int64_t *a_rows, *a_cols, *a_next; /* as in Product, from the first row and step on */
    const real *b;                           /* columns contiguous */
    ptrdiff_t b_row;
    real *c;
    ptrdiff_t c_row;
    const real *bias; /* added at the end of the chain, or NULL */
    int resume;       /* the chain starts from c instead of zero */
    int update;
    real rate;
    ptrdiff_t width;  /* columns in the last vector, 1..LANES */
} Tile;

/* How many rows of a share an address register. */
enum {
    BY_ROWS = 1,            /* a_rows: they are anywhere, and the step is counted in another register */
    BY_STRIDE = 3,          /* needs the fewest */
    BY_COLUMNS = TILE_ROWS, /* a_cols: their numbers lie beside each other */
};

/* One step of all chains of a tile; x is the row of b. */
ALWAYS_INLINE void tile_step(const int rows, const int vectors, const int masked, const int by, const vec_mask mask,
                             const real *a[TILE_ROWS], ptrdiff_t a_row, ptrdiff_t a_col, ptrdiff_t *at, const real *b,
                             vec x[FEW_ROWS_VECTORS], vec sum[TILE_ROWS][FEW_ROWS_VECTORS]) {
    const int last = vectors - 1;
    UNROLL for (int v = 0; v < last; v++) x[v] = vec_load(b + v * LANES);
    x[last] = masked ? vec_load_first(b + last * LANES, mask) : vec_load(b + last * LANES);
    const real *const *row = a;
    if (by == BY_ROWS) IN_ORDER(row); /* else GCC spills them to vector registers, and reads these more slowly */
    UNROLL for (int i = 0; i < rows; i++) {
        const vec s = vec_broadcast(by == BY_ROWS ? row[i][*at] : a[i / by][i % by * (by == BY_STRIDE ? a_row : 1)]);
        UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = vec_fma(s, x[v], sum[i][v]);
    }
    if (by == BY_ROWS) ++*at;
    UNROLL for (int i = 0; by != BY_ROWS && i < rows; i += by) a[i / by] += a_col;
}

/* The first of many tiles that read the same panel of b, or the same rows of a, packs them for the others: loads,
 * stores and shuffles take place beside its multiply-adds, and memory is waited for beside them. */
enum {
    READING,
    COPYING_B,         /* rows of b, while they are read */
    TRANSPOSING_B,     /* columns of b, some steps before they are read */
    COPYING_A_ROWS,    /* a_col == 1: to rows that are A_APART apart, some steps before they are read */
    COPYING_A_COLUMNS, /* a_row == 1: to columns of TILE_ROWS */
};
typedef struct {
    real *to;
    const real *from;        /* step `packed` of the first row or column of several, of which the next is `apart`: */
    ptrdiff_t apart, packed; /* before it they are packed, and a multiple of SPAN or A_SPAN steps is left */
} Packing;

/* As far ahead as memory is away, in steps. Prefetches touch the last number of a line's length, since the first line
 * of what lies across lines has come with its neighbour; at the end they go on with what the next tile packs. */
#define AHEAD 32
#define LINES_AHEAD 48 /* of several lines each, along their rows */

/* SPAN steps of LINES columns, a line of each, are transposed at a time: where columns lie a power of two apart, more
 * lines would drive each other out of the first-level cache. All PANEL columns take SPAN steps of the tile. This needs
 * 32 registers; with 16, packing beforehand is as fast. */
#if defined(GROUP) && TILE_ROWS == 12
#define SPAN CACHE_LINE
#define LINES 4
#define LINES_STEPS (SPAN * LINES / PANEL)

/* to (SPAN, LINES) = the transpose of from (LINES, SPAN), beside one of LINES_STEPS steps: double takes part in each,
 * float, whose shuffles are twice as many, is faster all at once. */
ALWAYS_INLINE void transpose_lines(const int step, const real *from, ptrdiff_t from_row, real *to) {
#if FASTNN_DOUBLE
    const int part = SPAN / LINES_STEPS;
    UNROLL for (int p = step * part; p < (step + 1) * part; p += CHUNK) {
        const real *row[GROUP];
        UNROLL for (int i = 0; i < GROUP; i++) row[i] = from + i * from_row + p;
        pack_chunks(GROUP, CHUNK, row, to + p * PANEL, PANEL);
    }
#else
    /* A register holds 2 chunks of one row: multiply-adds keep the units busy that would blend, but not stores. */
    UNROLL for (int p = 0; step == 0 && p < SPAN; p += GROUP, to += GROUP * PANEL) {
        group_single row[CHUNK];
        group_double column[CHUNK];
        const real *line = from + p;
        UNROLL for (int i = 0; i < CHUNK; i++, line += from_row) {
            IN_ORDER(line);
            row[i] = _mm256_loadu_ps(line);
        }
        transpose(row, column);
        UNROLL for (int q = 0; q < CHUNK; q++) {
            _mm_storeu_pd((double *)(to + q * PANEL), _mm256_castpd256_pd128(column[q]));
            _mm_storeu_pd((double *)(to + (CHUNK + q) * PANEL), _mm256_extractf128_pd(column[q], 1));
        }
    }
#endif
}
#endif

#define BLOCK_K 512
#define A_APART (BLOCK_K + CACHE_LINE) /* consecutive rows begin in different sets of the first-level cache */
#define A_SPAN 16                      /* steps in which up to 16 rows of a are copied, one each */

/* The chains of one tile over all of k. */
ALWAYS_INLINE void tile_sums(const int rows, const int vectors, const int masked, const int way, const int by,
                             const vec_mask mask, const Tile *t, const Packing *packing,
                             vec sum[TILE_ROWS][FEW_ROWS_VECTORS]) {
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    const real *a[TILE_ROWS], *b = t->b;
    real *to = way == READING ? NULL : packing->to;
    const real *next = way == COPYING_B ? b + AHEAD * b_row : t->a + AHEAD * a_col;
    vec x[FEW_ROWS_VECTORS];
    ptrdiff_t p = t->k, at = 0;
    UNROLL for (int i = 0; i < rows; i += by) a[i / by] = t->a + (by == BY_ROWS ? t->a_rows[i] : i) * a_row;
#ifdef SPAN
    if (way == TRANSPOSING_B) {
        const real *from = packing->from;
        const ptrdiff_t from_row = packing->apart, packed = packing->packed;
        ptrdiff_t ahead = LINES_AHEAD;
        to += packed * PANEL;
        for (ptrdiff_t column = 0; p > packed; p -= LINES_STEPS) {
            if (p == packed + LINES_AHEAD) ahead += PANEL * from_row - t->k; /* the next panel */
            UNROLL for (int step = 0; step < LINES_STEPS; step++, b += PANEL) {
                tile_step(rows, vectors, masked, by, mask, a, a_row, a_col, &at, b, x, sum);
                for (ptrdiff_t l = 0; l < PANEL; l += CACHE_LINE) {
                    PREFETCH_TO_WRITE(b + (packed + SPAN / 2) * PANEL + l);
                }
                transpose_lines(step, from, from_row, to);
            }
            UNROLL for (int i = 0; i < LINES; i++) PREFETCH(from + i * from_row + ahead);
            from += LINES * from_row;
            to += LINES;
            column += LINES;
            if (column == PANEL) {
                column = 0;
                from += SPAN - PANEL * from_row;
                to += (SPAN - 1) * PANEL;
            }
        }
    }
#endif
    if (way == COPYING_A_ROWS) {
        const real *from = packing->from;
        const ptrdiff_t from_row = packing->apart, packed = packing->packed;
        to += packed;
        for (; p > packed; p -= A_SPAN, from += A_SPAN, to += A_SPAN) {
            const ptrdiff_t left = p - packed;
            const ptrdiff_t ahead = left > LINES_AHEAD ? LINES_AHEAD : LINES_AHEAD - t->k + rows * from_row;
            for (int i = 0; i < A_SPAN; i++, b += b_row) {
                tile_step(rows, vectors, masked, by, mask, a, a_row, a_col, &at, b, x, sum);
                if (i >= rows) continue;
                const real *const row = from + i * from_row;
                for (ptrdiff_t l = 0; l < A_SPAN; l += LANES) vec_store(to + i * A_APART + l, vec_load(row + l));
                PREFETCH(row + ahead);
            }
        }
    }
    for (; p > 0; p--, b += b_row) {
        if (by == BY_COLUMNS) {
            a[0] = t->a + t->a_cols[t->k - p] * a_col;
            if (t->a_next) PREFETCH(t->a + t->a_next[t->k - p] * a_col + rows - 1);
        }
        if (way == COPYING_A_COLUMNS) {
            if (p == AHEAD) next = t->a + rows;
            PREFETCH(next);
            PREFETCH(next + rows - 1);
            next += a_col;
            memcpy(to, a[0], rows * sizeof(real));
            to += rows;
        }
        tile_step(rows, vectors, masked, by, mask, a, a_row, a_col, &at, b, x, sum);
        if (way == COPYING_B) {
            if (p == AHEAD) next = t->b + PANEL;
            for (ptrdiff_t l = 0; l < PANEL; l += CACHE_LINE) PREFETCH(next + l + CACHE_LINE - 1);
            next += b_row;
            UNROLL for (int v = 0; v < vectors; v++) vec_store(to + v * LANES, x[v]);
            to += PANEL;
        }
    }
}

ALWAYS_INLINE void tile(const int rows, const int vectors, const int way, const int by, const Tile *t,
                        const Packing *packing) {
    const int last = vectors - 1;
    const vec_mask mask = vec_first(t->width);
    const ptrdiff_t c_row = t->c_row;
    real *c = t->c;
    vec sum[TILE_ROWS][FEW_ROWS_VECTORS];

    if (t->resume) {
        const real *start = c;
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < last; v++) sum[i][v] = vec_load(start + v * LANES);
            sum[i][last] = vec_load_first(start + last * LANES, mask);
            start += c_row;
            IN_ORDER(start);
        }
    } else {
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = vec_broadcast(0);
    }

    if (way != READING) tile_sums(rows, vectors, 0, way, by, mask, t, packing, sum);
    else if (MASKED_LOADS == 1 && t->width < LANES) tile_sums(rows, vectors, 1, READING, by, mask, t, NULL, sum);
    else tile_sums(rows, vectors, MASKED_LOADS == 2, READING, by, mask, t, NULL, sum);

    if (t->bias) {
        UNROLL for (int v = 0; v < vectors; v++) {
            const vec bias = v < last ? vec_load(t->bias + v * LANES) : vec_load_first(t->bias + v * LANES, mask);
            UNROLL for (int i = 0; i < rows; i++) sum[i][v] = sum[i][v] + bias;
        }
    }
    if (t->update) {
        const vec step = vec_broadcast(-t->rate);
        const real *start = c;
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < last; v++) sum[i][v] = vec_fma(step, sum[i][v], vec_load(start + v * LANES));
            sum[i][last] = vec_fma(step, sum[i][last], vec_load_first(start + last * LANES, mask));
            start += c_row;
            IN_ORDER(start);
        }
    }
    if (LIKELY(t->width == LANES)) { /* Zen 4 stores a whole vector twice as fast as a masked one */
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) vec_store(c + v * LANES, sum[i][v]);
            c += c_row;
            IN_ORDER(c);
        }
    } else {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < last; v++) vec_store(c + v * LANES, sum[i][v]);
            vec_store_first(c + last * LANES, sum[i][last], mask);
            c += c_row;
            IN_ORDER(c);
        }
    }
}

NOINLINE void tile_of(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) {
#define SHAPE(rows, vectors, by) (((vectors) * (TILE_ROWS + 1) + (rows)) * (TILE_ROWS + 1) + (by))
#define CASE_BY(rows, vectors, by) case SHAPE(rows, vectors, by): tile(rows, vectors, READING, by, t, NULL); break;
#define CASE(rows, vectors) \
    CASE_BY(rows, vectors, BY_ROWS) CASE_BY(rows, vectors, BY_STRIDE) CASE_BY(rows, vectors, BY_COLUMNS)
#define CASES(rows) CASE(rows, 1) CASE(rows, 2)
    switch (SHAPE(rows, vectors, t->a_rows ? BY_ROWS : t->a_cols ? BY_COLUMNS : BY_STRIDE)) {
        CASE(1, 4) CASE(2, 4)
        CASES(1) CASES(2) CASES(3) CASES(4) CASES(5) CASES(6)
#if TILE_ROWS == 12
        CASES(7) CASES(8) CASES(9) CASES(10) CASES(11) CASES(12)
#endif
    }
#undef CASES
#undef CASE
#undef CASE_BY
#undef SHAPE
}

/* TILE_ROWS rows and PANEL columns. */
NOINLINE void first_tile(int way, const Tile *t, const Packing *packing) {
    switch (way) {
#define CASE(way) case way: tile(TILE_ROWS, TILE_VECTORS, way, BY_STRIDE, t, packing); break;
        CASE(COPYING_B) CASE(COPYING_A_ROWS) CASE(COPYING_A_COLUMNS)
#ifdef SPAN
        CASE(TRANSPOSING_B)
#endif
#undef CASE
    }
}

/* The tile packs the columns of b that it reads, which have any strides, into `panel` (k, PANEL). */
NOINLINE void tile_packing_b(Tile *t, const real *b, ptrdiff_t b_row, ptrdiff_t b_col, real *panel) {
    Packing packing = {panel, b, b_col, 0};
    t->b = panel;
    t->b_row = PANEL;
    if (b_col == 1) {
        t->b = b;
        t->b_row = b_row;
        first_tile(COPYING_B, t, &packing);
        return;
    }
#ifdef SPAN
    if (b_row == 1 && t->k >= 2 * SPAN) {
        packing.packed = SPAN + t->k % SPAN;
        packing.from = b + packing.packed;
        pack(PANEL, PANEL, packing.packed, b, b_col, b_row, panel, PANEL);
        first_tile(TRANSPOSING_B, t, &packing);
        return;
    }
#endif
    pack(PANEL, PANEL, t->k, b, b_col, b_row, panel, PANEL);
    tile_of(TILE_ROWS, TILE_VECTORS, t);
}

/* The tiles that follow read the packed rows of a. */
ALWAYS_INLINE void read_packed_a(Tile *t, const real *packed) {
    t->a = packed;
    t->a_row = t->a_col == 1 ? A_APART : 1;
    if (t->a_col != 1) t->a_col = TILE_ROWS;
}

/* The tile packs the rows of a that it reads; k <= BLOCK_K. */
ALWAYS_INLINE void tile_packing_a(Tile *t, real *packed) {
    const ptrdiff_t steps = t->a_col == 1 ? smaller(A_SPAN + t->k % A_SPAN, t->k) : 0;
    const Packing packing = {packed, t->a + steps, t->a_row, steps};
    if (t->a_col == 1) {
        pack(steps, steps, TILE_ROWS, t->a, 1, t->a_row, packed, A_APART);
        read_packed_a(t, packed);
        first_tile(COPYING_A_ROWS, t, &packing);
    } else {
        first_tile(COPYING_A_COLUMNS, t, &packing);
        read_packed_a(t, packed);
    }
}

/* The same beforehand, for up to TILE_ROWS rows. */
ALWAYS_INLINE void pack_a(ptrdiff_t rows, Tile *t, real *packed) {
    if (t->a_col == 1) pack(t->k, t->k, rows, t->a, 1, t->a_row, packed, A_APART);
    else pack(rows, rows, t->k, t->a, 1, t->a_col, packed, TILE_ROWS);
    read_packed_a(t, packed);
}

/* The largest of nearly equal parts of `size`, each at most `most`: 13 rows are 7 + 6, because 12 + 1 is slower. */
ALWAYS_INLINE ptrdiff_t even_part(ptrdiff_t size, ptrdiff_t most) {
    if (size <= most) return size;
    const ptrdiff_t parts = (size + most - 1) / most;
    return (size + parts - 1) / parts;
}

/* How many vectors the next tile has, and how many columns, at most `left`; sets the width of the last vector. */
ALWAYS_INLINE ptrdiff_t tile_columns(ptrdiff_t rows, ptrdiff_t left, ptrdiff_t *vectors, Tile *t) {
    *vectors = rows <= FEW_ROWS && left > 3 * LANES ? FEW_ROWS_VECTORS : left > LANES ? TILE_VECTORS : 1;
    const ptrdiff_t columns = smaller(left, *vectors * LANES);
    t->width = columns - (*vectors - 1) * LANES;
    return columns;
}

/* ---- Four ways through the tiles ------------------------------------------------------------------------------- */

/* The whole product as one tile, which the four ways cut to size. */
ALWAYS_INLINE Tile whole_tile(const Product *p) {
    const Tile t = {.k = p->k, .a = p->a, .a_row = p->a_row, .a_col = p->a_col, .a_rows = p->a_rows, .a_cols = p->a_cols,
                    .b = p->b, .b_row = p->b_row, .c = p->c, .c_row = p->c_row, .bias = p->bias, .update = p->update,
                    .rate = p->rate, .width = LANES};
    return t;
}

/* Let the tile begin at row i and step q of a. */
ALWAYS_INLINE void begin_at(Tile *t, const Product *p, ptrdiff_t i, ptrdiff_t q) {
    t->a = p->a + (p->a_rows ? 0 : i * p->a_row) + (p->a_cols ? 0 : q * p->a_col);
    if (p->a_rows) t->a_rows = p->a_rows + i;
    if (p->a_cols) t->a_cols = p->a_cols + q;
}

ALWAYS_INLINE void finish(const Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns) {
    if (p->finish) p->finish(p->context, i, j, rows, columns);
}

#define FINISHED_ROWS 192 /* of a panel of c: up to 24 KB */

/* The n columns of c from `first` on; p->b begins at the first of them, with contiguous rows, which without masked
 * loads can be read up to a multiple of LANES. */
ALWAYS_INLINE void product_in_place(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    const ptrdiff_t m = p->m, rows = even_part(m, TILE_ROWS);
    const ptrdiff_t block_m = p->finish ? FINISHED_ROWS / rows * rows : m;
    Tile t = whole_tile(p);
    for (ptrdiff_t i = 0; i < m; i += block_m) {
        const ptrdiff_t height = smaller(block_m, m - i);
        for (ptrdiff_t j = 0, columns, vectors; j < n; j += columns) {
            columns = tile_columns(rows, n - j, &vectors, &t);
            t.a_next = j == 0 ? p->a_next : NULL;
            t.b = p->b + j;
            t.c = p->c + i * p->c_row + first + j;
            if (p->bias) t.bias = p->bias + first + j;
            for (ptrdiff_t h = 0; h < height; h += rows) {
                begin_at(&t, p, i + h, 0);
                tile_of(smaller(rows, height - h), vectors, &t);
                t.c += rows * t.c_row;
            }
            finish(p, i, first + j, height, columns);
        }
    }
}

/* c += a (1, count) @ b (count, n): the chains go on with count = 1 or STREAMED_ROWS rows of b, side by side. */
#define STREAMED_ROWS 8
ALWAYS_INLINE void stream(const int count, ptrdiff_t n, const real *a, ptrdiff_t a_col, const real *b, ptrdiff_t b_row,
                          real *c) {
    vec s[STREAMED_ROWS];
    UNROLL for (int r = 0; r < count; r++) s[r] = vec_broadcast(a[r * a_col]);
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vec sum = vec_load(c + j);
        UNROLL for (int r = 0; r < count; r++) sum = vec_fma(s[r], vec_load(b + r * b_row + j), sum);
        vec_store(c + j, sum);
    }
    for (; j < n; j++) {
        for (int r = 0; r < count; r++) c[j] = real_fma(a[r * a_col], b[r * b_row + j], c[j]);
    }
}

/* One row of a reads all of b once. Where b is large, it comes from memory fastest from end to end of a few rows: the
 * columns of a tile are a small part of each row, on another page each time. b_col == 1, no update. */
NOINLINE void product_of_row(const Product *p) {
    ptrdiff_t q = 0;
    for (ptrdiff_t j = 0; j < p->n; j++) p->c[j] = 0;
    for (; q + STREAMED_ROWS <= p->k; q += STREAMED_ROWS) {
        stream(STREAMED_ROWS, p->n, p->a + q * p->a_col, p->a_col, p->b + q * p->b_row, p->b_row, p->c);
    }
    for (; q < p->k; q++) stream(1, p->n, p->a + q * p->a_col, p->a_col, p->b + q * p->b_row, p->b_row, p->c);
    for (ptrdiff_t j = 0; p->bias && j < p->n; j++) p->c[j] += p->bias[j];
    finish(p, 0, 0, 1, p->n);
}

/* How many columns packing fills, the last ones with zeros. */
ALWAYS_INLINE ptrdiff_t filled(ptrdiff_t columns) {
    return MASKED_LOADS ? columns : (columns + LANES - 1) / LANES * LANES;
}

/* The n columns of c from `first` on; k <= BLOCK_K. One panel of b after the other meets all rows of a and stays in the
 * first-level cache meanwhile. */
NOINLINE void product_of_panels(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    ALIGNED(64) real panel[BLOCK_K * PANEL_COLUMNS];
    const ptrdiff_t m = p->m;
    Tile t = whole_tile(p);
    for (ptrdiff_t j = first, columns, vectors; j < first + n; j += columns) {
        const real *const b = p->b + j * p->b_col;
        columns = tile_columns(TILE_ROWS, first + n - j, &vectors, &t);
        const int tile_packs = m >= TILE_ROWS && columns == PANEL;
        const ptrdiff_t rows = even_part(tile_packs ? m - TILE_ROWS : m, TILE_ROWS);
        t.a_next = j == first ? p->a_next : NULL;
        t.bias = p->bias ? p->bias + j : NULL;
        for (ptrdiff_t i = 0, finished = 0; i < m;) {
            const ptrdiff_t height = tile_packs && i == 0 ? TILE_ROWS : smaller(rows, m - i);
            begin_at(&t, p, i, 0);
            t.c = p->c + i * p->c_row + j;
            if (tile_packs && i == 0) {
                tile_packing_b(&t, b, p->b_row, p->b_col, panel);
            } else {
                t.b = panel;
                t.b_row = PANEL;
                if (i == 0) pack(columns, filled(columns), p->k, b, p->b_col, p->b_row, panel, PANEL);
                tile_of(height, vectors, &t);
            }
            i += height;
            if (i == m || i - finished >= FINISHED_ROWS) {
                finish(p, finished, j, i - finished, columns);
                finished = i;
            }
        }
    }
}

/* Chains so short that c takes longer than its sums: it is written row by row. */
#define SHORT_K 4
#define SHORT_COLUMNS ((ptrdiff_t)(2048 / sizeof(real)))
#define SHORT_ROWS 64 /* that are finished together */

/* c (m, n) = a @ b; the rows of b are packed, SHORT_COLUMNS apart. */
ALWAYS_INLINE void short_chains(const int k, ptrdiff_t m, ptrdiff_t n, const Tile *t) {
    const ptrdiff_t whole = n / LANES * LANES;
    const vec_mask mask = vec_first(n - whole);
    const real *a = t->a;
    real *c = t->c;
    for (ptrdiff_t i = 0; i < m; i++, a += t->a_row, c += t->c_row) {
        vec s[SHORT_K];
        UNROLL for (int q = 0; q < k; q++) s[q] = vec_broadcast(a[q * t->a_col]);
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            vec sum = vec_broadcast(0);
            UNROLL for (int q = 0; q < k; q++) sum = vec_fma(s[q], vec_load(t->b + q * SHORT_COLUMNS + j), sum);
            if (LIKELY(j < whole)) vec_store(c + j, sum);
            else vec_store_first(c + j, sum, mask);
        }
    }
}

/* 0 < k <= SHORT_K; no bias, no update. */
NOINLINE void product_of_short_chains(const Product *p) {
    ALIGNED(64) real b[SHORT_K * SHORT_COLUMNS];
    Tile t = whole_tile(p);
    t.b = b;
    for (ptrdiff_t j = 0, columns; j < p->n; j += columns) {
        columns = smaller(SHORT_COLUMNS, p->n - j);
        const ptrdiff_t width = (columns + LANES - 1) / LANES * LANES;
        pack(columns, width, p->k, p->b + j * p->b_col, p->b_col, p->b_row, b, SHORT_COLUMNS);
        for (ptrdiff_t i = 0, rows; i < p->m; i += rows) {
            rows = smaller(p->m - i, SHORT_ROWS);
            t.a = p->a + i * p->a_row;
            t.c = p->c + i * p->c_row + j;
            switch (p->k) {
#define CASE(k) case k: short_chains(k, rows, columns, &t); break;
                CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
            }
            finish(p, i, j, rows, columns);
        }
    }
}

/* A block of b fills half of a second-level cache of 1 MB and streams from there without loss, panel after panel, while
 * the rows of a of one tile stay in the first-level cache. */
#define BLOCK ((ptrdiff_t)(512 * 1024 / sizeof(real)))

/* The n columns of c from `first` on. An update cannot wait in c for its next block: then k <= BLOCK / PANEL. */
NOINLINE void product_in_blocks(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    ALIGNED(64) real packed_b[BLOCK];
    ALIGNED(64) real packed_a[TILE_ROWS * (BLOCK_K + 64 / sizeof(real))];
    const ptrdiff_t m = p->m, k = p->k;
    const ptrdiff_t rows = even_part(m - TILE_ROWS, TILE_ROWS); /* of all tiles but the first */
    /* Where many panels read the same rows of a, these are packed if they are columns in memory, another page for each
     * step, or if they drive each other out of the first-level cache because they lie a multiple of 4 KB apart. */
    const int packs_a = n > 4 * PANEL && (k <= BLOCK_K || !p->update) &&
                        (p->a_row == 1 || (p->a_col == 1 && p->a_row * (ptrdiff_t)sizeof(real) % 4096 == 0));
    const ptrdiff_t block_k = p->update ? k : even_part(k, BLOCK_K);
    const ptrdiff_t block_n = even_part((n + PANEL - 1) / PANEL, BLOCK / (block_k * PANEL)) * PANEL;
    Tile t = whole_tile(p);
    for (ptrdiff_t q = 0; q < k; q += block_k) {
        t.k = smaller(block_k, k - q);
        t.resume = q > 0;
        const int complete = q + t.k == k;
        for (ptrdiff_t j = 0; j < n; j += block_n) {
            const ptrdiff_t width = smaller(block_n, n - j);
            const real *const b = p->b + q * p->b_row + (first + j) * p->b_col;
            for (ptrdiff_t i = 0, height; i < m; i += height) {
                height = i == 0 ? smaller(m, TILE_ROWS) : smaller(rows, m - i);
                begin_at(&t, p, i, q);
                t.a_row = p->a_row;
                t.a_col = p->a_col;
                const int first_packs_a = packs_a && i > 0 && height == TILE_ROWS;
                if (packs_a && !first_packs_a) pack_a(height, &t, packed_a);
                for (ptrdiff_t l = 0; l < width; l += PANEL) {
                    const ptrdiff_t columns = smaller(PANEL, width - l), vectors = (columns + LANES - 1) / LANES;
                    const real *const from = b + l * p->b_col;
                    real *const panel = packed_b + (m > height ? l * t.k : 0);
                    t.width = columns - (vectors - 1) * LANES;
                    t.b = panel;
                    t.b_row = PANEL;
                    t.c = p->c + i * p->c_row + first + j + l;
                    t.bias = p->bias && complete ? p->bias + first + j + l : NULL;
                    const int below = l + PANEL >= width; /* where the next tile is, whose part of c comes closer */
                    const real *next = below ? p->c + (i + height) * p->c_row + first + j : t.c + PANEL;
                    for (ptrdiff_t h = below ? smaller(rows, m - i - height) : height; h > 0; h--, next += t.c_row) {
                        for (ptrdiff_t x = 0; x < PANEL; x += CACHE_LINE) PREFETCH_TO_WRITE(next + x + CACHE_LINE - 1);
                    }
                    if (i == 0 && height == TILE_ROWS && columns == PANEL) {
                        tile_packing_b(&t, from, p->b_row, p->b_col, panel);
                    } else if (l == 0 && first_packs_a && columns == PANEL) {
                        tile_packing_a(&t, packed_a);
                    } else {
                        if (i == 0) pack(columns, filled(columns), t.k, from, p->b_col, p->b_row, panel, PANEL);
                        tile_of(height, vectors, &t);
                    }
                }
                if (complete) finish(p, i, first + j, height, width);
            }
        }
    }
}

/* The n <= TILE_ROWS columns of c from `first` on, as rows of c.T = b.T @ a.T: each vector holds one column of many
 * rows of c. */
NOINLINE void product_transposed(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    ALIGNED(64) real panel[BLOCK_K * PANEL_COLUMNS];
    ALIGNED(64) real sums[TILE_ROWS * FEW_ROWS_VECTORS * (VECTOR_BYTES / sizeof(real))];
    ALIGNED(64) real before[sizeof sums / sizeof(real)]; /* the update */
    const ptrdiff_t m = p->m, k = p->k;
    Tile t = whole_tile(p);
    t.a_row = p->b_col;
    t.a_col = p->b_row;
    t.c = sums;
    t.c_row = FEW_ROWS_VECTORS * LANES;
    t.bias = NULL;
    t.update = 0;
    for (ptrdiff_t i = 0, columns, vectors; i < m; i += columns) {
        columns = tile_columns(n, m - i, &vectors, &t);
        const ptrdiff_t block_k = even_part(k, vectors <= TILE_VECTORS ? BLOCK_K : BLOCK_K / 2);
        for (ptrdiff_t q = 0; q < k; q += block_k) {
            t.k = smaller(block_k, k - q);
            t.resume = q > 0;
            t.a = p->b + first * p->b_col + q * p->b_row;
            t.b = p->a + i * p->a_row + q * p->a_col;
            t.b_row = p->a_col;
            if (p->a_row != 1 || (!MASKED_LOADS && t.width < LANES)) {
                t.b_row = vectors * LANES;
                pack(columns, filled(columns), t.k, t.b, p->a_row, p->a_col, panel, t.b_row);
                t.b = panel;
            }
            tile_of(n, vectors, &t);
        }
        real *c = p->c + i * p->c_row + first;
        for (ptrdiff_t j = 0; p->bias && j < n; j++) {
            for (ptrdiff_t l = 0; l < columns; l++) sums[j * t.c_row + l] += p->bias[first + j];
        }
        if (p->update) pack(columns, columns, n, c, p->c_row, 1, before, t.c_row);
        for (ptrdiff_t j = 0; p->update && j < n; j++) {
            real *const row = sums + j * t.c_row;
            const real *const old = before + j * t.c_row;
            for (ptrdiff_t l = 0; l < columns; l++) row[l] = real_fma(-p->rate, row[l], old[l]);
        }
        pack(n, n, columns, sums, t.c_row, 1, c, p->c_row);
        finish(p, i, first, columns, n);
    }
}

/* ---- Dot products ----------------------------------------------------------------------------------------------- */

#define DOT_COLUMNS 3
#define DOT_ROWS 4
#define DOT_K 64 /* for each column; in shorter ones, adding the lanes costs more than transposing a */
#define DOT_BLOCK ((ptrdiff_t)1024)

/* The sum of the lanes, as a tree: halves are added until one number is left. */
ALWAYS_INLINE real vec_sum(vec v) {
#ifdef FASTNN_SCALAR
    return v;
#else
    typedef real quad __attribute__((vector_size(16)));
    quad quads[VECTOR_BYTES / 16];
    memcpy(quads, &v, sizeof v);
    UNROLL for (int half = VECTOR_BYTES / 32; half > 0; half /= 2) {
        UNROLL for (int i = 0; i < half; i++) quads[i] += quads[i + half];
    }
#if FASTNN_DOUBLE
    return quads[0][0] + quads[0][1];
#else
    return (quads[0][0] + quads[0][2]) + (quads[0][1] + quads[0][3]);
#endif
#endif
}

/* c (rows, columns) = the dot products of rows of a and of columns of b; both are contiguous, and b_row lies between
 * two columns. */
ALWAYS_INLINE void dots(const int rows, const int columns, const Tile *t) {
    vec sum[DOT_ROWS][DOT_COLUMNS], x[DOT_COLUMNS];
    const ptrdiff_t a_row = t->a_row, b_row = t->b_row, whole = t->k / LANES * LANES;
    const real *a = t->a, *b = t->b;
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) sum[i][j] = vec_broadcast(0);
    for (ptrdiff_t p = 0; p < whole; p += LANES, a += LANES, b += LANES) {
        UNROLL for (int j = 0; j < columns; j++) x[j] = vec_load(b + j * b_row);
        UNROLL for (int i = 0; i < rows; i++) {
            const vec s = vec_load(a + i * a_row);
            UNROLL for (int j = 0; j < columns; j++) sum[i][j] = vec_fma(s, x[j], sum[i][j]);
        }
    }
    if (whole < t->k) {
        const vec_mask mask = vec_first(t->k - whole);
        UNROLL for (int j = 0; j < columns; j++) x[j] = vec_load_first(b + j * b_row, mask);
        UNROLL for (int i = 0; i < rows; i++) {
            const vec s = vec_load_first(a + i * a_row, mask);
            UNROLL for (int j = 0; j < columns; j++) sum[i][j] = vec_fma(s, x[j], sum[i][j]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < columns; j++) {
            real *const c = t->c + i * t->c_row + j;
            real dot = vec_sum(sum[i][j]);
            if (t->resume) dot = *c + dot;
            if (t->bias) dot = dot + t->bias[j];
            *c = t->update ? real_fma(-t->rate, dot, *c) : dot;
        }
    }
}

NOINLINE void dots_of(ptrdiff_t rows, ptrdiff_t columns, const Tile *t) {
    switch (rows * (DOT_COLUMNS + 1) + columns) {
#define CASE(rows, columns) case (rows) * (DOT_COLUMNS + 1) + (columns): dots(rows, columns, t); break;
#define CASES(rows) CASE(rows, 1) CASE(rows, 2) CASE(rows, 3)
        CASES(1) CASES(DOT_ROWS)
#undef CASES
#undef CASE
    }
}

/* n <= DOT_COLUMNS, a_col == 1; an update has k <= DOT_BLOCK. */
NOINLINE void product_of_dots(const Product *p) {
    ALIGNED(64) real columns[DOT_COLUMNS * DOT_BLOCK];
    ALIGNED(64) real row[DOT_BLOCK];
    const ptrdiff_t m = p->m, n = p->n, k = p->k;
    Tile t = whole_tile(p);
    for (ptrdiff_t q = 0; q < k; q += DOT_BLOCK) {
        t.k = smaller(DOT_BLOCK, k - q);
        t.resume = q > 0;
        t.bias = q + t.k == k ? p->bias : NULL;
        t.b = p->b + q * p->b_row;
        t.b_row = p->b_col;
        t.c = p->c;
        if (p->b_row != 1) {
            pack(t.k, t.k, n, t.b, p->b_row, p->b_col, columns, DOT_BLOCK);
            t.b = columns;
            t.b_row = DOT_BLOCK;
        }
        for (ptrdiff_t i = 0, rows; i < m; i += rows) {
            rows = m - i >= DOT_ROWS && !p->a_rows ? DOT_ROWS : 1;
            begin_at(&t, p, i, q);
            if (p->a_rows) t.a += p->a_rows[i] * p->a_row;
            if (p->a_cols) { /* m is 1, since a_row and a_col are */
                for (ptrdiff_t l = 0; l < t.k; l++) row[l] = t.a[t.a_cols[l]];
                t.a = row;
            }
            dots_of(rows, n, &t);
            t.c += rows * t.c_row;
        }
    }
    finish(p, 0, 0, m, n);
}

/* ---- The product ------------------------------------------------------------------------------------------------ */

NOINLINE void product_of_chains(const Product *p) {
    const ptrdiff_t m = p->m, k = p->k, size = (ptrdiff_t)sizeof(real);
    const int by_index = p->a_rows || p->a_cols; /* a.T is not packed then, nor are whole vectors of b */
    ptrdiff_t n = p->n;
    if (m == 1 && !by_index && n >= 8 * LANES && p->b_col == 1 && !p->update && n * k * size > 64 * 1024) {
        product_of_row(p);
        return;
    }
    if (n > PANEL && k > 0 && k <= SHORT_K && !by_index && p->b_row == 1 && !p->bias && !p->update) {
        product_of_short_chains(p);
        return;
    }
    /* The last columns, where they fill little of a vector: at most three quarters, or where a.T has to be packed at
     * most half of float, an eighth of double, which is packed at half the speed. */
    const ptrdiff_t few = n % LANES, most = p->a_row == 1 ? LANES * 3 / 4 : FASTNN_DOUBLE ? LANES / 8 : LANES / 2;
    if (few > 0 && few <= most && !by_index && m >= LANES && m * k >= 16 * LANES) {
        n -= few;
        product_transposed(p, n, few);
    }
    /* b is packed if its rows are not contiguous; if it fills half of a 1 MB cache and is read many times; or if all of
     * a, read again for every panel, would leave the first-level cache, or every other one. Without masked loads so are
     * the last columns, which fill no vector. */
    const int large = (n > PANEL && n * k * size > 512 * 1024) || (n > 4 * PANEL && m * k * size > 64 * 1024) ||
                      m * k * size > 8 * 1024 * 1024;
    const int pack_b = k > 0 && (p->b_col != 1 || (m > 2 * TILE_ROWS && large && !by_index));
    const ptrdiff_t in_place = pack_b ? 0 : MASKED_LOADS || k == 0 ? n : n / LANES * LANES;
    if (in_place > 0) product_in_place(p, 0, in_place);
    if (in_place == n) return;
    /* A panel, all of a and c stay in the first-level cache, or little of them leaves it. */
    const int small = k * PANEL * size <= 24 * 1024 && m * k * size <= 32 * 1024 && m * n * size <= 32 * 1024;
    if (k <= BLOCK_K && (small || n - in_place <= PANEL)) product_of_panels(p, in_place, n - in_place);
    else product_in_blocks(p, in_place, n - in_place);
}

ALWAYS_INLINE void product(const Product *p, int dots) {
    if (dots) product_of_dots(p);
    else product_of_chains(p);
}

/* An update whose chains are longer than a block: they wait in a rectangle beside c. */
#define RECTANGLE_ROWS 64
#define RECTANGLE_COLUMNS 128
NOINLINE void update_in_rectangles(const Product *p, int dots) {
    ALIGNED(64) real chains[RECTANGLE_ROWS * RECTANGLE_COLUMNS];
    for (ptrdiff_t i = 0; i < p->m; i += RECTANGLE_ROWS) {
        for (ptrdiff_t j = 0; j < p->n; j += RECTANGLE_COLUMNS) {
            Product part = *p;
            real *c = p->c + i * p->c_row + j;
            part.m = smaller(RECTANGLE_ROWS, p->m - i);
            part.n = smaller(RECTANGLE_COLUMNS, p->n - j);
            part.a += i * p->a_row;
            part.b += j * p->b_col;
            part.c = chains;
            part.c_row = RECTANGLE_COLUMNS;
            part.update = 0;
            product(&part, dots);
            for (ptrdiff_t h = 0; h < part.m; h++, c += p->c_row) {
                const real *const row = chains + h * RECTANGLE_COLUMNS;
                for (ptrdiff_t l = 0; l < part.n; l++) c[l] = real_fma(-p->rate, row[l], c[l]);
            }
        }
    }
}

/* Zero sizes are legal. It takes at most 640 KB of stack, and little where b is small and its rows are contiguous. */
static void gemm(const Product *p) {
    const int dots = p->n <= DOT_COLUMNS && p->a_col == 1 && p->k >= DOT_K * p->n;
    if (p->n <= 0) return;
    if (p->b_sum) { /* a row of ones @ b, just before its rows are needed in the cache */
        const real one = 1;
        const Product sums = {.m = 1, .n = p->n, .k = p->k, .a = &one, .b = p->b, .b_row = p->b_row, .b_col = p->b_col,
                              .c = p->b_sum, .c_row = p->n, .update = p->update, .rate = p->rate};
        if (p->update && p->k > BLOCK / PANEL) update_in_rectangles(&sums, 0);
        else product_of_chains(&sums);
    }
    if (p->m <= 0) return;
    if (p->one_row && p->a_col == 1 && p->b_row == 1 && p->k >= DOT_K && !p->bias && !p->update) {
        Product column = *p; /* c.T = b.T @ a.T, whichever columns of c these are */
        column.m = p->n;
        column.n = 1;
        column.a = p->b;
        column.a_row = p->b_col;
        column.b = p->a;
        column.c_row = 1;
        column.finish = NULL;
        product_of_dots(&column);
        finish(p, 0, 0, 1, p->n);
        return;
    }
    if (p->update && p->k > (dots ? DOT_BLOCK : BLOCK / PANEL)) {
        update_in_rectangles(p, dots);
    } else if (p->finish && p->c_row == p->n && p->m * p->n <= 32 * 1024 / (ptrdiff_t)sizeof(real)) {
        Product unfinished = *p;
        unfinished.finish = NULL;
        product(&unfinished, dots);
        finish(p, 0, 0, p->m, p->n);
    } else {
        product(p, dots);
    }
}

#endif

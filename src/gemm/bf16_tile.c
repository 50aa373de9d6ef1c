/* One tile of c in bfloat16: by the instruction, or in the same bits by multiply-adds.
 *
 * The instruction (VDPBF16PS) adds a pair to its chain as fma(a0, b0, fma(a1, b1, c)), the odd term first, and rounds
 * both times to the nearest float32; results that are subnormal become 0, whatever the mode of the processor. */
#include "bf16_pack.h"
#include "vectors.h"

#if !FASTNN_DOUBLE
#if BF16_INSTRUCTION
#include "bf16_pairs.h"

GEMM_API int bf16_native = 0;

/* As in tile.c: the loop as it is written, or there are no registers for the addresses. */
#if !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("no-unswitch-loops", "no-version-loops-for-strides")
#endif
#define SHARED 3 /* rows of a share an address register */
#define AHEAD 24 /* pairs of rows of b that come from memory before they are rounded */

static INLINE_WITH_BF16 void words(const int rows, const int vectors, const Tile *t, const Unpacked *unpacked) {
    const vec_mask mask = vec_first(t->width);
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, c_row = t->c_row;
    const real *a[TILE_ROWS], *b = t->b;
    __m512 sum[TILE_ROWS][TILE_VECTORS];
    __m512i x[TILE_VECTORS];
    const __m512i order = order_of_pairs();
    const real *from = unpacked ? unpacked->from : NULL;
    const ptrdiff_t from_row = unpacked ? unpacked->row : 0, last = unpacked ? unpacked->is_odd : 0;
    real *to = unpacked ? unpacked->to : NULL, *c = t->c;
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = _mm512_setzero_ps();
    UNROLL for (int i = 0; i < rows; i += SHARED) a[i / SHARED] = t->a + i * a_row;
    for (ptrdiff_t p = t->k; p > 0; p--, b += PANEL) {
        if (unpacked) {
            const real *const below = from + from_row;
            UNROLL for (int v = 0; v < vectors; v++) {
                const vec_mask even = v < vectors - 1 ? vec_first(LANES) : mask, odd = p > last ? even : 0;
                x[v] = pairs_of(_mm512_maskz_loadu_ps(even, from + v * LANES),
                                _mm512_maskz_loadu_ps(odd, below + v * LANES), order);
                if (to) _mm512_storeu_si512(to + v * LANES, x[v]);
                PREFETCH(from + 2 * AHEAD * from_row + (v + 1) * LANES - 1);
                PREFETCH(below + 2 * AHEAD * from_row + (v + 1) * LANES - 1);
            }
            from = below + from_row;
            if (to) to += PANEL;
        } else {
            UNROLL for (int v = 0; v < vectors; v++) x[v] = _mm512_loadu_si512(b + v * LANES);
        }
        UNROLL for (int i = 0; i < rows; i++) {
            const __m512i pair = (__m512i)_mm512_set1_ps(a[i / SHARED][i % SHARED * a_row]);
            UNROLL for (int v = 0; v < vectors; v++) {
                sum[i][v] = _mm512_dpbf16_ps(sum[i][v], (__m512bh)pair, (__m512bh)x[v]);
            }
        }
        UNROLL for (int i = 0; i < rows; i += SHARED) a[i / SHARED] += a_col;
    }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            if (v < vectors - 1 || LIKELY(t->width == LANES)) _mm512_storeu_ps(c + v * LANES, sum[i][v]);
            else _mm512_mask_storeu_ps(c + v * LANES, mask, sum[i][v]);
        }
        c += c_row;
        IN_ORDER(c);
    }
}

#define CASES CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
GEMM_API NOINLINE WITH_BF16 void bf16_tile(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) {
    switch (rows * (TILE_VECTORS + 1) + vectors) {
#define CASE(rows) \
    case (rows) * (TILE_VECTORS + 1) + 1: words(rows, 1, t, NULL); break; \
    case (rows) * (TILE_VECTORS + 1) + 2: words(rows, 2, t, NULL); break;
        CASES
#undef CASE
    }
}

GEMM_API NOINLINE WITH_BF16 void bf16_tile_packing(ptrdiff_t rows, const Tile *t, const Unpacked *b) {
    switch (rows) {
#define CASE(rows) case rows: words(rows, TILE_VECTORS, t, b); break;
        CASES
#undef CASE
    }
}
#undef CASES

#define STREAMED 4 /* pairs side by side */

static INLINE_WITH_BF16 void stream(const int pairs, ptrdiff_t n, const real *a, const real *b, ptrdiff_t b_row,
                                    int is_odd, real *c) {
    const __m512i order = order_of_pairs();
    __m512i s[STREAMED];
    UNROLL for (int q = 0; q < pairs; q++) s[q] = (__m512i)_mm512_set1_ps(a[q]);
    for (ptrdiff_t j = 0; j < n; j += WORDS) {
        const vec_mask even = vec_first(smaller(n - j, WORDS)), odd = is_odd ? 0 : even;
        __m512 sum = _mm512_maskz_loadu_ps(even, c + j);
        UNROLL for (int q = 0; q < pairs; q++) {
            const __m512i x = pairs_of(_mm512_maskz_loadu_ps(even, b + 2 * q * b_row + j),
                                       _mm512_maskz_loadu_ps(odd, b + (2 * q + 1) * b_row + j), order);
            sum = _mm512_dpbf16_ps(sum, (__m512bh)s[q], (__m512bh)x);
        }
        _mm512_mask_storeu_ps(c + j, even, sum);
    }
}

GEMM_API NOINLINE WITH_BF16 void bf16_stream(ptrdiff_t n, ptrdiff_t pairs, const real *a, const Unpacked *b, real *c) {
    const real *from = b->from;
    ptrdiff_t q = 0;
    for (; q + STREAMED <= pairs - b->is_odd; q += STREAMED, from += 2 * STREAMED * b->row) {
        stream(STREAMED, n, a + q, from, b->row, 0, c);
    }
    for (; q < pairs; q++, from += 2 * b->row) stream(1, n, a + q, from, b->row, b->is_odd && q + 1 == pairs, c);
}

#if !defined(__clang__)
#pragma GCC pop_options
#endif
#endif

#if defined(__FMA__) && defined(__SSE2__) && !defined(FASTNN_SCALAR)
/* The tiles of float32, in a mode that makes subnormal results 0. They are called, and the compiler cannot move what
 * they compute to where the mode is another. */
#define SUBNORMAL_IS_0 0x8040u /* flush to zero, denormals are zeros */
GEMM_API NOINLINE void bf16_tile_of_floats(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) {
    const unsigned int mode = _mm_getcsr();
    _mm_setcsr(mode | SUBNORMAL_IS_0);
    tile_of(rows, vectors, t);
    _mm_setcsr(mode);
}
#else
/* Without a multiply-add that rounds once, or without such a mode: a product of two bfloat16 is exact in double, and
 * their sum, rounded to double and then to float32, is what one rounding gives (Figueroa, "When is double rounding
 * innocuous?", SIGNUM 30(3), 1995). A result is subnormal if it is when rounded to 24 bits, however small. */
ALWAYS_INLINE real nearest(double sum) {
    const double least = 0x1p-126 - 0x1p-151;
    return (real)((sum < 0 ? -sum : sum) < least ? 0 * sum : sum);
}

static NOINLINE void tile_in_double(ptrdiff_t rows, ptrdiff_t columns, const Tile *t) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        real sum[PANEL_COLUMNS] = {0};
        for (ptrdiff_t p = 0; p < t->k; p++) {
            const double a = t->a[i * t->a_row + p * t->a_col];
            const real *const b = t->b + p * PANEL;
            for (ptrdiff_t j = 0; j < PANEL; j++) sum[j] = nearest(a * b[j] + sum[j]);
        }
        memcpy(t->c + i * t->c_row, sum, (size_t)columns * sizeof(real));
    }
}

/* The exponents of numbers, as they stand in their bits: the least of those that are not 0, less 1, and the largest. */
typedef struct {
    uint32_t least, most;
} Exponents;

ALWAYS_INLINE Exponents with(Exponents found, const real *from, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, from + i, sizeof bits);
        bits = bits >> 23 & 255;
        found.least = bits - 1 < found.least ? bits - 1 : found.least; /* 0 is the largest then */
        found.most = bits > found.most ? bits : found.most;
    }
    return found;
}

/* Whether float32 gives the same bits: no product of two numbers leaves its range, so that it is exact, and all of them
 * are multiples of 2^-126, so that no sum is subnormal. */
static int is_exact_in_float32(ptrdiff_t rows, const Tile *t) {
    const int by_rows = t->a_col == 1;
    const ptrdiff_t lines = by_rows ? rows : t->k, length = by_rows ? t->k : rows;
    const Exponents none = {UINT32_MAX, 0};
    Exponents a = none, b = with(none, t->b, t->k * PANEL);
    for (ptrdiff_t i = 0; i < lines; i++) a = with(a, t->a + i * (by_rows ? t->a_row : t->a_col), length);
    if (a.most == 0) a.least = 127 - 1; /* all are 0 */
    if (b.most == 0) b.least = 127 - 1;
    return a.most < 255 && b.most < 255 && a.most + b.most <= 127 - 2 + 2 * 127 &&
           a.least + b.least + 2 >= 2 * 127 - 126 + 14;
}

GEMM_API NOINLINE void bf16_tile_of_floats(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) {
    if (is_exact_in_float32(rows, t)) tile_of(rows, vectors, t);
    else tile_in_double(rows, (vectors - 1) * LANES + t->width, t);
}
#endif
#else
typedef int bf16_tile_is_for_float32_alone;
#endif

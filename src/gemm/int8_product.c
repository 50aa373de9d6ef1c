/* Whole products of 8-bit integers: rows of x in steps, tile by tile, then what becomes of their sums. */
#include "int8_product.h"
#include "vectors.h"
#include "workspace.h"

#define CHUNK_ROWS 48 /* that are in steps at once: a panel of w is read once for all of them */
#define COLUMNS (INT8_PANELS * INT8_COLUMNS)

/* Adding it rounds to whole numbers, half to even, and leaves these in the last bits. */
#if FASTNN_DOUBLE
typedef int64_t bits;
#define WHOLE 0x1.8p52
#else
typedef int32_t bits;
#define WHOLE 0x1.8p23f
#endif

ALWAYS_INLINE bits steps_of(real x, real inverse, real low, real high) {
    real scaled = x * inverse;
    scaled = scaled > low ? scaled : low; /* NaN, too */
    scaled = (scaled < high ? scaled : high) + WHOLE;
    bits found;
    memcpy(&found, &scaled, sizeof found);
    return found;
}

#if VNNI_INSTRUCTION
#define VECTORS 4 /* whose numbers become the bytes of one */
#define BYTES (VECTORS * LANES)

/* BYTES numbers at once, of which the first few count. Whatever is below the first step is negative as a word, and far
 * above the last one is as good as just above it: packing bounds both. Returns whether one is NaN. */
ALWAYS_INLINE int vectors_in_steps(const real *x, __mmask64 chosen, real inverse, __m512i zero, uint8_t *q) {
    const __m512 far = _mm512_set1_ps(0x1p15f);
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512 from[VECTORS];
    __m512i whole[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) {
        from[v] = _mm512_maskz_loadu_ps((__mmask16)(chosen >> v * LANES), x + v * LANES);
        whole[v] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(from[v], _mm512_set1_ps(inverse)), far));
    }
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(whole[0], whole[1]), zero);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(whole[2], whole[3]), zero);
    const __m512i bytes = _mm512_permutexvar_epi32(in_order, _mm512_packus_epi16(first, second));
    _mm512_mask_storeu_epi8(q, chosen, bytes);
    return _mm512_cmp_ps_mask(from[0], from[1], _CMP_UNORD_Q) | _mm512_cmp_ps_mask(from[2], from[3], _CMP_UNORD_Q);
}

static NOINLINE int row_in_words(const Int8Product *p, const real *x, uint8_t *q) {
    const real inverse = 1 / p->step;
    const __m512i zero = _mm512_set1_epi16((short)p->zero);
    int is_nan = 0;
    ptrdiff_t i = 0;
    for (; i + BYTES <= p->k; i += BYTES) is_nan |= vectors_in_steps(x + i, ~(__mmask64)0, inverse, zero, q + i);
    if (i < p->k) {
        const __mmask64 left = ~(__mmask64)0 >> (BYTES - (p->k - i));
        is_nan |= vectors_in_steps(x + i, left, inverse, zero, q + i);
    }
    return is_nan != 0;
}
#endif

/* The numbers of a row in steps, 8 or 16 bits each, and zeros behind them to the end of a group. Whether one is NaN. */
static NOINLINE int row_in_steps(const Int8Product *p, const real *x, void *to) {
    const real inverse = 1 / p->step, low = -(real)p->zero, high = 255 - (real)p->zero;
    const ptrdiff_t k = p->k, left = -k & (INT8_GROUP - 1);
#if VNNI_INSTRUCTION
    if (int8_native) {
        memset((uint8_t *)to + k, 0, (size_t)left);
        return row_in_words(p, x, to);
    }
#endif
    int16_t *const q = to; /* of the bits of WHOLE, the last 16 are 0 */
    const bits zero = p->zero;
    int is_nan = 0;
    for (ptrdiff_t i = 0; i < k; i++) is_nan |= x[i] != x[i];
    for (ptrdiff_t i = 0; i < k; i++) q[i] = (int16_t)(steps_of(x[i], inverse, low, high) + zero);
    memset(q + k, 0, (size_t)left * sizeof *q);
    return is_nan;
}

/* Some columns of y in a row, from their sums. */
ALWAYS_INLINE void row_of_sums(const Int8Product *p, ptrdiff_t j, const ptrdiff_t columns, const int32_t *sums,
                               real *y) {
    const real least = p->relu ? 0 : (real)-INFINITY;
    const real *const scale = p->scale + j, *const b = p->b + j;
    const int32_t *const correction = p->correction + j;
    INDEPENDENT
    for (ptrdiff_t l = 0; l < columns; l++) {
        const int32_t sum = (int32_t)((uint32_t)sums[l] - (uint32_t)correction[l]);
        const real sum_in_steps = (real)sum * scale[l] + b[l];
        y[l] = sum_in_steps <= least ? least : sum_in_steps;
    }
}

static void of_sums(const Int8Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, const int32_t *sums,
                    const unsigned char *is_nan) {
    const ptrdiff_t columns = smaller(COLUMNS, p->n - j);
    for (ptrdiff_t h = 0; h < rows; h++, sums += COLUMNS) {
        real *const y = p->y + (i + h) * p->n + j;
        if (LIKELY(columns == COLUMNS)) row_of_sums(p, j, COLUMNS, sums, y);
        else row_of_sums(p, j, columns, sums, y);
        if (!LIKELY(!is_nan[h])) {
            for (ptrdiff_t l = 0; l < columns; l++) y[l] = NAN;
        }
    }
}

GEMM_API int int8_product(const Int8Product *p) {
    Workspace *const memory = workspace();
    if (!memory) return CALL_NO_MEMORY;
    const ptrdiff_t groups = (p->k + INT8_GROUP - 1) / INT8_GROUP;
    const ptrdiff_t row = groups * INT8_GROUP * (int8_native ? 1 : 2);
    const ptrdiff_t fit = row ? (ptrdiff_t)sizeof memory->b / row : CHUNK_ROWS; /* 4 at least */
    const ptrdiff_t chunk = fit >= CHUNK_ROWS ? CHUNK_ROWS : fit >= INT8_ROWS ? INT8_ROWS : fit >= 8 ? 8 : 4;
    unsigned char is_nan[CHUNK_ROWS], *const q = (unsigned char *)memory->b;
    ALIGNED(64) int32_t sums[INT8_ROWS * COLUMNS];
    for (ptrdiff_t i = 0, rows; i < p->m; i += rows) {
        rows = smaller(chunk, p->m - i);
        for (ptrdiff_t h = 0; h < rows; h++) {
            is_nan[h] = (unsigned char)row_in_steps(p, p->x + (i + h) * p->k, q + h * row);
        }
        for (ptrdiff_t j = 0; j < p->n; j += COLUMNS) {
            const ptrdiff_t panels = p->n - j > INT8_COLUMNS ? INT8_PANELS : 1;
            for (ptrdiff_t h = 0, tall; h < rows; h += tall) {
                tall = int8_tile_rows(rows - h);
                int8_tile(tall, panels, groups, q + h * row, p->w + j / INT8_COLUMNS * groups * INT8_BYTES, sums);
                of_sums(p, i + h, j, smaller(tall, rows - h), sums, is_nan + h);
            }
            if (p->finish) p->finish(p->context, i, j, rows, smaller(COLUMNS, p->n - j));
        }
    }
    return 0;
}

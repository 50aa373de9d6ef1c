/* One tile of sums of 8-bit integers: by VPDPBUSD, by VPMADDWD, or by loops; the sums are the same integers. */
#include "int8_product.h"
#include "vectors.h"

#define SUMS_APART (INT8_PANELS * INT8_COLUMNS)

#if VNNI_INSTRUCTION
GEMM_API int int8_native = 0;

static inline __attribute__((always_inline, target("avx512vnni"))) void words(
    const int rows, const int panels, ptrdiff_t groups, const uint8_t *q, const int8_t *w, int32_t *sums
) {
    const ptrdiff_t row = groups * INT8_GROUP, panel = groups * INT8_BYTES;
    const uint8_t *a[INT8_ROWS / 3];
    __m512i sum[INT8_ROWS][INT8_PANELS], x[INT8_PANELS];
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < panels; v++) sum[i][v] = _mm512_setzero_si512();
    }
    UNROLL for (int i = 0; i < rows; i += 3) a[i / 3] = q + i * row; /* three rows share an address register */
    for (ptrdiff_t p = groups; p > 0; p--, w += INT8_BYTES) {
        UNROLL for (int v = 0; v < panels; v++) x[v] = _mm512_loadu_si512(w + v * panel);
        UNROLL for (int i = 0; i < rows; i++) {
            int32_t four;
            memcpy(&four, a[i / 3] + i % 3 * row, sizeof four);
            const __m512i same = _mm512_set1_epi32(four);
            UNROLL for (int v = 0; v < panels; v++) sum[i][v] = _mm512_dpbusd_epi32(sum[i][v], same, x[v]);
        }
        UNROLL for (int i = 0; i < rows; i += 3) a[i / 3] += INT8_GROUP;
    }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < panels; v++) {
            _mm512_storeu_si512(sums + i * SUMS_APART + v * INT8_COLUMNS, sum[i][v]);
        }
    }
}

static NOINLINE __attribute__((target("avx512vnni"))) void tile_of_words(
    ptrdiff_t rows, ptrdiff_t panels, ptrdiff_t groups, const uint8_t *q, const int8_t *w, int32_t *sums
) {
    switch (rows * INT8_PANELS + panels - 1) {
#define CASE(rows) \
    case (rows) * INT8_PANELS: words(rows, 1, groups, q, w, sums); break; \
    case (rows) * INT8_PANELS + 1: words(rows, 2, groups, q, w, sums); break;
        CASE(1) CASE(2) CASE(4) CASE(8) CASE(12)
#undef CASE
    }
}
#endif

#if defined(FASTNN_SCALAR) || !defined(__SSE4_1__)
#define EVEN_TILES 0
/* What compilers and processors without these instructions have. */
static NOINLINE void tile_of_pairs(ptrdiff_t rows, ptrdiff_t panels, ptrdiff_t groups, const int16_t *q,
                                   const int8_t *w, int32_t *sums) {
    for (ptrdiff_t i = 0; i < rows; i++, q += groups * INT8_GROUP, sums += SUMS_APART) {
        for (ptrdiff_t v = 0; v < panels; v++) {
            const int8_t *from = w + v * groups * INT8_BYTES;
            int32_t *const sum = sums + v * INT8_COLUMNS;
            for (int l = 0; l < INT8_COLUMNS; l++) sum[l] = 0;
            for (ptrdiff_t p = 0; p < groups * INT8_GROUP; p += INT8_GROUP, from += INT8_BYTES) {
                for (int l = 0; l < INT8_COLUMNS; l++) {
                    for (int t = 0; t < INT8_GROUP; t++) sum[l] += q[p + t] * from[l * INT8_GROUP + t];
                }
            }
        }
    }
}
#else
#define EVEN_TILES 1
#if defined(__AVX512BW__)
typedef __m512i ints;
#define ZERO _mm512_setzero_si512()
#define WIDENED(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define SAME(four) _mm512_set1_epi64(four)
#define PLUS_PAIRS(sum, a, b) _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
#elif defined(__AVX2__)
typedef __m256i ints;
#define ZERO _mm256_setzero_si256()
#define WIDENED(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(p)))
#define SAME(four) _mm256_set1_epi64x(four)
#define PLUS_PAIRS(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#else
typedef __m128i ints;
#define ZERO _mm_setzero_si128()
#define WIDENED(p) _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(p)))
#define SAME(four) _mm_set1_epi64x(four)
#define PLUS_PAIRS(sum, a, b) _mm_add_epi32(sum, _mm_madd_epi16(a, b))
#endif
#define INTS ((int)(sizeof(ints) / 8)) /* columns of a vector, of which each has two sums */
#define VECTORS 2

static inline __attribute__((always_inline)) void pairs(
    const int rows, ptrdiff_t groups, const int16_t *q, const int8_t *w, int32_t *sums
) {
    ints sum[4][VECTORS], x[VECTORS];
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = ZERO;
    }
    for (ptrdiff_t p = groups; p > 0; p--, q += INT8_GROUP, w += INT8_BYTES) {
        UNROLL for (int v = 0; v < VECTORS; v++) x[v] = WIDENED(w + v * INTS * INT8_GROUP);
        UNROLL for (int i = 0; i < rows; i++) {
            int64_t four;
            memcpy(&four, q + i * groups * INT8_GROUP, sizeof four);
            const ints same = SAME(four);
            UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = PLUS_PAIRS(sum[i][v], same, x[v]);
        }
    }
    int32_t halves[4][VECTORS * 2 * INTS];
    memcpy(halves, sum, (size_t)rows * sizeof *halves);
    for (int i = 0; i < rows; i++) {
        for (int l = 0; l < VECTORS * INTS; l++) sums[i * SUMS_APART + l] = halves[i][2 * l] + halves[i][2 * l + 1];
    }
}

static NOINLINE void tile_of_pairs(ptrdiff_t rows, ptrdiff_t panels, ptrdiff_t groups, const int16_t *q,
                                   const int8_t *w, int32_t *sums) {
    for (ptrdiff_t v = 0; v < panels; v++, w += groups * INT8_BYTES, sums += INT8_COLUMNS) {
        for (int l = 0; l < INT8_COLUMNS; l += VECTORS * INTS) {
            if (rows == 1) pairs(1, groups, q, w + l * INT8_GROUP, sums + l);
            else pairs(4, groups, q, w + l * INT8_GROUP, sums + l);
        }
    }
}
#endif

GEMM_API ptrdiff_t int8_tile_rows(ptrdiff_t rows) {
    if (rows <= 2 && int8_native) return rows;
    if (rows == 1 || !EVEN_TILES) return rows == 1 ? 1 : smaller(rows, INT8_ROWS);
    return rows <= 4 || !int8_native ? 4 : rows <= 8 ? 8 : INT8_ROWS;
}

GEMM_API void int8_tile(ptrdiff_t rows, ptrdiff_t panels, ptrdiff_t groups, const void *q, const int8_t *w,
                        int32_t *sums) {
#if VNNI_INSTRUCTION
    if (int8_native) {
        tile_of_words(rows, panels, groups, q, w, sums);
        return;
    }
#endif
    tile_of_pairs(rows, panels, groups, q, w, sums);
}

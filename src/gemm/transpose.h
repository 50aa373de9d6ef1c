/* Groups of rows, transposed in registers: x86 only, where GROUP is defined. */
#ifndef FASTNN_GEMM_TRANSPOSE_H
#define FASTNN_GEMM_TRANSPOSE_H

#include "vectors.h"

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
#endif

#endif

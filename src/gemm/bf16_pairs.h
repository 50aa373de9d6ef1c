/* A vector of pairs: the words of 16 chains, by the instructions of AVX512_BF16. The build is for AVX-512 without them:
 * these functions ask for them. */
#ifndef FASTNN_GEMM_BF16_PAIRS_H
#define FASTNN_GEMM_BF16_PAIRS_H

#include "bf16_pack.h"
#include "vectors.h"

#define WITH_BF16 __attribute__((target("avx512bf16")))
#define INLINE_WITH_BF16 WITH_BF16 inline __attribute__((always_inline))
#define WORDS 16 /* of a vector */

/* Where the halves of each pair lie behind each other's rounding. */
static INLINE_WITH_BF16 __m512i order_of_pairs(void) {
    const __m512i even = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_or_si512(even, _mm512_slli_epi32(_mm512_add_epi32(even, _mm512_set1_epi32(WORDS)), 16));
}

/* Rounded in turn, both halves of the vector are brought side by side. */
static INLINE_WITH_BF16 __m512i pairs_of(__m512 even, __m512 odd, __m512i order) {
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

#endif

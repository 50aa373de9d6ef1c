/* Pairs as words, by the instructions of AVX512_BF16: their rounding is that of bf16_pack.c, in every one of the 2^32
 * numbers, whatever the mode of the processor. */
#ifndef FASTNN_GEMM_BF16_WORDS_H
#define FASTNN_GEMM_BF16_WORDS_H

#include "bf16_pairs.h"

static WITH_BF16 NOINLINE void row_of_words(const real *from, ptrdiff_t k, real *to) {
    ptrdiff_t p = 0;
    for (; p + 2 * WORDS <= k; p += 2 * WORDS) {
        const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + p + WORDS), _mm512_loadu_ps(from + p));
        _mm512_storeu_si512(to + p / 2, (__m512i)both);
    }
    if (p < k) {
        const ptrdiff_t left = k - p, first = smaller(left, WORDS);
        const __m512 low = _mm512_maskz_loadu_ps(vec_first(first), from + p);
        const __m512 high = _mm512_maskz_loadu_ps(vec_first(left - first), from + p + first);
        _mm512_mask_storeu_epi32(to + p / 2, vec_first((left + 1) / 2), (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

/* The words of up to 16 chains. */
static INLINE_WITH_BF16 void words_of(const real *even, const real *odd, vec_mask chosen, __m512i order, real *to) {
    const __m512 below = _mm512_maskz_loadu_ps(chosen, even);
    const __m512 above = odd ? _mm512_maskz_loadu_ps(chosen, odd) : _mm512_setzero_ps();
    _mm512_mask_storeu_epi32(to, chosen, pairs_of(below, above, order));
}

static WITH_BF16 NOINLINE void rows_of_words(const real *even, const real *odd, ptrdiff_t n, real *to, ptrdiff_t panel,
                                             ptrdiff_t row) {
    const __m512i order = order_of_pairs();
    const vec_mask all = vec_first(WORDS);
    (void)row;
    for (; n >= PANEL && odd; n -= PANEL, even += PANEL, odd += PANEL, to += panel) {
        words_of(even, odd, all, order, to);
        words_of(even + WORDS, odd + WORDS, all, order, to + WORDS);
    }
    for (; n > 0; n -= PANEL, even += PANEL, odd = odd ? odd + PANEL : NULL, to += panel) {
        const ptrdiff_t first = smaller(n, WORDS), second = smaller(n - first, WORDS);
        words_of(even, odd, vec_first(first), order, to);
        if (second > 0) words_of(even + WORDS, odd ? odd + WORDS : NULL, vec_first(second), order, to + WORDS);
    }
}

#endif

/* Rounding to bfloat16, for builds without its instructions and for what they leave out. */
#include "bf16_pack.h"
#include "vectors.h"

#if !FASTNN_DOUBLE
/* In integers, so that the mode of the processor does not matter. */
ALWAYS_INLINE uint32_t rounded(uint32_t bits) {
    const uint32_t magnitude = bits & 0x7fffffff, even = bits >> 16 & 1;
    const uint32_t nearest = magnitude > 0x7f800000 ? bits | 0x400000 : bits + 0x7fff + even; /* NaN stays NaN */
    return magnitude < 0x800000 ? bits & 0x80000000 : nearest & 0xffff0000;
}

ALWAYS_INLINE uint32_t bits_of(const real *from) {
    uint32_t bits;
    memcpy(&bits, from, sizeof bits);
    return bits;
}

ALWAYS_INLINE void put(real *to, uint32_t bits) { memcpy(to, &bits, sizeof bits); }

static NOINLINE void row_of_floats(const real *from, ptrdiff_t k, real *to) {
    ptrdiff_t p = 0;
    for (; p + 2 <= k; p += 2) {
        const uint32_t even = rounded(bits_of(from + p)), odd = rounded(bits_of(from + p + 1));
        put(to + p, odd);
        put(to + p + 1, even);
    }
    if (p < k) {
        put(to + p, 0);
        put(to + p + 1, rounded(bits_of(from + p)));
    }
}

static NOINLINE void rows_of_floats(const real *even, const real *odd, ptrdiff_t n, real *to, ptrdiff_t panel,
                                    ptrdiff_t row) {
    for (ptrdiff_t j = 0, columns; j < n; j += columns, to += panel) {
        columns = smaller(n - j, PANEL);
        for (ptrdiff_t l = 0; l < columns; l++) put(to + l, odd ? rounded(bits_of(odd + j + l)) : 0);
        for (ptrdiff_t l = 0; l < columns; l++) put(to + row + l, rounded(bits_of(even + j + l)));
    }
}

#if BF16_INSTRUCTION
#include "bf16_words.h"
#else
#define row_of_words row_of_floats
#define rows_of_words rows_of_floats
#endif

GEMM_API void bf16_row(const real *from, ptrdiff_t k, real *to) {
    if (bf16_native) row_of_words(from, k, to);
    else row_of_floats(from, k, to);
}

GEMM_API void bf16_rows(const real *even, const real *odd, ptrdiff_t n, real *to, ptrdiff_t panel, ptrdiff_t row) {
    if (bf16_native) rows_of_words(even, odd, n, to, panel, row);
    else rows_of_floats(even, odd, n, to, panel, row);
}
#else
typedef int bf16_pack_is_for_float32_alone;
#endif

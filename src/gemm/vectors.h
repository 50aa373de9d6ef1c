/* One vector of `real`: multiply-adds, broadcasts, and loads and stores of its first lanes; and what keeps the compiler
 * from undoing the order in which they are written. */
#ifndef FASTNN_GEMM_VECTORS_H
#define FASTNN_GEMM_VECTORS_H

#include "math/simd.h"
#if defined(__SSE2__) && !defined(FASTNN_SCALAR)
#include <immintrin.h>
#endif

#ifdef __GNUC__
#define NOINLINE __attribute__((noinline))
#define PREFETCH_SOON(address) __builtin_prefetch(address, 0, 3) /* into the first-level cache */
#define PREFETCH_TO_WRITE(address) __builtin_prefetch(address, 1, 3)
#define IN_ORDER(pointer) __asm__("" : "+r"(pointer)) /* else GCC computes all row addresses at once and spills them */
#else
#define NOINLINE
#define PREFETCH_SOON(address) (void)(address)
#define PREFETCH_TO_WRITE(address) (void)(address)
#define IN_ORDER(pointer) (void)(pointer)
#endif

#ifdef FASTNN_SCALAR
#define vec_fma(a, b, c) real_fma(a, b, c)
#define vec_broadcast(x) (x)
#else
/* One instruction, or a multiplication and an addition. GCC 12 and Clang 14 also make one of the loop, but only where
 * they optimize. */
ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c) {
#if defined(__AVX512F__) && FASTNN_DOUBLE
    return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX512F__)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__) && FASTNN_DOUBLE
    return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    vec sum;
    UNROLL for (int lane = 0; lane < (int)LANES; lane++) sum[lane] = real_fma(a[lane], b[lane], c[lane]);
    return sum;
#else
    return a * b + c;
#endif
}

ALWAYS_INLINE vec vec_broadcast(real x) { return x - (vec){0}; /* x + 0 would turn -0 into 0 */ }
#endif

/* relu: 0 where x <= 0, so that a NaN stays; and its derivative: x where y > 0, else 0. In each lane. */
#if defined(FASTNN_SCALAR)
ALWAYS_INLINE vec rectified(vec x) { return x <= 0 ? 0 : x; }
ALWAYS_INLINE vec where_positive(vec x, vec y) { return y > 0 ? x : 0; }
#else
ALWAYS_INLINE vec rectified(vec x) {
#if defined(__AVX512F__)
    /* What becomes of a number of each kind, in one instruction: 0 for zeros, what is negative and -infinity. */
    const int to_zero = 8 << 4 * 2 | 8 << 4 * 4 | 8 << 4 * 6;
#if FASTNN_DOUBLE
    return (vec)_mm512_fixupimm_pd((__m512d)x, (__m512d)x, _mm512_set1_epi64(to_zero), 0);
#else
    return (vec)_mm512_fixupimm_ps((__m512)x, (__m512)x, _mm512_set1_epi32(to_zero), 0);
#endif
#else
    __typeof__(x <= x) x_is_not = x <= (vec){0};
    return (vec)((__typeof__(x_is_not))x & ~x_is_not);
#endif
}
ALWAYS_INLINE vec where_positive(vec x, vec y) {
    __typeof__(y > y) y_is = y > (vec){0};
    return (vec)((__typeof__(y_is))x & y_is);
}
#endif

ALWAYS_INLINE vec vec_load(const real *p) { return *(const vec *)p; }
ALWAYS_INLINE void vec_store(real *p, vec v) { *(vec *)p = v; }

/* The first lanes of a vector, chosen by vec_first(count), 0 <= count <= LANES; memory beyond them is not touched.
 * MASKED_LOADS is 2 where a masked load costs little more than a whole one (1 % of a tile), 1 where it costs more
 * (10 %, with AVX2), and 0 where it is so slow that the tail of b is packed instead. */
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
OUT_OF_LINE vec load_lanes(const real *p, ptrdiff_t count) {
    real lanes[VECTOR_BYTES / sizeof(real)] = {0};
    for (ptrdiff_t lane = 0; lane < count; lane++) lanes[lane] = p[lane];
    return vec_load(lanes);
}
OUT_OF_LINE void store_lanes(real *p, vec v, ptrdiff_t count) {
    real lanes[VECTOR_BYTES / sizeof(real)];
    vec_store(lanes, v);
    for (ptrdiff_t lane = 0; lane < count; lane++) p[lane] = lanes[lane];
}
ALWAYS_INLINE vec vec_load_first(const real *p, vec_mask count) {
    return LIKELY(count == LANES) ? vec_load(p) : load_lanes(p, count);
}
ALWAYS_INLINE void vec_store_first(real *p, vec v, vec_mask count) {
    if (LIKELY(count == LANES)) vec_store(p, v);
    else store_lanes(p, v, count);
}
#endif

/* The same for the first half of the lanes at most, where half of a vector takes half of the time: Zen 4 starts two
 * such multiply-adds every cycle, and one of a whole vector. The other lanes hold anything. */
#if defined(__AVX512VL__) && !defined(FASTNN_SCALAR)
#define HALVES 1
#define HALF (LANES / 2)
#if FASTNN_DOUBLE
#define half_of(x) _mm512_castpd512_pd256((__m512d)(x))
#define vec_of_half(x) ((vec)_mm512_castpd256_pd512(x))
#define half_fma(a, b, c) vec_of_half(_mm256_fmadd_pd(half_of(a), half_of(b), half_of(c)))
#define half_broadcast(x) vec_of_half(_mm256_set1_pd(x))
#define half_load_first(p, mask) vec_of_half(_mm256_maskz_loadu_pd(mask, p))
#else
#define half_of(x) _mm512_castps512_ps256((__m512)(x))
#define vec_of_half(x) ((vec)_mm512_castps256_ps512(x))
#define half_fma(a, b, c) vec_of_half(_mm256_fmadd_ps(half_of(a), half_of(b), half_of(c)))
#define half_broadcast(x) vec_of_half(_mm256_set1_ps(x))
#define half_load_first(p, mask) vec_of_half(_mm256_maskz_loadu_ps((__mmask8)(mask), p))
#endif
#else
#define HALVES 0
#define HALF ((ptrdiff_t)0)
#define half_fma vec_fma
#define half_broadcast vec_broadcast
#define half_load_first vec_load_first
#endif

ALWAYS_INLINE ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

#endif

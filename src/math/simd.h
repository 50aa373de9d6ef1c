/* `real`, and one vector of them for the instruction set being built.
 *
 * The build chooses two things: FASTNN_DOUBLE (0 or 1) and -march. FASTNN_SCALAR stands for compilers without
 * GCC's vector extensions: a vector is then one number, and everything else stays as it is.
 *
 * The library is compiled with -ffp-contract=off, and multiply-adds are written out as `real_fma`: an element has
 * the same bits whether it falls into the vector part of a loop, into its tail, or into another thread's share.
 */
#ifndef FASTNN_SIMD_H
#define FASTNN_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef FASTNN_DOUBLE
#error "FASTNN_DOUBLE must be 0 or 1"
#endif

#if FASTNN_DOUBLE
typedef double real;
#define REAL(x) x
#else
typedef float real;
#define REAL(x) x##f
#endif

#if !defined(__GNUC__) && !defined(FASTNN_SCALAR)
#define FASTNN_SCALAR
#endif

#if defined(__GNUC__)
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#elif defined(_MSC_VER)
#define ALIGNED(bytes) __declspec(align(bytes))
#else
#define ALIGNED(bytes)
#endif

#ifdef __GNUC__
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define OUT_OF_LINE static __attribute__((noinline, unused)) /* once, however many callers */
#define SELDOM __attribute__((cold)) /* small rather than fast */
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNROLL _Pragma("GCC unroll 16")
#define PREFETCH(address) __builtin_prefetch(address, 0, 2) /* into the second-level cache */
#else
#define ALWAYS_INLINE static inline
#define OUT_OF_LINE static
#define SELDOM
#define LIKELY(x) (x)
#define UNROLL
#define PREFETCH(address) (void)(address)
#endif

#define CACHE_LINE ((ptrdiff_t)(64 / sizeof(real)))

/* The iterations of the loop that follows are independent: an output may be exactly its input. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

/* a * b + c: in one rounding where the processor has it, in two where it has not (and never a slow library call). */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#if FASTNN_DOUBLE
#define real_fma(a, b, c) __builtin_fma(a, b, c)
#else
#define real_fma(a, b, c) __builtin_fmaf(a, b, c)
#endif
#else
#define real_fma(a, b, c) ((a) * (b) + (c))
#endif

#if defined(FASTNN_SCALAR)
#define VECTOR_BYTES sizeof(real)
typedef real vec;
#else
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
/* Aligned only as its elements are: a vector is loaded from wherever a row begins. */
typedef real vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#endif
#define LANES ((ptrdiff_t)(VECTOR_BYTES / sizeof(real)))

/* x > y ? x : y, in each lane: GCC 12 has this form for numbers only. */
#if defined(FASTNN_SCALAR)
ALWAYS_INLINE vec greater(vec x, vec y) { return x > y ? x : y; }
#else
ALWAYS_INLINE vec greater(vec x, vec y) {
    __typeof__(x > y) x_is = x > y; /* lanes of ones, or of zeros */
    return (vec)(((__typeof__(x_is))x & x_is) | ((__typeof__(x_is))y & ~x_is));
}
#endif

#endif

/* exp, expm1, log, log1p, sigmoid, tanh, softplus, erf, erfc: of one number, written so that a compiler turns a loop
 * over them into vectors of any width: no branch, no table, no library call, every choice a ?: between two values
 * that are both computed.
 *
 * The way is the usual one (J.-M. Muller, Elementary Functions, 3rd ed., Birkhauser 2016; W. J. Cody and W. Waite,
 * Software Manual for the Elementary Functions, Prentice-Hall 1980): reduce the argument to a short interval, take a
 * polynomial there, undo the reduction. The polynomials are this project's own minimax fits (Remez exchange on the
 * relative error in 50 digits; the erfcx one by least squares at Chebyshev nodes), refitted after each rounding of
 * a leading coefficient. `real_fma` may round twice, so no step leans on a fused product: reductions are
 * Cody-Waite with a short high part, sums that must not lose their error carry it (T. J. Dekker, Numer. Math. 18, 1971).
 *
 * Accuracy is in ULP of the result, the largest over x86-64-v2 (no fused multiply-add), v3 and v4; float32 over all
 * 2^32 inputs, float64 over points against a correctly rounded 40-digit value. NaN gives NaN, infinities their limits.
 */
#ifndef FASTNN_ELEMENTARY_H
#define FASTNN_ELEMENTARY_H

#include "simd.h"

/* ---- helpers ---------------------------------------------------------------------------------------------------- */

/* SHIFT: adding it rounds a number below 2^(MANTISSA_BITS-2) to an integer, which then stands, plus the exponent bias, in
 * the low bits of the sum. LN2_HIGH is so short that an exponent times it is exact. */
#if FASTNN_DOUBLE
typedef uint64_t real_word;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define BITS_OF_ONE 0x3ff0000000000000u
#define BITS_OF_SQRT_HALF 0x3fe6a09e667f3bcdu
#define SMALLEST_NORMAL 0x1p-1022
#define HALF_EPSILON 0x1p-53
#define SHIFT (0x1.8p52 + EXPONENT_BIAS)
#define LN2_HIGH 0.6931471805598903
#define LN2_LOW 5.497923018708371e-14
#else
typedef uint32_t real_word;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define BITS_OF_ONE 0x3f800000u
#define BITS_OF_SQRT_HALF 0x3f3504f3u
#define SMALLEST_NORMAL 0x1p-126f
#define HALF_EPSILON 0x1p-24f
#define SHIFT (0x1.8p23f + EXPONENT_BIAS)
#define LN2_HIGH 0.693145751953125f
#define LN2_LOW 1.4286068e-06f
#endif
#define LOG2_E REAL(1.4426950408889634)

ALWAYS_INLINE real_word to_bits(real x) {
    real_word bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

ALWAYS_INLINE real from_bits(real_word bits) {
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^n from the low bits of n + EXPONENT_BIAS; the bits above them fall off. */
ALWAYS_INLINE real power_of_two(real_word biased) { return from_bits(biased << MANTISSA_BITS); }

ALWAYS_INLINE real magnitude(real x) { return from_bits(to_bits(x) & ~(real_word)0 >> 1); }

/* `size` (at least 0) with the sign of x. */
ALWAYS_INLINE real with_sign_of(real size, real x) {
    return from_bits(to_bits(size) | (to_bits(x) & ~(~(real_word)0 >> 1)));
}

/* x between two bounds; NaN stays NaN, because no comparison with it holds. */
ALWAYS_INLINE real at_least(real x, real low) { return low > x ? low : x; }
ALWAYS_INLINE real at_most(real x, real high) { return high < x ? high : x; }

/* c[0] + c[1] x + ... by Horner's rule. n is a constant: the compiler unrolls. */
ALWAYS_INLINE real polynomial(real x, const real *c, int n) {
    real sum = c[n - 1];
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 32
#endif
    for (int i = n - 2; i >= 0; i--) sum = real_fma(sum, x, c[i]);
    return sum;
}
#define POLYNOMIAL(x, c) polynomial(x, c, (int)(sizeof(c) / sizeof(c[0])))

/* ---- exp, expm1 ------------------------------------------------------------------------------------------------- */

/* (e^r - 1 - r) / r^2 on |r| <= ln(2)/2; error relative to (e^r - 1)/r^2: 2^-26.1 and 2^-55.2. */
#if FASTNN_DOUBLE
static const real EXP_TAIL[] = {0.5000000000000006,     0.16666666666666685,    0.0416666666665722,
                                0.008333333333314298,   0.001388888893287755,   0.00019841269903755969,
                                2.480150381371181e-05,  2.7557227238312943e-06, 2.762658940234766e-07,
                                2.5114718260213676e-08};
#define EXP_LOWEST -746.0
#define EXP_HIGHEST 710.0
#define EXPM1_LOWEST -40.0
#else
static const real EXP_TAIL[] = {0.5f, 0.16666539f, 0.0416666f, 0.0083670365f, 0.0013921029f};
#define EXP_LOWEST -104.0f
#define EXP_HIGHEST 89.0f
#define EXPM1_LOWEST -20.0f
#endif

/* x = n ln(2) + r with |r| <= ln(2)/2, and e^r = 1 + r + tail. */
typedef struct {
    real_word biased; /* n + EXPONENT_BIAS in its low bits */
    real r, tail;
} ReducedExp;

ALWAYS_INLINE ReducedExp reduce_exp(real x) {
    real shifted = real_fma(x, LOG2_E, SHIFT), n = shifted - SHIFT;
    real r = real_fma(n, -LN2_LOW, real_fma(n, -LN2_HIGH, x));
    ReducedExp e = {to_bits(shifted), r, r * r * POLYNOMIAL(r, EXP_TAIL)};
    return e;
}

/* scale e^r - 1, where scale = 2^n and |scale r| <= |scale - 1| unless n = 0: the sum's rounding error is kept. */
ALWAYS_INLINE real scaled_minus(real scale, ReducedExp e, real one) {
    real difference = scale - one, rest = scale * e.r;
    real sum = difference + rest, lost = difference - sum + rest;
    return sum + real_fma(scale, e.tail, lost);
}

ALWAYS_INLINE real real_exp(real x) {
    ReducedExp e = reduce_exp(at_most(at_least(x, EXP_LOWEST), EXP_HIGHEST));
    real_word biased = e.biased + EXPONENT_BIAS, half = biased >> 1;
    return (1 + (e.r + e.tail)) * power_of_two(half) * power_of_two(biased - half);
}

ALWAYS_INLINE real real_expm1(real x) {
    ReducedExp e = reduce_exp(at_most(at_least(x, EXPM1_LOWEST), EXP_HIGHEST));
    real y = 2 * scaled_minus(power_of_two(e.biased - 1), e, REAL(0.5));
    return magnitude(x) < HALF_EPSILON ? x : y;
}

/* ---- log, log1p ------------------------------------------------------------------------------------------------- */

/* (2 atanh(s)/s - 2) / s^2 as a polynomial in s^2 on |s| <= (sqrt(2)-1)/(sqrt(2)+1) */
#if FASTNN_DOUBLE
static const real LOG_TAIL[] = {0.6666666666666735,  0.3999999999940932,  0.285714287436994,  0.22222198427189982,
                                0.18183572469133896, 0.15313828762178594, 0.1479829708413186};
#else
static const real LOG_TAIL[] = {0.66666776f, 0.39977568f, 0.29871422f};
#endif

/* u = 2^k (1 + f) with 1 + f from sqrt(1/2) to sqrt(2), for a positive normal u. */
typedef struct {
    real_word biased; /* k + EXPONENT_BIAS */
    real f;
} ReducedLog;

ALWAYS_INLINE ReducedLog reduce_log(real u) {
    real_word bits = to_bits(u) + (BITS_OF_ONE - BITS_OF_SQRT_HALF);
    real_word mantissa = bits & (((real_word)1 << MANTISSA_BITS) - 1);
    ReducedLog l = {bits >> MANTISSA_BITS, from_bits(mantissa + BITS_OF_SQRT_HALF) - 1};
    return l;
}

ALWAYS_INLINE real exponent(real_word biased) {
    real two_to_mantissa = (real)((real_word)1 << MANTISSA_BITS);
    return from_bits(biased | to_bits(two_to_mantissa)) - (two_to_mantissa + EXPONENT_BIAS);
}

/* k ln(2) + log(1 + f) */
ALWAYS_INLINE real log_sum(real k, real f) {
    real s = f / (2 + f), z = s * s, half_square = REAL(0.5) * f * f;
    real tail = z * POLYNOMIAL(z, LOG_TAIL);
    real low = real_fma(s, half_square + tail, k * LN2_LOW);
    return real_fma(k, LN2_HIGH, f - (half_square - low));
}

ALWAYS_INLINE real real_log(real x) {
    real two_to_mantissa = (real)((real_word)1 << MANTISSA_BITS);
    real normal = x < SMALLEST_NORMAL ? x * two_to_mantissa : x;
    ReducedLog l = reduce_log(normal);
    real k = exponent(l.biased) - (x < SMALLEST_NORMAL ? (real)MANTISSA_BITS : 0);
    real y = log_sum(k, l.f);
    y = x > 0 ? y : x == 0 ? (real)-INFINITY : (real)NAN;
    return x < (real)INFINITY ? y : x;
}

ALWAYS_INLINE real real_log1p(real x) {
    real u = 1 + x;
    real lost = at_most(x, 1) - (u - at_least(x, 1));
    ReducedLog l = reduce_log(u);
    real f = real_fma(lost * REAL(0.25), power_of_two(2 * EXPONENT_BIAS + 2 - l.biased), l.f);
    real y = log_sum(exponent(l.biased), f);
    y = x > -1 ? y : x == -1 ? (real)-INFINITY : (real)NAN;
    y = magnitude(x) < HALF_EPSILON ? x : y;
    return x < (real)INFINITY ? y : x;
}

/* ---- sigmoid, tanh, softplus ------------------------------------------------------------------------------------ */

ALWAYS_INLINE real real_sigmoid(real x) {
    real e = real_exp(-magnitude(x));
    real total = 1 + e, lost = 1 - total + e;
    real y = (x < 0 ? e : 1) / total;
    return real_fma(-y, lost, y);
}

#if FASTNN_DOUBLE
#define TANH_LOWEST -40.0
#else
#define TANH_LOWEST -20.0f
#endif

ALWAYS_INLINE real real_tanh(real x) {
    ReducedExp d = reduce_exp(at_least(-2 * magnitude(x), TANH_LOWEST));
    real scale = power_of_two(d.biased), e = real_fma(scale, d.r + d.tail, scale);
    real minus = scaled_minus(scale, d, 1);
    real y = (e < REAL(0.333) ? 2 * e : -minus) / (1 + e);
    y = e < REAL(0.333) ? 1 - y : y;
    return with_sign_of(magnitude(y), x);
}

ALWAYS_INLINE real real_softplus(real x) {
    return at_least(x, 0) + real_log1p(real_exp(-magnitude(x)));
}

/* ---- erf, erfc -------------------------------------------------------------------------------------------------- */

#if FASTNN_DOUBLE
/* erf(x)/x - 1 in x^2, |x| <= 1 */
static const real ERF_SMALL[] = {0.12837916709551256,    -0.3761263890318334,   0.11283791670936541,
                                 -0.0268661706418702,    0.005223977595850666,  -0.0008548325436685348,
                                 0.00012055278915160961, -1.4924433262468528e-05, 1.6443732770224502e-06,
                                 -1.61806909683446e-07,  1.3602129887917186e-08, -7.580280430818128e-10};
static const real ERFCX[] = {1.0740069070883398,      -0.8833944531698836,     0.5902283571040909,
                             -0.3104672619005659,     0.11952776128769252,     -0.026827234624532965,
                             -0.0012124166341663043,  0.0030340620017659226,   -0.0005483096241432971,
                             -0.00027677784691708407, 0.00010756108318473934,  3.03981331712676e-05,
                             -1.746902208320199e-05,  -4.7489704476079814e-06, 2.761543628091452e-06,
                             9.978809177619063e-07,   -4.0179756082766813e-07, -2.3120594472692142e-07,
                             4.000277301001292e-08,   4.745727854612646e-08,   2.186342152323679e-09,
                             -5.986869449013729e-09,  -1.45012547039448e-09};
#define ERFC_HIGHEST 27.3
#define HIGH_HALF_MASK 0xfffffffff8000000u
#else
static const real ERF_SMALL[] = {0.12837917f, -0.3761263f,   0.11283618f,   -0.026855119f,
                                 0.005190717f, -0.0008030601f, 7.9198086e-05f};
static const real ERFCX[] = {1.0740069f,    -0.8833945f,    0.59022814f,   -0.31046614f,    0.11952991f,
                             -0.026838869f, -0.0012275057f, 0.0030783839f, -0.0004841259f, -0.00032555338f};
#define ERFC_HIGHEST 10.1f
#define HIGH_HALF_MASK 0xfffff000u
#endif

/* e^(a^2) erfc(a) for a >= 0 */
ALWAYS_INLINE real erfcx(real a) {
    real inverse = 1 / (a + 3);
    return POLYNOMIAL((a - 3) * inverse, ERFCX) * inverse;
}

ALWAYS_INLINE real real_erf(real x) {
    real small = real_fma(x, POLYNOMIAL(x * x, ERF_SMALL), x);
    real a = at_most(magnitude(x), ERFC_HIGHEST);
    real large = with_sign_of(1 - real_exp(-a * a) * erfcx(a), x);
    return a < 1 ? small : large;
}

ALWAYS_INLINE real real_erfc(real x) {
    real a = at_most(magnitude(x), ERFC_HIGHEST);
    real square = a * a, high = from_bits(to_bits(a) & HIGH_HALF_MASK), low = a - high;
    real lost = high * high - square + 2 * high * low + low * low;
    real e = real_exp(-square);
    real y = real_fma(-e, lost, e) * erfcx(a);
    return x < 0 ? 2 - y : y;
}

#endif

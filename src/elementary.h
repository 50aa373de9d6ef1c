/* exp, expm1, log, log1p, sigmoid, tanh, softplus, erf, erfc of one number, written so that a compiler turns a loop
 * over them into vectors of any width: no branch, no table, no library call; a choice is a ?: between two values that
 * are both computed. Two such choices on the same number are kept apart (one on its bits, say): GCC joins comparisons
 * that it can relate into paths of their own, and each becomes masks, or a copy of the computation.
 *
 * The way is the usual one (J.-M. Muller, Elementary Functions, 3rd ed., Birkhauser 2016; W. J. Cody and W. Waite,
 * Software Manual for the Elementary Functions, Prentice-Hall 1980): reduce the argument to a short interval, take a
 * polynomial there, undo the reduction. The polynomials are this project's own, fitted in 50 digits: minimax by Remez
 * exchange (erfcx: weighted least squares at Chebyshev nodes), the leading coefficients rounded first and the others
 * refitted to them. `real_fma` may round twice, so no step leans on a fused product: the reduction has a short high
 * part (Cody and Waite), and a rounding error that would show is carried along by Dekker's fast two-sum, sum = a + b,
 * lost = (a - sum) + b, exact for |a| >= |b| (T. J. Dekker, Numer. Math. 18, 1971).
 *
 * Accuracy stands at each function, in ULP of the result, the largest of x86-64-v2 (no fused multiply-add), v3 and
 * v4: float32 over all 2^32 inputs, float64 over 300,000 points against 140-bit values. Subnormal results are within
 * 2 units of the smallest subnormal. NaN gives NaN, infinities give the limits, and expm1, log1p, tanh and erf keep
 * the sign of zero.
 */
#ifndef FASTNN_ELEMENTARY_H
#define FASTNN_ELEMENTARY_H

#include "simd.h"

/* ---- helpers ---------------------------------------------------------------------------------------------------- */

/* SHIFT: adding it rounds a number below 2^(MANTISSA_BITS-2) to an integer, which then stands, plus the exponent
 * bias, in the low bits of the sum. LN2_HIGH is so short that an exponent times it is exact. */
#if FASTNN_DOUBLE
typedef uint64_t real_word;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define BITS_OF_ONE 0x3ff0000000000000u
#define BITS_OF_INFINITY 0x7ff0000000000000u
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
#define BITS_OF_INFINITY 0x7f800000u
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

/* `size`, positive or of the sign of x already, with the sign of x. */
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

/* x = n ln(2) + r with |r| <= ln(2)/2, and e^r = 1 + r + tail: Cody and Waite's reduction, n found by adding SHIFT. */
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

/* high + low, not yet rounded to one number. */
typedef struct {
    real high, low;
} Pair;

/* scale e^r - one, for powers of two. The two-sum is exact: |scale r| <= |scale - one| unless scale = one, and then
 * scale - one is 0. */
ALWAYS_INLINE Pair scaled_minus(real scale, ReducedExp e, real one) {
    real difference = scale - one, step = scale * e.r, high = difference + step;
    Pair p = {high, real_fma(scale, e.tail, difference - high + step)};
    return p;
}

/* e^r */
ALWAYS_INLINE Pair mantissa_of(ReducedExp e) {
    real high = 1 + e.r;
    Pair p = {high, e.tail + (1 - high + e.r)};
    return p;
}

/* m 2^n in two steps, so that a subnormal result is rounded once and one beyond the largest becomes infinite. */
ALWAYS_INLINE real scaled(real m, real_word biased) {
    real_word twice = biased + EXPONENT_BIAS, half = twice >> 1;
    return m * power_of_two(half) * power_of_two(twice - half);
}

/* e^x for x <= EXP_HIGHEST; NaN stays NaN. */
ALWAYS_INLINE real exp_below(real x) {
    ReducedExp e = reduce_exp(at_least(x, EXP_LOWEST));
    Pair m = mantissa_of(e);
    return scaled(m.high + m.low, e.biased);
}

/* e^x = 2^n e^r, e^r = 1 + r + r^2 q(r) summed smallest first (Cody and Waite 1980, ch. 6).
 * Max error: float32 0.83, float64 0.77 ULP. */
ALWAYS_INLINE real real_exp(real x) {
    real y = exp_below(x);
    return x > EXP_HIGHEST ? (real)INFINITY : y;
}

/* e^x - 1 = 2 (2^(n-1) e^r - 1/2), halved so that n = EXPONENT_BIAS + 1 is still a number; the subtraction carries
 * its error, so nothing is lost where n = +-1 (P. T. P. Tang, ACM TOMS 18, 1992, has the analysis). Below half an
 * epsilon it is x. Max error: float32 1.25, float64 1.54 ULP. */
ALWAYS_INLINE real real_expm1(real x) {
    ReducedExp e = reduce_exp(at_least(x, EXPM1_LOWEST));
    Pair half = scaled_minus(power_of_two(e.biased - 1), e, REAL(0.5));
    real y = 2 * (half.high + half.low);
    y = x > EXP_HIGHEST ? (real)INFINITY : y;
    return (to_bits(x) << 1) < (to_bits(HALF_EPSILON) << 1) ? x : y;
}

/* ---- log, log1p ------------------------------------------------------------------------------------------------- */

/* (2 atanh(s)/s - 2) / s^2 in powers of s^2, |s| <= (sqrt(2)-1)/(sqrt(2)+1); error relative to 2 atanh(s)/s: 2^-30,
 * 2^-59. */
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

/* k from k + EXPONENT_BIAS (>= 0): as the low bits of 2^MANTISSA_BITS + k, as not every processor converts 64-bit
 * integers. */
ALWAYS_INLINE real exponent(real_word biased) {
    real two_to_mantissa = (real)((real_word)1 << MANTISSA_BITS);
    return from_bits(biased | to_bits(two_to_mantissa)) - (two_to_mantissa + EXPONENT_BIAS);
}

/* k ln(2) + log(1 + f). With s = f/(2+f), log(1+f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R)), R = s^2 p(s^2): the
 * large term f is exact (the form of Sun's fdlibm, e_log.c, 1993). */
ALWAYS_INLINE real log_sum(real k, real f) {
    real s = f / (2 + f), z = s * s, half_square = REAL(0.5) * f * f;
    real tail = z * POLYNOMIAL(z, LOG_TAIL);
    real low = real_fma(s, half_square + tail, k * LN2_LOW);
    return real_fma(k, LN2_HIGH, f - (half_square - low));
}

/* y, or the limit of log at u where u is not positive and finite: -inf at 0, inf at inf, NaN (all bits set) below 0.
 * On bits and with two choices only: chains of float comparisons become many masks. */
ALWAYS_INLINE real log_or_limit(real y, real u) {
    real_word bits = to_bits(u), negative = bits >> (8 * sizeof(real) - 1);
    real limit = bits << 1 == 0 ? (real)-INFINITY : from_bits(bits | (0 - negative));
    return bits - 1 < BITS_OF_INFINITY - 1 ? y : limit;
}

/* log(x) = k ln(2) + log(1 + f); a subnormal x is first multiplied by 2^MANTISSA_BITS.
 * Max error: float32 0.84, float64 0.79 ULP. */
ALWAYS_INLINE real real_log(real x) {
    real_word lift = x < SMALLEST_NORMAL ? MANTISSA_BITS : 0;
    ReducedLog l = reduce_log(x * power_of_two(EXPONENT_BIAS + lift));
    real y = log_sum(exponent(l.biased + (MANTISSA_BITS - lift)) - MANTISSA_BITS, l.f);
    return log_or_limit(y, x);
}

/* log(u + lost) for a positive normal u and a `lost` within its rounding error; exact to first order. */
ALWAYS_INLINE real log_of_pair(real u, real lost) {
    ReducedLog l = reduce_log(u);
    real scale = REAL(0.25) * power_of_two(2 * EXPONENT_BIAS + 2 - l.biased); /* 2^-k, also where that is subnormal */
    return log_sum(exponent(l.biased), real_fma(lost, scale, l.f));
}

/* log(1 + x) with 1 + x = u + lost exactly, by the two-sum that needs no order (D. E. Knuth, The Art of Computer
 * Programming 2, 4.2.2). Max error: float32 1.40, float64 1.25 ULP. */
ALWAYS_INLINE real real_log1p(real x) {
    real u = 1 + x, part = u - 1, lost = (1 - (u - part)) + (x - part);
    return log_or_limit(with_sign_of(log_of_pair(u, lost), x), u);
}

/* ---- sigmoid, tanh, softplus ------------------------------------------------------------------------------------ */

/* e/(1+e) with e = e^-|x|, so that nothing overflows and the small side is relatively exact; 1 minus that for x >= 0.
 * The denominator's rounding error is taken off the numerator (to first order, e small), before that is rounded; 2^n
 * comes last, for subnormal results. Max error: float32 1.55, float64 1.49 ULP. */
ALWAYS_INLINE real real_sigmoid(real x) {
    ReducedExp d = reduce_exp(at_least(-magnitude(x), EXP_LOWEST));
    Pair m = mantissa_of(d);
    real e = scaled(m.high + m.low, d.biased);
    real total = 1 + e, lost = 1 - total + e;
    real y = scaled((m.high + real_fma(-m.high, lost, m.low)) / total, d.biased);
    return x < 0 ? y : 1 - y;
}

/* tanh|x| = -m/(2+m) with m = e^(-2|x|) - 1 (the form of fdlibm, s_tanh.c), the denominator's rounding error again
 * taken off the numerator: 0.7 stands for 1/(2+m), which is between 1/2 and 1.
 * Max error: float32 1.75, float64 1.82 ULP. */
ALWAYS_INLINE real real_tanh(real x) {
    ReducedExp d = reduce_exp(at_least(-2 * magnitude(x), EXPM1_LOWEST));
    Pair m = scaled_minus(power_of_two(d.biased), d, 1);
    real minus = m.high + m.low;
    real total = 2 + minus, lost = REAL(0.7) * (2 - total + minus);
    real y = (m.high + real_fma(-m.high, lost, m.low)) / total;
    return with_sign_of(magnitude(y), x);
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) (M. Maechler, Accurately computing log(1 - exp(-|a|)), 2012).
 * Max error: float32 1.78, float64 1.59 ULP. */
ALWAYS_INLINE real real_softplus(real x) {
    real e = exp_below(-magnitude(x)), u = 1 + e;
    return at_least(x, 0) + log_of_pair(u, 1 - u + e);
}

/* ---- erf, erfc -------------------------------------------------------------------------------------------------- */

/* ERF_SMALL: erf(x)/x - 1 in powers of x^2, |x| <= 1, error 2^-28.6 and 2^-55.5. ERFCX: (a+3) e^(a^2) erfc(a) in
 * powers of t = (a-3)/(a+3), 1 <= a <= ERFC_HIGHEST, relative error 2^-26.8 and 2^-53.4, most of it the rounding of
 * the coefficients. erfc(ERFC_HIGHEST) rounds to 0, and its square is above EXP_LOWEST: reduce_exp needs no second
 * bound. */
#if FASTNN_DOUBLE
static const real ERF_SMALL[] = {0.12837916709551256,    -0.3761263890318334,   0.11283791670936541,
                                 -0.0268661706418702,    0.005223977595850666,  -0.0008548325436685348,
                                 0.00012055278915160961, -1.4924433262468528e-05, 1.6443732770224502e-06,
                                 -1.61806909683446e-07,  1.3602129887917186e-08, -7.580280430818128e-10};
static const real ERFCX[] = {
    1.0740069070883398,      -0.8833944531698841,     0.5902283571040917,      -0.31046726190049767,
    0.11952776128757066,     -0.026827234627602444,   -0.0012124166282837965,  0.0030340620625193618,
    -0.0005483097526765067,  -0.0002767784618432001,  0.00010756256805861178,  3.0401416020393565e-05,
    -1.747869198652408e-05,  -4.757119211591618e-06,  2.797140873859066e-06,   9.993100421091825e-07,
    -4.708250305274172e-07,  -1.9845929001289246e-07, 9.522594586274831e-08,
};
#define ERFC_HIGHEST 27.3
#define HIGH_HALF_MASK 0xfffffffff8000000u
#else
static const real ERF_SMALL[] = {0.12837917f, -0.3761263f,   0.11283618f,   -0.026855119f,
                                 0.005190717f, -0.0008030601f, 7.9198086e-05f};
static const real ERFCX[] = {
    1.0740069f,     -0.8833944f,    0.59022814f,    -0.31046915f,   0.119529046f,
    -0.026799345f,  -0.0012161203f, 0.0028834697f,  -0.0005172168f,
};
#define ERFC_HIGHEST 10.1f
#define HIGH_HALF_MASK 0xfffff000u
#endif

/* e^(a^2) erfc(a) for 1 <= a <= ERFC_HIGHEST (J. L. Schonfelder, Math. Comp. 32, 1978: the variable (a-k)/(a+k)). */
ALWAYS_INLINE real erfcx(real a) {
    real inverse = 1 / (a + 3);
    return POLYNOMIAL((a - 3) * inverse, ERFCX) * inverse;
}

/* erf(x)/x - 1 for |x| <= 1 */
ALWAYS_INLINE real erf_excess(real x) { return POLYNOMIAL(x * x, ERF_SMALL); }

/* x + x p(x^2) below 1, +-(1 - e^(-a^2) erfcx(a)) from 1 on. Max error: float32 1.36, float64 1.23 ULP. */
ALWAYS_INLINE real real_erf(real x) {
    real a = at_most(magnitude(x), ERFC_HIGHEST);
    ReducedExp d = reduce_exp(-a * a);
    real tail = scaled((1 + (d.r + d.tail)) * erfcx(a), d.biased);
    real large = with_sign_of(1 - tail, x);
    return to_bits(magnitude(x)) < BITS_OF_ONE ? real_fma(x, erf_excess(x), x) : large;
}

/* (1 - x) - x p(x^2) for |x| < 1, e^(-a^2) erfcx(a) or 2 minus that beyond. The rounding error of a^2, by Dekker's
 * exact product of halves, goes into e^(-a^2): the relative error stays small down the tail. Max error: float32
 * 4.76, float64 3.9 ULP. */
ALWAYS_INLINE real real_erfc(real x) {
    real a = at_most(magnitude(x), ERFC_HIGHEST);
    real square = a * a, high = from_bits(to_bits(a) & HIGH_HALF_MASK), low = a - high;
    real lost = high * high - square + 2 * high * low + low * low;
    ReducedExp d = reduce_exp(-square);
    Pair m = mantissa_of(d);
    real tail = scaled((m.high + real_fma(-(m.high + m.low), lost, m.low)) * erfcx(a), d.biased);
    real large = to_bits(x) >> (8 * sizeof(real) - 1) ? 2 - tail : tail;
    return to_bits(magnitude(x)) < BITS_OF_ONE ? real_fma(-x, erf_excess(x), 1 - x) : large;
}

#endif

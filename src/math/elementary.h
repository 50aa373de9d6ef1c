/* exp, expm1, log, log1p, sigmoid, tanh, softplus, silu, mish, erf, erfc of one number, written so that a compiler
 * turns a loop over them into vectors of any width: no branch, no table, no library call; a choice is a ?: between two
 * values that are both computed. Two such choices on the same number are kept apart (one on its bits, say): GCC joins
 * comparisons that it can relate into paths of their own, and each becomes masks, or a copy of the computation.
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
 * v4: float32 over every number from 2^-31 to where the function saturates (`pytest --exhaustive` takes all 2^32),
 * float64 over 300,000 points against 140-bit values. Subnormal results are within 2 units of the smallest subnormal.
 * NaN gives NaN, infinities give the limits, and expm1, log1p, tanh, silu, mish and erf keep the sign of zero.
 */
#ifndef FASTNN_ELEMENTARY_H
#define FASTNN_ELEMENTARY_H

#include "math/simd.h"

/* ---- helpers ---------------------------------------------------------------------------------------------------- */

/* SHIFT: adding it rounds a number below 2^(MANTISSA_BITS-2) to an integer, which then stands, plus twice the exponent
 * bias, in the low bits of the sum. LN2_HIGH is so short that an exponent times it is exact. */
#if FASTNN_DOUBLE
typedef uint64_t real_word;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define BITS_OF_ONE 0x3ff0000000000000u
#define BITS_OF_INFINITY 0x7ff0000000000000u
#define BITS_OF_LOWEST 0x3fe6a09e667f3bcdu /* sqrt(1/2) */
#define SMALLEST_NORMAL 0x1p-1022
#define HALF_EPSILON 0x1p-53
#define SHIFT (0x1.8p52 + 2 * EXPONENT_BIAS)
#define LN2_HIGH 0.6931471805598903
#define LN2_LOW 5.497923018708371e-14
#else
typedef uint32_t real_word;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define BITS_OF_ONE 0x3f800000u
#define BITS_OF_INFINITY 0x7f800000u
#define BITS_OF_LOWEST 0x3f2aaaabu /* 2/3 */
#define SMALLEST_NORMAL 0x1p-126f
#define HALF_EPSILON 0x1p-24f
#define SHIFT (0x1.8p23f + 2 * EXPONENT_BIAS)
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

#if defined(__GNUC__) && !defined(__clang__)
#define UNROLLED _Pragma("GCC unroll 32")
#else
#define UNROLLED
#endif

/* c[0] + c[1] x + ... by Horner's rule. n is a constant: the compiler unrolls. */
ALWAYS_INLINE real horner(real x, const real *c, int n) {
    real sum = c[n - 1];
    UNROLLED
    for (int i = n - 2; i >= 0; i--) sum = real_fma(sum, x, c[i]);
    return sum;
}
#define HORNER(x, c) horner(x, c, (int)(sizeof(c) / sizeof(c[0])))

/* The same in x^2, on pairs of terms: one product more, and half the time that each multiply-add waits for the one
 * before. A processor looks ahead too few instructions to fill that time, unless there is other work beside. */
ALWAYS_INLINE real polynomial(real x, const real *c, int n) {
    real square = x * x, sum = n % 2 ? c[n - 1] : real_fma(c[n - 1], x, c[n - 2]);
    UNROLLED
    for (int i = (n - 1) / 2 * 2 - 2; i >= 0; i -= 2) sum = real_fma(sum, square, real_fma(c[i + 1], x, c[i]));
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

/* x = n ln(2) + r with |r| <= ln(2)/2, and e^r = 1 + r + r^2 q: Cody and Waite's reduction, n found by adding SHIFT. */
typedef struct {
    real_word shifted; /* n + 2 EXPONENT_BIAS in its low bits */
    real r, q;
} ReducedExp;

ALWAYS_INLINE ReducedExp reduce_exp(real x) {
    real shifted = real_fma(x, LOG2_E, SHIFT), n = shifted - SHIFT;
    real r = real_fma(n, -LN2_LOW, real_fma(n, -LN2_HIGH, x));
    ReducedExp e = {to_bits(shifted), r, POLYNOMIAL(r, EXP_TAIL)};
    return e;
}

/* e^r - 1 */
ALWAYS_INLINE real expm1_of(ReducedExp e) { return real_fma(e.r * e.r, e.q, e.r); }

/* m 2^n as most * last with half of the power in each: neither is subnormal, however small the number is. What it is
 * multiplied by goes into `most`, so that a subnormal result is rounded once. */
typedef struct {
    real most, last;
} Halves;

ALWAYS_INLINE Halves halves(real m, real_word shifted) {
    real_word half = shifted >> 1;
    Halves h = {m * power_of_two(half), power_of_two(shifted - half)};
    return h;
}

/* m 2^n: one beyond the largest number becomes infinite. */
ALWAYS_INLINE real scaled(real m, real_word shifted) {
    Halves h = halves(m, shifted);
    return h.most * h.last;
}

/* e^x for x <= EXP_HIGHEST; NaN stays NaN. */
ALWAYS_INLINE real exp_below(real x) {
    ReducedExp e = reduce_exp(at_least(x, EXP_LOWEST));
    return scaled(1 + expm1_of(e), e.shifted);
}

/* e^x = 2^n e^r, e^r = 1 + (r + r^2 q(r)) (Cody and Waite 1980, ch. 6).
 * Max error: float32 1.05, float64 1.02 ULP. */
ALWAYS_INLINE real real_exp(real x) {
    real y = exp_below(x);
    return x > EXP_HIGHEST ? (real)INFINITY : y;
}

/* e^x - 1 = 2 (2^(n-1) e^r - 1/2), halved so that n = EXPONENT_BIAS + 1 is still a number. The two-sum carries the
 * error of the subtraction, so nothing is lost where n = +-1 (P. T. P. Tang, ACM TOMS 18, 1992, has the analysis); it
 * is exact, as |scale r| <= |scale - 1/2| unless that is 0. Below half an epsilon e^x - 1 is x.
 * Max error: float32 1.25, float64 1.54 ULP. */
ALWAYS_INLINE real real_expm1(real x) {
    ReducedExp e = reduce_exp(at_least(x, EXPM1_LOWEST));
    real scale = power_of_two(e.shifted - EXPONENT_BIAS - 1), difference = scale - REAL(0.5), step = scale * e.r;
    real high = difference + step;
    real low = real_fma(scale, e.r * e.r * e.q, difference - high + step);
    real y = 2 * (high + low);
    y = x > EXP_HIGHEST ? (real)INFINITY : y;
    return (to_bits(x) << 1) < (to_bits(HALF_EPSILON) << 1) ? x : y;
}

/* ---- log, log1p ------------------------------------------------------------------------------------------------- */

/* u = 2^k (1 + f) with 1 + f from 2/3 to 4/3 (float64: from sqrt(1/2) to sqrt(2)), for a positive normal u. What is
 * reduced is its bits plus LOG_OFFSET: k then stands in the high bits of the sum (float64: k + EXPONENT_BIAS +
 * LOG_ROOM, which is positive for lifted subnormals, too). */
typedef struct {
    real k, f; /* float32: 2^MANTISSA_BITS k */
} ReducedLog;

#if FASTNN_DOUBLE
#define LOG_HIGHEST_F 0.4142135623730951
#define LOG_K_OF_TWO 1
#define LOG_ROOM (MANTISSA_BITS + 1)
#define LOG_OFFSET (BITS_OF_ONE - BITS_OF_LOWEST + ((real_word)LOG_ROOM << MANTISSA_BITS))

ALWAYS_INLINE ReducedLog reduce_log(real_word bits) {
    /* k as the low bits of 2^MANTISSA_BITS + k, as not every processor converts 64-bit integers */
    real_word two_to_mantissa = (real_word)(MANTISSA_BITS + EXPONENT_BIAS) << MANTISSA_BITS;
    real_word mantissa = bits & (((real_word)1 << MANTISSA_BITS) - 1);
    real biased = from_bits(bits >> MANTISSA_BITS | two_to_mantissa);
    ReducedLog l = {biased - (from_bits(two_to_mantissa) + (EXPONENT_BIAS + LOG_ROOM)),
                    from_bits(mantissa + BITS_OF_LOWEST) - 1};
    return l;
}

/* (2 atanh(s)/s - 2) / s^2 in powers of s^2, |s| <= (sqrt(2)-1)/(sqrt(2)+1); error relative to 2 atanh(s)/s: 2^-59. */
static const real LOG_TAIL[] = {0.6666666666666735,  0.3999999999940932,  0.285714287436994,  0.22222198427189982,
                                0.18183572469133896, 0.15313828762178594, 0.1479829708413186};

/* k ln(2) + log(1 + f). With s = f/(2+f), f = 2 s + s f, so that log(1+f) = 2 atanh(s) = f - s (f - s^2 p(s^2)): the
 * large term f is exact (the form of Sun's fdlibm, e_log.c, 1993). */
ALWAYS_INLINE real log_sum(ReducedLog l) {
    real s = l.f / (2 + l.f), z = s * s;
    real low = real_fma(s, real_fma(z, POLYNOMIAL(z, LOG_TAIL), -l.f), l.k * LN2_LOW);
    return real_fma(l.k, LN2_HIGH, l.f + low);
}
#else
#define LOG_HIGHEST_F 0.33333334f
#define LOG_K_OF_TWO (1 << MANTISSA_BITS)
#define LOG_OFFSET (0 - BITS_OF_LOWEST)

ALWAYS_INLINE ReducedLog reduce_log(real_word bits) {
    real_word k = bits & ~(real_word)0 << MANTISSA_BITS;
    ReducedLog l = {(real)(int32_t)k, from_bits(bits - k + BITS_OF_LOWEST) - 1};
    return l;
}

/* (log(1+f) - f) / f^2, |f| <= 1/3; error relative to log(1+f): 2^-27.6. */
static const real LOG_TAIL[] = {-0.5f,       0.33333206f, -0.24999888f,  0.20010835f, -0.16676389f,
                                0.14000104f, -0.122408405f, 0.14008816f, -0.12647147f};

/* k ln(2) + log(1 + f) = k ln(2) + (f + f^2 p(f)): the float nearest to ln(2) is close enough. */
ALWAYS_INLINE real log_sum(ReducedLog l) {
    return real_fma(l.k, 0.6931472f / (1 << MANTISSA_BITS), real_fma(l.f * l.f, POLYNOMIAL(l.f, LOG_TAIL), l.f));
}
#endif

/* y, or the limit of log at u where u is not positive and finite: -inf at 0, inf at inf, NaN below 0. */
ALWAYS_INLINE real log_or_limit(real y, real u) {
    real limit = u == 0 ? (real)-INFINITY : (real)NAN;
    y = u > 0 ? y : limit;
    return u < (real)INFINITY ? y : u;
}

/* log(x) = k ln(2) + log(1 + f); a subnormal x is first multiplied by 2^MANTISSA_BITS.
 * Max error: float32 1.07, float64 0.90 ULP. */
ALWAYS_INLINE real real_log(real x) {
    real_word lifted = to_bits(x * power_of_two(EXPONENT_BIAS + MANTISSA_BITS));
    real_word below = lifted + (LOG_OFFSET - ((real_word)MANTISSA_BITS << MANTISSA_BITS));
    real_word normal = to_bits(x) + LOG_OFFSET;
    return log_or_limit(log_sum(reduce_log(x < SMALLEST_NORMAL ? below : normal)), x);
}

/* log(u + lost) for a positive normal u and a `lost` within its rounding error; exact to first order. */
ALWAYS_INLINE real log_of_pair(real u, real lost) {
    real_word bits = to_bits(u) + (BITS_OF_ONE - BITS_OF_LOWEST), biased = bits >> MANTISSA_BITS;
    ReducedLog l = reduce_log(to_bits(u) + LOG_OFFSET);
    real scale = REAL(0.25) * power_of_two(2 * EXPONENT_BIAS + 2 - biased); /* 2^-k, also where that is subnormal */
    l.f = real_fma(lost, scale, l.f);
    return log_sum(l);
}

/* log(1 + x) for 0 <= x <= 1: k is 0, or 1 where 1 + x is beyond the interval of f. */
ALWAYS_INLINE real log1p_up_to_one(real x) {
    ReducedLog l = {x < LOG_HIGHEST_F ? 0 : LOG_K_OF_TWO, x < LOG_HIGHEST_F ? x : REAL(0.5) * (x - 1)};
    return log_sum(l);
}

/* log(1 + x) with 1 + x = u + lost exactly, by the two-sum that needs no order (D. E. Knuth, The Art of Computer
 * Programming 2, 4.2.2). Max error: float32 1.71, float64 0.91 ULP. */
ALWAYS_INLINE real real_log1p(real x) {
    real u = 1 + x, part = u - 1, lost = (1 - (u - part)) + (x - part);
    return log_or_limit(with_sign_of(log_of_pair(u, lost), x), u);
}

/* ---- sigmoid, tanh, softplus ------------------------------------------------------------------------------------ */

/* 1/(1 + e^a) for a >= 0: with a = n ln(2) + r it is 2^-n / (2^-n + e^r), and nothing overflows. The denominator's
 * rounding errors are taken off its inverse. */
ALWAYS_INLINE Halves sigmoid_of_minus(real a) {
    real shifted = real_fma(a, -LOG2_E, SHIFT), n = SHIFT - shifted;
    real r = real_fma(n, -LN2_LOW, real_fma(n, -LN2_HIGH, a));
    real power = scaled(1, to_bits(shifted)), one = 1 + power;
    real rest = real_fma(r * r, POLYNOMIAL(r, EXP_TAIL), r), total = one + rest;
    real lost = one - total + rest + (1 - one + power), inverse = 1 / total;
    return halves(real_fma(-lost * inverse, inverse, inverse), to_bits(shifted));
}

/* The above for a = |x|, and 1 minus that for x >= 0. Max error: float32 1.45, float64 1.46 ULP. */
ALWAYS_INLINE real real_sigmoid(real x) {
    Halves s = sigmoid_of_minus(at_most(magnitude(x), -EXP_LOWEST));
    real y = s.most * s.last;
    return x < 0 ? y : 1 - y;
}

/* TANH_SMALL: (tanh(a)/a - 1) / a^2 in powers of a^2, a <= atanh(1/2); error relative to tanh(a)/a: 2^-24.7, 2^-60.6.
 * HALF_EXP: e^(2r)/2, |r| <= ln(2)/4, relative error 2^-28, 2^-57.8. tanh(TANH_HIGHEST) rounds to 1. */
#if FASTNN_DOUBLE
static const real TANH_SMALL[] = {-0.333333333333333,    0.13333333333326605,   -0.05396825396376212,
                                  0.02186948838614533,   -0.008863232609650665, 0.0035920921444857717,
                                  -0.0014555437625252455, 0.0005884489526139907, -0.00023339458544295466,
                                  8.333735403657315e-05, -1.9508914561347684e-05};
static const real HALF_EXP[] = {0.5,
                                1.0,
                                1.0000000000000024,
                                0.6666666666666589,
                                0.3333333333321583,
                                0.13333333333533878,
                                0.04444444462688937,
                                0.012698412531930084,
                                0.0031745908550868483,
                                0.0007054725565122617,
                                0.00014147019388453144,
                                2.562051099071187e-05};
#define ROUND 0x1.8p52
#define HALF_LN2 0.34657359027997264
#define ATANH_HALF 0.5493061443340549
#define TANH_HIGHEST 20.0
#else
static const real TANH_SMALL[] = {-0.3333295f, 0.13320784f, -0.052675392f, 0.016444487f};
static const real HALF_EXP[] = {0.5f, 1.0f, 0.99999976f, 0.6666607f, 0.3333572f, 0.13390312f, 0.043984972f};
#define ROUND 0x1.8p23f
#define HALF_LN2 0.34657359f
#define ATANH_HALF 0.54930615f
#define TANH_HIGHEST 10.0f
#endif

/* 1 - 1/(1/2 + e^(2a)/2) for a from atanh(1/2) on (Cody and Waite 1980, ch. 13), where the error of the exponential is
 * halved at least. */
ALWAYS_INLINE real large_tanh(real a) {
    real_word highest = to_bits(TANH_HIGHEST);
    real b = from_bits(to_bits(a) < highest ? to_bits(a) : highest);
    real shifted = real_fma(b, 2 * LOG2_E, ROUND), n = shifted - ROUND, r = real_fma(n, -HALF_LN2, b);
    real half = from_bits(to_bits(HORNER(r, HALF_EXP)) + (to_bits(shifted) << MANTISSA_BITS));
    return 1 - 1 / (REAL(0.5) + half);
}

/* a + a^3 p(a^2) for a = |x| up to atanh(1/2), and the above from there on. NaN takes the first.
 * Max error: float32 1.59, float64 1.64 ULP. */
ALWAYS_INLINE real real_tanh(real x) {
    real a = magnitude(x), square = a * a;
    real large = large_tanh(a), small = real_fma(a * square, HORNER(square, TANH_SMALL), a);
    return with_sign_of(a >= ATANH_HALF ? large : small, x);
}

/* (a - tanh(a)) / a^3 in powers of a^2, a <= 1; relative error 2^-25 and 2^-54. */
#if FASTNN_DOUBLE
static const real TANH_SHRINK[] = {0.3333333333333333,     -0.1333333333333286,    0.05396825396793397,
                                   -0.021869488526555642,  0.008863235371211139,   -0.0035921264068812654,
                                   0.0014558231976778402,  -0.0005899735643296585, 0.00023894131070908756,
                                   -9.643141404819051e-05, 3.834422317599085e-05,  -1.4558928945206086e-05,
                                   4.953390440270282e-06,  -1.3625558998818323e-06, 2.5850975273271966e-07,
                                   -2.4530010777085544e-08};
#else
static const real TANH_SHRINK[] = {0.33333334f,  -0.13333352f,    0.05396767f,    -0.021849059f,
                                   0.008744052f, -0.0032656752f,  0.00096183794f, -0.00015280716f};
#endif

/* x - tanh(x): a^3 p(a^2) for a = |x| up to 1. Beyond, the error is that of tanh, against a difference that is 0.24 at
 * first. Max error: float32 3.9, float64 5 ULP. */
ALWAYS_INLINE real real_tanh_shrink(real x) {
    real a = magnitude(x), square = a * a;
    real large = a - large_tanh(a), small = a * square * POLYNOMIAL(square, TANH_SHRINK);
    return with_sign_of(a >= 1 ? large : small, x);
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) (M. Maechler, Accurately computing log(1 - exp(-|a|)), 2012).
 * Max error: float32 1.96, float64 1.72 ULP. */
ALWAYS_INLINE real real_softplus(real x) {
    return at_least(x, 0) + log1p_up_to_one(exp_below(-magnitude(x)));
}

/* ---- silu, mish -------------------------------------------------------------------------------------------------
 *
 * Their left tails are x e^x, which outlives e^x: where e^x is subnormal, it has lost digits that x e^x still has. So x
 * is multiplied into the first of the `Halves`. The derivatives have a zero (silu: -1.28, mish: -1.19), near which no
 * bound relative to them can hold: their error is relative to the sum of the magnitudes of the terms that cancel there.
 */

/* From X_EXP_LOWEST down x e^x rounds to 0, from MISH_HIGHEST on mish(x) rounds to x, and its derivative to 1. */
#if FASTNN_DOUBLE
#define X_EXP_LOWEST -753.0
#define MISH_HIGHEST 40.0
#else
#define X_EXP_LOWEST -110.0f
#define MISH_HIGHEST 20.0f
#endif

/* x sigmoid(x): with w = |x| sigmoid(-|x|) it is -w for x < 0 and x (1 - sigmoid(-x)) = x - w for x >= 0.
 * Max error: float32 2.45, float64 2.21 ULP. */
ALWAYS_INLINE real real_silu(real x) {
    real a = at_most(magnitude(x), -X_EXP_LOWEST);
    Halves s = sigmoid_of_minus(a);
    return real_fma(-a * s.most, s.last, at_least(x, -REAL(0.0))); /* -0 + -0 is -0, the limit at minus infinity */
}

/* s (1 + x (1 - s)), s = sigmoid(x), for x < 0; at x and -x the derivatives sum to 1.
 * Max error: float32 1.87, float64 1.57 epsilons of s + |x| s (1 - s). */
ALWAYS_INLINE real real_silu_derivative(real x) {
    real a = at_most(magnitude(x), -X_EXP_LOWEST);
    Halves s = sigmoid_of_minus(a);
    real below = s.most * real_fma(-a, real_fma(-s.most, s.last, 1), 1) * s.last;
    return x < 0 ? below : 1 - below;
}

/* x tanh(log(1 + e^x)) = x n (n + 2) / (n (n + 2) + 2), n = e^x = 2^k (1 + rest): nothing cancels, and x (1 + rest)
 * is rounded once. Max error: float32 3.93, float64 3.21 ULP. */
ALWAYS_INLINE real real_mish(real x) {
    real z = at_least(x, X_EXP_LOWEST);
    ReducedExp e = reduce_exp(z);
    real rest = expm1_of(e), n = scaled(1 + rest, e.shifted), sum = n + 2;
    Halves xn = halves(real_fma(z, rest, z), e.shifted);
    real y = xn.most * (sum / real_fma(n, sum, 2)) * xn.last;
    return x > MISH_HIGHEST ? x : y;
}

/* t + x (1 - t^2) sigmoid(x), t = mish(x) / x, which is n / d (n + 2 + 4 x (n + 1) / d) with d = n (n + 2) + 2.
 * Max error: float32 3.48, float64 3.26 epsilons of t + |x| (1 - t^2) sigmoid(x). */
ALWAYS_INLINE real real_mish_derivative(real x) {
    real z = at_least(x, X_EXP_LOWEST);
    ReducedExp e = reduce_exp(z);
    Halves h = halves(1 + expm1_of(e), e.shifted);
    real n = h.most * h.last, sum = n + 2, inverse = 1 / real_fma(n, sum, 2);
    real y = h.most * inverse * real_fma(4 * z * (n + 1), inverse, sum) * h.last;
    return x > MISH_HIGHEST ? 1 : y;
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

/* x + x p(x^2) below 1, +-(1 - e^(-a^2) erfcx(a)) from 1 on. Max error: float32 1.40, float64 1.23 ULP. */
ALWAYS_INLINE real real_erf(real x) {
    real a = at_most(magnitude(x), ERFC_HIGHEST);
    ReducedExp d = reduce_exp(-a * a);
    real tail = scaled((1 + expm1_of(d)) * erfcx(a), d.shifted);
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
    real m = 1 + expm1_of(d);
    real tail = scaled(real_fma(-m, lost, m) * erfcx(a), d.shifted);
    real large = to_bits(x) >> (8 * sizeof(real) - 1) ? 2 - tail : tail;
    return to_bits(magnitude(x)) < BITS_OF_ONE ? real_fma(-x, erf_excess(x), 1 - x) : large;
}

/* x sigmoid(1.702 x). What the product loses counts |1.702 x| times in silu for x < 0: by Dekker's product it is put
 * back, with what 1 / 1.702 has lost. Far out y is x. Max error: float32 3.7, float64 3.1 ULP. */
ALWAYS_INLINE real real_quick_gelu(real x) {
    const real factor = (real)1.702, inverse = (real)(1 / 1.702), first = REAL(1.70166015625); /* in 12 bits */
    const real rest = (real)(1.702 - 1.70166015625), inverse_lost = (real)((1 / 1.702) / (double)inverse - 1);
    real z = factor * x, y = real_silu(z) * inverse;
    real near = at_most(at_least(x, -1000), 0), high = from_bits(to_bits(near) & HIGH_HALF_MASK);
    real lost = (first * high - factor * near) + (first * (near - high) + rest * near);
    return z > 100 ? x : real_fma(y, lost + inverse_lost, y);
}

#endif

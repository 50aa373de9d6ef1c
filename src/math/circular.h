/* sin and cos of arrays: a loop of vectors for all numbers up to CIRCULAR_HIGHEST, and behind it one that computes the
 * few beyond anew, so that a bit of the result depends on its own x alone.
 *
 * a = |x| = n pi/2 + r + low with |r| <= pi/4. pi/2 is the sum of four parts, of which the first three are so short
 * that n times them is exact (Cody and Waite 1980, ch. 8): each difference then loses what Knuth's two-sum finds again.
 * Beyond, r comes from the bits of 2/pi that matter for the exponent of a (M. H. Payne and R. N. Hanek, Radian
 * reduction for trigonometric functions, SIGNUM Newsletter 18, 1983): 192 of them, of which 126 are left behind the
 * binary point, and no more than 61 of these are 0 for any number of float64. The polynomials are fitted as those of
 * elementary.h.
 */
#ifndef FASTNN_CIRCULAR_H
#define FASTNN_CIRCULAR_H

#include "math/elementary.h"
#include "math/loops.h"

enum { CIRCULAR_BLOCK = 256 };

/* SIN: (sin(r)/r - 1)/r^2, COS: (cos(r) - 1 + r^2/2)/r^4, in powers of r^2; errors relative to sin(r)/r and cos(r):
 * 2^-27.8 and 2^-33, 2^-57.9 and 2^-63.8. */
#if FASTNN_DOUBLE
static const real SIN[] = {-0.1666666666666663,    0.008333333333321855,    -0.0001984126982937656,
                           2.7557313546483687e-06, -2.5050735844292414e-08, 1.5895527400443158e-10};
static const real COS[] = {0.04166666666666659,     -0.0013888888888872288, 2.4801587288404565e-05,
                           -2.7557314056695153e-07, 2.0875684823836098e-09, -1.1357732094483946e-11};
#define HALF_PI_1 0x1.921fb544p+0
#define HALF_PI_2 0x1.0b4611a6p-34
#define HALF_PI_3 0x1.3198a2ep-69
#define HALF_PI_4 0x1.b839a252049c1p-104
#define CIRCULAR_HIGHEST 1.6e6
#else
static const real SIN[] = {-0.16666654f, 0.008332118f, -0.00019510425f};
static const real COS[] = {0.041666646f, -0.0013887308f, 2.4432109e-05f};
#define HALF_PI_1 0x1.921p+0f
#define HALF_PI_2 0x1.f6ap-13f
#define HALF_PI_3 0x1.11p-26f
#define HALF_PI_4 0x1.68c234p-39f
#define CIRCULAR_HIGHEST 3000.0f
#endif
#define TWO_OVER_PI REAL(0.6366197723675814)

typedef struct {
    real_word quarters; /* n, in its two low bits */
    real r, low;
} ReducedAngle;

/* sum = a + b, and what it loses, whichever is larger (Knuth, The Art of Computer Programming 2, 4.2.2). */
ALWAYS_INLINE real two_sum(real a, real b, real *lost) {
    real sum = a + b, part = sum - a;
    *lost = (a - (sum - part)) + (b - part);
    return sum;
}

ALWAYS_INLINE ReducedAngle reduce_angle(real a) {
    real shifted = real_fma(a, TWO_OVER_PI, ROUND), n = shifted - ROUND, lost, lost_too;
    real r = two_sum(real_fma(n, -HALF_PI_1, a), n * -HALF_PI_2, &lost);
    r = two_sum(r, n * -HALF_PI_3, &lost_too);
    ReducedAngle angle = {to_bits(shifted), r, real_fma(n, -HALF_PI_4, lost + lost_too)};
    return angle;
}

/* sin(n pi/2 + r + low): of the two polynomials one is chosen, by the bits of n. */
ALWAYS_INLINE real sin_of(ReducedAngle angle) {
    real r = angle.r, z = r * r, half = REAL(0.5) * z, rest = 1 - half;
    real sine = r + real_fma(r * z, POLYNOMIAL(z, SIN), real_fma(-half, angle.low, angle.low));
    real cosine = rest + ((1 - rest - half) + real_fma(z * z, POLYNOMIAL(z, COS), -r * angle.low));
    real y = angle.quarters & 1 ? cosine : sine;
    return from_bits(to_bits(y) ^ (angle.quarters & 2) << (8 * sizeof(real) - 2));
}

/* sin(x + quarter pi/2) for |x| <= CIRCULAR_HIGHEST; quarter is 0, for sin, which keeps the sign of 0, or 1, for
 * cos. */
ALWAYS_INLINE real circular(ReducedAngle angle, real x, int quarter) {
    angle.quarters += (real_word)quarter;
    real y = sin_of(angle);
    return quarter ? y : from_bits(to_bits(y) ^ (to_bits(x) & ~(~(real_word)0 >> 1)));
}

/* The bits of 2/pi, behind 64 zeros. */
static const uint64_t TWO_OVER_PI_BITS[] = {
    0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
    0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41,
    0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab,
    0xf0cfbc209af4361d};
#define HALF_PI_BITS 0xc90fdaa22168c235 /* times 2^-63 */

ALWAYS_INLINE uint64_t bits_of_two_over_pi(ptrdiff_t at) {
    const uint64_t *word = TWO_OVER_PI_BITS + at / 64;
    return at % 64 ? word[0] << at % 64 | word[1] >> (64 - at % 64) : word[0];
}

/* The high word of a b, from halves: not every compiler has a type for it. */
ALWAYS_INLINE uint64_t high_product(uint64_t a, uint64_t b) {
    const uint64_t half = 0xffffffff;
    uint64_t low = (a & half) * (b & half), cross = (a >> 32) * (b & half) + (low >> 32);
    uint64_t other = (a & half) * (b >> 32) + (cross & half);
    return (a >> 32) * (b >> 32) + (cross >> 32) + (other >> 32);
}

/* For a finite a >= 2^10. As a double it is m 2^(e - 1075); bits of 2/pi that make multiples of 4 are left out. */
ALWAYS_INLINE ReducedAngle reduce_far_angle(real a) {
    double number = a, scale;
    uint64_t bits, m, first, second, carried, r;
    memcpy(&bits, &number, sizeof bits);
    ptrdiff_t at = (ptrdiff_t)(bits >> 52) - 1013;
    m = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    carried = high_product(m, bits_of_two_over_pi(at + 128));
    second = m * bits_of_two_over_pi(at + 64) + carried;
    first = m * bits_of_two_over_pi(at) + high_product(m, bits_of_two_over_pi(at + 64)) + (second < carried);
    /* two bits of first are the quarters, the rest is a fraction: r is from the nearest quarter on, or back to it */
    ReducedAngle angle = {(real_word)((first + ((uint64_t)1 << 61)) >> 62), 0, 0};
    first = first << 2 | second >> 62, second <<= 2;
    int negative = (int)(first >> 63), zeros = 0;
    if (negative) second = 0 - second, first = ~first + (second == 0);
    for (; !(first >> 63) && zeros < 126; zeros++) first = first << 1 | second >> 63, second <<= 1;
    r = high_product(first, HALF_PI_BITS);
    bits = (uint64_t)(1023 - 63 - zeros) << 52;
    memcpy(&scale, &bits, sizeof scale);
    scale = negative ? -scale : scale;
    number = (double)(r & ~(uint64_t)0x7ff) * scale;
    angle.r = (real)number;
    angle.low = (real)(number - (double)angle.r + (double)(r & 0x7ff) * scale);
    return angle;
}

/* y = sin(factor x + quarter pi/2) for those of n elements that are beyond CIRCULAR_HIGHEST: NaN for infinities. */
#ifdef __GNUC__
__attribute__((noinline))
#endif
static void far_angles(const real *x, real factor, int quarter, real *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        real angle = factor * x[i], a = magnitude(angle);
        if (a > CIRCULAR_HIGHEST) y[i] = a < (real)INFINITY ? circular(reduce_far_angle(a), angle, quarter) : (real)NAN;
    }
}

/* y = sin(factor x + quarter pi/2) for n elements; y may not be x.
 * Max error: float32 0.80, float64 0.77 ULP. */
ALWAYS_INLINE void circular_of(const real *x, real factor, int quarter, real *y, ptrdiff_t n) {
    real_word beyond = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        real angle = factor * x[i], a = magnitude(angle);
        y[i] = circular(reduce_angle(a), angle, quarter);
        beyond |= a > CIRCULAR_HIGHEST ? 1 : 0;
    }
    if (beyond) far_angles(x, factor, quarter, y, n);
}

/* y = f(x, s, alpha), s = sin(factor x + quarter pi/2), or, where there is a dy, y = f(s, dy, alpha). */
ALWAYS_INLINE void map_angles(const Piece *p, real factor, int quarter, real (*f)(real, real, real)) {
    const Rectangle r = joined(p->shape);
    real s[CIRCULAR_BLOCK];
    for (ptrdiff_t row = 0; row < r.rows; row++) {
        for (ptrdiff_t begin = 0; begin < r.columns; begin += CIRCULAR_BLOCK) {
            ptrdiff_t n = r.columns - begin < CIRCULAR_BLOCK ? r.columns - begin : CIRCULAR_BLOCK;
            ptrdiff_t at = row * r.stride + begin;
            circular_of(p->x + at, factor, quarter, s, n);
            if (p->dy)
                map_pairs(s, p->dy + at, p->y + at, n, p->alpha, f);
            else
                map_pairs(p->x + at, s, p->y + at, n, p->alpha, f);
        }
    }
}

#endif

/* Waves: cos and sin of turns, with one reduction for both. A turn is 2 pi: what is left of it behind the whole ones is
 * exact. Beyond WHOLE_TURNS there is no such rest.
 */
#ifndef FASTNN_WAVES_H
#define FASTNN_WAVES_H

#include "math/circular.h"

#if FASTNN_DOUBLE
#define WHOLE_TURNS 0x1p51
#else
#define WHOLE_TURNS 0x1p22f
#endif
#define TURNS_OF_RADIAN REAL(0.15915494309189535)

ALWAYS_INLINE real behind_whole(real turns) {
    real shifted = (turns + ROUND), n = shifted - ROUND;
    return magnitude(turns) < WHOLE_TURNS ? turns - n : turns - turns; /* NaN of infinities and NaN */
}

ALWAYS_INLINE ReducedAngle angle_of(real quarters) {
    real shifted = (quarters + ROUND), n = shifted - ROUND;
    ReducedAngle angle = {to_bits(shifted), (quarters - n) * REAL(1.5707963267948966), 0};
    return angle;
}

ALWAYS_INLINE void wave(real turns, real *cosine, real *sine) {
    ReducedAngle angle = angle_of(4 * behind_whole(turns));
    *sine = sin_of(angle);
    angle.quarters += 1;
    *cosine = sin_of(angle);
}

/* cos and sin of 2 pi x w + c, for n numbers w and perhaps c */
ALWAYS_INLINE void waves(real x, const real *w, const real *c, real *cosines, real *sines, ptrdiff_t n) {
    if (c) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++)
            wave(real_fma(x, w[i], c[i] * TURNS_OF_RADIAN), cosines + i, sines + i);
    } else {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++) wave(x * w[i], cosines + i, sines + i);
    }
}

/* The gradient of the angles, from that of the cosines and perhaps of the sines */
ALWAYS_INLINE void wave_gradients(const real *cosines, const real *sines, const real *dcosines, const real *dsines,
                                  real *gradient, ptrdiff_t n) {
    if (dsines) {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++) gradient[i] = real_fma(dsines[i], cosines[i], -dcosines[i] * sines[i]);
    } else {
        INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++) gradient[i] = -dcosines[i] * sines[i];
    }
}

#endif

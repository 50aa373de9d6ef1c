/* Maxout: which of the pieces is the largest, where an output may be an input. */
#ifndef FASTNN_MAXOUT_H
#define FASTNN_MAXOUT_H

#include "math/simd.h"

/* dz = what is left of dy where z is y, else 0; then nothing is left there. dz may be z. */
ALWAYS_INLINE void first_of_equals(const real *z, const real *y, real *left, real *dz, ptrdiff_t n) {
    INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) {
        const real rest = left[j];
        const int is_y = z[j] == y[j];
        dz[j] = is_y ? rest : 0;
        left[j] = is_y ? 0 : rest;
    }
}

#endif

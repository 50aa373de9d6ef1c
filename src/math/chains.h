/* Sums that are several chains: a chain of millions of terms stands still in float. */
#ifndef FASTNN_CHAINS_H
#define FASTNN_CHAINS_H

#include "math/simd.h"

/* n sums are added to the totals and begin anew; behind the last chain they are the totals. */
SELDOM OUT_OF_LINE void end_chain(real *sums, double *totals, ptrdiff_t n, int is_last) {
    for (ptrdiff_t j = 0; j < n; j++) {
        totals[j] += (double)sums[j];
        sums[j] = is_last ? (real)totals[j] : 0;
    }
}

#endif

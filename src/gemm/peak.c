/* The peak of this processor's multiply-add units, to compare products with. */
#include "peak.h"
#include "vectors.h"

/* As many independent chains as hide the latency of a multiply-add: 4 cycles, at 2 in a cycle, are 8 of them, and
 * those of 16-byte vectors, a multiplication and an addition, take twice as long. With two more vectors they fit
 * into 16 registers. */
#define PEAK_CHAINS 12

GEMM_API double fma_peak_loop(ptrdiff_t n) {
    /* c = c / 2 + 1 stays near 2 and never becomes slow, subnormal or infinite; the starts differ, so that no two
     * chains are one to the compiler, and the sum of all is looked at, so that none can be left out. */
    const vec half = vec_broadcast((real)0.5), one = vec_broadcast(1);
    vec chain[PEAK_CHAINS];
    volatile vec sum;
    UNROLL for (int i = 0; i < PEAK_CHAINS; i++) chain[i] = vec_broadcast((real)i);
    for (ptrdiff_t p = 0; p < n; p++) {
        UNROLL for (int i = 0; i < PEAK_CHAINS; i++) chain[i] = vec_fma(chain[i], half, one);
    }
    UNROLL for (int i = 1; i < PEAK_CHAINS; i++) chain[0] = chain[0] + chain[i];
    sum = chain[0];
    (void)sum;
    return 2.0 * PEAK_CHAINS * (double)LANES * (double)n;
}

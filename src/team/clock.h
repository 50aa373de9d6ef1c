/* Seconds of a clock of which only differences are used: one that nobody sets, where there is one. */
#ifndef FASTNN_CLOCK_H
#define FASTNN_CLOCK_H

#include <time.h>

static inline double seconds(void) {
    struct timespec now;
#ifdef CLOCK_MONOTONIC
    clock_gettime(CLOCK_MONOTONIC, &now);
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif

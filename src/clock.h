/* Seconds of the wall clock: only differences of it are used. */
#ifndef FASTNN_CLOCK_H
#define FASTNN_CLOCK_H

#include <time.h>

static inline double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif

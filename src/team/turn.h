/* Whose turn it is to run Python, among threads that train side by side.
 *
 * A thread that sleeps until another gives the GIL back is mostly woken on that one's processor, and waits behind it
 * for milliseconds while others are idle. So they wait for each other awake before they ask for the GIL, for about as
 * long as Python runs between two fits. It is a hint: whoever has waited for long goes on, and asks for the GIL as
 * ever.
 */
#ifndef FASTNN_TURN_H
#define FASTNN_TURN_H

#include "team/team.h"

#define TURN_PATIENCE 0.001 /* seconds */

#if TEAM_SUPPORTED

static inline void turn_take(int *taken) {
    const double begin = seconds();
    while (__atomic_exchange_n(taken, 1, __ATOMIC_ACQUIRE) && seconds() - begin < TURN_PATIENCE) {
        for (int spins = 0; spins < 100 && __atomic_load_n(taken, __ATOMIC_RELAXED); spins++) team_pause();
        if (__atomic_load_n(taken, __ATOMIC_RELAXED)) sched_yield(); /* perhaps to the one that is waited for */
    }
}

/* Wait until so many have come, and let those run that are on this processor. */
static inline void turn_gather(const int *come, int n) {
    const double begin = seconds();
    while (__atomic_load_n(come, __ATOMIC_RELAXED) < n && seconds() - begin < TURN_PATIENCE) sched_yield();
}

#else

static inline void turn_take(int *taken) { *taken = 1; }
static inline void turn_gather(const int *come, int n) { (void)come, (void)n; }

#endif

static inline void turn_give(int *taken) {
#if TEAM_SUPPORTED
    __atomic_store_n(taken, 0, __ATOMIC_RELEASE);
#else
    *taken = 0;
#endif
}

#endif

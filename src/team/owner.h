/* Who has what only one thread at a time may have: a thread, in a process.
 *
 * In a child of fork there is one thread, the one that has forked, under the same identity. What it had it still has,
 * because its frames go on there; what other threads had is free, because they do not exist there. So an owner is a
 * thread and a generation: how many forks lie between the process that loaded the module and this one. Each module
 * counts for itself, and owners of one mean nothing to another. A module that asks for them watches forks from its
 * import on. All that is here is done with the GIL, or alone after a fork.
 */
#ifndef FASTNN_OWNER_H
#define FASTNN_OWNER_H

#include "Python.h"
#include <stdint.h>

typedef struct {
    unsigned long thread; /* 0: nobody */
    uint64_t generation;
} owner;

static uint64_t owner_generation;
static unsigned long owner_survivor;   /* the thread that has made the last fork, */
static uint64_t owner_survivor_since;  /* and all others since this generation */

static inline int owner_exists(const owner *o) {
    if (o->thread == 0 || o->generation == owner_generation) return o->thread != 0;
    return o->thread == owner_survivor && o->generation >= owner_survivor_since;
}

static inline int owner_is_here(const owner *o) { return o->thread == PyThread_get_thread_ident() && owner_exists(o); }

static inline void owner_take(owner *o) {
    o->thread = PyThread_get_thread_ident();
    o->generation = owner_generation;
}

static inline void owner_give_back(owner *o) { o->thread = 0; }

#ifndef _WIN32 /* where there is no fork */

#include <pthread.h>

static void owner_count_fork(void) {
    const unsigned long here = PyThread_get_thread_ident();
    if (here != owner_survivor) owner_survivor_since = owner_generation;
    owner_survivor = here;
    owner_generation++;
}

/* Once, at import: returns 0, or what went wrong. */
static inline int owner_watch_forks(void) { return pthread_atfork(NULL, NULL, owner_count_fork); }

#else

static inline int owner_watch_forks(void) { return 0; }

#endif

#endif

/* A team of threads that share out one task at a time: the leader publishes it, whoever is free claims the next chunk.
 *
 * A task is a range of units that is cut into chunks, which may be computed by any thread in any order: the leader
 * takes them from the front and the others from the back, so that in one task after another the same part of the memory
 * is mostly in the same core's cache. The leader never waits for a thread that has claimed nothing: a thread that
 * sleeps, or whose core is busy elsewhere, costs nothing but its help. It only waits for chunks that are being
 * computed. Where it had to wait for long, because somebody who computes one has lost the processor to another program,
 * it works alone for a while.
 *
 * One word, the ticket, holds all that a claim depends on: which task it is (generation), and from where to where its
 * chunks are unclaimed. A claim is one compare-and-swap; it fails if any of the three has changed. What the task is
 * about is read behind a successful claim only: the leader replaces it when all chunks are done, not before.
 */
#ifndef FASTNN_TEAM_H
#define FASTNN_TEAM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getcpu */
#endif
#include "Python.h"
#include "team/clock.h"
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(_WIN32)
#include <sched.h>
#define TEAM_SUPPORTED 1
#else
#define TEAM_SUPPORTED 0
#endif

/* The module around these functions is small first; they run in every task. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O2")
#endif

#define TEAM_MOST_CHUNKS 0xffff
#define TEAM_PATIENCE 0.0002 /* seconds */
#define TEAM_REST 20         /* how many times as long as it had to wait the leader works alone, */
#define TEAM_LONGEST_REST .2 /* at most, in seconds: the whole process may have been stopped */
#define TEAM_MOST_THREADS 256

/* Computes the units [begin, end) of a task and returns 0, or anything else where it failed. */
typedef int (*team_function)(const void *task, ptrdiff_t begin, ptrdiff_t end);

#define TEAM_APART(line) char line[64] /* words that different threads write lie in cache lines of their own */

typedef struct {
    int asleep;
    PyThread_type_lock bed; /* held, except to wake the one who waits for it */
    TEAM_APART(behind);
} team_member;

typedef struct {
    uint64_t ticket; /* generation, end and begin of the unclaimed chunks: 32, 16, 16 bits */
    TEAM_APART(behind_ticket);
    uint64_t done; /* chunks */
    int status;    /* not 0: what a chunk has returned */
    TEAM_APART(behind_done);
    team_function function;
    const void *task;
    ptrdiff_t begin, units, chunks;
    uint64_t helped;    /* chunks that others than the leader have computed, in all its tasks */
    double alone_until; /* of the clock; 0: not alone */
    int ending;
    int members;                /* without the leader */
    const uint64_t *generation; /* how many forks lie behind this process (owner.h), */
    uint64_t generation_of;     /* and behind the one that has the members */
    TEAM_APART(behind_task);
    team_member member[]; /* one for each */
} team;

/* Whether its members exist: not in a child of fork, where a team is its leader alone. */
static inline int team_is_whole(const team *t) { return *t->generation == t->generation_of; }

static inline uint64_t team_helped(const team *t) { return t->helped; }

/* Until when the leader works alone, by the clock; or 0. */
static inline double team_rests_until(const team *t) { return t->alone_until; }

#if TEAM_SUPPORTED

static inline void team_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline uint64_t team_ticket(uint64_t generation, ptrdiff_t first, ptrdiff_t behind) {
    return generation << 32 | (uint64_t)behind << 16 | (uint64_t)first;
}
static inline ptrdiff_t team_first(uint64_t ticket) { return (ptrdiff_t)(ticket & 0xffff); }
static inline ptrdiff_t team_behind(uint64_t ticket) { return (ptrdiff_t)(ticket >> 16 & 0xffff); }

/* Where a chunk begins. Long ones begin at multiples of 16 units: 16 numbers are a cache line, of which two threads
 * would write parts, and passes over vectors that cross lines took up to 2.7 times as long. */
static inline ptrdiff_t team_cut(const team *t, ptrdiff_t chunk) {
    /* whole and remainder: units * chunks could be too large a number */
    const ptrdiff_t whole = t->units / t->chunks, rest = t->units % t->chunks;
    const ptrdiff_t multiple = whole >= 128 ? 16 : whole >= 32 ? 4 : 1;
    const ptrdiff_t cut = t->begin + whole * chunk + rest * chunk / t->chunks;
    return chunk == t->chunks ? cut : t->begin + (cut - t->begin) / multiple * multiple;
}

typedef enum { TEAM_NOTHING_LEFT, TEAM_MISSED, TEAM_TAKEN } team_claim; /* missed: another thread was faster */

/* Compute a chunk, if there is one. */
static inline team_claim team_take(team *t, int leads) {
    uint64_t ticket = __atomic_load_n(&t->ticket, __ATOMIC_ACQUIRE);
    const ptrdiff_t first = team_first(ticket), behind = team_behind(ticket), next = leads ? first : behind - 1;
    if (first >= behind) return TEAM_NOTHING_LEFT;
    const uint64_t rest_of = team_ticket(ticket >> 32, first + leads, behind - !leads);
    if (!__atomic_compare_exchange_n(&t->ticket, &ticket, rest_of, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        return TEAM_MISSED;
    }
    const int status = t->function(t->task, team_cut(t, next), team_cut(t, next + 1));
    if (status != 0) __atomic_store_n(&t->status, status, __ATOMIC_RELAXED);
    __atomic_fetch_add(&t->done, 1, __ATOMIC_RELEASE);
    return TEAM_TAKEN;
}

static inline void team_wake(team *t) {
    for (int i = 0; i < t->members; i++) {
        if (__atomic_load_n(&t->member[i].asleep, __ATOMIC_RELAXED) &&
            __atomic_exchange_n(&t->member[i].asleep, 0, __ATOMIC_ACQ_REL)) {
            PyThread_release_lock(t->member[i].bed);
        }
    }
}

/* The leader: have the units [begin, end) of a task computed in so many chunks, at most TEAM_MOST_CHUNKS. */
static inline int team_run(team *t, team_function function, const void *task, ptrdiff_t begin, ptrdiff_t end,
                           ptrdiff_t chunks) {
    const double start = seconds();
    if (start < t->alone_until || !team_is_whole(t)) return function(task, begin, end);
    const uint64_t generation = (__atomic_load_n(&t->ticket, __ATOMIC_RELAXED) >> 32) + 1;
    t->function = function;
    t->task = task;
    t->begin = begin;
    t->units = end - begin;
    t->chunks = chunks;
    t->status = 0;
    t->done = 0;
    __atomic_store_n(&t->ticket, team_ticket(generation, 0, chunks), __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* against team_work: either it sees the ticket, or this sees it asleep */
    team_wake(t);
    ptrdiff_t own = 0;
    for (team_claim claim; (claim = team_take(t, 1)) != TEAM_NOTHING_LEFT;) own += claim == TEAM_TAKEN;
    t->helped += (uint64_t)(chunks - own);
    const double finished = seconds();
    for (long spins = 0; __atomic_load_n(&t->done, __ATOMIC_ACQUIRE) < (uint64_t)chunks; spins++) {
        if (spins < 1000) team_pause();
        else sched_yield(); /* perhaps to the one that is waited for */
    }
    /* It is fair to wait for the time of a chunk. With another program on the core of a member, it is milliseconds. */
    const double now = seconds(), unfair = now - finished - TEAM_PATIENCE - 2 * (finished - start) / (double)(own + 1);
    const double rest = TEAM_REST * unfair < TEAM_LONGEST_REST ? TEAM_REST * unfair : TEAM_LONGEST_REST;
    t->alone_until = unfair > 0 ? now + rest : 0;
    return t->status;
}

/* The others: help until the team ends. Between tasks they spin for some microseconds, then let others have the core
 * for some milliseconds, then sleep. */
static inline void team_work(team *t, int number) {
    team_member *self = &t->member[number];
    long idle = 0;
    while (!__atomic_load_n(&t->ending, __ATOMIC_ACQUIRE)) {
        if (team_take(t, 0) != TEAM_NOTHING_LEFT) idle = 0;
        else if (idle < 1000) team_pause(), idle++;
        else if (idle < 6000) sched_yield(), idle++;
        else {
            __atomic_store_n(&self->asleep, 1, __ATOMIC_RELAXED);
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            const uint64_t ticket = __atomic_load_n(&t->ticket, __ATOMIC_RELAXED);
            const int ending = __atomic_load_n(&t->ending, __ATOMIC_RELAXED);
            const int called = team_first(ticket) < team_behind(ticket) || ending;
            /* where somebody has called and also seen the flag, the lock is being released: it has to be taken */
            if (!called || !__atomic_exchange_n(&self->asleep, 0, __ATOMIC_ACQ_REL)) {
                PyThread_acquire_lock(self->bed, WAIT_LOCK);
            }
            idle = 0;
        }
    }
}

static inline void team_end(team *t) {
    __atomic_store_n(&t->ending, 1, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    team_wake(t);
}

#else

static inline int team_run(team *t, team_function function, const void *task, ptrdiff_t begin, ptrdiff_t end,
                           ptrdiff_t chunks) {
    (void)t, (void)chunks;
    return function(task, begin, end);
}
static inline void team_work(team *t, int number) { (void)t, (void)number; }
static inline void team_end(team *t) { (void)t; }

#endif

/* The processor that this thread runs on, or -1. */
static inline int current_processor(void) {
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

#endif

/* A call: a kernel with its checked arguments, ready to run any number of times.
 *
 * The header is the same for all kernels. The payload is read as the struct that stands above the kernel's body: its
 * arguments in the order of its declaration (addresses; what is absent is NULL), the sizes in the order in which the
 * declaration names them, and what its family adds. Numbers are addresses, too: they are read at every run, and those
 * that have bounds are compared with them before it. The library refuses to be imported in parts that were built with
 * different texts of this file.
 */
#ifndef FASTNN_CALL_H
#define FASTNN_CALL_H

#include <stddef.h>
#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

enum {
    CALL_WORDS = 24, /* of a payload */
    CALL_NUMBERS = 8 /* with bounds, of one kernel */
};

/* What a body returns besides 0: why the replay stops. All but CALL_END are errors. */
enum {
    CALL_RAISED = 1,        /* a Python function has raised: the exception waits in the tape */
    CALL_NOT_FINITE = 2,    /* the loss, or what else is guarded, is NaN or infinite */
    CALL_OUT_OF_RANGE = 3,  /* the index or the cursor that chooses rows */
    CALL_NO_MEMORY = 4,     /* for what a product packs */
    CALL_OUT_OF_BOUNDS = 5, /* a number, as changed since it was checked */
    CALL_END = 6,           /* the calls behind are not run this time, and nothing is wrong */
    CALL_NO_ENTRY = 7,      /* of a table, for the step that a schedule has come to */
};

typedef struct Call Call;

/* Computes the units [begin, end) of the outputs. */
typedef int (*Body)(const Call *call, ptrdiff_t begin, ptrdiff_t end);

/* Returns what computes all units of a call and of the one behind it, to the same bits, or NULL. */
typedef Body (*Joint)(const Call *call, const Call *following);

typedef struct {
    const char *name;
    int word; /* of the payload: its address */
    double low, high;
    int above, below;    /* whether the bounds themselves are excluded */
    int array;           /* the word of an array that is absent only while the number is 0, or -1 */
    const char *of_array;
} CallNumber;

typedef struct {
    const char *kernel;
    int count;
    CallNumber number[CALL_NUMBERS];
} CallBounds;

struct Call {
    Body body;
    Body both;                /* what runs this call and the one behind it, where its tape has found that, or NULL */
    const CallBounds *bounds; /* of its numbers, or NULL */
    ptrdiff_t units;          /* into how many parts the computation can be split (rows of the outputs, as a rule) */
    ptrdiff_t turn;           /* so many are independent, and come behind those of the turn before; 0: all are */
    ptrdiff_t grain;          /* how many of them are worth handing to another thread (about 5 us); 0: never */
    double nanoseconds;       /* about how long one of them takes, where grain is not 0 */
    int updates;              /* writes to parameters: from here on, a training step is completed */
    Body of_rows;             /* computes the same rows of all outputs, of `rows`, from those of the inputs; or NULL */
    ptrdiff_t rows;
    Body of_parts;            /* computes units that lie behind each other in the memory of the outputs; or NULL */
    ptrdiff_t parts;
    const void *taken;        /* what an update may write behind it, or NULL */
    int takes;                /* a tape has found one: of_parts takes that from cores that have read it (see Product) */
    ptrdiff_t block;          /* not 0: outputs are sums over rows, of blocks of so many, which are added in order: */
    ptrdiff_t sum_bytes;      /* `of_rows` writes those of a block to `sums`, so many bytes, and `add` adds `n_sums` */
    char *sums;               /* of them, which lie there one behind the other: its units are the parts */
    ptrdiff_t n_sums;
    Body add;                 /* Without blocks `of_rows` leaves there what `add` adds, in memory of all rows */
    int guards;               /* ends the replay, or does nothing: only updates wait for it, and it for those before */
    Joint joint;              /* what could run this call and the one behind it on a tape in one pass, or NULL */
    void *payload[CALL_WORDS];
};

/* NaN is outside of all bounds. */
static inline int call_number_holds(const Call *call, const CallNumber *n) {
    const double value = *(const double *)call->payload[n->word];
    if (!(n->above ? value > n->low : value >= n->low)) return 0;
    if (!(n->below ? value < n->high : value <= n->high)) return 0;
    return n->array < 0 || call->payload[n->array] || value == 0;
}

static inline int call_in_bounds(const Call *call) {
    for (int i = 0; call->bounds && i < call->bounds->count; i++) {
        if (!call_number_holds(call, &call->bounds->number[i])) return 0;
    }
    return 1;
}

/* Subnormal numbers, below 1.2e-38 in float, are 0 where an optimizer reads or writes them: means of gradients that
 * have become 0, as behind each relu that is never positive again, would shrink into them and stay there, and
 * processors take up to five times as long for a step among them. Returns what sets it back. */
static inline size_t subnormals_are_zero(void) {
#if defined(__SSE2__) || defined(_M_X64)
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* both results and operands */
    return before;
#elif defined(__aarch64__) && defined(__GNUC__)
    size_t before;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(before));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(before | (size_t)1 << 24) : "memory");
    return before;
#else
    return 0;
#endif
}

static inline void subnormals_as(size_t before) {
#if defined(__SSE2__) || defined(_M_X64)
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ __volatile__("msr fpcr, %0" : : "r"(before) : "memory");
#else
    (void)before;
#endif
}

/* As they are without that, also within it. */
static inline size_t subnormals_are_kept(void) {
#if defined(__SSE2__) || defined(_M_X64)
    const unsigned before = _mm_getcsr();
    if (before & 0x8040) _mm_setcsr(before & ~0x8040u);
    return before;
#elif defined(__aarch64__) && defined(__GNUC__)
    size_t before;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(before));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(before & ~((size_t)1 << 24)) : "memory");
    return before;
#else
    return 0;
#endif
}

/* Run it: whoever runs a call does it so, and gets the same bits. */
static inline int call_run_by(Body body, const Call *call, ptrdiff_t begin, ptrdiff_t end) {
    if (!call->updates) return body(call, begin, end);
    const size_t before = subnormals_are_zero();
    const int status = body(call, begin, end);
    subnormals_as(before);
    return status;
}

static inline int call_run(const Call *call, ptrdiff_t begin, ptrdiff_t end) {
    return call_run_by(call->body, call, begin, end);
}

/* Let threads share the units of a call, of which each takes about so many nanoseconds. */
static inline void call_divide(Call *call, double nanoseconds) {
    if (!(nanoseconds > 0)) return; /* there are none */
    call->grain = (ptrdiff_t)(5000 / nanoseconds) + 1;
    call->nanoseconds = nanoseconds;
}

#endif

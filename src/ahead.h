/* Rows that are read next, brought into the second-level cache while the processor multiplies.
 *
 * The rows of a shuffled batch lie anywhere in memory, and copying them takes as long as memory takes to answer: a tenth
 * of a step where a layer is small and rows are long. Asked for a few at a time, between tiles, some are there already.
 */
#ifndef FASTNN_AHEAD_H
#define FASTNN_AHEAD_H

#include <stddef.h>
#include <stdint.h>

#define AHEAD_LINE 64  /* bytes */
#define AHEAD_LINES 16 /* at a time: a core waits where it asks for more than about 24 at once */

typedef struct {
    const char *data;
    ptrdiff_t stride, length; /* of rows, in bytes */
    const int64_t *index;     /* of the rows that are left */
    ptrdiff_t rows;           /* how many */
    ptrdiff_t at;             /* byte of the first of them */
} Ahead;

static inline void ask_ahead(Ahead *ahead) {
    for (int lines = 0; lines < AHEAD_LINES && ahead->rows > 0; lines++) {
#ifdef __GNUC__
        __builtin_prefetch(ahead->data + ahead->index[0] * ahead->stride + ahead->at, 0, 2);
#endif
        ahead->at += AHEAD_LINE;
        if (ahead->at >= ahead->length) {
            ahead->at = 0;
            ahead->index++;
            ahead->rows--;
        }
    }
}

#endif

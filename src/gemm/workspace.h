/* The memory into which a thread packs parts of a and b: too much for the stack of a small thread. */
#ifndef FASTNN_GEMM_WORKSPACE_H
#define FASTNN_GEMM_WORKSPACE_H

#include "tile.h"

/* A block of b fills half of a second-level cache of 1 MB and streams from there without loss, panel after panel, while
 * the rows of a of one tile stay in the first-level cache. */
#define BLOCK ((ptrdiff_t)(512 * 1024 / sizeof(real)))

/* Sums of a block of terms that wait to be added: numbers of a rectangle of so many rows, and one row below it. */
#define RECTANGLE (72 * 1024)
#define RECTANGLE_ROWS 256

/* Only pages that are touched take memory: of b, as a rule, as many as a panel has. */
typedef struct {
    ALIGNED(64) real b[BLOCK];
    ALIGNED(64) real a[TILE_ROWS * (SUM_BLOCK + CACHE_LINE)]; /* pairs of two floats take most */
    ALIGNED(64) real sums[RECTANGLE];
    ALIGNED(64) real totals[RECTANGLE]; /* of all blocks, where c is what they update */
} Workspace;

/* That of this thread, which keeps it until it ends; NULL where there is no memory for it. It holds anything. */
GEMM_API Workspace *workspace(void);

#endif

/* Products of 8-bit integers: y = (q @ w - correction) * scale + b, where q is x in steps.
 *
 *     q[i, p] = min(max(rint(x[i, p] / step), -zero), 255 - zero) + zero    (half to even; x / step is x * (1 / step))
 *     y[i, j] = (sum over p of q[i, p] w[p, j] - correction[j]) * scale[j] + b[j],   two roundings
 *
 * The sums are exact in 32 bits, in any order, so that their bits depend on no instruction set. With correction[j] =
 * zero times the sum of w[:, j], and scale[j] = step times that of the weights of a column, y is about x @ w (Jacob et
 * al. 2018). A row of x with a NaN is a row of NaN; what is infinite is the last step.
 *
 * Weights lie as VPDPBUSD reads them, in panels of 16 columns: w[panel, p / 4, column % 16, p % 4]; what is beyond the
 * last p is multiplied by 0, what is beyond the last column is read and not used. */
#ifndef FASTNN_GEMM_INT8_PRODUCT_H
#define FASTNN_GEMM_INT8_PRODUCT_H

#include "gemm.h"
#include "int8_instruction.h"

#define INT8_MOST ((ptrdiff_t)65536) /* terms of a sum: 255 * 128 times as many are less than 2^31 */
#define INT8_GROUP 4                 /* terms that lie together */
#define INT8_COLUMNS 16              /* of a panel */
#define INT8_BYTES (INT8_GROUP * INT8_COLUMNS)

typedef struct {
    ptrdiff_t m, n, k;
    const real *x;       /* (m, k) */
    const int8_t *w;     /* (panels, groups, INT8_BYTES) */
    real step;
    int32_t zero;        /* 0 to 255 */
    const real *scale;   /* (n) */
    const int32_t *correction; /* (n) */
    const real *b;       /* (n) */
    real *y;             /* (m, n) */
    int relu;            /* 0 in place of what is below */
    void (*finish)(const void *context, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns); /* or NULL */
    const void *context;
} Int8Product;

/* Returns 0, or CALL_NO_MEMORY, as gemm does. k is up to INT8_MOST. */
GEMM_API int int8_product(const Int8Product *product);

/* Sums of products in tiles: rows of q, each `groups` groups long, times up to two panels.
 *
 * Without the instruction, numbers are widened to 16 bits and added in pairs (VPMADDWD), exactly: q is then of 16 bits.
 * (VPMADDUBSW, which is twice as wide, saturates at 2^15.) */
#if defined(__AVX512BW__) && KNOWS_VNNI && !defined(FASTNN_SCALAR) && !FASTNN_DOUBLE
#define VNNI_INSTRUCTION 1
extern GEMM_API int int8_native; /* whether products use the instruction: set at import, before there is any */
#else
#define VNNI_INSTRUCTION 0
#define int8_native 0
#endif

#define INT8_ROWS 12 /* of a tile */
#define INT8_PANELS 2

/* How many rows a tile computes where so many are left: perhaps more, in which q may hold anything. */
GEMM_API ptrdiff_t int8_tile_rows(ptrdiff_t rows);

/* sums (rows, INT8_PANELS * INT8_COLUMNS); w is that of the first panel. */
GEMM_API void int8_tile(ptrdiff_t rows, ptrdiff_t panels, ptrdiff_t groups, const void *q, const int8_t *w,
                        int32_t *sums);

#endif

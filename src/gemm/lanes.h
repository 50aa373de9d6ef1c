/* What many small nets do side by side: where a net has one number, NETS of them have as many
 * that lie behind each other, so that a vector holds those of several nets. For each net,
 *
 *     c[i, j] = 0 + a[i, 0] b[0, j] + ... + a[i, k - 1] b[k - 1, j], and then + bias[j]
 *
 * in one chain of multiply-adds: what gemm.h says of up to SUM_BLOCK terms that are no dot product.
 */
#ifndef FASTNN_GEMM_LANES_H
#define FASTNN_GEMM_LANES_H

#include "gemm.h"

enum { NETS = 16 }; /* in each array: a whole number of vectors */

typedef struct {
    ptrdiff_t m, n, k;
    const real *a; /* a[i, p] = a[(i * a_row + p * a_col) * NETS], a number of each net */
    ptrdiff_t a_row, a_col;
    const real *b; /* b[p, j] = b[(p * b_row + j * b_col) * NETS] */
    ptrdiff_t b_row, b_col;
    const real *bias; /* (n) or NULL */
    real *c;          /* (m, n); overlaps no input */
    int relu;         /* of c */
    const real *saved; /* (m, n) or NULL: c is 0 where that is not above 0, as relu's derivative */
} LaneProduct;

GEMM_API void lane_product(const LaneProduct *p);

/* y (rows, columns) = the rows that the index of each net chooses, (NETS, n_index), from `start` on, of its own x
 * (n, columns), of which there are `sets`: where these are fewer, others have the last. Returns 0, or
 * CALL_OUT_OF_RANGE. */
GEMM_API int lane_gather(const real *x, ptrdiff_t sets, ptrdiff_t n, ptrdiff_t columns, const int64_t *index,
                         ptrdiff_t n_index, ptrdiff_t start, ptrdiff_t rows, real *y);

/* The mean of n losses, added in the order of math/losses.h. */
GEMM_API void lane_mean(const real *losses, ptrdiff_t n, double *value);

/* The mean over rows of the cross-entropy of softmax(y), (rows, n), with labels t, (rows), as numbers: of what is no
 * label it is NaN. The bits are those of cross_entropy_labels_from_logits. */
GEMM_API void lane_cross_entropy(const real *y, const real *t, real *dy, ptrdiff_t rows, ptrdiff_t n, double *value);

#endif

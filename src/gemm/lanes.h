/* What many small nets do side by side: where a net has one number, NETS of them have as many
 * that lie behind each other, so that a vector holds those of several nets. For each net,
 *
 *     c[i, j] = 0 + a[i, 0] b[0, j] + ... + a[i, k - 1] b[k - 1, j], and then + bias[j]
 *
 * in one chain of multiply-adds: what gemm.h says of up to SUM_BLOCK terms that are no dot product. Outputs overlap no
 * inputs.
 */
#ifndef FASTNN_GEMM_LANES_H
#define FASTNN_GEMM_LANES_H

#include "gemm.h"

enum { NETS = 16 }; /* in each array: a whole number of vectors */

/* y (rows, n_out) = x (rows, n_in) w (n_in, n_out) + b, which may be NULL; with relu, of that. */
GEMM_API void lane_forward(const real *x, const real *w, const real *b, real *y, int relu, ptrdiff_t rows,
                           ptrdiff_t n_in, ptrdiff_t n_out);

/* dx = dy w^T, dw = x^T dy, db = the sum of dy over rows; dx and db may be NULL. With relu, dx is 0 where x is not
 * above 0: behind relu, whose outputs are x. */
GEMM_API void lane_backward(const real *x, const real *w, const real *dy, real *dx, real *dw, real *db, int relu,
                            ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out);

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

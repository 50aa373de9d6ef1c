/* Backward through a layer of few outputs: dx and dw in one pass over x. */
#ifndef FASTNN_GEMM_NARROW_H
#define FASTNN_GEMM_NARROW_H

#include "gemm.h"

#if defined(FASTNN_SCALAR) || !(defined(__AVX512F__) || (defined(__AVX2__) && !FASTNN_DOUBLE) || defined(__aarch64__))
#define NARROW_COLUMNS 0 /* too few numbers are in all registers */
#else
#define NARROW_COLUMNS 4 /* outputs */
#endif

typedef struct {
    ptrdiff_t rows, n_in, n_out; /* 1 <= rows <= SUM_BLOCK, 1 <= n_out <= NARROW_COLUMNS */
    const real *x;               /* (rows, n_in), x_row apart */
    ptrdiff_t x_row;
    const real *dy; /* (rows, n_out) */
    const real *w;  /* (n_in, n_out), with dx */
    real *dx;       /* dx = dy @ w.T, x_row apart, or NULL */
    int relu;       /* dx is 0 where not x > 0 */
    real *dw, *db;  /* dw = x.T @ dy, db = the sum of the rows of dy, or NULL */
    int update;     /* dw and db are w and b, which lose rate times these instead */
    real rate;
} Narrow;

/* The bits are those of `gemm`. No output overlaps an input, but for w, which is read before it is updated. */
GEMM_API void narrow_backward(const Narrow *p);

#endif

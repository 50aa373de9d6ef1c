/* Packing: numbers that lie apart are copied into the order in which tiles read them. */
#ifndef FASTNN_GEMM_PACK_H
#define FASTNN_GEMM_PACK_H

#include "gemm.h"

/* to (k, width) = the transpose of from (count, k), which has any strides; columns from `count` to `width` are 0. */
GEMM_API void pack(ptrdiff_t count, ptrdiff_t width, ptrdiff_t k, const real *from, ptrdiff_t from_row,
                   ptrdiff_t from_col, real *to, ptrdiff_t to_row);

#endif

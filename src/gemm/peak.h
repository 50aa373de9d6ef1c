/* The most multiply-adds that this processor could do. */
#ifndef FASTNN_GEMM_PEAK_H
#define FASTNN_GEMM_PEAK_H

#include "gemm.h"

/* Run n blocks of multiply-adds that touch registers only; returns how many operations they are. */
GEMM_API double fma_peak_loop(ptrdiff_t n);

#endif

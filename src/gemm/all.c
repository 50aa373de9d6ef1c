/* All sources of this folder as one, for a build that compiles no sources beside those of Cython. */
#ifndef FASTNN_GEMM_ALL
#define FASTNN_GEMM_ALL

#define GEMM_API static
#include "pack.c"
#include "tile.c"
#include "products.c"
#include "dots.c"
#include "gemm.c"
#include "workspace.c"
#include "peak.c"

#endif

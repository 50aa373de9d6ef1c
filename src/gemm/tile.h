/* One tile of c: its size, what it reads and writes, and what else the first of many tiles does for the others. */
#ifndef FASTNN_GEMM_TILE_H
#define FASTNN_GEMM_TILE_H

#include "gemm.h"

/* A tile is up to TILE_ROWS rows of 1 or 2 vectors: 24 of 32 registers, or 12 of 16, hold its sums, the others the
 * vectors of b and one broadcast number of a. One to three rows would wait for their own sums (a multiply-add takes
 * four cycles, and one or two start every cycle): three get 3 vectors where there are 12, two 4, and one 4 or 8. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif
#define TILE_VECTORS 2
#define THREE_ROWS_VECTORS (TILE_ROWS == 6 ? 3 : TILE_VECTORS)
#define FEW_ROWS 2
#define FEW_ROWS_VECTORS 4
#define ROW_VECTORS 8
#define PANEL_COLUMNS (TILE_VECTORS * (VECTOR_BYTES / sizeof(real)))
#define PANEL ((ptrdiff_t)PANEL_COLUMNS) /* b is packed into panels as wide as a tile, each (k, PANEL) */
#define BLOCK_K 512
/* How fast this processor reads, of a large b, short parts of rows that lie far apart, as tiles do that read it in
 * place: by which a product chooses whether to pack it, and a tile what it asks for beforehand, and no bit changes. Set
 * at import, before any product. */
enum { FAR_READS_UNKNOWN, FAR_READS_FAST, FAR_READS_SLOW };
extern GEMM_API int far_reads;
#if defined(__AVX2__) && !defined(FASTNN_SCALAR)
#define are_slow(reads) ((reads) == FAR_READS_SLOW)
#else
#define are_slow(reads) 0 /* code for processors of before 2013 is small first */
#endif

#define A_APART (BLOCK_K + CACHE_LINE) /* consecutive rows begin in different sets of the first-level cache */

/* A tile, or a column of tiles below each other. */
typedef struct {
    ptrdiff_t k;
    const real *a;
    ptrdiff_t a_row, a_col;
    const int64_t *a_rows, *a_cols, *a_next; /* as in Product, from the first row and term on */
    const real *b;                           /* columns contiguous */
    ptrdiff_t b_row;
    real *c;
    ptrdiff_t c_row;
    const real *bias; /* added at the end of the chain, or NULL */
    int relu;          /* as in Product, with a_cols neither */
    const real *saved; /* of this tile, c_row apart, or NULL; with a_rows neither */
    int resume;       /* the chain starts from c instead of zero */
    int update;
    real rate;
    ptrdiff_t width;  /* columns in the last vector, 1..LANES */
} Tile;

/* c (rows, columns) of a tile of up to TILE_ROWS rows and 1 or TILE_VECTORS vectors, or up to FEW_ROWS rows and
 * FEW_ROWS_VECTORS vectors, or, without a_cols, one row and ROW_VECTORS, or, where no index chooses, three and
 * THREE_ROWS_VECTORS. */
GEMM_API void tile_of(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t);

/* The same of FEW_ROWS rows and FEW_ROWS_VECTORS, or of TILE_VECTORS whole vectors, with neither index, resume, update
 * nor saved: rows of b that lie in memory are asked for before they are read. */
GEMM_API void tile_from_memory(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t);

/* The same of up to TILE_VECTORS whole vectors, and b_sum beside it: of summing_rows(m) rows where c has m, at least
 * LEAST_SUMMING, which no index chooses; with neither bias, resume, relu nor saved. */
#if defined(__AVX512F__) && !defined(FASTNN_SCALAR)
#define LEAST_SUMMING 4
#define summing_rows(m) ((m) > 14 || (m) == TILE_ROWS ? TILE_ROWS : LEAST_SUMMING) /* one or two alone are slow */
GEMM_API void tile_summing(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t, real *b_sum);
#else
#define summing_rows(m) 0
#endif

/* The first of many tiles that read the same panel of b, or the same rows of a, packs them for the others: this one
 * has TILE_ROWS rows and PANEL columns, and packs the columns of b, which have any strides, into `panel` (k, PANEL). */
GEMM_API void tile_packing_b(Tile *t, const real *b, ptrdiff_t b_row, ptrdiff_t b_col, real *panel);

/* This one packs its TILE_ROWS rows of a into `packed`, TILE_ROWS * A_APART numbers, where the tiles that follow read
 * them; k <= BLOCK_K. */
GEMM_API void tile_packing_a(Tile *t, real *packed);

/* The same beforehand, for up to TILE_ROWS rows. */
GEMM_API void pack_a(ptrdiff_t rows, Tile *t, real *packed);

#endif

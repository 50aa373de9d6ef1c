/* Numbers rounded to bfloat16, packed in pairs of terms of a chain: what products in bfloat16 read.
 *
 * A number is rounded to the nearest of 8 bits, ties to even; a subnormal one becomes 0, as the instruction has it.
 * Where there is that instruction (bf16_native), a pair is one word of two bfloat16, the even term below; elsewhere it
 * is two floats, the odd term first, as the multiply-adds take them. Beyond the last term stands 0. */
#ifndef FASTNN_GEMM_BF16_PACK_H
#define FASTNN_GEMM_BF16_PACK_H

#include "amx.h"
#include "gemm.h"
#include "tile.h"

#if !FASTNN_DOUBLE
#if defined(__AVX512F__) && KNOWS_BF16 && !defined(FASTNN_SCALAR)
#define BF16_INSTRUCTION 1
/* Which instructions products use: set at import, before there is any. */
enum { BF16_MULTIPLY_ADDS, BF16_PAIRS, BF16_REGISTERS };
extern GEMM_API int bf16_native;
#else
#define BF16_INSTRUCTION 0
#define bf16_native 0
#endif
#if BF16_INSTRUCTION && KNOWS_AMX
#define by_amx (bf16_native == BF16_REGISTERS) /* tiles of AMX: rows of a are (rows, pairs) */
#else
#define by_amx 0
#endif

/* How many words or floats a pair has. */
#define PAIR_NUMBERS ((ptrdiff_t)(bf16_native ? 1 : 2))

/* Rows of pairs, each of a block at most, begin in different sets of the first-level cache. */
#define PAIRS_APART (bf16_native ? A_APART : SUM_BLOCK + CACHE_LINE)

/* to: the pairs of k contiguous numbers, beside each other. */
GEMM_API void bf16_row(const real *from, ptrdiff_t k, real *to);

/* to: a pair of each of n chains, whose terms are two rows; odd is NULL where the last pair has one term. Each PANEL of
 * them goes to where the next panel begins; of two floats in a pair, the second row follows the first `row` behind. */
GEMM_API void bf16_rows(const real *even, const real *odd, ptrdiff_t n, real *to, ptrdiff_t panel, ptrdiff_t row);

/* Rows of b as they are: */
typedef struct {
    const real *from; /* the first term of the tile's columns */
    ptrdiff_t row;
    int is_odd;       /* the last pair has one term */
    real *to;         /* where the words of the panel go for other tiles, or NULL */
} Unpacked;

/* c of one tile, whose a and b are packed: the words are multiplied by the instruction. */
GEMM_API void bf16_tile(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t);

/* The same of TILE_VECTORS vectors by the first of several tiles, or the only one, which rounds b itself. */
GEMM_API void bf16_tile_packing(ptrdiff_t rows, const Tile *t, const Unpacked *b);

/* c (n), the chains of one row, which go on for `pairs` pairs of words of a: b is read from end to end of its rows. */
GEMM_API void bf16_stream(ptrdiff_t n, ptrdiff_t pairs, const real *a, const Unpacked *b, real *c);

/* c of one tile, whose a and b are packed, in registers of AMX, whose order of sums is their own (bf16_amx.c). What
 * they are configured for is kept in `configured`, 0 at the beginning of a product; at its end, they are released. */
GEMM_API void bf16_tile_of_registers(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t, ptrdiff_t *configured);
GEMM_API void bf16_release_registers(void);

/* The same by multiply-adds: fma(a0, b0, fma(a1, b1, c)). */
GEMM_API void bf16_tile_of_floats(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t);
#endif

#endif

/* The matrix product c = a @ b + bias, or the step of gradient descent c -= rate * a @ b, in tiles of c that stay in
 * registers.
 *
 * a (m, k) and b (k, n) may have any strides, so that x, its transpose, w and its transpose are read where they lie,
 * and rows of x may be chosen by an index; c (m, n) has contiguous rows. Every element of c is a sum of blocks of
 * SUM_BLOCK terms, of which each is one chain of multiply-adds from 0 on, from left to right, and then the bias:
 *
 *     block of c[i, j] = 0 + a[i, q] b[q, j] + a[i, q + 1] b[q + 1, j] + ... + a[i, q + SUM_BLOCK - 1] b[...],
 *     c[i, j] = (block + block + ... + block) + bias[j],
 *
 * whichever tile or tail it falls into: its bits depend on k alone, and neither on the tiling nor on how callers split
 * the rows or columns of c between threads. (A *term* of all chains is one p.) One chain of millions of terms would
 * stand still in float32. A block may also be a product of its own, into memory of its own: added in order with plain
 * additions, or by `resume`, blocks give the same bits. So do the sums of the rows of b.
 *
 * The exception are dot products (dots.c), whose blocks run in lanes: up to 3 columns and long contiguous rows of a, as
 * in a layer with one output, and dx of a batch of one row. What decides is n, a_col and the terms of the block, and
 * never m: rows may be split as one likes, but columns only into parts of more than 3. No part of a product can know
 * that there is only one row: the caller says so (one_row).
 *
 * From the bottom to the top:
 *     vectors.h    one vector: multiply-adds, loads and stores of its first lanes
 *     transpose.h  groups of rows, transposed in registers
 *     pack         parts of a and b, copied into the order in which tiles read them
 *     tile         one tile of c, all instructions of which are known when it is compiled
 *     workspace    the memory of a thread that packing needs
 *     products     the ways that lead a product through the tiles
 *     few_columns  what is left of c beside its vectors, where a is read row by row
 *     dots         dot products
 *     packed       b that lies in panels
 *     narrow       dx and dw of a layer of few outputs, in one pass
 *     bf16_...     the same with numbers rounded to bfloat16: packing, tiles and products
 *     gemm.c       which way a product takes
 * and peak, the most multiply-adds that any of this could do. The sources are compiled once for each instruction set
 * and dtype, each by itself: the tiles, which take most of that time, only where they have changed.
 */
#ifndef FASTNN_GEMM_H
#define FASTNN_GEMM_H

#include "math/simd.h"
#include "tape/call.h"

/* Functions that one source of this folder offers to others, but the library to nobody. */
#ifndef GEMM_API
#if defined(__GNUC__) && !defined(_WIN32)
#define GEMM_API __attribute__((visibility("hidden")))
#else
#define GEMM_API
#endif
#endif

/* Elsewhere that would be many instructions in each of the tiles. */
#ifdef __AVX512F__
#define GEMM_RECTIFIES 1
#else
#define GEMM_RECTIFIES 0
#endif

/* Columns of a panel of b, packed beforehand: each panel is (k, PACKED_COLUMNS), with zeros behind the last column. b
 * points to its first term and column, b_row is PACKED_COLUMNS and b_col the terms of a panel, so that a part begins at
 * b + p * b_row + j * b_col, of a j between panels. In bfloat16, words of pairs of terms, the even one first, stand in
 * the place of terms, with zeros behind the last; in float32, b_row is PACKED_COLUMNS / 2, and p even; in float64,
 * numbers of a are as they are. */
#define PACKED_COLUMNS ((ptrdiff_t)32)

/* Terms of a chain at most: sums of more are sums of such blocks. A multiple of 32, for pairs in bfloat16. */
#define SUM_BLOCK ((ptrdiff_t)1024)

typedef struct {
    ptrdiff_t m, n, k;
    const real *a; /* a[i, p] = a[i * a_row + p * a_col], i < m, p < k */
    ptrdiff_t a_row, a_col;
    const int64_t *a_rows; /* (m) or NULL: a_rows[i] stands for i, and a_col is 1: chosen rows of an array; no update */
    const int64_t *a_cols; /* (k) or NULL: a_cols[p] stands for p, and a_row is 1: their transpose; b_col 1 for both */
    const int64_t *a_next; /* (k) or NULL: a_cols of the next product, which come from memory meanwhile */
    const real *b; /* b[p, j] = b[p * b_row + j * b_col], j < n */
    ptrdiff_t b_row, b_col;
    const real *bias; /* (n), added at the end, or NULL */
    real *c;          /* c[i, j] = c[i * c_row + j]; overlaps no input */
    ptrdiff_t c_row;
    int resume; /* the blocks are added to c (and b_sum), as a product of the blocks before has left them; no update */
    /* Numbers laid out as c, or NULL: other cores may have read them, and this one will write them soon. It takes their
     * lines tile by tile, writing what it reads, so that it need not wait for them later. */
    real *taken;
    int update; /* c = c - rate * sum, in one multiply-add; without bias and finish */
    real rate;
    /* Where GEMM_RECTIFIES, in the registers, without update and finish: c = relu(sum + bias), that is, 0 where it is
     * <= 0; or c = sum where saved[i * c_row + j] > 0, else 0, that is, behind relu's derivative. Else 0 and NULL. */
    int relu;
    const real *saved;
    real *b_sum; /* (n): the sums of the rows of b, from the first to the last (or what they update), or NULL; not with
                  * bias, relu, saved or finish */
    /* Called for each rectangle of c that is complete, while it is in the cache, or NULL. The rectangles cover c
     * exactly once; a contiguous c of up to 32 KB is one rectangle. */
    void (*finish)(const void *context, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns);
    const void *context;
    int bf16;    /* numbers of a and b are rounded to bfloat16: of float32; both have a stride of 1; or b is packed */
    int packed;  /* b lies in panels: of more than 3 columns; no update, saved or b_sum */
    int one_row; /* m is 1 because there is one row, and not because rows are split: elements may be dot products */
} Product;

/* Returns 0, or CALL_NO_MEMORY where a thread cannot have the workspace that large products need: c is undefined
 * then. Zero sizes are legal. It takes less than 16 KB of stack, beside what `finish` takes. */
GEMM_API int gemm(const Product *product);

#endif

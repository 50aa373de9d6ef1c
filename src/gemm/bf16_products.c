/* Whole products in bfloat16: c = a @ b, whose numbers are rounded while they are packed, and whose sums are float32.
 *
 * Both operands are packed in pairs of terms (bf16_pack.h), b block by block, rows of a tile by tile. Pairs begin at
 * even terms, and chains go through them in order: bits do not depend on tiles or threads, nor on whether the processor
 * has the instruction of pairs. */
#include "bf16_pack.h"
#include "pack.h"
#include "products.h"
#include "vectors.h"
#include "workspace.h"

/* `width` columns of b from j on, which are words in one panel, and so many pairs from q on: of each, the term `first`
 * and then the other. */
ALWAYS_INLINE void unpack_words(const Product *p, ptrdiff_t q, ptrdiff_t pairs, ptrdiff_t j, const ptrdiff_t width,
                                const int first, real *to) {
    const ptrdiff_t at = j % PACKED_COLUMNS;
    const uint16_t *from = (const uint16_t *)p->b + 2 * ((j - at) * p->b_col + q * PACKED_COLUMNS + at);
    for (; pairs > 0; pairs--, from += 2 * PACKED_COLUMNS) {
        for (int h = 0; h < 2; h++, to += width) {
            for (ptrdiff_t l = 0; l < width; l++) {
                const uint32_t bits = (uint32_t)from[2 * l + (h ^ first)] << 16;
                float number;
                memcpy(&number, &bits, sizeof number);
                to[l] = number;
            }
        }
    }
}

#if !FASTNN_DOUBLE
#define AHEAD 4 /* rows of b that come from memory while others are packed */
#define SPAN_NUMBERS 64 /* of pairs of a column of b, converted before they are transposed */
#define SPAN_APART (SPAN_NUMBERS + 4) /* consecutive columns begin in different sets of the first-level cache */

/* The columns [j, j + n) of b, in panels, each (pairs, PANEL). */
static NOINLINE void pack_b(const Product *p, ptrdiff_t pairs, ptrdiff_t j, ptrdiff_t n, real *to) {
    const ptrdiff_t numbers = PAIR_NUMBERS, height = pairs * numbers, panel = height * PANEL;
    const ptrdiff_t left = n % PANEL, terms = p->k;
    if (left > 0) memset(to + n / PANEL * panel, 0, (size_t)panel * sizeof(real));
    if (p->b_col == 1) {
        const real *even = p->b + j;
        for (ptrdiff_t q = 0; q < pairs; q++, even += 2 * p->b_row, to += numbers * PANEL) {
            for (ptrdiff_t h = AHEAD; h < AHEAD + 2 && 2 * q + h < terms; h++) {
                for (ptrdiff_t l = 0; l < n; l += CACHE_LINE) PREFETCH(even + h * p->b_row + l);
            }
            bf16_rows(even, 2 * q + 1 < terms ? even + p->b_row : NULL, n, to, panel, PANEL);
        }
        return;
    }
    ALIGNED(64) real span[PANEL_COLUMNS * SPAN_APART];
    for (ptrdiff_t l = 0, columns; l < n; l += columns, to += panel) {
        columns = smaller(n - l, PANEL);
        for (ptrdiff_t q = 0, size; q < height; q += size) {
            size = smaller(height - q, SPAN_NUMBERS);
            const ptrdiff_t term = 2 * q / numbers, count = smaller(2 * size / numbers, terms - term);
            const real *column = p->b + term + (j + l) * p->b_col;
            for (ptrdiff_t i = 0; i < columns; i++, column += p->b_col) bf16_row(column, count, span + i * SPAN_APART);
            pack(columns, columns, size, span, SPAN_APART, 1, to + q * PANEL, PANEL);
        }
    }
}

/* The same where b is words, for tiles that read floats. */
static NOINLINE void unpack_b(const Product *p, ptrdiff_t pairs, ptrdiff_t j, ptrdiff_t n, real *to) {
    for (; n > 0; n -= PANEL, j += PANEL, to += pairs * 2 * PANEL) unpack_words(p, 0, pairs, j, PANEL, 1, to);
}

/* The same of `rows` rows of a from i on; the tiles read them as t says. The rows `next` come from memory meanwhile. */
static NOINLINE void pack_rows(const Product *p, ptrdiff_t i, ptrdiff_t rows, const int64_t *next, real *to,
                               Tile *t) {
    const ptrdiff_t numbers = PAIR_NUMBERS, terms = p->k;
    if (p->a_col == 1 && !p->a_cols) {
        t->a_row = PAIRS_APART;
        t->a_col = 1;
        for (ptrdiff_t h = 0; h < rows; h++) {
            const ptrdiff_t row = p->a_rows ? p->a_rows[i + h] : i + h;
            bf16_row(p->a + row * p->a_row, terms, to + h * PAIRS_APART);
        }
        return;
    }
    real *const words = by_amx ? to + TILE_ROWS * A_APART : to, *pair = words;
    t->a_row = 1;
    t->a_col = rows;
    for (ptrdiff_t even = 0; even < terms; even += 2, pair += numbers * rows) {
        const ptrdiff_t odd = even + 1;
        const real *const a = p->a + i;
        const real *const above = p->a_cols ? a + p->a_cols[even] * p->a_col : a + even * p->a_col;
        const real *const below = odd == terms ? NULL : a + (p->a_cols ? p->a_cols[odd] : odd) * p->a_col;
        for (ptrdiff_t h = 0; next && h < 2 && even + h < terms; h++) {
            const real *const soon = a + next[even + h] * p->a_col;
            for (ptrdiff_t l = 0; l < rows; l += CACHE_LINE) PREFETCH(soon + l);
        }
        bf16_rows(above, below, rows, pair, PANEL, rows);
    }
    if (by_amx) {
        const ptrdiff_t pairs = (terms + 1) / 2;
        t->a_row = A_APART;
        t->a_col = 1;
        pack(pairs, pairs, rows, words, rows, 1, to, A_APART);
    }
}

/* Let the part of c that the next tile writes come into the first-level cache meanwhile. */
ALWAYS_INLINE void come_closer(const real *c, ptrdiff_t c_row, ptrdiff_t rows) {
    for (; rows > 0; rows--, c += c_row) {
        for (ptrdiff_t l = 0; l < PANEL; l += CACHE_LINE) PREFETCH_TO_WRITE(c + l + CACHE_LINE - 1);
    }
}

/* c of a tile from packed words; `b`, where it is not NULL, is what they are to be made of. */
ALWAYS_INLINE void tile_of_pairs(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t, const Unpacked *b,
                                 ptrdiff_t *configured) {
#if BF16_INSTRUCTION && KNOWS_AMX
    if (by_amx) {
        bf16_tile_of_registers(rows, vectors, t, configured);
        return;
    }
#endif
    (void)configured;
#if BF16_INSTRUCTION
    if (b) bf16_tile_packing(rows, t, b);
    else if (bf16_native) bf16_tile(rows, vectors, t);
    else bf16_tile_of_floats(rows, vectors, t);
#else
    (void)b;
    bf16_tile_of_floats(rows, vectors, t);
#endif
}

#if BF16_INSTRUCTION
/* One row of a reads all of b once, from end to end of its rows: as product_of_row. */
static void product_of_streamed_pairs(const Product *p, Workspace *memory) {
    const Unpacked b = {p->b, p->b_row, p->k % 2 == 1, NULL};
    bf16_row(p->a + (p->a_rows ? *p->a_rows * p->a_row : 0), p->k, memory->a);
    memset(p->c, 0, (size_t)p->n * sizeof(real));
    bf16_stream(p->n, (p->k + 1) / 2, memory->a, &b, p->c);
    add_bias(p, 0, 0, 1, p->n);
    finish(p, 0, 0, 1, p->n);
}
#endif

GEMM_API NOINLINE int product_of_pairs(const Product *p) {
    Workspace *const memory = workspace();
    if (!memory) return CALL_NO_MEMORY;
#if BF16_INSTRUCTION
    const int is_streamed = !p->packed && p->b_col == 1 && p->n >= 8 * LANES;
    if (bf16_native == BF16_PAIRS && p->m == 1 && is_streamed && p->a_col == 1 && !p->a_cols && !p->update) {
        product_of_streamed_pairs(p, memory);
        return 0;
    }
#endif
    const int packed_b = p->packed, in_place = packed_b && bf16_native; /* as tiles read it */
    /* b, the first of those above each other */
    const int tile_packs = bf16_native && !by_amx && p->b_col == 1 && !packed_b;
    ALIGNED(64) real sums[TILE_ROWS * PANEL_COLUMNS];
    const ptrdiff_t m = p->m, n = p->n, pairs = (p->k + 1) / 2, depth = pairs * PAIR_NUMBERS;
    const ptrdiff_t most = pairs > 0 ? depth : 1;
    const ptrdiff_t block_n = even_part((n + PANEL - 1) / PANEL, BLOCK / (most * PANEL)) * PANEL;
    const ptrdiff_t rows = even_part(m, TILE_ROWS);
    /* Columns of a are packed for several tiles, so that they fill whole vectors. */
    const int by_columns = m > 0 && (p->a_col != 1 || p->a_cols) && !by_amx;
    const ptrdiff_t together = by_columns ? TILE_ROWS * A_APART / most / rows * rows : rows;
    const ptrdiff_t packed = together > 0 ? together : rows;
    Tile t = {.k = depth, .b_row = PANEL};
    ptrdiff_t configured = 0;
    for (ptrdiff_t j = 0, width; j < n; j += width) {
        width = smaller(block_n, n - j);
        if (packed_b && !in_place) unpack_b(p, pairs, j, width, memory->b);
        else if (!packed_b && !tile_packs) pack_b(p, pairs, j, width, memory->b);
        for (ptrdiff_t i = 0; i < m; i += packed) {
            const ptrdiff_t height = smaller(packed, m - i);
            pack_rows(p, i, height, j == 0 ? p->a_next : NULL, memory->a, &t);
            for (ptrdiff_t h = 0; h < height; h += rows) {
                const ptrdiff_t tall = smaller(rows, height - h);
                t.a = memory->a + h * t.a_row;
                Unpacked b = {p->b + j, p->b_row, p->k % 2 == 1, NULL};
                const int first = tile_packs && i + h == 0;
                for (ptrdiff_t l = 0; l < width; l += PANEL) {
                    const ptrdiff_t columns = smaller(PANEL, width - l), vectors = (columns + LANES - 1) / LANES;
                    real *const c = p->c + (i + h) * p->c_row + j + l;
                    if (l + PANEL < width) come_closer(c + PANEL, p->c_row, tall);
                    else come_closer(c - l + rows * p->c_row, p->c_row, smaller(rows, m - i - h - tall));
                    t.width = columns - (vectors - 1) * LANES;
                    t.b = in_place ? p->b + (j + l) * p->b_col : memory->b + l * depth;
                    t.c = p->update ? sums : c;
                    t.c_row = p->update ? PANEL : p->c_row;
                    if (m > tall) b.to = memory->b + l * depth;
                    const int packs = first && vectors == TILE_VECTORS;
                    if (first && !packs) pack_b(p, pairs, j + l, columns, memory->b + l * depth);
                    tile_of_pairs(tall, vectors, &t, packs ? &b : NULL, &configured);
                    b.from += PANEL;
                    /* What comes behind the chains, in the mode of the processor that others compute in. */
                    if (p->update) update_by(p->rate, sums, PANEL, tall, columns, c, p->c_row);
                    add_bias(p, i + h, j + l, tall, columns);
                }
            }
            finish(p, i, j, height, width);
        }
    }
#if BF16_INSTRUCTION && KNOWS_AMX
    if (configured != 0) bf16_release_registers();
#endif
    return 0;
}
#else
/* Panel by panel and block by block, as any other product. */
GEMM_API NOINLINE SELDOM int product_of_words(const Product *p) {
    Workspace *const memory = workspace();
    if (!memory) return CALL_NO_MEMORY;
    Product part = *p;
    part.bf16 = part.packed = 0;
    part.finish = NULL;
    part.b = memory->totals;
    part.b_row = PACKED_COLUMNS;
    part.b_col = 1;
    for (ptrdiff_t j = 0; j < p->n; j += PACKED_COLUMNS) {
        part.n = smaller(PACKED_COLUMNS, p->n - j);
        part.c = p->c + j;
        for (ptrdiff_t q = 0; q == 0 || q < p->k; q += SUM_BLOCK) {
            part.k = smaller(SUM_BLOCK, p->k - q);
            part.a = p->a + q * p->a_col;
            part.bias = p->bias && q + part.k == p->k ? p->bias + j : NULL;
            part.resume = q > 0;
            unpack_words(p, q / 2, (part.k + 1) / 2, j, PACKED_COLUMNS, 0, memory->totals);
            if (gemm(&part) != 0) return CALL_NO_MEMORY;
        }
        finish(p, 0, j, p->m, part.n);
    }
    return 0;
}
#endif

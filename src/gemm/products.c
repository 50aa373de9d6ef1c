/* The ways that lead a product through the tiles (Goto and van de Geijn, "Anatomy of high-performance matrix
 * multiplication", ACM TOMS 34(3), 2008, for the third):
 *     product_in_place    reads both operands where they lie: small and medium products;
 *     product_of_panels   packs as many columns of b as a tile reads, for all rows of a small a;
 *     product_in_blocks   packs b block by block into the order in which tiles read it, while the first ones do;
 *     product_transposed  for the few columns that would fill no vector: c.T = b.T @ a.T,
 * four beside them: product_of_few_columns, for up to four of these where rows of a are contiguous,
 * product_of_few_rows, where up to four rows of a meet a large b, product_of_column, for dw of one row, and
 * product_of_short_chains, for dx of a layer of few outputs; and which of them a product takes.
 */
#include "products.h"
#include "pack.h"
#include "vectors.h"
#include "workspace.h"

/* How many vectors the next tile has, and how many columns, at most `left`; sets the width of the last vector. */
ALWAYS_INLINE ptrdiff_t tile_columns(ptrdiff_t rows, ptrdiff_t left, ptrdiff_t *vectors, Tile *t) {
    const int most = rows == 3 && !t->a_rows && !t->a_cols ? THREE_ROWS_VECTORS : TILE_VECTORS;
    *vectors = rows <= FEW_ROWS && left > 3 * LANES ? FEW_ROWS_VECTORS : left > 2 * LANES ? most : left > LANES ? 2 : 1;
    const ptrdiff_t columns = smaller(left, *vectors * LANES);
    t->width = columns - (*vectors - 1) * LANES;
    return columns;
}

/* The same for one row alone, where there are so many. */
ALWAYS_INLINE ptrdiff_t tile_of_row(ptrdiff_t left, ptrdiff_t *vectors, Tile *t) {
    const ptrdiff_t columns = smaller(left, ROW_VECTORS * LANES);
    *vectors = ROW_VECTORS;
    t->width = columns - (ROW_VECTORS - 1) * LANES;
    return columns;
}

/* How many rows of a panel of c are finished together: up to 24 KB. Long rows lie in pages of their own, of which a
 * core knows few at a time, and, at multiples of 4 KB, in the same few lines of its first cache. */
#define FINISHED_ROWS 192
#define LONG_ROW 2048 /* bytes */
#define FINISHED_LONG_ROWS 24
ALWAYS_INLINE ptrdiff_t finished_rows(const Product *p) {
    return p->c_row * (ptrdiff_t)sizeof(real) < LONG_ROW ? FINISHED_ROWS : FINISHED_LONG_ROWS;
}

GEMM_API int far_reads = FAR_READS_UNKNOWN;

/* Whether tiles that read columns of a large a, where another line of memory has each term, should find them packed. */
static NOINLINE int packs_columns(const Product *p) {
    const ptrdiff_t bytes = p->m * p->k * (ptrdiff_t)sizeof(real);
    return are_slow(far_reads) && p->a_row == 1 && p->a_col != 1 && p->n > PANEL && bytes > 240 * 1024;
}

/* Whether b fills half of a 1 MB cache, or less that is read, slowly, for 13 MB, or all of a, read again for every
 * panel, would leave the first-level cache, or every other one. */
#define LARGE (512 * 1024) /* bytes */
ALWAYS_INLINE int is_large(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k) {
    const ptrdiff_t size = (ptrdiff_t)sizeof(real), of_b = n * k * size;
    const int often = are_slow(far_reads) && of_b > 240 * 1024 && m * of_b > 13 * 1024 * 1024;
    return (n > PANEL && (of_b > LARGE || often)) || (n > 4 * PANEL && m * k * size > 64 * 1024) ||
           m * k * size > 8 * 1024 * 1024;
}

/* Whether so many rows of a read the same b, of n columns, that packing them, if they are large, gains more than it
 * takes: more than two tiles. Where far reads are slow, contiguous rows of a do beyond one tile, of a b which no cache
 * keeps. Where they are fast, such rows read b as well from the second-level cache, until all multiply-adds
 * together are many, unless its rows lie a multiple of 4 KB apart and drive each other out of there. */
ALWAYS_INLINE int pays_packing(const Product *p, ptrdiff_t n) {
    const ptrdiff_t m = p->m, size = (ptrdiff_t)sizeof(real), apart = p->b_row * size;
    if (are_slow(far_reads) && p->a_col == 1 && n * p->k * size > LARGE) return m > TILE_ROWS;
    if (m <= 2 * TILE_ROWS) return 0;
    if (far_reads != FAR_READS_FAST || TILE_ROWS == 6 || p->a_col != 1) return 1;
    if (!is_large(m, n, p->k) || apart % 8192 == 0) return 1;
    return apart % 4096 == 0 ? m > 64 : (int64_t)m * n * p->k > 1 << 27;
}

/* The rows of a tile that reads it: where far reads are slow, the next tile would wait for the same rows of b again. */
#define ROWS_FROM_MEMORY (TILE_ROWS == 6 ? 6 : are_slow(far_reads) ? TILE_ROWS : 8)
#define LEAST_FROM_MEMORY 64 /* terms: twice as many as a tile asks for beforehand */
#define TILES_FROM_MEMORY 8 /* below each other */

/* Of a large b a tile reads a small part of each row, on another page each time, as no processor foresees. */
ALWAYS_INLINE int is_from_memory(const Product *p, ptrdiff_t n) {
    const int whole_chains = !p->a_rows && !p->a_cols && !p->update && !p->saved;
    const int large = n * p->k * (ptrdiff_t)sizeof(real) > 128 * 1024;
    return whole_chains && large && p->m > 1 && p->k >= LEAST_FROM_MEMORY && !pays_packing(p, n);
}

/* A store waits for a line that another core has read, but nothing waits for the store, unless there are too many at a
 * time. (A prefetch for writing takes several times as long for such a line: on Zen 4 70 to 140 ns.) */
static NOINLINE void take_lines(const Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns) {
    volatile real *row = p->taken + i * p->c_row + j;
    for (; rows > 0; rows--, row += p->c_row) {
        for (ptrdiff_t l = 0; l < columns; l += CACHE_LINE) row[l] = row[l];
    }
}

/* The n columns of c from `first` on; p->b begins at the first of them, with contiguous rows, which without masked
 * loads can be read up to a multiple of LANES. */
ALWAYS_INLINE void product_in_place(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    const int from_memory = is_from_memory(p, n);
    const ptrdiff_t m = p->m, rows = even_part(m, from_memory ? ROWS_FROM_MEMORY : TILE_ROWS);
    const ptrdiff_t together = p->finish ? finished_rows(p) / rows * rows : m;
    const ptrdiff_t block_m = from_memory ? even_part((m + rows - 1) / rows, TILES_FROM_MEMORY) * rows : together;
    Tile t = whole_tile(p);
    for (ptrdiff_t i = 0; i < m; i += block_m) {
        const ptrdiff_t height = smaller(block_m, m - i);
        for (ptrdiff_t j = 0, columns, vectors; j < n; j += columns) {
            columns = m == 1 && !p->a_cols && n - j > (ROW_VECTORS - 1) * LANES
                          ? tile_of_row(n - j, &vectors, &t)
                          : tile_columns(rows, n - j, &vectors, &t);
            t.a_next = j == 0 ? p->a_next : NULL;
            t.b = p->b + j;
            if (p->bias) t.bias = p->bias + first + j;
            const int widest = rows == FEW_ROWS ? FEW_ROWS_VECTORS : TILE_VECTORS;
            const int asks = from_memory && height >= rows && columns == widest * LANES;
            for (ptrdiff_t h = 0; h < height; h += rows) {
                begin_at(&t, p, i + h, 0);
                end_at(&t, p, i + h, first + j);
                if (asks && h == 0) tile_from_memory(rows, vectors, &t);
                else tile_of(smaller(rows, height - h), vectors, &t);
                if (p->taken) take_lines(p, i + h, first + j, smaller(rows, height - h), columns);
            }
            finish(p, i, first + j, height, columns);
        }
    }
}

/* k == 1, as in dw of one row: each number of c is one product, so that there is nothing to keep in registers, and c is
 * written from end to end, a few vectors at a time. Rows of fewer numbers than a vector take `n` if it is not 0. */
#define AT_ONCE 4 /* vectors */
ALWAYS_INLINE void column(const int update, const ptrdiff_t narrow, const Product *p, const real *a) {
    const ptrdiff_t m = p->m, n = narrow ? narrow : p->n, a_row = p->a_row, c_row = p->c_row;
    const vec zero = vec_broadcast(0), step = vec_broadcast(-p->rate);
    const real rate = p->rate, *const b = p->b;
    real *c = p->c;
    for (ptrdiff_t i = 0; i < m; i++, c += c_row) {
        const real number = a[i * a_row];
        const vec s = vec_broadcast(number);
        ptrdiff_t j = 0;
        for (; !narrow && j + AT_ONCE * LANES <= n; j += AT_ONCE * LANES) {
            UNROLL for (int v = 0; v < AT_ONCE; v++) {
                const vec chain = vec_fma(s, vec_load(b + j + v * LANES), zero);
                vec_store(c + j + v * LANES, update ? vec_fma(step, chain, vec_load(c + j + v * LANES)) : chain);
            }
        }
        for (; !narrow && j + LANES <= n; j += LANES) {
            const vec chain = vec_fma(s, vec_load(b + j), zero);
            vec_store(c + j, update ? vec_fma(step, chain, vec_load(c + j)) : chain);
        }
        UNROLL for (; j < n; j++) {
            const real chain = real_fma(number, b[j], 0);
            c[j] = update ? real_fma(-rate, chain, c[j]) : chain;
        }
    }
}

/* b_col == 1, no bias, no a_rows. */
static NOINLINE void product_of_column(const Product *p) {
    const real *const a = p->a + (p->a_cols ? *p->a_cols * p->a_col : 0);
    switch (p->update ? -p->n : p->n) {
#define CASE(n) case n: column(0, n, p, a); break; case -n: column(1, n, p, a); break;
        CASE(1) CASE(2) CASE(3)
#undef CASE
        default:
            if (p->update) column(1, 0, p, a);
            else column(0, 0, p, a);
    }
    rectify(p, 0, 0, p->m, p->n);
    finish(p, 0, 0, p->m, p->n);
}

/* How many columns packing fills, the last ones with zeros. */
ALWAYS_INLINE ptrdiff_t filled(ptrdiff_t columns) {
    return MASKED_LOADS ? columns : (columns + LANES - 1) / LANES * LANES;
}

/* The n columns of c from `first` on; k <= BLOCK_K. One panel of b after the other meets all rows of a and stays in the
 * first-level cache meanwhile. */
#define SMALL_PANEL 32 /* rows of a panel on the stack: the smallest products need no workspace */
static NOINLINE int product_of_panels(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    ALIGNED(64) real small_panel[SMALL_PANEL * PANEL_COLUMNS];
    const int is_small = p->k <= SMALL_PANEL;
    Workspace *const memory = is_small ? NULL : workspace();
    if (!is_small && !memory) return CALL_NO_MEMORY;
    real *const panel = is_small ? small_panel : memory->b;
    const ptrdiff_t m = p->m, together = finished_rows(p);
    Tile t = whole_tile(p);
    for (ptrdiff_t j = first, columns, vectors; j < first + n; j += columns) {
        const real *const b = p->b + j * p->b_col;
        columns = tile_columns(TILE_ROWS, first + n - j, &vectors, &t);
        const int tile_packs = m >= TILE_ROWS && columns == PANEL;
        const ptrdiff_t rows = even_part(tile_packs ? m - TILE_ROWS : m, TILE_ROWS);
        t.a_next = j == first ? p->a_next : NULL;
        t.bias = p->bias ? p->bias + j : NULL;
        for (ptrdiff_t i = 0, finished = 0; i < m;) {
            const ptrdiff_t height = tile_packs && i == 0 ? TILE_ROWS : smaller(rows, m - i);
            begin_at(&t, p, i, 0);
            end_at(&t, p, i, j);
            if (tile_packs && i == 0) {
                tile_packing_b(&t, b, p->b_row, p->b_col, panel);
            } else {
                t.b = panel;
                t.b_row = PANEL;
                if (i == 0) pack(columns, filled(columns), p->k, b, p->b_col, p->b_row, panel, PANEL);
                tile_of(height, vectors, &t);
            }
            i += height;
            if (i == m || i - finished >= together) {
                finish(p, finished, j, i - finished, columns);
                finished = i;
            }
        }
    }
    return 0;
}

/* Chains so short that c takes longer than its sums: it is written row by row. */
#define SHORT_K 4
#define SHORT_COLUMNS ((ptrdiff_t)(2048 / sizeof(real)))
#define SHORT_FINISHED ((ptrdiff_t)(8192 / sizeof(real))) /* numbers that are finished together */
#define SHORT_ROWS 8 /* at least, where rows of b could be read as they lie */

enum {
    SHORT_SUMS,  /* and nothing behind them */
    SHORT_BIAS,  /* and perhaps relu */
    SHORT_SAVED, /* without a bias */
};

/* c (m, n) = a @ b; the rows of b are packed, SHORT_COLUMNS apart, and the bias behind them. Rows of c go in pairs,
 * which read b once; without another row, the last is its own pair. */
ALWAYS_INLINE void short_chains(const int k, const int behind, ptrdiff_t m, ptrdiff_t n, const Tile *t) {
    const ptrdiff_t whole = n / LANES * LANES, a_row = t->a_row, a_col = t->a_col, c_row = t->c_row;
    const vec_mask mask = vec_first(n - whole);
    const real *const b = t->b, *const bias = b + k * SHORT_COLUMNS;
    const int relu = t->relu;
    for (ptrdiff_t i = 0; i < m; i += 2) {
        real *c[2];
        const real *saved[2];
        vec s[2][SHORT_K];
        UNROLL for (int r = 0; r < 2; r++) {
            const ptrdiff_t row = r == 0 ? i : smaller(i + 1, m - 1);
            const real *const a = t->a + (t->a_rows ? t->a_rows[row] : row) * a_row;
            UNROLL for (int q = 0; q < k; q++) s[r][q] = vec_broadcast(a[q * a_col]);
            c[r] = t->c + row * c_row;
            saved[r] = behind == SHORT_SAVED ? t->saved + row * c_row : NULL;
        }
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            vec sum[2] = {vec_broadcast(0), vec_broadcast(0)};
            UNROLL for (int q = 0; q < k; q++) {
                const vec x = vec_load(b + q * SHORT_COLUMNS + j);
                UNROLL for (int r = 0; r < 2; r++) sum[r] = vec_fma(s[r][q], x, sum[r]);
            }
            UNROLL for (int r = 0; r < 2; r++) {
                if (behind == SHORT_BIAS) sum[r] = sum[r] + vec_load(bias + j);
                if (behind == SHORT_BIAS && relu) sum[r] = rectified(sum[r]);
                if (LIKELY(j < whole)) {
                    if (behind == SHORT_SAVED) sum[r] = where_positive(sum[r], vec_load(saved[r] + j));
                    vec_store(c[r] + j, sum[r]);
                } else {
                    if (behind == SHORT_SAVED) sum[r] = where_positive(sum[r], vec_load_first(saved[r] + j, mask));
                    vec_store_first(c[r] + j, sum[r], mask);
                }
            }
        }
    }
}

/* 0 < k <= SHORT_K; no update, and no bias where there is `saved`. */
static NOINLINE void product_of_short_chains(const Product *p) {
    ALIGNED(64) real b[(SHORT_K + 1) * SHORT_COLUMNS];
    const ptrdiff_t k = p->k;
    const int behind = p->saved ? SHORT_SAVED : p->bias || p->relu ? SHORT_BIAS : SHORT_SUMS;
    real *const bias = b + k * SHORT_COLUMNS;
    Tile t = whole_tile(p);
    t.b = b;
    for (ptrdiff_t j = 0, columns; j < p->n; j += columns) {
        columns = smaller(SHORT_COLUMNS, p->n - j);
        const ptrdiff_t width = (columns + LANES - 1) / LANES * LANES, together = SHORT_FINISHED / columns;
        pack(columns, width, k, p->b + j * p->b_col, p->b_col, p->b_row, b, SHORT_COLUMNS);
        if (p->bias) pack(columns, width, 1, p->bias + j, 1, 0, bias, SHORT_COLUMNS);
        for (ptrdiff_t l = 0; p->relu && !p->bias && l < width; l++) bias[l] = 0; /* changes -0 alone, as relu does */
        for (ptrdiff_t i = 0, rows; i < p->m; i += rows) {
            rows = smaller(p->m - i, together);
            begin_at(&t, p, i, 0);
            end_at(&t, p, i, j);
            switch (3 * k + behind) {
#define CASE(k, behind) case 3 * k + behind: short_chains(k, behind, rows, columns, &t); break;
#define CASES(k) CASE(k, SHORT_SUMS) CASE(k, SHORT_BIAS) CASE(k, SHORT_SAVED)
                CASES(1) CASES(2) CASES(3) CASES(4)
#undef CASES
#undef CASE
            }
            finish(p, i, j, rows, columns);
        }
    }
}

#define FEW_OF_PANEL 64 /* rows, which gain more by a panel of half as many terms, than their sums wait in c for it */

/* The n columns of c from `first` on. An update cannot wait in c for the next part of its chain: then it
 * has one. */
static NOINLINE int product_in_blocks(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    Workspace *const memory = workspace();
    if (!memory) return CALL_NO_MEMORY;
    real *const packed_b = memory->b, *const packed_a = memory->a;
    const ptrdiff_t m = p->m, k = p->k;
    const ptrdiff_t rows = even_part(m - TILE_ROWS, TILE_ROWS); /* of all tiles but the first */
    /* Where many panels read the same rows of a, these are packed if they are columns in memory, another page for each
     * term, or if they drive each other out of the first-level cache because they lie a multiple of 4 KB apart. */
    const int packs_a = (n > 4 * PANEL || packs_columns(p)) && (k <= BLOCK_K || !p->update) &&
                        (p->a_row == 1 || (p->a_col == 1 && p->a_row * (ptrdiff_t)sizeof(real) % 4096 == 0));
    /* Where far reads are slow, a panel meets all rows just after it was packed. */
    const int by_panels = are_slow(far_reads) && !packs_a;
    const ptrdiff_t block_k = p->update ? k : even_part(k, by_panels && m <= FEW_OF_PANEL ? BLOCK_K / 2 : BLOCK_K);
    const ptrdiff_t most = by_panels ? 1 : BLOCK / (block_k * PANEL);
    const ptrdiff_t block_n = even_part((n + PANEL - 1) / PANEL, most) * PANEL;
    Tile t = whole_tile(p);
    for (ptrdiff_t q = 0; q < k; q += block_k) {
        t.k = smaller(block_k, k - q);
        t.resume = q > 0;
        const int complete = q + t.k == k;
        t.relu = p->relu && complete;
        for (ptrdiff_t j = 0; j < n; j += block_n) {
            const ptrdiff_t width = smaller(block_n, n - j);
            const real *const b = p->b + q * p->b_row + (first + j) * p->b_col;
            for (ptrdiff_t i = 0, height; i < m; i += height) {
                height = i == 0 ? smaller(m, TILE_ROWS) : smaller(rows, m - i);
                begin_at(&t, p, i, q);
                t.a_row = p->a_row;
                t.a_col = p->a_col;
                const int first_packs_a = packs_a && i > 0 && height == TILE_ROWS;
                if (packs_a && !first_packs_a) pack_a(height, &t, packed_a);
                for (ptrdiff_t l = 0; l < width; l += PANEL) {
                    const ptrdiff_t columns = smaller(PANEL, width - l), vectors = (columns + LANES - 1) / LANES;
                    const real *const from = b + l * p->b_col;
                    real *const panel = packed_b + (m > height ? l * t.k : 0);
                    t.width = columns - (vectors - 1) * LANES;
                    t.b = panel;
                    t.b_row = PANEL;
                    end_at(&t, p, i, first + j + l);
                    if (!complete) t.saved = NULL;
                    t.bias = p->bias && complete ? p->bias + first + j + l : NULL;
                    const int below = l + PANEL >= width; /* where the next tile is, whose part of c comes closer */
                    const real *next = below ? p->c + (i + height) * p->c_row + first + j : t.c + PANEL;
                    for (ptrdiff_t h = below ? smaller(rows, m - i - height) : height; h > 0; h--, next += t.c_row) {
                        for (ptrdiff_t x = 0; x < PANEL; x += CACHE_LINE) PREFETCH(next + x + CACHE_LINE - 1);
                    }
                    if (i == 0 && height == TILE_ROWS && columns == PANEL) {
                        tile_packing_b(&t, from, p->b_row, p->b_col, panel);
                    } else if (l == 0 && first_packs_a && columns == PANEL) {
                        tile_packing_a(&t, packed_a);
                    } else {
                        if (i == 0) pack(columns, filled(columns), t.k, from, p->b_col, p->b_row, panel, PANEL);
                        tile_of(height, vectors, &t);
                    }
                    if (p->taken && complete) take_lines(p, i, first + j + l, height, columns);
                }
                if (complete) finish(p, i, first + j, height, width);
            }
        }
    }
    return 0;
}

/* The n <= TILE_ROWS columns of c from `first` on, as rows of c.T = b.T @ a.T: each vector holds one column of many
 * rows of c. */
static NOINLINE int product_transposed(const Product *p, ptrdiff_t first, ptrdiff_t n) {
    const int packs = p->a_row != 1 || !MASKED_LOADS;
    Workspace *const memory = packs ? workspace() : NULL;
    if (packs && !memory) return CALL_NO_MEMORY;
    real *const panel = packs ? memory->b : NULL;
    ALIGNED(64) real sums[TILE_ROWS * FEW_ROWS_VECTORS * (VECTOR_BYTES / sizeof(real))];
    ALIGNED(64) real before[sizeof sums / sizeof(real)]; /* the update */
    const ptrdiff_t m = p->m, k = p->k;
    Tile t = whole_tile(p);
    t.a_row = p->b_col;
    t.a_col = p->b_row;
    t.c = sums;
    t.c_row = FEW_ROWS_VECTORS * LANES;
    t.bias = t.saved = NULL;
    t.update = t.relu = 0;
    for (ptrdiff_t i = 0, columns, vectors; i < m; i += columns) {
        columns = tile_columns(n, m - i, &vectors, &t);
        const ptrdiff_t block_k = even_part(k, vectors <= TILE_VECTORS ? BLOCK_K : BLOCK_K / 2);
        real *c = p->c + i * p->c_row + first;
        for (ptrdiff_t q = 0; q < k; q += block_k) {
            t.k = smaller(block_k, k - q);
            t.resume = q > 0;
            t.a = p->b + first * p->b_col + q * p->b_row;
            t.b = p->a + i * p->a_row + q * p->a_col;
            t.b_row = p->a_col;
            if (p->a_row != 1 || (!MASKED_LOADS && t.width < LANES)) {
                t.b_row = vectors * LANES;
                pack(columns, filled(columns), t.k, t.b, p->a_row, p->a_col, panel, t.b_row);
                t.b = panel;
            }
            tile_of(n, vectors, &t);
        }
        for (ptrdiff_t j = 0; p->bias && j < n; j++) {
            for (ptrdiff_t l = 0; l < columns; l++) sums[j * t.c_row + l] += p->bias[first + j];
        }
        if (p->update) pack(columns, columns, n, c, p->c_row, 1, before, t.c_row);
        for (ptrdiff_t j = 0; p->update && j < n; j++) {
            real *const row = sums + j * t.c_row;
            const real *const old = before + j * t.c_row;
            for (ptrdiff_t l = 0; l < columns; l++) row[l] = real_fma(-p->rate, row[l], old[l]);
        }
        pack(n, n, columns, sums, t.c_row, 1, c, p->c_row);
        rectify(p, i, first, columns, n);
        finish(p, i, first, columns, n);
    }
    return 0;
}

GEMM_API NOINLINE void rectify(const Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns) {
    const real *saved = p->saved ? p->saved + i * p->c_row + j : NULL;
    real *c = p->c + i * p->c_row + j;
    for (; (p->relu || p->saved) && rows > 0; rows--, c += p->c_row) {
        for (ptrdiff_t l = 0; p->relu && l < columns; l++) c[l] = c[l] <= 0 ? 0 : c[l];
        for (ptrdiff_t l = 0; p->saved && l < columns; l++) c[l] = saved[l] > 0 ? c[l] : 0;
        if (p->saved) saved += p->c_row;
    }
}

GEMM_API NOINLINE void update_by(real rate, const real *sums, ptrdiff_t apart, ptrdiff_t rows, ptrdiff_t columns,
                                 real *restrict c, ptrdiff_t c_row) {
    for (; rows > 0; rows--, sums += apart, c += c_row) {
        for (ptrdiff_t l = 0; l < columns; l++) c[l] = real_fma(-rate, sums[l], c[l]);
    }
}

GEMM_API NOINLINE void add_bias(const Product *p, ptrdiff_t i, ptrdiff_t j, ptrdiff_t rows, ptrdiff_t columns) {
    const real *const bias = p->bias + j;
    real *restrict c = p->c + i * p->c_row + j;
    for (; p->bias && rows > 0; rows--, c += p->c_row) {
        for (ptrdiff_t l = 0; l < columns; l++) c[l] += bias[l];
    }
}

GEMM_API NOINLINE int sum_rows(const Product *p) {
    const real one = 1;
    const Product sums = {.m = 1, .n = p->n, .k = p->k, .a = &one, .b = p->b, .b_row = p->b_row, .b_col = p->b_col,
                          .c = p->b_sum, .c_row = p->n, .update = p->update, .rate = p->rate};
    return product_of_chains(&sums);
}

#ifdef LEAST_SUMMING
/* dw and db: whole vectors in place, where the first tile of a panel sums the rows of b, and then the rest. */
static NOINLINE int product_and_sums(const Product *p) {
    const ptrdiff_t m = p->m, above = summing_rows(m), rows = even_part(m - above, TILE_ROWS);
    Product rest = *p;
    Tile t = whole_tile(p);
    for (ptrdiff_t columns; rest.n >= LANES;
         rest.n -= columns, rest.b += columns, rest.c += columns, rest.b_sum += columns) {
        const ptrdiff_t vectors = smaller(rest.n / LANES, TILE_VECTORS);
        columns = vectors * LANES;
        t.b = rest.b;
        begin_at(&t, &rest, 0, 0);
        end_at(&t, &rest, 0, 0);
        tile_summing(above, vectors, &t, rest.b_sum);
        if (rest.taken) take_lines(&rest, 0, 0, above, columns);
        for (ptrdiff_t h = above; h < m; h += rows) {
            begin_at(&t, &rest, h, 0);
            end_at(&t, &rest, h, 0);
            tile_of(smaller(rows, m - h), vectors, &t);
            if (rest.taken) take_lines(&rest, h, 0, smaller(rows, m - h), columns);
        }
        if (rest.taken) rest.taken += columns;
    }
    return rest.n > 0 ? product_of_chains(&rest) : 0;
}
#endif

GEMM_API NOINLINE int product_of_chains(const Product *p) {
    const ptrdiff_t m = p->m, k = p->k, size = (ptrdiff_t)sizeof(real);
    const int by_index = p->a_rows || p->a_cols; /* a.T is not packed then, nor are whole vectors of b */
    ptrdiff_t n = p->n;
    if (p->b_sum) { /* which way they take changes no bit */
#ifdef LEAST_SUMMING
        const int of_tiles = k > SHORT_K && m >= LEAST_SUMMING && n >= LANES && p->b_col == 1 && !by_index;
        const int packs = m > 2 * TILE_ROWS && (is_large(m, n, k) || packs_columns(p));
        if (of_tiles && !packs && !is_from_memory(p, n)) return product_and_sums(p);
#endif
        if (sum_rows(p) != 0) return CALL_NO_MEMORY; /* just before they are needed in the cache */
        if (m <= 0) return 0;
    }
    if (m <= MOST_STREAMED && n >= 8 * LANES && p->b_col == 1 && !by_index && !p->update && product_of_few_rows(p)) {
        return 0;
    }
    if (k == 1 && p->b_col == 1 && !p->a_rows && !p->bias) {
        product_of_column(p);
        return 0;
    }
    const int short_pays = p->b_row == 1 || (p->b_col == 1 && m >= SHORT_ROWS);
    const int can_be_short = !p->a_cols && !p->update && !(p->bias && p->saved);
    if (n > PANEL && k > 0 && k <= SHORT_K && short_pays && can_be_short) {
        product_of_short_chains(p);
        return 0;
    }
    /* The last columns, where they fill little of a vector: at most three quarters, or where a.T has to be packed at
     * most half of float, an eighth of double, which is packed at half the speed. Where tiles have halves of vectors, a
     * quarter of float and none of double. */
    const ptrdiff_t few = n % LANES, of_float = HALF ? LANES / 4 : LANES / 2, of_double = HALF ? 0 : LANES / 8;
    const ptrdiff_t most = p->a_row == 1 ? LANES * 3 / 4 : FASTNN_DOUBLE ? of_double : of_float;
    if (few > 0 && few <= FEW_COLUMNS && m >= FEW_COLUMNS_ROWS && product_of_few_columns(p, n - few, few)) {
        n -= few;
        if (n == 0) return 0;
    } else if (few > 0 && few <= most && !by_index && m >= LANES && m * k >= 16 * LANES) {
        n -= few;
        if (product_transposed(p, n, few) != 0) return CALL_NO_MEMORY;
    }
    /* b is packed if its rows are not contiguous, and if it is large; without masked loads so are the last columns,
     * which fill no vector. */
    const int pays = !by_index && pays_packing(p, n) && (is_large(m, n, k) || packs_columns(p));
    const int pack_b = k > 0 && (p->b_col != 1 || pays);
    const ptrdiff_t in_place = pack_b ? 0 : MASKED_LOADS || k == 0 ? n : n / LANES * LANES;
    if (in_place > 0) product_in_place(p, 0, in_place);
    if (in_place == n) return 0;
    /* A panel, all of a and c stay in the first-level cache, or little of them leaves it. */
    const int small = k * PANEL * size <= 24 * 1024 && m * k * size <= 32 * 1024 && m * n * size <= 32 * 1024;
    if (k <= BLOCK_K && (small || n - in_place <= PANEL)) return product_of_panels(p, in_place, n - in_place);
    return product_in_blocks(p, in_place, n - in_place);
}

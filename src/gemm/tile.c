/* One tile of c, for each number of rows and vectors a function whose loops are unrolled and whose sums are registers.
 * The compiler takes longer for this file than for all others. */
#include "tile.h"
#include "pack.h"
#include "transpose.h"

/* The loop over k as it is written, and no second or third one for each condition and each stride of 1 in it: GCC finds
 * no registers for the addresses of these, and they take twice as long. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("no-unswitch-loops", "no-version-loops-for-strides")
#endif

/* How many rows of a share an address register. */
enum {
    BY_ROWS = 1,            /* a_rows: they are anywhere, and the term is counted in another register */
    BY_STRIDE = 3,          /* needs the fewest */
    BY_COLUMNS = TILE_ROWS, /* a_cols: their numbers lie beside each other */
};

/* What the last vector of a row of b has. */
enum {
    ALL_LANES,
    FIRST_LANES, /* as many as the mask says */
    HALF_LANES,  /* the same, and no more than half */
};

/* One term of all chains of a tile; x is the row of b. */
ALWAYS_INLINE void tile_term(const int rows, const int vectors, const int lanes, const int by, const vec_mask mask,
                             const real *a[TILE_ROWS], ptrdiff_t a_row, ptrdiff_t a_col, ptrdiff_t *at, const real *b,
                             vec x[ROW_VECTORS], vec sum[TILE_ROWS][ROW_VECTORS]) {
    const int last = vectors - 1;
    UNROLL for (int v = 0; v < last; v++) x[v] = vec_load(b + v * LANES);
    if (lanes == HALF_LANES) x[last] = half_load_first(b + last * LANES, mask);
    else x[last] = lanes ? vec_load_first(b + last * LANES, mask) : vec_load(b + last * LANES);
    const real *const *row = a;
    if (by == BY_ROWS) IN_ORDER(row); /* else GCC spills them to vector registers, and reads these more slowly */
    UNROLL for (int i = 0; i < rows; i++) {
        const real number = by == BY_ROWS ? row[i][*at] : a[i / by][i % by * (by == BY_STRIDE ? a_row : 1)];
        const vec s = lanes == HALF_LANES && last == 0 ? half_broadcast(number) : vec_broadcast(number);
        UNROLL for (int v = 0; v < last; v++) sum[i][v] = vec_fma(s, x[v], sum[i][v]);
        sum[i][last] = lanes == HALF_LANES ? half_fma(s, x[last], sum[i][last]) : vec_fma(s, x[last], sum[i][last]);
    }
    if (by == BY_ROWS) ++*at;
    UNROLL for (int i = 0; by != BY_ROWS && i < rows; i += by) a[i / by] += a_col;
}

/* The first of many tiles that read the same panel of b, or the same rows of a, packs them for the others: loads,
 * stores and shuffles take place beside its multiply-adds, and memory is waited for beside them. */
enum {
    READING,
    READING_HALF,      /* the same, where half of the last vector is enough */
    READING_AHEAD,     /* the same of whole vectors, and rows of b are asked for beforehand */
    COPYING_B,         /* rows of b, while they are read */
    TRANSPOSING_B,     /* columns of b, some terms before they are read */
    COPYING_A_ROWS,    /* a_col == 1: to rows that are A_APART apart, some terms before they are read */
    COPYING_A_COLUMNS, /* a_row == 1: to columns of TILE_ROWS */
};
typedef struct {
    real *to;
    const real *from;        /* term `packed` of the first row or column of several, of which the next is `apart`: */
    ptrdiff_t apart, packed; /* before it they are packed, and a multiple of SPAN or A_SPAN terms is left */
} Packing;

/* As far ahead as memory is away, in terms. Prefetches touch the last number of a line's length, since the first line
 * of what lies across lines has come with its neighbour; at the end they go on with what the next tile packs. Where far
 * reads are slow, lines come into the first-level cache, and no more are asked for than it waits for at once. */
#define AHEAD 32
#define SOON 8
#define asks(way) ((way) == READING_AHEAD || (way) == COPYING_B || (way) == COPYING_A_COLUMNS)
#define ask(ahead, address) do if ((ahead) == SOON) PREFETCH_SOON(address); else PREFETCH(address); while (0)
#define LINES_AHEAD 48 /* of several lines each, along their rows */

/* SPAN terms of LINES columns, a line of each, are transposed at a time: where columns lie a power of two apart, more
 * lines would drive each other out of the first-level cache. All PANEL columns take SPAN terms of the tile. This needs
 * 32 registers; with 16, packing beforehand is as fast. */
#if defined(GROUP) && TILE_ROWS == 12
#define SPAN CACHE_LINE
#define LINES 4
#define LINES_TERMS (SPAN * LINES / PANEL)

/* to (SPAN, LINES) = the transpose of from (LINES, SPAN), beside one of LINES_TERMS terms: double takes part in each,
 * float, whose shuffles are twice as many, is faster all at once. */
ALWAYS_INLINE void transpose_lines(const int term, const real *from, ptrdiff_t from_row, real *to) {
#if FASTNN_DOUBLE
    const int part = SPAN / LINES_TERMS;
    UNROLL for (int p = term * part; p < (term + 1) * part; p += CHUNK) {
        const real *row[GROUP];
        UNROLL for (int i = 0; i < GROUP; i++) row[i] = from + i * from_row + p;
        pack_chunks(GROUP, CHUNK, row, to + p * PANEL, PANEL);
    }
#else
    /* A register holds 2 chunks of one row: multiply-adds keep the units busy that would blend, but not stores. */
    UNROLL for (int p = 0; term == 0 && p < SPAN; p += GROUP, to += GROUP * PANEL) {
        group_single row[CHUNK];
        group_double column[CHUNK];
        const real *line = from + p;
        UNROLL for (int i = 0; i < CHUNK; i++, line += from_row) {
            IN_ORDER(line);
            row[i] = _mm256_loadu_ps(line);
        }
        transpose(row, column);
        UNROLL for (int q = 0; q < CHUNK; q++) {
            _mm_storeu_pd((double *)(to + q * PANEL), _mm256_castpd256_pd128(column[q]));
            _mm_storeu_pd((double *)(to + (CHUNK + q) * PANEL), _mm256_extractf128_pd(column[q], 1));
        }
    }
#endif
}
#endif

#define A_SPAN 16                      /* terms in which up to 16 rows of a are copied, one each */

/* The chains of one tile over all of k; it asks for what is so many terms ahead. */
ALWAYS_INLINE void tile_sums(const int rows, const int vectors, const int lanes, const int way, const int by,
                             const int ahead, const vec_mask mask, const Tile *t, const Packing *packing,
                             vec sum[TILE_ROWS][ROW_VECTORS]) {
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    const real *a[TILE_ROWS], *b = t->b;
    real *to = way == READING || way == READING_AHEAD ? NULL : packing->to;
    const real *next = way == COPYING_A_COLUMNS ? t->a + ahead * a_col : b + ahead * b_row;
    vec x[ROW_VECTORS];
    ptrdiff_t p = t->k, at = 0;
    UNROLL for (int i = 0; i < rows; i += by) a[i / by] = t->a + (by == BY_ROWS ? t->a_rows[i] : i) * a_row;
#ifdef SPAN
    if (way == TRANSPOSING_B) {
        const real *from = packing->from;
        const ptrdiff_t from_row = packing->apart, packed = packing->packed;
        ptrdiff_t lines_ahead = LINES_AHEAD;
        to += packed * PANEL;
        for (ptrdiff_t column = 0; p > packed; p -= LINES_TERMS) {
            if (p == packed + LINES_AHEAD) lines_ahead += PANEL * from_row - t->k; /* the next panel */
            UNROLL for (int term = 0; term < LINES_TERMS; term++, b += PANEL) {
                tile_term(rows, vectors, lanes, by, mask, a, a_row, a_col, &at, b, x, sum);
                for (ptrdiff_t l = 0; l < PANEL; l += CACHE_LINE) {
                    PREFETCH_TO_WRITE(b + (packed + SPAN / 2) * PANEL + l);
                }
                transpose_lines(term, from, from_row, to);
            }
            UNROLL for (int i = 0; i < LINES; i++) PREFETCH(from + i * from_row + lines_ahead);
            from += LINES * from_row;
            to += LINES;
            column += LINES;
            if (column == PANEL) {
                column = 0;
                from += SPAN - PANEL * from_row;
                to += (SPAN - 1) * PANEL;
            }
        }
    }
#endif
    if (way == COPYING_A_ROWS) {
        const real *from = packing->from;
        const ptrdiff_t from_row = packing->apart, packed = packing->packed;
        to += packed;
        for (; p > packed; p -= A_SPAN, from += A_SPAN, to += A_SPAN) {
            const ptrdiff_t left = p - packed;
            const ptrdiff_t lines_ahead = left > LINES_AHEAD ? LINES_AHEAD : LINES_AHEAD - t->k + rows * from_row;
            for (int i = 0; i < A_SPAN; i++, b += b_row) {
                tile_term(rows, vectors, lanes, by, mask, a, a_row, a_col, &at, b, x, sum);
                if (i >= rows) continue;
                const real *const row = from + i * from_row;
                for (ptrdiff_t l = 0; l < A_SPAN; l += LANES) vec_store(to + i * A_APART + l, vec_load(row + l));
                PREFETCH(row + lines_ahead);
            }
        }
    }
    for (; p > 0; p--, b += b_row) {
        if (by == BY_COLUMNS) {
            a[0] = t->a + t->a_cols[t->k - p] * a_col;
            if (t->a_next) PREFETCH(t->a + t->a_next[t->k - p] * a_col + rows - 1);
        }
        if (way == COPYING_A_COLUMNS) {
            if (p == ahead) next = t->a + rows;
            ask(ahead, next);
            ask(ahead, next + rows - 1);
            next += a_col;
            memcpy(to, a[0], rows * sizeof(real));
            to += rows;
        }
        tile_term(rows, vectors, lanes, by, mask, a, a_row, a_col, &at, b, x, sum);
        if (way == COPYING_B || way == READING_AHEAD) {
            if (p == ahead) next = t->b + vectors * LANES;
            for (ptrdiff_t l = 0; l < vectors * LANES; l += CACHE_LINE) ask(ahead, next + l + CACHE_LINE - 1);
            next += b_row;
        }
        if (way == COPYING_B) {
            UNROLL for (int v = 0; v < vectors; v++) vec_store(to + v * LANES, x[v]);
            to += PANEL;
        }
    }
}

/* A masked load takes 1 % of a large tile: of a second loop, for whole vectors, these are worth the code. */
ALWAYS_INLINE int pays_a_loop(const int rows, const int vectors, const int by) {
    return vectors == TILE_VECTORS && rows >= (by == BY_STRIDE ? 8 : TILE_ROWS);
}

ALWAYS_INLINE void tile(const int rows, const int vectors, const int way, const int by, const Tile *t,
                        const Packing *packing) {
    const int last = vectors - 1, whole = way == READING_AHEAD; /* no more than whole chains */
    const vec_mask mask = vec_first(t->width);
    const ptrdiff_t c_row = t->c_row;
    real *c = t->c;
    vec sum[TILE_ROWS][ROW_VECTORS];

    if (!whole && t->resume) {
        const real *start = c;
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < last; v++) sum[i][v] = vec_load(start + v * LANES);
            sum[i][last] = vec_load_first(start + last * LANES, mask);
            start += c_row;
            IN_ORDER(start);
        }
    } else {
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = vec_broadcast(0);
    }

    if (way == READING_HALF) tile_sums(rows, vectors, HALF_LANES, READING, by, 0, mask, t, NULL, sum);
    else if (asks(way) && (are_slow(far_reads) || (way == READING_AHEAD && rows > 8))) /* these tiles for them alone */
        tile_sums(rows, vectors, ALL_LANES, way, by, SOON, mask, t, packing, sum);
    else if (way != READING) tile_sums(rows, vectors, ALL_LANES, way, by, AHEAD, mask, t, packing, sum);
    else if ((MASKED_LOADS == 2 && !pays_a_loop(rows, vectors, by)) || (MASKED_LOADS && t->width < LANES))
        tile_sums(rows, vectors, FIRST_LANES, READING, by, 0, mask, t, NULL, sum);
    else tile_sums(rows, vectors, ALL_LANES, READING, by, 0, mask, t, NULL, sum);

    if (by != BY_COLUMNS && t->bias) {
        UNROLL for (int v = 0; v < vectors; v++) {
            const vec bias = v < last ? vec_load(t->bias + v * LANES) : vec_load_first(t->bias + v * LANES, mask);
            UNROLL for (int i = 0; i < rows; i++) sum[i][v] = sum[i][v] + bias;
        }
    }
    if (GEMM_RECTIFIES && by != BY_COLUMNS && t->relu) {
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = rectified(sum[i][v]);
    }
    if (GEMM_RECTIFIES && by == BY_STRIDE && !whole && t->saved) {
        const real *saved = t->saved;
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < last; v++) sum[i][v] = where_positive(sum[i][v], vec_load(saved + v * LANES));
            sum[i][last] = where_positive(sum[i][last], vec_load_first(saved + last * LANES, mask));
            saved += c_row;
            IN_ORDER(saved);
        }
    }
    if (by != BY_ROWS && !whole && t->update) {
        const vec step = vec_broadcast(-t->rate);
        const real *start = c;
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < last; v++) sum[i][v] = vec_fma(step, sum[i][v], vec_load(start + v * LANES));
            sum[i][last] = vec_fma(step, sum[i][last], vec_load_first(start + last * LANES, mask));
            start += c_row;
            IN_ORDER(start);
        }
    }
    if (whole || LIKELY(t->width == LANES)) { /* Zen 4 stores a whole vector twice as fast as a masked one */
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < vectors; v++) vec_store(c + v * LANES, sum[i][v]);
            c += c_row;
            IN_ORDER(c);
        }
    } else {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < last; v++) vec_store(c + v * LANES, sum[i][v]);
            vec_store_first(c + last * LANES, sum[i][last], mask);
            c += c_row;
            IN_ORDER(c);
        }
    }
}

#if HALVES
/* With fewer rows, chains of half vectors would wait for themselves. */
#define LEAST_HALVES 8
static NOINLINE void tile_of_halves(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) {
    switch (rows * TILE_VECTORS + vectors) {
#define SHAPE(rows, vectors) ((rows) * TILE_VECTORS + (vectors))
#define CASE(rows, vectors) case SHAPE(rows, vectors): tile(rows, vectors, READING_HALF, BY_STRIDE, t, NULL); break;
#define CASES(rows) CASE(rows, 1) CASE(rows, 2)
        CASES(8) CASES(9) CASES(10) CASES(11) CASES(12)
#undef CASES
#undef CASE
#undef SHAPE
    }
}
#endif

GEMM_API NOINLINE void tile_of(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) {
    Tile apart;
    if (t->a_rows && rows <= 2) { /* one or two rows lie a stride apart, wherever they are */
        apart = *t;
        apart.a += t->a_rows[0] * t->a_row;
        apart.a_row *= t->a_rows[rows - 1] - t->a_rows[0];
        apart.a_rows = NULL;
        t = &apart;
    }
#if HALVES
    if (t->width <= HALF && rows >= LEAST_HALVES && vectors <= TILE_VECTORS && !t->a_rows && !t->a_cols) {
        tile_of_halves(rows, vectors, t);
        return;
    }
#endif
#define SHAPE(rows, vectors, by) (((vectors) * (TILE_ROWS + 1) + (rows)) * (TILE_ROWS + 1) + (by))
#define CASE_BY(rows, vectors, by) case SHAPE(rows, vectors, by): tile(rows, vectors, READING, by, t, NULL); break;
#define CASE_FEW(rows, vectors) CASE_BY(rows, vectors, BY_STRIDE) CASE_BY(rows, vectors, BY_COLUMNS)
#define CASE(rows, vectors) CASE_BY(rows, vectors, BY_ROWS) CASE_FEW(rows, vectors)
#define CASES(rows) CASE(rows, 1) CASE(rows, 2)
    switch (SHAPE(rows, vectors, t->a_rows ? BY_ROWS : t->a_cols ? BY_COLUMNS : BY_STRIDE)) {
        CASE_FEW(1, 1) CASE_FEW(1, 2) CASE_FEW(1, 4) CASE_BY(1, 8, BY_STRIDE)
        CASE_FEW(2, 1) CASE_FEW(2, 2) CASE_FEW(2, 4)
        CASES(3) CASES(4) CASES(5) CASES(6)
#if TILE_ROWS == 6
        CASE_BY(3, THREE_ROWS_VECTORS, BY_STRIDE)
#else
        CASES(7) CASES(8) CASES(9) CASES(10) CASES(11) CASES(12)
#endif
    }
#undef CASES
#undef CASE
#undef CASE_FEW
#undef CASE_BY
#undef SHAPE
}

#ifdef LEAST_SUMMING
/* Additions have units of their own, or little else to do. */
ALWAYS_INLINE void summing(const int rows, const int vectors, const Tile *t, real *b_sum) {
    const vec step = vec_broadcast(-t->rate);
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row, c_row = t->c_row;
    const real *a[TILE_ROWS], *b = t->b;
    real *to = b_sum, *c = t->c;
    vec x[ROW_VECTORS], sum[TILE_ROWS][ROW_VECTORS], of_b[TILE_VECTORS];
    ptrdiff_t at = 0;
    UNROLL for (int i = 0; i < rows; i += BY_STRIDE) a[i / BY_STRIDE] = t->a + i * a_row;
    UNROLL for (int v = 0; v < vectors; v++) {
        of_b[v] = vec_broadcast(0);
        UNROLL for (int i = 0; i < rows; i++) sum[i][v] = vec_broadcast(0);
    }
    for (ptrdiff_t p = t->k; p > 0; p--, b += b_row) {
        tile_term(rows, vectors, ALL_LANES, BY_STRIDE, vec_first(LANES), a, a_row, a_col, &at, b, x, sum);
        UNROLL for (int v = 0; v < vectors; v++) of_b[v] = of_b[v] + x[v];
    }
    UNROLL for (int i = -1; i < rows; i++) {
        vec *const from = i < 0 ? of_b : sum[i];
        UNROLL for (int v = 0; v < vectors; v++) {
            if (t->update) from[v] = vec_fma(step, from[v], vec_load(to + v * LANES));
            vec_store(to + v * LANES, from[v]);
        }
        to = c;
        c += c_row;
        IN_ORDER(c);
    }
}

GEMM_API NOINLINE void tile_summing(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t, real *b_sum) {
    switch (rows * TILE_VECTORS + vectors) {
#define CASE(rows, vectors) case (rows) * TILE_VECTORS + (vectors): summing(rows, vectors, t, b_sum); break;
        CASE(LEAST_SUMMING, 1) CASE(LEAST_SUMMING, 2) CASE(TILE_ROWS, 1) CASE(TILE_ROWS, 2)
#undef CASE
    }
}
#endif

GEMM_API NOINLINE void tile_from_memory(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) {
    switch (vectors == TILE_VECTORS ? rows : 0) {
#define CASE(rows) case rows: tile(rows, TILE_VECTORS, READING_AHEAD, BY_STRIDE, t, NULL); break;
        case 0: tile(FEW_ROWS, FEW_ROWS_VECTORS, READING_AHEAD, BY_STRIDE, t, NULL); break;
        CASE(3) CASE(4) CASE(5) CASE(6)
#if TILE_ROWS > 6
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
    }
}

/* TILE_ROWS rows and PANEL columns. */
static NOINLINE void first_tile(int way, const Tile *t, const Packing *packing) {
    switch (way) {
#define CASE(way) case way: tile(TILE_ROWS, TILE_VECTORS, way, BY_STRIDE, t, packing); break;
        CASE(COPYING_B) CASE(COPYING_A_ROWS) CASE(COPYING_A_COLUMNS)
#ifdef SPAN
        CASE(TRANSPOSING_B)
#endif
#undef CASE
    }
}

GEMM_API NOINLINE void tile_packing_b(Tile *t, const real *b, ptrdiff_t b_row, ptrdiff_t b_col, real *panel) {
    Packing packing = {panel, b, b_col, 0};
    t->b = panel;
    t->b_row = PANEL;
    if (b_col == 1) {
        t->b = b;
        t->b_row = b_row;
        first_tile(COPYING_B, t, &packing);
        return;
    }
#ifdef SPAN
    if (b_row == 1 && t->k >= 2 * SPAN) {
        packing.packed = SPAN + t->k % SPAN;
        packing.from = b + packing.packed;
        pack(PANEL, PANEL, packing.packed, b, b_col, b_row, panel, PANEL);
        first_tile(TRANSPOSING_B, t, &packing);
        return;
    }
#endif
    pack(PANEL, PANEL, t->k, b, b_col, b_row, panel, PANEL);
    tile_of(TILE_ROWS, TILE_VECTORS, t);
}

/* The tiles that follow read the packed rows of a. */
ALWAYS_INLINE void read_packed_a(Tile *t, const real *packed) {
    t->a = packed;
    t->a_row = t->a_col == 1 ? A_APART : 1;
    if (t->a_col != 1) t->a_col = TILE_ROWS;
}

GEMM_API void tile_packing_a(Tile *t, real *packed) {
    const ptrdiff_t terms = t->a_col == 1 ? smaller(A_SPAN + t->k % A_SPAN, t->k) : 0;
    const Packing packing = {packed, t->a + terms, t->a_row, terms};
    if (t->a_col == 1) {
        pack(terms, terms, TILE_ROWS, t->a, 1, t->a_row, packed, A_APART);
        read_packed_a(t, packed);
        first_tile(COPYING_A_ROWS, t, &packing);
    } else {
        first_tile(COPYING_A_COLUMNS, t, &packing);
        read_packed_a(t, packed);
    }
}

GEMM_API void pack_a(ptrdiff_t rows, Tile *t, real *packed) {
    if (t->a_col == 1) pack(t->k, t->k, rows, t->a, 1, t->a_row, packed, A_APART);
    else pack(rows, rows, t->k, t->a, 1, t->a_col, packed, TILE_ROWS);
    read_packed_a(t, packed);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

/* A product block by block of its terms, and what comes before it and after it: the sums of the rows of b, dx of one
 * row as the product of a column, and the call of what finishes a rectangle. */
#include "gemm.h"
#include "products.h"
#include "vectors.h"
#include "workspace.h"

ALWAYS_INLINE int product(const Product *p, int dots) {
#if !FASTNN_DOUBLE
    if (p->bf16) return product_of_pairs(p);
#endif
    if (p->packed) return product_of_packed(p);
    return dots ? product_of_dots(p) : product_of_chains(p);
}

/* One block of terms. Which way it takes follows from its own k, so that it has the same bits wherever it stands. */
static NOINLINE int product_of_block(const Product *p) {
    const int dots = !p->bf16 && p->n <= DOT_COLUMNS && p->a_col == 1 && p->k >= DOT_K * p->n;
    if (p->b_sum && (dots || p->bf16)) {
        const int status = sum_rows(p);
        if (status != 0 || p->m <= 0) return status;
    }
    if (p->one_row && !p->bf16 && p->a_col == 1 && p->b_row == 1 && p->k >= DOT_K && !p->bias) {
        Product column = *p; /* c.T = b.T @ a.T, whichever columns of c these are */
        column.m = p->n;
        column.n = 1;
        column.a = p->b;
        column.a_row = p->b_col;
        column.b = p->a;
        column.c_row = 1;
        column.finish = NULL;
        column.saved = NULL;
        column.relu = 0;
        const int status = product_of_dots(&column);
        if (status == 0) rectify(p, 0, 0, 1, p->n);
        if (status == 0) finish(p, 0, 0, 1, p->n);
        return status;
    }
    if (p->finish && p->c_row == p->n && p->m * p->n <= 32 * 1024 / (ptrdiff_t)sizeof(real)) {
        Product unfinished = *p;
        unfinished.finish = NULL;
        const int status = product(&unfinished, dots);
        if (status == 0) finish(p, 0, 0, p->m, p->n);
        return status;
    }
    return product(p, dots);
}

/* The sums of blocks are added one after the other, rectangle by rectangle of c: in c, or, where c is what they update,
 * beside it. */
static NOINLINE int sum_of_blocks(const Product *p) {
    Workspace *const memory = workspace();
    if (!memory) return CALL_NO_MEMORY;
    const ptrdiff_t m = p->m, few = p->n < RECTANGLE_ROWS;
    const ptrdiff_t rows = even_part(m, few ? RECTANGLE / p->n - 1 : RECTANGLE_ROWS), widest = RECTANGLE / (rows + 1);
    const ptrdiff_t panel = p->packed ? PACKED_COLUMNS : PANEL;
    const ptrdiff_t fit = p->n > widest ? (widest - DOT_COLUMNS) / panel : 1; /* beside few columns, none would */
    const ptrdiff_t panels = even_part((p->n + panel - 1) / panel, fit);
    ptrdiff_t i = 0;
    do { /* without rows, too: there are sums of the rows of b */
        const ptrdiff_t height = smaller(rows, m - i);
        for (ptrdiff_t j = 0, width; j < p->n; j += width) {
            width = p->n - j <= widest ? p->n - j : panels * panel; /* few columns more would be dot products */
            const ptrdiff_t apart = p->update ? width : p->c_row;
            real *const c = p->c + i * p->c_row + j, *const total = p->update ? memory->totals : c;
            real *const b_sum = p->b_sum && i == 0 ? p->b_sum + j : NULL;
            real *const b_total = p->update ? total + height * width : b_sum;
            Product part = *p;
            part.m = height;
            part.n = width;
            part.bias = part.saved = NULL;
            part.taken = NULL;
            part.finish = NULL;
            part.update = part.relu = 0;
            for (ptrdiff_t q = 0; q == 0 || q < p->k; q += SUM_BLOCK) {
                const int starts = q == 0 && !p->resume;
                part.k = smaller(SUM_BLOCK, p->k - q);
                part.a = p->a + (p->a_rows ? 0 : i * p->a_row) + (p->a_cols ? 0 : q * p->a_col);
                part.b = p->b + q * p->b_row + j * p->b_col;
                if (p->a_rows) part.a_rows = p->a_rows + i;
                if (p->a_cols) part.a_cols = p->a_cols + q;
                if (p->a_next) part.a_next = p->a_next + q;
                part.c = starts ? total : memory->sums;
                part.c_row = starts ? apart : width;
                part.b_sum = !b_sum ? NULL : starts ? b_total : memory->sums + height * width;
                if (product_of_block(&part) != 0) return CALL_NO_MEMORY;
                if (!starts) update_by(-1, memory->sums, width, height, width, total, apart);
                if (!starts && b_sum) update_by(-1, part.b_sum, 0, 1, width, b_total, 0);
            }
            if (p->update) update_by(p->rate, total, width, height, width, c, p->c_row);
            if (p->update && b_sum) update_by(p->rate, b_total, 0, 1, width, b_sum, 0);
            add_bias(p, i, j, height, width);
            rectify(p, i, j, height, width);
            finish(p, i, j, height, width);
        }
        i += rows;
    } while (i < m);
    return 0;
}

GEMM_API int gemm(const Product *p) {
    if (p->n <= 0 || (p->m <= 0 && !p->b_sum)) return 0;
#if FASTNN_DOUBLE
    if (p->bf16) return product_of_words(p);
#endif
    return p->k <= SUM_BLOCK && !p->resume ? product_of_block(p) : sum_of_blocks(p);
}

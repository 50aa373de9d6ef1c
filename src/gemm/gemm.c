/* What comes before the product and after it: the sums of the rows of b, dx of one row as the product of a column,
 * updates whose chains have to wait beside c, and the call of what finishes a rectangle. */
#include "gemm.h"
#include "products.h"
#include "vectors.h"
#include "workspace.h"

ALWAYS_INLINE int product(const Product *p, int dots) {
#if !FASTNN_DOUBLE
    if (p->bf16) return product_of_pairs(p);
#endif
    return dots ? product_of_dots(p) : product_of_chains(p);
}

/* An update whose chains are longer than a block: they wait in a rectangle beside c. */
static NOINLINE int update_in_rectangles(const Product *p, int dots) {
    Workspace *const memory = workspace();
    if (!memory) return CALL_NO_MEMORY;
    for (ptrdiff_t i = 0; i < p->m; i += RECTANGLE_ROWS) {
        for (ptrdiff_t j = 0; j < p->n; j += RECTANGLE_COLUMNS) {
            Product part = *p;
            real *c = p->c + i * p->c_row + j;
            part.m = smaller(RECTANGLE_ROWS, p->m - i);
            part.n = smaller(RECTANGLE_COLUMNS, p->n - j);
            part.a += i * p->a_row;
            part.b += j * p->b_col;
            part.c = memory->chains;
            part.c_row = RECTANGLE_COLUMNS;
            part.update = 0;
            if (product(&part, dots) != 0) return CALL_NO_MEMORY;
            for (ptrdiff_t h = 0; h < part.m; h++, c += p->c_row) {
                const real *const row = memory->chains + h * RECTANGLE_COLUMNS;
                for (ptrdiff_t l = 0; l < part.n; l++) c[l] = real_fma(-p->rate, row[l], c[l]);
            }
        }
    }
    return 0;
}

GEMM_API int gemm(const Product *p) {
    const int dots = !p->bf16 && p->n <= DOT_COLUMNS && p->a_col == 1 && p->k >= DOT_K * p->n;
    if (p->n <= 0) return 0;
    if (p->b_sum) { /* a row of ones @ b, just before its rows are needed in the cache */
        const real one = 1;
        const Product sums = {.m = 1, .n = p->n, .k = p->k, .a = &one, .b = p->b, .b_row = p->b_row, .b_col = p->b_col,
                              .c = p->b_sum, .c_row = p->n, .resume = p->resume, .update = p->update,
                              .rate = p->rate};
        const int waits = p->update && p->k > BLOCK / PANEL;
        const int status = waits ? update_in_rectangles(&sums, 0) : product_of_chains(&sums);
        if (status != 0) return status;
    }
    if (p->m <= 0) return 0;
    if (p->one_row && !p->bf16 && p->a_col == 1 && p->b_row == 1 && p->k >= DOT_K && !p->bias && !p->update) {
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
    if (p->update && p->k > (p->bf16 ? BLOCK_K : dots ? DOT_BLOCK : BLOCK / PANEL)) return update_in_rectangles(p, dots);
    if (p->finish && p->c_row == p->n && p->m * p->n <= 32 * 1024 / (ptrdiff_t)sizeof(real)) {
        Product unfinished = *p;
        unfinished.finish = NULL;
        const int status = product(&unfinished, dots);
        if (status == 0) finish(p, 0, 0, p->m, p->n);
        return status;
    }
    return product(p, dots);
}

/* What comes before the product and after it: the sums of the rows of b, dx of one row as the product of a column,
 * updates whose chains have to wait beside c, and the call of what finishes a rectangle. */
#include "gemm.h"
#include "products.h"
#include "vectors.h"

ALWAYS_INLINE void product(const Product *p, int dots) {
    if (dots) product_of_dots(p);
    else product_of_chains(p);
}

/* An update whose chains are longer than a block: they wait in a rectangle beside c. */
#define RECTANGLE_ROWS 64
#define RECTANGLE_COLUMNS 128
static NOINLINE void update_in_rectangles(const Product *p, int dots) {
    ALIGNED(64) real chains[RECTANGLE_ROWS * RECTANGLE_COLUMNS];
    for (ptrdiff_t i = 0; i < p->m; i += RECTANGLE_ROWS) {
        for (ptrdiff_t j = 0; j < p->n; j += RECTANGLE_COLUMNS) {
            Product part = *p;
            real *c = p->c + i * p->c_row + j;
            part.m = smaller(RECTANGLE_ROWS, p->m - i);
            part.n = smaller(RECTANGLE_COLUMNS, p->n - j);
            part.a += i * p->a_row;
            part.b += j * p->b_col;
            part.c = chains;
            part.c_row = RECTANGLE_COLUMNS;
            part.update = 0;
            product(&part, dots);
            for (ptrdiff_t h = 0; h < part.m; h++, c += p->c_row) {
                const real *const row = chains + h * RECTANGLE_COLUMNS;
                for (ptrdiff_t l = 0; l < part.n; l++) c[l] = real_fma(-p->rate, row[l], c[l]);
            }
        }
    }
}

GEMM_API void gemm(const Product *p) {
    const int dots = p->n <= DOT_COLUMNS && p->a_col == 1 && p->k >= DOT_K * p->n;
    if (p->n <= 0) return;
    if (p->b_sum) { /* a row of ones @ b, just before its rows are needed in the cache */
        const real one = 1;
        const Product sums = {.m = 1, .n = p->n, .k = p->k, .a = &one, .b = p->b, .b_row = p->b_row, .b_col = p->b_col,
                              .c = p->b_sum, .c_row = p->n, .update = p->update, .rate = p->rate};
        if (p->update && p->k > BLOCK / PANEL) update_in_rectangles(&sums, 0);
        else product_of_chains(&sums);
    }
    if (p->m <= 0) return;
    if (p->one_row && p->a_col == 1 && p->b_row == 1 && p->k >= DOT_K && !p->bias && !p->update) {
        Product column = *p; /* c.T = b.T @ a.T, whichever columns of c these are */
        column.m = p->n;
        column.n = 1;
        column.a = p->b;
        column.a_row = p->b_col;
        column.b = p->a;
        column.c_row = 1;
        column.finish = NULL;
        product_of_dots(&column);
        finish(p, 0, 0, 1, p->n);
        return;
    }
    if (p->update && p->k > (dots ? DOT_BLOCK : BLOCK / PANEL)) {
        update_in_rectangles(p, dots);
    } else if (p->finish && p->c_row == p->n && p->m * p->n <= 32 * 1024 / (ptrdiff_t)sizeof(real)) {
        Product unfinished = *p;
        unfinished.finish = NULL;
        product(&unfinished, dots);
        finish(p, 0, 0, p->m, p->n);
    } else {
        product(p, dots);
    }
}

/* A product in bfloat16 by instructions that this processor may lack: compiled with bf16_instructions.h and sources of
 * src/gemm. What only products in float32 reach is left out, because its tiles take most of that time. */
#include "gemm/bf16_pack.h"
#include "gemm/products.h"
#include <stdlib.h>

int product_of_few_columns(const Product *p, ptrdiff_t first, ptrdiff_t n) { abort(); }
int product_of_few_rows(const Product *p) { abort(); }
int product_of_dots(const Product *p) { abort(); }
int product_of_packed(const Product *p) { abort(); }
void tile_of(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) { abort(); }
void tile_from_memory(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t) { abort(); }
void tile_summing(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t, real *b_sum) { abort(); }
void tile_packing_a(Tile *t, real *packed) { abort(); }
void tile_packing_b(Tile *t, const real *b, ptrdiff_t b_row, ptrdiff_t b_col, real *panel) { abort(); }
void pack_a(ptrdiff_t rows, Tile *t, real *packed) { abort(); }

int product(int native, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
            const int64_t *a_rows, const int64_t *a_cols, const real *b, ptrdiff_t b_row, ptrdiff_t b_col, int packed,
            const real *bias, const real *rate, real *c) {
    const Product p = {
        .m = m, .n = n, .k = k, .a = a, .a_row = a_row, .a_col = a_col, .a_rows = a_rows, .a_cols = a_cols, .b = b,
        .b_row = b_row, .b_col = b_col, .packed = packed, .bias = bias, .update = rate != NULL,
        .rate = rate ? *rate : 0, .c = c, .c_row = n, .bf16 = 1,
    };
    bf16_native = native;
    const int status = gemm(&p);
    if (registers_in_use) abort();
    return status;
}

/* A product whose b was packed beforehand: tiles read its panels, or parts of these, where they lie. */
#include "products.h"
#include "vectors.h"
#include "workspace.h"

#define FEW_OF_BLOCK 64 /* rows: the first tile waits for memory, for which half a block leaves the cache less full */

GEMM_API NOINLINE int product_of_packed(const Product *p) {
    const ptrdiff_t m = p->m, n = p->n, k = p->k;
    const int one = m <= TILE_ROWS; /* tile reads each panel: from memory, as a rule, and all of its terms at once */
    const int packs_a = !one && p->a_row * (ptrdiff_t)sizeof(real) % 4096 == 0; /* else they drive each other out */
    Workspace *const memory = packs_a ? workspace() : NULL;
    if (packs_a && !memory) return CALL_NO_MEMORY;
    const ptrdiff_t rows = even_part(m, TILE_ROWS), block_k = one ? k : even_part(k, BLOCK_K);
    const ptrdiff_t block = m <= FEW_OF_BLOCK ? BLOCK / 2 : BLOCK, most = block / (block_k > 0 ? block_k * PANEL : 1);
    const ptrdiff_t block_n = even_part((n + PANEL - 1) / PANEL, most) * PANEL;
    Tile t = whole_tile(p);
    ptrdiff_t q = 0;
    do { /* without terms, too */
        t.k = smaller(block_k, k - q);
        t.resume = q > 0;
        const int complete = q + t.k == k;
        t.relu = p->relu && complete;
        for (ptrdiff_t j = 0; j < n; j += block_n) {
            const ptrdiff_t width = smaller(block_n, n - j);
            for (ptrdiff_t i = 0; i < m; i += rows) {
                const ptrdiff_t height = smaller(rows, m - i);
                begin_at(&t, p, i, q);
                t.a_row = p->a_row;
                t.a_col = p->a_col;
                if (packs_a) pack_a(height, &t, memory->a);
                for (ptrdiff_t l = j; l < j + width; l += PANEL) {
                    const ptrdiff_t columns = smaller(PANEL, n - l), vectors = (columns + LANES - 1) / LANES;
                    const ptrdiff_t at = l % PACKED_COLUMNS;
                    t.width = columns - (vectors - 1) * LANES;
                    t.b = p->b + (l - at) * p->b_col + q * PACKED_COLUMNS + at;
                    t.bias = p->bias && complete ? p->bias + l : NULL;
                    end_at(&t, p, i, l);
                    /* The first tile has the panel come from memory. */
                    const int asks = i == 0 && !t.resume && columns == PANEL && height > FEW_ROWS;
                    if (asks) tile_from_memory(height, vectors, &t);
                    else tile_of(height, vectors, &t);
                }
                if (complete) finish(p, i, j, height, width);
            }
        }
        q += block_k;
    } while (q < k);
    return 0;
}

/* One tile of c in bfloat16, by the matrix registers of AMX.
 *
 * The instruction (TDPBF16PS) takes up to 16 pairs of each chain at once. It sums their even terms and their odd terms
 * apart, as chains of multiply-adds from 0 on, adds the two, and adds that to the chain; results that are subnormal
 * become 0, whatever the mode of the processor. These are other bits than those of bf16_tile.c, but do not depend on
 * tiles or threads either, since chains go by 16 pairs from their beginning. */
#include "bf16_pack.h"
#include "vectors.h"

#if !FASTNN_DOUBLE && BF16_INSTRUCTION && KNOWS_AMX
#define WITH_AMX __attribute__((target("amx-tile,amx-bf16")))
#define PAIRS 16 /* of a register: rows of b, columns of a */
/* The compiler takes instructions of registers for what does not touch memory. */
#define MEMORY_IS_TOUCHED() __asm__ volatile("" ::: "memory")

/* The registers: of each kind, a second one for the second vector; the last are of the pairs beyond the last 16. */
#define SUMS 0
#define SUMS_BESIDE 1
#define A 2
#define B 3
#define B_BESIDE 4
#define LAST_A 5
#define LAST_B 6
#define LAST_B_BESIDE 7

/* As LDTILECFG reads it. */
typedef struct {
    uint8_t palette, begin, unused[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} Shapes;

static void shape(Shapes *shapes, int of, ptrdiff_t rows, ptrdiff_t words) {
    shapes->rows[of] = (uint8_t)rows;
    shapes->row_bytes[of] = (uint16_t)(words * sizeof(real));
}

static NOINLINE WITH_AMX void configure(ptrdiff_t rows, ptrdiff_t vectors, ptrdiff_t width, ptrdiff_t last) {
    Shapes shapes = {.palette = 1};
    shape(&shapes, A, rows, PAIRS);
    if (last > 0) shape(&shapes, LAST_A, rows, last);
    for (int v = 0; v < TILE_VECTORS && v < vectors; v++) {
        const ptrdiff_t columns = v < vectors - 1 ? LANES : width;
        shape(&shapes, SUMS + v, rows, columns);
        shape(&shapes, B + v, PAIRS, columns);
        if (last > 0) shape(&shapes, LAST_B + v, last, columns);
    }
    __asm__ volatile("" ::"m"(shapes) : "memory"); /* all of it, which the instruction does not say */
    _tile_loadconfig(&shapes);
}

static inline __attribute__((always_inline)) WITH_AMX void words(const int two, const Tile *t) {
    const ptrdiff_t a_row = t->a_row * (ptrdiff_t)sizeof(real), c_row = t->c_row * (ptrdiff_t)sizeof(real);
    const ptrdiff_t whole = t->k / PAIRS * PAIRS, b_row = PANEL * (ptrdiff_t)sizeof(real);
    const real *a = t->a, *b = t->b;
    MEMORY_IS_TOUCHED();
    _tile_zero(SUMS);
    if (two) _tile_zero(SUMS_BESIDE);
    for (ptrdiff_t p = 0; p < whole; p += PAIRS, a += PAIRS, b += PAIRS * PANEL) {
        _tile_loadd(A, a, a_row);
        _tile_loadd(B, b, b_row);
        _tile_dpbf16ps(SUMS, A, B);
        if (two) _tile_loadd(B_BESIDE, (b + LANES), b_row);
        if (two) _tile_dpbf16ps(SUMS_BESIDE, A, B_BESIDE);
    }
    if (whole < t->k) {
        _tile_loadd(LAST_A, a, a_row);
        _tile_loadd(LAST_B, b, b_row);
        _tile_dpbf16ps(SUMS, LAST_A, LAST_B);
        if (two) _tile_loadd(LAST_B_BESIDE, (b + LANES), b_row);
        if (two) _tile_dpbf16ps(SUMS_BESIDE, LAST_A, LAST_B_BESIDE);
    }
    _tile_stored(SUMS, t->c, c_row);
    if (two) _tile_stored(SUMS_BESIDE, (t->c + LANES), c_row);
    MEMORY_IS_TOUCHED();
}

GEMM_API NOINLINE WITH_AMX void bf16_tile_of_registers(ptrdiff_t rows, ptrdiff_t vectors, const Tile *t,
                                                       ptrdiff_t *configured) {
    const ptrdiff_t wanted = (rows * TILE_VECTORS + vectors - 1) * (LANES + 1) + t->width;
    if (*configured != wanted) configure(rows, vectors, t->width, t->k % PAIRS);
    *configured = wanted;
    if (vectors == TILE_VECTORS) words(1, t);
    else words(0, t);
}

GEMM_API NOINLINE WITH_AMX void bf16_release_registers(void) { _tile_release(); }
#else
typedef int bf16_amx_is_for_amx_alone;
#endif

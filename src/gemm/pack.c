/* Packing: rows are copied as vectors, columns transposed in groups, and only what is left goes number by number. */
#include "pack.h"
#include "transpose.h"

#ifdef GROUP
/* to (k, GROUP) = the transpose of from (GROUP, k), k >= CHUNK. */
ALWAYS_INLINE void pack_group(ptrdiff_t k, const real *from, ptrdiff_t from_row, real *to, ptrdiff_t to_row) {
    const real *first = from, *second = from + (GROUP - CHUNK) * from_row;
    ptrdiff_t part = (k - 1) % CHUNK + 1; /* the second chunk overlaps the first, so that the last one ends at k */
    for (ptrdiff_t left = k; left > 0; left -= part, part = CHUNK) {
        const real *row[GROUP];
        UNROLL for (int i = 0; i < CHUNK; i++) {
            row[i] = first + i * from_row;
            row[i + GROUP - CHUNK] = second + i * from_row;
        }
        pack_chunks(GROUP, CHUNK, row, to, to_row);
        first += part;
        second += part;
        to += part * to_row;
        IN_ORDER(first);
        IN_ORDER(second);
    }
}

/* The same for fewer rows than GROUP; the first one stands for those that are missing. */
ALWAYS_INLINE void pack_rest(ptrdiff_t count, ptrdiff_t k, const real *from, ptrdiff_t from_row, real *to,
                             ptrdiff_t to_row) {
    ptrdiff_t part = (k - 1) % CHUNK + 1;
    for (ptrdiff_t p = 0; p < k; p += part, to += part * to_row, part = CHUNK) {
        const real *row[GROUP];
        UNROLL for (int i = 0; i < GROUP; i++) row[i] = from + (i < count ? i * from_row : 0) + p;
        pack_chunks(count, CHUNK, row, to, to_row);
    }
}
#endif

GEMM_API NOINLINE void pack(ptrdiff_t count, ptrdiff_t width, ptrdiff_t k, const real *from, ptrdiff_t from_row,
                            ptrdiff_t from_col, real *to, ptrdiff_t to_row) {
    for (ptrdiff_t p = 0; count < width && p < k; p++) {
        for (ptrdiff_t i = count; i < width; i++) to[p * to_row + i] = 0;
    }
    if (from_row == 1) {
        const ptrdiff_t whole = count / LANES * LANES;
        const vec_mask mask = vec_first(count - whole);
        for (ptrdiff_t p = 0; p < k; p++, from += from_col, to += to_row) {
            for (ptrdiff_t i = 0; i < whole; i += LANES) vec_store(to + i, vec_load(from + i));
            if (MASKED_LOADS && whole < count) vec_store_first(to + whole, vec_load_first(from + whole, mask), mask);
            for (ptrdiff_t i = whole; !MASKED_LOADS && i < count; i++) to[i] = from[i];
        }
        return;
    }
#ifdef GROUP
    if (from_col == 1 && k < CHUNK && k + from_row >= CHUNK) { /* reads on into the row that follows */
        for (; count > GROUP; count -= GROUP, from += GROUP * from_row, to += GROUP) {
            const real *row[GROUP];
            UNROLL for (int i = 0; i < GROUP; i++) row[i] = from + i * from_row;
            pack_chunks(GROUP, k, row, to, to_row);
        }
    }
    if (from_col == 1 && k >= CHUNK) {
        for (; count >= GROUP; count -= GROUP, from += GROUP * from_row, to += GROUP) {
            pack_group(k, from, from_row, to, to_row);
        }
        if (count > GROUP / 4) {
            pack_rest(count, k, from, from_row, to, to_row);
            return;
        }
    }
#endif
    for (ptrdiff_t p = 0; p < k; p++) {
        for (ptrdiff_t i = 0; i < count; i++) to[p * to_row + i] = from[i * from_row + p * from_col];
    }
}

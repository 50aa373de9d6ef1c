/* Losses of numbers: value = scale * the sum of weight * f(y, t, a, b) over all of them, and dy, its gradient from g.
 *
 * A loss is two formulas, which are inlined into two loops: with the gradient, and without. All else is done to pieces
 * of numbers that stay in the cache, before these loops (weights of rows become those of numbers, targets are smoothed)
 * and behind them (weights, sums, losses that are wanted one by one): it is written once, and costs nothing where it is
 * not wanted.
 */
#ifndef FASTNN_LOSSES_H
#define FASTNN_LOSSES_H

#include "math/blocks.h"

enum { PIECE = 256 };

typedef struct {
    const real *y, *t;             /* (rows, n) */
    const real *weight;            /* (rows, m), m = 1 or n; NULL: ones */
    real *dy, *each;               /* (rows, n), and so the losses, or (rows) where a row has one; or NULL */
    real *own;                     /* (rows, n): the losses that are added, or NULL */
    double *value;
    ptrdiff_t rows, n, m;
    ptrdiff_t parts;               /* rows of the whole, where these are a block of it */
    int is_sum, of_rows;           /* what the sum is divided by: 1, these rows, or their numbers */
    real a, b;                     /* of the formulas */
    real smoothing, share;         /* of targets: t + smoothing * (share - t) */
    const double *positive;        /* (k), k = 1 or n: the terms of t = 1 count so often; or NULL */
    ptrdiff_t k;
} Loss;

typedef struct {
    ptrdiff_t begin, length;
    const real *t, *weight;        /* where they lie, or in a buffer */
    real losses[PIECE], t_buffer[PIECE], weight_buffer[PIECE];
} LossPiece;

/* Let the piece have a weight for each number, and targets that are smoothed. Where terms of t = 1 count q times,
 * q t a + (1 - t) b = factor (t' a + (1 - t') b) with factor = 1 + (q - 1) t and t' = q t / factor. */
OUT_OF_LINE void before_piece(const Loss *s, LossPiece *p) {
    if (s->weight && s->m == s->n) p->weight = s->weight + p->begin;
    else if (s->weight || s->positive) {
        ptrdiff_t row = p->begin / s->n, left = s->n - p->begin % s->n;
        for (ptrdiff_t i = 0; i < p->length; row++, left = s->n) {
            const ptrdiff_t end = i + left < p->length ? i + left : p->length;
            const real weight = s->weight ? s->weight[row] : 1;
            for (; i < end; i++) p->weight_buffer[i] = weight;
        }
        p->weight = p->weight_buffer;
    }
    if (s->smoothing == 0 && !s->positive) return;
    for (ptrdiff_t i = 0; i < p->length; i++) p->t_buffer[i] = p->t[i] + s->smoothing * (s->share - p->t[i]);
    p->t = p->t_buffer;
    if (!s->positive) return;
    for (ptrdiff_t i = 0, j = p->begin % s->n; i < p->length; i++, j = j + 1 < s->n ? j + 1 : 0) {
        const real q = (real)s->positive[s->k > 1 ? j : 0], t = p->t_buffer[i], factor = 1 + (q - 1) * t;
        p->weight_buffer[i] = p->weight[i] != 0 ? p->weight[i] * factor : 0;
        p->t_buffer[i] = factor != 0 ? q * t / factor : 0;
    }
    p->weight = p->weight_buffer;
}

/* x = weight * x; a weight of 0 leaves out whatever x is. */
ALWAYS_INLINE void weigh(real *x, const real *weight, ptrdiff_t n) {
    INDEPENDENT
    for (ptrdiff_t i = 0; i < n; i++) {
        const real weighted = weight[i] * x[i];
        x[i] = weight[i] != 0 ? weighted : 0;
    }
}

/* Weigh losses and gradient, and store the losses where they are wanted one by one, or added by others. */
OUT_OF_LINE void after_piece(const Loss *s, LossPiece *p) {
    if (p->weight) {
        weigh(p->losses, p->weight, p->length);
        if (s->dy) weigh(s->dy + p->begin, p->weight, p->length);
    }
    if (s->own) memcpy(s->own + p->begin, p->losses, p->length * sizeof(real));
    if (s->each && !s->of_rows) memcpy(s->each + p->begin, p->losses, p->length * sizeof(real));
    else if (s->each) {
        ptrdiff_t row = p->begin / s->n, left = s->n - p->begin % s->n;
        for (ptrdiff_t i = 0; i < p->length; row++, left = s->n)
            for (const ptrdiff_t end = i + left < p->length ? i + left : p->length; i < end; i++)
                s->each[row] += p->losses[i];
    }
}

/* A loop that a loss has for itself: losses = f(y, t, a, b), and dy = factor * g(y, t, a, b). */
typedef struct {
    const real *y, *t;
    real *losses, *dy;
    ptrdiff_t length;
    real a, b, factor;
} LossRun;

ALWAYS_INLINE void map_loss(const LossRun *r, real (*f)(real, real, real, real), real (*g)(real, real, real, real)) {
    const real *y = r->y, *t = r->t, a = r->a, b = r->b, factor = r->factor;
    real *losses = r->losses, *dy = r->dy;
    INDEPENDENT
    for (ptrdiff_t i = 0; i < r->length; i++) {
        real y_i = y[i], t_i = t[i];
        losses[i] = f(y_i, t_i, a, b);
        dy[i] = factor * g(y_i, t_i, a, b);
    }
}

/* By a loop, where there is one: that takes a call for each piece, and little code. Else by f and g, which are
 * inlined. */
ALWAYS_INLINE int reduce(const Loss *s, int has_loop, void (*loop)(const LossRun *), real (*f)(real, real, real, real),
                         real (*g)(real, real, real, real)) {
    const ptrdiff_t size = s->rows * s->n, parts = s->of_rows ? s->parts : s->parts * s->n;
    const double scale = s->is_sum ? 1 : parts > 0 ? 1.0 / (double)parts : 0;
    const real factor = (real)scale, a = s->a, b = s->b;
    const int has_before = s->weight || s->positive || s->smoothing != 0;
    const int has_after = s->weight || s->positive || s->each || s->own;
    double total = 0;
    real slopes[PIECE];
    LossPiece p;
    if (s->each && s->of_rows) memset(s->each, 0, s->rows * sizeof(real));
    for (p.begin = 0; p.begin < size; p.begin += PIECE) {
        p.length = size - p.begin < PIECE ? size - p.begin : PIECE;
        p.t = s->t + p.begin;
        p.weight = NULL;
        if (has_before) before_piece(s, &p);
        const real *y = s->y + p.begin, *t = p.t;
        const ptrdiff_t length = p.length;
        if (has_loop) {
            const LossRun run = {y, t, p.losses, s->dy ? s->dy + p.begin : slopes, length, a, b, factor};
            loop(&run);
        } else if (s->dy) {
            real *dy = s->dy + p.begin;
            INDEPENDENT
            for (ptrdiff_t i = 0; i < length; i++) {
                real y_i = y[i], t_i = t[i];
                p.losses[i] = f(y_i, t_i, a, b);
                dy[i] = factor * g(y_i, t_i, a, b);
            }
        } else {
            INDEPENDENT
            for (ptrdiff_t i = 0; i < length; i++) p.losses[i] = f(y[i], t[i], a, b);
        }
        if (has_after) after_piece(s, &p);
        total += sum_double(p.losses, length);
    }
    *s->value = scale * total;
    return 0;
}

ALWAYS_INLINE int reduce_loss(const Loss *s, real (*f)(real, real, real, real), real (*g)(real, real, real, real)) {
    return reduce(s, 0, NULL, f, g);
}

OUT_OF_LINE int reduce_looped(const Loss *s, void (*loop)(const LossRun *)) { return reduce(s, 1, loop, NULL, NULL); }

/* The value of losses that have been kept. */
OUT_OF_LINE void copy_losses(const LossRun *r) { memcpy(r->losses, r->y, r->length * sizeof(real)); }

OUT_OF_LINE const real *changed_targets(Block b, const real *t, const real *weight, real smoothing, real share,
                                        real *buffer) {
    const ptrdiff_t row_step = b.in_columns ? b.n : 0, at_row = b.in_columns ? 1 : 0;
    const ptrdiff_t at_column = b.in_columns ? BLOCK_ROWS : 1;
    for (ptrdiff_t j = 0; j < b.n; j++)
        for (ptrdiff_t i = 0; i < b.lanes; i++) {
            real x = 0;
            if (i < b.rows) {
                const ptrdiff_t at = i * row_step + j;
                x = t[at] + smoothing * (share - t[at]);
                if (weight) x = weight[at] != 0 ? weight[at] * x : 0;
            }
            buffer[i * at_row + j * at_column] = x;
        }
    return buffer;
}

/* Targets of a block of rows, smoothed, and weighted where numbers have weights: in the buffer, unless they are
 * as given. */
ALWAYS_INLINE const real *block_targets(Block b, const real *t, const real *weight, real smoothing, real share,
                                        real *buffer) {
    if (!weight && smoothing == 0) return block_input(b, t, buffer);
    return changed_targets(b, t, weight, smoothing, share, buffer);
}

#endif

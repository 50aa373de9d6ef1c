/* Rows and losses of nets side by side. */
#include "lanes.h"
#include "math/elementary.h"
#include "math/losses.h"
#include "vectors.h"

#if FASTNN_DOUBLE || !MASKED_LOADS
#define FAST 0 /* nothing trains so: few instructions */
#define EXP(x) (real)exp(x)
#define LOG(x) (real)log(x)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#else
#define FAST 1
#define EXP real_exp
#define LOG real_log
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides") /* where numbers are copied one by one */
#endif
#endif

/* A vector, and not NETS copies of its body */
#ifdef __GNUC__
#define EACH_NET _Pragma("GCC unroll 1") for (int net = 0; net < NETS; net++)
#else
#define EACH_NET for (int net = 0; net < NETS; net++)
#endif

/* So many columns from one on; 0 where an index is that of no row. */
ALWAYS_INLINE int gather_columns(const int at_once, const real *x, ptrdiff_t n, ptrdiff_t columns, const int64_t *index,
                                 ptrdiff_t rows, real *y) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        if ((uint64_t)index[i] >= (uint64_t)n) return 0;
        UNROLL for (int j = 0; j < at_once; j++) y[(i * columns + j) * NETS] = x[index[i] * columns + j];
    }
    return 1;
}

GEMM_API int lane_gather(const real *x, ptrdiff_t sets, ptrdiff_t n, ptrdiff_t columns, const int64_t *index,
                         ptrdiff_t n_index, ptrdiff_t start, ptrdiff_t rows, real *y) {
    for (ptrdiff_t net = 0; net < NETS; net++, y++) { /* the rows of one behind each other, as their indices are */
        const int64_t *own = index + net * n_index + start;
        const real *set = x + smaller(net, sets - 1) * n * columns;
        ptrdiff_t j = 0;
        for (; FAST && j + 2 <= columns; j += 2) {
            if (!gather_columns(2, set + j, n, columns, own, rows, y + j * NETS)) return CALL_OUT_OF_RANGE;
        }
        for (; j < columns; j++) {
            if (!gather_columns(1, set + j, n, columns, own, rows, y + j * NETS)) return CALL_OUT_OF_RANGE;
        }
    }
    return 0;
}

GEMM_API void lane_mean(const real *losses, ptrdiff_t n, double *value) {
    double all[NETS] = {0};
    for (ptrdiff_t at = 0; at < n; at += PIECE) {
        double sums[REDUCTION_LANES][NETS] = {{0}}, total[NETS] = {0};
        for (ptrdiff_t i = 0; i < smaller(n - at, PIECE); i++) {
            EACH_NET sums[i % REDUCTION_LANES][net] += losses[(at + i) * NETS + net];
        }
        for (int lane = 0; lane < REDUCTION_LANES; lane++) EACH_NET total[net] += sums[lane][net];
        EACH_NET all[net] += total[net];
    }
    EACH_NET value[net] = n > 0 ? 1.0 / (double)n * all[net] : 0;
}

/* Rows whose exponentials come before their logarithms: registers hold the constants of one. */
enum { AT_ONCE = LANES == NETS ? 8 : 1 };

ALWAYS_INLINE void exponentials(const real *restrict y, const real *restrict t, real *restrict dy, const ptrdiff_t n,
                                real *restrict largest, real *restrict of_label, real *restrict total) {
    EACH_NET {
        largest[net] = -INFINITY;
        of_label[net] = NAN;
        total[net] = 0;
    }
    for (ptrdiff_t j = 0; j < n; j++) EACH_NET {
        const real x = y[j * NETS + net];
        largest[net] = x > largest[net] ? x : largest[net];
        of_label[net] = t[net] == (real)j ? x : of_label[net];
    }
    for (ptrdiff_t j = 0; j < n; j++) EACH_NET {
        const real x = EXP(y[j * NETS + net] - largest[net]);
        dy[j * NETS + net] = x;
        total[net] += x;
    }
}

GEMM_API void lane_cross_entropy(const real *restrict y, const real *restrict t, real *restrict dy, ptrdiff_t rows,
                                 ptrdiff_t n, double *value) {
    double all[NETS] = {0};
    const real share = (real)(1.0 / (double)rows);
    for (ptrdiff_t begin = 0; begin < rows; begin += AT_ONCE) {
        real largest[AT_ONCE][NETS], of_label[AT_ONCE][NETS], total[AT_ONCE][NETS];
        const ptrdiff_t count = smaller(rows - begin, AT_ONCE);
        for (ptrdiff_t i = 0; i < count; i++) {
            const ptrdiff_t at = (begin + i) * NETS;
            exponentials(y + at * n, t + at, dy + at * n, n, largest[i], of_label[i], total[i]);
        }
        for (ptrdiff_t i = 0; i < count; i++) {
            real *row = dy + (begin + i) * n * NETS;
            EACH_NET {
                all[net] += (double)LOG(total[i][net]) + ((double)largest[i][net] - (double)of_label[i][net]);
                total[i][net] = share / total[i][net];
            }
            for (ptrdiff_t j = 0; j < n; j++) EACH_NET {
                const real x = row[j * NETS + net] * total[i][net];
                row[j * NETS + net] = x - (t[(begin + i) * NETS + net] == (real)j ? share : 0);
            }
        }
    }
    EACH_NET value[net] = rows > 0 ? all[net] / (double)rows : 0;
}

/* What the C of a net is made of, beside the elementary functions of src/math: the formulas of activations, and what is
 * done to one row. `to_c` takes from here what a net needs, with `real` made float or double and every name given the
 * net's; nothing here calls a library. The order of each sum is that of the library for one row, so that without fused
 * multiply-adds the bits are the same.
 *
 * A comment and what follows it without an empty line belong together.
 */

/* ---- square roots ------------------------------------------------------------------------------------------------ */

/* The square root of x >= 0, digit by digit, rounded to nearest: of x = m 4^e the root of m, whose bits are found from
 * the highest on, and a last one that rounds. */
ALWAYS_INLINE double square_root(double x) {
    const uint64_t leading = (uint64_t)1 << 52;
    uint64_t bits, rest, root = 0, bit;
    double y;
    int exponent;
    if (!(x > 0) || x > 1.7976931348623157e308) return x >= 0 ? x : (double)NAN;
    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> 52);
    rest = bits & (leading - 1);
    if (exponent == 0)
        for (exponent = 1; rest < leading; exponent--) rest <<= 1; /* subnormal */
    rest |= leading;
    exponent -= 1023;
    if (exponent & 1) rest <<= 1, exponent--;
    rest <<= 1;
    for (bit = leading << 1; bit; bit >>= 1, rest <<= 1)
        if (2 * root + bit <= rest) rest -= 2 * root + bit, root += bit;
    if (rest) root += root & 1;
    root = (root >> 1) + ((uint64_t)(exponent / 2 + 1022) << 52);
    memcpy(&y, &root, sizeof y);
    return y;
}

/* ---- activations of single numbers ------------------------------------------------------------------------------ */

ALWAYS_INLINE real relu(real x) { return x <= 0 ? 0 : x; /* so written, a NaN stays */ }

ALWAYS_INLINE real leaky_relu(real x, real alpha) { return x > 0 ? x : alpha * x; }

ALWAYS_INLINE real relu6(real x) { return x <= 0 ? 0 : x > 6 ? 6 : x; }

ALWAYS_INLINE real threshold(real x, real alpha, real beta) { return x <= alpha ? beta : x; }

ALWAYS_INLINE real hard_sigmoid(real x, real alpha, real beta) {
    real y = x * alpha + beta;
    return y < 0 ? 0 : y > 1 ? 1 : y;
}

ALWAYS_INLINE real hard_tanh(real x, real low, real high) { return x < low ? low : x > high ? high : x; }

ALWAYS_INLINE real hard_swish(real x) {
    real y = x * (x + 3) * (real)(1.0 / 6.0);
    return x <= -3 ? 0 : x >= 3 ? x : y;
}

ALWAYS_INLINE real hard_shrink(real x, real alpha) { return magnitude(x) <= alpha ? 0 : x; }

ALWAYS_INLINE real soft_shrink(real x, real alpha) {
    real size = magnitude(x) - alpha;
    return size <= 0 ? 0 : x > 0 ? size : -size;
}

/* 0 below -1, x above 1, else (x + 1)^2 / 4 */
ALWAYS_INLINE real sparse_plus(real x) {
    real y = REAL(0.25) * (x + 1) * (x + 1);
    return x <= -1 ? 0 : x >= 1 ? x : y;
}

ALWAYS_INLINE real elu(real x, real alpha) { return x > 0 ? x : alpha * real_expm1(x); }

ALWAYS_INLINE real celu(real x, real alpha) { return x > 0 ? x : alpha * real_expm1(x / alpha); }

ALWAYS_INLINE real selu(real x) {
    return x > 0 ? REAL(1.0507009873554805) * x : REAL(1.7580993408473768) * real_expm1(x);
}

/* x Phi(x), Phi the cumulative function of the normal distribution */
ALWAYS_INLINE real gelu(real x) { return x * (REAL(0.5) * real_erfc(REAL(-0.7071067811865476) * x)); }

/* x / 2 (1 + tanh(u)) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
ALWAYS_INLINE real gelu_tanh(real x) {
    return x * real_sigmoid(REAL(1.5957691216057308) * x * (1 + REAL(0.044715) * x * x));
}

/* log(1 + exp(alpha x)) / alpha */
ALWAYS_INLINE real scaled_softplus(real x, real alpha) { return real_softplus(alpha * x) * (1 / alpha); }

ALWAYS_INLINE real softplus_threshold(real x, real alpha, real beta) {
    return alpha * x > beta ? x : scaled_softplus(x, alpha);
}

ALWAYS_INLINE real log_sigmoid(real x) { return -real_softplus(-x); }

/* (x + sqrt(x^2 + alpha)) / 2, for x < 0 as alpha / 4 / ((|x| + root) / 2), where nothing cancels */
ALWAYS_INLINE real squareplus(real x, real alpha) {
    real size = magnitude(x), root = (real)square_root((double)(size * size + alpha));
    real large = REAL(0.5) * size + REAL(0.5) * (root <= REAL(1e18) ? root : size);
    return x > 0 ? large : REAL(0.25) * alpha / large;
}

ALWAYS_INLINE real softsign(real x) { return x / (1 + magnitude(x)); }

ALWAYS_INLINE real lisht(real x) { return x * real_tanh(x); }

/* sin(x + quarter pi / 2) for any x */
ALWAYS_INLINE real sine_of(real x, int quarter) {
    real a = magnitude(x);
    if (a > CIRCULAR_HIGHEST) return a < (real)INFINITY ? circular(reduce_far_angle(a), x, quarter) : (real)NAN;
    return circular(reduce_angle(a), x, quarter);
}

ALWAYS_INLINE real cosine(real x) { return sine_of(x, 1); }

ALWAYS_INLINE real sine(real x, real alpha) { return sine_of(alpha * x, 0); }

/* x + sin(alpha x)^2 / alpha */
ALWAYS_INLINE real snake(real x, real alpha) {
    real s = sine_of(alpha * x, 0);
    return x + s * s / alpha;
}

/* ---- embeddings of numbers --------------------------------------------------------------------------------------- */

/* cos and then sin of 2 pi x w + c, for a number; c may be NULL */
static void waves_of(const real *x, const real *w, const real *c, real *y, size_t n) {
    waves(*x, w, c, y, y + n, (ptrdiff_t)n);
}

/* y = x w + b + e v, for a number: e is 1 in the bins below that of x, which rise from edge to edge, and a part
 * there. */
static void bins(const real *x, const real *edges, const real *w, const real *b, const real *v, real *y, size_t n_bins,
                 size_t n) {
    size_t place = 0;
    real part = 0;
    for (size_t t = 1; t < n_bins; t++) place += edges[t] <= *x && edges[t] < (real)INFINITY;
    if (!(edges[place + 1] < (real)INFINITY) && place > 0) place--; /* behind the last bin that there is */
    if (edges[place + 1] < (real)INFINITY && edges[place + 1] > edges[place])
        part = (*x - edges[place]) / (edges[place + 1] - edges[place]);
    for (size_t j = 0; j < n; j++) {
        real sum = b[j];
        for (size_t t = 0; t < place; t++) sum += v[t * n + j];
        y[j] = real_fma(*x, w[j], real_fma(part, v[place * n + j], sum));
    }
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* y = x w + b: y[j] is a sum from left to right. The weights of an output lie side by side; b may be NULL. */
static void dense(const real *x, const real *w, const real *b, real *y, size_t n_in, size_t n_out) {
    for (size_t j = 0; j < n_out; j++) {
        real sum = 0;
        for (size_t i = 0; i < n_in; i++) sum = real_fma(x[i], *w++, sum);
        y[j] = b ? sum + b[j] : sum;
    }
}

/* The same for more than 1024 inputs: y[j] is a sum of the sums of each 1024. */
static void dense_of_many(const real *x, const real *w, const real *b, real *y, size_t n_in, size_t n_out) {
    for (size_t j = 0; j < n_out; j++) {
        real total = 0;
        for (size_t begin = 0; begin < n_in; begin += 1024) {
            const size_t behind = n_in - begin < 1024 ? n_in : begin + 1024;
            real sum = 0;
            for (size_t i = begin; i < behind; i++) sum = real_fma(x[i], *w++, sum);
            total = begin ? total + sum : sum;
        }
        y[j] = b ? total + b[j] : total;
    }
}

/* The same for few outputs of many inputs, in the order of vectors of 16 bytes: as many sums side by side as there are
 * numbers in one, which are added at the end of each 1024, but for a short rest of the inputs. */
static void dense_of_few(const real *x, const real *w, const real *b, real *y, size_t n_in, size_t n_out) {
    for (size_t j = 0; j < n_out; j++) {
        real total = 0;
        for (size_t begin = 0; begin < n_in; begin += 1024) {
            const size_t behind = n_in - begin < 1024 ? n_in : begin + 1024;
            const size_t apart = behind - begin < 64 * n_out ? 1 : 16 / sizeof(real);
            real sums[16 / sizeof(real)] = {0}, dot;
            for (size_t i = begin; i < behind; i++) sums[i % apart] = real_fma(x[i], *w++, sums[i % apart]);
#if FASTNN_DOUBLE
            dot = sums[0] + sums[1];
#else
            dot = (sums[0] + sums[2]) + (sums[1] + sums[3]);
#endif
            total = begin ? total + dot : dot;
        }
        y[j] = b ? total + b[j] : total;
    }
}

/* The nearest whole number, half to even, of x from -255 to 255 */
static int32_t nearest(real x) {
    const int32_t whole = (int32_t)x;
    const real rest = x - (real)whole, size = rest < 0 ? -rest : rest;
    return size > REAL(0.5) || (size == REAL(0.5) && whole % 2) ? whole + (rest < 0 ? -1 : 1) : whole;
}

/* y = (q w) scale + b of whole numbers q = x times inverse, from -zero to 255 - zero. The weights of an input lie
 * side by side; sums are exact, and wait where y will be. NaN in x makes all of y NaN. */
static void dense_of_integers(const real *x, const int8_t *w, const real *scale, const real *b, real *y, real inverse,
                              int32_t zero, size_t n_in, size_t n_out) {
    const real low = (real)-zero, high = (real)(255 - zero);
    int32_t sum, is_nan = 0;
    memset(y, 0, n_out * sizeof(real));
    for (size_t i = 0; i < n_in; i++) {
        real shifted = (x[i] * inverse), n = shifted > low ? shifted : low;
        const int32_t q = nearest(n < high ? n : high);
        is_nan |= x[i] != x[i];
        for (size_t j = 0; j < n_out; j++, w++) {
            memcpy(&sum, y + j, sizeof sum);
            sum += q * *w;
            memcpy(y + j, &sum, sizeof sum);
        }
    }
    for (size_t j = 0; j < n_out; j++) {
        memcpy(&sum, y + j, sizeof sum);
        y[j] = is_nan ? (real)NAN : (real)sum * scale[j] + b[j];
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* y = x * factor + offset, with a number of each for every column, or NULL for 1 and 0; y may be x */
static void scale(const real *x, const real *factor, const real *offset, real *y, size_t n) {
    for (size_t j = 0; j < n; j++) {
        if (!offset) y[j] = x[j] * factor[j];
        else y[j] = factor ? real_fma(x[j], factor[j], offset[j]) : x[j] + offset[j];
    }
}

/* y = x where x > 0, else slope * x, with a slope for every column; y may be x */
static void prelu(const real *x, const real *slope, real *y, size_t n) {
    for (size_t j = 0; j < n; j++) y[j] = x[j] > 0 ? x[j] : slope[j] * x[j];
}

/* y = x, clipped to bounds for every column; y may be x */
static void clip(const real *x, const real *low, const real *high, real *y, size_t n) {
    for (size_t j = 0; j < n; j++) y[j] = x[j] < low[j] ? low[j] : x[j] > high[j] ? high[j] : x[j];
}

/* y = z, but the values where x is NaN; y may be z */
static void fill(const real *x, const real *z, const real *values, real *y, size_t n) {
    for (size_t j = 0; j < n; j++) y[j] = x[j] == x[j] ? z[j] : values[j];
}

/* y = x + z; y may be either */
static void add(const real *x, const real *z, real *y, size_t n) {
    for (size_t j = 0; j < n; j++) y[j] = x[j] + z[j];
}

/* y = x * z; y may be either */
static void multiply(const real *x, const real *z, real *y, size_t n) {
    for (size_t j = 0; j < n; j++) y[j] = x[j] * z[j];
}

/* The mean of some parts of x, each n numbers long */
static void mean_of_parts(const real *x, real *y, size_t parts, size_t n) {
    for (size_t j = 0; j < n; j++) {
        real total = 0;
        for (size_t part = 0; part < parts; part++) total += x[part * n + j];
        y[j] = total * (real)(1 / (double)parts);
    }
}

/* The largest of some parts of x, each n numbers long; NaN of any stays */
static void largest_of_parts(const real *x, real *y, size_t parts, size_t n) {
    for (size_t j = 0; j < n; j++) {
        real most = x[j];
        for (size_t part = 1; part < parts; part++) {
            real value = x[part * n + j], larger = value > most ? value : most;
            most = value != value ? value : larger;
        }
        y[j] = most;
    }
}

static real largest(const real *x, size_t n) {
    real most = (real)-INFINITY;
    for (size_t j = 0; j < n; j++) most = x[j] > most ? x[j] : most;
    return most;
}

static real sum_of_few(const real *x, size_t n) {
    real total = 0;
    for (size_t j = 0; j < n; j++) total += x[j];
    return total;
}

/* The sum of n numbers: of up to 32 one by one, of more in 16 sums side by side. */
static real sum(const real *x, size_t n) {
    real lanes[16] = {0};
    for (size_t j = 0; j < n; j++) lanes[n > 32 ? j % 16 : 0] += x[j];
    return sum_of_few(lanes, n > 32 ? 16 : 1);
}

/* y_j = exp(x_j) / sum_k exp(x_k); y may be x */
static void softmax(const real *x, real *y, size_t n) {
    const real shift = largest(x, n);
    real total;
    for (size_t j = 0; j < n; j++) y[j] = real_exp(x[j] - shift);
    total = sum(y, n);
    for (size_t j = 0; j < n; j++) y[j] = y[j] / total;
}

/* y_j = x_j - log(sum_k exp(x_k)); y may be x */
static void log_softmax(const real *x, real *y, size_t n) {
    const real shift = largest(x, n);
    real lanes[16] = {0}, total;
    for (size_t j = 0; j < n; j++) y[j] = x[j] - shift, lanes[n > 32 ? j % 16 : 0] += real_exp(y[j]);
    total = real_log(sum_of_few(lanes, n > 32 ? 16 : 1));
    for (size_t j = 0; j < n; j++) y[j] = y[j] - total;
}

static real excess(real x, real tau) { return x <= tau ? 0 : x - tau; }

/* y_j = max(x_j - tau, 0), with the tau that makes the sum 1: Newton's rule finds it from below; y may be x */
static void sparsemax(const real *x, real *y, size_t n) {
    const real shift = largest(x, n);
    real tau = -1, last = 0;
    for (size_t j = 0; j < n; j++) y[j] = x[j] - shift;
    for (size_t step = 0; step < n; step++) {
        real above[16] = {0}, beyond[16] = {0}, count, next;
        for (size_t j = 0; j < n; j++) {
            above[j % 16] += y[j] <= tau ? 0 : 1;
            beyond[j % 16] += excess(y[j], tau);
        }
        count = sum_of_few(above, 16);
        next = tau + (sum_of_few(beyond, 16) - 1) / count;
        if (!(next > tau) || count == last) {
            tau = next;
            break;
        }
        tau = next, last = count;
    }
    for (size_t j = 0; j < n; j++) y[j] = excess(y[j], tau);
}

static double sum_of_lanes(const double *lanes) {
    double total = 0;
    for (size_t j = 0; j < 16; j++) total += lanes[j];
    return total;
}

/* The mean of a row: the sum runs in double, as 16 sums side by side. */
static real mean_of(const real *x, size_t n) {
    double lanes[16] = {0};
    for (size_t j = 0; j < n; j++) lanes[j % 16] += (double)x[j];
    return (real)(sum_of_lanes(lanes) / (double)n);
}

/* 1 / sqrt(the mean of (x - mean)^2 + eps) */
static real inverse_deviation(const real *x, real mean, double eps, size_t n) {
    double lanes[16] = {0};
    for (size_t j = 0; j < n; j++) {
        const real d = x[j] - mean, square = d * d;
        lanes[j % 16] += (double)square;
    }
    return (real)(1 / square_root(sum_of_lanes(lanes) / (double)n + eps));
}

/* y = (x - mean) / sqrt(variance + eps) * scale + shift, mean and variance those of the row */
static void layer_norm(const real *x, const real *scale, const real *shift, double eps, real *y, size_t n) {
    const real mean = mean_of(x, n), inverse = inverse_deviation(x, mean, eps, n);
    for (size_t j = 0; j < n; j++) y[j] = real_fma((x[j] - mean) * inverse, scale[j], shift[j]);
}

/* y = x / sqrt(mean(x^2) + eps) * scale */
static void rms_norm(const real *x, const real *scale, double eps, real *y, size_t n) {
    const real inverse = inverse_deviation(x, 0, eps, n);
    for (size_t j = 0; j < n; j++) y[j] = x[j] * inverse * scale[j];
}

/* ---- columns of codes -------------------------------------------------------------------------------------------- */

/* The code itself, or n for what is no whole number from 0 to n - 1: unseen, or missing */
static size_t place_of(real code, size_t n) {
    size_t place;
    if (!(code >= 0 && code < (real)n)) return n;
    place = (size_t)code;
    return (real)place == code && place < n ? place : n;
}

/* The row of the table, of n codes and a last row for what is none, that x stands for */
static void embedding(real x, const real *table, size_t n, real *y, size_t size) {
    memcpy(y, table + place_of(x, n) * size, size * sizeof(real));
}

/* 1 at the place of the code, 0 elsewhere; y has n or, with a column for what is none, n + 1 numbers */
static void one_hot(real x, size_t n, real *y, size_t size) {
    const size_t place = place_of(x, n);
    for (size_t j = 0; j < size; j++) y[j] = j == place ? 1 : 0;
}

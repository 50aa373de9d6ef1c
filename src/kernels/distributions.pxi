# Losses of distributions: counts, positive numbers, probabilities.

# x^a for x > 0
cdef inline real power_of(real x, real a) noexcept nogil:
    return real_exp(a * real_log(x))


# log(t!) but for a part of size 1 / (12 t), which it is for t > 1 (Stirling); 0 else.
cdef inline real stirling(real t) noexcept nogil:
    cdef real logarithm = real_log(t)
    cdef real value = real_fma(t, logarithm, -t) + <real> 0.5 * (logarithm + <real> 1.8378770664093453)    # log(2 pi)
    return value if t > 1 else <real> 0

cdef inline real poisson_(real y, real t, real eps, real full) noexcept nogil:
    return y - t * real_log(y + eps) + full * stirling(t)

cdef inline real poisson_slope(real y, real t, real eps, real full) noexcept nogil:
    return <real> 1 - t / (y + eps)

cdef void poisson_loop(const LossRun *r) noexcept nogil:
    map_loss(r, poisson_, poisson_slope)

numbers_looped(
    "poisson", "The mean of y - t log(y + eps), of rates y; with `full` plus Stirling's log(t!) where t > 1.",
    poisson_loop, "eps: cell = 1e-8 >= 0", "full: cell = 0.0 >= 0 <= 1",
)


cdef inline real poisson_of_logs_(real y, real t, real a, real full) noexcept nogil:
    return real_exp(y) - t * y + full * stirling(t)

cdef inline real poisson_of_logs_slope(real y, real t, real a, real full) noexcept nogil:
    return real_exp(y) - t

cdef void poisson_of_logs_loop(const LossRun *r) noexcept nogil:
    map_loss(r, poisson_of_logs_, poisson_of_logs_slope)

numbers_looped(
    "poisson_of_logs",
    "The mean of exp(y) - t y, of logarithms y of rates; with `full` plus Stirling's log(t!) where t > 1.",
    poisson_of_logs_loop, "a: absent", "full: cell = 0.0 >= 0 <= 1",
)


# The deviance of Tweedie's distribution with variance mean^p (Jorgensen 1987), for the logarithms z of means:
#     2 (t^(2-p) / ((1-p) (2-p)) - t e^((1-p) z) / (1-p) + e^((2-p) z) / (2-p))
#     = 2 t^(2-p) (bent(u, 1-p) - bent(u, 2-p)), u = log(t) - z,
# with bent(u, a) = (1 - e^(-a u)) / a, u in the limit a = 0: nothing grows without bound for p near 1 and 2. At t = 0
# what remains is the last term of the first line. Always inlined, as both forms take it into their loops.
cdef extern from *:
    """
    ALWAYS_INLINE real bent(real u, real a) {
        real curve = -real_expm1(-a * u) / a;
        return a == 0 ? u : curve;
    }
    ALWAYS_INLINE real tweedie_deviance(real z, real log_t, real t, real u, real p) {
        real inside = real_exp((2 - p) * log_t) * (bent(u, 1 - p) - bent(u, 2 - p));
        real at_zero = real_exp((2 - p) * z) / (2 - p);
        return 2 * (t == 0 ? at_zero : inside);
    }
    """
    real tweedie_deviance(real z, real log_t, real t, real u, real p) noexcept nogil

cdef inline real tweedie_of_logs_(real y, real t, real p, real b) noexcept nogil:
    cdef real log_t = real_log(t)
    return tweedie_deviance(y, log_t, t, log_t - y, p)

cdef inline real tweedie_of_logs_slope(real y, real t, real p, real b) noexcept nogil:
    return <real> 2 * (real_exp((<real> 2 - p) * y) - t * real_exp((<real> 1 - p) * y))

cdef void tweedie_of_logs_loop(const LossRun *r) noexcept nogil:
    map_loss(r, tweedie_of_logs_, tweedie_of_logs_slope)

numbers_looped(
    "tweedie_of_logs", "The mean deviance of Tweedie's distribution with variance mean^power, mean = exp(y).",
    tweedie_of_logs_loop, "power: cell = 1.5 >= 1",
)


cdef inline real tweedie_(real y, real t, real p, real b) noexcept nogil:
    cdef real mean = at_least_eps(y)
    return tweedie_deviance(real_log(mean), real_log(t), t, real_log(t / mean), p)

cdef inline real tweedie_slope(real y, real t, real p, real b) noexcept nogil:
    cdef real mean = at_least_eps(y)
    return <real> 2 * (mean - t) * power_of(mean, -p)

cdef void tweedie_loop(const LossRun *r) noexcept nogil:
    map_loss(r, tweedie_, tweedie_slope)

numbers_looped(
    "tweedie", "The mean deviance of Tweedie's distribution with mean y, not less than eps, and variance y^power.",
    tweedie_loop, "power: cell = 1.5 >= 1",
)


# Kullback and Leibler 1951. t log(t) is 0 at 0.
cdef inline real kl_divergence_(real y, real t, real a, real b) noexcept nogil:
    cdef real p = at_least_eps(y)
    cdef real term = t * real_log(t / p)
    return <real> 0 * p if t == 0 else term

cdef inline real kl_divergence_slope(real y, real t, real a, real b) noexcept nogil:
    return -t / at_least_eps(y)

cdef void kl_divergence_loop(const LossRun *r) noexcept nogil:
    map_loss(r, kl_divergence_, kl_divergence_slope)

rows_looped(
    "kl_divergence", "The mean over rows of sum_j t_j log(t_j / y_j), y clipped below at eps.", kl_divergence_loop,
)


cdef inline real kl_divergence_of_logs_(real y, real t, real a, real b) noexcept nogil:
    cdef real term = t * (real_log(t) - y)
    return term if t != 0 else y if y != y else <real> 0

cdef inline real kl_divergence_of_logs_slope(real y, real t, real a, real b) noexcept nogil:
    return -t

cdef void kl_divergence_of_logs_loop(const LossRun *r) noexcept nogil:
    map_loss(r, kl_divergence_of_logs_, kl_divergence_of_logs_slope)

rows_looped(
    "kl_divergence_of_logs", "The mean over rows of sum_j t_j (log(t_j) - y_j), of log-probabilities y.",
    kl_divergence_of_logs_loop,
)

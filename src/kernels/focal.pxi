# Focal losses: cross-entropies that count less what is right (Lin et al. 2017).

cdef real SMALLEST = <real> (1.1754943508222875e-38 if sizeof(real) == 4 else 2.2250738585072014e-308)

# What a focal loss is a power of, so that one of less than 1 has a derivative
cdef inline real above_zero(real x) noexcept nogil:
    return SMALLEST if x < SMALLEST else x

# alpha for t = 1 and 1 - alpha for t = 0; below 0: 1 for both
cdef inline real balance(real t, real alpha) noexcept nogil:
    cdef real factor = alpha * t + (<real> 1 - alpha) * (<real> 1 - t)
    return <real> 1 if alpha < 0 else factor

cdef inline real binary_focal_(real y, real t, real gamma, real alpha) noexcept nogil:
    cdef real p = probability(y)
    cdef real wrong = t * (<real> 1 - p) + (<real> 1 - t) * p
    return balance(t, alpha) * power_of(wrong, gamma) * binary_cross_entropy_(y, t, <real> 0, <real> 0)

# d wrong / dp = 1 - 2 t
cdef inline real binary_focal_slope(real y, real t, real gamma, real alpha) noexcept nogil:
    cdef real p = probability(y)
    cdef real wrong = t * (<real> 1 - p) + (<real> 1 - t) * p
    cdef real of_power = gamma * (<real> 1 - <real> 2 * t) * binary_cross_entropy_(y, t, <real> 0, <real> 0)
    cdef real of_entropy = wrong * binary_cross_entropy_gradient(y, t, <real> 0, <real> 0)
    return balance(t, alpha) * (power_of(wrong, gamma) / wrong) * (of_power + of_entropy)

cdef void binary_focal_loop(const LossRun *r) noexcept nogil:
    map_loss(r, binary_focal_, binary_focal_slope)

numbers_looped(
    "binary_focal",
    "The mean of a w^gamma times the binary cross-entropy of y, clipped to [eps, 1 - eps], w = t (1 - y) + (1 - t) y;\n"
    "a = alpha t + (1 - alpha) (1 - t), or 1 where alpha < 0.",
    binary_focal_loop, "gamma: cell = 2.0 >= 0", "alpha: cell = -1.0 >= -1 <= 1",
)


# p = sigmoid(y) and q = 1 - p are from one exponential, and neither is subtracted from 1.
cdef inline real smaller_probability(real y) noexcept nogil:
    cdef real e = real_exp(-magnitude(y))
    return e / (<real> 1 + e)

cdef inline real larger_probability(real y) noexcept nogil:
    return <real> 1 / (<real> 1 + real_exp(-magnitude(y)))

cdef inline real binary_focal_from_logits_(real y, real t, real gamma, real alpha) noexcept nogil:
    cdef real small = smaller_probability(y), large = larger_probability(y)
    cdef real p = small if y < 0 else large, q = large if y < 0 else small
    cdef real wrong = above_zero(t * q + (<real> 1 - t) * p)
    return balance(t, alpha) * power_of(wrong, gamma) * binary_cross_entropy_from_logits_(y, t, <real> 0, <real> 0)

# d wrong / dy = (1 - 2 t) p q, and that of the entropy is p - t = (1 - t) p - t q
cdef inline real binary_focal_from_logits_slope(real y, real t, real gamma, real alpha) noexcept nogil:
    cdef real small = smaller_probability(y), large = larger_probability(y)
    cdef real p = small if y < 0 else large, q = large if y < 0 else small
    cdef real wrong = above_zero(t * q + (<real> 1 - t) * p)
    cdef real entropy = binary_cross_entropy_from_logits_(y, t, <real> 0, <real> 0)
    cdef real of_power = gamma * (<real> 1 - <real> 2 * t) * (p * q) * entropy
    cdef real of_entropy = wrong * ((<real> 1 - t) * p - t * q)
    return balance(t, alpha) * (power_of(wrong, gamma) / wrong) * (of_power + of_entropy)

cdef void binary_focal_from_logits_loop(const LossRun *r) noexcept nogil:
    map_loss(r, binary_focal_from_logits_, binary_focal_from_logits_slope)

numbers_looped(
    "binary_focal_from_logits", "The above, of sigmoid(y), for any y without overflow or log(0).",
    binary_focal_from_logits_loop, "gamma: cell = 2.0 >= 0", "alpha: cell = -1.0 >= -1 <= 1",
)


cdef inline real focal_(real y, real t, real gamma, real alpha) noexcept nogil:
    cdef real p = probability(y)
    return -alpha * t * power_of(<real> 1 - p, gamma) * real_log(p)

cdef inline real focal_slope(real y, real t, real gamma, real alpha) noexcept nogil:
    cdef real p = probability(y)
    cdef real wrong = <real> 1 - p
    return -alpha * t * (power_of(wrong, gamma) / wrong) * (wrong / p - gamma * real_log(p))

cdef void focal_loop(const LossRun *r) noexcept nogil:
    map_loss(r, focal_, focal_slope)

rows_looped(
    "focal", "The mean over rows of -sum_j alpha t_j (1 - y_j)^gamma log(y_j), y clipped to [eps, 1 - eps].",
    focal_loop, "gamma: cell = 2.0 >= 0", "alpha: cell = 1.0 >= 0",
)


cdef inline real focal_of_logs_(real y, real t, real gamma, real alpha) noexcept nogil:
    return -alpha * t * power_of(above_zero(-real_expm1(y)), gamma) * y

cdef inline real focal_of_logs_slope(real y, real t, real gamma, real alpha) noexcept nogil:
    cdef real wrong = above_zero(-real_expm1(y))
    return -alpha * t * (power_of(wrong, gamma) / wrong) * (wrong - gamma * real_exp(y) * y)

cdef void focal_of_logs_loop(const LossRun *r) noexcept nogil:
    map_loss(r, focal_of_logs_, focal_of_logs_slope)

rows_looped(
    "focal_of_logs", "The mean over rows of -sum_j alpha t_j (1 - exp(y_j))^gamma y_j, of log-probabilities y.",
    focal_of_logs_loop, "gamma: cell = 2.0 >= 0", "alpha: cell = 1.0 >= 0",
)

# Losses of numbers.

cdef inline real mse_(real y, real t, real a, real b) noexcept nogil:
    return (y - t) * (y - t)

cdef inline real mse_gradient(real y, real t, real a, real b) noexcept nogil:
    return <real> 2 * (y - t)

cdef int mse_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(<const TargetLoss *> call.payload, mse_, mse_gradient)

target_loss("mse", "The mean of (y - t)^2 over rows and columns.", mse_body)


cdef inline real mae_(real y, real t, real a, real b) noexcept nogil:
    return magnitude(y - t)

cdef inline real mae_gradient(real y, real t, real a, real b) noexcept nogil:
    return <real> 1 if y > t else <real> -1 if y < t else y - t        # 0, or NaN

cdef int mae_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(<const TargetLoss *> call.payload, mae_, mae_gradient)

target_loss("mae", "The mean of |y - t| over rows and columns.", mae_body)


# Huber 1964.
cdef inline real huber_(real y, real t, real delta, real b) noexcept nogil:
    cdef real distance = magnitude(y - t)
    cdef real inside = <real> 0.5 * distance * distance
    cdef real outside = delta * (distance - <real> 0.5 * delta)
    return outside if distance > delta else inside

cdef inline real huber_gradient(real y, real t, real delta, real b) noexcept nogil:
    cdef real difference = y - t
    return delta if difference > delta else -delta if difference < -delta else difference

cdef int huber_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return mean_over_numbers(<const TargetLoss *> call.payload, huber_, huber_gradient)

target_loss(
    "huber", "The mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); d = y - t.",
    huber_body, "delta: cell = 1.0 >= 0",
)


cdef inline real sign_of(real x) noexcept nogil:
    return <real> 1 if x > 0 else <real> -1 if x < 0 else x        # 0, or NaN

# Girshick 2015.
cdef inline real smooth_l1_(real y, real t, real beta, real b) noexcept nogil:
    cdef real distance = magnitude(y - t)
    cdef real inside = <real> 0.5 * distance * distance / beta
    return inside if distance < beta else distance - <real> 0.5 * beta

cdef inline real smooth_l1_slope(real y, real t, real beta, real b) noexcept nogil:
    cdef real difference = y - t
    cdef real outside = sign_of(difference)
    return difference / beta if magnitude(difference) < beta else outside

cdef void smooth_l1_loop(const LossRun *r) noexcept nogil:
    map_loss(r, smooth_l1_, smooth_l1_slope)

numbers_looped(
    "smooth_l1", "The mean of d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; d = y - t.", smooth_l1_loop,
    "beta: cell = 1.0 >= 0",
)


# log(cosh(d)) = |d| - log(2) + log(1 + e^(-2 |d|)), and near 0, where that cancels, log(1 + m^2 / (2 (1 + m))) with
# m = e^-|d| - 1, as cosh(d) - 1 = m^2 / (2 (1 + m)).
cdef inline real log_cosh_(real y, real t, real a, real b) noexcept nogil:
    cdef real distance = magnitude(y - t)
    cdef real m = real_expm1(-distance)
    cdef real e = <real> 1 + m
    cdef real near = m * m / (<real> 2 * e)
    cdef real rest = log1p_up_to_one(near if distance < 1 else e * e)
    cdef real far = (distance - <real> 0.6931471805599453) + rest
    return rest if distance < 1 else far

cdef inline real log_cosh_slope(real y, real t, real a, real b) noexcept nogil:
    return real_tanh(y - t)

cdef void log_cosh_loop(const LossRun *r) noexcept nogil:
    map_loss(r, log_cosh_, log_cosh_slope)

numbers_looped("log_cosh", "The mean of log(cosh(y - t)), for any difference without overflow.", log_cosh_loop)


# Koenker and Bassett 1978. 0 at 0, as the derivative of |d|.
cdef inline real quantile_(real y, real t, real q, real b) noexcept nogil:
    cdef real difference = y - t
    cdef real below = -q * difference, above = (<real> 1 - q) * difference
    return below if difference < 0 else above

cdef inline real quantile_slope(real y, real t, real q, real b) noexcept nogil:
    cdef real difference = y - t
    return <real> 1 - q if difference > 0 else -q if difference < 0 else difference

cdef void quantile_loop(const LossRun *r) noexcept nogil:
    map_loss(r, quantile_, quantile_slope)

numbers_looped(
    "quantile", "The mean of q (t - y) where y < t, else (1 - q) (y - t).", quantile_loop, "q: cell = 0.5 > 0 < 1"
)


# Newey and Powell 1987.
cdef inline real expectile_(real y, real t, real tau, real b) noexcept nogil:
    cdef real difference = y - t
    return (tau if difference < 0 else <real> 1 - tau) * (difference * difference)

cdef inline real expectile_slope(real y, real t, real tau, real b) noexcept nogil:
    cdef real difference = y - t
    return <real> 2 * (tau if difference < 0 else <real> 1 - tau) * difference

cdef void expectile_loop(const LossRun *r) noexcept nogil:
    map_loss(r, expectile_, expectile_slope)

numbers_looped(
    "expectile", "The mean of tau d^2 where y < t, else (1 - tau) d^2; d = y - t.", expectile_loop,
    "tau: cell = 0.5 > 0 < 1",
)


# Below 0, where the logarithm ends, it goes on as the straight line that it is there: its slope is 1 on both sides.
cdef inline real log1p_or_line(real y) noexcept nogil:
    cdef real logarithm = real_log1p(y)
    return logarithm if y > 0 else y

cdef inline real msle_(real y, real t, real a, real b) noexcept nogil:
    cdef real difference = log1p_or_line(y) - real_log1p(t)
    return difference * difference

cdef inline real msle_slope(real y, real t, real a, real b) noexcept nogil:
    cdef real twice = <real> 2 * (log1p_or_line(y) - real_log1p(t))
    return twice / (<real> 1 + y if y > 0 else <real> 1)

cdef void msle_loop(const LossRun *r) noexcept nogil:
    map_loss(r, msle_, msle_slope)

numbers_looped("msle", "The mean of (l(y) - log(1 + t))^2, l(y) = log(1 + y) where y > 0, else y.", msle_loop)


cdef inline real mape_(real y, real t, real eps, real b) noexcept nogil:
    cdef real size = magnitude(t)
    return <real> 100 * magnitude(y - t) / (eps if size < eps else size)

cdef inline real mape_slope(real y, real t, real eps, real b) noexcept nogil:
    cdef real size = magnitude(t)
    return <real> 100 * sign_of(y - t) / (eps if size < eps else size)

cdef void mape_loop(const LossRun *r) noexcept nogil:
    map_loss(r, mape_, mape_slope)

numbers_looped("mape", "The mean of 100 |y - t| / max(|t|, eps).", mape_loop, "eps: cell = 1e-7 > 0")

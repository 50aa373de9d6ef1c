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

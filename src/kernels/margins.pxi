# Losses of margins, for targets of -1 and 1.

cdef inline real hinge_(real y, real t, real a, real b) noexcept nogil:
    cdef real short = <real> 1 - t * y
    return <real> 0 if short <= 0 else short

cdef inline real hinge_slope(real y, real t, real a, real b) noexcept nogil:
    return <real> 0 if <real> 1 - t * y <= 0 else -t

cdef void hinge_loop(const LossRun *r) noexcept nogil:
    map_loss(r, hinge_, hinge_slope)

numbers_looped("hinge", "The mean of max(0, 1 - t y), t = -1 or 1.", hinge_loop)


cdef inline real squared_hinge_(real y, real t, real a, real b) noexcept nogil:
    cdef real short = hinge_(y, t, a, b)
    return short * short

cdef inline real squared_hinge_slope(real y, real t, real a, real b) noexcept nogil:
    return <real> -2 * t * hinge_(y, t, a, b)

cdef void squared_hinge_loop(const LossRun *r) noexcept nogil:
    map_loss(r, squared_hinge_, squared_hinge_slope)

numbers_looped("squared_hinge", "The mean of max(0, 1 - t y)^2, t = -1 or 1.", squared_hinge_loop)

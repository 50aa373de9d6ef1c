# Plain SGD remembers nothing that could shrink into subnormal numbers. So it keeps them, as backward does, and the step
# within a product, which is a sum of both, has the bits of both apart.

cdef extern from "tape/call.h":
    size_t subnormals_are_kept() noexcept nogil     # within what updates parameters; returns what sets it back
    void subnormals_as(size_t before) noexcept nogil

# The peak of this processor's multiply-add units, to compare products with: no kernel, and so without a twin.

cdef extern from "gemm/all.c":
    double fma_peak_loop(Py_ssize_t n) noexcept nogil


def fma_peak(Py_ssize_t n):
    """Run `n` blocks of multiply-adds that touch registers only, and return how many operations they are.

    Divided by the seconds that this takes, they are the most operations per second that one thread of this build can
    reach in a product. The GIL is released.
    """
    cdef double operations
    if n < 0:
        raise ValueError(f"fma_peak: n is {n}, expected a number of blocks >= 0")
    with nogil:
        operations = fma_peak_loop(n)
    return operations

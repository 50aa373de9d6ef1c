# The peak of this processor's multiply-add units, to compare products with: no kernel, and so without a twin.

cdef extern from "gemm/peak.h":
    double fma_peak_loop(Py_ssize_t n) noexcept nogil


fma_peak = peak_function(__name__, fma_peak_loop)

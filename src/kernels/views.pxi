# Memoryviews over what a payload holds, without an object, a count or the interpreter's lock: debug builds check their
# bounds.
cdef extern from *:
    """
    #define VIEW_OF(address, item_size, dimensions, n, inner) ({                                       \\
        __Pyx_memviewslice view;                                                                       \\
        view.memview = (struct __pyx_memoryview_obj *)Py_None;                                         \\
        view.data = (char *)(address);                                                                 \\
        view.shape[0] = (n);                                                                           \\
        view.strides[0] = (Py_ssize_t)(item_size) * ((dimensions) == 2 ? (inner) : 1);                 \\
        view.suboffsets[0] = -1;                                                                       \\
        if ((dimensions) == 2) {                                                                       \\
            view.shape[1] = (inner);                                                                   \\
            view.strides[1] = (Py_ssize_t)(item_size);                                                 \\
            view.suboffsets[1] = -1;                                                                   \\
        }                                                                                              \\
        view;                                                                                          \\
    })
    #define vector_of(address, n) VIEW_OF(address, sizeof(real), 1, n, 1)
    #define matrix_of(address, rows, columns) VIEW_OF(address, sizeof(real), 2, rows, columns)
    #define labels_of(address, n) VIEW_OF(address, sizeof(int64_t), 1, n, 1)
    """
    real[::1] vector "vector_of"(real *address, Py_ssize_t n) noexcept nogil
    const real[::1] input_vector "vector_of"(const real *address, Py_ssize_t n) noexcept nogil
    real[:, ::1] matrix "matrix_of"(real *address, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil
    const real[:, ::1] input_matrix "matrix_of"(const real *address, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil
    int64_t[::1] output_labels "labels_of"(int64_t *address, Py_ssize_t n) noexcept nogil
    const int64_t[::1] labels "labels_of"(const int64_t *address, Py_ssize_t n) noexcept nogil

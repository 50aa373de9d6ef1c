# Checked arguments: an object becomes a typed memoryview, or an error that names kernel, argument, got and expected.

cdef str DTYPE = "float32" if sizeof(real) == 4 else "float64"


# None is a memoryview to Cython; here it is none.
cdef object present(object array):
    if array is None:
        raise TypeError
    return array


cdef object refuse(str kernel, str name, object array, str expected):
    got = type(array).__name__
    if hasattr(array, "dtype") and hasattr(array, "shape"):
        got = f"{array.dtype} of shape {tuple(array.shape)}"
        if hasattr(array, "flags"):
            got += "" if array.flags["C_CONTIGUOUS"] else ", not C-contiguous"
            got += "" if array.flags["WRITEABLE"] else ", read-only"
    kind = ValueError if hasattr(array, "dtype") else TypeError
    return kind(f"{kernel}: {name} is {got}, expected {expected}")


cdef const real[:, ::1] matrix(str kernel, str name, object array) except *:
    try:
        return present(array)
    except (ValueError, TypeError, BufferError):
        raise refuse(kernel, name, array, f"a C-contiguous {DTYPE} array of 2 dimensions") from None


cdef real[:, ::1] output_matrix(str kernel, str name, object array) except *:
    try:
        return present(array)
    except (ValueError, TypeError, BufferError):
        raise refuse(kernel, name, array, f"a writable C-contiguous {DTYPE} array of 2 dimensions") from None


cdef const real[::1] vector(str kernel, str name, object array) except *:
    try:
        return present(array)
    except (ValueError, TypeError, BufferError):
        raise refuse(kernel, name, array, f"a C-contiguous {DTYPE} array of 1 dimension") from None


cdef real[::1] output_vector(str kernel, str name, object array) except *:
    try:
        return present(array)
    except (ValueError, TypeError, BufferError):
        raise refuse(kernel, name, array, f"a writable C-contiguous {DTYPE} array of 1 dimension") from None


cdef const int64_t[::1] integers(str kernel, str name, object array) except *:
    try:
        return present(array)
    except (ValueError, TypeError, BufferError):
        raise refuse(kernel, name, array, "a C-contiguous int64 array of 1 dimension") from None


cdef double *cell(str kernel, str name, object array) except *:
    """The address of the one float64 of an array of shape (1,)."""
    cdef double[::1] view
    try:
        view = present(array)
    except (ValueError, TypeError, BufferError):
        raise refuse(kernel, name, array, "a writable float64 array of shape (1,)") from None
    if view.shape[0] != 1:
        raise ValueError(f"{kernel}: {name} has shape ({view.shape[0]},), expected (1,)")
    return &view[0]


cdef const double *read_only_cell(str kernel, str name, object array) except *:
    cdef const double[::1] view
    try:
        view = present(array)
    except (ValueError, TypeError, BufferError):
        raise refuse(kernel, name, array, "a float64 array of shape (1,)") from None
    if view.shape[0] != 1:
        raise ValueError(f"{kernel}: {name} has shape ({view.shape[0]},), expected (1,)")
    return &view[0]


cdef int same_shape(
    str kernel, str name, const real[:, ::1] array, str other_name, const real[:, ::1] other
) except -1:
    if array.shape[0] != other.shape[0] or array.shape[1] != other.shape[1]:
        raise ValueError(
            f"{kernel}: {name} has shape ({array.shape[0]}, {array.shape[1]}), "
            f"expected ({other.shape[0]}, {other.shape[1]}) to match {other_name}"
        )
    return 0


cdef int same_length(str kernel, str name, Py_ssize_t length, str other_name, Py_ssize_t expected) except -1:
    if length != expected:
        raise ValueError(f"{kernel}: {name} has length {length}, expected {expected} to match {other_name}")
    return 0


cdef int not_negative(str kernel, str name, double number) except -1:
    if not number >= 0:
        raise ValueError(f"{kernel}: {name} is {number}, expected a number >= 0")
    return 0


cdef int apart(
    str kernel, str name, const void *array, Py_ssize_t n_bytes, str other_name, const void *other,
    Py_ssize_t other_bytes, bint or_same=False,
) except -1:
    """The memory of an output must not overlap that of another array, but may be the same where `or_same` says so."""
    cdef const char *a = <const char *> array
    cdef const char *b = <const char *> other
    if n_bytes == 0 or other_bytes == 0:
        return 0
    if a < b + other_bytes and b < a + n_bytes and not (or_same and a == b):
        raise ValueError(
            f"{kernel}: {name} overlaps {other_name} in memory, expected separate arrays"
            + (" or the very same one" if or_same else "")
        )
    return 0


# Addresses of first elements; an empty array has none.
cdef inline const real *address(const real[:, ::1] array) noexcept:
    return &array[0, 0] if array.shape[0] > 0 and array.shape[1] > 0 else NULL


cdef inline real *output_address(real[:, ::1] array) noexcept:
    return &array[0, 0] if array.shape[0] > 0 and array.shape[1] > 0 else NULL


cdef inline const real *vector_address(const real[::1] array) noexcept:
    return &array[0] if array.shape[0] > 0 else NULL


cdef inline real *output_vector_address(real[::1] array) noexcept:
    return &array[0] if array.shape[0] > 0 else NULL


cdef inline void clear(Step *step, Body body, Py_ssize_t units) noexcept:
    memset(step, 0, sizeof(Step))
    step.body = body
    step.units = units


cdef inline void divide(Step *step, double nanoseconds) noexcept:
    """Let threads share the units of a step, of which each takes about so long."""
    step.grain = <Py_ssize_t> (5000 / nanoseconds) + 1
    step.nanoseconds = nanoseconds

# Copies of several arrays in one compiled call: no signal falls in between, and no other Python thread.

cdef extern from "Python.h":
    int PyBuffer_IsContiguous(const Py_buffer *buffer, char order)


# Parameters
# ----------
# targets, sources : sequences of ndarray
#     As many of each, in pairs of the same dtype and number of bytes, contiguous in C's order.
#
# Raises
# ------
# ValueError
#     Where a pair does not fit: nothing has been changed.
def copy_arrays(targets, sources):
    """Copy each source to its target: all of them, or none where one does not fit."""
    targets, sources = tuple(targets), tuple(sources)
    cdef Py_ssize_t n = len(targets), i, acquired = 0
    cdef Py_buffer *buffers
    if len(sources) != n:
        raise ValueError(f"copy_arrays: {len(sources)} sources, expected {n}, as many as targets")
    buffers = <Py_buffer *> PyMem_Malloc(2 * n * sizeof(Py_buffer))
    if buffers is NULL:
        raise MemoryError(f"copy_arrays: no memory for the buffers of {2 * n} arrays")
    try:
        for array in targets + sources:
            PyObject_GetBuffer(array, &buffers[acquired], PyBUF_FULL_RO)
            acquired += 1
        for i in range(n):
            check_pair(i, &buffers[i], &buffers[n + i])
        for i in range(n):      # a target may also be a source
            memmove(buffers[i].buf, buffers[n + i].buf, buffers[i].len)
    finally:
        for i in range(acquired):
            PyBuffer_Release(&buffers[i])
        PyMem_Free(buffers)


cdef int check_pair(Py_ssize_t i, const Py_buffer *target, const Py_buffer *source) except -1:
    if target.readonly:
        raise ValueError(f"copy_arrays: targets[{i}] is read-only, expected an array that can be written to")
    if not PyBuffer_IsContiguous(target, b"C"):
        raise ValueError(f"copy_arrays: targets[{i}] is not contiguous, expected an array in C's order")
    if not PyBuffer_IsContiguous(source, b"C"):
        raise ValueError(f"copy_arrays: sources[{i}] is not contiguous, expected an array in C's order")
    if target.len != source.len or target.itemsize != source.itemsize or strcmp(target.format, source.format) != 0:
        raise ValueError(
            f"copy_arrays: sources[{i}] has {bytes_in_words(source)}, expected {bytes_in_words(target)} "
            f"as in targets[{i}]"
        )
    return 0


cdef object bytes_in_words(const Py_buffer *b):
    return f"{b.len} bytes of format {b.format.decode()!r}"

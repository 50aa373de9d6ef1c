# One row in, one row out: what makes predicting for a single row one compiled call.

cdef class RowFunction:
    """A recorded function of one row, for one thread at a time.

    Parameters
    ----------
    tape : Tape
    x, y : ndarray of shape (1, n)
        Where the tape reads, and where it writes.
    dtype : dtype
        The one object that most arrays of the dtype of x have.
    holds : callable or None
        Says whether what is recorded still holds; None where it always does.
    """

    cdef Tape tape
    cdef object kept, dtype, holds, copy, copy_flat
    cdef char *x
    cdef Py_ssize_t n, item_size
    cdef bint is_short          # letting other Python threads in would take longer

    def __init__(self, Tape tape, x, y, dtype, holds):
        cdef unsigned char[::1] memory = memoryview(x).cast("B")
        self.tape, self.kept, self.dtype, self.holds = tape, x, dtype, holds
        self.n, self.item_size = x.shape[1], x.itemsize
        self.x = <char *> &memory[0]
        self.copy, self.copy_flat = y.copy, y[0].copy
        self.is_short = tape.work < 4

    def of(self, row, int n_dims):
        """Return a new array of as many dimensions, 1 or 2, for an ndarray that is a row.

        None where it is not, or of another dtype; where another thread is at it; and where nothing holds any more.
        """
        cdef Py_buffer buffer
        cdef bint fits
        cdef int last = n_dims - 1
        if row.dtype is not self.dtype or (self.holds is not None and not self.holds()):
            return None
        if owner_exists(&self.tape.replayer):
            return None     # from here on, only the replay can let other threads in
        PyObject_GetBuffer(row, &buffer, PyBUF_STRIDED_RO)
        fits = buffer.ndim == n_dims and buffer.shape[last] == self.n and (last == 0 or buffer.shape[0] == 1)
        if fits:
            self.read(<const char *> buffer.buf, buffer.strides[last])
        PyBuffer_Release(&buffer)
        if not fits:
            return None
        self.tape.run(self.is_short)
        return self.copy_flat() if n_dims == 1 else self.copy()

    cdef inline void read(self, const char *row, Py_ssize_t stride) noexcept:
        cdef Py_ssize_t i
        if stride == self.item_size:
            memcpy(self.x, row, self.n * self.item_size)
            return
        for i in range(self.n):
            memcpy(self.x + i * self.item_size, row + i * stride, self.item_size)

# The targets of a few rows, read and checked without NumPy.

cdef extern from "math.h":
    bint isfinite(double number) noexcept nogil


@cython.final
@cython.auto_pickle(False)
cdef class TargetReader(RowsReader):
    """Memory for the targets of some rows, or for their labels, and what reads and checks them.

    Parameters
    ----------
    target : ndarray of shape (most, n), or (most,) and int64
    dtype : dtype
        The one object that most arrays of the dtype of targets have.
    low, high : float
        Between which they lie; the largest label.
    """

    cdef int64_t *labels        # or NULL
    cdef double low, high
    cdef Py_ssize_t rows        # that are to be read
    cdef object int64

    def __init__(self, target, dtype, double low, double high):
        from numpy import int64

        cdef int64_t[::1] labels
        RowsReader.__init__(self, target.reshape(len(target), -1), dtype)
        self.low, self.high, self.int64 = low, high, int64
        if target.ndim == 1:
            labels = target
            self.labels = &labels[0]

    cdef char *place(self, Py_ssize_t rows) except? NULL:
        return self.x if rows == self.rows else NULL

    cdef bint read_targets(self, y, Py_ssize_t rows) except -1:
        """Read those of some rows: one for each where that is all, or as many for each as there are outputs."""
        self.rows = rows
        if self.labels is not NULL:
            return self.read_labels(y)
        if self.n == 1 and self.is_flat(y):
            return self.read_column(y) and self.hold()
        return self.read(y, 2, None) == rows and self.hold()

    cdef bint read_one(self, y) except -1:
        """Read those of one row, which may be a number."""
        cdef RowsReader reader = self       # methods of fused types are not found by way of a class derived from theirs
        self.rows = 1
        if self.labels is not NULL:
            return self.read_label(y, 0)
        if self.n == 1 and type(y) is float:
            reader.put(0, <double> y)
        elif self.n == 1 and not (type(y) is self.array_type or PyList_CheckExact(y) or PyTuple_CheckExact(y)):
            if not self.read((y,), 1, None):
                return False
        elif not self.read(y, 1, None):
            return False
        return self.hold()

    cdef bint may_lose_digits(self) noexcept:
        return self.is_cast and self.labels is NULL

    cdef bint hold(self) noexcept:
        """Whether they lie where they may."""
        cdef Py_ssize_t i
        cdef bint all_do = True
        cdef double number
        for i in range(self.rows * self.n):
            number = (<float *> self.x)[i] if self.item_size == sizeof(float) else (<double *> self.x)[i]
            all_do &= isfinite(number) and self.low <= number <= self.high
        return all_do

    cdef bint is_flat(self, y) except -1:
        if type(y) is self.array_type:
            return (<const NDArray *> y).nd == 1
        if not (PyList_CheckExact(y) or PyTuple_CheckExact(y)) or PySequence_Fast_GET_SIZE(y) != self.rows:
            return False
        first = <object> PySequence_Fast_ITEMS(y)[0]
        return not (PyList_CheckExact(first) or PyTuple_CheckExact(first) or type(first) is self.array_type)

    cdef bint read_column(self, y) except -1:
        """Read one number for each row, as if they were the numbers of one row."""
        cdef Py_ssize_t rows = self.rows
        self.n, self.rows = rows, 1
        try:
            return self.read(y, 1, None)
        finally:
            self.n, self.rows = 1, rows

    cdef bint read_labels(self, y) except -1:
        cdef Py_ssize_t i
        if type(y) is self.array_type:
            return self.copy_labels(<const NDArray *> y)
        if not (PyList_CheckExact(y) or PyTuple_CheckExact(y)) or PySequence_Fast_GET_SIZE(y) != self.rows:
            return False
        for i in range(self.rows):
            if not self.read_label(<object> PySequence_Fast_ITEMS(y)[i], i):
                return False
        return True

    cdef bint copy_labels(self, const NDArray *y) noexcept:
        """Read whole numbers of the types that hold most labels; False where there are others, or one is no label."""
        cdef const char *label = y.data
        cdef char letter = nd_letter(y)
        cdef Py_ssize_t i
        cdef int64_t wide
        cdef int number
        cdef bint is_one, all_are = True, is_wide = letter == c"l" and sizeof(long) == sizeof(int64_t)
        if y.nd != 1 or y.shape[0] != self.rows or not (is_wide or letter == c"i" or letter == c"B"):
            return False
        for i in range(self.rows):
            if is_wide:
                memcpy(&wide, label, sizeof(int64_t))
            elif letter == c"B":
                wide = (<const unsigned char *> label)[0]
            else:
                memcpy(&number, label, sizeof(int))
                wide = number
            is_one = 0 <= wide <= self.high
            all_are &= is_one
            self.labels[i] = wide if is_one else 0  # steps of other numbers of rows are recorded over what stands here
            label += y.strides[0]
        return all_are

    cdef bint read_label(self, y, Py_ssize_t i) except -1:
        cdef long long label
        cdef int overflow = 0
        if not PyLong_CheckExact(<PyObject *> y):
            if type(y) is not self.int64:
                return False
            y = int(y)
        label = PyLong_AsLongLongAndOverflow(<PyObject *> y, &overflow)
        if overflow != 0 or not 0 <= label <= self.high:
            return False
        self.labels[i] = label
        return True

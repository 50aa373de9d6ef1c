# One row in, one row out: what makes predicting for a single row one compiled call, whatever numbers the row is of.
# What reads the row is also the beginning of a training step of one row.

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object row)        # of a list or a tuple
    Py_ssize_t PySequence_Fast_GET_SIZE(object row)
    PyTypeObject *Py_TYPE(PyObject *object)
    bint PyList_CheckExact(object row)
    bint PyTuple_CheckExact(object row)
    bint PyFloat_CheckExact(PyObject *object)
    bint PyLong_CheckExact(PyObject *object)
    bint PyBool_Check(PyObject *object)
    bint PyDict_CheckExact(object row)
    Py_ssize_t PyDict_Size(object row)
    PyObject *PyDict_GetItemWithError(object row, object key) except? NULL
    double PyFloat_AsDouble(PyObject *object)
    long long PyLong_AsLongLongAndOverflow(PyObject *object, int *overflow)

ctypedef fused Number:
    float
    double
    signed char
    short
    int
    long
    long long
    unsigned char
    unsigned short
    unsigned int
    unsigned long
    unsigned long long


cdef class RowReader:
    """Memory for one row, and what reads rows of any numbers into it.

    Parameters
    ----------
    x : ndarray of shape (1, n)
        The memory.
    dtype : dtype
        The one object that most arrays of the dtype of x have.
    """

    cdef object kept, dtype
    cdef object array_type, float32, float64
    cdef char *x
    cdef Py_ssize_t n, item_size

    def __init__(self, x, dtype):
        from numpy import float32, float64, ndarray

        cdef unsigned char[::1] memory = memoryview(x).cast("B")
        self.array_type, self.float32, self.float64 = ndarray, float32, float64
        self.kept, self.dtype = x, dtype
        self.n, self.item_size = x.shape[1], x.itemsize
        self.x = <char *> &memory[0]

    cdef bint read(self, row, int n_dims, names):
        """Read an ndarray of as many dimensions, 1 or 2, or a list, tuple or dict of numbers; say whether it is one.

        Numbers of other types become those of the dtype of x as NumPy casts them. Those of a dict are taken by these
        names, where there are any. False for all else, and for numbers that NumPy would have to look at.
        """
        if type(row) is self.array_type:
            return self.read_array(row, n_dims)
        if n_dims != 1:
            return False
        if PyList_CheckExact(row) or PyTuple_CheckExact(row):
            return self.read_numbers(row)
        return names is not None and PyDict_CheckExact(row) and self.read_named(row, names)

    cdef bint read_array(self, row, int n_dims):
        cdef Py_buffer buffer
        cdef int last = n_dims - 1
        cdef bint is_cast = row.dtype is not self.dtype, is_read
        if is_cast:
            try:
                PyObject_GetBuffer(row, &buffer, PyBUF_RECORDS_RO)
            except (ValueError, BufferError):       # of dates, for example
                return False
        else:
            PyObject_GetBuffer(row, &buffer, PyBUF_STRIDED_RO)
        is_read = buffer.ndim == n_dims and buffer.shape[last] == self.n and (last == 0 or buffer.shape[0] == 1)
        if is_read and is_cast:
            is_read = self.cast_from(buffer.format, <const char *> buffer.buf, buffer.strides[last])
        elif is_read:
            self.copy_in(<const char *> buffer.buf, buffer.strides[last])
        PyBuffer_Release(&buffer)
        return is_read

    cdef inline void copy_in(self, const char *row, Py_ssize_t stride) noexcept:
        cdef Py_ssize_t i
        if stride == self.item_size:
            memcpy(self.x, row, self.n * self.item_size)
            return
        for i in range(self.n):
            memcpy(self.x + i * self.item_size, row + i * stride, self.item_size)

    cdef bint cast_from(self, const char *format, const char *row, Py_ssize_t stride) noexcept:
        """Read numbers of another type; False where they are none in this machine's own form."""
        cdef Py_ssize_t i
        if format[0] == 0 or format[1] != 0:
            return False
        if format[0] == c"d":
            self.cast(<const double *> row, stride)
        elif format[0] == c"f":
            self.cast(<const float *> row, stride)
        elif format[0] == c"l":
            self.cast(<const long *> row, stride)
        elif format[0] == c"q":
            self.cast(<const long long *> row, stride)
        elif format[0] == c"i":
            self.cast(<const int *> row, stride)
        elif format[0] == c"h":
            self.cast(<const short *> row, stride)
        elif format[0] == c"b":
            self.cast(<const signed char *> row, stride)
        elif format[0] == c"L":
            self.cast(<const unsigned long *> row, stride)
        elif format[0] == c"Q":
            self.cast(<const unsigned long long *> row, stride)
        elif format[0] == c"I":
            self.cast(<const unsigned int *> row, stride)
        elif format[0] == c"H":
            self.cast(<const unsigned short *> row, stride)
        elif format[0] == c"B":
            self.cast(<const unsigned char *> row, stride)
        elif format[0] == c"?":
            for i in range(self.n):
                self.put(i, <int> (row[i * stride] != 0))
        else:
            return False
        return True

    cdef void cast(self, const Number *row, Py_ssize_t stride) noexcept:
        cdef Number number
        cdef Py_ssize_t i
        for i in range(self.n):
            memcpy(&number, <const char *> row + i * stride, sizeof(Number))
            self.put(i, number)

    cdef inline void put(self, Py_ssize_t i, Number number) noexcept:
        if self.item_size == sizeof(float):
            (<float *> self.x)[i] = <float> number
        else:
            (<double *> self.x)[i] = <double> number

    cdef bint read_numbers(self, row):
        """Read Python's numbers, and NumPy's floats; False where there are others, or too large ones.

        As in NumPy, whole numbers are cast at once where there are no others, and are made float64 first where there
        are.
        """
        cdef PyObject **items = PySequence_Fast_ITEMS(row)
        cdef PyObject *kind
        cdef Py_ssize_t i
        cdef long long number
        cdef int overflow = 0
        cdef bint is_whole = True
        if PySequence_Fast_GET_SIZE(row) != self.n:
            return False
        for i in range(self.n):
            kind = <PyObject *> Py_TYPE(items[i])
            if PyFloat_CheckExact(items[i]) or kind == <PyObject *> self.float64 or kind == <PyObject *> self.float32:
                is_whole = False
            elif not (PyLong_CheckExact(items[i]) or PyBool_Check(items[i])):
                return False
        for i in range(self.n):
            if PyLong_CheckExact(items[i]) or PyBool_Check(items[i]):
                number = PyLong_AsLongLongAndOverflow(items[i], &overflow)
                if overflow != 0:
                    return False
                if is_whole:
                    self.put(i, number)
                else:
                    self.put(i, <double> number)
            else:
                self.put(i, PyFloat_AsDouble(items[i]))
        return True

    cdef bint read_named(self, row, tuple names) except -1:
        """As above, the numbers of a dict that has these names and no others.

        Whole numbers that float64 does not hold are left to NumPy: how it casts them depends on the others.
        """
        cdef PyObject *item
        cdef PyObject *kind
        cdef Py_ssize_t i
        cdef long long number
        cdef long long exact = 9007199254740992  # 2 ** 53: float64 holds all whole numbers up to here; no constant of C
        cdef int overflow = 0                    # can be it, which is an int, or has no sign
        if len(names) != self.n or PyDict_Size(row) != self.n:
            return False
        for i in range(self.n):
            item = PyDict_GetItemWithError(row, names[i])
            if item is NULL:
                return False
            kind = <PyObject *> Py_TYPE(item)
            if PyFloat_CheckExact(item) or kind == <PyObject *> self.float64 or kind == <PyObject *> self.float32:
                self.put(i, PyFloat_AsDouble(item))
            elif PyLong_CheckExact(item) or PyBool_Check(item):
                number = PyLong_AsLongLongAndOverflow(item, &overflow)
                if overflow != 0 or not -exact <= number <= exact:
                    return False
                self.put(i, <double> number)
            else:
                return False
        return True


cdef class RowFunction(RowReader):
    """A recorded function of one row, for one thread at a time.

    Parameters
    ----------
    tape : Tape
    x, y : ndarray of shape (1, n)
        Where the tape reads, and where it writes.
    dtype : dtype
        The one object that most arrays of the dtype of x have.
    """

    cdef Tape tape
    cdef object copy, copy_flat
    cdef bint is_short          # letting other Python threads in would take longer

    def __init__(self, Tape tape, x, y, dtype):
        RowReader.__init__(self, x, dtype)
        self.tape = tape
        self.copy, self.copy_flat = y.copy, y[0].copy
        self.is_short = tape.work < 4

    def of(self, row, int n_dims, names=None):
        """Return a new array of as many dimensions, 1 or 2, for a row.

        None where it is none that can be read without NumPy (see `read`), and where another thread is at it.
        """
        if owner_exists(&self.tape.replayer):
            return None     # from here on, only the replay can let other threads in
        if not self.read(row, n_dims, names):
            return None
        self.tape.run(self.is_short)
        return self.copy_flat() if n_dims == 1 else self.copy()

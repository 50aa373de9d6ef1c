# What reads a few rows, whatever numbers they are of, without NumPy: the beginning of predictions and of training steps
# that are one compiled call.

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
    double PyFloat_AS_DOUBLE(PyObject *object)
    long long PyLong_AsLongLongAndOverflow(PyObject *object, int *overflow)

cdef extern from "tape/ndarray.h":
    ctypedef struct NDType:
        pass
    ctypedef struct NDArray:
        char *data
        int nd
        Py_ssize_t *shape
        Py_ssize_t *strides
        NDType *dtype
    object nd_new(void **api, PyObject *type, PyObject *dtype, int nd, const Py_ssize_t *shape)
    char nd_letter(const NDArray *array) noexcept
    bint nd_is_plain(const NDArray *array) noexcept
    bint nd_may_write(const NDArray *array) noexcept

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

# float64 holds all whole numbers up to 2 ** 53: no constant of C can be it, which is an int, or has no sign
cdef long long EXACT = 9007199254740992


cdef int require_layout(x, const char *at) except -1:
    """Raise an error unless arrays, of which one lies there in two dimensions, are what is read as such."""
    cdef const NDArray *array = <const NDArray *> x
    if array.data == at and array.nd == 2 and <PyObject *> array.dtype == <PyObject *> x.dtype:
        if array.shape[1] == x.shape[1] and array.strides[1] == x.itemsize and nd_may_write(array):
            return 0
    raise ImportError("fastnn does not know the arrays of this NumPy: it was made for versions 1.24 to 2")


cdef inline bint is_whole(PyObject *item) noexcept:
    return PyLong_CheckExact(item) or PyBool_Check(item)


cdef inline bint take_whole(PyObject *item, bint is_alone, long long *number) noexcept:
    """Take a whole number; False for one that is too large, or that float64 does not hold where others stand beside."""
    cdef int overflow = 0
    number[0] = PyLong_AsLongLongAndOverflow(item, &overflow)
    return overflow == 0 and (is_alone or -EXACT <= number[0] <= EXACT)


cdef inline bint is_float(PyObject *item, PyObject *float64) noexcept:
    """Whether it is Python's, or NumPy's float64, which is a kind of it and lies as it does."""
    return PyFloat_CheckExact(item) or <PyObject *> Py_TYPE(item) == float64


# Parameters
# ----------
# x : ndarray of shape (most, n)
#     The memory.
# dtype : dtype
#     The one object that most arrays of the dtype of x have.
@cython.auto_pickle(False)
cdef class RowsReader:
    """Memory for some rows, and what reads rows of any numbers into it."""

    cdef object kept, dtype
    cdef object array_type, float32, float64
    cdef char *x                # where the row is read to that is next
    cdef Py_ssize_t n, item_size, most
    cdef bint is_cast           # whether the last numbers that have been read may have lost digits

    def __init__(self, x, dtype):
        from numpy import float32, float64, ndarray

        cdef unsigned char[::1] memory = memoryview(x).cast("B")
        self.array_type, self.float32, self.float64 = ndarray, float32, float64
        self.kept, self.dtype = x, dtype
        self.most, self.n, self.item_size = x.shape[0], x.shape[1], x.itemsize
        self.x = <char *> &memory[0]
        require_layout(x, self.x)

    cdef char *place(self, Py_ssize_t rows) except? NULL:
        """Where so many rows are to be read to, or NULL."""
        return self.x if rows == self.most else NULL

    @cython.final
    cdef Py_ssize_t read(self, rows, int n_dims, tree) except -1:
        """Read an ndarray of as many dimensions, or a list, tuple or dict of numbers; return how many rows it is.

        One dimension is one row; two are rows, of which a list may hold arrays, lists or tuples. Numbers of other types
        become those of the dtype of x as NumPy casts them. Those of a dict are taken by the names of the columns, where
        a tree is given that has any. 0 for all else, and for numbers that NumPy would have to look at.
        """
        if type(rows) is self.array_type:
            return self.read_array(rows, n_dims)
        self.is_cast = True
        if PyList_CheckExact(rows) or PyTuple_CheckExact(rows):
            if n_dims == 2:
                return self.read_rows(rows)
            return PySequence_Fast_GET_SIZE(rows) == self.n and self.begin(1) and self.read_numbers(rows, True)
        if n_dims == 2 or tree is None or not PyDict_CheckExact(rows):
            return 0
        names = tree.feature_names
        return names is not None and self.begin(1) and self.read_named(rows, names)

    @cython.final
    cdef bint begin(self, Py_ssize_t rows) except -1:
        cdef char *x = self.place(rows)
        if x is NULL:
            return False
        self.x = x
        return True

    @cython.final
    cdef Py_ssize_t read_array(self, rows, int n_dims) except -1:
        cdef const NDArray *array = <const NDArray *> rows
        cdef Py_ssize_t n = self.rows_of(array, n_dims)
        if n == 0 or not self.begin(n) or self.rows_of(array, n_dims) != n:     # recording lets other threads run
            return 0
        self.is_cast = not self.is_own(array)
        return n if self.read_numbers_of(array, n) else 0

    @cython.final
    cdef inline bint is_own(self, const NDArray *array) noexcept:
        """Whether its dtype is that of x."""
        return <PyObject *> array.dtype == <PyObject *> self.dtype

    @cython.final
    cdef inline Py_ssize_t rows_of(self, const NDArray *array, int n_dims) noexcept:
        """How many rows an array of as many dimensions has; 0 where it has others, or not the columns of x."""
        if array.nd != n_dims or array.shape[n_dims - 1] != self.n:
            return 0
        return 1 if n_dims == 1 else array.shape[0]

    @cython.final
    cdef bint read_numbers_of(self, const NDArray *array, Py_ssize_t n) noexcept:
        """Read n rows; an array of one dimension is one."""
        cdef Py_ssize_t i, stride = array.strides[array.nd - 1], size = self.n * self.item_size
        cdef const char *row = array.data
        cdef char *first = self.x
        cdef bint is_read = True
        if not self.is_cast and stride == self.item_size and (n == 1 or array.strides[0] == size):
            memcpy(self.x, row, n * size)
            return True
        for i in range(n):
            if self.is_cast:
                is_read = is_read and self.cast_from(nd_letter(array), row, stride)
            else:
                self.copy_in(row, stride)
            row += array.strides[0]
            self.x += size
        self.x = first
        return is_read

    @cython.final
    cdef inline void copy_in(self, const char *row, Py_ssize_t stride) noexcept:
        cdef Py_ssize_t i
        if stride == self.item_size:
            memcpy(self.x, row, self.n * self.item_size)
            return
        for i in range(self.n):
            memcpy(self.x + i * self.item_size, row + i * stride, self.item_size)

    cdef bint cast_from(self, char letter, const char *row, Py_ssize_t stride) noexcept:
        """Read numbers of another type; False where they are none in this machine's own form."""
        cdef Py_ssize_t i
        if letter == c"d":
            self.cast(<const double *> row, stride)
        elif letter == c"f":
            self.cast(<const float *> row, stride)
        elif letter == c"l":
            self.cast(<const long *> row, stride)
        elif letter == c"q":
            self.cast(<const long long *> row, stride)
        elif letter == c"i":
            self.cast(<const int *> row, stride)
        elif letter == c"h":
            self.cast(<const short *> row, stride)
        elif letter == c"b":
            self.cast(<const signed char *> row, stride)
        elif letter == c"L":
            self.cast(<const unsigned long *> row, stride)
        elif letter == c"Q":
            self.cast(<const unsigned long long *> row, stride)
        elif letter == c"I":
            self.cast(<const unsigned int *> row, stride)
        elif letter == c"H":
            self.cast(<const unsigned short *> row, stride)
        elif letter == c"B":
            self.cast(<const unsigned char *> row, stride)
        elif letter == c"?":
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

    cdef Py_ssize_t read_rows(self, rows) except -1:
        """Read rows that are arrays of floats, or lists or tuples of numbers that float64 holds.

        Of others it depends on all rows together how NumPy casts them.
        """
        cdef Py_ssize_t n = PySequence_Fast_GET_SIZE(rows), i, size = self.n * self.item_size
        cdef char *first
        if n == 0 or not self.is_row(<object> PySequence_Fast_ITEMS(rows)[0]) or not self.begin(n):
            return 0
        first = self.x
        try:
            for i in range(n):
                if i == PySequence_Fast_GET_SIZE(rows) or not self.read_row(<object> PySequence_Fast_ITEMS(rows)[i]):
                    return 0
                self.x += size
            return n
        finally:
            self.x = first

    cdef bint is_row(self, row) except -1:
        """Whether an object may be a row: what is recorded for so many rows takes long."""
        return type(row) is self.array_type or (
            (PyList_CheckExact(row) or PyTuple_CheckExact(row)) and PySequence_Fast_GET_SIZE(row) == self.n
        )

    cdef bint read_row(self, row) except -1:
        cdef const NDArray *array = <const NDArray *> row
        if type(row) is not self.array_type:
            return self.is_row(row) and self.read_numbers(row, False)
        if array.nd != 1 or array.shape[0] != self.n or not (nd_letter(array) == c"f" or nd_letter(array) == c"d"):
            return False
        return self.cast_from(nd_letter(array), array.data, array.strides[0])

    @cython.final
    cdef bint read_numbers(self, row, bint is_alone):
        """Read Python's numbers, and NumPy's floats; False where there are others, or too large ones.

        As in NumPy, whole numbers are cast at once where there are no others, and are made float64 first where there
        are: in the row, or in others beside it.
        """
        cdef PyObject **items = PySequence_Fast_ITEMS(row)
        cdef Py_ssize_t i = 0
        if is_whole(items[0]) and self.read_whole(items, is_alone):
            return True
        while True:
            i = self.read_floats(items, i)
            if i == self.n:
                return True
            if not self.read_number(items[i], i, is_alone):
                return False
            i += 1

    @cython.final
    cdef bint read_whole(self, PyObject **items, bint is_alone) noexcept:
        """The same where all are whole."""
        cdef float *floats = <float *> self.x
        cdef double *doubles = <double *> self.x
        cdef Py_ssize_t i
        cdef long long number
        cdef bint is_narrow = self.item_size == sizeof(float)
        for i in range(self.n):
            if not (is_whole(items[i]) and take_whole(items[i], is_alone, &number)):
                return False
            if is_narrow:
                floats[i] = <float> number
            else:
                doubles[i] = <double> number
        return True

    @cython.final
    cdef Py_ssize_t read_floats(self, PyObject **items, Py_ssize_t i) noexcept:
        """Read those from there on that are float, up to the first that is not."""
        cdef PyObject *float64 = <PyObject *> self.float64
        cdef float *floats = <float *> self.x
        cdef double *doubles = <double *> self.x
        cdef Py_ssize_t n = self.n
        cdef bint is_narrow = self.item_size == sizeof(float)
        while i < n and is_float(items[i], float64):
            if is_narrow:
                floats[i] = <float> PyFloat_AS_DOUBLE(items[i])
            else:
                doubles[i] = PyFloat_AS_DOUBLE(items[i])
            i += 1
        return i

    @cython.final
    cdef bint read_named(self, row, tuple names) except -1:
        """The numbers of a dict that has these names and no others.

        Whole numbers that float64 does not hold are left to NumPy: how it casts them depends on the others.
        """
        cdef PyObject *item
        cdef Py_ssize_t i
        if len(names) != self.n or PyDict_Size(row) != self.n:
            return False
        for i in range(self.n):
            item = PyDict_GetItemWithError(row, names[i])
            if item is NULL or not self.read_number(item, i, False):
                return False
        return True

    @cython.final
    cdef bint read_number(self, PyObject *item, Py_ssize_t i, bint is_alone):
        """Read one number beside others of any kind; `is_alone` says whether they are those of all rows."""
        cdef long long number
        if is_float(item, <PyObject *> self.float64):
            self.put(i, PyFloat_AS_DOUBLE(item))
        elif is_whole(item):
            if not take_whole(item, is_alone, &number):
                return False
            self.put(i, <double> number)
        elif <PyObject *> Py_TYPE(item) == <PyObject *> self.float32:
            self.put(i, PyFloat_AsDouble(item))
        else:
            return False
        return True

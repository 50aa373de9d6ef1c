# A few rows in, as many out: what makes predicting for them one compiled call.

@cython.final
@cython.auto_pickle(False)
cdef class Replay:
    """What is recorded for a number of rows.

    Attributes
    ----------
    is_short : bool
        Whether letting other Python threads in would take longer.
    """

    cdef Tape tape
    cdef char *x
    cdef object y
    cdef const char *y_at
    cdef bint is_short

    def __cinit__(self, Tape tape not None):
        self.tape = tape
        self.is_short = tape.work < 4


cdef struct Range:
    const char *low
    const char *high


@cython.final
@cython.auto_pickle(False)
cdef class RowsFunction(RowsReader):
    """A recorded function of a few rows, for one thread at a time.

    Parameters
    ----------
    recorded : callable
        Makes what is recorded for a number of rows: with a ``tape``, and ``x`` and ``y`` of shape (rows, n), which it
        reads and writes.
    most : int
        How many rows it may be.
    dtype : dtype
        The one object that most arrays of the dtype of x have.
    tree : Tree
        It knows the names of columns, and whether somebody has to look for digits that are lost where numbers are cast.
    arrays : sequence of ndarray
        What it may read beside x, which nothing is written into.
    """

    cdef object recorded, tree
    cdef list replays           # by the number of rows
    cdef Replay replay          # for so many rows, which have been read
    cdef Py_ssize_t rows
    cdef Owner owner
    cdef Py_ssize_t n_out, n_ranges
    cdef Range *ranges
    cdef void **api             # of NumPy

    def __init__(self, recorded, Py_ssize_t most, dtype, tree, arrays):
        try:
            from numpy._core._multiarray_umath import _ARRAY_API
        except ImportError:     # of NumPy 1
            from numpy.core._multiarray_umath import _ARRAY_API

        first = recorded(1)
        RowsReader.__init__(self, first.x, dtype)
        self.recorded, self.tree, self.most = recorded, tree, most
        self.api = <void **> PyCapsule_GetPointer(_ARRAY_API, NULL)
        self.n_out, self.replays = first.y.shape[1], [None] * (most + 1)
        self.keep(1, first)
        self.guard(arrays)

    def __dealloc__(self):
        PyMem_Free(self.ranges)

    cdef int guard(self, arrays) except -1:
        """Write down where the arrays lie, those that lie together at once."""
        cdef Range found
        cdef Py_ssize_t n = 0
        places = []
        for array in arrays:
            found = range_of(<const NDArray *> array, array.itemsize)
            places.append((<size_t> found.low, <size_t> found.high))
        places.sort()
        self.ranges = <Range *> PyMem_Malloc(max(len(places), 1) * sizeof(Range))
        if self.ranges is NULL:
            raise MemoryError("no memory for where the parameters lie")
        for low, high in places:
            found.low, found.high = <const char *> <size_t> low, <const char *> <size_t> high
            if n > 0 and found.low - self.ranges[n - 1].high < 64:      # as far as arrays of one memory lie apart
                self.ranges[n - 1].high = max(self.ranges[n - 1].high, found.high)
            else:
                self.ranges[n] = found
                n += 1
        self.n_ranges = n
        return 0

    cdef Replay keep(self, Py_ssize_t rows, recorded):
        cdef Replay replay = Replay(recorded.tape)
        cdef unsigned char[::1] x = memoryview(recorded.x).cast("B")
        cdef unsigned char[::1] y = memoryview(recorded.y).cast("B")
        replay.x, replay.y, replay.y_at = <char *> &x[0], recorded.y, <const char *> &y[0]
        self.replays[rows] = replay
        return replay

    cdef char *place(self, Py_ssize_t rows) except? NULL:
        if rows == self.rows:
            return self.replay.x
        if not 0 < rows <= self.most:
            return NULL
        found = self.replays[rows]
        self.replay = self.keep(rows, self.recorded(rows)) if found is None else <Replay> found
        self.rows = rows
        return self.replay.x

    def of(self, rows, int n_dims, out=None):
        """Return the outputs in as many dimensions, 1 or 2: a new array, or `out`, into which they are written.

        None where these are no rows that can be read without NumPy (see `read`), or no array to write into; and where
        another thread is at it.
        """
        if owner_exists(&self.owner):
            return None
        owner_take(&self.owner)
        try:
            return self.compute(rows, n_dims, out)
        finally:
            owner_give_back(&self.owner)

    cdef inline object compute(self, rows, int n_dims, out):
        cdef Py_ssize_t n = self.read(rows, n_dims, self.tree)
        cdef Replay replay
        if n == 0 or (n > 1 and self.is_cast and not self.tree.digits.skips()):
            return None
        replay = self.replay
        if out is not None:
            return out if self.compute_into(replay, n, n_dims, out) else None
        replay.tape.run(replay.is_short)
        return self.copy(replay.y_at, n, n_dims)

    cdef inline object copy(self, const char *y, Py_ssize_t n, int n_dims):
        cdef Py_ssize_t *shape = [n, self.n_out]
        y_new = nd_new(self.api, <PyObject *> self.array_type, <PyObject *> self.dtype, n_dims, shape + 2 - n_dims)
        memcpy((<const NDArray *> y_new).data, y, n * self.n_out * self.item_size)
        return y_new

    cdef bint compute_into(self, Replay replay, Py_ssize_t n, int n_dims, out) except -1:
        """Compute the outputs into an array, and say whether they can be written there."""
        cdef const NDArray *array = <const NDArray *> out
        if type(out) is not self.array_type:
            return False
        replay.tape.run(replay.is_short)
        if not self.may_write(array, n, n_dims):    # asked now: other threads may have run, and changed it
            return False
        self.write(array, replay.y_at, n)
        return True

    def is_apart(self, array):
        """Whether an array surely shares no memory with those that are read beside x."""
        return self.lies_apart(<const NDArray *> array)

    cdef bint may_write(self, const NDArray *out, Py_ssize_t n, int n_dims) noexcept:
        if not self.is_own(out) or not nd_may_write(out):
            return False
        if out.nd != n_dims or out.shape[n_dims - 1] != self.n_out or (n_dims == 2 and out.shape[0] != n):
            return False
        return self.lies_apart(out)

    cdef bint lies_apart(self, const NDArray *out) noexcept:
        cdef Range found = range_of(out, self.item_size)
        cdef Py_ssize_t i
        for i in range(self.n_ranges):
            if found.low < self.ranges[i].high and self.ranges[i].low < found.high:
                return False
        return True

    cdef void write(self, const NDArray *out, const char *y, Py_ssize_t n) noexcept:
        cdef Py_ssize_t i, j, size = self.n_out * self.item_size, stride = out.strides[out.nd - 1]
        cdef char *row = out.data
        for i in range(n):
            if stride == self.item_size:
                memcpy(row, y, size)
            else:
                for j in range(self.n_out):
                    memcpy(row + j * stride, y + j * self.item_size, self.item_size)
            row += out.strides[0]
            y += size


cdef Range range_of(const NDArray *array, Py_ssize_t item_size) noexcept:
    """Between which addresses the numbers of an array lie."""
    cdef Range found
    cdef Py_ssize_t i, reach
    found.low = found.high = array.data
    for i in range(array.nd):
        reach = (array.shape[i] - 1) * array.strides[i]
        if reach < 0:
            found.low += reach
        else:
            found.high += reach
    found.high += item_size
    return found

# Rows in, as many out: what makes predicting for them one compiled call.

cdef enum:
    LEAST_IN_PLACE = 16384      # bytes of rows that are read where they lie; fewer are copied in less time

# Attributes
# ----------
# work : float
#     That of the tape.
# is_short : bool
#     Whether letting other Python threads in would take longer.
@cython.final
@cython.auto_pickle(False)
cdef class Replay:
    """What is recorded for a number of rows."""

    cdef Tape tape
    cdef Inlet inlet
    cdef char *x
    cdef object y
    cdef const char *y_at
    cdef double work
    cdef bint is_short

    def __cinit__(self, Tape tape not None, Inlet inlet=None):
        self.tape, self.inlet, self.work = tape, inlet, tape.work
        self.is_short = self.work < 4

    cdef inline int run(self, rows, bint in_place) except -1:
        """Compute y, of rows that have been read, or in place."""
        if in_place:
            return self.inlet.run((<const NDArray *> rows).data, self.is_short, None)
        return self.tape.run(self.is_short)


cdef struct Range:
    const char *low
    const char *high


# Parameters
# ----------
# recorded : callable
#     Makes what is recorded for a number of rows: with a ``tape``, ``x`` and ``y`` of shape (rows, n), which it reads
#     and writes, and an ``inlet``, or None.
# most : int
#     How many rows it may be that are copied.
# most_in_place : int
#     How many that are read where they lie: those of a contiguous array of the dtype of x.
# most_work : float
#     What more than `most` rows may take: others compute what is worth more threads.
# dtype : dtype
#     The one object that most arrays of the dtype of x have.
# tree : Tree
#     It knows the names of columns, and whether somebody has to look for digits that are lost where numbers are cast.
# arrays : sequence of ndarray
#     What it may read beside x, which nothing is written into.
@cython.final
@cython.auto_pickle(False)
cdef class RowsFunction(RowsReader):
    """A recorded function of rows, for one thread at a time."""

    cdef object recorded, tree
    cdef Py_ssize_t least_in_place, most_in_place
    cdef double most_work
    cdef list replays           # by the number of rows, of few
    cdef Replay replay          # for so many rows, which have been read
    cdef Py_ssize_t rows
    cdef Owner owner
    cdef Py_ssize_t n_out, n_ranges
    cdef Range *ranges
    cdef void **api             # of NumPy

    def __init__(
        self, recorded, Py_ssize_t most, Py_ssize_t most_in_place, double most_work, dtype, tree, arrays
    ):
        try:
            from numpy._core._multiarray_umath import _ARRAY_API
        except ImportError:     # of NumPy 1
            from numpy.core._multiarray_umath import _ARRAY_API

        first = recorded(1)
        RowsReader.__init__(self, first.x, dtype)
        self.recorded, self.tree, self.most = recorded, tree, most
        self.least_in_place = min(most, LEAST_IN_PLACE // (self.n * self.item_size)) + 1
        self.most_in_place, self.most_work = most_in_place, most_work
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
        cdef Replay replay = Replay(recorded.tape, recorded.inlet)
        x, y = recorded.x, recorded.y
        replay.x, replay.y, replay.y_at = (<const NDArray *> x).data, y, (<const NDArray *> y).data
        if rows <= self.most:
            self.replays[rows] = replay
        return replay

    cdef int choose(self, Py_ssize_t rows) except -1:
        if rows == self.rows:
            return 0
        found = self.replays[rows] if rows <= self.most else None
        self.replay = self.keep(rows, self.recorded(rows)) if found is None else <Replay> found
        self.rows = rows
        return 0

    cdef char *place(self, Py_ssize_t rows) except? NULL:
        if not 0 < rows <= self.most:
            return NULL
        self.choose(rows)
        return self.replay.x

    cdef Py_ssize_t find(self, rows) except -1:
        """How many rows are read where they lie; 0: none are."""
        cdef const NDArray *array = <const NDArray *> rows
        cdef Py_ssize_t n = self.rows_of(array, 2)
        if not self.least_in_place <= n <= self.most_in_place or not self.is_plain(array):
            return 0
        self.choose(n)
        if self.replay.inlet is None or (n > self.most and self.replay.work >= self.most_work):
            return 0
        return n if self.is_plain(array) and self.rows_of(array, 2) == n else 0     # recording lets other threads run

    cdef inline bint is_plain(self, const NDArray *array) noexcept:
        return self.is_own(array) and nd_is_plain(array)

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
        cdef Py_ssize_t n = self.find(rows) if n_dims == 2 and type(rows) is self.array_type else 0
        cdef bint in_place = n > 0
        cdef Replay replay
        if not in_place:
            n = self.read(rows, n_dims, self.tree)
            if n == 0 or (n > 1 and self.is_cast and not self.tree.digits.skips()):
                return None
        replay = self.replay
        if out is None:
            replay.run(rows, in_place)
            return self.copy(replay.y_at, n, n_dims)
        if type(out) is not self.array_type:
            return None
        replay.run(rows, in_place)
        if not self.may_write(<const NDArray *> out, n, n_dims):    # asked now: other threads may have changed it
            return None
        self.write(<const NDArray *> out, replay.y_at, n)
        return out

    cdef inline object copy(self, const char *y, Py_ssize_t n, int n_dims):
        cdef Py_ssize_t *shape = [n, self.n_out]
        y_new = nd_new(self.api, <PyObject *> self.array_type, <PyObject *> self.dtype, n_dims, shape + 2 - n_dims)
        memcpy((<const NDArray *> y_new).data, y, n * self.n_out * self.item_size)
        return y_new

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

# Where a tape reads its input: at an array of its own, or wherever else one of the same shape lies.

cdef enum:
    MOST_PLACES = 16        # where calls of a tape read one array; with more, it is copied


cdef struct Place:          # of an address among the words of a tape's calls
    Py_ssize_t call
    int word


# Parameters
# ----------
# tape : Tape
# x : ndarray
#     What they read, and nothing writes.
# end : int
#     The call behind the last one that reads it.
#
# Attributes
# ----------
# is_open : bool
#     Whether they can: not where a function of Python may read x, nor where a tape runs copies of its calls, for sums
#     over blocks of rows.
@cython.final
@cython.auto_pickle(False)
cdef class Inlet:
    """The addresses by which calls of a tape read an array: for a replay they can be moved to another one."""

    cdef Tape tape
    cdef const char *x
    cdef Py_ssize_t n_bytes
    cdef int n_places
    cdef Place[16] places
    cdef readonly bint is_open

    def __cinit__(self, Tape tape not None, x, Py_ssize_t end):
        cdef Py_ssize_t i
        cdef int j
        self.tape, self.n_bytes, self.x = tape, x.nbytes, (<const NDArray *> x).data
        self.is_open = self.n_bytes > 0 and 0 <= end <= tape.length and not tape.is_long
        if not self.is_open:
            return
        for i in range(end):
            if tape.calls[i].body == call_python:
                self.is_open = False
                return
            for j in range(CALL_WORDS):     # what is no address is a size, smaller than all of them
                if self.x <= <const char *> tape.calls[i].payload[j] < self.x + self.n_bytes:
                    self.is_open = self.n_places < MOST_PLACES
                    if not self.is_open:
                        return
                    self.places[self.n_places] = Place(i, j)
                    self.n_places += 1
        self.is_open = self.n_places > 0

    cdef void move(self, Py_ssize_t n_bytes) noexcept:
        cdef void **word
        cdef int i
        for i in range(self.n_places):
            word = &self.tape.calls[self.places[i].call].payload[self.places[i].word]
            word[0] = <char *> word[0] + n_bytes

    def replay(self, x, stop=None):
        """Replay all calls with another array in place of x; only one thread may.

        Parameters
        ----------
        x : ndarray
            C-contiguous, of the shape and dtype of the own one.
        stop : Stop or None
            As in `Tape.replay`.
        """
        cdef const NDArray *array = <const NDArray *> x
        if not self.is_open or x.nbytes != self.n_bytes or not nd_is_plain(array):
            raise ValueError(f"{x.nbytes} bytes in place of {self.n_bytes} that can be moved, in C order and aligned")
        self.run(array.data, False, stop)

    cdef int run(self, const char *x, bint is_short, stop) except -1:
        self.move(x - self.x)
        try:
            return self.tape.run(is_short, stop)
        finally:
            self.move(self.x - x)

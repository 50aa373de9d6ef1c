# The order of rows in an epoch: a permutation that follows from (seed, epoch) alone, or a shuffle of NumPy's.

cdef extern from *:
    """
    /* The high 64 bits of a * b: a * (b / 2^64), an integer in [0, a) for a random b. */
    static uint64_t multiply_high(uint64_t a, uint64_t b) {
    #ifdef __SIZEOF_INT128__
        return (uint64_t)(((unsigned __int128)a * b) >> 64);
    #else
        uint64_t a0 = a & 0xFFFFFFFFu, a1 = a >> 32, b0 = b & 0xFFFFFFFFu, b1 = b >> 32;
        uint64_t middle = a1 * b0 + ((a0 * b0) >> 32);
        return a1 * b1 + (middle >> 32) + (((middle & 0xFFFFFFFFu) + a0 * b1) >> 32);
    #endif
    }
    """
    uint64_t multiply_high(uint64_t a, uint64_t b) noexcept nogil


cdef inline uint64_t mix(uint64_t z) noexcept nogil:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline void swap(int64_t *index, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    cdef int64_t last = index[i]
    index[i] = index[j]
    index[j] = last


cdef enum:
    ROWS_PER_LOOK = 65536   # that are put in order before the clock is read: a millisecond where they miss the cache


cdef int permute(
    int64_t *index, Py_ssize_t n, uint64_t seed, uint64_t epoch, Tape tape, Player *player
) noexcept nogil:
    """Fill `index` with the permutation of 0..n-1 that belongs to (seed, epoch): Fisher and Yates, from a counter.

    Signals are looked at as in a replay of the tape. Where it stops, `index` holds neither this order nor the last one.
    """
    cdef uint64_t state = mix(seed + mix(epoch + <uint64_t> 0x9E3779B97F4A7C15))
    cdef Py_ssize_t i, j, at, stop
    cdef uint64_t row           # without a sign, which GCC would multiply, too
    cdef int status
    at = 0
    while at < n:
        stop = min(at + ROWS_PER_LOOK, n)
        for i in range(at, stop):
            index[i] = i
        at = stop
        if at < n:
            status = look(tape, player)
            if status != 0:
                return status
    row = n - 1
    while n > 0 and row > 0:
        j = <Py_ssize_t> multiply_high(row + 1, mix(state + row * <uint64_t> 0x9E3779B97F4A7C15))
        swap(index, row, j)
        row -= 1
        if row % ROWS_PER_LOOK == 0 and row > 0:
            status = look(tape, player)
            if status != 0:
                return status
    return 0


cdef extern from *:
    """
    /* How NumPy lets others draw from its bit generators: bitgen_t of numpy/random/bitgen.h */
    typedef struct {
        void *state;
        uint64_t (*next_uint64)(void *state);
        uint32_t (*next_uint32)(void *state);
        double (*next_double)(void *state);
        uint64_t (*next_raw)(void *state);
    } BitGenerator;
    """
    ctypedef struct BitGenerator:
        void *state
        uint64_t (*next_uint64)(void *state) noexcept nogil
        uint32_t (*next_uint32)(void *state) noexcept nogil


cdef inline uint64_t bits_up_to(uint64_t most) noexcept nogil:
    """The least 2^k - 1 at or above a number."""
    most |= most >> 1
    most |= most >> 2
    most |= most >> 4
    most |= most >> 8
    most |= most >> 16
    return most | most >> 32


cdef class Shuffle:
    """``random_state.shuffle(index)`` of one of NumPy's RandomState, compiled: the same draws, the same order.

    Parameters
    ----------
    random_state : numpy.random.RandomState
    is_shared : bool
        Whether others may draw from it at the same time: then the GIL and its lock are taken, as NumPy does.
    """

    cdef BitGenerator *bits
    cdef object kept, lock

    def __init__(self, random_state, bint is_shared):
        generator = random_state._bit_generator
        self.kept = generator.capsule
        self.bits = <BitGenerator *> PyCapsule_GetPointer(self.kept, "BitGenerator")
        self.lock = generator.lock if is_shared else None

    cdef int shuffle(self, int64_t *index, Py_ssize_t n, Tape tape, Player *player) noexcept nogil:
        """Signals are looked at as in `permute`, but not while the lock is held: a handler may draw, too."""
        if self.lock is None:
            return self.reorder(index, n, tape, player)
        return self.reorder_locked(index, n, tape)

    cdef int reorder_locked(self, int64_t *index, Py_ssize_t n, Tape tape) noexcept with gil:
        try:
            with self.lock:
                return self.reorder(index, n, tape, NULL)
        except BaseException as error:      # of a signal's handler, while it waits
            tape.error = error
            return CALL_RAISED

    cdef int reorder(self, int64_t *index, Py_ssize_t n, Tape tape, Player *player) noexcept nogil:
        """As NumPy's RandomState does it, which throws away draws beyond i.

        A draw in four is, and no processor foresees which. So there is no branch: i is swapped with itself then, and
        stays. That takes half of the time.
        """
        cdef BitGenerator *bits = self.bits
        cdef uint64_t i = n - 1, drawn, at
        cdef int64_t last
        cdef bint beyond
        cdef int status
        while n > 0 and i > 0:
            if i % ROWS_PER_LOOK == 0 and player is not NULL:
                status = look(tape, player)
                if status != 0:
                    return status
            if i <= <uint64_t> 0xFFFFFFFF:
                drawn = bits.next_uint32(bits.state) & bits_up_to(i)
            else:
                drawn = bits.next_uint64(bits.state) & bits_up_to(i)
            beyond = drawn > i
            at = i if beyond else drawn
            last = index[i]
            index[i] = index[at]
            index[at] = last
            i -= not beyond
        return 0


def permutation(Py_ssize_t n, uint64_t seed, uint64_t epoch):
    """The order in which ``run_epochs`` visits n rows in an epoch, as a list of n numbers."""
    cdef Player player
    cdef Tape tape = Tape()
    cdef Py_ssize_t at
    cdef int status
    cdef int64_t *index = <int64_t *> PyMem_RawMalloc(max(n, 1) * sizeof(int64_t))
    if index is NULL:
        raise MemoryError(f"no memory for a permutation of {n} rows")
    player_for(&player, None)
    try:
        with nogil:
            status = permute(index, n, seed, epoch, tape, &player)
        if status != 0:
            tape.fail(status)
        order = []
        for at in range(n):
            if at % ROWS_PER_LOOK == 0:
                PyErr_CheckSignals()
            order.append(index[at])
        return order
    finally:
        PyMem_RawFree(index)

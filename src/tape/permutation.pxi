# The order of rows in an epoch: a permutation that follows from (seed, epoch) alone.

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
    cdef int64_t last
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
    at = n - 1
    while at > 0:
        stop = max(at - ROWS_PER_LOOK, 0)
        for i in range(at, stop, -1):
            j = <Py_ssize_t> multiply_high(i + 1, mix(state + <uint64_t> i * <uint64_t> 0x9E3779B97F4A7C15))
            last = index[i]
            index[i] = index[j]
            index[j] = last
        at = stop
        if at > 0:
            status = look(tape, player)
            if status != 0:
                return status
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

"""Record or run: steps, the tape that replays them without the GIL, and the loop over batches and epochs."""

from cpython.buffer cimport PyBUF_STRIDED_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from fastnn._core.team cimport TEAM_MOST_CHUNKS, SharedTeam, Team, team_function, team_run

cdef extern from "clock.h":
    double seconds() noexcept nogil

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

layout = FASTNN_LAYOUT      # kernels compare it with their own: they must have been built with the same Step

cdef str LEFT_RANGE = "the index or the cursor that chooses rows has left its range since it was checked"
cdef str NO_WORKSPACE = (
    "no memory for the workspace of a product, less than 1 MB for each thread: use fewer threads, smaller batches "
    "or less data at a time. What was being computed is incomplete"
)
cdef double SIGNAL_INTERVAL = 0.05      # seconds between two looks at signals, at most


cdef class Tape:
    """A list of recorded kernel calls.

    Pass a tape to kernels and they append themselves instead of running; ``replay`` then runs all of them, in
    order, on the same arrays, without the GIL, checks or allocations. The tape keeps the arrays alive.

    Examples
    --------
    >>> import numpy as np, fastnn
    >>> x, y = np.array([[-1.0, 2.0]]), np.empty((1, 2))
    >>> tape = fastnn.Tape()
    >>> fastnn.kernels.float64.relu_forward(x, y, tape)
    >>> x[0, 0] = 3.0
    >>> tape.replay()
    >>> y
    array([[3., 2.]])
    """

    def __cinit__(self):
        self.kept = []

    def __dealloc__(self):
        free(self.steps)

    def __len__(self):
        return self.length

    cdef int append(self, const Step *step, tuple arrays) except -1:
        cdef Py_ssize_t capacity
        cdef Step *steps
        if self.playing:
            raise RuntimeError("the tape is being replayed: nothing can be recorded into it now")
        if self.length == self.capacity:
            capacity = 2 * self.capacity + 16
            steps = <Step *> realloc(self.steps, capacity * sizeof(Step))
            if steps is NULL:
                raise MemoryError(f"no memory for a tape of {capacity} steps")
            self.steps, self.capacity = steps, capacity
        self.kept.append([memoryview(array) for array in arrays if array is not None])
        self.steps[self.length] = step[0]
        self.length += 1
        return 0

    def call(self, function):
        """Append a Python function without arguments: the replay takes the GIL for it and stops where it raises."""
        if not callable(function):
            raise TypeError(f"Tape.call expects a function without arguments, got {type(function).__name__}")
        cdef Step step
        memset(&step, 0, sizeof(Step))
        step.body = call_python
        step.units = 1
        step.x = <void *> function
        step.y = <void *> self
        self.append(&step, ())
        self.kept.append(function)

    cdef int begin(self) except -1:
        """Mark the tape as being replayed, by one thread and not from within."""
        if self.playing:
            raise RuntimeError("the tape is being replayed already")
        self.playing = True
        return 0

    cdef int run(self, bint is_short) except -1:
        """Replay all steps; a short replay does not let other Python threads in."""
        cdef Player player
        cdef int status
        player_for(&player, None)
        self.begin()
        if is_short:
            status = play(self, 0, self.length, &player)
        else:
            with nogil:
                status = play(self, 0, self.length, &player)
        self.playing = False
        return self.fail(status) if status != 0 else 0

    cdef int fail(self, int status) except -1:
        """Raise what stopped a replay."""
        error, self.error = self.error, None
        if status == NOT_FINITE:
            raise FloatingPointError("the loss is not finite")
        if status == OUT_OF_RANGE:
            raise IndexError(LEFT_RANGE)
        if status == NO_MEMORY:
            raise MemoryError(NO_WORKSPACE)
        raise error

    @property
    def chunks(self):
        """Into how many chunks, each worth handing to another thread, the steps can be divided, all together."""
        cdef Py_ssize_t i, total = 0
        for i in range(self.length):
            if self.steps[i].grain > 0 and self.steps[i].units >= 2 * self.steps[i].grain:
                total += self.steps[i].units // self.steps[i].grain
        return total

    @property
    def work(self):
        """About how long a replay takes, in chunks that are worth handing to another thread, of about 5 us."""
        cdef Py_ssize_t i
        cdef double total = 0
        for i in range(self.length):
            if self.steps[i].grain > 0:
                total += <double> self.steps[i].units / <double> self.steps[i].grain
        return total

    def replay(self, Py_ssize_t begin=0, end=None, Py_ssize_t parts=1, Team team=None, stop=None):
        """Run the steps, or those from `begin` to `end`, without the GIL.

        The bits depend neither on `parts` (each step's outputs are computed in that many parts, one after the other)
        nor on `team` (threads that compute parts at the same time). Where another thread sets `stop`, a
        threading.Event, long steps end as with Ctrl-C.

        Raises
        ------
        FloatingPointError
            Where a guarded loss is NaN or infinite: the steps behind it have not run.
        Exception
            Whatever a Python step raises.
        """
        cdef Py_ssize_t behind = self.length if end is None else end
        cdef Player player
        cdef int status
        if not 0 <= begin <= behind <= self.length:
            raise IndexError(f"replay: steps {begin} to {behind} of a tape of {self.length}")
        if parts < 1:
            raise ValueError(f"replay: parts is {parts}, expected at least 1")
        player_for(&player, team)
        player.stop = <void *> stop
        self.begin()
        with nogil:
            status = play(self, begin, behind, &player) if parts == 1 else play_in_parts(self, begin, behind, parts)
        self.playing = False
        if status != 0:
            self.fail(status)


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
        if row.dtype is not self.dtype or (self.holds is not None and not self.holds()) or self.tape.playing:
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


# ---- Replaying -------------------------------------------------------------------------------------------------------

cdef struct Player:
    SharedTeam *shared            # the threads that help, or NULL
    Py_ssize_t n_threads
    Py_ssize_t most_chunks  # of a step
    bint divide_all         # also steps that are not worth it
    double looked           # when signals were last looked at; 0: long ago
    double unsliced         # nanoseconds of one thread's work that run between two looks at signals
    double pace             # how many times as long as estimated long steps take here
    Py_ssize_t since        # batches since then, and after how many the clock is read
    Py_ssize_t after
    void *stop              # a threading.Event that another thread sets, or None


cdef enum:
    CHUNKS_PER_THREAD = 3       # more would even out the threads' speeds better, and cost more
    MICROSECONDS_PER_LOOK = 12000   # how much of a long step, of each thread, runs between two looks at signals


cdef int player_for(Player *player, Team helpers) except -1:
    memset(player, 0, sizeof(Player))
    player.pace = 2
    player.unsliced = 1000.0 * MICROSECONDS_PER_LOOK
    if helpers is not None and helpers.n_threads > 1:
        player.shared = helpers.shared
        player.n_threads = helpers.n_threads
        player.unsliced *= helpers.n_threads
        player.most_chunks = min(CHUNKS_PER_THREAD * helpers.n_threads, TEAM_MOST_CHUNKS)
        player.divide_all = helpers.divide_all
    return 0


cdef int play(Tape tape, Py_ssize_t begin, Py_ssize_t end, Player *player) noexcept nogil:
    """Run steps; a step that takes long is run in slices, so that signals are looked at in time."""
    cdef const Step *s
    cdef Py_ssize_t i, at, units
    cdef double began
    cdef bint updating = False
    cdef int status
    for i in range(begin, end):
        s = &tape.steps[i]
        updating = updating or s.updates
        if updating or s.units * s.nanoseconds * player.pace <= player.unsliced:
            status = run_units(s, 0, s.units, player)
            if status != 0:
                return status
            continue
        at = 0
        while at < s.units:
            units = even_slice(s.units - at, units_per_look(s, player))
            began = seconds()
            status = run_units(s, at, at + units, player)
            if status == 0:
                status = look(tape, player)
            if status != 0:
                return status
            at += units
            learn_pace(s, units, seconds() - began, player)
    return 0


cdef inline Py_ssize_t even_slice(Py_ssize_t units, Py_ssize_t most) noexcept nogil:
    """The first of equal slices: a small one at the end would read all that a product needs for little work."""
    cdef Py_ssize_t slices = (units + most - 1) // most
    return (units + slices - 1) // slices


cdef inline Py_ssize_t units_per_look(const Step *s, Player *player) noexcept nogil:
    return max(<Py_ssize_t> (player.unsliced / (s.nanoseconds * player.pace)), player.n_threads, 1)


cdef inline void learn_pace(const Step *s, Py_ssize_t units, double elapsed, Player *player) noexcept nogil:
    """Estimates are for an optimized build and memory that is there: follow what is measured, slower than estimated."""
    cdef double found = 1e9 * elapsed * max(player.n_threads, 1) / (units * s.nanoseconds)
    player.pace = max(0.5 * (player.pace + found), 1)


cdef inline int run_units(const Step *s, Py_ssize_t begin, Py_ssize_t end, Player *player) noexcept nogil:
    cdef Py_ssize_t chunks
    if player.shared is not NULL and (s.grain > 0 or player.divide_all):
        chunks = min((end - begin) // (1 if player.divide_all else s.grain), player.most_chunks)
        if chunks > 1:
            return team_run(player.shared, <team_function> s.body, s, begin, end, chunks)
    return s.body(s, begin, end)


cdef int play_in_parts(Tape tape, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t i, part, units
    cdef int status
    for i in range(begin, end):
        units = tape.steps[i].units
        for part in range(parts):
            if units * part // parts < units * (part + 1) // parts:
                status = tape.steps[i].body(&tape.steps[i], units * part // parts, units * (part + 1) // parts)
                if status != 0:
                    return status
    return 0


cdef inline int look(Tape tape, Player *player) noexcept nogil:
    """Look at signals if the last look was long ago; what a handler raises waits in the tape."""
    cdef double now = seconds()
    if 0 <= now - player.looked < 0.2 * SIGNAL_INTERVAL:
        return 0
    player.looked = now
    with gil:
        try:
            PyErr_CheckSignals()
            if player.stop is not NULL and <object> player.stop is not None and (<object> player.stop).is_set():
                raise KeyboardInterrupt
            return 0
        except BaseException as error:
            tape.error = error
            return RAISED


cdef int call_python(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    with gil:
        try:
            (<object> s.x)()
            return 0
        except BaseException as error:
            (<Tape> s.y).error = error
            return RAISED


cdef int run_or_record(const Step *step, Tape tape, tuple arrays) except -1:
    """Run the step now, on arguments checked just before, or append it to the tape, which keeps its arrays."""
    cdef int status
    if tape is not None:
        return tape.append(step, arrays)
    with nogil:
        status = step.body(step, 0, step.units)
    if status == OUT_OF_RANGE:      # another thread has changed them since
        raise IndexError(LEFT_RANGE)
    if status == NO_MEMORY:
        raise MemoryError(NO_WORKSPACE)
    return 0


cdef int guard_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return 0 if isfinite(s.value[0]) else NOT_FINITE


def guard(double[::1] value, Tape tape=None):
    """Stop where ``value[0]`` is NaN or infinite: a diverged loss must not reach the parameters."""
    cdef Step step
    if value.shape[0] != 1:
        raise ValueError(f"guard: value has shape ({value.shape[0]},), expected (1,)")
    memset(&step, 0, sizeof(Step))
    step.body = guard_body
    step.units = 1
    step.value = &value[0]
    if tape is not None:
        tape.append(&step, (value,))
    elif guard_body(&step, 0, 1) != 0:
        raise FloatingPointError("the loss is not finite")


cdef inline uint64_t mix(uint64_t z) noexcept nogil:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


cdef void permute(int64_t *index, Py_ssize_t n, uint64_t seed, uint64_t epoch) noexcept nogil:
    """Fill `index` with the permutation of 0..n-1 that belongs to (seed, epoch): Fisher and Yates, from a counter."""
    cdef uint64_t state = mix(seed + mix(epoch + <uint64_t> 0x9E3779B97F4A7C15))
    cdef Py_ssize_t i, j
    cdef int64_t last
    for i in range(n):
        index[i] = i
    for i in range(n - 1, 0, -1):
        j = <Py_ssize_t> multiply_high(i + 1, mix(state + <uint64_t> i * <uint64_t> 0x9E3779B97F4A7C15))
        last = index[i]
        index[i] = index[j]
        index[j] = last


def permutation(Py_ssize_t n, uint64_t seed, uint64_t epoch):
    """The order in which ``run_epochs`` visits n rows in an epoch, as a list of n numbers."""
    import array

    cdef int64_t[::1] index = array.array("q", bytes(8 * n))
    if n > 0:
        permute(&index[0], n, seed, epoch)
    return list(index)


def run_epochs(
    Tape gather, Tape step, Tape gather_rest, Tape step_rest, int64_t[::1] index, int64_t[::1] cursor,
    double[::1] value, Py_ssize_t batch_size, bint shuffle, uint64_t seed, Py_ssize_t first_epoch, double[::1] losses,
    Team team=None, stop=None,
):
    """Replay a gather and a step per batch, without the GIL, for as many epochs as `losses` has places.

    Parameters
    ----------
    gather, step
        What brings `batch_size` rows into the memory of the step, unless it reads them where they lie, and the step.
    gather_rest, step_rest
        The same for the rows that remain at the end of an epoch; None where none do.
    index
        (n,) the order of rows: shuffled here before each epoch, by (seed, epoch) alone, or left as it is.
    cursor
        (1,) where in `index` the batch begins; kernels that choose rows read it.
    value
        (1,) the mean loss of the batch; loss kernels write it.
    losses
        (epochs,) receives the mean loss over the rows of each epoch.
    team
        The threads that help, or None. The bits do not depend on them.
    stop
        A threading.Event that ends the epochs as Ctrl-C does, or None.

    Returns
    -------
    tuple of int or None
        (epoch, batch), counted from 0, where the loss became NaN or infinite; None where all went well.
        Python's signals are looked at every 50 ms at least, so that Ctrl-C raises KeyboardInterrupt from here. A batch
        is then left before it has changed a parameter, or completed.
    """
    cdef Py_ssize_t n = index.shape[0]
    if batch_size < 1 or n < 1 or cursor.shape[0] != 1 or value.shape[0] != 1:
        raise ValueError("run_epochs: expected rows, a batch size of at least 1, and cells of one number")
    if gather is None or step is None or not (gather_rest is None) == (step_rest is None) == (n % batch_size == 0):
        raise ValueError(f"run_epochs: expected a tape for {batch_size} rows and one for the last {n % batch_size}")
    cdef Player player
    player_for(&player, team)
    player.looked = seconds()
    player.after = 1
    player.stop = <void *> stop
    tapes = [tape for tape in (gather, step, gather_rest, step_rest) if tape is not None]
    started = []
    try:
        for tape in tapes:
            (<Tape> tape).begin()
            started.append(tape)
        return run_batches(
            gather, step, gather_rest, step_rest, index, cursor, value, batch_size, shuffle, seed, first_epoch, losses,
            &player,
        )
    finally:
        for tape in started:
            (<Tape> tape).playing = False


cdef object run_batches(
    Tape gather, Tape step, Tape gather_rest, Tape step_rest, int64_t[::1] index, int64_t[::1] cursor,
    double[::1] value, Py_ssize_t batch_size, bint shuffle, uint64_t seed, Py_ssize_t first_epoch, double[::1] losses,
    Player *player,
):
    cdef Py_ssize_t n = index.shape[0], n_batches = index.shape[0] // batch_size, epoch = 0, i = 0, rows
    cdef double total, looked
    cdef int status = 0
    with nogil:
        for epoch in range(losses.shape[0]):
            if shuffle:
                permute(&index[0], n, seed, first_epoch + epoch)
            total = 0
            for i in range(n_batches + (n % batch_size != 0)):
                rows = batch_size if i < n_batches else n % batch_size
                cursor[0] = i * batch_size
                if i < n_batches:
                    status = play(gather, 0, gather.length, player)
                    if status == 0:
                        status = play(step, 0, step.length, player)
                else:
                    status = play(gather_rest, 0, gather_rest.length, player)
                    if status == 0:
                        status = play(step_rest, 0, step_rest.length, player)
                if status != 0:
                    break
                total += value[0] * rows
                player.since += 1
                if player.since >= player.after:    # reading the clock at every batch would cost a small net 5 %
                    player.since = 0
                    looked = player.looked
                    status = look(step, player)
                    if player.looked == looked:     # it was too early
                        player.after *= 2
                    elif player.looked - looked > 0.5 * SIGNAL_INTERVAL:
                        player.after = player.after // 2 + 1
                    if status != 0:
                        break
            if status != 0:
                break
            losses[epoch] = total / n
    if status == NOT_FINITE:
        return epoch, i
    if status != 0:
        for tape in (gather, step, gather_rest, step_rest):
            if tape is not None and (status != RAISED or (<Tape> tape).error is not None):
                (<Tape> tape).fail(status)
    return None

"""Record or run: the tape, the player that replays it without the GIL, rows and epochs.

Four concepts, of which each builds on the ones before it and has a file of its own: the tape here, then player.pxi (how
calls are run: in slices, by threads), inlet.pxi (another array in place of the recorded one), rows_reader.pxi and
rows_function.pxi (a replay for a few rows, as fast as Python calls anything), permutation.pxi and epochs.pxi (the loop
over batches and epochs). Beside them stands what an interrupt must not tear apart: claim.pxi (one thread at a time) and
copies.pxi (several arrays at once); and on both, rows_targets.pxi and rows_step.pxi (a training step on a few rows).
"""

cimport cython
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, memset, strcmp

from weakref import ref

from fastnn._core.team cimport (
    TEAM_MOST_CHUNKS, SharedTeam, Stop, Team, team_function, team_helped, team_is_whole,
    team_rests_until, team_run,
)

cdef extern from "team/clock.h":
    double seconds() noexcept nogil

cdef extern from "team/owner.h":
    bint owner_exists(const Owner *owner) noexcept
    bint owner_is_here(const Owner *owner) noexcept
    void owner_take(Owner *owner) noexcept
    void owner_give_back(Owner *owner) noexcept
    int owner_watch_forks() noexcept

if owner_watch_forks() != 0:
    raise MemoryError("no memory to be told of forks")

layout = FASTNN_LAYOUT      # kernels compare it with their own: they must have been built with the same Call


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
        cdef Py_ssize_t i
        for i in range(self.n_buffers):
            PyBuffer_Release(&self.buffers[i])
        free(self.buffers)
        free(self.calls)
        free(self.links)
        free(self.reaches)
        free(self.regions)
        free(self.items)
        free(self.sums)
        free(self.begins)

    def __len__(self):
        return self.length

    def __reduce__(self):
        raise TypeError("a Tape holds the addresses of arrays, which a copy has not: record its calls anew")

    cdef int reserve(self, Py_ssize_t n_calls, Py_ssize_t n_buffers, Py_ssize_t n_reaches) except -1:
        """Make room, so that appending cannot fail half-way."""
        cdef Py_ssize_t capacity
        cdef void *memory
        if owner_exists(&self.replayer):
            raise RuntimeError("the tape is being replayed: nothing can be recorded into it now")
        if self.length + n_calls > self.capacity:
            capacity = 2 * self.capacity + n_calls + 16
            memory = realloc(self.calls, capacity * sizeof(Call))
            if memory is NULL:
                raise MemoryError(f"no memory for a tape of {capacity} calls")
            self.calls = <Call *> memory
            memory = realloc(self.links, capacity * sizeof(Links))
            if memory is NULL:
                raise MemoryError(f"no memory for a tape of {capacity} calls")
            self.links, self.capacity = <Links *> memory, capacity
        if self.n_reaches + n_reaches > self.reach_capacity:
            capacity = 2 * self.reach_capacity + n_reaches + 64
            memory = realloc(self.reaches, capacity * sizeof(Reach))
            if memory is NULL:
                raise MemoryError(f"no memory for a tape that holds {capacity} arrays")
            self.reaches, self.reach_capacity = <Reach *> memory, capacity
        if self.n_buffers + n_buffers > self.buffer_capacity:
            capacity = 2 * self.buffer_capacity + n_buffers + 64
            memory = realloc(self.buffers, capacity * sizeof(Py_buffer))
            if memory is NULL:
                raise MemoryError(f"no memory for a tape that holds {capacity} arrays")
            self.buffers, self.buffer_capacity = <Py_buffer *> memory, capacity
        return 0

    cdef void append(self, const Call *call, const Reach *reaches, Py_ssize_t n_reaches) noexcept:
        """Append a call with all the memory that it reads or writes; NULL: it is not known."""
        cdef Call *last = &self.calls[self.length]
        cdef Call *before
        last[0] = call[0]
        if self.length > 0:
            before = last - 1
            before.both = NULL if before.joint is NULL else before.joint(before, last)
            self.has_joint = self.has_joint or before.both is not NULL
        self.links[self.length] = Links(self.n_reaches, n_reaches if reaches is not NULL else -1)
        if reaches is not NULL:
            memcpy(self.reaches + self.n_reaches, reaches, n_reaches * sizeof(Reach))
            self.n_reaches += n_reaches
        self.length += 1
        self.arranged_for, self.n_chunks = 0, -1
        self.is_long = self.is_long or asks_for_blocks(call)
        self.n_bounded += call.bounds is not NULL

    cdef void hold(self, const Py_buffer *buffer) noexcept:
        """Take a buffer over from whoever has acquired it."""
        self.buffers[self.n_buffers] = buffer[0]
        self.n_buffers += 1

    def call(self, function):
        """Append a Python function without arguments: the replay takes the GIL for it and stops where it raises."""
        if not callable(function):
            raise TypeError(f"Tape.call expects a function without arguments, got {type(function).__name__}")
        cdef Call call
        cdef PythonCall *python = <PythonCall *> call.payload
        self.reserve(1, 0, 0)
        self.kept.append(function)
        memset(&call, 0, sizeof(Call))
        call.body = call_python
        call.units = 1
        python.function, python.tape = <void *> function, <void *> self
        self.append(&call, NULL, 0)
        self.calls_python = True

    def extend(self, Tape tape not None):
        """Append the calls of another tape, which stays as it is: both replay them, on the same arrays.

        ValueError where it is this tape; RuntimeError while this tape is being replayed.
        """
        cdef Py_ssize_t i
        cdef const Links *links
        if tape is self:
            raise ValueError("Tape.extend expects another tape")
        self.reserve(tape.length, 0, tape.n_reaches)
        self.kept.append(tape)
        self.calls_python = self.calls_python or tape.calls_python
        for i in range(tape.length):
            links = &tape.links[i]
            self.append(&tape.calls[i], NULL if links.count < 0 else tape.reaches + links.first, links.count)
            if tape.calls[i].body == call_python:
                (<PythonCall *> self.calls[self.length - 1].payload).tape = <void *> self

    cdef int run(self, bint is_short, stop=None) except -1:
        """Replay all calls; a short replay does not let other Python threads in."""
        cdef Player player
        cdef int status
        player_for(&player, None)
        player.stop = <void *> stop
        begin_replay(self, &player)
        if is_short:
            status = play(self, 0, self.length, &player)
        else:
            with nogil:
                status = play(self, 0, self.length, &player)
        owner_give_back(&self.replayer)
        return self.fail(status) if status != 0 else 0

    cdef int fail(self, int status) except -1:
        """Raise what stopped a replay."""
        cdef Py_ssize_t i
        error, self.error = self.error, None
        if status == CALL_RAISED:
            raise error
        for i in range(self.length):
            if status == CALL_OUT_OF_BOUNDS and not call_in_bounds(&self.calls[i]):
                return raise_status(status, &self.calls[i])
        return raise_status(status, NULL)

    @property
    def calls_functions(self):
        """Whether functions of Python are among the calls."""
        return self.calls_python

    @property
    def chunks(self):
        """Into how many chunks, each worth handing to another thread, the calls can be divided, all together; or 0."""
        if self.n_chunks < 0:
            self.n_chunks = self.count_chunks()
        return self.n_chunks

    cdef Py_ssize_t count_chunks(self) except -1:
        cdef Player player
        cdef Py_ssize_t i, total = 0
        cdef double nanoseconds = 0
        for i in range(self.length):
            if self.calls[i].grain > 0 and self.calls[i].units > 1:
                nanoseconds += nanoseconds_of(&self.calls[i])
                if self.calls[i].units >= 2 * self.calls[i].grain:
                    total += self.calls[i].units // self.calls[i].grain
        if self.calls_python:
            return total
        if nanoseconds < LEAST_SHARED:
            return 0
        memset(&player, 0, sizeof(Player))
        player.n_threads, player.most_chunks = 2, 2 * CHUNKS_PER_THREAD
        arrange_unplayed(self, &player)
        return <Py_ssize_t> (nanoseconds / OF_CHUNK) if self.gained > 0 else 0

    # Returns
    # -------
    # list
    #     For each task its chunks, each a list of (call, "units", "rows", "parts" or "parts, taking", begin, end); or
    #     the number of a call that runs alone.
    #
    # Raises
    # ------
    # RuntimeError
    #     While the tape is being replayed.
    def tasks(self, Team team not None):
        """What a team runs one behind the other."""
        cdef Player player
        cdef const Region *region
        cdef const Item *item
        cdef Py_ssize_t i, j, k
        player_for(&player, team)
        arrange_unplayed(self, &player)
        if not is_arranged(self, &player):
            return list(range(self.length))
        tasks = []
        for i in range(self.n_regions):
            region = &self.regions[i]
            chunks = []
            for j in range(region.first, region.first + region.chunks if region.call < 0 else 0):
                chunk = []
                chunks.append(chunk)
                for k in range(self.begins[j], self.begins[j + 1]):
                    item = &self.items[k]
                    by = "rows" if item.body == item.call.of_rows else "parts"
                    if item.body == item.call.body:
                        by = "units"
                    elif item.body == item.call.of_parts and item.call.takes:
                        by = "parts, taking"
                    chunk.append((item.number, by, item.begin, item.end))
            tasks.append(chunks if region.call < 0 else region.call)
        return tasks

    # Trials in a row, with those that a rest of the team has cut short; replays by all that another thread helped with.
    @property
    def trial(self):
        """Trials that found one thread faster, replays of the present one by all and by one, and until the next."""
        return self.trial_of.alone, self.trial_of.shared, self.trial_of.one, self.trial_of.left

    @property
    def work(self):
        """About how long a replay takes, in chunks that are worth handing to another thread, of about 5 us."""
        cdef const Call *call
        cdef Py_ssize_t i
        cdef double total = 0
        for i in range(self.length):
            call = &self.calls[i]
            if call.grain == 1:     # each unit may be several such chunks
                total += call.units * max(call.nanoseconds / OF_CHUNK, 1)
            elif call.grain > 0:
                total += <double> call.units / <double> call.grain
        return total

    def replay(self, Py_ssize_t begin=0, end=None, Py_ssize_t parts=1, Team team=None, stop=None):
        """Run the calls, or those from `begin` to `end`, without the GIL; a call of `every` may end them before that.

        The bits depend neither on `parts` (each call's outputs are computed in that many parts, one after the other)
        nor on `team` (threads that compute parts at the same time). Where another thread sets `stop`, a
        Stop or what has its is_set, long calls end as with Ctrl-C.

        Signals are looked at within calls that take long, so that Ctrl-C is heard in 100 ms, but not from the first
        call on that updates parameters: it is completed, with all behind it. A loss is not interrupted either.

        Raises
        ------
        FloatingPointError
            Where a guarded loss, or a guarded gradient, is NaN or infinite: the calls behind it have not run.
        ValueError
            Where a number that a kernel reads has left its bounds since it was recorded.
        IndexError
            Where an index or a cursor has.
        MemoryError
            Where there is no memory for what a large product packs.
        Exception
            Whatever a Python function raises.
        """
        cdef Py_ssize_t behind = self.length if end is None else end
        cdef Player player
        cdef int status
        if not 0 <= begin <= behind <= self.length:
            raise IndexError(f"replay: calls {begin} to {behind} of a tape of {self.length}")
        if parts < 1:
            raise ValueError(f"replay: parts is {parts}, expected at least 1")
        player_for(&player, team)
        player.stop = <void *> stop
        begin_replay(self, &player)
        with nogil:
            status = play(self, begin, behind, &player) if parts == 1 else play_in_parts(self, begin, behind, parts)
        owner_give_back(&self.replayer)
        if status != 0:
            self.fail(status)


cdef struct PythonCall:
    void *function
    void *tape


cdef int call_python(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept with gil:
    cdef const PythonCall *python = <const PythonCall *> call.payload
    try:
        (<object> python.function)()
        return 0
    except BaseException as error:
        (<Tape> python.tape).error = error
        return CALL_RAISED


cdef int raise_status(int status, const Call *call) except -1:
    """Raise what a body's status says; `call` is the one whose numbers have left their bounds, where it is known."""
    if status == CALL_NOT_FINITE:
        raise FloatingPointError("the loss is not finite, or the gradient")
    if status == CALL_OUT_OF_RANGE:     # another thread, or a function between two calls, has changed them
        raise IndexError("the index or the cursor that chooses rows has left its range since it was checked")
    if status == CALL_NO_ENTRY:
        raise IndexError("follow_schedule: table has no number for step[0] - first, expected 0 to its length - 1")
    if status == CALL_NO_MEMORY:
        raise MemoryError(
            "no memory for the workspace of a product, or for sums over rows, less than 1 MB for each thread as a "
            "rule: use fewer threads, smaller batches or less data at a time. What was being computed is incomplete"
        )
    raise ValueError(what_left(call) if call is not NULL else "a number has left its bounds while it was read")


cdef object what_left(const Call *call):
    cdef const CallNumber *number = NULL
    cdef int i
    for i in range(call.bounds.count):
        number = &call.bounds.number[i]
        if not call_number_holds(call, number):
            break
    name, value = number.name.decode(), (<double *> call.payload[number.word])[0]
    text = f"{call.bounds.kernel.decode()}: {name} is {value}"
    changed = "it has been changed since the call was recorded"
    if within(number, value):
        array = number.of_array.decode()
        return f"{text} and {array} is None, expected an array unless {name} is 0: {changed}; record it with {array}"
    return f"{text}, expected a number {bounds_in_words(number)}: {changed}"


cdef bint within(const CallNumber *n, double value):
    return (value > n.low if n.above else value >= n.low) and (value < n.high if n.below else value <= n.high)


cdef object bounds_in_words(const CallNumber *number):
    """The bounds of a number, as error messages say them: ">= 0 and < 1"."""
    low = f"{'>' if number.above else '>='} {number.low:g}" if number.low != -float("inf") else ""
    high = f"{'<' if number.below else '<='} {number.high:g}" if number.high != float("inf") else ""
    return " and ".join(filter(None, (low, high))) or "that is not NaN"


include "regions.pxi"
include "trials.pxi"
include "player.pxi"
include "rows_reader.pxi"
include "inlet.pxi"
include "rows_function.pxi"
include "permutation.pxi"
include "epochs.pxi"
include "claim.pxi"
include "rows_targets.pxi"
include "rows_step.pxi"
include "copies.pxi"

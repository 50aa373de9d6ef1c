"""A team of Python threads that work without the GIL. team.h says how they share out a task."""

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_type_lock,
)
from libc.stdint cimport uint64_t

cdef extern from "team/team.h":
    ctypedef struct Member "team_member":
        PyThread_type_lock bed
    ctypedef struct WholeTeam "team":
        const uint64_t *generation
        uint64_t generation_of
        int members
        Member *member
    enum:
        TEAM_SUPPORTED
        TEAM_MOST_THREADS
    void team_work(SharedTeam *t, int number) noexcept nogil
    void team_end(SharedTeam *t) noexcept nogil
    int current_processor() noexcept nogil

cdef extern from "team/turn.h":
    void turn_take(int *taken) noexcept nogil
    void turn_give(int *taken) noexcept nogil
    void turn_gather(const int *come, int n) noexcept nogil

cdef extern from "team/owner.h":
    uint64_t owner_generation
    int owner_watch_forks() noexcept

if owner_watch_forks() != 0:
    raise MemoryError("no memory to be told of forks")

cdef enum:
    LEAST_STACK = 128 * 1024    # bytes: a loss takes 48 KB, what Python does before it most of the others

most_threads = TEAM_MOST_THREADS if TEAM_SUPPORTED else 1


# Each is put on a processor of its own, where the system allows it: two that share one would wait for each other.
# The thread of the block is left where it is. In a child of fork that goes on with the block, that thread is alone:
# the others do not exist there, and nobody waits for them.
#
# Parameters
# ----------
# n_threads : int
#     With the one that runs the block; 1 starts none.
# divide_all : bool
#     Share out even what is too small to be worth it: for tests.
cdef class Team:
    """Threads that are kept while a ``with`` block runs, to help the one that runs it."""

    def __cinit__(self, int n_threads, bint divide_all=False):
        if not 1 <= n_threads <= most_threads:
            raise ValueError(f"n_threads is {n_threads}, expected 1 to {most_threads} here")
        self.n_threads = n_threads
        self.divide_all = divide_all
        self.ends = []
        self.shared = <SharedTeam *> PyMem_RawCalloc(1, sizeof(SharedTeam) + (n_threads - 1) * sizeof(Member))
        if self.shared is NULL:
            raise MemoryError("no memory for a team of threads")
        self.belong_here()

    def __dealloc__(self):
        cdef int i
        if self.shared is NULL:
            return
        if team_is_whole(self.shared):      # in a child of fork, beds may be in pieces
            for i in range((<WholeTeam *> self.shared).members):    # also of threads that could not start
                PyThread_free_lock((<WholeTeam *> self.shared).member[i].bed)
        PyMem_RawFree(self.shared)

    def __reduce__(self):
        raise TypeError("a Team holds threads of this process, which a copy has not: make a new one")

    def __enter__(self):
        if self.ends or (<WholeTeam *> self.shared).members:
            raise RuntimeError("the team is at work already, or has ended")
        if self.n_threads > 1:
            self.start()
        return self

    def __exit__(self, *exception):
        if team_is_whole(self.shared):
            team_end(self.shared)
            wait_for(self.ends)

    cdef void belong_here(self) noexcept:
        (<WholeTeam *> self.shared).generation = &owner_generation
        (<WholeTeam *> self.shared).generation_of = owner_generation

    cdef int start(self) except -1:
        import os

        cdef PyThread_type_lock bed
        cdef int i
        self.belong_here()      # not where the team was made: there may be a fork in between
        for i in range(self.n_threads - 1):
            bed = PyThread_allocate_lock()
            if bed is NULL:
                raise MemoryError("no lock for a thread")
            PyThread_acquire_lock(bed, NOWAIT_LOCK)
            (<WholeTeam *> self.shared).member[i].bed = bed
            (<WholeTeam *> self.shared).members = i + 1
        others = processors_from_here()[1:]     # those behind this one come first, so that two teams meet late
        others += [None] * self.n_threads
        try:
            self.ends = start_threads(self._work, list(zip(range(self.n_threads - 1), others, strict=False)))
        except BaseException:
            team_end(self.shared)
            raise
        self.n_threads = len(self.ends) + 1
        with nogil:     # else each waits behind this thread, on whose processor the system wakes it, for milliseconds
            turn_gather(&self.come, self.n_threads - 1)
        return 0

    def _work(self, int number, processor):
        import os

        if processor is not None:
            try:
                os.sched_setaffinity(0, (processor,))      # of this thread alone
            except OSError:     # a system that forbids it: the scheduler decides
                pass
        self.come += 1
        with nogil:
            team_work(self.shared, number)


# (The ``set`` of a threading.Event is Python: what a signal's handler raises in there can leave the event unset, or
# its lock taken for ever, so that the next ``set`` waits without an end.)
cdef class Stop:
    """What tells other threads to end. It is set within one call, and takes no lock."""

    def set(self):
        """Tell them."""
        self._is_set = True

    def is_set(self):
        """Whether they have been told."""
        return self._is_set

    cdef void take_turn(self) noexcept nogil:
        """Wait, for no longer than a moment, until no other of these threads is about to run Python."""
        turn_take(&self.taken)

    cdef void give_turn(self) noexcept nogil:
        turn_give(&self.taken)

    def _gather(self, processor, int n):
        """Go to a processor, where the system allows it, and wait for a moment until n threads are on their own."""
        import os

        if processor is not None:
            try:
                allowed = os.sched_getaffinity(0)
                os.sched_setaffinity(0, (processor,))
                os.sched_setaffinity(0, allowed)    # it was put there; the scheduler may move it when others come
            except OSError:
                pass
        self.come += 1
        with nogil:
            turn_gather(&self.come, n)
            self.take_turn()


def processors_from_here():
    """Return the processors that this thread may use: its own, those behind it, those before it; [] if unknown."""
    import os

    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    here = current_processor()
    return [one for one in processors if one >= here] + [one for one in processors if one < here]


# Returns a lock for each that has started, which it releases when it ends. (threading.Thread waits inside ``start``,
# where an interrupt can leave it in pieces.)
def start_threads(function, arguments):
    """Start a thread for each tuple of arguments, as far as the system and its stacks allow."""
    from _thread import allocate_lock, stack_size, start_new_thread

    ends = []
    if 0 < stack_size() < LEAST_STACK:
        return ends
    for given in arguments:
        end = allocate_lock()
        end.acquire()
        try:
            start_new_thread(run_and_release, (end, function, given))
        except RuntimeError:    # the system has no more of them
            break
        ends.append(end)
    return ends


def run_and_release(end, function, given):
    try:
        function(*given)
    finally:
        end.release()


# The first that is raised is raised at the end. It may be called again.
#
# A signal ends the wait for a lock only when it comes meanwhile. One that came just before, as where threads were
# started, would have to wait for them: so signals are looked for now and then.
def wait_for(ends, stop=None):
    """Wait for threads to end, also where a signal's handler raises, as for Ctrl-C: `stop` is called then."""
    cdef bint stopping = False
    first = None
    for end in ends:
        while True:
            try:
                if stopping:
                    stop()
                    stopping = False
                while not end.acquire(True, 0.02):
                    PyErr_CheckSignals()
                end.release()
                break
            except BaseException as error:
                if first is None:
                    first = error
                stopping = stop is not None
    if first is not None:
        raise first


# Each begins on a processor of its own, and they take turns to run Python, as far as `run_epochs` is told to.
def run_threads(function, int n, Stop stop not None):
    """Start n threads and wait for them, so that no signal falls in between; return how many could be started."""
    places = processors_from_here()
    if len(places) < n:     # threads that share one would wait for each other in vain
        places = [None] * n
    ends = start_threads(run_in_turn, [(function, place, n, stop) for place in places[:n]])
    wait_for(ends, stop.set)
    return len(ends)


def run_in_turn(function, processor, int n, Stop stop not None):
    try:
        stop._gather(processor, n)
        function()
    finally:
        stop.give_turn()

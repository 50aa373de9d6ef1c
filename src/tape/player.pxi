# The player: runs the calls of a tape one after the other, those that take long in slices between which signals are
# looked at, and those that are worth it in chunks by several threads. Eager calls that take long run here, too.

cdef double SIGNAL_INTERVAL = 0.05      # seconds between two looks at signals, at most


cdef struct Player:
    SharedTeam *shared            # the threads that help, or NULL
    Py_ssize_t n_threads
    Py_ssize_t most_chunks  # of a call
    bint divide_all         # also calls that are not worth it
    double looked           # when signals were last looked at; 0: long ago
    double unsliced         # nanoseconds of one thread's work that run between two looks at signals
    double pace             # how many times as long as estimated long calls take here
    Py_ssize_t since        # batches since then, and after how many the clock is read
    Py_ssize_t after
    void *stop              # a Stop that another thread sets, or what has its is_set, or None


cdef enum:
    CHUNKS_PER_THREAD = 3       # more would even out the threads' speeds better, and cost more
    MICROSECONDS_PER_LOOK = 12000   # how much of a long call, of each thread, runs between two looks at signals


cdef int player_for(Player *player, Team helpers) except -1:
    memset(player, 0, sizeof(Player))
    player.pace = 2
    player.unsliced = 1000.0 * MICROSECONDS_PER_LOOK
    if helpers is not None and helpers.n_threads > 1 and team_is_whole(helpers.shared):
        player.shared = helpers.shared
        player.n_threads = helpers.n_threads
        player.unsliced *= helpers.n_threads
        player.most_chunks = min(CHUNKS_PER_THREAD * helpers.n_threads, TEAM_MOST_CHUNKS)
        player.divide_all = helpers.divide_all
    return 0


cdef int begin_replay(Tape tape, const Player *player) except -1:
    """Mark a tape as being replayed, by one thread and not from within, and arrange it for the threads."""
    if owner_exists(&tape.replayer):
        raise RuntimeError("the tape is being replayed already")
    owner_take(&tape.replayer)
    tape.error = None       # of a replay that a fork has left behind
    if player.shared is not NULL or tape.is_long:
        try:
            arrange(tape, player)
        except BaseException:
            owner_give_back(&tape.replayer)
            raise
    return 0


cdef int arrange_unplayed(Tape tape, const Player *player) except -1:
    """Arrange a tape, but not under the hands of another thread that replays it."""
    if owner_exists(&tape.replayer):
        raise RuntimeError("the tape is being replayed: it cannot be arranged anew now")
    return arrange(tape, player)


cdef int play(Tape tape, Py_ssize_t begin, Py_ssize_t end, Player *player) noexcept nogil:
    """Run calls; one that takes long is run in slices, so that signals are looked at in time.

    Returns 0 also where a call has ended the replay before its last one.
    """
    if not all_in_bounds(tape, begin, end):
        return CALL_OUT_OF_BOUNDS
    if begin == 0 and end == tape.length and is_arranged(tape, player):
        return play_arranged(tape, player)
    return play_calls(tape, begin, end, player)


cdef int play_calls(Tape tape, Py_ssize_t begin, Py_ssize_t end, Player *player) noexcept nogil:
    cdef const Call *call
    cdef Py_ssize_t i
    cdef bint updating = False
    cdef int status
    if tape.has_joint and player.shared is NULL and not tape.calls_python:
        return play_joint(tape, begin, end, player)
    for i in range(begin, end):
        call = &tape.calls[i]
        updating = updating or call.updates
        if tape.calls_python and not call_in_bounds(call):      # a function has changed a number just now
            return CALL_OUT_OF_BOUNDS
        status = play_call(call, updating, tape, player)
        if status != 0:
            return error_of(status)
    return 0


cdef int play_joint(Tape tape, Py_ssize_t begin, Py_ssize_t end, Player *player) noexcept nogil:
    """The same, where two calls that follow each other may run in one pass."""
    cdef const Call *call
    cdef Py_ssize_t i = begin
    cdef bint updating = False
    cdef int status
    while i < end:
        call = &tape.calls[i]
        updating = updating or call.updates
        if call.both is not NULL and i + 1 < end:
            updating = updating or call[1].updates
            status = call.both(call, 0, call.units)
            i += 2
        else:
            status = play_call(call, updating, tape, player)
            i += 1
        if status != 0:
            return error_of(status)
    return 0


cdef inline int play_call(const Call *call, bint updating, Tape tape, Player *player) noexcept nogil:
    if updating or not takes_long(call, player):
        return run_units(call, 0, call.units, player)
    return run_in_slices(call, tape, player)


cdef inline int error_of(int status) noexcept nogil:
    """0 where the status of a body says that nothing is wrong."""
    return 0 if status == CALL_END else status


cdef inline bint takes_long(const Call *call, const Player *player) noexcept nogil:
    return call.units * call.nanoseconds * player.pace > player.unsliced


cdef int run_in_slices(const Call *call, Tape tape, Player *player) noexcept nogil:
    cdef Py_ssize_t units, at = 0
    cdef double began
    cdef int status
    while at < call.units:
        units = next_slice(call, at, units_per_look(call, player))
        began = seconds()
        status = run_units(call, at, at + units, player)
        if status == 0:
            status = look(tape, player)
        if status != 0:
            return status
        at += units
        learn_pace(call, units, seconds() - began, player)
    return 0


cdef int run_now_in_slices(const Call *call, Tape tape, Player *player) noexcept nogil:
    """As above, in slices as long as Ctrl-C allows: for dw of many rows, each slice reads nearly all of x and dy.

    A slice grows while it is short, whatever its units take: where short slices are the reason for their taking long,
    to make them shorter would make it worse.
    """
    cdef Py_ssize_t units, most = units_per_look(call, player), at = 0
    cdef double began, elapsed
    cdef int status
    while at < call.units:
        units = next_slice(call, at, most)
        began = seconds()
        status = call_run(call, at, at + units)
        elapsed = seconds() - began
        if status == 0:
            status = look(tape, player)
        if status != 0:
            return status
        at += units
        if elapsed < 0.9 * SIGNAL_INTERVAL:
            most = units + units // 2 + 1
        elif elapsed > 1.4 * SIGNAL_INTERVAL:
            most = max(<Py_ssize_t> (units * SIGNAL_INTERVAL / elapsed), 1)
        else:
            most = units
    return 0


cdef int run_now(const Call *calls, Py_ssize_t n_calls) except -1:
    """Run calls without a tape and without the GIL; those that take long in slices, as if they were on one."""
    cdef Player player
    cdef Tape tape = None       # where what a signal's handler raises can wait
    cdef Py_ssize_t i
    cdef bint updating = False
    cdef int status = 0
    player_for(&player, None)
    for i in range(n_calls):
        if takes_long(&calls[i], &player) and tape is None:
            tape = Tape()
    with nogil:
        for i in range(n_calls):
            updating = updating or calls[i].updates
            if updating or tape is None or not takes_long(&calls[i], &player):
                status = call_run(&calls[i], 0, calls[i].units)
            else:
                status = run_now_in_slices(&calls[i], tape, &player)
            if status != 0:
                break
    status = error_of(status)
    if status == 0:
        return 0
    return raise_status(status, NULL) if tape is None else tape.fail(status)


cdef inline bint all_in_bounds(Tape tape, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Whether every number holds, before the first call has changed anything."""
    cdef Py_ssize_t i
    if tape.n_bounded > 0:
        for i in range(begin, end):
            if tape.calls[i].bounds is not NULL and not call_in_bounds(&tape.calls[i]):
                return False
    return True


cdef inline Py_ssize_t next_slice(const Call *call, Py_ssize_t at, Py_ssize_t most) noexcept nogil:
    """The first of equal slices: a small one at the end would read all that a product needs for little work.

    Of turns, it is whole ones, or ends with one.
    """
    cdef Py_ssize_t units = call.units - at, slices
    if call.turn > 0:
        units = call.turn - at % call.turn
        if units < most:
            units = min(units + (most - units) // call.turn * call.turn, call.units - at)
    slices = (units + most - 1) // most
    return (units + slices - 1) // slices


cdef inline Py_ssize_t units_per_look(const Call *call, Player *player) noexcept nogil:
    return max(<Py_ssize_t> (player.unsliced / (call.nanoseconds * player.pace)), player.n_threads, 1)


cdef inline void learn_pace(const Call *call, Py_ssize_t units, double elapsed, Player *player) noexcept nogil:
    """Estimates are for an optimized build and memory that is there: follow what is measured, slower than estimated."""
    cdef double found = 1e9 * elapsed * max(player.n_threads, 1) / (units * call.nanoseconds)
    player.pace = max(0.5 * (player.pace + found), 1)


cdef inline int run_units(const Call *call, Py_ssize_t begin, Py_ssize_t end, Player *player) noexcept nogil:
    cdef Py_ssize_t behind
    cdef int status = 0
    if player.shared is NULL or (call.grain == 0 and not player.divide_all):
        return call_run(call, begin, end)
    while begin < end and status == 0:      # threads wait for each other at the end of a turn
        behind = end if call.turn == 0 else min(end, (begin // call.turn + 1) * call.turn)
        status = run_shared(call, begin, behind, player)
        begin = behind
    return status


cdef inline int run_shared(const Call *call, Py_ssize_t begin, Py_ssize_t end, Player *player) noexcept nogil:
    cdef Py_ssize_t chunks = min((end - begin) // (1 if player.divide_all else call.grain), player.most_chunks)
    if chunks > 1:
        return team_run(player.shared, <team_function> call_run, call, begin, end, chunks)
    return call_run(call, begin, end)


cdef int play_in_parts(Tape tape, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t parts) noexcept nogil:
    cdef Py_ssize_t i, part, units, n
    cdef int status
    if not all_in_bounds(tape, begin, end):
        return CALL_OUT_OF_BOUNDS
    for i in range(begin, end):
        if not call_in_bounds(&tape.calls[i]):
            return CALL_OUT_OF_BOUNDS
        units = tape.calls[i].units
        n = min(parts, units)
        for part in range(n):
            status = call_run(&tape.calls[i], units * part // n, units * (part + 1) // n)
            if status != 0:
                return error_of(status)
    return 0


cdef inline int look(Tape tape, Player *player) noexcept nogil:
    """Look at signals if the last look was long ago; what a handler raises waits in the tape."""
    cdef double now = seconds()
    if 0 <= now - player.looked < 0.2 * SIGNAL_INTERVAL:
        return 0
    player.looked = now
    return look_now(tape, player)


cdef int look_now(Tape tape, Player *player) noexcept with gil:    # apart: such a function takes the GIL on any path
    try:
        PyErr_CheckSignals()
        if player.stop is not NULL and <object> player.stop is not None and (<object> player.stop).is_set():
            raise KeyboardInterrupt
        return 0
    except BaseException as error:
        tape.error = error
        return CALL_RAISED

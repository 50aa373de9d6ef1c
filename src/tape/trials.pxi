# Trials: whether threads help depends on where their cores are, whether these are whole ones, and who else needs them,
# which no estimate knows. So a tape that may gain is replayed both ways now and then, and the faster way in between.

cdef enum:
    SURE = 300000               # nanoseconds: who gains so many is not tried
    TRIED = 12                  # replays of each way,
    FEW = 3                     # or by one thread so many, if these show that it takes far longer
    LEAST_BETWEEN = 1000        # replays between two trials

cdef double FAR_LONGER = 1.25
cdef double WAKING = 3e-4       # seconds, of threads that sleep
cdef double BETWEEN = 0.1       # seconds between two trials, at least


cdef inline bint is_arranged(Tape tape, const Player *player) noexcept nogil:
    return tape.arranged_for == 1 or (tape.arranged_for != 0 and player.shared is not NULL)


cdef int play_arranged(Tape tape, Player *player) noexcept nogil:
    """Replay by all threads or by one, whichever took less time when both were tried."""
    cdef Trial *trial = &tape.trial
    cdef double began, elapsed
    cdef int status
    if tape.gained <= 0 and not player.divide_all:
        return play_alone(tape, player)
    if player.divide_all or tape.gained > SURE:
        return play_regions(tape, player)
    if trial.left > 0:
        trial.left -= 1
        return play_alone(tape, player) if trial.alone else play_regions(tape, player)
    began = seconds()
    if trial.shared == 0:
        trial.begun = began
    if trial.shared < TRIED:
        status = play_regions(tape, player)
        elapsed = seconds() - began
        if trial.shared == 0 or began - trial.begun > WAKING:
            trial.least_shared = elapsed if trial.shared < 2 else min(elapsed, trial.least_shared)
            trial.shared += 1
    else:
        status = play_alone(tape, player)
        elapsed = seconds() - began
        trial.least_alone = elapsed if trial.one < 2 else min(elapsed, trial.least_alone)
        trial.one += 1
    if trial.one == TRIED or (trial.one >= FEW and trial.least_alone > FAR_LONGER * trial.least_shared):
        trial.alone = trial.least_alone < trial.least_shared
        trial.left = max(<Py_ssize_t> (BETWEEN / max(trial.least_alone, 1e-9)), <Py_ssize_t> LEAST_BETWEEN)
        trial.shared = trial.one = 0
    return status


cdef int play_alone(Tape tape, Player *player) noexcept nogil:
    cdef SharedTeam *shared = player.shared
    cdef int status
    player.shared = NULL
    status = play_calls(tape, 0, tape.length, player)
    player.shared = shared
    return status


cdef int play_regions(Tape tape, Player *player) noexcept nogil:
    cdef Chunks chunks = Chunks(tape.items, NULL)
    cdef const Region *region
    cdef const Call *call
    cdef Py_ssize_t i
    cdef bint updating = False
    cdef int status
    for i in range(tape.n_regions):
        region = &tape.regions[i]
        updating = updating or region.updates
        if region.call >= 0:
            call = &tape.calls[region.call]
            if region.chunks == 1 and not takes_long(call, player):
                status = call_run(call, 0, call.units)
            else:
                status = play_call(call, updating, tape, player)
        else:
            chunks.begins = tape.begins + region.first
            if region.chunks == 1 or player.shared is NULL:
                status = run_chunks(&chunks, 0, region.chunks)
            else:
                status = team_run(
                    player.shared, <team_function> run_chunks, &chunks, 0, region.chunks, region.chunks
                )
        if status != 0:
            return error_of(status)
    return 0

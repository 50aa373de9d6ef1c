# Trials: whether threads help depends on where their cores are, whether these are whole ones, and who else needs them,
# which no estimate knows. So a tape that may gain is replayed both ways now and then, and the faster way in between.

cdef enum:
    SURE = 300000               # nanoseconds: who gains so many is not tried
    TRIED = 12                  # replays of each way, those by all threads with the help of some,
    FEW = 3                     # or so many, if these show that the way takes far longer
    SOON_AGAIN = 4              # trials soon after one that has found no gain
    LEAST_BETWEEN = 1000        # replays between others

cdef double FAR_LONGER = 1.25
cdef double WAKING = 3e-3       # seconds that threads may take to wake up,
cdef double SOON = 1e-3         # and then to be as fast as they are: cores that were idle run slowly at first
cdef double BETWEEN = 0.1       # seconds between two trials, at least


cdef inline bint is_arranged(Tape tape, const Player *player) noexcept nogil:
    return tape.arranged_for == 1 or (tape.arranged_for != 0 and player.shared is not NULL)


cdef int play_arranged(Tape tape, Player *player) noexcept nogil:
    """Replay by all threads or by one, whichever took less time when both were tried."""
    cdef Trial *trial = &tape.trial_of
    if tape.gained <= 0 and not player.divide_all:
        return play_alone(tape, player)
    if player.divide_all or tape.gained > SURE:
        return play_regions(tape, player)
    if trial.left > 0:
        trial.left -= 1
        return play_alone(tape, player) if trial.alone > 0 else play_regions(tape, player)
    return play_by_all(tape, player) if trial.one == 0 else play_by_one(tape, player)


cdef int play_by_all(Tape tape, Player *player) noexcept nogil:
    """The first part of a trial, in which only replays count that others have taken part in."""
    cdef Trial *trial = &tape.trial_of
    cdef SharedTeam *team = player.shared
    cdef uint64_t helped = team_helped(team) if team is not NULL else 0
    cdef double began = seconds(), elapsed
    cdef int status = play_regions(tape, player)
    elapsed = seconds() - began
    if trial.least_alone == 0:
        trial.least_alone = elapsed
    if team is NULL or team_helped(team) != helped:
        trial.least_shared = elapsed if trial.shared < 2 else min(elapsed, trial.least_shared)
        trial.shared += 1
    else:
        trial.waited += elapsed
    if team is not NULL and team_rests_until(team) > 0:     # another program was on the core of one of them
        end_trial(trial, True, team_rests_until(team) - seconds(), 0)
    elif trial.shared == TRIED:
        trial.one = 1
    elif trial.alone > 0 and trial.shared >= FEW and trial.least_shared > FAR_LONGER * trial.least_alone:
        decide(trial, True, True)
    elif trial.waited > WAKING:
        decide(trial, True, trial.shared > 0)
    return status


cdef int play_by_one(Tape tape, Player *player) noexcept nogil:
    """The second part of a trial."""
    cdef Trial *trial = &tape.trial_of
    cdef double began = seconds(), elapsed
    cdef int status = play_alone(tape, player)
    elapsed = seconds() - began
    trial.least_alone = elapsed if trial.one < 3 else min(elapsed, trial.least_alone)
    trial.one += 1
    if trial.one > TRIED or (trial.one > FEW and trial.least_alone > FAR_LONGER * trial.least_shared):
        decide(trial, trial.least_alone < trial.least_shared, player.shared is not NULL)
    return status


cdef void decide(Trial *trial, bint alone, bint doubtful) noexcept nogil:
    if alone and doubtful and trial.alone % (SOON_AGAIN + 1) < SOON_AGAIN:
        end_trial(trial, True, SOON, 0)
    else:
        end_trial(trial, alone, BETWEEN, LEAST_BETWEEN)


cdef void end_trial(Trial *trial, bint alone, double pause, Py_ssize_t least) noexcept nogil:
    trial.alone = trial.alone + 1 if alone else 0
    trial.left = max(<Py_ssize_t> (pause / max(trial.least_alone, 1e-9)), least)
    trial.shared = trial.one = 0
    trial.waited = 0


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

# The loop over batches and epochs: one call from Python, without the GIL, for as many epochs as nobody looks between.

cdef double EPOCHS_UNSEEN = 0.1     # seconds of epochs that end in one call, of which others want to see what they gave


# Parameters
# ----------
# tol : float
#     By how much a loss has to be below the best one, to count.
# most : float
#     The epochs are over when more than so many in a row did not count.
# best : float
#     The smallest loss of the epochs before.
# count : int
#     How many of them, the last ones, did not count.
cdef class Patience:
    """The rule that ends epochs whose losses have not become smaller for long: it runs between them, compiled."""

    cdef double tol, most, best
    cdef Py_ssize_t count

    def __init__(self, double tol, double most, double best, Py_ssize_t count):
        self.tol, self.most, self.best, self.count = tol, most, best, count

    def begin_anew(self):
        """Count from 0 again."""
        self.count = 0

    cdef bint ends_with(self, double loss) noexcept nogil:
        self.count = self.count + 1 if loss > self.best - self.tol else 0
        if loss < self.best:
            self.best = loss
        return self.count > self.most


# Between two instructions of Python a signal's handler may raise: an epoch would have been run, and counted by a rule
# that ends epochs, but be in no history. Here it is in all that tells of it, or in nothing.
#
# Parameters
# ----------
# curve : list of float
#     Receives the mean loss over the rows of each epoch.
# state : dict or None
#     The attributes of an estimator of scikit-learn: n_iter_, t_ (rows that have been seen), loss_, loss_curve_, and
#     with a rule best_loss_ and _no_improvement_count.
# patience : Patience or None
#     A rule that ends the epochs.
#
# Attributes
# ----------
# added : float
#     What is added to the losses of epochs that ``run_epochs`` runs, 0 at first.
cdef class Ledger:
    """Where epochs that are complete are written down, within the call that has run them."""

    cdef list curve
    cdef dict state
    cdef Patience patience
    cdef public double added

    def __init__(self, list curve not None, dict state=None, Patience patience=None):
        self.curve, self.state, self.patience = curve, state, patience

    def take(self, double loss, Py_ssize_t rows):
        """Write down an epoch over so many rows that has been run elsewhere."""
        if self.patience is not None:
            self.patience.ends_with(loss)
        self.write([loss], rows)

    cdef int write(self, list losses, Py_ssize_t rows) except -1:
        cdef dict state = self.state, now
        cdef Py_ssize_t n = len(losses)
        if n == 0:
            return 0
        if state is None:
            self.curve.extend(losses)
            return 0
        now = {"n_iter_": state["n_iter_"] + n, "t_": state["t_"] + n * rows, "loss_": losses[n - 1]}
        if self.patience is not None:
            now["best_loss_"], now["_no_improvement_count"] = self.patience.best, self.patience.count
        self.curve.extend(losses)
        (<list?> state["loss_curve_"]).extend(losses)
        state.update(now)
        return 0


# Steps may be of several nets, as many as `value` has numbers: then `index` has an order for each, one behind the
# other, and an epoch a place in `losses` for each. The ledger receives the losses of the first.
#
# Parameters
# ----------
# gather, step
#     What brings `batch_size` rows into the memory of the step, or None where the step does it, and the step.
# gather_rest, step_rest
#     The same for the rows that remain at the end of an epoch; None where none do, or where there is no `gather`.
# index
#     (n,) the order of rows: shuffled here before each epoch, by (seed, epoch) alone, or left as it is.
# cursor
#     (1,) where in `index` the batch begins; kernels that choose rows read it.
# value
#     (1,) the mean loss of the batch; loss kernels write it.
# losses
#     (epochs,) receives the mean loss over the rows of each epoch.
# team
#     The threads that help, or None. The bits do not depend on them.
# stop
#     A Stop, or what has its is_set, that ends the epochs as Ctrl-C does, or None.
# shuffling
#     What shuffles the index before each epoch, in place of `shuffle`, or None.
# ledger
#     Receives the epochs that are complete, whatever is raised, or None. Its rule ends the epochs, if it has one;
#     then they also end when a tenth of a second is over.
# seeds
#     (nets,) in the place of `seed`, that of each net, or None.
# in_turn
#     Whether little Python runs behind this call, so that it is worth waiting awake while another of the threads that
#     have a Stop in common runs theirs.
#
# Returns
# -------
# tuple of int or None
#     (epoch, batch), counted from 0, where the loss became NaN or infinite; None where all went well.
#     Python's signals are looked at every 50 ms at least, so that Ctrl-C raises KeyboardInterrupt from here. A batch
#     is then left before it has changed a parameter, or completed: calls that update parameters are not interrupted.
#     While rows are shuffled, nothing of the epoch has run, and the next epoch shuffles them anew.
def run_epochs(
    Tape gather, Tape step, Tape gather_rest, Tape step_rest, int64_t[::1] index, int64_t[::1] cursor,
    double[::1] value, Py_ssize_t batch_size, bint shuffle, uint64_t seed, Py_ssize_t first_epoch, double[::1] losses,
    Team team=None, stop=None, Shuffle shuffling=None, Ledger ledger=None,
    bint in_turn=False, int64_t[::1] seeds=None,
):
    """Replay a gather and a step per batch, without the GIL, for as many epochs as `losses` has places."""
    cdef Py_ssize_t nets = max(value.shape[0], 1), n = index.shape[0] // nets
    if batch_size < 1 or n < 1 or cursor.shape[0] != 1 or value.shape[0] < 1:
        raise ValueError("run_epochs: expected rows, a batch size of at least 1, and cells of one number")
    if index.shape[0] % nets or losses.shape[0] % nets or (seeds is None) != (nets == 1):
        raise ValueError(f"run_epochs: expected orders, losses and seeds of {nets} nets")
    if seeds is not None and seeds.shape[0] != nets:
        raise ValueError(f"run_epochs: {seeds.shape[0]} seeds, expected {nets}, one of each net")
    cdef bint has_rest = n % batch_size != 0
    if step is None or (step_rest is not None) != has_rest or (gather_rest is not None) != (
        gather is not None and has_rest
    ):
        raise ValueError(f"run_epochs: expected a tape for {batch_size} rows and one for the last {n % batch_size}")
    cdef Player player
    player_for(&player, team)
    player.looked = seconds()
    player.after = 1
    player.stop = <void *> stop
    cdef list tapes = [tape for tape in (gather, step, gather_rest, step_rest) if tape is not None]
    cdef Py_ssize_t i, begun = 0
    try:
        for i in range(len(tapes)):
            begin_replay(<Tape> tapes[i], &player)
            begun += 1
        return run_batches(
            gather, step, gather_rest, step_rest, index, cursor, value, batch_size, shuffle, seed, first_epoch, losses,
            shuffling, ledger, &player, stop if in_turn and isinstance(stop, Stop) else None, seeds,
        )
    finally:
        for i in range(begun):
            owner_give_back(&(<Tape> tapes[i]).replayer)


cdef inline int play_both(Tape gather, Tape step, bint *gathering, Player *player) noexcept nogil:
    cdef int status = 0
    gathering[0] = gather is not None
    if gather is not None:
        status = play(gather, 0, gather.length, player)
    if status == 0:
        gathering[0] = False
        status = play(step, 0, step.length, player)
    return status


cdef object run_batches(
    Tape gather, Tape step, Tape gather_rest, Tape step_rest, int64_t[::1] index, int64_t[::1] cursor,
    double[::1] value, Py_ssize_t batch_size, bint shuffle, uint64_t seed, Py_ssize_t first_epoch, double[::1] losses,
    Shuffle shuffling, Ledger ledger, Player *player, Stop turns, int64_t[::1] seeds,
):
    cdef Py_ssize_t nets = value.shape[0], n = index.shape[0] // nets, n_batches = n // batch_size, epoch = 0, i = 0
    cdef Py_ssize_t n_all = n_batches + (n % batch_size != 0), rows, trained, net, done = 0
    cdef double looked, began = player.looked
    cdef double *totals = NULL      # of an epoch, one for each net
    cdef int status = 0
    cdef bint gathering = False     # whether it is the gather that has failed
    cdef Patience patience = None if ledger is None else ledger.patience
    cdef double added = 0 if ledger is None else ledger.added
    with nogil:
        if turns is not None:
            turns.give_turn()
        for epoch in range(losses.shape[0] // nets):
            totals = &losses[epoch * nets]
            if shuffle:
                for net in range(nets):
                    if seeds is not None:
                        seed = <uint64_t> seeds[net]
                    status = status or permute(&index[net * n], n, seed, first_epoch + epoch, step, player)
            elif shuffling is not None:
                status = shuffling.shuffle(&index[0], n, step, player)
            if status != 0:
                break
            trained = 0
            memset(totals, 0, nets * sizeof(double))
            for i in range(n_all):
                rows = batch_size if i < n_batches else n % batch_size
                cursor[0] = i * batch_size
                if i < n_batches:
                    status = play_both(gather, step, &gathering, player)
                else:
                    status = play_both(gather_rest, step_rest, &gathering, player)
                if status != 0:
                    break
                for net in range(nets):
                    totals[net] += value[net] * rows
                trained = i + 1
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
            if trained < n_all:
                break
            for net in range(nets):
                totals[net] = totals[net] / n + added
            done += 1
            if patience is not None and (patience.ends_with(totals[0]) or seconds() - began > EPOCHS_UNSEEN):
                break
            if status != 0:     # a signal was seen behind the last batch
                break
        if turns is not None:
            turns.take_turn()
    if ledger is not None:      # before anything is raised, and before Python goes on
        ledger.write([losses[epoch * nets] for epoch in range(done)], n)
    if status == CALL_NOT_FINITE:
        return epoch, i
    if status != 0:
        if i >= n_batches and step.error is None:      # what a signal's handler raises waits in `step`
            gather, step = gather_rest, step_rest
        (gather if gathering else step).fail(status)
    return None

# A training step on a few rows as one compiled call: what `train_batch` does for them, in a fraction of the time.

cdef enum:
    MOST_ROWS = 64      # of one call: beyond, what Python does beside a step is little, and recordings are many
    MOST_STEPS = 8      # of losses and optimizers in turn


# Nothing of Python runs where no setting has changed since the last one, but what schedules and passes by hand need,
# and what another training in between makes necessary.
#
# Parameters
# ----------
# x : ndarray of shape (most, n)
#     Where its first rows are read to.
# target : TargetReader
# value : ndarray of shape (1,)
#     Where the step writes the loss.
# dtype : dtype
#     The one object that most arrays of the dtype of x have.
# claims : tuple of Claim
#     That of the training, and that of the memory.
# made_of : tuple
#     The loss, a weak reference to the optimizer, what that does, and the memory of the net.
# holds : callable
#     Says whether the step is what would be recorded now, with a loss that was set as the one here.
# turn : callable
#     Makes a trainer train with this, which has trained with something else; given it, the loss and the optimizer.
#     Returns what the trainer was.
# put_back : callable
#     Puts that back behind a step that has failed; given the trainer, its loss before that, and what it was, or None.
# diverged : callable
#     Makes the error that is raised for the one of the replay.
# tree : Tree
#     It knows the names of columns, and whether somebody has to look for digits that are lost where numbers are cast.
# edited : list of one object
#     Another object each time that a setting of any part is changed.
# ready : callable or None
#     What is to be called before each step.
@cython.final
@cython.auto_pickle(False)
cdef class RowsStep(RowsReader):
    """A recorded training step, for each number of rows that has come."""

    cdef object __weakref__
    cdef list replays           # by the number of rows
    cdef TargetReader target
    cdef Replay replay          # for the rows that have been read
    cdef double *value
    cdef Claim outer, inner
    cdef object given, loss, named, loss_name, optimizer, optimizer_name, update, memory
    cdef object holds, turn, put_back, diverged, tree, ready, kept_too
    cdef list edited
    cdef object named_at        # the object of `edited` with which the loss was named,
    cdef object seen, refused   # and those of the last looks at settings: with which the step holds, or does not

    def __init__(
        self, x, TargetReader target not None, value, dtype, claims, made_of, holds, turn, put_back, diverged, tree,
        list edited not None, ready=None,
    ):
        cdef double[::1] of_value = value
        RowsReader.__init__(self, x, dtype)
        self.target, self.value, self.kept_too = target, &of_value[0], value
        self.replays = [None] * (min(self.most, MOST_ROWS) + 1)
        self.outer, self.inner = claims
        self.given, self.optimizer, self.update, self.memory = made_of
        self.loss = self.given
        self.holds, self.turn, self.put_back, self.diverged = holds, turn, put_back, diverged
        self.tree, self.ready = tree, ready
        self.edited = edited

    def learn(self, Py_ssize_t rows, Tape tape not None, loss, loss_name, optimizer_name):
        """Take the step for so many rows over, with the loss, its name, or None, and that of the optimizer."""
        if tape.calls_python:
            raise ValueError("RowsStep: the tape calls functions of Python, which a step on few rows has no place for")
        if rows < len(self.replays) and self.replays[rows] is None:
            self.replays[rows] = Replay(tape)
        if loss_name is not None:
            self.loss_name, self.named, self.named_at = loss_name, loss, self.edited[0]
        if optimizer_name is not None:
            self.optimizer_name = optimizer_name

    cdef char *place(self, Py_ssize_t rows) except? NULL:
        if not 0 < rows < len(self.replays):
            return NULL
        self.replay = self.replays[rows]
        return NULL if self.replay is None else self.x

    cdef object of(self, trainer, x, y, int n_dims, loss, optimizer):
        if owner_exists(&self.outer.owner) or owner_exists(&self.inner.owner):
            return None
        owner_take(&self.outer.owner)
        owner_take(&self.inner.owner)
        self.outer.depth = self.inner.depth = 1
        try:
            return self.take(trainer, x, y, n_dims, loss, optimizer)
        finally:
            owner_give_back(&self.inner.owner)
            owner_give_back(&self.outer.owner)

    cdef object take(self, trainer, x, y, int n_dims, loss, optimizer):
        cdef object last_loss = trainer.loss, last = trainer.optimizer, own = self.optimizer(), before = None
        cdef Replay replay
        cdef Py_ssize_t rows
        if optimizer is None:
            optimizer = last
        elif type(optimizer) is str and optimizer == self.optimizer_name:
            optimizer = own     # a name means the same optimizer for ever
        if optimizer is not own or own is None:
            return None
        if loss is None:
            loss = last_loss
        elif type(loss) is str:
            if loss != self.loss_name:
                return None
            loss = self.named if self.edited[0] is self.named_at else trainer.choose_loss(loss)
        if loss is not self.loss and not self.is_like(loss):
            return None
        settings = self.edited[0]
        if settings is not self.seen:
            if settings is self.refused:
                return None
            if not self.holds(loss):
                self.refused = settings
                return None
            self.seen = settings
        rows = self.read(x, n_dims, self.tree)
        if rows == 0 or not self.are_finite(rows):
            return None
        replay = self.replay
        if not (self.target.read_one(y) if n_dims == 1 else self.target.read_targets(y, rows)):
            return None
        if rows > 1 and (self.is_cast or self.target.may_lose_digits()) and not self.tree.digits.skips():
            return None
        if trainer._updated is not self.update or last is not own:
            before = self.turn(trainer, loss, own)
        elif loss is not last_loss:
            trainer.loss = loss
        if self.ready is not None:
            self.ready()
        if trainer._by_hand is not None:
            trainer._by_hand.end_batch()
        try:
            replay.tape.run(replay.is_short)
        except ValueError:      # a number has left its bounds, or needs memory that it did not: nothing has run
            self.put_back(trainer, last_loss, before)
            return None
        except FloatingPointError as error:
            self.put_back(trainer, last_loss, before)
            raise self.diverged(error) from None
        self.memory.without_gradients = None
        return self.value[0]

    cdef bint is_like(self, loss) except -1:
        """Whether a loss is set as the one that this was made with."""
        if type(loss) is not type(self.given):
            return False
        if loss._cells or self.given._cells:    # what stands in them can change without a word
            return loss.settings() == self.given.settings()
        if loss.__dict__ != self.given.__dict__:
            return False
        self.loss = loss
        return True

    cdef bint are_finite(self, Py_ssize_t rows) noexcept:
        cdef Py_ssize_t i
        cdef bint all_are = True
        if self.item_size == sizeof(float):
            for i in range(rows * self.n):
                all_are &= isfinite((<float *> self.x)[i])
        else:
            for i in range(rows * self.n):
                all_are &= isfinite((<double *> self.x)[i])
        return all_are


@cython.final
@cython.auto_pickle(False)
cdef class RowsSteps:
    """The recorded steps of few rows of all trainings of a model: the one that was taken last stands first."""

    cdef list steps             # weak references: of each as long as its memory is kept

    def __init__(self):
        self.steps = []

    def __len__(self):
        return len(self.steps)

    def put_first(self, RowsStep step not None):
        """Try this one first."""
        if self.steps and self.steps[0]() is step:
            return
        found = [other for other in self.steps if other() is not None and other() is not step]
        self.steps = [ref(step), *found[:MOST_STEPS - 1]]

    def of(self, trainer, x, y, int n_dims, loss, optimizer):
        """Take a step on rows of 2 dimensions or on one row of 1, and on their targets; return the loss before it.

        None, and nothing has been done, where that is for `train_batch`: of another kind of data, of bad data, of
        another loss or optimizer, while a training goes on, or after a change of settings.
        """
        cdef Py_ssize_t i
        cdef list steps = self.steps
        for i in range(len(steps)):
            step = steps[i]()
            if step is None:
                continue
            value = (<RowsStep> step).of(trainer, x, y, n_dims, loss, optimizer)
            if value is not None:
                if i > 0 and steps is self.steps:
                    self.steps = [steps[i], *steps[:i], *steps[i + 1:]]
                return value
        return None

# A training step of one row as one compiled call: what `train_batch` does for it, in a tenth of the time.

cdef extern from "math.h":
    bint isfinite(double number) noexcept nogil


cdef class RowStep(RowReader):
    """A recorded training step of one row.

    Nothing of Python runs where no setting has changed since the last one, but what schedules and passes by hand need.

    Parameters
    ----------
    tape : Tape
        The step. It calls no function of Python.
    x, target : ndarray of shape (1, n)
        Where it reads the row and its targets; or the target is one label, of shape (1,).
    value : ndarray of shape (1,)
        Where it writes the loss.
    dtype : dtype
        The one object that most arrays of the dtype of x have.
    low, high : float
        Between which targets lie; the largest label.
    claims : tuple of Claim
        That of the training, and that of the memory.
    made_of : tuple
        The loss, a weak reference to the optimizer, what that does, and the memory of the net.
    called : tuple of objects
        What else means this loss and this optimizer: names do, until a setting changes.
    names : tuple of str or None
        Of the columns of x.
    holds, diverged : callable
        Says whether the step is what would be recorded now, as it is when this is made; makes the error that is raised
        for the one of the replay.
    edited : list of one object
        Another object each time that a setting of any part is changed.
    ready : callable or None
        What is to be called before each step.
    """

    cdef Tape tape
    cdef RowReader target       # None for a label
    cdef int64_t *label
    cdef double *value
    cdef double low, high
    cdef Claim outer, inner
    cdef object loss, loss_name, optimizer, optimizer_name, update, memory
    cdef object names, holds, diverged, ready, kept_too, int64
    cdef list edited
    cdef object made_at, seen   # the object that this was made with, and that of the last change since then
    cdef bint is_short

    def __init__(
        self, Tape tape not None, x, target, value, dtype, double low, double high, claims, made_of, called, names,
        holds, diverged, list edited not None, ready=None,
    ):
        from numpy import int64

        cdef double[::1] of_value = value
        cdef int64_t[::1] label
        RowReader.__init__(self, x, dtype)
        if tape.calls_python:
            raise ValueError("RowStep: the tape calls functions of Python, which a step of one row does not allow for")
        self.tape, self.value, self.kept_too = tape, &of_value[0], (target, value)
        if target.ndim == 1:
            label = target
            self.label = &label[0]
        else:
            self.target = RowReader(target, dtype)
        self.low, self.high = low, high
        self.outer, self.inner = claims
        self.loss, self.optimizer, self.update, self.memory = made_of
        self.names, self.holds, self.diverged, self.ready = names, holds, diverged, ready
        self.edited, self.int64 = edited, int64
        self.loss_name, self.optimizer_name = called
        self.made_at = self.seen = edited[0]
        self.is_short = tape.work < 4

    def of(self, trainer, x, y, loss, optimizer):
        """Take the step on a row and its target, and return the loss before it.

        None, and nothing has been done, where that is for `train_batch`: of another kind of data, of bad data, of
        another loss or optimizer, while a training goes on, or after a change of settings.
        """
        if owner_exists(&self.outer.owner) or owner_exists(&self.inner.owner):
            return None
        owner_take(&self.outer.owner)
        owner_take(&self.inner.owner)
        self.outer.depth = self.inner.depth = 1
        try:
            return self.take(trainer, x, y, loss, optimizer)
        finally:
            owner_give_back(&self.inner.owner)
            owner_give_back(&self.outer.owner)

    cdef object take(self, trainer, x, y, loss, optimizer):
        cdef object last = trainer.optimizer
        if trainer.loss is not self.loss or trainer._updated is not self.update or self.optimizer() is not last:
            return None
        if loss is not None and loss is not self.loss and not self.is_named(loss, self.loss_name):
            return None
        if optimizer is not None and optimizer is not last and not self.is_named(optimizer, self.optimizer_name):
            return None
        if self.edited[0] is not self.seen:
            seen = self.edited[0]
            if not self.holds():
                return None
            self.seen = seen
        if not self.read(x, 1, self.names) or not self.is_finite() or not self.read_target(y):
            return None
        if self.ready is not None:
            self.ready()
        if trainer._by_hand is not None:
            trainer._by_hand.end_batch()
        self.memory.without_gradients = None
        try:
            self.tape.run(self.is_short)
        except ValueError:      # a number has left its bounds, or needs memory that it did not: nothing has run
            return None
        except FloatingPointError as error:
            raise self.diverged(error) from None
        return self.value[0]

    cdef bint is_named(self, given, name) except -1:
        """Whether a name means what it meant when this was made."""
        return type(given) is str and given == name and self.edited[0] is self.made_at

    cdef bint is_finite(self) noexcept:
        cdef Py_ssize_t i
        cdef bint all_are = True
        if self.item_size == sizeof(float):
            for i in range(self.n):
                all_are &= isfinite((<float *> self.x)[i])
        else:
            for i in range(self.n):
                all_are &= isfinite((<double *> self.x)[i])
        return all_are

    cdef bint read_target(self, y) except -1:
        cdef RowReader target = self.target
        cdef Py_ssize_t i
        cdef double number
        cdef long long label
        cdef int overflow = 0
        if target is None:
            if not PyLong_CheckExact(<PyObject *> y):
                if type(y) is not self.int64:
                    return False
                y = int(y)
            label = PyLong_AsLongLongAndOverflow(<PyObject *> y, &overflow)
            if overflow != 0 or not 0 <= label <= self.high:
                return False
            self.label[0] = label
            return True
        if target.n == 1 and type(y) is float:
            target.put(0, <double> y)
        elif target.n == 1 and not (type(y) is self.array_type or PyList_CheckExact(y) or PyTuple_CheckExact(y)):
            if not target.read((y,), 1, None):
                return False
        elif not target.read(y, 1, None):
            return False
        for i in range(target.n):
            number = (<float *> target.x)[i] if target.item_size == sizeof(float) else (<double *> target.x)[i]
            if not (isfinite(number) and self.low <= number <= self.high):
                return False
        return True

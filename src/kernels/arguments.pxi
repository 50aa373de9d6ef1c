# Arguments: one function takes those of any kernel, checks them as declared, and runs or records the call.

cdef extern from "Python.h":
    int PyObject_GetBuffer(PyObject *object, Py_buffer *buffer, int flags)
    int PyObject_CheckBuffer(PyObject *object)
    bint PyFloat_Check(PyObject *object)
    double PyFloat_AS_DOUBLE(PyObject *object)
    bint PyUnicode_Check(PyObject *object)
    int PyObject_IsTrue(PyObject *object) except -1
    PyObject *PyNumber_Float(PyObject *object)
    PyObject *Py_None
    void Py_DECREF(PyObject *object)
    void PyErr_Clear()
    bint PyErr_ExceptionMatches(object kinds)
    PyObject *PyTuple_GET_ITEM(PyObject *tuple, Py_ssize_t i)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *tuple)
    int PyUnicode_Compare(PyObject *a, PyObject *b) except? -1
    enum:
        PyBUF_FORMAT
        PyBUF_STRIDES
        PyBUF_WRITABLE
    ctypedef struct PyFloatObject:
        double ob_fval

cdef enum:
    SHORT_BYTES = 65536     # in all arrays together, up to which a call is too short to let other Python threads in

cdef double ZERO = 0.0
cdef double NOWHERE = 0.0   # what an array of no bytes has for an address: NULL is an array that is absent

# What is known of a call while its arguments are taken.
cdef struct Frame:
    PyObject *value[16]                  # as given or by default, borrowed
    Py_buffer[16] buffer
    int[16] argument                    # whose each buffer is
    int n_buffers
    PyObject *number[16]                 # floats made here
    int n_numbers
    Py_ssize_t[8] size
    int[8] decided_by                   # the argument that has set each size, or -1
    Call[2] call                        # `prepare` may make a second one


cdef object call_kernel(PyObject *self, PyObject **given, Py_ssize_t n_given, PyObject *keywords):
    cdef Kernel k = <Kernel> self
    cdef Frame f
    cdef int i
    f.n_buffers = f.n_numbers = 0
    try:
        place(k, &f, given, n_given, keywords)
        take(k, &f)
        keep_apart(k, &f)
        finish(k, &f)
    finally:
        for i in range(f.n_buffers):
            PyBuffer_Release(&f.buffer[i])
        for i in range(f.n_numbers):
            Py_DECREF(f.number[i])


cdef inline int place(Kernel k, Frame *f, PyObject **given, Py_ssize_t n_given, PyObject *keywords) except -1:
    """Find the value of every argument."""
    cdef Py_ssize_t i, j
    cdef PyObject *name
    if n_given > k.n_in_place:
        raise wrong_call(k, n_given, None, False)
    memset(f.value, 0, k.n_arguments * sizeof(PyObject *))
    for i in range(n_given):
        f.value[k.place[i]] = given[i]
    if keywords is not NULL:
        for i in range(PyTuple_GET_SIZE(keywords)):
            name = PyTuple_GET_ITEM(keywords, i)
            j = argument_named(k, name)
            if j < 0 or f.value[j] is not NULL:
                raise wrong_call(k, 0, <object> name, j >= 0)
            f.value[j] = given[n_given + i]
    for i in range(k.n_arguments):
        if f.value[i] is NULL and not k.arguments[i].hidden:
            if k.arguments[i].default is NULL:
                raise TypeError(f"{name_of(k, i)} is missing, expected {described(k, i)}")
            f.value[i] = k.arguments[i].default
    return 0


cdef inline int argument_named(Kernel k, PyObject *name) except -2:
    cdef int i
    for i in range(k.n_visible):
        if k.arguments[k.place[i]].name is name:
            return k.place[i]
    for i in range(k.n_visible):    # a name that is not interned
        if PyUnicode_Compare(k.arguments[k.place[i]].name, name) == 0:
            return k.place[i]
    return -1


cdef inline int take(Kernel k, Frame *f) except -1:
    """Fill the payload: arguments, sizes, context."""
    cdef const Argument *a
    cdef void **payload = f.call[0].payload
    cdef PyObject *value
    cdef int i
    for i in range(k.n_sizes):
        f.size[i], f.decided_by[i] = 0, -1
    for i in range(k.n_arguments):
        a, value = &k.arguments[i], f.value[i]
        if a.role == ARRAY:
            if value is NULL or (value is Py_None and a.optional):
                payload[a.word] = NULL
            else:
                take_array(k, f, i, False)
        elif a.role == NUMBER:
            if value is Py_None and a.optional:
                payload[a.word] = NULL
            else:
                take_number(k, f, i)
        elif a.role == ROWS:
            if isinstance(<object> value, Rows):
                f.value[i] = <PyObject *> (<Rows> value).array
                f.value[i + 1], f.value[i + 2] = <PyObject *> (<Rows> value).index, <PyObject *> (<Rows> value).cursor
                take_array(k, f, i, True)
            else:
                take_array(k, f, i, False)
        elif a.role == FLAG:
            payload[a.word] = <void *> <size_t> PyObject_IsTrue(value)
        elif a.role == NAME:
            if value is not Py_None and not PyUnicode_Check(value):
                raise TypeError(f"{name_of(k, i)} is {<object> value!r}, expected a name or None")
            payload[a.word] = NULL if value is Py_None else <void *> value
        elif a.role == ABSENT:
            payload[a.word] = &ZERO
        elif value is not Py_None and not isinstance(<object> value, Tape):
            raise TypeError(f"{k.name}: tape is {type(<object> value).__name__}, expected a Tape or None")
    if k.bounds.count > 0:
        check_bounds(k, f)
    for i in range(k.n_arguments):
        a = &k.arguments[i]
        if a.unless >= 0 and payload[a.word] is NULL and is_set(k, f, a.unless):
            raise missing_array(k, i, <object> f.value[a.unless])
    for i in range(k.n_sizes):
        payload[k.first_size + i] = <void *> f.size[i]
    if k.context is not NULL:
        payload[k.first_size + k.n_sizes] = <void *> k.context
    return 0


cdef inline bint is_set(Kernel k, Frame *f, int i) noexcept:
    """Whether a flag, or a number as it is now, is not 0."""
    cdef void *word = f.call[0].payload[k.arguments[i].word]
    return (<double *> word)[0] != 0 if k.arguments[i].role == NUMBER else word is not NULL


cdef int take_array(Kernel k, Frame *f, int i, bint are_chosen) except -1:
    cdef const Argument *a = &k.arguments[i]
    cdef Py_buffer *b = &f.buffer[f.n_buffers]
    cdef void **payload = f.call[0].payload
    cdef Py_ssize_t length
    cdef int d, size
    if PyObject_GetBuffer(f.value[i], b, PyBUF_FORMAT | PyBUF_STRIDES | (PyBUF_WRITABLE if a.written else 0)) != 0:
        return refuse_or_raise(k, i, f.value[i])
    f.argument[f.n_buffers] = i
    f.n_buffers += 1
    if not is_of_kind(a, b):
        raise refused(k, i, <object> f.value[i])
    for d in range(a.n_dims):
        length, size = b.shape[d], a.size[d]
        if d == 0 and are_chosen:
            size = a.size_of_all
        if size < 0:
            if length != a.length[d]:
                raise of_other_shape(k, i, b, f)
        elif f.decided_by[size] < 0:
            f.size[size], f.decided_by[size] = length, i
        elif f.size[size] != length:
            raise of_other_shape(k, i, b, f)
    payload[a.word] = b.buf if b.buf is not NULL else &NOWHERE
    if a.strided:
        for d in range(2):
            if b.strides[d] % a.item_size != 0:
                raise ValueError(f"{name_of(k, i)} has strides that are no multiples of its item size")
            payload[a.word + 1 + d] = <void *> (b.strides[d] // a.item_size)
    return 0


cdef inline bint is_of_kind(const Argument *a, const Py_buffer *b) noexcept:
    """Whether dtype, dimensions and layout are as declared."""
    cdef Py_ssize_t expected = a.item_size
    cdef char code = b.format[0]
    cdef int d
    if code == b"l" and a.code == b"q":     # the same on most systems
        code = b"q"
    if code != a.code or b.format[1] != 0 or b.itemsize != a.item_size or b.ndim != a.n_dims:
        return False
    if a.strided or b.len == 0:
        return True
    for d in range(a.n_dims - 1, -1, -1):
        if b.shape[d] != 1 and b.strides[d] != expected:
            return False
        expected *= b.shape[d]
    return True


cdef int take_number(Kernel k, Frame *f, int i) except -1:
    """The address of a number, which is read at every run."""
    cdef const Argument *a = &k.arguments[i]
    cdef Py_buffer *b = &f.buffer[f.n_buffers]
    cdef PyObject *value = f.value[i]
    cdef double *address
    cdef bint is_array = not PyFloat_Check(value) and PyObject_CheckBuffer(value)
    if is_array:
        if PyObject_GetBuffer(value, b, PyBUF_FORMAT | PyBUF_STRIDES) != 0:
            return refuse_or_raise(k, i, value)
        if b.ndim == 0:     # a number of NumPy's
            is_array = False
            PyBuffer_Release(b)
    if is_array:
        f.argument[f.n_buffers] = i
        f.n_buffers += 1
        if b.ndim != 1 or b.format[0] != b"d" or b.format[1] != 0:
            raise refused(k, i, <object> value)
        if b.shape[0] != 1:
            raise ValueError(f"{name_of(k, i)} has shape ({b.shape[0]},), expected (1,)")
        address = <double *> b.buf
    else:
        if not PyFloat_Check(value):
            if PyUnicode_Check(value):
                raise refused(k, i, <object> value)
            value = PyNumber_Float(value)
            if value is NULL:
                return refuse_or_raise(k, i, f.value[i])
            f.number[f.n_numbers] = f.value[i] = value
            f.n_numbers += 1
        address = &(<PyFloatObject *> value).ob_fval
    f.call[0].payload[a.word] = address
    return 0


cdef int refuse_or_raise(Kernel k, int i, PyObject *value) except -1:
    """Raise the error for what is no array or no number; other errors, and Ctrl-C, stay what they are."""
    if not PyErr_ExceptionMatches((TypeError, ValueError, OverflowError, BufferError)):
        return -1
    PyErr_Clear()
    raise refused(k, i, <object> value)


cdef inline int check_bounds(Kernel k, Frame *f) except -1:
    """Behind all arguments: to take one can run code that changes another."""
    cdef const Argument *a
    cdef double number
    cdef int i
    for i in range(k.n_arguments):
        a = &k.arguments[i]
        if a.role == NUMBER and a.is_bounded and f.call[0].payload[a.word] is not NULL:
            number = (<double *> f.call[0].payload[a.word])[0]
            if not ((number > a.low if a.above else number >= a.low)
                    and (number < a.high if a.below else number <= a.high)):
                raise out_of_bounds(k, i, number)
    return 0


cdef inline int keep_apart(Kernel k, Frame *f) except -1:
    """The memory of what is written overlaps that of no other argument."""
    cdef const Argument *a
    cdef const char *low
    cdef const char *high
    cdef const char *other_low
    cdef const char *other_high
    cdef bint may_be_same
    cdef int i, j
    for i in range(f.n_buffers):
        a = &k.arguments[f.argument[i]]
        if not a.written or f.buffer[i].len == 0:
            continue
        extent(&f.buffer[i], &low, &high)
        for j in range(f.n_buffers):
            if j == i or f.buffer[j].len == 0 or (j < i and k.arguments[f.argument[j]].written):
                continue        # itself, or a pair that was compared already
            extent(&f.buffer[j], &other_low, &other_high)
            if low < other_high and other_low < high:
                may_be_same = a.same_as == f.argument[j]
                if not (may_be_same and low == other_low):
                    raise overlapping(k, f.argument[i], f.argument[j], may_be_same)
    return 0


cdef inline void extent(const Py_buffer *b, const char **low, const char **high) noexcept:
    """The first byte of an array of any strides, and the one behind its last."""
    cdef int d
    low[0] = <const char *> b.buf
    high[0] = low[0] + b.itemsize
    for d in range(b.ndim):
        if b.strides[d] < 0:
            low[0] += b.strides[d] * (b.shape[d] - 1)
        else:
            high[0] += b.strides[d] * (b.shape[d] - 1)


cdef inline int finish(Kernel k, Frame *f) except -1:
    """Let the kernel complete the call, then run or record it."""
    cdef Call *call = f.call
    cdef PyObject *tape = f.value[k.n_arguments - 1]
    cdef Py_ssize_t n_calls = 1
    cdef double nanoseconds = k.nanoseconds
    cdef int i
    call.body, call.updates = k.body, k.updates
    call.bounds = &k.bounds if k.bounds.count > 0 else NULL
    call.units = 1 if k.units < 0 else f.size[k.units]
    call.turn, call.grain, call.nanoseconds = 0, 0, 0
    for i in range(k.n_times):
        nanoseconds *= f.size[k.times[i]]
    if nanoseconds > 0:
        call_divide(call, nanoseconds)
    call.of_rows = call.of_parts = NULL
    call.taken, call.takes = NULL, False
    call.block, call.add, call.guards = 0, NULL, 0
    call.joint, call.both = NULL, NULL
    if k.units >= 0 and k.prepare is NULL:
        call.of_rows, call.rows = call.of_parts, call.parts = k.body, call.units
    if k.prepare is not NULL:
        n_calls = k.prepare(k.name, call)
        if k.sums and f.size[0] > SUM_ROWS:
            n_calls = divide_sums(k, call)
    if tape is Py_None:
        return run(f, n_calls)
    return record(k, f, <Tape> tape, n_calls)


cdef int run(Frame *f, Py_ssize_t n_calls) except -1:
    cdef Py_ssize_t i, n_bytes = 0
    cdef int status = 0
    for i in range(f.n_buffers):
        n_bytes += f.buffer[i].len
    if n_bytes > SHORT_BYTES:
        return run_now(f.call, n_calls)
    for i in range(n_calls):
        status = status or call_run(&f.call[i], 0, f.call[i].units)
    return raise_status(status, NULL) if status != 0 and status != CALL_END else 0


cdef int record(Kernel k, Frame *f, Tape tape, Py_ssize_t n_calls) except -1:
    """The tape takes the buffers over, and keeps the numbers."""
    cdef int i
    cdef Reach[CALL_WORDS] reaches
    cdef int n
    tape.reserve(n_calls, f.n_buffers, n_calls * f.n_buffers)
    for i in range(k.n_arguments):
        if k.arguments[i].role == NUMBER and PyFloat_Check(f.value[i]):
            tape.kept.append(<object> f.value[i])
    for i in range(n_calls):
        n = reach(k, f, &f.call[i], reaches)
        tape.append(&f.call[i], reaches, n)
    for i in range(f.n_buffers):
        tape.hold(&f.buffer[i])
    f.n_buffers = 0
    return 0


cdef int reach(Kernel k, Frame *f, const Call *call, Reach *reaches) noexcept:
    """Write down what memory a call reads or writes: its arrays, without those that this call of two does not know."""
    cdef const Argument *a
    cdef const Py_buffer *b
    cdef int i, n = 0, rows = max(k.units, 0)       # the first symbol where nothing is split
    for i in range(f.n_buffers):
        a, b = &k.arguments[f.argument[i]], &f.buffer[i]
        if call.payload[a.word] is NULL or b.len == 0:
            continue
        extent(b, &reaches[n].low, &reaches[n].high)
        reaches[n].written = a.written
        reaches[n].of_row = reaches[n].of_part = 0
        if a.role in (ARRAY, ROWS) and a.n_dims > 0 and not a.strided:
            if (
                call.of_rows is not NULL and a.size[0] == rows and b.shape[0] == call.rows
                and not (a.role == ROWS and call.payload[a.word + 1] is not NULL)
            ):
                reaches[n].of_row = b.len // b.shape[0]
            if call.of_parts is not NULL and a.written and b.shape[0] == call.parts:
                reaches[n].of_part = b.len // b.shape[0]
        n += 1
    return n

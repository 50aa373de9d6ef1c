# Declarations: the text in which a kernel says what its arguments are, and what it becomes.
#
#     sgd(w: inout (n), dw: in (n), velocity: inout (n) | None if momentum == 0, lr: cell, momentum: cell = 0.0 >= 0,
#         nesterov: flag = False) -> n: 0.2, updates
#
# in, out, inout    a C-contiguous array that is read, written, or both, of the kernel's dtype or the one that is named
#                   (float64, int64, int32, int8, uint16), with its shape in symbols: the first array that has a symbol
#                   sets its size, others must agree. An array that is written overlaps no other. `strided` allows any
#                   strides.
# | None            it may be None: always, or only while a number or flag is 0
# | x               it may be the very same array as x
# rows              an array that is read, or Rows of one
# cell              a number, read at every run: a float, or a float64 array of shape (1,); bounds behind the default
# absent            0, without an argument: what this kernel has not and its relatives have
# *                 what follows is given by its name only: in place, the tape comes before it
# flag              true or false, and name, a string or None that the kernel looks up: both fixed when it is recorded
# -> n: 0.2         its units, and the nanoseconds of one (followed by sizes to multiply them by), where threads may
#                   share them
# , updates         it writes to parameters
# , sums            what is written and has no rows are sums over rows (sum_blocks.pxi), or "moments": a mean and a
#                   variance; "first", where what has rows needs them
#
# The payload has a word for each argument (strided: three; rows: those of the array, the index and the cursor), then
# one for each symbol in the order of their first appearance, then the context that `declare` is given, if there is
# one, and what `prepare` adds.

cdef enum:
    MOST_ARGUMENTS = 16     # with the tape, and the hidden ones of rows
    MOST_SIZES = 8
    MOST_DIMENSIONS = 3

cdef enum Role:
    ARRAY
    ROWS            # an array, or Rows of one: then the two arguments that follow, which are hidden, hold the choice
    NUMBER          # a float or a float64 array of shape (1,), read at every run
    ABSENT          # a number that this kernel has not, and its relatives have: always 0
    FLAG
    NAME            # a string or None, for `prepare` to look up
    TAPE

cdef struct Argument:
    Role role
    bint hidden                         # given by Rows
    # arrays
    char code                           # of the buffer protocol: f, d, q, i or b
    Py_ssize_t item_size
    bint written
    bint strided                        # any strides: two more words hold them, in elements
    int n_dims
    int[3] size                         # of each dimension the number of its symbol, or -1
    Py_ssize_t[3] length                # and where that is -1, its length
    int size_of_all                     # of rows: the symbol of all rows of the array that they are chosen from
    bint optional                       # may be None
    int unless                          # may be None only while that argument is 0, or -1
    int same_as                         # may be the same array as that argument, or -1
    # numbers
    double low
    double high
    bint above
    bint below
    bint is_bounded                     # else it may be NaN, too
    int word                            # of the payload
    PyObject *name
    PyObject *default                   # NULL: the argument is required

cdef extern from "Python.h":
    ctypedef struct PyMethod "PyMethodDef":
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    enum:
        METH_FASTCALL
        METH_KEYWORDS
    object PyCFunction_NewEx(PyMethod *method, object self, object module)

cdef object SIGNATURE = re.compile(
    r"(\w+)\((.*)\)(?: -> (\w+)(?:: ([\d.e+-]+)((?: \w+)*))?)?(?:, (updates|sums|sums first|moments first))?", re.DOTALL
)
cdef object ARGUMENT = re.compile(
    r"(?P<name>\w+): (?P<role>in|out|inout|rows|cell|absent|flag|name)(?: (?P<dtype>float64|int64|int32|int8|uint16))?"
    r"(?P<strided> strided)?(?: \((?P<shape>[\w, ]*)\))?(?P<others>(?: \| \w+(?: if \w+ == 0)?)*)"
    r"(?: = (?P<default>[\w.+-]+))?(?P<bounds>(?: [<>]=? [\d.e+-]+)*)(?:, |$)"
)
cdef object REMARKS = {
    "in": "Read.", "rows": "Read.", "out": "Written.", "inout": "Read and written.", "cell": "Read at every run.",
}
cdef dict DTYPES = {b"f": "float32", b"d": "float64", b"q": "int64", b"i": "int32", b"b": "int8", b"H": "uint16"}
cdef dict CODES = {"float64": b"d", "int64": b"q", "int32": b"i", "int8": b"b", "uint16": b"H"}
cdef dict ITEM_SIZES = {b"f": 4, b"d": 8, b"q": 8, b"i": 4, b"b": 1, b"H": 2}
cdef dict SUMS = {"sums": ARE_SUMS, "sums first": ARE_SUMS | COME_FIRST, "moments first": ARE_MOMENTS | COME_FIRST}
cdef dict PARSED = {}       # by their texts: those of float32 are those of float64


class Declared:
    """A declaration as parsed: what kernels of all dtypes have in common, and what tests and types read."""

    def __init__(self, text):
        signature, _, summary = text.partition("\n\n")
        match = SIGNATURE.fullmatch(" ".join(signature.split()))
        if match is None:
            raise SyntaxError(f"no declaration of a kernel: {signature}")
        self.name, arguments, self.units, cost, times, kind = match.groups()
        self.nanoseconds, self.times, self.updates = float(cost or 0), (times or "").split(), kind == "updates"
        self.sums = kind if kind in SUMS else ""
        self.summary = "\n".join(line.strip() for line in summary.strip().splitlines())
        self.arguments, at, by_name = [], 0, False
        while at < len(arguments):
            if arguments.startswith("*, ", at):
                at, by_name = at + len("*, "), True
            match = ARGUMENT.match(arguments, at)
            if match is None:
                raise SyntaxError(f"{self.name}: no declaration of an argument: {arguments[at:]}")
            self.arguments.append(DeclaredArgument(match, by_name))
            at = match.end()
        visible = [argument for argument in self.arguments if argument.role != "absent"]
        shown, behind = [], []
        for argument in visible:
            default = "" if argument.default is None else f"={argument.default}"
            (behind if argument.by_name else shown).append(f"{argument.name}{default}")
        shown += ["tape=None", *(["*", *behind] if behind else [])]
        lines = [f"{self.name}({', '.join(shown)})\n--\n\n{self.summary}\n\nParameters\n----------"]
        for argument in visible:
            lines += [f"{argument.name} : {argument.type}", *[f"    {text}" for text in [argument.remark] if text]]
        lines.append("tape : Tape or None\n    Records the call instead of running it.")
        self.document = "\n".join(lines).encode()       # its first lines are what `inspect.signature` reads


class DeclaredArgument:
    """One argument of a declaration."""

    def __init__(self, match, by_name=False):
        self.by_name = by_name
        for field, value in match.groupdict().items():
            setattr(self, field, value)
        self.strided = self.strided is not None
        self.shape = tuple(size.strip() for size in self.shape.split(",") if size.strip()) if self.shape else ()
        self.optional, self.unless, self.same_as = False, None, None
        for other in filter(None, self.others.split(" | ")):
            if other.startswith("None"):
                self.optional, self.unless = True, other[len("None if "):-len(" == 0")] or None
            else:
                self.same_as = other
        self.bounds = re.findall(r"([<>]=?) (\S+)", self.bounds)

    @property
    def type(self):
        shape = ", ".join(self.shape) + ("," if len(self.shape) == 1 else "")
        if self.role == "cell":
            text = "float or float64 array of shape (1,)"
        elif self.role in ("flag", "name"):
            text = {"flag": "bool", "name": "str"}[self.role]
        else:
            text = f"{self.dtype or ''} array of shape ({shape})".strip() + (" or Rows" if self.role == "rows" else "")
        return text + (" or None" if self.optional or self.default == "None" else "")

    @property
    def remark(self):
        parts = [REMARKS.get(self.role, "")]
        if self.bounds:
            parts[0] = f"{' and '.join(map(' '.join, self.bounds))}. {parts[0]}"
        if self.same_as:
            parts.append(f"It may be {self.same_as}.")
        if self.unless:
            parts.append(f"None while {self.unless} is 0.")
        return " ".join(filter(None, parts))


cdef object declare(
    str module, size_t item_size, str text, Body body, size_t payload_bytes, Prepare prepare=NULL,
    const void *context=NULL, int n_added=0,
):
    """Return the function that `text` declares, for a dtype of that item size.

    Its body reads a struct of `payload_bytes`, to which `prepare` adds the last `n_added` words.
    """
    cdef Kernel kernel = Kernel()
    declared = PARSED.get(text)
    if declared is None:
        declared = PARSED[text] = Declared(text)
    kernel.fill(declared, item_size)
    kernel.body, kernel.prepare, kernel.context = body, prepare, context
    words = kernel.first_size + kernel.n_sizes + (context is not NULL) + n_added
    if not 8 * words == payload_bytes <= 8 * CALL_WORDS:
        raise SystemError(f"{kernel.name}: {words} words are declared, its struct has {payload_bytes / 8}")
    return kernel.function(module)


cdef int set_bounds(Argument *a, bounds) except -1:
    a.low, a.high, a.above, a.below = -float("inf"), float("inf"), False, False
    a.is_bounded = len(bounds) > 0
    for sign, number in bounds:
        if sign[0] == ">":
            a.low, a.above = float(number), sign == ">"
        else:
            a.high, a.below = float(number), sign == "<"
    return 0


cdef object no_copies(str what):
    """The error for what holds addresses of code."""
    return TypeError(f"{what} cannot be copied or pickled: keep its name, and fastnn.kernels.float32 or float64")


cdef class Kernel:
    """A declaration in the form that C reads."""

    cdef Argument[16] arguments
    cdef int n_arguments
    cdef int[16] place                  # of the visible arguments, in order
    cdef int n_visible
    cdef int n_in_place                 # of them, in which the others are not: they are given by their names only
    cdef int n_sizes
    cdef int first_size                 # the word of the first size
    cdef CallBounds bounds
    cdef Body body
    cdef Prepare prepare
    cdef const void *context
    cdef int units                      # the symbol of what is split, or -1
    cdef double nanoseconds             # of one unit, times these sizes
    cdef int[3] times
    cdef int n_times
    cdef bint updates
    cdef int sums                       # 0: nothing, or what is needed without blocks
    cdef readonly str name
    cdef readonly object declared       # the declaration, as parsed
    cdef object texts                   # what C keeps addresses of
    cdef bytes doc
    cdef PyMethod method

    def __reduce__(self):
        raise no_copies(f"the kernel {self.name}")

    cdef int fill(self, declared, size_t item_size) except -1:
        cdef Argument *a
        cdef int word = 0, i
        cdef list by_name = []
        self.name, self.declared, self.texts = declared.name, declared, []
        sizes, names = [], [argument.name for argument in declared.arguments]
        self.bounds.kernel = self.keep(declared.name)
        for argument in declared.arguments:
            if self.n_arguments + 3 > MOST_ARGUMENTS:
                raise SystemError(f"{self.name}: more arguments than {MOST_ARGUMENTS - 3}")
            a = self.add(argument.name, word)
            if argument.role == "rows":
                a.role, a.optional = ROWS, False
                self.shape(a, argument.shape, sizes)
                self.layout(a, None, item_size)
                word += 3
                self.place[self.n_visible] = self.n_arguments - 1
                self.n_visible += 1
                for hidden, shape in (("index", ("n_index",)), ("cursor", ("1",))):
                    a = self.add(hidden, word - 2 + (hidden == "cursor"))
                    a.role, a.hidden = ARRAY, True
                    self.shape(a, shape, sizes)
                    self.layout(a, "int64", item_size)
                self.arguments[self.n_arguments - 3].size_of_all = self.symbol("n_all", sizes)
                continue
            word += 1
            if argument.default is not None:
                a.default = self.keep_object(eval(argument.default, {}))
            if argument.role == "absent":
                a.role, a.hidden = ABSENT, True
                continue
            if argument.by_name:
                by_name.append(self.n_arguments - 1)
            else:
                self.place[self.n_visible] = self.n_arguments - 1
                self.n_visible += 1
            a.optional = argument.optional
            if argument.role == "cell":
                a.role = NUMBER
                set_bounds(a, argument.bounds)
            elif argument.role == "flag":
                a.role = FLAG
            elif argument.role == "name":
                a.role = NAME
            else:
                a.role, a.written, a.strided = ARRAY, argument.role != "in", argument.strided
                self.shape(a, argument.shape, sizes)
                self.layout(a, argument.dtype, item_size)
                word += 2 * a.strided
                a.same_as = self.index_of(argument.same_as)
        for i, argument in enumerate(declared.arguments):
            if argument.unless is not None:
                self.arguments[self.index_of(argument.name)].unless = self.index_of(argument.unless)
        a = self.add("tape", 0)
        a.role = TAPE
        a.default = self.keep_object(None)
        self.place[self.n_visible] = self.n_arguments - 1
        self.n_visible += 1
        self.n_in_place = self.n_visible
        for i in by_name:
            self.place[self.n_visible] = i
            self.n_visible += 1
        self.first_size, self.n_sizes = word, len(sizes)
        self.units = sizes.index(declared.units) if declared.units else -1
        self.nanoseconds, self.updates, self.n_times = declared.nanoseconds, declared.updates, len(declared.times)
        self.sums = SUMS.get(declared.sums, 0) if item_size == sizeof(float) else 0
        for i, size in enumerate(declared.times):
            self.times[i] = sizes.index(size)
        if len(sizes) > MOST_SIZES:
            raise SystemError(f"{self.name}: more symbols than {MOST_SIZES}")
        return self.watch()

    cdef Argument *add(self, str name, int word) except NULL:
        cdef Argument *a = &self.arguments[self.n_arguments]
        self.n_arguments += 1
        a.name, a.word = self.keep_object(name), word
        a.unless = a.same_as = a.size_of_all = -1
        set_bounds(a, ())
        return a

    cdef int symbol(self, str size, list sizes) except -1:
        if size not in sizes:
            sizes.append(size)
        return sizes.index(size)

    cdef int shape(self, Argument *a, shape, list sizes) except -1:
        cdef int d = 0
        a.n_dims = len(shape)
        for d, size in enumerate(shape):
            a.size[d] = -1 if size.isdigit() else self.symbol(size, sizes)
            a.length[d] = int(size) if size.isdigit() else -1
        return 0

    cdef int layout(self, Argument *a, dtype, size_t item_size) except -1:
        code = CODES[dtype] if dtype is not None else b"d" if item_size == sizeof(double) else b"f"
        a.code, a.item_size = (<bytes> code)[0], ITEM_SIZES[code]
        return 0

    cdef int watch(self) except -1:
        """Write down the numbers that a replay compares with their bounds."""
        cdef CallNumber *n
        cdef Argument *a
        cdef int i, j
        for i in range(self.n_arguments):
            a = &self.arguments[i]
            if a.role != NUMBER:
                continue
            n = &self.bounds.number[self.bounds.count]
            n.name, n.word, n.array = self.keep(<str> a.name), a.word, -1
            n.low, n.high, n.above, n.below = a.low, a.high, a.above, a.below
            for j in range(self.n_arguments):
                if self.arguments[j].unless == i:
                    n.array, n.of_array = self.arguments[j].word, self.keep(<str> self.arguments[j].name)
            if a.low == -float("inf") and a.high == float("inf") and n.array < 0:
                continue
            self.bounds.count += 1
            if self.bounds.count == CALL_NUMBERS:
                raise SystemError(f"{self.name}: {CALL_NUMBERS} numbers with bounds or more")
        return 0

    cdef const char *keep(self, str text) except NULL:
        encoded = text.encode()
        self.texts.append(encoded)
        return <const char *> encoded

    cdef PyObject *keep_object(self, value) except NULL:
        value = intern(value) if isinstance(value, str) else value
        self.texts.append(value)
        return <PyObject *> value

    cdef int index_of(self, name) except -2:
        cdef int i
        for i in range(self.n_arguments):
            if name == <object> self.arguments[i].name:
                return i
        return -1

    cdef object function(self, str module):
        self.doc = self.declared.document
        self.method.ml_name = self.bounds.kernel
        self.method.ml_meth = <void *> call_kernel
        self.method.ml_flags = METH_FASTCALL | METH_KEYWORDS
        self.method.ml_doc = self.doc
        return PyCFunction_NewEx(&self.method, self, module)

# The table of activations: one row each, from which follow its two kernels, what may run inside a dense product, the
# Python classes and the tests.
#
#     celu(alpha: cell = 1.0 > 0): y in [-alpha, inf], from y, he_normal
#
# says its constants, up to two (`alpha`, then `beta`), the range of y, whether the derivative follows from y or from x,
# and the initializer that keeps the variance of signals through a layer before it.

cdef object ROW = re.compile(
    r"(\w+)(?:\((alpha: cell = [^)]*)\))?: y in \[([^,]+), ([^\]]+)\], from (x|y), (\w+)"
)
cdef dict TABLES = {}       # of each build, by its name
cdef tuple NAMES_OF_CONSTANTS = ("alpha", "beta")


# Attributes
# ----------
# name : str
# derivative_from : {"x", "y"}
#     What the backward kernel reads.
# constants : dict of float
#     The defaults of its constants, "alpha" and "beta", as far as it has them.
# bounds : dict of list
#     The bounds of these, each as a sign and a number: ``[(">=", "0")]``.
# range : tuple of str
#     The bounds of y, as numbers or in terms of the constants.
# initializer : str
#     For the weights before it.
# elementwise : bool
#     Each number of y follows from one number of x.
# fusable : bool
#     It can run inside the dense product before it, and its derivative inside the one behind it.
cdef class Activation:
    """A row of the table of activations."""

    def __init__(self, str row):
        match = ROW.fullmatch(" ".join(row.split()))
        if match is None:
            raise SyntaxError(f"no row of the table of activations: {row}")
        self.name, self.declared, low, high, self.derivative_from, self.initializer = match.groups()
        self.range, self.inside = (low, high), {}
        declared = [DeclaredArgument(argument) for argument in ARGUMENT.finditer(self.declared or "")]
        self.constants = {argument.name: float(argument.default) for argument in declared}
        self.bounds = {argument.name: argument.bounds for argument in declared}
        if list(self.constants) != list(NAMES_OF_CONSTANTS[:len(declared)]):
            raise SyntaxError(f"{self.name}: constants are alpha, then beta, got {self.declared}")
        for i, default in enumerate(self.constants.values()):
            self.default[i] = default

    @property
    def elementwise(self):
        return self.loop is not NULL

    @property
    def fusable(self):
        return self.elementwise and self.derivative_from == "y"

    def __repr__(self):
        return f"<activation {self.name}>"

    def __reduce__(self):
        raise no_copies(f"the activation {self.name}")


cdef Activation add_activation(str build, str row, const void *loop):
    """Add a row to the table of a build; without a loop, the activation is none of single numbers."""
    cdef Activation activation = Activation(row)
    activation.loop = loop
    TABLES.setdefault(build, {})[activation.name] = activation
    return activation


cdef str constants_or_absent(str declared):
    """The arguments alpha and beta: as declared, or absent."""
    declared = declared or ""
    absent = [f"{name}: absent" for name in NAMES_OF_CONSTANTS if f"{name}: cell" not in declared]
    return ", ".join([declared, *absent] if declared else absent)


cdef str elementwise_text(str name, str summary, str declared):
    """The declaration of y = f(x), for f of one number and the constants that are declared."""
    arguments = constants_or_absent(declared)
    return f"{name}(x: in (rows, n), y: out (rows, n) | x, {arguments}) -> rows: 0.3 n\n\n    {summary}"


cdef tuple activation_texts(str build, str text, const void *loop):
    """Add a row to the table, and return the declarations of its two kernels; below the row, the text says of each what
    it does."""
    row, forward, backward = text.splitlines()
    cdef Activation added = add_activation(build, row, loop)
    arguments = f"{added.derivative_from}: in (rows, n), dy: in (rows, n), dx: out (rows, n) | dy"
    constants = constants_or_absent(added.declared)
    return (
        elementwise_text(f"{added.name}_forward", forward.strip(), added.declared),
        f"{added.name}_backward({arguments}, {constants}) -> rows: 0.3 n\n\n    {backward.strip()}",
    )


def activations_of(str build):
    """The table of a build: of an instruction set and a dtype."""
    return TABLES[build]


# What runs inside a dense product. `words` are those of its arguments: that of `activation` becomes the loop to apply,
# or stays NULL, those of `alpha` and `beta` the addresses of its constants, whose bounds are those of the activation.
cdef int fuse(Call *call, str build, str kernel, const int *words) except -1:
    cdef void **payload = call.payload
    cdef Activation activation = None
    cdef BoundsInside inside
    cdef const CallBounds *bounds
    cdef int i, n = 0
    name = None
    if payload[words[0]] is not NULL:
        name = <object> payload[words[0]]
        activation = fusable(build, kernel, name)
        payload[words[0]] = <void *> activation.loop
        n = len(activation.constants)
    for i in range(2):
        if payload[words[1 + i]] is NULL:
            payload[words[1 + i]] = &activation.default[i] if i < n else &ZERO
        elif i >= n:
            number = (<double *> payload[words[1 + i]])[0]
            raise ValueError(
                f"{kernel}: {NAMES_OF_CONSTANTS[i]} is {number}, expected None: {name} has "
                f"{'only one' if n else 'no'} constant"
            )
    if n == 0:
        return 0
    inside = activation.inside.get(kernel)
    if inside is None:
        inside = activation.inside[kernel] = bounds_at(activation, kernel, words)
    call.bounds = bounds = &inside.bounds
    for i in range(bounds.count):
        if not call_number_holds(call, &bounds.number[i]):
            number = (<double *> payload[bounds.number[i].word])[0]
            raise ValueError(
                f"{kernel}: {bounds.number[i].name.decode()} is {number}, expected a number "
                f"{bounds_in_words(&bounds.number[i])} for {name}"
            )
    return 0


cdef Activation fusable(str build, str kernel, name):
    cdef Activation found = TABLES[build].get(name)
    if found is None or not found.fusable:
        names = ", ".join(sorted(other.name for other in TABLES[build].values() if other.fusable))
        refuse_activation(kernel, name, f"None or one whose derivative follows from y: {names}")
    return found


cdef Activation elementwise_of(str build, str kernel, name):
    """The row of an activation of single numbers."""
    cdef Activation found = TABLES[build].get(name)
    if found is None or not found.elementwise:
        names = ", ".join(sorted(other.name for other in TABLES[build].values() if other.elementwise))
        refuse_activation(kernel, name, f"one of single numbers: {names}")
    return found


# Replaces the name of an activation of single numbers by its loop, and constants that are not given by its own; returns
# whether its derivative follows from y.
cdef bint choose_activation(
    str build, str kernel, const void **loop, const double **alpha, const double **beta
) except? -1:
    cdef Activation chosen = elementwise_of(build, kernel, None if loop[0] is NULL else <object> loop[0])
    loop[0] = chosen.loop
    if alpha[0] is NULL:
        alpha[0] = &chosen.default[0]
    if beta[0] is NULL:
        beta[0] = &chosen.default[1]
    return chosen.derivative_from == "y"


cdef class BoundsInside:
    """The bounds of the constants of an activation, which a replay compares, at the words of a kernel."""

    cdef CallBounds bounds
    cdef list texts         # what these keep addresses of


cdef BoundsInside bounds_at(Activation activation, str kernel, const int *words):
    cdef BoundsInside found = BoundsInside()
    cdef Argument a
    cdef CallNumber *n
    found.texts = texts = [name.encode() for name in (kernel, *activation.bounds)]
    for i, limits in enumerate(activation.bounds.values()):
        if not limits:
            continue
        set_bounds(&a, limits)
        n = &found.bounds.number[found.bounds.count]
        n.name, n.word, n.array = <const char *> texts[1 + i], words[1 + i], -1
        n.low, n.high, n.above, n.below = a.low, a.high, a.above, a.below
        found.bounds.count += 1
    found.bounds.kernel = <const char *> texts[0]
    return found

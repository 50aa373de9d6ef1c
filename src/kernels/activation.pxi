# The table of activations: one row each, from which follow its two kernels, what may run inside a dense product, the
# Python classes and the tests.
#
#     celu(alpha: cell = 1.0 > 0): y in [-alpha, inf], from y, he_normal
#
# says its constant, if it has one, the range of y, whether the derivative follows from y or from x, and the initializer
# that keeps the variance of signals through a layer before it.

cdef object ROW = re.compile(
    r"(\w+)(?:\((alpha: cell = [^)]*)\))?: y in \[([^,]+), ([^\]]+)\], from (x|y), (\w+)"
)
cdef dict TABLES = {}       # of each build, by its name


cdef class Activation:
    """A row of the table of activations.

    Attributes
    ----------
    name : str
    derivative_from : {"x", "y"}
        What the backward kernel reads.
    alpha : float or None
        The default of its constant, if it has one.
    alpha_above_0 : bool
        It must be above 0; else it may be 0, too.
    range : tuple of str
        The bounds of y, as numbers or in terms of alpha.
    initializer : str
        For the weights before it.
    elementwise : bool
        Each number of y follows from one number of x.
    fusable : bool
        It can run inside the dense product before it, and its derivative inside the one behind it.
    """

    def __init__(self, str row):
        match = ROW.fullmatch(" ".join(row.split()))
        if match is None:
            raise SyntaxError(f"no row of the table of activations: {row}")
        self.name, self.constant, low, high, self.derivative_from, self.initializer = match.groups()
        self.range = low, high
        if self.constant is not None:
            self.default_alpha = self.alpha = float(DeclaredArgument(ARGUMENT.match(self.constant)).default)

    @property
    def elementwise(self):
        return self.loop is not NULL

    @property
    def fusable(self):
        return self.elementwise and self.derivative_from == "y"

    @property
    def alpha_above_0(self):
        return self.constant is not None and self.constant.endswith("> 0")

    def __repr__(self):
        return f"<activation {self.name}>"


cdef Activation add_activation(str build, str row, const void *loop):
    """Add a row to the table of a build; without a loop, the activation is none of single numbers."""
    cdef Activation activation = Activation(row)
    activation.loop = loop
    TABLES.setdefault(build, {})[activation.name] = activation
    return activation


def activations_of(str build):
    """The table of a build: of an instruction set and a dtype."""
    return TABLES[build]


# What runs inside a dense product. `words` are those of its arguments `activation` and `alpha`: the first becomes the
# loop to apply, or stays NULL, the second the address of the constant, whose bounds are those of the activation.
cdef int fuse(
    Call *call, str build, str kernel, int word_of_name, int word_of_alpha, bint derivative
) except -1:
    cdef void **payload = call.payload
    cdef Activation activation
    cdef CallBounds *bounds
    name, has_alpha = None, payload[word_of_alpha] is not NULL
    if payload[word_of_name] is not NULL:
        name = <object> payload[word_of_name]
        activation = fusable(build, kernel, name)
        payload[word_of_name] = <void *> activation.loop
        if has_alpha and activation.alpha is not None:
            bounds = &activation.bounds[derivative]
            if bounds.count == 0:
                watch_alpha(activation, bounds, kernel, word_of_alpha)
            call.bounds = bounds
            if not call_number_holds(call, bounds.number):
                raise ValueError(
                    f"{kernel}: alpha is {(<double *> payload[word_of_alpha])[0]}, "
                    f"expected a number {bounds_in_words(bounds.number)} for {name}"
                )
            return 0
    if has_alpha:
        raise ValueError(
            f"{kernel}: alpha is {(<double *> payload[word_of_alpha])[0]}, expected None: {name} has no constant"
        )
    payload[word_of_alpha] = &activation.default_alpha if name is not None else &ZERO
    return 0


cdef Activation fusable(str build, str kernel, name):
    cdef Activation found = TABLES[build].get(name)
    if found is None or not found.fusable:
        names = ", ".join(sorted(other.name for other in TABLES[build].values() if other.fusable))
        raise ValueError(
            f"{kernel}: activation is {name!r}, expected None or one whose derivative follows from y: {names}"
        )
    return found


cdef int watch_alpha(Activation activation, CallBounds *bounds, str kernel, int word) except -1:
    cdef Argument a
    set_bounds(&a, DeclaredArgument(ARGUMENT.match(activation.constant)).bounds)
    activation.texts = (kernel.encode(), *(activation.texts or ()))
    bounds.kernel = activation.texts[0]
    bounds.number[0].name, bounds.number[0].word, bounds.number[0].array = b"alpha", word, -1
    bounds.number[0].low, bounds.number[0].high = a.low, a.high
    bounds.number[0].above, bounds.number[0].below = a.above, a.below
    bounds.count = 1
    return 0

# Error messages: kernel, argument, got, expected.

cdef object name_of(Kernel k, int i):
    return f"{k.name}: {<object> k.arguments[i].name}"


cdef object described(Kernel k, int i):
    """What an argument is expected to be."""
    cdef const Argument *a = &k.arguments[i]
    if a.role == NUMBER:
        text = "a number, or a float64 array of shape (1,)"
    else:
        fixed = a.n_dims == 1 and a.size[0] < 0
        layout = f"{'writable ' if a.written else ''}{'' if a.strided or fixed else 'C-contiguous '}"
        shape = f"shape ({a.length[0]},)" if fixed else f"{a.n_dims} dimension{'s' if a.n_dims > 1 else ''}"
        article = "an" if a.code in b"qib" and not layout else "a"
        text = f"{article} {layout}{DTYPES[bytes([a.code])]} array of {shape}"
    return text + (" or None" if a.optional and a.unless < 0 else "")


cdef object refused(Kernel k, int i, object value):
    """The error for what is no array, or of another kind."""
    got = type(value).__name__
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        got = f"{value.dtype} of shape {tuple(value.shape)}"
        if hasattr(value, "flags") and hasattr(value.flags, "c_contiguous"):
            got += "" if value.flags.c_contiguous else ", not C-contiguous"
            got += "" if value.flags.writeable else ", read-only"
            got += "" if value.flags.aligned else ", misaligned"
    elif isinstance(value, (str, float)) or (isinstance(value, int) and value.bit_length() < 100):
        got = repr(value)
    kind = ValueError if hasattr(value, "dtype") else TypeError
    return kind(f"{name_of(k, i)} is {got}, expected {described(k, i)}")


cdef object of_other_shape(Kernel k, int i, Py_buffer *buffer, Frame *f):
    """The error for a shape that does not fit what other arguments have decided."""
    cdef const Argument *a = &k.arguments[i]
    cdef int d, by
    got = tuple([buffer.shape[d] for d in range(buffer.ndim)])
    expected, deciding = [], []
    for d in range(a.n_dims):
        if a.size[d] < 0:
            expected.append(str(a.length[d]))
            continue
        by = f.decided_by[a.size[d]]
        expected.append(str(f.size[a.size[d]]) if by >= 0 and by != i else size_name(k, a.size[d]))
        if by >= 0 and by != i and by not in deciding:
            deciding.append(by)
    text = f"({', '.join(expected)}{',' if len(expected) == 1 else ''})"
    match = f" to match {' and '.join([with_shape(k, by, f) for by in deciding])}" if deciding else ""
    return ValueError(f"{name_of(k, i)} has shape {got}, expected {text}{match}")


cdef object with_shape(Kernel k, int i, Frame *f):
    cdef int b, d
    shapes = [
        tuple([f.buffer[b].shape[d] for d in range(f.buffer[b].ndim)])
        for b in range(f.n_buffers) if f.argument[b] == i
    ]
    return f"{<object> k.arguments[i].name} {shapes[0]}"


cdef object size_name(Kernel k, int size):
    """The symbol of a size."""
    cdef int i, d
    for argument in k.declared.arguments:
        for d, symbol in enumerate(argument.shape):
            i = k.index_of(argument.name)
            if k.arguments[i].size[d] == size:
                return symbol
    return "any"


cdef object out_of_bounds(Kernel k, int i, double value):
    cdef CallNumber number
    cdef const Argument *a = &k.arguments[i]
    number.low, number.high, number.above, number.below = a.low, a.high, a.above, a.below
    return ValueError(f"{name_of(k, i)} is {value}, expected a number {bounds_in_words(&number)}")


cdef object overlapping(Kernel k, int i, int other, bint may_be_same):
    return ValueError(
        f"{name_of(k, i)} overlaps {<object> k.arguments[other].name} in memory, expected separate arrays"
        + (" or the very same one" if may_be_same else "")
    )


cdef object missing_array(Kernel k, int i, object value):
    unless = <object> k.arguments[k.arguments[i].unless].name
    return ValueError(f"{name_of(k, i)} is None, expected {described(k, i)} unless {unless} is 0: it is {value}")


cdef object wrong_call(Kernel k, Py_ssize_t n_given, object keyword, bint twice):
    """The error for arguments that are too many, unknown or given twice."""
    cdef int i
    names = [<object> k.arguments[k.place[i]].name for i in range(k.n_visible)]
    if n_given > k.n_in_place:
        names = names[:k.n_in_place]
        return TypeError(f"{k.name}: {n_given} arguments, expected at most {k.n_in_place}: {', '.join(names)}")
    what = f"{keyword} is given twice" if twice else f"unknown argument {keyword!r}"
    return TypeError(f"{k.name}: {what}, expected {', '.join(names)}")

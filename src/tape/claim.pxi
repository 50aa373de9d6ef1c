# A claim: what keeps other threads out while a function runs, and cannot be left behind.

cdef extern from "Python.h":
    ctypedef struct PyMethod "PyMethodDef":
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    ctypedef struct PyType "PyTypeObject":
        PyObject *tp_dict
    enum:
        METH_FASTCALL
        METH_KEYWORDS
    object PyDescr_NewMethod(type kind, PyMethod *method)
    object PyObject_Vectorcall(PyObject *function, PyObject **given, size_t n_given, PyObject *keywords)
    void PyType_Modified(type kind)


# It is taken and given back within one compiled call. Between two instructions of Python, where ``with`` takes a
# lock or gives it back, an interrupt or a lack of memory could leave it taken for ever.
#
# Parameters
# ----------
# excluded : str
#     What the RuntimeError says that another thread gets.
# nested : str or None
#     What the RuntimeError says that the same thread gets where it comes again from within; None lets it.
#
# Notes
# -----
# In a child of fork, a claim is still taken if the thread that has forked had it; if another one had it, it is free,
# since that thread does not exist there. A copy is a claim of its own, which nobody has taken.
cdef class Claim:
    """Lets one thread at a time run functions."""

    cdef str excluded, nested
    cdef Owner owner
    cdef Py_ssize_t depth       # how often its owner has taken it

    def __init__(self, str excluded not None, str nested=None):
        self.excluded, self.nested = excluded, nested

    def __reduce__(self):
        return type(self), (self.excluded, self.nested)

    @property
    def taken(self):
        """Whether a thread has it, perhaps this one."""
        return owner_exists(&self.owner)


cdef object run_claimed(PyObject *self, PyObject **given, Py_ssize_t n_given, PyObject *keywords):
    cdef Claim claim = <Claim> self
    if n_given < 1:
        raise TypeError("Claim.run expects a function, and its arguments")
    if not owner_exists(&claim.owner):
        owner_take(&claim.owner)
        claim.depth = 0     # also where a thread that a fork has left behind had it
    elif not owner_is_here(&claim.owner):
        raise RuntimeError(claim.excluded)
    elif claim.nested is not None:
        raise RuntimeError(claim.nested)
    claim.depth += 1
    try:    # what takes the claim and gives it back is C, where no signal is looked at
        return PyObject_Vectorcall(given[0], given + 1, n_given - 1, keywords)
    finally:
        claim.depth -= 1
        if claim.depth == 0:
            owner_give_back(&claim.owner)


# As a method of Cython's, it would make a tuple and a dictionary of the arguments, which takes longer than all else.
cdef PyMethod claim_run = PyMethod(b"run", <void *> run_claimed, METH_FASTCALL | METH_KEYWORDS, b"""\
run($self, function, /, *args, **kwargs)
--

Take the claim, call the function, give the claim back, and return or raise what the function does.

Raises
------
RuntimeError
    Where another thread has it, or this one, unless it may come again. The function is not called.
""")

(<dict> (<PyType *> Claim).tp_dict)["run"] = PyDescr_NewMethod(Claim, &claim_run)
PyType_Modified(Claim)

/* What an ndarray of NumPy and its dtype begin with, and what makes one: of its ABI, the same in NumPy 1 and 2.
 *
 * Reading it takes a fraction of what a buffer takes, of which NumPy makes texts and copies. What is read is of the
 * moment: once other Python code has run, shape and address may have changed.
 */
#ifndef FASTNN_NDARRAY_H
#define FASTNN_NDARRAY_H

#include "Python.h"

typedef struct {
    PyObject_HEAD
    PyTypeObject *type;
    char kind, letter, order, flags;
    int number; /* of its type: those of others that are registered have letters, too, and some have letters of these */
} NDType;

typedef struct {
    PyObject_HEAD
    char *data;
    int nd;
    Py_ssize_t *shape, *strides;
    PyObject *base;
    NDType *dtype;
    int flags;
} NDArray;

enum { ND_NEW_FROM_DESCR = 94 }; /* of the table _ARRAY_API */

/* PyArray_NewFromDescr: takes over a reference to the dtype. */
typedef PyObject *(*NDNew)(PyTypeObject *type, NDType *dtype, int nd, const Py_ssize_t *shape,
                           const Py_ssize_t *strides, void *data, int flags, PyObject *of);

/* A new array, whose numbers are not set. */
static inline PyObject *nd_new(void *const *api, PyObject *type, PyObject *dtype, int nd, const Py_ssize_t *shape) {
    Py_INCREF(dtype);
    return ((NDNew)api[ND_NEW_FROM_DESCR])((PyTypeObject *)type, (NDType *)dtype, nd, shape, NULL, NULL, 0, NULL);
}

/* The letter of its numbers, as the module struct has them, where they are in this machine's own form; or 0. */
static inline char nd_letter(const NDArray *a) {
    static const char letters[] = "?bBhHiIlLqQfd";
    const unsigned number = (unsigned)a->dtype->number;
    const int is_own = a->dtype->order == '=' || a->dtype->order == '|';
    return is_own && number < sizeof(letters) - 1 ? letters[number] : 0;
}

/* Whether it may be written to, and NumPy has nothing to say about that: 1 << 31 is a warning that it is to give. */
static inline int nd_may_write(const NDArray *a) { return ((unsigned)a->flags & 0x80000400u) == 0x400u; }

/* Whether it lies row behind row, at addresses that are multiples of its numbers' size. */
static inline int nd_is_plain(const NDArray *a) { return (a->flags & 0x101) == 0x101; }

#endif

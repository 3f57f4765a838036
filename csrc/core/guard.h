/* Exact allocation counts of one thread while it runs one callable. */
#ifndef LT_GUARD_H
#define LT_GUARD_H

#include "core/compat.h"

/* `_core.guard_count` and `_core.guard_encode`. */
PyObject *lt_guard_count(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *lt_guard_encode(PyObject *module, PyObject *args, PyObject *kwargs);

#endif

/* Whether this interpreter's frames read as the headers promise. */
#ifndef LT_SELFTEST_H
#define LT_SELFTEST_H

#include "core/compat.h"

/* The calling thread's stack as a list of (qualname, file, line), leaf first; NULL with an exception set. */
PyObject *lt_selftest_walk(PyObject *module, PyObject *unused);

/* Run a known program, once, and compare its stack with the truth. 0, or -1 with a RuntimeError set. */
int lt_selftest_run(PyObject *module);

#endif

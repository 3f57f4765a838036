/* UTF-8 straight into memory that the caller has made room in: no bytes object between. */
#ifndef LT_POOL_UTF8_H
#define LT_POOL_UTF8_H

#include <Python.h>

/* How many bytes `text` takes; -1 when it holds a surrogate, without an exception. */
Py_ssize_t lt_utf8_size(PyObject *text);

/* Write `text`, whose size lt_utf8_size told, and return where it ends. */
char *lt_utf8_encode(PyObject *text, char *to);

#endif

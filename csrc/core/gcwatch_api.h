/* The part of lowtide._core's method table that watches the collector. */
#ifndef LT_GCWATCH_API_H
#define LT_GCWATCH_API_H

#include "core/compat.h"

PyObject *lt_gc_switch(PyObject *module, PyObject *on);
PyObject *lt_gc_is_watched(PyObject *module, PyObject *unused);
PyObject *lt_gc_records(PyObject *module, PyObject *after);
PyObject *lt_gc_state(PyObject *module, PyObject *unused);
PyObject *lt_gc_totals(PyObject *module, PyObject *unused);
PyObject *lt_gc_count_frozen(PyObject *module, PyObject *unused);
PyObject *lt_gc_announce(PyObject *module, PyObject *args);
PyObject *lt_gc_set_tick(PyObject *module, PyObject *callback);
PyObject *lt_gc_request(PyObject *module, PyObject *delta);
PyObject *lt_gc_set_request_variable(PyObject *module, PyObject *variable);
PyObject *lt_gc_set_watchdog(PyObject *module, PyObject *args);
PyObject *lt_gc_watchdog_barked(PyObject *module, PyObject *unused);
PyObject *lt_gc_set_guard(PyObject *module, PyObject *on);

#endif

/* The part of a profile's encoding that takes Python's arguments. */
#ifndef LT_ENCODE_H
#define LT_ENCODE_H

#include "core/compat.h"

/* Write a snapshot of `tables` as `_core.encode` is told to; None, or NULL with an exception set. */
PyObject *lt_encode(lt_tables *tables, PyObject *args, PyObject *kwargs);

#endif

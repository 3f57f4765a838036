/* Lease: an item for the length of a `with` or `async with` block. */
#ifndef LT_POOL_LEASE_H
#define LT_POOL_LEASE_H

#include "pool/module.h"

/* Where a lease gets its item and puts it back. */
typedef struct {
    PyObject *(*get)(PyObject *pool, Py_ssize_t nbytes); /* new reference, or NULL with an exception set */
    int (*put)(PyObject *pool, PyObject *item);          /* -1 with an exception set */
} lt_lease_source;

/* Makes a lease. `nbytes` is handed to `get`, -1 where the pool's takes none. A pool of a class that may override get and
 * put (check mode's does) gives NULL for `source`: then these methods are called. NULL with an exception set. */
PyObject *lt_lease_new(lt_module *state, PyObject *pool, const lt_lease_source *source, Py_ssize_t nbytes);

void lt_lease_free_all(lt_module *state);

#endif

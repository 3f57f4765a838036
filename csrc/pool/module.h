/* lowtide._pool: the state of one interpreter's module. Everything in it is guarded by that interpreter's GIL. */
#ifndef LT_POOL_MODULE_H
#define LT_POOL_MODULE_H

#include "pool/ageing.h"

typedef enum {
    LT_POOL,
    LT_POOL_STATS,
    LT_LEASE,
    LT_BUFFER,
    LT_BUFFER_TEXT,
    LT_BUFFER_POOL,
    LT_BUFFER_POOL_STATS,
    LT_TYPE_COUNT,
} lt_type;

/* A pool reaches it by a pointer, and so holds a reference to the module: a type may lose its own to the collector first. */
typedef struct {
    lt_ageing ageing;
    PyTypeObject *types[LT_TYPE_COUNT];
    PyTypeObject *checked[LT_TYPE_COUNT]; /* what check mode makes in place of the type; NULL until registered */
    bool is_check_default;
    PyObject *settings_error; /* lowtide.errors.SettingsError */
    PyObject *get, *put;      /* the names of the methods */
    struct lt_lease *free_leases;
    int free_lease_count;
} lt_module;

static inline lt_module *lt_module_state(PyObject *module) {
    return (lt_module *)PyModule_GetState(module);
}

/* The module (borrowed) that made `type` or a base of it; NULL with an exception set. */
PyObject *lt_module_of_type(PyTypeObject *type);

/* Make a type of the module's and keep it in its state. -1 with an exception set. */
int lt_module_add_type(PyObject *module, lt_type which, PyType_Spec *spec);
int lt_module_add_record(PyObject *module, lt_type which, PyStructSequence_Desc *description);

/* A record of the counters, one a field. NULL with an exception set. */
PyObject *lt_module_make_record(lt_module *state, lt_type which, const uint64_t *values, size_t count);

/* A pool's name: None, or a str and of no subclass, which could lead back to the pool. NULL with an exception set. */
PyObject *lt_module_parse_name(PyObject *name);

/* For tp_new(type, ...): the type to make (borrowed), which is the registered one where `type` is the module's own and
 * `check` (None or NULL: the default) asks for check mode. NULL with an exception set. */
PyTypeObject *lt_module_checked_type(PyObject *module, lt_type which, PyTypeObject *type, PyObject *check);

/* One a file. -1 with an exception set. */
int lt_pool_add_types(PyObject *module);
int lt_lease_add_types(PyObject *module);
int lt_buffer_add_types(PyObject *module);
int lt_text_face_add_types(PyObject *module);
int lt_buffer_pool_add_types(PyObject *module);

#endif

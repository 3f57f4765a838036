#include "pool/lease.h"

enum { MAX_FREE_LEASES = 64 };

typedef enum { WAITING, ENTERED, ENDED } lt_stage;

typedef struct lt_lease {
    PyObject_HEAD
    lt_module *state; /* alive as long as `pool` is */
    const lt_lease_source *source;
    PyObject *pool; /* until dealloc */
    PyObject *item; /* of a lease that is entered */
    Py_ssize_t nbytes;
    lt_stage stage;
    struct lt_lease *next_free;
} lt_lease;

static PyObject *get_by_name(lt_lease *self) {
    if (self->nbytes < 0) {
        return PyObject_CallMethodNoArgs(self->pool, self->state->get);
    }
    PyObject *nbytes = PyLong_FromSsize_t(self->nbytes);
    PyObject *item = nbytes != NULL ? PyObject_CallMethodOneArg(self->pool, self->state->get, nbytes) : NULL;
    Py_XDECREF(nbytes);
    return item;
}

static int put_by_name(lt_lease *self, PyObject *item) {
    PyObject *result = PyObject_CallMethodOneArg(self->pool, self->state->put, item);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* -- with ----------------------------------------------------------------------------------------------------------- */

static PyObject *enter(lt_lease *self) {
    if (self->stage != WAITING) {
        PyErr_SetString(PyExc_RuntimeError, "a lease can be entered once; call lease() again");
        return NULL;
    }
    self->stage = ENTERED; /* first: getting the item may run any code */
    self->item = self->source != NULL ? self->source->get(self->pool, self->nbytes) : get_by_name(self);
    if (self->item == NULL) {
        self->stage = WAITING;
    }
    return self->item;
}

/* An item goes back after an exception too: reset restores it whatever happened. */
static int leave(lt_lease *self) {
    if (self->item == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the lease was not entered, or was left before");
        return -1;
    }
    PyObject *item = self->item;
    self->item = NULL;
    self->stage = ENDED;
    int result = self->source != NULL ? self->source->put(self->pool, item) : put_by_name(self, item);
    Py_DECREF(item);
    return result;
}

static PyObject *lease_enter(lt_lease *self, PyObject *unused) {
    (void)unused;
    return Py_XNewRef(enter(self));
}

static PyObject *lease_exit(lt_lease *self, PyObject *const *unused, Py_ssize_t count) {
    (void)unused;
    (void)count;
    if (leave(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- async with: nothing waits, so a lease is its own awaitable, which completes at once and cannot be cancelled ---- */

static PyObject *lease_aenter(lt_lease *self, PyObject *unused) {
    (void)unused;
    return enter(self) != NULL ? Py_NewRef(self) : NULL;
}

static PyObject *lease_aexit(lt_lease *self, PyObject *const *unused, Py_ssize_t count) {
    (void)unused;
    (void)count;
    return leave(self) == 0 ? Py_NewRef(self) : NULL;
}

static PyObject *lease_await(PyObject *self) {
    return Py_NewRef(self);
}

/* What `await` gives travels in StopIteration: the item after __aenter__, None after __aexit__. */
static PyObject *lease_next(lt_lease *self) {
    if (self->stage == WAITING) {
        PyErr_SetString(PyExc_RuntimeError, "a lease is not awaited; write `async with pool.lease()`");
    } else if (self->item != NULL) {
        /* Made here, because a tuple or an exception given to PyErr_SetObject is taken apart. */
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, self->item);
        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
    }
    return NULL;
}

/* -- life ----------------------------------------------------------------------------------------------------------- */

PyObject *lt_lease_new(lt_module *state, PyObject *pool, const lt_lease_source *source, Py_ssize_t nbytes) {
    PyTypeObject *type = state->types[LT_LEASE];
    lt_lease *self = state->free_leases;
    if (self != NULL) {
        state->free_leases = self->next_free;
        state->free_lease_count--;
        PyObject_Init((PyObject *)self, type);
    } else {
        self = PyObject_GC_New(lt_lease, type);
        if (self == NULL) {
            return NULL;
        }
    }
    self->state = state;
    self->source = source;
    self->pool = Py_NewRef(pool);
    self->item = NULL;
    self->nbytes = nbytes;
    self->stage = WAITING;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static void lease_dealloc(lt_lease *self) {
    PyTypeObject *type = Py_TYPE(self);
    lt_module *state = self->state;
    PyObject *pool = self->pool, *item = self->item;
    PyObject_GC_UnTrack(self);
    if (state->free_lease_count < MAX_FREE_LEASES) {
        self->next_free = state->free_leases;
        state->free_leases = self;
        state->free_lease_count++;
    } else {
        PyObject_GC_Del(self);
    }
    /* An item that was never given back is dropped: whoever has it may still use it. */
    Py_XDECREF(item);
    Py_DECREF(pool);
    Py_DECREF(type);
}

void lt_lease_free_all(lt_module *state) {
    while (state->free_leases != NULL) {
        lt_lease *lease = state->free_leases;
        state->free_leases = lease->next_free;
        PyObject_GC_Del(lease);
    }
}

static int lease_traverse(lt_lease *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->pool);
    Py_VISIT(self->item);
    return 0;
}

/* A cycle through the pool breaks there. */
static int lease_clear(lt_lease *self) {
    Py_CLEAR(self->item);
    return 0;
}

static PyMethodDef methods[] = {
    {"__enter__", (PyCFunction)lease_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))lease_exit, METH_FASTCALL, NULL},
    {"__aenter__", (PyCFunction)lease_aenter, METH_NOARGS, NULL},
    {"__aexit__", (PyCFunction)(void (*)(void))lease_aexit, METH_FASTCALL, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)"An item for the length of a `with` or `async with` block."},
    {Py_tp_dealloc, lease_dealloc},
    {Py_tp_traverse, lease_traverse},
    {Py_tp_clear, lease_clear},
    {Py_tp_methods, methods},
    {Py_am_await, lease_await},
    {Py_tp_iter, lease_await},
    {Py_tp_iternext, lease_next},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "lowtide.pool.Lease",
    .basicsize = sizeof(lt_lease),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int lt_lease_add_types(PyObject *module) {
    return lt_module_add_type(module, LT_LEASE, &spec);
}

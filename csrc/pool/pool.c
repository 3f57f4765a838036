/* Pool: get, put, and the rest of the type. Whatever calls out to the program reads the pool's fields anew afterwards. */
#include "pool/generations.h"
#include "pool/lease.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    lt_age age;
    lt_generations idle;
    Py_ssize_t max_items, max_bytes;
    bool is_plain; /* nothing to call at put */
    uint64_t gets, misses, puts;
    struct {
        uint64_t full, bytes, reset, aged, cleared;
    } drops;
    PyObject *new_item, *reset, *sizeof_item; /* callables or NULL; `reset` may be a str, the name of a method */
    PyObject *name;                           /* a str or None */
    PyObject *module;                         /* for its state, which holds the ring that `age` is in */
    lt_module *state;
    PyObject *weakrefs;
} lt_pool;

static void catch_up(lt_age *age) {
    lt_pool *self = (lt_pool *)age->pool;
    uint64_t epochs = age->ageing->epoch - age->seen_epoch;
    age->seen_epoch = age->ageing->epoch;
    lt_generations_rotate(&self->idle, epochs, &self->drops.aged);
}

/* -- get ------------------------------------------------------------------------------------------------------------ */

static PyObject *make_item(lt_pool *self) {
    if (self->new_item == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *item = PyObject_CallNoArgs(self->new_item);
    if (item == Py_None) {
        Py_DECREF(item);
        return PyErr_Format(PyExc_TypeError, "new must return an item, got None from %R", self->new_item);
    }
    return item;
}

static PyObject *get_slow(lt_pool *self) {
    lt_ageing_tick(self->age.ageing);
    lt_age_check(&self->age);
    if (self->idle.items.count > 0) {
        return lt_generations_take(&self->idle, &self->idle.items);
    }
    if (self->idle.victim.count > 0) {
        return lt_generations_take(&self->idle, &self->idle.victim);
    }
    self->misses++;
    return make_item(self);
}

static inline PyObject *get(lt_pool *self) {
    bool is_tick = ++self->gets % LT_GETS_PER_TICK == 0;
    if (is_tick || self->idle.items.count == 0 || lt_age_is_behind(&self->age)) {
        return get_slow(self);
    }
    return lt_generations_take(&self->idle, &self->idle.items);
}

static PyObject *pool_get(lt_pool *self, PyObject *unused) {
    (void)unused;
    return get(self);
}

/* -- put ------------------------------------------------------------------------------------------------------------ */

static bool is_full(const lt_pool *self) {
    return lt_generations_count(&self->idle) >= self->max_items;
}

/* Bring the item back to its first state. -1 with an exception set. */
static int reset_item(lt_pool *self, PyObject *item) {
    PyObject *result =
        PyUnicode_Check(self->reset) ? PyObject_CallMethodNoArgs(item, self->reset) : PyObject_CallOneArg(self->reset, item);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* What the item counts for. -1 with an exception set. */
static Py_ssize_t size_item(lt_pool *self, PyObject *item) {
    PyObject *size = PyObject_CallOneArg(self->sizeof_item, item);
    if (size == NULL) {
        return -1;
    }
    Py_ssize_t bytes = -1;
    if (!PyLong_Check(size)) {
        PyErr_Format(PyExc_TypeError, "sizeof must return an int, bytes, got %R", size);
    } else {
        bytes = PyLong_AsSsize_t(size);
        if (bytes < 0) {
            PyErr_Clear();
            bytes = -1;
            PyErr_Format(self->state->settings_error, "sizeof must return 0 to %zd bytes, got %R",
                         PY_SSIZE_T_MAX, size);
        }
    }
    Py_DECREF(size);
    return bytes;
}

static int put_slow(lt_pool *self, PyObject *item) {
    Py_ssize_t bytes = 0;
    lt_age_check(&self->age);
    if (is_full(self)) { /* before reset: an item that goes needs none */
        self->drops.full++;
        return 0;
    }
    if (self->reset != NULL && reset_item(self, item) < 0) {
        self->drops.reset++;
        return -1;
    }
    if (self->sizeof_item != NULL) {
        bytes = size_item(self, item);
        if (bytes < 0) {
            self->drops.bytes++;
            return -1;
        }
    }
    /* From here on nothing calls out. */
    if (is_full(self)) {
        self->drops.full++;
        return 0;
    }
    if (bytes > self->max_bytes - self->idle.bytes) {
        self->drops.bytes++;
        return 0;
    }
    if (!lt_generations_reserve(&self->idle)) {
        return -1;
    }
    lt_generations_give(&self->idle, item, bytes);
    return 0;
}

static inline int put(lt_pool *self, PyObject *item) {
    if (item == Py_None) {
        return 0;
    }
    self->puts++;
    if (!self->is_plain || !lt_generations_has_room(&self->idle) || is_full(self) || lt_age_is_behind(&self->age)) {
        return put_slow(self, item);
    }
    lt_generations_give(&self->idle, item, 0);
    return 0;
}

static PyObject *pool_put(lt_pool *self, PyObject *item) {
    if (put(self, item) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- lease, clear, stats -------------------------------------------------------------------------------------------- */

static PyObject *lease_get(PyObject *self, Py_ssize_t unused) {
    (void)unused;
    return get((lt_pool *)self);
}

static int lease_put(PyObject *self, PyObject *item) {
    return put((lt_pool *)self, item);
}

static PyObject *pool_lease(PyObject *self, PyObject *unused) {
    static const lt_lease_source source = {lease_get, lease_put};
    (void)unused;
    lt_module *state = ((lt_pool *)self)->state;
    return lt_lease_new(state, self, Py_IS_TYPE(self, state->types[LT_POOL]) ? &source : NULL, -1);
}

static PyObject *pool_clear(lt_pool *self, PyObject *unused) {
    (void)unused;
    lt_generations_clear(&self->idle, &self->drops.cleared);
    Py_RETURN_NONE;
}

static PyStructSequence_Field stats_fields[] = {
    {"gets", NULL},
    {"hits", "gets that found an item"},
    {"misses", "gets that called new"},
    {"puts", "puts of anything but None"},
    {"drops_full", "items put when max_items were idle"},
    {"drops_bytes", "items that max_bytes had no room for, or that sizeof failed on"},
    {"drops_reset", "items whose reset raised"},
    {"drops_aged", "items that lay idle for two epochs"},
    {"drops_cleared", "items dropped by clear()"},
    {"idle_items", NULL},
    {"idle_bytes", "as sizeof told at put; 0 without sizeof and max_bytes"},
    {NULL, NULL},
};
static PyStructSequence_Desc stats_description = {"lowtide.pool.PoolStats", "What a pool did, and what it holds.",
                                                  stats_fields, sizeof(stats_fields) / sizeof(*stats_fields) - 1};

static PyObject *pool_stats(lt_pool *self, PyObject *unused) {
    (void)unused;
    lt_age_check(&self->age);
    const uint64_t values[] = {
        self->gets,
        self->gets - self->misses,
        self->misses,
        self->puts,
        self->drops.full,
        self->drops.bytes,
        self->drops.reset,
        self->drops.aged,
        self->drops.cleared,
        (uint64_t)lt_generations_count(&self->idle),
        (uint64_t)self->idle.bytes,
    };
    return lt_module_make_record(self->state, LT_POOL_STATS, values, sizeof(values) / sizeof(*values));
}

static PyObject *pool_repr(lt_pool *self) {
    return PyUnicode_FromFormat("<%s %R: %zd idle>", Py_TYPE(self)->tp_name, self->name, lt_generations_count(&self->idle));
}

/* -- making and ending one ------------------------------------------------------------------------------------------ */

/* A bound: an int >= 0, or None for no bound. -1 with an exception set. */
static Py_ssize_t parse_bound(lt_module *state, const char *name, PyObject *value) {
    if (value == Py_None) {
        return PY_SSIZE_T_MAX;
    }
    if (!PyLong_Check(value) || PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int or None, got %R", name, value);
        return -1;
    }
    int overflow;
    long long bound = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow < 0 || (overflow == 0 && bound < 0)) {
        PyErr_Format(state->settings_error, "%s must be >= 0, got %R", name, value);
        return -1;
    }
    return overflow > 0 || bound > PY_SSIZE_T_MAX ? PY_SSIZE_T_MAX : (Py_ssize_t)bound;
}

/* Keep a callable, or NULL for None. -1 with an exception set. */
static int parse_callable(const char *name, PyObject *value, PyObject **slot) {
    if (value != Py_None && !PyCallable_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be callable or None, got %R", name, value);
        return -1;
    }
    *slot = value != Py_None ? Py_NewRef(value) : NULL;
    return 0;
}

static int parse_reset(lt_module *state, PyObject *value, PyObject **slot) {
    if (value != Py_None && !PyCallable_Check(value) && !PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "reset must be callable, the name of a method or None, got %R", value);
        return -1;
    }
    if (PyUnicode_Check(value)) {
        if (!PyUnicode_IsIdentifier(value)) {
            PyErr_Format(state->settings_error, "reset must be the name of a method, got %R", value);
            return -1;
        }
        *slot = Py_NewRef(value);
        PyUnicode_InternInPlace(slot); /* found in the caches of types */
        return 0;
    }
    *slot = value != Py_None ? Py_NewRef(value) : NULL;
    return 0;
}

static int set_up(lt_pool *self, PyObject *const *given) {
    lt_module *state = self->state;
    PyObject *new_item = given[0], *reset = given[1], *sizeof_item = given[4], *name = given[5];
    self->max_items = parse_bound(state, "max_items", given[2]);
    self->max_bytes = self->max_items < 0 ? -1 : parse_bound(state, "max_bytes", given[3]);
    if (self->max_bytes < 0 || parse_callable("new", new_item, &self->new_item) < 0 ||
        parse_reset(state, reset, &self->reset) < 0 || parse_callable("sizeof", sizeof_item, &self->sizeof_item) < 0) {
        return -1;
    }
    self->name = lt_module_parse_name(name);
    if (self->name == NULL) {
        return -1;
    }
    if (given[3] != Py_None && self->sizeof_item == NULL) {
        self->sizeof_item = Py_XNewRef(PySys_GetObject("getsizeof"));
        if (self->sizeof_item == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "max_bytes without sizeof needs sys.getsizeof, which is gone");
            return -1;
        }
    }
    self->is_plain = self->reset == NULL && self->sizeof_item == NULL;
    return lt_age_join(&state->ageing, &self->age, (PyObject *)self, catch_up);
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"new", "reset", "max_items", "max_bytes", "sizeof", "name", "check", NULL};
    PyObject *given[] = {Py_None, Py_None, Py_None, Py_None, Py_None, Py_None, Py_None};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$OOOOOO:Pool", names, &given[0], &given[1], &given[2], &given[3],
                                     &given[4], &given[5], &given[6])) {
        return NULL;
    }
    PyObject *module = lt_module_of_type(type);
    PyTypeObject *wanted = module != NULL ? lt_module_checked_type(module, LT_POOL, type, given[6]) : NULL;
    if (wanted == NULL || wanted != type) {
        return wanted != NULL ? wanted->tp_new(wanted, args, kwargs) : NULL;
    }
    lt_pool *self = (lt_pool *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->module = Py_NewRef(module);
    self->state = lt_module_state(module);
    if (set_up(self, given) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int pool_traverse(lt_pool *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->new_item);
    Py_VISIT(self->reset);
    Py_VISIT(self->sizeof_item);
    Py_VISIT(self->name);
    Py_VISIT(self->module);
    return lt_generations_traverse(&self->idle, visit, arg);
}

/* The module stays until dealloc: the ring is in its state. */
static int pool_tp_clear(lt_pool *self) {
    Py_CLEAR(self->new_item);
    Py_CLEAR(self->reset);
    Py_CLEAR(self->sizeof_item);
    lt_generations_clear(&self->idle, &self->drops.cleared);
    return 0;
}

static void pool_dealloc(lt_pool *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    lt_age_leave(&self->age);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    pool_tp_clear(self);
    Py_XDECREF(self->name);
    Py_XDECREF(self->module);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"get", (PyCFunction)pool_get, METH_NOARGS,
     PyDoc_STR("get($self, /)\n--\n\nTake an item out of the pool, or make one.")},
    {"put", (PyCFunction)pool_put, METH_O,
     PyDoc_STR("put($self, item, /)\n--\n\nReset an item and hand it to the pool; nobody may use it afterwards.")},
    {"lease", pool_lease, METH_NOARGS,
     PyDoc_STR("lease($self, /)\n--\n\nBorrow an item for a `with` or `async with` block.")},
    {"clear", (PyCFunction)pool_clear, METH_NOARGS, PyDoc_STR("clear($self, /)\n--\n\nDrop every idle item.")},
    {"stats", (PyCFunction)pool_stats, METH_NOARGS,
     PyDoc_STR("stats($self, /)\n--\n\nCount what the pool did and what it holds.")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"name", T_OBJECT, offsetof(lt_pool, name), READONLY, PyDoc_STR("As given, for stats and reports.")},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(lt_pool, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(pool_doc,
             "Pool(new=None, *, reset=None, max_items=None, max_bytes=None, sizeof=None, name=None, check=None)\n--\n\n"
             "Keep items that are expensive to make for reuse.\n\n"
             "Any idle item may vanish at any time. The contract is in lowtide.pool.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)pool_doc},
    {Py_tp_new, pool_new},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_traverse, pool_traverse},
    {Py_tp_clear, pool_tp_clear},
    {Py_tp_repr, pool_repr},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "lowtide.Pool",
    .basicsize = sizeof(lt_pool),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int lt_pool_add_types(PyObject *module) {
    int result = lt_module_add_type(module, LT_POOL, &spec);
    return result < 0 ? -1 : lt_module_add_record(module, LT_POOL_STATS, &stats_description);
}

#include "pool/buffer_pool.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>
#ifdef _MSC_VER
#include <intrin.h>
#endif

#include "pool/lease.h"

/* A buffer goes when its capacity was more than 8 times what was asked for and written, at 4 puts in a row. */
enum { FAR_TOO_LARGE = 8, MAX_STRIKES = 4 };

static const Py_ssize_t LARGEST_CLASS = (Py_ssize_t)1 << 62;

static int log2_down(Py_ssize_t bytes) {
#ifdef _MSC_VER
    unsigned long bit;
    _BitScanReverse64(&bit, (unsigned long long)bytes);
    return (int)bit;
#else
    return 63 - __builtin_clzll((unsigned long long)bytes);
#endif
}

static int log2_up(Py_ssize_t bytes) {
    return bytes > 1 ? log2_down(bytes - 1) + 1 : 0;
}

/* -- get and put ---------------------------------------------------------------------------------------------------- */

static void count_idle(lt_buffer_pool *self) {
    self->idle_bytes = 0;
    for (int i = 0; i < self->class_count; i++) {
        self->idle_bytes += self->classes[i].bytes;
    }
}

static void catch_up(lt_age *age) {
    lt_buffer_pool *self = (lt_buffer_pool *)age->pool;
    uint64_t epochs = age->ageing->epoch - age->seen_epoch;
    age->seen_epoch = age->ageing->epoch;
    for (int i = 0; i < self->class_count; i++) {
        lt_generations_rotate(&self->classes[i], epochs, &self->drops.aged);
    }
    count_idle(self);
}

static PyObject *get(PyObject *pool, Py_ssize_t nbytes) {
    lt_buffer_pool *self = (lt_buffer_pool *)pool;
    if (++self->gets % LT_GETS_PER_TICK == 0) {
        lt_ageing_tick(self->age.ageing);
    }
    lt_age_check(&self->age);
    Py_ssize_t capacity = nbytes;
    if (nbytes <= self->max_bytes) {
        int shift = nbytes > self->min_bytes ? log2_up(nbytes) : self->first_shift;
        lt_generations *end = self->classes + self->class_count;
        for (lt_generations *idle = &self->classes[shift - self->first_shift]; idle < end; idle++) {
            lt_stack *stack = idle->items.count > 0 ? &idle->items : &idle->victim;
            if (stack->count > 0) {
                lt_buffer *buffer = (lt_buffer *)lt_generations_take(idle, stack);
                self->idle_bytes -= buffer->capacity;
                self->hits++;
                buffer->guard = 0;
                buffer->asked = nbytes;
                return (PyObject *)buffer;
            }
        }
        capacity = (Py_ssize_t)1 << shift;
    }
    lt_ageing_tick(self->age.ageing);
    lt_buffer *buffer = lt_buffer_new(self->buffer_type, capacity);
    if (buffer != NULL) {
        buffer->asked = nbytes;
    }
    return (PyObject *)buffer;
}

/* Whether it was far larger than its use, too often in a row. */
static bool is_oversized(const lt_buffer_pool *self, lt_buffer *buffer) {
    Py_ssize_t used = buffer->size > buffer->asked ? buffer->size : buffer->asked;
    if (buffer->capacity / FAR_TOO_LARGE <= (used > self->min_bytes ? used : self->min_bytes)) {
        buffer->strikes = 0;
        return false;
    }
    return ++buffer->strikes >= MAX_STRIKES;
}

/* Take a buffer from its user: closed under our name, its content to be dropped. False with an exception set. */
static bool seal(lt_buffer_pool *self, PyObject *object) {
    if (!Py_IS_TYPE(object, self->buffer_type)) {
        PyErr_Format(PyExc_TypeError, "buffer must be a lowtide.Buffer, got %.200s", Py_TYPE(object)->tp_name);
        return false;
    }
    lt_buffer *buffer = (lt_buffer *)object;
    if (buffer->guard & ~LT_BUFFER_CLOSED) {
        lt_buffer_refuse(buffer);
        return false;
    }
    buffer->guard = LT_BUFFER_PUT;
    if (buffer->put_to != self->name) {
        Py_XSETREF(buffer->put_to, Py_NewRef(self->name));
    }
    return true;
}

/* Nobody can use its memory any more, so that it need not wait for the last reference. */
static void drop(lt_buffer *buffer, uint64_t *cause) {
    PyMem_Free(buffer->bytes);
    buffer->bytes = NULL;
    buffer->capacity = 0;
    lt_buffer_empty(buffer);
    ++*cause;
}

static int put(PyObject *pool, PyObject *object) {
    lt_buffer_pool *self = (lt_buffer_pool *)pool;
    lt_age_check(&self->age);
    if (!seal(self, object)) {
        return -1;
    }
    self->puts++;
    lt_buffer *buffer = (lt_buffer *)object;
    Py_ssize_t capacity = buffer->capacity;
    if (capacity < self->min_bytes) {
        drop(buffer, &self->drops.small);
    } else if (capacity > self->max_bytes || is_oversized(self, buffer)) {
        drop(buffer, &self->drops.large);
    } else if (capacity > self->max_total - self->idle_bytes) {
        drop(buffer, &self->drops.full);
    } else {
        lt_generations *idle = &self->classes[log2_down(capacity) - self->first_shift];
        if (!lt_generations_has_room(idle) && !lt_generations_reserve(idle)) {
            drop(buffer, &self->drops.full);
            return -1;
        }
        lt_buffer_empty(buffer);
        lt_generations_give(idle, object, capacity);
        self->idle_bytes += capacity;
    }
    return 0;
}

/* `argument` as a number of bytes >= 0; -1 with an exception set. */
static Py_ssize_t wanted(PyObject *argument) {
    Py_ssize_t nbytes =
        PyLong_CheckExact(argument) ? PyLong_AsSsize_t(argument) : PyNumber_AsSsize_t(argument, PyExc_OverflowError);
    if (nbytes < 0 && !PyErr_Occurred()) {
        PyErr_Format(PyExc_ValueError, "nbytes must be >= 0, got %zd", nbytes);
        return -1;
    }
    return nbytes;
}

static PyObject *pool_get(PyObject *self, PyObject *argument) {
    Py_ssize_t nbytes = wanted(argument);
    return nbytes >= 0 ? get(self, nbytes) : NULL;
}

static PyObject *pool_put(PyObject *self, PyObject *buffer) {
    return put(self, buffer) == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *pool_lease(lt_buffer_pool *self, PyObject *argument) {
    static const lt_lease_source direct = {get, put};
    Py_ssize_t nbytes = wanted(argument);
    if (nbytes < 0) {
        return NULL;
    }
    lt_module *state = lt_module_state(self->module);
    return lt_lease_new(state, (PyObject *)self, Py_IS_TYPE(self, state->types[LT_BUFFER_POOL]) ? &direct : NULL, nbytes);
}

static PyObject *pool_clear(lt_buffer_pool *self, PyObject *unused) {
    (void)unused;
    for (int i = 0; i < self->class_count; i++) {
        lt_generations_clear(&self->classes[i], &self->drops.cleared);
    }
    count_idle(self);
    Py_RETURN_NONE;
}

/* -- for check mode ------------------------------------------------------------------------------------------------- */

static PyObject *pool_seal(lt_buffer_pool *self, PyObject *object) {
    if (!seal(self, object)) {
        return NULL;
    }
    lt_buffer *buffer = (lt_buffer *)object;
    if (buffer->capacity > 0) {
        memset(buffer->bytes, LT_BUFFER_SEAL, (size_t)buffer->capacity);
    }
    lt_buffer_empty(buffer);
    Py_RETURN_NONE;
}

static PyObject *pool_set_error(lt_buffer_pool *self, PyObject *args) {
    lt_buffer *buffer;
    PyObject *make_error;
    if (!PyArg_ParseTuple(args, "O!O:_set_error", self->buffer_type, &buffer, &make_error)) {
        return NULL;
    }
    Py_XSETREF(buffer->put_to, Py_NewRef(make_error));
    Py_RETURN_NONE;
}

static PyObject *pool_unseal(lt_buffer_pool *self, PyObject *object) {
    if (!Py_IS_TYPE(object, self->buffer_type) || ((lt_buffer *)object)->guard != LT_BUFFER_PUT) {
        return PyErr_Format(PyExc_TypeError, "buffer must be a sealed lowtide.Buffer, got %R", object);
    }
    lt_buffer *buffer = (lt_buffer *)object;
    const unsigned char *bytes = (const unsigned char *)buffer->bytes;
    Py_ssize_t i = 0;
    while (i < buffer->capacity && bytes[i] == LT_BUFFER_SEAL) {
        i++;
    }
    buffer->guard = 0;
    return PyBool_FromLong(i == buffer->capacity);
}

/* -- stats ---------------------------------------------------------------------------------------------------------- */

static PyStructSequence_Field stats_fields[] = {
    {"gets", NULL},
    {"hits", "gets that found a buffer"},
    {"misses", "gets that made one"},
    {"puts", NULL},
    {"drops_small", "buffers put with a capacity below min_bytes"},
    {"drops_large", "buffers put with a capacity beyond max_bytes, or far beyond their use again and again"},
    {"drops_full", "buffers that max_total had no room for"},
    {"drops_aged", "buffers that lay idle for two epochs"},
    {"drops_cleared", "buffers dropped by clear()"},
    {"idle_items", NULL},
    {"idle_bytes", "the capacity of these"},
    {NULL, NULL},
};
static PyStructSequence_Desc stats_description = {"lowtide.pool.BufferPoolStats", "What a pool did, and what it holds.",
                                                  stats_fields, sizeof(stats_fields) / sizeof(*stats_fields) - 1};

static PyObject *pool_stats(lt_buffer_pool *self, PyObject *unused) {
    (void)unused;
    lt_age_check(&self->age);
    Py_ssize_t idle = 0;
    for (int i = 0; i < self->class_count; i++) {
        idle += lt_generations_count(&self->classes[i]);
    }
    const uint64_t values[] = {
        self->gets,
        self->hits,
        self->gets - self->hits,
        self->puts,
        self->drops.small,
        self->drops.large,
        self->drops.full,
        self->drops.aged,
        self->drops.cleared,
        (uint64_t)idle,
        (uint64_t)self->idle_bytes,
    };
    return lt_module_make_record(lt_module_state(self->module), LT_BUFFER_POOL_STATS, values,
                                 sizeof(values) / sizeof(*values));
}

/* -- the type ------------------------------------------------------------------------------------------------------- */

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"min_bytes", "max_bytes", "max_total", "name", "check", NULL};
    Py_ssize_t min_bytes = 4096, max_bytes = 1 << 20, max_total = 64 << 20;
    PyObject *name = Py_None, *check = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nnn$OO:BufferPool", names, &min_bytes, &max_bytes, &max_total, &name,
                                     &check)) {
        return NULL;
    }
    PyObject *module = lt_module_of_type(type);
    if (module == NULL) {
        return NULL;
    }
    lt_module *state = lt_module_state(module);
    PyTypeObject *checked = lt_module_checked_type(module, LT_BUFFER_POOL, type, check);
    if (checked == NULL || checked != type) {
        return checked != NULL ? checked->tp_new(checked, args, kwargs) : NULL;
    }
    if (min_bytes < 1) {
        return PyErr_Format(state->settings_error, "min_bytes must be >= 1, got %zd", min_bytes);
    }
    if (max_bytes < min_bytes || max_bytes > LARGEST_CLASS) {
        return PyErr_Format(state->settings_error, "max_bytes must be min_bytes (%zd) to 2**62, got %zd", min_bytes,
                            max_bytes);
    }
    if (max_total < 0) {
        return PyErr_Format(state->settings_error, "max_total must be >= 0 bytes, got %zd", max_total);
    }
    name = lt_module_parse_name(name);
    lt_buffer_pool *self = name != NULL ? (lt_buffer_pool *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        Py_XDECREF(name);
        return NULL;
    }
    self->module = Py_NewRef(module);
    self->buffer_type = state->types[LT_BUFFER];
    self->name = name;
    self->first_shift = log2_up(min_bytes);
    self->class_count = log2_up(max_bytes) - self->first_shift + 1;
    self->min_bytes = (Py_ssize_t)1 << self->first_shift;
    self->max_bytes = (Py_ssize_t)1 << log2_up(max_bytes);
    self->max_total = max_total;
    self->classes = PyMem_Calloc((size_t)self->class_count, sizeof(lt_generations));
    if (self->classes == NULL) {
        PyErr_NoMemory();
    }
    if (self->classes == NULL || lt_age_join(&state->ageing, &self->age, (PyObject *)self, catch_up) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Buffers refer to nothing that could lead back here, and the module's state must outlive the pool. */
static int pool_traverse(lt_buffer_pool *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->module);
    return 0;
}

static void pool_dealloc(lt_buffer_pool *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    lt_age_leave(&self->age);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    for (int i = 0; self->classes != NULL && i < self->class_count; i++) {
        lt_generations_clear(&self->classes[i], &self->drops.cleared);
    }
    PyMem_Free(self->classes);
    Py_DECREF(self->name);
    Py_DECREF(self->module);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *pool_repr(lt_buffer_pool *self) {
    return PyUnicode_FromFormat("<%s %R: %zd bytes idle>", Py_TYPE(self)->tp_name, self->name, self->idle_bytes);
}

static PyMethodDef methods[] = {
    {"get", pool_get, METH_O,
     "get($self, nbytes, /)\n--\n\nReturn an empty Buffer whose capacity is nbytes or more; its memory is not zeroed."},
    {"put", pool_put, METH_O,
     "put($self, buffer, /)\n--\n\nTake a buffer back: it is emptied, and refuses use until a get() returns it again."},
    {"lease", (PyCFunction)pool_lease, METH_O,
     "lease($self, nbytes, /)\n--\n\nReturn a context manager, sync and async, that gets a buffer and puts it back."},
    {"clear", (PyCFunction)pool_clear, METH_NOARGS, "clear($self, /)\n--\n\nDrop all idle buffers."},
    {"stats", (PyCFunction)pool_stats, METH_NOARGS, "stats($self, /)\n--\n\nReturn counters since the pool was made."},
    {"_seal", (PyCFunction)pool_seal, METH_O,
     "_seal($self, buffer, /)\n--\n\nCheck mode: take a buffer as put() does, but fill it with 0xDB and do not keep it."},
    {"_set_error", (PyCFunction)pool_set_error, METH_VARARGS,
     "_set_error($self, buffer, make_error, /)\n--\n\nCheck mode: have a use of a buffer that was put raise what that makes."},
    {"_unseal", (PyCFunction)pool_unseal, METH_O,
     "_unseal($self, buffer, /)\n--\n\nCheck mode: open a sealed buffer; tell whether it is 0xDB all over still."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"name", T_OBJECT, offsetof(lt_buffer_pool, name), READONLY, "What reports call the pool."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(lt_buffer_pool, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(doc, "BufferPool(min_bytes=4096, max_bytes=1048576, max_total=67108864, *, name=None, check=None)\n--\n\n"
                  "A pool of Buffers by size, so that memory that is expensive to get is used again.\n\n"
                  "Buffers below min_bytes or beyond max_bytes (both rounded up to powers of two) are not kept, nor more\n"
                  "than max_total bytes at a time; what nobody asks for ages out.");

static PyType_Slot type_slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_new, pool_new},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_traverse, pool_traverse},
    {Py_tp_repr, pool_repr},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "lowtide.BufferPool",
    .basicsize = sizeof(lt_buffer_pool),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = type_slots,
};

int lt_buffer_pool_add_types(PyObject *module) {
    if (lt_module_add_record(module, LT_BUFFER_POOL_STATS, &stats_description) < 0) {
        return -1;
    }
    return lt_module_add_type(module, LT_BUFFER_POOL, &spec);
}

/* The functions of lowtide._core that watch the collector; contract: src/lowtide/_core.pyi. */
#include "core/gcwatch_api.h"

#include "core/gcwatch.h"

#include <limits.h>
#include <pthread.h>

static const char *const CAUSES[LT_GC_CAUSES] = {"young",  "full",  "safepoint", "idle",
                                                 "growth", "limit", "explicit",  "shutdown"};

/* -- beginning ------------------------------------------------------------------------------------------------------ */

static PyObject *gc_attribute(const char *module_name, const char *name) {
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *value = module != NULL ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return value;
}

/* Whether the collector's fields are where the headers say: 3.11 and 3.12 publish no offsets, so they are compared with what
 * the collector answers. */
static lt_collector *trusted_collector(void) {
    lt_collector *collector = lt_main_collector();
    PyObject *get = collector != NULL ? gc_attribute("gc", "get_threshold") : NULL;
    PyObject *answer = get != NULL ? PyObject_CallNoArgs(get) : NULL;
    int thresholds[LT_GC_GENERATIONS];
    bool is_right = answer != NULL && PyArg_ParseTuple(answer, "iii", &thresholds[0], &thresholds[1], &thresholds[2]);
    for (int i = 0; is_right && i < LT_GC_GENERATIONS; i++) {
        is_right = collector->generations[i].threshold == thresholds[i];
    }
    PyErr_Clear();
    Py_XDECREF(answer);
    Py_XDECREF(get);
    return is_right ? collector : NULL;
}

static int need_python(void) {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_RuntimeError, "the collector can be watched in the main interpreter only");
        return -1;
    }
    static bool is_ready, is_fork_handled;
    if (is_ready) {
        return 0;
    }
    if (!is_fork_handled && pthread_atfork(NULL, NULL, lt_gc_begin_anew) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    is_fork_handled = true;
    struct {
        PyObject **at;
        const char *key;
    } keys[] = {{&lt_gc.generation, "generation"},
                {&lt_gc.collected, "collected"},
                {&lt_gc.uncollectable, "uncollectable"},
                {&lt_gc.candidates, "candidates"},
                {&lt_gc.active, "active"}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if ((*keys[i].at = PyUnicode_InternFromString(keys[i].key)) == NULL) {
            return -1;
        }
    }
    if ((lt_gc.allocated_blocks = gc_attribute("sys", "getallocatedblocks")) == NULL ||
        (lt_gc.freeze = gc_attribute("gc", "freeze")) == NULL || (lt_gc.unfreeze = gc_attribute("gc", "unfreeze")) == NULL) {
        return -1;
    }
    lt_gc.collector = trusted_collector();
    is_ready = true;
    return 0;
}

/* The list that the collector calls; a new reference. A program may have put another one into the module `gc`. */
static PyObject *callbacks(void) {
    PyObject *list = lt_gc.collector != NULL ? Py_XNewRef(lt_gc.collector->callbacks) : gc_attribute("gc", "callbacks");
    if (list != NULL && PyList_Check(list)) {
        return list;
    }
    Py_XDECREF(list);
    PyErr_Clear();
    PyErr_SetString(PyExc_RuntimeError, "the collector cannot be watched: gc.callbacks is no list");
    return NULL;
}

PyObject *lt_gc_switch(PyObject *module, PyObject *on) {
    static bool is_wanted;
    (void)module;
    int wanted = PyObject_IsTrue(on);
    if (wanted < 0 || need_python() < 0) {
        return NULL;
    }
    PyObject *list = callbacks();
    if (list == NULL) {
        return NULL;
    }
    Py_ssize_t place = lt_gc_place_in(list);
    int status = 0;
    if (wanted && !is_wanted) {
        lt_gc_begin_anew();
    }
    if (wanted && place < 0) {
        lt_gc.is_open = false;
        PyObject *callable = lt_gc_new_callable();
        status = callable != NULL ? PyList_Append(list, callable) : -1;
        Py_XDECREF(callable);
    } else if (!wanted && place >= 0) {
        status = PyList_SetSlice(list, place, place + 1, NULL);
    }
    Py_DECREF(list);
    if (status < 0) {
        return NULL;
    }
    is_wanted = wanted;
    Py_RETURN_NONE;
}

PyObject *lt_gc_is_watched(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    if (need_python() < 0) {
        return NULL;
    }
    PyObject *list = callbacks();
    bool is_watched = list != NULL && lt_gc_place_in(list) >= 0;
    PyErr_Clear();
    Py_XDECREF(list);
    return PyBool_FromLong(is_watched);
}

/* -- reading -------------------------------------------------------------------------------------------------------- */

static PyObject *triple(const int values[LT_GC_GENERATIONS]) {
    return Py_BuildValue("(iii)", values[0], values[1], values[2]);
}

static PyObject *as_tuple(const lt_gc_record *r, const char *caller) {
    return Py_BuildValue("(KLLisLnnnNNnnnnnnniNN)", (unsigned long long)r->number, (long long)r->start_ns,
                         (long long)r->pause_ns, (int)r->generation, CAUSES[r->cause], (long long)r->predicted_ns,
                         r->scanned, r->freed, r->uncollectable, triple(r->counts), triple(r->thresholds), r->long_lived,
                         r->pending, r->blocks_before, r->blocks_after, r->goal_blocks, r->rss_bytes, r->frozen,
                         r->requests, PyBool_FromLong(r->in_request),
                         PyUnicode_DecodeUTF8(caller, (Py_ssize_t)strlen(caller), "replace"));
}

PyObject *lt_gc_records(PyObject *module, PyObject *after) {
    (void)module;
    long long number = PyLong_AsLongLong(after);
    if ((number == -1 && PyErr_Occurred()) || need_python() < 0) {
        return NULL;
    }
    uint64_t last = lt_gc.last; /* what is collected meanwhile, because we allocate, can wait */
    uint64_t first = last > LT_GC_RING ? last - LT_GC_RING : 0;
    first = number > 0 && (uint64_t)number > first ? (uint64_t)number : first;
    PyObject *list = PyList_New(0);
    for (uint64_t n = first + 1; list != NULL && n <= last; n++) {
        lt_gc_record record;
        char caller[LT_GC_CALLER_BYTES];
        if (!lt_gc_copy(n, &record, caller)) {
            continue;
        }
        PyObject *tuple = as_tuple(&record, caller);
        if (tuple == NULL || PyList_Append(list, tuple) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(tuple);
    }
    return list;
}

/* For every end of a request: by hand, it takes a fraction of Py_BuildValue's time. */
static PyObject *ints(const int values[LT_GC_GENERATIONS]) {
    PyObject *tuple = PyTuple_New(LT_GC_GENERATIONS);
    for (int i = 0; tuple != NULL && i < LT_GC_GENERATIONS; i++) {
        PyObject *value = PyLong_FromLong(values[i]);
        if (value == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, i, value);
        }
    }
    return tuple;
}

PyObject *lt_gc_state(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    if (need_python() < 0) {
        return NULL;
    }
    int counts[LT_GC_GENERATIONS] = {0}, thresholds[LT_GC_GENERATIONS] = {0};
    Py_ssize_t total = 0, pending = 0;
    if (lt_gc.collector != NULL) {
        for (int i = 0; i < LT_GC_GENERATIONS; i++) {
            counts[i] = lt_gc.collector->generations[i].count;
            thresholds[i] = lt_gc.collector->generations[i].threshold;
        }
        total = lt_gc.collector->long_lived_total;
        pending = lt_gc.collector->long_lived_pending;
    }
    PyObject *parts[] = {ints(counts), ints(thresholds), PyLong_FromSsize_t(total), PyLong_FromSsize_t(pending),
                         PyBool_FromLong(PyGC_IsEnabled())};
    enum { PARTS = sizeof(parts) / sizeof(parts[0]) };
    PyObject *state = PyTuple_New(PARTS);
    for (int i = 0; i < PARTS; i++) {
        if (parts[i] == NULL) {
            Py_CLEAR(state);
        } else if (state != NULL) {
            PyTuple_SET_ITEM(state, i, parts[i]);
        } else {
            Py_DECREF(parts[i]);
        }
    }
    return state;
}

PyObject *lt_gc_totals(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    if (need_python() < 0) {
        return NULL;
    }
    int64_t elapsed_ns = lt_gc.began_ns != 0 ? lt_gc_now_ns() - lt_gc.began_ns : 0;
    return Py_BuildValue("((KKK)(LLL)L)", (unsigned long long)lt_gc.collections[0],
                         (unsigned long long)lt_gc.collections[1], (unsigned long long)lt_gc.collections[2],
                         (long long)lt_gc.pause_ns[0], (long long)lt_gc.pause_ns[1], (long long)lt_gc.pause_ns[2],
                         (long long)elapsed_ns);
}

PyObject *lt_gc_count_frozen(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return need_python() < 0 ? NULL : PyLong_FromSsize_t(lt_gc_frozen(INT64_MAX / 2));
}

/* -- being told ----------------------------------------------------------------------------------------------------- */

PyObject *lt_gc_announce(PyObject *module, PyObject *args) {
    (void)module;
    const char *name;
    long long predicted_ns;
    Py_ssize_t goal_blocks;
    if (!PyArg_ParseTuple(args, "sLn:gc_announce", &name, &predicted_ns, &goal_blocks) || need_python() < 0) {
        return NULL;
    }
    lt_gc_cause cause = LT_GC_CAUSES;
    for (int i = LT_GC_SAFEPOINT; i <= LT_GC_LIMIT; i++) {
        cause = strcmp(name, CAUSES[i]) == 0 ? (lt_gc_cause)i : cause;
    }
    if (cause == LT_GC_CAUSES && name[0] != 0) {
        return PyErr_Format(PyExc_ValueError, "cause must be safepoint, idle, growth, limit or empty, got '%s'", name);
    }
    if (predicted_ns < 0 || goal_blocks < 0) {
        return PyErr_Format(PyExc_ValueError, "predicted_ns and goal_blocks must be >= 0, got %lld and %zd", predicted_ns,
                            goal_blocks);
    }
    lt_gc.announced = cause;
    lt_gc.announced_by = PyThread_get_thread_ident();
    lt_gc.predicted_ns = predicted_ns;
    lt_gc.goal_blocks = goal_blocks;
    Py_RETURN_NONE;
}

static PyObject *replace(PyObject **at, PyObject *value) {
    if (need_python() < 0) {
        return NULL;
    }
    PyObject *previous = *at;
    *at = value == Py_None ? NULL : Py_NewRef(value);
    Py_XDECREF(previous);
    Py_RETURN_NONE;
}

PyObject *lt_gc_set_tick(PyObject *module, PyObject *callback) {
    (void)module;
    if (callback != Py_None && !PyCallable_Check(callback)) {
        return PyErr_Format(PyExc_TypeError, "callback must be callable or None, got %s", Py_TYPE(callback)->tp_name);
    }
    return replace(&lt_gc.tick, callback);
}

PyObject *lt_gc_request(PyObject *module, PyObject *delta) {
    (void)module;
    long number = PyLong_AsLong(delta);
    if ((number == -1 && PyErr_Occurred()) || need_python() < 0) {
        return NULL;
    }
    long long requests = (long long)lt_gc.requests + number;
    if (requests > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "more requests than an int can count");
        return NULL;
    }
    lt_gc.requests = requests > 0 ? (int)requests : 0; /* a child counts from 0, and may end a request of its parent */
    return PyLong_FromLong(lt_gc.requests);
}

PyObject *lt_gc_set_request_variable(PyObject *module, PyObject *variable) {
    (void)module;
    if (variable != Py_None && !PyContextVar_CheckExact(variable)) {
        return PyErr_Format(PyExc_TypeError, "variable must be a ContextVar or None, got %s", Py_TYPE(variable)->tp_name);
    }
    return replace(&lt_gc.request_variable, variable);
}

PyObject *lt_gc_set_watchdog(PyObject *module, PyObject *args) {
    (void)module;
    long long deadline_ns;
    int t[LT_GC_GENERATIONS];
    if (!PyArg_ParseTuple(args, "L(iii):gc_set_watchdog", &deadline_ns, &t[0], &t[1], &t[2]) || need_python() < 0) {
        return NULL;
    }
    if (deadline_ns < 0 || t[0] < 0 || t[1] < 0 || t[2] < 0) {
        return PyErr_Format(PyExc_ValueError, "deadline_ns and thresholds must be >= 0, got %lld and (%d, %d, %d)", deadline_ns,
                            t[0], t[1], t[2]);
    }
    lt_gc.deadline_ns = deadline_ns;
    memcpy(lt_gc.deadline_thresholds, t, sizeof(t));
    lt_gc.has_barked = false;
    Py_RETURN_NONE;
}

PyObject *lt_gc_watchdog_barked(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return need_python() < 0 ? NULL : PyBool_FromLong(lt_gc.has_barked);
}

PyObject *lt_gc_set_guard(PyObject *module, PyObject *on) {
    (void)module;
    int wanted = PyObject_IsTrue(on);
    if (wanted < 0 || need_python() < 0) {
        return NULL;
    }
    lt_gc.has_guard = wanted;
    if (!wanted) {
        lt_gc_end_veto(); /* of a collection whose end was kept from us */
    }
    Py_RETURN_NONE;
}

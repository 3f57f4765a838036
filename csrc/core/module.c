/* lowtide._core: the method table. Contract: src/lowtide/_core.pyi. */
#include "core/heap.h"
#include "core/encode.h"
#include "core/gcwatch_api.h"
#include "core/guard.h"
#include "core/hooks.h"
#include "core/selftest.h"

enum { MIN_BYTES = 2 << 20, MAX_BYTES = 1 << 30 };

static PyObject *core_start(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"sample_interval", "max_frames", "max_bytes", NULL};
    long long interval, max_frames, max_bytes;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LLL:start", names, &interval, &max_frames, &max_bytes)) {
        return NULL;
    }
    if (interval < 1) {
        return PyErr_Format(PyExc_ValueError, "sample_interval must be >= 1 byte, got %lld", interval);
    }
    if (max_frames < 1 || max_frames > LT_MAX_FRAMES) {
        return PyErr_Format(PyExc_ValueError, "max_frames must be 1 to %d, got %lld", LT_MAX_FRAMES, max_frames);
    }
    if (max_bytes < MIN_BYTES || max_bytes > MAX_BYTES) {
        return PyErr_Format(PyExc_ValueError, "max_bytes must be %d to %d, got %lld", MIN_BYTES, MAX_BYTES, max_bytes);
    }
    if (lt_selftest_run(module) < 0 ||
        lt_heap_start((uint64_t)interval, (int)max_frames, (size_t)max_bytes, !lt_hooks_reached()) < 0) {
        return NULL;
    }
    lt_hooks_install();
    Py_RETURN_NONE;
}

static PyObject *core_stop(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    lt_heap_stop();
    Py_RETURN_NONE;
}

static PyObject *core_is_active(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyBool_FromLong(atomic_load(&lt_heap.active) && lt_hooks_reached());
}

static PyObject *core_stats(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    bool active = atomic_load(&lt_heap.active);
    bool displaced = active && !lt_hooks_reached();
    lt_lock_acquire(&lt_heap_tables.lock);
    lt_tables *t = &lt_heap_tables;
    unsigned long long samples = t->samples, live = t->live_count, stale = t->stale, lost = t->lost,
                       checks = t->free_checks, hits = t->free_hits, budget = lt_heap_max_bytes_locked(), thinned = t->thinned,
                       lock_ns = t->snapshot_lock_ns, interval = t->interval,
                       bytes = lt_heap_table_bytes_locked();
    lt_lock_release(&lt_heap_tables.lock);
    return Py_BuildValue("{sK sK sK sK sK sK sK sK sK sK sK sK sO sO}", "samples", samples, "live_samples", live,
                         "stale_keys", stale, "lost_samples", lost, "free_checks", checks, "free_hits", hits,
                         "table_bytes", bytes, "max_bytes", budget, "interval", interval, "thinned", thinned,
                         "slow_path_ns", (unsigned long long)atomic_load(&lt_heap.slow_path_ns), "snapshot_lock_ns",
                         lock_ns, "active", active ? Py_True : Py_False, "displaced", displaced ? Py_True : Py_False);
}

static PyObject *core_encode(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return lt_encode(&lt_heap_tables, args, kwargs);
}

/* -- the rest ------------------------------------------------------------------------------------------------------- */

static PyObject *core_bypass(PyObject *module, PyObject *on) {
    (void)module;
    int wanted = PyObject_IsTrue(on);
    if (wanted < 0) {
        return NULL;
    }
    int previous = lt_self.bypass;
    lt_self.bypass = (uint8_t)wanted;
    lt_self.epoch = 0; /* draw anew */
    return PyBool_FromLong(previous);
}

static PyObject *core_seed(PyObject *module, PyObject *value) {
    (void)module;
    unsigned long long seed = PyLong_AsUnsignedLongLongMask(value);
    if (PyErr_Occurred()) {
        return NULL;
    }
    lt_heap_seed(seed);
    Py_RETURN_NONE;
}

static int run_callback(void *callback) {
    PyObject *result = PyObject_CallNoArgs(callback);
    Py_DECREF((PyObject *)callback);
    Py_XDECREF(result);
    /* The program is near the end of its stack or memory, and shall not notice us there. Any other error comes from a
     * signal handler of its own, and is its own. */
    if (result == NULL && (PyErr_ExceptionMatches(PyExc_RecursionError) || PyErr_ExceptionMatches(PyExc_MemoryError))) {
        PyErr_Clear();
        return 0;
    }
    return result != NULL ? 0 : -1;
}

static PyObject *core_call_soon(PyObject *module, PyObject *callback) {
    (void)module;
    if (!PyCallable_Check(callback)) {
        return PyErr_Format(PyExc_TypeError, "callback must be callable, got %s", Py_TYPE(callback)->tp_name);
    }
    Py_INCREF(callback);
    if (Py_AddPendingCall(run_callback, callback) < 0) {
        Py_DECREF(callback);
        PyErr_SetString(PyExc_RuntimeError, "the queue of pending calls is full; call again later");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"start", (PyCFunction)(void (*)(void))core_start, METH_VARARGS | METH_KEYWORDS, NULL},
    {"stop", core_stop, METH_NOARGS, NULL},
    {"is_active", core_is_active, METH_NOARGS, NULL},
    {"stats", core_stats, METH_NOARGS, NULL},
    {"encode", (PyCFunction)(void (*)(void))core_encode, METH_VARARGS | METH_KEYWORDS, NULL},
    {"bypass", core_bypass, METH_O, NULL},
    {"seed", core_seed, METH_O, NULL},
    {"call_soon", core_call_soon, METH_O, NULL},
    {"walk", lt_selftest_walk, METH_NOARGS, NULL},
    {"guard_count", (PyCFunction)(void (*)(void))lt_guard_count, METH_FASTCALL, NULL},
    {"guard_encode", (PyCFunction)(void (*)(void))lt_guard_encode, METH_VARARGS | METH_KEYWORDS, NULL},
    {"gc_watch", lt_gc_switch, METH_O, NULL},
    {"gc_is_watched", lt_gc_is_watched, METH_NOARGS, NULL},
    {"gc_records", lt_gc_records, METH_O, NULL},
    {"gc_state", lt_gc_state, METH_NOARGS, NULL},
    {"gc_totals", lt_gc_totals, METH_NOARGS, NULL},
    {"gc_frozen", lt_gc_count_frozen, METH_NOARGS, NULL},
    {"gc_announce", lt_gc_announce, METH_VARARGS, NULL},
    {"gc_set_tick", lt_gc_set_tick, METH_O, NULL},
    {"gc_request", lt_gc_request, METH_O, NULL},
    {"gc_set_request_variable", lt_gc_set_request_variable, METH_O, NULL},
    {"gc_set_watchdog", lt_gc_set_watchdog, METH_VARARGS, NULL},
    {"gc_watchdog_barked", lt_gc_watchdog_barked, METH_NOARGS, NULL},
    {"gc_set_guard", lt_gc_set_guard, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int exec_module(PyObject *module) {
    (void)module;
    const char *mismatch = lt_layout_mismatch();
    if (mismatch != NULL) {
        PyErr_Format(PyExc_ImportError,
                     "lowtide._core was built for CPython " PY_VERSION ", but this interpreter lays out %s differently; "
                     "rebuild lowtide with it",
                     mismatch);
        return -1;
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
#ifdef Py_mod_multiple_interpreters
    /* The hooks serve interpreters with a GIL of their own; start and stop rely on the main one's. */
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "lowtide._core", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&definition);
}

#include "pool/ageing.h"

#include "pool/module.h"

#include <time.h>
#ifdef _WIN32
#include <windows.h>
#endif

static const uint64_t SECOND_NS = 1000000000;
static const uint64_t DEFAULT_PERIOD_SECONDS = 60;
static const double MAX_PERIOD_SECONDS = 1e9;
enum { OLDEST_GENERATION = 2 };

/* Milliseconds fine: reading it is a few loads. */
static uint64_t coarse_clock_ns(void) {
#ifdef _WIN32
    return GetTickCount64() * 1000000;
#else
#ifdef CLOCK_MONOTONIC_COARSE
    enum { CLOCK = CLOCK_MONOTONIC_COARSE };
#else
    enum { CLOCK = CLOCK_MONOTONIC };
#endif
    struct timespec now;
    clock_gettime(CLOCK, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
#endif
}

/* -- visiting the pools --------------------------------------------------------------------------------------------- */

/* The pool after `age`, held; NULL at the ring's end. One whose reference count is 0 is on its way out, and only its own
 * dealloc may touch it: a subclass's runs code of the program before ours can leave the ring. */
static lt_age *hold_next(lt_ageing *ageing, lt_age *age) {
    do {
        age = age->next;
    } while (age != &ageing->pools && Py_REFCNT(age->pool) == 0);
    if (age == &ageing->pools) {
        return NULL;
    }
    Py_INCREF(age->pool);
    return age;
}

static void visit_pools(lt_ageing *ageing) {
    ageing->is_due = false;
    lt_age *age = hold_next(ageing, &ageing->pools);
    while (age != NULL) {
        lt_age_check(age);
        /* The next one is held before this one, and whatever falls with it, may die. */
        lt_age *next = hold_next(ageing, age);
        Py_DECREF(age->pool);
        age = next;
    }
}

static int run_pending(void *module) {
    lt_ageing *ageing = &lt_module_state(module)->ageing;
    ageing->is_asked = false;
    visit_pools(ageing);
    Py_DECREF((PyObject *)module);
    return 0;
}

/* -- epochs --------------------------------------------------------------------------------------------------------- */

static bool has_pools(const lt_ageing *ageing) {
    return ageing->pools.next != &ageing->pools;
}

static void begin_epoch(lt_ageing *ageing) {
    ageing->epoch++;
    ageing->deadline_ns = coarse_clock_ns() + ageing->period_ns;
    ageing->is_due = has_pools(ageing);
}

static void ask_for_visit(lt_ageing *ageing) {
    if (!ageing->is_due || !ageing->is_main || ageing->is_asked) {
        return;
    }
    /* A full queue is no loss: pools in use see the epoch themselves, and the others are asked for again. */
    if (Py_AddPendingCall(run_pending, Py_NewRef(ageing->module)) == 0) {
        ageing->is_asked = true;
    } else {
        Py_DECREF(ageing->module);
    }
}

void lt_ageing_tick(lt_ageing *ageing) {
    if (coarse_clock_ns() >= ageing->deadline_ns) {
        begin_epoch(ageing);
        ask_for_visit(ageing);
    }
}

/* What the collector calls: (phase, info). Never raises, whoever else calls it and with what. */
static PyObject *on_collection(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    lt_ageing *ageing = &lt_module_state(module)->ageing;
    if (count != 2 || !PyUnicode_Check(args[0]) || !PyDict_Check(args[1])) {
        Py_RETURN_NONE;
    }
    if (PyUnicode_CompareWithASCIIString(args[0], "start") == 0) {
        PyObject *generation = PyDict_GetItemWithError(args[1], ageing->generation);
        bool is_full =
            generation != NULL && PyLong_CheckExact(generation) && PyLong_AsLong(generation) == OLDEST_GENERATION;
        PyErr_Clear();
        if (is_full || coarse_clock_ns() >= ageing->deadline_ns) {
            begin_epoch(ageing);
        }
    } else if (ageing->is_main) {
        ask_for_visit(ageing); /* not before: somebody's callback in Python would run it within the collection */
    } else if (ageing->is_due) {
        visit_pools(ageing); /* only the main interpreter has pending calls */
    }
    Py_RETURN_NONE;
}

static PyMethodDef on_collection_method = {"on_collection", (PyCFunction)(void (*)(void))on_collection, METH_FASTCALL,
                                           PyDoc_STR("Age the pools when a full collection starts.")};

static int watch_collector(lt_ageing *ageing) {
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *callbacks = gc != NULL ? PyObject_GetAttrString(gc, "callbacks") : NULL;
    PyObject *name = PyModule_GetNameObject(ageing->module);
    PyObject *callback = name != NULL ? PyCFunction_NewEx(&on_collection_method, ageing->module, name) : NULL;
    int result = -1;
    if (callbacks != NULL && callback != NULL) {
        if (PyList_Check(callbacks)) {
            result = PyList_Append(callbacks, callback);
        } else {
            PyErr_Format(PyExc_TypeError, "gc.callbacks must be a list, got %s", Py_TYPE(callbacks)->tp_name);
        }
    }
    Py_XDECREF(callback);
    Py_XDECREF(name);
    Py_XDECREF(callbacks);
    Py_XDECREF(gc);
    return result;
}

int lt_age_join(lt_ageing *ageing, lt_age *age, PyObject *pool, void (*catch_up)(lt_age *age)) {
    if (!ageing->is_watching) {
        if (watch_collector(ageing) < 0) {
            return -1;
        }
        ageing->is_watching = true;
        ageing->deadline_ns = coarse_clock_ns() + ageing->period_ns;
    }
    lt_age *first = ageing->pools.next;
    *age = (lt_age){ageing, ageing->epoch, first, &ageing->pools, pool, catch_up};
    first->previous = ageing->pools.next = age;
    return 0;
}

void lt_age_leave(lt_age *age) {
    if (age->next != NULL) {
        age->previous->next = age->next;
        age->next->previous = age->previous;
        age->next = age->previous = NULL;
    }
}

int lt_ageing_init(lt_ageing *ageing, PyObject *module) {
    ageing->pools.next = ageing->pools.previous = &ageing->pools;
    ageing->module = module;
    ageing->is_main = PyInterpreterState_Get() == PyInterpreterState_Main();
    ageing->period_ns = DEFAULT_PERIOD_SECONDS * SECOND_NS;
    ageing->generation = PyUnicode_InternFromString("generation");
    return ageing->generation != NULL ? 0 : -1;
}

void lt_ageing_free(lt_ageing *ageing) {
    Py_CLEAR(ageing->generation);
}

/* -- module functions ----------------------------------------------------------------------------------------------- */

static PyObject *rotate(PyObject *module, PyObject *unused) {
    (void)unused;
    lt_ageing *ageing = &lt_module_state(module)->ageing;
    begin_epoch(ageing);
    ask_for_visit(ageing);
    Py_RETURN_NONE;
}

static PyObject *set_timer(PyObject *module, PyObject *value) {
    lt_module *state = lt_module_state(module);
    double seconds = PyFloat_AsDouble(value);
    if (seconds == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (!(seconds > 0 && seconds <= MAX_PERIOD_SECONDS)) {
        return PyErr_Format(state->settings_error, "seconds must be > 0 and <= 1e9, got %S", value);
    }
    double previous = (double)state->ageing.period_ns / (double)SECOND_NS;
    state->ageing.period_ns = (uint64_t)(seconds * (double)SECOND_NS);
    state->ageing.deadline_ns = coarse_clock_ns() + state->ageing.period_ns;
    return PyFloat_FromDouble(previous);
}

PyMethodDef lt_ageing_methods[] = {
    {"rotate", rotate, METH_NOARGS, PyDoc_STR("Begin an epoch, as a full collection does.")},
    {"set_timer", set_timer, METH_O, PyDoc_STR("Set how long an epoch may last in seconds; return what it was.")},
    {NULL, NULL, 0, NULL},
};

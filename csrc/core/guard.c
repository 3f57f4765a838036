#include "core/guard.h"

#include "core/core.h"
#include "core/encode.h"
#include "core/hooks.h"

enum { MAX_BYTES = 32 << 20, MAX_FRAMES = 128 };

/* Apart from the heap profile's, which therefore does not see what is counted here. Protected by their lock. */
static lt_tables tables;
static lt_stack_reader reader;

static bool in_use; /* protected by the GIL */

void lt_guard_count_inhook(lt_thread *self, lt_domain domain, size_t size) {
    self->busy = 1;
    lt_lock_acquire(&tables.lock);
    uint32_t stack = lt_frames_read_locked(&tables, &reader, domain, MAX_FRAMES);
    if (stack == LT_NONE || lt_count_locked(&tables, size, 1, domain, stack) == LT_NONE) {
        tables.lost++;
    }
    lt_lock_release(&tables.lock);
    self->busy = 0;
}

/* A count in another thread has no thread any more. The lock may have been held by it, or by a request of ours that the fork
 * came in the middle of. */
void lt_guard_after_fork_in_child(void) {
    tables.lock = (lt_lock){0};
    lt_lock_acquire(&tables.lock);
    lt_tables_after_fork_locked(&tables, 0);
    lt_lock_release(&tables.lock);
    in_use = in_use && lt_self.guarded;
}

static void switch_guard(bool on) {
    lt_self.guarded = on;
    lt_self.epoch = 0; /* draw anew */
}

/* The loop is here, and not in Python, so that it allocates nothing itself. */
static int run(PyObject *callable, PyObject *const *args, Py_ssize_t count, Py_ssize_t runs) {
    int status = 0;
    switch_guard(true);
    for (Py_ssize_t i = 0; i < runs && status == 0; i++) {
        PyObject *result = PyObject_Vectorcall(callable, args, (size_t)count, NULL);
        status = result != NULL ? 0 : -1;
        Py_XDECREF(result);
    }
    switch_guard(false);
    return status;
}

static PyObject *totals(void) {
    uint64_t blocks = 0, bytes = 0;
    for (uint32_t i = 0; i < LT_COUNT(tables.buckets, lt_bucket); i++) {
        const lt_bucket *b = LT_AT(tables.buckets, lt_bucket, i);
        blocks += b->allocs;
        bytes += b->allocs * (b->size ? b->size : 1);
    }
    return Py_BuildValue("(KK)", (unsigned long long)blocks, (unsigned long long)bytes);
}

PyObject *lt_guard_count(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count < 2) {
        return PyErr_Format(PyExc_TypeError, "guard_count must be given runs and a callable, got %zd arguments", count);
    }
    Py_ssize_t runs = PyLong_AsSsize_t(args[0]);
    if (runs == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (lt_heap_survive_fork() < 0) {
        return NULL;
    }
    if (in_use) {
        PyErr_SetString(PyExc_RuntimeError, "allocations are being counted already; one count at a time");
        return NULL;
    }
    lt_lock_acquire(&tables.lock);
    bool ready = tables.readers == NULL && lt_tables_reset_locked(&tables, MAX_BYTES, 1, 0);
    lt_lock_release(&tables.lock);
    if (!ready) {
        return PyErr_NoMemory();
    }
    in_use = true;
    lt_hooks_install();
    int status = run(args[1], args + 2, count - 2, runs);
    in_use = false;
    if (status == 0 && tables.lost > 0) {
        PyErr_SetString(PyExc_MemoryError, "more distinct stacks and sizes than 32 MiB of tables can count; run less at once");
        status = -1;
    }
    return status == 0 ? totals() : NULL;
}

PyObject *lt_guard_encode(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    PyObject *done = lt_encode(&tables, args, kwargs);
    if (!in_use) { /* read once: give the memory back */
        lt_lock_acquire(&tables.lock);
        if (tables.readers == NULL) {
            lt_tables_release_locked(&tables);
        }
        lt_lock_release(&tables.lock);
    }
    return done;
}

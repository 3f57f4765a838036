/* What Python alone cannot do to a profiler: allocators that fail, native threads, handlers around fork. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_RAW, PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};

/* -- an allocator that fails ---------------------------------------------------------------------------------------- */

static PyMemAllocatorEx real[3];
static _Atomic long fail_every; /* 0: never */
static _Atomic bool fail_realloc_only;
static _Atomic long calls, failures;

static bool fails(bool is_realloc) {
    long every = atomic_load(&fail_every);
    if (every == 0 || (!is_realloc && atomic_load(&fail_realloc_only)) || atomic_fetch_add(&calls, 1) % every != every - 1) {
        return false;
    }
    atomic_fetch_add(&failures, 1);
    return true;
}

static void *failing_malloc(void *ctx, size_t size) {
    PyMemAllocatorEx *below = ctx;
    return fails(false) ? NULL : below->malloc(below->ctx, size);
}

static void *failing_calloc(void *ctx, size_t n, size_t size) {
    PyMemAllocatorEx *below = ctx;
    return fails(false) ? NULL : below->calloc(below->ctx, n, size);
}

static void *failing_realloc(void *ctx, void *block, size_t size) {
    PyMemAllocatorEx *below = ctx;
    return fails(true) ? NULL : below->realloc(below->ctx, block, size);
}

static void failing_free(void *ctx, void *block) {
    PyMemAllocatorEx *below = ctx;
    below->free(below->ctx, block);
}

/* On top of what is there now. */
static PyObject *install_failing(PyObject *module, PyObject *unused) {
    for (int i = 0; i < 3; i++) {
        PyMem_GetAllocator(domains[i], &real[i]);
        PyMemAllocatorEx hook = {&real[i], failing_malloc, failing_calloc, failing_realloc, failing_free};
        PyMem_SetAllocator(domains[i], &hook);
    }
    Py_RETURN_NONE;
}

/* Let every n-th request fail, or every n-th realloc only; 0 ends it. The number of failures so far. */
static PyObject *fail(PyObject *module, PyObject *args) {
    long every;
    int realloc_only = 0;
    if (!PyArg_ParseTuple(args, "l|p", &every, &realloc_only)) {
        return NULL;
    }
    atomic_store(&fail_realloc_only, realloc_only);
    atomic_store(&calls, 0);
    atomic_store(&fail_every, every);
    return PyLong_FromLong(atomic_load(&failures));
}

/* -- an allocator that keeps small blocks to itself ---------------------------------------------------------------- */

static PyMemAllocatorEx beneath[3];
static char pool[1 << 26];
static size_t pool_used;

static bool is_pooled(void *block) {
    return (char *)block >= pool && (char *)block < pool + sizeof(pool);
}

static void *pooling_malloc(void *ctx, size_t size) {
    PyMemAllocatorEx *below = ctx;
    if (size > 64 || pool_used + 64 > sizeof(pool)) {
        return below->malloc(below->ctx, size);
    }
    pool_used += 64; /* under the GIL, and never given back */
    return pool + pool_used - 64;
}

static void *pooling_calloc(void *ctx, size_t n, size_t size) {
    PyMemAllocatorEx *below = ctx;
    return below->calloc(below->ctx, n, size);
}

static void *pooling_realloc(void *ctx, void *block, size_t size) {
    PyMemAllocatorEx *below = ctx;
    if (!is_pooled(block)) {
        return below->realloc(below->ctx, block, size);
    }
    void *moved = below->malloc(below->ctx, size);
    if (moved != NULL) {
        memcpy(moved, block, size < 64 ? size : 64);
    }
    return moved;
}

static void pooling_free(void *ctx, void *block) {
    PyMemAllocatorEx *below = ctx;
    if (!is_pooled(block)) {
        below->free(below->ctx, block);
    }
}

/* On top of what is there now, in OBJ and MEM. */
static PyObject *install_pooling(PyObject *module, PyObject *unused) {
    for (int i = 1; i < 3; i++) {
        PyMem_GetAllocator(domains[i], &beneath[i]);
        PyMemAllocatorEx hook = {&beneath[i], pooling_malloc, pooling_calloc, pooling_realloc, pooling_free};
        PyMem_SetAllocator(domains[i], &hook);
    }
    Py_RETURN_NONE;
}

/* -- blocks of one's own -------------------------------------------------------------------------------------------- */

/* Allocate in all domains, let every realloc fail, and free; errors in `ok`. */
static PyObject *realloc_fails(PyObject *module, PyObject *args) {
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "n", &size)) {
        return NULL;
    }
    void *blocks[3] = {PyMem_RawMalloc(size), PyMem_Malloc(size), PyObject_Malloc(size)};
    atomic_store(&fail_realloc_only, true);
    atomic_store(&calls, 0);
    atomic_store(&fail_every, 1);
    bool failed = PyMem_RawRealloc(blocks[0], size * 2) == NULL && PyMem_Realloc(blocks[1], size * 2) == NULL &&
                  PyObject_Realloc(blocks[2], size * 2) == NULL;
    atomic_store(&fail_every, 0);
    for (int i = 0; i < 3; i++) {
        memset(blocks[i], 1, size);
    }
    return Py_BuildValue("O(KKK)", failed ? Py_True : Py_False, (unsigned long long)(uintptr_t)blocks[0],
                         (unsigned long long)(uintptr_t)blocks[1], (unsigned long long)(uintptr_t)blocks[2]);
}

static PyObject *free_blocks(PyObject *module, PyObject *args) {
    unsigned long long raw, mem, obj;
    if (!PyArg_ParseTuple(args, "(KKK)", &raw, &mem, &obj)) {
        return NULL;
    }
    PyMem_RawFree((void *)(uintptr_t)raw);
    PyMem_Free((void *)(uintptr_t)mem);
    PyObject_Free((void *)(uintptr_t)obj);
    Py_RETURN_NONE;
}

/* Whether any allocator function of any domain touches errno, over `rounds` of small and large blocks. */
static PyObject *keeps_errno(PyObject *module, PyObject *args) {
    long rounds;
    if (!PyArg_ParseTuple(args, "l", &rounds)) {
        return NULL;
    }
    bool keeps = true;
    for (long i = 0; i < rounds && keeps; i++) {
        size_t size = i % 3 == 0 ? 5000 : 100;
        errno = EXDEV;
        void *raw = PyMem_RawMalloc(size), *mem = PyMem_Calloc(1, size), *obj = PyObject_Malloc(size);
        raw = PyMem_RawRealloc(raw, size + 4000);
        mem = PyMem_Realloc(mem, size + 30);
        obj = PyObject_Realloc(obj, size / 2);
        PyMem_RawFree(raw);
        PyMem_Free(mem);
        PyObject_Free(obj);
        keeps = errno == EXDEV;
    }
    return PyBool_FromLong(keeps);
}

/* -- native threads ------------------------------------------------------------------------------------------------- */

static _Atomic bool churning;
static _Atomic long churned;

static void *churn(void *unused) {
    while (atomic_load(&churning)) {
        void *blocks[16];
        for (int i = 0; i < 16; i++) {
            blocks[i] = PyMem_RawMalloc(64 << i % 8);
        }
        for (int i = 0; i < 16; i++) {
            blocks[i] = PyMem_RawRealloc(blocks[i], 3000);
        }
        for (int i = 0; i < 16; i++) {
            PyMem_RawFree(blocks[i]);
        }
        atomic_fetch_add(&churned, 16);
    }
    return NULL;
}

/* Start native threads that use the RAW domain and know nothing of Python; they outlive the interpreter. */
static PyObject *start_churning(PyObject *module, PyObject *args) {
    int threads;
    Py_ssize_t stack_bytes = 0;
    if (!PyArg_ParseTuple(args, "i|n", &threads, &stack_bytes)) {
        return NULL;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_bytes != 0 && pthread_attr_setstacksize(&attributes, stack_bytes) != 0) {
        return PyErr_Format(PyExc_ValueError, "no such stack size: %zd", stack_bytes);
    }
    atomic_store(&churning, true);
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        if ((errno = pthread_create(&thread, &attributes, churn, NULL)) != 0) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
    }
    pthread_attr_destroy(&attributes);
    Py_RETURN_NONE;
}

static PyObject *churned_blocks(PyObject *module, PyObject *unused) {
    return PyLong_FromLong(atomic_load(&churned));
}

static PyObject *stop_churning(PyObject *module, PyObject *unused) {
    atomic_store(&churning, false);
    Py_RETURN_NONE;
}

/* -- around fork ---------------------------------------------------------------------------------------------------- */

static void allocate_around_fork(void) {
    void *blocks[64];
    for (int i = 0; i < 64; i++) {
        blocks[i] = PyMem_RawMalloc(2000);
    }
    for (int i = 0; i < 64; i++) {
        PyMem_RawFree(blocks[i]);
    }
}

static PyObject *allocate_at_fork(PyObject *module, PyObject *unused) {
    pthread_atfork(allocate_around_fork, allocate_around_fork, allocate_around_fork);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"install_failing", install_failing, METH_NOARGS, NULL},
    {"install_pooling", install_pooling, METH_NOARGS, NULL},
    {"fail", fail, METH_VARARGS, NULL},
    {"realloc_fails", realloc_fails, METH_VARARGS, NULL},
    {"free_blocks", free_blocks, METH_VARARGS, NULL},
    {"keeps_errno", keeps_errno, METH_VARARGS, NULL},
    {"start_churning", start_churning, METH_VARARGS, NULL},
    {"churned_blocks", churned_blocks, METH_NOARGS, NULL},
    {"stop_churning", stop_churning, METH_NOARGS, NULL},
    {"allocate_at_fork", allocate_at_fork, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "hostile_native", .m_methods = methods, .m_size = -1};

PyMODINIT_FUNC PyInit_hostile_native(void) {
    return PyModule_Create(&definition);
}

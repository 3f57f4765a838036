/* The truth that the profiler is held against: every block, counted one by one.
 *
 * It shares nothing with the profiler: no table, no lock, no thread filter, no frame walk. It is slow and meant to be
 * obvious: a chained hash table of live blocks, a list of rows searched from the front, one mutex around both.
 * Blocks that an allocator asks for on behalf of a request already being counted are not the program's (`nested`).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { OBJ, MEM, RAW, DOMAINS };
static const char *const domain_names[DOMAINS] = {"obj", "mem", "raw"};

/* What the profile has one sample for: a call site (0: none marked), a domain, a size. */
typedef struct {
    int site, domain;
    size_t size;
    unsigned long long allocs, live;
} row;

typedef struct block {
    struct block *next;
    const void *address;
    size_t row;
} block;

enum { CHAINS = 1 << 16, MAX_ROWS = 1 << 20 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static block *chains[CHAINS];                 /* protected by mutex */
static row rows[MAX_ROWS], frozen[MAX_ROWS];  /* protected by mutex */
static size_t row_count, frozen_count;        /* protected by mutex */
static atomic_bool counting;
static __thread bool excluded;
static __thread int nested, site;

static block **chain_of(const void *address) {
    return &chains[((size_t)address >> 4) % CHAINS];
}

static void add(int domain, const void *address, size_t size) {
    block *b = malloc(sizeof(*b));
    size = size == 0 ? 1 : size;
    pthread_mutex_lock(&mutex);
    size_t r = 0;
    while (r < row_count && !(rows[r].site == site && rows[r].domain == domain && rows[r].size == size)) {
        r++;
    }
    if (b == NULL || r == MAX_ROWS) {
        abort();
    }
    if (r == row_count) {
        rows[row_count++] = (row){site, domain, size, 0, 0};
    }
    rows[r].allocs++;
    rows[r].live++;
    block **chain = chain_of(address);
    *b = (block){*chain, address, r};
    *chain = b;
    pthread_mutex_unlock(&mutex);
}

/* Take a live block out; NULL when it is not one of ours. */
static block *take(const void *address) {
    pthread_mutex_lock(&mutex);
    block **link = chain_of(address);
    while (*link != NULL && (*link)->address != address) {
        link = &(*link)->next;
    }
    block *b = *link;
    if (b != NULL) {
        *link = b->next;
        rows[b->row].live--;
    }
    pthread_mutex_unlock(&mutex);
    return b;
}

static void put_back(block *b) {
    pthread_mutex_lock(&mutex);
    block **chain = chain_of(b->address);
    b->next = *chain;
    *chain = b;
    rows[b->row].live++;
    pthread_mutex_unlock(&mutex);
}

/* -- the wrapper ---------------------------------------------------------------------------------------------------- */

typedef struct {
    PyMemAllocatorEx below;
    int domain;
} wrapped;

static wrapped wrappers[DOMAINS];

static bool is_counted(void) {
    return nested == 0 && counting && !excluded;
}

static void *truth_malloc(void *ctx, size_t size) {
    wrapped *w = ctx;
    nested++;
    void *p = w->below.malloc(w->below.ctx, size);
    nested--;
    if (p != NULL && is_counted()) {
        add(w->domain, p, size);
    }
    return p;
}

static void *truth_calloc(void *ctx, size_t n, size_t size) {
    wrapped *w = ctx;
    nested++;
    void *p = w->below.calloc(w->below.ctx, n, size);
    nested--;
    if (p != NULL && is_counted()) {
        add(w->domain, p, n * size);
    }
    return p;
}

/* free(old) + malloc(new), in place too; a failed one changes nothing. */
static void *truth_realloc(void *ctx, void *old, size_t size) {
    wrapped *w = ctx;
    block *b = old != NULL ? take(old) : NULL;
    nested++;
    void *p = w->below.realloc(w->below.ctx, old, size);
    nested--;
    if (p == NULL && b != NULL) {
        put_back(b);
        return NULL;
    }
    free(b);
    if (p != NULL && is_counted()) {
        add(w->domain, p, size);
    }
    return p;
}

static void truth_free(void *ctx, void *p) {
    wrapped *w = ctx;
    if (p != NULL) {
        free(take(p));
    }
    nested++;
    w->below.free(w->below.ctx, p);
    nested--;
}

/* -- for Python ----------------------------------------------------------------------------------------------------- */

static PyObject *install(PyObject *module, PyObject *unused) {
    static const PyMemAllocatorDomain domains[DOMAINS] = {PYMEM_DOMAIN_OBJ, PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_RAW};
    for (int i = 0; i < DOMAINS; i++) {
        if (wrappers[i].below.malloc != NULL) {
            PyErr_SetString(PyExc_RuntimeError, "installed already");
            return NULL;
        }
        PyMem_GetAllocator(domains[i], &wrappers[i].below);
        wrappers[i].domain = i;
        PyMemAllocatorEx ours = {&wrappers[i], truth_malloc, truth_calloc, truth_realloc, truth_free};
        PyMem_SetAllocator(domains[i], &ours);
    }
    Py_RETURN_NONE;
}

static PyObject *reset(PyObject *module, PyObject *unused) {
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < CHAINS; i++) {
        while (chains[i] != NULL) {
            block *b = chains[i];
            chains[i] = b->next;
            free(b);
        }
    }
    row_count = 0;
    pthread_mutex_unlock(&mutex);
    Py_RETURN_NONE;
}

/* The kernel's threads: Python's join returns before a thread has freed its last block. */
static long thread_count(void) {
    long count = 0;
    DIR *folder = opendir("/proc/self/task");
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void wait_for_threads_to_end(long count) {
    while (thread_count() > count) {
        PyThreadState *state = PyEval_SaveThread();
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        PyEval_RestoreThread(state);
    }
}

static void freeze(void) {
    pthread_mutex_lock(&mutex);
    memcpy(frozen, rows, row_count * sizeof(row));
    frozen_count = row_count;
    pthread_mutex_unlock(&mutex);
}

static int call(PyObject *function, PyObject *argument) {
    PyObject *result = PyObject_CallOneArg(function, argument);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* measure(bypass, work, encode, arguments): run work() with both counters on, then take both snapshots of one moment.
 * Only C runs between the two switches and between the two snapshots, and it allocates nothing that is counted. */
static PyObject *measure(PyObject *module, PyObject *args) {
    PyObject *bypass, *work, *encode, *arguments;
    if (!PyArg_ParseTuple(args, "OOOO!", &bypass, &work, &encode, &PyTuple_Type, &arguments)) {
        return NULL;
    }
    long threads = thread_count();
    if (call(bypass, Py_False) < 0) {
        return NULL;
    }
    counting = true;
    PyObject *result = PyObject_CallNoArgs(work);
    wait_for_threads_to_end(threads);
    counting = false;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (call(bypass, Py_True) < 0) {
        return NULL;
    }
    freeze();
    PyObject *encoded = PyObject_CallObject(encode, arguments);
    if (encoded == NULL) {
        return NULL;
    }
    Py_DECREF(encoded);
    if (result == NULL) {
        PyErr_Restore(type, value, traceback);
    }
    return result;
}

/* at(site, work): run work() and count what it allocates, but for inner sites, under `site`. */
static PyObject *at(PyObject *module, PyObject *args) {
    int wanted;
    PyObject *work;
    if (!PyArg_ParseTuple(args, "iO", &wanted, &work)) {
        return NULL;
    }
    int outer = site;
    site = wanted;
    PyObject *result = PyObject_CallNoArgs(work);
    site = outer;
    return result;
}

/* unseen(bypass, work): run work() with the calling thread's allocations left out of both; its frees still count. */
static PyObject *unseen(PyObject *module, PyObject *args) {
    PyObject *bypass, *work;
    if (!PyArg_ParseTuple(args, "OO", &bypass, &work) || call(bypass, Py_True) < 0) {
        return NULL;
    }
    excluded = true;
    PyObject *result = PyObject_CallNoArgs(work);
    excluded = false;
    if (call(bypass, Py_False) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* counted(): the rows of the last measure: (site, domain, size, allocs, live). */
static PyObject *counted(PyObject *module, PyObject *unused) {
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < frozen_count; i++) {
        const row *r = &frozen[i];
        PyObject *tuple =
            Py_BuildValue("isKKK", r->site, domain_names[r->domain], (unsigned long long)r->size, r->allocs, r->live);
        if (tuple == NULL || PyList_Append(list, tuple) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(tuple);
    }
    return list;
}

static PyMethodDef methods[] = {
    {"install", install, METH_NOARGS, NULL}, {"reset", reset, METH_NOARGS, NULL},
    {"measure", measure, METH_VARARGS, NULL}, {"at", at, METH_VARARGS, NULL},
    {"unseen", unseen, METH_VARARGS, NULL},   {"counted", counted, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "allocator_truth", .m_methods = methods};

PyMODINIT_FUNC PyInit_allocator_truth(void) {
    return PyModule_Create(&definition);
}

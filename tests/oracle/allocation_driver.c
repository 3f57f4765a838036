/* Allocations that no Python statement makes: byte strings as programs of malloc, calloc, realloc and free; native
 * threads; the GIL released. It knows neither the profiler nor the truth it is held against. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdbool.h>

/* -- blocks, and programs over them --------------------------------------------------------------------------------- */

enum { OBJ, MEM, RAW, DOMAINS };

static const struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
} calls[DOMAINS] = {
    {PyObject_Malloc, PyObject_Calloc, PyObject_Realloc, PyObject_Free},
    {PyMem_Malloc, PyMem_Calloc, PyMem_Realloc, PyMem_Free},
    {PyMem_RawMalloc, PyMem_RawCalloc, PyMem_RawRealloc, PyMem_RawFree},
};

typedef struct {
    void *address;
    int domain;
} slot;

enum { SLOTS = 16, KEPT = 4096 };

static slot own[SLOTS], shared[SLOTS], kept[KEPT];
static int kept_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* protects shared, kept */

static void release(slot *s) {
    calls[s->domain].free(s->address);
    s->address = NULL;
}

static void keep(void *address, int domain) {
    pthread_mutex_lock(&mutex);
    if (kept_count == KEPT) {
        abort();
    }
    kept[kept_count++] = (slot){address, domain};
    pthread_mutex_unlock(&mutex);
}

/* Around pymalloc's limit, small, large, and more than there is. */
static size_t size_of(unsigned code) {
    unsigned value = code & 0x3fff;
    switch (code >> 14) {
    case 0:
        return value % 1030;
    case 1:
        return value;
    case 2:
        return (size_t)value * 64;
    default:
        return (size_t)PY_SSIZE_T_MAX / 2 + value;
    }
}

/* Four bytes an instruction: what and in which domain, slot, size. A realloc stays in the domain of its block. */
static void interpret(slot *slots, const unsigned char *code, size_t bytes, bool raw_only) {
    for (const unsigned char *end = code + bytes / 4 * 4; code < end; code += 4) {
        slot *s = &slots[code[1] % SLOTS];
        size_t size = size_of(code[2] | (unsigned)code[3] << 8);
        int what = code[0] % 5, domain = raw_only ? RAW : code[0] / 5 % DOMAINS;
        if (what == 2) {
            domain = s->address != NULL ? s->domain : domain;
            void *moved = calls[domain].realloc(s->address, size);
            *s = moved != NULL ? (slot){moved, domain} : *s;
        } else if (what == 4) {
            pthread_mutex_lock(&mutex);
            slot other = shared[code[1] % SLOTS];
            shared[code[1] % SLOTS] = *s;
            *s = other;
            pthread_mutex_unlock(&mutex);
        } else {
            if (s->address != NULL) {
                release(s);
            }
            if (what != 3) {
                size_t n = 1 + code[1] % 3;
                s->domain = domain;
                s->address = what == 0 ? calls[domain].malloc(size) : calls[domain].calloc(n, size);
            }
        }
    }
}

/* run(program): interpret it here. */
static PyObject *run(PyObject *module, PyObject *program) {
    interpret(own, (const unsigned char *)PyBytes_AS_STRING(program), (size_t)PyBytes_GET_SIZE(program), false);
    Py_RETURN_NONE;
}

typedef struct {
    const unsigned char *code;
    size_t bytes;
    slot slots[SLOTS];
} job;

static void *run_job(void *arg) {
    job *j = arg;
    interpret(j->slots, j->code, j->bytes, true);
    return NULL;
}

/* run_in_threads(programs): each in a native thread of its own, in the RAW domain, at once; the GIL is free. */
static PyObject *run_in_threads(PyObject *module, PyObject *programs) {
    enum { MAX = 8 };
    static job jobs[MAX];
    pthread_t threads[MAX];
    Py_ssize_t count = PyTuple_GET_SIZE(programs);
    if (count > MAX) {
        return PyErr_Format(PyExc_ValueError, "at most %d programs", MAX);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *program = PyTuple_GET_ITEM(programs, i);
        jobs[i] = (job){(const unsigned char *)PyBytes_AS_STRING(program), (size_t)PyBytes_GET_SIZE(program), {{0}}};
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, run_job, &jobs[i]);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    Py_END_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        for (int k = 0; k < SLOTS; k++) {
            if (jobs[i].slots[k].address != NULL) {
                keep(jobs[i].slots[k].address, jobs[i].slots[k].domain);
            }
        }
    }
    Py_RETURN_NONE;
}

/* clear(): free what programs and threads left behind. */
static PyObject *clear(PyObject *module, PyObject *unused) {
    for (int i = 0; i < SLOTS; i++) {
        release(&own[i]);
        release(&shared[i]);
    }
    while (kept_count > 0) {
        release(&kept[--kept_count]);
    }
    Py_RETURN_NONE;
}

/* -- threads -------------------------------------------------------------------------------------------------------- */

static void *native_malloc(void *size) {
    keep(PyMem_RawMalloc((size_t)size), RAW);
    return NULL;
}

static void *attached_malloc(void *size) {
    PyGILState_STATE state = PyGILState_Ensure();
    keep(PyMem_RawMalloc((size_t)size), RAW);
    keep(PyMem_Malloc((size_t)size), MEM);
    PyGILState_Release(state);
    return NULL;
}

static void *call_attached(void *function) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *result = PyObject_CallNoArgs(function);
    if (result == NULL) {
        PyErr_WriteUnraisable(function);
    }
    Py_XDECREF(result);
    PyGILState_Release(state);
    return NULL;
}

static PyObject *in_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    Py_BEGIN_ALLOW_THREADS
    pthread_create(&thread, NULL, body, argument);
    pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* malloc_in_native_thread(size): one RAW block, in a thread that Python never hears of. */
static PyObject *malloc_in_native_thread(PyObject *module, PyObject *size) {
    return in_thread(native_malloc, (void *)PyLong_AsSize_t(size));
}

/* malloc_in_attached_thread(size): one RAW and one MEM block, in a native thread that holds the GIL and runs no code. */
static PyObject *malloc_in_attached_thread(PyObject *module, PyObject *size) {
    return in_thread(attached_malloc, (void *)PyLong_AsSize_t(size));
}

/* call_in_native_thread(function) */
static PyObject *call_in_native_thread(PyObject *module, PyObject *function) {
    return in_thread(call_attached, function);
}

/* malloc_detached(size): one RAW block, with the GIL released. */
static PyObject *malloc_detached(PyObject *module, PyObject *size) {
    size_t bytes = PyLong_AsSize_t(size);
    void *address;
    Py_BEGIN_ALLOW_THREADS
    address = PyMem_RawMalloc(bytes);
    Py_END_ALLOW_THREADS
    keep(address, RAW);
    Py_RETURN_NONE;
}

/* A place for threads to wait in without a single Python instruction before or after. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long parked, openings; /* protected by gate */

/* park(): wait until the gate is opened. */
static PyObject *park(PyObject *module, PyObject *unused) {
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&gate);
    parked++;
    pthread_cond_broadcast(&changed);
    for (long seen = openings; openings == seen;) {
        pthread_cond_wait(&changed, &gate);
    }
    pthread_mutex_unlock(&gate);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* wait_for_parked(count) */
static PyObject *wait_for_parked(PyObject *module, PyObject *count) {
    long wanted = PyLong_AsLong(count);
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&gate);
    while (parked < wanted) {
        pthread_cond_wait(&changed, &gate);
    }
    pthread_mutex_unlock(&gate);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* open_gate(): let all go that wait. */
static PyObject *open_gate(PyObject *module, PyObject *unused) {
    pthread_mutex_lock(&gate);
    parked = 0;
    openings++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&gate);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"run", run, METH_O, NULL},
    {"run_in_threads", run_in_threads, METH_O, NULL},
    {"clear", clear, METH_NOARGS, NULL},
    {"malloc_in_native_thread", malloc_in_native_thread, METH_O, NULL},
    {"malloc_in_attached_thread", malloc_in_attached_thread, METH_O, NULL},
    {"call_in_native_thread", call_in_native_thread, METH_O, NULL},
    {"malloc_detached", malloc_detached, METH_O, NULL},
    {"park", park, METH_NOARGS, NULL},
    {"wait_for_parked", wait_for_parked, METH_O, NULL},
    {"open_gate", open_gate, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "allocation_driver", .m_methods = methods};

PyMODINIT_FUNC PyInit_allocation_driver(void) {
    return PyModule_Create(&definition);
}

/* How many of the objects that a program creates never reach the allocator?
 *
 * The interpreter announces every new reference to the reference tracer (3.13+), whether the memory came from the object
 * allocator or from a free list. A hook on the allocators notes each block as it is handed out; the object born next inside
 * that block uses it up. An object born outside any block just handed out had its memory from a free list.
 * Counting only: nothing here allocates, and all of it runs under the GIL.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define RECENT 64 /* blocks handed out and not yet used up; an object is born at most a few blocks later */
#define TYPES 4096

static struct {
    char *start;
    size_t bytes;
} recent[RECENT];
static unsigned newest;

static struct {
    PyTypeObject *type;
    char name[64]; /* a copy: types die too */
    unsigned long long fresh, reused;
} births[TYPES];
static size_t type_count;

static PyMemAllocatorEx below[2];
static int counting;

static void *note(void *block, size_t bytes) {
    if (counting && block != NULL) {
        newest = (newest + 1) % RECENT;
        recent[newest].start = block;
        recent[newest].bytes = bytes;
    }
    return block;
}

#define HOOKS(D)                                                                                                       \
    static void *malloc_##D(void *ctx, size_t n) { return note(below[D].malloc(below[D].ctx, n), n); }                 \
    static void *calloc_##D(void *ctx, size_t n, size_t s) { return note(below[D].calloc(below[D].ctx, n, s), n * s); } \
    static void *realloc_##D(void *ctx, void *p, size_t n) { return note(below[D].realloc(below[D].ctx, p, n), n); }   \
    static void free_##D(void *ctx, void *p) { below[D].free(below[D].ctx, p); }
HOOKS(0)
HOOKS(1)

static int is_fresh(char *object) {
    for (unsigned age = 0; age < RECENT; age++) {
        unsigned i = (newest - age) % RECENT;
        if (recent[i].start != NULL && object >= recent[i].start && object < recent[i].start + recent[i].bytes) {
            recent[i].start = NULL;
            return 1;
        }
    }
    return 0;
}

static int tracer(PyObject *object, PyRefTracerEvent event, void *unused) {
    if (event != PyRefTracer_CREATE || !counting)
        return 0;
    PyTypeObject *type = Py_TYPE(object);
    size_t i = ((size_t)type >> 4) % TYPES;
    while (births[i].type != type && births[i].type != NULL)
        i = (i + 1) % TYPES;
    if (births[i].type == NULL) {
        if (type_count == TYPES - 1)
            return 0;
        type_count++;
        births[i].type = type;
        strncpy(births[i].name, type->tp_name, sizeof births[i].name - 1);
    }
    if (is_fresh((char *)object))
        births[i].fresh++;
    else
        births[i].reused++;
    return 0;
}

static PyObject *start(PyObject *self, PyObject *unused) {
    PyMemAllocatorEx hooks[2] = {
        {NULL, malloc_0, calloc_0, realloc_0, free_0},
        {NULL, malloc_1, calloc_1, realloc_1, free_1},
    };
    PyMemAllocatorDomain domains[2] = {PYMEM_DOMAIN_OBJ, PYMEM_DOMAIN_MEM};
    for (int i = 0; i < 2; i++) {
        PyMem_GetAllocator(domains[i], &below[i]);
        PyMem_SetAllocator(domains[i], &hooks[i]);
    }
    if (PyRefTracer_SetTracer(tracer, NULL) < 0)
        return NULL;
    counting = 1;
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *self, PyObject *unused) {
    counting = 0;
    PyObject *counts = PyDict_New();
    for (size_t i = 0; counts != NULL && i < TYPES; i++) {
        if (births[i].type == NULL)
            continue;
        /* Two types may share a name: the later one adds to the earlier. */
        PyObject *old = PyDict_GetItemString(counts, births[i].name);
        unsigned long long fresh = births[i].fresh, reused = births[i].reused;
        if (old != NULL) {
            fresh += PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(old, 0));
            reused += PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(old, 1));
        }
        PyObject *pair = Py_BuildValue("KK", fresh, reused);
        if (pair == NULL || PyDict_SetItemString(counts, births[i].name, pair) < 0)
            Py_CLEAR(counts);
        Py_XDECREF(pair);
    }
    return counts;
}

static PyMethodDef methods[] = {
    {"start", start, METH_NOARGS, "Count births from here on."},
    {"stop", stop, METH_NOARGS, "Stop; return {type: (born in a fresh block, born in reused memory)}."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "lowtide_births", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_lowtide_births(void) { return PyModule_Create(&module); }

/* What the instruction benchmarks need from inside an interpreter: callgrind's regions, allocator traffic without any
 * bytecode around it, and hooks that do nothing but pass through (the least that any allocator hook can cost). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

static PyObject *start_counting(PyObject *self, PyObject *unused) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    Py_RETURN_NONE;
}

static PyObject *stop_counting(PyObject *self, PyObject *name) {
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        return NULL;
    CALLGRIND_DUMP_STATS_AT(text);
    CALLGRIND_STOP_INSTRUMENTATION;
    Py_RETURN_NONE;
}

typedef void *(*malloc_fn)(size_t);
typedef void (*free_fn)(void *);

static const struct {
    const char *name;
    malloc_fn malloc;
    free_fn free;
} domains[] = {
    {"obj", PyObject_Malloc, PyObject_Free},
    {"mem", PyMem_Malloc, PyMem_Free},
    {"raw", PyMem_RawMalloc, PyMem_RawFree},
};

/* Among neighbours, half of them freed: a pool that turns full or empty with every pair would cost more than a program
 * sees. `moved` more of them are taken again first, so that the pairs meet another pool, or the same one fuller. */
static PyObject *pairs(PyObject *self, PyObject *args) {
    enum { NEIGHBOURS = 2000 };
    static void *neighbours[NEIGHBOURS];
    const char *region, *name;
    Py_ssize_t size, count;
    int moved;
    size_t d = 0;
    if (!PyArg_ParseTuple(args, "ssnni", &region, &name, &size, &count, &moved))
        return NULL;
    while (d < sizeof domains / sizeof *domains && strcmp(domains[d].name, name) != 0)
        d++;
    if (d == sizeof domains / sizeof *domains)
        return PyErr_Format(PyExc_ValueError, "domain must be obj, mem or raw, got %s", name);
    for (int i = 0; i < NEIGHBOURS; i++)
        neighbours[i] = domains[d].malloc((size_t)size);
    for (int i = 0; i < NEIGHBOURS; i += 2)
        domains[d].free(neighbours[i]);
    for (int i = 0; i < 2 * moved; i += 2)
        neighbours[i] = domains[d].malloc((size_t)size);
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    for (Py_ssize_t i = 0; i < count; i++)
        domains[d].free(domains[d].malloc((size_t)size));
    CALLGRIND_DUMP_STATS_AT(region);
    CALLGRIND_STOP_INSTRUMENTATION;
    for (int i = 0; i < NEIGHBOURS; i++)
        if (i % 2 == 1 || i < 2 * moved)
            domains[d].free(neighbours[i]);
    Py_RETURN_NONE;
}

static void **blocks;
static size_t live;

static PyObject *fill(PyObject *self, PyObject *args) {
    Py_ssize_t size, count;
    if (!PyArg_ParseTuple(args, "nn", &size, &count))
        return NULL;
    /* Not from the allocators under test. */
    if ((blocks = realloc(blocks, (size_t)count * sizeof *blocks)) == NULL)
        return PyErr_NoMemory();
    for (live = 0; live < (size_t)count; live++)
        if ((blocks[live] = PyObject_Malloc((size_t)size)) == NULL)
            return PyErr_NoMemory();
    /* A fixed shuffle: what is freed next lies anywhere among the live blocks. */
    uint64_t state = 88172645463325252u;
    for (size_t i = live; i > 1; i--) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        size_t j = state % i;
        void *block = blocks[i - 1];
        blocks[i - 1] = blocks[j], blocks[j] = block;
    }
    Py_RETURN_NONE;
}

static PyObject *free_some(PyObject *self, PyObject *count) {
    size_t n = PyLong_AsSize_t(count);
    if (PyErr_Occurred())
        return NULL;
    while (n-- > 0 && live > 0)
        PyObject_Free(blocks[--live]);
    Py_RETURN_NONE;
}

static PyMemAllocatorEx below[3];

#define PASS_THROUGH(D)                                                                                                \
    static void *malloc_##D(void *ctx, size_t n) { return below[D].malloc(below[D].ctx, n); }                          \
    static void *calloc_##D(void *ctx, size_t n, size_t s) { return below[D].calloc(below[D].ctx, n, s); }             \
    static void *realloc_##D(void *ctx, void *p, size_t n) { return below[D].realloc(below[D].ctx, p, n); }            \
    static void free_##D(void *ctx, void *p) { below[D].free(below[D].ctx, p); }
PASS_THROUGH(0)
PASS_THROUGH(1)
PASS_THROUGH(2)

static PyObject *pass_through(PyObject *self, PyObject *unused) {
    PyMemAllocatorEx hooks[3] = {
        {NULL, malloc_0, calloc_0, realloc_0, free_0},
        {NULL, malloc_1, calloc_1, realloc_1, free_1},
        {NULL, malloc_2, calloc_2, realloc_2, free_2},
    };
    for (int d = 0; d < 3; d++) {
        PyMem_GetAllocator((PyMemAllocatorDomain)d, &below[d]);
        PyMem_SetAllocator((PyMemAllocatorDomain)d, &hooks[d]);
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"start_counting", start_counting, METH_NOARGS, "Count instructions from here on."},
    {"stop_counting", stop_counting, METH_O, "Write the instructions counted under a name."},
    {"pairs", pairs, METH_VARARGS, "pairs(region, domain, size, count, moved): count the instructions of that many malloc + free."},
    {"fill", fill, METH_VARARGS, "fill(size, count): allocate count blocks and shuffle them."},
    {"free_some", free_some, METH_O, "Free that many of the blocks that fill() allocated."},
    {"pass_through", pass_through, METH_NOARGS, "Install hooks that only call what was there before."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "lowtide_probe", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_lowtide_probe(void) { return PyModule_Create(&module); }

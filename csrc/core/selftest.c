#include "core/selftest.h"

#include "core/frames.h"

static PyObject *text_of(const lt_tables *tables, uint32_t id) {
    const lt_string *s = LT_AT(tables->strings, lt_string, id);
    return PyUnicode_DecodeUTF8(tables->string_bytes.base + s->offset, s->bytes, "replace");
}

static PyObject *list_of(const lt_tables *tables, uint32_t id) {
    PyObject *list = PyList_New(0);
    const lt_stack *s = LT_AT(tables->stacks, lt_stack, id);
    for (uint32_t i = 0; i < s->depth && list != NULL; i++) {
        uint32_t location = *LT_AT(tables->stack_locations, uint32_t, s->offset + i);
        const lt_location *l = LT_AT(tables->locations, lt_location, location);
        const lt_function *f = LT_AT(tables->functions, lt_function, l->function);
        PyObject *entry = Py_BuildValue("(NNi)", text_of(tables, f->name), text_of(tables, f->file), (int)l->line);
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
    }
    return list;
}

/* Walked and interned as a hook does it, in tables of its own, then read back. */
PyObject *lt_selftest_walk(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    enum { BYTES = 8 << 20, FRAMES = 128 };
    struct {
        lt_tables tables;
        lt_stack_reader reader;
    } *own = PyMem_RawCalloc(1, sizeof(*own));
    if (own == NULL) {
        return PyErr_NoMemory();
    }
    uint32_t id = LT_NONE;
    lt_lock_acquire(&own->tables.lock);
    if (lt_tables_reset_locked(&own->tables, BYTES, 1, 0)) {
        id = lt_frames_read_locked(&own->tables, &own->reader, LT_OBJ, FRAMES);
    }
    lt_lock_release(&own->tables.lock);
    PyObject *stack = id != LT_NONE ? list_of(&own->tables, id) : PyErr_NoMemory();
    lt_lock_acquire(&own->tables.lock);
    lt_tables_release_locked(&own->tables);
    lt_lock_release(&own->tables.lock);
    PyMem_RawFree(own);
    return stack;
}

int lt_selftest_run(PyObject *module) {
    static const char file[] = "<lowtide self-test>";
    static const char program[] = "def outer():\n"
                                  "    class Inner:\n"
                                  "        def __init__(self):\n"
                                  "            self.stack = [walk()\n"
                                  "                          for _ in 'x'][0]\n"
                                  "    return Inner()\n"
                                  "stack = outer().stack\n";
    static const struct {
        const char *name;
        int line;
    } truth[] = {{"outer.<locals>.Inner.__init__", 4}, {"outer", 6}, {"<module>", 7}};

    static bool has_passed; /* protected by the GIL */
    if (has_passed) {
        return 0;
    }
    PyObject *names = PyDict_New(), *walk = PyObject_GetAttrString(module, "walk"), *code = NULL, *result = NULL;
    bool matches = false;
    if (names != NULL && walk != NULL && PyDict_SetItemString(names, "walk", walk) == 0 &&
        (code = Py_CompileString(program, file, Py_file_input)) != NULL &&
        (result = PyEval_EvalCode(code, names, names)) != NULL) {
        PyObject *stack = PyDict_GetItemString(names, "stack"); /* borrowed */
        Py_ssize_t depth = stack != NULL ? PyList_Size(stack) : 0, next = 0;
        for (Py_ssize_t i = 0; i < depth && next < 3; i++) {
            const char *name, *where;
            int line;
            if (!PyArg_ParseTuple(PyList_GET_ITEM(stack, i), "ssi", &name, &where, &line)) {
                break;
            }
            /* 3.11 runs a comprehension in a frame of its own, on the same line. */
            bool is_comprehension = i == 0 && strstr(name, "<listcomp>") != NULL && line == 4;
            if (is_comprehension) {
                continue;
            }
            if (strcmp(name, truth[next].name) != 0 || strcmp(where, file) != 0 || line != truth[next].line) {
                break;
            }
            next++;
        }
        matches = next == 3;
    }
    Py_XDECREF(names);
    Py_XDECREF(walk);
    Py_XDECREF(code);
    Py_XDECREF(result);
    if (!matches && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, "the self-test read a wrong stack: this interpreter differs from CPython " PY_VERSION
                                            ", which lowtide._core was built for; rebuild lowtide with it");
    }
    has_passed = matches;
    return matches ? 0 : -1;
}

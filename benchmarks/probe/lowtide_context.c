/* The least that a `with` over an object written in C can cost: a context manager that does nothing. */
#include <Python.h>

static PyObject *enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *leave(PyObject *self, PyObject *const *unused, Py_ssize_t count) {
    (void)self;
    (void)unused;
    (void)count;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"__enter__", (PyCFunction)enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {{Py_tp_methods, methods}, {0, NULL}};
static PyType_Spec spec = {.name = "lowtide_context.Empty", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};

/* A method in C that makes one, as lease() is. */
static PyObject *make(PyObject *type, PyObject *unused) {
    (void)unused;
    return PyObject_CallNoArgs(type);
}

static PyMethodDef make_method = {"empty", make, METH_NOARGS, NULL};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "lowtide_context", .m_size = -1};

PyMODINIT_FUNC PyInit_lowtide_context(void) {
    PyObject *self = PyModule_Create(&module);
    PyObject *type = PyType_FromSpec(&spec);
    if (self == NULL || type == NULL || PyModule_AddObject(self, "empty", PyCFunction_New(&make_method, type)) < 0)
        return NULL;
    return self;
}

/* lowtide._pool: types, module functions and the state of one interpreter's module. Contract: src/lowtide/_pool.pyi. */
#include "pool/module.h"

#include "pool/lease.h"

static struct PyModuleDef definition;

PyObject *lt_module_of_type(PyTypeObject *type) {
    return PyType_GetModuleByDef(type, &definition);
}

static int add(PyObject *module, lt_type which, PyObject *type) {
    lt_module_state(module)->types[which] = (PyTypeObject *)type;
    return type != NULL ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
}

int lt_module_add_type(PyObject *module, lt_type which, PyType_Spec *spec) {
    return add(module, which, PyType_FromModuleAndSpec(module, spec, NULL));
}

int lt_module_add_record(PyObject *module, lt_type which, PyStructSequence_Desc *description) {
    return add(module, which, (PyObject *)PyStructSequence_NewType(description));
}

PyObject *lt_module_make_record(lt_module *state, lt_type which, const uint64_t *values, size_t count) {
    PyObject *record = PyStructSequence_New(state->types[which]);
    for (size_t i = 0; record != NULL && i < count; i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(values[i]);
        if (value == NULL) {
            Py_CLEAR(record);
        } else {
            PyStructSequence_SetItem(record, (Py_ssize_t)i, value);
        }
    }
    return record;
}

PyObject *lt_module_parse_name(PyObject *name) {
    if (name != Py_None && !PyUnicode_Check(name)) {
        return PyErr_Format(PyExc_TypeError, "name must be a str or None, got %R", name);
    }
    return name != Py_None ? PyUnicode_FromObject(name) : Py_NewRef(name);
}

/* -- check mode ----------------------------------------------------------------------------------------------------- */

PyTypeObject *lt_module_checked_type(PyObject *module, lt_type which, PyTypeObject *type, PyObject *check) {
    lt_module *state = lt_module_state(module);
    int is_checked = check == NULL || check == Py_None ? state->is_check_default : PyObject_IsTrue(check);
    if (is_checked < 0) {
        return NULL;
    }
    if (!is_checked || type != state->types[which]) {
        return type;
    }
    if (state->checked[which] == NULL) {
        Py_XDECREF(PyImport_ImportModule("lowtide.pool.check")); /* registers them */
        if (PyErr_Occurred()) {
            return NULL;
        }
    }
    if (state->checked[which] == NULL) {
        PyErr_Format(PyExc_RuntimeError, "check mode knows no %s", type->tp_name);
    }
    return state->checked[which];
}

static PyObject *set_check(PyObject *module, PyObject *args) {
    lt_module *state = lt_module_state(module);
    PyTypeObject *type;
    int is_default;
    if (!PyArg_ParseTuple(args, "O!p:_set_check", &PyType_Type, &type, &is_default)) {
        return NULL;
    }
    for (int which = 0; which < LT_TYPE_COUNT; which++) {
        PyTypeObject *base = state->types[which];
        if (base != NULL && type != base && PyType_IsSubtype(type, base)) {
            Py_XSETREF(state->checked[which], (PyTypeObject *)Py_NewRef(type));
            state->is_check_default = is_default;
            Py_RETURN_NONE;
        }
    }
    return PyErr_Format(PyExc_TypeError, "type must be a subclass of a pool, got %s", type->tp_name);
}

/* -- the module ----------------------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"_set_check", set_check, METH_VARARGS,
     PyDoc_STR("Register what check mode makes in place of its base, and whether check=None asks for it.")},
    {NULL, NULL, 0, NULL},
};

static int (*const add_types[])(PyObject *module) = {
    lt_pool_add_types,
    lt_lease_add_types,
    lt_buffer_add_types,
    lt_text_face_add_types,
    lt_buffer_pool_add_types,
};

static int exec_module(PyObject *module) {
    lt_module *state = lt_module_state(module);
    if (lt_ageing_init(&state->ageing, module) < 0) {
        return -1;
    }
    PyObject *errors = PyImport_ImportModule("lowtide.errors");
    state->settings_error = errors != NULL ? PyObject_GetAttrString(errors, "SettingsError") : NULL;
    Py_XDECREF(errors);
    state->get = PyUnicode_InternFromString("get");
    state->put = PyUnicode_InternFromString("put");
    if (state->settings_error == NULL || state->get == NULL || state->put == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(add_types) / sizeof(*add_types); i++) {
        if (add_types[i](module) < 0) {
            return -1;
        }
    }
    return PyModule_AddFunctions(module, lt_ageing_methods);
}

static int traverse_module(PyObject *module, visitproc visit, void *arg) {
    lt_module *state = lt_module_state(module);
    for (int which = 0; which < LT_TYPE_COUNT; which++) {
        Py_VISIT(state->types[which]);
        Py_VISIT(state->checked[which]);
    }
    Py_VISIT(state->settings_error);
    return 0;
}

/* There is no m_clear: what the state holds must be there as long as a pool is, and cycles break elsewhere (the module's
 * dict, the types' references to the module, the pools' items). */
static void free_module(void *module) {
    lt_module *state = lt_module_state(module);
    lt_lease_free_all(state);
    for (int which = 0; which < LT_TYPE_COUNT; which++) {
        Py_CLEAR(state->types[which]);
        Py_CLEAR(state->checked[which]);
    }
    Py_CLEAR(state->settings_error);
    Py_CLEAR(state->get);
    Py_CLEAR(state->put);
    lt_ageing_free(&state->ageing);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "lowtide._pool",
    .m_size = sizeof(lt_module),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__pool(void) {
    return PyModuleDef_Init(&definition);
}

#include "core/encode.h"

#include "base/pprof.h"

/* Borrow the bytes objects of `tuple`. NULL with an exception set. */
static lt_text *texts_of(PyObject *tuple, const char *name) {
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    lt_text *texts = PyMem_Calloc((size_t)count + 1, sizeof(lt_text));
    if (texts == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        if (!PyBytes_Check(item)) {
            PyErr_Format(PyExc_TypeError, "%s must hold bytes, got %s", name, Py_TYPE(item)->tp_name);
            PyMem_Free(texts);
            return NULL;
        }
        texts[i] = (lt_text){PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item)};
    }
    return texts;
}

static bool is_read(lt_tables *tables) {
    lt_lock_acquire(&tables->lock);
    bool read = tables->readers != NULL;
    lt_lock_release(&tables->lock);
    return read;
}

/* The budget has room for one copy of full tables: wait while other snapshots hold it. NULL when memory is short. */
static lt_snapshot *begin(lt_tables *tables) {
    for (;;) {
        bool had_company = is_read(tables); /* asked before, too: whoever ends meanwhile leaves room */
        lt_snapshot *snapshot = lt_snapshot_begin(tables);
        if (snapshot != NULL || !(had_company || is_read(tables))) {
            return snapshot;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

PyObject *lt_encode(lt_tables *tables, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"fd", "module_roots", "script", "comments", "time_nanos", NULL};
    int fd;
    PyObject *roots, *script, *comments;
    long long time_ns;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO!SO!L:encode", names, &fd, &PyTuple_Type, &roots, &script,
                                     &PyTuple_Type, &comments, &time_ns)) {
        return NULL;
    }
    lt_text *root_texts = texts_of(roots, "module_roots");
    lt_text *comment_texts = root_texts != NULL ? texts_of(comments, "comments") : NULL;
    if (comment_texts == NULL) {
        PyMem_Free(root_texts);
        return NULL;
    }
    lt_pprof_header header = {
        .roots = root_texts,
        .root_count = (size_t)PyTuple_GET_SIZE(roots),
        .script = {PyBytes_AS_STRING(script), (size_t)PyBytes_GET_SIZE(script)},
        .comments = comment_texts,
        .comment_count = (size_t)PyTuple_GET_SIZE(comments),
        .time_ns = time_ns,
    };
    int error = ENOMEM;
    Py_BEGIN_ALLOW_THREADS
    lt_snapshot *snapshot = begin(tables);
    if (snapshot != NULL) {
        error = lt_pprof_write(tables, snapshot, &header, fd);
        lt_snapshot_end(tables, snapshot);
    }
    Py_END_ALLOW_THREADS
    PyMem_Free(root_texts);
    PyMem_Free(comment_texts);
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

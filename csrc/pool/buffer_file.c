#include "pool/buffer_file.h"

#include <string.h>

#include "pool/text_face.h"

/* Say that a method got the wrong number of arguments. */
static bool takes(const char *method, Py_ssize_t least, Py_ssize_t most, Py_ssize_t count) {
    if (count >= least && count <= most) {
        return true;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes %zd to %zd arguments, got %zd", method, least, most, count);
    return false;
}

static bool is_usable(lt_buffer *self) {
    return !(self->guard & LT_BUFFER_FLAGS) || lt_buffer_refuse(self) == 0;
}

bool lt_buffer_file_size(const char *method, PyObject *const *args, Py_ssize_t count, Py_ssize_t *size) {
    *size = -1;
    if (!takes(method, 0, 1, count)) {
        return false;
    }
    if (count == 1 && args[0] != Py_None) {
        *size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
        if (*size == -1 && PyErr_Occurred()) {
            return false;
        }
    }
    return true;
}

/* -- reading -------------------------------------------------------------------------------------------------------- */

static PyObject *take(lt_buffer *self, Py_ssize_t count) {
    PyObject *data = PyBytes_FromStringAndSize(count > 0 ? self->bytes + self->position : NULL, count);
    if (data != NULL) {
        self->position += count;
    }
    return data;
}

PyObject *lt_buffer_file_read(lt_buffer *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t size;
    if (!lt_buffer_file_size("read", args, count, &size) || !is_usable(self)) {
        return NULL;
    }
    Py_ssize_t rest = lt_buffer_rest(self);
    return take(self, size < 0 || size > rest ? rest : size);
}

Py_ssize_t lt_buffer_line(const lt_buffer *self, Py_ssize_t limit) {
    Py_ssize_t rest = lt_buffer_rest(self);
    if (limit >= 0 && limit < rest) {
        rest = limit;
    }
    if (rest == 0) {
        return 0;
    }
    const char *start = self->bytes + self->position, *newline = memchr(start, '\n', (size_t)rest);
    return newline != NULL ? newline + 1 - start : rest;
}

PyObject *lt_buffer_file_readline(lt_buffer *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t size;
    if (!lt_buffer_file_size("readline", args, count, &size) || !is_usable(self)) {
        return NULL;
    }
    return take(self, lt_buffer_line(self, size));
}

PyObject *lt_buffer_file_next(lt_buffer *self) {
    if (!is_usable(self)) {
        return NULL;
    }
    Py_ssize_t length = lt_buffer_line(self, -1);
    return length > 0 ? take(self, length) : NULL;
}

PyObject *lt_buffer_file_readinto(lt_buffer *self, PyObject *target) {
    Py_buffer view;
    if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE | PyBUF_CONTIG) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (is_usable(self)) {
        Py_ssize_t rest = lt_buffer_rest(self), count = view.len < rest ? view.len : rest;
        result = PyLong_FromSsize_t(count);
        if (result != NULL && count > 0) {
            memmove(view.buf, self->bytes + self->position, (size_t)count); /* the target may be our own view */
            self->position += count;
        }
    }
    PyBuffer_Release(&view);
    return result;
}

/* -- position and length -------------------------------------------------------------------------------------------- */

PyObject *lt_buffer_file_seek(lt_buffer *self, PyObject *const *args, Py_ssize_t count) {
    if (!takes("seek", 1, 2, count)) {
        return NULL;
    }
    Py_ssize_t offset = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
    if (offset == -1 && PyErr_Occurred()) {
        return NULL;
    }
    long whence = count == 2 ? PyLong_AsLong(args[1]) : 0;
    if ((whence == -1 && PyErr_Occurred()) || !is_usable(self)) {
        return NULL;
    }
    if (whence < 0 || whence > 2) {
        return PyErr_Format(PyExc_ValueError, "whence must be 0, 1 or 2, got %ld", whence);
    }
    if (whence == 0 && offset < 0) {
        return PyErr_Format(PyExc_ValueError, "offset must be >= 0 from the start, got %zd", offset);
    }
    Py_ssize_t origin = whence == 0 ? 0 : whence == 1 ? self->position : self->size;
    if (offset > PY_SSIZE_T_MAX - origin) {
        return PyErr_Format(PyExc_OverflowError, "position must be below 2**63, got %zd beyond %zd", offset, origin);
    }
    self->position = origin + offset > 0 ? origin + offset : 0;
    return PyLong_FromSsize_t(self->position);
}

PyObject *lt_buffer_file_tell(lt_buffer *self, PyObject *unused) {
    (void)unused;
    return is_usable(self) ? PyLong_FromSsize_t(self->position) : NULL;
}

PyObject *lt_buffer_file_truncate(lt_buffer *self, PyObject *const *args, Py_ssize_t count) {
    if (!takes("truncate", 0, 1, count)) {
        return NULL;
    }
    Py_ssize_t size = self->position;
    if (count == 1 && args[0] != Py_None) {
        size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
        if (size == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    if (self->guard != 0) {
        lt_buffer_refuse(self);
        return NULL;
    }
    if (size < 0) {
        return PyErr_Format(PyExc_ValueError, "size must be >= 0 bytes, got %zd", size);
    }
    PyObject *result = PyLong_FromSsize_t(size);
    if (result != NULL && size < self->size) {
        self->size = size;
        self->reserved = 0;
    }
    return result;
}

/* -- what else a file has ------------------------------------------------------------------------------------------- */

PyObject *lt_buffer_file_flush(lt_buffer *self, PyObject *unused) {
    (void)unused;
    return is_usable(self) ? Py_NewRef(Py_None) : NULL;
}

PyObject *lt_buffer_file_able(lt_buffer *self, PyObject *unused) {
    (void)unused;
    return is_usable(self) ? Py_NewRef(Py_True) : NULL;
}

/* The memory stays, because whoever closes it (a TextIOWrapper that dies) is seldom the one who owns it. */
PyObject *lt_buffer_file_close(lt_buffer *self, PyObject *unused) {
    (void)unused;
    if (self->guard & ~LT_BUFFER_CLOSED) {
        lt_buffer_refuse(self);
        return NULL;
    }
    self->guard = LT_BUFFER_CLOSED;
    Py_RETURN_NONE;
}

PyObject *lt_buffer_file_enter(lt_buffer *self, PyObject *unused) {
    (void)unused;
    return is_usable(self) ? Py_NewRef(self) : NULL;
}

PyObject *lt_buffer_file_exit(lt_buffer *self, PyObject *args) {
    return lt_buffer_file_close(self, args);
}

PyObject *lt_buffer_file_closed(lt_buffer *self, void *unused) {
    (void)unused;
    return PyBool_FromLong((self->guard & LT_BUFFER_FLAGS) != 0);
}

PyObject *lt_buffer_file_text(lt_buffer *self, void *unused) {
    (void)unused;
    return is_usable(self) ? lt_text_face_new(self) : NULL;
}

#include "pool/buffer.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

#include "pool/buffer_file.h"
#include "pool/utf8.h"

enum { MIN_GROWTH = 64, DOUBLING_ENDS = 1 << 20 };

int lt_buffer_refuse(lt_buffer *self) {
    if (self->guard & LT_BUFFER_PUT) {
        if (self->put_to == NULL || self->put_to == Py_None) {
            PyErr_SetString(PyExc_ValueError, "buffer was put back to its pool");
        } else if (PyUnicode_Check(self->put_to)) {
            PyErr_Format(PyExc_ValueError, "buffer was put back to pool '%U'", self->put_to);
        } else {
            PyObject *make_error = Py_NewRef(self->put_to); /* another thread may get the buffer meanwhile */
            PyObject *error = PyObject_CallNoArgs(make_error);
            Py_DECREF(make_error);
            if (error != NULL) {
                PyErr_SetObject((PyObject *)Py_TYPE(error), error);
                Py_DECREF(error);
            }
        }
    } else if (self->guard & LT_BUFFER_CLOSED) {
        PyErr_SetString(PyExc_ValueError, "buffer is closed; reset() opens it again, empty");
    } else {
        PyErr_Format(PyExc_BufferError,
                     "buffer has live views (%zd): release them before it is written, resized, reset or put back",
                     self->guard);
    }
    return -1;
}

/* -- memory --------------------------------------------------------------------------------------------------------- */

lt_buffer *lt_buffer_new(PyTypeObject *type, Py_ssize_t capacity) {
    char *bytes = capacity > 0 ? PyMem_Malloc((size_t)capacity) : NULL;
    if (capacity > 0 && bytes == NULL) {
        return (lt_buffer *)PyErr_NoMemory();
    }
    lt_buffer *self = (lt_buffer *)type->tp_alloc(type, 0);
    if (self == NULL) {
        PyMem_Free(bytes);
        return NULL;
    }
    self->bytes = bytes;
    self->capacity = capacity;
    return self;
}

/* Make the capacity `needed` or more, by factors, so that many small writes copy each byte a few times only. */
static int grow(lt_buffer *self, Py_ssize_t needed) {
    Py_ssize_t capacity = self->capacity;
    if (capacity <= PY_SSIZE_T_MAX / 2) {
        capacity += capacity < DOUBLING_ENDS ? capacity : capacity / 2;
    }
    if (capacity < needed) {
        capacity = needed;
    }
    if (capacity < MIN_GROWTH) {
        capacity = MIN_GROWTH;
    }
    char *bytes = PyMem_Realloc(self->bytes, (size_t)capacity);
    if (bytes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->bytes = bytes;
    self->capacity = capacity;
    self->reserved = 0;
    return 0;
}

char *lt_buffer_room(lt_buffer *self, Py_ssize_t count) {
    if (self->guard != 0) {
        lt_buffer_refuse(self);
        return NULL;
    }
    if (count > self->capacity - self->position) {
        if (self->position > PY_SSIZE_T_MAX - count) {
            PyErr_Format(PyExc_OverflowError, "buffer must end before 2**63 bytes, got %zd more at %zd", count,
                         self->position);
            return NULL;
        }
        if (grow(self, self->position + count) < 0) {
            return NULL;
        }
    }
    if (self->position > self->size) {
        memset(self->bytes + self->size, 0, (size_t)(self->position - self->size));
    }
    return self->bytes + self->position;
}

/* -- writing -------------------------------------------------------------------------------------------------------- */

static Py_ssize_t write_memory(lt_buffer *self, const char *from, Py_ssize_t count) {
    if (count == 0) {
        return self->guard != 0 ? lt_buffer_refuse(self) : 0;
    }
    char *to = lt_buffer_room(self, count);
    if (to == NULL) {
        return -1;
    }
    memcpy(to, from, (size_t)count);
    lt_buffer_wrote(self, count);
    return count;
}

static Py_ssize_t write_object(lt_buffer *self, PyObject *data) {
    if (PyBytes_CheckExact(data)) {
        return write_memory(self, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
    }
    if (PyUnicode_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "data must be bytes-like, got str; write_str() and .text take text");
        return -1;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_CONTIG_RO) < 0) {
        return -1;
    }
    Py_ssize_t written = write_memory(self, view.buf, view.len);
    PyBuffer_Release(&view);
    return written;
}

Py_ssize_t lt_buffer_write_str(lt_buffer *self, PyObject *text) {
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "text must be str, got %.200s", Py_TYPE(text)->tp_name);
        return -1;
    }
    if (PyUnicode_GetLength(text) < 0) { /* on 3.11 this is what makes a legacy string canonical */
        return -1;
    }
    Py_ssize_t size = lt_utf8_size(text);
    if (size < 0) {
        Py_XDECREF(PyUnicode_AsUTF8String(text)); /* raises the error that str.encode() would */
        return -1;
    }
    if (size == 0) {
        return self->guard != 0 ? lt_buffer_refuse(self) : 0;
    }
    char *to = lt_buffer_room(self, size);
    if (to == NULL) {
        return -1;
    }
    lt_utf8_encode(text, to);
    lt_buffer_wrote(self, size);
    return size;
}

static PyObject *buffer_write(lt_buffer *self, PyObject *data) {
    Py_ssize_t written = write_object(self, data);
    return written >= 0 ? PyLong_FromSsize_t(written) : NULL;
}

static PyObject *buffer_write_str(lt_buffer *self, PyObject *text) {
    Py_ssize_t written = lt_buffer_write_str(self, text);
    return written >= 0 ? PyLong_FromSsize_t(written) : NULL;
}

static PyObject *buffer_writelines(lt_buffer *self, PyObject *lines) {
    if (self->guard & LT_BUFFER_FLAGS) {
        lt_buffer_refuse(self);
        return NULL;
    }
    if (PyList_CheckExact(lines) || PyTuple_CheckExact(lines)) { /* without an iterator: no allocation */
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(lines); i++) {
            PyObject *line = PySequence_Fast_GET_ITEM(lines, i);
            Py_INCREF(line); /* taking its bytes may change the list */
            Py_ssize_t written = write_object(self, line);
            Py_DECREF(line);
            if (written < 0) {
                return NULL;
            }
        }
        Py_RETURN_NONE;
    }
    PyObject *iterator = PyObject_GetIter(lines), *line;
    if (iterator == NULL) {
        return NULL;
    }
    while ((line = PyIter_Next(iterator)) != NULL) {
        Py_ssize_t written = write_object(self, line);
        Py_DECREF(line);
        if (written < 0) {
            break;
        }
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- views ---------------------------------------------------------------------------------------------------------- */

static int buffer_getbuffer(lt_buffer *self, Py_buffer *view, int flags) {
    static char nothing;
    if (self->guard & LT_BUFFER_FLAGS) {
        view->obj = NULL;
        return lt_buffer_refuse(self);
    }
    char *start = self->bytes != NULL ? self->bytes : &nothing;
    Py_ssize_t length = self->size;
    if (self->is_reserving) {
        start += self->size;
        length = self->reserved;
    }
    if (PyBuffer_FillInfo(view, (PyObject *)self, start, length, 0, flags) < 0) {
        return -1;
    }
    self->guard++;
    return 0;
}

static void buffer_releasebuffer(lt_buffer *self, Py_buffer *view) {
    (void)view;
    self->guard--;
}

static PyObject *buffer_view(lt_buffer *self, PyObject *unused) {
    (void)unused;
    return PyMemoryView_FromObject((PyObject *)self);
}

static PyObject *buffer_reserve(lt_buffer *self, PyObject *argument) {
    Py_ssize_t count = PyNumber_AsSsize_t(argument, PyExc_OverflowError);
    if (count == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (count < 0) {
        return PyErr_Format(PyExc_ValueError, "n must be >= 0 bytes, got %zd", count);
    }
    if (self->guard != 0) {
        lt_buffer_refuse(self);
        return NULL;
    }
    if (count > self->capacity - self->size) {
        if (self->size > PY_SSIZE_T_MAX - count) {
            return PyErr_NoMemory();
        }
        if (grow(self, self->size + count) < 0) {
            return NULL;
        }
    }
    self->reserved = count;
    self->is_reserving = true;
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    self->is_reserving = false;
    return view;
}

static PyObject *buffer_advance(lt_buffer *self, PyObject *argument) {
    Py_ssize_t count = PyNumber_AsSsize_t(argument, PyExc_OverflowError);
    if (count == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (self->guard & LT_BUFFER_FLAGS) {
        lt_buffer_refuse(self);
        return NULL;
    }
    if (count < 0 || count > self->reserved) {
        return PyErr_Format(PyExc_ValueError, "n must be 0 to %zd bytes, as reserve() has left, got %zd", self->reserved,
                            count);
    }
    self->size += count;
    self->reserved -= count;
    self->position = self->size;
    Py_RETURN_NONE;
}

static PyObject *buffer_getvalue(lt_buffer *self, PyObject *unused) {
    (void)unused;
    if (self->guard & LT_BUFFER_FLAGS) {
        lt_buffer_refuse(self);
        return NULL;
    }
    return PyBytes_FromStringAndSize(self->bytes, self->size);
}

static PyObject *buffer_reset(lt_buffer *self, PyObject *unused) {
    (void)unused;
    if (self->guard & ~LT_BUFFER_CLOSED) {
        lt_buffer_refuse(self);
        return NULL;
    }
    self->guard = 0;
    lt_buffer_empty(self);
    Py_RETURN_NONE;
}

/* -- the type ------------------------------------------------------------------------------------------------------- */

static PyObject *buffer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"capacity", NULL};
    Py_ssize_t capacity = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:Buffer", names, &capacity)) {
        return NULL;
    }
    if (capacity < 0) {
        return PyErr_Format(PyExc_ValueError, "capacity must be >= 0 bytes, got %zd", capacity);
    }
    return (PyObject *)lt_buffer_new(type, capacity);
}

static void buffer_dealloc(lt_buffer *self) {
    PyTypeObject *type = Py_TYPE(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    PyMem_Free(self->bytes);
    Py_XDECREF(self->put_to);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *buffer_repr(lt_buffer *self) {
    const char *state = self->guard & LT_BUFFER_PUT ? ", put back" : self->guard & LT_BUFFER_CLOSED ? ", closed" : "";
    return PyUnicode_FromFormat("<lowtide.Buffer: %zd bytes, capacity %zd%s>", self->size, self->capacity, state);
}

static Py_ssize_t buffer_length(lt_buffer *self) {
    return self->guard & LT_BUFFER_FLAGS ? lt_buffer_refuse(self) : self->size;
}

/* A file is true even when empty, and libraries ask `if fileobj`. */
static int buffer_bool(lt_buffer *self) {
    (void)self;
    return 1;
}

static PyObject *buffer_sizeof(lt_buffer *self, PyObject *unused) {
    (void)unused;
    return PyLong_FromSsize_t(Py_TYPE(self)->tp_basicsize + self->capacity);
}

static PyMethodDef methods[] = {
    {"write", (PyCFunction)buffer_write, METH_O,
     "write($self, data, /)\n--\n\nWrite bytes-like data at the position; return how many bytes."},
    {"write_str", (PyCFunction)buffer_write_str, METH_O,
     "write_str($self, text, /)\n--\n\nWrite text as UTF-8 at the position; return how many bytes."},
    {"writelines", (PyCFunction)buffer_writelines, METH_O,
     "writelines($self, lines, /)\n--\n\nWrite each of an iterable of bytes-like objects."},
    {"getvalue", (PyCFunction)buffer_getvalue, METH_NOARGS, "getvalue($self, /)\n--\n\nReturn a copy of the content."},
    {"view", (PyCFunction)buffer_view, METH_NOARGS,
     "view($self, /)\n--\n\nReturn a writable memoryview of the content; while it lives the buffer keeps its length."},
    {"reserve", (PyCFunction)buffer_reserve, METH_O,
     "reserve($self, n, /)\n--\n\nReturn a writable memoryview of n bytes past the content, for recv_into or readinto."},
    {"advance", (PyCFunction)buffer_advance, METH_O,
     "advance($self, n, /)\n--\n\nMake the first n reserved bytes part of the content, and its end the position."},
    {"reset", (PyCFunction)buffer_reset, METH_NOARGS,
     "reset($self, /)\n--\n\nEmpty the buffer and keep its capacity; a closed one is open again."},
    {"read", (PyCFunction)(void (*)(void))lt_buffer_file_read, METH_FASTCALL,
     "read($self, size=-1, /)\n--\n\nReturn up to size bytes from the position on; all of them when negative or None."},
    {"read1", (PyCFunction)(void (*)(void))lt_buffer_file_read, METH_FASTCALL,
     "read1($self, size=-1, /)\n--\n\nReturn up to size bytes from the position on; all of them when negative or None."},
    {"readline", (PyCFunction)(void (*)(void))lt_buffer_file_readline, METH_FASTCALL,
     "readline($self, size=-1, /)\n--\n\nReturn the line at the position, its newline included, up to size bytes."},
    {"readinto", (PyCFunction)lt_buffer_file_readinto, METH_O,
     "readinto($self, target, /)\n--\n\nRead into a writable bytes-like object; return how many bytes."},
    {"seek", (PyCFunction)(void (*)(void))lt_buffer_file_seek, METH_FASTCALL,
     "seek($self, offset, whence=0, /)\n--\n\nMove the position and return it; whence 0 start, 1 position, 2 end."},
    {"tell", (PyCFunction)lt_buffer_file_tell, METH_NOARGS, "tell($self, /)\n--\n\nReturn the position."},
    {"truncate", (PyCFunction)(void (*)(void))lt_buffer_file_truncate, METH_FASTCALL,
     "truncate($self, size=None, /)\n--\n\nCut the content to size (default: the position) and keep the capacity."},
    {"flush", (PyCFunction)lt_buffer_file_flush, METH_NOARGS, "flush($self, /)\n--\n\nDo nothing, as for any file in memory."},
    {"readable", (PyCFunction)lt_buffer_file_able, METH_NOARGS, "readable($self, /)\n--\n\nReturn True."},
    {"writable", (PyCFunction)lt_buffer_file_able, METH_NOARGS, "writable($self, /)\n--\n\nReturn True."},
    {"seekable", (PyCFunction)lt_buffer_file_able, METH_NOARGS, "seekable($self, /)\n--\n\nReturn True."},
    {"close", (PyCFunction)lt_buffer_file_close, METH_NOARGS,
     "close($self, /)\n--\n\nRefuse further use until reset(); the memory stays."},
    {"__enter__", (PyCFunction)lt_buffer_file_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)lt_buffer_file_exit, METH_VARARGS, NULL},
    {"__sizeof__", (PyCFunction)buffer_sizeof, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"capacity", T_PYSSIZET, offsetof(lt_buffer, capacity), READONLY, "How many bytes it holds before it grows."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(lt_buffer, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"closed", (getter)lt_buffer_file_closed, NULL, "Whether it was closed or put back.", NULL},
    {"text", (getter)lt_buffer_file_text, NULL, "A text file over the buffer, in UTF-8.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(doc, "Buffer(capacity=0)\n--\n\n"
                  "A growable byte buffer whose reset() keeps its capacity, and a file in memory as io.BytesIO is one.");

static PyType_Slot type_slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_new, buffer_new},
    {Py_tp_dealloc, buffer_dealloc},
    {Py_tp_repr, buffer_repr},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, lt_buffer_file_next},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, attributes},
    {Py_sq_length, buffer_length},
    {Py_nb_bool, buffer_bool},
    {Py_bf_getbuffer, buffer_getbuffer},
    {Py_bf_releasebuffer, buffer_releasebuffer},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "lowtide.Buffer",
    .basicsize = sizeof(lt_buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = type_slots,
};

int lt_buffer_add_types(PyObject *module) {
    return lt_module_add_type(module, LT_BUFFER, &spec);
}

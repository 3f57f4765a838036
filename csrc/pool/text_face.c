#include "pool/text_face.h"

#include "pool/buffer_file.h"

typedef struct {
    PyObject_HEAD
    lt_buffer *buffer;
} text_face;

PyObject *lt_text_face_new(lt_buffer *buffer) {
    PyObject *module = lt_module_of_type(Py_TYPE(buffer));
    if (module == NULL) {
        return NULL;
    }
    text_face *self = PyObject_New(text_face, lt_module_state(module)->types[LT_BUFFER_TEXT]);
    if (self != NULL) {
        self->buffer = (lt_buffer *)Py_NewRef(buffer);
    }
    return (PyObject *)self;
}

static void text_dealloc(text_face *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_DECREF(self->buffer);
    type->tp_free(self);
    Py_DECREF(type);
}

static bool is_usable(text_face *self) {
    return !(self->buffer->guard & LT_BUFFER_FLAGS) || lt_buffer_refuse(self->buffer) == 0;
}

/* -- writing -------------------------------------------------------------------------------------------------------- */

static PyObject *text_write(text_face *self, PyObject *text) {
    if (lt_buffer_write_str(self->buffer, text) < 0) {
        return NULL;
    }
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *text_writelines(text_face *self, PyObject *lines) {
    PyObject *iterator = is_usable(self) ? PyObject_GetIter(lines) : NULL, *line;
    if (iterator == NULL) {
        return NULL;
    }
    while ((line = PyIter_Next(iterator)) != NULL) {
        Py_ssize_t written = lt_buffer_write_str(self->buffer, line);
        Py_DECREF(line);
        if (written < 0) {
            break;
        }
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* -- reading -------------------------------------------------------------------------------------------------------- */

/* Decode before moving: content that is no UTF-8 raises and stays to be read as bytes. */
static PyObject *take(lt_buffer *buffer, Py_ssize_t count) {
    PyObject *text = PyUnicode_DecodeUTF8(count > 0 ? buffer->bytes + buffer->position : "", count, NULL);
    if (text != NULL) {
        buffer->position += count;
    }
    return text;
}

/* How many of the first `count` bytes at the position its first `limit` characters have. */
static Py_ssize_t characters(const lt_buffer *buffer, Py_ssize_t count, Py_ssize_t limit) {
    for (Py_ssize_t i = 0; i < count; i++) {
        bool is_start = ((unsigned char)buffer->bytes[buffer->position + i] & 0xc0) != 0x80;
        if (is_start && limit-- == 0) {
            return i;
        }
    }
    return count;
}

static PyObject *text_read(text_face *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t size;
    if (!lt_buffer_file_size("read", args, count, &size) || !is_usable(self)) {
        return NULL;
    }
    Py_ssize_t rest = lt_buffer_rest(self->buffer);
    return take(self->buffer, size < 0 ? rest : characters(self->buffer, rest, size));
}

static PyObject *text_readline(text_face *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t size;
    if (!lt_buffer_file_size("readline", args, count, &size) || !is_usable(self)) {
        return NULL;
    }
    Py_ssize_t line = lt_buffer_line(self->buffer, -1);
    return take(self->buffer, size < 0 ? line : characters(self->buffer, line, size));
}

static PyObject *text_next(text_face *self) {
    Py_ssize_t line = is_usable(self) ? lt_buffer_line(self->buffer, -1) : 0;
    return line > 0 ? take(self->buffer, line) : NULL;
}

/* -- what else a file has ------------------------------------------------------------------------------------------- */

static PyObject *text_flush(text_face *self, PyObject *unused) {
    return lt_buffer_file_flush(self->buffer, unused);
}

static PyObject *text_able(text_face *self, PyObject *unused) {
    return lt_buffer_file_able(self->buffer, unused);
}

static PyObject *text_closed(text_face *self, void *unused) {
    return lt_buffer_file_closed(self->buffer, unused);
}

static PyObject *text_encoding(text_face *self, void *unused) {
    (void)self;
    (void)unused;
    return PyUnicode_InternFromString("utf-8");
}

static PyObject *text_buffer(text_face *self, void *unused) {
    (void)unused;
    return Py_NewRef(self->buffer);
}

static PyMethodDef methods[] = {
    {"write", (PyCFunction)text_write, METH_O,
     "write($self, text, /)\n--\n\nWrite text at the buffer's position; return how many characters."},
    {"writelines", (PyCFunction)text_writelines, METH_O,
     "writelines($self, lines, /)\n--\n\nWrite each of an iterable of str."},
    {"read", (PyCFunction)(void (*)(void))text_read, METH_FASTCALL,
     "read($self, size=-1, /)\n--\n\nReturn up to size characters; all of them when negative or None."},
    {"readline", (PyCFunction)(void (*)(void))text_readline, METH_FASTCALL,
     "readline($self, size=-1, /)\n--\n\nReturn the line at the position, its newline included, up to size characters."},
    {"flush", (PyCFunction)text_flush, METH_NOARGS, "flush($self, /)\n--\n\nDo nothing: all of it is in the buffer."},
    {"readable", (PyCFunction)text_able, METH_NOARGS, "readable($self, /)\n--\n\nReturn True."},
    {"writable", (PyCFunction)text_able, METH_NOARGS, "writable($self, /)\n--\n\nReturn True."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"buffer", (getter)text_buffer, NULL, "The buffer it writes into.", NULL},
    {"closed", (getter)text_closed, NULL, "Whether the buffer was closed or put back.", NULL},
    {"encoding", (getter)text_encoding, NULL, "\"utf-8\".", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot type_slots[] = {
    {Py_tp_doc, "A text file over a lowtide.Buffer, in UTF-8, with the buffer's position."},
    {Py_tp_dealloc, text_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, text_next},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "lowtide._pool._BufferText",
    .basicsize = sizeof(text_face),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = type_slots,
};

int lt_text_face_add_types(PyObject *module) {
    return lt_module_add_type(module, LT_BUFFER_TEXT, &spec);
}

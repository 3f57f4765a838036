#include "pool/utf8.h"

#include <string.h>

Py_ssize_t lt_utf8_size(PyObject *text) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), size = length, surrogates = 0;
    const void *data = PyUnicode_DATA(text);
    if (PyUnicode_IS_ASCII(text)) {
        return length;
    }
    /* Sums without branches, which compilers turn into vector code. */
    if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) {
        const Py_UCS1 *from = data;
        for (Py_ssize_t i = 0; i < length; i++) {
            size += from[i] >> 7;
        }
    } else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND) {
        const Py_UCS2 *from = data;
        for (Py_ssize_t i = 0; i < length; i++) {
            size += (from[i] >= 0x80) + (from[i] >= 0x800);
            surrogates += (from[i] & 0xf800) == 0xd800;
        }
    } else {
        const Py_UCS4 *from = data;
        for (Py_ssize_t i = 0; i < length; i++) {
            size += (from[i] >= 0x80) + (from[i] >= 0x800) + (from[i] >= 0x10000);
            surrogates += (from[i] & 0xfffff800) == 0xd800;
        }
    }
    return surrogates == 0 ? size : -1;
}

static inline char *put_code_point(char *to, Py_UCS4 c) {
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

char *lt_utf8_encode(PyObject *text, char *to) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    const void *data = PyUnicode_DATA(text);
    if (PyUnicode_IS_ASCII(text)) {
        memcpy(to, data, (size_t)length);
        return to + length;
    }
    if (PyUnicode_KIND(text) == PyUnicode_1BYTE_KIND) {
        for (Py_ssize_t i = 0; i < length; i++) {
            to = put_code_point(to, ((const Py_UCS1 *)data)[i]);
        }
    } else if (PyUnicode_KIND(text) == PyUnicode_2BYTE_KIND) {
        for (Py_ssize_t i = 0; i < length; i++) {
            to = put_code_point(to, ((const Py_UCS2 *)data)[i]);
        }
    } else {
        for (Py_ssize_t i = 0; i < length; i++) {
            to = put_code_point(to, ((const Py_UCS4 *)data)[i]);
        }
    }
    return to;
}

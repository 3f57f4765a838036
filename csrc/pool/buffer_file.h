/* Buffer as a file: its methods that io.BytesIO has too, with the same meaning. */
#ifndef LT_POOL_BUFFER_FILE_H
#define LT_POOL_BUFFER_FILE_H

#include "pool/buffer.h"

PyObject *lt_buffer_file_read(lt_buffer *self, PyObject *const *args, Py_ssize_t count);
PyObject *lt_buffer_file_readline(lt_buffer *self, PyObject *const *args, Py_ssize_t count);
PyObject *lt_buffer_file_readinto(lt_buffer *self, PyObject *target);
PyObject *lt_buffer_file_next(lt_buffer *self);
PyObject *lt_buffer_file_seek(lt_buffer *self, PyObject *const *args, Py_ssize_t count);
PyObject *lt_buffer_file_tell(lt_buffer *self, PyObject *unused);
PyObject *lt_buffer_file_truncate(lt_buffer *self, PyObject *const *args, Py_ssize_t count);
PyObject *lt_buffer_file_flush(lt_buffer *self, PyObject *unused);
PyObject *lt_buffer_file_able(lt_buffer *self, PyObject *unused);
PyObject *lt_buffer_file_close(lt_buffer *self, PyObject *unused);
PyObject *lt_buffer_file_enter(lt_buffer *self, PyObject *unused);
PyObject *lt_buffer_file_exit(lt_buffer *self, PyObject *args);
PyObject *lt_buffer_file_closed(lt_buffer *self, void *unused);
PyObject *lt_buffer_file_text(lt_buffer *self, void *unused);

/* One optional size: -1 where it is absent, None or negative. False with an exception set. */
bool lt_buffer_file_size(const char *method, PyObject *const *args, Py_ssize_t count, Py_ssize_t *size);

#endif

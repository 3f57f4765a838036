/* BufferPool: idle buffers by size class, a class for each power of two from min_bytes to max_bytes.
 *
 * A buffer waits in the class of the largest power of two that its capacity holds, and a get looks from the class of the
 * smallest that holds what is wanted upwards: whatever it finds is large enough. Larger ones must serve too, because most users
 * cannot tell how much they will write. So that a huge response does not pin its memory, a buffer that is again and again
 * far larger than what was asked for and written is dropped. */
#ifndef LT_POOL_BUFFER_POOL_H
#define LT_POOL_BUFFER_POOL_H

#include "pool/buffer.h"
#include "pool/generations.h"

typedef struct {
    PyObject_HEAD
    lt_age age;
    PyObject *module;          /* owned: whose state `age` points into */
    PyTypeObject *buffer_type; /* borrowed of that state */
    PyObject *name;            /* str or None */
    lt_generations *classes;
    int class_count;
    int first_shift; /* log2 of the smallest class */
    Py_ssize_t min_bytes, max_bytes, max_total;
    Py_ssize_t idle_bytes; /* of all classes, <= max_total */
    uint64_t gets, hits, puts;
    struct {
        uint64_t small, large, full, aged, cleared;
    } drops;
    PyObject *weakrefs;
} lt_buffer_pool;

#endif

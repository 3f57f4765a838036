/* Buffer: bytes that grow, and a capacity that stays.
 *
 * Every method first asks `guard`, one word: it counts the live views and carries the flags of a buffer that nobody may use.
 * Whatever moves memory or changes the length needs guard == 0, but for advance(), which goes on inside the memory that
 * reserve() lent; reading needs no flag. Code that may run Python (taking
 * somebody's Py_buffer, an iterator's next) comes before the question, never between it and the memory.
 *
 * Invariants: 0 <= size <= capacity; reserved <= capacity - size; position may lie past size. The GIL protects all fields. */
#ifndef LT_POOL_BUFFER_H
#define LT_POOL_BUFFER_H

#include "pool/module.h"

typedef struct {
    PyObject_HEAD
    char *bytes; /* NULL while capacity is 0 */
    Py_ssize_t size;
    Py_ssize_t capacity;
    Py_ssize_t position;
    Py_ssize_t reserved; /* what advance() may take, from size on */
    Py_ssize_t guard;
    bool is_reserving;     /* the view being made is reserve()'s */
    unsigned char strikes; /* puts in a row that found it far too large for its use: the pool's */
    Py_ssize_t asked;      /* bytes, at the last get */
    PyObject *put_to;      /* the name of the pool it was put back to last (a str, None or NULL); in check mode a callable
                            * that makes the error for a use of it, and must not lead back here: a Buffer is no garbage */
    PyObject *weakrefs;
} lt_buffer;

#define LT_BUFFER_PUT ((Py_ssize_t)1 << 62)    /* put back: sealed until a pool hands it out */
#define LT_BUFFER_CLOSED ((Py_ssize_t)1 << 61) /* close(): until reset() */
#define LT_BUFFER_FLAGS (LT_BUFFER_PUT | LT_BUFFER_CLOSED)

enum { LT_BUFFER_SEAL = 0xdb };

/* An empty buffer with exactly that capacity; NULL with an exception set. */
lt_buffer *lt_buffer_new(PyTypeObject *type, Py_ssize_t capacity);

/* Raise what `guard` forbids. Always -1. */
int lt_buffer_refuse(lt_buffer *self);

/* Make room for `count` bytes at the position, zeros before it where it lies past the end; NULL with an exception set. */
char *lt_buffer_room(lt_buffer *self, Py_ssize_t count);

/* Count what was written into the room. */
static inline void lt_buffer_wrote(lt_buffer *self, Py_ssize_t count) {
    self->position += count;
    if (self->position > self->size) {
        self->size = self->position;
    }
    self->reserved = 0;
}

/* Write a str as UTF-8 at the position: how many bytes, or -1 with an exception set. */
Py_ssize_t lt_buffer_write_str(lt_buffer *self, PyObject *text);

/* What lies between the position and the end. */
static inline Py_ssize_t lt_buffer_rest(const lt_buffer *self) {
    return self->position < self->size ? self->size - self->position : 0;
}

/* How many bytes the line at the position has, its newline included, `limit` at most. */
Py_ssize_t lt_buffer_line(const lt_buffer *self, Py_ssize_t limit);

static inline void lt_buffer_empty(lt_buffer *self) {
    self->size = self->position = self->reserved = 0;
}

#endif

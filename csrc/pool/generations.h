/* A pool's idle items in two generations. Nothing here fails but lt_generations_reserve. */
#ifndef LT_POOL_GENERATIONS_H
#define LT_POOL_GENERATIONS_H

#include "pool/ageing.h"

typedef struct {
    PyObject *item;   /* owned */
    Py_ssize_t bytes; /* as it was when put: a size that changes later cannot corrupt the sums */
} lt_entry;

typedef struct {
    lt_entry *entries;
    Py_ssize_t count, capacity;
} lt_stack;

/* `items` are given and taken; `victim` are those of the epoch before, taken when `items` has none, and then dropped. */
typedef struct {
    lt_stack items, victim;
    Py_ssize_t bytes; /* of all entries */
} lt_generations;

static inline Py_ssize_t lt_generations_count(const lt_generations *self) {
    return self->items.count + self->victim.count;
}

/* Take an entry of a stack that has one; its item is the caller's now. Runs no code of the program. */
static inline PyObject *lt_generations_take(lt_generations *self, lt_stack *stack) {
    lt_entry *entry = &stack->entries[--stack->count];
    self->bytes -= entry->bytes;
    return entry->item;
}

static inline bool lt_generations_has_room(const lt_generations *self) {
    return self->items.count < self->items.capacity;
}

/* Keep a reference to `item`, where there is room. Runs no code of the program. */
static inline void lt_generations_give(lt_generations *self, PyObject *item, Py_ssize_t bytes) {
    self->items.entries[self->items.count++] = (lt_entry){Py_NewRef(item), bytes};
    self->bytes += bytes;
}

/* Make room for one more item. False with MemoryError set. */
bool lt_generations_reserve(lt_generations *self);

/* Rotate `epochs` times, at least once: what aged out is added to `*drops` and then destroyed. Destroying may run any code of
 * the program; the pool is whole by then. */
void lt_generations_rotate(lt_generations *self, uint64_t epochs, uint64_t *drops);

/* Drop everything; the same holds. */
void lt_generations_clear(lt_generations *self, uint64_t *drops);

int lt_generations_traverse(lt_generations *self, visitproc visit, void *arg);

#endif

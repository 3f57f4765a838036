#include "pool/generations.h"

enum { FIRST_CAPACITY = 8, FAR_TOO_LARGE = 8 };

bool lt_generations_reserve(lt_generations *self) {
    if (lt_generations_has_room(self)) {
        return true;
    }
    lt_stack *items = &self->items;
    size_t capacity = items->capacity > 0 ? (size_t)items->capacity * 2 : FIRST_CAPACITY;
    lt_entry *entries =
        capacity <= PY_SSIZE_T_MAX / sizeof(lt_entry) ? PyMem_Realloc(items->entries, capacity * sizeof(lt_entry)) : NULL;
    if (entries == NULL) {
        PyErr_NoMemory();
        return false;
    }
    items->entries = entries;
    items->capacity = (Py_ssize_t)capacity;
    return true;
}

/* Take the entries out of the sums, before anything is destroyed. */
static lt_stack detach(lt_generations *self, lt_stack *stack) {
    lt_stack detached = *stack;
    *stack = (lt_stack){NULL, 0, 0};
    for (Py_ssize_t i = 0; i < detached.count; i++) {
        self->bytes -= detached.entries[i].bytes;
    }
    return detached;
}

/* Oldest first. Runs any code of the program. */
static void destroy(lt_stack *stack) {
    for (Py_ssize_t i = 0; i < stack->count; i++) {
        Py_DECREF(stack->entries[i].item);
    }
}

void lt_generations_rotate(lt_generations *self, uint64_t epochs, uint64_t *drops) {
    lt_stack old = detach(self, &self->victim), older = {NULL, 0, 0};
    if (epochs > 1) {
        older = old;
        old = detach(self, &self->items);
    }
    self->victim = self->items;
    self->items = (lt_stack){NULL, 0, 0};
    *drops += (uint64_t)(old.count + older.count);
    Py_ssize_t count = self->victim.count;
    bool goes_on = count > 0 && old.capacity / FAR_TOO_LARGE <= count + FIRST_CAPACITY;
    destroy(&older);
    PyMem_Free(older.entries);
    destroy(&old);
    /* A pool in use goes on with the array, so that ageing allocates nothing. An idle one gives it back, and so does one
     * that needed far more once: a peak must not pin its arrays forever. */
    if (goes_on && self->items.entries == NULL) {
        self->items = (lt_stack){old.entries, 0, old.capacity};
    } else {
        PyMem_Free(old.entries);
    }
}

void lt_generations_clear(lt_generations *self, uint64_t *drops) {
    lt_stack victim = detach(self, &self->victim), items = detach(self, &self->items);
    *drops += (uint64_t)(victim.count + items.count);
    destroy(&victim);
    PyMem_Free(victim.entries);
    destroy(&items);
    PyMem_Free(items.entries);
}

static int traverse(lt_stack *stack, visitproc visit, void *arg) {
    for (Py_ssize_t i = 0; i < stack->count; i++) {
        Py_VISIT(stack->entries[i].item);
    }
    return 0;
}

int lt_generations_traverse(lt_generations *self, visitproc visit, void *arg) {
    int result = traverse(&self->items, visit, arg);
    return result != 0 ? result : traverse(&self->victim, visit, arg);
}

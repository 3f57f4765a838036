/* What tests in Python need beside csrc/base's own functions: tables of their own, and a look inside by value. */
#include "base/module_name.h"
#include "base/pprof.h"

#include <stdlib.h>

lt_tables *shim_new(size_t max_bytes, uint64_t interval, uint64_t seed) {
    lt_tables *t = calloc(1, sizeof(*t));
    if (t != NULL && !lt_tables_reset_locked(t, max_bytes, interval, seed)) {
        free(t);
        t = NULL;
    }
    return t;
}

void shim_delete(lt_tables *t) {
    lt_tables_release_locked(t);
    free(t);
}

typedef struct {
    lt_text name, file;
    int32_t first_line, line;
} shim_frame;

uint32_t shim_intern(lt_tables *t, const shim_frame *frames, uint32_t depth) {
    uint32_t locations[256];
    for (uint32_t i = 0; i < depth; i++) {
        uint32_t name = lt_intern_string_locked(t, frames[i].name.data, frames[i].name.bytes);
        uint32_t file = lt_intern_string_locked(t, frames[i].file.data, frames[i].file.bytes);
        uint32_t function = lt_intern_function_locked(t, name, file, frames[i].first_line);
        locations[i] = lt_intern_location_locked(t, function, frames[i].line);
    }
    return lt_intern_stack_locked(t, locations, depth);
}

static lt_text text(const lt_tables *t, uint32_t id) {
    const lt_string *s = LT_AT(t->strings, lt_string, id);
    return (lt_text){t->string_bytes.base + s->offset, s->bytes};
}

/* The frames of a stack, leaf first; returns its depth. */
uint32_t shim_frames(const lt_tables *t, uint32_t stack, shim_frame *frames) {
    const lt_stack *s = LT_AT(t->stacks, lt_stack, stack);
    for (uint32_t i = 0; i < s->depth; i++) {
        const lt_location *l =
            LT_AT(t->locations, lt_location, *LT_AT(t->stack_locations, uint32_t, s->offset + i));
        const lt_function *f = LT_AT(t->functions, lt_function, l->function);
        frames[i] = (shim_frame){text(t, f->name), text(t, f->file), f->first_line, l->line};
    }
    return s->depth;
}

/* Copy at most `room` live entries and return how many there are. */
uint32_t shim_live(const lt_tables *t, uintptr_t *addresses, uint32_t *buckets, uint32_t room) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->live_capacity; i++) {
        if (t->live[i].address != 0) {
            if (count < room) {
                addresses[count] = t->live[i].address;
                buckets[count] = t->live[i].bucket;
            }
            count++;
        }
    }
    return count;
}

uint32_t shim_buckets(const lt_tables *t, lt_bucket *out, uint32_t room) {
    uint32_t count = LT_COUNT(t->buckets, lt_bucket);
    for (uint32_t i = 0; i < count && i < room; i++) {
        out[i] = *LT_AT(t->buckets, lt_bucket, i);
    }
    return count;
}

/* In the order of library.State. */
typedef struct {
    uint64_t interval, generation, samples, stale, lost, thinned, committed, copied, max_bytes, live_count;
} shim_state;

void shim_read(const lt_tables *t, shim_state *s) {
    *s = (shim_state){t->interval, t->generation,       t->samples,          t->stale,     t->lost,
                      t->thinned,  t->memory.committed, t->copies.committed, t->max_bytes, t->live_count};
}

void shim_set_interval(lt_tables *t, uint64_t interval) {
    t->interval = interval;
}

bool shim_maybe_live(const lt_tables *t, const void *block) {
    return lt_filter_maybe_live(t, block);
}

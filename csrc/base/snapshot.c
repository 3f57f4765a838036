#define _GNU_SOURCE
#include "base/tables.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Account and map the copy under the lock, touch its pages and come back for the contents: page faults of the copy are
 * what would hold the lock for long. */
bool lt_snapshot_begin(lt_tables *t, lt_snapshot *snapshot) {
    size_t spare = 64 * sizeof(lt_bucket);
    for (;;) {
        lt_lock_acquire(&t->lock);
        size_t room = t->buckets.bytes + t->buckets.bytes / 16 + spare;
        room = room < t->buckets.reserved ? room : t->buckets.reserved;
        size_t tables_budget = t->memory.budget;
        t->memory.budget = t->max_bytes;
        lt_bucket *copy = lt_memory_map(&t->memory, room);
        t->memory.budget = tables_budget;
        t->readers += copy != NULL;
        lt_lock_release(&t->lock);
        if (copy == NULL) {
            return false;
        }
        madvise(copy, room, MADV_POPULATE_WRITE); /* a hint: kernels before 5.14 fault while copying instead */

        lt_lock_acquire(&t->lock);
        uint64_t start = now_ns();
        bool fits = t->buckets.bytes <= room;
        if (fits) {
            memcpy(copy, t->buckets.base, t->buckets.bytes);
            *snapshot = (lt_snapshot){
                .buckets = copy,
                .count = LT_COUNT(t->buckets, lt_bucket),
                .mapped_bytes = room,
                .interval = t->interval,
                .generation = t->generation,
                .strings = LT_COUNT(t->strings, lt_string),
                .functions = LT_COUNT(t->functions, lt_function),
                .locations = LT_COUNT(t->locations, lt_location),
            };
            t->snapshot_lock_ns = now_ns() - start;
        } else {
            lt_memory_unmap(&t->memory, copy, room);
            t->readers--;
        }
        lt_lock_release(&t->lock);
        if (fits) {
            return true;
        }
        spare *= 16; /* samples arrived faster than pages */
    }
}

void lt_snapshot_end(lt_tables *t, lt_snapshot *snapshot) {
    lt_lock_acquire(&t->lock);
    lt_memory_unmap(&t->memory, snapshot->buckets, snapshot->mapped_bytes);
    t->readers--;
    lt_lock_release(&t->lock);
    *snapshot = (lt_snapshot){0};
}

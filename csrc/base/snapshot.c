#define _GNU_SOURCE
#include "base/tables.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14, glibc 2.35 */
#endif

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void describe_locked(const lt_tables *t, lt_snapshot *s) {
    s->interval = t->interval;
    s->salt = t->salt;
    s->generation = t->generation;
    s->strings = LT_COUNT(t->strings, lt_string);
    s->functions = LT_COUNT(t->functions, lt_function);
    s->locations = LT_COUNT(t->locations, lt_location);
    s->count = LT_COUNT(t->buckets, lt_bucket);
    s->scratch = (unsigned char *)(s->buckets + s->count);
}

static size_t needed_bytes(const lt_snapshot *s) {
    return sizeof(*s) + s->count * sizeof(lt_bucket) + lt_snapshot_scratch_bytes(s);
}

static lt_snapshot *map_locked(lt_tables *t, size_t slack) {
    lt_snapshot now;
    describe_locked(t, &now);
    size_t needed = needed_bytes(&now);
    size_t left = (t->copies.budget - t->copies.committed) & ~((size_t)sysconf(_SC_PAGESIZE) - 1);
    if (needed > left) {
        return NULL;
    }
    size_t bytes = needed + slack < left ? needed + slack : left;
    lt_snapshot *snapshot = lt_memory_map(&t->copies, bytes);
    if (snapshot != NULL) {
        snapshot->mapped_bytes = bytes;
        snapshot->next = t->readers;
        t->readers = snapshot;
    }
    return snapshot;
}

static bool copy_locked(const lt_tables *t, lt_snapshot *snapshot) {
    describe_locked(t, snapshot);
    if (needed_bytes(snapshot) > snapshot->mapped_bytes) {
        return false;
    }
    memcpy(snapshot->buckets, t->buckets.base, t->buckets.bytes);
    return true;
}

static void unmap_locked(lt_tables *t, lt_snapshot *snapshot) {
    lt_snapshot **link = &t->readers;
    while (*link != snapshot) {
        link = &(*link)->next;
    }
    *link = snapshot->next;
    lt_memory_unmap(&t->copies, snapshot, snapshot->mapped_bytes);
}

/* Account and map the copy under the lock, touch its pages and come back for the contents: page faults of the copy are
 * what would hold the lock for long. */
lt_snapshot *lt_snapshot_begin(lt_tables *t) {
    for (size_t slack = 64 * 1024;; slack *= 16) { /* samples may arrive faster than pages */
        lt_lock_acquire(&t->lock);
        lt_snapshot *snapshot = map_locked(t, slack);
        lt_lock_release(&t->lock);
        if (snapshot == NULL) {
            return NULL;
        }
        madvise(snapshot, snapshot->mapped_bytes, MADV_POPULATE_WRITE); /* a hint: older kernels fault while copying */

        lt_lock_acquire(&t->lock);
        uint64_t start = now_ns();
        bool copied = copy_locked(t, snapshot);
        if (copied) {
            t->snapshot_lock_ns = now_ns() - start;
        } else {
            unmap_locked(t, snapshot);
        }
        lt_lock_release(&t->lock);
        if (copied) {
            return snapshot;
        }
    }
}

void lt_snapshot_end(lt_tables *t, lt_snapshot *snapshot) {
    lt_lock_acquire(&t->lock);
    unmap_locked(t, snapshot);
    lt_lock_release(&t->lock);
}

void lt_tables_after_fork_locked(lt_tables *t, uint64_t seed) {
    while (t->readers != NULL) {
        unmap_locked(t, t->readers);
    }
    t->generation++;
    t->samples = t->stale = t->lost = t->thinned = t->free_checks = t->free_hits = 0;
    t->rng = seed;
    t->salt = lt_rng_next(&t->rng);
}

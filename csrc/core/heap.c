#define _GNU_SOURCE
#include "core/heap.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>
#include <time.h>

lt_heap_settings lt_heap;
lt_tables lt_heap_tables;
static lt_stack_reader reader; /* protected by the tables' lock */
__thread lt_thread lt_self;

/* -- inside hooks --------------------------------------------------------------------------------------------------- */

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void next_epoch(void) {
    __atomic_fetch_add(&lt_hooks.epoch, 1, __ATOMIC_RELEASE);
}

/* A probe's block must cross: whoever takes a missing answer for missing hooks would put them into the chain twice. */
static void draw(lt_thread *self) {
    self->countdown = self->probe ? 0 : self->interval ? lt_sampler_draw(&self->rng, self->interval) : LT_PARKED;
}

void lt_heap_sync_inhook(lt_thread *self) {
    self->epoch = __atomic_load_n(&lt_hooks.epoch, __ATOMIC_ACQUIRE);
    uint64_t stream = atomic_load(&lt_heap.seed) + atomic_fetch_add(&lt_heap.threads, 1);
    self->rng = lt_rng_next(&stream);
    self->interval = atomic_load(&lt_heap.active) && !self->bypass ? atomic_load(&lt_heap.interval) : 0;
    if (self->guarded) {
        self->interval = 1;
    }
    draw(self);
}

static void acquire(lt_thread *self) {
    self->busy = 1;
    lt_lock_acquire(&lt_heap_tables.lock);
}

static void release(lt_thread *self) {
    lt_lock_release(&lt_heap_tables.lock);
    self->busy = 0;
}

/* Make room and let all threads know the larger interval. */
static bool thin_locked(void) {
    if (!lt_thin_locked(&lt_heap_tables)) {
        return false;
    }
    atomic_store(&lt_heap.interval, lt_heap_tables.interval);
    next_epoch();
    return true;
}

static void record(lt_thread *self, lt_domain domain, const void *block, size_t size) {
    acquire(self);
    for (int attempt = 0;; attempt++) {
        uint32_t stack = lt_frames_read_locked(&lt_heap_tables, &reader, domain, atomic_load(&lt_heap.max_frames));
        if (stack != LT_NONE && lt_record_locked(&lt_heap_tables, block, size, self->interval, domain, stack)) {
            break;
        }
        if (attempt == 1 || !thin_locked()) {
            lt_heap_tables.lost++;
            break;
        }
    }
    release(self);
}

void lt_heap_sample_inhook(lt_thread *self, lt_domain domain, const void *block, size_t size) {
    if (self->probe) {
        self->probe |= (uint8_t)(2 << domain);
    } else if (self->interval != 0 && !self->busy) {
        int saved_errno = errno;
        if (self->guarded) {
            lt_guard_count_inhook(self, domain, size);
        } else {
            uint64_t start = now_ns();
            record(self, domain, block, size);
            atomic_fetch_add_explicit(&lt_heap.slow_path_ns, now_ns() - start, memory_order_relaxed);
        }
        errno = saved_errno;
    }
    draw(self);
}

lt_detached lt_heap_detach_inhook(lt_thread *self, const void *block) {
    lt_detached detached = {LT_NONE, 0};
    if (!self->busy) { /* a signal handler that interrupted us: the entry stays and is replaced when the address returns */
        acquire(self);
        detached = (lt_detached){lt_remove_locked(&lt_heap_tables, block), lt_heap_tables.compactions};
        release(self);
    }
    return detached;
}

void lt_heap_reattach_inhook(lt_thread *self, const void *block, lt_detached detached) {
    if (detached.bucket == LT_NONE) {
        return;
    }
    acquire(self);
    if (detached.compactions == lt_heap_tables.compactions) {
        lt_restore_locked(&lt_heap_tables, block, detached.bucket);
    } else {
        lt_heap_tables.lost++;
    }
    release(self);
}

/* -- fork ----------------------------------------------------------------------------------------------------------- */

static uint64_t fresh_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
        seed = now_ns() ^ (uint64_t)(uintptr_t)&seed;
    }
    return seed;
}

/* Busy meanwhile: other libraries' handlers run between ours, and may allocate. */
static void before_fork(void) {
    acquire(&lt_self);
}

static void after_fork_in_parent(void) {
    release(&lt_self);
}

static void after_fork_in_child(void) {
    lt_tables_after_fork_locked(&lt_heap_tables, fresh_seed());
    release(&lt_self);
    lt_guard_after_fork_in_child();
    atomic_store(&lt_heap.slow_path_ns, 0);
    atomic_store(&lt_heap.seed, fresh_seed());
    next_epoch();
}

/* -- control (with the GIL) ----------------------------------------------------------------------------------------- */

/* What the tables may hold of the budget: the rest of our memory is fixed. */
static size_t fixed_bytes(void) {
    return sizeof(lt_heap_tables) + sizeof(reader);
}

/* Take the lock; if the tables are going to be emptied or moved, when no snapshot is being encoded. */
static void acquire_to_start(bool anew, size_t max_bytes) {
    for (;;) {
        acquire(&lt_self);
        if (lt_heap_tables.readers == NULL || (!anew && lt_heap_max_bytes_locked() == max_bytes)) {
            return;
        }
        release(&lt_self);
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        Py_END_ALLOW_THREADS
    }
}

int lt_heap_survive_fork(void) {
    static bool handlers_installed;
    if (!handlers_installed) {
        if ((errno = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child)) != 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        handlers_installed = true;
    }
    return 0;
}

int lt_heap_start(uint64_t interval, int max_frames, size_t max_bytes, bool displaced) {
    if (lt_heap_survive_fork() < 0) {
        return -1;
    }
    /* Displaced hooks have missed frees: what the tables call alive may be long gone. */
    bool anew = displaced || !atomic_load(&lt_heap.active);
    acquire_to_start(anew, max_bytes);
    bool done = true;
    if (anew) {
        done = lt_tables_reset_locked(&lt_heap_tables, max_bytes - fixed_bytes(), interval, fresh_seed());
        atomic_store(&lt_heap.seed, fresh_seed());
        atomic_store(&lt_heap.slow_path_ns, 0);
    } else if (lt_heap_max_bytes_locked() != max_bytes) {
        done = lt_tables_set_budget_locked(&lt_heap_tables, max_bytes - fixed_bytes());
    }
    lt_heap_tables.interval = done ? interval : lt_heap_tables.interval;
    atomic_store(&lt_heap.interval, lt_heap_tables.interval);
    release(&lt_self);
    if (!done) {
        PyErr_Format(PyExc_MemoryError, "cannot reserve address space for heap tables of %zu bytes", max_bytes);
        return -1;
    }
    atomic_store(&lt_heap.max_frames, max_frames);
    atomic_store(&lt_heap.active, true);
    next_epoch();
    return 0;
}

size_t lt_heap_table_bytes_locked(void) {
    return lt_heap_tables.memory.committed + lt_heap_tables.copies.committed + fixed_bytes();
}

size_t lt_heap_max_bytes_locked(void) {
    return lt_heap_tables.max_bytes + fixed_bytes();
}

void lt_heap_stop(void) {
    atomic_store(&lt_heap.active, false);
    next_epoch();
}

void lt_heap_seed(uint64_t seed) {
    atomic_store(&lt_heap.seed, seed);
    atomic_store(&lt_heap.threads, 0);
    next_epoch();
}

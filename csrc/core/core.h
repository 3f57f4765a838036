/* The state of this process that hooks read: settings, tables, the thread's countdown, and what a hook does with a block. */
#ifndef LT_CORE_H
#define LT_CORE_H

#include "core/frames.h"

typedef struct {
    _Atomic bool active;
    _Atomic uint64_t interval;
    _Atomic int max_frames;
    _Atomic uint64_t seed;
    _Atomic uint64_t threads; /* seen since start: gives each its own random stream */
    _Atomic uint64_t slow_path_ns;
} lt_heap_settings;

/* Not -fvisibility, which leaves declarations alone: a hook must not go through the global offset table. */
#define LT_HIDDEN __attribute__((visibility("hidden")))

extern LT_HIDDEN lt_heap_settings lt_heap;
/* What a hook reads at every request, the most frequent ones within one cache line. */
typedef struct {
    /* Bumped after every change of the settings; a thread that sees a new one draws anew. Not _Atomic, because compilers do
     * not fold an atomic load into the compare that follows; written with __atomic builtins only. */
    _Alignas(64) uint32_t epoch;
    /* Whether plain pymalloc over malloc is below; and the largest request that it serves without the RAW domain, else 0. */
    bool is_pymalloc;
    size_t pooled_max;
    /* The allocators below ours. Written before the hooks are published, and again only while they are out of the chain. */
    PyMemAllocatorEx below[LT_DOMAINS];
} lt_hook_state;

extern LT_HIDDEN lt_hook_state lt_hooks;
extern LT_HIDDEN lt_tables lt_heap_tables;
extern LT_HIDDEN __thread lt_thread lt_self;

/* Start counting down under the settings in force. */
void lt_heap_sync_inhook(lt_thread *self);

/* The block that crossed the countdown: record it (unless parked) and draw the next countdown. Keeps errno. */
void lt_heap_sample_inhook(lt_thread *self, lt_domain domain, const void *block, size_t size);

/* The bucket a sampled block was taken from the live table of, to be put back when a realloc fails. */
typedef struct {
    uint32_t bucket; /* LT_NONE: the block was not sampled */
    uint32_t compactions;
} lt_detached;

lt_detached lt_heap_detach_inhook(lt_thread *self, const void *block);
void lt_heap_reattach_inhook(lt_thread *self, const void *block, lt_detached detached);

/* Count a block of a thread under an allocation guard; `busy` holds meanwhile. */
void lt_guard_count_inhook(lt_thread *self, lt_domain domain, size_t size);
void lt_guard_after_fork_in_child(void);

/* See that a forked child finds locks free and counters its own. 0, or -1 with an exception set. */
int lt_heap_survive_fork(void);

#endif

/* What the heap profiler remembers: interned stacks, counters per bucket, and the sampled blocks that are alive.
 *
 * One lock protects everything here but the filter, which is read without it. `_locked` functions need the caller to hold
 * `lock`. Interned records are append-only between two compactions and compaction waits for no reader: it is refused
 * while there are `readers`. A reader may thus use ids it found in its copy of the buckets without the lock.
 */
#ifndef LT_TABLES_H
#define LT_TABLES_H

#include "base/lock.h"
#include "base/memory.h"
#include "base/sampler.h"

typedef enum { LT_OBJ, LT_MEM, LT_RAW, LT_DOMAINS } lt_domain;

typedef struct {
    uint32_t offset; /* into string_bytes */
    uint32_t bytes;
    uint32_t hash;
} lt_string;

typedef struct {
    uint32_t name; /* qualname, a string id */
    uint32_t file;
    int32_t first_line;
} lt_function;

typedef struct {
    uint32_t function;
    int32_t line;
} lt_location;

typedef struct {
    uint32_t offset; /* into stack_locations, in locations */
    uint32_t depth;
    uint32_t hash;
} lt_stack;

typedef struct {
    uint64_t size;
    uint64_t interval;
    uint64_t allocs; /* samples ever; grows until thinned */
    uint64_t live;   /* of those, not freed yet */
    uint32_t stack;
    uint32_t generation; /* forks between the first process and the one that filled it */
    uint32_t domain;
} lt_bucket;

typedef struct {
    uintptr_t address; /* 0: empty */
    uint32_t bucket;
} lt_live;

/* The filter counts live samples per 16-byte granule: neighbours share a cache line, and blocks at equal offsets of different
 * pools part. 256 Ki counters: a heap of 1 GiB at 512 KiB (2,000 samples) sends 0.8 % of the other frees to the table. */
enum { LT_FILTER_BITS = 18, LT_FILTER_SIZE = 1 << LT_FILTER_BITS, LT_FILTER_STUCK = 255 };

typedef struct lt_snapshot lt_snapshot;

typedef struct {
    /* written under lock, read by frees without it; first, so that a free needs no offset */
    _Atomic uint8_t filter[LT_FILTER_SIZE];

    lt_lock lock;

    /* protected by lock */
    lt_memory memory; /* five eighths of max_bytes; compaction, which has it for itself, may use all of it */
    lt_memory copies; /* the rest: snapshots, so that reading one takes no room from the tables */
    size_t max_bytes;
    lt_vec string_bytes, strings, functions, locations, stack_locations, stacks, buckets;
    lt_index string_index, function_index, location_index, stack_index, bucket_index;
    lt_live *live;
    uint32_t live_capacity; /* a power of two, or 0 */
    uint32_t live_count;
    uint32_t generation;  /* forks behind this process */
    uint32_t compactions; /* ids found before the last one are void */
    lt_snapshot *readers; /* snapshots being encoded */
    uint64_t interval;    /* in force, bytes */
    uint64_t rng;
    uint64_t salt; /* of the rounding of estimates: not the same in all processes */
    uint64_t samples, stale, lost, thinned, free_checks, free_hits, snapshot_lock_ns;
} lt_tables;

/* (address >> 4) + (address >> 12) + (address >> 14), the last 18 bits of it, in two instructions. */
static inline uint32_t lt_filter_slot(const void *block) {
    return ((uint32_t)(uintptr_t)block * 0x805u) >> (32 - LT_FILTER_BITS);
}

/* False means: certainly no live sample. A block's hand-over between threads orders this against its insertion. A plain
 * load where a relaxed atomic is meant: compilers do not fold atomics into the compare. */
static inline bool lt_filter_maybe_live(const lt_tables *tables, const void *block) {
    return ((const uint8_t *)(const void *)tables->filter)[lt_filter_slot(block)] != 0;
}

/* Give everything back. No reader may be active. */
void lt_tables_release_locked(lt_tables *tables);

/* Empty the tables and set the budget. False when the kernel refuses address space. No reader may be active. */
bool lt_tables_reset_locked(lt_tables *tables, size_t max_bytes, uint64_t interval, uint64_t seed);

/* Change the budget, thinning until the tables fit. False when the kernel refuses; the old budget holds then. No reader may
 * be active. */
bool lt_tables_set_budget_locked(lt_tables *tables, size_t max_bytes);

/* Intern; LT_NONE when the budget is exhausted (the caller thins and starts over). */
uint32_t lt_intern_string_locked(lt_tables *tables, const char *utf8, size_t bytes);
uint32_t lt_intern_function_locked(lt_tables *tables, uint32_t name, uint32_t file, int32_t first_line);
uint32_t lt_intern_location_locked(lt_tables *tables, uint32_t function, int32_t line);
uint32_t lt_intern_stack_locked(lt_tables *tables, const uint32_t *locations, uint32_t depth);

/* Count one block and return its bucket; LT_NONE when the budget is exhausted. */
uint32_t lt_count_locked(lt_tables *tables, size_t size, uint64_t interval, lt_domain domain, uint32_t stack);

/* Count one sampled block and remember it as live. False when the budget is exhausted; nothing changed then. */
bool lt_record_locked(lt_tables *tables, const void *block, size_t size, uint64_t interval, lt_domain domain,
                      uint32_t stack);

/* Forget a live block and return its bucket, or LT_NONE if it was not sampled. The bucket's live count goes down. */
uint32_t lt_remove_locked(lt_tables *tables, const void *block);
/* Undo lt_remove_locked: the realloc that would have freed the block failed. Lost when others have filled the table. */
void lt_restore_locked(lt_tables *tables, const void *block, uint32_t bucket);

/* For compaction: delete slot `i` of the live table; make that table fit its contents; intern a bucket; rebuild the other
 * indexes from their records; tell whether what is left of the budget is worth going on with. */
void lt_live_delete_locked(lt_tables *tables, uint32_t i);
void lt_live_shrink_locked(lt_tables *tables);
uint32_t lt_intern_bucket_locked(lt_tables *tables, const lt_bucket *key);
void lt_reindex_locked(lt_tables *tables);
bool lt_is_roomy_locked(const lt_tables *tables);

/* Double the interval in force, thin and compact until a quarter of the budget is free. False when a reader is active, the
 * kernel refuses the scratch memory or the interval is beyond all blocks; nothing changed then. */
bool lt_thin_locked(lt_tables *tables);

/* What a forked child changes: its blocks get a generation of their own, and snapshots whose readers did not come along are
 * given back. */
void lt_tables_after_fork_locked(lt_tables *tables, uint64_t seed);

/* A private copy of the buckets at one point in time, and how many interned records they may refer to. */
struct lt_snapshot {
    lt_snapshot *next;
    size_t mapped_bytes; /* with this header */
    uint64_t interval, salt;
    uint32_t generation;
    uint32_t strings, functions, locations;
    unsigned char *scratch; /* for the encoder: four bytes a string, one a location and function */
    size_t count;
    lt_bucket buckets[];
};

static inline size_t lt_snapshot_scratch_bytes(const lt_snapshot *s) {
    return s->strings * sizeof(uint32_t) + s->locations + s->functions;
}

/* Take the lock, copy, release. NULL when memory is short. Every success is paired with lt_snapshot_end. */
lt_snapshot *lt_snapshot_begin(lt_tables *tables);
void lt_snapshot_end(lt_tables *tables, lt_snapshot *snapshot);

/* Typed access to the records by id. */
#define LT_AT(vec, type, id) (&((type *)(void *)(vec).base)[id])
#define LT_COUNT(vec, type) ((uint32_t)((vec).bytes / sizeof(type)))

#endif

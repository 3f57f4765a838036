/* Memory of the profiler's tables: mmap only, inside one byte budget, never the process's heap.
 *
 * All functions are legal inside an allocator hook. Callers hold the tables' lock; nothing here locks.
 */
#ifndef LT_MEMORY_H
#define LT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t committed; /* bytes the tables hold now */
    size_t budget;    /* bytes they may hold */
} lt_memory;

/* Map or unmap zeroed pages, accounted. NULL when the budget or the kernel refuses. */
void *lt_memory_map(lt_memory *memory, size_t bytes);
void lt_memory_unmap(lt_memory *memory, void *pages, size_t bytes);

/* A growable array whose elements never move: address space is reserved once, pages are committed as it grows. A reader
 * may therefore use elements below a length it has seen without the lock. */
typedef struct {
    char *base;
    size_t bytes;     /* in use */
    size_t committed; /* readable and writable */
    size_t reserved;
} lt_vec;

/* Move the contents into a reservation of `max_bytes`. False when the budget or the kernel refuses; nothing changed. */
bool lt_vec_move(lt_memory *memory, lt_vec *vec, size_t max_bytes);
/* Append room for `bytes`; NULL when the budget, the reservation or the kernel refuses. */
void *lt_vec_extend(lt_memory *memory, lt_vec *vec, size_t bytes);
/* Cut to `bytes` and give the pages beyond back. */
void lt_vec_truncate(lt_memory *memory, lt_vec *vec, size_t bytes);
void lt_vec_release(lt_memory *memory, lt_vec *vec);

/* An open-addressing index from a 32-bit hash to ids; the records themselves live in an lt_vec. */
typedef struct {
    uint32_t hash;
    uint32_t id_plus_1; /* 0: empty */
} lt_slot;

typedef struct {
    lt_slot *slots;
    uint32_t capacity; /* a power of two, 0 before the first insert */
    uint32_t count;
} lt_index;

#define LT_NONE UINT32_MAX

typedef bool (*lt_same)(const void *tables, uint32_t id, const void *key);

/* The id whose record `same` accepts, or LT_NONE. */
uint32_t lt_index_find(const lt_index *index, uint32_t hash, lt_same same, const void *tables, const void *key);
/* False when the budget or the kernel refuses the larger index; nothing changed then. */
bool lt_index_insert(lt_memory *memory, lt_index *index, uint32_t hash, uint32_t id);
/* Empty it and make it as small as `count` records need; inserting that many cannot fail then. */
void lt_index_clear(lt_memory *memory, lt_index *index, uint32_t count);
void lt_index_release(lt_memory *memory, lt_index *index);

uint32_t lt_hash_bytes(const void *data, size_t bytes, uint32_t seed);

/* One step of a hash. */
static inline uint64_t lt_mix(uint64_t mixed, uint64_t word) {
    mixed = (mixed ^ word) * 0xd6e8feb86659fd93ULL;
    return mixed ^ mixed >> 32;
}

static inline uint32_t lt_hash_u64(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ULL;
    x ^= x >> 32;
    return (uint32_t)x;
}

#endif

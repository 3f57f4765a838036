#include "base/tables.h"

#include <string.h>

enum { FIRST_LIVE_CAPACITY = 1024 };

enum { VECS = 7, INDEXES = 5 };

#define ALL_VECS(t)                                                                                                    \
    {&(t)->string_bytes, &(t)->strings,         &(t)->functions, &(t)->locations,                                      \
     &(t)->stacks,       &(t)->stack_locations, &(t)->buckets}
#define ALL_INDEXES(t)                                                                                                 \
    {&(t)->string_index, &(t)->function_index, &(t)->location_index, &(t)->stack_index, &(t)->bucket_index}

void lt_tables_release_locked(lt_tables *t) {
    lt_vec *vecs[VECS] = ALL_VECS(t);
    lt_index *indexes[INDEXES] = ALL_INDEXES(t);
    for (int i = 0; i < LT_FILTER_SIZE; i++) {
        if (atomic_load_explicit(&t->filter[i], memory_order_relaxed) != 0) { /* leave untouched pages unmapped */
            atomic_store_explicit(&t->filter[i], 0, memory_order_relaxed);
        }
    }
    lt_memory_unmap(&t->memory, t->live, t->live_capacity * sizeof(lt_live));
    t->live = NULL;
    t->live_capacity = t->live_count = 0;
    for (int i = 0; i < INDEXES; i++) {
        lt_index_release(&t->memory, indexes[i]);
    }
    for (int i = 0; i < VECS; i++) {
        lt_vec_release(&t->memory, vecs[i]);
    }
    t->compactions++;
}

bool lt_tables_reset_locked(lt_tables *t, size_t max_bytes, uint64_t interval, uint64_t seed) {
    lt_tables_release_locked(t);
    t->samples = t->stale = t->lost = t->thinned = t->free_checks = t->free_hits = t->snapshot_lock_ns = 0;
    t->interval = interval;
    t->rng = seed;
    t->salt = lt_rng_next(&t->rng);
    if (!lt_tables_set_budget_locked(t, max_bytes)) {
        lt_tables_release_locked(t);
        t->max_bytes = t->memory.budget = t->copies.budget = 0;
        return false;
    }
    return true;
}

static size_t table_budget(size_t max_bytes) {
    return max_bytes / 8 * 5;
}

/* A snapshot copies the buckets, and takes at most a sixth of the other tables beside: it fits into what is left for it. */
static size_t bucket_budget(size_t max_bytes) {
    return max_bytes / 4;
}

/* A hash table grows by doubling, with the old one beside it. */
static bool can_grow(const lt_tables *t, uint32_t count, uint32_t capacity, size_t slot_bytes) {
    return count <= capacity / 16 * 9 ||
           t->memory.committed + 2 * capacity * slot_bytes <= table_budget(t->max_bytes);
}

bool lt_is_roomy_locked(const lt_tables *t) {
    const lt_vec *vecs[VECS] = ALL_VECS(t);
    const lt_index *indexes[INDEXES] = ALL_INDEXES(t);
    bool roomy = t->memory.committed <= table_budget(t->max_bytes) / 4 * 3 &&
                 t->buckets.bytes <= bucket_budget(t->max_bytes) / 4 * 3 &&
                 can_grow(t, t->live_count, t->live_capacity, sizeof(lt_live));
    for (int i = 0; i < VECS; i++) {
        roomy = roomy && vecs[i]->bytes <= vecs[i]->reserved / 4 * 3;
    }
    for (int i = 0; i < INDEXES; i++) {
        roomy = roomy && can_grow(t, indexes[i]->count, indexes[i]->capacity, sizeof(lt_slot));
    }
    return roomy;
}

/* Address space, of which a program may have been given little: no table needs all of the budget for itself. */
static size_t reservation(const lt_tables *t, const lt_vec *vec, size_t max_bytes) {
    return vec == &t->string_bytes || vec == &t->stack_locations ? max_bytes / 2 : max_bytes / 4;
}

bool lt_tables_set_budget_locked(lt_tables *t, size_t max_bytes) {
    size_t before = t->max_bytes;
    t->max_bytes = max_bytes;
    if (t->memory.committed > table_budget(max_bytes) || t->buckets.bytes > bucket_budget(max_bytes)) {
        if (!lt_thin_locked(t)) {
            t->max_bytes = before;
            return false;
        }
    }
    lt_vec *vecs[VECS] = ALL_VECS(t);
    bool reserved = true;
    t->memory.budget = max_bytes; /* moving needs both copies at once */
    for (int i = 0; i < VECS; i++) {
        size_t wanted = reservation(t, vecs[i], max_bytes);
        if (vecs[i]->reserved < wanted && !lt_vec_move(&t->memory, vecs[i], wanted)) {
            reserved = reserved && vecs[i]->base != NULL; /* one that cannot grow in place is thinned earlier */
        }
    }
    t->memory.budget = table_budget(max_bytes);
    t->copies.budget = max_bytes - t->memory.budget;
    return reserved;
}

/* -- interning ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const void *data;
    size_t bytes;
} span;

static bool same_string(const void *tables, uint32_t id, const void *key) {
    const lt_tables *t = tables;
    const span *k = key;
    const lt_string *s = LT_AT(t->strings, lt_string, id);
    return s->bytes == k->bytes && memcmp(t->string_bytes.base + s->offset, k->data, k->bytes) == 0;
}

static bool same_function(const void *tables, uint32_t id, const void *key) {
    return memcmp(LT_AT(((const lt_tables *)tables)->functions, lt_function, id), key, sizeof(lt_function)) == 0;
}

static bool same_location(const void *tables, uint32_t id, const void *key) {
    return memcmp(LT_AT(((const lt_tables *)tables)->locations, lt_location, id), key, sizeof(lt_location)) == 0;
}

static bool same_stack(const void *tables, uint32_t id, const void *key) {
    const lt_tables *t = tables;
    const span *k = key;
    const lt_stack *s = LT_AT(t->stacks, lt_stack, id);
    return s->depth * sizeof(uint32_t) == k->bytes &&
           memcmp(LT_AT(t->stack_locations, uint32_t, s->offset), k->data, k->bytes) == 0;
}

static bool same_bucket(const void *tables, uint32_t id, const void *key) {
    const lt_bucket *b = LT_AT(((const lt_tables *)tables)->buckets, lt_bucket, id), *k = key;
    return b->stack == k->stack && b->size == k->size && b->interval == k->interval &&
           b->generation == k->generation && b->domain == k->domain;
}

/* Append a record and index it; both or neither. */
static uint32_t append(lt_tables *t, lt_vec *vec, lt_index *index, uint32_t hash, const void *record, size_t bytes) {
    uint32_t id = (uint32_t)(vec->bytes / bytes);
    void *room = lt_vec_extend(&t->memory, vec, bytes);
    if (room == NULL) {
        return LT_NONE;
    }
    memcpy(room, record, bytes);
    if (!lt_index_insert(&t->memory, index, hash, id)) {
        vec->bytes -= bytes;
        return LT_NONE;
    }
    return id;
}

uint32_t lt_intern_string_locked(lt_tables *t, const char *utf8, size_t bytes) {
    span key = {utf8, bytes};
    uint32_t hash = lt_hash_bytes(utf8, bytes, 0);
    uint32_t id = lt_index_find(&t->string_index, hash, same_string, t, &key);
    if (id != LT_NONE) {
        return id;
    }
    lt_string record = {(uint32_t)t->string_bytes.bytes, (uint32_t)bytes, hash};
    char *room = lt_vec_extend(&t->memory, &t->string_bytes, bytes);
    if (room == NULL) {
        return LT_NONE;
    }
    memcpy(room, utf8, bytes);
    id = append(t, &t->strings, &t->string_index, hash, &record, sizeof(record));
    if (id == LT_NONE) {
        t->string_bytes.bytes -= bytes;
    }
    return id;
}

static uint32_t hash_function(const lt_function *f) {
    return lt_hash_u64(((uint64_t)f->name << 32 | f->file) * 31 + (uint32_t)f->first_line);
}

uint32_t lt_intern_function_locked(lt_tables *t, uint32_t name, uint32_t file, int32_t first_line) {
    lt_function record = {name, file, first_line};
    uint32_t hash = hash_function(&record);
    uint32_t id = lt_index_find(&t->function_index, hash, same_function, t, &record);
    return id != LT_NONE ? id : append(t, &t->functions, &t->function_index, hash, &record, sizeof(record));
}

static uint32_t hash_location(const lt_location *l) {
    return lt_hash_u64((uint64_t)l->function << 32 | (uint32_t)l->line);
}

uint32_t lt_intern_location_locked(lt_tables *t, uint32_t function, int32_t line) {
    lt_location record = {function, line};
    uint32_t hash = hash_location(&record);
    uint32_t id = lt_index_find(&t->location_index, hash, same_location, t, &record);
    return id != LT_NONE ? id : append(t, &t->locations, &t->location_index, hash, &record, sizeof(record));
}

uint32_t lt_intern_stack_locked(lt_tables *t, const uint32_t *locations, uint32_t depth) {
    size_t bytes = depth * sizeof(uint32_t);
    span key = {locations, bytes};
    uint32_t hash = lt_hash_bytes(locations, bytes, 1);
    uint32_t id = lt_index_find(&t->stack_index, hash, same_stack, t, &key);
    if (id != LT_NONE) {
        return id;
    }
    lt_stack record = {LT_COUNT(t->stack_locations, uint32_t), depth, hash};
    void *room = lt_vec_extend(&t->memory, &t->stack_locations, bytes);
    if (room == NULL) {
        return LT_NONE;
    }
    memcpy(room, locations, bytes);
    id = append(t, &t->stacks, &t->stack_index, hash, &record, sizeof(record));
    if (id == LT_NONE) {
        t->stack_locations.bytes -= bytes;
    }
    return id;
}

static uint32_t hash_bucket(const lt_bucket *b) {
    return lt_hash_u64(b->size * 0x9e3779b97f4a7c15ULL ^ (b->interval << 20) ^ ((uint64_t)b->stack << 32) ^
                       ((uint64_t)b->generation << 8) ^ b->domain);
}

static uint32_t find_bucket(const lt_tables *t, const lt_bucket *key) {
    return lt_index_find(&t->bucket_index, hash_bucket(key), same_bucket, t, key);
}

uint32_t lt_intern_bucket_locked(lt_tables *t, const lt_bucket *key) {
    uint32_t id = find_bucket(t, key);
    return id != LT_NONE ? id : append(t, &t->buckets, &t->bucket_index, hash_bucket(key), key, sizeof(*key));
}

void lt_reindex_locked(lt_tables *t) {
    lt_index_clear(&t->memory, &t->string_index, LT_COUNT(t->strings, lt_string));
    for (uint32_t i = 0; i < LT_COUNT(t->strings, lt_string); i++) {
        lt_index_insert(&t->memory, &t->string_index, LT_AT(t->strings, lt_string, i)->hash, i);
    }
    lt_index_clear(&t->memory, &t->function_index, LT_COUNT(t->functions, lt_function));
    for (uint32_t i = 0; i < LT_COUNT(t->functions, lt_function); i++) {
        uint32_t hash = hash_function(LT_AT(t->functions, lt_function, i));
        lt_index_insert(&t->memory, &t->function_index, hash, i);
    }
    lt_index_clear(&t->memory, &t->location_index, LT_COUNT(t->locations, lt_location));
    for (uint32_t i = 0; i < LT_COUNT(t->locations, lt_location); i++) {
        uint32_t hash = hash_location(LT_AT(t->locations, lt_location, i));
        lt_index_insert(&t->memory, &t->location_index, hash, i);
    }
    lt_index_clear(&t->memory, &t->stack_index, LT_COUNT(t->stacks, lt_stack));
    for (uint32_t i = 0; i < LT_COUNT(t->stacks, lt_stack); i++) {
        lt_stack *s = LT_AT(t->stacks, lt_stack, i);
        s->hash = lt_hash_bytes(LT_AT(t->stack_locations, uint32_t, s->offset), s->depth * sizeof(uint32_t), 1);
        lt_index_insert(&t->memory, &t->stack_index, s->hash, i);
    }
}

/* -- live blocks ---------------------------------------------------------------------------------------------------- */

static void filter_add(lt_tables *t, const void *block, int step) {
    _Atomic uint8_t *count = &t->filter[lt_filter_slot(block)];
    uint8_t now = atomic_load_explicit(count, memory_order_relaxed);
    if (now != LT_FILTER_STUCK) { /* a counter that was full no longer knows its count: it stays, and only costs time */
        atomic_store_explicit(count, (uint8_t)(now + step), memory_order_relaxed);
    }
}

static uint32_t live_home(const lt_tables *t, uintptr_t address) {
    return lt_hash_u64(address >> 4) & (t->live_capacity - 1);
}

static uint32_t live_find(const lt_tables *t, uintptr_t address) {
    if (t->live_capacity != 0) {
        for (uint32_t i = live_home(t, address); t->live[i].address != 0; i = (i + 1) & (t->live_capacity - 1)) {
            if (t->live[i].address == address) {
                return i;
            }
        }
    }
    return LT_NONE;
}

static void live_place(lt_tables *t, lt_live entry) {
    uint32_t i = live_home(t, entry.address);
    while (t->live[i].address != 0) {
        i = (i + 1) & (t->live_capacity - 1);
    }
    t->live[i] = entry;
}

static bool live_resize(lt_tables *t, uint32_t capacity) {
    uint32_t old_capacity = t->live_capacity;
    lt_live *old = t->live;
    lt_live *live = lt_memory_map(&t->memory, capacity * sizeof(lt_live));
    if (live == NULL) {
        return false;
    }
    t->live = live;
    t->live_capacity = capacity;
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].address != 0) {
            live_place(t, old[i]);
        }
    }
    lt_memory_unmap(&t->memory, old, old_capacity * sizeof(lt_live));
    return true;
}

static bool live_make_room(lt_tables *t) {
    return t->live_count < t->live_capacity / 4 * 3 ||
           live_resize(t, t->live_capacity ? t->live_capacity * 2 : FIRST_LIVE_CAPACITY);
}

void lt_live_shrink_locked(lt_tables *t) {
    uint32_t capacity = FIRST_LIVE_CAPACITY;
    while (capacity / 2 <= t->live_count) {
        capacity *= 2;
    }
    if (capacity < t->live_capacity) {
        live_resize(t, capacity);
    }
}

/* Closing the gap leaves no tombstone (Knuth 6.4, algorithm R). */
void lt_live_delete_locked(lt_tables *t, uint32_t i) {
    uint32_t mask = t->live_capacity - 1;
    filter_add(t, (const void *)t->live[i].address, -1);
    LT_AT(t->buckets, lt_bucket, t->live[i].bucket)->live--;
    t->live_count--;
    for (uint32_t j = (i + 1) & mask; t->live[j].address != 0; j = (j + 1) & mask) {
        if (((j - live_home(t, t->live[j].address)) & mask) >= ((j - i) & mask)) {
            t->live[i] = t->live[j];
            i = j;
        }
    }
    t->live[i].address = 0;
}

uint32_t lt_count_locked(lt_tables *t, size_t size, uint64_t interval, lt_domain domain, uint32_t stack) {
    lt_bucket key = {.size = size, .interval = interval, .stack = stack, .generation = t->generation, .domain = domain};
    bool may_add = t->buckets.bytes + sizeof(key) <= bucket_budget(t->max_bytes);
    uint32_t bucket = may_add ? lt_intern_bucket_locked(t, &key) : find_bucket(t, &key);
    if (bucket != LT_NONE) {
        LT_AT(t->buckets, lt_bucket, bucket)->allocs++;
    }
    return bucket;
}

bool lt_record_locked(lt_tables *t, const void *block, size_t size, uint64_t interval, lt_domain domain,
                      uint32_t stack) {
    uint32_t bucket;
    if (!live_make_room(t) || (bucket = lt_count_locked(t, size, interval, domain, stack)) == LT_NONE) {
        return false;
    }
    uint32_t stale = live_find(t, (uintptr_t)block);
    if (stale != LT_NONE) { /* its free went past the hooks */
        lt_live_delete_locked(t, stale);
        t->stale++;
    }
    lt_restore_locked(t, block, bucket);
    t->samples++;
    return true;
}

uint32_t lt_remove_locked(lt_tables *t, const void *block) {
    t->free_checks++;
    uint32_t i = live_find(t, (uintptr_t)block);
    if (i == LT_NONE) {
        return LT_NONE;
    }
    uint32_t bucket = t->live[i].bucket;
    lt_live_delete_locked(t, i);
    t->free_hits++;
    return bucket;
}

void lt_restore_locked(lt_tables *t, const void *block, uint32_t bucket) {
    if (!live_make_room(t)) {
        t->lost++;
        return;
    }
    filter_add(t, block, 1);
    live_place(t, (lt_live){(uintptr_t)block, bucket});
    LT_AT(t->buckets, lt_bucket, bucket)->live++;
    t->live_count++;
}

/* Tables for a test, and everything that must hold of them between two calls. */
#ifndef LT_TESTS_TABLES_H
#define LT_TESTS_TABLES_H

#include "base/tables.h"
#include "check.h"

#include <string.h>

static inline lt_tables *new_tables(size_t max_bytes, uint64_t interval, uint64_t seed) {
    lt_tables *t = calloc(1, sizeof(*t));
    CHECK(t != NULL && lt_tables_reset_locked(t, max_bytes, interval, seed));
    return t;
}

static inline void delete_tables(lt_tables *t) {
    lt_tables_release_locked(t);
    CHECK_EQUAL(t->memory.committed, 0);
    free(t);
}

/* Names of `bytes` bytes each, a root they share, `depth` frames of their own: one stack a site. LT_NONE when refused. */
static inline uint32_t site_stack(lt_tables *t, uint32_t site, size_t bytes, uint32_t depth) {
    char name[1024];
    uint32_t locations[256];
    memset(name, 'x', sizeof(name));
    memcpy(name, &site, sizeof(site));
    uint32_t file = lt_intern_string_locked(t, "file.py", 7), of_site = lt_intern_string_locked(t, name, bytes);
    if (file == LT_NONE || of_site == LT_NONE) {
        return LT_NONE;
    }
    for (uint32_t i = 0; i < depth; i++) {
        uint32_t function = lt_intern_function_locked(t, of_site, file, (int32_t)i);
        locations[i] = function == LT_NONE ? LT_NONE : lt_intern_location_locked(t, function, (int32_t)(i + site));
        if (locations[i] == LT_NONE) {
            return LT_NONE;
        }
    }
    return lt_intern_stack_locked(t, locations, depth);
}

static inline bool record(lt_tables *t, uintptr_t address, size_t size, uint32_t site) {
    uint32_t stack = site_stack(t, site, 16, 2);
    return stack != LT_NONE && lt_record_locked(t, (const void *)address, size, t->interval, LT_OBJ, stack);
}

static inline const lt_bucket *bucket_at(const lt_tables *t, uint32_t id) {
    CHECK(id < LT_COUNT(t->buckets, lt_bucket));
    return LT_AT(t->buckets, lt_bucket, id);
}

static inline uint64_t total_allocs(const lt_tables *t) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < LT_COUNT(t->buckets, lt_bucket); i++) {
        total += bucket_at(t, i)->allocs;
    }
    return total;
}

/* -- invariants ----------------------------------------------------------------------------------------------------- */

static inline size_t pages(size_t bytes) {
    size_t page = (size_t)getpagesize();
    return (bytes + page - 1) / page * page;
}

static inline void check_memory(const lt_tables *t) {
    const lt_vec *vecs[] = {&t->string_bytes, &t->strings,         &t->functions, &t->locations,
                            &t->stacks,       &t->stack_locations, &t->buckets};
    const lt_index *indexes[] = {&t->string_index, &t->function_index, &t->location_index, &t->stack_index,
                                 &t->bucket_index};
    size_t held = pages(t->live_capacity * sizeof(lt_live));
    for (int i = 0; i < 7; i++) {
        CHECK(vecs[i]->bytes <= vecs[i]->committed && vecs[i]->committed <= vecs[i]->reserved);
        held += vecs[i]->committed;
    }
    for (int i = 0; i < 5; i++) {
        CHECK(indexes[i]->count <= indexes[i]->capacity / 4 * 3);
        held += pages(indexes[i]->capacity * sizeof(lt_slot));
    }
    size_t copies = 0;
    for (const lt_snapshot *s = t->readers; s != NULL; s = s->next) {
        copies += pages(s->mapped_bytes);
    }
    CHECK_EQUAL(t->memory.committed, held);
    CHECK_EQUAL(t->copies.committed, copies);
    CHECK(held <= t->memory.budget && copies <= t->copies.budget);
    CHECK(t->memory.budget + t->copies.budget <= t->max_bytes);
}

/* Every id is in range, and every record is found under its own id: interning it again gives the same. */
static inline void check_records(lt_tables *t) {
    size_t string_bytes = 0, stack_locations = 0;
    size_t bytes_before = t->strings.bytes + t->functions.bytes + t->locations.bytes + t->stacks.bytes + t->buckets.bytes;
    for (uint32_t i = 0; i < LT_COUNT(t->strings, lt_string); i++) {
        const lt_string *s = LT_AT(t->strings, lt_string, i);
        CHECK_EQUAL(s->offset, string_bytes);
        string_bytes += s->bytes;
        CHECK(string_bytes <= t->string_bytes.bytes);
        CHECK_EQUAL(lt_intern_string_locked(t, t->string_bytes.base + s->offset, s->bytes), i);
    }
    for (uint32_t i = 0; i < LT_COUNT(t->functions, lt_function); i++) {
        const lt_function *f = LT_AT(t->functions, lt_function, i);
        CHECK(f->name < LT_COUNT(t->strings, lt_string) && f->file < LT_COUNT(t->strings, lt_string));
        CHECK_EQUAL(lt_intern_function_locked(t, f->name, f->file, f->first_line), i);
    }
    for (uint32_t i = 0; i < LT_COUNT(t->locations, lt_location); i++) {
        const lt_location *l = LT_AT(t->locations, lt_location, i);
        CHECK(l->function < LT_COUNT(t->functions, lt_function));
        CHECK_EQUAL(lt_intern_location_locked(t, l->function, l->line), i);
    }
    for (uint32_t i = 0; i < LT_COUNT(t->stacks, lt_stack); i++) {
        const lt_stack *s = LT_AT(t->stacks, lt_stack, i);
        CHECK_EQUAL(s->offset, stack_locations);
        stack_locations += s->depth;
        CHECK(stack_locations <= LT_COUNT(t->stack_locations, uint32_t));
        const uint32_t *locations = LT_AT(t->stack_locations, uint32_t, s->offset);
        for (uint32_t j = 0; j < s->depth; j++) {
            CHECK(locations[j] < LT_COUNT(t->locations, lt_location));
        }
        CHECK_EQUAL(lt_intern_stack_locked(t, locations, s->depth), i);
    }
    for (uint32_t i = 0; i < LT_COUNT(t->buckets, lt_bucket); i++) {
        const lt_bucket *b = bucket_at(t, i);
        CHECK(b->stack < LT_COUNT(t->stacks, lt_stack) && b->live <= b->allocs && b->domain < LT_DOMAINS);
        CHECK_EQUAL(lt_intern_bucket_locked(t, b), i);
    }
    CHECK_EQUAL(t->string_bytes.bytes, string_bytes);
    CHECK_EQUAL(LT_COUNT(t->stack_locations, uint32_t), stack_locations);
    CHECK_EQUAL(bytes_before,
                t->strings.bytes + t->functions.bytes + t->locations.bytes + t->stacks.bytes + t->buckets.bytes);
}

/* The live table, the buckets' live counts and the filter tell the same. */
static inline void check_live(lt_tables *t) {
    uint32_t buckets = LT_COUNT(t->buckets, lt_bucket), count = 0;
    uint64_t *live = calloc(buckets + 1, sizeof(*live));
    uint32_t *filter = calloc(LT_FILTER_SIZE, sizeof(*filter));
    lt_live *entries = malloc((t->live_count + 1) * sizeof(*entries));
    for (uint32_t i = 0; i < t->live_capacity; i++) {
        if (t->live[i].address != 0) {
            CHECK(t->live[i].bucket < buckets && count < t->live_count);
            live[t->live[i].bucket]++;
            filter[lt_filter_slot((const void *)t->live[i].address)]++;
            entries[count++] = t->live[i];
        }
    }
    CHECK_EQUAL(count, t->live_count);
    for (uint32_t i = 0; i < buckets; i++) {
        CHECK_EQUAL(bucket_at(t, i)->live, live[i]);
    }
    for (uint32_t i = 0; i < LT_FILTER_SIZE; i++) {
        CHECK(t->filter[i] == filter[i] || t->filter[i] == LT_FILTER_STUCK);
    }
    uint64_t checks = t->free_checks, hits = t->free_hits;
    for (uint32_t i = 0; i < count; i++) { /* each can be found, and once only */
        const void *block = (const void *)entries[i].address;
        CHECK(lt_filter_maybe_live(t, block));
        CHECK_EQUAL(lt_remove_locked(t, block), entries[i].bucket);
        CHECK_EQUAL(lt_remove_locked(t, block), LT_NONE);
        lt_restore_locked(t, block, entries[i].bucket);
    }
    t->free_checks = checks;
    t->free_hits = hits;
    free(live);
    free(filter);
    free(entries);
}

static inline void check_tables(lt_tables *t) {
    check_memory(t);
    check_records(t);
    check_live(t);
}

#endif

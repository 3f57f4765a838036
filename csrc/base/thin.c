/* Staying inside the budget without bias.
 *
 * A sample of s bytes taken at interval R was kept with p(s, R). Keeping it again with p(s, R') / p(s, R), R' > R, leaves
 * what sampling at R' would have left, so counts divided by p(s, R') stay unbiased. Live blocks are drawn one by one;
 * those already freed are only counted, and their count is scaled with random rounding: same mean, less variance.
 * Afterwards nothing refers to many strings, functions, locations and stacks: compaction slides the rest together and
 * rebuilds the indexes from the records.
 */
#include "base/tables.h"

#include <math.h>
#include <string.h>

/* Beyond all blocks, and doubling it does not overflow. */
static const uint64_t MAX_INTERVAL = UINT64_C(1) << 50;

static double keep_ratio(const lt_bucket *b, uint64_t interval) {
    if (b->interval >= interval) {
        return 1.0;
    }
    return lt_sampler_probability(b->size, interval) / lt_sampler_probability(b->size, b->interval);
}

static void thin_live(lt_tables *t, uint64_t interval) {
    uint64_t salt = lt_rng_next(&t->rng);
    for (uint32_t i = 0; i < t->live_capacity; i++) {
        /* Deleting pulls a later entry into slot i, or wraps an earlier one round to the end: the coin depends on the
         * address alone, so an entry met twice falls the same way twice. */
        while (t->live[i].address != 0) {
            lt_bucket *b = LT_AT(t->buckets, lt_bucket, t->live[i].bucket);
            uint64_t state = salt ^ t->live[i].address * 0x9e3779b97f4a7c15ULL;
            if (lt_rng_uniform(&state) < keep_ratio(b, interval)) {
                break;
            }
            b->allocs--;
            lt_live_delete_locked(t, i);
        }
    }
}

static void thin_freed(lt_tables *t, uint64_t interval) {
    for (uint32_t i = 0; i < LT_COUNT(t->buckets, lt_bucket); i++) {
        lt_bucket *b = LT_AT(t->buckets, lt_bucket, i);
        double freed = (double)(b->allocs - b->live) * keep_ratio(b, interval);
        b->allocs = b->live + (uint64_t)floor(freed + lt_rng_uniform(&t->rng));
        b->interval = b->interval > interval ? b->interval : interval;
    }
}

/* Nothing shows it any more: all counts thinned away, or freed since it was inherited. */
static bool is_dead(const lt_tables *t, const lt_bucket *b) {
    return b->live == 0 && (b->allocs == 0 || b->generation != t->generation);
}

/* Where each record goes; LT_NONE: dropped. */
typedef struct {
    uint32_t *bucket, *stack, *location, *function, *string;
} moves;

static void mark(const lt_tables *t, const moves *to) {
    for (uint32_t i = 0; i < LT_COUNT(t->buckets, lt_bucket); i++) {
        const lt_bucket *b = LT_AT(t->buckets, lt_bucket, i);
        if (is_dead(t, b)) {
            continue;
        }
        to->bucket[i] = 0;
        to->stack[b->stack] = 0;
        const lt_stack *s = LT_AT(t->stacks, lt_stack, b->stack);
        for (uint32_t j = 0; j < s->depth; j++) {
            to->location[*LT_AT(t->stack_locations, uint32_t, s->offset + j)] = 0;
        }
    }
    for (uint32_t i = 0; i < LT_COUNT(t->locations, lt_location); i++) {
        if (to->location[i] != LT_NONE) {
            to->function[LT_AT(t->locations, lt_location, i)->function] = 0;
        }
    }
    for (uint32_t i = 0; i < LT_COUNT(t->functions, lt_function); i++) {
        if (to->function[i] != LT_NONE) {
            to->string[LT_AT(t->functions, lt_function, i)->name] = 0;
            to->string[LT_AT(t->functions, lt_function, i)->file] = 0;
        }
    }
}

static void slide(lt_memory *memory, lt_vec *vec, size_t record_bytes, uint32_t *to) {
    uint32_t kept = 0, count = (uint32_t)(vec->bytes / record_bytes);
    for (uint32_t i = 0; i < count; i++) {
        if (to[i] != LT_NONE) {
            memmove(vec->base + kept * record_bytes, vec->base + i * record_bytes, record_bytes);
            to[i] = kept++;
        }
    }
    lt_vec_truncate(memory, vec, kept * record_bytes);
}

static void slide_strings(lt_tables *t, const moves *to) {
    slide(&t->memory, &t->strings, sizeof(lt_string), to->string);
    uint32_t end = 0;
    for (uint32_t i = 0; i < LT_COUNT(t->strings, lt_string); i++) {
        lt_string *s = LT_AT(t->strings, lt_string, i);
        memmove(t->string_bytes.base + end, t->string_bytes.base + s->offset, s->bytes);
        s->offset = end;
        end += s->bytes;
    }
    lt_vec_truncate(&t->memory, &t->string_bytes, end);
}

static void slide_stacks(lt_tables *t, const moves *to) {
    slide(&t->memory, &t->stacks, sizeof(lt_stack), to->stack);
    uint32_t end = 0;
    for (uint32_t i = 0; i < LT_COUNT(t->stacks, lt_stack); i++) {
        lt_stack *s = LT_AT(t->stacks, lt_stack, i);
        for (uint32_t j = 0; j < s->depth; j++) {
            uint32_t location = *LT_AT(t->stack_locations, uint32_t, s->offset + j);
            *LT_AT(t->stack_locations, uint32_t, end + j) = to->location[location];
        }
        s->offset = end;
        end += s->depth;
    }
    lt_vec_truncate(&t->memory, &t->stack_locations, end * sizeof(uint32_t));
}

/* Buckets that differed only in their interval have become one: interning them anew merges them. */
static void slide_buckets(lt_tables *t, const moves *to) {
    uint32_t count = LT_COUNT(t->buckets, lt_bucket), kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        kept += to->bucket[i] != LT_NONE;
    }
    lt_index_clear(&t->memory, &t->bucket_index, kept);
    t->buckets.bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (to->bucket[i] == LT_NONE) {
            continue;
        }
        lt_bucket b = *LT_AT(t->buckets, lt_bucket, i);
        b.stack = to->stack[b.stack];
        lt_bucket key = b;
        key.allocs = key.live = 0;
        to->bucket[i] = lt_intern_bucket_locked(t, &key);
        lt_bucket *merged = LT_AT(t->buckets, lt_bucket, to->bucket[i]);
        merged->allocs += b.allocs;
        merged->live += b.live;
    }
    lt_vec_truncate(&t->memory, &t->buckets, t->buckets.bytes);
    for (uint32_t i = 0; i < t->live_capacity; i++) {
        if (t->live[i].address != 0) {
            t->live[i].bucket = to->bucket[t->live[i].bucket];
        }
    }
}

static void compact(lt_tables *t, const moves *to) {
    mark(t, to);
    slide_strings(t, to);
    slide(&t->memory, &t->functions, sizeof(lt_function), to->function);
    for (uint32_t i = 0; i < LT_COUNT(t->functions, lt_function); i++) {
        lt_function *f = LT_AT(t->functions, lt_function, i);
        f->name = to->string[f->name];
        f->file = to->string[f->file];
    }
    slide(&t->memory, &t->locations, sizeof(lt_location), to->location);
    for (uint32_t i = 0; i < LT_COUNT(t->locations, lt_location); i++) {
        lt_location *l = LT_AT(t->locations, lt_location, i);
        l->function = to->function[l->function];
    }
    slide_stacks(t, to);
    slide_buckets(t, to);
    lt_reindex_locked(t);
    t->compactions++;
}

/* Double once. The scratch memory comes first, so that a refusal changes nothing. */
static bool thin_once(lt_tables *t) {
    uint32_t buckets = LT_COUNT(t->buckets, lt_bucket), stacks = LT_COUNT(t->stacks, lt_stack),
             locations = LT_COUNT(t->locations, lt_location), functions = LT_COUNT(t->functions, lt_function),
             strings = LT_COUNT(t->strings, lt_string);
    size_t bytes = ((size_t)buckets + stacks + locations + functions + strings + 1) * sizeof(uint32_t);
    uint32_t *scratch = lt_memory_map(&t->memory, bytes);
    if (scratch == NULL) {
        return false;
    }
    memset(scratch, 0xff, bytes);
    moves to = {.bucket = scratch};
    to.stack = to.bucket + buckets;
    to.location = to.stack + stacks;
    to.function = to.location + locations;
    to.string = to.function + functions;

    t->interval = t->interval > 1 ? t->interval * 2 : 1024;
    thin_live(t, t->interval);
    lt_live_shrink_locked(t);
    thin_freed(t, t->interval);
    compact(t, &to);
    lt_memory_unmap(&t->memory, scratch, bytes);
    t->thinned++;
    return true;
}

bool lt_thin_locked(lt_tables *t) {
    size_t tables_budget = t->memory.budget;
    /* A budget that was lowered a moment ago is passed already. */
    t->memory.budget = t->memory.committed <= t->max_bytes / 4 * 3 ? t->max_bytes : SIZE_MAX;
    bool thinned = false;
    while (t->readers == NULL && t->interval < MAX_INTERVAL && thin_once(t)) {
        thinned = true;
        if (lt_is_roomy_locked(t)) {
            break;
        }
    }
    t->memory.budget = tables_budget;
    return thinned;
}

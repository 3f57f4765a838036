/* base/thin.c: what thinning keeps is unbiased, what compaction leaves is whole, and both end. Seeds are fixed; bounds are
 * four standard errors wide. */
#define _GNU_SOURCE
#include "tables.h"

#include <math.h>
#include <sys/resource.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

#define BLOCK(address) ((const void *)(uintptr_t)(address))

/* -- unbiasedness --------------------------------------------------------------------------------------------------- */

enum { SITES = 6, LIVE = 40, FREED = 25, RUNS = 1500 };

static const size_t site_size[SITES] = {1, 64, 1000, 6000, 100 * KIB, 64 * MIB};

static double estimate(const lt_tables *t, uint32_t stack, size_t size, bool live_only) {
    double sum = 0;
    for (uint32_t i = 0; i < LT_COUNT(t->buckets, lt_bucket); i++) {
        const lt_bucket *b = bucket_at(t, i);
        if (b->stack == stack && b->size == size) {
            double p = lt_sampler_probability(b->size, b->interval);
            sum += (double)(live_only ? b->live : b->allocs) / p;
        }
    }
    return sum;
}

typedef struct {
    double sum, squares;
} moments;

static void add(moments *m, double x) {
    m->sum += x;
    m->squares += x * x;
}

static double variance(const moments *m) {
    double mean = m->sum / RUNS;
    return m->squares / RUNS - mean * mean;
}

/* Record fixed numbers of samples, thin, and compare the mean of many runs with the estimate before. */
static void check_unbiased(uint64_t interval, int rounds) {
    moments allocs[SITES] = {0}, live[SITES] = {0};
    double allocs_before[SITES], live_before[SITES];
    lt_tables *t = calloc(1, sizeof(*t));
    for (uint64_t run = 0; run < RUNS; run++) {
        CHECK(lt_tables_reset_locked(t, 2 * MIB, interval, run * 77 + interval));
        uintptr_t address = 0x7f0000000000;
        for (uint32_t i = 0; i < SITES; i++) {
            for (int n = 0; n < LIVE + FREED; n++) {
                CHECK(record(t, address += 48, site_size[i], i));
                if (n % 13 < 5) {
                    CHECK(lt_remove_locked(t, BLOCK(address)) != LT_NONE);
                }
            }
            uint32_t stack = site_stack(t, i, 16, 2);
            allocs_before[i] = estimate(t, stack, site_size[i], false);
            live_before[i] = estimate(t, stack, site_size[i], true);
        }
        for (int round = 0; round < rounds; round++) {
            CHECK(lt_thin_locked(t));
        }
        for (uint32_t i = 0; i < SITES; i++) {
            uint32_t stack = site_stack(t, i, 16, 2); /* may be a new id: compaction dropped the old one */
            add(&allocs[i], estimate(t, stack, site_size[i], false));
            add(&live[i], estimate(t, stack, site_size[i], true));
        }
    }
    for (uint32_t i = 0; i < SITES; i++) {
        double p = lt_sampler_probability(site_size[i], t->interval);
        double kept = p / lt_sampler_probability(site_size[i], interval), binomial = kept * (1 - kept) / (p * p);
        CHECK_NEAR(allocs[i].sum / RUNS, allocs_before[i], 4 * sqrt(binomial * (LIVE + FREED) / RUNS) + 1e-9);
        CHECK_NEAR(live[i].sum / RUNS, live_before[i], 4 * sqrt(binomial * LIVE / RUNS) + 1e-9);
        /* Blocks are kept independently of each other, or the stated standard errors would be too small. */
        if (kept < 0.99) {
            CHECK_NEAR(variance(&live[i]), binomial * LIVE, 0.2 * binomial * LIVE);
            CHECK(variance(&allocs[i]) < 1.2 * binomial * (LIVE + FREED));
        }
    }
    CHECK_EQUAL(t->thinned, rounds);
    delete_tables(t);
}

static void one_doubling_is_unbiased(void) {
    check_unbiased(4096, 1);
}

static void five_doublings_are_unbiased(void) {
    check_unbiased(4096, 5);
}

static void the_step_from_every_block_to_1024_bytes_is_unbiased(void) {
    check_unbiased(1, 1);
}

static void what_was_sampled_at_a_larger_interval_stays(void) {
    lt_tables *t = new_tables(2 * MIB, 65536, 3);
    for (uintptr_t i = 1; i <= 100; i++) {
        CHECK(record(t, i << 4, 100, 0));
    }
    t->interval = 512; /* the user asked for more detail */
    for (uintptr_t i = 101; i <= 200; i++) {
        CHECK(record(t, i << 4, 100, 0));
    }
    CHECK(lt_thin_locked(t));
    CHECK(t->interval == 1024 && LT_COUNT(t->buckets, lt_bucket) == 2);
    CHECK(bucket_at(t, 0)->interval == 65536 && bucket_at(t, 0)->live == 100 && bucket_at(t, 0)->allocs == 100);
    CHECK(bucket_at(t, 1)->interval == 1024 && bucket_at(t, 1)->live > 25 && bucket_at(t, 1)->live < 80);
    check_tables(t);
    delete_tables(t);
}

static void buckets_that_differed_in_their_interval_only_become_one(void) {
    lt_tables *t = new_tables(2 * MIB, 1 << 20, 3);
    uint32_t stack = site_stack(t, 0, 16, 2);
    uintptr_t address = 16;
    for (uint64_t interval = 1; interval <= 1 << 20; interval *= 4, address += 16) {
        CHECK(lt_record_locked(t, BLOCK(address), 64 * MIB, interval, LT_OBJ, stack)); /* too large to be dropped */
    }
    uint32_t before = LT_COUNT(t->buckets, lt_bucket);
    CHECK_EQUAL(before, 11);
    CHECK(lt_thin_locked(t));
    CHECK_EQUAL(LT_COUNT(t->buckets, lt_bucket), 1);
    CHECK(bucket_at(t, 0)->live == before && bucket_at(t, 0)->allocs == before && bucket_at(t, 0)->interval == 2 << 20);
    check_tables(t);
    delete_tables(t);
}

/* -- compaction ----------------------------------------------------------------------------------------------------- */

/* The text of a live block's leaf frame: ids change, this must not. */
static uint32_t site_of(const lt_tables *t, uint32_t bucket) {
    const lt_stack *s = LT_AT(t->stacks, lt_stack, bucket_at(t, bucket)->stack);
    const lt_location *l = LT_AT(t->locations, lt_location, *LT_AT(t->stack_locations, uint32_t, s->offset));
    const lt_function *f = LT_AT(t->functions, lt_function, l->function);
    const lt_string *name = LT_AT(t->strings, lt_string, f->name);
    uint32_t site;
    CHECK_EQUAL(name->bytes, 16);
    memcpy(&site, t->string_bytes.base + name->offset, sizeof(site));
    CHECK_EQUAL(l->line, site); /* frame 0 of site n is on line n */
    return site;
}

static void live_blocks_keep_their_size_and_stack(void) {
    lt_tables *t = new_tables(8 * MIB, 1, 9);
    enum { BLOCKS = 20000 };
    for (uintptr_t i = 1; i <= BLOCKS; i++) {
        CHECK(record(t, i << 4, 500 + i % 700, (uint32_t)(i % 3001)));
        if (i % 3 == 0) {
            lt_remove_locked(t, BLOCK((i - 1) << 4));
        }
    }
    for (int round = 0; round < 6; round++) {
        uint32_t before = t->live_count, strings = LT_COUNT(t->strings, lt_string);
        CHECK(lt_thin_locked(t));
        check_tables(t);
        CHECK(t->live_count < before && (round < 2 || LT_COUNT(t->strings, lt_string) < strings));
        for (uint32_t i = 0; i < t->live_capacity; i++) {
            uintptr_t n = t->live[i].address >> 4;
            if (n != 0) {
                CHECK_EQUAL(bucket_at(t, t->live[i].bucket)->size, 500 + n % 700);
                CHECK_EQUAL(site_of(t, t->live[i].bucket), n % 3001);
            }
        }
        for (uintptr_t i = 1; i <= BLOCKS; i++) { /* go on using them */
            if (i % 7 == (uintptr_t)round) {
                lt_remove_locked(t, BLOCK(i << 4));
            }
        }
        CHECK(record(t, (uintptr_t)(BLOCKS + round + 1) << 4, 500 + (size_t)(BLOCKS + round + 1) % 700,
                     (uint32_t)(BLOCKS + round + 1) % 3001));
    }
    delete_tables(t);
}

static void nothing_is_kept_that_nothing_shows(void) {
    lt_tables *t = new_tables(4 * MIB, 1, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        CHECK(site_stack(t, i, 30, 3) != LT_NONE); /* stacks without a sample */
    }
    CHECK(record(t, 16, 64 * MIB, 5000) && record(t, 32, 64 * MIB, 5001) && record(t, 48, 64 * MIB, 5002));
    lt_tables_after_fork_locked(t, 0);
    lt_remove_locked(t, BLOCK(16)); /* inherited, freed: no column counts it any more */
    lt_remove_locked(t, BLOCK(32));
    CHECK(record(t, 64, 64 * MIB, 5001));
    CHECK(lt_thin_locked(t));
    CHECK_EQUAL(LT_COUNT(t->buckets, lt_bucket), 2);
    CHECK_EQUAL(LT_COUNT(t->stacks, lt_stack), 2);
    CHECK_EQUAL(LT_COUNT(t->locations, lt_location), 4);
    CHECK_EQUAL(LT_COUNT(t->functions, lt_function), 4);
    CHECK_EQUAL(LT_COUNT(t->strings, lt_string), 3);
    check_tables(t);
    delete_tables(t);
}

static void the_indexes_shrink_with_what_they_hold(void) {
    lt_tables *t = new_tables(8 * MIB, 1, 1);
    for (uintptr_t i = 1; i <= 20000; i++) {
        CHECK(record(t, i << 4, 16 + i, 0));
        if (i != 20000) {
            lt_remove_locked(t, BLOCK(i << 4));
        }
    }
    t->interval = 1 << 24;
    CHECK(lt_thin_locked(t));
    CHECK(LT_COUNT(t->buckets, lt_bucket) < 200);
    CHECK_EQUAL(t->bucket_index.capacity, 1024);
    CHECK_EQUAL(t->live_capacity, 1024);
    check_tables(t);
    delete_tables(t);
}

static void ids_found_before_are_declared_void(void) {
    lt_tables *t = new_tables(2 * MIB, 1, 1);
    CHECK(record(t, 16, 100, 0));
    uint32_t before = t->compactions;
    CHECK(lt_thin_locked(t));
    CHECK(t->compactions != before);
    delete_tables(t);
}

/* -- ending --------------------------------------------------------------------------------------------------------- */

typedef bool (*fill_one)(lt_tables *t, uint32_t i);

static bool a_name(lt_tables *t, uint32_t i) {
    uint32_t stack = site_stack(t, i, 1000, 1);
    return stack != LT_NONE && lt_record_locked(t, BLOCK(16), 100, t->interval, LT_OBJ, stack);
}

static bool a_huge_name(lt_tables *t, uint32_t i) {
    return record(t, 16, 64 * MIB, i);
}

static bool a_deep_stack(lt_tables *t, uint32_t i) {
    uint32_t stack = site_stack(t, i, 16, 128);
    return stack != LT_NONE && lt_record_locked(t, BLOCK(16), 100, t->interval, LT_OBJ, stack);
}

/* Little but locations, and blocks that are taken at every interval for long. */
static bool huge_blocks_on_many_lines(lt_tables *t, uint32_t i) {
    uint32_t locations[128], name = lt_intern_string_locked(t, "f", 1);
    uint32_t function = name == LT_NONE ? LT_NONE : lt_intern_function_locked(t, name, name, 1);
    for (uint32_t j = 0; j < 128; j++) {
        locations[j] = function == LT_NONE ? LT_NONE : lt_intern_location_locked(t, function, (int32_t)(128 * i + j));
        if (locations[j] == LT_NONE) {
            return false;
        }
    }
    uint32_t stack = lt_intern_stack_locked(t, locations, 128);
    return stack != LT_NONE && lt_record_locked(t, BLOCK(16), 64 * MIB, t->interval, LT_OBJ, stack);
}

static bool a_small_block(lt_tables *t, uint32_t i) {
    return record(t, (uintptr_t)(i + 1) << 4, 100, 0);
}

static bool a_size(lt_tables *t, uint32_t i) {
    return record(t, 16, 16 + i, 0);
}

/* All of them are taken at every interval up to their size: one doubling frees nothing. */
static bool a_huge_size(lt_tables *t, uint32_t i) {
    return record(t, 16, 64 * MIB + i, 0);
}

static bool a_huge_block(lt_tables *t, uint32_t i) {
    return record(t, (uintptr_t)(i + 1) << 4, 64 * MIB, 0);
}

/* Whatever fills the tables, thinning makes room for more, at the first attempt and again and again. */
static void check_makes_room(fill_one fill) {
    for (size_t max_bytes = 2 * MIB - 384 * KIB; max_bytes <= 8 * MIB; max_bytes *= 2) {
        lt_tables *t = new_tables(max_bytes, 4096, max_bytes);
        uint32_t i = 0;
        for (int round = 0; round < 4; round++) {
            while (fill(t, i)) {
                i++;
                CHECK(t->memory.committed <= t->memory.budget);
            }
            uint64_t interval = t->interval;
            CHECK(lt_thin_locked(t));
            CHECK(t->interval > interval);
            CHECK(t->interval <= UINT64_C(1) << 31); /* no further than it takes */
            check_tables(t);
            CHECK(fill(t, i++));
        }
        delete_tables(t);
    }
}

static void names_make_room(void) {
    check_makes_room(a_name);
    check_makes_room(a_huge_name);
}

static void deep_stacks_make_room(void) {
    check_makes_room(a_deep_stack);
    check_makes_room(huge_blocks_on_many_lines);
}

static void live_blocks_make_room(void) {
    check_makes_room(a_small_block);
    check_makes_room(a_huge_block);
}

static void buckets_make_room(void) {
    check_makes_room(a_size);
    check_makes_room(a_huge_size);
}

static void the_interval_ends_before_it_overflows(void) {
    lt_tables *t = new_tables(2 * MIB, UINT64_C(1) << 49, 1);
    CHECK(record(t, 16, 100, 0));
    CHECK(lt_thin_locked(t));
    CHECK(!lt_thin_locked(t));
    CHECK_EQUAL(t->interval, UINT64_C(1) << 50);
    t->interval = UINT64_MAX; /* a user may ask for it */
    CHECK(!lt_thin_locked(t));
    CHECK_EQUAL(t->interval, UINT64_MAX);
    delete_tables(t);
}

/* -- refusals ------------------------------------------------------------------------------------------------------- */

static lt_tables *filled(void) {
    lt_tables *t = new_tables(2 * MIB, 4096, 1);
    for (uintptr_t i = 1; i < 5000; i++) {
        CHECK(record(t, i << 4, i % 500, (uint32_t)i % 100));
    }
    return t;
}

static void thinning_waits_for_readers(void) {
    lt_tables *t = filled();
    lt_snapshot *snapshot = lt_snapshot_begin(t);
    lt_tables before = *t;
    CHECK(!lt_thin_locked(t));
    CHECK_EQUAL(memcmp(&before, t, sizeof(before)), 0);
    lt_snapshot_end(t, snapshot);
    CHECK(lt_thin_locked(t));
    delete_tables(t);
}

static void without_scratch_memory_nothing_changes(void) {
    lt_tables *t = filled();
    lt_tables before = *t;
    uint64_t allocs = total_allocs(t);
    struct rlimit limit, none;
    CHECK_EQUAL(getrlimit(RLIMIT_AS, &limit), 0);
    none = (struct rlimit){.rlim_cur = 1, .rlim_max = limit.rlim_max};
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &none), 0); /* the kernel refuses every map */
    bool thinned = lt_thin_locked(t), lowered = lt_tables_set_budget_locked(t, 256 * KIB);
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &limit), 0);
    CHECK(!thinned && !lowered);
    CHECK_EQUAL(memcmp(&before, t, sizeof(before)), 0);
    CHECK_EQUAL(total_allocs(t), allocs);
    CHECK(lt_thin_locked(t));
    check_tables(t);
    delete_tables(t);
}

int main(void) {
    static const lt_test tests[] = {
        TEST(one_doubling_is_unbiased),
        TEST(five_doublings_are_unbiased),
        TEST(the_step_from_every_block_to_1024_bytes_is_unbiased),
        TEST(what_was_sampled_at_a_larger_interval_stays),
        TEST(buckets_that_differed_in_their_interval_only_become_one),
        TEST(live_blocks_keep_their_size_and_stack),
        TEST(nothing_is_kept_that_nothing_shows),
        TEST(the_indexes_shrink_with_what_they_hold),
        TEST(ids_found_before_are_declared_void),
        TEST(names_make_room),
        TEST(deep_stacks_make_room),
        TEST(live_blocks_make_room),
        TEST(buckets_make_room),
        TEST(the_interval_ends_before_it_overflows),
        TEST(thinning_waits_for_readers),
        TEST(without_scratch_memory_nothing_changes),
    };
    return RUN_TESTS(tests);
}

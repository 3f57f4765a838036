/* base/tables.c: interning, counting, the live table and its filter, and what a full budget leaves unchanged. */
#define _GNU_SOURCE
#include "tables.h"

enum { KIB = 1024, MIB = 1024 * 1024, BUDGET = 4 * MIB };

#define BLOCK(address) ((const void *)(uintptr_t)(address))

/* -- interning ------------------------------------------------------------------------------------------------------ */

static void equal_strings_have_one_id(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    static char text[5000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)(i * i + i / 256);
    }
    uint32_t ids[300];
    for (size_t bytes = 0; bytes < 300; bytes++) { /* with zeros inside, and prefixes of each other */
        ids[bytes] = lt_intern_string_locked(t, text, bytes);
        CHECK_EQUAL(ids[bytes], bytes);
    }
    CHECK_EQUAL(lt_intern_string_locked(t, text, sizeof(text)), 300);
    for (size_t bytes = 0; bytes < 300; bytes++) {
        CHECK_EQUAL(lt_intern_string_locked(t, text, bytes), ids[bytes]);
    }
    check_tables(t);
    delete_tables(t);
}

static void records_that_differ_in_one_field_have_ids_of_their_own(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    for (uint32_t i = 0; i < 8; i++) {
        lt_intern_string_locked(t, (char[]){(char)i}, 1);
    }
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_EQUAL(lt_intern_function_locked(t, i & 1, i >> 1 & 1, i & 4 ? -1 : 7), i);
        CHECK_EQUAL(lt_intern_location_locked(t, i & 3, i & 4 ? -1 : 7), i);
    }
    const uint32_t locations[] = {1, 2, 1, 2};
    CHECK_EQUAL(lt_intern_stack_locked(t, locations, 0), 0);
    CHECK_EQUAL(lt_intern_stack_locked(t, locations, 1), 1);
    CHECK_EQUAL(lt_intern_stack_locked(t, locations, 2), 2);
    CHECK_EQUAL(lt_intern_stack_locked(t, locations + 1, 2), 3);
    CHECK_EQUAL(lt_intern_stack_locked(t, locations + 2, 2), 2);
    CHECK_EQUAL(lt_intern_stack_locked(t, locations, 4), 4);
    check_tables(t);
    delete_tables(t);
}

static void a_bucket_is_a_stack_size_interval_domain_and_generation(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    uint32_t stacks[] = {site_stack(t, 0, 16, 2), site_stack(t, 1, 16, 2)};
    uintptr_t address = 16;
    for (int repeat = 0; repeat < 2; repeat++) {
        for (int i = 0; i < 16; i++, address += 16) {
            t->generation = (uint32_t)(i >> 3);
            lt_record_locked(t, BLOCK(address), i & 1 ? 100 : 200, i & 2 ? 1 : 4096, i & 4 ? LT_RAW : LT_OBJ,
                             stacks[i & 1]);
        }
    }
    CHECK_EQUAL(LT_COUNT(t->buckets, lt_bucket), 16);
    for (uint32_t i = 0; i < 16; i++) {
        CHECK(bucket_at(t, i)->allocs == 2 && bucket_at(t, i)->live == 2);
    }
    check_tables(t);
    delete_tables(t);
}

/* -- live blocks ---------------------------------------------------------------------------------------------------- */

static void a_block_lives_until_it_is_removed(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(0x1000)), LT_NONE); /* nothing was ever recorded */
    CHECK(record(t, 0x1000, 100, 0) && record(t, 0x2000, 100, 0));
    CHECK(t->live_count == 2 && bucket_at(t, 0)->live == 2 && bucket_at(t, 0)->allocs == 2 && t->samples == 2);
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(0x3000)), LT_NONE);
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(0x1000)), 0);
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(0x1000)), LT_NONE);
    CHECK(t->live_count == 1 && bucket_at(t, 0)->live == 1 && bucket_at(t, 0)->allocs == 2);
    CHECK(t->free_checks == 4 && t->free_hits == 1);
    check_tables(t);
    delete_tables(t);
}

static void restoring_undoes_removing(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    CHECK(record(t, 0x1000, 100, 0));
    uint32_t bucket = lt_remove_locked(t, BLOCK(0x1000));
    CHECK(!lt_filter_maybe_live(t, BLOCK(0x1000)));
    lt_restore_locked(t, BLOCK(0x1000), bucket);
    CHECK(lt_filter_maybe_live(t, BLOCK(0x1000)));
    CHECK(t->live_count == 1 && bucket_at(t, 0)->live == 1 && bucket_at(t, 0)->allocs == 1 && t->samples == 1);
    check_tables(t);
    delete_tables(t);
}

/* As many threads may stand between the two halves of a failing realloc as there are: others fill the room meanwhile. */
static void restoring_into_a_full_table_ends(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    enum { REMOVED = 700 };
    uint32_t buckets[REMOVED];
    for (uintptr_t i = 1; i <= REMOVED; i++) {
        CHECK(record(t, i << 4, 64, 0));
    }
    for (uintptr_t i = 1; i <= REMOVED; i++) {
        buckets[i - 1] = lt_remove_locked(t, BLOCK(i << 4));
    }
    t->memory.budget = 0; /* no growth */
    uintptr_t more = 1 << 20;
    while (record(t, more += 16, 64, 0)) {
    }
    uint32_t before = t->live_count;
    for (uintptr_t i = 1; i <= REMOVED; i++) {
        lt_restore_locked(t, BLOCK(i << 4), buckets[i - 1]);
    }
    CHECK_EQUAL(t->live_count - before + t->lost, REMOVED);
    t->memory.budget = t->max_bytes / 2;
    check_tables(t);
    delete_tables(t);
}

static void an_address_that_returns_replaces_its_stale_entry(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    CHECK(record(t, 0x1000, 100, 0) && record(t, 0x1000, 200, 1));
    CHECK(t->stale == 1 && t->live_count == 1);
    CHECK(bucket_at(t, 0)->live == 0 && bucket_at(t, 0)->allocs == 1 && bucket_at(t, 1)->live == 1);
    CHECK(record(t, 0x1000, 200, 1)); /* into the same bucket */
    CHECK(t->stale == 2 && bucket_at(t, 1)->live == 1 && bucket_at(t, 1)->allocs == 2);
    check_tables(t);
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(0x1000)), 1);
    CHECK(!lt_filter_maybe_live(t, BLOCK(0x1000)));
    delete_tables(t);
}

static void removing_closes_gaps_across_the_end_of_the_table(void) {
    enum { ADDRESSES = 300, STEPS = 20000 };
    lt_tables *t = new_tables(BUDGET, 1, 0);
    uintptr_t addresses[ADDRESSES];
    bool live[ADDRESSES] = {false};
    uintptr_t next = 16;
    for (int i = 0; i < ADDRESSES; next += 16) { /* all at home in the last or the first four slots of 1024 */
        if (((lt_hash_u64(next >> 4) + 4) & 1023) < 8) {
            addresses[i++] = next;
        }
    }
    uint64_t rng = 1;
    for (int step = 0; step < STEPS; step++) {
        uint64_t i = lt_rng_next(&rng) % ADDRESSES;
        if (live[i]) {
            CHECK(lt_remove_locked(t, BLOCK(addresses[i])) != LT_NONE);
        } else {
            CHECK_EQUAL(lt_remove_locked(t, BLOCK(addresses[i])), LT_NONE);
            CHECK(record(t, addresses[i], 64, (uint32_t)(i & 7)));
        }
        live[i] = !live[i];
        if (step % 500 == 0) {
            check_live(t);
        }
    }
    CHECK_EQUAL(t->live_capacity, 1024);
    CHECK_EQUAL(t->stale, 0);
    delete_tables(t);
}

/* -- the filter ----------------------------------------------------------------------------------------------------- */

static uintptr_t same_slot(uintptr_t i) {
    return (i << 38) + 0x40; /* the folded bits are the same */
}

static void a_full_filter_counter_sticks(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    uint32_t slot = lt_filter_slot(BLOCK(same_slot(1)));
    for (uintptr_t i = 1; i <= 300; i++) {
        CHECK_EQUAL(lt_filter_slot(BLOCK(same_slot(i))), slot);
        CHECK(record(t, same_slot(i), 64, 0));
        CHECK_EQUAL(t->filter[slot], i < 255 ? i : 255);
    }
    check_tables(t);
    for (uintptr_t i = 1; i <= 300; i++) {
        CHECK(lt_filter_maybe_live(t, BLOCK(same_slot(i))));
        CHECK(lt_remove_locked(t, BLOCK(same_slot(i))) != LT_NONE);
    }
    CHECK_EQUAL(t->filter[slot], LT_FILTER_STUCK);
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(same_slot(1))), LT_NONE);
    CHECK(lt_tables_reset_locked(t, BUDGET, 1, 0));
    CHECK_EQUAL(t->filter[slot], 0);
    delete_tables(t);
}

static void a_counter_below_the_limit_returns_to_zero(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    uint32_t slot = lt_filter_slot(BLOCK(same_slot(1)));
    for (uintptr_t i = 1; i <= 254; i++) {
        CHECK(record(t, same_slot(i), 64, 0));
    }
    for (uintptr_t i = 1; i <= 254; i++) {
        lt_remove_locked(t, BLOCK(same_slot(i)));
    }
    CHECK_EQUAL(t->filter[slot], 0);
    delete_tables(t);
}

/* -- the budget ----------------------------------------------------------------------------------------------------- */

static void what_the_budget_refuses_changes_nothing(void) {
    for (size_t max_bytes = MIB; max_bytes <= 2 * MIB; max_bytes += 48 * KIB) { /* a different table is in the way each time */
        lt_tables *t = new_tables(max_bytes, 1, 0);
        uint32_t stack = site_stack(t, 0, 16, 2);
        uintptr_t address = 16;
        while (lt_record_locked(t, BLOCK(address), address, 1, LT_OBJ, stack)) {
            address += 16;
        }
        CHECK(address > 1000 * 16);
        lt_tables before = *t;
        CHECK(!lt_record_locked(t, BLOCK(address), address, 1, LT_OBJ, stack));
        CHECK_EQUAL(t->samples, before.samples);
        CHECK_EQUAL(t->live_count, before.live_count);
        CHECK_EQUAL(t->buckets.bytes, before.buckets.bytes);
        CHECK_EQUAL(t->bucket_index.count, before.bucket_index.count);
        CHECK_EQUAL(memcmp((const void *)t->filter, (const void *)before.filter, sizeof(t->filter)), 0);
        check_tables(t);
        delete_tables(t);
    }
}

static void interning_ends_at_the_budget_with_all_records_intact(void) {
    lt_tables *t = new_tables(MIB, 1, 0);
    uint32_t site = 0;
    while (site_stack(t, site, 100, 20) != LT_NONE) {
        site++;
    }
    CHECK(site > 100);
    CHECK_EQUAL(site_stack(t, site, 100, 20), LT_NONE);
    CHECK(site_stack(t, site - 1, 100, 20) != LT_NONE); /* known ones need no room */
    check_tables(t);
    delete_tables(t);
}

/* The record fits, its place in the index does not: neither may stay. */
static void a_refused_index_takes_its_record_back(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    uint32_t n = 0;
    for (; t->string_index.count < 768; n++) { /* three quarters of the first table */
        CHECK(record(t, 16, n, n));
    }
    size_t budget = t->memory.budget;
    t->memory.budget = t->memory.committed;
    CHECK_EQUAL(lt_intern_string_locked(t, "new", 3), LT_NONE);
    for (uint32_t more = n; t->memory.budget == t->memory.committed && more < n + 100; more++) {
        uint32_t file = 0, stack[] = {more};
        lt_intern_function_locked(t, file, file, (int32_t)more);
        lt_intern_location_locked(t, 0, (int32_t)more);
        lt_intern_stack_locked(t, stack, 1);
        lt_record_locked(t, BLOCK(16), more, 1, LT_OBJ, 0);
    }
    check_records(t);
    t->memory.budget = budget;
    CHECK_EQUAL(lt_intern_string_locked(t, "new", 3), 768);
    check_tables(t);
    delete_tables(t);
}

static void a_snapshot_always_fits_beside_full_tables(void) {
    for (int which = 0; which < 2; which++) { /* full of buckets, or of names */
        lt_tables *t = new_tables(MIB, 1, 0);
        uint32_t stack = site_stack(t, 0, 16, 2), n = 1;
        while (which ? site_stack(t, n, 16, 1) != LT_NONE
                     : lt_record_locked(t, BLOCK(16), n, 1, LT_OBJ, stack)) {
            n++;
        }
        lt_snapshot *snapshot = lt_snapshot_begin(t);
        CHECK(snapshot != NULL);
        CHECK_EQUAL(snapshot->count, LT_COUNT(t->buckets, lt_bucket));
        check_memory(t);
        lt_snapshot_end(t, snapshot);
        check_tables(t);
        delete_tables(t);
    }
}

static uint32_t fill(lt_tables *t, uint32_t sizes) {
    uint32_t n = 0;
    for (; n < 200000; n++) {
        if (!record(t, ((uintptr_t)n + 1) << 4, 64 + n % sizes, n % 1000)) {
            break;
        }
    }
    return n;
}

static void a_smaller_budget_is_met_at_once(void) {
    lt_tables *t = new_tables(16 * MIB, 1, 0);
    fill(t, 50000);
    CHECK(t->memory.committed > 4 * MIB);
    uint64_t allocs = total_allocs(t);
    CHECK(lt_tables_set_budget_locked(t, 2 * MIB));
    CHECK(t->memory.committed <= t->memory.budget && t->memory.budget < 2 * MIB && t->max_bytes == 2 * MIB);
    CHECK(t->interval > 1 && t->live_count > 0 && total_allocs(t) < allocs);
    check_tables(t);
    fill(t, 100000); /* the buckets keep to their share of the smaller budget */
    lt_snapshot *snapshot = lt_snapshot_begin(t);
    CHECK(snapshot != NULL);
    check_memory(t);
    lt_snapshot_end(t, snapshot);
    delete_tables(t);
}

static void a_larger_budget_can_be_used(void) {
    lt_tables *t = new_tables(2 * MIB, 1, 0);
    uint32_t before = fill(t, 50000);
    CHECK(lt_tables_set_budget_locked(t, 32 * MIB));
    CHECK_EQUAL(t->interval, 1);
    check_tables(t);
    CHECK(fill(t, 50000) > 4 * before);
    CHECK(t->memory.committed > 4 * MIB);
    check_tables(t);
    delete_tables(t);
}

static void the_same_budget_again_changes_nothing(void) {
    lt_tables *t = new_tables(2 * MIB, 1, 0);
    fill(t, 50000);
    lt_tables before = *t;
    CHECK(lt_tables_set_budget_locked(t, 2 * MIB));
    CHECK_EQUAL(memcmp(&before, t, sizeof(before)), 0);
    delete_tables(t);
}

/* -- beginning anew ------------------------------------------------------------------------------------------------- */

static void a_reset_forgets_everything_but_the_generation(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    fill(t, 100);
    t->generation = 3;
    uint32_t compactions = t->compactions;
    CHECK(lt_tables_reset_locked(t, 2 * BUDGET, 4096, 5));
    CHECK(t->live_count == 0 && t->samples == 0 && t->buckets.bytes == 0 && t->memory.committed == 0);
    CHECK(t->interval == 4096 && t->max_bytes == 2 * BUDGET && t->generation == 3);
    CHECK(t->compactions != compactions); /* ids found before are void */
    for (int i = 0; i < LT_FILTER_SIZE; i++) {
        CHECK_EQUAL(t->filter[i], 0);
    }
    CHECK(record(t, 0x1000, 100, 0));
    CHECK_EQUAL(bucket_at(t, 0)->generation, 3);
    check_tables(t);
    delete_tables(t);
}

/* 64 TiB can be reserved once, not seven times. */
static void a_reset_that_the_kernel_refuses_leaves_usable_empty_tables(void) {
    lt_tables *t = new_tables(BUDGET, 1, 0);
    fill(t, 100);
    CHECK(!lt_tables_reset_locked(t, (size_t)1 << 46, 1, 0));
    CHECK(t->memory.committed == 0 && t->string_bytes.reserved == 0 && t->buckets.reserved == 0);
    CHECK(!record(t, 0x1000, 100, 0));
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(0x1000)), LT_NONE);
    CHECK(!lt_thin_locked(t));
    CHECK(lt_tables_reset_locked(t, BUDGET, 1, 0));
    CHECK(record(t, 0x1000, 100, 0));
    check_tables(t);
    delete_tables(t);
}

static void tables_that_were_never_started_refuse_everything(void) {
    lt_tables *t = calloc(1, sizeof(*t));
    CHECK(!record(t, 0x1000, 100, 0));
    CHECK_EQUAL(lt_remove_locked(t, BLOCK(0x1000)), LT_NONE);
    CHECK(!lt_filter_maybe_live(t, BLOCK(0x1000)));
    CHECK(!lt_thin_locked(t));
    CHECK(lt_snapshot_begin(t) == NULL);
    CHECK_EQUAL(t->lock.state, 0);
    delete_tables(t);
}

int main(void) {
    static const lt_test tests[] = {
        TEST(equal_strings_have_one_id),
        TEST(records_that_differ_in_one_field_have_ids_of_their_own),
        TEST(a_bucket_is_a_stack_size_interval_domain_and_generation),
        TEST(a_block_lives_until_it_is_removed),
        TEST(restoring_undoes_removing),
        TEST(restoring_into_a_full_table_ends),
        TEST(an_address_that_returns_replaces_its_stale_entry),
        TEST(removing_closes_gaps_across_the_end_of_the_table),
        TEST(a_full_filter_counter_sticks),
        TEST(a_counter_below_the_limit_returns_to_zero),
        TEST(what_the_budget_refuses_changes_nothing),
        TEST(interning_ends_at_the_budget_with_all_records_intact),
        TEST(a_refused_index_takes_its_record_back),
        TEST(a_snapshot_always_fits_beside_full_tables),
        TEST(a_smaller_budget_is_met_at_once),
        TEST(a_larger_budget_can_be_used),
        TEST(the_same_budget_again_changes_nothing),
        TEST(a_reset_forgets_everything_but_the_generation),
        TEST(a_reset_that_the_kernel_refuses_leaves_usable_empty_tables),
        TEST(tables_that_were_never_started_refuse_everything),
    };
    return RUN_TESTS(tests);
}

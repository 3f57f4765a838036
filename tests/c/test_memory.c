/* base/memory.c: pages inside a budget, arrays that never move, and the open-addressing index. */
#define _GNU_SOURCE
#include "base/memory.h"
#include "check.h"

#include <string.h>

enum { KIB = 1024, MIB = 1024 * 1024, STEP = 64 * KIB };

/* -- pages ---------------------------------------------------------------------------------------------------------- */

static void pages_are_zeroed_and_accounted(void) {
    lt_memory memory = {.budget = MIB};
    unsigned char *pages = lt_memory_map(&memory, 10000);
    CHECK(pages != NULL);
    CHECK(memory.committed >= 10000 && memory.committed % (size_t)getpagesize() == 0);
    for (int i = 0; i < 10000; i++) {
        CHECK_EQUAL(pages[i], 0);
    }
    lt_memory_unmap(&memory, pages, 10000);
    CHECK_EQUAL(memory.committed, 0);
    CHECK(!is_readable(pages));
}

static void the_budget_is_met_to_the_page(void) {
    lt_memory memory = {.budget = 4 * STEP};
    CHECK(lt_memory_map(&memory, 4 * STEP + 1) == NULL);
    CHECK(lt_memory_map(&memory, SIZE_MAX - STEP) == NULL);
    void *most = lt_memory_map(&memory, 3 * STEP);
    CHECK(lt_memory_map(&memory, STEP + 1) == NULL);
    void *rest = lt_memory_map(&memory, STEP);
    CHECK(most != NULL && rest != NULL);
    CHECK_EQUAL(memory.committed, memory.budget);
    CHECK(lt_memory_map(&memory, 1) == NULL);
    lt_memory_unmap(&memory, most, 3 * STEP);
    lt_memory_unmap(&memory, rest, STEP);
    CHECK_EQUAL(memory.committed, 0);
}

static void a_budget_below_what_is_held_refuses_all_growth(void) {
    lt_memory memory = {.budget = 4 * STEP};
    lt_vec vec = {0};
    CHECK(lt_vec_move(&memory, &vec, 8 * STEP));
    CHECK(lt_vec_extend(&memory, &vec, 3 * STEP) != NULL);
    memory.budget = STEP;
    CHECK(lt_vec_extend(&memory, &vec, 1) == NULL);
    CHECK(lt_memory_map(&memory, 1) == NULL);
    CHECK_EQUAL(vec.bytes, 3 * STEP);
    lt_vec_release(&memory, &vec);
}

static void releasing_nothing_is_allowed(void) {
    lt_memory memory = {.budget = MIB};
    lt_vec vec = {0};
    lt_index index = {0};
    lt_memory_unmap(&memory, NULL, 4096);
    lt_vec_release(&memory, &vec);
    lt_index_release(&memory, &index);
    CHECK_EQUAL(memory.committed, 0);
}

/* -- growable arrays ------------------------------------------------------------------------------------------------ */

static void elements_stay_where_they_are(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_vec vec = {0};
    CHECK(lt_vec_move(&memory, &vec, 8 * MIB));
    char *base = vec.base;
    for (uint32_t i = 0; i < 8 * MIB / 48; i++) {
        char *room = lt_vec_extend(&memory, &vec, 48);
        CHECK(room == base + (size_t)i * 48);
        memset(room, (int)(i % 251), 48);
    }
    for (uint32_t i = 0; i < 8 * MIB / 48; i++) {
        CHECK_EQUAL((unsigned char)base[(size_t)i * 48 + 47], i % 251);
    }
    CHECK_EQUAL(memory.committed, vec.committed);
    lt_vec_release(&memory, &vec);
    CHECK_EQUAL(memory.committed, 0);
    CHECK(!is_readable(base));
}

static void an_array_ends_at_its_reservation(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_vec vec = {0};
    CHECK(lt_vec_move(&memory, &vec, 3 * STEP));
    CHECK(lt_vec_extend(&memory, &vec, 3 * STEP - 1) != NULL);
    CHECK(lt_vec_extend(&memory, &vec, 2) == NULL);
    CHECK_EQUAL(vec.bytes, 3 * STEP - 1);
    CHECK(lt_vec_extend(&memory, &vec, 1) != NULL);
    CHECK(lt_vec_extend(&memory, &vec, 1) == NULL);
    CHECK_EQUAL(memory.committed, 3 * STEP);
    lt_vec_release(&memory, &vec);
}

static void only_what_is_committed_can_be_touched(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_vec vec = {0};
    CHECK(lt_vec_move(&memory, &vec, 4 * STEP));
    CHECK(!is_readable(vec.base));
    lt_vec_extend(&memory, &vec, STEP + 1);
    CHECK(vec.committed > STEP && vec.committed % (size_t)getpagesize() == 0);
    CHECK(is_readable(vec.base + vec.committed - 1) && !is_readable(vec.base + vec.committed));
    lt_vec_truncate(&memory, &vec, STEP);
    CHECK(is_readable(vec.base + STEP - 1) && !is_readable(vec.base + STEP));
    CHECK_EQUAL(memory.committed, STEP);
    lt_vec_release(&memory, &vec);
}

static void what_was_cut_off_comes_back_zeroed(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_vec vec = {0};
    CHECK(lt_vec_move(&memory, &vec, 4 * STEP));
    memset(lt_vec_extend(&memory, &vec, 4 * STEP), 0xff, 4 * STEP);
    lt_vec_truncate(&memory, &vec, 0);
    CHECK_EQUAL(memory.committed, 0);
    const unsigned char *again = lt_vec_extend(&memory, &vec, 4 * STEP);
    for (int i = 0; i < 4 * STEP; i += 509) {
        CHECK_EQUAL(again[i], 0);
    }
    lt_vec_release(&memory, &vec);
}

static void moving_keeps_the_contents_and_the_accounts(void) {
    lt_memory memory = {.budget = 16 * STEP};
    lt_vec vec = {0};
    CHECK(lt_vec_move(&memory, &vec, 4 * STEP));
    memset(lt_vec_extend(&memory, &vec, 3 * STEP), 7, 3 * STEP);
    char *before = vec.base;
    CHECK(lt_vec_move(&memory, &vec, 8 * STEP));
    CHECK(!is_readable(before));
    CHECK_EQUAL(vec.bytes, 3 * STEP);
    CHECK_EQUAL(memory.committed, 3 * STEP);
    for (int i = 0; i < 3 * STEP; i += 509) {
        CHECK_EQUAL(vec.base[i], 7);
    }
    CHECK(lt_vec_extend(&memory, &vec, 5 * STEP) != NULL);
    lt_vec_release(&memory, &vec);
    CHECK_EQUAL(memory.committed, 0);
}

static void a_refused_move_changes_nothing(void) {
    lt_memory memory = {.budget = 5 * STEP};
    lt_vec vec = {0};
    CHECK(lt_vec_move(&memory, &vec, 4 * STEP));
    lt_vec_extend(&memory, &vec, 3 * STEP);
    lt_vec before = vec;
    CHECK(!lt_vec_move(&memory, &vec, 8 * STEP));         /* no room for both at once */
    CHECK(!lt_vec_move(&memory, &vec, (size_t)1 << 60)); /* no address space */
    CHECK_EQUAL(memcmp(&before, &vec, sizeof(vec)), 0);
    CHECK_EQUAL(memory.committed, 3 * STEP);
    lt_vec_release(&memory, &vec);
}

/* -- the index ------------------------------------------------------------------------------------------------------ */

/* The records are the keys themselves. */
static bool same_key(const void *tables, uint32_t id, const void *key) {
    return ((const uint32_t *)tables)[id] == *(const uint32_t *)key;
}

static uint32_t keys[100000];

static void fill(lt_memory *memory, lt_index *index, uint32_t count, uint32_t hash_mask) {
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = i * 7 + 1;
        CHECK(lt_index_insert(memory, index, lt_hash_u64(keys[i]) & hash_mask, i));
    }
}

static void check_holds(const lt_index *index, uint32_t count, uint32_t hash_mask) {
    CHECK_EQUAL(index->count, count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQUAL(lt_index_find(index, lt_hash_u64(keys[i]) & hash_mask, same_key, keys, &keys[i]), i);
    }
    for (uint32_t key = 0; key < 100; key++) { /* terminates where nothing is found */
        uint32_t absent = key * 7;
        CHECK_EQUAL(lt_index_find(index, lt_hash_u64(absent) & hash_mask, same_key, keys, &absent), LT_NONE);
    }
}

static void an_empty_index_finds_nothing(void) {
    lt_index index = {0};
    uint32_t key = 1;
    CHECK_EQUAL(lt_index_find(&index, 1, same_key, keys, &key), LT_NONE);
}

static void what_was_inserted_is_found(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_index index = {0};
    fill(&memory, &index, 100000, UINT32_MAX);
    check_holds(&index, 100000, UINT32_MAX);
    CHECK(index.count <= index.capacity / 4 * 3);
    lt_index_release(&memory, &index);
    CHECK_EQUAL(memory.committed, 0);
}

static void equal_hashes_are_told_apart_by_their_records(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_index index = {0};
    fill(&memory, &index, 3000, 0);
    check_holds(&index, 3000, 0);
    lt_index_release(&memory, &index);
}

static void a_chain_wraps_round_the_end(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_index index = {0};
    for (uint32_t i = 0; i < 500; i++) {
        keys[i] = i;
        CHECK(lt_index_insert(&memory, &index, UINT32_MAX, i));
    }
    for (uint32_t i = 0; i < 500; i++) {
        CHECK_EQUAL(lt_index_find(&index, UINT32_MAX, same_key, keys, &keys[i]), i);
    }
    lt_index_release(&memory, &index);
}

static void a_refused_growth_changes_nothing(void) {
    lt_memory memory = {.budget = 8 * KIB};
    lt_index index = {0};
    memory.budget = 0;
    CHECK(!lt_index_insert(&memory, &index, 1, 1));
    CHECK(index.capacity == 0 && index.count == 0);
    memory.budget = (size_t)getpagesize() * 2; /* the first table, but not the second beside it */
    uint32_t count = 0;
    for (; count < 100000; count++) {
        keys[count] = count * 7 + 1;
        if (!lt_index_insert(&memory, &index, lt_hash_u64(keys[count]), count)) {
            break;
        }
    }
    CHECK(count < 100000);
    uint32_t capacity = index.capacity;
    CHECK(!lt_index_insert(&memory, &index, lt_hash_u64(keys[count]), count));
    CHECK_EQUAL(index.capacity, capacity);
    check_holds(&index, count, UINT32_MAX);
    lt_index_release(&memory, &index);
}

static void clearing_leaves_room_for_as_many_as_asked(void) {
    for (uint32_t count = 0; count < 40000; count = count * 3 + 1) {
        lt_memory memory = {.budget = 16 * MIB};
        lt_index index = {0};
        fill(&memory, &index, 40000, UINT32_MAX);
        uint32_t full_capacity = index.capacity;
        lt_index_clear(&memory, &index, count);
        CHECK_EQUAL(index.count, 0);
        CHECK(index.capacity < full_capacity || count > full_capacity / 8 * 3);
        memory.budget = 0; /* inserting that many needs nothing more */
        fill(&memory, &index, count, UINT32_MAX);
        check_holds(&index, count, UINT32_MAX);
        lt_index_release(&memory, &index);
        CHECK_EQUAL(memory.committed, 0);
    }
}

static void clearing_without_memory_for_a_smaller_table_keeps_the_large_one(void) {
    lt_memory memory = {.budget = 16 * MIB};
    lt_index index = {0};
    fill(&memory, &index, 40000, UINT32_MAX);
    uint32_t capacity = index.capacity;
    memory.budget = memory.committed;
    lt_index_clear(&memory, &index, 10);
    CHECK_EQUAL(index.capacity, capacity);
    fill(&memory, &index, 40000, UINT32_MAX);
    check_holds(&index, 40000, UINT32_MAX);
    lt_index_release(&memory, &index);
}

/* -- hashing -------------------------------------------------------------------------------------------------------- */

static void every_byte_and_the_length_enter_the_hash(void) {
    char text[40] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (size_t bytes = 1; bytes <= 36; bytes++) {
        uint32_t whole = lt_hash_bytes(text, bytes, 0);
        CHECK(whole == lt_hash_bytes(text, bytes, 0));
        CHECK(whole != lt_hash_bytes(text, bytes, 1));
        CHECK(whole != lt_hash_bytes(text, bytes - 1, 0));
        for (size_t i = 0; i < bytes; i++) {
            text[i] ^= 1;
            CHECK(whole != lt_hash_bytes(text, bytes, 0));
            text[i] ^= 1;
        }
    }
    char zeros[16] = {0};
    CHECK(lt_hash_bytes(zeros, 7, 0) != lt_hash_bytes(zeros, 8, 0));
}

static void hashes_spread_over_the_low_bits(void) {
    /* The keys of this program: small integers, and addresses a power of two apart. */
    for (int shift = 0; shift <= 20; shift += 4) {
        static uint32_t counts[1024];
        memset(counts, 0, sizeof(counts));
        for (uint64_t i = 0; i < 65536; i++) {
            counts[lt_hash_u64(i << shift) & 1023]++;
        }
        for (int i = 0; i < 1024; i++) {
            CHECK(counts[i] < 4 * 64);
        }
    }
}

int main(void) {
    static const lt_test tests[] = {
        TEST(pages_are_zeroed_and_accounted),
        TEST(the_budget_is_met_to_the_page),
        TEST(a_budget_below_what_is_held_refuses_all_growth),
        TEST(releasing_nothing_is_allowed),
        TEST(elements_stay_where_they_are),
        TEST(an_array_ends_at_its_reservation),
        TEST(only_what_is_committed_can_be_touched),
        TEST(what_was_cut_off_comes_back_zeroed),
        TEST(moving_keeps_the_contents_and_the_accounts),
        TEST(a_refused_move_changes_nothing),
        TEST(an_empty_index_finds_nothing),
        TEST(what_was_inserted_is_found),
        TEST(equal_hashes_are_told_apart_by_their_records),
        TEST(a_chain_wraps_round_the_end),
        TEST(a_refused_growth_changes_nothing),
        TEST(clearing_leaves_room_for_as_many_as_asked),
        TEST(clearing_without_memory_for_a_smaller_table_keeps_the_large_one),
        TEST(every_byte_and_the_length_enter_the_hash),
        TEST(hashes_spread_over_the_low_bits),
    };
    return RUN_TESTS(tests);
}

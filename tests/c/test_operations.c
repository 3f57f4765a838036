/* Arbitrary operations on the tables, against a shadow that knows what must be live. Bytes are the program: libFuzzer brings
 * its own (clang -DLT_LIBFUZZER -fsanitize=fuzzer,address,undefined), without it they come from a fixed seed. */
#define _GNU_SOURCE
#include "base/pprof.h"
#include "tables.h"

#include <fcntl.h>

enum { MIB = 1024 * 1024, ADDRESSES = 8192, HELD = 3 };

typedef struct {
    const unsigned char *data;
    size_t left;
} program;

static uint32_t next(program *p, uint32_t below) {
    uint32_t value = 0;
    for (uint32_t reach = 1; reach < below && p->left > 0; reach <<= 8, p->data++, p->left--) {
        value = value << 8 | *p->data;
    }
    return value % below;
}

typedef struct {
    bool live;
    size_t size;
    uint32_t site;
} shadow;

typedef struct {
    lt_tables *tables;
    lt_snapshot *held[HELD];
    shadow blocks[ADDRESSES];
    uint64_t recorded; /* since the last reset or thinning */
    int null;
} world;

/* Close together, far apart, and some that share a counter of the filter. */
static const void *address_of(uint32_t i) {
    uintptr_t n = i + 1;
    return (const void *)(i % 3 == 0 ? n << 4 : i % 3 == 1 ? n << 21 : (n << 38) + 64);
}

static uint32_t site_of(const lt_tables *t, const lt_bucket *b) {
    const lt_stack *s = LT_AT(t->stacks, lt_stack, b->stack);
    const lt_location *l = LT_AT(t->locations, lt_location, *LT_AT(t->stack_locations, uint32_t, s->offset));
    return (uint32_t)l->line;
}

/* Thinning may drop live blocks; what it keeps must be what it was. */
static void check_shadow(world *w, bool may_have_dropped) {
    lt_tables *t = w->tables;
    uint32_t live = 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        uint32_t bucket = w->blocks[i].live ? lt_remove_locked(t, address_of(i)) : LT_NONE;
        if (bucket != LT_NONE) {
            CHECK_EQUAL(bucket_at(t, bucket)->size, w->blocks[i].size);
            CHECK_EQUAL(site_of(t, bucket_at(t, bucket)), w->blocks[i].site);
            lt_restore_locked(t, address_of(i), bucket);
            live++;
        } else {
            CHECK(!w->blocks[i].live || may_have_dropped);
            w->blocks[i].live = false;
        }
    }
    CHECK_EQUAL(t->live_count, live); /* and there are no others */
}

static void put(world *w, program *p) {
    lt_tables *t = w->tables;
    uint32_t i = next(p, ADDRESSES), site = next(p, 4096);
    size_t size = (size_t)1 << next(p, 30);
    size += next(p, 4);
    uint32_t stack = site_stack(t, site, 16 + site % 200, 1 + site % 7);
    if (stack == LT_NONE || !lt_record_locked(t, address_of(i), size, t->interval, site % LT_DOMAINS, stack)) {
        if (lt_thin_locked(t)) {
            check_shadow(w, true);
            w->recorded = UINT64_MAX;
        } else {
            CHECK(t->readers != NULL || t->interval >= UINT64_C(1) << 50);
        }
        return;
    }
    w->blocks[i] = (shadow){true, size, site};
    w->recorded += w->recorded != UINT64_MAX;
}

static void take(world *w, program *p, bool restore) {
    uint32_t i = next(p, ADDRESSES);
    uint32_t bucket = lt_remove_locked(w->tables, address_of(i));
    CHECK_EQUAL(bucket != LT_NONE, w->blocks[i].live);
    if (restore && bucket != LT_NONE) {
        lt_restore_locked(w->tables, address_of(i), bucket);
    } else {
        w->blocks[i].live = false;
    }
}

static void snap(world *w, program *p) {
    lt_snapshot **held = &w->held[next(p, HELD)];
    if (*held == NULL) {
        *held = lt_snapshot_begin(w->tables);
    } else {
        static const lt_pprof_header header;
        CHECK_EQUAL(lt_pprof_write(w->tables, *held, &header, w->null), 0);
        lt_snapshot_end(w->tables, *held);
        *held = NULL;
    }
}

static void control(world *w, program *p) {
    lt_tables *t = w->tables;
    uint32_t what = next(p, 5);
    if (what == 0) { /* in the child, whoever read is gone */
        lt_tables_after_fork_locked(t, next(p, 256));
        memset(w->held, 0, sizeof(w->held));
        CHECK(t->readers == NULL && t->copies.committed == 0);
    } else if (what == 1) {
        t->interval = (uint64_t)1 << next(p, 24);
    } else if (t->readers == NULL && what == 2) {
        CHECK(lt_tables_set_budget_locked(t, (size_t)MIB << next(p, 4)));
        check_shadow(w, true);
        w->recorded = UINT64_MAX;
    } else if (t->readers == NULL && what == 3) {
        CHECK(lt_tables_reset_locked(t, (size_t)MIB << next(p, 4), t->interval, next(p, 256)));
        memset(w->blocks, 0, sizeof(w->blocks));
        w->recorded = 0;
    } else if (lt_thin_locked(t)) {
        check_shadow(w, true);
        w->recorded = UINT64_MAX;
    }
}

static void run(const unsigned char *data, size_t bytes) {
    static world w;
    w = (world){.tables = new_tables((size_t)MIB << (bytes % 3), 1, bytes), .null = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    program p = {data, bytes};
    while (p.left > 0) {
        uint32_t what = next(&p, 256);
        if (what < 150) {
            put(&w, &p);
        } else if (what < 240) {
            take(&w, &p, what < 165);
        } else if (what < 253) {
            snap(&w, &p);
        } else {
            control(&w, &p);
        }
    }
    check_shadow(&w, false);
    check_tables(w.tables);
    if (w.recorded != UINT64_MAX) {
        CHECK_EQUAL(total_allocs(w.tables), w.recorded);
    }
    for (int i = 0; i < HELD; i++) {
        if (w.held[i] != NULL) {
            lt_snapshot_end(w.tables, w.held[i]);
        }
    }
    CHECK_EQUAL(w.tables->copies.committed, 0);
    delete_tables(w.tables);
    close(w.null);
}

#ifdef LT_LIBFUZZER
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t bytes) {
    run(data, bytes);
    return 0;
}
#else
static void run_random(uint64_t seed, size_t bytes) {
    unsigned char *data = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (unsigned char)lt_rng_next(&seed);
    }
    run(data, bytes);
    free(data);
}

static void short_programs_keep_the_invariants(void) {
    for (uint64_t seed = 0; seed < 200; seed++) {
        run_random(seed, 10 + seed * 7);
    }
}

static void long_programs_keep_the_invariants(void) {
    for (uint64_t seed = 1000; seed < 1004; seed++) {
        run_random(seed, 100000 + seed);
    }
}

int main(void) {
    static const lt_test tests[] = {TEST(short_programs_keep_the_invariants), TEST(long_programs_keep_the_invariants)};
    return RUN_TESTS(tests);
}
#endif

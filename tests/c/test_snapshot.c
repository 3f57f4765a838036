/* base/snapshot.c: one point in time under load, inside the budget, and what a forked child does with its parent's readers. */
#define _GNU_SOURCE
#include "base/pprof.h"
#include "tables.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { KIB = 1024, MIB = 1024 * 1024, THREADS = 3 };

#define BLOCK(address) ((const void *)(uintptr_t)(address))

static void a_snapshot_stays_as_it_was(void) {
    lt_tables *t = new_tables(4 * MIB, 1, 0);
    for (uintptr_t i = 1; i <= 1000; i++) {
        CHECK(record(t, i << 4, i % 50, (uint32_t)(i % 40)));
    }
    lt_snapshot *s = lt_snapshot_begin(t);
    CHECK(s != NULL);
    check_memory(t);
    CHECK_EQUAL(t->lock.state, 0);
    CHECK_EQUAL(s->count, LT_COUNT(t->buckets, lt_bucket));
    CHECK_EQUAL(memcmp(s->buckets, t->buckets.base, t->buckets.bytes), 0);
    CHECK(s->strings == LT_COUNT(t->strings, lt_string) && s->interval == 1 && s->generation == 0);
    for (uintptr_t i = 1; i <= 1000; i++) {
        lt_remove_locked(t, BLOCK(i << 4));
        CHECK(record(t, (i + 5000) << 4, 100 + i, (uint32_t)(50 + i)));
    }
    uint64_t live = 0;
    for (size_t i = 0; i < s->count; i++) {
        live += s->buckets[i].live;
    }
    CHECK_EQUAL(live, 1000);
    lt_snapshot_end(t, s);
    check_tables(t);
    delete_tables(t);
}

static void snapshots_end_in_any_order(void) {
    lt_tables *t = new_tables(4 * MIB, 1, 0);
    CHECK(record(t, 16, 100, 0));
    for (int order = 0; order < 6; order++) {
        lt_snapshot *all[3];
        for (int i = 0; i < 3; i++) {
            CHECK((all[i] = lt_snapshot_begin(t)) != NULL);
        }
        lt_snapshot_end(t, all[order % 3]);
        CHECK(!lt_thin_locked(t));
        lt_snapshot_end(t, all[(order + 1 + order / 3) % 3]);
        lt_snapshot_end(t, all[(order + 2 - order / 3) % 3]);
        CHECK(t->readers == NULL);
        CHECK_EQUAL(t->copies.committed, 0);
    }
    delete_tables(t);
}

static void without_memory_there_is_no_snapshot_and_no_trace(void) {
    lt_tables *t = new_tables(4 * MIB, 1, 0);
    CHECK(record(t, 16, 100, 0));
    lt_tables before = *t;
    struct rlimit limit, none;
    CHECK_EQUAL(getrlimit(RLIMIT_AS, &limit), 0);
    none = (struct rlimit){.rlim_cur = 1, .rlim_max = limit.rlim_max};
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &none), 0);
    lt_snapshot *s = lt_snapshot_begin(t);
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &limit), 0);
    CHECK(s == NULL);
    CHECK_EQUAL(memcmp(&before, t, sizeof(before)), 0);
    t->copies.budget = 16; /* no room in the budget */
    CHECK(lt_snapshot_begin(t) == NULL);
    delete_tables(t);
}

/* A snapshot that is read, and be it for minutes, must not cost a sample. */
static void a_snapshot_takes_no_room_from_the_tables(void) {
    uint32_t recorded[2];
    for (int with_snapshot = 0; with_snapshot < 2; with_snapshot++) {
        lt_tables *t = new_tables(4 * MIB, 1, 0);
        uint32_t n = 1;
        for (; n < 10000; n++) {
            CHECK(record(t, n << 4, n, 0));
        }
        lt_snapshot *s = with_snapshot ? lt_snapshot_begin(t) : NULL;
        while (record(t, n << 4, n, 0)) {
            n++;
        }
        recorded[with_snapshot] = n;
        check_memory(t);
        if (s != NULL) {
            lt_snapshot_end(t, s);
        }
        delete_tables(t);
    }
    CHECK_EQUAL(recorded[1], recorded[0]);
}

/* -- under load ----------------------------------------------------------------------------------------------------- */

typedef struct {
    lt_tables *tables;
    uint32_t number;
    atomic_bool *stop;
} worker;

/* Blocks come and go in pairs of two stacks, both under one hold of the lock. New sizes keep adding buckets. */
static void *work(void *argument) {
    worker *self = argument;
    lt_tables *t = self->tables;
    uintptr_t base = (uintptr_t)(self->number + 1) << 40;
    for (uint32_t i = 0; !atomic_load(self->stop); i++) {
        uintptr_t address = base + (i % 512) * 32;
        lt_lock_acquire(&t->lock);
        lt_remove_locked(t, BLOCK(address));
        lt_remove_locked(t, BLOCK(address + 16));
        for (uint32_t site = 2 * self->number; site < 2 * self->number + 2; site++, address += 16) {
            CHECK(record(t, address, 1 + i % 5000, site));
        }
        lt_lock_release(&t->lock);
    }
    return NULL;
}

static void start_workers(pthread_t *threads, worker *workers, lt_tables *t, atomic_bool *stop) {
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){t, i, stop};
        CHECK_EQUAL(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (uint64_t samples = 0; samples < 100; usleep(100)) {
        lt_lock_acquire(&t->lock);
        samples = t->samples;
        lt_lock_release(&t->lock);
    }
}

static void join_workers(pthread_t *threads, atomic_bool *stop) {
    atomic_store(stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void check_pairs(const lt_snapshot *s) {
    uint64_t live = 0, allocs = 0;
    for (size_t i = 0; i < s->count; i++) {
        const lt_bucket *b = &s->buckets[i];
        CHECK(b->live <= b->allocs);
        live += b->live;
        allocs += b->allocs;
    }
    CHECK_EQUAL(live % 2, 0);
    CHECK_EQUAL(allocs % 2, 0);
    CHECK(live <= THREADS * 1024);
}

static void a_snapshot_under_load_is_one_point_in_time(void) {
    lt_tables *t = new_tables(16 * MIB, 1, 0);
    atomic_bool stop = false;
    pthread_t threads[THREADS];
    worker workers[THREADS];
    start_workers(threads, workers, t, &stop);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    static const lt_pprof_header header;
    for (int i = 0; i < 40; i++) {
        lt_snapshot *s = lt_snapshot_begin(t);
        CHECK(s != NULL);
        check_pairs(s);
        CHECK_EQUAL(lt_pprof_write(t, s, &header, null), 0); /* reads the interned records without the lock */
        lt_snapshot_end(t, s);
    }
    join_workers(threads, &stop);
    close(null);
    CHECK(t->readers == NULL);
    check_tables(t);
    delete_tables(t);
}

static void *snap(void *argument) {
    worker *self = argument;
    while (!atomic_load(self->stop)) {
        lt_snapshot *s = lt_snapshot_begin(self->tables);
        if (s != NULL) { /* two at once may not fit */
            check_pairs(s);
            lt_snapshot_end(self->tables, s);
        }
    }
    return NULL;
}

static void snapshots_at_the_same_time_do_not_disturb_each_other(void) {
    lt_tables *t = new_tables(8 * MIB, 1, 0);
    atomic_bool stop = false;
    pthread_t threads[THREADS], readers[2];
    worker workers[THREADS], reader = {t, 0, &stop};
    start_workers(threads, workers, t, &stop);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(pthread_create(&readers[i], NULL, snap, &reader), 0);
    }
    usleep(200000);
    join_workers(threads, &stop);
    for (int i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
    }
    check_tables(t);
    delete_tables(t);
}

static void *add_buckets(void *argument) {
    lt_tables *t = argument;
    for (uint32_t i = 0; i < 200000; i++) {
        lt_lock_acquire(&t->lock);
        CHECK(lt_record_locked(t, BLOCK(16), 1000000 + i, 1, LT_OBJ, 0));
        lt_lock_release(&t->lock);
    }
    return NULL;
}

/* The larger the copy, the longer the kernel takes to map it, and the more arrives meanwhile. */
static void a_copy_that_has_become_too_small_is_made_anew(void) {
    lt_tables *t = new_tables(128 * MIB, 1, 0);
    for (uint32_t i = 0; i < 300000; i++) {
        CHECK(record(t, 16, i, 0));
    }
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, add_buckets, t), 0);
    for (size_t count = 0; count < 500000;) {
        lt_snapshot *s = lt_snapshot_begin(t);
        CHECK(s != NULL && s->count >= count);
        count = s->count;
        CHECK_EQUAL(s->buckets[count - 1].allocs, 1);
        memset(s->scratch, 1, lt_snapshot_scratch_bytes(s)); /* all of it is there */
        CHECK((char *)s->scratch + lt_snapshot_scratch_bytes(s) <= (char *)s + s->mapped_bytes);
        lt_snapshot_end(t, s);
    }
    pthread_join(thread, NULL);
    delete_tables(t);
}

/* -- fork ----------------------------------------------------------------------------------------------------------- */

static void check_child(pid_t child) {
    int status = -1;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

static void a_child_gives_back_the_copies_of_readers_left_behind(void) {
    lt_tables *t = new_tables(4 * MIB, 1, 7);
    CHECK(record(t, 16, 100, 0));
    lt_snapshot *first = lt_snapshot_begin(t), *second = lt_snapshot_begin(t);
    CHECK(first != NULL && second != NULL);
    pid_t child = fork();
    if (child == 0) {
        lt_tables_after_fork_locked(t, 1234);
        CHECK(t->readers == NULL);
        CHECK_EQUAL(t->copies.committed, 0);
        CHECK(!is_readable(first) && !is_readable(second));
        CHECK(t->generation == 1 && t->samples == 0 && t->live_count == 1);
        CHECK(record(t, 32, 100, 0));
        CHECK_EQUAL(LT_COUNT(t->buckets, lt_bucket), 2); /* a generation of its own */
        CHECK_EQUAL(lt_remove_locked(t, BLOCK(16)), 0);
        CHECK(lt_thin_locked(t));
        check_tables(t);
        _exit(0);
    }
    check_child(child);
    CHECK(first->count == 1 && second->count == 1);
    lt_snapshot_end(t, first);
    lt_snapshot_end(t, second);
    CHECK_EQUAL(t->generation, 0);
    delete_tables(t);
}

/* As the fork handlers do it, while other threads record and snap. */
static void forking_under_load_leaves_whole_tables_on_both_sides(void) {
    lt_tables *t = new_tables(8 * MIB, 1, 0);
    atomic_bool stop = false;
    pthread_t threads[THREADS], reader_thread;
    worker workers[THREADS], reader = {t, 0, &stop};
    start_workers(threads, workers, t, &stop);
    CHECK_EQUAL(pthread_create(&reader_thread, NULL, snap, &reader), 0);
    for (int i = 0; i < 8; i++) {
        lt_lock_acquire(&t->lock);
        pid_t child = fork();
        if (child == 0) {
            lt_tables_after_fork_locked(t, (uint64_t)i);
            lt_lock_release(&t->lock);
            check_tables(t);
            lt_snapshot *s = lt_snapshot_begin(t);
            CHECK(s != NULL);
            check_pairs(s);
            lt_snapshot_end(t, s);
            CHECK(lt_thin_locked(t));
            check_tables(t);
            _exit(0);
        }
        lt_lock_release(&t->lock);
        check_child(child);
    }
    join_workers(threads, &stop);
    pthread_join(reader_thread, NULL);
    check_tables(t);
    delete_tables(t);
}

int main(void) {
    static const lt_test tests[] = {
        TEST(a_snapshot_stays_as_it_was),
        TEST(snapshots_end_in_any_order),
        TEST(a_snapshot_takes_no_room_from_the_tables),
        TEST(without_memory_there_is_no_snapshot_and_no_trace),
        TEST(a_snapshot_under_load_is_one_point_in_time),
        TEST(snapshots_at_the_same_time_do_not_disturb_each_other),
        TEST(a_copy_that_has_become_too_small_is_made_anew),
        TEST(a_child_gives_back_the_copies_of_readers_left_behind),
        TEST(forking_under_load_leaves_whole_tables_on_both_sides),
    };
    return RUN_TESTS(tests);
}

/* base/lock.c: exclusion, sleep and wake-up, and what a lock inside an allocator hook must leave alone. */
#define _GNU_SOURCE
#include "base/lock.h"
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

enum { THREADS = 4, ROUNDS = 50000 };

static lt_lock lock;
static long guarded;

static void *increment(void *unused) {
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        lt_lock_acquire(&lock);
        guarded = guarded + 1;
        lt_lock_release(&lock);
    }
    return NULL;
}

static void only_one_thread_holds_it(void) {
    pthread_t threads[THREADS];
    guarded = 0;
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQUAL(pthread_create(&threads[i], NULL, increment, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQUAL(guarded, THREADS * ROUNDS);
    CHECK_EQUAL(lock.state, 0);
}

static void wait_until_somebody_sleeps(void) {
    while (atomic_load(&lock.state) != 2) {
        sched_yield();
    }
    usleep(2000); /* from the announcement into the futex */
}

static void every_sleeper_is_woken(void) {
    pthread_t threads[THREADS];
    guarded = 0;
    lt_lock_acquire(&lock);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQUAL(pthread_create(&threads[i], NULL, increment, NULL), 0);
    }
    wait_until_somebody_sleeps();
    CHECK_EQUAL(guarded, 0);
    lt_lock_release(&lock);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQUAL(guarded, THREADS * ROUNDS);
}

static void ignore(int signal_number) {
    (void)signal_number;
}

static void *acquire_and_report_errno(void *seen) {
    errno = 12345;
    lt_lock_acquire(&lock);
    lt_lock_release(&lock);
    *(int *)seen = errno;
    return NULL;
}

/* A hook runs inside PyMem_Free, after which C code may still read the errno of what failed before it. */
static void waiting_keeps_errno(void) {
    struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART: the futex returns EINTR */
    sigaction(SIGUSR1, &action, NULL);
    pthread_t thread;
    int seen = 0;
    lt_lock_acquire(&lock);
    CHECK_EQUAL(pthread_create(&thread, NULL, acquire_and_report_errno, &seen), 0);
    for (int i = 0; i < 20; i++) {
        wait_until_somebody_sleeps();
        pthread_kill(thread, SIGUSR1);
    }
    lt_lock_release(&lock);
    pthread_join(thread, NULL);
    CHECK_EQUAL(seen, 12345);
}

/* As the fork handlers use it: taken before, released on both sides, with a waiter that exists in the parent only. */
static void a_child_can_release_what_its_parent_took(void) {
    pthread_t thread;
    int seen = 0;
    lt_lock_acquire(&lock);
    CHECK_EQUAL(pthread_create(&thread, NULL, acquire_and_report_errno, &seen), 0);
    wait_until_somebody_sleeps();
    pid_t child = fork();
    if (child == 0) {
        lt_lock_release(&lock);
        lt_lock_acquire(&lock);
        lt_lock_release(&lock);
        _exit(atomic_load(&lock.state) == 0 ? 0 : 1);
    }
    lt_lock_release(&lock);
    pthread_join(thread, NULL);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQUAL(status, 0);
}

int main(void) {
    static const lt_test tests[] = {TEST(only_one_thread_holds_it), TEST(every_sleeper_is_woken),
                                    TEST(waiting_keeps_errno), TEST(a_child_can_release_what_its_parent_took)};
    return RUN_TESTS(tests);
}

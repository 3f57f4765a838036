/* The little that a C test needs: checks that say what they saw, and a list of tests run in order. */
#ifndef LT_TESTS_CHECK_H
#define LT_TESTS_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: expected %s\n", __FILE__, __LINE__, __func__, #condition);                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define CHECK_EQUAL(got, expected)                                                                                     \
    do {                                                                                                               \
        long long got_ = (long long)(got), expected_ = (long long)(expected);                                          \
        if (got_ != expected_) {                                                                                       \
            fprintf(stderr, "%s:%d: %s: %s is %lld, expected %lld\n", __FILE__, __LINE__, __func__, #got, got_,        \
                    expected_);                                                                                        \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define CHECK_NEAR(got, expected, tolerance)                                                                           \
    do {                                                                                                               \
        double got_ = (double)(got), expected_ = (double)(expected), off_ = got_ - expected_;                          \
        if (!((off_ < 0 ? -off_ : off_) <= (tolerance))) {                                                             \
            fprintf(stderr, "%s:%d: %s: %s is %g, expected %g within %g\n", __FILE__, __LINE__, __func__, #got, got_,  \
                    expected_, (double)(tolerance));                                                                   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Whether the kernel can read the byte: write(2) answers EFAULT where we would crash. */
static inline bool is_readable(const void *byte) {
    int ends[2];
    CHECK_EQUAL(pipe(ends), 0);
    bool readable = write(ends[1], byte, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return readable;
}

typedef struct {
    const char *name;
    void (*run)(void);
} lt_test;

#define TEST(name) {#name, name}

/* A test that hangs is killed by the alarm; the name printed last is the one. */
static inline int run_tests(const lt_test *tests, size_t count) {
    for (size_t i = 0; i < count; i++) {
        alarm(120);
        printf("  %s", tests[i].name);
        fflush(stdout);
        tests[i].run();
        printf(": ok\n");
    }
    return 0;
}

#define RUN_TESTS(tests) run_tests(tests, sizeof(tests) / sizeof(*(tests)))

#endif

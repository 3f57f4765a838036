/* base/sampler.c: the distribution of what is sampled. Seeds are fixed, so that a result is the same at every run; bounds
 * are four standard deviations wide. */
#include "base/sampler.h"
#include "check.h"

#include <math.h>
#include <stdbool.h>

enum { KIB = 1024, MIB = 1024 * 1024, DEFAULT_INTERVAL = 512 * KIB };

typedef struct {
    uint64_t rng, interval;
    int64_t countdown;
} stream;

static stream start(uint64_t seed, uint64_t interval) {
    stream s = {.rng = seed, .interval = interval};
    s.countdown = lt_sampler_draw(&s.rng, interval);
    return s;
}

/* What the hooks do with a block. */
static bool take(stream *s, uint64_t size) {
    s->countdown -= (int64_t)(size ? size : 1);
    if (s->countdown >= 0) {
        return false;
    }
    s->countdown = lt_sampler_draw(&s->rng, s->interval);
    return true;
}

static void check_share(uint64_t size, uint64_t interval, uint64_t seed, int blocks) {
    stream s = start(seed, interval);
    int taken = 0;
    for (int i = 0; i < blocks; i++) {
        taken += take(&s, size);
    }
    double p = 1.0 - exp(-(double)(size ? size : 1) / (double)interval);
    CHECK_NEAR(taken, blocks * p, 4 * sqrt(blocks * p * (1 - p)) + 1e-6);
}

static void a_block_is_taken_with_the_stated_probability(void) {
    static const uint64_t sizes[] = {
        512, 4 * KIB, 64 * KIB, 256 * KIB, 512 * KIB, MIB, 3 * MIB, 8 * MIB, 16 * MIB, 64 * MIB};
    for (uint64_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        check_share(sizes[i], DEFAULT_INTERVAL, i, sizes[i] < 64 * KIB ? 2000000 : 200000);
    }
}

static void small_intervals_are_as_exact(void) {
    for (uint64_t interval = 2; interval <= 64; interval *= 2) {
        for (uint64_t size = 0; size <= 4 * interval; size += 1 + size / 2) {
            check_share(size, interval, interval * 1000 + size, 200000);
        }
    }
}

static void a_mixed_stream_takes_each_size_with_its_own_probability(void) {
    static const uint64_t sizes[] = {64 * KIB, MIB, 32 * KIB, 128 * KIB};
    double expected[4], taken[4] = {0};
    stream s = start(7, DEFAULT_INTERVAL);
    enum { ROUNDS = 200000 };
    for (int i = 0; i < 4 * ROUNDS; i++) {
        taken[i % 4] += take(&s, sizes[i % 4]);
    }
    for (int i = 0; i < 4; i++) {
        double p = lt_sampler_probability(sizes[i], DEFAULT_INTERVAL);
        expected[i] = ROUNDS * p;
        CHECK_NEAR(taken[i], expected[i], 4 * sqrt(expected[i] * (1 - p)));
    }
}

/* The block after a sample must be as likely to be one as any other. */
static void the_sampler_has_no_memory(void) {
    for (uint64_t size = 64 * KIB; size <= 2 * MIB; size *= 2) {
        stream s = start(size, DEFAULT_INTERVAL);
        double p = lt_sampler_probability(size, DEFAULT_INTERVAL);
        int after[2] = {0}, taken_after[2] = {0};
        bool before = false;
        for (int i = 0; i < 400000; i++) {
            bool now = take(&s, size);
            after[before]++;
            taken_after[before] += now;
            before = now;
        }
        for (int i = 0; i < 2; i++) {
            CHECK_NEAR(taken_after[i], after[i] * p, 4 * sqrt(after[i] * p * (1 - p)));
        }
    }
}

static void redrawing_at_any_moment_changes_no_probability(void) {
    enum { SIZE = 100 * KIB, BLOCKS = 400000 };
    stream s = start(11, DEFAULT_INTERVAL);
    int taken = 0;
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 3 == 0) {
            s.countdown = lt_sampler_draw(&s.rng, s.interval);
        }
        taken += take(&s, SIZE);
    }
    double p = lt_sampler_probability(SIZE, DEFAULT_INTERVAL);
    CHECK_NEAR(taken, BLOCKS * p, 4 * sqrt(BLOCKS * p * (1 - p)));
}

static void estimates_are_unbiased_and_as_wide_as_stated(void) {
    enum { RUNS = 2000, BLOCKS = 400, SIZE = 96 * KIB };
    double p = lt_sampler_probability(SIZE, DEFAULT_INTERVAL), sum = 0, squares = 0;
    int covered = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        stream s = start(run << 20, DEFAULT_INTERVAL);
        int taken = 0;
        for (int i = 0; i < BLOCKS; i++) {
            taken += take(&s, SIZE);
        }
        double estimate = taken / p;
        sum += estimate;
        squares += (estimate - BLOCKS) * (estimate - BLOCKS);
        covered += fabs(estimate - BLOCKS) <= 1.96 * sqrt(taken * (1 - p)) / p;
    }
    double deviation = sqrt(BLOCKS * (1 - p) / p);
    CHECK_NEAR(sum / RUNS, BLOCKS, 4 * deviation / sqrt(RUNS));
    CHECK_NEAR(sqrt(squares / RUNS), deviation, 0.07 * deviation);
    CHECK(covered >= 0.93 * RUNS && covered <= 0.97 * RUNS);
}

static void the_distances_are_exponential(void) {
    enum { DRAWS = 1000000, BINS = 32 };
    int counts[BINS] = {0};
    uint64_t rng = 3;
    double sum = 0;
    for (int i = 0; i < DRAWS; i++) {
        int64_t bytes = lt_sampler_draw(&rng, DEFAULT_INTERVAL);
        CHECK(bytes >= 0);
        sum += (double)bytes;
        int bin = (int)((1 - exp(-(double)bytes / DEFAULT_INTERVAL)) * BINS);
        counts[bin < BINS ? bin : BINS - 1]++;
    }
    CHECK_NEAR(sum / DRAWS, DEFAULT_INTERVAL - 0.5, 4.0 * DEFAULT_INTERVAL / sqrt(DRAWS));
    double chi_square = 0, expected = (double)DRAWS / BINS;
    for (int i = 0; i < BINS; i++) {
        chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    CHECK_NEAR(chi_square, BINS - 1, 4 * sqrt(2.0 * (BINS - 1)));
}

static void interval_1_takes_every_block(void) {
    stream s = start(1, 1);
    for (uint64_t size = 0; size < 10000; size++) {
        CHECK(take(&s, size));
    }
    CHECK(lt_sampler_probability(1, 1) == 1.0 && lt_sampler_probability(SIZE_MAX, 1) == 1.0);
}

static void probabilities_keep_their_precision_at_both_ends(void) {
    CHECK_NEAR(lt_sampler_probability(1, 1000000000000) * 1e12, 1.0, 1e-9); /* 1 - exp(-x) would have lost it */
    CHECK(lt_sampler_probability(64 * MIB, DEFAULT_INTERVAL) == 1.0);
    CHECK(lt_sampler_probability(SIZE_MAX, UINT64_MAX) > 0.6);
    CHECK(lt_sampler_probability(0, 100) == lt_sampler_probability(1, 100));
    for (uint64_t size = 1; size < UINT64_C(1) << 40; size *= 3) {
        CHECK(lt_sampler_probability(size + 1, DEFAULT_INTERVAL) >= lt_sampler_probability(size, DEFAULT_INTERVAL));
        CHECK(lt_sampler_probability(size, DEFAULT_INTERVAL) >= lt_sampler_probability(size, 2 * DEFAULT_INTERVAL));
        CHECK(lt_sampler_probability(size, DEFAULT_INTERVAL) > 0);
    }
}

static void a_draw_never_passes_the_parked_mark(void) {
    uint64_t rng = 5;
    for (int i = 0; i < 10000; i++) {
        int64_t bytes = lt_sampler_draw(&rng, i % 2 ? UINT64_MAX : INT64_MAX);
        CHECK(bytes >= 0 && bytes <= LT_PARKED);
    }
}

static void equal_seeds_draw_alike_and_others_do_not(void) {
    uint64_t a = 42, b = 42, c = 43;
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t drawn = lt_sampler_draw(&a, DEFAULT_INTERVAL);
        CHECK_EQUAL(drawn, lt_sampler_draw(&b, DEFAULT_INTERVAL));
        equal += drawn == lt_sampler_draw(&c, DEFAULT_INTERVAL);
    }
    CHECK(equal < 5);
}

static void uniform_draws_stay_below_1(void) {
    uint64_t rng = 9;
    double sum = 0;
    for (int i = 0; i < 1000000; i++) {
        double u = lt_rng_uniform(&rng);
        CHECK(u >= 0 && u < 1);
        sum += u;
    }
    CHECK_NEAR(sum / 1000000, 0.5, 4 * sqrt(1.0 / 12 / 1000000));
}

int main(void) {
    static const lt_test tests[] = {
        TEST(a_block_is_taken_with_the_stated_probability),
        TEST(small_intervals_are_as_exact),
        TEST(a_mixed_stream_takes_each_size_with_its_own_probability),
        TEST(the_sampler_has_no_memory),
        TEST(redrawing_at_any_moment_changes_no_probability),
        TEST(estimates_are_unbiased_and_as_wide_as_stated),
        TEST(the_distances_are_exponential),
        TEST(interval_1_takes_every_block),
        TEST(probabilities_keep_their_precision_at_both_ends),
        TEST(a_draw_never_passes_the_parked_mark),
        TEST(equal_seeds_draw_alike_and_others_do_not),
        TEST(uniform_draws_stay_below_1),
    };
    return RUN_TESTS(tests);
}

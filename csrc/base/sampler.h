/* Poisson sampling of allocated bytes, one countdown a thread.
 *
 * The distance to the next sampled byte is exponential with mean `interval`; the block that holds that byte is the sample.
 * A block of s bytes is therefore kept with p = 1 - exp(-s / interval), independently of all others, and the estimator
 * 1/p (Horvitz-Thompson) is unbiased for counts, s/p for bytes. Because the distribution has no memory a countdown may be
 * redrawn at any moment that does not depend on what is about to be allocated: new settings, a fork.
 * Source: Go runtime/malloc.go nextSample; tcmalloc sampler.
 */
#ifndef LT_SAMPLER_H
#define LT_SAMPLER_H

#include <stdint.h>

/* State of one thread, in static TLS: no constructor, no destructor, all zero at first use. */
typedef struct {
    int64_t countdown;  /* bytes before the next sampled one; the block that takes it below 0 is the sample */
    uint32_t epoch;     /* of the settings that `countdown` was drawn under; 0 never matches */
    uint8_t origin;     /* whose request the next one in the RAW domain is; the hooks say */
    uint8_t busy;       /* inside the tables' lock: touch nothing */
    uint8_t bypass;     /* this thread's allocations are not counted */
    uint8_t probe;      /* the next sample answers a self-test instead of being recorded */
    uint8_t guarded;    /* every block is counted, for an allocation guard and not for the heap profile */
    uint64_t interval;  /* mean of the draw, 0 when parked */
    uint64_t rng;
} lt_thread;

/* Bytes after which a parked thread looks in again; large enough to cost nothing. */
#define LT_PARKED (INT64_MAX / 2)

uint64_t lt_rng_next(uint64_t *state);
/* Uniform in [0, 1). */
double lt_rng_uniform(uint64_t *state);

/* Draw the next countdown; interval 1 yields 0, so that every block is taken. Never above LT_PARKED. */
int64_t lt_sampler_draw(uint64_t *rng, uint64_t interval);

/* p = 1 - exp(-size / interval), exactly 1 at interval 1; `size` 0 counts as 1 byte. */
double lt_sampler_probability(uint64_t size, uint64_t interval);

#endif

#include "base/sampler.h"

#include <math.h>

/* splitmix64: one word of state, no lock, passes BigCrush. */
uint64_t lt_rng_next(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

double lt_rng_uniform(uint64_t *state) {
    return (double)(lt_rng_next(state) >> 11) * 0x1p-53;
}

int64_t lt_sampler_draw(uint64_t *rng, uint64_t interval) {
    if (interval <= 1) {
        return 0;
    }
    double bytes = -log(1.0 - lt_rng_uniform(rng)) * (double)interval;
    /* A block is taken when the countdown falls below 0, so rounding down keeps P(taken) = P(X < s) exact. */
    return bytes >= (double)LT_PARKED ? LT_PARKED : (int64_t)bytes;
}

double lt_sampler_probability(uint64_t size, uint64_t interval) {
    if (interval <= 1) {
        return 1.0;
    }
    return -expm1(-(double)(size ? size : 1) / (double)interval);
}

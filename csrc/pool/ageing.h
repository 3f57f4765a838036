/* How what lies idle in a pool grows old. One lt_ageing an interpreter, in the module's state; the GIL protects all of it.
 *
 * An epoch ends when a full collection starts, under memory pressure, and after a while on the clock: one increment and one
 * pending call, whatever the number of pools. A pool that sees it is behind catches up by itself:
 *
 *     lt_age_check(&self->age);    first thing in get and put: one load and one compare when nothing happened
 *
 * The pending call visits the pools that nobody uses. */
#ifndef LT_POOL_AGEING_H
#define LT_POOL_AGEING_H

#include <Python.h>

typedef struct lt_age lt_age;
typedef struct lt_ageing lt_ageing;

/* What every kind of pool embeds. */
struct lt_age {
    lt_ageing *ageing;
    uint64_t seen_epoch;
    lt_age *next, *previous; /* the ring of the interpreter's pools */
    /* One epoch behind: items become victims, the old victims go. Two or more: both go. Then seen_epoch is up to date.
     * It takes what goes out of the pool before it destroys any of it, because destroying may call the pool. Never fails. */
    void (*catch_up)(lt_age *age);
};

struct lt_ageing {
    uint64_t epoch;
    lt_age pools; /* the ring's anchor */
    void *private_state; /* ageing.c's own */
};

/* Add a pool; the first one of an interpreter adds the collector's callback. -1 with an exception set. */
int lt_age_join(lt_ageing *ageing, lt_age *age, void (*catch_up)(lt_age *age));

/* Take a pool out, from its tp_dealloc. A pool that never joined (next == NULL) is ignored. */
void lt_age_leave(lt_age *age);

static inline void lt_age_check(lt_age *age) {
    if (age->seen_epoch != age->ageing->epoch) {
        age->catch_up(age);
    }
}

#endif

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

#include <stdbool.h>
#include <stdint.h>

typedef struct lt_age lt_age;
typedef struct lt_ageing lt_ageing;

/* What every kind of pool embeds. */
struct lt_age {
    lt_ageing *ageing; /* in the state of the module, which the pool holds a reference to */
    uint64_t seen_epoch;
    lt_age *next, *previous; /* the ring of the interpreter's pools */
    PyObject *pool;          /* the object that embeds this; borrowed */
    /* One epoch behind: items become victims, the old victims go. Two or more: both go. Then seen_epoch is up to date.
     * It takes what goes out of the pool before it destroys any of it, because destroying may call the pool. Never fails. */
    void (*catch_up)(lt_age *age);
};

struct lt_ageing {
    uint64_t epoch;
    lt_age pools;                    /* the ring's anchor */
    PyObject *module;                /* whose state this is; borrowed */
    PyObject *generation;            /* "generation", a key of what the collector tells its callbacks */
    uint64_t deadline_ns, period_ns; /* the timer, on the coarse clock */
    bool is_watching;                /* the collector: since the first pool */
    bool is_main;                    /* of the main interpreter, the only one that has pending calls */
    bool is_asked;                   /* a pending call is */
    bool is_due;                     /* pools are to be visited */
};

/* Add a pool, at the end of its tp_new; the first one of an interpreter adds the collector's callback.
 * -1 with an exception set. */
int lt_age_join(lt_ageing *ageing, lt_age *age, PyObject *pool, void (*catch_up)(lt_age *age));

/* Take a pool out, first thing in its tp_dealloc. A pool that never joined (next == NULL) is ignored. */
void lt_age_leave(lt_age *age);

static inline bool lt_age_is_behind(const lt_age *age) {
    return age->seen_epoch != age->ageing->epoch;
}

static inline void lt_age_check(lt_age *age) {
    if (lt_age_is_behind(age)) {
        age->catch_up(age);
    }
}

/* One get in so many reads the clock, which costs a quarter of a hit. A get that finds nothing reads it too. */
enum { LT_GETS_PER_TICK = 16 };

/* Begin an epoch if the timer ran out: a read of the coarse clock. For get, where it costs little beside the rest. */
void lt_ageing_tick(lt_ageing *ageing);

/* For the module: its state starts as zeroed memory. -1 with an exception set. */
int lt_ageing_init(lt_ageing *ageing, PyObject *module);
void lt_ageing_free(lt_ageing *ageing);
extern PyMethodDef lt_ageing_methods[];

#endif

/* What is seen of the collector: one callable in gc.callbacks of the main interpreter, and a ring of the last collections.
 *
 * Everything here is protected by that interpreter's GIL. Nothing is allocated while the collector runs, but by CPython's own
 * sys.getallocatedblocks(), for the int that it returns. */
#ifndef LT_GCWATCH_H
#define LT_GCWATCH_H

#include "core/compat.h"

enum { LT_GC_RING = 4096, LT_GC_CALLER_BYTES = 256, LT_GC_GENERATIONS = 3, LT_GC_UNREAD = -1 };

/* In the order of record.CAUSES. */
typedef enum {
    LT_GC_YOUNG,
    LT_GC_FULL,
    LT_GC_SAFEPOINT,
    LT_GC_IDLE,
    LT_GC_GROWTH,
    LT_GC_LIMIT,
    LT_GC_EXPLICIT,
    LT_GC_SHUTDOWN,
    LT_GC_CAUSES
} lt_gc_cause;

/* The fields of record.Collection; what was not read is LT_GC_UNREAD. */
typedef struct {
    uint64_t number;
    int64_t start_ns, pause_ns, predicted_ns;
    Py_ssize_t scanned, freed, uncollectable;
    Py_ssize_t long_lived, pending;
    Py_ssize_t blocks_before, blocks_after, goal_blocks, rss_bytes, frozen;
    int counts[LT_GC_GENERATIONS], thresholds[LT_GC_GENERATIONS];
    int requests;
    uint8_t generation, cause;
    bool in_request, has_caller;
} lt_gc_record;

typedef struct {
    PyObject *callable, *lifeline; /* what is in gc.callbacks, which alone holds it, and what tells of its end; borrowed */

    /* What we need of Python, held from the first watch on. */
    PyObject *generation, *collected, *uncollectable, *candidates, *active;
    PyObject *allocated_blocks, *freeze, *unfreeze;
    lt_collector *collector; /* NULL: its fields are not known */

    /* What we have seen. */
    uint64_t last; /* number of the newest record; 0 before the first */
    int64_t began_ns, read_ns;
    uint64_t collections[LT_GC_GENERATIONS];
    int64_t pause_ns[LT_GC_GENERATIONS];

    /* The collection that runs. */
    bool is_open, is_vetoed;
    lt_gc_record open;

    /* What we have been told. */
    lt_gc_cause announced; /* LT_GC_CAUSES: nothing */
    unsigned long announced_by;
    int64_t predicted_ns;
    Py_ssize_t goal_blocks;
    int requests;
    PyObject *request_variable;
    bool has_guard;
    int64_t deadline_ns; /* of the watchdog; 0: off */
    int deadline_thresholds[LT_GC_GENERATIONS];
    bool has_barked;
    PyObject *tick;
    bool is_tick_asked;
    int64_t tick_ns;
} lt_gc_watch;

extern __attribute__((visibility("hidden"))) lt_gc_watch lt_gc;

int64_t lt_gc_now_ns(void);

/* Where in gc.callbacks our callable is; -1 where it is not. */
Py_ssize_t lt_gc_place_in(PyObject *list);

/* Copy the record with this number and its caller. False when it has been overwritten, or is still to come. */
bool lt_gc_copy(uint64_t number, lt_gc_record *record, char *caller);

/* Objects in the permanent generation; LT_GC_UNREAD when the walk would take longer than `patience_ns`. */
Py_ssize_t lt_gc_frozen(int64_t patience_ns);

/* Undo a veto whose end we were not told of. */
void lt_gc_end_veto(void);

/* A child of a fork begins anew: another process, another trace. */
void lt_gc_begin_anew(void);

/* What goes into gc.callbacks; a new reference, to be known as lt_gc.callable. */
PyObject *lt_gc_new_callable(void);

#endif

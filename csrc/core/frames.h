/* The Python stack of the calling thread, read from inside an allocator hook. */
#ifndef LT_FRAMES_H
#define LT_FRAMES_H

#include "core/compat.h"

enum { LT_MAX_FRAMES = 1024 };

extern const size_t lt_frames_fixed_bytes;

typedef struct {
    PyCodeObject *code; /* borrowed: the frame that runs it is ours and on the stack */
    int32_t lasti;
} lt_position;

typedef struct {
    int depth;
    bool is_native;    /* no Python thread state: nothing to walk */
    bool is_truncated; /* more frames than asked for */
} lt_walk;

/* Fill `positions` leaf first with at most `max_frames`. Reads fields only. */
lt_walk lt_frames_walk_inhook(lt_domain domain, lt_position *positions, int max_frames);

/* Intern a walked stack, from its positions and the markers for what is missing. LT_NONE when the budget is exhausted. */
uint32_t lt_frames_intern_locked(lt_tables *tables, lt_walk walk, const lt_position *positions);

#endif

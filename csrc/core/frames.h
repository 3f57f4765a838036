/* The Python stack of the calling thread, read from inside an allocator hook. */
#ifndef LT_FRAMES_H
#define LT_FRAMES_H

#include "core/compat.h"

/* Longer names are cut: they are generated ones. */
enum { LT_MAX_FRAMES = 1024, LT_LOCATION_CACHE_SIZE = 8192, LT_NAME_BYTES = 1024 };

typedef struct {
    PyCodeObject *code; /* borrowed: the frame that runs it is ours and on the stack */
    int32_t lasti;
} lt_position;

/* A position and its location. Good while the code object is the same one and no compaction has renumbered the locations. */
typedef struct {
    const PyCodeObject *code;
    uint64_t identity;
    int32_t lasti;
    uint32_t location;
} lt_cached_location;

/* What reading stacks into one set of tables needs, protected by the tables' lock. The scratch is not on the thread's own
 * stack, which may be of 16 KiB and near its end. The cache is lossy: reading names and lines costs hundreds of
 * nanoseconds, a hit costs two. All zero at first. */
typedef struct {
    lt_position positions[LT_MAX_FRAMES];
    uint32_t locations[LT_MAX_FRAMES + 1];
    char utf8[LT_NAME_BYTES];
    uint32_t compactions; /* of the tables, when the cache was filled */
    lt_cached_location cache[LT_LOCATION_CACHE_SIZE];
} lt_stack_reader;

/* Walk at most `max_frames` from the leaf, by field reads alone, and intern the stack with a marker for what is missing.
 * LT_NONE when the budget is exhausted. */
uint32_t lt_frames_read_locked(lt_tables *tables, lt_stack_reader *reader, lt_domain domain, int max_frames);

/* Write the file name of the innermost Python frame, in UTF-8 and without a 0 at its end, to LT_NAME_BYTES; return its length.
 * 0 when no Python code runs. Only with the GIL. */
size_t lt_frames_caller_inhook(char *file, int32_t *line);

#endif

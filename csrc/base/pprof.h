/* A snapshot as an uncompressed pprof message, streamed.
 *
 * No lock, no GIL, no memory but a fixed buffer on the stack and what the snapshot brings: safe to call from a process that
 * is about to run out of memory.
 * Source: google/pprof proto/profile.proto.
 */
#ifndef LT_PPROF_H
#define LT_PPROF_H

#include "base/tables.h"

typedef struct {
    const char *data;
    size_t bytes;
} lt_text;

typedef struct {
    const lt_text *roots; /* sys.path directories: a file name less the longest names its module */
    size_t root_count;
    lt_text script; /* file of __main__ */
    const lt_text *comments;
    size_t comment_count;
    int64_t time_ns; /* Unix time */
} lt_pprof_header;

/* Write to a file descriptor. 0, or the errno of the first write that failed. */
int lt_pprof_write(const lt_tables *tables, const lt_snapshot *snapshot, const lt_pprof_header *header, int fd);

#endif

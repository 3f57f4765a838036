/* Control of the heap profiler; the hooks' side of it is in core.h. Callers hold the GIL. */
#ifndef LT_HEAP_H
#define LT_HEAP_H

#include "core/core.h"

/* Start, or change the settings; `displaced` hooks make it a new record. 0, or -1 with an exception set. */
int lt_heap_start(uint64_t interval, int max_frames, size_t max_bytes, bool displaced);
void lt_heap_stop(void);
/* Memory held and its budget, the fixed part included. */
size_t lt_heap_table_bytes_locked(void);
size_t lt_heap_max_bytes_locked(void);
void lt_heap_seed(uint64_t seed);

#endif

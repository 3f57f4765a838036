/* The allocator hooks of the OBJ, MEM and RAW domains. */
#ifndef LT_HOOKS_H
#define LT_HOOKS_H

#include "core/core.h"

/* Put the hooks on top of each domain's allocator, where a probe finds them out of the chain. They are never taken off. */
void lt_hooks_install(void);

/* Whether an allocation in every domain still reaches the hooks. */
bool lt_hooks_reached(void);

#endif

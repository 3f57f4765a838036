/* The module a source file holds, from its name alone. */
#ifndef LT_MODULE_NAME_H
#define LT_MODULE_NAME_H

#include "base/pprof.h"

/* Write the dotted name to `out`, cut between two characters where it is longer than `room` bytes, and return its length.
 * `/site/pkg/mod.py` under the root `/site` is `pkg.mod`, a package's `__init__.py` is the package, `<frozen x>` is `x`,
 * the script is `__main__`, and a file under no root keeps its last part. */
size_t lt_module_name(const lt_pprof_header *header, lt_text file, char *out, size_t room);

#endif

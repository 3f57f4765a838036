/* What runs on every allocation of the process. A block that is not sampled costs about ten instructions to allocate and
 * six to free; everything else is out of line.
 *
 * A hook keeps the allocator's context argument untouched and passes it on: our record carries the context of the one
 * below, so that a thread that reads half of an update still calls a function with a context it accepts.
 *
 * Requests above 512 bytes in OBJ and MEM are served by pymalloc from the RAW domain, through our RAW hook: that hook counts
 * them, under the domain that was asked, which the outer hook left in `origin`. Below anything but plain pymalloc (debug hooks
 * that add bytes to a request, say) the outer hook counts, and `origin` tells the RAW hook to keep out. pymalloc's own
 * book-keeping for smaller requests (an arena's map, rarely) counts as RAW: it is memory, and not the program's block.
 */
#include "core/hooks.h"

#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define INLINE static inline __attribute__((always_inline))
#define OUT_OF_LINE static __attribute__((noinline))

/* lt_thread.origin: whose request is a RAW one? */
enum { OF_THE_PROGRAM, COUNTED_ABOVE, PASSED_ON /* + the domain that passed it on */ };

lt_hook_state lt_hooks = {.epoch = 1};

INLINE bool is_current(const lt_thread *self) {
    return LIKELY(self->epoch == lt_hooks.epoch);
}

INLINE void count(lt_thread *self, lt_domain domain, const void *block, size_t size) {
    if (!is_current(self)) {
        lt_heap_sync_inhook(self);
    }
    self->countdown -= (int64_t)(size ? size : 1);
    if (UNLIKELY(self->countdown < 0)) {
        lt_heap_sample_inhook(self, domain, block, size);
    }
}

/* -- malloc and calloc ---------------------------------------------------------------------------------------------- */

INLINE void *call_below(lt_domain domain, void *ctx, size_t n, size_t size, bool zeroed) {
    return zeroed ? lt_hooks.below[domain].calloc(ctx, n, size) : lt_hooks.below[domain].malloc(ctx, size);
}

/* Allocate first, count when the block is there, and keep what happens below out of it. */
INLINE void *allocate(lt_domain domain, void *ctx, size_t n, size_t size, bool zeroed) {
    lt_thread *self = &lt_self;
    uint8_t outer = self->origin;
    self->origin = COUNTED_ABOVE;
    void *block = call_below(domain, ctx, n, size, zeroed);
    self->origin = outer;
    if (UNLIKELY(outer == COUNTED_ABOVE)) {
        self->epoch = 0; /* it may have crossed the countdown: draw anew, or the next block of the program pays for it */
    } else if (block != NULL) {
        count(self, domain, block, n * size);
    }
    return block;
}

OUT_OF_LINE void *malloc_first(lt_domain domain, void *ctx, size_t size) {
    return allocate(domain, ctx, 1, size, false);
}

/* The same, where the countdown has been charged already. */
OUT_OF_LINE void *malloc_crossed(lt_domain domain, void *ctx, size_t size) {
    lt_self.countdown += (int64_t)size;
    return allocate(domain, ctx, 1, size, false);
}

OUT_OF_LINE void *calloc_first(lt_domain domain, void *ctx, size_t n, size_t size) {
    return allocate(domain, ctx, n, size, true);
}

/* Let pymalloc ask the RAW hook for a block that is too large for its pools, and that hook count it. */
INLINE bool pass_on(lt_domain domain, size_t size) {
    if (size == 0 || !lt_hooks.is_pymalloc || lt_self.origin != OF_THE_PROGRAM) {
        return false;
    }
    lt_self.origin = (uint8_t)(PASSED_ON + domain);
    return true;
}

INLINE void *hook_malloc(lt_domain domain, void *ctx, size_t size) {
    if (size - 1 >= lt_hooks.pooled_max) { /* 0 wraps: it counts as 1 byte, out of line */
        return pass_on(domain, size) ? lt_hooks.below[domain].malloc(ctx, size) : malloc_first(domain, ctx, size);
    }
    lt_thread *self = &lt_self;
    if (UNLIKELY(!is_current(self))) {
        return malloc_first(domain, ctx, size);
    }
    if (UNLIKELY((self->countdown -= (int64_t)size) < 0)) {
        return malloc_crossed(domain, ctx, size);
    }
    return lt_hooks.below[domain].malloc(ctx, size);
}

INLINE void *hook_calloc(lt_domain domain, void *ctx, size_t n, size_t size) {
    size_t total;
    if (UNLIKELY(__builtin_mul_overflow(n, size, &total))) {
        return lt_hooks.below[domain].calloc(ctx, n, size); /* fails */
    }
    if (total - 1 >= lt_hooks.pooled_max) {
        return pass_on(domain, total) ? lt_hooks.below[domain].calloc(ctx, n, size) : calloc_first(domain, ctx, n, size);
    }
    lt_thread *self = &lt_self;
    if (UNLIKELY(!is_current(self) || self->countdown < (int64_t)total)) {
        return calloc_first(domain, ctx, n, size);
    }
    self->countdown -= (int64_t)total;
    return lt_hooks.below[domain].calloc(ctx, n, size);
}

/* A RAW request that pymalloc makes for one in another domain, counted above or to be counted here. */
OUT_OF_LINE void *inner_malloc(void *ctx, size_t size) {
    lt_thread *self = &lt_self;
    uint8_t origin = self->origin;
    if (origin == COUNTED_ABOVE) {
        return lt_hooks.below[LT_RAW].malloc(ctx, size);
    }
    self->origin = OF_THE_PROGRAM;
    if (LIKELY(is_current(self) && self->countdown >= (int64_t)size)) {
        self->countdown -= (int64_t)size;
        return lt_hooks.below[LT_RAW].malloc(ctx, size);
    }
    void *block = lt_hooks.below[LT_RAW].malloc(ctx, size);
    if (block != NULL) {
        count(self, (lt_domain)(origin - PASSED_ON), block, size);
    }
    return block;
}

OUT_OF_LINE void *inner_calloc(void *ctx, size_t n, size_t size) {
    lt_thread *self = &lt_self;
    uint8_t origin = self->origin;
    self->origin = origin == COUNTED_ABOVE ? COUNTED_ABOVE : OF_THE_PROGRAM;
    void *block = lt_hooks.below[LT_RAW].calloc(ctx, n, size);
    if (block != NULL && origin != COUNTED_ABOVE) {
        count(self, (lt_domain)(origin - PASSED_ON), block, n * size);
    }
    return block;
}

static void *raw_malloc(void *ctx, size_t size) {
    lt_thread *self = &lt_self;
    if (UNLIKELY(self->origin != OF_THE_PROGRAM)) {
        return inner_malloc(ctx, size);
    }
    if (UNLIKELY((ptrdiff_t)size <= 0 || !is_current(self))) {
        return malloc_first(LT_RAW, ctx, size);
    }
    if (UNLIKELY((self->countdown -= (int64_t)size) < 0)) {
        return malloc_crossed(LT_RAW, ctx, size);
    }
    return lt_hooks.below[LT_RAW].malloc(ctx, size);
}

static void *raw_calloc(void *ctx, size_t n, size_t size) {
    return lt_self.origin != OF_THE_PROGRAM ? inner_calloc(ctx, n, size) : calloc_first(LT_RAW, ctx, n, size);
}

/* -- free and realloc ----------------------------------------------------------------------------------------------- */

static __attribute__((noinline, cold)) void free_maybe_live(lt_domain domain, void *ctx, void *block) {
    lt_heap_detach_inhook(&lt_self, block); /* before the address can be handed out again */
    lt_hooks.below[domain].free(ctx, block);
}

INLINE void hook_free(lt_domain domain, void *ctx, void *block) {
    if (UNLIKELY(lt_filter_maybe_live(&lt_heap_tables, block))) {
        free_maybe_live(domain, ctx, block);
        return;
    }
    lt_hooks.below[domain].free(ctx, block);
}

/* Counts as free(block) and malloc(size), in place too: the estimator needs whole blocks. */
INLINE void *hook_realloc(lt_domain domain, void *ctx, void *block, size_t size) {
    lt_thread *self = &lt_self;
    lt_detached detached = {LT_NONE, 0};
    if (block != NULL && UNLIKELY(lt_filter_maybe_live(&lt_heap_tables, block))) {
        detached = lt_heap_detach_inhook(self, block);
    }
    uint8_t outer = self->origin;
    self->origin = COUNTED_ABOVE;
    void *moved = lt_hooks.below[domain].realloc(ctx, block, size);
    self->origin = outer;
    if (UNLIKELY(moved == NULL)) {
        lt_heap_reattach_inhook(self, block, detached);
    } else if (outer != COUNTED_ABOVE) {
        count(self, domain, moved, size);
    }
    return moved;
}

/* -- one set of four a domain --------------------------------------------------------------------------------------- */

#define PYMALLOC_HOOKS(name, domain)                                                                                   \
    static void *name##_malloc(void *ctx, size_t size) { return hook_malloc(domain, ctx, size); }                      \
    static void *name##_calloc(void *ctx, size_t n, size_t size) { return hook_calloc(domain, ctx, n, size); }         \
    static void *name##_realloc(void *ctx, void *block, size_t size) { return hook_realloc(domain, ctx, block, size); } \
    static void name##_free(void *ctx, void *block) { hook_free(domain, ctx, block); }

PYMALLOC_HOOKS(obj, LT_OBJ)
PYMALLOC_HOOKS(mem, LT_MEM)

static void *raw_realloc(void *ctx, void *block, size_t size) { return hook_realloc(LT_RAW, ctx, block, size); }
static void raw_free(void *ctx, void *block) { hook_free(LT_RAW, ctx, block); }

static const PyMemAllocatorEx hooks[LT_DOMAINS] = {
    [LT_OBJ] = {NULL, obj_malloc, obj_calloc, obj_realloc, obj_free},
    [LT_MEM] = {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free},
    [LT_RAW] = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free},
};
static const PyMemAllocatorDomain python_domain[LT_DOMAINS] = {
    [LT_OBJ] = PYMEM_DOMAIN_OBJ, [LT_MEM] = PYMEM_DOMAIN_MEM, [LT_RAW] = PYMEM_DOMAIN_RAW};

/* -- installing ----------------------------------------------------------------------------------------------------- */

/* Allocate and free one block; what the hooks saw of it, as bits of lt_thread.probe. A request that is refused proves
 * nothing: all bits, because to install hooks twice would close the chain to a ring. */
static uint8_t probe(lt_domain domain, size_t size) {
    PyMemAllocatorEx top;
    PyMem_GetAllocator(python_domain[domain], &top);
    lt_self.probe = 1;
    lt_self.epoch = 0; /* draw anew, here and afterwards */
    void *block = top.malloc(top.ctx, size);
    uint8_t seen = block != NULL ? lt_self.probe : UINT8_MAX;
    lt_self.probe = 0;
    top.free(top.ctx, block);
    lt_self.epoch = 0;
    return seen;
}

/* Small or large: an allocator on top may keep one kind to itself. */
static bool is_reached(lt_domain domain) {
    enum { LARGE = 64 * 1024 };
    return (probe(domain, 1) & (2 << domain)) || (probe(domain, LARGE) & (2 << domain));
}

bool lt_hooks_reached(void) {
    return is_reached(LT_OBJ) && is_reached(LT_MEM) && is_reached(LT_RAW);
}

void lt_hooks_install(void) {
    bool is_default = strcmp(lt_allocator_name(), "pymalloc") == 0;
    for (lt_domain domain = 0; domain < LT_DOMAINS; domain++) {
        if (lt_hooks.below[domain].malloc != NULL && is_reached(domain)) {
            continue;
        }
        enum { PYMALLOC_MAX = 512 };
        lt_hooks.is_pymalloc = is_default;
        lt_hooks.pooled_max = is_default ? PYMALLOC_MAX : 0;
        PyMem_GetAllocator(python_domain[domain], &lt_hooks.below[domain]);
        PyMemAllocatorEx ours = hooks[domain];
        ours.ctx = lt_hooks.below[domain].ctx;
        PyMem_SetAllocator(python_domain[domain], &ours);
    }
}

/* A futex lock: four bytes, no destructor, legal inside an allocator hook and after fork.
 *
 * pthread_mutex_t would do, but its state after fork is undefined for the child and sanitised builds intercept it with
 * code that allocates. Uncontended cost: one atomic exchange to take, one to release. Keeps errno.
 */
#ifndef LT_LOCK_H
#define LT_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct {
    _Atomic uint32_t state; /* 0 free, 1 held, 2 held and somebody may sleep */
} lt_lock;

void lt_lock_wait(lt_lock *lock);
void lt_lock_wake(lt_lock *lock);

static inline void lt_lock_acquire(lt_lock *lock) {
    uint32_t free_state = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->state, &free_state, 1, memory_order_acquire,
                                                 memory_order_relaxed)) {
        lt_lock_wait(lock);
    }
}

static inline void lt_lock_release(lt_lock *lock) {
    if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2) {
        lt_lock_wake(lock);
    }
}

#endif

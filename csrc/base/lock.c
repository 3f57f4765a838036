#define _GNU_SOURCE
#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPINS = 100 }; /* about as long as one sample holds the lock */

void lt_lock_wait(lt_lock *lock) {
    for (int i = 0; i < SPINS; i++) {
        uint32_t free_state = 0;
        if (atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&lock->state, &free_state, 1, memory_order_acquire,
                                                    memory_order_relaxed)) {
            return;
        }
    }
    int saved_errno = errno; /* a hook that frees may run between a failed call and the look at its errno */
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0) {
        syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    }
    errno = saved_errno;
}

void lt_lock_wake(lt_lock *lock) {
    syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

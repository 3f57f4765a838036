#define _GNU_SOURCE
#include "base/memory.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIRST_CAPACITY = 1024 };

static size_t round_up(size_t bytes, size_t step) {
    return (bytes + step - 1) / step * step;
}

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE); /* 64 KiB on some aarch64 kernels */
}

/* Arrays grow by a few pages at a time, to save system calls. */
static size_t round_to_commit(size_t bytes) {
    size_t page = page_bytes();
    return round_up(bytes, page > 16 * 1024 ? page : 16 * 1024);
}

void *lt_memory_map(lt_memory *memory, size_t bytes) {
    bytes = round_up(bytes, page_bytes());
    if (bytes > memory->budget || memory->committed > memory->budget - bytes) {
        return NULL;
    }
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    memory->committed += bytes;
    return pages;
}

void lt_memory_unmap(lt_memory *memory, void *pages, size_t bytes) {
    if (pages != NULL) {
        bytes = round_up(bytes, page_bytes());
        munmap(pages, bytes);
        memory->committed -= bytes;
    }
}

void *lt_vec_extend(lt_memory *memory, lt_vec *vec, size_t bytes) {
    size_t wanted = vec->bytes + bytes;
    if (wanted > vec->committed) {
        size_t committed = round_to_commit(wanted);
        size_t more = committed - vec->committed;
        if (committed > vec->reserved || memory->committed + more > memory->budget ||
            mprotect(vec->base + vec->committed, more, PROT_READ | PROT_WRITE) != 0) {
            return NULL;
        }
        vec->committed = committed;
        memory->committed += more;
    }
    void *room = vec->base + vec->bytes;
    vec->bytes = wanted;
    return room;
}

void lt_vec_truncate(lt_memory *memory, lt_vec *vec, size_t bytes) {
    size_t keep = round_to_commit(bytes);
    if (keep < vec->committed) {
        size_t surplus = vec->committed - keep;
        madvise(vec->base + keep, surplus, MADV_DONTNEED);
        mprotect(vec->base + keep, surplus, PROT_NONE);
        vec->committed = keep;
        memory->committed -= surplus;
    }
    vec->bytes = bytes;
}

void lt_vec_release(lt_memory *memory, lt_vec *vec) {
    if (vec->base != NULL) {
        memory->committed -= vec->committed;
        munmap(vec->base, vec->reserved);
        *vec = (lt_vec){0};
    }
}

bool lt_vec_move(lt_memory *memory, lt_vec *vec, size_t max_bytes) {
    size_t reserved = round_to_commit(max_bytes);
    void *base = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    lt_vec moved = {.base = base, .reserved = reserved};
    if (vec->bytes > 0) {
        void *room = lt_vec_extend(memory, &moved, vec->bytes);
        if (room == NULL) {
            munmap(base, reserved);
            return false;
        }
        memcpy(room, vec->base, vec->bytes);
    }
    lt_vec_release(memory, vec);
    *vec = moved;
    return true;
}

uint32_t lt_index_find(const lt_index *index, uint32_t hash, lt_same same, const void *tables, const void *key) {
    if (index->capacity == 0) {
        return LT_NONE;
    }
    uint32_t mask = index->capacity - 1;
    for (uint32_t i = hash & mask; index->slots[i].id_plus_1 != 0; i = (i + 1) & mask) {
        if (index->slots[i].hash == hash && same(tables, index->slots[i].id_plus_1 - 1, key)) {
            return index->slots[i].id_plus_1 - 1;
        }
    }
    return LT_NONE;
}

static void place(lt_slot *slots, uint32_t mask, lt_slot slot) {
    uint32_t i = slot.hash & mask;
    while (slots[i].id_plus_1 != 0) {
        i = (i + 1) & mask;
    }
    slots[i] = slot;
}

bool lt_index_insert(lt_memory *memory, lt_index *index, uint32_t hash, uint32_t id) {
    if (index->count >= index->capacity / 4 * 3) {
        uint32_t capacity = index->capacity ? index->capacity * 2 : FIRST_CAPACITY;
        lt_slot *slots = lt_memory_map(memory, capacity * sizeof(lt_slot));
        if (slots == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < index->capacity; i++) {
            if (index->slots[i].id_plus_1 != 0) {
                place(slots, capacity - 1, index->slots[i]);
            }
        }
        lt_memory_unmap(memory, index->slots, index->capacity * sizeof(lt_slot));
        index->slots = slots;
        index->capacity = capacity;
    }
    place(index->slots, index->capacity - 1, (lt_slot){hash, id + 1});
    index->count++;
    return true;
}

void lt_index_clear(lt_memory *memory, lt_index *index, uint32_t count) {
    uint32_t capacity = FIRST_CAPACITY;
    while (capacity / 4 * 3 <= count) {
        capacity *= 2;
    }
    lt_slot *slots = capacity < index->capacity ? lt_memory_map(memory, capacity * sizeof(lt_slot)) : NULL;
    if (slots != NULL) {
        lt_index_release(memory, index);
        *index = (lt_index){slots, capacity, 0};
    } else if (index->capacity != 0) {
        memset(index->slots, 0, index->capacity * sizeof(lt_slot));
        index->count = 0;
    }
}

void lt_index_release(lt_memory *memory, lt_index *index) {
    lt_memory_unmap(memory, index->slots, index->capacity * sizeof(lt_slot));
    *index = (lt_index){0};
}

static inline uint64_t hash_word(uint64_t h, const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return lt_mix(h, word);
}

/* Four lanes, which do not wait for one another's products. */
uint32_t lt_hash_bytes(const void *data, size_t bytes, uint32_t seed) {
    const unsigned char *p = data;
    uint64_t a = seed + bytes * 0x9e3779b97f4a7c15ULL, b = ~a, c = a << 1, d = ~c;
    for (; bytes >= 32; p += 32, bytes -= 32) {
        a = hash_word(a, p);
        b = hash_word(b, p + 8);
        c = hash_word(c, p + 16);
        d = hash_word(d, p + 24);
    }
    uint64_t h = lt_mix(lt_mix(lt_mix(a, b), c), d);
    for (; bytes >= 8; p += 8, bytes -= 8) {
        h = hash_word(h, p);
    }
    uint64_t tail = 0;
    if (bytes > 0) {
        memcpy(&tail, p, bytes);
    }
    return lt_hash_u64(h ^ tail);
}

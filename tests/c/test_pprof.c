/* base/pprof.c: a well-formed message, the errno of whatever stops it, and no memory from the process's heap. What the
 * message says is judged from Python, with lowtide.profile's decoder. */
#define _GNU_SOURCE
#include "base/pprof.h"
#include "tables.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum { MIB = 1024 * 1024 };

#define BLOCK(address) ((const void *)(uintptr_t)(address))

/* Count what asks the heap. Sanitizers bring an allocator of their own; there the test below shows nothing. */
static int heap_calls;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);

void *malloc(size_t bytes) {
    heap_calls++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    heap_calls++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes) {
    heap_calls++;
    return __libc_realloc(block, bytes);
}
#endif

static const lt_text roots[] = {{"/site", 5}, {"/usr/lib", 8}};
static const lt_text comments[] = {{"lowtide 0", 9}, {"", 0}};
static const lt_pprof_header header = {
    .roots = roots,
    .root_count = 2,
    .script = {"/app/main.py", 12},
    .comments = comments,
    .comment_count = 2,
    .time_ns = 1700000000000000000,
};

static lt_tables *filled(uint32_t blocks) {
    lt_tables *t = new_tables(16 * MIB, 1, 0);
    for (uintptr_t i = 1; i <= blocks; i++) {
        CHECK(record(t, i << 4, i % 97, (uint32_t)i % 501));
    }
    return t;
}

static int write_to(lt_tables *t, int fd) {
    lt_snapshot *s = lt_snapshot_begin(t);
    CHECK(s != NULL);
    int error = lt_pprof_write(t, s, &header, fd);
    lt_snapshot_end(t, s);
    return error;
}

/* -- the wire ------------------------------------------------------------------------------------------------------- */

static uint64_t read_varint(const unsigned char **p, const unsigned char *end) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        CHECK(*p < end && shift <= 63);
        value |= (uint64_t)(**p & 127) << shift;
        if (!(*(*p)++ & 128)) {
            return value;
        }
    }
}

enum { PROFILE, VALUE_TYPE, SAMPLE, LABEL, MAPPING, LOCATION, LINE, FUNCTION, PACKED, TEXT, NUMBER, UNKNOWN };

/* What a field of a message holds. */
static int kind_of(int message, uint64_t field) {
    static const int profile[15] = {UNKNOWN,  VALUE_TYPE, SAMPLE, MAPPING, LOCATION,   FUNCTION, TEXT,  UNKNOWN,
                                    UNKNOWN,  NUMBER,     UNKNOWN, VALUE_TYPE, NUMBER, NUMBER,   NUMBER};
    static const int sample[4] = {UNKNOWN, PACKED, PACKED, LABEL};
    switch (message) {
    case PROFILE: return field < 15 ? profile[field] : UNKNOWN;
    case SAMPLE: return field < 4 ? sample[field] : UNKNOWN;
    case LOCATION: return field == 4 ? LINE : field <= 2 ? NUMBER : UNKNOWN;
    default: return NUMBER;
    }
}

/* Every length adds up, on every level. */
static void check_message(int message, const unsigned char *p, const unsigned char *end, int counts[UNKNOWN]) {
    counts[message]++;
    while (p < end) {
        if (message == PACKED) {
            read_varint(&p, end);
            continue;
        }
        uint64_t tag = read_varint(&p, end);
        int kind = kind_of(message, tag >> 3);
        CHECK(kind != UNKNOWN);
        CHECK_EQUAL(tag & 7, kind == NUMBER ? 0 : 2);
        uint64_t value = read_varint(&p, end);
        if (kind != NUMBER) {
            CHECK(value <= (uint64_t)(end - p));
            if (kind != TEXT) {
                check_message(kind, p, p + value, counts);
            }
            p += value;
        }
    }
    CHECK(p == end);
}

static unsigned char *contents(int fd, size_t *bytes) {
    *bytes = (size_t)lseek(fd, 0, SEEK_END);
    unsigned char *data = mmap(NULL, *bytes, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(data != MAP_FAILED);
    return data;
}

static void every_length_adds_up(void) {
    for (uint32_t blocks = 0; blocks <= 20000; blocks = blocks * 5 + 1) {
        lt_tables *t = filled(blocks);
        int fd = memfd_create("profile", MFD_CLOEXEC), counts[UNKNOWN] = {0};
        CHECK_EQUAL(write_to(t, fd), 0);
        size_t bytes;
        unsigned char *data = contents(fd, &bytes);
        check_message(PROFILE, data, data + bytes, counts);
        CHECK(counts[VALUE_TYPE] == 5 && counts[MAPPING] == 1);
        CHECK_EQUAL(counts[SAMPLE], LT_COUNT(t->buckets, lt_bucket));
        CHECK_EQUAL(counts[LOCATION], LT_COUNT(t->locations, lt_location));
        CHECK_EQUAL(counts[FUNCTION], LT_COUNT(t->functions, lt_function));
        munmap(data, bytes);
        close(fd);
        delete_tables(t);
    }
}

static void the_same_snapshot_gives_the_same_bytes_again(void) {
    lt_tables *t = filled(5000);
    lt_snapshot *s = lt_snapshot_begin(t);
    int first = memfd_create("first", MFD_CLOEXEC), second = memfd_create("second", MFD_CLOEXEC);
    CHECK_EQUAL(lt_pprof_write(t, s, &header, first), 0);
    CHECK(record(t, 8, 12345, 9999)); /* later samples are not in it */
    CHECK_EQUAL(lt_pprof_write(t, s, &header, second), 0);
    size_t bytes, again;
    unsigned char *data = contents(first, &bytes), *data_again = contents(second, &again);
    CHECK_EQUAL(again, bytes);
    CHECK_EQUAL(memcmp(data, data_again, bytes), 0);
    munmap(data, bytes);
    munmap(data_again, bytes);
    close(first);
    close(second);
    lt_snapshot_end(t, s);
    delete_tables(t);
}

/* -- no heap -------------------------------------------------------------------------------------------------------- */

static void nothing_is_taken_from_the_process_heap(void) {
    lt_tables *t = filled(20000);
    int fd = memfd_create("profile", MFD_CLOEXEC), before = heap_calls;
    CHECK_EQUAL(write_to(t, fd), 0);
    CHECK(record(t, 8, 12345, 9999));
    CHECK(lt_thin_locked(t));
    CHECK_EQUAL(heap_calls, before);
    close(fd);
    delete_tables(t);
}

/* -- writes that fail ----------------------------------------------------------------------------------------------- */

static void a_failed_write_returns_its_errno(void) {
    lt_tables *t = filled(5000);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), readable = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_EQUAL(write_to(t, full), ENOSPC);
    CHECK_EQUAL(write_to(t, readable), EBADF);
    CHECK_EQUAL(write_to(t, -1), EBADF);
    close(full);
    close(readable);
    CHECK(t->readers == NULL);
    delete_tables(t);
}

static void a_broken_pipe_is_told(void) {
    lt_tables *t = filled(5000);
    int ends[2];
    signal(SIGPIPE, SIG_IGN); /* as the interpreter does */
    CHECK_EQUAL(pipe(ends), 0);
    close(ends[0]);
    CHECK_EQUAL(write_to(t, ends[1]), EPIPE);
    close(ends[1]);
    delete_tables(t);
}

static void a_full_pipe_that_must_not_block_is_told(void) {
    lt_tables *t = filled(20000);
    int ends[2];
    CHECK_EQUAL(pipe2(ends, O_NONBLOCK), 0);
    CHECK_EQUAL(write_to(t, ends[1]), EAGAIN);
    close(ends[0]);
    close(ends[1]);
    delete_tables(t);
}

typedef struct {
    int fd, copy;
    pthread_t writer;
} drain;

static void ignore(int signal_number) {
    (void)signal_number;
}

/* Read little at a time, and interrupt the writer meanwhile. */
static void *drain_slowly(void *argument) {
    drain *d = argument;
    char buffer[7001];
    for (ssize_t n; (n = read(d->fd, buffer, sizeof(buffer))) > 0;) {
        for (int i = 0; i < 3; i++) { /* into a write that has begun, and into one that has not */
            pthread_kill(d->writer, SIGUSR1);
            usleep(50);
        }
        CHECK_EQUAL(write(d->copy, buffer, (size_t)n), n);
    }
    return NULL;
}

static void short_and_interrupted_writes_lose_nothing(void) {
    lt_tables *t = filled(20000);
    struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART */
    sigaction(SIGUSR1, &action, NULL);
    int ends[2];
    CHECK_EQUAL(pipe(ends), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    drain d = {ends[0], memfd_create("drained", MFD_CLOEXEC), pthread_self()};
    pthread_t reader;
    CHECK_EQUAL(pthread_create(&reader, NULL, drain_slowly, &d), 0);
    lt_snapshot *s = lt_snapshot_begin(t);
    CHECK_EQUAL(lt_pprof_write(t, s, &header, ends[1]), 0);
    close(ends[1]);
    pthread_join(reader, NULL);
    int whole = memfd_create("whole", MFD_CLOEXEC);
    CHECK_EQUAL(lt_pprof_write(t, s, &header, whole), 0);
    lt_snapshot_end(t, s);
    size_t bytes, drained;
    unsigned char *data = contents(whole, &bytes), *data_drained = contents(d.copy, &drained);
    CHECK_EQUAL(drained, bytes);
    CHECK_EQUAL(memcmp(data, data_drained, bytes), 0);
    munmap(data, bytes);
    munmap(data_drained, drained);
    close(ends[0]);
    close(whole);
    close(d.copy);
    delete_tables(t);
}

int main(void) {
    static const lt_test tests[] = {
        TEST(every_length_adds_up),
        TEST(the_same_snapshot_gives_the_same_bytes_again),
        TEST(nothing_is_taken_from_the_process_heap),
        TEST(a_failed_write_returns_its_errno),
        TEST(a_broken_pipe_is_told),
        TEST(a_full_pipe_that_must_not_block_is_told),
        TEST(short_and_interrupted_writes_lose_nothing),
    };
    return RUN_TESTS(tests);
}

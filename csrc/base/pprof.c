#define _GNU_SOURCE
#include "base/pprof.h"

#include "base/module_name.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* -- protobuf wire format into a buffered descriptor ---------------------------------------------------------------- */

enum { VARINT = 0, LENGTH = 2, VARINT_MAX = 10 };

typedef struct {
    int fd;
    int error; /* the first errno; later writes do nothing */
    size_t used;
    unsigned char buffer[16 * 1024];
} sink;

static void flush(sink *out) {
    for (size_t done = 0; done < out->used && out->error == 0;) {
        ssize_t n = write(out->fd, out->buffer + done, out->used - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            out->error = n == 0 ? EIO : errno; /* a device that takes nothing would be asked for ever */
        }
    }
    out->used = 0;
}

static void put_bytes(sink *out, const void *data, size_t bytes) {
    for (const unsigned char *p = data; bytes > 0;) {
        if (out->used == sizeof(out->buffer)) {
            flush(out);
        }
        size_t room = sizeof(out->buffer) - out->used;
        size_t n = bytes < room ? bytes : room;
        memcpy(out->buffer + out->used, p, n);
        out->used += n;
        p += n;
        bytes -= n;
    }
}

static size_t varint_bytes(uint64_t value) {
    size_t n = 1;
    while (value >>= 7) {
        n++;
    }
    return n;
}

static void put_varint(sink *out, uint64_t value) {
    unsigned char bytes[VARINT_MAX];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        bytes[n++] = (unsigned char)(value | 0x80);
    }
    bytes[n++] = (unsigned char)value;
    put_bytes(out, bytes, n);
}

static void put_tag(sink *out, int field, int type) {
    put_varint(out, (uint64_t)(field << 3 | type));
}

static void put_uint(sink *out, int field, uint64_t value) {
    put_tag(out, field, VARINT);
    put_varint(out, value);
}

/* All fields of the messages written here have numbers below 16: a tag is one byte. */
static size_t uint_bytes(uint64_t value) {
    return 1 + varint_bytes(value);
}

static void put_message(sink *out, int field, size_t bytes) {
    put_tag(out, field, LENGTH);
    put_varint(out, bytes);
}

static void put_string(sink *out, lt_text text) {
    put_message(out, 6, text.bytes);
    put_bytes(out, text.data, text.bytes);
}

/* -- strings with fixed places -------------------------------------------------------------------------------------- */

enum {
    S_EMPTY, S_ALLOC_OBJECTS, S_COUNT, S_ALLOC_SPACE, S_BYTES, S_INUSE_OBJECTS, S_INUSE_SPACE, S_SPACE, S_DOMAIN, S_OBJ,
    S_MEM, S_RAW, S_ORIGIN, S_PARENT, S_INTERVAL, S_FIXED
};

static const char *const fixed_strings[S_FIXED] = {
    "",      "alloc_objects", "count",  "alloc_space", "bytes", "inuse_objects", "inuse_space", "space", "domain", "obj",
    "mem",   "raw",           "origin", "parent",      "interval"};

static void put_value_type(sink *out, int field, uint64_t type, uint64_t unit) {
    put_message(out, field, uint_bytes(type) + uint_bytes(unit));
    put_uint(out, 1, type);
    put_uint(out, 2, unit);
}

/* -- samples -------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t key, str, num, unit;
} label;

static size_t label_bytes(const label *l) {
    return uint_bytes(l->key) + (l->str ? uint_bytes(l->str) : uint_bytes(l->num) + uint_bytes(l->unit));
}

static void put_label(sink *out, const label *l) {
    put_message(out, 3, label_bytes(l));
    put_uint(out, 1, l->key);
    if (l->str) {
        put_uint(out, 2, l->str);
    } else {
        put_uint(out, 3, l->num);
        put_uint(out, 4, l->unit);
    }
}

static uint64_t saturated(double value) {
    return value >= 0x1p63 ? INT64_MAX : (uint64_t)value;
}

/* The estimates of a bucket, rounded. Counts are rounded at random, or the many 1.58s of blocks as large as the interval
 * would all lose their fraction; one fixed draw a bucket keeps alloc >= inuse and cumulative columns monotone. */
static void estimate(const lt_bucket *b, const lt_snapshot *snapshot, uint64_t values[4]) {
    double scale = 1.0 / lt_sampler_probability(b->size, b->interval);
    uint64_t state = snapshot->salt ^ ((uint64_t)b->stack << 32) ^ b->size ^ ((uint64_t)b->domain << 60);
    double round_up_above = lt_rng_uniform(&state);
    uint64_t counts[2] = {b->generation == snapshot->generation ? b->allocs : 0, b->live};
    for (int i = 0; i < 2; i++) {
        values[2 * i] = saturated((double)counts[i] * scale + (b->interval > 1 ? round_up_above : 0.0));
        values[2 * i + 1] = saturated((double)counts[i] * scale * (double)(b->size ? b->size : 1) + 0.5);
    }
    if (b->interval <= 1) { /* exact beyond 2^53 too */
        for (int i = 0; i < 2; i++) {
            values[2 * i] = counts[i];
            bool overflows = __builtin_mul_overflow(counts[i], b->size ? b->size : 1, &values[2 * i + 1]);
            values[2 * i + 1] = overflows || values[2 * i + 1] > INT64_MAX ? INT64_MAX : values[2 * i + 1];
        }
    }
}

static void put_sample(sink *out, const lt_tables *t, const lt_snapshot *snapshot, const lt_bucket *b) {
    uint64_t values[4];
    estimate(b, snapshot, values);
    label labels[4] = {{S_BYTES, 0, b->size ? b->size : 1, S_BYTES}, {S_DOMAIN, S_OBJ + b->domain, 0, 0}};
    int label_count = 2;
    if (b->generation != snapshot->generation) {
        labels[label_count++] = (label){S_ORIGIN, S_PARENT, 0, 0};
    }
    if (b->interval != snapshot->interval) {
        labels[label_count++] = (label){S_INTERVAL, 0, b->interval, S_BYTES};
    }

    const lt_stack *stack = LT_AT(t->stacks, lt_stack, b->stack);
    const uint32_t *locations = LT_AT(t->stack_locations, uint32_t, stack->offset);
    size_t locations_bytes = 0, values_bytes = 0, labels_bytes = 0;
    for (uint32_t i = 0; i < stack->depth; i++) {
        locations_bytes += varint_bytes((uint64_t)locations[i] + 1);
    }
    for (int i = 0; i < 4; i++) {
        values_bytes += varint_bytes(values[i]);
    }
    for (int i = 0; i < label_count; i++) {
        labels_bytes += uint_bytes(label_bytes(&labels[i])) + label_bytes(&labels[i]);
    }
    put_message(out, 2,
                uint_bytes(locations_bytes) + locations_bytes + uint_bytes(values_bytes) + values_bytes + labels_bytes);
    put_message(out, 1, locations_bytes);
    for (uint32_t i = 0; i < stack->depth; i++) {
        put_varint(out, (uint64_t)locations[i] + 1);
    }
    put_message(out, 2, values_bytes);
    for (int i = 0; i < 4; i++) {
        put_varint(out, values[i]);
    }
    for (int i = 0; i < label_count; i++) {
        put_label(out, &labels[i]);
    }
}

static bool is_empty(const lt_bucket *b, const lt_snapshot *snapshot) {
    return b->live == 0 && (b->allocs == 0 || b->generation != snapshot->generation);
}

/* -- which records are used ----------------------------------------------------------------------------------------- */

/* The snapshot's scratch memory: for each file name its place in the string table, and whether a location or a function is
 * used. */
typedef struct {
    uint32_t *file;
    unsigned char *location, *function;
} used;

static used clear_used(const lt_snapshot *snapshot) {
    memset(snapshot->scratch, 0, lt_snapshot_scratch_bytes(snapshot));
    used u = {.file = (uint32_t *)(void *)snapshot->scratch};
    u.location = (unsigned char *)(u.file + snapshot->strings);
    u.function = u.location + snapshot->locations;
    return u;
}

static void mark_used(const lt_tables *t, const lt_snapshot *snapshot, used *u) {
    for (size_t i = 0; i < snapshot->count; i++) {
        if (!is_empty(&snapshot->buckets[i], snapshot)) {
            const lt_stack *stack = LT_AT(t->stacks, lt_stack, snapshot->buckets[i].stack);
            for (uint32_t j = 0; j < stack->depth; j++) {
                uint32_t location = *LT_AT(t->stack_locations, uint32_t, stack->offset + j);
                u->location[location] = 1;
                u->function[LT_AT(t->locations, lt_location, location)->function] = 1;
            }
        }
    }
}

static lt_text string_text(const lt_tables *t, uint32_t id) {
    const lt_string *s = LT_AT(t->strings, lt_string, id);
    return (lt_text){t->string_bytes.base + s->offset, s->bytes};
}

static void put_location(sink *out, uint32_t id, const lt_location *l) {
    uint64_t function = (uint64_t)l->function + 1, line = (uint64_t)(int64_t)l->line;
    size_t line_bytes = uint_bytes(function) + uint_bytes(line);
    put_message(out, 4, uint_bytes((uint64_t)id + 1) + uint_bytes(1) + uint_bytes(line_bytes) + line_bytes);
    put_uint(out, 1, (uint64_t)id + 1);
    put_uint(out, 2, 1); /* the only mapping */
    put_message(out, 4, line_bytes);
    put_uint(out, 1, function);
    put_uint(out, 2, line);
}

static void put_mapping(sink *out, uint64_t filename) {
    put_message(out, 3, uint_bytes(1) + uint_bytes(filename) + 4 * uint_bytes(1));
    put_uint(out, 1, 1);
    put_uint(out, 5, filename);
    for (int has = 7; has <= 10; has++) { /* functions, file names, line numbers, inlined frames: nothing to look up */
        put_uint(out, has, 1);
    }
}

/* Functions refer to strings by place; the second pass writes the strings in the same order. `names` false: functions. */
static void put_functions(sink *out, const lt_tables *t, const lt_pprof_header *header, used *u, uint32_t functions,
                          uint32_t next_string, bool names) {
    for (uint32_t i = 0; i < functions; i++) {
        if (!u->function[i]) {
            continue;
        }
        const lt_function *f = LT_AT(t->functions, lt_function, i);
        uint32_t name = next_string++;
        bool first_of_file = names ? u->file[f->file] == next_string : u->file[f->file] == 0;
        if (first_of_file) {
            u->file[f->file] = next_string++;
        }
        if (!names) {
            uint64_t line = (uint64_t)(int64_t)f->first_line;
            put_message(out, 5,
                        uint_bytes((uint64_t)i + 1) + uint_bytes(name) + uint_bytes(u->file[f->file]) + uint_bytes(line));
            put_uint(out, 1, (uint64_t)i + 1);
            put_uint(out, 2, name);
            put_uint(out, 4, u->file[f->file]);
            put_uint(out, 5, line);
            continue;
        }
        char module[512];
        lt_text file = string_text(t, f->file), qualname = string_text(t, f->name);
        size_t module_bytes = lt_module_name(header, file, module, sizeof(module));
        put_message(out, 6, module_bytes + (module_bytes > 0) + qualname.bytes);
        put_bytes(out, module, module_bytes);
        put_bytes(out, ".", module_bytes > 0);
        put_bytes(out, qualname.data, qualname.bytes);
        if (first_of_file) {
            put_string(out, file);
        }
    }
}

int lt_pprof_write(const lt_tables *t, const lt_snapshot *snapshot, const lt_pprof_header *header, int fd) {
    sink out;
    out.fd = fd;
    out.error = 0;
    out.used = 0;
    used u = clear_used(snapshot);
    mark_used(t, snapshot, &u);

    put_value_type(&out, 1, S_ALLOC_OBJECTS, S_COUNT);
    put_value_type(&out, 1, S_ALLOC_SPACE, S_BYTES);
    put_value_type(&out, 1, S_INUSE_OBJECTS, S_COUNT);
    put_value_type(&out, 1, S_INUSE_SPACE, S_BYTES);
    for (size_t i = 0; i < snapshot->count; i++) {
        if (!is_empty(&snapshot->buckets[i], snapshot)) {
            put_sample(&out, t, snapshot, &snapshot->buckets[i]);
        }
    }
    put_mapping(&out, S_FIXED);
    for (uint32_t i = 0; i < snapshot->locations; i++) {
        if (u.location[i]) {
            put_location(&out, i, LT_AT(t->locations, lt_location, i));
        }
    }
    uint32_t first_name = S_FIXED + 1 + (uint32_t)header->comment_count;
    put_functions(&out, t, header, &u, snapshot->functions, first_name, false);
    for (int i = 0; i < S_FIXED; i++) {
        put_string(&out, (lt_text){fixed_strings[i], strlen(fixed_strings[i])});
    }
    put_string(&out, header->script);
    for (size_t i = 0; i < header->comment_count; i++) {
        put_string(&out, header->comments[i]);
    }
    put_functions(&out, t, header, &u, snapshot->functions, first_name, true);
    put_uint(&out, 9, (uint64_t)header->time_ns);
    put_value_type(&out, 11, S_SPACE, S_BYTES);
    put_uint(&out, 12, snapshot->interval);
    for (size_t i = 0; i < header->comment_count; i++) {
        put_uint(&out, 13, S_FIXED + 1 + i);
    }
    put_uint(&out, 14, S_INUSE_SPACE);
    flush(&out);
    return out.error;
}

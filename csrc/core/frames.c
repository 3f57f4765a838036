#include "core/frames.h"

#include <string.h>

typedef struct {
    int depth;
    bool is_native;    /* no Python thread state: nothing to walk */
    bool is_truncated; /* more frames than asked for */
} walked;

static walked walk_inhook(lt_domain domain, lt_position *positions, int max_frames) {
    walked walk = {0};
    const PyThreadState *state = lt_thread_state_inhook(domain);
    if (state == NULL) {
        walk.is_native = true;
        return walk;
    }
    int steps = 4 * max_frames; /* frames CPython inserts are skipped, but not without end */
    for (const lt_frame *frame = lt_top_frame_inhook(state); frame != NULL; frame = frame->previous) {
        PyCodeObject *code = lt_frame_code_inhook(frame);
        if (code != NULL) {
            int32_t lasti = lt_frame_lasti_inhook(frame, code);
            if (!lt_frame_is_incomplete_inhook(frame, code, lasti)) {
                if (walk.depth == max_frames) {
                    walk.is_truncated = true;
                    break;
                }
                positions[walk.depth++] = (lt_position){code, lasti};
            }
        }
        if (--steps == 0) {
            walk.is_truncated = true;
            break;
        }
    }
    return walk;
}

/* -- the line of an instruction: PEP 657's location table ----------------------------------------------------------- */

static uint32_t read_varint(const unsigned char **p, const unsigned char *end) {
    uint32_t value = 0;
    for (int shift = 0; *p < end; shift += 6) {
        unsigned char byte = *(*p)++;
        value |= (uint32_t)(byte & 63) << (shift & 31);
        if (!(byte & 64)) {
            break;
        }
    }
    return value;
}

static int32_t line_inhook(const PyCodeObject *code, int32_t lasti) {
    enum { SHORT_LINE_DELTA = 10, NO_COLUMNS = 13, LONG = 14 };
    const unsigned char *p = (const unsigned char *)PyBytes_AS_STRING(code->co_linetable);
    const unsigned char *end = p + PyBytes_GET_SIZE(code->co_linetable);
    int32_t line = code->co_firstlineno, unit = 0;
    if (lasti < 0) {
        return line;
    }
    while (p < end) {
        unsigned char first = *p++;
        int kind = first >> 3 & 15;
        if (kind == LONG || kind == NO_COLUMNS) {
            uint32_t zigzag = read_varint(&p, end);
            line += zigzag & 1 ? -(int32_t)(zigzag >> 1) : (int32_t)(zigzag >> 1);
        } else if (kind >= SHORT_LINE_DELTA && kind < NO_COLUMNS) {
            line += kind - SHORT_LINE_DELTA;
        }
        while (p < end && !(*p & 128)) { /* columns; an entry's first byte has the high bit */
            p++;
        }
        unit += (first & 7) + 1;
        if (lasti < unit) { /* what the compiler gave no line, as the end of an except*, is on that of its neighbour */
            return line;
        }
    }
    return code->co_firstlineno;
}

/* -- names ---------------------------------------------------------------------------------------------------------- */

/* UTF-8 by hand: CPython's encoder allocates and may raise. A lone surrogate, which UTF-8 cannot hold, is spelled `\udc80`. */
static size_t encode_inhook(PyObject *text, char *out) {
    static const char digits[] = "0123456789abcdef";
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    int kind = (int)PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    size_t n = 0;
    for (Py_ssize_t i = 0; i < length && n + 6 <= LT_NAME_BYTES; i++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        if (c < 0x80) {
            out[n++] = (char)c;
        } else if (c < 0x800) {
            out[n++] = (char)(0xc0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 63));
        } else if (c >= 0xd800 && c < 0xe000) {
            out[n++] = '\\';
            out[n++] = 'u';
            for (int shift = 12; shift >= 0; shift -= 4) {
                out[n++] = digits[c >> shift & 15];
            }
        } else if (c < 0x10000) {
            out[n++] = (char)(0xe0 | c >> 12);
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        } else {
            out[n++] = (char)(0xf0 | c >> 18);
            out[n++] = (char)(0x80 | (c >> 12 & 63));
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        }
    }
    return n;
}

static uint32_t intern_text_locked(lt_tables *tables, lt_stack_reader *reader, PyObject *text) {
    if (text == NULL || !PyUnicode_Check(text)) {
        return lt_intern_string_locked(tables, "", 0);
    }
    if (PyUnicode_IS_COMPACT_ASCII(text) && PyUnicode_GET_LENGTH(text) <= LT_NAME_BYTES) {
        return lt_intern_string_locked(tables, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
    }
    return lt_intern_string_locked(tables, reader->utf8, encode_inhook(text, reader->utf8));
}

static uint32_t intern_place_locked(lt_tables *tables, uint32_t name, uint32_t file, int32_t first_line, int32_t line) {
    uint32_t function;
    if (name == LT_NONE || file == LT_NONE ||
        (function = lt_intern_function_locked(tables, name, file, first_line)) == LT_NONE) {
        return LT_NONE;
    }
    return lt_intern_location_locked(tables, function, line);
}

static uint32_t intern_marker_locked(lt_tables *tables, const char *name) {
    uint32_t file = lt_intern_string_locked(tables, "", 0);
    return intern_place_locked(tables, lt_intern_string_locked(tables, name, strlen(name)), file, 0, 0);
}

static uint32_t intern_code_locked(lt_tables *tables, lt_stack_reader *reader, lt_position at) {
    uint32_t name = intern_text_locked(tables, reader, at.code->co_qualname);
    uint32_t file = intern_text_locked(tables, reader, at.code->co_filename);
    return intern_place_locked(tables, name, file, at.code->co_firstlineno, line_inhook(at.code, at.lasti));
}

/* -- whole stacks --------------------------------------------------------------------------------------------------- */

static uint32_t location_locked(lt_tables *tables, lt_stack_reader *reader, lt_position at) {
    uint64_t key = (uint64_t)(uintptr_t)at.code + (uint64_t)(uint32_t)at.lasti * 0x9e3779b97f4a7c15ULL;
    lt_cached_location *c = &reader->cache[lt_hash_u64(key) & (LT_LOCATION_CACHE_SIZE - 1)];
    uint64_t identity = lt_code_identity_inhook(at.code);
    if (c->code == at.code && c->lasti == at.lasti && c->identity == identity) {
        return c->location;
    }
    uint32_t location = intern_code_locked(tables, reader, at);
    if (location != LT_NONE) {
        *c = (lt_cached_location){at.code, identity, at.lasti, location};
    }
    return location;
}

uint32_t lt_frames_read_locked(lt_tables *tables, lt_stack_reader *reader, lt_domain domain, int max_frames) {
    if (reader->compactions != tables->compactions) {
        memset(reader->cache, 0, sizeof(reader->cache));
        reader->compactions = tables->compactions;
    }
    walked walk = walk_inhook(domain, reader->positions, max_frames);
    uint32_t *locations = reader->locations;
    uint32_t depth = 0;
    for (int i = 0; i < walk.depth; i++) {
        locations[depth++] = location_locked(tables, reader, reader->positions[i]);
    }
    if (walk.is_native) {
        locations[depth++] = intern_marker_locked(tables, "<native thread>");
    } else if (walk.is_truncated) {
        locations[depth++] = intern_marker_locked(tables, "<truncated>");
    } else if (depth == 0) {
        locations[depth++] = intern_marker_locked(tables, "<interpreter>"); /* start-up and shutdown run no code */
    }
    for (uint32_t i = 0; i < depth; i++) {
        if (locations[i] == LT_NONE) {
            return LT_NONE;
        }
    }
    return lt_intern_stack_locked(tables, locations, depth);
}

size_t lt_frames_caller_inhook(char *file, int32_t *line) {
    lt_position at;
    if (walk_inhook(LT_OBJ, &at, 1).depth == 0 || !PyUnicode_Check(at.code->co_filename)) {
        return 0;
    }
    *line = line_inhook(at.code, at.lasti);
    return encode_inhook(at.code->co_filename, file);
}

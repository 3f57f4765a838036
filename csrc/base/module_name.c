#include "base/module_name.h"

#include <stdbool.h>
#include <string.h>

static bool starts_with(lt_text text, const char *prefix) {
    size_t bytes = strlen(prefix);
    return text.bytes >= bytes && memcmp(text.data, prefix, bytes) == 0;
}

static bool ends_with(lt_text text, const char *suffix) {
    size_t bytes = strlen(suffix);
    return text.bytes >= bytes && memcmp(text.data + text.bytes - bytes, suffix, bytes) == 0;
}

static size_t root_bytes(const lt_pprof_header *header, lt_text file) {
    size_t longest = 0;
    for (size_t i = 0; i < header->root_count; i++) {
        lt_text root = header->roots[i];
        while (root.bytes > 0 && root.data[root.bytes - 1] == '/') {
            root.bytes--;
        }
        if (root.bytes > 0 && file.bytes > root.bytes && file.data[root.bytes] == '/' &&
            memcmp(file.data, root.data, root.bytes) == 0 && root.bytes + 1 > longest) {
            longest = root.bytes + 1;
        }
    }
    return longest;
}

size_t lt_module_name(const lt_pprof_header *header, lt_text file, char *out, size_t room) {
    if (file.bytes > 0 && file.bytes == header->script.bytes && memcmp(file.data, header->script.data, file.bytes) == 0) {
        file = (lt_text){"__main__", strlen("__main__")};
    } else if (starts_with(file, "<frozen ") && ends_with(file, ">")) {
        file.data += strlen("<frozen ");
        file.bytes -= strlen("<frozen ") + 1;
    } else if (!starts_with(file, "<")) {
        size_t root = root_bytes(header, file);
        if (root == 0) {
            for (size_t i = 0; i < file.bytes; i++) {
                root = file.data[i] == '/' ? i + 1 : root;
            }
        }
        file.data += root;
        file.bytes -= root;
        if (ends_with(file, ".py")) {
            file.bytes -= strlen(".py");
        }
        if (ends_with(file, "/__init__")) {
            file.bytes -= strlen("/__init__");
        }
    }
    size_t bytes = file.bytes;
    if (bytes > room) {
        bytes = room;
        while (bytes > 0 && (file.data[bytes] & 0xc0) == 0x80) {
            bytes--; /* half a character would make the whole profile unreadable */
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        out[i] = file.data[i] == '/' ? '.' : file.data[i];
    }
    return bytes;
}

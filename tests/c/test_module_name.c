/* base/module_name.c: dotted names from file names. */
#include "base/module_name.h"
#include "check.h"

#include <string.h>

static lt_text text(const char *s) {
    return (lt_text){s, strlen(s)};
}

static const char *module_of(const char *file, const char *script, const char *const *roots) {
    static char name[512 + 1];
    lt_text root_texts[8];
    lt_pprof_header header = {.roots = root_texts, .script = text(script)};
    for (; roots[header.root_count] != NULL; header.root_count++) {
        root_texts[header.root_count] = text(roots[header.root_count]);
    }
    name[lt_module_name(&header, text(file), name, 512)] = '\0';
    return name;
}

#define ROOTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void check_name(const char *file, const char *const *roots, const char *expected) {
    const char *name = module_of(file, "/app/main.py", roots);
    if (strcmp(name, expected) != 0) {
        fprintf(stderr, "module of %s is %s, expected %s\n", file, name, expected);
        exit(1);
    }
}

static void a_file_less_its_root_is_the_module(void) {
    check_name("/site/pkg/mod.py", ROOTS("/site"), "pkg.mod");
    check_name("/site/mod.py", ROOTS("/site"), "mod");
    check_name("/site/a/b/c.py", ROOTS("/other", "/site/"), "a.b.c");
    check_name("/site/native/mod.so", ROOTS("/site"), "native.mod.so");
}

static void the_longest_root_wins(void) {
    check_name("/usr/lib/python3/site/pkg/mod.py", ROOTS("/usr/lib/python3", "/usr/lib/python3/site", "/usr"), "pkg.mod");
    check_name("/usr/lib/python3/json/decoder.py", ROOTS("/usr/lib/python3/site", "/usr/lib/python3"), "json.decoder");
}

static void a_root_ends_at_a_slash(void) {
    check_name("/site-packages/mod.py", ROOTS("/site"), "mod");
    check_name("/site", ROOTS("/site"), "site");
    check_name("/app/pkg/mod.py", ROOTS("/", ""), "mod");
}

static void a_package_is_its_init_file(void) {
    check_name("/site/pkg/__init__.py", ROOTS("/site"), "pkg");
    check_name("/site/pkg/sub/__init__.py", ROOTS("/site"), "pkg.sub");
    check_name("/site/__init__.py", ROOTS("/site"), "__init__");
}

static void the_script_is_main(void) {
    check_name("/app/main.py", ROOTS("/app"), "__main__");
    check_name("/app/main.pyx", ROOTS("/app"), "main.pyx");
    CHECK_EQUAL(strcmp(module_of("", "", ROOTS(NULL)), ""), 0);
}

static void frozen_modules_carry_their_name(void) {
    check_name("<frozen importlib._bootstrap>", ROOTS("/site"), "importlib._bootstrap");
    check_name("<frozen >", ROOTS(NULL), "");
    check_name("<frozen ", ROOTS(NULL), "<frozen ");
}

static void what_is_no_file_stays_as_it_is(void) {
    check_name("<string>", ROOTS("/site"), "<string>");
    check_name("<stdin>", ROOTS(NULL), "<stdin>");
}

static void a_file_under_no_root_keeps_its_last_part(void) {
    check_name("/elsewhere/pkg/mod.py", ROOTS("/site"), "mod");
    check_name("mod.py", ROOTS("/site"), "mod");
}

static void a_long_name_is_cut_between_characters(void) {
    char file[2048] = "/site/";
    /* One, two, three or four letters first, so that the cut falls on each byte of a four-byte character. */
    for (int lead = 1; lead <= 4; lead++) {
        size_t n = strlen("/site/");
        memset(file + n, 'a', (size_t)lead);
        for (n += (size_t)lead; n + 4 < 1000; n += 4) {
            memcpy(file + n, "\xf0\x9f\x90\x8d", 4);
        }
        file[n] = '\0';
        size_t bytes = strlen(module_of(file, "", ROOTS("/site")));
        CHECK(bytes > 508 && bytes <= 512);
        CHECK_EQUAL((bytes - (size_t)lead) % 4, 0);
    }
}

int main(void) {
    static const lt_test tests[] = {
        TEST(a_file_less_its_root_is_the_module),
        TEST(the_longest_root_wins),
        TEST(a_root_ends_at_a_slash),
        TEST(a_package_is_its_init_file),
        TEST(the_script_is_main),
        TEST(frozen_modules_carry_their_name),
        TEST(what_is_no_file_stays_as_it_is),
        TEST(a_file_under_no_root_keeps_its_last_part),
        TEST(a_long_name_is_cut_between_characters),
    };
    return RUN_TESTS(tests);
}

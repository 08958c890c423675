/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <dirent.h>

#include "base/fd.h"
#include "base/strbuf.h"

/* Gives a fuzz target its corpus without a fuzzer: each file whole, and the smaller ones cut off at
 * each byte too. Speaks TAP. The corpus is named by the program ("fuzz-lexer" reads corpus/lexer),
 * or the files by the arguments. */

#define INPUT_MAX (16 * 1024 * 1024)
#define CUT_MAX   2048

/* A copy that ends where the input ends, so that the sanitizers see a read beyond it. */
static void give(const void *data, size_t size) {
        _cleanup_free_ uint8_t *copy = malloc(size);

        if (size > 0) {
                FUZZ_ASSERT(copy);
                memcpy(copy, data, size);
        }
        LLVMFuzzerTestOneInput(copy, size);
}

static bool replay_file(const char *path, size_t number) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        r = file_read(path, INPUT_MAX, &data, &size);
        if (r < 0) {
                printf("not ok %zu - %s: %s\n", number, path, strerror(-r));
                return false;
        }
        give(data, size);
        for (size_t cut = 0; cut < size && size <= CUT_MAX; cut++)
                give(data, cut);
        printf("ok %zu - %s\n", number, path);
        fflush(stdout);
        return true;
}

static bool replay_folder(const char *folder, size_t *number) {
        DIR *d = opendir(folder);
        bool good = true;

        if (!d) {
                printf("not ok 1 - %s: %m\n", folder);
                return false;
        }
        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_strbuf_ StrBuf path = {};

                if (e->d_name[0] == '.')
                        continue;
                strbuf_printf(&path, "%s/%s", folder, e->d_name);
                FUZZ_ASSERT(!path.failed);
                good = replay_file(path.text, ++*number) && good;
        }
        closedir(d);
        return good;
}

int main(int argc, char *argv[]) {
        const char *name = strrchr(argv[0], '/'), *srcdir = getenv("srcdir");
        size_t number = 0;
        bool good = true;

        name = strstr(name ? name : argv[0], "fuzz-");
        if (argc > 1)
                for (int i = 1; i < argc; i++)
                        good = replay_file(argv[i], ++number) && good;
        else {
                _cleanup_strbuf_ StrBuf folder = {};

                FUZZ_ASSERT(name);
                strbuf_printf(&folder, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
                              name + strlen("fuzz-"));
                FUZZ_ASSERT(!folder.failed);
                good = replay_folder(folder.text, &number);
        }
        printf("1..%zu\n", number);
        return good && number > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

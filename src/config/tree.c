/* SPDX-License-Identifier: MIT */
#include "config/tree.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "base/text.h"
#include "config/lexer.h"

static const char *const search_path[] = {
        "/etc/vitald", "/run/vitald", "/usr/local/lib/vitald", "/usr/lib/vitald", NULL,
};

static void tree_file_done(TreeFile *f) {
        free(f->name);
        free(f->path);
}

void tree_list_done(TreeList *l) {
        for (size_t i = 0; i < l->n; i++)
                tree_file_done(&l->items[i]);
        free(l->items);
        *l = (TreeList){};
}

static int tree_list_append(TreeList *l, const char *folder, const char *name) {
        _cleanup_strbuf_ StrBuf path = {};
        TreeFile *f;

        if (l->n == l->n_allocated) {
                size_t n = MAX(l->n_allocated * 2, (size_t) 16);
                TreeFile *items = reallocarray(l->items, n, sizeof(TreeFile));

                if (!items)
                        return -ENOMEM;
                l->items = items;
                l->n_allocated = n;
        }
        f = &l->items[l->n];
        *f = (TreeFile){ .name = strdup(name) };
        strbuf_printf(&path, "%s/%s", folder, name);
        if (!f->name || strbuf_finish(&path, &f->path) < 0) {
                tree_file_done(f);
                return -ENOMEM;
        }
        l->n++;
        return 0;
}

static bool name_is_conf(const char *name) {
        size_t n = strlen(name);

        return name[0] != '.' && n > strlen(".conf") &&
               str_equal(name + n - strlen(".conf"), ".conf");
}

/* Adds what one directory holds. */
static int tree_list_directory(TreeList *l, const char *path, Diagnostics *d) {
        DIR *dir = opendir(path);
        int r = 0;

        if (!dir) {
                if (errno == ENOMEM)
                        return -ENOMEM;
                if (errno != ENOENT)
                        diagnostics_add(d, path, 0, "cannot be listed: %s", strerror(errno));
                return 0;
        }
        for (;;) {
                struct dirent *e;

                errno = 0;
                e = readdir(dir);
                if (!e)
                        break;
                if (!name_is_conf(e->d_name))
                        continue;
                if (l->n >= TREE_FILES_MAX) {
                        diagnostics_add(d, path, 0, "more than %d files", TREE_FILES_MAX);
                        errno = 0;
                        break;
                }
                r = tree_list_append(l, path, e->d_name);
                if (r < 0)
                        break;
        }
        if (r == 0 && errno != 0)
                diagnostics_add(d, path, 0, "cannot be listed: %s", strerror(errno));
        closedir(dir);
        return r;
}

static int tree_file_compare(const void *a, const void *b) {
        const TreeFile *x = a, *y = b;

        return strcmp(x->name, y->name);
}

/* Takes the files of one more directory, those that an earlier one has excepted. l is sorted. */
static void tree_list_merge(TreeList *l, size_t n_earlier) {
        size_t kept = n_earlier;

        for (size_t i = n_earlier; i < l->n; i++)
                if (n_earlier > 0 &&
                    bsearch(&l->items[i], l->items, n_earlier, sizeof(TreeFile), tree_file_compare))
                        tree_file_done(&l->items[i]);
                else
                        l->items[kept++] = l->items[i];
        l->n = kept;
        if (l->n > 0)
                qsort(l->items, l->n, sizeof(TreeFile), tree_file_compare);
}

int tree_list_in(const char *const places[], const char *root, const char *folder, Diagnostics *d,
                 TreeList *ret) {
        TreeList l = {};
        int r;

        for (size_t i = 0; places[i]; i++) {
                _cleanup_strbuf_ StrBuf path = {};
                size_t n_earlier = l.n;

                strbuf_printf(&path, "%s%s%s%s", root ? root : "", places[i], *folder ? "/" : "",
                              folder);
                r = path.failed ? -ENOMEM : tree_list_directory(&l, path.text, d);
                if (r < 0) {
                        tree_list_done(&l);
                        return r;
                }
                tree_list_merge(&l, n_earlier);
        }
        for (size_t i = 0; i < l.n; i++) {
                struct stat st;

                l.items[i].is_masked = stat(l.items[i].path, &st) == 0 && S_ISCHR(st.st_mode) &&
                                       st.st_rdev == makedev(1, 3);
        }
        *ret = l;
        return 0;
}

int tree_list(const char *root, const char *folder, Diagnostics *d, TreeList *ret) {
        return tree_list_in(search_path, root, folder, d, ret);
}

void tree_list_cut_suffix(TreeList *l) {
        for (size_t i = 0; i < l->n; i++)
                l->items[i].name[strlen(l->items[i].name) - strlen(".conf")] = 0;
        if (l->n > 0)
                qsort(l->items, l->n, sizeof(TreeFile), tree_file_compare);
}

const TreeFile *tree_list_find(const TreeList *l, const char *name) {
        for (size_t i = 0; i < l->n; i++)
                if (str_equal(l->items[i].name, name))
                        return &l->items[i];
        return NULL;
}

int tree_read(const char *path, Diagnostics *d, char **ret, size_t *ret_size) {
        int r;

        r = file_read(path, LEX_FILE_MAX, ret, ret_size);
        if (r == 0 && *ret_size > 0)
                return 0;
        if (r == -ENOMEM)
                return r;
        if (r == 0)
                diagnostics_add(d, path, 0,
                                "is empty; to mask a file, make it a link to /dev/null");
        else if (r == -EISDIR)
                diagnostics_add(d, path, 0, "is a directory, not a file");
        else if (r == -EBADFD)
                diagnostics_add(d, path, 0, "is not a regular file");
        else if (r == -EFBIG)
                diagnostics_add(d, path, 0, "is larger than 1 MiB");
        else
                diagnostics_add(d, path, 0, "cannot be read: %s", strerror(-r));
        if (r < 0) {
                *ret = NULL;
                *ret_size = 0;
        }
        return 0;
}

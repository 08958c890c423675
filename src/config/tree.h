/* SPDX-License-Identifier: MIT */
#pragma once

/* Where configuration files are found: the same folder below each directory of the search path,
 * first wins by file name. Called by the loader. */

#include "model/diagnostics.h"

/* Files of one folder that are looked at; more are a fault. */
#define TREE_FILES_MAX 20000

typedef struct TreeFile {
        char *name;     /* owned: "orders.conf" */
        char *path;     /* owned: with the root in front */
        bool is_masked; /* leads to /dev/null: as if it were nowhere */
} TreeFile;

/* Zero-initialise; tree_list_done() takes it in any state. */
typedef struct TreeList {
        TreeFile *items; /* owned, sorted by name */
        size_t n, n_allocated;
} TreeList;

void tree_list_done(TreeList *l);

/* All "*.conf" of a folder ("services", "vitald.conf.d", "" for the top), hidden files left out.
 * What cannot be listed is a diagnostic. root may be NULL. 0 or -ENOMEM. */
int tree_list(const char *root, const char *folder, Diagnostics *d, TreeList *ret);

/* The same in other places than vitald's; these end with NULL. */
int tree_list_in(const char *const places[], const char *root, const char *folder, Diagnostics *d,
                 TreeList *ret);

/* Cuts ".conf" off the names and sorts by what is left: "a" before "a-b". */
void tree_list_cut_suffix(TreeList *l);

/* The file of that name, or NULL. */
const TreeFile *tree_list_find(const TreeList *l, const char *name);

/* The text of a file, the caller's to free. What cannot be read is a diagnostic and gives an empty
 * text. So does an empty file: it is what a disk that was full leaves behind, and no way to mask.
 * 0 or -ENOMEM. */
int tree_read(const char *path, Diagnostics *d, char **ret, size_t *ret_size);

/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the loader share: two check types, real trees of files below a root of their
 * own, and what was loaded as a text. */

#include "unit.h"

#include "base/address.h"
#include "config/loader.h"

/* Type=plain: a required Address=, one key of each kind that the loader treats in its own way. */
typedef struct PlainSettings {
        Address address;
        char *text;
        char **codes;
        Credential password;
        HeaderCredentials headers;
} PlainSettings;

/* "plain" and "disk"; there is no "memory", which the built-in service has too. */
extern const CheckTypes loader_types;

/* In place of a text: what else stands under the name. */
#define LINK_TO_NULL "\001"
#define DIRECTORY    "\002"
#define FIFO         "\003"

typedef struct File {
        const char *path, *text; /* the path is below the root; ends with a NULL path */
} File;

typedef struct Tree {
        char root[64];
} Tree;

/* A good check that measures "free" bytes and "free_inodes", two lines long. */
#define DISK "[Check disk]\nType=disk\n"

/* A good check, three lines long. */
#define GOOD "[Check app]\nType=plain\nAddress=127.0.0.1:80\n"

Tree tree_make(const File *files);
void tree_remove(const Tree *t);
void tree_path(const Tree *t, const char *path, char *buf, size_t size);
void tree_add(const Tree *t, const char *path, const char *text);
void tree_add_bytes(const Tree *t, const char *path, const void *bytes, size_t n);

Config *tree_load_from(const Tree *t, const char *credentials, bool is_reload);

/* Loads and removes the tree; without credentials. */
Config *files_load(const File *files);

/* What --verify says of it, without the linter; the caller's to free. */
char *verification_of(const Config *c);

/* The text with every place of the root cut out, the caller's to free. */
char *without_root(const char *text);

/* All diagnostics without the root, the caller's to free. */
char *faults_of(const Config *c);
void assert_faults(const Config *c, const char *expected);

/* "orders(database cache) web!()": services in order, checks in order, "!" for a defect; the
 * built-in host, which is always there, left out. */
void assert_outline(const Config *c, const char *expected);

const CheckConfig *check_of(const Config *c, const char *service, const char *check);
const ServiceConfig *service_of(const Config *c, const char *service);

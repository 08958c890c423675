/* SPDX-License-Identifier: MIT */
#pragma once

/* What loader.c (vitald.conf, and the whole) and service-loader.c share. */

#include "config/document.h"
#include "config/loader.h"
#include "config/shared.h"

/* What services take from elsewhere: as the files say, or as their last good copies did. */
typedef struct Surroundings {
        Document main;           /* vitald.conf */
        const Section *defaults; /* borrowed from it, or NULL */
        SharedChecks shared;
        bool is_good;
} Surroundings;

typedef struct Loader {
        const ConfigSources *sources; /* borrowed */
        CredentialStore credentials;
        Config *config; /* owned by the caller */
        Surroundings files, copies;
        Config *copy; /* owned: vitald.conf as its copy says; NULL: copies are not read yet */
        size_t n_checks_allocated;
} Loader;

static inline size_t diagnostics_count(const Diagnostics *d) {
        return d->n + d->n_left_out;
}

/* The text of the fault with that number, for a defect. 0 or -ENOMEM. */
int loader_fault_text(const Loader *l, size_t i, char **ret);

/* Anything found since first_fault puts the whole host out. */
int loader_host_defect(Loader *l, size_t first_fault);

/* The drop-ins of "services/orders.conf". */
int loader_drop_ins(Loader *l, const char *file, TreeList *ret);

/* A section that fills one struct. */
int loader_section(Loader *l, const Section *s, const Schema *schema, void *settings,
                   bool is_for_all);

void loader_unknown_section(Loader *l, const Section *s, const char *const *known);

CheckSources loader_check_sources(Loader *l, const Surroundings *from);

/* Reads the last good copies of what services take from elsewhere, once. 0 or -ENOMEM; whether they
 * are good stands in l->copies. */
int loader_read_copies(Loader *l);

/* All services, the built-in one among them. */
int loader_services(Loader *l);

/* The service of config_load_text(). */
int loader_service_text(Loader *l, const char *name, const char *text);

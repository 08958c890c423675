/* SPDX-License-Identifier: MIT */
#pragma once

/* Makes one check of its section. Called by the loader. */

#include "config/credential.h"
#include "config/document.h"
#include "model/config.h"

typedef struct SharedCheck SharedCheck;

typedef struct CheckSources {
        const char *service;       /* borrowed: the service's name */
        const char *name;          /* borrowed: the check's */
        const Section *section;    /* [Check NAME] */
        const SharedCheck *shared; /* borrowed: what From= names; NULL: nothing */
        const Section *defaults;   /* [Defaults], or NULL; its own faults are listed elsewhere */
        CheckTypes types;
        CredentialStore *credentials;
} CheckSources;

/* 0 with the check, an owned reference; with NULL when the section is at fault, which the
 * diagnostics say; -ENOMEM. */
int check_load(const CheckSources *sources, Diagnostics *d, CheckConfig **ret);

/* The type that a section asks for, or NULL. */
const CheckType *check_load_type(const CheckSources *sources);

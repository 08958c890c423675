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
        const CheckTypes *types;
        CredentialStore *credentials;
        bool is_copy; /* the section is of a last good copy, which vitald's own user can change */
} CheckSources;

/* Why a remote check does not feed liveness. */
#define CHECK_REMOTE_LIVENESS                                                                      \
        "liveness must not depend on another host, whose outage would become a storm of restarts " \
        "here; AllowRemoteLiveness=yes says that it is meant"

bool check_config_is_remote_liveness(const CheckConfig *c);

/* 0 with the check, an owned reference; with NULL when the section is at fault, which the
 * diagnostics say; -ENOMEM. */
int check_load(const CheckSources *sources, Diagnostics *d, CheckConfig **ret);

/* The type that a section asks for, or NULL. */
const CheckType *check_load_type(const CheckSources *sources);

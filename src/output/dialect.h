/* SPDX-License-Identifier: MIT */
#pragma once

/* The verdicts in the words of other products, for tools that read those already. A dialect renders
 * the same view as the path's own body would; the status is the path's. Each is one file that ends
 * with its Dialect, and one line in dialects.def. */

#include "output/http-parse.h"
#include "output/render.h"

typedef struct Dialect {
        const char *name;               /* as in ?format= */
        const char *const *media_types; /* that ask for it in Accept:, ends with NULL; or NULL */
        const char *content_type;
        bool is_plain;     /* Accept: asks for it only if it asks less for JSON */
        bool is_always_ok; /* to its readers any status but 200 is no answer */
        void (*render)(const RenderView *v, StrBuf *out);
} Dialect;

/* What asks for the path's own body. */
#define DIALECT_OWN_NAME "json"

/* What ?verbose means by itself. */
#define DIALECT_VERBOSE_NAME "text"

/* By its name in a query. False: there is none. *ret is NULL for the path's own body. */
bool dialect_find(HttpSlice name, const Dialect **ret);

/* The one that a client wants by its Accept:, or NULL for the path's own body; there is always an
 * answer. */
const Dialect *dialect_accept(HttpSlice accept);

/* "json aspnet azure …" */
void dialect_append_names(StrBuf *out);

/* -- what dialects have in common (dialect-view.c) --------------------------------------------- */

typedef enum Grade {
        GRADE_PASS,
        GRADE_WARN,    /* yes, but */
        GRADE_FAIL,    /* no */
        GRADE_UNKNOWN, /* nobody knows, which is no, too; of checks only */
        GRADE_COUNT_,
} Grade;

/* The answer to the view's probe. */
Grade dialect_grade(const RenderView *v);

/* That of one check to the same question. */
Grade dialect_check_grade(const RenderView *v, const RenderWalk *w);

/* The next check that the view's probe depends on, or any in a report; or NULL. */
const CheckState *dialect_walk_next(RenderWalk *w, const RenderView *v);

/* Why not, where no check is the cause: a word, "drained" or "starting", and a text. NULL if there
 * is no such thing. */
const char *dialect_obstacle(const RenderView *v, char text[static RENDER_TEXT_MAX]);

/* The worst cause of the verdict in words, or "" if all is well. Returns buf. */
#define DIALECT_CAUSE_MAX (CHECK_ID_MAX + RENDER_TEXT_MAX)
const char *dialect_cause(char buf[static DIALECT_CAUSE_MAX], const RenderView *v);

/* Members for the measured values, each name once. */
void dialect_write_values(JsonWriter *w, const CheckState *c);

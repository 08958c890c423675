/* SPDX-License-Identifier: MIT */
#pragma once

/* A table-driven key of a configuration section: how its text becomes a typed field of a struct.
 * Check types bring a table of their own options; the common sections have theirs in config.c. The
 * loader walks the tables; it knows no key by name. */

#include "base/clock.h"
#include "base/strbuf.h"

#define OPTION_WHY_MAX 256

typedef struct Option Option;

/* Looks a credential up by name. Returns 0 and the secret (owned by the caller, wiped when freed)
 * or negative errno; why then says what is wrong, e.g. "Credential orders-db not configured". */
typedef int (*CredentialLookup)(void *userdata, const char *name, char **ret_secret,
                                char why[static OPTION_WHY_MAX]);

typedef struct OptionType {
        const char *expected; /* for messages: "a time span such as 5s or 1min 30s" */

        /* Repeating the key in one file is meant: parse() appends. The first assignment of a
         * section replaces the fallback, the following ones add to it. */
        bool is_list;

        /* Text to field. 0, -EINVAL or -ERANGE with why set, or -ENOMEM. The field is all zero,
         * that of a list type holds what came before, and stays as it was on an error. */
        int (*parse)(const Option *o, const char *value, void *field,
                     char why[static OPTION_WHY_MAX]);

        /* Frees what the field owns, wiping secrets, and makes it all zero. NULL: owns nothing. */
        void (*clear)(void *field);

        /* Appends a text from which equal fields can be told, to the canonical text of the
         * settings. Secrets go in as a hash only. */
        void (*canonical)(const Option *o, const void *field, StrBuf *out);

        /* Credentials only: fetches the secret after parsing. */
        int (*resolve)(void *field, CredentialLookup lookup, void *userdata,
                       char why[static OPTION_WHY_MAX]);

        /* Credentials only: makes asterisks of the secret wherever it stands in the text. */
        void (*hide)(const void *field, char *text);

        size_t size; /* of the field, in bytes */
} OptionType;

enum {
        OPTION_REQUIRED = 1 << 0,
        OPTION_OWN = 1 << 1,   /* means something for one check only: not in [Defaults] */
        OPTION_RUN = 1 << 2,   /* of how a check is run: stands where its type does */
        OPTION_GRADE = 1 << 3, /* of how its runs are judged: not for checks that have none */
        OPTION_POWER = 1 << 4, /* lets it do what vitald's own user may not: only files that belong
                                * to the administrator may say it */
};

struct Option {
        const char *key;
        const OptionType *type;
        size_t offset;            /* of the field in the settings struct */
        const char *fallback;     /* the default as text, parsed like any other; NULL: all zero */
        uint64_t min, max;        /* bounds of numbers (times in microseconds); max 0: no bounds */
        const char *const *words; /* for option_word and option_words: ends with NULL */
        unsigned flags;
};

typedef struct Schema {
        const Option *options; /* borrowed, constant */
        size_t n;
} Schema;

#define SCHEMA(table) \
        { .options = (table), .n = ELEMENTSOF(table) }

/* A value as it may stand in a message: one line, cut, "***" for what looks like a password and all
 * behind it. Never for a value that is a secret as a whole. Returns buf. */
#define OPTION_VALUE_SHOWN_MAX 80
const char *option_show(char buf[static OPTION_VALUE_SHOWN_MAX], const char *value);

/* The option with this key, or NULL. */
const Option *schema_find(const Schema *s, const char *key);

/* The key nearest to a misspelt one, or NULL if none is near. */
const char *schema_nearest(const Schema *s, const char *key);

/* Makes settings all zero, then sets every fallback. 0 or -ENOMEM; a fallback that does not parse
 * is our own bug. */
int schema_init(const Schema *s, void *settings);

/* Frees all that the fields own. */
void schema_clear(const Schema *s, void *settings);

/* Sets one option from its text; the empty text resets it to its fallback. why always holds a
 * sentence that names the value when the result is -EINVAL or -ERANGE. Lists append: who wants the
 * fallback replaced calls option_clear() before the first. */
int schema_set(const Schema *s, void *settings, const Option *o, const char *value,
               char why[static OPTION_WHY_MAX]);

/* Frees what one option's field owns and makes it all zero. */
void option_clear(const Option *o, void *settings);

/* Fetches the secrets of all credentials that are named. 0, -ENOMEM, or what the lookup says, with
 * why set. */
int schema_resolve(const Schema *s, void *settings, CredentialLookup lookup, void *userdata,
                   char why[static OPTION_WHY_MAX]);

/* Makes asterisks of all these secrets in the text: a peer may say in its complaint what it was
 * told. */
void schema_hide_secrets(const Schema *s, const void *settings, char *text);

/* "Key=value" lines of all options in table order, with defaults: equal texts mean equal settings.
 */
void schema_canonical(const Schema *s, const void *settings, StrBuf *out);

/* -- field types ------------------------------------------------------------------------------- */

extern const OptionType option_string;   /* char * (owned); "" is not accepted */
extern const OptionType option_strv;     /* char ** (owned), each assignment appends one */
extern const OptionType option_bool;     /* bool */
extern const OptionType option_unsigned; /* uint64_t, within min and max */
extern const OptionType option_timespan; /* usec_t, within min and max */
extern const OptionType option_size;     /* uint64_t bytes */
extern const OptionType option_amount;   /* Amount: bytes or percent */
extern const OptionType option_word;     /* unsigned: index into words */
extern const OptionType option_words;    /* unsigned: bit mask of indices, blank-separated words */
extern const OptionType option_path;     /* char * (owned): absolute, normalised, no ".." */
extern const OptionType option_paths;    /* char ** (owned), each assignment appends one path */
extern const OptionType option_address;  /* Address of base/address.h; min is the default port, 0: a
                                            port is needed */
extern const OptionType option_credential; /* Credential */
extern const OptionType
        option_header_credential;            /* HeaderCredentials: "Header-Name: NAME", a list */
extern const OptionType option_unit_pattern; /* char * (owned): a unit's name with %s in it */
extern const OptionType option_unit;  /* char * (owned): a systemd unit name with its suffix */
extern const OptionType option_units; /* char ** (owned), each assignment appends one unit name */

/* An amount of something whose whole is known only when it is looked at. */
typedef struct Amount {
        bool is_set;
        uint64_t bytes;      /* or count of inodes */
        uint32_t millionths; /* of the whole, when bytes is 0 */
} Amount;

/* The amount in the unit of the whole. */
uint64_t amount_of(const Amount *a, uint64_t whole);

#define CREDENTIAL_NAME_MAX    128
#define HEADER_CREDENTIALS_MAX 32

/* A secret by its name. secret stays NULL until resolve() found it. */
typedef struct Credential {
        char *name;   /* owned */
        char *secret; /* owned, wiped when freed */
} Credential;

typedef struct HeaderCredential {
        char *header; /* owned */
        Credential credential;
} HeaderCredential;

typedef struct HeaderCredentials {
        HeaderCredential *items; /* owned */
        size_t n;
} HeaderCredentials;

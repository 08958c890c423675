/* SPDX-License-Identifier: MIT */
#pragma once

/* A connection to vitald: its private socket where there is one that we may use, else the bus.
 * Every call here waits for its answer, but never longer than CLIENT_TIMEOUT_USEC unless said. */

#include <stdarg.h>

#include "ctl/model.h"

#define CLIENT_TIMEOUT_USEC (5 * USEC_PER_SEC)

typedef enum ClientBus {
        CLIENT_BUS_ANY, /* the private socket, then the system bus */
        CLIENT_BUS_SYSTEM,
        CLIENT_BUS_USER,
} ClientBus;

typedef struct ClientOptions {
        const char *runtime_directory; /* borrowed; asked for by name, so no other one will do */
        ClientBus bus;
} ClientOptions;

typedef struct Client {
        sd_bus *bus;    /* owned */
        bool is_direct; /* on the private socket */
        bool has_news;  /* something was signalled since the last client_get*() began */
        bool is_lost;   /* vitald has gone from the other end */
} Client;

/* -EHOSTDOWN when there is no vitald, -ETIMEDOUT when there is one that does not answer, -EACCES
 * when it is not for us; tried (may be NULL) then tells where it was looked for. Asking never
 * starts vitald. */
int client_open(const ClientOptions *options, char ***ret_tried, Client **ret);
Client *client_free(Client *c);
DEFINE_CLEANUP(Client *, client_free);

/* Whether the errno of any function here means that vitald cannot be reached (any more). */
bool client_is_unreachable(int r);

/* One consistent picture of everything. */
int client_get_view(Client *c, View **ret);

/* One object alone, for those who need no more. -ENOENT: there is no such object. */
int client_get_fields(Client *c, const char *path, const char *interface, const Fields *fields,
                      void *ret);

/* Calls a method. error is the caller's; ret may be NULL. -ENOENT: no such object. timeout_usec: 0
 * for the usual one. types may be NULL. */
int client_call(Client *c, const char *path, const char *interface, const char *method,
                usec_t timeout_usec, sd_bus_error *error, sd_bus_message **ret, const char *types,
                ...);
int client_call_v(Client *c, const char *path, const char *interface, const char *method,
                  usec_t timeout_usec, sd_bus_error *error, sd_bus_message **ret, const char *types,
                  va_list ap);

/* From now on vitald's signals count as news. */
int client_subscribe(Client *c);

/* Waits until there is news, vitald is lost, or CLOCK_MONOTONIC reaches the deadline
 * (USEC_INFINITY: none). 0, -ETIMEDOUT, or negative errno; has_news and is_lost tell the rest. */
int client_wait(Client *c, usec_t deadline);

/* SPDX-License-Identifier: MIT */
#include "ctl/client.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strbuf.h"

#define PRIVATE_NAME      "private"
#define DIRECTORY_DEFAULT "/run/vitald"
#define VIEW_ATTEMPTS     10

/* -- opening ----------------------------------------------------------------------------------- */

_printf_(2, 3) static int tried_append(char ***tried, const char *format, ...) {
        _cleanup_strbuf_ StrBuf b = {};
        va_list ap;

        va_start(ap, format);
        strbuf_vprintf(&b, format, ap);
        va_end(ap);
        return b.failed ? -ENOMEM : strv_append(tried, b.text);
}

/* Until the handshake is over: a vitald that hangs accepts connections all the same. */
static int wait_until_ready(sd_bus *bus) {
        usec_t deadline = usec_add(clock_usec(CLOCK_MONOTONIC), CLIENT_TIMEOUT_USEC);
        int r;

        while ((r = sd_bus_is_ready(bus)) == 0) {
                usec_t left = usec_sub(deadline, clock_usec(CLOCK_MONOTONIC));

                if (left == 0)
                        return -ETIMEDOUT;
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                r = sd_bus_wait(bus, left);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_set_method_call_timeout(bus, CLIENT_TIMEOUT_USEC);
}

/* No call of ours shall start vitald, so its name must have an owner already. */
static int bus_open(bool is_user, sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = is_user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        r = wait_until_ready(bus);
        if (r < 0)
                return r;
        r = sd_bus_get_name_creds(bus, VITALD_NAME, 0, NULL);
        if (r < 0)
                return r;
        *ret = TAKE(bus);
        return 0;
}

static int try_bus(bool is_user, char ***tried, sd_bus **ret) {
        const char *name = is_user ? "user bus" : "system bus";
        int r;

        r = bus_open(is_user, ret);
        if (r >= 0)
                return 0;
        if (r == -ENXIO)
                (void) tried_append(tried, "%s: no %s there", name, VITALD_NAME);
        else
                (void) tried_append(tried, "%s: %s", name, strerror(-r));
        return r == -ETIMEDOUT ? r : -EHOSTDOWN;
}

static int socket_connect(const char *path, int *ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_fd_ int fd = -1;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno; /* a full queue: nobody accepts */
        *ret = TAKE_FD(fd);
        return 0;
}

static int private_open(const char *path, sd_bus **ret) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        r = socket_connect(path, &fd);
        if (r < 0)
                return r;
        if ((r = sd_bus_new(&bus)) < 0 || (r = sd_bus_set_fd(bus, fd, fd)) < 0)
                return r;
        TAKE_FD(fd);
        if ((r = sd_bus_start(bus)) < 0 || (r = wait_until_ready(bus)) < 0)
                return r;
        *ret = TAKE(bus);
        return 0;
}

static int try_directory(const char *directory, char ***tried, sd_bus **ret) {
        _cleanup_strbuf_ StrBuf path = {};
        int r;

        strbuf_printf(&path, "%s/%s", directory, PRIVATE_NAME);
        if (path.failed)
                return -ENOMEM;
        r = private_open(path.text, ret);
        if (r >= 0)
                return 0;
        (void) tried_append(tried, "%s: %s", path.text, strerror(-r));
        return r == -ETIMEDOUT || r == -EACCES ? r : -EHOSTDOWN;
}

/* Where vitald may have its socket, without --runtime-directory=. $RUNTIME_DIRECTORY is set in
 * every unit that has such a directory, so it may well be another program's. */
static int list_directories(char ***ret) {
        const char *e = getenv("RUNTIME_DIRECTORY"), *xdg = getenv("XDG_RUNTIME_DIR");
        _cleanup_strv_ char **l = NULL;
        _cleanup_strbuf_ StrBuf b = {};
        int r = 0;

        if (!str_is_empty(e)) {
                strbuf_append_bytes(&b, e, strcspn(e, ":"));
                r = b.failed ? -ENOMEM : strv_append(&l, b.text);
        }
        if (r >= 0 && geteuid() != 0 && !str_is_empty(xdg)) {
                strbuf_reset(&b);
                strbuf_printf(&b, "%s/vitald", xdg);
                r = b.failed ? -ENOMEM : strv_append(&l, b.text);
        }
        if (r >= 0 && !strv_contains(l, DIRECTORY_DEFAULT))
                r = strv_append(&l, DIRECTORY_DEFAULT);
        if (r < 0)
                return r;
        *ret = TAKE(l);
        return 0;
}

/* A vitald that is there and does not answer is not passed over for another one. */
static int try_all(char ***tried, sd_bus **ret, bool *ret_is_direct) {
        _cleanup_strv_ char **directories = NULL;
        int r, worst = -EHOSTDOWN;

        r = list_directories(&directories);
        if (r < 0)
                return r;
        *ret_is_direct = true;
        STRV_FOREACH(d, directories) {
                r = try_directory(*d, tried, ret);
                if (r >= 0 || r == -ETIMEDOUT || r == -ENOMEM)
                        return r;
                if (r == -EACCES)
                        worst = r;
        }
        *ret_is_direct = false;
        r = try_bus(false, tried, ret);
        return r == -EHOSTDOWN ? worst : r;
}

int client_open(const ClientOptions *options, char ***ret_tried, Client **ret) {
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_strv_ char **tried = NULL;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        if (options->bus != CLIENT_BUS_ANY)
                r = try_bus(options->bus == CLIENT_BUS_USER, &tried, &c->bus);
        else if (options->runtime_directory) {
                c->is_direct = true;
                r = try_directory(options->runtime_directory, &tried, &c->bus);
        } else
                r = try_all(&tried, &c->bus, &c->is_direct);
        if (r < 0) {
                if (ret_tried)
                        *ret_tried = TAKE(tried);
                return r;
        }
        *ret = TAKE(c);
        return 0;
}

Client *client_free(Client *c) {
        if (!c)
                return NULL;
        sd_bus_flush_close_unref(c->bus);
        free(c);
        return NULL;
}

bool client_is_unreachable(int r) {
        static const int errors[] = {
                EHOSTDOWN, ETIMEDOUT, ECONNRESET, ENOTCONN, EPIPE, ESHUTDOWN, EHOSTUNREACH, ENXIO,
        };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (r == -errors[i])
                        return true;
        return false;
}

/* -- calls ------------------------------------------------------------------------------------- */

int client_call_v(Client *c, const char *path, const char *interface, const char *method,
                  usec_t timeout_usec, sd_bus_error *error, sd_bus_message **ret, const char *types,
                  va_list ap) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(c->bus, &m, c->is_direct ? NULL : VITALD_NAME, path,
                                           interface, method);
        if (r < 0)
                return r;
        r = sd_bus_message_set_auto_start(m, false);
        if (r < 0)
                return r;
        if (types) {
                r = sd_bus_message_appendv(m, types, ap);
                if (r < 0)
                        return r;
        }
        r = sd_bus_call(c->bus, m, timeout_usec, error, ret);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_INTERFACE))
                return -ENOENT;
        return r;
}

int client_call(Client *c, const char *path, const char *interface, const char *method,
                usec_t timeout_usec, sd_bus_error *error, sd_bus_message **ret, const char *types,
                ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = client_call_v(c, path, interface, method, timeout_usec, error, ret, types, ap);
        va_end(ap);
        return r < 0 ? r : 0;
}

int client_get_fields(Client *c, const char *path, const char *interface, const Fields *fields,
                      void *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        c->has_news = false;
        r = client_call(c, path, "org.freedesktop.DBus.Properties", "GetAll", 0, &error, &m, "s",
                        interface);
        return r < 0 ? r : fields_parse(m, fields, ret);
}

static int get_objects(Client *c, View **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        c->has_news = false;
        r = client_call(c, VITALD_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                        0, &error, &m, NULL);
        return r < 0 ? r : view_parse(m, ret);
}

static int get_sequence(Client *c, uint64_t *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = client_call(c, VITALD_PATH, "org.freedesktop.DBus.Properties", "Get", 0, &error, &m,
                        "ss", VITALD_MANAGER_INTERFACE, "Sequence");
        return r < 0 ? r : sd_bus_message_read(m, "v", "t", ret);
}

/* The host is not among the objects of its own object manager, so it is asked about separately; its
 * sequence number tells whether both belong together. On a host so busy that they never do, the
 * difference is a moment's. */
int client_get_view(Client *c, View **ret) {
        int r;

        for (unsigned i = 0;; i++) {
                _cleanup_(view_freep) View *v = NULL;
                uint64_t sequence;

                if ((r = get_sequence(c, &sequence)) < 0 || (r = get_objects(c, &v)) < 0 ||
                    (r = client_get_fields(c, VITALD_PATH, VITALD_MANAGER_INTERFACE, &host_fields,
                                           v)) < 0)
                        return r;
                if (v->sequence == sequence || i + 1 == VIEW_ATTEMPTS) {
                        *ret = TAKE(v);
                        return 0;
                }
        }
}

/* -- signals ----------------------------------------------------------------------------------- */

static int on_signal(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Client *c = userdata;

        c->has_news = true;
        return 0;
}

static int on_lost(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Client *c = userdata;

        c->is_lost = true;
        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        const char *name, *before, *now;
        Client *c = userdata;
        int r;

        r = sd_bus_message_read(m, "sss", &name, &before, &now);
        if (r >= 0 && str_equal(name, VITALD_NAME)) {
                c->has_news = true;
                c->is_lost = !*now;
        }
        return 0;
}

int client_subscribe(Client *c) {
        int r;

        r = sd_bus_match_signal(c->bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                "org.freedesktop.DBus.Local", "Disconnected", on_lost, c);
        if (r < 0)
                return r;
        if (c->is_direct)
                return sd_bus_add_match(c->bus, NULL, "type='signal'", on_signal, c);
        r = sd_bus_match_signal(c->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus", "NameOwnerChanged", on_owner, c);
        if (r < 0)
                return r;
        return sd_bus_add_match(c->bus, NULL, "type='signal',sender='" VITALD_NAME "'", on_signal,
                                c);
}

int client_wait(Client *c, usec_t deadline) {
        int r;

        for (;;) {
                usec_t left;

                r = sd_bus_process(c->bus, NULL);
                if (r < 0) {
                        c->is_lost = true;
                        return client_is_unreachable(r) ? 0 : r;
                }
                if (r > 0)
                        continue;
                if (c->has_news || c->is_lost)
                        return 0;
                left = usec_sub(deadline, clock_usec(CLOCK_MONOTONIC));
                if (left == 0)
                        return -ETIMEDOUT;
                r = sd_bus_wait(c->bus, left);
                if (r < 0 && r != -EINTR)
                        return r;
        }
}

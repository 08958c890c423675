/* SPDX-License-Identifier: MIT */
#include "check/mysql-handle.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/tls.h"

#define PACKET_MAX   65536                 /* bytes; a row is one packet */
#define STACK_BYTES  ((size_t) 256 * 1024) /* on which libmariadb's suspended calls live */
#define OWNER_KEY    "vitald"
#define AUTH_METHODS "mysql_native_password,client_ed25519,caching_sha2_password"
#define TLS_VERSIONS "TLSv1.2,TLSv1.3"

/* libmariadb tells what it has read and written: exported for its plug-ins, though in no header. */
typedef void (*MysqlIoHandler)(int mode, MYSQL *mysql, const unsigned char *bytes, size_t n);
extern int ma_pvio_register_callback(my_bool is_added, MysqlIoHandler handler);

/* -- the library ------------------------------------------------------------------------------- */

/* libmariadb reads on as long as anything comes, a server's description of a billion columns too.
 */
static void on_read(SqlHandle *h, size_t n) {
        h->received += n;
        if (sql_handle_is_flooded(h))
                (void) shutdown(mysql_get_socket(h->mysql), SHUT_RDWR);
}

/* The certificate has to be for our name, and not for the address that libmariadb was given, for it
 * would look a name up. It frees what it has by free(). */
static void handle_set_name(SqlHandle *h) {
        char *name;

        if (!h->mysql->host || str_equal(h->mysql->host, h->name))
                return;
        name = strdup(h->name);
        if (!name)
                return; /* then no certificate is good */
        free(h->mysql->host);
        h->mysql->host = name;
}

/* What is written first asks for TLS, what is next comes behind the handshake: that leaves the
 * socket blocking, in which OpenSSL would wait. */
static void on_written(SqlHandle *h) {
        int fd = mysql_get_socket(h->mysql), flags = fcntl(fd, F_GETFL);

        if (flags >= 0)
                (void) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        handle_set_name(h);
}

static void on_io(int mode, MYSQL *mysql, const unsigned char *bytes _unused_, size_t n) {
        char key[] = OWNER_KEY;
        SqlHandle *h = NULL;

        (void) mysql_get_optionv(mysql, MARIADB_OPT_USERDATA, key, &h);
        if (!h || !h->mysql)
                return;
        if (mode != 0 && h->name[0])
                on_written(h);
        else if (mode == 0 && n <= SQL_REPLY_MAX) /* else an error */
                on_read(h, n);
}

static void library_begin(void) {
        static const char *const names[] = {
                "MYSQL_TCP_PORT",   "MYSQL_UNIX_PORT",    "LIBMYSQL_PLUGIN_DIR",
                "LIBMYSQL_PLUGINS", "MARIADB_PLUGIN_DIR", "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN",
        };

        for (size_t n = 0; n < ELEMENTSOF(names); n++)
                (void) unsetenv(names[n]);
        if (mysql_library_init(0, NULL, NULL) == 0)
                (void) ma_pvio_register_callback(true, on_io);
}

void sql_library_begin(void) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, library_begin);
}

/* -- handles ----------------------------------------------------------------------------------- */

static bool set_option(SqlHandle *h, enum mysql_option option, const void *value) {
        return mysql_optionsv(h->mysql, option, value) == 0;
}

/* libmariadb takes the names of files only. */
static bool handle_set_key_text(SqlHandle *h, const char *text) {
        char path[40];

        h->key_fd = memfd_create("client-key", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", h->key_fd);
        return h->key_fd >= 0 && write(h->key_fd, text, strlen(text)) == (ssize_t) strlen(text) &&
               set_option(h, MYSQL_OPT_SSL_KEY, path);
}

static bool handle_set_certificate(SqlHandle *h, const TlsOptions *o) {
        if (!o->client_certificate)
                return true;
        if (!set_option(h, MYSQL_OPT_SSL_CERT, o->client_certificate))
                return false;
        if (o->client_key_credential.secret)
                return handle_set_key_text(h, o->client_key_credential.secret);
        return set_option(h, MYSQL_OPT_SSL_KEY,
                          o->client_key ? o->client_key : o->client_certificate);
}

/* Nothing goes out before TLS but the wish for it. */
static bool handle_set_tls(SqlHandle *h, const TlsOptions *o) {
        const char *authorities = o->ca_certificate ? o->ca_certificate : tls_authorities();
        my_bool yes = 1;

        return set_option(h, MYSQL_OPT_SSL_ENFORCE, &yes) &&
               set_option(h, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes) &&
               set_option(h, MARIADB_OPT_TLS_VERSION, TLS_VERSIONS) &&
               set_option(h, o->ca_certificate ? MYSQL_OPT_SSL_CA : MYSQL_OPT_SSL_CAPATH,
                          authorities) &&
               handle_set_certificate(h, o);
}

static void handle_set_target(SqlHandle *h, const MysqlSettings *s, const IpAddress *ip) {
        const Address *a = &s->address;
        char buf[IP_TEXT_MAX];

        h->port = a->port;
        if (a->kind == ADDRESS_UNIX)
                snprintf(h->path, sizeof(h->path), "%.*s", ADDRESS_PATH_MAX, a->name);
        else
                (void) ip_format(h->ip, ip);
        if (s->is_tls)
                snprintf(h->name, sizeof(h->name), "%s", tls_options_name(&s->tls, a, buf));
}

static bool handle_set_login(SqlHandle *h, const MysqlSettings *s) {
        return set_option(h, MARIADB_OPT_RESTRICTED_AUTH, AUTH_METHODS) &&
               set_option(h, MARIADB_OPT_USER, s->username) &&
               set_option(h, MARIADB_OPT_PASSWORD, s->password.secret) &&
               set_option(h, MARIADB_OPT_SCHEMA, s->database);
}

int sql_handle_new(const MysqlSettings *settings, const IpAddress *ip, SqlHandle **ret) {
        _cleanup_(sql_handle_freep) SqlHandle *h = calloc(1, sizeof(*h));
        unsigned protocol = settings->address.kind == ADDRESS_UNIX ? MYSQL_PROTOCOL_SOCKET
                                                                   : MYSQL_PROTOCOL_TCP,
                 takes_files = 0;
        size_t packet_max = PACKET_MAX, stack_bytes = STACK_BYTES;

        if (!h)
                return -ENOMEM;
        h->key_fd = -1;
        handle_set_target(h, settings, ip);
        h->mysql = mysql_init(NULL);
        if (!h->mysql || !set_option(h, MYSQL_OPT_NONBLOCK, &stack_bytes) ||
            !set_option(h, MYSQL_OPT_PROTOCOL, &protocol) ||
            !set_option(h, MYSQL_OPT_LOCAL_INFILE, &takes_files) ||
            !set_option(h, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_max) ||
            !set_option(h, MYSQL_SET_CHARSET_NAME, "utf8mb4") ||
            mysql_optionsv(h->mysql, MARIADB_OPT_USERDATA, OWNER_KEY, h) != 0 ||
            !handle_set_login(h, settings) ||
            (settings->is_tls && !handle_set_tls(h, &settings->tls)))
                return -ENOMEM;
        *ret = TAKE(h);
        return 0;
}

SqlHandle *sql_handle_free(SqlHandle *h) {
        if (!h)
                return NULL;
        if (h->mysql)
                mysql_close(h->mysql);
        if (h->key_fd >= 0)
                (void) fd_close(h->key_fd);
        free(h);
        return NULL;
}

int sql_handle_connect_start(SqlHandle *h, MYSQL **ret_connected) {
        if (h->path[0])
                return mysql_real_connect_start(ret_connected, h->mysql, NULL, NULL, NULL, NULL, 0,
                                                h->path, 0);
        return mysql_real_connect_start(ret_connected, h->mysql, h->ip, NULL, NULL, NULL, h->port,
                                        NULL, 0);
}

int sql_handle_connect_go_on(SqlHandle *h, int events, MYSQL **ret_connected) {
        return mysql_real_connect_cont(ret_connected, h->mysql, events);
}

void sql_handle_cut(const SqlHandle *h) {
        if (mysql_get_socket(h->mysql) != MARIADB_INVALID_SOCKET)
                (void) shutdown(mysql_get_socket(h->mysql), SHUT_RDWR);
}

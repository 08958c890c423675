/* SPDX-License-Identifier: MIT */
#include "io/unit-watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define INTERFACE_MAX 64

/* -- what is known of a unit ------------------------------------------------------------------- */

typedef enum PropertyOwner {
        OF_UNIT,
        OF_TYPE,    /* of all types that have a Result */
        OF_SERVICE, /* of services alone */
} PropertyOwner;

typedef struct Property {
        const char *name;
        const char *signature;
        PropertyOwner owner;
        bool is_listed; /* ListUnitsByNames() tells it too */
        size_t offset, size;
} Property;

#define FIELD(member) \
        .offset = offsetof(UnitStatus, member), .size = sizeof(((UnitStatus *) NULL)->member)

static const Property properties[] = {
        { "LoadState", "s", OF_UNIT, true, FIELD(load) },
        { "ActiveState", "s", OF_UNIT, true, FIELD(active) },
        { "SubState", "s", OF_UNIT, true, FIELD(sub) },
        { "Job", "(uo)", OF_UNIT, true, FIELD(job) },
        { "InvocationID", "ay", OF_UNIT, false, FIELD(invocation_id) },
        { "Result", "s", OF_TYPE, false, FIELD(result) },
        { "NRestarts", "u", OF_SERVICE, false, FIELD(n_restarts) },
        { "MainPID", "u", OF_SERVICE, false, FIELD(main_pid) },
        { "ExecMainCode", "i", OF_SERVICE, false, FIELD(exec_code) },
        { "ExecMainStatus", "i", OF_SERVICE, false, FIELD(exec_status) },
};

/* Those with a Result; the others' own interfaces have nothing for us. */
static const struct {
        const char *suffix, *interface;
} types[] = {
        { ".service", "org.freedesktop.systemd1.Service" },
        { ".socket", "org.freedesktop.systemd1.Socket" },
        { ".mount", "org.freedesktop.systemd1.Mount" },
        { ".automount", "org.freedesktop.systemd1.Automount" },
        { ".swap", "org.freedesktop.systemd1.Swap" },
        { ".timer", "org.freedesktop.systemd1.Timer" },
        { ".path", "org.freedesktop.systemd1.Path" },
        { ".scope", "org.freedesktop.systemd1.Scope" },
};

#define UNIT_INTERFACE "org.freedesktop.systemd1.Unit"

typedef struct Question {
        UnitWatch *watch;         /* borrowed */
        const Property *property; /* borrowed, constant; NULL: the list */
        sd_bus_slot *slot;        /* owned; NULL: none under way */
} Question;

struct UnitWatch {
        SystemdFollower follower;
        const UnitWatchHandlers *handlers; /* borrowed, constant */
        void *userdata;                    /* borrowed */
        char *name;                        /* owned */
        char *path;                        /* owned: of the unit's object, also behind an alias */
        const char *interface;             /* borrowed: of the unit's type, or NULL */
        bool is_service;
        bool has_status;
        UnitStatus status, told; /* as it is, and as changed() last showed it */
        usec_t heard_usec;
        Question questions[ELEMENTSOF(properties) + 1];
        unsigned n_questions;
        int error; /* of the first question that failed */
};

/* Equal fields are equal to the last byte. */
static void text_set(char *field, size_t size, const char *text) {
        memset(field, 0, size);
        snprintf(field, size, "%s", text);
}

static void id_read(sd_bus_message *m, char *ret, size_t size) {
        const void *bytes;
        size_t n;

        if (sd_bus_message_read_array(m, 'y', &bytes, &n) < 0)
                return;
        memset(ret, 0, size);
        for (size_t i = 0; i < n && 2 * i + 3 <= size; i++)
                snprintf(ret + 2 * i, 3, "%02x", ((const uint8_t *) bytes)[i]);
}

/* The value that the message stands before. */
static int property_read(const Property *p, sd_bus_message *m, UnitStatus *status) {
        void *field = (char *) status + p->offset;
        const char *s;
        int r = 0;

        switch (*p->signature) {
        case 's':
                r = sd_bus_message_read(m, "s", &s);
                if (r >= 0)
                        text_set(field, p->size, s);
                return r;
        case '(':
                return sd_bus_message_read(m, "(uo)", field, &s);
        case 'a':
                id_read(m, field, p->size);
                return 0;
        default:
                return sd_bus_message_read_basic(m, *p->signature, field);
        }
}

static int variant_read(const Property *p, sd_bus_message *m, UnitStatus *status) {
        int r;

        r = sd_bus_message_enter_container(m, 'v', p->signature);
        if (r < 0)
                return r;
        r = property_read(p, m, status);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static const Property *property_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                if (str_equal(properties[i].name, name))
                        return &properties[i];
        return NULL;
}

/* -- telling ----------------------------------------------------------------------------------- */

static void watch_heard(UnitWatch *w) {
        w->heard_usec = clock_usec(CLOCK_MONOTONIC);
}

static void watch_tell(UnitWatch *w) {
        if (w->has_status && memcmp(&w->told, &w->status, sizeof(w->told)) == 0)
                return;
        w->has_status = true;
        w->told = w->status;
        w->handlers->changed(w->userdata);
}

static void watch_forget_questions(UnitWatch *w) {
        for (size_t i = 0; i < ELEMENTSOF(w->questions); i++)
                w->questions[i].slot = sd_bus_slot_unref(w->questions[i].slot);
        w->n_questions = 0;
}

/* -- asking ------------------------------------------------------------------------------------ */

static void watch_end_asking(UnitWatch *w, int error) {
        bool was_known = w->follower.is_known;

        watch_forget_questions(w);
        systemd_follower_asked(&w->follower, error);
        if (error >= 0) {
                watch_heard(w);
                if (!was_known)
                        w->has_status = false; /* that it is current is news by itself */
                watch_tell(w);
        }
        if (w->handlers->asked)
                w->handlers->asked(w->userdata, error);
}

static void question_end(Question *q, int error) {
        UnitWatch *w = q->watch;

        q->slot = sd_bus_slot_unref(q->slot);
        if (error < 0 && w->error >= 0)
                w->error = error;
        if (--w->n_questions == 0)
                watch_end_asking(w, w->error);
}

static int on_property(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        Question *q = userdata;
        int r;

        if (sd_bus_message_is_method_error(m, NULL))
                r = systemd_reply_errno(m);
        else
                r = variant_read(q->property, m, &q->watch->status);
        question_end(q, r);
        return 0;
}

static bool watch_has(const UnitWatch *w, const Property *p) {
        switch (p->owner) {
        case OF_UNIT:
                return true;
        case OF_TYPE:
                return w->interface;
        case OF_SERVICE:
                return w->is_service;
        }
        assert(false);
        return false;
}

/* What the list does not tell. */
static int watch_ask_properties(UnitWatch *w, sd_bus *bus) {
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                const Property *p = &properties[i];
                Question *q = &w->questions[i + 1];
                int r;

                if (p->is_listed || !watch_has(w, p))
                        continue;
                q->property = p;
                r = sd_bus_call_method_async(
                        bus, &q->slot, SYSTEMD_NAME, w->path, DBUS_PROPERTIES, "Get", on_property,
                        q, "ss", p->owner == OF_UNIT ? UNIT_INTERFACE : w->interface, p->name);
                if (r < 0)
                        return r;
                w->n_questions++;
        }
        return 0;
}

static int list_read(UnitWatch *w, sd_bus_message *m, UnitStatus *status) {
        const char *load, *active, *sub, *path;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        if (r >= 0)
                r = sd_bus_message_read(m, "(ssssssouso)", NULL, NULL, &load, &active, &sub, NULL,
                                        &path, &status->job, NULL, NULL);
        if (r == 0)
                return -ENOENT; /* the name is none */
        if (r < 0)
                return r;
        if (!str_equal(w->path, path)) {
                free(w->path);
                w->path = strdup(path);
                if (!w->path)
                        return -ENOMEM;
        }
        text_set(status->load, sizeof(status->load), load);
        text_set(status->active, sizeof(status->active), active);
        text_set(status->sub, sizeof(status->sub), sub);
        return 0;
}

/* Where the list says nothing new, signals have told the rest as well. */
static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *ret_error _unused_) {
        Question *q = userdata;
        UnitWatch *w = q->watch;
        UnitStatus status = w->status;
        int r;

        if (sd_bus_message_is_method_error(m, NULL))
                r = systemd_reply_errno(m);
        else
                r = list_read(w, m, &status);
        if (r >= 0 && (!w->follower.is_known || memcmp(&status, &w->status, sizeof(status)) != 0)) {
                w->status = status;
                r = watch_ask_properties(w, sd_bus_message_get_bus(m));
        }
        question_end(q, r);
        return 0;
}

static UnitWatch *watch_of(SystemdFollower *f) {
        return container_of(f, UnitWatch, follower);
}

static int watch_ask(SystemdFollower *f, sd_bus *bus) {
        UnitWatch *w = watch_of(f);
        int r;

        w->error = 0;
        r = sd_bus_call_method_async(bus, &w->questions[0].slot, SYSTEMD_NAME, SYSTEMD_PATH,
                                     SYSTEMD_MANAGER, "ListUnitsByNames", on_list, &w->questions[0],
                                     "as", 1, w->name);
        if (r >= 0)
                w->n_questions = 1;
        return r;
}

/* -- signals ----------------------------------------------------------------------------------- */

static int changes_read(UnitWatch *w, sd_bus_message *m) {
        const Property *p;
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r < 0)
                        break;
                p = property_find(name);
                if (p && watch_has(w, p))
                        r = variant_read(p, m, &w->status);
                else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

/* The signal about the unit as such comes last, so that the rest is there when it is told. */
static void watch_signalled(SystemdFollower *f, sd_bus_message *m) {
        UnitWatch *w = watch_of(f);
        const char *path = sd_bus_message_get_path(m), *interface;
        bool is_unit;

        if (!path || !str_equal(path, w->path) || sd_bus_message_read(m, "s", &interface) < 0)
                return;
        is_unit = str_equal(interface, UNIT_INTERFACE);
        if (!is_unit && (!w->interface || !str_equal(interface, w->interface)))
                return;
        if (changes_read(w, m) < 0)
                systemd_follower_ask(f);
        if (!is_unit || !f->is_known)
                return;
        watch_heard(w);
        /* That it was not there is told by no signal, nor that it is now. */
        if (!str_equal(w->status.load, "loaded"))
                systemd_follower_ask(f);
        watch_tell(w);
}

static void watch_lost(SystemdFollower *f) {
        UnitWatch *w = watch_of(f);

        watch_forget_questions(w);
        w->heard_usec = 0;
        w->handlers->changed(w->userdata);
        if (w->handlers->asked)
                w->handlers->asked(w->userdata, -ENOTCONN);
}

/* -- life -------------------------------------------------------------------------------------- */

const UnitStatus *unit_watch_status(const UnitWatch *w) {
        return w->has_status ? &w->told : NULL;
}

bool unit_watch_is_current(const UnitWatch *w) {
        return w->has_status && w->follower.is_known;
}

usec_t unit_watch_heard_usec(const UnitWatch *w) {
        return w->heard_usec;
}

void unit_watch_ask(UnitWatch *w) {
        systemd_follower_ask(&w->follower);
}

UnitWatch *unit_watch_free(UnitWatch *w) {
        if (!w)
                return NULL;
        watch_forget_questions(w);
        systemd_follower_end(&w->follower);
        free(w->name);
        free(w->path);
        free(w);
        return NULL;
}

static void watch_set_type(UnitWatch *w) {
        const char *suffix = strrchr(w->name, '.');

        for (size_t i = 0; suffix && i < ELEMENTSOF(types); i++)
                if (str_equal(types[i].suffix, suffix))
                        w->interface = types[i].interface;
        w->is_service = w->interface == types[0].interface;
}

int unit_watch_new(SystemdLink *l, const char *name, const UnitWatchHandlers *handlers,
                   void *userdata, UnitWatch **ret) {
        static const SystemdFollowerHandlers follower_handlers = {
                .ask = watch_ask,
                .signalled = watch_signalled,
                .lost = watch_lost,
        };
        _cleanup_(unit_watch_freep) UnitWatch *w = calloc(1, sizeof(UnitWatch));
        int r;

        if (!w)
                return -ENOMEM;
        w->handlers = handlers;
        w->userdata = userdata;
        for (size_t i = 0; i < ELEMENTSOF(w->questions); i++)
                w->questions[i].watch = w;
        w->name = strdup(name);
        if (!w->name)
                return -ENOMEM;
        r = sd_bus_path_encode(SYSTEMD_UNIT_PATH, name, &w->path);
        if (r < 0)
                return r;
        watch_set_type(w);
        r = systemd_follower_begin(&w->follower, l, &follower_handlers);
        if (r < 0)
                return r;
        *ret = TAKE(w);
        return 0;
}

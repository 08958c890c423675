/* SPDX-License-Identifier: MIT */
/* Type=dns: name servers answer for a name, if wanted with certain values. Asks them by c-ares,
 * past the resolver that the other checks share, its cache and /etc/hosts. */

#include <errno.h>
#include <stdio.h>

#include "base/address.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "check/dns-records.h"
#include "check/driver.h"
#include "check/resolve-verdict.h"
#include "io/dns.h"

#define DEFAULT_PORT 53
#define LABEL_MAX    63

typedef struct DnsSettings {
        char *name;      /* owned */
        unsigned record; /* index into record_words */
        char **expected; /* owned: each must be among the records */
        Address server;  /* all zero: those of resolv.conf */
} DnsSettings;

typedef struct DnsRun {
        Dns *dns; /* owned: dropping it drops the question */
} DnsRun;

static const char *const record_words[] = {
        "A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT", NULL,
};

static const ns_type record_types[] = {
        ns_t_a, ns_t_aaaa, ns_t_cname, ns_t_mx, ns_t_ns, ns_t_ptr, ns_t_srv, ns_t_txt,
};

static bool has_server(const DnsSettings *s) {
        return s->server.kind != ADDRESS_NAME || s->server.port > 0;
}

/* -- verdicts ---------------------------------------------------------------------------------- */

static bool records_have(const DnsSettings *s, const DnsRecords *records, const char *wanted) {
        STRV_FOREACH(text, records->texts) {
                if (dns_record_equal(record_types[s->record], *text, wanted))
                        return true;
        }
        return false;
}

/* The first value that should be there and is not, or NULL. */
static const char *records_lack(const DnsSettings *s, const DnsRecords *records) {
        STRV_FOREACH(wanted, s->expected) {
                if (!records_have(s, records, *wanted))
                        return *wanted;
        }
        return NULL;
}

static void judge_records(const DnsSettings *s, const DnsRecords *records, Result *ret) {
        const char *lacking = records_lack(s, records);
        _cleanup_strbuf_ StrBuf all = {};

        STRV_FOREACH(text, records->texts) {
                strbuf_printf(&all, "%s%s", all.length > 0 ? ", " : "", *text);
        }
        if (all.failed)
                result_error(ret, REASON_RESOURCE, "Out of memory");
        else if (!records->texts) {
                result_fail(ret, REASON_DNS, "%s: no %s record", s->name, record_words[s->record]);
                result_set_detail(ret, "no-record");
        } else if (lacking)
                result_fail(ret, REASON_MISMATCH, "Not %s but %s", lacking, all.text);
        else
                result_pass(ret, "%s", all.text);
        if (!records->texts)
                return;
        result_add_value(ret, "records", (double) strv_length(records->texts), "");
        result_add_value(ret, "ttl", (double) records->ttl_sec, "seconds");
}

static void on_message(void *userdata, ResolveStatus status, const void *message, size_t n) {
        CheckRun *run = userdata;
        const DnsSettings *s = check_run_settings(run);
        DnsRecords records = {};
        Result result;
        int r = 0;

        if (status != RESOLVE_OK && status != RESOLVE_NO_ADDRESS) {
                result_resolve(&result, s->name, status);
                check_run_finish(run, &result);
                return;
        }
        if (status == RESOLVE_OK)
                r = dns_records_parse(message, n, record_types[s->record], &records);
        if (r == -EBADMSG)
                result_fail(&result, REASON_PROTOCOL, "%s: the answer makes no sense", s->name);
        else if (r < 0)
                result_errno(&result, r, "%s", s->name);
        else
                judge_records(s, &records, &result);
        dns_records_done(&records);
        check_run_finish(run, &result);
}

/* -- one run ----------------------------------------------------------------------------------- */

/* Each run begins anew, so that a changed resolv.conf counts from then on. */
static int dns_start(CheckRun *run) {
        const DnsSettings *s = check_run_settings(run);
        Engine *engine = check_engine(check_run_check(run));
        DnsRun *r = check_run_data(run);
        char server[ADDRESS_TEXT_MAX];
        ResolverOptions options = {
                .server = has_server(s) ? address_format(server, &s->server) : NULL,
        };
        int error;

        check_run_set_phase(run, "waiting for the name server");
        error = dns_new(engine_event(engine), &options, &r->dns);
        if (error < 0)
                return error;
        return dns_query(r->dns, s->name, (int) record_types[s->record], on_message, run);
}

static void dns_stop(CheckRun *run) {
        DnsRun *r = check_run_data(run);

        r->dns = dns_free(r->dns);
}

/* -- settings ---------------------------------------------------------------------------------- */

/* Labels with dots between; a final dot is fine, names with underscores are in use. */
static bool dns_name_is_valid(const char *name) {
        size_t n;

        if (strlen(name) > ADDRESS_HOST_MAX)
                return false;
        for (const char *p = name; *p; p += n + (p[n] == '.')) {
                n = strcspn(p, ".");
                if (n == 0 || n > LABEL_MAX)
                        return false;
                for (size_t i = 0; i < n; i++)
                        if (p[i] <= ' ' || p[i] == 0x7f || p[i] == '\\')
                                return false;
        }
        return *name;
}

static bool value_is_possible(const DnsSettings *s, const char *value) {
        ns_type type = record_types[s->record];
        IpAddress ip;

        if (type != ns_t_a && type != ns_t_aaaa)
                return true;
        return ip_parse(value, &ip) >= 0 && ip.family == (type == ns_t_a ? AF_INET : AF_INET6);
}

static int dns_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const DnsSettings *s = settings;
        char shown[OPTION_VALUE_SHOWN_MAX];

        if (!dns_name_is_valid(s->name)) {
                *ret_key = "Name";
                snprintf(why, OPTION_WHY_MAX, "\"%s\" is not a name such as db.example.com",
                         option_show(shown, s->name));
                return -EINVAL;
        }
        if (has_server(s) && (s->server.kind != ADDRESS_IP || s->server.name[0])) {
                *ret_key = "Server";
                snprintf(why, OPTION_WHY_MAX,
                         "not an IP address such as 10.0.0.53 or [2001:db8::53]:53");
                return -EINVAL;
        }
        STRV_FOREACH(value, s->expected) {
                if (value_is_possible(s, *value))
                        continue;
                *ret_key = "Expect";
                snprintf(why, OPTION_WHY_MAX, "\"%s\" is no address that a record %s has",
                         option_show(shown, *value), record_words[s->record]);
                return -EINVAL;
        }
        return 0;
}

static void dns_describe(const void *settings, CheckTarget *ret) {
        const DnsSettings *s = settings;

        *ret = (CheckTarget){ .is_remote = !has_server(s) || !address_is_local(&s->server) };
        snprintf(ret->text, sizeof(ret->text), "%s %s", s->name, record_words[s->record]);
        snprintf(ret->host, sizeof(ret->host), "%s", s->name);
}

/* -- tables ------------------------------------------------------------------------------------ */

static const Option dns_options[] = {
        { "Name", &option_string, offsetof(DnsSettings, name), .flags = OPTION_REQUIRED },
        { "Record", &option_word, offsetof(DnsSettings, record), "A", .words = record_words },
        { "Expect", &option_strv, offsetof(DnsSettings, expected) },
        { "Server", &option_address, offsetof(DnsSettings, server), .min = DEFAULT_PORT },
};

static const CheckScheme dns_schemes[] = {
        { .scheme = "dns", .key = "Name" },
        {},
};

const CheckDriver dns_driver = {
        .type = {
                .name = "dns",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schemes = dns_schemes,
                .schema = SCHEMA(dns_options),
                .settings_size = sizeof(DnsSettings),
                .validate = dns_validate,
                .describe = dns_describe,
        },
        .run_size = sizeof(DnsRun),
        .start = dns_start,
        .stop = dns_stop,
};

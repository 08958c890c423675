/* SPDX-License-Identifier: MIT */
/* What the linter says of who probes. */

#include "base/text.h"
#include "model/lint-internal.h"
#include "model/load-balancer.h"

/* For what comes to what a load balancer takes: acting on it, and letting go before logind would.
 */
#define SHUTDOWN_SPARE_USEC USEC_PER_SEC

void lint_balancer_default_probe(Lint *l) {
        const LoadBalancer *b = load_balancer_of(&l->config->http);

        if (b && b->caveat)
                lint_say(l, "LoadBalancer", "%s: %s", b->name, b->caveat);
}

void lint_balancer_root_alias(Lint *l) {
        const LoadBalancer *b = load_balancer_of(&l->config->http);
        const HttpAliases *aliases = &l->config->http.aliases;

        for (size_t i = 0; b && b->path && i < aliases->n; i++) {
                const HttpAlias *a = &aliases->items[i];

                if (str_equal(a->path, b->path) && !strstr(a->target, "ready") &&
                    !strstr(a->target, "status"))
                        lint_say(l, "Alias",
                                 "%s asks %s unless it is told, where %s answers, which is green "
                                 "also when nothing is ready; lead it to /health/ready",
                                 b->name, b->path, a->target);
        }
}

static bool network_is_allowed(const Networks *allowed, const IpNetwork *from) {
        for (size_t i = 0; i < allowed->n; i++)
                if (allowed->items[i].n_bits <= from->n_bits &&
                    ip_network_contains(&allowed->items[i], &from->address))
                        return true;
        return false;
}

void lint_balancer_networks(Lint *l) {
        const LoadBalancer *b = load_balancer_of(&l->config->http);
        const Networks *allowed = &l->config->http.allow_from;
        const char *error;
        IpNetwork from;

        if (!b || !b->networks || allowed->n == 0)
                return;
        for (size_t i = 0; b->networks[i]; i++)
                if (ip_network_parse(b->networks[i], &from, &error) >= 0 &&
                    !network_is_allowed(allowed, &from))
                        lint_say(l, "AllowFrom",
                                 "%s probes from %s, which gets 403, so that it takes this host "
                                 "out; add AllowFrom=%s",
                                 b->name, b->networks[i], b->networks[i]);
}

void lint_shutdown_delay(Lint *l) {
        const HttpConfig *c = &l->config->http;
        usec_t delay = l->facts->shutdown_delay_usec;
        usec_t wanted = usec_add(load_balancer_notice_usec(c), SHUTDOWN_SPARE_USEC);
        char notice[TIMESPAN_MAX], has[TIMESPAN_MAX], wants[TIMESPAN_MAX];

        if (!l->config->daemon.drain_on_shutdown || delay == 0 ||
            load_balancer_notice_usec(c) == 0 || delay >= wanted)
                return;
        lint_say(l, "LoadBalancer",
                 "it takes up to %s to notice that nothing is ready here, and a shutdown waits for "
                 "%s at most; InhibitDelayMaxSec=%s in /etc/systemd/logind.conf.d/vitald.conf lets "
                 "it wait longer, see vitald(8)",
                 timespan_format(notice, load_balancer_notice_usec(c)), timespan_format(has, delay),
                 timespan_format(wants, wanted));
}

void lint_balancer_numbers(Lint *l) {
        const HttpConfig *c = &l->config->http;
        bool is_other = c->load_balancer == LOAD_BALANCER_OTHER;

        if (is_other && load_balancer_notice_usec(c) == 0)
                lint_say(l, "LoadBalancer",
                         "nothing is known of it; say LoadBalancerInterval= and "
                         "LoadBalancerThreshold=, so that drains can be held against them");
        else if (c->load_balancer == LOAD_BALANCER_NONE &&
                 (c->load_balancer_interval_usec > 0 || c->load_balancer_threshold > 0))
                lint_say(l, "LoadBalancer",
                         "without it, LoadBalancerInterval= and LoadBalancerThreshold= mean "
                         "nothing; LoadBalancer=other goes with them alone");
}

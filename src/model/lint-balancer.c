/* SPDX-License-Identifier: MIT */
/* What the linter says of who probes. */

#include "base/text.h"
#include "model/lint-internal.h"
#include "model/load-balancer.h"

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

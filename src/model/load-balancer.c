/* SPDX-License-Identifier: MIT */
#include "model/load-balancer.h"

/* https://cloud.google.com/load-balancing/docs/health-check-concepts#ip-ranges */
static const char *const gcp_networks[] = { "35.191.0.0/16", "130.211.0.0/22", NULL };

/* https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16 */
static const char *const azure_networks[] = { "168.63.129.16", NULL };

/* The defaults that their makers publish:
 * aws-alb, aws-nlb: CreateTargetGroup in the reference of the API of Elastic Load Balancing
 *     (HealthCheckIntervalSeconds, UnhealthyThresholdCount, HealthCheckProtocol, HealthCheckPath);
 * gcp: gcloud compute health-checks create http (--check-interval, --unhealthy-threshold,
 *     --request-path);
 * azure: az network lb probe create (--interval, --threshold);
 * haproxy: inter, fall and option httpchk in the configuration manual;
 * nginx: health_check of ngx_http_upstream_hc_module (interval, fails, uri), max_fails= and
 *     fail_timeout= of ngx_http_upstream_module. */
static const LoadBalancer load_balancers[] = {
        [LOAD_BALANCER_AWS_ALB] = {
                .name = "AWS Application Load Balancer",
                .path = "/",
                .interval_usec = 30 * USEC_PER_SEC,
                .threshold = 2,
        },
        [LOAD_BALANCER_AWS_NLB] = {
                .name = "AWS Network Load Balancer",
                .interval_usec = 30 * USEC_PER_SEC,
                .threshold = 2,
                .caveat = "unless it is told it only connects by TCP, which always succeeds here, "
                          "whatever the verdict; give its target group "
                          "HealthCheckProtocol=HTTP, HealthCheckPath=/health/ready",
        },
        [LOAD_BALANCER_GCP] = {
                .name = "Google Cloud load balancer",
                .path = "/",
                .interval_usec = 5 * USEC_PER_SEC,
                .threshold = 2,
                .networks = gcp_networks,
        },
        [LOAD_BALANCER_AZURE] = {
                .name = "Azure Load Balancer",
                .interval_usec = 15 * USEC_PER_SEC,
                .threshold = 2,
                .networks = azure_networks,
        },
        [LOAD_BALANCER_HAPROXY] = {
                .name = "HAProxy",
                .path = "/",
                .interval_usec = 2 * USEC_PER_SEC,
                .threshold = 3,
                .caveat = "\"check\" alone only connects by TCP, which always succeeds here, and "
                          "\"option httpchk\" alone asks \"OPTIONS /\", which has the verdict of "
                          "the whole host; write \"option httpchk GET /health/ready\", with the "
                          "service's name behind it where a backend is one service",
        },
        [LOAD_BALANCER_NGINX] = {
                .name = "nginx",
                .path = "/",
                .interval_usec = 5 * USEC_PER_SEC,
                .threshold = 1,
                .caveat = "open source nginx asks nobody, it counts failed requests of clients "
                          "(max_fails=, fail_timeout=), so that a drain is not seen; only "
                          "\"health_check uri=/health/ready\" of NGINX Plus reads the verdict",
        },
};

const LoadBalancer *load_balancer_of(const HttpConfig *c) {
        return c->load_balancer == LOAD_BALANCER_NONE || c->load_balancer == LOAD_BALANCER_OTHER
                       ? NULL
                       : &load_balancers[c->load_balancer];
}

uint64_t load_balancer_threshold(const HttpConfig *c) {
        const LoadBalancer *b = load_balancer_of(c);

        if (c->load_balancer == LOAD_BALANCER_NONE)
                return 0;
        return b && c->load_balancer_threshold == 0 ? b->threshold : c->load_balancer_threshold;
}

usec_t load_balancer_notice_usec(const HttpConfig *c) {
        const LoadBalancer *b = load_balancer_of(c);
        usec_t interval = c->load_balancer_interval_usec;

        if (b && interval == 0)
                interval = b->interval_usec;
        return c->load_balancer == LOAD_BALANCER_NONE
                       ? 0
                       : usec_mul(interval, load_balancer_threshold(c));
}

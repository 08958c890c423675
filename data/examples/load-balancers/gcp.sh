#!/bin/sh
# SPDX-License-Identifier: MIT
# Google Cloud: one health check for the load balancer (readiness), and another for autohealing
# (liveness), because autohealing recreates the machine: a database's outage must not do that.
# Open port 9911 to 35.191.0.0/16 and 130.211.0.0/22, from where the probes come.
set -eu

gcloud compute health-checks create http orders-ready \
    --port=9911 --request-path=/health/ready \
    --check-interval=5s --timeout=5s --healthy-threshold=2 --unhealthy-threshold=2

gcloud compute health-checks create http orders-live \
    --port=9911 --request-path=/health/live \
    --check-interval=10s --timeout=5s --healthy-threshold=2 --unhealthy-threshold=3

gcloud compute backend-services create orders \
    --protocol=HTTP --port-name=http --health-checks=orders-ready --global

gcloud compute instance-groups managed update orders \
    --health-check=orders-live --initial-delay=300 --zone=europe-west3-a

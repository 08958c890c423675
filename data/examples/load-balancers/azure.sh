#!/bin/sh
# SPDX-License-Identifier: MIT
# Azure: readiness for the load balancer and for Application Gateway. The probes come from
# 168.63.129.16, which the network security group must let in to port 9911.
set -eu

az network lb probe create --resource-group web --lb-name orders --name ready \
    --protocol Http --port 9911 --path /health/ready --interval 5 --probe-threshold 2

az network application-gateway probe create --resource-group web --gateway-name gateway \
    --name ready --protocol Http --host 127.0.0.1 --port 9911 --path /health/ready \
    --interval 5 --timeout 5 --threshold 2 --match-status-codes 200

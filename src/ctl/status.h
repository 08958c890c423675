/* SPDX-License-Identifier: MIT */
#pragma once

/* The picture as `status` and `watch` show it. */

#include "ctl/ctl.h"

void status_print_host(const Screen *screen, const View *v);
void status_print_service(const Screen *screen, const View *v, const ServiceInfo *s);

/* EXIT_YES when ready, EXIT_NO when not. service may be NULL: the host. */
int status_exit_code(const View *v, const ServiceInfo *service);
